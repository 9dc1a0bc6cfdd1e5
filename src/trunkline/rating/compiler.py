"""From the rows of a tariff to its index.

What two rows have in common (terms, day tables) is made once, and a destination with one price
gets no list: half a million prefixes must fit into memory, and build in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from math import lcm

from trunkline.rating.durations import SECOND
from trunkline.rating.errors import Source
from trunkline.rating.index import (
    ALWAYS_ACTIVE,
    ActivePlan,
    DayTable,
    Entry,
    Group,
    Index,
    Plan,
    Profile,
    Slot,
    Terms,
    is_always,
    rank,
)
from trunkline.rating.model import (
    BUILT_IN_TIMINGS,
    Activation,
    Binding,
    MaxCostStrategy,
    Parts,
    Rate,
    RatingPlan,
    RatingProfile,
    Timing,
)

__all__ = ["compile_index", "compile_terms"]


def compile_index(parts: Parts) -> Index:
    """Compile rows that ``check.problems`` found nothing wrong with."""
    prefixes: dict[str, str | tuple[str, ...]] = {}
    for destination in parts.destinations:
        tag = destination.id
        for prefix in destination.prefixes:
            held = prefixes.setdefault(prefix, tag)
            if held is not tag and held != tag:
                tags = (held,) if isinstance(held, str) else held
                if tag not in tags:
                    prefixes[prefix] = (*tags, tag)
    plans = _plans(parts)
    profiles = {
        (row.tenant, row.category, row.subject): _profile(row, plans)
        for row in parts.rating_profiles
    }
    lengths = tuple(sorted({len(prefix) for prefix in prefixes}, reverse=True))
    return Index(profiles, plans, prefixes, lengths)


def _profile(row: RatingProfile, plans: dict[str, Plan]) -> Profile:
    def start(activation: Activation) -> datetime:
        return ALWAYS_ACTIVE if activation.time is None else activation.time.astimezone(UTC)

    activations = tuple(
        ActivePlan(start(each), plans[each.plan_id], each.fallbacks, each.source)
        for each in sorted(row.activations, key=start)
    )
    only = activations[0] if len(activations) == 1 else None
    return Profile(row.tenant, row.category, row.subject, activations, only, row.source)


def _plans(parts: Parts) -> dict[str, Plan]:
    rates = {row.id: row for row in parts.rates}
    bindings = {row.id: row.bindings for row in parts.destination_rates}
    timings = {**BUILT_IN_TIMINGS, **{row.id: row for row in parts.timings}}
    shared = _Shared(rates)
    sources = {row.id: row.source for row in parts.destinations}
    return {
        row.id: Plan(row.id, _prices(row, bindings, timings, shared, sources), row.source)
        for row in parts.rating_plans
    }


def _prices(
    row: RatingPlan,
    bindings: dict[str, tuple[Binding, ...]],
    timings: dict[str, Timing],
    shared: _Shared,
    sources: dict[str, Source | None],
) -> dict[str, Entry | Group]:
    prices: dict[str, Entry | Group] = {}
    several: dict[str, list[Entry]] = {}
    for planned in row.entries:
        timing = timings[planned.timing_id]
        for binding in bindings[planned.destination_rate_id]:
            tag = binding.destination_id
            terms = shared.terms(binding)
            entry = Entry(terms, timing, planned, binding.source, sources.get(tag))
            first = prices.setdefault(tag, entry)
            if first is not entry and isinstance(first, Entry):
                several.setdefault(tag, [first]).append(entry)
            elif not is_always(timing):
                several[tag] = [entry]
    for tag, entries in several.items():
        steady = _steady(entries)
        table = None if steady is not None else shared.table(entries)
        prices[tag] = Group(tag, tuple(entries), steady, table)
    return prices


def _steady(entries: Sequence[Entry]) -> Entry | None:
    """The entry that always holds and outweighs every other."""
    best = max(entries, key=lambda entry: entry.weight)
    if not is_always(best.timing):
        return None
    others = [entry for entry in entries if entry is not best]
    return best if all(entry.weight < best.weight for entry in others) else None


@dataclass(slots=True)
class _Shared:
    """Terms and day tables, each made once."""

    rates: dict[str, Rate]
    _terms: dict[tuple[object, ...], Terms] = field(default_factory=dict)
    _tables: dict[tuple[tuple[str, Fraction], ...], DayTable] = field(default_factory=dict)

    def terms(self, binding: Binding) -> Terms:
        # Integers, since the hash of a Fraction costs more than all the rest.
        key = (
            binding.rate_id,
            binding.rounding,
            binding.decimals,
            *binding.max_cost.as_integer_ratio(),
            binding.strategy,
        )
        terms = self._terms.get(key)
        if terms is None:
            terms = self._terms[key] = compile_terms(binding, self.rates[binding.rate_id])
        return terms

    def table(self, entries: Sequence[Entry]) -> DayTable:
        key = tuple((entry.timing.id, entry.weight) for entry in entries)
        table = self._tables.get(key)
        if table is None:
            table = DayTable(
                tuple(entry.timing for entry in entries), tuple(rank(entry) for entry in entries)
            )
            self._tables[key] = table
        return table


def compile_terms(binding: Binding, rate: Rate) -> Terms:
    """The terms of one destination rate; units and increments of 0 become 1 s."""
    rows = sorted(rate.slots, key=lambda slot: slot.start)
    fee = rows[0].connect_fee
    prices = [row.rate * (row.increment or SECOND) / (row.unit or SECOND) for row in rows]
    denominator = lcm(fee.denominator, *(price.denominator for price in prices))
    ends = [*(row.start for row in rows[1:]), None]
    slots = tuple(
        Slot(
            row.start,
            end,
            row.rate,
            row.unit or SECOND,
            row.increment or SECOND,
            int(price * denominator),
        )
        for row, price, end in zip(rows, prices, ends, strict=True)
    )
    capped = binding.strategy is MaxCostStrategy.FREE and binding.max_cost > 0
    flat = (slots[0].increment, slots[0].price) if len(slots) == 1 and not capped else None
    return Terms(
        rate.id,
        slots,
        fee,
        int(fee * denominator),
        denominator,
        binding.rounding,
        binding.decimals,
        10**binding.decimals,
        binding.max_cost,
        binding.strategy,
        flat,
    )
