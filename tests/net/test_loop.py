"""The timer wheel on a loop whose time is told, and on a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.net.loop import TimerWheel, new_event_loop


class ToldLoop:
    """As much of an event loop as the wheel uses; time passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.armed: list[ToldTimer] = []
        self.ever_armed = 0
        self.reported: list[object] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> ToldTimer:
        timer = ToldTimer(self, when, callback)
        self.armed.append(timer)
        self.ever_armed += 1
        return timer

    def call_exception_handler(self, context: dict[str, object]) -> None:
        self.reported.append(context["exception"])

    def run_until(self, when: float) -> None:
        while due := [timer for timer in self.armed if timer.when <= when]:
            timer = min(due, key=lambda timer: timer.when)
            self.now = max(self.now, timer.when)
            self.armed.remove(timer)
            timer.callback()
        self.now = when


class ToldTimer:
    def __init__(self, loop: ToldLoop, when: float, callback: Callable[[], None]) -> None:
        self.loop, self.when, self.callback = loop, when, callback

    def cancel(self) -> None:
        self.loop.armed.remove(self)


def wheel_on(loop: ToldLoop, tick: float = 0.01) -> TimerWheel:
    return TimerWheel(cast(asyncio.AbstractEventLoop, loop), tick)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_every_deadline_is_met_within_a_tick_and_none_early(
    deadlines: list[tuple[float, bool]],
) -> None:
    loop = ToldLoop()
    wheel = wheel_on(loop)
    met: dict[int, float] = {}

    def note(index: int) -> None:
        met[index] = loop.now

    for index, (delay, cancelled) in enumerate(deadlines):
        handle = wheel.call_later(delay, partial(note, index))
        if cancelled:
            handle.cancel()
        assert len(loop.armed) == 1
    loop.run_until(1101.0)
    assert met.keys() == {i for i, (_, cancelled) in enumerate(deadlines) if not cancelled}
    for index, moment in met.items():
        late = moment - (1000.0 + deadlines[index][0])
        assert -1e-9 < late <= 0.01 + 1e-9
    assert loop.armed == []


def test_thousands_of_deadlines_need_one_timer() -> None:
    loop = ToldLoop()
    wheel = wheel_on(loop)
    ran: list[int] = []
    for number in range(5000):
        wheel.call_later(1 + number / 1000, partial(ran.append, number))
    assert (len(loop.armed), loop.ever_armed) == (1, 1)
    loop.run_until(1010.0)
    assert ran == sorted(ran)
    assert len(ran) == 5000


def test_a_nearer_deadline_arms_anew_and_a_farther_one_does_not() -> None:
    loop = ToldLoop()
    wheel = wheel_on(loop)
    ran: list[str] = []
    wheel.call_later(5, lambda: ran.append("far"))
    wheel.call_later(9, lambda: ran.append("farther"))
    wheel.call_later(1, lambda: ran.append("near"))
    assert loop.ever_armed == 2
    loop.run_until(1020.0)
    assert ran == ["near", "far", "farther"]


def test_a_callback_may_set_and_cancel() -> None:
    loop = ToldLoop()
    wheel = wheel_on(loop)
    ran: list[float] = []
    victim = wheel.call_later(2, lambda: ran.append(-1))

    def again() -> None:
        ran.append(loop.now)
        victim.cancel()
        if len(ran) < 4:
            wheel.call_at(loop.now - 5, again)  # already past: runs, but in a turn of its own

    wheel.call_later(1, again)
    loop.run_until(1010.0)
    assert len(ran) == 4
    assert -1 not in ran
    assert victim.cancelled


def test_a_failing_callback_is_reported_and_the_others_run() -> None:
    loop = ToldLoop()
    wheel = wheel_on(loop)
    ran: list[int] = []

    def fail() -> None:
        raise ValueError("a bug")

    wheel.call_later(1, fail)
    wheel.call_later(1, lambda: ran.append(1))
    wheel.call_later(2, lambda: ran.append(2))
    loop.run_until(1010.0)
    assert ran == [1, 2]
    assert isinstance(loop.reported[0], ValueError)


def test_close_drops_everything() -> None:
    loop = ToldLoop()
    wheel = wheel_on(loop)
    wheel.call_later(1, lambda: pytest.fail("closed"))
    wheel.close()
    assert loop.armed == []
    wheel.call_later(1, lambda: pytest.fail("closed"))
    loop.run_until(1010.0)


def test_on_the_real_loop() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        wheel = TimerWheel(loop)
        begin = loop.time()
        done: asyncio.Future[float] = loop.create_future()
        wheel.call_later(0.03, lambda: done.set_result(loop.time()))
        assert 0.029 < await done - begin < 0.5
        wheel.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(scenario())
