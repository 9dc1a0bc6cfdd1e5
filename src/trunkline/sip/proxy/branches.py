"""Targets and branches: where a request is to go, and what became of it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from trunkline.sip.message import Response
from trunkline.sip.transaction import ClientTransaction
from trunkline.sip.transport import Flow

if TYPE_CHECKING:
    from trunkline.sip.proxy.context import ResponseContext

__all__ = ["Branch", "Hops", "Target", "listed"]

Hops: TypeAlias = "Callable[[float], Flow | None]"
"""Gives the next hop to try at a time, one at each call; ``None``: there is no other."""


class _Listed:
    __slots__ = ("_flows", "_next")

    def __init__(self, flows: tuple[Flow, ...]) -> None:
        self._flows = flows
        self._next = 0

    def __call__(self, now: float) -> Flow | None:
        at = self._next
        if at >= len(self._flows):
            return None
        self._next = at + 1
        return self._flows[at]


def listed(*flows: Flow) -> Hops:
    """Hops that are known: these, in this order."""
    return _Listed(flows)


@dataclass(slots=True)
class Target:
    """One element of a target set (section 16.5), with the way to it found out already.

    ``hops`` gives the next hops in the order in which they are tried (RFC 3263 section 4.3).
    """

    uri: str
    hops: Hops
    routes: tuple[str, ...] = ()
    """Route values to be pushed, such as the Path of a registration (RFC 3327 section 5.4)."""
    q: float = 1.0
    flows: bool = False
    """Whether the hops are flows to one user agent (RFC 5626 section 7) and not equal servers."""


class Branch:
    """A target that a request was sent to; the ``user`` of its client transactions."""

    __slots__ = (
        "breadth",
        "client",
        "context",
        "detail",
        "fallback",
        "flow",
        "patience",
        "pending",
        "refused",
        "response",
        "ringing",
        "target",
        "unsent",
    )

    def __init__(self, context: ResponseContext, target: Target, breadth: int) -> None:
        self.context = context
        self.target = target
        self.breadth = breadth
        self.flow: Flow | None = None
        """By which it was last sent."""
        self.fallback: Flow | None = None
        """By which it is sent again if the stream that its size asks for cannot be opened."""
        self.refused = False
        """Whether that has happened: the present hop is sent to by UDP, whatever the size."""
        self.client: ClientTransaction | None = None
        """The transaction with the present hop, until it has a final response or none comes."""
        self.pending = True
        """Whether it has no final response yet, and may get one."""
        self.response: Response | None = None
        """Its final response over 299, until one is passed back; one of our own if none came."""
        self.detail = ""
        """Why there was no response."""
        self.unsent = 480
        """What it ends by where it cannot be sent anywhere."""
        self.ringing = False
        """Whether any response came by the present hop."""
        self.patience = 0.0
        """When timer C fires (section 16.8); 0: it never ran."""

    def expects(self, name: str) -> bool:
        """Whether its timer means anything."""
        return self.pending
