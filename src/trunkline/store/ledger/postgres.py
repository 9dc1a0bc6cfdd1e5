"""The ledger's statements for PostgreSQL: two round trips for a batch, whatever its size.

The first begins the transaction, locks and reads; the second writes and commits. Each is one
pipeline, and each table one statement over arrays. Insertions say nothing of conflicts: a row that
another process inserted meanwhile is an error, after which the server passes over the rest of the
pipeline, COMMIT included.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Double, make_url

from trunkline.store.ledger.driver import Found, Lost, Raced, Refused, Wanted
from trunkline.store.ledger.schema import ANSWERS, MOVEMENTS, Cells, Shelf
from trunkline.store.ledger.settle import Rows
from trunkline.store.sql import driver_url

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from sqlalchemy import Column, Table

__all__ = ["PostgresDriver"]


def _type(column: Column[object]) -> str:
    if isinstance(column.type, BigInteger):
        return "bigint"
    return "float8" if isinstance(column.type, Double) else "text"


def _arrays(table: Table, columns: Sequence[str]) -> str:
    return ", ".join(f"%b::{_type(table.columns[name])}[]" for name in columns)


def _quoted(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _insert(table: Table, columns: Sequence[str]) -> str:
    return (
        f"INSERT INTO {table.name} ({_quoted(columns)}) "
        f"SELECT * FROM unnest({_arrays(table, columns)})"
    )


class _Statements:
    """The text for one shelf."""

    def __init__(self, shelf: Shelf) -> None:
        table, name = shelf.table, shelf.table.name
        columns = ("id", "version", *shelf.columns)
        known = ", ".join(
            f'CASE WHEN t.version = k.version THEN NULL ELSE t."{column}" END'
            for column in shelf.columns
        )
        # Rows are locked in the order of their keys: no two writers wait for each other.
        self.read = (
            f"SELECT t.id, t.version, {known} FROM unnest(%b::text[], %b::bigint[]) "
            f"AS k (id, version) JOIN {name} AS t ON t.id = k.id ORDER BY t.id FOR UPDATE OF t"
        )
        self.insert = _insert(table, columns)
        sets = ", ".join(f'"{column}" = v."{column}"' for column in columns[1:])
        self.update = (
            f"UPDATE {name} AS t SET {sets} FROM unnest({_arrays(table, columns)}) "
            f"AS v ({_quoted(columns)}) WHERE t.id = v.id"
        )
        self.delete = f"DELETE FROM {name} WHERE id = ANY(%b::text[])"


def _columns(rows: Sequence[Cells]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


class PostgresDriver:
    """See :class:`~trunkline.store.ledger.driver.Driver`. ``timeout``: s, for another's lock."""

    def __init__(self, url: str, shelves: Sequence[Shelf], timeout: float) -> None:
        found = make_url(driver_url(url))
        self._arguments = dict(found.get_dialect()().create_connect_args(found)[1])
        self._timeout = timeout
        self._statements = {shelf.kind: _Statements(shelf) for shelf in shelves}
        self._movements = _insert(MOVEMENTS, [column.name for column in MOVEMENTS.columns][1:])
        self._answers = _insert(ANSWERS, [column.name for column in ANSWERS.columns])
        self._connection: AsyncConnection[TupleRow] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection, be it a dead one."""
        return self._connection is not None

    async def _open(self) -> AsyncConnection[TupleRow]:
        if self._connection is None:
            from psycopg import AsyncConnection

            async with asyncio.timeout(self._timeout):
                self._connection = await AsyncConnection.connect(
                    **self._arguments, autocommit=True, prepare_threshold=1
                )
            wait = round(self._timeout * 1000)
            # Everything goes by key: no plan but the index's, however young the statistics are.
            await self._connection.execute(
                f"SET synchronous_commit = on; SET lock_timeout = {wait}; "
                "SET enable_seqscan = off; SET enable_hashjoin = off; "
                "SET enable_mergejoin = off; SET jit = off"
            )
        return self._connection

    async def read(self, wanted: Wanted) -> Found:
        """See :meth:`Driver.read`."""
        from psycopg import Error

        try:
            return await self._read(wanted)
        except (Error, OSError) as problem:
            raise self._translated(problem) from problem

    async def _read(self, wanted: Wanted) -> Found:
        connection = await self._open()
        found = Found()
        async with connection.pipeline():
            await connection.execute("BEGIN")
            cursors = {
                kind: await connection.execute(
                    self._statements[kind].read, (list(versions), list(versions.values()))
                )
                for kind, versions in wanted.versions.items()
            }
            answers = None
            if wanted.answers:
                answers = await connection.execute(
                    "SELECT id, answer FROM ledger_answers WHERE id = ANY(%b::text[])",
                    (list(wanted.answers),),
                )
        for kind, cursor in cursors.items():
            rows = await cursor.fetchall()
            found.documents[kind] = {row[0]: (row[1], row[2:]) for row in rows}
        if answers is not None:
            found.answers = {row[0]: row[1] for row in await answers.fetchall()}
        return found

    async def write(self, rows: Rows) -> None:
        """See :meth:`Driver.write`."""
        from psycopg import Error

        connection, sent = self._connection, False
        if connection is None:
            raise Lost("there is no connection", dead=True, undone=True)
        try:
            async with connection.pipeline():
                for kind, writes in rows.writes.items():
                    statements = self._statements[kind]
                    if writes.gone:
                        await connection.execute(statements.delete, (writes.gone,))
                    if writes.changed:
                        await connection.execute(statements.update, _columns(writes.changed))
                    if writes.new:
                        await connection.execute(statements.insert, _columns(writes.new))
                if rows.movements:
                    await connection.execute(self._movements, _columns(rows.movements))
                if rows.answers:
                    await connection.execute(self._answers, _columns(rows.answers))
                sent = True
                end = await connection.execute("COMMIT")
        except (Error, OSError) as problem:
            raise self._translated(problem) from problem
        except (ValueError, TypeError) as problem:  # psycopg cannot write a value
            raise (Lost(str(problem), dead=False) if sent else Refused(str(problem))) from problem
        if end.statusmessage != "COMMIT":
            raise Lost(f"the transaction ended by {end.statusmessage}", dead=False, undone=True)

    async def undo(self) -> None:
        """See :meth:`Driver.undo`."""
        # psycopg takes statements for prepared that the server passed over after the one that
        # failed; so the connection ends with the transaction. It is a rare thing.
        await self.close()

    def abort(self) -> None:
        """See :meth:`Driver.abort`."""
        # psycopg would first ask the server, for up to 5 s, to stop what it does.
        if self._connection is not None and not self._connection.closed:
            with (
                suppress(OSError),
                socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as line,
            ):
                line.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """See :meth:`Driver.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _translated(self, problem: Exception) -> Exception:
        from psycopg import errors

        reason = " ".join(str(problem).split()) or type(problem).__name__
        if isinstance(problem, TimeoutError):
            reason = f"no connection in {self._timeout:g} s"
        if self._connection is None or self._connection.closed or isinstance(problem, OSError):
            return Lost(reason, dead=True)
        if isinstance(
            problem,
            (errors.UniqueViolation, errors.DeadlockDetected, errors.SerializationFailure),
        ):
            return Raced(reason)
        if isinstance(problem, (errors.OperationalError, errors.InternalError)):
            return Lost(reason, dead=False, undone=True)  # the server's answer to a statement
        return Refused(reason)
