"""What one node's MTP3 is told once: identity, timers, bounds.

Timers carry the names and, unless noted, lie inside the ranges of ITU-T Q.704 clause 16.8 and
Q.707 clause 5.5. All are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.errors import TrunklineError
from trunkline.ss7.mtp3.message import Label, ServiceIndicator, label_of
from trunkline.ss7.pointcode import Variant

__all__ = ["MAX_SIF", "Mtp3Settings"]

MAX_SIF = 272
"""Octets of the signalling information field (Q.703 2.3.8), routing label included."""

_USER_PARTS = frozenset(ServiceIndicator) - {
    ServiceIndicator.MANAGEMENT,
    ServiceIndicator.TEST,
    ServiceIndicator.TEST_SPECIAL,
    ServiceIndicator.MTP_TESTING,
}


@dataclass(frozen=True, slots=True)
class Mtp3Settings:
    """Identity, timers and bounds of one signalling point."""

    variant: Variant
    network_indicator: int
    """0 international, 1 spare, 2 national, 3 reserved for national use (Q.704 14.2.2)."""
    point_code: int
    transfer: bool = True
    """Is this a signalling transfer point? Otherwise messages for others are refused."""
    user_parts: frozenset[int] = frozenset(map(int, _USER_PARTS))
    """Service indicators that somebody here takes; the MTP's own need no entry."""
    sls_bits: int | None = None
    """Bits of SLS that take part in load sharing; 5 in older ANSI networks (default: 8)."""

    t2: float = 1.0
    """Waiting for the changeover acknowledgement (0.7 to 2 s)."""
    t3: float = 1.2
    """Time-controlled diversion: how long changeback holds traffic (0.5 to 1.2 s). No less than
    level 2's T7: a link that stalls in that moment must have failed, and its messages be back,
    before newer ones take another link."""
    t8: float = 1.0
    """Between two TFP by the response method for one destination and neighbour (0.8 to 1.2 s).
    Also the shortest time between a TFP and the TFA that revokes it, so that a route that flaps
    costs its neighbours two messages a second at most."""
    t10: float = 30.0
    """Between two signalling-route-set-tests of what a neighbour has prohibited (30 to 60 s)."""
    t17: float = 1.0
    """Before a failed link is aligned again (0.8 to 1.5 s)."""
    slt_t1: float = 4.0
    """Waiting for the SLTA (4 to 12 s)."""
    slt_t2: float = 60.0
    """Between two tests of a link in service (30 to 90 s)."""
    loop_t: float = 1.0
    """A probe that has not come back by then went in no circle (:mod:`.loops`; our own)."""
    report_interval: float = 1.0
    """Discards of one code on one link are reported once in this time, with their number."""

    flow_limit: int = 32768
    """Entries of the route cache of one incoming linkset; when full it is emptied and refilled."""
    decision_limit: int = 8192
    """Routing decisions remembered; when full they are forgotten and taken afresh."""
    changeover_limit: int = 8192
    """Messages held during a changeover of one linkset; those beyond are discarded and counted."""
    prohibited_limit: int = 8192
    """Destinations that one neighbour may prohibit; a TFP beyond is ignored and counted."""
    told_limit: int = 16384
    """TFP that await their TFA, over all neighbours; beyond it none is sent, and it is counted."""
    watch_limit: int = 8192
    """Destinations watched because users send there, beside those that they ask for; the oldest is
    forgotten."""
    loop_probe_limit: int = 256
    """Questions whether a way is a circle under way; beyond it a suspicion waits."""
    loop_limit: int = 4096
    """Ways known to be circles; for one more, the mark set first is lifted."""
    ping_limit: int = 64
    """Traffic tests at a time."""

    label: Label = field(init=False, repr=False, compare=False)
    """Layout of the routing label."""

    def __post_init__(self) -> None:
        self.variant.check(self.point_code)
        if not 0 <= self.network_indicator <= 3:
            raise TrunklineError(
                "mtp3.range", f"network indicator {self.network_indicator} is outside 0 to 3"
            )
        object.__setattr__(self, "label", label_of(self.variant, self.sls_bits))

    @property
    def rotates(self) -> bool:
        """Does the SLS rotate by one bit at every node (T1.111.5)?"""
        return self.variant.name == "ansi"
