"""Columns of text mean what the readers of single texts say, or are left to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.rating.columns import (
    Offsets,
    Text,
    number_interval,
    number_keys,
    ranks,
    times,
    usages,
)
from trunkline.rating.durations import parse_duration
from trunkline.rating.times import parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES: tuple[tzinfo, ...] = (
    UTC,
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/Sao_Paulo"),
    ZoneInfo("Australia/Lord_Howe"),
)

OFFSETS = {zone: Offsets(zone) for zone in ZONES}
"""Each year of a zone is worked out once."""


def column(values: Sequence[str]) -> Text:
    """Amid others: a column may be a part of one."""
    parts = ["before", *values, "after"]
    data = [part.encode() for part in parts]
    ends = np.cumsum([0, *map(len, data)])
    return Text(np.frombuffer(b"".join(data), np.uint8), ends[1:-1])


NUMBERS = st.text("0123456789", max_size=20)
ODD = st.text("+0123456789aé*", max_size=20)


@given(
    st.lists(NUMBERS | NUMBERS.map(lambda text: f"+{text}") | ODD, min_size=1),
    (NUMBERS | NUMBERS.map(lambda text: f"+{text}")).filter(lambda text: 0 < len(text) < 18),
)
def test_the_numbers_with_a_prefix_are_an_interval(numbers: list[str], prefix: str) -> None:
    interval = number_interval(prefix)
    assert interval is not None
    keys, plain = number_keys(column([*numbers, prefix]))
    for number, key, is_plain in zip(
        [*numbers, prefix], keys.tolist(), plain.tolist(), strict=True
    ):
        assert (interval[0] <= key < interval[1]) == number.startswith(prefix)
        digits = number[1:17] if number.startswith("+") else number[:17]
        assert is_plain == (not digits or (digits.isascii() and digits.isdigit()))


@pytest.mark.parametrize("prefix", ["", "*any", "61a", "++61", "6+1", "６１"])
def test_prefixes_of_no_number(prefix: str) -> None:
    assert number_interval(prefix) is None


@given(st.lists(st.integers(0, 9), unique=True), st.lists(st.integers(-1, 10)))
def test_ranks(of: list[int], values: list[int]) -> None:
    found = ranks(np.array(sorted(of), np.int64), np.array(values, np.int64))
    assert found.tolist() == [sum(each <= value for each in of) - 1 for value in values]


@given(st.lists(st.integers(0, 10**19).map(str) | st.text("0123456789smh.", max_size=12)))
def test_usages(texts: list[str]) -> None:
    values, known = usages(column([*texts, "60s", "60", "1m"]))
    assert known[-3:].tolist() == [True, True, False]
    for text, value, is_known in zip(texts, values.tolist(), known.tolist(), strict=False):
        if is_known:
            assert value == parse_duration(text)


@st.composite
def written(draw: st.DrawFn) -> str:
    time = draw(
        st.datetimes(datetime(1899, 1, 1), datetime(2300, 1, 1))
        | st.datetimes(datetime(2024, 3, 30, 22), datetime(2024, 3, 31, 5))
        | st.datetimes(datetime(2024, 10, 26, 22), datetime(2024, 10, 27, 5))
        | st.datetimes(datetime(2018, 2, 17, 20), datetime(2018, 2, 18, 5))
    )
    text = time.strftime(draw(st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"])))
    text += draw(st.sampled_from(["", "", ".5", ".123456", ".123456789", "."]))
    return text + draw(st.sampled_from(["", "", "Z", "+02:00", "-03:30", "+24:00", "+0200"]))


SPOILT = st.tuples(written(), st.integers(0, 30), st.sampled_from("0123459-:. ZTé")).map(
    lambda of: of[0][: of[1]] + of[2] + of[0][of[1] + 1 :]
)
TICKS = st.integers(0, 10**19).map(str)


@settings(deadline=None)
@given(st.lists(written() | SPOILT | TICKS, min_size=1), st.sampled_from(ZONES))
def test_times(texts: list[str], zone: tzinfo) -> None:
    values, known = times(column(texts), OFFSETS[zone])
    for text, value, is_known in zip(texts, values.tolist(), known.tolist(), strict=True):
        if is_known:
            assert EPOCH + timedelta(microseconds=value) == parse_time(text, zone, EPOCH)


@pytest.mark.parametrize("zone", ZONES)
def test_the_usual_times_are_known(zone: tzinfo) -> None:
    usual = [
        "2014-08-04T13:00:00Z",
        "2014-08-04 13:00:00",
        "2014-08-04T13:00:00+02:00",
        "2014-08-04T13:00:00.123Z",
        "2024-02-29 00:00:00.123456",
        "1407157200",
        "1407157200123",
        "1407157200123456",
    ]
    values, known = times(column(usual), Offsets(zone))
    assert known.all()
    found = [EPOCH + timedelta(microseconds=value) for value in values.tolist()]
    assert found == [parse_time(text, zone, EPOCH) for text in usual]
    for text in ("2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z"):
        assert not times(column([text]), Offsets(zone))[1].any()
        with pytest.raises(DecodeError):
            parse_time(text, zone, EPOCH)
