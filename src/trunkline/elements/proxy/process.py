"""The processes of a proxy node: sockets, script, signals; and the parent of several workers.

One worker is the process itself. More are its children, which share the ports
(`trunkline.elements.proxy.workers`); the parent only starts again what dies. A node whose worker
cannot begin at all ends. SIGTERM and SIGINT end the node, SIGHUP loads the script anew. By SIGUSR1
a worker tells the parent that it has done so.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import re
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from trunkline import __version__
from trunkline.config.network import NetworkSettings
from trunkline.config.proxy import ProxyNodeSettings
from trunkline.elements.log import RouterLog
from trunkline.elements.proxy.board import Board
from trunkline.elements.proxy.control import ProxyControl
from trunkline.elements.proxy.destinations import Destinations, rows_of
from trunkline.elements.proxy.dialplan import LiveDialplan
from trunkline.elements.proxy.element import ProxyElement
from trunkline.elements.proxy.export import HepExport
from trunkline.elements.proxy.hops import Finder, rules_for
from trunkline.elements.proxy.script import Script, load_script
from trunkline.elements.proxy.services import (
    Registrations,
    Services,
    Users,
    UserSource,
    core_settings,
    digest_algorithms,
    keep_alive_of,
    read_users,
)
from trunkline.elements.proxy.tokens import token_source
from trunkline.elements.proxy.transports import SocketTransports
from trunkline.elements.proxy.workers import Shared, Workers, control_name
from trunkline.errors import TrunklineError
from trunkline.net.collector import Collector
from trunkline.net.control import ControlServer, socket_path
from trunkline.net.dns import Locator, Resolver, ResolverSettings
from trunkline.net.loop import new_event_loop
from trunkline.net.tls import TlsSettings, server_context
from trunkline.sip import digest, registrar
from trunkline.sip.proxy import Identity
from trunkline.sip.transport import Transport
from trunkline.store.keyvalue import KeyValue, Memory
from trunkline.store.location import Location, MemoryLocation
from trunkline.store.redis import Redis

if TYPE_CHECKING:
    from trunkline.store.sql import Sql

__all__ = ["ProxyPlan", "database_url", "kept_secret", "run_proxy"]

_FIRST_DELAY = 0.2
"""Seconds before a worker that died is started again; doubled while it keeps dying."""
_LONGEST_DELAY = 10.0
_STEADY = 60.0
"""Seconds after which a worker that dies has not begun in vain: the delay is the first again."""
_PATIENCE = 5.0
"""Seconds that workers have to end in good order."""
_SECRET = 32  # octets
_REFUSED = 2
"""Exit status of a worker that has said why it cannot be."""


class ProxyPlan:
    """All that one proxy node is to be.

    Its script and its files have been loaded once, and its settings understood: what is wrong with
    them is told before there are workers, and once.

    Raises:
        TrunklineError: what is wrong.
    """

    def __init__(self, network: NetworkSettings, name: str, settings: ProxyNodeSettings) -> None:
        self.network = network.name
        self.name = name
        self.settings = settings
        self.script_file: Path = network.path.parent / settings.script
        self.script: Script = load_script(self.script_file)
        self.tls = _tls(network.path.parent, settings)
        self.realm = settings.domains[0] if settings.domains else name
        self.secret = settings.secret.encode()
        self.run = f"{name}.{os.urandom(4).hex()}"
        """What no other run of the node is called."""
        self.board = Board(rows_of(settings.destinations), settings.workers)
        self.stateless: bytes | None = None
        if settings.stateless:
            self.stateless = os.urandom(32)
            _check_stateless(name, settings, self.script)
        if any(url != "memory" for url in settings.redis.values()):
            # Once, and not within the time of the first command, which it is longer than.
            with contextlib.suppress(ImportError):  # the store says what to install
                importlib.import_module("redis.asyncio")
        self.folder = network.path.parent
        for source in settings.dialplans.values():
            if not source.startswith("sql:"):
                LiveDialplan.from_csv(self.folder / source)
        self.users: digest.UserSource = digest.KnownUsers({})
        if settings.users and not settings.users.startswith("sql:"):
            self.users = read_users(network.path.parent / settings.users, self.realm)
        if self.tls is not None and any(item.transport.secure for item in settings.listen):
            server_context(self.tls)
        _resolver(self)
        _stores(settings, self.folder, time.monotonic)


def _check_stateless(name: str, settings: ProxyNodeSettings, script: Script) -> None:
    script.require_stateless()
    for item in settings.listen:
        if item.transport is not Transport.UDP:
            raise TrunklineError(
                "proxy.stateless",
                f"[node.{name}.proxy]: stateless = true, and it listens on"
                f" {item.transport.parameter}: between streams and UDP a proxy keeps state",
            )


def run_proxy(plan: ProxyPlan) -> None:
    """Run the node until SIGTERM or SIGINT.

    Raises:
        TrunklineError: why it cannot be run; ``proxy.worker``: a worker has said it.
    """
    plan.secret = plan.secret or kept_secret(plan.network, plan.name)  # before the workers part
    if plan.settings.workers == 1:
        _run_worker(plan, None)
    else:
        _Parent(plan).run()


def kept_secret(network: str, name: str) -> bytes:
    """The secret of the node's last run, or a new one: calls that are up outlive a restart.

    It lies beside the control socket, in a folder that is the user's alone.
    """
    file = socket_path(network, name).parent / f"{name}.secret"
    with contextlib.suppress(OSError):
        kept = file.read_bytes()
        if len(kept) == _SECRET:
            return kept
    made = os.urandom(_SECRET)
    with contextlib.suppress(OSError):  # then this run alone has it
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(made)
    return made


class _Parent:
    """Starts the workers and starts again those that die."""

    def __init__(self, plan: ProxyPlan) -> None:
        self._plan = plan
        self._shared = Shared(plan.settings.workers)
        self._children: dict[int, int] = {}
        self._delay: dict[int, float] = {}
        self._since: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._log = RouterLog(sys.stdout)

    def run(self) -> None:
        """Keep the workers running until a signal ends the node."""
        self._see_that_ports_are_free()
        signals = _Signals()
        for index in range(self._plan.settings.workers):
            self._start(index)
        while True:
            nearest = min(self._due.values(), default=None)
            came = signals.wait(None if nearest is None else nearest - time.monotonic())
            if came & {signal.SIGTERM, signal.SIGINT}:
                break
            if signal.SIGHUP in came:
                self._signal(signal.SIGHUP)
            if signal.SIGUSR1 in came:
                self._adopt()
            try:
                self._reap()
            except TrunklineError:
                self._stop()
                raise
            self._start_due()
        self._stop()

    def _adopt(self) -> None:
        """A worker has loaded the script anew: one that is started again is to have that, too."""
        with contextlib.suppress(TrunklineError):  # changed since; the workers have what they have
            self._plan.script = load_script(self._plan.script_file)
            self._log("SCRIPT", 6, "ADOPTED", "workers that are started again have it, too")

    def _see_that_ports_are_free(self) -> None:
        """Listen alone for a moment: who shares a port may share it with another node, unawares."""
        loop = new_event_loop()
        try:
            transports = SocketTransports(loop, self._plan.settings.listen, tls=self._plan.tls)
            transports.close()
            loop.run_until_complete(transports.wait_closed())
        finally:
            loop.close()

    def _start(self, index: int) -> None:
        sys.stdout.flush()
        child = os.fork()
        if child:
            self._children[child] = index
            self._since[index] = time.monotonic()
            return
        status = 1
        try:
            _Signals.forget()
            _run_worker(self._plan, Workers(self._shared, index))
            status = 0
        except TrunklineError as problem:
            print(f"trunkline: {problem}", file=sys.stderr)
            status = _REFUSED
        except BaseException:  # which goes no further
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            index = self._children.pop(child, None)
            if index is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == _REFUSED and not self._shared.served[index]:
                raise TrunklineError(
                    "proxy.worker",
                    f"{self._plan.name} ends: worker {index} cannot begin, and has said why",
                )
            now = time.monotonic()
            steady = now - self._since[index] >= _STEADY
            delay = _FIRST_DELAY if steady else self._delay.get(index, _FIRST_DELAY)
            self._delay[index] = min(2 * delay, _LONGEST_DELAY)
            self._due[index] = now + delay
            self._log("SYS", 2, "WORKER", f"worker {index} ended ({code}); again in {delay:g} s")

    def _start_due(self) -> None:
        now = time.monotonic()
        for index in [index for index, due in self._due.items() if due <= now]:
            del self._due[index]
            self._start(index)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            os.kill(child, number)

    def _stop(self) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while self._children:
            child, _ = os.waitpid(-1, os.WNOHANG)
            self._children.pop(child, None)
            if not child:
                if time.monotonic() > deadline:
                    self._signal(signal.SIGKILL)
                time.sleep(0.02)


class _Signals:
    """Waits for signals: PyPy has no ``sigtimedwait``."""

    _NUMBERS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in self._NUMBERS:
            signal.signal(number, lambda *_: None)

    def wait(self, seconds: float | None) -> set[int]:
        """Return the signals that came, within ``seconds`` or whenever."""
        select.select([self._reader], [], [], None if seconds is None else max(0.0, seconds))
        try:
            return set(self._reader.recv(4096))
        except BlockingIOError:
            return set()

    @classmethod
    def forget(cls) -> None:
        """In a child: signals are its own business now."""
        signal.set_wakeup_fd(-1)
        for number in cls._NUMBERS:
            signal.signal(number, signal.SIG_DFL)


def _run_worker(plan: ProxyPlan, workers: Workers | None) -> None:
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_work(plan, workers, loop))
    finally:
        loop.close()


async def _work(plan: ProxyPlan, workers: Workers | None, loop: asyncio.AbstractEventLoop) -> None:
    stopped = asyncio.Event()
    log = RouterLog(sys.stdout)
    settings = plan.settings
    transports = SocketTransports(loop, settings.listen, tls=plan.tls, workers=workers)
    try:
        identity = Identity(transports.listeners, settings.domains)
        resolver = _resolver(plan)
        locator = Locator(resolver, rules_for(identity), now=loop.time)
        finder = Finder(identity, locator)
        element = ProxyElement(
            loop,
            identity,
            plan.script,
            transports,
            finder,
            name=plan.name,
            log=log,
            token=token_source(workers.prefix if workers is not None else ""),
            settings=core_settings(settings),
            stateless=plan.stateless,
            script_settings=settings.settings,
            workers=workers,
            services=_services(plan, workers, loop),
            keep_alive=keep_alive_of(settings),
            destinations=Destinations(
                settings.destinations,
                locator.directory.draw,
                plan.board,
                0 if workers is None else workers.index,
            ),
        )
        transports.connect(element.receive, element.failed, element.refused, element.lost)
        if workers is not None:
            workers.listen(
                loop,
                element.take_over,
                transports.lend,
                element.lost,
                element.failed,
            )

        def reload() -> None:
            if control.ahead:
                control.ahead = False
            else:
                element.spawn(_reload(plan, element))

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, reload)
        control = ProxyControl(plan, element, log, stopped.set, transports, resolver, locator)
        control.server = ControlServer(
            socket_path(
                plan.network, control_name(plan.name, 0 if workers is None else workers.index)
            ),
            control.methods(),
        )
        log.listeners.append(control.publish_log)
        await element.services.open_dialplans(settings.dialplans, plan.folder)
        if settings.hep is not None:
            collector = Collector(settings.hep.address)
            export = HepExport(collector, offset=control.offset, capture_id=settings.hep_id)
            element.recorder.taps.append(export)
            control.collector = collector
        begun = await _unless(stopped, element.start())
        if begun:
            await control.server.start()
        if begun and (workers is None or workers.index == 0):
            places = ", ".join(
                f"{item.transport.value} {item.advertised[0]}:{item.advertised[1]}"
                for item in identity.listeners
            )
            log("SYS", 5, "RESTART", f"Trunkline {__version__}, SIP proxy {plan.name}: {places}")
            element.spawn(_probe(resolver, log))
        if workers is not None and begun:
            workers.outlive_nobody(loop, stopped.set)
            workers.serves()
        _settle_memory()
        await stopped.wait()
        if workers is not None:
            workers.deafen(loop)
        await control.server.close()
        await element.close()
        await locator.close()
        if control.collector is not None:
            control.collector.close()
    finally:
        transports.close()
        await transports.wait_closed()


async def _unless(stopped: asyncio.Event, work: Coroutine[object, object, None]) -> bool:
    """Do ``work`` unless the node is to end: a start handler may wait for long. Whether it did."""
    doing, ending = asyncio.ensure_future(work), asyncio.ensure_future(stopped.wait())
    await asyncio.wait({doing, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if doing.done():
        doing.result()
        return True
    doing.cancel()
    await asyncio.wait({doing})
    return False


def _tls(folder: Path, settings: ProxyNodeSettings) -> TlsSettings | None:
    tls = settings.tls
    if tls is None:
        return None
    return TlsSettings(
        certificate=folder / tls.certificate if tls.certificate else None,
        key=folder / tls.key if tls.key else None,
        authorities=folder / tls.authorities if tls.authorities else None,
        verify_client=tls.verify_client,
        verify_server=tls.verify_server,
    )


def _resolver(plan: ProxyPlan) -> Resolver:
    source = f"dns of [node.{plan.name}.proxy]"
    return Resolver(ResolverSettings(servers=plan.settings.dns, servers_source=source))


_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)(?=.)")


def _stores(
    settings: ProxyNodeSettings, folder: Path, clock: Callable[[], float]
) -> tuple[dict[str, KeyValue], dict[str, Sql]]:
    """The stores by their names; none of them has been connected to.

    A SQLite file is found from ``folder``, the network file's, as all files of a network are.
    """
    redis: dict[str, KeyValue] = {
        name: Memory(clock) if url == "memory" else Redis(name, url)
        for name, url in settings.redis.items()
    }
    if not settings.sql:
        return redis, {}
    from trunkline.store.sql import Sql  # SQLAlchemy is heavy

    return redis, {name: Sql(name, database_url(url, folder)) for name, url in settings.sql.items()}


def database_url(url: str, folder: Path) -> str:
    """A database's URL, of which a SQLite file is found from ``folder``."""
    return _SQLITE.sub(lambda found: f"{found[0]}{folder.resolve()}/", url)


def _services(
    plan: ProxyPlan, workers: Workers | None, loop: asyncio.AbstractEventLoop
) -> Services:
    index = 0 if workers is None else workers.index
    settings = plan.settings
    redis, sql = _stores(settings, plan.folder, loop.time)
    location: Location | None = MemoryLocation() if workers is None else None
    shared = redis.get(settings.location.removeprefix("redis:"))
    if settings.location.startswith("redis:") and isinstance(shared, Redis):
        from trunkline.store.location.redis import RedisLocation

        location = RedisLocation(shared)
    users: UserSource = plan.users
    if settings.users.startswith("sql:"):
        from trunkline.store.users import SqlUsers

        users = SqlUsers(sql[settings.users.removeprefix("sql:")])
    if settings.location.startswith("sql:"):
        from trunkline.store.location.sql import SqlLocation

        location = SqlLocation(sql[settings.location.removeprefix("sql:")])
    domains = frozenset(domain.lower() for domain in plan.settings.domains)
    return Services(
        Users(
            users,
            realm=plan.realm,
            secret=plan.secret,
            clock=time.time,
            random=os.urandom,
            maker=index,
            algorithms=digest_algorithms(settings),
            hosts=domains.union(item.advertised[0].lower() for item in settings.listen),
        ),
        Registrations(
            registrar.Settings(domains) if domains else None,
            location,
            # Connections do not outlive the process, nor must what is stored of them.
            node=f"{plan.run}.{index}",
            run=f"{plan.run}.",
            clock=time.time,
            random=os.urandom,
        ),
        redis,
        sql,
    )


async def _probe(resolver: Resolver, log: RouterLog) -> None:
    """See at the start whether the name servers answer, and say which do not."""
    for check in await resolver.probe():
        if check.problem is not None:
            log("DNS", 3, "SILENT", check.problem.message)


async def _reload(plan: ProxyPlan, element: ProxyElement) -> None:
    """Load the script anew; what is wrong with it is told, and the present one stays."""
    try:
        await element.reload(lambda: load_script(plan.script_file))
    except TrunklineError as problem:
        element.log("SCRIPT", 3, "REFUSED", f"the present script stays: {problem}")
    else:
        element.log("SCRIPT", 5, "RELOADED", str(plan.script_file))
        if plan.settings.workers > 1:
            os.kill(os.getppid(), signal.SIGUSR1)


def _settle_memory() -> None:
    """See that the collector does not walk over what stays.

    Contexts and transactions are freed by their reference counts: they let go of each other when
    they end. The collector only has to find what a script may leave in a circle, so it looks when
    there are two million more objects than at its last look, which transactions under load do not
    come to; the look takes 0.2 s then, less than T1.
    """
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy has a collector of another kind
        gc.freeze()
        gc.set_threshold(2_000_000, 50, 1000)
