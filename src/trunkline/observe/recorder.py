"""What a SIP element remembers of the last minutes: its messages, and why it did what it did.

One ring, bounded in octets and in time, of which the oldest goes first: its order is the order in
which things happened. Messages are kept as they were on the wire, so that what was edited on the
way shows when two of them are compared.

Keeping a message costs something (its memory is cold when it is used again), so under load only
some calls are kept, but whole: ``wants`` chooses by the Call-ID, more strictly while more than
``rate`` messages a second are kept. While somebody watches (``taps``) all are.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from trunkline.sip.transport import Flow

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["Note", "Recorder", "SeenMessage"]

_OVERHEAD = 300
"""Octets that a record costs beside what is in it, about."""


_SMALL = frozenset({int, Flow, type(None)})

_CALL_ID = re.compile(rb"\r\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


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


# Plain tuples: making a named one costs more than all the rest of remembering it.
_Message: TypeAlias = "tuple[float, Flow, bytes, bool]"
_Note: TypeAlias = "tuple[float, str, str, tuple[object, ...]]"


def _is_note(item: _Message | _Note) -> TypeIs[_Note]:
    return isinstance(item[1], str)


def _size_of(note: _Note) -> int:
    """Octets that a note costs, about: a text its length, a decision what it says in ``octets``."""
    size = _OVERHEAD
    for detail in note[3]:
        kind = type(detail)
        if kind is str:
            assert isinstance(detail, str)
            size += len(detail)
        elif kind not in _SMALL:  # asking those in vain costs more than all the rest
            size += getattr(detail, "octets", 0)
    return size


class Recorder:
    """The ring: messages and notes.

    ``limit`` counts octets, ``age`` seconds, ``rate`` messages a second.
    """

    def __init__(self, *, limit: int = 64 << 20, age: float = 900.0, rate: float = 2000.0) -> None:
        self.limit = limit
        self.age = age
        self.rate = rate
        self.taps: list[Callable[[SeenMessage], object]] = []
        """Who is shown every message as it passes."""
        self.passed_over = 0
        """Requests that were not kept because of the load."""
        self.forgotten = 0
        """Messages that had to go before their time, for want of room."""
        self._ring: deque[_Message | _Note] = deque()
        self._size = 0
        self._mask = 0
        self._since = 0.0
        self._kept = 0

    def wants(self, call_id: str) -> bool:
        """Whether the messages of a new request are kept: the same for all of a Call-ID."""
        if self._mask == 0 or self.taps or hash(call_id) & self._mask == 0:
            return True
        self.passed_over += 1
        return False

    def message(self, time: float, flow: Flow, data: bytes, sent: bool) -> None:
        """Remember a message."""
        self._ring.append((time, flow, data, sent))
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
        note = (time, call_id, kind, details)
        self._ring.append(note)
        self._size += _size_of(note)
        if self._size > self.limit:
            self._make_room()

    def _make_room(self) -> None:
        while self._size > self.limit and self._ring:
            self.forgotten += self._drop()

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        oldest = now - self.age
        while self._ring and self._ring[0][0] < oldest:
            self._drop()

    def _drop(self) -> bool:
        """Forget the oldest; whether it was a message."""
        item = self._ring.popleft()
        if _is_note(item):
            self._size -= _size_of(item)
            return False
        self._size -= len(item[2]) + _OVERHEAD
        return True

    def history(self, call_id: str) -> Iterator[SeenMessage | Note]:
        """Yield what is known of the requests with this Call-ID, in order."""
        wanted = call_id.encode("utf-8", "surrogateescape")
        for item in self._ring:
            if _is_note(item):
                if item[1] == call_id:
                    yield Note._make(item)
            # Most are sorted out by their octets; the header decides, not a body that quotes it.
            elif wanted in item[2] and call_id_of(item[2]) == call_id:
                yield SeenMessage._make(item)

    def messages(self, call_id: str | None = None) -> Iterator[SeenMessage]:
        """Yield the messages with this Call-ID, or all, in order."""
        if call_id is not None:
            yield from (item for item in self.history(call_id) if isinstance(item, SeenMessage))
            return
        for item in self._ring:
            if not _is_note(item):
                yield SeenMessage._make(item)

    def call_ids(self, limit: int, prefix: str = "") -> list[str]:
        """Return the Call-IDs seen last, the newest first, ``limit`` at most."""
        wanted = prefix.encode("utf-8", "surrogateescape")
        found: dict[str, None] = {}
        for item in reversed(self._ring):
            if _is_note(item) or wanted not in item[2]:
                continue
            call_id = call_id_of(item[2])
            if call_id and call_id.startswith(prefix):
                found.setdefault(call_id)
                if len(found) >= limit:
                    break
        return [*found]

    def calls(self, call_ids: Iterable[str]) -> dict[str, list[SeenMessage]]:
        """Return the messages of each of these Call-IDs, in order."""
        found: dict[str, list[SeenMessage]] = {call_id: [] for call_id in call_ids}
        for item in self._ring:
            if not _is_note(item) and (known := found.get(call_id_of(item[2]))) is not None:
                known.append(SeenMessage._make(item))
        return found


def call_id_of(data: bytes) -> str:
    """Return a message's Call-ID, empty if it has none."""
    found = _CALL_ID.search(data)
    if found is None:
        return ""
    end = data.find(b"\r\n\r\n")
    if 0 <= end < found.start():
        return ""
    return found[1].strip().decode("utf-8", "surrogateescape")
