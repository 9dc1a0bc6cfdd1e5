"""The charging node's process: a tariff, the methods, and the addresses where they answer."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from trunkline import __version__
from trunkline.charging.rows import ChargingRows
from trunkline.charging.templates import Template
from trunkline.config.charging import ChargingSettings, ExportSettings, ReaderSettings
from trunkline.elements.charging.accounts import Accounts
from trunkline.elements.charging.actions import Actions
from trunkline.elements.charging.caches import Caches
from trunkline.elements.charging.changes import Changes
from trunkline.elements.charging.clients import Clients, Untold
from trunkline.elements.charging.core import Core
from trunkline.elements.charging.costs import Costs
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.explain import Explain
from trunkline.elements.charging.exporting import Exporter
from trunkline.elements.charging.exports import Exports, Live
from trunkline.elements.charging.fallback import Fallback
from trunkline.elements.charging.openapi import document
from trunkline.elements.charging.profiles import ProfileMethods
from trunkline.elements.charging.readers import Reader, Readers
from trunkline.elements.charging.recorder import Recorder
from trunkline.elements.charging.records import Records
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.responder import Responder
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.scheduler import Scheduler
from trunkline.elements.charging.schedules import Schedules
from trunkline.elements.charging.sessions import Sessions
from trunkline.elements.charging.steps import Ended, Steps
from trunkline.elements.charging.tariff_plans import DraftMethods, PriceMethods, TariffPlans
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.elements.charging.triggers import AccountTriggers
from trunkline.elements.log import LogLine, RouterLog
from trunkline.elements.parameters import Params, bounded
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import encode
from trunkline.net.control import Connection, ControlServer, Json, Method, socket_path
from trunkline.net.jsonrpc import (
    HttpConnection,
    Peer,
    RpcServer,
    RpcSettings,
    TcpConnection,
    TwoWayConnection,
)
from trunkline.net.loop import new_event_loop
from trunkline.rating.cost import EXACT, Cgrates
from trunkline.rating.durations import SECOND
from trunkline.store.compiled import default_tariff_url
from trunkline.store.guard import StoreUnavailable
from trunkline.store.journal import Journal
from trunkline.store.ledger.book import Book, default_ledger_url
from trunkline.store.rules import RuleStore

if TYPE_CHECKING:
    from trunkline.config.network import NetworkSettings

__all__ = ["SERVICES", "ChargingNode", "ChargingPlan", "run_charging"]

SERVICES: Final = (
    Core,
    Costs,
    TariffPlans,
    DraftMethods,
    PriceMethods,
    Accounts,
    Actions,
    AccountTriggers,
    Schedules,
    Sessions,
    Responder,
    Records,
    Exports,
    ProfileMethods,
    Changes,
    Caches,
    Explain,
)
"""The classes that have the methods."""

_READY: Final = 5.0  # s; so long it waits for plans that are due before it listens
_PAUSES: Final = (1.0, 60.0)  # s; before what failed begins again: at first, and at most
_SWEEP: Final = 1.0  # s; from one look for what is due to the next
_KINDS: Final = {
    "rpc_json": ("JSON-RPC", TcpConnection),
    "http": ("HTTP", HttpConnection),
    "rpc_bijson": ("JSON-RPC both ways", TwoWayConnection),
}


class ChargingPlan:
    """All that one charging node is to be; its tariff has been read.

    Raises:
        TrunklineError: what is wrong with the tariff or the store.
    """

    def __init__(self, network: NetworkSettings, name: str, settings: ChargingSettings) -> None:
        self.network = network.name
        self.name = name
        self.settings = settings
        precision = EXACT if settings.precision == "exact" else Cgrates()
        kept: RuleStore | None = None
        if settings.tariff:
            self.source = str(network.path.parent / settings.tariff)
            self.tariffs = Tariffs.of_folder(
                network.path.parent / settings.tariff, precision=precision
            )
        else:
            url = settings.store or default_tariff_url()
            self.source = "no tariff yet; trunkline rate load DIR loads one"
            self.tariffs = Tariffs.of_store(url, precision=precision)
            kept = RuleStore(url)
        rows = self.tariffs.rows if kept is None else ChargingRows()  # those of a store at start
        self.rules = RuleBook(rows, self.tariffs, kept)
        self.ledger = settings.ledger or default_ledger_url()
        self.exporters = [_exporter(network.path.parent, each) for each in settings.export]
        self.readers = [_reader(network.path.parent, each) for each in settings.reader]

    def steps(self, engine: Engine, recorder: Recorder) -> Steps:
        """The steps of sessions, as the settings have them.

        Raises:
            TrunklineError: ``store.journal``.
        """
        settings = self.settings
        lease, interval = settings.lease.seconds, round(settings.debit_interval.seconds * SECOND)
        if settings.when_ledger_fails == "deny":
            return Steps(
                engine,
                lease=lease,
                debit_interval=interval,
                node=self.name,
                recorder=recorder,
            )
        folder = Path(default_ledger_url().removeprefix("sqlite:///")).parent
        return Fallback(
            engine,
            Journal(folder / f"{self.network}-{self.name}.journal"),
            per_call=round(settings.grant_usage.seconds * SECOND),
            in_all=round(settings.grant_total.seconds * SECOND),
            lease=lease,
            debit_interval=interval,
            node=self.name,
            recorder=recorder,
        )


class ChargingNode:
    """A running node. ``start`` it on its loop, then wait for ``stopped``."""

    def __init__(self, plan: ChargingPlan, loop: asyncio.AbstractEventLoop) -> None:
        self.plan = plan
        self.loop = loop
        self.started = time.time()
        self.stopped = asyncio.Event()
        self.log = RouterLog(sys.stdout)
        self.log.listeners.append(self._publish_log)
        self.engine = Engine(plan.tariffs, Book(plan.ledger), plan.rules, lambda: datetime.now(UTC))
        live = [
            Live(exporter, each.every.seconds)
            for exporter, each in zip(plan.exporters, plan.settings.export, strict=True)
            if each.live
        ]
        recorder = Recorder(self.engine, [each.exporter.name for each in live])
        self.steps = plan.steps(self.engine, recorder)
        self._failing = ""
        self._unprepared = False
        self.exports = Exports(self.engine, plan.exporters, live, self.log)
        relay = plan.settings.mail_server.address
        self.scheduler = Scheduler(
            self.engine,
            self.log,
            mail_server="" if relay is None else _written(relay),
            mail_from=plan.settings.mail_from,
            export=self.exports.give,
        )
        self.clients = Clients(self._switches, plan.settings.lease.seconds)
        self.readers = Readers(self.engine, recorder, plan.readers, self.log)
        self.registry = Registry(
            Core(plan.name, datetime.now(UTC)),
            Costs(plan.tariffs, self.engine.clock),
            TariffPlans(plan.tariffs, self.scheduler.loaded),
            DraftMethods(plan.tariffs),
            PriceMethods(plan.tariffs),
            Accounts(self.engine),
            Actions(self.engine),
            AccountTriggers(self.engine),
            Schedules(self.engine, self.scheduler),
            Sessions(self.engine, self.clients, self.steps),
            Responder(self.engine),
            Records(self.engine, self.steps),
            self.exports,
            ProfileMethods(self.engine),
            Changes(self.engine),
            Caches(self.engine),
            Explain(self.engine),
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._sweeping: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()
        self.servers: dict[str, RpcServer] = {}
        self.control = ControlServer(socket_path(plan.network, plan.name), self._methods())

    async def start(self) -> None:
        """Listen.

        Raises:
            TrunklineError: ``rpc.bind``, ``control.in-use``, ``store.ledger-unavailable``.
        """
        try:
            await self.engine.book.prepare()
        except StoreUnavailable as problem:
            if not isinstance(self.steps, Fallback):
                raise
            self._unprepared = True
            self.log("CHARGING", 3, "LEDGER", problem.message)
        await self.engine.rules.start()
        await self.engine.tariffs.start(self._unfollowed_tariff)
        self.engine.tariffs.listeners.append(self._turned)
        self._sweeping = [self.loop.create_task(self._sweep())]
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "following others' rules": partial(self.engine.rules.follow, self._unfollowed),
            "following the tariff": partial(self.engine.tariffs.follow, self._unfollowed_tariff),
            "the scheduler": self.scheduler.run,
            "exporting": self.exports.run,
            "reading files": self.readers.run,
        }
        self._tasks = [self.loop.create_task(self._ever(*each)) for each in work.items()]
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY):
                await self.scheduler.ready.wait()
        settings = self.plan.settings
        bounds = RpcSettings(connections=settings.connections)
        for key, (kind, protocol) in _KINDS.items():
            address = getattr(settings, key).address
            if address is None:
                continue
            made = partial(HttpConnection, page=self._page) if key == "http" else protocol
            server = RpcServer(self.loop, address, self.registry, made, bounds)
            self.servers[key] = server
            self.log("RPC", 5, "LISTEN", f"{kind} on {_written(server.local)}")
            if not ipaddress.ip_address(server.local[0]).is_loopback:
                self.log(
                    "RPC",
                    4,
                    "OPEN",
                    f"{_written(server.local)} is open to others, without passwords or TLS:"
                    " whoever reaches it may change accounts",
                )
        await self.control.start()
        self.log(
            "SYS",
            5,
            "RESTART",
            f"Trunkline {__version__}, charging node {self.plan.name}: {self._tariff()}",
        )

    async def close(self) -> None:
        """End everything in good order: calls under way are answered."""
        await self.control.close()
        # who was not told is told by whoever comes next
        await _cancelled([*self._sweeping, *self._telling])
        for server in self.servers.values():
            server.close()
        for server in self.servers.values():
            await server.wait_closed()
        await _cancelled(self._tasks)
        await self.scheduler.close()
        await self.engine.tariffs.close()
        await self.engine.rules.close()
        await self.engine.book.close()

    async def _ever(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Have work done that has no end; where a bug ends it, it begins again."""
        pause = _PAUSES[0]
        while True:
            try:
                await work()
                return
            except Exception as problem:
                self.loop.call_exception_handler(
                    {"message": f"{what} failed, and begins again", "exception": problem}
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSES[1])

    def _unfollowed(self, problem: TrunklineError) -> None:
        self.log("CHARGING", 3, "RULES", f"others' rules do not count here: {problem.message}")

    def _turned(self) -> None:
        self.log("CHARGING", 5, "TARIFF", f"{self._tariff()} counts from now on")

    def _tariff(self) -> str:
        """What is priced by."""
        version = self.engine.tariffs.counting.version
        return f"version {version} of the tariff" if version else self.plan.source

    def _unfollowed_tariff(self, problem: TrunklineError) -> None:
        self.log("CHARGING", 3, "TARIFF", f"another tariff cannot count here: {problem.message}")

    async def _sweep(self) -> None:
        """Again and again, do what is due for sessions."""
        while True:
            try:
                await self._settle()
                await self.steps.sweep(self._begin_telling)
                self._failing = ""
            except Exception as problem:
                self._unswept(problem)
            await self.steps.pause(_SWEEP)

    def _unswept(self, problem: Exception) -> None:
        why = str(problem)
        if why != self._failing and isinstance(problem, TrunklineError):
            self.log("CHARGING", 3, "LEDGER", why)
        elif why != self._failing:  # a bug; the sessions that have none are looked at all the same
            self.loop.call_exception_handler({"message": "a sweep failed", "exception": problem})
        self._failing = why
        if isinstance(problem, StoreUnavailable):
            granting = isinstance(self.steps, Fallback)
            allowance = self.plan.settings.grant_usage.seconds if granting else 0.0
            for ended in self.steps.unpaid(allowance):
                self._begin_telling(ended)

    async def _settle(self) -> None:
        """Carry out what was granted while the ledger failed."""
        if not isinstance(self.steps, Fallback):
            return
        if self._unprepared:
            await self.engine.book.prepare()
            self._unprepared = False
        if done := await self.steps.settle(self._unsettled):
            self.log("CHARGING", 5, "SETTLED", f"{done} steps that were granted without the ledger")

    def _unsettled(self, what: str, problem: TrunklineError) -> None:
        self.log("CHARGING", 3, "UNSETTLED", f"{what}: {problem.message}")

    def _begin_telling(self, ended: Ended) -> None:
        """Tell a switch, while the next sessions are looked at."""
        task = self.loop.create_task(self._tell(ended))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, ended: Ended) -> None:
        session = ended.session
        host = session.origin_host or "no host"
        if not ended.again:
            name = f"session {session.origin_id} of {host}"
            self.log("CHARGING", 4, "ENDED", f"{name}: {ended.reason}")
        done = False
        try:
            done = await self.clients.disconnect(session, ended.reason)
        except Untold as problem:
            self.log("CHARGING", 4, "UNTOLD", problem.message)
            done = not problem.again
        with suppress(StoreUnavailable):  # it is told again, then
            await self.steps.told(session, done=done)

    def _switches(self) -> Iterable[Peer]:
        """The connections on which somebody can be called."""
        server = self.servers.get("rpc_bijson")
        return () if server is None else list(server.connections)

    def _page(self) -> str:
        """``/openapi.json``."""
        return encode(document(self.registry)) + "\n"

    def _methods(self) -> dict[str, Method]:
        return {
            "node.status": self._status,
            "node.counters": self._counters,
            "node.log": self._log_lines,
            "node.stop": self._stop,
        }

    def _status(self, _: Connection, __: Params) -> Json:
        return {
            "name": self.plan.name,
            "kind": "charging",
            "pid": os.getpid(),
            "version": __version__,
            "started": self.started,
            "uptime": time.time() - self.started,
            "tariff": self._tariff(),
            "listen": [
                {"transport": _KINDS[key][0], "address": _written(server.local)}
                for key, server in self.servers.items()
            ],
        }

    def _counters(self, _: Connection, __: Params) -> Json:
        found: dict[str, Json] = {
            key: {
                **cast("dict[str, Json]", asdict(server.stats)),
                "connections": len(server.connections),
            }
            for key, server in self.servers.items()
        }
        found["scheduler"] = cast("dict[str, Json]", asdict(self.scheduler.counters))
        return found

    def _log_lines(self, _: Connection, params: Params) -> Json:
        limit = bounded(params, "limit", int, 1, 10_000, 100)
        return [str(line) for line in list(self.log.lines)[-limit:]]

    def _stop(self, _: Connection, __: Params) -> Json:
        self.loop.call_soon(self.stopped.set)
        return {}

    def _publish_log(self, line: LogLine) -> None:
        if self.control.wanted("log"):
            event: dict[str, Json] = {
                "node": self.plan.name,
                "time": line.time,
                "kind": "log",
                "line": str(line),
            }
            self.control.publish("log", event)


def run_charging(plan: ChargingPlan) -> None:
    """Run the node until SIGTERM, SIGINT or ``node.stop``.

    Raises:
        TrunklineError: why it cannot be run.
    """
    loop = new_event_loop()
    asyncio.set_event_loop(loop)

    async def main() -> None:
        node = ChargingNode(plan, loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, node.stopped.set)
        try:
            await node.start()
            gc.collect()
            if hasattr(gc, "freeze"):  # a tariff stays; the collector need not walk over it
                gc.freeze()
                gc.set_threshold(100_000, 50, 100)  # requests leave hardly anything in circles
            await node.stopped.wait()
        finally:
            await node.close()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End tasks, and wait until they have."""
    for task in (ending := list(tasks)):
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _exporter(folder: Path, settings: ExportSettings) -> Exporter:
    """The exporter of settings of a network file in ``folder``.

    Raises:
        TrunklineError: what is wrong with its filters or fields.
    """
    path = settings.export_path
    try:
        return Exporter(
            settings.id,
            settings.type,
            str(folder / path) if settings.type.startswith("*file_") else path,
            filters=settings.filters,
            fields=[
                Template(path=each.path, value=each.value, type=each.type, mandatory=each.mandatory)
                for each in settings.fields
            ],
            separator=settings.field_separator,
        )
    except TrunklineError as problem:
        raise TrunklineError(problem.code, f"export {settings.id}: {problem.message}") from problem


def _reader(folder: Path, settings: ReaderSettings) -> Reader:
    """The reader of settings of a network file in ``folder``.

    Raises:
        TrunklineError: what is wrong with its filters or fields.
    """
    try:
        return Reader(settings, folder)
    except TrunklineError as problem:
        raise TrunklineError(problem.code, f"reader {settings.id}: {problem.message}") from problem


def _written(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
