"""The traffic of an M2PA link: sequence numbers, buffers, acknowledgement (RFC 4165 4.2.1).

``Traffic`` is the half of ``Link`` that does not go through the table. ``receive`` and
``data_to_send`` are loops over a batch that touch only local variables; whatever they do not
recognise at a glance leaves the loop for the slow path, which decodes properly.

Sequence numbers (2.2, 4.2.1), all 24 bits and wrapping:

- ``_sent``      FSN of the last MSU sent: what every message but an MSU repeats;
- ``_acked``     BSN last received: ``_retransmit`` holds the MSUs from ``_acked`` + 1 to ``_sent``;
- ``_accepted``  FSN of the last MSU that MTP3 took: the BSN that we send, unless congested;
- ``_confirmed`` the BSN last sent: what we go on sending while congested (4.1.5);
- ``_received``  FSN of the last MSU that came; between ``_accepted`` and it lie the MSUs in
  ``_held``, kept back, unacknowledged, by a local outage (4.1.4) or congestion (4.1.5).

M2PA never retransmits (4.1.1). The retransmission buffer is for retrieval at changeover only.

Left out: TTC's Retrieval Request without FSNC; carrying PRI to and from MTP3; reading the status
stream first (4.1.8), because the transport hands messages over in the order of their arrival.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from trunkline.ss7.m2pa.codec import (
    DATA_WORDS,
    HEADER_SIZE,
    SEQUENCE_MASK,
    SEQUENCE_START,
    STREAM_DATA,
    STREAM_STATUS,
    USER_DATA_WORD,
    WORDS,
    M2paError,
)
from trunkline.ss7.m2pa.events import CongestionAbated, CongestionOnset, Discarded, Event
from trunkline.ss7.m2pa.settings import Counters, Settings
from trunkline.ss7.m2pa.table import DATA_STATES, State, Trigger

__all__ = ["Traffic"]

_EMPTY_SIZE: Final = HEADER_SIZE
DATA_OVERHEAD: Final = HEADER_SIZE + 1  # and the octet with PRI; an MSU follows
_MSU: Final = slice(DATA_OVERHEAD, None)
_HALF: Final = (SEQUENCE_MASK + 1) // 2

# What each state allows to the traffic (4.1.4, 4.1.5; congestion comes on top).
DELIVERS: Final = frozenset({State.IN_SERVICE, State.REMOTE_OUTAGE})
_TRANSMITS: Final = frozenset({State.IN_SERVICE, State.LOCAL_OUTAGE})
_ACKNOWLEDGES: Final = DATA_STATES - {State.RECOVERING, State.RECOVERING_REMOTE_OUTAGE}


class Traffic:
    """Buffers and sequence numbers of one link, and the loops over them."""

    __slots__ = (
        "_accepted",
        "_acked",
        "_acked_total",
        "_acknowledgement_due",
        "_confirmed",
        "_data_line",
        "_deadlines",
        "_delivering",
        "_held",
        "_level",
        "_local_busy",
        "_may_acknowledge",
        "_may_transmit",
        "_now",
        "_out",
        "_received",
        "_remote_busy",
        "_retransmit",
        "_sent",
        "_sent_total",
        "_state",
        "_status_line",
        "_t7_marks",
        "_t7_running",
        "_transmit",
        "counters",
        "settings",
    )

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.counters = Counters()
        self._state = State.ASSOCIATION_DOWN
        self._now = 0.0
        self._out: list[bytes | Event] = []

        self._sent = self._acked = self._accepted = self._received = SEQUENCE_START
        self._confirmed = SEQUENCE_START
        self._transmit: list[bytes] = []
        self._retransmit: list[bytes] = []
        self._held: list[bytes] = []
        self._status_line: list[bytes] = []
        self._data_line: list[bytes] = []
        self._acknowledgement_due = False
        self._level = 0
        self._local_busy = False
        self._remote_busy = False

        # Derived from the state and the marks above after every transition.
        self._delivering = False
        self._may_transmit = False
        self._may_acknowledge = False
        self._t7_running = False

        # T7 per message (4.2.1), one mark per batch sent: (messages sent so far, deadline).
        self._t7_marks: deque[tuple[int, float]] = deque()
        self._sent_total = self._acked_total = 0
        # The table's timers that run.
        self._deadlines: dict[Trigger, float] = {}

    # --- what there is to see -----------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the link is."""
        return self._state

    @property
    def unacknowledged(self) -> int:
        """MSUs sent and not acknowledged: what ``retrieve(None)`` would abandon."""
        return len(self._retransmit)

    @property
    def waiting(self) -> int:
        """MSUs in the transmission buffer."""
        return len(self._transmit)

    @property
    def held(self) -> int:
        """MSUs received and kept back by a local processor outage or congestion."""
        return len(self._held)

    @property
    def congestion_level(self) -> int:
        """Transmit congestion, 0 for none (4.2.2)."""
        return self._level

    @property
    def remote_busy(self) -> bool:
        """Whether the peer announced Busy (4.1.5)."""
        return self._remote_busy

    @property
    def fsn(self) -> int:
        """FSN of the last MSU sent."""
        return self._sent

    # --- in -----------------------------------------------------------------------------------

    def receive(self, batch: Sequence[tuple[int, bytes]], now: float) -> list[bytes | Event]:
        """Take what the association delivered, as (stream, payload) in order."""
        self._now = now
        out: list[bytes | Event] = []
        self._out = out
        append = out.append
        unpack = WORDS.unpack_from
        acknowledge = self._acknowledge
        # -1 is no FSN: in other states nothing matches and everything takes the slow path.
        last = self._received if self._delivering else -1
        expected = last + 1 & SEQUENCE_MASK if self._delivering else -1
        bsn_seen = self._acked
        begin = empties = 0  # from begin on, out holds MSUs that are not accounted for yet
        for _stream, payload in batch:
            size = len(payload)
            if size >= _EMPTY_SIZE:
                head, length, bsn, fsn = unpack(payload)
                if head == USER_DATA_WORD and length == size:
                    if fsn == expected and size > DATA_OVERHEAD:
                        if bsn == bsn_seen or acknowledge(bsn):
                            append(payload[_MSU])
                            bsn_seen = bsn
                            last = fsn
                            expected = fsn + 1 & SEQUENCE_MASK
                            continue
                    elif (
                        fsn == last
                        and size == _EMPTY_SIZE
                        and (bsn == bsn_seen or acknowledge(bsn))
                    ):
                        bsn_seen = bsn
                        empties += 1
                        continue
            if begin < len(out) or empties:
                self._account(cast("list[bytes]", out[begin:]), empties)
                empties = 0
                self._received = self._accepted = last
            self._receive_slowly(payload)
            begin = len(out)
            last = self._received if self._delivering else -1
            expected = last + 1 & SEQUENCE_MASK if self._delivering else -1
            bsn_seen = self._acked
        if begin < len(out) or empties:
            self._account(cast("list[bytes]", out[begin:]), empties)
            self._received = self._accepted = last
        if self._level:
            self._check_congestion()
        return out

    def _account(self, msus: Sequence[bytes], empties: int) -> None:
        counters = self.counters
        counters.acknowledgements_received += empties
        if msus:
            counters.msus_received += len(msus)
            counters.octets_received += sum(map(len, msus)) + len(msus) * DATA_OVERHEAD
            self._acknowledgement_due = True

    def _receive_slowly(self, payload: bytes) -> None:
        """Take one message that the fast path did not recognise."""
        raise NotImplementedError

    # --- out ----------------------------------------------------------------------------------

    def send(self, msus: Sequence[bytes], now: float) -> list[Event]:
        """Queue MSUs (SIO and SIF each) for transmission.

        What does not fit is discarded from the end of ``msus``, counted and reported.
        """
        self._now = now
        events: list[Event] = []
        if self._state not in DATA_STATES:
            count = len(msus)
            self.counters.not_in_service += count
            events.append(
                Discarded(
                    M2paError.NOT_IN_SERVICE, f"{count} MSUs to send while the link is {self.state}"
                )
            )
            return events
        self._transmit.extend(msus)
        settings = self.settings
        backlog = self._backlog()
        excess = min(backlog - settings.transmit_limit, len(msus))
        if excess > 0:
            del self._transmit[-excess:]
            self.counters.transmit_overflow += excess
            events.append(
                Discarded(
                    M2paError.TRANSMIT_FULL,
                    f"{excess} MSUs: {settings.transmit_limit} already wait to be sent",
                )
            )
        onset = settings.congestion_onset
        if self._level < len(onset) and backlog >= onset[self._level]:
            while self._level < len(onset) and backlog >= onset[self._level]:
                self._level += 1
            self.counters.congestion_onsets += 1
            events.append(CongestionOnset(self._level))
        return events

    def data_to_send(self) -> list[tuple[int, bytes]]:
        """Hand over what is to be sent, as (stream, payload), the status stream first (4.1.8).

        T7 of what leaves here runs from the ``now`` that the link was given last.
        """
        out: list[tuple[int, bytes]] = []
        if self._status_line:
            out = [(STREAM_STATUS, payload) for payload in self._status_line]
            self._status_line = []
        if self._data_line:
            out += [(STREAM_DATA, payload) for payload in self._data_line]
            self._data_line = []
        waiting = self._transmit
        if waiting and self._may_transmit:
            room = self.settings.retransmit_limit - len(self._retransmit)
            if room > 0:
                if room >= len(waiting):
                    self._transmit = []
                else:
                    self._transmit = waiting[room:]
                    waiting = waiting[:room]
                self._transmit_batch(waiting, out)
                return out
        if self._acknowledgement_due and self._may_acknowledge:
            # 4.2.1: no MSU to ride on; the FSN is that of the last one.
            self._acknowledgement_due = False
            self.counters.acknowledgements_sent += 1
            empty = WORDS.pack(USER_DATA_WORD, _EMPTY_SIZE, self._confirm(), self._sent)
            out.append((STREAM_DATA, empty))
        return out

    def _confirm(self) -> int:
        """Return the BSN to send: while congested, the one sent before (4.1.5)."""
        if not self._local_busy:
            self._confirmed = self._accepted
        return self._confirmed

    def _transmit_batch(self, msus: list[bytes], out: list[tuple[int, bytes]]) -> None:
        first = self._sent + 1 & SEQUENCE_MASK
        count = len(msus)
        room = SEQUENCE_MASK + 1 - first
        if count > room:  # the numbers begin anew on the way
            self._transmit_batch(msus[:room], out)
            self._transmit_batch(msus[room:], out)
            return
        pack = DATA_WORDS.pack
        bsn = self._confirm()
        out += [
            (STREAM_DATA, pack(USER_DATA_WORD, len(msu) + DATA_OVERHEAD, bsn, fsn, 0) + msu)
            for fsn, msu in enumerate(msus, first)
        ]
        self._sent = first + count - 1
        self._retransmit += msus
        self._sent_total += count
        self._t7_marks.append((self._sent_total, self._now + self.settings.t7))
        if not self._local_busy:
            self._acknowledgement_due = False  # each of them carries the BSN
        counters = self.counters
        counters.msus_sent += count
        counters.octets_sent += sum(map(len, msus)) + count * DATA_OVERHEAD

    # --- changeover ---------------------------------------------------------------------------

    def retrieve_bsnt(self) -> int:
        """Retrieve BSNT: FSN of the last MSU that MTP3 was given, 24 bits (4.2.3)."""
        return self._accepted

    def covers(self, fsnc: int) -> bool:
        """Tell whether ``fsnc`` can be the last FSN that the peer accepted."""
        return 0 <= fsnc <= SEQUENCE_MASK and (fsnc - self._acked & SEQUENCE_MASK) <= len(
            self._retransmit
        )

    def retrieve(self, fsnc: int | None) -> list[bytes]:
        """Retrieval Request and FSNC: hand back unacknowledged, then unsent MSUs; empty both.

        ``fsnc`` is the last FSN that the peer accepted. ``None``, or one that fits no MSU sent,
        gives the unsent alone, as an emergency changeover does (4.2.3); the fate of those sent
        stays unknown and they are counted as abandoned.
        """
        sent = self._retransmit
        if fsnc is not None and self.covers(fsnc):
            messages = sent[fsnc - self._acked & SEQUENCE_MASK :] + self._transmit
        else:
            self.counters.abandoned += len(sent)
            messages = self._transmit
        self.counters.retrieved += len(messages)
        self._forget_outstanding()
        self._transmit = []
        self._level = 0
        return messages

    def _forget_outstanding(self) -> None:
        self._retransmit.clear()
        self._acked = self._sent
        self._acked_total = self._sent_total
        self._t7_marks.clear()

    # --- acknowledgement, congestion, what the state allows ---------------------------------------

    def _acknowledge(self, bsn: int) -> bool:
        """Take a BSN; ``False`` when it acknowledges what was never sent.

        A BSN from behind is no news, not an error: after a flush or a retrieval the peer may still
        acknowledge what we no longer hold.
        """
        count = (bsn & SEQUENCE_MASK) - self._acked & SEQUENCE_MASK
        sent = self._retransmit
        if not count or count >= _HALF:
            return True
        if count > len(sent):
            return False
        if count == len(sent):
            sent.clear()
            # Q.703's T6 supervises messages that wait; none does any longer.
            self._deadlines.pop(Trigger.T6, None)
        else:
            del sent[:count]
        self._acked = bsn & SEQUENCE_MASK
        self._acked_total += count
        marks = self._t7_marks
        while marks and marks[0][0] <= self._acked_total:
            marks.popleft()
        return True

    def _backlog(self) -> int:
        """MSUs that cannot go out at once, for want of window or of the peer's readiness."""
        waiting = len(self._transmit)
        if self._may_transmit:
            return max(0, waiting - (self.settings.retransmit_limit - len(self._retransmit)))
        return waiting

    def _check_congestion(self) -> None:
        abatement = self.settings.congestion_abatement
        backlog = self._backlog()
        level = self._level
        while level and backlog <= abatement[level - 1]:
            level -= 1
        if level != self._level:
            self._level = level
            self._out.append(CongestionAbated(level))

    def _derive(self) -> None:
        """Work out what the traffic may do in the state and marks of now."""
        state = self._state
        self._delivering = state in DELIVERS and not self._local_busy
        self._may_transmit = state in _TRANSMITS and not self._remote_busy
        self._may_acknowledge = state in _ACKNOWLEDGES and not self._local_busy
        # T7 rests while the peer is busy (4.1.5), and during an outage of either side: the peer
        # must not acknowledge then (4.1.4), and an outage is no failure of the link.
        runs = state is State.IN_SERVICE and not self._remote_busy
        if runs and not self._t7_running:
            self._t7_marks.clear()
            if self._retransmit:
                self._t7_marks.append((self._sent_total, self._now + self.settings.t7))
        self._t7_running = runs
