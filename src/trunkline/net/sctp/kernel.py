"""SCTP of the Linux kernel, by Python's ``socket`` alone: multihomed, runs in a bare guest.

Messages carry their stream and payload protocol identifier in SCTP_SNDINFO and SCTP_RCVINFO
ancillary data (RFC 6458 5.3.4, 5.3.5). A batch is sent with MSG_MORE on all but its last message:
it leaves in full packets, and nothing of it waits.

Numbers of options and events are the kernel's own, structures those of ``<linux/sctp.h>`` (RFC 6458
section 8 in another order, packed to 4 octets).

Left out: ``block`` (there is no seam of ours at which to drop packets; cut the network namespace's
links), and real checksums in the tap where the kernel leaves them to the hardware.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final

from trunkline.errors import TrunklineError

from .addresses import packed_sockaddr_in
from .association import EndpointAssociation
from .endpoint import SNDINFO, Batches, Endpoint
from .host import Host
from .interface import AssociationSettings, Handler, Settings, Tap
from .notifications import KERNEL
from .sniff import Sniffer

__all__ = ["KernelStack"]

IPPROTO_SCTP: Final = 132

_RTOINFO: Final = 0
_ASSOCINFO: Final = 1
_INITMSG: Final = 2
_NODELAY: Final = 3
_PEER_ADDR_PARAMS: Final = 9
_DELAYED_SACK: Final = 16
_RECVRCVINFO: Final = 32
_BINDX_ADD: Final = 100
_CONNECTX: Final = 110
_EVENT: Final = 127

_CMSG_SNDINFO: Final = 2
_CMSG_RCVINFO: Final = 3
_ABORT: Final = 0x0004
_EOF: Final = 0x0200
_MSG_MORE: Final = 0x8000
_MSG_NOTIFICATION: Final = 0x8000
_SPP_HB_ENABLE: Final = 0x01

_RCVINFO: Final = struct.Struct("=H6xI12xI")  # sid, ..., ppid, ..., assoc id (RFC 6458 5.3.5)
_ANCILLARY: Final = socket.CMSG_SPACE(28)
_BUFFER: Final = 65536
_ROUND: Final = 512  # messages per wake-up: then the other sockets get their turn
_TICK: Final = 0.1


class _KernelEndpoint(Endpoint):
    """A one-to-many socket of the kernel."""

    def __init__(
        self, host: Host, local: tuple[str, ...], port: int, on_close: Callable[[], object]
    ) -> None:
        super().__init__(host, KERNEL, key_length=8)
        self._on_close = on_close
        self._local, self._port = local, port
        self._waiting: dict[EndpointAssociation, None] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, IPPROTO_SCTP)
        self.socket.setblocking(False)

    def listen(self, streams: int, paths: int) -> None:
        """Set every option, bind to all local addresses, and listen."""
        sock, s = self.socket, self.host.settings
        for option, value in _options(s, streams, paths):
            sock.setsockopt(IPPROTO_SCTP, option, value)
        for kind in KERNEL.types():
            with contextlib.suppress(OSError):  # an older kernel has fewer
                event = struct.pack("=IHBx", 0, kind, 1)  # assoc id, type, on (6.2.2)
                sock.setsockopt(IPPROTO_SCTP, _EVENT, event)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, s.send_buffer)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, s.receive_buffer)
        sock.bind((self._local[0], self._port))
        for address in self._local[1:]:
            sock.setsockopt(IPPROTO_SCTP, _BINDX_ADD, packed_sockaddr_in(address, self._port))
        sock.listen(128)
        self.host.loop.add_reader(sock.fileno(), self._readable)

    def transmit(
        self, association: EndpointAssociation, batch: Sequence[tuple[int, bytes]]
    ) -> tuple[int, int, int]:
        """Hand (stream, octets) to the kernel until the send buffer is full."""
        sendmsg, infos = self.socket.sendmsg, self._infos[association]
        last = len(batch) - 1
        done = octets = refused = 0
        for stream, data in batch:
            ancillary = [(IPPROTO_SCTP, _CMSG_SNDINFO, infos[stream])]
            try:
                octets += sendmsg([data], ancillary, 0 if done == last else _MSG_MORE)
            except BlockingIOError:
                break
            except OSError:  # gone already (its notification is on the way), or too long
                refused += 1
            done += 1
        return done, octets, refused

    def wait_for_room(self, association: EndpointAssociation) -> None:
        """Resume ``association`` when the kernel says that the socket can be written."""
        if not self._waiting:
            self.host.loop.add_writer(self.socket.fileno(), self._writable)
        self._waiting[association] = None

    def _writable(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self.host.loop.remove_writer(self.socket.fileno())
        for association in waiting:
            if association.resume():
                self.wait_for_room(association)

    def abort(self, identifier: int) -> None:
        """End the association with ABORT."""
        self._end(identifier, _ABORT)

    def shutdown(self, identifier: int) -> None:
        """End the association with SHUTDOWN."""
        self._end(identifier, _EOF)

    def _end(self, identifier: int, flag: int) -> None:
        info = SNDINFO.pack(0, flag, 0, 0, identifier)
        with contextlib.suppress(OSError):  # it is gone already
            self.socket.sendmsg([], [(IPPROTO_SCTP, _CMSG_SNDINFO, info)])

    def close(self) -> None:
        """Close the socket; what is still up on it is aborted."""
        if self.socket.fileno() >= 0:
            for identifier in self._by_identifier:
                self.abort(identifier)
            self.host.loop.remove_reader(self.socket.fileno())
            self.host.loop.remove_writer(self.socket.fileno())
            self.socket.close()
            self._on_close()

    def _connect(self, sockaddrs: list[bytes]) -> bool:
        try:
            self.socket.setsockopt(IPPROTO_SCTP, _CONNECTX, b"".join(sockaddrs))
        except OSError as error:
            return error.errno in {errno.EINPROGRESS, errno.EALREADY, errno.EISCONN}
        return True

    def _readable(self) -> None:
        now = time.monotonic()
        stats = self.host.stats
        stats.wakeups += 1
        recvmsg = self.socket.recvmsg
        batches = Batches()
        current, expected = -1, 0
        association: EndpointAssociation | None = None
        batch: list[tuple[int, bytes]] = []
        for _ in range(_ROUND):
            try:
                data, ancillary, flags, sender = recvmsg(_BUFFER, _ANCILLARY)
            except OSError:  # nothing more
                break
            if flags & _MSG_NOTIFICATION:
                batches.deliver(now)
                current = -1
                self._notification(data, packed_sockaddr_in(*sender), now)
                if self.socket.fileno() < 0:  # a handler has closed the last association
                    return
                continue
            stream, ppid, identifier = _received(ancillary)
            if not flags & socket.MSG_EOR:
                self._keep(identifier, stream, data)
                continue
            if self._partial:
                data = bytes(self._partial.pop((identifier, stream), b"")) + data
            if identifier != current:
                association, expected = self._find(identifier)
                current = identifier
                batch = [] if association is None else batches.of(association)
            batch.append((stream, data))
            if ppid != expected and association is not None:
                batches.count_wrong_ppid(association)
        batches.deliver(now)


def _received(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int, int]:
    for level, kind, value in ancillary:
        if level == IPPROTO_SCTP and kind == _CMSG_RCVINFO and len(value) >= _RCVINFO.size:
            stream, ppid, identifier = _RCVINFO.unpack_from(value)
            return stream, ppid, identifier
    return 0, 0, 0


def _options(s: Settings, streams: int, paths: int) -> list[tuple[int, bytes]]:
    def ms(seconds: float) -> int:
        return round(seconds * 1000)

    path_max_retrans = s.path_max_retrans if paths > 1 else s.association_max_retrans
    attempts = s.init_max_attempts
    return [
        # assoc id, initial, max, min (8.1.1)
        (_RTOINFO, struct.pack("=IIII", 0, ms(s.rto_initial), ms(s.rto_max), ms(s.rto_min))),
        # assoc id, max retrans, destinations, peer and local rwnd, cookie life (8.1.2)
        (_ASSOCINFO, struct.pack("=IHHIII", 0, s.association_max_retrans, 0, 0, 0, 0)),
        # outbound, inbound streams, attempts, largest INIT time-out (8.1.3)
        (_INITMSG, struct.pack("=HHHH", streams, streams, attempts, ms(s.rto_max))),
        (_NODELAY, struct.pack("=i", 1)),
        # assoc id, address, heartbeat, max retrans, MTU, SACK delay, flags, flow label, DSCP
        (
            _PEER_ADDR_PARAMS,
            struct.pack(
                "=I128sIHIIIIBx",
                0,
                bytes(128),
                ms(s.heartbeat),
                path_max_retrans,
                0,
                0,
                _SPP_HB_ENABLE,
                0,
                0,
            ),
        ),
        # assoc id, delay, frequency (8.1.19)
        (_DELAYED_SACK, struct.pack("=III", 0, ms(s.sack_delay), s.sack_frequency)),
        (_RECVRCVINFO, struct.pack("=i", 1)),
    ]


class KernelStack(Host):
    """The ``kernel`` back end; see ``interface.Stack``."""

    backend: Final = "kernel"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, tap: Tap | None = None
    ) -> None:
        super().__init__(loop, settings)
        try:
            socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, IPPROTO_SCTP).close()
        except OSError as error:
            raise TrunklineError(
                "sctp.no-kernel",
                f"this kernel offers no SCTP ({error.strerror}): load the module sctp,"
                " or choose the back end udp",
            ) from None
        self._endpoints: dict[tuple[tuple[str, ...], int], _KernelEndpoint] = {}
        self._sniffer = Sniffer(loop, self.stats)
        self._sniffer.set_tap(tap)
        self._timer = loop.call_later(_TICK, self._tick)

    def open(self, settings: AssociationSettings, handler: Handler) -> EndpointAssociation:
        """Listen for this peer and connect to it."""
        key = settings.local, settings.local_port
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            endpoint = _KernelEndpoint(self, *key, lambda: self._endpoints.pop(key, None))
            try:
                endpoint.listen(settings.streams, len(settings.remote))
            except OSError as error:
                endpoint.socket.close()
                raise TrunklineError(
                    "sctp.bind",
                    f"cannot listen on {', '.join(settings.local)} SCTP port"
                    f" {settings.local_port}: {error.strerror}",
                ) from None
            self._endpoints[key] = endpoint
            self._sniffer.add(settings.local)
        return endpoint.open(settings, handler)

    def set_tap(self, tap: Tap | None) -> None:
        """Show every packet to ``tap``; ``None`` ends it. Needs root."""
        self._sniffer.set_tap(tap)

    def block(self, local: str, remote: str, blocked: bool) -> None:
        """Not possible here: raises ``sctp.block``."""
        raise TrunklineError(
            "sctp.block",
            "packets cannot be dropped inside the kernel's SCTP: take the link down with"
            " `ip link set DEV down`, or use the back end udp",
        )

    def kick(self) -> None:
        """Nothing to do: the kernel sends at once."""

    def close(self) -> None:
        """Abort every association and close the sockets."""
        self._timer.cancel()
        self._sniffer.close()
        for endpoint in tuple(self._endpoints.values()):
            endpoint.close()
        self.forget_all()

    def _tick(self) -> None:
        self._timer = self.loop.call_later(_TICK, self._tick)
        self.retry_due(time.monotonic())
