"""JSON values as Go's ``encoding/json`` reads and writes them.

Reading: what is no integer is a ``Decimal``, so that an amount is the amount that was written.
Octets that are no UTF-8 and halves of surrogate pairs become U+FFFD, as in Go; of a key that is
there twice the last counts. A number that no ``float64`` could hold is refused.

Writing: members in the order they have, no blanks, ``<``, ``>`` and ``&`` escaped, numbers without
an exponent between 1e-6 and 1e21. A ``Decimal`` is written in full: where Go's ``float64`` has 17
digits at most, ours may have more, and up to 15 they are the same text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Final, NoReturn, TypeAlias

from trunkline.errors import DecodeError

__all__ = ["Json", "JsonObject", "Raw", "decode", "encode", "go_decimal", "go_float", "kind"]


@dataclass(frozen=True, slots=True)
class Raw:
    """JSON text that has been written already."""

    text: str


Json: TypeAlias = (
    "bool | int | float | Decimal | str | Sequence[Json] | Mapping[str, Json] | Raw | None"
)
"""What is written; what is read has ``list``, ``dict`` and ``Decimal`` alone."""
JsonObject: TypeAlias = Mapping[str, Json]

_LARGEST: Final = 308  # the decimal exponent of the greatest float64
_SMALLEST: Final = -324
_DIGITS: Final = 80  # of one number; charging.money adds up no more
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent beyond all measure
        raise ValueError(f"{text[:40]} is out of the range of a float64") from None
    if not value:
        return Decimal("-0") if value.is_signed() else Decimal(0)
    if not _SMALLEST <= value.adjusted() <= _LARGEST:
        raise ValueError(f"{text[:40]} is out of the range of a float64")
    if len(value.as_tuple().digits) > _DIGITS:
        raise ValueError(f"a number of more than {_DIGITS} digits")
    return value


def _whole(text: str) -> int:
    if len(text) - text.startswith("-") > _DIGITS:
        raise ValueError(f"a number of more than {_DIGITS} digits")
    return int(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_read = json.JSONDecoder(parse_float=_decimal, parse_int=_whole, parse_constant=_no_constant).decode


def decode(data: bytes) -> Json:
    """The value that ``data`` is.

    Raises:
        DecodeError: ``jsonrpc.syntax``.
    """
    text = data.decode("utf-8", "replace")
    try:
        value: Json = _read(text)
    except json.JSONDecodeError as problem:
        raise DecodeError(
            "jsonrpc.syntax",
            f"octet {problem.pos} of a value: {problem.msg[:1].lower()}{problem.msg[1:]}",
            offset=problem.pos,
        ) from None
    except (ValueError, RecursionError) as problem:  # a number, or brackets by the thousand
        raise DecodeError("jsonrpc.syntax", f"a value: {problem}") from None
    return _mended(value) if _HALF.search(text) else value


def _mended(value: Json) -> Json:
    """``value`` without halves of surrogate pairs, which no text may have."""
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case list():
            return [_mended(item) for item in value]
        case dict():
            return {_SURROGATE.sub("\ufffd", key): _mended(item) for key, item in value.items()}
        case _:
            return value


def kind(value: Json) -> str:
    """What Go calls a value where it cannot use it: ``string``, ``number``, ``object``."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float() | Decimal():
            return "number"
        case Mapping():
            return "object"
        case _:
            return "array"


def go_float(value: float) -> str:
    """The number as Go's ``encoding/json`` writes a ``float64``.

    The shortest text that reads back as the same number: without an exponent, unless it is below
    1e-6 or from 1e21 on.

    Raises:
        ValueError: not finite; JSON has no word for that.
    """
    text = repr(value)
    if "e" not in text:
        if not isfinite(value):
            raise ValueError(f"{value} is no JSON")
        return text.removesuffix(".0")
    size = abs(value)
    if 1e-6 <= size < 1e21:
        return format(Decimal(text), "f")
    return text.replace("e-0", "e-")


def go_decimal(value: Decimal) -> str:
    """The exact number, laid out as Go lays out a ``float64``.

    Raises:
        ValueError: not finite.
    """
    if not value.is_finite():
        raise ValueError(f"{value} is no JSON")
    if not value:
        return "-0" if value.is_signed() else "0"
    exponent = value.adjusted()
    if -7 < exponent < 21:
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, figures, _ = value.as_tuple()
    digits = "".join(map(str, figures)).rstrip("0")
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{'-' if sign else ''}{digits[0]}{fraction}e{exponent:+d}"


_UNSAFE = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def quote(text: str) -> str:
    """A string as Go writes it."""
    return f'"{_UNSAFE.sub(_escaped, text)}"' if _UNSAFE.search(text) else f'"{text}"'


def encode(value: Json) -> str:
    """The JSON text of ``value``.

    Raises:
        ValueError: a number that is not finite.
        TypeError: not a value of JSON.
    """
    match value:
        case str():
            return quote(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case Decimal():
            return go_decimal(value)
        case float():
            return go_float(value)
        case Mapping():
            members = [f"{quote(name)}:{encode(member)}" for name, member in value.items()]
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join([encode(item) for item in value]) + "]"
        case Raw():
            return value.text
        case _:
            raise TypeError(f"{type(value).__name__} is no value of JSON")
