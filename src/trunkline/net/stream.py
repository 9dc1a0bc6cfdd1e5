"""SIP over connections: TCP, TLS, WS, WSS (RFC 3261 section 18, RFC 5922, RFC 7118).

A `StreamTransport` listens on one address with one transport and opens connections from there. Its
table has every connection by number, which is how a response finds the way back on which its
request came (section 18.2.2), and by the peer's address, which is how a request finds a connection
that is open already (section 18). A connection of a transport that goes by domains is found again
only for the one that its certificate was checked for, or its handshake named; with TLS, one that a
peer opened only after ``alias``.

Bounds, and what happens there:

- *connections*: when ``connections`` are open, the oldest that has not yet carried a message makes
  room for a new one (``Statistics.evicted``); if all have, the new one is refused (``refused``).
  One address has at most ``per_address`` of those that peers opened (``refused``).
- *sending*: ``write_buffer`` octets wait for a connection that is being opened or whose peer does
  not read; a further message fails (``stream.backlog``). Whoever does not read and does not write
  is idle.
- *time*: to open a connection ``connect_timeout``, for TLS and the handshake of WebSocket
  ``handshake_timeout``, for a message to arrive whole ``patience``, without any message ``idle``.
  What was sent and is not acknowledged for 64*T1 loses the connection.

Left out: SCTP; keep-alives of our own (RFC 5626 section 4.4.1 has the user agent send them).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.framing import StreamFramer
from trunkline.sip.message import Limits
from trunkline.sip.transport import Address, Flow, Transport

from .connection import Connection, Framing, reason
from .loop import TimerWheel
from .tls import TlsSettings, client_context, identities, server_context

if TYPE_CHECKING:
    from .websocket import Upgrade

__all__ = ["Statistics", "StreamSettings", "StreamTransport", "User", "number_connections_from"]

_BACKLOG: Final = 1024  # connections that wait to be accepted; net.core.somaxconn may allow less
_ACCEPTS: Final = 64  # in one wake-up
_NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_ACCEPT_PAUSE: Final = 1.0
_TCP_USER_TIMEOUT: Final = 18
_64_T1: Final = 32.0
_TLS_SHUTDOWN: Final = 2.0
# The peer says that nobody listens there, or that it has no TCP (section 18.1.1)
_REFUSED: Final = (errno.ECONNREFUSED, errno.ENOPROTOOPT, errno.EPROTONOSUPPORT)

_numbers = itertools.count(1)  # of all transports of the process: a flow names one connection


def number_connections_from(first: int) -> None:
    """Let the numbers of this process's connections begin with ``first``.

    Processes that tell each other of flows need numbers that no other has.
    """
    global _numbers
    _numbers = itertools.count(first)


class User(Protocol):
    """The transport user (RFC 3261 section 18). Nothing of it is called from within ``send``."""

    def receive(self, batch: list[tuple[bytes, Flow]]) -> object:
        """Take the messages that one read brought, in order, all of one connection."""

    def failed(self, flow: Flow, error: TrunklineError, unsent: list[bytes]) -> object:
        """Learn that these messages did not leave (section 18.4)."""

    def refused(self, flow: Flow, error: DecodeError, head: bytes) -> object:
        """Learn that a stream broke. What is sent to ``flow`` here leaves before it is closed.

        ``head`` is the message's header, if it arrived: a request is answered 400.
        """

    def closed(self, flow: Flow, error: TrunklineError | None, served: tuple[Flow, ...]) -> object:
        """Learn that a connection is no more; without ``error``, it ended in order.

        ``served`` are the flows without a connection's number that went by it, and that no other
        connection is there for now.
        """


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Bounds of a ``StreamTransport``: numbers, octets and seconds; see the module."""

    connections: int = 10_000
    per_address: int = 1_000
    write_buffer: int = 1 << 20
    limits: Limits = field(default_factory=Limits)
    connect_timeout: float = 5.0
    handshake_timeout: float = 10.0
    patience: float = 30.0
    idle: float = 300.0
    """Longer than Timer C, so that a call that rings keeps its connection (section 18)."""


@dataclass(slots=True)
class Statistics:
    """Counters of a transport, from its beginning."""

    accepted: int = 0
    opened: int = 0
    """Connections that we opened."""
    closed: int = 0
    received: int = 0
    """Messages handed up."""
    sent: int = 0
    """Messages handed to the system."""
    pings: int = 0
    """Keep-alives that were answered, of connections that have ended."""
    refused: int = 0
    evicted: int = 0
    not_opened: int = 0
    """Attempts to open a connection, from either side, that failed."""
    broken: int = 0
    idle: int = 0
    unsent: int = 0
    """Messages that failed."""
    accept_errors: int = 0
    """Times that the system had no descriptor for a connection; we ask again a second later."""


class StreamTransport:
    """Connections of one transport on one address, on the given loop.

    ``local`` is an IP literal and a port; port 0 lets the system choose, and ``self.local`` has
    what it chose. ``tls`` must be there for TLS and WSS. ``upgrade`` is asked about each client of
    WebSocket. ``reuse_port`` lets several processes share the port.

    Raises:
        TrunklineError: ``stream.bind`` when the address cannot be used, ``stream.tls-settings``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wheel: TimerWheel,
        transport: Transport,
        local: Address,
        user: User,
        settings: StreamSettings | None = None,
        *,
        tls: TlsSettings | None = None,
        upgrade: Upgrade | None = None,
        reuse_port: bool = False,
    ) -> None:
        self.loop: Final = loop
        self.wheel: Final = wheel
        self.transport: Final = transport
        self.user: Final = user
        self.settings: Final = settings or StreamSettings()
        self.stats: Final = Statistics()
        self._upgrade = upgrade
        self._websocket = transport in (Transport.WS, Transport.WSS)
        self._server_tls = self._client_tls = None
        self._by_domain = False
        if transport.secure:
            self._by_domain = not self._websocket and (tls or TlsSettings()).verify_server
            self._server_tls = server_context(tls or TlsSettings())
            self._client_tls = client_context(tls or TlsSettings(), by_host=self._websocket)
        self._connections: dict[int, Connection] = {}
        self._by_remote: dict[tuple[Address, str], Connection] = {}
        self._unproven: dict[int, Connection] = {}
        self._per_address: dict[str, int] = {}
        self._to_flush: list[Connection] = []
        self._closed = False
        self._empty = asyncio.Event()
        self._listener = _listen(local, transport, reuse_port)
        self.local: Final[Address] = self._listener.getsockname()[:2]
        loop.add_reader(self._listener.fileno(), self._accept)

    def __len__(self) -> int:
        return len(self._connections)

    # -- for the user

    def send(self, flow: Flow, data: bytes) -> None:
        """Send a message on the flow's connection; if that is 0, on one to its remote address.

        The flow's domain is the one to which the URI belongs that was resolved: with TLS, the
        server's certificate must have it (RFC 5922 section 7.3); WebSocket names it as host.
        """
        if flow.connection:
            connection = self._connections.get(flow.connection)
            if connection is None or connection.closing:
                host, port = flow.remote
                self._fail(
                    flow, "stream.closed", f"the connection with {host}:{port} is closed", data
                )
                return
        else:
            connection = self._connection_to(flow.remote, flow.domain)
            if connection is None:
                self._fail(
                    flow,
                    "stream.full",
                    f"{len(self)} connections are open, all in use: raise `connections`",
                    data,
                )
                return
        if not connection.send(data):
            self._fail(
                connection.flow,
                "stream.backlog",
                f"{self.settings.write_buffer} octets wait for {connection}: it does not open, or"
                " the peer does not read",
                data,
            )

    def is_open(self, flow: Flow) -> bool:
        """Tell whether the connection of ``flow`` can still be sent on."""
        connection = self._connections.get(flow.connection)
        return connection is not None and not connection.closing

    def alias(self, flow: Flow, remote: Address) -> None:
        """Use the connection of ``flow``, which the peer opened, for requests to ``remote`` too.

        That is the address where the peer listens; whether to believe it is for the caller (RFC
        5923). With TLS it holds for the names of the certificate that the peer has shown.
        """
        connection = self._connections.get(flow.connection)
        if connection is not None and not connection.closing:
            for name in connection.certificate_names if self.transport.secure else ("",):
                self._enter(connection, remote, name)

    def disconnect(self, flow: Flow) -> None:
        """Send what waits on the connection of ``flow``, then close it."""
        connection = self._connections.get(flow.connection)
        if connection is not None:
            connection.close(None)

    def close(self) -> None:
        """Stop listening and close every connection once what waits has been sent."""
        if not self._closed:
            self._closed = True
            self.loop.remove_reader(self._listener.fileno())
            self._listener.close()
            for connection in tuple(self._connections.values()):
                connection.close(None)
            if not self._connections:
                self._empty.set()

    async def wait_closed(self) -> None:
        """Wait, after ``close``, until the last connection is gone: a few seconds at most."""
        await self._empty.wait()

    # -- opening

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
                self.wheel.call_later(_ACCEPT_PAUSE, self._accept_again)
                return
            remote = _address(address)
            here = self._per_address.get(remote[0], 0)
            if here >= self.settings.per_address or not self._make_room():
                self.stats.refused += 1
                accepted.close()
                continue
            self._per_address[remote[0]] = here + 1
            self.stats.accepted += 1
            _prepare(accepted)
            connection = self._new(remote, "", from_peer=True)
            self._unproven[connection.flow.connection] = connection
            self._open(connection, self._take(connection, accepted), accepted)

    def _accept_again(self) -> None:
        if not self._closed:
            self.loop.add_reader(self._listener.fileno(), self._accept)

    async def _take(self, connection: Connection, accepted: socket.socket) -> None:
        tls = self._server_tls
        timeout = self.settings.handshake_timeout if tls else None
        try:
            await self.loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=_TLS_SHUTDOWN if tls else None,
            )
        except OSError as error:
            self._not_opened(connection, "stream.tls", f"no TLS: {reason(error)}")

    def _open(
        self,
        connection: Connection,
        how: Coroutine[None, None, None],
        accepted: socket.socket | None = None,
    ) -> None:
        connection.opening = self.loop.create_task(how)
        connection.opening.add_done_callback(partial(self._settled, connection, accepted))

    def _settled(
        self, connection: Connection, accepted: socket.socket | None, task: asyncio.Task[None]
    ) -> None:
        connection.opening = None
        if task.cancelled():  # perhaps before it had begun
            if accepted is not None:
                accepted.close()
            connection.gone()

    def _connection_to(self, remote: Address, domain: str) -> Connection | None:
        connection = self._by_remote.get(self._key(remote, domain))
        if connection is None and not self._closed and self._make_room():
            connection = self._new(remote, (domain or remote[0]).lower(), from_peer=False)
            self._enter(connection, remote, domain)
            self._open(connection, self._connect(connection))
        return connection

    def _key(self, remote: Address, domain: str) -> tuple[Address, str]:
        return remote, (domain or remote[0]).lower() if self.transport.by_domain else ""

    def _enter(self, connection: Connection, remote: Address, domain: str) -> None:
        """Let a connection be found for requests to ``remote``, as ``domain``."""
        key = self._key(remote, domain)
        self._by_remote[key] = connection
        connection.keys.append(key)

    async def _connect(self, connection: Connection) -> None:
        remote, tls = connection.flow.remote, self._client_tls
        made = None
        try:
            made = socket.socket(_family(remote), socket.SOCK_STREAM)
            _prepare(made)
            if _family(self.local) == made.family and not _is_wildcard(self.local):
                made.bind((self.local[0], 0))
            async with asyncio.timeout(self.settings.connect_timeout):
                await self.loop.sock_connect(made, remote)
            connection.reached = True
            await self.loop.create_connection(
                lambda: connection,
                sock=made,
                ssl=tls,
                server_hostname=_server_name(connection.name, self._websocket) if tls else None,
                ssl_handshake_timeout=self.settings.handshake_timeout if tls else None,
                ssl_shutdown_timeout=_TLS_SHUTDOWN if tls else None,
            )
        except (OSError, asyncio.CancelledError) as error:
            if made is not None:
                made.close()
            if not isinstance(error, OSError):
                raise
            why = reason(error)
            if connection.reached:
                self._not_opened(connection, "stream.tls", f"no TLS: {why}")
            elif error.errno in _REFUSED:
                self._not_opened(connection, "stream.refused", why)
            else:
                if isinstance(error, TimeoutError):
                    why = f"no answer within {self.settings.connect_timeout:g} s"
                self._not_opened(connection, "stream.connect", why)

    def _not_opened(self, connection: Connection, code: str, why: str) -> None:
        self.stats.not_opened += 1
        connection.error = TrunklineError(code, f"{connection} cannot be opened: {why}")
        connection.gone()

    def _new(self, remote: Address, name: str, *, from_peer: bool) -> Connection:
        number = next(_numbers)
        flow = Flow(self.transport, remote, self.local, number)
        connection = Connection(self, flow, self._framing(remote, name, from_peer), name, from_peer)
        self._connections[number] = connection
        return connection

    def _framing(self, remote: Address, name: str, from_peer: bool) -> Framing:
        settings = self.settings
        if not self._websocket:
            return StreamFramer(settings.limits, settings.patience)
        from .websocket import WebSocketFramer  # a node without it starts without its library

        return WebSocketFramer(
            remote,
            self.loop.time(),
            host=None if from_peer else _http_host(name, remote[1], self.transport),
            upgrade=self._upgrade,
            limits=settings.limits,
            handshake_timeout=settings.handshake_timeout,
            patience=settings.patience,
        )

    def _make_room(self) -> bool:
        if len(self._connections) < self.settings.connections:
            return True
        for number in self._unproven:
            oldest = self._unproven.pop(number)
            self.stats.evicted += 1
            oldest.abort(TrunklineError("stream.evicted", f"{oldest} made room for another"))
            return True
        return False

    # -- for Connection

    def opened(self, connection: Connection, transport: asyncio.Transport) -> bool:
        """Enter a connection that is open; False if its peer is not who it should be."""
        connection.certificate_names = self._names(transport)
        if connection.from_peer:
            if not self.transport.secure:
                self._enter(connection, connection.flow.remote, "")
        else:
            if not self._is_expected(connection):
                return False
            self.stats.opened += 1
        return True

    def _names(self, transport: asyncio.Transport) -> frozenset[str]:
        # A certificate that nobody verified is not given, or says nothing.
        certificate = transport.get_extra_info("peercert")
        return identities(certificate) if certificate else frozenset()

    def _is_expected(self, connection: Connection) -> bool:
        names = connection.certificate_names
        if not self._by_domain or connection.name in names:
            return True
        self.stats.not_opened += 1
        connection.error = TrunklineError(
            "stream.tls-name",
            f"{connection} cannot be opened: its certificate is for"
            f" {', '.join(sorted(names)) or 'nobody'}, not for {connection.name} (RFC 5922)",
        )
        return False

    def proven(self, connection: Connection) -> None:
        """Note that a connection has carried a message: it no longer has to make room."""
        self._unproven.pop(connection.flow.connection, None)

    def flush_later(self, connection: Connection) -> None:
        """Let a connection write at the end of this turn of the loop."""
        if not self._to_flush:
            self.loop.call_soon(self._flush)
        self._to_flush.append(connection)

    def _flush(self) -> None:
        connections, self._to_flush = self._to_flush, []
        for connection in connections:
            connection.flush()

    def leaving(self, connection: Connection) -> None:
        """Find this connection for nobody any more."""
        self._unproven.pop(connection.flow.connection, None)
        for key in connection.keys:
            if self._by_remote.get(key) is connection:
                del self._by_remote[key]

    def gone(self, connection: Connection, unsent: list[bytes]) -> None:
        """Forget a connection, and tell the user."""
        flow = connection.flow
        if self._connections.pop(flow.connection, None) is None:
            return
        self.leaving(connection)
        self.stats.closed += 1
        self.stats.pings += connection.framing.pings
        if connection.from_peer:
            host = flow.remote[0]
            left = self._per_address[host] - 1
            if left:
                self._per_address[host] = left
            else:
                del self._per_address[host]
        if unsent:
            self.unsent(connection, unsent)
        self.user.closed(flow, connection.error, self._served(connection))
        if self._closed and not self._connections:
            self._empty.set()

    def _served(self, connection: Connection) -> tuple[Flow, ...]:
        return tuple(
            Flow(self.transport, remote, self.local, 0, "" if domain == remote[0] else domain)
            for remote, domain in connection.keys
            if (remote, domain) not in self._by_remote
        )

    def unsent(self, connection: Connection, messages: list[bytes]) -> None:
        """Tell the user which messages a connection did not send."""
        self.stats.unsent += len(messages)
        error = connection.error or TrunklineError("stream.closed", f"{connection} is closed")
        self.user.failed(connection.flow, error, messages)

    def _fail(self, flow: Flow, code: str, message: str, data: bytes) -> None:
        self.stats.unsent += 1
        self.loop.call_soon(self.user.failed, flow, TrunklineError(code, message), [data])


def _listen(local: Address, transport: Transport, reuse_port: bool) -> socket.socket:
    made = socket.socket(_family(local), socket.SOCK_STREAM)
    try:
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # What is left of a process that was here before does not keep the port
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(local)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        host, port = local
        raise TrunklineError(
            "stream.bind",
            f"cannot listen on {f'[{host}]' if ':' in host else host}:{port} {transport.value}:"
            f" {error.strerror}; is that an address of this machine, and does nobody else have the"
            " port?",
        ) from None
    made.setblocking(False)
    return made


def _prepare(made: socket.socket) -> None:
    made.setblocking(False)
    with contextlib.suppress(OSError):  # the peer of an accepted one may be gone
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(_64_T1 * 1000))


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return name[0], name[1]


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def _is_wildcard(address: Address) -> bool:
    return address[0] in ("0.0.0.0", "::")


def _server_name(name: str, check_address: bool) -> str:
    """Return what to ask a server of TLS for by SNI, which takes no addresses (RFC 6066)."""
    is_address = ":" in name or name.replace(".", "").isdigit()
    return "" if is_address and not check_address else name


def _http_host(name: str, port: int, transport: Transport) -> str:
    """Return the Host header for a server of WebSocket (RFC 6455 section 4.1)."""
    host = f"[{name}]" if ":" in name else name
    return host if port == transport.default_port else f"{host}:{port}"
