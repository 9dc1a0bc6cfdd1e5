"""From rows to a tariff: typed, merged by ID, and then compiled as a whole.

The same code takes the rows of a folder and those that a store kept of one. Destinations, which
a deck has by the hundred thousand, go by a short path of their own; everything else is read by
:class:`~trunkline.config.cgrates.fields.Fields`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

from trunkline.config.cgrates.fields import Fields
from trunkline.config.cgrates.files import KINDS, Kind
from trunkline.config.cgrates.problems import Place, Problems
from trunkline.config.cgrates.reading import Row, split_row
from trunkline.rating.durations import SECOND
from trunkline.rating.errors import Source
from trunkline.rating.model import (
    BUILT_IN_TIMINGS,
    DAY_SECONDS,
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
from trunkline.rating.rounding import RoundingMethod
from trunkline.rating.tariff import Tariff

__all__ = ["Assembly", "Shared"]

_ROUNDING: Final = tuple(RoundingMethod)
_STRATEGIES: Final = tuple(MaxCostStrategy)
_STARTS_AT_ONCE: Final = ("", "*any", *BUILT_IN_TIMINGS)
_LONGEST_PREFIX: Final = 64


@dataclass(slots=True)
class Shared:
    """Prefixes that two destinations have both."""

    example: str
    place: Place
    count: int = 1


@dataclass(slots=True)
class Assembly:
    """Takes the rows of all files, in the order of :data:`KINDS`; then builds the tariff."""

    problems: Problems
    zone: tzinfo = UTC
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    """Rows of each kind."""
    timings: dict[str, Timing] = field(default_factory=dict)
    prefixes: dict[str, list[str]] = field(default_factory=dict)
    rates: dict[str, list[RateSlot]] = field(default_factory=dict)
    destination_rates: dict[str, list[Binding]] = field(default_factory=dict)
    plans: dict[str, list[PlanEntry]] = field(default_factory=dict)
    profiles: dict[tuple[str, str, str], list[Activation]] = field(default_factory=dict)
    shared: dict[tuple[str, str], Shared] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    """Where each destination begins."""
    refused: set[tuple[Kind, str]] = field(default_factory=set)
    """IDs of rows that could not be read: a row that names one is not wrong for it."""
    _owners: dict[str, str] = field(default_factory=dict)
    _seen: set[tuple[str, ...]] = field(default_factory=set)

    def take(self, kind: Kind, file: str, numbered: Iterable[tuple[int, str]]) -> None:
        """Take lines of one file, each with its number."""
        if kind == "Destinations":
            self._take_destinations(file, numbered)
            return
        add = {
            "Timings": self._timing,
            "Rates": self._rate,
            "DestinationRates": self._destination_rate,
            "RatingPlans": self._plan,
            "RatingProfiles": self._profile,
        }[kind]
        for number, text in numbered:
            before = self.problems.error_count
            row = split_row(file, kind, number, text, self.problems)
            if row is not None:
                self.counts[kind] += 1
                if not self._is_repeated(kind, row):
                    add(Fields(kind, row, self.problems), Source(file, number))
            elif self.problems.error_count > before:
                self.refused.add((kind, text.partition(",")[0].strip()))

    def build(self, name: str, zones: Mapping[str, tzinfo]) -> Tariff:
        """Compile what was taken.

        Raises:
            TariffError: what the tariff's own check finds.
        """
        self._owners.clear()
        self._seen.clear()
        return Tariff.build(
            destinations=[
                Destination(tag, tuple(prefixes), self.sources[tag])
                for tag, prefixes in self.prefixes.items()
            ],
            timings=list(self.timings.values()),
            rates=[Rate(tag, tuple(slots), slots[0].source) for tag, slots in self.rates.items()],
            destination_rates=[
                DestinationRate(tag, tuple(bindings), bindings[0].source)
                for tag, bindings in self.destination_rates.items()
            ],
            rating_plans=[
                RatingPlan(tag, tuple(entries), entries[0].source)
                for tag, entries in self.plans.items()
            ],
            rating_profiles=[
                RatingProfile(*key, tuple(activations), activations[0].source)
                for key, activations in self.profiles.items()
            ],
            name=name,
            time_zone=self.zone,
            tenant_time_zones=zones,
        )

    def _is_repeated(self, kind: Kind, row: Row) -> bool:
        """Note a row that stands there twice, word for word, and leave the second out."""
        key = (kind, *row.values)
        if key in self._seen:
            self.problems.warn(
                "cgrates.repeated",
                "the same row again",
                row.place(),
                "leave it out",
                value=row.text,
            )
            return True
        self._seen.add(key)
        return False

    def _take_destinations(self, file: str, numbered: Iterable[tuple[int, str]]) -> None:
        known = self.prefixes
        owners = self._owners
        owned = len(owners)
        taken = 0
        errors = self.problems.error_count
        for number, text in numbered:
            tag, _, prefix = text.partition(",")
            prefixes = known.get(tag)
            if prefixes is None or not (
                prefix.isdigit() and prefix.isascii() and len(prefix) <= _LONGEST_PREFIX
            ):
                row = split_row(file, "Destinations", number, text, self.problems)
                if row is None:
                    if self.problems.error_count > errors:
                        errors = self.problems.error_count
                        self.refused.add(("Destinations", tag.strip()))
                    continue
                tag, prefix = row.values
                prefixes = self._destination(row)
                if prefixes is None:
                    taken += 1
                    continue
            taken += 1
            owner = owners.setdefault(prefix, tag)
            if len(owners) == owned:
                if not self._share(owner, tag, prefix, Place(file, number)):
                    continue
            else:
                owned += 1
            prefixes.append(prefix)
        self.counts["Destinations"] += taken

    def _destination(self, row: Row) -> list[str] | None:
        """The prefixes of a row that is new or unusual; ``None`` if it has to be left out."""
        fields = Fields("Destinations", row, self.problems)
        before = self.problems.error_count
        tag = fields.tag(0)
        prefix = fields.text(1)
        if not prefix:
            fields.error(
                1, "cgrates.empty", "may not be empty", "for every number, bind DestinationID *any"
            )
        elif len(prefix) > _LONGEST_PREFIX:
            fields.error(1, "cgrates.absurd", f"is longer than {_LONGEST_PREFIX} characters")
        elif not prefix.isprintable() or " " in prefix:
            fields.error(
                1,
                "cgrates.value",
                "has a blank or a character that cannot be printed",
                "write the digits alone",
            )
        if self.problems.error_count > before:
            return None
        if tag.startswith("*"):
            fields.warn(0, "cgrates.value", "begins as the reference's own words do")
        if tag not in self.prefixes:
            self.sources[tag] = Source(row.file, row.line)
        return self.prefixes.setdefault(sys.intern(tag), [])

    def _share(self, owner: str, tag: str, prefix: str, place: Place) -> bool:
        """Note a prefix that is there already; ``False`` if it is of the same destination."""
        if owner == tag:
            self.problems.warn(
                "cgrates.repeated",
                f"prefix {prefix} of {tag} again",
                place,
                "leave it out",
                "Prefix",
                prefix,
            )
            return False
        pair = (owner, tag)
        if pair in self.shared:
            self.shared[pair].count += 1
        else:
            self.shared[pair] = Shared(prefix, place)
        return True

    def _timing(self, fields: Fields, source: Source) -> None:
        tag = fields.tag(0)
        if tag in BUILT_IN_TIMINGS:
            fields.error(0, "cgrates.built-in", "is there without a file", "give it another name")
        if tag in self.timings:
            fields.error(
                0,
                "cgrates.twice",
                f"stands in {self.timings[tag].source} already",
                "a timing is one row; several are bound by several rating plan rows",
            )
        text = fields.text(5)
        first, _, last = text.partition(";")
        start = 0 if first in _STARTS_AT_ONCE else fields.clock(5, first)
        end = fields.clock(5, last) if last else DAY_SECONDS
        if end <= start and last:
            fields.error(
                5,
                "cgrates.never",
                "ends before it starts, so it never is in force",
                "for a night write two timings, say 22:00:00 and 00:00:00;06:00:00",
            )
            end = DAY_SECONDS
        days = fields.numbers(4, 0, 7)
        self.timings[tag] = Timing(
            tag,
            years=fields.numbers(1, 1970, 9999),
            months=fields.numbers(2, 1, 12),
            month_days=fields.numbers(3, 1, 31),
            week_days=tuple(sorted({day % 7 for day in days})),  # 7 is Sunday too
            start=start,
            end=end,
            source=source,
        )

    def _rate(self, fields: Fields, source: Source) -> None:
        slots = self.rates.setdefault(fields.tag(0), [])
        slot = RateSlot(
            connect_fee=fields.money(1),
            rate=fields.money(2),
            unit=fields.duration(3, SECOND),
            increment=fields.duration(4, SECOND),
            start=fields.duration(5),
            source=source,
        )
        if slots and slot.connect_fee:
            fields.warn(
                1,
                "cgrates.ignored",
                "is not charged: only the first row's is",
                "put it there",
            )
        if len(slots) > 1 and slot.start % slots[-1].increment:  # the first is checked by build
            fields.warn(
                5,
                "cgrates.slots",
                f"is no multiple of the RateIncrement in {slots[-1].source}",
                "a slot should begin where an increment ends",
            )
        slots.append(slot)

    def _destination_rate(self, fields: Fields, source: Source) -> None:
        max_cost = fields.money(5)
        strategy = MaxCostStrategy(fields.choice(6, _STRATEGIES))
        if max_cost and not strategy:
            fields.warn(
                5,
                "cgrates.ignored",
                "does nothing without a MaxCostStrategy",
                "write *free or *disconnect",
            )
        elif strategy and not max_cost:
            fields.warn(6, "cgrates.ignored", "does nothing without a MaxCost")
        self.destination_rates.setdefault(fields.tag(0), []).append(
            Binding(
                destination_id=fields.tag(1),
                rate_id=fields.tag(2),
                rounding=RoundingMethod(fields.choice(3, _ROUNDING)),
                decimals=fields.decimals(4),
                max_cost=max_cost,
                strategy=strategy,
                source=source,
            )
        )

    def _plan(self, fields: Fields, source: Source) -> None:
        entry = PlanEntry(fields.tag(1), fields.tag(2), fields.weight(3), source)
        self.plans.setdefault(fields.tag(0), []).append(entry)

    def _profile(self, fields: Fields, source: Source) -> None:
        key = (fields.tag(0), fields.tag(1), fields.tag(2))
        activations = self.profiles.setdefault(key, [])
        activation = Activation(
            fields.time(3, self.zone, self.now), fields.tag(4), fields.words(5), source
        )
        for other in activations:
            if other.time == activation.time:
                fields.error(
                    3,
                    "cgrates.twice",
                    f"is the time of {other.source} too",
                    "one plan is in force at a time",
                )
                return
        activations.append(activation)
