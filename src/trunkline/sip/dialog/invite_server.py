"""An INVITE that we received, until the ACK to our 2xx: RFC 3261 sections 13.3 and 14.2, RFC 3262.

Timers: the 2xx is sent again from T1 on, doubled up to T2, whatever the transport, for 64*T1
(13.3.1.4); 100 Trying after 200 ms without another response (17.2.1); a provisional response every
minute, or reliably every two and a half, so that no proxy gives up (13.3.1.1; RFC 3262 section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.core import Core
from trunkline.sip.dialog.events import Cause
from trunkline.sip.dialog.invite import SERVER, Action, LegState, Row, Trigger
from trunkline.sip.dialog.reliable import ReliableResponses, requires_100rel, supports_100rel
from trunkline.sip.headers import CSeq, delta_seconds
from trunkline.sip.message import Request, Response
from trunkline.sip.sdp import Message, SessionDescription
from trunkline.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from trunkline.sip.dialog.session import Session

__all__ = ["ServerInvite"]

TRYING_AFTER: Final = 0.2  # seconds, 17.2.1
KEEP_ALIVE: Final = 60.0  # 13.3.1.1
KEEP_ALIVE_RELIABLY: Final = 150.0  # RFC 3262 section 3


class ServerInvite:
    """An INVITE that we received. ``session`` learns what the table has it told."""

    __slots__ = (
        "_alive",
        "_build",
        "_core",
        "_final",
        "_last",
        "_pause",
        "_session",
        "number",
        "reliable",
        "request",
        "state",
        "transaction",
    )

    number: int
    """Of its CSeq, and of the ACK's."""

    def __init__(
        self,
        core: Core,
        session: Session,
        transaction: ServerTransaction,
        request: Request,
        now: float,
    ) -> None:
        self._core = core
        self._session = session
        self.transaction = transaction
        self.request = request
        self.number = CSeq.parse(request.headers.get("cseq") or "").number
        self.state = LegState.PROCEEDING
        self.reliable = ReliableResponses(
            core,
            request,
            self._transmit,
            self._no_prack,
            lambda description: session.exchange.send(Message.RELIABLE, description),
        )
        self._build: Callable[[float], Response] | None = None
        self._final: Response | None = None
        self._last: Response | None = None
        self._pause = 0.0
        self._alive = KEEP_ALIVE
        transaction.user = self
        core.alarms.set(self, Trigger.TRYING, now + TRYING_AFTER)
        try:
            expires = delta_seconds(request.headers.get("expires") or "")
        except DecodeError:
            return
        core.alarms.set(self, Trigger.EXPIRED, now + expires)

    @property
    def local_tag(self) -> str:
        """The To tag of our responses."""
        return self._session.dialog.local_tag

    @property
    def pending(self) -> bool:
        """Whether it has no final response yet."""
        return self.state in (LegState.PROCEEDING, LegState.DELAYED)

    def provisional(
        self,
        response: Response,
        now: float,
        *,
        reliably: bool,
        description: SessionDescription | None,
    ) -> None:
        """Send a response of 101 to 199 (13.3.1.1); the session's exchange hears of it."""
        self.fire(Trigger.TU_PROVISIONAL)
        self._core.alarms.clear(self, Trigger.TRYING)
        self._last = response
        if reliably:
            self._alive = KEEP_ALIVE_RELIABLY
            self.reliable.send(response, description, now)
        else:
            self._alive = KEEP_ALIVE
            self._session.exchange.send(Message.UNRELIABLE, description)
            self._transmit(response, now)
        self._core.alarms.set(self, Trigger.KEEP_ALIVE, now + self._alive)

    def accept(self, build: Callable[[float], Response], now: float) -> None:
        """Send the 2xx that ``build`` makes, as soon as RFC 3262 section 5 allows."""
        early = self.reliable.blocks_2xx
        row = self.fire(Trigger.TU_ACCEPT_EARLY if early else Trigger.TU_ACCEPT)
        if row.action is Action.KEEP:
            self._build = build
            return
        try:
            response = build(now)
        except TrunklineError:
            self.state = LegState.PROCEEDING  # as if nobody had asked
            raise
        self._succeed(response, now)

    def reject(self, response: Response, now: float) -> None:
        """Send a response of 300 to 699 (13.3.1.2, 13.3.1.3)."""
        self.fire(Trigger.TU_REJECT)
        self._fail(response, now)

    def cancel(self, request: Request, now: float) -> None:
        """A CANCEL came (section 9.2); it has been answered."""
        if self.fire(Trigger.CANCEL).action is Action.SEND_487:
            self._fail(self._session.response(self, 487), now)
            self._session.on_refused(self, Cause.CANCELLED, request, now)

    def proceed(self, now: float) -> None:
        """The PRACK was answered: go on with what had to wait for it."""
        self.reliable.proceed(now)
        if self.reliable.blocks_2xx:
            return
        row = self.fire(Trigger.PRACKED)
        if row.action is Action.SEND_KEPT:
            assert self._build is not None
            try:
                response = self._build(now)
            except TrunklineError:  # the PRACK left the exchange of offers without its answer
                self.state = LegState.FAILED
                self._fail(self._session.response(self, 500), now)
                self._session.on_refused(self, Cause.FAILED, None, now)
                return
            self._succeed(response, now)

    def ack(self, request: Request, now: float) -> None:
        """An ACK with our number."""
        if self.fire(Trigger.ACK).action is Action.CONFIRM:
            self._settle()
            self._session.on_confirmed(self, request, now)

    def on_alarm(self, name: str, now: float) -> None:
        """A timer is due."""
        alarms = self._core.alarms
        match self.fire(Trigger(name)).action:
            case Action.SEND_100:
                self._transmit(Response.answer(self.request, 100), now)
            case Action.REPEAT:
                self._repeat(now)
            case Action.SEND_487:
                self._fail(self._session.response(self, 487), now)
                self._session.on_refused(self, Cause.EXPIRED_INVITE, None, now)
            case Action.RESEND:
                assert self._final is not None
                self._transmit(self._final, now)
                self._pause = min(self._pause * 2, self._core.timers.t2)
                alarms.set(self, Trigger.RESEND, now + self._pause)
            case Action.UNCONFIRMED:
                self._settle()
                self._session.on_no_ack(self, now)
            case _:
                pass

    def fire(self, trigger: Trigger) -> Row:
        """Carry out the state part of a row.

        Raises:
            TrunklineError: ``dialog.state``.
        """
        row = SERVER[self.state].get(trigger)
        if row is None:
            raise TrunklineError("dialog.state", f"{trigger} while the INVITE is {self.state}")
        self.state = row.next
        return row

    def _repeat(self, now: float) -> None:
        assert self._last is not None
        if self._alive == KEEP_ALIVE:
            self._transmit(self._last, now)
        else:
            again = self._session.response(self, self._last.status)
            self.reliable.send(again, None, now)
        self._core.alarms.set(self, Trigger.KEEP_ALIVE, now + self._alive)

    def _succeed(self, response: Response, now: float) -> None:
        self.reliable.final()
        self._final = response
        self._transmit(response, now)
        alarms, timers = self._core.alarms, self._core.timers
        alarms.clear(self)
        self._pause = timers.t1
        alarms.set(self, Trigger.RESEND, now + timers.t1)
        alarms.set(self, Trigger.NO_ACK, now + timers.transaction)
        self._core.accepted[self._session.dialog.id] = self
        self._session.on_accepted(self, now)

    def _settle(self) -> None:
        self._core.alarms.clear(self)
        self._core.accepted.pop(self._session.dialog.id, None)

    def _fail(self, response: Response, now: float) -> None:
        self.reliable.final()
        self._core.alarms.clear(self)
        self._transmit(response, now)

    def _no_prack(self, now: float) -> None:
        self.fire(Trigger.NO_PRACK)
        self._fail(self._session.response(self, 504), now)
        self._session.on_refused(self, Cause.NO_PRACK, None, now)

    def _transmit(self, response: Response, now: float) -> None:
        self._core.layer.respond(self.transaction, response, now)

    @property
    def must_be_reliable(self) -> bool:
        """The INVITE requires that provisional responses are reliable (RFC 3262 section 3)."""
        return requires_100rel(self.request)

    @property
    def may_be_reliable(self) -> bool:
        """The INVITE allows that provisional responses are reliable (RFC 3262 section 3)."""
        return supports_100rel(self.request)
