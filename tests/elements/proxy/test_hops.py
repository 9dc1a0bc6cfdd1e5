"""Hops: what a flow says of where it leads, and what is remembered of those that failed."""

from __future__ import annotations

import pytest

from trunkline.elements.proxy.hops import Finder, rules_for
from trunkline.elements.proxy.request import IncomingRequest
from trunkline.net.dns import Locator, ZoneResolver
from trunkline.script import on_request
from trunkline.sip.locate import Failure
from trunkline.sip.proxy import Identity, Listener
from trunkline.sip.transport import Flow, Transport
from trunkline.testing import Harness, Sent

US = ("192.0.2.1", 5060)
ZONE = """
one.example. 600 IN A 192.0.2.50
two.example. 600 IN A 192.0.2.50
"""


@on_request()
def relay(request: IncomingRequest) -> None:
    request.relay()


def secure() -> Harness:
    return Harness([relay], listen=("udp:192.0.2.1:5060", "tls:192.0.2.1:5061"), dns=ZONE)


def only(sent: list[Sent], method: str) -> Sent:
    [found] = [each for each in sent if each.method == method and not each.status]
    return found


def test_a_request_keeps_the_domain_that_it_was_located_by() -> None:
    with secure() as proxy:
        invite = proxy.request("INVITE", "sip:bob@one.example;transport=tls")
        sent = only(proxy.receive(invite), "INVITE")
        other = only(
            proxy.receive(proxy.request("MESSAGE", "sip:bob@two.example;transport=tls")), "MESSAGE"
        )
        assert (sent.to, sent.flow.domain) == (other.to, "one.example")
        assert other.flow.domain == "two.example"
        proxy.receive(sent.answer(180))
        proxy.receive(other.answer(200))
        again = invite.data.replace(b"INVITE", b"CANCEL")
        cancel = only(proxy.receive(type(invite)(again, invite.source)), "CANCEL")
        assert cancel.flow == sent.flow
        proxy.receive(cancel.answer(200))
        assert only(proxy.receive(sent.answer(487)), "ACK").flow == sent.flow


def test_messages_of_one_wake_up_keep_each_its_own_domain() -> None:
    with secure() as proxy:
        names = ("one", "two")
        for name in names:  # so that both are known
            uri = f"sip:bob@{name}.example;transport=tls"
            proxy.receive(only(proxy.receive(proxy.request("MESSAGE", uri)), "MESSAGE").answer(200))
        listener = proxy.identity.listeners[0]
        batch = []
        for name in names:
            incoming = proxy.request("MESSAGE", f"sip:bob@{name}.example;transport=tls")
            flow = Flow(listener.transport, incoming.source, listener.local)
            batch.append((incoming.data, flow))
        proxy.element.receive(batch)
        sent = [each for each in proxy.settle() if not each.status]
        assert [each.flow.domain for each in sent] == ["one.example", "two.example"]


@pytest.mark.parametrize(
    ("uri", "domain"),
    [
        ("sip:bob@one.example", ""),
        ("sip:bob@one.example;transport=tcp", ""),
        ("sip:bob@One.Example.;transport=tls", "one.example"),
        ("sip:bob@one.example;transport=ws", "one.example"),
        ("sip:bob@192.0.2.50;transport=tls", ""),
        ("sip:bob@192.0.2.50;maddr=two.example;transport=tls", "two.example"),
    ],
)
def test_a_flow_has_a_domain_where_connections_are_for_one(uri: str, domain: str) -> None:
    listen = [
        f"{kind}:192.0.2.1:{port}" for port, kind in enumerate(("udp", "tcp", "tls", "ws"), 1)
    ]
    with Harness([relay], listen=listen, dns=ZONE) as proxy:
        sent = only(proxy.receive(proxy.request("MESSAGE", uri)), "MESSAGE")
        assert sent.flow.domain == domain
        proxy.receive(sent.answer(200))


def test_a_certificate_of_one_domain_says_nothing_of_another() -> None:
    with secure() as proxy:
        health = proxy.element.locator.locator.directory.health  # type: ignore[attr-defined]
        good, bad = (f"sip:bob@{name}.example;transport=tls" for name in ("one", "two"))
        waiting = only(proxy.receive(proxy.request("INVITE", good)), "INVITE")
        refused = only(proxy.receive(proxy.request("MESSAGE", bad)), "MESSAGE")
        answers = proxy.fail(refused, "its certificate is for one.example, not for two.example")
        assert [each.method for each in answers if each.status] == ["MESSAGE"]
        found = proxy.element.hops_now(good)
        assert found is not None
        assert found(proxy.now) == waiting.flow
        assert proxy.element.locator.in_turn(found, waiting.flow, proxy.now)
        assert len(health) == 1
        assert [each.status for each in proxy.receive(waiting.answer(486)) if each.status] == [486]


def test_what_a_connection_does_not_take_leaves_other_requests_alone() -> None:
    listen = ("udp:192.0.2.1:5060", "tcp:192.0.2.1:5060")
    with Harness([relay], listen=listen) as proxy:
        sent = [
            only(proxy.receive(proxy.request("INVITE", "sip:x@192.0.2.50;transport=tcp")), "INVITE")
            for _ in range(3)
        ]
        answers = proxy.fail(sent[1], "1048576 octets wait: the peer does not read")
        told = [each for each in answers if each.status]
        assert [each.headers.get("Call-ID") for each in told] == [sent[1].headers.get("Call-ID")]
        # but the end of the connection is the end of all
        proxy.element.lost(Flow(Transport.TCP, sent[0].to, US, 7), "reset", (sent[0].flow,))
        assert len([each for each in proxy.settle() if each.status]) == 2


def test_a_server_given_by_its_address_is_remembered_whoever_else_is_called() -> None:
    identity = Identity([Listener(Transport.UDP, US, US)], ["example.org"])
    finder = Finder(identity, Locator(ZoneResolver(""), rules_for(identity), now=lambda: 0.0))

    def hop(uri: str) -> Flow:
        hops = finder.now(uri, 0.0)
        assert hops is not None
        flow = hops(0.0)
        assert flow is not None
        return flow

    gateway = hop("sip:192.0.2.50")
    padding = "a" * 260  # URIs as long as that are not remembered
    for number in range(10_001):
        hop(f"sip:{padding}@10.1.{number >> 8}.{number & 255}")
    flow = hop("sip:192.0.2.50")
    assert flow == gateway
    hops = finder.now("sip:192.0.2.50", 0.0)
    assert hops is not None
    finder.failed(flow, Failure.TIMEOUT, None)
    assert not finder.in_turn(hops, flow, 0.0)
    finder.answered(flow)
    assert finder.in_turn(hops, flow, 0.0)
