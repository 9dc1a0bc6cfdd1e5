"""Ledgers of earlier versions are brought up to date; those of later ones are refused."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from tests.store.ledger.made import account

from trunkline.charging.model import Account, Balance
from trunkline.errors import TrunklineError
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.lua import PREFIX
from trunkline.store.ledger.model import Change, Keys, RecordRow, record_key
from trunkline.store.ledger.queries import RecordQuery
from trunkline.store.redis import client, is_redis
from trunkline.store.sql import driver_url

SHARING = Account(tenant="t", id="one", balances=(Balance(uuid="b", shared_groups=("A", "B")),))
RECORD = RecordRow(id="r", run="*default", document="{}", setup_time=90.0, created=1000.0)
KEY = record_key("r", "*default")


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def sql(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


async def ask(url: str, *statements: str) -> list[object]:
    """Have a database carry them out; the last one's first column."""
    engine = create_async_engine(driver_url(url))
    async with engine.begin() as connection:
        for statement in statements:
            found = await connection.execute(text(statement))
        values: list[object] = list(found.scalars()) if found.returns_rows else []
    await engine.dispose()
    return values


async def made(url: str) -> None:
    """A ledger that some work was done with."""
    book = Book(url)
    await book.prepare()
    wanted: Mapping[str, Account | None] = {
        SHARING.key: SHARING,
        **{f"t:{number:04}": account(f"t:{number:04}") for number in range(600)},
    }
    await book.update(Keys(accounts=list(wanted)), lambda _: Change(time=0.0, accounts=wanted))
    await book.close()


async def become_old(url: str) -> None:
    """The same, as it was before versions, shared groups and the times of records."""
    index = "DROP INDEX ledger_accounts_sharing"
    if url.startswith("m"):
        index += " ON ledger_accounts"
    await ask(
        url,
        "DROP TABLE ledger_schema",
        index,
        "ALTER TABLE ledger_accounts DROP COLUMN sharing",
        *(
            f"ALTER TABLE ledger_records DROP COLUMN {name}"
            for name in ("setup_time", "answer_time", "created", "updated", "request_type")
        ),
    )


def test_an_earlier_version_is_brought_up_by_several_that_start_at_once(sql: str) -> None:
    async def main() -> None:
        await made(sql)
        await become_old(sql)
        books = [Book(sql) for _ in range(3)]
        await asyncio.gather(*(book.prepare() for book in books))
        assert await ask(sql, "SELECT version FROM ledger_schema") == [1]
        for book in books:
            assert await book.sharing("t", ["B"], limit=10) == ["t:one"]
        await books[0].update(
            Keys(records=[KEY]), lambda _: Change(time=0.0, records={KEY: RECORD})
        )
        [row] = await books[1].records(RecordQuery(setup=(90.0, 91.0)))
        assert (row.created, row.request_type) == (1000.0, RECORD.request_type)
        assert (await books[2].audit()).clean
        for book in books:
            await book.close()

    asyncio.run(main())


def test_what_the_first_columns_were_filled_without_is_filled(sql: str) -> None:
    """A release added the column, and left it empty."""

    async def main() -> None:
        await made(sql)
        await ask(sql, "DROP TABLE ledger_schema", "UPDATE ledger_accounts SET sharing = ''")
        book = Book(sql)
        await book.prepare()
        assert await book.sharing("t", ["A"], limit=10) == ["t:one"]
        await book.close()

    asyncio.run(main())


def test_a_later_version_is_refused(url: str) -> None:
    async def main() -> None:
        book = Book(url)
        await book.prepare()
        if is_redis(url):
            server = client(url, 5.0)
            await server.execute_command("SET", f"{PREFIX}schema", "7")
            await server.aclose()
        else:
            await ask(url, "UPDATE ledger_schema SET version = 7")
        for _ in range(2):
            with pytest.raises(TrunklineError, match="version 7") as problem:
                await book.prepare()
            assert problem.value.code == "store.ledger-newer"
        await book.close()

    asyncio.run(main())


def test_a_start_waits_for_nobody_who_writes(sqlite_url: str, tmp_path: Path) -> None:
    async def main() -> None:
        await made(sqlite_url)
        book = Book(sqlite_url)
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(5):
                await book.prepare()
        await book.close()

    asyncio.run(main())
