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
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import urlsplit

from trunkline.errors import TrunklineError
from trunkline.store.guard import Counters, Guard, hide_password

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["MOST_ROWS", "Row", "Sql", "Transaction", "driver_url"]

Row: TypeAlias = dict[str, object]
"""Column names to values."""

MOST_ROWS = 100_000
"""A result with more rows is refused, and they are not read. Where a statement does not begin by
SELECT, or returns its first row only and the database is PostgreSQL, the driver reads them all."""

_READS = re.compile(r"\s*(SELECT|VALUES|WITH)\b", re.IGNORECASE)
_SELECTS = re.compile(r"\s*(SELECT|VALUES)\b", re.IGNORECASE)
"""What PostgreSQL has cursors for; WITH may change something."""

_T = TypeVar("_T")

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
    """Statements within one transaction; :meth:`Sql.transaction` makes it.

    What asks the driver runs as a task of its own: who gives up on it, as the timeout does, need
    not wait until a driver has ended what it was at, which of SQLite is the whole statement.
    """

    def __init__(self, setting: str, guard: Guard, connection: AsyncConnection) -> None:
        self._setting = setting
        self._guard = guard
        self._connection = connection
        self._abandoned: asyncio.Task[object] | None = None

    async def fetch_all(self, statement: str, /, **values: object) -> list[Row]:
        """Every row of the result, :data:`MOST_ROWS` at most."""
        rows = await self._rows(statement, values, MOST_ROWS + 1, stream=True)
        if len(rows) > MOST_ROWS:
            raise TrunklineError(
                "store.sql-rows",
                f"{self._setting}: more than {MOST_ROWS} rows; ask for fewer by LIMIT: {statement}",
            )
        return rows

    async def fetch_one(self, statement: str, /, **values: object) -> Row | None:
        """The first row of the result, or ``None``."""
        rows = await self._rows(statement, values, 1, stream=self._streams_freely)
        return rows[0] if rows else None

    async def value(self, statement: str, /, **values: object) -> object:
        """The first column of the first row, or ``None``."""
        row = await self.fetch_one(statement, **values)
        return None if row is None else next(iter(row.values()))

    async def execute(self, statement: str, /, **values: object) -> int:
        """Carry out a statement; returns how many rows it changed."""
        from sqlalchemy import text

        work = self._connection.execute(text(statement), values)
        return max(0, (await self._run(work, statement)).rowcount)

    # for Sql

    async def begin(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        from sqlalchemy.exc import SQLAlchemyError

        try:
            await self._run_task(self._connection.start())
        except (SQLAlchemyError, OSError) as problem:
            raise self._guard.unavailable(_reason(problem)) from problem

    async def commit(self) -> None:
        """Let the statements count."""
        await self._run(self._connection.commit(), "COMMIT")

    async def end(self) -> None:
        """Undo what was not committed, and give the connection back."""
        from sqlalchemy.exc import SQLAlchemyError

        if self._abandoned is not None:
            await asyncio.wait((self._abandoned,))
            if not self._abandoned.cancelled():
                self._abandoned.exception()  # nobody waits for it any more
        if self._connection.sync_connection is not None:
            with contextlib.suppress(SQLAlchemyError, OSError):  # it is given up then
                await self._connection.close()

    # inside

    @property
    def _streams_freely(self) -> bool:
        """Whether rows that are read one by one cost no question more: PostgreSQL takes three."""
        return self._connection.dialect.name != "postgresql"

    async def _rows(
        self, statement: str, values: Mapping[str, object], most: int, *, stream: bool
    ) -> list[Row]:
        """The first ``most`` rows; with ``stream`` no others are in memory."""
        cursors = _READS if self._streams_freely else _SELECTS
        if stream and cursors.match(statement):
            return await self._run(self._read(statement, values, most), statement)
        from sqlalchemy import text

        result = await self._run(self._connection.execute(text(statement), values), statement)
        if not result.returns_rows:
            raise TrunklineError(
                "store.sql-statement", f"{self._setting}: no rows come of this: {statement}"
            )
        rows = [dict(row._mapping) for row in result.fetchmany(most)]
        result.close()
        return rows

    async def _read(self, statement: str, values: Mapping[str, object], most: int) -> list[Row]:
        from sqlalchemy import text

        async with self._connection.stream(text(statement), values) as result:
            return [dict(row._mapping) for row in await result.fetchmany(most)]

    async def _run(self, work: Coroutine[object, object, _T], statement: str) -> _T:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return await self._run_task(work)
        except (SQLAlchemyError, OSError) as problem:
            raise _translated(problem, self._setting, self._guard, statement) from problem

    async def _run_task(self, work: Coroutine[object, object, _T]) -> _T:
        task = asyncio.create_task(_awaited(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._abandoned = task
            task.cancel()
            raise


async def _awaited(work: Awaitable[_T]) -> _T:
    return await work


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
        self._endings: set[asyncio.Task[None]] = set()
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
        async with self._guard.call():
            await self._connections.acquire()
            work: Transaction | None = None
            given_up = False
            try:
                work = Transaction(self._setting, self._guard, self._connection())
                await work.begin()
                yield work
                await work.commit()
            except asyncio.CancelledError:
                given_up = True
                raise
            finally:
                ending = asyncio.create_task(self._end(work))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)
                if not given_up:
                    await asyncio.shield(ending)

    async def close(self) -> None:
        """Close the connections; another statement would make new ones."""
        engine, self._engine = self._engine, None
        if self._endings:
            await asyncio.wait(self._endings, timeout=self._guard.timeout)
        if engine is not None:
            await engine.dispose()

    def _connection(self) -> AsyncConnection:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return self._made().connect()
        except (SQLAlchemyError, OSError) as problem:
            raise self._guard.unavailable(_reason(problem)) from problem

    async def _end(self, work: Transaction | None) -> None:
        """Give a connection back; where its driver is still at what was given up, when it is not.

        Nobody waits for that but who wants a connection and finds none.
        """
        try:
            if work is not None:
                await work.end()
        finally:
            self._connections.release()

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
