"""Calls while the ledger fails: a real PostgreSQL that hangs, and that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.test_sessions import EVENT, NOW, TARIFF
from tests.store.ledger.made import emptied
from tests.store.servers import SqlServer, postgres_server

from trunkline.charging.event import Event
from trunkline.charging.model import Account, Balance, Movement
from trunkline.charging.sessions import SessionError
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.fallback import Fallback
from trunkline.elements.charging.recorder import Recorder
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.steps import Steps
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.rating.durations import SECOND
from trunkline.store.guard import StoreUnavailable
from trunkline.store.journal import Journal
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Change, Keys

KEY = "cgrates.org:1001"
MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    """One of its own: it is stopped."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as found:
        yield found


class Node:
    """The steps of a node with a short patience, and its ledger."""

    def __init__(self, url: str, folder: Path, *, per_call: int = 5 * MINUTE) -> None:
        self.book = Book(url, timeout=0.5, failures=1, pause=0.05)
        tariffs = Tariffs(TARIFF)
        self.engine = Engine(tariffs, self.book, RuleBook(tariffs.rows, tariffs), lambda: NOW)
        self.journal = Journal(folder / "ocs.journal")
        self.steps = Fallback(
            self.engine,
            self.journal,
            per_call=per_call,
            in_all=8 * MINUTE,
            lease=3600.0,
            debit_interval=0,
            node="OCS",
        )
        self.problems: list[str] = []

    async def fill(self, value: str) -> None:
        amount = Decimal(value)
        account = Account(
            tenant="cgrates.org", id="1001", balances=(Balance(uuid="b", value=amount),)
        )
        moved = Movement(
            account=KEY,
            balance="b",
            type="*monetary",
            amount=amount,
            value=amount,
            cause="*topup",
        )
        await self.book.update(
            Keys(accounts=[KEY]),
            lambda _: Change(time=0.0, accounts={KEY: account}, movements=[moved]),
        )

    async def money(self) -> Decimal:
        account = (await self.book.load(Keys(accounts=[KEY]))).view.accounts[KEY]
        assert account is not None
        return sum((each.value for each in account.balances), Decimal(0))

    async def settle(self) -> int:
        """As the node does, again and again, until the ledger is back."""
        for _ in range(200):
            try:
                return await self.steps.settle(
                    lambda what, why: self.problems.append(f"{what}: {why.message}")
                )
            except StoreUnavailable:
                await asyncio.sleep(0.05)
        raise AssertionError("the ledger did not come back")


def event(call: str, **fields: object) -> Event:
    return Event(fields={**EVENT, "OriginID": call, **fields}, id=str(fields.get("ID", "")))


@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_calls_are_granted_and_settled_once(server: SqlServer, tmp_path: Path, how: str) -> None:
    async def main() -> None:
        node = Node(server.url, tmp_path)
        steps = node.steps
        await emptied(server.url)
        await node.book.prepare()
        await node.fill("1")
        open_call = f"open {how}"
        assert (await steps.initiate(event(open_call), MINUTE)).usage == MINUTE
        if how == "hangs":
            server.pause()
        else:
            server.stop()
        try:
            # a call that was there, one that comes and goes, and one that stays
            more = await steps.update(event(open_call), 2 * MINUTE, 30 * SECOND)
            assert more.usage == 2 * MINUTE
            assert (await steps.authorize(event("new"), 3 * 3600 * SECOND)).usage == 5 * MINUTE
            assert (await steps.initiate(event(f"short {how}"), MINUTE)).usage == MINUTE
            await steps.terminate(event(f"short {how}"), 45 * SECOND)
            assert (await steps.initiate(event(f"long {how}"), 10 * MINUTE)).usage == 5 * MINUTE
            with pytest.raises(StoreUnavailable):  # eight minutes in all
                await steps.initiate(event("too much"), MINUTE)
            with pytest.raises(StoreUnavailable):
                await steps.update(event(f"long {how}"), SECOND, None)
            with pytest.raises(StoreUnavailable):
                await steps.initiate(event("octets", ToR="*data"), 1)
            with pytest.raises(StoreUnavailable):
                await steps.message(event("text", ToR="*sms"), 1)
            with pytest.raises(SessionError, match="below zero"):
                await steps.update(event(open_call), 1, -1)
            with pytest.raises(SessionError, match="below zero"):
                await steps.terminate(event(open_call), -1)
            with pytest.raises(StoreUnavailable):
                await Steps(node.engine).initiate(event("denied"), MINUTE)
        finally:
            if how == "hangs":
                server.resume()
            else:
                server.start()
        # a crash before anything was settled, and one after all was, before the file was emptied
        kept = node.journal.path.read_bytes()
        await node.book.close()
        again = Node(server.url, tmp_path)
        assert await again.settle() == 4
        # 0.15 for the open call, 0.075 for the short one, 0.5 for the long: 0.275 are left
        assert await again.money() == Decimal("0.175")
        assert again.journal.path.read_bytes() == b""
        again.journal.path.write_bytes(kept + b'{"id":"torn')
        await again.book.close()
        third = Node(server.url, tmp_path)
        assert len(third.journal.entries) == 4
        assert await third.settle() == 4
        assert await third.money() == Decimal("0.175")
        assert third.problems == []
        # afterwards everything is as ever
        assert (await third.steps.update(event(f"long {how}"), MINUTE, None)).usage == MINUTE
        for call, usage in ((open_call, 150), (f"short {how}", 45), (f"long {how}", 320)):
            await third.steps.terminate(event(call), usage * SECOND)
            await Recorder(third.engine).record(event(call, Usage=usage * SECOND))
        assert (await third.book.audit()).clean
        await third.book.close()

    asyncio.run(main())
