"""What the transaction layer tells its user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from trunkline.sip.message import Request, Response
from trunkline.sip.transport import Flow

if TYPE_CHECKING:
    from trunkline.sip.transaction.layer import ClientTransaction, ServerTransaction

__all__ = [
    "AckReceived",
    "CancelReceived",
    "Discarded",
    "Event",
    "Misdelivered",
    "RequestReceived",
    "ResponseReceived",
    "StrayResponse",
    "TimedOut",
    "TransportFailed",
]


@dataclass(slots=True)
class RequestReceived:
    """A request that is new here: the transaction waits for a response."""

    transaction: ServerTransaction
    request: Request


@dataclass(slots=True)
class AckReceived:
    """An ACK that no transaction consumed: for a 2xx (section 13.3.1.4), or for none we know."""

    request: Request
    flow: Flow


@dataclass(slots=True)
class CancelReceived:
    """A CANCEL (section 9.2); ``invite`` is what it cancels, ``None`` if that is not known here."""

    transaction: ServerTransaction
    request: Request
    invite: ServerTransaction | None


@dataclass(slots=True)
class ResponseReceived:
    """A response to a request of ours; 2xx to INVITE may come more than once."""

    transaction: ClientTransaction
    response: Response


@dataclass(slots=True)
class StrayResponse:
    """A response that matches no transaction: a proxy drops it (RFC 6026 section 7.3)."""

    response: Response
    flow: Flow


@dataclass(slots=True)
class TimedOut:
    """It is over: a client without a final response, a server without its ACK or an answer."""

    transaction: ClientTransaction | ServerTransaction


@dataclass(slots=True)
class TransportFailed:
    """What a transaction sent could not be delivered (section 17.1.4, RFC 6026 section 8.8)."""

    transaction: ClientTransaction | ServerTransaction
    reason: str


@dataclass(slots=True)
class Discarded:
    """Octets that were no message, or a message that is no use; for counters and the log."""

    code: str
    detail: str
    flow: Flow


@dataclass(slots=True)
class Misdelivered:
    """A request whose transaction another process has; it has to be handed over as it came."""

    owner: int


Event: TypeAlias = (
    RequestReceived
    | Misdelivered
    | AckReceived
    | CancelReceived
    | ResponseReceived
    | StrayResponse
    | TimedOut
    | TransportFailed
    | Discarded
)
