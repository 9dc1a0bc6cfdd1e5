"""Signalling link management: activation, restoration, deactivation, link tests.

Standards: ITU-T Q.704 clause 12.2 (link activation, restoration, deactivation); Q.707 (link tests).
The states of a link are :data:`.states.LINK_TABLE`, those of its test :data:`.slt.TABLE`. What
becomes of the traffic when a link comes or goes is :mod:`.changeover`'s business.

Left out: automatic allocation of data links (12.3), management inhibiting (10).
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
from trunkline.ss7.mtp3.changeover import Changeover
from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.events import (
    LinkStateChanged,
    LinkTested,
    TestFailed,
)
from trunkline.ss7.mtp3.level2 import Item
from trunkline.ss7.mtp3.linkset import Linkset, SLink
from trunkline.ss7.mtp3.slt import SltEvent, Verdict
from trunkline.ss7.mtp3.states import (
    LinkAction,
    LinkEvent,
    LinkState,
    link_transition,
)

__all__ = ["LinkManagement"]

_IN_USE = frozenset({LinkState.TESTING, LinkState.AVAIL})
"""States in which the link test runs."""
_ALIGNED = frozenset({LinkState.TESTING, LinkState.AVAIL, LinkState.BLOCKED})
"""States in which level 2 is in service, and the other end may send."""


class LinkManagement:
    """Links of one node, from activation to deactivation."""

    __slots__ = ("_core", "changeover")

    def __init__(
        self,
        core: Core,
        invalidate: Callable[[], None],
        changed: Callable[[float], None],
        reroute: Callable[[Sequence[bytes], float], None],
        tell_again: Callable[[Linkset, Iterable[int], float], None],
    ) -> None:
        self._core = core
        self.changeover = Changeover(
            core, invalidate, changed, reroute, tell_again, self._abandoned
        )

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
                # Level 2 forgets its buffers when it starts.
                self.changeover.complete(slink, None, now)
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
                self.changeover.carry(slink, now)
            case LinkAction.RETIRE:
                slink.counters.failures += slink.state is not LinkState.SHUTDOWN
                self.changeover.retire(slink, now)
            case LinkAction.WRITE_OFF:
                self.changeover.write_off(slink)
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
            case Timer.SLT_T1, SLink() as slink:
                self._test(slink, SltEvent.T1, now)
            case Timer.SLT_T2, SLink() as slink:
                self._test(slink, SltEvent.T2, now)

    def _abandoned(self, slink: SLink, now: float) -> None:
        self.event(slink, LinkEvent.ABANDON, now, "changeover order from the other end")

    def retract(self, slink: SLink, now: float) -> None:
        """Take a link that is shut down out of its linkset for good."""
        for kind in (Timer.ACTIVATE, Timer.T17):
            self._core.timers.cancel((kind, slink))
        self.changeover.retract(slink, now)
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
