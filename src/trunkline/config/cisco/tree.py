"""The configuration of one router as plain data: what ``show running-config`` would print.

Two trees are equal when they mean the same; where a line stood (``source``) does not count. Point
codes are plain ``int``, addresses are dotted text as the router writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from trunkline.ss7.pointcode import ITU, Prefix, Variant

__all__ = [
    "DEFAULT_HOSTNAME",
    "DEFAULT_NETWORK_INDICATOR",
    "DEFAULT_PRIORITY",
    "NETWORK_INDICATORS",
    "Cs7Config",
    "Interface",
    "InterfaceAddress",
    "Link",
    "Linkset",
    "LocalPeer",
    "Location",
    "Route",
]

DEFAULT_HOSTNAME = "Router"
"""What the router family calls itself until ``hostname`` says otherwise."""

DEFAULT_PRIORITY = 5
"""Priority of a route that names none; ``show cs7 route`` prints it, lower is better."""

NETWORK_INDICATORS: Mapping[str, int] = MappingProxyType(
    {"international": 0, "spare": 1, "national": 2, "reserved": 3}
)
"""The two bits of the service information octet (Q.704 clause 14.2.2)."""

DEFAULT_NETWORK_INDICATOR = NETWORK_INDICATORS["national"]


class Location(NamedTuple):
    """Where a line was read: the file's name as given, line and column counted from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True)
class LocalPeer:
    """``cs7 local-peer``: one SCTP endpoint of this router, a port on one or more addresses."""

    port: int
    ips: list[str] = field(default_factory=list)
    source: Location | None = field(default=None, compare=False, repr=False)
    ip_sources: dict[str, Location] = field(default_factory=dict, compare=False, repr=False)


@dataclass(slots=True)
class Link:
    """``link``: one M2PA association, and so one signalling link of its linkset."""

    slc: int
    remote_ips: tuple[str, ...]
    local_port: int
    remote_port: int
    shutdown: bool = False
    source: Location | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Linkset:
    """``cs7 linkset``: the links to one adjacent signalling point."""

    name: str
    apc: int
    links: dict[int, Link] = field(default_factory=dict)
    shutdown: bool = False
    source: Location | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """``update route``: the way to a group of destinations over one linkset."""

    prefix: Prefix
    linkset: str
    priority: int | None = None
    """None where the line names no priority: :data:`DEFAULT_PRIORITY` then."""
    source: Location | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> tuple[Prefix, str]:
        """What ``update route`` updates: the same destination over the same linkset."""
        return self.prefix, self.linkset


class InterfaceAddress(NamedTuple):
    """``ip address``: an address and its dotted mask."""

    ip: str
    mask: str


@dataclass(slots=True)
class Interface:
    """``interface``: kept so that ``local-ip`` can be checked against real addresses."""

    name: str
    addresses: list[InterfaceAddress] = field(default_factory=list)
    """The primary address first, then the secondary ones."""
    shutdown: bool = False
    source: Location | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Cs7Config:
    """Everything that Trunkline takes from a router's configuration."""

    hostname: str = DEFAULT_HOSTNAME
    variant: Variant = ITU
    network_indicator: int = DEFAULT_NETWORK_INDICATOR
    point_code: int | None = None
    interfaces: dict[str, Interface] = field(default_factory=dict)
    local_peers: dict[int, LocalPeer] = field(default_factory=dict)
    linksets: dict[str, Linkset] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    point_code_source: Location | None = field(default=None, compare=False, repr=False)

    @property
    def holds_point_codes(self) -> bool:
        """Whether the variant is settled: some point code was read in it."""
        return self.point_code is not None or bool(self.linksets or self.routes)

    def format_pc(self, pc: int) -> str:
        """Return a point code as this router writes it."""
        return self.variant.format(pc)

    def copy(self) -> Cs7Config:
        """Return a tree that shares nothing mutable with this one."""
        return replace(
            self,
            interfaces={
                key: replace(interface, addresses=list(interface.addresses))
                for key, interface in self.interfaces.items()
            },
            local_peers={
                key: replace(peer, ips=list(peer.ips), ip_sources=dict(peer.ip_sources))
                for key, peer in self.local_peers.items()
            },
            linksets={
                key: replace(
                    linkset, links={slc: replace(link) for slc, link in linkset.links.items()}
                )
                for key, linkset in self.linksets.items()
            },
            routes=list(self.routes),
        )

    def assign(self, other: Cs7Config) -> None:
        """Become ``other``, so that everybody who holds this tree sees the change."""
        fresh = other.copy()
        self.hostname = fresh.hostname
        self.variant = fresh.variant
        self.network_indicator = fresh.network_indicator
        self.point_code = fresh.point_code
        self.interfaces = fresh.interfaces
        self.local_peers = fresh.local_peers
        self.linksets = fresh.linksets
        self.routes = fresh.routes
        self.point_code_source = fresh.point_code_source
