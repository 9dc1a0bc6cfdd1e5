"""The writer on a database in memory that fails at will: each change once, whatever fails."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.ledger.made import initiate, put, terminate, transfer
from tests.store.ledger.memory import FAULTS, Database, MemoryDriver

from trunkline.errors import TrunklineError
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.model import (
    Change,
    Committed,
    Conflict,
    Duplicate,
    Keys,
    View,
    record_key,
)
from trunkline.store.ledger.schema import account_of, shelves
from trunkline.store.ledger.settle import Failed, Item, Outcome
from trunkline.store.ledger.writer import Writer

ACCOUNTS = ["t:a", "t:b", "t:c"]


def writer_of(
    database: Database, *faults: list[str], batch: int = 4, limit: int = 1000, cached: int = 2
) -> Writer:
    return Writer(
        [MemoryDriver(database, iter(each)) for each in faults],
        shelves(cached=cached),
        where="ledger (memory)",
        limit=limit,
        batch=batch,
        timeout=60.0,
        failures=2,
        pause=0.0,
    )


@dataclass(frozen=True)
class Step:
    """One change that somebody wants, once, and asks for until it is answered."""

    kind: str
    account: int
    amount: int
    process: int
    wait: int
    """So many turns of the loop before it is asked for."""


steps = st.builds(
    Step,
    kind=st.sampled_from(["put", "spend", "transfer", "session"]),
    account=st.integers(0, 2),
    amount=st.integers(1, 9),
    process=st.integers(0, 1),
    wait=st.integers(0, 12),
)


def items(number: int, step: Step) -> list[Item]:
    """What a step asks for, one after the other."""
    key = ACCOUNTS[step.account]
    other = ACCOUNTS[(step.account + 1) % 3]
    amount = Decimal(step.amount)
    reference = f"step {number}"
    changes: list[tuple[Keys, Callable[[View], Change]]]
    if step.kind == "put":
        changes = [(Keys(accounts=[key]), put(key, amount, reference=reference))]
    elif step.kind == "spend":
        changes = [(Keys(accounts=[key]), put(key, -amount, reference=reference))]
    elif step.kind == "transfer":
        changes = [(Keys(accounts=[key, other]), transfer(key, other, amount))]
    else:
        record = record_key(reference, "*default")
        changes = [
            (Keys(accounts=[key], sessions=[reference]), initiate(key, reference)),
            (
                Keys(accounts=[key], sessions=[reference], records=[record]),
                terminate(key, reference),
            ),
        ]
    return [
        Item(keys.slots(), function, once=f"{reference}.{index}")
        for index, (keys, function) in enumerate(changes)
    ]


async def insist(writer: Writer, item: Item) -> Outcome:
    """Ask again until there is an answer: with the same key, as the documentation says."""
    while True:
        try:
            return await writer.submit(item)
        except StoreUnavailable:
            await asyncio.sleep(0)


@given(
    todo=st.lists(steps, max_size=25),
    faults=st.lists(st.lists(st.sampled_from(FAULTS), max_size=12), min_size=4, max_size=4),
    twice=st.booleans(),
)
def test_any_order_and_any_failure_leads_to_each_change_once(
    todo: list[Step], faults: list[list[str]], twice: bool
) -> None:
    database = Database()

    async def script() -> dict[str, Outcome]:
        # Two processes, each with two connections.
        writers = [writer_of(database, *faults[:2]), writer_of(database, *faults[2:])]
        outcomes: dict[str, Outcome] = {}
        for key in ACCOUNTS:
            await insist(writers[0], Item((("account", key),), put(key, Decimal(20)), once=key))

        async def ask(number: int, step: Step) -> None:
            for _ in range(step.wait):
                await asyncio.sleep(0)
            for item in items(number, step):
                done = await insist(writers[step.process], item)
                outcomes[item.once] = done
                if isinstance(done, Failed):
                    return

        work = [ask(number, step) for number, step in enumerate(todo)]
        if twice:  # everybody asks the other process too, at the same time
            work += [
                ask(number, Step(each.kind, each.account, each.amount, 1 - each.process, 0))
                for number, each in enumerate(todo)
            ]
        await asyncio.gather(*work)
        for writer in writers:
            await writer.close()
        return outcomes

    outcomes = asyncio.run(script())

    # The model: what was committed, by the answers that are stored, each once.
    expected = dict.fromkeys(ACCOUNTS, Decimal(20))
    movements = len(ACCOUNTS)
    open_sessions: set[str] = set()
    records: set[str] = set()
    for number, step in enumerate(todo):
        key, other = ACCOUNTS[step.account], ACCOUNTS[(step.account + 1) % 3]
        for index, item in enumerate(items(number, step)):
            if item.once not in database.answers:
                continue
            movements += 2 if step.kind == "transfer" else 1
            if step.kind == "session":
                expected[key] -= Decimal("0.1")
                (records if index else open_sessions).add(f"step {number}")
            elif step.kind == "transfer":
                expected[key] -= step.amount
                expected[other] += step.amount
            else:
                expected[key] += step.amount if step.kind == "put" else -step.amount
    accounts = {
        key: account_of(str(cells[0])) for key, (_, cells) in database.documents["account"].items()
    }
    held = {key: account.balances[0].value for key, account in accounts.items()}
    assert held == expected
    assert len(database.movements) == movements
    sums: Counter[str] = Counter()
    for _, account, _, _, amount, value, *_ in database.movements:
        sums[str(account)] += Decimal(str(amount))  # type: ignore[assignment]
        assert sums[str(account)] == Decimal(str(value)), "in the order in which they happened"
        assert Decimal(str(value)) >= 0 or "session" in {each.kind for each in todo}
    assert dict(sums) == expected
    assert set(database.documents.get("session", {})) == open_sessions - records
    assert set(database.documents.get("record", {})) == {f"*default/{each}" for each in records}
    for once, outcome in outcomes.items():
        assert (once in database.answers) is not isinstance(outcome, Failed)


def test_what_is_remembered_is_not_asked_for_again() -> None:
    database = Database()

    async def script() -> None:
        writer = writer_of(database, [], cached=1)
        for key in ["t:a", "t:a", "t:b", "t:a"]:
            await writer.submit(Item((("account", key),), put(key, Decimal(1))))
        await writer.close()
        version, cells = database.documents["account"]["t:a"]
        assert json.loads(str(cells[0]))["balances"][0]["value"] == "3"
        assert version > 3

    asyncio.run(script())


def test_changes_that_wait_go_together_and_each_stands_for_itself() -> None:
    database = Database()

    async def script() -> None:
        writer = writer_of(database, [], batch=100)
        slots = (("account", "t:a"),)

        def broken(view: View) -> Change:
            raise ZeroDivisionError

        def ask(item: Item) -> asyncio.Task[Outcome]:
            return asyncio.create_task(writer.submit(item))

        tasks = [
            ask(Item(slots, put("t:a", Decimal(5)), once="k")),
            ask(Item(slots, put("t:a", Decimal(5)), once="k")),
            ask(Item(slots, broken)),
            ask(Item(slots, put("t:a", Decimal(-9)))),
            ask(Item(slots, put("t:a", Decimal(-3)))),
            ask(Item(slots, put("t:a", Decimal(1)), versions={slots[0]: 0})),
        ]
        first, again, wrong, much, some, late = await asyncio.gather(*tasks)
        assert isinstance(first, Committed)
        assert again == Duplicate('"5"')
        assert isinstance(wrong, Failed)
        assert isinstance(wrong.problem, ZeroDivisionError)
        assert isinstance(much, Failed)
        assert isinstance(much.problem, TrunklineError)
        assert isinstance(some, Committed)
        assert late == Conflict(slots)
        assert writer.counters.batches == 1
        assert writer.counters.changes == 6
        await writer.close()

    asyncio.run(script())
    assert [cells[4] for cells in database.movements] == ["5", "-3"]


@pytest.mark.parametrize(
    ("faults", "code", "written"),
    [
        (["lost", "lost"], "store.ledger-unavailable", False),
        (["", "lost"], "store.ledger-unknown", False),
        (["", "lost, but written"], "store.ledger-unknown", True),
    ],
)
def test_lost(faults: list[str], code: str, written: bool) -> None:
    database = Database()

    async def script() -> None:
        writer = writer_of(database, ["", "", *faults])
        item = Item((("account", "t:a"),), put("t:a", Decimal(1)), once="k")
        await writer.submit(Item((("account", "t:b"),), put("t:b", Decimal(1))))
        with pytest.raises(StoreUnavailable) as lost:
            await writer.submit(item)
        assert lost.value.code == code
        assert ("k" in database.answers) is written
        expected = Duplicate if written else Committed
        assert isinstance(await writer.submit(item), expected)
        assert len(database.movements) == 2
        await writer.close()

    asyncio.run(script())


def test_a_connection_that_died_while_nobody_looked_is_not_failed_on() -> None:
    database = Database()

    async def script() -> None:
        writer = writer_of(database, ["", "", "lost"])
        for _ in range(2):
            item = Item((("account", "t:a"),), put("t:a", Decimal(1)))
            assert isinstance(await writer.submit(item), Committed)
        await writer.close()

    asyncio.run(script())


def test_races_without_end_are_given_up() -> None:
    database = Database()

    async def script() -> None:
        writer = writer_of(database, ["raced"] * 20)
        item = Item((("account", "t:a"),), put("t:a", Decimal(1)))
        with pytest.raises(StoreUnavailable, match="20 times") as given_up:
            await writer.submit(item)
        assert given_up.value.code == "store.ledger-unavailable"
        assert isinstance(await writer.submit(item), Committed)
        await writer.close()

    asyncio.run(script())


def test_a_dead_database_is_left_alone() -> None:
    async def script() -> None:
        writer = Writer(
            [MemoryDriver(Database(), iter(["lost"] * 100))],
            shelves(cached=2),
            where="ledger (memory)",
            limit=10,
            batch=1,
            timeout=60.0,
            failures=2,
            pause=60.0,
        )
        item = Item((("account", "t:a"),), put("t:a", Decimal(1)))
        done = await asyncio.gather(
            *(writer.submit(item) for _ in range(6)), return_exceptions=True
        )
        assert {type(each) for each in done} == {StoreUnavailable}
        with pytest.raises(StoreUnavailable, match="left alone") as refused:
            await writer.submit(item)
        assert refused.value.code == "store.ledger-unavailable"
        assert writer.counters.lost == 2
        assert writer.counters.refused == 5
        await writer.close()

    asyncio.run(script())
