"""From the words on a command line to a node's control socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from trunkline.lab.client import LabClient
from trunkline.lab.lifecycle import running_network
from trunkline.lab.network import read_network
from trunkline.lab.nodes import find_node, running_nodes
from trunkline.lab.runtime import is_up, known_labs, read_state
from trunkline.lab.topology import find_topology
from trunkline.net.control import ControlClient, Json

__all__ = [
    "LinkArgument",
    "NodeArgument",
    "as_dict",
    "as_list",
    "connected",
    "lab_client",
    "node_names",
]


def node_names(incomplete: str) -> list[str]:
    """Names of nodes that are up, for the completion of the user's shell."""
    found = dict.fromkeys(node.name for node in running_nodes())
    return [name for name in found if name.lower().startswith(incomplete.lower())]


def _running_links(incomplete: str) -> list[str]:
    found: list[str] = []
    for network in known_labs():
        state = read_state(network) if is_up(network) else None
        if state is not None:
            links = find_topology(read_network(Path(state.file))).links
            found += dict.fromkeys(link.name.partition(":")[0] for link in links)
    return [name for name in found if name.lower().startswith(incomplete.lower())]


NodeArgument = Annotated[
    str, typer.Argument(help="The node, such as CountryA.", autocompletion=node_names)
]
LinkArgument = Annotated[
    str,
    typer.Argument(
        metavar="LINK",
        help="NODE-NODE, or NODE-NODE:SLC for one link of several.",
        autocompletion=_running_links,
    ),
]


@contextmanager
def connected(node: str, network: str | None, *, timeout: float = 60.0) -> Iterator[ControlClient]:
    """A client of ``node``, in ``network`` or wherever it is up."""
    with ControlClient(find_node(node, network).sockets[0], timeout=timeout) as client:
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
