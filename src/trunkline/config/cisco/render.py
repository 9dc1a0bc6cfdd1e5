"""The configuration as ``show running-config`` prints it; reading it back gives the same tree.

The order is the router family's: the node, its interfaces, local peers, linksets, routes. The port
that belongs to this node comes first on a ``link`` line (see ``docs/router-commands.md``).
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.config.cisco.tree import NETWORK_INDICATORS, Cs7Config, Interface, Linkset
from trunkline.ss7.pointcode import JAPAN

__all__ = ["render", "running_config"]

_INDICATOR_WORDS = {number: word for word, number in NETWORK_INDICATORS.items()}


def running_config(config: Cs7Config) -> str:
    """Return what ``show running-config`` prints, its two opening lines included."""
    text = render(config)
    return f"Building configuration...\n\nCurrent configuration : {len(text)} bytes\n{text}"


def render(config: Cs7Config) -> str:
    """Return the configuration as a file that :func:`~trunkline.config.cisco.load` reads."""
    lines = ["!"]
    for block in _blocks(config):
        lines += block
        lines.append("!")
    lines.append("end")
    return "\n".join(lines) + "\n"


def _blocks(config: Cs7Config) -> Iterator[list[str]]:
    yield [f"hostname {config.hostname}"]
    # The router family's word for the 16-bit Japanese point codes is ttc.
    variant = "ttc" if config.variant == JAPAN else config.variant.name
    node = [
        f"cs7 variant {variant}",
        f"cs7 network-indicator {_INDICATOR_WORDS[config.network_indicator]}",
    ]
    if config.point_code is not None:
        node.append(f"cs7 point-code {config.format_pc(config.point_code)}")
    yield node
    for interface in config.interfaces.values():
        yield list(_interface(interface))
    for peer in config.local_peers.values():
        yield [f"cs7 local-peer {peer.port}", *(f" local-ip {ip}" for ip in peer.ips)]
    for linkset in config.linksets.values():
        yield list(_linkset(config, linkset))
    if config.routes:
        yield ["cs7 route-table system", *_routes(config)]


def _interface(interface: Interface) -> Iterator[str]:
    yield f"interface {interface.name}"
    if not interface.addresses:
        yield " no ip address"
    for index, (ip, mask) in enumerate(interface.addresses):
        yield f" ip address {ip} {mask}" + (" secondary" if index else "")
    if interface.shutdown:
        yield " shutdown"


def _linkset(config: Cs7Config, linkset: Linkset) -> Iterator[str]:
    yield f"cs7 linkset {linkset.name} {config.format_pc(linkset.apc)}"
    if linkset.shutdown:
        yield " shutdown"
    for link in linkset.links.values():
        ips = " ".join(link.remote_ips)
        yield f" link {link.slc} sctp {ips} {link.local_port} {link.remote_port}"
        if link.shutdown:
            yield "  shutdown"


def _routes(config: Cs7Config) -> Iterator[str]:
    for route in config.routes:
        line = f" update route {route.prefix.format()} linkset {route.linkset}"
        yield line if route.priority is None else f"{line} priority {route.priority}"
