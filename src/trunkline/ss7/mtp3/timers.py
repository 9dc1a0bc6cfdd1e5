"""A handful of named deadlines, with the next one at hand.

The router asks for the next deadline after every wake-up, and changes one now and then: so asking
is an attribute and changing is a dictionary entry. Left out: periodic timers; whoever wants one
sets it again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Timers"]


_K = TypeVar("_K", bound=Hashable)


class Timers(Generic[_K]):
    """Deadlines in seconds by key; setting a key again moves its deadline."""

    __slots__ = ("_deadlines", "_next", "_stale")

    def __init__(self) -> None:
        self._deadlines: dict[_K, float] = {}
        self._next: float | None = None
        self._stale = False

    def set(self, key: _K, when: float) -> None:
        """Make ``key`` due at ``when``."""
        self._deadlines[key] = when
        self._stale = True

    def cancel(self, key: _K) -> None:
        """Forget ``key`` if it is there."""
        if self._deadlines.pop(key, None) is not None:
            self._stale = True

    def deadline(self, key: _K) -> float | None:
        """Return when ``key`` is due; ``None`` if it is not set."""
        return self._deadlines.get(key)

    def running(self, key: _K) -> bool:
        """Tell whether ``key`` is yet to come."""
        return key in self._deadlines

    def next(self) -> float | None:
        """Return the earliest deadline."""
        if self._stale:
            self._next = min(self._deadlines.values(), default=None)
            self._stale = False
        return self._next

    def due(self, now: float) -> list[_K]:
        """Take out and return what is due, the earliest first."""
        first = self.next()
        if first is None or first > now:
            return []
        due = sorted(
            (when, order, key)
            for order, (key, when) in enumerate(self._deadlines.items())
            if when <= now
        )
        for _, _, key in due:
            del self._deadlines[key]
        self._stale = True
        return [key for _, _, key in due]
