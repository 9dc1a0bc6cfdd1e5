"""What can be seen of a network's SIP proxies without starting them.

Scripts, users, dialplans, certificates and the names of stores are read as a start reads them
(:class:`~trunkline.elements.proxy.process.ProxyPlan`); the addresses that all proxies listen on are
compared; and where settings name an address or a domain of another proxy, there is a way to it.
What a script decides by itself, or asks DNS for, nobody knows before it runs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from attrs import frozen

from trunkline.config.cisco import Location, Problem
from trunkline.config.proxy import Listen
from trunkline.errors import TrunklineError
from trunkline.lab.network import Network, Proxy
from trunkline.sip.transport import Transport, written

__all__ = ["Way", "check_proxies", "find_ways", "listen_problems"]

_KEYS = {
    "script": "script",
    "proxy.users": "users",
    "sip.digest-users": "users",
    "dialplan": "dialplans",
    "stream": "tls",
    "dns": "dns",
    "store.redis-url": "redis",
    "store.redis-missing": "redis",
    "store.sql-url": "sql",
    "store.sql-missing": "sql",
}
"""Error code, or the room in it, to the key of the node's table that it is about."""

_PLACE = re.compile(
    r"(?P<scheme>sips?:(?:[^@\s]*@)?)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?"
    r"(?:[;?].*)?"
)


@frozen
class Way:
    """A proxy whose settings name another one."""

    first: str
    second: str
    setting: str
    """The key, below ``[node.FIRST.proxy]``."""
    value: str


def check_proxies(network: Network) -> tuple[Problem, ...]:
    """Load all that the proxies need for a start, and compare where they listen."""
    problems = list(listen_problems(network))
    for proxy in network.proxies.values():
        with _aside():
            found = _load(network, proxy)
        if found is not None:
            problems.append(found)
    return tuple(problems)


def _load(network: Network, proxy: Proxy) -> Problem | None:
    from trunkline.elements.proxy.process import ProxyPlan  # heavy

    try:
        ProxyPlan(network.settings, proxy.name, proxy.settings)
    except TrunklineError as error:
        key = _KEYS.get(error.code) or _KEYS.get(error.code.partition(".")[0], "")
        where = _location(network, proxy, key)
        return Problem(error.code, f"{proxy.name}: {error.message}", location=where)
    return None


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """Let a script be loaded as if nothing had been before, and leave nothing behind.

    Two scripts may each have a module of the same name beside them. What they print is none of
    the check's result.
    """
    path, modules = list(sys.path), set(sys.modules)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        folders = {folder for folder in sys.path if folder not in path}
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if any(Path(file).is_relative_to(folder) for folder in folders):
                del sys.modules[name]


def listen_problems(network: Network) -> Iterator[Problem]:
    """Find the addresses that two proxies, or one of them twice, listen on."""
    listening = [
        (proxy, item) for proxy in network.proxies.values() for item in proxy.settings.listen
    ]
    for (first, one), (second, other) in combinations(listening, 2):
        if not _collide(one, other):
            continue
        who = "it does so already" if first == second else f"and so does {first.name}"
        yield Problem(
            "lab.listen",
            f"{second.name} listens on {other.transport.value} {written(other.local)}, {who}",
            "give one of them another address or port",
            _location(network, second, "listen"),
        )


def _collide(one: Listen, other: Listen) -> bool:
    """Whether the system would refuse one of the two sockets, or let them share what comes."""
    if (one.transport is Transport.UDP) != (other.transport is Transport.UDP):
        return False
    (host, port), (other_host, other_port) = one.local, other.local
    here, there = ipaddress.ip_address(host), ipaddress.ip_address(other_host)
    if port != other_port or not port or here.version != there.version:
        return False
    return here == there or here.is_unspecified or there.is_unspecified


def _location(network: Network, proxy: Proxy, key: str) -> Location:
    where = ("node", proxy.name, "proxy", *([key] if key else []))
    return Location(str(network.settings.path), network.settings.line(*where))


# ways


def find_ways(network: Network) -> tuple[Way, ...]:
    """The ways between proxies that their settings name."""
    return tuple(
        Way(proxy.name, other.name, setting, value)
        for proxy in network.proxies.values()
        for setting, value in _places(proxy)
        for other in network.proxies.values()
        if other != proxy and _leads(value, proxy, other)
    )


def _places(proxy: Proxy) -> Iterator[tuple[str, str]]:
    """What the settings name that may be a place, with where it stands."""
    for name, destination in proxy.settings.destinations.items():
        yield from ((f"destinations.{name}", target.uri) for target in destination.targets)
    yield from _texts("settings", proxy.settings.settings)


def _texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    """All texts within a setting, with where they are."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(f"{key}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(key, inner)


def _leads(text: str, start: Proxy, end: Proxy) -> bool:
    """Whether ``text`` is a URI or an address by which ``start`` reaches ``end``."""
    found = _PLACE.fullmatch(text)
    if found is None or not (found["scheme"] or found["port"]):
        return False
    host = found["host"].strip("[]").lower()
    if found["port"] is None and host in _domains(end) - _domains(start):
        return True
    return any(
        (address[0].lower(), address[1])
        == (host, int(found["port"] or item.transport.default_port))
        for item in end.settings.listen
        for address in (item.local, item.advertised)
    )


def _domains(proxy: Proxy) -> set[str]:
    return {domain.lower() for domain in proxy.settings.domains}
