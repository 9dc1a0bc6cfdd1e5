"""Where offers and answers may stand in SIP, as two tables.

**The exchange** (RFC 3264 section 4) is stable, or one offer waits for its answer: ours or the
other end's. ``OFFERS`` is that machine.

**The INVITE** decides what a description in a message is (RFC 3261 sections 13.2.1 and 14, RFC
3262 section 5, RFC 3311 section 5). It has a *phase*, the same for both ends; UAC and UAS are those
of the INVITE, whichever end began the dialog. ``MESSAGES`` has, for every phase and every message,
what a description in it is, what its absence is, and the phase that follows. Six pairs of messages
carry an exchange:

=================  ==============  ===================
offer              answer          from
=================  ==============  ===================
INVITE             2xx to INVITE   RFC 3261 13.2.1
2xx to INVITE      ACK             RFC 3261 13.2.1
INVITE             reliable 1xx    RFC 3262 5
reliable 1xx       PRACK           RFC 3262 5
PRACK              2xx to PRACK    RFC 3262 5
UPDATE             2xx to UPDATE   RFC 3311 5.1, 5.2
=================  ==============  ===================

The last two stand on the first table alone: their answer belongs to the request that had the offer.

A cell also says whether the standards let the message be sent so. Receiving is kinder: what may not
be sent still has a meaning, so that a peer's mistake leaves both tables whole. RFC 6337, which
collects these rules, was not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

__all__ = ["MESSAGES", "OFFERS", "Cell", "Event", "Meaning", "Message", "Phase", "State", "Who"]


class State(Enum):
    """Whether an offer waits for its answer (RFC 3264 section 4)."""

    STABLE = "stable"
    LOCAL_OFFER = "local offer"
    """We offered."""
    REMOTE_OFFER = "remote offer"
    """The other end offered."""


class Event(Enum):
    """What happens to an exchange."""

    SEND_OFFER = "we offer"
    RECEIVE_OFFER = "an offer arrives"
    SEND_ANSWER = "we answer"
    RECEIVE_ANSWER = "an answer arrives"
    REVERT = "the offer is rejected"


class Meaning(Enum):
    """What a message does to the exchange."""

    OFFER = "offer"
    ANSWER = "answer"
    PREVIEW = "answer, ahead of the reliable one"
    REPEATED = "the same answer again; the first counts"
    NOTHING = "nothing"
    IGNORED = "a description that counts for nothing"
    MISSING = "an offer or answer that is not there"
    PENDING = "not now"
    REVERTED = "the session is as it was before"


class Phase(Enum):
    """How far the INVITE in progress is, as to descriptions."""

    NONE = "no INVITE"
    OFFERED = "INVITE had an offer"
    PREVIEWED = "offer, and answer in a 1xx that is not reliable"
    EMPTY = "INVITE had no offer"
    PROVISIONAL_OFFER = "offer in a reliable 1xx"
    PROVISIONAL_ANSWER = "answer in a reliable 1xx, PRACK not yet"
    COMPLETE = "answered; INVITE in progress"
    FINAL_OFFER = "offer in the 2xx"


class Message(Enum):
    """The messages that the tables know."""

    INVITE = "INVITE"
    UNRELIABLE = "1xx, not reliable"
    RELIABLE = "1xx, reliable"
    FINAL = "2xx to INVITE"
    FAILURE = "failure of INVITE"
    """A final response that is no 2xx, or none at all; so of the other two failures."""
    ACK = "ACK"
    PRACK = "PRACK"
    PRACK_OK = "2xx to PRACK"
    PRACK_FAILURE = "failure of PRACK"
    UPDATE = "UPDATE"
    UPDATE_OK = "2xx to UPDATE"
    UPDATE_FAILURE = "failure of UPDATE"


class Who(Enum):
    """Who may send a message so."""

    ANY = "yes"
    """Whoever sends messages of this kind."""
    UAC = "the UAC of the INVITE"
    NOBODY = "no"


@dataclass(frozen=True, slots=True)
class Cell:
    """What a message does in a phase, with or without a description in it."""

    meaning: Meaning
    next: Phase
    allowed: Who
    clause: str


OFFERS: Final[Mapping[State, Mapping[Event, tuple[Meaning, State, str]]]] = MappingProxyType(
    {
        State.STABLE: {
            Event.SEND_OFFER: (Meaning.OFFER, State.LOCAL_OFFER, "RFC 3264 4"),
            Event.RECEIVE_OFFER: (Meaning.OFFER, State.REMOTE_OFFER, "RFC 3264 4"),
            Event.SEND_ANSWER: (Meaning.PENDING, State.STABLE, "RFC 3264 4"),
            Event.RECEIVE_ANSWER: (Meaning.IGNORED, State.STABLE, "RFC 3261 13.2.1"),
            Event.REVERT: (Meaning.NOTHING, State.STABLE, "RFC 3264 4"),
        },
        State.LOCAL_OFFER: {
            Event.SEND_OFFER: (Meaning.PENDING, State.LOCAL_OFFER, "RFC 3264 4"),
            # Glare: 491.
            Event.RECEIVE_OFFER: (Meaning.PENDING, State.LOCAL_OFFER, "RFC 3311 5.2"),
            Event.SEND_ANSWER: (Meaning.PENDING, State.LOCAL_OFFER, "RFC 3264 4"),
            Event.RECEIVE_ANSWER: (Meaning.ANSWER, State.STABLE, "RFC 3264 4"),
            Event.REVERT: (Meaning.REVERTED, State.STABLE, "RFC 3264 4"),
        },
        State.REMOTE_OFFER: {
            Event.SEND_OFFER: (Meaning.PENDING, State.REMOTE_OFFER, "RFC 3264 4"),
            # 500 with Retry-After.
            Event.RECEIVE_OFFER: (Meaning.PENDING, State.REMOTE_OFFER, "RFC 3311 5.2"),
            Event.SEND_ANSWER: (Meaning.ANSWER, State.STABLE, "RFC 3264 4"),
            Event.RECEIVE_ANSWER: (Meaning.IGNORED, State.REMOTE_OFFER, "RFC 3261 13.2.1"),
            Event.REVERT: (Meaning.REVERTED, State.STABLE, "RFC 3264 4"),
        },
    }
)
"""What an event does in a state, and the state that follows. ``PENDING`` leaves it as it is.

An INVITE without a description is held against ``SEND_OFFER`` and ``RECEIVE_OFFER``, too: it asks
for an offer, and none may come while another waits. It leaves the state as it is.
"""


_P = Phase
_M = Meaning
_ANY = Who.ANY
_NO = Who.NOBODY

# Meaning with a description and without one, each with the phase that follows (None: the same) and
# who may send it so; the clause.
_Half = tuple[Meaning, "Phase | None", Who]
_Row = tuple[_Half, _Half, str]

_QUIET: Final[_Half] = (_M.NOTHING, None, _ANY)
_IDLE: Final[_Half] = (_M.IGNORED, None, _NO)
_BUSY: Final[_Half] = (_M.PENDING, None, _NO)

# What holds in every phase that has no row of its own for the message.
_COMMON: Final[Mapping[Message, _Row]] = {
    Message.INVITE: (_BUSY, _BUSY, "RFC 3261 14.1, 14.2"),
    Message.UNRELIABLE: (_IDLE, _QUIET, "RFC 3261 13.2.1"),
    Message.RELIABLE: (_IDLE, _QUIET, "RFC 3261 13.2.1"),
    Message.FINAL: (_IDLE, _QUIET, "RFC 3261 13.2.1"),
    Message.FAILURE: ((_M.REVERTED, _P.NONE, _ANY), (_M.REVERTED, _P.NONE, _ANY), "RFC 3261 14.1"),
    Message.ACK: (_IDLE, _QUIET, "RFC 3261 13.2.1"),
    Message.PRACK: (_BUSY, _QUIET, "RFC 3262 5"),
    Message.UPDATE: (_BUSY, _QUIET, "RFC 3311 5.1, 5.2"),
}

_ROWS: Final[Mapping[Phase, Mapping[Message, _Row]]] = {
    _P.NONE: {
        Message.INVITE: (
            *((_M.OFFER, _P.OFFERED, _ANY), (_M.NOTHING, _P.EMPTY, _ANY)),
            "RFC 3261 13.2.1",
        ),
        Message.FAILURE: (_QUIET, _QUIET, "RFC 3261 14.1"),
        Message.UPDATE: ((_M.OFFER, None, _ANY), _QUIET, "RFC 3311 5.1"),
    },
    _P.OFFERED: {
        Message.UNRELIABLE: ((_M.PREVIEW, _P.PREVIEWED, _ANY), _QUIET, "RFC 3261 13.2.1"),
        Message.RELIABLE: ((_M.ANSWER, _P.PROVISIONAL_ANSWER, _ANY), _QUIET, "RFC 3262 5"),
        Message.FINAL: (
            *((_M.ANSWER, _P.NONE, _ANY), (_M.MISSING, _P.NONE, _NO)),
            "RFC 3261 13.2.1, 13.3.1.4",
        ),
    },
    _P.PREVIEWED: {
        # "The UAC MUST treat the first session description it receives as the answer."
        Message.UNRELIABLE: ((_M.REPEATED, None, _ANY), _QUIET, "RFC 3261 13.2.1"),
        Message.RELIABLE: ((_M.REPEATED, _P.PROVISIONAL_ANSWER, _ANY), _QUIET, "RFC 3262 5"),
        Message.FINAL: (
            # A 2xx without it breaks 13.3.1.4, but the answer is there.
            *((_M.REPEATED, _P.NONE, _ANY), (_M.REPEATED, _P.NONE, _NO)),
            "RFC 3261 13.2.1, 13.3.1.4",
        ),
    },
    _P.EMPTY: {
        Message.RELIABLE: (
            *((_M.OFFER, _P.PROVISIONAL_OFFER, _ANY), (_M.MISSING, None, _NO)),
            "RFC 3262 5",
        ),
        Message.FINAL: (
            *((_M.OFFER, _P.FINAL_OFFER, _ANY), (_M.MISSING, _P.NONE, _NO)),
            "RFC 3261 13.2.1, 13.3.1.4",
        ),
    },
    _P.PROVISIONAL_OFFER: {
        # "The UAS MUST delay sending the 2xx until the provisional response is acknowledged."
        Message.FINAL: (
            *((_M.MISSING, _P.NONE, _NO), (_M.MISSING, _P.NONE, _NO)),
            "RFC 3262 5",
        ),
        Message.PRACK: (
            *((_M.ANSWER, _P.COMPLETE, _ANY), (_M.MISSING, None, _NO)),
            "RFC 3262 5",
        ),
    },
    _P.PROVISIONAL_ANSWER: {
        Message.FINAL: ((_M.IGNORED, _P.NONE, _NO), (_M.NOTHING, _P.NONE, _NO), "RFC 3262 5"),
        Message.PRACK: (
            *((_M.OFFER, _P.COMPLETE, _ANY), (_M.NOTHING, _P.COMPLETE, _ANY)),
            "RFC 3262 5",
        ),
        # The UAS has to have the PRACK first.
        Message.UPDATE: ((_M.OFFER, None, Who.UAC), _QUIET, "RFC 3311 5.1"),
    },
    _P.COMPLETE: {
        Message.FINAL: (
            *((_M.IGNORED, _P.NONE, _NO), (_M.NOTHING, _P.NONE, _ANY)),
            "RFC 3261 13.2.1",
        ),
        Message.PRACK: ((_M.OFFER, None, _ANY), _QUIET, "RFC 3262 5"),
        Message.UPDATE: ((_M.OFFER, None, _ANY), _QUIET, "RFC 3311 5.1"),
    },
    _P.FINAL_OFFER: {
        Message.FAILURE: (_QUIET, _QUIET, "RFC 3261 14.1"),
        Message.ACK: (
            *((_M.ANSWER, _P.NONE, _ANY), (_M.MISSING, _P.NONE, _NO)),
            "RFC 3261 13.2.2.4",
        ),
    },
}


def _cells(phase: Phase) -> Iterator[tuple[tuple[Message, bool], Cell]]:
    for message, common in _COMMON.items():
        *halves, clause = _ROWS[phase].get(message, common)
        for with_description, half in zip((True, False), halves, strict=True):
            assert not isinstance(half, str)
            meaning, after, allowed = half
            yield (message, with_description), Cell(meaning, after or phase, allowed, clause)


MESSAGES: Final[Mapping[Phase, Mapping[tuple[Message, bool], Cell]]] = MappingProxyType(
    {phase: MappingProxyType(dict(_cells(phase))) for phase in Phase}
)
"""The cell of every phase and message, with a description (``True``) and without."""
