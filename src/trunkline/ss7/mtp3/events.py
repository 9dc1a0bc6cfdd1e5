"""What MTP3 tells the node it runs in. All events are frozen; links appear as objects.

Towards user parts: :class:`Transfer`, :class:`Pause`, :class:`Resume` (the MTP primitives of
Q.701 table 1; MTP-STATUS belongs to signalling traffic flow control, which is not done yet).
The others are for logs, the shell and the console.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.ss7.mtp3.linkset import SLink
    from trunkline.ss7.mtp3.states import DestinationState, LinksetState, LinkState, RouteState
    from trunkline.ss7.mtp3.traffic_test import PingHandle, PingStats
    from trunkline.ss7.pointcode import Prefix

__all__ = [
    "ChangeoverCompleted",
    "ChangeoverStarted",
    "DestinationStatus",
    "Discarded",
    "Diversion",
    "Event",
    "LinkStateChanged",
    "LinkTested",
    "LinksetStateChanged",
    "ManagementReceived",
    "MessagesLost",
    "Pause",
    "PingDone",
    "PingReply",
    "PingTimeout",
    "Resume",
    "RouteStatus",
    "TestFailed",
    "Transfer",
]


class Event:
    """Base of all events of this room."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Transfer(Event):
    """MTP-TRANSFER indication: a message for the local user part ``si``, whole as it came."""

    si: int
    msu: bytes


@dataclass(frozen=True, slots=True)
class Pause(Event):
    """MTP-PAUSE: the destination cannot be reached; messages for it would be discarded."""

    dpc: int


@dataclass(frozen=True, slots=True)
class Resume(Event):
    """MTP-RESUME: the destination can be reached."""

    dpc: int


@dataclass(frozen=True, slots=True)
class DestinationStatus(Event):
    """A destination of the routing table became accessible or inaccessible."""

    prefix: Prefix
    status: DestinationState


@dataclass(frozen=True, slots=True)
class RouteStatus(Event):
    """One route of one destination changed."""

    prefix: Prefix
    linkset: str
    status: RouteState


@dataclass(frozen=True, slots=True)
class LinkStateChanged(Event):
    """A signalling link changed; ``reason`` says what it was that did it."""

    slink: SLink
    state: LinkState
    reason: str


@dataclass(frozen=True, slots=True)
class LinksetStateChanged(Event):
    """A linkset changed."""

    name: str
    state: LinksetState


@dataclass(frozen=True, slots=True)
class LinkTested(Event):
    """A signalling link test was answered after ``rtt`` seconds."""

    slink: SLink
    rtt: float


@dataclass(frozen=True, slots=True)
class TestFailed(Event):
    """A signalling link test failed twice: the link is restarted (Q.707 2.2)."""

    __test__ = False  # it is no test class, whatever pytest takes its name for
    slink: SLink


@dataclass(frozen=True, slots=True)
class ChangeoverStarted(Event):
    """Traffic of a failed link is held until the other end says what it received (Q.704 5)."""

    slink: SLink
    fsn: int | None
    """The last FSN accepted from the failed link, as the XCO says it; ``None``: not known."""


@dataclass(frozen=True, slots=True)
class ChangeoverCompleted(Event):
    """The messages of a failed link go out on the others."""

    slink: SLink
    retrieved: int
    """Messages taken back from level 2."""
    acknowledged: bool
    """Did the other end tell what it had? Otherwise only what was never sent is sent again."""


@dataclass(frozen=True, slots=True)
class Diversion(Event):
    """A link is back: its share of the traffic is held for T3, then moved to it (Q.704 6.4)."""

    slink: SLink
    seconds: float


@dataclass(frozen=True, slots=True)
class MessagesLost(Event):
    """Messages that nobody can vouch for any more: sent and unacknowledged, or not held."""

    slink: SLink | None
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Discarded(Event):
    """Messages refused: ``count`` of them since the last such report, ``detail`` on the latest."""

    code: str
    detail: str
    slink: SLink | None
    count: int = 1


@dataclass(frozen=True, slots=True)
class ManagementReceived(Event):
    """A management message came in; ``acted`` tells whether it has an effect in this version."""

    slink: SLink
    name: str
    acted: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PingReply(Event):
    """A traffic test message came back."""

    ping: PingHandle
    number: int
    rtt: float


@dataclass(frozen=True, slots=True)
class PingTimeout(Event):
    """A traffic test message did not come back, or could not leave: ``reason`` has the code."""

    ping: PingHandle
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class PingDone(Event):
    """A traffic test is over."""

    ping: PingHandle
    stats: PingStats
