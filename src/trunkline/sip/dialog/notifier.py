"""Subscriptions at the notifier: RFC 6665 section 4.2.

The user grants or refuses each, and says what the state of the resource is; the NOTIFY that has to
follow each SUBSCRIBE goes out by itself, with the state as it was told last. One NOTIFY is under
way at a time: states that follow it at once are told as one, the last.

Left out: partial state (5.3.2), whose every NOTIFY would have to arrive; throttling beyond that.
"""

from __future__ import annotations

import contextlib
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.dialog.core import Core, Rows, checked, event_of, seconds_of
from trunkline.sip.dialog.dialog import Dialog, DialogState
from trunkline.sip.dialog.dialog import Trigger as DialogTrigger
from trunkline.sip.dialog.events import NotifierEnded
from trunkline.sip.dialog.outgoing import Outgoing, Source
from trunkline.sip.dialog.subscription import same
from trunkline.sip.dialog.subscription_table import (
    FATAL,
    NOTIFIER,
    NotifierState,
    NotifierTrigger,
)
from trunkline.sip.digest.client import Client
from trunkline.sip.headers import Event
from trunkline.sip.message import Request, Response
from trunkline.sip.transaction import ServerTransaction

__all__ = ["Notifier"]

DEFAULT_EXPIRES: Final = 3600
"""Seconds, where neither the SUBSCRIBE nor the user says how long."""

_EXPIRED: Final = "expired"
_UNANSWERED: Final = "unanswered"


class Notifier:
    """One subscription at its notifier. ``user`` is whatever its user wants to find with it."""

    def __init__(
        self,
        core: Core,
        dialog: Dialog,
        event: Event,
        transaction: ServerTransaction,
        request: Request,
        credentials: Client | None,
    ) -> None:
        self.core = core
        self.dialog = dialog
        self.event = event
        self.request = request
        """The SUBSCRIBE that began it."""
        self.credentials = credentials
        self.user: object = None
        self.state = NotifierState.RESP_WAIT
        self.expires_at = 0.0
        """When it ends unless it is refreshed."""
        self._transaction = transaction
        self._longest = DEFAULT_EXPIRES
        self._type = ""
        self._body = b""
        self._reason = ""
        self._retry_after: int | None = None
        self._granted = False
        self._under_way: Outgoing | None = None
        self._changed = False

    def __repr__(self) -> str:
        return f"<Notifier {self.state} {self.event} {self.dialog.id}>"

    def wait(self, now: float) -> None:
        """Keep the dialog that a REFER came in until it is answered, whatever else ends there.

        Where nobody answers for 64*T1, nobody waits for the answer any more (RFC 4320).
        """
        self.core.join(self.dialog, self)
        self.core.alarms.set(self, _UNANSWERED, now + self.core.timers.transaction)

    # What its user calls

    def accept(
        self,
        now: float,
        *,
        content_type: str = "",
        body: bytes = b"",
        pending: bool = False,
        longest: int = DEFAULT_EXPIRES,
        headers: Rows = (),
    ) -> None:
        """Grant the subscription, or keep it pending; a NOTIFY follows at once (4.2.1.2).

        Args:
            now: the time.
            content_type: of the state of the resource; empty for a state without a body.
            body: that state.
            pending: somebody has to decide yet (4.2.1.3): ``grant`` or ``end`` it later.
            longest: seconds that it lasts at most.
            headers: further rows of the 200.

        Raises:
            TrunklineError: ``dialog.state``: it was answered before. ``sip.header``.
        """
        headers = checked(headers)
        self._need(self.state is NotifierState.RESP_WAIT, "the SUBSCRIBE was answered before")
        self.core.alarms.clear(self)
        self._type, self._body, self._longest = content_type, body, longest
        expires = self._asked(self.request)
        if self.dialog.state is DialogState.INIT:
            self.dialog.fire(DialogTrigger.SUCCESS)
        self.core.join(self.dialog, self)
        self._answer(self._transaction, self.request, expires, now, headers)
        self._granted = not pending
        if expires == 0:  # 4.4.3: the state is asked for once
            self._finish(NotifierTrigger.END, "timeout", now)
        else:
            self._fire(NotifierTrigger.WAIT if pending else NotifierTrigger.GRANT)
            self._notify(now)

    def reject(self, status: int, now: float, *, headers: Rows = ()) -> None:
        """Refuse the subscription, with 300 to 699 (4.2.1.1, 4.2.1.3).

        Raises:
            TrunklineError: ``dialog.state``: it was answered before. ``sip.header``.
        """
        headers = checked(headers)
        self._need(self.state is NotifierState.RESP_WAIT, "the SUBSCRIBE was answered before")
        self._need(status >= 300, f"{status}: a subscription is refused with 300 to 699")
        self._fire(NotifierTrigger.REJECT)
        self.core.reply(
            self._transaction,
            self.request,
            status,
            now,
            headers=headers,
            to_tag=self.dialog.local_tag,
        )
        self._depart()

    def answer_only(self, now: float, headers: Rows) -> None:
        """Accept what wants no NOTIFY, with 200 (RFC 4488). Raises as `accept`."""
        self._need(self.state is NotifierState.RESP_WAIT, "the request was answered before")
        self._fire(NotifierTrigger.REJECT)
        rows = (("Contact", self.dialog.local_contact), *headers)
        tag = self.dialog.local_tag
        self.core.reply(self._transaction, self.request, 200, now, headers=rows, to_tag=tag)
        self._depart()

    def grant(self, now: float) -> None:
        """It is allowed: what was pending becomes active.

        Raises:
            TrunklineError: ``dialog.state``: it has ended, or was not answered yet.
        """
        self._need_running()
        self._granted = True
        self._fire(NotifierTrigger.GRANT)
        self._notify(now)

    def notify(self, now: float, content_type: str, body: bytes) -> None:
        """Tell the subscriber the state of the resource, all of it (4.2.2).

        Raises:
            TrunklineError: ``dialog.state``: it has ended, or was not answered yet.
        """
        self._need_running()
        self._type, self._body = content_type, body
        self._notify(now)

    def end(
        self,
        now: float,
        reason: str = "noresource",
        *,
        retry_after: int | None = None,
        body: bytes | None = None,
    ) -> None:
        """End it by a last NOTIFY; ``reason`` is one of section 4.1.3, ``body`` the last state.

        Raises:
            TrunklineError: ``dialog.state``: it has ended, or was not answered yet.
        """
        self._need_running()
        if body is not None:
            self._body = body
        self._finish(NotifierTrigger.END, reason, now, retry_after)

    def _need_running(self) -> None:
        running = self.state in (NotifierState.PENDING, NotifierState.ACTIVE)
        self._need(running, f"the subscription is {self.state}")

    def _need(self, allowed: bool, problem: str) -> None:
        if not allowed:
            raise TrunklineError("dialog.state", problem)

    # From the subscriber

    def on_request(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        """Take a SUBSCRIBE for this subscription: a refresh, or its end (4.2.1.4)."""
        if request.method != "SUBSCRIBE":
            return False
        event = event_of(request)
        if event is None or not same(event, self.event):
            return False
        try:
            self.dialog.refresh_target(request)
        except DecodeError:
            self.core.reply(transaction, request, 400, now)
            return True
        if self.state in (NotifierState.RESP_WAIT, NotifierState.TERMINATED):
            self.core.reply(transaction, request, 481, now)
            return True
        expires = self._asked(request)
        self._answer(transaction, request, expires, now, ())
        if expires == 0:
            self._finish(NotifierTrigger.END, "timeout", now)
        else:
            self._fire(NotifierTrigger.SUBSCRIBE)
            self._notify(now)
        return True

    def _asked(self, request: Request) -> int:
        """Seconds that the subscription lasts: no longer than asked for (4.2.1.1)."""
        asked = seconds_of(request, "expires")
        return self._longest if asked is None else min(asked, self._longest)

    def _answer(
        self,
        transaction: ServerTransaction,
        request: Request,
        expires: int,
        now: float,
        headers: Rows,
    ) -> None:
        self.expires_at = now + expires
        self.core.alarms.set(self, _EXPIRED, self.expires_at)
        rows = [("Contact", self.dialog.local_contact)]
        if request.method == "SUBSCRIBE":
            rows.append(("Expires", str(expires)))
        if request is self.request:
            rows += [("Record-Route", row) for row in request.headers.all("record-route")]
        self.core.reply(
            transaction,
            request,
            self._success,
            now,
            headers=(*rows, *self.core.capabilities.rows, *headers),
            to_tag=self.dialog.local_tag,
        )

    @property
    def _success(self) -> int:
        # 8.3.1: never 202 to SUBSCRIBE; RFC 3515 section 2.4.2: 202 to REFER.
        return 202 if self.request.method == "REFER" and self.state is _RESP_WAIT else 200

    # To the subscriber

    def _notify(self, now: float) -> None:
        if self._under_way is not None:
            self._changed = True
            return
        rows = [("Event", str(self.event)), ("Subscription-State", self._told(now))]
        rows.append(("Contact", self.dialog.local_contact))
        body = self._body if self._granted else b""  # 6.2: not before it is allowed
        if body:
            rows.append(("Content-Type", self._type))
        self._under_way = self.core.prepare_within(
            self.dialog,
            "NOTIFY",
            self._on_response,
            headers=rows,
            body=body,
            credentials=self.credentials,
        )
        self._under_way.begin(now)

    def _told(self, now: float) -> str:
        """The value of Subscription-State (4.2.2)."""
        if self.state is NotifierState.TERMINATED:
            after = "" if self._retry_after is None else f";retry-after={self._retry_after}"
            return f"terminated;reason={self._reason}{after}"
        left = max(int(self.expires_at - now), 0)
        return f"{self.state};expires={left}"

    def _on_response(self, outgoing: Outgoing, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            return
        self._under_way = None
        if status < 300:
            with contextlib.suppress(DecodeError):  # 12.2.1.2; a Contact that is none leaves it
                self.dialog.refresh_target(response)
        if status in FATAL or outgoing.source is not Source.PEER:
            if self.state is not NotifierState.TERMINATED:
                self._fire(NotifierTrigger.FAILED)
                self.core.emit(NotifierEnded(self, "failed", response))
            self._depart()
        elif self._changed:
            self._changed = False
            self._notify(now)
        elif self.state is NotifierState.TERMINATED:
            self._depart()

    def on_alarm(self, name: str, now: float) -> None:
        """It was not refreshed in time (4.2.1.4), or not answered."""
        if name == _EXPIRED:
            self._finish(NotifierTrigger.EXPIRED, "timeout", now)
        else:
            self.reject(408, now)

    def _finish(
        self, trigger: NotifierTrigger, reason: str, now: float, retry_after: int | None = None
    ) -> None:
        self._reason, self._retry_after = reason, retry_after
        self._fire(trigger)
        self.core.alarms.clear(self)
        self.core.emit(NotifierEnded(self, reason, None))
        self._notify(now)

    def _depart(self) -> None:
        self.core.alarms.clear(self)
        self.core.leave(self.dialog, self)

    def _fire(self, trigger: NotifierTrigger) -> None:
        row = NOTIFIER[self.state].get(trigger)
        if row is None:
            raise TrunklineError("dialog.state", f"{trigger} while {self.state}")
        self.state = NotifierState(row.next)


_RESP_WAIT: Final = NotifierState.RESP_WAIT
