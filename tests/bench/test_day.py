"""A small simulated day: everything adds up in the end, and it is told if it does not."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bench.day import TITLES, Day, main, run
from tests.store.servers import redis_server


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path, durable=True) as server:
        yield server.url


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_day_adds_up(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    figures = run(tmp_path, request.getfixturevalue(kind), 300, seed=5)
    assert list(figures) == list(TITLES)
    assert figures["debits"] == figures["prices"] > 10
    assert figures["records"] > 200
    for name in ("repeated", "died", "short"):
        assert figures[name], name


def test_a_day_that_does_not_add_up(sqlite: str, tmp_path: Path) -> None:
    class Spoilt(Day):
        async def _evening(self) -> None:
            with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
                assert other.execute("DELETE FROM ledger_movements WHERE seq = 50").rowcount
                other.commit()
            await super()._evening()

    with pytest.raises(AssertionError, match="the audit"):
        asyncio.run(Spoilt(tmp_path, sqlite, 40).live())


def test_what_did_not_add_up_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Spoilt(Day):
        async def _evening(self) -> None:
            raise AssertionError("the evening")

    monkeypatch.setattr("bench.day.Day", Spoilt)
    monkeypatch.setattr(sys, "argv", ["day", "--calls", "3", "--seed", "9"])
    with pytest.raises(SystemExit):
        main()
    found = re.search(r"--calls 3 --seed 9; .* sqlite:///(.*/ledger.db)", capsys.readouterr().err)
    assert found
    assert Path(found[1]).exists()
    shutil.rmtree(Path(found[1]).parent)
