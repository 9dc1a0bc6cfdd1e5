"""One call of somebody's server, on a connection of its own: for a node, which waits for nobody.

Addresses are those of ``client.connect``.
"""

from __future__ import annotations

import asyncio
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json, Limits, Splitter, request
from trunkline.net.dialling import open_stream
from trunkline.net.http import post
from trunkline.net.jsonrpc.client import host_and_port, late, read, result

__all__ = ["call_once"]

_LIMITS: Final = Limits(octets=1 << 20)
_CHUNK: Final = 65536


async def call_once(address: str, method: str, argument: Json, *, timeout: float = 5.0) -> Json:
    """The result of ``method``; ``timeout``: seconds for all of it.

    Raises:
        TrunklineError: ``rpc.address``, ``rpc.timeout``, ``rpc.closed``, ``rpc.answer``,
            ``rpc.error``, and those of `post`.
    """
    body = request(method, argument, 1).encode("utf-8", "replace")
    if address.startswith("http://"):
        return result(method, read(address, (await post(address, body, timeout=timeout)).strip()))
    host, port = host_and_port(address)
    try:
        async with asyncio.timeout(timeout):
            return result(method, read(address, await _answer(host, port, body)))
    except TimeoutError:
        raise late(address, method, timeout) from None
    except (OSError, UnicodeError) as problem:
        raise TrunklineError("rpc.closed", f"{address}: {problem}") from problem


async def _answer(host: str, port: int, body: bytes) -> bytes:
    reader, writer = await open_stream(host, port)
    splitter = Splitter(_LIMITS)
    try:
        writer.write(body)
        while data := await reader.read(_CHUNK):
            for value in splitter.receive(data):
                return value
            if splitter.error is not None:
                raise splitter.error
        raise ConnectionError("it closed the connection before it answered")
    finally:
        writer.transport.abort()
