"""``AttributeSv1``, ``ChargerSv1`` and ``RouteSv1``: what the profiles make of an event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from trunkline.charging.event import Event, EventError
from trunkline.elements.charging.arguments import Instant
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.replies import as_json
from trunkline.jsonrpc import Json
from trunkline.rating.errors import RatingError

__all__ = [
    "CgrEvent",
    "ProfileMethods",
    "RouteArgs",
    "as_suppliers",
    "event_of",
    "refusing",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CgrEvent:
    """An event, and for attributes the context and how often they run."""

    context: str | None = None
    process_runs: int | None = None
    attribute_ids: tuple[str, ...] = field(default=(), metadata={"name": "AttributeIDs"})
    tenant: str = ""
    id: str = ""
    time: Instant | None = None
    event: Mapping[str, Json] = field(default_factory=dict)
    opts: Mapping[str, Json] = field(default_factory=dict)
    api_opts: Mapping[str, Json] = field(default_factory=dict)
    """The later name of the former."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteArgs:
    """An event, and which routes are wanted."""

    ignore_errors: bool = False
    max_cost: str = ""
    limit: int | None = None
    offset: int | None = None
    tenant: str = ""
    id: str = ""
    time: Instant | None = None
    event: Mapping[str, Json] = field(default_factory=dict)
    opts: Mapping[str, Json] = field(default_factory=dict)
    api_opts: Mapping[str, Json] = field(default_factory=dict)
    """The later name of the former."""


MOST_RUNS: Final = 100
"""Two profiles that undo each other run until they are used up."""
_SUPPLIERS: Final[Mapping[str, str]] = {
    "Routes": "Suppliers",
    "RouteParameters": "SupplierParameters",
    "RouteID": "SupplierID",
    "SortedRoutes": "SortedSuppliers",
}


def as_suppliers(reply: Json) -> Json:
    """A reply about routes by its older names."""
    if isinstance(reply, list):
        return [as_suppliers(each) for each in reply]
    if isinstance(reply, dict):
        return {_SUPPLIERS.get(name, name): as_suppliers(each) for name, each in reply.items()}
    return reply


class ProfileMethods:
    """The engine's profiles, asked one by one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @method("AttributeSv1.ProcessEvent")
    def attributes(self, args: CgrEvent) -> Json:
        """The event as the attribute profiles of a context make it."""
        engine = self._engine
        event = event_of(args)
        asked = event.opts.get("*processRuns")
        runs = args.process_runs or (asked if isinstance(asked, int) else 0) or 1
        if runs > MOST_RUNS:
            raise ApiError(f"SERVER_ERROR: ProcessRuns is at most {MOST_RUNS}")
        with refusing():
            found = engine.profiles.attributes.process(
                event,
                engine.clock(),
                context=args.context or "",
                profile_ids=args.attribute_ids,
                process_runs=runs,
                sources=engine.sources,
            )
            return as_json(found.as_reply())

    @method("AttributeSv1.GetAttributeForEvent")
    def attribute(self, args: CgrEvent) -> Json:
        """The attribute profile that would change the event."""
        engine = self._engine
        with refusing():
            found = engine.profiles.attributes.for_event(
                event_of(args), engine.clock(), context=args.context or "", sources=engine.sources
            )
            if found is None:
                raise ApiError("NOT_FOUND")
            return as_json(found.as_reply())

    @method("ChargerSv1.ProcessEvent")
    def charge(self, args: CgrEvent) -> Json:
        """How often, and as what, the event would be charged."""
        engine = self._engine
        with refusing():
            runs = engine.profiles.chargers.process(
                event_of(args), engine.clock(), sources=engine.sources
            )
            return [as_json(run.as_reply()) for run in runs]

    @method("ChargerSv1.GetChargersForEvent")
    def chargers(self, args: CgrEvent) -> Json:
        """The charger profiles that match the event."""
        engine = self._engine
        with refusing():
            found = engine.profiles.chargers.for_event(
                event_of(args), engine.clock(), sources=engine.sources
            )
            return [as_json(profile.as_reply()) for profile in found]

    @method("RouteSv1.GetRouteProfilesForEvent")
    def route_profiles(self, args: CgrEvent) -> Json:
        """The route profiles that match the event."""
        engine = self._engine
        with refusing():
            found = engine.profiles.routes.for_event(
                event_of(args), engine.clock(), sources=engine.sources
            )
            return [as_json(profile.as_reply()) for profile in found]

    @method("SupplierSv1.GetSupplierProfilesForEvent")
    def supplier_profiles(self, args: CgrEvent) -> Json:
        """The route profiles that match the event, by the older names."""
        return as_suppliers(self.route_profiles(args))

    @method("SupplierSv1.GetSuppliers")
    def suppliers(self, args: RouteArgs) -> Json:
        """Where the event may go, by the older names."""
        return as_suppliers(self.routes(args))

    @method("RouteSv1.GetRoutes")
    def routes(self, args: RouteArgs) -> Json:
        """Where the event may go, the best first, the rest for when that fails."""
        engine = self._engine
        with refusing():
            found = engine.profiles.routes.sort(
                event_of(args),
                engine.clock(),
                limit=args.limit,
                offset=args.offset or 0,
                ignore_errors=args.ignore_errors,
                max_cost=args.max_cost,
                sources=engine.sources,
            )
            return as_json(found.as_reply())


def event_of(args: CgrEvent | RouteArgs) -> Event:
    """The event of an argument."""
    return Event(
        tenant=args.tenant,
        id=args.id,
        time=None if args.time is None else args.time.time,
        fields=dict(args.event),
        opts={**args.opts, **args.api_opts},
    )


@contextmanager
def refusing() -> Iterator[None]:
    """What an event cannot be judged for, in the reference's words where it has some."""
    try:
        yield
    except EventError as problem:
        word = problem.reference
        plain = word == "NOT_FOUND" or word.startswith("MANDATORY")
        raise ApiError(word if plain else f"SERVER_ERROR: {problem.message}") from problem
    except RatingError as problem:
        raise ApiError(f"SERVER_ERROR: {problem.reference or problem.message}") from problem
