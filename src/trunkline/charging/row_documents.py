"""Rows as JSON: for those that come by API and not in a file, and so have to be kept.

What a row does not say (its field is the default) is not written; ``source`` is never. Decimals and
times are texts.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Hashable
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import TypeVar, cast

__all__ = ["row_from_json", "row_to_json"]

_R = TypeVar("_R")


def row_to_json(row: object) -> dict[str, object]:
    """The members of a row (a dataclass of `trunkline.charging.rows`) that are not the default."""
    found: dict[str, object] = {}
    for each in dataclasses.fields(cast("typing.Any", row)):
        value = getattr(row, each.name)
        if each.name != "source" and value != each.default:
            found[each.name] = _written(value)
    return found


def _written(value: object) -> object:
    match value:
        case Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
        case tuple():
            return list(value)
    return row_to_json(value) if dataclasses.is_dataclass(value) else value


def row_from_json(cls: type[_R], members: object) -> _R:
    """The row of class ``cls`` that `row_to_json` wrote.

    Raises:
        ValueError, TypeError, KeyError: it is no such row.
    """
    readers = _readers(cast("Hashable", cls))
    held = cast("dict[str, object]", members)
    return cls(**{name: readers[name](value) for name, value in held.items()})


@cache
def _readers(cls: Hashable) -> dict[str, Callable[[object], object]]:
    return {
        name: _reader(hint) for name, hint in typing.get_type_hints(cls).items() if name != "source"
    }


def _reader(hint: object) -> Callable[[object], object]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        [hint] = [each for each in typing.get_args(hint) if each is not type(None)]
    if typing.get_origin(hint) is tuple:
        return lambda value: tuple(cast("list[str]", value))
    if hint is Decimal:
        return lambda value: Decimal(cast("str", value))
    if hint is datetime:
        return lambda value: datetime.fromisoformat(cast("str", value))
    if dataclasses.is_dataclass(hint):
        return lambda value: row_from_json(cast("type[object]", hint), value)
    return lambda value: value
