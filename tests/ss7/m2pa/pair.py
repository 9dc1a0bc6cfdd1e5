"""Two ways to exercise a link: against a script, and against another link over a simulated wire."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from trunkline.ss7.m2pa import Event, Link, LinkStatus, Settings, State, Status, UserData, parse

Item = bytes | Event

_STREAM_1 = {Status.PROCESSOR_OUTAGE, Status.PROCESSOR_RECOVERED}


def msu(number: int, size: int = 20) -> bytes:
    """An MSU (SIO and SIF) that can be told from others."""
    return b"\x83" + number.to_bytes(4, "big") + bytes(size - 5)


def sent(link: Link) -> list[tuple[int, UserData | LinkStatus]]:
    """What the link wants to send now, decoded."""
    return [(stream, parse(payload)) for stream, payload in link.data_to_send()]


def state(link: Link) -> State:
    """Where the link is now; a call, so that a type checker does not remember the last answer."""
    return link.state


def statuses(link: Link) -> list[tuple[int, Status]]:
    """What the link wants to send now, which must be Link Status messages only."""
    found = []
    for stream, message in sent(link):
        assert isinstance(message, LinkStatus), message
        found.append((stream, message.state))
    return found


class Script:
    """A link whose peer is the test: messages are written by hand."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.link = Link(settings)
        self.now = 100.0

    def status(
        self, state: Status, bsn: int = 0xFFFFFF, fsn: int = 0xFFFFFF, stream: int | None = None
    ) -> list[Item]:
        if stream is None:
            stream = 1 if state in _STREAM_1 else 0
        return self.link.receive([(stream, LinkStatus(bsn, fsn, state).to_bytes())], self.now)

    def data(self, bsn: int, fsn: int, payload: bytes = b"") -> list[Item]:
        return self.link.receive([(1, UserData(bsn, fsn, msu=payload).to_bytes())], self.now)

    def wait(self, seconds: float) -> list[Item]:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        items: list[Item] = []
        while (at := self.link.next_timeout()) is not None and at <= end:
            self.now = max(self.now, at)
            items += self.link.on_timeout(self.now)
        self.now = end
        return items

    def align(self, fsn: int = 0xFFFFFF) -> list[Item]:
        """Bring the link in service, quickly; the peer announces ``fsn`` as its last one."""
        items = self.link.communication_up(self.now)
        items += self.link.set_emergency(True, self.now)
        items += self.link.start(self.now)
        items += self.status(Status.ALIGNMENT, fsn=fsn)
        items += self.status(Status.PROVING_NORMAL, fsn=fsn)
        items += self.wait(self.link.settings.t4_emergency)
        items += self.status(Status.READY, fsn=fsn)
        self.link.data_to_send()
        return items

    def exchange(self, outgoing: int, incoming: int) -> None:
        """Let both sides send MSUs, all acknowledged, so that the next FSNs are these numbers."""
        if outgoing:
            self.link.send([msu(i) for i in range(outgoing)], self.now)
            self.link.data_to_send()
        bsn = (outgoing - 1) & 0xFFFFFF
        for fsn in range(incoming):
            self.data(bsn, fsn, msu(fsn))
        if not incoming:
            self.data(bsn, 0xFFFFFF)
        self.link.data_to_send()


def in_service(settings: Settings | None = None) -> Script:
    script = Script(settings)
    script.align()
    assert script.link.state == "in service"
    return script


class Pair:
    """Links A (0) and B (1), a clock, and an association that keeps order within each stream.

    ``delay(side, stream)`` gives the seconds that a message sent by ``side`` takes; the two
    streams may overtake each other.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        delay: Callable[[int, int], float] = lambda side, stream: 0.01,
    ) -> None:
        self.links = (Link(settings), Link(settings))
        self.events: tuple[list[Event], list[Event]] = ([], [])
        self.msus: tuple[list[bytes], list[bytes]] = ([], [])
        self.wire: list[tuple[float, int, int, int, bytes]] = []
        self.now = 0.0
        self.up = False
        self.delay = delay
        self._last: dict[tuple[int, int], float] = {}
        self._count = 0

    @property
    def states(self) -> tuple[str, str]:
        return str(self.links[0].state), str(self.links[1].state)

    def connect(self) -> None:
        self.up = True
        for side in (0, 1):
            self.take(side, self.links[side].communication_up(self.now))

    def cut(self) -> None:
        """Lose the association and all that is under way."""
        self.up = False
        self.wire.clear()
        for side in (0, 1):
            self.take(side, self.links[side].communication_lost(self.now, "cut"))

    def start(self) -> None:
        for side in (0, 1):
            self.take(side, self.links[side].start(self.now))

    def take(self, side: int, items: list[Item] | list[Event]) -> None:
        for item in items:
            if isinstance(item, bytes):
                self.msus[side].append(item)
            else:
                self.events[side].append(item)
        for stream, payload in self.links[side].data_to_send():
            assert self.up, "sent into a lost association"
            at = max(self.now + self.delay(side, stream), self._last.get((side, stream), 0.0))
            self._last[side, stream] = at
            self._count += 1
            heapq.heappush(self.wire, (at, self._count, 1 - side, stream, payload))

    def send(self, side: int, msus: list[bytes]) -> None:
        self.take(side, self.links[side].send(msus, self.now))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            moments = [at for link in self.links if (at := link.next_timeout()) is not None]
            if self.wire:
                moments.append(self.wire[0][0])
            if not moments or min(moments) > end:
                break
            self.now = max(self.now, min(moments))
            arrived: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = ([], [])
            while self.wire and self.wire[0][0] <= self.now:
                _, _, side, stream, payload = heapq.heappop(self.wire)
                arrived[side].append((stream, payload))
            for side in (0, 1):
                if arrived[side]:
                    self.take(side, self.links[side].receive(arrived[side], self.now))
                self.take(side, self.links[side].on_timeout(self.now))
        self.now = end

    def up_and_running(self) -> Pair:
        self.connect()
        self.start()
        self.run(20)
        assert self.states == ("in service", "in service")
        return self
