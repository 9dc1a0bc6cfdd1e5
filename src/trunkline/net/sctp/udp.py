"""SCTP over UDP (RFC 6951) with libusrsctp in AF_CONN mode: for ordinary users, on loopback.

The UDP sockets are ours: one per local address, bound to that address and never to a wildcard,
read by recvmmsg and written by sendmmsg. The library sees no network at all: it is given packets
(``usrsctp_conninput``), gives packets (the output callback), and learns the time from us.

A *path* is a pair of addresses, known to the library as one registered AF_CONN address. Each local
SCTP port in use on a path is an endpoint; its associations are told apart by the peer's SCTP
port. Two associations may therefore share both ports as long as their address pairs differ.

One wake-up: all waiting datagrams are read and handed in, all messages are drained and delivered,
what the handlers send is bundled, and everything that the library gave out leaves together.

Left out: multihoming. RFC 6951 allows it, AF_CONN does not; the first local and the first remote
address are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from trunkline.errors import TrunklineError
from trunkline.net.mmsg import Receiver, Sender

from .addresses import AddressMap, packed_sockaddr_in
from .association import EndpointAssociation
from .host import Host
from .interface import AssociationSettings, Handler, Packet, Settings, Tap
from .library_endpoint import LibraryEndpoint
from .usrsctp import AF_CONN, load, packed_sockaddr_conn

if TYPE_CHECKING:
    from _cffi_backend import _CDataBase as CData

__all__ = ["UdpStack"]

_IP_AND_UDP: Final = 28
_SHORTEST: Final = 16  # the common header and one chunk header (RFC 9260 section 3)
_ROUNDS: Final = 8  # receive calls per wake-up: then the other sockets get their turn
_FAST_TICK: Final = 0.01
_SLOW_TICK: Final = 0.1
_ACTIVE: Final = 0.08  # a delayed SACK is due at most this long after the last packet
_KERNEL_BUFFER: Final = 4 << 20
_SO_RCVBUFFORCE: Final = 33

Drop = Callable[[bool], bool]


class _UdpSocket:
    """Our socket on one local address."""

    def __init__(self, stack: UdpStack, address: str) -> None:
        port = stack.settings.udp_port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((address, port))
        except OSError as error:
            self.socket.close()
            raise TrunklineError(
                "sctp.bind",
                f"cannot listen on {address} UDP port {port}: {error.strerror}; another network "
                "there? give this one its own `udp_port` under [sctp]",
            ) from None
        # An ordinary user gets what net.core.rmem_max allows, root what is asked for.
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF, _SO_RCVBUFFORCE):
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, option, _KERNEL_BUFFER)
        self.socket.setblocking(False)
        self.fd: Final = self.socket.fileno()
        self.sender: Final = Sender(self.fd, stack.settings.mtu)
        self.by_source: dict[int, _Path] = {}
        """By the first half of the peer's ``sockaddr_in``: where each peer is now."""
        self.by_address: dict[int, _Path] = {}
        """By that without the port: a peer may move to another one (RFC 6951 5.4)."""


class _Path:
    """A pair of addresses: one registered address of the library."""

    __slots__ = (
        "address",
        "destination",
        "drop",
        "endpoints",
        "local",
        "remote",
        "reply",
        "stack",
        "udp",
    )

    def __init__(
        self,
        stack: UdpStack,
        udp: _UdpSocket,
        pair: tuple[str, str],
        destination: int,
    ) -> None:
        self.stack = stack
        self.udp = udp
        self.local, self.remote = pair
        self.destination = destination
        self.reply = 0
        """Where packets go while a datagram from an unproven port is being handled."""
        self.drop: Drop | None = None
        self.endpoints: dict[int, LibraryEndpoint] = {}
        self.address = _next_address()


_paths: dict[int, _Path] = {}
"""Every registered path of the process, for the output callback."""
_dirty: list[Sender] = []
"""Senders with something collected, of all stacks."""
_addresses = 0


def _next_address() -> int:
    global _addresses
    _addresses += 1
    return _addresses << 4  # never used twice: a late timer of the library may still name it


def _output(address: int, data: CData, length: int, _tos: int, _df: int) -> int:
    """Take a packet from the library (``usrsctp_init_nothreads``'s callback)."""
    path = _paths.get(address)
    if path is None:
        return 0
    stack = path.stack
    stats = stack.stats
    if path.drop is not None and path.drop(True):
        stats.dropped += 1
        return 0
    sender = path.udp.sender
    if length > sender.size:
        stats.send_errors += 1
        return 0
    if stack.tap is not None:
        octets = stack.octets(data, length)
        stack.tap(Packet(time.time(), path.local, path.remote, True, octets))
    if not sender.pending:
        _dirty.append(sender)
    sender.add(path.reply or path.destination, data, length)
    stats.packets_out += 1
    stats.octets_out += length
    return 0


class UdpStack(Host):
    """The ``udp`` back end; see ``interface.Stack``."""

    backend: Final = "udp"

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, tap: Tap | None = None
    ) -> None:
        super().__init__(loop, settings)
        self.library: Final = load()
        self.tap = tap
        self._map = AddressMap(settings.address_map, settings.address_rule)
        self._sockets: dict[str, _UdpSocket] = {}
        self._by_pair: dict[tuple[str, str], _Path] = {}
        self._drops: dict[tuple[str, str], Drop] = {}
        self._awake = False
        self._flush: asyncio.Handle | None = None
        self._active_until = 0.0
        self._fast = False
        self._closed = False
        self._receiver = Receiver()
        self.library.start_without_threads(_output)
        self.library.configure(settings, blackhole=0)
        self._timer = loop.call_later(_SLOW_TICK, self._tick)

    # -- interface.Stack

    def open(self, settings: AssociationSettings, handler: Handler) -> EndpointAssociation:
        """Listen for this peer and connect to it."""
        path = self._path(settings.local[0], settings.remote[0])
        endpoint = path.endpoints.get(settings.local_port)
        if endpoint is None:
            endpoint = self._endpoint(path, settings.local_port, settings.streams)
        sockaddr = packed_sockaddr_conn(path.address, settings.remote_port)
        return endpoint.open(settings, handler, [sockaddr])

    def set_tap(self, tap: Tap | None) -> None:
        """Show every packet to ``tap``; ``None`` ends it."""
        self.tap = tap

    def block(self, local: str, remote: str, blocked: bool) -> None:
        """Drop everything between these two addresses while ``blocked``."""
        self.impair(local, remote, _always if blocked else None)

    def impair(self, local: str, remote: str, drop: Drop | None) -> None:
        """Ask ``drop(sent)`` for every packet of this pair whether to drop it; None ends it."""
        if drop is None:
            self._drops.pop((local, remote), None)
        else:
            self._drops[local, remote] = drop
        path = self._by_pair.get((local, remote))
        if path is not None:
            path.drop = drop

    def close(self) -> None:
        """Abort every association and close the sockets."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        if self._flush is not None:
            self._flush.cancel()
        for path in self._by_pair.values():
            for endpoint in tuple(path.endpoints.values()):
                endpoint.close()
        self._send_all()
        for path in self._by_pair.values():
            self.library.lib.usrsctp_deregister_address(path.address)
            del _paths[path.address]
        for udp in self._sockets.values():
            self.loop.remove_reader(udp.fd)
            udp.socket.close()
        self._by_pair.clear()
        self._sockets.clear()
        self.forget_all()

    # -- endpoint.Host

    def octets(self, data: CData, length: int) -> bytes:
        """Return a copy of memory that is the library's."""
        return bytes(self.library.ffi.buffer(data, length))

    def kick(self) -> None:
        """See that what was handed to the library leaves at the end of this turn."""
        if not self._awake and self._flush is None and not self._closed:
            self._flush = self.loop.call_soon(self._flush_now)

    # -- set-up

    def _path(self, local: str, remote: str) -> _Path:
        path = self._by_pair.get((local, remote))
        if path is not None:
            return path
        port = self.settings.remote_udp_ports.get(remote, self.settings.udp_port)
        real_local = self._map.real(local, self.settings.udp_port)
        real_remote = self._map.real(remote, port)
        udp = self._sockets.get(real_local)
        if udp is None:
            udp = _UdpSocket(self, real_local)
            self._sockets[real_local] = udp
            self.loop.add_reader(udp.fd, self._readable, udp)
        destination = _source(real_remote, port)
        path = _Path(self, udp, (local, remote), destination)
        path.drop = self._drops.get((local, remote))
        udp.by_source[destination] = path
        udp.by_address[_source(real_remote, 0)] = path
        self._by_pair[local, remote] = path
        _paths[path.address] = path
        self.library.lib.usrsctp_register_address(path.address)
        return path

    def _endpoint(self, path: _Path, port: int, streams: int) -> LibraryEndpoint:
        lib = self.library.lib
        mtu = self.settings.mtu - _IP_AND_UDP
        so = self.library.socket(AF_CONN, self.settings, streams, paths=1, mtu=mtu)
        name = packed_sockaddr_conn(path.address, port)
        if lib.usrsctp_bind(so, name, len(name)) < 0 or lib.usrsctp_listen(so, 1) < 0:
            error = self.library.error(f"bind to SCTP port {port}")
            lib.usrsctp_close(so)
            raise error
        endpoint = path.endpoints[port] = LibraryEndpoint(
            self, self.library, so, key_length=4, on_close=lambda _: path.endpoints.pop(port, None)
        )
        return endpoint

    # -- one wake-up

    def _readable(self, udp: _UdpSocket) -> None:
        now = time.monotonic()
        stats = self.stats
        stats.wakeups += 1
        receiver = self._receiver
        receive, slots, by_source = receiver.receive, receiver.slots, udp.by_source
        conninput = self.library.lib.usrsctp_conninput
        touched: dict[_Path, None] = {}
        last: _Path | None = None
        self._awake = True
        for _ in range(_ROUNDS):
            count = receive(udp.fd)
            if count <= 0:
                break
            lengths = receiver.lengths(count)
            for index, source in enumerate(receiver.sources(count)):
                length = lengths[index]
                path = by_source.get(source)
                if path is None:
                    self._from_elsewhere(udp, source, index, length, now)
                    continue
                if length < _SHORTEST:
                    stats.malformed += 1
                    continue
                stats.packets_in += 1
                stats.octets_in += length
                if path.drop is not None and path.drop(False):
                    stats.dropped += 1
                    continue
                if self.tap is not None:
                    octets = self.octets(slots[index], length)
                    self.tap(Packet(time.time(), path.remote, path.local, False, octets))
                conninput(path.address, slots[index], length, 0)
                if path is not last:
                    touched[path] = None
                    last = path
            if count < receiver.count:
                break
        for path in touched:
            for endpoint in tuple(path.endpoints.values()):
                endpoint.drain(now)
        self._finish(now)

    def _from_elsewhere(
        self, udp: _UdpSocket, source: int, index: int, length: int, now: float
    ) -> None:
        """Handle a datagram whose source is no peer's present one (RFC 6951 5.4).

        A known address on another port is answered there. The peer has moved for good once a
        packet from there carries the verification tag of an association that is up.
        """
        path = udp.by_address.get(_without_port(source))
        if path is None:
            self.stats.unknown_source += 1
            return
        if length < _SHORTEST:
            self.stats.malformed += 1
            return
        self.stats.packets_in += 1
        self.stats.octets_in += length
        if path.drop is not None and path.drop(False):
            self.stats.dropped += 1
            return
        slot = self._receiver.slots[index]
        octets = self.octets(slot, length)
        if self.tap is not None:
            self.tap(Packet(time.time(), path.remote, path.local, False, octets))
        path.reply = source
        self.library.lib.usrsctp_conninput(path.address, slot, length, 0)
        for endpoint in tuple(path.endpoints.values()):
            endpoint.drain(now)
        path.reply = 0
        if octets[4:8] in {tag for e in path.endpoints.values() for tag in e.local_tags()}:
            del udp.by_source[path.destination]
            path.destination = source
            udp.by_source[source] = path

    def _finish(self, now: float) -> None:
        """End a wake-up: go on with what waited, send what was collected, mind the time."""
        if self._waiting:
            self.resume_waiting()
        self._awake = False
        self._send_all()
        self._active_until = now + _ACTIVE
        if not self._fast and not self._closed:
            self._timer.cancel()
            self._fast = True
            self._timer = self.loop.call_later(_FAST_TICK, self._tick)

    def _flush_now(self) -> None:
        self._flush = None
        self._finish(time.monotonic())

    def _send_all(self) -> None:
        while _dirty:
            _dirty.pop().flush()

    def _tick(self) -> None:
        now = time.monotonic()
        self._awake = True
        self.library.advance_timers()
        for path in tuple(self._by_pair.values()):
            for endpoint in tuple(path.endpoints.values()):
                endpoint.drain(now)
        if self._retries:
            self.retry_due(now)
        if self._waiting:
            self.resume_waiting()
        self._awake = False
        self._send_all()
        if not self._closed:
            self._fast = now < self._active_until
            delay = _FAST_TICK if self._fast else _SLOW_TICK
            self._timer = self.loop.call_later(delay, self._tick)


def _always(sent: bool) -> bool:
    return True


def _source(address: str, port: int) -> int:
    """Return an address and port as ``mmsg`` speaks of them."""
    return int.from_bytes(packed_sockaddr_in(address, port)[:8], sys.byteorder)


def _without_port(source: int) -> int:
    octets = source.to_bytes(8, sys.byteorder)
    return int.from_bytes(octets[:2] + bytes(2) + octets[4:], sys.byteorder)
