"""RFC 3261 section 10.3, step by step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sip.registrar.support import AOR, FLOW, NOW, process, register, rows, settings, stored

from trunkline.errors import TrunklineError
from trunkline.sip.message import Request, parse
from trunkline.sip.registrar import (
    REASONS,
    Change,
    Order,
    Reason,
    Registrar,
    canonical_aor,
)
from trunkline.sip.uri import parse_uri

CONTACT = "<sip:alice@192.0.2.4>"
ELSEWHERE = "<sip:alice@192.0.2.9:5070;transport=tcp>"


def test_a_contact_is_bound_and_told() -> None:
    answer = process(register(f'{CONTACT};q=0.7;methods="INVITE, ACK"', expires="1800"))
    assert (answer.status, answer.reason) == (200, Reason.REGISTERED)
    [binding] = stored(answer)
    assert binding.contact == "sip:alice@192.0.2.4"
    assert (binding.call_id, binding.cseq, binding.q) == ("1@192.0.2.4", 1, 0.7)
    assert (binding.registered, binding.refreshed, binding.expires) == (NOW, NOW, NOW + 1800)
    assert (binding.flow, binding.node, binding.nat) == (FLOW, "n1", False)
    assert rows(answer, "Contact") == [
        '<sip:alice@192.0.2.4>;methods="INVITE, ACK";q=0.7;expires=1800'
    ]
    assert rows(answer, "Date") == ["Tue, 14 Nov 2023 22:13:20 GMT"]
    assert [(c.change, c.binding) for c in answer.changes] == [(Change.REGISTERED, binding)]
    response = answer.response(register(CONTACT), "tag9")
    assert response.status == 200
    assert (response.headers.get("to") or "").endswith(";tag=tag9")


def test_without_a_contact_the_bindings_are_told_and_stay() -> None:
    """Section 10.2.3; remaining seconds are rounded up."""
    bindings = stored(process(register(CONTACT, ELSEWHERE, expires="100")))
    answer = process(register(cseq=2), bindings, now=NOW + 40.5)
    assert (answer.reason, answer.bindings, answer.changes) == (Reason.FETCHED, None, ())
    assert rows(answer, "Contact") == [f"{CONTACT};expires=60", f"{ELSEWHERE};expires=60"]
    assert rows(process(register(), bindings, now=NOW + 100), "Contact") == []


# Steps 1 to 5


def test_step_1_another_domain() -> None:
    answer = process(register(CONTACT, uri="sip:biloxi.example"))
    assert (answer.status, answer.reason) == (404, Reason.OTHER_DOMAIN)
    assert process(register(CONTACT, uri="tel:+1")).reason is Reason.OTHER_DOMAIN
    assert process(register(CONTACT, uri="sip:[")).reason is Reason.BAD_TO


def test_step_2_an_extension_that_is_not_known() -> None:
    request = register(CONTACT, headers=[("Require", "path, foo"), ("Require", "gruu,outbound")])
    answer = process(request)
    assert (answer.status, rows(answer, "Unsupported")) == (420, ["foo, gruu"])
    using = settings(extensions=frozenset(("foo", "gruu")), outbound=False)
    assert rows(process(request, using=using), "Unsupported") == ["outbound"]


def test_step_4_a_user_who_may_not() -> None:
    registrar = Registrar(settings())
    asked: list[str] = []

    def authorized(aor: str) -> bool:
        asked.append(aor)
        return False

    answer = registrar.examine(register(CONTACT), authorized=authorized)
    assert not isinstance(answer, Order)
    assert (answer.status, answer.reason, asked) == (403, Reason.NOT_AUTHORIZED, [AOR])


@pytest.mark.parametrize(
    "to",
    [
        "<sip:alice@biloxi.example>",
        "<sip:atlanta.example>",
        "<tel:+14155550100>",
        "isbn:2983792873",
        f"<sip:{'a' * 240}@atlanta.example>",
    ],
)
def test_step_5_no_address_of_record_of_this_domain(to: str) -> None:
    answer = process(register(CONTACT, to=to))
    assert (answer.status, answer.reason) == (404, Reason.NOT_FOUND)


@pytest.mark.parametrize("to", ["", "<sip:alice@atlanta.example", "sip:al ice@atlanta.example"])
def test_step_5_a_to_that_cannot_be_read(to: str) -> None:
    answer = process(register(CONTACT, to=to))
    assert (answer.status, answer.reason) == (400, Reason.BAD_TO)


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("sip:alice@atlanta.example", AOR),
        ("SIPS:alice@ATLANTA.example.:5061;transport=tcp?a=b", AOR),
        ("sip:%61lice:secret@atlanta.example", AOR),
        ("sip:Alice@atlanta.example", "sip:Alice@atlanta.example"),
        ("sip:alice@192.0.2.1", AOR),
        ("sip:a%00b@atlanta.example", "sip:a\0b@atlanta.example"),
        ("sip:+1-415@gw;user=phone", "sip:+1-415@gw"),
        ("sip:a@[2001:DB8::1]", "sip:a@[2001:db8::1]"),
        ("sip:atlanta.example", "sip:atlanta.example"),
        ("tel:+1-415-555", "tel:+1415555"),
        ("mailto:alice@atlanta.example", None),
    ],
)
def test_step_5_the_canonical_form(uri: str, key: str | None) -> None:
    aliases = {"192.0.2.1": "atlanta.example"}
    assert canonical_aor(parse_uri(uri), aliases) == key


def test_step_5_aliases_of_a_domain() -> None:
    using = settings(aliases={"192.0.2.1": "atlanta.example"})
    for uri, to in (
        ("sip:192.0.2.1", "sip:alice@atlanta.example"),
        ("sip:atlanta.example", "sip:alice@192.0.2.1"),
    ):
        order = Registrar(using).examine(register(CONTACT, uri=uri, to=to))
        assert isinstance(order, Order)
        assert order.aor == AOR


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Call-ID", ""),
        ("Call-ID", "c" * 256),
        ("CSeq", "x"),
        ("CSeq", "4294967296 REGISTER"),
    ],
)
def test_a_sequence_that_cannot_be_read(name: str, value: str) -> None:
    request = register(CONTACT)
    request.headers.set(name, value)
    answer = process(request)
    assert (answer.status, answer.reason) == (400, Reason.BAD_SEQUENCE)


def test_a_damaged_message_is_refused() -> None:
    data = register(CONTACT).to_bytes().replace(b"CSeq", b"Require: x\ny: z\r\nCSeq")
    message = parse(data)
    assert isinstance(message, Request)
    answer = process(message)
    assert (answer.status, answer.reason) == (400, Reason.MALFORMED)


# Step 6


def test_step_6_a_star_removes_every_binding() -> None:
    bindings = stored(process(register(CONTACT, ELSEWHERE)))
    answer = process(register("*", expires="0", cseq=2), bindings)
    assert (answer.status, stored(answer), rows(answer, "Contact")) == (200, (), [])
    assert [changed.change for changed in answer.changes] == [Change.UNREGISTERED] * 2


@pytest.mark.parametrize(
    ("contacts", "expires"),
    [
        (["*", CONTACT], "0"),
        (["*", "*"], "0"),
        ([f"*, {CONTACT}"], "0"),
        (["*"], None),
        (["*"], "1"),
        (["*"], "soon"),
    ],
)
def test_step_6_a_star_must_stand_alone_and_end(contacts: list[str], expires: str | None) -> None:
    bindings = stored(process(register(CONTACT)))
    answer = process(register(*contacts, expires=expires, cseq=2), bindings)
    assert (answer.status, answer.reason, answer.bindings) == (400, Reason.BAD_STAR, None)


@pytest.mark.parametrize(
    ("call_id", "cseq", "status"),
    [("other", 1, 200), ("1@192.0.2.4", 1, 500), ("1@192.0.2.4", 0, 500)],
)
@pytest.mark.parametrize(("contact", "expires"), [("*", "0"), (CONTACT, "0"), (CONTACT, "600")])
def test_steps_6_and_7_the_order_of_requests(
    call_id: str, cseq: int, status: int, contact: str, expires: str
) -> None:
    bindings = stored(process(register(CONTACT)))
    request = register(contact, expires=expires, call_id=call_id, cseq=cseq)
    answer = process(request, bindings, now=NOW + 1)
    assert answer.status == status
    assert (answer.bindings is None) == (status == 500)
    assert (answer.reason is Reason.OUT_OF_ORDER) == (status == 500)


# Step 7


@pytest.mark.parametrize(
    ("parameter", "header", "granted"),
    [
        (";expires=600", "900", 600),
        ("", "900", 900),
        ("", None, 3600),
        (";expires=99999", None, 7200),
        (";expires=9999999999999999999999", None, 7200),
        (";expires=soon", "900", 3600),
        (";expires", "900", 3600),
        (';expires="600"', None, 600),
        ("", "Thu, 01 Dec 1994 16:00:00 GMT", 3600),
        (";expires=0000000000600", None, 600),
    ],
)
def test_step_7_the_interval(parameter: str, header: str | None, granted: int) -> None:
    [binding] = stored(process(register(CONTACT + parameter, expires=header)))
    assert binding.expires == NOW + granted


def test_step_7_an_interval_too_brief() -> None:
    answer = process(register(CONTACT, f"{ELSEWHERE};expires=59", expires="600"))
    assert (answer.status, answer.reason, answer.bindings) == (423, Reason.TOO_BRIEF, None)
    assert rows(answer, "Min-Expires") == ["60"]
    assert process(register(CONTACT, expires="60")).status == 200


def test_step_7_bindings_are_found_by_the_rules_for_uris() -> None:
    bindings = stored(process(register("<sip:alice@PHONE.example;x=1>")))
    answer = process(
        register("<sip:%61lice@phone.example>", expires="600", cseq=2), bindings, now=NOW + 10
    )
    [binding] = stored(answer)
    assert binding.contact == "sip:%61lice@phone.example"
    assert [changed.change for changed in answer.changes] == [Change.SHORTENED]
    assert (binding.id, binding.registered) == (bindings[0].id, NOW)
    assert len(stored(process(register("<sip:alice@phone.example:5060>", cseq=2), bindings))) == 2


def test_step_7_refreshed_shortened_removed() -> None:
    first = stored(process(register(CONTACT, expires="600")))
    longer = process(register(CONTACT, expires="600", cseq=2), first, now=NOW + 100)
    assert [changed.change for changed in longer.changes] == [Change.REFRESHED]
    [binding] = stored(longer)
    assert (binding.registered, binding.refreshed) == (NOW, NOW + 100)
    assert binding.id == first[0].id
    shorter = process(register(CONTACT, expires="60", cseq=3), stored(longer), now=NOW + 101)
    assert [changed.change for changed in shorter.changes] == [Change.SHORTENED]
    gone = process(register(CONTACT, expires="0", cseq=4), stored(shorter), now=NOW + 102)
    assert [changed.change for changed in gone.changes] == [Change.UNREGISTERED]
    assert stored(gone) == ()
    assert process(register(CONTACT, expires="0", cseq=5), (), now=NOW).changes == ()


def test_step_7_all_or_nothing() -> None:
    bindings = stored(process(register(CONTACT, cseq=5)))
    late = process(register(ELSEWHERE, CONTACT, cseq=5), bindings)
    assert (late.status, late.bindings, late.changes) == (500, None, ())


def test_step_7_a_contact_twice_in_one_request_is_one_binding() -> None:
    answer = process(register(f"{CONTACT};q=0.1", f"{CONTACT};q=0.2"))
    [binding] = stored(answer)
    assert binding.q == 0.2


def test_what_has_expired_is_no_obstacle_and_is_told() -> None:
    bindings = stored(process(register(CONTACT, expires="60", cseq=9)))
    answer = process(register(ELSEWHERE, cseq=1), bindings, now=NOW + 60)
    assert [binding.contact for binding in stored(answer)] == [ELSEWHERE.strip("<>")]
    assert [changed.change for changed in answer.changes] == [Change.EXPIRED, Change.REGISTERED]


def test_contacts_are_bounded() -> None:
    using = settings(max_contacts=2)
    three = [f"<sip:a@192.0.2.{i}>" for i in range(3)]
    answer = process(register(*three), using=using)
    assert (answer.status, answer.reason, answer.bindings) == (403, Reason.TOO_MANY, None)
    two = stored(process(register(*three[:2]), using=using))
    assert process(register(three[2], cseq=2), two, using=using).reason is Reason.TOO_MANY
    replaced = process(register(f"{three[0]};expires=0", three[2], cseq=2), two, using=using)
    assert len(stored(replaced)) == 2
    # Those there were before the bound was lowered can still be refreshed.
    lower = settings(max_contacts=1)
    assert process(register(*three[:2], cseq=2), two, using=lower).status == 200


@pytest.mark.parametrize(
    "contact",
    [
        "",
        "<sip:alice@192.0.2.4",
        "sip:alice@192.0.2.4?Route=%3Csip:x%3E",
        "<sip:alice@192.0.2.4>;q=2",
        "<sip:alice@>",
        "<>",
        "<sip:alice@192.0.2.4;x=" + "x" * 2048 + ">",
    ],
)
def test_contacts_that_are_refused(contact: str) -> None:
    answer = process(register(contact))
    assert (answer.status, answer.reason, answer.bindings) == (400, Reason.BAD_CONTACT, None)
    assert answer.detail


def test_any_scheme_may_be_a_contact() -> None:
    """Section 10.2.1: telephone numbers and mail addresses too."""
    contacts = ["<tel:+14155550100>", '"Mr. Watson" <mailto:watson@bell.example>;q=0.1']
    assert len(stored(process(register(*contacts)))) == 2


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_contact_is_bound_or_refused(contacts: list[str]) -> None:
    try:
        request = register(*contacts)
    except TrunklineError:
        return  # no header value
    answer = process(request)
    assert answer.status in (200, 400, 423)
    for value in rows(answer, "Contact"):
        assert process(register(value, call_id="2")).status == 200


# RFC 4475


@pytest.mark.parametrize(
    ("name", "contact"),
    [
        ("escnull", None),
        ("cparam01", "sip:+19725552222@gw1.example.net"),
        ("cparam02", "sip:+19725552222@gw1.example.net;unknownparam"),
        ("regescrt", "sip:user@example.com?Route=%3Csip:sip.example.com%3E"),
    ],
)
def test_torture_messages_that_register(vectors: Path, name: str, contact: str | None) -> None:
    message = parse((vectors / "sip-torture" / "rfc4475" / f"{name}.dat").read_bytes())
    assert isinstance(message, Request)
    answer = process(message, using=settings(domains=frozenset(("example.com",))))
    bindings = stored(answer)
    if contact is None:
        assert [b.contact for b in bindings] == [
            "sip:%00@host5.example.com",
            "sip:%00%00@host5.example.com",
        ]
    else:
        assert [binding.contact for binding in bindings] == [contact]


def test_torture_messages_that_are_refused(vectors: Path) -> None:
    folder = vectors / "sip-torture" / "rfc4475"
    using = settings(domains=frozenset(("example.com",)))
    for name, reason in (("regbadct", Reason.BAD_CONTACT), ("unksm2", Reason.NOT_FOUND)):
        message = parse((folder / f"{name}.dat").read_bytes())
        assert isinstance(message, Request)
        assert process(message, using=using).reason is reason


# Settings, reasons


@pytest.mark.parametrize(
    "changes",
    [
        {"domains": frozenset()},
        {"aliases": {"x": "biloxi.example"}},
        {"min_expires": 3601},
        {"min_expires": -1},
        {"default_expires": 59},
        {"max_expires": 3599},
        {"max_expires": 1 << 32},
        {"max_contacts": 0},
        {"flow_timer": -1},
    ],
)
def test_settings_that_cannot_work(changes: dict[str, object]) -> None:
    with pytest.raises(TrunklineError) as caught:
        settings(**changes)
    assert caught.value.code == "sip.registrar-settings"


def test_every_reason_is_documented_in_its_own_words() -> None:
    page = Path(__file__).parents[3] / "docs" / "conformance" / "rfc3261-registrar.md"
    found = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", page.read_text("utf-8"), re.MULTILINE))
    assert found == {reason.value: words for reason, words in REASONS.items()}
    assert set(REASONS) == set(Reason)
