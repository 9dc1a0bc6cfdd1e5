"""Hundreds of calls of every kind, and a charging node that is what it is: every digit agrees.

The exchanges live by the test's clock, the node in a thread of its own by the wall's. The clock
stands still while the node is asked; where it is to be too late, it goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from tests.elements.charging.reference_client import JSONClient
from tests.elements.charging.support import network_file, running, write_folder
from tests.elements.clock import JumpingLoop, run
from tests.elements.support import EXAMPLES, Lab, plan_of, until

from trunkline.config.charging import ChargedSettings
from trunkline.config.values import Duration
from trunkline.elements.credit import ChargedBy
from trunkline.errors import TrunklineError
from trunkline.net.jsonrpc import DialledConnection
from trunkline.rating.durations import SECOND
from trunkline.store.ledger.book import Book

PREPAID = EXAMPLES / "prepaid" / "network.toml"
CALLS = 300
PREFIXES = ("6141", "6142", "6143", "6144", "612", "615")
TARIFF = {
    "Destinations.csv": "SECONDS,6141\nMINUTES,6142\nODD,6143\nFREE,6144\nFLAT,612\n",
    "Rates.csv": "R_SECONDS,0,60,60s,1s,0s\nR_MINUTES,0.25,0.22,60s,60s,0s\n"
    "R_ODD,0.0103,0.0377,7s,3s,0s\nR_ODD,0,0.0219,11s,1s,12s\nR_FREE,0,0,60s,1s,0s\n"
    "R_FLAT,20,0,60s,60s,0s\n",
    "DestinationRates.csv": "D,SECONDS,R_SECONDS,*up,4,0,\nD,MINUTES,R_MINUTES,*up,4,0,\n"
    "D,ODD,R_ODD,*middle,3,0,\nD,FREE,R_FREE,*up,4,0,\nD,FLAT,R_FLAT,*up,4,0,\n",
    "RatingPlans.csv": "RP,D,*any,10\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
}


class Run:
    """One exchange, its callers, and what goes wrong."""

    def __init__(self, lab: Lab, node: Any, chance: random.Random) -> None:
        self.lab, self.node, self.chance = lab, node, chance
        self.loop = cast(JumpingLoop, asyncio.get_running_loop())
        address = node.servers["rpc_bijson"].local
        self.operator = DialledConnection(self.loop, address, lambda *_: None, lambda _: None)
        self.client = JSONClient(node.servers["rpc_json"].local)
        self.late = False
        self.put_in: dict[str, Decimal] = defaultdict(Decimal)
        self.accounts = [f"300{number}" for number in range(10)]

    def give(self, account: str, value: Decimal) -> None:
        self.client.call(
            "APIerSv1.AddBalance",
            {
                "Account": account,
                "BalanceType": "*monetary",
                "Value": float(value),
                "Balance": {"ID": "money"},
            },
        )
        self.put_in[account] += value

    async def call(self) -> None:
        chance, exchange = self.chance, self.lab["Town"].exchange
        assert exchange is not None
        await asyncio.sleep(chance.uniform(0, 900))
        hold = round(chance.choice([0, 0.001, chance.uniform(0, 2), chance.uniform(0, 60)]), 3)
        called = chance.choice(PREFIXES) + "5"
        try:
            call = exchange.originate(chance.choice(self.accounts), called, hold)
        except TrunklineError:
            return  # no circuit
        if chance.random() < 0.1:
            await asyncio.sleep(chance.choice([0.0, chance.uniform(0, 1), hold]))
            if call.state != "ended":
                exchange.release(call.id)

    async def wrong(self, what: Callable[[], Awaitable[None]], times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(self.chance.expovariate(times / 900))
            await what()

    async def top_up(self) -> None:
        cents = Decimal(self.chance.randrange(1, 3000)) / 100
        self.give(self.chance.choice(self.accounts), cents)

    async def drop(self) -> None:
        """The connection is gone, with questions under way or not."""
        server = self.node.servers["rpc_bijson"]
        self.node.loop.call_soon_threadsafe(
            lambda: [each.abort() for each in tuple(server.connections)]
        )

    async def stall(self) -> None:
        """What is asked now is not answered in time."""
        self.late = True
        await asyncio.sleep(self.chance.uniform(1, 25))
        self.late = False

    async def disconnect(self) -> None:
        """The operator ends what is open of one account."""
        account = self.chance.choice(self.accounts)
        filters = [f"*string:~*req.Account:{account}"]
        with suppress(TrunklineError):  # there is none, or its connection is gone
            await self.operator.call("SessionSv1.ForceDisconnect", {"Filters": filters})

    def is_asked(self) -> bool:
        """Whether the node has something to answer."""
        charging = self.lab["Town"].charging
        assert charging is not None
        lines = (charging.connection, self.operator)
        return not self.late and any(line._asked for line in lines)

    async def all_day(self) -> None:
        charging = self.lab["Town"].charging
        assert charging is not None
        for number, account in enumerate(self.accounts):
            self.give(account, Decimal(self.chance.randrange(1, 200 * number + 2)) / 10)
        self.operator.open()
        self.loop.wait_for(self.is_asked)
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLS):
                group.create_task(self.call())
            for what, times in (
                (self.top_up, 30),
                (self.drop, 20),
                (self.stall, 10),
                (self.disconnect, 60),
            ):
                group.create_task(self.wrong(what, times))
        await until(lambda: not charging._calls, 1200)
        await self.operator.close()


@pytest.mark.parametrize("seed", [2])
def test_records_of_calls_and_the_ledger_agree_to_the_digit(seed: int, tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", TARIFF)
    file = network_file(tmp_path, "agrees", tariff="tariff")

    async def main(node: Any) -> list[dict[str, Any]]:
        lab = Lab()
        settings = ChargedSettings(
            node="OCS",
            grant=Duration(10.0),
            allowance=Duration(5.0),
            subscribers={f"300{number}": "*postpaid" for number in (8, 9)},
        )
        by = ChargedBy(node.servers["rpc_bijson"].local, settings)
        try:
            await lab.add(plan_of(PREPAID, "Village"))
            plan = plan_of(PREPAID, "Town")
            assert plan.exchange is not None
            await lab.add(attrs.evolve(plan, charged_by=by))
            await lab.settle()
            day = Run(lab, node, random.Random(seed))
            await day.all_day()
            found = await lab.call("Town", "calls.list", limit=1000)
            put.update(day.put_in)
            day.client.close()
            assert isinstance(found, list)
            return found
        finally:
            await lab.close()

    put: dict[str, Decimal] = {}
    with running(file) as node:
        made = [each for each in run(main(node)) if each["direction"] == "outgoing"]
        client = JSONClient(node.servers["rpc_json"].local)
        stored: Any = client.call("CDRsV1.GetCDRs", {"RunIDs": ["*default"]})
        left = {
            account: sum(
                (Decimal(str(each["Value"])) for each in balances.get("*monetary", ())),
                Decimal(),
            )
            for account in put
            for balances in [
                cast(Any, client.call("APIerSv1.GetAccount", {"Account": account}))["BalanceMap"]
            ]
        }
        client.close()

    cdrs = {each["OriginID"]: each for each in stored}
    assert len(cdrs) == len(stored)
    talked = {each["id"]: each for each in made if each["answer"] is not None}
    assert set(cdrs) <= set(talked)
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for identifier, call in talked.items():
        charge, cdr = call["charging"], cdrs.get(identifier)
        assert charge["unsaid"] == []
        if cdr is None:
            assert (call["cost"], charge["usage"]) == (None, 0), call
            continue
        spent[call["calling"]] += Decimal(call["cost"] or 0)
        assert (
            charge["usage"]
            == cdr["Usage"]
            <= ((call["end"] - call["answer"]) * SECOND + SECOND // 1000)
        )
        assert Decimal(call["cost"] or 0) == Decimal(str(cdr["Cost"])), (call, cdr)
    assert {name: put[name] - spent[name] for name in put} == left
    causes = {(each["cause"], bool(each["cost"])) for each in made}
    assert causes >= {(16, True), (31, True), (21, False), (41, True)}
    words = [text for each in made if each["charging"] for _, text in each["charging"]["steps"]]
    for happened in ("DisconnectSession: ", "no answer within", "closed the connection"):
        assert any(happened in text for text in words)

    async def audited() -> bool:
        book = Book(f"sqlite:///{tmp_path}/ledger.sqlite")
        await book.prepare()
        try:
            return (await book.audit()).clean
        finally:
            await book.close()

    assert asyncio.run(audited())
