"""A wire that delivers every datagram several times."""

from __future__ import annotations

import socket
import threading

from tests.interop.sip.programs import free_port

__all__ = ["Repeater"]


class Repeater:
    """Sends on to a port what comes to its own, each datagram ``times`` times; one way only.

    An ACK once only: sipp takes a second for a mistake, since a proxy gives it another branch.
    """

    def __init__(self, to: int, times: int) -> None:
        self._to = ("127.0.0.1", to)
        self._times = times
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._socket.bind(("127.0.0.1", self.port))
        self.taken = 0
        """Datagrams that came."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while data := self._socket.recv(65_536):  # an empty one is the end
            self.taken += 1
            for _ in range(1 if data.startswith(b"ACK ") else self._times):
                self._socket.sendto(data, self._to)

    def stop(self) -> None:
        """Take nothing more."""
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()
