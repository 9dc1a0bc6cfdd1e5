"""How a running lab stands: every node, and every link layer by layer from both its ends.

Of a SIP proxy, every worker is asked, and their counters are added up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import asdict, frozen

from trunkline.elements.proxy.workers import control_name
from trunkline.lab.answers import ChargingListener, LinkStatus, Listener, NodeStatus
from trunkline.lab.client import LabClient
from trunkline.lab.lifecycle import running_network
from trunkline.lab.network import Network, Proxy, read_network
from trunkline.lab.routing import Routing
from trunkline.lab.runtime import LabState
from trunkline.lab.topology import Topology, find_topology
from trunkline.ss7.mtp3.routes import Outcome

__all__ = [
    "ChargingView",
    "LabStatus",
    "LinkView",
    "NodeView",
    "ProxyView",
    "await_links",
    "expected_pairs",
    "lab_status",
    "link_views",
    "settled",
]

_POLL = 0.1


@frozen
class NodeView:
    """A router's process and what it says of itself."""

    name: str
    answers: bool
    pid: int
    restarts: int
    point_code: str
    exchange: bool
    uptime: float
    charging: bool | None = None
    """Whether it reaches the node that charges its calls; ``None``: they are not charged."""


@frozen
class ProxyView:
    """A SIP proxy's processes and what they say of themselves."""

    name: str
    answers: bool
    pid: int
    """That of its first process, which is the parent of several workers."""
    restarts: int
    uptime: float
    listen: list[Listener]
    script: str
    """The script's file, an absolute path."""
    reloads: int
    workers: int
    """How many it should have."""
    working: int
    """How many answer."""
    requests: int
    """Requests that came in, repetitions left out, since the workers began."""
    errors: int
    """Exceptions in the script, requests that it left undecided, and faults of our own."""

    @property
    def well(self) -> bool:
        """Whether all its workers answer."""
        return self.working == self.workers


@frozen
class ChargingView:
    """A charging node's process and what it says of itself."""

    name: str
    answers: bool
    pid: int
    restarts: int
    uptime: float
    tariff: str
    listen: list[ChargingListener]


@frozen
class LinkView:
    """One link; where its ends differ, a layer's state is ``first/second``."""

    pair: str
    """The two nodes; for a link that only one node knows, that node and its linkset."""
    slc: int
    sctp: str
    m2pa: str
    mtp3: str
    blocked: bool
    expected: bool
    """Whether the link should be up: both ends configured, in agreement and not shut down."""
    ends: tuple[LinkStatus | None, ...]

    @property
    def sctp_up(self) -> bool:
        """Whether both ends have the association."""
        return all(end is not None and end.sctp_up for end in self.ends)

    @property
    def m2pa_up(self) -> bool:
        """Whether M2PA is in service at both ends."""
        return all(end is not None and end.m2pa_up for end in self.ends)

    @property
    def up(self) -> bool:
        """Whether MTP3 uses the link at both ends."""
        return all(end is not None and end.up for end in self.ends)

    @property
    def dead(self) -> bool:
        """Whether MTP3 uses the link at neither end."""
        return not any(end is not None and end.up for end in self.ends)


@frozen
class LabStatus:
    """A lab at one moment."""

    network: str
    file: str
    nodes: list[NodeView]
    """The routers."""
    links: list[LinkView]
    proxies: list[ProxyView]
    charging: list[ChargingView]

    @property
    def all_up(self) -> bool:
        """Whether every node answers, and every link that should be up is, to charging too."""
        return (
            all(node.answers and node.charging is not False for node in self.nodes)
            and all(node.answers for node in self.charging)
            and all(proxy.well for proxy in self.proxies)
            and all(link.up for link in self.links if link.expected)
        )

    @property
    def silent(self) -> set[str]:
        """The nodes that do not answer."""
        views: list[NodeView | ProxyView | ChargingView] = [*self.nodes, *self.proxies]
        return {view.name for view in [*views, *self.charging] if not view.answers}

    def to_json(self) -> dict[str, object]:
        """Plain values, with the verdict."""
        return {
            **asdict(self, filter=lambda attribute, _: attribute.name != "ends"),
            "all_up": self.all_up,
        }


def lab_status(state: LabState) -> LabStatus:
    """Ask every node of a running lab."""
    network = read_network(Path(state.file))
    with LabClient(state.network, network.routers, timeout=3.0) as client:
        statuses = client.statuses()
        proxies = [_proxy_view(client, state, p, network) for p in network.proxies.values()]
        charging = [_charging_view(client, state, name) for name in network.chargers]
    nodes = [
        NodeView(
            name=name,
            answers=status is not None,
            pid=state.nodes[name].pid if name in state.nodes else 0,
            restarts=state.nodes[name].restarts if name in state.nodes else 0,
            point_code=(status and status.point_code) or network.routers[name].point_code_text,
            exchange=network.routers[name].exchange,
            uptime=status.uptime if status else 0.0,
            charging=status.charging if status else None,
        )
        for name, status in statuses.items()
    ]
    links = link_views(find_topology(network), statuses)
    return LabStatus(network.name, str(network.file), nodes, links, proxies, charging)


def _charging_view(client: LabClient, state: LabState, name: str) -> ChargingView:
    status = client.charging(name)
    process = state.nodes.get(name)
    return ChargingView(
        name=name,
        answers=status is not None,
        pid=process.pid if process else 0,
        restarts=process.restarts if process else 0,
        uptime=status.uptime if status else 0.0,
        tariff=status.tariff if status else "",
        listen=status.listen if status else [],
    )


def _proxy_view(client: LabClient, state: LabState, proxy: Proxy, network: Network) -> ProxyView:
    first = client.worker(proxy.name)
    count = first[0].workers if first else proxy.settings.workers
    others = (client.worker(control_name(proxy.name, index)) for index in range(1, count))
    found = [each for each in (first, *others) if each is not None]
    status = found[0][0] if found else None
    process = state.nodes.get(proxy.name)
    return ProxyView(
        name=proxy.name,
        answers=bool(found),
        pid=process.pid if process else 0,
        restarts=process.restarts if process else 0,
        uptime=status.uptime if status else 0.0,
        listen=status.listen if status else proxy.listeners,
        script=status.script if status else str(network.file.parent / proxy.settings.script),
        reloads=max((each.reloads for each, _ in found), default=0),
        workers=count,
        working=len(found),
        requests=sum(counters.requests for _, counters in found),
        errors=sum(counters.errors for _, counters in found),
    )


def link_views(topology: Topology, statuses: Mapping[str, NodeStatus | None]) -> list[LinkView]:
    """The links of ``topology``, then those that only a node itself knows of."""
    views: list[LinkView] = []
    shown: set[tuple[str, str, int]] = set()
    for link in topology.links:
        ends: list[LinkStatus | None] = []
        for end in link.ends:
            status = statuses.get(end.node)
            ends.append(status.link(end.linkset, end.slc) if status else None)
            shown.add((end.node, end.linkset, end.slc))
        pair = f"{link.first.node}-{link.second.node}"
        views.append(_view(pair, link.first.slc, ends, link.usable))
    for node, status in statuses.items():
        views.extend(
            _view(f"{node} {own.linkset}", own.slc, [own], expected=False)
            for own in (status.links if status else ())
            if (node, own.linkset, own.slc) not in shown
        )
    return views


def _view(pair: str, slc: int, ends: list[LinkStatus | None], expected: bool) -> LinkView:
    def both(layer: str) -> str:
        states = [str(getattr(end, layer)) if end else "?" for end in ends]
        return states[0] if len(set(states)) == 1 else "/".join(states)

    return LinkView(
        pair=pair,
        slc=slc,
        sctp=both("sctp"),
        m2pa=both("m2pa"),
        mtp3=both("mtp3"),
        blocked=any(end.blocked for end in ends if end),
        expected=expected,
        ends=tuple(ends),
    )


def expected_pairs(network: Network, topology: Topology) -> list[tuple[str, str]]:
    """The ordered pairs of nodes that can talk, there and back, as far as the routes go."""
    routing = Routing.of(network, topology)
    arrives = {
        (a.name, b.name): routing.walk(a.name, b.point_code).arrives
        for a in network.routers.values()
        for b in network.routers.values()
        if a != b
    }
    return [(a, b) for a, b in arrives if arrives[a, b] and arrives[b, a]]


def settled(client: LabClient, network: Network, pairs: Iterable[tuple[str, str]]) -> int:
    """How many of ``pairs`` the origins have a way for, by their own word.

    A neighbour that came up late has said that it knows no way (TFP); it takes that back (TFA)
    after a second or so, and until then messages are refused.
    """
    count = 0
    for origin, destination in pairs:
        answer = client.call(
            origin, "ss7.explain", {"destination": network.routers[destination].point_code_text}
        )
        count += isinstance(answer, dict) and answer.get("outcome") == Outcome.FORWARD.value
    return count


def await_links(network: Network, patience: float) -> LabStatus:
    """Wait until links are up and routes known, at most ``patience`` seconds; how it stands.

    Only what the configuration lets come about is waited for.
    """
    deadline = time.monotonic() + patience
    pairs = expected_pairs(network, find_topology(network))
    with LabClient(network.name, network.routers) as client:
        while True:
            found = lab_status(running_network(network.name))
            done = found.all_up and settled(client, network, pairs) == len(pairs)
            if done or time.monotonic() > deadline:
                return found
            time.sleep(_POLL)
