"""The location service in an SQL database, shared by several nodes: SQLite, PostgreSQL, MariaDB.

A row for each address-of-record has its bindings as JSON, how many they are, when the first ends,
and a version. An update writes only if the version is still the one it was computed from; versions
are random, so that an address that went and came again is never taken for what it was.

Counting rows is slow on a large table and a single counter would make every registration wait for
every other. So the counts are spread over 16 rows, which a refresh does not touch; their sum is
exact. Whoever writes takes rows of addresses first and of counts last, and no two wait for each
other.

The key is percent-encoded ASCII, compared octet by octet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from secrets import randbits
from typing import Final, TypeVar, cast
from urllib.parse import quote, unquote

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.binding import Bindings, dump_bindings, live, load_bindings
from trunkline.store.location.interface import Compute, Count, Gone, conflict, full
from trunkline.store.sql import Sql, Transaction

__all__ = ["SqlLocation"]

T = TypeVar("T")

_ATTEMPTS: Final = 50
"""Tries of one update; each that fails means that another update went through."""
_SHARDS: Final = 16
_PAGE: Final = 500
_BATCH: Final = 100
"""Addresses whose contacts are expired in one transaction."""
_SAFE: Final = ":@+$&=,;!*'()~"


def _key(aor: str) -> str:
    return quote(aor, safe=_SAFE, errors="surrogateescape")


def _aor(key: str) -> str:
    return unquote(key, errors="surrogateescape")


class SqlLocation:
    """A :class:`~trunkline.store.location.interface.Location` in a named database.

    Call :meth:`prepare` before anything else.

    Args:
        sql: the database; its errors (``store.sql-…``) come through.
        table: the name of its table; ``…_count`` is another.
        limit: contacts at most, of all nodes together. Nodes that register at the same moment may
            exceed it by what they add.

    Raises:
        TrunklineError: ``store.location-full`` and ``store.location-conflict`` by updates,
            ``store.location-table`` for a name that is none;
            ``sip.binding`` where somebody else has written into the table.
    """

    def __init__(self, sql: Sql, *, table: str = "location", limit: int = 10_000_000) -> None:
        if not table.isidentifier() or not table.isascii():
            raise TrunklineError(
                "store.location-table", f"{table!r} is no name of a table: letters, digits and _"
            )
        self.limit = limit
        self.refused = 0
        self.conflicts = 0
        self.damaged = 0
        self._sql = sql
        self._mysql = sql.url.startswith(("mysql", "mariadb"))
        self._table = table

    async def prepare(self) -> None:
        """Make the tables where they are missing."""
        name, mysql = self._table, self._mysql
        key = "VARCHAR(768)"
        text = "TEXT"
        if mysql:
            key, text = f"{key} CHARACTER SET ascii COLLATE ascii_bin", "MEDIUMTEXT"
        index = f", INDEX {name}_ends (ends)" if mysql else ""
        statements = [
            f"CREATE TABLE IF NOT EXISTS {name} (aor {key} PRIMARY KEY, bindings {text} NOT NULL, "
            f"contacts INTEGER NOT NULL, ends DOUBLE PRECISION NOT NULL, "
            f"version BIGINT NOT NULL{index})",
            f"CREATE TABLE IF NOT EXISTS {name}_count (shard INTEGER PRIMARY KEY, "
            "aors BIGINT NOT NULL, contacts BIGINT NOT NULL)",
        ]
        if not mysql:
            statements.append(f"CREATE INDEX IF NOT EXISTS {name}_ends ON {name} (ends)")
        for statement in statements:
            try:
                await self._sql.execute(statement)
            except TrunklineError:
                # Two nodes that make it at the same moment: PostgreSQL refuses one of them.
                await self._sql.execute(statement)
        insert = self._insert(f"{name}_count (shard, aors, contacts) VALUES (:shard, 0, 0)")
        for shard in range(_SHARDS):
            await self._sql.execute(insert, shard=shard)

    def _insert(self, rest: str) -> str:
        """An insertion that says by 0 rows that the key is there already."""
        if self._mysql:
            return f"INSERT IGNORE INTO {rest}"
        return f"INSERT INTO {rest} ON CONFLICT DO NOTHING"

    async def get(self, aor: str, now: float) -> Bindings:
        """See :class:`Location`."""
        statement = f"SELECT bindings FROM {self._table} WHERE aor = :aor"
        text = cast("str | None", await self._sql.value(statement, aor=_key(aor)))
        return () if text is None else live(load_bindings(text), now)

    async def update(self, aor: str, compute: Compute[T]) -> T:
        """See :class:`Location`."""
        key = _key(aor)
        statement = f"SELECT bindings, version FROM {self._table} WHERE aor = :aor"
        problem: TrunklineError | None = None
        for _ in range(_ATTEMPTS):
            row = await self._sql.fetch_one(statement, aor=key)
            old = load_bindings(cast(str, row["bindings"])) if row is not None else ()
            new, answer = compute(old)
            if new is None or (not new and row is None):
                return answer
            version = None if row is None else cast(int, row["version"])
            try:
                async with self._sql.transaction() as work:
                    await self._check_limit(work, aor, len(new) - len(old))
                    stored = await self._write(work, key, version, new)
                    if stored:
                        aors = bool(new) - (version is not None)
                        await self._add(work, aors, len(new) - len(old))
            except TrunklineError as refused:
                # A deadlock or a lock that was not had in time is the database's way to say so.
                if refused.code != "store.sql-statement" or problem is not None:
                    raise
                problem, stored = refused, False
            if stored:
                return answer
            self.conflicts += 1
        raise conflict(aor, _ATTEMPTS)

    async def count(self) -> Count:
        """See :class:`Location`."""
        row = await self._sql.fetch_one(
            f"SELECT SUM(aors) AS aors, SUM(contacts) AS contacts FROM {self._table}_count"
        )
        values = (0, 0) if row is None else (row["aors"], row["contacts"])
        return Count(*(int(cast(int, value or 0)) for value in values))

    async def expire(self, now: float, limit: int = 1000) -> list[Gone]:
        """See :class:`Location`."""
        statement = (
            f"SELECT aor, bindings, version FROM {self._table} WHERE ends <= :now "
            "ORDER BY ends, aor LIMIT :most"
        )
        gone: list[Gone] = []
        while len(gone) < limit:
            most = min(limit - len(gone), _BATCH)
            rows = await self._sql.fetch_all(statement, now=now, most=most)
            if not rows:
                break
            batch: list[Gone] = []
            aors = contacts = 0
            async with self._sql.transaction() as work:
                for row in rows:
                    key, version = cast(str, row["aor"]), cast(int, row["version"])
                    bindings = self._loaded(cast(str, row["bindings"]))
                    room = limit - len(gone) - len(batch)
                    if room <= 0:
                        break
                    ended = [b for b in bindings if b.expires <= now][:room]
                    kept = tuple(b for b in bindings if b not in ended)
                    # Not written: another node was faster, or the user agent.
                    if await self._write(work, key, version, kept):
                        batch += (Gone(_aor(key), binding) for binding in ended)
                        aors -= not kept
                        contacts -= len(ended)
                await self._add(work, aors, contacts)
            gone += batch
        return gone

    async def every(self, now: float) -> AsyncIterator[tuple[str, Bindings]]:
        """See :class:`Location`."""
        statement = (
            f"SELECT aor, bindings FROM {self._table} WHERE aor > :last ORDER BY aor LIMIT :most"
        )
        last = ""
        while rows := await self._sql.fetch_all(statement, last=last, most=_PAGE):
            for row in rows:
                last = cast(str, row["aor"])
                found = live(load_bindings(cast(str, row["bindings"])), now)
                if found:
                    yield _aor(last), found

    def _loaded(self, text: str) -> Bindings:
        """The bindings of a row that is due; none if it has none that can be read."""
        try:
            return load_bindings(text)
        except DecodeError:
            self.damaged += 1
            return ()

    async def _write(self, work: Transaction, key: str, version: int | None, new: Bindings) -> bool:
        """Whether ``new`` was written: the row is still of ``version``, or still missing."""
        name = self._table
        values = {
            "aor": key,
            "bindings": dump_bindings(new),
            "contacts": len(new),
            "ends": min((binding.expires for binding in new), default=0.0),
            "new": randbits(62),
        }
        if version is None:
            statement = self._insert(
                f"{name} (aor, bindings, contacts, ends, version) "
                "VALUES (:aor, :bindings, :contacts, :ends, :new)"
            )
            return await work.execute(statement, **values) == 1
        if not new:
            statement = f"DELETE FROM {name} WHERE aor = :aor AND version = :version"
            return await work.execute(statement, aor=key, version=version) == 1
        statement = (
            f"UPDATE {name} SET bindings = :bindings, contacts = :contacts, ends = :ends, "
            "version = :new WHERE aor = :aor AND version = :version"
        )
        return await work.execute(statement, version=version, **values) == 1

    async def _add(self, work: Transaction, aors: int, contacts: int) -> None:
        if aors or contacts:
            await work.execute(
                f"UPDATE {self._table}_count SET aors = aors + :aors, "
                "contacts = contacts + :contacts WHERE shard = :shard",
                aors=aors,
                contacts=contacts,
                shard=randbits(4) % _SHARDS,
            )

    async def _check_limit(self, work: Transaction, aor: str, growth: int) -> None:
        if growth <= 0:
            return
        total = await work.value(f"SELECT SUM(contacts) FROM {self._table}_count")
        contacts = int(cast(int, total or 0))
        if contacts + growth > self.limit:
            self.refused += 1
            raise full(aor, contacts, self.limit)
