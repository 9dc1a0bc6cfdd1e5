"""Converters: what may stand in braces at the end of a rule, ``~*req.Usage{*duration_seconds}``.

Several are joined by ``&`` and run one after another. Numbers are exact decimals; a quotient that
does not end keeps 17 digits.

Left out: ``*random`` (nothing here is random), ``*libphonenumber`` (its tables are another
project's), and what came after 2022 (``*strip``, ``*gigawords`` …).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, localcontext
from types import MappingProxyType
from typing import Final
from urllib.parse import quote_plus, unquote_plus

from trunkline.charging.event import (
    Duration,
    EventError,
    read_duration,
    read_time,
    time_text,
    to_text,
)
from trunkline.errors import DecodeError
from trunkline.jsonrpc.values import decode

__all__ = ["CONVERTERS", "Converter", "as_duration", "as_number", "make_converter", "round_number"]

Converter = Callable[[object], object]
_CONTEXT: Final = Context(prec=17)
_ROUNDINGS: Final = {"*up": ROUND_CEILING, "*down": ROUND_FLOOR, "*middle": ROUND_HALF_UP}
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 15
"""Decimals of a rounding."""


def _refuse(value: object, name: str, what: str) -> EventError:
    return EventError("charging.convert", f"{to_text(value)[:60]!r} is no {what}, for {name}")


def as_number(value: object, name: str) -> Decimal:
    """A number, a duration in nanoseconds, or the text of a number.

    Raises:
        EventError: ``charging.convert``.
    """
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(int(value))
    text = to_text(value)
    if _NUMBER.fullmatch(text) is None:
        raise _refuse(value, name, "number")
    return Decimal(text)


def as_duration(value: object, name: str) -> Duration:
    """A duration, or nanoseconds.

    Raises:
        EventError: ``charging.convert``.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Duration(value)
    if isinstance(value, Decimal | float):
        return Duration(int(value))
    if isinstance(value, str) and (found := read_duration(value)) is not None:
        return found
    raise _refuse(value, name, "duration")


def round_number(value: Decimal, decimals: int, method: str = "*middle") -> Decimal:
    """``value`` with so many decimals; ``*middle`` is half up."""
    with localcontext(Context(prec=120)):
        step = Decimal(1).scaleb(-decimals)
        return (value / step).to_integral_value(_ROUNDINGS[method]) * step


def _time(value: object, name: str) -> datetime:
    if isinstance(value, datetime):
        return value
    text = to_text(value)
    if not text.startswith(("*", "+")) and (found := read_time(text, _EPOCH)) is not None:
        return found
    # What is relative to now is no time: a converter knows no now.
    raise _refuse(value, name, "time")


def _duration(_: str) -> Converter:
    return lambda value: as_duration(value, "*duration")


def _duration_seconds(_: str) -> Converter:
    return lambda value: Decimal(int(as_duration(value, "*duration_seconds"))).scaleb(-9)


def _duration_nanoseconds(_: str) -> Converter:
    return lambda value: int(as_duration(value, "*duration_nanoseconds"))


def _round(argument: str) -> Converter:
    decimals, _, method = argument.partition(":")
    method = method or "*middle"
    places = (
        int(decimals) if decimals.isdecimal() and len(decimals) < 4 else 0 if not decimals else -1
    )
    if not 0 <= places <= _LONGEST or method not in _ROUNDINGS:
        raise ValueError(f"*round takes 0 to {_LONGEST} decimals and *up, *down or *middle")
    return lambda value: round_number(as_number(value, "*round"), places, method)


def _factor(name: str, argument: str) -> Decimal:
    if _NUMBER.fullmatch(argument) is None:
        raise ValueError(f"{name} takes a number, {name}:1024")
    return Decimal(argument)


def _multiply(argument: str) -> Converter:
    factor = _factor("*multiply", argument)
    return lambda value: _CONTEXT.multiply(as_number(value, "*multiply"), factor)


def _divide(argument: str) -> Converter:
    divisor = _factor("*divide", argument)
    if not divisor:
        raise ValueError("*divide by 0")
    return lambda value: _CONTEXT.divide(as_number(value, "*divide"), divisor)


def _float64(_: str) -> Converter:
    return lambda value: as_number(value, "*float64")


def _ip2hex(_: str) -> Converter:
    def convert(value: object) -> object:
        try:
            packed = ipaddress.ip_address(to_text(value)).packed
        except ValueError:
            return ""
        return f"0x{packed[-4:].hex()}"

    return convert


def _string2hex(_: str) -> Converter:
    def convert(value: object) -> object:
        text = to_text(value).encode().hex()
        return f"0x{text}" if text else ""

    return convert


_URI = re.compile(
    r"[^<]*(?:<\s*)?(?:sips?|tel):(?:([^@;>?]*)@)?(\[[^\]]*\]|[^:;>?]*)", re.IGNORECASE
)


def _sipuri_user(_: str) -> Converter:
    def convert(value: object) -> object:
        found = _URI.match(to_text(value))
        return "" if found is None else (found[1] or "").partition(":")[0]

    return convert


def _sipuri_host(_: str) -> Converter:
    def convert(value: object) -> object:
        found = _URI.match(to_text(value))
        return "" if found is None else found[2]

    return convert


def _sipuri_method(_: str) -> Converter:
    return lambda value: to_text(value).partition(" ")[0]


def _unixtime(_: str) -> Converter:
    return lambda value: int(_time(value, "*unixtime").timestamp())


def _time_string(argument: str) -> Converter:
    if argument:
        raise ValueError("*time_string has one layout here, RFC 3339: write it without an argument")
    return lambda value: time_text(_time(value, "*time_string"))


def _len(_: str) -> Converter:
    def convert(value: object) -> object:
        if isinstance(value, list | tuple):
            return len(value)
        return len(to_text(value).encode())

    return convert


def _slice(_: str) -> Converter:
    def convert(value: object) -> object:
        text = to_text(value)
        if text.startswith("[") and text.endswith("]"):
            try:
                return decode(text.encode("utf-8", "replace"))
            except DecodeError:
                return text
        return text

    return convert


def _join(argument: str) -> Converter:
    def convert(value: object) -> object:
        items = value if isinstance(value, list | tuple) else [value]
        return (argument or ",").join(to_text(item) for item in items)

    return convert


def _e164_domain(_: str) -> Converter:
    def convert(value: object) -> object:
        name = to_text(value)
        at = name.find(".e164.")
        return (name if at < 0 else name[at:]).strip(".")

    return convert


def _e164(_: str) -> Converter:
    def convert(value: object) -> object:
        name, found, _ = to_text(value).partition(".e164.")
        if not found:
            raise _refuse(value, "*e164", "name below e164")
        return name.replace(".", "")[::-1]

    return convert


def _urlencode(_: str) -> Converter:
    return lambda value: quote_plus(to_text(value))


def _urldecode(_: str) -> Converter:
    return lambda value: unquote_plus(to_text(value))


CONVERTERS: Final[Mapping[str, Callable[[str], Converter]]] = MappingProxyType(
    {
        "*divide": _divide,
        "*duration": _duration,
        "*duration_nanoseconds": _duration_nanoseconds,
        "*duration_seconds": _duration_seconds,
        "*e164": _e164,
        "*e164Domain": _e164_domain,
        "*float64": _float64,
        "*ip2hex": _ip2hex,
        "*join": _join,
        "*len": _len,
        "*multiply": _multiply,
        "*round": _round,
        "*sipuri_host": _sipuri_host,
        "*sipuri_method": _sipuri_method,
        "*sipuri_user": _sipuri_user,
        "*slice": _slice,
        "*string2hex": _string2hex,
        "*time_string": _time_string,
        "*unixtime": _unixtime,
        "*urldecode": _urldecode,
        "*urlencode": _urlencode,
    }
)


def make_converter(text: str) -> Converter:
    """The converter of ``*name`` or ``*name:argument``.

    Raises:
        DecodeError: ``charging.converter``.
    """
    name, _, argument = text.partition(":")
    make = CONVERTERS.get(name)
    if make is None:
        raise DecodeError(
            "charging.converter",
            f"there is no converter {name[:40]!r}; choose of {', '.join(CONVERTERS)}",
        )
    try:
        return make(argument)
    except ValueError as error:
        raise DecodeError("charging.converter", f"{text[:60]!r}: {error}") from None
