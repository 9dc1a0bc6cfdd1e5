"""An event loop whose time runs as fast as its work: where it would sleep, its clock jumps.

Alignment, proving and the supervision of calls take their seconds by the loop's clock and next to
nothing by ours, and a test that counts them counts the same every time. Sockets within the process
work as ever: the clock only moves when none of them has anything to read.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["EPOCH", "JumpingLoop", "run"]

EPOCH = 1_700_000_000.0
"""What the wall clock shows when the loop's clock shows 0."""

LIMIT = 4000.0
"""Seconds by the loop's clock after which no test has anything to wait for."""

_T = TypeVar("_T")


class _Selector(selectors.DefaultSelector):
    """Waits for nobody: says how long it would have waited instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.patient: Callable[[], bool] = lambda: False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.patient():
            ready = super().select(10.0)
            assert ready, "whom the test waits for says nothing"
            return ready
        if timeout is None:
            ready = super().select(1.0)  # nothing is due: only a socket can go on
            assert ready, "everything waits for something that will not come"
            return ready
        self.now += max(timeout, 0.0)
        assert self.now < LIMIT, f"the test waits for what has not come in {LIMIT} seconds"
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """The loop; ``time`` begins at 0."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)
        self.errors: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self._clock.now

    def wait_for(self, patient: Callable[[], bool]) -> None:
        """Let the clock stand still while ``patient`` says so: another thread is at work."""
        self._clock.patient = patient

    def wall(self) -> float:
        """Seconds since the epoch, in step with the loop's clock."""
        return EPOCH + self._clock.now


def run(main: Coroutine[Any, Any, _T], *, faults: int = 0) -> _T:
    """Run ``main`` on a jumping loop; ``faults`` exceptions may reach its exception handler."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        result = runner.run(main)
        loop = runner.get_loop()
        assert isinstance(loop, JumpingLoop)
        assert len(loop.errors) == faults, loop.errors
        return result
