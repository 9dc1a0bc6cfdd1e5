"""Labs of real nodes: a node is killed, a shell changes a router, namespaces come and go."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.lab.networks import write_network
from tests.lab.sip import free_port, options, write_proxies

from trunkline.lab.answers import Ping, read
from trunkline.lab.client import LabClient
from trunkline.lab.faults import set_broken
from trunkline.lab.lifecycle import bring_down, bring_up, running_network
from trunkline.lab.network import Network, find_network, read_network
from trunkline.lab.runtime import known_labs, read_state
from trunkline.lab.status import LinkView, await_links, lab_status
from trunkline.lab.topology import find_topology
from trunkline.net.control import Json

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces need root and the ip command",
)


@pytest.fixture
def up(runtime: Path) -> Iterator[Callable[..., Network]]:
    """Bring the network of a file up and wait for its links; down afterwards."""

    def start(file: Path, *, real_addresses: bool = False) -> Network:
        network = read_network(file)
        bring_up(network, real_addresses=real_addresses)
        status = await_links(network, 20.0)
        assert status.all_up, status.links
        return network

    yield start
    for name in known_labs():
        bring_down(name)


def ping(client: LabClient, origin: str, code: str, count: int, interval: float = 0.01) -> Ping:
    params: dict[str, Json] = {"destination": code, "count": count, "interval": interval}
    return read(client.call(origin, "ss7.ping", params, timeout=60.0), Ping)


def test_neighbours_forward_while_a_killed_node_comes_back(up: Callable[..., Network]) -> None:
    network = up(find_network(None))
    state = read_state(network.name)
    assert state is not None
    answers: list[Ping] = []

    def stream() -> None:
        with LabClient(network.name, ["CountryA"]) as client:
            answers.append(ping(client, "CountryA", "7.8.1", 300))

    thread = threading.Thread(target=stream)
    thread.start()
    time.sleep(0.5)
    os.kill(state.nodes["CountryC"].pid, signal.SIGKILL)
    thread.join()
    assert answers[0].received == answers[0].sent == 300  # C is not on the way from A to D
    status = await_links(network, 30.0)
    assert status.all_up
    killed = next(node for node in status.nodes if node.name == "CountryC")
    assert killed.restarts == 1
    with LabClient(network.name, network.nodes) as client:
        assert ping(client, "CountryA", "7.7.1", 5).received == 5


def test_a_way_that_dies_with_its_node_is_replaced(up: Callable[..., Network]) -> None:
    """A reaches D by B or by C; the one in use is killed and stays away for a while."""
    network = up(find_network(None))
    with LabClient(network.name, network.nodes) as client:
        assert ping(client, "CountryB", "7.8.1", 5).received == 5
        state = read_state(network.name)
        assert state is not None
        os.kill(state.pid, signal.SIGSTOP)  # nobody brings the node back meanwhile
        try:
            os.kill(state.nodes["CountryC"].pid, signal.SIGKILL)
            time.sleep(2.5)
            # C's summary route falls back on B, and B's own way to D is untouched.
            assert ping(client, "CountryB", "7.8.1", 20).received == 20
        finally:
            os.kill(state.pid, signal.SIGCONT)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def link_states(network: Network) -> list[LinkView]:
    return lab_status(running_network(network.name)).links


def namespaces() -> list[str]:
    return subprocess.run(
        ["ip", "netns", "list"], capture_output=True, text=True, check=True
    ).stdout.split()


@needs_namespaces
def test_namespaces_carry_the_real_addresses(up: Callable[..., Network], tmp_path: Path) -> None:
    points = {"A": "1.1.1", "B": "2.2.2", "C": "3.3.3"}
    routes = {"A": ["0.0.0/0 linkset ToB"], "C": ["0.0.0/0 linkset ToB"]}
    file = write_network(tmp_path, points, [("A", "B"), ("A", "B"), ("B", "C")], routes)
    port = free_port()
    gate = write_proxies(tmp_path, {"Gate": f'listen = ["udp:127.0.0.1:{port}"]'}, file.read_text())
    gate.write_text(gate.read_text().partition("\n\n")[2])
    before = namespaces()
    network = up(file, real_addresses=True)
    state = read_state(network.name)
    assert state is not None
    assert set(state.namespaces.values()) <= set(namespaces())
    assert set(state.namespaces) == {"A", "B", "C"}
    assert options("127.0.0.1", port) == "200 Gate"  # it has the machine's own addresses
    addresses = subprocess.run(
        ["ip", "-n", state.namespaces["A"], "-brief", "address"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "10.0.0.1/32" in addresses
    assert "10.0.1.1/32" in addresses
    with LabClient(network.name, network.nodes) as client:
        assert ping(client, "A", "3.3.3", 10).received == 10
        links = find_topology(network).resolve("A-B:1")
        set_broken(state, client, links, True)
        wait(lambda: [link.up for link in link_states(network)] == [True, False, True])
        assert ping(client, "A", "3.3.3", 10).received == 10
        set_broken(state, client, links, False)
        assert await_links(network, 20.0).all_up
    bring_down(network.name)
    assert namespaces() == before
