"""A call of ours: the INVITE outside of a dialog, and the dialogs that it makes (RFC 3261 13.2).

A proxy may fork it: each branch that answers makes a dialog of its own, early or confirmed. The
first 2xx is the call; a later one from another branch is acknowledged and ended with BYE, and so is
any after ``cancel``, and one that no dialog can be made of: that branch is then as one that failed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from trunkline.errors import DecodeError
from trunkline.sip.dialog.core import Core, Rows, checked
from trunkline.sip.dialog.dialog import Dialog
from trunkline.sip.dialog.dialog import Trigger as DialogTrigger
from trunkline.sip.dialog.events import CallFailed, Cause, Progress
from trunkline.sip.dialog.invite_client import ClientLeg, refuse_2xx
from trunkline.sip.dialog.outgoing import Outgoing, Source
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.dialog.session_timer import SessionTimer
from trunkline.sip.message import Request, Response, tag_of
from trunkline.sip.sdp import Exchange, Message, SessionDescription

__all__ = ["Call", "Watcher"]

Watcher: TypeAlias = "Callable[[Response, float], None]"
"""Is shown responses."""

MAX_BRANCHES: Final = 64
"""Dialogs of one call; a 1xx that would make another is dropped, a 2xx ended at once."""

_EXPIRES: Final = "expires"
_COMPLETED: Final = "64*T1"
_LEFT: Final = "left"


class Call:
    """One call of ours. ``user`` is whatever its user wants to find again with it."""

    def __init__(
        self,
        core: Core,
        request: Request,
        uri: str,
        offer: SessionDescription | None,
        timer: SessionTimer,
        user: object,
        watch: Watcher | None,
    ) -> None:
        self.core = core
        self._watch = watch
        self.timer = timer
        self.user = user
        self.credentials = core.credentials()
        self.sessions: dict[str, Session] = {}
        """By the peer's tag."""
        self.answered: Session | None = None
        """The session of the first 2xx."""
        self.ended = False
        """Answered or failed."""
        self._legs: dict[str, ClientLeg] = {}
        self._useless: dict[str, Outgoing] = {}
        """The ACKs to 2xx that no dialog could be made of, by the peer's tag."""
        self._completed = False
        """A 2xx came: no other will after 64*T1."""
        self._exchange = Exchange()
        self._exchange.send(Message.INVITE, offer)
        self._request = request
        self._uri = uri
        self._number = 1
        self._cause: Cause | None = None
        self.outgoing = self._prepare()
        """The INVITE as it was sent last."""

    def begin(self, now: float, expires: int | None = None) -> None:
        """Send the INVITE; after ``expires`` seconds without an answer it is cancelled (13.2.1)."""
        if expires is not None:
            self.core.alarms.set(self, _EXPIRES, now + expires)
        self.outgoing.begin(now)

    def cancel(self, now: float, *, cause: Cause = Cause.HANG_UP, headers: Rows = ()) -> None:
        """Give the call up (section 9.1, 15). No effect once it was answered or has failed.

        Raises:
            TrunklineError: ``sip.header``.
        """
        rows = checked(headers)
        if self.ended or self._cause is not None:
            return
        self._cause = cause
        self.outgoing.cancel(now, rows)

    def on_alarm(self, name: str, now: float) -> None:
        """Nobody answered in time, or nobody is left; or no further 2xx will come (13.2.2.4)."""
        if name != _COMPLETED:
            self.cancel(now)
            return
        for session in list(self.sessions.values()):
            session.on_failure(Cause.OTHER_BRANCH, None, now)
        self._no_success(now)

    def on_left(self, now: float) -> None:
        """An early dialog was ended by BYE; the INVITE is to be answered 487 soon (15.1.2)."""
        early = any(s.state is SessionState.EARLY for s in self.sessions.values())
        if not self.ended and not early:
            self.core.alarms.set(self, _LEFT, now + self.core.timers.transaction)

    def _prepare(self) -> Outgoing:
        return self.core.prepare(
            self._request, self._uri, self._on_response, self._next, self.credentials
        )

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _on_response(self, outgoing: Outgoing, response: Response, now: float) -> None:
        status = response.status
        if status <= 100 or outgoing is not self.outgoing:
            return
        if status >= 300:
            self._on_failure(response, now)
            return
        if status < 200:
            self._show(response, now)
        tag = tag_of(response.headers.get("to") or "") or ""
        session = self.sessions.get(tag)
        if status < 200 and not tag:
            if not self.ended:
                self.core.emit(Progress(self, None, response, None, None))
            return
        if session is None:
            session = self._session(tag, response)
        if session is None:
            self.core.counters.ignored += 1
            if status >= 200:
                self._on_useless(tag, response, now)
        elif status < 200:
            self._legs[tag].on_provisional(response, self, now)
        else:
            self._on_success(session, self._legs[tag], response, now)

    def _show(self, response: Response, now: float) -> None:
        if self._watch is not None and not self.ended:
            self._watch(response, now)

    def _session(self, tag: str, response: Response) -> Session | None:
        """A session for a new dialog (12.1.2)."""
        if len(self.sessions) >= MAX_BRANCHES or self.core.full:
            return None
        flow = self.outgoing.flow
        secure = flow is not None and flow.transport.secure
        try:
            dialog = Dialog.as_uac(self.outgoing.sent, response, secure=secure)
        except DecodeError:
            return None
        session = Session(
            self.core,
            dialog,
            self._exchange.fork(),
            self.timer.for_dialog(),
            self.credentials,
            self,
        )
        session.client = self._legs[tag] = ClientLeg(self.core, session, self.outgoing)
        session.told = response.status < 200
        if response.status < 200:
            dialog.fire(DialogTrigger.PROVISIONAL)
            self.core.alarms.clear(self, _LEFT)  # somebody is left after all
        self.core.join(dialog, session)
        self.sessions[tag] = session
        return session

    def _on_success(self, session: Session, leg: ClientLeg, response: Response, now: float) -> None:
        wanted = self._cause is None and not self.ended and session.state is SessionState.EARLY
        if wanted:
            self._show(response, now)
            self.answered = session
            session.told = True
            self._end()
        elif session is not self.answered:
            # 13.2.2.4, 15: the leg acknowledges it and ends its dialog
            session.on_failure(self._cause or Cause.OTHER_BRANCH, response, now)
        self._complete(now)
        leg.on_success(response, now)
        if self._cause is not None:
            self._no_success(now)

    def _on_useless(self, tag: str, response: Response, now: float) -> None:
        """A 2xx that no dialog can be made of, or none more: acknowledge it and end it (15)."""
        ack = self._useless.get(tag)
        if ack is not None:
            ack.send_again(now)
        elif len(self._useless) < MAX_BRANCHES:
            dialog = Dialog.to_end(self.outgoing.sent, response)
            self._useless[tag] = refuse_2xx(self.core, dialog, self.outgoing, response, now)
            self.core.within(dialog, "BYE", _nothing, now, credentials=self.credentials)
        self._complete(now)
        early = any(s.state is SessionState.EARLY for s in self.sessions.values())
        if self._cause is not None or not early:
            self._no_success(now)

    def _complete(self, now: float) -> None:
        if not self._completed:
            self._completed = True
            self.core.alarms.set(self, _COMPLETED, now + self.core.timers.transaction)

    def _no_success(self, now: float) -> None:
        """Every 2xx that came had to be ended, and no other will be taken."""
        if self.ended:
            return
        given_up = self._cause is not None or not self._useless
        status, source = (487, Source.CANCELLED) if given_up else (502, Source.UNUSABLE)
        self._fail(Response.answer(self.outgoing.sent, status), source, now)

    def _on_failure(self, response: Response, now: float) -> None:
        if self.ended:
            return
        again = response.status == 422 and self._cause is None and self.timer.too_small(response)
        for session in list(self.sessions.values()):
            session.on_failure(self._cause or Cause.FAILED, response, now)
        if not again:
            self._fail(response, self.outgoing.source, now)
            return
        self.sessions.clear()
        self._legs.clear()
        self._request.headers.remove("Min-SE")
        self._request.headers.remove("Session-Expires")
        for name, value in self.timer.request_rows():
            self._request.headers.add(name, value)
        self._request.headers.set("CSeq", f"{self._next()} INVITE")
        self.outgoing = self._prepare()
        self.outgoing.begin(now)

    def _fail(self, response: Response, source: Source, now: float) -> None:
        self.outgoing.source = source
        self._show(response, now)
        self._end()
        self.core.emit(CallFailed(self, response))

    def _end(self) -> None:
        self.ended = True
        self.core.alarms.clear(self, _EXPIRES, _LEFT)

    def __repr__(self) -> str:
        return f"<Call {self._request.call_id} {'ended' if self.ended else 'in progress'}>"


def _nothing(outgoing: Outgoing, response: Response, now: float) -> None:
    """For a BYE in a dialog that nobody keeps."""
