"""The nodes' answers on their control sockets as typed values."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import cattrs
from attrs import asdict, field, frozen

from trunkline.errors import TrunklineError
from trunkline.net.control import Json

__all__ = [
    "ActiveCall",
    "Charged",
    "ChargingListener",
    "ChargingStatus",
    "Counters",
    "LinkStatus",
    "Listener",
    "NodeStatus",
    "Ping",
    "ProxyCounters",
    "ProxyStatus",
    "Record",
    "Route",
    "RouteTable",
    "ScriptCounters",
    "read",
]

T = TypeVar("T")


@frozen
class LinkStatus:
    """One link as its node sees it, layer by layer."""

    linkset: str
    slc: int
    sctp: str
    m2pa: str
    mtp3: str
    blocked: bool = False

    @property
    def sctp_up(self) -> bool:
        """Whether the association is there."""
        return self.sctp in ("up", "established")

    @property
    def m2pa_up(self) -> bool:
        """Whether M2PA is in service."""
        return self.m2pa in ("IS", "InService")

    @property
    def up(self) -> bool:
        """Whether MTP3 may use the link."""
        return self.mtp3 == "avail"


@frozen
class NodeStatus:
    """The answer to ``node.status``."""

    name: str
    pid: int
    version: str
    point_code: str | None
    variant: str
    network_indicator: str
    uptime: float
    links: list[LinkStatus]
    exchange: bool = False
    charging: bool | None = None
    """Whether the node that charges its calls can be reached; ``None``: they are not charged."""

    def link(self, linkset: str, slc: int) -> LinkStatus | None:
        """The link with this linkset and SLC."""
        return next((x for x in self.links if (x.linkset, x.slc) == (linkset, slc)), None)


@frozen
class Counters:
    """The answer to ``node.counters``; a link's key is ``LINKSET:SLC``."""

    links: dict[str, dict[str, int]]
    discards: dict[str, int] = field(factory=dict)
    lost: int = 0

    def received(self, linkset: str, slc: int) -> int:
        """MSUs that came in on a link; 0 when the node does not have the link."""
        return self.links.get(f"{linkset}:{slc}", {}).get("mtp3_msus_received", 0)


@frozen
class Listener:
    """An address that a proxy listens on, and what it is called outside; both ``HOST:PORT``."""

    transport: str
    address: str
    advertised: str


@frozen
class ProxyStatus:
    """The answer to ``node.status`` of one worker of a SIP proxy."""

    name: str
    pid: int
    version: str
    uptime: float
    script: str
    reloads: int
    worker: int
    workers: int
    listen: list[Listener]


@frozen
class ChargingListener:
    """An address that a charging node listens on, ``HOST:PORT``."""

    transport: str
    address: str


@frozen
class ChargingStatus:
    """The answer to ``node.status`` of a charging node."""

    name: str
    pid: int
    version: str
    uptime: float
    tariff: str
    listen: list[ChargingListener]


@frozen
class ScriptCounters:
    """What became of the script's handlers."""

    script_errors: int = 0
    undecided: int = 0
    faults: int = 0


@frozen
class ProxyCounters:
    """The answer to ``node.counters`` of one worker of a SIP proxy, as far as it is looked at."""

    transactions: dict[str, int]
    script: ScriptCounters
    stateless: dict[str, int] = field(factory=dict)

    @property
    def requests(self) -> int:
        """Requests that came in and were no repetition; all of them where there is no state."""
        return self.transactions.get("requests", 0) + self.stateless.get("requests", 0)

    @property
    def errors(self) -> int:
        """What went wrong in the script, or in Trunkline itself."""
        return self.script.script_errors + self.script.undecided + self.script.faults


@frozen
class Route:
    """One route of a table."""

    destination: str
    linkset: str
    msus_sent: int


@frozen
class RouteTable:
    """The answer to ``ss7.routes``."""

    routes: list[Route]

    def sent_over(self, linksets: Collection[str]) -> int:
        """User messages that the table sent over ``linksets``; level 3's own are not routed."""
        return sum(route.msus_sent for route in self.routes if route.linkset in linksets)


@frozen
class Ping:
    """The answer to ``ss7.ping``; times in milliseconds, ``loss`` in percent."""

    sent: int
    received: int
    rtt_ms: list[float] = field(factory=list)
    min: float | None = None
    avg: float | None = None
    max: float | None = None
    loss: float = 0.0


@frozen
class ActiveCall:
    """A call that has not ended."""

    id: str
    state: str = ""
    calling: str = ""
    called: str = ""
    direction: str = ""


@frozen
class Charged:
    """How a call was charged."""

    account: str
    request_type: str
    usage: int
    """Nanoseconds."""
    cost: str | None
    ended: str
    """Why charging ended the call; empty where it did not."""
    error: str
    """Why there is no cost, or it may not be the last word."""
    steps: list[tuple[float, str]]
    """Seconds since the call was asked for, and what was said."""


@frozen
class Record:
    """One call as one exchange saw it; times in seconds since the epoch, UTC."""

    id: str
    exchange: str
    direction: str
    calling: str
    called: str
    start: float
    answer: float | None
    end: float
    duration: float
    """Seconds from the answer to the end; 0 for a call that nobody answered."""
    cause: int
    cause_text: str
    opc: str
    dpc: str | None
    """``None``, as ``cic``, for a call that found no circuit."""
    cic: int | None
    cost: str | None = None
    """``None`` for a call that was not priced."""
    rating: dict[str, object] | None = None
    """How the cost came about, or ``error`` alone: why there is none."""
    charging: Charged | None = None
    """What charging was asked and answered, where the call was charged."""

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


_converter = cattrs.Converter()
_converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)


def read(answer: Json, kind: type[T]) -> T:
    """``answer`` as a ``kind``; members that are not known here are passed over.

    Raises:
        TrunklineError: ``lab.answer`` when it is not of that shape.
    """
    try:
        return _converter.structure(answer, kind)
    except (cattrs.BaseValidationError, TypeError, ValueError) as error:
        raise TrunklineError(
            "lab.answer",
            f"a node gave an answer that is not understood here ({kind}); "
            "are the node and this command of the same version?",
        ) from error
