"""What ``show cs7 route explain`` says: the routing decision, with the link that carries it.

Nothing is decided here. The record is :class:`.routes.Decision`, made by the call that also routes
messages, and the link is looked up where messages find it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from trunkline.ss7.mtp3.linkset import Hold, SLink, Target
from trunkline.ss7.mtp3.routes import Candidate, Decision, Outcome, Reason, Route

__all__ = ["OUTCOMES", "REASONS", "Explanation"]

REASONS = MappingProxyType(
    {
        Reason.SELECTED: "carries the traffic, or its share by SLS",
        Reason.LOWER_PRIORITY: "usable; a route of this destination has a lower priority figure",
        Reason.SHORTER_MASK: "usable; a destination with a longer mask has a usable route",
        Reason.LINKSET_UNAVAILABLE: "no link of the linkset is available",
        Reason.LINKSET_SHUTDOWN: "the linkset is shut down",
        Reason.PROHIBITED: "the neighbour has sent a TFP for this point code",
        Reason.CAME_FROM: "the message came in over this linkset: it would circle",
        Reason.LOOP: "what was sent this way came back: the tables of the nodes there circle",
    }
)
"""Every reason code of a route, in words."""

OUTCOMES = MappingProxyType(
    {
        Outcome.FORWARD: "sent on",
        Outcome.LOCAL: "the destination is this node",
        Outcome.UNKNOWN: "discarded: no route covers the destination; add one",
        Outcome.UNAVAILABLE: "discarded: none of its routes can be used now",
        Outcome.LOOP: "discarded: every way leads back to where the message came from, or here",
    }
)
"""Every outcome, in words."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision and what it came to."""

    decision: Decision
    sls: int
    """The SLS that was asked for; the choice within a combined linkset hangs on it."""
    winner: Route | None
    """The route that carries the message; ``None`` if it is delivered here or discarded."""
    target: Target | None
    """The link that carries it, or the hold where it waits during a changeover."""

    @property
    def dpc(self) -> int:
        """The destination asked for."""
        return self.decision.dpc

    @property
    def outcome(self) -> Outcome:
        """What becomes of the message."""
        return self.decision.outcome

    @property
    def link(self) -> SLink | None:
        """The link that carries the message now."""
        return self.target if isinstance(self.target, SLink) else None

    @property
    def held(self) -> bool:
        """Is the message held by a changeover or diversion?"""
        return isinstance(self.target, Hold)

    @property
    def losers(self) -> tuple[Candidate, ...]:
        """Every other route that covers the destination, with its reason code.

        A route with the code ``selected`` among them takes other values of SLS.
        """
        return tuple(c for c in self.decision.candidates if c.route is not self.winner)
