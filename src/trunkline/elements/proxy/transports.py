"""The sockets of a proxy: one driver for each address that it listens on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from trunkline.config.proxy import Listen
from trunkline.elements.proxy.workers import Workers
from trunkline.errors import DecodeError, TrunklineError
from trunkline.net.loop import TimerWheel
from trunkline.net.stream import StreamTransport, number_connections_from
from trunkline.net.tls import TlsSettings
from trunkline.net.udp import Receive, UdpSocket
from trunkline.sip.proxy import Listener
from trunkline.sip.transport import Address, Flow, Transport

__all__ = ["Failed", "SocketTransports"]

Failed = Callable[[Flow, str, list[bytes]], object]
"""Learns that messages could not be delivered: where to, why, and what of them is known."""
Lost = Callable[[Flow, str, tuple[Flow, ...]], object]
"""Learns that a connection is no more: which, why, and for which flows none is left."""

_WORKER_SHIFT = 40
"""A connection's number says in its upper bits which worker has it."""


class SocketTransports:
    """All sockets of one process. ``connect`` says who is told of what they bring.

    Raises:
        TrunklineError: ``udp.bind``, ``stream.bind`` and ``stream.tls-settings``: an address cannot
            be listened on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[Listen],
        *,
        tls: TlsSettings | None = None,
        workers: Workers | None = None,
    ) -> None:
        self._loop = loop
        self._wheel = TimerWheel(loop)
        self._workers = workers
        self._tls = tls
        self._receive: Receive = lambda batch: None
        self._refused: Callable[[Flow, DecodeError, bytes], object] = lambda flow, error, head: None
        self._failed: Failed = lambda flow, reason, data: None
        self._ended: Lost = lambda flow, reason, served: None
        self._lent: set[int] = set()
        self.udp: dict[Address, UdpSocket] = {}
        self.streams: dict[tuple[Transport, Address], StreamTransport] = {}
        self.listeners: list[Listener] = []
        """The addresses as they are, ports chosen by the system included."""
        if workers is not None:
            # What a worker's predecessor called a connection is none of its own: it counts on
            # from the time.
            passed = int(time.time() * 1000) % (1 << _WORKER_SHIFT)
            number_connections_from((workers.index << _WORKER_SHIFT) + passed)
        try:
            for item in listen:
                self.listeners.append(self._open(item))
        except BaseException:
            self.close()
            raise

    def _open(self, item: Listen) -> Listener:
        share = self._workers is not None
        if item.transport is Transport.UDP:
            socket = UdpSocket(self._loop, item.local, self.receive, self._lost, reuse_port=share)
            self.udp[socket.local] = socket
            local = socket.local
        else:
            stream = StreamTransport(
                self._loop,
                self._wheel,
                item.transport,
                item.local,
                self,
                tls=self._tls,
                reuse_port=share,
            )
            self.streams[item.transport, stream.local] = stream
            local = stream.local
        host, port = item.advertised
        return Listener(item.transport, local, (host, port or local[1]))

    def connect(
        self,
        receive: Receive,
        failed: Failed,
        refused: Callable[[Flow, DecodeError, bytes], object],
        lost: Lost,
    ) -> None:
        """Say who is told.

        ``receive`` gets what arrives, ``failed`` what cannot be delivered, ``refused`` the head of
        what breaks a stream, ``lost`` what connections have ended.
        """
        self._receive = receive
        self._failed = failed
        self._refused = refused
        self._ended = lost

    def send(self, flow: Flow, data: bytes) -> None:
        """Send ``data`` by ``flow``; by another worker, if that one has the connection."""
        if flow.transport is Transport.UDP:
            self.udp[flow.local].send(flow, data)
            return
        if self._workers is not None and flow.connection:
            owner = flow.connection >> _WORKER_SHIFT
            if owner != self._workers.index:
                if not self._workers.send_by(owner, flow, data):
                    reason = "the worker that has the connection could not be given the message"
                    self._loop.call_soon(self._failed, flow, reason, [data])
                return
        self.streams[flow.transport, flow.local].send(flow, data)

    def counters(self) -> dict[str, dict[str, int]]:
        """What each socket counted, by transport and address, as ``UDP 127.0.0.1:5060``."""
        found = {("UDP", local): asdict(socket.stats) for local, socket in self.udp.items()}
        for (transport, local), stream in self.streams.items():
            found[transport.value, local] = asdict(stream.stats)
        return {f"{kind} {host}:{port}": row for (kind, (host, port)), row in found.items()}

    def lend(self, flow: Flow, data: bytes) -> None:
        """Send what another worker wants to leave by a connection of ours."""
        self._lent.add(flow.connection)
        self.send(flow, data)

    def close(self) -> None:
        """Close every socket."""
        for socket in self.udp.values():
            socket.close()
        for stream in self.streams.values():
            stream.close()

    async def wait_closed(self) -> None:
        """Wait, after ``close``, until connections have sent what waited: a few seconds at most."""
        for stream in self.streams.values():
            await stream.wait_closed()
        self._wheel.close()

    # what the drivers call: see trunkline.net.stream.User

    def receive(self, batch: list[tuple[bytes, Flow]]) -> None:
        """Take messages."""
        self._receive(batch)

    def failed(self, flow: Flow, error: TrunklineError, unsent: list[bytes]) -> None:
        """Learn that messages did not leave."""
        self._failed(flow, error.message, unsent)
        if error.code == "stream.closed":  # it had ended before anybody knew of it here
            self.closed(flow, error, ())

    def refused(self, flow: Flow, error: DecodeError, head: bytes) -> None:
        """Learn that a stream broke."""
        self._refused(flow, error, head)

    def closed(self, flow: Flow, error: TrunklineError | None, served: tuple[Flow, ...]) -> None:
        """Learn that a connection is no more."""
        reason = "the connection was closed" if error is None else error.message
        self._ended(flow, reason, served)
        if self._workers is not None and flow.connection in self._lent:
            self._lent.discard(flow.connection)
            self._workers.tell_lost(flow, reason)

    def _lost(self, flow: Flow, problem: TrunklineError, data: list[bytes]) -> None:
        """Learn that datagrams did not arrive: ICMP may tell another worker than the one that sent.

        Where a port is shared the kernel does not know whose they were; their branch does.
        """
        if self._workers is not None:
            data = [each for each in data if not self._workers.give_back(flow, problem, each)]
        self._failed(flow, problem.message, data)
