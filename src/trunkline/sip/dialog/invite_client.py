"""An INVITE that we sent, in one of its dialogs: RFC 3261 sections 13.2.2 and 14.1, RFC 3262."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.body import body_of, description_of, readable, refused
from trunkline.sip.dialog.core import Core, Rows
from trunkline.sip.dialog.dialog import Dialog
from trunkline.sip.dialog.events import Progress
from trunkline.sip.dialog.invite import CLIENT, Action, LegState, Row, Trigger
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.dialog.reliable import Order, ReliableOrder, rack_for
from trunkline.sip.message import Response, tag_of
from trunkline.sip.sdp import Meaning, Message, SessionDescription

if TYPE_CHECKING:
    from trunkline.sip.dialog.call import Call
    from trunkline.sip.dialog.session import Session

__all__ = ["ClientLeg", "refuse_2xx"]


class ClientLeg:
    """An INVITE of ours in one dialog. ``session`` learns what the table has it told."""

    __slots__ = (
        "_ack",
        "_core",
        "_order",
        "_session",
        "_unwanted",
        "outgoing",
        "provisional",
        "state",
    )

    outgoing: Outgoing
    """The INVITE; its last ``sent`` is the one that the responses are to."""
    provisional: Response | None
    """The reliable response whose offer waits for our answer in a PRACK (RFC 3262 section 5)."""

    def __init__(self, core: Core, session: Session, outgoing: Outgoing) -> None:
        self._core = core
        self._session = session
        self._order = ReliableOrder()
        self._ack: Outgoing | None = None
        self._unwanted: Dialog | None = None
        self.outgoing = outgoing
        self.provisional = None
        self.state = LegState.PROCEEDING

    @property
    def pending(self) -> bool:
        """Whether it is in progress still (14.1)."""
        return self.state in (LegState.PROCEEDING, LegState.OWING)

    @property
    def owes_answer(self) -> bool:
        """Whether an offer of the peer waits for our PRACK or ACK."""
        return self.provisional is not None or self.state is LegState.OWING

    def on_provisional(self, response: Response, call: Call | None, now: float) -> None:
        """A response of 101 to 199 (13.2.2.1; RFC 3262 section 4)."""
        row = self.fire(Trigger.PROVISIONAL)
        order = self._order.take(response)
        if row.action is Action.NOTHING or order in (Order.REPEATED, Order.EARLY):
            return
        session = self._session
        session.learn(response)
        description = readable(response)
        reliable = order is Order.NEXT
        carrier = Message.RELIABLE if reliable else Message.UNRELIABLE
        meaning = session.exchange.receive(carrier, description).meaning
        answer = description if meaning in (Meaning.ANSWER, Meaning.PREVIEW) else None
        offer = description if meaning is Meaning.OFFER else None
        if reliable and offer is not None:
            self.provisional = response
        elif reliable:
            self._send_prack(response, None, (), now)
        self._core.emit(Progress(call, session, response, answer, offer))

    def on_success(self, response: Response, now: float) -> None:
        """A 2xx (13.2.2.4); it may be a retransmission."""
        session = self._session
        if self.state is not LegState.PROCEEDING:
            row = self.fire(Trigger.SUCCESS)
            if row.action is Action.ACK_AGAIN and self._ack is not None:
                self._ack.send_again(now)
            elif row.action is Action.SEND_ACK_AND_BYE:
                self._drop(response, now)
            return
        description = readable(response)
        meaning = session.exchange.receive(Message.FINAL, description).meaning
        offer = description if meaning is Meaning.OFFER else None
        answer = description if meaning is Meaning.ANSWER else None
        self.provisional = None
        first = session.begin(response, now)
        trigger = Trigger.SUCCESS if offer is None else Trigger.SUCCESS_WITH_OFFER
        if self.fire(trigger).action is Action.SEND_ACK:
            session.exchange.send(Message.ACK)
            self._send_ack(session.dialog, None, (), now)
        session.tell_success(first, response, answer, offer)

    def answer(self, description: SessionDescription | None, headers: Rows, now: float) -> None:
        """Send the PRACK or ACK with the answer to the peer's offer.

        Raises:
            TrunklineError: ``sdp.…`` as `Exchange.send`.
        """
        if self.provisional is not None:
            self._send_prack(self.provisional, description, headers, now)
            return
        self._session.exchange.send(Message.ACK, description)
        self.fire(Trigger.TU_ANSWER)
        self._send_ack(self._session.dialog, description, headers, now)

    def leave(self, now: float) -> None:
        """The session ends: what is owed is given, and a 2xx to come is not wanted any more."""
        if self.state is LegState.OWING:
            # 13.2.2.4: a valid answer in the ACK, then the BYE
            offer = self._session.exchange.offer
            self.answer(None if offer is None else refused(offer, host_of(self.outgoing)), (), now)
        elif self.state is LegState.PROCEEDING:
            self.fire(Trigger.TU_LEAVE)

    def on_failure(self) -> None:
        """A response of 300 to 699, or none."""
        self.fire(Trigger.FAILURE)

    def fire(self, trigger: Trigger) -> Row:
        """Carry out the state part of a row.

        Raises:
            TrunklineError: ``dialog.state``.
        """
        row = CLIENT[self.state].get(trigger)
        if row is None:
            raise TrunklineError("dialog.state", f"{trigger} while our INVITE is {self.state}")
        self.state = row.next
        return row

    def _send_prack(
        self,
        response: Response,
        description: SessionDescription | None,
        headers: Rows,
        now: float,
    ) -> None:
        session = self._session
        session.exchange.send(Message.PRACK, description)
        self.provisional = None
        rows, body = body_of(description)

        self._core.within(
            session.dialog,
            "PRACK",
            _nothing,
            now,
            headers=[("RAck", rack_for(response)), *headers, *rows],
            body=body,
            credentials=session.credentials,
        )

    def _send_ack(
        self,
        dialog: Dialog,
        description: SessionDescription | None,
        headers: Rows,
        now: float,
    ) -> None:
        self._ack = send_ack(self._core, dialog, self.outgoing, description, headers, now)

    def _drop(self, response: Response, now: float) -> None:
        """Acknowledge a 2xx that is not wanted, and end its dialog (13.2.2.4, 15)."""
        session = self._session
        sent = self.outgoing.sent
        if tag_of(sent.headers.get("to") or "") is not None:
            # a re-INVITE's, which crossed a BYE: the dialog is what it was (12.2.1.2)
            self._ack = refuse_2xx(self._core, session.dialog, self.outgoing, response, now)
            return
        dialog = Dialog.to_end(sent, response, session.dialog)
        self._ack = refuse_2xx(self._core, dialog, self.outgoing, response, now)
        if session.bye_pending:
            self._unwanted = dialog
        elif not session.said_bye:
            session.said_bye = True
            self._core.within(dialog, "BYE", _nothing, now, credentials=session.credentials)

    def on_bye_refused(self, now: float) -> None:
        """The peer did not take our BYE in the early dialog: it ends what a 2xx made since."""
        dialog, self._unwanted = self._unwanted, None
        if dialog is not None:
            session = self._session
            session.said_bye = True
            self._core.within(dialog, "BYE", _nothing, now, credentials=session.credentials)


def send_ack(
    core: Core,
    dialog: Dialog,
    invite: Outgoing,
    description: SessionDescription | None,
    headers: Rows,
    now: float,
) -> Outgoing:
    """Send the ACK to a 2xx to ``invite``."""
    rows, body = body_of(description)
    ack = dialog.ack(invite.sent, (*headers, *rows), body)
    outgoing = core.prepare(ack, dialog.next_hop, _nothing, dialog.next_seq)
    outgoing.begin(now)
    return outgoing


def refuse_2xx(
    core: Core, dialog: Dialog, invite: Outgoing, response: Response, now: float
) -> Outgoing:
    """Send the ACK to a 2xx that is not wanted: it takes none of what was offered (13.2.2.4)."""
    answer = None
    with contextlib.suppress(DecodeError):
        if description_of(invite.sent) is None:
            offer = description_of(response)
            answer = None if offer is None else refused(offer, host_of(invite))
    return send_ack(core, dialog, invite, answer, (), now)


def host_of(invite: Outgoing) -> str:
    """The address that an INVITE left by."""
    return invite.flow.local[0] if invite.flow is not None else "0.0.0.0"


def _nothing(outgoing: Outgoing, response: Response, now: float) -> None:
    """For an ACK, which has no responses, and BYE and PRACK, whose responses change nothing here.

    What the failure of a PRACK means, the final response to the INVITE will tell.
    """
