"""The call control of one circuit as a table: state, trigger, action, next states (Q.764 12/1999).

A circuit is idle, or it carries a call that this exchange sent the IAM for (the outgoing states),
or one that it received the IAM for (the incoming states), or it is being released or reset. The
states are those that the SDL diagrams of Q.764 give to the processes CPCO, CPCI and CRCS; "OGC" is
an outgoing, "ICC" an incoming call.

Every pair of state and trigger has a row. Messages that do not belong into a state go by Q.764
2.9.5.1, which tells three cases apart:

- the circuit is idle: it is reset;
- a call is being set up and no backward message has been seen: the circuit is reset, and the call
  is tried again on another one (outgoing) or released (incoming);
- else the message is discarded.

``ILLEGAL`` marks what cannot happen unless the caller is wrong: a request that does not fit the
state of the call, or a timer that does not run there.

Beside the table, because they do not depend on the call: blocking, CFN, user part test, unknown
messages and parameters, in ``supervision``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

__all__ = ["TABLE", "Action", "Row", "State", "Trigger"]


class State(Enum):
    """What a circuit is doing."""

    IDLE = "Idle"
    WAIT_FOR_ACM = "OGC wait for ACM"
    WAIT_FOR_ANM = "OGC wait for ANM"
    OGC_ANSWERED = "OGC answered"
    ICC_WAIT_FOR_ACM = "ICC wait for ACM"
    ICC_WAIT_FOR_ANM = "ICC wait for ANM"
    ICC_ANSWERED = "ICC answered"
    WAIT_FOR_RLC = "Wait for RLC"
    RESETTING = "Circuit reset: wait for RLC"


class Trigger(Enum):
    """What a circuit reacts to."""

    IAM = "IAM"
    SAM = "SAM"
    ACM = "ACM"
    CPG = "CPG"
    CON = "CON"
    ANM = "ANM"
    SUS = "SUS"
    RES = "RES"
    REL = "REL"
    RLC = "RLC"
    RSC = "RSC"
    """A reset circuit message, or a circuit group reset message that names the circuit."""
    SETUP = "setup request"
    ALERT = "alert request"
    ANSWER = "answer request"
    RELEASE = "release request"
    RESET = "reset request"
    PAUSE = "MTP-PAUSE"
    T1 = "T1 expires"
    T5 = "T5 expires"
    T7 = "T7 expires"
    T9 = "T9 expires"
    T16 = "T16 expires"
    T17 = "T17 expires"


class Action(Enum):
    """What is then done. The value is the wording of the rendered table."""

    SEIZE = "send IAM; start T7"
    OFFER = "indicate the incoming call"
    MORE_DIGITS = "indicate the digits"
    ADDRESS_COMPLETE = "indicate alerting; stop T7, start T9"
    PROGRESS = "indicate progress"
    CONNECTED = "indicate the answer; stop T7, T9"
    SUSPEND = "indicate suspend"
    RESUME = "indicate resume"
    SEND_ACM = "send ACM (subscriber free)"
    SEND_CON = "send CON"
    SEND_ANM = "send ANM"
    SEND_REL = "send REL; start T1, T5"
    RELEASED = "send RLC; indicate the release"
    CONFIRM = "send RLC"
    FREED = "free the circuit"
    RESET_CONFIRM = "send RLC; free the circuit"
    RESET_RETRY = "send RLC; try again on another circuit"
    RESET_FAIL = "send RLC; indicate the failure (41)"
    DUAL_SEIZURE = "in control: discard; else back off, offer the call, try again elsewhere"
    RSC_IDLE = "send RSC; start T16, T17"
    RSC_RETRY = "send RSC; start T16, T17; try again on another circuit"
    RSC_FAIL = "send RSC; start T16, T17; indicate the failure (41)"
    RLC_WITHOUT_REL = "send REL (41); start T1, T5; indicate the failure (41)"
    NO_ADDRESS_COMPLETE = "send REL (102); start T1, T5; indicate the failure (102)"
    NO_ANSWER = "send REL (19); start T1, T5; indicate the failure (19)"
    ISOLATED = "send REL (27); start T1, T5; indicate the failure (27)"
    REPEAT_REL = "send REL again; start T1"
    GIVE_UP_REL = "send RSC; stop T1, start T17; alert maintenance"
    REPEAT_RSC = "send RSC again; start T16"
    KEEP_RESETTING = "send RSC again; stop T16, start T17; alert maintenance"
    DISCARD = "discard"
    STAY = "nothing"
    ILLEGAL = "illegal"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the table."""

    action: Action
    next: tuple[State, ...]
    """The states that the circuit may be in afterwards."""
    clause: str


_Cells = Mapping[Trigger, tuple[Action, "State | tuple[State, ...] | None", str]]

_S = State
_T = Trigger
_A = Action

_MESSAGES = (
    *(_T.IAM, _T.SAM, _T.ACM, _T.CPG, _T.CON, _T.ANM),
    *(_T.SUS, _T.RES, _T.REL, _T.RLC, _T.RSC),
)

# Rows that all states of a live call share. ``None`` as next state: it stays.
_PAUSED: _Cells = {_T.PAUSE: (_A.STAY, None, "2.14")}
_LIVE: _Cells = {
    **_PAUSED,
    _T.REL: (_A.RELEASED, _S.IDLE, "2.3"),
    _T.RLC: (_A.RLC_WITHOUT_REL, _S.WAIT_FOR_RLC, "2.9.5.1 c"),
    _T.RSC: (_A.RESET_FAIL, _S.IDLE, "2.9.3.1"),
    _T.RELEASE: (_A.SEND_REL, _S.WAIT_FOR_RLC, "2.3"),
    _T.RESET: (_A.RSC_FAIL, _S.RESETTING, "2.9.3.1"),
}
_DISCARD: _Cells = {
    message: (_A.DISCARD, None, "2.9.5.1 d")
    for message in _MESSAGES
    if message not in (_T.REL, _T.RLC, _T.RSC)
}

_CELLS: Mapping[State, _Cells] = {
    _S.IDLE: {
        **dict.fromkeys(_MESSAGES, (_A.RSC_IDLE, _S.RESETTING, "2.9.5.1 d")),
        **_PAUSED,
        _T.IAM: (_A.OFFER, _S.ICC_WAIT_FOR_ACM, "2.1.1.3"),
        _T.REL: (_A.CONFIRM, None, "2.9.5.1 a"),
        _T.RLC: (_A.DISCARD, None, "2.9.5.1 b"),
        _T.RSC: (_A.RESET_CONFIRM, None, "2.9.3.1"),
        _T.SETUP: (_A.SEIZE, _S.WAIT_FOR_ACM, "2.1.1.1"),
        _T.RESET: (_A.RSC_IDLE, _S.RESETTING, "2.9.3.1"),
    },
    # Outgoing calls (CPCO).
    _S.WAIT_FOR_ACM: {
        **dict.fromkeys(_MESSAGES, (_A.RSC_RETRY, _S.RESETTING, "2.9.5.1 d")),
        **_LIVE,
        _T.IAM: (_A.DUAL_SEIZURE, (_S.WAIT_FOR_ACM, _S.ICC_WAIT_FOR_ACM), "2.9.1.4"),
        _T.ACM: (_A.ADDRESS_COMPLETE, _S.WAIT_FOR_ANM, "2.1.4"),
        _T.CON: (_A.CONNECTED, _S.OGC_ANSWERED, "2.1.4"),
        # Q.764 expects CON here; automata and interworking send ANM without ACM.
        _T.ANM: (_A.CONNECTED, _S.OGC_ANSWERED, "RFC 3398 7.2.7"),
        _T.RSC: (_A.RESET_RETRY, _S.IDLE, "2.9.3.1"),
        _T.PAUSE: (_A.ISOLATED, _S.WAIT_FOR_RLC, "2.14"),
        _T.T7: (_A.NO_ADDRESS_COMPLETE, _S.WAIT_FOR_RLC, "2.9.8.3; RFC 3398 7.2.2"),
    },
    _S.WAIT_FOR_ANM: {
        **_DISCARD,
        **_LIVE,
        _T.CPG: (_A.PROGRESS, None, "2.1.5"),
        _T.ANM: (_A.CONNECTED, _S.OGC_ANSWERED, "2.1.7"),
        _T.T9: (_A.NO_ANSWER, _S.WAIT_FOR_RLC, "Table A.1; RFC 3398 7.2.8"),
    },
    _S.OGC_ANSWERED: {
        **_DISCARD,
        **_LIVE,
        _T.CPG: (_A.PROGRESS, None, "2.1.5"),
        _T.SUS: (_A.SUSPEND, None, "2.4.1"),
        _T.RES: (_A.RESUME, None, "2.4.2"),
    },
    # Incoming calls (CPCI).
    _S.ICC_WAIT_FOR_ACM: {
        **dict.fromkeys(_MESSAGES, (_A.RSC_FAIL, _S.RESETTING, "2.9.5.1 d")),
        **_LIVE,
        _T.SAM: (_A.MORE_DIGITS, None, "2.1.2"),
        _T.ALERT: (_A.SEND_ACM, _S.ICC_WAIT_FOR_ANM, "2.1.4"),
        _T.ANSWER: (_A.SEND_CON, _S.ICC_ANSWERED, "2.1.4"),
    },
    _S.ICC_WAIT_FOR_ANM: {
        **_DISCARD,
        **_LIVE,
        _T.ANSWER: (_A.SEND_ANM, _S.ICC_ANSWERED, "2.1.7"),
    },
    _S.ICC_ANSWERED: {
        **_DISCARD,
        **_LIVE,
        _T.SUS: (_A.SUSPEND, None, "2.4.1"),
        _T.RES: (_A.RESUME, None, "2.4.2"),
    },
    # Release and reset (CRCS). Answers that crossed our REL or RSC are no longer of use.
    _S.WAIT_FOR_RLC: {
        **_DISCARD,
        **_PAUSED,
        _T.REL: (_A.CONFIRM, None, "2.3 (collision of release messages)"),
        _T.RLC: (_A.FREED, _S.IDLE, "2.3"),
        _T.RSC: (_A.RESET_CONFIRM, _S.IDLE, "2.9.3.1"),
        _T.RESET: (_A.RSC_IDLE, _S.RESETTING, "2.9.3.1"),
        _T.T1: (_A.REPEAT_REL, None, "2.9.6"),
        _T.T5: (_A.GIVE_UP_REL, _S.RESETTING, "2.9.6"),
    },
    _S.RESETTING: {
        **_DISCARD,
        **_PAUSED,
        _T.REL: (_A.CONFIRM, None, "2.9.3.3"),
        _T.RLC: (_A.FREED, _S.IDLE, "2.9.3.1"),
        _T.RSC: (_A.CONFIRM, None, "2.9.3.3"),
        _T.RESET: (_A.RSC_IDLE, None, "2.9.3.1"),
        _T.T16: (_A.REPEAT_RSC, None, "2.9.3.1"),
        _T.T17: (_A.KEEP_RESETTING, None, "2.9.3.1; 2.9.6"),
    },
}


def _rows(state: State, cells: _Cells) -> Iterable[tuple[Trigger, Row]]:
    for trigger in Trigger:
        action, after, clause = cells.get(trigger, (_A.ILLEGAL, None, ""))
        if after is None:
            after = (state,)
        elif isinstance(after, State):
            after = (after,)
        yield trigger, Row(action, after, clause)


TABLE: Mapping[State, Mapping[Trigger, Row]] = MappingProxyType(
    {state: MappingProxyType(dict(_rows(state, _CELLS[state]))) for state in State}
)
"""The row of every state and trigger."""
