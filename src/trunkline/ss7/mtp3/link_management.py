"""Signalling link and traffic management: activation, link tests, changeover, diversion.

Standards: ITU-T Q.704 clauses 5 (changeover), 6.4 (time-controlled diversion at changeback), 7
(forced rerouting), 12.2 (link activation, restoration, deactivation); Q.707 (link tests); Q.2210
9.8.1 and RFC 4165 4.2.3 (extended changeover for M2PA). The states of a link are
:data:`.states.LINK_TABLE`, those of its test :data:`.slt.TABLE`; those of a changeover are here:

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
belongs here too: see ``CBD`` in :meth:`LinkManagement.management`.

Left out: changeback declaration (6.3), changeover to a parallel link over another linkset (5.3.2),
management inhibiting (10), signalling point restart (9), automatic allocation of data links (12.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from trunkline.ss7.m2pa.events import (
    InService,
    OutOfService,
    RemoteProcessorOutage,
    RemoteProcessorRecovered,
)
from trunkline.ss7.mtp3 import slt
from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.events import (
    ChangeoverCompleted,
    ChangeoverStarted,
    Diversion,
    LinksetStateChanged,
    LinkStateChanged,
    LinkTested,
    MessagesLost,
    TestFailed,
)
from trunkline.ss7.mtp3.level2 import Item
from trunkline.ss7.mtp3.linkset import Hold, Linkset, SLink, rotations
from trunkline.ss7.mtp3.management import Heading, Management, parse
from trunkline.ss7.mtp3.message import ServiceIndicator
from trunkline.ss7.mtp3.slt import SltEvent, Verdict
from trunkline.ss7.mtp3.states import (
    LinkAction,
    LinkEvent,
    LinksetState,
    LinkState,
    link_transition,
)

__all__ = ["LinkManagement"]

_IN_USE = frozenset({LinkState.TESTING, LinkState.AVAIL})
"""States in which the link test runs."""
_ALIGNED = frozenset({LinkState.TESTING, LinkState.AVAIL, LinkState.BLOCKED})
"""States in which level 2 is in service, and the other end may send."""
_ORDERS = frozenset({Heading.XCO, Heading.ECO})
_ROUTE_STATUS = frozenset({Heading.TFP, Heading.TFA})
_CHANGEOVER = frozenset({Heading.XCO, Heading.XCA, Heading.ECO, Heading.ECA})


class LinkManagement:
    """Links of one node, from activation to changeover."""

    __slots__ = ("_changed", "_core", "_invalidate", "_reroute", "_tell_again")

    def __init__(
        self,
        core: Core,
        invalidate: Callable[[], None],
        changed: Callable[[float], None],
        reroute: Callable[[Sequence[bytes], float], None],
        tell_again: Callable[[Linkset, Iterable[int], float], None],
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

    # Link states.

    def event(self, slink: SLink, event: LinkEvent, now: float, reason: str = "") -> None:
        """Move ``slink`` by one row of :data:`.states.LINK_TABLE`."""
        before = slink.state
        slink.state, actions, _ = link_transition(before, event)
        if before in _IN_USE and slink.state not in _IN_USE:
            self._test(slink, SltEvent.STOP, now)
        if before in _ALIGNED and slink.state not in _ALIGNED:
            slink.received_fsn = slink.level2.retrieve_bsnt()
        elif slink.state in _ALIGNED and before not in _ALIGNED:
            slink.received_fsn = None
        if slink.state is not before:
            self._core.events.append(
                LinkStateChanged(slink, slink.state, reason or event.name.lower().replace("_", " "))
            )
            if slink.state is not LinkState.FAILED:
                self._core.timers.cancel((Timer.T17, slink))
        for action in actions:
            self._act(slink, action, now)

    def _act(self, slink: SLink, action: LinkAction, now: float) -> None:
        core = self._core
        match action:
            case LinkAction.START:
                self._complete(slink, None, now)  # level 2 forgets its buffers when it starts
                # Q.704 12.2.2: emergency proving while the linkset has no other link.
                emergency = not slink.linkset.available
                core.dirty.add(slink)
                self.level2(slink, slink.level2.set_emergency(emergency, now), now)
                self.level2(slink, slink.level2.start(now), now)
            case LinkAction.STOP:
                core.dirty.add(slink)
                self.level2(slink, slink.level2.stop(now), now)
            case LinkAction.TEST:
                self._test(slink, SltEvent.START, now)
            case LinkAction.CARRY:
                self._carry(slink, now)
            case LinkAction.RETIRE:
                slink.counters.failures += slink.state is not LinkState.SHUTDOWN
                self._retire(slink, now)
            case LinkAction.WRITE_OFF:
                self._lost(slink, self._abandon(slink), "held back since the link was blocked")
            case LinkAction.RESTART_LATER:
                core.timers.set((Timer.T17, slink), now + core.settings.t17)

    def level2(self, slink: SLink, items: Sequence[Item] | None, now: float) -> None:
        """Act on what level 2 indicates; what is not for level 3 goes to the caller."""
        for item in items or ():
            match item:
                case InService():
                    self.event(slink, LinkEvent.IN_SERVICE, now, "in service")
                case OutOfService(reason=reason):
                    self.event(slink, LinkEvent.OUT_OF_SERVICE, now, reason)
                case RemoteProcessorOutage():
                    self.event(slink, LinkEvent.REMOTE_OUTAGE, now, "remote processor outage")
                case RemoteProcessorRecovered():
                    self.event(slink, LinkEvent.REMOTE_RECOVERED, now, "remote processor recovered")
                case _:
                    self._core.events.append(item)

    def timer(self, kind: Timer, subject: object, now: float) -> None:
        """Act on a deadline of a link or linkset."""
        match kind, subject:
            case Timer.ACTIVATE, SLink() as slink:
                self.event(slink, LinkEvent.ACTIVATE, now, "configured")
            case Timer.T17, SLink() as slink:
                self.event(slink, LinkEvent.RESTART, now, "T17 ran out")
            case Timer.T2, SLink() as slink:
                self._complete(slink, None, now)
            case Timer.T3, Linkset() as linkset:
                if linkset.hold is not None:
                    linkset.hold.until = None
                    self._release_if_ready(linkset, now)
            case Timer.SLT_T1, SLink() as slink:
                self._test(slink, SltEvent.T1, now)
            case Timer.SLT_T2, SLink() as slink:
                self._test(slink, SltEvent.T2, now)

    def retract(self, slink: SLink, now: float) -> None:
        """Take a link that is shut down out of its linkset for good."""
        linkset = slink.linkset
        for kind in (Timer.ACTIVATE, Timer.T17):
            self._core.timers.cancel((kind, slink))
        if linkset.hold is not None and slink in linkset.hold.changeovers:
            self._complete(slink, None, now)
        del linkset.links[slink.slc]
        self._spread(linkset, now)
        self._core.forget(slink)

    # Link tests (Q.707).

    def _test(self, slink: SLink, event: SltEvent, now: float) -> None:
        core = self._core
        settings = core.settings
        slink.slt, verdict, _ = slt.TABLE[slink.slt, event]
        t1, t2 = (Timer.SLT_T1, slink), (Timer.SLT_T2, slink)
        match verdict:
            case Verdict.SEND:
                slink.slt_count = (slink.slt_count + 1) & 0xFFFF
                slink.slt_sent_at = now
                slink.pattern = b"TL" + slink.slt_count.to_bytes(2, "big")
                slink.counters.slt_sent += 1
                core.timers.set(t1, now + settings.slt_t1)
                self._send_test(slink, slt.SLTM, slink.pattern, now)
            case Verdict.PASS:
                core.timers.cancel(t1)
                core.timers.set(t2, now + settings.slt_t2)
                core.events.append(LinkTested(slink, now - slink.slt_sent_at))
                self.event(slink, LinkEvent.TEST_PASSED, now, "link test passed")
            case Verdict.FAIL:
                slink.counters.slt_failed += 1
                core.events.append(TestFailed(slink))
                self.event(slink, LinkEvent.TEST_FAILED, now, "link test failed twice")
            case Verdict.STOP:
                core.timers.cancel(t1)
                core.timers.cancel(t2)
            case Verdict.NOTHING:
                pass

    def _send_test(
        self, slink: SLink, heading: int, pattern: bytes, now: float, si: int | None = None
    ) -> None:
        """Send an SLTM or SLTA on the very link it is about."""
        core = self._core
        variant = core.settings.variant
        low = slink.slc if variant.name == "ansi" else 0
        payload = slt.LinkTest(heading, pattern, low).to_bytes()
        indicator = slt.service_indicator(variant) if si is None else si
        core.send(slink, [core.own_msu(indicator, slink.linkset.apc, slink.slc, payload)], now)

    def test_message(
        self, slink: SLink, si: int, opc: int, slc: int, message: slt.LinkTest, now: float
    ) -> None:
        """Answer an SLTM, take an SLTA; refuse those of another link or node (Q.707 2.2)."""
        linkset = slink.linkset
        if opc != linkset.apc or slc != slink.slc:
            show = self._core.settings.variant.format
            self._core.discard(
                slink,
                "mtp3.slt.label",
                f"link test of point code {show(opc)}, link code {slc}, on {slink.name}, where "
                f"{show(linkset.apc)} and {slink.slc} belong: check the other end's point code, "
                "link codes and cabling",
                now,
            )
        elif message.heading == slt.SLTM:
            self._send_test(slink, slt.SLTA, message.pattern, now, si)
        elif message.pattern != slink.pattern:
            self._core.discard(
                slink,
                "mtp3.slt.pattern",
                f"SLTA with pattern {message.pattern.hex()} instead of {slink.pattern.hex()}",
                now,
            )
        else:
            self._test(slink, SltEvent.ACKNOWLEDGED, now)

    # Traffic: a link takes its share, a link gives it up.

    def _carry(self, slink: SLink, now: float) -> None:
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

    def _retire(self, slink: SLink, now: float) -> None:
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

    def _complete(self, slink: SLink, fsn: int | None, now: float) -> None:
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

    def _abandon(self, slink: SLink) -> int:
        """Empty the buffers of a link whose traffic has long gone another way; tell how many."""
        return slink.level2.unacknowledged + len(slink.level2.retrieve(None))

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
                self._complete(failed, fsn, now)
        return True

    def _ordered(self, failed: SLink, fsn: int | None, now: float) -> None:
        """The other end changes over from ``failed``: answer, and take its FSN for our own."""
        if failed.state in (LinkState.AVAIL, LinkState.TESTING, LinkState.BLOCKED):
            self.event(failed, LinkEvent.ABANDON, now, "changeover order from the other end")
        self._declare(failed, Heading.XCA, Heading.ECA, now)
        self._complete(failed, fsn, now)

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
