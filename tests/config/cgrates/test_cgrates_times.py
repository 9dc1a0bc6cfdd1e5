from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.cgrates import parse_time
from trunkline.errors import DecodeError

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2024, 1, 31, 12, tzinfo=UTC)
MOMENT = datetime(2014, 8, 4, 13, tzinfo=UTC)


def at(text: str, zone: tzinfo = UTC) -> datetime | None:
    return parse_time(text, zone, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "2014-08-04T13:00:00Z",
        "2014-08-04T15:00:00+02:00",
        "2014-08-04T07:30:00-05:30",
        "2014-08-04T15:00:00.000+0200",  # Asterisk
        "2014-08-04T13:00:00",
        " 2014-08-04 13:00:00 ",  # SQL
        "2014-08-04 13:00:00 +0000 UTC",  # as Go prints it
        "2014-08-04 15:00:00.000000000 +0200 CEST",
        "2014-08-04 15:00:00 +0200 +0200",
        "1407157200",
        "1407157200000",
        "1407157200000000",  # FreeSWITCH
        "1407157200000000000",
        "20140804130000",
        "20140804130000.000",  # BroadWorks
        "04.08.2014 13:00:00",
        "04/08/2014 13:00:00",
    ],
)
def test_forms(text: str) -> None:
    assert at(text) == MOMENT


@pytest.mark.parametrize("text", ["", " ", "0", "*unlimited"])
def test_no_time(text: str) -> None:
    assert at(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*now", "2024-01-31T12:00:00"),
        ("+1h", "2024-01-31T13:00:00"),
        ("+1h30m", "2024-01-31T13:30:00"),
        ("*daily", "2024-02-01T12:00:00"),
        ("*monthly", "2024-03-02T12:00:00"),  # February has no 31st: it runs over
        ("*monthly_estimated", "2024-02-29T12:00:00"),
        ("*month_end", "2024-01-31T23:59:59"),
        ("*month_end+1s", "2024-02-01T00:00:00"),
        ("*yearly", "2025-01-31T12:00:00"),
        ("*now+10s", "2024-01-31T12:00:10"),
    ],
)
def test_relative_to_now(text: str, expected: str) -> None:
    assert at(text) == datetime.fromisoformat(f"{expected}+00:00")


def test_fractions_are_kept_to_the_microsecond() -> None:
    assert at("2014-08-04T13:00:00.123456789Z") == MOMENT.replace(microsecond=123456)
    assert at("1407157200123456789") == MOMENT.replace(microsecond=123456)


def test_local_times_where_clocks_change() -> None:
    assert at("2014-01-01 00:00:00", BERLIN) == datetime(2013, 12, 31, 23, tzinfo=UTC)
    assert at("2014-07-01 00:00:00", BERLIN) == datetime(2014, 6, 30, 22, tzinfo=UTC)
    # 02:30 occurs twice: the first is meant; and 02:30 does not occur: by the offset before it.
    assert at("2014-10-26 02:30:00", BERLIN) == datetime(2014, 10, 26, 0, 30, tzinfo=UTC)
    assert at("2014-03-30 02:30:00", BERLIN) == datetime(2014, 3, 30, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2014-08-04",
        "13:00:00",
        "2014-13-04T13:00:00Z",
        "2014-02-30T13:00:00Z",
        "2014-08-04T24:00:00Z",
        "2014-08-04T13:00Z",
        "2014-08-04T13:00:00+99:00",
        "0001-01-01T00:00:00+23:00",
        "12345",
        "99999999999999999999",
        "*sometimes",
        "*yearly+x",
        "+",
        "+-1h",
        "١٤٠٧١٥٧٢٠٠",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(DecodeError) as refused:
        at(text)
    assert refused.value.code == "cgrates.time"


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_one_error(text: str) -> None:
    with suppress(DecodeError):
        moment = at(text)
        assert moment is None or moment.tzinfo is UTC
