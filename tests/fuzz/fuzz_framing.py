"""Framing of SIP streams: any octets in any pieces give the same messages, and one error at most.

The first octet chooses the size of the pieces.
"""

from __future__ import annotations

from trunkline.sip.framing import StreamFramer
from trunkline.sip.message import Limits

_HEAD = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\n"
LIMITS = Limits(head=300, body=100)

SEEDS = [
    b"\x01" + _HEAD + b"Content-Length: 3\r\n\r\nabc" + _HEAD + b"l:0\r\n\r\n",
    b"\x07\r\n\r\n\r\n" + _HEAD + b"l\t:\r\n 2\r\n\r\n\r\n\r\n\r\n",
    b"\xffSIP/2.0 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx\r\n\r\n",
    b"\x20" + _HEAD + b"\r\n",
    b"\x03" + _HEAD + b"Content-Length: 101\r\n\r\n",
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    piece, stream = (data[0] if data else 0) + 1, data[1:]
    whole, cut = StreamFramer(LIMITS), StreamFramer(LIMITS)
    messages = whole.receive(stream, 0.0)
    pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]
    assert [m for octets in pieces for m in cut.receive(octets, 0.0)] == messages
    assert (whole.error is None) == (cut.error is None)
    if whole.error is not None and cut.error is not None:
        assert whole.error.code == cut.error.code
        assert whole.refused == cut.refused
        assert not whole.receive(_HEAD + b"l:0\r\n\r\n", 0.0)
    assert whole.pings == cut.pings
    assert whole.data_to_send() == cut.data_to_send() == b"\r\n" * whole.pings
    assert whole.next_timeout() == cut.next_timeout()
    assert sum(map(len, messages)) <= len(stream)
    at = 0
    for message in messages:  # they are the stream, less empty lines between them
        found = stream.index(message, at)
        assert not stream[at:found].strip(b"\r\n")
        at = found + len(message)
