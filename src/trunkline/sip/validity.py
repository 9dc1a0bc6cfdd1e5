"""What a message lacks to be dealt with: the answer that RFC 3261 asks for, or why to drop it.

`trunkline.sip.message` parses whatever can be told apart as a message; here is decided whether that
is good enough, at three places:

- :func:`check_forwarding`, for a proxy (section 16.3), on every request: it looks at what the proxy
  and the transaction need and at nothing else, since a proxy leaves alone what it does not use;
- :func:`check_strict`, for a user agent server (section 8.2): whatever it would act on is decoded;
- :func:`check_response` and :func:`check_answer`, for a response (sections 8.1.3.3, 16.7, 18.1.2),
  and :func:`check_passing` for one that a proxy sends on.

An ACK is never answered: what is said of it means that it is dropped. RFC 4475 names the messages
these checks are tried with; what they make of each is in ``docs/conformance/rfc4475-5118.md``.

Left out: authentication (`trunkline.sip.digest`), loops (RFC 5393), merged requests (8.2.2.2), and
406 for an Accept that leaves nothing to say (RFC 4475 section 3.3.15), which the user agent knows.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.headers import (
    CSeq,
    Disposition,
    MediaType,
    NameAddr,
    Via,
    integer,
    max_forwards,
)
from trunkline.sip.host import bracketed, parse_host
from trunkline.sip.message import Message, Request, Response
from trunkline.sip.uri import Uri, parse_uri
from trunkline.sip.via import COOKIE

__all__ = [
    "METHODS",
    "SCHEMES",
    "Problem",
    "check_answer",
    "check_forwarding",
    "check_passing",
    "check_response",
    "check_strict",
]

METHODS: Final = frozenset(
    (
        "ACK",
        "BYE",
        "CANCEL",
        "INVITE",
        "OPTIONS",
        "REGISTER",  # RFC 3261
        "PRACK",  # RFC 3262
        "UPDATE",  # RFC 3311
        "MESSAGE",  # RFC 3428
        "REFER",  # RFC 3515
        "PUBLISH",  # RFC 3903
        "INFO",  # RFC 6086
        "NOTIFY",
        "SUBSCRIBE",  # RFC 6665
    )
)
"""The registered methods: another one is not understood, which is 501 and not 405 (21.5.2)."""

SCHEMES: Final = frozenset(("sip", "sips", "tel"))
"""The schemes of a Request-URI that are understood unless told otherwise."""

_MANDATORY: Final = ("from", "to", "call-id", "cseq")  # of requests and responses: 8.1.1, 20

# Header fields that are no lists and that an element acts on: a second row contradicts the first.
_SINGLE: Final = (
    "content-disposition",
    "content-encoding",
    "content-type",
    "event",
    "expires",
    "min-se",
    "rack",
    "refer-to",
    "referred-by",
    "replaces",
    "rseq",
    "session-expires",
    "sip-if-match",
    "subscription-state",
)

# Option tags that a 420 names: an answer must not be much larger than what it answers.
_MOST_TOLD: Final = 32
_LONGEST_TOLD: Final = 64

# 8.1.1.8, and RFC 6665 4.1.2.1, RFC 3515 2.2: what a dialog comes of has one Contact.
_DIALOG_FORMING: Final = frozenset(("INVITE", "REFER", "SUBSCRIBE"))

# callid = word [ "@" word ]. Others are met too; a blank or a comma would be read as more than one.
_CALL_ID = re.compile(r"[^\s,]+\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a message, and what it comes to."""

    status: int
    """Of the response that the request is answered with; 0 for a response, which is dropped."""
    code: str
    """As in the table of error codes: what counters go by."""
    detail: str
    """The message for people; fit for a Warning or a log, not for a reason phrase."""
    headers: tuple[tuple[str, str], ...] = ()
    """What the answer has to carry besides: Unsupported, Allow, Accept."""


def check_forwarding(
    request: Request,
    *,
    supported: Container[str] = (),
    schemes: Container[str] = SCHEMES,
) -> Problem | None:
    """Whether a proxy may forward ``request`` (16.3); what the answer is if not.

    A Max-Forwards of 0 is 483 whatever the method; who answers OPTIONS itself looks at the code,
    ``sip.max-forwards-zero``.

    Args:
        request: as it was received.
        supported: option tags that are understood in Proxy-Require, in lower case.
        schemes: schemes of a Request-URI that are understood.
    """
    if (problem := _common(request, schemes)) is not None:
        return problem
    headers = request.headers
    names = headers.names
    if "max-forwards" in names:
        hops = headers.value(names.index("max-forwards"))
        # nearly every one is two digits
        if not (hops.isdecimal() and hops.isascii() and len(hops) <= 2 and hops[0] != "0"):
            try:
                if max_forwards(hops) == 0:
                    return Problem(483, "sip.max-forwards-zero", "Max-Forwards is used up")
            except DecodeError as wrong:
                return Problem(400, "sip.max-forwards", wrong.message)
    if "proxy-require" in names:
        return _extensions(request, "proxy-require", "sip.proxy-require", supported)
    return None


def check_strict(
    request: Request,
    *,
    allowed: Iterable[str] = METHODS,
    supported: Container[str] = (),
    schemes: Container[str] = SCHEMES,
    accepts: Iterable[str] | None = None,
) -> Problem | None:
    """Whether a user agent server can deal with ``request`` (8.2); what the answer is if not.

    What the other end of an RFC 2543 implementation leaves out is not missed (8.1.1, 12.1.1): a tag
    in From, Max-Forwards, and with a branch without the magic cookie the Contact.

    Args:
        request: as it was received.
        allowed: the methods that are dealt with.
        supported: option tags that are understood in Require, in lower case.
        schemes: schemes of a Request-URI that are understood.
        accepts: media types of bodies that are understood, ``type/subtype`` in lower case; None
            leaves the body alone.
    """
    if (problem := _common(request, schemes)) is not None:
        return problem
    methods = frozenset(allowed)
    method = request.method
    if method not in methods:
        status = 405 if method in METHODS else 501
        allow = (("Allow", ", ".join(sorted(methods))),)
        return Problem(status, "sip.method", f"{method[:40]} is not dealt with here", allow)
    headers = request.headers
    for name in _SINGLE:
        if headers.names.count(name) > 1:
            return Problem(400, "sip.single-value", f"{name} stands there more than once")
    try:
        _decode(request)
    except DecodeError as wrong:
        return Problem(400, wrong.code, wrong.message)
    if method in _DIALOG_FORMING and (problem := _contact(request)) is not None:
        return problem
    if "require" in headers:
        problem = _extensions(request, "require", "sip.require", supported)
        if problem is not None:
            return problem
    return None if accepts is None else _body(request, frozenset(accepts))


def check_response(response: Response) -> Problem | None:
    """Whether a response can be matched and passed on; the reason to drop it if not."""
    wrong = response.defect
    if wrong is not None:
        return Problem(0, "sip.response", wrong.message)
    if not 100 <= response.status <= 699:
        return Problem(0, "sip.response", f"a status of {response.status}; 699 is the highest")
    if response.version.upper() != "SIP/2.0":
        return Problem(0, "sip.version", f"the version is {response.version[:20]}")
    headers = response.headers
    if (problem := _mandatory(response, 0)) is not None:
        return problem
    try:
        CSeq.parse(headers["cseq"][0])
    except DecodeError as invalid:
        return Problem(0, "sip.cseq", invalid.message)
    return None


def check_passing(response: Response) -> Problem | None:
    """Whether a proxy may send a response on that has no ``defect``; the reason to drop it if not.

    With two lengths, or a grammar that is not ours, the next element may read another message than
    we did, and take its end for the beginning of the next one (18.3).
    """
    if response.headers.names.count("content-length") > 1:
        return Problem(0, "sip.single-value", "content-length stands there more than once")
    version = response.version
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        return Problem(0, "sip.version", f"the version is {version[:20]}")
    return None


def check_answer(response: Response, *, forwarding: bool = False) -> Problem | None:
    """As :func:`check_response`, and whether somebody may have it whom its Via values name.

    A user agent client drops a response with more than one Via (8.1.3.3). A proxy without state
    (``forwarding``) sends it where the second says: not to everybody (RFC 4475 section 3.3.10).
    """
    if (problem := check_response(response)) is not None:
        return problem
    values = response.headers.tokens("via")
    if not forwarding:
        if len(values) > 1:
            return Problem(0, "sip.via-left", "more than one Via: it is somebody else's")
        return None
    if len(values) < 2:
        return Problem(0, "sip.via-left", "one Via only: there is nobody to pass it on to")
    try:
        via = Via.parse(values[1])
        received = via.received
        address = via.address if received is None else parse_host(bracketed(received))[1]
    except DecodeError as wrong:
        return Problem(0, "sip.via", wrong.message)
    if address is not None and (
        address.is_multicast or address.is_unspecified or address == _BROADCAST
    ):
        return Problem(0, "sip.via-broadcast", f"the second Via leads to {address}")
    return None


_BROADCAST: Final = IPv4Address("255.255.255.255")


def _common(request: Request, schemes: Container[str]) -> Problem | None:
    """What is asked of a request everywhere."""
    version = request.version
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        # before anything else: the rest is by a grammar that is not ours (21.5.6)
        return Problem(505, "sip.version", f"the version is {version[:20]}; here it is SIP/2.0")
    wrong = request.defect
    if wrong is not None:
        return Problem(400, wrong.code, wrong.message)
    if (problem := _mandatory(request, 400)) is not None:
        return problem
    headers = request.headers
    names = headers.names
    method = request.method
    cseq = headers.value(names.index("cseq"))
    number, _, named = cseq.partition(" ")
    # a known method, one blank, fewer digits than the largest number has: as nearly all are
    if (
        named != method
        or method not in METHODS
        or len(number) > 9
        or not (number.isdecimal() and number.isascii())
    ):
        try:
            named = CSeq.parse(cseq).method
        except DecodeError as invalid:
            return Problem(400, "sip.cseq", invalid.message)
        if named != method:
            # RFC 4475 section 3.1.2.18: of a method that is not known, 501
            status = 400 if method in METHODS else 501
            return Problem(status, "sip.cseq", f"CSeq names {named[:40]}, not {method[:40]}")
    via = headers.value(names.index("via"))
    # what the quick reader of the topmost Via lets pass (RFC 4475 section 3.1.2.1)
    if (";;" in via or ";," in via or ",," in via or via.endswith((";", ","))) and '"' not in via:
        return Problem(400, "sip.via", f"{via[:80]!r}: a separator with nothing behind it")
    try:
        uri = parse_uri(request.uri)
    except DecodeError as invalid:
        return Problem(400, invalid.code, invalid.message)
    if uri.scheme not in schemes:
        return Problem(416, "sip.scheme", f"URIs of {uri.scheme[:40]} are not understood here")
    if isinstance(uri, Uri) and uri.headers_text:
        # Table 1 of section 19.1.1; they must not be passed on, nor read (RFC 4475 3.1.2.11)
        return Problem(400, "sip.uri.header", "a Request-URI has no header components")
    return None


def _mandatory(message: Message, status: int) -> Problem | None:
    names = message.headers.names
    for name in _MANDATORY:
        if names.count(name) != 1:
            count = names.count(name)
            return Problem(status, "sip.mandatory", f"{name} stands there {count} times, not once")
    if "via" not in names:
        return Problem(status, "sip.no-via", "a message without a Via")
    for name in ("max-forwards", "content-length"):
        if names.count(name) > 1:
            return Problem(status, "sip.single-value", f"{name} stands there more than once")
    return None


def _extensions(
    request: Request, header: str, code: str, supported: Container[str]
) -> Problem | None:
    """420 for option tags that are not understood (8.2.2.3, 16.3 step 5)."""
    if request.method in ("ACK", "CANCEL"):  # there they are ignored
        return None
    unknown = [tag for tag in request.headers.tokens(header) if tag.lower() not in supported]
    if not unknown:
        return None
    told = [tag for tag in unknown[:_MOST_TOLD] if len(tag) <= _LONGEST_TOLD]
    tags = ", ".join(told)
    rows = (("Unsupported", tags),) if told else ()
    return Problem(420, code, f"{tags[:80]}: not understood", rows)


def _decode(request: Request) -> None:
    """Decode what a user agent server goes by. Raises DecodeError."""
    headers = request.headers
    for name in ("from", "to"):
        _ = NameAddr.parse(headers[name][0]).uri
    if _CALL_ID.match(headers["call-id"][0]) is None:
        raise DecodeError("sip.call-id", f"{headers['call-id'][0][:80]!r} is no Call-ID")
    if not Via.parse_list(headers.all("via")):
        raise DecodeError("sip.header.via", "the Via is empty")
    if "max-forwards" in headers:
        max_forwards(headers["max-forwards"][0])
    for value in headers.all("contact"):
        for contact in NameAddr.parse_list(value):
            if not contact.is_star:
                _ = contact.uri
    for name in ("record-route", "route"):
        for value in headers.all(name):
            for route in NameAddr.parse_list(value):
                _ = route.uri
    for name in ("rseq", "rack"):
        if (number := headers.get(name)) is not None:
            integer(number.partition(" ")[0], least=1)


def _contact(request: Request) -> Problem | None:
    """One Contact with a SIP or SIPS URI where a dialog may come of it (8.1.1.8)."""
    contacts = NameAddr.parse_list(request.headers.all("contact"))
    if not contacts:
        via = Via.parse(request.headers.tokens("via")[0])
        if not (via.branch or "").startswith(COOKIE):
            return None  # RFC 2543: the From serves for one
        return Problem(400, "sip.contact", f"{request.method} without a Contact")
    if len(contacts) > 1:
        return Problem(400, "sip.contact", f"{request.method} with {len(contacts)} Contacts")
    if contacts[0].is_star or not isinstance(contacts[0].uri, Uri):
        return Problem(400, "sip.contact", "the Contact is no SIP or SIPS URI")
    return None


def _body(request: Request, accepts: frozenset[str]) -> Problem | None:
    """415 for a body that is not understood and not optional (8.2.3)."""
    if not request.body:
        return None
    headers = request.headers
    accept = (("Accept", ", ".join(sorted(accepts))),)
    try:
        value = headers.get("content-type")
        if value is None:  # 20.15
            return Problem(400, "sip.content-type", "a body without a Content-Type")
        kind = MediaType.parse(value)
        disposition = headers.get("content-disposition")
        if disposition is not None and not Disposition.parse(disposition).required:
            return None
    except DecodeError as wrong:
        return Problem(400, "sip.content-type", wrong.message)
    coding = headers.get("content-encoding")
    if coding is not None and coding.lower() != "identity":
        identity = (("Accept-Encoding", "identity"),)
        return Problem(415, "sip.content-type", f"the body is encoded by {coding[:40]}", identity)
    if kind.full not in accepts:
        return Problem(415, "sip.content-type", f"{kind.full[:80]} is not understood", accept)
    return None
