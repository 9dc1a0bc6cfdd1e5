"""An INVITE above its transactions, as two tables: RFC 3261 sections 13 and 14.

The three-way handshake at the UAS (`invite_server`) and at the UAC (`invite_client`), for the first
INVITE and for those within a dialog. At the UAS an INVITE stays until the ACK to the 2xx; at the
UAC a 2xx gets its ACK however often it comes. A UAC has one leg for each dialog of its INVITE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType

__all__ = ["CLIENT", "SERVER", "Action", "LegState", "Row", "Trigger"]


class LegState(StrEnum):
    """How far an INVITE is, at either end."""

    PROCEEDING = "proceeding"
    DELAYED = "2xx waits for PRACK"
    OWING = "2xx brought an offer"
    ACCEPTED = "2xx sent, no ACK yet"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Trigger(StrEnum):
    """What an INVITE reacts to; ``TU`` is who decides, the session or its user."""

    TU_PROVISIONAL = "1xx from TU"
    TU_ACCEPT = "2xx from TU"
    TU_ACCEPT_EARLY = "2xx from TU, a description not acknowledged yet"
    TU_REJECT = "300-699 from TU"
    CANCEL = "CANCEL"
    PRACKED = "PRACK for the last description"
    NO_PRACK = "no PRACK for 64*T1"
    EXPIRED = "Expires has passed"
    TRYING = "200 ms without a response"
    KEEP_ALIVE = "a minute, or two and a half"
    RESEND = "T1, doubled up to T2"
    ACK = "ACK"
    NO_ACK = "no ACK for 64*T1"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    SUCCESS_WITH_OFFER = "2xx that needs an answer"
    TU_ANSWER = "answer from TU"
    FAILURE = "300-699"
    TU_LEAVE = "TU ends the early dialog"


class Action(Enum):
    """What is then done."""

    SEND = "send it; begin the minute again"
    SEND_2XX = "send it; start the timers"
    SEND_100 = "send 100"
    SEND_487 = "send 487"
    SEND_504 = "send 504"
    KEEP = "keep it until then"
    SEND_KEPT = "send the 2xx that was kept; start the timers"
    RESEND = "send the 2xx again"
    REPEAT = "send the last 1xx again, or one like it reliably"
    CONFIRM = "stop the timers; tell the TU"
    UNCONFIRMED = "stop the timers; the TU ends the session with BYE"
    TELL = "tell the TU"
    SEND_ACK = "send ACK; tell the TU"
    SEND_ACK_AND_BYE = "send ACK, then BYE"
    ACK_AGAIN = "send the ACK again"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of a table."""

    action: Action
    next: LegState
    clause: str


_S, _T, _A = LegState, Trigger, Action

SERVER: Mapping[LegState, Mapping[Trigger, Row]] = MappingProxyType(
    {
        _S.PROCEEDING: {
            _T.TU_PROVISIONAL: Row(_A.SEND, _S.PROCEEDING, "13.3.1.1"),
            _T.TU_ACCEPT: Row(_A.SEND_2XX, _S.ACCEPTED, "13.3.1.4"),
            _T.TU_ACCEPT_EARLY: Row(_A.KEEP, _S.DELAYED, "RFC 3262 5"),
            _T.TU_REJECT: Row(_A.SEND, _S.FAILED, "13.3.1.2, 13.3.1.3; 15.1.2 for a BYE"),
            _T.CANCEL: Row(_A.SEND_487, _S.FAILED, "9.2"),
            _T.PRACKED: Row(_A.NOTHING, _S.PROCEEDING, "RFC 3262 3"),
            _T.NO_PRACK: Row(_A.SEND_504, _S.FAILED, "RFC 3262 3"),
            _T.EXPIRED: Row(_A.SEND_487, _S.FAILED, "13.3.1"),
            _T.TRYING: Row(_A.SEND_100, _S.PROCEEDING, "17.2.1"),
            _T.KEEP_ALIVE: Row(_A.REPEAT, _S.PROCEEDING, "13.3.1.1; RFC 3262 3"),
        },
        _S.DELAYED: {
            _T.TU_REJECT: Row(_A.SEND, _S.FAILED, "RFC 3262 3"),
            _T.CANCEL: Row(_A.SEND_487, _S.FAILED, "9.2"),
            _T.PRACKED: Row(_A.SEND_KEPT, _S.ACCEPTED, "RFC 3262 5"),
            _T.NO_PRACK: Row(_A.SEND_504, _S.FAILED, "RFC 3262 3"),
            _T.EXPIRED: Row(_A.NOTHING, _S.DELAYED, "13.3.1: it was accepted in time"),
            _T.TRYING: Row(_A.NOTHING, _S.DELAYED, "17.2.1"),
            _T.KEEP_ALIVE: Row(_A.NOTHING, _S.DELAYED, "13.3.1.1"),
        },
        _S.ACCEPTED: {
            _T.CANCEL: Row(_A.NOTHING, _S.ACCEPTED, "9.2: no effect after a final response"),
            _T.PRACKED: Row(_A.NOTHING, _S.ACCEPTED, "RFC 3262 3"),
            _T.RESEND: Row(_A.RESEND, _S.ACCEPTED, "13.3.1.4"),
            _T.ACK: Row(_A.CONFIRM, _S.CONFIRMED, "13.3.1.4"),
            _T.NO_ACK: Row(_A.UNCONFIRMED, _S.CONFIRMED, "13.3.1.4, 14.2"),
        },
        _S.CONFIRMED: {
            _T.CANCEL: Row(_A.NOTHING, _S.CONFIRMED, "9.2"),
            _T.PRACKED: Row(_A.NOTHING, _S.CONFIRMED, "RFC 3262 3"),
            _T.ACK: Row(_A.NOTHING, _S.CONFIRMED, "13.2.2.4: it came again"),
        },
        _S.FAILED: {
            _T.CANCEL: Row(_A.NOTHING, _S.FAILED, "9.2"),
            _T.PRACKED: Row(_A.NOTHING, _S.FAILED, "RFC 3262 3"),
            _T.ACK: Row(_A.NOTHING, _S.FAILED, "17.2.1: the transaction takes it"),
        },
    }
)
"""An INVITE at its UAS. A trigger of the TU without a row is refused: ``dialog.state``."""

CLIENT: Mapping[LegState, Mapping[Trigger, Row]] = MappingProxyType(
    {
        _S.PROCEEDING: {
            _T.PROVISIONAL: Row(_A.TELL, _S.PROCEEDING, "13.2.2.1"),
            _T.SUCCESS: Row(_A.SEND_ACK, _S.CONFIRMED, "13.2.2.4"),
            _T.SUCCESS_WITH_OFFER: Row(_A.TELL, _S.OWING, "13.2.2.4"),
            _T.FAILURE: Row(_A.TELL, _S.FAILED, "13.2.2.3, 14.1"),
            _T.TU_LEAVE: Row(_A.NOTHING, _S.FAILED, "13.2.2.4, 15"),
        },
        _S.OWING: {
            _T.PROVISIONAL: Row(_A.NOTHING, _S.OWING, "17.1.1.2"),
            _T.SUCCESS: Row(_A.NOTHING, _S.OWING, "13.2.2.4: the ACK is still to come"),
            _T.SUCCESS_WITH_OFFER: Row(_A.NOTHING, _S.OWING, "13.2.2.4"),
            _T.TU_ANSWER: Row(_A.SEND_ACK, _S.CONFIRMED, "13.2.2.4"),
        },
        _S.CONFIRMED: {
            _T.PROVISIONAL: Row(_A.NOTHING, _S.CONFIRMED, "17.1.1.2"),
            _T.SUCCESS: Row(_A.ACK_AGAIN, _S.CONFIRMED, "13.2.2.4"),
            _T.SUCCESS_WITH_OFFER: Row(_A.ACK_AGAIN, _S.CONFIRMED, "13.2.2.4"),
            _T.FAILURE: Row(_A.NOTHING, _S.CONFIRMED, "13.2.2.3: of another branch"),
        },
        _S.FAILED: {
            _T.PROVISIONAL: Row(_A.NOTHING, _S.FAILED, "12.3"),
            _T.SUCCESS: Row(_A.SEND_ACK_AND_BYE, _S.CONFIRMED, "13.2.2.4, 15"),
            _T.SUCCESS_WITH_OFFER: Row(_A.SEND_ACK_AND_BYE, _S.CONFIRMED, "13.2.2.4, 15"),
            _T.FAILURE: Row(_A.NOTHING, _S.FAILED, "13.2.2.3"),
        },
    }
)
"""An INVITE at its UAC, in one dialog."""
