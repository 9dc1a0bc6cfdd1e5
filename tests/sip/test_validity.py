"""sip.validity: what is refused, dropped and let pass, one fault at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.validity import (
    METHODS,
    Problem,
    check_answer,
    check_forwarding,
    check_response,
    check_strict,
)

ROWS = {
    "Via": "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1",
    "From": "<sip:alice@a.example>;tag=1",
    "To": "<sip:bob@b.example>",
    "Call-ID": "1@10.0.0.1",
    "CSeq": "1 INVITE",
    "Max-Forwards": "70",
    "Contact": "<sip:alice@10.0.0.1>",
}


def request(
    method: str = "INVITE",
    uri: str = "sip:bob@b.example",
    body: bytes = b"",
    version: str = "SIP/2.0",
    **rows: str | None,
) -> Request:
    """A request that is well, but for ``rows`` (underscores are dashes; None removes)."""
    changes = {name.replace("_", "-").lower(): value for name, value in rows.items()}
    head = [f"{method} {uri} {version}"]
    for name, value in {**ROWS, "CSeq": f"1 {method}"}.items():
        wanted = changes.pop(name.lower(), value)
        if wanted is not None:
            head.extend(f"{name}: {part}" for part in wanted.split("\n"))
    for name, late in changes.items():
        head.extend(f"{name}: {part}" for part in (late or "").split("\n"))
    message = parse("\r\n".join([*head, "\r\n"]).encode() + body)
    assert isinstance(message, Request)
    return message


def outcome(problem: Problem | None) -> str:
    return "" if problem is None else f"{problem.status} {problem.code}"


def test_a_request_that_is_well() -> None:
    for method in METHODS:
        assert check_forwarding(request(method)) is None
        assert check_strict(request(method)) is None
    assert check_forwarding(request("NEW")) is None
    assert check_forwarding(request(version="sip/2.0")) is None
    for uri in ("sips:b.example", "tel:+1", "sip:[::1]:5060;lr"):
        assert check_forwarding(request(uri=uri)) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (request(version="SIP/3.0"), "505 sip.version"),
        (request(version="SIP/3.0", From=None), "505 sip.version"),
        (request(content_length="x"), "400 sip.content-length"),
        (request(From=None), "400 sip.mandatory"),
        (request(to=None), "400 sip.mandatory"),
        (request(call_id=None), "400 sip.mandatory"),
        (request(cseq=None), "400 sip.mandatory"),
        (request(via=None), "400 sip.no-via"),
        (request(to="<sip:a>\n<sip:b>"), "400 sip.mandatory"),
        (request(max_forwards="1\n2"), "400 sip.single-value"),
        (request(content_length="0\n0"), "400 sip.single-value"),
        (request(cseq="1 BYE"), "400 sip.cseq"),
        (request("NEW", cseq="1 OLD"), "501 sip.cseq"),
        (request(cseq="1 invite"), "400 sip.cseq"),
        (request(cseq="4294967296 INVITE"), "400 sip.cseq"),
        (request(cseq="-1 INVITE"), "400 sip.cseq"),
        (request(cseq="INVITE"), "400 sip.cseq"),
        (request(cseq="٣ INVITE"), "400 sip.cseq"),
        (request(uri="<sip:b>"), "400 sip.uri.scheme"),
        (request(uri="sip:b:x"), "400 sip.uri.port"),
        (request(uri="sip:b?a=b"), "400 sip.uri.header"),
        (request(uri="http://b"), "416 sip.scheme"),
        (request(uri="SOAP.beep:b"), "416 sip.scheme"),
        (request(via="SIP/2.0/UDP h;;"), "400 sip.via"),
        (request(via="SIP/2.0/UDP h;branch=z9hG4bK1,"), "400 sip.via"),
        (request(max_forwards="0"), "483 sip.max-forwards-zero"),
        (request(max_forwards="000"), "483 sip.max-forwards-zero"),
        (request("OPTIONS", max_forwards="0"), "483 sip.max-forwards-zero"),
        (request(max_forwards="256"), "400 sip.max-forwards"),
        (request(max_forwards="-1"), "400 sip.max-forwards"),
        (request(max_forwards=""), "400 sip.max-forwards"),
        (request(max_forwards="٣"), "400 sip.max-forwards"),
        (request(proxy_require="foo"), "420 sip.proxy-require"),
        # what a proxy leaves alone
        (request(max_forwards=None), ""),
        (request(max_forwards="0068"), ""),
        (request(max_forwards="255"), ""),
        (request(cseq="0004294967295  INVITE"), ""),
        (request(From='"x <sip:a>'), ""),
        (request(contact=";;;"), ""),
        (request(require="foo"), ""),
        (request(date="yesterday"), ""),
        (request(expires="x"), ""),
        (request(via='SIP/2.0/UDP h;x=";;";branch=z9hG4bK1'), ""),
        (request("CANCEL", proxy_require="foo"), ""),
        (request("ACK", proxy_require="foo"), ""),
    ],
)
def test_forwarding(message: Request, expected: str) -> None:
    assert outcome(check_forwarding(message)) == expected


def test_what_a_proxy_understands() -> None:
    message = request(uri="urn:service:sos", proxy_require="Foo, bar\nbaz")
    assert outcome(check_forwarding(message)) == "416 sip.scheme"
    problem = check_forwarding(message, schemes={"urn"}, supported={"foo"})
    assert problem is not None
    assert (problem.status, problem.headers) == (420, (("Unsupported", "bar, baz"),))
    assert check_forwarding(message, schemes={"urn"}, supported={"foo", "bar", "baz"}) is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (request(version="SIP/3.0"), "505 sip.version"),
        (request(From=None), "400 sip.mandatory"),
        (request(uri="http://b"), "416 sip.scheme"),
        (request("NEW"), "501 sip.method"),
        (request("PUBLISH"), "405 sip.method"),
        (request(From='"x <sip:a>'), "400 sip.header.address"),
        (request(to="<sip:a:b:c>"), "400 sip.uri.port"),
        (request(call_id="a b"), "400 sip.call-id"),
        (request(call_id=""), "400 sip.call-id"),
        (request(via="SIP/2.0/UDP h;branch=z9hG4bK1\nSIP/2.0"), "400 sip.header.via"),
        (request(via=""), "400 sip.header.via"),
        (request(via="", contact=None), "400 sip.header.via"),
        (request(max_forwards="256"), "400 sip.header.number"),
        (request(contact="<sip:a"), "400 sip.header.address"),
        (request(route="sip:a b"), "400 sip.header.address"),
        (request(record_route="<sip:a:x>"), "400 sip.uri.port"),
        (request(rseq="0"), "400 sip.header.number"),
        (request(contact=None), "400 sip.contact"),
        (request(contact="*"), "400 sip.contact"),
        (request(contact="<tel:+1>"), "400 sip.contact"),
        (request(contact="<sip:a>, <sip:b>"), "400 sip.contact"),
        (request(contact="<sip:a>\n<sip:b>"), "400 sip.contact"),
        (request(content_type="a/b\nc/d"), "400 sip.single-value"),
        (request(require="100rel"), "420 sip.require"),
        (request(body=b"x"), "400 sip.content-type"),
        (request(body=b"x", content_type="x"), "400 sip.content-type"),
        (request(body=b"x", content_type="text/html"), "415 sip.content-type"),
        (
            request(body=b"x", content_type="application/sdp", content_encoding="gzip"),
            "415 sip.content-type",
        ),
        (
            request(body=b"x", content_type="a/b", content_disposition=";"),
            "400 sip.content-type",
        ),
        # what a server lets pass
        (request(max_forwards="0"), ""),
        (request(max_forwards=None), ""),
        (request(From="<sip:a>"), ""),
        (request(to="isbn:2983792873"), ""),
        (request(via="SIP/2.0/UDP h", contact=None), ""),
        (request("BYE", contact=None), ""),
        (request("BYE", contact="<sip:a>, <sip:b>"), ""),
        (request("BYE", contact="*"), ""),
        (request("ACK", require="100rel"), ""),
        (request("CANCEL", require="100rel"), ""),
        (request(proxy_require="foo"), ""),
        (request(date="yesterday"), ""),
        (request(body=b"x", content_type="application/SDP;a=b", content_encoding="Identity"), ""),
        (
            request(
                body=b"x", content_type="text/html", content_disposition="icon;handling=optional"
            ),
            "",
        ),
    ],
)
def test_strict(message: Request, expected: str) -> None:
    allowed = METHODS - {"PUBLISH"}
    problem = check_strict(message, allowed=allowed, accepts=["application/sdp"])
    assert outcome(problem) == expected


def test_what_the_answers_of_a_server_carry() -> None:
    def headers(problem: Problem | None) -> tuple[tuple[str, str], ...]:
        assert problem is not None
        return problem.headers

    allowed = ["INVITE", "ACK"]
    assert headers(check_strict(request("BYE"), allowed=allowed)) == (("Allow", "ACK, INVITE"),)
    needy = request(require="Timer, 100rel")
    assert headers(check_strict(needy, supported={"timer"})) == (("Unsupported", "100rel"),)
    assert check_strict(needy, supported={"timer", "100rel"}) is None
    html = request(body=b"x", content_type="text/html")
    assert headers(check_strict(html, accepts=["b/c", "a/b"])) == (("Accept", "a/b, b/c"),)
    assert check_strict(html) is None
    zipped = request(body=b"x", content_type="a/b", content_encoding="gzip")
    assert headers(check_strict(zipped, accepts=["a/b"])) == (("Accept-Encoding", "identity"),)


# Responses


def response(status_line: str = "SIP/2.0 200 OK", **rows: str | None) -> Response:
    head = [status_line]
    for name, value in ROWS.items():
        wanted = rows.pop(name.replace("-", "_").lower(), value)
        if wanted is not None:
            head.extend(f"{name}: {part}" for part in wanted.split("\n"))
    message = parse("\r\n".join([*head, "\r\n"]).encode())
    assert isinstance(message, Response)
    return message


def test_responses() -> None:
    assert check_response(response()) is None
    for message, code in (
        (response("SIP/2.0 700 x"), "sip.response"),
        (response("SIP/2.0 099 x"), "sip.response"),
        (response("SIP/3.0 200 OK"), "sip.version"),
        (response(to=None), "sip.mandatory"),
        (response(cseq="1 INVITE\n2 INVITE"), "sip.mandatory"),
        (response(via=None), "sip.no-via"),
        (response(cseq="4294967296 INVITE"), "sip.cseq"),
        (response(cseq="x"), "sip.cseq"),
        (response(contact="a\rb"), "sip.response"),
    ):
        assert outcome(check_response(message)) == f"0 {code}"
        assert outcome(check_answer(message)) == f"0 {code}"


def test_whose_response_it_is() -> None:
    own, two = response(), response(via=f"{ROWS['Via']}\nSIP/2.0/UDP 10.0.0.2")
    assert check_answer(own) is None
    assert outcome(check_answer(two)) == "0 sip.via-left"
    assert outcome(check_answer(own, forwarding=True)) == "0 sip.via-left"
    assert check_answer(two, forwarding=True) is None


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("255.255.255.255", "sip.via-broadcast"),
        ("239.1.1.1", "sip.via-broadcast"),
        ("[ff02::1]:5060", "sip.via-broadcast"),
        ("0.0.0.0", "sip.via-broadcast"),
        ("h.example;received=255.255.255.255", "sip.via-broadcast"),
        ("h.example;received=[ff02::1]", "sip.via-broadcast"),
        ("h.example;received=ff02::1", "sip.via-broadcast"),
        ("h.example;;", "sip.via"),
        ("h.example;received=10.0.0.256", "sip.via"),
        ("255.255.255.255;received=10.0.0.1", ""),
        ("h.example;received=::1", ""),
        ("h.example", ""),
    ],
)
def test_nothing_is_sent_to_everybody(second: str, expected: str) -> None:
    passing = response(via=f"{ROWS['Via']}, SIP/2.0/UDP {second}")
    problem = check_answer(passing, forwarding=True)
    assert outcome(problem) == (f"0 {expected}" if expected else "")


@given(
    st.dictionaries(
        st.sampled_from([*ROWS, "Route", "Content-Type", "Require", "RAck", "Proxy-Require"]),
        st.text(st.sampled_from('<>";,:@=\\ s1*/é\0'), max_size=12).map(lambda t: f"sip:{t}"),
    ),
    st.text(st.sampled_from("sip:@<>%[];?a1"), min_size=1, max_size=10),
)
def test_anything_that_parses_can_be_checked(rows: dict[str, str], uri: str) -> None:
    head = [f"INVITE {uri} SIP/2.0", *(f"{k}: {v}" for k, v in {**ROWS, **rows}.items()), "\r\n"]
    try:
        message = parse("\r\n".join(head).encode())
    except DecodeError:
        return
    assert isinstance(message, Request)
    for problem in (check_forwarding(message), check_strict(message, accepts=[])):
        assert problem is None or 400 <= problem.status <= 505
