"""What a SIP element remembers of the last minutes: its messages, and why it did what it did.

Two rings, bounded in octets and in time, of which the oldest goes first. Messages are kept as they
were on the wire, so that what was edited on the way shows when two of them are compared.

Keeping a message costs something (its memory is cold when it is used again), so under load only
some calls are kept, but whole: ``wants`` chooses by the Call-ID, more strictly while more than
``rate`` messages a second are kept. While somebody watches (``taps``) all are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from trunkline.sip.transport import Flow

__all__ = ["Note", "Recorder", "SeenMessage"]

_OVERHEAD = 300
"""Octets that a record costs beside what is in it, about."""


class SeenMessage(NamedTuple):
    """A message that passed; ``time`` in seconds by the element's clock."""

    time: float
    flow: Flow
    data: bytes
    sent: bool


class Note(NamedTuple):
    """A step of a request's way; ``details`` depend on ``kind``."""

    time: float
    call_id: str
    kind: str
    details: tuple[object, ...]


class Recorder:
    """The two rings.

    ``limit`` counts octets, both rings together; ``age`` seconds; ``rate`` messages a second.
    """

    def __init__(self, *, limit: int = 64 << 20, age: float = 900.0, rate: float = 2000.0) -> None:
        self.limit = limit
        self.age = age
        self.rate = rate
        self.taps: list[Callable[[SeenMessage], object]] = []
        """Who is shown every message as it passes."""
        self.passed_over = 0
        """Transactions that were not kept because of the load."""
        self.forgotten = 0
        """Messages that had to go before their time, for want of room."""
        # Plain tuples: making a named one costs more than all the rest of remembering it.
        self._messages: deque[tuple[float, Flow, bytes, bool]] = deque()
        self._notes: deque[tuple[float, str, str, tuple[object, ...]]] = deque()
        self._size = 0
        self._mask = 0
        self._since = 0.0
        self._kept = 0

    def wants(self, call_id: str) -> bool:
        """Whether the messages of a new transaction are kept: the same for all of a Call-ID."""
        if self._mask == 0 or self.taps or hash(call_id) & self._mask == 0:
            return True
        self.passed_over += 1
        return False

    def message(self, time: float, flow: Flow, data: bytes, sent: bool) -> None:
        """Remember a message."""
        self._messages.append((time, flow, data, sent))
        self._size += len(data) + _OVERHEAD
        if self._size > self.limit:
            self._make_room()
        if self.taps:
            seen = SeenMessage(time, flow, data, sent)
            for tap in self.taps:
                tap(seen)
        self._kept += 1
        if time - self._since >= 1.0:
            self._choose(time)

    def _choose(self, now: float) -> None:
        """Once a second: be stricter, or less strict."""
        rate = self._kept / (now - self._since)
        self._since, self._kept = now, 0
        if rate > self.rate:
            self._mask = self._mask << 1 | 1
        elif rate < self.rate / 4:
            self._mask >>= 1
        self.expire(now)

    def note(self, time: float, call_id: str, kind: str, details: tuple[object, ...]) -> None:
        """Remember a step."""
        self._notes.append((time, call_id, kind, details))
        self._size += _OVERHEAD

    def _make_room(self) -> None:
        while self._size > self.limit and self._messages:
            time, _, data, _ = self._messages.popleft()
            self._size -= len(data) + _OVERHEAD
            self.forgotten += 1
            while self._notes and self._notes[0][0] <= time:
                self._notes.popleft()
                self._size -= _OVERHEAD

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        oldest = now - self.age
        while self._messages and self._messages[0][0] < oldest:
            self._size -= len(self._messages.popleft()[2]) + _OVERHEAD
        while self._notes and self._notes[0][0] < oldest:
            self._notes.popleft()
            self._size -= _OVERHEAD

    def messages(self, call_id: str | None = None) -> Iterator[SeenMessage]:
        """Yield the messages with this Call-ID, or all, in order."""
        if call_id is None:
            yield from map(SeenMessage._make, self._messages)
            return
        wanted = call_id.encode("utf-8", "surrogateescape")
        for seen in map(SeenMessage._make, self._messages):
            # Most are sorted out by their octets; the header decides, not a body that quotes it.
            if wanted in seen.data and call_id_of(seen.data) == call_id:
                yield seen

    def notes(self, call_id: str) -> list[Note]:
        """Return the steps of the requests with this Call-ID, in order."""
        return [Note._make(note) for note in self._notes if note[1] == call_id]

    def call_ids(self, limit: int) -> list[str]:
        """Return the Call-IDs seen last, the newest first, ``limit`` at most."""
        found: dict[str, None] = {}
        for _, _, data, _ in reversed(self._messages):
            found.setdefault(call_id_of(data))
            if len(found) >= limit:
                break
        return [call_id for call_id in found if call_id]


def call_id_of(data: bytes) -> str:
    """Return a message's Call-ID, empty if it has none."""
    head = data.partition(b"\r\n\r\n")[0]
    for row in head.split(b"\r\n")[1:]:
        name, _, value = row.partition(b":")
        if name.strip().lower() in (b"call-id", b"i"):
            return value.strip().decode("utf-8", "surrogateescape")
    return ""
