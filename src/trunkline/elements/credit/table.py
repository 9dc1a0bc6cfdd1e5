"""What an exchange does about the money of one call: state, trigger, action, next states.

After the credit-control client of RFC 8506 (section 7), which is to Diameter what this is to the
charging API: a question before the call, one when it is answered, one before each grant ends, and
the account of it all when it has ended. Its Tx timer is the ``timeout`` of the network file, its
failure handling the ``allowance``.

A pair of state and trigger that has no row changes nothing: answers that come late, and what
crosses a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

__all__ = ["TABLE", "Action", "Row", "State", "Trigger"]


class State(Enum):
    """How far a call has come with charging."""

    NEW = "new"
    AUTHORISING = "authorising"
    ADMITTED = "admitted"
    OPENING = "opening"
    GRANTED = "granted"
    UPDATING = "updating"
    ENDING = "ending"
    CLOSING = "closing"
    LATE = "late"
    ENDED = "ended"


class Trigger(Enum):
    """What it reacts to."""

    SETUP = "a call is asked for"
    GRANT = "charging answers"
    REFUSAL = "charging refuses"
    SILENCE = "charging does not answer"
    ANSWER = "the called party answers"
    DUE = "it is time to ask for more"
    SPENT = "what was granted is used up"
    DISCONNECT = "charging ends the session"
    RELEASE = "the call has ended"


class Action(Enum):
    """What is then done. The value is the wording of the table in the documentation."""

    AUTHORIZE = "ask AuthorizeEvent"
    ADMIT = "send the IAM"
    ADMIT_UNHEARD = "with an allowance: send the IAM; else release (41)"
    REFUSE = "release (21)"
    INITIATE = "ask InitiateSession"
    TALK = "note until when the call may go on"
    WAIT = "ask again in a second, or when charging is back"
    LAST = "note that there will be no more"
    UPDATE = "ask UpdateSession"
    END_CALL = "release (31; 41 where charging was silent)"
    FORGET = "nothing: no session is open"
    CLOSE = "ask TerminateSession, then ProcessCDR, then GetCDRs"
    NEXT = "ask the next of the three, or be done"
    LEAVE = "leave the record without a cost, until charging is back"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table."""

    action: Action
    next: tuple[State, ...]
    """The states that may follow."""


_S, _T, _A = State, Trigger, Action
_TALK: Final = {
    _T.RELEASE: Row(_A.CLOSE, (_S.CLOSING,)),
    _T.DISCONNECT: Row(_A.END_CALL, (_S.ENDING,)),
}
_CELLS: Final[dict[State, dict[Trigger, Row]]] = {
    _S.NEW: {_T.SETUP: Row(_A.AUTHORIZE, (_S.AUTHORISING,))},
    _S.AUTHORISING: {
        _T.GRANT: Row(_A.ADMIT, (_S.ADMITTED,)),
        _T.REFUSAL: Row(_A.REFUSE, (_S.ENDING,)),
        _T.SILENCE: Row(_A.ADMIT_UNHEARD, (_S.ADMITTED, _S.ENDING)),
        _T.RELEASE: Row(_A.FORGET, (_S.ENDED,)),
    },
    _S.ADMITTED: {
        _T.ANSWER: Row(_A.INITIATE, (_S.OPENING,)),
        _T.RELEASE: Row(_A.FORGET, (_S.ENDED,)),
    },
    _S.OPENING: {
        _T.GRANT: Row(_A.TALK, (_S.GRANTED,)),
        _T.REFUSAL: Row(_A.END_CALL, (_S.ENDING,)),
        _T.SILENCE: Row(_A.WAIT, (_S.GRANTED,)),
        **_TALK,
    },
    _S.GRANTED: {
        _T.DUE: Row(_A.UPDATE, (_S.UPDATING,)),
        _T.SPENT: Row(_A.END_CALL, (_S.ENDING,)),
        **_TALK,
    },
    _S.UPDATING: {
        _T.GRANT: Row(_A.TALK, (_S.GRANTED,)),
        _T.REFUSAL: Row(_A.LAST, (_S.GRANTED,)),
        _T.SILENCE: Row(_A.WAIT, (_S.GRANTED,)),
        _T.SPENT: Row(_A.END_CALL, (_S.ENDING,)),
        **_TALK,
    },
    _S.ENDING: {_T.RELEASE: Row(_A.CLOSE, (_S.CLOSING, _S.ENDED))},
    _S.CLOSING: {
        _T.GRANT: Row(_A.NEXT, (_S.CLOSING, _S.ENDED)),
        _T.REFUSAL: Row(_A.NEXT, (_S.CLOSING, _S.ENDED)),
        _T.SILENCE: Row(_A.LEAVE, (_S.LATE,)),
    },
    _S.LATE: {_T.DUE: Row(_A.NEXT, (_S.CLOSING,))},
    _S.ENDED: {},
}

TABLE: Final[Mapping[tuple[State, Trigger], Row]] = MappingProxyType(
    {(state, trigger): row for state, cells in _CELLS.items() for trigger, row in cells.items()}
)
"""By state and trigger."""
