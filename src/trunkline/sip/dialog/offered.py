"""What the peer asks of a session: re-INVITE, UPDATE, PRACK (RFC 3261 14.2, 3311 5.2, 3262).

What can be answered without the user is: a refresh that changes nothing, and what brings no offer.
The rest is `Offered`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.errors import DecodeError
from trunkline.sip.dialog.body import body_of, description_of
from trunkline.sip.dialog.core import Rows
from trunkline.sip.dialog.events import OfferAccepted, Offered
from trunkline.sip.dialog.invite import LegState
from trunkline.sip.dialog.invite_server import ServerInvite
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.message import Headers, Request
from trunkline.sip.sdp import Meaning, Message, SessionDescription
from trunkline.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from trunkline.sip.dialog.session import Session

__all__ = ["PeerChanges"]


@dataclass(slots=True)
class _Pending:
    """An UPDATE or PRACK whose offer waits for our answer."""

    transaction: ServerTransaction
    request: Request


class PeerChanges:
    """The requests of one session's peer that may change it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._core = session.core
        self._pending: _Pending | None = None

    @property
    def waiting(self) -> bool:
        """Whether the offer of an UPDATE or PRACK waits for our answer."""
        return self._pending is not None

    def on_request(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """Take an INVITE, UPDATE or PRACK that came in order."""
        match request.method:
            case "INVITE":
                self._on_invite(transaction, request, now)
            case "UPDATE":
                self._on_update(transaction, request, now)
            case _:
                self._on_prack(transaction, request, now)

    def answer(self, description: SessionDescription | None, headers: Rows, now: float) -> None:
        """Answer the offer that waits. Raises as `Exchange.send`."""
        pending = self._pending
        assert pending is not None
        update = pending.request.method == "UPDATE"
        carrier = Message.UPDATE_OK if update else Message.PRACK_OK
        self._session.exchange.send(carrier, description)
        self._pending = None
        self._respond(pending.transaction, pending.request, now, headers, description)

    def refuse(self, status: int, headers: Rows, now: float) -> None:
        """Refuse the offer that waits."""
        pending, self._pending = self._pending, None
        assert pending is not None
        update = pending.request.method == "UPDATE"
        self._session.exchange.send(Message.UPDATE_FAILURE if update else Message.PRACK_FAILURE)
        self._core.reply(pending.transaction, pending.request, status, now, headers=headers)
        if not update and self._session.server is not None:
            self._session.server.proceed(now)

    def stop(self, now: float) -> None:
        """The session ends: 487 to what is pending (15.1.2)."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._core.reply(pending.transaction, pending.request, 487, now)

    def _on_invite(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """Section 14.2."""
        session = self._session
        if session.server is not None and session.server.state is LegState.ACCEPTED:
            # The ACK is missing: the peer may have sent it, and has to have it heard first.
            self._reply_busy(transaction, request, 491, now)
            return
        taken, offer = self._take(transaction, request, Message.INVITE, now)
        if not taken:
            return
        session.server = ServerInvite(self._core, session, transaction, request, now)
        if self._unchanged(offer):
            session.accept(now, description=session.exchange.local)
        else:
            self._core.emit(Offered(session, request, offer))

    def _on_update(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """RFC 3311 section 5.2."""
        session = self._session
        taken, offer = self._take(transaction, request, Message.UPDATE, now)
        if not taken:
            return
        if offer is None:
            session.exchange.send(Message.UPDATE_OK)
            self._respond(transaction, request, now)
            return
        self._pending = _Pending(transaction, request)
        if self._unchanged(offer):
            self.answer(session.exchange.local, (), now)
        else:
            self._core.emit(Offered(session, request, offer))

    def _take(
        self, transaction: ServerTransaction, request: Request, carrier: Message, now: float
    ) -> tuple[bool, SessionDescription | None]:
        """Whether a session refresh request can be taken, else it was refused; and its offer."""
        session = self._session
        shortest = session.timer.refusal(request) if session.timed else None
        if shortest is not None:
            rows = [("Min-SE", str(shortest))]
            self._core.reply(transaction, request, 422, now, headers=rows)
            return False, None
        try:
            offer = description_of(request)
        except DecodeError:
            self._core.reply(transaction, request, 400, now)
            return False, None
        verdict = session.exchange.receive(carrier, offer)
        if verdict.status is not None:
            self._reply_busy(transaction, request, verdict.status, now)
            return False, None
        session.timer.heard(request)
        return True, offer

    def _unchanged(self, offer: SessionDescription | None) -> bool:
        """The peer offers what is agreed on already: a refresh (14.2; RFC 3264 section 8)."""
        remote, local = self._session.exchange.remote, self._session.exchange.local
        if offer is None or remote is None or local is None:
            return False
        return offer.to_bytes() == remote.to_bytes()

    def _on_prack(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """RFC 3262 sections 3 and 5."""
        session = self._session
        invite = session.server
        if invite is None or not invite.reliable.prack(request, now):
            self._core.reply(transaction, request, 481, now)
            return
        try:
            description = description_of(request)
        except DecodeError:
            self._core.reply(transaction, request, 400, now)
            invite.proceed(now)
            return
        verdict = session.exchange.receive(Message.PRACK, description)
        if verdict.status is not None:
            self._reply_busy(transaction, request, verdict.status, now)
            invite.proceed(now)
        elif verdict.meaning is Meaning.OFFER:
            self._pending = _Pending(transaction, request)
            self._core.emit(Offered(session, request, description))
        else:
            if verdict.meaning is Meaning.ANSWER:
                self._core.emit(OfferAccepted(session, request, description, None))
            session.exchange.send(Message.PRACK_OK)
            self._respond(transaction, request, now)

    def _respond(
        self,
        transaction: ServerTransaction,
        request: Request,
        now: float,
        headers: Rows = (),
        description: SessionDescription | None = None,
    ) -> None:
        """Send 200 to an UPDATE or PRACK, and go on with what waited for it."""
        session = self._session
        described, body = body_of(description)
        given = Headers(headers)
        own: list[tuple[str, str]] = []
        if request.method == "UPDATE":
            with contextlib.suppress(DecodeError):
                session.dialog.refresh_target(request)
            dialog = session.dialog
            dialog.local_contact = given.get("contact") or dialog.local_contact
            given.set("Contact", dialog.local_contact)
            if session.timed and session.state is SessionState.CONFIRMED:
                own += session.timer.accept(request, now)
                session.arm()
        own += self._core.capabilities.rows
        rows = (*given.items(), *own, *described)
        self._core.reply(transaction, request, 200, now, headers=rows, body=body)
        if request.method == "PRACK" and session.server is not None:
            session.server.proceed(now)

    def _reply_busy(
        self, transaction: ServerTransaction, request: Request, status: int, now: float
    ) -> None:
        """491, or 500 with a Retry-After (14.2; RFC 3311 section 5.2)."""
        rows = [self._core.retry_after()] if status == 500 else []
        self._core.reply(transaction, request, status, now, headers=rows)
