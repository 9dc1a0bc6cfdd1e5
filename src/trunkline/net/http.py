"""A request of HTTP/1.1 (RFC 9112) to somebody else's server: ``POST``, and what it answered.

One request on a connection of its own. Redirects are not followed, and no proxy is asked.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from functools import cache
from typing import Final
from urllib.parse import unquote, urlsplit

import h11

from trunkline import __version__
from trunkline.errors import TrunklineError
from trunkline.net.dialling import open_stream

__all__ = ["post"]

_PORTS: Final = {"http": 80, "https": 443}
_CHUNK: Final = 65536
_MOST: Final = 1 << 20  # octets of an answer that are waited for


async def post(
    url: str, body: bytes, *, content_type: str = "application/json", timeout: float = 5.0
) -> bytes:
    """What ``url`` answers with success (200 to 299) to ``body``; its first MiB, if it is longer.

    Args:
        url: ``http://`` or ``https://``, with a name and password if need be. Certificates are
            looked at.
        body: The octets.
        content_type: What they are.
        timeout: Seconds for all of it.

    Raises:
        TrunklineError: ``http.url``, it is none: to try again is no use; ``http.failed``, nobody
            was there, or not in time, or the answer was another.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        port = parts.port or _PORTS.get(parts.scheme, 0)
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}".encode("ascii")
    except ValueError:
        host, port = "", 0
    if not host or not port:
        raise TrunklineError("http.url", f"{url[:200]!r} is no URL to post to: write http://…")
    shown = f"[{host}]" if ":" in host else host
    headers = [
        ("Host", f"{shown}:{parts.port}" if parts.port else shown),
        ("User-Agent", f"Trunkline/{__version__}"),
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    if parts.username is not None:
        name = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers.append(("Authorization", f"Basic {base64.b64encode(name).decode()}"))
    where = f"{parts.scheme}://{host}:{port}{parts.path}"
    try:
        http = h11.Connection(h11.CLIENT)
        octets = [
            http.send(h11.Request(method="POST", target=target, headers=headers)) or b"",
            http.send(h11.Data(data=body)) or b"",
            http.send(h11.EndOfMessage()) or b"",
        ]
    except h11.LocalProtocolError as problem:
        raise TrunklineError("http.url", f"{url[:200]!r} cannot be asked for: {problem}") from None
    try:
        async with asyncio.timeout(timeout):
            context = _context() if parts.scheme == "https" else None
            status, answer = await _asked(http, host, port, context, b"".join(octets))
    except TimeoutError:
        raise TrunklineError("http.failed", f"{where} did not answer in {timeout:g} s") from None
    except (OSError, h11.RemoteProtocolError) as problem:
        why = str(problem) or type(problem).__name__
        raise TrunklineError("http.failed", f"{where}: {why}") from problem
    if not 200 <= status < 300:
        raise TrunklineError("http.failed", f"{where} answered {status}")
    return answer


@cache
def _context() -> ssl.SSLContext:
    """Made once: to read the certificates of this machine takes a while, and the loop waits."""
    return ssl.create_default_context()


async def _asked(
    http: h11.Connection, host: str, port: int, context: ssl.SSLContext | None, octets: bytes
) -> tuple[int, bytes]:
    """The status of the answer and what it holds, when all of it has come, or enough of it."""
    reader, writer = await open_stream(host, port, context)
    try:
        writer.write(octets)
        await writer.drain()
        status, answer = 0, bytearray()
        while True:
            event = http.next_event()
            match event:
                case h11.NEED_DATA:
                    http.receive_data(await reader.read(_CHUNK))
                case h11.Response():
                    status = event.status_code
                case h11.Data():
                    answer += event.data
                    if len(answer) > _MOST:
                        return status, bytes(answer[:_MOST])
                case h11.EndOfMessage() | h11.ConnectionClosed():
                    return status, bytes(answer)
    finally:
        writer.transport.abort()  # nothing is owed to a server that does not read
