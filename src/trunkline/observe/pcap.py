"""Capture files that Wireshark reads with no settings: raw IP packets carrying SCTP or UDP.

The SCTP packets come from the transport seam, where they are real (INIT, SACK, TSN, CRC32c) but
have no IP header when the transport is UDP or a library; the header written here has the
configuration's addresses, so a capture looks the same on every back end.

SIP messages are written as UDP datagrams between the ends of their flow, whatever carried them: one
packet a message, also where TLS hid it on the wire. Format: classic pcap, nanosecond stamps, link
type 101 (LINKTYPE_RAW).
"""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from trunkline.errors import TrunklineError
from trunkline.sip.transport import Address

if TYPE_CHECKING:
    from trunkline.observe.recorder import SeenMessage

__all__ = ["PcapWriter", "ends_of", "packed_pair"]

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINKTYPE_RAW = 101
_SNAPLEN = 65535
_IPPROTO_UDP = 17
_IPPROTO_SCTP = 132
_HOP_LIMIT = 64
_MOST_PAIRS = 10_000  # of addresses whose octets are kept; then they are found anew
_FILE_HEADER = struct.Struct("=IHHiIII")
_RECORD_HEADER = struct.Struct("=IIII")
_IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")  # RFC 791, section 3.1
_IPV6_HEADER = struct.Struct("!IHBB16s16s")  # RFC 8200, section 3
_UDP_HEADER = struct.Struct("!HHHH")  # RFC 768


def ends_of(seen: SeenMessage) -> tuple[Address, Address]:
    """From where a message went, and to where."""
    flow = seen.flow
    return (flow.local, flow.remote) if seen.sent else (flow.remote, flow.local)


def packed_pair(source: str, destination: str) -> tuple[bytes, bytes]:
    """Two addresses in octets of one family: where they differ, IPv4 is mapped into IPv6."""
    ends = [ipaddress.ip_address(source), ipaddress.ip_address(destination)]
    if ends[0].version != ends[1].version:
        ends = [ipaddress.IPv6Address(f"::ffff:{end}") if end.version == 4 else end for end in ends]
    return ends[0].packed, ends[1].packed


class PcapWriter:
    """Writes packets to ``path`` until ``limit`` octets are in it; later ones are counted.

    Raises:
        TrunklineError: ``capture.file`` when the file cannot be written, now or later.
    """

    def __init__(self, path: Path, *, limit: int = 1 << 30) -> None:
        self.path = path
        self.packets = 0
        self.dropped = 0
        self._room = limit
        self._identification = 0
        self._pairs: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        header = _FILE_HEADER.pack(_MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW)
        try:
            self._file = path.open("wb")
            self._file.write(header)
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def __enter__(self) -> PcapWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, time: float, source: str, destination: str, sctp: bytes) -> None:
        """Add one SCTP packet seen at ``time`` (seconds since the epoch)."""
        self._packet(time, _IPPROTO_SCTP, self._ends(source, destination), sctp)

    def write_udp(self, time: float, source: Address, destination: Address, payload: bytes) -> None:
        """Add ``payload`` as a UDP datagram from one address and port to another."""
        ends = self._ends(source[0], destination[0])
        length = 8 + len(payload)
        if length > 0xFFFF:
            self.dropped += 1
            return
        pseudo = ends[0] + ends[1] + struct.pack("!II", length, _IPPROTO_UDP)
        header = _UDP_HEADER.pack(source[1], destination[1], length, 0)
        # 0 would say that there is no checksum.
        checksum = _checksum(pseudo + header + payload) or 0xFFFF
        header = _UDP_HEADER.pack(source[1], destination[1], length, checksum)
        self._packet(time, _IPPROTO_UDP, ends, header + payload)

    def write_message(self, seen: SeenMessage, epoch: float) -> None:
        """Add a SIP message; ``epoch`` is what the element's clock lacks of the Unix epoch."""
        source, destination = ends_of(seen)
        self.write_udp(epoch + seen.time, source, destination, seen.data)

    def _packet(self, time: float, protocol: int, ends: tuple[bytes, bytes], inner: bytes) -> None:
        header = self._ip_header(protocol, ends, len(inner))
        length = len(header) + len(inner)
        self._room -= length + _RECORD_HEADER.size
        if self._room < 0 or length > _SNAPLEN:
            self.dropped += 1
            return
        seconds = int(time)
        record = _RECORD_HEADER.pack(seconds, int((time - seconds) * 1e9), length, length)
        try:
            self._file.write(record + header + inner)
        except OSError as problem:
            raise self._unwritable(problem) from problem
        self.packets += 1

    def _ip_header(self, protocol: int, ends: tuple[bytes, bytes], length: int) -> bytes:
        source, destination = ends
        if len(source) == 16:
            return _IPV6_HEADER.pack(
                6 << 28, length & 0xFFFF, protocol, _HOP_LIMIT, source, destination
            )
        self._identification = (self._identification + 1) & 0xFFFF
        header = _IPV4_HEADER.pack(
            0x45,
            0,
            (20 + length) & 0xFFFF,
            self._identification,
            0x4000,  # don't fragment
            _HOP_LIMIT,
            protocol,
            0,
            source,
            destination,
        )
        return header[:10] + _checksum(header).to_bytes(2, "big") + header[12:]

    def close(self) -> None:
        """Finish the file."""
        try:
            self._file.close()
        except OSError as problem:  # what was still buffered did not fit
            raise self._unwritable(problem) from problem

    def _unwritable(self, problem: OSError) -> TrunklineError:
        reason = problem.strerror or problem
        return TrunklineError("capture.file", f"{self.path}: cannot be written: {reason}")

    def _ends(self, source: str, destination: str) -> tuple[bytes, bytes]:
        pair = self._pairs.get((source, destination))
        if pair is None:
            if len(self._pairs) >= _MOST_PAIRS:
                self._pairs.clear()
            pair = self._pairs[source, destination] = packed_pair(source, destination)
        return pair


def _checksum(data: bytes) -> int:
    """The ones' complement sum of RFC 791, section 3.1, and RFC 768."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
