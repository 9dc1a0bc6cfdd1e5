"""What MTP3 needs of the level below: a protocol that :class:`trunkline.ss7.m2pa.link.Link` meets.

Standards: the level 2 primitives of Q.704 clause 2 and Q.703, with the 24-bit sequence numbers
of RFC 4165 4.2.3. Anything else that meets the protocol will do: M2UA's signalling gateway is next.

What ``receive`` and the other methods return goes into :meth:`.Router.receive`: ``bytes`` are MSUs,
:class:`InService` and its neighbours are acted on, other objects are passed on to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

__all__ = ["Item", "SignallingLink"]

Item: TypeAlias = object
"""An MSU as ``bytes``, or an event of level 2."""


class SignallingLink(Protocol):
    """One signalling link's level 2. Every method takes the time ``now`` in seconds."""

    def start(self, now: float) -> Sequence[Item]:
        """Align the link; the answer is InService or OutOfService."""

    def stop(self, now: float) -> Sequence[Item]:
        """Take the link out of service; its buffers stay until they are retrieved."""

    def set_emergency(self, flag: bool, now: float) -> Sequence[Item]:
        """Use the short proving period at the next alignment (Q.703 7.2)."""

    def send(self, msus: Sequence[bytes], now: float) -> Sequence[Item]:
        """Send a batch, in order."""

    def retrieve_bsnt(self) -> int | None:
        """Return the FSN of the last message accepted from the other end, if it is known."""

    def retrieve(self, fsnc: int | None) -> list[bytes]:
        """Empty the buffers: messages after ``fsnc``, or without one only those never sent."""

    def covers(self, fsnc: int) -> bool:
        """Tell whether ``fsnc`` is a number that ``retrieve`` can go by."""

    @property
    def unacknowledged(self) -> int:
        """Messages sent that the other end has not acknowledged."""
