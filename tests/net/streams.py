"""What the tests of SIP's connections share: a user that remembers, and waiting for a fact."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from trunkline.errors import DecodeError, TrunklineError
from trunkline.net.loop import TimerWheel
from trunkline.net.stream import StreamSettings, StreamTransport
from trunkline.net.tls import TlsSettings
from trunkline.sip.transport import Address, Flow, Transport

FAST = StreamSettings(
    connect_timeout=1.0, handshake_timeout=0.3, patience=0.3, idle=5.0, write_buffer=100_000
)


def message(number: int = 0, body: bytes = b"") -> bytes:
    return (
        b"OPTIONS sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK%d\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (number, len(body), body)
    )


@dataclass
class Recorder:
    """A transport user that remembers what it was told, and may answer."""

    answer: Callable[[bytes], bytes | None] = lambda message: None
    transport: StreamTransport | None = None
    batches: list[list[bytes]] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    failures: list[tuple[Flow, TrunklineError, list[bytes]]] = field(default_factory=list)
    refusals: list[tuple[Flow, DecodeError, bytes]] = field(default_factory=list)
    ends: list[tuple[Flow, TrunklineError | None]] = field(default_factory=list)
    served: list[tuple[Flow, ...]] = field(default_factory=list)

    def receive(self, batch: list[tuple[bytes, Flow]]) -> None:
        self.batches.append([data for data, _ in batch])
        self.flows += [flow for _, flow in batch]
        for data, flow in batch:
            answer = self.answer(data)
            if answer is not None:
                assert self.transport is not None
                self.transport.send(flow, answer)

    def failed(self, flow: Flow, error: TrunklineError, unsent: list[bytes]) -> None:
        self.failures.append((flow, error, unsent))

    def refused(self, flow: Flow, error: DecodeError, head: bytes) -> None:
        self.refusals.append((flow, error, head))
        if head:
            assert self.transport is not None
            self.transport.send(flow, b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    def closed(self, flow: Flow, error: TrunklineError | None, served: tuple[Flow, ...]) -> None:
        self.ends.append((flow, error))
        self.served.append(served)

    @property
    def messages(self) -> list[bytes]:
        return [data for batch in self.batches for data in batch]

    @property
    def end_codes(self) -> list[str | None]:
        return [error.code if error else None for _, error in self.ends]

    @property
    def failure_codes(self) -> list[str]:
        return [error.code for _, error, _ in self.failures]


@dataclass
class World:
    """A loop with the transports that were opened on it."""

    loop: asyncio.AbstractEventLoop
    opened: list[StreamTransport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wheel = TimerWheel(self.loop)

    def open(
        self,
        transport: Transport = Transport.TCP,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tls: TlsSettings | None = None,
        reuse_port: bool = False,
        settings: StreamSettings = FAST,
        **changed: float,
    ) -> tuple[StreamTransport, Recorder]:
        user = Recorder()
        made = StreamTransport(
            self.loop,
            self.wheel,
            transport,
            (host, port),
            user,
            replace(settings, **changed),  # type: ignore[arg-type]
            tls=tls,
            reuse_port=reuse_port,
        )
        user.transport = made
        self.opened.append(made)
        return made, user

    def until(self, true: Callable[[], object], seconds: float = 10) -> None:
        async def wait() -> None:
            while not true():
                await asyncio.sleep(0.002)

        self.loop.run_until_complete(asyncio.wait_for(wait(), seconds))

    def turns(self, seconds: float = 0.03) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close(self, *transports: StreamTransport) -> None:
        for transport in transports or self.opened:
            transport.close()
            self.loop.run_until_complete(asyncio.wait_for(transport.wait_closed(), 10))

    def reply(self, client: socket.socket, octets: int) -> bytes:
        """Return so many octets of what the client was sent."""
        client.setblocking(False)
        received = b""

        def enough() -> bool:
            nonlocal received
            try:
                while len(received) < octets and (more := client.recv(octets - len(received))):
                    received += more
            except BlockingIOError:
                return False
            return True

        self.until(enough)
        return received

    def is_ended(self, client: socket.socket) -> bool:
        """Wait until the client's connection has ended; tell whether in order, not by a reset."""
        client.setblocking(False)
        result: list[bool] = []

        def ended() -> bool:
            try:
                if not client.recv(65536):
                    result.append(True)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                result.append(False)
            return bool(result)

        self.until(ended)
        return result[0]


def client_of(transport: StreamTransport, source: Address | None = None) -> socket.socket:
    return socket.create_connection(transport.local, 5, source)


def to(
    remote: StreamTransport, local: StreamTransport, connection: int = 0, domain: str = ""
) -> Flow:
    return Flow(remote.transport, remote.local, local.local, connection, domain)
