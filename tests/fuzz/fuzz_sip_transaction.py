"""The transaction layer under a series of messages, steps of time, and its user's doings.

The octets are the series: an operation, an argument, and for some what they work with. Nothing but
documented exceptions comes out; what is sent is a message; tables and queues stay in their bounds,
and are empty when everybody has given up and time has passed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from trunkline.errors import TrunklineError
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.timers import Timers
from trunkline.sip.transaction import (
    CancelReceived,
    ClientTransaction,
    Event,
    RequestReceived,
    ServerTransaction,
    StrayResponse,
    TransactionLayer,
)
from trunkline.sip.transport import Flow, Transport

_LIMIT = 8
_SLACK = 1024
_ME = ("192.0.2.2", 5060)
_FLOWS = (
    Flow(Transport.UDP, ("192.0.2.1", 5060), _ME),
    Flow(Transport.UDP, ("2001:db8::1", 9), _ME),
    Flow(Transport.TCP, ("192.0.2.1", 40000), _ME, 7),
    Flow(Transport.WS, ("192.0.2.1", 40001), _ME, 8),
)
_METHODS = ("INVITE", "ACK", "CANCEL", "OPTIONS", "BYE", "x!")
_VIAS = (
    "192.0.2.1;branch=z9hG4bKa",
    "192.0.2.1:5061;rport;branch=z9hG4bKb",
    "h.example;received=192.0.2.9;branch=z9hG4bKa",
    "192.0.2.1",
    "192.0.2.1:70000;branch=z9hG4bKa",
    "192.0.2.1;branch=z9hG4bK" + "c" * 300,
)
_STATUSES = (100, 180, 199, 200, 202, 302, 404, 408, 486, 503, 603, 699)
_STEPS = (0.0, 0.125, 0.5, 4.0, 5.0, 32.0, -0.25, 100.0)

RECEIVE, RAW, STEP, RESPOND, REQUEST, ANSWER, CANCEL, ABORT, LOSE, GARBLE = range(10)

SEEDS = [
    # INVITE in, 180, 486, its ACK; again with a CANCEL, by another transport
    bytes((RECEIVE, 0, RESPOND, 1, RESPOND, 8, RECEIVE, 1, STEP, 4)),
    bytes((RECEIVE, 72, RESPOND, 1, RECEIVE, 74, RESPOND, 0x13, RESPOND, 8, STEP, 5)),
    # a request out, an answer in; an INVITE out, cancelled, its answers; a lost one
    bytes((REQUEST, 3, ANSWER, 3, STEP, 4)),
    bytes((REQUEST, 0, CANCEL, 0, ANSWER, 1, ANSWER, 0x13, ANSWER, 8, STEP, 5, STEP, 5)),
    bytes((REQUEST, 8, LOSE, 0, REQUEST, 2, LOSE, 1, STEP, 6)),
    # repeated requests, no answers, time
    bytes((RECEIVE, 3, RECEIVE, 3, STEP, 3, RECEIVE, 3, STEP, 5, STEP, 5)),
    bytes((RECEIVE, 0, RESPOND, 3, RECEIVE, 0, RESPOND, 3, RECEIVE, 1, STEP, 5)),
    bytes((RAW, 40)) + b"INVITE a SIP/2.0\r\nVia: SIP/2.0/UDP b\r\n\r\n" + bytes((RESPOND, 6)),
    bytes((REQUEST, 1, GARBLE, 9, 13, GARBLE, 60, 0, GARBLE, 200, 0x1E, ABORT, 0)),
]


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    fuzzed = _Fuzzed()
    series = iter(data)
    for operation, argument in zip(series, series, strict=False):
        fuzzed.do(operation % 10, argument, series)
        fuzzed.check()
    fuzzed.end()


class _Fuzzed:
    def __init__(self) -> None:
        numbers = itertools.count()
        self.layer = TransactionLayer(lambda: f"own{next(numbers)}", timers=Timers(), limit=_LIMIT)
        self.now = 0.0
        self.servers: list[tuple[ServerTransaction, Request]] = []
        self.clients: list[ClientTransaction] = []
        self.sent: list[tuple[Flow, bytes]] = []
        self.own = 0

    def do(self, operation: int, argument: int, series: Iterable[int]) -> None:
        layer = self.layer
        high, low = divmod(argument, 16)
        match operation:
            case 0:  # RECEIVE
                method = _METHODS[argument % 6]
                via = _VIAS[argument // 6 % 6]
                self.receive(_request(method, via).to_bytes(), _FLOWS[argument // 36 % 4])
            case 1:  # RAW
                self.receive(bytes(itertools.islice(series, argument)), _FLOWS[0])
            case 2:  # STEP
                self.now = max(0.0, self.now + _STEPS[argument % 8])
                self.told(layer.on_timeout(self.now))
            case 3 if self.servers:  # RESPOND
                server, request = self.servers[-1 - high % len(self.servers)]
                answer = Response.answer(request, _STATUSES[low % 12], to_tag="t")
                layer.respond(server, answer, self.now)
            case 4 if self.own < _LIMIT:  # REQUEST
                self.own += 1
                branch = layer.new_branch()
                method = ("INVITE", "OPTIONS")[argument % 2]
                request = _request(method, f"192.0.2.2;branch={branch}")
                flow = _FLOWS[argument // 2 % 4]
                self.clients.append(layer.request(request, branch, flow, self.now, self))
            case 5 if self.sent:  # ANSWER
                flow, data = self.sent[-1 - high % len(self.sent)]
                sent = parse(data)
                if isinstance(sent, Request):
                    answer = Response.answer(sent, _STATUSES[low % 12], to_tag="t")
                    self.receive(answer.to_bytes(), flow)
            case 6 if self.clients:  # CANCEL
                client = self.clients[-1 - high % len(self.clients)]
                try:
                    layer.cancel(client, self.now, [("Reason", "a" if low else "a\n")])
                except TrunklineError as problem:
                    if problem.code != "sip.header":
                        raise
            case 7:  # ABORT
                every = [*self.clients, *(server for server, _ in self.servers)]
                if every:
                    layer.abort(every[argument % len(every)], self.now)
            case 8 if self.sent:  # LOSE
                flow, data = self.sent[-1 - high % len(self.sent)]
                cut = data[: 30 * low] if low else data
                self.told(layer.transport_failed(flow, [cut], "lost", self.now))
            case 9 if self.sent:  # GARBLE
                flow, data = self.sent[-1]
                odd = bytes(itertools.islice(series, 1))
                self.receive(data[:argument] + odd + data[argument + 1 :], flow)

    def receive(self, data: bytes, flow: Flow) -> None:
        event = self.layer.receive(data, flow, self.now)
        if event is not None:
            self.told([event])

    def told(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, RequestReceived | CancelReceived):
                assert not event.transaction.terminated
                self.servers.append((event.transaction, event.request))
            elif isinstance(event, StrayResponse):
                assert event.response.defect is None

    def check(self) -> None:
        layer = self.layer
        for flow, data in layer.data_to_send():
            parse(data)
            self.sent.append((flow, data))
        cancels = sum(client.cancelled for client in self.clients)
        # CANCELs in for a known INVITE, requests of our own and their CANCELs are let through
        assert len(layer.servers) + len(layer.clients) <= 2 * _LIMIT + self.own + cancels
        assert len(layer.queue) <= 6 * (2 * _LIMIT + self.own + cancels) + _SLACK
        for table in (layer.servers, layer.clients):
            for key, transaction in table.items():
                assert key == transaction.key
                assert not transaction.terminated
        timeout = layer.next_timeout()
        assert timeout is None or timeout >= 0.0

    def end(self) -> None:
        layer = self.layer
        for transaction in [*layer.servers.values(), *layer.clients.values()]:
            layer.abort(transaction, self.now)
        for _ in range(500):
            due = layer.next_timeout()
            if due is None:
                break
            self.now = max(self.now, due)
            self.told(layer.on_timeout(self.now))
            self.check()
        assert not layer.servers
        assert not layer.clients
        assert not layer._unanswered
        assert len(layer.queue) == 0
        for server, _ in self.servers:
            assert server.last == b""
            assert server.request is None
        for client in self.clients:
            assert client.last == b""
            assert client.request is None
            assert client.waiting_cancel is None


def _request(method: str, via: str) -> Request:
    rows = [
        ("Via", f"SIP/2.0/UDP {via}"),
        ("From", "<sip:a@x>;tag=1"),
        ("To", "<sip:b@x>"),
        ("Call-ID", "c"),
        ("CSeq", f"1 {method}"),
    ]
    return Request.build(method, "sip:b@192.0.2.2", rows)
