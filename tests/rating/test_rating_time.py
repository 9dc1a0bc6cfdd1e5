"""Timings, activations and the clock: midnight, weekdays, daylight saving, plans that change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rating.folder import tariff

from trunkline.rating import Call, RatingError, Tariff, parse_duration, price, price_number
from trunkline.rating.call import epoch_nanoseconds
from trunkline.rating.clock import local_day, local_time, offset_runs
from trunkline.rating.durations import HOUR, MINUTE, SECOND
from trunkline.rating.index import DAY

BERLIN = ZoneInfo("Europe/Berlin")

_NIGHT = {
    "Timings.csv": "NIGHT,*any,*any,*any,*any,02:00:00;03:00:00\n",
    "Rates.csv": "DAY,0,1,60s,60s,0s\nNIGHT,0,10,60s,60s,0s\n",
    "DestinationRates.csv": "DAY,*any,DAY,*up,4,,\nNIGHT,*any,NIGHT,*up,4,,\n",
    "RatingPlans.csv": "P,DAY,*any,10\nP,NIGHT,NIGHT,20\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,,P,\n",
}
"""A minute costs 1, from 02:00 to 03:00 it costs 10."""


def _cost(of: Tariff, answered: str, usage: str, **more: str) -> object:
    call = Call(
        destination="1",
        time=datetime.fromisoformat(answered),
        usage=parse_duration(usage),
        **more,
    )
    cost = price(of, call)
    assert price_number(of, call) == cost.total
    return cost.total


@pytest.mark.parametrize(
    ("answered", "usage", "total"),
    [
        ("2024-05-15T01:30:00Z", "2h", 60 * 1 + 60 * 10),
        # Spring: 01:59:59 is followed by 03:00:00, the hour of the night price never comes.
        ("2024-03-31T00:30:00Z", "2h", 120 * 1),
        # Autumn: the hour comes twice.
        ("2024-10-26T23:30:00Z", "3h", 30 * 1 + 120 * 10 + 30 * 1),
        ("2024-10-27T00:59:00Z", "2m", 2 * 10),
    ],
)
def test_the_clock_on_the_wall_decides(answered: str, usage: str, total: int) -> None:
    # 01:30 UTC is 03:30 in Berlin's summer: shift the first case to local time.
    if answered.startswith("2024-05"):
        answered = answered.replace("T01", "T23").replace("05-15", "05-14")
    assert _cost(tariff(_NIGHT, time_zone=BERLIN), answered, usage) == total


def test_a_timing_in_the_gap_starts_after_it() -> None:
    files = {**_NIGHT, "Timings.csv": "NIGHT,*any,*any,*any,*any,02:30:00;04:00:00\n"}
    of = tariff(files, time_zone=BERLIN)
    # 01:59 local, then 03:00: from there until 04:00 the night price holds.
    assert _cost(of, "2024-03-31T00:59:00Z", "2m") == 1 + 10


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("naive", [datetime(2024, 3, 31, 2, 30), datetime(2024, 10, 27, 2, 30)])
def test_a_reading_that_never_was_or_was_twice(naive: datetime, fold: int) -> None:
    of = tariff(_NIGHT, time_zone=BERLIN)
    local = Call(destination="1", time=naive.replace(tzinfo=BERLIN, fold=fold), usage=MINUTE)
    utc = replace(local, time=local.time.astimezone(UTC))
    expected = 1 if naive.month == 3 else 10
    assert price(of, local).total == price(of, utc).total == expected
    assert price_number(of, local) == price_number(of, utc) == expected


def test_time_zones_are_of_the_tenant_then_of_the_tariff() -> None:
    files = {
        **_NIGHT,
        "RatingProfiles.csv": "cgrates.org,call,*any,,P,\nsydney.example,call,*any,,P,\n",
    }
    zones = {"sydney.example": ZoneInfo("Australia/Sydney")}
    of = tariff(files, time_zone=BERLIN, tenant_time_zones=zones)
    assert _cost(of, "2024-05-15T00:30:00Z", "1m") == 10
    assert _cost(of, "2024-05-15T00:30:00Z", "1m", tenant="sydney.example") == 1
    assert _cost(of, "2024-05-14T16:30:00Z", "1m", tenant="sydney.example") == 10
    assert _cost(tariff(_NIGHT), "2024-05-15T02:30:00Z", "1m") == 10
    # The answer time may be written with any offset.
    assert _cost(tariff(_NIGHT), "2024-05-15T04:30:00+02:00", "1m") == 10


def test_an_explanation_has_both_times() -> None:
    of = tariff(_NIGHT, time_zone=BERLIN)
    call = Call(destination="1", time=datetime(2024, 10, 27, 0, 30, tzinfo=UTC), usage=MINUTE)
    text = str(price(of, call).decision)
    assert "2024-10-27T00:30:00+00:00" in text
    assert "2024-10-27T02:30:00+02:00 in Europe/Berlin" in text


_WEEK = {
    "Timings.csv": (
        "WORK,*any,*any,*any,1;2;3;4;5,08:00:00\nEVENING,*any,*any,*any,1;2;3;4;5,19:00:00\n"
        "NEWYEAR,*any,1,1,*any,00:00:00\n"
    ),
    "Rates.csv": "LOW,0,1,60s,60s,0s\nHIGH,0,5,60s,60s,0s\nFEAST,0,2,60s,60s,0s\n",
    "DestinationRates.csv": "".join(f"{r},*any,{r},*up,4,,\n" for r in ("LOW", "HIGH", "FEAST")),
    "RatingPlans.csv": "P,LOW,*any,10\nP,HIGH,WORK,10\nP,LOW,EVENING,10\nP,FEAST,NEWYEAR,20\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,,P,\n",
}


@pytest.mark.parametrize(
    ("answered", "usage", "total"),
    [
        ("2024-05-15T07:59:00Z", "2m", 1 + 5),  # a Wednesday
        ("2024-05-15T18:58:30Z", "2m", 2 * 5),  # the increment that began is billed as it began
        ("2024-05-15T18:59:00Z", "2m", 5 + 1),
        ("2024-05-17T23:59:00Z", "2m", 2 * 1),  # Friday to Saturday
        ("2024-05-18T12:00:00Z", "2m", 2 * 1),
        ("2024-12-31T23:59:00Z", "2m", 1 + 2),
        ("2024-01-01T12:00:00Z", "1m", 2),  # a Monday, but the feast weighs more
        ("2024-01-01T23:59:00Z", "2m", 2 + 1),
    ],
)
def test_weights_then_the_timing_that_started_latest(answered: str, usage: str, total: int) -> None:
    assert _cost(tariff(_WEEK), answered, usage) == total


def test_days_of_a_voice_call_are_charged_apart() -> None:
    of = tariff(_WEEK)
    call = Call(destination="1", time=datetime(2024, 5, 18, 23, 59, tzinfo=UTC), usage=3 * MINUTE)
    assert [span.duration for span in price(of, call).spans] == [MINUTE, 2 * MINUTE]


def test_data_takes_the_timing_at_its_start() -> None:
    files = {
        **_WEEK,
        "Rates.csv": "LOW,0,1,1,1,0\nHIGH,0,5,1,1,0\nFEAST,0,2,1,1,0\n",
    }
    call = Call(
        destination="",
        time=datetime(2024, 5, 15, 18, 59, 59, 999999, tzinfo=UTC),
        usage=1_000_000,  # as nanoseconds it would reach over 19:00
        tor="*data",
    )
    cost = price(tariff(files), call)
    assert cost.total == 5_000_000
    assert len(cost.spans) == 1


_CHANGE = {
    "Rates.csv": "OLD,3,1,60s,60s,0s\nNEW,5,2,60s,60s,0s\n",
    "Destinations.csv": "D,49\nE,4930\n",
    "DestinationRates.csv": "OLD,D,OLD,*up,4,,\nNEW,E,NEW,*up,2,,\n",
    "RatingPlans.csv": "OLD,OLD,*any,10\nNEW,NEW,*any,10\n",
    "RatingProfiles.csv": (
        "cgrates.org,call,*any,2024-01-01T00:00:00Z,OLD,\n"
        "cgrates.org,call,*any,2024-07-01T00:00:00Z,NEW,\n"
    ),
}


@pytest.mark.parametrize(
    ("answered", "usage", "total"),
    [
        ("2024-06-30T23:00:00Z", "1h", 3 + 60 * 1),
        ("2024-06-30T23:58:00Z", "5m", 3 + 2 * 1 + 3 * 2),  # one connect fee, both plans
        ("2024-06-30T23:58:30Z", "5m", 3 + 2 * 1 + 3 * 2),  # the second minute reached over
        ("2024-07-01T00:00:00Z", "1m", 5 + 2),
    ],
)
def test_each_part_has_the_plan_in_force(answered: str, usage: str, total: int) -> None:
    files = _CHANGE
    call = Call(
        destination="4930123", time=datetime.fromisoformat(answered), usage=parse_duration(usage)
    )
    of = tariff(files)
    assert price(of, call).total == total
    assert price_number(of, call) == total


def test_a_plan_that_takes_over_must_have_the_destination() -> None:
    call = Call(
        destination="4989", time=datetime(2024, 6, 30, 23, 59, tzinfo=UTC), usage=5 * MINUTE
    )
    with pytest.raises(RatingError) as refused:
        price(tariff(_CHANGE), call)
    assert refused.value.code == "rating.no-destination"
    assert "NEW" in str(refused.value)


def test_before_the_first_activation_that_of_any_counts() -> None:
    files = {
        **_CHANGE,
        "RatingProfiles.csv": (
            "cgrates.org,call,*any,,OLD,\ncgrates.org,call,3005,2024-07-01T00:00:00Z,NEW,\n"
        ),
    }
    call = Call(
        destination="4930",
        time=datetime(2024, 6, 30, 23, 58, tzinfo=UTC),
        usage=4 * MINUTE,
        subject="3005",
    )
    assert price(tariff(files), call).total == 3 + 2 * 1 + 2 * 2
    early = Call(destination="4930", time=datetime(2023, 1, 1, tzinfo=UTC), usage=MINUTE)
    with pytest.raises(RatingError) as refused:
        price(tariff(_CHANGE), early)
    assert refused.value.code == "rating.not-active"


_INSTANTS = st.datetimes(datetime(1999, 1, 1), datetime(2037, 1, 1)).map(
    lambda naive: epoch_nanoseconds(naive.replace(tzinfo=UTC))
)


@given(
    _INSTANTS,
    st.integers(0, 80 * HOUR),
    st.sampled_from(
        [UTC, timezone(timedelta(hours=-3, minutes=-30)), BERLIN, ZoneInfo("Australia/Lord_Howe")]
    ),
)
def test_runs_of_one_offset(start: int, length: int, zone: tzinfo) -> None:
    end = start + length
    runs = offset_runs(zone, start, end)
    assert runs[-1][0] == end
    at = start
    for until, offset in runs:
        for instant in (at, (at + until) // 2, until - 1):
            if at <= instant < until:
                local = local_time(zone, instant)
                shown = local.utcoffset()
                assert shown is not None
                assert shown / timedelta(microseconds=1) * 1000 == offset
                ordinal, of_day = local_day(zone, instant)
                assert ordinal == local.toordinal()
                midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
                since = (local.replace(tzinfo=None) - midnight) / timedelta(microseconds=1)
                assert of_day // 1000 == since
                assert 0 <= of_day < DAY
        assert at <= until
        at = until


def test_a_change_of_offset_is_found_to_the_second() -> None:
    change = epoch_nanoseconds(datetime(2024, 3, 31, 1, tzinfo=UTC))
    runs = offset_runs(BERLIN, change - 5 * HOUR, change + 5 * HOUR)
    assert runs == [(change, HOUR), (change + 5 * HOUR, 2 * HOUR)]
    assert offset_runs(BERLIN, change, change + SECOND) == [(change + SECOND, 2 * HOUR)]
