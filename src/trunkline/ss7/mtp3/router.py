"""MTP3 of one node: the commands that build it, messages in, messages out.

Standards: ITU-T Q.704; which parts, and where each lives, is in ``docs/conformance/q704.md``.

:class:`Router` is a sans-I/O machine. Every method that can cause events takes the time ``now`` in
seconds and returns them; links that were given something are gathered in :attr:`Router.dirty`, for
the driver to drain. After any call :meth:`Router.next_timeout` says when to come back.

This file is the door: tables and commands. Messages are handled in :mod:`.traffic`, links in
:mod:`.link_management` and :mod:`.changeover`, destinations in :mod:`.route_management`.

Left out: see the conformance page; above all restart (Q.704 9), inhibiting (10), flow control (11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from trunkline.errors import TrunklineError
from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.counters import RouteCounters, RouterCounters
from trunkline.ss7.mtp3.explain import Explanation
from trunkline.ss7.mtp3.level2 import Item, SignallingLink
from trunkline.ss7.mtp3.linkset import (
    MAX_LINKS,
    Linkset,
    SLink,
)
from trunkline.ss7.mtp3.routes import (
    DEFAULT_PRIORITY,
    DIRECT_PRIORITY,
)
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.mtp3.states import (
    DestinationState,
    LinkEvent,
    LinksetState,
    ManagementState,
    RouteState,
)
from trunkline.ss7.mtp3.traffic import Traffic
from trunkline.ss7.mtp3.traffic_test import PingHandle
from trunkline.ss7.pointcode import Prefix

__all__ = ["RouteView", "Router"]


@dataclass(frozen=True, slots=True)
class RouteView:
    """One line of ``show cs7 route``."""

    prefix: Prefix
    destination: DestinationState
    linkset: str
    priority: int
    direct: bool
    state: RouteState
    management: ManagementState
    counters: RouteCounters


class Router:
    """The signalling point: links, linksets, routes and the traffic between them."""

    def __init__(self, settings: Mtp3Settings) -> None:
        self.settings = settings
        self._core = Core(settings)
        self._traffic = Traffic(self._core)
        self._route_management = self._traffic.route_management
        self._link_management = self._traffic.link_management

    # What there is.

    @property
    def linksets(self) -> Mapping[str, Linkset]:
        """The linksets by name, in order of configuration; not to be changed."""
        return MappingProxyType(self._core.linksets)

    @property
    def counters(self) -> RouterCounters:
        """Counters of the node as a whole; links and routes have their own."""
        return self._core.counters

    @property
    def dirty(self) -> set[SLink]:
        """Links whose level 2 may have data to send; the driver drains and clears it."""
        return self._core.dirty

    def routes(self) -> tuple[RouteView, ...]:
        """Return the routing table: longest masks first, best routes first."""
        table = self._core.routes
        return tuple(
            RouteView(
                route.prefix,
                destination.status,
                route.linkset,
                route.priority,
                route.direct,
                table.state(route),
                table.management(route),
                route.counters,
            )
            for destination in table.destinations()
            for route in destination.routes
        )

    def prohibited(self, linkset: str) -> tuple[int, ...]:
        """Return the point codes for which the neighbour of ``linkset`` has sent a TFP."""
        return self._core.routes.prohibited(self._linkset(linkset).name)

    def explain(
        self, dpc: int, sls: int | None = None, arrived_on: str | None = None
    ) -> Explanation:
        """Return the decision for ``dpc``, made just as for a message.

        Raises ``mtp3.range`` for an SLS that the variant does not have.
        """
        self.settings.variant.check(dpc)
        if sls is not None and not 0 <= sls <= self.settings.label.sls_mask:
            raise TrunklineError(
                "mtp3.range", f"SLS {sls} is outside 0 to {self.settings.label.sls_mask}"
            )
        decision, route, target = self._traffic.choose(arrived_on, dpc, sls or 0)
        return Explanation(decision, sls or 0, route, target)

    # What is configured. Everything may change at any time.

    def add_linkset(self, name: str, apc: int, *, shutdown: bool = False) -> Linkset:
        """Add a linkset and the direct route to its adjacent point code."""
        core = self._core
        self.settings.variant.check(apc)
        if name in core.linksets:
            raise TrunklineError("mtp3.linkset.exists", f"there is a linkset {name} already")
        for other in core.linksets.values():
            if other.apc == apc:
                raise TrunklineError(
                    "mtp3.linkset.exists",
                    f"linkset {other.name} leads to {self.settings.variant.format(apc)} already; "
                    "add links to it instead",
                )
        if apc == self.settings.point_code:
            raise TrunklineError(
                "mtp3.linkset.apc", f"linkset {name} would lead to this node's own point code"
            )
        linkset = Linkset(name, apc, 1 << self.settings.label.sls_bits)
        linkset.shutdown = shutdown
        linkset.state = LinksetState.SHUTDOWN if shutdown else LinksetState.UNAVAIL
        core.linksets[name] = linkset
        core.routes.set_linkset(name, linkset.state)
        variant = self.settings.variant
        core.routes.add(Prefix(apc, variant.bits, variant), name, DIRECT_PRIORITY, direct=True)
        self._traffic.invalidate()
        return linkset

    def remove_linkset(self, name: str, now: float) -> list[object]:
        """Remove a linkset with its links and routes."""
        linkset = self._linkset(name)
        for slink in list(linkset.links.values()):
            self._drop(slink, now)
        self._route_management.linkset_removed(name)
        del self._core.linksets[name]
        self._core.routes.forget_linkset(name)
        for kind in (Timer.T3, Timer.T10):
            self._core.timers.cancel((kind, linkset))
        self._traffic.tables_changed(now)
        return self._finish(now)

    def add_link(
        self, linkset_name: str, slc: int, level2: SignallingLink, *, shutdown: bool = False
    ) -> SLink:
        """Add a link; unless shut down it is started at the next :meth:`on_timeout`."""
        linkset = self._linkset(linkset_name)
        if not 0 <= slc < MAX_LINKS:
            raise TrunklineError("mtp3.slc", f"signalling link code {slc} is outside 0 to 15")
        if slc in linkset.links:
            raise TrunklineError(
                "mtp3.link.exists", f"linkset {linkset_name} has a link {slc} already"
            )
        slink = SLink(linkset, slc, level2)
        slink.shutdown = shutdown
        linkset.links[slc] = slink
        linkset.links = dict(sorted(linkset.links.items()))
        if not (shutdown or linkset.shutdown):
            self._core.timers.set((Timer.ACTIVATE, slink), 0.0)
        return slink

    def remove_link(self, slink: SLink, now: float) -> list[object]:
        """Remove a link; its traffic goes to the others.

        What is not acknowledged is lost, and reported so: shut the link down first, and the
        changeover will save it.
        """
        self._drop(slink, now)
        return self._finish(now)

    def _drop(self, slink: SLink, now: float) -> None:
        self._link_management.event(slink, LinkEvent.DEACTIVATE, now, "removed")
        self._link_management.retract(slink, now)

    def add_route(
        self, prefix: Prefix, linkset_name: str, priority: int | None, now: float
    ) -> list[object]:
        """Add a route, or change its priority (``None``: the default, 5)."""
        value = DEFAULT_PRIORITY if priority is None else priority
        self._core.routes.add(prefix, linkset_name, value)
        return self._route_changed(prefix, now)

    def remove_route(self, prefix: Prefix, linkset_name: str, now: float) -> list[object]:
        """Remove a configured route; raises ``mtp3.route.none`` if it is not there."""
        self._core.routes.remove(prefix, linkset_name)
        return self._route_changed(prefix, now)

    def _route_changed(self, prefix: Prefix, now: float) -> list[object]:
        self._traffic.loops.configured(prefix, now)
        if prefix.length == prefix.variant.bits:
            self._traffic.invalidate()
            self._route_management.destination_changed(prefix.pc, now)
        else:
            self._traffic.tables_changed(now)  # it may be the backup of longer masks
        return self._finish(now)

    def set_link_shutdown(self, slink: SLink, flag: bool, now: float) -> list[object]:
        """Deactivate or activate one link (Q.704 12.2)."""
        slink.shutdown = flag
        self._activate(slink, now)
        return self._finish(now)

    def set_linkset_shutdown(self, name: str, flag: bool, now: float) -> list[object]:
        """Deactivate or activate a whole linkset; links shut down by themselves stay so."""
        linkset = self._linkset(name)
        linkset.shutdown = flag
        for slink in linkset.links.values():
            self._activate(slink, now)
        self._traffic.changeover.shutdown_changed(linkset, now)
        return self._finish(now)

    def _activate(self, slink: SLink, now: float) -> None:
        self._core.timers.cancel((Timer.ACTIVATE, slink))
        down = slink.shutdown or slink.linkset.shutdown
        event = LinkEvent.DEACTIVATE if down else LinkEvent.ACTIVATE
        self._link_management.event(slink, event, now, "shutdown" if down else "no shutdown")

    def watch(self, dpc: int, now: float) -> list[object]:
        """Have :class:`.events.Pause` and ``Resume`` for ``dpc`` reported, its state at once.

        Destinations that a local user has sent to are watched by themselves.
        """
        self._route_management.watch(dpc, announce=True)
        return self._finish(now)

    # Messages.

    def receive(self, slink: SLink, items: Sequence[Item], now: float) -> list[object]:
        """Take what level 2 of ``slink`` returned: MSUs, and indications in their place."""
        return self._traffic.receive(slink, items, now)

    def transfer(self, msus: Sequence[bytes], now: float) -> list[object]:
        """MTP-TRANSFER request: send messages of local user parts."""
        self._traffic.originate(msus, now)
        return self._finish(now)

    # Traffic test.

    def ping(
        self,
        dpc: int,
        count: int,
        interval: float,
        timeout: float,
        now: float,
        size: int = 0,
    ) -> PingHandle:
        """Start an MTP traffic test: ``count`` messages with ``size`` octets of filler.

        The first leaves at the next :meth:`on_timeout`, which is due at once; results are events.
        """
        self.settings.variant.check(dpc)
        return self._traffic.pings.start(dpc, count, interval, timeout, size, now)

    # Time.

    def next_timeout(self) -> float | None:
        """Return when :meth:`on_timeout` is due."""
        return self._core.timers.next()

    def on_timeout(self, now: float) -> list[object]:
        """Act on every deadline up to ``now``."""
        for kind, subject in self._core.timers.due(now):
            if kind is Timer.PING:
                self._traffic.ping_timer(subject, now)
            elif kind is Timer.T10:
                self._route_management.test_routes(subject, now)
            elif kind is Timer.T8:
                self._route_management.timer(now)
            elif kind is Timer.LOOP:
                self._traffic.loops.timer(now)
            elif kind in (Timer.T2, Timer.T3):
                self._traffic.changeover.timer(kind, subject, now)
            else:
                self._link_management.timer(kind, subject, now)
        return self._finish(now)

    # Odds and ends.

    def _finish(self, now: float) -> list[object]:
        return self._traffic.finish(now)

    def _linkset(self, name: str) -> Linkset:
        try:
            return self._core.linksets[name]
        except KeyError:
            raise TrunklineError("mtp3.linkset.unknown", f"there is no linkset {name}") from None
