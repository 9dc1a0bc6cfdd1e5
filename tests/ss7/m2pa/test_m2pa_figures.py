"""Each figure of RFC 4165, section 5, as a test."""

from __future__ import annotations

import pytest
from tests.ss7.m2pa.pair import Pair, Script, in_service, msu, sent, state, statuses

from trunkline.ss7.m2pa import (
    CongestionAbated,
    CongestionOnset,
    InService,
    Link,
    LinkStatus,
    OutOfService,
    RemoteProcessorOutage,
    RemoteProcessorRecovered,
    Settings,
    State,
    Status,
    UserData,
)


def test_figure_11_link_initialization_alignment() -> None:
    script = Script()
    link, now = script.link, script.now
    assert link.communication_up(now) == []
    assert statuses(link) == [(0, Status.OUT_OF_SERVICE)]
    assert link.set_emergency(False, now) == []
    assert link.start(now) == []
    assert statuses(link) == [(0, Status.ALIGNMENT)]
    assert link._deadlines.keys() >= {"T2"}
    script.status(Status.ALIGNMENT)
    assert "T2" not in link._deadlines
    assert state(link) is State.ALIGNED


@pytest.mark.parametrize(
    ("emergency", "period", "proving"),
    [(False, 8.0, Status.PROVING_NORMAL), (True, 0.5, Status.PROVING_EMERGENCY)],
)
def test_figure_12_link_initialization_proving(
    emergency: bool, period: float, proving: Status
) -> None:
    script = Script()
    link = script.link
    link.communication_up(script.now)
    link.set_emergency(emergency, script.now)
    link.start(script.now)
    link.data_to_send()
    script.status(Status.ALIGNMENT)
    assert statuses(link) == [(0, proving)]
    assert link.next_timeout() == script.now + 1.0  # T3
    script.status(Status.PROVING_NORMAL)
    assert "T3" not in link._deadlines
    assert statuses(link) == [(0, proving)]
    began = script.now
    assert script.wait(period - 0.05) == []
    repeated = statuses(link)
    assert set(repeated) == {(0, proving)}
    assert len(repeated) >= period / link.settings.proving_interval - 1
    assert script.wait(0.05) == []
    assert script.now == pytest.approx(began + period)
    assert statuses(link)[-1] == (0, Status.READY)
    assert state(link) is State.ALIGNED_READY
    assert link._deadlines["T1"] == pytest.approx(script.now + 45.0)  # type: ignore[index]
    assert script.status(Status.READY) == [InService()]
    assert link.next_timeout() is None
    assert state(link) is State.IN_SERVICE


def test_figure_13_link_initialization_in_service() -> None:
    pair = Pair().up_and_running()
    pair.send(0, [msu(1)])
    pair.run(1)
    assert pair.msus == ([], [msu(1)])


def test_figure_14_link_status_indication() -> None:
    pair = Pair().up_and_running()
    assert pair.links[0].communication_lost(pair.now, "peer aborted") == [
        OutOfService("association lost: peer aborted")
    ]


def test_figure_15_link_status_message_processor_outage() -> None:
    pair = Pair().up_and_running()
    a = pair.links[0]
    pair.take(0, a.processor_outage(pair.now))
    pair.run(1)
    assert pair.events[1] == [InService(), RemoteProcessorOutage()]
    pair.take(0, a.processor_recovered(pair.now))
    pair.run(1)
    assert pair.events[1][2:] == [RemoteProcessorRecovered()]
    assert pair.states == ("in service", "in service")
    pair.send(0, [msu(1)])
    pair.run(1)
    assert pair.msus[1] == [msu(1)]


def figure_16_before() -> Script:
    """Both sides so far that A's next FSN is 1 and B's is 11."""
    script = in_service()
    script.exchange(outgoing=1, incoming=11)
    return script


def test_figure_16_processor_outage_and_recovery_side_a() -> None:
    script = figure_16_before()
    a, now = script.link, script.now
    a.send([msu(i) for i in (1, 2, 3)], now)
    assert [(m.fsn, m.bsn) for _, m in sent(a)] == [(1, 10), (2, 10), (3, 10)]
    for fsn in (11, 12, 13):
        assert script.data(0, fsn, msu(fsn)) == [msu(fsn)]
    assert a.processor_outage(now) == []
    for fsn in (14, 15, 16):
        assert script.data(3, fsn, msu(fsn)) == []  # buffered, not acknowledged
    # The figure shows BSN 11 here: its A has not yet handed 12 and 13 to MTP3. Ours has.
    outage, acknowledgement = sent(a)
    assert outage == (1, LinkStatus(13, 3, Status.PROCESSOR_OUTAGE))
    assert acknowledgement == (1, UserData(13, 3))
    a.send([msu(i) for i in (4, 5, 6)], now)
    assert [(s, m.fsn, m.bsn) for s, m in sent(a)] == [(1, 4, 13), (1, 5, 13), (1, 6, 13)]
    assert script.data(4, 16) == []
    assert script.data(5, 16) == []
    assert a.unacknowledged == 1
    a.flush(now)
    assert a.processor_recovered(now) == []
    assert sent(a) == [(1, LinkStatus(13, 6, Status.PROCESSOR_RECOVERED))]
    a.send([msu(60)], now)
    assert sent(a) == []  # not before the Ready of B
    assert script.status(Status.READY, bsn=5, fsn=13, stream=1) == []
    ready, data = sent(a)
    assert ready == (1, LinkStatus(13, 5, Status.READY))
    assert data == (1, UserData(13, 6, msu=msu(60)))
    assert script.data(5, 14, msu(114)) == [msu(114)]
    assert sent(a) == [(1, UserData(14, 6))]
    assert script.data(5, 15, msu(115)) == [msu(115)]
    assert script.data(6, 15) == []
    assert sent(a) == [(1, UserData(15, 6))]
    assert a.unacknowledged == 0
    assert state(a) is State.IN_SERVICE


def test_figure_16_processor_outage_and_recovery_side_b() -> None:
    script = in_service()
    script.exchange(outgoing=11, incoming=1)
    b, now = script.link, script.now
    for fsn in (1, 2, 3):
        script.data(10, fsn, msu(fsn))
    b.send([msu(i) for i in range(11, 17)], now)
    assert [(m.fsn, m.bsn) for _, m in sent(b)] == [(i, 3) for i in range(11, 17)]
    assert script.status(Status.PROCESSOR_OUTAGE, bsn=11, fsn=3) == [RemoteProcessorOutage()]
    assert script.data(13, 4, msu(4)) == [msu(4)]
    assert sent(b) == [(1, UserData(4, 16))]  # acknowledging goes on
    assert script.data(13, 5, msu(5)) == [msu(5)]
    assert sent(b) == [(1, UserData(5, 16))]
    b.send([msu(114)], now)
    assert sent(b) == []  # no data towards a processor that is out
    # Message 6 never gets to B's level 3: here it never arrives.
    assert script.status(Status.PROCESSOR_RECOVERED, bsn=13, fsn=6) == [RemoteProcessorRecovered()]
    ready, data = sent(b)
    assert ready == (1, LinkStatus(5, 13, Status.READY))
    assert data == (1, UserData(5, 14, msu=msu(114)))
    assert script.status(Status.READY, bsn=13, fsn=5, stream=1) == []
    assert b.unacknowledged == 1
    assert script.data(14, 5) == []
    assert b.unacknowledged == 0
    assert script.data(14, 6, msu(6)) == [msu(6)]
    assert sent(b) == [(1, UserData(6, 14))]
    assert b.counters.flushed == 3  # 14, 15, 16, which A flushed


def test_figure_17_level_2_flow_control_congestion_ceases() -> None:
    pair = Pair().up_and_running()
    a, b = pair.links
    pair.take(0, a.busy(pair.now))
    pair.send(1, [msu(1), msu(2)])
    pair.run(0.5)
    assert b.remote_busy
    assert "T6" in b._deadlines
    assert pair.msus[0] == []
    assert a.held == 2
    pair.run(2)  # T7 rests meanwhile
    pair.send(1, [msu(3)])
    assert b.waiting == 1
    pair.take(0, a.busy_ended(pair.now))
    pair.run(0.5)
    assert "T6" not in b._deadlines
    assert pair.states == ("in service", "in service")
    assert pair.msus[0] == [msu(1), msu(2), msu(3)]
    assert b.unacknowledged == 0


def test_figure_18_level_2_flow_control_timer_t6_expires() -> None:
    pair = Pair().up_and_running()
    pair.take(0, pair.links[0].busy(pair.now))
    pair.send(1, [msu(1)])
    pair.run(0.02)
    began = pair.now
    pair.run(pair.links[1].settings.t6 + 1)
    assert pair.now > began
    assert pair.events[1][-1] == OutOfService("T6 expired: the peer stayed busy")
    assert pair.events[0][-1] == OutOfService("the peer is out of service")


def test_figure_19_mtp3_signaling_link_congestion() -> None:
    settings = Settings(
        retransmit_limit=2, congestion_onset=(2, 4), congestion_abatement=(1, 3), transmit_limit=6
    )
    script = in_service(settings)
    link, now = script.link, script.now
    assert link.send([msu(1), msu(2)], now) == []  # fits the window: no congestion
    link.data_to_send()
    assert link.send([msu(3), msu(4)], now) == [CongestionOnset(1)]
    assert link.send([msu(5), msu(6)], now) == [CongestionOnset(2)]
    link.data_to_send()
    assert script.data(0, 0xFFFFFF) == [CongestionAbated(1)]
    link.data_to_send()
    assert script.data(2, 0xFFFFFF) == [CongestionAbated(0)]


def test_figure_20_link_deactivation() -> None:
    pair = Pair().up_and_running()
    a = pair.links[0]
    assert a.stop(pair.now) == [OutOfService("stopped")]
    assert statuses(a) == [(0, Status.OUT_OF_SERVICE)]
    assert state(a) is State.OUT_OF_SERVICE


def test_figure_21_link_changeover() -> None:
    """B gets 0 and 1 of A's five messages, and its acknowledgement of 1 is lost."""
    pair = Pair(Settings(retransmit_limit=4)).up_and_running()
    a, b = pair.links
    pair.send(0, [msu(0)])
    pair.run(0.1)
    a.send([msu(i) for i in range(1, 6)], pair.now)
    sending = a.data_to_send()
    assert len(sending) == 4  # the fifth waits for room
    assert b.receive(sending[:1], pair.now) == [msu(1)]
    pair.up = False
    assert isinstance(a.communication_lost(pair.now)[0], OutOfService)
    assert isinstance(b.communication_lost(pair.now)[0], OutOfService)
    fsnc = b.retrieve_bsnt()
    assert fsnc == 1
    assert a.retrieve_bsnt() == 0xFFFFFF
    assert a.retrieve(fsnc) == [msu(2), msu(3), msu(4), msu(5)]
    assert b.retrieve(a.retrieve_bsnt()) == []
    assert (a.unacknowledged, a.waiting) == (0, 0)


def test_figure_21_emergency_changeover_retrieves_the_unsent_only() -> None:
    for fsnc in (None, 99, -1, 1 << 24):
        script = in_service(Settings(retransmit_limit=1))
        link: Link = script.link
        link.send([msu(0), msu(1)], script.now)
        link.data_to_send()
        link.stop(script.now)
        assert link.unacknowledged == 1
        assert link.retrieve(fsnc) == [msu(1)]
        assert link.counters.abandoned == 1
