"""Calls while the ledger fails: a real PostgreSQL that hangs, and that is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.reference_client import AnsweredError, JSONClient
from tests.elements.charging.support import network_file, running, write_folder
from tests.elements.charging.test_clients import Switch
from tests.elements.charging.test_recovery import TARIFF as FILES
from tests.elements.charging.test_sessions import EVENT, NOW, TARIFF
from tests.store.ledger.made import emptied
from tests.store.servers import SqlServer, postgres_server

from trunkline.charging.event import Event, EventError
from trunkline.charging.model import Account, Balance, Movement
from trunkline.charging.sessions import SessionError
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.fallback import Fallback
from trunkline.elements.charging.process import ChargingNode
from trunkline.elements.charging.recorder import Recorder, Treatment
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.steps import Steps
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.rating.durations import SECOND
from trunkline.store.guard import StoreUnavailable
from trunkline.store.journal import Journal
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Change, Keys
from trunkline.store.ledger.queries import RecordQuery

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


def account_of(node: ChargingNode) -> None:
    with closing(JSONClient(node.servers["rpc_json"].local)) as client:
        client.call(
            "APIerSv1.AddBalance",
            {
                "Tenant": "cgrates.org",
                "Account": "1001",
                "BalanceType": "*monetary",
                "Value": 1,
                "Balance": {"ID": "money"},
            },
        )


def test_a_node_that_denies_releases_what_it_cannot_extend(
    server: SqlServer, tmp_path: Path
) -> None:
    asyncio.run(emptied(server.url))
    write_folder(tmp_path / "tariff", FILES)
    path = network_file(
        tmp_path, "denies", tariff="tariff", ledger=server.url, debit_interval="200ms"
    )
    with running(path) as node:
        account_of(node)
        with (
            closing(Switch(node.servers["rpc_bijson"].local, "OK")) as switch,
            closing(JSONClient(node.servers["rpc_json"].local)) as client,
        ):
            argument = {"InitSession": True, "Event": EVENT}
            assert switch.call("SessionSv1.InitiateSession", argument)["MaxUsage"] == -1
            server.stop()
            try:
                until = time.monotonic() + 20
                while not switch.told:
                    assert time.monotonic() < until
                    time.sleep(0.02)
                assert switch.told[0]["params"][0]["Reason"] == "SERVER_ERROR"
                with pytest.raises(AnsweredError, match=r"^SERVER_ERROR: ledger \(postgresql:"):
                    client.call("SessionSv1.InitiateSession", argument)
            finally:
                server.start()

            def active() -> object:
                try:
                    return client.call("SessionSv1.GetActiveSessionsCount", {})
                except AnsweredError:  # it has not been found again yet
                    return None

            until = time.monotonic() + 20
            while active() != 0:
                assert time.monotonic() < until, "it ended when it was released"
                time.sleep(0.1)
            last = {"TerminateSession": True, "Event": {**EVENT, "Usage": "1s"}}
            assert client.call("SessionSv1.TerminateSession", last) == "OK"
            account = client.call("APIerSv2.GetAccount", {"Account": "1001"})
            assert isinstance(account, dict)
            assert account["BalanceMap"]["*monetary"][0]["Value"] == pytest.approx(0.9983)


def test_a_node_that_grants_starts_without_its_ledger(
    server: SqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    asyncio.run(emptied(server.url))
    write_folder(tmp_path / "tariff", FILES)
    path = network_file(
        tmp_path,
        "grants",
        tariff="tariff",
        ledger=server.url,
        when_ledger_fails="grant",
        grant_usage="30s",
    )
    with running(path) as node:
        account_of(node)
    server.stop()
    try:
        with running(path) as node, closing(JSONClient(node.servers["rpc_json"].local)) as client:
            argument = {"InitSession": True, "Event": {**EVENT, "Usage": "60s"}}
            found = client.call("SessionSv1.InitiateSession", argument)
            assert isinstance(found, dict)
            assert found["MaxUsage"] == 30 * SECOND
            assert (tmp_path / "trunkline" / "grants-OCS.journal").stat().st_size > 0
    finally:
        server.start()
    with running(path) as node, closing(JSONClient(node.servers["rpc_json"].local)) as client:
        until = time.monotonic() + 20
        while (tmp_path / "trunkline" / "grants-OCS.journal").stat().st_size:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert client.call("SessionSv1.GetActiveSessionsCount", {}) == 1
        account = client.call("APIerSv2.GetAccount", {"Account": "1001"})
        assert isinstance(account, dict)
        assert account["BalanceMap"]["*monetary"][0]["Value"] == 0.95


def test_records_are_kept_and_stored_in_their_turn(server: SqlServer, tmp_path: Path) -> None:
    async def main() -> None:
        node = Node(server.url, tmp_path)
        await emptied(server.url)
        await node.book.prepare()
        await node.fill("1")
        known = event("known", Usage="30s")
        await node.steps.record(known, Treatment())
        server.stop()
        try:
            assert (await node.steps.initiate(event("short"), MINUTE)).usage == MINUTE
            await node.steps.terminate(event("short"), 45 * SECOND)
            short = event("short", Usage="42s", AnswerTime=NOW)
            for _ in range(2):
                assert await node.steps.record(short, Treatment()) == []
            assert await node.steps.record(known, Treatment()) == []
            assert await node.steps.record(event("alone", Usage="12s"), Treatment()) == []
            with pytest.raises(EventError, match="no usage"):
                await node.steps.record(event("wrong", Usage="odd"), Treatment())
            for how in (Treatment(again=True), Treatment(refund=True), Treatment(store=False)):
                with pytest.raises(StoreUnavailable):
                    await node.steps.record(short, how)
        finally:
            server.start()
        await node.book.close()
        again = Node(server.url, tmp_path)  # it is killed, and started anew
        assert await again.settle() == 6
        assert again.problems == []
        found = await again.book.records(RecordQuery())
        assert {row.origin_id: (row.usage // SECOND, row.cost) for row in found} == {
            "known": (30, Decimal("0.05")),
            "short": (42, Decimal("0.07")),
            "alone": (12, Decimal("0.02")),
        }
        assert {row.time for row in found} == {NOW.timestamp()}
        assert await again.money() == Decimal("0.86")
        assert (await again.book.audit()).clean
        await again.book.close()

    asyncio.run(main())


def test_what_says_no_time_is_carried_out_as_of_when_it_came(
    server: SqlServer, tmp_path: Path
) -> None:
    async def main() -> None:
        node = Node(server.url, tmp_path)
        await emptied(server.url)
        await node.book.prepare()
        await node.fill("1")
        untimed = event("untimed", Usage="30s")
        fields = {name: value for name, value in untimed.fields.items() if name != "AnswerTime"}
        server.stop()
        try:
            await node.steps.initiate(Event(fields=fields), MINUTE)
        finally:
            server.start()
        node.engine.clock = lambda: NOW + timedelta(hours=9)
        assert await node.settle() == 1
        [session] = await node.steps.sessions()
        assert session.runs[0].call.time == NOW
        await node.book.close()

    asyncio.run(main())
