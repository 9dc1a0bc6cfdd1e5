"""The nodes that are up on this machine, however they were started.

A node answers on ``<network>/<node>.sock`` in the runtime folder, whether ``trunkline lab up`` or
``trunkline run`` started it; the other workers of a proxy on ``<node>.1.sock`` and so on. Nodes of
a lab that is up count as up too while they are being started again.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from trunkline.errors import TrunklineError
from trunkline.lab.runtime import is_up, known_labs, read_state
from trunkline.net.control import runtime_dir, socket_path

__all__ = ["RunningNode", "find_node", "running_nodes"]

_SOCKET = re.compile(r"(?P<node>[^.]+)(?:\.(?P<worker>\d+))?\.sock\Z")


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node; ``sockets`` has one path for each of its workers, in their order."""

    network: str
    name: str
    sockets: tuple[Path, ...]


def running_nodes(network: str | None = None) -> list[RunningNode]:
    """The nodes that are up, of ``network`` or of all, by network and name."""
    found: dict[tuple[str, str], dict[int, Path]] = {}
    for lab in known_labs():
        state = read_state(lab) if is_up(lab) else None
        for name in state.nodes if state else ():
            found[lab, name] = {0: socket_path(lab, name)}
    for path in runtime_dir().glob("*/*.sock"):
        named = _SOCKET.match(path.name)
        if named is not None and _answers(path):
            workers = found.setdefault((path.parent.name, named["node"]), {})
            workers[int(named["worker"] or 0)] = path
    return [
        RunningNode(lab, name, tuple(path for _, path in sorted(workers.items())))
        for (lab, name), workers in sorted(found.items())
        if network in (None, lab)
    ]


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # it lives, and has much to do
        except OSError:
            return False
    return True


def find_node(node: str, network: str | None) -> RunningNode:
    """The node called ``node``, without regard to case, in ``network`` or wherever it is up.

    Raises:
        TrunklineError: ``lab.not-up``, ``lab.no-such-node``, ``lab.which-network``.
    """
    nodes = running_nodes(network)
    found = [each for each in nodes if each.name.lower() == node.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        networks = ", ".join(each.network for each in found)
        raise TrunklineError(
            "lab.which-network",
            f"{found[0].name} is up in several networks: {networks}; choose one with --network",
        )
    if not nodes:
        subject = "no network is up" if network is None else f"network {network} is not up"
        elsewhere = "" if network is None else _also(running_nodes())
        raise TrunklineError(
            "lab.not-up",
            f"{subject}{elsewhere}; `trunkline lab up` starts one, `trunkline run` a single node",
        )
    names = ", ".join(each.name for each in nodes)
    if len({each.network for each in nodes}) == 1:
        text = f"network {nodes[0].network!r} has no node {node!r}; it has: {names}"
    else:
        text = f"no node {node!r} is up; there are: {names}"
    raise TrunklineError("lab.no-such-node", text)


def _also(nodes: list[RunningNode]) -> str:
    networks = dict.fromkeys(each.network for each in nodes)
    return f"; up: {', '.join(networks)}" if networks else ""
