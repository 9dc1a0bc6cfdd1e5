"""SCTP in memory: stacks of one event loop, joined by the addresses and ports they are opened with.

It keeps the promises of ``trunkline.net.sctp.interface`` that elements rely on: both ends come up,
batches arrive in order in a later turn of the loop, an association that ends comes back after
``RECONNECT``, a cut that nobody announces is noticed after ``DETECTION``, and what was sent
meanwhile arrives if it is mended before. Packets shown to a tap have real headers and DATA chunks;
there is neither an acknowledgement nor a checksum in them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from trunkline.net.sctp import (
    AssociationSettings,
    AssociationStats,
    Handler,
    Packet,
    StackStats,
    Tap,
)

__all__ = ["DETECTION", "RECONNECT", "FakeAssociation", "FakeStack", "Wire"]

LATENCY = 0.005
RECONNECT = 1.0
DETECTION = 4.0

Batch = list[tuple[int, bytes]]


@dataclass
class Wire:
    """What joins the stacks: the associations that are open, and which address pairs are cut."""

    stacks: list[FakeStack] = field(default_factory=list)
    cuts: set[frozenset[str]] = field(default_factory=set)

    def stack(self, loop: asyncio.AbstractEventLoop) -> FakeStack:
        """A new process's SCTP."""
        stack = FakeStack(self, loop)
        self.stacks.append(stack)
        return stack

    def peer_of(self, one: FakeAssociation) -> FakeAssociation | None:
        """The association at the other end, if somebody holds it open."""
        mine = one.settings
        for stack in self.stacks:
            for other in stack.associations:
                theirs = other.settings
                if (
                    other is not one
                    and set(mine.local) & set(theirs.remote)
                    and set(mine.remote) & set(theirs.local)
                    and (mine.local_port, mine.remote_port)
                    == (theirs.remote_port, theirs.local_port)
                ):
                    return other
        return None

    def passes(self, one: FakeAssociation) -> bool:
        """Whether some pair of its addresses is not cut."""
        return one.route() is not None


class FakeStack:
    """See ``interface.Stack``."""

    backend = "memory"

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
        self.wire = wire
        self.loop = loop
        self.stats = StackStats()
        self.associations: list[FakeAssociation] = []
        self.tap: Tap | None = None
        self.refuse: Exception | None = None
        """Raised by the next ``open``, as when an address cannot be bound."""

    def open(self, settings: AssociationSettings, handler: Handler) -> FakeAssociation:
        if self.refuse is not None:
            problem, self.refuse = self.refuse, None
            raise problem
        association = FakeAssociation(self, settings, handler)
        self.associations.append(association)
        association.connect_later(LATENCY)
        return association

    def set_tap(self, tap: Tap | None) -> None:
        self.tap = tap

    def block(self, local: str, remote: str, blocked: bool) -> None:
        pair = frozenset((local, remote))
        (self.wire.cuts.add if blocked else self.wire.cuts.discard)(pair)
        for stack in self.wire.stacks:
            for association in stack.associations:
                association.wire_changed()

    def close(self) -> None:
        for association in list(self.associations):
            association.close()
        if self in self.wire.stacks:
            self.wire.stacks.remove(self)

    def kill(self) -> None:
        """End without a word, as a process does by ``kill -9``."""
        self.wire.stacks.remove(self)
        for association in self.associations:
            association.closed = True
            association.up = False
        self.associations.clear()


class FakeAssociation:
    """See ``interface.Association``."""

    def __init__(self, stack: FakeStack, settings: AssociationSettings, handler: Handler) -> None:
        self.stack = stack
        self.settings = settings
        self.handler = handler
        self.up = False
        self.closed = False
        self.peer: FakeAssociation | None = None
        self._stats = AssociationStats()
        self._held: list[Batch] = []
        self._flying: deque[tuple[FakeAssociation, Batch]] = deque()
        self._tsn = 1
        self._silence: asyncio.TimerHandle | None = None

    # the interface

    def stats(self) -> AssociationStats:
        return self._stats

    def send(self, batch: Sequence[tuple[int, bytes]]) -> None:
        assert not self.closed, "sent on a closed association"
        if not self.up:
            self._stats.not_up += len(batch)
            return
        self._stats.messages_out += len(batch)
        self._stats.octets_out += sum(len(data) for _, data in batch)
        self._held.append(list(batch))
        self._show(batch)
        self._flush()

    def abort(self) -> None:
        self._end("aborted", "aborted by the peer")

    def shutdown(self) -> None:
        self._end("shut down", "shut down by the peer")

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.stack.associations.remove(self)
        peer, self.peer, self.up = self.peer, None, False
        if peer is not None and peer.peer is self and self.stack.wire.passes(self):
            peer.lose("aborted by the peer")

    # the wire

    def inject(self, *messages: tuple[int, bytes]) -> None:
        """Have the handler hear ``messages``, as if the peer had sent them."""
        self._deliver(list(messages))

    def route(self) -> tuple[str, str] | None:
        """The first pair of addresses that is not cut."""
        for local in self.settings.local:
            for remote in self.settings.remote:
                if frozenset((local, remote)) not in self.stack.wire.cuts:
                    return local, remote
        return None

    def connect_later(self, delay: float) -> None:
        self.stack.loop.call_later(delay, self._connect)

    def wire_changed(self) -> None:
        """The cuts are others: notice a silence, or go on after a short one."""
        if not self.up:
            return
        if self.route() is None:
            if self._silence is None:
                self._silence = self.stack.loop.call_later(DETECTION, self.lose, "no answer")
        elif self._silence is not None:
            self._silence.cancel()
            self._silence = None
            self._flush()

    def lose(self, reason: str) -> None:
        """Gone; tell the handler in a later turn, and try again after a while."""
        if not self.up:
            return
        self.up, self.peer = False, None
        self._held.clear()
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        self._stats.lost += 1
        self._tell(lambda: self.handler.association_down(self._now(), reason))
        self.connect_later(RECONNECT)

    def _end(self, mine: str, theirs: str) -> None:
        if not self.up:
            return
        peer = self.peer
        self.lose(mine)
        if peer is not None and self.stack.wire.passes(self):
            peer.lose(theirs)

    def _connect(self) -> None:
        if self.up or self.closed:
            return
        peer = self.stack.wire.peer_of(self)
        if peer is None or peer.closed or not self.stack.wire.passes(self):
            self._stats.failed_attempts += 1
            self.connect_later(RECONNECT)
            return
        self._come_up(peer)
        if peer.up:  # it knew an earlier one of us, and has not noticed that it is gone
            peer.peer = self
            peer._held.clear()
            peer._stats.restarts += 1
            peer._tell(lambda: peer.handler.association_restart(peer._now()))
        else:
            peer._come_up(self)

    def _come_up(self, peer: FakeAssociation) -> None:
        self.peer, self.up = peer, True
        self._stats.established += 1
        self._tell(lambda: self.handler.association_up(self._now()))

    def _flush(self) -> None:
        peer = self.peer
        if peer is None or self.route() is None:
            return
        held, self._held = self._held, []
        for batch in held:
            # In order: timers of one moment ring in any.
            self._flying.append((peer, batch))
            self.stack.loop.call_later(LATENCY, self._arrive)

    def _arrive(self) -> None:
        peer, batch = self._flying.popleft()
        if self.peer is peer and peer.peer is self:
            peer._show(batch, sender=self)
            peer._deliver(batch)

    def _deliver(self, batch: Batch) -> None:
        self._stats.messages_in += len(batch)
        self._stats.octets_in += sum(len(data) for _, data in batch)
        self._tell(lambda: self.handler.messages(batch, self._now()), at_once=True)

    def _tell(self, tell: object, *, at_once: bool = False) -> None:
        def guarded() -> None:
            if self.closed:
                return
            try:
                tell()  # type: ignore[operator]
            except Exception as error:
                self.stack.stats.handler_errors += 1
                self.stack.loop.call_exception_handler(
                    {"message": "a handler failed", "exception": error}
                )

        if at_once:
            guarded()
        else:
            self.stack.loop.call_soon(guarded)

    def _show(
        self, batch: Sequence[tuple[int, bytes]], sender: FakeAssociation | None = None
    ) -> None:
        """One packet with a DATA chunk for each message (RFC 9260, 3 and 3.3.1)."""
        way = self.route()
        if self.stack.tap is None or way is None:
            return
        source = sender or self
        ends = source.settings
        header = ends.local_port.to_bytes(2, "big") + ends.remote_port.to_bytes(2, "big")
        chunks = b""
        for stream, data in batch:
            length = 16 + len(data)
            chunks += (
                b"\x00\x03"
                + length.to_bytes(2, "big")
                + self._tsn.to_bytes(4, "big")
                + stream.to_bytes(2, "big")
                + b"\x00\x00"
                + ends.ppid.to_bytes(4, "big")
                + data
                + bytes(-length % 4)
            )
            self._tsn += 1
        local, remote = way
        near, far = (local, remote) if sender is None else (remote, local)
        packet = header + b"\x12\x34\x56\x78" + bytes(4) + chunks
        self.stack.tap(Packet(time.time(), near, far, sender is None, packet))

    def _now(self) -> float:
        return self.stack.loop.time()
