"""What we send, as tshark reads it: labels, management messages and link tests of each variant."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from trunkline.ss7.mtp3 import slt
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.message import Msu
from trunkline.ss7.pointcode import ANSI, CHINA, ITU, JAPAN, Variant

_LINKTYPE_MTP3 = 141
_STANDARD = {ITU: "ITU", ANSI: "ANSI", CHINA: "Chinese ITU", JAPAN: "Japan"}


def read(folder: Path, variant: Variant, msus: list[bytes], *fields: str) -> list[list[str]]:
    """Return the fields of each message as tshark decodes them."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    file = folder / "mtp3.pcap"
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _LINKTYPE_MTP3)
    packets = (struct.pack("<IIII", 1, 0, len(m), len(m)) + m for m in msus)
    file.write_bytes(header + b"".join(packets))
    command = ["tshark", "-r", str(file), "-o", f"mtp3.standard:{_STANDARD[variant]}"]
    command += ["-T", "fields", "-E", "separator=;", "-E", "occurrence=f"]
    for field in ("_ws.malformed", *fields):
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    rows = [line.split(";") for line in result.stdout.splitlines()]
    assert len(rows) == len(msus)
    assert all(row[0] == "" for row in rows), "malformed"
    return [row[1:] for row in rows]


def around(variant: Variant, si: int, payload: bytes, sls: int = 0) -> bytes:
    dpc, opc = variant.parse("1.2.3"), variant.parse("4.5.6")
    return Msu(0, 0, si, dpc, opc, sls, payload).to_bytes(variant)


@pytest.mark.parametrize(
    ("variant", "fields", "values"),
    [
        (ITU, ("mtp3.dpc", "mtp3.opc", "mtp3.sls"), ["2067", "8238", "5"]),
        (ANSI, ("mtp3.ansi_dpc", "mtp3.ansi_opc", "mtp3.sls"), ["1-2-3", "4-5-6", "5"]),
        (CHINA, ("mtp3.chinese_dpc", "mtp3.chinese_opc", "mtp3.sls"), ["1-2-3", "4-5-6", "5"]),
        # tshark prints the five bits that are sent first, our first field, last.
        (JAPAN, ("mtp3.dpc", "mtp3.opc", "mtp3.sls"), ["1601", "3236", "5"]),
    ],
    ids=lambda value: value.name if isinstance(value, Variant) else "",
)
def test_labels(
    tmp_path: Path, variant: Variant, fields: tuple[str, ...], values: list[str]
) -> None:
    [row] = read(tmp_path, variant, [around(variant, 5, bytes(20), sls=5)], *fields)
    assert [v.split(" ")[0] for v in row] == values


@pytest.mark.parametrize("variant", [ITU, ANSI, CHINA], ids=lambda v: v.name)
def test_management(tmp_path: Path, variant: Variant) -> None:
    pc = variant.parse("7.7.1")
    messages = [
        Management(heading, slc=3 if variant is ANSI else 0, fsn=0x123456)
        for heading in (Heading.XCO, Heading.XCA)
    ]
    messages += [Management(heading, pc=pc) for heading in (Heading.TFP, Heading.TFA, Heading.RST)]
    messages += [Management(Heading.TFC, pc=pc, code=2), Management(Heading.TRA)]
    messages += [Management(Heading.UPU, pc=pc, user=5, cause=1)]
    affected = {ITU: "mtp3mg.apc", ANSI: "mtp3mg.ansi_apc", CHINA: "mtp3mg.chinese_apc"}
    rows = read(
        tmp_path,
        variant,
        [around(variant, 0, m.to_bytes(variant)) for m in messages],
        "mtp3mg.h0",
        "mtp3mg.h1",
        "mtp3mg.fsn",
        affected[variant],
        "mtp3mg.status",
        "mtp3mg.user",
        "mtp3mg.cause",
    )
    for message, (h0, h1, fsn, where, status, user, cause) in zip(messages, rows, strict=True):
        assert (int(h0, 0), int(h1, 0)) == (message.heading & 15, message.heading >> 4)
        if message.heading in (Heading.XCO, Heading.XCA):
            assert fsn == str(0x123456)
        if message.pc:
            assert where == (str(pc) if variant is ITU else "7-7-1")
        if message.heading is Heading.TFC:
            assert int(status, 0) == 2
        if message.heading is Heading.UPU:
            assert (int(user, 0), int(cause, 0)) == (5, 1)


@pytest.mark.parametrize("variant", [ITU, ANSI], ids=lambda v: v.name)
def test_link_tests(tmp_path: Path, variant: Variant) -> None:
    payload = slt.LinkTest(slt.SLTM, b"TL\x00\x01", 3 if variant is ANSI else 0).to_bytes()
    msu = around(variant, slt.service_indicator(variant), payload, sls=3)
    [row] = read(tmp_path, variant, [msu], "mtp3mg.test.h0", "mtp3mg.test.h1", "mtp3mg.test.length")
    assert [int(v, 0) for v in row] == [1, 1, 4]
