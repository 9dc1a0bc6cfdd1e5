"""What the types of attributes compute.

``TYPES`` is the one list of types. Sums are exact decimals (the reference's are floats); whole
numbers divide as whole numbers, as there. A field that is not there is a `NotFoundError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Context
from types import MappingProxyType
from typing import Final

from trunkline.charging.converters import as_duration, as_number, round_number
from trunkline.charging.event import (
    MISSING,
    Duration,
    EventError,
    Path,
    Scope,
    nanoseconds_between,
    read_time,
    time_text,
    to_text,
)
from trunkline.charging.rsr import Parsers

__all__ = ["TYPES", "Compute", "NotFoundError"]

ROUNDING_DECIMALS: Final = 5
"""Of ``*value_exponent``, as the reference's configuration has it."""
_CONTEXT: Final = Context(prec=40)


class NotFoundError(EventError):
    """A field that an attribute needs is not there."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "charging.not-found",
            f"{what} is not in the event; add it, or a filter that lets the attribute pass it over",
            reference="NOT_FOUND",
        )


def _texts(value: Parsers, scope: Scope) -> list[str]:
    texts: list[str] = []
    for parser in value.parsers:
        text = parser.text(scope)
        if text is None:
            raise NotFoundError(parser.source)
        texts.append(text)
    return texts


def _text(value: Parsers, scope: Scope) -> str:
    return "".join(_texts(value, scope))


def _time(text: str, scope: Scope, name: str) -> datetime:
    if (time := read_time(text, scope.now, scope.zone)) is None:
        raise EventError("charging.convert", f"{text[:60]!r} is no time, for {name}")
    return time


def _variable(value: Parsers, scope: Scope, path: Path) -> object:
    return _text(value, scope)


def _composed(value: Parsers, scope: Scope, path: Path) -> object:
    found = scope.find(path)
    return ("" if found is MISSING else to_text(found)) + _text(value, scope)


def _affix(*, before: bool) -> Callable[[Parsers, Scope, Path], object]:
    def make(value: Parsers, scope: Scope, path: Path) -> object:
        found = scope.find(path)
        if found is MISSING:
            raise NotFoundError(f"~{path}")
        text = _text(value, scope)
        return text + to_text(found) if before else to_text(found) + text

    return make


def _usage_difference(value: Parsers, scope: Scope, path: Path) -> object:
    end, start = (_time(text, scope, "*usage_difference") for text in _texts(value, scope))
    return nanoseconds_between(start, end)


def _value_exponent(value: Parsers, scope: Scope, path: Path) -> object:
    number, exponent = _texts(value, scope)
    power = as_number(exponent, "*value_exponent")
    if power != int(power) or abs(power) > 40:
        raise EventError("charging.convert", f"*value_exponent by {exponent[:60]!r}: -40 to 40")
    scaled = _CONTEXT.scaleb(as_number(number, "*value_exponent"), int(power))
    return round_number(scaled, ROUNDING_DECIMALS)


def _cc_usage(value: Parsers, scope: Scope, path: Path) -> object:
    """Of a credit control request: used so far + (its number - 1) x the debit interval."""
    number, used, interval = _texts(value, scope)
    before = max(int(as_number(number, "*cc_usage")) - 1, 0)
    return Duration(as_duration(used, "*cc_usage") + as_duration(interval, "*cc_usage") * before)


def _unix_timestamp(value: Parsers, scope: Scope, path: Path) -> object:
    return int(_time(_text(value, scope), scope, "*unix_timestamp").timestamp())


def _datetime(value: Parsers, scope: Scope, path: Path) -> object:
    return time_text(_time(_text(value, scope), scope, "*datetime"))


def _sipcid(value: Parsers, scope: Scope, path: Path) -> object:
    """The Call-ID, then what else there is, in the order of the alphabet."""
    first, *others = value.parsers
    call_id = first.text(scope)
    if call_id is None:
        raise NotFoundError(first.source)
    texts = (parser.text(scope) for parser in others)
    return ";".join([call_id, *sorted(text for text in texts if text)])


def _shift(time: datetime, nanoseconds: int) -> datetime:
    return time + timedelta(microseconds=nanoseconds // 1_000)


def _operands(value: Parsers, scope: Scope) -> list[object]:
    return [scope.typed(text) for text in _texts(value, scope)]


def _sum(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    if isinstance(first, datetime):
        return _shift(first, sum(as_duration(each, "*sum") for each in others))
    if isinstance(first, Duration):
        return Duration(first + sum(as_duration(each, "*sum") for each in others))
    total = as_number(first, "*sum")
    for each in others:
        total = _CONTEXT.add(total, as_number(each, "*sum"))
    return total


def _difference(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    if isinstance(first, datetime):
        taken = 0
        for each in others:
            if isinstance(each, datetime):
                return nanoseconds_between(each, _shift(first, -taken))
            taken += as_duration(each, "*difference")
        return _shift(first, -taken)
    if isinstance(first, Duration):
        return Duration(first - sum(as_duration(each, "*difference") for each in others))
    total = as_number(first, "*difference")
    for each in others:
        total = _CONTEXT.subtract(total, as_number(each, "*difference"))
    return total


def _multiply(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    total = as_number(first, "*multiply")
    for each in others:
        total = _CONTEXT.multiply(total, as_number(each, "*multiply"))
    return Duration(int(total)) if isinstance(first, Duration) else total


def _divide(value: Parsers, scope: Scope, path: Path) -> object:
    first, *others = _operands(value, scope)
    total = as_number(first, "*divide")
    whole = isinstance(first, int)
    for each in others:
        by = as_number(each, "*divide")
        if not by:
            raise EventError("charging.convert", "*divide by 0")
        # Whole numbers are divided as Go divides them: what is left over is cut off.
        divide = _CONTEXT.divide_int if whole else _CONTEXT.divide
        total = divide(total, by)
    return Duration(int(total)) if isinstance(first, Duration) else total


Compute = Callable[[Parsers, Scope, Path], object]
TYPES: Final[Mapping[str, tuple[Compute, int, int]]] = MappingProxyType(
    {
        "*constant": (_variable, 0, 0),
        "*variable": (_variable, 1, 0),
        "*composed": (_composed, 1, 0),
        "*prefix": (_affix(before=True), 1, 0),
        "*suffix": (_affix(before=False), 1, 0),
        "*usage_difference": (_usage_difference, 2, 2),
        "*value_exponent": (_value_exponent, 2, 2),
        "*cc_usage": (_cc_usage, 3, 3),
        "*unix_timestamp": (_unix_timestamp, 1, 0),
        "*datetime": (_datetime, 1, 0),
        "*sipcid": (_sipcid, 1, 0),
        "*sip_cid": (_sipcid, 1, 0),
        "*sum": (_sum, 2, 0),
        "*difference": (_difference, 2, 0),
        "*multiply": (_multiply, 2, 0),
        "*divide": (_divide, 2, 0),
    }
)
"""Every type: what it computes, and how many values it takes, from and to (0: any number)."""
