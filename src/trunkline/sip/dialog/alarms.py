"""Deadlines of any length that can be moved and called off.

Sessions and subscriptions last minutes to hours, each with an interval of its own, and a refresh
moves its deadlines; `trunkline.sip.timers` is for the few lengths that all transactions share.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import Protocol

__all__ = ["Alarms", "Sleeper"]


class Sleeper(Protocol):
    """What has alarms."""

    def on_alarm(self, name: str, now: float) -> None:
        """Do what was to be done at that time."""
        ...


class _Entry:
    __slots__ = ("at", "name", "number", "owner")

    def __init__(self, at: float, number: int, owner: Sleeper | None, name: str) -> None:
        self.at, self.number, self.owner, self.name = at, number, owner, name

    def __lt__(self, other: _Entry) -> bool:
        return (self.at, self.number) < (other.at, other.number)


class Alarms:
    """The alarms of all owners; of a name, an owner has one."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._set: dict[Sleeper, dict[str, _Entry]] = {}
        self._numbers = itertools.count()
        self._off = 0

    def set(self, owner: Sleeper, name: str, at: float) -> None:
        """Let ``owner`` be woken at ``at``, and no more at the time that was set before."""
        names = self._set.setdefault(owner, {})
        if name in names:
            self._call_off(names.pop(name))
        entry = names[name] = _Entry(at, next(self._numbers), owner, name)
        heapq.heappush(self._heap, entry)

    def clear(self, owner: Sleeper, *names: str) -> None:
        """Call off the alarms ``names`` of ``owner``, or all."""
        known = self._set.get(owner)
        if known is None:
            return
        for name in names or tuple(known):
            entry = known.pop(name, None)
            if entry is not None:
                self._call_off(entry)
        if not known:
            del self._set[owner]

    def at(self, owner: Sleeper, name: str) -> float | None:
        """When ``owner`` will be woken, None if it will not."""
        entry = self._set.get(owner, {}).get(name)
        return None if entry is None else entry.at

    def next_timeout(self) -> float | None:
        """The nearest deadline."""
        heap = self._heap
        while heap and heap[0].owner is None:
            heapq.heappop(heap)
            self._off -= 1
        return heap[0].at if heap else None

    def due(self, now: float) -> Iterator[tuple[Sleeper, str]]:
        """What is due by ``now``, the earliest first; one that another calls off does not come."""
        while (at := self.next_timeout()) is not None and at <= now:
            entry = heapq.heappop(self._heap)
            owner = entry.owner
            assert owner is not None
            names = self._set[owner]
            del names[entry.name]
            if not names:
                del self._set[owner]
            yield owner, entry.name

    def __len__(self) -> int:
        """How many are set."""
        return len(self._heap) - self._off

    def _call_off(self, entry: _Entry) -> None:
        entry.owner = None
        self._off += 1
        if self._off > 64 and self._off * 2 > len(self._heap):
            self._heap = [kept for kept in self._heap if kept.owner is not None]
            heapq.heapify(self._heap)
            self._off = 0
