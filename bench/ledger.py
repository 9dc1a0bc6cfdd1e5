"""Whole sessions a second, durable: over many accounts, and on one hot account.

A session is three changes, each answered when it is on disk and each with an idempotency key: begin
(debit, session), update (debit, session) and end (debit, record, no session). Many are under way at
once. Beside them, in the same run and on the same database, the bare conditional update that no
ledger can do without: `UPDATE … SET value = value - 1 WHERE id = … AND value >= 1`, each its own
transaction; from as many connections as PostgreSQL likes best, 16, and on SQLite from one, for it
has one writer. In Redis it is a script.

Flushes count: SQLite with synchronous=FULL, PostgreSQL and MariaDB as they are installed, Redis
with appendfsync always; each in a folder of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from bench.databases import DATABASES
from trunkline.charging.model import Account, Balance, Movement
from trunkline.charging.money import subtract
from trunkline.charging.sessions import RequestType, Run, Session
from trunkline.rating.call import Call
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import (
    Change,
    Committed,
    Keys,
    RecordRow,
    SessionRow,
    View,
    record_key,
)
from trunkline.store.redis import client

TITLES = {
    "sessions_per_s": "sessions a second over many accounts",
    "change_p99_ms": "ms from asking to the answer, 99 of 100 changes",
    "changes_per_batch": "changes in a transaction, on average",
    "hot_sessions_per_s": "sessions a second on one account",
    "raw_updates_per_s": "bare conditional updates of one row a second",
    "hot_changes_of_raw": "changes on one account over these",
    "audit_movements_per_s": "movements a second in the audit",
}
"""What the figures are."""

_UNIT = Decimal("0.0125")
_FUNDS = Decimal(1_000_000)
_ANSWERED = datetime(2026, 1, 5, 12, tzinfo=UTC)
_DOCUMENT = '{"Tenant": "cgrates.org", "Category": "call", "Destination": "61412345678"}'
_AT_ONCE = 256  # sessions
_LINES = 16  # connections of the bare updates


def _key(number: int) -> str:
    return f"cgrates.org:{number:06d}"


def _session(name: str) -> Session:
    call = Call(destination="61412345678", time=_ANSWERED, usage=0, tenant="cgrates.org")
    run = Run(id="*default", request_type=RequestType.PREPAID, call=call)
    return Session(id=name, tenant="cgrates.org", origin_id=name, runs=(run,))


def _taken(view: View, key: str, reference: str) -> tuple[Account, Movement]:
    account = view.accounts[key]
    assert account is not None
    [balance] = account.balances
    value = subtract(balance.value, _UNIT)
    assert value >= 0
    movement = Movement(
        account=key,
        balance=balance.uuid,
        type=balance.type,
        amount=-_UNIT,
        value=value,
        cause="*charge",
        reference=reference,
    )
    return replace(account, balances=(replace(balance, value=value),)), movement


def _step(key: str, session: str, step: int) -> Callable[[View], Change]:
    def function(view: View) -> Change:
        account, movement = _taken(view, key, session)
        if step < 2:
            assert (view.sessions[session] is None) is (step == 0)
            return Change(
                time=0.0,
                accounts={key: account},
                movements=[movement],
                sessions={session: SessionRow(key, 60.0 * step, _session(session))},
                answer='{"MaxUsage": 60000000000}',
            )
        record = RecordRow(
            id=session, run="*default", document=_DOCUMENT, cost=3 * _UNIT, reference=session
        )
        return Change(
            time=0.0,
            accounts={key: account},
            movements=[movement],
            sessions={session: None},
            records={record.key: record},
            answer='"OK"',
        )

    return function


async def _open(book: Book, accounts: int) -> None:
    await book.prepare()
    for start in range(0, accounts, 500):
        keys = [_key(number) for number in range(start, min(accounts, start + 500))]

        def function(view: View, keys: list[str] = keys) -> Change:
            made = {}
            for key in keys:
                balance = Balance(uuid="b1", value=_FUNDS)
                made[key] = Account(
                    tenant="cgrates.org", id=key.partition(":")[2], balances=(balance,)
                )
            return Change(
                time=0.0,
                accounts=made,
                movements=[
                    Movement(
                        account=key,
                        balance="b1",
                        type="*monetary",
                        amount=_FUNDS,
                        value=_FUNDS,
                        cause="*topup",
                    )
                    for key in keys
                ],
            )

        await book.update(Keys(accounts=keys), function)


async def _sessions(book: Book, accounts: int, seconds: float, name: str) -> tuple[float, float]:
    """Sessions a second, and the 99th percentile of a change in milliseconds."""
    done = 0
    waits: list[float] = []
    begun = time.perf_counter()

    async def caller(number: int) -> None:
        nonlocal done
        count = 0
        while time.perf_counter() - begun < seconds:
            session = f"{name}-{number}-{count}"
            key = _key((number * 7919 + count) % accounts)
            record = record_key(session, "*default")
            for step in range(3):
                asked = time.perf_counter()
                keys = Keys(
                    accounts=[key], sessions=[session], records=[record] if step == 2 else []
                )
                function = _step(key, session, step)
                outcome = await book.update(keys, function, once=f"{session}-{step}", expires=9e9)
                assert isinstance(outcome, Committed)
                waits.append(time.perf_counter() - asked)
            done += 1
            count += 1

    await asyncio.gather(*(caller(number) for number in range(_AT_ONCE)))
    took = time.perf_counter() - begun
    waits.sort()
    return done / took, waits[len(waits) * 99 // 100] * 1e3


def _raw_sqlite(file: Path, seconds: float) -> float:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS raw (id INTEGER PRIMARY KEY, value INTEGER)")
    connection.execute("INSERT OR REPLACE INTO raw VALUES (1, 1000000000)")
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        done += connection.execute(
            "UPDATE raw SET value = value - 1 WHERE id = 1 AND value >= 1"
        ).rowcount
    rate = done / (time.perf_counter() - begun)
    connection.close()
    return rate


async def _raw(clients: Sequence[Callable[[], Awaitable[object]]], seconds: float) -> float:
    """Updates a second of clients that each make one after the other."""
    done = 0
    begun = time.perf_counter()

    async def client(update: Callable[[], Awaitable[object]]) -> None:
        nonlocal done
        while time.perf_counter() - begun < seconds:
            await update()
            done += 1

    await asyncio.gather(*map(client, clients))
    return done / (time.perf_counter() - begun)


_MAKE = (
    "CREATE TABLE raw (id int PRIMARY KEY, value bigint)",
    "INSERT INTO raw VALUES (1, 1000000000)",
)
_UPDATE = "UPDATE raw SET value = value - 1 WHERE id = 1 AND value >= 1"


async def _raw_postgres(url: str, seconds: float) -> float:
    from psycopg import AsyncConnection

    lines = [await AsyncConnection.connect(url, autocommit=True) for _ in range(_LINES)]
    for statement in _MAKE:
        await lines[0].execute(statement)
    rate = await _raw([partial(each.execute, _UPDATE, prepare=True) for each in lines], seconds)
    for each in lines:
        await each.close()
    return rate


async def _raw_mariadb(url: str, seconds: float) -> float:
    import asyncmy

    port = urlsplit(url).port
    settings = {"host": "127.0.0.1", "port": port, "user": "root", "db": "mysql"}
    lines = [await asyncmy.connect(**settings, autocommit=True) for _ in range(_LINES)]

    async def execute(line: asyncmy.Connection, statement: str) -> None:
        async with line.cursor() as cursor:
            await cursor.execute(statement)

    for statement in _MAKE:
        await execute(lines[0], statement)
    rate = await _raw([partial(execute, each, _UPDATE) for each in lines], seconds)
    for each in lines:
        await each.ensure_closed()
    return rate


async def _raw_redis(url: str, seconds: float) -> float:
    script = (
        "if tonumber(redis.call('GET', KEYS[1])) < 1 then return 0 end"
        " redis.call('DECR', KEYS[1]) return 1"
    )
    lines = [client(url, 30.0) for _ in range(_LINES)]
    await lines[0].execute_command("SET", "raw", 1_000_000_000)
    digest = await lines[0].execute_command("SCRIPT", "LOAD", script)
    updates = [
        partial(each.execute_command, "EVALSHA", cast(str, digest), 1, "raw") for each in lines
    ]
    rate = await _raw(updates, seconds)
    for each in lines:
        await each.aclose()
    return rate


async def _raw_of(kind: str, url: str, folder: Path, seconds: float) -> float:
    if kind == "sqlite":
        return await asyncio.to_thread(_raw_sqlite, folder / "raw.db", seconds)
    bare = {"postgresql": _raw_postgres, "mariadb": _raw_mariadb, "redis": _raw_redis}
    return await bare[kind](url, seconds)


async def _measure(
    kind: str, url: str, folder: Path, accounts: int, seconds: float
) -> dict[str, float]:
    book = Book(url)
    await _open(book, accounts)
    await _sessions(book, accounts, seconds / 4, "warm")
    figures: dict[str, float] = {}
    before = book.counters.batches, book.counters.changes
    figures["sessions_per_s"], figures["change_p99_ms"] = await _sessions(
        book, accounts, seconds, "many"
    )
    figures["changes_per_batch"] = (book.counters.changes - before[1]) / (
        book.counters.batches - before[0]
    )
    figures["hot_sessions_per_s"], _ = await _sessions(book, 1, seconds, "hot")
    figures["raw_updates_per_s"] = await _raw_of(kind, url, folder, seconds)
    figures["hot_changes_of_raw"] = 3 * figures["hot_sessions_per_s"] / figures["raw_updates_per_s"]
    begun = time.perf_counter()
    result = await book.audit()
    figures["audit_movements_per_s"] = result.movements / (time.perf_counter() - begun)
    assert result.clean, result.findings
    await book.close()
    return figures


def run(quick: bool, progress: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """All figures, by database."""
    accounts, seconds = (500, 1.0) if quick else (10_000, 5.0)
    figures: dict[str, dict[str, float]] = {}
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop

        loop = uvloop.new_event_loop
    for kind, made in DATABASES.items():
        with tempfile.TemporaryDirectory(prefix="trunkline-") as name:
            folder = Path(name)
            with made(folder) as url:
                if url is None:
                    continue
                progress(kind)
                with asyncio.Runner(loop_factory=loop) as runner:
                    work = _measure(kind, url, folder, accounts, seconds)
                    figures[kind] = runner.run(work)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()

    def progress(text: str) -> None:
        print(text, file=sys.stderr)

    for database, figures in run(options.quick, progress).items():
        for name, figure in figures.items():
            print(f"{database:12} {TITLES[name]:50} {figure:12,.2f}")


if __name__ == "__main__":
    main()
