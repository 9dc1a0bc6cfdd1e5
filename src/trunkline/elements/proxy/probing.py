"""Probes: an OPTIONS to each destination every so often, to see whether it answers.

Any final response shows that somebody is there, but those of the set's ``failing``. A destination
that a request found wanting is probed at once, and answers for itself.

The first worker probes for all, and the others read what came of it from the shared board. While it
is away (its parent starts it again within seconds) states stay as they are. Bounds: one probe of a
destination is under way at a time, and 64 in all; what is due beyond that waits for its turn, who
is due longest first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from trunkline.elements.proxy.board import Probe, State
from trunkline.elements.proxy.destinations import Destination, DestinationSet
from trunkline.elements.proxy.own import Silence
from trunkline.sip.message import Response

if TYPE_CHECKING:
    from trunkline.elements.proxy.element import ProxyElement

__all__ = ["Prober"]

_TICK = 0.25
"""Seconds between two looks for who is due, or wanted by another worker."""
_AT_ONCE = 64


class _Schedule:
    """One destination, and when it is probed next."""

    __slots__ = ("destination", "due", "interval", "of", "under_way")

    def __init__(
        self, of: DestinationSet, destination: Destination, interval: float, due: float
    ) -> None:
        self.of = of
        self.destination = destination
        self.interval = interval
        self.due = due
        self.under_way = False


class Prober:
    """Probes the destinations of one node's sets."""

    def __init__(self, element: ProxyElement) -> None:
        self._element = element
        self._under_way = 0
        now = element.now()
        self._all: list[_Schedule] = []
        for each in element.destinations.sets.values():
            probe = each.settings.probe
            if probe is not None:
                # The first round is spread over the interval, and so are all that follow.
                step = min(probe.seconds / len(each), 1.0)
                self._all += (
                    _Schedule(each, destination, probe.seconds, now + place * step)
                    for place, destination in enumerate(each)
                )

    @property
    def wanted(self) -> bool:
        """Whether any set is to be probed."""
        return bool(self._all)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            now = self._element.now()
            for each in self._due(now)[: _AT_ONCE - self._under_way]:
                each.due = now + each.interval
                each.under_way = True
                self._under_way += 1
                self._element.spawn(self._probe(each))
            await asyncio.sleep(_TICK)

    def _due(self, now: float) -> list[_Schedule]:
        found = []
        for each in self._all:
            if not each.under_way:
                if each.destination.wants_probe():
                    each.due = min(each.due, now)
                if each.due <= now:
                    found.append(each)
        found.sort(key=lambda each: each.due)
        return found

    async def _probe(self, each: _Schedule) -> None:
        try:
            await self._ask(each)
        finally:
            each.under_way = False
            self._under_way -= 1

    async def _ask(self, each: _Schedule) -> None:
        element, destination, settings = self._element, each.destination, each.of.settings
        begin = element.now()
        hops = element.hops_now(destination.uri)
        if hops is None:
            hops = await element.hops_of(destination.uri)
        flow = destination.leads(destination.uri, hops)(element.now())
        status, detail = 0, "its name leads nowhere"
        if flow is not None:
            came = await element.own.exchange(
                element.own.build("OPTIONS", destination.uri, [("Accept", "application/sdp")]),
                flow,
                traced=bool(element.recorder.taps),
                patience=settings.timeout.seconds,
            )
            if isinstance(came, Response):
                status, detail = came.status, f"{came.status} {came.reason}"
            else:
                assert isinstance(came, Silence)
                detail = came.detail
        answered = status > 0 and status not in settings.failing
        enough = settings.up_after if answered else settings.down_after
        probe = Probe(begin, status, element.now() - begin)
        changed = destination.probed(probe, answered, enough)
        if changed in (State.UP, State.DOWN):
            severity = 5 if changed is State.UP else 4
            element.log(
                "SIP",
                severity,
                "DESTINATION",
                f"{each.of.name}: {destination.uri} is {changed.value}: {detail}",
            )
