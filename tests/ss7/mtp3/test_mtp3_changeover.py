"""Changeover and diversion inside a linkset, over the real M2PA, with traffic under way."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss7.mtp3.harness import Network

from trunkline.ss7.mtp3.events import (
    ChangeoverCompleted,
    ChangeoverStarted,
    Diversion,
    MessagesLost,
    TestFailed,
)
from trunkline.ss7.mtp3.states import LinksetState, LinkState

WIRES = ("A-B", "A-B:1", "A-B:2")


def two_nodes(links: int = 3, **more: float) -> Network:
    network = Network(**more)
    network.node("A", "1.2.3")
    network.node("B", "4.5.6")
    network.wire("A", "B", links)
    network.run(30.0)
    return network


def numbered(network: Network, source: str, target: str, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        network.send(source, target, number % 16, number.to_bytes(4, "big"))


def check(network: Network, node: str, sent: int, lost: int = 0) -> None:
    """Everything arrived once, in order per SLS, but for what is counted as lost."""
    messages = network.delivered(node)
    numbers = [int.from_bytes(m.payload, "big") for m in messages]
    assert len(set(numbers)) == len(numbers), "doubled"
    assert len(numbers) >= sent - lost, f"{sent - len(numbers)} missing, {lost} counted as lost"
    per_sls: dict[int, list[int]] = defaultdict(list)
    for message, number in zip(messages, numbers, strict=True):
        per_sls[message.sls].append(number)
    for sls, arrived in per_sls.items():
        assert arrived == sorted(arrived), f"SLS {sls} out of order"


def test_the_load_is_shared_and_every_link_used() -> None:
    network = two_nodes()
    numbered(network, "A", "B", 160)
    network.run(1.0)
    links = network.routers["A"].linksets["ToB"].links.values()
    shares = [link.counters.tx_msus for link in links]
    assert sum(shares) >= 160
    assert min(shares) >= 50
    check(network, "B", 160)


def test_a_cut_loses_nothing_and_tells_the_story() -> None:
    network = two_nodes()
    network.events.clear()
    numbered(network, "A", "B", 96)
    numbered(network, "B", "A", 96)
    network.cut("A-B:1")  # before anything has arrived
    numbered(network, "A", "B", 96, 96)
    numbered(network, "B", "A", 96, 96)
    network.run(3.0)
    check(network, "B", 192)
    check(network, "A", 192)
    for node in "AB":
        [started] = network.of(node, ChangeoverStarted)
        assert started.fsn == 1  # the SLTM and the SLTA were all that had arrived on it
        [completed] = network.of(node, ChangeoverCompleted)
        assert completed.acknowledged
        assert completed.retrieved >= 30
        assert network.of(node, MessagesLost) == []
    failed = network.routers["A"].linksets["ToB"].links[1]
    assert failed.state is LinkState.UNAVAIL  # T17 has run out, level 2 waits for its association
    assert failed.counters.changeovers == 1
    assert network.routers["A"].linksets["ToB"].state is LinksetState.AVAIL


def test_the_link_that_returns_gets_its_share_after_t3_in_order() -> None:
    network = two_nodes()
    network.cut("A-B:1")
    network.run(2.0)
    network.heal("A-B:1")
    sent = 0
    for _ in range(400):  # until well after alignment, link test and T3
        numbered(network, "A", "B", 8, sent)
        sent += 8
        network.run(0.05)
    network.run(2.0)
    check(network, "B", sent)
    assert network.of("A", Diversion)
    link = network.routers["A"].linksets["ToB"].links[1]
    assert link.state is LinkState.AVAIL
    before = link.counters.tx_msus
    numbered(network, "A", "B", 96, sent)
    assert link.counters.tx_msus == before + 30  # 5 of 16 slots, six times


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 40),  # messages from A
            st.integers(0, 40),  # and from B
            st.integers(0, 30),  # then milliseconds pass
        ),
        min_size=4,
        max_size=20,
    ),
    victims=st.permutations(WIRES),
    cuts=st.integers(1, 2),
    first=st.integers(0, 3),
    heals=st.booleans(),
)
def test_nothing_lost_nothing_doubled_order_kept(
    steps: list[tuple[int, int, int]],
    victims: list[str],
    cuts: int,
    first: int,
    heals: bool,
) -> None:
    network = two_nodes()
    sent = [0, 0]
    pending = list(victims[:cuts])
    for index, (from_a, from_b, milliseconds) in enumerate(steps):
        numbered(network, "A", "B", from_a, sent[0])
        numbered(network, "B", "A", from_b, sent[1])
        sent[0] += from_a
        sent[1] += from_b
        network.run(milliseconds / 1000)
        if index >= first and pending:
            network.cut(pending.pop())
            # One more message each way before anybody knows; then time for the XCO and the XCA,
            # without which a second failure is allowed to cost messages.
            numbered(network, "A", "B", 16, sent[0])
            numbered(network, "B", "A", 16, sent[1])
            sent = [sent[0] + 16, sent[1] + 16]
            network.run(0.03)
    if heals:
        for name in victims[:cuts]:
            network.heal(name)
        for _ in range(30):
            numbered(network, "A", "B", 16, sent[0])
            numbered(network, "B", "A", 16, sent[1])
            sent = [sent[0] + 16, sent[1] + 16]
            network.run(0.5)
    network.run(5.0)
    check(network, "B", sent[0])
    check(network, "A", sent[1])
    assert not network.of("A", MessagesLost)
    assert not network.of("B", MessagesLost)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 20),
            st.sampled_from(("nothing", "cut", "heal")),
            st.sampled_from(WIRES),
            st.sampled_from((0.0, 0.001, 0.004, 0.006, 0.02, 0.5, 1.0, 3.0, 12.0)),
        ),
        max_size=30,
    )
)
def test_whatever_fails_nothing_doubles_and_losses_are_counted(
    steps: list[tuple[int, str, str, float]],
) -> None:
    network = two_nodes()
    sent = 0
    refused = 0
    for count, action, wire, seconds in steps:
        numbered(network, "A", "B", count, sent)
        sent += count
        if action == "cut" and network.wires[wire].up:
            network.cut(wire)
        elif action == "heal" and not network.wires[wire].up:
            network.heal(wire)
        network.run(seconds)
    for name in WIRES:
        if not network.wires[name].up:
            network.heal(name)
    network.run(40.0)
    router = network.routers["A"]
    lost = sum(e.count for e in network.of("A", MessagesLost))
    refused = router.counters.discarded.get("mtp3.route.unavailable", 0)
    check(network, "B", sent, lost + refused)
    assert router.linksets["ToB"].state is LinksetState.AVAIL
    assert router.linksets["ToB"].hold is None
    # And it still works.
    numbered(network, "A", "B", 64, sent)
    network.run(2.0)
    check(network, "B", sent + 64, lost + refused)


def test_the_diversion_waits_for_what_a_slow_link_still_carries() -> None:
    network = two_nodes(links=2)
    network.wires["A-B"].delay = 0.3
    network.cut("A-B:1")
    network.run(2.0)
    network.heal("A-B:1")
    sent = 0
    for _ in range(400):
        numbered(network, "A", "B", 16, sent)
        sent += 16
        network.run(0.05)
    network.run(2.0)
    assert network.of("A", Diversion)
    assert network.routers["A"].linksets["ToB"].links[1].counters.tx_msus > 100
    check(network, "B", sent)


@pytest.mark.parametrize(
    ("t2", "t17", "ends"),
    [
        (1.0, 1.5, 1.0),
        (2.0, 0.8, 0.8),  # the restart would empty the buffers: it ends the changeover first
    ],
)
def test_a_silent_other_end_ends_the_changeover(t2: float, t17: float, ends: float) -> None:
    network = two_nodes(links=2, t2=t2, t17=t17)
    numbered(network, "A", "B", 64)
    # Only A notices; B does not even know the link that the XCO is about.
    del network.routers["B"].linksets["ToA"].links[1]
    _, slink, level2 = network.wires["A-B:1"].ends[0]
    items = level2.communication_lost(network.now, "cut")
    network.say("A", network.routers["A"].receive(slink, items, network.now))
    network.run(0.5)
    linkset = network.routers["A"].linksets["ToB"]
    numbered(network, "A", "B", 16, 64)
    assert len(linkset.hold.buffer if linkset.hold else ()) == 8  # the failed link's share waits
    network.run(ends - 0.5 - 0.01)
    assert bool(linkset.hold)
    network.run(0.02)
    assert not linkset.hold
    [completed] = network.of("A", ChangeoverCompleted)
    assert completed == ChangeoverCompleted(slink, 0, False)
    assert [event.count for event in network.of("A", MessagesLost)] == [32]
    assert slink.counters.lost == 32


def test_a_full_hold_drops_counts_and_reports() -> None:
    network = two_nodes(links=2, changeover_limit=5)
    network.cut("A-B:1")
    network.wires["A-B"].flying.clear()  # no XCO, no XCA
    numbered(network, "A", "B", 160)
    network.run(2.0)
    counters = network.routers["A"].counters
    assert counters.lost == 75
    assert 75 in [e.count for e in network.of("A", MessagesLost)]
    assert len(network.delivered("B")) <= 85


@pytest.mark.parametrize("order", [False, True])
def test_an_order_for_a_link_in_use_is_obeyed(order: bool) -> None:
    """The other end may know first, or alone (Q.704 5.3)."""
    network = two_nodes(links=2)
    network.events.clear()
    numbered(network, "A", "B", 64)
    b = network.routers["B"]
    slink = b.linksets["ToA"].links[1]
    if order:
        # B takes its link out of service by command: A hears it from level 2 and by the XCO.
        network.say("B", b.set_link_shutdown(slink, True, network.now))
    else:
        network.say("B", b.set_linkset_shutdown("ToA", True, network.now))
    network.run(5.0)
    lost = sum(e.count for e in network.of("A", MessagesLost))
    if order:
        assert lost == 0
        check(network, "B", 64)
        assert slink.state is LinkState.SHUTDOWN
        network.say("B", b.set_link_shutdown(slink, False, network.now))
    else:
        assert b.linksets["ToA"].state is LinksetState.SHUTDOWN
        network.say("B", b.set_linkset_shutdown("ToA", False, network.now))
    network.run(40.0)
    assert slink.state is LinkState.AVAIL
    assert b.linksets["ToA"].state is LinksetState.AVAIL


def test_a_failed_periodic_test_restarts_the_link() -> None:
    network = two_nodes(links=2)
    b = network.routers["B"]
    b.linksets["ToA"].links[1].slc = 9  # B now refuses link 1's tests: a crossed cable
    network.run(75.0)
    assert network.of("A", TestFailed)
    assert network.routers["A"].linksets["ToB"].links[1].counters.slt_failed >= 1
    numbered(network, "A", "B", 64)
    network.run(5.0)
    check(network, "B", 64)
    b.linksets["ToA"].links[1].slc = 1
    network.run(60.0)
    assert network.routers["A"].linksets["ToB"].links[1].state is LinkState.AVAIL


def test_processor_outage_moves_the_traffic_and_brings_it_back() -> None:
    network = two_nodes(links=2)
    _, slink, level2 = network.wires["A-B:1"].ends[1]
    network.say("B", network.routers["B"].receive(slink, level2.processor_outage(network.now), 0))
    network.run(3.0)
    blocked = network.routers["A"].linksets["ToB"].links[1]
    assert blocked.state.value == "blocked"
    numbered(network, "A", "B", 64)
    network.run(3.0)
    check(network, "B", 64)
    items = level2.processor_recovered(network.now)
    network.say("B", network.routers["B"].receive(slink, items, network.now))
    network.run(20.0)
    assert blocked.state is LinkState.AVAIL
    numbered(network, "A", "B", 64, 64)
    network.run(3.0)
    check(network, "B", 128)
