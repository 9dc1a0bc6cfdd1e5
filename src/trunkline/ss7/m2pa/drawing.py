"""Draws the table: ``python -m trunkline.ss7.m2pa.drawing > docs/m2pa-states.md``.

A Mermaid state diagram of the rows that change the state, then every row in words. A test compares
the page with the table.
"""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.ss7.m2pa.table import ROWS, Row, State

__all__ = ["page"]

_INTRODUCTION = """\
# The M2PA link, state by state

Drawn from `src/trunkline/ss7/m2pa/table.py` by `python -m trunkline.ss7.m2pa.drawing`; do not edit.
User Data in the states that carry traffic does not go through the table: see
`src/trunkline/ss7/m2pa/traffic.py`.
"""

_UNSTARTED = frozenset({State.ASSOCIATION_DOWN, State.START_PENDING, State.OUT_OF_SERVICE})


def page() -> str:
    """Return the page, Markdown with a Mermaid diagram."""
    return "\n".join([_INTRODUCTION, *_diagram(), "", *_words()]) + "\n"


def _diagram() -> Iterable[str]:
    started = [state for state in State if state not in _UNSTARTED]
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.ASSOCIATION_DOWN.name}"
    for state in State:
        if state in _UNSTARTED:
            yield f'    state "{state}" as {state.name}'
    yield "    state started {"
    for state in started:
        yield f'        state "{state}" as {state.name}'
    yield "    }"

    changes = [row for row in ROWS if row.next is not row.state]
    labels: dict[tuple[str, str], list[str]] = {}
    for row in changes:
        alike = {
            other.state
            for other in changes
            if (other.trigger, other.next) == (row.trigger, row.next)
        }
        whole = row.next in _UNSTARTED and alike.issuperset(started) and row.state in started
        edge = ("started" if whole else row.state.name, row.next.name)
        label = _trigger(row)
        if label not in labels.setdefault(edge, []):
            labels[edge].append(label)
    for (source, target), texts in labels.items():
        yield f"    {source} --> {target}: {'<br/>'.join(texts)}"
    yield "```"


def _words() -> Iterable[str]:
    for state in State:
        yield f"## {state}"
        yield ""
        yield "| on | next | does | by |"
        yield "|---|---|---|---|"
        for row in ROWS:
            if row.state is state:
                following = "" if row.next is state else row.next
                does = "; ".join(row.actions) or "nothing"
                yield f"| {_trigger(row)} | {following} | {does} | {row.clause} |"
        yield ""


def _trigger(row: Row) -> str:
    return f"{row.trigger} [{row.guard}]" if row.guard else row.trigger


if __name__ == "__main__":
    print(page(), end="")
