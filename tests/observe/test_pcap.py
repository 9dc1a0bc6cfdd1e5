from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.observe.pcap import PcapWriter

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
