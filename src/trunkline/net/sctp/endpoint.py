"""A one-to-many socket and the associations on it: what all back ends have in common.

One socket both listens and connects (RFC 6458 section 3), so that two ends may set up the same
association at the same moment and SCTP sorts it out (RFC 9260 5.2.1). Whoever is not configured
is let in by SCTP and aborted here.
"""

from __future__ import annotations

import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from trunkline.errors import TrunklineError

from .addresses import packed_sockaddr_in
from .association import EndpointAssociation
from .interface import AssociationSettings, Handler
from .notifications import (
    AddressChange,
    AssociationChange,
    Dialect,
    Kind,
    Notification,
    Other,
    parse_notification,
)

if TYPE_CHECKING:
    from .host import Host

__all__ = ["SNDINFO", "Batches", "Endpoint"]

SNDINFO: Final = struct.Struct("=HHIII")  # sid, flags, ppid, context, assoc id (RFC 6458 5.3.4)

_LARGEST_MESSAGE: Final = 1 << 20


class Batches:
    """What one wake-up has read, by association, until it is handed on."""

    __slots__ = ("lists", "wrong_ppid")

    def __init__(self) -> None:
        self.lists: dict[EndpointAssociation, list[tuple[int, bytes]]] = {}
        self.wrong_ppid: dict[EndpointAssociation, int] = {}

    def of(self, association: EndpointAssociation) -> list[tuple[int, bytes]]:
        """Return the list to append ``association``'s messages to."""
        return self.lists.setdefault(association, [])

    def count_wrong_ppid(self, association: EndpointAssociation) -> None:
        """Count a message with another payload protocol identifier than configured."""
        self.wrong_ppid[association] = self.wrong_ppid.get(association, 0) + 1

    def deliver(self, now: float) -> None:
        """Hand everything on and start anew."""
        lists, self.lists = self.lists, {}
        wrong, self.wrong_ppid = self.wrong_ppid, {}
        for association, batch in lists.items():
            association.deliver(batch, wrong.get(association, 0), now)


class Endpoint(ABC):
    """One socket: a local port of one path (``udp``) or of one set of addresses.

    ``key_length`` is how many octets of a peer's ``sockaddr`` tell peers apart: 4 (family and
    port) for AF_CONN, 8 (and the address) for AF_INET.
    """

    def __init__(self, host: Host, dialect: Dialect, key_length: int) -> None:
        self.host: Final = host
        self.peers: dict[bytes, EndpointAssociation] = {}
        """By the first octets of the peer's ``sockaddr``; several when it has several addresses."""
        self._dialect = dialect
        self._key_length = key_length
        self._by_identifier: dict[int, EndpointAssociation] = {}
        self._connect_to: dict[EndpointAssociation, list[bytes]] = {}
        self._infos: dict[EndpointAssociation, list[bytes]] = {}
        """``sctp_sndinfo`` of each stream of what is up."""
        self._partial: dict[tuple[int, int], bytearray] = {}
        """Messages that arrived in part, by association identifier and stream."""

    @abstractmethod
    def transmit(
        self, association: EndpointAssociation, batch: Sequence[tuple[int, bytes]]
    ) -> tuple[int, int, int]:
        """Hand (stream, octets) to SCTP until the send buffer is full.

        Return how many messages are done with, their octets, and how many of them were refused
        for good.
        """

    @abstractmethod
    def abort(self, identifier: int) -> None:
        """End the association with ABORT (RFC 9260 9.1)."""

    @abstractmethod
    def shutdown(self, identifier: int) -> None:
        """End the association with SHUTDOWN (RFC 9260 9.2)."""

    @abstractmethod
    def close(self) -> None:
        """Close the socket; what is still up on it is aborted."""

    def wait_for_room(self, association: EndpointAssociation) -> None:
        """Call ``association.resume`` whenever the send buffer may have room again."""
        self.host.wait_for_room(association)

    @abstractmethod
    def _connect(self, sockaddrs: list[bytes]) -> bool:
        """Begin to set up an association; return whether it could be begun."""

    def open(
        self,
        settings: AssociationSettings,
        handler: Handler,
        sockaddrs: list[bytes] | None = None,
    ) -> EndpointAssociation:
        """Expect a peer at ``sockaddrs`` (by default its Internet addresses); connect to it."""
        if sockaddrs is None:
            port = settings.remote_port
            sockaddrs = [packed_sockaddr_in(address, port) for address in settings.remote]
        keys = [sockaddr[: self._key_length] for sockaddr in sockaddrs]
        if not self.peers.keys().isdisjoint(keys):
            raise TrunklineError(
                "sctp.duplicate",
                f"an association {', '.join(settings.local)} port {settings.local_port} -"
                f" {', '.join(settings.remote)} port {settings.remote_port} is open already",
            )
        association = EndpointAssociation(self, settings, handler)
        self.peers.update(dict.fromkeys(keys, association))
        self._connect_to[association] = sockaddrs
        self.connect(association)
        return association

    def remove(self, association: EndpointAssociation) -> None:
        """Forget ``association``; abort it if it is up. The last one takes the socket along."""
        for sockaddr in self._connect_to.pop(association, ()):
            del self.peers[sockaddr[: self._key_length]]
        self._infos.pop(association, None)
        if association.identifier:
            self._by_identifier.pop(association.identifier, None)
            self.abort(association.identifier)
            association.identifier = 0
        if not self._connect_to:
            self.close()

    def connect(self, association: EndpointAssociation) -> None:
        """Start to set up ``association``; the outcome comes as a notification."""
        now, settings = time.monotonic(), self.host.settings
        if self._connect(self._connect_to[association]):
            # Should no outcome ever come, this asks again; while one is pending, in vain.
            longest = (settings.init_max_attempts + 2) * settings.rto_max
            self.host.retry(association, now + longest + settings.reconnect_delay)
        else:
            association.went_down("cannot connect", now)
        self.host.kick()

    # -- for those who read the socket

    def _find(self, identifier: int) -> tuple[EndpointAssociation | None, int]:
        """Return the association and its payload protocol identifier as it is on the wire."""
        association = self._by_identifier.get(identifier)
        return association, 0 if association is None else _wire_ppid(association)

    def _keep(self, identifier: int, stream: int, octets: bytes) -> None:
        """Keep a part of a message, until its last part (the one with MSG_EOR) comes."""
        kept = self._partial.setdefault((identifier, stream), bytearray())
        kept += octets
        if len(kept) > _LARGEST_MESSAGE:
            self._forget_parts(identifier)
            self.abort(identifier)

    def _forget_parts(self, identifier: int) -> None:
        for key in [key for key in self._partial if key[0] == identifier]:
            del self._partial[key]

    def _notification(self, data: bytes, sockaddr: bytes, now: float) -> None:
        notification = parse_notification(data, self._dialect)
        if isinstance(notification, AssociationChange):
            self._association_change(notification, sockaddr, now)
            return
        association = self._by_identifier.get(notification.association)
        if association is None:
            return
        if isinstance(notification, AddressChange):
            if notification.reachable is not None:
                address = self._address_name(notification.address, association)
                association.address_changed(address, notification.reachable, now)
        else:
            self._other(notification, association)

    def _other(self, notification: Notification, association: EndpointAssociation) -> None:
        if notification.kind is Other.SHUTDOWN_EVENT:
            association.peer_leaves()
        elif notification.kind is Other.SEND_FAILED:
            association.send_failed()
        elif notification.kind is Other.PARTIAL_DELIVERY:
            self._forget_parts(notification.association)

    def _association_change(self, change: AssociationChange, sockaddr: bytes, now: float) -> None:
        identifier = change.association
        self._forget_parts(identifier)
        if change.kind is Kind.COMM_UP:
            association = self.peers.get(sockaddr[: self._key_length])
            if association is None:
                self.host.stats.unknown_peer += 1
                self.abort(identifier)
            elif change.outbound < association.settings.streams:
                self.abort(identifier)
                association.went_down("the peer takes too few streams", now)
            else:
                self._by_identifier[identifier] = association
                ppid = _wire_ppid(association)
                self._infos[association] = [
                    SNDINFO.pack(stream, 0, ppid, 0, identifier)
                    for stream in range(association.settings.streams)
                ]
                association.came_up(identifier, now)
            return
        if change.kind is Kind.RESTART:
            association = self._by_identifier.get(identifier)
            if association is not None:
                association.restarted(now)
            return
        association = self._by_identifier.pop(identifier, None)
        if association is None:
            association = self.peers.get(sockaddr[: self._key_length])
            if association is None or association.up:
                return  # a stranger's, or an attempt that the peer's own has overtaken
        reason = _REASONS.get(change.kind, "lost")
        if change.kind is Kind.COMM_LOST and change.aborted:
            reason = "aborted by the peer"
        association.went_down(reason, now)

    def _address_name(self, sockaddr: bytes, association: EndpointAssociation) -> str:
        """Return the configuration's text for one of the peer's addresses."""
        known = self._connect_to.get(association, [])
        for index, candidate in enumerate(known):
            if candidate[: self._key_length] == sockaddr[: self._key_length]:
                return association.settings.remote[index]
        return ".".join(map(str, sockaddr[4:8]))


def _wire_ppid(association: EndpointAssociation) -> int:
    """Return the identifier as ``sctp_sndinfo`` wants it: network order (RFC 6458 5.3.4)."""
    return int.from_bytes(association.settings.ppid.to_bytes(4, "big"), sys.byteorder)


_REASONS: Final = {
    Kind.COMM_LOST: "lost",
    Kind.SHUTDOWN_COMP: "shut down",
    Kind.CANT_STR_ASSOC: "could not be set up",
}
