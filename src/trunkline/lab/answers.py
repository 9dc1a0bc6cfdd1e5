"""The nodes' answers on their control sockets as typed values."""

from __future__ import annotations

from typing import TypeVar

import cattrs
from attrs import field, frozen

from trunkline.errors import TrunklineError
from trunkline.net.control import Json

__all__ = ["ActiveCall", "Counters", "LinkStatus", "NodeStatus", "Ping", "read"]

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
    def up(self) -> bool:
        """Whether MTP3 may use the link."""
        return self.mtp3 == "avail"


@frozen
class NodeStatus:
    """The answer to ``node.status``."""

    name: str
    pid: int
    version: str
    point_code: str
    variant: str
    network_indicator: str
    uptime: float
    links: list[LinkStatus]
    exchange: bool = False

    def link(self, linkset: str, slc: int) -> LinkStatus | None:
        """The link with this linkset and SLC."""
        return next((x for x in self.links if (x.linkset, x.slc) == (linkset, slc)), None)


@frozen
class Counters:
    """The answer to ``node.counters``; a link's key is ``LINKSET:SLC``."""

    links: dict[str, dict[str, int]]
    discards: dict[str, int] = field(factory=dict)
    lost: int = 0

    def of(self, linkset: str, slc: int, name: str) -> int:
        """One counter of one link; 0 when the node does not have the link."""
        return self.links.get(f"{linkset}:{slc}", {}).get(name, 0)


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


_converter = cattrs.Converter()


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
