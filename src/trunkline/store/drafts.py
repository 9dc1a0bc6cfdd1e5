"""Drafts of tariffs: rows that are put together item by item, and count when they are loaded.

A draft has a name, the reference's ``TPid``. An item is all rows of one kind and key (an ID, with
its tenant where there is one); putting it replaces them. Nothing of a draft is checked here: that
is done as a whole, when it is loaded as a version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.mysql import LONGTEXT, MEDIUMTEXT
from sqlalchemy.schema import CreateIndex, CreateTable

from trunkline.store.compiled import Line
from trunkline.store.database import Database

__all__ = ["Drafts", "ItemKey"]

_BATCH = 5000  # rows in one statement
_Page: TypeAlias = "Sequence[Row[tuple[int, str]]]"

_metadata = MetaData()
_long = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
_rows = Table(
    "tariff_drafts",
    _metadata,
    Column(
        "number",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("draft", String(64), nullable=False),  # digests: names are of any length and any case
    Column("item", String(64), nullable=False),
    Column("name", _long, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("key", _long, nullable=False),
    Column("row", Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"), nullable=False),
    mysql_charset="utf8mb4",
    mysql_engine="InnoDB",
)
_index = Index("tariff_drafts_items", _rows.c.draft, _rows.c.item)


class ItemKey(NamedTuple):
    """Which rows an item has."""

    kind: str
    """The name of their file, ``Rates``."""
    key: tuple[str, ...]


class Drafts:
    """The drafts in a database.

    Raises:
        TrunklineError: ``store.unavailable``, by every method.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_create)

    def names(self) -> list[str]:
        """The names of all drafts, sorted."""
        query = select(func.min(_rows.c.name)).group_by(_rows.c.draft)
        return sorted(self._database.run(lambda c: list(c.execute(query).scalars())))

    def put(self, name: str, item: ItemKey, rows: Sequence[str]) -> None:
        """Have these be the rows of an item; none: it is removed."""

        def work(connection: Connection) -> None:
            connection.execute(
                delete(_rows).where(
                    _rows.c.draft == _digest(name), _rows.c.item == _digest(item.kind, *item.key)
                )
            )
            _insert(connection, name, [(item, row) for row in rows])

        self._database.run(work)

    def fill(self, name: str, rows: Iterable[tuple[ItemKey, str]]) -> None:
        """Have a draft be these rows and no others; none: it is removed."""

        def work(connection: Connection) -> None:
            connection.execute(delete(_rows).where(_rows.c.draft == _digest(name)))
            _insert(connection, name, list(rows))

        self._database.run(work)

    def rows(self, name: str, item: ItemKey) -> list[str]:
        """The rows of an item, in their order."""
        query = (
            select(_rows.c.row)
            .where(_rows.c.draft == _digest(name), _rows.c.item == _digest(item.kind, *item.key))
            .order_by(_rows.c.number)
        )
        return self._database.run(lambda c: list(c.execute(query).scalars()))

    def keys(self, name: str, kind: str) -> list[tuple[str, ...]]:
        """The keys of the items of a kind, in the order in which they came."""
        query = (
            select(_rows.c.key)
            .where(_rows.c.draft == _digest(name), _rows.c.kind == kind)
            .order_by(_rows.c.number)
        )
        found = self._database.run(lambda c: list(c.execute(query).scalars()))
        return [tuple(key.split("\n")) for key in dict.fromkeys(found)]

    def lines(self, name: str, kinds: Iterable[str]) -> Iterator[Line]:
        """All rows, kind by kind, as if each kind were a file."""
        for kind in kinds:
            number = after = 0
            while True:
                query = (
                    select(_rows.c.number, _rows.c.row)
                    .where(
                        _rows.c.draft == _digest(name),
                        _rows.c.kind == kind,
                        _rows.c.number > after,
                    )
                    .order_by(_rows.c.number)
                    .limit(_BATCH)
                )
                found = self._database.run(partial(_fetched, query))
                if not found:
                    break
                for row in found:
                    number += 1
                    yield kind, f"{kind}.csv", number, row.row
                after = found[-1].number


def _create(connection: Connection) -> None:
    connection.execute(CreateTable(_rows, if_not_exists=True))
    connection.execute(CreateIndex(_index, if_not_exists=True))


def _fetched(query: Select[tuple[int, str]], connection: Connection) -> _Page:
    return connection.execute(query).fetchall()


def _insert(connection: Connection, name: str, rows: Sequence[tuple[ItemKey, str]]) -> None:
    for start in range(0, len(rows), _BATCH):
        connection.execute(
            insert(_rows),
            [
                {
                    "draft": _digest(name),
                    "item": _digest(item.kind, *item.key),
                    "name": name,
                    "kind": item.kind,
                    "key": "\n".join(item.key),
                    "row": row,
                }
                for item, row in rows[start : start + _BATCH]
            ],
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
