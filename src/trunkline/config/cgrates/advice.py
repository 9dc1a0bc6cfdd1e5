"""Warnings about a tariff that loads: what is never used, never reached or decided by chance.

Nothing here changes a price. Each rule says which entry wins instead.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from trunkline.config.cgrates.assemble import Assembly, first
from trunkline.config.cgrates.files import CHARGING_KINDS, KINDS, Kind
from trunkline.config.cgrates.prefixes import Shared
from trunkline.config.cgrates.problems import Place, Problems
from trunkline.rating.durations import SECOND, format_duration
from trunkline.rating.errors import Source
from trunkline.rating.model import (
    ANY,
    BUILT_IN_TIMINGS,
    DEFAULT_CATEGORY,
    FALLBACK_DEPTH,
    Binding,
    PlanEntry,
    Timing,
)

__all__ = ["give"]

_Key = tuple[str, str, str]

_NAMED: Final = ("Timings", "Destinations", "RatingPlans")
"""The files whose rows those of charging name."""
_MOST_COMPARED: Final = 64
"""Entries of one destination within one plan; a plan with more has its first ones compared."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A binding as one entry of a plan brings it in."""

    entry: PlanEntry
    binding: Binding
    timing: Timing


def give(
    assembly: Assembly, problems: Problems, named: Mapping[Kind, Set[tuple[str, ...]]]
) -> None:
    """Note the warnings about what ``assembly`` took; ``named`` is what charging's rows name.

    Where there are errors, what would depend on the rows that they are in is left out.
    """
    _unused(assembly, problems, named)
    for timing in assembly.timings.values():
        if not _ever(timing):
            problems.warn(
                "cgrates.never",
                f"Timing {timing.id}: no such day is in the calendar",
                _place(timing.source),
                "mend Months or MonthDays",
                "MonthDays",
            )
    if assembly.doubtful.isdisjoint(KINDS):
        partners: dict[str, dict[str, Shared]] = {}
        for (one_id, other_id), shared in assembly.prefixes.shared.items():
            partners.setdefault(one_id, {})[other_id] = shared
        for tag, entries in assembly.plans.items():
            _plan(tag, entries, partners, assembly, problems)
    if "RatingProfiles" not in assembly.doubtful:
        _fallbacks(assembly, problems)
    _bare_numbers(assembly, problems)


def _place(source: Source | None, column: int = 1) -> Place:
    return Place(source.file, source.line, column) if source else Place("")


def _unused(
    assembly: Assembly, problems: Problems, named: Mapping[Kind, Set[tuple[str, ...]]]
) -> None:
    bindings = [b for rows in assembly.destination_rates.values() for b in rows]
    entries = [e for rows in assembly.plans.values() for e in rows]
    activations = [a for rows in assembly.profiles.values() for a in rows.values()]

    def check(
        kind: str, there: Iterable[tuple[str, Source | None]], used: set[str], where: str
    ) -> None:
        also = named.get(f"{kind}s", ())
        naming = {where, *(CHARGING_KINDS if f"{kind}s" in _NAMED else ())}
        if not naming.isdisjoint(assembly.doubtful - {f"{kind}s"}):
            return  # by a row that could not be read, perhaps
        for tag, source in there:
            if tag not in used and (tag,) not in also:
                problems.warn(
                    "cgrates.unused",
                    f"{kind} {tag} is in no row of {where}.csv",
                    _place(source),
                    "no call can reach it",
                    "ID",
                    tag,
                )

    check(
        "Timing",
        ((t.id, t.source) for t in assembly.timings.values()),
        {e.timing_id for e in entries},
        "RatingPlans",
    )
    check(
        "Destination",
        ((d.id, d.source) for d in assembly.destinations),
        {b.destination_id for b in bindings},
        "DestinationRates",
    )
    check(
        "Rate",
        ((tag, first(slots).source) for tag, slots in assembly.rates.items()),
        {b.rate_id for b in bindings},
        "DestinationRates",
    )
    check(
        "DestinationRate",
        ((tag, rows[0].source) for tag, rows in assembly.destination_rates.items()),
        {e.destination_rate_id for e in entries},
        "RatingPlans",
    )
    check(
        "RatingPlan",
        ((tag, rows[0].source) for tag, rows in assembly.plans.items()),
        {a.plan_id for a in activations},
        "RatingProfiles",
    )


def _ever(timing: Timing) -> bool:
    """Whether some month that the timing allows is long enough for one of its days."""
    if not timing.month_days:
        return True
    years = timing.years or (2000,)  # a leap year
    months = timing.months or range(1, 13)
    longest = max(calendar.monthrange(year, month)[1] for year in years for month in months)
    return timing.month_days[0] <= longest


def _plan(
    tag: str,
    entries: list[PlanEntry],
    partners: Mapping[str, Mapping[str, Shared]],
    assembly: Assembly,
    problems: Problems,
) -> None:
    """Compare what a plan offers for destinations that it has several times, or in part."""
    doubtful: set[str] = set()
    seen: set[str] = set()
    for entry in entries:
        for binding in assembly.destination_rates.get(entry.destination_rate_id, ()):
            destination = binding.destination_id
            (doubtful if destination in seen else seen).add(destination)
    for one_id in seen & partners.keys():
        common = seen & partners[one_id].keys()
        if common:
            doubtful |= {one_id, *common}
    offers: dict[str, list[_Offer]] = {}
    for entry in entries:
        timing = assembly.timings.get(entry.timing_id) or BUILT_IN_TIMINGS.get(entry.timing_id)
        if timing is None:
            continue
        for binding in assembly.destination_rates.get(entry.destination_rate_id, ()):
            if binding.destination_id in doubtful:
                rivals = offers.setdefault(binding.destination_id, [])
                if len(rivals) < _MOST_COMPARED:
                    rivals.append(_Offer(entry, binding, timing))
    for destination, rivals in offers.items():
        for one, other in combinations(rivals, 2):
            _compare(f"RatingPlan {tag}, {destination}", one, other, problems)
    for one_id, rivals in offers.items():
        for other_id, shared in partners.get(one_id, {}).items():
            if other_id in offers:
                count = f"{shared.count} prefixes, say" if shared.count > 1 else "prefix"
                what = f"{count} {shared.example}"
                _compare_shared(tag, rivals[0], offers[other_id][0], what, problems)


def _compare(what: str, one: _Offer, other: _Offer, problems: Problems) -> None:
    """Warn if one of two entries for a destination leaves the other no moment."""
    if other.entry.weight == one.entry.weight:
        if _terms(one) == _terms(other):
            row = other.binding if other.entry is one.entry else other.entry
            problems.warn(
                "cgrates.repeated",
                f"{what} is bound in the same way again",
                _place(row.source, 0),
                "leave it out",
            )
        return  # the later start wins; equal starts are an error
    strong, weak = (one, other) if one.entry.weight > other.entry.weight else (other, one)
    if _covers(strong.timing, weak.timing):
        problems.warn(
            "cgrates.shadowed",
            f"{what}: {_name(weak)} is never in force, {_name(strong)} outweighs it",
            _place(weak.entry.source),
            "remove it or give it more weight",
            "Weight",
            str(weak.entry.weight),
        )


def _compare_shared(tag: str, one: _Offer, other: _Offer, what: str, problems: Problems) -> None:
    first, second = one.binding, other.binding
    if first.rate_id == second.rate_id and one.entry.weight == other.entry.weight:
        return
    ids = f"{first.destination_id} and {second.destination_id}"
    if one.entry.weight == other.entry.weight:
        problems.warn(
            "cgrates.chance",
            f"RatingPlan {tag}: {ids} share {what} at the same weight",
            _place(other.entry.source),
            f"{first.destination_id} wins, because it stands first; give it more weight",
            "Weight",
            str(other.entry.weight),
        )
        return
    strong, weak = (one, other) if one.entry.weight > other.entry.weight else (other, one)
    if _covers(strong.timing, weak.timing):
        problems.warn(
            "cgrates.shadowed",
            f"RatingPlan {tag}: {ids} share {what}; there {_name(strong)} always wins",
            _place(weak.entry.source),
            "take the prefix out of one of them",
            "Weight",
            str(weak.entry.weight),
        )


def _terms(offer: _Offer) -> tuple[Timing, Binding]:
    return offer.timing, replace(offer.binding, source=None)


def _name(offer: _Offer) -> str:
    return f"{offer.entry.destination_rate_id} at {offer.entry.timing_id}"


def _covers(strong: Timing, weak: Timing) -> bool:
    def every(wide: tuple[int, ...], narrow: tuple[int, ...]) -> bool:
        return not wide or (bool(narrow) and set(narrow) <= set(wide))

    return (
        strong.start <= weak.start
        and strong.end >= weak.end
        and every(strong.years, weak.years)
        and every(strong.months, weak.months)
        and every(strong.month_days, weak.month_days)
        and every(strong.week_days, weak.week_days)
    )


def _fallbacks(assembly: Assembly, problems: Problems) -> None:
    profiles = assembly.profiles
    ways: dict[_Key, set[_Key]] = {}
    for key, activations in profiles.items():
        tenant, category, subject = key
        for activation in activations.values():
            for name in activation.fallbacks:
                following = (tenant, category, name)
                if name == subject:
                    message = "is the subject itself"
                elif following in profiles:
                    ways.setdefault(key, set()).add(following)
                    continue
                elif name == ANY:
                    continue
                else:
                    message = f"has no rating profile in {tenant}:{category}"
                place = _place(activation.source, 0)
                problems.warn(
                    "cgrates.fallback",
                    f"fallback subject {name} {message}",
                    place,
                    "it is passed over",
                    "FallbackSubjects",
                    name,
                )
    for key in _deep(ways):
        problems.warn(
            "cgrates.deep",
            f"the fallback subjects of {key[2]} go more than {FALLBACK_DEPTH} profiles deep",
            _place(first(profiles[key]).source, 0),
            f"only the first {FALLBACK_DEPTH} are asked",
            "FallbackSubjects",
        )


def _deep(ways: Mapping[_Key, set[_Key]]) -> Iterator[_Key]:
    """The profiles with a way through their fallback subjects that is longer than is asked."""
    longer = set(ways)  # a way of two profiles
    for _ in range(FALLBACK_DEPTH - 1):
        longer = {key for key, following in ways.items() if not longer.isdisjoint(following)}
    return (key for key in ways if key in longer)


def _bare_numbers(assembly: Assembly, problems: Problems) -> None:
    """``60`` as an increment of a call is 60 ns: an old trap of these files."""
    plans = {
        activation.plan_id
        for (_, category, _), activations in assembly.profiles.items()
        if category == DEFAULT_CATEGORY
        for activation in activations.values()
    }
    tags = {e.destination_rate_id for plan in plans for e in assembly.plans.get(plan, ())}
    rates = {b.rate_id for tag in tags for b in assembly.destination_rates.get(tag, ())}
    for tag, slots in assembly.rates.items():
        if tag not in rates:
            continue
        for slot in slots.values():
            short = min(slot.unit, slot.increment)
            if short < SECOND // 1000:
                problems.warn(
                    "cgrates.bare-number",
                    f"Rate {tag} counts calls in steps of {format_duration(short)}",
                    _place(slot.source),
                    "a bare number is nanoseconds; write 60s",
                    "RateIncrement",
                    format_duration(short),
                )
