"""A named SQL database as routing scripts use it: SQLite, PostgreSQL, MariaDB or MySQL by URL.

```text
row = await sql.fetch_one("SELECT gateway FROM routes WHERE prefix = :prefix", prefix="61")
async with sql.transaction() as work:
    await work.execute("UPDATE quota SET left = left - 1 WHERE user = :user", user=user)
```

SQL is the database's own; values go in by name (``:prefix``) and never into the text. The engine
is made by the first statement, so a node starts without its database, and that is when SQLAlchemy
and the driver are imported. Bounds and breaker are those of :mod:`trunkline.store.guard`.

Left out: tables as objects, and schemas: a script that wants more makes an engine of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from trunkline.errors import TrunklineError
from trunkline.store.guard import Counters, Guard, hide_password

if TYPE_CHECKING:
    from sqlalchemy import CursorResult
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["MOST_ROWS", "Row", "Sql", "Transaction", "driver_url"]

Row: TypeAlias = dict[str, object]
"""Column names to values."""

MOST_ROWS = 100_000
"""A result with more rows is refused: it would be in memory all at once."""

_DRIVERS = MappingProxyType(
    {
        "sqlite": ("sqlite+aiosqlite", "aiosqlite", ""),
        "postgresql": ("postgresql+psycopg", "psycopg", "postgres"),
        "postgres": ("postgresql+psycopg", "psycopg", "postgres"),
        "mysql": ("mysql+asyncmy", "asyncmy", "mysql"),
        "mariadb": ("mariadb+asyncmy", "asyncmy", "mysql"),
    }
)
"""Schemes to SQLAlchemy's name with an asynchronous driver, its package, and our extra for it."""


def driver_url(url: str) -> str:
    """``url`` with its driver: ``mysql://…`` becomes ``mysql+asyncmy://…``.

    Raises:
        TrunklineError: ``store.sql-url``.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in _DRIVERS:
        raise TrunklineError(
            "store.sql-url",
            f"{hide_password(url)!r} is no URL of a database: write it as "
            '"sqlite:///file.db", "postgresql://user:password@host/database" or '
            '"mysql://user:password@host/database"',
        )
    return url if "+" in scheme else f"{_DRIVERS[scheme][0]}://{rest}"


class Transaction:
    """Statements within one transaction; :meth:`Sql.transaction` makes it."""

    def __init__(self, setting: str, guard: Guard, connection: AsyncConnection) -> None:
        self._setting = setting
        self._guard = guard
        self._connection = connection

    async def fetch_all(self, statement: str, /, **values: object) -> list[Row]:
        """Every row of the result, :data:`MOST_ROWS` at most."""
        result = await self._execute(statement, values)
        rows = self._rows(result, statement).fetchmany(MOST_ROWS + 1)
        if len(rows) > MOST_ROWS:
            raise TrunklineError(
                "store.sql-rows",
                f"{self._setting}: more than {MOST_ROWS} rows; ask for fewer by LIMIT: {statement}",
            )
        return [dict(row._mapping) for row in rows]

    async def fetch_one(self, statement: str, /, **values: object) -> Row | None:
        """The first row of the result, or ``None``."""
        result = await self._execute(statement, values)
        row = self._rows(result, statement).first()
        return None if row is None else dict(row._mapping)

    async def value(self, statement: str, /, **values: object) -> object:
        """The first column of the first row, or ``None``."""
        result = await self._execute(statement, values)
        row = self._rows(result, statement).first()
        return None if row is None else row[0]

    async def execute(self, statement: str, /, **values: object) -> int:
        """Carry out a statement; returns how many rows it changed."""
        result = await self._execute(statement, values)
        return max(0, result.rowcount)

    async def _execute(
        self, statement: str, values: Mapping[str, object]
    ) -> CursorResult[tuple[object, ...]]:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return await self._connection.execute(text(statement), dict(values))
        except (SQLAlchemyError, OSError) as problem:
            raise _translated(problem, self._setting, self._guard, statement) from problem

    def _rows(
        self, result: CursorResult[tuple[object, ...]], statement: str
    ) -> CursorResult[tuple[object, ...]]:
        if not result.returns_rows:
            raise TrunklineError(
                "store.sql-statement", f"{self._setting}: no rows come of this: {statement}"
            )
        return result


class Sql:
    """The database ``name`` at ``url``; see :func:`driver_url`.

    ``timeout``: seconds for a statement, or for a whole transaction, connecting included.
    ``connections`` at once (1 for SQLite in memory); what does not fit waits, within its time.
    ``in_flight``: statements and transactions at once, waiting ones included.
    ``failures`` in a row open the breaker, for ``pause`` seconds.

    A statement by itself is a transaction by itself.

    Raises:
        TrunklineError: ``store.sql-url``, ``store.sql-missing`` when it is made;
            ``store.sql-unavailable`` (a ``StoreUnavailable``), ``store.sql-statement`` and
            ``store.sql-rows`` by statements.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout: float = 2.0,
        connections: int = 5,
        in_flight: int = 200,
        failures: int = 5,
        pause: float = 1.0,
    ) -> None:
        self.name = name
        self.url = url
        self._setting = f"sql.{name}"
        self._driver_url = _checked(self._setting, url)
        self._in_memory = self._driver_url.partition("://")[2] in ("", "/", "/:memory:")
        self._size = 1 if self._in_memory else connections
        self._connections = asyncio.Semaphore(self._size)
        self._engine: AsyncEngine | None = None
        self._guard = Guard(
            "store.sql-unavailable",
            self._setting,
            url,
            timeout=timeout,
            in_flight=in_flight,
            failures=failures,
            pause=pause,
        )

    @property
    def counters(self) -> Counters:
        """What became of the statements and transactions so far."""
        return self._guard.counters

    async def fetch_all(self, statement: str, /, **values: object) -> list[Row]:
        """See :meth:`Transaction.fetch_all`."""
        async with self.transaction() as work:
            return await work.fetch_all(statement, **values)

    async def fetch_one(self, statement: str, /, **values: object) -> Row | None:
        """See :meth:`Transaction.fetch_one`."""
        async with self.transaction() as work:
            return await work.fetch_one(statement, **values)

    async def value(self, statement: str, /, **values: object) -> object:
        """See :meth:`Transaction.value`."""
        async with self.transaction() as work:
            return await work.value(statement, **values)

    async def execute(self, statement: str, /, **values: object) -> int:
        """See :meth:`Transaction.execute`."""
        async with self.transaction() as work:
            return await work.execute(statement, **values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Statements that count together: committed at the end, undone by any exception."""
        from sqlalchemy.exc import SQLAlchemyError

        async with self._guard.call(), self._connections, AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self._made().connect())
            except (SQLAlchemyError, OSError) as problem:
                raise self._guard.unavailable(_reason(problem)) from problem
            yield Transaction(self._setting, self._guard, connection)
            try:
                await connection.commit()
            except (SQLAlchemyError, OSError) as problem:
                raise _translated(problem, self._setting, self._guard, "COMMIT") from problem

    async def close(self) -> None:
        """Close the connections; another statement would make new ones."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    def _made(self) -> AsyncEngine:
        if self._engine is None:
            from sqlalchemy.ext.asyncio import create_async_engine
            from sqlalchemy.pool import AsyncAdaptedQueuePool

            sqlite = self._driver_url.startswith("sqlite")
            if sqlite:
                _probe(self._driver_url)
            self._engine = create_async_engine(
                self._driver_url,
                # For SQLite in memory, too: there a connection is the database.
                poolclass=AsyncAdaptedQueuePool,
                pool_size=self._size,
                max_overflow=0,
                # A connection from before the server's restart is found out, not failed on.
                pool_pre_ping=not sqlite,
                hide_parameters=True,
                # For another's lock; shorter than ours, for a wait given up goes on in its thread.
                connect_args={"timeout": self._guard.timeout * 0.8} if sqlite else {},
            )
        return self._engine


def _probe(url: str) -> None:
    """See that a SQLite file can be opened: aiosqlite leaves a thread behind where it cannot."""
    import sqlite3

    from sqlalchemy import make_url

    found = make_url(url)
    try:
        sqlite3.connect(found.database or ":memory:", uri="uri" in found.query).close()
    except sqlite3.Error as problem:
        raise OSError(str(problem)) from problem


def _checked(setting: str, url: str) -> str:
    try:
        found = driver_url(url)
        _ = urlsplit(url).port
    except (TrunklineError, ValueError) as problem:
        raise TrunklineError("store.sql-url", f"{setting}: {problem}") from problem
    _, package, extra = _DRIVERS[url.partition("://")[0].partition("+")[0]]
    if "+" not in url.partition("://")[0] and find_spec(package) is None:
        raise TrunklineError(
            "store.sql-missing",
            f"{setting}: the package {package} is not installed: "
            f"pip install 'trunkline{f'[{extra}]' if extra else ''}'",
        )
    return found


def _translated(
    problem: BaseException, setting: str, guard: Guard, statement: str
) -> TrunklineError:
    """Our error for the driver's: is the database gone, or does it refuse the statement?"""
    locked = getattr(getattr(problem, "orig", None), "sqlite_errorname", "") == "SQLITE_BUSY"
    gone = isinstance(problem, OSError) or getattr(problem, "connection_invalidated", False)
    if gone or locked:
        return guard.unavailable(_reason(problem))
    return TrunklineError("store.sql-statement", f"{setting}: {_reason(problem)}: {statement}")


def _reason(problem: BaseException) -> str:
    """The driver's word, on one line, without the statement that SQLAlchemy adds."""
    origin = getattr(problem, "orig", None) or problem
    return " ".join(str(origin).split()) or type(origin).__name__
