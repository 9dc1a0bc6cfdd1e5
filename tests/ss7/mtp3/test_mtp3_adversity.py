"""Changeover when everything goes wrong: late detection, lost orders, hostile peers."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss7.mtp3.harness import FakeLevel2, Network
from tests.ss7.mtp3.test_mtp3_changeover import WIRES, check, numbered, two_nodes
from tests.ss7.mtp3.test_mtp3_routes import bring_up, router_with

from trunkline.ss7.m2pa.events import OutOfService
from trunkline.ss7.mtp3.events import ChangeoverCompleted, Discarded, MessagesLost
from trunkline.ss7.mtp3.management import Heading, Management, parse
from trunkline.ss7.mtp3.message import Msu
from trunkline.ss7.mtp3.states import LinkState
from trunkline.ss7.pointcode import ITU, Prefix


def lost(network: Network, node: str) -> int:
    return sum(event.count for event in network.of(node, MessagesLost))


def test_a_changeover_order_of_another_node_is_refused() -> None:
    network = two_nodes(links=2)
    router = network.routers["A"]
    linkset = router.linksets["ToB"]
    payload = Management(Heading.XCO, fsn=0).to_bytes(ITU)
    forged = Msu(0, 0, 0, ITU.parse("1.2.3"), ITU.parse("7.7.1"), 1, payload).to_bytes(ITU)
    events = router.receive(linkset.links[0], [forged], network.now)
    assert linkset.links[1].state is LinkState.AVAIL
    assert [e.code for e in events if isinstance(e, Discarded)] == ["mtp3.management.opc"]


def test_the_second_failure_takes_the_order_of_the_first_along() -> None:
    """The XCO for one link was under way on the next link that failed (Q.704 5.4)."""
    network = two_nodes()
    numbered(network, "A", "B", 96)
    numbered(network, "B", "A", 96)
    network.cut("A-B:1")
    network.run(0.002)  # the XCOs are under way on A-B
    network.cut("A-B")
    network.run(3.0)
    check(network, "B", 96)
    check(network, "A", 96)
    assert lost(network, "A") == lost(network, "B") == 0


@pytest.mark.parametrize("late", ["A", "B"])
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.9])
def test_the_ends_notice_at_different_times(late: str, delay: float) -> None:
    network = two_nodes()
    numbered(network, "A", "B", 96)
    numbered(network, "B", "A", 96)
    network.stall("A-B:1")
    network.notice("A-B:1", "B" if late == "A" else "A")
    network.run(delay)
    network.notice("A-B:1", late)
    numbered(network, "A", "B", 32, 96)
    numbered(network, "B", "A", 32, 96)
    network.run(3.0)
    check(network, "B", 128)
    check(network, "A", 128)
    assert lost(network, "A") == lost(network, "B") == 0


@pytest.mark.parametrize("after", [0.5, 1.05, 1.4])
def test_an_order_that_comes_after_the_restart_is_answered_with_the_fsn(after: float) -> None:
    """T17 may have run out here before the other end knows of the failure."""
    network = two_nodes(links=2)
    network.stall("A-B:1")
    network.notice("A-B:1", "A")
    network.garble("A-B")  # A's own order does not tell B
    network.run(0.45)
    numbered(network, "B", "A", 64)
    network.run(after - 0.45)
    network.notice("A-B:1", "B")
    network.run(1.5)
    [completed] = network.of("B", ChangeoverCompleted)
    assert completed.acknowledged
    check(network, "A", 64)
    assert lost(network, "B") == 0


@pytest.mark.parametrize("how", ["cut", "shutdown"])
def test_a_blocked_link_that_fails_tells_what_it_has_and_counts_what_it_loses(how: str) -> None:
    network = two_nodes(links=2)
    numbered(network, "A", "B", 64)
    b = network.routers["B"]
    _, slink, level2 = network.wires["A-B:1"].ends[1]
    network.say("B", b.receive(slink, level2.processor_outage(network.now), network.now))
    network.run(2.0)
    blocked = network.routers["A"].linksets["ToB"].links[1]
    assert blocked.state is LinkState.BLOCKED
    held = level2.held
    assert held > 0  # under way when the outage began: B's level 3 never saw them
    numbered(network, "B", "A", 64)
    if how == "cut":
        network.cut("A-B:1")
    else:
        router = network.routers["A"]
        network.say("A", router.set_link_shutdown(blocked, True, network.now))
    network.run(3.0)
    check(network, "A", 64)
    assert lost(network, "B") == 0
    assert lost(network, "A") == blocked.counters.lost == held
    check(network, "B", 64, held)


def test_an_unreasonable_fsn_is_refused_and_the_loss_counted() -> None:
    """Q.704 5.7.2: no buffer updating; but nothing vanishes without a word."""
    network = two_nodes(links=2)
    numbered(network, "A", "B", 64)
    network.stall("A-B:1")
    network.stall("A-B")
    network.notice("A-B:1", "A")
    router = network.routers["A"]
    linkset = router.linksets["ToB"]
    payload = Management(Heading.XCA, fsn=12345).to_bytes(ITU)
    answer = Msu(0, 0, 0, ITU.parse("1.2.3"), ITU.parse("4.5.6"), 1, payload).to_bytes(ITU)
    network.say("A", router.receive(linkset.links[0], [answer], network.now))
    assert lost(network, "A") == linkset.links[1].counters.lost == 32
    assert "mtp3.management.fsn" in [e.code for e in network.of("A", Discarded)]
    [completed] = network.of("A", ChangeoverCompleted)
    assert not completed.acknowledged


def test_changeback_does_not_overtake_a_link_that_has_just_stalled() -> None:
    """T3 must outlast T7: what the stalled link had comes back before new messages go."""
    network = two_nodes(links=2)
    network.cut("A-B:1")
    network.run(3.0)
    network.heal("A-B:1")
    slink = network.routers["A"].linksets["ToB"].links[1]
    sent = 0
    while slink.state is not LinkState.AVAIL:
        numbered(network, "A", "B", 16, sent)
        sent += 16
        network.run(0.002)
    network.stall("A-B")  # in the moment of the changeback
    for _ in range(400):
        numbered(network, "A", "B", 16, sent)
        sent += 16
        network.run(0.01)
    network.run(3.0)
    check(network, "B", sent, lost(network, "A"))
    assert lost(network, "A") == 0


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 20),
            st.sampled_from(("nothing", "cut", "heal", "stall", "notice A", "notice B", "garble")),
            st.sampled_from(WIRES),
            st.sampled_from((0.0, 0.001, 0.004, 0.006, 0.02, 0.5, 1.0, 3.0, 12.0)),
        ),
        max_size=30,
    )
)
def test_nothing_doubles_nothing_overtakes_every_loss_is_counted(
    steps: list[tuple[int, str, str, float]],
) -> None:
    network = two_nodes()
    sent = 0
    for count, action, name, seconds in steps:
        numbered(network, "A", "B", count, sent)
        numbered(network, "B", "A", count, sent)
        sent += count
        wire = network.wires[name]
        if action == "cut" and wire.up:
            network.cut(name)
        elif action == "heal" and not wire.up:
            network.notice(name, "A")  # SCTP knows at last when the association is made anew
            network.notice(name, "B")
            network.heal(name)
        elif action == "stall":
            network.stall(name)
        elif action.startswith("notice") and not wire.up:
            network.notice(name, action[-1])
        elif action == "garble":
            network.garble(name)
        network.run(seconds)
    for name in WIRES:
        if not network.wires[name].up:
            network.notice(name, "A")
            network.notice(name, "B")
            network.heal(name)
    network.run(40.0)
    for source, target in ("AB", "BA"):
        router = network.routers[source]
        refused = router.counters.discarded.get("mtp3.route.unavailable", 0)
        check(network, target, sent, lost(network, source) + refused)
        assert all(linkset.hold is None for linkset in router.linksets.values())
    per_node: dict[str, int] = defaultdict(int)
    for name in "AB":
        for linkset in network.routers[name].linksets.values():
            for slink in linkset.links.values():
                assert slink.state is LinkState.AVAIL
                per_node[name] += slink.counters.lost
        assert per_node[name] + network.routers[name].counters.lost == lost(network, name)


def three_in_a_row() -> Network:
    """A - B = C, with A's and C's point codes known to each other."""
    network = Network()
    for name, pc in (("A", "1.2.3"), ("B", "4.5.6"), ("C", "7.7.1")):
        network.node(name, pc)
    network.wire("A", "B", 2)
    network.wire("B", "C")
    network.route("A", "7.7.1/14", "B")
    network.run(60.0)
    return network


def test_a_lost_tfa_is_mended_by_the_route_set_test() -> None:
    """Q.704 13.5: T10, RST, TFA."""
    network = three_in_a_row()
    network.cut("B-C")
    network.run(3.0)
    c = ITU.parse("7.7.1")
    assert network.routers["A"].prohibited("ToB") == (c,)
    network.heal("B-C")
    before = network.routers["B"].counters.tfa_sent
    while network.routers["B"].counters.tfa_sent == before:
        network.run(0.001)
    network.garble("A-B")  # the TFA
    network.run(10.0)
    assert network.routers["A"].prohibited("ToB") == (c,)
    network.run(30.0)
    assert network.routers["A"].prohibited("ToB") == ()
    assert network.routers["A"].counters.rst_sent >= 1
    network.send("A", "C", 1, b"again")
    network.run(1.0)
    assert [m.payload for m in network.delivered("C")] == [b"again"]


def test_a_route_set_test_of_what_is_prohibited_changes_nothing() -> None:
    network = three_in_a_row()
    a, b = network.routers["A"], network.routers["B"]
    tfp, tfa = b.counters.tfp_sent, b.counters.tfa_sent
    network.cut("B-C")
    network.run(200.0)
    assert 5 <= a.counters.rst_sent <= 7
    assert (b.counters.tfp_sent, b.counters.tfa_sent) == (tfp + 1, tfa)
    assert a.prohibited("ToB") == (ITU.parse("7.7.1"),)


def test_a_retrieved_tfp_does_not_undo_a_newer_tfa() -> None:
    """What is told after a changeover is what holds then."""
    router = router_with({"A": ("2.2.2", 2), "B": ("3.3.3", 1)})
    router.add_route(Prefix.parse("7.7.1/14", ITU), "B", None, 5.0)
    a, b = router.linksets["A"], router.linksets["B"]
    router.receive(b.links[0], [OutOfService("test")], 6.0)  # TFP, on A's first link
    router.receive(a.links[0], [OutOfService("test")], 6.5)
    bring_up(router, b.links[0], 7.2)  # TFA, on A's second link
    answer = Msu(0, 0, 0, ITU.parse("1.1.1"), a.apc, 0, b"\x41\0\0\0").to_bytes(ITU)
    router.receive(a.links[1], [answer], 7.3)
    level2 = a.links[1].level2
    assert isinstance(level2, FakeLevel2)
    told = [
        (message.name, message.pc)
        for msu in level2.sent
        if msu[0] & 15 == 0
        for message in [parse(msu[5:], ITU)]
        if message.pc == ITU.parse("7.7.1")
    ]
    assert told == [("TFA", ITU.parse("7.7.1"))] * 2


def test_a_ping_sent_in_the_moment_in_which_a_hold_ends_is_not_lost() -> None:
    network = two_nodes(links=2)
    network.cut("A-B:1")
    network.run(3.0)
    network.heal("A-B:1")
    router = network.routers["A"]
    linkset = router.linksets["ToB"]
    while linkset.hold is None or linkset.hold.until is None:
        network.run(0.01)
    ends = linkset.hold.until
    handle = router.ping(ITU.parse("4.5.6"), 16, 0.0, 1.0, ends - 0.001)
    network.now = ends + 0.001  # one wake-up, a little late, for both
    network.run(2.0)
    assert handle.received == 16
