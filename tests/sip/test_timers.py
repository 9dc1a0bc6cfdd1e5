"""The timers' queue: order, staleness, bounds, and time that goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.sip.timers import TimerQueue, Timers


class Owner:
    def __init__(self) -> None:
        self.waiting = True
        self.asked = 0

    def expects(self, name: str) -> bool:
        self.asked += 1
        return self.waiting


def test_lengths_follow_t1() -> None:
    assert Timers().transaction == 32
    assert Timers(t1=0.25).transaction == 16
    assert Timers().c > 180  # 16.6 step 11
    assert Timers().d >= 32  # 17.1.1.2


@given(
    st.lists(st.tuples(st.sampled_from([0.5, 1.0, 4.0, 32.0]), st.floats(0, 2)), max_size=40),
    st.lists(st.floats(0, 10), max_size=10),
)
def test_each_comes_up_once_in_order_and_not_before(
    starts: list[tuple[float, float]], steps: list[float]
) -> None:
    queue: TimerQueue[Owner] = TimerQueue()
    deadlines: dict[Owner, float] = {}
    now = 0.0
    for length, pause in starts:
        now += pause
        owner = Owner()
        deadlines[owner] = now + length
        queue.start(owner, "timer", length, now)
    seen: list[Owner] = []
    for step in [*steps, 100.0]:
        now += step
        nearest = queue.next_timeout()
        waiting = [d for o, d in deadlines.items() if o not in seen]
        assert nearest == min(waiting, default=None)
        due = [owner for owner, _ in queue.expired(now)]
        assert [deadlines[o] for o in due] == sorted(d for d in waiting if d <= now)
        seen += due
    assert set(seen) == set(deadlines)
    assert len(seen) == len(deadlines)
    assert len(queue) == 0


def test_stale_timers_do_not_come_up_nor_count_as_the_next() -> None:
    queue: TimerQueue[Owner] = TimerQueue()
    first, second = Owner(), Owner()
    queue.start(first, "timer", 1.0, 0.0)
    queue.start(second, "timer", 1.0, 0.5)
    first.waiting = False
    assert queue.next_timeout() == 1.5
    assert [owner for owner, _ in queue.expired(9.0)] == [second]
    assert queue.next_timeout() is None


def test_stale_timers_are_swept_out() -> None:
    """What has ended is not kept for the rest of its longest timer."""
    queue: TimerQueue[Owner] = TimerQueue()
    running = [Owner() for _ in range(2000)]
    for owner in running:
        queue.start(owner, "timer", 181.0, 0.0)
    most = 0
    for _ in range(20_000):
        owner = Owner()
        queue.start(owner, "timer", 181.0, 0.0)
        owner.waiting = False
        most = max(most, len(queue))
    assert most <= 2 * (len(running) + 1) + 1024
    # One look for as many starts as there are running: amortized it is next to nothing
    assert sum(owner.asked for owner in running) <= 20_000
    assert [owner for owner, _ in queue.expired(200.0)] == running


def test_time_that_goes_back_makes_timers_late_and_loses_none() -> None:
    queue: TimerQueue[Owner] = TimerQueue()
    early, late = Owner(), Owner()
    queue.start(late, "timer", 1.0, 10.0)
    queue.start(early, "timer", 1.0, 7.0)
    assert queue.next_timeout() == 11.0
    assert queue.expired(10.5) == []
    assert [owner for owner, _ in queue.expired(11.0)] == [early, late]
