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
from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.dialog.body import SDP, body_of, description_of
from trunkline.sip.dialog.call import Call
from trunkline.sip.dialog.core import Capabilities, Core, Locator, Rows
from trunkline.sip.dialog.dialog import Dialog, DialogId
from trunkline.sip.dialog.events import Event, IncomingCall, RequestArrived, ResponseArrived
from trunkline.sip.dialog.invite_server import ServerInvite
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_timer import SessionTimer
from trunkline.sip.digest.client import Logins
from trunkline.sip.headers import MediaType, NameAddr
from trunkline.sip.message import Request, Response, tag_of
from trunkline.sip.proxy.identity import Identity
from trunkline.sip.sdp import Exchange, Message, SessionDescription
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
from trunkline.sip.validity import check_answer, check_strict

__all__ = ["UserAgent"]

_IN_DIALOG_ONLY: Final = frozenset({"BYE", "PRACK", "UPDATE"})  # 15.1.2; RFC 3262 3; RFC 3311 5.2


class UserAgent:
    """See the module. ``core`` is what its dialogs share; arguments are those of `Core`.

    ``availability`` is the status that OPTIONS outside of dialogs is answered with: what a call
    would get now (11.2).
    """

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
        self.availability = 200
        self._merging: dict[tuple[str, str, str], ServerTransaction] = {}
        self._sweep_at = 1024

    # The machine

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Event]:
        """Take one message as it came by ``flow``."""
        return self._handle([self.layer.receive(data, flow, now)], now)

    def receive_message(self, message: Request | Response, flow: Flow, now: float) -> list[Event]:
        """As `receive`, for a message that has been parsed."""
        return self._handle([self.layer.receive_message(message, flow, now)], now)

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """Return what has to leave, in order."""
        return self.layer.data_to_send()

    def next_timeout(self) -> float | None:
        """Return when ``on_timeout`` has to be called, None if there is nothing to wait for."""
        return self.core.next_timeout()

    def on_timeout(self, now: float) -> list[Event]:
        """Let what is due happen."""
        self._below(self.layer.on_timeout(now), now)
        for owner, name in self.core.alarms.due(now):
            owner.on_alarm(name, now)
        return self.core.take_events()

    def transport_failed(
        self, flow: Flow, messages: Iterable[bytes], reason: str, now: float
    ) -> list[Event]:
        """``messages`` could not be sent by ``flow``, as `TransactionLayer.transport_failed`."""
        return self._handle(self.layer.transport_failed(flow, messages, reason, now), now)

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

        Raises:
            TrunklineError: ``sip.start-line``, ``sip.header``: something cannot be written.
        """
        core = self.core
        capabilities = core.capabilities
        timer = SessionTimer(capabilities.session_expires, capabilities.min_se)
        rows = [*headers, *capabilities.rows]
        if "timer" in capabilities.extensions:
            rows += timer.request_rows()
        if expires is not None:
            rows.append(("Expires", str(expires)))
        described, body = body_of(offer)
        request, hop = self._build("INVITE", uri, sender, to, routes, (*rows, *described), body)
        call = Call(core, request, hop, offer, timer, user)
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
        rows = (*headers, *self.core.capabilities.rows)
        request, hop = self._build(method, uri, sender, to, routes, rows, body)
        numbers = iter(range(2, 1 << 31))

        def handler(outgoing: Outgoing, response: Response, now: float) -> None:
            self.core.emit(ResponseArrived(outgoing, response, None))

        outgoing = self.core.prepare(
            request, hop, handler, lambda: next(numbers), self.core.credentials()
        )
        outgoing.begin(now)
        return outgoing

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
                    if not isinstance(user, Outgoing) or check_answer(response) is not None:
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
                    self._on_request(transaction, request, now)
                case CancelReceived(transaction, request, invite):
                    self._on_cancel(transaction, request, invite, now)
                case AckReceived(request, _):
                    self._on_ack(request, now)
                case _:
                    self.core.counters.ignored += 1

    def _on_cancel(
        self,
        transaction: ServerTransaction,
        request: Request,
        invite: ServerTransaction | None,
        now: float,
    ) -> None:
        """Section 9.2; the To tag is that of the responses to the INVITE."""
        server = invite.user if invite is not None else None
        if invite is None:
            self.core.refuse(transaction, request, 481, now)
        elif isinstance(server, ServerInvite):
            self.core.reply(transaction, request, 200, now, to_tag=server.local_tag)
            server.cancel(request, now)
        else:
            self.core.reply(transaction, request, 200, now)

    def _on_ack(self, request: Request, now: float) -> None:
        dialog = self._dialog(request) if check_strict(request) is None else None
        for usage in dialog.usages if dialog is not None else ():
            if isinstance(usage, Session):
                usage.on_ack(request, now)
                return
        self.core.counters.ignored += 1

    def _on_request(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """Section 8.2, in its order."""
        core = self.core
        capabilities = core.capabilities
        problem = check_strict(
            request,
            allowed=capabilities.methods,
            supported=capabilities.extensions,
            accepts=self._accepted(request),
        )
        if problem is not None:
            core.refuse(transaction, request, problem.status, now, problem.headers)
            return
        if tag_of(request.headers.get("to") or "") is None:
            if self._merged(transaction, request):
                core.refuse(transaction, request, 482, now)
            else:
                self._on_outside(transaction, request, now)
            return
        dialog = self._dialog(request)
        if dialog is None:
            core.refuse(transaction, request, 481, now)
        elif not dialog.receive(request):
            core.refuse(transaction, request, 500, now, [core.retry_after()])
        elif request.method == "OPTIONS":
            self._on_options(transaction, request, 200, now)
        else:
            for usage in list(dialog.usages):
                if usage.on_request(transaction, request, now):
                    return
            core.refuse(transaction, request, 481, now)

    def _accepted(self, request: Request) -> tuple[str, ...] | None:
        """The types of bodies that are looked at; of the others, nothing depends on them."""
        if request.method in ("INVITE", "UPDATE", "PRACK"):
            return (*self.core.capabilities.types, "multipart/mixed", "multipart/alternative")
        return None

    def _dialog(self, request: Request) -> Dialog | None:
        headers = request.headers
        local = tag_of(headers.get("to") or "") or ""
        remote = tag_of(headers.get("from") or "") or ""
        return self.core.dialogs.get(DialogId(request.call_id, local, remote))

    def _merged(self, transaction: ServerTransaction, request: Request) -> bool:
        """The same request came by another way and is in progress (8.2.2.2)."""
        headers = request.headers
        key = (
            tag_of(headers.get("from") or "") or "",
            request.call_id,
            headers.get("cseq") or "",
        )
        known = self._merging.get(key)
        if known is not None and known is not transaction and not known.terminated:
            return True
        self._merging[key] = transaction
        if len(self._merging) > self._sweep_at:
            self._merging = {k: t for k, t in self._merging.items() if not t.terminated}
            self._sweep_at = 1024 + 2 * len(self._merging)
        return False

    def _on_outside(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        match request.method:
            case "INVITE":
                self._on_invite(transaction, request, now)
            case "OPTIONS":
                self._on_options(transaction, request, self.availability, now)
            case method if method in _IN_DIALOG_ONLY:
                self.core.refuse(transaction, request, 481, now)
            case _:
                self.core.emit(RequestArrived(transaction, request, None))

    def _on_options(
        self, transaction: ServerTransaction, request: Request, status: int, now: float
    ) -> None:
        """Section 11.2."""
        capabilities = self.core.capabilities
        rows = [
            *capabilities.rows,
            ("Accept", ", ".join(capabilities.types)),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", ", ".join(capabilities.languages) or "*"),
            ("Contact", self._contact(transaction, request)),
        ]
        self.core.reply(transaction, request, status, now, headers=rows)

    def _on_invite(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        core = self.core
        if core.full:
            core.refuse(transaction, request, 503, now, [("Retry-After", "10")])
            return
        if not self._accepts_answer(request):  # 21.4.7
            core.refuse(transaction, request, 406, now)
            return
        timer = SessionTimer(core.capabilities.session_expires, core.capabilities.min_se)
        shortest = timer.refusal(request) if "timer" in core.capabilities.extensions else None
        if shortest is not None:
            core.refuse(transaction, request, 422, now, [("Min-SE", str(shortest))])
            return
        contact = self._contact(transaction, request)
        secure = transaction.source.transport.secure
        try:
            dialog = Dialog.as_uas(request, core.token(), contact, secure=secure)
            offer = description_of(request)
        except DecodeError:
            core.refuse(transaction, request, 400, now)
            return
        timer.heard(request)
        exchange = Exchange()
        exchange.receive(Message.INVITE, offer)
        session = Session(core, dialog, exchange, timer, core.credentials())
        session.learn(request)
        session.server = ServerInvite(core, session, transaction, request, now)
        core.emit(IncomingCall(session, request, offer, None))

    def _accepts_answer(self, request: Request) -> bool:
        """Whether the caller's Accept, if there is one, lets us describe a session (20.1)."""
        if "accept" not in request.headers:
            return True
        wanted = MediaType.parse(SDP)
        for token in request.headers.tokens("accept"):
            try:
                if MediaType.parse(token).accepts(wanted):
                    return True
            except DecodeError:
                continue
        return False

    def _contact(self, transaction: ServerTransaction, request: Request) -> str:
        """Our Contact in a response; SIPS where 12.1.1 has it so."""
        headers = request.headers
        routes = headers.tokens("record-route") or headers.tokens("contact")
        secure = request.uri[:5].lower() == "sips:" or (
            bool(routes) and "sips:" in routes[0].lower()
        )
        return self.core.contact(transaction.source, secure)
