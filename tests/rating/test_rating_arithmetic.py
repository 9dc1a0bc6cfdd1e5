"""Durations and rounding: round trips, the reference's own ways, and what is refused."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.rating import RoundingMethod, format_duration, format_money, format_usage
from trunkline.rating.durations import HOUR, LIMIT, MINUTE, SECOND, parse_duration
from trunkline.rating.rounding import round_duration, round_float, round_fraction, round_ratio

_MODES = {
    RoundingMethod.UP: ROUND_CEILING,
    RoundingMethod.MIDDLE: ROUND_HALF_UP,
    RoundingMethod.DOWN: ROUND_FLOOR,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("0", 0),
        ("0s", 0),
        ("60", 60),
        ("60s", 60 * SECOND),
        ("1m0s", MINUTE),
        ("1h2m", HOUR + 2 * MINUTE),
        ("1h2m3s", HOUR + 2 * MINUTE + 3 * SECOND),
        ("300ms", 300_000_000),
        ("1.5h", 90 * MINUTE),
        (".5s", SECOND // 2),
        ("2us", 2_000),
        ("2µs", 2_000),
        ("2μs", 2_000),
        ("7ns", 7),
        ("0.7ns", 0),
        ("1.9", 1),
        ("120000000000", 120 * SECOND),
    ],
)
def test_durations_are_read(text: str, value: int) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("-1s", 0),
        ("+1s", 0),
        ("s", 0),
        (".", 0),
        (".s", 0),
        ("1x", 0),
        ("1s2", 2),
        ("1m 2s", 2),
        (" 1s", 0),
        ("1e9", 0),
        ("٣s", 0),  # digits, but not those of a file format
        ("9" * 30, 0),
        ("9" * 30 + "s", 0),
        ("99999999h", 0),
        ("inf", 0),
        ("nan", 0),
    ],
)
def test_what_is_no_duration_is_refused_with_its_column(text: str, offset: int) -> None:
    with pytest.raises(DecodeError) as refused:
        parse_duration(text)
    assert refused.value.code == "rating.duration"
    assert refused.value.offset == offset


@given(st.integers(0, LIMIT))
def test_durations_round_trip(value: int) -> None:
    text = format_duration(value)
    assert parse_duration(text) == value
    assert re.fullmatch(r"(\d+h\d+m|\d+m)?[\d.]+s|[\d.]+(ms|µs|ns)", text)
    assert parse_duration(format_usage(value, "*data")) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (1_500_000, "1.5ms"),
        (SECOND, "1s"),
        (MINUTE, "1m0s"),
        (HOUR, "1h0m0s"),
        (HOUR + 1_500_000_000, "1h0m1.5s"),
        (-MINUTE, "-1m0s"),
    ],
)
def test_durations_are_written_as_the_reference_does(value: int, text: str) -> None:
    assert format_duration(value) == text


def _column(text: str) -> int:
    """Where ``text`` is refused; its end if it is not."""
    try:
        assert 0 <= parse_duration(text) <= LIMIT
    except DecodeError as refusal:
        return refusal.offset
    return len(text)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    assert 0 <= _column(text) <= len(text)


@given(
    st.fractions(min_value=0, max_value=10**9, max_denominator=10**9),
    st.integers(0, 15),
    st.sampled_from(list(RoundingMethod)),
)
def test_exact_rounding_is_that_of_decimal(
    value: Fraction, decimals: int, method: RoundingMethod
) -> None:
    # 100 digits tell every quotient of such denominators from the borders between results.
    with localcontext() as context:
        context.prec = 100
        quotient = Decimal(value.numerator) / Decimal(value.denominator)
        expected = quotient.quantize(Decimal(1).scaleb(-decimals), _MODES[method])
    assert round_fraction(value, decimals, method) == expected


@given(st.integers(0, 10**40), st.integers(1, 10**20), st.sampled_from(list(RoundingMethod)))
def test_rounding_moves_by_less_than_one(
    numerator: int, denominator: int, method: RoundingMethod
) -> None:
    rounded = round_ratio(numerator, denominator, method)
    assert abs(Fraction(numerator, denominator) - rounded) < 1
    if method is RoundingMethod.MIDDLE:
        assert abs(Fraction(numerator, denominator) - rounded) <= Fraction(1, 2)


@given(st.integers(0, 10**9), st.integers(0, 6), st.sampled_from(list(RoundingMethod)))
def test_rounding_as_the_reference_keeps_what_is_round(
    scaled: int, decimals: int, method: RoundingMethod
) -> None:
    value = scaled / 10**decimals
    if method is not RoundingMethod.DOWN:
        assert round_float(value, decimals, method) == pytest.approx(value, abs=1e-9)


def test_up_ignores_the_noise_of_floating_point() -> None:
    assert round_float(0.07, 2, RoundingMethod.UP) == 0.07  # 0.07 · 100 is 7.000000000000001
    assert round_float(1.00000000001, 2, RoundingMethod.UP) == 1.0
    assert round_fraction(Fraction("1.00000000001"), 2, RoundingMethod.UP) == Decimal("1.01")


def test_multiples_hold_their_duration() -> None:
    assert round_duration(61, 60) == 120
    with pytest.raises(ValueError, match="holds"):
        round_duration(1, 0)


@given(st.decimals(0, 10**12, places=8))
def test_money_is_written_and_read(value: Decimal) -> None:
    text = format_money(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert "." not in text or not text.endswith(("0", "."))


def test_money_without_an_end_is_a_fraction() -> None:
    assert format_money(Fraction(5, 12)) == "5/12"
    assert format_money(Fraction(1, 8)) == "0.125"
    assert format_money(Fraction(22)) == "22"
