"""The link against a scripted peer: timers, sequence numbers, buffers, refusals."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.ss7.m2pa.pair import Item, Script, in_service, msu, sent, state, statuses

from trunkline.errors import TrunklineError
from trunkline.ss7.m2pa import (
    CongestionOnset,
    Discarded,
    IllegalTransitionError,
    InService,
    Link,
    LinkStatus,
    M2paError,
    OutOfService,
    Settings,
    State,
    Status,
    UserData,
)

START = 0xFFFFFF
QUICK = Settings(status_interval=0, proving_interval=10)


def codes(items: list[Item]) -> list[str]:
    return [item.code for item in items if isinstance(item, Discarded)]


# --- alignment ----------------------------------------------------------------------------------


def test_start_waits_for_the_association() -> None:
    link = Link()
    assert link.start(0) == []
    assert state(link) is State.START_PENDING
    link.communication_up(1)
    assert statuses(link) == [(0, Status.OUT_OF_SERVICE), (0, Status.ALIGNMENT)]


def test_start_is_refused_when_the_association_fails() -> None:
    link = Link()
    link.start(0)
    assert link.communication_lost(1, "no answer to INIT") == [
        OutOfService("association lost: no answer to INIT")
    ]
    assert state(link) is State.ASSOCIATION_DOWN
    assert link.communication_lost(2) == []


@pytest.mark.parametrize("first", [Status.ALIGNMENT, Status.PROVING_NORMAL])
def test_alignment_or_proving_aligns(first: Status) -> None:
    script = Script()
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(first)
    assert state(script.link) is State.ALIGNED


@pytest.mark.parametrize("when", ["not aligned", "aligned", "proving"])
def test_emergency_of_the_peer_shortens_proving(when: str) -> None:
    script = Script(QUICK)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    emergency = Status.PROVING_EMERGENCY
    script.status(emergency if when == "not aligned" else Status.ALIGNMENT)
    script.status(emergency if when == "aligned" else Status.PROVING_NORMAL)
    if when == "proving":
        script.wait(1)
        script.status(emergency)
        script.status(emergency)  # a second one does not start T4 again
    script.wait(0.5)
    assert state(script.link) is State.ALIGNED_READY


@pytest.mark.parametrize("when", ["aligned", "proving"])
def test_emergency_of_ours_shortens_proving_under_way(when: str) -> None:
    script = Script(QUICK)
    link = script.link
    link.communication_up(script.now)
    link.start(script.now)
    script.status(Status.ALIGNMENT)
    if when == "proving":
        script.status(Status.PROVING_NORMAL)
    link.data_to_send()
    link.set_emergency(True, script.now)
    assert statuses(link) == [(0, Status.PROVING_EMERGENCY)]
    if when == "aligned":
        script.status(Status.PROVING_NORMAL)
    script.wait(0.5)
    assert state(link) is State.ALIGNED_READY


def test_emergency_ends_with_the_link() -> None:
    script = in_service()
    script.link.stop(script.now)
    script.link.start(script.now)
    script.link.data_to_send()
    script.status(Status.ALIGNMENT)
    assert statuses(script.link) == [(0, Status.PROVING_NORMAL)]


def test_a_new_alignment_of_the_peer_during_proving_begins_again() -> None:
    script = Script(QUICK)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.status(Status.READY)
    script.link.data_to_send()
    script.status(Status.ALIGNMENT)
    assert state(script.link) is State.ALIGNED
    assert statuses(script.link) == [(0, Status.PROVING_NORMAL)]
    script.status(Status.PROVING_NORMAL)
    script.wait(8)
    assert state(script.link) is State.ALIGNED_READY  # the Ready of before is forgotten


def test_ready_that_came_while_we_prove_is_not_lost() -> None:
    script = Script(QUICK)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    assert script.status(Status.READY) == []
    assert script.wait(8) == [InService()]


def test_a_peer_that_omits_proving() -> None:
    script = Script(QUICK)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.READY)
    assert script.wait(8) == [InService()]


def test_proving_may_be_omitted() -> None:
    script = Script(replace(QUICK, t4_normal=0.0))
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    assert script.wait(0) == []
    assert script.status(Status.READY) == [InService()]


def test_proving_filler_varies_and_has_the_length_asked_for() -> None:
    script = Script(Settings(proving_filler=33))
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.link.data_to_send()
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.wait(1)
    fillers = [m.filler for _, m in sent(script.link) if isinstance(m, LinkStatus)]
    assert len(fillers) >= 10
    assert {len(filler) for filler in fillers} == {33}
    assert len(set(fillers)) == len(fillers)


@pytest.mark.parametrize(
    ("reached", "timer", "seconds"),
    [("not aligned", "T2", 5), ("aligned", "T3", 1), ("aligned ready", "T1", 45)],
)
def test_alignment_that_does_not_succeed(reached: str, timer: str, seconds: float) -> None:
    script = Script(QUICK)
    link = script.link
    link.communication_up(script.now)
    link.start(script.now)
    if reached != "not aligned":
        script.status(Status.ALIGNMENT)
    if reached == "aligned ready":
        script.status(Status.PROVING_NORMAL)
        script.wait(8)
    assert link.state == reached
    assert script.wait(seconds - 0.01) == []
    link.data_to_send()
    (event,) = script.wait(0.02)
    assert isinstance(event, OutOfService)
    assert event.reason.startswith(f"{timer} expired")
    assert getattr(link.counters, f"{timer.lower()}_expired") == 1
    assert statuses(link) == [(0, Status.OUT_OF_SERVICE)]
    assert link.next_timeout() is None
    link.start(script.now)
    assert statuses(link) == [(0, Status.ALIGNMENT)]


def test_alignment_and_ready_are_repeated_while_their_timer_runs() -> None:
    script = Script(Settings(proving_interval=100))
    link = script.link
    link.communication_up(script.now)
    link.start(script.now)
    script.wait(3.5)
    assert statuses(link).count((0, Status.ALIGNMENT)) == 4
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.wait(10.5)
    assert statuses(link).count((0, Status.READY)) == 3
    script.status(Status.READY)
    script.wait(10)
    assert statuses(link) == []


@pytest.mark.parametrize("reached", ["out of service", "not aligned", "aligned", "proving"])
def test_an_unsupported_version_is_answered_by_out_of_service(reached: str) -> None:
    script = Script(QUICK)
    link = script.link
    link.communication_up(script.now)
    if reached != "out of service":
        link.start(script.now)
    if reached in ("aligned", "proving"):
        script.status(Status.ALIGNMENT)
    if reached == "proving":
        script.status(Status.PROVING_NORMAL)
    assert link.state == reached
    link.data_to_send()
    alignment = LinkStatus(START, START, Status.ALIGNMENT).to_bytes()
    items = link.receive([(0, b"\x02" + alignment[1:])], script.now)
    assert codes(items) == [M2paError.VERSION]
    assert statuses(link) == [(0, Status.OUT_OF_SERVICE)]
    assert state(link) is State.OUT_OF_SERVICE


def test_another_message_of_an_unsupported_version_is_only_discarded() -> None:
    script = in_service()
    ready = LinkStatus(START, START, Status.READY).to_bytes()
    for octets in (b"\x02" + ready[1:], b"\x02" + ready[1:17]):
        assert codes(script.link.receive([(0, octets)], script.now)) == [M2paError.VERSION]
    assert state(script.link) is State.IN_SERVICE


def test_user_data_can_be_what_ends_the_alignment() -> None:
    script = Script(QUICK)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.wait(8)
    assert script.data(START, 0, msu(0)) == [InService(), msu(0)]
    assert script.status(Status.READY) == []  # overtaken on the other stream


@pytest.mark.parametrize("status", [Status.ALIGNMENT, Status.OUT_OF_SERVICE])
def test_a_peer_that_starts_anew_takes_the_link_down(status: Status) -> None:
    script = in_service()
    (event,) = script.status(status)
    assert isinstance(event, OutOfService)
    assert statuses(script.link) == [(0, Status.OUT_OF_SERVICE)]


def test_an_association_restart_takes_the_link_down() -> None:
    script = in_service()
    script.link.send([msu(0)], script.now)
    assert script.link.communication_up(script.now) == [
        OutOfService("association restarted by the peer")
    ]
    assert statuses(script.link) == [(0, Status.OUT_OF_SERVICE)]
    assert script.link.retrieve(START) == [msu(0)]
    script.link.communication_up(script.now)
    assert statuses(script.link) == [(0, Status.OUT_OF_SERVICE)]


def test_nothing_is_sent_into_a_lost_association() -> None:
    script = in_service()
    script.data(START, 0, msu(0))
    script.link.processor_outage(script.now)
    script.link.communication_lost(script.now)
    assert script.link.data_to_send() == []
    assert script.link.next_timeout() is None


# --- sequence numbers and acknowledgement ---------------------------------------------------------


def test_the_first_msu_carries_fsn_0() -> None:
    script = in_service()
    script.link.send([msu(0)], script.now)
    assert sent(script.link) == [(1, UserData(START, 0, msu=msu(0)))]
    assert script.data(0, 0, msu(7)) == [msu(7)]
    assert script.link.unacknowledged == 0


@pytest.mark.parametrize("start", [0, 1, 499])
def test_a_peer_with_another_start_value(start: int) -> None:
    script = Script(QUICK)
    script.align(fsn=start)
    assert script.data(START, start) == []
    assert script.data(START, start + 1, msu(1)) == [msu(1)]
    assert sent(script.link) == [(1, UserData(start + 1, START))]


def test_a_peer_whose_announced_fsn_is_not_where_it_starts() -> None:
    script = Script(QUICK)
    script.align(fsn=0)
    assert script.data(START, 0, msu(0)) == [msu(0)]
    assert script.data(START, 1, msu(1)) == [msu(1)]
    assert codes(script.data(START, 0, msu(0))) == [M2paError.FSN]


def test_both_sequence_numbers_wrap() -> None:
    script = in_service()
    link = script.link
    link._sent = link._acked = link._accepted = link._received = START - 2
    batch = [
        (1, UserData(START - 2, (START - 1 + i) & START, msu=msu(i)).to_bytes())
        for i in (0, 1, 2, 3)
    ]
    assert link.receive(batch, script.now) == [msu(i) for i in range(4)]
    link.send([msu(i) for i in range(4)], script.now)
    assert [(m.fsn, m.bsn) for _, m in sent(link)] == [(START - 1, 1), (START, 1), (0, 1), (1, 1)]
    script.data(0, 1)
    assert link.unacknowledged == 1
    script.data(1, 1)
    assert link.unacknowledged == 0


def test_one_acknowledgement_for_a_batch() -> None:
    script = in_service()
    batch = [(1, UserData(START, i, msu=msu(i)).to_bytes()) for i in range(5)]
    assert script.link.receive(batch, script.now) == [msu(i) for i in range(5)]
    assert sent(script.link) == [(1, UserData(4, START))]
    assert sent(script.link) == []
    assert script.link.counters.acknowledgements_sent == 1


def test_user_data_carries_the_acknowledgement() -> None:
    script = in_service()
    script.data(START, 0, msu(0))
    script.link.send([msu(9)], script.now)
    assert sent(script.link) == [(1, UserData(0, 0, msu=msu(9)))]
    assert sent(script.link) == []


def test_an_empty_message_is_not_acknowledged_and_repeats_the_fsn() -> None:
    script = in_service()
    script.exchange(outgoing=3, incoming=0)
    assert script.data(2, START) == []
    assert sent(script.link) == []
    script.data(2, 0, msu(0))
    assert sent(script.link) == [(1, UserData(0, 2))]


def test_out_of_order_user_data_is_discarded() -> None:
    script = in_service()
    script.exchange(outgoing=0, incoming=1)
    for fsn in (0, 2, START, 5):
        assert codes(script.data(START, fsn, msu(fsn))) == [M2paError.FSN]
    assert codes(script.data(START, 7)) == [M2paError.FSN]
    assert script.data(START, 1, msu(1)) == [msu(1)]
    assert script.link.counters.out_of_order == 5


def test_spare_bits_of_the_peer_are_ignored() -> None:
    script = in_service()
    odd = UserData(
        START, 0, priority=3, msu=msu(0), data_spare=9, header_spare=7, bsn_unused=1, fsn_unused=2
    )
    assert script.link.receive([(1, odd.to_bytes())], script.now) == [msu(0)]
    again = UserData(START, 1, msu=msu(1), bsn_unused=1)
    assert script.link.receive([(1, again.to_bytes())], script.now) == [msu(1)]


def test_a_bsn_never_sent_is_discarded_and_two_of_three_fail_the_link() -> None:
    script = in_service()
    assert codes(script.data(5, 0, msu(0))) == [M2paError.BSN]
    script.data(START, 0, msu(0))
    script.data(START, 1, msu(1))
    assert codes(script.data(5, 2, msu(2))) == [M2paError.BSN]
    assert state(script.link) is State.IN_SERVICE
    script.data(START, 2, msu(2))
    items = script.data(5, 3, msu(3))
    assert items[-1] == OutOfService("two abnormal BSNs in three messages")


def test_a_bsn_one_ahead_is_abnormal_too() -> None:
    script = in_service()
    script.exchange(outgoing=2, incoming=0)
    assert codes(script.data(2, START)) == [M2paError.BSN]
    assert script.link.retrieve(1) == []


def test_a_bsn_from_behind_is_no_news() -> None:
    script = in_service()
    script.exchange(outgoing=4, incoming=1)
    script.link.send([msu(4), msu(5)], script.now)
    script.link.data_to_send()
    assert script.data(1, 1, msu(1)) == [msu(1)]
    assert script.link.unacknowledged == 2


def test_start_after_out_of_service_resets_both_directions() -> None:
    script = in_service()
    script.exchange(outgoing=3, incoming=4)
    script.link.send([msu(3)], script.now)
    script.link.data_to_send()
    script.link.send([msu(4)], script.now)
    script.link.stop(script.now)
    script.link.start(script.now)
    assert script.link.counters.abandoned == 2
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_EMERGENCY)
    script.wait(0.5)
    script.status(Status.READY)
    script.link.data_to_send()
    script.link.send([msu(9)], script.now)
    assert sent(script.link) == [(1, UserData(START, 0, msu=msu(9)))]
    assert script.data(0, 0, msu(1)) == [msu(1)]


def test_start_forgets_the_peer_of_before() -> None:
    script = in_service(QUICK)
    script.status(Status.BUSY)
    script.link.stop(script.now)
    script.link.start(script.now)
    script.status(Status.PROVING_EMERGENCY)
    script.link.stop(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.wait(7.9)
    assert state(script.link) is State.PROVING  # the emergency was that of the last time
    script.wait(0.1)
    script.status(Status.READY)
    script.link.data_to_send()
    assert not script.link.remote_busy
    script.link.send([msu(0)], script.now)
    assert len(sent(script.link)) == 1


# --- T7 -----------------------------------------------------------------------------------------


def test_t7_runs_for_each_message() -> None:
    script = in_service()
    link = script.link
    link.send([msu(0)], script.now)
    link.data_to_send()
    script.wait(0.6)
    link.send([msu(1)], script.now)
    link.data_to_send()
    script.wait(0.3)
    script.data(0, START)  # the first is acknowledged, the second has 0.7 s left
    assert script.wait(0.6) == []
    (event,) = script.wait(0.2)
    assert event == OutOfService("T7 expired: no acknowledgement from the peer")
    assert link.counters.t7_expired == 1
    assert link.retrieve(0) == [msu(1)]


def test_t7_rests_while_nothing_waits() -> None:
    script = in_service()
    script.exchange(outgoing=2, incoming=0)
    assert script.link.next_timeout() is None


# --- flow control -------------------------------------------------------------------------------


def test_busy_peer_gets_acknowledgements_but_no_data() -> None:
    script = in_service()
    link = script.link
    script.status(Status.BUSY)
    assert "T6" not in link._deadlines  # nothing waits for acknowledgement
    link.send([msu(0)], script.now)
    script.data(START, 0, msu(1))
    assert sent(link) == [(1, UserData(0, START))]
    script.status(Status.BUSY_ENDED)
    assert sent(link) == [(1, UserData(0, 0, msu=msu(0)))]
    assert link.next_timeout() == pytest.approx(script.now + 1)


def test_further_busy_does_not_restart_t6_and_busy_ended_restarts_t7() -> None:
    script = in_service()
    link = script.link
    link.send([msu(0)], script.now)
    link.data_to_send()
    script.wait(0.5)
    script.status(Status.BUSY)
    deadline = link.next_timeout()
    assert deadline == pytest.approx(script.now + 4)
    script.wait(2)
    script.status(Status.BUSY)
    assert link.next_timeout() == deadline
    script.status(Status.BUSY_ENDED)
    assert link.next_timeout() == pytest.approx(script.now + 1)
    script.data(0, START)
    assert link.next_timeout() is None


def test_t6_ends_when_nothing_waits_any_longer() -> None:
    script = in_service()
    script.link.send([msu(0)], script.now)
    script.link.data_to_send()
    script.status(Status.BUSY)
    script.data(0, START)
    assert script.wait(10) == []


def test_congestion_before_service_is_announced_at_its_beginning() -> None:
    script = Script(QUICK)
    script.link.busy(script.now)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.wait(8)
    script.link.data_to_send()
    script.status(Status.READY)
    assert statuses(script.link) == [(0, Status.BUSY)]
    assert script.data(START, 0, msu(0)) == []
    assert script.link.busy_ended(script.now) == [msu(0)]
    assert sent(script.link) == [
        (0, LinkStatus(START, START, Status.BUSY_ENDED)),
        (1, UserData(0, START)),
    ]


def test_t5_repeats_busy_where_asked() -> None:
    script = in_service(Settings(t5=0.1))
    script.link.busy(script.now)
    script.wait(0.55)
    assert statuses(script.link) == [(0, Status.BUSY)] * 6
    script.link.busy_ended(script.now)
    script.wait(1)
    assert statuses(script.link) == [(0, Status.BUSY_ENDED)]


def test_held_messages_have_a_bound() -> None:
    script = in_service(Settings(receive_limit=2))
    script.link.busy(script.now)
    assert script.data(START, 0, msu(0)) == []
    assert script.data(START, 1, msu(1)) == []
    assert codes(script.data(START, 2, msu(2))) == [M2paError.RECEIVE_FULL]
    assert script.link.busy_ended(script.now) == [msu(0), msu(1)]
    assert script.data(START, 2, msu(2)) == [msu(2)]


def test_held_messages_are_not_acknowledged_when_the_link_goes() -> None:
    script = in_service()
    script.data(START, 0, msu(0))
    script.link.busy(script.now)
    script.data(START, 1, msu(1))
    script.link.stop(script.now)
    assert script.link.retrieve_bsnt() == 0
    assert script.link.held == 0


# --- buffers ------------------------------------------------------------------------------------


def test_the_window_bounds_what_is_sent() -> None:
    script = in_service(Settings(retransmit_limit=3))
    link = script.link
    link.send([msu(i) for i in range(5)], script.now)
    assert [m.fsn for _, m in sent(link)] == [0, 1, 2]
    assert sent(link) == []
    script.data(1, START)
    assert [m.fsn for _, m in sent(link)] == [3, 4]
    script.data(4, START)
    assert (link.unacknowledged, link.waiting) == (0, 0)


def test_the_transmission_buffer_has_a_bound() -> None:
    script = in_service(
        Settings(
            retransmit_limit=1, transmit_limit=3, congestion_onset=(2,), congestion_abatement=(1,)
        )
    )
    events = script.link.send([msu(i) for i in range(10)], script.now)
    assert [type(event) for event in events] == [Discarded, CongestionOnset]
    assert script.link.waiting == 4
    assert script.link.counters.transmit_overflow == 6
    script.status(Status.BUSY)  # the window closes: one more than the bound waits, none is lost
    assert script.link.send([], script.now) == []
    assert script.link.waiting == 4


@pytest.mark.parametrize("bring", [lambda s: None, lambda s: s.link.communication_up(s.now)])
def test_what_cannot_be_sent_is_refused(bring: object) -> None:
    script = Script()
    bring(script)  # type: ignore[operator]
    (event,) = script.link.send([msu(0), msu(1)], script.now)
    assert isinstance(event, Discarded)
    assert event.code == M2paError.NOT_IN_SERVICE
    assert script.link.counters.not_in_service == 2
    assert script.link.waiting == 0


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("primitive", ["flush", "resume"])
def test_a_primitive_out_of_place_raises(primitive: str) -> None:
    link = Link()
    with pytest.raises(IllegalTransitionError) as caught:
        getattr(link, primitive)(0.0)
    assert caught.value.code == M2paError.TRANSITION
    assert caught.value.state is State.ASSOCIATION_DOWN
    assert state(link) is State.ASSOCIATION_DOWN


def test_messages_out_of_place_are_counted_and_discarded() -> None:
    script = Script()
    script.link.communication_up(script.now)
    assert codes(script.status(Status.BUSY)) == [M2paError.UNEXPECTED]
    assert codes(script.data(0, 0, msu(0))) == [M2paError.UNEXPECTED]
    assert script.link.counters.unexpected == script.link.counters.discarded == 2


@pytest.mark.parametrize(
    "change",
    [
        {"t1": 0.0},
        {"t7": -1.0},
        {"retransmit_limit": 0},
        {"proving_filler": -1},
        {"congestion_onset": (5,)},
        {"congestion_onset": (5,), "congestion_abatement": (5,)},
        {"congestion_onset": (5, 4), "congestion_abatement": (1, 2)},
    ],
)
def test_settings_that_make_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(TrunklineError) as caught:
        Settings(**change)  # type: ignore[arg-type]
    assert caught.value.code == M2paError.SETTINGS


PRIMITIVES = (
    "communication_up",
    "communication_lost",
    "start",
    "stop",
    "flush",
    "resume",
    "processor_outage",
    "processor_recovered",
    "busy",
    "busy_ended",
)
near = st.sampled_from([START - 1, START, 0, 1, 2])
hostile = st.one_of(
    st.binary(max_size=40),
    st.builds(LinkStatus, near, near, st.sampled_from(Status)).map(LinkStatus.to_bytes),
    st.builds(UserData, near, near, msu=st.sampled_from([b"", msu(1)])).map(UserData.to_bytes),
)
steps = st.one_of(
    st.sampled_from(PRIMITIVES),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 3), hostile), max_size=4),
    st.floats(0.01, 50),
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40), st.booleans())
def test_no_input_breaks_the_link(walk: list[object], aligned: bool) -> None:
    limits = Settings(
        retransmit_limit=3,
        transmit_limit=4,
        receive_limit=2,
        congestion_onset=(2,),
        congestion_abatement=(1,),
        proving_interval=1,
    )
    script = in_service(limits) if aligned else Script(limits)
    link = script.link
    for step in walk:
        before = link.state
        if isinstance(step, str):
            try:
                getattr(link, step)(script.now)
            except IllegalTransitionError:
                assert state(link) is before
        elif isinstance(step, bool):
            link.set_emergency(step, script.now)
        elif isinstance(step, float):
            script.wait(step)
        else:
            assert isinstance(step, list)
            refused = link.counters.discarded
            items = link.receive(step, script.now)
            assert link.counters.discarded - refused == len(codes(items))
        link.send([msu(1), msu(2)], script.now)
        for _, payload in link.data_to_send():
            assert payload[:3] == b"\x01\x00\x0b"
        assert link.unacknowledged == (link._sent - link._acked) & START <= 3
        assert link.waiting <= 4 + 3
        assert link.held == (link._received - link._accepted) & START <= 2
        assert link.congestion_level in (0, 1)
        due = link.next_timeout()
        assert due is None or due > script.now - 1e-9
    for field in fields(link.counters):
        assert getattr(link.counters, field.name) >= 0


def test_what_made_us_busy_is_not_acknowledged_before_we_are_busy_no_longer() -> None:
    """RFC 4165 4.1.5: neither what triggered Busy, nor what comes before Busy Ended."""
    script = in_service()
    link = script.link
    script.data(START, 0, msu(0))
    link.data_to_send()  # acknowledged in time
    assert script.data(START, 1, msu(1)) == [msu(1)]  # level 3 takes it, and has enough
    link.busy(script.now)
    assert sent(link) == [(0, LinkStatus(0, START, Status.BUSY))]
    assert script.data(START, 2, msu(2)) == []
    link.send([msu(7)], script.now)
    assert sent(link) == [(1, UserData(0, 0, msu=msu(7)))]  # 4.1.5: but we go on sending
    assert link.retrieve_bsnt() == 1
    link.busy_ended(script.now)
    assert sent(link) == [
        (0, LinkStatus(1, 0, Status.BUSY_ENDED)),
        (1, UserData(2, 0)),
    ]


def test_what_made_us_busy_is_acknowledged_though_nothing_was_held() -> None:
    script = in_service()
    script.data(START, 0, msu(0))
    script.link.busy(script.now)
    assert statuses(script.link) == [(0, Status.BUSY)]
    script.link.busy_ended(script.now)
    assert [type(message) for _, message in sent(script.link)] == [LinkStatus, UserData]
