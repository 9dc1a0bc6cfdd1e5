"""Whatever comes to a whole proxy: answered, sent on or dropped, and never an exception.

The harness raises if one got out of the stack or was contained by the element.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sip.test_torture import CASES, Case, octets

from trunkline.elements.proxy.harness import Incoming
from trunkline.errors import TrunklineError
from trunkline.sip.message import Request, Response, parse
from trunkline.testing import Harness, Sent

CALLER = ("192.0.2.10", 5060)
GATEWAY = ("192.0.2.50", 5060)
PROXY = ("192.0.2.1", 5060)
RELAY = """
from trunkline.script import *

@on_request()
def anything(request):
    request.relay(via="sip:192.0.2.50")

@in_dialog()
def within(request):
    request.relay(via="sip:192.0.2.50")
"""


@pytest.fixture(params=["stateful", "stateless"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    script = tmp_path / "relay.py"
    script.write_text(RELAY, encoding="utf-8")
    dns = "services.example.com. 60 IN A 192.0.2.50"
    with Harness(script, dns=dns, stateless=request.param == "stateless") as harness:
        yield harness
        assert harness.element.stats.faults == 0
        assert harness.element.stats.script_errors == 0


def give(proxy: Harness, data: bytes) -> list[Sent]:
    return [sent for sent in proxy.receive(Incoming(data, CALLER)) if sent.status != 100]


# RFC 4475, RFC 5118


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_the_torture_messages(case: Case, proxy: Harness, vectors: Path) -> None:
    """What `docs/conformance/rfc4475-5118.md` says of a proxy is what comes out of one."""
    data = octets(vectors, case)
    sent = give(proxy, data)
    status, _, code = case.proxy.partition(" ")
    try:
        message = parse(data)
    except Exception:
        message = None
    if not isinstance(message, Request):
        assert sent == []  # nobody asked for this response
    elif status:
        [answer] = sent
        assert answer.status == int(status)
        assert answer.to[0] == CALLER[0]
        assert proxy.element.proxy.refused == {code: 1}
    else:
        [forwarded] = sent
        route = message.headers.get("route") or ""  # which goes before what the script says
        assert forwarded.to == (("127.0.0.1", 5080) if "127.0.0.1" in route else GATEWAY)
        kept = set(forwarded.headers.rows)
        changed = {"via", "max-forwards", "route"}
        for name, row in zip(message.headers.names, message.headers.rows, strict=True):
            assert name in changed or row in kept, row
        assert forwarded.body == message.body


# Bombs


BOMBS = {
    "rows": b"X: y\r\n" * 400,
    "too many rows": b"X: y\r\n" * 600,
    "one long row": b"X: " + b"y" * 60_000 + b"\r\n",
    "a head beyond the limit": b"X: " + b"y" * 70_000 + b"\r\n",
    "routes": b"Route: " + b"<sip:192.0.2.1;lr>," * 3000 + b"<sip:192.0.2.50;lr>\r\n",
    "routes of ours alone": b"Route: " + b"<sip:192.0.2.1;lr>," * 3000 + b"\r\n",
    "rows of routes": b"Route: <sip:192.0.2.1;lr>\r\n" * 400,
    "strict routes": b"Route: " + b"<sip:192.0.2.50>," * 3000 + b"<sip:192.0.2.50>\r\n",
    "vias": b"Via: " + b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx-00000000," * 1000 + b"a\r\n",
    "rows of vias": b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx-00000000\r\n" * 300,
    "an open quote": b'Via: SIP/2.0/UDP x;a="' + b'\\"' * 20_000 + b"\r\n",
    "an open bracket": b"Route: " + b"<" * 50_000 + b"\r\n",
    "commas": b"Route: " + b"," * 50_000 + b"\r\n",
    "folds": b"X: a" + b"\r\n " * 20_000 + b"\r\n",
    "requirements": b"Proxy-Require: " + b"a," * 30_000 + b"\r\n",
    "reasons": b"Reason: SIP;cause=200\r\n" * 400,
    "breadths": b"Max-Breadth: 1\r\n" * 400,
    "digits": b"Max-Breadth: " + b"9" * 50_000 + b"\r\n",
    "contacts": b"Contact: " + b"<sip:a@b>;q=0.5," * 3000 + b"<sip:a@b>\r\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, proxy: Harness) -> None:
    """Each within a bounded time; what is within the limits is sent on."""
    begun = time.perf_counter()
    for method in (b"INVITE", b"BYE", b"ACK", b"CANCEL"):
        head = b"%b sip:bob@example.org SIP/2.0\r\n" % method
        rows = (
            b"Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK%b\r\nMax-Forwards: 70\r\n"
            b"From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 %b\r\n"
        ) % (method, method)
        give(proxy, head + rows + BOMBS[name] + b"\r\n")
    assert time.perf_counter() - begun < 5.0
    proxy.advance(40)


def test_a_long_uri_is_not_remembered(proxy: Harness) -> None:
    for number in range(20):
        call = proxy.request("MESSAGE", f"sip:{number}{'x' * 20_000}@example.org")
        [sent] = give(proxy, call.data)
        assert sent.to == GATEWAY
    finder = proxy.element.locator
    assert sum(map(len, getattr(finder, "_literal", {}))) < 1000


# Loops


def circle(proxy: Harness, first: Incoming) -> int:
    """Give the proxy what it sends to itself, until it stops; how many requests it sent."""
    count = 0
    under_way = proxy.receive(first)
    while under_way:
        sent = under_way.pop(0)
        if isinstance(sent.message, Request):
            count += 1
        assert count < 500, "it goes on for ever"
        if sent.to == PROXY:
            under_way += proxy.receive(Incoming(sent.message.to_bytes(), PROXY))
    return count


def test_a_fault_of_ours_answers_500(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the script has no handler, nobody else would: the caller waits, the transaction too."""
    script = tmp_path / "none.py"
    script.write_text(
        "from trunkline.script import *\n@on_start\ndef f(app):\n    pass\n", encoding="utf-8"
    )
    with Harness(script) as proxy:
        call = proxy.request("OPTIONS", "sip:192.0.2.1")
        monkeypatch.setattr(proxy.element.identity, "is_ours", lambda uri: 1 // 0)
        with pytest.raises(TrunklineError, match="ZeroDivisionError"):
            proxy.receive(call)
        assert [sent.status for sent in proxy.sent()] == [500]


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "ACK"])
def test_a_script_that_sends_requests_to_itself(method: str, tmp_path: Path) -> None:
    script = tmp_path / "circle.py"
    script.write_text(
        "from trunkline.script import *\n@on_request()\ndef f(request):\n"
        "    request.relay('sip:bob@192.0.2.1')\n",
        encoding="utf-8",
    )
    with Harness(script) as proxy:
        turns = circle(proxy, proxy.request(method, "sip:bob@192.0.2.1"))
        assert turns <= (70 if method == "ACK" else 6)  # with the ACK to each failure on its way
        assert proxy.element.stats.faults == 0


def test_a_script_that_forks_to_itself(tmp_path: Path) -> None:
    """RFC 5393 section 3: without its rules this would be 2 to the 70th requests."""
    script = tmp_path / "circle.py"
    script.write_text(
        "from trunkline.script import *\n@on_request()\ndef f(request):\n"
        "    request.fork(['sip:a@192.0.2.1', 'sip:b@192.0.2.1'])\n",
        encoding="utf-8",
    )
    with Harness(script) as proxy:
        assert circle(proxy, proxy.request("INVITE", "sip:a@192.0.2.1")) < 100


def test_a_via_that_names_us_as_the_sender(proxy: Harness) -> None:
    """Answers go to where the request came from, so no answer comes to us."""
    via = ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKspoofed")
    call = proxy.request("MESSAGE", "sip:bob@example.org", headers=[via, ("Max-Forwards", "0")])
    [answer] = give(proxy, call.data)
    assert answer.to == CALLER
    # and the response to what is sent on goes back the same way
    other = ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKagain")
    call = proxy.request("MESSAGE", "sip:bob@example.org", headers=[other])
    [sent] = give(proxy, call.data)
    [answer] = proxy.receive(sent.answer(200))
    assert answer.to == CALLER


def test_responses_with_vias_that_name_us_again_and_again(proxy: Harness) -> None:
    """Nobody has us send a response to ourselves, round and round."""
    via = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs0." + "0" * 20
    response = Response.build(
        200,
        headers=[("Via", via)] * 50
        + [
            ("From", "<sip:a@x>;tag=1"),
            ("To", "<sip:b@x>;tag=2"),
            ("Call-ID", "1"),
            ("CSeq", "1 INVITE"),
        ],
    )
    assert give(proxy, response.to_bytes()) == []


# Octets


SEEDS = [
    b"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 INVITE\r\nRoute: <sip:192.0.2.1;lr>, <sip:192.0.2.50>\r\nMax-Breadth: 3\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs0.00000000000000000000\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n",
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_octets(data: st.DataObject, proxy: Harness) -> None:
    octets = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(octets)))
        octets[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    give(proxy, bytes(octets))
