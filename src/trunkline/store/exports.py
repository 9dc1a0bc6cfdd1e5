"""Where exported records go: files and SQL databases.

A `Target` is given rows of text, all with the same fields, and says when they are safe: `finish`.
A file appears whole, or not at all. Rows of a database with a ``CGRID`` and ``RunID`` replace those
of the same names, so that what is exported twice is there once.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import TrunklineError
from trunkline.store.guard import hide_password
from trunkline.store.sql import driver_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SUFFIXES", "FileTarget", "SqlTarget", "Target"]

Row = Mapping[str, str]

SUFFIXES: Final = (".csv", ".jsonl", ".parquet")
_KEYS: Final = ("CGRID", "RunID")


class Target(Protocol):
    """Where rows go."""

    async def write(self, rows: Sequence[Row]) -> None:
        """Take rows.

        Raises:
            TrunklineError: ``export.failed``.
        """

    async def finish(self) -> None:
        """Have all of them be there.

        Raises:
            TrunklineError: ``export.failed``.
        """

    async def abandon(self) -> None:
        """Leave nothing behind."""


class _Lines(Protocol):
    """How rows become the octets of a file."""

    def write(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


class _Csv:
    def __init__(self, file: io.BufferedWriter, fields: Sequence[str], separator: str) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", "surrogatepass", newline="")
        self._writer = csv.DictWriter(
            self._text, fields, delimiter=separator, lineterminator="\n", extrasaction="ignore"
        )
        self._writer.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows(rows)

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


class _JsonLines:
    def __init__(self, file: io.BufferedWriter) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._file.write(json.dumps(dict(row)).encode() + b"\n")

    def close(self) -> None:
        """There is no end."""


class _Parquet:
    def __init__(self, file: io.BufferedWriter, fields: Sequence[str]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ModuleNotFoundError as problem:
            raise TrunklineError(
                "batch.absent", "Parquet files need pyarrow: pip install 'trunkline[batch]'"
            ) from problem
        self._schema = pa.schema([(name, pa.string()) for name in fields])
        self._table = pa.Table
        self._writer = pq.ParquetWriter(file, self._schema)

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.write_table(
            self._table.from_pylist([dict(row) for row in rows], schema=self._schema)
        )

    def close(self) -> None:
        self._writer.close()


class FileTarget:
    """A file, by its suffix CSV, JSON lines or Parquet; beside it, while it is written."""

    def __init__(self, path: Path, fields: Sequence[str], *, separator: str = ",") -> None:
        """Begin to write it.

        Raises:
            TrunklineError: ``export.failed``, ``export.target``, ``batch.absent``.
        """
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        if path.suffix not in SUFFIXES:
            raise TrunklineError(
                "export.target", f"{path}: name a file that ends in {', '.join(SUFFIXES)}"
            )
        try:
            self._file = open(self._part, "wb")  # noqa: SIM115 - until `finish`
        except OSError as problem:
            raise _failed(path, problem) from problem
        self._lines: _Lines | None = None
        try:
            self._lines = self._begin(path.suffix, fields, separator)
        except BaseException:
            self._drop()
            raise

    def _begin(self, suffix: str, fields: Sequence[str], separator: str) -> _Lines:
        if suffix == ".csv":
            return _Csv(self._file, fields, separator)
        return _JsonLines(self._file) if suffix == ".jsonl" else _Parquet(self._file, fields)

    async def write(self, rows: Sequence[Row]) -> None:
        """See `Target.write`."""
        try:
            if self._lines is not None:
                await asyncio.to_thread(self._lines.write, rows)
        except OSError as problem:
            raise _failed(self._path, problem) from problem

    async def finish(self) -> None:
        """See `Target.finish`."""
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        try:
            if self._lines is not None:
                self._lines.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as problem:
            raise _failed(self._path, problem) from problem

    async def abandon(self) -> None:
        """See `Target.abandon`."""
        self._drop()

    def _drop(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._lines is not None:
                self._lines.close()
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        self._part.unlink(missing_ok=True)


class SqlTarget:
    """A table of an SQL database, which is made where it is missing: all columns are text.

    ``url``: as in :func:`trunkline.store.sql.driver_url`; its parameter ``table`` names the table,
    else ``cdrs``.
    """

    def __init__(self, url: str, fields: Sequence[str]) -> None:
        """Nothing is asked of the database yet.

        Raises:
            TrunklineError: ``store.sql-url``, ``export.target``.
        """
        from sqlalchemy import Column, MetaData, String, Table, Text, make_url
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.ext.asyncio import create_async_engine

        self._where = hide_password(url)
        self._problems: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)
        try:
            made = make_url(driver_url(url))
            name = made.query.get("table", "cdrs")
            self._engine = create_async_engine(made.difference_update_query(["table"]))
        except (SQLAlchemyError, ModuleNotFoundError) as problem:
            raise TrunklineError("export.target", f"{self._where}: {problem}") from problem
        self._named = set(_KEYS) <= set(fields)
        self._table = Table(
            name if isinstance(name, str) else name[0],
            MetaData(),
            *(
                Column(each, String(255), primary_key=True)
                if self._named and each in _KEYS
                else Column(each, Text)
                for each in fields
            ),
        )
        self._connection: AsyncConnection | None = None

    async def write(self, rows: Sequence[Row]) -> None:
        """See `Target.write`."""
        from sqlalchemy import and_, bindparam

        if not rows:
            return
        try:
            if self._connection is None:
                async with self._engine.begin() as connection:
                    await connection.run_sync(self._table.create, checkfirst=True)
                self._connection = await self._engine.connect()
            connection = self._connection
            new = [dict(row) for row in rows]
            if self._named:
                # Of one record that is there twice the last counts
                last = {tuple(row[name] for name in _KEYS): row for row in new}
                new = list(last.values())
                same = and_(*(self._table.c[name] == bindparam(f"k_{name}") for name in _KEYS))
                keys = [{f"k_{name}": row[name] for name in _KEYS} for row in new]
                await connection.execute(self._table.delete().where(same), keys)
            await connection.execute(self._table.insert(), new)
        except self._problems as problem:
            raise _failed(self._where, problem) from problem

    async def finish(self) -> None:
        """See `Target.finish`."""
        try:
            if self._connection is not None:
                await self._connection.commit()
        except self._problems as problem:
            raise _failed(self._where, problem) from problem
        finally:
            await self._close()

    async def abandon(self) -> None:
        """See `Target.abandon`."""
        await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        with contextlib.suppress(*self._problems):
            if connection is not None:
                await connection.close()
            await self._engine.dispose()


def _failed(where: object, problem: Exception) -> TrunklineError:
    reason = " ".join(str(getattr(problem, "orig", None) or problem).split())
    return TrunklineError("export.failed", f"{where}: {reason}")
