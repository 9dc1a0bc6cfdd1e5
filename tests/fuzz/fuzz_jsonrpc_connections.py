"""Connections of the charging API: any octets, in any pieces, are answered or end the connection.

The first octet chooses the kind of connection and the size of pieces. No exception may leave it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import cast

from trunkline.jsonrpc import Call, Limits, answer, refusal
from trunkline.net.jsonrpc import (
    HttpConnection,
    Peer,
    RpcServer,
    RpcSettings,
    Statistics,
    TcpConnection,
    TwoWayConnection,
)
from trunkline.net.jsonrpc.connection import Connection, _buffer

_CALL = b'{"method":"T.Echo","params":[{"a":1}],"id":1}'
SEEDS = [
    b"\x20" + _CALL + b'{"method":"T.Later","params":[],"id":2}\n[]{"id":3}',
    b"\x05" + _CALL + b'{"id":1,"result":"OK","error":null}{"id":null,"error":{"message":"no"}}',
    b'\x81[{"jsonrpc":"2.0","method":"T.Later","id":1},{"jsonrpc":"2.0","method":"T.Bug"}]',
    b"\x22POST /jsonrpc HTTP/1.1\r\nHost: a\r\nContent-Length: 45\r\n\r\n" + _CALL,
    b"\x82POST /api/T.Echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\n\r\n"
    b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x12HEAD /jsonrpc HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    b"\x16POST /jsonrpc HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}",
]
_KINDS: list[type[Connection]] = [TcpConnection, TwoWayConnection, HttpConnection]


class _Loop:
    """A loop that is turned by hand."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], object]] = deque()

    def time(self) -> float:
        return 0.0

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def call_later(self, _: float, callback: Callable[[], object]) -> None:
        pass

    def call_exception_handler(self, context: dict[str, object]) -> None:
        assert isinstance(context["exception"], KeyError)

    def turn(self) -> None:
        while self.soon:
            self.soon.popleft()()


class _Transport:
    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int) -> None:
        pass


class _Server:
    def __init__(self) -> None:
        self.loop = _Loop()
        self.settings = RpcSettings(pending=4, turn=3, limits=Limits(octets=300, depth=8))
        self.stats = Statistics()

    def handler(self, call: Call, peer: Peer) -> str:
        if call.fault:
            return refusal(call, call.fault, call.fault_code)
        if call.method == "T.Bug":
            raise KeyError("a bug")
        return answer(call, call.argument)

    def proven(self, connection: Connection) -> None:
        pass

    def gone(self, connection: Connection) -> None:
        pass


_server = _Server()


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    choice, octets = (data[0] if data else 0), data[1:]
    kind = _KINDS[(choice & 3) % 3]
    server = cast("RpcServer", _server)
    page = {"page": lambda: "{}"} if kind is HttpConnection else {}
    connection = kind(server, ("127.0.0.1", 1), **page)
    transport = _Transport()
    connection.connection_made(cast("asyncio.Transport", transport))
    piece = (choice >> 2) + 1
    for at in range(0, len(octets), piece):
        if transport.closed:
            break
        part = octets[at : at + piece]
        _buffer[: len(part)] = part
        connection.buffer_updated(len(part))
        _server.loop.turn()
    if not transport.closed:
        connection.eof_received()
        _server.loop.turn()
    connection.connection_lost(None)
    if kind is not HttpConnection:
        for line in transport.written.splitlines():
            json.loads(line)
    elif transport.written:
        assert transport.written.startswith(b"HTTP/1.1 ")
