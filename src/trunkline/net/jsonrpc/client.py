"""Blocking clients of the charging API, for commands: ours, and the reference's servers.

``connect`` chooses by the address: ``HOST:PORT`` is TCP, ``http://HOST:PORT/jsonrpc`` HTTP.
"""

from __future__ import annotations

import http.client
import itertools
import socket
import time
from collections import deque
from typing import Final, Protocol
from urllib.parse import urlsplit

from trunkline.errors import DecodeError, TrunklineError
from trunkline.jsonrpc import Answer, Json, Limits, Splitter, parse, request

__all__ = [
    "Client",
    "HttpRpcClient",
    "RpcClient",
    "connect",
    "host_and_port",
    "late",
    "read",
    "result",
]

_LIMITS: Final = Limits(octets=64 << 20)  # an answer may list a thousand accounts
_CHUNK: Final = 65536


class Client(Protocol):
    """Either client."""

    def call(self, method: str, argument: Json) -> Json:
        """The result of ``method``; see the clients for what is raised."""

    def close(self) -> None:
        """End the connection."""


def connect(address: str, timeout: float = 10.0) -> Client:
    """A client of the server at ``HOST:PORT`` or an ``http:`` URL.

    Raises:
        TrunklineError: ``rpc.address``, ``rpc.unreachable``.
    """
    if address.startswith("http://"):
        return HttpRpcClient(address, timeout)
    return RpcClient(*host_and_port(address), timeout)


def host_and_port(address: str) -> tuple[str, int]:
    """What ``HOST:PORT`` says.

    Raises:
        TrunklineError: ``rpc.address``.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise TrunklineError(
            "rpc.address",
            f"{address[:80]!r} is no address: write 127.0.0.1:2012, or"
            " http://127.0.0.1:2080/jsonrpc",
        )
    return host, int(port)


class RpcClient:
    """Calls over one connection of TCP.

    Raises:
        TrunklineError: ``rpc.unreachable``, ``rpc.timeout``, ``rpc.closed``, ``rpc.answer``, and
            ``rpc.error`` with what the server answered.
    """

    def __init__(self, host: str, port: int, timeout: float = 10.0) -> None:
        self.place: Final = f"{host}:{port}"
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._splitter = Splitter(_LIMITS)
        self._values: deque[bytes] = deque()
        try:
            self._socket = socket.create_connection((host, port), timeout)
        except OSError as problem:
            raise _unreachable(self.place, problem) from problem

    def __enter__(self) -> RpcClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def call(self, method: str, argument: Json) -> Json:
        """The result of ``method``; answers to others' calls are passed over."""
        number = next(self._numbers)
        deadline = time.monotonic() + self._timeout
        try:
            self._socket.sendall(request(method, argument, number).encode("utf-8", "replace"))
            while True:
                while self._values:
                    answer = read(self.place, self._values.popleft())
                    if answer.id == number:
                        return result(method, answer)
                    if answer.id is None and answer.error is not None:  # the stream has ended
                        raise TrunklineError("rpc.error", f"{method}: {answer.error}")
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                data = self._socket.recv(_CHUNK)
                if not data:
                    raise TrunklineError(
                        "rpc.closed", f"{self.place} closed the connection before it answered"
                    )
                self._values += self._splitter.receive(data)
                if not self._values and self._splitter.error is not None:
                    raise _no_answer(self.place, self._splitter.error)
        except TimeoutError:
            raise late(self.place, method, self._timeout) from None
        except OSError as problem:
            raise TrunklineError("rpc.closed", f"{self.place}: {problem}") from problem


class HttpRpcClient:
    """Calls as requests of HTTP; raises what ``RpcClient`` raises."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 80
        except ValueError as problem:
            raise TrunklineError("rpc.address", f"{url[:80]!r} is no address: {problem}") from None
        if not host:
            raise TrunklineError("rpc.address", f"{url[:80]!r} names no host")
        self.place: Final = f"{host}:{port}"
        self._path = parts.path or "/jsonrpc"
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._http = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            self._http.connect()
        except OSError as problem:
            raise _unreachable(self.place, problem) from problem

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def call(self, method: str, argument: Json) -> Json:
        """The result of ``method``."""
        body = request(method, argument, next(self._numbers)).encode("utf-8", "replace")
        try:
            self._http.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = self._http.getresponse()
            data = response.read(_LIMITS.octets)
        except TimeoutError:
            raise late(self.place, method, self._timeout) from None
        except (OSError, http.client.HTTPException) as problem:
            why = str(problem) or type(problem).__name__
            raise TrunklineError("rpc.closed", f"{self.place}: {why}") from problem
        if response.getheader("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise TrunklineError(
                "rpc.answer", f"{self.place}{self._path} answered {response.status}, no JSON-RPC"
            )
        return result(method, read(self.place, data.strip()))


def read(place: str, value: bytes) -> Answer:
    """The answer that ``place`` gave.

    Raises:
        TrunklineError: ``rpc.answer``.
    """
    try:
        message = parse(value) if value[:1] in (b"{", b"[") else None
    except DecodeError as problem:
        raise _no_answer(place, problem) from None
    if not isinstance(message, Answer):
        raise TrunklineError("rpc.answer", f"{place} answered what is no answer: {value[:60]!r}")
    return message


def result(method: str, answer: Answer) -> Json:
    """What was answered.

    Raises:
        TrunklineError: ``rpc.error``.
    """
    if answer.error is not None:
        raise TrunklineError("rpc.error", f"{method}: {answer.error}")
    return answer.result


def _unreachable(place: str, problem: OSError) -> TrunklineError:
    why = problem.strerror or str(problem) or type(problem).__name__
    return TrunklineError(
        "rpc.unreachable",
        f"nobody answers on {place}: {why}; start a charging node with `trunkline run FILE`",
    )


def late(place: str, method: str, timeout: float) -> TrunklineError:
    """That no answer came."""
    return TrunklineError("rpc.timeout", f"{place}: {method} was not answered in {timeout:g} s")


def _no_answer(place: str, problem: DecodeError) -> TrunklineError:
    return TrunklineError("rpc.answer", f"{place} answered what is no JSON: {problem.message}")
