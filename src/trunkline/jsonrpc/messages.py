"""Calls and answers: one JSON value to a message, and back.

What Go's server makes of an object (``net/rpc/jsonrpc/server.go``):

- members are found whatever their case; the first of ``params`` is the argument, the rest counts
  for nothing; none is the zero value of what the method takes;
- no ``params``, or none that is a list: the call is answered with that error;
- no ``id`` is ``null``, and is answered as that;
- a ``method`` that is no string: the stream ends.

JSON-RPC 2.0 differs: ``params`` may be the argument itself, and a call without ``id`` is a
notification (section 4.1), which nobody answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from trunkline.errors import DecodeError
from trunkline.jsonrpc.values import Json, Raw, decode, encode, kind, quote

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "SERVER_ERROR",
    "Answer",
    "Batch",
    "Call",
    "Message",
    "Version",
    "answer",
    "batch",
    "parse",
    "refusal",
    "request",
]

# JSON-RPC 2.0, section 5.1
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000


class Version(Enum):
    """How a call is answered."""

    GO = "1.0"
    TWO = "2.0"


@dataclass(frozen=True, slots=True)
class Call:
    """A request."""

    method: str
    argument: Json
    """The one argument; ``None``: there was none."""
    id: Json = None
    version: Version = Version.GO
    notification: bool = False
    fault: str = ""
    """Why it cannot be carried out, whatever the method, in Go's words."""
    fault_code: int = INVALID_PARAMS


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a call of ours."""

    id: Json
    result: Json
    error: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Several calls whose answers go back together (JSON-RPC 2.0, section 6)."""

    calls: tuple[Call, ...]


Message: TypeAlias = Call | Answer | Batch

NOBODY: Final = Call("", None)
"""Whom an error is answered to that belongs to no call."""


def parse(data: bytes) -> Message:
    """What a value of the stream says.

    Raises:
        DecodeError: ``jsonrpc.syntax``, ``jsonrpc.request``.
    """
    value = decode(data)
    if isinstance(value, dict):
        return _message(value)
    assert isinstance(value, list)  # the splitter lets nothing else pass
    return Batch(tuple(_in_batch(item) for item in value) or (_invalid("an empty batch"),))


def _message(value: dict[str, Json]) -> Call | Answer:
    if value.get("jsonrpc") == "2.0":
        return _second(value)
    method = _member(value, "method")
    identifier = _member(value, "id")
    if method is None:
        if "result" in value or "error" in value:
            return _answer(value)
        method = ""
    if not isinstance(method, str):
        raise DecodeError(
            "jsonrpc.request",
            f"json: cannot unmarshal {kind(method)} into Go struct field serverRequest.method of"
            " type string",
        )
    params = _member(value, "params")
    if isinstance(params, list):
        return Call(method, params[0] if params else None, identifier)
    if params is None:
        fault = "jsonrpc: request body missing params"
    else:
        fault = f"json: cannot unmarshal {kind(params)} into Go value of type [1]interface {{}}"
    return Call(method, None, identifier, fault=fault)


def _member(value: dict[str, Json], name: str) -> Json:
    found = value.get(name)
    if found is None and name not in value:
        for key, member in value.items():
            if key.lower() == name:
                found = member
    return found


def _second(value: dict[str, Json]) -> Call | Answer:
    if "method" not in value and ("result" in value or "error" in value):
        return _answer(value)
    method, identifier = value.get("method"), value.get("id")
    if not isinstance(method, str):
        return _invalid("no method", identifier)
    if isinstance(identifier, bool | list | dict):
        return _invalid(f"an id that is {kind(identifier)}")
    notification = "id" not in value
    params = value.get("params", [])
    argument, fault = params, ""
    if isinstance(params, list):
        argument = params[0] if params else None
    elif not isinstance(params, dict):
        fault = f"params are a list or an object, not {kind(params)}"
    return Call(method, argument, identifier, Version.TWO, notification, fault)


def _in_batch(value: Json) -> Call:
    if isinstance(value, dict) and value.get("jsonrpc") == "2.0":
        message = _second(value)
        if isinstance(message, Call):
            return message
    return _invalid("a batch has calls of JSON-RPC 2.0 alone")


def _invalid(fault: str, identifier: Json = None) -> Call:
    return Call(
        "", None, identifier, Version.TWO, fault=f"no request: {fault}", fault_code=INVALID_REQUEST
    )


def _answer(value: dict[str, Json]) -> Answer:
    error = value.get("error")
    if isinstance(error, dict):
        error = error.get("message", "")
    if error is not None and not isinstance(error, str):
        error = encode(error)
    return Answer(value.get("id"), value.get("result"), error)


def answer(call: Call, result: Json) -> str:
    """The text of the answer to ``call``, as a line.

    Raises:
        ValueError: a number that JSON cannot have.
    """
    text = result.text if isinstance(result, Raw) else encode(result)
    if call.version is Version.GO:
        return f'{{"id":{encode(call.id)},"result":{text},"error":null}}\n'
    return f'{{"jsonrpc":"2.0","id":{encode(call.id)},"result":{text}}}\n'


def refusal(call: Call, error: str, code: int = SERVER_ERROR) -> str:
    """The text of the answer that says why there is no result; ``code`` is that of 2.0."""
    if call.version is Version.GO:
        return f'{{"id":{encode(call.id)},"result":null,"error":{quote(error)}}}\n'
    return (
        f'{{"jsonrpc":"2.0","id":{encode(call.id)},'
        f'"error":{{"code":{code},"message":{quote(error)}}}}}\n'
    )


def batch(answers: list[str]) -> str:
    """The text of the answer to a batch; empty where nothing of it wants one."""
    return "[" + ",".join(text.rstrip("\n") for text in answers) + "]\n" if answers else ""


def request(method: str, argument: Json, identifier: int) -> str:
    """The text of a call, as Go's client writes it."""
    return f'{{"method":{quote(method)},"params":[{encode(argument)}],"id":{identifier}}}\n'
