"""Nodes are found by their control sockets, whoever started them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.lab.network import Network
from trunkline.lab.nodes import find_node, running_nodes
from trunkline.net.control import socket_path


@contextmanager
def listening(*names: str) -> Iterator[None]:
    """Sockets that take a connection and say nothing: NETWORK/NODE or NETWORK/NODE.WORKER."""
    with ExitStack() as stack:
        for name in names:
            network, _, node = name.partition("/")
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(str(socket_path(network, node)))
            listener.listen()
        yield


def code_of(node: str, network: str | None = None) -> str:
    with pytest.raises(TrunklineError) as caught:
        find_node(node, network)
    return caught.value.code


def test_nodes_of_a_lab_are_found_without_regard_to_case(lab: Network) -> None:
    found = find_node("x", None)
    assert (found.network, found.name) == (lab.name, "X")
    assert found.sockets == (socket_path(lab.name, "X"),)
    assert [each.name for each in running_nodes(lab.name)] == ["A", "B", "X"]
    with pytest.raises(TrunklineError, match="it has: A, B, X") as caught:
        find_node("Y", None)
    assert caught.value.code == "lab.no-such-node"


def test_a_node_without_a_lab_is_found_with_its_workers(runtime: Path) -> None:
    with listening("sip/Edge", "sip/Edge.1", "sip/Edge.10", "sip/Edge.2", "sip/Core"):
        assert [each.name for each in running_nodes()] == ["Core", "Edge"]
        edge = find_node("edge", None)
        assert [path.name for path in edge.sockets] == [
            "Edge.sock",
            "Edge.1.sock",
            "Edge.2.sock",
            "Edge.10.sock",
        ]


def test_a_socket_that_nobody_answers_is_no_node(runtime: Path) -> None:
    with listening("sip/Edge"):
        pass
    assert socket_path("sip", "Edge").exists()
    assert running_nodes() == []
    assert code_of("Edge") == "lab.not-up"
    assert code_of("Edge", "sip") == "lab.not-up"


def test_the_network_is_needed_where_a_name_is_not_enough(runtime: Path) -> None:
    with listening("one/Edge", "two/Edge", "two/Core"):
        assert code_of("Edge") == "lab.which-network"
        assert find_node("Edge", "two").network == "two"
        assert find_node("Core", None).network == "two"
        with pytest.raises(TrunklineError, match="no node 'x' is up; there are: Edge, Core, Edge"):
            find_node("x", None)
        with pytest.raises(TrunklineError, match="network three is not up; up: one, two"):
            find_node("Edge", "three")
