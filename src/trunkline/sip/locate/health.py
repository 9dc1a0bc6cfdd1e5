"""Which servers failed lately: they are tried last for a while, and never given up.

RFC 3263 section 4.3 says what a failure is and leaves memory of it to the implementation. What is
remembered is one transport, address and port: a failure of one server says nothing of another, nor
of the domain. Where connections are for a domain it is these of that one: a certificate that does
not have its name says nothing of the other names of the server. It changes the order only; where
nobody else is left, the server is tried all the same. The penalty ends by itself: then one request
is the trial, and the rest follows when an answer comes, or when no failure has been reported in
time.

A 503 counts for the request alone, unless it has a Retry-After (RFC 3261 section 21.5.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from trunkline.sip.locate.decision import Candidate
from trunkline.sip.locate.rules import Rules
from trunkline.sip.transport import Transport

__all__ = ["TABLE", "Condition", "Failure", "Health"]


class Failure(Enum):
    """What counts as a failure (section 4.3)."""

    ERROR = "transport error"
    """A fatal ICMP message, a connection refused or broken."""
    TIMEOUT = "no response"
    """Timer B or F fired and there was no response at all, not even a provisional one."""
    BUSY = "503"
    """The response 503."""


class Condition(Enum):
    """The state of a server."""

    SOUND = "sound"
    PENALISED = "penalised"
    TRIAL = "on trial"


class _Event(Enum):
    FAILED = "failed"
    TURN = "its turn, the penalty over"
    ANSWERED = "answered"
    SILENCE = "the trial's time over"


TABLE = MappingProxyType(
    {
        (Condition.SOUND, _Event.FAILED): Condition.PENALISED,
        # What was sent before the penalty began tells nothing new.
        (Condition.PENALISED, _Event.FAILED): Condition.PENALISED,
        (Condition.PENALISED, _Event.TURN): Condition.TRIAL,
        (Condition.PENALISED, _Event.ANSWERED): Condition.SOUND,
        (Condition.TRIAL, _Event.FAILED): Condition.PENALISED,  # for twice as long
        (Condition.TRIAL, _Event.ANSWERED): Condition.SOUND,
        (Condition.TRIAL, _Event.SILENCE): Condition.SOUND,
    }
)
"""The states of a server; all of it is our own choice."""

_Key: TypeAlias = "tuple[Transport, str, int, str]"


@dataclass(slots=True)
class _Mark:
    condition: Condition
    until: float
    strikes: int


class Health:
    """The servers that are not sound. Bounded by ``rules.penalised_limit``."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._marks: dict[_Key, _Mark] = {}
        self.penalties = 0
        """Penalties imposed, trials that failed included."""
        self.trials = 0
        """Requests let through after a penalty."""
        self.forgotten = 0
        """Servers forgotten because the table was full."""

    def __bool__(self) -> bool:
        """Whether any server is marked."""
        return bool(self._marks)

    def __len__(self) -> int:
        return len(self._marks)

    def failed(
        self, candidate: Candidate, failure: Failure, now: float, retry_after: float | None = None
    ) -> None:
        """A request to ``candidate`` failed. ``retry_after`` is that of a 503, in seconds."""
        if failure is Failure.BUSY and not retry_after:
            return
        key = _key(candidate)
        mark = self._marks.get(key)
        strikes = 0
        if mark is not None:
            if mark.condition is Condition.PENALISED and now < mark.until:
                return
            if mark.condition is Condition.TRIAL:
                strikes = mark.strikes + 1
        elif len(self._marks) >= self._rules.penalised_limit:
            del self._marks[next(iter(self._marks))]
            self.forgotten += 1
        span = retry_after or self._rules.penalty * 2.0 ** min(strikes, 16)
        until = now + min(span, self._rules.penalty_limit)
        self._marks[key] = _Mark(Condition.PENALISED, until, strikes)
        self.penalties += 1

    def answered(self, candidate: Candidate) -> None:
        """A response came from ``candidate``: it is sound."""
        self._marks.pop(_key(candidate), None)

    def admits(self, candidate: Candidate, now: float) -> bool:
        """Whether ``candidate``, whose turn it is, is used in its turn; else it is tried last."""
        key = _key(candidate)
        mark = self._marks.get(key)
        if mark is None:
            return True
        if now < mark.until:
            return False
        if mark.condition is Condition.TRIAL:
            del self._marks[key]
        else:
            mark.condition, mark.until = Condition.TRIAL, now + self._rules.trial
            self.trials += 1
        return True

    def penalty(self, candidate: Candidate, now: float) -> float:
        """Seconds for which ``candidate`` is still tried last; 0 of a sound one."""
        mark = self._marks.get(_key(candidate))
        return 0.0 if mark is None else max(0.0, mark.until - now)


def _key(candidate: Candidate) -> _Key:
    transport, host, port, domain = candidate
    return transport, host, port, domain if transport.by_domain else ""
