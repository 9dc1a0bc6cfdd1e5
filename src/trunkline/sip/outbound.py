"""Client-initiated connections (RFC 5626) and Path (RFC 3327), as data and decisions.

- what a contact says of itself: instance and reg-id (sections 4.1, 11.1);
- flow tokens, by which an edge proxy finds a flow again (section 5.2), and the Path value they
  stand in (section 5.1);
- which of an instance's flows a request takes, and which comes next (section 7; RFC 5627 section
  6.1).

Left out: STUN keep-alives (section 8), which need a port that speaks both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.binding import Binding, normal_instance
from trunkline.sip.host import bracketed
from trunkline.sip.message import Request
from trunkline.sip.transport import Flow, Transport

__all__ = [
    "FLOW_FAILED",
    "FlowTokens",
    "PathOutcome",
    "add_path",
    "instance_of",
    "is_first_hop",
    "path_value",
    "reg_id_of",
    "supports",
    "target_groups",
]

FLOW_FAILED: Final = 430
"""The flow that a token names is gone; the next flow of the instance is tried (section 7)."""

_INSTANCE = re.compile(r"<([^<>\s\"]{1,255})>\Z")


def instance_of(value: str | None) -> str:
    """The URN in the value of ``+sip.instance``; empty if there is none in angle brackets."""
    found = _INSTANCE.match(value) if value is not None else None
    return normal_instance(found[1]) if found else ""


def reg_id_of(value: str | None) -> int:
    """The value of ``reg-id``, 1 to 2**31-1; 0 if there is none (section 11.1).

    Raises:
        DecodeError: ``sip.reg-id``.
    """
    if value is None:
        return 0
    if value.isascii() and value.isdigit() and len(value) <= 10 and 0 < int(value) < 1 << 31:
        return int(value)
    raise DecodeError("sip.reg-id", f"reg-id={value[:20]}: a number from 1 to 2147483647")


def supports(request: Request, tag: str) -> bool:
    """Whether Supported has the option tag."""
    return tag in (token.lower() for token in request.headers.tokens("supported"))


def is_first_hop(request: Request) -> bool:
    """Whether we are the first element after the user agent (section 5.1): one Via value."""
    return len(request.headers.tokens("via")) == 1


class PathOutcome(Enum):
    """What became of a Path value (RFC 3327 section 5.2)."""

    ADDED = "added"
    LEFT_OUT = "left-out"
    """The user agent does not support Path, and we can do without."""
    REFUSED = "refused"
    """Answer 421 with ``Require: path``: the user agent does not support it, and we need it."""


def add_path(request: Request, value: str, *, needed: bool = False) -> PathOutcome:
    """Put ``value`` on top of a REGISTER's Path, if its user agent supports that.

    Args:
        request: about to be forwarded.
        value: as :func:`path_value` makes it.
        needed: we have to be on the way back; the registrar is told by ``Require: path``.
    """
    if not supports(request, "path"):
        return PathOutcome.REFUSED if needed else PathOutcome.LEFT_OUT
    headers = request.headers
    if "path" in headers:
        headers.insert("Path", value, before="path")
    else:
        headers.insert("Path", value, after="via")
    if needed and "path" not in (token.lower() for token in headers.tokens("require")):
        headers.add("Require", "path")
    return PathOutcome.ADDED


def path_value(
    host: str, port: int | None, transport: Transport, *, token: str = "", outbound: bool = False
) -> str:
    """The Path value of an edge proxy.

    Args:
        host: by which requests reach us; an IPv6 address without brackets.
        port: ``None`` for the transport's own.
        transport: of that address.
        token: of the flow, from :class:`FlowTokens`.
        outbound: ``;ob``: we are the first hop and the registration has a reg-id.
    """
    user = f"{token}@" if token else ""
    number = "" if port is None else f":{port}"
    marks = ";lr;ob" if outbound else ";lr"
    return f"<sip:{user}{bracketed(host)}{number};transport={transport.parameter}{marks}>"


_SEAL: Final = 10  # HMAC-…-80, section 5.2
_FIXED: Final = struct.Struct("!BHQHH")  # transport, node, connection, local and remote port
_TRANSPORTS: Final = tuple(Transport)


class FlowTokens:
    """Flows as text that fits the user part of a URI, and that nobody else can make.

    Section 5.2, with SHA-256 in the place of SHA-1 and the number of the connection added: a number
    is never given twice, addresses and ports are. ``node`` says which process has the flow.

    Args:
        secret: 16 octets or more, shared by the processes that read each other's tokens. Make a new
            one at each start of the whole: connections do not outlive it.

    Raises:
        TrunklineError: ``sip.flow-secret``.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise TrunklineError(
                "sip.flow-secret", f"the secret has {len(secret)} octets: give it 16 or more"
            )
        self._seal = hmac.new(secret, b"flow\0", hashlib.sha256)

    def make(self, flow: Flow, node: int = 0) -> str:
        """The token of ``flow``; ``node`` is 0 to 65535."""
        local, remote = ip_address(flow.local[0]).packed, ip_address(flow.remote[0]).packed
        number = _TRANSPORTS.index(flow.transport)
        ports = (flow.local[1], flow.remote[1])
        data = _FIXED.pack(number, node, flow.connection, *ports) + local + remote
        return base64.urlsafe_b64encode(self._sealed(data) + data).decode("ascii").rstrip("=")

    def open(self, token: str) -> tuple[Flow, int] | None:
        """Flow and node of ``token``; ``None`` if we did not make it: answer 403 (5.3.1)."""
        if not token.isascii() or len(token) > 120:
            return None
        try:
            octets = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except binascii.Error:
            return None
        data = octets[_SEAL:]
        size, odd = divmod(len(data) - _FIXED.size, 2)
        if odd or size not in (4, 16):
            return None
        if not hmac.compare_digest(octets[:_SEAL], self._sealed(data)):
            return None
        number, node, connection, local_port, remote_port = _FIXED.unpack_from(data)
        local = str(ip_address(data[_FIXED.size : _FIXED.size + size]))
        remote = str(ip_address(data[_FIXED.size + size :]))
        flow = Flow(_TRANSPORTS[number], (remote, remote_port), (local, local_port), connection)
        return flow, node

    def _sealed(self, data: bytes) -> bytes:
        seal = self._seal.copy()
        seal.update(data)
        return seal.digest()[:_SEAL]


@dataclass(frozen=True, slots=True)
class _Key:
    instance: str
    contact: str


def target_groups(bindings: Iterable[Binding]) -> list[Sequence[Binding]]:
    """Bindings as groups of which only the first is to be called, the next if its flow fails.

    Section 7: of one instance there is never more than one target at a time. A branch that ends
    with 408 or 430 is followed by the next of its group; any other final answer is the instance's
    last word. The most recently refreshed comes first (RFC 5627 section 6.1). A contact without an
    instance is a group of its own. Groups stand by falling ``q`` (section 16.6 of RFC 3261; none
    counts as 1), the older registration first.
    """
    groups: dict[_Key, list[Binding]] = {}
    for binding in bindings:
        alone = "" if binding.instance else binding.contact
        groups.setdefault(_Key(binding.instance, alone), []).append(binding)
    for group in groups.values():
        group.sort(key=lambda binding: -binding.refreshed)
    return sorted(
        groups.values(),
        key=lambda group: (
            -max(1.0 if b.q is None else b.q for b in group),
            min(b.registered for b in group),
        ),
    )
