"""Packets for a collector leave now or never, and are counted."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from trunkline.elements.proxy.export import HepExport
from trunkline.errors import TrunklineError
from trunkline.net.collector import Collector, CollectorCounters
from trunkline.observe.hep import HepPacket
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.transport import Flow, Transport

FLOW = Flow(Transport.UDP, ("192.0.2.1", 5060), ("192.0.2.2", 5060))


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5.0)
        yield listening


def test_packets_arrive(ear: socket.socket) -> None:
    collector = Collector(ear.getsockname())
    collector.send(b"one")
    collector.send(b"two")
    assert [ear.recv(100), ear.recv(100)] == [b"one", b"two"]
    assert collector.counters == CollectorCounters(sent=2)
    collector.close()


def test_nobody_listens(ear: socket.socket) -> None:
    collector = Collector(ear.getsockname())
    ear.close()
    collector.send(b"one")
    deadline = time.monotonic() + 5.0
    while not collector.counters.refused:
        assert time.monotonic() < deadline
        collector.send(b"another")
        time.sleep(0.01)
    assert not collector.counters.dropped
    collector.close()


def test_what_is_too_long_or_has_no_room_is_dropped(ear: socket.socket) -> None:
    collector = Collector(ear.getsockname())
    collector.send(bytes(70_000))
    assert collector.counters == CollectorCounters(dropped=1)
    collector.close()
    collector.send(b"closed")
    assert collector.counters == CollectorCounters(dropped=2)


def test_no_way_to_a_collector() -> None:
    with pytest.raises(TrunklineError) as caught:
        Collector(("255.255.255.255", 9060))
    assert caught.value.code == "hep.collector"


def test_what_passes_is_exported(ear: socket.socket) -> None:
    collector = Collector(ear.getsockname())
    export = HepExport(collector, offset=lambda: 1000.0, capture_id=9)
    export(SeenMessage(1.5, FLOW, b"OPTIONS sip:x SIP/2.0\r\n\r\n", True))
    packet = HepPacket.parse(ear.recv(65_535))
    assert (packet.time, packet.capture_id) == (1001.5, 9)
    assert (packet.source, packet.destination) == (FLOW.local, FLOW.remote)
    export(SeenMessage(1.5, FLOW, bytes(65_000), True))
    export(SeenMessage(1.5, FLOW, b"x", False))
    assert collector.counters == CollectorCounters(sent=2, dropped=1)
    collector.close()
