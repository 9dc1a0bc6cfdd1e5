"""Control sockets: JSON-RPC 2.0 over a Unix socket, one object per line.

Every process answers on ``$XDG_RUNTIME_DIR/trunkline/<network>/<node>.sock``; the command line,
the router shell, the lab and explain all use it. The server runs on the node's own event loop;
the client is blocking, for commands.

A request names a method of the node's dispatch table. ``subscribe`` turns the connection into a
stream of ``event`` notifications as well: each subscriber has a bounded queue, and what does not
fit is dropped and counted in the next notification's ``lost``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import inspect
import json
import os
import socket
import stat
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from trunkline.errors import TrunklineError

__all__ = [
    "API_VERSION",
    "Connection",
    "ControlClient",
    "ControlServer",
    "Json",
    "Method",
    "runtime_dir",
    "socket_path",
]

API_VERSION = 1

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Params: TypeAlias = "dict[str, Json]"
Method: TypeAlias = "Callable[[Connection, Params], Json | Awaitable[Json]]"

_LINE_LIMIT = 4 * 1024 * 1024  # octets of one request or answer
_QUEUE_LIMIT = 1000  # events waiting for one slow subscriber
_BACKLOG = 100  # clients that wait to be accepted
_ACCEPT_TURNS = 5  # rounds of the loop between accepting a client and the start of its task
_WRITE_LIMIT = 1024 * 1024  # octets in the transport before events wait in the queue

# JSON-RPC 2.0, section 5.1
_PARSE_ERROR, _INVALID_REQUEST, _METHOD_NOT_FOUND = -32700, -32600, -32601
_INVALID_PARAMS, _INTERNAL_ERROR = -32602, -32603
_APPLICATION_ERROR = -32000


def runtime_dir() -> Path:
    """The folder of all control sockets of this user, made with mode 0700 where it is missing.

    Raises:
        TrunklineError: ``control.runtime-dir`` when the folder belongs to somebody else, is a
            link, or cannot be made.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(base) / "trunkline" if base else Path(f"/tmp/trunkline-{os.getuid()}")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()  # in a folder open to all, a link could lead anywhere
    except OSError as problem:
        raise TrunklineError(
            "control.runtime-dir", f"{path}: {problem.strerror}: set XDG_RUNTIME_DIR to a folder"
        ) from problem
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise TrunklineError(
            "control.runtime-dir",
            f"{path} is no folder of yours: set XDG_RUNTIME_DIR to a folder of your own",
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        path.chmod(0o700)
    return path


def socket_path(network: str, node: str) -> Path:
    """Where ``node`` of ``network`` answers; the network's folder is made where it is missing."""
    folder = runtime_dir() / network
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{node}.sock"


class Connection:
    """One client of a node, as its methods see it: a place for per-client state and events."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.topics: frozenset[str] = frozenset()
        self.on_close: list[Callable[[], object]] = []
        self._writer = writer
        self._queue: deque[bytes] = deque()
        self._lost = 0
        self._draining: asyncio.Task[None] | None = None

    def notify(self, event: Mapping[str, Json]) -> None:
        """Send one event; when the client is too slow for it, count it as lost."""
        if len(self._queue) >= _QUEUE_LIMIT:
            self._lost += 1
            return
        params = dict(event)
        if self._lost:
            params["lost"], self._lost = self._lost, 0
        self._queue.append(_line({"jsonrpc": "2.0", "method": "event", "params": params}))
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    def respond(self, answer: dict[str, Json]) -> None:
        """Send the answer to a request."""
        self._writer.write(_line(answer))

    def forget(self) -> None:
        """Drop the events that still wait: the client is gone."""
        self.topics = frozenset()
        self._queue.clear()
        if self._draining is not None:
            self._draining.cancel()

    async def _drain(self) -> None:
        try:
            while self._queue:
                self._writer.write(self._queue.popleft())
                if self._writer.transport.get_write_buffer_size() > _WRITE_LIMIT:
                    await self._writer.drain()
        except ConnectionError:
            self._queue.clear()
        finally:
            self._draining = None


class ControlServer:
    """Answers ``methods`` on a Unix socket.

    A method takes the connection and the named parameters; it may be a coroutine function. A
    ``TrunklineError`` becomes an error answer that carries its code; anything else is reported to
    the loop's exception handler and answered as an internal error.
    """

    def __init__(self, path: Path, methods: Mapping[str, Method]) -> None:
        self.path = path
        self._methods = methods
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listen, replacing a socket that nobody answers any more.

        Raises:
            TrunklineError: ``control.in-use`` when another process answers there,
                ``control.socket`` when the socket cannot be made.
        """
        try:
            listener = self._listen()
        except OSError as problem:  # above all: a path longer than a socket's address may be
            raise TrunklineError(
                "control.socket", f"{self.path}: cannot listen: {problem}"
            ) from problem
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=_LINE_LIMIT
        )

    def _listen(self) -> socket.socket:
        """Take the path. Nobody else who starts comes between the look at it and that."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if self.path.exists():
                if _answers(self.path):
                    raise TrunklineError(
                        "control.in-use",
                        f"{self.path}: another process of this node is running; stop it first",
                    )
                self.path.unlink()
            listener.bind(str(self.path))
            self.path.chmod(0o600)
            self._inode = self.path.stat().st_ino
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
        finally:
            os.close(folder)
        return listener

    async def close(self) -> None:
        """Stop listening, end the connections and remove the socket, if it is ours."""
        if self._server is None:
            return
        # A client accepted this moment is attached to the server some rounds later, which a server
        # that is closed meanwhile does not survive: first see that no more can come.
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports finish closing in the loop's next round

    def wanted(self, topic: str) -> bool:
        """Whether anybody subscribed to ``topic`` (events nobody wants are never built)."""
        return any(topic in connection.topics for connection in self._connections)

    def publish(self, topic: str, event: Mapping[str, Json]) -> None:
        """Send ``event`` to the subscribers of ``topic``."""
        for connection in self._connections:
            if topic in connection.topics:
                connection.notify(event)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(writer)
        self._connections.add(connection)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while line := await _read_line(reader):
                answer = await self._answer(connection, line)
                if answer is not None:
                    connection.respond(answer)
                    await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the node is stopping: both end the connection alone
        except _LineTooLongError:
            connection.respond(_error(None, _INVALID_REQUEST, "the request is too long"))
        finally:
            self._connections.discard(connection)
            self._tasks.discard(task)
            for callback in connection.on_close:
                try:
                    callback()
                except Exception as problem:
                    _report("a control connection did not end well", problem)
            connection.forget()
            writer.close()

    async def _answer(self, connection: Connection, line: bytes) -> dict[str, Json] | None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as problem:  # recursion: brackets by the thousand
            return _error(None, _PARSE_ERROR, f"not JSON: {problem}")
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, _INVALID_REQUEST, "a request is an object with a method")
        identifier: Json = request.get("id")
        params = request.get("params", {})
        if not isinstance(params, dict):
            return _error(identifier, _INVALID_PARAMS, "params is an object of named parameters")
        name = request["method"]
        if name == "subscribe":
            topics = params.get("topics", [])
            if not isinstance(topics, list):
                return _error(identifier, _INVALID_PARAMS, "topics is a list of names")
            connection.topics = frozenset(str(topic) for topic in topics)
            result: Json = {"version": API_VERSION}
        elif (method := self._methods.get(name)) is None:
            known = ", ".join(sorted(self._methods))
            return _error(identifier, _METHOD_NOT_FOUND, f"no method {name!r}; there are: {known}")
        else:
            try:
                answer = method(connection, params)
                result = await answer if inspect.isawaitable(answer) else answer
            except TrunklineError as problem:
                return _error(identifier, _APPLICATION_ERROR, problem.message, problem.code)
            except Exception as problem:
                _report(f"control method {name} failed", problem)
                return _error(identifier, _INTERNAL_ERROR, f"{type(problem).__name__}: {problem}")
        if identifier is None:
            return None
        return {"jsonrpc": "2.0", "id": identifier, "result": result}


class ControlClient:
    """A blocking client of one node's control socket.

    Raises:
        TrunklineError: ``control.unreachable`` when nobody answers there, ``control.timeout``,
            or the node's own error with its code.
    """

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self.path = path
        self._timeout = timeout
        self._next_id = 1
        self._pending: deque[dict[str, Json]] = deque()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError as problem:
            self._socket.close()
            raise TrunklineError(
                "control.unreachable", f"nobody answers on {path}: {problem.strerror or problem}"
            ) from problem
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a thread that waits for events finds it at its end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self._socket.close()

    def call(self, method: str, params: Params | None = None, timeout: float | None = None) -> Json:
        """Call ``method`` and return its result; ``timeout`` in seconds replaces the client's."""
        identifier = self._next_id
        self._next_id += 1
        request: dict[str, Json] = {
            "jsonrpc": "2.0",
            "id": identifier,
            "method": method,
            "params": params or {},
        }
        self._socket.settimeout(self._timeout if timeout is None else timeout)
        try:
            self._socket.sendall(_line(request))
            while True:
                answer = self._read()
                if answer.get("id") == identifier:
                    break
                self._pending.append(answer)
        except TimeoutError:
            raise TrunklineError(
                "control.timeout", f"{self.path}: {method} did not answer in time"
            ) from None
        except OSError as problem:
            raise TrunklineError(
                "control.unreachable", f"{self.path}: the node went away: {problem}"
            ) from problem
        error = answer.get("error")
        if isinstance(error, dict):
            data = error.get("data")
            code = data.get("code") if isinstance(data, dict) else None
            raise TrunklineError(str(code or "control.error"), str(error.get("message")))
        return answer.get("result")

    def subscribe(self, topics: list[str]) -> Iterator[dict[str, Json]]:
        """Yield the events of ``topics`` until the node goes away."""
        self.call("subscribe", {"topics": [*topics]})
        self._socket.settimeout(None)
        while True:
            try:
                message = self._pending.popleft() if self._pending else self._read()
            except OSError:
                return
            params = message.get("params")
            if message.get("method") == "event" and isinstance(params, dict):
                yield params

    def _read(self) -> dict[str, Json]:
        line = self._file.readline()
        if not line:
            raise ConnectionResetError("connection closed")
        message = json.loads(line)
        assert isinstance(message, dict)
        return message


class _LineTooLongError(Exception):
    """A request over the limit; the rest of it is not read."""


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise _LineTooLongError from None


def _report(message: str, problem: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": problem})


def _line(message: Mapping[str, Json]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _error(identifier: Json, number: int, message: str, code: str | None = None) -> dict[str, Json]:
    error: dict[str, Json] = {"code": number, "message": message}
    if code is not None:
        error["data"] = {"code": code}
    return {"jsonrpc": "2.0", "id": identifier, "error": error}


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
