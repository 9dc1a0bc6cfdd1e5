"""A tap for the back ends that own no packets: Linux packet sockets, filtered to SCTP.

Shows what this machine's interfaces carry from and to the addresses that are listened on. Needs
CAP_NET_RAW. Fragments of IP packets are skipped and counted as dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import time
from collections.abc import Iterable
from typing import Final

from trunkline.errors import TrunklineError

from .interface import Packet, StackStats, Tap

__all__ = ["Sniffer"]

_ETH_P_ALL: Final = 0x0003
_SO_ATTACH_FILTER: Final = 26
_OUTGOING: Final = 4  # PACKET_OUTGOING
_MINIMUM: Final = 32  # an IP header and an SCTP common header

# Classic BPF on the IP packet: the protocol octet (9) is 132, else nothing.
_FILTER: Final = (
    struct.pack("=HBBI", 0x30, 0, 0, 9)  # ldb [9]
    + struct.pack("=HBBI", 0x15, 0, 1, 132)  # jeq #132
    + struct.pack("=HBBI", 0x06, 0, 0, 0x40000)  # ret all
    + struct.pack("=HBBI", 0x06, 0, 0, 0)  # ret nothing
)


class Sniffer:
    """Off until it is given a tap."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stats: StackStats) -> None:
        self._loop = loop
        self._stats = stats
        self._own: set[str] = set()
        self._tap: Tap | None = None
        self._socket: socket.socket | None = None

    def add(self, addresses: Iterable[str]) -> None:
        """Show packets from and to these addresses of ours."""
        self._own.update(addresses)

    def set_tap(self, tap: Tap | None) -> None:
        """Show packets to ``tap`` from now on; ``None`` closes the socket."""
        self._tap = tap
        if tap is None:
            self.close()
        elif self._socket is None:
            self._open()

    def _open(self) -> None:
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        except PermissionError:
            raise TrunklineError(
                "sctp.capture", "to capture packets of this SCTP back end takes root"
            ) from None
        code = ctypes.create_string_buffer(_FILTER, len(_FILTER))
        program = struct.pack("@HP", len(_FILTER) // 8, ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
        sock.setblocking(False)
        self._socket = sock
        self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(256):
                if self._socket is None or self._tap is None:
                    return
                octets, (_, _, direction, *_) = self._socket.recvfrom(65536)
                self._show(octets, direction == _OUTGOING)

    def _show(self, octets: bytes, outgoing: bool) -> None:
        if len(octets) < _MINIMUM or octets[0] >> 4 != 4 or self._tap is None:
            return
        source, destination = (".".join(map(str, octets[i : i + 4])) for i in (12, 16))
        # On loopback every packet passes twice, once each way: each end's view takes its own.
        if (source if outgoing else destination) not in self._own:
            return
        if int.from_bytes(octets[6:8], "big") & 0x3FFF:  # more fragments, or an offset
            self._stats.dropped += 1
            return
        header = (octets[0] & 0x0F) * 4
        end = int.from_bytes(octets[2:4], "big")
        packet = octets[header:end]
        if outgoing:
            self._stats.packets_out += 1
            self._stats.octets_out += len(packet)
        else:
            self._stats.packets_in += 1
            self._stats.octets_in += len(packet)
        self._tap(Packet(time.time(), source, destination, outgoing, packet))
