"""When an action plan runs next: a pure function of now.

What an ActionPlans.csv row names is one of

- ``*asap``: once, when the plan is given to an account;
- ``*every_minute``, ``*hourly``, ``*daily``, ``*weekly``, ``*monthly``, ``*yearly``: at the minute,
  hour, weekday, day … at which it was given; ``*monthly`` passes over a month without that day,
  ``*monthly_estimated`` runs on its last day then; ``*month_end`` on the last day of every month;
- an ID of Timings.csv: at its start time, on its days; a year without months means January, months
  without days the first, a start of ``*asap`` once;
- a cron expression: minute, hour, day, month and weekday; a sixth field is the year, and of seven
  the first is the second. ``*``, ``1-5``, ``*/15``, ``1,3``, names of months and weekdays, ``L``
  for the last day of a month; 7 and 0 are Sunday.

Where both days of the month and weekdays are given, either is enough, as cron has it. Times are
those of the local clock: of an hour that comes twice the first counts, and what falls into an hour
that is skipped comes an hour later.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from trunkline.errors import DecodeError
from trunkline.rating.model import Timing

__all__ = ["Schedule", "next_run", "parse_cron", "parse_schedule"]

_LAST: Final = -1
"""Among days of the month: the last one."""
_YEARS_AHEAD: Final = 28
"""After so many years, days and weekdays come together in every way again."""
_MONTHS: Final = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEK_DAYS: Final = {
    name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
}
_FIELD: Final = re.compile(r"(?:\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:/([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Moments of the local clock; an empty field means any."""

    seconds: tuple[int, ...] = (0,)
    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    """-1: the month's last."""
    months: tuple[int, ...] = ()
    week_days: tuple[int, ...] = ()
    """0 is Sunday."""
    years: tuple[int, ...] = ()
    clamped: bool = False
    """A day that a month lacks is its last one."""
    once: bool = False
    """Only when it is given."""

    def _on(self, year: int, month: int, day: int, last: int) -> bool:
        by_day = day in self.month_days or (
            day == last
            and (_LAST in self.month_days or (self.clamped and max(self.month_days) > last))
        )
        weekday = (calendar.weekday(year, month, day) + 1) % 7
        by_week = weekday in self.week_days
        if self.month_days and self.week_days:
            return by_day or by_week
        return (by_day or not self.month_days) and (by_week or not self.week_days)

    def _days(self, start: datetime) -> Iterator[tuple[int, int, int]]:
        """The days that it holds on, from that of ``start``."""
        years: Iterable[int] = range(start.year, start.year + _YEARS_AHEAD + 1)
        if self.years:
            years = [year for year in sorted(self.years) if year >= start.year]
        for year in years:
            for month in self.months or range(1, 13):
                if (year, month) < (start.year, start.month):
                    continue
                last = calendar.monthrange(year, month)[1]
                for day in range(1, last + 1):
                    if (year, month, day) >= (start.year, start.month, start.day) and self._on(
                        year, month, day, last
                    ):
                        yield year, month, day

    def after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:
        """The first time after an aware one, in UTC; ``None``: never again."""
        if self.once:
            return None
        local = moment.astimezone(zone)
        times = [
            (hour, minute, second)
            for hour in self.hours or range(24)
            for minute in self.minutes or range(60)
            for second in self.seconds or range(60)
        ]
        for year, month, day in self._days(local - timedelta(days=1)):
            # An hour that comes twice reads as earlier than it is: one hour more is looked at.
            from_ = 0
            if (year, month, day) == (local.year, local.month, local.day):
                from_ = bisect_left(times, (max(local.hour - 1, 0), 0, 0))
            elif (year, month, day) < (local.year, local.month, local.day):
                from_ = bisect_left(times, (23, 0, 0))
            for hour, minute, second in times[from_:]:
                at = datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
                if at > moment:
                    return at
        return None


def next_run(
    named: str,
    timings: Mapping[str, Timing],
    given: datetime,
    after: datetime,
    zone: tzinfo = UTC,
) -> datetime | None:
    """When a plan's row runs first after a time; ``None``: never again.

    Args:
        named: The row's TimingID.
        timings: Those of Timings.csv.
        given: When the account got the plan: ``*asap`` runs then, ``*monthly`` on that day.
        after: Aware; the last run, or a moment before ``given`` for the first.
        zone: That of the account's tenant.

    Raises:
        DecodeError: ``charging.schedule``.
    """
    schedule = parse_schedule(named, timings, given, zone)
    if schedule.once:
        return given.astimezone(UTC) if after < given else None
    return schedule.after(after, zone)


def parse_schedule(
    named: str, timings: Mapping[str, Timing], given: datetime, zone: tzinfo = UTC
) -> Schedule:
    """What a row's TimingID means for an account that got it at a time.

    Raises:
        DecodeError: ``charging.schedule``.
    """
    timing = timings.get(named)
    if timing is not None:
        return _of_timing(timing)
    if named.startswith("*") and " " not in named:
        return _of_word(named, given.astimezone(zone))
    return parse_cron(named)


def _of_word(word: str, given: datetime) -> Schedule:
    second, minute, hour = (given.second,), (given.minute,), (given.hour,)
    week_day = (given.weekday() + 1) % 7
    match word:
        case "*asap":
            return Schedule(once=True)
        case "*every_minute":
            return Schedule(seconds=second)
        case "*hourly":
            return Schedule(seconds=second, minutes=minute)
        case "*daily":
            return Schedule(seconds=second, minutes=minute, hours=hour)
        case "*weekly":
            return Schedule(seconds=second, minutes=minute, hours=hour, week_days=(week_day,))
        case "*monthly" | "*monthly_estimated" | "*month_end":
            return Schedule(
                seconds=second,
                minutes=minute,
                hours=hour,
                month_days=(_LAST if word == "*month_end" else given.day,),
                clamped=word == "*monthly_estimated",
            )
        case "*yearly":
            return Schedule(
                seconds=second,
                minutes=minute,
                hours=hour,
                month_days=(given.day,),
                months=(given.month,),
            )
    raise _refuse(word, "there is no such word")


def _of_timing(timing: Timing) -> Schedule:
    if timing.as_soon:
        return Schedule(once=True)
    minutes, second = divmod(timing.start, 60)
    hour, minute = divmod(minutes, 60)
    months = timing.months or ((1,) if timing.years else ())
    days = timing.month_days or ((1,) if months and not timing.week_days else ())
    return Schedule(
        seconds=(second,),
        minutes=(minute,),
        hours=(hour,),
        month_days=tuple(sorted(days)),
        months=tuple(sorted(months)),
        week_days=timing.week_days,
        years=timing.years,
    )


# Cron


def parse_cron(text: str) -> Schedule:
    """A cron expression of five, six (with the year) or seven fields (with the second first).

    Raises:
        DecodeError: ``charging.schedule``.
    """
    fields = text.lower().split()
    if len(fields) not in (5, 6, 7):
        raise _refuse(text, f"it has {len(fields)} fields")
    seconds = fields.pop(0) if len(fields) == 7 else "0"
    years = fields.pop() if len(fields) == 6 else "*"
    minutes, hours, month_days, months, week_days = fields
    return Schedule(
        seconds=_field(text, seconds, 0, 59),
        minutes=_field(text, minutes, 0, 59),
        hours=_field(text, hours, 0, 23),
        month_days=_field(text, month_days, 1, 31, {"l": _LAST}),
        months=_field(text, months, 1, 12, _MONTHS),
        week_days=tuple(sorted({day % 7 for day in _field(text, week_days, 0, 7, _WEEK_DAYS)})),
        years=_field(text, years, 1970, 2099),
    )


def _field(
    text: str, field: str, low: int, high: int, names: Mapping[str, int] | None = None
) -> tuple[int, ...]:
    """The values of one field; empty: any."""
    found: set[int] = set()
    for part in field.split(","):
        match = _FIELD.fullmatch(part.replace("?", "*"))
        if match is None:
            raise _refuse(text, f"{part!r} is no value, range or step")
        first, last, step = match.groups()
        if first is None and step is None:
            return ()
        start = low if first is None else _number(text, first, low, high, names)
        end = high if first is None or step is not None else start
        if last is not None:
            end = _number(text, last, low, high, names)
        if start == _LAST:
            found.add(_LAST)
            continue
        if end < start or int(step or "1") == 0:
            raise _refuse(text, f"{part!r} is empty")
        found.update(range(start, end + 1, int(step or "1")))
    return tuple(sorted(found))


def _number(text: str, value: str, low: int, high: int, names: Mapping[str, int] | None) -> int:
    if names and value in names:
        return names[value]
    if value.isdecimal() and value.isascii() and len(value) <= 4 and low <= int(value) <= high:
        return int(value)
    raise _refuse(text, f"{value!r} is not between {low} and {high}")


def _refuse(text: str, why: str) -> DecodeError:
    return DecodeError(
        "charging.schedule",
        f"{text[:60]!r} says no time to run at: {why}; write *asap, *hourly, *daily, *weekly, "
        "*monthly, *monthly_estimated, *month_end, *yearly, an ID of Timings.csv, or five fields "
        "of cron",
    )
