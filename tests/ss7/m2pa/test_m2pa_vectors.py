"""Captured M2PA: its octets, and its conversation with our link in one end's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.ss7.m2pa.pair import Script, msu

from trunkline.ss7.m2pa import Link, Settings, UserData, parse
from trunkline.ss7.m2pa.codec import PPID

CAPTURE = "pycrate-tcapmap_pcapr"
# Frames 25 to 68: one association, in both directions, with test messages and traffic.
CONVERSATION = range(25, 69)


def captured(vectors: Path) -> dict[int, tuple[str, list[bytes]]]:
    """Frame number -> (source address, M2PA messages), from the capture's SCTP DATA chunks."""
    octets = (vectors / "ss7" / f"{CAPTURE}.pcap").read_bytes()
    order = "little" if octets[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else "big"
    frames: dict[int, tuple[str, list[bytes]]] = {}
    at, number = 24, 0
    while at < len(octets):
        number += 1
        size = int.from_bytes(octets[at + 8 : at + 12], order)  # type: ignore[arg-type]
        ip = octets[at + 16 + 14 : at + 16 + size]  # after Ethernet
        at += 16 + size
        if ip[9] != 132:
            continue
        source = ".".join(str(octet) for octet in ip[12:16])
        total = int.from_bytes(ip[2:4], "big")
        sctp = ip[(ip[0] & 15) * 4 : total]
        messages, chunk = [], 12
        while chunk + 4 <= len(sctp):
            length = int.from_bytes(sctp[chunk + 2 : chunk + 4], "big")
            protocol = int.from_bytes(sctp[chunk + 12 : chunk + 16], "big")
            if sctp[chunk] == 0 and protocol == PPID:
                messages.append(sctp[chunk + 16 : chunk + length])
            chunk += max(4, length + 3 & ~3)
        if messages:
            frames[number] = (source, messages)
    return frames


def test_captured_frames_encode_to_themselves(vectors: Path) -> None:
    frames = captured(vectors)
    headers = {
        record["frame"]: bytes.fromhex(record["raw"]["m2pa"][0])
        for line in (vectors / "ss7" / f"{CAPTURE}.tshark.jsonl").read_text().splitlines()
        if "m2pa" in (record := json.loads(line))["raw"]
    }
    assert frames.keys() == headers.keys()
    assert len(frames) > 40
    for number, (_, messages) in frames.items():
        assert messages[0].startswith(headers[number])
        for octets in messages:
            message = parse(octets)
            assert isinstance(message, UserData)
            assert message.to_bytes() == octets


def test_captured_msus_follow_the_header(vectors: Path) -> None:
    for line in (vectors / "ss7" / f"{CAPTURE}.tshark.jsonl").read_text().splitlines():
        raw = json.loads(line)["raw"]
        if "m2pa" not in raw or "mtp3" not in raw:
            continue
        rest = "".join(raw.get(layer, [""])[0] for layer in ("mtp3mg", "sccp"))
        octets = bytearray(bytes.fromhex(raw["m2pa"][0] + raw["mtp3"][0] + rest))
        message = parse(bytes(octets))
        assert isinstance(message, UserData)
        assert message.msu.hex() == raw["mtp3"][0] + rest


def sequence(octets: bytes) -> tuple[int, int, bytes]:
    """What both ends must agree on: BSN, FSN, MSU. The first octet of the data is spare."""
    message = parse(octets)
    assert isinstance(message, UserData)
    return message.bsn, message.fsn, message.msu


@pytest.mark.parametrize("ours", ["85.195.192.15", "85.195.192.20"])
def test_the_captured_peer_drives_our_link(vectors: Path, ours: str) -> None:
    """We take one end's place: same MSUs in, same BSN and FSN out, message for message.

    Before the capture begins each end had sent one MSU, FSN 0, which the other acknowledged.
    """
    frames = [(s, m) for n, (s, m) in captured(vectors).items() if n in CONVERSATION]
    assert {source for source, _ in frames} == {"85.195.192.15", "85.195.192.20"}
    script = Script(Settings())
    script.align()
    script.exchange(outgoing=1, incoming=1)
    link: Link = script.link

    expected_in: list[bytes] = []
    delivered: list[bytes] = []
    arrived: list[tuple[int, bytes]] = []
    compared = acknowledgements = 0
    for source, messages in frames:
        script.now += 0.01
        if source != ours:
            arrived += [(1, octets) for octets in messages]
            expected_in += [sequence(octets)[2] for octets in messages if len(octets) > 16]
            continue
        for octets in messages:
            # The real end answered at this moment what had come so far: one batch for us.
            items = link.receive(arrived, script.now)
            arrived = []
            assert all(isinstance(item, bytes) for item in items), items
            delivered += [item for item in items if isinstance(item, bytes)]
            payload = sequence(octets)[2]
            if payload:
                link.send([payload], script.now)
            sending = link.data_to_send()
            assert [stream for stream, _ in sending] == [1]
            assert sequence(sending[0][1]) == sequence(octets)
            compared += 1
            acknowledgements += not payload
    items = link.receive(arrived, script.now)
    delivered += [item for item in items if isinstance(item, bytes)]
    assert delivered == expected_in
    assert compared == sum(len(messages) for source, messages in frames if source == ours)
    # One end always had an MSU to acknowledge with; the other often sent an empty User Data.
    assert (compared, acknowledgements) == {"85.195.192.15": (10, 0), "85.195.192.20": (17, 7)}[
        ours
    ]
    assert link.counters.discarded == 0
    assert msu(0) not in delivered
