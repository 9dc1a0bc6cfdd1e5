"""A small SCTP parser of the tests' own (RFC 9260 section 3), independent of the library."""

from __future__ import annotations

from collections.abc import Iterator

_POLYNOMIAL = 0x82F63B78  # CRC32c, reflected (RFC 9260 appendix A)


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for octet in data:
        register = _TABLE[(register ^ octet) & 0xFF] ^ register >> 8
    return register ^ 0xFFFFFFFF


def checksum_is_right(packet: bytes) -> bool:
    """The checksum covers the packet with zeroes in its own place, and is little-endian."""
    zeroed = packet[:8] + bytes(4) + packet[12:]
    return int.from_bytes(packet[8:12], "little") == crc32c(zeroed)


def with_checksum(packet: bytes) -> bytes:
    zeroed = packet[:8] + bytes(4) + packet[12:]
    return packet[:8] + crc32c(zeroed).to_bytes(4, "little") + packet[12:]


def ports(packet: bytes) -> tuple[int, int]:
    return int.from_bytes(packet[:2], "big"), int.from_bytes(packet[2:4], "big")


def chunks(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of every chunk; raise ValueError if they do not fill the packet."""
    offset = 12
    while offset < len(packet):
        kind, length = packet[offset], int.from_bytes(packet[offset + 2 : offset + 4], "big")
        if length < 4 or offset + length > len(packet):
            raise ValueError(f"chunk at {offset}: length {length}")
        yield kind, packet[offset + 4 : offset + length]
        offset += length + -length % 4
