from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError, TrunklineError
from trunkline.ss7.isup.cause import CauseIndicators
from trunkline.ss7.isup.codec import Message, Parameter, build, parse
from trunkline.ss7.isup.messages import LAYOUTS, MessageType, ParameterCode
from trunkline.ss7.isup.number import CalledPartyNumber, CallingPartyNumber, NatureOfAddress
from trunkline.ss7.isup.parameters import (
    VIEWS,
    EventIndicator,
    EventInformation,
    ParameterCompatibility,
    RangeAndStatus,
)

P = ParameterCode

# An IAM of our own making: CIC 0x5A3, spare bits 0110, called 3005 ST, calling +4416960600.
IAM = bytes.fromhex("a365 01 00 2001 0a 03 02 07 05 83 90 0350 0f 0a 07 04 13 44 61 69 60 00 00")


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(sorted(LAYOUTS)))
    layout = LAYOUTS[kind]
    parameters = [
        Parameter(code, draw(st.binary(min_size=size, max_size=size)))
        for code, size in layout.fixed
    ]
    parameters += [Parameter(code, draw(st.binary(max_size=60))) for code in layout.variable]
    if layout.optional:
        optional = st.builds(Parameter, st.integers(1, 255), st.binary(max_size=255))
        parameters += draw(st.lists(optional, max_size=5))
    return Message(
        draw(st.integers(0, 4095)), MessageType(kind), tuple(parameters), draw(st.integers(0, 15))
    )


@given(messages())
def test_round_trip(message: Message) -> None:
    octets = message.to_bytes()
    again = parse(octets)
    assert again == message
    assert again.canonical
    assert again.to_bytes() == octets


@given(st.binary(max_size=300))
def test_any_octets_are_kept_exactly_or_refused(octets: bytes) -> None:
    try:
        again = parse(octets).to_bytes()
    except DecodeError as problem:
        refusal = problem
    else:
        assert again == octets
        return
    assert refusal.code in {"isup.truncated", "isup.pointer"}
    assert 0 <= refusal.offset <= len(octets)


def test_an_iam_field_by_field() -> None:
    message = parse(IAM)
    assert (message.cic, message.spare, message.type) == (0x5A3, 6, MessageType.IAM)
    assert [p.code for p in message.parameters] == [
        P.NATURE_OF_CONNECTION_INDICATORS,
        P.FORWARD_CALL_INDICATORS,
        P.CALLING_PARTYS_CATEGORY,
        P.TRANSMISSION_MEDIUM_REQUIREMENT,
        P.CALLED_PARTY_NUMBER,
        P.CALLING_PARTY_NUMBER,
    ]
    called = CalledPartyNumber.parse(message.get(P.CALLED_PARTY_NUMBER) or b"")
    assert (called.text, called.complete, called.nature) == ("3005", True, NatureOfAddress.NATIONAL)
    calling = CallingPartyNumber.parse(message.get(P.CALLING_PARTY_NUMBER) or b"")
    assert calling.text == "+4416960600"
    assert message.get(P.CAUSE_INDICATORS) is None
    assert message.to_bytes() == IAM


@pytest.mark.parametrize("size", range(len(IAM)))
def test_every_truncation_of_an_iam_is_refused_or_exact(size: int) -> None:
    # Cut at a parameter boundary of the optional part, the message still makes sense.
    cut = IAM[:size]
    try:
        message = parse(cut)
    except DecodeError:
        return
    assert size == len(IAM) - 1, "only the end-of-optional octet may be missing"
    assert message.to_bytes() == cut
    assert not message.canonical


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("010006", "fixed parameter missing"),
        ("01000c00", "pointer to a mandatory parameter is zero"),
        ("01000cff00", "pointer beyond the end"),
        ("01000c020005", "length beyond the end"),
        ("0100090112", "optional parameter without length"),
        ("010009011205aa", "optional parameter cut short"),
        ("010009", ""),
    ],
)
def test_what_does_not_fit_is_refused(octets: str, why: str) -> None:
    if why:
        with pytest.raises(DecodeError):
            parse(bytes.fromhex(octets))
    else:  # an ANM without the pointer that it has had since 1992
        assert parse(bytes.fromhex(octets)).to_bytes() == bytes.fromhex(octets)


@pytest.mark.parametrize(
    "octets",
    [
        "01000c0400ffff028090",  # a gap before the variable part
        "01000c0200028090ff",  # an octet after the message
        "0100090112028090",  # no end-of-optional octet
        "01000901120280900055",  # an octet after it
        "0100090100",  # an optional part with nothing in it
        "01002b02020201020102",  # CQR: both pointers lead into one another's content
    ],
)
def test_other_layouts_are_kept(octets: str) -> None:
    message = parse(bytes.fromhex(octets))
    assert not message.canonical
    assert message.to_bytes() == bytes.fromhex(octets)
    # Laid out afresh, the content is the same.
    afresh = replace(message, cic=message.cic)
    assert afresh.canonical
    assert parse(afresh.to_bytes()).parameters == message.parameters


def test_unknown_types_are_kept_raw() -> None:
    message = parse(bytes.fromhex("0510fe010203"))
    assert (message.type, message.body, message.type_name) == (0xFE, b"\1\2\3", "type 0xfe")
    assert message.to_bytes() == bytes.fromhex("0510fe010203")
    assert parse(bytes.fromhex("051028010203")).type is MessageType.PAM


@pytest.mark.parametrize(
    "message",
    [
        Message(4096, MessageType.RSC),
        Message(1, MessageType.RSC, spare=16),
        Message(1, MessageType.RSC, (Parameter(4, b""),)),
        Message(1, MessageType.REL),
        Message(1, MessageType.COT, (Parameter(P.CONTINUITY_INDICATORS, b"ab"),)),
        Message(1, MessageType.REL, (Parameter(P.CAUSE_INDICATORS, bytes(256)),)),
        build(MessageType.REL, 1, [bytes(255)], [(P.CALL_REFERENCE, b"")]),
        build(MessageType.ANM, 1, (), [(0, b"")]),
        build(MessageType.ANM, 1, (), [(256, b"")]),
    ],
)
def test_what_cannot_be_encoded(message: Message) -> None:
    with pytest.raises(TrunklineError) as refusal:
        message.to_bytes()
    assert refusal.value.code == "isup.encode"


# Typed views


@given(st.sampled_from(sorted(VIEWS)), st.binary(max_size=20))
def test_views_are_exact_or_refuse(code: int, octets: bytes) -> None:
    try:
        again = VIEWS[code].parse(octets).to_bytes()
    except DecodeError as problem:
        refusal = problem
    else:
        assert again == octets
        return
    assert refusal.code == "isup.parameter"


digits = st.text("0123456789ABCDEF", max_size=20)


@given(digits, st.integers(0, 127), st.integers(0, 7), st.booleans())
def test_called_number_round_trip(text: str, nature: int, plan: int, inn: bool) -> None:
    number = CalledPartyNumber(text, nature, plan, inn)
    assert CalledPartyNumber.parse(number.to_bytes()) == number


@given(digits, st.integers(0, 127), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_calling_number_round_trip(
    text: str, nature: int, presentation: int, screening: int, incomplete: bool
) -> None:
    number = CallingPartyNumber(text, nature, 1, presentation, screening, incomplete)
    assert CallingPartyNumber.parse(number.to_bytes()) == number


@pytest.mark.parametrize("text", ["3005", "30056", "+4416960600", "1B2C", "+1"])
def test_numbers_as_text(text: str) -> None:
    assert CalledPartyNumber.of(text).text == text
    assert CallingPartyNumber.of(text).text == text
    assert CalledPartyNumber.parse(CalledPartyNumber.of(text).to_bytes()).text == text


def test_odd_and_even_numbers() -> None:
    assert CalledPartyNumber("123").to_bytes() == bytes.fromhex("8490 2103")
    assert CalledPartyNumber("1234").to_bytes() == bytes.fromhex("0490 2143")
    with pytest.raises(TrunklineError, match="not a number") as refusal:
        CalledPartyNumber("12x").to_bytes()
    assert refusal.value.code == "isup.digits"


def test_cause_indicators_with_and_without_recommendation() -> None:
    assert CauseIndicators(16).to_bytes() == bytes.fromhex("8090")
    assert CauseIndicators(97, 2, b"\xfe").to_bytes() == bytes.fromhex("82e1fe")
    with_octet = CauseIndicators.parse(bytes.fromhex("048190"))
    assert (with_octet.recommendation, with_octet.value, with_octet.location) == (0x81, 16, 4)
    assert with_octet.name == "normal call clearing"
    assert CauseIndicators(126).name == "cause 126"


def test_range_and_status_bits() -> None:
    field = RangeAndStatus.with_status([True, *([False] * 8), True])
    assert field.to_bytes() == bytes.fromhex("09 01 02")
    assert [index for index in range(20) if field.marked(index)] == [0, 9]


def test_parameter_compatibility_entries() -> None:
    field = ParameterCompatibility.parse(bytes.fromhex("f490 f50481"))
    assert field.instructions(0xF4) == 0x90
    assert field.instructions(0xF5) == 0x04
    assert field.instructions(0xF6) == 0


def test_event_information() -> None:
    assert EventInformation(EventIndicator.ALERTING, True).to_bytes() == b"\x81"
