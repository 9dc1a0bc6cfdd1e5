"""HEPv3, by which captured messages go to a collector such as Homer: one datagram a message.

The Homer Encapsulation Protocol, also called EEP (sipcapture.org): the octets ``HEP3``, the length
of the whole, and chunks of vendor, type, length and value. Written here are those of vendor 0 that
say between which ends a message went (1 to 8), when (9, 10), that it is SIP (11), who saw it (12),
the message (15) and its Call-ID, by which a collector puts calls together (17); and a password, if
the collector wants one (14). Chunks that are not known are kept.

Left out: HEPv1 and v2, compressed payloads (16), and whatever is not SIP.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum

from trunkline.errors import DecodeError, TrunklineError
from trunkline.observe.pcap import ends_of, packed_pair
from trunkline.observe.recorder import SeenMessage, call_id_of
from trunkline.sip.transport import Address

__all__ = ["LONGEST_PAYLOAD", "Chunk", "HepPacket", "hep_of"]

LONGEST_PAYLOAD = 64_000
"""Octets of a message: with the chunks around it, it fits into a datagram."""

_LONGEST_CALL_ID = 255
"""Characters; more are cut, to fit beside the longest message."""

_MAGIC = b"HEP3"
_SIP = 1
_UDP, _TCP = 17, 6
_AF_INET, _AF_INET6 = 2, 10  # Linux' numbers, which the protocol has on every system
_HEADER = struct.Struct("!4sH")
_CHUNK = struct.Struct("!HHH")
_NUMBERS = struct.Struct("!HHHB HHHB HHHH HHHH HHHI HHHI HHHB HHHI")


class Chunk(IntEnum):
    """The types of vendor 0 that are used here."""

    FAMILY = 1
    PROTOCOL = 2
    IPV4_SOURCE = 3
    IPV4_DESTINATION = 4
    IPV6_SOURCE = 5
    IPV6_DESTINATION = 6
    SOURCE_PORT = 7
    DESTINATION_PORT = 8
    SECONDS = 9
    MICROSECONDS = 10
    PAYLOAD_TYPE = 11
    CAPTURE_ID = 12
    PASSWORD = 14
    PAYLOAD = 15
    CORRELATION_ID = 17


_SIZES = {
    Chunk.FAMILY: 1,
    Chunk.PROTOCOL: 1,
    Chunk.IPV4_SOURCE: 4,
    Chunk.IPV4_DESTINATION: 4,
    Chunk.IPV6_SOURCE: 16,
    Chunk.IPV6_DESTINATION: 16,
    Chunk.SOURCE_PORT: 2,
    Chunk.DESTINATION_PORT: 2,
    Chunk.SECONDS: 4,
    Chunk.MICROSECONDS: 4,
    Chunk.PAYLOAD_TYPE: 1,
    Chunk.CAPTURE_ID: 4,
}
"""Octets of the values that have a fixed length."""


@dataclass(frozen=True, slots=True)
class HepPacket:
    """One captured message."""

    time: float
    """Seconds since the Unix epoch; microseconds are kept."""
    protocol: int
    """Of IP: 17 for UDP, 6 for what a stream carried."""
    source: Address
    destination: Address
    payload: bytes
    capture_id: int = 0
    """Which agent saw it, 32 bits."""
    correlation_id: str = ""
    password: str = ""
    others: tuple[tuple[int, int, bytes], ...] = ()
    """Vendor, type and value of the chunks that are not known here."""

    def to_bytes(self) -> bytes:
        """The datagram for the collector.

        Raises:
            TrunklineError: ``hep.range``: too long, or a number without room.
        """
        try:
            return self._packed()
        except (struct.error, ValueError) as problem:
            raise TrunklineError(
                "hep.range", f"{self.source} to {self.destination}: {problem}"
            ) from problem

    def _packed(self) -> bytes:
        source, destination = packed_pair(self.source[0], self.destination[0])
        version6 = len(source) == 16
        seconds, microseconds = divmod(round(self.time * 1_000_000), 1_000_000)
        addresses = (
            (Chunk.IPV6_SOURCE, Chunk.IPV6_DESTINATION)
            if version6
            else (Chunk.IPV4_SOURCE, Chunk.IPV4_DESTINATION)
        )
        # Chunk headers are 6 octets: the lengths below count them.
        numbers = _NUMBERS.pack(
            *(0, Chunk.FAMILY, 7, _AF_INET6 if version6 else _AF_INET),
            *(0, Chunk.PROTOCOL, 7, self.protocol),
            *(0, Chunk.SOURCE_PORT, 8, self.source[1]),
            *(0, Chunk.DESTINATION_PORT, 8, self.destination[1]),
            *(0, Chunk.SECONDS, 10, seconds),
            *(0, Chunk.MICROSECONDS, 10, microseconds),
            *(0, Chunk.PAYLOAD_TYPE, 7, _SIP),
            *(0, Chunk.CAPTURE_ID, 10, self.capture_id),
        )
        parts = [
            numbers,
            _chunk(0, addresses[0], source),
            _chunk(0, addresses[1], destination),
        ]
        if self.password:
            parts.append(_chunk(0, Chunk.PASSWORD, self.password.encode()))
        if self.correlation_id:
            text = self.correlation_id.encode("utf-8", "surrogateescape")
            parts.append(_chunk(0, Chunk.CORRELATION_ID, text))
        parts.append(_chunk(0, Chunk.PAYLOAD, self.payload))
        parts += [_chunk(*other) for other in self.others]
        body = b"".join(parts)
        return _HEADER.pack(_MAGIC, _HEADER.size + len(body)) + body

    @classmethod
    def parse(cls, data: bytes) -> HepPacket:
        """Read a datagram.

        Raises:
            DecodeError: ``hep.magic``, ``hep.length``, ``hep.chunk`` (one without the length that
                its type has), ``hep.missing`` (a chunk that is needed), ``hep.payload`` (not SIP).
        """
        known, others = _chunks(data)
        if known.get(Chunk.PAYLOAD_TYPE, b"") != bytes([_SIP]):
            raise DecodeError("hep.payload", "no SIP message: chunk 11 is not 1")
        version6 = known.get(Chunk.FAMILY) == bytes([_AF_INET6])
        ends = (
            (Chunk.IPV6_SOURCE, Chunk.IPV6_DESTINATION)
            if version6
            else (Chunk.IPV4_SOURCE, Chunk.IPV4_DESTINATION)
        )
        for needed in (*ends, Chunk.SOURCE_PORT, Chunk.DESTINATION_PORT, Chunk.PAYLOAD):
            if needed not in known:
                raise DecodeError("hep.missing", f"no chunk {needed.value} ({needed.name.lower()})")

        def number(chunk: Chunk) -> int:
            return int.from_bytes(known.get(chunk, b""), "big")

        return cls(
            time=number(Chunk.SECONDS) + number(Chunk.MICROSECONDS) / 1_000_000,
            protocol=number(Chunk.PROTOCOL),
            source=(str(ipaddress.ip_address(known[ends[0]])), number(Chunk.SOURCE_PORT)),
            destination=(str(ipaddress.ip_address(known[ends[1]])), number(Chunk.DESTINATION_PORT)),
            payload=known[Chunk.PAYLOAD],
            capture_id=number(Chunk.CAPTURE_ID),
            correlation_id=known.get(Chunk.CORRELATION_ID, b"").decode("utf-8", "surrogateescape"),
            password=known.get(Chunk.PASSWORD, b"").decode("utf-8", "replace"),
            others=others,
        )


def hep_of(
    seen: SeenMessage, epoch: float, *, capture_id: int = 0, password: str = ""
) -> HepPacket | None:
    """A message that passed, for a collector; ``None`` for one that is too long for a datagram.

    ``epoch`` is what the element's clock lacks of the Unix epoch.
    """
    if len(seen.data) > LONGEST_PAYLOAD:
        return None
    source, destination = ends_of(seen)
    return HepPacket(
        epoch + seen.time,
        _TCP if seen.flow.transport.reliable else _UDP,
        source,
        destination,
        seen.data,
        capture_id,
        call_id_of(seen.data)[:_LONGEST_CALL_ID],
        password,
    )


def _chunk(vendor: int, kind: int, value: bytes) -> bytes:
    return _CHUNK.pack(vendor, kind, _CHUNK.size + len(value)) + value


def _chunks(data: bytes) -> tuple[dict[Chunk, bytes], tuple[tuple[int, int, bytes], ...]]:
    if data[:4] != _MAGIC:
        raise DecodeError("hep.magic", f"begins with {data[:4]!r}, not HEP3")
    if len(data) < _HEADER.size or _HEADER.unpack_from(data)[1] != len(data):
        raise DecodeError("hep.length", f"{len(data)} octets, and not the length in its header")
    known: dict[Chunk, bytes] = {}
    others: list[tuple[int, int, bytes]] = []
    at = _HEADER.size
    while at < len(data):
        if at + _CHUNK.size > len(data):
            raise DecodeError("hep.chunk", "no room for the head of a chunk", offset=at)
        vendor, kind, length = _CHUNK.unpack_from(data, at)
        if length < _CHUNK.size or at + length > len(data):
            raise DecodeError("hep.chunk", f"chunk {kind} of {length} octets", offset=at)
        value = data[at + _CHUNK.size : at + length]
        chunk = _known(vendor, kind)
        if chunk is None or chunk in known:
            others.append((vendor, kind, value))
        elif len(value) != _SIZES.get(chunk, len(value)):
            raise DecodeError(
                "hep.chunk",
                f"chunk {kind} has {len(value)} octets, not {_SIZES[chunk]}",
                offset=at,
            )
        else:
            known[chunk] = value
        at += length
    return known, tuple(others)


def _known(vendor: int, kind: int) -> Chunk | None:
    try:
        return Chunk(kind) if vendor == 0 else None
    except ValueError:
        return None
