"""From rows to a tariff: typed, merged by ID, and then compiled as a whole.

The same code takes the rows of a folder and those that a store kept of one. Destinations, which
a deck has by the hundred thousand, go by a short path of their own; everything else is read by
:class:`~trunkline.config.cgrates.fields.Fields`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from sys import intern
from typing import Final, TypeVar

from trunkline.config.cgrates.fields import Fields
from trunkline.config.cgrates.files import ALL_KINDS, COLUMNS, Kind
from trunkline.config.cgrates.prefixes import Prefixes
from trunkline.config.cgrates.problems import Problems
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

__all__ = ["Assembly", "first"]

_ROUNDING: Final = tuple(RoundingMethod)
_STRATEGIES: Final = tuple(MaxCostStrategy)
_STARTS_AT_ONCE: Final = ("", "*any", *BUILT_IN_TIMINGS)
_ENDINGS_KEPT: Final = 4096


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def first(rows: Mapping[_Key, _Value]) -> _Value:
    """The row that stands first among those of one ID."""
    return next(iter(rows.values()))


@dataclass(slots=True)
class Assembly:
    """Takes the rows of the files of prices, in the order of :data:`KINDS`; then builds the tariff.

    Whatever is looked for among rows of one ID is found by a key: a file may be one ID throughout.
    """

    problems: Problems
    zone: tzinfo = UTC
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(ALL_KINDS, 0))
    """Rows of each kind."""
    timings: dict[str, Timing] = field(default_factory=dict)
    rates: dict[str, dict[int, RateSlot]] = field(default_factory=dict)
    destination_rates: dict[str, list[Binding]] = field(default_factory=dict)
    plans: dict[str, list[PlanEntry]] = field(default_factory=dict)
    profiles: dict[tuple[str, str, str], dict[datetime | None, Activation]] = field(
        default_factory=dict
    )
    destinations: list[Destination] = field(default_factory=list)
    """Made when all rows were taken."""
    refused: set[tuple[Kind, str]] = field(default_factory=set)
    """IDs of rows that could not be read: a row that names one is not wrong for it."""
    doubtful: set[Kind] = field(default_factory=set)
    """Files with errors: what their rows name, and which there are, is not known for certain."""
    cut: set[Kind] = field(default_factory=set)
    """Those of them that were not read to the end."""
    prefixes: Prefixes = field(init=False)

    def __post_init__(self) -> None:
        self.prefixes = Prefixes(self.problems)

    def take(self, kind: Kind, file: str, numbered: Iterable[tuple[int, str]]) -> None:
        """Take lines of one file, each with its number."""
        if kind == "Destinations":
            plain = self.prefixes.take(file, numbered, self.row)  # which counts as well
            self.counts[kind] += plain
            return
        if kind == "DestinationRates":
            self._take_destination_rates(file, numbered)
            return
        add = {
            "Timings": self._timing,
            "Rates": self._rate,
            "RatingPlans": self._plan,
            "RatingProfiles": self._profile,
        }[kind]
        for number, text in numbered:
            if row := self.row(file, kind, number, text):
                add(Fields(kind, row, self.problems), Source(file, number))

    def row(self, file: str, kind: Kind, number: int, text: str) -> Row | None:
        """The row in a line, counted; or remember that its ID could not be read."""
        before = self.problems.error_count
        row = split_row(file, kind, number, text, self.problems)
        if row is not None:
            self.counts[kind] += 1
        elif self.problems.error_count > before:
            names = COLUMNS[kind]
            column = names.index("ID") if names[0] == "Tenant" and "ID" in names else 0
            self.refused.add((kind, [*text.split(","), ""][column].strip()))
        return row

    def build(self, name: str, zones: Mapping[str, tzinfo]) -> Tariff:
        """Compile what was taken.

        Raises:
            TariffError: what the tariff's own check finds.
        """
        self.destinations = self.prefixes.destinations()
        return Tariff.build(
            destinations=self.destinations,
            timings=list(self.timings.values()),
            rates=[
                Rate(tag, tuple(slots.values()), first(slots).source)
                for tag, slots in self.rates.items()
            ],
            destination_rates=[
                DestinationRate(tag, tuple(bindings), bindings[0].source)
                for tag, bindings in self.destination_rates.items()
            ],
            rating_plans=[
                RatingPlan(tag, tuple(entries), entries[0].source)
                for tag, entries in self.plans.items()
            ],
            rating_profiles=[
                RatingProfile(*key, tuple(activations.values()), first(activations).source)
                for key, activations in self.profiles.items()
            ],
            name=name,
            time_zone=self.zone,
            tenant_time_zones=zones,
        )

    def _repeated(self, row: Row) -> None:
        """Note a row that stands there already; it is left out."""
        self.problems.warn(
            "cgrates.repeated", "the same row again", row.place(), "leave it out", value=row.text
        )

    def _timing(self, fields: Fields, source: Source) -> None:
        tag = fields.tag(0)
        if tag in BUILT_IN_TIMINGS:
            fields.error(0, "cgrates.built-in", "is there without a file", "give it another name")
        opening, _, last = fields.text(5).partition(";")
        start = 0 if opening in _STARTS_AT_ONCE else fields.clock(5, opening)
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
        timing = Timing(
            tag,
            years=fields.numbers(1, 1970, 9999),
            months=fields.numbers(2, 1, 12),
            month_days=fields.numbers(3, 1, 31),
            week_days=tuple(sorted({day % 7 for day in days})),  # 7 is Sunday too
            start=start,
            end=end,
            source=source,
            as_soon=opening == "*asap",
        )
        other = self.timings.setdefault(tag, timing)
        if other is timing:
            return
        if replace(other, source=source) == timing:
            self._repeated(fields.row)
        else:
            fields.error(
                0,
                "cgrates.twice",
                f"stands in {other.source} already",
                "a timing is one row; several are bound by several rows of a rating plan",
            )

    def _rate(self, fields: Fields, source: Source) -> None:
        slots = self.rates.setdefault(fields.tag(0), {})
        slot = RateSlot(
            connect_fee=fields.money(1),
            rate=fields.money(2),
            unit=fields.duration(3, SECOND),
            increment=fields.duration(4, SECOND),
            start=fields.duration(5),
            source=source,
        )
        if other := slots.get(slot.start):
            if replace(other, source=source) == slot:
                self._repeated(fields.row)
            else:
                fields.error(
                    5,
                    "cgrates.twice",
                    f"is the start of {other.source} too",
                    "each row of a rate begins at another usage",
                )
            return
        if slots and slot.connect_fee:
            fields.warn(
                1, "cgrates.ignored", "is not charged: only the first row's is", "put it there"
            )
        if len(slots) > 1:  # after the first row, build checks it
            before = slots[next(reversed(slots))]
            if slot.start % before.increment:
                fields.warn(
                    5,
                    "cgrates.slots",
                    f"is no multiple of the RateIncrement in {before.source}",
                    "a slot should begin where an increment ends",
                )
        slots[slot.start] = slot

    def _take_destination_rates(self, file: str, numbered: Iterable[tuple[int, str]]) -> None:
        """As :meth:`take`; a deck has as many of these as destinations, all with few endings."""
        known = self.destination_rates
        endings: dict[str, Binding] = {}
        taken = 0
        for number, text in numbered:
            parts = text.split(",", 3)
            like = endings.get(parts[-1])
            if (
                like is not None
                and parts[0] in known
                and parts[1] in self.prefixes
                and parts[2] in self.rates
            ):
                binding = Binding(
                    intern(parts[1]),
                    intern(parts[2]),
                    like.rounding,
                    like.decimals,
                    like.max_cost,
                    like.strategy,
                    Source(file, number),
                )
                known[parts[0]].append(binding)
                taken += 1
                continue
            before = self.problems.error_count + self.problems.warning_count
            if row := self.row(file, "DestinationRates", number, text):
                fields = Fields("DestinationRates", row, self.problems)
                binding = self._destination_rate(fields, Source(file, number))
                clean = before == self.problems.error_count + self.problems.warning_count
                if clean and '"' not in text and len(endings) < _ENDINGS_KEPT:
                    endings[parts[-1]] = binding
        self.counts["DestinationRates"] += taken

    def _destination_rate(self, fields: Fields, source: Source) -> Binding:
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
        binding = Binding(
            destination_id=intern(fields.tag(1)),
            rate_id=intern(fields.tag(2)),
            rounding=RoundingMethod(fields.choice(3, _ROUNDING)),
            decimals=fields.decimals(4),
            max_cost=max_cost,
            strategy=strategy,
            source=source,
        )
        self.destination_rates.setdefault(fields.tag(0), []).append(binding)
        return binding

    def _plan(self, fields: Fields, source: Source) -> None:
        entry = PlanEntry(fields.tag(1), fields.tag(2), fields.weight(3), source)
        self.plans.setdefault(fields.tag(0), []).append(entry)

    def _profile(self, fields: Fields, source: Source) -> None:
        key = (fields.tag(0), fields.tag(1), fields.tag(2))
        activations = self.profiles.setdefault(key, {})
        activation = Activation(
            fields.time(3, self.zone, self.now), fields.tag(4), fields.words(5), source
        )
        other = activations.setdefault(activation.time, activation)
        if other is activation:
            return
        if replace(other, source=source) == activation:
            self._repeated(fields.row)
        else:
            fields.error(
                3,
                "cgrates.twice",
                f"is the time of {other.source} too",
                "one plan is in force at a time",
            )
