"""Several processes on the same ports: who has a transaction, and how strays get there.

The kernel spreads datagrams over the processes by their two ends (SO_REUSEPORT), so what belongs
together may arrive apart: a response comes from elsewhere than the request came from, and about
half of all do reach another worker.

- *Responses* carry the worker that sent the request in the branch of our Via.
- *Requests of a dialog* carry the worker that saw it begin in our Record-Route.
- *Requests that match a transaction elsewhere* (a retransmission, a CANCEL, an ACK to a failure)
  are found by a table in shared memory: a transaction's key claims a slot when it begins. That of
  an INVITE lasts while it rings: each 1xx renews it, since a CANCEL may come that late.

A stray is handed over as it came, by a datagram socket between the processes. Each item begins with
an octet of ours that says what it is, so that nothing that came from the network can be taken for
anything but a message. Bounds: what does not fit into a socket's buffer is dropped and counted,
like a lost datagram; a message larger than the buffer is dealt with where it came, or is dropped
and counted; the table has a fixed size, and a claim that finds no free slot takes the place of the
oldest of four, which is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trunkline.errors import TrunklineError
from trunkline.sip.transport import Flow, Transport

__all__ = ["Shared", "WorkerCounters", "Workers", "control_name"]

_SLOTS = 1 << 20  # of 8 octets; 40 s of 3000 requests a second fill a tenth
_WAYS = 4
_AGE = 0xFFFF
_LIFE = 40  # seconds: 64*T1 and a little, RFC 3261 section 17
_RINGING = 240  # of an INVITE that is not answered: Timer C, 64*T1, and a little
_LASTING = 1 << 23  # marks a slot of such a one; below it the worker's number, and the time
_BATCH = 64
_BUFFER = 1 << 20
_OVERHEAD = 32  # octets of SO_SNDBUF that are not for the message: unix_dgram_sendmsg
_LONGEST_HEAD = 256

_BRANCH = re.compile(rb"branch=z9hG4bKw(\d{1,2})\.")
_ROUTE = re.compile(rb"\r\n[Rr]oute[ \t]*:[^\r\n]*?;w=(\d{1,2})[;>]")
_NOWHERE = -1
# What is handed over: the first octet of each item.
_MESSAGE = b"M"
_TO_SEND = b"S"
_LOST = b"L"
_RETURNED = b"R"


def control_name(node: str, index: int) -> str:
    """What a worker's control socket is called: the node's name; all but the first add a number."""
    return f"{node}.{index}" if index else node


class Shared:
    """What the workers of a node share; made before they part."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._map = mmap.mmap(-1, _SLOTS * 8)
        self.slots = memoryview(self._map).cast("Q")
        self.served = mmap.mmap(-1, count)
        """1 for each worker that has ever begun to work."""
        self.lifeline = socket.socketpair()
        """Nobody writes: its end is that of the parent, which alone may write."""
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        for _ in range(count):
            reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            for end in (reader, writer):
                end.setblocking(False)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self.pairs.append((reader, writer))
        granted = self.pairs[0][1].getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self.largest = granted - _OVERHEAD
        """Octets that the system lets one item have (net.core.wmem_max decides)."""

    def close(self) -> None:
        """Close the sockets and give the memory back."""
        for reader, writer in (*self.pairs, self.lifeline):
            reader.close()
            writer.close()
        self.slots.release()
        self._map.close()
        self.served.close()


@dataclass(slots=True)
class WorkerCounters:
    """Messages between workers, from this one's point of view."""

    handed_over: int = 0
    taken_over: int = 0
    dropped: int = 0
    """Strays that the other worker's socket had no room for."""
    oversized: int = 0
    """Messages that are too large to be handed over."""
    displaced: int = 0
    """Claims that took the place of a younger transaction's: its strays may get lost."""


class Workers:
    """One worker's view of all of them."""

    def __init__(
        self,
        shared: Shared,
        index: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.index = index
        self.counters = WorkerCounters()
        self._shared = shared
        self._slots = shared.slots
        self._clock = clock
        self._inbox = shared.pairs[index][0]
        self._outboxes = [writer for _, writer in shared.pairs]
        self._largest = shared.largest - _LONGEST_HEAD
        self._buffer = memoryview(bytearray(shared.largest))
        self._written: dict[Flow, bytes] = {}
        self._read: dict[bytes, Flow] = {}

    @property
    def prefix(self) -> str:
        """What this worker's branches begin with, behind the cookie."""
        return f"w{self.index}."

    @property
    def route_parameter(self) -> str:
        """What this worker adds to its Record-Route."""
        return f";w={self.index}"

    # life

    def serves(self) -> None:
        """Say that this worker does its work: what ends it from now on is no reason to give up."""
        self._shared.served[self.index] = 1

    def outlive_nobody(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
        """Call ``stop`` when the parent has ended, however: nobody else would end this worker."""
        reader, writer = self._shared.lifeline
        writer.close()

        def ended() -> None:
            loop.remove_reader(reader)
            stop()

        loop.add_reader(reader, ended)

    # whose is it?

    def owner(self, data: bytes) -> int:
        """Return the worker that the octets say they are for; ours if they say nothing.

        What is too large to be handed over is ours, too.
        """
        found = None
        if data.startswith(b"SIP/2.0 "):
            found = _BRANCH.search(data)
        elif b";w=" in data:
            found = _ROUTE.search(data)
        if found is None:
            return self.index
        worker = int(found[1])
        if worker >= self._shared.count or len(data) > self._largest:
            return self.index
        return worker

    def find(self, key: str) -> int:
        """Return the other worker that has the transaction, -1 if none has."""
        number = hash(key) & 0xFFFFFFFFFFFFFFFF
        mark = number >> 24
        now = int(self._clock()) & _AGE
        slots = self._slots
        for way in range(_WAYS):
            entry = slots[(number + way) & (_SLOTS - 1)]
            life = _RINGING if entry & _LASTING else _LIFE
            if entry >> 24 == mark and (now - entry) & _AGE <= life:
                worker = (entry >> 16) & 0x7F
                return worker if worker != self.index else _NOWHERE
        return _NOWHERE

    def claim(self, key: str) -> int:
        """Say that the transaction is ours; if another worker was first, return it, else -1."""
        number = hash(key) & 0xFFFFFFFFFFFFFFFF
        mark = number >> 24
        now = int(self._clock()) & _AGE
        slots = self._slots
        free, oldest, age = -1, number & (_SLOTS - 1), -1
        for way in range(_WAYS):
            at = (number + way) & (_SLOTS - 1)
            entry = slots[at]
            since = (now - entry) & _AGE
            if entry == 0 or since > (_RINGING if entry & _LASTING else _LIFE):
                free = at if free < 0 else free
            elif entry >> 24 == mark:
                worker = (entry >> 16) & 0x7F
                return worker if worker != self.index else _NOWHERE
            elif since > age:
                oldest, age = at, since
        if free < 0:
            self.counters.displaced += 1
            free = oldest
        lasting = _LASTING if key.endswith(" INVITE") else 0
        slots[free] = mark << 24 | lasting | self.index << 16 | now
        return _NOWHERE

    def renew(self, key: str, lasting: bool) -> None:
        """Say that a transaction that is ours lives on: while it rings, or for 64*T1."""
        number = hash(key) & 0xFFFFFFFFFFFFFFFF
        mark = number >> 24
        slots = self._slots
        for way in range(_WAYS):
            at = (number + way) & (_SLOTS - 1)
            if slots[at] >> 24 == mark:
                now = int(self._clock()) & _AGE
                kept = _LASTING if lasting else 0
                slots[at] = mark << 24 | kept | self.index << 16 | now
                return

    # handing over

    def hand_over(self, worker: int, flow: Flow, data: bytes, kind: bytes = _MESSAGE) -> bool:
        """Give a message to ``worker`` as it came by ``flow``; whether it is on its way."""
        head = self._written.get(flow)
        if head is None:
            head = self._write(flow)
        if len(data) > self._largest:
            self.counters.oversized += 1
            return False
        try:
            self._outboxes[worker].send(kind + head + data)
        except OSError:  # its buffer is full
            self.counters.dropped += 1
            return False
        self.counters.handed_over += 1
        return True

    def send_by(self, worker: int, flow: Flow, data: bytes) -> bool:
        """Have ``worker`` send a message on a connection that it has; False: it does not leave."""
        return self.hand_over(worker, flow, data, _TO_SEND)

    def tell_lost(self, flow: Flow, reason: str) -> None:
        """Tell all others that a connection is no more by which they sent."""
        notice = reason.encode(errors="replace")
        for worker in range(self._shared.count):
            if worker != self.index:
                self.hand_over(worker, flow, notice, _LOST)

    def give_back(self, flow: Flow, problem: TrunklineError, data: bytes) -> bool:
        """Return a request that did not arrive to the worker that sent it; False: that was us."""
        found = None if data.startswith(b"SIP/2.0 ") else _BRANCH.search(data)
        worker = self.index if found is None else int(found[1])
        if worker == self.index or worker >= self._shared.count:
            return False
        reason = problem.message.replace("\n", " ").encode(errors="replace")
        self.hand_over(worker, flow, reason + b"\n" + data, _RETURNED)
        return True

    def listen(
        self,
        loop: asyncio.AbstractEventLoop,
        receive: Callable[[Sequence[tuple[bytes, Flow]]], object],
        send: Callable[[Flow, bytes], object],
        lost: Callable[[Flow, str], object],
        returned: Callable[[Flow, str, list[bytes]], object],
    ) -> None:
        """Give on what other workers hand over.

        Messages go to ``receive``, or to ``send`` if they are to leave; connections of theirs that
        are no more to ``lost``, requests of ours that did not arrive to ``returned``.
        """
        buffer = self._buffer

        def take(batch: list[tuple[bytes, Flow]]) -> None:
            for _ in range(_BATCH):
                size = self._inbox.recv_into(buffer)
                head, _, data = bytes(buffer[1:size]).partition(b"\n")
                flow = self._read.get(head) or self._parse(head)
                kind = buffer[:1]
                if kind == _MESSAGE:
                    batch.append((data, flow))
                elif kind == _TO_SEND:
                    send(flow, data)
                elif kind == _LOST:
                    lost(flow, data.decode())
                else:
                    reason, _, head = data.partition(b"\n")
                    returned(flow, reason.decode(), [head])

        def wake() -> None:
            batch: list[tuple[bytes, Flow]] = []
            try:
                with contextlib.suppress(BlockingIOError):
                    take(batch)
            finally:  # whatever becomes of an item, the messages before it are not lost
                if batch:
                    self.counters.taken_over += len(batch)
                    receive(batch)

        loop.add_reader(self._inbox.fileno(), wake)

    def deafen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take nothing more."""
        loop.remove_reader(self._inbox.fileno())

    def _write(self, flow: Flow) -> bytes:
        (host, port), (our_host, our_port) = flow.remote, flow.local
        words = (flow.transport.value, host, port, our_host, our_port, flow.connection)
        head = " ".join(map(str, words)).encode() + b"\n"
        if len(self._written) >= _SLOTS >> 6:
            self._written.clear()
        self._written[flow] = head
        return head

    def _parse(self, head: bytes) -> Flow:
        kind, host, port, our_host, our_port, connection = head.decode().split(" ")
        flow = Flow(Transport(kind), (host, int(port)), (our_host, int(our_port)), int(connection))
        if len(self._read) >= _SLOTS >> 6:
            self._read.clear()
        self._read[head] = flow
        return flow
