"""Dialogs: RFC 3261 section 12, and 6665 4.4.1 for those that a NOTIFY makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.dialog import TABLE, Dialog, DialogId, DialogState, Role, Trigger
from trunkline.sip.message import Request, Response, parse


def invite(*rows: tuple[str, str], uri: str = "sip:bob@biloxi.example") -> Request:
    return Request.build(
        "INVITE",
        uri,
        [
            ("Via", "SIP/2.0/UDP pc33.atlanta.example;branch=z9hG4bKnashds8"),
            ("From", "Alice <sip:alice@atlanta.example>;tag=1928301774"),
            ("To", '"Bob; <B>" <sip:bob@biloxi.example>'),
            ("Call-ID", "a84b4c76e66710"),
            ("CSeq", "314159 INVITE"),
            ("Contact", "<sip:alice@pc33.atlanta.example>"),
            *rows,
        ],
    )


def answer(request: Request, status: int = 200, *rows: tuple[str, str]) -> Response:
    contact = [] if any(name == "Contact" for name, _ in rows) else [("Contact", "<sip:bob@phone>")]
    return Response.answer(request, status, headers=[*contact, *rows], to_tag="a6c85cf")


def test_both_ends_have_the_same_dialog_from_two_sides() -> None:
    request = invite(("Record-Route", "<sip:p2;lr>, <sip:p1;lr;x=y>"))
    response = answer(request, 200, ("Record-Route", "<sip:p2;lr>, <sip:p1;lr;x=y>"))
    caller = Dialog.as_uac(request, response)
    callee = Dialog.as_uas(request, "a6c85cf", "<sip:bob@phone>")
    assert caller.id == DialogId("a84b4c76e66710", "1928301774", "a6c85cf")
    assert callee.id == DialogId("a84b4c76e66710", "a6c85cf", "1928301774")
    assert (caller.role, callee.role) == (Role.UAC, Role.UAS)
    assert caller.route_set == ("<sip:p1;lr;x=y>", "<sip:p2;lr>")
    assert callee.route_set == ("<sip:p2;lr>", "<sip:p1;lr;x=y>")
    assert caller.remote_target == "sip:bob@phone"
    assert callee.remote_target == "sip:alice@pc33.atlanta.example"
    assert (caller.local_seq, caller.remote_seq) == (314159, None)
    assert (callee.local_seq, callee.remote_seq) == (None, 314159)
    assert callee.remote_uri == "Alice <sip:alice@atlanta.example>"
    assert callee.local_uri == caller.remote_uri == '"Bob; <B>" <sip:bob@biloxi.example>'


def test_a_request_within_it() -> None:
    request = invite()
    caller = Dialog.as_uac(request, answer(request, 200, ("Record-Route", "<sip:p1;lr>")))
    caller.fire(Trigger.SUCCESS)
    bye = caller.request("BYE", [("Reason", 'Q.850;cause=16;text="x"')])
    assert bye.to_bytes() == (
        b"BYE sip:bob@phone SIP/2.0\r\n"
        b"Max-Forwards: 70\r\n"
        b"Route: <sip:p1;lr>\r\n"
        b"From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n"
        b'To: "Bob; <B>" <sip:bob@biloxi.example>;tag=a6c85cf\r\n'
        b"Call-ID: a84b4c76e66710\r\n"
        b"CSeq: 314160 BYE\r\n"
        b'Reason: Q.850;cause=16;text="x"\r\n'
        b"Content-Length: 0\r\n\r\n"
    )
    assert caller.next_hop == "sip:p1;lr"
    # the other end finds the same dialog, and the requests in order
    callee = Dialog.as_uas(request, "a6c85cf", "<sip:bob@phone>")
    parsed = parse(bye.to_bytes())
    assert isinstance(parsed, Request)
    assert callee.receive(parsed)
    assert not callee.receive(parsed)


def test_a_target_refresh_has_a_contact_and_others_have_none() -> None:
    caller = Dialog.as_uac(invite(), answer(invite()))
    caller.fire(Trigger.SUCCESS)
    assert caller.request("UPDATE").headers.get("contact") == "<sip:alice@pc33.atlanta.example>"
    assert caller.request("INVITE", [("m", "<sip:new>")]).headers.all("contact") == ["<sip:new>"]
    assert "contact" not in caller.request("BYE").headers


def test_ack_has_the_number_and_the_credentials_of_its_invite() -> None:
    request = invite(("Proxy-Authorization", 'Digest realm="x"'), ("Authorization", "Digest y"))
    caller = Dialog.as_uac(request, answer(request))
    caller.fire(Trigger.SUCCESS)
    caller.request("OPTIONS")
    ack = caller.ack(request)
    assert ack.headers.get("cseq") == "314159 ACK"
    assert ack.headers.get("authorization") == "Digest y"
    assert ack.headers.get("proxy-authorization") == 'Digest realm="x"'


def test_a_strict_router_comes_first_and_the_target_last() -> None:
    # the example of 12.2.1.1, and table 1 of 19.1.1: no method and no headers in a Request-URI
    request = invite()
    routes = "<sip:proxy4>, <sip:proxy3;lr>, <sip:proxy2>, <sip:proxy1;method=BYE?Subject=x>"
    caller = Dialog.as_uac(
        request, answer(request, 200, ("Record-Route", routes), ("Contact", "<sip:user@remoteua>"))
    )
    caller.fire(Trigger.SUCCESS)
    made = caller.request("OPTIONS")
    assert made.uri == "sip:proxy1"
    assert made.headers.tokens("route") == [
        "<sip:proxy2>",
        "<sip:proxy3;lr>",
        "<sip:proxy4>",
        "<sip:user@remoteua>",
    ]


def test_no_route_set_no_route() -> None:
    caller = Dialog.as_uac(invite(), answer(invite()))
    caller.fire(Trigger.SUCCESS)
    made = caller.request("OPTIONS")
    assert made.uri == caller.next_hop == "sip:bob@phone"
    assert "route" not in made.headers


def test_a_2xx_computes_the_route_set_again_and_nothing_else() -> None:
    request = invite()
    caller = Dialog.as_uac(request, answer(request, 180))
    caller.fire(Trigger.PROVISIONAL)
    assert str(caller.state) == "early"
    caller.request("UPDATE")
    final = answer(request, 200, ("Record-Route", "<sip:p1;lr>"))
    caller.fire(Trigger.SUCCESS)
    caller.set_route(final)
    assert caller.state is DialogState.CONFIRMED
    assert caller.route_set == ("<sip:p1;lr>",)
    assert caller.local_seq == 314160


def test_only_a_target_refresh_that_has_a_contact_moves_the_target() -> None:
    caller = Dialog.as_uac(invite(), answer(invite()))
    assert not caller.refresh_target(Response.build(200))
    assert caller.remote_target == "sip:bob@phone"
    assert caller.refresh_target(Response.build(200, headers=[("m", "sip:elsewhere;x=1")]))
    assert caller.remote_target == "sip:elsewhere"  # without brackets, x is the header's


@pytest.mark.parametrize(
    "contact", ["<mailto:bob@x>", "*", "<sip:a>, <sip:b>", "<sip:a", "tel:+1", "nonsense\x00"]
)
def test_a_contact_that_is_no_single_sip_uri_is_refused(contact: str) -> None:
    request = invite()
    request.headers.set("Contact", contact)
    with pytest.raises(DecodeError) as caught:
        Dialog.as_uas(request, "t", "<sip:b>")
    assert caught.value.code == "dialog.message"


def test_a_request_without_a_contact_makes_no_dialog_but_a_response_does() -> None:
    request = invite()
    request.headers.remove("Contact")
    with pytest.raises(DecodeError, match="Contact"):
        Dialog.as_uas(request, "t", "<sip:b>")
    ringing = Response.answer(invite(), 180, to_tag="t")
    assert Dialog.as_uac(invite(), ringing).remote_target == "sip:bob@biloxi.example"


def test_tags_may_be_missing() -> None:
    request = invite()
    request.headers.set("From", "sip:alice@x;other=1")
    dialog = Dialog.as_uas(request, "t", "<sip:b>")
    assert dialog.id == DialogId("a84b4c76e66710", "t", "")
    dialog.fire(Trigger.SUCCESS)
    assert dialog.request("BYE").headers.get("to") == "<sip:alice@x>"


def test_secure_needs_tls_and_sips() -> None:
    sips = invite(uri="sips:bob@x")
    assert Dialog.as_uas(sips, "t", "<sips:b>", secure=True).secure
    assert not Dialog.as_uas(sips, "t", "<sips:b>").secure
    assert not Dialog.as_uac(invite(), answer(invite()), secure=True).secure


def test_the_dialog_of_a_subscriber_takes_its_route_from_the_notify() -> None:
    subscribe = invite()
    subscribe.method = "SUBSCRIBE"
    subscribe.headers.set("CSeq", "7 SUBSCRIBE")
    notify = Request.build(
        "NOTIFY",
        "sip:alice@pc33.atlanta.example",
        [
            ("From", "<sip:bob@biloxi.example>;tag=n"),
            ("To", "<sip:alice@atlanta.example>;tag=1928301774"),
            ("Call-ID", "a84b4c76e66710"),
            ("CSeq", "99 NOTIFY"),
            ("Contact", "<sip:server>"),
            ("Record-Route", "<sip:p2;lr>"),
            ("Record-Route", "<sip:p1;lr>"),
        ],
    )
    dialog = Dialog.as_subscriber(subscribe, notify)
    assert dialog.id == DialogId("a84b4c76e66710", "1928301774", "n")
    assert dialog.route_set == ("<sip:p2;lr>", "<sip:p1;lr>")
    assert (dialog.local_seq, dialog.remote_seq) == (7, 99)
    assert dialog.remote_target == "sip:server"


def test_too_many_routes_are_refused() -> None:
    with pytest.raises(DecodeError, match="Record-Route"):
        Dialog.as_uas(invite(("Record-Route", "<sip:p;lr>," * 65)), "t", "<sip:b>")


def test_nothing_is_sent_in_a_dialog_that_is_over() -> None:
    dialog = Dialog.as_uac(invite(), answer(invite()))
    dialog.fire(Trigger.SUCCESS)
    dialog.fire(Trigger.ENDED)
    with pytest.raises(TrunklineError) as caught:
        dialog.request("BYE")
    assert caught.value.code == "dialog.terminated"
    assert dialog.ack(invite()).method == "ACK"  # a 2xx that comes late wants one still


def test_a_confirmed_dialog_cannot_fail() -> None:
    dialog = Dialog.as_uac(invite(), answer(invite()))
    dialog.fire(Trigger.SUCCESS)
    with pytest.raises(TrunklineError) as caught:
        dialog.fire(Trigger.FAILURE)
    assert caught.value.code == "dialog.state"


def test_the_table_has_a_row_for_all_the_rest() -> None:
    missing = {
        (state, trigger) for state in TABLE for trigger in Trigger if trigger not in TABLE[state]
    }
    assert missing == {(DialogState.CONFIRMED, Trigger.FAILURE)}
    assert all(row.clause for rows in TABLE.values() for row in rows.values())


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20))
def test_numbers_only_rise(numbers: list[int]) -> None:
    dialog = Dialog.as_uas(invite(), "t", "<sip:b>")
    highest = 314159
    for number in numbers:
        request = Request.build("INFO", "sip:b", [("CSeq", f"{number} INFO")])
        assert dialog.receive(request) == (number > highest)
        highest = max(highest, number)
        assert dialog.remote_seq == highest
