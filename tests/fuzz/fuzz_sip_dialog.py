"""A user agent: whatever arrives, no exception, messages that parse, and nothing kept for ever.

The input is a series of messages, ``\\x1e`` between them; ``@`` and a digit in front of one lets so
many seconds (squared) pass first. They meet a user agent with a call out, a subscription and a
publication, whose user accepts, answers, refuses and hangs up as the octets have it. In the end
everybody hangs up, time passes, and nothing must be left.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

from trunkline.errors import TrunklineError
from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import (
    Answered,
    Event,
    IncomingCall,
    Locate,
    OfferAccepted,
    Offered,
    Progress,
    ReferArrived,
    RequestArrived,
    SubscribeArrived,
)
from trunkline.sip.dialog.notifier import Notifier
from trunkline.sip.dialog.refer import refer_to
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.subscription import Subscription
from trunkline.sip.message import parse
from trunkline.sip.proxy import Identity, Listener, listed
from trunkline.sip.sdp import SessionDescription
from trunkline.sip.sdp import parse as parse_sdp
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.ua import UserAgent

US, THEM = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
FLOW = Flow(Transport.UDP, THEM, US)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
    b"m=audio 4 RTP/AVP 0\r\n"
)
LIMIT = 8


def _message(start: str, rows: str, body: bytes = b"") -> bytes:
    lines = rows.replace("; ", "\r\n")
    typed = "Content-Type: application/sdp\r\n" if body else ""
    head = f"{start}\r\n{lines}\r\n{typed}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _request(method: str, number: int, rows: str = "", to: str = "", body: bytes = b"") -> bytes:
    """A request of the peer's own dialog, Call-ID x."""
    tag = f";tag={to}" if to else ""
    more = f"; {rows}" if rows else ""
    return _message(
        f"{method} sip:us@192.0.2.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{method}{number}; Max-Forwards: 70; "
        f"From: <sip:them@192.0.2.2>;tag=t; To: <sip:us@192.0.2.1>{tag}; Call-ID: x; "
        f"CSeq: {number} {method}; Contact: <sip:them@192.0.2.2>{more}",
        body,
    )


def _response(status: int, branch: str, cseq: str, rows: str = "", body: bytes = b"") -> bytes:
    """A response to the call that the user agent begins with: its tag is t0, its Call-ID t1."""
    more = f"; {rows}" if rows else ""
    return _message(
        f"SIP/2.0 {status} X",
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch};rport; "
        f"From: <sip:us@192.0.2.1>;tag=t0; To: <sip:them@192.0.2.2>;tag=p; Call-ID: t1; "
        f"CSeq: {cseq}; Contact: <sip:them@192.0.2.2>{more}",
        body,
    )


_INVITE = _request("INVITE", 1, "Supported: 100rel, timer", body=SDP)
_OURS = "t9"  # the tag of our side in the dialog of _INVITE
_NOTIFY = _message(
    "NOTIFY sip:us@192.0.2.1 SIP/2.0",
    "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKn; From: <sip:them@192.0.2.2>;tag=q; "
    "To: <sip:us@192.0.2.1>;tag=t3; Call-ID: t4; CSeq: 1 NOTIFY; Contact: <sip:them@192.0.2.2>; "
    "Event: presence; Subscription-State: active;expires=100",
)

SEEDS = [
    b"\x1e".join((b"A" + _INVITE, _request("ACK", 1, to=_OURS), _request("BYE", 2, to=_OURS))),
    b"\x1e".join(
        (b"P" + _INVITE, _request("PRACK", 2, "RAck: 1073741824 1 INVITE", to=_OURS), b"@3")
    ),
    b"\x1e".join((b"C" + _INVITE, _request("CANCEL", 1), b"@9")),
    b"\x1e".join(
        (
            *(b"A" + _INVITE, _request("ACK", 1, to=_OURS)),
            *(_request("INVITE", 2, to=_OURS, body=SDP), _request("ACK", 2, to=_OURS)),
            _request("UPDATE", 3, "Session-Expires: 90;refresher=uas", to=_OURS, body=SDP),
            _request("REFER", 4, "Refer-To: <sip:x@192.0.2.2>", to=_OURS),
            _request("INFO", 5, to=_OURS),
        )
    ),
    b"\x1e".join(
        (
            b"A" + _response(180, "t2", "1 INVITE", "Require: 100rel; RSeq: 5; Allow: UPDATE"),
            _response(200, "t2", "1 INVITE", "Session-Expires: 90;refresher=uac", SDP),
            b"@7",
            _response(486, "t2", "1 INVITE"),
        )
    ),
    b"\x1e".join((b"R" + _response(422, "t2", "1 INVITE", "Min-SE: 4000"), b"@1")),
    b"\x1e".join((b"S" + _NOTIFY, b"@9", _NOTIFY)),
    b"\x1e".join(
        (
            b"S" + _request("SUBSCRIBE", 1, "Event: presence; Expires: 100"),
            _request("SUBSCRIBE", 2, "Event: presence; Expires: 0", to=_OURS),
        )
    ),
    b"\x1e".join((b"R" + _request("REFER", 1, "Refer-To: <sip:x@192.0.2.2?Replaces=a>"), b"@2")),
    b"\x1e".join((b"O" + _request("OPTIONS", 1), _request("MESSAGE", 2), _request("PUBLISH", 3))),
    b"A" + _request("INVITE", 1, "Replaces: t1;to-tag=t0;from-tag=p", body=SDP),
]


class _Peer:
    """The user of the user agent under test."""

    def __init__(self, choices: bytes) -> None:
        numbers = itertools.count()
        self.choices = itertools.cycle(choices or b"A")
        self.now = 0.0
        self.ua = UserAgent(
            TransactionLayer(lambda: f"t{next(numbers)}", limit=200),
            Identity([Listener(Transport.UDP, US, US)]),
            lambda uri, now: None if "lookup" in uri else listed(FLOW),
            token=lambda: f"t{next(numbers)}",
            draw=lambda: 0.5,
            capabilities=Capabilities(events=("presence",)),
            limit=LIMIT,
        )
        offer = parse_sdp(SDP)
        self.call = self.ua.invite("sip:them@192.0.2.2", "sip:us@192.0.2.1", 0.0, offer=offer)
        self.subscriber = self.ua.subscribe(
            "sip:them@192.0.2.2", "sip:us@192.0.2.1", "presence", 0.0, expires=100
        )
        self.publisher = self.ua.publish(
            *("sip:them@192.0.2.2", "sip:us@192.0.2.1", "presence", 0.0),
            content_type="text/plain",
            body=b"x",
        )

    def take(self, events: list[Event]) -> None:
        for event in events:
            with contextlib.suppress(TrunklineError):
                self.react(event)
        for _, data in self.ua.data_to_send():
            parse(data)

    def react(self, event: Event) -> None:
        choice = next(self.choices)
        match event:
            case IncomingCall(session):
                self.incoming(session, choice)
            case Offered(session) | OfferAccepted(session) | Answered(session):
                self.talking(session, choice, answer=True)
            case Progress(session=Session() as session):
                self.talking(session, choice, answer=event.offer is not None)
            case SubscribeArrived(notifier):
                if choice & 1:
                    pending = choice & 2 > 0
                    notifier.accept(self.now, content_type="text/plain", body=b"x", pending=pending)
                else:
                    notifier.reject(403, self.now)
            case ReferArrived(referral):
                if choice & 1:
                    referral.accept(self.now)
                    self.ua.invite_referred(referral, "sip:us@192.0.2.1", self.now)
                else:
                    referral.reject(603, self.now)
            case RequestArrived(transaction, request):
                self.ua.respond(transaction, request, 200 + choice % 400, self.now)
            case Locate(outgoing):
                outgoing.located(listed(FLOW), self.now)

    def incoming(self, session: Session, choice: int) -> None:
        described = self.description()
        if choice & 1:
            reliable = choice & 4 > 0
            session.progress(
                183, self.now, description=described if choice & 2 else None, reliable=reliable
            )
        if choice & 8:
            session.accept(self.now, description=None if choice & 3 == 3 else described)
        elif choice & 16:
            session.reject(486, self.now)
        elif choice & 32:
            session.hang_up(self.now)

    def talking(self, session: Session, choice: int, *, answer: bool) -> None:
        if answer and choice & 1:
            session.answer(self.now, description=self.description() if choice & 2 else None)
        elif answer and choice & 2:
            session.refuse(self.now)
        acts: list[Callable[[], object]] = [
            lambda: session.hold(self.now),
            lambda: session.offer(self.description(), self.now, method="UPDATE"),
            lambda: session.refer(refer_to("sip:x@192.0.2.2"), self.now),
            lambda: session.hang_up(self.now),
            lambda: self.call.cancel(self.now),
            lambda: session.request("INFO", self.now),
        ]
        if choice & 4:
            acts[choice % len(acts)]()

    def description(self) -> SessionDescription:
        return parse_sdp(SDP)

    def wait(self, until: float) -> None:
        while (at := self.ua.next_timeout()) is not None and at <= until:
            self.now = max(self.now, at)
            self.take(self.ua.on_timeout(self.now))
        self.now = until

    def end(self) -> None:
        """Hang up, and see that nothing is left."""
        self.call.cancel(self.now)
        self.subscriber.unsubscribe(self.now)
        self.publisher.remove(self.now)
        for _ in range(4):
            for dialog in list(self.ua.core.dialogs.values()):
                for usage in list(dialog.usages):
                    with contextlib.suppress(TrunklineError):
                        self.leave(usage)
            self.wait(self.now + 400)

    def leave(self, usage: object) -> None:
        if isinstance(usage, Session):
            usage.hang_up(self.now)
        elif isinstance(usage, Subscription):
            usage.unsubscribe(self.now)
        elif isinstance(usage, Notifier):
            usage.end(self.now)


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    peer = _Peer(data[::7])
    peer.take([])
    for piece in data[1:].split(b"\x1e"):
        if piece[:1] == b"@" and piece[1:2].isdigit():
            peer.wait(peer.now + int(piece[1:2]) ** 2)
            piece = piece[2:]
        if piece:
            peer.take(peer.ua.receive(piece, FLOW, peer.now))
        core = peer.ua.core
        assert len(core.dialogs) <= LIMIT
        assert all(dialog.usages for dialog in core.dialogs.values())
    peer.end()
    core = peer.ua.core
    assert not core.dialogs
    assert not core.accepted
    assert not core.subscribers
    assert not peer.ua.layer.clients
