"""Accounts are found by the shared groups of their balances."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from trunkline.charging.model import Account, Balance
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Change, Keys

MANY = [f"GROUP_{number:03}" for number in range(100)]


def account(tenant: str, name: str, *groups: Sequence[str]) -> Account:
    balances = tuple(
        Balance(uuid=f"b{number}", shared_groups=tuple(each)) for number, each in enumerate(groups)
    )
    return Account(tenant=tenant, id=name, balances=balances)


async def put(book: Book, *accounts: Account) -> None:
    wanted: Mapping[str, Account | None] = {each.key: each for each in accounts}
    await book.update(Keys(accounts=list(wanted)), lambda _: Change(time=0.0, accounts=wanted))


def test_who_shares(url: str) -> None:
    async def main() -> None:
        book = Book(url)
        await book.prepare()
        await put(
            book,
            account("t", "alone", []),
            account("t", "one", ["A"]),
            account("t", "two", [], ["B", "A%"]),
            account("t", "many", MANY),
            account("t2", "other", ["A"]),
            account("t", "long", ["AA"]),
            account("t", "small", ["a"]),
        )

        async def found(*groups: str, limit: int = 10) -> set[str]:
            keys = await book.sharing("t", groups, limit=limit)
            assert keys == sorted(keys)
            return {key.partition(":")[2] for key in keys} - {"many"}

        assert await found("A") == {"one"}
        assert await found("B") == {"two"}
        assert await found("a") == {"small"}
        assert await found("A", "A%") == {"one", "two"}
        assert await found("%") == await found("NONE") == set()
        assert "t:many" in await book.sharing("t", ["GROUP_050"], limit=10)
        assert len(await book.sharing("t", ["A", "B"], limit=1)) == 1
        # what changes, and what goes
        await put(book, account("t", "alone", ["A"]), account("t", "one"))
        assert await found("A") == {"alone"}
        gone: Mapping[str, Account | None] = {"t:alone": None}
        await book.update(Keys(accounts=["t:alone"]), lambda _: Change(time=0.0, accounts=gone))
        assert await found("A") == set()
        await book.close()

    asyncio.run(main())
