"""The rows of a tariff, typed: one class for each file of the reference's folder.

Money is ``Fraction``, durations are ``int`` (nanoseconds, or units for what is not voice), times
are aware datetimes. Rows of one ID are merged: ``Destination``, ``Rate``, ``DestinationRate``,
``RatingPlan`` and ``RatingProfile`` hold all rows of theirs, in the files' order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from trunkline.rating.errors import Source
from trunkline.rating.rounding import RoundingMethod

__all__ = [
    "ANY",
    "BUILT_IN_TIMINGS",
    "DAY_SECONDS",
    "DEFAULT_CATEGORY",
    "DEFAULT_TENANT",
    "FALLBACK_DEPTH",
    "Activation",
    "Binding",
    "Destination",
    "DestinationRate",
    "MaxCostStrategy",
    "Parts",
    "PlanEntry",
    "Rate",
    "RateSlot",
    "RatingPlan",
    "RatingProfile",
    "Timing",
]

ANY = "*any"
DEFAULT_TENANT = "cgrates.org"
DEFAULT_CATEGORY = "call"
FALLBACK_DEPTH = 3
"""Profiles on one way through the fallback subjects, the first included (rals.fallback_depth)."""
DAY_SECONDS = 86_400


class MaxCostStrategy(StrEnum):
    """What happens when a call reaches ``max_cost``."""

    NONE = ""
    FREE = "*free"
    """The rest of the call is free."""
    DISCONNECT = "*disconnect"
    """A prepaid session ends there; the price of a finished call is not capped."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Destinations.csv: the prefixes of one ID, in the file's order."""

    id: str
    prefixes: tuple[str, ...]
    source: Source | None = None
    """The first row of this ID, here and below."""


@dataclass(frozen=True, slots=True)
class RateSlot:
    """Rates.csv: one row. A unit or increment of 0 means 1 s, as in the reference."""

    connect_fee: Fraction
    """Counts in the first slot of a rate only."""
    rate: Fraction
    """Money for one ``unit``."""
    unit: int
    increment: int
    """What is billed at once."""
    start: int
    """The usage from which this slot applies (GroupIntervalStart)."""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """Rates.csv: all slots of one ID; ``Tariff.build`` puts them in order of their start."""

    id: str
    slots: tuple[RateSlot, ...]
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """DestinationRates.csv: one row, a destination bound to a rate."""

    destination_id: str
    """An ID of Destinations.csv or ``*any``."""
    rate_id: str
    rounding: RoundingMethod
    decimals: int
    max_cost: Fraction = Fraction(0)
    """0: no limit."""
    strategy: MaxCostStrategy = MaxCostStrategy.NONE
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class DestinationRate:
    """DestinationRates.csv: all rows of one ID."""

    id: str
    bindings: tuple[Binding, ...]
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Timings.csv: one row. An empty field means any; the local clock's reading decides."""

    id: str
    years: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    week_days: tuple[int, ...] = ()
    """0 is Sunday (a 7 in the file is a 0 here)."""
    start: int = 0
    """Seconds of the local day, 0 to 86399; ``*asap`` is 0."""
    end: int = DAY_SECONDS
    """Seconds of the local day, not included; 86400 where the file has no end."""
    source: Source | None = None
    as_soon: bool = False
    """The start is ``*asap``: an action plan with it runs once, at once. Prices do not care."""


BUILT_IN_TIMINGS: Mapping[str, Timing] = {
    name: Timing(name)
    for name in (
        *("*any", "*asap", "*always", "*every_minute", "*hourly", "*daily", "*weekly"),
        *("*monthly", "*monthly_estimated", "*month_end", "*yearly"),
    )
}
"""Timings that exist without a file. In a rating plan each of them means always."""


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """RatingPlans.csv: one row."""

    destination_rate_id: str
    timing_id: str
    weight: Fraction
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class RatingPlan:
    """RatingPlans.csv: all rows of one ID."""

    id: str
    entries: tuple[PlanEntry, ...]
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Activation:
    """RatingProfiles.csv: one row, the plan that is in force from ``time``."""

    time: datetime | None
    """Aware; None (an empty column): always."""
    plan_id: str
    fallbacks: tuple[str, ...] = ()
    """Subjects of the same tenant and category, in the order in which they are tried."""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class RatingProfile:
    """RatingProfiles.csv: all rows of one tenant, category and subject."""

    tenant: str
    category: str
    subject: str
    activations: tuple[Activation, ...]
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """All rows of a tariff, not yet checked."""

    destinations: Sequence[Destination]
    rates: Sequence[Rate]
    destination_rates: Sequence[DestinationRate]
    rating_plans: Sequence[RatingPlan]
    rating_profiles: Sequence[RatingProfile]
    timings: Sequence[Timing] = ()
