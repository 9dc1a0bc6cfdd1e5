"""Reliable provisional responses between two user agents: RFC 3262."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.sip.dialog.network import DELAY, Network, lose_all, lose_first, sdp

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Cause,
    Confirmed,
    Ended,
    IncomingCall,
    OfferAccepted,
    Offered,
    Progress,
)
from trunkline.sip.dialog.reliable import TABLE, Order, ReliableOrder, State, Trigger
from trunkline.sip.dialog.session import Session
from trunkline.sip.message import Request, Response
from trunkline.sip.sdp import SessionDescription
from trunkline.sip.sdp.exchange_table import Phase


def calling(
    *, offer: SessionDescription | None, headers: list[tuple[str, str]] | None = None
) -> tuple[Network, Session]:
    """Alice has called, and Bob has her INVITE."""
    network = Network("alice", "bob")
    network.ends["alice"].ua.invite(
        network.uri("bob"), "sip:alice@example.org", 0.0, offer=offer, headers=headers or ()
    )
    network.run(0.125)
    return network, network.ends["bob"].one(IncomingCall).session


def test_early_media_with_the_answer_in_a_reliable_183() -> None:
    network, session = calling(offer=sdp())
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    network.run(1.0)
    session.accept(network.now)
    network.run(2.0)
    alice, bob = network.ends["alice"], network.ends["bob"]
    assert network.ladder() == [
        "alice INVITE",
        "bob 183 INVITE",
        "alice PRACK",
        "bob 200 PRACK",
        "bob 200 INVITE",
        "alice ACK",
    ]
    assert str(alice.one(Progress).answer) == str(sdp("bob"))
    assert alice.one(Answered).answer is None
    [progress] = network.messages("bob", "183 INVITE")
    [prack] = network.messages("alice", "PRACK")
    [ok] = network.messages("bob", "200 INVITE")
    rseq = progress.headers.get("rseq")
    assert rseq == str(1 + (2**31 - 1) // 2)  # drawn: 0.5
    assert progress.headers.tokens("require") == ["100rel"]
    assert prack.headers.get("rack") == f"{rseq} 1 INVITE"
    assert prack.headers.get("cseq") == "2 PRACK"
    assert ok.body == b""
    bob.one(Confirmed)


def test_it_is_sent_again_from_t1_doubled_without_limit_until_the_prack() -> None:
    # section 3: unlike a 2xx it is not capped at T2
    network, session = calling(offer=sdp())
    network.lose = lose_all("PRACK")
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    network.run()
    times = network.times("bob", "183 INVITE")
    assert [b - a for a, b in pairwise(times)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    # 64*T1 without a PRACK: 5xx
    [failed] = network.times("bob", "504 INVITE")
    assert failed == times[0] + 32.0
    assert network.ends["bob"].one(Ended).cause is Cause.NO_PRACK
    assert network.ends["alice"].one(CallFailed).response.status == 504
    with pytest.raises(TrunklineError) as caught:
        session.accept(network.now)
    assert caught.value.code == "dialog.state"
    network.assert_forgotten()


@pytest.mark.parametrize("lost", ["183 INVITE", "PRACK", "200 PRACK"])
def test_one_loss_does_not_matter(lost: str) -> None:
    network, session = calling(offer=sdp())
    network.lose = lose_first(lost)
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    network.run(5.0)
    session.accept(network.now)
    network.run(6.0)
    assert len(network.ends["alice"].of(Progress)) == 1  # retransmissions are discarded
    network.ends["bob"].one(Confirmed)


def test_a_2xx_waits_until_the_description_is_acknowledged() -> None:
    # sections 3 and 5
    network, session = calling(offer=sdp())
    network.lose = lose_first("183 INVITE")
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    session.accept(network.now)
    network.run(2.0)
    [ok] = network.times("bob", "200 INVITE")
    [prack] = network.times("alice", "PRACK")
    assert ok == prack + DELAY
    network.ends["bob"].one(Confirmed)


def test_a_2xx_does_not_wait_for_one_without_a_description() -> None:
    network, session = calling(offer=sdp())
    network.lose = lose_first("183 INVITE")
    session.progress(183, network.now, reliable=True)
    session.accept(network.now, description=sdp("bob"))
    network.run(2.0)
    assert network.ladder() == ["alice INVITE", "bob 183 INVITE", "bob 200 INVITE", "alice ACK"]


def test_a_prack_after_the_2xx_is_answered_still() -> None:
    network, session = calling(offer=sdp())
    session.progress(183, network.now, reliable=True)
    session.accept(network.now, description=sdp("bob"))
    network.run(2.0)
    assert "bob 200 PRACK" in network.ladder()
    network.ends["bob"].one(Confirmed)


def test_the_next_one_waits_for_the_prack_before() -> None:
    network, session = calling(offer=sdp())
    session.progress(180, network.now, reliable=True)
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    session.progress(181, network.now, reliable=True)
    network.run(0.5)
    sent = network.messages("bob", "180 INVITE")
    sent += network.messages("bob", "183 INVITE") + network.messages("bob", "181 INVITE")
    numbers = [int(message.headers.get("rseq") or 0) for message in sent]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    assert network.ladder()[1:] == [
        *("bob 180 INVITE", "alice PRACK", "bob 200 PRACK"),
        *("bob 183 INVITE", "alice PRACK", "bob 200 PRACK"),
        *("bob 181 INVITE", "alice PRACK", "bob 200 PRACK"),
    ]


def test_too_many_do_not_wait() -> None:
    network, session = calling(offer=sdp())
    for _ in range(17):
        session.progress(183, network.now, reliable=True)
    with pytest.raises(TrunklineError) as caught:
        session.progress(183, network.now, reliable=True)
    assert caught.value.code == "dialog.prack-pending"


def test_offer_in_the_183_and_answer_in_the_prack() -> None:
    # section 5: the INVITE had none
    network, session = calling(offer=None)
    alice, bob = network.ends["alice"], network.ends["bob"]

    def answer(event: Progress) -> None:
        assert event.session is not None
        event.session.answer(network.now, description=sdp())

    alice.on(Progress, answer)
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    network.run(1.0)
    assert str(alice.one(Progress).offer) == str(sdp("bob"))
    assert str(bob.one(OfferAccepted).answer) == str(sdp())
    session.accept(network.now)
    network.run(2.0)
    assert bob.one(Confirmed).answer is None
    assert str(session.exchange.remote) == str(sdp())


def test_an_offer_in_a_prack_is_answered_in_its_2xx() -> None:
    # section 5; our own user agent makes none, so it is put in by hand
    network, session = calling(offer=sdp())
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    receive = network.receivers[network.addresses["bob"]]

    network.receivers[network.addresses["bob"]] = lambda data, flow: receive(
        offering(data, 2), flow
    )
    bob = network.ends["bob"]
    network.run(1.0)
    offered = bob.one(Offered)
    assert offered.request.method == "PRACK"
    assert str(offered.offer) == str(sdp(version=2))
    offered.session.answer(network.now, description=sdp("bob", version=2))
    network.run(1.5)
    [ok] = network.messages("bob", "200 PRACK")
    assert ok.body == sdp("bob", version=2).to_bytes()
    session.accept(network.now)
    network.run(3.0)
    bob.one(Confirmed)
    assert str(session.exchange.remote) == str(sdp(version=2))


def test_an_offer_in_a_prack_while_another_waits() -> None:
    # section 5; RFC 3311 5.2
    network, session = calling(offer=sdp())
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    network.run(1.0)
    caller = network.ends["alice"].of(Progress)[0].session
    assert caller is not None
    caller.offer(sdp(version=2), network.now, method="UPDATE")
    network.run(2.0)
    receive = network.receivers[network.addresses["bob"]]
    network.receivers[network.addresses["bob"]] = lambda data, flow: receive(
        offering(data, 3), flow
    )
    session.progress(180, network.now, reliable=True)
    network.run(2.0 + 3 * DELAY)
    [refused] = network.messages("bob", "500 PRACK")
    assert "retry-after" in refused.headers


def offering(data: bytes, version: int) -> bytes:
    """A PRACK with an offer put in, anything else as it is."""
    if not data.startswith(b"PRACK"):
        return data
    body = sdp(version=version).to_bytes()
    head = data.replace(b"Content-Length: 0", b"Content-Length: %d" % len(body))
    return head.replace(b"\r\n\r\n", b"\r\nContent-Type: application/sdp\r\n\r\n") + body


def test_where_100rel_is_required_all_are_reliable() -> None:
    network, session = calling(offer=sdp(), headers=[("Require", "100rel")])
    session.progress(180, network.now)
    network.run(1.0)
    assert network.ladder() == ["alice INVITE", "bob 180 INVITE", "alice PRACK", "bob 200 PRACK"]


def test_where_it_is_not_supported_none_is() -> None:
    network = Network("bob")
    network.add("alice", capabilities=Capabilities(extensions=("timer",)))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run(0.125)
    session = network.ends["bob"].one(IncomingCall).session
    with pytest.raises(TrunklineError) as caught:
        session.progress(183, network.now, reliable=True)
    assert caught.value.code == "dialog.not-reliable"
    session.progress(183, network.now)


def test_a_user_agent_that_does_not_know_100rel_refuses_what_requires_it() -> None:
    # section 3
    network = Network("alice")
    network.add("bob", capabilities=Capabilities(extensions=()))
    network.ends["alice"].ua.invite(
        network.uri("bob"), "sip:a@x", 0.0, offer=sdp(), headers=[("Require", "100rel")]
    )
    network.run()
    response = network.ends["alice"].one(CallFailed).response
    assert response.status == 420
    assert response.headers.get("unsupported") == "100rel"


def test_a_prack_for_nothing_is_answered_481() -> None:
    network, session = calling(offer=sdp())
    session.progress(180, network.now)
    network.run(0.5)
    progress = network.ends["alice"].one(Progress)
    assert progress.session is not None
    for rack in ("1 1 INVITE", "x", ""):
        progress.session.request("PRACK", network.now, headers=[("RAck", rack)] if rack else [])
    network.run(1.0)
    refused = [sent.what for sent in network.sent if sent.what.endswith(" PRACK")]
    assert refused == ["481 PRACK", "400 PRACK", "481 PRACK"]


def test_long_ringing_is_prolonged_reliably() -> None:
    # section 3: every two and a half minutes
    network, session = calling(offer=sdp())
    session.progress(180, network.now, reliable=True)
    begun = network.now
    network.run(400.0)
    assert network.times("bob", "180 INVITE") == [begun, begun + 150, begun + 300]
    assert len(network.times("alice", "PRACK")) == 3


def provisional(rseq: str | None, require: str = "100rel") -> Response:
    rows = [("Require", require)] if require else []
    return Response.build(183, headers=[*rows, *([("RSeq", rseq)] if rseq else [])])


def test_the_order_at_the_caller() -> None:
    # section 4
    order = ReliableOrder()
    steps = [
        (provisional("7", ""), Order.UNRELIABLE),
        (provisional(None), Order.UNRELIABLE),
        (provisional("0"), Order.UNRELIABLE),
        (provisional("x"), Order.UNRELIABLE),
        (provisional("10"), Order.NEXT),
        (provisional("10"), Order.REPEATED),
        (provisional("12"), Order.EARLY),
        (provisional("11"), Order.NEXT),
        (provisional("12"), Order.NEXT),
        (provisional("9"), Order.REPEATED),
    ]
    assert [order.take(response) for response, _ in steps] == [known for _, known in steps]


def test_100_is_never_reliable() -> None:
    trying = Response.build(100, headers=[("Require", "100rel"), ("RSeq", "1")])
    assert ReliableOrder().take(trying) is Order.UNRELIABLE


def test_every_state_of_the_table_has_its_rows() -> None:
    missing = {(s, t) for s in State for t in Trigger if t not in TABLE[s]}
    assert missing == {
        # nothing is unacknowledged, so no timer runs and no PRACK can match
        (State.IDLE, Trigger.PRACK),
        (State.IDLE, Trigger.RESEND),
        (State.IDLE, Trigger.GIVE_UP),
        # the final response has stopped the timers
        (State.ENDED, Trigger.RESEND),
        (State.ENDED, Trigger.GIVE_UP),
    }


def test_a_prack_is_a_request_of_the_dialog() -> None:
    network, session = calling(offer=sdp())
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    network.run(1.0)
    [prack] = network.messages("alice", "PRACK")
    assert isinstance(prack, Request)
    assert prack.uri == "sip:bob@192.0.2.2:5060"


def test_an_answer_that_waits_has_not_been_sent() -> None:
    # RFC 3311 section 5.1: the callee offers only after the PRACK of its answer
    network, session = calling(offer=sdp())
    session.progress(180, network.now, reliable=True)
    session.progress(183, network.now, description=sdp("bob"), reliable=True)
    assert session.exchange.phase is Phase.OFFERED
    with pytest.raises(TrunklineError) as caught:  # but it counts for what may follow it
        session.progress(183, network.now, description=sdp("bob", version=2), reliable=True)
    assert caught.value.code == "sdp.not-here"
    network.run(0.125 + 2.5 * DELAY)  # the PRACK of the 180 has come
    assert network.ladder()[-1] == "bob 183 INVITE"
    with pytest.raises(TrunklineError) as caught:
        session.offer(sdp("bob", version=2), network.now, method="UPDATE")
    assert caught.value.code == "sdp.offer-pending"
    network.run(1.0)
    session.offer(sdp("bob", version=2), network.now, method="UPDATE")
