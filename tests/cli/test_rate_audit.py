"""Transcripts of ``trunkline rate audit``."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from tests.store.ledger.made import initiate, put
from tests.store.servers import redis_server
from typer.testing import CliRunner, Result

from trunkline.cli import auditing, rate
from trunkline.errors import TrunklineError
from trunkline.store.ledger.book import Book, default_ledger_url
from trunkline.store.ledger.model import Keys

A = "cgrates.org:1001"


TRANSCRIPT = r"""check    account              of  what
chain    cgrates.org:1001     b   movement 1: 0 and 6 is not 5
sum      cgrates.org:1001     b   it holds 4.9, its movements add up to 5.9
session  cgrates.org:\x1b[2J  s   there is no account cgrates.org:\x1b[2J
1 account, 1 balance, 2 movements, 1 session, 0 records: 3 findings
"""


def filled(url: str) -> None:
    async def script() -> None:
        book = Book(url)
        await book.prepare()
        await book.update(Keys(accounts=[A]), put(A, Decimal(5)))
        await book.update(Keys(accounts=[A], sessions=["s"]), initiate(A, "s"))
        await book.close()

    asyncio.run(script())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(rate.app, ["audit", *arguments])


def spoilt(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as other:
        for statement in statements:
            assert other.execute(statement).rowcount > 0
        other.commit()


def test_what_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    url = default_ledger_url()
    assert url == f"sqlite:///{tmp_path}/trunkline/ledger.sqlite"
    filled(url)
    result = run()
    assert result.exit_code == 0
    assert result.output == (
        "1 account, 1 balance, 2 movements, 1 session, 0 records: everything adds up\n"
    )
    found = json.loads(run("--json").output)
    assert found.pop("clean") is True
    assert found == {
        "accounts": 1,
        "balances": 1,
        "movements": 2,
        "sessions": 1,
        "records": 0,
        "findings": [],
        "found": 0,
    }


def test_what_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ledger.db"
    url = f"sqlite:///{file}"
    filled(url)
    spoilt(
        file,
        "UPDATE ledger_movements SET amount = '6' WHERE seq = 1",
        "UPDATE ledger_sessions SET account = 'cgrates.org:\x1b[2J'",
    )
    result = run("--ledger", url)
    assert result.exit_code == 1
    assert result.output == TRANSCRIPT
    monkeypatch.setenv("TRUNKLINE_LEDGER", url)
    found = json.loads(run("--json").output)
    assert {each["check"] for each in found["findings"]} == {"chain", "sum", "session"}
    assert found["clean"] is False


def test_a_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path, durable=True) as server:
        filled(server.url)
        result = run("--ledger", server.url)
    assert result.exit_code == 0
    assert "2 movements, 1 session, 0 records: everything adds up" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--ledger", "sqlite:////nowhere/at/all.db"], "store.ledger-unavailable"),
        (["--ledger", "oracle://x"], "store.sql-url"),
    ],
)
def test_refusals(arguments: Sequence[str], code: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, TrunklineError)
    assert result.exception.code == code


def test_help_is_for_newcomers() -> None:
    assert "--json" in run("--help").output
    assert auditing.audit.__doc__
