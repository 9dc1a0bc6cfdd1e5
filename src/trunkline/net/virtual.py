"""An event loop whose clock is virtual: waiting takes no time.

For tests and rehearsals of code that runs on a loop: timers, ``asyncio.sleep`` and tasks work as
ever, but when nothing is left to do the clock jumps to the next deadline. Nothing outside can be
waited for: a socket's answer would take real time, in which this clock stands still.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping

__all__ = ["VirtualLoop"]


class _Selector(selectors.DefaultSelector):
    """Selects without waiting, and says how long it would have waited."""

    waited: float = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not found and timeout is not None and timeout > 0:
            self.waited += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that begins at ``now`` seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self._clock = _Selector()
        self._begin = now
        super().__init__(self._clock)

    def time(self) -> float:
        """The virtual time, in seconds."""
        return self._begin + self._clock.waited

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, and all happen that is due in them."""
        self.run_until_complete(asyncio.sleep(seconds))
        self.settle()

    def settle(self) -> None:
        """Let everything happen that is due now."""
        for _ in range(_ROUNDS):
            self.run_until_complete(asyncio.sleep(0))

    def failures(self) -> list[Mapping[str, object]]:
        """What reached the loop's exception handler since the last call."""
        found, self._failures = self._failures, []
        return found

    _failures: list[Mapping[str, object]]

    def keep_failures(self) -> None:
        """Keep what reaches the exception handler, for `failures`."""
        self._failures = []
        self.set_exception_handler(lambda _, context: self._failures.append(context))


_ROUNDS = 20
"""Turns of the loop after which whatever wakes whatever has done so."""
