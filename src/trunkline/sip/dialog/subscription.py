"""Subscriptions at who subscribed: RFC 6665 section 4.1, and those that REFER makes (RFC 3515).

A `Subscriber` is one SUBSCRIBE outside of a dialog (or one REFER) and what becomes of it: each
notifier that it reached makes a `Subscription`, in a dialog of its own, by its first NOTIFY. Each
is refreshed by itself before its time is over.

Left out: subscriptions of ours that share the dialog of a session (4.5.2 has it for compatibility
only), but for the implicit one of REFER.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from trunkline.errors import DecodeError
from trunkline.sip.dialog.core import Core, event_of, seconds_of
from trunkline.sip.dialog.dialog import Dialog
from trunkline.sip.dialog.dialog import Trigger as DialogTrigger
from trunkline.sip.dialog.events import (
    Notified,
    ReferProgress,
    ResponseArrived,
    SubscriptionEnded,
    SubscriptionFailed,
)
from trunkline.sip.dialog.outgoing import Outgoing, Source
from trunkline.sip.dialog.sipfrag import status_of
from trunkline.sip.dialog.subscription_table import (
    FATAL,
    SUBSCRIBER,
    SubscriberState,
    SubscriberTrigger,
    again,
)
from trunkline.sip.headers import Event, SubscriptionState
from trunkline.sip.message import Message, Request, Response, tag_of
from trunkline.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from trunkline.sip.dialog.session import Session

__all__ = ["Subscriber", "Subscription"]

REFER_LASTS: Final = 300
"""Seconds that the subscription of a REFER lasts unless the NOTIFY says otherwise: longer than a
call may ring (RFC 3515 section 3.4)."""
MAX_NOTIFIERS: Final = 64
"""Subscriptions of one SUBSCRIBE; a NOTIFY that would make another is answered 481."""

_TIMER_N: Final = "Timer N"
_REFRESH: Final = "refresh"
_EXPIRED: Final = "expired"


class Subscriber:
    """One SUBSCRIBE or REFER of ours. ``user`` is whatever its user wants to find with it."""

    def __init__(
        self,
        core: Core,
        request: Request,
        event: Event,
        expires: int,
        accept: tuple[str, ...],
        user: object = None,
        session: Session | None = None,
    ) -> None:
        self.core = core
        self.event = event
        self.accept = accept
        self.user = user
        self.session = session
        """The session in whose dialog a REFER was sent."""
        self.credentials = core.credentials() if session is None else session.credentials
        self.subscriptions: list[Subscription] = []
        self.expires = expires
        """Seconds that were asked for."""
        self.waiting = True
        """Timer N runs: notifiers may still come (4.1.2.4)."""
        self.heard = False
        """A NOTIFY came: it did not fail, whatever became of its subscriptions since."""
        self._request = request
        self._number = 1
        self._leaving = False
        self.outgoing: Outgoing | None = None
        """The request as it was sent last."""

    # Outside of a dialog

    def begin(self, uri: str, now: float) -> None:
        """Send the request towards ``uri``."""
        self._start_timer_n(now)
        self.core.subscribers[self._request.call_id, self._local_tag] = self
        self.outgoing = self.core.prepare(
            self._request, uri, self._on_response, self._next, self.credentials
        )
        self.outgoing.begin(now)

    def begin_within(self, dialog: Dialog, now: float) -> None:
        """Send the REFER in the dialog of ``session``; NOTIFY will come there."""
        self._start_timer_n(now)
        subscription = Subscription(self, dialog, self._request, now)
        self.subscriptions.append(subscription)
        self.core.join(dialog, subscription)
        self.outgoing = self.core.prepare(
            self._request, dialog.next_hop, self._on_response, dialog.next_seq, self.credentials
        )
        self.outgoing.begin(now)

    @property
    def _local_tag(self) -> str:
        return tag_of(self._request.headers.get("from") or "") or ""

    def unsubscribe(self, now: float) -> None:
        """End all its subscriptions (4.1.2.3), those to come too."""
        self._leaving = True
        for subscription in list(self.subscriptions):
            subscription.unsubscribe(now)

    def _start_timer_n(self, now: float) -> None:
        self.core.alarms.set(self, _TIMER_N, now + self.core.timers.transaction)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _on_response(self, outgoing: Outgoing, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            return
        if status < 300:
            if self._request.method == "REFER":
                self.core.emit(ResponseArrived(outgoing, response, self.session))
                if (response.headers.get("refer-sub") or "").lower().startswith("false"):
                    self._give_up(None)  # RFC 4488: nothing will be told
            expires = seconds_of(response, "expires")
            for subscription in self.subscriptions:
                if expires is not None and subscription.dialog.remote_tag == tag_of(
                    response.headers.get("to") or ""
                ):
                    subscription.last(expires, now)
            if expires is not None:
                self.expires = min(self.expires, expires)
            return
        if status == 423 and self.session is None:
            shortest = seconds_of(response, "min-expires")
            if shortest is not None and shortest > self.expires:
                self.expires = shortest
                self._request.headers.set("Expires", str(shortest))
                self._request.headers.set("CSeq", f"{self._next()} {self._request.method}")
                self.begin(outgoing.uri, now)
                return
        if outgoing.source is Source.TIMEOUT and self.heard:
            return  # a NOTIFY says more than a response that did not come
        self._give_up(response)

    def _give_up(self, response: Response | None) -> None:
        """No notifier will come any more."""
        if not self.waiting:
            return
        self.waiting = False
        self.core.alarms.clear(self)
        self.core.subscribers.pop((self._request.call_id, self._local_tag), None)
        for subscription in list(self.subscriptions):
            if subscription.state is SubscriberState.NOTIFY_WAIT:
                subscription.leave()
        if response is not None and not self.heard:
            self.core.emit(SubscriptionFailed(self, response))

    def on_alarm(self, name: str, now: float) -> None:
        """Timer N (4.1.2.4)."""
        assert self.outgoing is not None
        self._give_up(Response.answer(self.outgoing.sent, 408))

    def on_notify(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        """A NOTIFY from a notifier that has not been heard yet (4.4.1); False: it is not ours."""
        event = event_of(request)
        if event is None or not same(event, self.event):
            return False
        if len(self.subscriptions) >= MAX_NOTIFIERS or self.core.full:
            return False
        assert self.outgoing is not None
        try:
            dialog = Dialog.as_subscriber(self.outgoing.sent, request)
        except DecodeError:
            self.core.reply(transaction, request, 400, now)
            return True
        dialog.fire(DialogTrigger.SUCCESS)
        subscription = Subscription(self, dialog, self._request, now)
        self.core.join(dialog, subscription)
        self.subscriptions.append(subscription)
        subscription.on_request(transaction, request, now)
        if self._leaving:
            subscription.unsubscribe(now)
        return True


class Subscription:
    """One subscription of ours, at one notifier."""

    def __init__(
        self, subscriber: Subscriber, dialog: Dialog, request: Request, now: float
    ) -> None:
        self.subscriber = subscriber
        self.core = subscriber.core
        self.dialog = dialog
        self.state = SubscriberState.NOTIFY_WAIT
        self.expires_at = now + subscriber.expires
        """When it ends unless it is refreshed."""
        event = subscriber.event
        self._events: tuple[Event, ...] = (event,)
        if request.method == "REFER":
            number = (request.headers.get("cseq") or "").split()[0]
            self._events = (event, event.with_params({"id": number}))
        self._event = event
        self._ending = False

    def __repr__(self) -> str:
        return f"<Subscription {self.state} {self._event} {self.dialog.id}>"

    # What its user calls

    def refresh(self, now: float, expires: int | None = None) -> None:
        """Subscribe again, for as long as before or for ``expires`` seconds (4.1.2.2).

        Raises:
            TrunklineError: ``dialog.terminated``: it has ended.
        """
        self._subscribe(self.subscriber.expires if expires is None else expires, now)

    def unsubscribe(self, now: float) -> None:
        """End it; the notifier sends a last NOTIFY (4.1.2.3). No effect once it has ended."""
        if self.state is not SubscriberState.TERMINATED and not self._ending:
            self._ending = True
            self._subscribe(0, now)

    def _subscribe(self, expires: int, now: float) -> None:
        subscriber = self.subscriber
        rows = [("Event", str(self._event)), ("Expires", str(expires))]
        if subscriber.accept:
            rows.append(("Accept", ", ".join(subscriber.accept)))
        self.core.alarms.clear(self, _REFRESH)
        self.core.alarms.set(self, _TIMER_N, now + self.core.timers.transaction)
        self.core.within(
            self.dialog,
            "SUBSCRIBE",
            self._on_response,
            now,
            headers=rows,
            credentials=subscriber.credentials,
        )

    def _on_response(self, outgoing: Outgoing, response: Response, now: float) -> None:
        status = response.status
        if status < 200 or self.state is SubscriberState.TERMINATED:
            return
        if status < 300:
            with contextlib.suppress(DecodeError):  # 12.2.1.2; a Contact that is none leaves it
                self.dialog.refresh_target(response)
            if status == 204:  # RFC 5839: no NOTIFY will come
                self.core.alarms.clear(self, _TIMER_N)
            expires = seconds_of(response, "expires")
            if expires is not None and not self._ending:
                self.last(expires, now)
        elif status == 423 and not self._ending:
            shortest = seconds_of(response, "min-expires")
            if shortest is not None and shortest > self.subscriber.expires:
                self.subscriber.expires = shortest
                self._subscribe(shortest, now)
        elif status in FATAL:
            self._end(SubscriberTrigger.REFUSED, response, None, None)
        elif outgoing.source is not Source.TIMEOUT:  # Timer N decides over that
            self._fire(SubscriberTrigger.FAILED)
            self.core.alarms.clear(self, _TIMER_N)
            pause = (self.expires_at - now) / 2
            if self._ending:  # 4.1.2.3: the notifier goes on until it hears of it
                pause = min(pause, self.core.timers.transaction)
            if pause > 0.5:
                self.core.alarms.set(self, _REFRESH, now + pause)

    def last(self, seconds: int, now: float) -> None:
        """It lasts so long from now on: by a 2xx to SUBSCRIBE, or a NOTIFY."""
        if self.state is SubscriberState.TERMINATED:
            return
        self.expires_at = now + seconds
        self.core.alarms.set(self, _EXPIRED, self.expires_at)
        if not self._ending and self._event.package != "refer":
            # so that a refresh may take 64*T1, and the NOTIFY to it be on its way
            timers = self.core.timers
            early = min(seconds / 2, timers.transaction + timers.t4)
            self.core.alarms.set(self, _REFRESH, self.expires_at - early)

    # From the notifier

    def on_request(self, transaction: ServerTransaction, request: Request, now: float) -> bool:
        """Take a NOTIFY for this subscription (4.1.3)."""
        event = event_of(request)
        if request.method != "NOTIFY" or event is None:
            return False
        if not any(same(event, known) for known in self._events):
            return False
        try:
            told = SubscriptionState.parse(request.headers.get("subscription-state") or "")
            self.dialog.refresh_target(request)
        except DecodeError:
            self.core.reply(transaction, request, 400, now)
            if self.state is SubscriberState.NOTIFY_WAIT and self.subscriber.session is None:
                self.leave()
            return True
        self._event = next(known for known in self._events if same(event, known))
        contact = [("Contact", self.dialog.local_contact)]
        self.core.reply(transaction, request, 200, now, headers=contact)
        self.core.alarms.clear(self, _TIMER_N)
        self.subscriber.heard = True
        if self.subscriber.session is not None:
            self.core.alarms.clear(self.subscriber)  # there is one notifier in this dialog
        if told.state == "terminated":
            self._tell(request, "terminated")
            again_after = again(told.reason, told.retry_after)
            self._end(SubscriberTrigger.TERMINATED, request, told.reason, again_after)
            return True
        pending = told.state == "pending"
        self._fire(SubscriberTrigger.PENDING if pending else SubscriberTrigger.ACTIVE)
        expires = self.subscriber.expires if told.expires is None else told.expires
        if told.expires is not None or self.core.alarms.at(self, _EXPIRED) is None:
            self.last(expires, now)
        self._tell(request, str(self.state))
        return True

    def _tell(self, request: Request, state: str) -> None:
        if self._event.package == "refer":
            status, reason = status_of(request.body)
            self.core.emit(ReferProgress(self, request, status, reason))
        else:
            self.core.emit(Notified(self, request, state))

    # Time

    def on_alarm(self, name: str, now: float) -> None:
        """Refresh; or Timer N, or its own time, is over."""
        if name == _REFRESH:
            self._subscribe(0 if self._ending else self.subscriber.expires, now)
        elif name == _TIMER_N:
            self._end(SubscriberTrigger.TIMER_N, None, None, 0.0)
        else:
            self._end(SubscriberTrigger.EXPIRED, None, None, 0.0)

    def leave(self) -> None:
        """It never began."""
        self.state = SubscriberState.TERMINATED
        self._depart()

    def _end(
        self,
        trigger: SubscriberTrigger,
        message: Message | None,
        reason: str | None,
        again_after: float | None,
    ) -> None:
        self._fire(trigger)
        self._depart()
        wanted = None if self._ending else again_after
        self.core.emit(SubscriptionEnded(self, trigger, reason, wanted, message))

    def _depart(self) -> None:
        self.core.alarms.clear(self)
        self.core.leave(self.dialog, self)
        if self in self.subscriber.subscriptions:
            self.subscriber.subscriptions.remove(self)

    def _fire(self, trigger: SubscriberTrigger) -> None:
        row = SUBSCRIBER[self.state].get(trigger)
        if row is not None:
            self.state = SubscriberState(row.next)


def same(event: Event, other: Event) -> bool:
    """Whether two Event values name the same subscription: octet by octet (8.2.1)."""
    return (event.value, event.id) == (other.value, other.id)
