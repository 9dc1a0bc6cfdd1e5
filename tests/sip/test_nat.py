"""Signs of a NAT, and what is done to contacts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import TrunklineError
from trunkline.sip.binding import Binding
from trunkline.sip.message import Request
from trunkline.sip.nat import (
    KeepAlive,
    KeepAliveMethod,
    NatSign,
    alias_contact,
    fix_contact,
    is_private,
    nat_signs,
    open_alias,
)
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.uri import Uri

SOURCE = ("198.51.100.7", 40000)
US = ("203.0.113.1", 5060)


def request(
    contact: str = "<sip:a@198.51.100.7:40000>", via: str = "198.51.100.7:40000"
) -> Request:
    return Request.build(
        "REGISTER",
        "sip:example.com",
        [("Via", f"SIP/2.0/UDP {via};branch=z9hG4bK1"), ("Contact", contact)],
    )


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("10.1.2.3", True),
        ("172.31.0.1", True),
        ("172.32.0.1", False),
        ("192.168.0.1", True),
        ("100.64.0.1", True),
        ("100.128.0.1", False),
        ("169.254.1.1", True),
        ("127.0.0.1", True),
        ("8.8.8.8", False),
        ("fd00::1", True),
        ("fe80::1", True),
        ("::1", True),
        ("2001:db8::1", False),
        ("pc.example", False),
        ("", False),
    ],
)
def test_private_addresses(host: str, private: bool) -> None:
    assert is_private(host) is private


BOTH = {NatSign.CONTACT_DIFFERS, NatSign.CONTACT_PRIVATE}


@pytest.mark.parametrize(
    ("contact", "via", "signs"),
    [
        ("<sip:a@198.51.100.7:40000>", "198.51.100.7:40000", set()),
        ("<sip:a@192.168.1.2>", "198.51.100.7:40000", BOTH),
        ("<sip:a@198.51.100.9>", "198.51.100.7:40000", {NatSign.CONTACT_DIFFERS}),
        ("<sip:a@198.51.100.7>", "198.51.100.7:40000", {NatSign.CONTACT_PORT_DIFFERS}),
        ("<sip:a@pc.example>", "pc.example:40000", set()),
        ("<sip:a@pc.example>", "192.168.1.2:40000", {NatSign.VIA_DIFFERS}),
        ("<sip:a@pc.example>", "198.51.100.7", {NatSign.VIA_PORT_DIFFERS}),
        ("<sip:a@192.168.001.002>", "[::1]", {*BOTH, NatSign.VIA_DIFFERS}),
        ("*", "198.51.100.7:40000", set()),
        ("<tel:+1>", "198.51.100.7:40000", set()),
        ("<sip:", "nonsense host", set()),
    ],
)
def test_signs(contact: str, via: str, signs: set[NatSign]) -> None:
    assert nat_signs(request(contact, via), SOURCE) == signs


def test_over_a_stream_the_port_says_nothing() -> None:
    streamed = request("<sip:a@pc.example>")
    streamed.headers.set("Via", "SIP/2.0/TCP 198.51.100.7;branch=z9hG4bK1")
    assert nat_signs(streamed, SOURCE) == set()


@pytest.mark.parametrize(
    ("transport", "contact", "fixed"),
    [
        (Transport.UDP, "<sip:a@10.0.0.1>;q=1", "<sip:a@198.51.100.7:40000>;q=1"),
        (
            Transport.TCP,
            '"A" <sip:a@10.0.0.1:5070;transport=udp;x=1>',
            '"A" <sip:a@198.51.100.7:40000;x=1;transport=tcp>',
        ),
        (Transport.UDP, "sip:a@10.0.0.1;expires=5", "<sip:a@198.51.100.7:40000>;expires=5"),
    ],
)
def test_contacts_are_fixed(transport: Transport, contact: str, fixed: str) -> None:
    message = request(contact)
    assert fix_contact(message, Flow(transport, SOURCE, US)) == 1
    assert message.headers.get("contact") == fixed


def test_what_is_no_sip_contact_is_left_alone() -> None:
    message = request("*")
    message.headers.add("m", "<tel:+1>, <sip:a@10.0.0.1>, <broken")
    assert fix_contact(message, Flow(Transport.UDP, SOURCE, US)) == 1
    assert message.headers.all("contact") == [
        "*",
        "<tel:+1>, <sip:a@198.51.100.7:40000>, <broken",
    ]
    assert fix_contact(message, Flow(Transport.UDP, SOURCE, US)) == 0


HOSTS = st.sampled_from(["198.51.100.7", "2001:db8::7"])


@given(st.sampled_from(Transport), HOSTS, st.integers(1, 65535))
def test_an_alias_leads_back(transport: Transport, host: str, port: int) -> None:
    message = request("<sip:a@10.0.0.1;transport=tcp;x=1>;q=0.5")
    flow = Flow(transport, (host, port), US)
    assert alias_contact(message, flow) == 1
    assert alias_contact(message, flow) == 0  # it is there
    value = message.headers.get("contact") or ""
    assert value.endswith(">;q=0.5")
    uri = Uri.parse(value[1 : value.index(">")])
    assert open_alias(uri) == (
        Uri.parse("sip:a@10.0.0.1;transport=tcp;x=1"),
        transport,
        (host, port),
    )


def test_an_alias_looks_like_kamailios() -> None:
    message = request("<sip:a@10.0.0.1>")
    alias_contact(message, Flow(Transport.UDP, SOURCE, US))
    assert message.headers.get("contact") == "<sip:a@10.0.0.1;alias=198.51.100.7~40000~1>"


@pytest.mark.parametrize(
    "alias",
    [
        "",
        "x",
        "1.2.3.4~5060",
        "1.2.3.4~5060~4",
        "1.2.3.4~0~1",
        "1.2.3.4~65536~1",
        "h~1~1",
        "1~1~1~1",
    ],
)
def test_an_alias_that_leads_nowhere(alias: str) -> None:
    assert open_alias(Uri.parse(f"sip:a@h;alias={alias}")) is None
    assert open_alias(Uri.parse("sip:a@h;alias")) is None
    assert open_alias(Uri.parse("sip:a@h")) is None


def test_which_bindings_are_kept_reachable() -> None:
    def bound(transport: Transport | None, nat: bool) -> Binding:
        flow = None if transport is None else Flow(transport, SOURCE, US)
        return Binding("sip:a@h", "id", 1, 2.0, 1.0, 1.0, flow=flow, nat=nat)

    policy = KeepAlive(interval=20)
    assert policy.method is KeepAliveMethod.OPTIONS
    assert policy.due(bound(Transport.UDP, True), 20)
    assert not policy.due(bound(Transport.UDP, True), 19.9)
    assert not policy.due(bound(Transport.UDP, False), 20)
    assert KeepAlive(behind_nat_only=False).due(bound(Transport.UDP, False), 25)
    assert not policy.due(bound(Transport.TCP, True), 99)
    assert not policy.due(bound(None, True), 99)
    for wrong in ({"interval": 0.5}, {"failures": -1}):
        with pytest.raises(TrunklineError) as caught:
            KeepAlive(**wrong)
        assert caught.value.code == "sip.keep-alive"
