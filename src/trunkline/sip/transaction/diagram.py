"""The four tables as Markdown and Mermaid: ``python -m trunkline.sip.transaction.diagram``.

``docs/sip-transaction-states.md`` is this module's output, and a test fails when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.sip.transaction.table import TABLES, Action, Machine, State

__all__ = ["render"]

_HEAD = """\
# SIP transactions: what each machine does

Rendered from `trunkline.sip.transaction.table` by `python -m trunkline.sip.transaction.diagram`; do
not edit. Clause numbers are those of RFC 3261 unless another RFC is named. TU is the transaction
user: a proxy or a user agent. Over a reliable transport, timers A, E and G do not run, and timers
D, I, J and K come up at once.
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for machine in Machine:
        title = machine.value[0].upper() + machine.value[1:]
        parts.append(f"\n## {title}\n\n```mermaid\nstateDiagram-v2\n")
        parts += _edges(machine)
        parts.append("```\n")
        for state in TABLES[machine]:
            parts.append(f"\n### {title}, {state}\n\n")
            parts.append("| trigger | action | next | clause |\n|---|---|---|---|\n")
            parts += _lines(machine, state)
    return "".join(parts)


def _edges(machine: Machine) -> Iterable[str]:
    """The beginning, then one arrow for each pair of states, with the triggers that lead there."""
    table = TABLES[machine]
    yield f"    [*] --> {next(iter(table))}\n"
    for state, rows in table.items():
        grouped: dict[State, list[str]] = {}
        for trigger, row in rows.items():
            if row.next is not state:
                grouped.setdefault(row.next, []).append(trigger)
        for after, triggers in grouped.items():
            yield f"    {state} --> {after} : {', '.join(triggers)}\n"
    yield f"    {State.TERMINATED} --> [*]\n"


def _lines(machine: Machine, state: State) -> Iterable[str]:
    for trigger, row in TABLES[machine][state].items():
        actions = [action.value for action in row.actions if action is not Action.DISCARD]
        after = "same" if row.next is state else row.next
        yield f"| {trigger} | {', '.join(actions) or '–'} | {after} | {row.clause} |\n"


if __name__ == "__main__":
    print(render(), end="")
