"""The node process: one signalling point, maybe an exchange on it, and a control socket.

Nothing protocol-like happens here. The node reads its configuration, builds the rooms, gives them
one event loop and one timer wheel, and translates between the control socket's methods and them.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from trunkline import __version__
from trunkline.config.cisco import Change, Cs7Config, changes, load
from trunkline.config.network import ExchangeSettings, NetworkSettings, SctpSettings
from trunkline.elements import views
from trunkline.elements.captures import Capture
from trunkline.elements.control import methods
from trunkline.elements.discards import Discards
from trunkline.elements.log import LogLine, RouterLog
from trunkline.elements.reports import report
from trunkline.elements.signalling_point import SignallingPoint
from trunkline.elements.ssp import ActiveCall, Exchange, charged
from trunkline.errors import TrunklineError
from trunkline.net.control import ControlServer, Json, socket_path
from trunkline.net.loop import TimerWheel, new_event_loop
from trunkline.net.sctp import Settings as StackSettings
from trunkline.net.sctp import Stack, open_stack
from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3 import events as mtp3
from trunkline.ss7.mtp3.traffic_test import HEADER, PingHandle, PingStats
from trunkline.store.records import CallRecord

if TYPE_CHECKING:
    from trunkline.elements.credit import Charge, ChargedBy, Charging
    from trunkline.elements.pricing import Pricing
    from trunkline.store.calls import CallStore

__all__ = ["Node", "NodePlan", "run_node"]

ISUP = 5  # service indicator, Q.704 section 14.2.1

_OUTBOX_LIMIT = 10_000  # call records that wait for a store that cannot be written
_STORE_PAUSE = 5.0  # seconds before it is tried again
_TIMES_LIMIT = 10_000  # round-trip times of one traffic test kept singly


@attrs.frozen
class NodePlan:
    """All that one node is to be."""

    network: str
    name: str
    config: Cs7Config
    exchange: ExchangeSettings | None
    sctp: SctpSettings
    real_addresses: bool = False
    notes: tuple[str, ...] = ()
    """What the reader of the configuration had to remark."""
    pricing: Pricing | None = None
    """By what its exchange prices calls."""
    charged_by: ChargedBy | None = None
    """Where its exchange has calls charged."""

    @classmethod
    def read(
        cls,
        file: Path,
        name: str | None = None,
        *,
        sctp: Literal["auto", "kernel", "raw", "udp"] | None = None,
        real_addresses: bool = False,
    ) -> NodePlan:
        """Read the configuration of one router, which is a network by itself.

        Raises:
            TrunklineError: the file's located errors, ``node.config``.
        """
        config, notes = _load([file], name)
        name = config.hostname
        startup = _startup_file(name, name)
        if startup.exists():
            config, notes = _load_startup(startup, name)
        return cls(name, name, config, None, _choose(SctpSettings(), sctp), real_addresses, notes)

    @classmethod
    def of(
        cls,
        network: NetworkSettings,
        name: str,
        *,
        sctp: Literal["auto", "kernel", "raw", "udp"] | None = None,
        real_addresses: bool = False,
    ) -> NodePlan:
        """Read the configurations of the router called ``name`` in a network.

        Raises:
            TrunklineError: the files' located errors, ``node.config``.
        """
        startup = _startup_file(network.name, name)
        if startup.exists():
            config, notes = _load_startup(startup, name)
        else:
            config, notes = _load(network.layers(name), name)
        exchange = network.nodes[name].exchange
        pricing = None
        if exchange is not None and network.tariff is not None:
            from trunkline.elements.pricing import Pricing  # transfer points need no tariff

            pricing = Pricing(network.tariff, network.rating)
        return cls(
            network.name,
            name,
            config,
            exchange,
            _choose(network.sctp, sctp),
            real_addresses,
            notes,
            pricing,
            None if exchange is None else _charged_by(network, exchange),
        )

    def stack_settings(self) -> StackSettings:
        """How this node reaches its peers."""
        peers = self.config.local_peers.values()
        return StackSettings(
            backend=self.sctp.backend,
            local=tuple(ip for peer in peers for ip in peer.ips),
            address_map=self.sctp.address_map,
            address_rule="identity" if self.real_addresses else "loopback",
            udp_port=self.sctp.udp_port,
            remote_udp_ports=self.sctp.remote_udp_ports,
        )


def _choose(
    settings: SctpSettings, backend: Literal["auto", "kernel", "raw", "udp"] | None
) -> SctpSettings:
    return settings if backend is None else attrs.evolve(settings, backend=backend)


def _charged_by(network: NetworkSettings, exchange: ExchangeSettings) -> ChargedBy | None:
    if exchange.charging is None:
        return None
    from trunkline.elements.credit import ChargedBy  # transfer points charge nobody

    charger = network.nodes[exchange.charging.node].charging
    assert charger is not None  # both were checked with the file
    assert charger.rpc_bijson.address is not None
    return ChargedBy(charger.rpc_bijson.address, exchange.charging)


def _startup_file(network: str, node: str) -> Path:
    return socket_path(network, node).with_suffix(".startup.cfg")


def _load_startup(file: Path, node: str) -> tuple[Cs7Config, tuple[str, ...]]:
    config, notes = _load([file], node)
    return config, (f"Configured from {file}, which `write` saved", *notes)


def _load(files: list[Path], node: str | None) -> tuple[Cs7Config, tuple[str, ...]]:
    texts: list[tuple[str, str]] = []
    for file in files:
        try:
            texts.append((str(file), file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as problem:
            raise TrunklineError("node.config", f"{file}: cannot be read: {problem}") from problem
    loaded = load(texts)
    if node is not None and loaded.config.hostname != node:
        loaded.config.hostname = node
    ignored = tuple(f"{line.location}: ignored: {line.text}" for line in loaded.ignored)
    return loaded.config, (*(str(warning) for warning in loaded.warnings), *ignored)


class Node:
    """A running node. ``start`` it on its loop, then wait for ``stopped``."""

    def __init__(
        self,
        plan: NodePlan,
        loop: asyncio.AbstractEventLoop,
        stack: Stack,
        clock: Callable[[], float],
    ) -> None:
        self.plan = plan
        self.loop = loop
        self.stack = stack
        self.clock = clock
        self.started = time.time()
        self.wheel = TimerWheel(loop)
        self.log = RouterLog(sys.stdout)
        self.log.listeners.append(self._publish_log)
        self.config = plan.config
        self.startup_file = _startup_file(plan.network, plan.name)
        self.discards = Discards(self.log, clock)
        self.lost = 0
        self.faults = 0
        """Exceptions that code of ours raised where none should be."""
        self.stopped = asyncio.Event()
        self.captures: set[Capture] = set()
        self.server = ControlServer(socket_path(plan.network, plan.name), methods(self))
        self._pings: dict[PingHandle, _Ping] = {}
        self.store: CallStore | None = None
        self._outbox: deque[CallRecord] = deque()
        self._writing = False
        if plan.exchange is not None:
            from trunkline.store.calls import CallStore, default_url  # transfer points need no SQL

            self.store = CallStore(default_url(plan.network))
        self.charging: Charging | None = None
        if plan.charged_by is not None:
            from trunkline.elements.credit import Charging  # transfer points charge nobody

            self.charging = Charging(
                plan.name, plan.charged_by, loop, self.wheel, clock, _moment, self.log
            )
        for note in plan.notes:
            self.log("SYS", 5, "CONFIG_I", note)
        try:
            self._build(self._new_exchange())
        except BaseException:
            if self.store is not None:
                self.store.close()
            raise

    @property
    def name(self) -> str:
        """The node's name in its network."""
        return self.plan.name

    @property
    def uptime(self) -> float:
        """Seconds since the process took up its work."""
        return time.time() - self.started

    async def start(self) -> None:
        """Answer on the control socket; the links have begun to come up already."""
        await self.server.start()
        if self.charging is not None:
            self._resume(self.charging)
            self.charging.open()
        backend = self.stack.backend
        self.log("SYS", 5, "RESTART", f"Trunkline {__version__}, SCTP: {backend}")

    async def close(self) -> None:
        """End everything in good order."""
        await self.server.close()  # first: what follows is no place for a request
        self._end()
        if self.charging is not None:
            await self.charging.close()
        self._write_records()
        for capture in list(self.captures):
            capture.close()
        self.stack.close()
        self.wheel.close()
        if self.store is not None:
            self.store.close()

    # configuration

    def apply(self, steps: Sequence[Change], before: Cs7Config) -> None:
        """Carry out the difference that a command made to ``config``, which was ``before``.

        Raises:
            TrunklineError: it cannot be done; ``config`` is ``before`` again, and the node does
                what that says.
        """
        rebuild = any(isinstance(step, changes.NodeChanged) for step in steps)
        try:
            if rebuild:
                exchange = self._new_exchange()
                self._end()
                self._build(exchange)
            else:
                self.point.apply(steps)
        except BaseException:
            self.config.assign(before)
            if not rebuild:
                self.point.follow()
            elif self.point.closed:
                self._build(self._new_exchange())
            raise

    def _new_exchange(self) -> Exchange | None:
        """Make the exchange that the configuration asks for; raises before anything has changed."""
        if self.plan.exchange is None:
            return None
        if self.config.point_code is None:
            raise TrunklineError(
                "node.no-point-code",
                f"{self.name} is an exchange and needs a point code: `cs7 point-code …` sets it",
            )
        return Exchange(
            self.name,
            self.plan.exchange,
            variant=self.config.variant,
            network_indicator=self.config.network_indicator,
            point_code=self.config.point_code,
            wheel=self.wheel,
            clock=self.clock,
            transfer=lambda msus, now: self.point.transfer(msus, now),
            record=self._record,
            observe=self._observe_call,
            log=self.log,
            discard=self.discards,
            charging=self.charging,
        )

    def _build(self, exchange: Exchange | None) -> None:
        """Make the signalling point from the configuration, with ``exchange`` on it."""
        self.point = SignallingPoint(
            self.config,
            self.stack,
            self.wheel,
            self.log,
            clock=self.clock,
            users={} if exchange is None else {ISUP: exchange},
            fault=self._fault,
        )
        self.point.listeners.append(self._on_event)
        self.exchange = exchange
        if exchange is not None:
            for dpc in exchange.destinations:
                self.point.watch(dpc)

    def _end(self) -> None:
        """End the signalling point and what depends on it."""
        for code, count in self.point.discards().items():
            self.discards.counts[code] = self.discards.counts.get(code, 0) + count
        self.point.close()
        if self.exchange is not None:
            self.exchange.close()
        for waiting in self._pings.values():
            if not waiting.done.done():
                waiting.done.set_exception(
                    TrunklineError("node.ping-ended", "the node's signalling ended meanwhile")
                )
        self._pings.clear()

    # what happens

    def _on_event(self, event: object) -> None:
        match event:
            case mtp3.PingReply(ping, _, rtt):
                if ping in self._pings and len(self._pings[ping].times) < _TIMES_LIMIT:
                    self._pings[ping].times.append(rtt)
            case mtp3.PingTimeout(ping, _, reason):
                if ping in self._pings:
                    self._pings[ping].failure = reason
            case mtp3.PingDone(ping, stats):
                if (waiting := self._pings.pop(ping, None)) is not None:
                    waiting.done.set_result(stats)
            case m2pa.Discarded(code, detail):
                self.discards("CS7M2PA", code, detail)
            case _:
                if isinstance(event, mtp3.MessagesLost):
                    self.lost += event.count
                report(event, self.config, self.log)
                self._publish_link(event)

    def discard_counts(self) -> dict[str, int]:
        """Messages refused since the process began, by code, whatever level refused them."""
        counts = dict(self.discards.counts)
        for code, count in self.point.discards().items():
            counts[code] = counts.get(code, 0) + count
        return counts

    def _fault(self, problem: Exception) -> None:
        """Note an exception that must not cost the other links and calls anything."""
        self.faults += 1
        self.log("SYS", 2, "FAULT", f"{type(problem).__name__}: {problem}")
        self.loop.call_exception_handler(
            {"message": f"{self.name}: a fault was contained", "exception": problem}
        )

    def _publish_log(self, line: LogLine) -> None:
        if self.server.wanted("log"):
            self.server.publish("log", self._event("log", line.time) | {"line": str(line)})

    def _publish_link(self, event: object) -> None:
        if isinstance(event, mtp3.LinkStateChanged) and self.server.wanted("link"):
            self.server.publish(
                "link",
                self._event("link", time.time())
                | {
                    "linkset": event.slink.linkset.name,
                    "slc": event.slink.slc,
                    "state": event.state.value,
                    "reason": event.reason,
                },
            )

    def _observe_call(self, kind: str, call: ActiveCall) -> None:
        if self.server.wanted("call"):
            self.server.publish(
                "call",
                self._event("call", time.time()) | {"id": call.id, "trace": call.id, "state": kind},
            )

    def _event(self, kind: str, moment: float) -> dict[str, Json]:
        return {"node": self.name, "time": moment, "kind": kind}

    # call records: written together at the end of the turn in which their calls ended

    def _record(self, record: CallRecord) -> None:
        if len(self._outbox) >= _OUTBOX_LIMIT:
            lost = self._outbox.popleft()
            self.log("CS7CDR", 2, "LOST", f"record of call {lost.id}: the store stays unwritable")
        pricing = self.plan.pricing
        self._outbox.append(record if pricing is None else pricing.priced(record))
        if not self._writing:
            self._writing = True
            self.loop.call_soon(self._write_records)

    def _resume(self, charging: Charging) -> None:
        """Have charging told what a process before this one had still to say."""
        from trunkline.elements.credit import Charge  # transfer points charge nobody

        assert self.store is not None
        for record in self.store.unsettled(self.name):
            assert record.charging is not None  # there is something in it
            charge = Charge.parse(record.charging)
            charging.resume(record.id, record.calling, charge, partial(self._amend, record))

    def _amend(self, record: CallRecord, charge: Charge) -> None:
        self._record(charged(record, charge))

    def _write_records(self) -> None:
        self._writing = False
        if self.store is None or not self._outbox:
            return
        try:
            self.store.add(self._outbox)
        except TrunklineError as problem:
            # Kept, and tried again: a full disk must not cost a record.
            self.log("CS7CDR", 2, "STORE", problem.message)
            self._writing = True
            self.wheel.call_later(_STORE_PAUSE, self._write_records)
        else:
            self._outbox.clear()

    # traffic test

    async def ping(
        self, dpc: int, count: int, interval: float, timeout: float, size: int
    ) -> views.PingView:
        """Send ``count`` test messages to ``dpc`` and await their echoes (Q.755).

        Raises:
            TrunklineError: what the router refuses, ``node.ping-ended``.
        """
        handle = self.point.ping(dpc, count, interval, timeout, size)
        waiting = self._pings[handle] = _Ping(self.loop.create_future())
        begun = self.clock()
        try:
            stats = await waiting.done
        finally:
            self._pings.pop(handle, None)  # nobody waits any more, if this was cancelled
        return views.ping_view(
            self.config.format_pc(dpc),
            stats,
            waiting.times,
            seconds=self.clock() - begun,
            octets=self.point.router.settings.label.header + HEADER + size,
            failure=waiting.failure,
        )


def _moment() -> str:
    """The time of day as charging takes it: RFC 3339, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat()


class _Ping:
    """A traffic test under way."""

    __slots__ = ("done", "failure", "times")

    def __init__(self, done: asyncio.Future[PingStats]) -> None:
        self.done = done
        self.times: list[float] = []
        self.failure: str | None = None


def run_node(plan: NodePlan) -> None:
    """Run one node until SIGTERM, SIGINT or ``node.stop``; a clean end forgets `write`."""
    loop = new_event_loop()
    asyncio.set_event_loop(loop)

    async def main() -> None:
        stack = open_stack(loop, plan.stack_settings())
        try:
            node = Node(plan, loop, stack, time.monotonic)
        except BaseException:
            stack.close()
            raise
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, node.stopped.set)
        try:
            await node.start()
            await node.stopped.wait()
        finally:
            await node.close()
        node.startup_file.unlink(missing_ok=True)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
