"""Prices a second, what a long call costs more than a short one, and building a large tariff.

Calls are drawn at random in destination, time and usage beforehand; every one is priced once, and
nothing is remembered from one to the next. Figures are the median of several rounds, ratios are
taken round by round.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import partial
from zoneinfo import ZoneInfo

from trunkline.rating import Call, Cgrates, Tariff, event_cost, price, price_number
from trunkline.rating.durations import SECOND
from trunkline.rating.tariff import (
    Activation,
    Binding,
    Destination,
    DestinationRate,
    PlanEntry,
    Rate,
    RateSlot,
    RatingPlan,
    RatingProfile,
    RoundingMethod,
    Timing,
)

_MINUTE = 60 * SECOND
_WORKDAYS = (1, 2, 3, 4, 5)
_DESTINATIONS = 5_000


def _rates() -> list[Rate]:
    """A third by the minute, a third by the second with a connect fee, a third with two slots."""
    rates = []
    for number in range(300):
        value, fee = Fraction(number % 97 + 3, 100), Fraction(number % 11, 100)
        first = RateSlot(Fraction(0), value, _MINUTE, _MINUTE, 0)
        if number % 3 == 1:
            first = RateSlot(fee, value, _MINUTE, SECOND, 0)
        slots: tuple[RateSlot, ...] = (first,)
        if number % 3 == 2:
            slots = (first, RateSlot(Fraction(0), value / 2, _MINUTE, SECOND, _MINUTE))
        rates.append(Rate(f"RT_{number}", slots))
    return rates


def tariff(prefixes: int, *, timed: bool, zone: tzinfo = UTC) -> Tariff:
    """A tariff of so many prefixes; with ``timed`` each destination has a peak price."""
    numbers = random.Random(7).sample(range(10_000_000, 100_000_000), prefixes)
    count = min(_DESTINATIONS, prefixes)
    destinations = [
        Destination(f"DST_{number}", tuple(str(prefix) for prefix in numbers[number::count]))
        for number in range(count)
    ]

    def bindings(shift: int) -> tuple[Binding, ...]:
        methods = tuple(RoundingMethod)
        return tuple(
            Binding(f"DST_{n}", f"RT_{(n * 7 + shift) % 300}", methods[n % 3], 4)
            for n in range(count)
        )

    weight = Fraction(10)
    entries = [PlanEntry("DR_OFF", "*any", weight)]
    if timed:
        entries.append(PlanEntry("DR_PEAK", "PEAK", weight))
    return Tariff.build(
        destinations=destinations,
        rates=_rates(),
        destination_rates=[
            DestinationRate("DR_OFF", bindings(0)),
            DestinationRate("DR_PEAK", bindings(1)),
        ],
        timings=[Timing("PEAK", week_days=_WORKDAYS, start=8 * 3600, end=19 * 3600)],
        rating_plans=[RatingPlan("RP", tuple(entries))],
        rating_profiles=[
            RatingProfile(
                "cgrates.org",
                "call",
                "*any",
                (Activation(datetime(2014, 1, 14, tzinfo=UTC), "RP"),),
            )
        ],
        time_zone=zone,
    )


def calls(of: Tariff, count: int) -> list[Call]:
    """Calls at random: destination, second of 2024, usage up to 10 minutes."""
    generator = random.Random(11)
    prefixes = list(of.index.prefixes)
    first = datetime(2024, 1, 1, tzinfo=UTC)
    return [
        Call(
            destination=f"{generator.choice(prefixes)}{generator.randrange(10_000):04d}",
            time=first + timedelta(seconds=generator.randrange(366 * 86_400)),
            usage=generator.randrange(1, 600) * SECOND,
            tenant="cgrates.org",
            category="call",
            subject=f"3{generator.randrange(10_000):04d}",
        )
        for _ in range(count)
    ]


def _seconds(work: Callable[[Call], object], over: Sequence[Call]) -> float:
    gc.collect()
    started = time.process_time()
    for call in over:
        work(call)
    return time.process_time() - started


def _rate(work: Callable[[Call], object], over: Sequence[Call], rounds: int) -> float:
    return len(over) / statistics.median(_seconds(work, over) for _ in range(rounds))


def _json(of: Tariff, call: Call) -> str:
    return json.dumps(event_cost(price(of, call, reasons=False)))


def _long_call(work: Callable[[Tariff, Call], object], rounds: int) -> float:
    """10 hours billed by the second over one minute of the same, the median of the rounds."""
    rate = Rate("RT", (RateSlot(Fraction(0), Fraction(25), _MINUTE, SECOND, 0),))
    of = Tariff.build(
        destinations=[Destination("DST", ("614",))],
        rates=[rate],
        destination_rates=[
            DestinationRate("DR", (Binding("DST", "RT", RoundingMethod.UP, 4),)),
        ],
        rating_plans=[RatingPlan("RP", (PlanEntry("DR", "*any", Fraction(10)),))],
        rating_profiles=[
            RatingProfile("cgrates.org", "call", "*any", (Activation(None, "RP"),)),
        ],
    )
    answered = datetime(2024, 5, 15, 20, tzinfo=UTC)  # ten hours go over midnight: two spans
    short, long = (
        [Call(destination="61412345", time=answered, usage=usage)] * 2_000
        for usage in (_MINUTE, 36_000 * SECOND)
    )
    return statistics.median(
        _seconds(partial(work, of), long) / _seconds(partial(work, of), short)
        for _ in range(rounds)
    )


def _build(prefixes: int) -> dict[str, float]:
    """Seconds and peak megabytes of building, in a process of its own."""
    code = f"from bench import rating; rating.report_build({prefixes})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


def report_build(prefixes: int) -> None:
    started = time.process_time()
    tariff(prefixes, timed=False)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def run(quick: bool) -> dict[str, float]:
    """All figures by name: prices a second, ratios, seconds and megabytes."""
    rounds, count, prefixes = (3, 5_000, 20_000) if quick else (7, 50_000, 500_000)
    figures: dict[str, float] = {}
    for name, timed in (("", False), ("_peak", True)):
        of = tariff(prefixes // 10, timed=timed)
        drawn = calls(of, count)
        some = drawn[: count // 10]
        figures[f"number{name}_per_s"] = _rate(partial(price_number, of), drawn, rounds)
        for kind, work in (
            ("number_cgrates", partial(price_number, of, precision=Cgrates(5))),
            ("breakdown", partial(price, of, reasons=False)),
            ("breakdown_reasons", partial(price, of)),
            ("json", partial(_json, of)),
        ):
            figures[f"{kind}{name}_per_s"] = _rate(work, some, rounds)
    berlin = tariff(prefixes // 10, timed=True, zone=ZoneInfo("Europe/Berlin"))
    drawn = calls(berlin, count)
    figures["number_peak_zone_per_s"] = _rate(partial(price_number, berlin), drawn, rounds)
    figures["long_call_number_ratio"] = _long_call(price_number, rounds)
    figures["long_call_breakdown_ratio"] = _long_call(price, rounds)
    built = _build(prefixes)
    figures["build_prefixes"] = prefixes
    figures["build_seconds"] = built["seconds"]
    figures["build_peak_mb"] = built["peak_mb"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for name, figure in run(options.quick).items():
        print(f"{name:28} {figure:12,.2f}")


if __name__ == "__main__":
    main()
