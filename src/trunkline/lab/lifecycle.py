"""Bringing a lab up and taking it down: each node a process, with a supervisor beside them.

Every process is known by its number and its start time, and only those are ever ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from trunkline.errors import TrunklineError
from trunkline.lab import netns
from trunkline.lab.network import Network
from trunkline.lab.runtime import (
    LabState,
    NodeProcess,
    end_process,
    is_up,
    known_labs,
    lab_folder,
    process_started,
    read_state,
    sweep,
    write_state,
)
from trunkline.lab.topology import Topology, find_topology
from trunkline.net.control import ControlClient, socket_path

__all__ = ["Command", "bring_down", "bring_up", "cables", "node_command", "running_network"]

Command = Callable[[Network, str, bool], list[str]]
"""Network, node name, whether on the real addresses: the node's command line."""

_PATIENCE = 12.0
"""Seconds that ``down`` waits for the supervisor, which itself gives the nodes 5."""
_POLL = 0.05
_LOG_TAIL = 12


def node_command(network: Network, node: str, real: bool) -> list[str]:
    """How a node's process is started."""
    argv = [sys.executable, "-m", "trunkline", "run", str(network.file), "--node", node]
    if node not in network.routers:
        return argv
    if real:
        return [*argv, "--real-addresses"]
    # On loopback only UDP lets a packet be lost on purpose and be captured without privileges.
    auto = network.settings.sctp.backend == "auto"
    return [*argv, "--sctp", "udp"] if auto else argv


def bring_up(
    network: Network,
    *,
    real_addresses: bool = False,
    timeout: float = 30.0,
    command: Command = node_command,
    progress: Callable[[str], None] = lambda node: None,
) -> LabState:
    """Start every node; return when all of them answer. ``progress`` hears of each that does.

    Raises:
        TrunklineError: ``lab.already-up``, or ``lab.node-failed`` with the end of the node's log
            when one ends before it answers, or ``lab.timeout``; nothing stays behind then.
            ``lab.netns-charging`` where exchanges would not reach who charges their calls.
    """
    if is_up(network.name):
        state = read_state(network.name)
        file = f" from {state.file}" if state else ""
        raise TrunklineError(
            "lab.already-up",
            f"network {network.name} is already up{file}; `trunkline lab status` shows it, "
            "`trunkline lab down` ends it",
        )
    clean_up(network.name)
    namespaces: dict[str, str] = {}
    laid: list[netns.Cable] = []
    if real_addresses:
        _check_reach(network)
        planned = cables(find_topology(network))
        namespaces, laid = netns.create(network.name, list(network.routers), planned)
    nodes = {
        name: NodeProcess(
            netns.enter(namespaces, name, command(network, name, real_addresses)),
            outlives=name in network.chargers,
        )
        for name in network.nodes
    }
    folder = lab_folder(network.name)
    for name in nodes:
        (folder / f"{name}.log").write_bytes(b"")
    write_state(LabState(network.name, str(network.file), nodes, namespaces, laid))
    with (folder / "supervisor.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "trunkline.lab.supervisor", network.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in this terminal is not for the lab
        )
    try:
        _await_nodes(network, supervisor, time.monotonic() + timeout, progress)
    except BaseException:
        supervisor.terminate()
        supervisor.wait()
        clean_up(network.name)
        raise
    state = read_state(network.name)
    assert state is not None  # the supervisor has written it before a node could answer
    # Popen warns about a child that is let go; this one is meant to outlive us.
    supervisor.returncode = 0
    return state


def _check_reach(network: Network) -> None:
    for name, router in network.routers.items():
        exchange = router.settings.exchange
        if exchange is not None and exchange.charging is not None:
            raise TrunklineError(
                "lab.netns-charging",
                f"{name} has its calls charged by {exchange.charging.node}, which it would not"
                " reach from a network namespace; leave --netns away, or the table"
                f" [node.{name}.exchange.charging]",
            )


def _await_nodes(
    network: Network,
    supervisor: subprocess.Popen[bytes],
    deadline: float,
    progress: Callable[[str], None],
) -> None:
    waiting = dict.fromkeys(network.nodes)
    while waiting:
        for name in list(waiting):
            if _answers(network, name):
                del waiting[name]
                progress(name)
        state = read_state(network.name)
        if supervisor.poll() is not None:
            raise TrunklineError(
                "lab.supervisor",
                f"the lab's supervisor ended:\n{_tail(lab_folder(network.name), 'supervisor')}",
            )
        for name in waiting:
            node = state.nodes[name] if state else None
            if node is not None and node.last_exit is not None:
                raise TrunklineError(
                    "lab.node-failed",
                    f"node {name} does not start:\n{_tail(lab_folder(network.name), name)}",
                )
        if time.monotonic() > deadline:
            names = ", ".join(waiting)
            raise TrunklineError(
                "lab.timeout",
                f"no answer in time from {names}; "
                f"{_tail(lab_folder(network.name), next(iter(waiting)))}",
            )
        if waiting:
            time.sleep(_POLL)


def _answers(network: Network, node: str) -> bool:
    """Whether the node answers; of a proxy, every worker."""
    proxy = network.proxies.get(node)
    try:
        for name in [node] if proxy is None else proxy.control_names:
            with ControlClient(socket_path(network.name, name), timeout=2.0) as client:
                client.call("node.status")
    except TrunklineError:
        return False
    return True


def _tail(folder: Path, name: str) -> str:
    lines = (folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_LOG_TAIL:]) or "    (its log is empty)"


def bring_down(network: str) -> bool:
    """End the lab ``network``; False when there was nothing to end.

    Raises:
        TrunklineError: ``lab.timeout`` when the supervisor does not end.
    """
    state = read_state(network)
    if not is_up(network):
        return clean_up(network)
    deadline = time.monotonic() + _PATIENCE
    while state is not None and not state.pid and time.monotonic() < deadline:
        time.sleep(_POLL)  # it is just coming up
        state = read_state(network)
    if state is not None:
        end_process(state.pid, state.started, signal.SIGTERM)
    while is_up(network):
        if time.monotonic() > deadline:
            pid = state.pid if state else "?"
            raise TrunklineError(
                "lab.timeout", f"the supervisor of {network} (pid {pid}) does not end"
            )
        time.sleep(_POLL)
    if state is not None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(state.pid, 0)  # if it was this process that brought the lab up
    clean_up(network)
    return True


def clean_up(network: str) -> bool:
    """Remove what a lab left behind whose supervisor died; False when there was nothing."""
    state = read_state(network)
    if state is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not sum(end_process(n.pid, n.started, number) for n in state.nodes.values()):
            break
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline and any(
            node.pid and process_started(node.pid) == node.started for node in state.nodes.values()
        ):
            time.sleep(_POLL)
    netns.remove(state.namespaces.values())
    sweep(state)
    return True


def cables(topology: Topology) -> Iterable[netns.Cable]:
    """The pairs of addresses that the links join: the first with the first, and so on."""
    for link in topology.links:
        first, second = link.ends
        for own, other in zip(first.local, second.local, strict=False):
            yield netns.Cable(first.node, own, second.node, other)


def running_network(name: str | None) -> LabState:
    """The lab called ``name``, or the only one that is up.

    Raises:
        TrunklineError: ``lab.not-up``, ``lab.which-network``.
    """
    up = [network for network in known_labs() if is_up(network)]
    if name is None and len(up) == 1:
        name = up[0]
    if name is None and up:
        raise TrunklineError(
            "lab.which-network",
            f"several networks are up: {', '.join(up)}; choose one with --network",
        )
    state = read_state(name) if name is not None and name in up else None
    if state is None:
        subject = "no network is up" if name is None else f"network {name} is not up"
        also = f"; up: {', '.join(up)}" if up else ""
        raise TrunklineError("lab.not-up", f"{subject}{also}; `trunkline lab up` starts one")
    return state
