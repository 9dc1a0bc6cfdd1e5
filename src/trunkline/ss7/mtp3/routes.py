"""The routing table: from a destination point code to the routes that may take the message.

Standards: ITU-T Q.704 clauses 2.3 (message routing), 3.5 (route states), 4.2 (load sharing between
combined linksets) and 13.2 (transfer-prohibited). Masks are the router family's: a destination is a
:class:`~trunkline.ss7.pointcode.Prefix`.

**The decision**, in this order:

1. the longest mask that covers the point code comes first; when none of its routes can be used, the
   next shorter mask is its backup;
2. within a destination the lowest priority figure wins; routes of equal priority are a combined
   linkset, which shares the load by SLS;
3. a route can be used when its linkset is available, the neighbour has not prohibited the
   destination (TFP), and the message did not come in over that very linkset.

**Why never back to where it came from.** The neighbour handed us the message because its table
says that we are nearer to the destination. Sent back, it would return, and circle until a table
changes. Q.704 13.2.2 prevents circles by the preventive TFP (see :mod:`.route_management`), but a
TFP names one point code and cannot cover a route with a mask, and it needs time to arrive. So the
message takes the next best route, and where there is none it is discarded, counted and reported
as a loop. Circles of three and more nodes are the business of :mod:`.loops`, whose findings are
another obstacle here.

:meth:`RouteTable.decide` writes down every route it looked at with the reason code that settled
it: that record is the decision, and ``explain`` shows it and nothing else.

Left out: restricted routes (TFR, a national option) and congestion (TFC): a later issue;
:attr:`~.states.RouteState.RESTRIC` is where the former will show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from trunkline.errors import TrunklineError
from trunkline.ss7.mtp3.counters import RouteCounters
from trunkline.ss7.mtp3.states import DestinationState, LinksetState, ManagementState, RouteState
from trunkline.ss7.pointcode import Prefix, Variant

__all__ = [
    "DEFAULT_PRIORITY",
    "DIRECT_PRIORITY",
    "Candidate",
    "Decision",
    "Destination",
    "Outcome",
    "Reason",
    "Route",
    "RouteTable",
]

DIRECT_PRIORITY = 1
"""Of the route to an adjacent point code over its own linkset, which exists by itself."""
DEFAULT_PRIORITY = 5
"""Of a configured route; both figures are the router family's."""


class Reason(Enum):
    """Why a route won or lost; the value is the documented code."""

    SELECTED = "selected"
    """Usable, and nothing better is: it carries the message, or its share by SLS."""
    LOWER_PRIORITY = "lower-priority"
    """Usable, but a route of the same destination has a lower priority figure."""
    SHORTER_MASK = "shorter-mask"
    """Usable, but a destination with a longer mask has a usable route."""
    LINKSET_UNAVAILABLE = "linkset-unavailable"
    """No link of its linkset is available."""
    LINKSET_SHUTDOWN = "linkset-shutdown"
    """Its linkset is shut down by command."""
    PROHIBITED = "prohibited"
    """The neighbour has sent a TFP for this point code."""
    CAME_FROM = "came-from"
    """The message came in over this linkset: it would circle."""
    LOOP = "loop"
    """What was sent this way has come back (:mod:`.loops`)."""


class Outcome(Enum):
    """What becomes of the message; the value of a refusal is its error code."""

    FORWARD = "forward"
    LOCAL = "local"
    """The destination is this node."""
    UNKNOWN = "mtp3.route.unknown"
    """No route covers the destination."""
    UNAVAILABLE = "mtp3.route.unavailable"
    """Routes there are, none can be used now."""
    LOOP = "mtp3.route.loop"
    """The only usable route leads back to where the message came from, or here in a circle."""


@dataclass(slots=True, eq=False)
class Route:
    """One way to a destination."""

    prefix: Prefix
    linkset: str
    priority: int
    direct: bool = False
    """The linkset ends at the destination itself; the route exists by itself."""
    counters: RouteCounters = field(default_factory=RouteCounters)
    reported: RouteState | None = None
    """The state last told to the node."""


@dataclass(slots=True, eq=False)
class Destination:
    """One entry of the table: a prefix and its routes, best first."""

    prefix: Prefix
    routes: list[Route] = field(default_factory=list)
    status: DestinationState = DestinationState.UNKNOWN

    @property
    def single(self) -> bool:
        """Is this one point code, so that TFP and TFA can name it?"""
        return self.prefix.length == self.prefix.variant.bits


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that the decision looked at, and what settled it."""

    route: Route
    reason: Reason


@dataclass(frozen=True, slots=True)
class Decision:
    """The record of one routing decision."""

    dpc: int
    arrived_on: str | None
    """Linkset that the message came in over; ``None`` for messages of this node."""
    outcome: Outcome
    candidates: tuple[Candidate, ...] = ()
    """Every route that covers the destination, in the order of the table."""
    members: tuple[Route, ...] = ()
    """The combined linkset that won, with those of its routes that cannot be used now."""
    usable: tuple[Route, ...] = ()
    """Those of the members that can."""

    def pick(self, share: int) -> Route:
        """Return the route for one share of the load, ``0`` to ``len(members) - 1``.

        The share of an unusable member goes to the usable ones; the others keep theirs.
        """
        route = self.members[share]
        return route if route in self.usable else self.usable[share % len(self.usable)]


class RouteTable:
    """Destinations, linkset states and prohibitions; pure look-up, no side effects."""

    __slots__ = (
        "_levels",
        "_linksets",
        "_looping",
        "_prohibited",
        "own",
        "prohibited_limit",
        "variant",
    )

    def __init__(self, variant: Variant, own: int, prohibited_limit: int) -> None:
        self.variant = variant
        self.own = own
        self.prohibited_limit = prohibited_limit
        self._levels: list[tuple[int, int, dict[int, Destination]]] = []
        """(mask length, mask, destinations by masked point code), the longest mask first."""
        self._linksets: dict[str, LinksetState] = {}
        self._prohibited: dict[str, dict[int, None]] = {}
        self._looping: dict[str, set[int]] = {}

    # The table.

    def add(self, prefix: Prefix, linkset: str, priority: int, *, direct: bool = False) -> Route:
        """Add a route, or change the priority of the one that is there."""
        self._check(prefix, linkset, priority)
        destination = self.find(prefix)
        if destination is None:
            destination = Destination(prefix)
            self._level(prefix)[prefix.pc] = destination
        for route in destination.routes:
            if route.linkset == linkset and route.direct == direct:
                route.priority = priority
                break
        else:
            route = Route(prefix, linkset, priority, direct)
            destination.routes.append(route)
        destination.routes.sort(key=lambda r: r.priority)  # stable: equal ones in order of entry
        return route

    def remove(self, prefix: Prefix, linkset: str, *, direct: bool = False) -> None:
        """Remove a route; raises ``mtp3.route.none`` if it is not there."""
        destination = self.find(prefix)
        kept = [
            route
            for route in (destination.routes if destination else ())
            if route.linkset != linkset or route.direct != direct
        ]
        if destination is None or len(kept) == len(destination.routes):
            raise TrunklineError("mtp3.route.none", f"there is no route {prefix} over {linkset}")
        destination.routes = kept
        if not kept:
            level = self._level(prefix)
            del level[prefix.pc]
            self._levels = [entry for entry in self._levels if entry[2]]

    def find(self, prefix: Prefix) -> Destination | None:
        """Return the destination of exactly ``prefix``."""
        for length, _, group in self._levels:
            if length == prefix.length:
                return group.get(prefix.pc)
        return None

    def destinations(self) -> Iterator[Destination]:
        """Yield all destinations, the longest masks first."""
        for _, _, group in self._levels:
            yield from group.values()

    def exact(self, pc: int) -> Destination | None:
        """Return the destination of the single point code ``pc``, if the table has it."""
        if self._levels and self._levels[0][0] == self.variant.bits:
            return self._levels[0][2].get(pc)
        return None

    # What the network says of it.

    def set_linkset(self, name: str, state: LinksetState) -> None:
        """Note the state of a linkset; one that is gone takes its prohibitions with it.

        When it comes back, its neighbour says anew what it prohibits (Q.704 13.2.2).
        """
        self._linksets[name] = state
        if state is not LinksetState.AVAIL:
            self._prohibited.pop(name, None)
            self._looping.pop(name, None)

    def forget_linkset(self, name: str) -> None:
        """Remove a linkset with all its routes."""
        for destination in list(self.destinations()):
            for route in list(destination.routes):
                if route.linkset == name:
                    self.remove(destination.prefix, name, direct=route.direct)
        self._linksets.pop(name, None)
        self._prohibited.pop(name, None)
        self._looping.pop(name, None)

    def uses(self, pc: int, linkset: str) -> bool:
        """Tell whether a route for ``pc`` goes over ``linkset``."""
        return any(
            route.linkset == linkset for found in self._covering(pc) for route in found.routes
        )

    def prohibit(self, linkset: str, pc: int) -> bool:
        """Note a TFP; ``False`` if the neighbour has prohibited too many already."""
        prohibited = self._prohibited.setdefault(linkset, {})
        if pc not in prohibited and len(prohibited) >= self.prohibited_limit:
            return False
        prohibited[pc] = None
        return True

    def allow(self, linkset: str, pc: int) -> bool:
        """Note a TFA; ``False`` if nothing was prohibited."""
        prohibited = self._prohibited.get(linkset)
        if prohibited is None or pc not in prohibited:
            return False
        del prohibited[pc]
        return True

    def prohibits(self, linkset: str, pc: int) -> bool:
        """Tell whether a neighbour has prohibited ``pc``."""
        return pc in self._prohibited.get(linkset, ())

    def prohibited(self, linkset: str) -> tuple[int, ...]:
        """Return the point codes that a neighbour has prohibited."""
        return tuple(self._prohibited.get(linkset, ()))

    def mark_loop(self, linkset: str, pc: int) -> None:
        """Note that messages for ``pc`` sent over ``linkset`` come back to this node."""
        self._looping.setdefault(linkset, set()).add(pc)

    def loops(self, linkset: str, pc: int) -> bool:
        """Tell whether that has been noted."""
        return pc in self._looping.get(linkset, ())

    def unmark_loop(self, linkset: str, pc: int) -> None:
        """Forget it."""
        self._looping.get(linkset, set()).discard(pc)

    # Decisions.

    def decide(self, dpc: int, arrived_on: str | None = None) -> Decision:
        """Decide what becomes of a message for ``dpc``; the result says why."""
        if dpc == self.own:
            return Decision(dpc, arrived_on, Outcome.LOCAL)
        candidates: list[Candidate] = []
        best: Route | None = None
        home: Destination | None = None
        usable: list[Route] = []
        for destination in self._covering(dpc):
            for route in destination.routes:
                reason = self._obstacle(route, dpc, arrived_on)
                if reason is None:
                    if best is None or home is None:
                        best, home = route, destination
                    if destination is not home:
                        reason = Reason.SHORTER_MASK
                    elif route.priority != best.priority:
                        reason = Reason.LOWER_PRIORITY
                    else:
                        reason = Reason.SELECTED
                        usable.append(route)
                candidates.append(Candidate(route, reason))
        if best is None or home is None:
            return Decision(dpc, arrived_on, _refusal(candidates), tuple(candidates))
        members = tuple(route for route in home.routes if route.priority == best.priority)
        return Decision(dpc, arrived_on, Outcome.FORWARD, tuple(candidates), members, tuple(usable))

    def accessible(self, destination: Destination) -> bool:
        """Can the destination be reached, over its own routes or a shorter mask's?

        A destination of many point codes is as its routes are: TFP names single ones.
        """
        if destination.single:
            return self.decide(destination.prefix.pc).outcome is Outcome.FORWARD
        return any(
            self._linksets.get(route.linkset) is LinksetState.AVAIL
            for found in self._covering(destination.prefix.pc, destination.prefix.length)
            for route in found.routes
        )

    def management(self, route: Route) -> ManagementState:
        """Return what the neighbour says of ``route``."""
        single = route.prefix.length == self.variant.bits
        if single and route.prefix.pc in self._prohibited.get(route.linkset, ()):
            return ManagementState.PROHIBITED
        return ManagementState.ALLOWED

    def state(self, route: Route) -> RouteState:
        """Return whether ``route`` can be used, for its destination as a whole."""
        if self._linksets.get(route.linkset) is not LinksetState.AVAIL:
            return RouteState.UNAVAIL
        if self.management(route) is ManagementState.PROHIBITED:
            return RouteState.UNAVAIL
        single = route.prefix.length == self.variant.bits
        if single and route.prefix.pc in self._looping.get(route.linkset, ()):
            return RouteState.UNAVAIL
        return RouteState.AVAIL

    def _obstacle(self, route: Route, dpc: int, arrived_on: str | None) -> Reason | None:
        """Return why ``route`` cannot take the message, or ``None``."""
        state = self._linksets.get(route.linkset)
        if state is LinksetState.SHUTDOWN:
            return Reason.LINKSET_SHUTDOWN
        if state is not LinksetState.AVAIL:
            return Reason.LINKSET_UNAVAILABLE
        if dpc in self._prohibited.get(route.linkset, ()):
            return Reason.PROHIBITED
        if dpc in self._looping.get(route.linkset, ()):
            return Reason.LOOP
        if route.linkset == arrived_on:
            return Reason.CAME_FROM
        return None

    def _covering(self, pc: int, longest: int | None = None) -> Iterator[Destination]:
        """Yield the destinations that cover ``pc``, the longest mask first."""
        for length, mask, group in self._levels:
            if longest is None or length <= longest:
                destination = group.get(pc & mask)
                if destination is not None:
                    yield destination

    def _level(self, prefix: Prefix) -> dict[int, Destination]:
        for length, _, group in self._levels:
            if length == prefix.length:
                return group
        level: dict[int, Destination] = {}
        self._levels.append((prefix.length, prefix.mask, level))
        self._levels.sort(key=lambda entry: -entry[0])
        return level

    def _check(self, prefix: Prefix, linkset: str, priority: int) -> None:
        if prefix.variant != self.variant:
            raise TrunklineError(
                "mtp3.route.variant",
                f"{prefix} is a {prefix.variant.title} destination, this node speaks "
                f"{self.variant.title}",
            )
        if linkset not in self._linksets:
            raise TrunklineError(
                "mtp3.linkset.unknown", f"route {prefix}: there is no linkset {linkset}"
            )
        if not 1 <= priority <= 9:
            raise TrunklineError(
                "mtp3.route.priority", f"route {prefix}: priority {priority} is outside 1 to 9"
            )


def _refusal(candidates: list[Candidate]) -> Outcome:
    if not candidates:
        return Outcome.UNKNOWN
    if any(candidate.reason in (Reason.CAME_FROM, Reason.LOOP) for candidate in candidates):
        return Outcome.LOOP
    return Outcome.UNAVAILABLE
