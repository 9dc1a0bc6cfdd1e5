"""Call records: one row for each call attempt that an exchange saw the end of.

A record is written in one transaction when the call ends (SQLite in WAL mode, so that several
exchanges of one machine share a file). Times are UTC, seconds since the epoch; ``answer`` is
``None`` for a call that nobody answered, and ``duration`` counts from the answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path

from sqlalchemy import (
    Column,
    Float,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from trunkline.errors import TrunklineError
from trunkline.store import sqlite
from trunkline.store.records import CallRecord

__all__ = ["CallRecord", "CallStore", "default_url"]

# Patience with the lock of another writer. Short while a node adds, whose links wait with it: it
# keeps the records and tries again.
_OPENING = 5.0  # s
_UNSETTLED_LIMIT = 10_000
_ADDING = "PRAGMA busy_timeout=200"  # ms

_metadata = MetaData()
_calls = Table(
    "calls",
    _metadata,
    Column("id", String, primary_key=True),
    Column("exchange", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("calling", String, nullable=False),
    Column("called", String, nullable=False),
    Column("start", Float, nullable=False, index=True),
    Column("answer", Float),
    Column("end", Float, nullable=False),
    Column("cause", Integer, nullable=False),
    Column("location", Integer, nullable=False),
    Column("opc", Integer, nullable=False),
    Column("dpc", Integer),
    Column("cic", Integer),
    Column("trace", String, nullable=False),
    Column("cost", String),
    Column("rating", Text),
    Column("charging", Text),
)


_FIELDS = tuple(field.name for field in fields(CallRecord))


def default_url(network: str) -> str:
    """The SQLite file of ``network`` in the user's state folder (made where it is missing)."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    folder = Path(base) / "trunkline" / network
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise TrunklineError(
            "store.unavailable", f"{folder}: {problem.strerror}: set XDG_STATE_HOME to a folder"
        ) from problem
    return f"sqlite:///{folder / 'calls.sqlite'}"


class CallStore:
    """The call records at a database URL.

    Raises:
        TrunklineError: ``store.unavailable`` when the database cannot be opened or written.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._engine: Engine = create_engine(url)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", sqlite.on_connect(_OPENING))
            with self._engine.begin() as connection:
                # Several exchanges may come up at once and all find the file empty.
                connection.execute(CreateTable(_calls, if_not_exists=True))
                for index in _calls.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
            self._add_columns()
        except SQLAlchemyError as problem:
            raise _unavailable(url, problem) from problem

    def _add_columns(self) -> None:
        """Give a file of an earlier version the columns that came since."""
        dialect = self._engine.dialect
        for column in self._missing():
            text = CreateColumn(column).compile(dialect=dialect)
            try:
                with self._engine.begin() as connection:
                    connection.exec_driver_sql(f"ALTER TABLE calls ADD COLUMN {text}")
            except SQLAlchemyError:
                if column in self._missing():  # otherwise another exchange was faster
                    raise

    def _missing(self) -> list[Column[object]]:
        present = {column["name"] for column in inspect(self._engine).get_columns("calls")}
        return [column for column in _calls.columns if column.name not in present]

    def add(self, records: Iterable[CallRecord]) -> None:
        """Write ``records`` in one transaction; one that is there already is replaced."""
        rows = [asdict(record) for record in records]
        if not rows:
            return
        # Without this, a record tried again after a write whose end was not seen, or an id drawn
        # twice, would keep every later record of its batch out for ever.
        statement = insert(_calls)
        if self._engine.dialect.name == "sqlite":
            statement = statement.prefix_with("OR REPLACE")
        try:
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "sqlite":
                    connection.exec_driver_sql(_ADDING)
                connection.execute(statement, rows)
        except SQLAlchemyError as problem:
            raise _unavailable(self.url, problem) from problem

    def recent(self, limit: int = 100) -> list[CallRecord]:
        """The newest ``limit`` records, newest first."""
        query = select(_calls).order_by(_calls.c.start.desc(), _calls.c.id).limit(limit)
        return self._read(query)

    def get(self, identifier: str) -> CallRecord:
        """The record whose id is, or alone begins with, ``identifier``.

        Raises:
            TrunklineError: ``store.no-such-call`` or ``store.ambiguous-call``.
        """
        found = self._read(
            select(_calls).where(_calls.c.id.startswith(identifier, autoescape=True)).limit(2)
        )
        if not found:
            raise TrunklineError(
                "store.no-such-call",
                f"no call record has an id beginning with {identifier!r}; "
                "`trunkline calls` lists them",
            )
        if len(found) > 1:
            raise TrunklineError(
                "store.ambiguous-call",
                f"several call records begin with {identifier!r}; give more of the id",
            )
        return found[0]

    def unsettled(self, exchange: str) -> list[CallRecord]:
        """The newest records of an exchange of which charging has still to be told something."""
        unsaid = _calls.c.charging.contains('"unsaid": [[', autoescape=True)
        query = select(_calls).where(_calls.c.exchange == exchange, unsaid)
        return self._read(query.order_by(_calls.c.start.desc()).limit(_UNSETTLED_LIMIT))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _read(self, query: Select[tuple[object, ...]]) -> list[CallRecord]:
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query).mappings().all()
        except SQLAlchemyError as problem:
            raise _unavailable(self.url, problem) from problem
        return [CallRecord(**{name: row[name] for name in _FIELDS}) for row in rows]


def _unavailable(url: str, problem: SQLAlchemyError) -> TrunklineError:
    return TrunklineError(
        "store.unavailable",
        f"call store {url}: {problem}; check that the folder exists and can be written",
    )
