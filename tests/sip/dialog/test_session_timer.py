"""Session timers: RFC 4028."""

from __future__ import annotations

import pytest
from tests.sip.dialog.network import DELAY, Network, sdp

from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Cause,
    Ended,
    IncomingCall,
    OfferAccepted,
    Offered,
)
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_timer import REFRESHER, SessionTimer
from trunkline.sip.message import Request, Response


def request(*rows: tuple[str, str]) -> Request:
    return Request.build("INVITE", "sip:b@x", rows)


def talking(
    alice: Capabilities | None = None,
    bob: Capabilities | None = None,
    *,
    headers: tuple[tuple[str, str], ...] = (),
) -> tuple[Network, Session, Session]:
    network = Network()
    network.add("alice", capabilities=alice)
    network.add("bob", capabilities=bob)
    end = network.ends["bob"]
    end.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    network.ends["alice"].ua.invite(
        network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp(), headers=headers
    )
    network.run(1.0)
    network.sent.clear()
    return network, network.ends["alice"].one(Answered).session, end.one(IncomingCall).session


def test_the_call_flow_of_section_13() -> None:
    # both know the extension: the caller refreshes at half time, by UPDATE without an offer
    network, alice, bob = talking()
    assert (alice.timer.interval, alice.timer.refreshing) == (1800, True)
    assert (bob.timer.interval, bob.timer.refreshing) == (1800, False)
    network.run(3000.0)
    assert network.times("alice", "UPDATE") == [
        900.0 + 2 * DELAY,
        1800.0 + 4 * DELAY,
        2700.0 + 6 * DELAY,
    ]
    [update, *_] = network.messages("alice", "UPDATE")
    assert update.headers.get("session-expires") == "1800;refresher=uac"
    assert "min-se" not in update.headers
    assert update.body == b""
    [ok, *_] = network.messages("bob", "200 UPDATE")
    assert ok.headers.get("session-expires") == "1800;refresher=uac"
    assert ok.headers.tokens("require") == ["timer"]
    # then she is gone: he hangs up 32 s before it expires
    network.lose = lambda sent: sent.sender == "alice"
    network.run()
    bye, *_ = network.times("bob", "BYE")
    assert bye == 2700.0 + 7 * DELAY + 1800 - 32
    assert network.ends["bob"].one(Ended).cause is Cause.NOT_REFRESHED
    network.assert_forgotten()


def test_an_invite_and_its_2xx_carry_the_interval() -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run(1.0)
    [invite] = network.messages("alice", "INVITE")
    [ok] = network.messages("bob", "200 INVITE")
    assert invite.headers.get("session-expires") == "1800"
    assert "timer" in invite.headers.tokens("supported")
    assert ok.headers.get("session-expires") == "1800;refresher=uac"
    assert ok.headers.tokens("require") == ["timer"]


def test_a_refresh_by_re_invite_where_update_is_not_allowed() -> None:
    # 7.4: the offer is what was agreed on, and so is the answer, without asking anybody
    methods = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")
    network, _, _ = talking(bob=Capabilities(methods=methods))
    network.run(1000.0)
    assert network.ladder() == ["alice INVITE", "bob 200 INVITE", "alice ACK"]
    [invite] = network.messages("alice", "INVITE")
    [ok] = network.messages("bob", "200 INVITE")
    assert invite.body == sdp().to_bytes()
    assert ok.body == sdp("bob").to_bytes()
    assert network.ends["bob"].of(Offered) == []


def test_only_the_caller_knows_it() -> None:
    # 7.2: for its own benefit, it refreshes
    network, alice, bob = talking(bob=Capabilities(extensions=("100rel",)))
    assert (alice.timer.interval, alice.timer.refreshing) == (1800, True)
    assert bob.timer.interval is None
    network.run(2000.0)
    assert len(network.times("alice", "UPDATE")) == 2
    assert "session-expires" not in network.messages("bob", "200 UPDATE")[0].headers


def test_only_the_callee_knows_it_and_a_proxy_asked_for_it() -> None:
    # 9, table 2, first row: the callee refreshes
    network, alice, bob = talking(
        alice=Capabilities(extensions=("100rel",)), headers=(("Session-Expires", "600"),)
    )
    assert alice.timer.interval is None
    assert (bob.timer.interval, bob.timer.refreshing) == (600, True)
    network.run(400.0)
    assert network.times("bob", "UPDATE") == [300.0 + DELAY]


def test_nobody_asks_for_it() -> None:
    off = Capabilities(session_expires=None)
    network, alice, bob = talking(alice=off, bob=off)
    assert alice.timer.interval is bob.timer.interval is None
    network.run(5000.0)
    assert network.ladder() == []


def test_422_and_the_retry() -> None:
    # 7.3, 7.4, and section 13
    network, alice, _ = talking(
        alice=Capabilities(session_expires=120), bob=Capabilities(min_se=400)
    )
    assert alice.timer.interval == 400
    sent = network.ends["alice"].one(Answered).session.dialog
    assert sent.local_seq == 2
    assert network.ends["alice"].of(CallFailed) == []


def test_the_422_and_the_request_after_it() -> None:
    network = Network("alice")
    network.add("bob", capabilities=Capabilities(min_se=4000))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run(1.0)
    [refused] = network.messages("bob", "422 INVITE")
    first, second = network.messages("alice", "INVITE")
    assert refused.headers.get("min-se") == "4000"
    assert second.headers.get("min-se") == "4000"
    assert second.headers.get("session-expires") == "4000"
    assert second.headers.get("call-id") == first.headers.get("call-id")
    assert second.headers.get("from") == first.headers.get("from")
    assert second.headers.get("cseq") == "2 INVITE"
    assert "to-tag" not in (second.headers.get("to") or "")


def test_a_422_that_says_nothing_new_is_the_end() -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    bob.on(
        IncomingCall,
        lambda event: event.session.reject(422, network.now, headers=[("Min-SE", "500")]),
    )
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run()
    assert len(network.messages("alice", "INVITE")) == 2
    assert network.ends["alice"].one(CallFailed).response.status == 422


def test_422_to_a_refresh() -> None:
    # section 10: only a 2xx extends the session
    network, alice, bob = talking()
    bob.timer.ours = 3000
    network.run(1000.0)
    assert len(network.messages("bob", "422 UPDATE")) == 1
    second = network.messages("alice", "UPDATE")[1]
    assert second.headers.get("session-expires") == "3000;refresher=uac"
    assert second.headers.get("min-se") == "3000"
    assert alice.timer.interval == bob.timer.interval == 3000


def test_a_refresh_that_nobody_answers_ends_the_session() -> None:
    network, _, _ = talking()
    network.lose = lambda sent: True
    network.run()
    [bye, *_] = network.times("alice", "BYE")
    assert bye == pytest.approx(900 + 32 + 2 * DELAY)
    assert network.ends["alice"].one(Ended).cause is Cause.LOST
    network.assert_forgotten()


def test_a_re_invite_refreshes_where_update_is_refused() -> None:
    # RFC 3261 section 21.4.6
    network, _, _ = talking()
    core = network.ends["bob"].ua.core
    core.capabilities = Capabilities(methods=("INVITE", "ACK", "BYE"))  # 405 to UPDATE from now on
    network.run(4000.0)
    assert len(network.messages("bob", "405 UPDATE")) == 1
    assert len(network.messages("alice", "INVITE")) == 4
    assert network.ends["alice"].of(Ended) == []


@pytest.mark.parametrize(
    ("headers", "second"),
    [((("Retry-After", "3"),), 903.0), ((), 900 + 868 / 2), ((("Retry-After", "999"),), 1334.0)],
)
def test_a_refresh_that_fails_is_tried_again(
    headers: tuple[tuple[str, str], ...], second: float
) -> None:
    # section 10: as 12.2.2 of RFC 3261 has it for a request that was overtaken
    network, _, _ = talking()
    network.refuse("bob", "UPDATE", 500, *headers, times=1)
    network.run(4000.0)
    assert network.times("alice", "UPDATE")[1] == pytest.approx(second, abs=0.1)
    assert network.ends["alice"].of(Ended) == []


def test_a_refresh_that_always_fails_ends_the_session_in_the_end() -> None:
    network, _, _ = talking()
    network.refuse("bob", "UPDATE", 500)
    network.run()
    assert 3 < len(network.times("alice", "UPDATE")) < 20
    assert network.ends["alice"].one(Ended).cause in (Cause.NOT_REFRESHED, Cause.BYE)
    assert max(network.times("alice", "BYE") + network.times("bob", "BYE")) < 1800
    network.assert_forgotten()


def test_a_change_in_the_place_of_a_refresh_fails_and_the_refresh_comes_again() -> None:
    network, alice, _ = talking()
    network.ends["bob"].on(Offered, lambda event: event.session.refuse(network.now, 488))
    network.refuse("bob", "UPDATE", 491, times=1)
    network.run(901.0)
    alice.hold(network.now)
    network.run(4000.0)
    assert len(network.times("alice", "UPDATE")) > 2
    assert network.ends["alice"].of(Ended) == []


def test_a_change_refreshes_too() -> None:
    # 7.2
    network, alice, _ = talking()
    network.ends["bob"].on(
        Offered, lambda event: event.session.answer(network.now, description=sdp("bob", version=2))
    )
    network.run(800.0)
    alice.hold(network.now)
    network.run(1500.0)
    assert network.times("alice", "UPDATE") == []
    network.run(1800.0)
    assert network.times("alice", "UPDATE") == [800.0 + 900.0 + 2 * DELAY]


def test_refreshes_by_both_methods_tell_nobody_but_the_machine() -> None:
    network, _, _ = talking()
    network.run(2000.0)
    assert network.ends["alice"].of(OfferAccepted) == []
    assert network.ends["bob"].of(Offered) == []


# The rules by themselves


@pytest.mark.parametrize(("supported", "asked"), list(REFRESHER))
def test_table_2(supported: bool, asked: str | None) -> None:
    rows = [("Session-Expires", "600" + (f";refresher={asked}" if asked else ""))]
    if supported:
        rows.append(("Supported", "timer"))
    timer = SessionTimer(1800, 90)
    answer = dict(timer.accept(request(*rows), 0.0))
    refresher = answer["Session-Expires"].partition("refresher=")[2]
    allowed = REFRESHER[supported, asked] or REFRESHER[supported, None]
    assert refresher in allowed
    assert timer.refreshing == (refresher == "uas")
    assert ("Require" in answer) == supported


@pytest.mark.parametrize(
    ("asked", "min_se", "wanted", "given"),
    [
        ("3600", None, 1800, "1800"),  # may be reduced
        ("3600", "2000", 1800, "2000"),  # but not below Min-SE
        ("600", None, 1800, "600"),  # and never increased
        ("600", None, None, "600"),
        (None, None, 1800, "1800"),  # may be asked for by the UAS
        (None, "2000", 1800, "2000"),
        (None, None, None, None),
    ],
)
def test_the_interval_that_a_uas_chooses(
    asked: str | None, min_se: str | None, wanted: int | None, given: str | None
) -> None:
    rows = [("Supported", "timer")]
    rows += [("Session-Expires", asked)] if asked else []
    rows += [("Min-SE", min_se)] if min_se else []
    answer = dict(SessionTimer(wanted, 90).accept(request(*rows), 0.0))
    assert answer.get("Session-Expires", "").partition(";")[0] == (given or "")


def test_a_2xx_may_turn_it_off() -> None:
    # 7.2
    timer = SessionTimer(1800, 90)
    timer.request_rows()
    timer.confirmed(Response.build(200, headers=[("Session-Expires", "600;refresher=uas")]), 5.0)
    assert (timer.interval, timer.refreshing) == (600, False)
    assert timer.refresh_at is None
    assert timer.give_up_at == 605.0 - 32.0
    assert timer.request_rows() == [("Session-Expires", "600;refresher=uas")]
    timer.confirmed(Response.build(200, headers=[("Supported", "timer")]), 10.0)
    assert timer.interval is None
    assert timer.give_up_at is None


def test_bye_comes_a_third_before_a_short_session_expires() -> None:
    timer = SessionTimer(1800, 90)
    timer.confirmed(Response.build(200, headers=[("Session-Expires", "90;refresher=uac")]), 0.0)
    assert timer.refresh_at == 45.0
    assert timer.give_up_at == 60.0


@pytest.mark.parametrize("seconds", ["1", "0", "89"])
def test_a_rogue_interval_does_not_make_us_refresh_faster_than_allowed(seconds: str) -> None:
    # 11.1
    timer = SessionTimer(1800, 90)
    response = Response.build(200, headers=[("Session-Expires", f"{seconds};refresher=uac")])
    timer.confirmed(response, 0.0)
    assert timer.interval == 90
    asked = request(("Session-Expires", f"{seconds};refresher=uas"), ("Supported", "timer"))
    assert timer.refusal(asked) == 90
    without = request(("Session-Expires", seconds))
    assert timer.refusal(without) is None  # a 422 would only fail the call
    assert dict(timer.accept(without, 0.0))["Session-Expires"] == "90;refresher=uas"


@pytest.mark.parametrize("value", ["x", "", "-1", "99999999999999999999", "600;;"])
def test_what_cannot_be_read_is_ignored(value: str) -> None:
    timer = SessionTimer(None, 90)
    assert timer.refusal(request(("Session-Expires", value), ("Supported", "timer"))) is None
    timer.confirmed(Response.build(200, headers=[("Session-Expires", value)]), 0.0)
    assert timer.interval is None
    assert not timer.too_small(Response.build(422, headers=[("Min-SE", value)]))


def test_the_largest_min_se_counts_and_a_dialog_begins_anew() -> None:
    # 7.4
    timer = SessionTimer(1800, 90)
    assert timer.too_small(Response.build(422, headers=[("Min-SE", "3600")]))
    assert not timer.too_small(Response.build(422, headers=[("Min-SE", "100")]))
    assert timer.too_small(Response.build(422, headers=[("Min-SE", "4000")]))
    assert timer.request_rows() == [("Min-SE", "4000"), ("Session-Expires", "4000")]
    assert timer.for_dialog().request_rows() == [("Session-Expires", "1800")]
    timer.heard(request(("Min-SE", "5000")))
    assert timer.request_rows()[0] == ("Min-SE", "5000")


def test_422_ends_the_early_dialogs_of_the_invite_before() -> None:
    network = Network("alice", "bob")
    alice, bob = network.ends["alice"], network.ends["bob"]

    def incoming(event: IncomingCall) -> None:
        event.session.progress(180, network.now)
        if len(bob.of(IncomingCall)) == 1:
            event.session.reject(422, network.now, headers=[("Min-SE", "4000")])
        else:
            event.session.accept(network.now, description=sdp("bob"))

    bob.on(IncomingCall, incoming)
    call = alice.ua.invite(network.uri("bob"), "sip:a@example.org", 0.0, offer=sdp())
    network.run(5.0)
    assert alice.one(Ended).cause is Cause.FAILED
    assert list(call.sessions.values()) == [alice.one(Answered).session]
    assert len(alice.ua.core.dialogs) == 1
