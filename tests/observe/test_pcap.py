from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.observe.pcap import PcapWriter
from trunkline.observe.recorder import SeenMessage
from trunkline.sip.transport import Flow, Transport

# an SCTP packet with one COOKIE ACK chunk, ports 1024, its CRC32c computed by hand
COOKIE_ACK = struct.pack("!HHII", 1024, 1024, 7, 0) + bytes((11, 0, 0, 4))


def test_wireshark_reads_it_with_no_settings(tmp_path: Path) -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is absent")
    path = tmp_path / "a.pcap"
    with PcapWriter(path) as capture:
        capture.write(1_700_000_000.25, "10.0.5.1", "10.0.5.2", COOKIE_ACK)
    fields = ["frame.time_epoch", "ip.src", "ip.dst", "ip.checksum.status", "sctp.chunk_type"]
    command = ["tshark", "-r", str(path), "-o", "ip.check_checksum:TRUE", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1700000000.250000000", "10.0.5.1", "10.0.5.2", "1", "11"]


def test_a_full_file_counts_what_it_drops(tmp_path: Path) -> None:
    with PcapWriter(tmp_path / "a.pcap", limit=120) as capture:
        for _ in range(5):
            capture.write(0.0, "10.0.5.1", "10.0.5.2", COOKIE_ACK)
        assert (capture.packets, capture.dropped) == (2, 3)


def test_unwritable_file(tmp_path: Path) -> None:
    with pytest.raises(TrunklineError, match="cannot be written"):
        PcapWriter(tmp_path / "absent" / "a.pcap")


OPTIONS = (
    b"OPTIONS sip:b@example.org SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 192.0.2.1:5062;branch=z9hG4bK1\r\n"
    b"From: <sip:a@example.org>;tag=1\r\nTo: <sip:b@example.org>\r\n"
    b"Call-ID: abc@example.org\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def tshark(path: Path, *fields: str) -> list[list[str]]:
    """What it says of each packet, with checksums looked at."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is absent")
    command = ["tshark", "-r", str(path), "-o", "ip.check_checksum:TRUE"]
    command += ["-o", "udp.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def test_wireshark_reads_sip_messages_of_both_families(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    plain = Flow(Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5062))
    hidden = Flow(Transport.TLS, ("2001:db8::9", 5061), ("2001:db8::1", 49152), 3)
    with PcapWriter(path) as capture:
        capture.write_message(SeenMessage(1.25, plain, OPTIONS, sent=True), 1_700_000_000.0)
        capture.write_message(SeenMessage(1.5, plain, OPTIONS + b"x", sent=False), 1_700_000_000.0)
        capture.write_message(SeenMessage(2.0, hidden, OPTIONS, sent=True), 1_700_000_000.0)
        capture.write_message(SeenMessage(2.0, hidden, OPTIONS, sent=False), 1_700_000_000.0)
        assert capture.packets == 4
    fields = ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport"]
    rows = tshark(
        path, "frame.time_epoch", *fields, "udp.checksum.status", "sip.Call-ID", "_ws.malformed"
    )
    good = ["1", "abc@example.org", ""]
    assert rows == [
        ["1700000001.250000000", "192.0.2.1", "192.0.2.9", "", "", "5062", "5060", *good],
        ["1700000001.500000000", "192.0.2.9", "192.0.2.1", "", "", "5060", "5062", *good],
        ["1700000002.000000000", "", "", "2001:db8::1", "2001:db8::9", "49152", "5061", *good],
        ["1700000002.000000000", "", "", "2001:db8::9", "2001:db8::1", "5061", "49152", *good],
    ]
    assert [row[0] for row in tshark(path, "ip.checksum.status")] == ["1", "1", "", ""]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 1400, 65507])
def test_checksums_of_datagrams_of_any_length(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.pcap"
    with PcapWriter(path) as capture:
        for end in ("192.0.2.1", "2001:db8::1"):
            capture.write_udp(0.0, (end, 9), (end, 9), bytes(range(256)) * 256 + b"x" * length)
            capture.write_udp(0.0, (end, 9), (end, 9), (bytes(range(256)) * 256)[:length])
        assert capture.packets == (2 if length < 65507 else 1)
        assert capture.dropped == 4 - capture.packets
    rows = tshark(path, "udp.length", "udp.checksum.status")
    assert all(row == [str(8 + length), "1"] for row in rows)


def test_a_checksum_that_comes_to_nothing_is_written_as_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    with PcapWriter(path) as capture:
        # 0 + 0 + 17 + 10 + 0 + 0 + 10 and this payload are 0xffff
        capture.write_udp(0.0, ("0.0.0.0", 0), ("0.0.0.0", 0), (0xFFFF - 37).to_bytes(2, "big"))
    assert path.read_bytes()[-4:-2] == b"\xff\xff"
    assert tshark(path, "udp.checksum.status") == [["1"]]


def test_a_full_disk_is_a_documented_error() -> None:
    capture = PcapWriter(Path("/dev/full"))
    with pytest.raises(TrunklineError, match="cannot be written: No space left") as refused:
        capture.write(0.0, "192.0.2.1", "192.0.2.2", bytes(50_000))
    assert refused.value.code == "capture.file"
    with pytest.raises(TrunklineError, match="cannot be written"):
        capture.close()
