"""A network with its router configurations read: what the lab, the checks and the pictures see.

The network file itself is read by :mod:`trunkline.config.network`, the configurations by
:mod:`trunkline.config.cisco`; here they come together, one :class:`Router` for each. A SIP proxy
is a :class:`Proxy`; its script is read where it runs, and by ``lab check``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from trunkline.config.charging import ChargingSettings
from trunkline.config.cisco import Cs7Config, Problem, load
from trunkline.config.network import NetworkSettings, NodeSettings, load_network
from trunkline.config.proxy import ProxyNodeSettings
from trunkline.elements.proxy.workers import control_name
from trunkline.errors import TrunklineError
from trunkline.lab.answers import Listener
from trunkline.sip.transport import written

__all__ = ["Network", "Proxy", "Router", "find_network", "read_network"]

_EXAMPLE = Path("four-countries") / "network.toml"


@frozen
class Router:
    """A router, maybe with an exchange on it, with its configuration layers read and merged."""

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
class Proxy:
    """A SIP proxy."""

    name: str
    settings: ProxyNodeSettings

    @property
    def listeners(self) -> list[Listener]:
        """Where it listens by the network file."""
        return [
            Listener(item.transport.value, written(item.local), written(item.advertised))
            for item in self.settings.listen
        ]

    @property
    def control_names(self) -> list[str]:
        """What the control sockets of its workers are called."""
        return [control_name(self.name, index) for index in range(self.settings.workers)]


@frozen
class Network:
    """A network file and all that it names: routers, SIP proxies, charging nodes."""

    settings: NetworkSettings
    routers: Mapping[str, Router]
    proxies: Mapping[str, Proxy] = field(factory=dict)
    chargers: Mapping[str, ChargingSettings] = field(factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes."""
        return tuple(self.settings.nodes)

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

    def router(self, name: str) -> Router:
        """The router called ``name``, however its letters are cased.

        Raises:
            TrunklineError: ``lab.no-such-node``, ``lab.no-router``.
        """
        exact = next((node for node in self.nodes if node.lower() == name.lower()), None)
        if exact is None:
            raise TrunklineError(
                "lab.no-such-node",
                f"network {self.name!r} has no node {name!r}; it has: {', '.join(self.nodes)}",
            )
        if exact not in self.routers:
            routers = ", ".join(self.routers) or "none in this network"
            kind = "is a SIP proxy" if exact in self.proxies else "charges"
            raise TrunklineError(
                "lab.no-router",
                f"{exact} {kind}: it has no point code, and no links or circuits of SS7;"
                f" routers: {routers}",
            )
        return self.routers[exact]

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What the readers of the configurations remarked, node by node."""
        return tuple(warning for node in self.routers.values() for warning in node.warnings)


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
    routers: dict[str, Router] = {}
    proxies: dict[str, Proxy] = {}
    chargers: dict[str, ChargingSettings] = {}
    owners: dict[int, str] = {}
    for name, table in settings.nodes.items():
        if table.proxy is not None:
            proxies[name] = Proxy(name, table.proxy)
            continue
        if table.charging is not None:
            chargers[name] = table.charging
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
        node = Router(name, files, result.config, table, tuple(result.warnings))
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
        routers[name] = node
    return Network(settings, routers, proxies, chargers)
