"""Profiles, fallbacks, prefixes; refusals that say what is missing; maxima."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.rating.folder import TUTORIAL, tariff

from trunkline.rating import (
    EXACT,
    Call,
    Cgrates,
    Precision,
    RatingError,
    price,
    price_number,
    price_plans,
)
from trunkline.rating.durations import HOUR, MINUTE, SECOND
from trunkline.rating.model import (
    Activation,
    Binding,
    Destination,
    DestinationRate,
    PlanEntry,
    Rate,
    RateSlot,
    RatingPlan,
    RatingProfile,
)
from trunkline.rating.rounding import RoundingMethod
from trunkline.rating.tariff import Tariff

_AT = datetime(2024, 5, 15, 13, tzinfo=UTC)
_CALL = Call(destination="614", time=_AT, usage=MINUTE)


def _refusal(of: Tariff, call: Call) -> RatingError:
    with pytest.raises(RatingError) as refused:
        price(of, call)
    with pytest.raises(RatingError) as again:
        price_number(of, call)
    assert str(again.value) == str(refused.value)
    return refused.value


@pytest.mark.parametrize(
    ("call", "code", "missing", "words"),
    [
        (replace(_CALL, tenant="x.org"), "rating.no-plan", "RatingProfile", "RatingProfiles.csv"),
        (replace(_CALL, category="sms"), "rating.no-plan", "RatingProfile", "cgrates.org:sms"),
        (replace(_CALL, destination="49"), "rating.no-destination", "Destination", "RP_AUS"),
        (replace(_CALL, destination=""), "rating.no-destination", "Destination", "*any"),
        (
            replace(_CALL, time=datetime(2013, 1, 1, tzinfo=UTC)),
            "rating.not-active",
            "Activation",
            "2014-01-14",
        ),
        (replace(_CALL, time=datetime(2024, 1, 1)), "rating.time", "the call's time zone", "Z"),
        (replace(_CALL, time=datetime(9999, 1, 1, tzinfo=UTC)), "rating.time", "a plausible", ""),
        (replace(_CALL, usage=-1), "rating.usage", "a usage", "negative"),
        (replace(_CALL, usage=72 * HOUR + 1), "rating.usage-limit", "a usage within", "72h0m0s"),
        (replace(_CALL, usage=10**30), "rating.usage-limit", "a usage within", "72h0m0s"),
    ],
)
def test_refusals_say_which_link_is_missing(
    call: Call, code: str, missing: str, words: str
) -> None:
    refusal = _refusal(tariff(TUTORIAL), call)
    assert refusal.code == code
    assert refusal.missing.startswith(missing)
    assert words in str(refusal)
    assert refusal.supply in str(refusal)


def test_a_call_of_72_hours_has_a_price() -> None:
    assert price_number(tariff(TUTORIAL), replace(_CALL, usage=72 * HOUR)) == 72 * 60 * 22


def test_a_call_that_runs_into_a_time_without_a_price_is_refused() -> None:
    files = {
        **TUTORIAL,
        "Timings.csv": "DAY,*any,*any,*any,*any,08:00:00;13:01:00\n",
        "RatingPlans.csv": "RP_AUS,DR_AUS_Mobile,DAY,10\n",
    }
    of = tariff(files)
    assert price_number(of, _CALL) == 22
    refusal = _refusal(of, replace(_CALL, usage=2 * MINUTE))
    assert refusal.code == "rating.no-timing"
    assert "2024-05-15T13:01:00+00:00" in str(refusal)
    refusal = _refusal(of, replace(_CALL, time=datetime(2024, 5, 15, 7, tzinfo=UTC)))
    assert refusal.code == "rating.no-timing"


_FALLBACKS = {
    "Destinations.csv": "D1,1\nD2,2\nD3,3\nD4,4\n",
    "Rates.csv": "R1,0,1,60s,60s,0s\nR2,0,2,60s,60s,0s\nR3,0,3,60s,60s,0s\nR4,0,4,60s,60s,0s\n",
    "DestinationRates.csv": "".join(f"DR{n},D{n},R{n},*up,4,,\n" for n in (1, 2, 3, 4)),
    "RatingPlans.csv": "P1,DR1,*any,10\nP2,DR2,*any,10\nP3,DR3,*any,10\nP4,DR4,*any,10\n",
    "RatingProfiles.csv": (
        "cgrates.org,call,a,,P1,a;nobody;b;c\ncgrates.org,call,b,,P2,\n"
        "cgrates.org,call,c,,P3,d\ncgrates.org,call,d,,P4,\ncgrates.org,call,*any,,P4,\n"
    ),
}


@pytest.mark.parametrize(("destination", "total"), [("1", 1), ("2", 2), ("3", 3), ("4", 4)])
def test_fallback_subjects_are_tried_in_their_order(destination: str, total: int) -> None:
    call = replace(_CALL, destination=destination, subject="a")
    cost = price(tariff(_FALLBACKS), call)
    assert cost.total == total
    assert price_number(tariff(_FALLBACKS), call) == total


def test_fallbacks_end_at_their_depth() -> None:
    call = replace(_CALL, destination="4", subject="a")
    refusal = _refusal(tariff(_FALLBACKS, fallback_depth=2), call)
    assert refusal.code == "rating.no-destination"
    assert "a;nobody;b;c" in str(refusal)
    # *any is no fallback of a subject that has a profile.
    assert _refusal(tariff(_FALLBACKS), replace(call, subject="b")).code == "rating.no-destination"
    assert price_number(tariff(_FALLBACKS), replace(call, subject="zz")) == 4


def test_the_subject_is_the_account_where_there_is_none() -> None:
    call = replace(_CALL, destination="2", account="b")
    assert price(tariff(_FALLBACKS), call).spans[0].match.subject_key == "*out:cgrates.org:call:b"


def test_a_plan_alone_can_price() -> None:
    of = tariff(_FALLBACKS)
    call = replace(_CALL, destination="3")
    assert price_plans(of, call, ["P1", "P3", "P2"]).spans[0].match.active.plan.id == "P3"
    for plans, code in ((["P1", "P2"], "rating.no-destination"), ([], "rating.no-plan")):
        with pytest.raises(RatingError) as refused:
            price_plans(of, call, plans)
        assert refused.value.code == code
    with pytest.raises(RatingError, match="no rating plan NONE"):
        price_plans(of, call, ["NONE"])


_CAPPED = {
    **TUTORIAL,
    "Rates.csv": "R,1,2,60s,60s,0s\nR,0,4,60s,60s,120s\n",
    "DestinationRates.csv": "DR,DST_AUS_Mobile,R,*up,2,11,*free\n",
    "RatingPlans.csv": "RP_AUS,DR,*any,10\n",
}


@pytest.mark.parametrize("precision", [EXACT, Cgrates(5)])
@pytest.mark.parametrize(("minutes", "total"), [(1, 3), (2, 5), (3, 9), (4, 11), (60, 11)])
def test_free_after_the_maximum(minutes: int, total: int, precision: Precision) -> None:
    of = tariff(_CAPPED)
    call = replace(_CALL, usage=minutes * MINUTE)
    assert price(of, call, precision).total == total
    assert price_number(of, call, precision) == total


def test_disconnect_never_caps() -> None:
    files = {**_CAPPED, "DestinationRates.csv": "DR,DST_AUS_Mobile,R,*up,2,11,*disconnect\n"}
    assert price_number(tariff(files), replace(_CALL, usage=60 * MINUTE)) == 1 + 4 + 58 * 4


def test_the_span_with_most_decimals_rounds() -> None:
    files = {
        "Timings.csv": "LATE,*any,*any,*any,*any,13:01:00\n",
        "Rates.csv": "A,0,0.1234,60s,60s,0s\nB,0,0.00001,60s,60s,0s\n",
        "DestinationRates.csv": "A,*any,A,*up,2,,\nB,*any,B,*down,3,,\n",
        "RatingPlans.csv": "P,A,*any,10\nP,B,LATE,10\n",
        "RatingProfiles.csv": "cgrates.org,call,*any,,P,\n",
    }
    of = tariff(files)
    assert str(price_number(of, _CALL)) == "0.13"
    assert str(price_number(of, replace(_CALL, usage=2 * MINUTE))) == "0.123"


def test_only_5_or_6_decimals_are_the_references() -> None:
    with pytest.raises(RatingError) as refused:
        Cgrates(4)
    assert refused.value.code == "rating.precision"


@given(
    st.lists(st.tuples(st.text("123+", min_size=1, max_size=6), st.integers(0, 5)), max_size=30),
    st.sets(st.integers(0, 5)),
    st.text("123+", max_size=8),
)
def test_the_longest_prefix_is_that_of_a_linear_scan(
    rows: list[tuple[str, int]], bound: set[int], number: str
) -> None:
    tags: dict[int, list[str]] = {}
    for prefix, tag in rows:
        tags.setdefault(tag, []).append(prefix)
    planned = sorted(bound & set(tags))
    # Destinations that share a prefix share the price here: which of them wins has its own rule.
    of = Tariff.build(
        destinations=[Destination(f"D{tag}", tuple(found)) for tag, found in tags.items()],
        rates=[Rate("R", (RateSlot(Fraction(0), Fraction(1), MINUTE, SECOND, 0),))],
        destination_rates=[
            DestinationRate(
                "DR", tuple(Binding(f"D{tag}", "R", RoundingMethod.UP, 4) for tag in planned)
            )
        ],
        rating_plans=[RatingPlan("P", (PlanEntry("DR", "*any", Fraction(10)),))],
        rating_profiles=[RatingProfile("cgrates.org", "call", "*any", (Activation(None, "P"),))],
    )
    call = replace(_CALL, destination=number)
    matching = [prefix for prefix, tag in rows if tag in bound and number.startswith(prefix)]
    assume(number != "*any")
    if not matching:
        assert _refusal(of, call).code == "rating.no-destination"
        return
    longest = max(matching, key=len)
    match = price(of, call).spans[0].match
    assert match.prefix == longest
    assert longest in tags[int(match.group.destination_id[1:])]
    assert price_number(of, call) == 1
