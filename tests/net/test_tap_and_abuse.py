"""What the seam shows, and what it withstands."""

from __future__ import annotations

import asyncio
import random
import socket

from hypothesis import given
from hypothesis import strategies as st
from tests.net.sctp_packets import checksum_is_right, chunks, crc32c, ports, with_checksum
from tests.net.support import FAST, LEFT, M2PA, PORT, RIGHT, pair, until
from tests.net.test_udp import REAL_LEFT, REAL_RIGHT, run

from trunkline.net.sctp import Packet

DATA, INIT, INIT_ACK, SACK, HEARTBEAT, COOKIE_ECHO, COOKIE_ACK = 0, 1, 2, 3, 4, 10, 11


def test_the_parser_knows_its_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C (Castagnoli)


def test_the_tap_sees_every_packet_with_its_real_checksum() -> None:
    async def scenario() -> None:
        seen: list[Packet] = []
        async with pair(tap=seen.append) as (left, right):
            left.association.send([(1, b"one"), (1, b"two"), (0, b"status")])
            await until(lambda: len(right.handler.received) == 3)
            await until(lambda: any(SACK in kinds(packet) for packet in seen))
            stats = left.stack.stats
            assert len(seen) == stats.packets_in + stats.packets_out
        assert all(checksum_is_right(packet.sctp) for packet in seen)
        assert {ports(packet.sctp) for packet in seen} == {(PORT, PORT)}
        for packet in seen:
            here, there = (LEFT, RIGHT) if packet.sent else (RIGHT, LEFT)
            assert (packet.source, packet.destination) == (here, there)
        flow = {kind for packet in seen for kind in kinds(packet)}
        assert {INIT, INIT_ACK, COOKIE_ECHO, COOKIE_ACK, DATA, SACK} <= flow
        # TSN (4), stream (2), sequence number (2), payload protocol identifier (4), user data; by
        # TSN, since a slow machine may make SCTP send something twice
        all_data = (value for packet in seen for kind, value in chunks(packet.sctp) if kind == DATA)
        data = list({value[:4]: value for value in all_data}.values())
        assert [value[12:] for value in data] == [b"one", b"two", b"status"]
        assert [value[4:6] for value in data] == [b"\0\1", b"\0\1", b"\0\0"]
        assert {value[8:12] for value in data} == {M2PA.to_bytes(4, "big")}

    run(scenario)


def test_inits_that_cross_make_one_association() -> None:
    """RFC 9260 5.2.1: both ends send an INIT before either has seen the other's."""

    async def scenario() -> None:
        seen: list[Packet] = []
        async with pair(tap=seen.append) as (left, right):
            await asyncio.sleep(0.05)
            first = next(i for i, packet in enumerate(seen) if not packet.sent)
            assert INIT in kinds(seen[first])
            assert any(INIT in kinds(packet) for packet in seen[:first])
            assert (left.handler.ups, right.handler.ups) == (1, 1)
            assert (left.handler.restarts, right.handler.restarts) == (0, 0)

    run(scenario)


def test_the_tap_can_be_set_and_taken_away() -> None:
    async def scenario() -> None:
        seen: list[Packet] = []
        async with pair() as (left, right):
            left.stack.set_tap(seen.append)
            left.association.send([(1, b"seen")])
            await until(lambda: right.handler.received)
            count = len(seen)
            assert count
            left.stack.set_tap(None)
            left.association.send([(1, b"unseen")])
            await until(lambda: len(right.handler.received) == 2)
            assert len(seen) == count

    run(scenario)


def kinds(packet: Packet) -> list[int]:
    return [kind for kind, _ in chunks(packet.sctp)]


def test_bundling_fills_packets_and_delays_nothing() -> None:
    async def scenario() -> None:
        seen: list[Packet] = []
        async with pair(tap=seen.append) as (left, right):
            left.association.send([(1, bytes(100))] * 200)
            await until(lambda: len(right.handler.received) == 200)
            sent = [packet for packet in seen if packet.sent and DATA in kinds(packet)]
            assert len(sent) < 50  # 11 fit a packet
            assert max(len(packet.sctp) for packet in sent) > 1200
            # A single message, and the last of a batch, leave at once: no SACK is waited for
            # (the peer's would come after 20 ms).
            loop = asyncio.get_running_loop()
            for batch in (1, 7):
                before, begin = len(right.handler.received), loop.time()
                left.association.send([(1, b"now")] * batch)
                left.association.send([(1, b"and now")])
                while len(right.handler.received) < before + batch + 1:
                    await asyncio.sleep(0)
                assert loop.time() - begin < 0.015

    run(scenario)


def test_malformed_packets_disturb_nobody() -> None:
    """Mutations of every packet of a real exchange, from the peer's own address."""

    async def scenario() -> None:
        seen: list[Packet] = []
        chance = random.Random(9260)
        async with pair(tap=seen.append) as (left, right):
            left.association.send([(1, b"x" * 50)] * 20)
            right.association.send([(1, b"y" * 50)] * 20)
            await until(lambda: len(left.handler.received) == 20)
            left.stack.set_tap(None)
            originals = [packet.sctp for packet in seen if not packet.sent]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
                # another UDP port of the peer's address: taken as the peer's (RFC 6951 5.4)
                liar.bind((REAL_RIGHT, 0))
                for number in range(3000):
                    mutated = mutate(chance.choice(originals), chance)
                    liar.sendto(mutated, (REAL_LEFT, FAST.udp_port))
                    if number % 50 == 0:
                        await asyncio.sleep(0)
            await asyncio.sleep(0.2)
            assert left.stack.stats.malformed > 0
            # A mutation may by its right tag abort or restart the association, no more.
            await until(lambda: left.association.up and right.association.up)
            received = len(right.handler.received)
            left.association.send([(1, b"still here")])
            await until(lambda: len(right.handler.received) > received)
            assert left.stack.stats.handler_errors == 0

    run(scenario)


def mutate(packet: bytes, chance: random.Random) -> bytes:
    octets = bytearray(packet)
    kind = chance.randrange(5)
    if kind == 0:
        return bytes(octets[: chance.randrange(len(octets))])
    if kind == 1:
        octets += chance.randbytes(chance.randrange(40))
    for _ in range(chance.randrange(1, 6)):
        octets[chance.randrange(12, len(octets))] = chance.randrange(256)
    if kind == 2:  # a wrong chunk length
        octets[14:16] = chance.choice([b"\0\0", b"\0\3", b"\xff\xff", b"\0\5"])
    return with_checksum(bytes(octets)) if kind else bytes(octets)


@given(st.binary(min_size=12, max_size=80))
def test_a_checksum_put_in_is_found_right(data: bytes) -> None:
    assert checksum_is_right(with_checksum(data))
