"""Loops: RFC 5393 section 4.2, which replaces RFC 3261 sections 16.3 step 4 and 16.6 step 8.

A branch that may be part of a fork has a second part, made of what decides where a request goes.
A request that comes back with a branch of ours whose second part it would get again has looped;
with another, it spirals.
"""

from __future__ import annotations

import zlib

from trunkline.sip.message import Request
from trunkline.sip.proxy.identity import Identity
from trunkline.sip.via import top_via

__all__ = ["loop_part", "looped"]

_SEPARATOR = "-"  # the first part of our branches has none
_DECIDE = ("route", "proxy-require", "proxy-authorization", "call-id")


def loop_part(request: Request, uri: str) -> str:
    """Return the second part of the branch, with its separator (section 4.2.1).

    ``uri`` is the Request-URI as it was received. The method must not matter. Call-ID and CSeq make
    another transaction get another part, should two requests get the same (section 4.2.4).
    """
    headers = request.headers
    number = (headers.get("cseq") or "").partition(" ")[0]
    text = "\n".join((uri, number, *(row for name in _DECIDE for row in headers.all(name))))
    return f"{_SEPARATOR}{zlib.crc32(text.encode('utf-8', 'surrogateescape')):08x}"


def looped(request: Request, uri: str, identity: Identity) -> bool:
    """Whether this request was here before, and nothing has changed since (section 4.2.2)."""
    mine = ""
    for value in request.headers.tokens("via"):
        via = top_via(value)
        if via is None or _SEPARATOR not in via.branch or not identity.placed(via.host, via.port):
            continue
        mine = mine or loop_part(request, uri)
        if via.branch.endswith(mine):
            return True
    return False
