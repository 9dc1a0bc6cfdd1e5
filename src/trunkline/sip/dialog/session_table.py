"""The states of a session as a table: RFC 3261 sections 12.3, 13 and 15.

Beside it run the INVITE that is in progress (`invite`) and the exchange of offers and answers
(`trunkline.sip.sdp.exchange`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType

__all__ = ["TABLE", "Action", "Row", "SessionState", "Trigger"]


class SessionState(StrEnum):
    """How far a session has come."""

    EARLY = "early"
    CONFIRMED = "confirmed"
    CLOSING = "to be ended after the ACK"
    ENDING = "BYE sent"
    TERMINATED = "terminated"


class Trigger(StrEnum):
    """What a session reacts to."""

    SUCCESS = "2xx to the INVITE, sent or received"
    FAILURE = "300-699 to the INVITE, sent or received"
    LEAVE = "another branch answered, or 64*T1 passed since"
    HANG_UP = "to be ended"
    HANG_UP_EARLY = "to be ended by the callee before its final response"
    HANG_UP_UNACKNOWLEDGED = "to be ended by the callee before the ACK"
    ACK = "ACK"
    BYE = "BYE"
    BYE_ANSWERED = "final response to BYE, or none"


class Action(Enum):
    """What is then done."""

    BEGIN = "the dialog is confirmed"
    END = "tell the user; leave the dialog"
    SEND_BYE = "tell the user; send BYE"
    REJECT = "answer the INVITE 603"
    LEAVE = "leave the dialog"
    REMEMBER = "remember why"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table."""

    action: Action
    next: SessionState
    clause: str


_S, _T, _A = SessionState, Trigger, Action

TABLE: Mapping[SessionState, Mapping[Trigger, Row]] = MappingProxyType(
    {
        _S.EARLY: {
            _T.SUCCESS: Row(_A.BEGIN, _S.CONFIRMED, "13.2.2.4, 13.3.1.4"),
            _T.FAILURE: Row(_A.END, _S.TERMINATED, "12.3"),
            _T.LEAVE: Row(_A.END, _S.TERMINATED, "13.2.2.4"),
            _T.HANG_UP: Row(_A.SEND_BYE, _S.ENDING, "15: the caller may"),
            _T.HANG_UP_EARLY: Row(_A.REJECT, _S.EARLY, "15: the callee must not send BYE"),
            _T.BYE: Row(_A.END, _S.TERMINATED, "15.1.2"),
        },
        _S.CONFIRMED: {
            _T.SUCCESS: Row(_A.NOTHING, _S.CONFIRMED, "13.2.2.4: a retransmission"),
            _T.FAILURE: Row(_A.NOTHING, _S.CONFIRMED, "13.2.2.3: of another branch"),
            _T.LEAVE: Row(_A.NOTHING, _S.CONFIRMED, "13.2.2.4"),
            _T.HANG_UP: Row(_A.SEND_BYE, _S.ENDING, "15.1.1"),
            _T.HANG_UP_UNACKNOWLEDGED: Row(_A.REMEMBER, _S.CLOSING, "15"),
            _T.ACK: Row(_A.NOTHING, _S.CONFIRMED, "13.3.1.4"),
            _T.BYE: Row(_A.END, _S.TERMINATED, "15.1.2"),
        },
        _S.CLOSING: {
            _T.HANG_UP: Row(_A.SEND_BYE, _S.ENDING, "15: the transaction has timed out"),
            _T.HANG_UP_UNACKNOWLEDGED: Row(_A.NOTHING, _S.CLOSING, "15"),
            _T.ACK: Row(_A.SEND_BYE, _S.ENDING, "15"),
            _T.BYE: Row(_A.END, _S.TERMINATED, "15.1.2"),
        },
        _S.ENDING: {
            _T.SUCCESS: Row(_A.NOTHING, _S.ENDING, "15: an early dialog, the 2xx crossed the BYE"),
            _T.FAILURE: Row(_A.NOTHING, _S.ENDING, "15.1.2"),
            _T.LEAVE: Row(_A.NOTHING, _S.ENDING, "13.2.2.4"),
            _T.HANG_UP: Row(_A.NOTHING, _S.ENDING, "15.1.1"),
            _T.ACK: Row(_A.NOTHING, _S.ENDING, "13.3.1.4"),
            _T.BYE: Row(_A.NOTHING, _S.ENDING, "15.1.2: both at once"),
            _T.BYE_ANSWERED: Row(_A.LEAVE, _S.TERMINATED, "15.1.1"),
        },
        _S.TERMINATED: {
            _T.SUCCESS: Row(_A.NOTHING, _S.TERMINATED, "13.2.2.4"),
            _T.FAILURE: Row(_A.NOTHING, _S.TERMINATED, "12.3"),
            _T.LEAVE: Row(_A.NOTHING, _S.TERMINATED, "13.2.2.4"),
            _T.HANG_UP: Row(_A.NOTHING, _S.TERMINATED, "15"),
            _T.ACK: Row(_A.NOTHING, _S.TERMINATED, "13.3.1.4"),
            _T.BYE_ANSWERED: Row(_A.NOTHING, _S.TERMINATED, "15.1.1"),
        },
    }
)
"""The states of a session; clauses are RFC 3261's. A trigger without a row has no effect."""
