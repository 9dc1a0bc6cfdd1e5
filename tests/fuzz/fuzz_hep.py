"""HEPv3 packets: read, or refused with one documented error; what is read comes back."""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.observe.hep import HepPacket

SEEDS = [
    HepPacket(
        1_700_000_000.25,
        17,
        ("192.0.2.1", 5060),
        ("198.51.100.7", 5080),
        b"OPTIONS sip:x SIP/2.0\r\nCall-ID: a\r\n\r\n",
        42,
        "a",
        "sesame",
        ((0, 18, b"\0\x07"), (9, 1, b"more")),
    ).to_bytes(),
    HepPacket(0, 6, ("2001:db8::1", 1), ("2001:db8::2", 2), b"").to_bytes(),
]


def run(data: bytes) -> None:
    """Read ``data``."""
    try:
        packet = HepPacket.parse(data)
    except DecodeError:
        return
    # Written again it may be longer by a chunk that was left out, and then too long for its length.
    if len(data) < 60_000 and packet.time < 1 << 32:
        again = HepPacket.parse(packet.to_bytes())
        assert again.payload == packet.payload
        assert (again.source, again.destination) == (packet.source, packet.destination)
        assert again.correlation_id == packet.correlation_id
