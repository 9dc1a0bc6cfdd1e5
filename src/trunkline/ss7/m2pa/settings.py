"""The named timers and bounds of an M2PA link, and its counters.

Defaults are those of Q.703 clause 12.3 for 64 kbit/s (RFC 4165 section 4 refers to it), within
the ranges quoted beside them. The ranges are quoted from general knowledge of Q.703; its text was
not at hand to be checked.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from trunkline.errors import TrunklineError
from trunkline.ss7.m2pa.codec import M2paError

__all__ = ["Counters", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, bounds in messages.

    Raises ``TrunklineError`` (``m2pa.settings``) when a value makes no sense.
    """

    t1: float = 45.0
    """Aligned, waiting for the peer's Ready. Q.703: 40 to 50 s."""
    t2: float = 5.0
    """Not aligned, waiting for the peer's Alignment. Q.703: 5 to 150 s."""
    t3: float = 1.0
    """Aligned, waiting for the peer's Proving. Q.703: 1 to 2 s."""
    t4_normal: float = 8.0
    """Proving period. Q.703: 7.5 to 9.5 s. 0 omits proving (RFC 4165 4.1.3)."""
    t4_emergency: float = 0.5
    """Emergency proving period. Q.703: 0.4 to 0.6 s."""
    t5: float = 0.0
    """Interval of repeated Busy. Q.703 repeats SIB every 80 to 120 ms; RFC 4165 4.1.5 advises
    against repeating, so 0, the default, sends Busy once."""
    t6: float = 4.0
    """The peer is busy and owes acknowledgements. Q.703: 3 to 6 s."""
    t7: float = 1.0
    """Any one message without acknowledgement (RFC 4165 4.2.1). Q.703: 0.5 to 2 s."""
    proving_interval: float = 0.1
    """Proving_Interval of RFC 4165 4.1.3: time between two Proving messages."""
    proving_filler: int = 100
    """Octets of filler in a Proving message, about the size of an MSU (RFC 4165 2.3.2.1)."""
    status_interval: float = 1.0
    """Time between repeated Alignment, or Ready, messages while T2, or T1, runs (RFC 4165 4.1.3:
    "MAY send additional"). 0 sends them once."""

    retransmit_limit: int = 8192
    """Messages sent and not acknowledged. Beyond it they wait in the transmission buffer."""
    transmit_limit: int = 8192
    """Messages that wait to be sent. Beyond it they are discarded and counted."""
    receive_limit: int = 8192
    """Messages held back during a local processor outage or congestion. Beyond it they are
    discarded and counted."""
    congestion_onset: tuple[int, ...] = (2048, 4096, 6144)
    """Backlog at which congestion level 1, 2, ... begins (Q.704 3.8)."""
    congestion_abatement: tuple[int, ...] = (1024, 3072, 5120)
    """Backlog at which congestion level 1, 2, ... ends; below the onset of the same level."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and value < 0:
                raise TrunklineError(M2paError.SETTINGS, f"{field.name} = {value}: negative")
        for name in ("t1", "t2", "t3", "t6", "t7", "proving_interval"):
            if getattr(self, name) == 0:
                raise TrunklineError(M2paError.SETTINGS, f"{name} = 0: this timer cannot be off")
        for name in ("retransmit_limit", "transmit_limit", "receive_limit"):
            if getattr(self, name) == 0:
                raise TrunklineError(M2paError.SETTINGS, f"{name} = 0: room for one at least")
        onset, abatement = self.congestion_onset, self.congestion_abatement
        if len(onset) != len(abatement) or any(
            low >= high for low, high in zip(abatement, onset, strict=True)
        ):
            raise TrunklineError(
                M2paError.SETTINGS,
                f"congestion_abatement {abatement} must hold one lower value for each of "
                f"congestion_onset {onset}",
            )
        if list(onset) != sorted(set(onset)) or list(abatement) != sorted(set(abatement)):
            raise TrunklineError(M2paError.SETTINGS, "congestion thresholds must ascend")


@dataclass(slots=True)
class Counters:
    """What a link has seen since it was made. Only ever incremented."""

    msus_sent: int = 0
    msus_received: int = 0
    octets_sent: int = 0
    """M2PA octets of the MSUs sent, headers included."""
    octets_received: int = 0
    """M2PA octets of the MSUs received, headers included."""
    acknowledgements_sent: int = 0
    """Empty User Data; an acknowledgement that rides on an MSU is not counted."""
    acknowledgements_received: int = 0
    statuses_sent: int = 0
    statuses_received: int = 0

    alignments: int = 0
    """Times that an initial alignment began."""
    in_service: int = 0
    out_of_service: int = 0
    """Times that MTP3 was told so."""
    t1_expired: int = 0
    t2_expired: int = 0
    t3_expired: int = 0
    t6_expired: int = 0
    t7_expired: int = 0
    local_outages: int = 0
    remote_outages: int = 0
    local_busy: int = 0
    remote_busy: int = 0
    congestion_onsets: int = 0

    discarded: int = 0
    """All refused input, whatever the code."""
    malformed: int = 0
    """... of which the codec refused."""
    out_of_order: int = 0
    """... of which for their FSN."""
    abnormal_bsn: int = 0
    """... of which for a BSN that acknowledges what was never sent."""
    unexpected: int = 0
    """... of which in a state that has no use for them."""
    receive_overflow: int = 0
    """... of which for lack of room while MSUs are held back."""
    transmit_overflow: int = 0
    """MSUs of MTP3 discarded for lack of room."""
    not_in_service: int = 0
    """MSUs of MTP3 discarded because the link is not in service."""
    flushed: int = 0
    """MSUs dropped, sent or received, because MTP3 or the peer flushed a processor outage."""
    retrieved: int = 0
    """MSUs handed back to MTP3 for changeover."""
    abandoned: int = 0
    """MSUs in the buffers that nobody retrieved before the link started anew, and those whose
    fate an emergency changeover leaves unknown."""
