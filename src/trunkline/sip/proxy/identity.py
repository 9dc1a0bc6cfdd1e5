"""Who we are: the addresses we listen on, what they are called outside, and our own Route values.

RFC 3261 sections 16.4, 16.6 (steps 4 and 8) and 18.1.1; RFC 5658 for one Record-Route on each side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address

from trunkline.errors import DecodeError
from trunkline.sip.host import bracketed
from trunkline.sip.transport import Address, Flow, Transport
from trunkline.sip.uri import Uri, parse_uri

__all__ = ["Identity", "Listener", "default_port", "route_uri", "stream_for"]

_MOST_KNOWN = 10_000  # Route values remembered as ours or not; the memory begins anew beyond it
_LONGEST_KNOWN = 256  # longer ones are not remembered


@dataclass(frozen=True, slots=True)
class Listener:
    """An address we listen on, and how it is written for others to use.

    ``advertised`` is what goes into Via and Record-Route: an address or a name, and a port.
    """

    transport: Transport
    local: Address
    advertised: Address
    via: str = field(init=False)
    """A Via row up to its branch."""
    _route: str = field(init=False)
    """A URI of ours without its scheme, and as SIPS."""
    _secure_route: str = field(init=False)

    def __post_init__(self) -> None:
        host, port = self.advertised
        place = f"{bracketed(host)}:{port}"
        token = self.transport.value
        object.__setattr__(self, "via", f"Via: SIP/2.0/{token} {place};branch=")
        # UDP is what a sip URI means without it, TLS what a sips URI means (RFC 3263 section 4.1).
        plain = "" if self.transport is Transport.UDP else f";transport={_parameter(token)}"
        secure = "" if self.transport in (Transport.UDP, Transport.TLS) else plain
        object.__setattr__(self, "_route", f"{place}{plain};lr")
        object.__setattr__(self, "_secure_route", f"{place}{secure};lr")

    def record_route(self, secure: bool, extra: str = "") -> str:
        """Return our value for Record-Route (or Path), with ``extra`` parameters."""
        if secure:
            return f"<sips:{self._secure_route}{extra}>"
        return f"<sip:{self._route}{extra}>"


def _parameter(token: str) -> str:
    # transport=tls is deprecated (section 26.2.2), and the only way to say it in a sip URI;
    # transport=wss does not exist (RFC 7118 section 5.3): the scheme tells the two apart.
    return "ws" if token == "WSS" else token.lower()


class Identity:
    """All our listeners, and the names we go by.

    ``domains`` are those we are responsible for (section 16.5); they mean us too when they stand
    in a Route.
    """

    def __init__(self, listeners: Sequence[Listener], domains: Iterable[str] = ()) -> None:
        self.listeners = tuple(listeners)
        self.domains = frozenset(domain.lower() for domain in domains)
        self._recorded = frozenset(
            (_canonical(host), port) for host, port in (item.advertised for item in listeners)
        )
        self._places = self._recorded.union(
            (spelling, port)
            for listener in listeners
            for host, port in (listener.local, listener.advertised)
            for spelling in (host.lower(), _canonical(host))
        )
        self._ports = frozenset(port for _, port in self._places)
        self.own = frozenset(self._places)
        """Where what is sent comes back to us."""
        self._hosts = frozenset(host for host, _ in self._places)
        self._by_flow = {(item.transport, item.local): item for item in reversed(self.listeners)}
        self._known: dict[str, bool] = {}

    def listener(self, flow: Flow) -> Listener | None:
        """Return the listener that ``flow`` belongs to."""
        return self._by_flow.get((flow.transport, flow.local))

    def for_transport(
        self, transport: Transport, remote_host: str, beside: str = ""
    ) -> Listener | None:
        """Return the first listener by which ``remote_host``, an address, can be reached.

        One at the address ``beside`` comes before all others.
        """
        six = ":" in remote_host
        first = None
        for listener in self.listeners:
            if listener.transport is transport and (":" in listener.local[0]) == six:
                if listener.local[0] == beside or not beside:
                    return listener
                first = first or listener
        return first

    def is_from_self(self, flow: Flow) -> bool:
        """Whether what comes by this flow may have been sent by us.

        A stream's other end has a port of its own.
        """
        remote = flow.remote
        return remote in self.own or (flow.transport.reliable and remote[0] in self._hosts)

    def serves(self, host: str) -> bool:
        """Whether a host, in small letters and without brackets, is ours, whatever the port."""
        return host in self.domains or _canonical(host) in self._hosts

    def is_ours(self, uri: Uri) -> bool:
        """Whether ``uri`` names this element: one of our addresses, or one of our domains.

        A domain may be named with a port that we listen on. A ``maddr`` says where it leads,
        whatever its host (section 16.5).
        """
        host, port = uri.host, uri.port
        if uri.parameters and uri.maddr is not None:
            host = uri.maddr.lower().strip("[]")
        if host in self.domains:
            return port is None or port in self._ports
        return (_canonical(host), port or default_port(uri)) in self._places

    def recorded(self, text: str) -> bool:
        """Whether a URI is as we write it into a Record-Route: of one of our addresses alone."""
        try:
            uri = parse_uri(text)
        except DecodeError:
            return False
        if not isinstance(uri, Uri) or uri.user is not None:
            return False
        return (_canonical(uri.host), uri.port or default_port(uri)) in self._recorded

    def placed(self, host: str, port: int | None) -> bool:
        """Whether a Via's sent-by is one that we write."""
        return (_canonical(host), port or 5060) in self._places

    def owns_route(self, value: str) -> bool:
        """Whether a Route value, ``<uri>`` with or without a name before it, is ours."""
        known = self._known.get(value)
        if known is None:
            try:
                uri = parse_uri(route_uri(value))
            except DecodeError:
                known = False
            else:
                known = isinstance(uri, Uri) and self.is_ours(uri)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            if len(value) <= _LONGEST_KNOWN:
                self._known[value] = known
        return known


def stream_for(identity: Identity, flow: Flow, size: int, limit: int) -> Flow | None:
    """Return the way of a request that is too large for UDP (section 18.1.1).

    ``None``: it goes by ``flow``, being no larger than ``limit``, or having no other way. The
    top Via says how it goes, so it is written anew.
    """
    if size <= limit or flow.transport is not Transport.UDP:
        return None
    listener = identity.for_transport(Transport.TCP, flow.remote[0], flow.local[0])
    return None if listener is None else Flow(Transport.TCP, flow.remote, listener.local)


def default_port(uri: Uri) -> int:
    """Return the port that a URI means when it names none (section 19.1.2)."""
    name = (uri.transport if uri.parameters else None) or ("tls" if uri.secure else "udp")
    if uri.secure:
        name = {"tcp": "tls", "ws": "wss"}.get(name, name)
    try:
        return Transport(name.upper()).default_port
    except ValueError:
        return Transport.UDP.default_port


def _canonical(host: str) -> str:
    """Return a host as it is compared: of the many spellings of an IPv6 address the shortest."""
    if ":" not in host:
        return host.lower()
    try:
        return str(IPv6Address(host))
    except AddressValueError:
        return host.lower()


_NAME = re.compile(r'[ \t]*"(?:[^"\\]|\\.)*"')


def route_uri(value: str) -> str:
    """Return the URI of a Route or Contact value as text: what stands in its angle brackets."""
    name = _NAME.match(value) if '"' in value else None  # which may have brackets in it
    begin = value.find("<", name.end() if name else 0)
    if begin < 0:
        return value.partition(";")[0].strip()
    end = value.find(">", begin)
    return value[begin + 1 : end if end >= 0 else len(value)]
