"""The ledger's statements for MariaDB.

READ COMMITTED, where looking for what is not there locks no gaps: two processes that begin sessions
would otherwise wait for each other. Durable as far as the server is: it flushes its log at each
commit with ``innodb_flush_log_at_trx_commit = 1``, which is its default.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from trunkline.store.ledger.driver import Found, Lost, Raced, Refused, Wanted
from trunkline.store.ledger.schema import ANSWER_COLUMNS, MOVEMENT_COLUMNS, Shelf
from trunkline.store.ledger.settle import Rows, Writes
from trunkline.store.sql import driver_url

if TYPE_CHECKING:
    from asyncmy.connection import Connection
    from asyncmy.cursors import Cursor

__all__ = ["MariadbDriver"]

_DUPLICATE, _LOCK_WAIT, _DEADLOCK = 1062, 1205, 1213


def _quoted(columns: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def _insert(table: str, columns: Sequence[str]) -> str:
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {table} ({_quoted(columns)}) VALUES ({places})"


def _places(count: int) -> str:
    return ", ".join(["%s"] * count)


class _Statements:
    """The text for one shelf."""

    def __init__(self, shelf: Shelf) -> None:
        table, columns = shelf.table.name, ("id", "version", *shelf.columns)
        self.read = (
            f"SELECT {_quoted(columns)} FROM {table} WHERE id IN ({{}}) ORDER BY id FOR UPDATE"
        )
        self.insert = _insert(table, columns)
        # One statement for many rows, which are there and locked.
        sets = ", ".join(f"`{name}` = VALUES(`{name}`)" for name in columns[1:])
        self.update = f"{self.insert} ON DUPLICATE KEY UPDATE {sets}"
        self.delete = f"DELETE FROM {table} WHERE id IN ({{}})"


class MariadbDriver:
    """See :class:`~trunkline.store.ledger.driver.Driver`. ``timeout``: s, for another's lock."""

    def __init__(self, url: str, shelves: Sequence[Shelf], timeout: float) -> None:
        found = make_url(driver_url(url))
        self._arguments = dict(found.get_dialect()().create_connect_args(found)[1])
        self._timeout = timeout
        self._statements = {shelf.kind: _Statements(shelf) for shelf in shelves}
        self._movements = _insert("ledger_movements", MOVEMENT_COLUMNS)
        self._answers = _insert("ledger_answers", ANSWER_COLUMNS)
        self._connection: Connection | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection, be it a dead one."""
        return self._connection is not None

    async def read(self, wanted: Wanted) -> Found:
        """See :meth:`Driver.read`."""
        from asyncmy.errors import MySQLError

        try:
            return await self._read(wanted)
        except (MySQLError, OSError, asyncio.IncompleteReadError) as problem:
            raise _translated(problem) from problem

    async def _read(self, wanted: Wanted) -> Found:
        connection = await self._open()
        found = Found()
        await connection.begin()
        async with connection.cursor() as cursor:
            for kind, versions in wanted.versions.items():
                text = self._statements[kind].read.format(_places(len(versions)))
                await cursor.execute(text, tuple(versions))
                found.documents[kind] = {
                    row[0]: (row[1], row[2:]) for row in await cursor.fetchall()
                }
            if wanted.answers:
                places = _places(len(wanted.answers))
                text = f"SELECT id, answer FROM ledger_answers WHERE id IN ({places})"
                await cursor.execute(text, tuple(wanted.answers))
                found.answers = {row[0]: row[1] for row in await cursor.fetchall()}
        return found

    async def _open(self) -> Connection:
        if self._connection is None:
            import asyncmy

            limits = {"connect_timeout": math.ceil(self._timeout), "read_timeout": self._timeout}
            arguments = {**limits, **self._arguments}
            self._connection = await asyncmy.connect(**arguments)
            wait = max(1, math.floor(self._timeout))
            async with self._connection.cursor() as cursor:
                await cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                await cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {wait}")
                # Or a value that is too long is cut off and written.
                await cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
        return self._connection

    async def write(self, rows: Rows) -> None:
        """See :meth:`Driver.write`."""
        from asyncmy.errors import MySQLError

        connection = self._connection
        if connection is None:
            raise Lost("there is no connection", dead=True, undone=True)
        try:
            async with connection.cursor() as cursor:
                for kind, writes in rows.writes.items():
                    await self._put(cursor, self._statements[kind], writes)
                if rows.movements:
                    await cursor.executemany(self._movements, rows.movements)
                if rows.answers:
                    await cursor.executemany(self._answers, rows.answers)
        except (MySQLError, OSError, asyncio.IncompleteReadError) as problem:
            raise _translated(problem, undone=True) from problem
        except (ValueError, TypeError, OverflowError) as problem:  # asyncmy cannot write a value
            raise Refused(str(problem)) from problem
        try:
            await connection.commit()
        except (MySQLError, OSError, asyncio.IncompleteReadError) as problem:
            raise _translated(problem) from problem

    @staticmethod
    async def _put(cursor: Cursor, statements: _Statements, writes: Writes) -> None:
        if writes.gone:
            text = statements.delete.format(_places(len(writes.gone)))
            await cursor.execute(text, tuple(writes.gone))
        if writes.changed:
            await cursor.executemany(statements.update, writes.changed)
        if writes.new:
            await cursor.executemany(statements.insert, writes.new)

    async def undo(self) -> None:
        """See :meth:`Driver.undo`."""
        from asyncmy.errors import MySQLError

        if self._connection is not None:
            try:
                await self._connection.rollback()
            except (MySQLError, OSError, asyncio.IncompleteReadError) as problem:
                raise _translated(problem) from problem

    def abort(self) -> None:
        """See :meth:`Driver.abort`."""
        if self._connection is not None:
            self._connection.close()

    async def close(self) -> None:
        """See :meth:`Driver.close`."""
        from asyncmy.errors import MySQLError

        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(MySQLError, OSError):
                await connection.ensure_closed()


def _translated(problem: BaseException, *, undone: bool = False) -> Exception:
    from asyncmy.errors import InterfaceError, InternalError, MySQLError, OperationalError

    reason = " ".join(str(part) for part in problem.args) or type(problem).__name__
    number = problem.args[0] if problem.args and isinstance(problem.args[0], int) else 0
    if number in (_DUPLICATE, _DEADLOCK):
        return Raced(reason)
    if not isinstance(problem, MySQLError):
        return Lost(reason, dead=True, undone=undone)
    if isinstance(problem, (OperationalError, InterfaceError, InternalError)):
        return Lost(reason, dead=number != _LOCK_WAIT, undone=undone)
    return Refused(reason)
