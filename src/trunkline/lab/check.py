"""``trunkline lab check``: who cannot talk to whom, and the configuration line that would mend it.

Every ordered pair of point codes is walked there and back through the nodes' own routing tables
(:mod:`.routing`). For a walk that does not arrive, routes to its destination are added, one node
at a time, until it does; each is given as the line to write, the node and the file. In the end
all of them are applied together and everything is walked again, so that what is proposed is known
to work.

SIP proxies are looked at by :mod:`.proxies`, charging nodes by :mod:`.charging`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.config.cisco import Problem
from trunkline.lab.charging import check_charging
from trunkline.lab.network import Network
from trunkline.lab.proxies import check_proxies
from trunkline.lab.routing import Routing, Walk
from trunkline.lab.topology import Topology, find_topology
from trunkline.ss7.mtp3.routes import Outcome
from trunkline.ss7.pointcode import Prefix

__all__ = ["Mend", "Pair", "Report", "check_network"]

_ROUNDS = 4  # of mends that get into each other's way; one is the rule


@dataclass(frozen=True, slots=True)
class Mend:
    """One line of configuration, and where it belongs."""

    node: str
    file: str
    prefix: Prefix
    linkset: str
    remove: bool = False
    pairs: int = field(default=0, compare=False)
    """How many of the pairs in trouble need it."""

    @property
    def line(self) -> str:
        """The line as it is written under ``cs7 route-table system``."""
        return f"{'no ' if self.remove else ''}update route {self.prefix} linkset {self.linkset}"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {"node": self.node, "file": self.file, "line": self.line, "pairs": self.pairs}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two point codes, in order: what becomes of a message and of its answer."""

    origin: str
    opc: str
    destination: str
    dpc: str
    there: Walk
    back: Walk
    mends: tuple[Mend, ...] = ()

    @property
    def talks(self) -> bool:
        """Whether the message arrives and the answer too."""
        return self.there.arrives and self.back.arrives

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "from": self.origin,
            "opc": self.opc,
            "to": self.destination,
            "dpc": self.dpc,
            "there": self.there.to_json(),
            "back": self.back.to_json(),
            "mend": [{"node": m.node, "file": m.file, "line": m.line} for m in self.mends],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What was found."""

    network: str
    nodes: int
    """How many point codes there are."""
    proxies: tuple[str, ...]
    """The SIP proxies that were looked at."""
    charging: tuple[str, ...]
    """The charging nodes that were looked at."""
    checked: int
    """How many ordered pairs were walked."""
    problems: tuple[Problem, ...]
    pairs: tuple[Pair, ...]
    """The pairs that cannot talk."""
    mends: tuple[Mend, ...]
    """The lines that mend all the pairs that routes can mend."""
    mended: bool
    """Whether every pair can talk once these lines are there."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.pairs

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "network": self.network,
            "sound": self.sound,
            "nodes": self.nodes,
            "proxies": list(self.proxies),
            "charging": list(self.charging),
            "checked": self.checked,
            "problems": [problem_json(problem) for problem in self.problems],
            "pairs": [pair.to_json() for pair in self.pairs],
            "mends": [mend.to_json() for mend in self.mends],
            "mended": self.mended,
        }


def problem_json(problem: Problem) -> dict[str, object]:
    """A located problem as plain values."""
    where = problem.location
    return {
        "code": problem.code,
        "file": where.file if where else None,
        "line": where.line if where else None,
        "message": problem.message,
        "hint": problem.hint,
    }


def check_network(network: Network) -> Report:
    """Walk every ordered pair of point codes; load what proxies and charging nodes need."""
    topology = find_topology(network)
    routing = Routing.of(network, topology)
    walks = {(a, b): routing.walk(a, network.routers[b].point_code) for a, b in _pairs(network)}
    mends = {
        (a, b): _mend(network, topology, (), a, b)
        for (a, b), walk in walks.items()
        if not walk.arrives
    }
    pairs = tuple(
        Pair(
            a,
            network.routers[a].point_code_text,
            b,
            network.routers[b].point_code_text,
            there=walks[a, b],
            back=walks[b, a],
            mends=tuple(dict.fromkeys([*mends.get((a, b), ()), *mends.get((b, a), ())])),
        )
        for a, b in walks
        if not (walks[a, b].arrives and walks[b, a].arrives)
    )
    lines, mended = _together(network, topology, [m for found in mends.values() for m in found])
    counted = tuple(
        Mend(m.node, m.file, m.prefix, m.linkset, m.remove, sum(m in p.mends for p in pairs))
        for m in lines
    )
    return Report(
        network=network.name,
        nodes=len(network.routers),
        proxies=tuple(network.proxies),
        charging=tuple(network.chargers),
        checked=len(walks),
        problems=(*topology.problems, *check_proxies(network), *check_charging(network)),
        pairs=pairs,
        mends=counted,
        mended=mended,
    )


def _pairs(network: Network) -> Iterator[tuple[str, str]]:
    for origin in network.routers:
        for destination in network.routers:
            if origin != destination:
                yield origin, destination


def _together(
    network: Network, topology: Topology, mends: list[Mend]
) -> tuple[tuple[Mend, ...], bool]:
    """Apply all ``mends`` at once; where they get into each other's way, add what is missing."""
    lines = dict.fromkeys(mends)
    for _ in range(_ROUNDS):
        routing = _with(network, topology, tuple(lines))
        broken = [
            (a, b)
            for a, b in _pairs(network)
            if not routing.walk(a, network.routers[b].point_code).arrives
        ]
        more = [m for a, b in broken for m in _mend(network, topology, tuple(lines), a, b)]
        if not more:
            return tuple(lines), not broken
        lines.update(dict.fromkeys(more))
    return tuple(lines), False


def _with(network: Network, topology: Topology, mends: tuple[Mend, ...]) -> Routing:
    routing = Routing.of(network, topology)
    for mend in mends:
        routing.apply(mend.node, mend.prefix, mend.linkset, remove=mend.remove)
    return routing


def _mend(
    network: Network, topology: Topology, given: tuple[Mend, ...], origin: str, destination: str
) -> list[Mend]:
    """The lines that make a message from ``origin`` reach ``destination``; none if none can."""
    routing = _with(network, topology, given)
    dpc = network.routers[destination].point_code
    mends: list[Mend] = []
    for _ in network.routers:
        walk = routing.walk(origin, dpc)
        if walk.arrives:
            return mends
        step = _next_step(routing, walk, destination)
        if step is None:
            return []
        node, linkset = step
        prefix = _destination(routing, network, node, dpc)
        found = [Mend(node, _file(network, node), prefix, linkset)]
        routing.apply(node, prefix, linkset, remove=False)
        # Another route of that length may be there already, and win or share: it has to go.
        for route in routing.tables[node].decide(dpc).usable:
            if route.linkset != linkset:
                if route.direct or route.prefix != prefix:
                    return []
                routing.apply(node, prefix, route.linkset, remove=True)
                found.append(Mend(node, _file(network, node), prefix, route.linkset, remove=True))
        if set(found) <= {*mends, *given}:
            return []
        mends += found
    return mends if routing.walk(origin, dpc).arrives else []


def _next_step(routing: Routing, walk: Walk, destination: str) -> tuple[str, str] | None:
    """The node, and the linkset it should use: as late on the walk as there is another way."""
    path = walk.path[:-1] if walk.end == "circle" else walk.path
    dpc = routing.nodes[destination].point_code
    for index in range(len(path) - 1, -1, -1):
        node = path[index]
        distances = routing.distances(destination, without=path[: index + 1])
        ways = [
            (not routing.walk(other, dpc).arrives, distances[other], linkset)
            for linkset, other in routing.neighbours(node)
            if other in distances and (other == destination or not routing.nodes[other].exchange)
        ]
        if ways:
            return node, min(ways)[2]
    return None


def _destination(routing: Routing, network: Network, node: str, dpc: int) -> Prefix:
    """What the new route is for: ``dpc``, or everything where there is only one way anyway."""
    variant = network.routers[node].config.variant
    default = Prefix(0, 0, variant)
    only = len({other for _, other in routing.neighbours(node)}) == 1
    if only and routing.tables[node].decide(dpc).outcome is Outcome.UNKNOWN:
        return default
    return Prefix(dpc, variant.bits, variant)


def _file(network: Network, node: str) -> str:
    """The file that holds the node's routes; without any, its last layer."""
    found = network.routers[node]
    sources = [route.source for route in found.config.routes if route.source]
    return sources[-1].file if sources else str(found.files[-1])
