"""SCTP behind one interface, three ways: in the kernel, raw, or over UDP.

``open_stack`` chooses:

- ``kernel``: the operating system's SCTP (``kernel.py``);
- ``raw``: libusrsctp on raw IP sockets, protocol 132 (``raw.py``); needs root, one node per
  machine or network namespace;
- ``udp``: libusrsctp over UDP, RFC 6951 (``udp.py``); needs nothing, and is the only one that
  stands in for addresses which this machine does not have.

``auto`` takes the first that can work, in this order. The first two are candidates only when
``Settings.local`` names the addresses to listen on and all of them are on this machine.
"""

from __future__ import annotations

import asyncio
import socket

from trunkline.errors import TrunklineError

from .addresses import is_local
from .interface import (
    Association,
    AssociationSettings,
    AssociationStats,
    Backend,
    Handler,
    Packet,
    Settings,
    Stack,
    StackStats,
    Tap,
)

__all__ = [
    "Association",
    "AssociationSettings",
    "AssociationStats",
    "Backend",
    "Handler",
    "Packet",
    "Settings",
    "Stack",
    "StackStats",
    "Tap",
    "choose",
    "open_stack",
]

_IPPROTO_SCTP = 132


def choose(settings: Settings) -> Backend:
    """Return the back end that ``settings`` lead to on this machine."""
    if settings.backend != "auto":
        return settings.backend
    if settings.local and all(is_local(address) for address in settings.local):
        if _may_open(socket.SOCK_SEQPACKET):
            return "kernel"
        # On loopback several nodes share one machine, and each would see the others' packets.
        loopback = any(address.startswith("127.") for address in settings.local)
        if not loopback and _may_open(socket.SOCK_RAW):
            return "raw"
    return "udp"


def open_stack(
    loop: asyncio.AbstractEventLoop, settings: Settings, *, tap: Tap | None = None
) -> Stack:
    """Start this process's SCTP on ``loop``.

    Raises ``sctp.no-backend``, naming the package to install, where there is no SCTP at all, and
    ``sctp.settings`` for settings that cannot be.
    """
    _check(settings)
    backend = choose(settings)
    if backend == "kernel":
        from .kernel import KernelStack

        return KernelStack(loop, settings, tap)
    if backend == "raw":
        from .raw import RawStack

        return RawStack(loop, settings, tap)
    if backend == "udp":
        from .udp import UdpStack

        return UdpStack(loop, settings, tap)
    raise TrunklineError(
        "sctp.backend", f"no SCTP back end {backend!r}: choose auto, kernel, raw or udp"
    )


def _check(settings: Settings) -> None:
    for holds, complaint in (
        (576 <= settings.mtu <= 65535, f"mtu {settings.mtu}: 576 to 65535 octets"),
        (0 < settings.udp_port < 65536, f"udp_port {settings.udp_port}: 1 to 65535"),
        (
            0 < settings.rto_min <= settings.rto_initial <= settings.rto_max,
            "rto_min <= rto_initial <= rto_max does not hold",
        ),
        (settings.sack_delay < settings.rto_min, "sack_delay must be less than rto_min"),
    ):
        if not holds:
            raise TrunklineError("sctp.settings", complaint)


def _may_open(kind: socket.SocketKind) -> bool:
    try:
        socket.socket(socket.AF_INET, kind, _IPPROTO_SCTP).close()
    except OSError:
        return False
    return True
