"""Subscriptions at both ends, as two tables: the figures of RFC 6665 sections 4.1.2 and 4.2.2.

Also what a subscriber makes of the reason that its subscription ended for (section 4.1.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

__all__ = [
    "FATAL",
    "NOTIFIER",
    "SUBSCRIBER",
    "Again",
    "NotifierState",
    "NotifierTrigger",
    "Row",
    "SubscriberState",
    "SubscriberTrigger",
    "again",
]

FATAL: Final = frozenset({404, 405, 410, 416, *range(480, 486), 489, 501, 604})
"""Responses to a refresh or a NOTIFY that end the subscription (4.1.2.2, 4.2.2)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of a table: the next state, and the section that has it so."""

    next: str
    clause: str


class SubscriberState(StrEnum):
    """How far a subscription is at who subscribed."""

    NOTIFY_WAIT = "notify_wait"
    PENDING = "pending"
    ACTIVE = "active"
    TERMINATED = "terminated"


class SubscriberTrigger(StrEnum):
    """What a subscription reacts to at who subscribed."""

    ACTIVE = "NOTIFY, state=active"
    PENDING = "NOTIFY, state=pending"
    TERMINATED = "NOTIFY, state=terminated"
    TIMER_N = "Timer N"
    REFUSED = "404, 405, 410, 416, 480-485, 489, 501 or 604 to SUBSCRIBE"
    FAILED = "any other failure of SUBSCRIBE"
    EXPIRED = "its time is over, not refreshed"


_S, _T = SubscriberState, SubscriberTrigger

SUBSCRIBER: Mapping[SubscriberState, Mapping[SubscriberTrigger, Row]] = MappingProxyType(
    {
        _S.NOTIFY_WAIT: {
            _T.ACTIVE: Row(_S.ACTIVE, "4.1.2"),
            _T.PENDING: Row(_S.PENDING, "4.1.2"),
            _T.TERMINATED: Row(_S.TERMINATED, "4.1.2"),
            _T.TIMER_N: Row(_S.TERMINATED, "4.1.2.4"),
            _T.REFUSED: Row(_S.TERMINATED, "4.1.2.1"),
            _T.FAILED: Row(_S.TERMINATED, "4.1.2.1"),
        },
        _S.PENDING: {
            _T.ACTIVE: Row(_S.ACTIVE, "4.1.2"),
            _T.PENDING: Row(_S.PENDING, "4.1.3"),
            _T.TERMINATED: Row(_S.TERMINATED, "4.1.3"),
            _T.TIMER_N: Row(_S.TERMINATED, "4.1.2.2"),
            _T.REFUSED: Row(_S.TERMINATED, "4.1.2.2"),
            _T.FAILED: Row(_S.PENDING, "4.1.2.2"),
            _T.EXPIRED: Row(_S.TERMINATED, "3.1.1"),
        },
        _S.ACTIVE: {
            _T.ACTIVE: Row(_S.ACTIVE, "4.1.3"),
            _T.PENDING: Row(_S.PENDING, "4.1.3: not in the figure, taken as it is told"),
            _T.TERMINATED: Row(_S.TERMINATED, "4.1.3"),
            _T.TIMER_N: Row(_S.TERMINATED, "4.1.2.2"),
            _T.REFUSED: Row(_S.TERMINATED, "4.1.2.2"),
            _T.FAILED: Row(_S.ACTIVE, "4.1.2.2"),
            _T.EXPIRED: Row(_S.TERMINATED, "3.1.1"),
        },
        _S.TERMINATED: {},
    }
)
"""A subscription at who subscribed; clauses are RFC 6665's. Nothing moves one that has ended."""


class NotifierState(StrEnum):
    """How far a subscription is at the notifier."""

    RESP_WAIT = "resp_wait"
    PENDING = "pending"
    ACTIVE = "active"
    TERMINATED = "terminated"


class NotifierTrigger(StrEnum):
    """What a subscription reacts to at the notifier."""

    GRANT = "policy grants permission"
    WAIT = "policy needed"
    REJECT = "SUBSCRIBE refused"
    SUBSCRIBE = "SUBSCRIBE again"
    END = "terminated per local policy, or unsubscribed"
    EXPIRED = "subscription expires"
    FAILED = "NOTIFY failure"


_N, _U = NotifierState, NotifierTrigger

NOTIFIER: Mapping[NotifierState, Mapping[NotifierTrigger, Row]] = MappingProxyType(
    {
        _N.RESP_WAIT: {
            _U.GRANT: Row(_N.ACTIVE, "4.2.2"),
            _U.WAIT: Row(_N.PENDING, "4.2.1.3"),
            _U.REJECT: Row(_N.TERMINATED, "4.2.1.1"),
            _U.END: Row(_N.TERMINATED, "4.4.3"),
        },
        _N.PENDING: {
            _U.GRANT: Row(_N.ACTIVE, "4.2.2"),
            _U.SUBSCRIBE: Row(_N.PENDING, "4.2.1.4"),
            _U.END: Row(_N.TERMINATED, "4.2.1.3"),
            _U.EXPIRED: Row(_N.TERMINATED, "4.2.1.4"),
            _U.FAILED: Row(_N.TERMINATED, "4.2.2"),
        },
        _N.ACTIVE: {
            _U.GRANT: Row(_N.ACTIVE, "4.2.2"),
            _U.SUBSCRIBE: Row(_N.ACTIVE, "4.2.1.4"),
            _U.END: Row(_N.TERMINATED, "4.2.2"),
            _U.EXPIRED: Row(_N.TERMINATED, "4.2.1.4"),
            _U.FAILED: Row(_N.TERMINATED, "4.2.2"),
        },
        _N.TERMINATED: {},
    }
)
"""A subscription at its notifier; clauses are RFC 6665's."""


class Again(Enum):
    """When a subscriber may subscribe again (4.1.3)."""

    AT_ONCE = "at once"
    LATER = "after retry-after, else some time later"
    AFTER = "after retry-after, else at once"
    NEVER = "not at all"


LATER: Final = 60.0
"""Seconds that "some time later" is taken for."""

REASONS: Mapping[str, Again] = MappingProxyType(
    {
        "deactivated": Again.AT_ONCE,
        "probation": Again.LATER,
        "rejected": Again.NEVER,
        "timeout": Again.AT_ONCE,
        "giveup": Again.AFTER,
        "noresource": Again.NEVER,
        "invariant": Again.NEVER,
    }
)
"""The reasons of section 4.1.3; any other, and none, is `Again.AFTER`."""


def again(reason: str | None, retry_after: int | None) -> float | None:
    """Seconds after which to subscribe again by what a NOTIFY said; None: not at all (4.1.3)."""
    match REASONS.get(reason or "", Again.AFTER):
        case Again.AT_ONCE:
            return 0.0
        case Again.LATER:
            return LATER if retry_after is None else float(retry_after)
        case Again.AFTER:
            return 0.0 if retry_after is None else float(retry_after)
        case Again.NEVER:
            return None
