"""The flows that user agents registered by: whose they are, and what keeps them open.

A contact behind a NAT, one that registered by Outbound (RFC 5626) or by a stream, is reached by
the flow of its registration. When the flow is lost the registrations that hang on it go (section
7); until then NATs are kept open by a datagram every so often, if the node's settings say so
(`trunkline.sip.nat.KeepAlive`).

Each process knows the flows of the REGISTERs that it carried out. It visits them in turn, so many
at each tick that a round takes the interval, however the registrations came in: at most
``_MOST_AT_ONCE`` at a tick, beyond which a round takes longer. A flow over which everything has
expired is forgotten when it is visited. Of more than ``limit`` flows the others are not noticed,
and counted: such registrations end by expiring, and nothing keeps their NATs open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trunkline.sip.binding import Binding, hangs
from trunkline.sip.transport import Flow

__all__ = ["TICK", "FlowCounters", "RegisteredFlow", "RegisteredFlows"]

TICK = 0.1
"""Seconds between two visits."""
_MOST_AT_ONCE = 500


@dataclass(slots=True)
class FlowCounters:
    """What happened to registered flows."""

    lost: int = 0
    """Flows that were registered by and have failed."""
    kept_alive: int = 0
    """Keep-alives sent."""
    unanswered: int = 0
    """OPTIONS among them that nobody answered."""
    passed_over: int = 0
    """Keep-alives that were left out because too many waited for an answer."""
    refused: int = 0
    """Flows that were not noticed because there were too many."""


class RegisteredFlow:
    """One flow."""

    __slots__ = ("aors", "binding", "flow", "forgotten", "misses", "under_way")

    def __init__(self, flow: Flow, binding: Binding) -> None:
        self.flow = flow
        self.binding = binding
        """What was registered by it last."""
        self.aors: dict[str, float] = {}
        """The addresses-of-record with a contact there, and when that expires."""
        self.misses = 0
        """Keep-alives in a row that were not answered."""
        self.under_way = False
        """Whether an answer is waited for."""
        self.forgotten = False


class RegisteredFlows:
    """See the module. ``node`` is what bindings of this process say."""

    def __init__(self, node: str, *, limit: int = 1_000_000) -> None:
        self.counters = FlowCounters()
        self.failed: set[Flow] = set()
        """Flows that have failed, and whose bindings are being removed."""
        self.limit = limit
        self._node = node
        self._flows: dict[Flow, RegisteredFlow] = {}
        self._of: dict[str, tuple[Flow, ...]] = {}
        self._round: deque[RegisteredFlow] = deque()
        self._owed = 0.0

    def __len__(self) -> int:
        return len(self._flows)

    def get(self, flow: Flow) -> RegisteredFlow | None:
        """What is known of a flow."""
        return self._flows.get(flow)

    def registered(self, aor: str, bindings: Iterable[Binding]) -> None:
        """Take note of all bindings that an address-of-record has now."""
        now: dict[Flow, Binding] = {}
        for binding in bindings:
            if binding.flow is not None and binding.node == self._node and hangs(binding):
                now[binding.flow] = binding
        for flow in self._of.pop(aor, ()):
            if flow not in now:
                self._leave(flow, aor)
        noticed = tuple(flow for flow, each in now.items() if self._notice(flow, aor, each))
        if noticed:
            self._of[aor] = noticed

    def _notice(self, flow: Flow, aor: str, binding: Binding) -> bool:
        found = self._flows.get(flow)
        if found is None:
            if len(self._flows) >= self.limit:
                self.counters.refused += 1
                return False
            found = self._flows[flow] = RegisteredFlow(flow, binding)
            self._round.append(found)
        found.binding = binding
        found.misses = 0
        found.aors[aor] = binding.expires
        return True

    def _leave(self, flow: Flow, aor: str) -> None:
        found = self._flows.get(flow)
        if found is not None:
            found.aors.pop(aor, None)
            if not found.aors:
                found.forgotten = True
                del self._flows[flow]

    def lost(self, flow: Flow) -> list[str]:
        """Forget a flow; return the addresses-of-record that have a contact by it."""
        found = self._flows.pop(flow, None)
        if found is None:
            return []
        self.counters.lost += 1
        found.forgotten = True
        for aor in found.aors:
            rest = tuple(other for other in self._of.get(aor, ()) if other != flow)
            if rest:
                self._of[aor] = rest
            else:
                self._of.pop(aor, None)
        return [*found.aors]

    def visit(self, interval: float, now: float) -> Iterator[RegisteredFlow]:
        """Give those whose turn it is at this tick, for a round to take ``interval`` seconds.

        ``now`` is in seconds since the epoch; what has expired is forgotten.
        """
        self._owed = min(self._owed + len(self._round) * TICK / interval, _MOST_AT_ONCE)
        while self._owed >= 1.0 and self._round:
            self._owed -= 1.0
            each = self._round.popleft()
            if each.forgotten:
                continue
            for aor in [aor for aor, expires in each.aors.items() if expires <= now]:
                self._expired(each.flow, aor)
            if not each.forgotten:
                self._round.append(each)
                yield each

    def _expired(self, flow: Flow, aor: str) -> None:
        rest = tuple(other for other in self._of.get(aor, ()) if other != flow)
        if rest:
            self._of[aor] = rest
        else:
            self._of.pop(aor, None)
        self._leave(flow, aor)
