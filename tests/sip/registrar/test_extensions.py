"""Path, Service-Route, Outbound and GRUU at the registrar: RFC 3327, 3608, 5626, 5627."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.sip.registrar.support import (
    AOR,
    FLOW,
    INSTANCE,
    NOW,
    process,
    register,
    rows,
    settings,
    stored,
)

from trunkline.sip.binding import hangs
from trunkline.sip.gruu import GruuMaker
from trunkline.sip.headers import NameAddr
from trunkline.sip.registrar import Change, Reason, without_flow
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.uri import parse_uri

BOTH = ("Supported", "path, outbound")
PATH = ("Path", "<sip:P3.example;lr>, <sip:P1.example;lr>")
CONTACT = "<sip:bob@192.0.2.2;transport=tcp>"
FLOW_CONTACT = f'{CONTACT};reg-id=1;+sip.instance="<{INSTANCE}>"'
EDGE = ("Path", "<sip:token@edge.example;lr;ob>")
MAKER = GruuMaker(b"sixteen octets !")


# RFC 3327, RFC 3608


def test_the_path_is_stored_in_order_and_told() -> None:
    answer = process(register(CONTACT, headers=[BOTH, PATH], vias=3))
    [binding] = stored(answer)
    assert binding.path == ("<sip:P3.example;lr>", "<sip:P1.example;lr>")
    assert rows(answer, "Path") == list(binding.path)


def test_a_path_that_the_user_agent_does_not_know_is_refused() -> None:
    request = register(CONTACT, headers=[PATH], vias=2)
    answer = process(request)
    assert (answer.status, answer.reason) == (420, Reason.PATH)
    assert rows(answer, "Unsupported") == ["path"]
    assert process(request, using=settings(path_unasked=True)).status == 200


@pytest.mark.parametrize("value", ["sip:x y", "<tel:+1>", "<sip:[>", "<sip:a@" + "a" * 2048 + ">"])
def test_a_path_that_cannot_be_followed_is_refused(value: str) -> None:
    answer = process(register(CONTACT, headers=[BOTH, ("Path", value)]))
    assert (answer.status, answer.reason) == (400, Reason.BAD_CONTACT)


def test_the_service_route_is_told_on_fetching_too() -> None:
    """RFC 3608 section 6.3."""
    using = settings(service_route=("<sip:P2.example;lr>", "<sip:HSP.example;lr>"))
    for request in (register(CONTACT), register()):
        assert rows(process(request, using=using), "Service-Route") == list(using.service_route)


# RFC 5626 section 6


def test_a_flow_is_found_by_instance_and_reg_id() -> None:
    answer = process(register(FLOW_CONTACT, headers=[BOTH]))
    [binding] = stored(answer)
    assert (binding.instance, binding.reg_id, binding.flow) == (INSTANCE, 1, FLOW)
    assert rows(answer, "Require") == ["outbound"]
    assert rows(answer, "Contact") == [f"{FLOW_CONTACT};expires=3600"]
    # The same flow again, after a reboot: another Call-ID, another contact.
    moved = replace(FLOW, remote=("192.0.2.99", 1024))
    again = process(
        register(FLOW_CONTACT.replace("192.0.2.2", "192.0.2.7"), call_id="2", headers=[BOTH]),
        [binding],
        now=NOW + 5,
        flow=moved,
    )
    [renewed] = stored(again)
    assert (renewed.contact, renewed.flow) == ("sip:bob@192.0.2.7;transport=tcp", moved)
    assert [c.change for c in again.changes] == [Change.UNREGISTERED, Change.REGISTERED]
    # Another flow of the same instance stands beside it, with the same URI too.
    second = process(
        register(FLOW_CONTACT.replace("reg-id=1", "reg-id=2"), call_id="3", headers=[BOTH]),
        [binding],
    )
    assert [b.reg_id for b in stored(second)] == [1, 2]
    gone = process(
        register(f"{FLOW_CONTACT};expires=0", cseq=2, headers=[BOTH]), stored(second), now=NOW + 1
    )
    assert [b.reg_id for b in stored(gone)] == [2]


def test_flows_and_contacts_stand_side_by_side() -> None:
    flows = stored(process(register(FLOW_CONTACT, headers=[BOTH])))
    both = stored(process(register(CONTACT, call_id="2"), flows))
    assert [(b.contact, b.reg_id) for b in both] == [(flows[0].contact, 1), (flows[0].contact, 0)]


def test_behind_proxies_the_first_hop_must_keep_flows() -> None:
    plain = ("Path", "<sip:edge.example;lr>")
    for path in ([], [plain], [("Path", f"{EDGE[1]}, {plain[1]}")]):
        answer = process(register(FLOW_CONTACT, headers=[BOTH, *path], vias=2))
        assert (answer.status, answer.reason) == (439, Reason.NO_OUTBOUND)
        assert answer.phrase == "First Hop Lacks Outbound Support"
    # Proxies add their values on top of the first hop's.
    for path in ([EDGE], [plain, EDGE], [("Path", f"{plain[1]}, {EDGE[1]}")]):
        answer = process(register(FLOW_CONTACT, headers=[BOTH, *path], vias=3))
        assert [b.reg_id for b in stored(answer)] == [1]
        assert rows(answer, "Require") == ["outbound"]


def test_a_reg_id_is_passed_over_where_flows_are_not_kept() -> None:
    only_path = ("Supported", "path")
    behind = process(register(FLOW_CONTACT, headers=[only_path], vias=2))
    without_instance = process(register(f"{CONTACT};reg-id=1", headers=[BOTH]))
    switched_off = process(
        register(FLOW_CONTACT, headers=[("Supported", "path")]), using=settings(outbound=False)
    )
    for answer in (behind, without_instance, switched_off):
        assert [b.reg_id for b in stored(answer)] == [0]
        assert rows(answer, "Require") == []


def test_require_outbound_only_to_those_who_support_it() -> None:
    answer = process(register(FLOW_CONTACT))
    assert [b.reg_id for b in stored(answer)] == [1]
    assert rows(answer, "Require") == []


def test_a_flow_is_registered_alone() -> None:
    both = [FLOW_CONTACT, "<sip:bob@192.0.2.50>"]
    answer = process(register(*both, headers=[BOTH]))
    assert (answer.status, answer.reason) == (400, Reason.BAD_FLOW)
    assert process(register(both[0], f"{both[1]};expires=0", headers=[BOTH])).status == 200


@pytest.mark.parametrize("value", ["0", "x", "2147483648", "-1", "99999999999"])
def test_a_reg_id_is_a_number(value: str) -> None:
    answer = process(register(FLOW_CONTACT.replace("reg-id=1", f"reg-id={value}"), headers=[BOTH]))
    assert (answer.status, answer.reason) == (400, Reason.BAD_FLOW)


def test_the_flow_timer_goes_to_flows_that_end_here() -> None:
    using = settings(flow_timer=120)
    direct = process(register(FLOW_CONTACT, headers=[BOTH]), using=using)
    behind = process(register(FLOW_CONTACT, headers=[BOTH, EDGE], vias=2), using=using)
    no_flow = process(register(CONTACT, headers=[BOTH]), using=using)
    assert [rows(a, "Flow-Timer") for a in (direct, behind, no_flow)] == [["120"], [], []]


def test_a_failed_flow_takes_its_bindings_along() -> None:
    flow = Flow(Transport.TCP, ("192.0.2.4", 40000), ("203.0.113.1", 5060), 7)
    ours = stored(process(register(FLOW_CONTACT, headers=[BOTH]), flow=flow))
    others = stored(process(register(CONTACT, call_id="2")))
    both = (*ours, *others)
    assert without_flow(both, flow, "n1") == others
    assert without_flow(both, flow, "n2") == both
    assert without_flow(both, replace(flow, connection=8), "n1") == both


def test_a_contact_that_does_not_hang_on_its_flow_outlives_it() -> None:
    plain = "<sip:bob@192.0.2.4;transport=tcp>"

    def left(transport: Transport, contact: str = plain) -> list[Flow | None]:
        flow = Flow(transport, ("192.0.2.4", 5060), ("203.0.113.1", 5060), 7)
        bindings = stored(process(register(contact, headers=[BOTH]), flow=flow))
        assert all(map(hangs, bindings))
        return [binding.flow for binding in without_flow(bindings, flow, "n1")]

    assert left(Transport.TCP) == [None]  # a new connection may lead to the contact
    assert left(Transport.WS) == []  # nobody can connect to a browser
    assert left(Transport.TCP, f'{plain};reg-id=1;+sip.instance="<{INSTANCE}>"') == []
    assert left(Transport.TCP, CONTACT) == []  # behind a NAT


def test_a_flow_that_a_path_leads_to_is_another_elements() -> None:
    flow = Flow(Transport.TCP, ("192.0.2.4", 40000), ("203.0.113.1", 5060), 7)
    bindings = stored(process(register(FLOW_CONTACT, headers=[BOTH, EDGE], vias=2), flow=flow))
    assert not any(map(hangs, bindings))
    assert without_flow(bindings, flow, "n1") == bindings


# RFC 5627 section 5

GRUU_CONTACT = f'<sip:callee@192.0.2.2>;+sip.instance="<{INSTANCE}>"'
GRUU = ("Supported", "gruu")
USING = settings(gruu=MAKER)


def gruus(value: str) -> tuple[str, str]:
    params = NameAddr.parse(value).params
    return params["pub-gruu"] or "", params["temp-gruu"] or ""


def test_an_instance_gets_two_gruus() -> None:
    answer = process(register(GRUU_CONTACT, headers=[GRUU]), using=USING)
    [binding] = stored(answer)
    public, temporary = gruus(rows(answer, "Contact")[0])
    assert public == f"sip:alice@atlanta.example;gr={INSTANCE}"
    assert re.fullmatch(r"sip:tgruu\.[\w-]+@atlanta\.example;gr", temporary)
    for uri in (public, temporary):
        gruu = MAKER.open(parse_uri(uri))
        assert gruu is not None
        assert (gruu.aor, gruu.select([binding])) == (AOR, (binding,))
    assert rows(answer, "Require") == rows(answer, "Supported") == []


def test_gruus_are_told_to_those_who_know_them() -> None:
    assert "gruu" not in rows(process(register(GRUU_CONTACT), using=USING), "Contact")[0]
    without = process(register(GRUU_CONTACT, headers=[GRUU]))
    assert "gruu" not in rows(without, "Contact")[0]
    plain = process(register("<sip:a@192.0.2.1>", headers=[GRUU]), using=USING)
    assert "gruu" not in rows(plain, "Contact")[0]
    assert process(register(GRUU_CONTACT, headers=[("Require", "gruu")]), using=USING).status == 200


def test_what_the_user_agent_says_of_gruus_is_ignored() -> None:
    suggested = f'{GRUU_CONTACT};pub-gruu="sip:x@y;gr=1";temp-gruu="sip:x@y;gr"'
    answer = process(register(suggested, headers=[GRUU]), using=USING)
    assert "sip:x@y" not in rows(answer, "Contact")[0]
    assert "gruu" not in stored(answer)[0].parameters


def test_temporary_gruus_accumulate_until_the_call_id_changes() -> None:
    first = process(register(GRUU_CONTACT, headers=[GRUU]), using=USING)
    _, one = gruus(rows(first, "Contact")[0])
    second = process(
        register(GRUU_CONTACT, cseq=2, headers=[GRUU]), stored(first), now=NOW + 9, using=USING
    )
    public, two = gruus(rows(second, "Contact")[0])
    third = process(
        register(GRUU_CONTACT, call_id="2", headers=[GRUU]),
        stored(second),
        now=NOW + 9,
        using=USING,
    )
    _, three = gruus(rows(third, "Contact")[0])

    def valid(uri: str, bindings: tuple[object, ...]) -> bool:
        gruu = MAKER.open(parse_uri(uri))
        assert gruu is not None
        return bool(gruu.select(bindings))  # type: ignore[arg-type]

    assert [valid(uri, stored(second)) for uri in (one, two)] == [True, True]
    assert [valid(u, stored(third)) for u in (one, two, three, public)] == [
        False,
        False,
        True,
        True,
    ]
    # When the last contact is gone, so are its temporary GRUUs, even for the same Call-ID.
    later = process(
        register(GRUU_CONTACT, call_id="2", cseq=9, headers=[GRUU]), now=NOW + 99, using=USING
    )
    assert not valid(three, stored(later))


def test_one_flow_keeps_the_gruus_of_another_and_a_new_call_id_ends_them_all() -> None:
    def flow(number: int, call_id: str, cseq: int = 1) -> str:
        return f'<sip:bob@192.0.2.{number}>;reg-id={number};+sip.instance="<{INSTANCE}>"'

    headers = [("Supported", "path, outbound, gruu")]
    one = process(register(flow(1, "1"), headers=headers), using=USING)
    two = process(
        register(flow(2, "2"), call_id="2", headers=headers), stored(one), now=NOW + 1, using=USING
    )
    assert len({b.gruu for b in stored(two)}) == 1
    assert stored(two)[0].gruu == stored(one)[0].gruu
    three = process(
        register(flow(1, "3"), call_id="3", headers=headers), stored(two), now=NOW + 2, using=USING
    )
    assert len({b.gruu for b in stored(three)}) == 1
    assert stored(three)[0].gruu > stored(two)[0].gruu


def test_a_contact_that_would_lead_back_is_refused() -> None:
    answer = process(register(GRUU_CONTACT, headers=[GRUU]), using=USING)
    public, temporary = gruus(rows(answer, "Contact")[0])
    for uri in ("sip:alice@atlanta.example", public, temporary, "tel:+1", "mailto:a@b"):
        contact = f'<{uri}>;+sip.instance="<{INSTANCE}>"'
        refused = process(register(contact, headers=[GRUU]), using=USING)
        assert (refused.status, refused.reason) == (403, Reason.GRUU)
        assert process(register(f"{contact};expires=0", headers=[GRUU]), using=USING).status == 200
        assert process(register(f"<{uri}>", headers=[GRUU]), using=USING).status == 200
