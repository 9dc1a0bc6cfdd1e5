from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.m2pa import LinkStatus, M2paError, Status, UserData, parse

sequence = st.integers(0, 0xFFFFFF)
octet = st.integers(0, 255)
PROVING = (Status.PROVING_NORMAL, Status.PROVING_EMERGENCY)

user_data = st.builds(
    UserData,
    bsn=sequence,
    fsn=sequence,
    priority=st.integers(0, 3),
    msu=st.binary(min_size=1, max_size=300),
    data_spare=st.integers(0, 63),
    header_spare=octet,
    bsn_unused=octet,
    fsn_unused=octet,
)
acknowledgement = st.builds(
    UserData,
    bsn=sequence,
    fsn=sequence,
    header_spare=octet,
    bsn_unused=octet,
    fsn_unused=octet,
)
link_status = st.builds(
    LinkStatus,
    bsn=sequence,
    fsn=sequence,
    state=st.sampled_from([state for state in Status if state not in PROVING]),
    header_spare=octet,
    bsn_unused=octet,
    fsn_unused=octet,
)
proving = st.builds(
    LinkStatus,
    bsn=sequence,
    fsn=sequence,
    state=st.sampled_from(PROVING),
    filler=st.binary(max_size=300),
    header_spare=octet,
    bsn_unused=octet,
    fsn_unused=octet,
)
messages = st.one_of(user_data, acknowledgement, link_status, proving)


@given(messages)
def test_round_trip(message: UserData | LinkStatus) -> None:
    assert parse(message.to_bytes()) == message


@given(messages, st.data())
def test_accepted_octets_encode_to_themselves(
    message: UserData | LinkStatus, data: st.DataObject
) -> None:
    octets = bytearray(message.to_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(octet)
    try:
        parsed = parse(bytes(octets))
    except DecodeError:
        return
    assert parsed.to_bytes() == octets


@given(st.binary(max_size=64))
def test_garbage_gives_decode_error_only(octets: bytes) -> None:
    try:
        message = parse(octets)
    except DecodeError:
        return
    assert message.to_bytes() == octets


def test_layout_of_user_data() -> None:
    message = UserData(bsn=0x010203, fsn=0x0A0B0C, priority=2, msu=b"\x83\x01\x02")
    assert message.to_bytes().hex(" ") == (
        "01 00 0b 01 00 00 00 14 00 01 02 03 00 0a 0b 0c 80 83 01 02"
    )


def test_layout_of_link_status() -> None:
    message = LinkStatus(0xFFFFFF, 0xFFFFFF, Status.OUT_OF_SERVICE)
    assert message.to_bytes().hex(" ") == (
        "01 00 0b 02 00 00 00 14 00 ff ff ff 00 ff ff ff 00 00 00 09"
    )


def test_an_acknowledgement_has_no_data_field() -> None:
    assert len(UserData(1, 2).to_bytes()) == 16


def test_length_indicator_in_the_first_octet_is_tolerated() -> None:
    octets = bytes.fromhex("01000b01 00000014 00000000 00000001 09 010203")
    message = parse(octets)
    assert isinstance(message, UserData)
    assert (message.priority, message.data_spare, message.msu) == (0, 9, b"\x01\x02\x03")
    assert message.to_bytes() == octets


GOOD = LinkStatus(1, 2, Status.READY).to_bytes()


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"", M2paError.SHORT),
        (GOOD[:15], M2paError.SHORT),
        (b"\x02" + GOOD[1:], M2paError.VERSION),
        (GOOD[:2] + b"\x06" + GOOD[3:], M2paError.CLASS),
        (GOOD[:3] + b"\x03" + GOOD[4:], M2paError.TYPE),
        (GOOD[:-1], M2paError.LENGTH),
        (GOOD + b"\x00", M2paError.LENGTH),
        (GOOD[:4] + b"\xff\xff\xff\xff" + GOOD[8:], M2paError.LENGTH),
        (GOOD[:7] + b"\x10" + GOOD[8:16], M2paError.LENGTH),
        (GOOD[:7] + b"\x15" + GOOD[8:] + b"\x00", M2paError.LENGTH),
        (GOOD[:-1] + b"\x00", M2paError.STATUS),
        (GOOD[:-1] + b"\x0a", M2paError.STATUS),
        (GOOD[:16] + b"\x01\x00\x00\x04", M2paError.STATUS),
        (bytes.fromhex("01000b01 00000011 00000000 00000001 00"), M2paError.LENGTH),
    ],
)
def test_refusals(octets: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse(octets)
    assert caught.value.code == code
    assert str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        UserData(1 << 24, 0),
        UserData(0, -1),
        UserData(0, 0, priority=4, msu=b"\x01"),
        UserData(0, 0, data_spare=64, msu=b"\x01"),
        LinkStatus(0, 0, Status.READY, header_spare=256),
        LinkStatus(0, 0, Status.READY, filler=b"x"),
    ],
)
def test_fields_that_do_not_fit_are_refused(message: UserData | LinkStatus) -> None:
    with pytest.raises(TrunklineError) as caught:
        message.to_bytes()
    assert caught.value.code == M2paError.RANGE
