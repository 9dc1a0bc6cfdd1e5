"""One router by itself: what it refuses, what is bounded, and commands on a living node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss7.mtp3.harness import FakeLevel2
from tests.ss7.mtp3.test_mtp3_routes import ABC, bring_up, route, router_with, sent_on, transit

from trunkline.errors import TrunklineError
from trunkline.ss7.m2pa.events import (
    CongestionOnset,
    InService,
    OutOfService,
    RemoteProcessorOutage,
    RemoteProcessorRecovered,
)
from trunkline.ss7.mtp3 import slt
from trunkline.ss7.mtp3.events import (
    DestinationStatus,
    Discarded,
    LinksetStateChanged,
    LinkStateChanged,
    ManagementReceived,
    Pause,
    PingDone,
    PingTimeout,
    Resume,
    RouteStatus,
    Transfer,
)
from trunkline.ss7.mtp3.linkset import SLink
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.message import Msu, parse
from trunkline.ss7.mtp3.router import Router
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.mtp3.states import (
    LINK_TABLE,
    DestinationState,
    LinkEvent,
    LinksetState,
    LinkState,
    link_transition,
)
from trunkline.ss7.mtp3.traffic_test import REPLY, REQUEST, TrafficTest
from trunkline.ss7.pointcode import ITU, Prefix

OWN = ITU.parse("1.1.1")


def msu(dpc: str, opc: str, *, si: int = 5, sls: int = 0, ni: int = 0, body: bytes = b"x") -> bytes:
    return Msu(ni, 0, si, ITU.parse(dpc), ITU.parse(opc), sls, body).to_bytes(ITU)


def level2(slink: SLink) -> FakeLevel2:
    assert isinstance(slink.level2, FakeLevel2)
    return slink.level2


# Messages for this node.


def test_a_message_for_a_user_part_is_handed_over_whole() -> None:
    router = router_with(ABC)
    message = msu("1.1.1", "2.2.2", body=b"hello")
    assert router.receive(router.linksets["A"].links[0], [message], 6.0) == [Transfer(5, message)]
    assert router.counters.delivered == 1


def test_a_user_may_send_to_its_own_node() -> None:
    router = router_with(ABC)
    message = msu("1.1.1", "1.1.1")
    assert router.transfer([message], 6.0) == [Transfer(5, message)]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", "mtp3.short"),
        (b"\x05\x00\x00\x00", "mtp3.short"),
        (msu("3.3.3", "2.2.2", body=bytes(269)), "mtp3.length"),
        (msu("1.1.1", "2.2.2", body=bytes(269)), "mtp3.length"),
        (msu("1.1.1", "2.2.2", ni=2), "mtp3.network-indicator"),
        (msu("3.3.3", "1.1.1"), "mtp3.opc"),
        (msu("1.1.1", "1.1.1"), "mtp3.opc"),
        (msu("5.5.5", "2.2.2"), "mtp3.route.unknown"),
        (msu("2.2.2", "6.6.6"), "mtp3.route.loop"),
        (msu("1.1.1", "2.2.2", si=11), "mtp3.si"),
        (msu("1.1.1", "2.2.2", si=2), "mtp3.si"),
        (msu("3.3.3", "2.2.2", si=1), "mtp3.slt.label"),
        (msu("1.1.1", "2.2.2", si=0, body=b""), "mtp3.management.short"),
        (msu("1.1.1", "2.2.2", si=0, body=b"\x31\x00"), "mtp3.management.short"),
        (msu("1.1.1", "2.2.2", si=0, sls=7, body=b"\x31\0\0\0"), "mtp3.management.slc"),
        (msu("1.1.1", "2.2.2", si=0, sls=0, body=b"\x41\0\0\0"), "mtp3.management.slc"),
        (msu("1.1.1", "2.2.2", si=1, body=b"\x11"), "mtp3.slt.short"),
        (msu("1.1.1", "2.2.2", si=1, body=b"\x55\x00"), "mtp3.slt.heading"),
        (msu("1.1.1", "2.2.4", si=1, body=b"\x11\x00"), "mtp3.slt.label"),
        (msu("1.1.1", "2.2.2", si=1, sls=3, body=b"\x11\x00"), "mtp3.slt.label"),
        (msu("1.1.1", "2.2.2", si=1, body=b"\x21\x20\x11\x12"), "mtp3.slt.pattern"),
        (msu("1.1.1", "2.2.2", si=8, body=b"?"), "mtp3.traffic-test.short"),
        (msu("1.1.1", "2.2.2", si=8, body=bytes(11)), "mtp3.traffic-test.foreign"),
    ],
)
def test_refusals_are_counted_and_reported_once_per_second(message: bytes, code: str) -> None:
    router = router_with(ABC)
    link = router.linksets["A"].links[0]
    events = router.receive(link, [message] * 3, 6.0)
    [first] = [e for e in events if isinstance(e, Discarded)]
    assert (first.code, first.slink, first.count) == (code, link, 1)
    assert first.detail
    assert link.counters.discarded == {code: 3}
    [second] = [e for e in router.receive(link, [message], 7.5) if isinstance(e, Discarded)]
    assert second.count == 3
    assert link.state.value == "avail"
    # And nobody else notices.
    assert list(transit(router, "C", "3.3.3")) == ["B:0"]


def test_refusals_towards_local_users() -> None:
    router = router_with(ABC)
    [discarded] = router.transfer([bytes(3)], 6.0)
    assert isinstance(discarded, Discarded)
    assert (discarded.code, discarded.slink) == ("mtp3.length", None)
    assert router.transfer([msu("3.3.3", "1.1.1", body=bytes(268))], 6.0) == []
    router.transfer([msu("3.3.3", "1.1.1", body=bytes(269))], 6.0)
    router.transfer([msu("5.5.5", "1.1.1")], 6.0)
    assert router.counters.discarded == {"mtp3.length": 2, "mtp3.route.unknown": 1}
    assert router.counters.originated == 1


def test_an_end_point_does_not_transfer() -> None:
    router = router_with(ABC, transfer=False)
    assert transit(router, "A", "3.3.3") == {}
    assert router.linksets["A"].links[0].counters.discarded == {"mtp3.transfer": 1}
    router.receive(router.linksets["B"].links[0], [OutOfService("test")], 6.0)
    assert router.counters.tfp_sent == 0


def test_management_that_is_not_acted_on_is_counted_and_said() -> None:
    router = router_with(ABC)
    link = router.linksets["A"].links[0]
    acted = {Heading.TFP, Heading.TFA, Heading.RST}
    acted |= {Heading.XCO, Heading.XCA, Heading.ECO, Heading.ECA}
    others = [h for h in Heading if h not in acted]
    for heading in [*others, 0x99]:
        message = msu("1.1.1", "2.2.2", si=0, body=bytes((heading,)) + bytes(4))
        [event] = router.receive(link, [message], 6.0)
        assert isinstance(event, ManagementReceived)
        assert not event.acted
    assert link.counters.management["TRA"] == 1
    assert link.counters.management["H0=9 H1=9"] == 1
    assert link.state.value == "avail"


def test_a_link_test_is_answered_on_its_link_with_its_pattern() -> None:
    router = router_with({"A": ("2.2.2", 2)})
    link = router.linksets["A"].links[1]
    body = slt.LinkTest(slt.SLTM, b"\x11\x12").to_bytes()
    router.receive(link, [msu("1.1.1", "2.2.2", si=1, sls=1, body=body)], 6.0)
    [answer] = [parse(m, ITU) for m in level2(link).take()]
    assert (answer.si, answer.sls, answer.dpc) == (1, 1, ITU.parse("2.2.2"))
    assert slt.parse(answer.payload) == slt.LinkTest(slt.SLTA, b"\x11\x12")
    assert link in router.dirty


def test_captured_link_tests_are_answered_as_the_captured_node_did(vectors: Path) -> None:
    """The recorded SLTM of one maker's node, and the SLTA that another's sent in return."""
    asked: dict[tuple[str, str], str] = {}
    compared = 0
    for file in sorted((vectors / "ss7").glob("*.jsonl")):
        for line in file.read_text().splitlines():
            raw = json.loads(line)["raw"]
            for header, body in zip(raw.get("mtp3", []), raw.get("mtp3mg", []), strict=False):
                octets = bytes.fromhex(header + body)
                message = parse(octets, ITU)
                if message.si != 1:
                    continue
                if message.payload[0] == slt.SLTM:
                    asked[header, body[2:]] = body
                    continue
                turned = Msu(0, 0, 1, message.opc, message.dpc, message.sls).to_bytes(ITU)[:5]
                sltm = asked.get((turned.hex(), body[2:]))
                if sltm is None:
                    continue
                router = Router(Mtp3Settings(ITU, 0, message.opc))
                router.add_linkset("A", message.dpc)
                link = router.add_link("A", message.sls, FakeLevel2())
                router.receive(link, [turned + bytes.fromhex(sltm)], 1.0)
                assert level2(link).take() == [octets]
                compared += 1
    assert compared


# Transfer prohibited by the response method.


def test_response_method_is_limited_by_t8_and_revoked() -> None:
    router = router_with(ABC)
    route(router, "7.0.0/3", "B")
    router.receive(router.linksets["B"].links[0], [OutOfService("test")], 6.0)
    link = router.linksets["A"].links[0]
    level2(link).take()
    told = []
    for tenth in range(25):
        router.receive(link, [msu("7.7.1", "2.2.2", sls=tenth % 16)], 10 + tenth / 10)
        told += [m for m in level2(link).take() if m[0] & 15 == 0]
    assert len(told) == 3  # at 10.0, 11.0 and 12.0
    tfp = Management(Heading.TFP, pc=ITU.parse("7.7.1")).to_bytes(ITU)
    assert {parse(m, ITU).payload for m in told} == {tfp}
    assert router.counters.tfp_inhibited == 22
    assert router.counters.tfp_sent >= 3
    # The way is back: the neighbour hears of it, though no route names 7.7.1.
    bring_up(router, router.linksets["B"].links[0], 20.0)
    revoked = [parse(m, ITU).payload for m in level2(link).take() if m[0] & 15 == 0]
    assert Management(Heading.TFA, pc=ITU.parse("7.7.1")).to_bytes(ITU) in revoked


def test_no_tfp_for_what_was_never_routable() -> None:
    router = router_with(ABC)
    link = router.linksets["A"].links[0]
    router.receive(link, [msu("5.5.5", "2.2.2")] * 5, 6.0)
    assert [m for m in level2(link).take() if m[0] & 15 == 0] == []
    assert link.counters.discarded == {"mtp3.route.unknown": 5}


def test_what_neighbours_were_told_is_bounded() -> None:
    router = router_with(ABC, told_limit=4)
    route(router, "7.0.0/3", "B")
    router.receive(router.linksets["B"].links[0], [OutOfService("test")], 6.0)
    link = router.linksets["A"].links[0]
    for member in range(8):
        router.receive(link, [msu(f"7.7.{member}", "2.2.2")], 7.0)
    assert router.counters.told_overflow > 0
    assert router.counters.tfp_sent <= 4


def test_a_flapping_route_costs_two_messages_a_second() -> None:
    router = router_with(ABC)
    route(router, "7.7.1/14", "B")
    heard = router.linksets["A"].links[0]
    body = {
        h: Management(h, pc=ITU.parse("7.7.1")).to_bytes(ITU) for h in (Heading.TFP, Heading.TFA)
    }
    level2(heard).take()
    now = 10.0
    for step in range(200):
        heading = Heading.TFP if step % 2 == 0 else Heading.TFA
        router.receive(
            router.linksets["B"].links[0], [msu("1.1.1", "3.3.3", si=0, body=body[heading])], now
        )
        now += 0.05
        router.on_timeout(now)
    told = [m for m in level2(heard).take() if m[0] & 15 == 0]
    assert 10 <= len(told) <= 22
    router.on_timeout(now + 1.0)
    told += [m for m in level2(heard).take() if m[0] & 15 == 0]
    assert parse(told[-1], ITU).payload == body[Heading.TFA]


# Bounds.


def test_the_route_cache_is_bounded_and_stays_right() -> None:
    router = router_with(ABC, flow_limit=8, decision_limit=2)
    route(router, "7.0.0/3", "B")
    route(router, "6.0.0/3", "C")
    link = router.linksets["A"].links[0]
    for number in range(40):
        router.receive(link, [msu(f"{6 + number % 2}.{number}.1", "2.2.2")], 6.0)
        name = "B:0" if number % 2 else "C:0"
        assert list(sent_on(router)) == [name]
    assert router.counters.flows_emptied >= 4
    assert len(router.linksets["A"].flows) <= 8


def test_watched_destinations_are_bounded_but_for_those_asked_for() -> None:
    router = router_with(ABC, watch_limit=2)
    assert router.watch(ITU.parse("2.2.2"), 6.0) == [Resume(ITU.parse("2.2.2"))]
    assert router.watch(ITU.parse("5.5.5"), 6.0) == [Pause(ITU.parse("5.5.5"))]
    assert router.watch(ITU.parse("5.5.5"), 6.0) == []
    for dpc in ("3.3.3", "4.4.4", "6.6.6"):  # 3.3.3 is the oldest of those only sent to
        router.transfer([msu(dpc, "1.1.1")], 6.0)
    link = {name: linkset.links[0] for name, linkset in router.linksets.items()}
    assert Pause(ITU.parse("3.3.3")) not in router.receive(link["B"], [OutOfService("?")], 6.0)
    assert Pause(ITU.parse("4.4.4")) in router.receive(link["C"], [OutOfService("?")], 6.0)
    assert Pause(ITU.parse("2.2.2")) in router.receive(link["A"], [OutOfService("?")], 6.0)


def test_a_user_that_asks_is_told_though_it_has_sent_before() -> None:
    router = router_with(ABC)
    assert router.transfer([msu("2.2.2", "1.1.1")], 6.0) == []
    assert router.watch(ITU.parse("2.2.2"), 6.0) == [Resume(ITU.parse("2.2.2"))]


def test_nobody_outside_decides_what_is_watched() -> None:
    """Answers to traffic tests go to whatever OPC these claim."""
    router = router_with(ABC, watch_limit=1)
    router.transfer([msu("2.2.2", "1.1.1")], 6.0)
    body = TrafficTest(REQUEST, 1, 1).to_bytes()
    for number in range(5):
        request = msu("1.1.1", f"5.5.{number}", si=8, body=body)
        events = router.receive(router.linksets["A"].links[0], [request], 6.0)
        assert not any(isinstance(event, Pause) for event in events)
    events = router.receive(router.linksets["A"].links[0], [OutOfService("test")], 6.0)
    assert Pause(ITU.parse("2.2.2")) in events


# Links by command.


def test_activation_alignment_test_traffic() -> None:
    router = Router(Mtp3Settings(ITU, 0, OWN))
    router.add_linkset("A", ITU.parse("2.2.2"))
    link = router.add_link("A", 0, FakeLevel2())
    assert router.next_timeout() == 0.0
    [event] = router.on_timeout(1.0)
    assert isinstance(event, LinkStateChanged)
    assert (event.state, level2(link).calls, level2(link).emergency) == (
        LinkState.UNAVAIL,
        ["start"],
        True,
    )
    second = router.add_link("A", 1, FakeLevel2())
    bring_up(router, link, 2.0)
    assert level2(second).emergency is True  # the first was not available yet
    third = router.add_link("A", 2, FakeLevel2())
    router.on_timeout(3.0)
    assert level2(third).emergency is False
    # No answer to the link test: once more, then a restart.
    level2(second).take()
    router.receive(second, [InService()], 10.0)
    assert second.state.value == "testing"
    assert len(level2(second).take()) == 1
    router.on_timeout(14.0)
    assert len(level2(second).take()) == 1
    router.on_timeout(18.0)
    assert second.state.value == "failed"
    assert level2(second).calls == ["start", "stop"]
    router.on_timeout(19.0)
    assert level2(second).calls == ["start", "stop", "start"]


def test_events_of_a_linkset_that_goes_and_comes() -> None:
    router = router_with(ABC)
    route(router, "7.7.1/14", "B")
    link = router.linksets["B"].links[0]
    events = router.receive(link, [OutOfService("peer gone")], 6.0)
    assert LinkStateChanged(link, LinkState.FAILED, "peer gone") in events
    assert LinksetStateChanged("B", LinksetState.UNAVAIL) in events
    lost = [e for e in events if isinstance(e, DestinationStatus)]
    assert {(e.prefix.format(), e.status) for e in lost} == {
        ("3.3.3/14", DestinationState.INACCESSIBLE),
        ("7.7.1/14", DestinationState.INACCESSIBLE),
    }
    assert len([e for e in events if isinstance(e, RouteStatus)]) == 2


def test_shutdown_and_no_shutdown() -> None:
    router = router_with({"A": ("2.2.2", 2), "B": ("3.3.3", 1)})
    first, second = router.linksets["A"].links.values()
    router.set_link_shutdown(first, True, 6.0)
    assert first.state.value == "shutdown"
    assert router.linksets["A"].state.value == "avail"
    events = router.set_linkset_shutdown("A", True, 6.1)
    assert LinksetStateChanged("A", LinksetState.SHUTDOWN) in events
    assert second.state.value == "shutdown"
    assert router.explain(ITU.parse("2.2.2")).losers[0].reason.value == "linkset-shutdown"
    router.set_linkset_shutdown("A", False, 6.2)
    assert {linkset.state.value for linkset in router.linksets.values()} == {"unavail", "avail"}
    assert first.state.value == "shutdown"  # by its own command
    bring_up(router, second, 6.3)
    assert router.linksets["A"].state.value == "avail"
    router.set_link_shutdown(first, False, 6.4)
    bring_up(router, first, 6.5)


def test_links_configured_shut_down_stay_so() -> None:
    router = Router(Mtp3Settings(ITU, 0, OWN))
    router.add_linkset("A", ITU.parse("2.2.2"), shutdown=True)
    assert router.linksets["A"].state.value == "shutdown"
    link = router.add_link("A", 0, FakeLevel2())
    router.on_timeout(1.0)
    assert link.state.value == "shutdown"
    assert level2(link).calls == []
    router.set_linkset_shutdown("A", False, 2.0)
    assert link.state.value == "unavail"


def test_a_link_may_be_removed_with_traffic_on_it() -> None:
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", 2)})
    assert {next(iter(transit(router, "A", "3.3.3", s))) for s in range(4)} == {"B:0", "B:1"}
    router.remove_link(router.linksets["B"].links[1], 6.0)
    router.on_timeout(8.0)
    sent_on(router)
    assert {next(iter(transit(router, "A", "3.3.3", s))) for s in range(4)} == {"B:0"}
    router.remove_linkset("B", 9.0)
    assert transit(router, "A", "3.3.3") == {}
    assert router.next_timeout() is not None


def test_configuration_errors() -> None:
    router = router_with(ABC)
    for call, code in (
        (lambda: router.add_linkset("A", 5), "mtp3.linkset.exists"),
        (lambda: router.add_linkset("Z", ITU.parse("2.2.2")), "mtp3.linkset.exists"),
        (lambda: router.add_linkset("Z", OWN), "mtp3.linkset.apc"),
        (lambda: router.add_link("Z", 0, FakeLevel2()), "mtp3.linkset.unknown"),
        (lambda: router.add_link("A", 0, FakeLevel2()), "mtp3.link.exists"),
        (lambda: router.add_link("A", 16, FakeLevel2()), "mtp3.slc"),
        (lambda: router.remove_linkset("Z", 6.0), "mtp3.linkset.unknown"),
        (lambda: router.ping(5, 0, 1, 1, 6.0), "mtp3.ping.range"),
        (lambda: router.ping(5, 1, 1, 0, 6.0), "mtp3.ping.range"),
        (lambda: router.ping(5, 1, 1, 1, 6.0, size=300), "mtp3.ping.range"),
        (lambda: Mtp3Settings(ITU, 4, 5), "mtp3.range"),
    ):
        with pytest.raises(TrunklineError) as refused:
            call()
        assert refused.value.code == code


# The table of link states.


def test_nothing_from_outside_is_missing_in_the_table() -> None:
    outside = (
        LinkEvent.ACTIVATE,
        LinkEvent.DEACTIVATE,
        LinkEvent.IN_SERVICE,
        LinkEvent.OUT_OF_SERVICE,
        LinkEvent.REMOTE_OUTAGE,
        LinkEvent.REMOTE_RECOVERED,
        LinkEvent.ABANDON,
    )
    for state in LinkState:
        for event in outside:
            assert (state, event) in LINK_TABLE
    assert all(clause for _, _, clause in LINK_TABLE.values())


def test_a_missing_row_is_a_typed_error() -> None:
    with pytest.raises(TrunklineError) as refused:
        link_transition(LinkState.SHUTDOWN, LinkEvent.RESTART)
    assert refused.value.code == "mtp3.transition"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(
                ("in", "out", "outage", "recovered", "down", "up", "time", "slta", "xco", "xca")
            ),
            st.integers(0, 15),
        ),
        max_size=60,
    )
)
def test_no_order_of_indications_breaks_the_links(steps: list[tuple[int, str, int]]) -> None:
    router = Router(Mtp3Settings(ITU, 0, OWN))
    router.add_linkset("A", ITU.parse("2.2.2"))
    links = [router.add_link("A", slc, FakeLevel2()) for slc in range(3)]
    now = 1.0
    router.on_timeout(now)
    for index, what, number in steps:
        link = links[index]
        now += 0.3
        items: list[object] = []
        match what:
            case "in":
                items = [InService()]
            case "out":
                items = [OutOfService("test")]
            case "outage":
                items = [RemoteProcessorOutage()]
            case "recovered":
                items = [RemoteProcessorRecovered()]
            case "down" | "up":
                router.set_link_shutdown(link, what == "down", now)
            case "time":
                now += number
                router.on_timeout(now)
            case "slta":
                body = slt.LinkTest(slt.SLTA, link.pattern).to_bytes()
                items = [msu("1.1.1", "2.2.2", si=1, sls=link.slc, body=body)]
            case "xco" | "xca":
                heading = Heading.XCO if what == "xco" else Heading.XCA
                body = Management(heading, fsn=0).to_bytes(ITU)
                items = [msu("1.1.1", "2.2.2", si=0, sls=number % 4, body=body)]
        router.receive(link, items, now)
        linkset = router.linksets["A"]
        available = [one for one in links if one.state is LinkState.AVAIL]
        assert (linkset.state.value == "avail") == bool(available)
        if available:
            assert all(owner in available for owner in linkset.owners)
        else:
            assert linkset.hold is None
            assert linkset.owners == [None] * 16
    now += 30
    router.on_timeout(now)
    assert router.linksets["A"].hold is None


def test_what_level_2_says_besides_is_passed_on() -> None:
    router = router_with(ABC)
    link = router.linksets["B"].links[0]
    assert router.receive(link, [CongestionOnset(1)], 6.0) == [CongestionOnset(1)]
    level2(link).answer = [CongestionOnset(2)]
    events = router.receive(router.linksets["A"].links[0], [msu("3.3.3", "2.2.2")], 6.0)
    assert events == [CongestionOnset(2)]


def test_what_was_never_sent_takes_the_next_route_when_a_linkset_is_lost() -> None:
    router = router_with(ABC)
    route(router, "3.3.3/14", "C")
    link = router.linksets["B"].links[0]
    level2(link).unsent = [msu("3.3.3", "2.2.2", body=b"waiting")]
    router.receive(link, [OutOfService("test")], 6.0)
    assert [parse(m, ITU).payload for m in sent_on(router)["C:0"]] == [b"waiting"]
    assert link.counters.retrieved == 1


def test_a_link_that_fails_while_it_is_given_messages() -> None:
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", 1), "C": ("4.4.4", 1)})
    route(router, "3.3.3/14", "C")
    link = router.linksets["B"].links[0]
    level2(link).answer = [OutOfService("window full")]
    router.receive(router.linksets["A"].links[0], [msu("3.3.3", "2.2.2")], 6.0)
    assert link.state.value == "failed"
    level2(link).take()
    assert list(transit(router, "A", "3.3.3")) == ["C:0"]


# Order and batches.


def test_one_call_of_level_2_per_link_and_batch() -> None:
    router = router_with(ABC)
    route(router, "7.0.0/3", "B")
    calls = []
    link = router.linksets["B"].links[0]
    original = level2(link).send

    def counting(msus: list[bytes], now: float) -> object:
        calls.append(len(msus))
        return original(msus, now)

    level2(link).send = counting  # type: ignore[method-assign, assignment]
    batch = [msu(f"7.{n % 7}.1", "2.2.2", sls=n % 16) for n in range(64)]
    batch += [msu("3.3.3", "2.2.2", sls=n % 16) for n in range(64)]
    router.receive(router.linksets["A"].links[0], batch, 6.0)
    assert calls == [128]
    counters = {v.prefix.format(): v.counters for v in router.routes()}
    assert (counters["7.0.0/3"].msus, counters["3.3.3/14"].msus) == (64, 64)
    assert counters["7.0.0/3"].octets == 64 * 6
    arrived = router.linksets["A"].links[0].counters
    assert (arrived.rx_msus, arrived.rx_octets) == (1 + 128, 128 * 6 + 11)
    assert link.counters.tx_msus == 1 + 128
    assert router.linksets["B"].counters.tx_msus == 1 + 128


def test_messages_before_a_failure_in_a_batch_take_the_old_way() -> None:
    router = router_with({"A": ("2.2.2", 1), "B": ("3.3.3", 1), "C": ("4.4.4", 1)})
    route(router, "7.7.1/14", "B", 1)
    route(router, "7.7.1/14", "C", 2)
    router.receive(
        router.linksets["B"].links[0],
        [msu("4.4.4", "7.7.1", body=b"before"), OutOfService("test"), b""],
        6.0,
    )
    assert [parse(m, ITU).payload for m in sent_on(router)["C:0"]] == [b"before"]


# Ping.


def test_ping_without_a_way_says_why() -> None:
    router = router_with(ABC)
    ping = router.ping(ITU.parse("5.5.5"), 2, 0.5, 1.0, 6.0)
    events = router.on_timeout(6.0) + router.on_timeout(6.5)
    assert [e.reason for e in events if isinstance(e, PingTimeout)] == ["mtp3.route.unknown"] * 2
    [done] = [e for e in events if isinstance(e, PingDone)]
    assert (done.ping, done.stats.lost, done.stats.success) == (ping, 2, 0.0)


def test_ping_times_out_and_ignores_what_comes_late_or_uncalled_for() -> None:
    router = router_with(ABC)
    link = router.linksets["B"].links[0]
    ping = router.ping(ITU.parse("3.3.3"), 1, 1.0, 2.0, 6.0, size=20)
    router.on_timeout(6.0)
    [request] = sent_on(router)["B:0"]
    assert len(parse(request, ITU).payload) == 31
    events = router.on_timeout(8.0)
    assert [type(e) for e in events] == [PingTimeout, PingDone]
    late = TrafficTest(REPLY, ping.test, 0).to_bytes()
    assert router.receive(link, [msu("1.1.1", "3.3.3", si=8, body=late)], 8.1) == []
    # A reply from somebody else does not count.
    ping = router.ping(ITU.parse("3.3.3"), 1, 1.0, 2.0, 9.0)
    router.on_timeout(9.0)
    reply = TrafficTest(REPLY, ping.test, 0).to_bytes()
    assert router.receive(link, [msu("1.1.1", "2.2.2", si=8, body=reply)], 9.1) == []
    events = router.receive(link, [msu("1.1.1", "3.3.3", si=8, body=reply)], 9.2)
    [done] = [e for e in events if isinstance(e, PingDone)]
    assert done.stats.average == pytest.approx(0.2)


def test_pings_are_bounded_in_number_and_in_burst() -> None:
    router = router_with(ABC, ping_limit=2)
    router.ping(ITU.parse("3.3.3"), 1000, 0.0, 1.0, 6.0)
    router.ping(ITU.parse("3.3.3"), 1, 0.0, 1.0, 6.0)
    with pytest.raises(TrunklineError) as refused:
        router.ping(ITU.parse("3.3.3"), 1, 0.0, 1.0, 6.0)
    assert refused.value.code == "mtp3.ping.limit"
    router.on_timeout(6.0)
    assert len(sent_on(router)["B:0"]) == 65
    for _ in range(20):
        router.on_timeout(6.0)
    assert len(sent_on(router)["B:0"]) == 936
    events = router.on_timeout(7.0)
    assert sum(isinstance(e, PingDone) for e in events) == 2
    router.ping(ITU.parse("3.3.3"), 1, 0.0, 1.0, 8.0)


# Anything at all.


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_no_octets_from_the_network_raise(messages: list[bytes], ours: bool) -> None:
    router = router_with({"A": ("2.2.2", 2), "B": ("3.3.3", 1)})
    link = router.linksets["A"].links[0]
    if ours:
        header = msu("1.1.1", "2.2.2", si=0, body=b"")
        messages = [bytes((header[0] | m[0] & 15,)) + header[1:] + m for m in messages if m]
    events = router.receive(link, messages, 6.0)
    assert isinstance(events, list)
    router.on_timeout(100.0)
    if router.explain(ITU.parse("3.3.3"), 0, "A").link:
        assert router.linksets["B"].links[0].state.value == "avail"


def test_errors_name_the_value() -> None:
    router = router_with(ABC)
    with pytest.raises(TrunklineError) as refused:
        router.remove_route(Prefix.parse("7.0.0/3", ITU), "A", 6.0)
    assert refused.value.code == "mtp3.route.none"
    assert "7.0.0/3" in str(refused.value)


def test_a_long_message_is_refused_though_its_flow_is_known() -> None:
    router = router_with(ABC)
    link = router.linksets["A"].links[0]
    good, long = msu("3.3.3", "2.2.2", body=bytes(268)), msu("3.3.3", "2.2.2", body=bytes(269))
    router.receive(link, [good, long, good], 6.0)
    assert level2(router.linksets["B"].links[0]).take()[-2:] == [good, good]
    assert link.counters.discarded == {"mtp3.length": 1}


def test_explain_refuses_an_sls_that_the_variant_has_not() -> None:
    router = router_with(ABC)
    for sls in (-1, 16):
        with pytest.raises(TrunklineError) as refused:
            router.explain(ITU.parse("2.2.2"), sls)
        assert refused.value.code == "mtp3.range"


@pytest.mark.parametrize("heading", [Heading.TFP, Heading.TFA, Heading.RST])
def test_management_that_changes_nothing_leaves_the_route_cache_alone(heading: Heading) -> None:
    """A neighbour that repeats itself must not cost the others their speed."""
    router = router_with(ABC)
    a = router.linksets["A"]
    transit(router, "A", "3.3.3")
    body = Management(heading, pc=ITU.parse("4.4.4")).to_bytes(ITU)
    first = msu("1.1.1", "2.2.2", si=0, body=body)
    router.receive(a.links[0], [first], 6.0)
    transit(router, "A", "3.3.3")
    flows = dict(a.flows)
    assert flows
    router.receive(a.links[0], [first], 6.0)
    assert a.flows == flows
