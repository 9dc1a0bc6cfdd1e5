"""WebSocket framing: any octets give messages, answers and one error at most, on either side.

The first octet chooses the side and whether the handshake is done before, and the size of pieces.
"""

from __future__ import annotations

from trunkline.net.websocket import WebSocketFramer
from trunkline.sip.message import Limits

_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
_ANSWER = (
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
)

SEEDS = [
    b"\0" + _HANDSHAKE,
    b"\1" + _ANSWER,
    b"\2\x81\x85\0\0\0\0hello\x89\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8",
    b"\2\x01\x83\1\2\3\4abc\x80\x84\0\0\0\0\r\n\r\n\x82\xfe\0\x80\0\0\0\0" + b"x" * 128,
    b"\2\x81\x84\0\0\0\0\r\n\r\n\x8a\x80\0\0\0\0",
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    choice, octets = (data[0] if data else 0), data[1:]
    framer = WebSocketFramer(
        ("192.0.2.1", 1),
        0.0,
        host="a" if choice & 3 == 1 else None,
        limits=Limits(head=200, body=100),
        handshake_timeout=5.0,
        patience=10.0,
    )
    if choice & 3 == 2:
        framer.receive(_HANDSHAKE, 0.0)
        assert framer.ready
    piece = (choice >> 2) + 1
    for at in range(0, len(octets), piece):
        for message in framer.receive(octets[at : at + piece], 1.0):
            assert message.strip(b"\r\n")
            assert len(message) <= 300
            if framer.ready:
                assert framer.wrap(message)
        framer.data_to_send()
    if framer.error is not None:
        assert framer.error.code in ("stream.websocket", "stream.too-large")
        assert not framer.ready
        assert framer.next_timeout() is None
    framer.on_timeout(100.0)
    framer.end()
    framer.data_to_send()
    assert framer.receive(b"more", 100.0) == [] or framer.error is None
