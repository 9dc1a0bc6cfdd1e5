"""Messages out of a stream: any pieces, many at once, and what breaks it."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.sip.framing import StreamFramer
from trunkline.sip.message import Limits, parse


def message(
    body: bytes = b"", row: bytes = b"Content-Length: %d", method: bytes = b"OPTIONS"
) -> bytes:
    length = row % len(body) if b"%d" in row else row
    return (
        method
        + b" sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\n"
        + length
        + b"\r\nCall-ID: one\r\n\r\n"
        + body
    )


ONE, TWO, THREE = message(), message(b"v=0\r\n\r\nbody"), message(b"x" * 300, b"l:\r\n\t%d ")


def framed(framer: StreamFramer, *pieces: bytes) -> list[bytes]:
    return [found for piece in pieces for found in framer.receive(piece, 0.0)]


def code(framer: StreamFramer) -> str | None:
    return framer.error.code if framer.error is not None else None


def broken(data: bytes, limits: Limits | None = None) -> StreamFramer:
    framer = StreamFramer(limits or Limits())
    framer.receive(data, 0.0)
    assert framer.error is not None
    return framer


def test_a_message_in_one_read_is_what_was_sent() -> None:
    framer = StreamFramer()
    assert framed(framer, ONE) == [ONE]
    assert framer.next_timeout() is None


def test_several_messages_in_one_read_come_in_order() -> None:
    assert framed(StreamFramer(), ONE + TWO + b"\r\n" + THREE) == [ONE, TWO, THREE]


@pytest.mark.parametrize("cut", range(1, len(TWO + THREE)))
def test_a_cut_at_any_octet_changes_nothing(cut: int) -> None:
    stream = TWO + THREE
    assert framed(StreamFramer(), stream[:cut], stream[cut:]) == [TWO, THREE]


def test_octet_by_octet() -> None:
    stream = b"\r\n" + ONE + b"\r\n\r\n" + TWO + THREE
    framer = StreamFramer()
    assert framed(framer, *(bytes((octet,)) for octet in stream)) == [ONE, TWO, THREE]
    assert framer.pings == 1


@given(
    st.lists(st.sampled_from([ONE, TWO, THREE, message(b"SIP/2.0 200 OK\r\n\r\n")]), max_size=6),
    st.lists(st.integers(0, 2000), max_size=20),
)
def test_any_pieces_of_any_messages(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(messages)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    framer = StreamFramer()
    assert framed(framer, *pieces) == messages
    assert framer.next_timeout() is None
    assert framer.error is None


@pytest.mark.parametrize(
    "row",
    [b"Content-Length: %d", b"content-length:%d", b"CONTENT-LENGTH  :\t%d\t", b"l: %d", b"L:%d",
     b"Content-Length:\r\n %d", b"l:\r\n\t\r\n %d", b"Subject: a\r\nl: %d\r\nX: b"],
)  # fmt: skip
def test_content_length_however_it_is_written(row: bytes) -> None:
    whole = message(b"12345", row)
    assert framed(StreamFramer(), whole + ONE) == [whole, ONE]
    assert parse(whole).body == b"12345"


@pytest.mark.parametrize(
    "row", [b"X: a\r\n Content-Length: 9\r\nContent-Length: %d", b"X-Content-Length: 9\r\nl: %d"]
)
def test_what_only_looks_like_content_length(row: bytes) -> None:
    assert framed(StreamFramer(), message(b"12345", row)) == [message(b"12345", row)]


# Keep-alives


def test_a_ping_is_answered_and_a_lone_empty_line_is_not() -> None:
    framer = StreamFramer()
    assert framed(framer, b"\r\n") == []
    assert framer.data_to_send() == b""
    assert framed(framer, b"\r\n") == []
    assert framer.data_to_send() == b"\r\n"
    assert framer.data_to_send() == b""
    assert framed(framer, b"\r\n\r\n\r\n\r\n\r\n" + ONE) == [ONE]
    assert framer.data_to_send() == b"\r\n\r\n"
    assert framer.pings == 3


def test_the_empty_line_before_a_message_is_no_half_of_a_later_ping() -> None:
    framer = StreamFramer()
    assert framed(framer, b"\r\n" + ONE + b"\r\n" + ONE + b"\r\n", ONE) == [ONE, ONE, ONE]
    assert framer.pings == 0


def test_empty_lines_within_a_body_are_no_ping() -> None:
    framer = StreamFramer()
    assert framed(framer, message(b"\r\n\r\n\r\n\r\n")) == [message(b"\r\n\r\n\r\n\r\n")]
    assert framer.pings == 0


# What breaks a stream


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (b"X: none", "stream.no-content-length"),
        (b"Content-Length:", "stream.content-length"),
        (b"Content-Length: -1", "stream.content-length"),
        (b"Content-Length: 1 2", "stream.content-length"),
        (b"Content-Length: 0x10", "stream.content-length"),
        (b"Content-Length: \xd9\xa3", "stream.content-length"),
        (b"Content-Length: " + b"0" * 5000, "stream.content-length"),
        (b"Content-Length: 3\r\nl: 4", "stream.content-length"),
        (b"l: 3\r\nContent-Length: none", "stream.content-length"),
        (b"Content-Length: 1048577", "stream.too-large"),
        (b"Content-Length: 9999999999", "stream.too-large"),
    ],
)
def test_a_length_that_cannot_be_believed(row: bytes, code: str) -> None:
    bad = message(row=row)
    framer = StreamFramer()
    assert framed(framer, ONE, ONE + bad + TWO) == [ONE, ONE], "what came before it is good"
    assert framer.error is not None
    assert framer.error.code == code
    assert framer.refused == bad
    assert parse(framer.refused).headers.get("Call-ID") == "one", "enough to answer it"
    assert framed(framer, ONE) == [], "a broken stream stays so"
    assert framer.next_timeout() is None


def test_the_same_length_twice_is_one_length() -> None:
    twice = message(b"12345", b"l: 5\r\nContent-Length: %d")
    assert framed(StreamFramer(), twice) == [twice]


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01", b"\0", b" OPTIONS", b"<policy-file-request/>\0", b"\xff" * 99,
     b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"v=0\r\no=- 0 0\r\n\r\n"],
)  # fmt: skip
def test_other_protocols_are_known_at_once(garbage: bytes) -> None:
    framer = broken(garbage)
    assert framer.error is not None
    assert framer.error.code == "stream.garbage"
    assert framer.refused == b"", "nothing that could be answered"


def test_a_body_longer_than_its_length_breaks_the_stream_and_not_the_message() -> None:
    framer = StreamFramer()
    short = message(row=b"Content-Length: 3") + b"v=0\r\no=x\r\n\r\n"
    assert framed(framer, short + ONE) == [short[: -len(b"\r\no=x\r\n\r\n")]]
    assert framer.error is not None
    assert framer.error.code == "stream.garbage"


@pytest.mark.parametrize("piece", [1, 7, 5000])
def test_a_header_without_end_is_refused_at_its_limit(piece: int) -> None:
    framer = StreamFramer(Limits(head=1000))
    endless = b"OPTIONS sip:a SIP/2.0\r\n" + b"X: y\r\n" * 1000
    fed = 0
    while framer.error is None:
        framer.receive(endless[fed : fed + piece], 0.0)
        fed += piece
    assert framer.error.code == "stream.too-large"
    assert fed <= 1000 + piece


def test_a_whole_header_over_the_limit_is_refused_too() -> None:
    assert broken(message(row=b"l: 0\r\nX: " + b"y" * 900), Limits(head=800)).error


def test_limits_are_met_exactly() -> None:
    head = len(TWO.partition(b"\r\n\r\n")[0])
    assert framed(StreamFramer(Limits(head=head, body=11)), TWO) == [TWO]
    assert broken(TWO, Limits(head=head - 1)).error
    assert broken(TWO, Limits(body=10)).error


# Time


def test_a_message_must_arrive_within_the_patience() -> None:
    framer = StreamFramer(patience=10.0)
    assert framer.next_timeout() is None
    framer.receive(b"\r\n", 100.0)
    assert framer.next_timeout() is None, "an empty line begins no message"
    framer.receive(ONE[:10], 101.0)
    framer.receive(ONE[10:11], 110.0)
    assert framer.next_timeout() == 111.0, "one more octet gives no more time"
    framer.on_timeout(110.9)
    assert code(framer) is None
    framer.on_timeout(111.0)
    assert code(framer) == "stream.slow"


def test_the_next_message_has_a_time_of_its_own() -> None:
    framer = StreamFramer(patience=10.0)
    framer.receive(ONE[:10], 0.0)
    assert framer.receive(ONE[10:] + TWO[:-1], 8.0) == [ONE]
    assert framer.next_timeout() == 18.0
    assert framer.receive(TWO[-1:], 17.0) == [TWO]
    assert framer.next_timeout() is None
    framer.on_timeout(1000.0)
    assert framer.error is None


def test_every_octet_is_looked_at_once() -> None:
    # Quadratic work would take minutes for this; linear work takes a second on a slow machine.
    framer = StreamFramer(Limits(head=600_000, body=600_000))
    large = message(b"y" * 500_000, b"l: %d\r\nX: " + b"x" * 500_000)
    began = time.process_time()
    found: list[bytes] = []
    for at in range(0, len(large), 5):
        found += framer.receive(large[at : at + 5], 0.0)
    assert found == [large]
    assert time.process_time() - began < 20
