"""JSON-RPC as CGRateS speaks it: the JSON codec of Go's ``net/rpc``, and JSON-RPC 2.0 beside it.

No sockets here. `Splitter` cuts a stream into JSON values, `parse` makes calls and answers of one,
`answer`, `refusal` and `request` write them, `values` is JSON as Go reads and writes it.

On the wire (Go's package ``net/rpc/jsonrpc``, after JSON-RPC 1.0)::

    {"method":"CoreSv1.Ping","params":[{}],"id":1}          to the server, no delimiter needed
    {"id":1,"result":"Pong","error":null}                   from it, a line each, in any order
    {"id":2,"result":null,"error":"NOT_FOUND"}              an error is a string

What names ``"jsonrpc":"2.0"`` is answered as JSON-RPC 2.0 asks for: its errors are objects,
notifications have no answer, a batch is an array.

Where that differs from the reference: there, a stream that is no JSON is closed without a word
(here: one answer that says why), 2.0 is answered like 1.0, and an array is no request.
"""

from trunkline.jsonrpc.messages import (
    Answer,
    Batch,
    Call,
    Message,
    Version,
    answer,
    parse,
    refusal,
    request,
)
from trunkline.jsonrpc.splitter import Limits, Splitter
from trunkline.jsonrpc.values import Json, JsonObject, Raw, decode, encode, go_float

__all__ = [
    "Answer",
    "Batch",
    "Call",
    "Json",
    "JsonObject",
    "Limits",
    "Message",
    "Raw",
    "Splitter",
    "Version",
    "answer",
    "decode",
    "encode",
    "go_float",
    "parse",
    "refusal",
    "request",
]
