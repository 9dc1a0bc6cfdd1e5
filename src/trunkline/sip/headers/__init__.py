"""Typed views of header fields: what a value means, decoded when somebody asks for it.

RFC 3261 section 20 and the documents that registered the others; each module names its own. A view
is immutable and made by ``parse(text)`` of a value as ``Headers.get`` gives it (unfolded), or by
``parse_list`` of the rows of a list; ``str(view)`` is what was parsed, unknown parameters and their
order included. Whatever cannot be read is one :class:`DecodeError`, ``sip.header.…``, or
``sip.uri.…`` for the URI or host within.

Every expression is linear: what a peer may send, up to the size of a message, costs its length.

Left out: header fields that are plain text (Subject, Organization, User-Agent, Server, Call-ID) or
lists of tokens (Allow, Supported, Require: ``Headers.tokens``), and those of authentication, which
are `trunkline.sip.digest`'s.
"""

from trunkline.sip.headers.address import NameAddr
from trunkline.sip.headers.date import date_text, parse_date
from trunkline.sip.headers.numbers import (
    CSeq,
    RAck,
    content_length,
    delta_seconds,
    integer,
    max_breadth,
    max_forwards,
    qvalue,
    response_number,
)
from trunkline.sip.headers.values import (
    Disposition,
    Event,
    MediaType,
    MinSE,
    Reason,
    Replaces,
    RetryAfter,
    SecurityMechanism,
    SessionExpires,
    SubscriptionState,
    Weighted,
)
from trunkline.sip.headers.via import Via
from trunkline.sip.lists import split_list
from trunkline.sip.params import HeaderParams

__all__ = [
    "CSeq",
    "Disposition",
    "Event",
    "HeaderParams",
    "MediaType",
    "MinSE",
    "NameAddr",
    "RAck",
    "Reason",
    "Replaces",
    "RetryAfter",
    "SecurityMechanism",
    "SessionExpires",
    "SubscriptionState",
    "Via",
    "Weighted",
    "content_length",
    "date_text",
    "delta_seconds",
    "integer",
    "max_breadth",
    "max_forwards",
    "parse_date",
    "qvalue",
    "response_number",
    "split_list",
]
