"""Messages: kept as they came, changed row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.lists import split_list
from trunkline.sip.message import Headers, Limits, Request, Response, parse, tag_of

INVITE = (
    b"INVITE sip:x@127.0.0.1:5071 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:5073;branch=z9hG4bKq\r\n"
    b"X-NickTest: one\r\n"
    b"From : <sip:a@x>;tag=1\r\n"
    b"x-nicktest:two\r\n"
    b"TO: <sip:b@x>\r\n"
    b"X-NickTest: three,\r\n  four\r\n"
    b"Call-ID: 1\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Supported: 100rel, timer\r\n"
    b"Require: sec-agree, 100rel\r\n"
    b"l: 4\r\n"
    b"\r\nbody"
)


def request(data: bytes = INVITE) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def test_what_nobody_touched_leaves_as_it_came() -> None:
    assert request().to_bytes() == INVITE
    assert request().defect is None


def test_headers_of_one_name() -> None:
    # The seed's example, as Kamailio answers it
    headers = request().headers
    assert headers.get("X-NickTest") == "one"
    assert headers["X-NickTest"][1] == "two"
    assert headers["x-nicktest"][-1] == "three, four"
    assert headers.get("X-NickTest", 9) is None
    assert headers.get("X-NickTest", -3) == "one"
    assert headers.all("X-NICKTEST") == ["one", "two", "three, four"]
    assert headers.count("X-NickTest") == 3
    assert headers.count("Nope") == 0
    assert list(headers["Nope"]) == []
    with pytest.raises(IndexError):
        headers["Nope"][0]


def test_compact_forms_are_the_same_name() -> None:
    headers = request().headers
    assert headers.get("Via") == headers.get("v") == "SIP/2.0/UDP 127.0.0.1:5073;branch=z9hG4bKq"
    assert "content-length" in headers
    assert "Content-Type" not in headers


def test_insert_replace_remove() -> None:
    message = request()
    headers = message.headers
    headers.insert("X-A", "1", before="X-NickTest")
    headers.insert("X-B", "2", after="X-NickTest")
    assert headers.replace("x-nicktest", "2", 1)
    assert headers.remove("X-NickTest", 0) == 1
    headers.set("Supported", "path")
    names = [name for name, _ in headers.items()]
    assert names[:8] == ["v", "X-A", "From", "x-nicktest", "TO", "X-NickTest", "X-B", "Call-ID"]
    assert headers.all("x-nicktest") == ["2", "three, four"]
    assert headers.remove("x-nicktest") == 2
    assert not headers.replace("X-NickTest", "gone")
    assert b"\r\nSupported: path\r\n" in message.to_bytes()


def test_one_token_of_a_list_header() -> None:
    message = request()
    assert message.headers.remove_token("Require", "Sec-Agree")
    assert message.headers.get("Require") == "100rel"
    assert message.headers.remove_token("Require", "100rel")
    assert "Require" not in message.headers
    assert not message.headers.remove_token("Require", "100rel")
    assert message.headers.tokens("Supported") == ["100rel", "timer"]


def test_typed_views() -> None:
    message = request(
        INVITE.replace(b"Call-ID", b"m: <sip:c@x>;q=0.5, <sip:d@x>\r\nRoute: <sip:p;lr>\r\nCall-ID")
    )
    assert (str(message.from_.uri), message.from_.tag) == ("sip:a@x", "1")
    assert message.to.tag is None
    assert (message.cseq.number, message.cseq.method) == (1, "INVITE")
    assert [via.branch for via in message.vias] == ["z9hG4bKq"]
    assert [contact.q for contact in message.contacts] == [0.5, None]
    assert [str(route.uri) for route in message.routes] == ["sip:p;lr"]
    assert message.record_routes == []
    message.headers.remove("From")
    with pytest.raises(DecodeError):
        assert message.from_ is None


def test_a_copy_is_its_own() -> None:
    message = request()
    copy = message.copy()
    copy.headers.remove("Via")
    copy.uri = "sip:y@x"
    assert message.to_bytes() == INVITE


def test_setting_the_body_sets_its_length() -> None:
    message = request()
    message.body = b"longer body"
    again = request(message.to_bytes())
    assert again.body == b"longer body"
    assert again.headers.get("Content-Length") == "11"


def test_octets_behind_the_content_length_are_dropped() -> None:
    assert request(INVITE + b"INVITE").body == b"body"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"l: 4", b"l: 5", "sip.body-short"),
        (b"l: 4", b"l: -4", "sip.content-length"),
        (b"l: 4", b"l: " + b"9" * 5000, "sip.content-length"),
        (b"one", b"o\nne", "sip.line-break"),
        (b"one", b"o\rne", "sip.line-break"),
        (b"X-NickTest: one", b"X-NickTest one", "sip.header-row"),
        (b"X-NickTest: one", b"X Nick: one", "sip.header-row"),
        (b"INVITE sip", b"INVITE  sip", "sip.request-line"),
        (b"SIP/2.0\r\nv", b"SIP/2.0 \r\nv", "sip.request-line"),
    ],
)
def test_faults_behind_the_start_line_are_kept(old: bytes, new: bytes, code: str) -> None:
    message = request(INVITE.replace(old, new, 1))
    assert message.defect is not None
    assert message.defect.code == code
    assert message.headers.get("Call-ID") == "1"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "sip.no-head"),
        (b"\r\n\r\n", "sip.empty"),
        (b"INVITE sip:x SIP/2.0\r\nVia: x\r\n", "sip.no-head"),
        (b"hello\r\n\r\n", "sip.start-line"),
        (b"SIP/2.0 20 OK\r\n\r\n", "sip.start-line"),
        (b"INVITE sip:x\r\n\r\n", "sip.start-line"),
        ("SIP/2.0 \u0662\u0660\u0660 OK\r\n\r\n".encode(), "sip.start-line"),
        (b"\0INVITE sip:x SIP/2.0\r\n\r\n", "sip.start-line"),
        (b"INV(ITE sip:x SIP/2.0\r\n\r\n", "sip.start-line"),
        (b"A sip:x SIP/2.0\r\n" + b"a: b\r\n" * 600 + b"\r\n", "sip.too-large"),
    ],
)
def test_what_is_no_message(data: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as refused:
        parse(data)
    assert refused.value.code == code


def test_limits() -> None:
    for limits in (Limits(head=10), Limits(body=3), Limits(rows=3)):
        with pytest.raises(DecodeError, match="at most"):
            parse(INVITE, limits)


def test_other_versions_are_read() -> None:
    assert request(INVITE.replace(b"SIP/2.0\r\nv", b"SIP/7.0\r\nv")).version == "SIP/7.0"


def test_a_response() -> None:
    data = b"SIP/2.0 404 Nicht da\r\nVia: a\r\nContent-Length: 0\r\n\r\n"
    response = parse(data)
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (404, "Nicht da")
    assert response.to_bytes() == data


def test_answers() -> None:
    trying = Response.answer(request(), 100, to_tag="t")
    assert trying.to_bytes() == (
        b"SIP/2.0 100 Trying\r\nv: SIP/2.0/UDP 127.0.0.1:5073;branch=z9hG4bKq\r\n"
        b"From : <sip:a@x>;tag=1\r\nTO: <sip:b@x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    answer = Response.answer(request(), 302, headers=[("Contact", "<sip:c@x>")], to_tag="t")
    assert answer.headers.get("To") == "<sip:b@x>;tag=t"
    assert answer.headers.get("Contact") == "<sip:c@x>"
    tagged = request(INVITE.replace(b"TO: <sip:b@x>", b"To: <sip:b@x>;tag=old"))
    assert Response.answer(tagged, 200, to_tag="t").headers.get("To") == "<sip:b@x>;tag=old"


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb"])
def test_a_value_never_becomes_two_rows(value: str) -> None:
    headers = Headers()
    for change in (headers.add, headers.insert, headers.set):
        with pytest.raises(TrunklineError, match="line break"):
            change("X", value)
    with pytest.raises(TrunklineError, match="line"):
        Response.build(200, value)
    with pytest.raises(TrunklineError, match="token"):
        headers.add("X Y", "1")
    with pytest.raises(TrunklineError, match="blanks"):
        Request.build("INVITE", "sip:x y")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("", []),
        ("a", ["a"]),
        (" a , ,b,", ["a", "b"]),
        ('"x, y" <sip:a,b@c>;q=1, <sip:d>', ['"x, y" <sip:a,b@c>;q=1', "<sip:d>"]),
        (r'"a\",b",c', [r'"a\",b"', "c"]),
        ('"open, c', ['"open, c']),
        ("<open, c", ["<open, c"]),
    ],
)
def test_lists(value: str, parts: list[str]) -> None:
    assert split_list(value) == parts


def test_lists_take_linear_time() -> None:
    for text in ('"' * 65_535, '"\\' * 32_000, "<" * 65_535, ',"' * 32_000):
        assert len(split_list(text)) <= len(text)


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("<sip:a@b>;tag=x", "x"),
        ("sip:a@b;tag=x", "x"),
        ("<sip:a@b;tag=no>", None),
        ('"a;tag=no" <sip:a@b> ; TAG = x;y=1', "x"),
        ("<sip:a@b>", None),
        ('<sip:a@b>;tag=x;p="c>d"', "x"),
        ('<sip:a@b>;p=";tag=no";tag=x', "x"),
        (r'"a\"<sip:c>;tag=no" <sip:a@b>;tag=x', "x"),
        ('"a;tag=no', None),
        ("<sip:a@b>;tAg=x", "x"),
        ("<sip:a@b>;\r\n tag=x", "x"),
        ("<sip:a@b>;tag\r\n\t=\r\n x", "x"),
    ],
)
def test_tags(value: str, tag: str | None) -> None:
    assert tag_of(value) == tag


def test_tags_take_linear_time() -> None:
    for text in (
        '"' * 65_535,
        '"\\' * 32_000,
        '\\"' * 32_000,
        '"' + '\\"' * 32_000,
        '"\\' + '"x' * 9,
    ):
        assert tag_of(text + "tag") is None


@given(st.binary(max_size=300))
def test_any_octets(data: bytes) -> None:
    try:
        message = parse(data)
    except DecodeError:
        return
    assert message.headers.rows == parse(message.to_bytes()).headers.rows or message.defect


@given(st.lists(st.tuples(st.sampled_from(["Via", "X-a", "to"]), st.text("ab ,\tü")), max_size=5))
def test_round_trip(rows: list[tuple[str, str]]) -> None:
    built = Request.build("OPTIONS", "sip:x", rows, b"\0\xff")
    again = parse(built.to_bytes())
    assert again.defect is None
    assert again.to_bytes() == built.to_bytes()
    assert [value for _, value in again.headers.items()][:-1] == [v.strip(" \t") for _, v in rows]
