"""A listening socket and the connections that came in by it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Limits

if TYPE_CHECKING:
    from trunkline.net.jsonrpc.connection import Connection, Handler

__all__ = ["RpcServer", "RpcSettings", "Statistics", "look_after"]

Address: TypeAlias = tuple[str, int]

_BACKLOG: Final = 512
_ACCEPTS: Final = 64  # in one wake-up
_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_ACCEPT_PAUSE: Final = 1.0
_ASKS: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""s of silence until the peer's machine is asked whether it is there, and so on; see tcp(7)."""
_UNHEARD: Final = 30_000  # ms; what we send is confirmed by then, or the connection is over
_LOOKS: Final = 8  # for those that are late, in the time of ``patience``


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """Bounds of a server: numbers, octets and seconds; see the package."""

    connections: int = 1000
    pending: int = 256
    turn: int = 64
    write_buffer: int = 1 << 20
    patience: float = 30.0
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class Statistics:
    """Counters of a server, from its beginning."""

    accepted: int = 0
    refused: int = 0
    evicted: int = 0
    calls: int = 0
    broken: int = 0
    """Connections that ended because what came was no stream of calls."""
    late: int = 0
    accept_errors: int = 0
    """Times that the system had no descriptor for a connection; we ask again a second later."""


class RpcServer:
    """Listens on ``local``, an IP literal and a port, and gives each connection to ``protocol``.

    ``TcpConnection``, ``TwoWayConnection`` and ``HttpConnection`` make protocols. Port 0 lets the
    system choose; ``self.local`` has what it chose. Connections are served while the loop runs.

    Raises:
        TrunklineError: ``rpc.bind`` when the address cannot be used.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        local: Address,
        handler: Handler,
        protocol: Callable[[RpcServer, Address], Connection],
        settings: RpcSettings | None = None,
    ) -> None:
        self.loop: Final = loop
        self.handler: Final = handler
        self.settings: Final = settings or RpcSettings()
        self.stats: Final = Statistics()
        self.connections: Final[set[Connection]] = set()
        self._protocol = protocol
        self._unproven: dict[Connection, None] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._listener = _listen(local)
        self.local: Final[Address] = self._listener.getsockname()[:2]
        self._closed = False
        self._empty = asyncio.Event()
        loop.add_reader(self._listener.fileno(), self._accept)
        self._timer = loop.call_later(self._pause, self._look)

    @property
    def _pause(self) -> float:
        return self.settings.patience / _LOOKS

    def close(self) -> None:
        """Stop listening; connections end when what is under way on them has been answered."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        self.loop.remove_reader(self._listener.fileno())
        self._listener.close()
        for connection in tuple(self.connections):
            connection.end()
        self._see_whether_empty()

    async def wait_closed(self, patience: float = 5.0) -> None:
        """Wait, after ``close``, for the connections to end; abort them after ``patience`` s."""
        await asyncio.gather(*self._opening, return_exceptions=True)
        try:
            async with asyncio.timeout(patience):
                await self._empty.wait()
        except TimeoutError:
            for connection in tuple(self.connections):
                connection.abort()
            await self._empty.wait()
        await asyncio.sleep(0)  # the transports finish closing in the loop's next round

    # -- for Connection

    def proven(self, connection: Connection) -> None:
        """Note that a connection has brought a call: it no longer has to make room."""
        self._unproven.pop(connection, None)

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        self._unproven.pop(connection, None)
        self._see_whether_empty()

    # -- connections

    def _see_whether_empty(self) -> None:
        if self._closed and not self.connections:
            self._empty.set()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS:
                    continue  # that client has gone already (accept(2))
                self.stats.accept_errors += 1
                self.loop.remove_reader(self._listener.fileno())
                self.loop.call_later(_ACCEPT_PAUSE, self._accept_again)
                return
            if not self._make_room():
                self.stats.refused += 1
                accepted.close()
                continue
            self.stats.accepted += 1
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            look_after(accepted)
            connection = self._protocol(self, (address[0], address[1]))
            self.connections.add(connection)
            self._unproven[connection] = None
            task = self.loop.create_task(self._take(connection, accepted))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _take(self, connection: Connection, accepted: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # it has gone meanwhile
            accepted.close()
            self.gone(connection)

    def _accept_again(self) -> None:
        if not self._closed:
            self.loop.add_reader(self._listener.fileno(), self._accept)

    def _make_room(self) -> bool:
        if len(self.connections) < self.settings.connections:
            return True
        for oldest in self._unproven:
            self.stats.evicted += 1
            oldest.abort()
            self.gone(oldest)
            return True
        return False

    def _look(self) -> None:
        """End those that are late; up to an eighth of their time is given on top."""
        limit = self.loop.time() - self.settings.patience
        for connection in tuple(self.connections):
            if connection.waiting_since is not None and connection.waiting_since <= limit:
                self.stats.late += 1
                connection.abort()
        self._timer = self.loop.call_later(self._pause, self._look)


def look_after(connected: socket.socket) -> None:
    """Have a connection end whose peer's machine has gone without a word."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**_ASKS, "TCP_USER_TIMEOUT": _UNHEARD}.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _listen(local: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # What is left of a process that was here before does not keep the port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(local)
        made.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        made.close()
        host, port = local
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise TrunklineError(
            "rpc.bind",
            f"cannot listen on {f'[{host}]' if ':' in host else host}:{port}: {why}; is that an"
            " address of this machine, and does nobody else have the port?",
        ) from None
    made.setblocking(False)
    return made
