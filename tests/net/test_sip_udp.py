"""SIP over UDP on real sockets: both families, errors told by ICMP, a send buffer that is full."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from trunkline.errors import TrunklineError
from trunkline.net import udp
from trunkline.net.loop import new_event_loop
from trunkline.net.udp import UdpSocket
from trunkline.sip.transport import Address, Flow, Transport

LOOPBACKS = ["127.0.0.1", "::1"]


@pytest.fixture(params=[asyncio.new_event_loop, new_event_loop], ids=["asyncio", "installed"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    made: asyncio.AbstractEventLoop = request.param()
    yield made
    made.close()


@dataclass
class Ear:
    """What a socket handed up."""

    batches: list[list[tuple[bytes, Flow]]] = field(default_factory=list)
    failures: list[tuple[Flow, TrunklineError, list[bytes]]] = field(default_factory=list)

    def receive(self, batch: list[tuple[bytes, Flow]]) -> None:
        self.batches.append(batch)

    def failed(self, flow: Flow, error: TrunklineError, unsent: list[bytes]) -> None:
        self.failures.append((flow, error, unsent))

    @property
    def messages(self) -> list[bytes]:
        return [data for batch in self.batches for data, _ in batch]

    @property
    def flows(self) -> list[Flow]:
        return [flow for batch in self.batches for _, flow in batch]


@dataclass
class Bench:
    loop: asyncio.AbstractEventLoop
    ear: Ear
    sip: UdpSocket
    peer: socket.socket

    def until(self, true: Callable[[], bool], seconds: float = 5) -> None:
        async def wait() -> None:
            while not true():
                await asyncio.sleep(0.002)

        self.loop.run_until_complete(asyncio.wait_for(wait(), seconds))

    def turns(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0.02))

    def to_sip(self, data: bytes) -> None:
        self.peer.sendto(data, self.sip.local)

    @property
    def peer_address(self) -> Address:
        host, port = self.peer.getsockname()[:2]
        return host, port

    @property
    def flow(self) -> Flow:
        return Flow(Transport.UDP, self.peer_address, self.sip.local)


def plain_socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind((host, 0))
    except OSError as error:
        made.close()
        pytest.skip(f"no {host} here: {error.strerror}")
    made.settimeout(5)
    return made


@pytest.fixture(params=LOOPBACKS)
def bench(request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop) -> Iterator[Bench]:
    with plain_socket(request.param) as peer:
        ear = Ear()
        sip = UdpSocket(loop, (request.param, 0), ear.receive, ear.failed, queue=3)
        yield Bench(loop, ear, sip, peer)
        sip.close()


def closed_port(host: str) -> Address:
    with plain_socket(host) as gone:
        return host, gone.getsockname()[1]


def test_what_waits_arrives_in_one_batch_and_with_one_flow(bench: Bench) -> None:
    for number in range(3):
        bench.to_sip(b"message %d" % number)
    bench.until(lambda: len(bench.ear.messages) == 3)
    assert bench.ear.messages == [b"message 0", b"message 1", b"message 2"]
    assert len(bench.ear.batches) == 1
    assert bench.ear.flows[0] == bench.flow
    assert bench.ear.flows[0] is bench.ear.flows[2]
    assert (bench.sip.stats.received, bench.sip.stats.wakeups) == (3, 1)


def test_a_flow_answers_to_where_the_message_came_from(bench: Bench) -> None:
    bench.to_sip(b"request")
    bench.until(lambda: bool(bench.ear.messages))
    bench.sip.send(bench.ear.flows[0], b"response")
    assert bench.peer.recvfrom(100)[0] == b"response"
    assert bench.sip.stats.sent == 1


def test_more_than_a_batch_waits_for_the_next_wakeup(bench: Bench) -> None:
    for number in range(100):
        bench.to_sip(b"%d" % number)
    bench.until(lambda: len(bench.ear.messages) == 100)
    assert [len(batch) for batch in bench.ear.batches] == [64, 36]
    assert bench.ear.messages == [b"%d" % number for number in range(100)]


def test_the_largest_datagram_arrives_whole(bench: Bench) -> None:
    largest = bytes(range(256)) * 255
    bench.to_sip(largest)
    bench.until(lambda: bool(bench.ear.messages))
    assert bench.ear.messages == [largest]


def test_keep_alives_are_swallowed_and_counted(bench: Bench) -> None:
    for nothing in (b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0"):
        bench.to_sip(nothing)
    bench.to_sip(b"\r\n\r\nBYE")
    bench.until(lambda: bool(bench.ear.messages))
    assert bench.ear.messages == [b"\r\n\r\nBYE"]
    assert bench.sip.stats.keepalives == 5


def test_a_closed_port_is_a_failure_of_that_destination_alone(bench: Bench) -> None:
    dead = Flow(Transport.UDP, closed_port(bench.sip.local[0]), bench.sip.local)
    bench.sip.send(dead, b"INVITE lost")
    bench.sip.send(bench.flow, b"not lost")
    assert not bench.ear.failures, "told from within send"
    bench.until(lambda: bool(bench.ear.failures))
    [(flow, error, unsent)] = bench.ear.failures
    assert (flow, error.code, unsent) == (dead, "udp.unreachable", [b"INVITE lost"])
    assert "port unreachable" in str(error)
    assert bench.peer.recv(100) == b"not lost"
    assert (bench.sip.stats.unreachable, bench.sip.stats.sent) == (1, 2)


def test_errors_do_not_stop_the_socket(bench: Bench) -> None:
    dead = Flow(Transport.UDP, closed_port(bench.sip.local[0]), bench.sip.local)
    for number in range(1, 6):
        bench.sip.send(dead, b"lost")
        bench.to_sip(b"still here")
        bench.until(lambda n=number: len(bench.ear.failures) == n == len(bench.ear.messages))  # type: ignore[misc]
    woken = bench.sip.stats.wakeups
    bench.turns()
    assert bench.sip.stats.wakeups == woken, "an error that was read wakes nobody"


def test_what_the_system_refuses_is_a_failure(bench: Bench) -> None:
    bench.sip.send(bench.flow, bytes(70000))
    bench.turns()
    [(flow, error, unsent)] = bench.ear.failures
    assert (flow, error.code, len(unsent[0])) == (bench.flow, "udp.unreachable", 70000)
    assert bench.sip.stats.send_errors == 1


@pytest.mark.parametrize(
    ("origin", "kind", "code", "reported"),
    [
        (2, 3, 1, "host unreachable"),
        (2, 3, 13, "destination unreachable"),
        (2, 3, 4, None),
        (2, 4, 0, None),
        (2, 11, 0, None),
        (2, 12, 0, "parameter problem"),
        (3, 1, 4, "port unreachable"),
        (3, 2, 0, None),
        (3, 3, 0, None),
        (1, 0, 0, None),
    ],
)
def test_the_icmp_errors_that_matter(
    origin: int, kind: int, code: int, reported: str | None
) -> None:
    assert udp._unreachable(origin, kind, code) == reported


@dataclass
class Full:
    """A system that takes no datagram for a while: on loopback, a buffer never fills."""

    sip: UdpSocket
    error: type[OSError] | None = BlockingIOError
    number: int = 11

    def sendto(self, data: bytes, address: Address) -> int:
        if self.error is not None:
            raise self.error(self.number, "no")
        return self.sip._socket.sendto(data, address)


def test_a_full_system_makes_messages_wait_in_order_and_then_drops(bench: Bench) -> None:
    full = Full(bench.sip)
    bench.sip._sendto = full.sendto  # type: ignore[assignment]
    for number in range(5):
        bench.sip.send(bench.flow, b"%d" % number)
    assert bench.sip.stats.dropped == 2, "three may wait"
    bench.to_sip(b"meanwhile")
    bench.until(lambda: bool(bench.ear.messages))
    full.error = None
    bench.until(lambda: bench.sip.stats.sent == 3)
    assert [bench.peer.recv(10) for _ in range(3)] == [b"0", b"1", b"2"]
    bench.sip.send(bench.flow, b"5")
    assert bench.peer.recv(10) == b"5"
    woken = bench.sip.stats.wakeups
    bench.turns()
    assert bench.sip.stats.wakeups == woken, "nothing waits: room to send wakes nobody"


def test_no_memory_at_the_interface_is_a_lost_datagram(bench: Bench) -> None:
    bench.sip._sendto = Full(bench.sip, OSError, 105).sendto  # type: ignore[assignment]
    bench.sip.send(bench.flow, b"lost")
    bench.turns()
    assert (bench.sip.stats.dropped, bench.ear.failures) == (1, [])


def test_a_destination_that_fails_while_others_wait_does_not_hold_them_up(bench: Bench) -> None:
    full = Full(bench.sip)
    bench.sip._sendto = full.sendto  # type: ignore[assignment]
    bench.sip.send(bench.flow, bytes(70000))
    bench.sip.send(bench.flow, b"after it")
    full.error = None
    bench.until(lambda: bench.sip.stats.sent == 1)
    assert bench.peer.recv(10) == b"after it"
    bench.until(lambda: len(bench.ear.failures) == 1)


def test_the_flow_table_is_bounded(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp, "FLOWS", 2)
    ear = Ear()
    sip = UdpSocket(loop, ("127.0.0.1", 0), ear.receive, ear.failed)
    peers = [plain_socket("127.0.0.1") for _ in range(3)]
    for peer in peers:
        peer.sendto(b"hello", sip.local)
    Bench(loop, ear, sip, peers[0]).until(lambda: len(ear.messages) == 3)
    assert sip.stats.flows_cleared == 1
    assert len(sip._flows) == 1
    assert [flow.remote for flow in ear.flows] == [peer.getsockname() for peer in peers]
    for peer in peers:
        peer.close()
    sip.close()


def test_what_the_kernel_lost_is_known(loop: asyncio.AbstractEventLoop) -> None:
    ear = Ear()
    sip = UdpSocket(loop, ("127.0.0.1", 0), ear.receive, ear.failed, receive_buffer=1)
    with plain_socket("127.0.0.1") as peer:
        for _ in range(100):
            peer.sendto(bytes(1000), sip.local)
        Bench(loop, ear, sip, peer).turns()
    assert sip.kernel_drops > 0
    assert sip.kernel_drops + sip.stats.received == 100
    sip.close()
    assert sip.kernel_drops == 0


def test_several_processes_may_share_a_port_and_others_may_not(
    loop: asyncio.AbstractEventLoop,
) -> None:
    ear = Ear()
    first = UdpSocket(loop, ("127.0.0.1", 0), ear.receive, ear.failed, reuse_port=True)
    second = UdpSocket(loop, first.local, ear.receive, ear.failed, reuse_port=True)
    assert second.local == first.local
    with pytest.raises(TrunklineError, match="nobody else have the port") as refused:
        UdpSocket(loop, first.local, ear.receive, ear.failed)
    assert refused.value.code == "udp.bind"
    first.close()
    second.close()


def test_a_closed_socket_drops_and_is_silent(bench: Bench) -> None:
    bench.sip._sendto = Full(bench.sip).sendto  # type: ignore[assignment]
    bench.sip.send(bench.flow, b"waits")
    bench.sip.close()
    bench.sip.close()
    bench.sip._sendto = bench.sip._socket.sendto
    bench.sip.send(bench.flow, b"late")
    bench.turns()
    assert (bench.sip.stats.dropped, bench.ear.failures) == (2, [])
