"""A network with its router configurations read: what the lab, the checks and the pictures see.

The network file itself is read by :mod:`trunkline.config.network`, the configurations by
:mod:`trunkline.config.cisco`; here they come together, one :class:`Node` for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from trunkline.config.cisco import Cs7Config, Problem, load
from trunkline.config.network import NetworkSettings, NodeSettings, load_network
from trunkline.config.proxy import ProxyNodeSettings
from trunkline.errors import TrunklineError

__all__ = ["Network", "Node", "find_network", "read_network"]

_EXAMPLE = Path("four-countries") / "network.toml"


@frozen
class Node:
    """One node with its configuration layers read and merged."""

    name: str
    files: tuple[Path, ...]
    config: Cs7Config
    settings: NodeSettings
    warnings: tuple[Problem, ...] = ()

    @property
    def exchange(self) -> bool:
        """Whether the node is a Service Switching Point too."""
        return self.settings.exchange is not None

    @property
    def point_code(self) -> int:
        """The node's own point code."""
        assert self.config.point_code is not None  # read_network refuses a node without
        return self.config.point_code

    @property
    def point_code_text(self) -> str:
        """The node's own point code as its variant prints it."""
        return self.config.format_pc(self.point_code)


@frozen
class Network:
    """A network file and all that it names."""

    settings: NetworkSettings
    nodes: Mapping[str, Node]
    """The routers, by name."""

    @property
    def proxies(self) -> Mapping[str, ProxyNodeSettings]:
        """The SIP proxies, by name."""
        nodes = self.settings.nodes.items()
        return {name: node.proxy for name, node in nodes if node.proxy is not None}

    @property
    def names(self) -> list[str]:
        """Of all nodes, routers and proxies, in the order of the file."""
        return list(self.settings.nodes)

    @property
    def name(self) -> str:
        """The network's name, which is also its runtime folder's."""
        return self.settings.name

    @property
    def title(self) -> str:
        """What the network is called among people."""
        return self.settings.title

    @property
    def file(self) -> Path:
        """The network file, as an absolute path."""
        return self.settings.path.resolve()

    def node(self, name: str) -> Node:
        """The router called ``name``, however its letters are cased.

        Raises:
            TrunklineError: ``lab.no-such-node``.
        """
        for node in self.nodes.values():
            if node.name.lower() == name.lower():
                return node
        raise TrunklineError(
            "lab.no-such-node",
            f"network {self.name!r} has no node {name!r}; it has: {', '.join(self.nodes)}",
        )

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What the readers of the configurations remarked, node by node."""
        return tuple(warning for node in self.nodes.values() for warning in node.warnings)


def find_network(path: Path | None) -> Path:
    """The network file at ``path`` (a folder means its ``network.toml``), or the first example.

    Raises:
        TrunklineError: ``lab.no-network-file`` when there is none.
    """
    if path is not None:
        return path / "network.toml" if path.is_dir() else path
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples", package.parent.parent / "examples"):  # installed, source
        if (folder / _EXAMPLE).is_file():
            return folder / _EXAMPLE
    raise TrunklineError(
        "lab.no-network-file",
        "the example networks are not installed; name a network file on the command line",
    )


def read_network(path: Path) -> Network:
    """Read the network file at ``path`` and the configurations it names.

    Raises:
        TrunklineError: from the readers, or ``lab.config-file``, ``lab.point-code`` with file and
            line.
    """
    settings = load_network(path)
    nodes: dict[str, Node] = {}
    owners: dict[int, str] = {}
    for name, table in settings.nodes.items():
        if table.proxy is not None:
            continue
        files = tuple(settings.layers(name))
        try:
            texts = [(str(file), file.read_text(encoding="utf-8")) for file in files]
        except (OSError, UnicodeDecodeError) as error:
            raise TrunklineError(
                "lab.config-file",
                f"{path}: node {name}: a configuration cannot be read: {error}; paths are relative "
                f"to {path.parent}",
            ) from error
        result = load(texts)
        node = Node(name, files, result.config, table, tuple(result.warnings))
        if node.config.point_code is None:
            raise TrunklineError(
                "lab.point-code",
                f"{files[-1] if files else path}: node {name} has no point code; add a line such "
                "as `cs7 point-code 1.2.3`",
            )
        if node.point_code in owners:
            raise TrunklineError(
                "lab.point-code",
                f"{node.config.point_code_source}: {name} has the point code "
                f"{node.point_code_text}, which {owners[node.point_code]} has already",
            )
        owners[node.point_code] = name
        nodes[name] = node
    return Network(settings, nodes)
