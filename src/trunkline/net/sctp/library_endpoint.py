"""A one-to-many socket of libusrsctp: what ``udp`` and ``raw`` share.

Bundling without delay: the library either sends every message at once in a packet of its own
(SCTP_NODELAY) or, Nagle's way, holds messages back until a packet is full or a SACK comes. So
messages are handed over with Nagle on, and Nagle is switched off for the last one that a packet
holds, and for the last one of all: that message takes along what waits. (Left alone, the library
notices a full packet one message late, and sends that message in a packet of its own.)
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from .association import EndpointAssociation
from .endpoint import SNDINFO, Batches, Endpoint
from .notifications import USRSCTP
from .usrsctp import (
    IPPROTO_SCTP,
    MSG_EOR,
    MSG_NOTIFICATION,
    SCTP_ABORT,
    SCTP_EOF,
    SCTP_GET_NONCE_VALUES,
    SCTP_NODELAY,
    SCTP_SENDV_SNDINFO,
    Library,
)

if TYPE_CHECKING:
    from _cffi_backend import _CDataBase as CData

    from .host import Host

__all__ = ["LibraryEndpoint"]

_OFF: Final = struct.pack("=i", 0)
_ON: Final = struct.pack("=i", 1)
_BUFFER: Final = 65536
_CONNECTING: Final = frozenset({0, errno.EINPROGRESS, errno.EALREADY, errno.EISCONN})
_FULL: Final = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.ENOBUFS})
_CHUNK: Final = 16 + 3  # a DATA chunk's header (RFC 9260 3.3.1), and padding to 4
_OVERHEAD: Final = 20 + 8 + 12 + 16  # IP, UDP, the common header, and a SACK that may ride along
_SOL_SOCKET: Final = 1
_SO_LINGER: Final = 13

# struct receive_state: three lengths, flags, from[32], then of sctp_rcvinfo (RFC 6458 5.3.5) the
# stream, the payload protocol identifier and the association's identifier
_RECEIVED: Final = struct.Struct("=12xi32xH6xI12xI")
_RESET: Final = struct.pack("=IIIi", 32, 32, 0, 0)
_FROM: Final = slice(16, 24)


class LibraryEndpoint(Endpoint):
    """See ``Endpoint``. ``on_close`` is called once, with the socket, before it closes."""

    def __init__(
        self,
        host: Host,
        library: Library,
        so: CData,
        key_length: int,
        on_close: Callable[[CData], object],
    ) -> None:
        super().__init__(host, USRSCTP, key_length)
        self._library: Final = library
        self._null: Final = library.ffi.NULL
        self._so = so
        self._on_close = on_close
        self._packet = host.settings.mtu - _OVERHEAD
        ffi = library.ffi
        self._data = ffi.new("char[]", _BUFFER)
        self._octets = ffi.buffer(self._data)
        self._state = ffi.new("struct receive_state *")
        self._state_octets = ffi.buffer(self._state)
        base = ffi.cast("char *", self._state)
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

    def transmit(
        self, association: EndpointAssociation, batch: Sequence[tuple[int, bytes]]
    ) -> tuple[int, int, int]:
        """Hand (stream, octets) to the library until its send buffer is full."""
        so, sendv, null = self._so, self._library.lib.usrsctp_sendv, self._null
        infos = self._infos[association]
        sizes = [len(data) for _, data in batch]
        sizes.append(_BUFFER)  # after the last message nothing fits
        room = self._packet
        holding = False
        done = octets = refused = 0
        for stream, data in batch:
            size = sizes[done]
            room -= size + _CHUNK & -4
            if room < sizes[done + 1] + _CHUNK & -4:
                room = self._packet
                if holding:
                    self._set_nodelay(_ON)
                    holding = False
            elif not holding:
                self._set_nodelay(_OFF)
                holding = True
            if sendv(so, data, size, null, 0, infos[stream], 16, SCTP_SENDV_SNDINFO, 0) < 0:
                if self._library.ffi.errno in _FULL:
                    break
                # Gone already (the notification is on its way), or more than it can carry.
                refused += 1
                size = 0
            octets += size
            done += 1
        if holding:
            self._set_nodelay(_ON)
        return done, octets, refused

    def abort(self, identifier: int) -> None:
        """End the association with ABORT."""
        self._end(identifier, SCTP_ABORT)

    def shutdown(self, identifier: int) -> None:
        """End the association with SHUTDOWN."""
        self._end(identifier, SCTP_EOF)

    def _end(self, identifier: int, flag: int) -> None:
        info = SNDINFO.pack(0, flag, 0, 0, identifier)
        sendv = self._library.lib.usrsctp_sendv
        sendv(self._so, b"", 0, self._null, 0, info, 16, SCTP_SENDV_SNDINFO, 0)
        self.host.kick()

    def close(self) -> None:
        """Close the socket; what is still up on it is aborted."""
        if self._so != self._null:
            so, self._so = self._so, self._null
            lib = self._library.lib
            self._on_close(so)
            linger = struct.pack("=ii", 1, 0)  # on, 0 s: abort instead of shutting down
            lib.usrsctp_setsockopt(so, _SOL_SOCKET, _SO_LINGER, linger, 8)
            lib.usrsctp_close(so)
            self.host.kick()

    def local_tags(self) -> list[bytes]:
        """Return the verification tags that packets of the associations that are up must carry."""
        ffi, lib = self._library.ffi, self._library.lib
        tags = []
        size = ffi.new("uint32_t *")
        for identifier in self._by_identifier:
            value = ffi.new("uint32_t[3]", [identifier, 0, 0])  # id, the peer's tag, ours
            size[0] = 12
            if not lib.usrsctp_getsockopt(
                self._so, IPPROTO_SCTP, SCTP_GET_NONCE_VALUES, value, size
            ):
                tags.append(value[2].to_bytes(4, "big"))
        return tags

    def _set_nodelay(self, value: bytes) -> None:
        self._library.lib.usrsctp_setsockopt(self._so, IPPROTO_SCTP, SCTP_NODELAY, value, 4)

    def _connect(self, sockaddrs: list[bytes]) -> bool:
        lib = self._library.lib
        if len(sockaddrs) == 1:
            failed = lib.usrsctp_connect(self._so, sockaddrs[0], len(sockaddrs[0]))
        else:
            packed = b"".join(sockaddrs)
            failed = lib.usrsctp_connectx(self._so, packed, len(sockaddrs), self._null)
        return failed >= 0 or self._library.ffi.errno in _CONNECTING

    def drain(self, now: float) -> None:
        """Read everything that waits and hand it on, messages and notifications in order."""
        if self._so == self._null:
            return
        recvv = self._library.lib.usrsctp_recvv
        so, arguments = self._so, self._arguments
        octets, state, unpack = self._octets, self._state_octets, _RECEIVED.unpack_from
        partial, plain = self._partial, MSG_EOR
        batches = Batches()
        current, expected = -1, 0
        association: EndpointAssociation | None = None
        batch: list[tuple[int, bytes]] = []
        state[:16] = _RESET  # once: what a message leaves there serves the next one
        while True:
            size = recvv(so, *arguments)
            if size <= 0:
                break
            flags, stream, ppid, identifier = unpack(state)
            if flags != plain:
                if flags & MSG_NOTIFICATION:
                    batches.deliver(now)
                    current = -1
                    self._notification(octets[:size], state[_FROM], now)
                    if self._so == self._null:  # a handler has closed the last association
                        return
                    state[:16] = _RESET
                else:
                    self._keep(identifier, stream, octets[:size])
                continue
            data = octets[:size]
            if partial:
                data = bytes(partial.pop((identifier, stream), b"")) + data
            if identifier != current:
                association, expected = self._find(identifier)
                current = identifier
                batch = [] if association is None else batches.of(association)
            batch.append((stream, data))
            if ppid != expected and association is not None:
                batches.count_wrong_ppid(association)
        batches.deliver(now)
