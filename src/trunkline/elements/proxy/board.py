"""What a node knows of its destinations: one row for each, in memory that its workers share.

The first worker probes, and writes what comes of it; any may drain a destination or ask for a
probe; each counts for itself. So all have the same view, and it outlives a worker.

Whether a destination is up follows from its probes alone (`TABLE`). A request that fails says
nothing of the next one: it has the destination probed at once, and is tried elsewhere.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

__all__ = ["TABLE", "Board", "Event", "Probe", "State"]


class State(Enum):
    """What the probes say of a destination; one that is not probed is up."""

    UP = "up"
    SUSPECT = "suspect"
    """It missed some, fewer than ``down_after`` in a row: it gets requests as before."""
    DOWN = "down"
    """It gets requests only where no destination of the set is better."""


class Event(Enum):
    """What came of a probe."""

    ANSWERED = "an answer"
    ANSWERED_ENOUGH = "an answer, the last of `up_after` in a row"
    MISSED = "no answer"
    MISSED_ENOUGH = "no answer, `down_after` times in a row"


_STATES = tuple(State)

TABLE = MappingProxyType(
    {
        (State.UP, Event.ANSWERED): State.UP,
        (State.UP, Event.ANSWERED_ENOUGH): State.UP,
        (State.UP, Event.MISSED): State.SUSPECT,
        (State.UP, Event.MISSED_ENOUGH): State.DOWN,
        (State.SUSPECT, Event.ANSWERED): State.UP,
        (State.SUSPECT, Event.ANSWERED_ENOUGH): State.UP,
        (State.SUSPECT, Event.MISSED): State.SUSPECT,
        (State.SUSPECT, Event.MISSED_ENOUGH): State.DOWN,
        (State.DOWN, Event.ANSWERED): State.DOWN,
        (State.DOWN, Event.ANSWERED_ENOUGH): State.UP,
        (State.DOWN, Event.MISSED): State.DOWN,
        (State.DOWN, Event.MISSED_ENOUGH): State.DOWN,
    }
)
"""The states of a destination; all of it is our own choice."""

_STREAK, _TIME, _STATUS, _DELAY, _PROBES, _MISSED, _COLUMNS = range(7)
_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Probe:
    """What the last OPTIONS came to."""

    time: float
    """When it was sent, by the node's clock."""
    status: int
    """Of its final response; 0: none came."""
    delay: float
    """Seconds until that."""


class Board:
    """The rows, for ``count`` destinations and ``workers`` processes; made before they part."""

    def __init__(self, count: int, workers: int = 1) -> None:
        self.count = count
        numbers = count * (_COLUMNS + 2 * workers) * 8
        whole = memoryview(mmap.mmap(-1, numbers + 3 * count + 1))
        self._numbers = whole[:numbers].cast("q") if numbers else memoryview(b"").cast("q")
        flags = whole[numbers:]
        self._states, self._drained = flags[:count], flags[count : 2 * count]
        self._asked = flags[2 * count : 3 * count]

    def signature(self, first: int, last: int) -> bytes:
        """Octets that are others when a state of these rows is another, or who is drained."""
        return bytes(self._states[first:last]) + bytes(self._drained[first:last])

    def state(self, row: int) -> State:
        """The state."""
        return _STATES[self._states[row]]

    def drained(self, row: int) -> bool:
        """Whether it takes no new calls."""
        return self._drained[row] != 0

    def drain(self, row: int, drained: bool) -> None:
        """Let it take no new calls, or take them again."""
        self._drained[row] = drained

    def ask(self, row: int) -> None:
        """Have it probed soon."""
        self._asked[row] = 1

    def asked(self, row: int) -> bool:
        """Whether somebody wants it probed; by that the wish is fulfilled."""
        found = self._asked[row] != 0
        self._asked[row] = 0
        return found

    def probed(self, row: int, probe: Probe, answered: bool, enough: int) -> State | None:
        """Take what came of a probe: ``enough`` in a row decide. Return the state if it changed."""
        at = row * _COLUMNS
        numbers = self._numbers
        streak = numbers[at + _STREAK]
        if answered:
            streak = max(streak, 0) + 1
            event = Event.ANSWERED_ENOUGH if streak >= enough else Event.ANSWERED
        else:
            streak = min(streak, 0) - 1
            event = Event.MISSED_ENOUGH if -streak >= enough else Event.MISSED
            numbers[at + _MISSED] += 1
        numbers[at + _STREAK] = streak
        numbers[at + _TIME] = int(probe.time * _MICRO)
        numbers[at + _STATUS] = probe.status
        numbers[at + _DELAY] = int(probe.delay * _MICRO)
        numbers[at + _PROBES] += 1
        before = self.state(row)
        after = TABLE[before, event]
        if after is before:
            return None
        self._states[row] = _STATES.index(after)
        return after

    def probes(self, row: int) -> int:
        """How often it was probed."""
        return self._numbers[row * _COLUMNS + _PROBES]

    def missed(self, row: int) -> int:
        """How many probes had no answer, or one that counts as none."""
        return self._numbers[row * _COLUMNS + _MISSED]

    def last_probe(self, row: int) -> Probe | None:
        """The last probe; ``None``: it has not been probed yet."""
        at = row * _COLUMNS
        numbers = self._numbers
        if not numbers[at + _PROBES]:
            return None
        return Probe(
            numbers[at + _TIME] / _MICRO, numbers[at + _STATUS], numbers[at + _DELAY] / _MICRO
        )

    def count_sent(self, row: int, worker: int) -> None:
        """Count a request that was sent there."""
        self._numbers[self._counter(row, worker)] += 1

    def count_failed(self, row: int, worker: int) -> None:
        """Count one that it failed."""
        self._numbers[self._counter(row, worker) + 1] += 1

    def sent(self, row: int) -> int:
        """How many requests were sent there, by all workers."""
        return sum(self._numbers[self._counter(row, 0) :: 2 * self.count])

    def failed(self, row: int) -> int:
        """How many of them it failed: no response, a 503, or they could not be delivered."""
        return sum(self._numbers[self._counter(row, 0) + 1 :: 2 * self.count])

    def _counter(self, row: int, worker: int) -> int:
        return self.count * _COLUMNS + 2 * (worker * self.count + row)
