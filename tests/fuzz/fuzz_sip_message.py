"""SIP messages: any octets are one message, or one DecodeError; what was read can be written."""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.sip.message import Limits, Message, Request, Response, parse, tag_of

_LIMITS = Limits(head=4096, rows=40, body=1000)
_CODES = {"sip.empty", "sip.no-head", "sip.start-line", "sip.too-large"}

SEEDS = [
    b"INVITE sip:b@192.0.2.2 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport, SIP/2.0/TCP a.example\r\n"
    b'f: "A, B" <sip:a@192.0.2.1;x=y>;tag=1\r\nTo: <sip:b@192.0.2.2>\r\ni: 1@x\r\n'
    b"CSeq: 1 INVITE\r\nX-Test:one,\r\n two, <a,b>;c\r\nContent-Length: 4\r\n\r\nbody",
    b"SIP/2.0 200 OK\r\nv: SIP/2.0/UDP [2001:db8::1];branch=z9hG4bKa\r\nTo: <sip:b@x>;tag=2\r\n"
    b"From: <sip:a@x>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nSupported: a, b\r\nl: 0\r\n\r\n",
    b"\r\n\r\nOPTIONS * SIP/2.0\r\nTimestamp : 1\r\nSupported: a\r\nSUPPORTED: \xff,b\r\n\r\n\0\1",
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    try:
        message = parse(data, _LIMITS)
    except DecodeError as problem:
        if problem.code not in _CODES:
            raise
        return
    _is_kept(message, data)
    _can_be_read(message)
    if isinstance(message, Request):
        for status in (100, 486):
            answer = Response.answer(message, status, headers=[("X-New", "1")], to_tag="t")
            again = parse(answer.to_bytes())
            assert isinstance(again, Response)
            assert again.status == status
            if message.defect is None:
                assert again.defect is None
    if message.defect is None:  # 400 otherwise: nobody changes it
        _can_be_changed(message)


def _is_kept(message: Message, data: bytes) -> None:
    """Everything behind the start line leaves as it came; the copy too."""
    written = message.to_bytes()
    assert written.partition(b"\r\n")[2] in data
    assert message.copy().to_bytes() == written  # type: ignore[attr-defined]
    again = parse(written)
    assert again.to_bytes() == written
    assert again.headers.names == message.headers.names


def _can_be_read(message: Message) -> None:
    headers = message.headers
    for name, value in headers.items():
        if "\n" not in name and "\r" not in name:
            assert value in headers.all(name)
            assert headers.count(name) == len(headers[name]) > 0
            assert name in headers
            headers.tokens(name)
            tag_of(value)
    assert len(headers) == len(headers.names) == len(headers.rows) <= _LIMITS.rows


def _can_be_changed(message: Message) -> None:
    headers = message.headers
    headers.insert("X-First", "1", before="Via")
    headers.insert("X-Last", "2", after="Via")
    headers.add("X-End", "3")
    before = headers.count("Supported")
    headers.remove_token("Supported", "a")
    assert "a" not in [token.lower() for token in headers.tokens("Supported")]
    assert headers.count("Supported") <= before
    headers.set("CSeq", "7 OPTIONS")
    message.body = b"changed"
    assert len(headers.names) == len(headers.rows)
    again = parse(message.to_bytes())
    assert again.body == b"changed"
    assert again.headers.all("CSeq") == ["7 OPTIONS"]
    assert again.headers.get("x-end") == "3"
    assert again.defect is None
