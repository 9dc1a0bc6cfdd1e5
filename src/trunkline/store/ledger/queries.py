"""Which records are asked for, as SQL, and of a record at hand.

The records of a `RecordQuery` are those that fit all of it. Costs are compared as numbers; that of
a record that is not rated counts as -1, as the reference shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, cast

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Numeric,
    and_,
    func,
    literal,
    not_,
    or_,
    type_coerce,
)
from sqlalchemy import cast as as_type

from trunkline.errors import TrunklineError
from trunkline.store.ledger.model import RecordRow
from trunkline.store.ledger.schema import RECORDS

__all__ = [
    "ANY_VALUE",
    "ORDERS",
    "RecordQuery",
    "conditions",
    "fits",
    "order_of",
    "place_of",
]

ANY_VALUE: Final = "*exists"
"""Of an extra field: that it is there."""
ORDERS: Final = ("order", "setup_time", "answer_time", "usage", "cost")
"""What records can be ordered by."""

_UNRATED: Final = "-1"
_NEVER: Final = -1e18


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordQuery:
    """Which records: those that fit every field that is not empty.

    Of two bounds the lower is inclusive, the upper is not.
    """

    ids: Sequence[str] = ()
    runs: Sequence[str] = ()
    tenants: Sequence[str] = ()
    accounts: Sequence[str] = ()
    subjects: Sequence[str] = ()
    categories: Sequence[str] = ()
    types: Sequence[str] = ()
    request_types: Sequence[str] = ()
    origin_ids: Sequence[str] = ()
    origin_hosts: Sequence[str] = ()
    sources: Sequence[str] = ()
    prefixes: Sequence[str] = ()
    """Of the destination."""
    costs: Sequence[Decimal] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    """Extra fields and their values, or `ANY_VALUE`."""
    without: RecordQuery | None = None
    """Not those that any of its lists, prefixes, costs and extra fields names."""
    since: float | None = None
    """Of the record's time."""
    until: float | None = None
    setup: tuple[float | None, float | None] = (None, None)
    answer: tuple[float | None, float | None] = (None, None)
    """A record without an answer is before every time."""
    created: tuple[float | None, float | None] = (None, None)
    updated: tuple[float | None, float | None] = (None, None)
    usage: tuple[int | None, int | None] = (None, None)
    cost: tuple[Decimal | None, Decimal | None] = (None, None)
    unrated: bool = False
    """Only those that have no cost."""
    after: int = 0
    """Of a higher order only: the order of the last record of the page before."""
    before: int | None = None
    """Of a lower order only."""
    order_by: str = "order"
    """One of `ORDERS`; what is equal is in the order in which it came."""
    descending: bool = False
    offset: int = 0
    """So many are passed over."""
    limit: int = 1000


_LISTS: Final = {
    "ids": RECORDS.c.record,
    "runs": RECORDS.c.run,
    "tenants": RECORDS.c.tenant,
    "accounts": RECORDS.c.account,
    "subjects": RECORDS.c.subject,
    "categories": RECORDS.c.category,
    "types": RECORDS.c.type,
    "request_types": RECORDS.c.request_type,
    "origin_ids": RECORDS.c.origin_id,
    "origin_hosts": RECORDS.c.origin_host,
    "sources": RECORDS.c.source,
}
_RANGES: Final = {
    "setup": func.coalesce(RECORDS.c.setup_time, _NEVER),
    "answer": func.coalesce(RECORDS.c.answer_time, _NEVER),
    "created": func.coalesce(RECORDS.c.created, 0.0),
    "updated": func.coalesce(RECORDS.c.updated, 0.0),
    "usage": RECORDS.c.usage,
}
_AMOUNT: Final = Numeric(65, 30)


def _cost() -> ColumnElement[Decimal]:
    return as_type(func.coalesce(RECORDS.c.cost, _UNRATED), _AMOUNT)


def _amount(value: Decimal) -> ColumnElement[Decimal]:
    return as_type(literal(format(value, "f")), _AMOUNT)


def conditions(query: RecordQuery, backend: str) -> ColumnElement[bool]:
    """What the records of ``query`` meet, in the SQL of ``backend``.

    Raises:
        TrunklineError: ``store.ledger-key``: an extra field has a name that cannot be looked for.
    """
    met: list[ColumnElement[bool]] = [RECORDS.c.order_id > query.after]
    met += _named(query, backend)
    if query.without is not None:
        met += [not_(each) for each in _named(query.without, backend)]
    if query.since is not None:
        met.append(RECORDS.c.time >= query.since)
    if query.until is not None:
        met.append(RECORDS.c.time < query.until)
    for name, column in _RANGES.items():
        lower, upper = getattr(query, name)
        if lower is not None:
            met.append(column >= lower)
        if upper is not None:
            met.append(column < upper)
    lower, upper = query.cost
    if lower is not None:
        met.append(_cost() >= _amount(lower))
    if upper is not None:
        met.append(_cost() < _amount(upper))
    if query.unrated:
        met.append(RECORDS.c.cost.is_(None))
    if query.before is not None:
        met.append(RECORDS.c.order_id < query.before)
    return and_(*met)


def order_of(query: RecordQuery) -> list[ColumnElement[object]]:
    """By what the records come one after another."""
    columns: dict[str, ColumnElement[object]] = {
        "order": cast("Column[object]", RECORDS.c.order_id),
        "cost": cast("ColumnElement[object]", _cost()),
        "setup_time": cast("ColumnElement[object]", _RANGES["setup"]),
        "answer_time": cast("ColumnElement[object]", _RANGES["answer"]),
        "usage": cast("ColumnElement[object]", _RANGES["usage"]),
    }
    by = [columns[query.order_by], RECORDS.c.order_id]
    return [each.desc() for each in by] if query.descending else by


def fits(query: RecordQuery, row: RecordRow) -> bool:
    """Whether a record is one of ``query``, for what asks no database that could tell."""
    if not query.after < row.order or (query.before is not None and row.order >= query.before):
        return False
    if query.unrated and row.cost is not None:
        return False
    bounds: tuple[tuple[float | Decimal, tuple[object, object]], ...] = (
        (row.time, (query.since, query.until)),
        (_NEVER if row.setup_time is None else row.setup_time, query.setup),
        (_NEVER if row.answer_time is None else row.answer_time, query.answer),
        (row.created or 0.0, query.created),
        (row.updated or 0.0, query.updated),
        (row.usage, query.usage),
        (_cost_of(row), query.cost),
    )
    for value, (lower, upper) in bounds:
        if lower is not None and value < cast(float, lower):
            return False
        if upper is not None and value >= cast(float, upper):
            return False
    without = query.without
    return all(_named_by(query, row)) and (without is None or not any(_named_by(without, row)))


def place_of(query: RecordQuery, row: RecordRow) -> tuple[float | Decimal, int]:
    """What records are sorted by; `RecordQuery.descending` turns it round."""
    by: float | Decimal = row.order
    if query.order_by == "cost":
        by = _cost_of(row)
    elif query.order_by != "order":
        found = getattr(row, query.order_by)
        by = _NEVER if found is None else found
    return by, row.order


def _cost_of(row: RecordRow) -> Decimal:
    return Decimal(_UNRATED) if row.cost is None else row.cost


def _named_by(query: RecordQuery, row: RecordRow) -> Iterator[bool]:
    for name, column in _LISTS.items():
        if values := getattr(query, name):
            yield getattr(row, "id" if column.name == "record" else column.name) in values
    if query.prefixes:
        yield row.destination.startswith(tuple(query.prefixes))
    if query.costs:
        yield _cost_of(row) in query.costs
    if query.extra:
        extra = json.loads(row.document).get("extra", {})
        for name, value in query.extra.items():
            yield name in extra if value == ANY_VALUE else extra.get(name, "") == value


def _named(query: RecordQuery, backend: str) -> Iterator[ColumnElement[bool]]:
    for name, column in _LISTS.items():
        if values := getattr(query, name):
            yield column.in_(list(values))
    if query.prefixes:
        yield or_(
            *(RECORDS.c.destination.startswith(each, autoescape=True) for each in query.prefixes)
        )
    if query.costs:
        yield or_(*(_cost() == _amount(each) for each in query.costs))
    for name, value in query.extra.items():
        found = _extra(name, backend)
        # Where the field is not there this is false, and its opposite true
        yield found.is_not(None) if value == ANY_VALUE else func.coalesce(found, "") == value


def _extra(name: str, backend: str) -> ColumnElement[str]:
    if not name or not name.isprintable() or set(name) & set('"\\{},'):
        raise TrunklineError(
            "store.ledger-key", f"{name[:60]!r} is no name of an extra field to look for"
        )
    column = RECORDS.c.document
    document = as_type(column, JSON) if backend == "postgresql" else type_coerce(column, JSON)
    return cast("ColumnElement[str]", document[("extra", name)].as_string())
