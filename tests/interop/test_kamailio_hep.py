"""HEPv3 to Kamailio's sipcapture, and from its siptrace."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.interop.kamailio import running
from tests.store.servers import free_port

from trunkline.observe.hep import HepPacket, hep_of
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.transport import Flow, Transport

pytestmark = pytest.mark.interop

MESSAGE = (
    b"OPTIONS sip:b@example.org SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@example.org>;tag=1\r\nTo: <sip:b@example.org>\r\n"
    b"Call-ID: abc@example.org\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)

# What a collector sees of a packet, on one line of the log.
_FIELDS = ["version"] + [f"0x{chunk:03x}" for chunk in (*range(1, 13), 14, 17)]
COLLECTOR = f"""
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "db_sqlite.so"
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "sqlite:///{{folder}}/capture.db")
modparam("sipcapture", "insert_retry_timeout", 0)
modparam("sipcapture", "capture_on", 1)
modparam("sipcapture", "hep_capture_on", 1)
modparam("sipcapture", "nonsip_hook", 1)
event_route[sipcapture:request] {{{{
  xlog("L_ALERT", "SEEN|{"|".join(f"$hep({name})" for name in _FIELDS)}|\\n");
  xlog("L_ALERT", "PAYLOAD|$hep(0x00f)|\\n");
  return 0;
}}}}
request_route {{{{ xlog("L_ALERT", "UP\\n"); exit; }}}}
"""

SENDER = """
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "siptrace.so"
modparam("siptrace", "duplicate_uri", "sip:127.0.0.1:{{port}}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "hep_capture_id", 77)
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)
request_route {{ sl_send_reply("200", "OK"); exit; }}
"""


def log_of(folder: Path, words: str) -> str:
    """The log, as soon as it has these words."""
    deadline = time.monotonic() + 10
    while words not in (text := (folder / "log").read_text(errors="replace")):
        assert time.monotonic() < deadline, text
        time.sleep(0.02)
    return text


@pytest.fixture
def collector() -> Iterator[tuple[Path, socket.socket]]:
    with (
        running(COLLECTOR, lambda folder: b"Listening" in (folder / "log").read_bytes()) as (
            folder,
            port,
        ),
        closing(socket.socket(type=socket.SOCK_DGRAM)) as sender,
    ):
        sender.connect(("127.0.0.1", port))
        deadline = time.monotonic() + 10
        while "UP" not in (folder / "log").read_text(errors="replace"):
            assert time.monotonic() < deadline
            sender.send(MESSAGE)  # until its process reads
            time.sleep(0.05)
        yield folder, sender


def test_a_collector_reads_what_we_write(collector: tuple[Path, socket.socket]) -> None:
    folder, sender = collector
    flow = Flow(Transport.UDP, ("198.51.100.7", 5080), ("192.0.2.1", 5060))
    seen = SeenMessage(3.25, flow, MESSAGE, sent=True)
    packet = hep_of(seen, 1_700_000_000.0, capture_id=42, password="sesame")
    assert packet is not None
    sender.send(packet.to_bytes())
    log = log_of(folder, "PAYLOAD|OPTIONS")
    assert (
        "SEEN|3|2|17|192.0.2.1|198.51.100.7|||5060|5080|1700000003|250000|1|42"
        "|sesame|abc@example.org|"
    ) in log.replace("<null>", "")
    assert MESSAGE.decode().replace("\r", "") in log.replace("\r", "")


def test_ipv6_and_streams(collector: tuple[Path, socket.socket]) -> None:
    folder, sender = collector
    flow = Flow(Transport.TLS, ("2001:db8::7", 5061), ("2001:db8::1", 50000), 9)
    packet = hep_of(SeenMessage(0.000001, flow, MESSAGE, sent=False), 0.0, capture_id=0xFFFFFFFE)
    assert packet is not None
    sender.send(packet.to_bytes())
    log = log_of(folder, "PAYLOAD|OPTIONS")
    assert (
        "SEEN|3|10|6|||2001:db8::7|2001:db8::1|5061|50000|0|1|1|4294967294||abc@example.org|"
    ) in log.replace("<null>", "")


def test_we_read_what_an_agent_writes() -> None:
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(0.2)
        route = SENDER.replace("{{port}}", str(collector.getsockname()[1]))
        with running(route, lambda folder: b"Listening" in (folder / "log").read_bytes()) as (
            folder,
            port,
        ):
            agent = ("127.0.0.1", port)
            with closing(socket.socket(type=socket.SOCK_DGRAM)) as client:
                client.bind(("127.0.0.1", free_port(socket.SOCK_DGRAM)))
                request = MESSAGE.replace(
                    b"192.0.2.1:5060", b"127.0.0.1:%d" % client.getsockname()[1]
                )
                packets: list[HepPacket] = []
                deadline = time.monotonic() + 10
                while len(packets) < 2:
                    assert time.monotonic() < deadline, (folder / "log").read_text()
                    client.sendto(request, agent)
                    try:
                        packets.append(HepPacket.parse(collector.recv(1 << 16)))
                        packets.append(HepPacket.parse(collector.recv(1 << 16)))
                    except TimeoutError:
                        packets.clear()
                received, sent = packets
                assert (received.source, received.destination) == (client.getsockname(), agent)
                assert (sent.source, sent.destination) == (agent, client.getsockname())
                assert received.payload == request
                assert sent.payload.startswith(b"SIP/2.0 200 OK\r\n")
                for packet in packets:
                    assert packet.protocol == 17
                    assert packet.capture_id == 77
                    assert abs(packet.time - time.time()) < 30
                    assert HepPacket.parse(packet.to_bytes()) == packet
