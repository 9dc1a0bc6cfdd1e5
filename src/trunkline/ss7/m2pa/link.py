"""One M2PA link: RFC 4165, sections 3 and 4, without sockets or clocks.

``Link`` is fed by the transport (``communication_up``, ``receive``), by MTP3 (``start``, ``send``,
``retrieve``) and by time (``on_timeout``). What is to go out is fetched with ``data_to_send``.

*State* goes through the table (``table.py``), whose actions are in ``actions.py``. *Traffic*, the
batches of MSUs, does not: that half is ``traffic.py``. This file joins the two, and holds the slow
path by which a message that the traffic loop does not recognise is decoded and judged.

Left out here and there: see ``table.py`` and ``traffic.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trunkline.errors import DecodeError
from trunkline.ss7.m2pa.actions import ACTIONS, GUARDS
from trunkline.ss7.m2pa.codec import (
    SEQUENCE_MASK,
    SEQUENCE_START,
    LinkStatus,
    M2paError,
    Status,
    UserData,
    parse,
)
from trunkline.ss7.m2pa.events import Discarded, Event
from trunkline.ss7.m2pa.settings import Settings
from trunkline.ss7.m2pa.table import (
    DATA_STATES,
    RECEIVED,
    TABLE,
    IllegalTransitionError,
    Row,
    State,
    Trigger,
)
from trunkline.ss7.m2pa.traffic import DATA_OVERHEAD, DELIVERS, Traffic

__all__ = ["Link"]

_ALIGNED: Final = frozenset({State.ALIGNED_READY, State.ALIGNED_NOT_READY})

_EXPIRY_COUNTERS: Final[Mapping[Trigger, str]] = {
    Trigger.T1: "t1_expired",
    Trigger.T2: "t2_expired",
    Trigger.T3: "t3_expired",
    Trigger.T6: "t6_expired",
    Trigger.T7: "t7_expired",
}


class Link(Traffic):
    """One signalling link over one SCTP association.

    Times are seconds on any clock that does not go back; ``now`` is the present on it. Methods
    that take ``now`` return, in order, ``bytes`` (an MSU for MTP3) and events. Only ``receive``,
    ``processor_recovered`` and ``busy_ended`` can return MSUs.

    A primitive that makes no sense in the present state raises ``IllegalTransitionError``. No input
    from the peer raises: what is refused is counted and reported as ``Discarded``.
    """

    __slots__ = (
        "_announced",
        "_emergency",
        "_flush",
        "_last_abnormal",
        "_local_outage",
        "_message",
        "_msus_before",
        "_noted",
        "_proving_number",
        "_reason",
        "_short_proving",
        "_trigger",
    )

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        # The marks that the table's guards ask for.
        self._emergency: bool = False
        self._short_proving: bool = False
        self._local_outage: bool = False
        self._flush: bool = False

        # What the transition in progress is about.
        self._trigger = Trigger.STOP
        self._message: LinkStatus | None = None
        self._reason = ""

        self._noted: tuple[Trigger, LinkStatus] | None = None
        self._announced = SEQUENCE_START
        self._msus_before = 0
        self._proving_number = 0
        self._last_abnormal = -3

    # --- the transport ------------------------------------------------------------------------

    def communication_up(self, now: float) -> list[bytes | Event]:
        """Tell that the association is established, or was restarted by the peer (figure 7)."""
        return self._primitive(Trigger.COMMUNICATION_UP, now)

    def communication_lost(self, now: float, reason: str = "") -> list[bytes | Event]:
        """Tell that the association is gone or could not be established (4.1.3, 4.1.7)."""
        self._reason = reason
        return self._primitive(Trigger.COMMUNICATION_LOST, now)

    def next_timeout(self) -> float | None:
        """Tell when ``on_timeout`` wants to be called; ``None`` for never."""
        deadline = self._t7_marks[0][1] if self._t7_running and self._t7_marks else None
        if self._deadlines:
            first = min(self._deadlines.values())
            if deadline is None or first < deadline:
                return first
        return deadline

    def on_timeout(self, now: float) -> list[bytes | Event]:
        """Let the timers whose time has come expire, in the order of their deadlines."""
        out = self._begin(now)
        while True:
            due: Trigger | None = None
            deadline = now
            if self._t7_running and self._t7_marks and self._t7_marks[0][1] <= now:
                due, deadline = Trigger.T7, self._t7_marks[0][1]
            for timer, at in self._deadlines.items():
                if at <= now and (due is None or at < deadline):
                    due, deadline = timer, at
            if due is None:
                return out
            self._deadlines.pop(due, None)
            counter = _EXPIRY_COUNTERS.get(due)
            if counter is not None:
                setattr(self.counters, counter, getattr(self.counters, counter) + 1)
            self._fire(due)

    # --- MTP3 ---------------------------------------------------------------------------------

    def start(self, now: float) -> list[bytes | Event]:
        """Start: align and go in service. Kept until the association is up.

        The buffers of the last time are emptied: retrieve first.
        """
        return self._primitive(Trigger.START, now)

    def stop(self, now: float) -> list[bytes | Event]:
        """Stop: go out of service; the association stays (4.1.6)."""
        return self._primitive(Trigger.STOP, now)

    def set_emergency(self, flag: bool, now: float) -> list[bytes | Event]:
        """Emergency, or Emergency Ceases. Going out of service cancels it (Q.703 figure 8)."""
        return self._primitive(Trigger.EMERGENCY if flag else Trigger.EMERGENCY_CEASES, now)

    def processor_outage(self, now: float) -> list[bytes | Event]:
        """Tell that the own level 3 cannot take messages: they are held back (4.1.4)."""
        return self._primitive(Trigger.PROCESSOR_OUTAGE, now)

    def processor_recovered(self, now: float) -> list[bytes | Event]:
        """Tell that the own level 3 is back. Returns the MSUs held, unless it chose ``flush``."""
        return self._primitive(Trigger.PROCESSOR_RECOVERED, now)

    def flush(self, now: float) -> list[bytes | Event]:
        """Flush: discard what a processor outage held back, and what is to be sent (4.1.4).

        Its moment is during the outage, before ``processor_recovered``.
        """
        return self._primitive(Trigger.FLUSH, now)

    def resume(self, now: float) -> list[bytes | Event]:
        """Continue: keep what a processor outage held back (4.1.4); revokes ``flush``."""
        return self._primitive(Trigger.CONTINUE, now)

    def busy(self, now: float) -> list[bytes | Event]:
        """Tell of local receive congestion: MSUs are held and not acknowledged (4.1.5)."""
        return self._primitive(Trigger.BUSY, now)

    def busy_ended(self, now: float) -> list[bytes | Event]:
        """Tell that local receive congestion is over. Returns the MSUs held."""
        return self._primitive(Trigger.BUSY_ENDED, now)

    # --- the table ----------------------------------------------------------------------------

    def _begin(self, now: float) -> list[bytes | Event]:
        self._now = now
        self._out = []
        return self._out

    def _primitive(self, trigger: Trigger, now: float) -> list[bytes | Event]:
        out = self._begin(now)
        self._fire(trigger)
        if self._level:
            self._check_congestion()
        return out

    def _row(self, trigger: Trigger) -> Row | None:
        for row in TABLE.get((self._state, trigger), ()):
            if row.guard is None or GUARDS[row.guard](self):
                return row
        return None

    def _fire(self, trigger: Trigger, message: LinkStatus | None = None) -> None:
        """Take the row for ``trigger``; raise ``IllegalTransitionError`` when there is none."""
        row = self._row(trigger)
        if row is None:
            raise IllegalTransitionError(self._state, trigger)
        self._take(row, message)

    def _take(self, row: Row, message: LinkStatus | None) -> None:
        self._trigger = row.trigger
        self._message = message
        self._state = row.next
        for action in row.actions:
            ACTIONS[action](self)
        self._derive()

    # --- the slow path -------------------------------------------------------------------------

    def _receive_slowly(self, payload: bytes) -> None:
        """Take one message that the fast path did not recognise."""
        try:
            message = parse(payload)
        except DecodeError as error:
            self.counters.malformed += 1
            self._discard(error.code, error.message)
            if error.code == M2paError.VERSION and _is_alignment(payload):
                row = self._row(Trigger.RX_ALIGNMENT_VERSION)
                if row is not None:
                    self._take(row, None)
            return
        if isinstance(message, LinkStatus):
            self._receive_status(message)
        else:
            self._receive_user_data(message)

    def _receive_status(self, message: LinkStatus) -> None:
        self.counters.statuses_received += 1
        trigger = RECEIVED[message.state]
        row = self._row(trigger)
        if row is None:
            self._unexpected(f"Link Status {message.state.name}")
            return
        if self._state not in DATA_STATES:
            # 4.2.1: a status carries the FSN of the last MSU sent, so the peer's start value.
            self._announced = message.fsn
        self._take(row, message)

    def _receive_user_data(self, message: UserData) -> None:
        if self._state in _ALIGNED:
            self._fire(Trigger.RX_USER_DATA)
        if self._state not in DATA_STATES:
            self._unexpected(f"User Data FSN {message.fsn}")
            return
        counters = self.counters
        fsn = message.fsn
        if message.msu:
            in_order = fsn == self._received + 1 & SEQUENCE_MASK
            if not in_order and fsn == 0 and counters.msus_received == self._msus_before:
                # The peer announced another start than its first MSU has: common practice wins.
                self._received = self._accepted = SEQUENCE_START
                in_order = True
        else:
            # During an outage and after it, FSNs that the peer has yet to take back are no error.
            in_order = fsn == self._received or self._state not in DELIVERS
        if not in_order:
            counters.out_of_order += 1
            self._discard(
                M2paError.FSN, f"User Data FSN {fsn} after {self._received}: out of order (4.2.1)"
            )
            return
        if not self._acknowledge(message.bsn):
            self._abnormal_bsn(message.bsn)
            return
        if not message.msu:
            counters.acknowledgements_received += 1
        elif self._delivering:
            self._received = self._accepted = fsn
            self._account((message.msu,), 0)
            self._out.append(message.msu)
        elif len(self._held) < self.settings.receive_limit:
            self._received = fsn
            self._held.append(message.msu)
            counters.msus_received += 1
            counters.octets_received += DATA_OVERHEAD + len(message.msu)
        else:
            counters.receive_overflow += 1
            self._discard(M2paError.RECEIVE_FULL, f"User Data FSN {fsn}: {len(self._held)} held")

    def _abnormal_bsn(self, bsn: int) -> None:
        """Discard; two in three consecutive messages with User Data fail the link (Q.703 5.3)."""
        counters = self.counters
        counters.abnormal_bsn += 1
        self._discard(M2paError.BSN, f"BSN {bsn}: the last FSN sent is {self._sent}")
        # Messages taken and refused so far number this one.
        number = counters.msus_received + counters.acknowledgements_received + counters.abnormal_bsn
        if number - self._last_abnormal < 3:
            self._fire(Trigger.ABNORMAL_BSN)
        self._last_abnormal = number

    def _unexpected(self, what: str) -> None:
        self.counters.unexpected += 1
        self._discard(M2paError.UNEXPECTED, f"{what} while the link is {self._state}")

    def _discard(self, code: str, detail: str) -> None:
        self.counters.discarded += 1
        self._out.append(Discarded(code, detail))


def _is_alignment(payload: bytes) -> bool:
    """Whether a message of another version would be Link Status Alignment in ours (4.1.9)."""
    try:
        message = parse(b"\x01" + payload[1:])
    except DecodeError:
        return False
    return isinstance(message, LinkStatus) and message.state is Status.ALIGNMENT
