"""Requests of our own on their way: looked up, sent, sent again elsewhere or with credentials.

RFC 3261 section 8.1; RFC 3263 section 4.3 for the next hop after one that failed; RFC 3261 section
22 for challenges, which `trunkline.sip.digest` answers. Each try is a transaction with a branch of
its own. What comes of all of them together is one series of responses.

Datagrams may overtake each other, and then a request within a dialog is answered 500 for being out
of order (12.2.2). What must not be lost so, BYE, PRACK and NOTIFY, is sent once more with the next
number when the response has a Retry-After.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from trunkline.errors import DecodeError
from trunkline.sip.dialog.events import Locate
from trunkline.sip.digest.client import Client, Outcome
from trunkline.sip.headers import RetryAfter
from trunkline.sip.message import Request, Response
from trunkline.sip.proxy.branches import Hops
from trunkline.sip.transport import Flow
from trunkline.sip.validity import check_answer

if TYPE_CHECKING:
    from trunkline.sip.dialog.core import Core
    from trunkline.sip.transaction import ClientTransaction

__all__ = ["Handler", "Outgoing", "Source"]

Handler: TypeAlias = "Callable[[Outgoing, Response, float], None]"
"""Takes each response; a request ends with one that is final, of our own making if none came."""

MAX_CHALLENGES: Final = 4
"""Of one request: the user agent server's, those of proxies, and one stale nonce."""


MAX_REPEATS: Final = 3
"""Of a request that is answered 500 with Retry-After."""
LONGEST_PAUSE: Final = 10.0
"""Seconds that such a Retry-After is obeyed for at most."""
_REPEATED: Final = frozenset({"BYE", "PRACK", "NOTIFY"})
_AGAIN: Final = "again"


class Source(Enum):
    """Where a response comes from."""

    PEER = "peer"
    TIMEOUT = "timeout"
    """Made by us, 408: none came (8.1.3.1)."""
    TRANSPORT = "transport"
    """Made by us, 503: the request could not be sent, or there was nowhere to send it."""
    UNUSABLE = "unusable"
    """Made by us, 502: a 2xx to INVITE came that no dialog could be made of."""
    CANCELLED = "cancelled"
    """Made by us, 487: an INVITE was cancelled before it was sent."""


class Outgoing:
    """One request. ``request`` is what is to be sent, without a Via; ``sent`` is how it went."""

    __slots__ = (
        "answered",
        "challenges",
        "core",
        "credentials",
        "ended",
        "fallback",
        "flow",
        "handler",
        "hops",
        "number",
        "repeats",
        "request",
        "sent",
        "source",
        "transaction",
        "uri",
    )

    flow: Flow | None
    """By which it went last."""
    fallback: Flow | None
    """By which it goes if the stream that its size asks for cannot be opened (18.1.1)."""
    source: Source
    """Where the last response came from."""
    ended: bool
    """A final response came; of an INVITE there may be more of class 2xx."""

    def __init__(
        self,
        core: Core,
        request: Request,
        uri: str,
        handler: Handler,
        number: Callable[[], int],
        credentials: Client | None,
    ) -> None:
        self.core = core
        self.request = request
        self.sent = request
        self.uri = uri
        self.handler = handler
        self.number = number
        self.credentials = credentials
        self.hops: Hops | None = None
        self.flow = self.fallback = None
        self.transaction: ClientTransaction | None = None
        self.source = Source.PEER
        self.answered = self.ended = False
        self.challenges = 0
        self.repeats = 0

    def begin(self, now: float) -> None:
        """Look the next hop up, or ask for it to be looked up."""
        hops = self.core.locate(self.uri, now)
        if hops is None:
            self.core.emit(Locate(self, self.uri))
        else:
            self.located(hops, now)

    def located(self, hops: Hops, now: float) -> None:
        """Go on by the first of ``hops``."""
        if self.ended:
            return
        self.hops = hops
        if not self._next_hop(now):
            self._fail(503, Source.TRANSPORT, now)

    def cancel(self, now: float, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Cancel an INVITE (section 9.1); one that was not sent yet ends as if 487 had come."""
        if self.transaction is not None:
            self.core.layer.cancel(self.transaction, now, headers)
        elif not self.ended:
            self._fail(487, Source.CANCELLED, now)

    # From the transaction

    def on_response(self, response: Response, now: float) -> None:
        """Take a response from the network."""
        self.answered = True
        status = response.status
        if status == 503 and not self.ended and self._next_hop(now):
            return
        if status == 500 and self._repeated(response, now):
            return
        if status in (401, 407) and not self.ended and self._challenged(response, now):
            return
        if not self.ended:
            self.source = Source.PEER
        self._pass(response, now)

    def on_timeout(self, now: float) -> None:
        """The transaction got no final response; if none at all, the next hop is tried."""
        if not self.ended and (self.answered or not self._next_hop(now)):
            self._fail(408, Source.TIMEOUT, now)

    def on_transport_failed(self, now: float) -> None:
        """The request did not reach its hop."""
        if self.ended:
            return
        fallback = self.fallback
        if fallback is not None and not (self.answered or self._cancelled):
            self._send(fallback, now, any_size=True)
        elif not self._next_hop(now):
            self._fail(503, Source.TRANSPORT, now)

    def _pass(self, response: Response, now: float) -> None:
        if response.status >= 200:
            self.ended = True
        self.handler(self, response, now)

    def _fail(self, status: int, source: Source, now: float) -> None:
        self.source = source
        self._pass(Response.answer(self.sent, status), now)

    # Sending

    @property
    def _cancelled(self) -> bool:
        return self.transaction is not None and self.transaction.cancelled

    def _next_hop(self, now: float) -> bool:
        flow = self.hops(now) if self.hops is not None and not self._cancelled else None
        if flow is None:
            return False
        self._send(flow, now)
        return True

    def _send(self, flow: Flow, now: float, *, any_size: bool = False) -> None:
        core = self.core
        request = self.request.copy()
        headers = request.headers
        if self.credentials is not None and request.method not in ("ACK", "CANCEL"):
            for name, value in self.credentials.rows(
                request.method, request.uri, core.token(), request.body
            ):
                headers.add(name, value)
        ack = request.method == "ACK"  # it has no transaction, and so no way back from a stream
        ready = core.complete(request, flow, any_size=any_size or ack)
        self.fallback = None if ready.flow is flow else flow
        self.flow, self.sent = ready.flow, request
        self.answered = False
        if ack:
            core.layer.send(request, ready.flow, now)
        else:
            self.transaction = core.layer.request(
                request, ready.branch, ready.flow, now, self, data=ready.data, judge=check_answer
            )

    def send_again(self, now: float) -> None:
        """Send an ACK again, as it went (section 13.2.2.4)."""
        if self.flow is not None:
            self.core.layer.send(self.sent, self.flow, now)

    def _repeated(self, response: Response, now: float) -> bool:
        """Send the request again later, if it was only out of order."""
        if self.request.method not in _REPEATED or self.repeats >= MAX_REPEATS:
            return False
        try:
            pause = RetryAfter.parse(response.headers.get("retry-after") or "").seconds
        except DecodeError:
            return False
        self.repeats += 1
        self.core.alarms.set(self, _AGAIN, now + min(pause, LONGEST_PAUSE))
        return True

    def on_alarm(self, name: str, now: float) -> None:
        """The Retry-After is over."""
        self.request.headers.set("CSeq", f"{self.number()} {self.request.method}")
        assert self.flow is not None
        self._send(self.flow, now)

    def _challenged(self, response: Response, now: float) -> bool:
        """Send the request again with credentials, if there are any to try (section 22.2)."""
        if self.credentials is None or self.flow is None or self._cancelled:
            return False
        self.challenges += 1
        headers = response.headers
        outcome = self.credentials.challenged(
            headers.all("www-authenticate"), headers.all("proxy-authenticate")
        )
        if outcome is not Outcome.RETRY or self.challenges > MAX_CHALLENGES:
            return False
        self.request.headers.set("CSeq", f"{self.number()} {self.request.method}")
        self._send(self.flow, now)
        return True
