"""A connection that we open and that goes both ways: answers, calls, nonsense, and its ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.elements.clock import run

from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.net.jsonrpc import DialledConnection, RpcServer, TwoWayConnection


class Line:
    """A connection of ours, and the server's end of it in our hands."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []
        self.accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )

    async def open(self, serve: Callable[[str, Json], Json] = lambda *_: None) -> None:
        self.server = await asyncio.start_server(
            lambda *ends: self.accepted.put_nowait(ends), "127.0.0.1", 0
        )
        self.address = self.server.sockets[0].getsockname()[:2]
        loop = asyncio.get_running_loop()
        self.ours = DialledConnection(loop, self.address, serve, self.heard.append)
        self.ours.open()
        await self.accept()

    async def accept(self) -> None:
        self.reader, self.writer = await self.accepted.get()
        await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self.ours.close()
        self.writer.close()
        self.server.close()
        await self.server.wait_closed()


def with_line(body: Callable[[Line], Coroutine[Any, Any, None]], **how: Any) -> None:
    async def main() -> None:
        line = Line()
        await line.open(**how)
        try:
            await body(line)
        finally:
            await line.close()

    run(main())


def test_calls_and_answers_in_any_order_and_in_pieces() -> None:
    async def body(line: Line) -> None:
        one, two = line.ours.call("A.B", {"x": 1}), line.ours.call("A.C", None)
        assert (await line.reader.read(1000)) == (
            b'{"method":"A.B","params":[{"x":1}],"id":1}\n{"method":"A.C","params":[null],"id":2}\n'
        )
        text = (
            b'{"id":9,"result":0,"error":null}{"id":2,"result":null,"error":"no"}'
            b'{"id":1,"result":"yes","error":null}'
        )
        for at in range(len(text)):
            line.writer.write(text[at : at + 1])
            await line.writer.drain()
        assert await one == "yes"
        with pytest.raises(TrunklineError) as refused:
            await two
        assert (refused.value.code, refused.value.message) == ("rpc.error", "A.C: no")
        line.writer.write(text)  # answers that nobody waits for
        assert line.heard == [None]

    with_line(body)


def test_the_server_asks() -> None:
    def serve(method: str, argument: Json) -> Json:
        if method != "S.Ok":
            raise TrunklineError("rpc.error", f"no {method}")
        return argument

    async def body(line: Line) -> None:
        line.writer.write(
            b'{"method":"S.Ok","params":[[1]],"id":7}{"method":"S.No","params":[1],"id":8}'
            b'{"method":"S.Ok","id":9}'
        )
        await asyncio.sleep(0.1)
        assert (await line.reader.read(1000)).decode().splitlines() == [
            '{"id":7,"result":[1],"error":null}',
            '{"id":8,"result":null,"error":"no S.No"}',
            '{"id":9,"result":null,"error":"jsonrpc: request body missing params"}',
        ]

    with_line(body, serve=serve)


@pytest.mark.parametrize(
    ("nonsense", "why"),
    [
        (b"HTTP/1.1 400 Bad Request", "begins no object"),
        (b"[1]", "batch"),
        (b'{"method":7,"params":[],"id":1}', "unmarshal"),
    ],
)
def test_nonsense_ends_the_connection_and_the_calls_on_it(nonsense: bytes, why: str) -> None:
    async def body(line: Line) -> None:
        waiting = line.ours.call("A.B", {})
        line.writer.write(nonsense)
        with pytest.raises(TrunklineError) as closed:
            await waiting
        assert closed.value.code == "rpc.closed"
        assert why in str(line.heard[-1])
        with pytest.raises(TrunklineError, match="no connection to 127"):
            line.ours.call("A.B", {})
        line.writer.close()
        await line.accept()
        assert line.ours.up
        assert [each is None for each in line.heard] == [True, False, True]

    with_line(body)


def test_who_does_not_answer_is_asked_no_more_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.net.jsonrpc.dialled._PENDING", 3)

    async def body(line: Line) -> None:
        waiting = [line.ours.call("A.B", {}) for _ in range(3)]
        with pytest.raises(TrunklineError) as busy:
            line.ours.call("A.B", {})
        assert busy.value.code == "rpc.busy"
        waiting[0].cancel()
        await asyncio.sleep(0)
        line.ours.call("A.B", {}).cancel()
        for each in waiting[1:]:
            each.cancel()

    with_line(body)


def test_who_does_not_read_does_not_keep_us() -> None:
    async def body(line: Line) -> None:
        waiting: list[asyncio.Future[Json]] = []

        def fill() -> None:
            while len(waiting) < 1000:
                waiting.append(line.ours.call("A.B", "x" * 100_000))

        with pytest.raises(TrunklineError) as busy:
            fill()
        assert busy.value.code == "rpc.busy"
        await line.ours.close()
        for each in waiting:
            with pytest.raises(TrunklineError, match="closed the connection"):
                await each

    with_line(body)


def test_it_is_said_once_that_nobody_is_there() -> None:
    async def main() -> None:
        heard: list[str | None] = []
        ours = DialledConnection(
            asyncio.get_running_loop(), ("127.0.0.1", 9), lambda *_: None, heard.append
        )
        ours.open()
        await asyncio.sleep(10)
        assert heard == ["Connect call failed ('127.0.0.1', 9)"] or len(heard) == 1
        await ours.close()
        await asyncio.sleep(5)
        assert len(heard) == 1

    run(main())


def test_both_ends_ask_whether_the_other_machine_is_there() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = RpcServer(loop, ("127.0.0.1", 0), lambda *_: "", TwoWayConnection)
        ours = DialledConnection(loop, server.local, lambda *_: None, lambda _: None)
        ours.open()
        while not (server.connections and ours.up):
            await asyncio.sleep(0.01)
        [connection] = server.connections
        for end in (connection, ours._protocol):
            assert end is not None
            assert end._transport is not None
            plug = end._transport.get_extra_info("socket")
            assert plug.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        await ours.close()
        server.close()
        await server.wait_closed()

    run(main())
