"""RouteS: by which carriers an event may go, and in which order.

The heaviest profile that matches names routes; those whose filters the event meets are sorted:

====================  ==============================================================
``*weight``           the heaviest first
``*lc``, ``*hc``      the cheapest, or the dearest, first
``*qos``              by the profile's metrics, one after another; ``*pdd`` least first
``*reas``, ``*reds``  the least, or the most, used resources first
``*load``             the least calls for its share (``*ratio``) first
====================  ==============================================================

What is equal goes by weight, then by the rows' order (the reference throws dice). The first route
is the one to take, the rest are its fallbacks. A route's filter may look at what it was sorted by:
``*lte:~*vars.Cost:0.1``. Costs, stats and resources come in by protocols; what is not passed in is
refused when a route needs it. Every route that is not taken is written down with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from trunkline.charging.event import Event, EventError, Scope, Sources, number_text
from trunkline.charging.filters import (
    Filters,
    Finding,
    ProfilesError,
)
from trunkline.charging.route_profiles import SORTINGS, Route, RouteProfile, make_profile
from trunkline.charging.route_sources import Costs, Resources, Stats
from trunkline.charging.rows import RouteRow
from trunkline.charging.selection import Judged, Selection
from trunkline.rating import Call, RatingError
from trunkline.rating.durations import MINUTE
from trunkline.rating.errors import Problem

__all__ = [
    "SORTINGS",
    "NoRouteError",
    "RouteReason",
    "Routes",
    "SortedRoute",
    "SortedRoutes",
    "Untaken",
]

EVENT_COST: Final = "*event_cost"
PDD: Final = "*pdd"
_WORST_PDD: Final = Decimal(10_000_000)
_NO_METRIC: Final = Decimal(-1)
"""What counts where a stat has no such metric, as in the reference."""
DEFAULT_RATIO: Final = 1
_MOST_DIGITS: Final = 40


class RouteReason(StrEnum):
    """Why a route is where it is, or is not there."""

    TAKEN = "route.taken"
    FALLBACK = "route.fallback"
    FILTERED = "route.filtered"
    DUPLICATE = "route.duplicate"
    NO_COST = "route.no-cost"
    MAX_COST = "route.max-cost"
    BLOCKED = "route.blocked"
    BEFORE_OFFSET = "route.before-offset"
    BEYOND_LIMIT = "route.beyond-limit"


@dataclass(frozen=True, slots=True)
class SortedRoute:
    """A route that may be taken, and what it was sorted by."""

    route: Route
    data: Mapping[str, object]
    """``Weight``, and by the sorting ``Cost``, ``RatingPlanID``, ``Account``, ``MaxUsage``,
    ``ResourceUsage``, ``Load``, ``Ratio``, or metrics."""

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it; decimals stay decimals."""
        return {
            "RouteID": self.route.id,
            "RouteParameters": self.route.parameters,
            "SortingData": dict(self.data),
        }


@dataclass(frozen=True, slots=True)
class Untaken:
    """A route that is not in the answer, and why."""

    route: Route
    reason: RouteReason
    detail: str = ""
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.route.id} [{self.reason}]{' ' if self.detail else ''}{self.detail}"]
        lines += [f"  {finding}" for finding in self.findings]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SortedRoutes:
    """RouteSv1.GetRoutes' answer, and why it is not longer."""

    profile: RouteProfile
    routes: tuple[SortedRoute, ...]
    untaken: tuple[Untaken, ...] = ()

    @property
    def fallbacks(self) -> tuple[SortedRoute, ...]:
        """Those after the first, in their order."""
        return self.routes[1:]

    @property
    def digest(self) -> str:
        """``route1:parameters,route2``."""
        return ",".join(
            each.route.id + (f":{each.route.parameters}" if each.route.parameters else "")
            for each in self.routes
        )

    def as_reply(self) -> dict[str, object]:
        """As the reference's JSON has it."""
        return {
            "ProfileID": self.profile.id,
            "Sorting": self.profile.sorting,
            "Count": len(self.routes),
            "SortedRoutes": [each.as_reply() for each in self.routes],
        }

    def explain(self) -> str:
        """Every route with its reason, a line each, as it was decided."""
        lines = [f"routes {self.profile.tenant}:{self.profile.id} by {self.profile.sorting}"]
        for number, each in enumerate(self.routes):
            reason = RouteReason.FALLBACK if number else RouteReason.TAKEN
            data = ", ".join(
                f"{name} {number_text(value) if isinstance(value, Decimal) else value}"
                for name, value in each.data.items()
            )
            lines.append(f"{'-' if number else '*'} {each.route.id} [{reason}] {data}")
        lines += [f"  {line}" for each in self.untaken for line in str(each).split("\n")]
        return "\n".join(lines)


@dataclass(slots=True)
class _Query:
    """One question, and what is known of it."""

    profile: RouteProfile
    event: Event
    now: datetime
    scope: Scope
    ignore_errors: bool
    max_cost: Decimal | None
    untaken: list[Untaken] = field(default_factory=list)

    def leave(
        self, route: Route, reason: RouteReason, detail: str = "", findings: Sequence[Finding] = ()
    ) -> None:
        self.untaken.append(Untaken(route, reason, detail, tuple(findings)))


class NoRouteError(EventError):
    """A profile matched, but none of its routes may be taken: ``untaken`` says why."""

    def __init__(self, message: str, untaken: Sequence[Untaken]) -> None:
        super().__init__("charging.not-found", message, reference="NOT_FOUND")
        self.untaken = tuple(untaken)


class Routes:
    """All route profiles, and what they ask."""

    def __init__(
        self,
        profiles: Iterable[RouteProfile] = (),
        *,
        costs: Costs | None = None,
        stats: Stats | None = None,
        resources: Resources | None = None,
    ) -> None:
        self.selection: Selection[RouteProfile] = Selection(profiles)
        self._costs = costs
        self._stats = stats
        self._resources = resources

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[RouteRow],
        filters: Filters,
        *,
        costs: Costs | None = None,
        stats: Stats | None = None,
        resources: Resources | None = None,
    ) -> Routes:
        """The profiles of Routes.csv.

        Raises:
            ProfilesError: everything that is wrong, with file and line.
        """
        problems: list[Problem] = []
        merged: dict[tuple[str, str], list[RouteRow]] = {}
        for row in rows:
            merged.setdefault((row.tenant, row.id), []).append(row)
        profiles = [make_profile(key, held, filters, problems) for key, held in merged.items()]
        if problems:
            raise ProfilesError(problems)
        return cls(profiles, costs=costs, stats=stats, resources=resources)

    def for_event(
        self,
        event: Event,
        now: datetime,
        *,
        sources: Sources | None = None,
        trace: list[Judged] | None = None,
    ) -> list[RouteProfile]:
        """RouteSv1.GetRouteProfilesForEvent: those that match, the heaviest first.

        Raises:
            EventError: ``charging.not-found`` where none does (``NOT_FOUND``).
        """
        scope = Scope(event, now, sources)
        found = list(self.selection.matching(scope, event.time or now, trace))
        if not found:
            raise _not_found(f"no route profile of {scope.tenant} matches")
        return found

    def sort(
        self,
        event: Event,
        now: datetime,
        *,
        limit: int | None = None,
        offset: int = 0,
        ignore_errors: bool = False,
        max_cost: str = "",
        sources: Sources | None = None,
        trace: list[Judged] | None = None,
    ) -> SortedRoutes:
        """RouteSv1.GetRoutes: the routes of the heaviest profile that matches, sorted.

        ``Usage`` is a minute where the event has none. ``max_cost`` is a number or ``*event_cost``;
        dearer routes are left out. With ``ignore_errors`` a route without a price (or metric) is
        left out, too.

        Raises:
            EventError: ``charging.not-found`` (``NOT_FOUND``): no profile matches, or no route is
                left; ``charging.mandatory``: a field or a column is missing that the sorting needs;
                ``charging.no-source``: what it needs was not passed in.
            RatingError: a route has no price.
        """
        if event.usage() is None:
            fields = {**event.fields, "Usage": MINUTE}
            event = Event(
                tenant=event.tenant, id=event.id, time=event.time, fields=fields, opts=event.opts
            )
        scope = Scope(event, now, sources)
        profile = self.selection.first(scope, event.time or now, trace)
        if profile is None:
            raise _not_found(f"no route profile of {scope.tenant} matches")
        query = _Query(
            profile, event, now, scope, ignore_errors, self._maximum(max_cost, event, scope)
        )
        found: list[SortedRoute] = []
        for route in self._allowed(query):
            data = self._data(query, route)
            if data is None:
                continue
            findings: list[Finding] = []
            # Always traced: that a route is not there has to be explained.
            if not route.late.holds(Scope(event, now, sources, vars=data), findings):
                query.leave(route, RouteReason.FILTERED, findings=findings[-1:])
                continue
            found.append(SortedRoute(route, MappingProxyType(data)))
        found.sort(key=_SORTERS[profile.sorting](profile))
        for number, each in enumerate(found):
            if each.route.blocker:
                for later in found[number + 1 :]:
                    query.leave(later.route, RouteReason.BLOCKED, f"by {each.route.id}")
                del found[number + 1 :]
                break
        if not found:
            why = "; ".join(str(each) for each in query.untaken) or "it has none"
            raise NoRouteError(f"no route of {profile.id} is left: {why}", query.untaken)
        for each in found[:offset]:
            query.leave(each.route, RouteReason.BEFORE_OFFSET)
        end = None if limit is None else offset + limit
        if end is not None:
            for each in found[end:]:
                query.leave(each.route, RouteReason.BEYOND_LIMIT)
        return SortedRoutes(profile, tuple(found[offset:end]), tuple(query.untaken))

    def _allowed(self, query: _Query) -> list[Route]:
        """The routes whose filters hold; of several with one ID the heaviest."""
        allowed: dict[str, Route] = {}
        for route in query.profile.routes:
            findings: list[Finding] = []
            if not route.condition.holds(query.scope, findings):
                query.leave(route, RouteReason.FILTERED, findings=findings[-1:])
                continue
            before = allowed.get(route.id)
            if before is not None and before.weight >= route.weight:
                query.leave(route, RouteReason.DUPLICATE, f"of {before.weight}")
                continue
            if before is not None:
                query.leave(before, RouteReason.DUPLICATE, f"of {route.weight}")
            allowed[route.id] = route
        return list(allowed.values())

    def _maximum(self, text: str, event: Event, scope: Scope) -> Decimal | None:
        if text == EVENT_COST:
            if self._costs is None:
                raise _no_source("*event_cost", "costs")
            return self._costs.of_event(_call(event, scope))
        if not text:
            return None
        try:
            maximum = Decimal(text)
        except InvalidOperation:
            maximum = Decimal("NaN")
        if not maximum.is_finite() or abs(maximum.adjusted()) > _MOST_DIGITS:
            raise EventError(
                "charging.field", f"MaxCost {text[:40]!r} is neither a number nor {EVENT_COST}"
            )
        return maximum or None

    def _data(self, query: _Query, route: Route) -> dict[str, object] | None:
        """What a route is sorted by; None: it is left out, and why is written down."""
        sorting = query.profile.sorting
        for needed, held, column in (
            (("*lc", "*hc"), route.rating_plans or route.accounts, "RatingPlanIDs or AccountIDs"),
            (("*reas", "*reds"), route.resources, "ResourceIDs"),
            (("*load",), route.stats, "StatIDs"),
        ):
            if sorting in needed and not held:
                raise EventError(
                    "charging.mandatory",
                    f"{route.source or query.profile.id}: the route {route.id} has no {column}, "
                    f"which {sorting} sorts by",
                    reference=f"MANDATORY_IE_MISSING: [{column}]",
                )
        data: dict[str, object] = {"Weight": route.weight}
        try:
            if route.rating_plans or route.accounts:
                data |= self._cost(query, route)
            if route.stats:
                data |= self._metrics(query, route)
            if sorting == "*qos":
                for name in query.profile.parameters:
                    data.setdefault(name, _WORST_PDD if name == PDD else _NO_METRIC)
            if route.resources:
                data["ResourceUsage"] = self._usage(query, route)
        except (RatingError, EventError) as error:
            if not query.ignore_errors or error.code == "charging.no-source":
                raise
            query.leave(route, RouteReason.NO_COST, f"{error.code}: {error.message}")
            return None
        cost = data.get("Cost")
        if query.max_cost is not None and isinstance(cost, Decimal) and cost > query.max_cost:
            detail = f"{number_text(cost)} is more than {number_text(query.max_cost)}"
            query.leave(route, RouteReason.MAX_COST, detail)
            return None
        return data

    def _cost(self, query: _Query, route: Route) -> dict[str, object]:
        if self._costs is None:
            raise _no_source(f"the route {route.id}", "costs")
        call = _call(query.event, query.scope)
        data: dict[str, object] = {}
        if route.accounts:
            covered = self._costs.on_accounts(call, route.accounts)
            if covered is not None and covered.usage > 0:
                data = {
                    "Account": covered.account,
                    "MaxUsage": covered.usage,
                    "Cost": Decimal(0),
                }
                if covered.usage >= call.usage:
                    return data
                # The rest is paid for, from where the units end.
                call = Call(
                    destination=call.destination,
                    time=call.time + timedelta(microseconds=covered.usage // 1_000),
                    usage=call.usage - covered.usage,
                    tenant=call.tenant,
                    category=call.category,
                    subject=call.subject,
                    account=call.account,
                    tor=call.tor,
                )
        if not route.rating_plans:
            raise EventError(
                "charging.no-cover",
                f"the accounts of {route.id} do not cover the whole usage, and it has no rating "
                "plan for the rest",
            )
        found = self._costs.on_plans(call, route.rating_plans)
        return data | {"Cost": found.cost, "RatingPlanID": found.rating_plan}

    def _metrics(self, query: _Query, route: Route) -> dict[str, object]:
        if self._stats is None:
            raise _no_source(f"the route {route.id}", "stats")
        loads = query.profile.sorting == "*load"
        values: dict[str, list[Decimal]] = {}
        for each in route.stats:
            stat_id, _, metric = each.partition(":")
            found = self._stats.metrics(query.scope.tenant, stat_id) or {}
            if metric and metric not in found:
                raise EventError(
                    "charging.no-metric",
                    f"the stat {stat_id} has no metric {metric} for the route {route.id}",
                )
            for name, value in found.items():
                if not metric or name == metric:
                    values.setdefault(name, []).append(value)
        if loads:
            load = sum((sum(held, Decimal(0)) for held in values.values()), Decimal(0))
            ratio = query.profile.ratios.get(route.id, query.profile.ratios.get("*default"))
            return {"Load": load, "Ratio": DEFAULT_RATIO if ratio is None else ratio}
        data: dict[str, object] = {
            name: sum(held, Decimal(0)) / len(held) for name, held in values.items()
        }
        return data

    def _usage(self, query: _Query, route: Route) -> Decimal:
        if self._resources is None:
            raise _no_source(f"the route {route.id}", "resources")
        used = (self._resources.usage(query.scope.tenant, each) for each in route.resources)
        return sum((each for each in used if each is not None), Decimal(0))


def _not_found(message: str) -> EventError:
    return EventError("charging.not-found", message, reference="NOT_FOUND")


def _no_source(what: str, kind: str) -> EventError:
    return EventError(
        "charging.no-source", f"{what} needs {kind}, but no source of {kind} was passed in"
    )


def _call(event: Event, scope: Scope) -> Call:
    """The call that is to be priced.

    Raises:
        EventError: ``charging.mandatory``.
    """
    for name in ("Account", "Destination", "SetupTime"):
        if not event.text(name):
            raise EventError(
                "charging.mandatory",
                f"the event has no {name}, without which a route has no cost",
                reference=f"MANDATORY_IE_MISSING: [{name}]",
            )
    account = event.text("Account")
    return Call(
        destination=event.text("Destination"),
        time=event.when("SetupTime", scope.now, scope.zone) or scope.now,
        usage=event.usage() or 0,
        tenant=scope.tenant,
        category=event.text("Category"),
        subject=event.text("Subject") or account,
        account=account,
        tor=event.text("ToR"),
    )


# Sorting


Key = Callable[[SortedRoute], tuple[object, ...]]


def _number(each: SortedRoute, name: str) -> Decimal:
    value = each.data.get(name)
    return value if isinstance(value, Decimal) else Decimal(0)


def _by(name: str, sign: int) -> Callable[[RouteProfile], Key]:
    return lambda profile: lambda each: (sign * _number(each, name), -each.route.weight)


def _by_weight(profile: RouteProfile) -> Key:
    return lambda each: (-each.route.weight,)


def _by_quality(profile: RouteProfile) -> Key:
    def key(each: SortedRoute) -> tuple[object, ...]:
        values = [_number(each, name) * (1 if name == PDD else -1) for name in profile.parameters]
        return (*values, -each.route.weight)

    return key


def _by_load(profile: RouteProfile) -> Key:
    def key(each: SortedRoute) -> tuple[object, ...]:
        ratio = each.data.get("Ratio")
        share = ratio if isinstance(ratio, int) else DEFAULT_RATIO
        if not share:
            # A share of nothing: after all others.
            return (True, Fraction(0), -each.route.weight)
        return (False, Fraction(_number(each, "Load")) / share, -each.route.weight)

    return key


_SORTERS: Final[Mapping[str, Callable[[RouteProfile], Key]]] = MappingProxyType(
    {
        "*weight": _by_weight,
        "*lc": _by("Cost", 1),
        "*hc": _by("Cost", -1),
        "*qos": _by_quality,
        "*reas": _by("ResourceUsage", 1),
        "*reds": _by("ResourceUsage", -1),
        "*load": _by_load,
    }
)
