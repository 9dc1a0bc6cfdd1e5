"""An INVITE that we sent, in one of its dialogs: RFC 3261 sections 13.2.2 and 14.1, RFC 3262."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.body import body_of, description_of, readable, refused
from trunkline.sip.dialog.core import Core, Rows
from trunkline.sip.dialog.dialog import Dialog
from trunkline.sip.dialog.dialog import Trigger as DialogTrigger
from trunkline.sip.dialog.events import Progress
from trunkline.sip.dialog.invite import CLIENT, Action, LegState, Row, Trigger
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.dialog.reliable import Order, ReliableOrder, rack_for
from trunkline.sip.message import Response
from trunkline.sip.sdp import Meaning, Message, SessionDescription

if TYPE_CHECKING:
    from trunkline.sip.dialog.call import Call
    from trunkline.sip.dialog.session import Session

__all__ = ["ClientLeg"]


class ClientLeg:
    """An INVITE of ours in one dialog. ``session`` learns what the table has it told."""

    __slots__ = ("_ack", "_core", "_order", "_session", "outgoing", "provisional", "state")

    outgoing: Outgoing
    """The INVITE; its last ``sent`` is the one that the responses are to."""
    provisional: Response | None
    """The reliable response whose offer waits for our answer in a PRACK (RFC 3262 section 5)."""

    def __init__(self, core: Core, session: Session, outgoing: Outgoing) -> None:
        self._core = core
        self._session = session
        self._order = ReliableOrder()
        self._ack: Outgoing | None = None
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
            self.answer(None if offer is None else refused(offer, self._host), (), now)
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

    @property
    def _host(self) -> str:
        flow = self.outgoing.flow
        return flow.local[0] if flow is not None else "0.0.0.0"

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
        rows, body = body_of(description)
        ack = dialog.ack(self.outgoing.sent, (*headers, *rows), body)
        self._ack = self._core.prepare(ack, dialog.next_hop, _nothing, dialog.next_seq)
        self._ack.begin(now)

    def _drop(self, response: Response, now: float) -> None:
        """Acknowledge a 2xx that is not wanted, and end its dialog (13.2.2.4, 15)."""
        session = self._session
        dialog = session.dialog
        with contextlib.suppress(DecodeError):  # then as well as the early dialog knew
            dialog = Dialog.as_uac(self.outgoing.sent, response)
            dialog.local_seq = session.dialog.local_seq
            dialog.fire(DialogTrigger.SUCCESS)
        offer = None
        with contextlib.suppress(DecodeError):
            if description_of(self.outgoing.sent) is None:
                offer = description_of(response)
        self._send_ack(dialog, None if offer is None else refused(offer, self._host), (), now)
        if not session.said_bye:
            session.said_bye = True
            with contextlib.suppress(TrunklineError):
                self._core.within(dialog, "BYE", _nothing, now, credentials=session.credentials)


def _nothing(outgoing: Outgoing, response: Response, now: float) -> None:
    """For an ACK, which has no responses, and BYE and PRACK, whose responses change nothing here.

    What the failure of a PRACK means, the final response to the INVITE will tell.
    """
