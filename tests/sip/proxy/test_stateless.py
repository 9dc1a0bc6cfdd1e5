"""The stateless proxy: RFC 3261 section 16.11, and 8.2.7 for what it answers itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sip.proxy.rig import (
    CALLER,
    FROM_CALLER,
    PROXY,
    UDP,
    Rig,
    Sent,
    follow,
    hops,
    host_of,
    request,
    target,
    whats,
)

from trunkline.errors import TrunklineError
from trunkline.sip.message import Request, Response
from trunkline.sip.proxy import Identity, Listener, StatelessProxy, Target, listed
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow, Transport

TO_A = Target("sip:bob@192.0.2.51", hops("a"))


def proxy_of(rig: Rig) -> StatelessProxy:
    assert isinstance(rig.proxy, StatelessProxy)
    return rig.proxy


def through(rig: Rig, message: Request, flow: Flow = FROM_CALLER) -> Sent:
    [sent] = rig.forward(rig.passing(message, flow), target("a"))
    return sent


def reply(rig: Rig, sent: Sent, status: int) -> Response:
    assert isinstance(sent.message, Request)
    return Response.answer(sent.message, status, to_tag="callee")


def test_a_request_and_its_response_pass_and_nothing_stays() -> None:
    rig = Rig(stateless=True)
    sent = through(rig, request())
    assert whats(rig.log) == ["INVITE>a"]  # and no 100
    assert sent.headers.get("Max-Forwards") == "69"
    assert sent.headers.get("Max-Breadth") == "60"
    assert sent.headers.all("Record-Route") == ["<sip:192.0.2.1:5060;lr>"]
    for status in (100, 180, 200, 200):  # 100 passes too: nobody else answers it
        [response] = rig.answer(sent, status)
        assert response.status == status
        assert response.flow == FROM_CALLER
        assert response.headers.all("Via") == request().headers.all("Via")
    assert rig.layer.servers == {}
    assert rig.layer.clients == {}
    assert rig.proxy.next_timeout() is None
    assert proxy_of(rig).counters.requests == 1
    assert proxy_of(rig).counters.responses == 4


def test_what_comes_again_is_sent_on_again_and_alike() -> None:
    rig = Rig(stateless=True)
    first = through(rig, request())
    rig.advance(100)
    assert through(rig, request()).message.to_bytes() == first.message.to_bytes()
    # in another process that has the same secret, too
    assert through(Rig(stateless=True), request()).branch == first.branch
    assert through(Rig(stateless=True, secret=bytes(15) + b"x"), request()).branch != first.branch


@pytest.mark.parametrize("branch", ["z9hG4bKabc", "oldstyle", ""])
def test_a_cancel_and_an_ack_have_the_branch_of_their_invite(branch: str) -> None:
    via = f"SIP/2.0/UDP 192.0.2.10;branch={branch}" if branch else "SIP/2.0/UDP 192.0.2.10"
    invite = request(headers=[("Via", via)])
    ack = follow(invite, "ACK")
    ack.headers.set("To", "<sip:bob@example.org>;tag=callee")
    rig = Rig(stateless=True)
    branches = {through(rig, each).branch for each in (invite, follow(invite, "CANCEL"), ack)}
    assert len(branches) == 1
    assert "Max-Breadth" not in through(rig, follow(invite, "CANCEL")).headers


@pytest.mark.parametrize(
    "other",
    [
        request(branch="z9hG4bKother"),
        request(headers=[("Via", "SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKcaller1")]),
        request(headers=[("Via", "SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKcaller1")]),
        request(headers=[("Call-ID", "other")]),
        request(headers=[("CSeq", "2 INVITE")]),
    ],
)
def test_other_transactions_have_other_branches(other: Request) -> None:
    rig = Rig(stateless=True)
    assert through(rig, request()).branch != through(rig, other).branch


def test_without_a_branch_by_rfc_3261_the_from_tag_tells_them_apart() -> None:
    via = ("Via", "SIP/2.0/UDP 192.0.2.10;branch=1")
    rig = Rig(stateless=True)
    one = request(headers=[via, ("From", "<sip:a@x>;tag=1")])
    two = request(headers=[via, ("From", "<sip:a@x>;tag=2")])
    assert through(rig, one).branch != through(rig, two).branch


def test_a_spiral_has_another_branch_each_time() -> None:
    rig = Rig(stateless=True)
    to_self = Flow(Transport.UDP, PROXY, PROXY)
    first = through(rig, request())
    assert isinstance(first.message, Request)
    second = through(rig, first.message, to_self)
    assert second.branch != first.branch
    [response] = rig.answer(second, 200)
    assert response.flow.remote == PROXY
    assert rig.receive(response.message, to_self) is None
    [response] = rig.take()
    assert response.flow.remote == CALLER


@pytest.mark.parametrize(
    ("via", "goes"),
    [
        ("SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1", ("192.0.2.10", 5060)),
        ("SIP/2.0/UDP 192.0.2.10:5071;branch=z9hG4bK1", ("192.0.2.10", 5071)),
        ("SIP/2.0/UDP host.example:5071;branch=z9hG4bK1", ("192.0.2.10", 5071)),
        ("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport", ("192.0.2.10", 5060)),
        ("SIP/2.0/UDP 10.0.0.1;RPORT;branch=z9hG4bK1", ("192.0.2.10", 5060)),
        ("SIP/2.0/UDP [2001:db8::7];branch=z9hG4bK1", ("192.0.2.10", 5060)),
        ("SIP/2.0/UDP a, SIP/2.0/UDP b;branch=z", ("192.0.2.10", 5060)),
        ("SIP/2.0/UDP 10.0.0.1;received=192.0.2.77;branch=z9hG4bK1", ("192.0.2.10", 5060)),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_where_a_response_goes(via: str, goes: tuple[str, int], joined: bool) -> None:
    """18.2.2 by the second Via; whether that stands in a row of its own or not."""
    rig = Rig(stateless=True)
    sent = through(rig, request(headers=[("Via", via)]))
    response = reply(rig, sent, 200)
    if joined:
        value = ", ".join(response.headers.all("Via"))
        response.headers.set("Via", value)
    assert rig.receive(response, sent.flow) is None
    [back] = rig.take()
    assert back.flow == Flow(Transport.UDP, goes, PROXY)
    assert back.headers.tokens("Via") == sent.headers.tokens("Via")[1:]


def test_it_goes_back_by_the_address_that_the_request_came_to() -> None:
    """18.2.2, with two addresses."""
    inner = Listener(Transport.UDP, ("10.0.0.1", 5060), ("10.0.0.1", 5060))
    rig = Rig([UDP, inner], stateless=True)
    out = Flow(Transport.UDP, ("10.0.0.51", 5060), inner.local)
    [sent] = rig.forward(rig.passing(request()), Target("sip:b@x", listed(out)))
    assert sent.headers.all("Record-Route") == ["<sip:10.0.0.1:5060;lr>", "<sip:192.0.2.1:5060;lr>"]
    [back] = rig.answer(sent, 200)
    assert back.flow == FROM_CALLER


def test_ipv6() -> None:
    place = ("2001:db8::1", 5060)
    rig = Rig([Listener(Transport.UDP, place, place)], stateless=True)
    caller = Flow(Transport.UDP, ("2001:db8::10", 5070), place)
    callee = Flow(Transport.UDP, ("2001:db8::20", 5060), place)
    for via in ("[2001:db8::10]:5070", "[2001:DB8:0::10]:5070", "x.example:5070", "[::1];rport"):
        message = request(headers=[("Via", f"SIP/2.0/UDP {via};branch=z9hG4bK7")])
        [sent] = rig.forward(rig.passing(message, caller), Target("sip:b@x", listed(callee)))
        [back] = rig.answer(sent, 200)
        assert back.flow == caller


def test_a_link_local_caller_is_found_again_in_its_zone() -> None:
    place = ("fe80::1%eth0", 5060)
    rig = Rig([Listener(Transport.UDP, place, ("fe80::1", 5060))], stateless=True)
    callee = Flow(Transport.UDP, ("fe80::20%eth0", 5060), place)
    for host in ("fe80::10%eth0", "2001:db8::10"):
        caller = Flow(Transport.UDP, (host, 5060), place)
        via = f"SIP/2.0/UDP [{host.partition('%')[0]}]:5060;branch=z9hG4bK7"
        passing = rig.passing(request(headers=[("Via", via)]), caller)
        [sent] = rig.forward(passing, Target("sip:b@x", listed(callee)))
        [back] = rig.answer(sent, 200)
        assert back.flow == caller


# Responses that nobody asked for


def forged(rig: Rig) -> tuple[Sent, Response]:
    sent = through(rig, request())
    return sent, reply(rig, sent, 200)


@pytest.mark.parametrize(
    ("name", "index", "value", "code"),
    [
        # where it would go
        ("Via", 1, "SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKcaller1", "sip.stray-response"),
        ("Via", 1, "SIP/2.0/UDP 192.0.2.10:9;branch=z9hG4bKcaller1", "sip.stray-response"),
        (
            "Via",
            1,
            "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKcaller1;received=203.0.113.9",
            "sip.stray-response",
        ),
        (
            "Via",
            1,
            "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKcaller1;rport=9",
            "sip.stray-response",
        ),
        ("Via", 1, "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKcaller1", "sip.stray-response"),
        # whose it is
        ("Via", 1, "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKother", "sip.stray-response"),
        ("Call-ID", 0, "other", "sip.stray-response"),
        ("CSeq", 0, "2 INVITE", "sip.stray-response"),
        ("CSeq", 0, "", "sip.stray-response"),
        # not ours
        ("Via", 0, "SIP/2.0/UDP 192.0.2.2:5060;branch={branch}", "sip.stray-response"),
        ("Via", 0, "SIP/2.0/UDP 192.0.2.1:5061;branch={branch}", "sip.stray-response"),
        ("Via", 0, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs0.{zeros}", "sip.stray-response"),
        ("Via", 0, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKs9.{zeros}", "sip.stray-response"),
        ("Via", 0, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKp", "sip.stray-response"),
        ("Via", 0, "SIP/2.0/UDP 192.0.2.1:5060", "sip.stray-response"),
        # nowhere
        ("Via", 1, "nonsense", "sip.via"),
        ("Via", 0, "nonsense", "sip.via"),
        ("Via", 1, None, "sip.via-left"),
    ],
)
def test_what_is_not_sent_on(name: str, index: int, value: str | None, code: str) -> None:
    rig = Rig(stateless=True)
    sent, response = forged(rig)
    if value is None:
        response.headers.remove(name, index)
    else:
        text = value.format(branch=sent.branch, zeros="0" * 20)
        assert response.headers.replace(name, text, index)
    rig.take()
    assert rig.receive(response, sent.flow) is None
    assert rig.take() == []
    assert rig.proxy.discarded == {code: 1}


@pytest.mark.parametrize("status", [b"099", b"700", b"999"])
def test_a_status_that_is_none(status: bytes) -> None:
    rig = Rig(stateless=True)
    sent, response = forged(rig)
    rig.take()
    rig.receive(response.to_bytes().replace(b"SIP/2.0 200", b"SIP/2.0 " + status), sent.flow)
    assert rig.take() == []
    assert rig.proxy.discarded == {"sip.response": 1}


@given(st.data())
def test_octets_that_somebody_changed(data: st.DataObject) -> None:
    """Whatever is done to a response, it goes to the caller or nowhere."""
    rig = Rig(stateless=True)
    sent, response = forged(rig)
    octets = bytearray(response.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    rig.take()
    rig.receive(bytes(octets), sent.flow)
    assert all(each.flow == FROM_CALLER for each in rig.take())


# Answers of its own


def test_what_is_refused_is_answered_alike_each_time() -> None:
    rig = Rig(stateless=True)
    message = request(headers=[("Max-Forwards", "0")])
    answers = []
    for _ in range(2):
        assert rig.receive(message) is None
        [answer] = rig.take()
        assert answer.status == 483
        answers.append(answer.message.to_bytes())
    assert answers[0] == answers[1]
    assert rig.proxy.refused == {"sip.max-forwards-zero": 2}
    assert proxy_of(rig).counters.answered == 2


def test_answers_of_a_transaction_user() -> None:
    rig = Rig(stateless=True)
    passing = rig.passing(request())
    proxy_of(rig).answer(passing, 404, "Nobody", [("X", "y")], b"z", now=rig.now)
    [answer] = rig.take()
    assert (answer.status, answer.headers.get("X"), answer.message.body) == (404, "y", b"z")
    assert answer.flow == FROM_CALLER
    # The ACK to it ends here, known by its To tag; another one passes
    ack = follow(request(), "ACK")
    ack.headers.set("To", answer.headers.get("To") or "")
    assert rig.receive(ack) is None
    ack.headers.set("To", "<sip:bob@example.org>;tag=other")
    assert rig.passing(ack).back is None
    assert proxy_of(rig).discarded == {}


def test_no_provisional_answers() -> None:
    rig = Rig(stateless=True)
    passing = rig.passing(request())
    with pytest.raises(TrunklineError) as raised:
        proxy_of(rig).answer(passing, 100, now=rig.now)
    assert raised.value.code == "sip.stateless"


def test_an_ack_is_never_answered() -> None:
    rig = Rig(stateless=True)
    proxy_of(rig).answer(rig.passing(request("ACK")), 404, now=rig.now)
    assert rig.receive(request("ACK", headers=[("Max-Forwards", "0")])) is None
    assert rig.take() == []
    assert rig.proxy.discarded == {"sip.ack": 1}


def test_octets_that_are_no_message() -> None:
    rig = Rig(stateless=True)
    for data in (b"", b"\r\n\r\n", b"INVITE\r\n\r\n", b"\xff" * 100):
        assert rig.receive(data) is None
    no_via, no_good_via = request(), request(headers=[("Via", "nonsense")])
    no_via.headers.remove("Via")
    for message in (no_via, no_good_via):
        assert rig.receive(message) is None
    assert rig.take() == []
    assert sum(rig.proxy.discarded.values()) == 6


def test_requests_of_its_own_have_transactions() -> None:
    """Such as those that a script sends on a timer."""
    rig = Rig(stateless=True)
    branch = rig.layer.new_branch()
    message = request("MESSAGE", headers=[("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch={branch}")])
    out = Flow(Transport.UDP, (host_of("a"), 5060), PROXY)
    transaction = rig.layer.request(message, branch, out, rig.now, "user")
    response = Response.answer(message, 200, to_tag="x")
    received = rig.receive(response, out)
    assert getattr(received, "transaction", None) is transaction
    assert rig.receive(response, out) is None  # a retransmission


def test_routes_are_taken_off_and_pushed_as_ever() -> None:
    rig = Rig(stateless=True)
    route = "<sip:192.0.2.1;lr>, <sip:p3.middle.com>"
    passing = rig.passing(request("BYE", "sip:u@192.0.2.60", [("Route", route)]))
    assert passing.routed
    [sent] = rig.forward(passing, Target("sip:u@192.0.2.60", hops("a"), ("<sip:p2.x;lr>",)))
    assert sent.uri == "sip:u@192.0.2.60"
    assert sent.headers.tokens("Route") == ["<sip:p2.x;lr>", "<sip:p3.middle.com>"]


def test_a_secret_of_some_length() -> None:
    layer = TransactionLayer(lambda: "x")
    with pytest.raises(TrunklineError) as raised:
        StatelessProxy(layer, Identity([UDP]), secret=bytes(15), tag=lambda: "t")
    assert raised.value.code == "sip.stateless-secret"
    StatelessProxy(layer, Identity([UDP]), secret=bytes(100), tag=lambda: "t")
