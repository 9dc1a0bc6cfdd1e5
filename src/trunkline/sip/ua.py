"""A user agent: RFC 3261 sections 8 and 11, with sessions (13 to 15) on `trunkline.sip.dialog`.

A machine like the others: ``receive`` takes octets as they came and returns events,
``data_to_send`` has what is to leave, ``next_timeout`` and ``on_timeout`` run the timers. What the
user asks for (``invite``, and the methods of calls and sessions) may have events too; then
``next_timeout`` is 0, and ``on_timeout`` has them.

It answers by itself: OPTIONS (11.2), CANCEL (9.2), what it cannot do (405, 406, 415, 416, 420, 501:
8.2), merged requests (482: 8.2.2.2), requests within dialogs that do not exist (481) or out of
order (500: 12.2.2). The rest is its user's.

Left out: authentication of what comes in (the user answers 401 to it: `trunkline.sip.digest`),
registering (`trunkline.sip.registrar`), redirection (8.1.3.4: a 3xx is `CallFailed`, and calling
elsewhere a new ``invite``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.body import body_of
from trunkline.sip.dialog.call import Call, Watcher
from trunkline.sip.dialog.core import Capabilities, Core, Locator, Rows
from trunkline.sip.dialog.events import Event, ResponseArrived
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.dialog.publisher import Publisher
from trunkline.sip.dialog.refer import Referral
from trunkline.sip.dialog.server import Server
from trunkline.sip.dialog.session_timer import SessionTimer
from trunkline.sip.dialog.subscription import REFER_LASTS, Subscriber
from trunkline.sip.digest.client import Logins
from trunkline.sip.headers import Event as EventValue
from trunkline.sip.headers import NameAddr
from trunkline.sip.message import Request, Response
from trunkline.sip.proxy.identity import Identity
from trunkline.sip.sdp import SessionDescription
from trunkline.sip.transaction import (
    AckReceived,
    CancelReceived,
    ClientTransaction,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    TimedOut,
    TransactionLayer,
    TransportFailed,
)
from trunkline.sip.transaction import Event as Below
from trunkline.sip.transport import Flow

__all__ = ["UserAgent"]


class UserAgent:
    """See the module. ``core`` is what its dialogs share; arguments are those of `Core`."""

    def __init__(
        self,
        layer: TransactionLayer,
        identity: Identity,
        locate: Locator,
        *,
        token: Callable[[], str],
        draw: Callable[[], float],
        capabilities: Capabilities = Capabilities(),  # noqa: B008 - immutable
        logins: Logins | None = None,
        limit: int = 100_000,
    ) -> None:
        self.core = Core(
            layer,
            identity,
            locate,
            token=token,
            draw=draw,
            capabilities=capabilities,
            logins=logins,
            limit=limit,
        )
        self.layer = layer
        self._server = Server(self.core)

    # The machine

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Event]:
        """Take one message as it came by ``flow``."""
        return self._handle([self.layer.receive(data, flow, now)], now)

    def receive_message(self, message: Request | Response, flow: Flow, now: float) -> list[Event]:
        """As `receive`, for a message that has been parsed."""
        return self._handle([self.layer.receive_message(message, flow, now)], now)

    def handle(self, event: Below, now: float) -> list[Event]:
        """Take an event of the transaction layer, where the element gives it to others too.

        Such an element calls `on_alarms` in the place of `on_timeout`.
        """
        return self._handle([event], now)

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """Return what has to leave, in order."""
        return self.layer.data_to_send()

    def next_timeout(self) -> float | None:
        """Return when ``on_timeout`` has to be called, None if there is nothing to wait for."""
        return self.core.next_timeout()

    def on_timeout(self, now: float) -> list[Event]:
        """Let what is due happen."""
        self._below(self.layer.on_timeout(now), now)
        return self.on_alarms(now)

    def on_alarms(self, now: float) -> list[Event]:
        """As `on_timeout`, but for the timers of the transaction layer."""
        for owner, name in self.core.alarms.due(now):
            owner.on_alarm(name, now)
        return self.core.take_events()

    def transport_failed(
        self, flow: Flow, messages: Iterable[bytes], reason: str, now: float
    ) -> list[Event]:
        """``messages`` could not be sent by ``flow``, as `TransactionLayer.transport_failed`."""
        return self._handle(self.layer.transport_failed(flow, messages, reason, now), now)

    def connection_lost(self, flows: Iterable[Flow], reason: str, now: float) -> list[Event]:
        """As `TransactionLayer.connection_lost`."""
        return self._handle(self.layer.connection_lost(flows, reason, now), now)

    # What the user asks for

    def invite(
        self,
        uri: str,
        sender: str,
        now: float,
        *,
        to: str | None = None,
        offer: SessionDescription | None = None,
        headers: Rows = (),
        routes: Iterable[str] = (),
        expires: int | None = None,
        user: object = None,
        watch: Watcher | None = None,
    ) -> Call:
        """Call ``uri`` (13.2.1). ``Answered`` or ``CallFailed`` say what became of it.

        Args:
            uri: the Request-URI.
            sender: From, without a tag.
            now: the time.
            to: To; the Request-URI where it is not given.
            offer: our offer; without one the peer is asked for it.
            headers: further rows.
            routes: Route values, such as a Service-Route (RFC 3608).
            expires: seconds after which the call is cancelled if nobody answers.
            user: kept as ``call.user`` and ``session.user``.
            watch: is shown each response over 100, but retransmissions.

        Raises:
            TrunklineError: ``sip.start-line``, ``sip.header``: something cannot be written.
                ``dialog.full``: there are as many dialogs as there may be.
        """
        core = self.core
        if core.full:
            raise TrunklineError(
                "dialog.full", f"{core.limit} dialogs already: no call can be begun"
            )
        capabilities = core.capabilities
        timer = SessionTimer(capabilities.session_expires, capabilities.min_se)
        rows = [*headers, *self._rows]
        if "timer" in capabilities.extensions:
            rows += timer.request_rows()
        if expires is not None:
            rows.append(("Expires", str(expires)))
        described, body = body_of(offer)
        request, hop = self._build("INVITE", uri, sender, to, routes, (*rows, *described), body)
        call = Call(core, request, hop, offer, timer, user, watch)
        call.begin(now, expires)
        return call

    def request(
        self,
        method: str,
        uri: str,
        sender: str,
        now: float,
        *,
        to: str | None = None,
        headers: Rows = (),
        body: bytes = b"",
        routes: Iterable[str] = (),
    ) -> Outgoing:
        """Send a request outside of any dialog, as MESSAGE or OPTIONS; see `ResponseArrived`.

        Not for methods that make dialogs. Arguments and errors are those of `invite`.
        """
        rows = (*headers, *self._rows)
        request, hop = self._build(method, uri, sender, to, routes, rows, body)
        numbers = iter(range(2, 1 << 31))

        def handler(outgoing: Outgoing, response: Response, now: float) -> None:
            self.core.emit(ResponseArrived(outgoing, response, None))

        outgoing = self.core.prepare(
            request, hop, handler, lambda: next(numbers), self.core.credentials()
        )
        outgoing.begin(now)
        return outgoing

    def subscribe(
        self,
        uri: str,
        sender: str,
        event: str,
        now: float,
        *,
        to: str | None = None,
        expires: int = 3600,
        accept: Iterable[str] = (),
        headers: Rows = (),
        routes: Iterable[str] = (),
        user: object = None,
    ) -> Subscriber:
        """Subscribe to the state of ``uri`` (RFC 6665 section 4.1.2); see `Notified`.

        Args:
            uri: the resource.
            sender: From, without a tag.
            event: the Event: an event package, maybe with parameters.
            now: the time.
            to: To; the Request-URI where it is not given.
            expires: seconds to subscribe for; it is refreshed by itself. 0 asks once (4.4.3).
            accept: media types of the state that we understand.
            headers: further rows.
            routes: Route values.
            user: kept as ``subscriber.user``.

        Raises:
            TrunklineError: ``sip.start-line``, ``sip.header``; ``sip.header.value`` for the event.
        """
        types = tuple(accept)
        rows = [("Event", event), ("Expires", str(expires)), *headers, *self._rows]
        if types:
            rows.append(("Accept", ", ".join(types)))
        request, hop = self._build("SUBSCRIBE", uri, sender, to, routes, rows, b"")
        subscriber = Subscriber(self.core, request, EventValue.parse(event), expires, types, user)
        subscriber.begin(hop, now)
        return subscriber

    def refer(
        self,
        uri: str,
        sender: str,
        reference: str,
        now: float,
        *,
        to: str | None = None,
        headers: Rows = (),
        routes: Iterable[str] = (),
        user: object = None,
    ) -> Subscriber:
        """Ask ``uri`` to contact somebody, outside of a session (RFC 3515); see `ReferProgress`.

        ``reference`` is the Refer-To, as `trunkline.sip.dialog.refer.refer_to` makes it; the other
        arguments and the errors are those of `subscribe`. Within a session: ``session.refer``.
        """
        rows = [("Refer-To", reference), *headers, *self._rows]
        request, hop = self._build("REFER", uri, sender, to, routes, rows, b"")
        event = EventValue.parse("refer")
        subscriber = Subscriber(self.core, request, event, REFER_LASTS, (), user)
        subscriber.begin(hop, now)
        return subscriber

    def invite_referred(
        self,
        referral: Referral,
        sender: str,
        now: float,
        *,
        offer: SessionDescription | None = None,
        headers: Rows = (),
        routes: Iterable[str] = (),
        user: object = None,
    ) -> Call:
        """Make the call that an accepted referral asks for, and report of it (RFC 3515 2.4.4).

        Arguments and errors are those of `invite`.
        """
        rows = (*referral.rows, *headers)
        return self.invite(
            referral.reference.uri,
            sender,
            now,
            offer=offer,
            headers=rows,
            routes=routes,
            user=user,
            watch=referral.follow,
        )

    def publish(
        self,
        uri: str,
        sender: str,
        event: str,
        now: float,
        *,
        content_type: str,
        body: bytes,
        expires: int = 3600,
        headers: Rows = (),
        routes: Iterable[str] = (),
        user: object = None,
    ) -> Publisher:
        """Publish the state of ``uri`` (RFC 3903); it is refreshed by itself. See `Published`.

        Arguments are as those of `subscribe`; ``content_type`` and ``body`` are the state.
        """
        rows = [("Event", event), *headers, *self._rows]
        request, hop = self._build("PUBLISH", uri, sender, None, routes, rows, b"")
        publisher = Publisher(self.core, request, hop, expires, user)
        publisher.publish(now, content_type, body)
        return publisher

    def respond(
        self,
        transaction: ServerTransaction,
        request: Request,
        status: int,
        now: float,
        *,
        headers: Rows = (),
        body: bytes = b"",
    ) -> None:
        """Answer a request that `RequestArrived` brought."""
        self.core.reply(transaction, request, status, now, headers=headers, body=body)

    @property
    def _rows(self) -> tuple[tuple[str, str], ...]:
        return self.core.capabilities.rows

    def _build(
        self,
        method: str,
        uri: str,
        sender: str,
        to: str | None,
        routes: Iterable[str],
        headers: Rows,
        body: bytes,
    ) -> tuple[Request, str]:
        """A request outside of a dialog (8.1.1), and the URI of its next hop (8.1.2)."""
        token = self.core.token
        values = list(routes)
        rows = [("Max-Forwards", "70")]
        rows += [("Route", value) for value in values]
        rows += [
            ("From", f"{sender if '<' in sender else f'<{sender}>'};tag={token()}"),
            ("To", to or f"<{uri}>"),
            ("Call-ID", token()),
            ("CSeq", f"1 {method}"),
            *headers,
        ]
        hop = NameAddr.parse(values[0]).uri_text if values else uri
        return Request.build(method, uri, rows, body), hop

    # From below

    def _handle(self, events: Iterable[Below | None], now: float) -> list[Event]:
        self._below(events, now)
        return self.core.take_events()

    def _below(self, events: Iterable[Below | None], now: float) -> None:
        for event in events:
            match event:
                case None:
                    pass
                case ResponseReceived(transaction, response):
                    user = transaction.user
                    if not isinstance(user, Outgoing):
                        self.core.counters.ignored += 1
                    elif user.transaction is transaction:
                        user.on_response(response, now)
                case TimedOut(transaction) | TransportFailed(transaction, _):
                    user = transaction.user
                    if isinstance(user, Outgoing) and user.transaction is transaction:
                        assert isinstance(transaction, ClientTransaction)
                        if isinstance(event, TimedOut):
                            user.on_timeout(now)
                        else:
                            user.on_transport_failed(now)
                case RequestReceived(transaction, request):
                    self._server.on_request(transaction, request, now)
                case CancelReceived(transaction, request, invite):
                    self._server.on_cancel(transaction, request, invite, now)
                case AckReceived(request, _):
                    self._server.on_ack(request, now)
                case _:
                    self.core.counters.ignored += 1
