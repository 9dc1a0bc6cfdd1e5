from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.charging.schedule import next_run, parse_cron
from trunkline.errors import DecodeError
from trunkline.rating.model import Timing

GIVEN = datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)  # a Wednesday
TIMINGS = {
    each.id: each
    for each in (
        Timing("ASAP", as_soon=True),
        Timing("NOON", start=43_200),
        Timing("MONDAYS", week_days=(1,), start=28_800),
        Timing("FIRST", month_days=(1,)),
        Timing("NEW_YEAR", years=(2025, 2027)),
        Timing("LEAP", months=(2,), month_days=(29,)),
        Timing("PAST", years=(2020,)),
        Timing("EITHER", month_days=(15,), week_days=(0,)),
    )
}


def runs(named: str, count: int = 3, after: datetime | None = None) -> list[str]:
    at = after or GIVEN - timedelta(seconds=1)
    found: list[str] = []
    while len(found) < count and (run := next_run(named, TIMINGS, GIVEN, at)) is not None:
        assert run > at
        found.append(run.strftime("%Y-%m-%d %H:%M:%S"))
        at = run
    return found


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("*asap", ["2024-01-31 10:20:30"]),
        ("ASAP", ["2024-01-31 10:20:30"]),
        ("*every_minute", ["2024-01-31 10:20:30", "2024-01-31 10:21:30", "2024-01-31 10:22:30"]),
        ("*hourly", ["2024-01-31 10:20:30", "2024-01-31 11:20:30", "2024-01-31 12:20:30"]),
        ("*daily", ["2024-01-31 10:20:30", "2024-02-01 10:20:30", "2024-02-02 10:20:30"]),
        ("*weekly", ["2024-01-31 10:20:30", "2024-02-07 10:20:30", "2024-02-14 10:20:30"]),
        ("*monthly", ["2024-01-31 10:20:30", "2024-03-31 10:20:30", "2024-05-31 10:20:30"]),
        (
            "*monthly_estimated",
            ["2024-01-31 10:20:30", "2024-02-29 10:20:30", "2024-03-31 10:20:30"],
        ),
        ("*month_end", ["2024-01-31 10:20:30", "2024-02-29 10:20:30", "2024-03-31 10:20:30"]),
        ("*yearly", ["2024-01-31 10:20:30", "2025-01-31 10:20:30", "2026-01-31 10:20:30"]),
        ("NOON", ["2024-01-31 12:00:00", "2024-02-01 12:00:00", "2024-02-02 12:00:00"]),
        ("MONDAYS", ["2024-02-05 08:00:00", "2024-02-12 08:00:00", "2024-02-19 08:00:00"]),
        ("FIRST", ["2024-02-01 00:00:00", "2024-03-01 00:00:00", "2024-04-01 00:00:00"]),
        ("NEW_YEAR", ["2025-01-01 00:00:00", "2027-01-01 00:00:00"]),
        ("LEAP", ["2024-02-29 00:00:00", "2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
        ("PAST", []),
        ("EITHER", ["2024-02-04 00:00:00", "2024-02-11 00:00:00", "2024-02-15 00:00:00"]),
        ("0 12 * * *", ["2024-01-31 12:00:00", "2024-02-01 12:00:00", "2024-02-02 12:00:00"]),
        (
            "*/30 9-10 * * mon-fri",
            ["2024-01-31 10:30:00", "2024-02-01 09:00:00", "2024-02-01 09:30:00"],
        ),
        (
            "5/20 0 1 JAN,jul ?",
            ["2024-07-01 00:05:00", "2024-07-01 00:25:00", "2024-07-01 00:45:00"],
        ),
        ("0 0 L * *", ["2024-02-29 00:00:00", "2024-03-31 00:00:00", "2024-04-30 00:00:00"]),
        ("0 0 * * 7", ["2024-02-04 00:00:00", "2024-02-11 00:00:00", "2024-02-18 00:00:00"]),
        ("0 0 1 1 * 2026", ["2026-01-01 00:00:00"]),
        (
            "*/20 59 23 * * * *",
            ["2024-01-31 23:59:00", "2024-01-31 23:59:20", "2024-01-31 23:59:40"],
        ),
    ],
)
def test_when_a_plan_runs(named: str, expected: list[str]) -> None:
    assert runs(named, len(expected) or 1) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
        *("5-1 * * * *", "*/0 * * * *", "a * * * *", "1- * * * *", "1,,2 * * * *", "*fortnightly"),
        *("1 2 3 4 5 6 7 8", "² * * * *", "*/00 * * * *"),
    ],
)
def test_what_says_no_time_is_refused(text: str) -> None:
    with pytest.raises(DecodeError) as refused:
        next_run(text, TIMINGS, GIVEN, GIVEN)
    assert refused.value.code == "charging.schedule"


def test_local_times_where_the_clock_is_changed() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    skipped = datetime(2024, 3, 30, 12, tzinfo=UTC)
    assert next_run("30 2 * * *", {}, skipped, skipped, berlin) == datetime(
        2024, 3, 31, 1, 30, tzinfo=UTC
    )
    twice = datetime(2024, 10, 27, 0, 0, tzinfo=UTC)
    first = next_run("30 2 * * *", {}, twice, twice, berlin)
    assert first == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert next_run("30 2 * * *", {}, twice, first, berlin) == datetime(
        2024, 10, 28, 1, 30, tzinfo=UTC
    )


@given(st.text("0123456789*/,-lL?amonjfe \t", max_size=20))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        schedule = parse_cron(text)
    except DecodeError:
        return
    run = schedule.after(GIVEN)
    assert run is None or run > GIVEN
