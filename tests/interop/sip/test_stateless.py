"""Calls through nodes that keep no state: by two workers, through each other, and by Kamailio."""

from __future__ import annotations

import pytest
from tests.interop.sip.scenarios import (
    OK,
    PAUSE,
    RINGING,
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
STATELESS = "stateless = true"


def test_calls_by_two_workers(site: Site) -> None:
    """A response may come to the other worker, and it is as good there: nothing is handed over."""
    callee = site.callee()
    node = site.node(RELAY.format(callee.uri), workers=2, settings=STATELESS)
    caller = site.caller(node.address, calls=200, rate=100, transport="un")
    caller.succeeded()
    callee.succeeded(200)
    assert node.counter("transactions", "requests") == 0
    assert node.counter("stateless", "requests") == 600  # INVITE, ACK, BYE
    assert node.counter("stateless", "responses") >= 600
    assert node.counter("workers", "handed_over") == 0
    node.healthy()


def test_a_call_that_is_refused(site: Site) -> None:
    """The ACK to a failure takes the way of the INVITE."""
    callee = site.callee(
        (expect("INVITE"), PAUSE, send(answer("486 Busy Here"), again=True), expect("ACK"))
    )
    node = site.node(RELAY.format(callee.uri), settings=STATELESS)
    ask = (send(invite(), again=True), expect(180, optional=True))
    caller = site.caller(node.address, (*ask, expect(486), send(ack_failure())), calls=10)
    caller.succeeded()
    callee.succeeded(10)
    assert len(callee.received("ACK")) == 10
    node.healthy()


def test_a_call_that_is_cancelled(site: Site) -> None:
    callee = site.callee(
        (
            *(expect("INVITE", do=keep()), RINGING, expect("CANCEL"), OK),
            send(answer("487 Request Terminated", kept=2), again=True),
            expect("ACK"),
        )
    )
    node = site.node(RELAY.format(callee.uri), workers=2, settings=STATELESS)
    caller = site.caller(
        node.address,
        (
            *(send(invite(), again=True), expect(180)),
            *(send(cancel(), again=True), expect(200), expect(487), send(ack_failure())),
        ),
        calls=20,
        rate=20,
        transport="un",
    )
    caller.succeeded()
    callee.succeeded(20)
    node.healthy()


def test_three_nodes_one_after_the_other(site: Site) -> None:
    """Stateless, stateful, stateless: each for the others what any element is."""
    callee = site.callee()
    last = site.node(RELAY.format(callee.uri), name="Last", settings=STATELESS)
    middle = site.node(RELAY.format(f"sip:{last.address}"), name="Middle")
    first = site.node(RELAY.format(f"sip:{middle.address}"), name="First", settings=STATELESS)
    caller = site.caller(first.address, calls=20)
    caller.succeeded()
    callee.succeeded(20)
    for node in (first, middle, last):
        node.healthy()


def test_kamailio_on_both_sides(site: Site) -> None:
    callee = site.callee()
    after = site.kamailio(f'$du = "{callee.uri}";', name="after")
    node = site.node(RELAY.format(f"sip:{after.address}"), settings=STATELESS)
    before = site.kamailio(f'$du = "sip:{node.address}";', name="before")
    caller = site.caller(before.address, calls=20)
    caller.succeeded()
    callee.succeeded(20)
    node.healthy()
