"""Circles in the routing tables of several nodes: found, closed, and opened again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss7.mtp3.harness import Network, four_countries

from trunkline.ss7.mtp3.events import Discarded, Pause, PingDone
from trunkline.ss7.mtp3.message import Msu
from trunkline.ss7.mtp3.routes import Outcome, Reason
from trunkline.ss7.pointcode import ANSI, ITU, Variant

NAMES = "ABCDEFGH"


def ring(
    size: int,
    prefix: str,
    variant: Variant = ITU,
    *,
    loop_limit: int = 4096,
    loop_probe_limit: int = 256,
) -> Network:
    """``size`` nodes, each with a route for ``prefix`` over the next; Z sends by A."""
    network = Network()
    network.variant = variant
    names = NAMES[:size]
    for number, name in enumerate(names):
        network.node(
            name,
            f"{number % 6}.{number // 6 + 1}.1",
            loop_limit=loop_limit,
            loop_probe_limit=loop_probe_limit,
        )
    network.node("Z", "6.0.1")
    around = list(zip(names, names[1:] + names[0], strict=True))
    for one, other in around:
        network.wire(one, other)
    network.wire("Z", "A")
    network.run(30.0)
    for one, other in [*around, ("Z", "A")]:
        network.route(one, prefix, other)
    network.run(2.0)
    network.events.clear()
    return network


def inject(network: Network, dpc: str, sls: int = 3, text: bytes = b"hello") -> None:
    """Send from Z for a point code that no node has."""
    z = network.routers["Z"]
    variant = network.variant
    opc = z.settings.point_code
    msu = Msu(0, 0, 5, variant.parse(dpc), opc, sls, text).to_bytes(variant)
    network.say("Z", z.transfer([msu], network.now))
    network.run(0.0)


def carried(network: Network) -> int:
    """Messages that all links have sent so far."""
    return sum(
        slink.counters.tx_msus for wire in network.wires.values() for _, slink, _ in wire.ends
    )


def loops_reported(network: Network, node: str) -> list[Discarded]:
    return [e for e in network.of(node, Discarded) if e.code == "mtp3.route.loop"]


@pytest.mark.parametrize("size", [3, 4, 6, 8])
@pytest.mark.parametrize("prefix", ["7.0.0/3", "7.7.1/14"])
def test_a_circle_is_found_counted_and_closed(size: int, prefix: str) -> None:
    network = ring(size, prefix)
    before = carried(network)
    inject(network, "7.7.1")
    network.run(1.0)
    a = network.routers["A"]
    assert a.counters.loops_found == 1
    assert "circle" in loops_reported(network, "A")[0].detail
    discarded = sum(
        link.counters.discarded.get("mtp3.route.loop", 0)
        for linkset in a.linksets.values()
        for link in linkset.links.values()
    )
    assert discarded >= 2  # the probe and the message
    assert carried(network) - before < 8 * size
    # It stays closed, all the nodes run, and nobody goes on talking about it.
    network.run(60.0)
    before = carried(network)
    network.run(30.0)
    tests = 4 * (size + 1)  # SLTM and SLTA, both ways on each link, at most once in this time
    tests += size + 1  # RST
    assert carried(network) - before <= tests + 2
    assert ITU.parse("7.7.1") in network.routers["Z"].prohibited("ToA")
    handles = [
        network.routers["A"].ping(ITU.parse(pc), 3, 0.1, 1.0, network.now)
        for pc in ("1.1.1", "6.0.1")
    ]
    network.run(3.0)
    done = {event.ping: event.stats.received for event in network.of("A", PingDone)}
    assert [done[handle] for handle in handles] == [3, 3]


def test_explain_names_the_circle() -> None:
    network = ring(3, "7.0.0/3")
    inject(network, "7.7.1")
    network.run(0.2)
    a = network.routers["A"]
    explanation = a.explain(ITU.parse("7.7.1"))
    assert explanation.outcome is Outcome.LOOP
    assert [(c.route.linkset, c.reason) for c in explanation.losers] == [("ToB", Reason.LOOP)]
    # Only that point code is concerned, whatever else the mask covers.
    assert a.explain(ITU.parse("7.7.2")).outcome is Outcome.FORWARD


def test_another_way_is_taken_where_there_is_one() -> None:
    network = ring(3, "7.0.0/3")
    network.node("X", "7.7.1")
    network.wire("Z", "X")
    network.wire("A", "X")
    network.run(30.0)
    # A's direct route has the longer mask; make it circle by a better priority.
    network.route("A", "7.7.1/14", "B", 1)
    network.say("A", network.routers["A"].set_linkset_shutdown("ToX", True, network.now))
    network.say("Z", network.routers["Z"].set_linkset_shutdown("ToX", True, network.now))
    network.run(2.0)
    inject(network, "7.7.1")
    network.run(0.5)
    assert network.routers["A"].counters.loops_found == 1
    network.say("A", network.routers["A"].set_linkset_shutdown("ToX", False, network.now))
    network.run(30.0)
    inject(network, "7.7.1", text=b"by X")
    network.run(1.0)
    assert [m.payload for m in network.delivered("X")] == [b"by X"]


@pytest.mark.parametrize("prefix", ["7.0.0/3", "7.7.1/14"])
@pytest.mark.parametrize("where", ["A", "B", "C"])
def test_a_mended_circle_opens(prefix: str, where: str) -> None:
    network = ring(3, prefix)
    inject(network, "7.7.1")
    network.run(20.0)
    network.node("X", "7.7.1")
    network.wire(where, "X")  # the direct route is the mending
    network.run(30.0)
    inject(network, "7.7.1", text=b"mended")
    network.run(1.0)
    assert [m.payload for m in network.delivered("X")] == [b"mended"]
    assert network.routers["Z"].prohibited("ToA") == ()


def test_many_flows_at_once() -> None:
    network = ring(3, "7.0.0/3")
    before = carried(network)
    for number in range(64):
        inject(network, f"7.{number // 8}.{number % 8}", sls=number % 16)
    network.run(2.0)
    assert network.routers["A"].counters.loops_found == 64
    assert carried(network) - before < 64 * 25
    before = carried(network)
    network.run(10.0)
    assert carried(network) - before < 64 * 25
    network.run(60.0)
    before = carried(network)
    network.run(10.0)
    assert carried(network) - before <= 16


@pytest.mark.parametrize(("marks", "probes"), [(2, 256), (4096, 2)])
def test_a_bound_does_not_let_circles_live(marks: int, probes: int) -> None:
    network = ring(3, "7.0.0/3", loop_limit=marks, loop_probe_limit=probes)
    for number in range(12):
        inject(network, f"7.{number // 8}.{number % 8}")
    network.run(5.0)
    assert network.routers["A"].counters.loops_found >= 12
    network.run(60.0)
    before = carried(network)
    network.run(10.0)
    assert carried(network) - before <= 16


def test_a_circle_further_on_is_found_where_it_begins() -> None:
    """A sends to B, and B, C, D play ball: A sees nothing of it, B does."""
    network = Network()
    for name, pc in (("A", "1.0.1"), ("B", "2.0.1"), ("C", "3.0.1"), ("D", "4.0.1")):
        network.node(name, pc)
    for one, other in (("A", "B"), ("B", "C"), ("C", "D"), ("D", "B")):
        network.wire(one, other)
    network.run(30.0)
    for one, other in (("A", "B"), ("B", "C"), ("C", "D"), ("D", "B")):
        network.route(one, "7.0.0/3", other)
    before = carried(network)
    a = network.routers["A"]
    msu = Msu(0, 0, 5, ITU.parse("7.7.1"), a.settings.point_code, 0, b"?").to_bytes(ITU)
    network.say("A", a.transfer([msu], network.now))
    network.run(5.0)
    assert network.routers["B"].counters.loops_found == 1
    assert carried(network) - before < 40


def test_what_this_node_sends_itself_in_a_circle() -> None:
    network = ring(3, "7.0.0/3")
    a = network.routers["A"]
    msu = Msu(0, 0, 5, ITU.parse("7.7.1"), a.settings.point_code, 0, b"?").to_bytes(ITU)
    network.say("A", a.transfer([msu], network.now))
    network.run(1.0)
    assert a.linksets["ToC"].links[0].counters.discarded["mtp3.opc"] == 1
    assert a.counters.loops_found == 1
    assert network.of("A", Pause) == [Pause(ITU.parse("7.7.1"))]


def test_ansi_where_the_sls_turns_at_every_node() -> None:
    network = ring(3, "7.0.0/8", ANSI)
    before = carried(network)
    inject(network, "7.7.1", sls=0b00101)
    network.run(2.0)
    assert network.routers["A"].counters.loops_found == 1
    assert carried(network) - before < 40


def test_a_constant_text_on_another_way_is_no_circle() -> None:
    network = four_countries()
    network.events.clear()
    for number in range(200):
        if number == 50:
            network.cut("B-D")
        if number == 120:
            network.heal("B-D")
        network.send("A", "D", 3, b"always the same")
        network.send("D", "A", 3, b"always the same")
        network.run(0.1)
    network.run(2.0)
    for name, router in network.routers.items():
        assert router.counters.loops_found == 0, name
        assert not loops_reported(network, name)
    # At the moment of the cut one message each way may be under way.
    assert len(network.delivered("D")) >= 198
    assert len(network.delivered("A")) >= 198
    # D's messages reached B by C for a while: that was asked about, and is settled.
    assert network.routers["B"].counters.loop_probes >= 1
    probes = network.routers["B"].counters.loop_probes
    for _ in range(50):
        network.send("D", "A", 3, b"always the same")
        network.run(0.1)
    assert network.routers["B"].counters.loop_probes == probes


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("ABCDE"),
        st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=3),
        min_size=2,
    ),
    st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 15)), min_size=1, max_size=8),
)
def test_no_table_whatever_makes_a_message_live_for_ever(
    table: dict[str, list[str]], messages: list[tuple[str, int]]
) -> None:
    """Five nodes, all connected, any routes with a mask, in any priorities."""
    network = Network()
    for number, name in enumerate("ABCDE"):
        network.node(name, f"{number}.0.1")
    for i, one in enumerate("ABCDE"):
        for other in "ABCDE"[i + 1 :]:
            network.wire(one, other)
    network.run(30.0)
    for node, ways in table.items():
        for way in dict.fromkeys(ways):
            if way != node:
                network.route(node, "7.0.0/3", way, 1 + ways.index(way) // 2)
    network.run(2.0)
    for node, sls in messages:
        router = network.routers[node]
        opc = router.settings.point_code
        msu = Msu(0, 0, 5, ITU.parse("7.7.1"), opc, sls, b"?").to_bytes(ITU)
        network.say(node, router.transfer([msu], network.now))
    network.run(30.0)
    before = carried(network)
    network.run(30.0)
    assert carried(network) - before <= 60  # ten links, SLTM and SLTA each way, and a few probes
