"""Which address of this machine stands for which address of the configuration.

An ordinary user's process cannot have 10.0.5.1; all of 127.0.0.0/8 is there without asking. The
UDP back end therefore binds 127.0.5.1 for 10.0.5.1, and everything shown to people (captures,
events, settings) keeps the configuration's address.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Literal

from trunkline.errors import TrunklineError

__all__ = ["AddressMap", "is_local", "packed_sockaddr_in"]


class AddressMap:
    """Maps configured IPv4 addresses to real ones, one to one.

    Two configured addresses that fall on one real address and UDP port raise
    ``sctp.address-collision``: their nodes could not be told apart.
    """

    def __init__(
        self,
        explicit: Mapping[str, str] | None = None,
        rule: Literal["loopback", "identity"] = "loopback",
    ) -> None:
        self._explicit = dict(explicit or {})
        self._rule = rule
        self._holders: dict[tuple[str, int], str] = {}

    def real(self, configured: str, port: int) -> str:
        """Return the address to use in place of ``configured``, whose node has this UDP port."""
        address = self._explicit.get(configured)
        if address is None:
            _octets(configured)
            address = configured
            if self._rule == "loopback" and not configured.startswith("127."):
                address = "127." + configured.split(".", 1)[1]
        else:
            _octets(address)
        if address == "0.0.0.0":
            raise TrunklineError(
                "sctp.address", "0.0.0.0 is every interface: name the address to listen on"
            )
        holder = self._holders.setdefault((address, port), configured)
        if holder != configured:
            raise TrunklineError(
                "sctp.address-collision",
                f"{configured} and {holder} are both {address} UDP port {port} here:"
                " give one of them another address in address_map",
            )
        return address


def _octets(address: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        raise TrunklineError("sctp.address", f"{address!r} is not an IPv4 address") from None


def packed_sockaddr_in(address: str, port: int) -> bytes:
    """Return ``struct sockaddr_in``: family (native), port and address (network order), zeroes."""
    return struct.pack("=H2s4s8x", socket.AF_INET, port.to_bytes(2, "big"), _octets(address))


def is_local(address: str) -> bool:
    """Tell whether ``address`` is on an interface of this machine (or network namespace)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return address != "0.0.0.0"
