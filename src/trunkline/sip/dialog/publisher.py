"""Event state that we publish: the event publication agent of RFC 3903 sections 4 and 5.

A `Publisher` keeps one publication at an event state compositor: it sends the state, refreshes it
before it expires, and begins anew where the compositor has forgotten it (412). One PUBLISH is under
way at a time; states that follow it at once are published as one, the last.
"""

from __future__ import annotations

import contextlib
from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.dialog.core import Core, seconds_of
from trunkline.sip.dialog.events import Published, PublishFailed
from trunkline.sip.dialog.outgoing import Outgoing
from trunkline.sip.headers import RetryAfter
from trunkline.sip.message import Request, Response

__all__ = ["Publisher"]

_REFRESH: Final = "refresh"
_EXPIRED: Final = "expired"
_REMOVED: Final = 0


class Publisher:
    """One publication of ours. ``user`` is whatever its user wants to find again with it."""

    def __init__(
        self, core: Core, request: Request, uri: str, expires: int, user: object = None
    ) -> None:
        self.core = core
        self.user = user
        self.etag: str | None = None
        """The entity-tag of the publication; None while there is none."""
        self.expires = expires
        """Seconds that are asked for."""
        self._request = request
        self._uri = uri
        self._credentials = core.credentials()
        self._number = 0
        self._type = ""
        self._body = b""
        self._under_way: Outgoing | None = None
        self._sent_body = False
        self._changed = False
        self._removing = False

    def publish(self, now: float, content_type: str, body: bytes) -> None:
        """Publish a state in the place of the one before (sections 4.2, 4.4)."""
        self._type, self._body = content_type, body
        self._removing = False
        self._changed = True
        self._next(now)

    def remove(self, now: float) -> None:
        """Remove what is published (section 4.5)."""
        self._removing = True
        self._changed = False
        self.core.alarms.clear(self)
        self._next(now)

    def on_alarm(self, name: str, now: float) -> None:
        """Refresh it (section 4.3); or the compositor has forgotten it (section 4.1)."""
        if name == _REFRESH:
            self._send(False, self.expires, now)
        else:
            self.etag = None

    def _next(self, now: float) -> None:
        if self._under_way is not None:  # section 4: not before the one before is answered
            return
        if self._removing:
            if self.etag is not None:
                self._send(False, _REMOVED, now)
        elif self._changed:
            self._changed = False
            self._send(True, self.expires, now)

    def _send(self, with_body: bool, expires: int, now: float) -> None:
        if self._under_way is not None:
            return
        self.core.alarms.clear(self, _REFRESH)
        self._number += 1
        request = self._request.copy()
        headers = request.headers
        headers.set("CSeq", f"{self._number} PUBLISH")
        headers.add("Expires", str(expires))
        if self.etag is not None:
            headers.add("SIP-If-Match", self.etag)
        if with_body:
            headers.add("Content-Type", self._type)
            request.body = self._body
        self._sent_body = with_body
        self._under_way = self.core.prepare(
            request, self._uri, self._on_response, self._count, self._credentials
        )
        self._under_way.begin(now)

    def _count(self) -> int:
        self._number += 1
        return self._number

    def _on_response(self, outgoing: Outgoing, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            return
        self._under_way = None
        if status < 300:
            self._taken(outgoing, response, now)
        elif status == 412 and "sip-if-match" in outgoing.request.headers:
            # section 5: the entity-tag is good for nothing any more
            self._forgotten()
            if not self._removing:
                self._send(True, self.expires, now)
                return
            self.core.emit(Published(self, response))  # it is not there: that was asked for
        elif status == 423 and self._longer(response):
            self._send(self._sent_body, self.expires, now)
            return
        else:
            self.core.emit(PublishFailed(self, response))
            self._refresh_again(response, now)
        self._next(now)

    def _refresh_again(self, response: Response, now: float) -> None:
        """What is published stays so for a while: a refresh is tried again until it is over."""
        end = self.core.alarms.at(self, _EXPIRED)
        if end is None or self._removing or self._sent_body:
            return
        left = end - now
        pause = left / 2
        with contextlib.suppress(DecodeError):
            asked = RetryAfter.parse(response.headers.get("retry-after") or "").seconds
            pause = asked if asked < left else pause
        if left > 1:
            self.core.alarms.set(self, _REFRESH, now + pause)

    def _forgotten(self) -> None:
        self.etag = None
        self.core.alarms.clear(self)

    def _taken(self, outgoing: Outgoing, response: Response, now: float) -> None:
        asked = outgoing.request.headers.get("expires")
        seconds = seconds_of(response, "expires")
        granted = self.expires if seconds is None else min(seconds, self.expires)
        if asked == str(_REMOVED) or granted == 0:  # section 6 step 6: it keeps nothing
            self._forgotten()
        else:
            self.etag = response.headers.get("sip-etag")
            early = min(granted / 2, self.core.timers.transaction)
            self.core.alarms.set(self, _EXPIRED, now + granted)
            self.core.alarms.set(self, _REFRESH, now + granted - early)
        self.core.emit(Published(self, response))

    def _longer(self, response: Response) -> bool:
        shortest = seconds_of(response, "min-expires")
        if shortest is None or shortest <= self.expires:
            return False
        self.expires = shortest
        return True
