"""SCTP notifications (RFC 6458 section 6) as values: one parser for every back end.

The structures are the same everywhere; the numbers are not: the Linux kernel counts types from
0x8001 and states from 0, libusrsctp (like FreeBSD) types from 1 and states from 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = [
    "KERNEL",
    "USRSCTP",
    "AddressChange",
    "AssociationChange",
    "Dialect",
    "Kind",
    "Notification",
    "Other",
    "parse_notification",
]


class Kind(Enum):
    """What an SCTP_ASSOC_CHANGE says (6.1.1)."""

    COMM_UP = 0
    COMM_LOST = auto()
    RESTART = auto()
    SHUTDOWN_COMP = auto()
    CANT_STR_ASSOC = auto()


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where an implementation starts to count."""

    types_from: int
    states_from: int
    send_failed: int
    """SCTP_SEND_FAILED_EVENT, without the base."""
    partial_delivery: int
    partial_delivery_identifier: int
    """Where in SCTP_PARTIAL_DELIVERY_EVENT the association's identifier is."""

    def types(self) -> tuple[int, ...]:
        """Return the types to ask for."""
        kinds = (_ASSOC_CHANGE, _PEER_ADDR_CHANGE, _SHUTDOWN_EVENT)
        wanted = (*kinds, self.partial_delivery, self.send_failed)
        return tuple(self.types_from + kind for kind in wanted)


_ASSOC_CHANGE: Final = 1
_PEER_ADDR_CHANGE: Final = 2
_SHUTDOWN_EVENT: Final = 5

USRSCTP: Final = Dialect(0x0000, 1, 0x0E, 0x07, 24)
KERNEL: Final = Dialect(0x8000, 0, 0x0D, 0x06, 12)

_HEADER: Final = struct.Struct("=HHI")  # type, flags, length
_ASSOC: Final = struct.Struct("=HHHHI")  # state, error, outbound, inbound streams, assoc id
_PADDR: Final = struct.Struct("=128sIII")  # address, state, error, assoc id


@dataclass(frozen=True, slots=True)
class AssociationChange:
    """SCTP_ASSOC_CHANGE (6.1.1)."""

    kind: Kind
    association: int
    outbound: int
    inbound: int
    error: int
    aborted: bool
    """The peer's ABORT chunk came with it."""


@dataclass(frozen=True, slots=True)
class AddressChange:
    """SCTP_PEER_ADDR_CHANGE (6.1.2)."""

    association: int
    address: bytes
    """``sockaddr_storage``"""
    reachable: bool | None
    """``None``: something else about it changed."""


class Other(Enum):
    """Notifications whose arrival says all that is used of them."""

    SEND_FAILED = auto()
    SHUTDOWN_EVENT = auto()
    PARTIAL_DELIVERY = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Notification:
    """One of ``Other``, with the association it is about (0: not said)."""

    kind: Other
    association: int


def parse_notification(
    data: bytes, dialect: Dialect
) -> AssociationChange | AddressChange | Notification:
    """Parse one notification; what is unknown or too short comes back as ``Other.UNKNOWN``."""
    if len(data) < _HEADER.size:
        return Notification(Other.UNKNOWN, 0)
    kind, _, _ = _HEADER.unpack_from(data)
    kind -= dialect.types_from
    if kind == _ASSOC_CHANGE and len(data) >= 20:
        state, error, outbound, inbound, identifier = _ASSOC.unpack_from(data, 8)
        try:
            change = Kind(state - dialect.states_from)
        except ValueError:
            return Notification(Other.UNKNOWN, identifier)
        return AssociationChange(change, identifier, outbound, inbound, error, len(data) > 20)
    if kind == _PEER_ADDR_CHANGE and len(data) >= 148:
        address, state, _, identifier = _PADDR.unpack_from(data, 8)
        # AVAILABLE, UNREACHABLE, REMOVED, ADDED, MADE_PRIM, CONFIRMED (6.1.2), in this order
        reachable = {0: True, 1: False, 5: True}.get(state - dialect.states_from)
        return AddressChange(identifier, address, reachable)
    if kind == _SHUTDOWN_EVENT and len(data) >= 12:
        return Notification(Other.SHUTDOWN_EVENT, struct.unpack_from("=I", data, 8)[0])
    if kind == dialect.send_failed and len(data) >= 32:
        return Notification(Other.SEND_FAILED, struct.unpack_from("=I", data, 28)[0])
    offset = dialect.partial_delivery_identifier
    if kind == dialect.partial_delivery and len(data) >= offset + 4:
        return Notification(Other.PARTIAL_DELIVERY, struct.unpack_from("=I", data, offset)[0])
    return Notification(Other.UNKNOWN, 0)
