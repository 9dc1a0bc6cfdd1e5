"""Requests that a client transaction makes by itself, for the next hop only: ACK and CANCEL.

RFC 3261 sections 17.1.1.3 and 9.1.
"""

from __future__ import annotations

from trunkline.sip.message import Headers, Message, Request, Response
from trunkline.sip.via import top_via

__all__ = ["ack_for", "cancel_for"]


def ack_for(request: Request, response: Response) -> Request:
    """Make the ACK to a response of 300 to 699 (section 17.1.1.3)."""
    return _hop_request(request, "ACK", response if "to" in response.headers.names else request)


def cancel_for(request: Request) -> Request:
    """Make the CANCEL of ``request`` (section 9.1)."""
    return _hop_request(request, "CANCEL", request)


def _hop_request(request: Request, method: str, to: Message) -> Request:
    """Make a request for the next hop only; ``to`` has its To.

    Rows are taken over as they stand: what went out in the request can go out again.
    """
    headers = request.headers
    via = headers.get("via") or ""
    top = top_via(via)
    cseq = (headers.get("cseq") or "0").split()[0]
    made = request.copy()
    made.defect = None
    made.method = method
    made.headers = Headers()
    made.headers.names.append("via")
    made.headers.rows.append(f"Via: {via[: top.end] if top else via}")
    made.headers.add("Max-Forwards", "70")
    for name, source in (("route", headers), ("from", headers), ("to", to.headers)):
        _take(source, made.headers, name)
    _take(headers, made.headers, "call-id")
    made.headers.add("CSeq", f"{cseq} {method}")
    made.body = b""
    return made


def _take(source: Headers, into: Headers, wanted: str) -> None:
    for name, row in zip(source.names, source.rows, strict=True):
        if name == wanted:
            into.names.append(name)
            into.rows.append(row)
