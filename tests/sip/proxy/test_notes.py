"""What is noted of a request's way, for ``explain``; and what is shown of its messages."""

from __future__ import annotations

import itertools

from tests.sip.proxy.rig import CALLER, PROXY, UDP, follow, hops, name_of, request, target

from trunkline.sip.message import Request, Response, parse
from trunkline.sip.proxy import (
    Identity,
    Passing,
    Proxy,
    ResponseContext,
    StatelessProxy,
    Target,
)
from trunkline.sip.transaction import TransactionLayer
from trunkline.sip.transport import Flow, Transport

FROM_CALLER = Flow(Transport.UDP, CALLER, PROXY)


class Tap:
    """Wants the calls that ``names`` has; keeps what it is shown."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.shown: list[str] = []

    def wants(self, call_id: str) -> bool:
        return call_id in self.names

    def message(self, time: float, flow: Flow, data: bytes, sent: bool) -> None:
        first, second = data.split(b" ", 2)[:2]
        what = (second if first == b"SIP/2.0" else first).decode()
        self.shown.append(f"{'>' if sent else '<'}{what} {name_of(flow.remote[0])}")


class Told:
    """A proxy, and what it notes."""

    def __init__(self, tap: Tap, *, stateless: bool = False) -> None:
        numbers = itertools.count()
        layer = TransactionLayer(lambda: f"n{next(numbers)}", tap=tap)
        self.notes: list[tuple[str, tuple[object, ...]]] = []
        self.proxy: Proxy
        if stateless:
            self.proxy = StatelessProxy(layer, Identity([UDP]), secret=bytes(16), tag=lambda: "tag")
        else:
            self.proxy = Proxy(
                layer,
                Identity([UDP]),
                tag=lambda: "tag",
                note=lambda context, kind, details: self.notes.append((kind, details)),
            )

    def answer(self, data: bytes, status: int, flow: Flow) -> None:
        message = parse(data)
        assert isinstance(message, Request)
        self.proxy.receive(Response.answer(message, status, to_tag="x").to_bytes(), flow, 0.0)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.notes]


def test_the_steps_of_a_call() -> None:
    tap = Tap("call1")
    told = Told(tap)
    context = told.proxy.receive(request().to_bytes(), FROM_CALLER, 0.0)
    assert isinstance(context, ResponseContext)
    context.fork([[target("ab")], [target("c")]], 0.0)
    *_, (to_a, at_a) = told.proxy.data_to_send()
    told.proxy.transport_failed(to_a, [at_a], "unreachable", 0.0)
    [(to_b, at_b)] = told.proxy.data_to_send()
    told.answer(at_b, 180, to_b)
    told.answer(at_b, 486, to_b)
    (_, _), (_, _), (to_c, at_c) = told.proxy.data_to_send()
    told.answer(at_c, 180, to_c)
    told.proxy.receive(follow(request(), "CANCEL").to_bytes(), FROM_CALLER, 0.0)
    told.answer(at_c, 487, to_c)
    assert told.notes[0] == ("sent", ("sip:a@192.0.2.51", to_a, told.notes[0][1][2]))
    assert told.notes[1] == ("no response", ("sip:a@192.0.2.51", to_a, "unreachable"))
    assert told.notes[3] == ("response", ("sip:a@192.0.2.51", to_b, 180, "Ringing"))
    assert told.notes[-1] == ("answered", (487, "Request Terminated"))
    assert told.kinds == [
        *("sent", "no response", "sent", "response", "response"),
        *("sent", "response", "cancelled", "response", "answered"),
    ]
    assert [each for each in tap.shown if each.endswith(" a")] == [">INVITE a"]
    assert "<CANCEL 192.0.2.10" in tap.shown
    assert ">487 192.0.2.10" in tap.shown


def test_a_silent_and_a_ringing_one_and_what_is_refused() -> None:
    told = Told(Tap("call1", "call2"))
    context = told.proxy.receive(request().to_bytes(), FROM_CALLER, 0.0)
    assert isinstance(context, ResponseContext)
    context.fork([[target("a"), target("b")]], 0.0)
    [(to_a, at_a)] = [
        (to, data) for to, data in told.proxy.data_to_send() if to.remote[0][-2:] == "51"
    ]
    told.answer(at_a, 180, to_a)
    for now in (32.0, 181.0):
        told.proxy.on_timeout(now)
    details = [note[1][2] for note in told.notes if note[0] == "no response"]
    assert details == ["timer B: no final response in 64*T1"]
    assert told.kinds[-1] == "timer C"
    refused = request(number=2, headers=[("Max-Forwards", "0")])
    told.proxy.receive(refused.to_bytes(), FROM_CALLER, 181.0)
    assert told.notes[-2:] == [
        ("refused", (483, "sip.max-forwards-zero")),
        ("answered", (483, "Too Many Hops")),
    ]


def test_who_is_not_wanted_leaves_no_notes() -> None:
    tap = Tap("another")
    told = Told(tap)
    context = told.proxy.receive(request().to_bytes(), FROM_CALLER, 0.0)
    assert isinstance(context, ResponseContext)
    context.fork([[target("a")]], 0.0)
    context.reply(404, now=0.0)
    refused = request(number=2, headers=[("Max-Forwards", "0")])
    told.proxy.receive(refused.to_bytes(), FROM_CALLER, 0.0)
    assert (told.notes, tap.shown) == ([], [])


def test_what_passes_without_state_is_shown_too() -> None:
    tap = Tap("call1")
    told = Told(tap, stateless=True)
    for number in (1, 2):
        passing = told.proxy.receive(request(number=number).to_bytes(), FROM_CALLER, 0.0)
        assert isinstance(passing, Passing)
        told.proxy.forward(passing, Target("sip:b@x", hops("a")), 0.0)
        [(flow, data)] = told.proxy.data_to_send()
        told.answer(data, 200, flow)
        told.proxy.data_to_send()
    assert tap.shown == ["<INVITE 192.0.2.10", ">INVITE a", "<200 a", ">200 192.0.2.10"]


def test_an_ack_end_to_end_is_shown() -> None:
    tap = Tap("call1")
    told = Told(tap)
    for number in (1, 2):
        passing = told.proxy.receive(request("ACK", number=number).to_bytes(), FROM_CALLER, 0.0)
        assert isinstance(passing, Passing)
        told.proxy.forward(passing, Target("sip:b@x", hops("a")), 0.0)
    assert tap.shown[-1] == ">ACK a"
    assert tap.shown.count(">ACK a") == 1
