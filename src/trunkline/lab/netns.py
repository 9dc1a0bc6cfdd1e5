"""Network namespaces: a lab on the configuration's real addresses (root only).

Every node gets a namespace of its own; every pair of addresses that a link joins gets a veth
cable with host routes over it. So two addresses of a multihomed link really are two paths, and a
cable that is pulled takes one of them.

An address lies as /32 on every cable that it serves, as a local-peer with several neighbours has
them. (Not once on the loopback interface: SCTP keeps such addresses out of its associations.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from trunkline.errors import TrunklineError

__all__ = ["Cable", "create", "enter", "plug", "pull", "remove"]


@frozen(order=True)
class Cable:
    """A veth pair between two nodes, with the address that each end stands for."""

    first: str
    first_address: str
    second: str
    second_address: str
    namespace: str = ""
    """Where the first node's end of the laid cable is."""
    interface: str = ""
    """What that end is called; empty for a cable that is only planned."""


def create(
    network: str, nodes: Sequence[str], cables: Iterable[Cable]
) -> tuple[dict[str, str], list[Cable]]:
    """Make the namespaces of ``nodes`` and lay the cables: each node's namespace, the laid cables.

    Raises:
        TrunklineError: ``lab.netns-root`` without privileges or ``ip``, ``lab.netns`` when the
            kernel refuses; whatever was made until then is removed.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise TrunklineError(
            "lab.netns-root",
            "network namespaces need root and the `ip` command (package iproute2); without "
            "--netns the lab runs as any user on loopback addresses",
        )
    # The process number makes the names this lab's own; 15 characters bound an interface's name.
    tag = f"tl{os.getpid()}"
    namespaces = {node: f"{tag}-{network}-{node}" for node in nodes}
    laid: list[Cable] = []
    try:
        for namespace in namespaces.values():
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        for number, cable in enumerate(sorted(set(cables))):
            first, second = namespaces[cable.first], namespaces[cable.second]
            left, right = f"{tag}x{number}a", f"{tag}x{number}b"
            _ip(
                *("link", "add", left, "netns", first),
                *("type", "veth", "peer", "name", right, "netns", second),
            )
            for namespace, interface, own, other in (
                (first, left, cable.first_address, cable.second_address),
                (second, right, cable.second_address, cable.first_address),
            ):
                _ip("-n", namespace, "address", "add", f"{own}/32", "dev", interface)
                _plug(namespace, interface, own, other)
            laid.append(evolve(cable, namespace=first, interface=left))
    except TrunklineError:
        remove(namespaces.values())
        raise
    return namespaces, laid


def pull(cable: Cable) -> None:
    """Take the cable down: its two ends lose their carrier.

    Raises:
        TrunklineError: ``lab.netns``.
    """
    _ip("-n", cable.namespace, "link", "set", cable.interface, "down")


def plug(cable: Cable) -> None:
    """Put a cable that was pulled back.

    Raises:
        TrunklineError: ``lab.netns``.
    """
    _plug(cable.namespace, cable.interface, cable.first_address, cable.second_address)


def _plug(namespace: str, interface: str, own: str, other: str) -> None:
    _ip("-n", namespace, "link", "set", interface, "up")
    # The kernel forgets the routes of an interface that goes down.
    _ip("-n", namespace, "route", "replace", f"{other}/32", "dev", interface, "src", own)


def enter(namespaces: Mapping[str, str], node: str, argv: list[str]) -> list[str]:
    """``argv`` as it runs in the node's namespace; ``ip netns exec`` replaces itself by it."""
    return ["ip", "netns", "exec", namespaces[node], *argv] if node in namespaces else argv


def remove(namespaces: Iterable[str]) -> None:
    """Remove the namespaces, and with them their cables; those already gone are passed over."""
    for namespace in namespaces:
        subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if result.returncode:
        raise TrunklineError(
            "lab.netns", f"`ip {' '.join(arguments)}` failed: {result.stderr.strip()}"
        )
