"""The captured call of the vectors, and tshark as the second reader of what we read and write."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from trunkline.ss7.isup.call import Trunks
from trunkline.ss7.isup.cause import CauseIndicators
from trunkline.ss7.isup.codec import Message, parse
from trunkline.ss7.isup.messages import MessageType, ParameterCode
from trunkline.ss7.isup.number import CalledPartyNumber, CallingPartyNumber
from trunkline.ss7.isup.parameters import (
    BackwardCallIndicators,
    ForwardCallIndicators,
    NatureOfConnectionIndicators,
)
from trunkline.ss7.isup.settings import Settings

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

LINKTYPE_MTP3 = 141


def captured(vectors: Path) -> list[bytes]:
    lines = (vectors / "ss7" / "tcpdump-isup.tshark.jsonl").read_text().splitlines()
    return [bytes.fromhex(raw) for line in lines for raw in json.loads(line)["raw"]["isup"]]


def tshark_fields(capture: Path, names: list[str], *options: str) -> list[list[str]]:
    """A row of field values for each frame, as tshark prints them."""
    command = ["tshark", "-r", str(capture), "-T", "fields", "-E", "occurrence=f", *options]
    for name in names:
        command += ["-e", name]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split("\t") for line in output.splitlines()]


def field(message: Message, code: ParameterCode) -> bytes:
    content = message.get(code)
    assert content is not None
    return content


def test_captured_frames_are_exact(vectors: Path) -> None:
    frames = captured(vectors)
    assert len(frames) == 6
    for frame in frames:
        message = parse(frame)
        assert message.to_bytes() == frame
        assert message.canonical
    kinds = [parse(frame).type_name for frame in frames]
    assert kinds == ["IAM", "CFN", "ACM", "ANM", "REL", "RLC"]


@needs_tshark
def test_captured_values_are_those_that_tshark_shows(vectors: Path) -> None:
    """tshark's numbers on the left, ours on the right, frame by frame."""
    rows = tshark_fields(
        vectors / "ss7" / "tcpdump-isup.pcap",
        [
            "isup.cic",
            "isup.message_type",
            "isup.satellite_indicator",
            "isup.forw_call_isdn_user_part_indicator",
            "isup.forw_call_preferences_indicator",
            "isup.forw_call_isdn_access_indicator",
            "isup.calling_partys_category",
            "isup.transmission_medium_requirement",
            "isup.called",
            "isup.called_party_nature_of_address_indicator",
            "isup.inn_indicator",
            "isup.calling",
            "isup.calling_party_nature_of_address_indicator",
            "isup.address_presentation_restricted_indicator",
            "isup.screening_indicator",
            "isup.called_partys_status_indicator",
            "isup.backw_call_echo_control_device_indicator",
            "q931.cause_location",
            "isup.cause_indicator",
        ],
        *("-o", "m3ua.version:Internet Draft version 6"),  # the capture is of 2004
    )
    messages = [parse(frame) for frame in captured(vectors)]
    assert [[int(row[0]), int(row[1])] for row in rows] == [[m.cic, m.type] for m in messages]

    iam, row = messages[0], rows[0]
    nature = NatureOfConnectionIndicators.parse(
        field(iam, ParameterCode.NATURE_OF_CONNECTION_INDICATORS)
    )
    forward = ForwardCallIndicators.parse(field(iam, ParameterCode.FORWARD_CALL_INDICATORS))
    called = CalledPartyNumber.parse(field(iam, ParameterCode.CALLED_PARTY_NUMBER))
    calling = CallingPartyNumber.parse(field(iam, ParameterCode.CALLING_PARTY_NUMBER))
    assert [int(text, 0) for text in row[2:8]] == [
        nature.satellite_circuits,
        forward.isup_all_the_way,
        forward.isup_preference,
        forward.isdn_access,
        field(iam, ParameterCode.CALLING_PARTYS_CATEGORY)[0],
        field(iam, ParameterCode.TRANSMISSION_MEDIUM_REQUIREMENT)[0],
    ]
    assert (row[8], row[11]) == (called.digits, calling.digits)
    assert [int(text, 0) for text in (*row[9:11], *row[12:15])] == [
        *(called.nature, called.inn_not_allowed),
        *(calling.nature, calling.presentation, calling.screening),
    ]

    backward = BackwardCallIndicators.parse(
        field(messages[2], ParameterCode.BACKWARD_CALL_INDICATORS)
    )
    assert [int(text, 0) for text in rows[2][15:17]] == [
        *(backward.called_status, backward.echo_control),
    ]
    for index in (1, 4):  # CFN and REL
        cause = CauseIndicators.parse(field(messages[index], ParameterCode.CAUSE_INDICATORS))
        location, value = rows[index][17:19]
        assert int(location, 0) == cause.location
        assert int(value, 0) == cause.value


@needs_tshark
def test_tshark_reads_what_the_machine_sends(tmp_path: Path) -> None:
    """Every message that Trunks builds, as MTP3 in a capture: none malformed, all understood."""
    sent = every_message_the_machine_sends()
    capture = tmp_path / "sent.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_MTP3))
        for octets in sent:
            msu = bytes.fromhex("85 01400000") + octets  # SI 5 ISUP, a routing label
            file.write(struct.pack("<IIII", 0, 0, len(msu), len(msu)) + msu)
    rows = tshark_fields(
        capture, ["isup.message_type", "isup.called", "isup.calling", "_ws.malformed"]
    )
    assert [int(row[0]) for row in rows] == [octets[2] for octets in sent]
    assert not any(row[3] for row in rows)
    assert rows[0][1:3] == ["3005F", "4416960600"]
    kinds = {MessageType(octets[2]).name for octets in sent}
    assert kinds == {
        *("IAM", "ACM", "ANM", "CON", "REL", "RLC", "RSC", "CFN"),
        *("BLA", "UBA", "CGBA", "CGUA", "GRA", "UPA"),
    }


def every_message_the_machine_sends() -> list[bytes]:
    a, b = Trunks(Settings(), 1), Trunks(Settings(), 2)
    a.add_group("b", 2, range(1, 9))
    b.add_group("a", 1, range(1, 9))
    sent: list[bytes] = []

    def carry() -> None:
        moving = True
        while moving:
            moving = False
            for source, target, opc in ((a, b, 1), (b, a, 2)):
                for _, _, octets in source.data_to_send():
                    moving = True
                    sent.append(octets)
                    target.receive(opc, octets, 0.0)

    first = a.setup("b", "3005", "+4416960600", 0.0)
    second = a.setup("b", "+3005", "", 0.0)
    carry()
    incoming, other = b.calls
    b.alert(incoming, 0.0)
    b.answer(incoming, 0.0)
    b.answer(other, 0.0)
    carry()
    a.release(first.id, 16, 0.0)
    b.release(other, 41, 0.0, location=4)
    carry()
    assert second.circuit is None
    a.reset("b", 0.0)
    carry()
    for asked in (
        *("010013", "010014", "0100fe", "010034"),
        *("0100180001020701", "0100190001020701", "010017010107"),
    ):
        a.receive(2, bytes.fromhex(asked), 0.0)
    carry()
    return sent
