"""The routing tables of a whole network, and walks of messages through them, without traffic.

The tables are the product's own (:class:`~trunkline.ss7.mtp3.routes.RouteTable`) and so is every
decision; this module only carries a message from one node's decision to the next node. All sound
links count as up and no destination as prohibited: it is the configuration that is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trunkline.lab.network import Network, Router
from trunkline.lab.topology import Topology
from trunkline.ss7.mtp3.routes import DEFAULT_PRIORITY, DIRECT_PRIORITY, Outcome, RouteTable
from trunkline.ss7.mtp3.states import LinksetState
from trunkline.ss7.pointcode import Prefix

__all__ = ["CIRCLE", "Routing", "Walk"]

CIRCLE = "circle"
"""What ends a walk that comes to a node for the second time; else it is an ``Outcome``'s name."""

_PROHIBITED_LIMIT = 0  # nothing is ever prohibited here


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a message went: the nodes in order, and what became of it at the last one."""

    path: tuple[str, ...]
    end: str
    """``local`` when it arrived; ``unknown``, ``unavailable``, ``loop`` or ``circle``."""

    @property
    def arrives(self) -> bool:
        """Whether the message reaches its destination."""
        return self.end == "local"

    def __str__(self) -> str:
        last = self.path[-1]
        match self.end:
            case "local":
                return "arrives"
            case "unknown":
                return f"no route at {last}"
            case "unavailable":
                return f"no usable route at {last}"
            case "loop":
                return f"{last} would send it back to {self.path[-2]}"
            case _:
                start = self.path.index(last)
                return f"circles: {' → '.join(self.path[start:])}"

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "arrives": self.arrives,
            "path": list(self.path),
            "end": self.end,
            "text": str(self),
        }


@dataclass(slots=True)
class Routing:
    """Every node's table, and who is at the other end of its linksets."""

    nodes: Mapping[str, Router]
    tables: dict[str, RouteTable] = field(default_factory=dict)
    beyond: dict[tuple[str, str], str] = field(default_factory=dict)
    """(node, linkset) to the node at its other end, for linksets with a sound link."""
    arrivals: dict[tuple[str, str], str] = field(default_factory=dict)
    """(node, linkset) to the linkset by which that traffic arrives there."""

    @classmethod
    def of(cls, network: Network, topology: Topology) -> Routing:
        """The tables as the nodes would have them with every sound link up."""
        routing = cls(network.routers)
        for link in topology.links:
            if link.usable:
                for here, there in (link.ends, link.ends[::-1]):
                    routing.beyond[here.node, here.linkset] = there.node
                    routing.arrivals[here.node, here.linkset] = there.linkset
        for node in network.routers.values():
            routing.tables[node.name] = routing._table(node)
        return routing

    def _table(self, node: Router) -> RouteTable:
        config = node.config
        table = RouteTable(config.variant, node.point_code, _PROHIBITED_LIMIT)
        for linkset in config.linksets.values():
            up = (node.name, linkset.name) in self.beyond
            down = LinksetState.SHUTDOWN if linkset.shutdown else LinksetState.UNAVAIL
            table.set_linkset(linkset.name, LinksetState.AVAIL if up else down)
            table.add(
                Prefix(linkset.apc, config.variant.bits, config.variant),
                linkset.name,
                DIRECT_PRIORITY,
                direct=True,
            )
        for route in config.routes:
            table.add(
                route.prefix,
                route.linkset,
                DEFAULT_PRIORITY if route.priority is None else route.priority,
            )
        return table

    def walk(self, origin: str, dpc: int) -> Walk:
        """Send a message from ``origin`` to ``dpc``.

        Where routes share the load all of them are followed: the walk arrives only if every
        share does, and else is one that does not.
        """
        return self._walk(origin, dpc, None, (origin,))

    def _walk(self, node: str, dpc: int, arrived_on: str | None, path: tuple[str, ...]) -> Walk:
        decision = self.tables[node].decide(dpc, arrived_on)
        if decision.outcome is not Outcome.FORWARD:
            return Walk(path, decision.outcome.name.lower())
        walks: list[Walk] = []
        for route in decision.usable:
            following = self.beyond[node, route.linkset]
            if following in path:
                return Walk((*path, following), CIRCLE)
            arrival = self.arrivals[node, route.linkset]
            walk = self._walk(following, dpc, arrival, (*path, following))
            if not walk.arrives:
                return walk
            walks.append(walk)
        return walks[0]

    def neighbours(self, node: str) -> Iterable[tuple[str, str]]:
        """The (linkset, node) pairs that ``node`` is joined to by sound links."""
        for (here, linkset), there in self.beyond.items():
            if here == node:
                yield linkset, there

    def distances(self, goal: str, without: Iterable[str]) -> dict[str, int]:
        """Each node's distance in links from ``goal``, going through transfer points only."""
        closed = set(without)
        found = {goal: 0}
        edge = [goal]
        while edge:
            following = []
            for node in edge:
                if node != goal and self.nodes[node].exchange:
                    continue  # an exchange is an end, not a way
                for _, other in self.neighbours(node):
                    if other not in found and other not in closed:
                        found[other] = found[node] + 1
                        following.append(other)
            edge = following
        return found

    def apply(self, node: str, prefix: Prefix, linkset: str, *, remove: bool) -> None:
        """Carry out one ``update route`` or ``no update route``."""
        table = self.tables[node]
        if remove:
            table.remove(prefix, linkset)
        else:
            table.add(prefix, linkset, DEFAULT_PRIORITY)
