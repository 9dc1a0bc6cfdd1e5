"""The routing table, load sharing, and explain: one decision, shown and taken."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss7.mtp3.harness import FakeLevel2

from trunkline.errors import TrunklineError
from trunkline.ss7.m2pa.events import InService, OutOfService
from trunkline.ss7.mtp3 import slt
from trunkline.ss7.mtp3.explain import OUTCOMES, REASONS
from trunkline.ss7.mtp3.linkset import SLink, rotations, share, slot
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.message import Msu, parse
from trunkline.ss7.mtp3.router import Router
from trunkline.ss7.mtp3.routes import Outcome, Reason, RouteTable
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.mtp3.states import LinksetState, LinkState, RouteState
from trunkline.ss7.pointcode import ANSI, ITU, Prefix, Variant


def bring_up(router: Router, slink: SLink, now: float = 0.0) -> None:
    """Do what the other end does: align, answer the link test."""
    variant = router.settings.variant
    level2 = slink.level2
    assert isinstance(level2, FakeLevel2)
    router.on_timeout(now)
    level2.take()
    router.receive(slink, [InService()], now)
    [msu] = [parse(m, variant) for m in level2.take()]
    test = slt.parse(msu.payload)
    answer = slt.LinkTest(slt.SLTA, test.pattern, test.low).to_bytes()
    reply = Msu(0, 0, msu.si, msu.opc, msu.dpc, msu.sls, answer).to_bytes(variant)
    router.receive(slink, [reply], now)
    assert slink.state is LinkState.AVAIL


def router_with(
    linksets: dict[str, tuple[str, int]], variant: Variant = ITU, **more: object
) -> Router:
    """A router 1.1.1 with (adjacent point code, links) by linkset name, all available."""
    router = Router(Mtp3Settings(variant, 0, variant.parse("1.1.1"), **more))  # type: ignore[arg-type]
    for name, (apc, links) in linksets.items():
        router.add_linkset(name, variant.parse(apc))
        for slc in range(links):
            bring_up(router, router.add_link(name, slc, FakeLevel2()))
    now = 5.0
    router.on_timeout(now)  # T3 of links that came later
    for linkset in router.linksets.values():
        for link in linkset.links.values():
            assert isinstance(link.level2, FakeLevel2)
            link.level2.take()
    return router


def route(router: Router, prefix: str, name: str, priority: int | None = None) -> None:
    router.add_route(Prefix.parse(prefix, router.settings.variant), name, priority, 5.0)


def sent_on(router: Router) -> dict[str, list[bytes]]:
    sent = {}
    for linkset in router.linksets.values():
        for link in linkset.links.values():
            assert isinstance(link.level2, FakeLevel2)
            new = [m for m in link.level2.take() if m[0] & 15 > 2]
            if new:
                sent[link.name] = new
    return sent


def transit(router: Router, arrived: str, dpc: str, sls: int = 0) -> dict[str, list[bytes]]:
    variant = router.settings.variant
    linkset = router.linksets[arrived]
    msu = Msu(0, 0, 5, variant.parse(dpc), linkset.apc, sls, b"x").to_bytes(variant)
    router.receive(linkset.links[0], [msu], 6.0)
    return sent_on(router)


ABC = {"A": ("2.2.2", 1), "B": ("3.3.3", 1), "C": ("4.4.4", 1)}


def test_longest_mask_then_priority() -> None:
    router = router_with(ABC)
    route(router, "7.0.0/3", "A")
    route(router, "7.7.0/11", "B")
    route(router, "7.7.1/14", "C", 7)
    route(router, "7.7.1/14", "B", 6)
    assert list(transit(router, "A", "7.7.1")) == ["B:0"]
    explanation = router.explain(ITU.parse("7.7.1"))
    assert [(c.route.linkset, c.route.prefix.format(), c.reason) for c in explanation.losers] == [
        ("C", "7.7.1/14", Reason.LOWER_PRIORITY),
        ("B", "7.7.0/11", Reason.SHORTER_MASK),
        ("A", "7.0.0/3", Reason.SHORTER_MASK),
    ]
    assert list(transit(router, "B", "7.7.1")) == ["C:0"]  # never back
    assert list(transit(router, "B", "7.9.1")) == ["A:0"]


def test_direct_route_exists_by_itself_with_priority_1() -> None:
    router = router_with(ABC)
    route(router, "3.3.3/14", "A", 1)
    views = [(v.prefix.format(), v.linkset, v.priority, v.direct) for v in router.routes()]
    assert ("3.3.3/14", "B", 1, True) in views
    assert ("2.2.2/14", "A", 1, True) in views
    with pytest.raises(TrunklineError) as refused:
        router.remove_route(Prefix.parse("3.3.3/14", ITU), "B", 5.0)
    assert refused.value.code == "mtp3.route.none"


def test_shorter_mask_is_the_backup() -> None:
    router = router_with(ABC)
    route(router, "7.7.1/14", "B")
    route(router, "7.0.0/3", "C")
    assert list(transit(router, "A", "7.7.1")) == ["B:0"]
    router.receive(router.linksets["B"].links[0], [OutOfService("test")], 6.0)
    assert list(transit(router, "A", "7.7.1")) == ["C:0"]


def test_tfp_takes_the_next_route_and_tfa_gives_it_back() -> None:
    router = router_with(ABC)
    route(router, "7.7.1/14", "B", 4)
    route(router, "7.7.1/14", "C")
    link = router.linksets["B"].links[0]

    def say(heading: Heading, pc: str, opc: str = "3.3.3") -> None:
        body = Management(heading, pc=ITU.parse(pc)).to_bytes(ITU)
        own = router.settings.point_code
        router.receive(link, [Msu(0, 0, 0, own, ITU.parse(opc), 0, body).to_bytes(ITU)], 6.0)

    say(Heading.TFP, "7.7.1")
    assert list(transit(router, "A", "7.7.1")) == ["C:0"]
    states = {v.linkset: (v.state, v.management.value) for v in router.routes() if not v.direct}
    assert states["B"] == (RouteState.UNAVAIL, "prohibited")
    say(Heading.TFA, "7.7.1")
    assert list(transit(router, "A", "7.7.1")) == ["B:0"]
    # Not from a stranger, not for ourselves, not for the neighbour, not without a route.
    say(Heading.TFP, "7.7.1", opc="5.5.5")
    say(Heading.TFP, "1.1.1")
    say(Heading.TFP, "3.3.3")
    say(Heading.TFP, "6.6.6")
    assert router.prohibited("B") == ()
    assert link.counters.discarded == {"mtp3.management.opc": 1, "mtp3.management.pc": 2}


def test_circular_routes_are_refused() -> None:
    """Two nodes whose defaults point at each other: the message dies at the second."""
    router = router_with({"A": ("2.2.2", 1)})
    route(router, "0.0.0/0", "A")
    assert transit(router, "A", "5.5.5") == {}
    link = router.linksets["A"].links[0]
    assert link.counters.discarded == {"mtp3.route.loop": 1}
    explanation = router.explain(ITU.parse("5.5.5"), arrived_on="A")
    assert explanation.outcome is Outcome.LOOP
    assert [c.reason for c in explanation.losers] == [Reason.CAME_FROM]
    assert router.explain(ITU.parse("5.5.5")).outcome is Outcome.FORWARD


def test_own_and_unknown_destinations() -> None:
    router = router_with(ABC)
    assert router.explain(router.settings.point_code).outcome is Outcome.LOCAL
    assert router.explain(ITU.parse("5.5.5")).outcome is Outcome.UNKNOWN
    assert router.explain(ITU.parse("5.5.5")).losers == ()


@settings(max_examples=300, deadline=None)
@given(
    routes=st.lists(
        st.tuples(
            st.integers(0, ITU.last),
            st.sampled_from((0, 3, 8, 11, 13, 14)),
            st.sampled_from("ABC"),
            st.integers(1, 9),
        ),
        max_size=12,
    ),
    down=st.sets(st.sampled_from("ABC")),
    prohibited=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 40)), max_size=6),
    arrived=st.sampled_from("ABC"),
    destinations=st.lists(st.integers(0, 40), min_size=1, max_size=20),
    sls=st.integers(0, 15),
)
def test_explain_shows_what_is_done(
    routes: list[tuple[int, int, str, int]],
    down: set[str],
    prohibited: list[tuple[str, int]],
    arrived: str,
    destinations: list[int],
    sls: int,
) -> None:
    router = router_with({"A": ("2.2.2", 2), "B": ("3.3.3", 1), "C": ("4.4.4", 3)})
    for pc, length, name, priority in routes:
        # Close together, so that destinations hit them.
        router.add_route(Prefix.of(pc % 41, length, ITU), name, priority, 5.0)
    for name, pc in prohibited:
        body = Management(Heading.TFP, pc=pc).to_bytes(ITU)
        linkset = router.linksets[name]
        msu = Msu(0, 0, 0, router.settings.point_code, linkset.apc, 0, body).to_bytes(ITU)
        router.receive(linkset.links[0], [msu], 5.0)
    for name in down - {arrived}:
        for link in router.linksets[name].links.values():
            router.receive(link, [OutOfService("test")], 5.0)
    sent_on(router)
    linkset = router.linksets[arrived]
    for dpc in destinations:
        for _ in range(2):  # the long way, then the cache
            explanation = router.explain(dpc, sls, arrived)
            before = sum(linkset.links[0].counters.discarded.values())
            routes_before = {id(v.counters): v.counters.msus for v in router.routes()}
            router.receive(
                linkset.links[0],
                [Msu(0, 0, 5, dpc, linkset.apc, sls, b"x").to_bytes(ITU)],
                6.0,
            )
            sent = sent_on(router)
            if explanation.outcome is Outcome.FORWARD:
                assert explanation.link is not None
                assert explanation.winner is not None
                assert list(sent) == [explanation.link.name]
                counters = explanation.winner.counters
                assert counters.msus == routes_before[id(counters)] + 1
                assert explanation.winner.linkset != arrived
                assert explanation.winner.linkset not in down - {arrived}
                assert (explanation.winner.linkset, dpc) not in [
                    (n, p) for n, p in prohibited if p != router.linksets[n].apc
                ]
            else:
                assert sent == {}
                assert sum(linkset.links[0].counters.discarded.values()) == before + 1
                assert explanation.outcome.value in linkset.links[0].counters.discarded
            for candidate in explanation.losers:
                assert candidate.reason in REASONS
            assert explanation.outcome in OUTCOMES


def test_every_reason_code_is_documented() -> None:
    assert set(REASONS) == set(Reason)
    assert set(OUTCOMES) == set(Outcome)
    page = (Path(__file__).parents[3] / "docs/conformance/q704.md").read_text()
    for code, words in [*REASONS.items(), *OUTCOMES.items()]:
        assert f"| `{code.value}` | {words} |" in page


# Load sharing.


@pytest.mark.parametrize("links", range(1, 17))
def test_shares_are_even(links: int) -> None:
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", links)})
    for sls in range(16):
        assert len(transit(router, "A", "3.3.3", sls)) == 1
    counts = [link.counters.tx_msus for link in router.linksets["B"].links.values()]
    traffic = [count - 1 for count in counts]  # each sent one link test
    assert max(traffic) - min(traffic) <= 1 + sum(1 for c in traffic if c > 16)


@pytest.mark.parametrize(
    ("bits", "rotates", "linksets", "links"),
    [(4, False, k, n) for k in (2, 3, 4) for n in (1, 2, 4)]
    + [(b, True, k, n) for b in (5, 8) for k in (2, 4) for n in (1, 2, 4)],
)
def test_the_two_choices_lean_on_different_bits(
    bits: int, rotates: bool, linksets: int, links: int
) -> None:
    """Every link of every combined linkset gets traffic, as evenly as 2 ** bits values allow."""
    counts = Counter(
        (share(sls, bits, linksets, rotates), slot(sls, linksets, rotates) % links)
        for sls in range(1 << bits)
    )
    assert len(counts) == linksets * links
    assert max(counts.values()) - min(counts.values()) <= 1 + (linksets == 3)


def test_combined_linksets_share_and_back_each_other_up() -> None:
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", 2), "C": ("4.4.4", 2)})
    route(router, "7.7.1/14", "B")
    route(router, "7.7.1/14", "C")
    taken = {sls: next(iter(transit(router, "A", "7.7.1", sls))) for sls in range(16)}
    assert Counter(taken.values()) == {"B:0": 4, "B:1": 4, "C:0": 4, "C:1": 4}
    explanation = router.explain(ITU.parse("7.7.1"), 0)
    assert [c.reason for c in explanation.losers] == [Reason.SELECTED]  # for other SLS
    for link in router.linksets["C"].links.values():
        router.receive(link, [OutOfService("test")], 6.0)
    after = {sls: next(iter(transit(router, "A", "7.7.1", sls))) for sls in range(16)}
    assert all(after[sls] == taken[sls] for sls in taken if taken[sls].startswith("B"))
    assert {name[0] for name in after.values()} == {"B"}


def test_a_failure_moves_the_failed_share_only() -> None:
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", 4)})
    linkset = router.linksets["B"]
    before = list(linkset.owners)
    router.receive(linkset.links[2], [OutOfService("test")], 6.0)
    after = list(linkset.owners)
    for old, new in zip(before, after, strict=True):
        assert new is not linkset.links[2]
        assert new is old or old is linkset.links[2]
    between = list(after)
    router.receive(linkset.links[0], [OutOfService("test")], 6.1)
    for old, new in zip(between, linkset.owners, strict=True):
        assert new is old or old is linkset.links[0]
    load = Counter(link.slc for link in linkset.owners if link is not None)
    assert load == {1: 8, 3: 8}


def test_ansi_rotates_five_bits() -> None:
    assert rotations.forward[0b00001] == bytes((0b10000,))
    assert rotations.forward[0b101_00011] == bytes((0b101_10001,))
    for octet in range(256):
        assert rotations.back[rotations.forward[octet][0]] == bytes((octet,))
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", 2)}, ANSI)
    [(_, [msu])] = transit(router, "A", "3.3.3", 0b011).items()
    assert parse(msu, ANSI).sls == 0b10001
    assert parse(msu, ANSI).payload == b"x"


def test_ansi_changeover_turns_the_sls_back_before_it_goes_on_again() -> None:
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", 2)}, ANSI)
    [(name, _)] = transit(router, "A", "3.3.3", 0b00010).items()
    linkset = router.linksets["B"]
    failed = linkset.links[int(name[-1])]
    level2 = failed.level2
    assert isinstance(level2, FakeLevel2)
    level2.unsent = [
        Msu(0, 0, 5, linkset.apc, 1, 0b00001, b"again").to_bytes(ANSI)  # as it left, rotated
    ]
    router.receive(failed, [OutOfService("test")], 6.0)
    xca = Management(Heading.ECA, slc=failed.slc).to_bytes(ANSI)
    other = linkset.links[1 - failed.slc]
    own = router.settings.point_code
    router.receive(other, [Msu(0, 0, 0, own, linkset.apc, 0, xca).to_bytes(ANSI)], 6.0)
    [(where, [msu])] = sent_on(router).items()
    assert where == other.name
    assert parse(msu, ANSI).sls == 0b00001
    assert parse(msu, ANSI).payload == b"again"


# The table by itself.


def test_table_errors() -> None:
    router = router_with(ABC)
    for prefix, name, priority, code in (
        (Prefix.parse("7.0.0/3", ITU), "Z", 5, "mtp3.linkset.unknown"),
        (Prefix.parse("7.0.0/3", ITU), "A", 0, "mtp3.route.priority"),
        (Prefix.parse("7.0.0/3", ITU), "A", 10, "mtp3.route.priority"),
        (Prefix.parse("7.0.0/8", ANSI), "A", 5, "mtp3.route.variant"),
    ):
        with pytest.raises(TrunklineError) as refused:
            router.add_route(prefix, name, priority, 5.0)
        assert refused.value.code == code


def test_changing_a_priority_changes_the_route() -> None:
    router = router_with(ABC)
    route(router, "7.7.1/14", "B", 5)
    route(router, "7.7.1/14", "C", 6)
    assert list(transit(router, "A", "7.7.1")) == ["B:0"]
    route(router, "7.7.1/14", "C", 4)
    assert list(transit(router, "A", "7.7.1")) == ["C:0"]
    router.remove_route(Prefix.parse("7.7.1/14", ITU), "C", 6.0)
    assert list(transit(router, "A", "7.7.1")) == ["B:0"]


def test_prohibitions_are_bounded_and_forgotten_with_the_linkset() -> None:
    table = RouteTable(ITU, 1, prohibited_limit=2)
    table.set_linkset("A", LinksetState.AVAIL)
    table.add(Prefix.parse("0.0.0/0", ITU), "A", 5)
    assert table.prohibit("A", 5)
    assert table.prohibit("A", 6)
    assert not table.prohibit("A", 7)
    assert table.prohibit("A", 6)
    assert table.decide(5).outcome is Outcome.UNAVAILABLE
    assert table.decide(7).outcome is Outcome.FORWARD
    table.set_linkset("A", LinksetState.UNAVAIL)
    table.set_linkset("A", LinksetState.AVAIL)
    assert table.prohibited("A") == ()
    assert table.decide(5).outcome is Outcome.FORWARD


def test_removing_a_linkset_removes_its_routes() -> None:
    router = router_with(ABC)
    route(router, "7.7.1/14", "B")
    route(router, "7.7.1/14", "C", 6)
    router.remove_linkset("B", 6.0)
    assert {view.linkset for view in router.routes()} == {"A", "C"}
    assert list(transit(router, "A", "7.7.1")) == ["C:0"]
    assert router.explain(ITU.parse("3.3.3")).outcome is Outcome.UNKNOWN
