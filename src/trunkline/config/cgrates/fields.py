"""The values of a row, typed: numbers, durations, lists, times; what cannot be is noted.

Each method reads one column. A value that cannot be is noted with its place and stands in as a
harmless one, so that the rest of the folder is checked too.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from fractions import Fraction
from typing import Final

from trunkline.config.cgrates.files import COLUMNS, LIST_SEPARATOR, Kind
from trunkline.config.cgrates.problems import Problems, closest, shown
from trunkline.config.cgrates.reading import Row
from trunkline.errors import DecodeError
from trunkline.rating.durations import SECOND, parse_duration
from trunkline.rating.times import FORMS, parse_time

__all__ = ["HIGHEST_MONEY", "LONGEST_DURATION", "MOST_DECIMALS", "Fields"]

HIGHEST_MONEY: Final = 10**12
"""A price above this is a slip of the hand in any currency."""
LONGEST_DURATION: Final = 366 * 86400 * SECOND
"""The same for units and increments."""
MOST_DECIMALS: Final = 20

_ANY: Final = "*any"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_LONGEST_NUMBER: Final = 40
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)", re.ASCII)
_LONGEST_TAG: Final = 256


class Fields:
    """Typed access to the values of one row."""

    def __init__(self, kind: Kind, row: Row, problems: Problems) -> None:
        self.row = row
        self._names = COLUMNS[kind]
        self._problems = problems

    def error(self, index: int, code: str, message: str, hint: str = "") -> None:
        """Note an error in value number ``index``."""
        name, value = self._names[index], self.row.values[index]
        text = f"{name} {shown(value)!r} {message}" if value else f"{name} {message}"
        self._problems.error(code, text, self.row.place(index), hint, name, value)

    def warn(self, index: int, code: str, message: str, hint: str = "") -> None:
        """Note a warning about value number ``index``."""
        name, value = self._names[index], self.row.values[index]
        text = f"{name} {shown(value)!r} {message}" if value else f"{name} {message}"
        self._problems.warn(code, text, self.row.place(index), hint, name, value)

    def name(self, index: int) -> str:
        """The column's name."""
        return self._names[index]

    def text(self, index: int) -> str:
        """The value as it is."""
        return self.row.values[index]

    def tag(self, index: int) -> str:
        """A name, which may not be empty."""
        value = self.row.values[index]
        if not value:
            self.error(index, "cgrates.empty", "may not be empty", "every row has a name")
        elif len(value) > _LONGEST_TAG:
            self.error(index, "cgrates.absurd", f"is longer than {_LONGEST_TAG} characters")
        elif not value.isprintable():
            self.error(index, "cgrates.value", "has a character that cannot be printed")
        return value

    def money(self, index: int) -> Fraction:
        """An amount of zero or more; empty is 0."""
        number = self._number(index)
        if number < 0:
            self.error(index, "cgrates.negative", "is negative", "a price is 0 or more")
        elif number > HIGHEST_MONEY:
            self.error(index, "cgrates.absurd", f"is above {HIGHEST_MONEY:,}", "a digit too many?")
        else:
            return number
        return Fraction(0)

    def weight(self, index: int) -> Fraction:
        """A weight of zero or more; empty is 0."""
        number = self._number(index)
        if number < 0:
            self.error(
                index,
                "cgrates.negative",
                "is negative, and such an entry never wins",
                "weights begin at 0",
            )
            return Fraction(0)
        return number

    def decimals(self, index: int) -> int:
        """A count of decimals; empty is 0."""
        value = self.row.values[index]
        if not value:
            return 0
        if not (value.isascii() and value.isdigit() and len(value) < 9):
            self.error(index, "cgrates.number", "is no count of decimals", "write 4")
        elif int(value) > MOST_DECIMALS:
            self.error(index, "cgrates.absurd", f"is more than {MOST_DECIMALS} decimals")
        else:
            return int(value)
        return 0

    def duration(self, index: int, otherwise: int = 0) -> int:
        """A duration in nanoseconds, or units; ``otherwise`` where it is empty or 0."""
        value = self.row.values[index]
        if value.startswith("-"):
            self.error(index, "cgrates.negative", "is negative", "a duration is 0 or more")
            return otherwise
        try:
            found = parse_duration(value)
        except DecodeError:
            self.error(
                index,
                "cgrates.duration",
                "is no duration",
                "write 60s, 1m30s, 1h or 300ms; a bare number is nanoseconds for voice",
            )
            return otherwise
        if found > LONGEST_DURATION:
            self.error(index, "cgrates.absurd", "is longer than a year", "a unit too large?")
            return otherwise
        return found or otherwise

    def choice(self, index: int, choices: tuple[str, ...]) -> str:
        """One of ``choices``."""
        value = self.row.values[index]
        if value not in choices:
            known = [choice for choice in choices if choice]
            self.error(
                index,
                "cgrates.value",
                "is not known" if value else "may not be empty",
                closest(value, known, f"one of {', '.join(known)}"),
            )
            return choices[0]
        return value

    def numbers(self, index: int, low: int, high: int) -> tuple[int, ...]:
        """A list of numbers; empty or ``*any`` is the empty list, which means all."""
        found: list[int] = []
        for word in self.words(index):
            if word == _ANY:
                return ()
            if not (word.isascii() and word.isdigit() and low <= int(word[:9]) <= high):
                self.error(
                    index,
                    "cgrates.number",
                    f"has {shown(word)!r}, which is not within {low} to {high}",
                    f"write *any, one number, or several separated by {LIST_SEPARATOR!r}",
                )
                return ()
            found.append(int(word))
        return tuple(sorted(set(found)))

    def words(self, index: int) -> tuple[str, ...]:
        """A list of words; an empty one has none."""
        value = self.row.values[index]
        if not value:
            return ()
        return tuple(word for word in map(str.strip, value.split(LIST_SEPARATOR)) if word)

    def clock(self, index: int, text: str) -> int:
        """A time of day in seconds; ``text`` is the part of the value that holds it."""
        match = _CLOCK.fullmatch(text)
        if match is None:
            self.error(
                index,
                "cgrates.clock",
                f"has {shown(text)!r}, which is no time of day",
                "write 18:00:00, and 08:00:00;18:00:00 for a start and an end",
            )
            return 0
        hour, minute, second = map(int, match.groups())
        return (hour * 60 + minute) * 60 + second

    def time(self, index: int, zone: tzinfo, now: datetime) -> datetime | None:
        """A point in time; ``None`` where it is empty or ``*unlimited``."""
        return self.moment(index, self.row.values[index], zone, now)

    def moment(self, index: int, text: str, zone: tzinfo, now: datetime) -> datetime | None:
        """The same of ``text``, a part of the value."""
        try:
            return parse_time(text, zone, now)
        except DecodeError:
            self.error(index, "cgrates.time", "is no time", f"write {FORMS}")
            return None

    def _number(self, index: int) -> Fraction:
        value = self.row.values[index]
        if not value:
            return Fraction(0)
        if len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
            hint = "write 0.22 with a point, without a currency or a separator of thousands"
            self.error(index, "cgrates.number", "is no number", hint)
            return Fraction(0)
        return Fraction(value)
