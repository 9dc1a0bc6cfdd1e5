"""What a user agent tells its user.

A call of ours ends with one `Answered` or one `CallFailed`. A session that the user has been told
of ends with one `Ended`. A subscription that has begun ends with one `SubscriptionEnded` at who
subscribed, and one `NotifierEnded` at the notifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from trunkline.sip.message import Message, Request, Response
from trunkline.sip.sdp.description import SessionDescription
from trunkline.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from trunkline.sip.dialog.call import Call
    from trunkline.sip.dialog.notifier import Notifier
    from trunkline.sip.dialog.outgoing import Outgoing
    from trunkline.sip.dialog.publisher import Publisher
    from trunkline.sip.dialog.refer import Referral
    from trunkline.sip.dialog.session import Session
    from trunkline.sip.dialog.subscription import Subscriber, Subscription
    from trunkline.sip.dialog.subscription_table import SubscriberTrigger

__all__ = [
    "Answered",
    "CallFailed",
    "Cause",
    "Confirmed",
    "Ended",
    "Event",
    "IncomingCall",
    "Locate",
    "Notified",
    "NotifierEnded",
    "OfferAccepted",
    "OfferRejected",
    "OfferWithdrawn",
    "Offered",
    "Progress",
    "PublishFailed",
    "Published",
    "ReferArrived",
    "ReferProgress",
    "RequestArrived",
    "ResponseArrived",
    "SubscribeArrived",
    "SubscriptionEnded",
    "SubscriptionFailed",
]


class Cause(Enum):
    """Why a session ended; clauses are RFC 3261's unless another number stands there."""

    BYE = "the peer sent BYE (15.1.2)"
    HANG_UP = "we hung up (15.1.1)"
    CANCELLED = "the caller cancelled (9.2)"
    EXPIRED_INVITE = "the invitation expired (13.3.1)"
    REJECTED = "we rejected the call (13.3.1.3)"
    FAILED = "the call failed (13.2.2.3)"
    OTHER_BRANCH = "another branch answered (13.2.2.4)"
    REPLACED = "another call took its place (RFC 3891 3)"
    NO_ACK = "no ACK for 64*T1 (13.3.1.4)"
    NO_PRACK = "no PRACK for 64*T1 (RFC 3262 3)"
    LOST = "481, 408 or no response within the dialog (12.2.1.2)"
    NOT_REFRESHED = "the session was not refreshed in time (RFC 4028 10)"


@dataclass(slots=True)
class Locate:
    """The next hops for ``uri`` are wanted: look them up and call ``outgoing.located``."""

    outgoing: Outgoing
    uri: str


@dataclass(slots=True)
class IncomingCall:
    """An INVITE for a new session: ``progress``, ``accept`` or ``reject`` it."""

    session: Session
    request: Request
    offer: SessionDescription | None
    """None: the INVITE asks us for an offer (13.3.1)."""
    replaces: Session | None
    """The session that ends when we accept (RFC 3891 section 3)."""


@dataclass(slots=True)
class Progress:
    """A provisional response to an INVITE of ours, over 100."""

    call: Call | None
    """None: it was a re-INVITE."""
    session: Session | None
    """None: it had no tag, and so made no dialog."""
    response: Response
    answer: SessionDescription | None
    offer: SessionDescription | None
    """To be answered by ``session.answer``, which sends the PRACK (RFC 3262 section 5)."""


@dataclass(slots=True)
class Answered:
    """A 2xx to our call: the session has begun."""

    session: Session
    response: Response
    answer: SessionDescription | None
    """What the 2xx completed; None where an answer had come before, or none that can be read:
    then ``session.exchange.remote`` is None, and there is nothing to talk by."""
    offer: SessionDescription | None
    """To be answered by ``session.answer``, which sends the ACK (13.2.2.4)."""


@dataclass(slots=True)
class CallFailed:
    """Our call came to nothing. ``call.outgoing.source`` says if we made the response ourselves."""

    call: Call
    response: Response


@dataclass(slots=True)
class Confirmed:
    """The ACK to our 2xx arrived, for a call or a re-INVITE."""

    session: Session
    request: Request
    answer: SessionDescription | None
    """To the offer in our 2xx."""


@dataclass(slots=True)
class Offered:
    """The peer would change the session: ``session.accept`` or ``session.reject``."""

    session: Session
    request: Request
    """INVITE, UPDATE or PRACK; only an INVITE may wait for a person (RFC 3311 section 5.2)."""
    offer: SessionDescription | None
    """None: the re-INVITE asks us for an offer (14.1)."""


@dataclass(slots=True)
class OfferWithdrawn:
    """The peer's re-INVITE is over before we answered it; the session is as it was (14.2)."""

    session: Session
    cause: Cause
    """``CANCELLED``, ``EXPIRED_INVITE``, ``NO_PRACK`` or ``FAILED``."""
    message: Message | None
    """The CANCEL."""


@dataclass(slots=True)
class OfferAccepted:
    """The peer agreed to our re-INVITE or UPDATE, or answered the offer of a reliable 1xx."""

    session: Session
    message: Message
    """The 2xx; or the PRACK (RFC 3262 section 5)."""
    answer: SessionDescription | None
    offer: SessionDescription | None
    """Of a re-INVITE without an offer of ours: to be answered by ``session.answer``."""


@dataclass(slots=True)
class OfferRejected:
    """The peer did not agree; the session is as it was (14.1; RFC 3311 section 5.3)."""

    session: Session
    response: Response
    again: float | None
    """Seconds after which it is tried again by itself, after 491; else None."""


@dataclass(slots=True)
class Ended:
    """A session is over. ``message`` is what ended it, if a message did."""

    session: Session
    cause: Cause
    message: Message | None


@dataclass(slots=True)
class RequestArrived:
    """A request that is the user's to answer, by ``respond`` of the user agent."""

    transaction: ServerTransaction
    request: Request
    session: Session | None
    """None: outside of any session."""


@dataclass(slots=True)
class ResponseArrived:
    """A response to a request that the user sent; the last one is final."""

    outgoing: Outgoing
    response: Response
    session: Session | None


@dataclass(slots=True)
class SubscriptionFailed:
    """A SUBSCRIBE or REFER of ours came to nothing; 408 is of our making: Timer N."""

    subscriber: Subscriber
    response: Response


@dataclass(slots=True)
class Notified:
    """A NOTIFY for a subscription of ours; it has been answered. The first one begins it."""

    subscription: Subscription
    request: Request
    state: str
    """``"active"``, ``"pending"``, or ``"terminated"`` for the last one."""


@dataclass(slots=True)
class SubscriptionEnded:
    """A subscription of ours is over."""

    subscription: Subscription
    trigger: SubscriberTrigger
    reason: str | None
    """What the last NOTIFY gave for one."""
    again: float | None
    """Seconds after which to subscribe again (RFC 6665 section 4.1.3); None: do not."""
    message: Message | None


@dataclass(slots=True)
class SubscribeArrived:
    """Somebody subscribes: ``notifier.accept`` or ``notifier.reject``, without waiting."""

    notifier: Notifier
    request: Request


@dataclass(slots=True)
class NotifierEnded:
    """A subscription that we notified of is over."""

    notifier: Notifier
    reason: str
    """As in the last NOTIFY; ``"failed"``: the subscriber is gone, or refuses the NOTIFY."""
    response: Response | None


@dataclass(slots=True)
class ReferArrived:
    """We are to contact somebody: ``referral.accept`` or ``referral.reject``."""

    referral: Referral
    request: Request
    session: Session | None
    """The session that it is about, if it came within one."""


@dataclass(slots=True)
class ReferProgress:
    """What became of a reference of ours so far; the last one comes with `SubscriptionEnded`."""

    subscription: Subscription
    request: Request
    status: int
    """Of the response that the other end got; 0: the NOTIFY does not say."""
    reason: str


@dataclass(slots=True)
class Published:
    """A publication of ours was taken, refreshed or removed."""

    publisher: Publisher
    response: Response


@dataclass(slots=True)
class PublishFailed:
    """A publication of ours was refused, or nobody answered."""

    publisher: Publisher
    response: Response


Event: TypeAlias = (
    Locate
    | IncomingCall
    | Progress
    | Answered
    | CallFailed
    | Confirmed
    | Offered
    | OfferWithdrawn
    | OfferAccepted
    | OfferRejected
    | Ended
    | RequestArrived
    | ResponseArrived
    | SubscriptionFailed
    | Notified
    | SubscriptionEnded
    | SubscribeArrived
    | NotifierEnded
    | ReferArrived
    | ReferProgress
    | Published
    | PublishFailed
)
