"""A proxy core on a virtual clock: what it is given, and what it sends.

Callers are at 192.0.2.10, the proxy at 192.0.2.1; callees are 192.0.2.51 and on, one for each
letter: ``target("a")`` leads to 192.0.2.51.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trunkline.sip.locate import Failure
from trunkline.sip.message import Headers, Request, Response, parse
from trunkline.sip.proxy import (
    Hops,
    Identity,
    Listener,
    Passing,
    Proxy,
    ProxySettings,
    Received,
    ResponseContext,
    StatelessProxy,
    Target,
    listed,
)
from trunkline.sip.timers import Timers
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Address, Flow, Transport

PROXY: Address = ("192.0.2.1", 5060)
CALLER: Address = ("192.0.2.10", 5060)
UDP = Listener(Transport.UDP, PROXY, PROXY)
TCP = Listener(Transport.TCP, PROXY, PROXY)
TLS = Listener(Transport.TLS, ("192.0.2.1", 5061), ("192.0.2.1", 5061))
V6 = Listener(Transport.UDP, ("2001:db8::1", 5060), ("2001:db8::1", 5060))

FROM_CALLER = Flow(Transport.UDP, CALLER, PROXY)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the proxy sent."""

    time: float
    flow: Flow
    message: Request | Response

    @property
    def headers(self) -> Headers:
        return self.message.headers

    @property
    def status(self) -> int:
        return self.message.status if isinstance(self.message, Response) else 0

    @property
    def method(self) -> str:
        """Its method; of a response, that of the request."""
        if isinstance(self.message, Request):
            return self.message.method
        return (self.headers.get("cseq") or "").split()[-1]

    @property
    def uri(self) -> str:
        assert isinstance(self.message, Request)
        return self.message.uri

    @property
    def to(self) -> str:
        """The address that it went to."""
        return self.flow.remote[0]

    @property
    def what(self) -> str:
        """Method or status, and where it went: ``INVITE>b``, ``180<``."""
        if self.status:
            return f"{self.status}<"
        return f"{self.method}>{name_of(self.to)}"

    @property
    def branch(self) -> str:
        return (self.headers.get("via") or "").partition("branch=")[2].partition(";")[0]


def host_of(name: str) -> str:
    return f"192.0.2.{51 + ord(name) - ord('a')}"


def name_of(host: str) -> str:
    number = int(host.rpartition(".")[2]) if host.startswith("192.0.2.") else 0
    return chr(ord("a") + number - 51) if 51 <= number < 51 + 26 else host


def hops(*names: str, transport: Transport = Transport.UDP) -> Hops:
    local = PROXY if transport in (Transport.UDP, Transport.TCP) else TLS.local
    port = transport.default_port
    return listed(*(Flow(transport, (host_of(name), port), local) for name in names))


def target(names: str, uri: str = "", transport: Transport = Transport.UDP) -> Target:
    """A target whose next hops are the callees of these letters, in this order."""
    return Target(uri or f"sip:{names[0]}@{host_of(names[0])}", hops(*names, transport=transport))


def request(
    method: str = "INVITE",
    uri: str = "sip:bob@example.org",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    number: int = 1,
    branch: str = "",
    transport: Transport = Transport.UDP,
) -> Request:
    """A request of the caller's; rows of ``headers`` replace those that are made here."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    via = f"SIP/2.0/{transport.value} {CALLER[0]};branch={branch or f'z9hG4bKcaller{number}'}"
    rows = [
        ("Via", via),
        ("Max-Forwards", "70"),
        ("From", "<sip:alice@example.com>;tag=alice"),
        ("To", f"<{uri}>"),
        ("Call-ID", f"call{number}"),
        ("CSeq", f"{number} {method}"),
    ]
    made = [(name, value) for name, value in rows if name.lower() not in names]
    return Request.build(method, uri, [*made, *given], body)


def follow(before: Request, method: str) -> Request:
    """The CANCEL of a request, or the ACK to its failure."""
    made = before.copy()
    made.method = method
    number = (before.headers.get("cseq") or "").split()[0]
    made.headers.set("CSeq", f"{number} {method}")
    return made


class Rig:
    """See the module."""

    def __init__(
        self,
        listeners: Sequence[Listener] = (UDP,),
        *,
        domains: Iterable[str] = ("example.org",),
        settings: ProxySettings = ProxySettings(),  # noqa: B008 - immutable
        timers: Timers = Timers(),  # noqa: B008 - immutable
        stateless: bool = False,
        secret: bytes = bytes(16),
    ) -> None:
        numbers = itertools.count(1)
        self.now = 0.0
        self.failures: list[tuple[str, Failure, float | None]] = []
        self.answered: list[str] = []
        self.identity = Identity(listeners, domains)
        self.layer = TransactionLayer(lambda: f"p{next(numbers):06}", timers=timers)
        self.proxy: Proxy
        if stateless:
            self.proxy = StatelessProxy(
                self.layer,
                self.identity,
                secret=secret,
                tag=lambda: f"t{next(numbers)}",
                settings=settings,
            )
        else:
            self.proxy = Proxy(
                self.layer,
                self.identity,
                tag=lambda: f"t{next(numbers)}",
                settings=settings,
                failed=lambda flow, failure, after: self.failures.append(
                    (name_of(flow.remote[0]), failure, after)
                ),
                answered=lambda flow: self.answered.append(name_of(flow.remote[0])),
            )
        self.log: list[Sent] = []
        """All that was sent."""
        self._taken = 0

    # what comes

    def receive(
        self, message: Request | Response | bytes, flow: Flow = FROM_CALLER
    ) -> Received | None:
        data = message if isinstance(message, bytes) else message.to_bytes()
        received = self.proxy.receive(data, flow, self.now)
        self._collect()
        return received

    def context(
        self, message: Request | bytes | None = None, flow: Flow = FROM_CALLER
    ) -> ResponseContext:
        """Let a request come; what is to be decided about."""
        received = self.receive(request() if message is None else message, flow)
        assert isinstance(received, ResponseContext), received
        return received

    def passing(self, message: Request, flow: Flow = FROM_CALLER) -> Passing:
        received = self.receive(message, flow)
        assert isinstance(received, Passing), received
        return received

    def fork(self, context: ResponseContext, *groups: Sequence[Target]) -> list[Sent]:
        """Send a request to groups of targets; what was sent for it."""
        self.take()
        context.fork(groups, self.now)
        self._collect()
        return self.take()

    def forward(self, passing: Passing, to: Target) -> list[Sent]:
        self.take()
        assert self.proxy.forward(passing, to, self.now)
        self._collect()
        return self.take()

    def answer(
        self,
        sent: Sent,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        *,
        reason: str = "",
        body: bytes = b"",
    ) -> list[Sent]:
        """Let a callee answer what it was sent; what was sent because of it."""
        assert isinstance(sent.message, Request)
        response = Response.answer(sent.message, status, reason, headers, body, f"to-{sent.to}")
        self.take()
        assert self.receive(response, sent.flow) is None
        return self.take()

    def fail(self, sent: Sent) -> list[Sent]:
        """Let a message not be delivered."""
        self.take()
        gone = [sent.message.to_bytes()]
        assert not self.proxy.transport_failed(sent.flow, gone, "refused", self.now)
        self._collect()
        return self.take()

    def advance(self, seconds: float) -> list[Sent]:
        """Let time pass; what was sent meanwhile."""
        self.take()
        until = self.now + seconds
        while True:
            due = self.proxy.next_timeout()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self.proxy.on_timeout(self.now)
            self._collect()
        self.now = until
        return self.take()

    # what leaves

    def take(self) -> list[Sent]:
        """What was sent since somebody asked."""
        self._collect()
        found = self.log[self._taken :]
        self._taken = len(self.log)
        return found

    def to_caller(self) -> list[int]:
        """All statuses that the caller was sent for its INVITE, or whatever it asked, but 100."""
        return [s.status for s in self.log if s.status > 100 and s.flow.remote == CALLER]

    def assert_forgotten(self) -> None:
        """After a quiet time nothing is left."""
        self.advance(400)
        assert self.layer.clients == {}
        assert self.layer.servers == {}
        assert self.proxy.next_timeout() is None

    def _collect(self) -> None:
        for flow, data in self.proxy.data_to_send():
            self.log.append(Sent(self.now, flow, parse(data)))


def whats(sent: Iterable[Sent]) -> list[str]:
    return [each.what for each in sent]
