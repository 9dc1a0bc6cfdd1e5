"""RFC 4475 and RFC 5118: what becomes of each message, held together with the conformance page.

The table below is the data of the page: ``python -m tests.sip.test_torture`` writes it anew. What
the RFC says of a message is from its text; the comments of the vectors were not relied on.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest

from trunkline.errors import DecodeError
from trunkline.sip.headers import CSeq, MediaType, NameAddr, Via, max_forwards, parse_date
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.proxy import Identity, Listener, Proxy, ResponseContext
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.uri import Uri, parse_uri, unescape
from trunkline.sip.validity import (
    Problem,
    check_answer,
    check_forwarding,
    check_response,
    check_strict,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance" / "rfc4475-5118.md"
BEGIN, END = "<!-- messages -->\n", "<!-- end of messages -->\n"


@dataclass(frozen=True)
class Case:
    """A message: what the RFC asks for, and what a proxy and a user agent make of it.

    An outcome is empty when the message is let pass, else status (0: dropped) and code.
    """

    file: str
    section: str
    about: str
    rfc: str
    proxy: str = ""
    agent: str = ""
    note: str = ""


def same(file: str, section: str, about: str, rfc: str, outcome: str, note: str = "") -> Case:
    return Case(file, section, about, rfc, outcome, outcome, note)


VALID = "well formed"
CASES = [
    Case("wsinv", "3.1.1.1", "a short tortuous INVITE", VALID),
    Case("intmeth", "3.1.1.2", "wide range of characters", "forward; 501", "", "501 sip.method"),
    Case("esc01", "3.1.1.3", "escapes", VALID),
    Case("escnull", "3.1.1.4", "escaped NULs", "two distinct contacts"),
    Case("esc02", "3.1.1.5", "`%` that is no escape", "forward; 501", "", "501 sip.method"),
    Case("lwsdisp", "3.1.1.6", "no blank before `<`", VALID),
    Case("longreq", "3.1.1.7", "long values", VALID),
    Case("dblreq", "3.1.1.8", "octets behind the body", "ignore them"),
    Case("semiuri", "3.1.1.9", "`;` in the user part", VALID),
    Case("transports", "3.1.1.10", "unknown transports", VALID),
    Case("mpart01", "3.1.1.11", "multipart, NULs in it", VALID),
    Case("unreason", "3.1.1.12", "unusual reason phrase", VALID),
    Case("noreason", "3.1.1.13", "empty reason phrase", VALID),
    same("badinv01", "3.1.2.1", "separators without values", "400", "400 sip.via"),
    same("clerr", "3.1.2.2", "Content-Length too large", "400", "400 sip.body-short"),
    same("ncl", "3.1.2.3", "negative Content-Length", "an error", "400 sip.content-length"),
    same("scalar02", "3.1.2.4", "numbers out of range", "400, for CSeq", "400 sip.cseq"),
    same("scalarlg", "3.1.2.5", "the same in a response", "drop", "0 sip.cseq"),
    Case("quotbal", "3.1.2.6", "quote without an end in To", "400", "", "400 sip.header.address",
         "a proxy does not read To (RFC 3261 section 16.3)"),
    same("ltgtruri", "3.1.2.7", "`<>` around the Request-URI", "400 or ignore them",
         "400 sip.uri.scheme"),
    same("lwsruri", "3.1.2.8", "blank in the Request-URI", "400", "400 sip.request-line"),
    same("lwsstart", "3.1.2.9", "blanks in the Request-Line", "400 or ignore them",
         "400 sip.request-line"),
    same("trws", "3.1.2.10", "blanks behind the Request-Line", "400 or ignore them",
         "400 sip.request-line"),
    same("escruri", "3.1.2.11", "headers in the Request-URI", "400, or do not pass them on",
         "400 sip.uri.header"),
    Case("baddate", "3.1.2.12", "Date in EST", "400, or ignore it", note="nobody reads it"),
    Case("regbadct", "3.1.2.13", "Contact without its `<>`", "400, or infer them", "",
         "400 sip.header.address"),
    Case("badaspec", "3.1.2.14", "blanks inside `<>`", "400, or ignore them",
         note="ignored; a proxy passes them on"),
    Case("baddn", "3.1.2.15", "display name without quotes", "400, or infer them",
         note="inferred where an address is written anew; a proxy does not read From and To. "
         "The stored octets lack the empty line, without which the message is dropped"),
    same("badvers", "3.1.2.16", "SIP/7.0", "505", "505 sip.version"),
    same("mismatch01", "3.1.2.17", "CSeq names another method", "400", "400 sip.cseq"),
    same("mismatch02", "3.1.2.18", "the same, method unknown", "501 or 400", "501 sip.cseq"),
    same("bigcode", "3.1.2.19", "status above 699", "drop", "0 sip.start-line"),
    Case("badbranch", "3.2.1", "branch is the cookie alone", "400, or match as RFC 2543",
         note="matched as RFC 2543 does"),
    same("insuf", "3.3.1", "no Call-ID, From, To", "400", "400 sip.mandatory"),
    same("unkscm", "3.3.2", "unknown scheme", "416", "416 sip.scheme"),
    same("novelsc", "3.3.3", "scheme of something else", "416", "416 sip.scheme"),
    Case("unksm2", "3.3.4", "such schemes in header fields", "forward; a registrar: 400",
         note="the registrar's answer is not of these checks"),
    Case("bext01", "3.3.5", "Require and Proxy-Require", "420", "420 sip.proxy-require",
         "420 sip.require"),
    Case("invut", "3.3.6", "unknown Content-Type", "forward; 415", "", "415 sip.content-type"),
    Case("regaut01", "3.3.7", "unknown Authorization scheme", "forward; ignore or 401"),
    same("multi01", "3.3.8", "several Call-ID, To, From, CSeq", "400", "400 sip.mandatory"),
    same("mcl01", "3.3.9", "several Content-Length", "an error", "400 sip.single-value"),
    Case("bcast", "3.3.10", "response to 255.255.255.255", "drop", "0 sip.via-broadcast",
         "0 sip.via-left"),
    Case("zeromf", "3.3.11", "Max-Forwards 0", "483; process", "483 sip.max-forwards-zero"),
    Case("cparam01", "3.3.12", "parameter of a Contact", "not one of its URI"),
    Case("cparam02", "3.3.13", "parameter of its URI", "one of its URI"),
    Case("regescrt", "3.3.14", "escaped Route in the contact", "kept"),
    Case("sdp01", "3.3.15", "Accept without SDP", "406, 400 or process",
         note="406 would be the user agent's"),
    Case("inv2543", "3.4.1", "as RFC 2543 writes it", "accept"),
    Case("4.1", "4.1", "IPv6 address", VALID),
    same("4.2", "4.2", "without brackets", "400", "400 sip.uri.port"),
    Case("4.3", "4.3", "port inside the brackets", "well formed, part of the address"),
    Case("4.4", "4.4", "port behind the brackets", VALID),
    Case("4.5.1", "4.5", "`received` with brackets", "accept"),
    Case("4.5.2", "4.5", "`received` without", VALID),
    Case("4.6", "4.6", "IPv6 in SDP", VALID),
    Case("4.7", "4.7", "IPv4 and IPv6 in Via", VALID),
    Case("4.8", "4.8", "both in SDP", VALID),
    Case("4.9", "4.9", "mapped addresses", VALID),
    Case("4.10.1", "4.10", "three colons", "tolerate", note="read as two, kept as it came"),
    Case("4.10.2", "4.10", "two colons", VALID),
]  # fmt: skip

METHODS = ("ACK", "BYE", "CANCEL", "INVITE", "MESSAGE", "OPTIONS", "REGISTER")
BODIES = ("application/sdp", "multipart/mixed", "text/plain")


def octets(vectors: Path, case: Case) -> bytes:
    folder = "rfc5118" if case.section.startswith("4.") else "rfc4475"
    data = (vectors / "sip-torture" / folder / f"{case.file}.dat").read_bytes()
    return data if b"\r\n\r\n" in data else data + b"\r\n"


def outcome(problem: Problem | None) -> str:
    return "" if problem is None else f"{problem.status} {problem.code}"


def as_proxy(data: bytes) -> str:
    try:
        message = parse(data)
    except DecodeError as problem:
        return f"0 {problem.code}"
    if isinstance(message, Request):
        return outcome(check_forwarding(message))
    if message.headers.count("via") < 2:
        return outcome(check_response(message))
    return outcome(check_answer(message, forwarding=True))


def as_agent(data: bytes) -> str:
    try:
        message = parse(data)
    except DecodeError as problem:
        return f"0 {problem.code}"
    if isinstance(message, Request):
        return outcome(check_strict(message, allowed=METHODS, accepts=BODIES))
    return outcome(check_answer(message))


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_what_becomes_of_it(case: Case, vectors: Path) -> None:
    data = octets(vectors, case)
    assert as_proxy(data) == case.proxy
    assert as_agent(data) == case.agent


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_a_proxy_answers_so(case: Case, vectors: Path) -> None:
    """The whole proxy says what the check says, and nothing of it raises."""
    own = ("192.0.2.250", 5060)
    tokens = itertools.count()
    layer = TransactionLayer(lambda: f"t{next(tokens)}")
    identity = Identity([Listener(Transport.UDP, own, own)])
    proxy = Proxy(layer, identity, tag=lambda: "tag")
    data = octets(vectors, case)
    received = proxy.receive(data, Flow(Transport.UDP, ("192.0.2.1", 5060), own), 0.0)
    answers = [parse(sent) for _, sent in layer.data_to_send()]
    statuses = [answer.status for answer in answers if isinstance(answer, Response)]
    status, _, code = case.proxy.partition(" ")
    if data.startswith(b"SIP/"):
        assert (received, statuses) == (None, [])  # nobody had asked
    elif status:
        assert statuses == [int(status)]
        assert (received, proxy.refused) == (None, {code: 1})
    else:
        assert isinstance(received, ResponseContext)
        assert statuses == ([100] if received.request.method == "INVITE" else [])


def test_no_message_is_left_out(vectors: Path) -> None:
    files = {path.stem for path in (vectors / "sip-torture").glob("*/*.dat")}
    assert files == {case.file for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_it_leaves_as_it_came(case: Case, vectors: Path) -> None:
    data = octets(vectors, case)
    try:
        message = parse(data)
    except DecodeError:
        assert case.proxy.startswith("0 ")
        return
    sent = message.to_bytes()
    if case.file in ("lwsruri", "lwsstart", "trws"):  # their Request-Line is never sent on
        sent = sent.partition(b"\r\n")[2]
        data = data.partition(b"\r\n")[2]
    assert data.startswith(sent)
    assert case.file in ("dblreq", "mcl01") or data == sent or not data[len(sent) :].strip()


# The page


def rendered() -> str:
    def said(outcome: str, passed: str) -> str:
        if not outcome:
            return passed
        status, _, code = outcome.partition(" ")
        return f"dropped, `{code}`" if status == "0" else f"{status} `{code}`"

    lines = [
        "| message | section | about | the RFC | a proxy | a user agent | note |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        proxy, agent = said(case.proxy, "forwards"), said(case.agent, "accepts")
        cells = (case.file, case.section, case.about, case.rfc, proxy, agent, case.note)
        lines.append("| " + " | ".join(cells).replace("|  |", "| |") + " |")
    return "".join(f"{line}\n" for line in lines).replace("  |\n", " |\n")


def with_table(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{rendered()}\n{END}{rest.partition(END)[2]}"


def test_the_page_has_the_same_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run: python -m tests.sip.test_torture"


# What the RFCs want to be read in them


def message_of(vectors: Path, file: str) -> Request:
    [case] = [case for case in CASES if case.file == file]
    message = parse(octets(vectors, case))
    assert isinstance(message, Request)
    assert message.defect is None
    return message


def address(request: Request, name: str, index: int = 0) -> NameAddr:
    return NameAddr.parse(request.headers[name][index])


def sip_uri(value: NameAddr | str) -> Uri:
    uri = parse_uri(value) if isinstance(value, str) else value.uri
    assert isinstance(uri, Uri)
    return uri


def test_wsinv(vectors: Path) -> None:
    request = message_of(vectors, "wsinv")
    headers = request.headers
    assert address(request, "to").tag == "1918181833n"
    origin = address(request, "from")
    assert (origin.display_name, origin.tag) == ('J Rosenberg \\"', "98asjd8")
    assert max_forwards(headers["max-forwards"][0]) == 68
    assert CSeq.parse(headers["cseq"][0]) == CSeq(9, "INVITE")
    vias = Via.parse_list(headers.all("via"))
    assert [(via.transport, via.host, via.branch) for via in vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    contact = address(request, "contact")
    assert contact.display_name == 'Quoted string ""'
    assert dict(contact.params) == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert contact.q == 0.33
    assert sip_uri(address(request, "route")).params["unknownwith"] == "value"
    assert headers.get("subject") == ""
    assert headers.get("unknownheaderwithunusualvalue") == ";;,,;;,;"


def test_intmeth(vectors: Path) -> None:
    request = message_of(vectors, "intmeth")
    assert request.method == "!interesting-Method0123456789_*+`.%indeed'~"
    uri = sip_uri(request.uri)
    assert uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert address(request, "to").display_name == "BEL:\a NUL:\0 DEL:\x7f"
    origin = address(request, "from")
    assert origin.display_name == "token1~` token2'+_ token3*%!.-"
    assert origin.params["fromParam''~+*_!.-%"] == "работающий"
    assert origin.tag == "_token~1'+`*%!-."
    assert request.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert Via.parse(request.headers["via"][0]).branch == "z9hG4bK-.!%66*_+`'~"


def test_esc01(vectors: Path) -> None:
    request = message_of(vectors, "esc01")
    assert sip_uri(request.uri).username == "sips:user@example.com"
    assert sip_uri(address(request, "to")).equivalent(Uri.parse("sip:user@example.com"))
    assert sip_uri(address(request, "from")).username == "I have spaces"
    contact = sip_uri(address(request, "contact"))
    assert (contact.username, contact.loose) == ("caller", True)
    assert unescape(contact.params["name"] or "") == "value%41"


def test_escnull(vectors: Path) -> None:
    request = message_of(vectors, "escnull")
    assert sip_uri(address(request, "to")).username == "null-\0-null"
    one, two = (sip_uri(address(request, "contact", i)) for i in (0, 1))
    assert (one.username, two.username) == ("\0", "\0\0")
    assert not one.equivalent(two)


def test_esc02(vectors: Path) -> None:
    request = message_of(vectors, "esc02")
    assert request.method == "RE%47IST%45R"
    assert address(request, "to").display_name == "%Z%45"
    assert request.headers.count("contact") == 2


def test_longreq(vectors: Path) -> None:
    request = message_of(vectors, "longreq")
    assert len(Via.parse_list(request.headers.all("via"))) == 34
    origin = address(request, "from")
    assert len(origin.params) == 3
    assert (origin.tag or "").endswith("2982424")


def test_dblreq(vectors: Path) -> None:
    request = message_of(vectors, "dblreq")
    assert (request.method, request.body) == ("REGISTER", b"")
    assert b"INVITE" not in request.to_bytes()


def test_semiuri(vectors: Path) -> None:
    request = message_of(vectors, "semiuri")
    assert sip_uri(request.uri).username == "user;par=u@example.net"
    accept = MediaType.parse_list(request.headers.all("accept"))
    assert [kind.subtype for kind in accept] == [
        "sdp", "pkcs7-mime", "mixed", "signed", "sip", "sipfrag",
    ]  # fmt: skip


def test_transports(vectors: Path) -> None:
    vias = Via.parse_list(message_of(vectors, "transports").headers.all("via"))
    assert [via.transport for via in vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_reason_phrases(vectors: Path) -> None:
    for file, status, begin in (("unreason", 200, "= 2**3 * 5**2 но"), ("noreason", 100, "")):
        message = parse((vectors / "sip-torture/rfc4475" / f"{file}.dat").read_bytes())
        assert isinstance(message, Response)
        assert (message.status, message.reason[: len(begin)]) == (status, begin)
        assert bool(message.reason) == bool(begin)


def test_baddate(vectors: Path) -> None:
    request = message_of(vectors, "baddate")
    with pytest.raises(DecodeError):
        parse_date(request.headers["date"][0])


def test_display_names_and_blanks(vectors: Path) -> None:
    watson = address(message_of(vectors, "baddn"), "to")
    assert watson.display_name == "Watson, Thomas"
    assert str(watson.evolve()) == '"Watson, Thomas" <sip:t.watson@example.org>'
    assert address(message_of(vectors, "badaspec"), "to").uri_text == "sip:t.watson@example.org"
    assert address(message_of(vectors, "lwsdisp"), "from").display_name == "caller"


def test_contacts(vectors: Path) -> None:
    outside = address(message_of(vectors, "cparam01"), "contact")
    assert "unknownparam" in outside.params
    assert len(sip_uri(outside).params) == 0
    inside = address(message_of(vectors, "cparam02"), "contact")
    assert len(inside.params) == 0
    assert "unknownparam" in sip_uri(inside).params
    escaped = sip_uri(address(message_of(vectors, "regescrt"), "contact"))
    assert escaped.headers == (("Route", "<sip:sip.example.com>"),)


def test_unksm2(vectors: Path) -> None:
    request = message_of(vectors, "unksm2")
    schemes = [address(request, name).uri.scheme for name in ("to", "from", "contact")]
    assert schemes == ["isbn", "http", "name"]


def test_ipv6(vectors: Path) -> None:
    def port(file: str) -> int | None:
        return sip_uri(message_of(vectors, file).uri).port

    assert (port("4.3"), port("4.4")) == (None, 5070)
    for file in ("4.5.1", "4.5.2"):
        via = Via.parse(message_of(vectors, file).headers["via"][0])
        assert (via.host, via.received) == ("2001:db8::9:1", "2001:db8::9:255")
    vias = Via.parse_list(message_of(vectors, "4.7").headers.all("via"))
    assert [via.port for via in vias] == [6050, None, None]
    mapped = Via.parse(message_of(vectors, "4.9").headers["via"][0])
    assert (mapped.host, mapped.port) == ("::ffff:192.0.2.10", 19823)
    three, two = (sip_uri(message_of(vectors, f"4.10.{i}").uri) for i in (1, 2))
    assert three.equivalent(two)
    assert "[2001:db8:::192.0.2.1]" in three.text


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
