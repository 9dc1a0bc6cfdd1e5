"""From the words on a command line to a node's control socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trunkline.lab.client import LabClient, find_node
from trunkline.lab.lifecycle import running_network
from trunkline.net.control import ControlClient, Json, socket_path

__all__ = ["as_dict", "as_list", "connected", "lab_client"]


@contextmanager
def connected(node: str, network: str | None, *, timeout: float = 60.0) -> Iterator[ControlClient]:
    """A client of ``node``, in ``network`` or in the only one that is up."""
    name, exact = find_node(node, network)
    with ControlClient(socket_path(name, exact), timeout=timeout) as client:
        yield client


@contextmanager
def lab_client(network: str | None) -> Iterator[LabClient]:
    """A client of all nodes of ``network``, or of the only one that is up."""
    state = running_network(network)
    with LabClient(state.network, state.nodes) as client:
        yield client


def as_dict(answer: Json) -> dict[str, Json]:
    """``answer`` where the protocol says that it is an object."""
    return answer if isinstance(answer, dict) else {}


def as_list(answer: Json) -> list[Json]:
    """``answer`` where the protocol says that it is a list."""
    return answer if isinstance(answer, list) else []
