"""What belongs to what: RFC 3261 sections 9.2, 17.1.3, 17.2.3 and 18.2, RFC 3581, RFC 2543."""

from __future__ import annotations

import pytest
from tests.sip.transaction.ends import FAR, NEAR, Ends, make_layer, make_request

from trunkline.errors import TrunklineError
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.transaction import (
    AckReceived,
    CancelReceived,
    Discarded,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    State,
    StrayResponse,
    TimedOut,
    TransactionLayer,
    TransportFailed,
)
from trunkline.sip.transport import Flow, Transport

FROM_NEAR = Flow(Transport.UDP, NEAR, FAR)
TO_FAR = Flow(Transport.UDP, FAR, NEAR)
BRANCH = "z9hG4bKm"
INVITE = make_request("INVITE", BRANCH).to_bytes()


def begin(
    layer: TransactionLayer, data: bytes = INVITE, flow: Flow = FROM_NEAR
) -> ServerTransaction:
    event = layer.receive(data, flow, 0.0)
    assert isinstance(event, RequestReceived)
    return event.transaction


def answer(layer: TransactionLayer, server: ServerTransaction, status: int, tag: str = "f") -> None:
    request = parse(INVITE)
    assert isinstance(request, Request)
    layer.respond(server, Response.answer(request, status, to_tag=tag), 0.0)


# requests


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (INVITE, True),
        (INVITE.replace(b"192.0.2.1;branch", b"192.0.2.1 ; x=y ;branch"), True),
        (INVITE.replace(b"Call-ID: one", b"Call-ID: two"), True),  # rule 1 to 3 ask no more
        (INVITE.replace(b"z9hG4bKm", b"z9hG4bKn"), False),
        (INVITE.replace(b"192.0.2.1;branch", b"192.0.2.9;branch"), False),
        (INVITE.replace(b"192.0.2.1;branch", b"192.0.2.1:5061;branch"), False),
        (INVITE.replace(b"INVITE", b"OPTIONS"), False),
    ],
)
def test_branch_sent_by_and_method_make_a_transaction(changed: bytes, same: bool) -> None:
    layer = make_layer("m")
    begin(layer)
    event = layer.receive(changed, FROM_NEAR, 0.1)
    assert event is None if same else isinstance(event, RequestReceived)
    assert layer.counters.absorbed == same


def test_sent_by_compares_without_case() -> None:
    layer = make_layer("m")
    begin(layer, INVITE.replace(b"UDP 192.0.2.1", b"UDP Near.Example"))
    again = INVITE.replace(b"UDP 192.0.2.1", b"UDP nEAR.eXAMPLE")
    assert layer.receive(again, FROM_NEAR, 0.1) is None


def test_a_long_branch_costs_no_memory() -> None:
    layer = make_layer("m")
    long = INVITE.replace(b"z9hG4bKm", b"z9hG4bK" + b"m" * 20_000)
    server = begin(layer, long)
    assert len(server.key) < 100
    assert layer.receive(long, FROM_NEAR, 0.1) is None
    other = begin(layer, long.replace(b"mm SIP", b"mn SIP").replace(b"m\r\n", b"n\r\n", 1))
    assert other is not server
    answer(layer, server, 486)
    ack = long.replace(b"INVITE", b"ACK")
    assert layer.receive(ack, FROM_NEAR, 0.2) is None
    assert server.state is State.CONFIRMED


OLD = INVITE.replace(b";branch=z9hG4bKm", b"")


def test_a_request_by_rfc2543_is_known_by_its_fields() -> None:
    layer = make_layer("m")
    begin(layer, OLD)
    for other in (
        OLD.replace(b"sip:far@192.0.2.2 SIP", b"sip:fat@192.0.2.2 SIP"),
        OLD.replace(b"tag=n", b"tag=o"),
        OLD.replace(b"Call-ID: one", b"Call-ID: two"),
        OLD.replace(b"1 INVITE", b"2 INVITE"),
        OLD.replace(b"UDP 192.0.2.1", b"UDP 192.0.2.9"),
        OLD.replace(b"UDP 192.0.2.1", b"UDP 192.0.2.1;branch=1"),
    ):
        begin(layer, other)
    assert layer.receive(OLD, FROM_NEAR, 0.1) is None
    assert layer.receive(OLD.replace(b"1 INVITE", b"1\tINVITE"), FROM_NEAR, 0.1) is None


@pytest.mark.parametrize(
    "cseq", [b"", b"\x1e", b"\t\x1f\t", b"1", b"\xc2\xa0INVITE", b"1\x0bINVITE"]
)
@pytest.mark.parametrize("branch", [b"z9hG4bKm", b"1"])
def test_only_blanks_and_tabs_stand_between_the_parts_of_cseq(cseq: bytes, branch: bytes) -> None:
    """Python knows more blanks than SIP does."""
    layer = make_layer("m")
    data = INVITE.replace(b"z9hG4bKm", branch).replace(b"CSeq: 1 INVITE", b"CSeq: " + cseq)
    begin(layer, data)
    assert layer.receive(data, FROM_NEAR, 0.1) is None
    request = parse(data)
    assert isinstance(request, Request)
    layer.request(request, branch.decode(), TO_FAR, 0.0, "user")
    assert isinstance(
        layer.receive(Response.answer(request, 404).to_bytes(), TO_FAR, 0.0), StrayResponse
    )
    ours = Response.answer(make_request("INVITE", branch.decode()), 404).to_bytes()
    assert isinstance(layer.receive(ours, TO_FAR, 0.0), ResponseReceived)
    assert parse(layer.data_to_send()[1][1]).headers["CSeq"][0].endswith("ACK")


def test_a_cookie_alone_is_no_branch() -> None:
    """A missing transaction identifier: it falls back to RFC 2543's (RFC 4475 section 3.2.1)."""
    layer = make_layer("m")
    bare = INVITE.replace(b"z9hG4bKm", b"z9hG4bK")
    begin(layer, bare)
    begin(layer, bare.replace(b"Call-ID: one", b"Call-ID: two"))
    assert layer.receive(bare, FROM_NEAR, 0.1) is None


def test_an_ack_by_rfc2543_has_the_to_tag_of_the_response() -> None:
    layer = make_layer("m")
    server = begin(layer, OLD)
    answer(layer, server, 486, tag="ours")
    ack = OLD.replace(b"INVITE", b"ACK")
    to = b"To: <sip:far@192.0.2.2>"
    others = ack.replace(to, to + b";tag=theirs")
    assert isinstance(layer.receive(others, FROM_NEAR, 0.1), AckReceived)
    assert server.expects("Timer G")
    mine = ack.replace(to, to + b";tag=ours")
    assert layer.receive(mine, FROM_NEAR, 0.1) is None
    assert server.state is State.CONFIRMED
    assert layer.receive(mine, FROM_NEAR, 0.2) is None  # a retransmission of that ACK


def test_an_ack_for_nothing_is_the_users() -> None:
    ack = INVITE.replace(b"INVITE", b"ACK")
    event = make_layer("m").receive(ack, FROM_NEAR, 0.0)
    assert isinstance(event, AckReceived)
    assert event.flow is FROM_NEAR


def test_an_ack_in_accepted_comes_with_its_own_flow() -> None:
    layer = make_layer("m")
    server = begin(layer)
    answer(layer, server, 200)
    other = Flow(Transport.UDP, ("192.0.2.7", 5060), FAR)
    event = layer.receive(INVITE.replace(b"INVITE", b"ACK"), other, 0.1)
    assert isinstance(event, AckReceived)
    assert event.flow == other


# CANCEL


def test_a_cancel_finds_its_invite() -> None:
    layer = make_layer("m")
    server = begin(layer)
    cancel = INVITE.replace(b"INVITE", b"CANCEL")
    event = layer.receive(cancel, FROM_NEAR, 0.1)
    assert isinstance(event, CancelReceived)
    assert event.invite is server
    assert event.transaction is not server
    assert layer.receive(cancel, FROM_NEAR, 0.2) is None  # repeated
    lost = layer.receive(cancel.replace(b"bKm", b"bKother"), FROM_NEAR, 0.3)
    assert isinstance(lost, CancelReceived)
    assert lost.invite is None


def test_a_cancel_by_rfc2543_finds_its_invite() -> None:
    layer = make_layer("m")
    server = begin(layer, OLD)
    event = layer.receive(OLD.replace(b"INVITE", b"CANCEL"), FROM_NEAR, 0.1)
    assert isinstance(event, CancelReceived)
    assert event.invite is server


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_cancel_waits_for_a_1xx_and_is_sent_once(transport: Transport) -> None:
    ends = Ends(transport, answers=[(1, 180), (2, 183), (60, 183)])
    client = ends.request("INVITE")
    ends.run(until=0.25)
    ends.near.cancel(client, ends.now, [("Reason", "SIP;cause=200")])
    ends.near.cancel(client, ends.now)
    assert client.cancelled
    ends.run()
    assert len([s for s in ends.sent if s.what == "CANCEL"]) == 1
    cancel = parse(next(s.data for s in ends.sent if s.what == "CANCEL"))
    assert cancel.headers.get("Reason") == "SIP;cause=200"
    assert ends.statuses() == [180, 487]
    ends.assert_forgotten()


def test_another_1xx_after_the_cancel_ended_sends_no_second() -> None:
    """By TCP the CANCEL's transaction ends at once (Timer K is 0)."""
    layer = make_layer("m")
    request = make_request("INVITE", BRANCH, transport=Transport.TCP)
    flow = Flow(Transport.TCP, FAR, NEAR, 1)
    client = layer.request(request, BRANCH, flow, 0.0, "user")
    ringing = Response.answer(request, 180, to_tag="f").to_bytes()
    layer.receive(ringing, flow, 0.0)
    layer.cancel(client, 0.0)
    cancel = make_request("CANCEL", BRANCH, transport=Transport.TCP)
    layer.receive(Response.answer(cancel, 200).to_bytes(), flow, 0.0)
    assert len(layer.clients) == 1
    layer.data_to_send()
    layer.receive(ringing, flow, 1.0)
    assert layer.data_to_send() == []
    assert [type(e) for e in layer.on_timeout(32.0)] == [TimedOut]  # 9.1: 64*T1 after the CANCEL
    assert client.terminated


def test_no_cancel_after_a_final_response_nor_of_another_method() -> None:
    for method, status in (("INVITE", 200), ("INVITE", 486), ("OPTIONS", 100)):
        layer = make_layer("m")
        request = make_request(method, BRANCH)
        client = layer.request(request, BRANCH, TO_FAR, 0.0, "user")
        layer.receive(Response.answer(request, status, to_tag="f").to_bytes(), TO_FAR, 0.0)
        layer.data_to_send()
        layer.cancel(client, 0.0)
        assert layer.data_to_send() == []
        assert not client.cancelled


def test_a_cancel_that_cannot_be_written_is_its_askers_fault_at_once() -> None:
    layer = make_layer("m")
    client = layer.request(make_request("INVITE", BRANCH), BRANCH, TO_FAR, 0.0, "user")
    with pytest.raises(TrunklineError, match="line break"):
        layer.cancel(client, 0.0, [("Reason", "a\nb")])
    assert not client.cancelled


ROUTED = [("Route", "<sip:a;lr>, <sip:b;lr>"), ("X", "y"), ("r", "2543"), ("Require", "100rel")]


def test_ack_and_cancel_are_made_as_asked() -> None:
    """Sections 17.1.1.3 and 9.1."""
    layer = make_layer("m")
    request = make_request("INVITE", BRANCH, headers=ROUTED)
    request.headers.rows[0] += ", SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKbelow"
    request.headers.add("Route", "<sip:c;lr>")
    request.body = b"v=0\r\n"
    client = layer.request(request, BRANCH, TO_FAR, 0.0, "user")
    layer.receive(Response.answer(request, 180, to_tag="f").to_bytes(), TO_FAR, 0.0)
    layer.cancel(client, 0.0)
    layer.receive(Response.answer(request, 487, to_tag="g").to_bytes(), TO_FAR, 0.0)
    _, cancel, ack = [parse(data) for _, data in layer.data_to_send()]
    for made, method, to in ((cancel, "CANCEL", ""), (ack, "ACK", ";tag=g")):
        assert isinstance(made, Request)
        assert made.defect is None
        assert (made.method, made.uri, made.body) == (method, request.uri, b"")
        assert list(made.headers.items()) == [
            ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKm"),
            ("Max-Forwards", "70"),
            ("Route", "<sip:a;lr>, <sip:b;lr>"),
            ("Route", "<sip:c;lr>"),
            ("From", "<sip:near@192.0.2.1>;tag=n"),
            ("To", f"<sip:far@192.0.2.2>{to}"),
            ("Call-ID", "one"),
            ("CSeq", f"1 {method}"),
            ("Content-Length", "0"),
        ]


def test_what_went_out_can_be_acknowledged() -> None:
    """Whatever an element forwarded: no later answer to it raises."""
    data = INVITE.replace(b"sip:far@192.0.2.2 SIP", b"<sip:far> SIP").replace(b"tag=n", b"tag=\rn")
    request = parse(data)
    assert isinstance(request, Request)
    layer = make_layer("m")
    layer.request(request, BRANCH, TO_FAR, 0.0, "user")
    layer.receive(Response.answer(make_request("INVITE", BRANCH), 404).to_bytes(), TO_FAR, 0.0)
    assert layer.data_to_send()[1][1].startswith(b"ACK <sip:far> SIP/2.0\r\n")


# responses


def test_a_response_is_matched_by_branch_and_cseq_method() -> None:
    layer = make_layer("m")
    request = make_request("OPTIONS", BRANCH)
    layer.request(request, BRANCH, TO_FAR, 0.0, "user")
    response = Response.answer(request, 200).to_bytes()
    for stray in (
        response.replace(b"1 OPTIONS", b"1 INVITE"),
        response.replace(b"bKm", b"bKn"),
        response.replace(b"CSeq: 1 OPTIONS\r\n", b""),
        response.replace(b"CSeq: 1 OPTIONS\r\n", b"CSeq: \r\n"),
    ):
        assert isinstance(layer.receive(stray, TO_FAR, 0.0), StrayResponse)
    folded = response.replace(b"CSeq: 1 OPTIONS", b"CSeq: 1\r\n\tOPTIONS")
    assert isinstance(layer.receive(folded, TO_FAR, 0.0), ResponseReceived)
    assert layer.counters.strays == 4


@pytest.mark.parametrize(
    "data",
    [
        b"SIP/2.0 099 -\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKm\r\nCSeq: 1 OPTIONS\r\n\r\n",
        b"SIP/2.0 700 -\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKm\r\nCSeq: 1 OPTIONS\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKm\r\nCSeq: 1 OPTIONS\r\n"
        b"Content-Length: 9\r\n\r\nshort",
        b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:70000;branch=z9hG4bKm\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: nonsense\r\n\r\n",
        b"\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_use_is_discarded_and_counted(data: bytes) -> None:
    layer = make_layer("m")
    client = layer.request(make_request("OPTIONS", BRANCH), BRANCH, TO_FAR, 0.0, "user")
    assert isinstance(layer.receive(data, TO_FAR, 0.0), Discarded)
    assert layer.counters.discarded == 1
    assert client.state is State.TRYING


def test_a_branch_is_used_once() -> None:
    layer = make_layer("m")
    client = layer.request(make_request("OPTIONS", BRANCH), BRANCH, TO_FAR, 0.0, "user")
    with pytest.raises(TrunklineError, match="its own branch"):
        layer.request(make_request("OPTIONS", BRANCH), BRANCH, TO_FAR, 0.0, "other")
    assert list(layer.clients.values()) == [client]
    assert layer.counters.sent == 1


# where responses go (section 18.2.2, RFC 3581)


@pytest.mark.parametrize(
    ("via", "source", "marked", "port"),
    [
        ("192.0.2.1", ("192.0.2.1", 5060), "192.0.2.1;branch=z9hG4bKm", 5060),
        ("192.0.2.1", ("192.0.2.1", 9), "192.0.2.1;branch=z9hG4bKm", 5060),
        ("192.0.2.1:7", ("192.0.2.1", 9), "192.0.2.1:7;branch=z9hG4bKm", 7),
        ("x.example:7", ("192.0.2.9", 9), "x.example:7;branch=z9hG4bKm;received=192.0.2.9", 7),
        (
            "192.0.2.1:7;rport",
            ("192.0.2.1", 9),  # RFC 3581: received even if it is the same
            "192.0.2.1:7;rport=9;branch=z9hG4bKm;received=192.0.2.1",
            9,
        ),
        (
            "10.0.0.1;RPORT",
            ("192.0.2.1", 9),
            "10.0.0.1;rport=9;branch=z9hG4bKm;received=192.0.2.1",
            9,
        ),
        ("192.0.2.1:7;xrport=1", ("192.0.2.1", 9), "192.0.2.1:7;xrport=1;branch=z9hG4bKm", 7),
        ("192.0.2.1:7;RECEIVED=6.6.6.6", ("192.0.2.1", 9), "192.0.2.1:7;branch=z9hG4bKm", 7),
        (
            "10.0.0.1:7;received=6.6.6.6",
            ("192.0.2.1", 9),
            "10.0.0.1:7;branch=z9hG4bKm;received=192.0.2.1",
            7,
        ),
        ("192.0.2.1;maddr=6.6.6.6", ("192.0.2.1", 9), None, 5060),
        (
            "[2001:db8::1]:7",
            ("2001:db8::2", 9),
            "[2001:db8::1]:7;branch=z9hG4bKm;received=2001:db8::2",
            7,
        ),
        (
            "[fe80::1]",
            ("fe80::2%eth0", 9),
            "[fe80::1];branch=z9hG4bKm;received=fe80::2",
            5060,
        ),
    ],
)
def test_where_the_responses_go(
    via: str, source: tuple[str, int], marked: str | None, port: int
) -> None:
    layer = make_layer("m")
    data = INVITE.replace(b"UDP 192.0.2.1;", f"UDP {via};".encode())
    event = layer.receive(data, Flow(Transport.UDP, source, FAR), 0.0)
    assert isinstance(event, RequestReceived)
    if marked is not None:
        assert event.request.headers.get("via") == f"SIP/2.0/UDP {marked}"
    layer.respond(event.transaction, Response.answer(event.request, 180), 0.0)
    [(flow, _)] = layer.data_to_send()
    assert flow == Flow(Transport.UDP, (source[0], port), FAR)


@pytest.mark.parametrize("transport", [t for t in Transport if t.reliable])
def test_by_a_stream_responses_go_back_the_way(transport: Transport) -> None:
    layer = make_layer("m")
    flow = Flow(transport, ("192.0.2.1", 40000), FAR, 3)
    server = begin(layer, INVITE, flow)
    answer(layer, server, 486)
    assert [f for f, _ in layer.data_to_send()] == [flow]


# what cannot be delivered


@pytest.mark.parametrize(
    ("transport", "remote"),
    [
        (Transport.TCP, ("192.0.2.1", 5060)),
        (Transport.TLS, ("192.0.2.1", 5061)),
        (Transport.WS, None),
    ],
)
@pytest.mark.parametrize(("method", "status"), [("INVITE", 486), ("OPTIONS", 200)])
def test_a_response_whose_connection_is_gone_goes_to_sent_by(
    transport: Transport, remote: tuple[str, int] | None, method: str, status: int
) -> None:
    layer = make_layer("m")
    gone = Flow(transport, ("192.0.2.1", 40000), FAR, 3)
    server = begin(layer, make_request(method, BRANCH, transport=transport).to_bytes(), gone)
    layer.respond(server, Response.answer(make_request(method, BRANCH), status), 0.0)
    [(_, data)] = layer.data_to_send()
    told = layer.transport_failed(gone, [data], "connection reset", 0.0)
    again = layer.data_to_send()
    if remote is None:
        assert again == []
    else:
        assert told == []
        backup = Flow(transport, remote, FAR)
        assert again == [(backup, data)]
        assert layer.counters.redirected == 1
        told = layer.transport_failed(backup, [data], "refused", 0.0)
        # a connection that came up and was lost again is not tried for ever
        opened = Flow(transport, remote, FAR, 4)
        assert len(layer.transport_failed(opened, [data], "lost", 0.0)) == len(told)
        assert layer.data_to_send() == []
    # A transaction of another method is over by then (Timer J is 0); there is nobody to tell
    assert len(told) == (1 if method == "INVITE" else 0)
    assert server.terminated == (method != "INVITE")


def test_later_responses_follow_the_first_to_sent_by() -> None:
    layer = make_layer("m")
    gone = Flow(Transport.TCP, ("192.0.2.1", 40000), FAR, 3)
    server = begin(layer, INVITE, gone)
    answer(layer, server, 180)
    [(_, data)] = layer.data_to_send()
    layer.transport_failed(gone, [data], "reset", 0.0)
    answer(layer, server, 200)
    assert [flow for flow, _ in layer.data_to_send()] == [Flow(Transport.TCP, NEAR, FAR)] * 2
    assert server.source == gone


def test_a_lost_connection_does_not_fail_what_was_answered_by_1xx() -> None:
    """Its final response may come by another one, to sent-by."""
    layer = make_layer("m")
    flow = Flow(Transport.TCP, FAR, NEAR, 3)
    request = make_request("OPTIONS", BRANCH)
    client = layer.request(request, BRANCH, flow, 0.0, "user")
    layer.receive(Response.answer(request, 100).to_bytes(), flow, 0.0)
    assert layer.connection_lost([flow], "reset", 0.0) == []
    assert client.state is State.PROCEEDING


def test_a_lost_connection_fails_what_was_not_answered() -> None:
    layer = make_layer("m")
    flow = Flow(Transport.TCP, FAR, NEAR, 3)
    requests = {b: make_request("INVITE", b) for b in ("z9hG4bK1", "z9hG4bK2", "z9hG4bK3")}
    clients = {b: layer.request(r, b, flow, 0.0, "user") for b, r in requests.items()}
    layer.receive(Response.answer(requests["z9hG4bK1"], 180).to_bytes(), flow, 0.0)
    events = layer.transport_failed(flow, [requests["z9hG4bK2"].to_bytes()], "reset", 0.0)
    events += layer.connection_lost([flow], "reset", 0.0)
    assert len(events) == 2  # once each, named or not
    assert [c.terminated for c in clients.values()] == [False, True, True]
    assert layer.connection_lost([flow], "reset", 0.0) == []


def test_a_message_that_a_stream_does_not_take_fails_alone() -> None:
    layer = make_layer("m")
    flow = Flow(Transport.TCP, FAR, NEAR)
    one, two = (make_request("INVITE", b) for b in ("z9hG4bK1", "z9hG4bK2"))
    first = layer.request(one, "z9hG4bK1", flow, 0.0, "user")
    second = layer.request(two, "z9hG4bK2", flow, 0.0, "user")
    assert len(layer.transport_failed(flow, [two.to_bytes()], "1048576 octets wait", 0.0)) == 1
    assert (first.terminated, second.terminated) == (False, True)


def test_a_lost_connection_fails_what_went_by_it_alone() -> None:
    layer = make_layer("m")
    ways = [
        Flow(Transport.TLS, FAR, NEAR, 0, "one.example"),
        Flow(Transport.TLS, FAR, NEAR, 0, "two.example"),
        Flow(Transport.TLS, FAR, NEAR, 3),
        Flow(Transport.TCP, FAR, NEAR),
    ]
    clients = []
    for number, flow in enumerate(ways):
        branch = f"z9hG4bK{number}"
        request = make_request("OPTIONS", branch)
        clients.append(layer.request(request, branch, flow, 0.0, "user"))
    [event] = layer.connection_lost([Flow(Transport.TLS, FAR, NEAR, 9), ways[0]], "reset", 0.0)
    assert isinstance(event, TransportFailed)
    assert event.transaction is clients[0]
    assert [client.terminated for client in clients] == [True, False, False, False]


def test_an_icmp_error_fails_the_request_that_it_quotes_and_no_other() -> None:
    layer = make_layer("m")
    one, two = (make_request("OPTIONS", b) for b in ("z9hG4bK1", "z9hG4bK2"))
    first = layer.request(one, "z9hG4bK1", TO_FAR, 0.0, "user")
    second = layer.request(two, "z9hG4bK2", TO_FAR, 0.0, "user")
    for useless in (b"", b"\0\1", one.to_bytes()[:40], one.to_bytes().replace(b"bK1", b"bK3")):
        assert layer.transport_failed(TO_FAR, [useless], "port unreachable", 0.0) == []
    quoted = one.to_bytes()[:100]
    assert len(layer.transport_failed(TO_FAR, [quoted], "port unreachable", 0.0)) == 1
    assert first.terminated
    assert not second.terminated


# what is kept


@pytest.mark.parametrize(
    ("method", "status", "transport", "request_kept", "last_kept"),
    [
        ("INVITE", None, Transport.UDP, True, True),
        ("INVITE", None, Transport.TCP, True, False),
        ("INVITE", 180, Transport.UDP, True, False),  # an ACK or CANCEL may have to be made
        ("INVITE", 200, Transport.UDP, False, False),
        ("INVITE", 486, Transport.UDP, False, True),  # the ACK
        ("OPTIONS", None, Transport.UDP, False, True),
        ("OPTIONS", None, Transport.TCP, False, False),
        ("OPTIONS", 100, Transport.UDP, False, True),
        ("OPTIONS", 200, Transport.UDP, False, False),
    ],
)
def test_a_client_keeps_no_more_than_it_may_send(
    method: str, status: int | None, transport: Transport, request_kept: bool, last_kept: bool
) -> None:
    layer = make_layer("m")
    request = make_request(method, BRANCH, transport=transport)
    flow = Flow(transport, FAR, NEAR)
    client = layer.request(request, BRANCH, flow, 0.0, "user")
    if status is not None:
        layer.receive(Response.answer(request, status, to_tag="f").to_bytes(), flow, 0.0)
    assert (client.request is not None) == request_kept
    assert bool(client.last) == last_kept


@pytest.mark.parametrize(
    ("method", "status", "request_kept", "last_kept"),
    [
        ("INVITE", None, False, False),
        ("INVITE", 180, False, True),
        ("INVITE", 200, False, False),  # absorbs; its user has the 2xx
        ("INVITE", 486, False, True),
        ("OPTIONS", None, True, False),  # for a late 100
        ("OPTIONS", 200, False, True),
    ],
)
def test_a_server_keeps_no_more_than_it_may_send(
    method: str, status: int | None, request_kept: bool, last_kept: bool
) -> None:
    layer = make_layer("m")
    server = begin(layer, make_request(method, BRANCH).to_bytes())
    if status is not None:
        layer.respond(server, Response.answer(make_request(method, BRANCH), status), 0.0)
    assert (server.request is not None) == request_kept
    assert bool(server.last) == last_kept
    if (method, status) == ("INVITE", 486):
        layer.receive(INVITE.replace(b"INVITE", b"ACK"), FROM_NEAR, 0.0)
        assert server.last == b""


# too many


def test_with_no_room_requests_are_refused_and_cancels_are_not() -> None:
    layer = make_layer("m", limit=2)
    begin(layer)
    begin(layer, INVITE.replace(b"bKm", b"bKn"))
    third = INVITE.replace(b"bKm", b"bKo").replace(b"192.0.2.1;", b"192.0.2.1:7;rport;")
    for _ in range(2):
        assert layer.receive(third, FROM_NEAR, 0.0) is None
    out = layer.data_to_send()
    assert len(set(out)) == 1
    refusal = parse(out[0][1])
    assert isinstance(refusal, Response)
    assert (refusal.status, refusal.headers.get("retry-after")) == (503, "10")
    assert out[0][0] == FROM_NEAR
    assert layer.counters.refused == 2
    assert len(layer.servers) == 2
    # its ACK is not passed on, as one to a 2xx would be
    ack = third.replace(b"INVITE", b"ACK")
    tagged = ack.replace(b"To: <sip:far@192.0.2.2>", f"To: {refusal.headers.get('to')}".encode())
    assert layer.receive(tagged, FROM_NEAR, 0.0) is None
    cancel = layer.receive(INVITE.replace(b"INVITE", b"CANCEL"), FROM_NEAR, 0.0)
    assert isinstance(cancel, CancelReceived)
    assert layer.receive(third.replace(b"INVITE", b"CANCEL"), FROM_NEAR, 0.0) is None
    assert layer.counters.refused == 3
