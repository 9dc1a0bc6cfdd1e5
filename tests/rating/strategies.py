"""Small tariffs and calls that meet their edges: midnight, daylight saving, activations, slots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from trunkline.rating import Call, RoundingMethod, Tariff
from trunkline.rating.durations import SECOND
from trunkline.rating.model import (
    Activation,
    Binding,
    Destination,
    DestinationRate,
    MaxCostStrategy,
    Parts,
    PlanEntry,
    Rate,
    RateSlot,
    RatingPlan,
    RatingProfile,
    Timing,
)

ZONES: tuple[tzinfo, ...] = (
    UTC,
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/Sao_Paulo"),  # changed its clock at midnight
    ZoneInfo("Australia/Lord_Howe"),  # by half an hour
)
EDGES = (
    datetime(2024, 5, 15, 17, 55, tzinfo=UTC),
    datetime(2024, 5, 17, 21, 55, tzinfo=UTC),  # a Friday's midnight in Berlin
    datetime(2024, 3, 31, 0, 55, tzinfo=UTC),  # Berlin skips an hour at 01:00 UTC
    datetime(2024, 10, 27, 0, 55, tzinfo=UTC),  # and has one twice
    datetime(2018, 11, 4, 2, 55, tzinfo=UTC),  # Sao Paulo skips midnight at 03:00 UTC
    datetime(2018, 2, 18, 1, 55, tzinfo=UTC),  # and has the hour before it twice
    datetime(2024, 12, 31, 23, 55, tzinfo=UTC),
)
_MONEY = st.sampled_from(
    [Fraction(0), Fraction(1, 3000), Fraction(1, 100), Fraction(22), Fraction(7, 5)]
)
_MONEY = _MONEY.map(lambda value: Fraction(str(round(float(value), 4))))


_FEW = st.integers(1, 3)


@st.composite
def slots(draw: st.DrawFn) -> tuple[RateSlot, ...]:
    first = draw(st.sampled_from([1, 6, 30, 60]))
    starts = [0, *sorted(draw(st.sets(st.sampled_from([60, 120, 180, 240]), max_size=2)))]
    return tuple(
        RateSlot(
            draw(_MONEY),
            draw(_MONEY),
            draw(st.sampled_from([0, 1, 60])) * SECOND,
            (first if number == 0 else draw(st.sampled_from([0, 1, 7, 60, 90]))) * SECOND,
            start * SECOND,
        )
        for number, start in enumerate(starts)
    )


_DATES = st.sampled_from(
    [((), (), ()), ((), (), ()), ((2024,), (), ()), ((), (1, 3, 5), ()), ((), (), (1, 15, 31))]
)


@st.composite
def timings(draw: st.DrawFn, edge: datetime, zone: tzinfo) -> list[Timing]:
    """Some that begin and end while calls near ``edge`` are on."""
    local = (edge + timedelta(minutes=draw(st.integers(0, 12)))).astimezone(zone)
    near = local.hour * 60 + local.minute
    minutes = st.sampled_from([0, 1, 120, 121, 150, 180, 1439, near, near, near])
    made = []
    for number in range(draw(st.integers(0, 4))):
        start = draw(minutes)
        end = draw(st.sampled_from([1440, 1440, start + 1, start + 7, 150, near]))
        week_days = draw(st.sampled_from([(), (), (1, 2, 3, 4, 5), (0, 6), (0,)]))
        if start < end <= 1440:
            made.append(Timing(f"T{number}", *draw(_DATES), week_days, start * 60, end * 60))
    return made


def _bindings(
    draw: st.DrawFn, destinations: list[Destination], rates: list[Rate]
) -> tuple[Binding, ...]:
    tags = st.sampled_from([*(row.id for row in destinations), "*any"])
    return tuple(
        Binding(
            tag,
            draw(st.sampled_from([row.id for row in rates])),
            draw(st.sampled_from(list(RoundingMethod))),
            draw(st.integers(0, 5)),
            draw(st.sampled_from(["0", "1.5", "40"]).map(Fraction)),
            draw(st.sampled_from(list(MaxCostStrategy))),
        )
        for tag in draw(st.lists(tags, min_size=1, max_size=3, unique=True))
    )


@st.composite
def cases(
    draw: st.DrawFn, *, several: int = 1, longest: int = 900
) -> tuple[Parts, tzinfo, list[Call]]:
    """Rows, the time zone for them, and calls that meet what changes in them."""
    edge, zone = draw(st.sampled_from(EDGES)), draw(st.sampled_from(ZONES))
    prefixes = st.sets(st.text("12", min_size=1, max_size=3), min_size=1, max_size=3).map(sorted)
    destinations = [Destination(f"D{n}", tuple(draw(prefixes))) for n in range(draw(_FEW))]
    rates = [Rate(f"R{n}", draw(slots())) for n in range(draw(_FEW))]
    named = draw(timings(edge, zone))
    bound = [
        DestinationRate(f"DR{n}", _bindings(draw, destinations, rates)) for n in range(draw(_FEW))
    ]
    tags = [*(row.id for row in named), *(row.id for row in named), "*any"]

    def entry(number: int) -> PlanEntry:
        # Seldom the same: two prices that weigh the same and start together are refused.
        weight = Fraction(draw(st.sampled_from([10, number + 1, 20 - number])))
        return PlanEntry(draw(st.sampled_from(bound)).id, draw(st.sampled_from(tags)), weight)

    # Mostly every destination has a price that always holds, which timings then outweigh.
    ground = [PlanEntry("BASE", "*any", Fraction(0))] if draw(st.integers(0, 3)) else []
    base = tuple(
        Binding(tag, draw(st.sampled_from(rates)).id, RoundingMethod.UP, draw(st.integers(0, 3)))
        for tag in [*(row.id for row in destinations), "*any"]
    )
    bound.append(DestinationRate("BASE", base))
    plans = [
        RatingPlan(f"P{n}", (*ground, *(entry(k) for k in range(draw(_FEW) + 1)))) for n in range(3)
    ]
    any_plan = st.sampled_from(plans).map(lambda plan: plan.id)
    first: list[datetime | None] = [None, edge - timedelta(days=1), edge + timedelta(minutes=2)]
    times = [draw(st.sampled_from(first)), edge + timedelta(minutes=draw(st.integers(3, 12)))]
    fallbacks = draw(st.sampled_from([(), ("t",), ("u", "t"), ("s",)]))

    def profile(subject: str, *activations: Activation) -> RatingProfile:
        return RatingProfile("cgrates.org", "call", subject, activations)

    profiles = [
        profile("s", *(Activation(time, draw(any_plan), fallbacks) for time in times)),
        # One activation for ever: what a fallback decides, it decides for the part it is asked for.
        profile("t", Activation(None, "P1", draw(st.sampled_from([(), ("*any",)])))),
        profile("*any", Activation(None, "P2")),
    ]
    calls = [
        Call(
            destination=draw(st.text("12", min_size=1, max_size=5) | st.just("")),
            time=edge + timedelta(seconds=draw(st.integers(0, 300) | st.integers(300, 600))),
            usage=draw(st.integers(0, longest) | st.integers(200, longest)) * SECOND,
            subject=draw(st.sampled_from(["s", "s", "t", "x", ""])),
            tor=draw(st.sampled_from(["", "*voice", "*voice", "*generic"])),
        )
        for _ in range(several)
    ]
    return Parts(destinations, rates, bound, plans, profiles, named), zone, calls


def build(of: Parts, zone: tzinfo) -> Tariff:
    return Tariff.build(
        destinations=of.destinations,
        rates=of.rates,
        destination_rates=of.destination_rates,
        rating_plans=of.rating_plans,
        rating_profiles=of.rating_profiles,
        timings=of.timings,
        time_zone=zone,
    )
