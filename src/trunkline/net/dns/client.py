"""One query to one name server: UDP, and TCP where the answer did not fit (RFC 1035 section 4.2).

Each query has a socket of its own, connected to the server: the kernel picks the source port at
random and lets nobody else's datagrams in. With the random identifier that is what RFC 5452 section
4 asks for. What still does not match is counted and waited over, not believed.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from trunkline.net.dns.servers import NameServer

__all__ = ["ClientCounters", "NoAnswerError", "query"]

_RECEIVE_OCTETS = 65535


class NoAnswerError(Exception):
    """A server gave no answer; the text says why. ``alive``: it said something all the same."""

    def __init__(self, why: str, *, alive: bool = False) -> None:
        super().__init__(why)
        self.alive = alive


@dataclass(slots=True)
class ClientCounters:
    """What went over the wire."""

    udp: int = 0
    """Queries over UDP."""
    tcp: int = 0
    """Queries over TCP, because the answer over UDP was truncated."""
    mismatched: int = 0
    """Datagrams and messages with another identifier or question than ours: not believed."""
    malformed: int = 0
    """Messages that are no DNS."""


async def query(
    server: NameServer, message: dns.message.Message, timeout: float, counters: ClientCounters
) -> dns.message.QueryMessage:
    """The response of ``server`` to ``message`` within ``timeout`` seconds, truncated or whole.

    Raises:
        NoAnswerError: nothing came, or nothing that is one.
    """
    try:
        async with asyncio.timeout(timeout):
            response = await _over_udp(server, message, counters)
            if response is None:
                response = await _over_tcp(server, message, counters)
            return response
    except TimeoutError:
        raise NoAnswerError(f"no answer within {timeout:g} s") from None
    except ConnectionRefusedError:
        raise NoAnswerError("refused: nothing listens there") from None
    except OSError as problem:
        raise NoAnswerError(problem.strerror or str(problem)) from None
    except asyncio.IncompleteReadError:
        raise NoAnswerError("closed the TCP connection without an answer") from None


def _decoded(
    data: bytes, ours: dns.message.Message, counters: ClientCounters
) -> dns.message.QueryMessage | None:
    """``data`` if it answers ``ours``."""
    if data[:2] != ours.id.to_bytes(2, "big"):
        counters.mismatched += 1
        return None
    truncated = len(data) > 2 and bool(data[2] & 0x02)  # TC, RFC 1035 section 4.1.1
    try:
        message = dns.message.from_wire(data, question_only=truncated)
    except (dns.exception.DNSException, ValueError):
        counters.malformed += 1
        return None
    if not isinstance(message, dns.message.QueryMessage) or not ours.is_response(message):
        counters.mismatched += 1
        return None
    return message


async def _over_udp(
    server: NameServer, message: dns.message.Message, counters: ClientCounters
) -> dns.message.QueryMessage | None:
    """The response, or None if it did not fit."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as own:
        own.setblocking(False)
        own.connect(_address(server, family))
        own.send(message.to_wire())
        counters.udp += 1
        while True:
            response = _decoded(await loop.sock_recv(own, _RECEIVE_OCTETS), message, counters)
            if response is not None:
                return None if response.flags & dns.flags.TC else response


async def _over_tcp(
    server: NameServer, message: dns.message.Message, counters: ClientCounters
) -> dns.message.QueryMessage:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        wire = message.to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        counters.tcp += 1
        length = int.from_bytes(await reader.readexactly(2), "big")
        response = _decoded(await reader.readexactly(length), message, counters)
    finally:
        writer.close()
    if response is None or response.flags & dns.flags.TC:
        raise NoAnswerError("answered over TCP with something else", alive=True)
    return response


def _address(server: NameServer, family: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if family == socket.AF_INET:
        return server.host, server.port
    host, _, zone = server.host.partition("%")
    if not zone:
        return host, server.port, 0, 0
    index = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    return host, server.port, 0, index
