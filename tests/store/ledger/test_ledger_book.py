"""The book on every database: what it keeps, what it refuses, and who waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

import pytest
from tests.store.ledger.made import a_session, account, initiate, moved, put, terminate, transfer

from trunkline.errors import TrunklineError
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import (
    Change,
    Committed,
    Conflict,
    Duplicate,
    Keys,
    RecordRow,
    SessionRow,
    TaskRow,
    View,
    record_key,
)
from trunkline.store.ledger.queries import RecordQuery

T = TypeVar("T")

A, B = "cgrates.org:1001", "cgrates.org:1002"
ONE = Decimal(1)


def run(work: Coroutine[None, None, T]) -> T:
    return asyncio.run(work)


@asynccontextmanager
async def book_at(url: str, **settings: int) -> AsyncIterator[Book]:
    book = Book(url, **settings)
    await book.prepare()
    try:
        yield book
    finally:
        await book.close()


async def value(book: Book, key: str = A) -> Decimal:
    found = (await book.load(Keys(accounts=[key]))).view.accounts[key]
    assert found is not None
    balance = found.balance("b")
    assert balance is not None
    return balance.value


def test_what_is_written_comes_back(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            await book.prepare()  # finds them there
            amount = Decimal("123456789012345678901234567890.12345678901234567890")
            done = await book.update(Keys(accounts=[A]), put(A, amount, time=5.5))
            assert isinstance(done, Committed)
            assert await value(book) == amount
            [entry] = await book.movements(account=A)
            assert (entry.time, entry.movement) == (5.5, done.change.movements[0])

            session = SessionRow(A, 10.5, replace(a_session("call 'ü' 1"), node="日本\n"))
            record = RecordRow(
                id="abc",
                run="*default",
                document='{"a": 1}',
                tenant="cgrates.org",
                account="1001",
                subject="1001",
                destination="61412345678",
                category="call",
                type="*voice",
                request_type="*prepaid",
                origin_id="origin",
                origin_host="192.0.2.1",
                source="test",
                time=7.25,
                usage=60_000_000_000,
                cost=Decimal("0.10"),
                reference="abc",
            )
            task = TaskRow("t", 12.0, "{}")
            keys = Keys(sessions=[session.id], records=[record.key], tasks=[task.id])
            everything = Change(
                time=0.0,
                sessions={session.id: session},
                records={record.key: record},
                tasks={task.id: task},
            )
            await book.update(keys, lambda view: everything)
            loaded = await book.load(keys)
            assert loaded.view.sessions == {session.id: session}
            assert loaded.view.records == {record.key: record}
            assert loaded.view.tasks == {task.id: task}
            assert all(version > 0 for version in loaded.versions.values())

    run(script())


def test_a_function_sees_what_is_there_even_if_another_book_wrote_it(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as first, book_at(url) as second:
            for book in (first, second, first, first, second):
                await book.update(Keys(accounts=[A]), put(A, ONE))
            assert await value(first) == 5
            seen: list[View] = []

            def look(view: View) -> Change:
                seen.append(view)
                return Change(time=0.0)

            await first.update(Keys(accounts=[A, B], sessions=["s"]), look)
            assert seen[-1].accounts[A] == (await second.load(Keys(accounts=[A]))).view.accounts[A]
            assert seen[-1].accounts[B] is None
            assert seen[-1].sessions == {"s": None}
            removed = moved(seen[-1].accounts[A], A, Decimal(-5))[1]
            gone = Change(time=0.0, accounts={A: None}, movements=[removed])
            await second.update(Keys(accounts=[A]), lambda view: gone)
            await first.update(Keys(accounts=[A]), look)
            assert seen[-1].accounts[A] is None
            await second.update(Keys(accounts=[A]), put(A, ONE))
            await first.update(Keys(accounts=[A]), put(A, ONE))
            assert await value(second) == 2
            assert (await first.audit()).clean

    run(script())


def test_fifty_writers_on_one_account_lose_nothing(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as first, book_at(url) as second:
            books = [first, second]

            async def writer(number: int) -> None:
                for _ in range(10):
                    await books[number % 2].update(Keys(accounts=[A]), put(A, Decimal("0.01")))

            await asyncio.gather(*(writer(number) for number in range(50)))
            assert await value(first) == 5
            result = await second.audit()
            assert result.clean, result.findings
            assert result.movements == 500
            assert first.counters.batches < 250, "changes that wait together go together"

    run(script())


def test_no_more_is_spent_than_there_is(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as first, book_at(url) as second:
            await first.update(Keys(accounts=[A]), put(A, Decimal(30)))
            spend = put(A, -ONE)
            done = await asyncio.gather(
                *(book.update(Keys(accounts=[A]), spend) for book in [first, second] * 40),
                return_exceptions=True,
            )
            assert sum(isinstance(each, Committed) for each in done) == 30
            refused = [each for each in done if isinstance(each, BaseException)]
            assert {str(each) for each in refused} == {f"{A} has not 1"}
            assert await value(first) == 0
            assert (await first.audit()).clean

    run(script())


def test_transfers_in_both_directions_do_not_wait_for_each_other(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as first, book_at(url) as second:
            for key in (A, B):
                await first.update(Keys(accounts=[key]), put(key, Decimal(1000)))
            ways = [(first, A, B), (second, B, A), (second, A, B), (first, B, A)] * 25
            await asyncio.gather(
                *(
                    book.update(Keys(accounts=[source, target]), transfer(source, target, ONE))
                    for book, source, target in ways
                )
            )
            assert await value(first, A) == await value(first, B) == 1000
            result = await first.audit()
            assert result.clean
            assert result.movements == 202

    run(script())


def test_a_change_with_a_key_is_made_once(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as first, book_at(url) as second:
            keys = Keys(accounts=[A])
            again = [
                book.update(keys, put(A, ONE), once=f"key {number}", expires=10.0)
                for number in range(10)
                for book in (first, second, first)
            ]
            done = await asyncio.gather(*again)
            assert sum(isinstance(each, Committed) for each in done) == 10
            assert await value(first) == 10
            for number in range(10):
                answers = {
                    each.answer if isinstance(each, Duplicate) else each.change.answer
                    for each in done[3 * number : 3 * number + 3]
                }
                assert len(answers) == 1
                assert await first.answer(f"key {number}") in answers
            spent = put(A, Decimal(-10))
            assert isinstance(await first.update(keys, spent, once="all"), Committed)
            repeated = await second.update(keys, spent, once="all")
            assert repeated == Duplicate('"0"'), "though there is nothing left to spend"
            assert await first.answer("never") is None
            assert await first.purge(10.5) == 11
            assert await first.answer("key 1") is None

    run(script())


def test_commit_only_what_has_not_changed(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            await book.update(Keys(accounts=[A]), put(A, ONE))
            loaded = await book.load(Keys(accounts=[A], sessions=["s"]))
            change = replace(
                put(A, ONE)(loaded.view), sessions={"s": SessionRow(A, 1.0, a_session("s"))}
            )
            done = await book.commit(change, loaded.versions, once="k")
            assert done == Committed(change)
            late = await book.commit(change, loaded.versions)
            assert late == Conflict((("account", A), ("session", "s")))
            assert await book.commit(change, loaded.versions, once="k") == Duplicate('"2"')
            assert await value(book) == 2
            with pytest.raises(TrunklineError) as refused:
                await book.commit(change, {})
            assert refused.value.code == "store.ledger-undeclared"

    run(script())


def test_a_session_and_its_record(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            await book.update(Keys(accounts=[A]), put(A, Decimal(10)))
            for name in ("s1", "s2", "s3"):
                await book.update(Keys(accounts=[A], sessions=[name]), initiate(A, name))
            assert [each.id for each in await book.sessions(account=A)] == ["s1", "s2", "s3"]
            assert [each.id for each in await book.sessions(after="s1", limit=1)] == ["s2"]
            assert await book.sessions(lapsed=60.0) == []
            assert len(await book.sessions(lapsed=60.5)) == 3
            for name in ("s2", "s1"):
                record = record_key(name, "*default")
                keys = Keys(accounts=[A], sessions=[name], records=[record])
                await book.update(keys, terminate(A, name))
                with pytest.raises(AssertionError):
                    await book.update(keys, terminate(A, name))
            assert [each.id for each in await book.sessions()] == ["s3"]
            records = await book.records(RecordQuery(runs=["*default"]))
            assert [(each.id, each.order > 0) for each in records] == [("s2", True), ("s1", True)]
            [last] = await book.records(RecordQuery(after=records[0].order, until=0.5))
            assert last.id == "s1"
            assert await book.records(RecordQuery(since=0.5)) == []
            assert await book.records(RecordQuery(accounts=["nobody"])) == []
            moves = await book.movements(reference="s1")
            assert [each.movement.amount for each in moves] == [Decimal("-0.1")] * 2
            assert [each.seq for each in moves] == sorted(each.seq for each in moves)
            assert await value(book) == Decimal("9.5")
            result = await book.audit()
            assert result.clean, result.findings
            assert (result.accounts, result.sessions, result.records) == (1, 1, 2)

    run(script())


def test_tasks_are_claimed_by_one_and_done_once(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as first, book_at(url) as second:
            names = [f"t{number:02d}" for number in range(20)]
            tasks = {name: TaskRow(name, float(index), "{}") for index, name in enumerate(names)}
            await first.update(Keys(tasks=names), lambda view: Change(time=0.0, tasks=tasks))
            claims = await asyncio.gather(
                *(book.claim(15.0, 100.0, 4) for book in (first, second) * 3)
            )
            claimed = [task.id for claim in claims for task in claim]
            assert len(claimed) == len(set(claimed))
            claimed += [task.id for task in await first.claim(15.0, 100.0)]
            assert sorted(claimed) == names[:16]
            assert await second.claim(15.0, 100.0) == []
            assert (await second.claim(100.0, 200.0, 1))[0].id == "t16"

            def work(view: View) -> Change:
                if view.tasks["t00"] is None:
                    return Change(time=0.0)
                return replace(put(A, ONE)(view), tasks={"t00": None})

            keys = Keys(accounts=[A], tasks=["t00"])
            await asyncio.gather(*(book.update(keys, work) for book in (first, second) * 3))
            assert await value(first) == 1

    run(script())


def test_claims_and_changes_of_the_same_tasks_go_on_beside_each_other(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as first, book_at(url) as second:
            names = [f"t{number:02d}" for number in range(60)]
            tasks = {name: TaskRow(name, 0.0, "{}") for name in names}
            await first.update(Keys(tasks=names), lambda view: Change(time=0.0, tasks=tasks))

            async def work(book: Book) -> None:
                for _ in range(5):
                    for task in await book.claim(1.0, 9.0, 30):
                        later = {task.id: replace(task, due=0.5)}
                        await book.update(
                            Keys(tasks=[task.id]),
                            lambda view, later=later: Change(time=0.0, tasks=later),  # type: ignore[misc]
                        )

            await asyncio.gather(*(work(book) for book in (first, second) * 3))

    run(script())


def test_what_is_new_need_not_be_among_the_keys(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            task = TaskRow("effect/1", 3.0, "{}")
            record = RecordRow(id="log-1", run="*topup", document="{}")

            def work(view: View) -> Change:
                return replace(put(A, ONE)(view), fresh=[task, record])

            await book.update(Keys(accounts=[A]), work)
            assert await book.claim(3.0, 4.0) == [replace(task, due=4.0)]
            [stored] = await book.records(RecordQuery(ids=["log-1"]))
            assert stored == replace(record, order=stored.order)
            bad = Change(time=0.0, fresh=[TaskRow("", 0.0, "{}")])
            with pytest.raises(TrunklineError, match="cannot be a key"):
                await book.update(Keys(accounts=[A]), lambda view: bad)
            assert (await book.audit()).clean

    run(script())


def test_accounts_and_tasks_are_listed_in_order(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            names = ["a.org:1", "a.org:2", "a.org:é", "a.orgs:1", "b.org:1"]
            for name in names:
                await book.update(Keys(accounts=[name]), put(name, ONE))
            assert [each.key for each in await book.accounts("a.org")] == names[:3]
            page = await book.accounts("a.org", offset=1, limit=1)
            assert [each.key for each in page] == names[1:2]
            page = await book.accounts("a.org", after=names[1])
            assert [each.key for each in page] == names[2:3]
            assert await book.count_accounts("a.org") == 3
            assert await book.count_accounts("c.org") == 0
            tasks = {name: TaskRow(name, 1.0, "{}") for name in ("a/1", "a/2", "ab/1", "b/1")}
            await book.update(Keys(tasks=list(tasks)), lambda view: Change(time=0.0, tasks=tasks))
            assert [task.id for task in await book.tasks("a/")] == ["a/1", "a/2"]
            assert [task.id for task in await book.tasks("a/", after="a/1")] == ["a/2"]
            assert [task.id for task in await book.tasks("a/", limit=1)] == ["a/1"]
            claimed = await book.claim(1.0, 2.0, prefix="a/")
            assert [task.id for task in claimed] == ["a/1", "a/2"]
            assert [task.id for task in await book.claim(1.0, 2.0)] == ["ab/1", "b/1"]

    run(script())


def test_keys_are_compared_octet_by_octet(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            names = [A, f"{A} ", A.upper(), "x:\u00e9", "x:e\u0301", "x:🎵"]
            for number, name in enumerate(names):
                await book.update(Keys(accounts=[name]), put(name, Decimal(number)))
            for number, name in enumerate(names):
                assert await value(book, name) == number
            result = await book.audit()
            assert result.clean, result.findings
            assert result.accounts == len(names)
            for name in ("", "x" * 256, "a\0b", "a\udc80"):
                with pytest.raises(TrunklineError) as refused:
                    await book.update(Keys(accounts=[name]), put(name, ONE))
                assert refused.value.code == "store.ledger-key"

    run(script())


@pytest.mark.parametrize(
    "record",
    [
        RecordRow(id="r", run="x", document="{}", usage=1 << 80),
        RecordRow(id="r", run="x", document='{"text": "\udc80"}'),
    ],
    ids=["too large", "no text"],
)
def test_one_that_the_database_refuses_does_not_fail_the_others(
    url: str, record: RecordRow
) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            await book.update(Keys(accounts=[A]), put(A, ONE))

            def wrong(view: View) -> Change:
                return Change(time=0.0, records={record.key: record})

            updates: list[Awaitable[object]] = []
            for number in range(12):
                if number % 4 == 1:
                    updates.append(book.update(Keys(records=["x/r"]), wrong))
                else:
                    updates.append(book.update(Keys(accounts=[A]), put(A, ONE)))
            done = await asyncio.gather(*updates, return_exceptions=True)
            refused = [each for each in done if isinstance(each, TrunklineError)]
            assert [each.code for each in refused] == ["store.ledger-refused"] * 3, refused
            assert await value(book) == 10
            assert (await book.audit()).clean

    run(script())


def unexplained(view: View) -> Change:
    return Change(time=0.0, accounts={A: account(A, b="7")})


def wrong_value(view: View) -> Change:
    new, movement = moved(view.accounts[A], A, ONE)
    return Change(time=0.0, accounts={A: new}, movements=[replace(movement, value=Decimal(5))])


def without_account(view: View) -> Change:
    return Change(time=0.0, movements=[moved(view.accounts[A], A, ONE)[1]])


def taken_away(view: View) -> Change:
    return Change(time=0.0, accounts={A: account(A)})


def removed(view: View) -> Change:
    return Change(time=0.0, accounts={A: None})


def undeclared(view: View) -> Change:
    return replace(put(A, ONE)(view), sessions={"s": SessionRow(A, 0.0, a_session("s"))})


def misnamed(view: View) -> Change:
    return Change(time=0.0, accounts={A: account(B)})


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (unexplained, "store.ledger-unbalanced"),
        (wrong_value, "store.ledger-unbalanced"),
        (without_account, "store.ledger-unbalanced"),
        (taken_away, "store.ledger-unbalanced"),
        (removed, "store.ledger-unbalanced"),
        (undeclared, "store.ledger-undeclared"),
        (misnamed, "store.ledger-undeclared"),
    ],
)
def test_a_change_that_does_not_add_up_is_not_written(
    sqlite_url: str, function: Callable[[View], Change], code: str
) -> None:
    async def script() -> None:
        async with book_at(sqlite_url) as book:
            await book.update(Keys(accounts=[A]), put(A, ONE))
            with pytest.raises(TrunklineError) as refused:
                await book.update(Keys(accounts=[A]), function)
            assert refused.value.code == code
            assert await value(book) == 1
            assert (await book.audit()).clean

    run(script())


def test_a_full_queue_is_told_at_once(sqlite_url: str) -> None:
    async def script() -> None:
        async with book_at(sqlite_url, queue=20) as book:
            done = await asyncio.gather(
                *(book.update(Keys(accounts=[A]), put(A, ONE)) for _ in range(50)),
                return_exceptions=True,
            )
            full = [each for each in done if isinstance(each, StoreUnavailable)]
            assert {each.code for each in full} == {"store.ledger-full"}
            assert len(full) == book.counters.refused == 30
            assert await value(book) == 20

    run(script())


def test_who_stops_waiting_neither_loses_nor_doubles(url: str) -> None:
    async def script() -> None:
        async with book_at(url) as book:
            keys = Keys(accounts=[A])
            tasks = [
                asyncio.create_task(book.update(keys, put(A, ONE), once=f"k{number}"))
                for number in range(60)
            ]
            for number, task in enumerate(tasks):
                if number % 7 == 0:
                    await asyncio.sleep(0.002)
                if number % 3 == 0:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            again = [await book.update(keys, put(A, ONE), once=f"k{n}") for n in range(60)]
            made = sum(isinstance(each, Committed) for each in again)
            assert made <= 20, "what nobody had begun to submit, at most"
            assert await value(book) == 60
            assert (await book.audit()).clean

    run(script())


def test_a_closed_book(sqlite_url: str) -> None:
    async def script() -> None:
        async with book_at(sqlite_url) as book:
            last = asyncio.create_task(book.update(Keys(accounts=[A]), put(A, ONE)))
            await asyncio.sleep(0)
            await book.close()
            assert isinstance(await last, Committed), "what waits is written first"
            with pytest.raises(TrunklineError) as refused:
                await book.update(Keys(accounts=[A]), put(A, ONE))
            assert refused.value.code == "store.ledger-closed"

    run(script())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_ledger_in_memory_is_none(url: str) -> None:
    with pytest.raises(TrunklineError) as refused:
        Book(url)
    assert refused.value.code == "store.ledger-url"
