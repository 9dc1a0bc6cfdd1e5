"""HEPv3: our own reader and hand-made packets; the interop tests ask Kamailio."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.observe.hep import LONGEST_PAYLOAD, Chunk, HepPacket, hep_of
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.transport import Flow, Transport


def chunk(kind: int, value: bytes, vendor: int = 0) -> bytes:
    return struct.pack("!HHH", vendor, kind, 6 + len(value)) + value


def packet(*chunks: bytes) -> bytes:
    body = b"".join(chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


BY_HAND = [
    chunk(1, b"\x02"),
    chunk(2, b"\x11"),
    chunk(3, bytes([192, 0, 2, 1])),
    chunk(4, bytes([198, 51, 100, 7])),
    chunk(7, struct.pack("!H", 5060)),
    chunk(8, struct.pack("!H", 5080)),
    chunk(9, struct.pack("!I", 1_700_000_000)),
    chunk(10, struct.pack("!I", 250_000)),
    chunk(11, b"\x01"),
    chunk(12, struct.pack("!I", 42)),
    chunk(14, b"sesame"),
    chunk(17, b"abc@x"),
    chunk(15, b"OPTIONS sip:x SIP/2.0\r\n\r\n"),
    chunk(18, b"\0\x07"),
    chunk(1, b"more", vendor=9),
]
READ = HepPacket(
    time=1_700_000_000.25,
    protocol=17,
    source=("192.0.2.1", 5060),
    destination=("198.51.100.7", 5080),
    payload=b"OPTIONS sip:x SIP/2.0\r\n\r\n",
    capture_id=42,
    correlation_id="abc@x",
    password="sesame",
    others=((0, 18, b"\0\x07"), (9, 1, b"more")),
)


def test_a_packet_by_hand() -> None:
    assert HepPacket.parse(packet(*BY_HAND)) == READ
    written = READ.to_bytes()
    assert len(written) == len(packet(*BY_HAND))
    assert all(part in written for part in BY_HAND)
    assert HepPacket.parse(written) == READ


def test_messages_of_the_recorder() -> None:
    data = b"BYE sip:x SIP/2.0\r\nCall-ID: abc@x\r\n\r\n"
    flow = Flow(Transport.TCP, ("2001:db8::7", 5080), ("2001:db8::1", 5060), 3)
    sent = hep_of(SeenMessage(1.5, flow, data, sent=True), 1000.0, capture_id=7)
    assert sent == HepPacket(
        1001.5, 6, ("2001:db8::1", 5060), ("2001:db8::7", 5080), data, 7, "abc@x"
    )
    received = hep_of(SeenMessage(1.5, flow, data, sent=False), 1000.0)
    assert received is not None
    assert (received.source, received.destination) == (sent.destination, sent.source)


def test_the_longest_message_fits_into_a_datagram() -> None:
    flow = Flow(Transport.UDP, ("2001:db8::7", 5080), ("2001:db8::1", 5060))
    head = b"BYE sip:x SIP/2.0\r\nCall-ID: " + "é".encode() * 5000 + b"\r\n\r\n"
    data = head + b"x" * (LONGEST_PAYLOAD - len(head))
    longest = hep_of(SeenMessage(0, flow, data, sent=True), 0, password="p" * 100)
    assert longest is not None
    assert len(longest.to_bytes()) <= 65507
    assert hep_of(SeenMessage(0, flow, data + b"x", sent=True), 0) is None


def test_families_that_differ_are_both_ipv6() -> None:
    found = HepPacket.parse(HepPacket(0, 17, ("192.0.2.1", 1), ("2001:db8::1", 2), b"x").to_bytes())
    assert ipaddress.ip_address(found.source[0]) == ipaddress.ip_address("::ffff:192.0.2.1")
    assert found.destination == ("2001:db8::1", 2)


@pytest.mark.parametrize(
    "wrong",
    [
        HepPacket(-1, 17, ("192.0.2.1", 1), ("192.0.2.2", 1), b""),
        HepPacket(1 << 32, 17, ("192.0.2.1", 1), ("192.0.2.2", 1), b""),
        HepPacket(0, 256, ("192.0.2.1", 1), ("192.0.2.2", 1), b""),
        HepPacket(0, 17, ("192.0.2.1", 1 << 16), ("192.0.2.2", 1), b""),
        HepPacket(0, 17, ("localhost", 1), ("192.0.2.2", 1), b""),
        HepPacket(0, 17, ("192.0.2.1", 1), ("192.0.2.2", 1), b"", capture_id=1 << 32),
        HepPacket(0, 17, ("192.0.2.1", 1), ("192.0.2.2", 1), b"x" * 65500),
    ],
)
def test_what_has_no_room(wrong: HepPacket) -> None:
    with pytest.raises(TrunklineError) as refused:
        wrong.to_bytes()
    assert refused.value.code == "hep.range"


def without(kind: int) -> bytes:
    return packet(*(part for part in BY_HAND if part[:4] != struct.pack("!HH", 0, kind)))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "magic"),
        (b"HEP2" + packet(*BY_HAND)[4:], "magic"),
        (b"HEP3", "length"),
        (packet(*BY_HAND) + b"x", "length"),
        (packet(*BY_HAND)[:-1], "length"),
        (packet(b"\0\0\0\x01\0"), "chunk"),
        (packet(struct.pack("!HHH", 0, 1, 5)), "chunk"),
        (packet(struct.pack("!HHH", 0, 1, 7)), "chunk"),
        (packet(chunk(1, b"")), "chunk"),
        (packet(chunk(9, b"\0" * 8)), "chunk"),
        (packet(), "payload"),
        (without(11), "payload"),
        (packet(chunk(11, b"\x05")), "payload"),
        *((without(kind), "missing") for kind in (3, 4, 7, 8, 15)),
        (packet(chunk(1, b"\x0a"), *BY_HAND[1:]), "missing"),
    ],
)
def test_what_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as refused:
        HepPacket.parse(data)
    assert refused.value.code == f"hep.{code}"


_IPV4 = st.ip_addresses(v=4).map(str)
_IPV6 = st.ip_addresses(v=6).map(str)
_PORT = st.integers(0, 0xFFFF)
_ENDS = st.one_of(st.tuples(_IPV4, _IPV4), st.tuples(_IPV6, _IPV6))
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    _ENDS,
    st.tuples(_PORT, _PORT),
    st.integers(0, (1 << 32) - 2),
    st.integers(0, 999_999),
    st.integers(0, 255),
    st.binary(max_size=200),
    st.integers(0, (1 << 32) - 1),
    _TEXT,
    _TEXT,
    st.lists(
        st.tuples(st.integers(1, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=9)),
        max_size=3,
    ),
)
def test_packets_come_back(
    ends: tuple[str, str],
    ports: tuple[int, int],
    seconds: int,
    microseconds: int,
    protocol: int,
    payload: bytes,
    capture_id: int,
    correlation_id: str,
    password: str,
    others: list[tuple[int, int, bytes]],
) -> None:
    given_packet = HepPacket(
        seconds + microseconds / 1_000_000,
        protocol,
        (ends[0], ports[0]),
        (ends[1], ports[1]),
        payload,
        capture_id,
        correlation_id,
        password,
        tuple(others),
    )
    found = HepPacket.parse(given_packet.to_bytes())
    assert found == given_packet
    assert HepPacket.parse(found.to_bytes()) == found


def test_every_chunk_is_written() -> None:
    written = READ.to_bytes() + HepPacket(0, 6, ("::1", 1), ("::2", 2), b"x").to_bytes()
    assert all(struct.pack("!HH", 0, kind) in written for kind in Chunk)
