"""Points in time as the reference's users write them.

RFC 3339, SQL, the time stamps of FreeSWITCH, Asterisk and BroadWorks, seconds, milliseconds,
microseconds and nanoseconds since 1970, and words relative to now. What has no offset of its own
is local time of the zone given; of an hour that occurs twice when daylight saving ends it means
the first.

Python's times have microseconds: further digits are cut off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from trunkline.errors import DecodeError
from trunkline.rating.durations import parse_duration

__all__ = ["FORMS", "parse_time"]

FORMS: Final = (
    "2014-08-04T13:00:00Z, 2014-08-04 13:00:00, seconds since 1970 (10 digits), *now or +1h"
)
"""The usual ways, for hints."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS: Final = {10: 10**6, 13: 10**3, 16: 1}  # seconds, ms, µs since 1970, in µs; 19 below
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?"
    r"(?: ?(Z|[+-]\d\d:?\d\d)(?: (?:[A-Z]{1,5}|[+-]\d{4}))?)?",  # Go prints the zone's name too
    re.ASCII,
)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{3}))?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d\d)([./])(\d\d)\2(\d{4}) (\d\d):(\d\d):(\d\d)", re.ASCII)


def parse_time(text: str, zone: tzinfo, now: datetime) -> datetime | None:
    """The time that ``text`` means, in UTC; ``None`` for none: empty, ``0``, ``*unlimited``.

    ``zone`` is that of local times; ``now`` is what ``*now`` and ``+1h`` start from.

    Raises:
        DecodeError: ``cgrates.time``.
    """
    text = text.strip()
    if text in ("", "0", "*unlimited"):
        return None
    try:
        if text.startswith(("*", "+")):
            return _relative(text, now)
        if text.isascii() and text.isdigit() and len(text) in (10, 13, 16, 19):
            ticks = int(text)
            micros = ticks // 1000 if len(text) == 19 else ticks * _DIGITS[len(text)]
            return _EPOCH + timedelta(microseconds=micros)
        return _absolute(text, zone)
    except (ValueError, OverflowError, DecodeError):
        raise DecodeError("cgrates.time", f"{text[:60]!r} is no time: {FORMS}") from None


def _absolute(text: str, zone: tzinfo) -> datetime:
    if match := _ISO.fullmatch(text):
        *parts, fraction, offset = match.groups()
        year, month, day, hour, minute, second = map(int, parts)
        where = _offset(offset) if offset else zone
    elif match := _COMPACT.fullmatch(text):
        *parts, fraction = match.groups()
        year, month, day, hour, minute, second = map(int, parts)
        where = zone
    elif match := _DAY_FIRST.fullmatch(text):
        day, month, year = int(match[1]), int(match[3]), int(match[4])
        hour, minute, second = int(match[5]), int(match[6]), int(match[7])
        fraction, where = None, zone
    else:
        raise ValueError(text)
    micros = int((fraction or "")[:6].ljust(6, "0"))
    return datetime(year, month, day, hour, minute, second, micros, where).astimezone(UTC)


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-ahead if text[0] == "-" else ahead)


def _relative(text: str, now: datetime) -> datetime:
    word, plus, extra = text.partition("+")
    if word not in _WORDS:
        raise ValueError(text)
    moment = _WORDS[word](now.astimezone(UTC))
    if plus:
        if not extra:
            raise ValueError(text)
        moment += timedelta(microseconds=parse_duration(extra) // 1000)
    return moment


def _months_later(moment: datetime, months: int) -> datetime:
    """As the reference counts: a day that the month lacks runs over into the next."""
    total = moment.month - 1 + months
    first = moment.replace(year=moment.year + total // 12, month=total % 12 + 1, day=1)
    return first + timedelta(days=moment.day - 1)


def _month_end(moment: datetime) -> datetime:
    midnight = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _months_later(midnight, 1) - timedelta(seconds=1)


def _estimated_month_later(moment: datetime) -> datetime:
    """A month later, on the month's last day where it lacks the day."""
    first = _months_later(moment.replace(day=1), 1)
    return first.replace(day=min(moment.day, _month_end(first).day))


_WORDS: Final[dict[str, Callable[[datetime], datetime]]] = {
    "": lambda now: now,
    "*now": lambda now: now,
    "*daily": lambda now: now + timedelta(days=1),
    "*month": lambda now: _months_later(now, 1),  # a tutorial's word; the reference never ends it
    "*monthly": lambda now: _months_later(now, 1),
    "*monthly_estimated": _estimated_month_later,
    "*month_end": _month_end,
    "*yearly": lambda now: _months_later(now, 12),
}
