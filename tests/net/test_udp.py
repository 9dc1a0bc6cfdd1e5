"""SCTP over UDP: two stacks in one process, on loopback."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import pytest
from tests.net.processes import PeerProcess, peers
from tests.net.support import FAST, LEFT, RIGHT, Recorder, pair, stacks, towards, until

from trunkline.errors import TrunklineError
from trunkline.net.loop import new_event_loop
from trunkline.net.sctp.udp import UdpStack

REAL_LEFT, REAL_RIGHT = "127.71.5.1", "127.71.5.2"


def run(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(scenario())


def test_comes_up_on_both_sides_once() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            assert left.association.up
            assert right.association.up
            await asyncio.sleep(0.1)
            assert (left.handler.ups, right.handler.ups) == (1, 1)
            assert left.stack.backend == "udp"

    run(scenario)


def test_messages_keep_stream_order_and_octets_both_ways() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            there = [(number % 2, b"there %d" % number) for number in range(100)]
            back = [(1, bytes([number]) * (number + 1)) for number in range(256)]
            left.association.send(there)
            right.association.send(back)
            await until(lambda: len(right.handler.received) == 100)
            await until(lambda: len(left.handler.received) == 256)
            for stream in (0, 1):
                expected = [m for m in there if m[0] == stream]
                assert [m for m in right.handler.received if m[0] == stream] == expected
            assert left.handler.received == back
            stats = right.association.stats()
            assert (stats.messages_in, stats.messages_out) == (100, 256)
            assert stats.octets_in == sum(len(data) for _, data in there)
            assert stats.wrong_ppid == 0

    run(scenario)


def test_another_payload_protocol_is_counted_and_delivered() -> None:
    async def scenario() -> None:
        async with stacks(FAST, FAST) as (one, other):
            left, right = Recorder(), Recorder()
            sender = one.open(towards(LEFT, RIGHT, ppid=3), left)
            receiver = other.open(towards(RIGHT, LEFT, ppid=5), right)
            await until(lambda: left.ups and right.ups)
            sender.send([(0, b"m3ua?")])
            await until(lambda: right.received)
            assert receiver.stats().wrong_ppid == 1

    run(scenario)


def test_long_messages_arrive_whole() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            messages = [(1, os.urandom(size)) for size in (1, 1452, 1453, 65535, 65536, 200_000)]
            left.association.send(messages)
            await until(lambda: len(right.handler.received) == len(messages))
            assert right.handler.received == messages

    run(scenario)


def test_ten_thousand_messages_in_order_over_a_lossy_path() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            chance = random.Random(260)
            assert isinstance(left.stack, UdpStack)
            left.stack.impair(LEFT, RIGHT, lambda sent: chance.random() < 0.03)
            messages = [(1, number.to_bytes(100, "big")) for number in range(10_000)]
            for first in range(0, len(messages), 500):
                left.association.send(messages[first : first + 500])
                await asyncio.sleep(0)
            await until(lambda: len(right.handler.received) >= len(messages), 20)
            assert right.handler.received == messages
            assert left.stack.stats.dropped > 10
            assert (left.handler.downs, right.handler.downs) == ([], [])

    run(scenario)


def test_what_exceeds_the_send_buffer_waits_in_order() -> None:
    async def scenario() -> None:
        async with pair(replace(FAST, send_buffer=20_000)) as (left, right):
            messages = [(1, number.to_bytes(4, "big") * 50) for number in range(3_000)]
            left.association.send(messages[:2_000])
            assert left.association.stats().queued > 0
            left.association.send(messages[2_000:])
            await until(lambda: len(right.handler.received) == len(messages))
            assert right.handler.received == messages
            assert left.association.stats().queued == 0

    run(scenario)


def test_a_send_queue_that_runs_over_aborts() -> None:
    async def scenario() -> None:
        async with pair(replace(FAST, send_buffer=20_000, send_queue=100)) as (left, right):
            left.association.send([(1, bytes(200))] * 2_000)
            await until(lambda: left.handler.downs and right.handler.downs)
            assert left.handler.downs == ["aborted"]
            assert left.association.stats().queue_full == 1
            assert left.association.stats().queued == 0
            await until(lambda: left.association.up and right.association.up)

    run(scenario)


def test_abort_is_seen_by_both_and_the_association_returns() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            left.association.abort()
            await until(lambda: left.handler.downs and right.handler.downs)
            assert left.handler.downs == ["aborted"]
            assert right.handler.downs == ["aborted by the peer"]
            assert not left.association.up
            left.association.send([(0, b"into the void")])
            assert left.association.stats().not_up == 1
            await until(lambda: left.handler.ups == 2 and right.handler.ups == 2)

    run(scenario)


def test_shutdown_delivers_everything_first() -> None:
    async def scenario() -> None:
        async with pair(replace(FAST, send_buffer=20_000)) as (left, right):
            messages = [(1, number.to_bytes(200, "big")) for number in range(1_000)]
            left.association.send(messages)
            left.association.shutdown()
            left.association.send([(0, b"too late")])
            await until(lambda: left.handler.downs and right.handler.downs)
            assert right.handler.received == messages
            assert left.handler.downs == ["shut down"]
            assert right.handler.downs == ["shut down by the peer"]
            await until(lambda: left.handler.ups == 2 and right.handler.ups == 2)

    run(scenario)


def test_close_ends_it_for_good() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            left.association.close()
            left.association.close()
            await until(lambda: right.handler.downs == ["aborted by the peer"])
            await asyncio.sleep(0.3)
            assert (left.handler.downs, left.handler.ups) == ([], 1)
            assert right.handler.ups == 1
            assert right.association.stats().failed_attempts > 0

    run(scenario)


def test_a_blocked_path_is_noticed_and_comes_back() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            left.stack.block(LEFT, RIGHT, True)
            await until(lambda: left.handler.downs and right.handler.downs)
            assert left.handler.downs == ["lost"]
            assert (RIGHT, False) in left.handler.paths
            assert left.stack.stats.dropped > 0
            left.stack.block(LEFT, RIGHT, False)
            await until(lambda: left.association.up and right.association.up)
            left.association.send([(1, b"healed")])
            await until(lambda: right.handler.received == [(1, b"healed")])

    run(scenario)


def test_a_short_gap_costs_nothing_but_time() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            left.stack.block(LEFT, RIGHT, True)
            left.association.send([(1, b"patience")])
            await asyncio.sleep(0.15)
            left.stack.block(LEFT, RIGHT, False)
            await until(lambda: right.handler.received == [(1, b"patience")])
            assert left.handler.downs == []

    run(scenario)


def test_several_associations_share_a_path_a_port_and_both_ports() -> None:
    async def scenario() -> None:
        async with stacks(FAST, FAST, FAST) as (one, other, third):
            handlers = [Recorder() for _ in range(6)]
            third_address = "10.71.5.3"
            ends = [
                # two towards one peer from one local port, told apart by the peer's port
                one.open(towards(LEFT, RIGHT, remote_port=4001), handlers[0]),
                one.open(towards(LEFT, RIGHT, remote_port=4002), handlers[1]),
                # and one towards another peer with the same two ports
                one.open(towards(LEFT, third_address, remote_port=4001), handlers[2]),
            ]
            other.open(towards(RIGHT, LEFT, local_port=4001), handlers[3])
            other.open(towards(RIGHT, LEFT, local_port=4002), handlers[4])
            third.open(towards(third_address, LEFT, local_port=4001), handlers[5])
            await until(lambda: all(handler.ups == 1 for handler in handlers))
            for number, end in enumerate(ends):
                end.send([(1, b"for %d" % number)])
            await until(lambda: all(handler.received for handler in handlers[3:]))
            for number, handler in enumerate(handlers[3:]):
                assert handler.received == [(1, b"for %d" % number)]
            ends[1].close()
            await until(lambda: handlers[4].downs)
            assert handlers[3].downs == handlers[5].downs == []
            with pytest.raises(TrunklineError, match="open already") as raised:
                one.open(towards(LEFT, RIGHT, remote_port=4001), Recorder())
            assert raised.value.code == "sctp.duplicate"

    run(scenario)


def test_an_unconfigured_peer_is_aborted_and_counted() -> None:
    async def scenario() -> None:
        async with stacks(FAST, FAST) as (one, other):
            one.open(towards(LEFT, RIGHT, remote_port=4001), Recorder())
            stranger = Recorder()
            association = other.open(towards(RIGHT, LEFT, local_port=4002), stranger)
            await until(lambda: one.stats.unknown_peer)
            await until(lambda: stranger.downs)
            assert stranger.downs == ["aborted by the peer"]
            association.close()

    run(scenario)


def test_datagrams_from_strangers_are_dropped_and_counted() -> None:
    async def scenario() -> None:
        async with pair() as (left, right):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.71.9.9", 0))
                stranger.sendto(bytes(40), (REAL_LEFT, FAST.udp_port))
                await until(lambda: left.stack.stats.unknown_source == 1)
            left.association.send([(0, b"undisturbed")])
            await until(lambda: right.handler.received)

    run(scenario)


def test_a_handlers_fault_costs_the_others_nothing() -> None:
    class Faulty(Recorder):
        def messages(self, batch: list[tuple[int, bytes]], now: float) -> None:
            super().messages(batch, now)
            raise ValueError("a bug")

    async def scenario() -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: reported.append(context["exception"])
        )
        async with stacks(FAST, FAST) as (one, other):
            faulty, sound, sender = Faulty(), Recorder(), Recorder()
            one.open(towards(LEFT, RIGHT, remote_port=4001), faulty)
            one.open(towards(LEFT, RIGHT, remote_port=4002), sound)
            first = other.open(towards(RIGHT, LEFT, local_port=4001), sender)
            second = other.open(towards(RIGHT, LEFT, local_port=4002), sender)
            await until(lambda: sender.ups == 2 and faulty.ups and sound.ups)
            first.send([(0, b"1")])
            second.send([(0, b"2")])
            await until(lambda: faulty.received and sound.received)
            assert one.stats.handler_errors == 1
            assert isinstance(reported[0], ValueError)

    run(scenario)


def test_a_killed_peer_that_returns_is_a_restart() -> None:
    """The survivor never noticed the death: SCTP tells it of the new life (RFC 9260 5.2.2)."""
    options = (f"udp_port={FAST.udp_port}", "reconnect_delay=0.1", "rto_min=0.1", "sack_delay=0.02")
    with peers((None, ("udp", LEFT, RIGHT, *options)), (None, ("udp", RIGHT, LEFT, *options))) as (
        left,
        right,
    ):
        left.wait_for("up")
        right.wait_for("up")
        right.kill()
        again = PeerProcess("udp", RIGHT, LEFT, *options)
        try:
            again.wait_for("up")
            left.wait_for("restart")
            left.command("send 10 100")
            assert again.wait_for("received")["count"] == 10
            assert left.close() == 0
            assert again.wait_for("down")["reason"] == "aborted by the peer"
        finally:
            again.kill()


def test_nothing_is_bound_to_a_wildcard() -> None:
    def sockets() -> set[str]:
        return {
            os.readlink(entry)[8:-1]
            for entry in Path("/proc/self/fd").iterdir()
            if entry.is_symlink() and os.readlink(entry).startswith("socket:[")
        }

    async def scenario() -> None:
        before = sockets()  # of other tests' fixtures
        async with pair():
            own = sockets() - before
            bound = set()
            for table in ("udp", "udp6", "raw", "raw6", "tcp", "tcp6"):
                for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                    fields = line.split()
                    if fields[9] in own:
                        bound.add(fields[1])
            port = f":{FAST.udp_port:04X}"
            assert bound == {"01054" + "77F" + port, "02054" + "77F" + port}

    run(scenario)


def test_the_address_in_use_is_named_when_it_cannot_be_had() -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
            squatter.bind((REAL_LEFT, FAST.udp_port))
            async with stacks(FAST) as (one,):
                with pytest.raises(
                    TrunklineError, match=r"127\.71\.5\.1 UDP port \d+: Address already in use"
                ) as raised:
                    one.open(towards(LEFT, RIGHT), Recorder())
                assert raised.value.code == "sctp.bind"

    run(scenario)


def test_a_peer_on_another_udp_port_is_reached_and_followed() -> None:
    elsewhere = FAST.udp_port + 1

    async def scenario() -> None:
        moved = replace(FAST, udp_port=elsewhere, remote_udp_ports={LEFT: FAST.udp_port})
        knowing = replace(FAST, remote_udp_ports={RIGHT: elsewhere})
        for here in (knowing, FAST):  # told of the port, and learning it (RFC 6951 5.4)
            async with stacks(here, moved) as (one, other):
                left, right = Recorder(), Recorder()
                association = one.open(towards(LEFT, RIGHT), left)
                other.open(towards(RIGHT, LEFT), right)
                await until(lambda: left.ups and right.ups)  # noqa: B023
                for _ in range(3):
                    association.send([(0, b"found you")])
                    await asyncio.sleep(0.02)
                await until(lambda: len(right.received) == 3)  # noqa: B023

    run(scenario)
