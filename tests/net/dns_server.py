"""A name server that does as a test tells it: on a thread of its own, UDP and TCP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Reply = dns.message.Message | bytes | None
"""A message, octets as they are, or silence."""
Behaviour = Callable[[dns.message.Message, str], list[Reply]]
"""From a query, and ``"udp"`` or ``"tcp"``, to what goes back in turn."""

SOA = "example. 300 IN SOA ns.example. hostmaster.example. 1 3600 600 86400 30"


def records(*lines: str) -> list[dns.rrset.RRset]:
    """Record sets from lines as in a zone file."""
    sets: dict[tuple[str, str], list[str]] = {}
    ttls: dict[tuple[str, str], int] = {}
    for line in lines:
        name, ttl, _, kind, rest = line.split(None, 4)
        sets.setdefault((name, kind), []).append(rest)
        ttls[name, kind] = int(ttl)
    return [
        dns.rrset.from_text_list(name, ttls[name, kind], "IN", kind, values)
        for (name, kind), values in sets.items()
    ]


def zone(*lines: str, soa: bool = True) -> Behaviour:
    """Serves records, with aliases; what it has not is NXDOMAIN or NODATA with an SOA."""
    sets = records(*lines)

    def answer(query: dns.message.Message, transport: str) -> list[Reply]:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        name, kind = query.question[0].name, query.question[0].rdtype
        for _ in range(20):
            here = [each for each in sets if each.name == name]
            found = [each for each in here if each.rdtype == kind]
            alias = [each for each in here if each.rdtype == dns.rdatatype.CNAME]
            response.answer += [each for each in found or alias if each not in response.answer]
            if found or not alias:
                break
            name = alias[0][0].target
        if not found and not alias:
            if not here and not response.answer:
                response.set_rcode(dns.rcode.NXDOMAIN)
            if soa:
                response.authority += records(SOA)
        return [response]

    return answer


def says(rcode: dns.rcode.Rcode) -> Behaviour:
    """Answers everything with ``rcode``."""

    def answer(query: dns.message.Message, transport: str) -> list[Reply]:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        return [response]

    return answer


def silent(query: dns.message.Message, transport: str) -> list[Reply]:
    return [None]


class DnsServer:
    """One server on a port of 127.0.0.1. ``behaviour`` may be changed at any time."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.queries: list[str] = []
        """``"udp A x.example."`` and so on."""
        self.ports: list[int] = []
        """From where they came."""
        self.messages: list[dns.message.Message] = []
        self.udp, self.tcp = _pair()
        self.port: int = self.udp.getsockname()[1]
        self.text = f"127.0.0.1:{self.port}"
        self._threads = [
            threading.Thread(target=self._serve_udp, daemon=True),
            threading.Thread(target=self._serve_tcp, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
            waking.sendto(b"", ("127.0.0.1", self.port))
        self.tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self.udp.close()
        self.tcp.close()

    def _replies(self, wire: bytes, transport: str, port: int) -> Iterator[bytes]:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        self.queries.append(f"{transport} {question.rdtype.name} {question.name}")
        self.ports.append(port)
        self.messages.append(query)
        for reply in self.behaviour(query, transport):
            if isinstance(reply, dns.message.Message):
                yield reply.to_wire(max_size=65535)
            elif reply is not None:
                yield reply

    def _serve_udp(self) -> None:
        while True:
            wire, source = self.udp.recvfrom(65535)
            if not wire:
                return
            for reply in self._replies(wire, "udp", source[1]):
                self.udp.sendto(reply, source)

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, source = self.tcp.accept()
            except OSError:
                return
            with connection:
                length = int.from_bytes(connection.recv(2), "big")
                for reply in self._replies(connection.recv(length), "tcp", source[1]):
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)


def _pair() -> tuple[socket.socket, socket.socket]:
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket()
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen()
        return udp, tcp


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[DnsServer]:
    server = DnsServer(behaviour)
    try:
        yield server
    finally:
        server.close()
