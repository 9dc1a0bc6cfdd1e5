"""The ledger's statements for SQLite: one connection, in a thread of its own.

``BEGIN IMMEDIATE`` locks out every other writer from the first read on, so nothing races. The log
is synchronised with the disk at each commit, before the answer.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, cast

from sqlalchemy.engine.interfaces import DBAPIConnection

from trunkline.store import sqlite
from trunkline.store.ledger.driver import Found, Lost, Refused, Wanted
from trunkline.store.ledger.schema import ANSWER_COLUMNS, MOVEMENT_COLUMNS, Shelf
from trunkline.store.ledger.settle import Rows, Writes

__all__ = ["SqliteDriver", "full_synchronous"]

_BETWEEN = 0.0005  # s; from one try for another's lock to the next

T = TypeVar("T")


def full_synchronous(busy_timeout: float) -> Callable[[DBAPIConnection], None]:
    """What sets a connection up for money: as the house does, and with a flush at each commit."""
    prepare = sqlite.on_connect(busy_timeout)

    def listener(connection: DBAPIConnection, entry: object = None) -> None:
        prepare(connection, entry)  # type: ignore[arg-type]
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return listener


class _Statements:
    """The text for one shelf; ``?n`` is the n-th of the cells."""

    def __init__(self, shelf: Shelf) -> None:
        table, columns = shelf.table.name, shelf.columns
        known = ", ".join(
            f'CASE WHEN t.version = k.value THEN NULL ELSE t."{name}" END' for name in columns
        )
        # json_each is the outer loop, whatever the planner thinks of it: CROSS JOIN.
        self.read = (
            f"SELECT t.id, t.version, {known} FROM json_each(?) AS k "
            f"CROSS JOIN {table} AS t ON t.id = k.key"
        )
        self.insert = _insert(table, ("id", "version", *columns))
        sets = ", ".join(f'"{name}" = ?{number}' for number, name in enumerate(columns, 3))
        self.update = f"UPDATE {table} SET version = ?2, {sets} WHERE id = ?1"
        self.delete = f"DELETE FROM {table} WHERE id = ?"


def _insert(table: str, columns: Sequence[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"


class SqliteDriver:
    """See :class:`~trunkline.store.ledger.driver.Driver`. ``timeout``: s, for another's lock."""

    def __init__(self, file: str, shelves: Sequence[Shelf], timeout: float) -> None:
        self._file = file
        self._timeout = timeout
        self._statements = {shelf.kind: _Statements(shelf) for shelf in shelves}
        self._movements = _insert("ledger_movements", MOVEMENT_COLUMNS)
        self._answers = _insert("ledger_answers", ANSWER_COLUMNS)
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def connected(self) -> bool:
        """Whether the file is open."""
        return self._connection is not None

    async def read(self, wanted: Wanted) -> Found:
        """See :meth:`Driver.read`."""
        return await self._run(lambda: self._read(wanted))

    async def write(self, rows: Rows) -> None:
        """See :meth:`Driver.write`."""
        await self._run(lambda: self._write(rows))

    async def undo(self) -> None:
        """See :meth:`Driver.undo`."""
        await self._run(self._undo)

    def abort(self) -> None:
        """See :meth:`Driver.abort`."""
        if self._connection is not None:
            self._connection.interrupt()

    async def close(self) -> None:
        """See :meth:`Driver.close`."""
        with suppress(Lost, Refused):
            await self._run(self._close)
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            return await loop.run_in_executor(self._thread, work)
        except sqlite3.OperationalError as problem:  # locked, full, gone
            raise Lost(str(problem), dead=False) from problem
        except (sqlite3.Error, ValueError, OverflowError) as problem:
            raise Refused(str(problem)) from problem

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            found = sqlite3.connect(
                self._file, isolation_level=None, check_same_thread=False, uri=False
            )
            try:
                full_synchronous(self._timeout)(cast(DBAPIConnection, found))
            except BaseException:
                found.close()
                raise
            found.execute("PRAGMA busy_timeout=0")  # see _begin
            self._connection = found
        return self._connection

    def _read(self, wanted: Wanted) -> Found:
        connection = self._open()
        found = Found()
        self._begin(connection)
        try:
            for kind, versions in wanted.versions.items():
                rows = connection.execute(self._statements[kind].read, (json.dumps(versions),))
                found.documents[kind] = {row[0]: (row[1], row[2:]) for row in rows}
            if wanted.answers:
                rows = connection.execute(
                    "SELECT id, answer FROM ledger_answers "
                    "WHERE id IN (SELECT value FROM json_each(?))",
                    (json.dumps(wanted.answers),),
                )
                found.answers = dict(rows)
        except BaseException:
            self._undo()
            raise
        return found

    def _begin(self, connection: sqlite3.Connection) -> None:
        # SQLite's own patience sleeps for up to 100 ms at a time, and a process that writes all the
        # time leaves gaps of less than one.
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as problem:
                busy = problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(_BETWEEN)
            else:
                return

    def _write(self, rows: Rows) -> None:
        connection = self._connection
        if connection is None or not connection.in_transaction:
            raise Lost("there is no transaction", dead=True, undone=True)
        try:
            for kind, writes in rows.writes.items():
                self._put(connection, self._statements[kind], writes)
            if rows.movements:
                connection.executemany(self._movements, rows.movements)
            if rows.answers:
                connection.executemany(self._answers, rows.answers)
        except sqlite3.OperationalError as problem:  # the disk is full, say
            self._undo()
            raise Lost(str(problem), dead=False, undone=True) from problem
        except BaseException:
            self._undo()
            raise
        try:
            connection.execute("COMMIT")
        except BaseException:
            self._undo()
            raise

    @staticmethod
    def _put(connection: sqlite3.Connection, statements: _Statements, writes: Writes) -> None:
        if writes.gone:
            connection.executemany(statements.delete, [(key,) for key in writes.gone])
        if writes.changed:
            connection.executemany(statements.update, writes.changed)
        if writes.new:
            connection.executemany(statements.insert, writes.new)

    def _undo(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
