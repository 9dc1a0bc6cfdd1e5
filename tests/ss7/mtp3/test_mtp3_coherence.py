"""Whatever changes, in whatever order: messages go where a router built afresh would send them."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ss7.mtp3.harness import FakeLevel2
from tests.ss7.mtp3.test_mtp3_routes import bring_up, sent_on

from trunkline.errors import TrunklineError
from trunkline.ss7.m2pa.events import OutOfService
from trunkline.ss7.mtp3.events import Discarded
from trunkline.ss7.mtp3.linkset import Hold, SLink
from trunkline.ss7.mtp3.management import Heading, Management
from trunkline.ss7.mtp3.message import Msu
from trunkline.ss7.mtp3.router import Router
from trunkline.ss7.mtp3.settings import Mtp3Settings
from trunkline.ss7.mtp3.states import LinkState
from trunkline.ss7.pointcode import ITU, Prefix

OWN = ITU.parse("1.1.1")
APCS = {"A": ITU.parse("2.2.2"), "B": ITU.parse("3.3.3"), "C": ITU.parse("4.4.4")}
PREFIXES = ("7.7.1/14", "7.0.0/3", "3.3.3/14")
DPCS = tuple(ITU.parse(pc) for pc in ("7.7.1", "7.7.2", "3.3.3", "1.1.1"))

names = st.sampled_from("ABC")
commands = st.one_of(
    st.tuples(st.just("fail"), names, st.integers(0, 1)),
    st.tuples(st.just("up"), names, st.integers(0, 1)),
    st.tuples(st.just("shutdown"), names, st.booleans()),
    st.tuples(st.just("add"), names, st.sampled_from(PREFIXES), st.integers(1, 3)),
    st.tuples(st.just("remove"), names, st.sampled_from(PREFIXES)),
    st.tuples(st.sampled_from(("TFP", "TFP", "TFA")), names, st.sampled_from(DPCS[:3])),
    st.tuples(st.just("drop"), names, st.integers(0, 1)),
    st.tuples(st.just("wait"), st.sampled_from((0.1, 1.0, 2.0))),
    st.tuples(
        st.just("none"),
    ),
)


class World:
    def __init__(self) -> None:
        self.now = 10.0
        self.router = Router(Mtp3Settings(ITU, 0, OWN))
        for name, apc in APCS.items():
            self.router.add_linkset(name, apc)
            for slc in range(2):
                bring_up(self.router, self.router.add_link(name, slc, FakeLevel2()))
        self.wait(3.0)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.router.next_timeout()) is not None and at <= end:
            self.now = max(self.now, at)
            self.router.on_timeout(self.now)
            for linkset in self.router.linksets.values():
                for slink in linkset.links.values():
                    if slink.state is LinkState.TESTING:  # tests are always answered
                        self.answer(slink)
        self.now = end

    def answer(self, slink: SLink) -> None:
        body = bytes((0x21, len(slink.pattern) << 4)) + slink.pattern
        apc = slink.linkset.apc
        self.router.receive(
            slink, [Msu(0, 0, 1, OWN, apc, slink.slc, body).to_bytes(ITU)], self.now
        )

    def do(self, command: tuple[object, ...]) -> None:
        router, now = self.router, self.now
        match command:
            case ("fail", str(name), int(slc)) if slc in router.linksets[name].links:
                slink = router.linksets[name].links[slc]
                router.receive(slink, [OutOfService("test")], now)
            case ("up", str(name), int(slc)) if slc in router.linksets[name].links:
                slink = router.linksets[name].links[slc]
                if slink.state in (LinkState.UNAVAIL, LinkState.FAILED):
                    if slink.state is LinkState.FAILED:
                        self.wait(1.1)
                    bring_up(router, slink)
            case ("shutdown", str(name), bool(flag)):
                router.set_linkset_shutdown(name, flag, now)
            case ("add", str(name), str(prefix), int(priority)):
                router.add_route(Prefix.parse(prefix, ITU), name, priority, now)
            case ("remove", str(name), str(prefix)):
                with suppress(TrunklineError):  # it may not be there
                    router.remove_route(Prefix.parse(prefix, ITU), name, now)
            case ("TFP" | "TFA" as heading, str(name), int(pc)):
                body = Management(Heading[heading], pc=pc).to_bytes(ITU)
                msu = Msu(0, 0, 0, OWN, APCS[name], 0, body).to_bytes(ITU)
                router.receive(next(iter(router.linksets[name].links.values())), [msu], now)
            case ("drop", str(name), int(slc)) if len(router.linksets[name].links) > 1:
                router.remove_link(
                    router.linksets[name].links.get(slc)
                    or next(iter(router.linksets[name].links.values())),
                    now,
                )
            case ("wait", float(seconds)):
                self.wait(seconds)

    def check(self) -> None:
        """Every cached way, and every fresh one, against a decision made for the purpose."""
        router = self.router
        for arrived, linkset in router.linksets.items():
            slink = next(iter(linkset.links.values()))
            for dpc in DPCS:
                for sls in (1, 14):
                    fresh = router._core.routes.decide(dpc, arrived)
                    assert router.explain(dpc, sls, arrived).decision == fresh
                    sent_on(router)
                    held = {
                        name: len(ls.hold.buffer)
                        for name, ls in router.linksets.items()
                        if ls.hold is not None
                    }
                    msu = Msu(0, 0, 5, dpc, linkset.apc, sls, b"x").to_bytes(ITU)
                    events = router.receive(slink, [msu], self.now)
                    self._landed(msu, dpc, sls, arrived, held, events)

    def _landed(
        self,
        msu: bytes,
        dpc: int,
        sls: int,
        arrived: str,
        held: dict[str, int],
        events: list[object],
    ) -> None:
        router = self.router
        explanation = router.explain(dpc, sls, arrived)
        carriers = [link for link, msus in sent_on(router).items() if msu in msus]
        keepers = [
            name
            for name, ls in router.linksets.items()
            if ls.hold is not None and len(ls.hold.buffer) > held.get(name, 0)
        ]
        if dpc == OWN:
            assert carriers == keepers == []
            assert len(events) == 1
        elif explanation.winner is None:
            assert carriers == keepers == []
            assert all(isinstance(event, Discarded) for event in events)
        elif isinstance(explanation.target, Hold):
            assert carriers == []
            assert keepers == [explanation.winner.linkset]
        else:
            assert keepers == []
            assert explanation.link is not None
            assert carriers == [explanation.link.name]
            assert explanation.link.state is LinkState.AVAIL

    def rebuilt(self) -> Router:
        """Another router, told at once how things stand."""
        old = self.router
        new = Router(Mtp3Settings(ITU, 0, OWN))
        for name, linkset in old.linksets.items():
            new.add_linkset(name, linkset.apc, shutdown=linkset.shutdown)
            for slc, slink in linkset.links.items():
                link = new.add_link(name, slc, FakeLevel2())
                if slink.state is LinkState.AVAIL:
                    bring_up(new, link)
        for view in old.routes():
            if not view.direct:
                new.add_route(view.prefix, view.linkset, view.priority, 99.0)
        for name, linkset in new.linksets.items():
            for pc in old.prohibited(name):
                body = Management(Heading.TFP, pc=pc).to_bytes(ITU)
                msu = Msu(0, 0, 0, OWN, linkset.apc, 0, body).to_bytes(ITU)
                new.receive(next(iter(linkset.links.values())), [msu], 99.0)
        return new


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, min_size=10, max_size=30))
def test_caches_never_differ_from_the_tables(script: list[tuple[object, ...]]) -> None:
    world = World()
    for command in script:
        world.do(command)
        world.check()
    new = world.rebuilt()
    for dpc in DPCS:
        for sls in range(16):
            for arrived in (None, "A", "B", "C"):
                one, other = (r.explain(dpc, sls, arrived) for r in (world.router, new))
                assert one.outcome is other.outcome
                assert [
                    (c.route.prefix, c.route.linkset, c.route.priority, c.reason)
                    for c in one.decision.candidates
                ] == [
                    (c.route.prefix, c.route.linkset, c.route.priority, c.reason)
                    for c in other.decision.candidates
                ]
                assert (one.winner and one.winner.linkset) == (
                    other.winner and other.winner.linkset
                )
