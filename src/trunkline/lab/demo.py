"""The script of ``trunkline demo``: a network comes up, carries calls, loses a link, finds the way.

Every verdict comes from the nodes themselves: their states, their records, and their counters
before and after each step. Nothing is assumed because it was asked for. What the script does with
a network, its ``[demo]`` table says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from attrs import asdict, define, field, frozen

from trunkline.config.network import DemoCall, DemoSettings
from trunkline.errors import TrunklineError
from trunkline.lab.answers import ActiveCall, Counters, Ping, Record, RouteTable, read
from trunkline.lab.client import LabClient
from trunkline.lab.lifecycle import Command, bring_up, node_command
from trunkline.lab.network import Network
from trunkline.lab.status import LinkView, expected_pairs, link_views, settled
from trunkline.lab.topology import TopologyEnd, TopologyLink, find_topology

__all__ = ["Check", "Demo", "Report", "Step", "Traffic", "View"]

MESSAGES = 50
"""Test messages of each counted phase."""
INTERVAL = 0.01
"""Seconds between them."""
STREAM = 500
"""Test messages under way while the link is cut."""
UP_PATIENCE = 20.0
CUT_PATIENCE = 10.0
HEAL_PATIENCE = 20.0
CALL_PATIENCE = 10.0
TALK = 0.8
"""Seconds that a call is held which is not to survive anything."""
_POLL = 0.05


@frozen
class Check:
    """One thing that the nodes were asked, and whether they agreed."""

    text: str
    ok: bool


@define
class Step:
    """One step of the script."""

    name: str
    title: str
    ok: bool = True
    seconds: float = 0.0
    checks: list[Check] = field(factory=list)


@frozen
class Traffic:
    """Test messages of one phase, and how many each link carried each way, by its two ends."""

    phase: str
    sent: int
    received: int
    links: dict[str, tuple[int, int]]
    """Link to (from its first node, from its second node), user messages only."""
    arrived: dict[str, tuple[int, int]]
    """Link to what came in at its (first, second) node, management included."""
    lost: int
    """Messages that the nodes report as lost in this phase."""


@define
class Report:
    """What the whole run came to."""

    network: str
    ok: bool = False
    seconds: float = 0.0
    steps: list[Step] = field(factory=list)
    traffic: list[Traffic] = field(factory=list)
    calls: list[Record] = field(factory=list)

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


class View(Protocol):
    """Whoever watches."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def note(self, text: str) -> None:
        """Something went on."""

    def links(self, views: Sequence[LinkView]) -> None:
        """The links, while they are being waited for."""

    def end(self, step: Step) -> None:
        """A step has its verdict."""


class _Stopped(Exception):  # noqa: N818 - no error: the report says what went wrong
    """A step failed that the following ones need."""


class Demo:
    """One run of the script on a network."""

    def __init__(self, network: Network, view: View, *, command: Command = node_command) -> None:
        demo = network.settings.demo
        if not demo.cut or not demo.pings:
            raise TrunklineError(
                "lab.no-demo",
                f"{network.file}: the [demo] table with pings, cut, detour and calls is missing; "
                "examples/four-countries/network.toml shows one",
            )
        self.network = network
        self.report = Report(network.name)
        self._settings: DemoSettings = demo
        self._view = view
        self._command = command
        self._client = LabClient(network.name, network.routers)
        self._topology = find_topology(network)
        self._cut = self._topology.resolve(demo.cut)
        self._detour = [self._topology.resolve(name) for name in demo.detour]
        self._began = time.monotonic()
        self._kept: tuple[DemoCall, str] | None = None
        self._ids: list[str] = []
        self.started = False
        """Whether the lab was brought up here, and is therefore ours to take down."""

    def run(self) -> Report:
        """Run every step; the lab is left up. The report's ``ok`` is the verdict."""
        try:
            self._bring_up()
            self._links()
            self._pings()
            self._calls()
            self._traffic("before")
            self._break()
            self._traffic("during")
            self._heal()
            self._traffic("after")
            self._records()
        except _Stopped:
            pass
        finally:
            self._client.close()
        self.report.seconds = round(time.monotonic() - self._began, 3)
        self.report.ok = bool(self.report.steps) and all(step.ok for step in self.report.steps)
        return self.report

    # the steps

    def _bring_up(self) -> None:
        nodes = len(self.network.nodes)
        with self._step("nodes", f"{nodes} nodes start, a process each") as step:
            bring_up(
                self.network,
                command=self._command,
                progress=lambda node: self._view.note(f"{node} answers"),
            )
            self.started = True
            _check(step, f"{nodes} of {nodes} nodes answer on their control sockets", True)

    def _links(self) -> None:
        with self._step("links", "links rise: SCTP, then M2PA, then MTP3", needed=True) as step:
            links = [link for link in self._topology.links if link.usable]
            self._await(lambda: self._views_up(links), UP_PATIENCE)
            views = self._views(links)
            for layer, state in (("SCTP", "sctp_up"), ("M2PA", "m2pa_up"), ("MTP3", "up")):
                count = sum(bool(getattr(view, state)) for view in views)
                text = f"{layer} is up at both ends of {count} of {len(links)} links"
                _check(step, text, count == len(links))
            pairs = expected_pairs(self.network, self._topology)
            count = 0

            def known() -> bool:
                nonlocal count
                count = settled(self._client, self.network, pairs)
                return count == len(pairs)

            self._await(known, UP_PATIENCE)
            text = f"{count} of {len(pairs)} ordered pairs of point codes have a way"
            _check(step, text, count == len(pairs))

    def _pings(self) -> None:
        with self._step("ping", "point codes ping each other") as step:
            for origin, destination in self._settings.pings:
                ping = self._ping(origin, destination, 5)
                average = f", {ping.avg:.1f} ms" if ping.avg is not None else ""
                code = self.network.router(destination).point_code_text
                text = f"{origin} → {destination} {code}: {ping.received} of {ping.sent}{average}"
                _check(step, text, ping.received == ping.sent == 5)

    def _calls(self) -> None:
        if not self._settings.call:
            return
        with self._step("calls", "telephone calls across the network") as step:
            *short, last = self._settings.call
            for call in short:
                identifier = self._place(call, step)
                if identifier:
                    time.sleep(TALK)
                    self._client.call(call.exchange, "calls.release", {"id": identifier})
                    gone = self._await(
                        lambda call=call, i=identifier: self._call_state(call, i) is None,  # type: ignore[misc]
                        CALL_PATIENCE,
                    )
                    _check(step, f"{call.label or call.called}: released", gone)
            identifier = self._place(last, step)
            if identifier:
                self._kept = (last, identifier)
                self._view.note(f"the {last.label or last.called} call stays up")

    def _traffic(self, phase: str) -> None:
        origin, destination = self._settings.pings[-1]
        titles = {
            "before": f"{MESSAGES} messages take the direct way",
            "during": f"{MESSAGES} messages take the way round",
            "after": f"{MESSAGES} messages take the direct way again",
        }
        with self._step(f"traffic-{phase}", titles[phase]) as step:
            traffic = self._measure(phase, origin, destination)
            self.report.traffic.append(traffic)
            _check(
                step,
                f"{origin} → {destination}: {traffic.received} of {traffic.sent} answered",
                traffic.received == traffic.sent == MESSAGES,
            )
            direct = phase != "during"
            for name, links in self._watched():
                expected = MESSAGES if direct == (links is self._cut) else 0
                there, back = traffic.links[name]
                at_first, at_second = traffic.arrived[name]
                text = f"{name}: {there} sent there, {back} back, expected {expected} each"
                ok = there == back == expected
                if expected:
                    text += f"; {at_second} and {at_first} arrived"
                    ok = ok and min(at_first, at_second) >= expected
                elif links is self._cut and not direct:
                    text += f"; {at_second + at_first} arrived"
                    ok = ok and at_first == at_second == 0
                _check(step, text, ok)
            if self._kept is not None and not direct:
                call, identifier = self._kept
                state = self._call_state(call, identifier)
                far = self._far_states(call)
                text = f"the {call.label or call.called} call is still up at both exchanges"
                _check(step, text, state == "answered" and far == ["answered"])

    def _break(self) -> None:
        name = self._settings.cut
        origin, destination = self._settings.pings[-1]
        title = f"{name} is cut while {STREAM} messages are on their way"
        with self._step("cut", title, needed=True) as step:
            before = self._lost()
            stream = _Background(
                lambda: self._own_ping(origin, destination, STREAM), name="demo-stream"
            )
            time.sleep(STREAM * INTERVAL / 5)
            self._client.block(self._cut, True)
            cut_at = time.monotonic()
            noticed = self._await(lambda: all(v.dead for v in self._views(self._cut)), CUT_PATIENCE)
            seconds = time.monotonic() - cut_at
            _check(step, f"both ends took {name} out of service after {seconds:.1f} s", noticed)
            ping = stream.result()
            lost = self._lost() - before
            missing = ping.sent - ping.received
            text = (
                f"{ping.received} of {ping.sent} messages of the stream were answered; the nodes "
                f"count {lost} as lost"
            )
            _check(step, text, missing <= lost and ping.received > ping.sent // 3)

    def _heal(self) -> None:
        name = self._settings.cut
        with self._step("heal", f"{name} is healed", needed=True) as step:
            self._client.block(self._cut, False)
            healed_at = time.monotonic()
            up = self._await(lambda: self._views_up(self._cut), HEAL_PATIENCE)
            seconds = time.monotonic() - healed_at
            _check(step, f"both ends use {name} again after {seconds:.1f} s", up)
            clear = self._await(self._direct_again, HEAL_PATIENCE)
            _check(step, "the direct routes are available again", clear)

    def _records(self) -> None:
        if not self._settings.call:
            return
        with self._step("records", "call records") as step:
            if self._kept is not None:
                call, identifier = self._kept
                self._client.call(call.exchange, "calls.release", {"id": identifier})
                self._await(lambda: self._call_state(call, identifier) is None, CALL_PATIENCE)
            self._await(self._all_recorded, CALL_PATIENCE)
            self.report.calls = self._own_records()
            for call, identifier in zip(self._settings.call, self._ids, strict=False):
                own = [r for r in self.report.calls if r.id == identifier]
                pair = [
                    r
                    for r in self.report.calls
                    if own
                    and r.direction == "incoming"
                    and (r.cic, r.called, r.opc, r.dpc)
                    == (own[0].cic, own[0].called, own[0].opc, own[0].dpc)
                ]
                good = [r for r in (*own, *pair) if r.answer is not None and r.cause == 16]
                text = f"{call.label or call.called}: recorded by both exchanges, cause 16"
                _check(step, text, len(own) == 1 and len(pair) == 1 and len(good) == 2)
                if call.cost and own:
                    price = own[0].cost or "nothing"
                    text = f"{call.label or call.called}: costs {price}, by hand {call.cost}"
                    _check(step, text, price == call.cost)

    # what the steps are made of

    @contextmanager
    def _step(self, name: str, title: str, *, needed: bool = False) -> Iterator[Step]:
        step = Step(name, title)
        self.report.steps.append(step)
        self._view.begin(step)
        began = time.monotonic()
        try:
            yield step
        except TrunklineError as error:
            if error.code == "lab.already-up":
                raise
            _check(step, error.message, False)
            needed = True
        finally:
            step.seconds = round(time.monotonic() - began, 3)
            step.ok = bool(step.checks) and all(check.ok for check in step.checks)
            self._view.end(step)
        if needed and not step.ok:
            raise _Stopped

    def _await(self, condition: Callable[[], bool], patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        return True

    def _views(self, links: Iterable[TopologyLink]) -> list[LinkView]:
        wanted = {(f"{x.first.node}-{x.second.node}", x.first.slc) for x in links}
        wanted |= {(f"{x.second.node}-{x.first.node}", x.first.slc) for x in links}
        views = link_views(self._topology, self._client.statuses())
        self._view.links(views)
        return [view for view in views if (view.pair, view.slc) in wanted]

    def _views_up(self, links: Iterable[TopologyLink]) -> bool:
        return all(view.up for view in self._views(links))

    def _ping(self, origin: str, destination: str, count: int) -> Ping:
        return _ping(self._client, self.network, origin, destination, count)

    def _own_ping(self, origin: str, destination: str, count: int) -> Ping:
        with LabClient(self.network.name, [origin]) as client:  # a connection serves one thread
            return _ping(client, self.network, origin, destination, count)

    def _place(self, call: DemoCall, step: Step) -> str:
        answer = self._client.call(
            call.exchange,
            "calls.originate",
            {"calling": call.calling, "called": call.called, "hold": None},
        )
        identifier = read(answer, ActiveCall).id
        self._ids.append(identifier)
        self._view.note(f"{call.calling} calls {call.called} ({call.label})")
        answered = self._await(
            lambda: self._call_state(call, identifier) in ("answered", None), CALL_PATIENCE
        )
        up = answered and self._call_state(call, identifier) == "answered"
        _check(step, f"{call.calling} → {call.called} ({call.label}): answered", up)
        return identifier if up else ""

    def _call_state(self, call: DemoCall, identifier: str) -> str | None:
        active = read(self._client.call(call.exchange, "calls.active"), list[ActiveCall])
        return next((x.state for x in active if x.id == identifier), None)

    def _far_states(self, call: DemoCall) -> list[str]:
        return [
            x.state
            for node in self.network.routers.values()
            if node.exchange and node.name != call.exchange
            for x in read(self._client.call(node.name, "calls.active"), list[ActiveCall])
            if x.called == call.called and x.direction == "incoming"
        ]

    def _own_records(self) -> list[Record]:
        found: dict[tuple[str, str], Record] = {}
        for node in self.network.routers.values():
            if node.exchange:
                answer = self._client.call(node.name, "calls.list", {"limit": 50})
                for record in read(answer, list[Record]):
                    found[record.exchange, record.id] = record
        own = {key: record for key, record in found.items() if record.id in self._ids}
        legs = {(r.cic, r.called, r.opc, r.dpc): r for r in own.values()}
        for key, record in found.items():
            call = legs.get((record.cic, record.called, record.opc, record.dpc))
            # Circuits are used again: the two records of one call end together.
            if call is not None and abs(record.end - call.end) < CALL_PATIENCE:
                own.setdefault(key, record)
        return sorted(own.values(), key=lambda r: (r.start, r.direction == "incoming"))

    def _all_recorded(self) -> bool:
        return len(self._own_records()) >= 2 * len(self._ids)

    def _lost(self) -> int:
        return sum(self._client.counters(node).lost for node in self.network.routers)

    def _watched(self) -> Iterator[tuple[str, list[TopologyLink]]]:
        yield self._settings.cut, self._cut
        yield from zip(self._settings.detour, self._detour, strict=True)

    def _direct_again(self) -> bool:
        """Whether the nodes at the cut route over it, and not over the detour, both ways."""
        origin, destination = self._settings.pings[-1]
        first, second = self._cut[0].first, self._cut[0].second
        for end, goal in ((first, destination), (second, origin)):
            code = self.network.router(goal).point_code_text
            answer = self._client.call(end.node, "ss7.explain", {"destination": code})
            link = answer.get("link") if isinstance(answer, dict) else None
            if not str(link).startswith(f"{end.linkset}:"):
                return False
        return True

    def _measure(self, phase: str, origin: str, destination: str) -> Traffic:
        before = self._flows()
        lost = self._lost()
        ping = self._ping(origin, destination, MESSAGES)
        after = self._flows()
        links: dict[str, tuple[int, int]] = {}
        arrived: dict[str, tuple[int, int]] = {}
        for name, flow in after.items():
            sent, came = flow
            sent_before, came_before = before[name]
            links[name] = (sent[0] - sent_before[0], sent[1] - sent_before[1])
            arrived[name] = (came[0] - came_before[0], came[1] - came_before[1])
        return Traffic(phase, ping.sent, ping.received, links, arrived, self._lost() - lost)

    def _flows(self) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
        """For each watched link: user messages sent by its (first, second) node; MSUs come in."""
        routed: dict[str, RouteTable] = {}
        counters: dict[str, Counters] = {}
        for _, links in self._watched():
            for node in (links[0].first.node, links[0].second.node):
                if node not in routed:
                    routed[node] = read(self._client.call(node, "ss7.routes"), RouteTable)
                    counters[node] = self._client.counters(node)
        flows = {}
        for name, links in self._watched():
            sent: list[int] = []
            came: list[int] = []
            for side in (0, 1):
                ends: list[TopologyEnd] = [link.ends[side] for link in links]
                node = ends[0].node
                sent.append(routed[node].sent_over({end.linkset for end in ends}))
                came.append(sum(counters[node].received(end.linkset, end.slc) for end in ends))
            flows[name] = ((sent[0], sent[1]), (came[0], came[1]))
        return flows


def _ping(client: LabClient, network: Network, origin: str, destination: str, count: int) -> Ping:
    answer = client.call(
        network.router(origin).name,
        "ss7.ping",
        {
            "destination": network.router(destination).point_code_text,
            "count": count,
            "interval": INTERVAL,
            "timeout": 2.0,
        },
        timeout=count * INTERVAL + 10.0,
    )
    return read(answer, Ping)


def _check(step: Step, text: str, ok: bool) -> None:
    step.checks.append(Check(text, ok))


class _Background:
    """One ping that runs beside the script."""

    def __init__(self, work: Callable[[], Ping], *, name: str) -> None:
        self._work = work
        self._result: Ping | None = None
        self._error: TrunklineError | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except TrunklineError as error:
            self._error = error

    def result(self) -> Ping:
        self._thread.join()
        if self._result is None:
            raise self._error or TrunklineError("lab.answer", "the stream gave no result")
        return self._result
