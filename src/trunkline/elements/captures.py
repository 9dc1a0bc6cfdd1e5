"""Captures: what crosses the transport seam of a node, or of one of its links, into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from trunkline.errors import TrunklineError
from trunkline.net.sctp import AssociationSettings, Packet
from trunkline.observe.pcap import PcapWriter

__all__ = ["Capture", "tap_of"]


class Capture:
    """One capture under way; ``link`` restricts it to one association's packets.

    A file that can take no more ends the capture, not the traffic: ``failure`` then says why.
    """

    def __init__(
        self, path: Path, link: AssociationSettings | None, on_close: Callable[[Capture], None]
    ) -> None:
        self._writer = PcapWriter(path)
        self._link = link
        self._on_close = on_close
        self._closed = False
        self.path = path
        self.failure: TrunklineError | None = None

    def __call__(self, packet: Packet) -> None:
        """Write ``packet`` if it belongs to the link."""
        if self._closed or not (self._link is None or _belongs(packet, self._link)):
            return
        try:
            self._writer.write(packet.time, packet.source, packet.destination, packet.sctp)
        except TrunklineError as problem:
            self.failure = problem
            self.close()

    @property
    def counts(self) -> tuple[int, int]:
        """Packets written, and packets dropped because the file was full."""
        return self._writer.packets, self._writer.dropped

    def close(self) -> None:
        """Finish the file."""
        if self._closed:
            return
        self._closed = True
        try:
            self._writer.close()
        except TrunklineError as problem:
            self.failure = self.failure or problem
        self._on_close(self)


def _belongs(packet: Packet, link: AssociationSettings) -> bool:
    near, far = packet.source, packet.destination
    if not packet.sent:
        near, far = far, near
    if near not in link.local or far not in link.remote:
        return False
    # source and destination port, RFC 9260 section 3.1
    ports = int.from_bytes(packet.sctp[:2]), int.from_bytes(packet.sctp[2:4])
    mine = (link.local_port, link.remote_port)
    return (ports if packet.sent else ports[::-1]) == mine


def tap_of(captures: Iterable[Capture]) -> Callable[[Packet], None] | None:
    """One tap for all ``captures``, or ``None`` for none: then the seam pays nothing."""
    listed = tuple(captures)
    if not listed:
        return None

    def tap(packet: Packet) -> None:
        for capture in listed:
            capture(packet)

    return tap
