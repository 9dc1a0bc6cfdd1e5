"""Session timers: RFC 4028. When a session has to be refreshed, by whom, and when it is given up.

`SessionTimer` has the state of one session and the rules for both ends of each refresh; the session
keeps the two alarms. A refresh is an INVITE or UPDATE like any other, and any INVITE or UPDATE
refreshes (section 7.2).

Left out: the proxy's part (section 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.headers import MinSE, SessionExpires
from trunkline.sip.message import Message, Request, Response

__all__ = ["REFRESHER", "SHORTEST", "SessionTimer"]

SHORTEST: Final = 90
"""The shortest interval, in seconds (sections 4, 5)."""

REFRESHER: Mapping[tuple[bool, str | None], tuple[str, ...]] = MappingProxyType(
    {
        (False, None): ("uas",),
        (False, "uac"): (),
        (False, "uas"): (),
        (True, None): ("uas", "uac"),
        (True, "uac"): ("uac",),
        (True, "uas"): ("uas",),
    }
)
"""Table 2 (section 9): whether the UAC supports the extension and whom its request names, to whom
the 2xx may name. Nobody: the combination is not allowed, and is taken as if none had been named."""


class SessionTimer:
    """The session timer of one dialog, or of a call that has none yet."""

    __slots__ = ("_asked", "expires", "interval", "min_se", "ours", "refreshing", "wanted")

    wanted: int | None
    """The interval that we would like, in seconds; None asks for none."""
    ours: int
    """The shortest interval that we accept."""
    min_se: int
    """The largest Min-SE that we were told of; 0 for none (section 7.4)."""
    interval: int | None
    """Of the session, as the last 2xx had it; None: it does not expire."""
    refreshing: bool
    """Whether the refreshes are ours."""
    expires: float
    """When the session expires, with an interval."""

    def __init__(self, wanted: int | None, ours: int) -> None:
        self.wanted = wanted
        self.ours = max(ours, SHORTEST)
        self.min_se = 0
        self.interval = None
        self.refreshing = False
        self.expires = 0.0
        self._asked: int | None = None

    def for_dialog(self) -> SessionTimer:
        """The timer of a dialog that the call made: Min-SE begins anew (section 7.4)."""
        other = SessionTimer(self.wanted, self.ours)
        other._asked = self._asked
        return other

    # As UAC

    def request_rows(self) -> list[tuple[str, str]]:
        """Rows for an INVITE or UPDATE of ours (sections 7.1, 7.4)."""
        rows = []
        if self.min_se:
            rows.append(("Min-SE", str(self.min_se)))
        if self.interval is not None:
            self._asked = max(self.interval, self.min_se, SHORTEST)
            refresher = ";refresher=uac" if self.refreshing else ";refresher=uas"
        elif self.wanted is not None:
            self._asked = max(self.wanted, self.min_se, self.ours)
            refresher = ""
        else:
            self._asked = None
            return rows
        return [*rows, ("Session-Expires", f"{self._asked}{refresher}")]

    def too_small(self, response: Response) -> bool:
        """Take the Min-SE of a 422; whether to try again with it (sections 7.3, 7.4)."""
        value = _min_se(response)
        if value <= max(self.min_se, SHORTEST - 1):
            return False  # the same error once more, or none that says what to do
        self.min_se = value
        return True

    def confirmed(self, response: Response, now: float) -> None:
        """Take the 2xx to an INVITE or UPDATE of ours (section 7.2)."""
        header = _session_expires(response)
        if header is not None:
            self._start(max(header.seconds, SHORTEST), header.refresher != "uas", now)
        elif self._asked is not None and not _supported(response):
            # The UAS knows no timers: this one is for our benefit alone, and ours to refresh.
            self._start(self._asked, True, now)
        else:
            self.interval = None

    # As UAS

    def refusal(self, request: Request) -> int | None:
        """The Min-SE of the 422 that ``request`` has to be answered with, None if it is fine."""
        header = _session_expires(request)
        if header is not None and _supported(request) and header.seconds < self.ours:
            return self.ours
        return None

    def heard(self, request: Request) -> None:
        """Take the Min-SE of a refresh that we received (section 7.4)."""
        self.min_se = max(self.min_se, _min_se(request))

    def accept(self, request: Request, now: float) -> list[tuple[str, str]]:
        """Rows for our 2xx to ``request``; the session lasts as they say (section 9)."""
        header = _session_expires(request)
        supported = _supported(request)
        floor = max(_min_se(request), SHORTEST)
        if header is not None:
            # Never more than asked for; and where it cannot be refused with 422, never so little
            # that it would be a burden: the proxies' Min-SE is the limit (section 11.1).
            seconds = max(header.seconds, floor)
            if self.wanted is not None:
                seconds = max(floor, min(seconds, max(self.wanted, self.ours)))
        elif self.wanted is not None and (supported or self.interval is not None):
            seconds = max(self.wanted, self.ours, floor)
        else:
            self.interval = None
            return []
        asked = header.refresher if header is not None else None
        allowed = REFRESHER.get((supported, asked)) or REFRESHER[supported, None]
        # "uac" where we may choose: who calls keeps the call.
        refresher = "uac" if "uac" in allowed else "uas"
        self._start(seconds, refresher == "uas", now)
        rows = [("Session-Expires", f"{seconds};refresher={refresher}")]
        return [("Require", "timer"), *rows] if supported else rows

    def _start(self, seconds: int, refreshing: bool, now: float) -> None:
        self.interval = seconds
        self.refreshing = refreshing
        self.expires = now + self.interval

    # Both

    @property
    def refresh_at(self) -> float | None:
        """When to refresh: half way (sections 7.2, 9); None: not ours to do."""
        if self.interval is None or not self.refreshing:
            return None
        return self.expires - self.interval / 2

    @property
    def give_up_at(self) -> float | None:
        """When to send BYE: before it expires by a third, at most 32 s (section 10).

        For both ends: who refreshes and has had no 2xx until then will not get one in time.
        """
        if self.interval is None:
            return None
        return self.expires - min(32.0, self.interval / 3)


def _session_expires(message: Message) -> SessionExpires | None:
    value = message.headers.get("session-expires")
    try:
        return None if value is None else SessionExpires.parse(value)
    except DecodeError:
        return None  # 8.2.2: what is malformed and not needed is ignored


def _min_se(message: Message) -> int:
    value = message.headers.get("min-se")
    try:
        return 0 if value is None else MinSE.parse(value).seconds
    except DecodeError:
        return 0


def _supported(message: Message) -> bool:
    return any(token.lower() == "timer" for token in message.headers.tokens("supported"))
