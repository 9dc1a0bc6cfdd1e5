"""A connection that is lost, on real sockets: requests that waited fail, registrations go."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from trunkline.config.network import destination_sets
from trunkline.config.proxy import Listen
from trunkline.elements.log import RouterLog
from trunkline.elements.proxy.destinations import Destinations
from trunkline.elements.proxy.element import ProxyElement
from trunkline.elements.proxy.hops import Finder, rules_for
from trunkline.elements.proxy.script import load_script
from trunkline.elements.proxy.services import Registrations, Services, Users
from trunkline.elements.proxy.tokens import token_source
from trunkline.elements.proxy.transports import SocketTransports
from trunkline.net.control import ControlClient
from trunkline.net.dns import Locator, ZoneResolver
from trunkline.sip import digest, registrar
from trunkline.sip.framing import StreamFramer
from trunkline.sip.message import Message, Request, Response, parse
from trunkline.sip.proxy import Identity
from trunkline.sip.transport import Address, Transport
from trunkline.store.location import MemoryLocation

SCRIPT = """
from trunkline.script import on_request

@on_request("REGISTER")
async def register(request):
    await request.register()

@on_request("MESSAGE")
async def message(request):
    contacts = await request.lookup()
    if not contacts:
        return request.reply(480)
    request.fork(*contacts)

@on_request("INVITE")
def invite(request):
    request.relay(via=request.app.destinations("gateways"))
"""
INSTANCE = '+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'
PATIENCE = 5.0
_numbers = itertools.count(1)


class Node:
    """A proxy with sockets of its own on loopback."""

    def __init__(self, script: Path, targets: list[object]) -> None:
        loop = asyncio.get_running_loop()
        listen = [Listen.parse(f"{kind}:127.0.0.1:0") for kind in ("udp", "tcp")]
        self.transports = SocketTransports(loop, listen)
        identity = Identity(self.transports.listeners, ["example.org"])
        locator = Locator(ZoneResolver(""), rules_for(identity))
        finder = Finder(identity, locator)
        clock = time.time
        users = Users(
            digest.KnownUsers({}), realm="x", secret=bytes(16), clock=clock, random=os.urandom
        )
        self.registrations = Registrations(
            registrar.Settings(frozenset({"example.org"})),
            MemoryLocation(),
            node="node",
            clock=clock,
            random=os.urandom,
        )
        sets = destination_sets({"gateways": {"targets": targets}}) if targets else {}
        self.element = ProxyElement(
            loop,
            identity,
            load_script(script),
            self.transports,
            finder,
            name="node",
            log=RouterLog(),
            token=token_source(),
            services=Services(users, self.registrations),
            destinations=Destinations(sets, lambda most: 0),
        )
        element = self.element
        self.transports.connect(element.receive, element.failed, element.refused, element.lost)
        udp, tcp = self.transports.listeners
        self.udp, self.tcp = udp.local, tcp.local

    async def __aenter__(self) -> Self:
        await self.element.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.element.close()
        self.transports.close()
        await self.transports.wait_closed()

    async def ask(self, method: str) -> Response:
        """Send a request by UDP; its final response."""
        return await asked(self.udp, "sip:bob@example.org", method)


async def asked(address: Address, uri: str, method: str = "MESSAGE") -> Response:
    """The final response to a request that is sent to ``address`` by UDP."""
    loop = asyncio.get_running_loop()
    caller = _Datagrams()
    transport, _ = await loop.create_datagram_endpoint(lambda: caller, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    transport.sendto(request(method, uri, "UDP", port).to_bytes(), address)
    try:
        while (answer := await asyncio.wait_for(caller.came.get(), PATIENCE)).status < 200:
            pass
    finally:
        transport.close()
    return answer


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came: asyncio.Queue[Response] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        message = parse(data)
        assert isinstance(message, Response)
        self.came.put_nowait(message)


class Stream:
    """One end of a TCP connection that SIP messages go by."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._framer = StreamFramer()
        self._messages: list[Message] = []

    @classmethod
    async def to(cls, address: Address) -> Stream:
        return cls(*await asyncio.open_connection(*address))

    @property
    def port(self) -> int:
        port: int = self.writer.get_extra_info("sockname")[1]
        return port

    def send(self, message: Message) -> None:
        self.writer.write(message.to_bytes())

    async def receive(self) -> Message:
        while not self._messages:
            data = await asyncio.wait_for(self.reader.read(65536), PATIENCE)
            assert data, "the proxy closed"
            self._messages += map(parse, self._framer.receive(data, 0.0))
        return self._messages.pop(0)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    def reset(self) -> None:
        self.writer.transport.abort()


def request(method: str, uri: str, kind: str, port: int, *rows: tuple[str, str]) -> Request:
    number = next(_numbers)
    names = {name for name, _ in rows}
    made = [
        ("Via", f"SIP/2.0/{kind} 127.0.0.1:{port};branch=z9hG4bK{number};rport"),
        ("Max-Forwards", "70"),
        ("From", "<sip:bob@example.org>;tag=1"),
        ("To", "<sip:bob@example.org>"),
        ("Call-ID", f"call{number}"),
        ("CSeq", f"{number} {method}"),
    ]
    return Request.build(method, uri, [row for row in made if row[0] not in names] + [*rows])


async def registered(node: Node, contact: str) -> Stream:
    """A phone that has registered by TCP; ``PORT`` in the contact is its own."""
    phone = await Stream.to(node.tcp)
    contact = contact.replace("PORT", str(phone.port))
    rows = [("Contact", contact), ("Supported", "outbound, path")]
    phone.send(request("REGISTER", "sip:example.org", "TCP", phone.port, *rows))
    answer = await phone.receive()
    assert isinstance(answer, Response)
    assert answer.status == 200
    return phone


async def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await work()

    asyncio.run(bounded())


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_gateway_that_dies_in_mid_call_is_given_up_at_once(script: Path, end: str) -> None:
    async def work() -> None:
        async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stream = Stream(reader, writer)
            seen.append(await stream.receive())
            if end == "close":
                await stream.close()
            else:
                stream.reset()

        async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stream = Stream(reader, writer)
            invite = await stream.receive()
            assert isinstance(invite, Request)
            seen.append(invite)
            stream.send(Response.answer(invite, 486, to_tag="g"))
            await stream.receive()  # its ACK
            await stream.close()

        seen: list[Message] = []
        first = await asyncio.start_server(dying, "127.0.0.1", 0)
        second = await asyncio.start_server(answering, "127.0.0.1", 0)
        ports = [server.sockets[0].getsockname()[1] for server in (first, second)]
        targets: list[object] = [
            {"uri": f"sip:127.0.0.1:{port};transport=tcp", "priority": place}
            for place, port in enumerate(ports)
        ]
        async with Node(script, targets) as node:
            begin = time.monotonic()
            answer = await node.ask("INVITE")
            assert answer.status == 486
            assert time.monotonic() - begin < 3  # and not timer B's 32 s
            assert [message.headers.count("Via") for message in seen] == [2, 2]
            assert seen[0].headers.get("Via") != seen[1].headers.get("Via")
            await until(lambda: not node.element.proxy.layer.clients or len(seen) == 2)
        for server in (first, second):
            server.close()
            await server.wait_closed()

    run(work)


def test_a_request_on_a_newer_connection_is_left_alone(script: Path) -> None:
    """The end of an older connection to the same place says nothing of it."""

    async def work() -> None:
        streams: list[Stream] = []

        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            streams.append(Stream(reader, writer))

        server = await asyncio.start_server(gateway, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Node(script, [f"sip:127.0.0.1:{port};transport=tcp"]) as node:
            asking = asyncio.create_task(node.ask("INVITE"))
            await until(lambda: len(streams) == 1)
            invite = await streams[0].receive()
            assert isinstance(invite, Request)
            [(key, connection)] = [
                *node.transports.streams[Transport.TCP, node.tcp]._by_remote.items()
            ]
            gone = connection.flow
            # As if it were an older one, which has been closing for a while.
            node.element.lost(gone, "idle")
            streams[0].send(Response.answer(invite, 404, to_tag="g"))
            assert (await asking).status == 404
            assert key[0] == ("127.0.0.1", port)
            await streams[0].close()
        server.close()
        await server.wait_closed()

    run(work)


@pytest.mark.parametrize(
    ("contact", "left"),
    [
        (f"<sip:bob@127.0.0.1:PORT;transport=tcp>;{INSTANCE};reg-id=1", 0),  # Outbound
        ("<sip:bob@10.1.1.1:5060;transport=tcp>", 0),  # behind a NAT
        ("<sip:bob@127.0.0.1:PORT;transport=tcp>", 1),  # its contact may be connected to
    ],
)
def test_what_is_left_of_registrations_when_the_connection_ends(
    script: Path, contact: str, left: int
) -> None:
    async def work() -> None:
        async with Node(script, []) as node:
            phone = await registered(node, contact)
            asking = asyncio.create_task(node.ask("MESSAGE"))
            message = await phone.receive()
            assert isinstance(message, Request)
            phone.send(Response.answer(message, 200, to_tag="p"))
            assert (await asking).status == 200
            await phone.close()
            flows = node.registrations.flows
            await until(lambda: len(flows) == 0 and not flows.failed)
            count = await node.registrations.location.count()
            assert count.contacts == left
            assert flows.counters.lost == 1
            begin = time.monotonic()
            answer = await node.ask("MESSAGE")
            # Nobody is registered; or the contact is tried by a new connection, which is refused.
            assert answer.status == (500 if left else 480)
            assert time.monotonic() - begin < 3

    run(work)


def test_the_next_flow_of_an_instance_takes_over(script: Path) -> None:
    async def work() -> None:
        async with Node(script, []) as node:
            contact = f"<sip:bob@127.0.0.1:PORT;transport=tcp>;{INSTANCE}"
            second = await registered(node, f"{contact};reg-id=2")
            first = await registered(node, f"{contact};reg-id=1")
            asking = asyncio.create_task(node.ask("MESSAGE"))
            await first.receive()
            first.reset()  # in mid-request
            message = await second.receive()
            assert isinstance(message, Request)
            second.send(Response.answer(message, 200, to_tag="p"))
            assert (await asking).status == 200
            assert (await node.registrations.location.count()).contacts == 1
            await second.close()

    run(work)


def test_a_connection_that_was_gone_before_it_was_noticed(script: Path) -> None:
    async def work() -> None:
        async with Node(script, []) as node:
            phone = await registered(node, f"<sip:bob@127.0.0.1:PORT>;{INSTANCE};reg-id=1")
            [bindings] = [found async for _, found in node.registrations.location.every(0.0)]
            await phone.close()
            await until(lambda: len(node.registrations.flows) == 0)
            # The store was slow: the REGISTER is carried out when its connection has gone.
            node.registrations.location.update_now(  # type: ignore[attr-defined]
                "sip:bob@example.org", lambda _: (bindings, None)
            )
            node.registrations.flows.registered("sip:bob@example.org", bindings)
            assert (await node.ask("MESSAGE")).status in (480, 500)
            await until(lambda: len(node.registrations.flows) == 0)
            assert (await node.ask("MESSAGE")).status == 480

    run(work)


SHARED = """
from trunkline.script import on_request

@on_request("REGISTER")
async def register(request):
    await request.register()

@on_request("MESSAGE")
async def message(request):
    contacts = await request.lookup()
    if not contacts:
        return request.reply(480)
    request.fork(*contacts)
"""


@contextmanager
def two_workers(folder: Path) -> Iterator[tuple[Address, Path]]:
    """A proxy of two workers that runs: its address for UDP and TCP, and where its sockets are."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address: Address = probe.getsockname()
    (folder / "route.py").write_text(SHARED, encoding="utf-8")
    listen = f'["udp:127.0.0.1:{address[1]}", "tcp:127.0.0.1:{address[1]}"]'
    (folder / "network.toml").write_text(
        f"""
        [network]
        name = "shared"
        [node.Edge.proxy]
        script = "route.py"
        listen = {listen}
        domains = ["example.org"]
        dns = ["127.0.0.1:9"]
        workers = 2
        location = "sql:db"
        sql = {{ db = "sqlite:///{folder}/location.sqlite" }}
        """,
        encoding="utf-8",
    )
    sockets = folder / "trunkline" / "shared"
    node = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "run", str(folder / "network.toml")],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
    )
    try:
        deadline = time.monotonic() + 20
        while not all((sockets / name).exists() for name in ("Edge.sock", "Edge.1.sock")):
            assert node.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield address, sockets
    finally:
        node.terminate()
        node.wait(timeout=10)


def test_workers_send_by_each_others_connections_and_learn_of_their_end(tmp_path: Path) -> None:
    async def work(address: Address) -> None:
        for number in range(12):
            phone = await Stream.to(address)
            uri = f"sip:u{number}@example.org"
            contact = f"<sip:u{number}@127.0.0.1:{phone.port};transport=tcp>"
            rows = [
                ("To", f"<{uri}>"),
                ("Contact", f"{contact};{INSTANCE.replace('f81d', f'{number:04d}')};reg-id=1"),
                ("Supported", "outbound, path"),
            ]
            phone.send(request("REGISTER", "sip:example.org", "TCP", phone.port, *rows))
            answer = await phone.receive()
            assert isinstance(answer, Response)
            assert answer.status == 200
            # once it answers, whichever worker the caller came to
            asking = asyncio.create_task(asked(address, uri))
            message = await phone.receive()
            assert isinstance(message, Request)
            phone.send(Response.answer(message, 200, to_tag="p"))
            assert (await asking).status == 200
            # and once it dies while it is asked
            asking = asyncio.create_task(asked(address, uri))
            await phone.receive()
            begin = time.monotonic()
            phone.reset()
            assert (await asking).status == 500
            assert time.monotonic() - begin < 3

    with two_workers(tmp_path) as (address, sockets):
        run(lambda: work(address))
        handed_over = 0
        for name in ("Edge.sock", "Edge.1.sock"):
            with ControlClient(sockets / name) as client:
                counters = client.call("node.counters")
                assert isinstance(counters, dict)
                workers = counters["workers"]
                assert isinstance(workers, dict)
                assert isinstance(workers["handed_over"], int)
                handed_over += workers["handed_over"]
        assert handed_over > 0  # of 24 messages some came to the other worker
