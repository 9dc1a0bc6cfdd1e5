"""A way to a collector of captures: datagrams that leave now or never.

A capture must not slow down what it captures. What the socket's buffer has no room for, or is too
long for a datagram, is dropped and counted. That nobody listens shows one datagram later (ICMP),
and is counted too; the sending goes on, as the collector may come back.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from trunkline.errors import TrunklineError
from trunkline.sip.transport import Address, written

__all__ = ["Collector", "CollectorCounters"]


@dataclass(slots=True)
class CollectorCounters:
    """What became of packets."""

    sent: int = 0
    dropped: int = 0
    """Packets that the system did not take: no room, or too long."""
    refused: int = 0
    """How often the collector's host said that nobody listens there."""


class Collector:
    """A UDP socket towards one collector.

    Raises:
        TrunklineError: ``hep.collector``: the system has no way to that address.
    """

    def __init__(self, address: Address) -> None:
        self.counters = CollectorCounters()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(address)
        except OSError as problem:
            self._socket.close()
            raise TrunklineError(
                "hep.collector", f"no way to the collector {written(address)}: {problem.strerror}"
            ) from problem

    def send(self, packet: bytes) -> None:
        """Send ``packet``, or count it."""
        for _ in range(2):
            try:
                self._socket.send(packet)
            except OSError as problem:
                if problem.errno == errno.ECONNREFUSED:  # about one before; this one was not tried
                    self.counters.refused += 1
                    continue
                self.counters.dropped += 1
                return
            self.counters.sent += 1
            return
        self.counters.dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
