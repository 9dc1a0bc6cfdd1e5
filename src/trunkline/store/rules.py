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
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

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

__all__ = ["Entries", "Entry", "RuleKey", "RuleStore", "Writing"]

_TIMEOUT = 10.0  # s; another node's change, its check included, may be under way

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


def _create_tables(connection: Connection) -> None:
    """Make the tables where they are missing."""
    for table in (_changes, _generation):
        connection.execute(CreateTable(table, if_not_exists=True))
    if connection.execute(select(_generation.c.generation)).scalar() is None:
        connection.execute(insert(_generation).values(id=1, generation=0))


def _next_generation(connection: Connection) -> int:
    """Raise the number, and keep its row locked until the transaction ends."""
    connection.execute(update(_generation).values(generation=_generation.c.generation + 1))
    return int(connection.execute(select(_generation.c.generation)).scalar_one())


def _read(connection: Connection) -> Entries:
    return {
        RuleKey(row.kind, row.tenant, row.id): Entry(row.entry, row.written)
        for row in connection.execute(select(_changes))
    }


def _state(connection: Connection) -> tuple[int, Entries]:
    # The number first: of what comes between the two, the next look finds another number.
    generation = int(connection.execute(select(_generation.c.generation)).scalar_one())
    return generation, _read(connection)


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
        return await self._connection.run_sync(_read)

    async def put(self, key: RuleKey, entry: Entry) -> None:
        """Have this be the entry of ``key``."""
        await self._connection.run_sync(_put, key, entry)


class RuleStore:
    """The entries at a database URL: SQLite, PostgreSQL or MariaDB.

    Raises:
        TrunklineError: ``store.sql-url``; ``store.unavailable`` by every method.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        with _errors(url):
            self._engine = create_async_engine(driver_url(url), hide_parameters=True)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine.sync_engine, "connect", sqlite.on_connect(_TIMEOUT))

    async def prepare(self) -> None:
        """Make the tables where they are missing; before anything else."""
        with _errors(self.url):
            try:
                await self._create()
            except SQLAlchemyError:
                await self._create()  # of two that make them at once, one is refused

    async def _create(self) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(_create_tables)

    async def generation(self) -> int:
        """The number of the last change."""
        async with self._connected() as connection:
            found = await connection.execute(select(_generation.c.generation))
            return int(found.scalar_one())

    async def read(self) -> tuple[int, Entries]:
        """The number of the last change, and all entries."""
        async with self._connected() as connection:
            return await connection.run_sync(_state)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Writing]:
        """A change; what is raised within undoes it."""
        async with self._connected() as connection:
            generation = await connection.run_sync(_next_generation)
            yield Writing(connection, generation)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction."""
        with _errors(self.url):
            async with asyncio.timeout(_TIMEOUT), self._engine.begin() as connection:
                yield connection


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
