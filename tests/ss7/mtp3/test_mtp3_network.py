"""Four countries on a virtual clock, over the real M2PA."""

from __future__ import annotations

import pytest
from tests.ss7.mtp3.harness import Network, four_countries

from trunkline.ss7.mtp3.events import (
    DestinationStatus,
    Discarded,
    LinkTested,
    ManagementReceived,
    MessagesLost,
    Pause,
    PingDone,
    PingReply,
    PingTimeout,
    Resume,
)
from trunkline.ss7.mtp3.routes import Outcome, Reason
from trunkline.ss7.mtp3.states import DestinationState, LinksetState, LinkState
from trunkline.ss7.pointcode import ITU

PC = {
    name: ITU.parse(pc)
    for name, pc in (("A", "1.2.3"), ("B", "4.5.6"), ("C", "7.7.1"), ("D", "7.8.1"))
}


def ping(network: Network, source: str, target: str, count: int = 3) -> PingDone:
    before = len(network.of(source, PingDone))
    network.routers[source].ping(PC[target], count, 0.1, 1.0, network.now)
    network.run(count * 0.1 + 1.5)
    done = network.of(source, PingDone)
    assert len(done) == before + 1
    result = done[-1]
    assert isinstance(result, PingDone)
    return result


def test_comes_up_and_everybody_reaches_everybody() -> None:
    network = four_countries()
    for router in network.routers.values():
        for linkset in router.linksets.values():
            assert linkset.state is LinksetState.AVAIL
            assert all(link.state is LinkState.AVAIL for link in linkset.links.values())
        assert {view.destination for view in router.routes()} == {DestinationState.ACCESSIBLE}
    for source in PC:
        for target in PC:
            done = ping(network, source, target)
            assert (done.stats.sent, done.stats.received, done.stats.lost) == (3, 3, 0)
            if source != target:
                assert done.stats.minimum >= 0.0099  # one wire there and back


def test_every_link_was_tested_before_it_carried() -> None:
    network = four_countries()
    for name, router in network.routers.items():
        links = [link for linkset in router.linksets.values() for link in linkset.links.values()]
        assert len(network.of(name, LinkTested)) == len(links)
        assert all(link.counters.slt_sent == 1 for link in links)
    network.run(55.0)
    for name, router in network.routers.items():
        links = [link for linkset in router.linksets.values() for link in linkset.links.values()]
        assert len(network.of(name, LinkTested)) == 2 * len(links)


def test_rtt_is_that_of_the_wires() -> None:
    network = four_countries()
    done = ping(network, "A", "C")
    assert done.stats.minimum == pytest.approx(0.02)
    assert done.stats.average == pytest.approx(0.02)
    assert done.stats.maximum == pytest.approx(0.02)
    replies = network.of("A", PingReply)
    assert [reply.number for reply in replies] == [0, 1, 2]


def test_pings_side_by_side() -> None:
    network = four_countries()
    handles = [network.routers["A"].ping(PC[n], 5, 0.05, 1.0, network.now) for n in "BCDA"]
    network.run(3.0)
    done = {event.ping: event.stats for event in network.of("A", PingDone)}
    assert [done[handle].received for handle in handles] == [5, 5, 5, 5]
    assert network.routers["A"].next_timeout() is not None  # the next link test, no ping


def test_a_cut_link_goes_round_and_comes_back() -> None:
    network = four_countries()
    b = network.routers["B"]
    to_d, to_c = b.linksets["ToD"], b.linksets["ToC"]
    assert b.explain(PC["D"]).winner.linkset == "ToD"  # type: ignore[union-attr]

    network.cut("B-D")
    network.run(0.1)
    assert to_d.state is LinksetState.UNAVAIL
    explanation = b.explain(PC["D"])
    assert explanation.winner is not None
    assert explanation.winner.linkset == "ToC"
    assert [(c.route.linkset, c.reason) for c in explanation.losers] == [
        ("ToD", Reason.LINKSET_UNAVAILABLE)
    ]
    before = to_c.counters.tx_msus
    assert ping(network, "A", "D", 10).stats.received == 10
    assert to_c.counters.tx_msus >= before + 10

    network.heal("B-D")
    network.run(20.0)
    before_c, before_d = to_c.counters.tx_msus, to_d.counters.tx_msus
    assert ping(network, "A", "D", 10).stats.received == 10
    assert to_d.counters.tx_msus == before_d + 10
    assert to_c.counters.tx_msus == before_c


def test_without_a_second_way_the_cut_isolates_and_explain_says_so() -> None:
    network = four_countries()
    for node, prefix, via in (("B", "7.8.0/11", "ToC"), ("C", "0.0.0/0", "ToD")):
        from trunkline.ss7.pointcode import Prefix

        network.say(
            node,
            network.routers[node].remove_route(Prefix.parse(prefix, ITU), via, network.now),
        )
    network.run(1.0)
    network.say("A", network.routers["A"].watch(PC["D"], network.now))
    network.cut("B-D")
    network.run(1.0)
    explanation = network.routers["B"].explain(PC["D"])
    assert explanation.outcome is Outcome.UNAVAILABLE
    assert [c.reason for c in explanation.losers] == [Reason.LINKSET_UNAVAILABLE]
    # The TFP that B broadcast has reached A, whose summary route is otherwise fine.
    explanation = network.routers["A"].explain(PC["D"])
    assert [(c.route.prefix.format(), c.reason) for c in explanation.losers] == [
        ("7.0.0/3", Reason.PROHIBITED)
    ]
    assert network.routers["A"].prohibited("ToB") == (PC["D"],)
    assert network.of("A", Pause) == [Pause(PC["D"])]
    assert ping(network, "A", "C").stats.received == 3
    done = ping(network, "A", "D")
    assert done.stats.received == 0
    reasons = {event.reason for event in network.of("A", PingTimeout)}
    assert reasons == {"mtp3.route.unavailable"}

    network.heal("B-D")
    network.run(20.0)
    assert network.of("A", Resume)[-1] == Resume(PC["D"])
    assert ping(network, "A", "D").stats.received == 3
    assert network.routers["A"].prohibited("ToB") == ()


def test_tfp_and_tfa_are_seen_and_counted() -> None:
    network = four_countries()
    network.events.clear()
    network.cut("A-B")
    network.run(1.0)
    told = [
        (e.name, e.detail, e.acted) for node in "CD" for e in network.of(node, ManagementReceived)
    ]
    assert told == [("TFP", "1.2.3", True), ("TFP", "1.2.3", True)]
    assert network.routers["C"].prohibited("ToB") == (PC["A"],)
    network.heal("A-B")
    network.run(20.0)
    link = network.routers["C"].linksets["ToB"].links[0]
    assert link.counters.management["TFA"] >= 1
    assert network.routers["C"].prohibited("ToB") == ()
    assert network.routers["B"].counters.tfa_sent >= 2


def test_two_cuts_do_not_make_c_and_d_play_ball() -> None:
    """C and D each have the other as the second way to everything: that would be a circle."""
    network = four_countries()
    network.cut("B-C")
    network.cut("B-D")
    network.run(1.0)
    network.events.clear()
    network.send("C", "A", 3, b"?")
    network.run(5.0)
    [discarded] = [e for e in network.of("D", Discarded) if e.code == "mtp3.route.loop"]
    assert "came-from" in discarded.detail
    # D's TFP has closed the circle for C, too.
    assert PC["A"] in network.routers["C"].prohibited("ToD")
    assert network.of("C", Pause) == [Pause(PC["A"])]
    for name in "CD":
        link = network.routers[name].linksets["ToD" if name == "C" else "ToC"].links[0]
        assert link.counters.tx_msus < 20
    network.heal("B-C")
    network.run(20.0)
    assert ping(network, "C", "A").stats.received == 3
    assert ping(network, "D", "A").stats.received == 3  # by C
    network.heal("B-D")
    network.run(20.0)
    assert ping(network, "D", "A").stats.received == 3


def test_preventive_tfp_when_the_second_way_is_taken() -> None:
    """Q.704 13.2.2 i: B sends for D through C, so C must not come to B for D."""
    network = four_countries()
    assert PC["D"] not in network.routers["C"].prohibited("ToB")
    network.cut("B-D")
    network.run(1.0)
    assert PC["D"] in network.routers["C"].prohibited("ToB")
    network.heal("B-D")
    network.run(20.0)
    assert PC["D"] not in network.routers["C"].prohibited("ToB")


def test_whole_linkset_lost_counts_what_nobody_acknowledged() -> None:
    network = four_countries()
    for number in range(20):
        network.send("B", "D", number % 16, bytes((number,)))
    network.cut("B-D")  # all twenty are under way
    network.run(1.0)
    [lost] = network.of("B", MessagesLost)
    assert lost.count == 20
    assert network.routers["B"].linksets["ToD"].links[0].counters.lost == 20
    network.send("B", "D", 1, b"next")
    network.run(1.0)
    assert [m.payload for m in network.delivered("D")] == [b"next"]


def test_restarted_neighbour_costs_nobody_else_anything() -> None:
    network = four_countries()
    network.cut("B-D")
    network.cut("C-D")
    network.run(5.0)
    assert ping(network, "A", "C").stats.received == 3
    statuses = network.of("B", DestinationStatus)
    assert statuses[-1].status is DestinationState.INACCESSIBLE
    network.heal("B-D")
    network.heal("C-D")
    network.run(30.0)
    assert ping(network, "A", "D").stats.received == 3
