"""What is passed back: RFC 3261 sections 16.7, RFC 4320, RFC 6026 section 7.3, RFC 8760 2.5."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import pytest
from tests.sip.proxy.rig import (
    CALLER,
    FROM_CALLER,
    TCP,
    UDP,
    Rig,
    Sent,
    follow,
    hops,
    request,
    target,
    whats,
)

from trunkline.sip.locate import Failure
from trunkline.sip.message import Request, Response
from trunkline.sip.proxy import Branch, ResponseContext, Target, listed
from trunkline.sip.proxy.responses import best_of, drop_contacts
from trunkline.sip.transport import Flow, Transport


def answered(*statuses: int, method: str = "INVITE") -> tuple[Rig, list[Sent]]:
    """Fork to as many targets at once, which give these answers; what the last one brings."""
    rig = Rig()
    context = rig.context(request(method))
    targets = [target(chr(ord("a") + at)) for at in range(len(statuses))]
    sent = rig.fork(context, targets)
    last: list[Sent] = []
    for each, status in zip(sent, statuses, strict=True):
        last = rig.answer(each, status)
    return rig, last


# Steps 1 to 5: at once, or never


def test_provisional_responses_pass_at_once_but_100() -> None:
    rig = Rig()
    [invite] = rig.fork(rig.context(), [target("a")])
    assert rig.answer(invite, 100) == []
    assert whats(rig.answer(invite, 180)) == ["180<"]
    [progress] = rig.answer(invite, 183, [("X", "y")], body=b"v=0")
    assert progress.message.body == b"v=0"
    assert progress.headers.all("Via") == request().headers.all("Via")
    assert progress.headers.get("To") == "<sip:bob@example.org>;tag=to-192.0.2.51"


def test_provisional_responses_to_anything_but_invite_do_not_pass() -> None:
    """RFC 4320 section 4.1: nor 100, which we send ourselves, late."""
    rig = Rig()
    [options] = rig.fork(rig.context(request("OPTIONS")), [target("a")])
    for status in (100, 183):
        assert rig.answer(options, status) == []
    assert [s.time for s in rig.advance(5) if s.status == 100] == [3.5]


def test_a_2xx_passes_at_once_and_the_others_are_cancelled() -> None:
    rig = Rig()
    a, b, c = rig.fork(rig.context(), [target("a"), target("b"), target("c")])
    rig.answer(b, 180)
    ok, cancel = rig.answer(a, 200)
    assert ok.what == "200<"
    assert cancel.what == "CANCEL>b"  # c has not answered at all: 9.1
    assert cancel.branch == b.branch
    # RFC 3326 section 3.1
    assert cancel.headers.all("Reason") == ['SIP;cause=200;text="Call completed elsewhere"']
    [cancel] = rig.answer(c, 180)  # and no 180 passes after a final response
    assert cancel.what == "CANCEL>c"
    assert whats(rig.answer(b, 487)) == ["ACK>b"]
    assert whats(rig.answer(c, 487)) == ["ACK>c"]
    assert rig.to_caller() == [180, 200]
    rig.assert_forgotten()


def test_every_2xx_to_an_invite_passes() -> None:
    """And each time it comes, for 64*T1 after the first: RFC 6026 section 7.2."""
    rig = Rig()
    a, b = rig.fork(rig.context(), [target("a"), target("b")])
    rig.answer(b, 180)
    rig.answer(a, 200)
    assert whats(rig.answer(a, 200)) == ["200<"]
    assert whats(rig.answer(b, 200)) == ["200<"]  # it crossed the CANCEL
    assert [s.headers.get("To") for s in rig.log if s.status == 200 and s.method == "INVITE"] == [
        f"<sip:bob@example.org>;tag=to-192.0.2.5{n}" for n in (1, 1, 2)
    ]
    rig.advance(31)
    assert whats(rig.answer(a, 200)) == ["200<"]
    rig.advance(2)
    assert rig.answer(a, 200) == []
    assert rig.proxy.discarded == {"sip.stray-response": 1}
    rig.assert_forgotten()


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_2xx_that_comes_again_passes_as_the_first_one_did(transport: Transport) -> None:
    """Also when nothing of the call is left but its transactions."""
    rig = Rig([UDP, TCP])
    came = Flow(transport, CALLER, UDP.local, int(transport.reliable))
    [a] = rig.fork(rig.context(request(transport=transport), came), [target("a")])
    assert isinstance(a.message, Request)
    response = Response.answer(a.message, 200, to_tag="x")
    response.headers.remove("Content-Length")
    passed = []
    for _ in range(3):
        rig.receive(response, a.flow)
        [ok] = rig.take()
        assert (ok.what, ok.flow) == ("200<", came)
        assert ("Content-Length" in ok.headers) is transport.reliable
        passed.append(ok.message.to_bytes())
    assert passed[1:] == passed[:1] * 2
    rig.assert_forgotten()


def test_one_final_response_to_anything_but_invite() -> None:
    rig = Rig()
    a, b = rig.fork(rig.context(request("MESSAGE")), [target("a"), target("b")])
    assert whats(rig.answer(a, 202)) == ["202<"]
    assert rig.answer(b, 200) == []
    assert rig.to_caller() == [202]


def test_a_2xx_after_a_failure_was_passed_back_stays_here() -> None:
    """Step 5: either exactly one non-2xx, or one or more 2xx."""
    rig = Rig()
    context = rig.context()
    [invite] = rig.fork(context, [target("a")])
    rig.answer(invite, 180)
    context.reply(486, now=rig.now)
    assert whats(rig.take()) == ["486<", "CANCEL>a"]
    assert rig.answer(invite, 200) == []


def test_a_6xx_waits_for_the_others() -> None:
    rig = Rig()
    a, b = rig.fork(rig.context(), [target("a"), target("b")], [target("c")])
    rig.answer(b, 180)
    ack, cancel = rig.answer(a, 603)
    assert (ack.what, cancel.what) == ("ACK>a", "CANCEL>b")
    assert cancel.headers.all("Reason") == ["SIP;cause=603"]
    assert whats(rig.answer(b, 180)) == ["180<"]
    assert whats(rig.answer(b, 487)) == ["ACK>b", "603<"]  # and c is never tried


def test_a_2xx_goes_before_a_6xx_that_waits() -> None:
    rig = Rig()
    a, b = rig.fork(rig.context(), [target("a"), target("b")])
    rig.answer(b, 180)
    rig.answer(a, 603)
    assert whats(rig.answer(b, 200)) == ["200<"]
    assert rig.to_caller() == [180, 200]
    rig.assert_forgotten()


def test_no_branch_begins_after_a_6xx() -> None:
    """Not at the next hop, not by whoever is asked about the failure."""
    rig = Rig()
    context = rig.context()
    hooks = context.hooks = Tries(rig, "d")
    a, b = rig.fork(context, [target("a"), target("bc")])
    rig.answer(a, 600)
    assert whats(rig.answer(b, 503)) == ["ACK>b", "600<"]
    assert hooks.asked == [600]


class Tries:
    """Hooks that try one more target each time that all have failed."""

    def __init__(self, rig: Rig, names: str) -> None:
        self.rig = rig
        self.names = list(names)
        self.asked: list[int] = []
        self.ended: list[int | None] = []

    def on_branch(self, context: ResponseContext, branch: Branch, request: Request) -> None:
        pass

    def on_reply(self, context: ResponseContext, branch: Branch, response: Response) -> bool:
        return False

    def on_failure(self, context: ResponseContext, response: Response) -> bool:
        self.asked.append(response.status)
        if not self.names:
            return False
        context.fork([[target(self.names.pop(0))]], self.rig.now)
        return True

    def on_end(self, context: ResponseContext, response: Response | None) -> None:
        self.ended.append(None if response is None else response.status)


def test_more_targets_after_a_failure_and_the_best_of_all() -> None:
    rig = Rig()
    context = rig.context()
    hooks = context.hooks = Tries(rig, "bc")
    [a] = rig.fork(context, [target("a")])
    _, b = rig.answer(a, 404)
    _, c = rig.answer(b, 500)
    assert (b.what, c.what) == ("INVITE>b", "INVITE>c")
    assert whats(rig.answer(c, 503)) == ["ACK>c", "404<"]
    assert (hooks.asked, hooks.ended) == ([404, 404, 404], [404])


def test_a_response_that_a_hook_keeps_waits() -> None:
    rig = Rig()
    context = rig.context()

    class Keeps(Tries):
        def on_reply(self, context: ResponseContext, branch: Branch, response: Response) -> bool:
            kept.append((branch, response))
            return True

    kept: list[tuple[Branch, Response]] = []
    context.hooks = Keeps(rig, "")
    a, b = rig.fork(context, [target("a"), target("b")])
    assert rig.answer(a, 180) == []
    assert whats(rig.answer(a, 486)) == ["ACK>a"]
    assert whats(rig.answer(b, 200)) == []
    for branch, response in kept:
        context.pass_back(branch, response, rig.now)
    assert whats(rig.take()) == ["180<", "200<"]


def test_a_hook_sees_each_copy_before_it_leaves() -> None:
    rig = Rig()
    context = rig.context()

    class Changes(Tries):
        def on_branch(self, context: ResponseContext, branch: Branch, request: Request) -> None:
            request.headers.add("X-Target", branch.target.uri)

    context.hooks = Changes(rig, "")
    sent = rig.fork(context, [target("a"), target("b")])
    assert [each.headers.all("X-Target") for each in sent] == [
        ["sip:a@192.0.2.51"],
        ["sip:b@192.0.2.52"],
    ]


def test_a_response_that_is_passed_back_twice_ends_its_branch_once() -> None:
    rig = Rig()
    context = rig.context(request(headers=[("Max-Breadth", "1")]))
    kept: list[tuple[Branch, Response]] = []

    class Keeps(Tries):
        def on_reply(self, context: ResponseContext, branch: Branch, response: Response) -> bool:
            kept.append((branch, response))
            return True

    context.hooks = Keeps(rig, "")
    [a] = rig.fork(context, [target("a"), target("b"), target("c")])
    rig.answer(a, 486)
    for _ in range(2):
        context.pass_back(*kept[0], rig.now)
    assert whats(rig.take()) == ["INVITE>b"]


def test_a_caller_who_gives_up_while_a_hook_decides() -> None:
    rig = Rig()
    context = rig.context()

    class Takes(Tries):
        def on_failure(self, context: ResponseContext, response: Response) -> bool:
            return True

    context.hooks = Takes(rig, "")
    [a] = rig.fork(context, [target("a")])
    rig.answer(a, 486)
    rig.receive(follow(request(), "CANCEL"))
    assert whats(rig.take()) == ["200<", "487<"]
    assert rig.fork(context, [target("b")]) == []  # what it decides comes too late
    context.finish(Response.build(486), rig.now)
    assert rig.take() == []


# Step 3


def test_a_response_with_no_via_but_ours_was_not_for_the_caller() -> None:
    rig = Rig()
    [invite] = rig.fork(rig.context(), [target("a")])
    assert isinstance(invite.message, Request)
    for status, answers in ((180, []), (200, ["502<"])):
        response = Response.answer(invite.message, status, to_tag="x")
        while response.headers.count("Via") > 1:
            response.headers.remove("Via", -1)
        rig.receive(response, invite.flow)
        assert whats(rig.take()) == answers
    assert rig.proxy.discarded == {"sip.via-left": 2}
    rig.receive(response, invite.flow)  # and again, when the context is done
    assert rig.take() == []
    assert rig.proxy.discarded == {"sip.via-left": 3}
    rig.assert_forgotten()


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Length: 4", b"Content-Length: 2\r\nContent-Length: 4"),
        (b"Content-Length: 4", b"l: 4\r\nContent-Length: 4"),
        (b"SIP/2.0 200", b"SIP/3.0 200"),
    ],
)
def test_a_response_that_another_would_read_otherwise_counts_as_lost(
    old: bytes, new: bytes, transport: Transport
) -> None:
    """18.3: on a stream, what is behind the shorter length would be the next message."""
    rig = Rig((UDP, TCP))
    flow = Flow(transport, CALLER, TCP.local, 0 if transport is Transport.UDP else 7)
    [a] = rig.fork(rig.context(request("MESSAGE"), flow), [target("a")])
    assert isinstance(a.message, Request)
    good = Response.answer(a.message, 200, body=b"abcd", to_tag="t").to_bytes()
    assert old in good
    rig.receive(good.replace(old, new), a.flow)
    assert rig.take() == []
    assert sum(rig.proxy.discarded.values()) == 1
    rig.receive(good, a.flow)
    assert whats(rig.take()) == ["200<"]


@pytest.mark.parametrize("rest", [",", " , ", ",\t,"])
def test_a_via_row_with_nothing_behind_ours_goes(rest: str) -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(), [target("a")])
    assert isinstance(a.message, Request)
    ours = a.headers["via"][0]
    response = Response.answer(a.message, 200, to_tag="t").to_bytes()
    rig.take()
    rig.receive(response.replace(ours.encode(), f"{ours}{rest}".encode()), a.flow)
    [ok] = rig.take()
    assert ok.headers.all("via") == [request().headers["via"][0]]


def test_a_response_that_matches_nothing_is_dropped() -> None:
    """RFC 6026 section 7.3, instead of RFC 3261's forwarding it."""
    rig = Rig()
    [invite] = rig.fork(rig.context(), [target("a")])
    assert isinstance(invite.message, Request)
    response = Response.answer(invite.message, 200, to_tag="x")
    response.headers.replace("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKguess")
    assert rig.receive(response, invite.flow) is None
    assert rig.take() == []
    assert rig.proxy.discarded == {"sip.stray-response": 1}


# Step 6: the best


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((503, 407, 501, 404), 407),  # the example of step 6
        ((404, 302), 302),
        ((404, 300), 300),
        ((500, 486), 486),
        ((404, 480, 401), 401),
        ((415, 404), 415),
        ((404, 420), 420),
        ((486, 484), 484),
        ((300, 603, 200), 200),
        ((302, 401, 600), 600),
        ((503,), 500),
        ((503, 503), 500),
        ((503, 500), 500),
        ((504, 503), 504),
        ((408, 404), 404),
        ((487, 486), 486),
        ((487, 408), 487),
    ],
)
def test_the_best_response(statuses: tuple[int, ...], best: int) -> None:
    for order in itertools.permutations(statuses):
        rig, last = answered(*order)
        assert rig.to_caller() == [best], order
        assert last
        rig.assert_forgotten()


def test_the_first_of_equals() -> None:
    rig, _ = answered(404, 404)
    [answer] = [sent for sent in rig.log if sent.status == 404]
    assert answer.headers.get("To") == "<sip:bob@example.org>;tag=to-192.0.2.51"


def test_a_lone_503_says_nothing_of_us() -> None:
    rig = Rig()
    [invite] = rig.fork(rig.context(), [target("a")])
    _, answer = rig.answer(invite, 503, [("Retry-After", "120 (busy);duration=7")])
    assert isinstance(answer.message, Response)
    assert (answer.status, answer.message.reason) == (500, "Server Internal Error")
    assert rig.failures == [("a", Failure.BUSY, 120.0)]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("18000;duration=3600", 18000.0), ("soon", None), ("", None), ("9" * 40, 999999999.0)],
)
def test_how_long_a_server_asks_to_be_left_alone(value: str, seconds: float | None) -> None:
    rig = Rig()
    [invite] = rig.fork(rig.context(), [target("a")])
    rig.answer(invite, 503, [("Retry-After", value)])
    assert rig.failures == [("a", Failure.BUSY, seconds)]


def test_who_answers_at_all_is_told_once_a_hop() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(), [target("ab")])
    rig.answer(a, 100)
    rig.answer(a, 180)
    _, b = rig.answer(a, 503)
    rig.answer(b, 486)
    assert rig.answered == ["a", "b"]


# Step 7: challenges


def test_challenges_are_put_together_each_in_its_order() -> None:
    """RFC 8760 section 2.5: those of one response stay in their order."""
    rig = Rig()
    a, b, c, d = rig.fork(rig.context(), [target(name) for name in "abcd"])
    first = [
        ("WWW-Authenticate", 'Digest realm="a", algorithm=SHA-256'),
        ("WWW-Authenticate", 'Digest realm="a", algorithm=MD5'),
    ]
    second = [
        ("Proxy-Authenticate", 'Digest realm="b", algorithm=SHA-512-256'),
        ("Proxy-Authenticate", 'Digest realm="b", algorithm=MD5'),
    ]
    rig.answer(a, 407, second)
    rig.answer(b, 404, [("WWW-Authenticate", 'Digest realm="not a challenge"')])
    rig.answer(c, 401, first)
    _, answer = rig.answer(d, 401, [("WWW-Authenticate", 'Digest realm="d"'), first[0]])
    assert answer.status == 401
    assert answer.headers.get("To") == "<sip:bob@example.org>;tag=to-192.0.2.53"
    assert answer.headers.all("WWW-Authenticate") == [
        first[0][1],
        first[1][1],
        'Digest realm="d"',
    ]
    assert answer.headers.all("Proxy-Authenticate") == [value for _, value in second]


def test_challenges_of_targets_that_were_tried_before_count() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(), [target("a")], [target("b")])
    _, b = rig.answer(a, 407, [("Proxy-Authenticate", "one")])
    _, answer = rig.answer(b, 401, [("WWW-Authenticate", "two")])
    assert answer.status == 401
    assert answer.headers.all("Proxy-Authenticate") == ["one"]
    assert answer.headers.all("WWW-Authenticate") == ["two"]


def test_only_a_challenge_gets_the_challenges_of_others() -> None:
    rig = Rig()
    a, b = rig.fork(rig.context(), [target("a"), target("b")])
    rig.answer(a, 401, [("WWW-Authenticate", "one")])
    _, answer = rig.answer(b, 302, [("Contact", "<sip:c@x>")])
    assert answer.status == 302
    assert "WWW-Authenticate" not in answer.headers


# Step 4: recursion


def test_contacts_that_are_tried_here_are_not_passed_back() -> None:
    rig = Rig()
    context = rig.context()
    [a] = rig.fork(context, [target("a")])
    contacts = [
        ("Contact", '<sip:b@192.0.2.52>;q=0.5, "C" <sip:c@192.0.2.53>'),
        ("Contact", "<mailto:x@y>"),
    ]

    class Recurses(Tries):
        def on_failure(self, context: ResponseContext, response: Response) -> bool:
            if self.asked:
                return False
            self.asked.append(response.status)
            context.fork([[target("b")], [target("c", "sip:c@192.0.2.53:5060")]], rig.now)
            return True

    context.hooks = Recurses(rig, "")
    _, b = rig.answer(a, 302, contacts)
    _, c = rig.answer(b, 486)
    _, answer = rig.answer(c, 486)
    assert answer.status == 302
    # A port makes it another URI (19.1.4); what nobody here tried is left to the caller.
    assert answer.headers.tokens("Contact") == ['"C" <sip:c@192.0.2.53>', "<mailto:x@y>"]


def test_a_redirection_that_was_followed_to_the_end_is_none_any_more() -> None:
    rig = Rig()
    context = rig.context()
    context.hooks = Tries(rig, "b")
    [a] = rig.fork(context, [target("a")])
    _, b = rig.answer(a, 302, [("Contact", "sip:b@192.0.2.52;unknown=x")])
    assert whats(rig.answer(b, 486)) == ["ACK>b", "486<"]


@pytest.mark.parametrize(
    ("contact", "uri", "left"),
    [
        ("<sip:b@X.example>", "sip:b@x.example", False),
        ("<sip:b@x.example;transport=tcp>", "sip:b@x.example", True),
        ("sip:b@x.example;q=0.1", "sip:b@x.example", False),
        ("no uri", "sip:b@x.example", True),
        ("*", "sip:b@x.example", True),
        ("<tel:+1-555>", "tel:+1555", False),
        ("<http://x>", "http://x", False),
        ("<http://x>", "http://y", True),
    ],
)
def test_which_contacts_are_the_same(contact: str, uri: str, left: bool) -> None:
    response = Response.build(302, headers=[("Contact", contact)])
    assert drop_contacts(response, [uri]) is left


def test_of_contacts_that_differ_by_case_the_one_that_is_tried_goes() -> None:
    rows = [("Contact", "<sip:BOB@x>, <sip:bob@x>;q=0.1"), ("Contact", "<sip:bob@x>")]
    response = Response.build(302, headers=rows)
    assert drop_contacts(response, ["sip:bob@x"])
    assert response.headers.all("contact") == ["<sip:BOB@x>"]


def test_very_many_contacts_are_looked_at_once_each() -> None:
    uris = [f"sip:u{number}@x" for number in range(3000)]
    kept = [f"<sip:v{number}@x>" for number in range(3000)]
    rows = [("Contact", ", ".join(f"<{uri};x=y>" for uri in uris)), ("Contact", ", ".join(kept))]
    response = Response.build(302, headers=rows)
    begin = time.thread_time()
    assert drop_contacts(response, uris)
    assert time.thread_time() - begin < 1
    assert response.headers.all("contact") == [", ".join(kept)]


def test_nothing_is_best_of_nothing() -> None:
    assert best_of([], cancelled=False) is None


# Failures of next hops


def test_the_next_hop_on_error_silence_and_503() -> None:
    """RFC 3263 section 4.3."""
    rig = Rig()
    [a] = rig.fork(rig.context(), [target("abcd")])
    [b] = rig.fail(a)
    ack, c = rig.answer(b, 503)
    [d] = [sent for sent in rig.advance(33) if sent.to == "192.0.2.54" and sent.time <= 32]
    assert whats([b, ack, c, d]) == ["INVITE>b", "ACK>b", "INVITE>c", "INVITE>d"]
    assert rig.failures == [
        ("a", Failure.ERROR, None),
        ("b", Failure.BUSY, None),
        ("c", Failure.TIMEOUT, None),
    ]
    assert whats(rig.answer(d, 200)) == ["200<"]
    assert rig.to_caller() == [200]


def test_a_hop_that_has_answered_at_all_is_not_left_for_silence() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(request("MESSAGE")), [target("ab")])
    rig.answer(a, 100)
    assert not [sent for sent in rig.advance(40) if sent.to == "192.0.2.52"]


def test_430_leads_to_the_next_flow() -> None:
    """RFC 5626 section 7."""
    rig = Rig()
    ways = Target("sip:a@192.0.2.9", hops("a", "b", "c", "d"), flows=True)
    [a] = rig.fork(rig.context(), [ways])
    ack, b = rig.answer(a, 430)
    assert whats([ack, b]) == ["ACK>a", "INVITE>b"]
    assert rig.failures == []
    _, c = rig.answer(b, 408)
    [d] = rig.fail(c)
    assert whats([c, d]) == ["INVITE>c", "INVITE>d"]
    assert whats(rig.answer(d, 430)) == ["ACK>d", "430<"]


@pytest.mark.parametrize(("status", "passed"), [(503, "500<"), (486, "486<")])
def test_who_has_answered_by_one_flow_is_not_asked_by_another(status: int, passed: str) -> None:
    """RFC 5626 section 7; and 430 from one of several servers says nothing of the others."""
    rig = Rig()
    [a] = rig.fork(rig.context(), [Target("sip:a@192.0.2.9", hops("a", "b"), flows=True)])
    assert whats(rig.answer(a, status)) == ["ACK>a", passed]
    rig = Rig()
    [a] = rig.fork(rig.context(), [target("ab")])
    assert whats(rig.answer(a, 430)) == ["ACK>a", "430<"]


def test_no_way_left_is_a_failure_of_the_kind_that_it_was() -> None:
    rig = Rig()
    [a] = rig.fork(rig.context(), [target("a")])
    assert whats(rig.fail(a)) == ["500<"]  # 16.9: as a 503, which is not passed on
    rig = Rig()
    rig.fork(rig.context(), [target("a")])
    assert "408<" in whats(rig.advance(33))


def test_anything_but_invite_that_only_times_out_is_not_answered() -> None:
    """RFC 4320 section 4.2."""
    rig = Rig()
    rig.fork(rig.context(request("OPTIONS")), [target("a"), target("b")])
    sent = rig.advance(100)
    assert {each.status for each in sent} == {0, 100}
    assert rig.to_caller() == []
    rig.assert_forgotten()
    # A callee's own 408 is not passed back either
    rig, last = answered(408, method="OPTIONS")
    assert last == []
    # and the request is none that is new when it comes again, to the end of timer F
    for _ in range(2):
        assert rig.receive(request("OPTIONS")) is None
        assert rig.take() == []
        rig.advance(31)
    assert not rig.layer.servers
    rig.assert_forgotten()


def test_what_comes_after_the_caller_has_stopped_waiting_is_not_sent() -> None:
    """RFC 4320 section 4.2: one branch said something, the other nothing until both timed out."""
    rig = Rig()
    _a, b = rig.fork(rig.context(request("OPTIONS")), [target("a"), target("b")])
    rig.answer(b, 404)
    rig.advance(33)
    assert rig.to_caller() == []
    rig.assert_forgotten()


def test_nothing_new_begins_after_a_final_response() -> None:
    """A hop that fails after the call was answered elsewhere is not followed by another."""
    for how in ("silence", "error", "503"):
        rig = Rig()
        a, b = rig.fork(rig.context(), [target("a"), target("bc")])
        rig.answer(a, 200)
        if how == "silence":
            rig.advance(40)
        elif how == "error":
            rig.fail(b)
        else:
            rig.answer(b, 503)
        assert not [sent for sent in rig.log if sent.to == "192.0.2.53"], how
        assert rig.to_caller() == [200]
        rig.assert_forgotten()


def test_a_response_that_cannot_be_delivered_cancels_nothing() -> None:
    """16.9."""
    rig = Rig()
    [a] = rig.fork(rig.context(), [target("a")])
    [ringing] = rig.answer(a, 180)
    received = rig.proxy.transport_failed(
        ringing.flow, [ringing.message.to_bytes()], "unreachable", rig.now
    )
    assert [type(each).__name__ for each in received] == ["TransportFailed"]
    assert rig.take() == []
    assert whats(rig.answer(a, 200)) == ["200<"]


@pytest.mark.parametrize("rings", [False, True])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_an_ack_that_cannot_be_delivered_costs_the_next_hop_nothing(
    names: str, rings: bool
) -> None:
    """17.1.1.2 tells the user of it; 16.9 is of the requests that were forwarded."""
    rig = Rig()
    [a] = rig.fork(rig.context(), [target(names)])
    ack, b = rig.answer(a, 503)
    failures = rig.failures.copy()
    if rings:
        rig.answer(b, 180)
    assert rig.fail(ack) == []
    assert whats(rig.answer(b, 200)) == ["200<"]
    assert rig.to_caller() == [180, 200] if rings else [200]
    assert rig.failures == failures
    rig.assert_forgotten()


def test_an_ack_that_cannot_be_delivered_costs_a_response_that_is_kept_nothing() -> None:
    rig = Rig()
    context = rig.context()
    kept: list[tuple[Branch, Response]] = []

    class Keeps(Tries):
        def on_reply(self, context: ResponseContext, branch: Branch, response: Response) -> bool:
            kept.append((branch, response))
            return True

    context.hooks = Keeps(rig, "")
    [a] = rig.fork(context, [target("ab")])
    [ack] = rig.answer(a, 486)
    assert rig.fail(ack) == []
    [(branch, response)] = kept
    context.pass_back(branch, response, rig.now)
    assert whats(rig.take()) == ["486<"]
    assert rig.failures == []
    rig.assert_forgotten()


# Answers of our own


def test_a_final_answer_of_our_own_cancels_what_is_under_way() -> None:
    rig = Rig()
    context = rig.context()
    a, b = rig.fork(context, [target("a"), target("b")])
    rig.answer(a, 180)
    rig.take()
    context.reply(181, now=rig.now)
    context.reply(404, now=rig.now)
    context.reply(200, now=rig.now)  # too late
    sent = rig.take()
    assert whats(sent) == ["181<", "404<", "CANCEL>a"]
    assert sent[0].headers.get("To") == sent[1].headers.get("To")
    assert whats(rig.answer(b, 180)) == ["CANCEL>b"]
    rig.answer(a, 487)
    rig.answer(b, 487)
    rig.assert_forgotten()


def test_a_request_that_is_dropped() -> None:
    rig = Rig()
    context = rig.context()
    hooks = context.hooks = Tries(rig, "")
    context.drop(rig.now)
    context.drop(rig.now)
    context.reply(200, now=rig.now)
    assert rig.take()[1:] == []  # but 100
    assert hooks.ended == [None]
    rig.assert_forgotten()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_request_that_was_dropped_is_not_new_when_it_comes_again(method: str) -> None:
    rig = Rig()
    rig.context(request(method)).drop(rig.now)
    rig.take()
    rig.advance(1.0)
    assert rig.receive(request(method)) is None
    if method == "INVITE":
        rig.receive(follow(request(), "CANCEL"))
        assert whats(rig.take()) == ["200<"]
    assert rig.advance(30.9) == []
    rig.advance(0.2)
    assert not [key for key in rig.layer.servers if "CANCEL" not in key]
    rig.assert_forgotten()


def test_a_request_that_is_dropped_on_its_way() -> None:
    rig = Rig()
    context = rig.context()
    [a] = rig.fork(context, [target("ab")])
    rig.answer(a, 180)
    context.drop(rig.now)
    assert whats(rig.take()) == ["CANCEL>a"]
    assert whats(rig.answer(a, 487)) == ["ACK>a"]
    assert rig.to_caller() == [180]
    rig.assert_forgotten()


def test_flows_of_a_target_are_used_in_order() -> None:
    flows = [Flow(Transport.UDP, (f"192.0.2.{n}", 5060), ("192.0.2.1", 5060)) for n in (60, 61)]
    following = listed(*flows)
    assert [following(0.0), following(0.0), following(0.0)] == [*flows, None]
    rig = Rig()
    [sent] = rig.fork(rig.context(), [Target("sip:b@x", listed(*flows))])
    assert sent.flow == flows[0]


def test_the_response_goes_where_the_request_came_from() -> None:
    """18.2.2, RFC 3581."""
    natted = Flow(Transport.UDP, ("198.51.100.7", 40000), ("192.0.2.1", 5060))
    cases: Sequence[tuple[str, tuple[str, int]]] = [
        ("SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1", ("198.51.100.7", 40000)),
        ("SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1", ("198.51.100.7", 5062)),
        ("SIP/2.0/UDP host.example;branch=z9hG4bK1", ("198.51.100.7", 5060)),
    ]
    for via, goes in cases:
        rig = Rig()
        context = rig.context(request(headers=[("Via", via)]), natted)
        [sent] = rig.fork(context, [target("a")])
        assert "received=198.51.100.7" in sent.headers.all("Via")[1]
        [ok] = rig.answer(sent, 200)
        assert ok.flow.remote == goes
    assert FROM_CALLER.remote == CALLER
