"""What only the whole configuration can tell: names that lead nowhere, two links in one.

Errors are what cannot run; warnings are what runs but was hardly meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.config.cisco.problems import Problem, nearest
from trunkline.config.cisco.tree import Cs7Config, Link, Linkset

__all__ = ["Findings", "check"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a configuration as a whole."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(config: Cs7Config) -> Findings:
    """Look at the whole of ``config``."""
    errors = (*_point_code(config), *_adjacent(config), *_links(config), *_routes(config))
    warnings = (
        *_unused(config),
        *_ports(config),
        *_addresses(config),
        *_own_routes(config),
    )
    return Findings(errors, warnings)


def _point_code(config: Cs7Config) -> Iterator[Problem]:
    if config.point_code is None:
        for linkset in config.linksets.values():
            yield Problem(
                "config.no-point-code",
                f"linkset {linkset.name} needs a point code of this node's own",
                "add 'cs7 point-code' with this node's point code",
                linkset.source,
            )
            break
        return
    for linkset in config.linksets.values():
        if linkset.apc == config.point_code:
            yield Problem(
                "config.own-apc",
                f"linkset {linkset.name} leads to {config.format_pc(linkset.apc)}, which is this "
                "node's own point code",
                "name the point code of the node at the other end",
                linkset.source,
            )


def _links(config: Cs7Config) -> Iterator[Problem]:
    # An association is what its ends' addresses and ports say it is (RFC 9260 1.3): two links that
    # share both ports and an address of the peer would be one.
    seen: dict[tuple[int, int, str], str] = {}
    for linkset, link in _all_links(config):
        name = _link_name(linkset, link)
        peer = config.local_peers.get(link.local_port)
        if peer is None:
            known = ", ".join(map(str, config.local_peers)) or "none"
            yield Problem(
                "config.link-peer",
                f"{name} starts at port {link.local_port}, which no local-peer has "
                f"(local-peers: {known})",
                f"add 'cs7 local-peer {link.local_port}' with its local-ip, or correct the port: "
                "the local one comes first",
                link.source,
            )
        elif not peer.ips:
            yield Problem(
                "config.peer-ip",
                f"{name} starts at local-peer {peer.port}, which has no local-ip",
                f"add 'local-ip' under 'cs7 local-peer {peer.port}'",
                link.source,
            )
        elif link.local_port == link.remote_port and set(peer.ips) & set(link.remote_ips):
            yield Problem(
                "config.link-self",
                f"{name} leads to local-peer {peer.port} itself",
                "name the address of the node at the other end",
                link.source,
            )
        for ip in link.remote_ips:
            key = (link.local_port, link.remote_port, ip)
            other = seen.setdefault(key, name)
            if other != name:
                yield Problem(
                    "config.same-association",
                    f"{name} and {other} would be one association: both run from port "
                    f"{link.local_port} to {ip} port {link.remote_port}",
                    "give one of them a local-peer or a remote port of its own",
                    link.source,
                )
                break


def _routes(config: Cs7Config) -> Iterator[Problem]:
    for route in config.routes:
        if route.linkset not in config.linksets:
            close = nearest(route.linkset, config.linksets)
            known = ", ".join(config.linksets) or "none"
            remove = f"'no update route {route.prefix.format()} linkset {route.linkset}'"
            yield Problem(
                "config.route-linkset",
                f"route {route.prefix.format()} leads over linkset {route.linkset}, which does "
                "not exist",
                f"did you mean {close}?" if close else f"linksets: {known}; or {remove}",
                route.source,
            )


def _unused(config: Cs7Config) -> Iterator[Problem]:
    for peer in config.local_peers.values():
        if not peer.ips:
            yield Problem(
                "config.empty-peer",
                f"local-peer {peer.port} has no local-ip",
                f"add 'local-ip' under 'cs7 local-peer {peer.port}'",
                peer.source,
            )
    for linkset in config.linksets.values():
        if not linkset.links:
            yield Problem(
                "config.empty-linkset",
                f"linkset {linkset.name} has no link and stays unavailable",
                f"add 'link 0 sctp …' under 'cs7 linkset {linkset.name}'",
                linkset.source,
            )


def _ports(config: Cs7Config) -> Iterator[Problem]:
    for linkset, link in _all_links(config):
        if link.local_port == link.remote_port:
            continue
        both = {link.local_port, link.remote_port} <= config.local_peers.keys()
        yield Problem(
            "config.port-order",
            f"{_link_name(linkset, link)}: took {link.local_port} as the local port and "
            f"{link.remote_port} as the remote one, because "
            + ("the first is the local one" if both else f"{link.local_port} is a local-peer"),
            "the router family itself writes the remote port first; equal ports avoid the question",
            link.source,
        )


def _adjacent(config: Cs7Config) -> Iterator[Problem]:
    first: dict[int, str] = {}
    for linkset in config.linksets.values():
        other = first.setdefault(linkset.apc, linkset.name)
        if other != linkset.name:
            yield Problem(
                "config.same-apc",
                f"linksets {other} and {linkset.name} lead to the same node, "
                f"{config.format_pc(linkset.apc)}",
                "put their links into one linkset: it shares the traffic among them",
                linkset.source,
            )


def _addresses(config: Cs7Config) -> Iterator[Problem]:
    if not config.interfaces:
        return
    owners = {a.ip: i for i in config.interfaces.values() for a in i.addresses}
    for peer in config.local_peers.values():
        for ip in peer.ips:
            interface = owners.get(ip)
            if interface is None:
                yield Problem(
                    "config.ip-nowhere",
                    f"local-ip {ip} of local-peer {peer.port} is the address of no interface",
                    "correct the address, or give it to an interface with 'ip address'",
                    peer.ip_sources.get(ip, peer.source),
                )
            elif interface.shutdown:
                yield Problem(
                    "config.ip-shutdown",
                    f"local-ip {ip} of local-peer {peer.port} is on {interface.name}, which is "
                    "shut down",
                    f"'no shutdown' under 'interface {interface.name}'",
                    peer.ip_sources.get(ip, peer.source),
                )


def _own_routes(config: Cs7Config) -> Iterator[Problem]:
    for route in config.routes:
        if route.prefix.size == 1 and route.prefix.pc == config.point_code:
            yield Problem(
                "config.own-route",
                f"route {route.prefix.format()} leads to this node itself and is never used",
                "remove it",
                route.source,
            )


def _all_links(config: Cs7Config) -> Iterator[tuple[Linkset, Link]]:
    for linkset in config.linksets.values():
        for link in linkset.links.values():
            yield linkset, link


def _link_name(linkset: Linkset, link: Link) -> str:
    return f"link {link.slc} of linkset {linkset.name}"
