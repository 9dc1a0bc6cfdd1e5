"""A request on its way without a transaction: an ACK for a 2xx, or any without state."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.sip.message import Request
from trunkline.sip.transport import Flow
from trunkline.sip.via import COOKIE

__all__ = ["Passing", "ack_branch"]

_BITS = 0xFFFFFFFFFFFFFFFF


@dataclass(slots=True)
class Passing:
    """A request, its Routes that were ours removed; section 16.11."""

    request: Request
    flow: Flow
    """By which it came."""
    routed: bool
    """Whether one of its Routes was ours: see `Proxy`."""
    branch: str
    """By which it is sent on: the same each time that it comes."""
    back: Flow | None = None
    """Where an answer of our own goes; ``None``: nothing answers an ACK."""
    traced: bool = False
    """Whether it is shown to the tap."""
    stateless: bool = False
    """Whether no request has a transaction here."""


def ack_branch(request: Request, call_id: str) -> str:
    """Return the branch for an ACK, made of its top Via: an ACK that comes again gets it again.

    It is unique as far as Via and Call-ID are. Nothing is hidden in it, since nothing answers it.
    """
    headers = request.headers
    via = headers.rows[headers.names.index("via")]
    return f"{COOKIE}a{hash((via, call_id)) & _BITS:016x}"
