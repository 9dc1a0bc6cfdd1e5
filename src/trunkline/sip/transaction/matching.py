"""What belongs to what: keys of transactions, and where responses go.

RFC 3261 sections 17.1.3, 17.2.3 and 18.2.2, RFC 3581 section 4. Of a request by RFC 2543 (a branch
without the magic cookie) the To tag is not part of the key, because an ACK has another one than its
INVITE. Two INVITEs that differ by nothing else would be one transaction.
"""

from __future__ import annotations

import hashlib

from trunkline.sip.message import Message, Request, parse, tag_of
from trunkline.sip.transaction.hop import cseq_number
from trunkline.sip.transaction.table import State
from trunkline.sip.transaction.transactions import ServerTransaction
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.via import COOKIE, TopVia

__all__ = [
    "answers_to",
    "branch_key",
    "by_rfc2543",
    "cseq_method",
    "for_another",
    "request_key",
    "sent_by",
]

_LONGEST_KEY = 256
"""A longer one is kept as its digest, so that a long branch costs no memory."""
_RFC2543 = "RFC2543"
_NEVER_OPENED = (Transport.WS, Transport.WSS)
"""Nobody can open a connection to a WebSocket client (RFC 7118 section 5)."""


def request_key(request: Request, via: TopVia) -> str:
    """Return by what a request finds its transaction, but for its method (section 17.2.3)."""
    key = branch_key(via)
    if key:
        return key
    headers = request.headers
    parts = (
        request.uri,
        tag_of(headers.get("from") or "") or "",
        headers.get("call-id") or "",
        cseq_number(request),
        headers.get("via") or "",
    )
    return f"{_RFC2543} {_digest(' '.join(parts))}"


def branch_key(via: TopVia) -> str:
    """Return the key that a branch of RFC 3261 gives; empty where it is not one."""
    branch = via.branch
    if len(branch) <= len(COOKIE) or not branch.startswith(COOKIE):
        return ""
    key = f"{branch} {via.host.lower()}:{via.port or ''}"
    return key if len(key) <= _LONGEST_KEY else f"{COOKIE} {_digest(key)}"


def by_rfc2543(key: str) -> bool:
    """Whether a request key is not made of a branch."""
    return key.startswith(_RFC2543)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def cseq_method(message: Message) -> str:
    """Return the method in CSeq; empty if there is none."""
    return (message.headers.get("cseq") or "").replace("\t", " ").rpartition(" ")[2]


def for_another(ack: Request, invite: ServerTransaction) -> bool:
    """Whether an ACK by RFC 2543 is for a response that another sent (section 17.2.3)."""
    if invite.state is not State.COMPLETED:
        return False
    sent = parse(invite.last).headers.get("to") or ""
    return tag_of(ack.headers.get("to") or "") != tag_of(sent)


def answers_to(via: TopVia, source: Flow) -> Flow:
    """Return to where responses to a request from ``source`` go, its top Via being marked."""
    if source.transport.reliable or via.symmetric:
        return source
    port = via.port or source.transport.default_port
    if port == source.remote[1]:
        return source
    return Flow(source.transport, (source.remote[0], port), source.local)


def sent_by(via: TopVia, gone: Flow) -> Flow | None:
    """Return to where a response goes when its connection is gone (section 18.2.2).

    ``None``: nowhere, or that is where it could not be sent. The address is where the request came
    from, whatever ``received`` says, so that nobody has responses sent to others.
    """
    remote = gone.remote[0], via.port or gone.transport.default_port
    if not gone.connection or remote == gone.remote or gone.transport in _NEVER_OPENED:
        return None
    return Flow(gone.transport, remote, gone.local)
