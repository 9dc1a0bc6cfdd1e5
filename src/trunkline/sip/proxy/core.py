"""The proxy core: RFC 3261 section 16, on the transaction layer.

``receive`` takes what the transports bring and returns what somebody has to decide: a
`ResponseContext` for a request that is new and valid, with the Routes that were ours removed, or
`Passing` for an ACK. Everything else (retransmissions, responses, CANCEL, timers, what is refused)
happens here. Like every machine it has no clock and no socket; ``data_to_send`` says what has to
leave.

Requests that fail the checks of section 16.3 are answered here and counted by their code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from trunkline.errors import DecodeError
from trunkline.sip.locate import Failure
from trunkline.sip.message import Message, Request, Response
from trunkline.sip.proxy.branches import Branch, Target
from trunkline.sip.proxy.context import ResponseContext
from trunkline.sip.proxy.forwarding import Forwarding, complete, writable
from trunkline.sip.proxy.identity import Identity, stream_for
from trunkline.sip.proxy.loops import loop_part
from trunkline.sip.proxy.passing import Passing, ack_branch
from trunkline.sip.proxy.routes import RouteSeal, preprocess
from trunkline.sip.proxy.settings import ProxySettings
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
from trunkline.sip.validity import Problem, check_forwarding, check_passing
from trunkline.sip.via import pop_via

__all__ = ["Note", "Proxy", "Received"]

_TIMER_C = "Timer C"
_GRAIN = 10.0
"""Seconds by which timer C may be late where 1xx responses or other hops put it off."""

Received: TypeAlias = (
    "ResponseContext | Passing | ResponseReceived | TimedOut | TransportFailed | Misdelivered"
)
Note: TypeAlias = "Callable[[ResponseContext, str, tuple[object, ...]], None]"


class Proxy:
    """See the module.

    ``tag`` gives a tag for a To header (section 19.3). ``note`` is told the steps of contexts whose
    transaction is traced. ``failed`` is told of every next hop that failed, how, and the seconds
    that its Retry-After asked for; ``answered`` of those that gave any response.

    ``route_extra`` are parameters for Record-Route, and ``seal`` makes one that nobody can guess:
    with it ``routed`` says that a request came by a Route that we have recorded, else by any that
    names us.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        identity: Identity,
        *,
        tag: Callable[[], str],
        settings: ProxySettings = ProxySettings(),  # noqa: B008 - immutable
        note: Note = lambda context, kind, details: None,
        failed: Callable[[Flow, Failure, float | None], None] = lambda flow, failure, after: None,
        answered: Callable[[Flow], None] = lambda flow: None,
        route_extra: str = "",
        seal: RouteSeal | None = None,
    ) -> None:
        self.layer = layer
        self.identity = identity
        self.settings = settings
        self.seal = seal
        self.forwarding = Forwarding(identity, settings, route_extra, seal)
        self.tag = tag
        self.note = note
        self.failed = failed
        self.answered = answered
        self.refused: dict[str, int] = {}
        """Requests that were answered here, by the code of what was wrong."""
        self.discarded: dict[str, int] = {}
        """Messages that could not be answered, by code."""
        self._timer_c: TimerQueue[Branch] = TimerQueue()

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
                self._again(user, event.response, now)
            else:
                return event  # to a request of the transaction user's own
            return None
        if kind is RequestReceived:
            assert isinstance(event, RequestReceived)
            return self._request(event, now)
        if kind is AckReceived:
            assert isinstance(event, AckReceived)
            return self._ack(event)
        return self._rare(event, now)

    def _again(self, transaction: ServerTransaction, response: Response, now: float) -> None:
        """A 2xx, when its context has nothing more to do: it passes as the first one did."""
        pop_via(response, response.via_end)
        if "via" not in response.headers.names:
            self.discard("sip.via-left")
            return
        complete(response, transaction.flow)
        self.layer.respond(transaction, response, now)

    def _ack(self, event: AckReceived) -> Passing | None:
        request, flow = event.request, event.flow
        call_id = request.call_id
        branch = ack_branch(request, call_id)
        try:
            if self.refusal(request) is None:
                routed = preprocess(request, self.identity, flow, self.seal)
                tap = self.layer.tap
                traced = tap is not None and tap.wants(call_id)
                return Passing(request, flow, routed, branch, None, traced)
        except DecodeError:
            pass
        self.discard("sip.ack")  # nothing answers an ACK
        return None

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
                if branch.client is transaction:
                    assert isinstance(transaction, ClientTransaction)
                    detail = _patience(transaction)
                    branch.context.on_no_response(branch, Failure.TIMEOUT, detail, now)
            case TransportFailed(transaction, reason):
                branch = transaction.user
                if not isinstance(branch, Branch):
                    return event
                # Else it is the ACK to a final response that the branch has already, perhaps that
                # of a hop before its present one.
                if branch.client is transaction:
                    branch.context.on_no_response(branch, Failure.ERROR, reason, now)
            case Discarded(code):
                self.discard(code)
            case StrayResponse():
                self.discard("sip.stray-response")
        return None

    def _request(self, event: RequestReceived, now: float) -> ResponseContext | None:
        request, transaction = event.request, event.transaction
        context = ResponseContext(self, transaction, request, transaction.source)
        transaction.user = context
        refusal = self.refusal(request)
        if refusal is not None:
            self.refuse(context, refusal, now)
            return None
        try:
            context.routed = preprocess(request, self.identity, transaction.source, self.seal)
        except DecodeError as problem:
            self.refuse(context, Problem(400, problem.code, problem.message), now)
            return None
        if request.method == "INVITE":
            self.layer.respond(transaction, Response.answer(request, 100), now)
        context.uri = request.uri
        return context

    def _cancel(self, event: CancelReceived, now: float) -> None:
        """Section 16.10; a CANCEL that matches nothing is answered 481 (section 9.2)."""
        request, invite = event.request, event.invite
        context = None if invite is None else invite.user
        status = 481 if invite is None else 200
        if request.defect is not None:
            status = 400  # its Reason could not be passed on
        tag = context.tag if isinstance(context, ResponseContext) else self.tag()
        self.layer.respond(event.transaction, Response.answer(request, status, to_tag=tag), now)
        if status == 200 and isinstance(context, ResponseContext):
            if context.transaction.traced:
                self.note(context, "cancelled", ())
            reasons = [("Reason", value) for value in request.headers.all("reason")]
            context.cancel(now, reasons)  # RFC 3326 section 2: passed on

    def refusal(self, request: Request) -> Problem | None:
        """Return what keeps ``request`` from being forwarded, by section 16.3."""
        settings = self.settings
        return check_forwarding(request, supported=settings.supported, schemes=settings.schemes)

    @staticmethod
    def count(counts: dict[str, int], code: str) -> None:
        """Count one more of ``code``."""
        counts[code] = counts.get(code, 0) + 1

    def refuse(self, context: ResponseContext, problem: Problem, now: float) -> None:
        """Answer a request that something is wrong with, and count it by what that is."""
        self.count(self.refused, problem.code)
        if context.transaction.traced:
            self.note(context, "refused", (problem.status, problem.code))
        context.reply(problem.status, headers=problem.headers, now=now)

    def discard(self, code: str) -> None:
        """Count a message that could not be answered."""
        self.count(self.discarded, code)

    # forwarding

    def send_branch(self, branch: Branch, forked: bool, now: float) -> bool:
        """Send a branch's copy to its present hop (section 16.6); False: a hook kept it back.

        Raises:
            TrunklineError: as `Forwarding.address`: nothing was sent.
        """
        context, target, flow = branch.context, branch.target, branch.flow
        assert flow is not None
        forwarding = self.forwarding
        request = context.request.copy()
        forwarding.address(request, target.uri, target.routes, branch.breadth)
        if context.hooks is not None:
            if context.hooks.on_branch(context, branch, request):
                return False
            writable(request.uri)
        forwarding.route(request, context.flow, flow, context.routed)
        token = self.layer.new_branch()
        if forked:
            token += loop_part(context.request, context.uri)
        at = forwarding.add_via(request, flow, token)
        if flow.transport is Transport.UDP:
            data = request.to_bytes()
            limit = self.settings.largest_datagram
            stream = None
            # A flow to a user agent is the only way to it (RFC 5626 section 5.3).
            if len(data) > limit and not (branch.refused or target.flows):
                stream = stream_for(self.identity, flow, len(data), limit)
            if stream is not None:
                branch.fallback, branch.flow = flow, stream
                flow = stream
                forwarding.change_via(request, at, flow, token)
                complete(request, flow)
                data = request.to_bytes()
        else:
            complete(request, flow)
            data = request.to_bytes()
        traced = context.transaction.traced
        if traced:
            self.note(context, "sent", (target.uri, flow, token))
        branch.client = self.layer.request(
            request, token, flow, now, branch, traced=traced, data=data, judge=check_passing
        )
        if request.method == "INVITE":
            if not branch.patience:
                self._timer_c.start(branch, _TIMER_C, self.layer.timers.c, now)
            branch.patience = now + self.layer.timers.c  # step 11
        return True

    def forward(self, passing: Passing, target: Target, now: float) -> bool:
        """Send a request on to its next hop without a transaction; whether there is one.

        Raises:
            TrunklineError: as `Forwarding.address`: nothing was sent.
        """
        flow = target.hops(now)
        if flow is None:
            return False
        request, forwarding = passing.request, self.forwarding
        # RFC 5393 section 5.4.1: it means nothing in a CANCEL.
        breadth = 0 if request.method == "CANCEL" else forwarding.breadth_of(request)
        forwarding.address(request, target.uri, target.routes, breadth)
        forwarding.route(request, passing.flow, flow, passing.routed)
        forwarding.add_via(request, flow, passing.branch)
        self.send(request, flow, passing.traced, now)
        return True

    def send(self, message: Message, flow: Flow, traced: bool, now: float) -> None:
        """Send a message outside of any transaction."""
        if flow.transport.reliable:
            complete(message, flow)
        data = message.to_bytes()
        layer = self.layer
        if traced and layer.tap is not None:
            layer.tap.message(now, flow, data, True)
        layer.out.append((flow, data))

    # time and transport

    def wait_for_timer_c(self, branch: Branch, now: float) -> None:
        """Look again when a branch's patience is over, or a little later.

        The queue is for few different lengths: so they are rounded up.
        """
        length = -(-(branch.patience - now) // _GRAIN) * _GRAIN
        self._timer_c.start(branch, _TIMER_C, min(length, self.layer.timers.c), now)

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

    def connection_lost(self, flows: Iterable[Flow], reason: str, now: float) -> list[Received]:
        """As `TransactionLayer.connection_lost`; return what needs a decision."""
        return self._handle_all(self.layer.connection_lost(flows, reason, now), now)

    def _handle_all(self, events: Iterable[Event], now: float) -> list[Received]:
        found = (self.handle(event, now) for event in events)
        return [received for received in found if received is not None]


def _patience(transaction: ClientTransaction) -> str:
    """What ended a client transaction that had no final response."""
    if transaction.cancelled:
        return "no final response in 64*T1 after CANCEL"
    timer = "B" if transaction.method == "INVITE" else "F"
    return f"timer {timer}: no final response in 64*T1"
