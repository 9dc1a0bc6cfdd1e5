"""The timers of SIP by their names, and a queue for very many of them.

RFC 3261 table 4 (page 265) as RFC 6026 section 8.11 leaves it. Every timer but A, E and G, which
double, has one length for all transactions; so a queue of deadlines for each length stays in order
by itself, and starting a timer costs an append. A timer is not stopped but becomes stale: the owner
says when it comes up whether it still means anything. Stale timers are swept out when they are more
than those that run, and so is what they would keep alive.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["TimerOwner", "TimerQueue", "Timers"]


@dataclass(frozen=True, slots=True)
class Timers:
    """The lengths that are given, in seconds; the others follow from them."""

    t1: float = 0.5
    """Estimate of the round-trip time (section 17.1.1.1)."""
    t2: float = 4.0
    """Longest pause between retransmissions of a non-INVITE request and of a response."""
    t4: float = 5.0
    """How long a message may stay in the network."""
    c: float = 181.0
    """Timer C: a proxy's patience with a ringing INVITE, more than 3 minutes (section 16.6)."""
    d: float = 32.0
    """Timer D: how long responses to an INVITE may be repeated, 32 s or more (section 17.1.1.2)."""

    @property
    def transaction(self) -> float:
        """Timers B, F, H, J, L and M: 64*T1."""
        return 64 * self.t1

    @property
    def late(self) -> float:
        """The time until Timer E is set to T2: when a 100 has to be sent (RFC 4320 section 4.1)."""
        passed = self.t1
        pause = 2 * self.t1
        while pause < self.t2:
            passed += pause
            pause *= 2
        return passed

    @property
    def expired(self) -> float:
        """From then on to when Timer F ends the client's transaction."""
        return max(0.0, self.transaction - self.late)


class TimerOwner(Protocol):
    """What has timers."""

    def expects(self, name: str) -> bool:
        """Whether the timer still means anything."""
        ...


_O = TypeVar("_O", bound=TimerOwner)
_SLACK: Final = 1024


class TimerQueue(Generic[_O]):
    """Deadlines of any number of owners, in a queue for each length.

    At most twice as many are kept as ran at the last sweep, and 1024 more.
    """

    __slots__ = ("_count", "_most", "_queues")

    def __init__(self) -> None:
        self._queues: dict[float, deque[tuple[float, _O, str]]] = {}
        self._count = 0
        self._most = _SLACK

    def start(self, owner: _O, name: str, length: float, now: float) -> None:
        """Let ``owner``'s timer ``name`` run for ``length`` seconds from ``now``."""
        queue = self._queues.get(length)
        if queue is None:
            queue = self._queues[length] = deque()
        queue.append((now + length, owner, name))
        self._count += 1
        if self._count > self._most:
            self._sweep()

    def next_timeout(self) -> float | None:
        """Return the nearest deadline, ``None`` if no timer runs; stale ones are dropped."""
        nearest: float | None = None
        for queue in self._queues.values():
            while queue:
                deadline, owner, name = queue[0]
                if owner.expects(name):
                    if nearest is None or deadline < nearest:
                        nearest = deadline
                    break
                queue.popleft()
                self._count -= 1
        return nearest

    def expired(self, now: float) -> list[tuple[_O, str]]:
        """Return what has come up by ``now``, each once, the earliest first."""
        due: list[tuple[float, _O, str]] = []
        for queue in self._queues.values():
            while queue and queue[0][0] <= now:
                entry = queue.popleft()
                self._count -= 1
                if entry[1].expects(entry[2]):
                    due.append(entry)
        if len(due) > 1:
            due.sort(key=_deadline)
        return [(owner, name) for _, owner, name in due]

    def __len__(self) -> int:
        """How many are kept, the stale ones that nobody looked at since included."""
        return self._count

    def _sweep(self) -> None:
        """Drop what is stale: one look at each for as many starts at least."""
        for length, queue in self._queues.items():
            self._queues[length] = deque(entry for entry in queue if entry[1].expects(entry[2]))
        self._count = sum(map(len, self._queues.values()))
        self._most = 2 * self._count + _SLACK


def _deadline(entry: tuple[float, object, str]) -> float:
    return entry[0]
