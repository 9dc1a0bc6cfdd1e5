"""Two exchanges back to back on a virtual clock, with a wire that can lose and hold messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from trunkline.ss7.isup import events as ev
from trunkline.ss7.isup.call import Trunks
from trunkline.ss7.isup.codec import Message, build, parse
from trunkline.ss7.isup.messages import MessageType
from trunkline.ss7.isup.settings import Settings

E = TypeVar("E")

LOW, HIGH = 1001, 2002
"""Point codes: the higher one controls the even circuits (Q.764 2.9.1.4)."""


class Exchange:
    """One machine, what it told us, and what it sent."""

    def __init__(self, own_pc: int, settings: Settings) -> None:
        self.trunks = Trunks(settings, own_pc)
        self.pc = own_pc
        self.events: list[ev.Event] = []
        self.sent: list[str] = []

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def ended(self, call_id: int) -> ev.Released | ev.CallFailed:
        """How the call ended; there must be exactly one end."""
        ends = [e for e in self.events if isinstance(e, ev.Released | ev.CallFailed)]
        (end,) = [e for e in ends if e.call_id == call_id]
        return end


class Pair:
    """``low`` and ``high``, with one circuit group between them."""

    def __init__(self, cics: range = range(1, 5), settings: Settings | None = None) -> None:
        self.now = 0.0
        self.low = Exchange(LOW, settings or Settings())
        self.high = Exchange(HIGH, settings or Settings())
        self.low.trunks.add_group("high", HIGH, cics)
        self.high.trunks.add_group("low", LOW, cics)
        self.lost: Callable[[Message], bool] = lambda message: False

    def peer(self, exchange: Exchange) -> Exchange:
        return self.high if exchange is self.low else self.low

    def carry(self) -> None:
        """Deliver until nobody has anything to say."""
        moving = True
        while moving:
            moving = False
            # Both speak before either hears: messages cross.
            batches = [(x, x.trunks.data_to_send()) for x in (self.low, self.high)]
            for source, batch in batches:
                target = self.peer(source)
                for dpc, sls, octets in batch:
                    moving = True
                    message = parse(octets)
                    assert (dpc, sls) == (target.pc, message.cic & 0x0F)
                    source.sent.append(message.type_name)
                    if not self.lost(message):
                        target.events += target.trunks.receive(source.pc, octets, self.now)

    def inject(self, target: Exchange, message: Message | bytes) -> None:
        """A message as if from the peer."""
        octets = message if isinstance(message, bytes) else message.to_bytes()
        target.events += target.trunks.receive(self.peer(target).pc, octets, self.now)

    def advance(self, seconds: float) -> None:
        """Let time pass, each timer at its moment."""
        end = self.now + seconds
        while True:
            due = [x.trunks.next_timeout() for x in (self.low, self.high)]
            waiting = [deadline for deadline in due if deadline is not None and deadline <= end]
            if not waiting:
                break
            self.now = min(waiting)
            for exchange in (self.low, self.high):
                exchange.events += exchange.trunks.on_timeout(self.now)
            self.carry()
        self.now = end

    def call(self, called: str = "3005", source: Exchange | None = None) -> tuple[int, int]:
        """A call that has reached the other side: its identifiers here and there."""
        source = source or self.low
        target = self.peer(source)
        group = next(iter(source.trunks.groups))
        outgoing = source.trunks.setup(group, called, "+4416960600", self.now, "ref").id
        self.carry()
        return outgoing, target.of(ev.IncomingCall)[-1].call_id

    def answered_call(self) -> tuple[int, int]:
        outgoing, incoming = self.call()
        self.high.trunks.alert(incoming, self.now)
        self.carry()
        self.high.trunks.answer(incoming, self.now)
        self.carry()
        return outgoing, incoming

    def assert_quiet(self) -> None:
        """No call, every circuit idle at both ends, no timer, nothing to send."""
        for exchange in (self.low, self.high):
            trunks = exchange.trunks
            assert not trunks.calls
            for group in trunks.groups.values():
                assert group.idle == len(group.circuits)
            assert trunks.next_timeout() is None
            assert trunks.data_to_send() == []


def simple(kind: MessageType, cic: int) -> Message:
    """A message of that type with nothing optional, its mandatory parameters made up."""
    mandatory = {
        MessageType.IAM: [b"\0", b"\x20\0", b"\x0a", b"\3", bytes.fromhex("039030050f")],
        MessageType.SAM: [bytes.fromhex("0021")],
        MessageType.ACM: [b"\x16\x04"],
        MessageType.CON: [b"\x16\x04"],
        MessageType.CPG: [b"\1"],
        MessageType.SUS: [b"\1"],
        MessageType.RES: [b"\1"],
        MessageType.REL: [b"\x80\x90"],
    }
    return build(kind, cic, mandatory.get(kind, []))
