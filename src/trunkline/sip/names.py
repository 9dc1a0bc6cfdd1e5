"""Header names: the long forms as they are usually written, and the compact forms.

RFC 3261 sections 7.3.3 and 20, and the documents that registered the others. A header's *canonical*
name is the long form in small letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CANONICAL", "COMPACT", "WRITTEN", "canonical"]

COMPACT: Mapping[str, str] = MappingProxyType(
    {
        "a": "accept-contact",  # RFC 3841 section 9.2
        "b": "referred-by",  # RFC 3892 section 3
        "c": "content-type",
        "d": "request-disposition",  # RFC 3841 section 9.1
        "e": "content-encoding",
        "f": "from",
        "i": "call-id",
        "j": "reject-contact",  # RFC 3841 section 9.2
        "k": "supported",
        "l": "content-length",
        "m": "contact",
        "n": "identity-info",  # RFC 4474, historic
        "o": "event",  # RFC 6665 section 8.2.1
        "r": "refer-to",  # RFC 3515 section 2.1
        "s": "subject",
        "t": "to",
        "u": "allow-events",  # RFC 6665 section 8.2.2
        "v": "via",
        "x": "session-expires",  # RFC 4028 section 4
        "y": "identity",  # RFC 8224 section 4
    }
)
"""Compact form to canonical name."""

_USUAL = (
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Authentication-Info",
    "Authorization",
    "CSeq",
    "Call-ID",
    "Call-Info",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "Date",
    "Error-Info",
    "Event",
    "Expires",
    "Flow-Timer",
    "From",
    "Identity",
    "In-Reply-To",
    "MIME-Version",
    "Max-Breadth",
    "Max-Forwards",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "P-Access-Network-Info",
    "P-Asserted-Identity",
    "P-Associated-URI",
    "P-Called-Party-ID",
    "P-Charging-Vector",
    "P-Preferred-Identity",
    "P-Visited-Network-ID",
    "Path",
    "Priority",
    "Privacy",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Require",
    "RAck",
    "RSeq",
    "Reason",
    "Record-Route",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "Reply-To",
    "Require",
    "Retry-After",
    "Route",
    "SIP-ETag",
    "SIP-If-Match",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Server",
    "Service-Route",
    "Session-Expires",
    "Subject",
    "Subscription-State",
    "Supported",
    "Timestamp",
    "To",
    "Unsupported",
    "User-Agent",
    "Via",
    "WWW-Authenticate",
    "Warning",
)

WRITTEN: Mapping[str, str] = MappingProxyType({name.lower(): name for name in _USUAL})
"""Canonical name to the form in which we write it."""

# What arrives is nearly always written in one of these ways; the dictionary keeps one text of each
# name, so that comparing them is comparing identities.
CANONICAL: dict[str, str] = {}
"""Names as they are often written, to canonical names."""
for _name in _USUAL:
    _low = _name.lower()
    for _form in (_name, _low, _name.upper(), _name.title()):
        CANONICAL[_form] = _low
for _short, _long in COMPACT.items():
    _low = next((known for known in CANONICAL.values() if known == _long), _long)
    CANONICAL[_short] = CANONICAL[_short.upper()] = _low


def canonical(name: str) -> str:
    """Return the canonical name of ``name``, however it is written."""
    known = CANONICAL.get(name)
    if known is not None:
        return known
    low = name.lower()
    return CANONICAL.get(low, low)
