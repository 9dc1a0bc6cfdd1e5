"""Offers and answers of one dialog: which description is agreed on, and what each message does.

RFC 3264 section 4, by the tables of ``exchange_table``. Whoever owns the dialog tells an
:class:`Exchange` of every message that the tables know, with the description in it or ``None``, as
it is sent or received, without retransmissions. It learns what the message means, and before
sending, whether it may be sent so. What descriptions contain is not looked at here: making an
answer is ``negotiation``, judging one ``validity``.

Left out: when a refused offer is tried again (RFC 3261 section 14.1 gives the times); that a UAS
sends no second reliable 1xx before the first is acknowledged (RFC 3262 section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.sip.sdp.description import SessionDescription
from trunkline.sip.sdp.exchange_table import (
    MESSAGES,
    OFFERS,
    Cell,
    Event,
    Meaning,
    Message,
    Phase,
    State,
    Who,
)

__all__ = ["RETRY_AFTER", "Exchange", "Meaning", "Message", "State", "Verdict"]

RETRY_AFTER: Final = (0, 10)
"""Seconds between which the Retry-After of a 500 is drawn (RFC 3261 14.2, RFC 3311 5.2)."""

_BY_UAC: Final = frozenset({Message.INVITE, Message.ACK, Message.PRACK})
_BY_UAS: Final = frozenset({Message.UNRELIABLE, Message.RELIABLE, Message.FINAL, Message.FAILURE})
_REQUESTS: Final = frozenset({Message.INVITE, Message.PRACK, Message.UPDATE})
_REQUEST_OF: Final = {
    Message.PRACK_OK: Message.PRACK,
    Message.PRACK_FAILURE: Message.PRACK,
    Message.UPDATE_OK: Message.UPDATE,
    Message.UPDATE_FAILURE: Message.UPDATE,
}
_FAILURES: Final = frozenset({Message.PRACK_FAILURE, Message.UPDATE_FAILURE})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a received message did."""

    meaning: Meaning
    clause: str
    status: int | None = None
    """What a refused request is answered with: 491, or 500 with Retry-After."""


class Exchange:
    """The offers and answers of one dialog, seen from one end."""

    __slots__ = (
        *("_before", "_carrier", "_phase", "_uac", "_update"),
        *("local", "offer", "remote", "sent", "state", "version"),
    )

    local: SessionDescription | None
    """Our description in the session agreed on."""
    remote: SessionDescription | None
    """The other end's."""
    offer: SessionDescription | None
    """The offer that waits for its answer; ``state`` says whose."""
    state: State
    sent: SessionDescription | None
    """The last description that we sent, agreed on or not."""
    version: int
    """The highest version of a description that we sent (``o=``); the next one has a higher one."""

    def __init__(self) -> None:
        self.local = None
        self.remote = None
        self.offer = None
        self.sent = None
        self.version = 0
        self.state = State.STABLE
        self._phase = Phase.NONE
        self._uac = False
        # Which message had the offer: for PRACK and UPDATE, with its sequence number.
        self._carrier: tuple[Message, int] | None = None
        self._before: tuple[SessionDescription | None, SessionDescription | None] = (None, None)
        # The sequence number of an UPDATE of the other end that we have not responded to.
        self._update: int | None = None

    def fork(self) -> Exchange:
        """The same exchange for another dialog that the INVITE made (RFC 3261 section 13.2.1)."""
        other = Exchange()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    @property
    def phase(self) -> Phase:
        """How far the INVITE in progress is."""
        return self._phase

    # Sending

    def would_mean(self, message: Message, *, description: bool, cseq: int = 0) -> Meaning | None:
        """What a message would mean if we sent it now, with a description or without one.

        ``None``: it may not be sent so. A 2xx to INVITE that may not go without a description, and
        would mean ``OFFER`` or ``ANSWER`` with one, needs one. ``cseq`` is as in :meth:`send`.
        """
        request = _REQUEST_OF.get(message)
        if request is not None:
            answers = self._carrier == (request, cseq) and self.state is State.REMOTE_OFFER
            if message in _FAILURES:
                meaning = Meaning.REVERTED if answers else Meaning.NOTHING
                return None if description else meaning
            if answers is not description:
                return None
            return Meaning.ANSWER if answers else Meaning.NOTHING
        cell = self._cell(message, description)
        if not self._may(message, cell):
            return None
        event = {Meaning.OFFER: Event.SEND_OFFER, Meaning.ANSWER: Event.SEND_ANSWER}.get(
            cell.meaning
        )
        if _asks(message, cell.meaning):
            event = Event.SEND_OFFER
        if event is not None and OFFERS[self.state][event][0] is Meaning.PENDING:
            return None
        return cell.meaning

    def _may(self, message: Message, cell: Cell) -> bool:
        if self._phase is not Phase.NONE and message in (_BY_UAC if not self._uac else _BY_UAS):
            return False
        return cell.allowed is Who.ANY or (cell.allowed is Who.UAC and self._uac)

    def send(
        self, message: Message, description: SessionDescription | None = None, *, cseq: int = 0
    ) -> Meaning:
        """Take note of a message that we send.

        Args:
            message: which one.
            description: what stands in it, or ``None``.
            cseq: the sequence number of a PRACK or UPDATE, or of the one that it responds to.
                Several may be on their way at once, and one of them has the offer.

        Raises:
            TrunklineError: it may not be sent so, and nothing has changed. ``sdp.offer-pending``:
                there is an offer without its answer, or one is due. ``sdp.missing``: it needs a
                description. ``sdp.not-here``: it may not have one. ``sdp.answer-changed``: the
                answer is not the one that a 1xx had.
        """
        meaning = self.would_mean(message, description=description is not None, cseq=cseq)
        if meaning is None:
            raise self._refusal(message, description is not None, cseq)
        if meaning is Meaning.REPEATED and str(description) != str(self.local):
            raise TrunklineError(
                "sdp.answer-changed",
                f"{message.value}: the answer differs from that of the 1xx before, and would be "
                "ignored (RFC 3261 13.2.1): send the same, and a new offer later",
            )
        self._apply(message, description, meaning, cseq, sent=True)
        if description is not None:
            self.sent = description
            self.version = max(self.version, description.origin.session_version)
        return meaning

    def renewed(self, description: SessionDescription) -> SessionDescription:
        """A copy of ``description`` of ours with a version that we have not sent (RFC 3264 8)."""
        copy = description.copy()
        version = max(self.version, copy.origin.session_version) + 1
        copy.origin = replace(copy.origin, session_version=version)
        return copy

    def _refusal(self, message: Message, has: bool, cseq: int) -> TrunklineError:
        where = f"{message.value} ({self.state.value}; {self._phase.value})"
        if self.would_mean(message, description=not has, cseq=cseq) is None or (
            has and message in _REQUESTS
        ):
            return TrunklineError(
                "sdp.offer-pending", f"{where}: wait until the exchange in progress has ended"
            )
        if has:
            return TrunklineError("sdp.not-here", f"{where}: no description may stand in it")
        return TrunklineError("sdp.missing", f"{where}: an offer or answer has to stand in it")

    # Receiving

    def receive(
        self, message: Message, description: SessionDescription | None = None, *, cseq: int = 0
    ) -> Verdict:
        """Take note of a message that arrived.

        The arguments are those of :meth:`send`. A request that the verdict refuses has changed
        nothing: answer it with ``status``, and tell neither of that answer nor, if it was an
        INVITE, of the ACK.
        """
        has = description is not None
        request = _REQUEST_OF.get(message)
        if request is not None:
            meaning, clause = (
                self._response(message, (request, cseq), has),
                "RFC 3311 5.3; RFC 3262 5",
            )
        else:
            cell = self._cell(message, has)
            meaning, clause = cell.meaning, cell.clause
            ours = message in _BY_UAS if not self._uac else message in _BY_UAC
            if self._phase is not Phase.NONE and ours and message is not Message.INVITE:
                # It belongs to an INVITE that has ended. What could be an offer is not accepted.
                late = message is Message.PRACK and has
                meaning = Meaning.PENDING if late else Meaning.IGNORED
                return Verdict(meaning, clause, self._status(message) if late else None)
            if message is Message.UPDATE and self._update is not None:
                meaning, clause = Meaning.PENDING, "RFC 3311 5.2"
            elif meaning is Meaning.OFFER or _asks(message, meaning):
                taken, _, pending = OFFERS[self.state][Event.RECEIVE_OFFER]
                if taken is Meaning.PENDING:
                    meaning, clause = taken, pending
            elif meaning is Meaning.ANSWER:
                meaning = OFFERS[self.state][Event.RECEIVE_ANSWER][0]
        if meaning is Meaning.PENDING:
            if message not in _REQUESTS:
                if message is Message.FINAL:
                    self._phase = Phase.NONE  # the INVITE is over, whatever its 2xx brought
                return Verdict(Meaning.IGNORED, clause)
            return Verdict(meaning, clause, self._status(message))
        self._apply(message, description, meaning, cseq, sent=False)
        return Verdict(meaning, clause)

    def _response(self, message: Message, request: tuple[Message, int], has: bool) -> Meaning:
        """What a response to a PRACK or UPDATE of ours means."""
        if self._carrier != request or self.state is not State.LOCAL_OFFER:
            return Meaning.IGNORED if has else Meaning.NOTHING
        if message in _FAILURES:
            return Meaning.REVERTED
        return Meaning.ANSWER if has else Meaning.MISSING

    def _status(self, message: Message) -> int:
        """491 where something of ours is in progress, 500 where something of theirs is."""
        if message is Message.UPDATE and self._update is not None:
            return 500
        if self.state is State.STABLE or (
            message is Message.INVITE and self._phase is not Phase.NONE
        ):
            return 491 if self._uac else 500
        return 491 if self.state is State.LOCAL_OFFER else 500

    # Both

    def _cell(self, message: Message, has: bool) -> Cell:
        return MESSAGES[self._phase][message, has]

    def _apply(
        self,
        message: Message,
        description: SessionDescription | None,
        meaning: Meaning,
        cseq: int,
        *,
        sent: bool,
    ) -> None:
        if message is Message.INVITE:
            self._uac = sent
            self._before = (self.local, self.remote)
        if message is Message.UPDATE and not sent:
            self._update = cseq
        elif sent and _REQUEST_OF.get(message) is Message.UPDATE and self._update == cseq:
            self._update = None
        if message not in _REQUEST_OF:
            self._phase = self._cell(message, description is not None).next
        if meaning is Meaning.OFFER:
            self.offer = description
            self.state = State.LOCAL_OFFER if sent else State.REMOTE_OFFER
            self._carrier = (message, cseq)
        elif meaning is Meaning.PREVIEW:
            self._agree(description, sent)
        elif meaning is Meaning.ANSWER:
            self._agree(description, sent)
            self._settle()
            if message is Message.UPDATE_OK:
                # An UPDATE is no part of the INVITE: its result stays when the INVITE fails.
                self._before = (self.local, self.remote)
        elif meaning is Meaning.REPEATED and message is not Message.UNRELIABLE:
            self._settle()
        elif meaning is Meaning.MISSING:
            if self._phase is Phase.NONE or message in _REQUEST_OF:
                self._settle()  # no message is left that could bring it
        elif meaning is Meaning.REVERTED:
            self._revert(message)

    def _agree(self, answer: SessionDescription | None, sent: bool) -> None:
        self.local, self.remote = (answer, self.offer) if sent else (self.offer, answer)

    def _settle(self) -> None:
        self.offer = None
        self.state = State.STABLE
        self._carrier = None

    def _revert(self, message: Message) -> None:
        if message is not Message.FAILURE:
            self._settle()
            return
        # "The session parameters MUST remain unchanged, as if no re-INVITE had been issued."
        self.local, self.remote = self._before
        if self._carrier is not None and self._carrier[0] not in (Message.UPDATE, Message.PRACK):
            self._settle()


def _asks(message: Message, meaning: Meaning) -> bool:
    """An INVITE without a description: an offer will come of it, and one is in the way now."""
    return message is Message.INVITE and meaning is Meaning.NOTHING
