"""What we ask of a session: re-INVITE and UPDATE, their glare, and its refreshes.

RFC 3261 section 14.1, RFC 3311 sections 5.1 and 5.3, RFC 4028 section 10. A change that met one of
the peer's (491) is tried again after a random pause. A refresh is an UPDATE without an offer where
the peer allows UPDATE, else a re-INVITE with what is agreed on.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.body import body_of, readable
from trunkline.sip.dialog.dialog import Role
from trunkline.sip.dialog.events import Cause, OfferAccepted, OfferRejected
from trunkline.sip.dialog.invite import LegState
from trunkline.sip.dialog.invite_client import ClientLeg
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.headers import RetryAfter
from trunkline.sip.message import Response
from trunkline.sip.sdp import Meaning, Message, SessionDescription

if TYPE_CHECKING:
    from trunkline.sip.dialog.session import Session

__all__ = ["Changes"]

MAX_TRIES: Final = 10
"""Of one change that meets 491 each time."""

_AGAIN: Final = "again"
_REFRESH: Final = "refresh"
_GIVE_UP: Final = "give up"


@dataclass(slots=True)
class _Change:
    method: str
    description: SessionDescription | None
    headers: tuple[tuple[str, str], ...]
    refresh: bool = False
    """It is of the session timer, and nobody waits for it."""
    tries: int = 1


class Changes:
    """The changes of ours to one session, one at a time, and its session timer's alarms."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._core = session.core
        self._update: Outgoing | None = None
        self._waiting: _Change | None = None

    def begin(
        self,
        method: str,
        description: SessionDescription | None,
        headers: tuple[tuple[str, str], ...],
        now: float,
    ) -> None:
        """Send a re-INVITE or UPDATE. Raises as `Session.offer`."""
        self._send(_Change(method, description, headers), now)
        self._waiting = None
        self._core.alarms.clear(self, _AGAIN)

    def arm(self) -> None:
        """Set the alarms of the session timer, after a 2xx (RFC 4028 sections 7.2, 9, 10)."""
        timer = self._session.timer
        for name, at in ((_REFRESH, timer.refresh_at), (_GIVE_UP, timer.give_up_at)):
            if at is None:
                self._core.alarms.clear(self, name)
            else:
                self._core.alarms.set(self, name, at)

    def stop(self) -> None:
        """The session ends."""
        self._waiting = None
        self._core.alarms.clear(self)

    def on_alarm(self, name: str, now: float) -> None:
        """Try again, refresh, or give the session up."""
        if name == _GIVE_UP:
            self._session.hang_up(now, cause=Cause.NOT_REFRESHED)
            return
        exchange = self._session.exchange
        change, self._waiting = self._waiting, None
        if name == _REFRESH or change is None:
            if change is not None:
                self._waiting = change  # a refresh by itself: that change will do
                return
            update = self._session.peer_allows("UPDATE")
            description = None if update else exchange.local
            change = _Change("UPDATE" if update else "INVITE", description, (), refresh=True)
        elif change.description is not None and change.description is not exchange.sent:
            change.description = exchange.renewed(change.description)  # RFC 3264 section 8
        try:
            self._send(change, now)
        except TrunklineError as problem:
            if problem.code not in ("dialog.change-pending", "sdp.offer-pending"):
                return  # the session has become another one: the change makes no sense any more
            self._later(change, now)

    def _send(self, change: _Change, now: float) -> None:
        session = self._session
        self._check(change.method)
        invite = change.method == "INVITE"
        carrier = Message.INVITE if invite else Message.UPDATE
        confirmed = session.state is SessionState.CONFIRMED
        timer = session.timer.request_rows() if session.timed and confirmed else []
        rows, body = body_of(change.description)

        def handler(outgoing: Outgoing, response: Response, now: float) -> None:
            if invite:
                self._on_invite_response(leg, change, response, now)
            else:
                self._on_update_response(change, response, now)

        outgoing = self._core.prepare_within(
            session.dialog,
            change.method,
            handler,
            headers=(*timer, *change.headers, *rows),
            body=body,
            credentials=session.credentials,
        )
        session.exchange.send(carrier, change.description)
        leg = ClientLeg(self._core, session, outgoing)
        if invite:
            session.client = leg
        else:
            self._update = outgoing
        outgoing.begin(now)

    def _check(self, method: str) -> None:
        session = self._session
        early = session.state is SessionState.EARLY
        if session.state not in (SessionState.EARLY, SessionState.CONFIRMED) or (
            early and method == "INVITE"
        ):
            raise TrunklineError(
                "dialog.state", f"no {method} may be sent: the session is {session.state}"
            )
        if method == "UPDATE":
            if not session.peer_allows("UPDATE"):
                raise TrunklineError(
                    "dialog.no-update", "the peer's Allow has no UPDATE (RFC 3311 section 4)"
                )
            busy = self._update is not None
        else:
            client, server = session.client, session.server
            busy = (client is not None and client.pending) or (
                server is not None and (server.pending or server.state is LegState.ACCEPTED)
            )
        if busy:
            raise TrunklineError(
                "dialog.change-pending", f"no {method} may be sent: one is in progress (14.1)"
            )

    def _on_invite_response(
        self, leg: ClientLeg, change: _Change, response: Response, now: float
    ) -> None:
        session = self._session
        if response.status <= 100:
            return
        if response.status < 200:
            leg.on_provisional(response, None, now)
        elif response.status < 300:
            leg.on_success(response, now)
        elif leg.state is LegState.PROCEEDING:
            leg.on_failure()
            session.exchange.receive(Message.FAILURE)
            self._failed(change, response, now)

    def _on_update_response(self, change: _Change, response: Response, now: float) -> None:
        session = self._session
        if response.status < 200:
            return
        self._update = None
        if response.status >= 300:
            session.exchange.receive(Message.UPDATE_FAILURE)
            self._failed(change, response, now)
            return
        description = readable(response)
        meaning = session.exchange.receive(Message.UPDATE_OK, description).meaning
        with contextlib.suppress(DecodeError):
            session.dialog.refresh_target(response)
        session.learn(response)
        if session.state not in (SessionState.EARLY, SessionState.CONFIRMED):
            return
        if session.timed and session.state is SessionState.CONFIRMED:
            session.timer.confirmed(response, now)
            self.arm()
        if not change.refresh:
            answer = description if meaning is Meaning.ANSWER else None
            self._core.emit(OfferAccepted(session, response, answer, None))

    def _failed(self, change: _Change, response: Response, now: float) -> None:
        """Try again where that makes sense, else tell the user (14.1; RFC 3311 5.3)."""
        session = self._session
        if session.state not in (SessionState.EARLY, SessionState.CONFIRMED):
            return
        if response.status == 422 and session.timer.too_small(response):
            with contextlib.suppress(TrunklineError):
                self._send(change, now)
                return
        again = None
        if response.status == 491 and change.tries < MAX_TRIES:
            again = self._later(change, now)
        if not change.refresh:
            self._core.emit(OfferRejected(session, response, again))
        session.on_final(response, now)
        if session.state is SessionState.CONFIRMED and again is None:
            self._refresh_again(change, response, now)

    def _refresh_again(self, change: _Change, response: Response, now: float) -> None:
        """The refresh is due still, if it is ours: try again in time (RFC 4028 section 10)."""
        timer, session = self._session.timer, self._session
        due, end = timer.refresh_at, timer.give_up_at
        if due is None or end is None or due > now:
            return
        left = end - now
        pause = left / 2
        if change.method == "UPDATE" and response.status in (405, 501):
            session.forbid("UPDATE")
            pause = 0.0
        else:
            with contextlib.suppress(DecodeError):
                asked = RetryAfter.parse(response.headers.get("retry-after") or "").seconds
                pause = asked if asked < left else pause
        if left > 1:
            self._core.alarms.set(self, _REFRESH, now + pause)

    def _later(self, change: _Change, now: float) -> float:
        """Try again after a pause by who owns the Call-ID, in units of 10 ms (14.1)."""
        draw = self._core.draw()
        owner = self._session.dialog.role is Role.UAC
        pause = (210 + int(draw * 191) if owner else int(draw * 201)) / 100
        change.tries += 1
        self._waiting = change
        self._core.alarms.set(self, _AGAIN, now + pause)
        return pause
