"""Durations as the reference writes them, to and from integers.

A duration is an ``int`` everywhere else: nanoseconds for voice, plain units (messages, octets)
for everything that is not voice. Text is what Go's ``time.ParseDuration`` reads (``60s``,
``1m0s``, ``1h2m``, ``300ms``, ``1.5h``) or a bare number, which is the integer itself: ``60`` is
60 ns of voice or 60 octets of data. The empty text is 0. A unit on a usage that is not voice
counts too: ``10s`` is 10¹⁰ units, as in the reference.

Left out: signs. A negative duration has no meaning in a tariff or a call and is refused.
"""

from __future__ import annotations

import re

from trunkline.errors import DecodeError

__all__ = ["HOUR", "LIMIT", "MINUTE", "SECOND", "format_duration", "format_usage", "parse_duration"]

SECOND = 1_000_000_000
"""One second in nanoseconds."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
LIMIT = 2**63 - 1
"""The longest duration: what the reference's 64-bit nanoseconds hold, about 292 years."""

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5
    "μs": 1_000,  # U+03BC
    "ms": 1_000_000,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_BARE = re.compile(r"([0-9]*)(?:\.([0-9]*))?")
_DIGITS = 24
"""Digits of one number: more than any duration below LIMIT needs."""


def _refuse(text: str, offset: int, why: str) -> DecodeError:
    return DecodeError(
        "rating.duration",
        f"{text[:60]!r} is no duration: {why}; write for example 60s, 1m30s, 1h or 300ms, "
        "or a bare number of nanoseconds (voice) or units",
        offset=offset,
    )


def _scaled(text: str, offset: int, whole: str, fraction: str | None, unit: int) -> int:
    """``whole.fraction`` units; what is finer than one is cut off, as the reference does."""
    if not whole and not fraction:
        raise _refuse(text, offset, "a number is missing")
    if len(whole) > _DIGITS or len(fraction or "") > _DIGITS:
        raise _refuse(text, offset, f"a number of more than {_DIGITS} digits")
    value = int(whole or "0") * unit
    if fraction:
        value += int(fraction) * unit // 10 ** len(fraction)
    return value


def parse_duration(text: str) -> int:
    """``text`` in nanoseconds, or in units for what is not voice.

    Raises:
        DecodeError: ``rating.duration``, with the column (from 0) as its offset.
    """
    if text.isdecimal() and text.isascii() and len(text) <= _DIGITS:
        value = int(text)
    elif not text:
        return 0
    elif bare := _BARE.fullmatch(text):
        value = _scaled(text, 0, bare[1], bare[2], 1)
    else:
        if text[0] in "+-":
            raise _refuse(text, 0, "durations have no sign")
        value = offset = 0
        while offset < len(text):
            part = _PART.match(text, offset)
            if part is None:
                raise _refuse(text, offset, f"column {offset + 1} is not a number with a unit")
            value += _scaled(text, offset, part[1], part[2], _UNITS[part[3]])
            offset = part.end()
    if value > LIMIT:
        raise _refuse(text, 0, "longer than 292 years")
    return value


def _trimmed(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0")


def format_duration(value: int) -> str:
    """Nanoseconds as the reference's console prints them: ``1m0s``, ``0s``, ``1.5ms``."""
    if not value:
        return "0s"
    if value < 0:
        return "-" + format_duration(-value)
    if value < 1_000:
        return f"{value}ns"
    if value < 1_000_000:
        return _trimmed(value, 1_000) + "µs"
    if value < SECOND:
        return _trimmed(value, 1_000_000) + "ms"
    minutes, seconds = divmod(value, MINUTE)
    hours, minutes = divmod(minutes, 60)
    text = _trimmed(seconds, SECOND) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def format_usage(value: int, tor: str) -> str:
    """A usage in the terms of its type of record: a duration for ``*voice``, else plain units."""
    return format_duration(value) if tor == "*voice" else str(value)
