"""Processor outage beyond figures 15 and 16 (RFC 4165 4.1.4), against a scripted peer."""

from __future__ import annotations

import pytest
from tests.ss7.m2pa.pair import Item, Script, in_service, msu, sent, state, statuses

from trunkline.ss7.m2pa import (
    Discarded,
    InService,
    LinkStatus,
    M2paError,
    RemoteProcessorOutage,
    RemoteProcessorRecovered,
    Settings,
    State,
    Status,
    UserData,
)

START = 0xFFFFFF
QUICK = Settings(status_interval=0, proving_interval=10)


def test_outage_at_the_end_of_proving() -> None:
    script = Script(QUICK)
    link = script.link
    link.communication_up(script.now)
    link.start(script.now)
    link.processor_outage(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    link.data_to_send()
    script.wait(8)
    assert statuses(link) == [(1, Status.PROCESSOR_OUTAGE)]
    assert state(link) is State.ALIGNED_NOT_READY
    assert script.status(Status.READY) == [InService()]
    assert state(link) is State.LOCAL_OUTAGE
    assert script.data(START, 0, msu(0)) == []
    assert link.processor_recovered(script.now) == [msu(0)]
    assert sent(link) == [(1, LinkStatus(0, START, Status.PROCESSOR_RECOVERED))]
    script.status(Status.READY, fsn=0, stream=1)
    assert sent(link) == [(1, LinkStatus(0, START, Status.READY)), (1, UserData(0, START))]
    assert state(link) is State.IN_SERVICE


def test_outage_that_ends_before_the_peer_is_ready() -> None:
    script = Script(QUICK)
    link = script.link
    link.communication_up(script.now)
    link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.wait(8)
    link.data_to_send()
    link.processor_outage(script.now)
    assert statuses(link) == [(1, Status.PROCESSOR_OUTAGE)]
    link.processor_recovered(script.now)
    assert statuses(link) == [(1, Status.PROCESSOR_RECOVERED)]
    assert script.status(Status.READY) == [InService()]
    assert state(link) is State.IN_SERVICE


@pytest.mark.parametrize("noted", [True, False])
def test_a_peer_in_outage_when_it_finishes_proving(noted: bool) -> None:
    script = Script(QUICK)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    items: list[Item] = []
    if noted:
        items += script.status(Status.PROCESSOR_OUTAGE)
        items += script.status(Status.READY)  # overtook on the other stream: outage it stays
    items += script.wait(8)
    if not noted:
        items += script.status(Status.PROCESSOR_OUTAGE)
    assert items == [InService(), RemoteProcessorOutage()]
    script.link.data_to_send()
    assert script.status(Status.PROCESSOR_RECOVERED) == [RemoteProcessorRecovered()]
    assert statuses(script.link) == [(1, Status.READY)]
    assert state(script.link) is State.IN_SERVICE


def test_a_peer_whose_outage_ended_while_we_prove() -> None:
    script = Script(QUICK)
    script.link.communication_up(script.now)
    script.link.start(script.now)
    script.status(Status.ALIGNMENT)
    script.status(Status.PROVING_NORMAL)
    script.status(Status.PROCESSOR_OUTAGE)
    script.status(Status.PROCESSOR_RECOVERED)
    assert script.wait(8) == [InService()]
    assert statuses(script.link)[-2:] == [(0, Status.READY), (1, Status.READY)]


def test_both_processors_out() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.processor_outage(now)
    assert script.status(Status.PROCESSOR_OUTAGE) == [RemoteProcessorOutage()]
    link.data_to_send()
    assert state(link) is State.BOTH_OUTAGE
    link.send([msu(0)], now)
    assert sent(link) == []
    # We recover first: the peer answers, still out.
    link.processor_recovered(now)
    assert statuses(link) == [(1, Status.PROCESSOR_RECOVERED)]
    assert state(link) is State.RECOVERING_REMOTE_OUTAGE
    script.status(Status.READY, stream=1)
    assert statuses(link) == [(1, Status.READY)]
    assert state(link) is State.REMOTE_OUTAGE
    assert script.status(Status.PROCESSOR_RECOVERED) == [RemoteProcessorRecovered()]
    assert [type(m) for _, m in sent(link)] == [LinkStatus, UserData]
    assert state(link) is State.IN_SERVICE


def test_both_recover_at_once() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.processor_outage(now)
    script.status(Status.PROCESSOR_OUTAGE)
    link.processor_recovered(now)
    link.data_to_send()
    assert script.status(Status.PROCESSOR_RECOVERED) == [RemoteProcessorRecovered()]
    assert state(link) is State.RECOVERING
    assert statuses(link) == [(1, Status.READY)]
    script.status(Status.READY, stream=1)
    assert statuses(link) == [(1, Status.READY)]
    assert state(link) is State.IN_SERVICE
    script.status(Status.READY, stream=1)  # the third Ready of the peer
    assert statuses(link) == []


def test_a_new_outage_while_recovering_is_announced_after_the_ready() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.processor_outage(now)
    link.processor_recovered(now)
    link.processor_outage(now)
    link.data_to_send()
    assert script.data(START, 0, msu(0)) == []
    script.status(Status.READY, fsn=0, stream=1)
    assert statuses(link) == [(1, Status.READY), (1, Status.PROCESSOR_OUTAGE)]
    assert state(link) is State.LOCAL_OUTAGE
    assert link.held == 1
    assert link.processor_recovered(now) == [msu(0)]


def test_messages_under_way_when_the_outage_ends() -> None:
    """What the peer sent before it heard of the recovery counts if its Ready says so."""
    for taken_back, delivered in ((True, []), (False, [msu(0), msu(1)])):
        script = in_service()
        link, now = script.link, script.now
        link.processor_outage(now)
        link.processor_recovered(now)
        link.data_to_send()
        assert script.data(START, 0, msu(0)) == []
        assert script.data(START, 1, msu(1)) == []
        last = START if taken_back else 1
        assert script.status(Status.READY, fsn=last, stream=1) == delivered
        assert script.data(START, last + 1 & START, msu(2)) == [msu(2)]


def test_continue_keeps_what_flush_would_discard() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.processor_outage(now)
    link.flush(now)
    link.resume(now)
    assert script.data(START, 0, msu(0)) == []
    assert link.processor_recovered(now) == [msu(0)]


def test_flush_discards_what_comes_later_too() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.processor_outage(now)
    link.flush(now)
    assert script.data(START, 0, msu(0)) == []
    assert link.processor_recovered(now) == []
    assert sent(link)[-1] == (1, LinkStatus(START, START, Status.PROCESSOR_RECOVERED))
    assert link.counters.flushed == 1


def test_an_earlier_flush_does_not_reach_into_the_next_outage() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.processor_outage(now)
    link.flush(now)
    link.processor_recovered(now)
    link.processor_outage(now)
    script.status(Status.READY, stream=1)
    assert script.data(START, 0, msu(0)) == []
    assert link.processor_recovered(now) == [msu(0)]
    script.status(Status.READY, fsn=0, stream=1)
    link.processor_outage(now)
    assert script.data(START, 1, msu(1)) == []
    assert link.processor_recovered(now) == [msu(1)]


def test_acknowledgements_with_an_fsn_that_was_flushed_count() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.send([msu(0)], now)
    link.data_to_send()
    link.processor_outage(now)
    script.data(START, 0, msu(0))
    link.flush(now)
    link.send([msu(1)], now)
    link.data_to_send()
    assert script.data(1, 0) == []
    assert link.unacknowledged == 0


def test_recovery_while_congested_keeps_what_is_held() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.busy(now)
    script.data(START, 0, msu(0))
    link.processor_outage(now)
    script.data(START, 1, msu(1))
    link.data_to_send()
    assert link.processor_recovered(now) == []
    assert sent(link) == [(1, LinkStatus(1, START, Status.PROCESSOR_RECOVERED))]
    assert script.status(Status.READY, fsn=1, stream=1) == []
    assert sent(link) == [(1, LinkStatus(1, START, Status.READY))]
    assert link.busy_ended(now) == [msu(0), msu(1)]


def test_flush_empties_the_transmit_side() -> None:
    script = in_service()
    link, now = script.link, script.now
    link.send([msu(0), msu(1)], now)
    link.data_to_send()
    script.status(Status.PROCESSOR_OUTAGE)
    link.send([msu(2)], now)
    link.flush(now)
    assert (link.unacknowledged, link.waiting) == (0, 0)
    script.data(0, START)  # a late acknowledgement is no news
    script.status(Status.PROCESSOR_RECOVERED, bsn=0)
    link.send([msu(3)], now)
    assert [(type(m), m.fsn) for _, m in sent(link)] == [(LinkStatus, 0), (UserData, 1)]


def test_an_outage_may_last() -> None:
    script = in_service()
    link = script.link
    link.send([msu(0)], script.now)
    link.data_to_send()
    script.status(Status.PROCESSOR_OUTAGE)
    assert script.wait(3600) == []
    script.status(Status.PROCESSOR_RECOVERED, bsn=START)
    assert link.unacknowledged == 0
    assert link.counters.flushed == 1
    assert script.wait(10) == []


def test_a_resynchronisation_to_an_fsn_never_sent_is_refused() -> None:
    script = in_service()
    script.status(Status.PROCESSOR_OUTAGE)
    items = script.status(Status.PROCESSOR_RECOVERED, bsn=77)
    assert [item.code for item in items if isinstance(item, Discarded)] == [M2paError.BSN]
    assert script.link.fsn == START
