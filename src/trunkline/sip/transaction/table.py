"""The four transaction machines as tables: RFC 3261 section 17, as amended by RFC 6026.

A row says what a transaction does in a state on a trigger, and in which state it is then; clauses
are RFC 3261's unless another number stands there. Timers are named as in table 4 of RFC 3261 and
RFC 6026 section 8.11. A timer means something only in a state that has a row for it: leaving the
state is what stops it.

`DISCARD` is a row too: what may come and has no effect. A trigger without a row cannot come, and
is a fault of the caller.

Four triggers are not in the RFC's figures: `CANCELLED`, the 64*T1 after a CANCEL in which a final
response has to come (section 9.1); `LATE` and `EXPIRED`, the times after which a request that is no
INVITE is answered 100, by us and not before, and after which nobody waits for its answer (RFC 4320
section 4); and `ABORT`, by which a transaction user ends a transaction.

A server that is ended without an answer, by `ABORT` or by a 408 that may not be sent, is `SILENT`
until its client has given up: the request may come again, and is none that is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType

__all__ = ["TABLES", "Action", "Machine", "Row", "State", "Trigger"]


class Machine(Enum):
    """Which of the four."""

    INVITE_CLIENT = "INVITE client transaction"
    CLIENT = "non-INVITE client transaction"
    INVITE_SERVER = "INVITE server transaction"
    SERVER = "non-INVITE server transaction"


class State(StrEnum):
    """What a transaction is doing."""

    CALLING = "Calling"
    TRYING = "Trying"
    PROCEEDING = "Proceeding"
    ACCEPTED = "Accepted"
    COMPLETED = "Completed"
    CONFIRMED = "Confirmed"
    SILENT = "Silent"
    TERMINATED = "Terminated"


class Trigger(StrEnum):
    """What a transaction reacts to. ``TU`` is the transaction user."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    REQUEST = "request again"
    ACK = "ACK"
    TU_PROVISIONAL = "1xx from TU"
    TU_SUCCESS = "2xx from TU"
    TU_FAILURE = "300-699 from TU"
    ERROR = "transport error"
    A = "Timer A"
    B = "Timer B"
    D = "Timer D"
    E = "Timer E"
    F = "Timer F"
    G = "Timer G"
    H = "Timer H"
    I = "Timer I"  # noqa: E741 - the RFC's name
    J = "Timer J"
    K = "Timer K"
    L = "Timer L"
    M = "Timer M"
    CANCELLED = "64*T1 after CANCEL"
    LATE = "Timer E would be T2"
    EXPIRED = "Timer F would fire"
    ABORT = "TU gives up"


class Action(Enum):
    """What is then done; the value is the wording of the rendered table."""

    DISCARD = "nothing"
    PASS = "pass it to the TU"
    SEND = "send it"
    SEND_TRYING = "send 100"
    RESEND = "send the last message again"
    SEND_ACK = "send ACK"
    INFORM = "tell the TU of the error"
    TIMEOUT = "tell the TU of the timeout"
    START_A = "start Timer A, doubled"
    START_D = "start Timer D"
    START_E = "start Timer E, doubled up to T2"
    START_E_T2 = "start Timer E at T2"
    START_G = "start Timer G, doubled up to T2"
    START_H = "start Timer H"
    START_I = "start Timer I"
    START_J = "start Timer J"
    START_K = "start Timer K"
    START_L = "start Timer L"
    START_M = "start Timer M"
    START_EXPIRED = "wait for Timer F's time"
    SILENCE = "forget the request"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of a table."""

    actions: tuple[Action, ...]
    next: State
    clause: str


def _row(next_state: State, clause: str, *actions: Action) -> Row:
    return Row(actions or (Action.DISCARD,), next_state, clause)


_S, _T, _A = State, Trigger, Action

_INVITE_CLIENT: dict[State, dict[Trigger, Row]] = {
    _S.CALLING: {
        _T.PROVISIONAL: _row(_S.PROCEEDING, "17.1.1.2", _A.PASS),
        _T.SUCCESS: _row(_S.ACCEPTED, "RFC 6026 8.4", _A.START_M, _A.PASS),
        _T.FAILURE: _row(_S.COMPLETED, "RFC 6026 8.4", _A.SEND_ACK, _A.START_D, _A.PASS),
        _T.A: _row(_S.CALLING, "17.1.1.2", _A.RESEND, _A.START_A),
        _T.B: _row(_S.TERMINATED, "17.1.1.2", _A.TIMEOUT),
        _T.ERROR: _row(_S.TERMINATED, "17.1.4", _A.INFORM),
        _T.ABORT: _row(_S.TERMINATED, "16.8"),
    },
    _S.PROCEEDING: {
        _T.PROVISIONAL: _row(_S.PROCEEDING, "17.1.1.2", _A.PASS),
        _T.SUCCESS: _row(_S.ACCEPTED, "RFC 6026 8.4", _A.START_M, _A.PASS),
        _T.FAILURE: _row(_S.COMPLETED, "RFC 6026 8.4", _A.SEND_ACK, _A.START_D, _A.PASS),
        _T.CANCELLED: _row(_S.TERMINATED, "9.1", _A.TIMEOUT),
        _T.ERROR: _row(_S.PROCEEDING, "RFC 6026 figure 5"),
        _T.ABORT: _row(_S.TERMINATED, "16.8"),
    },
    _S.ACCEPTED: {
        _T.PROVISIONAL: _row(_S.ACCEPTED, "RFC 6026 8.4"),
        _T.SUCCESS: _row(_S.ACCEPTED, "RFC 6026 8.4", _A.PASS),
        _T.FAILURE: _row(_S.ACCEPTED, "RFC 6026 8.4"),
        _T.M: _row(_S.TERMINATED, "RFC 6026 8.4"),
        _T.ERROR: _row(_S.ACCEPTED, "RFC 6026 figure 5"),
        _T.ABORT: _row(_S.ACCEPTED, "RFC 6026 8.4"),
    },
    _S.COMPLETED: {
        _T.PROVISIONAL: _row(_S.COMPLETED, "17.1.1.2"),
        _T.SUCCESS: _row(_S.COMPLETED, "17.1.1.2"),
        _T.FAILURE: _row(_S.COMPLETED, "RFC 6026 8.4", _A.SEND_ACK),
        _T.D: _row(_S.TERMINATED, "RFC 6026 8.4"),
        _T.ERROR: _row(_S.TERMINATED, "RFC 6026 figure 5", _A.INFORM),
        _T.ABORT: _row(_S.COMPLETED, "RFC 6026 8.4"),
    },
}

_CLIENT: dict[State, dict[Trigger, Row]] = {
    _S.TRYING: {
        _T.PROVISIONAL: _row(_S.PROCEEDING, "17.1.2.2", _A.PASS),
        _T.SUCCESS: _row(_S.COMPLETED, "17.1.2.2", _A.START_K, _A.PASS),
        _T.FAILURE: _row(_S.COMPLETED, "17.1.2.2", _A.START_K, _A.PASS),
        _T.E: _row(_S.TRYING, "17.1.2.2", _A.RESEND, _A.START_E),
        _T.F: _row(_S.TERMINATED, "17.1.2.2", _A.TIMEOUT),
        _T.ERROR: _row(_S.TERMINATED, "17.1.4", _A.INFORM),
        _T.ABORT: _row(_S.TERMINATED, "17.1.2.2"),
    },
    _S.PROCEEDING: {
        _T.PROVISIONAL: _row(_S.PROCEEDING, "17.1.2.2", _A.PASS),
        _T.SUCCESS: _row(_S.COMPLETED, "17.1.2.2", _A.START_K, _A.PASS),
        _T.FAILURE: _row(_S.COMPLETED, "17.1.2.2", _A.START_K, _A.PASS),
        _T.E: _row(_S.PROCEEDING, "17.1.2.2", _A.RESEND, _A.START_E_T2),
        _T.F: _row(_S.TERMINATED, "17.1.2.2", _A.TIMEOUT),
        _T.ERROR: _row(_S.TERMINATED, "17.1.4", _A.INFORM),
        _T.ABORT: _row(_S.TERMINATED, "17.1.2.2"),
    },
    _S.COMPLETED: {
        _T.PROVISIONAL: _row(_S.COMPLETED, "17.1.2.2"),
        _T.SUCCESS: _row(_S.COMPLETED, "17.1.2.2"),
        _T.FAILURE: _row(_S.COMPLETED, "17.1.2.2"),
        _T.K: _row(_S.TERMINATED, "17.1.2.2"),
        _T.ERROR: _row(_S.COMPLETED, "17.1.2.2"),
        _T.ABORT: _row(_S.COMPLETED, "17.1.2.2"),
    },
}

_INVITE_SERVER: dict[State, dict[Trigger, Row]] = {
    _S.PROCEEDING: {
        _T.REQUEST: _row(_S.PROCEEDING, "17.2.1", _A.RESEND),
        _T.ACK: _row(_S.PROCEEDING, "17.2.1"),
        _T.TU_PROVISIONAL: _row(_S.PROCEEDING, "17.2.1", _A.SEND),
        _T.TU_SUCCESS: _row(_S.ACCEPTED, "RFC 6026 8.5", _A.SEND, _A.START_L),
        _T.TU_FAILURE: _row(_S.COMPLETED, "17.2.1", _A.SEND, _A.START_G, _A.START_H),
        _T.ERROR: _row(_S.PROCEEDING, "RFC 6026 8.8", _A.INFORM),
        _T.ABORT: _row(_S.SILENT, "17.2.1", _A.START_L),
    },
    _S.ACCEPTED: {
        _T.REQUEST: _row(_S.ACCEPTED, "RFC 6026 8.7"),
        _T.ACK: _row(_S.ACCEPTED, "RFC 6026 8.7", _A.PASS),
        _T.TU_PROVISIONAL: _row(_S.ACCEPTED, "RFC 6026 8.7"),
        _T.TU_SUCCESS: _row(_S.ACCEPTED, "RFC 6026 8.7", _A.SEND),
        _T.TU_FAILURE: _row(_S.ACCEPTED, "RFC 6026 8.7"),
        _T.ERROR: _row(_S.ACCEPTED, "RFC 6026 8.8", _A.INFORM),
        _T.L: _row(_S.TERMINATED, "RFC 6026 8.7"),
        _T.ABORT: _row(_S.ACCEPTED, "RFC 6026 8.7"),
    },
    _S.COMPLETED: {
        _T.REQUEST: _row(_S.COMPLETED, "17.2.1", _A.RESEND),
        _T.ACK: _row(_S.CONFIRMED, "17.2.1", _A.START_I),
        _T.TU_PROVISIONAL: _row(_S.COMPLETED, "17.2.1"),
        _T.TU_SUCCESS: _row(_S.COMPLETED, "17.2.1"),
        _T.TU_FAILURE: _row(_S.COMPLETED, "17.2.1"),
        _T.G: _row(_S.COMPLETED, "17.2.1", _A.RESEND, _A.START_G),
        _T.H: _row(_S.TERMINATED, "17.2.1", _A.TIMEOUT),
        _T.ERROR: _row(_S.COMPLETED, "RFC 6026 8.8", _A.INFORM),
        _T.ABORT: _row(_S.COMPLETED, "17.2.1"),
    },
    _S.CONFIRMED: {
        _T.REQUEST: _row(_S.CONFIRMED, "17.2.1"),
        _T.ACK: _row(_S.CONFIRMED, "17.2.1"),
        _T.TU_PROVISIONAL: _row(_S.CONFIRMED, "17.2.1"),
        _T.TU_SUCCESS: _row(_S.CONFIRMED, "17.2.1"),
        _T.TU_FAILURE: _row(_S.CONFIRMED, "17.2.1"),
        _T.I: _row(_S.TERMINATED, "17.2.1"),
        _T.ERROR: _row(_S.CONFIRMED, "17.2.1"),
        _T.ABORT: _row(_S.CONFIRMED, "17.2.1"),
    },
    _S.SILENT: {
        _T.REQUEST: _row(_S.SILENT, "17.2.1"),
        _T.ACK: _row(_S.SILENT, "17.2.1"),
        _T.TU_PROVISIONAL: _row(_S.SILENT, "17.2.1"),
        _T.TU_SUCCESS: _row(_S.SILENT, "17.2.1"),
        _T.TU_FAILURE: _row(_S.SILENT, "17.2.1"),
        _T.L: _row(_S.TERMINATED, "17.1.1.2"),
        _T.ERROR: _row(_S.SILENT, "17.2.1"),
        _T.ABORT: _row(_S.SILENT, "17.2.1"),
    },
}

_SERVER: dict[State, dict[Trigger, Row]] = {
    _S.TRYING: {
        _T.REQUEST: _row(_S.TRYING, "17.2.2"),
        _T.TU_PROVISIONAL: _row(_S.TRYING, "RFC 4320 4.1"),
        _T.LATE: _row(_S.PROCEEDING, "RFC 4320 4.1", _A.SEND_TRYING, _A.START_EXPIRED),
        _T.TU_SUCCESS: _row(_S.COMPLETED, "17.2.2", _A.SEND, _A.START_J),
        _T.TU_FAILURE: _row(_S.COMPLETED, "17.2.2", _A.SEND, _A.START_J),
        _T.ERROR: _row(_S.TRYING, "RFC 6026 8.8", _A.INFORM),
        _T.ABORT: _row(_S.SILENT, "17.2.2; RFC 4320 4.2", _A.SILENCE),
    },
    _S.PROCEEDING: {
        _T.REQUEST: _row(_S.PROCEEDING, "17.2.2", _A.RESEND),
        _T.TU_PROVISIONAL: _row(_S.PROCEEDING, "RFC 4320 4.1"),
        _T.EXPIRED: _row(_S.TERMINATED, "RFC 4320 4.2", _A.TIMEOUT),
        _T.TU_SUCCESS: _row(_S.COMPLETED, "17.2.2", _A.SEND, _A.START_J),
        _T.TU_FAILURE: _row(_S.COMPLETED, "17.2.2", _A.SEND, _A.START_J),
        _T.ERROR: _row(_S.PROCEEDING, "RFC 6026 8.8", _A.INFORM),
        _T.ABORT: _row(_S.SILENT, "17.2.2; RFC 4320 4.2", _A.SILENCE),
    },
    _S.COMPLETED: {
        _T.REQUEST: _row(_S.COMPLETED, "17.2.2", _A.RESEND),
        _T.TU_PROVISIONAL: _row(_S.COMPLETED, "17.2.2"),
        _T.TU_SUCCESS: _row(_S.COMPLETED, "17.2.2"),
        _T.TU_FAILURE: _row(_S.COMPLETED, "17.2.2"),
        _T.J: _row(_S.TERMINATED, "17.2.2"),
        _T.ERROR: _row(_S.COMPLETED, "RFC 6026 8.8", _A.INFORM),
        _T.ABORT: _row(_S.COMPLETED, "17.2.2"),
    },
    _S.SILENT: {
        _T.REQUEST: _row(_S.SILENT, "17.2.2"),
        _T.TU_PROVISIONAL: _row(_S.SILENT, "RFC 4320 4.2"),
        _T.TU_SUCCESS: _row(_S.SILENT, "RFC 4320 4.2"),
        _T.TU_FAILURE: _row(_S.SILENT, "RFC 4320 4.2"),
        _T.LATE: _row(_S.SILENT, "RFC 4320 4.2", _A.START_EXPIRED),
        _T.EXPIRED: _row(_S.TERMINATED, "17.1.2.2"),
        _T.ERROR: _row(_S.SILENT, "RFC 4320 4.2"),
        _T.ABORT: _row(_S.SILENT, "RFC 4320 4.2"),
    },
}

TABLES: Mapping[Machine, Mapping[State, Mapping[Trigger, Row]]] = MappingProxyType(
    {
        Machine.INVITE_CLIENT: _INVITE_CLIENT,
        Machine.CLIENT: _CLIENT,
        Machine.INVITE_SERVER: _INVITE_SERVER,
        Machine.SERVER: _SERVER,
    }
)
"""The machines; a transaction begins in the first state of its table."""
