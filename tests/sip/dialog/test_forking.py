"""One INVITE, several dialogs: RFC 3261 sections 12.1.2, 13.2.2.4; by way of a proxy that forks."""

from __future__ import annotations

import pytest
from tests.sip.dialog.network import Network, lose_first, sdp

from trunkline.sip.dialog.call import Call
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Cause,
    Confirmed,
    Ended,
    IncomingCall,
    OfferAccepted,
    Progress,
)
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.transport import Flow


def forking(**answers: float) -> tuple[Network, Call]:
    """Alice calls ``all`` through a proxy; each end rings, and answers after so many seconds."""
    network = Network("alice", *answers)
    network.add_proxy("proxy", all=list(answers))
    for name, after in answers.items():
        end = network.ends[name]

        def incoming(event: IncomingCall, name: str = name, after: float = after) -> None:
            event.session.progress(180, network.now, reliable=True)

            def answer() -> None:
                if event.session.state is SessionState.EARLY:
                    event.session.accept(network.now, description=sdp(name))

            network.at(network.now + after, answer)

        end.on(IncomingCall, incoming)
    call = network.ends["alice"].ua.invite(
        "sip:all@192.0.2.4" if len(answers) == 2 else "sip:all@192.0.2.3",
        "sip:alice@example.org",
        0.0,
        offer=sdp(),
    )
    return network, call


def test_one_answers_and_the_other_is_cancelled() -> None:
    network, call = forking(bob=3.0, carol=60.0)
    network.run(10.0)
    alice = network.ends["alice"]
    progress = alice.of(Progress)
    assert len({event.session for event in progress}) == 2  # two early dialogs
    assert len(call.sessions) == 2
    answered = alice.one(Answered)
    assert answered.session is call.answered
    assert str(answered.answer) == str(sdp("bob"))
    network.ends["bob"].one(Confirmed)
    assert network.ends["carol"].one(Ended).cause is Cause.CANCELLED
    # 64*T1 after the first 2xx no other can come, and the early dialog is over (13.2.2.4)
    assert alice.of(Ended) == []
    network.run(60.0)
    assert alice.one(Ended).cause is Cause.OTHER_BRANCH
    assert answered.session.state is SessionState.CONFIRMED
    assert len(network.ends["alice"].ua.core.dialogs) == 1


def test_both_answer_at_once() -> None:
    # each 2xx gets its ACK, the second dialog its BYE
    network, call = forking(bob=3.0, carol=3.0)
    network.run(10.0)
    alice = network.ends["alice"]
    assert alice.one(Answered).session is call.answered
    assert alice.one(Ended).cause is Cause.OTHER_BRANCH
    winner, loser = network.ends["bob"], network.ends["carol"]
    if str(alice.one(Answered).answer) == str(sdp("carol")):
        winner, loser = loser, winner
    assert winner.of(Ended) == []
    loser.one(Confirmed)
    assert loser.one(Ended).cause is Cause.BYE
    assert len(alice.ua.core.dialogs) == 1


@pytest.mark.parametrize("lost", ["ACK", "BYE", "200 BYE"])
def test_both_answer_and_something_is_lost(lost: str) -> None:
    network, _ = forking(bob=3.0, carol=3.0)
    network.lose = lose_first(lost, lost)
    network.run(100.0)
    assert len(network.ends["alice"].ua.core.dialogs) == 1
    sessions = [network.ends[name].one(IncomingCall).session.state for name in ("bob", "carol")]
    assert sorted(sessions) == [SessionState.CONFIRMED, SessionState.TERMINATED]


def test_a_second_answer_without_an_early_dialog_before() -> None:
    network, _ = forking(bob=3.0, carol=3.0)
    network.lose = lambda sent: sent.what == "180 INVITE"
    network.run(3.25)
    network.lose = lambda sent: False
    network.run(20.0)
    alice = network.ends["alice"]
    alice.one(Answered)
    assert alice.of(Ended) == []  # of that session nobody knew
    assert len(alice.ua.core.dialogs) == 1


def test_a_second_offer_is_declined_in_the_ack() -> None:
    # 13.2.2.4: the INVITE had no offer, so each 2xx has one
    network = Network("alice", "bob", "carol")
    network.add_proxy("proxy", all=["bob", "carol"])
    for name in ("bob", "carol"):
        end = network.ends[name]
        end.on(
            IncomingCall,
            lambda event: event.session.accept(network.now, description=sdp("bob")),
        )
    caller = network.ends["alice"]
    caller.on(Answered, lambda event: event.session.answer(network.now, description=sdp()))
    caller.ua.invite("sip:all@192.0.2.4", "sip:alice@example.org", 0.0)
    network.run(10.0)
    answers = [network.ends[name].one(Confirmed).answer for name in ("bob", "carol")]
    ports = sorted(answer.media[0].port for answer in answers if answer is not None)
    assert ports == [0, 4000]
    assert len(caller.ua.core.dialogs) == 1


def test_all_early_dialogs_end_with_a_failure() -> None:
    network, _ = forking(bob=60.0, carol=60.0)
    network.run(1.0)
    for name in ("bob", "carol"):
        network.ends[name].one(IncomingCall).session.reject(486, network.now)
    network.run()
    alice = network.ends["alice"]
    assert [event.cause for event in alice.of(Ended)] == [Cause.FAILED, Cause.FAILED]
    assert alice.one(CallFailed).response.status == 486
    network.assert_forgotten()


def test_cancel_reaches_all_branches() -> None:
    network, call = forking(bob=60.0, carol=60.0)
    network.run(1.0)
    call.cancel(network.now)
    network.run()
    for name in ("bob", "carol"):
        assert network.ends[name].one(Ended).cause is Cause.CANCELLED
    network.assert_forgotten()


def test_an_early_dialog_is_left_and_the_other_goes_on() -> None:
    network, _ = forking(bob=60.0, carol=5.0)
    network.run(1.0)
    alice = network.ends["alice"]
    bob = network.ends["bob"].one(IncomingCall).session
    [session] = {
        event.session
        for event in alice.of(Progress)
        if event.session is not None and event.session.dialog.remote_tag == bob.dialog.local_tag
    }
    session.hang_up(network.now)
    network.run(20.0)
    assert network.ends["bob"].one(Ended).cause is Cause.BYE
    assert str(alice.one(Answered).answer) == str(sdp("carol"))


def test_the_route_set_is_that_of_the_2xx() -> None:
    # 13.2.2.4: a 1xx of RFC 2543 has no Record-Route
    network, _ = forking(bob=3.0)
    address = network.addresses["alice"]
    receive = network.receivers[address]

    def without_route(data: bytes, flow: Flow) -> None:
        if data.startswith(b"SIP/2.0 180"):
            data = data.replace(b"Record-Route:", b"X-Was:")
        receive(data, flow)

    network.receivers[address] = without_route
    network.run(5.0)
    session = network.ends["alice"].one(Answered).session
    assert session.dialog.route_set == ("<sip:192.0.2.3:5060;lr>",)
    [*_, ack] = network.messages("alice", "ACK")
    assert "route" in ack.headers


def test_through_a_proxy_that_record_routes() -> None:
    network, _ = forking(bob=3.0)
    network.run(5.0)
    alice, bob = network.ends["alice"], network.ends["bob"]
    caller, callee = alice.one(Answered).session, bob.one(Confirmed).session
    assert caller.dialog.route_set == callee.dialog.route_set == ("<sip:192.0.2.3:5060;lr>",)
    [ack] = network.messages("alice", "ACK")
    assert ack.headers.tokens("route") == ["<sip:192.0.2.3:5060;lr>"]
    assert [s.sender for s in network.sent if s.what == "PRACK"] == ["alice", "proxy"]
    callee.hang_up(network.now)
    network.run()
    assert [s.sender for s in network.sent if s.what == "BYE"] == ["bob", "proxy"]
    assert alice.one(Ended).cause is Cause.BYE
    assert alice.of(OfferAccepted) == []
    network.assert_forgotten()


def test_a_branch_that_rings_after_the_only_one_was_ended_goes_on() -> None:
    network = Network("alice", "bob", "carol")
    network.add_proxy("proxy", all=["bob", "carol"])
    network.ends["bob"].on(IncomingCall, lambda e: e.session.progress(180, network.now))

    def incoming(event: IncomingCall) -> None:
        session = event.session
        network.at(2.0, lambda: session.progress(180, network.now))
        network.at(50.0, lambda: session.accept(network.now, description=sdp("carol")))

    network.ends["carol"].on(IncomingCall, incoming)
    alice = network.ends["alice"]
    alice.ua.invite("sip:all@192.0.2.4", "sip:a@example.org", 0.0, offer=sdp())
    network.run(1.0)
    session = alice.one(Progress).session
    assert session is not None
    session.hang_up(network.now)
    network.run(60.0)
    assert network.times("alice", "CANCEL") == []
    assert alice.one(Answered).response.status == 200
