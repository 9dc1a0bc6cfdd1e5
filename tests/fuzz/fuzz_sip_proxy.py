"""The proxy core, with state and without: any messages at any times, answered, sent on or dropped.

The input is a story. Each of its lines is a letter and what belongs to it: octets that come from
somewhere, a decision about the request that came last, an answer to something that was sent, a
failure to send, time. Whatever is told: no exception, no 408 to anything but INVITE (RFC 4320), no
message larger than what came by much, and nothing left in the end.
"""

from __future__ import annotations

import itertools

from trunkline.sip.message import Request, Response, parse
from trunkline.sip.proxy import (
    Identity,
    Listener,
    Passing,
    Proxy,
    ProxySettings,
    ResponseContext,
    StatelessProxy,
    Target,
    listed,
)
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow, Transport

_ME = ("192.0.2.1", 5060)
_PLACES = [_ME, *((f"192.0.2.{number}", 5060) for number in range(10, 15))]
_CALLER = _PLACES[1]
_TRANSPORTS = (Transport.UDP, Transport.TCP)
_GROWTH = 1500
"""Octets by which a message may be larger than the largest that came."""

_INVITE = (
    b"INVITE sip:b@example.org SIP/2.0\x01Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\x01"
    b"Max-Forwards: 70\x01From: <sip:a@x>;tag=1\x01To: <sip:b@x>\x01Call-ID: 1\x01"
    b"CSeq: 1 INVITE\x01Contact: <sip:a@192.0.2.10>\x01Route: <sip:192.0.2.1;lr>\x01\x01"
)
_ACK = _INVITE.replace(b"INVITE", b"ACK")
_CANCEL = _INVITE.replace(b"INVITE", b"CANCEL")
_BYE = _INVITE.replace(b"INVITE", b"BYE").replace(b"bK1", b"bK2").replace(b"b@x>", b"b@x>;tag=2")

SEEDS = [
    b"\n".join([b"m1" + _INVITE, b"f23", b"a0180", b"a0200", b"t5", b"m1" + _ACK, b"f2", b"t99"]),
    b"\n".join(
        [b"m1" + _INVITE, b"f234|51", b"a1180", b"m1" + _CANCEL, b"a1487", b"a0603", b"t99"]
    ),
    b"\n".join([b"m1" + _INVITE, b"f2|3|4", b"x0", b"a0302", b"t99", b"r486", b"m1" + _ACK]),
    b"\n".join([b"sm1" + _INVITE, b"f2", b"a0180", b"a0200", b"m1" + _CANCEL, b"f2", b"m1" + _ACK]),
    b"\n".join([b"m1" + _BYE, b"f1", b"a0200", b"m1" + _BYE, b"d", b"sm1" + _BYE, b"r404"]),
]


class _Story:
    def __init__(self, stateless: bool) -> None:
        numbers = itertools.count()
        self.now = 0.0
        self.layer = TransactionLayer(lambda: f"t{next(numbers)}", limit=200)
        listeners = [Listener(transport, _ME, _ME) for transport in _TRANSPORTS]
        identity = Identity(listeners[:1] if stateless else listeners, ["example.org"])
        settings = ProxySettings(max_breadth=4)
        self.proxy: Proxy
        if stateless:
            self.proxy = StatelessProxy(
                self.layer, identity, secret=bytes(16), tag=lambda: "t", settings=settings
            )
        else:
            self.proxy = Proxy(self.layer, identity, tag=lambda: "t", settings=settings)
        self.last: ResponseContext | Passing | None = None
        self.sent: list[tuple[Flow, Request]] = []
        self.largest = 0

    def line(self, line: bytes) -> None:
        kind, rest = line[:1], line[1:]
        if kind == b"m":
            self.message(rest)
        elif kind == b"f":
            self.fork(rest)
        elif kind == b"a":
            self.answer(rest)
        elif kind == b"x":
            self.fail(rest)
        elif kind == b"r":
            self.reply(_number(rest[:3]))
        elif kind == b"d" and isinstance(self.last, ResponseContext):
            self.last.drop(self.now)
        elif kind == b"t":
            self.advance(_number(rest[:2]))
        self.collect()

    def message(self, rest: bytes) -> None:
        data = rest[1:].replace(b"\x01", b"\r\n")
        self.largest = max(self.largest, len(data))
        place = _PLACES[_number(rest[:1]) % len(_PLACES)]
        received = self.proxy.receive(data, Flow(Transport.UDP, place, _ME), self.now)
        if isinstance(received, ResponseContext | Passing):
            self.last = received

    def fork(self, rest: bytes) -> None:
        groups = []
        for group in rest.split(b"|")[:4]:
            targets = []
            for digit in group[:6]:
                transport = _TRANSPORTS[digit & 1 if not self.stateless else 0]
                places = (_PLACES[digit % len(_PLACES)], _PLACES[(digit + 2) % len(_PLACES)])
                flows = [Flow(transport, place, _ME) for place in places]
                targets.append(Target(f"sip:{digit}@{places[0][0]}", listed(*flows)))
            groups.append(targets)
        if isinstance(self.last, ResponseContext):
            self.last.fork(groups, self.now)
        elif isinstance(self.last, Passing) and groups[0]:
            self.proxy.forward(self.last, groups[0][0], self.now)
            self.last = None  # it may have been changed

    @property
    def stateless(self) -> bool:
        return isinstance(self.proxy, StatelessProxy)

    def answer(self, rest: bytes) -> None:
        status = _number(rest[1:4])
        if self.sent and 100 <= status <= 699:
            flow, request = self.sent[_number(rest[:1]) % len(self.sent)]
            response = Response.answer(request, status, to_tag="callee", body=rest[4:])
            if status // 100 == 3:
                response.headers.add("Contact", f"<{request.uri}>")
            self.proxy.receive(response.to_bytes(), flow, self.now)

    def fail(self, rest: bytes) -> None:
        if self.sent:
            flow, request = self.sent[_number(rest[:1]) % len(self.sent)]
            self.proxy.transport_failed(flow, [request.to_bytes()], "refused", self.now)

    def reply(self, status: int) -> None:
        if not 200 <= status <= 699:
            return
        if isinstance(self.last, ResponseContext):
            self.last.reply(status, now=self.now)
        elif isinstance(self.last, Passing) and isinstance(self.proxy, StatelessProxy):
            self.proxy.answer(self.last, status, now=self.now)

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.proxy.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.proxy.on_timeout(self.now)
            self.collect()
        self.now = until

    def collect(self) -> None:
        for flow, data in self.proxy.data_to_send():
            assert len(data) <= self.largest + _GROWTH, "an answer to little that is large"
            message = parse(data)
            if isinstance(message, Request):
                assert len(self.sent) < 5000, "it goes on for ever"
                self.sent.append((flow, message))
            elif not self.stateless and "cseq" in message.headers:
                method = (message.headers.get("cseq") or "-").split()[-1]
                assert message.status != 408 or method == "INVITE"

    def end(self) -> None:
        self.advance(1000)
        assert not self.layer.clients
        assert self.proxy.next_timeout() is None


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else sum(text)


def run(data: bytes) -> None:
    """Raises AssertionError, or whatever the code under test should not have raised."""
    stateless = data.startswith(b"s")
    story = _Story(stateless)
    for line in data.removeprefix(b"s").split(b"\n")[:40]:
        story.line(line)
    story.end()
