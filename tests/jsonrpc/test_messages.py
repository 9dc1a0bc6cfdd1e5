"""Calls and answers in both dialects."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import DecodeError
from trunkline.jsonrpc import Answer, Batch, Call, Raw, Version, answer, parse, refusal, request
from trunkline.jsonrpc.messages import INVALID_REQUEST, batch


def test_a_call_of_go() -> None:
    value = b'{"method":"APIerSv1.GetCost","params":[{"Tenant":"cgrates.org"},{"b":2}],"id":7}'
    assert parse(value) == Call("APIerSv1.GetCost", {"Tenant": "cgrates.org"}, 7)


@pytest.mark.parametrize(
    ("value", "call"),
    [
        (b'{"method":"A.B","params":[]}', Call("A.B", None, None)),
        (b'{"METHOD":"A.B","Params":[null],"ID":"x"}', Call("A.B", None, "x")),
        (b'{"method":"A.B","params":["text"],"id":[1]}', Call("A.B", "text", [1])),
        (b'{"method":null,"params":[1],"id":1}', Call("", 1, 1)),
        (b"{}", Call("", None, None, fault="jsonrpc: request body missing params")),
        (
            b'{"method":"A.B","params":null,"id":1}',
            Call("A.B", None, 1, fault="jsonrpc: request body missing params"),
        ),
        (
            b'{"method":"A.B","params":{"Tenant":"a"},"id":1}',
            Call(
                "A.B",
                None,
                1,
                fault="json: cannot unmarshal object into Go value of type [1]interface {}",
            ),
        ),
        (b'{"method":"A.B","params":[{}],"id":1,"result":2}', Call("A.B", {}, 1)),
        (b'{"jsonrpc":"1.0","method":"A.B","params":[{}],"id":1}', Call("A.B", {}, 1)),
    ],
)
def test_what_go_makes_of_a_request(value: bytes, call: Call) -> None:
    assert parse(value) == call


@pytest.mark.parametrize("method", ["1", "[]", "{}", "true", "1.5"])
def test_a_method_that_is_no_text_ends_the_stream(method: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse(f'{{"method":{method},"params":[{{}}],"id":1}}'.encode())
    assert caught.value.code == "jsonrpc.request"
    assert "into Go struct field serverRequest.method of type string" in caught.value.message


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ('"method":"A.B","params":[{"a":1}],"id":1', Call("A.B", {"a": 1}, 1, Version.TWO)),
        ('"method":"A.B","params":{"a":1},"id":"x"', Call("A.B", {"a": 1}, "x", Version.TWO)),
        ('"method":"A.B","id":null', Call("A.B", None, None, Version.TWO)),
        ('"method":"A.B","params":[{}]', Call("A.B", {}, None, Version.TWO, notification=True)),
        (
            '"method":"A.B","params":"no","id":1',
            Call(
                "A.B",
                "no",
                1,
                Version.TWO,
                fault="params are a list or an object, not string",
            ),
        ),
    ],
)
def test_a_call_of_the_second_version(value: str, call: Call) -> None:
    assert parse(f'{{"jsonrpc":"2.0",{value}}}'.encode()) == call


@pytest.mark.parametrize("value", ['"id":5', '"method":1,"id":5', '"params":[],"id":5'])
def test_what_is_no_request_of_the_second_version(value: str) -> None:
    call = parse(f'{{"jsonrpc":"2.0",{value}}}'.encode())
    assert isinstance(call, Call)
    assert call.fault.startswith("no request: ")
    assert call.fault_code == INVALID_REQUEST
    assert call.id == 5
    assert not call.notification


def test_batches() -> None:
    found = parse(
        b'[{"jsonrpc":"2.0","method":"A.B","id":1},{"jsonrpc":"2.0","method":"A.C"},'
        b'{"method":"A.D","params":[],"id":2},7,{"jsonrpc":"2.0","result":1,"id":1}]'
    )
    assert isinstance(found, Batch)
    first, second, *others = found.calls
    assert first == Call("A.B", None, 1, Version.TWO)
    assert second.notification
    assert [call.fault_code for call in others if call.fault] == [INVALID_REQUEST] * 3
    empty = parse(b"[]")
    assert isinstance(empty, Batch)
    assert empty.calls[0].fault == "no request: an empty batch"
    assert batch([answer(first, "a"), refusal(others[0], "b", -32600)]) == (
        '[{"jsonrpc":"2.0","id":1,"result":"a"},'
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"b"}}]\n'
    )
    assert batch([]) == ""


def test_answers_of_others() -> None:
    assert parse(b'{"id":1,"result":{"a":[]},"error":null}') == Answer(1, {"a": []}, None)
    assert parse(b'{"id":1,"result":null,"error":"NOT_FOUND"}') == Answer(1, None, "NOT_FOUND")
    assert parse(b'{"id":1,"error":{"code":-1,"message":"no"}}') == Answer(1, None, "no")
    assert parse(b'{"id":1,"error":[1]}') == Answer(1, None, "[1]")
    assert parse(b'{"jsonrpc":"2.0","id":1,"result":7}') == Answer(1, 7, None)


def test_what_is_written() -> None:
    go, two = Call("A.B", None, 7), Call("A.B", None, "x", Version.TWO)
    assert answer(go, {"Cost": 0.22}) == '{"id":7,"result":{"Cost":0.22},"error":null}\n'
    assert answer(go, Raw("[]")) == '{"id":7,"result":[],"error":null}\n'
    assert answer(two, None) == '{"jsonrpc":"2.0","id":"x","result":null}\n'
    assert refusal(go, 'a "b"') == '{"id":7,"result":null,"error":"a \\"b\\""}\n'
    assert refusal(two, "no", -32601) == (
        '{"jsonrpc":"2.0","id":"x","error":{"code":-32601,"message":"no"}}\n'
    )
    assert request("A.B", {"a": 1}, 3) == '{"method":"A.B","params":[{"a":1}],"id":3}\n'


texts = st.text(min_size=0, max_size=20)


@given(texts, st.dictionaries(texts, texts | st.integers() | st.none()), st.integers(0, 2**63))
def test_calls_and_answers_read_back(method: str, argument: dict[str, str], number: int) -> None:
    call = parse(request(method, argument, number).encode())
    assert call == Call(method, argument, number)
    assert isinstance(call, Call)
    assert parse(answer(call, argument).encode()) == Answer(number, argument, None)
    assert parse(refusal(call, method).encode()) == Answer(number, None, method)
    second = Call(method, argument, number, Version.TWO)
    assert json.loads(answer(second, argument)) == {
        "jsonrpc": "2.0",
        "id": number,
        "result": argument,
    }
