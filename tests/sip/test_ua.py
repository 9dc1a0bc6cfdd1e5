"""What a user agent answers by itself (RFC 3261 section 8.2), and where its requests go."""

from __future__ import annotations

import pytest
from tests.sip.dialog.network import Network, lose_all, sdp

from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Confirmed,
    IncomingCall,
    Locate,
    RequestArrived,
    ResponseArrived,
)
from trunkline.sip.dialog.outgoing import Source
from trunkline.sip.digest.client import Login
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.proxy import Hops, Identity, Listener, listed
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.ua import UserAgent

PEER = Flow(Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5060))


def request(method: str, *rows: tuple[str, str], branch: str = "1", body: bytes = b"") -> Request:
    given = {name for name, _ in rows}
    defaults = [
        ("Via", f"SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{branch}"),
        ("From", "<sip:peer@192.0.2.9>;tag=p"),
        ("To", "<sip:bob@192.0.2.1>"),
        ("Call-ID", "one"),
        ("CSeq", f"1 {method}"),
        ("Contact", "<sip:peer@192.0.2.9>"),
    ]
    kept = [row for row in defaults if row[0] not in given]
    return Request.build(method, "sip:bob@192.0.2.1", [*kept, *rows], body)


def answers(network: Network, *requests: Request) -> list[Response]:
    """Give these to Bob; what he answers."""
    bob = network.ends["bob"]
    found = []
    for item in requests:
        bob.tell(bob.ua.receive(item.to_bytes(), PEER, network.now))
        for _, data in bob.ua.data_to_send():
            message = parse(data)
            assert isinstance(message, Response)
            found.append(message)
    return found


def bob(capabilities: Capabilities | None = None, limit: int = 1000) -> Network:
    network = Network()
    network.add("bob", capabilities=capabilities, limit=limit)
    return network


@pytest.mark.parametrize(
    ("message", "status", "row"),
    [
        (request("REGISTER"), 405, ("Allow", None)),
        (request("FROBNICATE"), 501, ("Allow", None)),
        (request("INVITE", ("Require", "100rel, frob, timer")), 420, ("Unsupported", "frob")),
        (
            request("INVITE", ("Content-Type", "text/plain"), body=b"hello"),
            415,
            ("Accept", None),
        ),
        (
            request(
                "INVITE",
                ("Content-Type", "application/sdp"),
                ("Content-Encoding", "gzip"),
                body=b"hello",
            ),
            415,
            ("Accept-Encoding", "identity"),
        ),
        (request("INVITE", ("Accept", "text/plain")), 406, None),
        (request("INVITE", ("Content-Type", "application/sdp"), body=b"v=1"), 400, None),
        (request("INVITE", ("Contact", "<mailto:peer@x>")), 400, None),
        (request("INVITE", ("CSeq", "1 BYE")), 400, None),
        (request("INVITE", ("From", "nonsense")), 400, None),
        (
            request("INVITE", ("Session-Expires", "50"), ("Supported", "timer")),
            422,
            ("Min-SE", "90"),
        ),
        (request("BYE"), 481, None),
        (request("PRACK", ("RAck", "1 1 INVITE")), 481, None),
        (request("UPDATE"), 481, None),
        (request("BYE", ("To", "<sip:bob@x>;tag=unknown")), 481, None),
        (request("INVITE", ("To", "<sip:bob@x>;tag=unknown")), 481, None),
        (request("CANCEL"), 481, None),
    ],
)
def test_what_it_refuses(message: Request, status: int, row: tuple[str, str | None] | None) -> None:
    network = bob()
    [answer] = answers(network, message)
    assert answer.status == status
    assert "tag=" in (answer.headers.get("to") or "")
    if row is not None:
        name, value = row
        assert name in answer.headers
        assert value is None or answer.headers.get(name) == value
    assert network.ends["bob"].events == []
    assert network.ends["bob"].ua.core.counters.refused == {status: 1}


def test_a_request_uri_that_it_does_not_understand() -> None:
    message = request("INVITE")
    message.uri = "http://example.org"
    assert answers(bob(), message)[0].status == 416


def test_the_type_of_an_optional_body_does_not_matter() -> None:
    message = request(
        "INVITE",
        ("Content-Type", "text/plain"),
        ("Content-Disposition", "render;handling=optional"),
        body=b"hello",
    )
    network = bob()
    assert answers(network, message) == []
    assert network.ends["bob"].one(IncomingCall).offer is None


def test_a_description_in_a_multipart_body() -> None:
    part = b"--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    described = b"--x\r\nContent-Type: application/sdp\r\n\r\n" + sdp().to_bytes() + b"\r\n--x--"
    message = request(
        "INVITE", ("Content-Type", "multipart/mixed;boundary=x"), body=part + described
    )
    network = bob()
    answers(network, message)
    assert str(network.ends["bob"].one(IncomingCall).offer) == str(sdp())


def test_options_outside_of_a_dialog() -> None:
    # 11.2
    network = bob(Capabilities(user="bob", events=("presence",), product="Trunkline"))
    [answer] = answers(network, request("OPTIONS", ("Accept", "application/sdp")))
    assert answer.status == 200
    assert "INVITE" in answer.headers.tokens("allow")
    assert answer.headers.tokens("supported") == ["100rel", "timer", "replaces"]
    assert answer.headers.get("accept") == "application/sdp"
    assert answer.headers.get("accept-encoding") == "identity"
    assert answer.headers.get("accept-language") == "*"
    assert answer.headers.get("allow-events") == "presence"
    assert answer.headers.get("contact") == "<sip:bob@192.0.2.1:5060>"
    assert answer.headers.get("server") == "Trunkline"
    network.ends["bob"].ua.core.availability = 486
    [busy] = answers(network, request("OPTIONS", ("Call-ID", "two"), branch="2"))
    assert busy.status == 486


def test_a_request_that_comes_by_two_ways_is_dealt_with_once() -> None:
    # 8.2.2.2
    network = bob()
    first, again, other = (
        request("INVITE", branch="1"),
        request("INVITE", branch="2"),
        request("INVITE", ("CSeq", "2 INVITE"), branch="3"),
    )
    [refused] = answers(network, first, again, other)
    assert refused.status == 482
    assert len(network.ends["bob"].of(IncomingCall)) == 2


def test_a_retransmission_is_not_merged() -> None:
    network = bob()
    assert answers(network, request("INVITE"), request("INVITE")) == []
    assert len(network.ends["bob"].of(IncomingCall)) == 1


def test_what_was_merged_is_forgotten_with_its_transaction() -> None:
    network = bob()
    end = network.ends["bob"]
    for number in range(3000):
        message = request("MESSAGE", ("Call-ID", str(number)), branch=str(number))
        end.tell(end.ua.receive(message.to_bytes(), PEER, network.now))
        for event in end.of(RequestArrived):
            end.ua.respond(event.transaction, event.request, 200, network.now)
        end.events.clear()
        end.ua.data_to_send()
        network.now += 1.0
        end.tell(end.ua.on_timeout(network.now))
    assert len(end.ua._server._merging) < 1100


def test_requests_within_a_dialog_out_of_order() -> None:
    # 12.2.2
    network = bob()
    answers(network, request("INVITE", ("Content-Type", "application/sdp"), body=sdp().to_bytes()))
    session = network.ends["bob"].one(IncomingCall).session
    session.accept(network.now, description=sdp("bob"))
    [ok] = [parse(data) for _, data in network.ends["bob"].ua.data_to_send()]
    to = ("To", ok.headers.get("to") or "")
    assert (
        answers(network, request("OPTIONS", to, ("CSeq", "9 OPTIONS"), branch="2"))[0].status == 200
    )
    [late] = answers(network, request("INFO", to, ("CSeq", "8 INFO"), branch="3"))
    assert late.status == 500
    assert late.headers.get("retry-after") == "5"
    assert network.ends["bob"].of(RequestArrived) == []
    # SUBSCRIBE, NOTIFY and REFER have no usage in this dialog
    [alone] = answers(network, request("NOTIFY", to, ("CSeq", "10 NOTIFY"), branch="4"))
    assert alone.status == 481


def test_too_many_dialogs() -> None:
    network = bob(limit=1)
    answers(network, request("INVITE"))
    network.ends["bob"].one(IncomingCall).session.progress(180, network.now)
    network.ends["bob"].ua.data_to_send()
    [refused] = answers(network, request("INVITE", ("Call-ID", "two"), branch="2"))
    assert refused.status == 503
    assert "retry-after" in refused.headers


def test_stray_messages_are_counted_and_nothing_else() -> None:
    network = bob()
    end = network.ends["bob"]
    for data in (
        b"",
        b"nonsense",
        b"\r\n\r\n",
        request("ACK").to_bytes(),
        request("ACK", ("CSeq", "x ACK")).to_bytes(),
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx\r\nCSeq: 1 BYE\r\n\r\n",
    ):
        end.tell(end.ua.receive(data, PEER, 0.0))
    assert end.events == []
    assert end.ua.data_to_send() == []
    assert end.ua.core.counters.ignored == 6


def test_sips_has_a_sips_contact() -> None:
    # 12.1.1
    network = Network()
    network.add("bob", transport=Transport.TLS)
    message = request("INVITE", ("Content-Type", "application/sdp"), body=sdp().to_bytes())
    message.uri = "sips:bob@192.0.2.1"
    end = network.ends["bob"]
    flow = Flow(Transport.TLS, ("192.0.2.9", 5061), ("192.0.2.1", 5060), 7)
    end.tell(end.ua.receive(message.to_bytes(), flow, 0.0))
    session = end.one(IncomingCall).session
    assert session.dialog.secure
    assert session.dialog.local_contact == "<sips:bob@192.0.2.1:5060>"


# Requests of its own


def test_a_message_and_its_answer() -> None:
    # RFC 3428
    network = Network("bob")
    network.add("alice", capabilities=Capabilities(user="alice", product="Trunkline"))
    end = network.ends["bob"]

    def answer(event: RequestArrived) -> None:
        end.ua.respond(event.transaction, event.request, 200, network.now)

    end.on(RequestArrived, answer)
    sent = network.ends["alice"].ua.request(
        "MESSAGE",
        network.uri("bob"),
        "sip:alice@example.org",
        0.0,
        headers=[("Content-Type", "text/plain")],
        body=b"hello",
    )
    network.run()
    assert end.one(RequestArrived).request.body == b"hello"
    response = network.ends["alice"].one(ResponseArrived)
    assert (response.outgoing, response.response.status) == (sent, 200)
    [message] = network.messages("alice", "MESSAGE")
    assert "contact" not in message.headers
    assert message.headers.get("user-agent") == "Trunkline"
    network.assert_forgotten()


def test_the_next_hop_may_have_to_be_looked_up() -> None:
    network = Network("bob")
    network.add("alice", locate=lambda uri, now: None)
    alice, bob = network.ends["alice"], network.ends["bob"]
    asked: list[str] = []

    def found(event: Locate) -> None:
        asked.append(event.uri)
        flow = Flow(Transport.UDP, network.addresses["bob"], network.addresses["alice"])
        network.at(network.now + 1, lambda: event.outgoing.located(listed(flow), network.now))

    alice.on(Locate, found)
    bob.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    alice.ua.invite("sip:bob@example.org", "sip:alice@example.org", 0.0, offer=sdp())
    assert alice.ua.next_timeout() == 0.0
    network.run(10.0)
    assert asked == ["sip:bob@example.org", "sip:bob@192.0.2.1:5060"]  # the INVITE, then the ACK
    bob.one(Confirmed)


def test_a_call_is_cancelled_while_its_next_hop_is_looked_up() -> None:
    network = Network()
    network.add("alice", locate=lambda uri, now: None)
    alice = network.ends["alice"]
    call = alice.ua.invite("sip:bob@example.org", "sip:alice@example.org", 0.0, offer=sdp())
    network.run(1.0)
    call.cancel(network.now)
    network.run(2.0)
    assert alice.one(CallFailed).response.status == 487
    assert call.outgoing.source is Source.CANCELLED
    flow = Flow(Transport.UDP, network.addresses["alice"], network.addresses["alice"])
    alice.one(Locate).outgoing.located(listed(flow), network.now)
    assert network.sent == []


def hops_of(network: Network, *names: str) -> Hops:
    local = network.addresses["alice"]
    return listed(*(Flow(Transport.UDP, network.addresses[name], local) for name in names))


@pytest.mark.parametrize("failure", ["timeout", "503", "unreachable"])
def test_the_next_server_is_tried_when_one_fails(failure: str) -> None:
    # RFC 3263 section 4.3
    network = Network("bob", "carol")
    network.add("alice", locate=lambda uri, now: hops_of(network, "bob", "carol"))
    alice, first, second = (network.ends[name] for name in ("alice", "bob", "carol"))
    second.on(IncomingCall, lambda event: event.session.reject(486, network.now))
    match failure:
        case "503":
            first.on(IncomingCall, lambda event: event.session.reject(503, network.now))
        case "timeout":
            network.lose = lambda sent: sent.flow.remote == network.addresses["bob"]
        case _:
            network.lose = lambda sent: sent.flow.remote == network.addresses["bob"]

            def unreachable() -> None:
                [sent] = [s for s in network.sent if s.sender == "alice"]
                events = alice.ua.transport_failed(sent.flow, [sent.data], "port", network.now)
                alice.tell(events)

            network.at(0.25, unreachable)
    alice.ua.invite("sip:all@example.org", "sip:alice@example.org", 0.0, offer=sdp())
    network.run()
    assert alice.one(CallFailed).response.status == 486
    invites = [s for s in network.sent if s.what == "INVITE"]
    assert invites[0].message.headers.get("cseq") == invites[-1].message.headers.get("cseq")
    assert invites[0].message.headers.get("via") != invites[-1].message.headers.get("via")


def test_nowhere_to_go() -> None:
    network = Network()
    network.add("alice", locate=lambda uri, now: listed())
    alice = network.ends["alice"]
    call = alice.ua.invite("sip:bob@example.org", "sip:alice@example.org", 0.0, offer=sdp())
    network.run()
    assert alice.one(CallFailed).response.status == 503
    assert call.outgoing.source is Source.TRANSPORT
    sent = alice.ua.request("OPTIONS", "sip:bob@example.org", "sip:alice@example.org", 0.0)
    network.run()
    assert alice.one(ResponseArrived).outgoing is sent


CHALLENGE = 'Digest realm="example.org", nonce="n1", algorithm=MD5, qop="auth"'


def test_a_challenge_is_answered() -> None:
    # 22.2: the same Call-ID, From and To, the next CSeq number
    network = Network("bob")
    network.add("alice", logins=lambda challenge: Login("alice", "secret"))
    alice, bob = network.ends["alice"], network.ends["bob"]

    def incoming(event: IncomingCall) -> None:
        if "proxy-authorization" in event.request.headers:
            event.session.accept(network.now, description=sdp("bob"))
        else:
            event.session.reject(407, network.now, headers=[("Proxy-Authenticate", CHALLENGE)])

    bob.on(IncomingCall, incoming)
    alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp())
    network.run(5.0)
    first, second = network.messages("alice", "INVITE")
    assert (first.headers.get("cseq"), second.headers.get("cseq")) == ("1 INVITE", "2 INVITE")
    for name in ("call-id", "from", "to"):
        assert first.headers.get(name) == second.headers.get(name)
    [ok_ack] = [m for m in network.messages("alice", "ACK") if m.headers.get("cseq") == "2 ACK"]
    credentials = second.headers.get("proxy-authorization")
    assert credentials is not None
    assert ok_ack.headers.get("proxy-authorization") == credentials  # 13.2.2.4
    # later requests of the dialog carry credentials at once, with a count of their own
    session = alice.one(Answered).session
    session.hang_up(network.now)
    network.run(6.0)
    [bye] = network.messages("alice", "BYE")
    assert "nc=00000002" in (bye.headers.get("proxy-authorization") or "")
    assert bye.headers.get("cseq") == "3 BYE"


def test_a_challenge_without_a_login_or_again_is_the_answer() -> None:
    for logins in (lambda challenge: None, lambda challenge: Login("alice", "wrong")):
        network = Network("bob")
        network.add("alice", logins=logins)
        alice, bob = network.ends["alice"], network.ends["bob"]
        bob.on(
            IncomingCall,
            lambda event, network=network: event.session.reject(  # type: ignore[misc]
                401, network.now, headers=[("WWW-Authenticate", CHALLENGE)]
            ),
        )
        alice.ua.invite(network.uri("bob"), "sip:alice@example.org", 0.0, offer=sdp())
        network.run()
        assert alice.one(CallFailed).response.status == 401
        network.assert_forgotten()


def listening_on_both() -> tuple[Network, UserAgent]:
    network = Network("alice", "bob")
    alice = network.ends["alice"].ua
    local = network.addresses["alice"]
    alice.core.identity = Identity(
        [Listener(Transport.UDP, local, local), Listener(Transport.TCP, local, local)]
    )
    return network, alice


def test_a_large_request_goes_by_tcp() -> None:
    # 18.1.1: by the octets that would leave
    network, alice = listening_on_both()
    alice.request("MESSAGE", network.uri("bob"), "sip:a@x", 0.0)
    [(_, data)] = alice.data_to_send()
    for size, transport in ((1300, Transport.UDP), (1301, Transport.TCP)):
        row = ("X", "x" * (size - len(data) - len("X: \r\n")))
        alice.request("MESSAGE", network.uri("bob"), "sip:a@x", 0.0, headers=[row])
        [(flow, sent)] = alice.data_to_send()
        assert flow.transport is transport
        assert f"Via: SIP/2.0/{transport.value}".encode() in sent
        assert len(sent) == size


def test_contact_is_where_the_large_request_came_from() -> None:
    network, alice = listening_on_both()
    alice.invite(network.uri("bob"), "sip:a@x", 0.0, headers=[("X", "x" * 1300)])
    [(flow, data)] = alice.data_to_send()
    assert flow.transport is Transport.TCP
    assert parse(data).headers.all("contact") == ["<sip:alice@192.0.2.1:5060;transport=tcp>"]


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
def test_a_large_request_goes_by_udp_where_nobody_listens_on_tcp(method: str) -> None:
    # 18.1.1: "SHOULD retry the request, using UDP"
    network, alice = listening_on_both()
    if method == "INVITE":
        alice.invite(network.uri("bob"), "sip:a@x", 0.0, headers=[("X", "x" * 1300)])
    else:
        alice.request("MESSAGE", network.uri("bob"), "sip:a@x", 0.0, body=b"x" * 1300)
    [(stream, large)] = alice.data_to_send()
    assert alice.transport_failed(stream, [large], "refused", 0.1) == []
    [(flow, data)] = alice.data_to_send()
    assert flow.transport is Transport.UDP
    assert b"Via: SIP/2.0/UDP" in data
    assert b"transport=tcp" not in data
    [event] = alice.transport_failed(flow, [data], "unreachable", 0.2)  # and once only
    assert isinstance(event, ResponseArrived | CallFailed)
    assert event.response.status == 503
    assert alice.data_to_send() == []


def test_an_ack_goes_as_its_target_says() -> None:
    # without a transaction there is no way back from a stream
    network, alice = listening_on_both()
    network.ends["bob"].on(
        IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob"))
    )
    alice.invite(network.uri("bob"), "sip:a@x", 0.0)
    network.run(1.0)
    answer = sdp()
    answer.attributes.add("x", "x" * 1300)
    network.ends["alice"].one(Answered).session.answer(network.now, description=answer)
    [(flow, _)] = alice.data_to_send()
    assert flow.transport is Transport.UDP


def test_a_layer_that_others_use_too() -> None:
    network = bob()
    ua = network.ends["bob"].ua
    event = ua.layer.receive(request("INVITE").to_bytes(), PEER, 0.0)
    assert event is not None
    [incoming] = ua.handle(event, 0.0)
    assert isinstance(incoming, IncomingCall)
    assert ua.on_alarms(0.2) == []
    [(_, data)] = ua.data_to_send()
    assert data.startswith(b"SIP/2.0 100 ")


def test_routes_of_ones_own() -> None:
    # a Service-Route (RFC 3608), or an outbound proxy
    network = Network("alice", "bob")
    network.add_proxy("proxy", bob=["bob"])
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    network.ends["alice"].ua.invite(
        "sip:bob@example.org",
        "sip:alice@example.org",
        0.0,
        offer=sdp(),
        routes=["<sip:192.0.2.3;lr>"],
    )
    network.run(5.0)
    bob.one(Confirmed)
    [invite, *_] = network.messages("alice", "INVITE")
    assert invite.headers.all("route") == ["<sip:192.0.2.3;lr>"]


def test_nobody_answers_a_bye_of_a_peer_that_is_gone() -> None:
    network = Network("alice", "bob")
    bob = network.ends["bob"]
    bob.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    network.ends["alice"].ua.invite(network.uri("bob"), "sip:a@x", 0.0, offer=sdp())
    network.run(5.0)
    network.lose = lose_all("BYE")
    network.ends["alice"].one(Answered).session.hang_up(network.now)
    network.run(45.0)
    assert network.ends["alice"].ua.core.dialogs == {}
    assert len(bob.ua.core.dialogs) == 1
