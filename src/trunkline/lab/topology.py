"""Which link ends belong together: a network's links, found from addresses and ports.

Each node's configuration describes its own end only: local-peer addresses and port, and the
other side's. Two ends are one link when each names the other. An end that finds no counterpart,
and a pair that contradicts itself, is a located problem with a hint; such a link never comes up,
which is how the static checks treat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trunkline.config.cisco import Link, Linkset, Location, Problem
from trunkline.errors import TrunklineError
from trunkline.lab.network import Network, Router

__all__ = ["Topology", "TopologyEnd", "TopologyLink", "find_topology"]


@dataclass(frozen=True, slots=True)
class TopologyEnd:
    """One end of a link, as its own node's configuration has it."""

    node: str
    linkset: str
    slc: int
    apc: int
    local: tuple[str, ...]
    local_port: int
    remote: tuple[str, ...]
    remote_port: int
    shutdown: bool
    source: Location | None

    def names(self, other: TopologyEnd) -> bool:
        """Whether this end's remote address and port are ``other``'s own."""
        return self.remote_port == other.local_port and not set(self.remote).isdisjoint(other.local)


@dataclass(frozen=True, slots=True)
class TopologyLink:
    """Two ends that name each other."""

    first: TopologyEnd
    second: TopologyEnd
    sound: bool = True
    """False when the ends contradict each other, so that the link never carries traffic."""

    @property
    def name(self) -> str:
        """How commands call it: the two nodes and the SLC."""
        return f"{self.first.node}-{self.second.node}:{self.first.slc}"

    @property
    def ends(self) -> tuple[TopologyEnd, TopologyEnd]:
        """Both ends, the one of the node that stands first in the network file first."""
        return self.first, self.second

    @property
    def usable(self) -> bool:
        """Whether the link comes up if its nodes run."""
        return self.sound and not (self.first.shutdown or self.second.shutdown)

    def end_at(self, node: str) -> TopologyEnd:
        """The end that belongs to ``node``."""
        return self.first if self.first.node == node else self.second

    def reversed(self) -> TopologyLink:
        """The same link seen from the other side."""
        return TopologyLink(self.second, self.first, self.sound)


@dataclass(frozen=True, slots=True)
class Topology:
    """All links of a network, and what is wrong with those that do not close."""

    links: tuple[TopologyLink, ...]
    problems: tuple[Problem, ...]
    proxies: tuple[str, ...] = ()
    """The network's SIP proxies, which have no links."""

    def between(self, first: str, second: str) -> list[TopologyLink]:
        """The links that join two nodes, each seen from ``first``."""
        found = [link for link in self.links if {e.node for e in link.ends} == {first, second}]
        return [link if link.first.node == first else link.reversed() for link in found]

    def linksets(self) -> dict[tuple[str, str], list[TopologyLink]]:
        """The links grouped by the two nodes that they join."""
        groups: dict[tuple[str, str], list[TopologyLink]] = {}
        for link in self.links:
            groups.setdefault((link.first.node, link.second.node), []).append(link)
        return groups

    def resolve(self, name: str) -> list[TopologyLink]:
        """The links meant by ``CountryB-CountryD`` or, for one of several, ``CountryB-CountryD:1``.

        They are seen from the node that is named first.

        Raises:
            TrunklineError: ``lab.no-such-link``, ``lab.no-router``.
        """
        pair, _, slc = name.partition(":")
        for link in self.links:
            for first, second in ((e.node, f.node) for e, f in (link.ends, link.ends[::-1])):
                if pair.lower() != f"{first}-{second}".lower():
                    continue
                found = self.between(first, second)
                if slc:
                    found = [x for x in found if str(x.first.slc) == slc]
                if found:
                    return found
        known = ", ".join(dict.fromkeys(link.name.partition(":")[0] for link in self.links))
        for proxy in self.proxies:
            if pair.lower() == proxy.lower() or proxy.lower() in _halves(pair.lower()):
                raise TrunklineError(
                    "lab.no-router",
                    f"{proxy} is a SIP proxy, and has no links to break, heal or capture; links"
                    f" between routers: {known or 'none'}",
                )
        raise TrunklineError(
            "lab.no-such-link",
            f"no link {name!r}; there are: {known or 'none'}; write NODE-NODE, or NODE-NODE:SLC "
            "for one link of several",
        )


def _halves(pair: str) -> Iterator[str]:
    """What may be a node's name in ``NODE-NODE``: names may have hyphens too."""
    words = pair.split("-")
    for index in range(1, len(words)):
        yield "-".join(words[:index])
        yield "-".join(words[index:])


def find_topology(network: Network) -> Topology:
    """Match the link ends of all nodes."""
    ends = [end for node in network.routers.values() for end in _ends(node)]
    links: list[TopologyLink] = []
    problems: list[Problem] = []
    left = list(ends)
    while left:
        end = left.pop(0)
        other = next((x for x in left if end.names(x) and x.names(end)), None)
        if other is None:
            problems.append(_unmatched(network, end, ends))
            continue
        left.remove(other)
        found = list(_contradictions(network, end, other))
        links.append(TopologyLink(end, other, sound=not found))
        problems.extend(found)
    return Topology(tuple(links), tuple(problems), tuple(network.proxies))


def _ends(node: Router) -> Iterator[TopologyEnd]:
    for linkset in node.config.linksets.values():
        for link in linkset.links.values():
            yield _end(node, linkset, link)


def _end(node: Router, linkset: Linkset, link: Link) -> TopologyEnd:
    peer = node.config.local_peers.get(link.local_port)
    return TopologyEnd(
        node=node.name,
        linkset=linkset.name,
        slc=link.slc,
        apc=linkset.apc,
        local=tuple(peer.ips) if peer else (),
        local_port=link.local_port,
        remote=link.remote_ips,
        remote_port=link.remote_port,
        shutdown=link.shutdown or linkset.shutdown,
        source=link.source,
    )


def _contradictions(network: Network, first: TopologyEnd, second: TopologyEnd) -> Iterator[Problem]:
    here, there = network.routers[first.node], network.routers[second.node]
    for end, own, other in ((first, here, there), (second, there, here)):
        if end.apc != other.point_code:
            yield Problem(
                "lab.adjacent-point-code",
                f"{own.name}: linkset {end.linkset} says that {own.config.format_pc(end.apc)} is "
                f"at the other end, but there is {other.name} with {other.point_code_text}",
                f"cs7 linkset {end.linkset} {other.point_code_text}",
                own.config.linksets[end.linkset].source,
            )
    if first.slc != second.slc:
        yield Problem(
            "lab.slc",
            f"{first.node} calls this link SLC {first.slc}, {second.node} calls it {second.slc}: "
            "both ends of a link go by the same signalling link code",
            f"in linkset {second.linkset} of {second.node}: {_line(second, slc=first.slc)}",
            second.source,
        )
    if here.config.variant != there.config.variant:
        yield Problem(
            "lab.variant",
            f"{first.node} speaks {here.config.variant.name}, {second.node} speaks "
            f"{there.config.variant.name}: the routing labels do not fit",
            f"cs7 variant {here.config.variant.name}",
            second.source,
        )
    if here.config.network_indicator != there.config.network_indicator:
        yield Problem(
            "lab.network-indicator",
            f"{first.node} and {second.node} have different network indicators "
            f"({here.config.network_indicator} and {there.config.network_indicator}), so each "
            "discards what the other sends",
            "give both the same `cs7 network-indicator`",
            second.source,
        )


def _unmatched(network: Network, end: TopologyEnd, ends: Iterable[TopologyEnd]) -> Problem:
    """Say why ``end`` has no counterpart, from the nearest miss to the farthest."""
    address = end.remote[0] if end.remote else "nothing"
    what = (
        f"{end.node}: link {end.slc} of linkset {end.linkset} to {address} port {end.remote_port}"
    )
    neighbour = next((n for n in network.routers.values() if n.point_code == end.apc), None)
    if not end.local:
        return Problem(
            "lab.link-end",
            f"{what} has no local-peer {end.local_port} with an address",
            f"cs7 local-peer {end.local_port}, then local-ip and the address of {end.node}",
            end.source,
        )
    owner = _owner(network, end.remote)
    if owner is None:
        hint = "the address has to be a local-ip of the node at the other end"
        if neighbour is not None:
            theirs = ", ".join(
                f"{ip} port {port}"
                for port, peer in neighbour.config.local_peers.items()
                for ip in peer.ips
            )
            hint += f"; {neighbour.name} ({neighbour.point_code_text}) has {theirs or 'none yet'}"
        return Problem(
            "lab.link-end", f"{what}: no node of this network has that address", hint, end.source
        )
    node, ports = owner
    back = [x for x in ends if x.node == node.name and x.names(end)]
    if end.remote_port not in ports:
        if (
            end.local_port in ports
            and end.remote_port in network.routers[end.node].config.local_peers
        ):
            hint = (
                f"{_line(end, swapped=True)}: the first port is the local one, the second the "
                "other side's"
            )
        else:
            hint = f"{_line(end, remote_port=min(ports))}"
        return Problem(
            "lab.link-end",
            f"{what}: {node.name} has that address on port {', '.join(map(str, ports))} only",
            hint,
            end.source,
        )
    if back:
        return Problem(
            "lab.link-end",
            f"{what}: {node.name} has a link back ({back[0].linkset}, {back[0].slc}), which "
            "belongs to another link already: an association has one pair of ports",
            "give the second link a local-peer and ports of its own",
            end.source,
        )
    own = network.routers[end.node]
    return Problem(
        "lab.link-end",
        f"{what}: {node.name} has no link back to {end.local[0]} port {end.local_port}",
        f"on {node.name}: cs7 linkset To{own.name} {own.point_code_text}, then "
        f"link {end.slc} sctp {' '.join(end.local)} {end.remote_port} {end.local_port}",
        end.source,
    )


def _owner(network: Network, addresses: Iterable[str]) -> tuple[Router, list[int]] | None:
    for address in addresses:
        for node in network.routers.values():
            ports = [port for port, peer in node.config.local_peers.items() if address in peer.ips]
            if ports:
                return node, ports
    return None


def _line(
    end: TopologyEnd,
    *,
    slc: int | None = None,
    remote_port: int | None = None,
    swapped: bool = False,
) -> str:
    local, remote = end.local_port, end.remote_port if remote_port is None else remote_port
    if swapped:
        local, remote = remote, local
    return f"link {end.slc if slc is None else slc} sctp {' '.join(end.remote)} {local} {remote}"
