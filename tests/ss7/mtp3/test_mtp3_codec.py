"""Every message there and back, in every variant; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.mtp3 import management, message, slt, traffic_test
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.message import Msu, label_of
from trunkline.ss7.pointcode import ANSI, CHINA, ITU, JAPAN, VARIANTS, Variant

variants = st.sampled_from(list(VARIANTS.values()))


@st.composite
def msus(draw: st.DrawFn) -> tuple[Variant, Msu]:
    variant = draw(variants)
    label = label_of(variant)
    pcs = st.integers(0, variant.last)
    spare = 0 if label.packed else draw(st.integers(0, (1 << 8 - label.sls_bits) - 1))
    return variant, Msu(
        draw(st.integers(0, 3)),
        draw(st.integers(0, 3)),
        draw(st.integers(0, 15)),
        draw(pcs),
        draw(pcs),
        draw(st.integers(0, label.sls_mask)),
        draw(st.binary(max_size=272)),
        spare,
    )


@given(msus())
def test_msu_there_and_back(case: tuple[Variant, Msu]) -> None:
    variant, msu = case
    assert message.parse(msu.to_bytes(variant), variant) == msu


@given(variants, st.binary(max_size=300))
def test_any_octets_are_kept_or_too_short(variant: Variant, octets: bytes) -> None:
    if len(octets) <= variant.label_octets:
        with pytest.raises(DecodeError) as refused:
            message.parse(octets, variant)
        assert refused.value.code == "mtp3.short"
    else:
        assert message.parse(octets, variant).to_bytes(variant) == octets


def test_labels_octet_by_octet() -> None:
    # Q.704 figure 3: DPC in the low 14 bits, OPC in the next 14, SLS on top.
    assert Msu(2, 0, 5, 0x0001, 0, 0).to_bytes(ITU) == bytes.fromhex("8501000000")
    assert Msu(2, 0, 5, 0, 0x0001, 0).to_bytes(ITU) == bytes.fromhex("8500400000")
    assert Msu(0, 3, 3, 0, 0, 0xF).to_bytes(ITU) == bytes.fromhex("33000000f0")
    # T1.111.4: member, cluster, network, each an octet, the member first.
    ansi = Msu(2, 1, 5, ANSI.parse("1.2.3"), ANSI.parse("4.5.6"), 0x1F, b"\x99")
    assert ansi.to_bytes(ANSI) == bytes.fromhex("95 030201 060504 1f 99")
    china = Msu(2, 0, 5, CHINA.parse("1.2.3"), CHINA.parse("4.5.6"), 5, b"", spare=10)
    assert china.to_bytes(CHINA) == bytes.fromhex("85 030201 060504 a5")
    # JT-Q704: the five bits of the main area are the low ones of the number that travels.
    japan = Msu(0, 0, 5, JAPAN.parse("1.2.3"), 0, 5)
    assert japan.to_bytes(JAPAN) == bytes.fromhex("05 4106 0000 05")  # 3 << 9 | 2 << 5 | 1


@pytest.mark.parametrize("field", ["ni", "priority", "si", "dpc", "opc", "sls", "spare"])
def test_what_does_not_fit_is_refused(field: str) -> None:
    values = dict.fromkeys(["ni", "priority", "si", "dpc", "opc", "sls", "spare"], 0)
    for wrong in (-1, 1 << 14):
        with pytest.raises(TrunklineError) as refused:
            Msu(**{**values, field: wrong}).to_bytes(ITU)  # type: ignore[arg-type]
        assert refused.value.code == "mtp3.range"


def test_sls_bits() -> None:
    assert label_of(ANSI, 5).sls_mask == 31
    assert label_of(ANSI, 5).unpack(bytes.fromhex("95 030201 060504 bf"))[2:] == (31, 5)
    for variant, bits in ((ITU, 5), (ANSI, 9), (ANSI, 0)):
        with pytest.raises(TrunklineError) as refused:
            label_of(variant, bits)
        assert refused.value.code == "mtp3.sls-bits"


# Management messages.


@given(variants, st.binary(min_size=1, max_size=20))
def test_management_octets_are_kept(variant: Variant, octets: bytes) -> None:
    try:
        parsed = management.parse(octets, variant)
    except DecodeError:
        with pytest.raises(DecodeError, match="needs"):
            management.parse(octets, variant)
    else:
        assert parsed.to_bytes(variant) == octets


@given(variants, st.sampled_from(list(Heading)), st.data())
def test_management_there_and_back(variant: Variant, heading: Heading, data: st.DataObject) -> None:
    octets = bytes((heading,)) + data.draw(st.binary(min_size=8, max_size=8))
    parsed = management.parse(octets, variant)
    assert parsed.heading is heading
    assert management.parse(parsed.to_bytes(variant), variant) == parsed


def test_management_layouts() -> None:
    xco = Management(Heading.XCO, fsn=0x123456)
    assert xco.to_bytes(ITU) == bytes.fromhex("31 563412")  # Q.2210 9.8.1
    ansi = Management(Heading.XCA, slc=3, fsn=0x123456)
    assert ansi.to_bytes(ANSI) == bytes.fromhex("41 63452301")
    assert Management(Heading.COO, fsn=0x55).to_bytes(ITU) == bytes.fromhex("1155")
    assert Management(Heading.COO, slc=2, fsn=0x55).to_bytes(ANSI) == bytes.fromhex("115205")
    tfp = Management(Heading.TFP, pc=ITU.parse("1.2.3"))
    assert tfp.to_bytes(ITU) == bytes.fromhex("14 1308")
    assert Management(Heading.TFA, pc=ANSI.parse("1.2.3")).to_bytes(ANSI) == bytes.fromhex(
        "54 030201"
    )
    assert Management(Heading.TFC, pc=1, code=2).to_bytes(ITU) == bytes.fromhex("23 0180")
    upu = management.parse(bytes.fromhex("1a 1308 15"), ITU)
    assert (upu.name, upu.pc, upu.user, upu.cause) == ("UPU", 2067, 5, 1)
    assert management.parse(b"\x17", ITU) == Management(Heading.TRA)
    assert management.parse(b"\x99ab", ITU).name == "H0=9 H1=9"
    assert management.parse(b"\x99ab", ITU).rest == b"ab"


@pytest.mark.parametrize("octets", ["", "31", "315634", "14", "1413", "2301", "1a1308"])
def test_short_management_messages(octets: str) -> None:
    with pytest.raises(DecodeError) as refused:
        management.parse(bytes.fromhex(octets), ITU)
    assert refused.value.code == "mtp3.management.short"


def test_management_field_too_large() -> None:
    with pytest.raises(TrunklineError) as refused:
        Management(Heading.XCO, fsn=1 << 24).to_bytes(ITU)
    assert refused.value.code == "mtp3.range"


# Link tests.


@given(
    st.sampled_from((slt.SLTM, slt.SLTA)),
    st.binary(max_size=15),
    st.integers(0, 15),
    st.binary(max_size=5),
)
def test_link_test_there_and_back(heading: int, pattern: bytes, low: int, rest: bytes) -> None:
    test = slt.LinkTest(heading, pattern, low, rest)
    assert slt.parse(test.to_bytes()) == test


def test_link_test_as_captured() -> None:
    assert slt.parse(bytes.fromhex("11201112")) == slt.LinkTest(slt.SLTM, b"\x11\x12")
    assert slt.LinkTest(slt.SLTA, b"\x11\x12").to_bytes() == bytes.fromhex("21201112")


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        ("", "mtp3.slt.short"),
        ("11", "mtp3.slt.short"),
        ("1130aabb", "mtp3.slt.short"),
        ("3100", "mtp3.slt.heading"),
    ],
)
def test_link_tests_refused(octets: str, code: str) -> None:
    with pytest.raises(DecodeError) as refused:
        slt.parse(bytes.fromhex(octets))
    assert refused.value.code == code


def test_pattern_of_sixteen_octets_is_refused() -> None:
    with pytest.raises(TrunklineError) as refused:
        slt.LinkTest(slt.SLTM, bytes(16)).to_bytes()
    assert refused.value.code == "mtp3.slt.pattern"


# Traffic test.


@given(
    st.sampled_from((traffic_test.REQUEST, traffic_test.REPLY)),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=250),
)
def test_traffic_test_there_and_back(heading: int, test: int, number: int, filler: bytes) -> None:
    sent = traffic_test.TrafficTest(heading, test, number, filler)
    assert traffic_test.parse(sent.to_bytes()) == sent


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        ("", "mtp3.traffic-test.short"),
        ("11544c00000000000000", "mtp3.traffic-test.short"),
        ("1100000000000000000000", "mtp3.traffic-test.foreign"),
        ("31544c0000000000000000", "mtp3.traffic-test.foreign"),
        ("11544c0000000000000100", "mtp3.traffic-test.length"),
    ],
)
def test_traffic_tests_refused(octets: str, code: str) -> None:
    with pytest.raises(DecodeError) as refused:
        traffic_test.parse(bytes.fromhex(octets))
    assert refused.value.code == code


# Captures.


def test_captured_messages_decode_and_encode_to_the_same(vectors: Path) -> None:
    seen = 0
    for file in sorted((vectors / "ss7").glob("*.jsonl")):
        for line in file.read_text().splitlines():
            frame = json.loads(line)
            stack = frame["stack"].split(":")
            if "mtp3" not in stack:
                continue
            for header in frame["raw"].get("mtp3", []):
                octets = bytes.fromhex(header)
                if len(octets) != 5:
                    continue  # reassembled elsewhere
                seen += 1
                msu = message.parse(octets, ITU)
                assert msu.to_bytes(ITU) == octets
                if "isup" in stack:
                    assert msu.si == message.ServiceIndicator.ISUP
                if "sccp" in stack:
                    assert msu.si == message.ServiceIndicator.SCCP
                for body in frame["raw"].get("mtp3mg", []):
                    octets = bytes.fromhex(body)
                    if msu.si == message.ServiceIndicator.TEST:
                        assert slt.parse(octets).to_bytes() == octets
                    else:
                        assert management.parse(octets, ITU).to_bytes(ITU) == octets
    assert seen >= 6
