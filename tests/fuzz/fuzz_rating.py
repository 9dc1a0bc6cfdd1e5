"""Rating: any tariff is built or refused as a whole, any call has a price or a ``RatingError``.

The octets choose the rows of a small tariff, sound ones and absurd ones, then calls. Where a call
has a price, the quick way finds the same, the breakdown adds up and the JSON can be written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import TypeVar

from trunkline.rating import (
    EXACT,
    Call,
    Cgrates,
    Cost,
    Precision,
    RatingError,
    RoundingMethod,
    Tariff,
    TariffError,
    event_cost,
    price,
    price_number,
)
from trunkline.rating.durations import LIMIT, MINUTE, SECOND
from trunkline.rating.model import (
    Activation,
    Binding,
    Destination,
    DestinationRate,
    MaxCostStrategy,
    PlanEntry,
    Rate,
    RateSlot,
    RatingPlan,
    RatingProfile,
    Timing,
)

_T = TypeVar("_T")

SEEDS = [bytes(n * step % 251 for n in range(200)) for step in range(1, 60, 3)]

_MONEY = [Fraction(text) for text in ("0", "0.25", "22", "1e-20", "999999999999999", "-1", "1e16")]
_MONEY.append(Fraction(1, 3))
_DURATIONS = [0, 1, 7, SECOND, MINUTE, 90 * SECOND, LIMIT, LIMIT + 1, -1]
_START = datetime(2024, 3, 31, 0, 55, tzinfo=UTC)
_TIMES = [
    None,
    _START,
    _START + timedelta(minutes=3),
    datetime.max.replace(tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23))),
    datetime(2024, 1, 1),
]
_ZONES = [UTC, timezone(timedelta(hours=-23, minutes=-59)), timezone(timedelta(microseconds=1))]


class _Choices:
    """The octets as a row of decisions; when they are used up, always the first."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def number(self, below: int) -> int:
        return next(self._data, 0) % below

    def one(self, of: Sequence[_T], sound: int = 0) -> _T:
        """One of ``of``; nearly always one of the first ``sound``."""
        choice = next(self._data, 0)
        return of[choice % (sound if sound and choice < 254 else len(of))]


def _slot(choose: _Choices, number: int) -> RateSlot:
    start = choose.one([number * MINUTE, *_DURATIONS], 1)
    return RateSlot(
        choose.one(_MONEY, 4),
        choose.one(_MONEY, 4),
        choose.one(_DURATIONS, 7),
        choose.one([SECOND, *_DURATIONS], 6),
        start,
    )


def _timing(choose: _Choices, number: int) -> Timing:
    start = choose.number(5) * 17_280
    return Timing(
        f"T{number}",
        (2024,) * choose.number(2),
        choose.one([(), (3,), (13,), (0, 1)], 2),
        choose.one([(), (31,), (32,)], 2),
        choose.one([(), (0,), (1, 2), (7,)], 3),
        start,
        choose.one([86_400, start + 60, 0, 86_401], 2),
    )


def _tariff(choose: _Choices) -> Tariff:
    tags = [f"D{n}" for n in range(1 + choose.number(3))]
    rates = [f"R{n}" for n in range(1 + choose.number(3))]
    timings = [_timing(choose, n) for n in range(choose.number(4))]
    named = ["*any", "*asap", *(timing.id for timing in timings), "NONE"]
    bound = [
        DestinationRate(
            f"B{n}",
            tuple(
                Binding(
                    choose.one(["*any", *tags, "NONE"], len(tags) + 1),
                    choose.one([*rates, "NONE"], len(rates)),
                    choose.one(list(RoundingMethod)),
                    choose.one([4, 0, 15, 16, -1], 3),
                    choose.one(_MONEY, 4),
                    choose.one(list(MaxCostStrategy)),
                )
                for _ in range(1 + choose.number(3))
            ),
        )
        for n in range(1 + choose.number(3))
    ]
    plans = [
        RatingPlan(
            f"P{n}",
            tuple(
                PlanEntry(
                    choose.one([*(row.id for row in bound), "NONE"], len(bound)),
                    choose.one(named, len(named) - 1),
                    Fraction(choose.number(20) - 2),
                )
                for _ in range(choose.number(5))
            ),
        )
        for n in range(2)
    ]
    profiles = [
        RatingProfile(
            "cgrates.org",
            "call",
            subject,
            tuple(
                Activation(
                    choose.one(_TIMES, 4),
                    choose.one(["P0", "P1", "NONE"], 2),
                    choose.one([(), ("s", "*any"), ("t",), ("", "u", "t")]),
                )
                for _ in range(choose.number(3))
            ),
        )
        for subject in ("s", "t", "*any")
    ]
    prefixes = ["1", "12", "123", "2", "+", ""]
    return Tariff.build(
        destinations=[Destination(tag, (choose.one(prefixes, 5),) * 2) for tag in tags],
        rates=[
            Rate(tag, tuple(_slot(choose, n) for n in range(1 + choose.number(3)))) for tag in rates
        ],
        destination_rates=bound,
        rating_plans=plans,
        rating_profiles=profiles,
        timings=timings,
        time_zone=choose.one(_ZONES),
        fallback_depth=1 + choose.number(4),
    )


def _call(choose: _Choices) -> Call:
    return Call(
        destination=choose.one(["123", "1", "2", "", "*any", "é", "+49"]),
        time=choose.one([time or _START for time in _TIMES], 3)
        + timedelta(seconds=choose.number(200), days=choose.number(2)) * choose.number(2),
        usage=choose.one([MINUTE, 0, 1, 72 * 60 * MINUTE, *_DURATIONS], 4)
        + choose.number(90) * SECOND,
        subject=choose.one(["s", "t", "", "x"]),
        tor=choose.one(["", "*voice", "*data", "*other", "*sms"], 4),
    )


def _built(choose: _Choices) -> Tariff | None:
    try:
        return _tariff(choose)
    except TariffError as refusal:
        if not refusal.problems:
            raise
        return None


def _priced(tariff: Tariff, call: Call, precision: Precision) -> Cost | None:
    try:
        return price(tariff, call, precision)
    except RatingError as refusal:
        if not (refusal.code.startswith("rating.") and refusal.supply):
            raise
        return None


def run(data: bytes) -> None:
    """Raise when rating raises anything undocumented, or disagrees with itself."""
    choose = _Choices(data)
    tariff = _built(choose)
    if tariff is None:
        return
    for precision in (EXACT, Cgrates(5), EXACT, EXACT):
        try:
            call = _call(choose)
        except OverflowError:  # beyond the calendar before rating has seen it
            continue
        cost = _priced(tariff, call, precision)
        if cost is None:
            continue
        assert price_number(tariff, call, precision) == cost.total >= 0
        assert sum(span.duration for span in cost.spans) >= call.usage
        json.dumps(event_cost(cost), allow_nan=False)
        assert str(cost.decision).endswith(cost.decision.total)
