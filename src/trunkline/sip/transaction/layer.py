"""The transaction layer: finds the transaction a message belongs to, and keeps their timers.

RFC 3261 sections 9, 17 and 18.2, RFC 6026, RFC 3581, RFC 4320. One layer serves any number of
transactions of both kinds. What it is given is messages with the flow they came by, and the time;
what it gives is events for its user, and from ``data_to_send`` octets with the flow they leave by.
Where a request goes is the user's business (RFC 3263 is `trunkline.sip.locate`'s).

``now`` never goes back. Should it, timers come up late by as much, and none is lost.

``maddr`` in a Via is not followed: it lets anybody have responses sent to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.message import Limits, Request, Response, parse
from trunkline.sip.timers import TimerQueue, Timers
from trunkline.sip.transaction.events import (
    AckReceived,
    CancelReceived,
    Discarded,
    Event,
    Misdelivered,
    RequestReceived,
    StrayResponse,
)
from trunkline.sip.transaction.hop import cancel_for
from trunkline.sip.transaction.matching import (
    answers_to,
    branch_key,
    by_rfc2543,
    cseq_method,
    for_another,
    request_key,
    sent_by,
)
from trunkline.sip.transaction.table import Machine, State, Trigger
from trunkline.sip.transaction.transactions import (
    NOBODY,
    ClientTransaction,
    Judge,
    ServerTransaction,
    Transaction,
    fire,
)
from trunkline.sip.transport import Flow
from trunkline.sip.via import COOKIE, TopVia, mark_source, top_via

__all__ = [
    "ClientTransaction",
    "Counters",
    "Owners",
    "ServerTransaction",
    "Tap",
    "TransactionLayer",
]

_REFUSED = "refused-503"
"""To tag of what is refused for want of room: by it the ACK is known (section 8.2.7)."""


@dataclass(slots=True)
class Counters:
    """What the layer has seen, since the beginning."""

    requests: int = 0
    """Requests that began a server transaction."""
    responses: int = 0
    """Responses that found their client transaction."""
    sent: int = 0
    """Client transactions begun."""
    absorbed: int = 0
    """Requests that were retransmissions."""
    retransmitted: int = 0
    """Messages that we sent again."""
    redirected: int = 0
    """Responses sent to sent-by because their connection was gone (section 18.2.2)."""
    strays: int = 0
    """Responses without a transaction."""
    discarded: int = 0
    """Octets that were no message, messages without a Via."""
    refused: int = 0
    """Requests answered 503 because there were too many transactions."""


class Tap(Protocol):
    """Is shown messages, and says which."""

    def wants(self, call_id: str) -> bool:
        """Whether to be shown this request, and what belongs to it."""
        ...

    def message(self, time: float, flow: Flow, data: bytes, sent: bool) -> None:
        """Look at a message."""
        ...


class Owners(Protocol):
    """Says which process has a server transaction, where several share the ports."""

    def find(self, key: str) -> int:
        """Return the other process that has it, -1 if none has."""
        ...

    def claim(self, key: str) -> int:
        """Say that it is ours; if another process was first, return that one, else -1."""
        ...

    def renew(self, key: str, lasting: bool) -> None:
        """Say that an INVITE of ours was answered: ``lasting``, by a 1xx, else finally."""
        ...


class TransactionLayer:
    """All transactions of one element.

    ``token`` gives a text that nobody can guess and that never comes again, for branches. With
    ``limit`` transactions, new requests are answered 503 and counted; a CANCEL of one of them, and
    what the user sends itself, are not held up.
    """

    def __init__(
        self,
        token: Callable[[], str],
        *,
        timers: Timers = Timers(),  # noqa: B008 - immutable
        limits: Limits = Limits(),  # noqa: B008 - immutable
        limit: int = 1_000_000,
        owners: Owners | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.timers = timers
        self.limits = limits
        self.limit = limit
        self.owners = owners
        self.tap = tap
        self.counters = Counters()
        self.queue: TimerQueue[Transaction] = TimerQueue()
        self.out: list[tuple[Flow, bytes]] = []
        """What has to be sent; drivers take it by ``data_to_send``."""
        self.servers: dict[str, ServerTransaction] = {}
        self.clients: dict[str, ClientTransaction] = {}
        # By streams only: of datagrams, those that came to nothing are named.
        self._unanswered: dict[Flow, dict[ClientTransaction, None]] = {}
        self._token = token
        self._late = timers.late
        self._now = 0.0
        self._data = b""

    # from the network

    def receive(self, data: bytes, flow: Flow, now: float) -> Event | None:
        """Take one message as it came by ``flow``; return what its user has to know."""
        try:
            message = parse(data, self.limits)
        except DecodeError as problem:
            return self._discard(problem.code, problem.message, flow)
        self._now, self._data = now, data
        return self.receive_message(message, flow, now)

    def receive_message(self, message: Request | Response, flow: Flow, now: float) -> Event | None:
        """As `receive`, for a message that has been parsed."""
        headers = message.headers
        if "via" not in headers.names:
            return self._discard("sip.no-via", "a message without a Via", flow)
        at = headers.names.index("via")
        via = top_via(headers.value(at))
        if via is None:
            return self._discard("sip.via", f"no Via: {headers.value(at)[:80]!r}", flow)
        if isinstance(message, Response):
            return self._response(message, via, flow, now)
        mark_source(message, at, via, flow.remote)
        key = request_key(message, via)
        method = message.method
        if method == "ACK":
            invite = self.servers.get(f"{key} INVITE")
            if invite is not None and not (by_rfc2543(key) and for_another(message, invite)):
                if invite.traced:
                    self._show(flow)
                event = fire(self, invite, Trigger.ACK, message, now)
                if event is not None:
                    assert isinstance(event, AckReceived)
                    event.flow = flow
                return event
            if self.owners is not None and (owner := self.owners.find(f"{key} INVITE")) >= 0:
                return Misdelivered(owner)
            if self.tap is not None and self.tap.wants(message.call_id):
                self._show(flow)
            if _REFUSED in (headers.get("to") or ""):
                self.counters.absorbed += 1
                return None
            return AckReceived(message, flow)
        known = self.servers.get(f"{key} {method}")
        if known is not None:
            self.counters.absorbed += 1
            if known.traced:
                self._show(flow)
            return fire(self, known, Trigger.REQUEST, message, now)
        invite = self.servers.get(f"{key} INVITE") if method == "CANCEL" else None
        if self.owners is not None:
            if method == "CANCEL" and invite is None:
                owner = self.owners.find(f"{key} INVITE")
            else:
                owner = self.owners.claim(f"{key} {method}")
            if owner >= 0:
                return Misdelivered(owner)
        if invite is None and len(self.servers) + len(self.clients) >= self.limit:
            return self._overloaded(message, via, flow)
        machine = Machine.INVITE_SERVER if method == "INVITE" else Machine.SERVER
        transaction = ServerTransaction(machine, f"{key} {method}", method, flow, None)
        transaction.flow = answers_to(via, flow)
        transaction.source = flow
        self.servers[transaction.key] = transaction
        self.counters.requests += 1
        if method != "INVITE":
            transaction.request = message
            self.queue.start(transaction, Trigger.LATE, self._late, now)
        if self.tap is not None and self.tap.wants(message.call_id):
            transaction.traced = True
            self._show(flow)
        if method == "CANCEL":
            return CancelReceived(transaction, message, invite)
        return RequestReceived(transaction, message)

    def _response(self, response: Response, via: TopVia, flow: Flow, now: float) -> Event | None:
        status = response.status
        if not 100 <= status <= 699 or response.defect is not None:
            detail = response.defect.message if response.defect else f"status {status}"
            return self._discard("sip.response", detail, flow)
        transaction = self.clients.get(f"{via.branch} {cseq_method(response)}")
        if transaction is None:
            self.counters.strays += 1
            if self.tap is not None and self.tap.wants(response.call_id):
                self._show(flow)
            return StrayResponse(response, flow)
        response.via_end = via.end
        if transaction.traced:
            self._show(flow)
        if transaction.judge is not None and (wrong := transaction.judge(response)) is not None:
            return self._discard(wrong.code, wrong.detail, flow)
        self.counters.responses += 1
        if transaction.flow.transport.reliable:
            self._answered(transaction)
        if status < 200:
            return fire(self, transaction, Trigger.PROVISIONAL, response, now)
        trigger = Trigger.SUCCESS if status < 300 else Trigger.FAILURE
        return fire(self, transaction, trigger, response, now)

    def _discard(self, code: str, detail: str, flow: Flow) -> Discarded:
        self.counters.discarded += 1
        return Discarded(code, detail, flow)

    def _overloaded(self, request: Request, via: TopVia, flow: Flow) -> Event | None:
        self.counters.refused += 1
        answer = Response.answer(request, 503, headers=[("Retry-After", "10")], to_tag=_REFUSED)
        self.out.append((answers_to(via, flow), answer.to_bytes()))
        return None

    # from the user

    def new_branch(self) -> str:
        """Return a branch for a Via: no other has it (section 8.1.1.7)."""
        return COOKIE + self._token()

    def respond(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """Answer; what the state does not allow any more is not sent.

        An INVITE is to have a response, 100 if nothing better, within 200 ms (section 17.2.1).
        What is no INVITE gets no 1xx but the layer's own late 100, and no 408, which only ends the
        transaction (RFC 4320).
        """
        if transaction.terminated:
            return
        status = response.status
        if status < 200:
            trigger = Trigger.TU_PROVISIONAL
        elif status == 408 and transaction.method != "INVITE":
            trigger = Trigger.ABORT
        else:
            trigger = Trigger.TU_SUCCESS if status < 300 else Trigger.TU_FAILURE
        if self.owners is not None and status > 100 and transaction.method == "INVITE":
            self.owners.renew(transaction.key, status < 200)
        fire(self, transaction, trigger, response, now)

    def request(
        self,
        request: Request,
        branch: str,
        flow: Flow,
        now: float,
        user: object,
        *,
        traced: bool = False,
        data: bytes = b"",
        judge: Judge | None = None,
    ) -> ClientTransaction:
        """Send ``request``, whose top Via has ``branch``, by ``flow``, in a transaction of its own.

        Not for ACK (`send`). What comes of it are events with the transaction. ``traced``: show its
        messages to the tap. ``data``: the request as octets, where the user has made them already.
        ``judge``: says what is wrong with a response, None if nothing is. One that is not right is
        discarded as if it had been lost, so that the timers go on and a better one may come.

        Raises:
            TrunklineError: ``sip.branch``, a transaction with this branch and method is there.
        """
        method = request.method
        invite = method == "INVITE"
        machine = Machine.INVITE_CLIENT if invite else Machine.CLIENT
        transaction = ClientTransaction(machine, f"{branch} {method}", method, flow, user)
        if transaction.key in self.clients:
            raise TrunklineError(
                "sip.branch", f"{transaction.key[:80]}: under way; each request has its own branch"
            )
        transaction.branch = branch
        transaction.judge = judge
        transaction.cancelled = False
        transaction.waiting_cancel = None
        if invite:
            transaction.request = request
        transaction.last = data or request.to_bytes()
        self.clients[transaction.key] = transaction
        self.counters.sent += 1
        transaction.traced = traced
        self.put(transaction, now)
        timers = self.timers
        if flow.transport.reliable:
            transaction.last = b""
            self._unanswered.setdefault(flow, {})[transaction] = None
        else:
            transaction._pause = timers.t1
            self.queue.start(transaction, Trigger.A if invite else Trigger.E, timers.t1, now)
        self.queue.start(transaction, Trigger.B if invite else Trigger.F, timers.transaction, now)
        return transaction

    def send(self, message: Request | Response, flow: Flow, now: float) -> None:
        """Send a message outside of any transaction: an ACK to a 2xx, or statelessly."""
        data = message.to_bytes()
        if self.tap is not None and self.tap.wants(message.call_id):
            self.tap.message(now, flow, data, True)
        self.out.append((flow, data))

    def cancel(
        self,
        transaction: ClientTransaction,
        now: float,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Cancel an INVITE: at once if a 1xx came, else when one comes (section 9.1).

        ``headers`` go into the CANCEL, such as a Reason (RFC 3326). Nothing happens to what has a
        final response, or is no INVITE, or was cancelled.

        Raises:
            TrunklineError: ``sip.header``, one of ``headers`` cannot be written.
        """
        if transaction.cancelled or transaction.request is None:
            return
        cancel = cancel_for(transaction.request)
        for name, value in headers:
            cancel.headers.add(name, value)
        transaction.cancelled = True
        if transaction.state is State.CALLING:
            transaction.waiting_cancel = cancel
        else:
            self.send_cancel(transaction, cancel, now)

    def send_cancel(self, transaction: ClientTransaction, cancel: Request, now: float) -> None:
        """Send an INVITE's CANCEL; the INVITE has 64*T1 for its final response (section 9.1)."""
        traced = transaction.traced
        self.request(cancel, transaction.branch, transaction.flow, now, NOBODY, traced=traced)
        self.queue.start(transaction, Trigger.CANCELLED, self.timers.transaction, now)

    def abort(self, transaction: Transaction, now: float) -> None:
        """End a transaction without a final response, where its state allows that.

        Of a server, the request may come again until its client gives up, and has no effect.
        """
        if not transaction.terminated:
            fire(self, transaction, Trigger.ABORT, None, now)

    # from the transport

    def transport_failed(
        self, flow: Flow, messages: Iterable[bytes], reason: str, now: float
    ) -> list[Event]:
        """Sending by ``flow`` failed: ``messages``, or what ICMP quoted of them, did not arrive.

        A request fails (section 17.1.4), and no other one that went the same way. A response whose
        connection is gone is sent once more, to sent-by, by any connection that leads there
        (section 18.2.2). If that fails too, its user is told, who may look for another server (RFC
        3263 section 5).
        """
        failed: list[Transaction] = []
        for data in messages:
            transaction = self._returned(data, flow)
            if transaction is not None:
                failed.append(transaction)
        return self._fail(failed, reason, now)

    def connection_lost(self, flows: Iterable[Flow], reason: str, now: float) -> list[Event]:
        """A connection is no more: requests that went by it and have had no response fail.

        ``flows`` are what they asked for: its own number, and any connection to its far end, where
        no other one is left to bring the response.
        """
        waiting = [each for flow in flows for each in self._unanswered.get(flow, ())]
        return self._fail(waiting, reason, now)

    def _fail(self, failed: Iterable[Transaction], reason: str, now: float) -> list[Event]:
        events = []
        for transaction in failed:
            if not transaction.terminated:
                event = fire(self, transaction, Trigger.ERROR, reason, now)
                if event is not None:
                    events.append(event)
        return events

    def _returned(self, data: bytes, flow: Flow) -> Transaction | None:
        """Find whose message came back, unless there is another way to send it."""
        head, whole, _ = data.partition(b"\r\n\r\n")
        try:
            message = parse(head + b"\r\n\r\n", self.limits)
        except DecodeError:
            return None
        via = top_via(message.headers.get("via") or "")
        if via is None:
            return None
        if isinstance(message, Request):
            method = "INVITE" if message.method == "ACK" else message.method
            return self.clients.get(f"{via.branch} {method}")
        server = self.servers.get(f"{branch_key(via)} {cseq_method(message)}")
        backup = sent_by(via, flow)
        if backup is None or not whole:
            return server
        if server is not None:
            server.flow = backup
        self.counters.redirected += 1
        self.out.append((backup, data))
        return None

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """Return what has to leave, in order, and forget it."""
        out, self.out = self.out, []
        return out

    # time

    def next_timeout(self) -> float | None:
        """Return when ``on_timeout`` has to be called, ``None`` if no timer runs."""
        return self.queue.next_timeout()

    def on_timeout(self, now: float) -> list[Event]:
        """Let the timers that have come up take effect."""
        events = []
        for transaction, name in self.queue.expired(now):
            if transaction.expects(name):  # one before it in this list may have ended it
                event = fire(self, transaction, name, "timer", now)
                if event is not None:
                    events.append(event)
        return events

    # for the transactions

    def put(self, transaction: Transaction, now: float) -> None:
        """Let a transaction's last message leave."""
        if transaction.traced and self.tap is not None:
            self.tap.message(now, transaction.flow, transaction.last, True)
        self.out.append((transaction.flow, transaction.last))

    def _show(self, flow: Flow) -> None:
        assert self.tap is not None
        self.tap.message(self._now, flow, self._data, False)

    def forget(self, transaction: Transaction) -> None:
        """Drop a transaction that has terminated."""
        if isinstance(transaction, ClientTransaction):
            self.clients.pop(transaction.key, None)
            if transaction.flow.transport.reliable:
                self._answered(transaction)
            transaction.waiting_cancel = None
        elif isinstance(transaction, ServerTransaction):
            self.servers.pop(transaction.key, None)
        transaction.request = None
        transaction.last = b""

    def _answered(self, transaction: ClientTransaction) -> None:
        waiting = self._unanswered.get(transaction.flow)
        if waiting is not None and waiting.pop(transaction, self) is None and not waiting:
            del self._unanswered[transaction.flow]
