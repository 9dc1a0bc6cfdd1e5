"""Talking to the nodes of a running lab."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from trunkline.errors import TrunklineError
from trunkline.lab.answers import (
    ChargingStatus,
    Counters,
    NodeStatus,
    ProxyCounters,
    ProxyStatus,
    read,
)
from trunkline.lab.topology import TopologyEnd, TopologyLink
from trunkline.net.control import ControlClient, Json, socket_path

__all__ = ["LabClient"]


class LabClient:
    """The nodes of one network, connected to when they are first needed."""

    def __init__(self, network: str, nodes: Iterable[str], *, timeout: float = 10.0) -> None:
        self.network = network
        self.nodes = tuple(nodes)
        self._timeout = timeout
        self._clients: dict[str, ControlClient] = {}

    def __enter__(self) -> LabClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections."""
        while self._clients:
            self._clients.popitem()[1].close()

    def call(
        self,
        node: str,
        method: str,
        params: dict[str, Json] | None = None,
        timeout: float | None = None,
    ) -> Json:
        """Call ``method`` of ``node``; a connection that broke since last time is made again.

        Raises:
            TrunklineError: ``control.unreachable``, or the node's own error.
        """
        known = node in self._clients
        try:
            return self._client(node).call(method, params, timeout)
        except TrunklineError as error:
            if error.code in ("control.unreachable", "control.timeout"):
                self._forget(node)
            if not known or error.code != "control.unreachable":
                raise
        return self._client(node).call(method, params, timeout)  # the node was started again

    def status(self, node: str) -> NodeStatus:
        """What ``node``, a router, says of itself."""
        return read(self.call(node, "node.status"), NodeStatus)

    def counters(self, node: str) -> Counters:
        """The counters of ``node``, a router."""
        return read(self.call(node, "node.counters"), Counters)

    def worker(self, name: str) -> tuple[ProxyStatus, ProxyCounters] | None:
        """What a proxy's worker says of itself, and its counters; ``None`` if it does not answer.

        ``name`` is that of its control socket.
        """
        try:
            status = read(self.call(name, "node.status"), ProxyStatus)
            return status, read(self.call(name, "node.counters"), ProxyCounters)
        except TrunklineError:
            return None

    def charging(self, name: str) -> ChargingStatus | None:
        """What a charging node says of itself; ``None`` if it does not answer."""
        try:
            return read(self.call(name, "node.status"), ChargingStatus)
        except TrunklineError:
            return None

    def statuses(self) -> dict[str, NodeStatus | None]:
        """Every node's status, where all are routers; ``None`` for one that does not answer."""
        found: dict[str, NodeStatus | None] = {}
        for node in self.nodes:
            try:
                found[node] = self.status(node)
            except TrunklineError:
                found[node] = None
        return found

    def block(self, links: Iterable[TopologyLink], blocked: bool) -> list[TopologyEnd]:
        """Break or heal ``links`` at both ends; the ends whose node did not answer.

        Raises:
            TrunklineError: when a node refuses, or when no node at all answered for a link.
        """
        missed: list[TopologyEnd] = []
        for link in links:
            away: list[TrunklineError] = []
            for end in link.ends:
                try:
                    self.call(
                        end.node,
                        "link.block",
                        {"linkset": end.linkset, "slc": end.slc, "blocked": blocked},
                    )
                except TrunklineError as error:
                    if error.code != "control.unreachable":
                        raise
                    away.append(error)
                    missed.append(end)
            if len(away) == 2:
                raise away[0]
        return missed

    def _client(self, node: str) -> ControlClient:
        if node not in self._clients:
            self._clients[node] = ControlClient(
                socket_path(self.network, node), timeout=self._timeout
            )
        return self._clients[node]

    def _forget(self, node: str) -> None:
        client = self._clients.pop(node, None)
        if client is not None:
            client.close()
