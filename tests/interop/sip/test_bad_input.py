"""Bad input by real sockets: RFC 4475 and RFC 5118, cut messages, garbage. The node lives on."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.interop.sip.node import Node
from tests.interop.sip.programs import until
from tests.interop.sip.scenarios import expect, request, send
from tests.interop.sip.site import Site
from tests.sip.test_torture import CASES, Case, octets

from trunkline.sip.message import Request, Response, parse
from trunkline.sip.via import top_via

pytestmark = pytest.mark.interop

SENDER = "127.88.44.22"
"""An address of our own on the loopback: answers go to the ports that the messages name."""
RELAY = """
@on_request()
@in_dialog()
def route(request: Request) -> None:
    request.headers.remove("Route")  # of other networks
    request.relay(via="{}")
"""


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A UDP socket."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as made:
        made.bind((host, port))
        made.settimeout(10)
        yield made


def next_request(sink: socket.socket, seen: set[bytes]) -> Request:
    """The next request that is no retransmission; it is answered 200."""
    while True:
        data, source = sink.recvfrom(65_536)
        if data not in seen:
            seen.add(data)
            request = parse(data)
            assert isinstance(request, Request)
            sink.sendto(Response.answer(request, 200, to_tag="sink").to_bytes(), source)
            return request


def status_of(sender: socket.socket) -> int:
    """The next answer but 100."""
    while True:
        answer = parse(sender.recv(65_536))
        assert isinstance(answer, Response)
        if answer.status != 100:
            return answer.status


def test_the_torture_messages(site: Site, vectors: Path) -> None:
    with bound("127.0.0.1", 0) as sink:
        node = site.node(RELAY.format(f"sip:127.0.0.1:{sink.getsockname()[1]}"))
        seen: set[bytes] = set()
        for case in CASES:
            try:
                one_message(node, case, octets(vectors, case), sink, seen)
            except (AssertionError, TimeoutError) as problem:
                pytest.fail(f"{case.file}: {problem!r}\n{node.printed}")
        refused = node.counters("refused")
    assert sum(refused.values()) == sum(
        bool(case.proxy) and not case.proxy.startswith("0") for case in CASES
    )
    node.healthy()


def one_message(node: Node, case: Case, data: bytes, sink: socket.socket, seen: set[bytes]) -> None:
    """Send a message; see that what becomes of it is what the conformance page says."""
    via = top_via(first_via(data))
    assert via is not None
    if via.branch not in ("", "z9hG4bK"):  # several have that of another, as if they were that
        data = data.replace(via.branch.encode(), via.branch.encode() + case.file.encode(), 1)
    before = node.counters("discarded")
    with bound(SENDER, via.port or 5060) as sender:
        sender.sendto(data, ("127.0.0.1", node.port))
        status, _, _ = case.proxy.partition(" ")
        if data.startswith(b"SIP/") or status == "0":  # nobody had asked
            until(lambda: node.counters("discarded") != before, f"{case.file} is counted")
        elif status:
            assert status_of(sender) == int(status)
        else:
            request = next_request(sink, seen)
            assert data.startswith(request.method.encode())
            assert status_of(sender) == 200


def first_via(data: bytes) -> str:
    """The first value of the first Via row."""
    for line in (
        data.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").decode("latin-1").split("\r\n")
    ):
        name, _, value = line.partition(":")
        if name.strip().lower() in ("via", "v"):
            return value.strip().split(",")[0]
    raise AssertionError("no Via")


def mutilated(vectors: Path, count: int) -> Iterator[bytes]:
    """Messages that were cut, spliced, filled with garbage, or are nothing but that."""
    chance = random.Random(4475)
    known = [octets(vectors, case) for case in CASES]
    for _ in range(count):
        data, other = bytearray(chance.choice(known)), chance.choice(known)
        match chance.randrange(5):
            case 0:
                del data[chance.randrange(len(data)) :]
            case 1:
                at = chance.randrange(len(data))
                data[at : at + chance.randrange(40)] = chance.randbytes(chance.randrange(40))
            case 2:
                data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]
            case 3:
                at = data.find(b"\r\n") + 2
                row = chance.choice(
                    [b"Via: x\r\n", b"Route: <sip:[::]>\r\n", b"X:" + b"," * 500 + b"\r\n"]
                )
                data[at:at] = row * chance.randrange(1, 60)
            case _:
                data = bytearray(chance.randbytes(chance.randrange(2000)))
        yield bytes(data)


@pytest.mark.parametrize("workers", [1, 2])
def test_cut_and_spliced_messages_and_garbage(site: Site, vectors: Path, workers: int) -> None:
    callee = site.callee()
    with bound("127.0.0.1", 0) as sink:
        settings = f'dns = ["127.0.0.1:{sink.getsockname()[1]}"]'  # asks nobody outside
        node = site.node(RELAY.format("sip:127.0.0.1:9"), workers=workers, settings=settings)
        count = 3000
        with bound(SENDER, 0) as sender:
            for number, data in enumerate(mutilated(vectors, count), 1):
                sender.sendto(data, ("127.0.0.1", node.port))
                if number % 50 == 0:  # no more than its buffer has room for
                    wait_received(node, number)
            for hostile in (b"", b"\0" * 65_000, b"OPTIONS sip:x SIP/2.0\r\n" + b"A: b\r\n" * 9000):
                sender.sendto(hostile, ("127.0.0.1", node.port))
        node.write(RELAY.format(callee.uri))
        node.reload()
        site.caller(node.address, calls=20).succeeded()
        callee.succeeded(20)
        assert sum(node.counters("discarded").values()) > count / 20
        node.healthy()


def wait_received(node: Node, count: int) -> None:
    """Wait until it has taken so many datagrams."""
    until(lambda: received(node) >= count, f"{count} datagrams were taken")


def received(node: Node) -> int:
    """The datagrams that it has handed up or taken for keep-alives."""
    udp = node.counters("transports", f"UDP {node.address}")
    return udp["received"] + udp["keepalives"]


def test_a_request_to_ourselves_is_seen_to_loop(site: Site) -> None:
    node = site.node("@on_request()\ndef route(request: Request) -> None:\n    request.relay()\n")
    caller = site.caller(node.address, (send(request("OPTIONS")), expect(482)))
    caller.succeeded()
    assert node.counter("transactions", "requests") == 2
    node.healthy()


def test_an_answer_to_ourselves_ends_there(site: Site) -> None:
    node = site.node(
        "@on_request()\ndef route(request: Request) -> None:\n    request.reply(404)\n"
    )
    spoofed = Request.build(
        "OPTIONS",
        "sip:x@example.org",
        [
            ("Via", f"SIP/2.0/UDP {node.address};branch=z9hG4bKspoofed"),
            *(("From", "<sip:x@example.org>;tag=1"), ("To", "<sip:x@example.org>")),
            *(("Call-ID", "1"), ("CSeq", "1 OPTIONS"), ("Max-Forwards", "70")),
        ],
    )
    with bound("127.0.0.1", 0) as sender:
        sender.sendto(spoofed.to_bytes(), ("127.0.0.1", node.port))
    until(lambda: node.counters("discarded") == {"sip.stray-response": 1}, "the answer is a stray")
    node.healthy()
