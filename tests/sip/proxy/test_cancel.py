"""CANCEL and time: RFC 3261 sections 9, 16.8 and 16.10; timer C of 16.6 step 11 and 16.7 step 2."""

from __future__ import annotations

import pytest
from tests.sip.proxy.rig import CALLER, FROM_CALLER, Rig, Sent, follow, request, target, whats

from trunkline.sip.message import Request, Response, tag_of
from trunkline.sip.proxy import ResponseContext
from trunkline.sip.timers import Timers

INVITE = request()
CANCEL = follow(INVITE, "CANCEL")


def cancelled(rig: Rig, cancel: Request = CANCEL) -> list[Sent]:
    rig.take()
    assert rig.receive(cancel) is None
    return rig.take()


def test_before_any_branch() -> None:
    """While a script thinks, or DNS is asked."""
    rig = Rig()
    context = rig.context(INVITE)
    ok, terminated = cancelled(rig)
    assert (ok.what, ok.method, terminated.what) == ("200<", "CANCEL", "487<")
    assert ok.headers.get("To") == terminated.headers.get("To")  # 9.2
    assert tag_of(ok.headers.get("To") or "")
    assert rig.fork(context, [target("a")]) == []  # what was found comes too late
    assert rig.layer.clients == {}
    rig.receive(follow(INVITE, "ACK"))
    rig.assert_forgotten()


def test_before_anything_came_back_it_waits() -> None:
    """9.1."""
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    assert whats(cancelled(rig)) == ["200<"]
    [cancel] = rig.answer(a, 100)
    assert cancel.what == "CANCEL>a"
    assert whats(rig.answer(a, 487)) == ["ACK>a", "487<"]
    rig.assert_forgotten()


def test_every_branch_that_rings_and_none_that_is_new() -> None:
    rig = Rig()
    a, b, c = rig.fork(rig.context(INVITE), [target("a"), target("bx"), target("c")], [target("d")])
    rig.answer(a, 180)
    rig.answer(b, 100)
    rig.answer(c, 404)
    assert whats(cancelled(rig)) == ["200<", "CANCEL>a", "CANCEL>b"]
    assert whats(rig.answer(a, 487)) == ["ACK>a"]
    assert whats(rig.answer(b, 503)) == ["ACK>b", "487<"]  # not 404: the caller gave up
    assert rig.to_caller() == [180, 200, 487]
    rig.assert_forgotten()


def test_the_cancel_is_of_its_invite() -> None:
    """9.1: Request-URI, Call-ID, To, From, CSeq, Route, one Via; no Require."""
    rig = Rig()
    message = request(headers=[("Route", "<sip:p.example;lr>"), ("Require", "100rel")])
    [a] = rig.fork(rig.context(message), [target("a")])
    rig.answer(a, 180)
    _, cancel = cancelled(rig, follow(message, "CANCEL"))
    for name in ("Call-ID", "To", "From", "Route"):
        assert cancel.headers.all(name) == a.headers.all(name)
    assert cancel.uri == a.uri
    assert cancel.headers.get("CSeq") == "1 CANCEL"
    assert cancel.headers.all("Via") == a.headers.all("Via")[:1]
    assert "Require" not in cancel.headers
    assert "Max-Breadth" not in cancel.headers  # RFC 5393 section 5.4.1


def test_reasons_are_passed_on() -> None:
    """RFC 3326 section 2."""
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 180)
    cancel = CANCEL.copy()
    cancel.headers.add("Reason", 'Q.850;cause=16;text="bye"')
    cancel.headers.add("Reason", "SIP;cause=200")
    _, sent = cancelled(rig, cancel)
    assert sent.headers.all("Reason") == cancel.headers.all("Reason")


def test_after_the_final_response_it_changes_nothing() -> None:
    """9.2: it is answered 200 as long as the INVITE's transaction is there."""
    for status, passed in ((200, "200<"), (486, "486<")):
        rig = Rig()
        [a] = rig.fork(rig.context(INVITE), [target("a")])
        assert rig.answer(a, status)[-1].what == passed
        assert whats(cancelled(rig)) == ["200<"]
        assert whats(rig.advance(0.4)) == []


def test_a_2xx_that_crosses_the_cancel() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 180)
    cancelled(rig)
    assert whats(rig.answer(a, 200)) == ["200<"]
    rig.assert_forgotten()


def test_a_cancel_of_what_is_not_known() -> None:
    """16.10 would send it on: but only what was sent on statelessly could be meant (docs)."""
    rig = Rig()
    [answer] = cancelled(rig)
    assert (answer.status, answer.flow.remote) == (481, CALLER)
    assert rig.layer.clients == {}


def test_a_cancel_that_cannot_be_read_is_refused() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 180)
    data = CANCEL.to_bytes().replace(b"Max-", b"Reason: a\nb\r\nMax-")
    rig.take()
    assert rig.receive(data) is None
    assert whats(rig.take()) == ["400<"]
    assert whats(rig.answer(a, 200)) == ["200<"]


def test_a_caller_who_gave_up_gets_487_though_nobody_answered() -> None:
    """9.1: after 64*T1 a cancelled request is over, 487 or not."""
    rig = Rig()
    a, _b = rig.fork(rig.context(INVITE), [target("a"), target("b")])
    rig.answer(a, 180)
    cancelled(rig)
    rig.advance(33)
    # b was silent altogether, a rang on: both are 408 of ours, and neither is what happened
    assert rig.to_caller()[:3] == [180, 200, 487]
    rig.receive(follow(INVITE, "ACK"))
    rig.assert_forgotten()


@pytest.mark.parametrize("status", [401, 486, 302, 503])
def test_a_caller_who_gave_up_gets_487_where_somebody_said_it(status: int) -> None:
    rig = Rig()
    a, b = rig.fork(rig.context(INVITE), [target("a"), target("b")])
    rig.answer(a, 180)
    rig.answer(b, status)
    cancelled(rig)
    assert whats(rig.answer(a, 487))[-1] == "487<"


def test_a_6xx_goes_before_487() -> None:
    rig = Rig()
    a, b = rig.fork(rig.context(INVITE), [target("a"), target("b")])
    rig.answer(a, 180)
    rig.answer(b, 180)
    cancelled(rig)
    rig.answer(a, 487)
    assert whats(rig.answer(b, 600)) == ["ACK>b", "600<"]


def test_a_cancel_twice() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 180)
    assert whats(cancelled(rig)) == ["200<", "CANCEL>a"]
    assert whats(cancelled(rig)) == ["200<"]  # a retransmission


def test_nothing_but_an_invite_is_cancelled() -> None:
    rig = Rig()
    message = request("MESSAGE")
    [a] = rig.fork(rig.context(message), [target("a")])
    assert whats(cancelled(rig, follow(message, "CANCEL"))) == ["481<"]
    assert whats(rig.answer(a, 200)) == ["200<"]


# Timer C


def times(sent: list[Sent], what: str) -> list[float]:
    return [each.time for each in sent if each.what == what]


def test_who_rings_too_long_is_cancelled() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 180)
    sent = rig.advance(200)
    assert times(sent, "CANCEL>a")[0] == 181.0
    assert whats(rig.answer(a, 487)) == ["ACK>a", "487<"]
    rig.assert_forgotten()


def test_more_than_three_minutes() -> None:
    assert Timers().c > 180


def test_who_rings_on_after_the_cancel_is_408() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 180)
    sent = rig.advance(300)
    assert times(sent, "408<")[0] == 181.0 + 32.0
    assert a.what == "INVITE>a"


@pytest.mark.parametrize("rings", [10.0, 100.0, 175.0, 180.9])
def test_each_101_to_199_puts_it_off(rings: float) -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 180)
    rig.advance(rings)
    rig.answer(a, 183)
    [first, *_] = times(rig.advance(400), "CANCEL>a")
    assert rings + 181.0 <= first <= rings + 181.0 + 10.0


def test_a_phone_that_rings_all_the_time_rings_for_ever() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    for _ in range(20):
        rig.answer(a, 180)
        assert not times(rig.advance(60), "CANCEL>a")
    assert 181.0 - 60.0 <= times(rig.advance(400), "CANCEL>a")[0] - rig.now + 400.0 <= 131.0


def test_100_does_not_put_it_off() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("a")])
    rig.answer(a, 100)
    rig.advance(100)
    rig.answer(a, 100)
    assert times(rig.advance(200), "CANCEL>a")[0] == 181.0


def test_each_hop_has_its_three_minutes_and_one_cancel() -> None:
    """However many hops were tried before: there is one timer, which is put off."""
    rig = Rig()
    [a] = rig.fork(rig.context(INVITE), [target("abc")])
    _, b = rig.answer(a, 503)
    rig.advance(50)  # b is silent, and given up after 32 s
    [c] = [sent for sent in rig.log if sent.to == "192.0.2.53"][:1]
    assert c.time == 32.0
    rig.answer(c, 180)
    [first, *_] = times(rig.advance(500), "CANCEL>c")
    assert 50.0 + 181.0 <= first <= 50.0 + 191.0
    assert b.what == "INVITE>b"


def test_without_any_response_it_is_as_a_408() -> None:
    """Which takes a timer C shorter than timer B."""
    rig = Rig(timers=Timers(c=20.0))
    [a] = rig.fork(rig.context(INVITE), [target("a")], [target("b")])
    sent = rig.advance(21)
    assert times(sent, "INVITE>b") == [20.0, 20.5]
    assert whats(rig.answer(a, 200)) == []  # too late: its transaction is over
    sent = rig.advance(20)
    assert times(sent, "408<")[0] == 40.0


def test_timer_c_is_not_for_other_requests() -> None:
    rig = Rig()
    rig.fork(rig.context(request("MESSAGE")), [target("a")])
    assert rig.proxy._timer_c.next_timeout() is None


def test_time_goes_on_for_a_response_that_somebody_holds_back() -> None:
    rig = Rig()
    context: ResponseContext = rig.context(INVITE)
    [a] = rig.fork(context, [target("a")])
    held: list[Response] = []

    class Holds:
        def on_branch(self, *_: object) -> None:
            pass

        def on_reply(self, context: ResponseContext, branch: object, response: Response) -> bool:
            held.append(response)
            return True

        def on_failure(self, *_: object) -> bool:
            return False

        def on_end(self, *_: object) -> None:
            pass

    context.hooks = Holds()
    rig.answer(a, 486)
    rig.advance(400)
    assert rig.to_caller() == []
    context.pass_back(context.branches[0], held[0], rig.now)
    assert whats(rig.take()) == ["486<"]
    # a hop that comes after one that was held back has its three minutes, too
    context = rig.context(request(number=2))
    [a] = rig.fork(context, [target("ab")])
    context.hooks = Holds()
    rig.answer(a, 503)
    rig.advance(400)
    context.pass_back(context.branches[0], held[1], rig.now)
    [b] = rig.take()
    context.hooks = None
    rig.answer(b, 180)
    begin = rig.now
    [cancel] = [sent for sent in rig.advance(400) if sent.method == "CANCEL"][:1]
    assert 180 <= cancel.time - begin <= 190
    assert FROM_CALLER.remote == CALLER
