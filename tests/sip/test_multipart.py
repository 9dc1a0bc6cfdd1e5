"""sip.multipart: cut and joined octet for octet, bounded, hostile bodies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.headers import MediaType
from trunkline.sip.message import parse
from trunkline.sip.multipart import Limits, Multipart, Part

SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\n"
BODY = (
    b"preamble\r\n"
    b"--unique-1 \t\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Disposition: session;handling=optional\r\n"
    b"X-Folded: a\r\n  b\r\n"
    b"\r\n" + SDP + b"\r\n"
    b"--unique-1\r\n"
    b"\r\n"
    b"plain --unique-1 text\r\n--unique-12\r\n"
    b"\r\n--unique-1\r\n"
    b"Content-Type: application/octet-stream\r\nContent-ID: <abc@x>\r\n"
    b"\r\n\0\xff\r\n\r\n\0"
    b"\r\n--unique-1--  \r\nepilogue\r\n--unique-1\r\n"
)
TYPE = 'multipart/mixed; boundary="unique-1"'


def refused(body: bytes, content_type: str = TYPE, limits: Limits | None = None) -> str:
    with pytest.raises(DecodeError) as caught:
        list(Multipart.parse(body, content_type, limits or Limits()).walk(limits or Limits()))
    return caught.value.code


def test_parts() -> None:
    multipart = Multipart.parse(BODY, TYPE)
    sdp, plain, binary = multipart.parts
    assert (sdp.body, sdp.content_type.full) == (SDP, "application/sdp")
    assert sdp.disposition is not None
    assert not sdp.disposition.required
    assert sdp.headers.get("x-folded") == "a b"
    assert (plain.body, plain.content_type.full) == (
        b"plain --unique-1 text\r\n--unique-12\r\n",
        "text/plain",
    )
    assert (plain.disposition, plain.content_id, len(plain.headers)) == (None, None, 0)
    assert (binary.body, binary.content_id) == (b"\0\xff\r\n\r\n\0", "abc@x")
    assert multipart.to_bytes() == BODY
    assert multipart.find("Application/SDP") == sdp
    assert multipart.find("text/html") is None


def test_one_part_changes_and_the_rest_does_not() -> None:
    multipart = Multipart.parse(BODY, TYPE)
    changed = multipart.replace(0, Part.build([("Content-Type", "application/sdp")], b"v=0\r\n"))
    begin = BODY.index(b"Content-Type: application/sdp")
    end = BODY.index(b"\r\n--unique-1\r\n\r\nplain")
    assert changed.to_bytes() == (
        BODY[:begin] + b"Content-Type: application/sdp\r\n\r\nv=0\r\n" + BODY[end:]
    )
    with pytest.raises(DecodeError) as caught:
        multipart.replace(0, Part(b"\r\n\r\n--unique-1\r\n"))
    assert caught.value.code == "sip.multipart.boundary"


def test_the_forms_a_part_may_have() -> None:
    body = b"--b\r\n\r\n--b\r\nA: b\r\n--b\r\nA: b\r\n\r\n\r\n--b\r\n\r\n\r\n--b--"
    empty, rows_only, no_body, nothing = Multipart.parse(body, "multipart/mixed;boundary=b").parts
    assert (empty.octets, empty.body, len(empty.headers)) == (b"", b"", 0)
    assert (rows_only.headers.get("a"), rows_only.body) == ("b", b"")
    assert (no_body.headers.get("a"), no_body.body) == ("b", b"")
    assert (nothing.octets, nothing.body, len(nothing.headers)) == (b"\r\n", b"", 0)


def test_parts_of_a_digest_are_messages() -> None:
    multipart = Multipart.parse(b"--b\r\n\r\nx\r\n--b--", "multipart/digest;boundary=b")
    assert multipart.parts[0].content_type.full == "message/rfc822"


def nest(depth: int) -> tuple[bytes, str]:
    part = Part.build([("Content-Type", "application/sdp")], SDP)
    for level in range(depth):
        made = Multipart.build([part], f"b{level}-", subtype="related")
        part = Part.build([("Content-Type", str(made.content_type))], made.to_bytes())
    return made.to_bytes(), str(made.content_type)


def test_nested() -> None:
    body, content_type = nest(4)
    multipart = Multipart.parse(body, content_type)
    assert [part.body for part in multipart.walk()] == [SDP]
    inner = multipart.parts[0].nested()
    assert inner is not None
    assert inner.content_type.subtype == "related"
    assert inner.parts[0].nested() is not None
    body, content_type = nest(5)
    assert refused(body, content_type) == "sip.multipart.limit"


def test_limit_of_parts() -> None:
    body = b"--b" + b"\r\n\r\n\r\n--b" * 65 + b"--"
    assert refused(body, "multipart/mixed;boundary=b") == "sip.multipart.limit"
    assert len(Multipart.parse(body, "multipart/mixed;boundary=b", Limits(parts=65)).parts) == 65


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/mixed",
        "multipart/mixed;boundary",
        'multipart/mixed;boundary=""',
        'multipart/mixed;boundary="a "',
        'multipart/mixed;boundary="a\0"',
        f"multipart/mixed;boundary={'b' * 71}",
        "text/plain;boundary=unique-1",
    ],
)
def test_no_boundary(content_type: str) -> None:
    assert refused(BODY, content_type) == "sip.multipart.boundary"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"--unique-1--",
        b"--unique-1",
        b"--unique-1\r\n\r\nx",
        b"--unique-1\r\n\r\nx\r\n--unique-1",
        b"--unique-1\r\n\r\nx\r\n--unique-1-",
        b"--unique-1\r\n\r\nx\r\n--unique-1--x",
        b"x--unique-1\r\n\r\nx\r\n--unique-1--",
        b"--unique-1\n\nx\n--unique-1--",
    ],
)
def test_no_first_or_last_line(body: bytes) -> None:
    assert refused(body) == "sip.multipart.syntax"


def test_a_content_type_that_is_none() -> None:
    assert refused(BODY, "multipart") == "sip.header.value"
    inner = b"--unique-1\r\nContent-Type: ;\r\n\r\n\r\n--unique-1--"
    assert refused(inner) == "sip.header.value"


def test_build() -> None:
    parts = [Part.build([("Content-Type", "application/sdp")], SDP), Part.build([], b"\0")]
    made = Multipart.build(parts, "a b:c", subtype="alternative", params={"type": "x/y"})
    assert str(made.content_type) == 'multipart/alternative;boundary="a b:c";type="x/y"'
    assert made.content_type.params["boundary"] == "a b:c"
    again = Multipart.parse(made.to_bytes(), made.content_type)
    assert again.parts == made.parts
    assert again == made
    for bad, code in ((parts, "sip.multipart.boundary"), ([], "sip.multipart.syntax")):
        with pytest.raises(DecodeError) as caught:
            Multipart.build(bad, "x " if bad else "x")
        assert caught.value.code == code
    with pytest.raises(DecodeError):
        Multipart.build([Part(b"\r\n--x")], "x")
    with pytest.raises(TrunklineError):
        Part.build([("A", "b\r\nC: d")], b"")


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.binary(max_size=10))
def test_any_octets_go_through(bodies: list[bytes], around: bytes) -> None:
    parts = [Part.build([("Content-Type", "a/b")], body) for body in bodies]
    made = Multipart.build(parts, "0123456789abcdef")
    again = Multipart.parse(b"x\r\n" + made.to_bytes() + around, made.content_type)
    assert [part.body for part in again.parts] == bodies
    assert again.to_bytes() == b"x\r\n" + made.to_bytes() + around


@given(
    st.lists(st.sampled_from([b"--b", b"--b--", b"\r\n", b"a", b": ", b" ", b"\0"]), max_size=30)
)
def test_any_body_is_a_multipart_or_one_error(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    try:
        multipart = Multipart.parse(body, "multipart/mixed;boundary=b")
    except DecodeError:
        refused(body, "multipart/mixed;boundary=b")
    else:
        assert multipart.to_bytes() == body
        assert all(part.headers.all("a") is not None for part in multipart.parts)


@pytest.mark.parametrize(
    "body",
    [
        b"--b" * 30000,
        b"\r\n--b" + b" " * 100000,
        b"\r\n--b" * 30000,
        b"--b\r\n" + b"\r\n--b \t" * 20000 + b"x",
        b"--b\r\n" + b"A:b\r\n " * 20000,
    ],
)
def test_hostile_bodies_take_linear_time(body: bytes) -> None:
    began = time.process_time()
    refused(body, "multipart/mixed;boundary=b")
    assert time.process_time() - began < 0.5


def test_the_torture_message(vectors: Path) -> None:
    # RFC 4475 3.1.1.11
    message = parse((vectors / "sip-torture/rfc4475/mpart01.dat").read_bytes())
    content_type = message.headers.get("content-type")
    assert content_type is not None
    multipart = Multipart.parse(message.body, MediaType.parse(content_type))
    text, signature = multipart.parts
    assert (text.content_type.full, text.body) == ("text/plain", b"Hello")
    assert signature.content_type.full == "application/octet-stream"
    assert signature.body[:4] == b"\x30\x82\x01\x52"
    assert b"\0" in signature.body
    assert multipart.to_bytes() == message.body
