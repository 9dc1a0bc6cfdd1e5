"""What the actions and guards of the table do to a link: the other half of ``link.py``.

Each action of ``table.Action`` is a function here, found by ``ACTIONS``. They run after the link
took the row's next state, in the order in which the row lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from trunkline.ss7.m2pa.codec import (
    SEQUENCE_MASK,
    SEQUENCE_START,
    STREAM_DATA,
    STREAM_STATUS,
    LinkStatus,
    M2paError,
    Status,
)
from trunkline.ss7.m2pa.events import (
    InService,
    OutOfService,
    RemoteProcessorOutage,
    RemoteProcessorRecovered,
)
from trunkline.ss7.m2pa.table import Action, Guard, Trigger

if TYPE_CHECKING:
    from trunkline.ss7.m2pa.link import Link

__all__ = ["ACTIONS", "GUARDS"]

_REASONS: Final[Mapping[Trigger, str]] = {
    Trigger.STOP: "stopped",
    Trigger.COMMUNICATION_LOST: "association lost",
    Trigger.COMMUNICATION_UP: "association restarted by the peer",
    Trigger.RX_ALIGNMENT: "the peer began a new alignment",
    Trigger.RX_ALIGNMENT_VERSION: "the peer speaks an unsupported M2PA version",
    Trigger.RX_OUT_OF_SERVICE: "the peer is out of service",
    Trigger.T1: "T1 expired: the peer did not become ready",
    Trigger.T2: "T2 expired: no Alignment from the peer",
    Trigger.T3: "T3 expired: no Proving from the peer",
    Trigger.T6: "T6 expired: the peer stayed busy",
    Trigger.T7: "T7 expired: no acknowledgement from the peer",
    Trigger.ABNORMAL_BSN: "two abnormal BSNs in three messages",
}


def _status(link: Link, state: Status, stream: int, filler: bytes = b"", bsn: int = -1) -> None:
    line = link._status_line if stream == STREAM_STATUS else link._data_line
    bsn = link._confirm() if bsn < 0 else bsn
    line.append(LinkStatus(bsn, link._sent, state, filler).to_bytes())
    link.counters.statuses_sent += 1


def _send_proving(link: Link) -> None:
    # 2.3.2.1: a number pattern that varies from message to message.
    size, number = link.settings.proving_filler, link._proving_number
    link._proving_number = number + 1 & 0xFF
    filler = bytes(number + i & 0xFF for i in range(size))
    state = Status.PROVING_EMERGENCY if link._emergency else Status.PROVING_NORMAL
    _status(link, state, STREAM_STATUS, filler)


def _send_in_sequence(link: Link, state: Status) -> None:
    # 4.1.4: the BSN is that of the last MSU received and not discarded, held ones included.
    _status(link, state, STREAM_DATA, bsn=link._received)


def _announce_busy(link: Link) -> None:
    if link._local_busy:
        _send_busy(link)
        _start_t5(link)


def _mark_busy(link: Link) -> None:
    link.counters.local_busy += not link._local_busy
    link._local_busy = True


def _send_busy(link: Link) -> None:
    _status(link, Status.BUSY, STREAM_STATUS)


def _send_processor_outage(link: Link) -> None:
    link.counters.local_outages += 1
    _status(link, Status.PROCESSOR_OUTAGE, STREAM_DATA)


def _indicate_in_service(link: Link) -> None:
    link.counters.in_service += 1
    link._msus_before = link.counters.msus_received
    link._out.append(InService())


def _indicate_out_of_service(link: Link) -> None:
    link.counters.out_of_service += 1
    reason = _REASONS[link._trigger]
    if link._trigger is Trigger.COMMUNICATION_LOST and link._reason:
        reason = f"{reason}: {link._reason}"
    link._out.append(OutOfService(reason))


def _indicate_remote_outage(link: Link) -> None:
    link.counters.remote_outages += 1
    link._out.append(RemoteProcessorOutage())


def _start(link: Link, timer: Trigger, duration: float) -> None:
    link._deadlines[timer] = link._now + duration


def _start_t4(link: Link) -> None:
    settings = link.settings
    short = link._emergency or link._short_proving
    _start(link, Trigger.T4, settings.t4_emergency if short else settings.t4_normal)


def _start_t5(link: Link) -> None:
    if link.settings.t5:
        _start(link, Trigger.T5, link.settings.t5)


def _start_status_interval(link: Link) -> None:
    if link.settings.status_interval:
        _start(link, Trigger.STATUS_INTERVAL, link.settings.status_interval)


def _mark_remote_busy(link: Link) -> None:
    if not link._remote_busy:  # 4.1.5: further ones change nothing
        link._remote_busy = True
        link.counters.remote_busy += 1
        if link._retransmit:
            _start(link, Trigger.T6, link.settings.t6)


def _unmark_remote_busy(link: Link) -> None:
    link._remote_busy = False
    link._deadlines.pop(Trigger.T6, None)


def _note_status(link: Link) -> None:
    # Ready travels on the other stream and may overtake, or be overtaken by, an outage's
    # messages; a peer in outage says Processor Recovered, never a plain Ready (4.1.2, 4.1.4).
    if link._message is not None and (
        link._noted is None or link._message.state is not Status.READY
    ):
        link._noted = (link._trigger, link._message)


def _replay_status(link: Link) -> None:
    noted, link._noted = link._noted, None
    if noted is not None:
        link._fire(*noted)


def _clear_line(link: Link) -> None:
    link._status_line = []
    link._data_line = []


def _reset(link: Link) -> None:
    link.counters.alignments += 1
    link.counters.abandoned += len(link._retransmit) + len(link._transmit)
    link._sent = link._accepted = link._received = link._announced = SEQUENCE_START
    link._confirmed = SEQUENCE_START
    link._transmit = []
    link._forget_outstanding()
    link._held = []
    link._acknowledgement_due = False
    link._level = 0
    link._short_proving = False
    link._flush = False
    link._remote_busy = False
    link._noted = None
    link._last_abnormal = -3


def _adopt_sequence(link: Link) -> None:
    link._received = link._accepted = link._confirmed = link._announced


def _acknowledged(link: Link) -> None:
    if link._message is not None and not link._acknowledge(link._message.bsn):
        link._abnormal_bsn(link._message.bsn)


def _resynchronise(link: Link) -> None:
    """4.1.4: the peer discarded what follows its BSN; our next FSN follows it."""
    if link._message is None:
        return
    bsn = link._message.bsn
    if not link._acknowledge(bsn):
        link._discard(M2paError.BSN, f"BSN {bsn}: the last FSN sent is {link._sent}")
        link.counters.abnormal_bsn += 1
        return
    link.counters.flushed += len(link._retransmit)
    link._sent = bsn
    link._forget_outstanding()


def _settle_held(link: Link) -> None:
    """4.1.4: of what came while we recovered, keep what the peer did not take back."""
    if link._message is None:
        return
    kept = link._message.fsn - link._accepted & SEQUENCE_MASK
    if kept < len(link._held):
        link.counters.flushed += len(link._held) - kept
        del link._held[kept:]
        link._received = link._message.fsn


def _release_held(link: Link) -> None:
    if link._held and not link._local_busy:
        link._out.extend(link._held)
        link._held = []
        link._accepted = link._received
        link._acknowledgement_due = True


def _discard_held(link: Link) -> None:
    link.counters.flushed += len(link._held)
    link._held = []
    link._received = link._accepted


def _discard_transmit(link: Link) -> None:
    link.counters.flushed += len(link._retransmit) + len(link._transmit)
    link._transmit = []
    link._forget_outstanding()


def _mark(name: str, value: bool | None) -> Callable[[Link], None]:
    def action(link: Link) -> None:
        setattr(link, name, value)

    return action


def _stop(timer: Trigger) -> Callable[[Link], None]:
    def action(link: Link) -> None:
        link._deadlines.pop(timer, None)

    return action


GUARDS: Final[Mapping[Guard, Callable[[Link], bool]]] = {
    Guard.LOCAL_OUTAGE: lambda link: link._local_outage,
    Guard.FLUSH: lambda link: link._flush,
    Guard.NORMAL_PERIOD: lambda link: not (link._emergency or link._short_proving),
}

ACTIONS: Final[Mapping[Action, Callable[[Link], None]]] = {
    Action.SEND_OUT_OF_SERVICE: lambda link: _status(link, Status.OUT_OF_SERVICE, STREAM_STATUS),
    Action.SEND_ALIGNMENT: lambda link: _status(link, Status.ALIGNMENT, STREAM_STATUS),
    Action.SEND_PROVING: _send_proving,
    Action.SEND_READY: lambda link: _status(link, Status.READY, STREAM_STATUS),
    Action.SEND_READY_IN_SEQUENCE: lambda link: _send_in_sequence(link, Status.READY),
    Action.SEND_PROCESSOR_OUTAGE: _send_processor_outage,
    Action.SEND_PROCESSOR_RECOVERED: lambda link: _send_in_sequence(
        link, Status.PROCESSOR_RECOVERED
    ),
    Action.SEND_BUSY: _send_busy,
    Action.SEND_BUSY_ENDED: lambda link: _status(link, Status.BUSY_ENDED, STREAM_STATUS),
    Action.ANNOUNCE_BUSY: _announce_busy,
    Action.INDICATE_IN_SERVICE: _indicate_in_service,
    Action.INDICATE_OUT_OF_SERVICE: _indicate_out_of_service,
    Action.INDICATE_REMOTE_OUTAGE: _indicate_remote_outage,
    Action.INDICATE_REMOTE_RECOVERED: lambda link: link._out.append(RemoteProcessorRecovered()),
    Action.START_T1: lambda link: _start(link, Trigger.T1, link.settings.t1),
    Action.STOP_T1: _stop(Trigger.T1),
    Action.START_T2: lambda link: _start(link, Trigger.T2, link.settings.t2),
    Action.STOP_T2: _stop(Trigger.T2),
    Action.START_T3: lambda link: _start(link, Trigger.T3, link.settings.t3),
    Action.STOP_T3: _stop(Trigger.T3),
    Action.START_T4: _start_t4,
    Action.START_T5: _start_t5,
    Action.STOP_T5: _stop(Trigger.T5),
    Action.START_PROVING_INTERVAL: lambda link: _start(
        link, Trigger.PROVING_INTERVAL, link.settings.proving_interval
    ),
    Action.START_STATUS_INTERVAL: _start_status_interval,
    Action.STOP_STATUS_INTERVAL: _stop(Trigger.STATUS_INTERVAL),
    Action.STOP_TIMERS: lambda link: link._deadlines.clear(),
    Action.MARK_EMERGENCY: _mark("_emergency", True),
    Action.UNMARK_EMERGENCY: _mark("_emergency", False),
    Action.MARK_SHORT_PROVING: _mark("_short_proving", True),
    Action.MARK_LOCAL_OUTAGE: _mark("_local_outage", True),
    Action.UNMARK_LOCAL_OUTAGE: _mark("_local_outage", False),
    Action.MARK_BUSY: _mark_busy,
    Action.UNMARK_BUSY: _mark("_local_busy", False),
    Action.MARK_FLUSH: _mark("_flush", True),
    Action.UNMARK_FLUSH: _mark("_flush", False),
    Action.MARK_REMOTE_BUSY: _mark_remote_busy,
    Action.UNMARK_REMOTE_BUSY: _unmark_remote_busy,
    Action.NOTE_STATUS: _note_status,
    Action.FORGET_STATUS: _mark("_noted", None),
    Action.REPLAY_STATUS: _replay_status,
    Action.CLEAR_LINE: _clear_line,
    Action.RESET: _reset,
    Action.ADOPT_SEQUENCE: _adopt_sequence,
    Action.ACKNOWLEDGED: _acknowledged,
    Action.RESYNCHRONISE: _resynchronise,
    Action.SETTLE_HELD: _settle_held,
    Action.RELEASE_HELD: _release_held,
    Action.DISCARD_HELD: _discard_held,
    Action.DISCARD_TRANSMIT: _discard_transmit,
}
