"""A one-to-many socket of libusrsctp and the associations on it: what ``udp`` and ``raw`` share.

One socket both listens and connects (RFC 6458 section 3), so that two ends may set up the same
association at the same moment and SCTP sorts it out (RFC 9260 5.2.1). Whoever is not configured
is let in by SCTP and aborted here.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from .association import LibraryAssociation
from .interface import Settings, StackStats
from .notifications import (
    USRSCTP,
    AddressChange,
    AssociationChange,
    Kind,
    Notification,
    Other,
    parse_notification,
)
from .usrsctp import (
    IPPROTO_SCTP,
    MSG_EOR,
    MSG_NOTIFICATION,
    SCTP_ABORT,
    SCTP_GET_NONCE_VALUES,
    SCTP_NODELAY,
    SCTP_SENDV_SNDINFO,
    SNDINFO,
    Library,
)

if TYPE_CHECKING:
    from _cffi_backend import _CDataBase as CData

__all__ = ["Endpoint", "Host"]

_BUFFER: Final = 65536
_LARGEST_MESSAGE: Final = 1 << 20
_CONNECTING: Final = frozenset({0, errno.EINPROGRESS, errno.EALREADY, errno.EISCONN})
_SOL_SOCKET: Final = 1
_SO_LINGER: Final = 13

# struct receive_state: three lengths, flags, from[32], then sctp_rcvinfo (RFC 6458 5.3.5): sid,
# ssn, flags, ppid, tsn, cumtsn, context, assoc id
_RECEIVED: Final = struct.Struct("=12xi32xHHHxxI12xI")
_RESET: Final = struct.pack("=IIIi", 32, 32, 0, 0)
_FROM: Final = slice(16, 24)

Batches = dict[LibraryAssociation, list[tuple[int, bytes]]]


class Host(Protocol):
    """What an endpoint needs of its stack."""

    @property
    def library(self) -> Library:
        """The process's library."""

    @property
    def settings(self) -> Settings:
        """The stack's settings."""

    @property
    def stats(self) -> StackStats:
        """The stack's counters."""

    def time(self) -> float:
        """Return the loop's clock."""

    def kick(self) -> None:
        """Something was handed to the library: see that it leaves at the end of this turn."""

    def wait_for_room(self, association: LibraryAssociation) -> None:
        """Call ``association.resume`` whenever the send buffer may have room again."""

    def retry(self, association: LibraryAssociation, at: float) -> None:
        """Call ``association.connect`` at time ``at``."""

    def report(self, error: Exception) -> None:
        """A handler failed: say so, and carry on."""


class Endpoint:
    """One socket: a local port of one path (``udp``) or of one set of addresses (``raw``).

    ``key_length`` is how many octets of a peer's ``sockaddr`` tell peers apart: 4 (family and
    port) for AF_CONN, 8 (and the address) for AF_INET.
    """

    def __init__(
        self, host: Host, so: CData, key_length: int, on_close: Callable[[], object]
    ) -> None:
        self.host = host
        self._on_close = on_close
        self.library: Final = host.library
        self.so = so
        self.null: Final = host.library.ffi.NULL
        self.peers: dict[bytes, LibraryAssociation] = {}
        """By the first octets of the peer's ``sockaddr``; several when it has several addresses."""
        self._key_length = key_length
        self._by_identifier: dict[int, LibraryAssociation] = {}
        self._partial: dict[tuple[int, int], bytearray] = {}
        """Messages that arrived in part, by association identifier and stream."""
        self._connect_to: dict[LibraryAssociation, list[bytes]] = {}
        ffi = host.library.ffi
        self._data = ffi.new("char[]", _BUFFER)
        self._octets = memoryview(ffi.buffer(self._data)).cast("B")
        self._state = ffi.new("struct receive_state *")
        self._state_octets = memoryview(ffi.buffer(self._state)).cast("B")
        state = self._state
        base = ffi.cast("char *", state)
        # usrsctp_recvv's arguments after the socket; made once, they never change
        self._arguments = (
            self._data,
            _BUFFER,
            ffi.cast("void *", base + 16),
            ffi.cast("uint32_t *", base),
            ffi.cast("void *", base + 48),
            ffi.cast("uint32_t *", base + 4),
            ffi.cast("unsigned int *", base + 8),
            ffi.cast("int *", base + 12),
        )

    # -- associations

    def add(self, association: LibraryAssociation, sockaddrs: list[bytes]) -> None:
        """Expect ``association``'s peer at these addresses, and connect to it."""
        for sockaddr in sockaddrs:
            self.peers[sockaddr[: self._key_length]] = association
        self._connect_to[association] = sockaddrs
        self.connect(association)

    def remove(self, association: LibraryAssociation) -> None:
        """Forget ``association``; abort it if it is up. The last one takes the socket along."""
        for sockaddr in self._connect_to.pop(association, ()):
            del self.peers[sockaddr[: self._key_length]]
        if association.identifier:
            self._by_identifier.pop(association.identifier, None)
            self.end(association.identifier, SCTP_ABORT)
            association.identifier = 0
        if not self._connect_to:
            self.close()

    def connect(self, association: LibraryAssociation) -> None:
        """Start to set up ``association``; the outcome comes as a notification."""
        sockaddrs = self._connect_to[association]
        lib = self.library.lib
        if len(sockaddrs) == 1:
            failed = lib.usrsctp_connect(self.so, sockaddrs[0], len(sockaddrs[0]))
        else:
            packed = b"".join(sockaddrs)
            failed = lib.usrsctp_connectx(self.so, packed, len(sockaddrs), self.null)
        if failed < 0 and self.library.ffi.errno not in _CONNECTING:
            now = self.host.time()
            association.went_down("cannot connect", now)
        self.host.kick()

    def end(self, identifier: int, flag: int) -> None:
        """End the association with SCTP_ABORT or SCTP_EOF (RFC 6458 5.3.4)."""
        info = SNDINFO.pack(0, flag, 0, 0, identifier)
        self.library.lib.usrsctp_sendv(
            self.so, b"", 0, self.null, 0, info, 16, SCTP_SENDV_SNDINFO, 0
        )
        self.host.kick()

    def set_nodelay(self, value: bytes) -> None:
        """Switch Nagle's way of bundling off or on."""
        self.library.lib.usrsctp_setsockopt(self.so, IPPROTO_SCTP, SCTP_NODELAY, value, 4)

    def close(self) -> None:
        """Close the socket; what is still up on it is aborted."""
        if self.so != self.null:
            so, self.so = self.so, self.null
            lib = self.library.lib
            linger = struct.pack("=ii", 1, 0)  # on, 0 s: abort instead of shutting down
            lib.usrsctp_setsockopt(so, _SOL_SOCKET, _SO_LINGER, linger, 8)
            lib.usrsctp_close(so)
            self._on_close()
            self.host.kick()

    def local_tags(self) -> list[bytes]:
        """Return the verification tags that packets of the associations that are up must carry."""
        ffi, lib = self.library.ffi, self.library.lib
        tags = []
        size = ffi.new("uint32_t *")
        for identifier in self._by_identifier:
            value = ffi.new("uint32_t[3]", [identifier, 0, 0])  # id, the peer's tag, ours
            size[0] = 12
            if not lib.usrsctp_getsockopt(
                self.so, IPPROTO_SCTP, SCTP_GET_NONCE_VALUES, value, size
            ):
                tags.append(value[2].to_bytes(4, "big"))
        return tags

    # -- receiving

    def drain(self, now: float) -> None:
        """Read everything that waits and hand it on, messages and notifications in order."""
        null = self.null
        if self.so == null:
            return
        recvv = self.library.lib.usrsctp_recvv
        so, arguments = self.so, self._arguments
        octets, state, unpack = self._octets, self._state_octets, _RECEIVED.unpack_from
        partial, plain = self._partial, MSG_EOR
        batches: Batches = {}
        wrong: dict[LibraryAssociation, int] = {}
        association: LibraryAssociation | None = None
        current = -1
        expected = 0
        batch: list[tuple[int, bytes]] = []
        while True:
            state[:16] = _RESET
            size = recvv(so, *arguments)
            if size <= 0:
                break
            flags, stream, _, _, ppid, identifier = unpack(state)
            if flags != plain:
                if flags & MSG_NOTIFICATION:
                    self._deliver(batches, wrong, now)
                    current = -1
                    self._notification(bytes(octets[:size]), bytes(state[_FROM]), now)
                    if self.so == null:  # a handler has closed the last association
                        return
                    continue
                self._keep(identifier, stream, octets[:size])
                continue
            data = bytes(octets[:size])
            if partial:
                data = bytes(partial.pop((identifier, stream), b"")) + data
            if identifier != current:
                association = self._by_identifier.get(identifier)
                current = identifier
                if association is None:
                    batch = []
                else:
                    batch = batches.setdefault(association, [])
                    value = association.settings.ppid.to_bytes(4, "big")
                    expected = int.from_bytes(value, sys.byteorder)
            batch.append((stream, data))
            if ppid != expected and association is not None:
                wrong[association] = wrong.get(association, 0) + 1
        if batches:
            self._deliver(batches, wrong, now)

    def _deliver(self, batches: Batches, wrong: dict[LibraryAssociation, int], now: float) -> None:
        for association, batch in batches.items():
            association.deliver(batch, wrong.get(association, 0), now)
        batches.clear()
        wrong.clear()

    def _keep(self, identifier: int, stream: int, octets: memoryview) -> None:
        """Keep a part of a message, until its last part (the one with MSG_EOR) comes."""
        kept = self._partial.setdefault((identifier, stream), bytearray())
        kept += octets
        if len(kept) > _LARGEST_MESSAGE:
            self._forget_parts(identifier)
            self.end(identifier, SCTP_ABORT)

    def _forget_parts(self, identifier: int) -> None:
        for key in [key for key in self._partial if key[0] == identifier]:
            del self._partial[key]

    def _notification(self, data: bytes, sockaddr: bytes, now: float) -> None:
        notification = parse_notification(data, USRSCTP)
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

    def _other(self, notification: Notification, association: LibraryAssociation) -> None:
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
                self.end(identifier, SCTP_ABORT)
            elif change.outbound < association.settings.streams:
                self.end(identifier, SCTP_ABORT)
                association.went_down("the peer takes too few streams", now)
            else:
                self._by_identifier[identifier] = association
                association.came_up(identifier, now)
            return
        if change.kind is Kind.RESTART:
            association = self._by_identifier.get(identifier)
            if association is not None:
                association.restarted(now)
            return
        association = self._by_identifier.pop(identifier, None)
        if association is None and change.kind is Kind.CANT_STR_ASSOC:
            association = self.peers.get(sockaddr[: self._key_length])
            if association is not None and association.up:
                return  # an attempt that the peer's own has overtaken
        if association is not None:
            reason = _REASONS.get(change.kind, "lost")
            if change.kind is Kind.COMM_LOST and change.aborted:
                reason = "aborted by the peer"
            association.went_down(reason, now)

    def _address_name(self, sockaddr: bytes, association: LibraryAssociation) -> str:
        """Return the configuration's text for one of the peer's addresses."""
        known = self._connect_to.get(association, [])
        for index, candidate in enumerate(known):
            if candidate[: self._key_length] == sockaddr[: self._key_length]:
                return association.settings.remote[index]
        return ".".join(map(str, sockaddr[4:8]))


_REASONS: Final = {
    Kind.COMM_LOST: "lost",
    Kind.SHUTDOWN_COMP: "shut down",
    Kind.CANT_STR_ASSOC: "could not be set up",
}
