"""Two links back to back, on a clock and a wire of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.ss7.m2pa.pair import Pair, msu

from trunkline.ss7.m2pa import InService, OutOfService, Settings

IN_SERVICE = ("in service", "in service")
TIGHT = Settings(retransmit_limit=5, t4_normal=0.5, proving_interval=0.1)


@pytest.mark.parametrize("seconds", [0.0001, 0.02, 0.4])
@pytest.mark.parametrize("skew", [0.0, 0.3])
def test_alignment_over_any_wire(seconds: float, skew: float) -> None:
    pair = Pair(delay=lambda side, stream: seconds + skew * stream)
    pair.up_and_running()
    for side in (0, 1):
        assert pair.events[side] == [InService()]
        assert pair.links[side].counters.discarded == 0
    pair.send(0, [msu(1)])
    pair.send(1, [msu(2)])
    pair.run(1)
    assert pair.msus == ([msu(2)], [msu(1)])


@pytest.mark.parametrize("late", [0.5, 3.0, 4.9])
def test_one_end_starts_later(late: float) -> None:
    pair = Pair()
    pair.connect()
    pair.take(0, pair.links[0].start(pair.now))
    pair.run(late)
    pair.take(1, pair.links[1].start(pair.now))
    pair.run(20)
    assert pair.states == IN_SERVICE


def test_one_end_that_starts_too_late_meets_the_other_at_its_next_try() -> None:
    pair = Pair()
    pair.connect()
    pair.take(0, pair.links[0].start(pair.now))
    pair.run(6)
    assert isinstance(pair.events[0][-1], OutOfService)
    pair.take(1, pair.links[1].start(pair.now))
    pair.run(1)
    pair.take(0, pair.links[0].start(pair.now))
    pair.run(20)
    assert pair.states == IN_SERVICE


def test_emergency_on_one_end_is_enough() -> None:
    pair = Pair()
    pair.take(1, pair.links[1].set_emergency(True, pair.now))
    pair.connect()
    pair.start()
    pair.run(1)
    assert pair.states == IN_SERVICE


def test_ends_with_different_proving_periods() -> None:
    pair = Pair(Settings(t4_normal=0.5))
    pair.links[1].settings = Settings(t4_normal=9.0)
    pair.up_and_running()


def test_stop_and_start_again() -> None:
    pair = Pair().up_and_running()
    pair.send(0, [msu(i) for i in range(10)])
    pair.run(1)
    pair.take(0, pair.links[0].stop(pair.now))
    pair.run(1)
    assert pair.states == ("out of service", "out of service")
    assert pair.up  # 4.1.6: the association stays
    pair.start()
    pair.run(20)
    pair.send(1, [msu(99)])
    pair.run(1)
    assert pair.msus == ([msu(99)], [msu(i) for i in range(10)])


def test_a_cut_association_comes_back() -> None:
    pair = Pair().up_and_running()
    pair.cut()
    pair.start()
    pair.run(2)
    assert pair.states == ("start pending", "start pending")
    pair.connect()
    pair.run(20)
    assert pair.states == IN_SERVICE


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("flush", [False, True])
def test_outage_with_traffic_under_way(both: bool, flush: bool) -> None:
    pair = Pair(delay=lambda side, stream: 0.05).up_and_running()
    sides = (0, 1) if both else (0,)
    number = 0
    for round_ in range(30):
        for side in (0, 1):
            pair.send(side, [msu(number + i) for i in range(3)])
        number += 3
        for side in sides:
            link = pair.links[side]
            if round_ == 5:
                pair.take(side, link.processor_outage(pair.now))
            if round_ == 12:
                if flush:
                    pair.take(side, link.flush(pair.now))
                pair.take(side, link.processor_recovered(pair.now))
        pair.run(0.01)
    pair.run(2)
    assert pair.states == IN_SERVICE
    pair.send(0, [msu(1000)])
    pair.send(1, [msu(1000)])
    pair.run(1)
    for side in (0, 1):
        got = [int.from_bytes(item[1:5], "big") for item in pair.msus[side]]
        assert got == sorted(set(got))
        assert got[-1] == 1000
        assert pair.links[side].unacknowledged == 0
        lost = number + 1 - len(got)
        flushed = sum(link.counters.flushed for link in pair.links)
        assert lost <= flushed
        # A short outage of the other side's own making loses nothing that this side sent.
        if not flush and not both and side == 1:
            assert lost == 0


delays = st.lists(st.floats(0.001, 0.3), min_size=4, max_size=4)
acts = st.one_of(
    st.tuples(st.sampled_from([0, 1]), st.integers(1, 12)),  # send so many
    st.floats(0.001, 0.5),  # let time pass
    st.sampled_from(["busy", "free", "stop", "cut"]),
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(delays, st.lists(acts, max_size=25))
def test_changeover_neither_loses_nor_doubles(seconds: list[float], script: list[object]) -> None:
    """Whenever the link goes, what the peer has and what is retrieved make up what was sent."""
    pair = Pair(TIGHT, delay=lambda side, stream: seconds[2 * side + stream]).up_and_running()
    given_up: tuple[list[bytes], list[bytes]] = ([], [])
    number = 0
    for act in [*script, "cut"]:
        if isinstance(act, tuple):
            side, count = act
            given_up[side].extend(msu(number + i) for i in range(count))
            pair.send(side, [msu(number + i) for i in range(count)])
            number += count
        elif isinstance(act, float):
            pair.run(act)
        elif act == "busy":
            pair.take(0, pair.links[0].busy(pair.now))
        elif act == "free":
            pair.take(0, pair.links[0].busy_ended(pair.now))
        elif act == "stop":
            pair.take(1, pair.links[1].stop(pair.now))
            pair.run(1)
        else:
            pair.cut()
        if "in service" in pair.states:
            continue
        confirmed = [link.retrieve_bsnt() for link in pair.links]
        for side in (0, 1):
            retrieved = pair.links[side].retrieve(confirmed[1 - side])
            assert pair.msus[1 - side] + retrieved == given_up[side]
            pair.msus[1 - side].clear()
            given_up[side].clear()
        pair.take(0, pair.links[0].busy_ended(pair.now))
        if not pair.up:
            pair.connect()
        pair.start()
        pair.run(5)
        assert pair.states == IN_SERVICE
