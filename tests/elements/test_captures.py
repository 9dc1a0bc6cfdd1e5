"""Captures: the right packets, one file each, ended with whoever asked for them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tests.elements.clock import run
from tests.elements.support import EXAMPLES, Client, running

from trunkline.errors import TrunklineError
from trunkline.observe.pcap import PcapWriter

SEED = EXAMPLES / "four-countries" / "seed.toml"


def _packets(file: Path) -> list[tuple[str, str, int, int]]:
    """Source, destination and ports of every packet in a capture file."""
    octets = file.read_bytes()
    assert octets[:4] == struct.pack("=I", 0xA1B23C4D)
    found, at = [], 24
    while at < len(octets):
        length = struct.unpack_from("=I", octets, at + 8)[0]
        packet = octets[at + 16 : at + 16 + length]
        source, destination = (".".join(map(str, packet[i : i + 4])) for i in (12, 16))
        found.append((source, destination, *struct.unpack_from("!HH", packet, 20)))
        at += 16 + length
    return found


def test_a_capture_of_a_link_holds_its_packets_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            whole, one = await Client.to(lab["CountryB"]), await Client.to(lab["CountryB"])
            await whole.call("capture.start", file=str(tmp_path / "whole.pcap"))
            await one.call("capture.start", file=str(tmp_path / "one.pcap"), linkset="ToCountryD")
            await lab.view("CountryA", "ping cs7 7.8.1 count 3")
            await lab.view("CountryA", "ping cs7 7.7.1")
            counted = await one.call("capture.stop")
            written = _packets(tmp_path / "one.pcap")
            assert counted == {"packets": len(written), "dropped": 0}
            b, d = "10.0.7.1", "10.0.7.2"
            assert set(written) == {(b, d, 1026, 1026), (d, b, 1026, 1026)}
            assert len(written) >= 6
            assert await one.call("capture.stop") == {"packets": 0, "dropped": 0}
            await lab.view("CountryA", "ping cs7 7.7.1")
            await whole.call("capture.stop")
            assert lab.stack("CountryB").tap is None
            addresses = {
                address for packet in _packets(tmp_path / "whole.pcap") for address in packet[:2]
            }
            assert {"10.0.5.1", "10.0.6.2", "10.0.7.2"} < addresses
            await whole.close()
            await one.close()

    run(main())


def test_a_capture_ends_with_its_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            node = lab["CountryB"]
            client = await Client.to(node)
            await client.call("capture.start", file=str(tmp_path / "a.pcap"))
            await client.call("capture.start", file=str(tmp_path / "b.pcap"), linkset="ToCountryA")
            assert len(node.captures) == 2
            await client.close()
            assert node.captures == set()
            assert lab.stack("CountryB").tap is None
            await lab.view("CountryA", "ping cs7 7.7.1")
            assert _packets(tmp_path / "a.pcap") == []

    run(main())


def test_one_file_takes_one_capture_at_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            file = str(tmp_path / "a.pcap")
            await lab.call("CountryB", "capture.start", file=file)
            with pytest.raises(TrunklineError) as refused:
                await lab.call("CountryB", "capture.start", file=file, linkset="ToCountryA")
            assert refused.value.code == "capture.busy"
            await lab.view("CountryA", "ping cs7 4.5.6")
            assert (await lab.call("CountryB", "capture.stop"))["packets"] > 0
            await lab.call("CountryB", "capture.start", file=file)

    run(main())


def test_a_capture_outlives_its_link_and_the_point_code(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(SEED) as lab:
            file = str(tmp_path / "a.pcap")
            await lab.call("CountryA", "capture.start", file=file, linkset="ToCountryB")
            shell = await lab.shell("CountryA")
            await shell.type("conf t", "cs7 linkset ToCountryB", "no link 0")
            await shell.type("link 0 sctp 10.0.5.2 1024 1024")
            await lab.settle()
            assert (await lab.call("CountryA", "capture.stop"))["packets"] > 0

    run(main())


def test_a_full_disk_ends_the_capture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise TrunklineError("capture.file", "a.pcap: cannot be written: No space left on device")

    async def main() -> None:
        async with running(SEED) as lab:
            file = tmp_path / "a.pcap"
            await lab.call("CountryB", "capture.start", file=str(file))
            monkeypatch.setattr(PcapWriter, "write", full)
            assert (await lab.view("CountryA", "ping cs7 7.7.1"))["received"] == 1
            with pytest.raises(TrunklineError, match="No space left") as failed:
                await lab.call("CountryB", "capture.stop")
            assert failed.value.code == "capture.file"
            assert lab.stack("CountryB").tap is None
            assert lab["CountryB"].captures == set()
            said = [line for line in lab["CountryB"].log.lines if line.facility == "CS7CAP"]
            assert len(said) == 1

    run(main())
