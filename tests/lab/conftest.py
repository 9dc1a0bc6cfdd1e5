"""Labs for the tests: a runtime folder of their own, and stand-ins for the nodes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.networks import write_network

from trunkline.lab.lifecycle import bring_down, bring_up
from trunkline.lab.network import Network, read_network
from trunkline.lab.runtime import known_labs

POINTS = {"A": "1.1.1", "B": "2.2.2", "X": "3.3.3"}
LINKS = [("A", "B"), ("A", "B"), ("B", "X")]


def fake_command(network: Network, node: str, real: bool) -> list[str]:
    return [sys.executable, "-m", "tests.lab.fake_node", str(network.file), node]


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime and a state folder of this test's own; its labs are ended afterwards."""
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    root = Path(__file__).parent.parent.parent
    monkeypatch.setenv("PYTHONPATH", f"{root / 'src'}{os.pathsep}{root}")
    return folder


@pytest.fixture
def network(runtime: Path, tmp_path: Path) -> Iterator[Network]:
    """A network of three nodes, A and B joined twice, X an exchange; not running."""
    routes = {"A": ["3.3.3/14 linkset ToB"], "X": ["0.0.0/0 linkset ToB"]}
    yield read_network(write_network(tmp_path, POINTS, LINKS, routes, exchanges=["X"]))
    for name in known_labs():
        bring_down(name)


@pytest.fixture
def lab(network: Network) -> Network:
    """The same, running with stand-ins."""
    bring_up(network, command=fake_command)
    return network
