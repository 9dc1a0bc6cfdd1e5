"""The tables of the room: each row cites its clause, and the page shows them as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.sip.dialog.diagram import TABLES, Table, render


@pytest.mark.parametrize(("title", "note", "table"), TABLES, ids=[table[0] for table in TABLES])
def test_a_table_is_closed_and_cites_its_clauses(title: str, note: str, table: Table) -> None:
    rows = [row for by_trigger in table.values() for row in by_trigger.values()]
    assert {row.next for row in rows} <= set(table)
    assert all(any(character.isdigit() for character in row.clause) for row in rows)
    others = list(table)[1:]
    assert set(others) <= {row.next for row in rows}, f"{title}: a state that nothing leads to"
    assert note.startswith("Clauses are RFC")


def test_what_has_ended_stays_so() -> None:
    for title, _, table in TABLES:
        if "terminated" in table:
            assert {row.next for row in table["terminated"].values()} <= {"terminated"}, title


def test_the_page_is_what_the_program_prints() -> None:
    page = Path(__file__).parents[3] / "docs" / "sip-dialog-states.md"
    command = "python -m trunkline.sip.dialog.diagram"
    assert page.read_text() == render(), f"run: {command} > that file"
    assert command in page.read_text()
