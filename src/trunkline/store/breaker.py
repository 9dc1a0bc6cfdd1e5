"""A circuit breaker: a server that does not answer is left alone for a while.

Without one, every message that asks a dead server waits for the timeout, and what waits piles up.
The breaker is CLOSED while calls succeed. After ``failures`` calls in a row that did not, it is
OPEN: calls are refused at once. When ``pause`` seconds have passed it is HALF_OPEN and lets one
call through, whose outcome closes it or opens it again. No clock: ``now`` is seconds, monotonic.

A call that began in an earlier state says nothing about the present one: its outcome does not
count.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

__all__ = ["TABLE", "Breaker", "Event", "Permit", "State"]


class State(Enum):
    """The state of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Event(Enum):
    """What a breaker is told."""

    SUCCESS = "a call got its answer"
    FAILURE = "a call did not, and more have failed in a row before it"
    LAST_FAILURE = "a call did not, and its row of failures is full"
    PAUSE_OVER = "a call wants through, and the pause is over"
    ABANDONED = "a call was given up before its end"


TABLE = MappingProxyType(
    {
        (State.CLOSED, Event.SUCCESS): State.CLOSED,
        (State.CLOSED, Event.FAILURE): State.CLOSED,
        (State.CLOSED, Event.LAST_FAILURE): State.OPEN,
        (State.CLOSED, Event.ABANDONED): State.CLOSED,
        (State.OPEN, Event.PAUSE_OVER): State.HALF_OPEN,
        (State.HALF_OPEN, Event.SUCCESS): State.CLOSED,
        (State.HALF_OPEN, Event.LAST_FAILURE): State.OPEN,
        # Nothing was learnt: the next call is the trial, without another pause.
        (State.HALF_OPEN, Event.ABANDONED): State.OPEN,
    }
)
"""State and event to the state after it; no other pair can come about."""


@dataclass(frozen=True, slots=True)
class Permit:
    """One call that was let through; its outcome goes back with it."""

    era: int


class Breaker:
    """The breaker of one server.

    ``failures``: so many in a row open it. ``pause``: seconds until a trial.
    """

    def __init__(self, *, failures: int = 5, pause: float = 1.0) -> None:
        self.state = State.CLOSED
        self.opened = 0
        """How often it has opened."""
        self.refused = 0
        """Calls that it did not let through."""
        self._limit = failures
        self._pause = pause
        self._row = 0
        self._until = 0.0
        self._era = 0

    def enter(self, now: float) -> Permit | None:
        """A permit for one call, or ``None``: refuse it, :meth:`wait` says for how long."""
        if self.state is not State.CLOSED:
            if self.state is State.HALF_OPEN or now < self._until:
                self.refused += 1
                return None
            self._move(Event.PAUSE_OVER)
        return Permit(self._era)

    def succeeded(self, permit: Permit) -> None:
        """The call got an answer, be it a refusal: the server is there."""
        if permit.era == self._era:
            self._row = 0
            self._move(Event.SUCCESS)

    def failed(self, permit: Permit, now: float) -> None:
        """The call got no answer."""
        if permit.era != self._era:
            return
        self._row += 1
        if self.state is State.HALF_OPEN or self._row >= self._limit:
            self._until = now + self._pause
            self._move(Event.LAST_FAILURE)
        else:
            self._move(Event.FAILURE)

    def abandoned(self, permit: Permit) -> None:
        """The caller gave the call up: nothing is known."""
        if permit.era == self._era:
            self._move(Event.ABANDONED)

    def wait(self, now: float) -> float:
        """Seconds until a call is let through; 0 when the next one is."""
        return max(0.0, self._until - now) if self.state is State.OPEN else 0.0

    def _move(self, event: Event) -> None:
        state = TABLE[self.state, event]
        if state is self.state:
            return
        self.state = state
        self._era += 1
        self._row = 0
        if event is Event.LAST_FAILURE:
            self.opened += 1
