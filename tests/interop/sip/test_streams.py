"""TCP: calls by sipp, messages in fragments and many in one, connections that end or hang."""

from __future__ import annotations

import contextlib
import random
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from tests.interop.sip.node import Node
from tests.interop.sip.programs import free_port, until
from tests.interop.sip.scenarios import CALL
from tests.interop.sip.sipp import Sipp
from tests.interop.sip.site import Site

from trunkline.sip.message import Request

pytestmark = pytest.mark.interop

RELAY = """
@on_request()
def route(request: Request) -> None:
    request.relay(via="{}")
"""
ANSWERS = """
@on_request()
def route(request: Request) -> None:
    request.reply(200)
"""


def node_of(site: Site, script: str, workers: int = 1) -> Node:
    """A node that listens on TCP too, on the same port."""
    port = free_port()
    return site.node(script, port=port, listen=(f"tcp:127.0.0.1:{port}",), workers=workers)


def over_tcp(callee: Sipp) -> str:
    """The URI of a callee that listens on TCP."""
    return f"{callee.uri};transport=tcp"


@pytest.mark.parametrize(
    ("here", "there", "workers"),
    [("t1", "t1", 1), ("tn", "t1", 4), ("u1", "t1", 4), ("t1", "u1", 4)],
)
def test_calls_by_tcp(site: Site, here: str, there: str, workers: int) -> None:
    callee = site.callee(transport=there)
    uri = over_tcp(callee) if there[0] == "t" else callee.uri
    node = node_of(site, RELAY.format(uri), workers)
    caller = site.caller(node.address, calls=60, rate=60, transport=here)
    caller.succeeded()
    callee.succeeded(60)
    assert node.counter("transactions", "retransmitted") == 0
    node.healthy()


def tcp(node: Node) -> dict[str, int]:
    """The counters of its TCP transport."""
    return node.counters("transports", f"TCP {node.address}")


def test_a_request_too_large_for_a_datagram_goes_by_tcp(site: Site) -> None:
    callee = site.callee(transport="t1")
    node = node_of(site, RELAY.format(callee.uri))  # whose transport is UDP (RFC 3263 section 4.1)
    large = CALL[0].replace("Max-Forwards: 70", f"Max-Forwards: 70\nX-Large: {'x' * 1300}")
    site.caller(node.address, (large, *CALL[1:]), calls=10).succeeded()
    callee.succeeded(10)
    assert tcp(node)["opened"] == 1
    node.healthy()


def test_one_connection_serves_all_calls_to_a_server(site: Site) -> None:
    callee = site.callee(transport="t1")
    node = node_of(site, RELAY.format(over_tcp(callee)))
    site.caller(node.address, calls=50, rate=100).succeeded()
    callee.succeeded(50)
    assert tcp(node)["opened"] == 1


def test_a_server_that_comes_back_is_connected_to_again(site: Site) -> None:
    callee = site.callee(transport="t1")
    node = node_of(site, RELAY.format(over_tcp(callee)))
    site.caller(node.address, name="before", calls=5).succeeded()
    callee.kill()
    until(lambda: tcp(node)["closed"] == 1, "the end of the connection is noticed")
    callee = site.callee(name="again", port=callee.port, transport="t1")
    site.caller(node.address, name="after", calls=5).succeeded()
    callee.succeeded(5)
    assert tcp(node)["opened"] == 2
    node.healthy()


def options(number: int) -> bytes:
    """A request; every other one has a body."""
    rows = [
        ("Via", f"SIP/2.0/TCP client.invalid;branch=z9hG4bK{number}"),
        ("Max-Forwards", "70"),
        *(("From", "<sip:x@example.org>;tag=1"), ("To", "<sip:y@example.org>")),
        *(("Call-ID", f"call{number}"), ("CSeq", "1 OPTIONS")),
    ]
    body = b"\r\n\r\nSIP/2.0 OPTIONS" * (number % 2)
    return Request.build("OPTIONS", "sip:y@example.org", rows, body).to_bytes()


class Client:
    """A connection, and what came by it."""

    def __init__(self, node: Node) -> None:
        self.socket = socket.create_connection(("127.0.0.1", node.port), 10)
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        self.socket.close()

    def answers(self, count: int) -> list[tuple[int, str]]:
        """Wait for so many answers, which have no bodies: status and Call-ID of each."""
        while self.received.count(b"\r\n\r\n") < count:
            data = self.socket.recv(65_536)
            assert data, "the connection was closed"
            self.received += data
        heads = self.received.decode().split("\r\n\r\n")
        assert heads.pop() == ""
        self.received = b""
        found = []
        for head in heads:
            call = re.search(r"\r\nCall-ID: (.*)", head)
            assert call is not None
            found.append((int(head.split(" ")[1]), call[1].strip()))
        return found

    def closed(self) -> bytes:
        """Wait for the end of the connection; return what came before it."""
        while data := self.socket.recv(65_536):
            self.received += data
        return self.received


@pytest.fixture
def node(site: Site) -> Node:
    return node_of(site, ANSWERS)


@pytest.fixture
def client(node: Node) -> Iterator[Client]:
    with closing(Client(node)) as client:
        yield client


def test_octet_by_octet(client: Client) -> None:
    for number in range(2):
        for octet in options(number):
            client.send(bytes([octet]))
        assert client.answers(1) == [(200, f"call{number}")]


def test_many_at_once(node: Node, client: Client) -> None:
    client.send(b"".join(map(options, range(200))))
    assert client.answers(200) == [(200, f"call{number}") for number in range(200)]
    node.healthy()


def test_any_pieces(node: Node, client: Client) -> None:
    chance = random.Random(7)
    octets = b"\r\n".join(map(options, range(100)))
    while octets:
        size = chance.randrange(1, 900)
        client.send(octets[:size])
        octets = octets[size:]
    assert client.answers(100) == [(200, f"call{number}") for number in range(100)]
    node.healthy()


def test_a_ping_is_answered(client: Client) -> None:
    client.send(b"\r\n\r\n")  # RFC 5626 section 3.5.1
    assert client.socket.recv(100) == b"\r\n"
    client.send(options(1))
    assert client.answers(1) == [(200, "call1")]


def test_a_stream_that_cannot_be_cut_is_closed_after_an_answer(node: Node, client: Client) -> None:
    good, bad = options(0), options(2)
    client.send(good + bad.replace(b"Content-Length: 0", b"Content-Length: nothing"))
    statuses = [
        int(line.split()[1]) for line in client.closed().splitlines() if b"SIP/2.0 " in line[:8]
    ]
    assert statuses == [200, 400]
    assert sum(node.counters("discarded").values()) == 1
    node.healthy()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 5000,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01" * 9,
        b"x" * 200_000,
    ],
    ids=["zeros", "http", "tls", "endless"],
)
def test_garbage_ends_its_connection_and_no_other(
    node: Node, client: Client, garbage: bytes
) -> None:
    # It may be closed while we still send.
    with closing(Client(node)) as hostile, contextlib.suppress(ConnectionError):
        hostile.send(garbage)
        hostile.closed()
    client.send(options(1))
    assert client.answers(1) == [(200, "call1")]
    node.healthy()


def test_connections_that_hang_hold_up_nobody(node: Node, client: Client) -> None:
    with ExitStack() as slow:
        for number in range(300):  # each with half a message
            hanging = slow.enter_context(closing(Client(node)))
            hanging.send(options(number)[: 20 + number % 60])
        until(lambda: tcp(node)["accepted"] == 301, "all are connected")
        for number in range(50):
            client.send(options(number))
            assert client.answers(1) == [(200, f"call{number}")]
    until(lambda: tcp(node)["closed"] == 300, "all are gone")
    node.healthy()
