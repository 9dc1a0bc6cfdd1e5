"""The MTP's tester as a part of the node: starts traffic tests, answers those of others.

Standards and format: :mod:`.traffic_test`. A message that cannot leave counts as lost at once, its
event carrying the code of the refusal. SLS values are used in turn, so that a test of many messages
tries every link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trunkline.errors import TrunklineError
from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.events import PingDone, PingReply, PingTimeout
from trunkline.ss7.mtp3.message import ServiceIndicator
from trunkline.ss7.mtp3.settings import MAX_SIF
from trunkline.ss7.mtp3.traffic_test import (
    HEADER,
    PROBE,
    REPLY,
    REQUEST,
    PingHandle,
    TrafficTest,
)

__all__ = ["Pings"]

_BURST = 64
"""Requests sent at one deadline; the others follow at the next, so that tests share the links."""
_MAX_COUNT = 1_000_000


class Pings:
    """All traffic tests of one node."""

    __slots__ = ("_core", "_next", "_originate", "_running")

    def __init__(
        self, core: Core, originate: Callable[[Sequence[bytes], float], str | None]
    ) -> None:
        self._core = core
        self._originate = originate
        """Route messages of this node; returns the code of a refusal."""
        self._running: dict[int, PingHandle] = {}
        self._next = 0

    def start(
        self, dpc: int, count: int, interval: float, timeout: float, size: int, now: float
    ) -> PingHandle:
        """Begin a test; raises ``mtp3.ping.range`` or, with too many under way, ``.limit``."""
        largest = MAX_SIF - self._core.settings.label.octets - HEADER
        if not (
            1 <= count <= _MAX_COUNT and interval >= 0 and timeout > 0 and 0 <= size <= largest
        ):
            raise TrunklineError(
                "mtp3.ping.range",
                f"a traffic test takes 1 to {_MAX_COUNT} messages, an interval of 0 or more, a "
                f"timeout above 0 and 0 to {largest} octets of filler",
            )
        if len(self._running) >= self._core.settings.ping_limit:
            raise TrunklineError(
                "mtp3.ping.limit", f"{len(self._running)} traffic tests are under way already"
            )
        while self._next in self._running:
            self._next = (self._next + 1) % PROBE
        ping = PingHandle(self._next, dpc, count, interval, timeout, size, now)
        self._next = (self._next + 1) % PROBE
        self._running[ping.test] = ping
        self._core.timers.set((Timer.PING, ping), now)
        return ping

    def timer(self, subject: object, now: float) -> None:
        """Give up on late answers, send what is due."""
        if not isinstance(subject, PingHandle):
            return
        ping = subject
        for number in ping.expired(now):
            self._core.events.append(PingTimeout(ping, number, "timeout"))
        for _ in range(_BURST):
            if ping.sent >= ping.count or ping.next_send > now:
                break
            self._send(ping, now)
        self._rearm(ping)

    def _send(self, ping: PingHandle, now: float) -> None:
        core = self._core
        number = ping.sent
        ping.sent += 1
        ping.next_send += ping.interval
        ping.outstanding[number] = now
        test = TrafficTest(REQUEST, ping.test, number, bytes(ping.filler))
        sls = number & core.settings.label.sls_mask
        msu = core.own_msu(ServiceIndicator.MTP_TESTING, ping.dpc, sls, test.to_bytes())
        refusal = self._originate((msu,), now)
        if refusal is not None and ping.outstanding.pop(number, None) is not None:
            core.events.append(PingTimeout(ping, number, refusal))

    def _rearm(self, ping: PingHandle) -> None:
        if ping.test not in self._running:
            return
        if ping.done:
            del self._running[ping.test]
            self._core.timers.cancel((Timer.PING, ping))
            self._core.events.append(PingDone(ping, ping.stats))
        else:
            self._core.timers.set((Timer.PING, ping), ping.due())

    def receive(self, opc: int, sls: int, test: TrafficTest, now: float) -> None:
        """Answer a request; match a reply."""
        if test.heading == REQUEST:
            reply = TrafficTest(REPLY, test.test, test.number, test.filler).to_bytes()
            msu = self._core.own_msu(ServiceIndicator.MTP_TESTING, opc, sls, reply)
            self._originate((msu,), now)
            return
        ping = self._running.get(test.test)
        if ping is None or ping.dpc != opc:
            return  # an answer after the test was over
        rtt = ping.answered(test.number, now)
        if rtt is not None:
            self._core.events.append(PingReply(ping, test.number, rtt))
            self._rearm(ping)
