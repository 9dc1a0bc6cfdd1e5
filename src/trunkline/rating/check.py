"""What makes a tariff unfit to count: every problem, with its source, in one pass.

Only what would make a price wrong, arbitrary or impossible is a problem here. What is merely
useless (a shadowed row, an unreachable entry, a fallback subject without a profile) is for the
reader of files to warn about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Protocol

from trunkline.rating.durations import LIMIT, SECOND, format_duration
from trunkline.rating.errors import Problem, Source
from trunkline.rating.model import (
    ANY,
    BUILT_IN_TIMINGS,
    DAY_SECONDS,
    Binding,
    Parts,
    PlanEntry,
    Rate,
    RatingProfile,
    Timing,
)
from trunkline.rating.rounding import MAX_DECIMALS

__all__ = ["MAX_MONEY", "MAX_PLACES", "problems"]

MAX_MONEY = 10**15
"""The highest fee, rate or maximum: a ``float64`` still tells neighbouring units apart there."""
MAX_PLACES = 20
"""The most decimal places of a fee or rate."""


class _Identified(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> Source | None: ...


def problems(parts: Parts) -> list[Problem]:
    """Everything that is wrong with the rows, in the order of the chain; empty: none."""
    return [
        *_twice("Timing", parts.timings),
        *_twice("Destination", parts.destinations),
        *_twice("Rate", parts.rates),
        *_twice("DestinationRate", parts.destination_rates),
        *_twice("RatingPlan", parts.rating_plans),
        *_profile_twice(parts.rating_profiles),
        *(problem for timing in parts.timings for problem in _timing(timing)),
        *_prefixes(parts),
        *(problem for rate in parts.rates for problem in _rate(rate)),
        *_tags(parts),
        *_overlaps(parts),
        *_loops(parts.rating_profiles),
    ]


def _twice(kind: str, rows: Iterable[_Identified]) -> Iterator[Problem]:
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            message = f"{kind} {row.id} is there twice; merge the rows of one ID"
            yield Problem("rating.twice", message, row.source, "ID")
        seen.add(row.id)


def _profile_twice(profiles: Sequence[RatingProfile]) -> Iterator[Problem]:
    seen: set[tuple[str, str, str]] = set()
    for profile in profiles:
        key = (profile.tenant, profile.category, profile.subject)
        if key in seen:
            message = f"the profile {':'.join(key)} is there twice; merge its rows"
            yield Problem("rating.twice", message, profile.source, "Subject")
        seen.add(key)
        times: set[datetime | None] = set()
        for activation in profile.activations:
            if why := _activation_time(activation.time):
                message = f"the activation time {activation.time} {why}"
                yield Problem("rating.time", message, activation.source, "ActivationTime")
            elif activation.time in times:
                message = (
                    f"the profile {':'.join(key)} has another row with this activation time: "
                    "which plan counts is open; remove one of them"
                )
                yield Problem("rating.twice", message, activation.source, "ActivationTime")
            times.add(activation.time)


def _activation_time(time: datetime | None) -> str:
    if time is None:
        return ""
    if time.utcoffset() is None:
        return "has no time zone"
    try:
        time.astimezone(UTC)
    except OverflowError:
        return "is outside of the calendar in UTC"
    return ""


def _timing(timing: Timing) -> Iterator[Problem]:
    def wrong(field: str, message: str) -> Problem:
        return Problem("rating.timing", f"Timing {timing.id}: {message}", timing.source, field)

    for field, values, low, high in (
        ("Years", timing.years, 1, 9999),
        ("Months", timing.months, 1, 12),
        ("MonthDays", timing.month_days, 1, 31),
        ("WeekDays", timing.week_days, 0, 6),
    ):
        for value in values:
            if not low <= value <= high:
                yield wrong(field, f"{value} is not one of {low} to {high}")
    if not 0 <= timing.start < DAY_SECONDS:
        yield wrong("Time", f"the start, {timing.start} s, is no time of day")
    elif not 0 < timing.end <= DAY_SECONDS:
        yield wrong("Time", f"the end, {timing.end} s, is no time of day")
    elif timing.end <= timing.start:
        yield wrong("Time", "it ends before it starts; make two of it, to and from midnight")


def _prefixes(parts: Parts) -> Iterator[Problem]:
    for destination in parts.destinations:
        for prefix in destination.prefixes:
            if not prefix or prefix[0] == "*":
                message = (
                    f"Destination {destination.id} has the prefix {prefix!r}, which is none of a "
                    "number; name the destination *any in DestinationRates.csv for every number"
                )
                yield Problem("rating.prefix", message, destination.source, "Prefix")


def _money(name: str, value: Fraction) -> str:
    if value < 0:
        return f"{name} is negative"
    if value > MAX_MONEY:
        return f"{name} is above {MAX_MONEY}"
    if 10**MAX_PLACES % value.denominator:
        return f"{name} has more than {MAX_PLACES} decimal places"
    return ""


def _rate(rate: Rate) -> Iterator[Problem]:
    def wrong(source: Source | None, field: str, message: str) -> Problem:
        return Problem("rating.rate", f"Rate {rate.id}: {message}", source, field)

    if not rate.slots:
        yield wrong(rate.source, "ID", "it has no slot")
    slots = sorted(rate.slots, key=lambda slot: slot.start)
    for number, slot in enumerate(slots):
        for field, money in (("ConnectFee", slot.connect_fee), ("Rate", slot.rate)):
            if why := _money(field, money):
                yield wrong(slot.source, field, why)
        for field, duration in (
            ("RateUnit", slot.unit),
            ("RateIncrement", slot.increment),
            ("GroupIntervalStart", slot.start),
        ):
            if not 0 <= duration <= LIMIT:
                yield wrong(slot.source, field, f"{field} is not between 0 and 292 years")
        if number == 0 and slot.start > 0:
            message = (
                f"the first slot starts at {format_duration(slot.start)}: what is used before has "
                "no price; add a slot with the start 0s"
            )
            yield wrong(slot.source, "GroupIntervalStart", message)
        if number and slot.start == slots[number - 1].start:
            message = f"two slots start at {format_duration(slot.start)}; remove one"
            yield wrong(slot.source, "GroupIntervalStart", message)
    if len(slots) > 1 and slots[1].start % ((first := slots[0].increment) or SECOND):
        message = (
            f"the increment {format_duration(first or SECOND)} of the first slot does not divide "
            f"the start of the second, {format_duration(slots[1].start)}"
        )
        yield wrong(slots[1].source, "GroupIntervalStart", message)


def _binding(
    owner: str, binding: Binding, destinations: set[str], rates: set[str]
) -> list[Problem]:
    if (
        (binding.destination_id == ANY or binding.destination_id in destinations)
        and binding.rate_id in rates
        and 0 <= binding.decimals <= MAX_DECIMALS
        and not binding.max_cost
    ):
        return []
    found: list[Problem] = []
    if binding.destination_id != ANY and binding.destination_id not in destinations:
        found.append(_unknown(owner, "Destination", binding.destination_id, binding.source))
    if binding.rate_id not in rates:
        found.append(_unknown(owner, "Rate", binding.rate_id, binding.source))
    if not 0 <= binding.decimals <= MAX_DECIMALS:
        message = f"{owner}: RoundingDecimals is not one of 0 to {MAX_DECIMALS}"
        found.append(Problem("rating.rate", message, binding.source, "RoundingDecimals"))
    if why := _money("MaxCost", binding.max_cost):
        found.append(Problem("rating.rate", f"{owner}: {why}", binding.source, "MaxCost"))
    return found


_COLUMNS = {
    "Destination": "DestinationID",
    "Rate": "RatesTag",
    "DestinationRate": "DestinationRatesID",
    "Timing": "TimingTag",
    "RatingPlan": "RatingPlanID",
}


def _unknown(owner: str, kind: str, tag: str, source: Source | None) -> Problem:
    message = f"{owner} names the {kind} {tag}, which does not exist; add it or mend the name"
    return Problem("rating.unknown-tag", message, source, _COLUMNS[kind])


def _tags(parts: Parts) -> Iterator[Problem]:
    destinations = {row.id for row in parts.destinations}
    rates = {row.id for row in parts.rates}
    for row in parts.destination_rates:
        owner = f"DestinationRate {row.id}"
        for binding in row.bindings:
            yield from _binding(owner, binding, destinations, rates)
    bound = {row.id for row in parts.destination_rates}
    timings = {row.id for row in parts.timings} | set(BUILT_IN_TIMINGS)
    for plan in parts.rating_plans:
        owner = f"RatingPlan {plan.id}"
        for entry in plan.entries:
            if entry.destination_rate_id not in bound:
                yield _unknown(owner, "DestinationRate", entry.destination_rate_id, entry.source)
            if entry.timing_id not in timings:
                yield _unknown(owner, "Timing", entry.timing_id, entry.source)
    plans = {row.id for row in parts.rating_plans}
    for profile in parts.rating_profiles:
        owner = f"the profile {profile.tenant}:{profile.category}:{profile.subject}"
        for activation in profile.activations:
            if activation.plan_id not in plans:
                yield _unknown(owner, "RatingPlan", activation.plan_id, activation.source)


def _meet(one: Timing, other: Timing) -> bool:
    """Whether the two start at the same time of some day: then neither started later."""

    def common(first: Sequence[int], second: Sequence[int]) -> bool:
        return not first or not second or not set(first).isdisjoint(second)

    return one.start == other.start and all(
        (
            common(one.years, other.years),
            common(one.months, other.months),
            common(one.month_days, other.month_days),
            common(one.week_days, other.week_days),
        )
    )


def _overlaps(parts: Parts) -> Iterator[Problem]:
    """Two prices for one destination, equal in weight and start: which counts would be chance."""
    bindings = {row.id: row.bindings for row in parts.destination_rates}
    timings = {row.id: row for row in parts.timings}
    for plan in parts.rating_plans:
        seen: set[str] = set()
        pairs: dict[str, list[tuple[PlanEntry, Binding]]] = {}
        for entry in plan.entries:
            for binding in bindings.get(entry.destination_rate_id, ()):
                if binding.destination_id in seen:
                    pairs[binding.destination_id] = []
                seen.add(binding.destination_id)
        if not pairs:
            continue
        for entry in plan.entries:
            for binding in bindings.get(entry.destination_rate_id, ()):
                if (earlier := pairs.get(binding.destination_id)) is None:
                    continue
                for other, other_binding in earlier:
                    one = timings.get(entry.timing_id, BUILT_IN_TIMINGS[ANY])
                    two = timings.get(other.timing_id, BUILT_IN_TIMINGS[ANY])
                    if (
                        entry.weight == other.weight
                        and _meet(one, two)
                        and _terms(binding) != _terms(other_binding)
                    ):
                        message = (
                            f"RatingPlan {plan.id} has two prices for {binding.destination_id} "
                            f"that start together and weigh the same: {other.destination_rate_id} "
                            f"at {other.timing_id} and {entry.destination_rate_id} at "
                            f"{entry.timing_id}; give one of them another weight"
                        )
                        yield Problem("rating.overlap", message, entry.source, "Weight")
                earlier.append((entry, binding))


def _terms(binding: Binding) -> tuple[object, ...]:
    return (
        binding.rate_id,
        binding.rounding,
        binding.decimals,
        binding.max_cost,
        binding.strategy,
    )


def _loops(profiles: Sequence[RatingProfile]) -> Iterator[Problem]:
    """Fallback subjects that lead back to where they came from.

    A subject that names itself is no loop: it is passed over (the reference's own examples have
    one).
    """
    ways: dict[tuple[str, str, str], list[str]] = {}
    sources: dict[tuple[str, str, str], Source | None] = {}
    for profile in profiles:
        key = (profile.tenant, profile.category, profile.subject)
        for activation in profile.activations:
            for subject in activation.fallbacks:
                if subject and subject != profile.subject:
                    ways.setdefault(key, []).append(subject)
                    sources.setdefault(key, activation.source)
    done: set[tuple[str, str, str]] = set()
    for root in ways:
        # Depth first with an explicit stack: a chain in a file may be longer than Python's own.
        path: dict[tuple[str, str, str], Iterator[str]] = {}
        stack = [root]
        while stack:
            key = stack[-1]
            if key not in path:
                if key in done:
                    stack.pop()
                    continue
                path[key] = iter(ways.get(key, ()))
            subject = next(path[key], "")
            if not subject:
                stack.pop()
                del path[key]
                done.add(key)
                continue
            following = (key[0], key[1], subject)
            if following in path:
                names = [step[2] for step in path]
                loop = " -> ".join([*names[names.index(subject) :], subject])
                message = f"the fallback subjects of {key[0]}:{key[1]} lead in a loop: {loop}"
                yield Problem("rating.fallback-loop", message, sources[key], "FallbackSubjects")
            elif following not in done:
                stack.append(following)
