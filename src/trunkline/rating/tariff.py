"""A tariff: all its rows, checked as a whole and compiled for look-ups.

The chain that ends in a price::

    RatingProfile (tenant, category, subject)
      -> the activation in force -> RatingPlan
           -> Destination (longest prefix) -> DestinationRate + Timing + weight
                -> Rate -> its slots

``Tariff.build`` takes the rows (``trunkline.rating.model``, re-exported here), raises all that is
wrong with them at once, and compiles them. A tariff never changes afterwards and can be pickled.

Left out: SharedGroups, Actions and the other files of a folder that do not make a price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from trunkline.rating import check, compiler
from trunkline.rating.call import USAGE_LIMITS
from trunkline.rating.errors import Problem, Source, TariffError
from trunkline.rating.index import Index
from trunkline.rating.model import (
    ANY,
    BUILT_IN_TIMINGS,
    DAY_SECONDS,
    DEFAULT_CATEGORY,
    DEFAULT_TENANT,
    FALLBACK_DEPTH,
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
    "PlanEntry",
    "Problem",
    "Rate",
    "RateSlot",
    "RatingPlan",
    "RatingProfile",
    "RoundingMethod",
    "Source",
    "Tariff",
    "TariffError",
    "Timing",
]


@dataclass(frozen=True, slots=True)
class Tariff:
    """A tariff that was checked as a whole. Make one with ``Tariff.build``."""

    name: str
    time_zone: tzinfo
    """The zone of tenants that have none of their own."""
    tenant_time_zones: Mapping[str, tzinfo]
    fallback_depth: int
    usage_limits: Mapping[str, int]
    """By type of record; ``*any``: of every other."""
    index: Index = field(repr=False)
    """The compiled form: what the engine looks things up in."""

    @classmethod
    def build(
        cls,
        *,
        destinations: Sequence[Destination],
        rates: Sequence[Rate],
        destination_rates: Sequence[DestinationRate],
        rating_plans: Sequence[RatingPlan],
        rating_profiles: Sequence[RatingProfile],
        timings: Sequence[Timing] = (),
        name: str = "",
        time_zone: tzinfo = UTC,
        tenant_time_zones: Mapping[str, tzinfo] | None = None,
        fallback_depth: int = FALLBACK_DEPTH,
        usage_limits: Mapping[str, int] | None = None,
    ) -> Tariff:
        """Check and compile a tariff.

        Every ID may come once in its sequence: whoever reads rows merges those of one ID. Rows
        keep their order: where two are equal otherwise, the first wins. ``usage_limits``
        replaces those of ``USAGE_LIMITS`` that it names.

        Raises:
            TariffError: unknown tags, numbers out of range, slots that do not fit together,
                loops of fallback subjects: all of them, with their sources.
        """
        parts = Parts(
            destinations, rates, destination_rates, rating_plans, rating_profiles, timings
        )
        if problems := check.problems(parts):
            raise TariffError(problems)
        return cls(
            name=name,
            time_zone=time_zone,
            tenant_time_zones=dict(tenant_time_zones or {}),
            fallback_depth=fallback_depth,
            usage_limits={**USAGE_LIMITS, **(usage_limits or {})},
            index=compiler.compile_index(parts),
        )

    def zone(self, tenant: str) -> tzinfo:
        """The time zone in which the timings of ``tenant`` are read."""
        return self.tenant_time_zones.get(tenant, self.time_zone)

    def usage_limit(self, tor: str) -> int:
        """The highest usage of a type of record that is priced."""
        limits = self.usage_limits
        return limits[tor] if tor in limits else limits[ANY]
