"""Charging nodes as processes: many clients at once, nodes that are killed, two on one ledger."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.nodes import SECOND, TENANT, Node, Switch, nodes
from tests.store.servers import SqlServer, redis_server

from trunkline.charging.money import total
from trunkline.charging.sessions import session_id
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Keys, RecordRow
from trunkline.store.ledger.queries import RecordQuery

PER_MESSAGE = Decimal("0.07")


def price(usage: int) -> Decimal:
    """Of the tariff of `nodes`."""
    if not usage:
        return Decimal(0)
    return Decimal("0.05") + Decimal("0.10") * (usage // SECOND) / 60


async def checked(
    url: str, put: dict[str, Decimal], calls: dict[str, int], messages: dict[str, int]
) -> None:
    """Every call and message that was answered is in the ledger, once, and nothing else is."""
    book = Book(url)
    result = await book.audit()
    assert result.clean, result.findings
    waiting = {row.id for row in await book.sessions()}  # for the records of messages
    assert waiting <= {session_id(name, "switch") for name in messages}
    records = {row.origin_id: row for row in await book.records(RecordQuery(limit=100_000))}
    assert len(records) == result.records
    assert {name: row.usage for name, row in records.items()} == calls
    moves = await book.movements(limit=1_000_000)
    paid: Counter[str] = Counter()
    for entry in moves:
        paid[entry.movement.reference] -= entry.movement.amount  # type: ignore[assignment]
    for name, row in records.items():
        assert row.cost is not None
        assert abs(row.cost - price(row.usage)) < Decimal("0.0002"), name
        assert paid.pop(row.id, 0) == row.cost, name
    for name, units in messages.items():
        assert paid.pop(session_id(name, "switch"), 0) == PER_MESSAGE * units, name
    assert set(paid) <= {""}, "somebody paid for what nobody had"
    for account, amount in put.items():
        loaded = await book.load(Keys(accounts=[f"{TENANT}:{account}"]))
        found = loaded.view.accounts[f"{TENANT}:{account}"]
        assert found is not None
        spent = total(_cost(row) for row in records.values() if row.account == account)
        spent += PER_MESSAGE * sum(
            units for name, units in messages.items() if name.startswith(f"{account}-")
        )
        held = [each.value for each in found.balances]
        assert total(held) == amount - spent
        assert min(held) >= 0
    await book.close()


def _cost(row: RecordRow) -> Decimal:
    assert row.cost is not None
    return row.cost


async def mixed(
    switches: list[Switch], accounts: list[str], seed: int, each: int
) -> tuple[dict[str, int], dict[str, int]]:
    """Calls and messages of every switch; the usage of each."""
    calls: dict[str, int] = {}
    messages: dict[str, int] = {}

    async def work(number: int, switch: Switch) -> None:
        chance = random.Random(seed * 1000 + number)
        for count in range(each):
            account = chance.choice(accounts)
            name = f"{account}-{number}-{count}"
            if chance.random() < 0.3:
                messages[name] = await switch.message(account, name)
            else:
                calls[name] = await switch.call(account, name, chance.randrange(10, 120))

    await asyncio.gather(*(work(number, switch) for number, switch in enumerate(switches)))
    for switch in switches:
        switch.close()
    return calls, messages


async def busy(switches: list[Switch], requests: int) -> None:
    """Wait until they have asked so often."""
    while sum(switch.asked for switch in switches) < requests:
        await asyncio.sleep(0.001)


async def doubled(pair: list[Node], account: str) -> dict[str, int]:
    """Calls of which every request goes to both nodes, each at its own pace."""
    calls: dict[str, int] = {}
    switches = [Switch(node) for node in pair]
    for count in range(8):
        name = f"{account}-both-{count}"
        done = await asyncio.gather(
            *(each.call(account, name, 60) for each in switches), return_exceptions=True
        )
        [calls[name]] = {each for each in done if isinstance(each, int)}
        # The slower of the two may come when the faster has delivered the record.
        assert {str(each) for each in done if not isinstance(each, int)} <= {"RALS_ERROR:EXISTS"}
    for switch in switches:
        switch.close()
    return calls


async def opened(node: Node, put: dict[str, Decimal]) -> None:
    switch = Switch(node)
    for account, value in put.items():
        await switch.topup(account, value)
    switch.close()


def test_fifty_clients_on_one_account_lose_nothing_and_overspend_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    put = {"1001": Decimal(15)}

    async def script(node: Node) -> None:
        await opened(node, put)
        switches = [Switch(node) for _ in range(50)]
        calls, messages = await mixed(switches, ["1001"], 1, 4)
        assert any(not usage for usage in (*calls.values(), *messages.values())), "money ran out"
        assert sum(price(usage) for usage in calls.values()) > 10
        await checked(url, put, calls, messages)

    with nodes(tmp_path, "fifty", url, 1) as [node]:
        asyncio.run(script(node))


def test_a_node_that_is_killed_at_any_moment(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    put = {"1001": Decimal(30), "1002": Decimal(3)}

    async def script(node: Node) -> None:
        await opened(node, put)
        switches = [Switch(node) for _ in range(12)]
        working = asyncio.create_task(mixed(switches, list(put), 2, 25))
        for count in range(3):
            await busy(switches, random.randrange(150 * count + 20, 150 * count + 120))
            node.kill()
            await asyncio.to_thread(node.start)
        calls, messages = await working
        assert sum(switch.repeated for switch in switches), "none was in the middle of something"
        await checked(url, put, calls, messages)

    with nodes(tmp_path, "killed", url, 1) as [node]:
        asyncio.run(script(node))


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis"])
def test_two_nodes_on_one_ledger_one_of_them_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    put = {"1001": Decimal(20), "1002": Decimal(20), "1003": Decimal(2), "1004": Decimal(5)}

    async def script(url: str, pair: list[Node]) -> None:
        await opened(pair[0], put)
        switches = [Switch(*pair) for _ in range(16)]
        working = asyncio.create_task(mixed(switches, list(put)[:3], 3, 12))
        await busy(switches, random.randrange(50, 250))
        pair[0].kill()
        await asyncio.to_thread(pair[0].start)
        calls, messages = await working
        assert sum(switch.repeated for switch in switches)
        calls |= await doubled(pair, "1004")
        await checked(url, put, calls, messages)

    with ExitStack() as stack:
        if kind == "redis":
            url = stack.enter_context(redis_server(tmp_path, durable=True)).url
        else:
            server: SqlServer = request.getfixturevalue(kind)
            url = server.url
        pair = stack.enter_context(nodes(tmp_path, kind, url, 2))
        asyncio.run(script(url, pair))
