"""User agents with a network between them, on a virtual clock.

``lose`` says which messages are lost, and ``fate`` more: the delays after which copies of a message
arrive. What is sent is kept with its time; each end keeps the events
it was told, and may react to a kind of event by a function.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trunkline.sip.dialog.core import Capabilities
from trunkline.sip.dialog.events import Answered, Event, IncomingCall
from trunkline.sip.dialog.session import Session
from trunkline.sip.digest.client import Logins
from trunkline.sip.message import Request, Response, parse, tag_of
from trunkline.sip.proxy import (
    Hops,
    Identity,
    Listener,
    Passing,
    Proxy,
    ProxySettings,
    Received,
    ResponseContext,
    Target,
    listed,
)
from trunkline.sip.proxy.routes import first_route
from trunkline.sip.sdp import SessionDescription
from trunkline.sip.sdp import parse as parse_sdp
from trunkline.sip.timers import Timers
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow, Transport
from trunkline.sip.ua import UserAgent
from trunkline.sip.uri import Uri

DELAY = 1 / 64
"""Of the network, in seconds; a power of two, so that times add up exactly."""

E = TypeVar("E")


def sdp(owner: str = "alice", *, port: int = 4000, version: int = 1) -> SessionDescription:
    return parse_sdp(
        (
            f"v=0\r\no={owner} 1 {version} IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\n"
            f"t=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        ).encode()
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that left an end."""

    time: float
    sender: str
    message: Request | Response
    data: bytes
    flow: Flow

    @property
    def what(self) -> str:
        """The method, or status and method: ``INVITE``, ``180 INVITE``."""
        message = self.message
        if isinstance(message, Request):
            return message.method
        return f"{message.status} {(message.headers.get('cseq') or '').split()[-1]}"


Lose = Callable[[Sent], bool]
Fate = Callable[[Sent], Iterable[float]]


@dataclass
class End:
    """One user agent."""

    name: str
    ua: UserAgent
    network: Network
    events: list[tuple[float, Event]] = field(default_factory=list)
    reactions: dict[type, Callable[[Any], object]] = field(default_factory=dict)

    def on(self, kind: type[E], reaction: Callable[[E], object]) -> None:
        """React to events of this kind."""
        self.reactions[kind] = reaction

    def of(self, kind: type[E]) -> list[E]:
        """The events of this kind."""
        return [event for _, event in self.events if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        """The only event of this kind."""
        [event] = self.of(kind)
        return event

    def tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events.append((self.network.now, event))
            reaction = self.reactions.get(type(event))
            if reaction is not None:
                reaction(event)

    @property
    def address(self) -> tuple[str, int]:
        return self.network.addresses[self.name]


class ProxyEnd:
    """A record-routing proxy that forks to ends by the user part of the Request-URI."""

    def __init__(
        self, name: str, network: Network, forks: dict[str, list[str]], record_route: bool
    ) -> None:
        address = network.addresses[name]
        numbers = itertools.count()
        self.network = network
        self.forks = forks
        self.route = network.route(address)
        self.ua = Proxy(
            TransactionLayer(lambda: f"{name}{next(numbers)}"),
            Identity([Listener(Transport.UDP, address, address)]),
            tag=lambda: f"{name}{next(numbers)}",
            settings=ProxySettings(record_route=record_route),
        )

    def receive(self, data: bytes, flow: Flow) -> None:
        self.tell([self.ua.receive(data, flow, self.network.now)])

    def tell(self, received: Iterable[Received | None]) -> None:
        now = self.network.now
        for event in received:
            if isinstance(event, Passing):
                request = event.request
                assert self.ua.forward(event, Target(request.uri, self._hops(request)), now)
            elif isinstance(event, ResponseContext):
                request = event.request
                user = Uri.parse(request.uri).user or ""
                names = self.forks.get(user, []) if not has_tag(request) else []
                uris = [self.network.uri(name) for name in names]
                targets = [Target(uri, self._located(uri)) for uri in uris]
                event.fork([targets or [Target(request.uri, self._hops(request))]], now)

    def _hops(self, request: Request) -> Hops:
        return self._located(first_route(request) or request.uri)

    def _located(self, uri: str) -> Hops:
        hops = self.route(uri, self.network.now)
        assert hops is not None
        return hops


def has_tag(request: Request) -> bool:
    return tag_of(request.headers.get("to") or "") is not None


class Network:
    """See the module."""

    def __init__(self, *names: str, lose: Lose = lambda sent: False) -> None:
        self.now = 0.0
        self.lose = lose
        self.fate: Fate = lambda sent: (DELAY,)
        self.sent: list[Sent] = []
        self.addresses: dict[str, tuple[str, int]] = {}
        self.ends: dict[str, End] = {}
        self.proxies: dict[str, ProxyEnd] = {}
        self.receivers: dict[tuple[str, int], Callable[[bytes, Flow], None]] = {}
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        for name in names:
            self.add(name)

    def add(
        self,
        name: str,
        *,
        capabilities: Capabilities | None = None,
        timers: Timers | None = None,
        logins: Logins | None = None,
        locate: Callable[[str, float], Hops | None] | None = None,
        draws: Iterable[float] = (),
        transport: Transport = Transport.UDP,
        limit: int = 1000,
    ) -> End:
        address = (f"192.0.2.{len(self.addresses) + 1}", 5060)
        self.addresses[name] = address
        numbers = itertools.count()

        def token() -> str:
            return f"{name}{next(numbers)}"

        given = iter(draws)
        ua = UserAgent(
            TransactionLayer(token, timers=timers or Timers()),
            Identity([Listener(transport, address, address)]),
            locate or self.route(address, transport),
            token=token,
            draw=lambda: next(given, 0.5),
            capabilities=capabilities or Capabilities(user=name),
            logins=logins,
            limit=limit,
        )
        end = self.ends[name] = End(name, ua, self)
        self.receivers[address] = lambda data, flow: end.tell(ua.receive(data, flow, self.now))
        return end

    def add_proxy(self, name: str, *, record_route: bool = True, **forks: list[str]) -> ProxyEnd:
        """A proxy; ``forks`` says to which ends requests for a user go."""
        address = self.addresses[name] = (f"192.0.2.{len(self.addresses) + 1}", 5060)
        proxy = self.proxies[name] = ProxyEnd(name, self, forks, record_route)
        self.receivers[address] = proxy.receive
        return proxy

    def route(
        self, local: tuple[str, int], transport: Transport = Transport.UDP
    ) -> Callable[[str, float], Hops | None]:
        """Where URIs with IP addresses lead."""

        def locate(text: str, now: float) -> Hops:
            uri = Uri.parse(text)
            connection = 1 if transport.reliable else 0
            return listed(Flow(transport, (uri.host, uri.port or 5060), local, connection))

        return locate

    def uri(self, name: str) -> str:
        return f"sip:{name}@{self.addresses[name][0]}"

    def at(self, time: float, action: Callable[[], object]) -> None:
        """Let something happen then."""
        heapq.heappush(self._later, (time, next(self._numbers), action))

    def run(self, until: float = 1e9) -> None:
        """Let time pass up to ``until``, or to when nothing is left to happen."""
        while True:
            self.carry()
            due = [end.ua.next_timeout() for end in self.ends.values()]
            due += [proxy.ua.next_timeout() for proxy in self.proxies.values()]
            due.append(self._later[0][0] if self._later else None)
            moment = min((time for time in due if time is not None), default=None)
            if moment is None or moment > until:
                if until < 1e9:
                    self.now = max(self.now, until)
                return
            self.now = max(self.now, moment)
            if self._later and self._later[0][0] <= self.now:
                heapq.heappop(self._later)[2]()
            else:
                for end in self.ends.values():
                    at = end.ua.next_timeout()
                    if at is not None and at <= self.now:
                        end.tell(end.ua.on_timeout(self.now))
                for proxy in self.proxies.values():
                    proxy.tell(proxy.ua.on_timeout(self.now))

    def carry(self) -> None:
        """Put on their way what the ends have to send."""
        for end in self.ends.values():
            for flow, data in end.ua.data_to_send():
                self.put(end.name, flow, data)
        for name, proxy in self.proxies.items():
            for flow, data in proxy.ua.data_to_send():
                self.put(name, flow, data)

    def put(self, sender: str, flow: Flow, data: bytes) -> None:
        sent = Sent(self.now, sender, parse(data), data, flow)
        self.sent.append(sent)
        receive = self.receivers.get(flow.remote)
        if receive is None or self.lose(sent):
            return
        source = Flow(flow.transport, flow.local, flow.remote, flow.connection)
        for delay in self.fate(sent):
            self.at(self.now + delay, lambda: receive(data, source))

    def alter(self, name: str, what: str, change: Callable[[bytes], bytes]) -> None:
        """Change what arrives at ``name``."""
        receive = self.receivers[self.addresses[name]]

        def changed(data: bytes, flow: Flow) -> None:
            came = Sent(self.now, "", parse(data), data, flow)
            receive(change(data) if came.what == what else data, flow)

        self.receivers[self.addresses[name]] = changed

    def refuse(
        self,
        name: str,
        method: str,
        status: int,
        *headers: tuple[str, str],
        times: int = 1_000_000,
    ) -> None:
        """Answer so, in the place of ``name``, the first requests of a method."""
        receive = self.receivers[self.addresses[name]]
        left = itertools.count(times, -1)

        def refused(data: bytes, flow: Flow) -> None:
            message = parse(data)
            if isinstance(message, Request) and message.method == method and next(left) > 0:
                self.put(name, flow, Response.answer(message, status, headers=headers).to_bytes())
            else:
                receive(data, flow)

        self.receivers[self.addresses[name]] = refused

    def ladder(self, *, trying: bool = False) -> list[str]:
        """What was sent, in order: ``alice INVITE``; without 100 unless asked for."""
        return [
            f"{sent.sender} {sent.what}"
            for sent in self.sent
            if trying or not sent.what.startswith("100 ")
        ]

    def times(self, sender: str, what: str) -> list[float]:
        """When ``sender`` sent ``what``."""
        return [s.time for s in self.sent if (s.sender, s.what) == (sender, what)]

    def messages(self, sender: str, what: str) -> list[Request | Response]:
        """All that ``sender`` sent of ``what``."""
        return [s.message for s in self.sent if (s.sender, s.what) == (sender, what)]

    def assert_forgotten(self) -> None:
        """Nobody keeps anything."""
        for end in self.ends.values():
            core, layer = end.ua.core, end.ua.layer
            assert core.dialogs == {}, end.name
            assert len(core.alarms) == 0, end.name
            assert end.ua.next_timeout() is None, end.name
            assert not layer.clients, end.name
            assert not layer.servers, end.name


def lose_first(*whats: str) -> Lose:
    """Lose the first message of each kind named; of one named twice, the first two."""
    left = list(whats)

    def lose(sent: Sent) -> bool:
        if sent.what in left:
            left.remove(sent.what)
            return True
        return False

    return lose


def lose_all(*whats: str) -> Lose:
    """Lose every message of the kinds named."""
    return lambda sent: sent.what in whats


def connected(*, proxy: bool = False, **options: Any) -> tuple[Network, Session, Session]:
    """A call between Alice and Bob, both with these options; what was sent so far is forgotten."""
    network = Network()
    alice, bob = network.add("alice", **options), network.add("bob", **options)
    uri = network.uri("bob")
    if proxy:
        network.add_proxy("proxy", bob=["bob"])
        uri = network.uri("proxy").replace("proxy@", "bob@")
    bob.on(IncomingCall, lambda event: event.session.accept(network.now, description=sdp("bob")))
    alice.ua.invite(uri, "sip:alice@example.org", 0.0, offer=sdp())
    network.run(1.0)
    network.sent.clear()
    return network, alice.one(Answered).session, bob.one(IncomingCall).session
