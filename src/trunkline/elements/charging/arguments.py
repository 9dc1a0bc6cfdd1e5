"""JSON into the dataclass that a method takes, as Go's ``encoding/json`` fills a struct.

- a member belongs to the field of its name, in any case; one that no field has is passed over, and
  of two for one field the last counts;
- ``null`` leaves a field what it is; so does a member that is not there;
- a value of another type is an error, in Go's words.

Types of fields: ``str``, ``bool``, ``int``, ``Duration``, ``float``, ``Decimal``, `Instant`,
``tuple[T, ...]``, ``Mapping[str, T]``, another dataclass, ``T | None`` (Go's pointer), and ``Json``
for what may be anything. A field is named ``answer_time`` for ``AnswerTime``; where that rule
fails, by ``field(default=…, metadata={"name": "MaxTORUsage"})``.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar, Final, NewType, TypeVar, cast

from trunkline.jsonrpc import Json, encode
from trunkline.jsonrpc.values import kind

__all__ = [
    "ArgumentError",
    "Duration",
    "Instant",
    "hints_of",
    "is_zero",
    "reader",
    "wire_name",
    "wire_names",
]

_T = TypeVar("_T")

Duration = NewType("Duration", int)
"""Nanoseconds, an integer on the wire: Go's ``time.Duration``."""


class ArgumentError(Exception):
    """An argument that is not of its method's type; the message is Go's."""


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """A moment to the nanosecond, RFC 3339 on the wire: Go's ``time.Time``."""

    nanoseconds: int
    """Since the beginning of 1970 in UTC."""

    ZERO: ClassVar[Instant]
    """The beginning of the year 1, which says nothing."""

    @classmethod
    def parse(cls, text: str) -> Instant:
        """Read ``2014-08-04T13:00:00.5+02:00``.

        Raises:
            ArgumentError: it is no such time.
        """
        match = _RFC_3339.fullmatch(text)
        try:
            if match is None:
                raise ValueError(text)
            parts = [int(part) for part in match.groups()[:6]]
            zone = match[8]
            where: timezone = UTC
            if zone not in ("Z", "z"):
                ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
                where = timezone(-ahead if zone[0] == "-" else ahead)
            year, month, day, hour, minute, second = parts
            whole = datetime(year, month, day, hour, minute, second, tzinfo=where)
        except (ValueError, OverflowError):
            raise ArgumentError(
                f'parsing time "\\"{text[:60]}\\"" as "\\"2006-01-02T15:04:05Z07:00\\"": cannot'
                " parse it"
            ) from None
        since = whole - _EPOCH
        seconds = since.days * 86_400 + since.seconds
        return cls(seconds * 10**9 + int((match[7] or "")[:9].ljust(9, "0")))

    @property
    def time(self) -> datetime:
        """The moment, to the microsecond below."""
        return _EPOCH + timedelta(microseconds=self.nanoseconds // 1000)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Instant.ZERO = Instant(-719_162 * 86_400 * 10**9)
_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_WORDS: Final = {
    word.lower(): word
    for word in ("API", "CDR", "CDRs", "CGRID", "HTTP", "ID", "IDs", "TPid", "TTL", "ToR", "UUID")
}
_INT64: Final = 1 << 63

_Read = Callable[[Json, str], object]
"""Makes a field's value of JSON; the text says which field, for errors."""


def wire_name(name: str) -> str:
    """The reference's name of a field: ``AnswerTime`` for ``answer_time``."""
    return "".join(_WORDS.get(part) or part[:1].upper() + part[1:] for part in name.split("_"))


def wire_names(argument: type[object]) -> list[str]:
    """The reference's names of the fields of a dataclass; none of what is no dataclass."""
    fields: dict[str, dataclasses.Field[object]] = getattr(argument, "__dataclass_fields__", {})
    return [str(each.metadata.get("name") or wire_name(name)) for name, each in fields.items()]


def hints_of(declared: object) -> dict[str, object]:
    """The types of a dataclass's fields, or of a method; ``Json``, which has no end, is object."""
    return typing.get_type_hints(declared, localns={"Json": object})


def is_zero(value: object) -> bool:
    """Whether a field is as if it had not been given: Go's zero value."""
    return not value


def reader(cls: type[_T]) -> Callable[[Json], _T]:
    """What makes a ``cls`` of the argument of a call.

    Raises:
        TypeError: ``cls`` has a field without a default, or of a type that JSON does not have.
    """
    read = _reader(cls)

    def argument(value: Json) -> _T:
        return cast("_T", read(value, ""))

    return argument


def _reader(annotation: object) -> _Read:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if annotation is object:
        return lambda value, place: value
    if origin in (types.UnionType, typing.Union) and type(None) in arguments:
        [wanted] = [each for each in arguments if each is not type(None)]
        return _reader(wanted)
    if origin is tuple and arguments[1:] == (...,):
        return _list_reader(arguments[0])
    if origin in (Mapping, dict) and arguments[0] is str:
        return _map_reader(arguments[1])
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _struct_reader(annotation)
    raise TypeError(f"{annotation!r} is no type of an argument's field")


def _struct_reader(cls: type) -> _Read:
    hints = hints_of(cls)
    fields: dict[str, tuple[str, _Read, str]] = {}
    for each in dataclasses.fields(cls):
        if each.default is each.default_factory is dataclasses.MISSING:
            raise TypeError(f"{cls.__name__}.{each.name} has no default: Go's zero value")
        name = str(each.metadata.get("name") or wire_name(each.name))
        place = f"{cls.__name__}.{name}"
        fields[name] = fields[name.lower()] = (each.name, _reader(hints[each.name]), place)

    def read(value: Json, place: str) -> object:
        if value is None:
            return cls()
        if not isinstance(value, dict):
            raise _wrong(value, place, cls.__name__)
        found: dict[str, object] = {}
        for name, member in value.items():
            field = fields.get(name) or fields.get(name.lower())
            if field is not None and member is not None:
                found[field[0]] = field[1](member, field[2])
        return cls(**found)

    return read


def _list_reader(item: object) -> _Read:
    read, what = _reader(item), f"[]{_go_name(item)}"

    def items(value: Json, place: str) -> object:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise _wrong(value, place, what)
        return tuple(read(each, place) for each in value)

    return items


def _map_reader(item: object) -> _Read:
    read, what = _reader(item), f"map[string]{_go_name(item)}"

    def members(value: Json, place: str) -> object:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _wrong(value, place, what)
        return {name: read(member, place) for name, member in value.items()}

    return members


def _wrong(value: Json, place: str, what: str, *, number: bool = False) -> ArgumentError:
    got = f"number {encode(value)[:40]}" if number else kind(value)
    into = f"struct field {place}" if place else "value"
    return ArgumentError(f"json: cannot unmarshal {got} into Go {into} of type {what}")


def _text(value: Json, place: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise _wrong(value, place, "string")


def _truth(value: Json, place: str) -> bool:
    if isinstance(value, bool):
        return value
    if value is None:
        return False
    raise _wrong(value, place, "bool")


def _integer(what: str) -> _Read:
    def read(value: Json, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | None):
            raise _wrong(value, place, what)
        if value is None:
            return 0
        if not isinstance(value, int) or not -_INT64 <= value < _INT64:
            raise _wrong(value, place, what, number=True)
        return value

    return read


def _amount(value: Json, place: str) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if value is None:
        return Decimal(0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(value, place, "float64")
    if value.bit_length() > _LONGEST:
        raise _wrong(value, place, "float64", number=True)
    return Decimal(value)


def _float(value: Json, place: str) -> float:
    return float(_amount(value, place))


def _instant(value: Json, place: str) -> Instant:
    if isinstance(value, str):
        return Instant.parse(value)
    if value is None:
        return Instant(0)
    raise ArgumentError("Time.UnmarshalJSON: input is not a JSON string")


_LONGEST: Final = 256  # bits: what has 80 digits at most
_SCALARS: Final[dict[object, _Read]] = {
    str: _text,
    bool: _truth,
    int: _integer("int"),
    Duration: _integer("time.Duration"),
    float: _float,
    Decimal: _amount,
    Instant: _instant,
}
_GO_NAMES: Final[dict[object, str]] = {
    str: "string",
    bool: "bool",
    int: "int",
    Duration: "time.Duration",
    float: "float64",
    Decimal: "float64",
    Instant: "time.Time",
    object: "interface {}",
}


def _go_name(annotation: object) -> str:
    if annotation in _GO_NAMES:
        return _GO_NAMES[annotation]
    return getattr(annotation, "__name__", "struct")
