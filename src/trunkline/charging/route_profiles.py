"""Route profiles: what Routes.csv says of routes.

Rows of one tenant and ID are one profile; of those, the rows of one route under the same filters
are one route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from trunkline.charging.filters import ALWAYS_HOLDS, Condition, Filters, activation_reply
from trunkline.charging.rows import ALWAYS, Activation, RouteRow
from trunkline.errors import DecodeError, TrunklineError
from trunkline.rating.errors import Problem, Source

__all__ = ["SORTINGS", "Route", "RouteProfile", "make_profile"]

SORTINGS: Final = ("*weight", "*lc", "*hc", "*qos", "*reas", "*reds", "*load")
VARS: Final = "*vars"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of a profile."""

    id: str
    filter_ids: tuple[str, ...] = ()
    condition: Condition = field(default=ALWAYS_HOLDS, repr=False)
    """What does not look at ``*vars``."""
    late: Condition = field(default=ALWAYS_HOLDS, repr=False)
    """What does, and so is judged when the sorting data are there."""
    accounts: tuple[str, ...] = ()
    rating_plans: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    """``ID``, or ``ID:metric`` for ``*load``."""
    weight: Decimal = Decimal(0)
    blocker: bool = False
    parameters: str = ""
    source: Source | None = None

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "ID": self.id,
            "FilterIDs": list(self.filter_ids),
            "AccountIDs": list(self.accounts),
            "RatingPlanIDs": list(self.rating_plans),
            "ResourceIDs": list(self.resources),
            "StatIDs": list(self.stats),
            "Weight": self.weight,
            "Blocker": self.blocker,
            "RouteParameters": self.parameters,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteProfile:
    """Routes.csv: all rows of one tenant and ID."""

    tenant: str
    id: str
    filter_ids: tuple[str, ...] = ()
    condition: Condition = field(default=ALWAYS_HOLDS, repr=False)
    activation: Activation = ALWAYS
    sorting: str = "*weight"
    parameters: tuple[str, ...] = ()
    ratios: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Of ``*load``, by route."""
    routes: tuple[Route, ...] = ()
    weight: Decimal = Decimal(0)
    source: Source | None = None

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "Tenant": self.tenant,
            "ID": self.id,
            "FilterIDs": list(self.filter_ids),
            "ActivationInterval": activation_reply(self.activation),
            "Sorting": self.sorting,
            "SortingParameters": list(self.parameters),
            "Routes": [each.as_reply() for each in self.routes],
            "Weight": self.weight,
        }


def _ratios(parameters: Sequence[str]) -> dict[str, int]:
    ratios: dict[str, int] = {}
    for each in parameters:
        route, _, ratio = each.rpartition(":")
        if not route or not ratio.isdecimal() or len(ratio) > 9:
            raise DecodeError(
                "charging.sorting", f"{each!r}: *load takes route:ratio, or *default:ratio"
            )
        ratios[route] = int(ratio)
    return ratios


def make_profile(
    key: tuple[str, str], rows: Sequence[RouteRow], filters: Filters, problems: list[Problem]
) -> RouteProfile:
    """The profile of all rows of one tenant and ID; what is wrong goes to ``problems``."""
    tenant, profile_id = key
    filter_ids: dict[str, None] = {}
    conditions: list[Condition] = []
    routes: dict[tuple[str, tuple[str, ...]], list[RouteRow]] = {}
    activation, sorting, weight = ALWAYS, "", Decimal(0)
    parameters: dict[str, None] = {}
    first = rows[0]

    def note(error: TrunklineError, source: Source | None) -> None:
        message = f"route profile {profile_id}: {error.message}"
        problems.append(Problem(error.code, message, source))

    for row in rows:
        sorting, weight = row.sorting or sorting, row.weight or weight
        parameters |= dict.fromkeys(row.sorting_parameters)
        if row.activation != ALWAYS:
            activation = row.activation
        fresh = [each for each in row.filters if each not in filter_ids]
        filter_ids |= dict.fromkeys(fresh)
        try:
            conditions.append(filters.condition(tenant, fresh, row.source))
            if row.sorting and row.sorting not in SORTINGS:
                raise DecodeError(
                    "charging.sorting",
                    f"there is no sorting {row.sorting!r}; choose of {', '.join(SORTINGS)}",
                )
        except DecodeError as error:
            note(error, row.source)
        if row.route:
            # Rows of one route under the same filters are one route, as in the reference.
            routes.setdefault((row.route, row.route_filters), []).append(row)
    ratios: dict[str, int] = {}
    try:
        if sorting == "*load":
            ratios = _ratios(tuple(parameters))
    except DecodeError as error:
        note(error, first.source)
    made: list[Route] = []
    for (route_id, route_filters), held in routes.items():
        try:
            condition = filters.condition(tenant, route_filters, held[0].source)
        except DecodeError as error:
            note(error, held[0].source)
            continue
        early, late = condition.divided(VARS) if condition.filters else (condition, condition)
        made.append(
            Route(
                id=route_id,
                filter_ids=route_filters,
                condition=early,
                late=late,
                accounts=_union(row.accounts for row in held),
                rating_plans=_union(row.rating_plans for row in held),
                resources=_union(row.resources for row in held),
                stats=_union(row.stats for row in held),
                weight=next((r.route_weight for r in reversed(held) if r.route_weight), Decimal(0)),
                blocker=any(row.route_blocker for row in held),
                parameters=next((r.route_parameters for r in held if r.route_parameters), ""),
                source=held[0].source,
            )
        )
    return RouteProfile(
        tenant=tenant,
        id=profile_id,
        filter_ids=tuple(filter_ids),
        condition=Condition(tuple(each for held in conditions for each in held.filters)),
        activation=activation,
        sorting=sorting or "*weight",
        parameters=tuple(parameters),
        ratios=MappingProxyType(ratios),
        routes=tuple(made),
        weight=weight,
        source=first.source,
    )


def _union(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for held in lists for each in held))
