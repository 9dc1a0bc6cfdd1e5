"""The MTP of one node: SCTP associations, M2PA links and the MTP3 router, kept to a configuration.

The machines decide; this module only carries: what an association hands over goes into its M2PA
link, what the link says goes into the router, and every link that the router or a timer made
something to send for is emptied into its association before the wake-up ends.

``apply`` carries out the difference between two configurations step by step, so that a change of
one link is not noticed by the others; ``follow`` works it out from what is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, Protocol

from trunkline.config.cisco import (
    Change,
    Cs7Config,
    Link,
    Linkset,
    LocalPeer,
    Route,
    changes,
    diff,
)
from trunkline.elements.log import RouterLog
from trunkline.errors import TrunklineError
from trunkline.net.loop import Handle, TimerWheel
from trunkline.net.sctp import Association, AssociationSettings, Stack
from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3 import events as mtp3
from trunkline.ss7.mtp3.linkset import SLink
from trunkline.ss7.mtp3.router import Router
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.mtp3.traffic_test import PingHandle

__all__ = ["LinkDriver", "SignallingPoint"]

M2PA_PPID = 5  # RFC 4165, section 7.1

# A router fresh from its box: the configuration refuses linksets while there is no point code, so
# nothing ever carries this one.
_UNASSIGNED = 0

_Arguments = ParamSpec("_Arguments")


class LinkDriver:
    """One signalling link: carries between its association, its M2PA machine and the router."""

    __slots__ = (
        "_alarm",
        "_deadline",
        "_point",
        "association",
        "blocked",
        "ends",
        "level2",
        "slink",
    )

    def __init__(
        self, point: SignallingPoint, level2: m2pa.Link, slink: SLink, ends: AssociationSettings
    ) -> None:
        self.level2 = level2
        self.slink = slink
        self.ends = ends
        self.association: Association | None = None
        self.blocked = False
        self._point = point
        self._alarm: Handle | None = None
        self._deadline: float | None = None

    # what the association tells (trunkline.net.sctp.Handler)

    def association_up(self, now: float) -> None:
        """The association is there: M2PA may align (RFC 4165, 3.1)."""
        self._point.deliver(self, self.level2.communication_up(now), now)

    def association_down(self, now: float, reason: str) -> None:
        """The association is gone, and with it the link (RFC 4165, 4.1.7)."""
        self._point.deliver(self, self.level2.communication_lost(now, reason), now)

    def association_restart(self, now: float) -> None:
        """The peer started anew: its sequence numbers are gone, so the link starts anew too."""
        items = self.level2.communication_lost(now, "restarted by the peer")
        self._point.deliver(self, items, now)
        self._point.deliver(self, self.level2.communication_up(now), now)

    def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
        """Everything that waited at this wake-up."""
        self._point.deliver(self, self.level2.receive(batch, now), now)

    def path_changed(self, address: str, reachable: bool, now: float) -> None:
        """One address of a multihomed peer came or went; the association lives."""
        self._point.path_changed(self, address, reachable)

    # what the signalling point asks for

    def flush(self) -> None:
        """Hand over what the machine has to send, and see that its next timeout is heard."""
        batch = self.level2.data_to_send()
        if batch and self.association is not None:
            self.association.send(batch)
        deadline = self.level2.next_timeout()
        if deadline is None or (self._deadline is not None and self._deadline <= deadline):
            return  # a timer that rings too early only looks again
        if self._alarm is not None:
            self._alarm.cancel()
        self._deadline = deadline
        self._alarm = self._point.wheel.call_at(deadline, self._ring)

    def close(self) -> None:
        """End the association and the timer."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self.association is not None:
            self.association.close()

    def _ring(self) -> None:
        self._alarm = self._deadline = None
        now = self._point.now()
        deadline = self.level2.next_timeout()
        items = self.level2.on_timeout(now) if deadline is not None and deadline <= now else ()
        self._point.deliver(self, items, now)


class User(Protocol):
    """A user part of this node (Q.701): what it is handed, and which destinations come and go."""

    def transfer(self, msus: list[bytes], now: float) -> None: ...

    def pause(self, dpc: int, now: float) -> None: ...

    def resume(self, dpc: int, now: float) -> None: ...


class SignallingPoint:
    """One node's message transfer part, following ``config``.

    ``users`` are the user parts by service indicator; a node that has any is an end point and
    forwards nothing for others. Listeners hear every event of the router
    that is not a message for a user. An exception of a user or a listener goes to ``fault`` and
    costs nobody else anything.
    """

    def __init__(
        self,
        config: Cs7Config,
        stack: Stack,
        wheel: TimerWheel,
        log: RouterLog,
        *,
        clock: Callable[[], float],
        users: Mapping[int, User],
        fault: Callable[[Exception], None],
    ) -> None:
        self.wheel = wheel
        self.now = clock
        self.log = log
        self.listeners: list[Callable[[object], None]] = []
        self.router = Router(
            Mtp3Settings(
                variant=config.variant,
                network_indicator=config.network_indicator,
                point_code=_UNASSIGNED if config.point_code is None else config.point_code,
                transfer=not users,
                user_parts=frozenset(users),
            )
        )
        self.links: dict[tuple[str, int], LinkDriver] = {}
        self.config = config
        self._users = users
        self._fault = fault
        self._stack = stack
        self._drivers: dict[SLink, LinkDriver] = {}
        self._alarm: Handle | None = None
        self._deadline: float | None = None
        self._discards: dict[str, int] = {}
        self.closed = False
        try:
            self.follow()
        except BaseException:
            self.close()  # whoever called has nothing to close
            raise

    def close(self) -> None:
        """End every association and timer; cuts made here end with them."""
        self.closed = True
        for driver in self.links.values():
            self._block(driver, False)
            driver.close()
        if self._alarm is not None:
            self._alarm.cancel()

    # configuration

    def apply(self, steps: Sequence[Change]) -> None:
        """Carry out ``steps``, which lead to what ``config`` says now.

        A change of the node's own identity is not among what can be carried out here: whoever
        holds the signalling point makes a new one then.
        """
        now = self.now()
        try:
            for step in steps:
                self._handle(self._change(step, now), now)
        finally:
            self._settle()

    def follow(self) -> None:
        """Carry out whatever leads from what is in force to what ``config`` says."""
        self.apply(diff(self._in_force(), self.config))

    def _in_force(self) -> Cs7Config:
        """What the router and the associations are doing now, as a configuration."""
        config = self.config
        found = Cs7Config(
            hostname=config.hostname,
            variant=config.variant,
            network_indicator=config.network_indicator,
            point_code=config.point_code,
            interfaces=config.interfaces,
        )
        for linkset in self.router.linksets.values():
            found.linksets[linkset.name] = Linkset(
                linkset.name, linkset.apc, shutdown=linkset.shutdown
            )
        for (name, slc), driver in self.links.items():
            ends = driver.ends
            found.local_peers[ends.local_port] = LocalPeer(ends.local_port, list(ends.local))
            found.linksets[name].links[slc] = Link(
                slc, ends.remote, ends.local_port, ends.remote_port, driver.slink.shutdown
            )
        found.routes = [
            Route(route.prefix, route.linkset, route.priority)
            for route in self.router.routes()
            if not route.direct
        ]
        return found

    def _change(self, step: Change, now: float) -> Sequence[object]:
        router = self.router
        match step:
            case changes.LinksetAdded(name, apc, shutdown):
                router.add_linkset(name, apc, shutdown=shutdown)
            case changes.LinksetRemoved(name):
                return router.remove_linkset(name, now)
            case changes.LinksetShutdown(name, shutdown):
                return router.set_linkset_shutdown(name, shutdown, now)
            case changes.LinkAdded(name, slc):
                self._add_link(name, slc)
            case changes.LinkRemoved(name, slc):
                driver = self.links.pop((name, slc))
                self._block(driver, False)
                driver.close()
                del self._drivers[driver.slink]
                events = router.remove_link(driver.slink, now)
                self._count(driver.slink.counters.discarded)
                return events
            case changes.LinkShutdown(name, slc, shutdown):
                return router.set_link_shutdown(self.links[name, slc].slink, shutdown, now)
            case changes.RouteAdded(route) | changes.RouteChanged(route):
                return router.add_route(route.prefix, route.linkset, route.priority, now)
            case changes.RouteRemoved(route):
                return router.remove_route(route.prefix, route.linkset, now)
            case _:
                pass  # names, interfaces and local peers: the links say what they use
        return ()

    def _add_link(self, name: str, slc: int) -> None:
        link = self.config.linksets[name].links[slc]
        ends = AssociationSettings(
            local=tuple(self.config.local_peers[link.local_port].ips),
            local_port=link.local_port,
            remote=link.remote_ips,
            remote_port=link.remote_port,
            ppid=M2PA_PPID,
        )
        level2 = m2pa.Link()
        slink = self.router.add_link(name, slc, level2, shutdown=link.shutdown)
        driver = LinkDriver(self, level2, slink, ends)
        try:
            driver.association = self._stack.open(ends, driver)
        except BaseException:
            self.router.remove_link(slink, self.now())
            raise
        self.links[name, slc] = driver
        self._drivers[slink] = driver

    def block(self, name: str, slc: int, blocked: bool) -> None:
        """Cut, or mend, the wire of one link: nothing passes its addresses either way.

        Raises:
            TrunklineError: ``node.no-such-link``.
        """
        self._block(self.link(name, slc), blocked)

    def _block(self, driver: LinkDriver, blocked: bool) -> None:
        if driver.blocked is blocked:
            return
        for local in driver.ends.local:
            for remote in driver.ends.remote:
                self._stack.block(local, remote, blocked)
        driver.blocked = blocked

    def discards(self) -> dict[str, int]:
        """Messages that the router refused, by code, those of links that are gone included."""
        counts = dict(self._discards)
        refused = [self.router.counters.discarded]
        refused += [slink.counters.discarded for slink in self._drivers]
        for figures in refused:
            for code, count in figures.items():
                counts[code] = counts.get(code, 0) + count
        return counts

    def _count(self, figures: Mapping[str, int]) -> None:
        for code, count in figures.items():
            self._discards[code] = self._discards.get(code, 0) + count

    def link(self, name: str, slc: int) -> LinkDriver:
        """The link ``slc`` of linkset ``name``.

        Raises:
            TrunklineError: ``node.no-such-link``.
        """
        driver = self.links.get((name, slc))
        if driver is None:
            known = ", ".join(f"{ls}:{code}" for ls, code in self.links) or "none"
            raise TrunklineError(
                "node.no-such-link",
                f"{self.config.hostname} has no link {name}:{slc}; its links: {known}",
            )
        return driver

    # traffic

    def deliver(self, driver: LinkDriver, items: Sequence[object], now: float) -> None:
        """Carry what a link's machine returned into the router, and what follows from it on."""
        if items:
            self._handle(self.router.receive(driver.slink, items, now), now)
        driver.flush()
        self._settle()

    def transfer(self, msus: Sequence[bytes], now: float) -> None:
        """MTP-TRANSFER request of a local user (Q.701)."""
        self._handle(self.router.transfer(msus, now), now)
        self._settle()

    def watch(self, dpc: int) -> None:
        """Have the users told now, and at every change, whether ``dpc`` can be reached."""
        now = self.now()
        self._handle(self.router.watch(dpc, now), now)
        self._settle()

    def ping(
        self, dpc: int, count: int, interval: float, timeout: float, size: int = 0
    ) -> PingHandle:
        """Start a traffic test (Q.755); its results come to the listeners as events."""
        handle = self.router.ping(dpc, count, interval, timeout, self.now(), size)
        self._settle()
        return handle

    def path_changed(self, driver: LinkDriver, address: str, reachable: bool) -> None:
        """A multihomed peer's address came or went."""
        state = "active" if reachable else "inactive"
        self.log("CS7SCTP", 5, "PATHSTATUS", f"Link {driver.slink.name}: {address} is {state}")

    def _settle(self) -> None:
        """Empty every link that has something to send, and re-arm the router's timer."""
        dirty = self.router.dirty
        if dirty:
            drivers = self._drivers
            for slink in dirty:
                drivers[slink].flush()
            dirty.clear()
        deadline = self.router.next_timeout()
        if deadline is None or (self._deadline is not None and self._deadline <= deadline):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._deadline = deadline
        self._alarm = self.wheel.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = self._deadline = None
        now = self.now()
        deadline = self.router.next_timeout()
        if deadline is not None and deadline <= now:
            self._handle(self.router.on_timeout(now), now)
        self._settle()

    # what the router tells

    def _handle(self, events: Sequence[object], now: float) -> None:
        """Give messages to their users in one batch each, everything else to those who listen."""
        messages: dict[int, list[bytes]] = {}
        for event in events:
            match event:
                case mtp3.Transfer(si, msu):
                    messages.setdefault(si, []).append(msu)
                case mtp3.Pause(dpc):
                    for user in self._users.values():
                        self._guarded(user.pause, dpc, now)
                case mtp3.Resume(dpc):
                    for user in self._users.values():
                        self._guarded(user.resume, dpc, now)
                case _:
                    for listener in self.listeners:
                        self._guarded(listener, event)
        for si, batch in messages.items():
            self._guarded(self._users[si].transfer, batch, now)

    def _guarded(
        self, call: Callable[_Arguments, None], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> None:
        try:
            call(*args, **kwargs)
        except Exception as problem:
            self._fault(problem)
