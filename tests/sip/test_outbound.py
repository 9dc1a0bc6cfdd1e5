"""RFC 5626 and RFC 3327 as data: flow tokens, Path, and the targets of an instance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.binding import Binding
from trunkline.sip.headers import NameAddr
from trunkline.sip.message import Request
from trunkline.sip.outbound import (
    FlowTokens,
    PathOutcome,
    add_path,
    instance_of,
    is_first_hop,
    path_value,
    reg_id_of,
    target_groups,
)
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.uri import Uri

TOKENS = FlowTokens(b"sixteen octets !")
V4 = st.tuples(st.sampled_from(["192.0.2.1", "255.255.255.255", "0.0.0.0"]), st.integers(0, 65535))
V6 = st.tuples(st.sampled_from(["2001:db8::1", "::", "::ffff:1.2.3.4"]), st.integers(0, 65535))
FLOWS = st.sampled_from([V4, V6]).flatmap(
    lambda family: st.builds(
        Flow, st.sampled_from(Transport), family, family, st.integers(0, 2**63)
    )
)


@given(FLOWS, st.integers(0, 65535))
def test_a_token_leads_back_to_its_flow(flow: Flow, node: int) -> None:
    token = TOKENS.make(flow, node)
    found = TOKENS.open(token)
    assert found is not None
    opened, owner = found
    assert owner == node
    assert (opened.transport, opened.connection) == (flow.transport, flow.connection)
    assert TOKENS.make(opened, node) == token
    value = path_value("edge.example", 5060, Transport.TCP, token=token, outbound=True)
    uri = NameAddr.parse(value).uri
    assert isinstance(uri, Uri)
    assert (uri.user, uri.port, set(uri.params)) == (token, 5060, {"transport", "lr", "ob"})


@given(FLOWS, st.data())
def test_a_changed_token_is_not_ours(flow: Flow, data: st.DataObject) -> None:
    token = TOKENS.make(flow)
    at = data.draw(st.integers(0, len(token) - 2))  # the last one has bits that say nothing
    character = data.draw(st.sampled_from("ABCxyz09-_="))
    changed = token[:at] + character + token[at + 1 :]
    assert (TOKENS.open(changed) is None) == (changed != token)
    assert FlowTokens(b"another sixteen.").open(token) is None


@given(st.text(max_size=130) | st.text("ABCabc019-_", max_size=130))
def test_any_text_is_no_token(text: str) -> None:
    assert TOKENS.open(text) is None


def test_a_secret_is_long_enough() -> None:
    with pytest.raises(TrunklineError) as caught:
        FlowTokens(b"short")
    assert caught.value.code == "sip.flow-secret"


def request(*rows: tuple[str, str]) -> Request:
    return Request.build("REGISTER", "sip:example.com", [("Via", "SIP/2.0/UDP a"), *rows])


def test_a_path_goes_on_top_with_the_user_agents_consent() -> None:
    asking = request(("Supported", "gruu, PATH"), ("Path", "<sip:p1;lr>"))
    assert add_path(asking, "<sip:p2;lr>") is PathOutcome.ADDED
    assert asking.headers.all("path") == ["<sip:p2;lr>", "<sip:p1;lr>"]
    assert "require" not in asking.headers
    needing = request(("Supported", "path"))
    assert add_path(needing, "<sip:p2;lr>", needed=True) is PathOutcome.ADDED
    assert add_path(needing, "<sip:p3;lr>", needed=True) is PathOutcome.ADDED
    assert needing.headers.all("require") == ["path"]
    silent = request()
    assert add_path(silent, "<sip:p2;lr>") is PathOutcome.LEFT_OUT
    assert add_path(silent, "<sip:p2;lr>", needed=True) is PathOutcome.REFUSED
    assert "path" not in silent.headers


def test_the_first_hop_sees_one_via() -> None:
    assert is_first_hop(request())
    assert not is_first_hop(request(("Via", "SIP/2.0/UDP b")))
    assert not is_first_hop(
        Request.build("REGISTER", "sip:x", [("Via", "SIP/2.0/UDP a, SIP/2.0/UDP b")])
    )


def test_a_path_may_be_an_ipv6_address() -> None:
    value = path_value("2001:db8::1", None, Transport.UDP)
    assert value == "<sip:[2001:db8::1];transport=udp;lr>"


@pytest.mark.parametrize(
    ("value", "instance"),
    [
        ("<urn:uuid:AB>", "urn:uuid:ab"),
        ("<urn:x:1>", "urn:x:1"),
        (None, ""),
        ("", ""),
        ("urn:x:1", ""),
        ("<>", ""),
        ("<a b>", ""),
        ("<" + "x" * 256 + ">", ""),
    ],
)
def test_instances(value: str | None, instance: str) -> None:
    assert instance_of(value) == instance


def test_reg_ids() -> None:
    assert (reg_id_of(None), reg_id_of("1"), reg_id_of("2147483647")) == (0, 1, 2147483647)
    for value in ("", "0", "2147483648", "1 ", "\u0661"):
        with pytest.raises(DecodeError) as caught:
            reg_id_of(value)
        assert caught.value.code == "sip.reg-id"


def binding(contact: str, instance: str = "", refreshed: float = 0.0, **more: object) -> Binding:
    values = {"q": None, "registered": 0.0, **more}
    return Binding(
        contact, "id", 1, 9.0, refreshed=refreshed, instance=instance, **values  # type: ignore[arg-type]
    )  # fmt: skip


def test_of_one_instance_one_target_at_a_time() -> None:
    old = binding("sip:a@1", "urn:x:1", 1.0, reg_id=1)
    new = binding("sip:a@2", "urn:x:1", 2.0, reg_id=2)
    other = binding("sip:b@1", "urn:x:2", 3.0, registered=1.0)
    plain = binding("sip:c@1", registered=2.0)
    assert target_groups([old, plain, new, other]) == [[new, old], [other], [plain]]
    assert target_groups([]) == []


def test_groups_stand_by_preference() -> None:
    contacts = [
        binding("sip:low@1", q=0.1),
        binding("sip:none@1", registered=5.0),
        binding("sip:first@1", q=1.0),
        binding("sip:mid@1", q=0.5),
    ]
    order = [group[0].contact for group in target_groups(contacts)]
    assert order == ["sip:first@1", "sip:none@1", "sip:mid@1", "sip:low@1"]
