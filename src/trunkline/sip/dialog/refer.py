"""REFER: RFC 3515, with Referred-By (RFC 3892), Replaces in the reference (RFC 3891), RFC 4488.

A `Referral` is a REFER that we received: to be accepted or refused, and then told of by the
implicit subscription. A REFER of ours is a `Subscriber` (see `subscription`), whose NOTIFYs are
`ReferProgress`.

RFC 4488 (no implicit subscription) was not at hand: ``Refer-Sub: false`` is obeyed as it is known.
Left out: the token of Referred-By (RFC 3892 section 4), which is S/MIME.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from trunkline.errors import DecodeError
from trunkline.sip.dialog.core import Core, Rows
from trunkline.sip.dialog.notifier import Notifier
from trunkline.sip.dialog.replaces import replaces_value
from trunkline.sip.dialog.sipfrag import SIPFRAG, status_line
from trunkline.sip.dialog.subscription import REFER_LASTS
from trunkline.sip.dialog.subscription_table import NotifierState
from trunkline.sip.headers import NameAddr
from trunkline.sip.message import Request, Response
from trunkline.sip.uri import Uri

if TYPE_CHECKING:
    from trunkline.sip.dialog.dialog import Dialog
    from trunkline.sip.dialog.session import Session

__all__ = ["Reference", "Referral", "refer_to"]

# Header components of a reference that are taken: RFC 3261 section 19.1.5 warns of the others.
_TAKEN: Final = frozenset({"replaces", "require", "subject", "accept-contact", "reject-contact"})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PAUSE: Final = 1.0  # seconds between NOTIFYs of provisional responses: 3.10
_WAITING: Final = "waiting"


@dataclass(frozen=True, slots=True)
class Reference:
    """Whom to contact, and how: what a Refer-To says (section 2.1)."""

    uri: str
    """Without method and header components."""
    method: str
    """``INVITE`` unless the URI says otherwise; empty for a URI that is no SIP URI."""
    headers: tuple[tuple[str, str], ...]
    """Header components, those that are no danger (RFC 3261 section 19.1.5)."""

    @classmethod
    def of(cls, request: Request) -> Reference:
        """What the Refer-To of a REFER says.

        Raises:
            DecodeError: ``dialog.message``: none, several, or one that cannot be read.
        """
        values = request.headers.tokens("refer-to")
        if len(values) != 1:
            raise DecodeError("dialog.message", f"{len(values)} Refer-To values (RFC 3515 2.4.2)")
        try:
            uri = NameAddr.parse(values[0]).uri
            if not isinstance(uri, Uri):
                return cls(str(uri), "", ())
            method = (uri.params.get("method") or "INVITE").upper()
            plain = uri.without_param("method").evolve(headers="")
        except DecodeError as problem:
            raise DecodeError("dialog.message", f"Refer-To: {problem.message}") from problem
        rows = tuple((name, value) for name, value in uri.headers if name.lower() in _TAKEN)
        if any(_CONTROL.search(value) for _, value in rows):
            raise DecodeError("dialog.message", "Refer-To: a control character in a header")
        return cls(str(plain), method, rows)


def refer_to(uri: str, *, replaces: Dialog | None = None) -> str:
    """A Refer-To value: contact ``uri``, and take our place in the dialog ``replaces`` there."""
    if replaces is None:
        return f"<{uri}>"
    return f"<{uri}?Replaces={quote(replaces_value(replaces), safe='')}>"


class Referral:
    """A REFER that we received. ``user`` is whatever its user wants to find again with it."""

    def __init__(
        self, core: Core, notifier: Notifier, reference: Reference, session: Session | None
    ) -> None:
        self.core = core
        self.notifier = notifier
        """The implicit subscription."""
        self.reference = reference
        self.session = session
        """The session that it came within."""
        self.user: object = None
        self._quiet = False
        self._told_at = 0.0
        self._waiting: tuple[int, str] | None = None

    @property
    def request(self) -> Request:
        """The REFER."""
        return self.notifier.request

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Rows for the request that it asks for: of the URI, and Referred-By (RFC 3892 2.2)."""
        by = [("Referred-By", value) for value in self.request.headers.all("referred-by")]
        return [*self.reference.headers, *by]

    def accept(self, now: float, *, longest: int = REFER_LASTS, headers: Rows = ()) -> None:
        """Accept it; the NOTIFY of 100 follows at once (section 2.4.4).

        Raises:
            TrunklineError: ``dialog.state``: it was answered before.
        """
        if (self.request.headers.get("refer-sub") or "").lower().startswith("false"):
            self._quiet = True
            self.notifier.answer_only(now, [("Refer-Sub", "false"), *headers])
            return
        self._told_at = now
        body = status_line(100)
        self.notifier.accept(now, content_type=SIPFRAG, body=body, longest=longest, headers=headers)

    def reject(self, status: int, now: float, *, headers: Rows = ()) -> None:
        """Refuse it, with 300 to 699 (section 2.4.2). Raises as `accept`."""
        self.notifier.reject(status, now, headers=headers)

    def report(self, status: int, now: float, reason: str = "") -> None:
        """Tell what became of the reference so far; a final status is the end (2.4.5, 2.4.7).

        Provisional ones that follow each other within a second are told as one (3.10). Nothing
        is told to who has unsubscribed.
        """
        if self._quiet or self.notifier.state is not NotifierState.ACTIVE:
            return
        if status >= 200:
            self.core.alarms.clear(self)
            self.notifier.end(now, "noresource", body=status_line(status, reason))
        elif now - self._told_at >= _PAUSE:
            self._tell(status, reason, now)
        else:
            self._waiting = (status, reason)
            self.core.alarms.set(self, _WAITING, self._told_at + _PAUSE)

    def on_alarm(self, name: str, now: float) -> None:
        """A second has passed."""
        if self._waiting is not None and self.notifier.state is NotifierState.ACTIVE:
            self._tell(*self._waiting, now)

    def follow(self, response: Response, now: float) -> None:
        """Report a response to the request that it asked for."""
        if response.status > 100:
            self.report(response.status, now, response.reason)

    def _tell(self, status: int, reason: str, now: float) -> None:
        self._waiting = None
        self._told_at = now
        self.notifier.notify(now, SIPFRAG, status_line(status, reason))
