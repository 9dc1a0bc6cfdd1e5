"""A small phone on Trunkline's user agent: it calls, answers, holds and transfers.

    python phone.py answer                            waits for calls and answers them
    python phone.py call sip:bob@192.0.2.7            calls, talks and hangs up

`Phone` is the driver: sockets, the clock and DNS belong to it, the protocol to `UserAgent`. What
the phone does is in `Answering` and `Calling`, which react to events; there is no media behind it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
from collections.abc import Callable, Sequence
from functools import partial

from trunkline.config.proxy import Listen
from trunkline.elements.proxy.hops import Finder, rules_for
from trunkline.elements.proxy.transports import SocketTransports
from trunkline.errors import DecodeError, TrunklineError
from trunkline.net.dns import Locator, Resolver
from trunkline.net.loop import new_event_loop
from trunkline.sip.dialog import Capabilities, Session
from trunkline.sip.dialog.events import (
    Answered,
    CallFailed,
    Confirmed,
    Ended,
    Event,
    IncomingCall,
    Locate,
    OfferAccepted,
    Offered,
    OfferRejected,
    Progress,
    ReferArrived,
    ReferProgress,
    RequestArrived,
)
from trunkline.sip.dialog.refer import refer_to
from trunkline.sip.digest.client import Login
from trunkline.sip.proxy import Identity
from trunkline.sip.sdp import Capabilities as Media
from trunkline.sip.sdp import Capability as Stream
from trunkline.sip.sdp import (
    Codec,
    Connection,
    Origin,
    SessionDescription,
    answer,
    offer,
)
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow
from trunkline.sip.ua import UserAgent


class Phone:
    """A user agent with sockets and a clock; ``react`` is told of every event."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[str],
        react: Callable[[Phone, Event], None],
        *,
        user: str = "phone",
        password: str = "",
    ) -> None:
        self.loop = loop
        self.react = react
        self.sockets = SocketTransports(loop, [Listen.parse(text) for text in listen])
        identity = Identity(self.sockets.listeners)
        self._resolver = Resolver()
        locator = Locator(self._resolver, rules_for(identity), now=loop.time)
        self._finder = Finder(identity, locator)
        self.ua = UserAgent(
            TransactionLayer(lambda: secrets.token_hex(8)),
            identity,
            self._finder.now,
            token=lambda: secrets.token_hex(8),
            draw=random.random,
            capabilities=Capabilities(user=user, product="Trunkline-phone"),
            logins=(lambda challenge: Login(user, password)) if password else None,
        )
        self.sockets.connect(self._receive, self._failed, self._refused, self._lost)
        host, port = self.sockets.listeners[0].local
        self.uri = f"sip:{user}@{host}:{port}"
        self._media = Media(
            Origin("-", str(secrets.randbelow(1 << 31)), 1, host),
            Connection.of(host),
            (Stream("audio", 40_000, (Codec(0, "PCMU", 8000), Codec(8, "PCMA", 8000))),),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        """The time, as the user agent is told it."""
        return self.loop.time()

    def offer(self, session: Session | None = None) -> SessionDescription:
        """What this phone offers, in a session as its next description."""
        return offer(self._media, session.exchange.local if session is not None else None)

    def answer(self, session: Session, offered: SessionDescription) -> SessionDescription | None:
        """What this phone answers; None: nothing that it can do."""
        try:
            made = answer(offered, self._media, session.exchange.local)
        except TrunklineError:
            return None
        return None if made.is_rejected else made

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something later, and send what comes of it."""

        def act() -> None:
            self._try(action)
            self.flush()

        self.loop.call_later(seconds, act)

    def flush(self) -> None:
        """Send what is to leave, and set the one timer anew."""
        for flow, data in self.ua.data_to_send():
            self.sockets.send(flow, data)
        if self._timer is not None:
            self._timer.cancel()
        at = self.ua.next_timeout()
        self._timer = None if at is None else self.loop.call_at(at, self._due)

    async def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await self._finder.locator.close()
        await self._resolver.close()
        self.sockets.close()
        await self.sockets.wait_closed()

    def _receive(self, batch: list[tuple[bytes, Flow]]) -> None:
        for data, flow in batch:
            self._tell(self.ua.receive(data, flow, self.now))
        self.flush()

    def _due(self) -> None:
        self._tell(self.ua.on_timeout(self.now))
        self.flush()

    def _failed(self, flow: Flow, reason: str, messages: list[bytes]) -> None:
        self._tell(self.ua.transport_failed(flow, messages, reason, self.now))
        self.flush()

    def _lost(self, flow: Flow, reason: str, served: tuple[Flow, ...]) -> None:
        self._tell(self.ua.connection_lost((flow, *served), reason, self.now))
        self.flush()

    def _refused(self, flow: Flow, error: DecodeError, head: bytes) -> None:
        print(f"{flow.remote}: {error}", file=sys.stderr)

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Locate):
                task = self.loop.create_task(self._locate(event))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._try(partial(self.react, self, event))

    def _try(self, action: Callable[[], object]) -> None:
        """Do what the state of a call may not allow any more: the other end may have hung up."""
        try:
            action()
        except TrunklineError as problem:
            print(problem, file=sys.stderr)

    async def _locate(self, event: Locate) -> None:
        hops = await self._finder.find(event.uri, self.now)
        event.outgoing.located(hops, self.now)
        self.flush()


def describe(event: Event) -> str:
    """One line for people."""
    name = type(event).__name__
    match event:
        case IncomingCall(_, request):
            return f"{name}: {request.headers.get('from')}"
        case Progress(_, _, response) | Answered(_, response) | CallFailed(_, response):
            return f"{name}: {response.status} {response.reason}"
        case Ended(_, cause):
            return f"{name}: {cause.value}"
        case ReferProgress(_, _, status, reason):
            return f"{name}: {status} {reason}"
        case _:
            return name


def talk(phone: Phone, event: Event) -> None:
    """What this phone does in a session, whoever began it."""
    match event:
        case Offered(session, _, None):
            session.answer(phone.now, description=phone.offer(session))
        case Offered(session, _, SessionDescription() as offered):
            described = phone.answer(session, offered)
            if described is None:
                session.refuse(phone.now, 488)
            else:
                session.answer(phone.now, description=described)
        case (
            Progress(session=Session() as session, offer=SessionDescription() as offered)
            | Answered(session=session, offer=SessionDescription() as offered)
            | OfferAccepted(session=session, offer=SessionDescription() as offered)
        ):
            described = phone.answer(session, offered)
            if described is None:
                session.hang_up(phone.now)  # the answer that takes nothing goes first
            else:
                session.answer(phone.now, description=described)
        case ReferArrived(referral):
            if referral.reference.method != "INVITE":
                referral.reject(501, phone.now)
                return
            referral.accept(phone.now)
            phone.ua.invite_referred(referral, phone.uri, phone.now, offer=phone.offer())
        case RequestArrived(transaction, request):
            phone.ua.respond(transaction, request, 200, phone.now)


class Answering:
    """Answers calls; ends after ``calls`` of them, if that is given."""

    def __init__(self, ring: float, calls: int | None, reliable: bool, quiet: bool) -> None:
        self.ring = ring
        self.calls = calls
        self.reliable = reliable
        self.quiet = quiet
        self.ended = 0
        self.done = asyncio.Event()

    def __call__(self, phone: Phone, event: Event) -> None:
        """React."""
        if not self.quiet:
            print(describe(event), flush=True)
        match event:
            case IncomingCall():
                self._incoming(phone, event)
            case Ended():
                self.ended += 1
                if self.ended == self.calls:
                    phone.later(1.0, self.done.set)  # what is under way may end
            case _:
                talk(phone, event)

    def _incoming(self, phone: Phone, event: IncomingCall) -> None:
        session, offered = event.session, event.offer
        description = phone.offer() if offered is None else phone.answer(session, offered)
        if description is None:
            session.reject(488, phone.now)
            return
        early = description if self.reliable else None
        session.progress(180, phone.now, description=early, reliable=self.reliable)

        def answer() -> None:
            if session.server is not None and session.server.pending:
                session.accept(phone.now, description=None if self.reliable else description)

        phone.later(self.ring, answer)


class Calling:
    """Makes ``calls`` calls, one after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.left: int = options.calls
        self.failed = 0
        self.talking: Session | None = None
        self.done = asyncio.Event()

    def begin(self, phone: Phone) -> None:
        """Make the next call, or end."""
        if self.left == 0:
            self.done.set()
            return
        self.left -= 1
        described = None if self.options.no_offer else phone.offer()
        phone.ua.invite(self.options.uri, phone.uri, phone.now, offer=described)
        phone.flush()

    def __call__(self, phone: Phone, event: Event) -> None:
        """React."""
        if not self.options.quiet:
            print(describe(event), flush=True)
        talk(phone, event)
        match event:
            case Answered(session):
                self.talking = session
                self._talking(phone, session)
            case CallFailed():
                self.failed += 1
                self.begin(phone)
            case OfferRejected():
                self.failed += 1
            case Ended(session) if session is self.talking:  # not of a branch that only rang
                self.talking = None
                phone.later(0.0, lambda: self.begin(phone))
            case Confirmed():
                self.failed += 1  # nobody calls who calls

    def _talking(self, phone: Phone, session: Session) -> None:
        seconds: float = self.options.seconds
        if self.options.hold:
            phone.later(seconds / 4, lambda: session.hold(phone.now))
            phone.later(seconds / 2, lambda: session.resume(phone.now))
        if self.options.transfer:
            reference = refer_to(self.options.transfer)
            phone.later(seconds / 4, lambda: session.refer(reference, phone.now))
        phone.later(seconds, lambda: session.hang_up(phone.now))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--listen",
        action="append",
        metavar="udp:IP:PORT",
        help="where to listen, also tcp: (default udp:127.0.0.1:5060)",
    )
    parser.add_argument("--user", default="phone", help="the user part of its address")
    parser.add_argument("--password", default="", help="for challenges")
    parser.add_argument("--quiet", action="store_true", help="do not print events")
    commands = parser.add_subparsers(dest="command", required=True)
    answering = commands.add_parser("answer", help="answer calls")
    answering.add_argument("--ring", type=float, default=1.0, metavar="SECONDS")
    answering.add_argument("--calls", type=int, help="end after so many")
    answering.add_argument("--reliable", action="store_true", help="180 by RFC 3262, with the SDP")
    calling = commands.add_parser("call", help="call somebody")
    calling.add_argument("uri")
    calling.add_argument("--seconds", type=float, default=3.0, help="to talk")
    calling.add_argument("--calls", type=int, default=1, help="one after the other")
    calling.add_argument("--hold", action="store_true", help="hold and resume in between")
    calling.add_argument("--transfer", metavar="URI", help="have the other end call URI")
    calling.add_argument("--no-offer", action="store_true", help="let the other end offer")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Run it; 1 if a call of ours failed."""
    options = arguments().parse_args(given)
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    policy: Answering | Calling
    if options.command == "answer":
        policy = Answering(options.ring, options.calls, options.reliable, options.quiet)
    else:
        policy = Calling(options)
    try:
        phone = Phone(
            loop,
            options.listen or ["udp:127.0.0.1:5060"],
            policy,
            user=options.user,
            password=options.password,
        )
    except TrunklineError as problem:
        print(problem, file=sys.stderr)
        return 2
    if not options.quiet:
        print(phone.uri, flush=True)
    if isinstance(policy, Calling):
        policy.begin(phone)
    try:
        loop.run_until_complete(policy.done.wait())
    except KeyboardInterrupt:
        pass
    finally:
        loop.run_until_complete(phone.close())
        loop.close()
    return 1 if isinstance(policy, Calling) and policy.failed else 0


if __name__ == "__main__":
    sys.exit(main())
