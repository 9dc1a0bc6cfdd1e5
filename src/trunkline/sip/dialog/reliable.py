"""Reliable provisional responses: RFC 3262, both ends.

At the UAS, `ReliableResponses` numbers the responses of one INVITE, repeats the one that waits for
its PRACK, and keeps those behind it. ``TABLE`` is what it does. At the UAC, `ReliableOrder` says of
each response whether it is next, a retransmission, or out of order.

Section 3 recommends not to send a second one before the first is acknowledged; here none is sent
before the one in front of it is.

Left out: offers of ours in a PRACK (section 5 lets the UAC make one; a re-INVITE or UPDATE does the
same); responses out of order are dropped, not kept (section 4 leaves the choice).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.core import Core
from trunkline.sip.headers import CSeq, RAck, response_number
from trunkline.sip.message import Message, Request, Response
from trunkline.sip.sdp import SessionDescription

__all__ = ["TABLE", "Action", "Order", "ReliableOrder", "ReliableResponses", "Row", "State"]

MAX_WAITING: Final = 16
"""Responses that wait behind the one that is not acknowledged yet."""

_RESEND: Final = "resend"
_GIVE_UP: Final = "give up"


class State(StrEnum):
    """Of the reliable responses of one INVITE."""

    IDLE = "none unacknowledged"
    WAITING = "waiting for PRACK"
    ENDED = "final response sent"


class Trigger(StrEnum):
    """What they react to."""

    SEND = "a response to send"
    PRACK = "matching PRACK"
    STRAY = "any other PRACK"
    RESEND = "T1, doubled each time"
    GIVE_UP = "64*T1"
    FINAL = "a final response to send"


class Action(Enum):
    """What is then done."""

    SEND = "send it with the next RSeq; start both timers"
    QUEUE = "keep it until the one before is acknowledged"
    RESEND = "send it again; start the timer at twice its length"
    ACKNOWLEDGED = "answer the PRACK 2xx; send the next one kept"
    LATE = "answer the PRACK 2xx"
    REFUSE = "answer the PRACK 481"
    FAIL = "answer the INVITE 5xx"
    STOP = "stop the timers; keep none"
    DISCARD = "nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table."""

    action: Action
    next: State
    clause: str


_S, _T, _A = State, Trigger, Action

TABLE: Mapping[State, Mapping[Trigger, Row]] = MappingProxyType(
    {
        _S.IDLE: {
            _T.SEND: Row(_A.SEND, _S.WAITING, "3"),
            _T.STRAY: Row(_A.REFUSE, _S.IDLE, "3"),
            _T.FINAL: Row(_A.STOP, _S.ENDED, "3"),
        },
        _S.WAITING: {
            _T.SEND: Row(_A.QUEUE, _S.WAITING, "3"),
            _T.PRACK: Row(_A.ACKNOWLEDGED, _S.IDLE, "3"),
            _T.STRAY: Row(_A.REFUSE, _S.WAITING, "3"),
            _T.RESEND: Row(_A.RESEND, _S.WAITING, "3"),
            _T.GIVE_UP: Row(_A.FAIL, _S.WAITING, "3"),
            _T.FINAL: Row(_A.STOP, _S.ENDED, "3"),
        },
        _S.ENDED: {
            _T.SEND: Row(_A.DISCARD, _S.ENDED, "3: no new ones after the final response"),
            _T.PRACK: Row(_A.LATE, _S.ENDED, "3: for one that was outstanding"),
            _T.STRAY: Row(_A.REFUSE, _S.ENDED, "3"),
            _T.FINAL: Row(_A.DISCARD, _S.ENDED, "3"),
        },
    }
)
"""What reliable responses do; clauses are RFC 3262's. A 2xx may have to wait: ``blocks_2xx``."""


@dataclass(slots=True)
class _Pending:
    response: Response
    description: SessionDescription | None
    rseq: int = 0


class ReliableResponses:
    """The reliable provisional responses of one INVITE at its UAS.

    ``transmit`` sends a response, ``fail`` answers the INVITE 504; ``leaves`` is told of each
    description as it is sent for the first time.
    """

    def __init__(
        self,
        core: Core,
        invite: Request,
        transmit: Callable[[Response, float], None],
        fail: Callable[[float], None],
        leaves: Callable[[SessionDescription], object],
    ) -> None:
        self._core = core
        self._transmit = transmit
        self._fail = fail
        self._leaves = leaves
        self._cseq = CSeq.parse(invite.headers.get("cseq") or "")
        self._rseq = 0
        self._waiting: deque[_Pending] = deque()
        self._unacknowledged: _Pending | None = None
        self._pause = 0.0
        self.state = State.IDLE

    @property
    def blocks_2xx(self) -> bool:
        """A 2xx has to wait: a description is not acknowledged yet (sections 3, 5)."""
        pending = self._unacknowledged
        return self.state is State.WAITING and (
            (pending is not None and pending.description is not None) or any(self.kept)
        )

    @property
    def kept(self) -> list[SessionDescription]:
        """The descriptions of the responses that wait to be sent, in their order."""
        return [each.description for each in self._waiting if each.description is not None]

    def send(self, response: Response, description: SessionDescription | None, now: float) -> None:
        """Send a provisional response reliably, or as soon as the one before is acknowledged.

        Raises:
            TrunklineError: ``dialog.prack-pending``: too many wait.
        """
        pending = _Pending(response, description)
        row = self._fire(Trigger.SEND)
        if row.action is Action.SEND:
            self._send(pending, now)
        elif row.action is Action.QUEUE:
            if len(self._waiting) >= MAX_WAITING:
                raise TrunklineError(
                    "dialog.prack-pending", f"{MAX_WAITING} responses wait for a PRACK already"
                )
            self._waiting.append(pending)

    def prack(self, request: Request, now: float) -> bool:
        """Whether a PRACK matches; if not it is answered 481 (section 3).

        The one behind is sent by `proceed`, which lets the PRACK be answered first.
        """
        pending = self._unacknowledged
        matches = pending is not None and self._matches(request, pending.rseq)
        row = self._fire(Trigger.PRACK if matches else Trigger.STRAY)
        if matches:
            self._unacknowledged = None
            self._core.alarms.clear(self)
        return row.action is not Action.REFUSE

    def proceed(self, now: float) -> None:
        """Send the next response that was kept."""
        if self.state is State.IDLE and self._waiting:
            self._fire(Trigger.SEND)
            self._send(self._waiting.popleft(), now)

    def final(self) -> None:
        """A final response goes out: nothing is repeated or sent any more."""
        self._fire(Trigger.FINAL)
        self._core.alarms.clear(self)

    def on_alarm(self, name: str, now: float) -> None:
        """Repeat the response, or give up."""
        row = self._fire(Trigger.RESEND if name == _RESEND else Trigger.GIVE_UP)
        if row.action is Action.FAIL:
            self._fail(now)
            return
        assert self._unacknowledged is not None
        self._transmit(self._unacknowledged.response, now)
        self._pause *= 2
        self._core.alarms.set(self, _RESEND, now + self._pause)

    def _send(self, pending: _Pending, now: float) -> None:
        # Chosen from 1 to 2**31-1, and one more each time.
        self._rseq = self._rseq + 1 if self._rseq else 1 + int(self._core.draw() * (2**31 - 1))
        pending.rseq = self._rseq
        pending.response.headers.add("Require", "100rel")
        pending.response.headers.add("RSeq", str(self._rseq))
        self._unacknowledged = pending
        if pending.description is not None:
            self._leaves(pending.description)
        self._transmit(pending.response, now)
        timers = self._core.timers
        self._pause = timers.t1
        self._core.alarms.set(self, _RESEND, now + timers.t1)
        self._core.alarms.set(self, _GIVE_UP, now + timers.transaction)

    def _matches(self, prack: Request, rseq: int) -> bool:
        try:
            rack = RAck.parse(prack.headers.get("rack") or "")
        except DecodeError:
            return False
        cseq = self._cseq
        return (rack.response, rack.number, rack.method) == (rseq, cseq.number, cseq.method)

    def _fire(self, trigger: Trigger) -> Row:
        row = TABLE[self.state][trigger]
        self.state = row.next
        return row


class Order(Enum):
    """What a provisional response is to its UAC (section 4)."""

    UNRELIABLE = "not sent reliably"
    NEXT = "to be acknowledged"
    REPEATED = "a retransmission: discarded"
    EARLY = "one before it is missing: discarded, not acknowledged"


class ReliableOrder:
    """The reliable provisional responses to one INVITE in one dialog, at its UAC."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: int | None = None

    def take(self, response: Response) -> Order:
        """What ``response``, over 100, is; `Order.NEXT` makes it the last one."""
        number = rseq_of(response)
        if number is None:
            return Order.UNRELIABLE
        if self._last is None or number == self._last + 1:
            self._last = number
            return Order.NEXT
        return Order.REPEATED if number <= self._last else Order.EARLY


def rseq_of(response: Response) -> int | None:
    """The RSeq of a response that is sent reliably, None of another (section 4)."""
    if not 101 <= response.status <= 199 or not requires_100rel(response):
        return None
    try:
        return response_number(response.headers.get("rseq") or "")
    except DecodeError:
        return None


def requires_100rel(message: Message) -> bool:
    """Whether Require has 100rel."""
    return any(token.lower() == "100rel" for token in message.headers.tokens("require"))


def supports_100rel(message: Message) -> bool:
    """Whether Supported or Require has 100rel."""
    tokens = message.headers.tokens("supported")
    return requires_100rel(message) or any(token.lower() == "100rel" for token in tokens)


def rack_for(response: Response) -> str:
    """The RAck that acknowledges ``response`` (section 7.2)."""
    return f"{response.headers.get('rseq')} {response.headers.get('cseq')}"
