"""``TrunklineV1``: why profiles match an event, or do not. The reference has no such methods.

Each answer has every profile that there is, in the order in which they were judged, with a verdict
and the rules that decided; the codes are those of docs/charging-profiles.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trunkline.charging.event import EventError, Scope
from trunkline.charging.filters import Finding
from trunkline.charging.route_profiles import Route
from trunkline.charging.routes import NoRouteError, RouteReason, Untaken
from trunkline.charging.selection import Judged
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.profiles import CgrEvent, RouteArgs, event_of, refusing
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.replies import as_json
from trunkline.errors import DecodeError
from trunkline.jsonrpc import Json

__all__ = ["Explain", "FilterEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterEvent:
    """An event, and the filters that are to look at it: stored ones and inline ones."""

    filter_ids: tuple[str, ...] = ()
    tenant: str = ""
    event: Mapping[str, Json] = field(default_factory=dict)
    api_opts: Mapping[str, Json] = field(default_factory=dict)


class Explain:
    """The decisions of the engine's profiles."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @method("TrunklineV1.ExplainFilters", mandatory=("FilterIDs",))
    def filters(self, args: FilterEvent) -> Json:
        """Whether filters all hold for an event, and which rule decided."""
        engine = self._engine
        event = event_of(CgrEvent(tenant=args.tenant, event=args.event, api_opts=args.api_opts))
        findings: list[Finding] = []
        with refusing():
            try:
                condition = engine.profiles.filters.condition(
                    event.tenant_or_default, args.filter_ids
                )
            except DecodeError as problem:
                raise ApiError(f"SERVER_ERROR: {problem.message}") from problem
            holds = condition.holds(Scope(event, engine.clock(), engine.sources), findings)
        return {"Holds": holds, "Rules": _rules(findings)}

    @method("TrunklineV1.ExplainAttributes")
    def attributes(self, args: CgrEvent) -> Json:
        """Each attribute profile: whether it would change the event in the context, and why."""
        engine = self._engine
        trace: list[Judged] = []
        with refusing():
            engine.profiles.attributes.for_event(
                event_of(args),
                engine.clock(),
                context=args.context or "",
                sources=engine.sources,
                trace=trace,
            )
        return _profiles(trace)

    @method("TrunklineV1.ExplainChargers")
    def chargers(self, args: CgrEvent) -> Json:
        """Each charger profile: whether it matches the event, and why."""
        engine = self._engine
        trace: list[Judged] = []
        with refusing():
            try:
                engine.profiles.chargers.for_event(
                    event_of(args), engine.clock(), sources=engine.sources, trace=trace
                )
            except EventError as problem:
                _pass_not_found(problem)
        return _profiles(trace)

    @method("TrunklineV1.ExplainRoutes")
    def routes(self, args: RouteArgs) -> Json:
        """Each route profile, and each route of the one that counts, with its place and why."""
        engine = self._engine
        trace: list[Judged] = []
        routes: list[Json] = []
        untaken: tuple[Untaken, ...] = ()
        with refusing():
            try:
                found = engine.profiles.routes.sort(
                    event_of(args),
                    engine.clock(),
                    limit=args.limit,
                    offset=args.offset or 0,
                    ignore_errors=args.ignore_errors,
                    max_cost=args.max_cost,
                    sources=engine.sources,
                    trace=trace,
                )
            except NoRouteError as problem:
                untaken = problem.untaken
            except EventError as problem:
                _pass_not_found(problem)
            else:
                untaken = found.untaken
                for number, each in enumerate(found.routes):
                    reason = RouteReason.FALLBACK if number else RouteReason.TAKEN
                    routes.append({**_route(each.route, reason), "Data": as_json(each.data)})
        routes += [
            {**_route(each.route, each.reason), "Detail": each.detail, **_ruled(each.findings)}
            for each in untaken
        ]
        return {"Profiles": _profiles(trace), "Routes": routes}


def _pass_not_found(problem: EventError) -> None:
    """That nothing matches is what is to be explained."""
    if problem.reference != "NOT_FOUND":
        raise problem


def _profiles(trace: Iterable[Judged]) -> Json:
    return [
        {"ProfileID": each.profile, "Verdict": str(each.verdict), **_ruled(each.findings)}
        for each in trace
    ]


def _route(route: Route, reason: RouteReason) -> dict[str, Json]:
    return {"RouteID": route.id, "Reason": str(reason)}


def _ruled(findings: Iterable[Finding]) -> dict[str, Json]:
    return {"Rules": _rules(findings)}


def _rules(findings: Iterable[Finding]) -> Json:
    return [
        {
            "FilterID": each.filter_id,
            "Rule": each.rule,
            "Reason": str(each.reason),
            "Found": each.found,
            "Source": None if each.source is None else str(each.source),
        }
        for each in findings
    ]
