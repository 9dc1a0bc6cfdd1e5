"""The M2PA link as one table: state x trigger -> (next state, actions), each row with its clause.

RFC 4165 does not draw the link's states: "except as modified in this document, M2PA SHOULD follow
the requirements of the applicable MTP2 specification" (section 4). So this table is MTP2's, with
the RFC's changes worked in:

- MTP2's *initial alignment control* (Q.703 figure 9: not aligned, aligned, proving) and *link
  state control* (figure 8) run one after the other, never at the same time. They are one machine
  here.
- MTP2's *processor outage control* (figure 10) knows local, remote and both. They are states here,
  and so is the time between our Processor Recovered and the peer's Ready (RFC 4165 4.1.4, figure
  16), which MTP2 does not have because it sends status continuously.
- A message that MTP2 repeats until it is heard is sent once over SCTP. It may come while the
  receiver has no use for it yet: a Ready, or a Processor Outage, while we still prove. MTP2 would
  hear the next copy. We note it and replay it when our proving ends.
- The association comes first: figure 7's IDLE and ASSOCIATING are the transport's business, here
  "association down". A Start in that time is kept until the association is up (figure 11).

User Data has rows only where it changes the state (it can be what ends the alignment, 4.1.3). In
the states of ``DATA_STATES`` it takes the fast path in ``link.py``.

A pair without a row is refused: a message from the peer is discarded and counted; a primitive of
our own side raises ``IllegalTransitionError``. A row without actions says that nothing is to be
done *on purpose*.

Left out: TTC's and T1.111's variations of MTP2; power-off. Q.703's figures are cited from general
knowledge and from what other implementations do: the text was not at hand to be checked.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from trunkline.errors import TrunklineError
from trunkline.ss7.m2pa.codec import M2paError, Status

__all__ = [
    "DATA_STATES",
    "RECEIVED",
    "ROWS",
    "TABLE",
    "TIMERS",
    "Action",
    "Guard",
    "IllegalTransitionError",
    "Row",
    "State",
    "Trigger",
]


class State(enum.StrEnum):
    """Where the link is. The value is the text to show."""

    ASSOCIATION_DOWN = "association down"
    START_PENDING = "start pending"
    OUT_OF_SERVICE = "out of service"
    NOT_ALIGNED = "not aligned"
    ALIGNED = "aligned"
    PROVING = "proving"
    ALIGNED_READY = "aligned ready"
    ALIGNED_NOT_READY = "aligned not ready"
    IN_SERVICE = "in service"
    LOCAL_OUTAGE = "local processor outage"
    REMOTE_OUTAGE = "remote processor outage"
    BOTH_OUTAGE = "both processors out"
    RECOVERING = "recovering"
    RECOVERING_REMOTE_OUTAGE = "recovering, remote processor outage"


class Trigger(enum.StrEnum):
    """What can happen to the link."""

    # The association (figure 7)
    COMMUNICATION_UP = "Communication Up"
    COMMUNICATION_LOST = "Communication Lost"
    # Primitives of MTP3 and of the management
    START = "Start"
    STOP = "Stop"
    EMERGENCY = "Emergency"
    EMERGENCY_CEASES = "Emergency Ceases"
    PROCESSOR_OUTAGE = "Local Processor Outage"
    PROCESSOR_RECOVERED = "Local Processor Recovered"
    FLUSH = "Flush"
    CONTINUE = "Continue"
    BUSY = "Receive Congestion"
    BUSY_ENDED = "Receive Congestion Ends"
    # Messages of the peer
    RX_ALIGNMENT = "rx Alignment"
    RX_ALIGNMENT_VERSION = "rx Alignment, unsupported version"
    RX_PROVING_NORMAL = "rx Proving Normal"
    RX_PROVING_EMERGENCY = "rx Proving Emergency"
    RX_READY = "rx Ready"
    RX_PROCESSOR_OUTAGE = "rx Processor Outage"
    RX_PROCESSOR_RECOVERED = "rx Processor Recovered"
    RX_BUSY = "rx Busy"
    RX_BUSY_ENDED = "rx Busy Ended"
    RX_OUT_OF_SERVICE = "rx Out of Service"
    RX_USER_DATA = "rx User Data"
    # Timers
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"
    T5 = "T5"
    T6 = "T6"
    T7 = "T7"
    PROVING_INTERVAL = "Proving_Interval"
    STATUS_INTERVAL = "status interval"
    # The data path
    ABNORMAL_BSN = "abnormal BSN"


RECEIVED: Final[Mapping[Status, Trigger]] = {
    Status.ALIGNMENT: Trigger.RX_ALIGNMENT,
    Status.PROVING_NORMAL: Trigger.RX_PROVING_NORMAL,
    Status.PROVING_EMERGENCY: Trigger.RX_PROVING_EMERGENCY,
    Status.READY: Trigger.RX_READY,
    Status.PROCESSOR_OUTAGE: Trigger.RX_PROCESSOR_OUTAGE,
    Status.PROCESSOR_RECOVERED: Trigger.RX_PROCESSOR_RECOVERED,
    Status.BUSY: Trigger.RX_BUSY,
    Status.BUSY_ENDED: Trigger.RX_BUSY_ENDED,
    Status.OUT_OF_SERVICE: Trigger.RX_OUT_OF_SERVICE,
}

# T7 is not here: the data path runs it per message (4.2.1).
TIMERS: Final = (
    Trigger.T1,
    Trigger.T2,
    Trigger.T3,
    Trigger.T4,
    Trigger.T5,
    Trigger.T6,
    Trigger.PROVING_INTERVAL,
    Trigger.STATUS_INTERVAL,
)


class Guard(enum.StrEnum):
    """A condition on a row; of the rows of a pair, the first whose guard holds is taken."""

    LOCAL_OUTAGE = "local processor outage marked"
    FLUSH = "flush chosen"
    NORMAL_PERIOD = "normal proving period"


class Action(enum.StrEnum):
    """What a row does, in the order in which the row lists it."""

    SEND_OUT_OF_SERVICE = "send Out of Service"
    SEND_ALIGNMENT = "send Alignment"
    SEND_PROVING = "send Proving"
    SEND_READY = "send Ready (stream 0)"
    SEND_READY_IN_SEQUENCE = "send Ready (stream 1)"
    SEND_PROCESSOR_OUTAGE = "send Processor Outage"
    SEND_PROCESSOR_RECOVERED = "send Processor Recovered"
    SEND_BUSY = "send Busy"
    SEND_BUSY_ENDED = "send Busy Ended"
    ANNOUNCE_BUSY = "send Busy if congested"

    INDICATE_IN_SERVICE = "In Service"
    INDICATE_OUT_OF_SERVICE = "Out of Service"
    INDICATE_REMOTE_OUTAGE = "Remote Processor Outage"
    INDICATE_REMOTE_RECOVERED = "Remote Processor Outage Ceases"

    START_T1 = "start T1"
    STOP_T1 = "stop T1"
    START_T2 = "start T2"
    STOP_T2 = "stop T2"
    START_T3 = "start T3"
    STOP_T3 = "stop T3"
    START_T4 = "start T4"
    START_T5 = "start T5"
    STOP_T5 = "stop T5"
    START_PROVING_INTERVAL = "start Proving_Interval"
    START_STATUS_INTERVAL = "start status interval"
    STOP_STATUS_INTERVAL = "stop status interval"
    STOP_TIMERS = "stop all timers"

    MARK_EMERGENCY = "mark emergency"
    UNMARK_EMERGENCY = "cancel emergency"
    MARK_SHORT_PROVING = "emergency proving period"
    MARK_LOCAL_OUTAGE = "mark local processor outage"
    UNMARK_LOCAL_OUTAGE = "cancel local processor outage"
    MARK_BUSY = "mark receive congestion"
    UNMARK_BUSY = "cancel receive congestion"
    MARK_FLUSH = "mark flush"
    UNMARK_FLUSH = "cancel flush"
    MARK_REMOTE_BUSY = "stop T7; start T6 if messages wait for acknowledgement"
    UNMARK_REMOTE_BUSY = "stop T6; start T7 if messages wait for acknowledgement"
    NOTE_STATUS = "note the message"
    FORGET_STATUS = "forget the noted message"
    REPLAY_STATUS = "replay the noted message"

    CLEAR_LINE = "drop what is queued for the association"
    RESET = "reset buffers and sequence numbers"
    ADOPT_SEQUENCE = "expect the FSN after the peer's announced one"
    ACKNOWLEDGED = "take the BSN as an acknowledgement"
    RESYNCHRONISE = "continue after the received BSN"
    SETTLE_HELD = "keep held MSUs up to the received FSN"
    RELEASE_HELD = "deliver held MSUs unless congested"
    DISCARD_HELD = "discard held MSUs"
    DISCARD_TRANSMIT = "discard transmission and retransmission buffers"


class Row(NamedTuple):
    """One transition. ``clause`` names the text that decides it."""

    state: State
    trigger: Trigger
    guard: Guard | None
    next: State
    actions: tuple[Action, ...]
    clause: str


class IllegalTransitionError(TrunklineError):
    """A primitive came in a state that has no row for it (code ``m2pa.transition``)."""

    def __init__(self, state: State, trigger: Trigger) -> None:
        super().__init__(
            M2paError.TRANSITION, f"{trigger}: not possible while the link is {state} (table.py)"
        )
        self.state = state
        self.trigger = trigger


_S, _T, _A, _G = State, Trigger, Action, Guard

_ALIGNING = (_S.NOT_ALIGNED, _S.ALIGNED, _S.PROVING)
_ALIGNED = (_S.ALIGNED_READY, _S.ALIGNED_NOT_READY)
_OUTAGE = (_S.LOCAL_OUTAGE, _S.REMOTE_OUTAGE, _S.BOTH_OUTAGE)
_RECOVERING = (_S.RECOVERING, _S.RECOVERING_REMOTE_OUTAGE)
_DATA = (_S.IN_SERVICE, *_OUTAGE, *_RECOVERING)
_STARTED = (*_ALIGNING, *_ALIGNED, *_DATA)
_UP = (_S.OUT_OF_SERVICE, *_STARTED)

DATA_STATES: Final = frozenset(_DATA)
"""The states in which User Data belongs to the link's traffic."""

# What Q.703 figure 8 does whenever it falls back to "out of service".
_FAIL = (
    _A.STOP_TIMERS,
    _A.SEND_OUT_OF_SERVICE,
    _A.INDICATE_OUT_OF_SERVICE,
    _A.DISCARD_HELD,
    _A.UNMARK_EMERGENCY,
    _A.UNMARK_LOCAL_OUTAGE,
)
_BEGIN = (_A.RESET, _A.SEND_ALIGNMENT, _A.START_T2, _A.START_STATUS_INTERVAL)
_TO_ALIGNED = (_A.STOP_T2, _A.STOP_STATUS_INTERVAL, _A.SEND_PROVING, _A.START_T3)
_TO_PROVING = (_A.STOP_T3, _A.START_T4, _A.SEND_PROVING, _A.START_PROVING_INTERVAL)
_TO_SERVICE = (
    _A.STOP_T1,
    _A.STOP_STATUS_INTERVAL,
    _A.ADOPT_SEQUENCE,
    _A.INDICATE_IN_SERVICE,
    _A.ANNOUNCE_BUSY,
)
# 4.1.4: what the end whose peer recovered does, and what the end that recovered does after it.
_ANSWER_RECOVERED = (_A.RESYNCHRONISE, _A.SEND_READY_IN_SEQUENCE)
_RECOVERY_DONE = (_A.RESYNCHRONISE, _A.SETTLE_HELD, _A.SEND_READY_IN_SEQUENCE, _A.RELEASE_HELD)


def _rows() -> Iterable[Row]:
    """Every row, block by block."""
    yield from _association()
    yield from _level_3()
    yield from _initial_alignment()
    yield from _aligned()
    yield from _in_service()
    yield from _outage()
    yield from _recovering()
    yield from _flow_control()


def _row(
    state: State,
    trigger: Trigger,
    next_state: State | None,
    actions: tuple[Action, ...],
    clause: str,
    guard: Guard | None = None,
) -> Row:
    return Row(state, trigger, guard, next_state or state, actions, clause)


def _association() -> Iterable[Row]:
    down, pending, out = _S.ASSOCIATION_DOWN, _S.START_PENDING, _S.OUT_OF_SERVICE
    yield _row(down, _T.COMMUNICATION_UP, out, (_A.SEND_OUT_OF_SERVICE,), "RFC 4165 4.1.3, fig. 11")
    yield _row(down, _T.COMMUNICATION_LOST, None, (), "RFC 4165 fig. 7")
    yield _row(
        pending,
        _T.COMMUNICATION_UP,
        _S.NOT_ALIGNED,
        (_A.SEND_OUT_OF_SERVICE, *_BEGIN),
        "RFC 4165 4.1.3, fig. 11",
    )
    yield _row(
        pending, _T.COMMUNICATION_LOST, down, (_A.INDICATE_OUT_OF_SERVICE,), "RFC 4165 4.1.3"
    )
    # The peer restarted the association under us: lost and up at once.
    yield _row(out, _T.COMMUNICATION_LOST, down, (_A.CLEAR_LINE,), "RFC 4165 4.1.7")
    yield _row(
        out,
        _T.COMMUNICATION_UP,
        None,
        (_A.CLEAR_LINE, _A.SEND_OUT_OF_SERVICE),
        "RFC 4165 4.1.3, 4.1.7",
    )
    lost = tuple(action for action in _FAIL if action is not _A.SEND_OUT_OF_SERVICE)
    for state in _STARTED:
        yield _row(
            state,
            _T.COMMUNICATION_LOST,
            down,
            (_A.CLEAR_LINE, *lost),
            "RFC 4165 4.1.7, fig. 14",
        )
        yield _row(
            state, _T.COMMUNICATION_UP, out, (_A.CLEAR_LINE, *_FAIL), "RFC 4165 4.1.3, 4.1.7"
        )


def _level_3() -> Iterable[Row]:
    """Start, Stop, and the marks that may come at any time (Q.703 figures 8 and 9)."""
    down, pending, out = _S.ASSOCIATION_DOWN, _S.START_PENDING, _S.OUT_OF_SERVICE
    yield _row(down, _T.START, pending, (), "RFC 4165 4.1.3")
    yield _row(out, _T.START, _S.NOT_ALIGNED, _BEGIN, "RFC 4165 fig. 11; Q.703 fig. 8, 9")
    for state in (pending, *_STARTED):
        yield _row(state, _T.START, None, (), "already started")
    yield _row(pending, _T.STOP, down, (_A.INDICATE_OUT_OF_SERVICE,), "RFC 4165 fig. 20")
    for state in (down, out):
        yield _row(state, _T.STOP, None, (), "already stopped")
    for state in _STARTED:
        yield _row(state, _T.STOP, out, _FAIL, "RFC 4165 4.1.6, fig. 20; Q.703 fig. 8")

    for state in State:
        if state not in (_S.ALIGNED, _S.PROVING):
            yield _row(state, _T.EMERGENCY, None, (_A.MARK_EMERGENCY,), "Q.703 fig. 8")
        yield _row(state, _T.EMERGENCY_CEASES, None, (_A.UNMARK_EMERGENCY,), "Q.703 fig. 8")
    before_ready = (down, pending, out, *_ALIGNING)
    for state in (*before_ready, *_RECOVERING):
        yield _row(state, _T.PROCESSOR_OUTAGE, None, (_A.MARK_LOCAL_OUTAGE,), "Q.703 fig. 8")
        yield _row(state, _T.PROCESSOR_RECOVERED, None, (_A.UNMARK_LOCAL_OUTAGE,), "Q.703 fig. 8")


def _initial_alignment() -> Iterable[Row]:
    """Q.703 figure 9 with RFC 4165 4.1.3."""
    out, not_aligned, aligned, proving = (_S.OUT_OF_SERVICE, *_ALIGNING)
    # A started peer speaks to a stopped link: it heard our Out of Service, nothing to add.
    for trigger in (
        _T.RX_ALIGNMENT,
        _T.RX_PROVING_NORMAL,
        _T.RX_PROVING_EMERGENCY,
        _T.RX_OUT_OF_SERVICE,
    ):
        yield _row(out, trigger, None, (), "Q.703 fig. 8")
    yield _row(out, _T.RX_ALIGNMENT_VERSION, None, (_A.SEND_OUT_OF_SERVICE,), "RFC 4165 4.1.9")
    for state in (*_ALIGNING, *_ALIGNED):
        yield _row(state, _T.RX_ALIGNMENT_VERSION, out, _FAIL, "RFC 4165 4.1.9")

    # Not aligned
    for trigger in (_T.RX_ALIGNMENT, _T.RX_PROVING_NORMAL):
        yield _row(not_aligned, trigger, aligned, _TO_ALIGNED, "Q.703 fig. 9; RFC 4165 fig. 11, 12")
    yield _row(
        not_aligned,
        _T.RX_PROVING_EMERGENCY,
        aligned,
        (_A.MARK_SHORT_PROVING, *_TO_ALIGNED),
        "Q.703 fig. 9",
    )
    yield _row(
        not_aligned,
        _T.STATUS_INTERVAL,
        None,
        (_A.SEND_ALIGNMENT, _A.START_STATUS_INTERVAL),
        "RFC 4165 4.1.3",
    )
    yield _row(not_aligned, _T.RX_OUT_OF_SERVICE, None, (), "Q.703 fig. 9")
    yield _row(not_aligned, _T.T2, out, _FAIL, "Q.703 fig. 9")

    # Aligned
    yield _row(
        aligned, _T.RX_PROVING_NORMAL, proving, _TO_PROVING, "Q.703 fig. 9; RFC 4165 fig. 12"
    )
    yield _row(
        aligned,
        _T.RX_PROVING_EMERGENCY,
        proving,
        (_A.MARK_SHORT_PROVING, *_TO_PROVING),
        "Q.703 fig. 9; RFC 4165 fig. 12",
    )
    # A peer that omits proving comes with Ready at once.
    yield _row(
        aligned,
        _T.RX_READY,
        proving,
        (_A.NOTE_STATUS, *_TO_PROVING),
        "RFC 4165 4.1.3 (proving may be omitted)",
    )
    yield _row(aligned, _T.RX_ALIGNMENT, None, (), "repeated; RFC 4165 4.1.3")
    yield _row(aligned, _T.EMERGENCY, None, (_A.MARK_EMERGENCY, _A.SEND_PROVING), "Q.703 fig. 9")
    yield _row(aligned, _T.RX_OUT_OF_SERVICE, out, _FAIL, "Q.703 fig. 9")
    yield _row(aligned, _T.T3, out, _FAIL, "Q.703 fig. 9")

    # Proving
    yield _row(proving, _T.RX_PROVING_NORMAL, None, (), "Q.703 fig. 9")
    yield _row(
        proving,
        _T.RX_PROVING_EMERGENCY,
        None,
        (_A.MARK_SHORT_PROVING, _A.START_T4),
        "Q.703 fig. 9",
        _G.NORMAL_PERIOD,
    )
    yield _row(proving, _T.RX_PROVING_EMERGENCY, None, (), "Q.703 fig. 9")
    yield _row(
        proving,
        _T.EMERGENCY,
        None,
        (_A.MARK_EMERGENCY, _A.SEND_PROVING, _A.START_T4),
        "Q.703 fig. 9",
    )
    yield _row(
        proving,
        _T.RX_ALIGNMENT,
        aligned,
        (_A.STOP_TIMERS, _A.FORGET_STATUS, _A.SEND_PROVING, _A.START_T3),
        "Q.703 fig. 9",
    )
    yield _row(
        proving,
        _T.PROVING_INTERVAL,
        None,
        (_A.SEND_PROVING, _A.START_PROVING_INTERVAL),
        "RFC 4165 4.1.3",
    )
    for trigger in (_T.RX_READY, _T.RX_PROCESSOR_OUTAGE, _T.RX_PROCESSOR_RECOVERED):
        yield _row(
            proving, trigger, None, (_A.NOTE_STATUS,), "RFC 4165 4.1.3 (sent once, not repeated)"
        )
    yield _row(proving, _T.RX_OUT_OF_SERVICE, out, _FAIL, "Q.703 fig. 9")
    yield _row(
        proving,
        _T.T4,
        _S.ALIGNED_NOT_READY,
        (_A.STOP_TIMERS, _A.SEND_PROCESSOR_OUTAGE, _A.START_T1, _A.REPLAY_STATUS),
        "RFC 4165 4.1.3; Q.703 fig. 8",
        _G.LOCAL_OUTAGE,
    )
    yield _row(
        proving,
        _T.T4,
        _S.ALIGNED_READY,
        (
            _A.STOP_TIMERS,
            _A.SEND_READY,
            _A.START_T1,
            _A.START_STATUS_INTERVAL,
            _A.REPLAY_STATUS,
        ),
        "RFC 4165 4.1.3, fig. 12; Q.703 fig. 8",
    )


def _aligned() -> Iterable[Row]:
    """Proved, waiting for the peer under T1 (Q.703 figure 8)."""
    out, ready, not_ready = (_S.OUT_OF_SERVICE, *_ALIGNED)
    clause = "RFC 4165 4.1.3, fig. 12; Q.703 fig. 8"
    for trigger in (_T.RX_READY, _T.RX_USER_DATA):
        yield _row(ready, trigger, _S.IN_SERVICE, _TO_SERVICE, clause)
        yield _row(not_ready, trigger, _S.LOCAL_OUTAGE, _TO_SERVICE, clause)
    # The peer was in outage when it finished proving, and recovered before we did.
    recovered = (*_TO_SERVICE, _A.SEND_READY_IN_SEQUENCE)
    yield _row(ready, _T.RX_PROCESSOR_RECOVERED, _S.IN_SERVICE, recovered, "RFC 4165 4.1.4")
    yield _row(not_ready, _T.RX_PROCESSOR_RECOVERED, _S.LOCAL_OUTAGE, recovered, "RFC 4165 4.1.4")
    outage = (*_TO_SERVICE, _A.INDICATE_REMOTE_OUTAGE)
    yield _row(ready, _T.RX_PROCESSOR_OUTAGE, _S.REMOTE_OUTAGE, outage, "Q.703 fig. 8")
    yield _row(not_ready, _T.RX_PROCESSOR_OUTAGE, _S.BOTH_OUTAGE, outage, "Q.703 fig. 8")
    yield _row(
        ready,
        _T.STATUS_INTERVAL,
        None,
        (_A.SEND_READY, _A.START_STATUS_INTERVAL),
        "RFC 4165 4.1.3",
    )
    yield _row(
        ready,
        _T.PROCESSOR_OUTAGE,
        not_ready,
        (_A.MARK_LOCAL_OUTAGE, _A.STOP_STATUS_INTERVAL, _A.SEND_PROCESSOR_OUTAGE),
        "Q.703 fig. 8",
    )
    yield _row(ready, _T.PROCESSOR_RECOVERED, None, (), "no outage")
    yield _row(not_ready, _T.PROCESSOR_OUTAGE, None, (), "outage already announced")
    yield _row(
        not_ready,
        _T.PROCESSOR_RECOVERED,
        ready,
        (_A.UNMARK_LOCAL_OUTAGE, _A.SEND_PROCESSOR_RECOVERED, _A.START_STATUS_INTERVAL),
        "RFC 4165 4.1.4; Q.703 fig. 8",
    )
    for state in _ALIGNED:
        for trigger in (_T.RX_PROVING_NORMAL, _T.RX_PROVING_EMERGENCY):
            yield _row(state, trigger, None, (), "the peer still proves; Q.703 fig. 8")
        for trigger in (_T.RX_ALIGNMENT, _T.RX_OUT_OF_SERVICE, _T.T1):
            yield _row(state, trigger, out, _FAIL, "Q.703 fig. 8")


def _in_service() -> Iterable[Row]:
    service = _S.IN_SERVICE
    for state in _DATA:
        for trigger in (_T.RX_ALIGNMENT, _T.RX_ALIGNMENT_VERSION, _T.RX_OUT_OF_SERVICE):
            yield _row(state, trigger, _S.OUT_OF_SERVICE, _FAIL, "Q.703 fig. 8")
        yield _row(state, _T.ABNORMAL_BSN, _S.OUT_OF_SERVICE, _FAIL, "Q.703 5.3")
    yield _row(service, _T.T7, _S.OUT_OF_SERVICE, _FAIL, "RFC 4165 4.2.1; Q.703 5.3")
    # Repeated during alignment, or the last Ready of figure 16, whose BSN acknowledges.
    yield _row(service, _T.RX_READY, None, (_A.ACKNOWLEDGED,), "RFC 4165 4.1.3, fig. 16")
    # Not in outage as far as we know, but the peer waits for an answer.
    yield _row(service, _T.RX_PROCESSOR_RECOVERED, None, _ANSWER_RECOVERED, "RFC 4165 4.1.4")
    yield _row(
        service,
        _T.PROCESSOR_OUTAGE,
        _S.LOCAL_OUTAGE,
        (_A.UNMARK_FLUSH, _A.SEND_PROCESSOR_OUTAGE),
        "RFC 4165 4.1.4, fig. 15",
    )
    yield _row(service, _T.PROCESSOR_RECOVERED, None, (), "no outage")
    yield _row(
        service,
        _T.RX_PROCESSOR_OUTAGE,
        _S.REMOTE_OUTAGE,
        (_A.INDICATE_REMOTE_OUTAGE,),
        "RFC 4165 4.1.4, fig. 15",
    )
    for trigger in (_T.FLUSH, _T.CONTINUE):
        yield _row(service, trigger, None, (), "the outage is over")


def _outage() -> Iterable[Row]:
    """RFC 4165 4.1.4 and figures 15 and 16."""
    local, remote, both = _OUTAGE
    clause = "RFC 4165 4.1.4, fig. 16"
    yield _row(local, _T.RX_PROCESSOR_OUTAGE, both, (_A.INDICATE_REMOTE_OUTAGE,), "Q.703 fig. 10")
    yield _row(local, _T.RX_PROCESSOR_RECOVERED, None, _ANSWER_RECOVERED, clause)
    yield _row(
        remote,
        _T.RX_PROCESSOR_RECOVERED,
        _S.IN_SERVICE,
        (_A.INDICATE_REMOTE_RECOVERED, *_ANSWER_RECOVERED),
        clause,
    )
    yield _row(
        both,
        _T.RX_PROCESSOR_RECOVERED,
        local,
        (_A.INDICATE_REMOTE_RECOVERED, *_ANSWER_RECOVERED),
        clause,
    )
    yield _row(
        remote,
        _T.PROCESSOR_OUTAGE,
        both,
        (_A.UNMARK_FLUSH, _A.SEND_PROCESSOR_OUTAGE),
        "RFC 4165 4.1.4; Q.703 fig. 10",
    )
    yield _row(remote, _T.PROCESSOR_RECOVERED, None, (), "no local outage")
    for state, recovering in ((local, _S.RECOVERING), (both, _S.RECOVERING_REMOTE_OUTAGE)):
        yield _row(
            state,
            _T.PROCESSOR_RECOVERED,
            recovering,
            (_A.UNMARK_LOCAL_OUTAGE, _A.DISCARD_HELD, _A.SEND_PROCESSOR_RECOVERED),
            clause,
            _G.FLUSH,
        )
        yield _row(
            state,
            _T.PROCESSOR_RECOVERED,
            recovering,
            (_A.UNMARK_LOCAL_OUTAGE, _A.RELEASE_HELD, _A.SEND_PROCESSOR_RECOVERED),
            "RFC 4165 4.1.4",
        )
        yield _row(state, _T.PROCESSOR_OUTAGE, None, (), "already out")
        yield _row(
            state,
            _T.FLUSH,
            None,
            (_A.MARK_FLUSH, _A.DISCARD_HELD, _A.DISCARD_TRANSMIT),
            "RFC 4165 4.1.4; Q.703 fig. 8",
        )
        yield _row(state, _T.CONTINUE, None, (_A.UNMARK_FLUSH,), "RFC 4165 4.1.4; Q.703 fig. 8")
    yield _row(remote, _T.FLUSH, None, (_A.DISCARD_TRANSMIT,), "RFC 4165 4.1.4; Q.703 fig. 8")
    yield _row(remote, _T.CONTINUE, None, (), "Q.703 fig. 8")
    for state in (remote, both):
        yield _row(state, _T.RX_PROCESSOR_OUTAGE, None, (), "repeated; RFC 4165 4.1.4")
    for state in _OUTAGE:
        # A Ready of the alignment that the other stream overtook.
        yield _row(state, _T.RX_READY, None, (), "RFC 4165 4.1.2")


def _recovering() -> Iterable[Row]:
    """We sent Processor Recovered and may send no User Data before the peer's Ready (4.1.4)."""
    alone, with_remote = _RECOVERING
    clause = "RFC 4165 4.1.4, fig. 16"
    again = (*_RECOVERY_DONE[:-1], _A.SEND_PROCESSOR_OUTAGE)
    for state, done, local in (
        (alone, _S.IN_SERVICE, _S.LOCAL_OUTAGE),
        (with_remote, _S.REMOTE_OUTAGE, _S.BOTH_OUTAGE),
    ):
        # An outage that began meanwhile is announced after the resynchronisation; what is held
        # stays held.
        yield _row(state, _T.RX_READY, local, (_A.UNMARK_FLUSH, *again), clause, _G.LOCAL_OUTAGE)
        yield _row(state, _T.RX_READY, done, _RECOVERY_DONE, clause)
        for trigger in (_T.FLUSH, _T.CONTINUE):
            yield _row(state, trigger, None, (), "the outage is over")
    yield _row(
        alone,
        _T.RX_PROCESSOR_OUTAGE,
        with_remote,
        (_A.INDICATE_REMOTE_OUTAGE,),
        "RFC 4165 4.1.4",
    )
    yield _row(alone, _T.RX_PROCESSOR_RECOVERED, None, _ANSWER_RECOVERED, "RFC 4165 4.1.4")
    yield _row(with_remote, _T.RX_PROCESSOR_OUTAGE, None, (), "repeated; RFC 4165 4.1.4")
    yield _row(
        with_remote,
        _T.RX_PROCESSOR_RECOVERED,
        alone,
        (_A.INDICATE_REMOTE_RECOVERED, *_ANSWER_RECOVERED),
        "RFC 4165 4.1.4",
    )


def _flow_control() -> Iterable[Row]:
    """RFC 4165 4.1.5 and figures 17 and 18."""
    for state in _DATA:
        yield _row(
            state,
            _T.BUSY,
            None,
            (_A.MARK_BUSY, _A.SEND_BUSY, _A.START_T5),
            "RFC 4165 4.1.5, fig. 17",
        )
        ended: tuple[Action, ...] = (_A.UNMARK_BUSY, _A.STOP_T5, _A.SEND_BUSY_ENDED)
        if state in (_S.IN_SERVICE, _S.REMOTE_OUTAGE):
            ended = (*ended, _A.RELEASE_HELD)
        yield _row(state, _T.BUSY_ENDED, None, ended, "RFC 4165 4.1.5, fig. 17")
        yield _row(state, _T.T5, None, (_A.SEND_BUSY, _A.START_T5), "RFC 4165 4.1.5; Q.703 9")
        yield _row(state, _T.RX_BUSY, None, (_A.MARK_REMOTE_BUSY,), "RFC 4165 4.1.5, fig. 17")
        yield _row(
            state, _T.RX_BUSY_ENDED, None, (_A.UNMARK_REMOTE_BUSY,), "RFC 4165 4.1.5, fig. 17"
        )
        yield _row(state, _T.T6, _S.OUT_OF_SERVICE, _FAIL, "RFC 4165 4.1.5, fig. 18")
    # Before the link carries traffic the condition is only remembered.
    for state in State:
        if state not in DATA_STATES:
            yield _row(state, _T.BUSY, None, (_A.MARK_BUSY,), "RFC 4165 4.1.5")
            yield _row(state, _T.BUSY_ENDED, None, (_A.UNMARK_BUSY,), "RFC 4165 4.1.5")


def _index(rows: Iterable[Row]) -> Mapping[tuple[State, Trigger], tuple[Row, ...]]:
    table: dict[tuple[State, Trigger], tuple[Row, ...]] = {}
    for row in rows:
        before = table.get((row.state, row.trigger), ())
        if before and before[-1].guard is None:
            raise AssertionError(f"unreachable row: {row.state} / {row.trigger}")
        table[row.state, row.trigger] = (*before, row)
    return table


ROWS: Final = tuple(_rows())
TABLE: Final = _index(ROWS)
