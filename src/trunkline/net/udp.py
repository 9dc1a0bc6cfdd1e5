"""SIP's datagrams: one UDP socket, read in batches (RFC 3261 sections 18 and 18.4).

A wake-up reads what waits, at most 64 datagrams, with one system call, and hands it up as one
batch; the flow of each comes from a table by its source, so that nothing is made per message but
the octets. Sending is a ``sendto`` at once: collecting datagrams for ``sendmmsg`` saves nothing
(see `trunkline.net.mmsg`), and the peer starts earlier.

What the network says about a datagram that was sent (ICMP) arrives on the socket's error queue
(``IP_RECVERR``), with the destination and the head of the datagram, so that a failure is reported
for the destination that failed and no other. The socket is watched through an epoll set of its
own: uvloop stops to watch a descriptor once it has had an error, which the set hides. That costs
0.4 µs of a wake-up of 5.

Bounds, and what happens there:

- *sending*, when the system takes no more: ``queue`` datagrams wait and leave in order; further
  ones are dropped and counted (``Statistics.dropped``), which SIP mends by retransmission;
- *flows*: when the table has ``FLOWS`` it is emptied and fills again (``flows_cleared``);
- *receiving*: what the kernel's buffer cannot hold is lost (``kernel_drops``).

Left out: multicast (RFC 3261 section 18.1.1), STUN on the signalling port (RFC 5626 section 8).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from trunkline.errors import TrunklineError
from trunkline.sip.transport import Address, Flow, Transport

from .mmsg import Receiver

__all__ = ["FLOWS", "Failed", "Receive", "Statistics", "UdpSocket"]

Receive: TypeAlias = "Callable[[list[tuple[bytes, Flow]]], object]"
"""Takes what one wake-up brought: messages, each with the flow it came by."""
Failed: TypeAlias = "Callable[[Flow, TrunklineError, list[bytes]], object]"
"""Learns that sending failed, and which messages did not arrive as far as that is known.

Of a datagram that ICMP returned it is the head, as much as the router quoted. ICMP can be forged:
the head tells the sender of a branch from one who only guessed an address.
"""

FLOWS: Final = 65536

_KERNEL_BUFFER: Final = 4 << 20  # octets asked for; net.core.rmem_max may allow less
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_SK_MEMINFO_DROPS: Final = 8
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_EXTENDED_ERROR: Final = struct.Struct("=IBBBxII")  # struct sock_extended_err
_FROM_ICMP: Final = 2  # SO_EE_ORIGIN_ICMP
_FROM_ICMPV6: Final = 3
_ERRORS_AT_ONCE: Final = 64
_KEEP_ALIVE: Final = b"\r\n\0 "
_LONGEST_KEEP_ALIVE: Final = 4


@dataclass(slots=True)
class Statistics:
    """Counters of a socket, from its beginning."""

    wakeups: int = 0
    received: int = 0
    """Datagrams handed up."""
    sent: int = 0
    """Datagrams that the system took."""
    keepalives: int = 0
    """Datagrams of nothing but CR, LF, NUL and spaces: holes kept open in a NAT; no answer."""
    unreachable: int = 0
    """ICMP errors about our datagrams that were reported as failures."""
    send_errors: int = 0
    """Datagrams that the system refused."""
    dropped: int = 0
    """Datagrams that found no room to wait in, or that the system had no memory for."""
    flows_cleared: int = 0


# What section 18.4 has reported: host, network, port or protocol unreachable, parameter problem. It
# has source quench and time exceeded ignored. "Fragmentation needed" is heard by the kernel: the
# retransmission goes out in fragments.
_UNREACHABLE: Final = {
    (_FROM_ICMP, 3): "destination unreachable",  # RFC 792
    (_FROM_ICMP, 12): "parameter problem",
    (_FROM_ICMPV6, 1): "destination unreachable",  # RFC 4443
    (_FROM_ICMPV6, 4): "parameter problem",
}
_CODES: Final = {
    (_FROM_ICMP, 3, 0): "network unreachable",
    (_FROM_ICMP, 3, 1): "host unreachable",
    (_FROM_ICMP, 3, 2): "protocol unreachable",
    (_FROM_ICMP, 3, 3): "port unreachable",
    (_FROM_ICMPV6, 1, 0): "no route to destination",
    (_FROM_ICMPV6, 1, 3): "address unreachable",
    (_FROM_ICMPV6, 1, 4): "port unreachable",
}
_FRAGMENTATION_NEEDED: Final = (_FROM_ICMP, 3, 4)


class UdpSocket:
    """A UDP socket for SIP on one address, on the given loop.

    ``local`` is an IP literal and a port; port 0 lets the system choose, and ``self.local`` has
    what it chose. Give each of a machine's addresses a socket of its own: on a wildcard address
    the system chooses from which one an answer leaves.

    ``receive`` is called once per wake-up, ``failed`` never from within ``send``. ``reuse_port``
    lets several processes share the port.

    Raises:
        TrunklineError: ``udp.bind`` when the address cannot be used.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        local: Address,
        receive: Receive,
        failed: Failed,
        *,
        reuse_port: bool = False,
        receive_buffer: int = _KERNEL_BUFFER,
        send_buffer: int = _KERNEL_BUFFER,
        queue: int = 1000,
    ) -> None:
        self.stats: Final = Statistics()
        self._loop = loop
        self._receive = receive
        self._failed = failed
        self._queue = queue
        self._waiting: deque[tuple[Flow, bytes]] = deque()
        self._flows: dict[bytes, Flow] = {}
        self._error_seen = False
        self._closed = False
        self._ipv6 = ":" in local[0]
        self._socket = self._open(local, reuse_port, receive_buffer, send_buffer)
        self.local: Final[Address] = self._socket.getsockname()[:2]
        self._receiver = _receiver(28 if self._ipv6 else 16)
        self._sendto = self._socket.sendto
        self._fd = self._socket.fileno()
        self._epoll = select.epoll()
        self._epoll.register(self._fd, select.EPOLLIN)
        loop.add_reader(self._epoll.fileno(), self._wake)

    def _open(
        self, local: Address, reuse_port: bool, receive_buffer: int, send_buffer: int
    ) -> socket.socket:
        opened = socket.socket(socket.AF_INET6 if self._ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if self._ipv6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                opened.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            if reuse_port:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            opened.bind(local)
        except OSError as error:
            opened.close()
            raise TrunklineError(
                "udp.bind",
                f"cannot listen on {_written(local)} UDP: {error.strerror}; is that an address of"
                " this machine, and does nobody else have the port?",
            ) from None
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        with contextlib.suppress(OSError):  # only root may pass the system's limit
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
        opened.setblocking(False)
        return opened

    @property
    def kernel_drops(self) -> int:
        """Datagrams that arrived and were lost because the socket's buffer was full."""
        if self._closed:
            return 0
        memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
        return int.from_bytes(memory[4 * _SK_MEMINFO_DROPS :][:4], "little")

    def send(self, flow: Flow, data: bytes) -> None:
        """Send ``data`` to ``flow.remote``, an IP literal and a port, now or as soon as it may."""
        if self._waiting:
            self._wait(flow, data)
            return
        try:
            self._sendto(data, flow.remote)
        except OSError as error:
            self._not_sent(flow, data, error)
        else:
            self.stats.sent += 1

    def close(self) -> None:
        """Stop: what still waits to be sent is dropped, later messages too."""
        if not self._closed:
            self._closed = True
            self.stats.dropped += len(self._waiting)
            self._waiting.clear()
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._socket.close()

    # -- receiving

    def _wake(self) -> None:
        stats = self.stats
        stats.wakeups += 1
        count = self._receiver.receive(self._fd)
        if count < 0:  # somebody else's datagram failed; that hides what waits
            self._read_errors()
            count = self._receiver.receive(self._fd)
        elif self._error_seen or not (count or self._waiting):
            self._read_errors()
        if count > 0:
            batch = []
            flows = self._flows
            for data, source in self._receiver.datagrams(count):
                if len(data) <= _LONGEST_KEEP_ALIVE and not data.strip(_KEEP_ALIVE):
                    stats.keepalives += 1
                    continue
                flow = flows.get(source)
                if flow is None:
                    flow = self._flow_from(source)
                batch.append((data, flow))
            if batch:
                stats.received += len(batch)
                self._receive(batch)
        if self._waiting:
            self._send_waiting()

    def _flow_from(self, source: bytes) -> Flow:
        """Return a new flow for a ``sockaddr_in`` or ``sockaddr_in6``, and remember it."""
        port = int.from_bytes(source[2:4], "big")
        if self._ipv6:
            host = socket.inet_ntop(socket.AF_INET6, source[8:24])
            scope = int.from_bytes(source[24:28], "little")
            if scope:
                host += "%" + socket.if_indextoname(scope)
        else:
            host = socket.inet_ntop(socket.AF_INET, source[4:8])
        if len(self._flows) >= FLOWS:
            self._flows.clear()
            self.stats.flows_cleared += 1
        flow = self._flows[source] = Flow(Transport.UDP, (host, port), self.local)
        return flow

    # -- when sending does not work at once

    def _not_sent(self, flow: Flow, data: bytes, error: OSError) -> None:
        if self._closed:
            self.stats.dropped += 1
            return
        for _ in range(2):
            if error.errno == errno.EAGAIN:
                self._wait(flow, data)
                return
            if error.errno == errno.ENOBUFS:  # the interface's queue is full: a lost datagram
                self.stats.dropped += 1
                return
            # It may be the ICMP error about an earlier datagram, to anybody, that is told here.
            self._error_seen = True
            try:
                self._sendto(data, flow.remote)
            except OSError as again:
                error = again
            else:
                self.stats.sent += 1
                return
        self.stats.send_errors += 1
        self._report(
            flow, f"nothing can be sent to {_written(flow.remote)} UDP: {error.strerror}", data
        )

    def _wait(self, flow: Flow, data: bytes) -> None:
        waiting = self._waiting
        if len(waiting) >= self._queue:
            self.stats.dropped += 1
            return
        waiting.append((flow, data))
        if len(waiting) == 1:
            self._epoll.modify(self._fd, select.EPOLLIN | select.EPOLLOUT)

    def _send_waiting(self) -> None:
        waiting = self._waiting
        while waiting:
            flow, data = waiting[0]
            try:
                self._sendto(data, flow.remote)
            except BlockingIOError:
                return
            except OSError as error:
                waiting.popleft()
                self._not_sent(flow, data, error)
            else:
                waiting.popleft()
                self.stats.sent += 1
        self._epoll.modify(self._fd, select.EPOLLIN)

    def _read_errors(self) -> None:
        """Read the error queue: which of our datagrams came to nothing."""
        self._error_seen = False
        for _ in range(_ERRORS_AT_ONCE):
            try:
                data, ancillary, _, remote = self._socket.recvmsg(65536, 512, _MSG_ERRQUEUE)
            except OSError:
                return
            for _, _, value in ancillary:
                _, origin, kind, code, _, _ = _EXTENDED_ERROR.unpack_from(value)
                reason = _unreachable(origin, kind, code)
                if reason:
                    self.stats.unreachable += 1
                    flow = Flow(Transport.UDP, remote[:2], self.local)
                    message = f"{_written(flow.remote)} UDP cannot be reached: ICMP {reason}"
                    self._report(flow, message, data)
        self._error_seen = True  # there may be more

    def _report(self, flow: Flow, message: str, data: bytes) -> None:
        error = TrunklineError("udp.unreachable", message)
        self._loop.call_soon(self._failed, flow, error, [data])


def _unreachable(origin: int, kind: int, code: int) -> str | None:
    """Return what an ICMP error says about the destination; None for one that is ignored."""
    if (origin, kind, code) == _FRAGMENTATION_NEEDED:
        return None
    return _CODES.get((origin, kind, code)) or _UNREACHABLE.get((origin, kind))


@cache
def _receiver(name_size: int) -> Receiver:
    return Receiver(name_size=name_size)


def _written(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
