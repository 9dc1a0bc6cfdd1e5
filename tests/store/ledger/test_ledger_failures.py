"""Processes that are killed, servers that die or hang, and what is there afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from tests.store.ledger.made import put
from tests.store.ledger.writing import SHARED
from tests.store.servers import RedisServer, SqlServer, free_port

from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Committed, Duplicate, Keys

ROOT = Path(__file__).resolve().parents[3]
A = "cgrates.org:1001"
ONE = Decimal(1)


def writing(url: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("writing.py")), url, name]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )


def killed(process: subprocess.Popen[str], after: float) -> list[tuple[str, str]]:
    """Account and key of what ``process`` was answered for until it was killed."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(30)]
    assert lines[-1], "it has begun"
    time.sleep(after)
    process.kill()
    lines += process.stdout
    process.stdout.close()
    process.wait(10)
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(account, once) for account, once in whole]


async def checked(url: str, answered: list[tuple[str, str]]) -> None:
    book = Book(url)
    result = await book.audit()
    assert result.clean, result.findings
    counts: Counter[str] = Counter()
    for account in sorted({account for account, _ in answered} | {SHARED}):
        entries = await book.movements(account=account, limit=1_000_000)
        counts.update(entry.movement.reference for entry in entries)
    assert max(counts.values()) == 1, "none twice"
    assert {once for _, once in answered} <= set(counts), "none lost"
    assert len(answered) > 50
    # Who was not answered asks again: what was written is not written again.
    for account, once in answered[-5:]:
        keys = Keys(accounts=[account])
        again = await book.update(keys, put(account, ONE, reference=once), once=once)
        assert isinstance(again, Duplicate)
    for number in range(1, 12, 2):
        last = max(
            (int(once.rpartition(".")[2]) for _, once in answered if f"p0.{number}." in once),
            default=-1,
        )
        once = f"p0.{number}.{last + 1}"  # on its way when the process was killed
        function = put(SHARED, ONE, reference=once)
        again = await book.update(Keys(accounts=[SHARED]), function, once=once)
        assert isinstance(again, Duplicate) is bool(counts[once])
        assert len(await book.movements(reference=once)) == 1
    assert (await book.audit()).clean
    await book.close()


def test_a_killed_process_loses_nothing_and_doubles_nothing(sqlite_url: str) -> None:
    answered = []
    for name in ("p0", "p1"):
        answered += killed(writing(sqlite_url, name), random.uniform(0.0, 0.2))
    asyncio.run(checked(sqlite_url, answered))


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis"])
def test_two_processes_on_one_server_one_of_them_killed(
    kind: str, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    first, second = writing(url, "p0"), writing(url, "p1")
    answered = killed(first, random.uniform(0.0, 0.2))
    answered += killed(second, random.uniform(0.0, 0.2))
    asyncio.run(checked(url, answered))


async def insist(book: Book, key: str, once: str) -> None:
    """Ask with the same key until there is an answer."""
    deadline = time.monotonic() + 20
    while True:
        try:
            await book.update(Keys(accounts=[key]), put(key, ONE, reference=once), once=once)
            return
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis"])
def test_a_server_that_dies_under_load_and_comes_again(
    kind: str, request: pytest.FixtureRequest
) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    server: SqlServer | RedisServer = request.getfixturevalue(kind)

    async def script() -> None:
        book = Book(url, timeout=2.0, pause=0.05)
        await book.prepare()

        async def writer(number: int) -> None:
            for count in range(30):
                await insist(book, A, f"{number}.{count}")

        async def power_cut() -> None:
            while book.counters.batches < 10:
                await asyncio.sleep(0.001)
            server.kill()
            with pytest.raises(StoreUnavailable):
                await book.update(Keys(accounts=[A]), put(A, ONE))
            await asyncio.get_running_loop().run_in_executor(None, server.start)

        await asyncio.gather(*(writer(number) for number in range(20)), power_cut())
        assert book.counters.lost
        entries = await book.movements(account=A)
        assert len(entries) == len({entry.movement.reference for entry in entries}) == 600
        result = await book.audit()
        assert result.clean, result.findings
        await book.close()

    asyncio.run(script())


def children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(each) for each in found]


@contextmanager
def hanging(server: SqlServer | RedisServer) -> Iterator[None]:
    """It keeps its connections, and answers nothing."""
    assert server._process is not None
    processes = [server._process.pid, *children(server._process.pid)]
    for each in processes:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in processes:
            os.kill(each, signal.SIGCONT)


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis"])
def test_a_server_that_hangs(kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    server: SqlServer | RedisServer = request.getfixturevalue(kind)

    async def script() -> None:
        book = Book(url, timeout=0.5, writers=1, failures=1, pause=0.2)
        await book.prepare()
        await insist(book, A, "before")
        with hanging(server):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable) as gone:
                await book.update(Keys(accounts=[A]), put(A, ONE), once="during")
            assert gone.value.code == "store.ledger-unavailable"
            assert time.monotonic() - begun < 1.5
            with pytest.raises(StoreUnavailable, match="left alone"):
                await book.update(Keys(accounts=[A]), put(A, ONE), once="during")
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"no answer in 0\.5 s") as gone:
                await book.load(Keys(accounts=[A]))
            assert gone.value.code == "store.ledger-unavailable"
            assert time.monotonic() - begun < 1.5
        await insist(book, A, "after")
        await asyncio.sleep(0.2)  # the other breaker's pause
        assert len(await book.movements(account=A)) == 2
        assert (await book.audit()).clean
        await book.close()

    asyncio.run(script())


def test_a_file_that_another_process_has_locked(sqlite_url: str) -> None:
    async def script() -> None:
        book = Book(sqlite_url, timeout=0.4)
        await book.prepare()
        await insist(book, A, "before")
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
            other.execute("BEGIN IMMEDIATE")
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match="locked") as gone:
                await book.update(Keys(accounts=[A]), put(A, ONE))
            assert gone.value.code == "store.ledger-unavailable"
            assert time.monotonic() - begun < 1
            assert (await book.load(Keys(accounts=[A]))).view.accounts[A], "to be read it is free"
        assert isinstance(await book.update(Keys(accounts=[A]), put(A, ONE)), Committed)
        assert (await book.audit()).clean
        await book.close()

    asyncio.run(script())


def test_without_a_server() -> None:
    async def script() -> None:
        for url in (
            f"postgresql://u:sesame@127.0.0.1:{free_port()}/x",
            f"mysql://u:sesame@127.0.0.1:{free_port()}/x",
            f"redis://u:sesame@127.0.0.1:{free_port()}",
            "sqlite:////nowhere/at/all.db",
        ):
            book = Book(url)
            for question in (
                book.prepare(),
                book.load(Keys(accounts=[A])),
                book.update(Keys(accounts=[A]), put(A, ONE)),
                book.audit(),
            ):
                with pytest.raises(StoreUnavailable) as gone:
                    await question
                assert gone.value.code == "store.ledger-unavailable"
                assert "sesame" not in gone.value.message
            await book.close()

    asyncio.run(script())
