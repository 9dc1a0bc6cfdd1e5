"""What a user agent does with requests: RFC 3261 section 8.2, in its order.

What it answers by itself is in the docstring of `trunkline.sip.ua`; the rest becomes a session, a
subscription, a reference, or an event.
"""

from __future__ import annotations

from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.dialog.body import SDP, description_of
from trunkline.sip.dialog.core import Core, event_of
from trunkline.sip.dialog.dialog import Dialog, DialogId
from trunkline.sip.dialog.events import (
    IncomingCall,
    ReferArrived,
    RequestArrived,
    SubscribeArrived,
)
from trunkline.sip.dialog.invite_server import ServerInvite
from trunkline.sip.dialog.notifier import Notifier
from trunkline.sip.dialog.refer import Reference, Referral
from trunkline.sip.dialog.replaces import resolve
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_timer import SessionTimer
from trunkline.sip.headers import CSeq, Event, MediaType, delta_seconds
from trunkline.sip.message import Request, tag_of
from trunkline.sip.sdp import Exchange, Message
from trunkline.sip.transaction import ServerTransaction
from trunkline.sip.validity import check_strict

__all__ = ["Server"]

_IN_DIALOG_ONLY: Final = frozenset({"BYE", "PRACK", "UPDATE"})  # 15.1.2; RFC 3262 3; RFC 3311 5.2
_HOUR: Final = 3600


class Server:
    """The user agent server. ``core`` is the user agent's."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._merging: dict[bytes, ServerTransaction] = {}
        self._sweep_at = 1024

    def on_cancel(
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

    def on_ack(self, request: Request, now: float) -> None:
        """An ACK for a 2xx (13.3.1.4), or for nothing."""
        invite = None
        if check_strict(request) is None:
            invite = self.core.accepted.get(_dialog_id(request))
        if invite is None or CSeq.parse(request.headers["cseq"][0]).number != invite.number:
            self.core.counters.ignored += 1
        else:
            invite.ack(request, now)

    def on_request(self, transaction: ServerTransaction, request: Request, now: float) -> None:
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
        elif tag_of(request.headers.get("to") or "") is not None:
            self._on_inside(transaction, request, now)
        elif self._merged(transaction, request):
            core.refuse(transaction, request, 482, now)
        else:
            self._on_outside(transaction, request, now)

    def _accepted(self, request: Request) -> tuple[str, ...] | None:
        """The types of bodies that are looked at; of the others, nothing depends on them."""
        if request.method in ("INVITE", "UPDATE", "PRACK"):
            return (*self.core.capabilities.types, "multipart/mixed", "multipart/alternative")
        return None

    def _merged(self, transaction: ServerTransaction, request: Request) -> bool:
        """The same request came by another way and is in progress (8.2.2.2)."""
        headers = request.headers
        cseq, tag = headers.get("cseq") or "", tag_of(headers.get("from") or "") or ""
        key = DialogId(request.call_id, cseq, tag).digest
        known = self._merging.get(key)
        if known is not None and known is not transaction and not known.terminated:
            return True
        self._merging[key] = transaction
        if len(self._merging) > self._sweep_at:
            self._merging = {k: t for k, t in self._merging.items() if not t.terminated}
            self._sweep_at = 1024 + 2 * len(self._merging)
        return False

    # Within dialogs

    def _on_inside(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """Section 12.2.2."""
        core = self.core
        dialog = core.dialogs.get(_dialog_id(request))
        method = request.method
        if dialog is None:
            if method != "NOTIFY" or not self._first_notify(transaction, request, now):
                core.refuse(transaction, request, 481, now)
        elif not dialog.receive(request):
            core.refuse(transaction, request, 500, now, [core.retry_after()])
        elif "replaces" in request.headers:
            core.refuse(transaction, request, 400, now)
        elif method == "OPTIONS":
            self._on_options(transaction, request, 200, now)
        elif any(usage.on_request(transaction, request, now) for usage in list(dialog.usages)):
            pass
        elif method == "REFER":
            dialog.references += 1
            self._on_refer(transaction, request, dialog, now)
        else:
            # RFC 6665 section 4.5.2: 403, the dialog of another usage is not shared
            core.refuse(transaction, request, 403 if method == "SUBSCRIBE" else 481, now)

    def _first_notify(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        """A NOTIFY that makes a dialog with what we subscribed to (RFC 6665 section 4.4.1)."""
        tag = tag_of(request.headers.get("to") or "") or ""
        subscriber = self.core.subscribers.get((request.call_id, tag))
        return subscriber is not None and subscriber.on_notify(transaction, request, now)

    # Outside of dialogs

    def _on_outside(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        core = self.core
        method = request.method
        if method in ("INVITE", "SUBSCRIBE", "REFER") and core.full:
            core.refuse(transaction, request, 503, now, [("Retry-After", "10")])
        elif "replaces" in request.headers and method != "INVITE":  # RFC 3891 section 3
            core.refuse(transaction, request, 400, now)
        elif method == "INVITE":
            self._on_invite(transaction, request, now)
        elif method == "SUBSCRIBE":
            self._on_subscribe(transaction, request, now)
        elif method == "REFER":
            self._on_refer(transaction, request, None, now)
        elif method == "OPTIONS":
            self._on_options(transaction, request, core.availability, now)
        elif method in _IN_DIALOG_ONLY or method == "NOTIFY":
            core.refuse(transaction, request, 481, now)
        else:
            core.emit(RequestArrived(transaction, request, None))

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
        if not _accepts(request, SDP):  # 21.4.7
            core.refuse(transaction, request, 406, now)
            return
        timer = SessionTimer(core.capabilities.session_expires, core.capabilities.min_se)
        shortest = timer.refusal(request) if "timer" in core.capabilities.extensions else None
        if shortest is not None:
            core.refuse(transaction, request, 422, now, [("Min-SE", str(shortest))])
            return
        replaced = resolve(core, request)
        if replaced.status:
            core.refuse(transaction, request, replaced.status, now)
            return
        try:
            dialog = self._new_dialog(transaction, request)
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
        session.replaces = replaced.session
        core.emit(IncomingCall(session, request, offer, replaced.session))

    def _on_subscribe(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        """RFC 6665 section 4.2.1.1."""
        core = self.core
        event = event_of(request)
        if event is not None and event.package == "refer":  # RFC 3515 section 2.4.4
            core.refuse(transaction, request, 403, now)
            return
        if event is None or event.value not in core.capabilities.events:
            events = core.capabilities.events
            rows = [("Allow-Events", ", ".join(events))] if events else []
            core.refuse(transaction, request, 489, now, rows)
            return
        try:
            expires = delta_seconds(request.headers.get("expires") or str(_HOUR))
            dialog = self._new_dialog(transaction, request)
        except DecodeError:
            core.refuse(transaction, request, 400, now)
            return
        shortest = core.capabilities.min_expires
        if 0 < expires < min(shortest, _HOUR):
            core.refuse(transaction, request, 423, now, [("Min-Expires", str(shortest))])
            return
        notifier = Notifier(core, dialog, event, transaction, request, core.credentials())
        core.emit(SubscribeArrived(notifier, request))

    def _on_refer(
        self,
        transaction: ServerTransaction,
        request: Request,
        dialog: Dialog | None,
        now: float,
    ) -> None:
        """RFC 3515 section 2.4.2."""
        core = self.core
        session = _session_of(dialog)
        number = (request.headers.get("cseq") or "").split()[0]
        try:
            reference = Reference.of(request)
            if dialog is None:
                dialog = self._new_dialog(transaction, request)
        except DecodeError:
            core.refuse(transaction, request, 400, now)
            return
        # 2.4.6: from the second REFER of a dialog on, its number tells them apart
        params = {"id": number} if dialog.references > 1 else {}
        event = Event.build("refer", params)
        credentials = session.credentials if session is not None else core.credentials()
        notifier = Notifier(core, dialog, event, transaction, request, credentials)
        if dialog.usages:
            notifier.wait(now)
        referral = Referral(core, notifier, reference, session)
        core.emit(ReferArrived(referral, request, session))

    def _new_dialog(self, transaction: ServerTransaction, request: Request) -> Dialog:
        """The dialog that a response of ours will make (12.1.1). Raises as `Dialog.as_uas`."""
        contact = self._contact(transaction, request)
        secure = transaction.source.transport.secure
        dialog = Dialog.as_uas(request, self.core.token(), contact, secure=secure)
        dialog.references = int(request.method == "REFER")
        return dialog

    def _contact(self, transaction: ServerTransaction, request: Request) -> str:
        """Our Contact in a response; SIPS where 12.1.1 has it so."""
        headers = request.headers
        routes = headers.tokens("record-route") or headers.tokens("contact")
        secure = request.uri[:5].lower() == "sips:" or (
            bool(routes) and "sips:" in routes[0].lower()
        )
        return self.core.contact(transaction.source, secure)


def _dialog_id(request: Request) -> DialogId:
    headers = request.headers
    local = tag_of(headers.get("to") or "") or ""
    remote = tag_of(headers.get("from") or "") or ""
    return DialogId(request.call_id, local, remote)


def _session_of(dialog: Dialog | None) -> Session | None:
    usages = dialog.usages if dialog is not None else ()
    return next((usage for usage in usages if isinstance(usage, Session)), None)


def _accepts(request: Request, media_type: str) -> bool:
    """Whether the caller's Accept, if there is one, lets us answer so (20.1)."""
    if "accept" not in request.headers:
        return True
    wanted = MediaType.parse(media_type)
    for token in request.headers.tokens("accept"):
        try:
            if MediaType.parse(token).accepts(wanted):
                return True
        except DecodeError:
            continue
    return False
