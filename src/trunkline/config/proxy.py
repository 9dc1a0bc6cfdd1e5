"""The settings of a SIP proxy node: the table ``[node.NAME.proxy]`` of a network file.

```toml
[node.Edge.proxy]
script = "edge.py"                                # relative to the network file
listen = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]
domains = ["example.org"]                         # those it is responsible for
workers = 2                                       # processes on the same ports

[node.Edge.proxy.redis]
MyRedisServer = "redis://127.0.0.2:6379"          # or "memory", for one process

[node.Edge.proxy.dialplans]
numbers = "numbers.csv"                           # relative to the network file

[node.Edge.proxy.destinations.gateways]           # app.destinations("gateways")
targets = ["sip:192.0.2.51", { uri = "sip:192.0.2.52", weight = 3 }]
probe = "10s"

[node.Edge.proxy.settings]                        # the script's own: app.settings
gateway = "sip:127.0.0.1:5080"
```
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Literal

import attrs

from trunkline.config.values import Duration
from trunkline.errors import DecodeError
from trunkline.sip.host import parse_host
from trunkline.sip.transport import Address, Transport
from trunkline.sip.uri import Uri, parse_uri

__all__ = [
    "DestinationSettings",
    "DestinationTarget",
    "DigestAlgorithm",
    "HepCollector",
    "Listen",
    "ProxyNodeSettings",
    "TlsFiles",
]

DigestAlgorithm = Literal["SHA-256", "SHA-512-256", "MD5"]

_LISTEN = re.compile(
    r"(udp|tcp|tls|ws|wss):(\[[^\]]+\]|[^:\s]+):(\d+)(?:\s+as\s+(\[[^\]]+\]|[^:\s]+)(?::(\d+))?)?"
)


_COLLECTOR = re.compile(r"udp:(\[[^\]]+\]|[^:\s]+):(\d{1,5})")


@attrs.frozen
class Listen:
    """An address to listen on, written ``"udp:10.0.0.1:5060"``.

    ``"udp:10.0.0.1:5060 as sip.example.org:5060"`` says what it is called outside.
    """

    transport: Transport
    local: Address
    advertised: Address

    @classmethod
    def parse(cls, text: object) -> Listen:
        """Read ``text``; ValueError says what is wrong."""
        found = _LISTEN.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(
                f'{text!r} is no address to listen on: write "udp:127.0.0.1:5060", or'
                ' "udp:10.0.0.1:5060 as sip.example.org:5060"; udp, tcp, tls, ws or wss;'
                " an IPv6 address in brackets"
            )
        kind, host, port, name, outside = found.groups()
        host = host.strip("[]")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(
                f"{text!r}: {host!r} is no IP address; a name for others goes behind 'as'"
            ) from None
        if address.is_unspecified and name is None:
            raise ValueError(
                f"{text!r}: say under which address others reach it:"
                f' "{kind}:{found[2]}:{port} as 192.0.2.1:{port}"'
            )
        for number in (port, outside or port):
            if int(number) > 0xFFFF:
                raise ValueError(f"{text!r}: a port is at most 65535, not {number}")
        local = (str(address), int(port))
        if name is None:
            return cls(Transport(kind.upper()), local, local)
        try:
            called, literal = parse_host(name)
        except DecodeError as problem:
            raise ValueError(f"{text!r}: {problem.message}") from None
        if literal is not None and literal.is_unspecified:
            raise ValueError(f"{text!r}: nobody can reach {name}; say what others are to use")
        return cls(Transport(kind.upper()), local, (called, int(outside or port)))


@attrs.frozen
class HepCollector:
    """Where captures go, written ``"udp:192.0.2.9:9060"``."""

    address: Address

    @classmethod
    def parse(cls, text: object) -> HepCollector:
        """Read ``text``; ValueError says what is wrong."""
        found = _COLLECTOR.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f'{text!r} is no collector: write "udp:127.0.0.1:9060"')
        host, port = found[1].strip("[]"), int(found[2])
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{text!r}: {host!r} is no IP address") from None
        if not 0 < port < 0x10000:
            raise ValueError(f"{text!r}: a port is 1 to 65535, not {port}")
        return cls((str(address), port))


@attrs.frozen
class TlsFiles:
    """What TLS needs: files relative to the network file, and who has to show a certificate."""

    certificate: str = ""
    key: str = ""
    authorities: str = ""
    verify_client: Literal["no", "optional", "required"] = "no"
    verify_server: bool = True


def _sip_uri(_: object, __: attrs.Attribute[str], value: str) -> None:
    try:
        uri = parse_uri(value)
    except DecodeError as problem:
        raise ValueError(f"{value!r} is no URI: {problem.message}") from None
    if not isinstance(uri, Uri) or uri.user is not None:
        raise ValueError(f'{value!r} names no server: write "sip:192.0.2.51:5060"')


def _within(least: float, most: float) -> Callable[[object, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: int | Duration | None) -> None:
        number = value.seconds if isinstance(value, Duration) else value
        if number is not None and not least <= number <= most:
            unit = " s" if isinstance(value, Duration) else ""
            raise ValueError(f"{attribute.name}: {least:g} to {most:g}{unit}, not {number:g}{unit}")

    return check


@attrs.frozen
class DestinationTarget:
    """A server of a set of destinations; also written as its URI alone."""

    uri: str = attrs.field(validator=_sip_uri)
    weight: int = attrs.field(default=1, validator=_within(0, 65535))
    """Its share among those of its priority, as in SRV records (RFC 2782)."""
    priority: int = attrs.field(default=0, validator=_within(0, 65535))
    """The lowest goes first; the next when all of it have failed, or are down."""


@attrs.frozen
class DestinationSettings:
    """A set of servers that stand in for one another."""

    targets: tuple[DestinationTarget, ...]
    probe: Duration | None = attrs.field(default=None, validator=_within(0.5, 86_400))
    """How often each is sent an OPTIONS; without it none is, and none is ever down."""
    timeout: Duration = attrs.field(default=Duration(2.0), validator=_within(0.1, 32))
    """How long an answer to an OPTIONS may take."""
    down_after: int = attrs.field(default=3, validator=_within(1, 100))
    up_after: int = attrs.field(default=1, validator=_within(1, 100))
    failing: tuple[int, ...] = (408, 503)
    """Final responses to OPTIONS that count as none."""

    def __attrs_post_init__(self) -> None:
        """Check what takes more than one value; ValueError says what is wrong."""
        if not self.targets:
            raise ValueError('targets: at least one, "sip:192.0.2.51"')
        uris = [target.uri for target in self.targets]
        for uri in uris:
            if uris.count(uri) > 1:
                raise ValueError(f"targets: {uri!r} is there twice")
        for code in self.failing:
            if not 300 <= code <= 699:
                raise ValueError(f"failing: responses from 300 to 699, not {code}")


@attrs.frozen
class ProxyNodeSettings:
    """What makes a node a SIP proxy."""

    script: str
    listen: tuple[Listen, ...]
    domains: tuple[str, ...] = ()
    workers: int = 1
    record_route: bool = True
    supported: tuple[str, ...] = ()
    """Option tags that the script understands in Proxy-Require; others are answered 420."""
    stateless: bool = False
    """Whether requests are sent on without a transaction (RFC 3261 section 16.11)."""
    dns: tuple[str, ...] = ()
    """Name servers, ``"192.0.2.53"`` or ``"127.0.0.1:5353"``; none: those of resolv.conf."""
    users: str = ""
    """Users: a CSV file, or ``sql:NAME``; with the columns of Kamailio's table ``subscriber``."""
    algorithms: tuple[DigestAlgorithm, ...] = ("SHA-256", "SHA-512-256", "MD5")
    """What challenges offer, best first. Users with MD5 hashes only need ``("MD5",)``."""
    secret: str = ""
    """Seals nonces; the same on all hosts that share a realm. Empty: made anew at each start."""
    redis: dict[str, str] = attrs.Factory(dict)
    """Stores by name: a ``redis://`` URL, or ``memory``."""
    sql: dict[str, str] = attrs.Factory(dict)
    """Databases by name: ``sqlite:///file``, ``postgresql://`` or ``mysql://`` URLs."""
    dialplans: dict[str, str] = attrs.Factory(dict)
    """Dialplan tables by name: a CSV file, or ``sql:NAME`` for the table ``dialplan`` there."""
    location: str = "memory"
    """Where registrations are: ``memory``, ``redis:NAME`` or ``sql:NAME``."""
    keep_alive: Duration | None = attrs.field(default=None, validator=_within(1, 3600))
    """How often phones behind a NAT are sent something by UDP; none: never."""
    keep_alive_method: Literal["options", "crlf"] = "options"
    tls: TlsFiles | None = None
    destinations: dict[str, DestinationSettings] = attrs.Factory(dict)
    """Sets of servers, by name."""
    hep: HepCollector | None = None
    """Who is sent a copy of every message, as HEPv3."""
    hep_id: int = 1
    """The number by which the collector knows this node."""
    settings: dict[str, object] = attrs.Factory(dict)
