"""Capture files that Wireshark reads with no settings: raw IPv4 packets carrying SCTP.

The packets come from the transport seam, where they are real SCTP (INIT, SACK, TSN, CRC32c) but
have no IP header when the transport is UDP or a library; the header written here has the
configuration's addresses, so a capture looks the same on every back end. Format: classic pcap,
nanosecond stamps, link type 101 (LINKTYPE_RAW).
"""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from types import TracebackType

from trunkline.errors import TrunklineError

__all__ = ["PcapWriter"]

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINKTYPE_RAW = 101
_SNAPLEN = 65535
_IPPROTO_SCTP = 132
_FILE_HEADER = struct.Struct("=IHHiIII")
_RECORD_HEADER = struct.Struct("=IIII")
_IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")  # RFC 791, section 3.1


class PcapWriter:
    """Writes packets to ``path`` until ``limit`` octets are in it; later ones are counted.

    Raises:
        TrunklineError: ``capture.file`` when the file cannot be written.
    """

    def __init__(self, path: Path, *, limit: int = 1 << 30) -> None:
        self.path = path
        self.packets = 0
        self.dropped = 0
        self._room = limit
        self._identification = 0
        self._addresses: dict[str, bytes] = {}
        try:
            self._file = path.open("wb")
        except OSError as problem:
            raise TrunklineError(
                "capture.file", f"{path}: cannot be written: {problem.strerror}"
            ) from problem
        self._file.write(_FILE_HEADER.pack(_MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW))

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
        length = 20 + len(sctp)
        self._room -= length + _RECORD_HEADER.size
        if self._room < 0 or length > _SNAPLEN:
            self.dropped += 1
            return
        self._identification = (self._identification + 1) & 0xFFFF
        header = _IPV4_HEADER.pack(
            0x45,
            0,
            length,
            self._identification,
            0x4000,  # don't fragment
            64,
            _IPPROTO_SCTP,
            0,
            self._packed(source),
            self._packed(destination),
        )
        header = header[:10] + _checksum(header).to_bytes(2, "big") + header[12:]
        seconds = int(time)
        self._file.write(
            _RECORD_HEADER.pack(seconds, int((time - seconds) * 1e9), length, length)
            + header
            + sctp
        )
        self.packets += 1

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _packed(self, address: str) -> bytes:
        packed = self._addresses.get(address)
        if packed is None:
            packed = self._addresses[address] = ipaddress.IPv4Address(address).packed
        return packed


def _checksum(header: bytes) -> int:
    """The ones' complement sum of RFC 791, section 3.1."""
    total: int = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
