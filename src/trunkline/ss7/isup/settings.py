"""The settings of an exchange's ISUP: timers of Q.764 Table A.1, what it says of itself, bounds."""

from __future__ import annotations

from dataclasses import dataclass, fields

from trunkline.errors import TrunklineError
from trunkline.ss7.isup.cause import Location
from trunkline.ss7.isup.circuits import Timer
from trunkline.ss7.isup.codec import MAX_CIC

__all__ = ["Counters", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Raises :class:`TrunklineError` ``isup.settings`` for a value that cannot work."""

    t1: float = 15.0
    """Seconds, 15-60: REL is repeated."""
    t5: float = 300.0
    """Seconds, 300-900: REL is given up, the circuit is reset."""
    t7: float = 25.0
    """Seconds, 20-30: no ACM or CON came."""
    t9: float = 120.0
    """Seconds, 90-180 (Q.118): no answer came."""
    t16: float = 15.0
    """Seconds, 15-60: RSC is repeated."""
    t17: float = 300.0
    """Seconds, 300-900: maintenance is alerted, RSC is repeated at this pace."""
    location: int = Location.PUBLIC_NETWORK_LOCAL_USER
    """Location in the causes that the exchange gives itself."""
    sls_mask: int = 0x0F
    """SLS of a message: these low bits of its CIC (Q.704 2.2.4 for the 4-bit SLS)."""
    repeat_attempts: int = 3
    """How often a call may be tried again on another circuit (Q.764 2.8.1)."""
    circuit_limit: int = 65_536
    """Circuits of this exchange, and so calls: each call takes one."""
    transmit_limit: int = 65_536
    """Messages waiting for ``data_to_send``; beyond, they are discarded and counted."""

    def __post_init__(self) -> None:
        for timer in Timer:
            if self.seconds(timer) < 0.001:
                raise TrunklineError("isup.settings", f"{timer.value} must be at least 1 ms")
        if not 0 < self.circuit_limit <= 256 * (MAX_CIC + 1) or self.transmit_limit < 1:
            raise TrunklineError("isup.settings", "circuit_limit or transmit_limit out of range")

    def seconds(self, timer: Timer) -> float:
        """How long the timer runs."""
        seconds: float = getattr(self, timer.name.lower())
        return seconds


@dataclass(slots=True)
class Counters:
    """What happened so far; every figure only rises."""

    calls_outgoing: int = 0
    calls_incoming: int = 0
    calls_answered: int = 0
    calls_failed: int = 0
    repeat_attempts: int = 0
    dual_seizures: int = 0
    releases_repeated: int = 0
    resets_sent: int = 0
    confusions_sent: int = 0
    confusions_received: int = 0
    unexpected: int = 0
    """Messages that the call table discards or answers by a reset (2.9.5.1)."""
    discarded: int = 0
    """Messages refused before they reached the call table."""
    transmit_overflow: int = 0
    messages_sent: int = 0
    messages_received: int = 0

    def as_dict(self) -> dict[str, int]:
        """Name and figure of every counter."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
