"""Route and Record-Route: RFC 3261 sections 16.4, 16.6 steps 4 and 6, 16.12; RFC 5658."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.sip.proxy.rig import (
    CALLER,
    FROM_CALLER,
    PROXY,
    TCP,
    TLS,
    UDP,
    V6,
    Rig,
    hops,
    request,
    target,
)

from trunkline.sip.message import Request, Response, parse
from trunkline.sip.proxy import (
    Identity,
    Listener,
    ProxySettings,
    ResponseContext,
    Target,
    listed,
)
from trunkline.sip.proxy.identity import default_port
from trunkline.sip.transport import Address, Flow, Transport
from trunkline.sip.uri import Uri

FROM_CALLER_TLS = Flow(Transport.TLS, CALLER, TLS.local, 1)
FROM_CALLER_TCP = Flow(Transport.TCP, CALLER, PROXY, 1)


def through(
    rig: Rig, message: Request, flow: Flow = FROM_CALLER, transport: Transport = Transport.UDP
) -> Request:
    """Forward a request to its Request-URI; what arrives at the next hop."""
    context = rig.context(message, flow)
    [sent] = rig.fork(context, [Target(context.request.uri, hops("a", transport=transport))])
    assert isinstance(sent.message, Request)
    return sent.message


class Chain:
    """Proxies with names, each record-routing as itself: the examples of section 16.12.1."""

    def __init__(self, *names: str) -> None:
        self.rigs = {}
        for number, name in enumerate(names):
            local: Address = (f"192.0.2.{100 + number}", 5060)
            self.rigs[name] = Rig([Listener(Transport.UDP, local, (name, 5060))], domains=[name])

    def forward(self, name: str, message: Request, uri: str | None = None) -> Request:
        rig = self.rigs[name]
        flow = Flow(Transport.UDP, CALLER, rig.identity.listeners[0].local)
        out = Flow(Transport.UDP, ("192.0.2.99", 5060), flow.local)
        received = rig.receive(message, flow)
        assert isinstance(received, ResponseContext)
        received.fork([[Target(uri or received.request.uri, listed(out))]], rig.now)
        [forwarded] = [parse(data) for to, data in rig.proxy.data_to_send() if to == out]
        assert isinstance(forwarded, Request)
        return forwarded


def routes(message: Request, name: str = "Route") -> list[str]:
    return message.headers.tokens(name)


def test_the_trapezoid() -> None:
    """16.12.1.1."""
    chain = Chain("p1.example.com", "p2.domain.com")
    invite = request(uri="sip:callee@domain.com")
    at_p2 = chain.forward("p1.example.com", invite)
    assert routes(at_p2, "Record-Route") == ["<sip:p1.example.com:5060;lr>"]
    at_u2 = chain.forward("p2.domain.com", at_p2, "sip:callee@u2.domain.com")
    assert at_u2.uri == "sip:callee@u2.domain.com"
    recorded = routes(at_u2, "Record-Route")
    assert recorded == ["<sip:p2.domain.com:5060;lr>", "<sip:p1.example.com:5060;lr>"]
    bye = request(
        "BYE", "sip:callee@u2.domain.com", [("Route", ",".join(reversed(recorded)))], number=2
    )
    at_p2 = chain.forward("p1.example.com", bye)
    assert (at_p2.uri, routes(at_p2)) == ("sip:callee@u2.domain.com", recorded[:1])
    at_u2 = chain.forward("p2.domain.com", at_p2)
    assert (at_u2.uri, routes(at_u2)) == ("sip:callee@u2.domain.com", [])


def test_a_strict_router_on_the_way() -> None:
    """16.12.1.2: U2 hangs up; P3 is a strict router, the others are ours."""
    chain = Chain("p1.example.com", "p2.example.com", "p4.domain.com")
    bye = request(
        "BYE",
        "sip:caller@u1.example.com",
        [
            ("Route", "<sip:p4.domain.com;lr>"),
            ("Route", "<sip:p3.middle.com>"),
            ("Route", "<sip:p2.example.com;lr>"),
            ("Route", "<sip:p1.example.com;lr>"),
        ],
    )
    at_p3 = chain.forward("p4.domain.com", bye)
    assert at_p3.uri == "sip:p3.middle.com"
    assert routes(at_p3) == [
        "<sip:p2.example.com;lr>",
        "<sip:p1.example.com;lr>",
        "<sip:caller@u1.example.com>",
    ]
    at_p2 = at_p3.copy()  # what a strict router makes of it
    at_p2.uri = "sip:p2.example.com;lr"
    at_p2.headers.remove("Route", 0)
    at_p1 = chain.forward("p2.example.com", at_p2)
    assert at_p1.uri == "sip:caller@u1.example.com"
    assert routes(at_p1) == ["<sip:p1.example.com;lr>"]
    at_u1 = chain.forward("p1.example.com", at_p1)
    assert (at_u1.uri, routes(at_u1)) == ("sip:caller@u1.example.com", [])


@pytest.mark.parametrize(
    "rows",
    [
        ["<sip:192.0.2.1;lr>, <sip:p3.middle.com>, <sip:p2.example.com;lr>"],
        ["<sip:192.0.2.1;lr>", "<sip:p3.middle.com>", "<sip:p2.example.com;lr>"],
        ["<sip:192.0.2.1;lr>,<sip:p3.middle.com>", "<sip:p2.example.com;lr>"],
    ],
)
def test_a_strict_next_hop_however_the_values_are_spread_over_rows(rows: Sequence[str]) -> None:
    rig = Rig()
    bye = request("BYE", "sip:u@192.0.2.60", [("Route", row) for row in rows])
    goes = through(rig, bye)
    assert goes.uri == "sip:p3.middle.com"
    assert routes(goes) == ["<sip:p2.example.com;lr>", "<sip:u@192.0.2.60>"]


def test_a_strict_next_hop_gets_the_target_that_was_chosen() -> None:
    rig = Rig()
    context = rig.context(request(headers=[("Route", "<sip:p3.middle.com>")]))
    [sent] = rig.fork(context, [target("a", "sip:chosen@192.0.2.60")])
    assert isinstance(sent.message, Request)
    assert sent.uri == "sip:p3.middle.com"
    assert routes(sent.message) == ["<sip:chosen@192.0.2.60>"]


def test_a_route_alone_that_is_strict_leaves_the_target_as_the_only_route() -> None:
    rig = Rig()
    passing = rig.passing(request("ACK", "sip:u@192.0.2.60", [("Route", "<sip:p3.middle.com>")]))
    [sent] = rig.forward(passing, Target("sip:u@192.0.2.60", hops("a")))
    assert isinstance(sent.message, Request)
    assert (sent.uri, routes(sent.message)) == ("sip:p3.middle.com", ["<sip:u@192.0.2.60>"])


def test_the_last_route_becomes_the_target_when_we_are_the_request_uri() -> None:
    """16.4, of a strict router before us, with both our values."""
    rig = Rig([UDP, TCP])
    bye = request(
        "BYE",
        "sip:192.0.2.1:5060;lr",
        [
            ("Route", "<sip:192.0.2.1:5060;transport=tcp;lr>, <sip:p9.example.com;lr>"),
            ("Route", "<sip:u1@192.0.2.60>"),
        ],
    )
    context = rig.context(bye)
    assert context.request.uri == "sip:u1@192.0.2.60"
    assert routes(context.request) == ["<sip:p9.example.com;lr>"]
    assert context.routed


def test_our_uri_without_any_route_is_left_for_the_script() -> None:
    context = Rig().context(request("OPTIONS", "sip:192.0.2.1:5060;lr"))
    assert (context.request.uri, context.routed) == ("sip:192.0.2.1:5060;lr", False)


@pytest.mark.parametrize(
    ("value", "ours"),
    [
        ("<sip:192.0.2.1;lr>", True),
        ("<sip:192.0.2.1:5060;lr>", True),
        ('"me" <sip:192.0.2.1;lr>;x=y', True),
        ("<sip:example.org;lr>", True),  # a domain of ours
        ("<sip:EXAMPLE.org;lr>", True),
        ("<sip:user@192.0.2.1;lr>", True),
        ("<sip:192.0.2.1:5061;transport=tls;lr>", True),
        ("<sip:192.0.2.1;transport=tls;lr>", True),  # 5061 is what that means
        ("<sips:192.0.2.1;lr>", True),
        ("<sip:192.0.2.1:5070;lr>", False),
        ("<sip:192.0.2.2;lr>", False),
        ("<sip:example.org:5099;lr>", False),
        ("<sip:example.org:5060;lr>", True),
        ("<sip:example.org:5061;transport=tls;lr>", True),
        ('"a <sip:192.0.2.2;lr>" <sip:192.0.2.1;lr>', True),
        (r'"a\" <sip:192.0.2.1;lr>" <sip:192.0.2.2;lr>', False),
        ('<sip:192.0.2.1;lr>;x="<sip:192.0.2.2;lr>"', True),
        ('"no end <sip:192.0.2.1;lr>', True),
        ("<sip:elsewhere.example;maddr=192.0.2.1;lr>", True),
        ("<sip:192.0.2.1;maddr=192.0.2.2;lr>", False),
        ("<tel:+15551234>", False),
        ("<sip:192.0.2.1;lr", True),  # its bracket is missing: read as far as it goes
        ("nonsense", False),
        ("", False),
    ],
)
def test_which_routes_are_ours(value: str, ours: bool) -> None:
    identity = Identity([UDP, TLS], ["example.org"])
    assert identity.owns_route(value) is ours
    assert identity.owns_route(value) is ours  # and remembered so


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("[2001:db8::1]", True),
        ("[2001:DB8:0:0::1]", True),
        ("[2001:0db8:0:0:0:0:0:1]", True),
        ("[2001:db8::1:1]", False),
    ],
)
def test_an_ipv6_address_is_ours_in_any_spelling(host: str, ours: bool) -> None:
    other = Listener(Transport.UDP, ("2001:db8::1", 5060), ("2001:0DB8:0::1", 5060))
    for identity in (Identity([V6]), Identity([other])):
        assert identity.owns_route(f"<sip:{host};lr>") is ours
        assert identity.owns_route(f"<sip:h.example;maddr={host};lr>") is ours
        assert identity.serves(host.strip("[]").lower()) is ours
        assert identity.placed(host.strip("[]"), 5060) is ours
    context = Rig((UDP, V6)).context(request(headers=[("Route", f"<sip:{host}:5060;lr>")]))
    assert ("route" not in context.request.headers) is ours


@pytest.mark.parametrize(
    "uri", ["sip:bob@example.org;lr", "sip:example.org;lr", "sip:bob@192.0.2.1:5060;lr"]
)
def test_a_target_that_we_never_recorded_is_no_strict_routers(uri: str) -> None:
    """16.4: "a value this proxy previously placed into a Record-Route"."""
    context = Rig().context(request("MESSAGE", uri, [("Route", "<sip:next.example;lr>")]))
    assert context.request.uri == uri
    assert context.request.headers.all("route") == ["<sip:next.example;lr>"]


@pytest.mark.parametrize(
    "route",
    ["<sip:strict.example?Subject=hi&Route=%3Csip:evil%3E>", "<sip:strict.example;method=BYE>"],
)
def test_a_strict_next_hop_gets_a_request_uri_and_nothing_more(route: str) -> None:
    """19.1.1, table 1."""
    goes = through(Rig(), request(headers=[("Route", route)]))
    assert goes.uri == "sip:strict.example"
    assert routes(goes) == ["<sip:bob@example.org>"]


def test_routes_are_remembered_within_bounds() -> None:
    identity = Identity([UDP])
    for number in range(10_050):
        identity.owns_route(f"<sip:h{number}.example;lr>")
    assert len(identity._known) <= 10_000
    identity._known.clear()
    identity.owns_route(f"<sip:{'x' * 60_000}.example;lr>")
    assert not identity._known


@pytest.mark.parametrize(
    ("uri", "port"),
    [
        ("sip:x", 5060),
        ("sips:x", 5061),
        ("sip:x;transport=tls", 5061),
        ("sips:x;transport=tcp", 5061),
        ("sip:x;transport=ws", 80),
        ("sips:x;transport=ws", 443),
        ("sip:x;transport=sctp", 5060),
        ("sip:x;transport=", 5060),
    ],
)
def test_the_port_that_a_uri_means(uri: str, port: int) -> None:
    assert default_port(Uri.parse(uri)) == port


def test_only_values_at_the_top_are_ours_to_remove() -> None:
    """A spiral comes back to the second."""
    rig = Rig()
    route = "<sip:192.0.2.1;lr>, <sip:p2.example.com;lr>, <sip:192.0.2.1;lr>"
    goes = through(rig, request("BYE", "sip:u@192.0.2.60", [("Route", route)]))
    assert routes(goes) == ["<sip:p2.example.com;lr>", "<sip:192.0.2.1;lr>"]


# maddr


@pytest.mark.parametrize(
    ("uri", "becomes"),
    [
        ("sip:bob@atlanta.example;maddr=192.0.2.1", "sip:bob@atlanta.example"),
        ("sip:bob@atlanta.example:5060;maddr=192.0.2.1;transport=udp;x=y", None),
        ("sip:bob@atlanta.example;MADDR=192.0.2.1", "sip:bob@atlanta.example"),
        ("sip:bob@atlanta.example;maddr=example.org", "sip:bob@atlanta.example"),
        ("sip:bob@atlanta.example;maddr=192.0.2.2", "same"),
        ("sip:bob@atlanta.example:5070;maddr=192.0.2.1", "same"),  # another port
        ("sip:bob@atlanta.example;maddr=192.0.2.1;transport=tcp", "same"),  # another transport
        ("sips:bob@atlanta.example;maddr=192.0.2.1", "same"),
        ("sip:;maddr=x@atlanta.example", "same"),  # a user part
    ],
)
def test_a_maddr_that_led_here_is_taken_away(uri: str, becomes: str | None) -> None:
    """16.4."""
    context = Rig([UDP, TCP]).context(request("MESSAGE", uri))
    if becomes is None:
        becomes = "sip:bob@atlanta.example:5060;x=y"
    assert context.request.uri == (uri if becomes == "same" else becomes)


def test_a_port_that_is_not_the_default_goes_with_the_maddr() -> None:
    place: Address = ("192.0.2.1", 5080)
    rig = Rig([Listener(Transport.UDP, place, place)])
    message = request("MESSAGE", "sip:b@atlanta.example:5080;maddr=192.0.2.1")
    context = rig.context(message, Flow(Transport.UDP, CALLER, place))
    assert context.request.uri == "sip:b@atlanta.example"


# Record-Route


@pytest.mark.parametrize(
    ("method", "recorded"),
    [
        ("INVITE", True),
        ("SUBSCRIBE", True),
        ("REFER", True),
        ("FUTURE", True),  # 16.6 step 4: it may have dialogs
        ("MESSAGE", False),
        ("OPTIONS", False),
        ("REGISTER", False),
        ("BYE", False),
    ],
)
def test_which_methods_are_recorded(method: str, recorded: bool) -> None:
    goes = through(Rig(), request(method))
    assert routes(goes, "Record-Route") == (["<sip:192.0.2.1:5060;lr>"] if recorded else [])


@pytest.mark.parametrize("ours", [True, False])
def test_a_notify_of_a_recorded_subscribe_is_recorded(ours: bool) -> None:
    """RFC 6665 section 4.3: its Route tells."""
    route = "<sip:192.0.2.1;lr>" if ours else "<sip:p2.example;lr>"
    goes = through(Rig(), request("NOTIFY", headers=[("Route", route)]))
    assert ("Record-Route" in goes.headers) is ours


def test_our_value_stands_before_all_others() -> None:
    goes = through(Rig(), request(headers=[("Record-Route", "<sip:p0.example;lr>")]))
    assert routes(goes, "Record-Route") == ["<sip:192.0.2.1:5060;lr>", "<sip:p0.example;lr>"]


def test_who_does_not_want_to_stay_does_not_record() -> None:
    goes = through(Rig(settings=ProxySettings(record_route=False)), request())
    assert routes(goes, "Record-Route") == []


UDP_ROUTE = "<sip:192.0.2.1:5060;lr>"
TCP_ROUTE = "<sip:192.0.2.1:5060;transport=tcp;lr>"
TLS_ROUTE = "<sip:192.0.2.1:5061;transport=tls;lr>"
SIPS_ROUTE = "<sips:192.0.2.1:5061;lr>"


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize(
    ("came", "uri", "route", "goes", "perimeter", "values"),
    [
        ("UDP", "sip:b@x", "", "UDP", False, [UDP_ROUTE]),
        ("TCP", "sip:b@x", "", "TCP", False, [TCP_ROUTE]),
        # RFC 5658 section 5: one for each side, ours to the next hop first
        ("UDP", "sip:b@x", "", "TCP", False, [TCP_ROUTE, UDP_ROUTE]),
        ("TCP", "sip:b@x", "", "UDP", False, [UDP_ROUTE, TCP_ROUTE]),
        # 16.6 step 4: SIPS goes on, it did not come by TLS
        ("UDP", "sips:b@x", "", "TLS", True, [SIPS_ROUTE, UDP_ROUTE]),
        ("UDP", "sip:b@x", "<sips:p.example;lr>", "TLS", True, [SIPS_ROUTE, UDP_ROUTE]),
        # it came by TLS, and goes on without SIPS
        ("TLS", "sip:b@x", "", "UDP", True, [UDP_ROUTE, SIPS_ROUTE]),
        ("TLS", "sip:b@x", "", "TLS", True, [TLS_ROUTE]),
        # SIPS on both sides is no perimeter
        ("TLS", "sips:b@x", "", "TLS", False, [SIPS_ROUTE]),
    ],
)
def test_the_schemes_of_what_is_recorded(
    came: str, uri: str, route: str, goes: str, perimeter: bool, values: list[str], wanted: bool
) -> None:
    rig = Rig([UDP, TCP, TLS], settings=ProxySettings(record_route=wanted))
    flows = {"UDP": FROM_CALLER, "TCP": FROM_CALLER_TCP, "TLS": FROM_CALLER_TLS}
    message = request(uri=uri, headers=[("Route", route)] if route else [])
    sent = through(rig, message, flows[came], Transport(goes))
    assert routes(sent, "Record-Route") == (values if wanted or perimeter else [])


def test_both_families() -> None:
    """RFC 5658 section 5, figure 2: IPv4 on one side, IPv6 on the other, and back."""
    rig = Rig([UDP, V6])
    out = Flow(Transport.UDP, ("2001:db8::33", 5060), V6.local)
    context = rig.context()
    [invite] = rig.fork(context, [Target("sip:bob@[2001:db8::33]", listed(out))])
    assert isinstance(invite.message, Request)
    recorded = routes(invite.message, "Record-Route")
    assert recorded == ["<sip:[2001:db8::1]:5060;lr>", "<sip:192.0.2.1:5060;lr>"]
    assert (invite.headers.get("Via") or "").startswith("SIP/2.0/UDP [2001:db8::1]:5060;branch=")
    bye = request("BYE", "sip:alice@192.0.2.10", [("Route", ", ".join(recorded))], number=2)
    context = rig.context(bye, out)
    assert routes(context.request) == []
    [sent] = rig.fork(context, [Target(context.request.uri, listed(FROM_CALLER))])
    assert sent.flow == FROM_CALLER


def test_what_was_recorded_comes_back_as_a_route_of_ours() -> None:
    rig = Rig([UDP, TCP, TLS])
    for listener in (UDP, TCP, TLS):
        for secure in (False, True):
            assert rig.identity.owns_route(listener.record_route(secure, ";w=3"))


def test_a_response_passes_with_its_record_routes_as_they_are() -> None:
    rig = Rig([UDP, TCP])
    context = rig.context(request(), FROM_CALLER_TCP)
    [invite] = rig.fork(context, [target("a")])
    rows = [("Record-Route", value) for value in invite.headers.all("Record-Route")]
    [ok] = rig.answer(invite, 200, rows)
    assert isinstance(ok.message, Response)
    assert ok.headers.all("Record-Route") == [UDP_ROUTE, TCP_ROUTE]


# Path and the like


def test_routes_of_a_target_are_pushed_before_those_that_are_there() -> None:
    """RFC 3327 section 5.4."""
    rig = Rig()
    context = rig.context(request(headers=[("Route", "<sip:later.example;lr>")]))
    pushed = ("<sip:192.0.2.51;lr>", "<sip:edge2.example;lr>")
    [sent] = rig.fork(context, [Target("sip:bob@192.0.2.99", hops("a"), pushed)])
    assert isinstance(sent.message, Request)
    assert routes(sent.message) == [*pushed, "<sip:later.example;lr>"]
    assert sent.uri == "sip:bob@192.0.2.99"


# Routes that cannot be read


@pytest.mark.parametrize(
    "values",
    [
        ["", ""],
        [",,,"],
        ["nonsense"],
        ["<sip:>"],
        ["<sip:192.0.2.1;lr>, nonsense"],  # ours goes, the next is what it would be sent on by
        ["<sip:192.0.2.1;lr>", "<sip:a b@c>"],
    ],
)
@pytest.mark.parametrize("stateless", [False, True])
def test_a_route_that_would_be_followed_and_cannot_be_read(
    values: list[str], stateless: bool
) -> None:
    """16.3 step 1: whatever forwarding needs has to be well-formed."""
    rig = Rig(stateless=stateless)
    headers = [("Route", value) for value in values]
    assert rig.receive(request("MESSAGE", headers=headers)) is None
    [answer] = rig.take()
    assert answer.status == 400
    assert rig.proxy.refused == {"sip.route": 1}
    assert rig.receive(request("ACK", headers=headers, number=2)) is None
    assert rig.take() == []
    assert rig.proxy.discarded == {"sip.ack": 1}


def test_a_route_that_another_element_will_read_is_left_alone() -> None:
    rig = Rig()
    goes = through(
        rig, request("BYE", headers=[("Route", "<sip:p2.x;lr>, nonsense"), ("Route", "")])
    )
    assert goes.headers.all("Route") == ["<sip:p2.x;lr>, nonsense", ""]


@pytest.mark.parametrize("last", ["<nonsense>", "", ",", "<sip:a b@c>", "<sip:x@y"])
def test_what_a_strict_router_leaves_as_the_target_must_be_readable(last: str) -> None:
    rig = Rig()
    message = request("BYE", "sip:192.0.2.1:5060;lr", [("Route", last)])
    readable = last == "<sip:x@y"
    received = rig.receive(message)
    assert (received is not None) == readable
    if isinstance(received, ResponseContext):
        assert received.request.uri == "sip:x@y"
