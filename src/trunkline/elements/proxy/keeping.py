"""What becomes of the flows that user agents registered by: kept alive, and given up.

`trunkline.elements.proxy.flows` knows them; this has the tasks.

Keep-alives go out for a round of all flows to take the policy's interval. One OPTIONS is under way
on a flow at a time, and ``_AT_ONCE`` on all; beyond that a flow is passed over until the next
round, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from trunkline.elements.proxy.flows import TICK, RegisteredFlow
from trunkline.sip.message import Response
from trunkline.sip.nat import KeepAlive, KeepAliveMethod
from trunkline.sip.transport import Flow

if TYPE_CHECKING:
    from trunkline.elements.proxy.element import ProxyElement

__all__ = ["FlowKeeper"]

_AT_ONCE = 2000
_SLOW_ROUND = 60.0
"""Seconds for a round that only looks for what has expired."""
_LONGEST = 16.0
"""Seconds that an OPTIONS is waited for at most: half of 64*T1."""
_PAUSE = 10.0
"""Seconds until the store is told again what it did not take."""
_ATTEMPTS = 30
_MOST_LEFT = 10_000
"""Flows of which that may be so."""
_PING = b"\r\n\r\n"  # RFC 5626 section 3.5.1


class FlowKeeper:
    """Keeps the registered flows of one element."""

    def __init__(self, element: ProxyElement, policy: KeepAlive | None) -> None:
        self._element = element
        self._policy = policy
        self._flows = element.services.registrations.flows
        self._lost: deque[Flow] = deque()
        self._left: list[tuple[Flow, list[str], int]] = []
        self._due = 0.0
        self._work = asyncio.Event()
        self._under_way = 0

    def lost(self, flow: Flow) -> None:
        """A flow has failed; if anything was registered by it, that ends."""
        if self._flows.get(flow) is not None and flow not in self._flows.failed:
            self._flows.failed.add(flow)
            self._lost.append(flow)
            self._work.set()

    async def remove_lost(self) -> None:
        """Remove what was registered by flows that have failed, one after the other.

        What the store does not take is tried again; what it never takes ends by expiring.
        """
        now = self._element.loop.time
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._due if self._left else None):
                    await self._work.wait()
            self._work.clear()
            while self._lost:
                flow = self._lost.popleft()
                try:
                    await self._remove(flow, self._flows.lost(flow), _ATTEMPTS)
                finally:
                    self._flows.failed.discard(flow)
            if now() >= self._due:
                left, self._left = self._left, []
                for each in left:
                    await self._remove(*each)

    async def _remove(self, flow: Flow, aors: list[str], attempts: int) -> None:
        left, problem = await self._element.services.registrations.lost(flow, aors)
        if problem is None:
            return
        if attempts == _ATTEMPTS:
            self._element.log("SIP", 4, "STORE", problem.message)
        if attempts > 1 and len(self._left) < _MOST_LEFT:
            if not self._left:
                self._due = self._element.loop.time() + _PAUSE
            self._left.append((flow, left, attempts - 1))

    async def visit(self) -> None:
        """Visit flows until cancelled."""
        policy = self._policy
        interval = _SLOW_ROUND if policy is None else policy.interval
        clock = self._element.services.registrations.clock
        while True:
            await asyncio.sleep(TICK if self._flows else 10 * TICK)
            for each in self._flows.visit(interval, clock()):
                if policy is not None and policy.due(each.binding, interval):
                    self._keep(each, policy)

    def _keep(self, each: RegisteredFlow, policy: KeepAlive) -> None:
        counters = self._flows.counters
        if policy.method is KeepAliveMethod.CRLF:
            counters.kept_alive += 1
            self._element.transports.send(each.flow, _PING)
        elif self._under_way >= _AT_ONCE:
            counters.passed_over += 1
        elif not each.under_way:
            counters.kept_alive += 1
            each.under_way = True
            self._under_way += 1
            self._element.spawn(self._ask(each, policy))

    async def _ask(self, each: RegisteredFlow, policy: KeepAlive) -> None:
        own = self._element.own
        try:
            came = await own.exchange(
                own.build("OPTIONS", each.binding.contact),
                each.flow,
                traced=bool(self._element.recorder.taps),
                patience=min(policy.interval, _LONGEST),
            )
        finally:
            each.under_way = False
            self._under_way -= 1
        if isinstance(came, Response) or came.heard:
            each.misses = 0
            return
        self._flows.counters.unanswered += 1
        each.misses += 1
        if policy.failures and each.misses >= policy.failures:
            self.lost(each.flow)
