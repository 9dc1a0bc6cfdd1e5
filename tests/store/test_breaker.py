"""The breaker: its table, row by row, and what may never happen whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.store.breaker import TABLE, Breaker, Event, State


def state(breaker: Breaker) -> State:
    """Its state now: the type checker takes what an earlier assert saw for the present."""
    return breaker.state


def opened(breaker: Breaker, now: float = 0.0) -> Breaker:
    while breaker.state is State.CLOSED:
        permit = breaker.enter(now)
        assert permit is not None
        breaker.failed(permit, now)
    return breaker


def test_it_opens_after_a_full_row_of_failures_and_not_before() -> None:
    breaker = Breaker(failures=3, pause=1)
    for outcome in "ff.ff.fff":
        assert state(breaker) is State.CLOSED
        permit = breaker.enter(0)
        assert permit is not None
        if outcome == ".":
            breaker.succeeded(permit)
        else:
            breaker.failed(permit, 0)
    assert state(breaker) is State.OPEN
    assert breaker.opened == 1


def test_an_open_one_refuses_until_the_pause_is_over_and_then_lets_one_through() -> None:
    breaker = opened(Breaker(failures=1, pause=2), now=10)
    assert breaker.enter(11.9) is None
    assert breaker.wait(11.5) == pytest.approx(0.5)
    trial = breaker.enter(12)
    assert trial is not None
    assert state(breaker) is State.HALF_OPEN
    assert breaker.enter(12) is None
    assert breaker.enter(100) is None, "one trial at a time, however long it takes"
    assert breaker.refused == 3
    breaker.succeeded(trial)
    assert state(breaker) is State.CLOSED
    assert breaker.enter(12) is not None


def test_a_failed_trial_opens_it_for_another_pause() -> None:
    breaker = opened(Breaker(failures=5, pause=2))
    trial = breaker.enter(2)
    assert trial is not None
    breaker.failed(trial, 3)
    assert state(breaker) is State.OPEN
    assert breaker.opened == 2
    assert breaker.enter(4.9) is None
    assert breaker.enter(5) is not None


def test_a_trial_that_was_given_up_makes_room_for_another_at_once() -> None:
    breaker = opened(Breaker(failures=1, pause=2))
    trial = breaker.enter(2)
    assert trial is not None
    breaker.abandoned(trial)
    assert breaker.enter(2) is not None
    assert state(breaker) is State.HALF_OPEN


def test_outcomes_of_an_earlier_state_do_not_count() -> None:
    breaker = Breaker(failures=1, pause=2)
    early, late = breaker.enter(0), breaker.enter(0)
    assert early is not None
    assert late is not None
    opened(breaker)
    breaker.succeeded(early)
    assert state(breaker) is State.OPEN
    trial = breaker.enter(2)
    assert trial is not None
    breaker.failed(late, 2)
    assert state(breaker) is State.HALF_OPEN
    breaker.abandoned(late)
    assert state(breaker) is State.HALF_OPEN
    breaker.succeeded(trial)
    assert state(breaker) is State.CLOSED


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from(["enter", "succeeded", "failed", "abandoned"]), st.integers())
    ),
)
def test_whatever_comes_only_rows_of_the_table_are_used_and_one_trial_is_out(
    failures: int, steps: list[tuple[str, int]]
) -> None:
    breaker = Breaker(failures=failures, pause=3)
    out = []
    for now, (step, which) in enumerate(steps):
        if step == "enter":
            permit = breaker.enter(float(now))
            if breaker.state is State.CLOSED:
                assert permit is not None
            if permit is not None:
                out.append(permit)
        elif out:
            permit = out.pop(which % len(out))
            if step == "failed":
                breaker.failed(permit, float(now))
            else:
                getattr(breaker, step)(permit)
        if breaker.state is State.HALF_OPEN:
            assert sum(permit.era == breaker._era for permit in out) == 1


def test_every_row_of_the_table_is_walked() -> None:
    walked: set[tuple[State, Event]] = set()

    class Watched(Breaker):
        def _move(self, event: Event) -> None:
            walked.add((self.state, event))
            super()._move(event)

    breaker = Watched(failures=2, pause=1)

    def go(outcome: str, now: float) -> None:
        permit = breaker.enter(now)
        assert permit is not None
        if outcome == "failed":
            breaker.failed(permit, now)
        else:
            getattr(breaker, outcome)(permit)

    go("succeeded", 0)
    go("abandoned", 0)
    go("failed", 0)
    go("failed", 0)
    go("abandoned", 1)
    go("failed", 2)
    go("succeeded", 3)
    assert state(breaker) is State.CLOSED
    assert walked == set(TABLE)
