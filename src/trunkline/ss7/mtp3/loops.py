"""Circles in the routing tables of several nodes: found, proven, and closed.

MTP has no hop limit. When A sends for X through B, B through C and C through A, every table is fine
by itself, no TFP contradicts it (each names the *next* node, Q.704 13.2.2), and a message that gets
in goes round for ever. Q.753 answers with a test of the whole way (MRVT), over SCCP and TCAP. This
is the same idea with what MTP level 3 has:

1. **Suspicion.** A flow (equal SIO and routing label) takes one way as long as no table changes, so
   it comes in over one linkset. Where it meets a circle it comes in over a second one: at the node
   at which it entered, whose other neighbours cannot be the one before it in the circle. A flow is
   in the route cache of one linkset only, so that the second is noticed, at no cost to the others.
   A message of this node that comes back to it is a suspicion too.
2. **Proof.** Messages with equal contents are no proof: after a rerouting, the sender of a constant
   text looks just so. So the node sends a message of its own for X, with the same SLS, on the same
   linkset: a request of the traffic test (:mod:`.traffic_test`), which any node may receive.
   Routing goes by DPC and SLS, so what happens to it happens to the flow. If it comes back with
   this node's own point code as OPC, the way is a circle. If it does not within
   :attr:`~.Mtp3Settings.loop_t`, the flow has moved, and is cached where it comes in now.
3. **Closing it.** The route over that linkset cannot be used for X (:attr:`.Reason.LOOP`): another
   one is taken, or messages are refused as ``mtp3.route.loop``, and the neighbours hear a TFP by
   the usual rules. So the node before this one stops, and so on backwards.
4. **Opening it again.** The mark stays while further probes, at growing intervals, come back. It
   goes when X answers one; when the neighbour sends a TFP for X itself, which says it better; when
   :data:`_SILENT` probes in a row stayed away; with the linkset; and when a route for X is
   configured. (A probe that stays away may have died of a TFP that this mark has caused. Each such
   probe makes that TFP known one node further back, so after a few of them a circle has closed by
   itself, and the mark is not needed.)

The bounds, all in :class:`~.Mtp3Settings`: ``flow_limit`` flows remembered (when full: forgotten),
``loop_probe_limit`` probes under way (a flow that finds no room stays out of the cache and asks
again with its next message), ``loop_limit`` ways marked (for one more, the oldest mark is lifted).

Left out: MRVT itself (Q.753, Q.754), which needs SCCP; a circle in which no node is ours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.ss7.mtp3.core import Core, Timer
from trunkline.ss7.mtp3.linkset import SLink
from trunkline.ss7.mtp3.message import ServiceIndicator
from trunkline.ss7.mtp3.traffic_test import PROBE, REQUEST, TrafficTest
from trunkline.ss7.pointcode import Prefix

__all__ = ["Loops"]

_SILENT = 8
"""Probes in a row that do not come back before a mark is lifted."""
_LONGEST = 30.0
"""Seconds between two probes of a marked way, at most."""
_MEMORY = 60.0
"""Seconds for which a lifted mark is remembered."""
_TICK = 0.1
"""Seconds between two looks at all probes and marks, at least."""
_SERIAL_MASK = 0xFFFFFFFF

_TIMER = (Timer.LOOP, None)
_Way = tuple[str, int]
"""Linkset that messages leave by, and their destination."""


@dataclass(slots=True)
class _Probe:
    """A question under way."""

    way: _Way
    sls: int
    deadline: float
    flows: dict[bytes, str]
    """Flows under suspicion when it was sent, and the linkset each comes in over now."""
    waiting: dict[bytes, str] = field(default_factory=dict)
    """Flows that came under suspicion since: the next probe is theirs."""


@dataclass(slots=True)
class _Mark:
    """A way that is a circle; or was one lately, which makes the intervals grow if it is again."""

    sls: int
    interval: float
    due: float = 0.0
    """The next probe; once the mark is lifted, when it is forgotten."""
    silent: int = 0
    """Probes in a row that did not come back."""


class Loops:
    """Suspicions, probes and marks of one node."""

    __slots__ = ("_changed", "_core", "_entered", "_marks", "_pending", "_send", "_sent", "_serial")

    def __init__(
        self,
        core: Core,
        send: Callable[[str, int, bytes, float], bool],
        changed: Callable[[int, float], None],
    ) -> None:
        self._core = core
        self._send = send
        """Send a message over a linkset, by SLS; ``False`` if the linkset has no link for it."""
        self._changed = changed
        """A route of this point code can, or can no longer, be used."""
        self._entered: dict[bytes, str] = {}
        """Linkset over which each flow came in first, by SIO and routing label."""
        self._pending: dict[_Way, _Probe] = {}
        """Probes on their way, in order of their deadlines; one for each way at most."""
        self._sent: OrderedDict[int, _Way] = OrderedDict()
        """Ways of the latest probes by serial number: a late return counts, too."""
        self._marks: dict[_Way, _Mark] = {}
        self._serial = 0

    # Suspicion.

    def settled(self, header: bytes, arrived_on: str, way: _Way, sls: int, now: float) -> bool:
        """Tell whether the flow may be cached: it comes in over one linkset only, as far as known.

        Otherwise the first question about its way is asked.
        """
        entered = self._entered.get(header)
        if entered == arrived_on:
            return True
        if entered is None:
            if len(self._entered) >= self._core.settings.flow_limit:
                self._entered.clear()
            self._entered[header] = arrived_on
            return True
        probe = self._pending.get(way)
        if probe is None:
            self._probe(way, sls, {header: arrived_on}, now)
        elif header not in probe.flows and len(probe.waiting) < self._core.settings.flow_limit:
            probe.waiting[header] = arrived_on
            probe.sls = sls
        return False

    def suspect(self, way: _Way, sls: int, now: float) -> None:
        """A message of this node came back: ask whether ``way`` is a circle."""
        if way not in self._pending:
            self._probe(way, sls, {}, now)

    # Proof.

    def _probe(self, way: _Way, sls: int, flows: dict[bytes, str], now: float) -> None:
        core = self._core
        linkset, dpc = way
        limit = core.settings.loop_probe_limit
        if len(self._pending) >= limit:
            return
        self._serial = (self._serial + 1) & _SERIAL_MASK
        test = TrafficTest(REQUEST, PROBE, self._serial).to_bytes()
        msu = core.own_msu(ServiceIndicator.MTP_TESTING, dpc, sls, test)
        if not self._send(linkset, sls, msu, now):
            return
        core.counters.loop_probes += 1
        self._sent[self._serial] = way
        if len(self._sent) > 2 * limit:
            self._sent.popitem(last=False)
        deadline = now + core.settings.loop_t
        self._pending[way] = _Probe(way, sls, deadline, flows)
        self._arm(deadline)

    def returned(self, slink: SLink, test: TrafficTest, now: float) -> bool:
        """Take a message of this node that came back; ``False`` if it is not a probe of ours."""
        if test.heading != REQUEST or test.test != PROBE:
            return False
        way = self._sent.pop(test.number, None)
        if way is None:
            return False
        core = self._core
        linkset, dpc = way
        probe = self._pending.pop(way, None)
        mark = self._marks.get(way)
        if mark is None:
            if len(self._marks) >= core.settings.loop_limit:
                oldest = next(iter(self._marks))
                self._lift(oldest, now)
                del self._marks[oldest]
            mark = self._marks[way] = _Mark(probe.sls if probe else 0, core.settings.loop_t / 2)
        mark.interval = min(mark.interval * 2, _LONGEST)
        mark.due = now + mark.interval
        mark.silent = 0
        if not core.routes.loops(linkset, dpc):
            core.counters.loops_found += 1
            core.routes.mark_loop(linkset, dpc)
            self._changed(dpc, now)
        core.discard(
            slink,
            "mtp3.route.loop",
            f"what this node sends for {core.settings.variant.format(dpc)} over {linkset} comes "
            f"back over {slink.linkset.name}: the routing tables lead in a circle",
            now,
        )
        self._arm(mark.due)
        return True

    def answered(self, opc: int, test: TrafficTest, now: float) -> None:
        """Take the destination's answer to a probe: there is no circle."""
        way = self._sent.get(test.number)
        if way is None or way[1] != opc:
            return
        del self._sent[test.number]
        probe = self._pending.get(way)
        if probe is not None:
            self._settle(probe, now)
        self._lift(way, now)

    def _settle(self, probe: _Probe, now: float) -> None:
        """A probe went in no circle: its flows have moved to where they come in now."""
        del self._pending[probe.way]
        linksets = self._core.linksets
        for header, linkset in probe.flows.items():
            before = linksets.get(self._entered.get(header, ""))
            if before is not None:
                before.flows.pop(header, None)
            self._entered[header] = linkset
        if probe.waiting:
            self._probe(probe.way, probe.sls, probe.waiting, now)

    def tables_changed(self) -> None:
        """What flows do may differ now: the probes under way say nothing about them."""
        for probe in self._pending.values():
            probe.flows.clear()
            probe.waiting.clear()

    # Marks.

    def timer(self, now: float) -> None:
        """Act on probes that did not come back, and on marks whose time has come."""
        for probe in [probe for probe in self._pending.values() if probe.deadline <= now]:
            mark = self._marks.get(probe.way)
            if mark is not None:
                mark.silent += 1
                mark.due = now
            self._settle(probe, now)
        for way, mark in [item for item in self._marks.items() if item[1].due <= now]:
            if not self._core.routes.loops(*way):
                del self._marks[way]
            elif mark.silent >= _SILENT or self._core.routes.prohibits(*way):
                self._lift(way, now)
            else:
                mark.due = now + mark.interval
                if way not in self._pending:
                    self._probe(way, mark.sls, {}, now)
        times = [mark.due for mark in self._marks.values()]
        if self._pending:
            times.append(next(iter(self._pending.values())).deadline)
        if times:
            self._core.timers.set(_TIMER, max(min(times), now + _TICK))

    def _lift(self, way: _Way, now: float) -> None:
        if self._core.routes.loops(*way):
            self._marks[way].due = now + _MEMORY
            self._core.routes.unmark_loop(*way)
            self._changed(way[1], now)

    def configured(self, prefix: Prefix, now: float) -> None:
        """A route was configured: its marks go, and what still circles will be found anew."""
        for way in [way for way in self._marks if way[1] in prefix]:
            del self._marks[way]
            self._core.routes.unmark_loop(*way)
            self._changed(way[1], now)

    def _arm(self, when: float) -> None:
        """See that :meth:`timer` is called at ``when``, or before."""
        timers = self._core.timers
        set_for = timers.deadline(_TIMER)
        if set_for is None or when < set_for:
            timers.set(_TIMER, when)
