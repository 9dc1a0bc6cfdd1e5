"""Transactions: RFC 3261 section 17, RFC 6026. `table` says what happens, `layer` does it."""

from trunkline.sip.transaction.events import (
    AckReceived,
    CancelReceived,
    Discarded,
    Event,
    Misdelivered,
    RequestReceived,
    ResponseReceived,
    StrayResponse,
    TimedOut,
    TransportFailed,
)
from trunkline.sip.transaction.layer import (
    ClientTransaction,
    Counters,
    Owners,
    ServerTransaction,
    Tap,
    TransactionLayer,
)
from trunkline.sip.transaction.table import TABLES, Action, Machine, Row, State, Trigger

__all__ = [
    "TABLES",
    "AckReceived",
    "Action",
    "CancelReceived",
    "ClientTransaction",
    "Counters",
    "Discarded",
    "Event",
    "Machine",
    "Misdelivered",
    "Owners",
    "RequestReceived",
    "ResponseReceived",
    "Row",
    "ServerTransaction",
    "State",
    "StrayResponse",
    "Tap",
    "TimedOut",
    "TransactionLayer",
    "TransportFailed",
    "Trigger",
]
