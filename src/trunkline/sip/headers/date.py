"""Date (RFC 3261 section 20.17): RFC 1123 form, GMT and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from trunkline.errors import DecodeError

__all__ = ["date_text", "parse_date"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
# rfc1123-date = wkday "," SP 2DIGIT SP month SP 4DIGIT SP time SP "GMT"
_DATE = re.compile(
    rf"({'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT\Z"
)


def parse_date(text: str) -> datetime:
    """The moment, in UTC. Day of the week and date must agree.

    Raises:
        DecodeError: ``sip.header.date``.
    """
    if match := _DATE.match(text):
        weekday, day, month, year, hour, minute, second = match.groups()
        try:
            moment = datetime(
                int(year),
                _MONTHS.index(month) + 1,
                int(day),
                int(hour),
                int(minute),
                int(second),
                tzinfo=UTC,
            )
        except ValueError:
            pass
        else:
            if _DAYS[moment.weekday()] == weekday:
                return moment
    raise DecodeError(
        "sip.header.date", f"{text[:60]!r} is no date like Sat, 13 Nov 2010 23:29:00 GMT"
    )


def date_text(moment: datetime) -> str:
    """``moment``, which knows its time zone, as the value of a Date."""
    utc = moment.astimezone(UTC)
    return (
        f"{_DAYS[utc.weekday()]}, {utc.day:02} {_MONTHS[utc.month - 1]} {utc.year:04} "
        f"{utc.hour:02}:{utc.minute:02}:{utc.second:02} GMT"
    )
