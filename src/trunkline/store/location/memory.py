"""The location service in this process: it ends with the process.

Its methods never wait, so that they are atomic on the process's loop, and each has a twin without
``async`` for code that cannot wait (``get_now`` and the like).

Expiry is a heap of (time, address-of-record) with an entry for each address, at its earliest end or
before: a refresh does not touch the heap, and an entry that comes too early is put back at the
right time. So an address costs O(log n) once in each lifetime of its bindings, not at every
refresh. Entries without a purpose (of addresses gone, of ends that came earlier) are swept when
they are more than the others.

``limit`` contacts at most: an update that would exceed it is refused (``store.location-full``,
``refused`` counts), those that remove or refresh go through.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from heapq import heapify, heappop, heappush
from typing import Final, TypeVar

from trunkline.sip.binding import Bindings
from trunkline.store.location.interface import Compute, Count, Gone, full

__all__ = ["MemoryLocation"]

T = TypeVar("T")

_SLACK: Final = 1024
"""Entries of the heap that may be without a purpose before it is looked through."""


class MemoryLocation:
    """A :class:`~trunkline.store.location.interface.Location` in memory.

    Raises:
        TrunklineError: ``store.location-full`` by updates.
    """

    def __init__(self, *, limit: int = 1_000_000) -> None:
        self.limit = limit
        self.refused = 0
        self._bindings: dict[str, Bindings] = {}
        self._contacts = 0
        self._ends: list[tuple[float, str]] = []
        self._scheduled: dict[str, float] = {}

    def get_now(self, aor: str, now: float) -> Bindings:
        """See :meth:`get`."""
        found = self._bindings.get(aor)
        if found is None:
            return ()
        for binding in found:
            if binding.expires <= now:
                return tuple(b for b in found if b.expires > now)
        return found

    def update_now(self, aor: str, compute: Compute[T]) -> T:
        """See :meth:`update`."""
        old = self._bindings.get(aor, ())
        new, answer = compute(old)
        if new is None:
            return answer
        growth = len(new) - len(old)
        if growth > 0 and self._contacts + growth > self.limit:
            self.refused += 1
            raise full(aor, self._contacts, self.limit)
        self._store(aor, new, growth)
        return answer

    def count_now(self) -> Count:
        """See :meth:`count`."""
        return Count(len(self._bindings), self._contacts)

    def expire_now(self, now: float, limit: int = 1000) -> list[Gone]:
        """See :meth:`expire`."""
        gone: list[Gone] = []
        while self._ends and len(gone) < limit:
            scheduled, aor = self._ends[0]
            if scheduled > now:
                break
            heappop(self._ends)
            if self._scheduled.get(aor) != scheduled:
                continue  # an earlier entry has taken its place
            del self._scheduled[aor]
            kept = []
            for binding in self._bindings.get(aor, ()):
                if binding.expires <= now and len(gone) < limit:
                    gone.append(Gone(aor, binding))
                    self._contacts -= 1
                else:
                    kept.append(binding)
            if kept:
                self._bindings[aor] = tuple(kept)
                self._schedule(aor, self._bindings[aor])
            else:
                self._bindings.pop(aor, None)
        return gone

    def next_expiry(self) -> float | None:
        """When :meth:`expire` may have something to do next; ``None``: nothing is registered."""
        return self._ends[0][0] if self._ends else None

    async def get(self, aor: str, now: float) -> Bindings:
        """See :class:`Location`."""
        return self.get_now(aor, now)

    async def update(self, aor: str, compute: Compute[T]) -> T:
        """See :class:`Location`."""
        return self.update_now(aor, compute)

    async def count(self) -> Count:
        """See :class:`Location`."""
        return self.count_now()

    async def expire(self, now: float, limit: int = 1000) -> list[Gone]:
        """See :class:`Location`."""
        return self.expire_now(now, limit)

    async def every(self, now: float) -> AsyncIterator[tuple[str, Bindings]]:
        """See :class:`Location`."""
        for aor in list(self._bindings):
            found = self.get_now(aor, now)
            if found:
                yield aor, found

    def _store(self, aor: str, new: Bindings, growth: int) -> None:
        self._contacts += growth
        if not new:
            # Its entry in the heap stays until its time: it may come back before that.
            self._bindings.pop(aor, None)
        else:
            self._bindings[aor] = new
            self._schedule(aor, new)
        if len(self._ends) > 2 * len(self._bindings) + _SLACK:
            self._scheduled = {
                aor: min(binding.expires for binding in found)
                for aor, found in self._bindings.items()
            }
            self._ends = [(end, aor) for aor, end in self._scheduled.items()]
            heapify(self._ends)

    def _schedule(self, aor: str, bindings: Bindings) -> None:
        earliest = min(binding.expires for binding in bindings)
        if earliest < self._scheduled.get(aor, math.inf):
            heappush(self._ends, (earliest, aor))
            self._scheduled[aor] = earliest
