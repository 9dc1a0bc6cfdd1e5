"""Kamailio in front of us and behind us; both record their routes, and requests pass both."""

from __future__ import annotations

import re

import pytest
from tests.interop.sip.programs import free_port
from tests.interop.sip.scenarios import (
    CALL,
    CALLEE,
    OK,
    RINGING,
    Scenario,
    ack_failure,
    answer,
    cancel,
    expect,
    invite,
    keep,
    send,
)
from tests.interop.sip.site import Site

pytestmark = pytest.mark.interop

RELAY = """
@on_request()
def route(request: Request) -> None:
    request.relay(via="{}")
"""
TO = '$du = "{}";'


@pytest.fixture(params=["next udp", "next tcp", "previous udp", "previous tcp"])
def chain(request: pytest.FixtureRequest, site: Site) -> Chain:
    place, transport = request.param.split()
    return Chain(site, place == "previous", transport)


class Chain:
    """Caller, two proxies with ``transport`` between them, callee."""

    def __init__(self, site: Site, kamailio_first: bool, transport: str) -> None:
        self.site = site
        self.kamailio_first = kamailio_first
        self.transport = transport

    def run(self, calls: int, caller: Scenario = CALL, callee: Scenario = CALLEE) -> None:
        """Make calls through both; see that all go as the scenarios say."""
        self.callee = self.site.callee(callee, wire=True)
        port = free_port()
        listen = (f"tcp:127.0.0.1:{port}",)
        between = f";transport={self.transport}"
        if self.kamailio_first:
            script = RELAY.format(self.callee.uri)
            self.kamailio = self.site.kamailio(TO.format(f"sip:127.0.0.1:{port}{between}"))
            first = self.kamailio.address
        else:
            self.kamailio = self.site.kamailio(TO.format(self.callee.uri))
            script = RELAY.format(self.kamailio.uri + between)
            first = f"127.0.0.1:{port}"
        self.node = self.site.node(script, port=port, listen=listen)
        self.caller = self.site.caller(first, caller, calls=calls)
        self.caller.succeeded()
        self.callee.succeeded(calls)
        self.node.healthy()


def test_a_call_and_its_end_pass_both(chain: Chain) -> None:
    chain.run(10)
    order = [chain.node.port, chain.kamailio.port]
    if not chain.kamailio_first:
        order.reverse()  # the callee's neighbour is on top
    invites = chain.callee.texts("INVITE")
    for text in invites:
        routes = re.findall(r"Record-Route: <sip:127\.0\.0\.1:(\d+)", text)
        # RFC 5658: who changes the transport records a route for either side
        times = 2 if chain.transport == "tcp" else 1
        assert [int(port) for port in routes] == [port for port in order for _ in range(times)]
    in_dialog = chain.callee.texts("ACK") + chain.callee.texts("BYE")
    assert (len(invites), len(in_dialog)) == (10, 20)
    for text in in_dialog:
        vias = re.findall(r"^Via: SIP/2\.0/(?:UDP|TCP) 127\.0\.0\.1:(\d+)", text, re.MULTILINE)
        assert [int(port) for port in vias] == [*order, chain.caller.port]
        assert "\nRoute:" not in text
    assert chain.node.counter("transactions", "requests") == 20
    assert chain.node.counter("transactions", "retransmitted") == 0
    passed = chain.node.counters("transports", f"{chain.transport.upper()} {chain.node.address}")
    assert min(passed["received"], passed["sent"]) >= 30


def test_a_cancel_passes_both(chain: Chain) -> None:
    terminated = send(answer("487 Request Terminated", kept=3), again=True)
    chain.run(
        5,
        (
            *(send(invite(), again=True), expect(100, optional=True), expect(180)),
            *(send(cancel(), again=True), expect(200), expect(487), send(ack_failure())),
        ),
        (expect("INVITE", do=keep(3)), RINGING, expect("CANCEL"), OK, terminated, expect("ACK")),
    )
    assert len(chain.callee.received("CANCEL")) == 5


@pytest.mark.parametrize("line", ["486 Busy Here", "603 Decline"])
def test_a_refusal_passes_both(chain: Chain, line: str) -> None:
    chain.run(
        5,
        (
            *(send(invite(), again=True), expect(100, optional=True)),
            *(expect(int(line[:3])), send(ack_failure())),
        ),
        (expect("INVITE"), send(answer(line), again=True), expect("ACK")),
    )
    assert len(chain.callee.received("ACK")) == 5


def test_a_loop_between_both_ends(site: Site) -> None:
    port = free_port()
    kamailio = site.kamailio(TO.format(f"sip:127.0.0.1:{port}"))
    node = site.node(RELAY.format(kamailio.uri), port=port)
    caller = site.caller(
        node.address,
        (
            *(send(invite(), again=True), expect(100, optional=True)),
            *(expect(483), send(ack_failure())),
        ),
    )
    caller.succeeded()
    assert node.counter("transactions", "requests") == 36  # of 70 hops, the last refused
    node.healthy()
