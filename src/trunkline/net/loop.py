"""The event loop and its timers.

``new_event_loop`` gives uvloop's loop where it is installed and asyncio's elsewhere (PyPy); a
process has one. ``bench/waiting.py`` is the measurement behind it: on uvloop a wake-up costs what
it costs on a bare epoll loop of our own (1.01 times), on asyncio 1.25 times in the worst case of
one datagram per wake-up and 1.02 times under load; PyPy shows no difference. A private loop would
have to win by more than 20 % with what a node really runs on, and does not.

``TimerWheel`` keeps any number of deadlines behind a single timer of the loop. A hashed wheel
(Varghese and Lauck, scheme 6): a deadline goes into the slot of its tick, cancelling marks it, and
the loop is armed for the nearest tick that has anything in it. Setting and cancelling cost the
same with ten deadlines as with a hundred thousand; deadlines are met up to one tick late, and not
before their time by the loop's clock (uvloop's counts milliseconds).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

__all__ = ["Handle", "TimerWheel", "new_event_loop"]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, the fastest that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Handle:
    """A deadline that has been set; ``cancel`` costs the same whatever else is set."""

    __slots__ = ("_callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[], object]) -> None:
        self.deadline: Final = deadline
        self._callback: Callable[[], object] | None = callback

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, or has run."""
        return self._callback is None

    def cancel(self) -> None:
        """See that it does not run."""
        self._callback = None

    def run(self) -> None:
        """Call back, once, unless cancelled. For the wheel."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class TimerWheel:
    """Any number of deadlines behind one timer of the loop.

    ``tick`` is the resolution in seconds: deadlines in the same tick run together, in the order
    in which they were set.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: float = 0.01) -> None:
        self._loop = loop
        self._tick = tick
        self._slots: dict[int, list[Handle]] = {}
        self._order: list[int] = []  # heap of the ticks in _slots
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0
        self._closed = False

    def call_at(self, deadline: float, callback: Callable[[], object]) -> Handle:
        """Call ``callback`` when ``loop.time()`` has reached ``deadline``."""
        handle = Handle(deadline, callback)
        number = -int(-deadline // self._tick)  # rounded up: never early
        slot = self._slots.get(number)
        if slot is None:
            self._slots[number] = [handle]
            heappush(self._order, number)
            self._arm_for_nearest()
        else:
            slot.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[[], object]) -> Handle:
        """Call ``callback`` in ``delay`` seconds."""
        return self.call_at(self._loop.time() + delay, callback)

    def close(self) -> None:
        """Drop every deadline."""
        self._closed = True
        self._slots.clear()
        self._order.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm_for_nearest(self) -> None:
        if self._closed or not self._order:
            return
        nearest = self._order[0]
        if self._timer is not None:
            if self._armed_for <= nearest:
                return
            self._timer.cancel()
        self._armed_for = nearest
        self._timer = self._loop.call_at(nearest * self._tick, self._run)

    def _run(self) -> None:
        self._timer = None
        # The loop's clock may be a little behind the timer: the tick it was armed for is due.
        due = max(int(self._loop.time() // self._tick), self._armed_for)
        order, ready = self._order, []
        while order and order[0] <= due:
            ready += self._slots.pop(heappop(order))
        for handle in ready:  # a deadline set meanwhile waits for the next turn of the loop
            try:
                handle.run()
            except Exception as error:
                self._loop.call_exception_handler(
                    {"message": "a timer's callback raised an exception", "exception": error}
                )
        self._arm_for_nearest()
