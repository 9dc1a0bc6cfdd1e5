"""The proxy core: RFC 3261 section 16, on the transaction layer.

``receive`` takes what the transports bring and returns what somebody has to decide: a
`ResponseContext` for a request that is new and valid, with the Routes that were ours removed, or a
`PassingAck`. Everything else (retransmissions, responses, CANCEL, timers, what is refused) happens
here. Like every machine it has no clock and no socket; ``data_to_send`` says what has to leave.

Requests that fail the checks of section 16.3 are answered here and counted by their code.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from trunkline.sip.message import Request, Response
from trunkline.sip.proxy.branches import Branch
from trunkline.sip.proxy.context import ResponseContext
from trunkline.sip.proxy.identity import Identity
from trunkline.sip.proxy.routes import preprocess
from trunkline.sip.timers import TimerQueue
from trunkline.sip.transaction import (
    AckReceived,
    CancelReceived,
    ClientTransaction,
    Discarded,
    Event,
    Misdelivered,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    StrayResponse,
    TimedOut,
    TransactionLayer,
    TransportFailed,
)
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.validity import SCHEMES, Problem, check_forwarding
from trunkline.sip.via import pop_via, top_via

__all__ = ["PassingAck", "Proxy", "ProxySettings", "Received"]

_RECORD_ROUTED = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
"""Methods that begin a dialog, or may."""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What a proxy does where the RFC leaves it a choice."""

    record_route: bool = True
    max_forwards: int = 70
    max_breadth: int = 60
    largest_datagram: int = 1300
    """Octets from which on a request goes by TCP, the path MTU being unknown (section 18.1.1)."""
    supported: frozenset[str] = frozenset()
    """Option tags that are understood in Proxy-Require, in lower case."""
    schemes: frozenset[str] = SCHEMES
    """Schemes of a Request-URI that are understood; of others, 416 (section 16.3 step 2)."""


@dataclass(slots=True)
class PassingAck:
    """An ACK for a 2xx, on its way end to end (section 16.11: no transaction)."""

    request: Request
    flow: Flow
    routed: bool
    """Whether one of its Routes was ours."""


Received: TypeAlias = (
    "ResponseContext | PassingAck | ResponseReceived | TimedOut | TransportFailed | Misdelivered"
)
Note: TypeAlias = "Callable[[ResponseContext, str, tuple[object, ...]], None]"


class Proxy:
    """See the module.

    ``token`` as the transaction layer's; ``tag`` gives a tag for a To header (section 19.3).
    ``note`` is told the steps of contexts whose transaction is traced, ``failed`` every next hop
    that failed and why.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        identity: Identity,
        *,
        tag: Callable[[], str],
        settings: ProxySettings = ProxySettings(),
        note: Note = lambda context, kind, details: None,
        failed: Callable[[Flow, int, str], None] | None = None,
        route_extra: str = "",
    ) -> None:
        self.layer = layer
        self.identity = identity
        self.settings = settings
        self.tag = tag
        self.note = note
        self.failed = failed
        self.refused: dict[str, int] = {}
        """Requests that were answered here, by the code of what was wrong."""
        self.discarded: dict[str, int] = {}
        """Messages that could not be answered, by code."""
        self._timer_c: TimerQueue[Branch] = TimerQueue()
        self._route_extra = route_extra
        self._record_routes: dict[tuple[object, ...], tuple[str, ...]] = {}

    # from below

    def receive(self, data: bytes, flow: Flow, now: float) -> Received | None:
        """Take one message; return what needs a decision."""
        event = self.layer.receive(data, flow, now)
        return None if event is None else self.handle(event, now)

    def handle(self, event: Event, now: float) -> Received | None:
        """Take an event of the transaction layer; return what needs a decision."""
        kind = type(event)
        if kind is ResponseReceived:
            assert isinstance(event, ResponseReceived)
            user = event.transaction.user
            if isinstance(user, Branch):
                context = user.context
                context.on_response(user, event.response, now)
                if context.over and context.hooks is None:
                    # Only 2xx come now, and they only pass: nothing but the transactions stays.
                    event.transaction.user = context.transaction
            elif isinstance(user, ServerTransaction):
                pop_via(event.response, event.response.via_end)
                self.layer.respond(user, event.response, now)
            else:
                return event  # to a request of the transaction user's own
            return None
        if kind is RequestReceived:
            assert isinstance(event, RequestReceived)
            return self._request(event, now)
        if kind is AckReceived:
            assert isinstance(event, AckReceived)
            request = event.request
            if self._refusal(request) is not None:
                self._count(self.discarded, "sip.ack")  # nothing answers an ACK
                return None
            return PassingAck(request, event.flow, preprocess(request, self.identity))
        return self._rare(event, now)

    def _rare(self, event: Event, now: float) -> Received | None:
        match event:
            case Misdelivered():
                return event
            case CancelReceived():
                self._cancel(event, now)
            case TimedOut(transaction):
                branch = transaction.user
                if not isinstance(branch, Branch):
                    return event
                assert isinstance(transaction, ClientTransaction)
                branch.context.on_no_response(branch, _patience(transaction), 408, now)
            case TransportFailed(transaction, reason):
                branch = transaction.user
                if not isinstance(branch, Branch):
                    return event
                branch.context.on_no_response(branch, reason, 503, now)
            case Discarded(code):
                self._count(self.discarded, code)
            case StrayResponse():
                self._count(self.discarded, "sip.stray-response")
        return None

    def _request(self, event: RequestReceived, now: float) -> ResponseContext | None:
        request, transaction = event.request, event.transaction
        context = ResponseContext(self, transaction, request, transaction.source)
        transaction.user = context
        refusal = self._refusal(request)
        if refusal is not None:
            self.refuse(context, refusal, now)
            return None
        if request.method == "INVITE":
            self.layer.respond(transaction, Response.answer(request, 100), now)
        preprocess(request, self.identity)
        return context

    def _cancel(self, event: CancelReceived, now: float) -> None:
        """Section 16.10; a CANCEL that matches nothing is answered 481 (section 9.2)."""
        invite = event.invite
        status = 481 if invite is None else 200
        if event.request.defect is not None:
            invite, status = None, 400  # its Reason could not be passed on
        answer = Response.answer(event.request, status, to_tag=self.tag())
        self.layer.respond(event.transaction, answer, now)
        if invite is not None and isinstance(invite.user, ResponseContext):
            context = invite.user
            if context.transaction.traced:
                self.note(context, "cancelled", ())
            reasons = [("Reason", value) for value in event.request.headers.all("reason")]
            context.cancel(now, reasons)  # RFC 3326 section 2: passed on

    def _refusal(self, request: Request) -> Problem | None:
        """What keeps ``request`` from being forwarded, by section 16.3."""
        settings = self.settings
        return check_forwarding(request, supported=settings.supported, schemes=settings.schemes)

    @staticmethod
    def _count(counts: dict[str, int], code: str) -> None:
        counts[code] = counts.get(code, 0) + 1

    def refuse(self, context: ResponseContext, problem: Problem, now: float) -> None:
        """Answer a request that something is wrong with, and count it by what that is."""
        self._count(self.refused, problem.code)
        if context.transaction.traced:
            self.note(context, "refused", (problem.status, problem.code))
        context.reply(problem.status, headers=problem.headers, now=now)

    def discard(self, code: str) -> None:
        """Count a message that could not be answered."""
        self._count(self.discarded, code)

    # forwarding

    def breadth_of(self, request: Request) -> int:
        """Return the Incoming Max-Breadth (RFC 5393 section 5.3.3)."""
        most = self.settings.max_breadth
        value = request.headers.get("max-breadth")
        if value is None or not (value.isascii() and value.isdecimal() and len(value) < 6):
            return most
        return max(1, min(int(value), most))

    def looped(self, request: Request) -> bool:
        """Whether this request was here before, forked and unchanged (RFC 5393 section 4.2.2)."""
        mine: str | None = None
        for value in request.headers.tokens("via"):
            via = top_via(value)
            if via is None or "-" not in via.branch:
                continue
            if not self.identity.placed(via.host, via.port):
                continue
            mine = mine or self._loop_part(request)
            if via.branch.rpartition("-")[2] == mine:
                return True
        return False

    def _loop_part(self, request: Request) -> str:
        """The second part of the branch: all that decides where a request goes (4.2.1)."""
        headers = request.headers
        cseq = (headers.get("cseq") or "").partition(" ")[0]
        text = "\n".join((request.uri, *headers.all("route"), headers.get("call-id") or "", cseq))
        return f"{zlib.crc32(text.encode('utf-8', 'surrogateescape')):08x}"

    def prepare(self, request: Request) -> None:
        """Count a hop (16.6 step 3) and see to Max-Breadth, in the request that is copied."""
        headers = request.headers
        if "max-forwards" in headers.names:
            at = headers.names.index("max-forwards")
            left = int(headers.value(at)) - 1
            headers.rows[at] = f"Max-Forwards: {max(left, 0)}"
        else:
            headers.insert("Max-Forwards", str(self.settings.max_forwards), after="Via")

    def send_branch(self, branch: Branch, forked: bool, now: float) -> None:
        """Send a branch's copy to its present hop (16.6 steps 1 to 11)."""
        context, target = branch.context, branch.target
        request = context.request.copy()
        request.uri = target.uri
        self.prepare(request)
        headers = request.headers
        if "max-breadth" in headers.names:
            headers.set("Max-Breadth", str(branch.breadth))
        else:
            headers.names.append("max-breadth")
            headers.rows.append(f"Max-Breadth: {branch.breadth}")
        for route in reversed(target.routes):
            headers.insert("Route", route, before="Route")
        if target.edit is not None:
            target.edit(request)
        if context.hooks is not None:
            context.hooks.on_branch(context, branch, request)
        flow = self._by_size(branch, request)
        if self.settings.record_route and request.method in _RECORD_ROUTED:
            self._add_record_route(request, context.flow, flow)
        token = self.layer.new_branch()
        if forked:
            token = f"{token}-{self._loop_part(context.request)}"
        self.add_via(request, flow, token)
        traced = context.transaction.traced
        if traced:
            self.note(context, "sent", (target.uri, flow, token))
        branch.client = self.layer.request(request, token, flow, now, branch, traced=traced)
        if request.method == "INVITE":
            self.start_timer_c(branch, now)

    def forward_ack(
        self, ack: PassingAck, flow: Flow, uri: str | None = None, *, now: float
    ) -> None:
        """Send an ACK on to its next hop; no transaction and no response."""
        request = ack.request
        if uri is not None:
            request.uri = uri
        self.prepare(request)
        self.add_via(request, flow, self.layer.new_branch())
        self.layer.send(request, flow, now)

    def start_timer_c(self, branch: Branch, now: float) -> None:
        """Start timer C, more than three minutes (16.6 step 11)."""
        length = self.layer.timers.c
        branch.patience = now + length
        self._timer_c.start(branch, "Timer C", length, now)

    def _by_size(self, branch: Branch, request: Request) -> Flow:
        """The flow to send by: a request too large for a datagram goes by TCP (section 18.1.1).

        If TCP does not work, the same place is tried by UDP.
        """
        flow, before = branch.flow, branch.client
        assert flow is not None
        if (
            flow.transport is not Transport.UDP
            or not self.identity.has_tcp
            or not self._large(request)
        ):
            return flow
        listener = self.identity.for_transport(Transport.TCP, flow.remote[0])
        if listener is None or (before is not None and before.flow.remote == flow.remote):
            return flow  # TCP has just failed there
        branch.fallback = flow
        branch.flow = Flow(Transport.TCP, flow.remote, listener.local)
        return branch.flow

    def _large(self, request: Request) -> bool:
        # Via and Record-Route of ours are still to come: about 200 octets.
        size = sum(map(len, request.headers.rows)) + 2 * len(request.headers.rows)
        return size + len(request.body) + 200 > self.settings.largest_datagram

    def add_via(self, request: Request, flow: Flow, branch: str) -> None:
        """Put our Via on top (16.6 step 8)."""
        listener = self.identity.listener(flow)
        assert listener is not None, flow
        headers = request.headers
        at = headers.names.index("via") if "via" in headers.names else 0
        headers.names.insert(at, "via")
        headers.rows.insert(at, listener.via + branch)

    def _add_record_route(self, request: Request, came: Flow, goes: Flow) -> None:
        """Step 4; where the two sides differ, a value for each (RFC 5658 section 3)."""
        secure = request.uri[:5].lower() == "sips:"
        key = (came.transport, came.local, goes.transport, goes.local, secure)
        values = self._record_routes.get(key)
        if values is None:
            inner, outer = self.identity.listener(goes), self.identity.listener(came)
            assert inner is not None
            values = (inner.record_route(secure, self._route_extra),)
            if outer is not None and outer is not inner:
                values = (values[0], outer.record_route(came.transport.secure, self._route_extra))
            self._record_routes[key] = values
        headers = request.headers
        at = (
            headers.names.index("record-route")
            if "record-route" in headers.names
            else headers.names.index("via")
        )
        for value in reversed(values):
            headers.names.insert(at, "record-route")
            headers.rows.insert(at, f"Record-Route: {value}")

    # time and transport

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """Return what has to leave."""
        return self.layer.data_to_send()

    def next_timeout(self) -> float | None:
        """Return when ``on_timeout`` has to be called."""
        mine, below = self._timer_c.next_timeout(), self.layer.next_timeout()
        if mine is None or below is None:
            return below if mine is None else mine
        return min(mine, below)

    def on_timeout(self, now: float) -> list[Received]:
        """Let timers take effect; return what needs a decision."""
        for branch, _ in self._timer_c.expired(now):
            branch.context.on_timer_c(branch, now)
        return self._handle_all(self.layer.on_timeout(now), now)

    def transport_failed(
        self, flow: Flow, messages: Iterable[bytes], reason: str, now: float
    ) -> list[Received]:
        """Take what could not be sent by ``flow`` (section 16.9); return what needs a decision."""
        return self._handle_all(self.layer.transport_failed(flow, messages, reason, now), now)

    def _handle_all(self, events: Iterable[Event], now: float) -> list[Received]:
        found = (self.handle(event, now) for event in events)
        return [received for received in found if received is not None]


def _patience(transaction: ClientTransaction) -> str:
    """What ended a client transaction that had no final response."""
    if transaction.cancelled:
        return "no final response in 64*T1 after CANCEL"
    timer = "B" if transaction.method == "INVITE" else "F"
    return f"timer {timer}: no final response in 64*T1"
