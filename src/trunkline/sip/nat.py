"""User agents behind a NAT: how to see them, and how to reach them all the same.

A NAT rewrites the source of a packet but not the message in it. RFC 3581 (``rport``) brings
responses back; requests need the source address too. A registrar keeps the flow with the binding
(`trunkline.sip.binding`). Where a dialog's own Contact leads the way, a proxy gives the contact the
address that was seen, in one of two ways:

- :func:`alias_contact` adds it as the parameter ``alias``, which :func:`open_alias` takes off a
  Request-URI again; the user agent's URI stays whole. The form is Kamailio's, so that the two can
  stand in one path;
- :func:`fix_contact` writes it into the contact, for what comes back to have nothing to take off;
  the user agent must not mind another host in its Request-URI.

Left out: media, which is a relay's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.binding import Binding
from trunkline.sip.headers import NameAddr
from trunkline.sip.host import bracketed
from trunkline.sip.lists import split_list
from trunkline.sip.message import Message, Request
from trunkline.sip.transport import Address, Flow, Transport
from trunkline.sip.uri import Uri
from trunkline.sip.via import top_via

__all__ = [
    "KeepAlive",
    "KeepAliveMethod",
    "NatSign",
    "alias_contact",
    "fix_contact",
    "is_private",
    "nat_signs",
    "open_alias",
]

_PRIVATE: Final = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598: between a carrier's NAT and its customers
        "169.254.0.0/16",  # RFC 3927
        "127.0.0.0/8",
        "fc00::/7",  # RFC 4193
        "fe80::/10",
        "::1/128",
    )
)


def is_private(host: str) -> bool:
    """Whether it is an address that leads nowhere from outside; a name is none."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)


class NatSign(Enum):
    """What gives a NAT away."""

    CONTACT_PRIVATE = "contact-private"
    """The contact is a private address, and the request came from another."""
    CONTACT_DIFFERS = "contact-differs"
    """The contact is another address than the request came from."""
    CONTACT_PORT_DIFFERS = "contact-port-differs"
    """Only the port is another: it may well listen elsewhere than it sends from."""
    VIA_DIFFERS = "via-differs"
    """The topmost Via is another address than the request came from."""
    VIA_PORT_DIFFERS = "via-port-differs"
    """Its port is another: over UDP, only a NAT does that to one who asks for ``rport``."""


def nat_signs(request: Request, source: Address) -> frozenset[NatSign]:
    """Every sign in a request from its user agent itself (one Via) that it is behind a NAT."""
    found: set[NatSign] = set()
    contact = _first_contact(request)
    if contact is not None and contact.address is not None:
        if contact.address != ip_address(source[0]):
            found.add(NatSign.CONTACT_DIFFERS)
            if is_private(str(contact.address)):
                found.add(NatSign.CONTACT_PRIVATE)
        elif (contact.port or (5061 if contact.secure else 5060)) != source[1]:
            found.add(NatSign.CONTACT_PORT_DIFFERS)
    via = top_via(request.headers.get("via") or "")
    if via is not None:
        # A name is not looked up here: it says nothing either way.
        if _is_address(via.host) and ip_address(via.host) != ip_address(source[0]):
            found.add(NatSign.VIA_DIFFERS)
        elif via.transport.upper() == "UDP" and (via.port or 5060) != source[1]:
            found.add(NatSign.VIA_PORT_DIFFERS)
    return frozenset(found)


def fix_contact(message: Message, flow: Flow) -> int:
    """Write the address that a message came from into its SIP contacts; return how many changed."""

    def fixed(uri: Uri) -> Uri:
        host, port = flow.remote
        transport = None if flow.transport is Transport.UDP else flow.transport.parameter
        moved = uri.evolve(host=host, port=port).without_param("transport", "maddr")
        return moved.with_params({"transport": transport}) if transport else moved

    return _edit_contacts(message, fixed)


# The numbers of Kamailio's parameter; 4 is SCTP.
_NUMBERS: Final = {
    Transport.UDP: "1",
    Transport.TCP: "2",
    Transport.TLS: "3",
    Transport.WS: "5",
    Transport.WSS: "6",
}
_TRANSPORTS: Final = {number: transport for transport, number in _NUMBERS.items()}


def alias_contact(message: Message, flow: Flow) -> int:
    """Add the address that a message came from to its SIP contacts; return how many changed.

    ``;alias=ADDRESS~PORT~TRANSPORT``, in the place of one that is there.
    """
    host, port = flow.remote
    value = f"{bracketed(host)}~{port}~{_NUMBERS[flow.transport]}"
    return _edit_contacts(message, lambda uri: uri.with_params({"alias": value}))


def open_alias(uri: Uri) -> tuple[Uri, Transport, Address] | None:
    """A Request-URI without its alias, and where the alias leads; ``None`` without a valid one."""
    value = uri.params.get("alias")
    if value is None:
        return None
    match value.split("~"):
        case [host, port, number] if number in _TRANSPORTS and port.isascii() and port.isdigit():
            address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
            if _is_address(address) and len(port) <= 5 and 0 < int(port) < 1 << 16:
                return uri.without_param("alias"), _TRANSPORTS[number], (address, int(port))
    return None


def _edit_contacts(message: Message, edit: Callable[[Uri], Uri]) -> int:
    headers = message.headers
    if message.defect is not None:  # a value may have line breaks: nobody forwards it
        return 0
    changed = 0
    for index, value in enumerate(headers.all("contact")):
        parts = []
        before = changed
        for text in split_list(value):
            try:
                contact = NameAddr.parse(text)
                uri = None if contact.is_star else contact.uri
                if isinstance(uri, Uri):
                    new = edit(uri)
                    if new != uri:
                        text = str(contact.evolve(uri=new))
                        changed += 1
            except DecodeError:
                pass  # what cannot be read goes on as it came
            parts.append(text)
        if changed > before:
            headers.replace("Contact", ", ".join(parts), index)
    return changed


def _first_contact(request: Request) -> Uri | None:
    for text in request.headers.tokens("contact")[:1]:
        try:
            contact = NameAddr.parse(text)
            uri = None if contact.is_star else contact.uri
        except DecodeError:
            return None
        return uri if isinstance(uri, Uri) else None
    return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class KeepAliveMethod(Enum):
    """What keeps a NAT's mapping open from our side."""

    OPTIONS = "options"
    """A request whose answer also shows that the user agent is there."""
    CRLF = "crlf"
    """Two line breaks: over UDP one packet of four octets, unanswered (RFC 5626 section 3.5.1 gives
    it an answer on streams only)."""


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Which bindings are kept reachable, and how. Raises ``sip.keep-alive``."""

    method: KeepAliveMethod = KeepAliveMethod.OPTIONS
    interval: float = 25.0
    """Seconds from one to the next: under the 30 s of many NATs (RFC 5626 section 4.4.2)."""
    behind_nat_only: bool = True
    """Leave alone those that showed no :class:`NatSign` when they registered."""
    failures: int = 3
    """OPTIONS without an answer, in a row, after which the binding is given up; 0: never."""

    def __post_init__(self) -> None:
        if self.interval < 1 or self.failures < 0:
            raise TrunklineError(
                "sip.keep-alive", "interval is 1 s or more, failures is not negative"
            )

    def due(self, binding: Binding, age: float) -> bool:
        """Whether a binding is due for one, ``age`` seconds after the last."""
        # Streams are kept by their user agents, who see when one breaks (RFC 5626 section 4.4.1).
        over_udp = binding.flow is not None and binding.flow.transport is Transport.UDP
        return over_udp and (binding.nat or not self.behind_nat_only) and age >= self.interval
