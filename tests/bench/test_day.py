"""A small simulated day: everything adds up in the end, and it is told if it does not."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bench.day import TITLES, Day, run


def test_a_day_adds_up(tmp_path: Path) -> None:
    figures = run(400, tmp_path, seed=5)
    assert list(figures) == list(TITLES)
    assert figures["debits"] == figures["prices"] > 10
    assert figures["records"] > 250
    for name in ("repeated", "died", "short"):
        assert figures[name], name


def test_a_day_that_does_not_add_up(tmp_path: Path) -> None:
    class Spoilt(Day):
        async def _evening(self) -> None:
            with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
                assert other.execute("DELETE FROM ledger_movements WHERE seq = 50").rowcount
                other.commit()
            await super()._evening()

    with pytest.raises(AssertionError, match="the audit"):
        asyncio.run(Spoilt(tmp_path, 40).live())
