"""The call table as Markdown and Mermaid: ``python -m trunkline.ss7.isup.diagram``.

``docs/isup-states.md`` is this module's output, and a test fails when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.ss7.isup.table import TABLE, Action, State, Trigger

__all__ = ["render"]

_OUTGOING = (State.WAIT_FOR_ACM, State.WAIT_FOR_ANM, State.OGC_ANSWERED)
_INCOMING = (State.ICC_WAIT_FOR_ACM, State.ICC_WAIT_FOR_ANM, State.ICC_ANSWERED)
_CLEARING = (State.WAIT_FOR_RLC, State.RESETTING)

_DIAGRAMS = (
    ("Outgoing calls", (State.IDLE, *_OUTGOING), (*_OUTGOING, *_CLEARING)),
    ("Incoming calls", (State.IDLE, *_INCOMING), (*_INCOMING, *_CLEARING)),
    ("Release and reset", (State.IDLE, *_CLEARING), _CLEARING),
)

_HEAD = """\
# ISUP: what a circuit does

Rendered from `trunkline.ss7.isup.table` by `python -m trunkline.ss7.isup.diagram`; do not edit.
Clause numbers are those of Q.764 (12/1999) unless another document is named.
Numbers in parentheses are Q.850 cause values.
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, sources, targets in _DIAGRAMS:
        parts.append(f"\n## {title}\n\n```mermaid\nstateDiagram-v2\n")
        parts += _edges(sources, targets)
        parts.append("```\n")
    parts.append("\n## Every row\n")
    for state in State:
        parts.append(
            f"\n### {state.value}\n\n| trigger | action | next | clause |\n|---|---|---|---|\n"
        )
        parts += _lines(state)
        illegal = [t.value for t, row in TABLE[state].items() if row.action is Action.ILLEGAL]
        parts.append(f"\nIllegal: {', '.join(illegal)}.\n")
    return "".join(parts)


def _edges(sources: Iterable[State], targets: tuple[State, ...]) -> Iterable[str]:
    """Declarations of the states, then one arrow for each row that changes the state."""
    shown = (State.IDLE, *targets)
    for state in shown:
        yield f'    state "{state.value}" as {state.name}\n'
    for state in sources:
        grouped: dict[State, list[Trigger]] = {}
        for trigger, row in TABLE[state].items():
            for after in row.next:
                leaves = after is not state and row.action is not Action.ILLEGAL
                if leaves and after in shown and (state is not State.IDLE or after in targets):
                    grouped.setdefault(after, []).append(trigger)
        for after, triggers in grouped.items():
            label = ", ".join(trigger.value for trigger in triggers)
            yield f"    {state.name} --> {after.name} : {label}\n"


def _lines(state: State) -> Iterable[str]:
    for trigger, row in TABLE[state].items():
        if row.action is not Action.ILLEGAL:
            after = " or ".join("same" if s is state else s.value for s in row.next)
            yield f"| {trigger.value} | {row.action.value} | {after} | {row.clause} |\n"


if __name__ == "__main__":
    print(render(), end="")
