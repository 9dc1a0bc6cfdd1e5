"""Validity: whatever is a message can be checked; the answer is a status or none, never an error.

What a check lets pass is what its users go on to read: a URI, a CSeq, the header fields.
"""

from __future__ import annotations

from trunkline.errors import DecodeError
from trunkline.sip.headers import CSeq, NameAddr, Via, max_forwards
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.uri import parse_uri
from trunkline.sip.validity import check_answer, check_forwarding, check_strict

_REQUEST = b"""INVITE sip:bob@b.example;transport=tcp SIP/2.0
Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1, SIP/2.0/TCP [::1];received=10.0.0.2;branch=x
From: "A" <sip:alice@a.example>;tag=1
t: sip:bob@b.example
Call-ID: 1@10.0.0.1
CSeq: 1 INVITE
Max-Forwards: 70
Contact: <sip:alice@10.0.0.1>
Route: <sip:p.example;lr>
Require: 100rel
Proxy-Require: a, b
Content-Type: text/plain
Content-Length: 2

hi""".replace(b"\n", b"\r\n")
_RESPONSE = b"SIP/2.0 180 Ringing\r\n" + _REQUEST.partition(b"\r\n")[2]

SEEDS = [
    _REQUEST,
    _REQUEST.replace(b"Require: 100rel\r\nProxy-Require: a, b\r\n", b""),
    _RESPONSE,
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    try:
        message = parse(data)
    except DecodeError:
        return
    if isinstance(message, Response):
        for forwarding in (False, True):
            problem = check_answer(message, forwarding=forwarding)
            assert problem is None or problem.status == 0
            if problem is None:
                assert CSeq.parse(message.headers["cseq"][0]).method
        return
    assert isinstance(message, Request)
    forwarding_problem = check_forwarding(message)
    if forwarding_problem is None:
        assert parse_uri(message.uri).scheme in ("sip", "sips", "tel")
        assert CSeq.parse(message.headers["cseq"][0]).method == message.method
        assert max_forwards(message.headers.get("max-forwards") or "70") > 0
    else:
        assert forwarding_problem.status in (400, 416, 420, 483, 501, 505)
    problem = check_strict(message, supported={"100rel"}, accepts=["text/plain"])
    if problem is None:
        for name in ("from", "to"):
            assert NameAddr.parse(message.headers[name][0]).uri.scheme
        assert Via.parse_list(message.headers.all("via"))
    else:
        assert problem.status in (400, 405, 415, 416, 420, 501, 505)
