"""The audit: what it finds in a ledger that somebody else has written into."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.store.ledger.made import account, initiate, put, terminate

from trunkline.charging.model import DEFAULT_BALANCE, Balance, Movement
from trunkline.store.ledger.audit import CHECKS, Audit
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Change, Keys, View, record_key
from trunkline.store.ledger.schema import account_text

A, B = "cgrates.org:1001", "cgrates.org:1002"
PAGES = 1100


async def filled(book: Book) -> None:
    await book.prepare()
    for key in (A, B):
        await book.update(Keys(accounts=[key]), put(key, Decimal("0.3")))
    for name in ("s1", "s2"):
        record = record_key(name, "*default")
        await book.update(Keys(accounts=[A], sessions=[name]), initiate(A, name))
        if name == "s1":
            keys = Keys(accounts=[A], sessions=[name], records=[record])
            await book.update(keys, terminate(A, name))


def audited(url: str, *statements: tuple[str, tuple[str, ...]]) -> Audit:
    async def script() -> Audit:
        book = Book(url)
        await filled(book)
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
            for statement, values in statements:
                assert other.execute(statement, values).rowcount > 0
            other.commit()
        try:
            return await book.audit()
        finally:
            await book.close()

    return asyncio.run(script())


def test_what_adds_up(sqlite_url: str) -> None:
    result = audited(sqlite_url)
    assert result.clean
    assert result == Audit(accounts=2, balances=2, movements=5, sessions=1, records=1)


@pytest.mark.parametrize(
    ("statement", "values", "found"),
    [
        (
            "UPDATE ledger_accounts SET document = ? WHERE id = ?",
            (account_text(account(A, b="7")), A),
            {("sum", A, "b")},
        ),
        (
            "UPDATE ledger_movements SET amount = '0.4' WHERE account = ?",
            (B,),
            {("sum", B, "b"), ("chain", B, "b")},
        ),
        (
            "UPDATE ledger_movements SET value = '0.4' WHERE account = ?",
            (B,),
            {("chain", B, "b")},
        ),
        ("DELETE FROM ledger_movements WHERE account = ?", (B,), {("sum", B, "b")}),
        (
            "DELETE FROM ledger_accounts WHERE id = ?",
            (B,),
            {("gone", B, "b")},
        ),
        (
            "UPDATE ledger_sessions SET account = ?",
            ("cgrates.org:nobody",),
            {("session", "cgrates.org:nobody", "s2")},
        ),
        (
            "UPDATE ledger_records SET reference = ?",
            ("nothing",),
            {("record", "", "*default/s1")},
        ),
    ],
)
def test_what_does_not(
    sqlite_url: str, statement: str, values: tuple[str, ...], found: set[tuple[str, str, str]]
) -> None:
    result = audited(sqlite_url, (statement, values))
    assert {(each.check, each.account, each.subject) for each in result.findings} == found
    assert result.found == len(result.findings)
    assert not result.clean
    assert {each.check for each in result.findings} <= set(CHECKS)


def test_below_zero(sqlite_url: str) -> None:
    def taken(key: str, balance: Balance, cause: str) -> Change:
        movement = Movement(
            account=key, balance="b", type="*monetary", amount=balance.value,
            value=balance.value, cause=cause,
        )  # fmt: skip
        found = replace(account(key), balances=(balance,))
        return Change(time=0.0, accounts={key: found}, movements=[movement])

    async def script() -> None:
        book = Book(sqlite_url)
        await book.prepare()
        minus = Balance(uuid="b", value=Decimal(-1))
        default = replace(minus, id=DEFAULT_BALANCE)
        for key, balance, cause in (
            ("t:no", minus, "*charge"),
            ("t:ordered", minus, "*debit"),
            ("t:default", default, "*charge"),
        ):
            change = taken(key, balance, cause)
            await book.update(Keys(accounts=[key]), lambda view, change=change: change)  # type: ignore[misc]
        result = await book.audit()
        [found] = result.findings
        assert (found.check, found.account) == ("negative", "t:no")
        assert found.text == "movement 1: 1 was taken, and -1 is left"
        await book.close()

    asyncio.run(script())


def test_many_accounts_while_others_write(url: str) -> None:
    async def script() -> None:
        book = Book(url)
        await book.prepare()
        keys = [f"t:{number}" for number in range(PAGES)]

        def opened(view: View) -> Change:
            changes = [put(key, Decimal("0.1"))(view) for key in keys]
            return Change(
                time=0.0,
                accounts={key: each.accounts[key] for key, each in zip(keys, changes, strict=True)},
                movements=[movement for each in changes for movement in each.movements],
            )

        await book.update(Keys(accounts=keys), opened)
        writing = True

        async def write() -> None:
            number = 0
            while writing:
                key = keys[number % PAGES]
                await book.update(Keys(accounts=[key]), put(key, Decimal("0.1")))
                number += 7

        writers = [asyncio.create_task(write()) for _ in range(4)]
        seen: list[tuple[int, int]] = []
        for _ in range(2):
            result = await book.audit(lambda done, total: seen.append((done, total)))
            assert result.clean, result.findings
            assert result.accounts == PAGES
            assert seen[-1] == (result.movements, result.movements)
        writing = False
        await asyncio.gather(*writers)
        assert len(seen) == 2 * (PAGES // 500 + 1)
        last = await book.audit()
        assert last.clean
        assert last.movements > PAGES
        await book.close()

    asyncio.run(script())
