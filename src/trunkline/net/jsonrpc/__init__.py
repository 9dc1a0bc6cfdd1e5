"""The charging API's connections: TCP as Go's ``net/rpc`` has it, HTTP, and clients of them.

`RpcServer` listens; each connection hands its calls to one `Handler` and writes the answers as they
come, those of one wake-up together. What the messages are is ``trunkline.jsonrpc``'s business, what
the methods do the handler's.

Bounds, and what happens there:

- *connections*: beyond ``connections``, the oldest that has not yet brought a call makes room; if
  all have, the new one is closed at once;
- *calls*: ``turn`` of one connection are taken before the others have their turn; while ``pending``
  of it are under way, or the peer does not read what it was sent, it is not read from;
- *time*: a value (HTTP: a request) that has begun is whole within ``patience``, and a peer reads
  within ``patience`` what it was sent, or the connection ends. One that is idle stays: switches
  keep theirs open for days.

Left out: TLS and passwords. Listen on this machine alone, or behind something that has them.
"""

from trunkline.net.jsonrpc.client import HttpRpcClient, RpcClient, connect
from trunkline.net.jsonrpc.connection import Handler, Peer
from trunkline.net.jsonrpc.dialled import DialledConnection
from trunkline.net.jsonrpc.http import HttpConnection
from trunkline.net.jsonrpc.once import call_once
from trunkline.net.jsonrpc.server import RpcServer, RpcSettings, Statistics
from trunkline.net.jsonrpc.tcp import TcpConnection, TwoWayConnection

__all__ = [
    "DialledConnection",
    "Handler",
    "HttpConnection",
    "HttpRpcClient",
    "Peer",
    "RpcClient",
    "RpcServer",
    "RpcSettings",
    "Statistics",
    "TcpConnection",
    "TwoWayConnection",
    "call_once",
    "connect",
]
