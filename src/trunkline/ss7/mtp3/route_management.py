"""Signalling route management: what neighbours are told, and what they tell.

Standards: ITU-T Q.704 clauses 13.2 (transfer-prohibited), 13.3 (transfer-allowed), 11.2 (user flow:
MTP-PAUSE and MTP-RESUME).

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
===========  ===================  ==============================================  ========

Left out: TFR and RSR (national options), TFC and RCT (congestion), RST with T10, which would mend a
lost TFA (level 2 loses none while a linkset lives), ANSI's cluster messages, controlled rerouting's
T6 (8.2): a returned route is used at once. They will live here.
"""

from __future__ import annotations

from collections.abc import Iterable

from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.events import DestinationStatus, Pause, Resume, RouteStatus
from trunkline.ss7.mtp3.linkset import Linkset, SLink
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.routes import Decision, Destination, Outcome
from trunkline.ss7.mtp3.states import DestinationState, LinksetState

__all__ = ["RouteManagement"]


class RouteManagement:
    """Destinations of one node, and the beliefs of its neighbours."""

    __slots__ = ("_core", "_told", "_watched")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._told: dict[tuple[str, int], float] = {}
        """When a TFP went to a linkset's neighbour for a point code; TFA removes the entry."""
        self._watched: dict[int, bool] = {}
        """Is it accessible? By point code, for the local users."""

    # The local users' view.

    def watch(self, dpc: int, *, announce: bool) -> None:
        """Tell the users whenever it changes whether ``dpc`` can be reached.

        With ``announce`` they are told at once too, otherwise only if it cannot.
        """
        if dpc not in self._watched:
            if len(self._watched) >= self._core.settings.watch_limit:
                del self._watched[next(iter(self._watched))]
            self._watched[dpc] = accessible = self._accessible(dpc)
            if announce or not accessible:
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
        via = {route.linkset for route in decision.usable}
        reachable = bool(via) or decision.outcome is Outcome.LOCAL
        for name, linkset in core.linksets.items():
            if linkset.state is not LinksetState.AVAIL or linkset.apc == pc:
                continue
            told_at = self._told.get((name, pc))
            # A destination whose last route was taken out of the table stays prohibited.
            routable = decision.outcome is not Outcome.UNKNOWN or told_at is not None
            prohibited = name in via or (routable and not reachable)
            if prohibited and told_at is None:
                self._prohibit(linkset, pc, now)
            elif not prohibited and told_at is not None:
                self._allow(linkset, pc, told_at, now)

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
        """Act on TFP and TFA; ``False`` if it is another message."""
        if message.heading not in (Heading.TFP, Heading.TFA):
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
        elif message.heading == Heading.TFA:
            if core.routes.allow(linkset.name, pc):
                self.destination_changed(pc, now)
        elif not core.routes.uses(pc, linkset.name):
            pass  # 13.2.3: no route over this neighbour, so nothing to prohibit
        elif core.routes.prohibit(linkset.name, pc):
            self.destination_changed(pc, now)
        else:
            core.counters.prohibited_overflow += 1
        return True
