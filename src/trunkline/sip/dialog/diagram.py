"""The tables of this room as Markdown and Mermaid: ``python -m trunkline.sip.dialog.diagram``.

``docs/sip-dialog-states.md`` is this module's output, and a test fails when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, Protocol, TypeAlias, TypeVar

from trunkline.sip.dialog import dialog, reliable
from trunkline.sip.dialog.invite import CLIENT, SERVER
from trunkline.sip.dialog.session_table import TABLE as SESSION
from trunkline.sip.dialog.subscription_table import NOTIFIER, REASONS, SUBSCRIBER

__all__ = ["TABLES", "AnyRow", "Table", "render"]


class AnyRow(Protocol):
    """What the rows of all tables have."""

    @property
    def next(self) -> str:
        """The next state."""
        ...

    @property
    def clause(self) -> str:
        """Who says so."""
        ...


Table: TypeAlias = "Mapping[str, Mapping[str, AnyRow]]"
"""State to trigger to row."""
_S = TypeVar("_S", bound=str)
_T = TypeVar("_T", bound=str)
_R = TypeVar("_R", bound=AnyRow)


def _plain(table: Mapping[_S, Mapping[_T, _R]]) -> Table:
    return {state: dict[str, AnyRow](rows.items()) for state, rows in table.items()}


_HEAD = """\
# Dialogs and their usages: what each machine does

Rendered from the tables of `trunkline.sip.dialog` by `python -m trunkline.sip.dialog.diagram`; do
not edit. TU is who decides: the session, or the user of the user agent. A trigger that a table does
not have in a state has no effect there; where the TU asks for it, it is refused (`dialog.state`).
"""

TABLES: Final[tuple[tuple[str, str, Table], ...]] = (
    ("Dialog", "Clauses are RFC 3261's.", _plain(dialog.TABLE)),
    ("Session", "Clauses are RFC 3261's.", _plain(SESSION)),
    ("INVITE at its UAS", "Clauses are RFC 3261's unless another is named.", _plain(SERVER)),
    ("INVITE at its UAC, in one dialog", "Clauses are RFC 3261's.", _plain(CLIENT)),
    (
        "Reliable provisional responses at the UAS",
        "Clauses are RFC 3262's.",
        _plain(reliable.TABLE),
    ),
    ("Subscription at who subscribed", "Clauses are RFC 6665's.", _plain(SUBSCRIBER)),
    ("Subscription at the notifier", "Clauses are RFC 6665's.", _plain(NOTIFIER)),
)


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, note, table in TABLES:
        parts.append(f"\n## {title}\n\n{note}\n\n```mermaid\nstateDiagram-v2\n")
        parts += _edges(table)
        parts.append("```\n")
        for state, rows in table.items():
            if rows:
                parts.append(f"\n### {title}: {state}\n\n")
                parts += _lines(state, rows)
    parts.append(
        "\n## When to subscribe again\n\n"
        "By the reason in the last NOTIFY (RFC 6665 section 4.1.3); any other, and none: after\n"
        "retry-after, else at once.\n\n| reason | when |\n|---|---|\n"
    )
    parts += (f"| `{reason}` | {when.value} |\n" for reason, when in REASONS.items())
    return "".join(parts)


def _edges(table: Table) -> Iterable[str]:
    """The states, then one arrow for each pair of them, with the triggers that lead there."""
    names = {state: f"s{number}" for number, state in enumerate(table)}
    for state, name in names.items():
        yield f'    state "{state}" as {name}\n'
    yield "    [*] --> s0\n"
    for state, rows in table.items():
        grouped: dict[str, list[str]] = {}
        for trigger, row in rows.items():
            if row.next != state:
                grouped.setdefault(row.next, []).append(trigger)
        for after, triggers in grouped.items():
            label = ", ".join(triggers).replace(":", " -")
            yield f"    {names[state]} --> {names[after]} : {label}\n"


def _lines(state: str, rows: Mapping[str, AnyRow]) -> Iterable[str]:
    """A table; the column of actions only where there are any."""
    acting = any(hasattr(row, "action") for row in rows.values())
    head = "| trigger | action | next | clause |\n|---|---|---|---|\n"
    yield head if acting else "| trigger | next | clause |\n|---|---|---|\n"
    for trigger, row in rows.items():
        action = getattr(row, "action", None)
        words = f" {action.value} |" if isinstance(action, Enum) else ""
        after = "same" if row.next == state else row.next
        yield f"| {trigger} |{words} {after} | {row.clause} |\n"


if __name__ == "__main__":
    print(render(), end="")
