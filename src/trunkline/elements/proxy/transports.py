"""The sockets of a proxy: one driver for each address that it listens on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from trunkline.config.proxy import Listen
from trunkline.errors import TrunklineError
from trunkline.net.udp import Receive, UdpSocket
from trunkline.sip.proxy import Listener
from trunkline.sip.transport import Address, Flow, Transport

__all__ = ["Failed", "SocketTransports"]

Failed = Callable[[Flow, str, list[bytes]], object]
"""Learns that messages could not be delivered: where to, why, and what of them is known."""


class SocketTransports:
    """All sockets of one process. ``connect`` says who is told of what they bring.

    Raises:
        TrunklineError: ``udp.bind`` and its siblings: an address cannot be listened on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[Listen],
        *,
        reuse_port: bool = False,
    ) -> None:
        self._receive: Receive = lambda batch: None
        self._failed: Failed = lambda flow, reason, data: None
        self.udp: dict[Address, UdpSocket] = {}
        self.listeners: list[Listener] = []
        """The addresses as they are, ports chosen by the system included."""
        try:
            for item in listen:
                self.listeners.append(self._open(loop, item, reuse_port))
        except BaseException:
            self.close()
            raise

    def _open(self, loop: asyncio.AbstractEventLoop, item: Listen, reuse_port: bool) -> Listener:
        if item.transport is not Transport.UDP:
            raise TrunklineError("proxy.transport", f"{item.transport.value} is not there yet")
        opened = UdpSocket(loop, item.local, self._take, self._lost, reuse_port=reuse_port)
        self.udp[opened.local] = opened
        host, port = item.advertised
        return Listener(item.transport, opened.local, (host, port or opened.local[1]))

    def connect(self, receive: Receive, failed: Failed) -> None:
        """Give what arrives to ``receive``, and what cannot be delivered to ``failed``."""
        self._receive = receive
        self._failed = failed

    def send(self, flow: Flow, data: bytes) -> None:
        """Send ``data`` by ``flow``."""
        self.udp[flow.local].send(flow, data)

    def close(self) -> None:
        """Close every socket."""
        for opened in self.udp.values():
            opened.close()

    def _take(self, batch: list[tuple[bytes, Flow]]) -> None:
        self._receive(batch)

    def _lost(self, flow: Flow, problem: TrunklineError, data: list[bytes]) -> None:
        self._failed(flow, problem.message, data)
