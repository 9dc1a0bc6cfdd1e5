"""Session descriptions and addresses of requests, as scripts read and change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.script import put_sdp, sdp_of
from trunkline.sip.message import Request
from trunkline.sip.sdp import parse
from trunkline.testing import Harness, Sent

OFFER = b"""v=0\r
o=alice 111 222 IN IP4 192.0.2.33\r
s=-\r
c=IN IP4 192.0.2.34\r
t=0 0\r
m=audio 4002 RTP/AVP 8 101\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:101 telephone-event/8000\r
"""
TYPE = ("Content-Type", "application/sdp")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def call(script: Path, program: str, body: bytes = OFFER, kind: str = "application/sdp") -> Sent:
    """Send an INVITE through a script; the last message that the proxy sent."""
    text = f"from trunkline.script import *\n@on_request()\n{program}"
    script.write_text(text, encoding="utf-8")
    with Harness(script) as proxy:
        invite = proxy.request(
            "INVITE", "sip:bob@192.0.2.50", headers=[("Content-Type", kind)], body=body
        )
        return proxy.receive(invite)[-1]


def test_what_is_only_read_leaves_octet_for_octet(script: Path) -> None:
    program = """
def f(request):
    assert request.sdp.line("m=") == "m=audio 4002 RTP/AVP 8 101"
    assert request.sdp is request.sdp
    request.relay()
"""
    odd = OFFER.replace(b"s=-\r\n", b"s=-\n")
    assert call(script, program, odd).body == odd


def test_what_is_changed_is_put_back(script: Path) -> None:
    program = """
def f(request):
    request.sdp.media[0].remove_codec("telephone-event")
    assert b"101" not in request.body
    request.sdp.media[0].port = 4004
    request.relay()
"""
    sent = call(script, program)
    assert b"m=audio 4004 RTP/AVP 8\r\n" in sent.body
    assert sent.headers.get("Content-Length") == str(len(sent.body))


def test_a_part_of_a_multipart_body_is_put_back_into_its_place(script: Path) -> None:
    body = (
        b"--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
        b"--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n"
        b"--c\r\nContent-Type: application/sdp\r\nContent-Length: 1\r\n\r\n"
        + OFFER
        + b"\r\n--c--\r\n--b--\r\n"
    )
    program = "def f(request):\n    request.sdp.bump_version()\n    request.relay()\n"
    sent = call(script, program, body, "multipart/mixed;boundary=b")
    assert sent.body == body.replace(b"111 222", b"111 223").replace(
        b"Length: 1", b"Length: %d" % len(OFFER)
    )


def test_a_body_of_another_type_has_none(script: Path) -> None:
    program = """
def f(request):
    assert request.sdp is None
    request.relay()
"""
    assert call(script, program, b"hello", "text/plain").method == "INVITE"


def test_a_new_description_becomes_the_body(script: Path) -> None:
    program = """
def f(request):
    mine = request.sdp.copy()
    mine.media[0].port = 9
    request.body = b""
    request.sdp = mine
    request.sdp.media[0].port = 10
    request.relay()
"""
    sent = call(script, program)
    assert b"m=audio 10 " in sent.body
    assert sent.headers.all("Content-Type") == ["application/sdp"]


def test_a_body_that_is_replaced_forgets_what_was_read(script: Path) -> None:
    program = """
def f(request):
    request.sdp.media[0].port = 9
    request.body = b"v=0\\r\\no=- 1 1 IN IP4 192.0.2.9\\r\\ns=-\\r\\nt=0 0\\r\\n"
    assert request.sdp.origin.address == "192.0.2.9"
    request.relay()
"""
    assert b"m=audio" not in call(script, program).body


def test_a_description_that_cannot_be_read_is_the_callers_fault(script: Path) -> None:
    program = """
@in_dialog()
async def f(request):
    request.relay(f"sip:{request.sdp.origin.address}")
"""
    script.write_text(f"from trunkline.script import *\n@on_request()\n{program}")
    with Harness(script) as proxy:
        for _ in range(2):
            invite = proxy.request("INVITE", "sip:x", headers=[TYPE], body=b"v=1\r\n")
            _, answer = proxy.receive(invite)
            assert answer.status == 400
        assert proxy.element.stats.script_errors == 0
        assert proxy.element.proxy.refused == {"sdp.version": 2}
        assert proxy.lines == ["400, by f: line 1: a description begins with the line v=0"]
        to = ("To", "<sip:x>;tag=1")
        ack = proxy.request("ACK", "sip:x", headers=[TYPE, to], body=b"v=1\r\n")
        assert proxy.receive(ack) == []
        assert proxy.element.proxy.discarded == {"sdp.version": 1}


def test_addresses_of_a_request(script: Path) -> None:
    program = """
def f(request):
    request.headers.set("From", '"A. Lice" <sip:alice%21@example.org>;tag=1')
    request.uri = "tel:+1-555-0100"
    assert request.from_.display_name == "A. Lice"
    assert (request.from_.uri.username, request.from_.uri.host) == ("alice!", "example.org")
    assert request.to.uri.username == "bob"
    assert (request.target.username, request.target.host) == ("+15550100", None)
    request.uri = "urn:service:sos"
    assert (request.target.username, request.target.host) == (None, None)
    request.relay("sip:192.0.2.50")
"""
    assert call(script, program).method == "INVITE"


def test_relaying_as_the_returned_value_waits_for_nothing(script: Path) -> None:
    sent = call(script, "def f(request):\n    return request.relay()\n")
    assert sent.method == "INVITE"


def test_the_description_of_a_response_is_changed_by_hand(script: Path) -> None:
    program = """
@on_request()
def f(request):
    request.relay()

@on_reply("INVITE")
def answered(request, response):
    sdp = sdp_of(response)
    if sdp is not None:
        sdp.change_address("203.0.113.1")
        put_sdp(response, sdp)
"""
    script.write_text(f"from trunkline.script import *\n{program}", encoding="utf-8")
    with Harness(script) as proxy:
        _, invite = proxy.receive(proxy.request("INVITE", "sip:bob@192.0.2.50"))
        [ringing] = proxy.receive(invite.answer(180))
        assert ringing.body == b""
        [ok] = proxy.receive(invite.answer(200, headers=[TYPE], body=OFFER))
        assert ok.body == OFFER.replace(b"192.0.2.34", b"203.0.113.1")


def test_a_message_without_a_body_gets_one() -> None:
    request = Request.build("INVITE", "sip:x")
    assert sdp_of(request) is None
    put_sdp(request, parse(OFFER))
    assert request.body == OFFER
    assert request.headers.get("Content-Type") == "application/sdp"
