"""The table itself: complete, reachable, drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.ss7.m2pa.actions import ACTIONS, GUARDS
from trunkline.ss7.m2pa.drawing import page
from trunkline.ss7.m2pa.table import (
    DATA_STATES,
    RECEIVED,
    ROWS,
    TABLE,
    TIMERS,
    Action,
    Guard,
    State,
    Trigger,
    _index,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "m2pa-states.md"


def test_the_drawing_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == page(), (
        "run: python -m trunkline.ss7.m2pa.drawing > docs/m2pa-states.md"
    )


def test_every_action_and_guard_is_implemented_and_used() -> None:
    assert set(ACTIONS) == set(Action)
    assert set(GUARDS) == set(Guard)
    assert {action for row in ROWS for action in row.actions} == set(Action)
    assert {row.guard for row in ROWS} == {None, *Guard}


def test_every_row_cites_what_decides_it() -> None:
    assert all(row.clause for row in ROWS)


def test_every_state_can_be_reached() -> None:
    reached = {State.ASSOCIATION_DOWN}
    while more := {row.next for row in ROWS if row.state in reached} - reached:
        reached |= more
    assert reached == set(State)


def test_every_started_state_can_be_left_and_stopped() -> None:
    for state in State:
        for trigger in (Trigger.COMMUNICATION_LOST, Trigger.START, Trigger.STOP, Trigger.EMERGENCY):
            assert (state, trigger) in TABLE


def test_the_last_row_of_a_pair_has_no_guard_or_the_pair_may_be_refused() -> None:
    for rows in TABLE.values():
        assert rows[-1].guard is None


def test_every_status_is_a_trigger_and_has_rows() -> None:
    for trigger in RECEIVED.values():
        assert any(row.trigger is trigger for row in ROWS)


def started(row_actions: tuple[Action, ...]) -> set[Trigger]:
    timers = {Trigger[a.name.removeprefix("START_")] for a in row_actions if a.name[:6] == "START_"}
    if Action.ANNOUNCE_BUSY in row_actions:
        timers.add(Trigger.T5)
    if Action.MARK_REMOTE_BUSY in row_actions:
        timers.add(Trigger.T6)
    return timers


@pytest.mark.parametrize("timer", TIMERS)
def test_a_timer_that_may_run_has_a_row(timer: Trigger) -> None:
    """Follow every timer from where it starts to where it is stopped."""
    stop = {f"STOP_{timer.name}", "STOP_TIMERS", "RESET"} | (
        {"UNMARK_REMOTE_BUSY"} if timer is Trigger.T6 else set()
    )
    running = {row.next for row in ROWS if timer in started(row.actions)}
    while True:
        further = {
            row.next
            for row in ROWS
            if row.state in running
            and row.trigger is not timer
            and (not stop & {a.name for a in row.actions} or timer in started(row.actions))
        } - running
        if not further:
            break
        running |= further
    assert running
    for state in running:
        assert (state, timer) in TABLE, f"{timer} can run in {state}"


def test_traffic_can_always_leave_a_data_state_for_good() -> None:
    for state in DATA_STATES:
        assert (state, Trigger.RX_OUT_OF_SERVICE) in TABLE


def test_a_row_that_can_never_be_taken_is_refused() -> None:
    with pytest.raises(AssertionError, match="unreachable"):
        _index([ROWS[0], ROWS[0]])
