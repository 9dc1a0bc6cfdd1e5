"""JSON as Go reads and writes it."""

from __future__ import annotations

import json
import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.jsonrpc import Json, Raw, decode, encode, go_float
from trunkline.jsonrpc.values import go_decimal, kind

# What Go's encoding/json prints (encode.go, floatEncoder; encode_test.go)
GO_NUMBERS = {
    0.0: "0",
    22.0: "22",
    0.22: "0.22",
    12.5001: "12.5001",
    1e6: "1000000",
    1e20: "100000000000000000000",
    1e21: "1e+21",
    1.5e22: "1.5e+22",
    123456789012345680.0: "123456789012345680",
    0.0001: "0.0001",
    0.00001: "0.00001",
    1e-6: "0.000001",
    1e-7: "1e-7",
    1.25e-9: "1.25e-9",
    1e-10: "1e-10",
    1.7976931348623157e308: "1.7976931348623157e+308",
    5e-324: "5e-324",
    -0.5: "-0.5",
    -1e21: "-1e+21",
    2.0**63: "9223372036854776000",
}


@pytest.mark.parametrize(("value", "text"), GO_NUMBERS.items())
def test_numbers_as_go_prints_them(value: float, text: str) -> None:
    assert go_float(value) == text
    assert go_decimal(Decimal(repr(value))) == text


def test_minus_zero_and_what_is_no_number() -> None:
    assert go_float(-0.0) == go_decimal(Decimal("-0.00")) == "-0"
    for odd in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="no JSON"):
            go_float(odd)
        with pytest.raises(ValueError, match="no JSON"):
            go_decimal(Decimal(odd))


def expected(value: float) -> str:
    """The rule of Go's encoder, in other words: shortest digits, then the layout."""
    sign = "-" if math.copysign(1, value) < 0 else ""
    number = Decimal(repr(abs(value)))
    if value and not 1e-6 <= abs(value) < 1e21:
        digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
        power = number.adjusted()
        rest = f".{digits[1:]}" if digits[1:] else ""
        return f"{sign}{digits[0]}{rest}e{'+' if power > 0 else '-'}{abs(power)}"
    whole, _, fraction = format(number, "f").partition(".")
    fraction = fraction.rstrip("0")
    return f"{sign}{whole}{'.' if fraction else ''}{fraction}"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_and_has_go_s_layout(value: float) -> None:
    text = go_float(value)
    assert struct.pack("<d", float(text)) == struct.pack("<d", value)
    assert text == expected(value)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_decimals_are_written_in_full(value: Decimal) -> None:
    assert Decimal(encode(value)) == value


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ('"\\\n\r\t', r'"\"\\\n\r\t"'),
        ("\b\f\x00\x1f\x7f", '"\\u0008\\u000c\\u0000\\u001f\x7f"'),
        ("<a&b>", r'"\u003ca\u0026b\u003e"'),
        ("\u2028é\u2029", '"\\u2028é\\u2029"'),
        ("\ud800", '"\ufffd"'),
    ],
)
def test_strings_as_go_writes_them(text: str, quoted: str) -> None:
    assert encode(text) == quoted


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_what_is_written_is_json_and_reads_back(value: Json) -> None:
    text = encode(value)
    assert json.loads(text) == value
    assert decode(text.encode()) == value


def test_kinds_that_need_care() -> None:
    assert encode({"a": (True, None, 1.0, Raw('{"b":[]}'))}) == '{"a":[true,null,1,{"b":[]}]}'
    with pytest.raises(TypeError, match="set"):
        encode({1})  # type: ignore[arg-type]
    values: list[Json] = [None, True, "", 1, Decimal(1), {}, []]
    assert [kind(each) for each in values] == [
        "null",
        "bool",
        "string",
        "number",
        "number",
        "object",
        "array",
    ]


def test_amounts_are_read_as_they_were_written() -> None:
    assert decode(b"[0.10, 1e2, 12.5001, 7, -0.0, 0e999999]") == [
        Decimal("0.10"),
        Decimal("1E+2"),
        Decimal("12.5001"),
        7,
        0,
        0,
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"[1e309]",
        b"[1e-400]",
        b"[1e99999999999999999999]",
        b"[0." + b"1" * 81 + b"]",
        b"[" + b"1" * 5000 + b"]",
        b"[NaN]",
        b"[-Infinity]",
        b"[01]",
        b"[1.]",
        b"{]",
        b'{"a"}',
        b"[1,]",
        b'["\n"]',
        b"['a']",
        b"[tru]",
        b"[1] 2",
        b"[" * 100_000,
    ],
)
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(text)
    assert caught.value.code == "jsonrpc.syntax"


def test_text_that_is_no_text_becomes_the_replacement_character() -> None:
    assert decode(b'["\xff","\\ud800","\\ud83d\\ude00",{"\\udfff":"a"}]') == [
        "\ufffd",
        "\ufffd",
        "😀",
        {"\ufffd": "a"},
    ]
    assert decode(b'{"a":1,"a":2}') == {"a": 2}


def test_numbers_have_eighty_digits_at_most() -> None:
    assert decode(b"[" + b"9" * 80 + b"]") == [10**80 - 1]
    for text in (b"9" * 81, b"-" + b"9" * 4000, b"9" * 5000, b"0." + b"9" * 81):
        with pytest.raises(DecodeError, match="digits") as refused:
            decode(b"[" + text + b"]")
        assert refused.value.code == "jsonrpc.syntax"
