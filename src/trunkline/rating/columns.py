"""Columns of text as columns of numbers: telephone numbers, usages and times, very many at once.

A column of text is its bytes and where each text begins, as Arrow holds it. It is read character
position by character position, over all texts at once. What a form here does not cover is left
out (``known`` is false), for whoever reads it one by one: there are no errors.

A telephone number becomes a key of 17 characters in base 12 (nothing, ``+``, the digits) in which
shorter numbers stand before longer ones: all numbers that begin with a prefix are one interval.
"""

from __future__ import annotations

from datetime import timezone, tzinfo
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trunkline.rating.call import FIRST_YEAR, LAST_YEAR
from trunkline.rating.clock import offset_runs, utc_offset
from trunkline.rating.durations import SECOND

__all__ = [
    "CHARACTERS",
    "YEAR_BITS",
    "Bytes",
    "Flags",
    "Ints",
    "Offsets",
    "Text",
    "among",
    "number_interval",
    "number_keys",
    "ranks",
    "times",
    "usages",
]

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Bytes: TypeAlias = NDArray[np.uint8]

CHARACTERS = 17
"""Characters of a number that count."""
YEAR_BITS = 25
"""The offsets of a time zone are found for 2²⁵ seconds at once, a little more than a year."""

_BASE = 12
_PLUS = ord("+")
_ZERO = ord("0")
_MICROSECONDS = 1_000_000
_NEAR = 8
_PADDING = 32
"""More than the positions that are looked at, so that there is something at each."""


def ranks(of: Ints, values: Ints) -> Ints:
    """For each value the position of the last in ``of`` (sorted) that is not above it, or -1.

    A binary search in the order of the values stays in what the processor has at hand.
    """
    order = np.argsort(values)
    found = np.empty(len(values), np.int64)
    found[order] = np.searchsorted(of, values[order], "right")
    found -= 1
    return found


def among(values: Ints) -> frozenset[int]:
    """Few values, or many, that have all of these among them."""
    low, high = int(values.min()), int(values.max())
    return frozenset(range(low, high + 1) if high - low < _NEAR else np.unique(values).tolist())


class Text:
    """A column of text: that of row ``n`` lies from ``offsets[n]`` to ``offsets[n + 1]``."""

    def __init__(self, data: Bytes, offsets: Ints) -> None:
        first = int(offsets[0])
        self._data = np.zeros(int(offsets[-1]) - first + _PADDING, np.uint8)
        self._data[:-_PADDING] = data[first : int(offsets[-1])]
        self._starts = offsets[:-1] - first
        self._ends = offsets[1:] - first
        self.lengths: Ints = self._ends - self._starts

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def longest(self) -> int:
        """The length of the longest."""
        return int(self.lengths.max(initial=0))

    def at(self, position: int) -> Bytes:
        """The characters at a position; 0 where a text is shorter."""
        found: Bytes = self._data[position:].take(self._starts, mode="clip")
        return np.where(self.lengths > position, found, 0)

    def from_end(self, position: int) -> Bytes:
        """The characters at a position from the end, 1 is the last; 0 where a text is shorter."""
        found: Bytes = self._data.take(self._ends - position, mode="clip")
        return np.where(self.lengths >= position, found, 0)


# Telephone numbers


def number_interval(prefix: str) -> tuple[int, int] | None:
    """The keys of all numbers with a prefix: from the first to before the second.

    None for a prefix that has other characters than digits after one ``+``, or none at all.
    """
    digits = prefix[1:] if prefix.startswith("+") else prefix
    if not (prefix and prefix.isascii()) or (digits and not digits.isdigit()):
        return None
    counted = prefix[:CHARACTERS]
    key = 0
    for character in counted:
        key = key * _BASE + (1 if character == "+" else int(character) + 2)
    width = _BASE ** (CHARACTERS - len(counted))
    return key * width, (key + 1) * width


def number_keys(text: Text) -> tuple[Ints, Flags]:
    """The keys, and whether a number is one: digits, maybe after a ``+``.

    The key of anything else is that of what it begins with.
    """
    good = np.ones(len(text), np.bool_)
    symbols: list[NDArray[np.uint8]] = []
    for position in range(min(text.longest, CHARACTERS)):
        character = text.at(position)
        symbol = character - np.uint8(_ZERO)
        is_digit = symbol <= 9
        symbol = (symbol + np.uint8(2)) * is_digit
        if position == 0:
            plus = character == _PLUS
            symbol += plus
            is_digit |= plus
        good &= is_digit | (text.lengths <= position)
        symbols.append(symbol)
    if not good.all():  # what follows an odd character counts as nothing
        going = np.ones(len(text), np.bool_)
        for symbol in symbols:
            going &= symbol != 0
            symbol *= going
    return _packed(symbols, len(text)), good


def _packed(symbols: list[Bytes], count: int) -> Ints:
    """Symbols, the most significant first, as one number; those that are missing are 0."""
    key = np.zeros(count, np.int64)
    for begin in (0, 8):
        eight = np.zeros(count, np.uint32)  # 12 to the 8th holds in it, and a pair in 8 bits
        for position in range(begin, begin + 8, 2):
            eight *= np.uint32(_BASE * _BASE)
            if position < len(symbols):
                eight += symbols[position] * np.uint8(_BASE)
            if position + 1 < len(symbols):
                eight += symbols[position + 1]
        key *= _BASE**8
        key += eight
    key *= _BASE
    if len(symbols) == CHARACTERS:
        key += symbols[-1]
    return key


# Usages


def usages(text: Text) -> tuple[Ints, Flags]:
    """Bare numbers, and seconds with an ``s``, as in ``60s``: both of at most 18 digits in all."""
    lengths = text.lengths
    seconds = text.from_end(1) == ord("s")
    digits = lengths - seconds
    known = (digits >= 1) & (digits <= np.where(seconds, 9, 18))
    value = np.zeros(len(text), np.int64)
    for position in range(min(text.longest, 18)):
        symbol = text.at(position) - np.uint8(_ZERO)
        inside = digits > position
        known &= (symbol <= 9) | ~inside
        value = np.where(inside, value * 10 + symbol, value)
    value *= np.where(seconds, SECOND, 1)
    return value, known


# Times


class Offsets:
    """How far a time zone is ahead of UTC, for columns of times."""

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._of_year: dict[int, list[tuple[int, int]]] = {}

    def runs(self, year: int) -> list[tuple[int, int]]:
        """(until, offset) in nanoseconds over one year of ``YEAR_BITS``."""
        found = self._of_year.get(year)
        if found is None:
            start, end = (each << YEAR_BITS for each in (year, year + 1))
            found = self._of_year[year] = offset_runs(self.zone, start * SECOND, end * SECOND)
        return found

    def to_utc(self, local: Ints) -> Ints:
        """What the local clock shows, in seconds since 1970, as seconds since the epoch.

        Of an hour that comes twice the first is meant; in one that is skipped the clock goes on
        as before.
        """
        if not len(local):
            return local
        if isinstance(self.zone, timezone):
            return local - utc_offset(self.zone, 0) // SECOND
        years = {near for each in among(local >> YEAR_BITS) for near in range(each - 1, each + 2)}
        starts: list[int] = []
        offsets: list[int] = []
        before: tuple[int, int] | None = None
        for year in sorted(years):
            start = year << YEAR_BITS
            for until, offset in self.runs(year):
                ahead = offset // SECOND
                known = ahead if before is None or before[0] != start else max(before[1], ahead)
                starts.append(start + known)
                offsets.append(ahead)
                start = until // SECOND
                before = start, ahead
        utc: Ints = local - np.array(offsets)[ranks(np.array(starts), local)]
        return utc


def times(text: Text, zone: Offsets) -> tuple[Ints, Flags]:
    """Microseconds since the epoch of RFC 3339 and SQL times, and of seconds and so on since 1970.

    A time without an offset is one of ``zone``.
    """
    written, known = _calendar(text, zone)
    if not known.all():
        ticks, number = usages(text)
        lengths = text.lengths
        number &= text.from_end(1) != ord("s")
        for length, factor in ((10, _MICROSECONDS), (13, 1000), (16, 1)):
            here = number & (lengths == length)
            written = np.where(here, ticks * factor, written)
            known |= here
    return written, known


def _calendar(text: Text, zone: Offsets) -> tuple[Ints, Flags]:
    lengths = text.lengths
    known = lengths >= 19
    last = text.from_end(1)
    in_utc = last == ord("Z")
    sign = text.from_end(6)
    with_offset = (text.from_end(3) == ord(":")) & ((sign == _PLUS) | (sign == ord("-")))
    with_offset &= lengths >= 25
    body = lengths - in_utc - 6 * with_offset
    known &= (body == 19) | ((body >= 21) & (body <= 29))

    def digits(*positions: int, get: bool = True) -> NDArray[np.int32]:
        value = np.zeros(len(text), np.int32)
        for position in positions:
            symbol = (text.at(position) if get else text.from_end(position)) - np.uint8(_ZERO)
            if get:
                np.logical_and(known, symbol <= 9, out=known)
            else:
                np.logical_and(known, (symbol <= 9) | ~with_offset, out=known)
            value = value * np.int32(10) + symbol
        return value

    year, month, day = digits(0, 1, 2, 3), digits(5, 6), digits(8, 9)
    hour, minute, second = digits(11, 12), digits(14, 15), digits(17, 18)
    between = text.at(10)
    for position, character in ((4, "-"), (7, "-"), (13, ":"), (16, ":")):
        known &= text.at(position) == ord(character)
    known &= (between == ord("T")) | (between == ord(" "))
    known &= (year >= FIRST_YEAR) & (year <= LAST_YEAR) & (month >= 1) & (month <= 12) & (day >= 1)
    known &= (hour <= 23) & (minute <= 59) & (second <= 59)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    month = np.where(known, month, 1)
    known &= day <= _DAYS[month] + (leap & (month == 2))
    # Days since 1970, the years counted from March, so that the leap day ends one.
    shifted = year - (month <= 2)
    of_year = _SINCE_MARCH[month] + day - 1
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719_468
    seconds = days.astype(np.int64) * 86_400 + (hour * 3600 + minute * 60 + second)
    if with_offset.any():
        ahead = digits(5, 4, get=False) * 60 + digits(2, 1, get=False)
        known &= ~with_offset | (ahead < 1440)
        seconds -= np.where(with_offset, np.where(sign == _PLUS, 60, -60) * ahead, 0)
    local = np.nonzero(known & ~in_utc & ~with_offset)[0]
    if len(local):
        seconds[local] = zone.to_utc(seconds[local])
    micros = seconds * _MICROSECONDS
    if bool((body > 19).any()):
        micros += _fraction(text, body, known)
    return micros, known


def _fraction(text: Text, body: Ints, known: Flags) -> Ints:
    """Microseconds of what stands after the seconds; what is finer is cut off."""
    finer = body > 19
    np.logical_and(known, ~finer | (text.at(19) == ord(".")), out=known)
    value = np.zeros(len(text), np.int64)
    for position in range(20, min(text.longest, 29)):
        symbol = text.at(position) - np.uint8(_ZERO)
        inside = body > position
        np.logical_and(known, ~inside | (symbol <= 9), out=known)
        if position < 26:
            value = value * 10 + np.where(inside, symbol, 0)
    for _ in range(max(0, 26 - max(20, min(text.longest, 29)))):
        value *= 10
    return np.where(finer, value, 0)


_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_SINCE_MARCH = np.array([0, 306, 337, 0, 31, 61, 92, 122, 153, 184, 214, 245, 275])
