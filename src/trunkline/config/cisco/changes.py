"""What turns one configuration into another, in an order that is safe to apply one by one.

Make before break: routes over linksets that exist on both sides come first, so that a destination
never lacks a way while one is being exchanged for another. Then what goes is taken from the top
down (routes, links, linksets, local peers), and what comes is built from the bottom up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from trunkline.config.cisco.tree import Cs7Config, Link, Route
from trunkline.ss7.pointcode import Variant

__all__ = [
    "Change",
    "HostnameChanged",
    "InterfacesChanged",
    "LinkAdded",
    "LinkRemoved",
    "LinkShutdown",
    "LinksetAdded",
    "LinksetRemoved",
    "LinksetShutdown",
    "LocalPeerAdded",
    "LocalPeerChanged",
    "LocalPeerRemoved",
    "NodeChanged",
    "RouteAdded",
    "RouteChanged",
    "RouteRemoved",
    "diff",
]


@dataclass(frozen=True, slots=True)
class HostnameChanged:
    """The node's name is another."""

    hostname: str


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """Variant, network indicator or own point code: the whole of MTP3 starts anew."""

    variant: Variant
    network_indicator: int
    point_code: int | None


@dataclass(frozen=True, slots=True)
class InterfacesChanged:
    """Interfaces are kept for checking only; nothing needs to be done."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LocalPeerAdded:
    """A local SCTP endpoint appears."""

    port: int
    ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LocalPeerChanged:
    """A local SCTP endpoint has other addresses; its links must be set up anew."""

    port: int
    ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LocalPeerRemoved:
    """A local SCTP endpoint goes; no link uses it any more."""

    port: int


@dataclass(frozen=True, slots=True)
class LinksetAdded:
    """A linkset appears; its links follow one by one."""

    name: str
    apc: int
    shutdown: bool


@dataclass(frozen=True, slots=True)
class LinksetRemoved:
    """A linkset goes, after its links and routes."""

    name: str


@dataclass(frozen=True, slots=True)
class LinksetShutdown:
    """``shutdown`` or ``no shutdown`` of a linkset that stays."""

    name: str
    shutdown: bool


@dataclass(frozen=True, slots=True)
class LinkAdded:
    """A link appears in a linkset."""

    linkset: str
    slc: int
    remote_ips: tuple[str, ...]
    local_port: int
    remote_port: int
    shutdown: bool


@dataclass(frozen=True, slots=True)
class LinkRemoved:
    """A link goes."""

    linkset: str
    slc: int


@dataclass(frozen=True, slots=True)
class LinkShutdown:
    """``shutdown`` or ``no shutdown`` of a link that stays."""

    linkset: str
    slc: int
    shutdown: bool


@dataclass(frozen=True, slots=True)
class RouteAdded:
    """A route appears."""

    route: Route


@dataclass(frozen=True, slots=True)
class RouteChanged:
    """A route has another priority."""

    route: Route


@dataclass(frozen=True, slots=True)
class RouteRemoved:
    """A route goes."""

    route: Route


Change: TypeAlias = (
    HostnameChanged
    | NodeChanged
    | InterfacesChanged
    | LocalPeerAdded
    | LocalPeerChanged
    | LocalPeerRemoved
    | LinksetAdded
    | LinksetRemoved
    | LinksetShutdown
    | LinkAdded
    | LinkRemoved
    | LinkShutdown
    | RouteAdded
    | RouteChanged
    | RouteRemoved
)


def diff(old: Cs7Config, new: Cs7Config) -> list[Change]:
    """Return what leads from ``old`` to ``new``, in the order in which to do it.

    A linkset with another adjacent point code, and a link with other ends or of a local peer with
    other addresses, go and come again. :class:`NodeChanged` comes first: whoever sees it builds
    everything anew from ``new`` and needs nothing of what follows.
    """
    kept = {
        name
        for name, linkset in new.linksets.items()
        if name in old.linksets and old.linksets[name].apc == linkset.apc
    }
    before, after = _links(old), _links(new)
    stay = {
        key
        for key, link in after.items()
        if key[0] in kept and key in before and _ends(old, before[key]) == _ends(new, link)
    }
    routes_before = {route.key: route for route in old.routes if route.linkset in kept}
    added: list[RouteAdded | RouteChanged] = []
    coming: list[RouteAdded] = []
    for route in new.routes:
        present = routes_before.get(route.key)
        if present is None:
            (added if route.linkset in kept else coming).append(RouteAdded(route))
        elif present != route:
            added.append(RouteChanged(route))
    routes_after = {route.key for route in new.routes if route.linkset in kept}
    return [
        *_node(old, new),
        *added,
        *(RouteRemoved(route) for route in old.routes if route.key not in routes_after),
        *(LinkRemoved(*key) for key in before if key not in stay),
        *(LinksetRemoved(name) for name in old.linksets if name not in kept),
        *(LocalPeerRemoved(port) for port in old.local_peers if port not in new.local_peers),
        *_local_peers(old, new),
        *(
            LinksetAdded(linkset.name, linkset.apc, linkset.shutdown)
            for linkset in new.linksets.values()
            if linkset.name not in kept
        ),
        *(
            LinkAdded(name, slc, link.remote_ips, link.local_port, link.remote_port, link.shutdown)
            for (name, slc), link in after.items()
            if (name, slc) not in stay
        ),
        *(
            LinkShutdown(*key, link.shutdown)
            for key, link in after.items()
            if key in stay and before[key].shutdown != link.shutdown
        ),
        *(
            LinksetShutdown(linkset.name, linkset.shutdown)
            for linkset in new.linksets.values()
            if linkset.name in kept and old.linksets[linkset.name].shutdown != linkset.shutdown
        ),
        *coming,
    ]


_Key: TypeAlias = tuple[str, int]
_Ends: TypeAlias = tuple[tuple[str, ...], int, tuple[str, ...], int]


def _links(config: Cs7Config) -> dict[_Key, Link]:
    return {
        (linkset.name, slc): link
        for linkset in config.linksets.values()
        for slc, link in linkset.links.items()
    }


def _ends(config: Cs7Config, link: Link) -> _Ends:
    """Return what makes a link's association the one it is; a change means a new association."""
    peer = config.local_peers.get(link.local_port)
    ips = tuple(peer.ips) if peer else ()
    return ips, link.local_port, link.remote_ips, link.remote_port


def _node(old: Cs7Config, new: Cs7Config) -> Iterator[Change]:
    identity = (new.variant, new.network_indicator, new.point_code)
    if (old.variant, old.network_indicator, old.point_code) != identity:
        yield NodeChanged(*identity)
    if old.hostname != new.hostname:
        yield HostnameChanged(new.hostname)
    names = [*new.interfaces, *(name for name in old.interfaces if name not in new.interfaces)]
    changed = [name for name in names if old.interfaces.get(name) != new.interfaces.get(name)]
    if changed:
        yield InterfacesChanged(tuple(changed))


def _local_peers(old: Cs7Config, new: Cs7Config) -> Iterator[Change]:
    for port, peer in new.local_peers.items():
        present = old.local_peers.get(port)
        if present is None:
            yield LocalPeerAdded(port, tuple(peer.ips))
        elif present.ips != peer.ips:
            yield LocalPeerChanged(port, tuple(peer.ips))
