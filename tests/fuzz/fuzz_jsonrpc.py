"""A JSON-RPC stream: any octets, in any pieces, give messages and one documented error at most.

The first octet chooses the size of pieces and the limits.
"""

from __future__ import annotations

import json

from trunkline.errors import DecodeError
from trunkline.jsonrpc import Answer, Batch, Call, Limits, Message, Splitter, answer, parse, refusal

SEEDS = [
    b'\x05{"method":"APIerSv1.GetCost","params":[{"Tenant":"cgrates.org","Usage":"60s"}],"id":1}',
    b'\x01{"id":1,"result":{"Cost":0.22,"Usage":60000000000},"error":null}\n{"id":2,"error":"NO"}',
    b'\x80[{"jsonrpc":"2.0","method":"A.B","params":{"a":[1,-2.5e3]},"id":"\\u00e9\\\\\\""},{}]',
    b'\x03{"METHOD":"A.B","params":[{"a":"]}\\"{["}]}{}[] {"method":1}',
    b'\x07{"a":[[[[[[[[[[[[]]]]]]]]]]]],"b":1e400,"c":"\\ud800"}{"jsonrpc":"2.0"}',
]
_CODES = ("jsonrpc.syntax", "jsonrpc.size", "jsonrpc.depth", "jsonrpc.request")


def _parsed(value: bytes) -> Message | None:
    try:
        return parse(value)
    except DecodeError as problem:
        if problem.code not in _CODES:
            raise
        return None


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    choice, octets = (data[0] if data else 0), data[1:]
    limits = Limits(octets=200, depth=8) if choice & 1 else Limits()
    splitter = Splitter(limits)
    values: list[bytes] = []
    piece = (choice >> 1) + 1
    for at in range(0, len(octets), piece):
        values += splitter.receive(octets[at : at + piece])
        assert splitter.pending <= limits.octets + piece
    again = Splitter(limits)
    assert again.receive(octets) == values
    assert (again.error is None) is (splitter.error is None)
    if splitter.error is not None:
        assert splitter.error.code in _CODES
        assert splitter.receive(b"{}") == []
    for value in values:
        assert len(value) <= limits.octets
        message = _parsed(value)
        if message is None or isinstance(message, Answer):
            continue
        for call in message.calls if isinstance(message, Batch) else (message,):
            assert isinstance(call, Call)
            for text in (answer(call, call.argument), refusal(call, call.fault)):
                assert text.endswith("\n")
                json.loads(text.encode())
