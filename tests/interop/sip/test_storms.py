"""Every message five times over: each is dealt with once (RFC 3261 section 17, RFC 6026)."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.interop.sip.programs import free_port
from tests.interop.sip.scenarios import CALLEE
from tests.interop.sip.site import Site

pytestmark = pytest.mark.interop

RELAY = """
@on_request()
def route(request: Request) -> None:
    request.relay(via=request.app.settings["callee"])
"""
TIMES = 5
CALLS = 40


def settings(callee: str) -> str:
    return f"""
        [node.Edge.proxy.settings]
        callee = "{callee}"
    """


@pytest.mark.parametrize("workers", [1, 2])
def test_each_request_five_times(site: Site, workers: int) -> None:
    callee = site.callee()
    node = site.node(RELAY, workers=workers, settings=settings(callee.uri))
    wire = site.repeater(node.port, TIMES)
    caller = site.caller(wire.address, calls=CALLS, rate=40)
    caller.succeeded()
    callee.succeeded(CALLS)
    assert wire.taken >= 3 * CALLS
    # each INVITE and BYE went on once, the others were absorbed
    for method in ("INVITE", "BYE"):
        assert len(callee.received(method)) == CALLS
    assert node.counter("transactions", "requests") == 2 * CALLS
    assert node.counter("transactions", "absorbed") == 2 * CALLS * (TIMES - 1)
    node.healthy()


def test_each_response_five_times(site: Site) -> None:
    # The callee answers by the wire that repeats: -rsa.
    port = free_port()
    node = site.node(RELAY, settings=settings(f"sip:127.0.0.1:{port}"))
    wire = site.repeater(node.port, TIMES)
    callee = site.callee(CALLEE, "-rsa", wire.address, port=port)
    caller = site.caller(node.address, calls=CALLS, rate=40)
    caller.succeeded()
    callee.succeeded(CALLS)
    assert wire.taken >= 3 * CALLS
    # every 2xx to an INVITE is passed on (RFC 6026 section 7.3), of the others the first
    answers = Counter((seen.cseq, seen.call_id) for seen in caller.received(200))
    assert {answers[key] for key in answers if key[0] == "1 INVITE"} == {TIMES}
    assert {answers[key] for key in answers if key[0] == "2 BYE"} == {1}
    assert node.counter("transactions", "strays") == 0
    node.healthy()
