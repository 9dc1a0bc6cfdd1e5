"""Two transaction layers with a network between them, on a virtual clock.

``fate`` decides over each message: the delays after which copies of it arrive, none if it is lost.
What each end sends and is told is kept with its time.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from trunkline.sip.message import Request, Response, parse
from trunkline.sip.timers import Timers
from trunkline.sip.transaction import (
    CancelReceived,
    ClientTransaction,
    Event,
    RequestReceived,
    ResponseReceived,
    ServerTransaction,
    TransactionLayer,
)
from trunkline.sip.transport import Flow, Transport

NEAR, FAR = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
DELAY = 1 / 64
"""Of the network, in seconds; a power of two, so that times add up exactly."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that left an end."""

    time: float
    end: str
    what: str
    """Its method or status."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """An event that an end's user was given."""

    time: float
    end: str
    event: Event


Fate: TypeAlias = "Callable[[Sent, int], Iterable[float]]"


def delivered(sent: Sent, number: int) -> Iterable[float]:
    """Every message arrives once, soon."""
    return (DELAY,)


def make_layer(name: str, timers: Timers = Timers(), limit: int = 1000) -> TransactionLayer:  # noqa: B008 - immutable
    numbers = itertools.count()
    return TransactionLayer(lambda: f"{name}{next(numbers)}", timers=timers, limit=limit)


def make_request(
    method: str,
    branch: str,
    *,
    transport: Transport = Transport.UDP,
    headers: Iterable[tuple[str, str]] = (),
) -> Request:
    via = f"SIP/2.0/{transport.value} {NEAR[0]};branch={branch}"
    return Request.build(
        method,
        "sip:far@192.0.2.2",
        [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", "<sip:near@192.0.2.1>;tag=n"),
            ("To", "<sip:far@192.0.2.2>"),
            ("Call-ID", "one"),
            ("CSeq", f"1 {method}"),
            *headers,
        ],
    )


def what(data: bytes) -> str:
    """Return a message's method, or its status."""
    first, second = data.split(b" ", 2)[:2]
    return (second if first == b"SIP/2.0" else first).decode()


class Ends:
    """See the module. The far end answers with ``answers``: (seconds after the request, status)."""

    def __init__(
        self,
        transport: Transport = Transport.UDP,
        *,
        fate: Fate = delivered,
        answers: Iterable[tuple[float, int]] = (),
        timers: Timers = Timers(),  # noqa: B008 - immutable
    ) -> None:
        self.transport = transport
        connection = 1 if transport.reliable else 0
        self.to_far = Flow(transport, FAR, NEAR, connection)
        self.to_near = Flow(transport, NEAR, FAR, connection)
        self.near, self.far = make_layer("near", timers), make_layer("far", timers)
        self.fate = fate
        self.answers = list(answers)
        self.now = 0.0
        self.sent: list[Sent] = []
        self.told: list[Told] = []
        self.arrived: list[str] = []
        """Methods and statuses, copies included."""
        self.servers: list[ServerTransaction] = []
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def request(self, method: str, user: object = "user") -> ClientTransaction:
        """Let the near end send a request."""
        branch = self.near.new_branch()
        request = make_request(method, branch, transport=self.transport)
        return self.near.request(request, branch, self.to_far, self.now, user)

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time, next(self._numbers), action))

    def run(self, until: float = 1000.0) -> None:
        """Let time pass up to ``until``, or to when nothing is left to happen."""
        while True:
            self._carry()
            due = [self.near.next_timeout(), self.far.next_timeout()]
            due += [self._later[0][0]] if self._later else []
            moment = min((time for time in due if time is not None), default=None)
            if moment is None or moment > until:
                break
            self.now = moment
            if self._later and self._later[0][0] <= moment:
                heapq.heappop(self._later)[2]()
            else:
                for end, layer in (("near", self.near), ("far", self.far)):
                    for event in layer.on_timeout(moment):
                        self._tell(end, event)

    def times(self, end: str, what: str) -> list[float]:
        """Return when ``end`` sent ``what``."""
        return [sent.time for sent in self.sent if (sent.end, sent.what) == (end, what)]

    def events(self, end: str, kind: type[Event]) -> list[float]:
        """Return when ``end`` was told events of this kind."""
        return [t.time for t in self.told if t.end == end and isinstance(t.event, kind)]

    def statuses(self) -> list[int]:
        """Return the statuses that the near end's user was given, in order."""
        given = [t.event for t in self.told if t.end == "near"]
        return [e.response.status for e in given if isinstance(e, ResponseReceived)]

    def receive_at(self, time: float, status: int, method: str = "OPTIONS") -> None:
        """Let a response to the near end's last request of this method arrive at ``time``."""

        def arrive() -> None:
            request = parse([s for s in self.sent if s.what == method][-1].data)
            assert isinstance(request, Request)
            self._arrive("far", Response.answer(request, status, to_tag="f").to_bytes())

        self.at(time, arrive)

    def _carry(self) -> None:
        for end, layer, flow in (
            ("near", self.near, self.to_far),
            ("far", self.far, self.to_near),
        ):
            for leaving, data in layer.data_to_send():
                assert leaving == flow
                sent = Sent(self.now, end, what(data), data)
                number = sum((s.end, s.what) == (end, sent.what) for s in self.sent)
                self.sent.append(sent)
                for delay in self.fate(sent, number):
                    self.at(self.now + delay, lambda end=end, data=data: self._arrive(end, data))  # type: ignore[misc]

    def _arrive(self, sender: str, data: bytes) -> None:
        end, layer, flow = (
            ("far", self.far, self.to_near)
            if sender == "near"
            else ("near", self.near, self.to_far)
        )
        self.arrived.append(what(data))
        event = layer.receive(data, flow, self.now)
        if event is not None:
            self._tell(end, event)

    def _tell(self, end: str, event: Event) -> None:
        self.told.append(Told(self.now, end, event))
        if isinstance(event, CancelReceived):
            self._respond(event.transaction, event.request, 200 if event.invite else 481)
            if event.invite is not None:
                self._respond(event.invite, event.request, 487)
        elif isinstance(event, RequestReceived):
            # A request is new once, or when all of it has been forgotten
            assert all(
                known.terminated for known in self.servers if known.key == event.transaction.key
            )
            self.servers.append(event.transaction)
            for after, status in self.answers:
                self.at(
                    self.now + after,
                    lambda status=status: self._respond(event.transaction, event.request, status),  # type: ignore[misc]
                )

    def _respond(self, transaction: ServerTransaction, request: Request, status: int) -> None:
        answer = Response.answer(request, status, to_tag="f")
        answer.headers.set("CSeq", f"1 {transaction.method}")
        self.far.respond(transaction, answer, self.now)

    def assert_forgotten(self) -> None:
        """Neither end keeps anything."""
        for layer in (self.near, self.far):
            assert layer.next_timeout() is None
            assert layer.clients == {}
            assert layer.servers == {}
            assert len(layer.queue) == 0
            assert layer.data_to_send() == []
