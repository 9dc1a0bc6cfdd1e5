"""Whole calls between two user agents: RFC 3261 sections 13 to 15."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from tests.sip.dialog.network import DELAY, End, Network, lose_all, lose_first, sdp

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.call import Call
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Cause,
    Confirmed,
    Ended,
    IncomingCall,
    Progress,
)
from trunkline.sip.dialog.outgoing import Source
from trunkline.sip.dialog.session_table import SessionState


def pair(*, answer_after: float = 5.0, ring: bool = True) -> Network:
    """Alice and Bob; Bob rings at once and answers later."""
    network = Network("alice", "bob")
    bob = network.ends["bob"]

    def incoming(event: IncomingCall) -> None:
        session = event.session
        if ring:
            session.progress(180, network.now)

        def answer() -> None:
            if session.state is SessionState.EARLY:
                session.accept(network.now, description=sdp("bob"))

        network.at(network.now + answer_after, answer)

    bob.on(IncomingCall, incoming)
    return network


def call(network: Network, **options: object) -> Call:
    alice = network.ends["alice"]
    return alice.ua.invite(
        network.uri("bob"),
        "sip:alice@example.org",
        network.now,
        offer=sdp("alice"),
        **options,  # type: ignore[arg-type]
    )


def session_of(end: End) -> SessionState:
    begun = [event.session for event in end.of(Answered)]
    begun += [event.session for event in end.of(IncomingCall)]
    [session] = begun
    return session.state


def test_a_call_as_in_rfc_3665_3_1() -> None:
    network = pair()
    made = call(network)
    network.run(10.0)
    alice, bob = network.ends["alice"], network.ends["bob"]
    answered, confirmed = alice.one(Answered), bob.one(Confirmed)
    assert made.answered is answered.session
    assert answered.answer is not None
    assert str(answered.answer) == str(sdp("bob"))
    assert str(answered.session.exchange.remote) == str(sdp("bob"))
    assert str(confirmed.session.exchange.remote) == str(sdp("alice"))
    assert alice.one(Progress).session is answered.session
    assert (session_of(alice), session_of(bob)) == (SessionState.CONFIRMED, SessionState.CONFIRMED)

    confirmed.session.hang_up(network.now, headers=[("Reason", "Q.850;cause=16")])
    network.run()
    assert network.ladder() == [
        "alice INVITE",
        "bob 180 INVITE",
        "bob 200 INVITE",
        "alice ACK",
        "bob BYE",
        "alice 200 BYE",
    ]
    assert bob.one(Ended).cause is Cause.HANG_UP
    ended = alice.one(Ended)
    assert ended.cause is Cause.BYE
    assert ended.message is not None
    assert ended.message.headers.get("reason") == "Q.850;cause=16"
    network.assert_forgotten()


def test_what_the_messages_of_a_call_carry() -> None:
    network = pair()
    call(network)
    network.run(10.0)
    [invite] = network.messages("alice", "INVITE")
    [ok] = network.messages("bob", "200 INVITE")
    [ack] = network.messages("alice", "ACK")
    assert invite.headers.get("contact") == "<sip:alice@192.0.2.1:5060>"
    assert "UPDATE" in (invite.headers.get("allow") or "")
    assert invite.headers.tokens("supported") == ["100rel", "timer", "replaces"]
    assert (invite.headers.get("via") or "").endswith(";rport")
    assert ok.headers.get("contact") == "<sip:bob@192.0.2.2:5060>"
    assert ok.headers.tokens("supported") == ["100rel", "timer", "replaces"]
    assert ok.headers.get("content-type") == "application/sdp"
    assert ack.headers.get("cseq") == "1 ACK"
    assert ack.headers.get("to") == ok.headers.get("to")
    assert ack.headers.get("via") != invite.headers.get("via")
    assert ack.body == b""


@pytest.mark.parametrize(
    ("lost", "sent_again"),
    [
        (("INVITE",), ("alice", "INVITE", [0.0, 0.5])),
        (("100 INVITE", "180 INVITE"), ("alice", "INVITE", [0.0, 0.5])),
        (("200 INVITE",), ("bob", "200 INVITE", [0.0, 0.5])),
        (("ACK",), ("alice", "ACK", [0.0, 0.5])),
        (("BYE",), ("bob", "BYE", [0.0, 0.5])),
        (("200 BYE",), ("bob", "BYE", [0.0, 0.5])),
    ],
)
def test_a_call_gets_through_whatever_is_lost_once(
    lost: tuple[str, ...], sent_again: tuple[str, str, list[float]]
) -> None:
    network = pair()
    network.lose = lose_first(*lost)
    call(network)
    network.run(20.0)
    network.ends["bob"].one(Confirmed).session.hang_up(network.now)
    network.run()
    sender, what, pauses = sent_again
    times = network.times(sender, what)
    assert [time - times[0] for time in times] == pauses
    for end in network.ends.values():
        end.one(Ended)
    network.assert_forgotten()


def test_the_2xx_is_sent_again_from_t1_to_t2_and_then_the_session_ends() -> None:
    # 13.3.1.4
    network = pair()
    network.lose = lose_all("ACK")
    call(network)
    network.run()
    times = network.times("bob", "200 INVITE")
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == [0.5, 1.0, 2.0, *[4.0] * 7]
    assert len(network.times("alice", "ACK")) == len(times)
    [bye] = network.times("bob", "BYE")
    assert bye == times[0] + 32.0
    assert network.ends["bob"].one(Ended).cause is Cause.NO_ACK
    assert network.ends["alice"].one(Ended).cause is Cause.BYE
    network.assert_forgotten()


def test_a_callee_hangs_up_only_after_the_ack() -> None:
    # section 15
    network = pair()
    network.lose = lose_first("ACK", "ACK")
    bob = network.ends["bob"]
    call(network)
    network.run(5.0 + 2 * DELAY)
    bob.one(IncomingCall).session.hang_up(network.now)
    assert session_of(bob) is SessionState.CLOSING
    assert bob.of(Ended) == []
    network.run()
    [bye] = network.times("bob", "BYE")
    acks = network.times("alice", "ACK")
    assert len(acks) == 3
    assert bye == acks[-1] + DELAY
    assert bob.one(Ended).cause is Cause.HANG_UP
    network.assert_forgotten()


def test_a_callee_that_gets_no_ack_hangs_up_all_the_same() -> None:
    network = pair()
    network.lose = lose_all("ACK")
    bob = network.ends["bob"]
    call(network)
    network.run(7.0)
    bob.one(IncomingCall).session.hang_up(network.now)
    network.run()
    assert len(network.times("bob", "BYE")) == 1
    assert bob.one(Ended).cause is Cause.HANG_UP
    network.assert_forgotten()


def test_both_hang_up_at_once() -> None:
    network = pair()
    call(network)
    network.run(10.0)
    network.ends["alice"].one(Answered).session.hang_up(network.now)
    network.ends["bob"].one(IncomingCall).session.hang_up(network.now)
    network.run()
    assert network.ladder()[-4:] == ["alice BYE", "bob BYE", "bob 200 BYE", "alice 200 BYE"]
    for end in network.ends.values():
        assert end.one(Ended).cause is Cause.HANG_UP
    network.assert_forgotten()


def test_a_bye_that_nobody_answers_ends_the_dialog_too() -> None:
    # 15.1.1
    network = pair()
    call(network)
    network.run(10.0)
    network.lose = lambda sent: sent.sender == "bob"
    network.ends["alice"].one(Answered).session.hang_up(network.now)
    network.run()
    network.assert_forgotten()


def test_a_call_is_rejected() -> None:
    network = Network("alice", "bob")
    alice, bob = network.ends["alice"], network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.reject(486, network.now))
    made = call(network)
    network.run()
    failed = alice.one(CallFailed)
    assert failed.call is made
    assert failed.response.status == 486
    assert made.outgoing.source is Source.PEER
    assert bob.one(Ended).cause is Cause.REJECTED
    assert network.ladder() == ["alice INVITE", "bob 486 INVITE", "alice ACK"]
    network.assert_forgotten()


def test_a_rejected_call_ends_its_early_dialogs() -> None:
    network = Network("alice", "bob")
    alice, bob = network.ends["alice"], network.ends["bob"]

    def incoming(event: IncomingCall) -> None:
        event.session.progress(180, network.now)
        network.at(network.now + 3, lambda: event.session.hang_up(network.now))

    bob.on(IncomingCall, incoming)
    call(network)
    network.run()
    assert alice.one(Ended).cause is Cause.FAILED
    assert alice.one(CallFailed).response.status == 603
    assert bob.one(Ended).cause is Cause.REJECTED
    network.assert_forgotten()


def test_a_call_to_nobody_times_out() -> None:
    network = Network("alice", "bob", lose=lambda sent: True)
    made = call(network)
    network.run()
    assert network.ends["alice"].one(CallFailed).response.status == 408
    assert made.outgoing.source is Source.TIMEOUT
    assert network.now == 32.0
    network.assert_forgotten()


def test_cancel_after_180() -> None:
    # RFC 3665 section 3.8
    network = pair()
    made = call(network)
    network.run(2.0)
    made.cancel(network.now, headers=[("Reason", "SIP;cause=200")])
    network.run()
    alice, bob = network.ends["alice"], network.ends["bob"]
    assert network.ladder() == [
        "alice INVITE",
        "bob 180 INVITE",
        "alice CANCEL",
        "bob 200 CANCEL",
        "bob 487 INVITE",
        "alice ACK",
    ]
    [ringing] = network.messages("bob", "180 INVITE")
    [ok] = network.messages("bob", "200 CANCEL")
    assert ok.headers.get("to") == ringing.headers.get("to")  # 9.2
    assert bob.one(Ended).cause is Cause.CANCELLED
    assert bob.one(Ended).message is not None
    assert alice.one(Ended).cause is Cause.HANG_UP
    assert alice.one(CallFailed).response.status == 487
    network.assert_forgotten()


def test_cancel_waits_for_a_provisional_response() -> None:
    # 9.1; bob sends 100 after 200 ms by himself (17.2.1)
    network = pair(ring=False)
    made = call(network)
    made.cancel(network.now)
    network.run()
    [trying] = network.times("bob", "100 INVITE")
    [cancel] = network.times("alice", "CANCEL")
    assert trying == 0.2 + DELAY
    assert cancel == trying + DELAY
    assert network.ends["alice"].one(CallFailed).response.status == 487
    network.assert_forgotten()


def test_cancel_and_200_cross() -> None:
    # section 15: the 2xx is acknowledged, and the session ended
    network = pair(answer_after=2.0)
    made = call(network)
    network.run(2.0 + DELAY)  # bob's 200 is on its way
    made.cancel(network.now)
    network.run()
    alice, bob = network.ends["alice"], network.ends["bob"]
    assert network.ladder()[2:] == [
        "bob 200 INVITE",
        "alice CANCEL",
        "alice ACK",
        "alice BYE",
        "bob 200 CANCEL",
        "bob 200 BYE",
    ]
    assert alice.of(Answered) == []
    assert alice.one(CallFailed).response.status == 487
    assert alice.one(Ended).cause is Cause.HANG_UP
    assert bob.one(Ended).cause is Cause.BYE
    network.assert_forgotten()


def test_a_cancelled_call_that_never_ends_is_given_up() -> None:
    network = pair()
    made = call(network)
    network.run(2.0)
    network.lose = lambda sent: sent.sender == "bob"
    made.cancel(network.now)
    network.run()
    assert network.ends["alice"].one(CallFailed).response.status == 408
    network.assert_forgotten()


def test_an_invitation_expires_at_the_callee() -> None:
    # 13.3.1
    network = pair(answer_after=60)
    call(network, headers=[("Expires", "20")])
    network.run()
    assert network.times("bob", "487 INVITE") == [20.0 + DELAY]
    assert network.ends["bob"].one(Ended).cause is Cause.EXPIRED_INVITE
    assert network.ends["alice"].one(CallFailed).response.status == 487
    network.assert_forgotten()


def test_an_invitation_expires_at_the_caller() -> None:
    # 13.2.1
    network = pair(answer_after=60)
    network.lose = lambda sent: False
    call(network, expires=20)
    network.run()
    assert network.times("alice", "CANCEL") == [20.0]
    assert network.ends["alice"].one(CallFailed).response.status == 487
    network.assert_forgotten()


def test_a_provisional_response_every_minute() -> None:
    # 13.3.1.1
    network = pair(answer_after=150)
    call(network)
    network.run(200.0)
    first, *rest = network.times("bob", "180 INVITE")
    assert [time - first for time in rest] == [60.0, 120.0]
    network.ends["alice"].one(Answered)


def test_the_callee_offers_when_the_caller_does_not() -> None:
    # 13.2.1: offer in the 2xx, answer in the ACK
    network = pair()
    alice, bob = network.ends["alice"], network.ends["bob"]
    alice.on(
        Answered,
        lambda event: event.session.answer(network.now + 0, description=sdp("alice")),
    )
    alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0)
    network.run(10.0)
    assert bob.one(IncomingCall).offer is None
    assert str(alice.one(Answered).offer) == str(sdp("bob"))
    assert str(bob.one(Confirmed).answer) == str(sdp("alice"))
    [ack] = network.messages("alice", "ACK")
    assert ack.body == sdp("alice").to_bytes()


def test_a_session_that_is_not_wanted_gets_a_valid_answer_and_a_bye() -> None:
    # 13.2.2.4
    network = pair()
    alice, bob = network.ends["alice"], network.ends["bob"]
    alice.on(Answered, lambda event: event.session.hang_up(network.now))
    alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0)
    network.run()
    answer = bob.one(Confirmed).answer
    assert answer is not None
    assert [media.port for media in answer.media] == [0]
    assert network.ladder()[-3:] == ["alice ACK", "alice BYE", "bob 200 BYE"]
    network.assert_forgotten()


def test_bye_in_an_early_dialog() -> None:
    # section 15: the caller may
    network = pair()
    call(network)
    network.run(2.0)
    alice, bob = network.ends["alice"], network.ends["bob"]
    alice.one(Progress).session.hang_up(network.now)  # type: ignore[union-attr]
    network.run()
    assert sorted(network.ladder()[2:]) == [
        "alice ACK",
        "alice BYE",
        "bob 200 BYE",
        "bob 487 INVITE",
    ]
    assert bob.one(Ended).cause is Cause.BYE
    assert alice.one(Ended).cause is Cause.HANG_UP
    assert alice.one(CallFailed).response.status == 487
    network.assert_forgotten()


def test_bye_in_an_early_dialog_and_200_cross() -> None:
    # the 2xx is acknowledged; there is no second BYE
    network = pair(answer_after=2.0)
    call(network)
    network.run(2.0 + DELAY)
    alice = network.ends["alice"]
    [progress] = alice.of(Progress)
    assert progress.session is not None
    progress.session.hang_up(network.now)
    network.run()
    assert network.ladder()[2:] == [
        "bob 200 INVITE",
        "alice BYE",
        "alice ACK",
        "bob 200 BYE",
    ]
    assert alice.one(CallFailed).response.status == 487
    assert network.ends["bob"].of(Confirmed) == []  # nothing is told of a session that is over
    network.assert_forgotten()


def test_nothing_is_sent_before_the_dialog_begins() -> None:
    network = pair(ring=False)
    call(network)
    network.run(0.125)
    with pytest.raises(TrunklineError) as caught:
        network.ends["bob"].one(IncomingCall).session.request("INFO", network.now)
    assert caught.value.code == "dialog.state"


def test_a_callee_that_takes_the_bye_and_forgets_the_invite() -> None:
    # 15.1.2 recommends 487; from who does not send it, CANCEL and 64*T1 free us
    network = pair()
    call(network)
    network.run(2.0)
    alice = network.ends["alice"]
    [progress] = alice.of(Progress)
    assert progress.session is not None
    network.lose = lambda sent: sent.what == "487 INVITE"
    progress.session.hang_up(network.now)
    network.run()
    [cancel] = network.times("alice", "CANCEL")
    assert cancel == pytest.approx(2.0 + 32.0, abs=0.1)
    assert alice.one(CallFailed).response.status == 408
    network.assert_forgotten()


def test_a_contact_of_ones_own_is_kept() -> None:
    # such as a GRUU (RFC 5627)
    network = Network("alice", "bob")
    contact = "<sip:bob@192.0.2.2;gr=urn:x>"
    network.ends["bob"].on(
        IncomingCall,
        lambda event: event.session.accept(
            network.now, description=sdp("bob"), headers=[("Contact", contact)]
        ),
    )
    call(network)
    network.run(1.0)
    session = network.ends["alice"].one(Answered).session
    assert session.dialog.remote_target == "sip:bob@192.0.2.2;gr=urn:x"
    [ok] = network.messages("bob", "200 INVITE")
    assert ok.headers.all("contact") == [contact]
    network.ends["bob"].one(IncomingCall).session.hold(network.now)
    network.run(2.0)
    [invite] = network.messages("bob", "INVITE")
    assert invite.headers.get("contact") == contact


def test_what_the_state_does_not_allow() -> None:
    network = pair(answer_after=1.0)
    call(network)
    network.run(3.0)
    session = network.ends["bob"].one(IncomingCall).session
    wrongs: list[Callable[[], None]] = [
        lambda: session.accept(network.now),
        lambda: session.reject(486, network.now),
        lambda: session.progress(180, network.now),
        lambda: session.refuse(network.now),
    ]
    for wrong in wrongs:
        with pytest.raises(TrunklineError) as caught:
            wrong()
        assert caught.value.code == "dialog.state"
    assert session.state is SessionState.CONFIRMED


def test_a_2xx_without_the_answer_that_is_due_is_refused_and_the_call_goes_on() -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    call(network)
    network.run(1.0)
    session = bob.one(IncomingCall).session
    with pytest.raises(TrunklineError, match="2xx"):
        session.accept(network.now)
    session.accept(network.now, description=sdp("bob"))
    network.run(2.0)
    bob.one(Confirmed)


def test_a_callee_that_hangs_up_says_why() -> None:
    network = Network("alice", "bob")
    call(network)
    network.run(0.125)
    bob = network.ends["bob"]
    rows = [("Reason", "Q.850;cause=17")]
    bob.one(IncomingCall).session.hang_up(network.now, cause=Cause.REPLACED, headers=rows)
    network.run()
    assert network.messages("bob", "603 INVITE")[0].headers.all("reason") == ["Q.850;cause=17"]
    assert bob.one(Ended).cause is Cause.REPLACED


def test_headers_that_cannot_be_written_change_nothing() -> None:
    bad = [("Reason", "a\r\nb")]
    network = pair()
    calling = call(network)
    network.run(1.0)
    with pytest.raises(TrunklineError, match="line break"):
        calling.cancel(network.now, headers=bad)
    network.run(6.0)
    session = network.ends["alice"].one(Answered).session
    with pytest.raises(TrunklineError, match="line break"):
        session.hang_up(network.now, headers=bad)
    assert session.state is SessionState.CONFIRMED
    assert not session.said_bye
    session.hang_up(network.now)
    network.run()
    network.assert_forgotten()


def test_headers_that_cannot_be_written_do_not_cancel() -> None:
    network = pair()
    calling = call(network)
    network.run(1.0)
    with pytest.raises(TrunklineError, match="line break"):
        calling.cancel(network.now, headers=[("Reason", "a\nb")])
    calling.cancel(network.now)
    network.run()
    assert network.ends["alice"].one(CallFailed).response.status == 487
