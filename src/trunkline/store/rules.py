"""Rules that were set, or removed, by API: kept over the rows of the tariff that counts.

An entry stands for all rows of one kind, tenant and ID: its text has them, or is empty where they
were removed. Every change raises a generation number, and takes its row's lock first: of two nodes
that change something, the second sees what the first wrote. Nodes that only read ask for the number
and read again when it is another.

An entry has the time when it was written. It counts over the rows of a tariff that has none of that
ID, or counts since before that time: the last write counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.schema import CreateTable

from trunkline.errors import TrunklineError
from trunkline.store import sqlite
from trunkline.store.guard import hide_password
from trunkline.store.sql import driver_url

__all__ = ["Entries", "Entry", "RuleKey", "RuleStore", "Writing", "create_rules", "read_rules"]


_metadata = MetaData()
_text = Text().with_variant(LONGTEXT(charset="utf8mb4"), "mysql", "mariadb")
_changes = Table(
    "rule_changes",
    _metadata,
    Column("digest", String(64), primary_key=True),  # IDs are of any length and any case
    Column("kind", String(20), nullable=False),
    Column("tenant", _text, nullable=False),
    Column("id", _text, nullable=False),
    Column("entry", _text, nullable=False),
    Column("written", BigInteger, nullable=False),  # microseconds since 1970
)
_generation = Table(
    "rule_generation",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
)

T = TypeVar("T")


class RuleKey(NamedTuple):
    """Whose rows an entry is instead of."""

    kind: str
    """The name of their file, ``Filters``."""
    tenant: str
    """Empty where the file has no tenants."""
    id: str

    @property
    def digest(self) -> str:
        """What the database tells them apart by."""
        text = "\0".join(self).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()


class Entry(NamedTuple):
    """What was set in place of the rows of an ID."""

    text: str
    """Empty where the rows are removed."""
    written: int
    """Microseconds since 1970."""


Entries = dict[RuleKey, Entry]


def create_rules(connection: Connection) -> None:
    """Make the tables where they are missing."""
    for table in (_changes, _generation):
        connection.execute(CreateTable(table, if_not_exists=True))
    if connection.execute(select(_generation.c.generation)).scalar() is None:
        connection.execute(insert(_generation).values(id=1, generation=0))


def _next_generation(connection: Connection) -> int:
    """Raise the number, and keep its row locked until the transaction ends."""
    connection.execute(update(_generation).values(generation=_generation.c.generation + 1))
    return int(connection.execute(select(_generation.c.generation)).scalar_one())


def read_rules(connection: Connection) -> Entries:
    """What is there."""
    return {
        RuleKey(row.kind, row.tenant, row.id): Entry(row.entry, row.written)
        for row in connection.execute(select(_changes))
    }


def _state(connection: Connection) -> tuple[int, Entries]:
    # The number first: of what comes between the two, the next look finds another number.
    generation = int(connection.execute(select(_generation.c.generation)).scalar_one())
    return generation, read_rules(connection)


def _put(connection: Connection, key: RuleKey, entry: Entry) -> None:
    connection.execute(delete(_changes).where(_changes.c.digest == key.digest))
    connection.execute(
        insert(_changes).values(
            digest=key.digest, **key._asdict(), entry=entry.text, written=entry.written
        )
    )


class Writing:
    """A change under way: until it ends, nobody else changes anything."""

    def __init__(self, connection: AsyncConnection, generation: int) -> None:
        self._connection = connection
        self.generation = generation
        """That it will have."""

    async def read(self) -> Entries:
        """What is there."""
        return await self._connection.run_sync(read_rules)

    async def put(self, key: RuleKey, entry: Entry) -> None:
        """Have this be the entry of ``key``."""
        await self._connection.run_sync(_put, key, entry)


class RuleStore:
    """The entries at a database URL: SQLite, PostgreSQL or MariaDB.

    ``timeout`` (s) bounds each method; the check of another node's change may be under way.

    Raises:
        TrunklineError: ``store.sql-url``; ``store.unavailable`` by every method.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self.url = url
        self._timeout = timeout
        self._abandoned: set[asyncio.Task[object]] = set()
        with _errors(url):
            self._engine = create_async_engine(
                driver_url(url),
                hide_parameters=True,
                pool_pre_ping=not url.startswith("sqlite"),
            )
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine.sync_engine, "connect", sqlite.on_connect(timeout))

    async def prepare(self) -> None:
        """Make the tables where they are missing; before anything else."""
        with _errors(self.url):
            try:
                await self._create()
            except SQLAlchemyError:
                await self._create()  # of two that make them at once, one is refused

    async def _create(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(create_rules)

    async def generation(self) -> int:
        """The number of the last change."""

        async def work(connection: AsyncConnection) -> int:
            found = await connection.execute(select(_generation.c.generation))
            return int(found.scalar_one())

        return await self._ask(work)

    async def read(self) -> tuple[int, Entries]:
        """The number of the last change, and all entries."""
        return await self._ask(lambda connection: connection.run_sync(_state))

    async def change(self, work: Callable[[Writing], Awaitable[T]]) -> T:
        """Make the change that ``work`` makes; what it raises undoes it.

        Where there was no answer in time it is not known whether the change was made.
        """

        async def start(connection: AsyncConnection) -> T:
            generation = await connection.run_sync(_next_generation)
            return await work(Writing(connection, generation))

        return await self._ask(start)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*self._abandoned, return_exceptions=True)
        await self._engine.dispose()

    async def _ask(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What ``work`` finds, in a transaction of its own, or no answer in time.

        Whoever gives up does not wait until the driver has given up too: psycopg, cancelled, waits
        for a server that hangs for up to ten seconds more.
        """
        task = asyncio.create_task(self._work(work))
        with _errors(self.url):
            try:
                await asyncio.wait({task}, timeout=self._timeout)
            finally:
                if not task.done():
                    task.cancel()
                    self._abandoned.add(task)
                    task.add_done_callback(self._forget)
            if not task.done():
                raise TimeoutError
            return task.result()

    async def _work(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._engine.begin() as connection:
            return await work(connection)

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # seen, and of no interest any more


@contextmanager
def _errors(url: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, ModuleNotFoundError, OSError) as problem:
        reason = str(getattr(problem, "orig", None) or problem).partition("\n")[0]
        raise TrunklineError(
            "store.unavailable",
            f"stored rules {hide_password(url)}: {reason or 'no answer'}; check that it exists and"
            " can be written",
        ) from problem
