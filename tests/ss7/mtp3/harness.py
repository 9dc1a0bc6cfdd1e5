"""Nodes wired back to back on a virtual clock: real routers over the real M2PA, or over a fake.

``Network`` is a miniature of the world: wires with a delay, cut and healed at will, each end an
``m2pa.Link`` driven by its router exactly as the driver does it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3.events import Transfer
from trunkline.ss7.mtp3.linkset import SLink
from trunkline.ss7.mtp3.message import Msu, parse
from trunkline.ss7.mtp3.router import Router
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.pointcode import ITU, Prefix, Variant

_E = TypeVar("_E")


class FakeLevel2:
    """A level 2 that keeps everything: sent messages wait until ``acknowledge`` is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.emergency: bool | None = None
        self.sent: list[bytes] = []
        self.acked = 0
        self.unsent: list[bytes] = []
        self.bsnt: int | None = 0
        self.answer: list[object] = []

    def start(self, now: float) -> Sequence[object]:
        self.calls.append("start")
        self.sent.clear()
        self.acked = 0
        return ()

    def stop(self, now: float) -> Sequence[object]:
        self.calls.append("stop")
        return ()

    def set_emergency(self, flag: bool, now: float) -> Sequence[object]:
        self.emergency = flag
        return ()

    def send(self, msus: Sequence[bytes], now: float) -> Sequence[object]:
        self.sent.extend(msus)
        answer, self.answer = self.answer, []
        return answer

    def retrieve_bsnt(self) -> int | None:
        return self.bsnt

    def covers(self, fsnc: int) -> bool:
        return self.acked <= fsnc <= len(self.sent)

    @property
    def unacknowledged(self) -> int:
        return len(self.sent) - self.acked

    def retrieve(self, fsnc: int | None) -> list[bytes]:
        """FSN 1 is the first message sent."""
        again = [] if fsnc is None else self.sent[fsnc:]
        again += self.unsent
        self.unsent = []
        self.acked = len(self.sent)
        return again

    def take(self) -> list[bytes]:
        """What has been sent since the last call."""
        new, self.sent = self.sent, []
        self.acked = 0
        return new


class Wire:
    """One association: two M2PA links and what is under way between them."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.up = False
        self.ends: list[tuple[str, SLink, m2pa.Link]] = []
        self.flying: deque[tuple[float, int, int, bytes]] = deque()


class Network:
    """Routers by name, wires by name, a clock, and what the routers said."""

    def __init__(self, **settings: float) -> None:
        self.variant: Variant = ITU
        self.settings = settings
        self.now = 0.0
        self.routers: dict[str, Router] = {}
        self.wires: dict[str, Wire] = {}
        self.events: list[tuple[float, str, object]] = []
        self._of_link: dict[SLink, tuple[Wire, int]] = {}

    def node(self, name: str, pc: str, **settings: object) -> Router:
        merged: dict[str, object] = {**self.settings, **settings}
        router = Router(
            Mtp3Settings(self.variant, 0, self.variant.parse(pc), **merged)  # type: ignore[arg-type]
        )
        self.routers[name] = router
        return router

    def wire(self, a: str, b: str, links: int = 1, delay: float = 0.005) -> None:
        """A linkset of ``links`` links; wires are called ``a-b``, ``a-b:1``, and so on."""
        for one, other in ((a, b), (b, a)):
            if f"To{other}" not in self.routers[one].linksets:
                apc = self.routers[other].settings.point_code
                self.routers[one].add_linkset(f"To{other}", apc)
        for slc in range(links):
            wire = Wire(delay)
            for index, (one, other) in enumerate(((a, b), (b, a))):
                level2 = m2pa.Link()
                slink = self.routers[one].add_link(f"To{other}", slc, level2)
                wire.ends.append((one, slink, level2))
                self._of_link[slink] = (wire, index)
            name = f"{a}-{b}" if slc == 0 else f"{a}-{b}:{slc}"
            self.wires[name] = wire
            self.heal(name)

    def route(self, node: str, prefix: str, via: str, priority: int | None = None) -> None:
        self.say(
            node,
            self.routers[node].add_route(
                Prefix.parse(prefix, self.variant), f"To{via}", priority, self.now
            ),
        )

    def say(self, node: str, events: Sequence[object]) -> None:
        self.events.extend((self.now, node, event) for event in events)

    # Faults.

    def cut(self, name: str) -> None:
        """The association breaks: what is under way is gone, both ends notice at once."""
        wire = self.wires[name]
        wire.up = False
        wire.flying.clear()
        for node, slink, level2 in wire.ends:
            items = level2.communication_lost(self.now, "cut")
            self.say(node, self.routers[node].receive(slink, items, self.now))
        self._flush()

    def stall(self, name: str) -> None:
        """Nothing passes any more, what is under way is gone, and nobody knows."""
        wire = self.wires[name]
        wire.up = False
        wire.flying.clear()

    def notice(self, name: str, node: str) -> None:
        """One end hears that the association is gone."""
        for owner, slink, level2 in self.wires[name].ends:
            if owner == node:
                items = level2.communication_lost(self.now, "noticed")
                self.say(node, self.routers[node].receive(slink, items, self.now))
        self._flush()

    def garble(self, name: str) -> None:
        """Management messages under way become such as nobody knows; level 2 notices nothing."""
        wire = self.wires[name]
        heading = 16 + 1 + 5  # behind M2PA's header, PRI, SIO and label
        for index, (when, end, stream, payload) in enumerate(wire.flying):
            if stream == 1 and len(payload) > heading and payload[17] & 15 == 0:
                changed = payload[:heading] + b"\xff" + payload[heading + 1 :]
                wire.flying[index] = (when, end, stream, changed)

    def heal(self, name: str) -> None:
        wire = self.wires[name]
        wire.up = True
        for node, slink, level2 in wire.ends:
            items = level2.communication_up(self.now)
            self.say(node, self.routers[node].receive(slink, items, self.now))
        self._flush()

    # Time.

    def run(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        end = self.now + seconds
        self._flush()
        while True:
            when = self._next()
            if when is None or when > end:
                self.now = end
                return
            self.now = max(when, self.now)
            self._step()

    def _next(self) -> float | None:
        times: list[float | None] = [router.next_timeout() for router in self.routers.values()]
        for wire in self.wires.values():
            times.append(wire.flying[0][0] if wire.flying else None)
            times.extend(level2.next_timeout() for _, _, level2 in wire.ends)
        return min((t for t in times if t is not None), default=None)

    def _step(self) -> None:
        for name, router in self.routers.items():
            timeout = router.next_timeout()
            if timeout is not None and timeout <= self.now:
                self.say(name, router.on_timeout(self.now))
        for wire in self.wires.values():
            arrived: dict[int, list[tuple[int, bytes]]] = {0: [], 1: []}
            while wire.flying and wire.flying[0][0] <= self.now:
                _, index, stream, payload = wire.flying.popleft()
                arrived[index].append((stream, payload))
            for index, batch in arrived.items():
                node, slink, level2 = wire.ends[index]
                items: list[object] = []
                if batch:
                    items += level2.receive(batch, self.now)
                timeout = level2.next_timeout()
                if timeout is not None and timeout <= self.now:
                    items += level2.on_timeout(self.now)
                if items:
                    self.say(node, self.routers[node].receive(slink, items, self.now))
        self._flush()

    def _flush(self) -> None:
        for router in self.routers.values():
            router.dirty.clear()
        for wire in self.wires.values():
            for index, (_, _, level2) in enumerate(wire.ends):
                for stream, payload in level2.data_to_send():
                    if wire.up:
                        wire.flying.append((self.now + wire.delay, 1 - index, stream, payload))

    # Traffic.

    def send(self, source: str, target: str, sls: int, text: bytes, si: int = 5) -> None:
        routers = self.routers
        msu = Msu(
            0,
            0,
            si,
            routers[target].settings.point_code,
            routers[source].settings.point_code,
            sls,
            text,
        ).to_bytes(self.variant)
        self.say(source, routers[source].transfer([msu], self.now))
        self._flush()

    def delivered(self, node: str) -> list[Msu]:
        """What the node's user parts got, in order."""
        return [
            parse(event.msu, self.variant)
            for _, name, event in self.events
            if name == node and isinstance(event, Transfer)
        ]

    def of(self, node: str, kind: type[_E]) -> list[_E]:
        """The events of one kind at one node."""
        return [event for _, name, event in self.events if name == node and isinstance(event, kind)]


def four_countries(**settings: float) -> Network:
    """The seed's network with a second way round: A-B, B-C, B-D, C-D."""
    network = Network(**settings)
    for name, pc in (("A", "1.2.3"), ("B", "4.5.6"), ("C", "7.7.1"), ("D", "7.8.1")):
        network.node(name, pc)
    for a, b in (("A", "B"), ("B", "C"), ("B", "D"), ("C", "D")):
        network.wire(a, b)
    network.route("A", "7.0.0/3", "B")
    network.route("B", "7.8.0/11", "C", 6)
    network.route("B", "7.7.0/11", "D", 6)
    network.route("C", "0.0.0/0", "B")
    network.route("C", "0.0.0/0", "D", 6)
    network.route("D", "0.0.0/0", "B")
    network.route("D", "0.0.0/0", "C", 6)
    network.run(60.0)
    return network
