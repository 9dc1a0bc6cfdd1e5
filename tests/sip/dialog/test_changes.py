"""Sessions that change: re-INVITE (RFC 3261 section 14), UPDATE (RFC 3311), hold (RFC 3264 8.4)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.sip.dialog.network import DELAY, End, Network, connected, lose_all, lose_first, sdp

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import (
    Answered,
    Cause,
    Confirmed,
    Ended,
    IncomingCall,
    OfferAccepted,
    Offered,
    OfferRejected,
    OfferWithdrawn,
    Progress,
    RequestArrived,
    ResponseArrived,
)
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.sdp import Direction


def talking(
    *, draws: tuple[float, ...] = (), capabilities: Capabilities | None = None
) -> tuple[Network, Session, Session]:
    """Alice has called Bob, who has answered; their sessions. Both answer every offer."""
    network = Network()
    network.add("alice", draws=draws)
    network.add("bob", draws=draws, capabilities=capabilities)
    alice, bob = network.ends["alice"], network.ends["bob"]
    for end in (alice, bob):
        agree(end)
    bob.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp())
    network.run(1.0)
    network.sent.clear()
    return network, alice.one(Answered).session, bob.one(IncomingCall).session


def agree(end: End) -> None:
    """Answer every offer with what was agreed on, mirrored."""

    def answer(event: Offered) -> None:
        local = event.session.exchange.local
        assert local is not None
        description = local.copy()
        if event.offer is not None:
            for ours, theirs in zip(description.media, event.offer.media, strict=False):
                ours.direction = theirs.direction.mirrored
        description.bump_version()
        event.session.answer(end.network.now, description=description)

    end.on(Offered, answer)


def directions(session: Session) -> list[Direction]:
    local = session.exchange.local
    return [media.direction for media in local.media] if local is not None else []


def test_hold_and_resume_as_in_rfc_5359_2_1() -> None:
    network, alice, bob = talking()
    bob.hold(network.now)
    network.run(2.0)
    assert network.ladder() == ["bob INVITE", "alice 200 INVITE", "bob ACK"]
    assert bob.exchange.local is not None
    assert alice.exchange.local is not None
    assert bob.exchange.local.held
    assert directions(alice) == [Direction.RECVONLY]
    assert str(alice.exchange.remote) == str(bob.exchange.local)
    accepted = network.ends["bob"].one(OfferAccepted)
    assert str(accepted.answer) == str(alice.exchange.local)
    [invite] = network.messages("bob", "INVITE")
    assert invite.headers.get("contact") == "<sip:bob@192.0.2.2:5060>"
    assert b"o=bob 1 2 " in invite.body
    bob.resume(network.now)
    network.run(3.0)
    assert directions(bob) == directions(alice) == [Direction.SENDRECV]


@pytest.mark.parametrize("lost", ["INVITE", "200 INVITE", "ACK"])
def test_one_loss_does_not_matter(lost: str) -> None:
    network, alice, bob = talking()
    network.lose = lose_first(lost)
    alice.hold(network.now)
    network.run(5.0)
    assert alice.exchange.local is not None
    assert alice.exchange.local.held
    assert str(bob.exchange.remote) == str(alice.exchange.local)
    network.ends["alice"].one(OfferAccepted)


def test_glare_as_in_14_1() -> None:
    # the owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s
    network, alice, bob = talking()
    alice.offer(sdp(version=2), network.now)
    bob.offer(sdp("bob", version=2), network.now)
    network.run(1.5)
    assert sorted(network.ladder()) == [
        "alice 491 INVITE",
        "alice ACK",
        "alice INVITE",
        "bob 491 INVITE",
        "bob ACK",
        "bob INVITE",
    ]
    first, second = network.ends["alice"].one(OfferRejected), network.ends["bob"].one(OfferRejected)
    assert first.again is not None
    assert second.again is not None
    assert 2.1 <= first.again <= 4.0
    assert 0.0 <= second.again <= 2.0
    network.run(10.0)
    assert str(alice.exchange.local) == str(bob.exchange.remote)
    assert str(bob.exchange.local) == str(alice.exchange.remote)
    assert alice.state is bob.state is SessionState.CONFIRMED
    for end in network.ends.values():
        end.one(OfferAccepted)


@pytest.mark.parametrize(("draw", "owner", "other"), [(0.0, 2.1, 0.0), (0.9999, 4.0, 2.0)])
def test_the_bounds_of_the_pause_after_491(draw: float, owner: float, other: float) -> None:
    network, alice, bob = talking()
    for name in ("alice", "bob"):
        network.ends[name].ua.core.draw = lambda: draw
    alice.offer(sdp(version=2), network.now)
    bob.offer(sdp("bob", version=2), network.now)
    network.run(1.0 + 3 * DELAY)
    assert network.ends["alice"].one(OfferRejected).again == owner
    assert network.ends["bob"].one(OfferRejected).again == other


def test_a_change_given_up_is_not_tried_again() -> None:
    network, alice, bob = talking()
    alice.offer(sdp(version=2), network.now)
    bob.offer(sdp("bob", version=2), network.now)
    network.run(1.5)
    alice.hang_up(network.now)
    network.run()
    assert network.ladder()[6:] == ["alice BYE", "bob 200 BYE"]
    network.assert_forgotten()


def test_491_without_end_is_given_up() -> None:
    network, alice, bob = talking()
    # what Bob's peer would see if another INVITE were always in progress
    end = network.ends["bob"]
    end.on(Offered, lambda event: event.session.refuse(network.now, 491))
    alice.offer(sdp(version=2), network.now)
    network.run(100.0)
    rejected = network.ends["alice"].of(OfferRejected)
    assert len(rejected) == 10
    assert [event.again is None for event in rejected] == [False] * 9 + [True]
    assert str(bob.exchange.remote) == str(sdp())


def test_a_second_invite_before_the_first_is_answered_gets_500() -> None:
    # 14.2; ours never does that, so the first one is hidden from its own session
    network, alice, _ = talking()
    network.ends["bob"].on(Offered, lambda event: None)
    alice.offer(sdp(version=2), network.now)
    network.run(1.25)
    alice.client = None
    alice.exchange = alice.exchange.__class__()
    alice.offer(sdp(version=3), network.now)
    network.run(2.0)
    [refused] = network.messages("bob", "500 INVITE")
    assert refused.headers.get("retry-after") == "5"


def test_what_is_in_progress_hinders_another_change() -> None:
    network, alice, bob = talking()
    network.ends["bob"].on(Offered, lambda event: None)
    alice.offer(sdp(version=2), network.now)
    for session, change in ((alice, sdp(version=3)), (bob, sdp("bob", version=3))):
        with pytest.raises(TrunklineError) as caught:
            session.offer(change, network.now)
        assert caught.value.code == "dialog.change-pending"
        network.run(network.now + 0.25)  # then Bob has the INVITE
    bob.answer(network.now, description=sdp("bob", version=2))
    network.run(5.0)
    alice.offer(sdp(version=3), network.now)


def test_a_refused_change_leaves_the_session_as_it_was() -> None:
    network, alice, bob = talking()
    network.ends["bob"].on(Offered, lambda event: event.session.refuse(network.now))
    alice.offer(sdp(version=2, port=5000), network.now)
    network.run(2.0)
    rejected = network.ends["alice"].one(OfferRejected)
    assert (rejected.response.status, rejected.again) == (488, None)
    assert str(alice.exchange.local) == str(bob.exchange.remote) == str(sdp())
    assert alice.state is SessionState.CONFIRMED
    alice.offer(sdp(version=2), network.now, method="UPDATE")
    network.run(3.0)
    assert len(network.ends["alice"].of(OfferRejected)) == 2


def test_a_re_invite_without_an_offer() -> None:
    # 14.1: offer in the 2xx, answer in the ACK
    network, alice, bob = talking()

    def answer(event: OfferAccepted) -> None:
        assert event.offer is not None
        event.session.answer(network.now, description=sdp(version=2))

    network.ends["alice"].on(OfferAccepted, answer)
    alice.offer(None, network.now)
    network.run(2.0)
    assert network.ends["bob"].one(Offered).offer is None
    assert str(network.ends["bob"].of(Confirmed)[-1].answer) == str(sdp(version=2))
    assert str(alice.exchange.remote) == str(bob.exchange.local)
    assert str(bob.exchange.remote) == str(sdp(version=2))


def test_a_re_invite_that_is_cancelled_leaves_the_session() -> None:
    network, alice, bob = talking()
    network.ends["bob"].on(Offered, lambda event: event.session.progress(183, network.now))
    alice.offer(sdp(version=2), network.now)
    network.run(1.5)
    assert network.ends["alice"].one(Progress).call is None
    assert alice.client is not None
    alice.client.outgoing.cancel(network.now)
    network.run(3.0)
    assert network.ends["alice"].one(OfferRejected).response.status == 487
    assert alice.state is bob.state is SessionState.CONFIRMED
    assert network.ends["bob"].of(Ended) == []


def test_a_re_invite_without_ack_ends_the_session() -> None:
    # 14.2
    network, alice, _ = talking()
    network.lose = lose_all("ACK")
    alice.offer(sdp(version=2), network.now)
    network.run()
    assert network.ends["bob"].one(Ended).cause is Cause.NO_ACK
    assert network.ends["alice"].one(Ended).cause is Cause.BYE
    network.assert_forgotten()


def test_hanging_up_during_a_re_invite() -> None:
    # 15.1.2: 487 to what is pending
    network, alice, _ = talking()
    network.ends["bob"].on(Offered, lambda event: None)
    alice.offer(sdp(version=2), network.now)
    network.run(1.5)
    alice.hang_up(network.now)
    network.run()
    assert sorted(network.ladder()) == [
        "alice ACK",
        "alice BYE",
        "alice INVITE",
        "bob 200 BYE",
        "bob 487 INVITE",
    ]
    network.assert_forgotten()


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_knows_the_dialog_no_more(status: int) -> None:
    # 12.2.1.2: the session ends with BYE
    network, alice, _ = talking()
    network.ends["bob"].on(Offered, lambda event: event.session.refuse(network.now, status))
    alice.offer(sdp(version=2), network.now)
    network.run(2.0)
    assert network.ends["alice"].one(Ended).cause is Cause.LOST
    assert "alice BYE" in network.ladder()


def test_a_peer_that_is_gone() -> None:
    network, alice, _ = talking()
    network.lose = lambda sent: True
    alice.offer(sdp(version=2), network.now)
    network.run(40.0)
    assert network.ends["alice"].one(OfferRejected).response.status == 408
    assert network.ends["alice"].one(Ended).cause is Cause.LOST


# UPDATE


def test_update_in_an_early_dialog_as_in_rfc_3311_8() -> None:
    network = Network("alice", "bob")
    alice, bob = network.ends["alice"], network.ends["bob"]
    for end in (alice, bob):
        agree(end)
    bob.on(
        IncomingCall,
        lambda event: event.session.progress(
            180, network.now, description=sdp("bob"), reliable=True
        ),
    )
    alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp())
    network.run(1.0)
    caller = alice.one(Progress).session
    callee = bob.one(IncomingCall).session
    assert caller is not None
    caller.hold(network.now, method="UPDATE")
    network.run(2.0)
    callee.offer(sdp("bob", version=9), network.now, method="UPDATE")
    network.run(3.0)
    callee.accept(network.now)
    network.run(4.0)
    assert network.ladder() == [
        *("alice INVITE", "bob 180 INVITE", "alice PRACK", "bob 200 PRACK"),
        *("alice UPDATE", "bob 200 UPDATE", "bob UPDATE", "alice 200 UPDATE"),
        *("bob 200 INVITE", "alice ACK"),
    ]
    [update] = network.messages("alice", "UPDATE")
    [ok] = network.messages("bob", "200 UPDATE")
    assert update.headers.get("contact") == "<sip:alice@192.0.2.1:5060>"
    assert ok.headers.get("contact") == "<sip:bob@192.0.2.2:5060>"
    assert network.messages("bob", "200 INVITE")[0].body == b""
    assert str(caller.exchange.remote) == str(sdp("bob", version=9))


def test_in_an_early_dialog_only_update_changes_it() -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.progress(180, network.now))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run(1.0)
    session = network.ends["alice"].one(Progress).session
    assert session is not None
    with pytest.raises(TrunklineError) as caught:
        session.offer(sdp(version=2), network.now)
    assert caught.value.code == "dialog.state"
    with pytest.raises(TrunklineError) as caught:
        session.offer(sdp(version=2), network.now, method="UPDATE")
    assert caught.value.code == "sdp.offer-pending"  # no reliable answer yet: RFC 3311 5.1


def test_update_needs_to_be_allowed() -> None:
    methods = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")
    network, alice, _ = talking(capabilities=Capabilities(methods=methods))
    with pytest.raises(TrunklineError) as caught:
        alice.offer(sdp(version=2), network.now, method="UPDATE")
    assert caught.value.code == "dialog.no-update"


def test_updates_that_cross() -> None:
    # RFC 3311 5.2: 491
    network, alice, bob = talking()
    alice.offer(sdp(version=2), network.now, method="UPDATE")
    bob.offer(sdp("bob", version=2), network.now, method="UPDATE")
    with pytest.raises(TrunklineError) as caught:
        bob.offer(None, network.now, method="UPDATE")
    assert caught.value.code == "dialog.change-pending"
    network.run(10.0)
    assert len(network.messages("bob", "491 UPDATE")) == 1
    assert len(network.messages("alice", "491 UPDATE")) == 1
    assert str(alice.exchange.local) == str(bob.exchange.remote)
    assert str(bob.exchange.local) == str(alice.exchange.remote)


def test_an_update_while_one_is_unanswered() -> None:
    # RFC 3311 5.2: 500 with Retry-After
    network, alice, _ = talking()
    network.ends["bob"].on(Offered, lambda event: None)
    alice.offer(sdp(version=2), network.now, method="UPDATE")
    network.run(1.25)
    alice.request("UPDATE", network.now)
    network.run(1.5)
    [refused] = network.messages("bob", "500 UPDATE")
    assert "retry-after" in refused.headers


def test_hanging_up_with_an_update_unanswered() -> None:
    network, alice, bob = talking()
    network.ends["bob"].on(Offered, lambda event: None)
    alice.offer(sdp(version=2), network.now, method="UPDATE")
    network.run(1.25)
    bob.hang_up(network.now)
    network.run()
    assert "bob 487 UPDATE" in network.ladder()
    network.assert_forgotten()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_target_refresh_moves_the_target(method: str) -> None:
    network, alice, bob = talking()
    alice.offer(
        sdp(version=2),
        network.now,
        method=method,
        headers=[("Contact", "<sip:alice@192.0.2.1:5060;x=1>")],
    )
    network.run(2.0)
    bob.hang_up(network.now)
    network.run(3.0)
    [bye] = network.messages("bob", "BYE")
    assert bye.start_line == "BYE sip:alice@192.0.2.1:5060;x=1 SIP/2.0"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_response_to_a_target_refresh_moves_the_target_too(method: str) -> None:
    # 12.2.1.2
    network, alice, _ = talking()
    given = [("Contact", "<sip:bob@192.0.2.2:5060;x=1>")]
    network.ends["bob"].on(
        Offered,
        lambda event: event.session.answer(
            network.now, description=sdp("bob", version=2), headers=given
        ),
    )
    alice.offer(sdp(version=2), network.now, method=method)
    network.run(2.0)
    assert alice.dialog.remote_target == "sip:bob@192.0.2.2:5060;x=1"


def test_a_request_that_was_overtaken_is_sent_again() -> None:
    # 12.2.2: 500; with a Retry-After (of 5 s here) BYE is tried three times more
    network, alice, bob = talking()
    bob.dialog.remote_seq = 100
    alice.hang_up(network.now)
    network.run(100.0)
    times = network.times("alice", "BYE")
    assert [later - earlier for earlier, later in pairwise(times)] == [5.0 + 2 * DELAY] * 3
    numbers = [message.headers.get("cseq") for message in network.messages("alice", "BYE")]
    assert numbers == [f"{number} BYE" for number in (2, 3, 4, 5)]
    assert network.ends["alice"].ua.core.dialogs == {}
    assert bob.state is SessionState.CONFIRMED


def test_what_must_wait_for_an_answer_is_not_sent_again_by_itself() -> None:
    network, alice, bob = talking()
    bob.dialog.remote_seq = 100
    alice.request("INFO", network.now)
    network.run(100.0)
    assert len(network.messages("alice", "INFO")) == 1
    assert network.ends["alice"].one(ResponseArrived).response.status == 500


def test_a_request_that_crosses_our_bye() -> None:
    network, alice, bob = talking()
    network.lose = lose_all("BYE")
    alice.hang_up(network.now)
    bob.request("INFO", network.now)
    network.run(2.0)
    assert "alice 481 INFO" in network.ladder()
    assert network.ends["alice"].of(RequestArrived) == []


def test_what_the_peer_allows_may_change() -> None:
    methods = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")
    network, alice, bob = talking(capabilities=Capabilities(methods=methods))
    network.ends["bob"].ua.core.capabilities = Capabilities()
    bob.offer(sdp("bob", version=2), network.now)
    network.run(2.0)
    alice.offer(sdp(version=2), network.now, method="UPDATE")
    network.run(3.0)
    network.ends["alice"].one(OfferAccepted)


def test_nothing_is_sent_in_a_session_that_is_over() -> None:
    network, alice, _ = talking()
    alice.hang_up(network.now)
    for method in ("INFO", "REFER"):
        with pytest.raises(TrunklineError) as caught:
            alice.request(method, network.now)
        assert caught.value.code == "dialog.state"


def test_an_invite_while_the_ack_is_missing() -> None:
    # the ACK was lost, and the next INVITE overtakes it
    network, alice, bob = talking()
    network.lose = lose_first("ACK")
    alice.offer(sdp(version=2), network.now)
    network.run(1.0625)
    alice.offer(sdp(version=3), network.now)
    network.run(10.0)
    assert "bob 491 INVITE" in network.ladder()
    assert str(bob.exchange.remote) == str(sdp(version=3))


def test_a_refused_target_refresh_does_not() -> None:
    # 12.2.2: none of the state changes
    network, alice, bob = talking()
    network.ends["bob"].on(Offered, lambda event: event.session.refuse(network.now))
    alice.offer(sdp(version=2), network.now, headers=[("Contact", "<sip:other@192.0.2.1>")])
    network.run(2.0)
    assert bob.dialog.remote_target == "sip:alice@192.0.2.1:5060"


# Other requests


def test_other_requests_within_the_dialog() -> None:
    network, alice, _ = talking()

    def answer(event: RequestArrived) -> None:
        network.ends["bob"].ua.respond(event.transaction, event.request, 200, network.now)

    network.ends["bob"].on(RequestArrived, answer)
    sent = alice.request("INFO", network.now, headers=[("Info-Package", "x")])
    network.run(2.0)
    arrived = network.ends["bob"].one(RequestArrived)
    assert arrived.session is not None
    assert arrived.request.headers.get("info-package") == "x"
    response = network.ends["alice"].one(ResponseArrived)
    assert response.outgoing is sent
    assert response.response.status == 200


def test_an_offer_that_cannot_be_read_is_refused() -> None:
    network, alice, bob = talking()
    for method in ("INVITE", "UPDATE"):
        alice.request(
            method,
            network.now,
            headers=[("Content-Type", "application/sdp"), ("Contact", "<sip:alice@192.0.2.1>")],
            body=b"v=0\r\nnonsense",
        )
        network.run(network.now + 1)
    assert network.messages("bob", "400 INVITE")
    assert network.messages("bob", "400 UPDATE")
    assert bob.state is SessionState.CONFIRMED


def test_an_ack_that_crosses_our_bye_goes_by_the_route_set() -> None:
    network, alice, _ = connected(proxy=True)
    bob = network.ends["bob"]
    bob.on(Offered, lambda e: e.session.answer(network.now, description=sdp("bob", version=2)))
    alice.offer(sdp(version=2), network.now)
    network.run(network.now + 2.5 * DELAY)
    alice.hang_up(network.now)
    network.run(3.0)
    bye, ack = network.messages("alice", "BYE")[0], network.messages("alice", "ACK")[0]
    assert bye.headers.all("route") == ack.headers.all("route") == ["<sip:192.0.2.3:5060;lr>"]
    assert network.ladder().count("alice BYE") == 1


def origins(network: Network, sender: str) -> dict[int, set[bytes]]:
    """The versions of ``sender``'s descriptions, each with what had it."""
    found: dict[int, set[bytes]] = {}
    for sent in network.sent:
        body = sent.message.body
        if sent.sender == sender and body:
            version = int(body.split(b"\r\n")[1].split(b" ")[2])
            found.setdefault(version, set()).add(body)
    return found


def test_no_version_is_used_twice_after_a_refusal() -> None:
    # RFC 3264 section 8
    network, alice, _ = connected()
    network.ends["bob"].on(Offered, lambda event: event.session.refuse(network.now, 488))
    alice.hold(network.now)
    network.run(2.0)
    alice.resume(network.now)
    network.run(3.0)
    found = origins(network, "alice")
    assert sorted(found) == [2, 3]
    assert all(len(bodies) == 1 for bodies in found.values())


def test_no_version_is_used_twice_after_glare() -> None:
    network, alice, bob = talking()
    network.sent.clear()
    alice.hold(network.now)
    bob.hold(network.now)
    network.run(10.0)
    found = origins(network, "alice")  # in between she has answered Bob, with version 2
    assert found[3] == {network.messages("alice", "INVITE")[-1].body}
    assert len(origins(network, "bob")[2]) == 1  # what nothing came between is sent as it was


def test_a_re_invite_that_asks_for_an_offer_waits_for_the_update_before() -> None:
    # RFC 3264 section 4; RFC 3261 sections 14.1, 14.2
    network, alice, bob = connected()
    network.ends["bob"].on(Offered, lambda event: None)
    alice.offer(sdp(version=2), network.now, method="UPDATE")
    with pytest.raises(TrunklineError) as caught:
        alice.offer(None, network.now)
    assert caught.value.code == "sdp.offer-pending"
    bob.offer(None, network.now)
    network.run(1.5)
    assert "alice 491 INVITE" in network.ladder()


def test_an_update_of_an_early_dialog_that_is_accepted_is_told() -> None:
    network = Network("alice", "bob")
    alice, bob = network.ends["alice"], network.ends["bob"]
    bob.on(Offered, lambda e: e.session.answer(network.now, description=sdp("bob", version=2)))
    bob.on(
        IncomingCall,
        lambda e: e.session.progress(183, network.now, description=sdp("bob"), reliable=True),
    )
    alice.ua.invite(network.uri("bob"), "sip:a@example.org", 0.0, offer=sdp())
    network.run(1.0)
    session = alice.one(Progress).session
    assert session is not None
    session.offer(sdp(version=2), network.now, method="UPDATE")
    network.run(2.0)
    assert str(alice.one(OfferAccepted).answer) == str(sdp("bob", version=2))


@pytest.mark.parametrize("expires", [False, True])
def test_an_offer_that_is_withdrawn_is_told(expires: bool) -> None:
    network, alice, _ = connected()
    headers = [("Expires", "5")] if expires else []
    alice.offer(sdp(version=2), network.now, headers=headers)
    network.run(2.0)
    bob = network.ends["bob"]
    assert len(bob.of(Offered)) == 1
    if not expires:
        assert alice.client is not None
        alice.client.outgoing.cancel(network.now)
    network.run(10.0)
    cause = Cause.EXPIRED_INVITE if expires else Cause.CANCELLED
    assert bob.one(OfferWithdrawn).cause is cause
    assert bob.of(Ended) == []


def test_an_offer_that_we_refuse_is_not_withdrawn() -> None:
    network, alice, _ = connected()
    bob = network.ends["bob"]
    bob.on(Offered, lambda event: event.session.refuse(network.now, 488))
    alice.offer(sdp(version=2), network.now)
    network.run(10.0)
    assert bob.of(OfferWithdrawn) == []
