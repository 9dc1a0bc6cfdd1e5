"""What a broken or hostile peer sends: every call, session and subscription still ends, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sip.dialog.network import DELAY, Network, connected, lose_first, sdp

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Cause,
    Ended,
    IncomingCall,
    Progress,
    RequestArrived,
    ResponseArrived,
)
from trunkline.sip.dialog.outgoing import Source
from trunkline.sip.message import Request
from trunkline.sip.transport import Flow, Transport

BROKEN = {
    "two Via values": (b"\r\nFrom: ", b"\r\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKx\r\nFrom: "),
    "two From rows": (b"From: ", b"From: <sip:x@example.org>;tag=x\r\nFrom: "),
    "no From": (b"From: ", b"X-From: "),
    "a CSeq that is none": (b"CSeq: ", b"CSeq: 99999999999"),
}


def broken(how: str) -> Callable[[bytes], bytes]:
    old, new = BROKEN[how]
    return lambda data: data.replace(old, new, 1)


@pytest.mark.parametrize("how", BROKEN)
def test_a_response_that_is_not_right_counts_as_lost(how: str) -> None:
    network, session, _ = connected()
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


def accepting(network: Network, *names: str) -> None:
    for name in names:
        network.ends[name].on(
            IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob"))
        )


CONTACT = b"Contact: <sip:bob@192.0.2.2:5060>"
USELESS = {
    "two Contacts": CONTACT + b", <sip:b@192.0.2.2>",
    "no SIP URI": b"Contact: <tel:+1>",
    "65 routes": CONTACT + 65 * b"\r\nRecord-Route: <sip:192.0.2.2;lr>",
}


@pytest.mark.parametrize("how", USELESS)
def test_a_2xx_that_no_dialog_can_be_made_of_is_acknowledged_and_ended(how: str) -> None:
    network = Network("alice", "bob")
    accepting(network, "bob")
    network.alter("alice", "200 INVITE", lambda data: data.replace(CONTACT, USELESS[how]))
    network.lose = lose_first("ACK")  # the second 200 gets one, too
    seen: list[int] = []
    call = network.ends["alice"].ua.invite(
        network.uri("bob"),
        "sip:alice@example.org",
        0.0,
        offer=sdp(),
        watch=lambda response, now: seen.append(response.status),
    )
    network.run(10.0)
    assert network.ladder()[:4] == ["alice INVITE", "bob 200 INVITE", "alice ACK", "alice BYE"]
    assert network.ladder().count("alice BYE") == 1
    assert network.ends["alice"].one(CallFailed).response.status == 502
    assert (call.ended, call.outgoing.source, seen) == (True, Source.UNUSABLE, [502])
    assert network.ends["bob"].one(Ended).cause is Cause.BYE
    network.run()
    network.assert_forgotten()


def test_a_useless_2xx_of_one_branch_leaves_the_others() -> None:
    network = Network("alice", "bob", "carol")
    network.add_proxy("proxy", all=["bob", "carol"])
    network.ends["bob"].on(
        IncomingCall,
        lambda event: network.at(
            0.5, lambda: event.session.accept(network.now, description=sdp("bob"))
        ),
    )
    network.ends["carol"].on(IncomingCall, lambda e: e.session.progress(180, network.now))
    network.alter("alice", "200 INVITE", lambda data: data.replace(CONTACT, b"Contact: <tel:+1>"))
    network.lose = lambda sent: sent.what == "CANCEL"  # the proxy's, for Carol
    network.ends["alice"].ua.invite("sip:all@192.0.2.4", "sip:a@example.org", 0.0, offer=sdp())
    network.run(1.0)
    assert not network.ends["alice"].of(CallFailed)
    network.run(100.0)
    assert network.ends["alice"].one(CallFailed).response.status == 502
    assert network.ends["alice"].ua.core.dialogs == {}


def test_a_2xx_that_comes_when_there_is_no_room() -> None:
    network = Network("bob")
    network.add("alice", limit=1)
    alice = network.ends["alice"].ua
    network.ends["bob"].on(
        IncomingCall,
        lambda event: network.at(
            network.now + 1, lambda: event.session.accept(network.now, description=sdp("bob"))
        ),
    )
    calls = [alice.invite(network.uri("bob"), "sip:a@example.org", t, offer=sdp()) for t in (0, 0)]
    network.run(2.0)
    assert [call.answered is not None for call in calls] == [True, False]
    assert network.ends["alice"].one(CallFailed).call is calls[1]
    assert [event.cause for event in network.ends["bob"].of(Ended)] == [Cause.BYE]
    with pytest.raises(TrunklineError, match="dialogs already") as caught:
        alice.invite(network.uri("bob"), "sip:a@example.org", network.now)
    assert caught.value.code == "dialog.full"


def test_a_cancelled_call_is_answered_with_a_contact_that_is_none() -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.progress(180, network.now))
    call = network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@example.org", 0.0)
    network.run(1.0)
    network.alter("alice", "200 INVITE", lambda data: data.replace(CONTACT, b"Contact: <tel:+1>"))
    network.lose = lambda sent: sent.what == "CANCEL"
    call.cancel(network.now)
    bob.one(IncomingCall).session.accept(network.now, description=sdp("bob"))
    network.run(3.0)
    ladder = [step for step in network.ladder() if step != "alice CANCEL"]
    assert ladder[-3:] == ["alice ACK", "alice BYE", "bob 200 BYE"]
    assert bob.one(Ended).cause is Cause.BYE


@pytest.mark.parametrize("late", [False, True])
def test_an_early_dialog_whose_bye_is_refused_is_ended_after_its_2xx(late: bool) -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.progress(180, network.now))
    network.refuse("bob", "BYE", 481, times=1)
    if late:  # the answer to BYE comes after the 2xx
        network.fate = lambda sent: (0.5,) if sent.what == "481 BYE" else (DELAY,)
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@example.org", 0.0, offer=sdp())
    network.run(1.0)
    session = network.ends["alice"].one(Progress).session
    assert session is not None
    session.hang_up(network.now)
    network.run(1.25)
    bob.one(IncomingCall).session.accept(network.now, description=sdp("bob"))
    network.run(5.0)
    byes = {message.headers.get("cseq") for message in network.messages("alice", "BYE")}
    assert byes == {"2 BYE", "3 BYE"}
    assert bob.one(Ended).cause is Cause.BYE
    network.run()
    network.assert_forgotten()


def test_an_answer_that_cannot_be_read_is_none() -> None:
    network = Network("alice", "bob")
    accepting(network, "bob")
    network.alter("alice", "200 INVITE", lambda data: data.replace(b"v=0", b"v=x"))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@example.org", 0.0, offer=sdp())
    network.run(1.0)
    answered = network.ends["alice"].one(Answered)
    assert answered.answer is None
    assert answered.session.exchange.remote is None
    answered.session.hang_up(network.now)
    network.run()
    network.assert_forgotten()


def test_long_texts_are_not_kept_after_the_dialog() -> None:
    network = Network("bob")
    bob, flow = network.ends["bob"], Flow(Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5060))
    call_id = "x" * 20_000
    rows = [
        ("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1"),
        ("From", f"<sip:peer@192.0.2.9>;tag={call_id}"),
        ("To", "<sip:bob@192.0.2.1>"),
        ("Call-ID", call_id),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:peer@192.0.2.9>"),
    ]
    invite = Request.build("INVITE", "sip:bob@192.0.2.1", rows)
    bob.on(IncomingCall, lambda event: event.session.progress(180, network.now))
    bob.tell(bob.ua.receive(invite.to_bytes(), flow, 0.0))
    bob.one(IncomingCall).session.reject(486, 0.0)
    core, server = bob.ua.core, bob.ua._server
    assert (len(core.ended), len(server._merging)) == (1, 1)
    kept = [*core.ended, *server._merging]
    assert all(len(key) == 32 for key in kept)
