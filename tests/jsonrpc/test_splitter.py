"""Every cut of a stream gives the same values, and what is no stream of values ends it once."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.jsonrpc import Limits, Splitter

CALL = rb'{"method":"CoreSv1.Ping","params":[{"a\"]}":"\\","b":[1,-2.5e3,true,null]}],"id":1}'
VALUES = [CALL, b"[]", b"{}", rb'["\\\"{","\u005d"]', "{“é”: 1}".encode().replace(b"\xe2", b'"')]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
containers = st.lists(json_values, max_size=4) | st.dictionaries(st.text(), json_values, max_size=4)


def fed(stream: bytes, *cuts: int, limits: Limits | None = None) -> tuple[list[bytes], Splitter]:
    splitter = Splitter(limits)
    values: list[bytes] = []
    for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True):
        values += splitter.receive(stream[start:end])
    return values, splitter


@pytest.mark.parametrize("between", [b"", b"\n", b" \r\n\t "])
def test_values_cut_at_every_octet(between: bytes) -> None:
    stream = between.join([CALL, b"[]", b"{}", CALL, rb'["\\\"{","\u005d"]']) + between
    expected = [CALL, b"[]", b"{}", CALL, rb'["\\\"{","\u005d"]']
    for cut in range(len(stream) + 1):
        values, splitter = fed(stream, cut)
        assert values == expected
        assert splitter.error is None
        assert splitter.pending == 0


def test_values_come_as_soon_as_they_are_whole() -> None:
    splitter = Splitter()
    for octet in CALL[:-1]:
        assert splitter.receive(bytes([octet])) == []
    assert splitter.pending == len(CALL) - 1
    assert splitter.receive(CALL[-1:] + CALL + b"{") == [CALL, CALL]
    assert splitter.pending == 1


@given(st.lists(containers, max_size=5), st.lists(st.integers(0, 400), max_size=6))
def test_any_values_in_any_pieces(values: list[object], cuts: list[int]) -> None:
    texts = [json.dumps(value).encode() for value in values]
    stream = b"".join(texts)
    found, splitter = fed(stream, *sorted(min(cut, len(stream)) for cut in cuts))
    assert found == texts
    assert splitter.error is None


@pytest.mark.parametrize("stream", [b"1", b"-", b'"a"', b"null", b"true", b"]", b"}", b",", b"\0"])
def test_what_begins_no_value_ends_the_stream(stream: bytes) -> None:
    values, splitter = fed(CALL + b"\n" + stream + CALL)
    assert values == [CALL]
    assert splitter.error is not None
    assert splitter.error.code == "jsonrpc.syntax"
    assert splitter.error.offset == len(CALL) + 1
    assert splitter.receive(CALL) == []


def test_depth_has_an_end() -> None:
    limits = Limits(depth=3)
    assert fed(b"[[[]]]", limits=limits)[0] == [b"[[[]]]"]
    for cut in range(1, 7):
        values, splitter = fed(b"{}[[[[1", cut, limits=limits)
        assert values == [b"{}"]
        assert splitter.error is not None
        assert splitter.error.code == "jsonrpc.depth"
        assert splitter.error.offset == 5


def test_a_value_has_an_end() -> None:
    limits = Limits(octets=10)
    for value, fits in ((b'["' + b"a" * 6 + b'"]', True), (b'["' + b"a" * 7 + b'"]', False)):
        for cut in range(len(value) + 1):
            values, splitter = fed(value, cut, limits=limits)
            assert values == ([value] if fits else [])
            assert (splitter.error is None) is fits
    _, splitter = fed(b'["' + b"a" * 9, limits=limits)
    assert splitter.error is not None
    assert splitter.error.code == "jsonrpc.size"


def test_blanks_between_values_take_no_room() -> None:
    splitter = Splitter(Limits(octets=10))
    for _ in range(100):
        assert splitter.receive(b" \n" * 50) == []
    assert splitter.pending == 0
    assert splitter.receive(b"{}") == [b"{}"]


def test_an_octet_at_a_time_costs_no_more_per_octet_in_a_long_value() -> None:
    def seconds(length: int) -> float:
        value = b'{"a":"' + b"x" * length + b'"}'
        splitter = Splitter(Limits(octets=1 << 22))
        start = time.perf_counter()
        for at in range(0, len(value), 16):
            splitter.receive(value[at : at + 16])
        assert splitter.pending == 0
        return time.perf_counter() - start

    seconds(1 << 14)
    short = min(seconds(1 << 14) for _ in range(3))
    assert seconds(1 << 18) < 16 * short * 8  # quadratic: 256 times
