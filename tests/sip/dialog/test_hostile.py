"""What a broken or hostile peer sends: every call, session and subscription still ends, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sip.dialog.network import Network, sdp

from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Ended,
    IncomingCall,
    RequestArrived,
    ResponseArrived,
)
from trunkline.sip.dialog.session import Session

BROKEN = {
    "two Via values": (b"\r\nFrom: ", b"\r\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKx\r\nFrom: "),
    "two From rows": (b"From: ", b"From: <sip:x@example.org>;tag=x\r\nFrom: "),
    "no From": (b"From: ", b"X-From: "),
    "a CSeq that is none": (b"CSeq: ", b"CSeq: 99999999999"),
}


def talking(**options: object) -> tuple[Network, Session, Session]:
    """A call between Alice and Bob, and what they have sent forgotten."""
    network = Network()
    network.add("alice", **options)  # type: ignore[arg-type]
    network.add("bob", **options)  # type: ignore[arg-type]
    alice, bob = network.ends["alice"], network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp())
    network.run(1.0)
    network.sent.clear()
    return network, alice.one(Answered).session, bob.one(IncomingCall).session


def broken(how: str) -> Callable[[bytes], bytes]:
    old, new = BROKEN[how]
    return lambda data: data.replace(old, new, 1)


@pytest.mark.parametrize("how", BROKEN)
def test_a_response_that_is_not_right_counts_as_lost(how: str) -> None:
    network, session, _ = talking()
    alice, bob = network.ends["alice"], network.ends["bob"]
    bob.on(RequestArrived, lambda e: bob.ua.respond(e.transaction, e.request, 200, network.now))
    network.alter("alice", "200 INFO", broken(how))
    network.alter("alice", "200 BYE", broken(how))
    session.request("INFO", network.now)
    network.run(40.0)
    assert [event.response.status for event in alice.of(ResponseArrived)] == [408]
    assert len(network.times("alice", "INFO")) > 5  # it is sent again: timer E goes on
    network.run()
    assert len(alice.of(Ended)) == 1
    assert alice.ua.core.dialogs == {}
    assert not alice.ua.layer.clients


def test_a_refusal_that_is_not_right_is_waited_for_again() -> None:
    network = Network("alice", "bob")
    network.ends["bob"].on(IncomingCall, lambda event: event.session.reject(486, network.now))
    network.alter("alice", "486 INVITE", broken("no From"))
    call = network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@example.org", 0.0)
    network.run()
    assert network.ends["alice"].one(CallFailed).response.status == 408
    assert call.ended
