"""Signalling traffic management: changeover, diversion, forced rerouting; who has which share.

Standards: ITU-T Q.704 clauses 5 (changeover), 6.4 (time-controlled diversion at changeback) and 7
(forced rerouting); Q.2210 9.8.1 and RFC 4165 4.2.3 (extended changeover for M2PA). When a link
comes and when it goes is :mod:`.link_management`'s to say; what then becomes of its traffic:

============  =============================  ===========================================  ========
link failed   then                           messages that go out again                   Q.704
============  =============================  ===========================================  ========
others live   XCA or XCO of the other end    all after its FSN, then those held           5.4, 5.5
others live   ECA or ECO (FSN not known)     those never sent, then those held            5.6
others live   nothing within T2              the same; the unacknowledged count as lost   5.7.2
others live   the last other link fails too  the same, by the next route                  7
none live     (whole linkset lost)           those never sent, by the next route          7
blocked       T3 (processor outage)          those held; level 2 keeps what it has        5.6.2
============  =============================  ===========================================  ========

While a changeover runs, the traffic of the slots concerned is held (:class:`~.linkset.Hold`), so
nothing overtakes, nothing doubles: the other end's FSN says exactly what it has. An order, or its
answer, may be on the very link that fails next; so each failure repeats the orders still open.

At changeback the returned link's share is held for T3, during which what the others carried
of it arrives (time-controlled, 6.4). The changeback declaration, which would tell exactly when,
belongs here too: see ``CBD`` in :meth:`Changeover.management`.

Left out: changeback declaration (6.3), changeover to a parallel link over another linkset (5.3.2),
management inhibiting (10), signalling point restart (9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.events import (
    ChangeoverCompleted,
    ChangeoverStarted,
    Diversion,
    LinksetStateChanged,
    MessagesLost,
)
from trunkline.ss7.mtp3.linkset import Hold, Linkset, SLink, rotations
from trunkline.ss7.mtp3.management import Heading, Management, parse
from trunkline.ss7.mtp3.message import ServiceIndicator
from trunkline.ss7.mtp3.states import LinksetState, LinkState

__all__ = ["Changeover"]

_ORDERS = frozenset({Heading.XCO, Heading.ECO})
_ROUTE_STATUS = frozenset({Heading.TFP, Heading.TFA})
_CHANGEOVER = frozenset({Heading.XCO, Heading.XCA, Heading.ECO, Heading.ECA})


class Changeover:
    """The traffic of one node's linksets, and its moves from link to link."""

    __slots__ = ("_abandon", "_changed", "_core", "_invalidate", "_reroute", "_tell_again")

    def __init__(
        self,
        core: Core,
        invalidate: Callable[[], None],
        changed: Callable[[float], None],
        reroute: Callable[[Sequence[bytes], float], None],
        tell_again: Callable[[Linkset, Iterable[int], float], None],
        abandon: Callable[[SLink, float], None],
    ) -> None:
        self._core = core
        self._invalidate = invalidate
        """The links that carry traffic changed: route caches are void."""
        self._changed = changed
        """A linkset came or went."""
        self._reroute = reroute
        """Send messages by what the tables say now."""
        self._tell_again = tell_again
        """Tell a neighbour whether it may send for these point codes."""
        self._abandon = abandon
        """Take a link out of service that the other end has left."""

    def timer(self, kind: Timer, subject: object, now: float) -> None:
        """T2: nobody answered the order; T3: the diversion is over."""
        match kind, subject:
            case Timer.T2, SLink() as slink:
                self.complete(slink, None, now)
            case Timer.T3, Linkset() as linkset if linkset.hold is not None:
                linkset.hold.until = None
                self._release_if_ready(linkset, now)

    def retract(self, slink: SLink, now: float) -> None:
        """Give up a link that is shut down and leaves its linkset for good."""
        linkset = slink.linkset
        if linkset.hold is not None and slink in linkset.hold.changeovers:
            self.complete(slink, None, now)
        del linkset.links[slink.slc]
        self._spread(linkset, now)

    # A link takes its share, a link gives it up.

    def carry(self, slink: SLink, now: float) -> None:
        """Give a link that has become available its share."""
        linkset = slink.linkset
        alone = linkset.state is not LinksetState.AVAIL
        self._spread(linkset, now, returned=slink)
        if alone:
            self._set_linkset(linkset, LinksetState.AVAIL, now)

    def _spread(self, linkset: Linkset, now: float, returned: SLink | None = None) -> None:
        """Share the traffic anew; what leaves a living link is held for T3 (Q.704 6.4)."""
        moved = linkset.redistribute()
        alive = {number for number, old in moved.items() if old.state is LinkState.AVAIL}
        hold = linkset.hold
        if hold is not None:
            alive -= hold.slots  # held already: those wait for what they wait for
        if alive:
            self._divert(linkset, alive, now)
            if returned is not None:
                self._core.events.append(Diversion(returned, self._core.settings.t3))
        self._invalidate()

    def _divert(self, linkset: Linkset, slots: set[int], now: float) -> None:
        hold = self._hold(linkset)
        hold.slots |= slots
        hold.until = now + self._core.settings.t3
        self._core.timers.set((Timer.T3, linkset), hold.until)

    def _hold(self, linkset: Linkset) -> Hold:
        if linkset.hold is None:
            linkset.hold = Hold(self._core.settings.changeover_limit)
        return linkset.hold

    def retire(self, slink: SLink, now: float) -> None:
        """Take the traffic off a link that has just left service."""
        linkset = slink.linkset
        if not linkset.available:
            self._lose(slink, now)
            return
        moved = linkset.redistribute()
        alive = {number for number, old in moved.items() if old is not slink}
        if slink.state is LinkState.BLOCKED:
            # The messages in level 2 stay there until the processor outage is over (Q.704 5.6.2).
            self._divert(linkset, set(moved), now)
        else:
            if alive:
                self._divert(linkset, alive, now)
            self._begin(slink, set(moved) - alive, now)
        self._invalidate()

    def _begin(self, slink: SLink, slots: set[int], now: float) -> None:
        """Start the changeover: hold, ask the other end what it has (Q.704 5.4)."""
        core = self._core
        hold = self._hold(slink.linkset)
        hold.slots |= slots
        hold.changeovers.add(slink)
        slink.counters.changeovers += 1
        core.timers.set((Timer.T2, slink), now + core.settings.t2)
        core.events.append(ChangeoverStarted(slink, slink.received_fsn))
        # All links that still wait, for this one may have had the others' orders on it.
        for failed in sorted(hold.changeovers, key=lambda link: link.slc):
            self._declare(failed, Heading.XCO, Heading.ECO, now)

    def _declare(self, failed: SLink, known: Heading, unknown: Heading, now: float) -> None:
        """Tell the other end the last FSN accepted from a link, or that it is not known (5.6)."""
        fsn = failed.received_fsn
        heading = unknown if fsn is None else known
        message = Management(heading, slc=self._slc(failed), fsn=fsn or 0)
        self._core.send_management(failed.linkset, message, now, sls=failed.slc)

    def complete(self, slink: SLink, fsn: int | None, now: float) -> None:
        """End one link's changeover; with no ``fsn`` only messages never sent are sent again."""
        linkset = slink.linkset
        hold = linkset.hold
        self._core.timers.cancel((Timer.T2, slink))
        if hold is None or slink not in hold.changeovers:
            return
        if fsn is not None and not slink.level2.covers(fsn):
            self._core.discard(
                slink,
                "mtp3.management.fsn",
                f"changeover of {slink.name}: the other end claims FSN {fsn}, which was neither "
                "sent nor acknowledged last; what it has is not known",
                now,
            )
            fsn = None  # 5.7.2: no buffer updating, no retrieval
        hold.changeovers.discard(slink)
        self._retrieve(slink, hold, fsn)
        self._release_if_ready(linkset, now)

    def _retrieve(self, slink: SLink, hold: Hold, fsn: int | None) -> None:
        lost = slink.level2.unacknowledged if fsn is None else 0
        msus = slink.level2.retrieve(fsn)
        slink.counters.retrieved += len(msus)
        hold.retrieved.extend(self._resendable(msus, slink.linkset, hold))
        self._core.events.append(ChangeoverCompleted(slink, len(msus), fsn is not None))
        self._lost(slink, lost, "sent and not acknowledged, and nobody to ask")

    def write_off(self, slink: SLink) -> None:
        """Count what a blocked link still held as lost: its traffic has long gone another way."""
        count = slink.level2.unacknowledged + len(slink.level2.retrieve(None))
        self._lost(slink, count, "held back since the link was blocked")

    def _lost(self, slink: SLink, count: int, reason: str) -> None:
        if count:
            slink.counters.lost += count
            self._core.events.append(MessagesLost(slink, count, reason))

    def _release_if_ready(self, linkset: Linkset, now: float) -> None:
        hold = linkset.hold
        if hold is not None and not hold.changeovers and hold.until is None:
            linkset.hold = None
            self._invalidate()
            self._release(hold, now)
            self._tell_again(linkset, sorted(hold.told), now)

    def _release(self, hold: Hold, now: float) -> None:
        """Send what was retrieved, then what was held: per SLS that is the order of sending."""
        if hold.dropped:
            self._core.counters.lost += hold.dropped
            self._core.events.append(
                MessagesLost(None, hold.dropped, "more messages than a changeover may hold")
            )
        self._reroute(hold.retrieved + hold.buffer, now)

    def _lose(self, slink: SLink, now: float) -> None:
        """The linkset's last link went: everything goes by the next route at once (Q.704 7)."""
        linkset = slink.linkset
        hold = self._hold(linkset)
        linkset.hold = None
        linkset.redistribute()
        if slink.state is not LinkState.BLOCKED:
            hold.changeovers.add(slink)
        for failed in sorted(hold.changeovers, key=lambda link: link.slc):
            self._core.timers.cancel((Timer.T2, failed))
            self._retrieve(failed, hold, None)
        self._core.timers.cancel((Timer.T3, linkset))
        state = LinksetState.SHUTDOWN if linkset.shutdown else LinksetState.UNAVAIL
        self._set_linkset(linkset, state, now)
        self._release(hold, now)

    def _set_linkset(self, linkset: Linkset, state: LinksetState, now: float) -> None:
        linkset.state = state
        self._core.events.append(LinksetStateChanged(linkset.name, state))
        self._core.routes.set_linkset(linkset.name, state)
        self._changed(now)

    def shutdown_changed(self, linkset: Linkset, now: float) -> None:
        """Name the state of a linkset without links by its shutdown flag."""
        if linkset.state is not LinksetState.AVAIL:
            state = LinksetState.SHUTDOWN if linkset.shutdown else LinksetState.UNAVAIL
            if state is not linkset.state:
                self._set_linkset(linkset, state, now)

    # Management messages about links.

    def management(self, slink: SLink, opc: int, slc: int, message: Management, now: float) -> bool:
        """Act on a message of another link's changeover; ``False`` if it is not about that.

        Changeback (CBD, CBA: Q.704 6.3) will be taken here; until then T3 stands in for it.
        """
        if message.heading not in _CHANGEOVER:
            return False
        core = self._core
        linkset = slink.linkset
        if core.settings.variant.name == "ansi":
            slc = message.slc
        failed = linkset.links.get(slc)
        if opc != linkset.apc:
            show = core.settings.variant.format
            core.discard(
                slink,
                "mtp3.management.opc",
                f"{message.name} from {show(opc)}, which is not the adjacent point "
                f"{show(linkset.apc)}",
                now,
            )
        elif failed is None or failed is slink:
            core.discard(
                slink,
                "mtp3.management.slc",
                f"{message.name} for link {slc}, which is not another link of {linkset.name}",
                now,
            )
        else:
            known = message.heading in (Heading.XCO, Heading.XCA)
            fsn = message.fsn if known else None
            if message.heading in (Heading.XCO, Heading.ECO):
                self._ordered(failed, fsn, now)
            else:
                self.complete(failed, fsn, now)
        return True

    def _ordered(self, failed: SLink, fsn: int | None, now: float) -> None:
        """The other end changes over from ``failed``: answer, and take its FSN for our own."""
        if failed.state in (LinkState.AVAIL, LinkState.TESTING, LinkState.BLOCKED):
            self._abandon(failed, now)
        self._declare(failed, Heading.XCA, Heading.ECA, now)
        self.complete(failed, fsn, now)

    def _slc(self, slink: SLink) -> int:
        """Return the link code for the body: there in ANSI networks only (T1.111.4 15)."""
        return slink.slc if self._core.settings.variant.name == "ansi" else 0

    def _resendable(self, msus: Sequence[bytes], linkset: Linkset, hold: Hold) -> list[bytes]:
        """Leave out what tells how things were then; undo ANSI's SLS rotation.

        That is link tests; changeover orders, of which those that still count have been sent again;
        TFP and TFA for the neighbour, for which what holds now will be told: a newer one may be on
        its way already over another link.
        """
        settings = self._core.settings
        label = settings.label
        kept = []
        for msu in msus:
            si = msu[0] & 15
            if si in (ServiceIndicator.TEST, ServiceIndicator.TEST_SPECIAL):
                continue
            dpc, opc, _, _ = label.unpack(msu)
            if (si, opc, dpc) == (ServiceIndicator.MANAGEMENT, settings.point_code, linkset.apc):
                message = parse(msu[label.header :], settings.variant)
                if message.heading in _ORDERS:
                    continue
                if message.heading in _ROUTE_STATUS:
                    hold.told.add(message.pc)
                    continue
            if settings.rotates and si >= ServiceIndicator.SCCP:
                msu = msu[: label.octets] + rotations.back[msu[label.octets]] + msu[label.header :]
            kept.append(msu)
        return kept
