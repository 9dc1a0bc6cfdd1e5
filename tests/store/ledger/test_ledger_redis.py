"""A ledger in Redis: which servers it takes, whose turn it is, and what a power cut leaves."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from tests.store.ledger.made import a_session, initiate, put, terminate
from tests.store.ledger.test_ledger_failures import checked, killed, writing
from tests.store.servers import free_port, redis_server

from trunkline.charging.session_documents import session_to_json
from trunkline.errors import TrunklineError
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger import redis as driver
from trunkline.store.ledger.audit import CHECKS
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.lua import PREFIX, TURN
from trunkline.store.ledger.model import (
    Change,
    Committed,
    Keys,
    RecordRow,
    SessionRow,
    TaskRow,
    View,
    record_key,
)
from trunkline.store.ledger.queries import RecordQuery
from trunkline.store.redis import client

A, B = "cgrates.org:1001", "cgrates.org:1002"
ONE = Decimal(1)


async def command(url: str, *words: str | int) -> object:
    server = client(url, 5.0)
    try:
        return await server.execute_command(*words)
    finally:
        await server.aclose()


def refusal(url: str) -> TrunklineError:
    async def script() -> None:
        book = Book(url, timeout=1.0)
        try:
            await book.prepare()
        finally:
            await book.close()

    with pytest.raises(TrunklineError) as refused:
        asyncio.run(script())
    return refused.value


@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [
        ("appendonly", "no", "appendonly yes"),
        ("appendfsync", "everysec", "appendfsync always"),
        ("no-appendfsync-on-rewrite", "yes", "no-appendfsync-on-rewrite no"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy noeviction"),
    ],
)
def test_a_server_that_may_lose_movements_is_refused(
    redis_url: str, setting: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_CHECKED", 0.0)

    async def script() -> None:
        book = Book(redis_url)
        await book.prepare()
        await book.update(Keys(accounts=[A]), put(A, ONE))
        old = await command(redis_url, "CONFIG", "GET", setting)
        assert isinstance(old, list)
        await command(redis_url, "CONFIG", "SET", setting, value)
        try:
            with pytest.raises(StoreUnavailable, match=wanted) as gone:
                await book.update(Keys(accounts=[A]), put(A, ONE))
            assert gone.value.code == "store.ledger-unavailable"
            with pytest.raises(TrunklineError, match=wanted) as refused:
                await book.prepare()
            assert refused.value.code == "store.ledger-redis"
        finally:
            await command(redis_url, "CONFIG", "SET", setting, old[1])
        assert len(await book.movements(account=A)) == 1
        await book.close()

    asyncio.run(script())


def test_a_cluster_and_a_server_that_says_nothing_are_refused(tmp_path: Path) -> None:
    options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with redis_server(tmp_path, durable=True, options=options) as server:
        assert "a node of a cluster" in refusal(server.url).message
    options = ["--rename-command", "CONFIG", ""]
    with redis_server(tmp_path, durable=True, options=options) as server:
        refused = refusal(server.url)
        assert refused.code == "store.ledger-redis"
        assert "does not tell its settings" in refused.message


def test_passwords_and_urls(tmp_path: Path) -> None:
    with redis_server(tmp_path, durable=True, options=["--requirepass", "sesame"]) as server:
        for wrong in ("", ":thirsty@"):
            gone = refusal(server.url.replace("//", f"//{wrong}"))
            assert gone.code == "store.ledger-unavailable"
            assert "thirsty" not in gone.message
        right = server.url.replace("//", "//:sesame@")

        async def script() -> None:
            book = Book(right)
            await book.prepare()
            await book.update(Keys(accounts=[A]), put(A, ONE))
            assert (await book.audit()).clean
            await book.close()

        asyncio.run(script())
        gone = refusal(server.url.replace("redis://", "rediss://"))
        assert gone.code == "store.ledger-unavailable", "it speaks no TLS"
    for url, code in (
        ("redis://127.0.0.1:0", "store.redis-url"),
        ("redis://127.0.0.1:x", "store.redis-url"),
        ("redis://127.0.0.1?socket_timeout=9", "store.redis-url"),
        (f"redis://127.0.0.1:{free_port()}", "store.ledger-unavailable"),
    ):
        assert refusal(url).code == code


def test_full_memory_refuses_and_loses_nothing(redis_url: str) -> None:
    async def script() -> None:
        book = Book(redis_url)
        await book.prepare()
        await book.update(Keys(accounts=[A]), put(A, ONE))
        await command(redis_url, "CONFIG", "SET", "maxmemory", 1)
        try:
            with pytest.raises(StoreUnavailable, match="maxmemory") as gone:
                await book.update(Keys(accounts=[A]), put(A, ONE))
            assert gone.value.code == "store.ledger-unavailable"
        finally:
            await command(redis_url, "CONFIG", "SET", "maxmemory", 0)
        await book.update(Keys(accounts=[A]), put(A, ONE))
        assert len(await book.movements(account=A)) == 2
        assert (await book.audit()).clean
        await book.close()

    asyncio.run(script())


def test_a_server_that_is_busy_or_a_replica_or_forbids_something(redis_url: str) -> None:
    async def script() -> None:
        book = Book(redis_url, failures=100)
        await book.prepare()
        await book.update(Keys(accounts=[A]), put(A, ONE))
        server = client(redis_url, 5.0)

        async def unavailable(book: Book, why: str) -> None:
            with pytest.raises(StoreUnavailable, match=why) as gone:
                await book.update(Keys(accounts=[A]), put(A, ONE))
            assert gone.value.code == "store.ledger-unavailable"

        await server.execute_command("REPLICAOF", "127.0.0.1", free_port())
        await unavailable(book, "read only replica")
        await server.execute_command("REPLICAOF", "NO", "ONE")
        rules = ["ON", ">sesame", "~*", "+@all", "-zadd"]
        await server.execute_command("ACL", "SETUSER", "clerk", *rules)
        clerk = Book(redis_url.replace("//", "//clerk:sesame@"))
        await unavailable(clerk, "no permissions to run ZADD")
        await clerk.close()
        await server.execute_command("CONFIG", "SET", "busy-reply-threshold", 10)
        other = client(redis_url, 5.0)
        endless = asyncio.create_task(other.execute_command("EVAL", "while true do end", 0))
        await asyncio.sleep(0.1)
        await unavailable(book, "BUSY")
        await server.execute_command("SCRIPT", "KILL")
        with pytest.raises(Exception, match="killed"):
            await endless
        await other.aclose()
        await server.execute_command("CONFIG", "SET", "busy-reply-threshold", 5000)
        await book.update(Keys(accounts=[A]), put(A, ONE))
        assert len(await book.movements(account=A)) == 2
        result = await book.audit()
        assert result.clean, result.findings
        await server.aclose()
        await book.close()

    asyncio.run(script())


def test_who_computes_slowly_is_not_always_too_late(redis_url: str) -> None:
    """Without turns it would be: each of its batches takes as long as ten of the others."""

    def slowly(view: View) -> Change:
        time.sleep(0.02)
        return put(A, ONE)(view)

    async def script() -> None:
        slow, *fast = [Book(redis_url) for _ in range(5)]
        await slow.prepare()
        done = False

        async def write(book: Book) -> None:
            while not done:
                await book.update(Keys(accounts=[A]), put(A, ONE))

        writers = [asyncio.create_task(write(book)) for book in fast for _ in range(12)]
        for _ in range(10):
            # Others go on while this one computes, as in processes of their own.
            begun = asyncio.create_task(slow.update(Keys(accounts=[A]), slowly))
            await begun
        done = True
        await asyncio.gather(*writers)
        for book in (slow, *fast):
            assert book.counters.lost == 0
            assert book.counters.raced <= 3 * book.counters.batches
        assert slow.counters.raced, "it was too late, now and then"
        entries = await slow.movements(account=A, limit=1_000_000)
        result = await slow.audit()
        assert result.clean, result.findings
        assert len(entries) == result.movements == sum(b.counters.changes for b in (slow, *fast))
        for book in (slow, *fast):
            await book.close()

    asyncio.run(script())


def test_four_processes_on_one_account_and_each_of_them_gets_on(redis_url: str) -> None:
    processes = [writing(redis_url, f"p{number}") for number in range(4)]
    answered = [killed(process, 0.2 * number) for number, process in enumerate(processes)]
    assert min(len(each) for each in answered) >= 25
    asyncio.run(checked(redis_url, [each for some in answered for each in some]))


def test_the_turn_of_a_process_that_died_ends(redis_url: str) -> None:
    async def script() -> None:
        book = Book(redis_url, timeout=2.0)
        await book.prepare()
        await book.update(Keys(accounts=[A]), put(A, ONE))
        server = client(redis_url, 5.0)
        await TURN.run(server, "of the dead", 300, 1, "account", A, "0")
        begun = time.monotonic()
        assert isinstance(await book.update(Keys(accounts=[B]), put(B, ONE)), Committed)
        assert time.monotonic() - begun < 0.2, "others do not wait"
        assert isinstance(await book.update(Keys(accounts=[A]), put(A, ONE)), Committed)
        assert 0.2 < time.monotonic() - begun < 1.5
        await TURN.run(server, "of the slow", 9000, 1, "account", A, "0")
        turns = await server.execute_command("LRANGE", f"{PREFIX}turns", 0, -1)
        assert turns == ["of the slow"], "who gets in line clears away the dead"
        with pytest.raises(StoreUnavailable, match="other processes write") as gone:
            await book.update(Keys(accounts=[A]), put(A, ONE))
        assert gone.value.code == "store.ledger-unavailable"
        assert len(await book.movements(account=A)) == 2
        await server.aclose()
        await book.close()

    asyncio.run(script())


def test_a_log_cut_off_anywhere_holds_whole_changes(tmp_path: Path) -> None:
    async def filled(url: str) -> None:
        books = [Book(url, batch=5), Book(url, batch=5)]
        await books[0].prepare()
        for key in (A, B):
            await books[0].update(Keys(accounts=[key]), put(key, Decimal(100)))

        async def call(number: int) -> None:
            key, name = (A, B)[number % 2], f"s{number}"
            keys = Keys(accounts=[key], sessions=[name], records=[record_key(name, "*default")])
            for step in (initiate, terminate):
                await books[number % 3 % 2].update(keys, step(key, name), once=f"{name} {step}")

        await asyncio.gather(*(call(number) for number in range(60)))
        for book in books:
            await book.close()

    async def looked_at(url: str) -> int:
        book = Book(url)
        while True:
            try:
                result = await book.audit()
                break
            except StoreUnavailable:  # it reads its log
                await asyncio.sleep(0.02)
        assert result.clean, result.findings
        sessions = await book.sessions()
        records = await book.records(RecordQuery())
        names = [row.id for row in sessions] + [row.id for row in records]
        moves = [await book.movements(reference=name) for name in names]
        assert [len(each) for each in moves] == [1] * len(sessions) + [2] * len(records)
        for record in records:
            assert await book.answer(f"{record.id} {terminate}") is not None
        await book.close()
        return result.movements

    with redis_server(tmp_path, durable=True) as server:
        asyncio.run(filled(server.url))
        server.kill()
        [log] = tmp_path.glob("appendonlydir/*.incr.aof")
        seen = set()
        for _ in range(6):
            with log.open("r+b") as file:
                file.truncate(random.randrange(log.stat().st_size * 3 // 4, log.stat().st_size))
            server.start()
            seen.add(asyncio.run(looked_at(server.url)))
            server.kill()
        assert len(seen) > 1
        assert max(seen) < 122


def a_record(chance: random.Random, name: str) -> RecordRow:
    return RecordRow(
        id=name,
        run=chance.choice(["*default", "*raw"]),
        document="{}",
        tenant="cgrates.org",
        account=chance.choice(["1001", "1002"]),
        origin_id=chance.choice(["o1", "o2", "o3"]),
        request_type=chance.choice(["*prepaid", "*postpaid"]),
        time=float(chance.randrange(20)),
        usage=chance.randrange(100),
    )


def a_query(chance: random.Random) -> RecordQuery:
    some: dict[str, list[str]] = {
        "ids": ["r1", "r2", "r3", "r4"],
        "runs": ["*raw"],
        "accounts": ["1002", "1001"],
        "origin_ids": ["o2", "o3"],
        "request_types": ["*prepaid"],
    }
    fields = {name: values for name, values in some.items() if chance.random() < 0.25}
    return RecordQuery(
        **fields,  # type: ignore[arg-type]
        since=chance.choice([None, None, 5.0]),
        until=chance.choice([None, None, 15.0]),
        limit=chance.choice([3, 1000]),
    )


_DOCUMENT = json.dumps(session_to_json(a_session("s2")))
_OF_NOBODY = "1 " + json.dumps(["cgrates.org:nobody", 1.0, _DOCUMENT])


@pytest.mark.parametrize("seed", range(3))
def test_redis_answers_as_sqlite_does(seed: int, redis_url: str, sqlite_url: str) -> None:
    chance = random.Random(seed)

    async def script() -> None:
        books = [Book(redis_url), Book(sqlite_url)]
        for book in books:
            await book.prepare()
        for _ in range(80):
            name = str(chance.randrange(12))
            held = replace(a_session(name), node=chance.choice("ab"))
            session = SessionRow(chance.choice([A, B, ""]), float(chance.randrange(9)), held)
            record = a_record(chance, f"r{name}")
            task = TaskRow(name, float(chance.randrange(9)), "[1,2]")
            gone = chance.random() < 0.3
            change = Change(
                time=0.0,
                sessions={name: None if gone else session},
                records={record.key: None if gone else record},
                tasks={name: None if gone else task},
            )
            keys = Keys(sessions=[name], records=[record.key], tasks=[name])
            for book in books:
                await book.update(keys, lambda view, change=change: change)  # type: ignore[misc]
        for _ in range(40):
            query = a_query(chance)
            account, lapsed = chance.choice([A, B, ""]), chance.choice([None, 4.0])
            after, limit = chance.choice(["", "3"]), chance.choice([2, 1000])
            one, other = [await book.records(query) for book in books]
            assert [replace(row, order=0) for row in one] == [
                replace(row, order=0) for row in other
            ]
            if one:
                pages = [
                    await book.records(replace(query, after=rows[0].order))
                    for book, rows in zip(books, (one, other), strict=True)
                ]
                assert [row.key for row in pages[0]] == [row.key for row in pages[1]]
            found = [
                await book.sessions(account=account, lapsed=lapsed, after=after, limit=limit)
                for book in books
            ]
            assert found[0] == found[1]
        now = 0.0
        while now < 30:
            claimed = [await book.claim(now, now + 9, 2) for book in books]
            assert claimed[0] == claimed[1]
            now += 1.5
        for book in books:
            await book.close()

    asyncio.run(script())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("HDEL", "account", B), {("gone", B, "b")}),
        (("HSET", "session", "s2", _OF_NOBODY),
         {("session", "cgrates.org:nobody", "s2")}),
        (("DEL", "moved:s1"), {("record", "", "*default/s1")}),
        (("LPOP", f"moves:{B}"), {("sum", B, "b")}),
    ],
)  # fmt: skip
def test_what_does_not_add_up(
    redis_url: str, words: tuple[str, ...], found: set[tuple[str, str, str]]
) -> None:
    async def script() -> None:
        book = Book(redis_url)
        await book.prepare()
        for key in (A, B):
            await book.update(Keys(accounts=[key]), put(key, Decimal("0.3")))
        for name in ("s1", "s2"):
            await book.update(Keys(accounts=[A], sessions=[name]), initiate(A, name))
        keys = Keys(accounts=[A], sessions=["s1"], records=[record_key("s1", "*default")])
        await book.update(keys, terminate(A, "s1"))
        assert (await book.audit()).clean
        verb, key, *rest = words
        await command(redis_url, verb, PREFIX + key, *rest)
        result = await book.audit()
        assert {(each.check, each.account, each.subject) for each in result.findings} == found
        assert {each.check for each in result.findings} <= set(CHECKS)
        await book.close()

    asyncio.run(script())
