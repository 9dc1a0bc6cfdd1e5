"""The charging API's connections on real sockets: cuts, pipelines, order, bounds, ends, HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import operator
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest

from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Call, Json, Limits, answer, refusal
from trunkline.net.jsonrpc import (
    HttpConnection,
    HttpRpcClient,
    Peer,
    RpcClient,
    RpcServer,
    RpcSettings,
    TcpConnection,
    TwoWayConnection,
    connect,
)
from trunkline.net.jsonrpc.connection import Connection
from trunkline.net.loop import new_event_loop

FAST = RpcSettings(patience=0.3, limits=Limits(octets=100_000))


class Switch:
    """The methods of the tests: ``Echo``, ``Later`` (answered by ``release``), and some that fail.

    Sockets of the tests are blocking, and served while ``run`` waits for a thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.faults: list[dict[str, object]] = []
        self.waiting: list[tuple[Call, asyncio.Future[str]]] = []
        self.peers: list[Peer] = []
        self.servers: list[RpcServer] = []
        loop.set_exception_handler(lambda _, context: self.faults.append(context))

    def handler(self, call: Call, peer: Peer) -> str | Awaitable[str]:
        self.peers.append(peer)
        if call.fault:
            return refusal(call, call.fault, call.fault_code)
        match call.method:
            case "T.Echo":
                return answer(call, call.argument)
            case "T.Large":
                return answer(call, "x" * 50_000)
            case "T.Later":
                future: asyncio.Future[str] = self.loop.create_future()
                self.waiting.append((call, future))
                return future
            case "T.Task":
                return self._task(call)
            case "T.Bug":
                raise KeyError("a bug")
            case "T.LateBug":
                return self._bug()
        return refusal(call, f"rpc: can't find service {call.method}", -32601)

    async def _task(self, call: Call) -> str:
        await asyncio.sleep(0.001)
        return answer(call, "done")

    async def _bug(self) -> str:
        await asyncio.sleep(0)
        raise KeyError("a bug")

    def release(self, *, last_first: bool = False) -> None:
        waiting, self.waiting = self.waiting, []
        for call, future in reversed(waiting) if last_first else waiting:
            if not future.done():
                future.set_result(answer(call, call.argument))

    def open(
        self,
        protocol: Callable[[RpcServer, tuple[str, int]], Connection] = TcpConnection,
        settings: RpcSettings = FAST,
    ) -> RpcServer:
        server = RpcServer(self.loop, ("127.0.0.1", 0), self.handler, protocol, settings)
        self.servers.append(server)
        return server

    def run(self, work: Callable[[], object], seconds: float = 10) -> None:
        """Serve while ``work`` runs in a thread; raise what it raises."""
        self.loop.run_until_complete(asyncio.wait_for(asyncio.to_thread(work), seconds))

    def until(self, true: Callable[[], object], seconds: float = 5) -> None:
        async def wait() -> None:
            while not true():
                await asyncio.sleep(0.002)

        self.loop.run_until_complete(asyncio.wait_for(wait(), seconds))

    def close(self) -> None:
        async def closed() -> None:
            for server in self.servers:
                server.close()
            for server in self.servers:
                await server.wait_closed(0.5)
            await self.loop.shutdown_default_executor()

        self.loop.run_until_complete(closed())


@pytest.fixture(params=[asyncio.new_event_loop, new_event_loop], ids=["asyncio", "installed"])
def switch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    monkeypatch.setattr("trunkline.net.jsonrpc.connection._LINGER", 0.2)
    loop: asyncio.AbstractEventLoop = request.param()
    made = Switch(loop)
    yield made
    made.release()
    made.close()
    loop.close()


def client_of(server: RpcServer) -> socket.socket:
    client = socket.create_connection(server.local, 5)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def call(number: object, method: str = "T.Echo", argument: object = None) -> bytes:
    body = {"method": method, "params": [{"n": number, "a": argument}], "id": number}
    return json.dumps(body, separators=(",", ":")).encode()


def lines(client: socket.socket, count: int) -> list[dict[str, object]]:
    """That many answers, each a line."""
    data = b""
    while data.count(b"\n") < count:
        piece = client.recv(65536)
        assert piece, f"closed after {data!r}"
        data += piece
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def rest(client: socket.socket) -> bytes:
    """All until the server closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            data += piece
    return data


# Values on the wire


def test_a_call_cut_at_every_octet(switch: Switch) -> None:
    server = switch.open()
    value = call(1, argument='é"]}\\')

    def work() -> None:
        with client_of(server) as client:
            for cut in range(1, len(value), 3):
                client.sendall(value[:cut])
                client.sendall(value[cut:])
                [got] = lines(client, 1)
                assert got == {"id": 1, "result": json.loads(value)["params"][0], "error": None}

    switch.run(work)
    assert server.stats.calls == len(range(1, len(value), 3))


def test_calls_in_one_write_are_answered_in_one_write(switch: Switch) -> None:
    server = switch.open()

    def work() -> None:
        with client_of(server) as client:
            client.sendall(b"".join(call(number) for number in range(50)))
            answers = lines(client, 50)
            assert [got["id"] for got in answers] == list(range(50))

    switch.run(work)


def test_thousands_of_calls_of_one_client_leave_others_their_turn(switch: Switch) -> None:
    server = switch.open()

    def work() -> None:
        with client_of(server) as greedy, client_of(server) as other:
            many = b"".join(call(number) for number in range(5000))
            writer = threading.Thread(target=greedy.sendall, args=(many,))
            writer.start()
            for number in range(10):
                other.sendall(call(number))
                assert lines(other, 1)[0]["id"] == number
            assert [got["id"] for got in lines(greedy, 5000)] == list(range(5000))
            writer.join()

    switch.run(work)


def test_answers_come_as_they_are_ready(switch: Switch) -> None:
    server = switch.open()
    with client_of(server) as client:
        for number in range(3):
            client.sendall(call(number, "T.Later"))
        client.sendall(call(3) + call(4, "T.Task"))
        switch.until(lambda: len(switch.waiting) == 3)
        early: list[object] = []
        switch.run(lambda: early.extend(got["id"] for got in lines(client, 2)))
        assert early == [3, 4]
        switch.release(last_first=True)

        def last() -> None:
            assert [got["id"] for got in lines(client, 3)] == [2, 1, 0]

        switch.run(last)


def test_two_dialects_on_one_connection(switch: Switch) -> None:
    server = switch.open()

    def work() -> None:
        with client_of(server) as client:
            client.sendall(
                call(1)
                + b'{"jsonrpc":"2.0","method":"T.Echo","params":{"b":0.10},"id":"x"}'
                + b'{"jsonrpc":"2.0","method":"T.Echo","params":[{}]}'
                + b'{"jsonrpc":"2.0","method":"T.Task","params":[{}]}'
                + b'[{"jsonrpc":"2.0","method":"T.Task","id":2},{"jsonrpc":"2.0","method":"T.Echo"}'
                + b',{"jsonrpc":"2.0","method":"T.Echo","params":[7],"id":3},1]'
                + b'[{"jsonrpc":"2.0","method":"T.Echo"}]'
                + b'{"method":"T.None","params":[{}]}'
            )
            answers = [json.loads(line) for line in rest_of(client, 5)]
            assert answers[0]["error"] is None
            assert {"jsonrpc": "2.0", "id": "x", "result": {"b": 0.1}} in answers
            assert {
                "id": None,
                "result": None,
                "error": "rpc: can't find service T.None",
            } in answers
            [batch] = [got for got in answers if isinstance(got, list)]
            assert [(got["id"], got.get("result")) for got in batch] == [
                (2, "done"),
                (3, 7),
                (None, None),
            ]
            assert len(answers) == 4

    def rest_of(client: socket.socket, _: int) -> list[bytes]:
        client.shutdown(socket.SHUT_WR)
        return rest(client).splitlines()

    switch.run(work)


def test_a_client_that_says_no_more_still_gets_its_answers(switch: Switch) -> None:
    server = switch.open()
    with client_of(server) as client:
        client.sendall(call(1) + call(2, "T.Later") + b'{"half":')
        client.shutdown(socket.SHUT_WR)
        switch.until(lambda: switch.waiting)
        switch.release()

        def work() -> None:
            assert [json.loads(line)["id"] for line in rest(client).splitlines()] == [1, 2]

        switch.run(work)


# What is no stream of calls


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "jsonrpc.syntax"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "jsonrpc.syntax"),
        (b"{]" + b" " * 70_000, "jsonrpc.syntax"),
        (b'{"method":1,"params":[{}],"id":3}', "jsonrpc.request"),
        (b"[" * 100, "jsonrpc.depth"),
        (b'{"a":"' + b"x" * 100_000, "jsonrpc.size"),
        (b'"text"', "jsonrpc.syntax"),
    ],
)
def test_garbage_is_answered_once_after_what_came_before(
    switch: Switch, garbage: bytes, code: str
) -> None:
    server = switch.open()
    with client_of(server) as client:
        client.sendall(call(1) + call(2, "T.Later") + garbage + call(3))
        switch.until(lambda: switch.waiting)
        switch.release()

        def work() -> None:
            first, second, last = map(json.loads, rest(client).splitlines())
            assert (first["id"], second["id"]) == (1, 2)
            assert last["id"] is None
            assert last["result"] is None
            assert last["error"].startswith(f"{code}: ")

        switch.run(work)
        switch.until(lambda: not server.connections)
    assert server.stats.broken == 1
    assert switch.faults == []


def test_a_bug_in_a_method_is_answered_and_reported(switch: Switch) -> None:
    server = switch.open()

    def work() -> None:
        with client_of(server) as client:
            client.sendall(call(1, "T.Bug") + call(2, "T.LateBug") + call(3))
            answers = {got["id"]: got["error"] for got in lines(client, 3)}
            assert answers == {
                1: "SERVER_ERROR: internal error: KeyError",
                2: "SERVER_ERROR: internal error: KeyError",
                3: None,
            }

    switch.run(work)
    assert [fault["message"] for fault in switch.faults] == [
        "method T.Bug failed",
        "method T.LateBug failed",
    ]


# Bounds


def test_calls_under_way_are_bounded(switch: Switch) -> None:
    server = switch.open(settings=replace(FAST, pending=5))
    with client_of(server) as client:
        client.sendall(b"".join(call(number, "T.Later") for number in range(12)))
        got: list[object] = []

        def read(client: socket.socket, count: int) -> None:
            got.extend(each["id"] for each in lines(client, count))

        for _ in range(3):
            switch.until(lambda: len(switch.waiting) == min(5, 12 - len(got)))
            switch.until(lambda: True)
            count = len(switch.waiting)
            switch.release()
            switch.run(partial(read, client, count))
        assert got == list(range(12))
        wide = [{"jsonrpc": "2.0", "method": "T.Echo", "id": n} for n in range(6)]
        client.sendall(json.dumps(wide).encode())

        def refused() -> None:
            [answer] = lines(client, 1)
            assert answer["error"] == {"code": -32600, "message": "no request: over 5 calls"}

        switch.run(refused)


def test_who_waits_for_us_is_not_late(switch: Switch) -> None:
    server = switch.open(settings=replace(FAST, pending=1))
    with client_of(server) as client:
        client.sendall(call(1, "T.Later") + call(2) + call(3)[:5])
        switch.until(lambda: switch.waiting)
        switch.loop.run_until_complete(asyncio.sleep(0.5))
        assert server.stats.late == 0
        switch.release()
        client.sendall(call(3)[5:])

        def work() -> None:
            assert [got["id"] for got in lines(client, 3)] == [1, 2, 3]

        switch.run(work)


def test_who_does_not_read_is_not_read_from_and_ends(switch: Switch) -> None:
    server = switch.open(settings=replace(FAST, write_buffer=10_000))
    with client_of(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        data, sent = b"".join(call(n, "T.Large") for n in range(4000)), 0

        async def write_all_that_goes() -> None:
            nonlocal sent
            for _ in range(200):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    sent += client.send(data[sent : sent + 65536])
                await asyncio.sleep(0.001)

        switch.loop.run_until_complete(write_all_that_goes())
        assert server.stats.calls < 1000
        switch.until(lambda: not server.connections)
    assert server.stats.late == 1


def test_a_value_that_takes_too_long_ends_the_connection(switch: Switch) -> None:
    server = switch.open()
    with client_of(server) as slow, client_of(server) as idle:
        idle.sendall(call(1))
        slow.setblocking(False)

        async def drip() -> None:
            for octet in call(1) * 5:
                with contextlib.suppress(OSError):
                    slow.send(bytes([octet]))
                await asyncio.sleep(0.02)
                if not any(c for c in server.connections if c.address == slow_address):
                    return

        slow_address = slow.getsockname()
        slow.send(b'{"x":')
        switch.until(lambda: len(server.connections) == 2)
        switch.loop.run_until_complete(drip())
        assert server.stats.late == 1

        def work() -> None:
            assert lines(idle, 1)[0]["id"] == 1
            idle.sendall(call(2))
            assert lines(idle, 1)[0]["id"] == 2

        switch.run(work)


def test_connections_are_bounded_and_the_silent_make_room(switch: Switch) -> None:
    server = switch.open(settings=replace(FAST, connections=3))
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(client_of(server))
        switch.until(lambda: len(server.connections) == 1)
        busy = [stack.enter_context(client_of(server)) for _ in range(2)]

        def talk(client: socket.socket) -> None:
            client.sendall(call(1))
            assert lines(client, 1)

        for client in busy:
            switch.run(partial(talk, client))
        third = stack.enter_context(client_of(server))
        switch.run(lambda: talk(third))
        assert server.stats.evicted == 1
        switch.run(lambda: rest(silent))
        refused = stack.enter_context(client_of(server))
        switch.run(lambda: rest(refused))
        assert server.stats.refused == 1
        assert len(server.connections) == 3


def test_closing_waits_for_what_is_under_way(switch: Switch) -> None:
    server = switch.open()
    with client_of(server) as client, client_of(server) as idle:
        client.sendall(call(1, "T.Later"))
        switch.until(lambda: switch.waiting and len(server.connections) == 2)
        server.close()
        switch.release()
        switch.loop.run_until_complete(server.wait_closed())
        assert json.loads(rest(client))["id"] == 1
        assert rest(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            client_of(server)


def test_closing_does_not_wait_forever(switch: Switch) -> None:
    server = switch.open()
    with client_of(server) as client:
        client.sendall(call(1, "T.Later"))
        switch.until(lambda: switch.waiting)
        server.close()
        server.close()
        switch.loop.run_until_complete(server.wait_closed(0.05))
        assert rest(client) == b""


def test_an_address_that_cannot_be_had(switch: Switch) -> None:
    server = switch.open()
    for local in (server.local, ("192.0.2.1", 2012), ("127.0.0.1", 70000)):
        with pytest.raises(TrunklineError, match="cannot listen on") as caught:
            RpcServer(switch.loop, local, switch.handler, TcpConnection)
        assert caught.value.code == "rpc.bind"


# Both ways


def test_the_server_calls_the_client(switch: Switch) -> None:
    server = switch.open(TwoWayConnection)
    with client_of(server) as client:
        client.sendall(call(1))
        switch.until(lambda: switch.peers)
        peer = switch.peers[0]
        closed: list[int] = []
        peer.on_close.append(lambda: closed.append(1))

        async def ask(method: str) -> Json:
            return await asyncio.wait_for(peer.call(method, {"OriginID": "a"}), 5)

        def answer_three() -> None:
            own, *asked = lines(client, 4)
            assert own["id"] == 1
            assert [each["method"] for each in asked] == ["S.One", "S.Two", "S.Three"]
            assert asked[0]["params"] == [{"OriginID": "a"}]
            one, two, three = (each["id"] for each in asked)
            client.sendall(
                json.dumps({"id": two, "result": "OK", "error": None}).encode()
                + json.dumps({"id": 99, "result": "nobody asked"}).encode()
                + json.dumps({"id": one, "result": None, "error": "NOT_FOUND"}).encode()
                + json.dumps({"id": one, "result": "again"}).encode()
                + call(5)
            )
            assert lines(client, 1)[0]["id"] == 5
            client.close()
            assert three

        async def both() -> list[Json | BaseException]:
            asking = asyncio.gather(
                ask("S.One"), ask("S.Two"), ask("S.Three"), return_exceptions=True
            )
            await asyncio.to_thread(answer_three)
            return list(await asking)

        one, two, three = switch.loop.run_until_complete(asyncio.wait_for(both(), 10))
        assert isinstance(one, TrunklineError)
        assert (one.code, one.message) == ("rpc.error", "S.One: NOT_FOUND")
        assert two == "OK"
        assert isinstance(three, TrunklineError)
        assert three.code == "rpc.closed"
        switch.until(lambda: closed)
        with pytest.raises(TrunklineError) as caught:
            peer.call("S.Four", {})
        assert caught.value.code == "rpc.closed"


def test_what_a_client_owes_is_bounded_and_one_way_is_one_way(switch: Switch) -> None:
    for protocol, code in ((TwoWayConnection, "rpc.busy"), (TcpConnection, "rpc.one-way")):
        server = switch.open(protocol, replace(FAST, pending=2))
        switch.peers.clear()
        with client_of(server) as client:
            client.sendall(call(1))
            switch.until(lambda: switch.peers)
            with pytest.raises(TrunklineError) as caught:  # noqa: PT012
                for _ in range(3):
                    asyncio.ensure_future(
                        switch.peers[0].call("S.A", {}), loop=switch.loop
                    ).add_done_callback(lambda future: future.exception())
            assert caught.value.code == code
        switch.until(partial(operator.not_, server.connections))


# HTTP


def post(client: http.client.HTTPConnection, body: bytes, **headers: str) -> tuple[int, bytes]:
    client.request("POST", "/jsonrpc", body, headers)
    response = client.getresponse()
    return response.status, response.read()


def test_http_posts_of_all_sorts(switch: Switch) -> None:
    server = switch.open(HttpConnection)

    def work() -> None:
        client = http.client.HTTPConnection(*server.local, timeout=5)
        for number in range(3):  # one connection
            status, body = post(client, call(number))
            assert status == 200
            assert body == answer(Call("", None, number), {"n": number, "a": None}).encode()
        status, body = post(client, call(1, "T.Task") + b"\n" + call(2))
        assert [json.loads(line)["id"] for line in body.splitlines()] == [1, 2]
        # without an id: a script that was written for the reference reads the result
        _, body = post(client, b'{"jsonrpc":"2.0","method":"T.Echo","params":[7]}')
        assert json.loads(body) == {"jsonrpc": "2.0", "id": None, "result": 7}
        _, body = post(client, b'[{"jsonrpc":"2.0","method":"T.Echo","params":[7],"id":1}]')
        assert json.loads(body) == [{"jsonrpc": "2.0", "id": 1, "result": 7}]
        status, body = post(client, b'[{"jsonrpc":"2.0","method":"T.Echo"}]')
        assert (status, body) == (204, b"")
        _, body = post(client, b'{"id":5,"result":1}')
        assert json.loads(body)["id"] == 5
        for garbage in (b"", b"nothing", call(1) + b"{", call(1) + b"]", b'{"method":1}'):
            calls = len(switch.peers)
            status, body = post(client, garbage)
            assert status == 400
            assert json.loads(body)["error"].startswith("jsonrpc.")
            assert len(switch.peers) == calls
        status, _ = post(client, call(1))
        assert status == 200
        client.close()

    switch.run(work)
    assert switch.faults == []


def test_plain_posts_and_the_page(switch: Switch) -> None:
    server = switch.open(partial(HttpConnection, page=lambda: '{"openapi":"3.1.0"}'))
    bare = switch.open(HttpConnection)

    def work() -> None:
        client = http.client.HTTPConnection(*server.local, timeout=5)

        def api(name: str, body: bytes = b"", method: str = "POST") -> tuple[int, object]:
            client.request(method, name, body)
            response = client.getresponse()
            assert response.getheader("Content-Type") == "application/json"
            return response.status, json.load(response)

        assert api("/api/T.Echo", b'{"a":[0.1]}') == (200, {"a": [0.1]})
        assert api("/api/T.Echo?x=1", b" 7 ".replace(b"7", b"[7]")) == (200, [7])
        assert api("/api/T.Echo") == (200, None)
        assert api("/api/T.Task", b"{}") == (200, "done")
        assert api("/api/T.Bug", b"{}")[0] == 500
        assert api("/api/T.None", b"{}") == (
            404,
            {"code": -32601, "message": "rpc: can't find service T.None"},
        )
        for body in (b"{}{}", b"{", b"x", b"{]", b"1"):
            status, error = api("/api/T.Echo", body)
            assert status == 400
            assert isinstance(error, dict)
            assert error["message"].startswith("no argument: ")
        assert api("/openapi.json", method="GET") == (200, {"openapi": "3.1.0"})
        client.close()
        for address, method, path, status in (
            (server.local, "POST", "/openapi.json", 405),
            (server.local, "GET", "/api/T.Echo", 405),
            (bare.local, "GET", "/openapi.json", 404),
        ):
            other = http.client.HTTPConnection(*address, timeout=5)
            other.request(method, path)
            assert other.getresponse().status == status
            other.close()

    switch.run(work)
    assert [fault["message"] for fault in switch.faults] == ["method T.Bug failed"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /jsonrpc HTTP/1.1\r\nHost: a", b"405"),
        ("HEAD /jsonrpc HTTP/1.1\r\nHost: a", b"405"),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a", b"404"),
        ("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 2", b"404"),
        ("POST /jsonrpc HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nContent-Length: 2", b"403"),
        ("POST /jsonrpc HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999", b"413"),
        ("POST /jsonrpc HTTP/1.1\r\nHost: a\r\nContent-Length: x", b"400"),
        ("POST /jsonrpc HTTP/1.1\r\nHost: a\r\nX: " + "x" * 400_000, b"431"),
        ("nonsense", b"400"),
        ('{"method":"T.Echo","params":[{}],"id":1}', b"400"),
    ],
)
def test_http_requests_that_are_refused(switch: Switch, head: str, status: bytes) -> None:
    server = switch.open(HttpConnection)

    def work() -> None:
        with client_of(server) as client:
            client.sendall(head.encode() + b"\r\n\r\n" + b"{}" * 10)
            assert rest(client).split(b" ", 2)[:2] == [b"HTTP/1.1", status]

    switch.run(work)
    assert switch.peers == []
    assert switch.faults == []


def test_http_bodies_cut_at_every_octet_in_chunks_and_after_100_continue(switch: Switch) -> None:
    server = switch.open(HttpConnection)
    value = call(1)
    head = b"POST /jsonrpc HTTP/1.1\r\nHost: a\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(value) + value
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"".join(b"1\r\n%c\r\n" % octet for octet in value) + b"0\r\n\r\n"

    def read_answer(client: socket.socket) -> None:
        data = b""
        while not data.endswith(b"\n") or b"\r\n\r\n" not in data:
            data += client.recv(65536)
        assert json.loads(data.partition(b"\r\n\r\n")[2])["id"] == 1

    def work() -> None:
        with client_of(server) as client:
            for cut in range(1, len(whole), 7):
                client.sendall(whole[:cut])
                client.sendall(whole[cut:])
                read_answer(client)
            client.sendall(chunked)
            read_answer(client)
            client.sendall(
                head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(value)
            )
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            client.sendall(value)
            read_answer(client)

    switch.run(work)


def test_http_pipelines_are_answered_in_order_and_late_ones_hold_the_rest(switch: Switch) -> None:
    server = switch.open(HttpConnection)
    with client_of(server) as client:
        data = b""
        for number in range(300):
            value = call(number, "T.Later" if number == 100 else "T.Echo")
            data += b"POST /jsonrpc HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(value)
            data += value
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        switch.until(lambda: switch.waiting)
        switch.until(lambda: True)
        assert len(switch.peers) == 101
        switch.release()

        def work() -> None:
            got = [json.loads(line) for line in rest(client).splitlines() if line[:1] == b"{"]
            assert [each["id"] for each in got] == list(range(300))

        switch.run(work)


def test_http_slow_requests_and_large_bodies_end(switch: Switch) -> None:
    server = switch.open(HttpConnection)
    with client_of(server) as slow, client_of(server) as large, client_of(server) as idle:
        slow.sendall(b"POST /jsonrpc HTTP/1.1\r\nHost:")
        large.sendall(b"POST /jsonrpc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")

        def too_much() -> None:
            with contextlib.suppress(ConnectionError):
                for _ in range(3):
                    large.sendall(b"ea60\r\n" + b" " * 60_000 + b"\r\n")
            assert rest(large).startswith(b"HTTP/1.1 413 ")

        switch.run(too_much)
        switch.run(lambda: rest(slow))
        assert server.stats.late == 1

        def work() -> None:
            value = call(1)
            idle.sendall(
                b"POST /jsonrpc HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(value) + value
            )
            assert b'"id":1' in rest(idle)

        switch.run(work)


# The blocking clients


def test_clients_by_tcp_and_http(switch: Switch) -> None:
    tcp, web = switch.open(), switch.open(HttpConnection)

    def work() -> None:
        for address in (
            f"127.0.0.1:{tcp.local[1]}",
            f"http://127.0.0.1:{web.local[1]}/jsonrpc",
            f"http://127.0.0.1:{web.local[1]}",
        ):
            client = connect(address, 5)
            assert client.call("T.Echo", {"a": [1, "é"]}) == {"a": [1, "é"]}
            assert client.call("T.Task", {}) == "done"
            with pytest.raises(TrunklineError) as caught:
                client.call("X.Y", {})
            assert (caught.value.code, caught.value.message) == (
                "rpc.error",
                "X.Y: rpc: can't find service X.Y",
            )
            assert client.call("T.Echo", None) is None
            client.close()
        wrong = connect(f"http://127.0.0.1:{web.local[1]}/wrong", 5)
        with contextlib.closing(wrong), pytest.raises(TrunklineError) as caught:
            wrong.call("T.Echo", {})
        assert caught.value.code == "rpc.answer"

    switch.run(work)


def test_what_a_client_may_meet(switch: Switch) -> None:
    server = switch.open()

    def work() -> None:
        with RpcClient(*server.local, timeout=0.1) as client:
            with pytest.raises(TrunklineError) as caught:
                client.call("T.Later", {})
            assert caught.value.code == "rpc.timeout"
        wrong = HttpRpcClient(f"http://127.0.0.1:{server.local[1]}", 5)
        with contextlib.closing(wrong), pytest.raises(TrunklineError) as caught:
            wrong.call("T.Echo", {})
        assert caught.value.code == "rpc.closed"

    switch.run(work)
    switch.release()
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]

    def say(text: bytes) -> None:
        accepted, _ = free.accept()
        accepted.recv(4096)
        accepted.sendall(text)
        accepted.close()

    for text, code in (
        (b"", "rpc.closed"),
        (b"SSH-2.0\r\n", "rpc.answer"),
        (b"{]", "rpc.answer"),
        (b'{"method":"A.B"}', "rpc.answer"),
        (b'{"id":null,"error":"jsonrpc.syntax: no"}', "rpc.error"),
    ):
        server_thread = threading.Thread(target=say, args=(text,))
        server_thread.start()
        with (
            RpcClient("127.0.0.1", port, timeout=5) as client,
            pytest.raises(TrunklineError) as caught,
        ):
            client.call("T.Echo", {})
        assert caught.value.code == code
        server_thread.join()
    free.close()
    for address in (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"):
        with pytest.raises(TrunklineError, match="nobody answers on 127") as caught:
            connect(address, 1)
        assert caught.value.code == "rpc.unreachable"


@pytest.mark.parametrize(
    "address", ["", "2012", "a:b", ":2012", "a:0", "a:70000", "http://", "http://a:b"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(TrunklineError) as caught:
        connect(address, 1)
    assert caught.value.code == "rpc.address"
