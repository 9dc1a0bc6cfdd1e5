"""Transports and flows: by what a SIP message travels, and between which two ends.

RFC 3261 section 18 and 20.42 (UDP, TCP, TLS), RFC 7118 section 5 (WS, WSS). SCTP is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

__all__ = ["LARGEST_DATAGRAM", "Address", "Flow", "Transport", "written"]

Address: TypeAlias = "tuple[str, int]"
"""An IP address, without brackets, and a port."""

LARGEST_DATAGRAM: Final = 1300
"""Octets beyond which a request goes by TCP, the path MTU being unknown (section 18.1.1)."""


def written(address: Address) -> str:
    """Return an address as it is written: one of IPv6 has brackets in front of the port."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Transport(Enum):
    """A transport protocol; the value is its token in Via (RFC 3261 section 25.1)."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"
    WS = "WS"
    WSS = "WSS"

    reliable: bool
    """Whether it delivers by itself, so that nothing is retransmitted over it (section 17)."""
    by_domain: bool
    """Whether a connection is for one domain: its certificate has to name it (RFC 5922 section 7.3)
    or its handshake does (RFC 7118 section 4)."""
    secure: bool
    """Whether it protects a hop as SIPS asks for (section 26.2.2)."""
    default_port: int
    """The port meant when none is given (section 19.1.2; RFC 7118 section 5.3)."""
    parameter: str
    """Its name in the URI parameter ``transport`` (section 19.1.1)."""

    def __init__(self, token: str) -> None:
        self.reliable = token != "UDP"
        self.by_domain = token not in ("UDP", "TCP")
        self.secure = token in ("TLS", "WSS")
        self.default_port = {"TLS": 5061, "WS": 80, "WSS": 443}.get(token, 5060)
        self.parameter = token.lower()


@dataclass(frozen=True, slots=True)
class Flow:
    """Two ends that messages pass between (RFC 5626 section 3 uses the word so).

    ``local`` is the address that we listen on, also for connections that we opened ourselves.
    ``connection`` is the number of an open connection of a stream transport; 0 asks for any that
    leads to ``remote``, or a new one. That one has to be for ``domain``, in lower case, where the
    transport goes by domains; empty, it is the address that stands for it.
    """

    transport: Transport
    remote: Address
    local: Address
    connection: int = 0
    domain: str = ""
