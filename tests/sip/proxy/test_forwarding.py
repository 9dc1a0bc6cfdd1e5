"""What is sent on: RFC 3261 sections 16.3, 16.6 and 18.1.1, RFC 5393 section 5.3.3."""

from __future__ import annotations

import pytest
from tests.sip.proxy.rig import (
    CALLER,
    FROM_CALLER,
    PROXY,
    TCP,
    UDP,
    V6,
    Rig,
    Sent,
    hops,
    request,
    target,
    whats,
)

from trunkline.errors import TrunklineError
from trunkline.sip.message import Request, Response
from trunkline.sip.proxy import (
    Branch,
    Listener,
    ProxySettings,
    ResponseContext,
    Target,
    listed,
)
from trunkline.sip.transport import Flow, Transport


def sent_for(message: Request, rig: Rig | None = None) -> Sent:
    rig = rig or Rig()
    [sent] = rig.fork(rig.context(message), [Target(message.uri, hops("a"))])
    return sent


# 16.3: what is refused, and how


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (request(headers=[("Max-Forwards", "0")]), 483),
        (request("OPTIONS", headers=[("Max-Forwards", "0")]), 483),
        (request(headers=[("Max-Forwards", "many")]), 400),
        (request(headers=[("Max-Forwards", "256")]), 400),
        (request(uri="http://example.org"), 416),
        (request(uri="sip:a@b@c"), 400),
        (request(headers=[("Proxy-Require", "privacy, sec-agree")]), 420),
        (request(headers=[("CSeq", "1 OPTIONS")]), 400),
    ],
)
def test_what_is_not_forwarded(message: Request, status: int) -> None:
    rig = Rig()
    assert rig.receive(message) is None
    [answer] = rig.take()
    assert answer.status == status
    assert answer.flow.remote == CALLER
    assert sum(rig.proxy.refused.values()) == 1
    if status == 420:
        assert answer.headers.get("Unsupported") == "privacy, sec-agree"


def test_an_ack_that_fails_a_check_is_dropped() -> None:
    rig = Rig()
    assert rig.receive(request("ACK", headers=[("Max-Forwards", "0")])) is None
    assert rig.take() == []
    assert rig.proxy.discarded == {"sip.ack": 1}


def test_extensions_that_are_understood() -> None:
    settings = ProxySettings(supported=frozenset({"sec-agree"}))
    sent = sent_for(request(headers=[("Proxy-Require", "Sec-Agree")]), Rig(settings=settings))
    assert sent.headers.get("Proxy-Require") == "Sec-Agree"


def test_unknown_methods_headers_and_require_pass() -> None:
    headers = [("Require", "future"), ("X-Unknown", " a  b "), ("Date", "no date at all")]
    sent = sent_for(request("FUTURE", headers=headers))
    assert sent.method == "FUTURE"
    assert [sent.headers.get(name) for name, _ in headers] == ["future", "a  b", "no date at all"]


def test_merged_requests_are_no_error() -> None:
    """16.3: the endpoint resolves them; here the same request came by two ways."""
    rig = Rig()
    for branch in ("z9hG4bKone", "z9hG4bKtwo"):
        assert rig.fork(rig.context(request(branch=branch)), [target("a")])


def test_100_at_once_for_an_invite_and_for_nothing_else() -> None:
    rig = Rig()
    rig.context(request(headers=[("Timestamp", "54")]))
    [trying] = rig.take()
    assert (trying.status, trying.headers.get("Timestamp")) == (100, "54")
    assert "tag" not in (trying.headers.get("To") or "")
    rig.context(request("OPTIONS", number=2))
    assert rig.take() == []


# 16.6 steps 1 to 3, 5, 8, 9


def test_what_nobody_touches_leaves_as_it_came() -> None:
    data = (
        b"INVITE sip:bob@example.org SIP/2.0\r\n"
        b'v:  SIP/2.0/UDP 192.0.2.10 ; branch=z9hG4bKx , SIP/2.0/UDP other;branch=y;q=","\r\n'
        b"max-forwards : 70\r\n"
        b"f: <sip:alice@example.com>;tag=1\r\n"
        b"SUBJECT:folded\r\n  over rows \r\n"
        b"t: sip:bob@example.org\r\ni: one\r\nCSeq: 1 INVITE\r\nl: 3\r\n\r\n\x00\xffz"
    )
    rig = Rig()
    context = rig.context(data)
    [sent] = rig.fork(context, [Target("sip:bob@192.0.2.51", hops("a"))])
    lines = sent.message.to_bytes().split(b"\r\n")
    mine = [b"Max-Forwards: 69", b"Max-Breadth: 60"]
    kept = [line for line in lines[1:] if line not in mine and b"192.0.2.1:5060" not in line]
    expected = data.split(b"\r\n")
    assert kept == [line for line in expected[1:] if b"max-forwards" not in line]


@pytest.mark.parametrize(
    ("value", "goes"), [("70", "69"), ("1", "0"), ("255", "254"), ("007", "6"), (None, "70")]
)
def test_max_forwards(value: str | None, goes: str) -> None:
    message = request()
    message.headers.remove("Max-Forwards")
    if value is not None:
        message.headers.add("Max-Forwards", value)
    sent = sent_for(message)
    assert sent.headers.all("Max-Forwards") == [goes]


@pytest.mark.parametrize(
    ("uri", "goes"),
    [
        ("sip:bob@192.0.2.51", "sip:bob@192.0.2.51"),
        ("sip:bob@192.0.2.51;method=BYE", "sip:bob@192.0.2.51"),
        ("sip:bob@192.0.2.51;user=phone;METHOD=BYE;lr", "sip:bob@192.0.2.51;user=phone;lr"),
        ("sip:bob@192.0.2.51?Subject=x&body=y", "sip:bob@192.0.2.51"),
        ("sip:bob@192.0.2.51;maddr=192.0.2.9", "sip:bob@192.0.2.51;maddr=192.0.2.9"),
        ("sip:who?;method=x@192.0.2.51", "sip:who?;method=x@192.0.2.51"),  # a user part
        ("tel:+1555;method=x", "tel:+1555;method=x"),
        ("sip:not:a:uri?", "sip:not:a:uri?"),
    ],
)
def test_what_may_not_stand_in_a_request_uri_goes(uri: str, goes: str) -> None:
    """Step 2, table 1 of section 19.1.1."""
    rig = Rig()
    context = rig.context()
    rig.take()
    context.fork([[Target(uri, hops("a"))]], rig.now)
    [(_, data)] = rig.proxy.data_to_send()
    assert data.startswith(b"INVITE " + goes.encode() + b" SIP/2.0\r\n")


BROKEN = (
    "sip:x\r\nX-Evil: 1\r\n@192.0.2.51",
    "sip:x@192.0.2.51 SIP/2.0\r\nRoute: <sip:evil>",
    "sip:a b@192.0.2.51",
    "<sip:a@192.0.2.51>",
    "sip:\u00fc@192.0.2.51",
    "sip:a\0@192.0.2.51",
    "sip:a\x7f@192.0.2.51",
    "",
)


@pytest.mark.parametrize("uri", BROKEN)
@pytest.mark.parametrize("hook", [False, True])
def test_what_is_no_uri_is_written_into_no_request(uri: str, hook: bool) -> None:
    """Whoever made it: a script may have taken it from what a caller wrote, line ends and all."""
    rig = Rig()
    context = rig.context()

    class Changes:
        def on_branch(self, context: ResponseContext, branch: Branch, request: Request) -> None:
            if hook and request.uri.startswith("sip:a@"):
                request.uri = uri

        def on_reply(self, *_: object) -> bool:
            return False

        def on_failure(self, *_: object) -> bool:
            return False

        def on_end(self, *_: object) -> None:
            pass

    context.hooks = Changes()
    wrong = Target("sip:a@x" if hook else uri or " ", hops("a"))
    [b] = rig.fork(context, [wrong, target("b")])
    assert b.what == "INVITE>b"
    assert rig.proxy.refused == {"sip.start-line": 1}
    assert whats(rig.answer(b, 600)) == ["ACK>b", "600<"]
    rig.assert_forgotten()
    rig = Rig()
    context = rig.context()
    rig.take()
    with pytest.raises(TrunklineError, match="Request-URI"):  # whoever asked is told
        context.fork([[Target(uri or " ", hops("a", "b"))]], rig.now)
    assert whats(rig.take()) == ["500<"]
    rig.assert_forgotten()


@pytest.mark.parametrize("uri", BROKEN)
def test_what_is_no_uri_is_written_into_no_request_without_a_transaction(uri: str) -> None:
    rig = Rig(stateless=True)
    passing = rig.passing(request("INVITE"))
    with pytest.raises(TrunklineError, match="Request-URI"):
        rig.proxy.forward(passing, Target(uri or " ", hops("a")), rig.now)
    assert rig.take() == []


@pytest.mark.parametrize("zeros", [5, 5000])
def test_max_forwards_of_very_many_digits(zeros: int) -> None:
    rig = Rig()
    [sent] = rig.fork(
        rig.context(request(headers=[("Max-Forwards", "0" * zeros + "70")])), [target("a")]
    )
    assert sent.headers.get("max-forwards") == "69"


def test_each_attempt_has_its_own_branch() -> None:
    """Steps 7 and 8: next hops of one target, targets, and requests."""
    rig = Rig()
    context = rig.context()
    [first, other] = rig.fork(context, [target("ab"), target("c")])
    [second] = rig.fail(first)
    again = rig.fork(rig.context(request(number=2)), [target("a")])
    branches = [sent.branch for sent in (first, other, second, *again)]
    assert len(set(branches)) == 4
    assert all(branch.startswith("z9hG4bK") for branch in branches)


def test_our_via_is_the_flows() -> None:
    rig = Rig([UDP, TCP, V6])
    flows = [
        Flow(Transport.UDP, ("192.0.2.51", 5060), PROXY),
        Flow(Transport.TCP, ("192.0.2.51", 5060), PROXY),
        Flow(Transport.UDP, ("2001:db8::51", 5060), V6.local),
    ]
    vias = []
    for number, flow in enumerate(flows):
        context = rig.context(request(number=number))
        [sent] = rig.fork(context, [Target("sip:b@x", listed(flow))])
        vias.append((sent.headers.get("Via") or "").partition(";")[0])
    assert vias == [
        "SIP/2.0/UDP 192.0.2.1:5060",
        "SIP/2.0/TCP 192.0.2.1:5060",
        "SIP/2.0/UDP [2001:db8::1]:5060",
    ]


def without_length(message: Request) -> Request:
    message.headers.remove("Content-Length")
    return message


def test_a_stream_needs_a_length() -> None:
    """Step 9, in requests, in ACKs, and (18.3) in responses."""
    rig = Rig([UDP, TCP])
    to_a = Target("sip:b@x", hops("a", transport=Transport.TCP))
    [sent] = rig.fork(rig.context(without_length(request(body=b""))), [to_a])
    assert sent.headers.all("Content-Length") == ["0"]
    passing = rig.passing(without_length(request("ACK", number=2)))
    [ack] = rig.forward(passing, Target("sip:b@x", hops("a", transport=Transport.TCP)))
    assert ack.headers.all("Content-Length") == ["0"]
    context = rig.context(request("OPTIONS", number=3), Flow(Transport.TCP, CALLER, PROXY, 4))
    [options] = rig.fork(context, [target("a")])
    assert isinstance(options.message, Request)
    response = Response.answer(options.message, 200, to_tag="x")
    response.headers.remove("Content-Length")
    rig.receive(response, options.flow)
    [ok] = rig.take()
    assert ok.headers.all("Content-Length") == ["0"]
    # and nowhere else
    [sent] = rig.fork(rig.context(without_length(request(number=5))), [target("a")])
    assert "Content-Length" not in sent.headers


# 18.1.1: by size


def large(octets: int, number: int = 1) -> Request:
    """An INVITE that is sent on to ``target("a")`` with so many octets by UDP."""
    message = request(number=number, body=b"x" * 100)
    rig = Rig()
    [sent] = rig.fork(rig.context(message), [target("a")])
    message.body += b"x" * (octets - len(sent.message.to_bytes()))
    return message


def test_what_is_too_large_for_a_datagram_goes_by_tcp() -> None:
    rig = Rig([UDP, TCP])
    [small] = rig.fork(rig.context(large(1300)), [target("a")])
    assert small.flow.transport is Transport.UDP
    [big] = rig.fork(rig.context(large(1301, 2)), [target("a")])
    assert big.flow == Flow(Transport.TCP, ("192.0.2.51", 5060), PROXY)
    assert (big.headers.get("Via") or "").startswith("SIP/2.0/TCP 192.0.2.1:5060;branch=")
    # RFC 5658 section 6.2: the size of this one request says nothing of those to come
    assert big.headers.all("Record-Route") == ["<sip:192.0.2.1:5060;lr>"]
    [ok] = rig.answer(big, 200)
    assert ok.flow == FROM_CALLER


def test_what_moves_to_tcp_gets_its_length() -> None:
    rig = Rig([UDP, TCP])
    message = without_length(large(1400))
    [sent] = rig.fork(rig.context(message), [target("a")])
    assert sent.flow.transport is Transport.TCP
    assert sent.headers.all("Content-Length") == [str(len(message.body))]


def test_without_tcp_it_goes_by_udp_all_the_same() -> None:
    [sent] = (rig := Rig()).fork(rig.context(large(1301)), [target("a")])
    assert sent.flow.transport is Transport.UDP


def test_a_flow_to_a_user_agent_is_not_left_for_its_size() -> None:
    """RFC 5626: a NAT lets nothing through to it but by the flow that it has opened."""
    rig = Rig([UDP, TCP])
    ways = Target("sip:a@192.0.2.51", hops("a", "b"), flows=True)
    [sent] = rig.fork(rig.context(large(2000)), [ways])
    assert sent.flow.transport is Transport.UDP
    [sent] = rig.fail(sent)
    assert sent.flow.transport is Transport.UDP


def test_what_moves_to_tcp_leaves_by_the_same_address() -> None:
    outer = ("198.51.100.1", 5060)
    places = [
        UDP,
        TCP,
        Listener(Transport.UDP, outer, outer),
        Listener(Transport.TCP, outer, outer),
    ]
    for local in (PROXY, outer):
        rig = Rig(places)
        way = listed(Flow(Transport.UDP, ("192.0.2.51", 5060), local))
        [sent] = rig.fork(rig.context(large(2000)), [Target("sip:a@192.0.2.51", way)])
        assert sent.flow == Flow(Transport.TCP, ("192.0.2.51", 5060), local)
    rig = Rig(places[:3])
    [sent] = rig.fork(rig.context(large(2000)), [Target("sip:a@192.0.2.51", way)])
    assert sent.flow.local == PROXY  # by another, where there is none


def test_octets_count_and_not_characters() -> None:
    rig = Rig([UDP, TCP])
    message = large(1250)
    message.headers.add("Subject", "é" * 20)  # 20 characters, 40 octets, and 11 around them
    [sent] = rig.fork(rig.context(message), [target("a")])
    assert len(sent.message.to_bytes()) == 1301
    assert sent.flow.transport is Transport.TCP


def test_back_to_udp_where_tcp_is_refused() -> None:
    rig = Rig([UDP, TCP])
    [tcp] = rig.fork(rig.context(large(2000)), [target("ab")])
    [udp] = rig.fail(tcp)
    assert udp.flow == Flow(Transport.UDP, tcp.flow.remote, PROXY)
    assert (udp.headers.get("Via") or "").startswith("SIP/2.0/UDP ")
    assert udp.branch != tcp.branch
    # If that fails too, the next hop is tried, and there by TCP first again
    [other] = rig.fail(udp)
    assert (other.to, other.flow.transport) == ("192.0.2.52", Transport.TCP)


def test_only_a_refusal_leads_back_to_udp() -> None:
    """A 503 or silence by TCP is an answer: the next hop's turn."""
    rig = Rig([UDP, TCP])
    [tcp] = rig.fork(rig.context(large(2000)), [target("ab")])
    ack, other = rig.answer(tcp, 503)
    assert ack.method == "ACK"
    assert (other.to, other.flow.transport) == ("192.0.2.52", Transport.TCP)
    assert {sent.status for sent in rig.advance(33) if sent.status} == {408}
    assert {sent.flow.transport for sent in rig.log if sent.what == "INVITE>b"} == {Transport.TCP}


def test_a_cancel_goes_where_its_invite_went() -> None:
    rig = Rig([UDP, TCP])
    context = rig.context(large(2000))
    [tcp] = rig.fork(context, [target("a")])
    rig.answer(tcp, 180)
    context.cancel(rig.now)
    [(flow, data)] = rig.proxy.data_to_send()
    assert flow == tcp.flow
    assert data.startswith(b"CANCEL ")


# ACKs end to end


def test_an_ack_for_a_2xx_is_sent_on_without_a_transaction() -> None:
    rig = Rig()
    ack = request("ACK", "sip:b@192.0.2.51", [("Route", "<sip:192.0.2.1;lr>")])
    passing = rig.passing(ack)
    assert passing.routed
    [sent] = rig.forward(passing, Target("sip:b@192.0.2.51", hops("a")))
    assert sent.headers.get("Max-Forwards") == "69"
    assert sent.headers.get("Max-Breadth") == "60"  # RFC 5393 section 5.3.3: all proxied requests
    assert "Route" not in sent.headers
    assert not rig.layer.clients
    [again] = rig.forward(rig.passing(ack), Target("sip:b@192.0.2.51", hops("a")))
    assert again.message.to_bytes() == sent.message.to_bytes()  # 16.11: the same branch
    other = request("ACK", "sip:b@192.0.2.51", branch="z9hG4bKother")
    [third] = rig.forward(rig.passing(other), Target("sip:b@192.0.2.51", hops("a")))
    assert third.branch != sent.branch


def test_an_ack_that_leads_nowhere_is_dropped() -> None:
    rig = Rig()
    assert not rig.proxy.forward(rig.passing(request("ACK")), Target("sip:x@y", listed()), 0.0)
    assert rig.proxy.data_to_send() == []


# Targets


def test_no_targets_and_targets_without_a_way_are_480() -> None:
    """16.5."""
    nowhere = Target("sip:x@y", listed())
    cases: list[list[list[Target]]] = [[], [[]], [[nowhere]], [[nowhere, nowhere], [nowhere]]]
    for groups in cases:
        rig = Rig()
        answers = rig.fork(rig.context(), *groups)
        assert whats(answers) == ["480<"]
        assert rig.layer.clients == {}


def test_very_many_targets_without_a_way() -> None:
    rig = Rig(settings=ProxySettings(max_breadth=3))
    nowhere = [Target(f"sip:{n}@y", listed()) for n in range(5000)]
    assert whats(rig.fork(rig.context(), nowhere, [target("a")])) == ["INVITE>a"]
