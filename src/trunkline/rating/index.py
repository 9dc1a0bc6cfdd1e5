"""The compiled tariff: what the engine looks things up in.

One dictionary from prefix to destination IDs is shared by all plans; each plan has one from
destination ID to its ``Group`` of prices. Money is put over a common denominator, so that pricing
adds and multiplies integers and divides once. What two rows have in common (terms, day tables) is
one object, so that half a million prefixes fit into memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import pairwise

from trunkline.rating.durations import SECOND
from trunkline.rating.errors import Source
from trunkline.rating.model import DAY_SECONDS, MaxCostStrategy, PlanEntry, Timing
from trunkline.rating.rounding import RoundingMethod

__all__ = [
    "ALWAYS_ACTIVE",
    "DAY",
    "ActivePlan",
    "DayTable",
    "Entry",
    "Group",
    "Index",
    "Plan",
    "Profile",
    "Segments",
    "Slot",
    "Terms",
    "active_on",
    "is_always",
    "rank",
]

DAY = DAY_SECONDS * SECOND
"""One day of the clock in nanoseconds."""
ALWAYS_ACTIVE = datetime.min.replace(tzinfo=UTC)
"""The activation time of a plan without one."""
_DAYS_KEPT = 4096
"""Different sets of active timings that one day table remembers; beyond it, it starts afresh."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A rate slot with its defaults filled in."""

    start: int
    end: int | None
    """Where the next slot starts; None: never."""
    rate: Fraction
    unit: int
    increment: int
    price: int
    """One increment in parts of the terms' denominator."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a destination rate asks for, whichever destination it is bound to."""

    rate_id: str
    slots: tuple[Slot, ...]
    connect_fee: Fraction
    fee: int
    """The connect fee in parts of ``denominator``."""
    denominator: int
    rounding: RoundingMethod
    decimals: int
    power: int
    """10 to the ``decimals``."""
    max_cost: Fraction
    strategy: MaxCostStrategy
    flat: tuple[int, int] | None
    """(increment, price) where one slot is all there is and nothing caps it."""

    @property
    def free_after(self) -> Fraction | None:
        """The total that is never exceeded, None where there is none."""
        if self.strategy is MaxCostStrategy.FREE and self.max_cost:
            return self.max_cost
        return None


@dataclass(frozen=True, slots=True)
class Entry:
    """One price of a destination in a plan: terms, when they apply and how much they weigh.

    A large tariff has one for every destination, so what another row holds is not held again.
    """

    terms: Terms
    timing: Timing
    planned: PlanEntry
    """The row of the rating plan."""
    binding_source: Source | None
    """The row of the destination rate."""
    destination_source: Source | None
    """Where the destination was first read; None for ``*any``."""

    @property
    def weight(self) -> Fraction:
        """That of the plan's row."""
        return self.planned.weight


def rank(entry: Entry) -> tuple[Fraction, int]:
    """By this the prices of a destination are compared: the weight, then the later start."""
    return entry.weight, entry.timing.start


def is_always(timing: Timing) -> bool:
    """Whether the timing holds at every moment."""
    return (
        timing.start == 0
        and timing.end == DAY_SECONDS
        and not (timing.years or timing.months or timing.month_days or timing.week_days)
    )


def active_on(timing: Timing, ordinal: int) -> bool:
    """Whether the timing holds at some moment of the local day with this ordinal."""
    if timing.week_days and ordinal % 7 not in timing.week_days:
        return False
    if timing.years or timing.months or timing.month_days:
        day = date.fromordinal(ordinal)
        return (
            (not timing.years or day.year in timing.years)
            and (not timing.months or day.month in timing.months)
            and (not timing.month_days or day.day in timing.month_days)
        )
    return True


Segments = tuple[tuple[int, int | None], ...]


@dataclass(slots=True)
class DayTable:
    """Which of several timings wins when: the segments of a local day.

    Of the timings that hold, the highest weight wins, among equals the one that started latest,
    then the one that stands first in the plan.
    """

    timings: tuple[Timing, ...]
    ranks: tuple[tuple[Fraction, int], ...]
    _weekly: bool = field(init=False)
    _days: dict[int, Segments] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._weekly = not any(t.years or t.months or t.month_days for t in self.timings)

    def day(self, ordinal: int) -> Segments:
        """(end, winner) one after another, from midnight to midnight of the day's clock.

        ``end`` is in nanoseconds of the day, ``winner`` the position of the timing in
        ``timings``; None where none holds.
        """
        if self._weekly:
            key = ordinal % 7
        else:
            key = 0
            for bit, timing in enumerate(self.timings):
                key |= active_on(timing, ordinal) << bit
        segments = self._days.get(key)
        if segments is None:
            if len(self._days) >= _DAYS_KEPT:
                self._days.clear()
            segments = self._days[key] = self._segments(ordinal)
        return segments

    def _segments(self, ordinal: int) -> Segments:
        held = [n for n, timing in enumerate(self.timings) if active_on(timing, ordinal)]
        bounds = {0, DAY_SECONDS}
        for number in held:
            bounds |= {self.timings[number].start, self.timings[number].end}
        ordered = sorted(bounds)
        segments: list[tuple[int, int | None]] = []
        for start, end in pairwise(ordered):
            winner = max(
                (n for n in held if self.timings[n].start <= start < self.timings[n].end),
                key=lambda n: (self.ranks[n], -n),
                default=None,
            )
            if segments and segments[-1][1] == winner:
                segments.pop()
            segments.append((end * SECOND, winner))
        return tuple(segments)


@dataclass(frozen=True, slots=True)
class Group:
    """All prices of one destination in one plan."""

    destination_id: str
    entries: tuple[Entry, ...]
    """In the plan's order."""
    steady: Entry | None
    """The one that wins at every moment, if there is one."""
    table: DayTable | None
    """Which one wins when; None where one is steady."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A rating plan: its prices by destination ID."""

    id: str
    prices: dict[str, Entry | Group]
    """An ``Entry`` stands for the group of it alone, if it always holds: most are so."""
    source: Source | None

    def group(self, destination_id: str) -> Group | None:
        """The prices of a destination; None where the plan has none."""
        held = self.prices.get(destination_id)
        return Group(destination_id, (held,), held, None) if isinstance(held, Entry) else held


@dataclass(frozen=True, slots=True)
class ActivePlan:
    """A plan from the time it is in force."""

    time: datetime
    """``datetime.min`` in UTC: always."""
    plan: Plan
    fallbacks: tuple[str, ...]
    source: Source | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A rating profile; ``only`` is its activation where it has no more than one."""

    tenant: str
    category: str
    subject: str
    activations: tuple[ActivePlan, ...]
    only: ActivePlan | None
    source: Source | None


@dataclass(frozen=True, slots=True)
class Index:
    """The whole tariff, ready for look-ups."""

    profiles: dict[tuple[str, str, str], Profile]
    plans: dict[str, Plan]
    prefixes: dict[str, str | tuple[str, ...]]
    """A prefix to its destination ID, or to several of them in the file's order."""
    lengths: tuple[int, ...]
    """The lengths that prefixes have, the longest first."""
