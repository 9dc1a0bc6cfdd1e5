"""Signalling route management: what neighbours are told, and what they tell.

Standards: ITU-T Q.704 clauses 13.2 (transfer-prohibited), 13.3 (transfer-allowed), 13.5
(signalling-route-set-test), 11.2 (user flow: MTP-PAUSE and MTP-RESUME).

**One rule says what a neighbour Z should believe of a destination X.** X is prohibited over us
while

- we cannot reach X (13.2.2 ii, iv), or
- we send traffic for X through Z itself (13.2.2 i, the preventive TFP: Z must not send it back);

otherwise it is allowed (13.3.2). Whenever a linkset, a route or a prohibition changes, the rule is
worked out anew, and TFP or TFA go out where it differs from what Z was told last. The order of
events does not matter, and nothing has to be remembered but that. When the linkset to Z goes, both
ends forget.

The rule covers every destination of the table that is a single point code. Under a mask a TFP
cannot name the destination, so there only the response method works (13.2.2 iii): a message that
cannot be transferred is answered by a TFP for its DPC, once per T8, to the neighbour it came from;
from then on that point code is under the rule too, and will get its TFA.

**No TFP for what was never routable**: without any route for X this node is no transfer point
for X (13.2.1), nothing that could happen later would be announced by a TFA, and the neighbour would
carry the mark of a typing error for ever. Such messages are discarded, counted and reported.

===========  ===================  ==============================================  ========
destination  what happened        what is done                                    Q.704
===========  ===================  ==============================================  ========
accessible   last way lost        Pause; TFP to all neighbours                    13.2.2 ii
accessible   next route taken     TFP to the new way, TFA to the old one          13.2.2 i, 13.3.2 i
inaccess.    a way is back        Resume; TFA to all but the way itself           13.3.2 ii
any          neighbour comes up   TFP for all that the rule prohibits             13.2.2 iv
inaccess.    message arrives      discard; TFP to where it came from, T8          13.2.2 iii
any          TFP, TFA arrive      the neighbour's route is prohibited, allowed    13.2.3, 13.3.3
prohibited   T10                  RST to the neighbour that has prohibited it     13.5.2
any          RST arrives          TFA if the rule allows it                       13.5.3
===========  ===================  ==============================================  ========

The route-set-test mends what order and memory cannot: a TFA lost with a link whose other end could
not say what it had, or a neighbour that started anew while a link seemed to live on.

Left out: TFR and RSR (national options), TFC and RCT (congestion), ANSI's cluster messages,
controlled rerouting's T6 (8.2): a returned route is used at once. They will live here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.events import DestinationStatus, Pause, Resume, RouteStatus
from trunkline.ss7.mtp3.linkset import Linkset, SLink
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.routes import Decision, Destination, Outcome
from trunkline.ss7.mtp3.states import DestinationState, LinksetState

__all__ = ["RouteManagement"]

_BURST = 256
"""Route-set-tests sent at once; the others follow after T8 (ours)."""


class RouteManagement:
    """Destinations of one node, and the beliefs of its neighbours."""

    __slots__ = ("_core", "_invalidate", "_pinned", "_to_test", "_told", "_watched")

    def __init__(self, core: Core, invalidate: Callable[[], None]) -> None:
        self._core = core
        self._invalidate = invalidate
        """A route can, or can no longer, be used: route caches are void."""
        self._told: dict[tuple[str, int], float] = {}
        """When a TFP went to a linkset's neighbour for a point code; TFA removes the entry."""
        self._watched: dict[int, bool] = {}
        """Is it accessible? By point code, for the local users."""
        self._pinned: set[int] = set()
        """Those of them that the users have asked for."""
        self._to_test: dict[str, list[int]] = {}
        """Point codes that this round of route-set-tests has yet to ask a linkset's neighbour."""

    # The local users' view.

    def watch(self, dpc: int, *, announce: bool) -> None:
        """Tell the users whenever it changes whether ``dpc`` can be reached.

        With ``announce``, which is for good, they are told at once too; otherwise only if it
        cannot, and of too many the oldest is forgotten.
        """
        asked = announce and dpc not in self._pinned
        if asked:
            self._pinned.add(dpc)
        elif dpc in self._watched:
            return
        watched = self._watched
        if dpc not in watched and len(watched) - len(self._pinned) >= (
            self._core.settings.watch_limit
        ):
            del watched[next(pc for pc in watched if pc not in self._pinned)]
        watched[dpc] = accessible = self._accessible(dpc)
        if asked or not accessible:
            self._core.events.append(Resume(dpc) if accessible else Pause(dpc))

    def _accessible(self, dpc: int) -> bool:
        return self._core.routes.decide(dpc).outcome in (Outcome.FORWARD, Outcome.LOCAL)

    # Changes.

    def linkset_changed(self, now: float) -> None:
        """Work out everything anew: a linkset, or a route with a mask, has changed."""
        for name, linkset in self._core.linksets.items():
            if linkset.state is not LinksetState.AVAIL:
                self._forget(name)
        self._report(self._core.routes.destinations())
        self._pause_or_resume(self._watched)
        self._tell_all(now)

    def linkset_removed(self, name: str) -> None:
        """Forget what a neighbour was told."""
        self._forget(name)

    def destination_changed(self, pc: int, now: float) -> None:
        """Work out one point code anew: its routes changed, or what a neighbour says of it."""
        destination = self._core.routes.exact(pc)
        if destination is not None:
            self._report((destination,))
        if pc in self._watched:
            self._pause_or_resume((pc,))
        if self._core.settings.transfer and (destination or self._was_told(pc)):
            self._tell(pc, now)

    def _report(self, destinations: Iterable[Destination]) -> None:
        core = self._core
        for destination in destinations:
            for route in destination.routes:
                state = core.routes.state(route)
                if state is not route.reported:
                    if route.reported is not None:
                        core.events.append(RouteStatus(destination.prefix, route.linkset, state))
                    route.reported = state
            reachable = core.routes.accessible(destination)
            status = DestinationState.ACCESSIBLE if reachable else DestinationState.INACCESSIBLE
            if status is not destination.status:
                # A destination that has just been configured and has no way yet is no news.
                if reachable or destination.status is not DestinationState.UNKNOWN:
                    core.events.append(DestinationStatus(destination.prefix, status))
                destination.status = status

    def _pause_or_resume(self, pcs: Iterable[int]) -> None:
        for dpc in pcs:
            accessible = self._accessible(dpc)
            if accessible is not self._watched[dpc]:
                self._watched[dpc] = accessible
                self._core.events.append(Resume(dpc) if accessible else Pause(dpc))

    # What the neighbours are told.

    def _tell_all(self, now: float) -> None:
        if not self._core.settings.transfer:
            return
        pcs = {d.prefix.pc for d in self._core.routes.destinations() if d.single}
        pcs.update(pc for _, pc in self._told)
        for pc in pcs:
            self._tell(pc, now)

    def _tell(self, pc: int, now: float) -> None:
        """Send TFP and TFA for ``pc`` where the rule differs from what was told last."""
        core = self._core
        decision = core.routes.decide(pc)
        for name, linkset in core.linksets.items():
            if linkset.state is not LinksetState.AVAIL or linkset.apc == pc:
                continue
            told_at = self._told.get((name, pc))
            prohibited = self._prohibited_for(name, decision)
            if prohibited and told_at is None:
                self._prohibit(linkset, pc, now)
            elif not prohibited and told_at is not None:
                self._allow(linkset, pc, told_at, now)

    def _prohibited_for(self, name: str, decision: Decision) -> bool:
        """The one rule: must the neighbour over linkset ``name`` not send here for this?"""
        if decision.outcome is Outcome.FORWARD:
            return any(route.linkset == name for route in decision.usable)
        if decision.outcome is Outcome.UNKNOWN:
            # A destination whose last route was taken out of the table stays prohibited.
            return (name, decision.dpc) in self._told
        return decision.outcome is not Outcome.LOCAL

    def _prohibit(self, linkset: Linkset, pc: int, now: float) -> None:
        core = self._core
        key = (linkset.name, pc)
        if key not in self._told and len(self._told) >= core.settings.told_limit:
            # Without an entry no TFA would follow, so better no TFP.
            core.counters.told_overflow += 1
        elif core.send_management(linkset, Management(Heading.TFP, pc=pc), now):
            self._told[key] = now
            core.counters.tfp_sent += 1

    def _allow(self, linkset: Linkset, pc: int, told_at: float, now: float) -> None:
        core = self._core
        earliest = told_at + core.settings.t8
        if now < earliest:
            if not core.timers.running((Timer.T8, None)):
                core.timers.set((Timer.T8, None), earliest)
        elif core.send_management(linkset, Management(Heading.TFA, pc=pc), now):
            del self._told[linkset.name, pc]
            core.counters.tfa_sent += 1

    def tell_again(self, linkset: Linkset, pcs: Iterable[int], now: float) -> None:
        """What a neighbour was told of ``pcs`` may not have arrived: tell what holds now."""
        for pc in pcs:
            told = (linkset.name, pc) in self._told
            heading = Heading.TFP if told else Heading.TFA
            self._core.send_management(linkset, Management(heading, pc=pc), now)

    def timer(self, now: float) -> None:
        """T8 ran out for somebody: send the TFA that had to wait."""
        self._tell_all(now)

    def refused(self, slink: SLink, decision: Decision, now: float) -> None:
        """Response method: a message came in that cannot be transferred (13.2.2 iii)."""
        core = self._core
        linkset = slink.linkset
        if (
            decision.outcome not in (Outcome.UNAVAILABLE, Outcome.LOOP)
            or linkset.state is not LinksetState.AVAIL
            or decision.dpc == linkset.apc
        ):
            return
        told_at = self._told.get((linkset.name, decision.dpc))
        if told_at is not None and now - told_at < core.settings.t8:
            core.counters.tfp_inhibited += 1
        else:
            self._prohibit(linkset, decision.dpc, now)

    def _was_told(self, pc: int) -> bool:
        return any((name, pc) in self._told for name in self._core.linksets)

    def _forget(self, name: str) -> None:
        if any(told == name for told, _ in self._told):
            self._told = {key: when for key, when in self._told.items() if key[0] != name}

    # What the neighbours tell.

    def management(self, slink: SLink, opc: int, message: Management, now: float) -> bool:
        """Act on TFP, TFA and RST; ``False`` if it is another message."""
        if message.heading not in (Heading.TFP, Heading.TFA, Heading.RST):
            return False
        core = self._core
        linkset = slink.linkset
        show = core.settings.variant.format
        pc = message.pc
        if opc != linkset.apc:
            core.discard(
                slink,
                "mtp3.management.opc",
                f"{message.name} from {show(opc)}, which is not the adjacent point "
                f"{show(linkset.apc)}",
                now,
            )
        elif pc in (core.settings.point_code, linkset.apc):
            core.discard(
                slink,
                "mtp3.management.pc",
                f"{message.name} for {show(pc)}, which is one of this linkset's own ends",
                now,
            )
        elif message.heading == Heading.RST:
            self._tested(linkset, pc, now)
        elif message.heading == Heading.TFA:
            if core.routes.allow(linkset.name, pc):
                self._invalidate()
                self.destination_changed(pc, now)
        elif not core.routes.uses(pc, linkset.name) or core.routes.prohibits(linkset.name, pc):
            pass  # 13.2.3: no route over this neighbour, or not for the first time
        elif core.routes.prohibit(linkset.name, pc):
            if not core.timers.running((Timer.T10, linkset)):
                core.timers.set((Timer.T10, linkset), now + core.settings.t10)
            self._invalidate()
            self.destination_changed(pc, now)
        else:
            core.counters.prohibited_overflow += 1
        return True

    # Route-set-test (13.5): a TFA that did not arrive, or a neighbour that has forgotten.

    def test_routes(self, subject: object, now: float) -> None:
        """T10: ask a neighbour about what it has prohibited, :data:`_BURST` at a time."""
        if not isinstance(subject, Linkset):
            return
        core = self._core
        name = subject.name
        prohibited = core.routes.prohibited(name)
        if not prohibited:
            self._to_test.pop(name, None)
            return
        waiting = self._to_test.pop(name, None) or list(prohibited)
        for pc in waiting[:_BURST]:
            if core.routes.prohibits(name, pc) and core.send_management(
                subject, Management(Heading.RST, pc=pc), now
            ):
                core.counters.rst_sent += 1
        if len(waiting) > _BURST:
            self._to_test[name] = waiting[_BURST:]
            core.timers.set((Timer.T10, subject), now + core.settings.t8)
        else:
            core.timers.set((Timer.T10, subject), now + core.settings.t10)

    def _tested(self, linkset: Linkset, pc: int, now: float) -> None:
        """A neighbour believes that ``pc`` is prohibited: tell it if it is not."""
        core = self._core
        if not core.settings.transfer:
            return
        key = (linkset.name, pc)
        told_at = self._told.get(key)
        decision = core.routes.decide(pc)
        if self._prohibited_for(linkset.name, decision):
            if told_at is None and len(self._told) < core.settings.told_limit:
                self._told[key] = now  # it is right, and will be told when that ends
        elif told_at is not None:
            self._allow(linkset, pc, told_at, now)
        elif decision.outcome is not Outcome.UNKNOWN and core.send_management(
            linkset, Management(Heading.TFA, pc=pc), now
        ):
            core.counters.tfa_sent += 1
