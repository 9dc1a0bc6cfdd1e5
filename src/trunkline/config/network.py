"""The network file: one TOML file that names the nodes of a network and what each one runs.

```toml
[network]
name = "four-countries"
title = "Four countries over SS7"        # optional: what pictures and reports are headed with

[sctp]                                   # optional: how every node reaches its peers
backend = "auto"                         # auto | kernel | raw | udp
udp_port = 9899

[node.CountryA]
config = ["seed/CountryA.cfg", "overlay/CountryA.cfg"]   # layers, applied in turn

[node.ExchangeA]
config = ["exchanges/ExchangeA.cfg"]

[node.ExchangeA.exchange]                # present: this node is a Service Switching Point
numbers = ["3005"]                       # the numbers, or prefixes of numbers, served here
ring_time = "1s"
answer = true

[[node.ExchangeA.exchange.trunk]]
name = "ToExchangeD"
point_code = "7.8.2"
circuits = "1-30"
control = "even"                         # ours when both ends seize one; else by Q.764

[[node.ExchangeA.exchange.route]]
prefix = "61"
trunk = "ToExchangeD"

[node.ExchangeA.exchange.charging]       # optional: its callers pay at a charging node
node = "OCS"

[node.Edge.proxy]                        # present: this node is a SIP proxy, and nothing else
script = "edge.py"
listen = ["udp:127.0.0.1:5060"]

[node.OCS.charging]                      # present: this node charges, and nothing else
tariff = "../tutorial-tariff"

[rating]                                 # optional: the exchanges price their callers' calls
tariff = "../tutorial-tariff"
tenant = "cgrates.org"

[demo]                                   # optional: what `trunkline demo` does
pings = [["CountryA", "CountryC"]]
cut = "CountryB-CountryD"
detour = ["CountryB-CountryC", "CountryC-CountryD"]

[[demo.call]]
exchange = "ExchangeA"
calling = "3005"
called = "61412345678"
label = "mobile"
cost = "22"                              # optional: what it must come to
```

Everything is checked before anything counts; a ``NetworkFileError`` names file, line, value and
what would be right.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from trunkline.config.charging import (
    ChargedSettings,
    ChargingSettings,
    ExportSettings,
    FieldSettings,
    ListenAddress,
    ReaderSettings,
)
from trunkline.config.proxy import (
    DestinationSettings,
    DestinationTarget,
    DigestAlgorithm,
    HepCollector,
    Listen,
    ProxyNodeSettings,
    TlsFiles,
)
from trunkline.config.values import Duration
from trunkline.errors import TrunklineError
from trunkline.ss7.isup.number import check_digits

__all__ = [
    "ChargedSettings",
    "ChargingSettings",
    "DemoCall",
    "DemoSettings",
    "DestinationSettings",
    "DestinationTarget",
    "ExchangeSettings",
    "ExportSettings",
    "FieldSettings",
    "NetworkFileError",
    "NetworkSettings",
    "NodeSettings",
    "RatingSettings",
    "ReaderSettings",
    "RouteSettings",
    "SctpSettings",
    "TlsFiles",
    "TrunkSettings",
    "destination_sets",
    "load_network",
]


class NetworkFileError(TrunklineError):
    """A network file that cannot be used; the message begins with ``file:line:``."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__("config.network", f"{path}:{line}: {message}")
        self.path = path
        self.line = line


_MAX_CIC = 0xFFF  # a circuit identification code has 12 bits, Q.763 1.2


@attrs.frozen
class Circuits:
    """Circuit identification codes as ``"1-30"`` or ``"1-15,17-31"``; CICs are 12 bits wide."""

    codes: tuple[int, ...]

    @classmethod
    def parse(cls, text: object) -> Circuits:
        """Read ``text``; ValueError says what is wrong."""
        if not isinstance(text, str) or not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
            raise ValueError(f'{text!r} is no list of circuits: write for example "1-15,17-31"')
        codes: list[int] = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if high > _MAX_CIC:
                raise ValueError(f"{text!r}: circuit identification codes run from 0 to {_MAX_CIC}")
            if low > high:
                raise ValueError(f"{text!r}: {part} runs backwards")
            codes.extend(range(low, high + 1))
        if len(set(codes)) != len(codes):
            raise ValueError(f"{text!r} names a circuit twice")
        return cls(tuple(codes))


@attrs.frozen
class TrunkSettings:
    """A group of circuits towards another exchange.

    ``control``: which circuits are ours when both ends seize one at once; ``point-code`` is the
    rule of Q.764 2.9.1.4, by which the higher point code has the even ones.
    """

    name: str
    point_code: str
    circuits: Circuits
    control: Literal["point-code", "even", "odd"] = "point-code"


@attrs.frozen
class RouteSettings:
    """Called numbers that begin with ``prefix`` leave on ``trunk``."""

    prefix: str
    trunk: str


@attrs.frozen
class ExchangeSettings:
    """What makes a node a Service Switching Point."""

    numbers: tuple[str, ...] = ()
    ring_time: Duration = Duration(1.0)  # noqa: RUF009 - immutable
    hold_time: Duration = Duration(5.0)  # noqa: RUF009 - immutable
    answer: bool = True
    trunk: tuple[TrunkSettings, ...] = ()
    route: tuple[RouteSettings, ...] = ()
    charging: ChargedSettings | None = None


@attrs.frozen
class NodeSettings:
    """One node: a router, with its configuration in layers; or a proxy; or one that charges."""

    config: tuple[str, ...] = ()
    exchange: ExchangeSettings | None = None
    proxy: ProxyNodeSettings | None = None
    charging: ChargingSettings | None = None


@attrs.frozen
class SctpSettings:
    """How the nodes reach each other: see ``trunkline.net.sctp``."""

    backend: Literal["auto", "kernel", "raw", "udp"] = "auto"
    udp_port: int = 9899
    address_map: dict[str, str] = attrs.Factory(dict)
    remote_udp_ports: dict[str, int] = attrs.Factory(dict)


@attrs.frozen
class DemoCall:
    """One call of the demonstration: who dials what at which exchange, and what that is."""

    exchange: str
    calling: str
    called: str
    label: str = ""
    cost: str = ""
    """What it must cost by the tariff, worked out by hand; empty: not looked at."""


@attrs.frozen
class RatingSettings:
    """By what the calls of the network's exchanges are priced."""

    tariff: str = ""
    """A folder of CSV files, relative to the network file; empty: calls are not priced."""
    tenant: str = ""
    category: str = ""


@attrs.frozen
class DemoSettings:
    """What ``trunkline demo`` does with the network."""

    pings: tuple[tuple[str, str], ...] = ()
    """Pairs of node names: from, to."""
    cut: str = ""
    """The link that is broken and healed, such as ``"CountryB-CountryD"``."""
    detour: tuple[str, ...] = ()
    """The links that carry its traffic meanwhile."""
    call: tuple[DemoCall, ...] = ()


@attrs.frozen
class _Network:
    name: str = ""
    title: str = ""


@attrs.frozen
class NetworkSettings:
    """A whole network file; ``path`` is where it lay, ``text`` what it said."""

    path: Path
    name: str
    title: str
    nodes: dict[str, NodeSettings]
    sctp: SctpSettings = SctpSettings()
    demo: DemoSettings = DemoSettings()
    rating: RatingSettings = RatingSettings()
    text: str = attrs.field(default="", repr=False)

    @property
    def tariff(self) -> Path | None:
        """The folder of the tariff, if calls are priced."""
        return self.path.parent / self.rating.tariff if self.rating.tariff else None

    def layers(self, node: str) -> list[Path]:
        """The configuration files of ``node``, in the order in which they apply."""
        return [self.path.parent / name for name in self.nodes[node].config]

    def choose(self, node: str | None) -> str:
        """The node called ``node``, or the only one.

        Raises:
            TrunklineError: ``node.unknown``.
        """
        if node is None and len(self.nodes) == 1:
            return next(iter(self.nodes))
        if node is None or node not in self.nodes:
            known = ", ".join(self.nodes)
            asked = f"no node {node!r} in it" if node else "it has several nodes"
            raise TrunklineError(
                "node.unknown", f"{self.path}: {asked}; choose with --node: {known}"
            )
        return node

    def line(self, *where: str | int) -> int:
        """The line of a key, such as ``"node", "Edge", "proxy", "listen"``; as near as it goes."""
        return _line_of(self.text, where)


@attrs.frozen
class _File:
    node: dict[str, NodeSettings]
    network: _Network = _Network()
    sctp: SctpSettings = SctpSettings()
    demo: DemoSettings = DemoSettings()
    rating: RatingSettings = RatingSettings()


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}\Z")
_T = TypeVar("_T")


def load_network(path: Path) -> NetworkSettings:
    """Read and check the network file at ``path``.

    Raises:
        NetworkFileError: the first thing that is wrong, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise NetworkFileError(path, 0, f"cannot be read: {problem}") from problem
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        line = re.search(r"line (\d+)", str(problem))
        number = int(line[1]) if line else text.count("\n") + 1
        raise NetworkFileError(path, number, f"not TOML: {problem}") from problem
    try:
        settings = _converter().structure(tree, _File)
    except cattrs.ClassValidationError as group:
        where, reason = _first_problem(group)
        raise NetworkFileError(path, _line_of(text, where), reason) from group
    name = settings.network.name or path.resolve().parent.name
    _check(path, text, name, settings)
    return NetworkSettings(
        path=path,
        name=name,
        title=settings.network.title or name,
        nodes=settings.node,
        sctp=settings.sctp,
        demo=settings.demo,
        rating=settings.rating,
        text=text,
    )


def _check(path: Path, text: str, name: str, settings: _File) -> None:
    named = ((name, ("network", "name")), *((node, ("node", node)) for node in settings.node))
    for label, place in named:
        if not _NAME.match(label):
            raise NetworkFileError(
                path,
                _line_of(text, place),
                f"{label!r} is no name: begin with a letter, then letters, digits, - and _",
            )
    ports = [("udp_port", settings.sctp.udp_port)]
    ports += [("remote_udp_ports", port) for port in settings.sctp.remote_udp_ports.values()]
    for key, port in ports:
        if not 0 < port < 0x10000:
            raise NetworkFileError(
                path, _line_of(text, ("sctp", key)), f"{key}: a port is 1 to 65535, not {port}"
            )
    for node, values in settings.node.items():
        kinds = (bool(values.config), values.proxy is not None, values.charging is not None)
        if sum(kinds) != 1 or (values.exchange is not None and not values.config):
            raise NetworkFileError(
                path,
                _line_of(text, ("node", node)),
                f"{node} is either a router, with a `config`, or a proxy, with a table"
                f" [node.{node}.proxy], or charges, with a table [node.{node}.charging]",
            )
        if values.proxy is not None:
            _check_proxy(path, text, node, values.proxy)
        if values.charging is not None:
            _check_charging(path, text, node, values.charging)
        exchange = values.exchange
        if exchange is None:
            continue
        trunks = [trunk.name for trunk in exchange.trunk]
        where: tuple[str, ...] = ("node", node, "exchange")
        for trunk in {trunk for trunk in trunks if trunks.count(trunk) > 1}:
            raise NetworkFileError(path, _line_of(text, where), f"trunk {trunk!r} is there twice")
        for index, route in enumerate(exchange.route):
            if route.trunk not in trunks:
                known = ", ".join(trunks) or "none"
                raise NetworkFileError(
                    path,
                    _line_of(text, (*where, "route", index, "trunk")),
                    f"no trunk {route.trunk!r}; trunks of {node}: {known}",
                )
        if exchange.charging is not None:
            _check_charged(path, text, node, exchange.charging, settings)


def _check_proxy(path: Path, text: str, node: str, proxy: ProxyNodeSettings) -> None:
    where = ("node", node, "proxy")
    if not proxy.listen:
        raise NetworkFileError(
            path, _line_of(text, (*where, "listen")), 'listen: at least one, "udp:127.0.0.1:5060"'
        )
    if not 1 <= proxy.workers <= 64:
        raise NetworkFileError(
            path, _line_of(text, (*where, "workers")), f"workers: 1 to 64, not {proxy.workers}"
        )
    if not 0 <= proxy.hep_id < 1 << 32:
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "hep_id")),
            f"hep_id: 0 to 4294967295, not {proxy.hep_id}",
        )
    secure = [item for item in proxy.listen if item.transport.secure]
    if secure and not (proxy.tls and proxy.tls.certificate):
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "listen")),
            f'{secure[0].transport.value} needs a certificate: certificate = "FILE.pem" in'
            f" [node.{node}.proxy.tls]",
        )
    stores = [f"redis:{name}" for name in proxy.redis] + [f"sql:{name}" for name in proxy.sql]
    if proxy.location not in ("memory", *stores):
        known = ", ".join(f'"{store}"' for store in stores) or "it names none"
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "location")),
            f'location: "memory", or a store of this node ({known}); not {proxy.location!r}',
        )
    if proxy.users.startswith("sql:") and proxy.users not in stores:
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "users")),
            f"users: the table sql of this node has no {proxy.users.removeprefix('sql:')!r}",
        )
    if not proxy.algorithms or len(set(proxy.algorithms)) < len(proxy.algorithms):
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "algorithms")),
            "algorithms: one or more, each once",
        )
    for name, source in proxy.dialplans.items():
        if source.startswith("sql:") and source not in stores:
            raise NetworkFileError(
                path,
                _line_of(text, (*where, "dialplans", name)),
                f"{name}: the table sql of this node has no {source.removeprefix('sql:')!r}",
            )


def _check_charging(path: Path, text: str, node: str, charging: ChargingSettings) -> None:
    where = ("node", node, "charging")
    if charging.tariff and charging.store:
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "store")),
            "store: there is a `tariff` already; the tariffs of a store are loaded with"
            " `trunkline rate load`",
        )
    if not 1 <= charging.connections <= 100_000:
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "connections")),
            f"connections: 1 to 100000, not {charging.connections}",
        )
    for key, listed in (("export", charging.export), ("reader", charging.reader)):
        names = [each.id for each in listed]
        for name in names:
            if not name or "/" in name or names.count(name) > 1:
                raise NetworkFileError(
                    path,
                    _line_of(text, (*where, key)),
                    f"{key}: {name!r}: each needs an id of its own, without a slash",
                )
    if charging.lease.seconds < 1:
        raise NetworkFileError(
            path, _line_of(text, (*where, "lease")), "lease: a second at least, or no call lasts"
        )


def _check_charged(
    path: Path, text: str, node: str, charged: ChargedSettings, settings: _File
) -> None:
    where = ("node", node, "exchange", "charging")
    chargers = {name: each.charging for name, each in settings.node.items() if each.charging}
    charger = chargers.get(charged.node)
    if charger is None:
        known = ", ".join(chargers) or "there is none"
        raise NetworkFileError(
            path,
            _line_of(text, (*where, "node")),
            f"node: no charging node {charged.node!r} in this network; charging nodes: {known}",
        )
    if charger.rpc_bijson.address is None or not charger.rpc_bijson.address[1]:
        raise NetworkFileError(
            path,
            _line_of(text, ("node", charged.node, "charging", "rpc_bijson")),
            f"rpc_bijson: {node} has its calls charged there, so that it needs an address and a"
            ' port, "127.0.0.1:2014"',
        )
    for key in ("grant", "timeout"):
        if getattr(charged, key).seconds < 0.1:
            raise NetworkFileError(path, _line_of(text, (*where, key)), f'{key}: at least "100ms"')
    for number in charged.subscribers:
        try:
            check_digits(number, "subscriber")
        except TrunklineError as problem:
            place = _line_of(text, (*where, "subscribers", number))
            raise NetworkFileError(path, place, problem.message) from problem
    if settings.rating.tariff:
        raise NetworkFileError(
            path,
            _line_of(text, where),
            f"the calls of {node} have two prices: that of {charged.node}, and that of [rating];"
            " take one of the tables away",
        )


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)

    def strict(value: object, kind: type[_T]) -> _T:
        if type(value) is not kind:
            raise ValueError(f"{value!r} is no {kind.__name__}")
        return value

    for kind in (str, int, bool):
        converter.register_structure_hook(kind, strict)

    def one_of(value: object, kind: object) -> object:
        words = get_args(kind)
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(map(repr, words))}")
        return value

    def has_words(kind: object) -> bool:
        origin: object = get_origin(kind)
        return origin is Literal

    converter.register_structure_hook_func(has_words, one_of)
    # A script's own settings are whatever TOML has.
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    converter.register_structure_hook(Duration, lambda value, _: Duration.parse(value))
    converter.register_structure_hook(HepCollector, lambda value, _: HepCollector.parse(value))
    converter.register_structure_hook(ListenAddress, lambda value, _: ListenAddress.parse(value))
    converter.register_structure_hook(Listen, lambda value, _: Listen.parse(value))
    converter.register_structure_hook(Circuits, lambda value, _: Circuits.parse(value))
    for listed in (tuple[str, ...], tuple[Listen, ...], tuple[DigestAlgorithm, ...]):
        _refuse_text(converter, listed)
    target = make_dict_structure_fn(DestinationTarget, converter)
    converter.register_structure_hook(
        DestinationTarget,
        lambda value, _: target({"uri": value} if isinstance(value, str) else value, _),
    )
    return converter


def _refuse_text(converter: cattrs.Converter, kind: object) -> None:
    """A text is a sequence, too: of its letters."""
    inner = converter.get_structure_hook(kind)

    def structure(value: object, wanted: object) -> object:
        if isinstance(value, str):
            raise ValueError(f'{value!r} is no list: write ["{value}"]')
        return inner(value, wanted)

    converter.register_structure_hook_func(lambda asked: asked == kind, structure)


def destination_sets(tables: Mapping[str, object]) -> dict[str, DestinationSettings]:
    """Sets of destinations as a network file has them, for tests of a script.

    Raises:
        TrunklineError: ``config.network``: what is wrong.
    """
    try:
        return _converter().structure(tables, dict[str, DestinationSettings])
    except (cattrs.BaseValidationError, ValueError) as group:
        where, reason = _first_problem(group)
        place = ".".join(map(str, ("destinations", *where)))
        raise TrunklineError("config.network", f"{place}: {reason}") from group


def _first_problem(group: BaseException) -> tuple[tuple[str | int, ...], str]:
    """The path into the file and the sentence of the first error inside cattrs' error group."""
    where: tuple[str | int, ...] = ()
    problem: BaseException = group
    while isinstance(problem, cattrs.BaseValidationError):
        problem = problem.exceptions[0]
        for note in getattr(problem, "__notes__", ()):
            name = getattr(note, "name", None)
            index = getattr(note, "index", None)
            step = name if name is not None else index
            if step is not None:
                where = (*where, step)
    if isinstance(problem, cattrs.ForbiddenExtraKeysError):
        extra = sorted(problem.extra_fields)
        known = ", ".join(field.name for field in attrs.fields(problem.cl))
        return (*where, extra[0]), f"unknown key {extra[0]!r}; known here: {known}"
    if isinstance(problem, KeyError):
        return where, f"key {problem.args[0]!r} is missing"
    return where, str(problem)


def _line_of(text: str, where: tuple[str | int, ...]) -> int:
    """The line of the deepest part of ``where`` that the text shows, 1 when none does.

    The TOML reader keeps no positions, so headers and keys are looked for as they are written.
    """
    best = 1
    names = [str(step) for step in where if isinstance(step, str)]
    indexes = [step for step in where if isinstance(step, int)]
    seen: dict[str, int] = {}
    header = ""
    wanted_index = indexes[0] if indexes else 0
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if found := re.match(r"\[\[?\s*([^\]]+?)\s*\]\]?", bare):
            header = found[1].replace('"', "")
            seen[header] = seen.get(header, -1) + 1
            if names[: header.count(".") + 1] == header.split(".") and (
                not bare.startswith("[[") or seen[header] == wanted_index
            ):
                best = number
        elif found := re.match(r"([A-Za-z0-9_-]+|\"[^\"]*\")\s*=", bare):
            key = [*header.split("."), found[1].strip('"')] if header else [found[1]]
            if key == names and (seen.get(header, 0) == wanted_index or not indexes):
                return number
    return best
