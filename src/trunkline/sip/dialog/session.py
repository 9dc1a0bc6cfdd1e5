"""The session of a dialog that an INVITE made: RFC 3261 sections 13 to 15, RFC 3262, 3311, 4028.

`session_table` has its states. What runs beside them: the INVITE in progress (`invite_server`,
`invite_client`), the exchange of offers and answers (`trunkline.sip.sdp.exchange`), changes to the
session that the peer asks for (`offered`) and those that we do (`change`), the session timer.

What its user calls: for a call that came in, ``progress``, ``accept``, ``reject``; for offers,
``answer`` and ``refuse``; to change the session, ``offer``, ``hold``, ``resume``; ``request`` for
anything else within the dialog; ``hang_up``. What comes back are `events`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.body import body_of, readable
from trunkline.sip.dialog.change import Changes
from trunkline.sip.dialog.core import Core, Rows, checked, tokens
from trunkline.sip.dialog.dialog import Dialog, DialogState, Role
from trunkline.sip.dialog.dialog import Trigger as DialogTrigger
from trunkline.sip.dialog.events import (
    Answered,
    Cause,
    Confirmed,
    Ended,
    OfferAccepted,
    OfferWithdrawn,
    RequestArrived,
    ResponseArrived,
)
from trunkline.sip.dialog.invite import LegState
from trunkline.sip.dialog.invite_client import ClientLeg
from trunkline.sip.dialog.invite_server import ServerInvite
from trunkline.sip.dialog.offered import PeerChanges
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.dialog.session_table import TABLE, Action, SessionState, Trigger
from trunkline.sip.dialog.session_timer import SessionTimer
from trunkline.sip.dialog.subscription import REFER_LASTS, Subscriber
from trunkline.sip.digest.client import Client
from trunkline.sip.headers import Event
from trunkline.sip.message import Message, Request, Response
from trunkline.sip.sdp import Exchange, Meaning, SessionDescription
from trunkline.sip.sdp import Message as Carrier
from trunkline.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from trunkline.sip.dialog.call import Call

__all__ = ["Session"]


class Session:
    """One session. ``user`` is whatever its user wants to find again with it."""

    def __init__(
        self,
        core: Core,
        dialog: Dialog,
        exchange: Exchange,
        timer: SessionTimer,
        credentials: Client | None,
        call: Call | None = None,
    ) -> None:
        self.core = core
        self.dialog = dialog
        self.exchange = exchange
        """Offers and answers: ``local`` and ``remote`` are the descriptions agreed on."""
        self.timer = timer
        self.credentials = credentials
        self.call = call
        """The call of ours that made it."""
        self.user: object = None if call is None else call.user
        self.state = SessionState.EARLY
        self.server: ServerInvite | None = None
        """The last INVITE that we received."""
        self.client: ClientLeg | None = None
        """The last INVITE that we sent."""
        self.replaces: Session | None = None
        """The session whose place this one takes when we accept it."""
        self.said_bye = False
        """BYE came, or one of ours was sent and not refused."""
        self.told = True
        """Whether the user knows of it, and has to be told its end."""
        self._changes = Changes(self)
        self._peer = PeerChanges(self)
        self._peer_methods: frozenset[str] | None = None
        self._cause = Cause.HANG_UP
        self._bye_rows: tuple[tuple[str, str], ...] = ()
        self._bye_came = False

    # A call that came in

    def progress(
        self,
        status: int,
        now: float,
        *,
        description: SessionDescription | None = None,
        reliable: bool = False,
        headers: Rows = (),
    ) -> None:
        """Send a provisional response of 101 to 199 (13.3.1.1).

        ``reliable`` asks for RFC 3262; where the INVITE requires it, it is used anyhow.

        Raises:
            TrunklineError: ``dialog.state``: nothing to answer, or answered.
                ``dialog.not-reliable``: the caller does not know RFC 3262.
                ``dialog.prack-pending``. ``sdp.…`` as `Exchange.send`.
        """
        invite = self._invite_to_answer()
        if not 101 <= status <= 199:
            raise TrunklineError("dialog.state", f"{status}: progress is told with 101 to 199")
        reliable = reliable or invite.must_be_reliable
        if reliable and not invite.may_be_reliable:
            raise TrunklineError(
                "dialog.not-reliable", "the INVITE's Supported has no 100rel (RFC 3262 section 3)"
            )
        trial = self.exchange.fork()  # whether it may, and nothing else yet
        for kept in invite.reliable.kept:
            trial.send(Carrier.RELIABLE, kept)
        trial.send(Carrier.RELIABLE if reliable else Carrier.UNRELIABLE, description)
        response = self.response(invite, status, headers=headers, description=description)
        invite.provisional(response, now, reliably=reliable, description=description)

    def accept(
        self, now: float, *, description: SessionDescription | None = None, headers: Rows = ()
    ) -> None:
        """Send 2xx to the INVITE (13.3.1.4); it may wait for a PRACK (RFC 3262 section 5).

        Raises:
            TrunklineError: ``dialog.state``; ``sdp.…`` as `Exchange.send`.
        """
        invite = self._invite_to_answer()
        rows = tuple(headers)
        if invite.reliable.blocks_2xx and description is not None:
            raise TrunklineError(
                "sdp.not-here", "the 2xx has no description: a reliable 1xx had it (RFC 3262 5)"
            )

        def build(now: float) -> Response:
            self.exchange.fork().send(Carrier.FINAL, description)
            timer = self.timer.accept(invite.request, now) if self.timed else []
            response = self.response(invite, 200, headers=(*timer, *rows), description=description)
            self.exchange.send(Carrier.FINAL, description)
            return response

        invite.accept(build, now)

    def reject(self, status: int, now: float, *, headers: Rows = ()) -> None:
        """Send a response of 300 to 699 to the INVITE (13.3.1.2, 13.3.1.3).

        Raises:
            TrunklineError: ``dialog.state``; ``sip.start-line`` for another status.
        """
        invite = self.server
        if invite is None or not invite.pending:
            raise TrunklineError("dialog.state", "no INVITE waits for an answer")
        if status < 300:
            raise TrunklineError("dialog.state", f"{status}: a call is rejected with 300 to 699")
        self._reject(invite, status, Cause.REJECTED, headers, now)

    def _reject(
        self, invite: ServerInvite, status: int, cause: Cause, headers: Rows, now: float
    ) -> None:
        invite.reject(self.response(invite, status, headers=headers), now)
        self.on_refused(invite, cause, None, now)

    def _invite_to_answer(self) -> ServerInvite:
        if self.server is None or self.server.state is not LegState.PROCEEDING:
            raise TrunklineError("dialog.state", "no INVITE waits for an answer")
        return self.server

    # Offers of the peer

    def answer(
        self, now: float, *, description: SessionDescription | None = None, headers: Rows = ()
    ) -> None:
        """Answer the offer that waits, in the message that the answer has to be in.

        A re-INVITE without an offer is answered with an offer of ours.

        Raises:
            TrunklineError: ``dialog.state``: there is none. ``sdp.…`` as `Exchange.send`.
                ``sip.header``.
        """
        headers = checked(headers)
        if self._peer.waiting:
            self._peer.answer(description, headers, now)
        elif self.client is not None and self.client.owes_answer:
            self.client.answer(description, headers, now)
        else:
            self.accept(now, description=description, headers=headers)

    def refuse(self, now: float, status: int = 488, *, headers: Rows = ()) -> None:
        """Refuse the peer's re-INVITE, UPDATE or PRACK; the session stays as it was.

        An offer in a response cannot be refused: answer it, or ``hang_up``.

        Raises:
            TrunklineError: ``dialog.state``: there is none. ``sip.header``.
        """
        headers = checked(headers)
        if self._peer.waiting:
            self._peer.refuse(status, headers, now)
        else:
            self.reject(status, now, headers=headers)

    # Changes of ours

    def offer(
        self,
        description: SessionDescription | None,
        now: float,
        *,
        method: str = "INVITE",
        headers: Rows = (),
    ) -> None:
        """Change the session by a re-INVITE, or an UPDATE; early dialogs allow UPDATE only.

        A re-INVITE without a description asks the peer for an offer. After 491 it is tried again
        by itself (14.1).

        Raises:
            TrunklineError: ``dialog.state``; ``dialog.change-pending``: an INVITE or UPDATE is in
                progress. ``dialog.no-update``: the peer does not allow UPDATE. ``sdp.…`` as
                `Exchange.send`.
        """
        self._changes.begin(method, description, tuple(headers), now)

    def hold(self, now: float, *, method: str = "INVITE") -> None:
        """Put the peer on hold (RFC 3264 section 8.4). Raises as `offer`."""
        self.offer(self._revised(hold=True), now, method=method)

    def resume(self, now: float, *, method: str = "INVITE") -> None:
        """Take the peer off hold. Raises as `offer`."""
        self.offer(self._revised(hold=False), now, method=method)

    def _revised(self, *, hold: bool) -> SessionDescription:
        if self.exchange.local is None:
            raise TrunklineError("dialog.state", "no description has been agreed on yet")
        description = self.exchange.renewed(self.exchange.local)
        if hold:
            description.hold()
        else:
            description.resume()
        return description

    def request(
        self, method: str, now: float, *, headers: Rows = (), body: bytes = b""
    ) -> Outgoing:
        """Send another request within the dialog; `ResponseArrived` has what comes of it.

        Raises:
            TrunklineError: ``dialog.state``: the session has not begun, or is over.
        """
        self._need_running(method)

        def handler(outgoing: Outgoing, response: Response, now: float) -> None:
            self.core.emit(ResponseArrived(outgoing, response, self))
            self.on_final(response, now)

        return self.core.within(
            self.dialog,
            method,
            handler,
            now,
            headers=headers,
            body=body,
            credentials=self.credentials,
        )

    def refer(
        self, reference: str, now: float, *, headers: Rows = (), user: object = None
    ) -> Subscriber:
        """Ask the peer to contact somebody (RFC 3515); `ReferProgress` has what comes of it.

        ``reference`` is the Refer-To, as `trunkline.sip.dialog.refer.refer_to` makes it.

        Raises:
            TrunklineError: ``dialog.state``: the session has not begun, or is over; ``sip.header``.
        """
        self._need_running("REFER")
        rows = [
            ("Contact", self.dialog.local_contact),
            ("Refer-To", reference),
            *headers,
            *self.core.capabilities.rows,
        ]
        request = self.dialog.request("REFER", rows)
        event = Event.parse("refer")
        subscriber = Subscriber(self.core, request, event, REFER_LASTS, (), user, self)
        subscriber.begin_within(self.dialog, now)
        return subscriber

    def _need_running(self, method: str) -> None:
        if self.state not in (SessionState.EARLY, SessionState.CONFIRMED):
            raise TrunklineError("dialog.state", f"no {method}: the session is {self.state}")

    def peer_allows(self, method: str) -> bool:
        """Whether the peer's Allow has ``method``; False too if it has sent none."""
        return self._peer_methods is not None and method in self._peer_methods

    def forbid(self, method: str) -> None:
        """The peer does not allow ``method``, whatever it said (21.4.6)."""
        if self._peer_methods is not None:
            self._peer_methods -= {method}

    # The end

    def hang_up(self, now: float, *, cause: Cause = Cause.HANG_UP, headers: Rows = ()) -> None:
        """End the session in the way that its state asks for (section 15).

        A callee that has not answered yet answers 603. In an early dialog of a call of ours only
        this dialog ends, by BYE: ``Call.cancel`` ends them all.

        Raises:
            TrunklineError: ``sip.header``.
        """
        self._bye_rows = checked(headers)
        if self.state is SessionState.EARLY and self.dialog.role is Role.UAS:
            trigger = Trigger.HANG_UP_EARLY
        elif self.server is not None and self.server.state is LegState.ACCEPTED:
            trigger = Trigger.HANG_UP_UNACKNOWLEDGED
        else:
            trigger = Trigger.HANG_UP
        self._fire(trigger, cause, None, now)

    def on_final(self, response: Response, now: float) -> None:
        """A final response to a request of ours within the dialog (12.2.1.2)."""
        if response.status in (408, 481) and self.state is SessionState.CONFIRMED:
            self.hang_up(now, cause=Cause.LOST)

    def _fire(self, trigger: Trigger, cause: Cause, message: Message | None, now: float) -> None:
        row = TABLE[self.state].get(trigger)
        if row is None:
            return
        self.state = row.next
        match row.action:
            case Action.BEGIN:
                self.dialog.fire(DialogTrigger.SUCCESS)
            case Action.END:
                self._stop(cause, message, now)
                self.core.leave(self.dialog, self)
            case Action.SEND_BYE:
                self._stop(self._cause if trigger is Trigger.ACK else cause, message, now)
                self.said_bye = True
                self.core.within(
                    self.dialog,
                    "BYE",
                    self._on_bye_response,
                    now,
                    headers=self._bye_rows,
                    credentials=self.credentials,
                )
            case Action.REJECT:
                assert self.server is not None
                told = Cause.REJECTED if cause is Cause.HANG_UP else cause
                self._reject(self.server, 603, told, self._bye_rows, now)
            case Action.LEAVE:
                self.core.leave(self.dialog, self)
            case Action.REMEMBER:
                self._cause = cause
            case Action.NOTHING:
                pass

    @property
    def bye_pending(self) -> bool:
        """A BYE of ours waits for its answer."""
        return self.state is SessionState.ENDING

    def _on_bye_response(self, outgoing: Outgoing, response: Response, now: float) -> None:
        if response.status < 200:
            return
        self._fire(Trigger.BYE_ANSWERED, self._cause, response, now)
        if response.status >= 300 and not self._bye_came:
            # 15: an early dialog that the peer did not know or not end; a 2xx would begin it yet
            self.said_bye = False
            if self.client is not None:
                self.client.on_bye_refused(now)
        if self.call is not None:
            self.call.on_left(now)

    def _stop(self, cause: Cause, message: Message | None, now: float) -> None:
        """End what runs beside, answer what is pending, and tell the user."""
        self._changes.stop()
        self._peer.stop(now)
        if self.client is not None:
            self.client.leave(now)
        if self.server is not None and self.server.pending:  # 15.1.2
            self.server.reject(self.response(self.server, 487), now)
        if self.told:
            self.told = False
            self.core.emit(Ended(self, cause, message))

    # Requests within the dialog

    def on_request(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        """Take a request that came in order."""
        method = request.method
        if method in ("SUBSCRIBE", "NOTIFY", "REFER"):
            return False
        if method == "BYE":
            self.core.reply(transaction, request, 200, now)
            self.said_bye = self._bye_came = True
            self._fire(Trigger.BYE, Cause.BYE, request, now)
        elif self.state in (SessionState.ENDING, SessionState.TERMINATED):
            self.core.reply(transaction, request, 481, now)
        else:
            self.learn(request)
            if method in ("INVITE", "UPDATE", "PRACK"):
                self._peer.on_request(transaction, request, now)
            else:
                self.core.emit(RequestArrived(transaction, request, self))
        return True

    # From the INVITE that we received

    def on_accepted(self, invite: ServerInvite, now: float) -> None:
        """Our 2xx leaves."""
        with contextlib.suppress(DecodeError):
            self.dialog.refresh_target(invite.request)
        self._fire(Trigger.SUCCESS, self._cause, None, now)
        self._changes.arm()
        replaced, self.replaces = self.replaces, None
        if replaced is not None:  # RFC 3891 section 3
            if replaced.state is SessionState.EARLY and replaced.call is not None:
                replaced.call.cancel(now, cause=Cause.REPLACED)
            else:
                replaced.hang_up(now, cause=Cause.REPLACED)

    def on_confirmed(self, invite: ServerInvite, request: Request, now: float) -> None:
        """The ACK to our 2xx came."""
        description = readable(request)
        verdict = self.exchange.receive(Carrier.ACK, description)
        answer = description if verdict.meaning is Meaning.ANSWER else None
        if self.told:
            self.core.emit(Confirmed(self, request, answer))
        self._fire(Trigger.ACK, self._cause, request, now)

    def on_no_ack(self, invite: ServerInvite, now: float) -> None:
        """No ACK came for 64*T1 (13.3.1.4, 14.2)."""
        closing = self.state is SessionState.CLOSING
        self._fire(Trigger.HANG_UP, self._cause if closing else Cause.NO_ACK, None, now)

    def on_refused(
        self, invite: ServerInvite, cause: Cause, message: Message | None, now: float
    ) -> None:
        """The INVITE got a response of 300 to 699 from us."""
        self.exchange.send(Carrier.FAILURE)
        if self.state is SessionState.CONFIRMED and cause is not Cause.REJECTED:
            self.core.emit(OfferWithdrawn(self, cause, message))
        self._fire(Trigger.FAILURE, cause, message, now)

    def response(
        self,
        invite: ServerInvite,
        status: int,
        *,
        headers: Rows = (),
        description: SessionDescription | None = None,
    ) -> Response:
        """A response to an INVITE (8.2.6, 12.1.1); below 300 it makes the dialog.

        A Contact in ``headers`` is our Contact from then on.
        """
        rows, body = body_of(description)
        request, dialog = invite.request, self.dialog
        made = Response.answer(request, status, headers=headers, to_tag=dialog.local_tag)
        if status < 300:
            if self.state is SessionState.EARLY:
                for value in request.headers.all("record-route"):
                    made.headers.add("Record-Route", value)
            dialog.local_contact = made.headers.get("contact") or dialog.local_contact
            for name, value in (("Contact", dialog.local_contact), *self.core.capabilities.rows):
                if name not in made.headers:
                    made.headers.add(name, value)
            if dialog.state is DialogState.INIT:
                dialog.fire(DialogTrigger.PROVISIONAL)
                self.core.join(dialog, self)
        for name, value in rows:
            made.headers.add(name, value)
        if body:
            made.body = body
        return made

    # From the INVITE that we sent

    def begin(self, response: Response, now: float) -> bool:
        """A 2xx to our INVITE came (12.1.2, 12.2.1.2, 13.2.2.4); True for the first INVITE."""
        self.learn(response)
        first = self.state is SessionState.EARLY
        with contextlib.suppress(DecodeError):  # a Contact that is none leaves the target
            if first:
                self.dialog.set_route(response)
            self.dialog.refresh_target(response)
        self._fire(Trigger.SUCCESS, self._cause, response, now)
        if self.timed:
            self.timer.confirmed(response, now)
            self._changes.arm()
        return first

    def tell_success(
        self,
        first: bool,
        response: Response,
        answer: SessionDescription | None,
        offer: SessionDescription | None,
    ) -> None:
        """Tell the user of the 2xx, after its ACK."""
        event = Answered if first else OfferAccepted
        self.core.emit(event(self, response, answer, offer))

    def on_failure(self, cause: Cause, response: Response | None, now: float) -> None:
        """Our INVITE, the first, failed, or it is another branch that was answered."""
        if self.state is not SessionState.EARLY:
            return
        if self.client is not None and self.client.state is LegState.PROCEEDING:
            self.client.on_failure()
        trigger = Trigger.LEAVE if cause is Cause.OTHER_BRANCH else Trigger.FAILURE
        self._fire(trigger, cause, response, now)

    # What all do

    @property
    def timed(self) -> bool:
        """Whether we know RFC 4028."""
        return "timer" in self.core.capabilities.extensions

    def arm(self) -> None:
        """Set the alarms of the session timer, after a 2xx to a refresh."""
        self._changes.arm()

    def learn(self, message: Message) -> None:
        """Take the peer's Allow (13.2.1, 13.3.1.4)."""
        if "allow" in message.headers:
            self._peer_methods = frozenset(
                token.upper() for token in tokens(message.headers, "allow")
            )

    def __repr__(self) -> str:
        return f"<Session {self.state} {self.dialog.id}>"
