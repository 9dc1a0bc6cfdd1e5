"""Requests that a client transaction makes by itself, for the next hop only: ACK and CANCEL.

RFC 3261 sections 17.1.1.3 and 9.1.
"""

from __future__ import annotations

from trunkline.sip.message import Headers, Message, Request, Response
from trunkline.sip.via import top_via

__all__ = ["ack_for", "cancel_for", "cseq_number"]


def ack_for(request: Request, response: Response) -> Request:
    """Make the ACK to a response of 300 to 699 (section 17.1.1.3)."""
    return _hop_request(request, "ACK", response if "to" in response.headers.names else request)


def cancel_for(request: Request) -> Request:
    """Make the CANCEL of ``request`` (section 9.1)."""
    return _hop_request(request, "CANCEL", request)


def cseq_number(message: Message) -> str:
    """Return the sequence number in CSeq as it is written; empty if there is none."""
    return (message.headers.get("cseq") or "").replace("\t", " ").partition(" ")[0]


def _hop_request(request: Request, method: str, to: Message) -> Request:
    """Make a request for the next hop only; ``to`` has its To.

    Rows are taken over as they stand: what went out in the request can go out again.
    """
    headers = request.headers
    via = headers.get("via") or ""
    top = top_via(via)
    made = request.copy()
    made.defect = None
    made.method = method
    made.headers = rows = Headers()
    _put(rows, "via", f"Via: {via[: top.end] if top else via}")
    _put(rows, "max-forwards", "Max-Forwards: 70")
    for name, source in (("route", headers), ("from", headers), ("to", to.headers)):
        _take(source, rows, name)
    _take(headers, rows, "call-id")
    _put(rows, "cseq", f"CSeq: {cseq_number(request)} {method}")
    made.body = b""
    return made


def _take(source: Headers, into: Headers, wanted: str) -> None:
    for name, row in zip(source.names, source.rows, strict=True):
        if name == wanted:
            _put(into, name, row)


def _put(headers: Headers, name: str, row: str) -> None:
    headers.names.append(name)
    headers.rows.append(row)
