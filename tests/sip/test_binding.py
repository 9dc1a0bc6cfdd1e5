"""Bindings as text, and what hangs on a flow."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.sip.binding import (
    Binding,
    dump_bindings,
    live,
    load_bindings,
    normal_instance,
)
from trunkline.sip.transport import Flow, Transport

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ADDRESS = st.tuples(st.sampled_from(["192.0.2.1", "2001:db8::1"]), st.integers(0, 65535))
FLOWS = st.builds(Flow, st.sampled_from(Transport), ADDRESS, ADDRESS, st.integers(0, 2**40))
TIMES = st.floats(0, 1e11)
BINDINGS = st.builds(
    Binding,
    contact=TEXT,
    call_id=TEXT,
    cseq=st.integers(0, 2**32 - 1),
    expires=TIMES,
    registered=TIMES,
    refreshed=TIMES,
    q=st.none() | st.floats(0, 1),
    parameters=TEXT,
    instance=TEXT,
    reg_id=st.integers(0, 2**31 - 1),
    path=st.lists(TEXT, max_size=3).map(tuple),
    flow=st.none() | FLOWS,
    node=TEXT,
    nat=st.booleans(),
    gruu=st.integers(0, 2**48),
    user_agent=TEXT,
    id=TEXT,
)


@given(st.lists(BINDINGS, max_size=3).map(tuple))
def test_bindings_go_round(bindings: tuple[Binding, ...]) -> None:
    text = dump_bindings(bindings)
    assert "\n" not in text
    assert load_bindings(text) == bindings


def test_octets_that_are_no_utf_8_go_round() -> None:
    binding = Binding("sip:\udcff@h", "id", 1, 2.0, 1.0, 1.0)
    assert load_bindings(dump_bindings([binding])) == (binding,)


def test_what_says_nothing_is_not_written() -> None:
    text = dump_bindings([Binding("sip:a@h", "id", 1, 2.0, 1.0, 1.0)])
    assert text == (
        '[{"contact":"sip:a@h","call_id":"id","cseq":1,"expires":2.0,"registered":1.0,'
        '"refreshed":1.0}]'
    )


def test_a_preference_of_zero_is_kept() -> None:
    binding = Binding("sip:a@h", "id", 1, 2.0, 1.0, 1.0, q=0.0)
    assert load_bindings(dump_bindings([binding])) == (binding,)


def damaged(**changes: object) -> str:
    values: dict[str, object] = {
        "contact": "sip:a@h", "call_id": "id", "cseq": 1,
        "expires": 2.0, "registered": 1.0, "refreshed": 1.0,
    }  # fmt: skip
    values.update(changes)
    return json.dumps([{name: value for name, value in values.items() if value is not None}])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        "[" * 100_000,
        damaged(contact=None),
        damaged(contact=7),
        damaged(cseq="1"),
        damaged(cseq=True),
        damaged(cseq=1.5),
        damaged(expires="soon"),
        damaged(nat=1),
        damaged(path="sip:p"),
        damaged(flow=["SCTP", "192.0.2.1", 1, "192.0.2.2", 2, 0]),
        damaged(flow=["UDP", "192.0.2.1"]),
    ],
)
def test_damage_is_told(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        load_bindings(text)
    assert caught.value.code == "sip.binding"


def test_values_of_a_later_version_are_passed_over() -> None:
    [binding] = load_bindings(damaged(mood="sunny"))
    assert binding.contact == "sip:a@h"


def test_live_ones_end_after_now() -> None:
    one, two = (Binding("sip:a@h", "id", 1, end, 0.0, 0.0) for end in (10.0, 11.0))
    assert live((one, two), 10.0) == (two,)


@pytest.mark.parametrize(
    ("urn", "normal"),
    [
        ("URN:UUID:F81D4FAE-7dec", "urn:uuid:f81d4fae-7dec"),
        ("urn:GSMA:imei:9A-1", "urn:gsma:imei:9A-1"),
        ("mac:00", "mac:00"),
    ],
)
def test_instances_compare_as_urns(urn: str, normal: str) -> None:
    assert normal_instance(urn) == normal
