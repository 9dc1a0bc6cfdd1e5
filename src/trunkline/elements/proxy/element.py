"""The proxy element: the proxy core, the script, and the loop that brings them what happens.

It has no sockets itself: `Transports` are given to it (`trunkline.elements.proxy.transports` has
the real ones, the harness its own), and `Locator` finds next hops. All that a wake-up brought is
handled before anything is sent. An exception in a script costs the request that it was called
for: it is answered 500, counted and logged. One in our own code costs the message.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from trunkline.elements.proxy.application import Application, Setting
from trunkline.elements.proxy.destinations import Destinations
from trunkline.elements.proxy.keeping import FlowKeeper
from trunkline.elements.proxy.own import OwnRequests
from trunkline.elements.proxy.probing import Prober
from trunkline.elements.proxy.request import IncomingRequest, Outcome
from trunkline.elements.proxy.script import FAILURES, Function, Job, Script, told
from trunkline.elements.proxy.services import Services
from trunkline.elements.proxy.workers import Workers
from trunkline.errors import DecodeError, TrunklineError
from trunkline.observe.recorder import Recorder
from trunkline.sip.locate import Failure
from trunkline.sip.message import Request, Response, parse
from trunkline.sip.nat import KeepAlive
from trunkline.sip.proxy import (
    Hops,
    Identity,
    Passing,
    Proxy,
    ProxySettings,
    Received,
    ResponseContext,
    RouteSeal,
    StatelessProxy,
)
from trunkline.sip.timers import Timers
from trunkline.sip.transaction import (
    Misdelivered,
    TransactionLayer,
)
from trunkline.sip.transport import Flow

__all__ = ["Locator", "Log", "ProxyElement", "Statistics", "Transports"]

Log = Callable[[str, int, str, str], None]
"""Takes facility, severity, mnemonic and text of a line."""

_HOUSEKEEPING = 1.0
"""Seconds between two looks for registrations that have expired."""
_TICK = 0.01
"""Seconds by which timers may be late: what comes up within it is handled together."""


_SLOW_START = 2.0
"""Seconds after which a start handler that waits is told of."""
_LONGEST_START = 60.0
"""Seconds that all start handlers of a script may take."""


class Transports(Protocol):
    """By what messages leave."""

    def send(self, flow: Flow, data: bytes) -> None:
        """Send ``data``, now or as soon as it can be; failures come by ``ProxyElement.failed``."""


class Locator(Protocol):
    """Finds next hops (RFC 3263)."""

    def now(self, uri: str, time: float, key: bytes | None) -> Hops | None:
        """Return the hops towards a URI if they are known without asking.

        The same ``key`` gives the same hops, in a stateless proxy (RFC 3263 section 4.4).
        """

    async def find(self, uri: str, time: float, key: bytes | None) -> Hops:
        """Return the hops towards a URI; none where there is no way."""

    def failed(self, flow: Flow, failure: Failure, retry_after: float | None) -> None:
        """What was sent by ``flow`` failed; ``retry_after`` is that of a 503, in seconds."""

    def answered(self, flow: Flow) -> None:
        """A response came to what was sent by ``flow``."""

    def in_turn(self, hops: Hops, flow: Flow, now: float) -> bool:
        """Whether ``flow``, the first of ``hops``, is as good as any: it did not fail lately."""


@dataclass(slots=True)
class Statistics:
    """What has happened since the element began."""

    scripted: int = 0
    """Requests that a script's handler was called for."""
    script_errors: int = 0
    """Exceptions in a script."""
    undecided: int = 0
    """Requests that a handler left without a decision; answered 500."""
    faults: int = 0
    """Exceptions in code of ours."""
    busy: int = 0
    """Requests answered 503 because too many others wait for handlers or DNS."""
    unheard: int = 0
    """Responses dropped because too many of the same branch waited for a reply handler."""
    reloads: int = 0
    refusals: int = 0
    """Scripts that were to take over, and could not."""
    unawaited: dict[str, int] = field(default_factory=dict)
    """What a script called without ``await``, so that nothing came of it."""
    errors: dict[str, int] = field(default_factory=dict)
    """Errors of scripts, by handler."""


@dataclass(slots=True, eq=False)
class _JobRun:
    """A job of the script that runs now, and its task."""

    job: Job
    due: float
    busy: bool = False
    ended: bool = False
    task: asyncio.Task[None] | None = None


class ProxyElement:
    """See the module.

    ``most_tasks`` requests at most wait for an ``async`` handler or for DNS at a time; further ones
    are answered 503. ``token`` gives texts nobody can guess, for branches, tags and Call-IDs.

    ``stateless`` is the secret of a stateless proxy, the same in all its processes; without it
    requests have transactions.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        identity: Identity,
        script: Script,
        transports: Transports,
        locator: Locator,
        *,
        name: str,
        log: Log,
        token: Callable[[], str],
        settings: ProxySettings = ProxySettings(),  # noqa: B008 - immutable
        timers: Timers = Timers(),  # noqa: B008 - immutable
        script_settings: Mapping[str, Setting] | None = None,
        workers: Workers | None = None,
        stateless: bytes | None = None,
        recorder: Recorder | None = None,
        services: Services,
        most_tasks: int = 10_000,
        destinations: Destinations | None = None,
        keep_alive: KeepAlive | None = None,
    ) -> None:
        self.loop = loop
        self.identity = identity
        self.script = script
        self.transports = transports
        self.locator = locator
        self.log = log
        self.stats = Statistics()
        self.now = loop.time
        self.workers = workers
        self.recorder = recorder or Recorder()
        self.services = services
        self.destinations = destinations or Destinations({}, lambda most: 0)
        layer = TransactionLayer(token, timers=timers, owners=workers, tap=self.recorder)
        seal = RouteSeal(services.users.secret)
        self.proxy: Proxy
        if stateless is not None:
            self.proxy = StatelessProxy(
                layer, identity, secret=stateless, tag=token, settings=settings, seal=seal
            )
            script.require_stateless()
        else:
            self.proxy = Proxy(
                layer,
                identity,
                tag=token,
                settings=settings,
                note=self._note,
                failed=self.hop_failed,
                answered=locator.answered,
                route_extra="" if workers is None else workers.route_parameter,
                seal=seal,
            )
        self.app = Application(self, name, script_settings or {})
        self.own = OwnRequests(self)
        self._keeper = FlowKeeper(self, keep_alive)
        self._nearest = timers.t1
        self._timer: asyncio.TimerHandle | None = None
        self._armed = float("inf")
        self.most_tasks = most_tasks
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: list[_JobRun] = []
        self._reloading = asyncio.Lock()
        self._asked = 0
        self._housekeeping: list[asyncio.Task[None]] = []
        self._trouble = ""
        self._batching = False
        self._quiet_until = float("-inf")
        self._closed = False

    # life

    async def start(self) -> None:
        """Call the script's start handlers and begin its jobs."""
        await self._expire()
        await self._run_starts(self.script)
        self._begin_jobs(self.script)
        works = (self._keep_house(), self._keeper.visit(), self._keeper.remove_lost())
        self._housekeeping = [self.loop.create_task(work) for work in works]
        if self._is_first:
            prober = Prober(self)
            if prober.wanted:
                self._housekeeping.append(self.loop.create_task(prober.run()))

    async def reload(self, load: Callable[[], Script]) -> Script:
        """Let what ``load`` returns take over: new requests are its.

        Those under way stay with the old one. Dialplans are loaded anew with it. One takes over
        after the other, in the order in which they were asked for; of those that wait the last.

        Raises:
            TrunklineError: what ``load`` raises; ``script.error``: a start handler raised, or took
                too long; or what is wrong with a dialplan: the old script and rows stay.
                ``script.stateless``: it has handlers that only a stateful proxy calls.
                ``script.superseded``: another was asked for while it waited.
        """
        self._asked += 1
        number = self._asked
        try:
            script = load()
            async with self._reloading:
                if number != self._asked:
                    raise TrunklineError(
                        "script.superseded",
                        "another version was to take over before this one began",
                    )
                await self._take_over(script)
        except TrunklineError:
            self.stats.refusals += 1
            raise
        return script

    async def _take_over(self, script: Script) -> None:
        if isinstance(self.proxy, StatelessProxy):
            script.require_stateless()
        rows = await self.services.load_dialplans()
        await self._run_starts(script)
        self.services.use_dialplans(rows)
        self.script = script
        self.stats.reloads += 1
        self._begin_jobs(script)

    async def close(self) -> None:
        """End timers and tasks."""
        self._closed = True
        for run in self._jobs:
            if run.task is not None:
                run.task.cancel()
        for work in self._housekeeping:
            work.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.services.close()

    async def _keep_house(self) -> None:
        """Forget registrations that have expired."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            while await self._expire():
                await asyncio.sleep(0)

    async def _expire(self) -> bool:
        """Forget some of what has expired; whether there may be more."""
        try:
            more = await self.services.registrations.expire()
        except TrunklineError as problem:  # a store that is away comes back
            if problem.message != self._trouble:
                self.log("SIP", 4, "STORE", problem.message)
            self._trouble = problem.message
            return False
        self._trouble = ""
        return more

    async def _run_starts(self, script: Script) -> None:
        try:
            async with asyncio.timeout(_LONGEST_START):
                for function in script.starts:
                    await self._run_start(function, script)
        except TimeoutError:
            raise TrunklineError(
                "script.error",
                f"{script.path}: its start handlers take more than {_LONGEST_START:g} s: what takes"
                " longer belongs into a task that one of them begins",
            ) from None
        self.flush()

    async def _run_start(self, function: Function, script: Script) -> None:
        text = f"waiting for the start handler {function.__name__}()"
        slow = self.loop.call_later(_SLOW_START, self.log, "SCRIPT", 4, "WAITING", text)
        try:
            result = function(self.app)
            if inspect.isawaitable(result):
                await result
        except FAILURES as problem:
            if _is_cancelled(problem):
                raise
            raise TrunklineError(
                "script.error", told(problem, script.path, script.source)
            ) from problem
        finally:
            slow.cancel()

    @property
    def _is_first(self) -> bool:
        """Whether this process does for all workers what is the node's to do."""
        return self.workers is None or not self.workers.index

    def _begin_jobs(self, script: Script) -> None:
        """Let the jobs of ``script`` follow those there are.

        A run that is under way ends before the job of the same name begins its next one, which is
        due when it would have been.
        """
        if not self._is_first:
            return
        before = {run.job.name: run for run in self._jobs if not run.ended}
        still = [run for run in self._jobs if run.busy]
        for run in before.values():
            run.ended = True
            if not run.busy and run.task is not None:
                run.task.cancel()
        begun = []
        for job in script.jobs:
            due = self.now() + job.seconds
            last = before.get(job.name)
            if last is not None:
                due = min(due, last.due + job.seconds if last.busy else last.due)
            run = _JobRun(job, due)
            wait_for = last.task if last is not None and last.busy else None
            run.task = self.loop.create_task(self._work(run, script, wait_for))
            begun.append(run)
        self._jobs = still + begun

    async def _work(
        self, run: _JobRun, script: Script, wait_for: asyncio.Task[None] | None
    ) -> None:
        job = run.job
        if wait_for is not None:
            await asyncio.wait([wait_for])
        while not run.ended:
            await asyncio.sleep(max(0.0, run.due - self.now()))
            run.busy = True
            try:
                result = job.function(self.app)
                if inspect.isawaitable(result):
                    await result
            except FAILURES as problem:
                if _is_cancelled(problem):
                    raise
                self._script_failed(problem, job.function, script)
            run.busy = False
            self.flush()
            run.due = max(run.due + job.seconds, self.now())

    # from the transports

    def receive(self, batch: Iterable[tuple[bytes, Flow]]) -> None:
        """Take what a wake-up brought."""
        workers = self.workers
        if workers is not None:
            mine = []
            for item in batch:
                owner = workers.owner(item[0])
                if owner == workers.index:
                    mine.append(item)
                else:
                    workers.hand_over(owner, item[1], item[0])
            batch = mine
        self.take_over(batch)

    def take_over(self, batch: Iterable[tuple[bytes, Flow]]) -> None:
        """Take messages that are for this process, whoever they were delivered to."""
        now = self.now()
        proxy = self.proxy
        self._batching = True
        for data, flow in batch:
            try:
                received = proxy.receive(data, flow, now)
                if received is None:
                    continue
                if type(received) is Misdelivered and self.workers is not None:
                    self.workers.hand_over(received.owner, flow, data)
                else:
                    self._decide(received)
            except Exception as problem:
                self._fault(problem)
        self._batching = False
        self.flush()

    def failed(self, flow: Flow, reason: str, messages: Iterable[bytes]) -> None:
        """Sending by ``flow`` failed; ``messages``, or what is known of them, did not arrive."""
        for received in self.proxy.transport_failed(flow, messages, reason, self.now()):
            self._decide(received)
        self.flush()

    def lost(self, flow: Flow, reason: str, served: tuple[Flow, ...] = ()) -> None:
        """A connection is no more: requests that wait for its responses fail, its registrations go.

        ``served`` are the flows without a number that went by it and have no other connection now.
        """
        for received in self.proxy.connection_lost((flow, *served), reason, self.now()):
            self._decide(received)
        self.flush()
        self._keeper.lost(flow)

    def hop_failed(self, flow: Flow, failure: Failure, retry_after: float | None) -> None:
        """What was sent by ``flow`` failed; ``retry_after`` is that of a 503, in seconds."""
        known = self.services.registrations.flows.get(flow)
        if known is None:
            self.locator.failed(flow, failure, retry_after)
        # "receiving a destination unreachable ICMP error on a UDP flow", RFC 5626 section 7
        elif failure is Failure.ERROR and known.binding.reg_id and not flow.transport.reliable:
            self._keeper.lost(flow)

    def refused(self, flow: Flow, error: DecodeError, head: bytes) -> None:
        """A stream broke at a message: a request is answered 400 before the stream is closed."""
        self.proxy.discard(error.code)
        try:
            message = parse(head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        except DecodeError:
            return
        if isinstance(message, Request) and message.method != "ACK" and "via" in message.headers:
            answer = Response.answer(message, 400, to_tag=self.proxy.tag())
            self.transports.send(flow, answer.to_bytes())

    def flush(self) -> None:
        """Send what has to leave, and see to the timer; a batch does so once, at its end."""
        if self._batching:
            return
        send = self.transports.send
        for flow, data in self.proxy.data_to_send():
            send(flow, data)
        # A timer started just now runs T1 at least: one that is armed for before then is enough.
        if self._armed > self.now() + self._nearest:
            self._arm()

    def _note(self, context: ResponseContext, kind: str, details: tuple[object, ...]) -> None:
        self.recorder.note(self.now(), context.call_id, kind, details)

    # time

    def _arm(self) -> None:
        deadline = self.proxy.next_timeout()
        if deadline is None or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = max(deadline, self.now() + _TICK)
        self._timer = self.loop.call_at(self._armed, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        # The loop's clock may be a little behind: the deadline it was armed for is due.
        now = max(self.now(), self._armed)
        self._armed = float("inf")
        try:
            for received in self.proxy.on_timeout(now):
                self._decide(received)
        except Exception as problem:
            self._fault(problem)
        self.flush()

    # decisions

    def _decide(self, received: Received) -> None:
        kind = type(received)
        if kind is ResponseContext or kind is Passing:
            assert isinstance(received, ResponseContext | Passing)
            request = IncomingRequest(self, self.script, received)
        else:
            self.own.answered(received)
            return
        handler = request.handler()
        if handler is None:
            try:
                self._default(request)
            except Exception as problem:  # whoever sent it is not to wait for an answer
                self._fault(problem)
                if not request.decided and request.method != "ACK":
                    request.reply(500)
            return
        if len(self._tasks) >= self.most_tasks:
            self.stats.busy += 1
            if request.method != "ACK":
                request.reply(503, headers=[("Retry-After", "5")])
            return
        self.stats.scripted += 1
        request.note("script", handler.__name__)
        try:
            result = handler(request)
        except FAILURES as problem:
            self.request_failed(request, problem, handler)
            return
        # `return request.relay()` says that there is nothing more to do, not that it waits.
        if result is not None and type(result) is not Outcome and inspect.isawaitable(result):
            self.spawn(self._finish(request, result, handler))
        elif not request.settled:
            self._undecided(request, handler)

    async def _finish(
        self, request: IncomingRequest, result: Awaitable[object], handler: Function
    ) -> None:
        try:
            await result
        except FAILURES as problem:
            if self._closed:
                raise
            self.request_failed(request, problem, handler)
        else:
            if not request.settled:
                self._undecided(request, handler)
        self.flush()

    def _default(self, request: IncomingRequest) -> None:
        """What becomes of a request that the script has no handler for."""
        if request.in_dialog:
            request.relay()
        elif request.method == "OPTIONS" and request.for_us:
            request.reply(200, headers=[("Allow", ", ".join(self.script.methods))])
        elif request.method == "ACK":
            request.drop()
        elif request.method == "CANCEL":  # seen by a stateless proxy alone
            request.reply(481)
        else:
            request.reply(405, headers=[("Allow", ", ".join(self.script.methods))])

    def _undecided(self, request: IncomingRequest, handler: Function) -> None:
        self.stats.undecided += 1
        request.note("undecided", handler.__name__)
        self.log(
            "SCRIPT",
            3,
            "UNDECIDED",
            f"{handler.__name__} left {request.method} {request.call_id} without a decision:"
            " relay, reply or drop it",
        )
        if request.method != "ACK":
            request.reply(500)

    def request_failed(
        self, request: IncomingRequest, problem: BaseException, handler: Function
    ) -> None:
        """An exception in a script cost this request: answer it, count and log the exception."""
        if isinstance(problem, DecodeError) and not request.decided and _is_in(request, problem):
            request.refuse(problem)
            if self.now() >= self._quiet_until:
                self._quiet_until = self.now() + 1.0
                self.log("SCRIPT", 5, "REFUSED", f"400, by {handler.__name__}: {problem.message}")
            return
        self._script_failed(problem, handler, request.script, request)
        if not request.decided and request.method != "ACK":
            request.reply(500)

    def _script_failed(
        self,
        problem: BaseException,
        handler: Function,
        script: Script,
        request: IncomingRequest | None = None,
    ) -> None:
        self.stats.script_errors += 1
        name = handler.__name__
        self.stats.errors[name] = self.stats.errors.get(name, 0) + 1
        text = told(problem, script.path, script.source)
        self.log("SCRIPT", 3, "ERROR", f"{name}: {text}")
        if request is not None:
            request.note("script error", name, text)

    def _fault(self, problem: Exception) -> None:
        self.stats.faults += 1
        self.log("SYS", 2, "FAULT", f"{type(problem).__name__}: {problem}")
        self.loop.call_exception_handler(
            {"message": f"{self.app.name}: a fault was contained", "exception": problem}
        )

    # for requests

    def call_sync(
        self, handler: Function, request: IncomingRequest, message: Request | Response
    ) -> tuple[bool, object]:
        """Call a script's handler; an exception in it is counted and goes no further.

        Return whether it raised none, and what it returned.
        """
        request.note("script", handler.__name__)
        try:
            return True, handler(request, message)
        except FAILURES as problem:
            self.handler_failed(problem, handler, request)
            return False, None

    def handler_failed(
        self, problem: BaseException, handler: Function, request: IncomingRequest
    ) -> None:
        """Count and log an exception that costs less than the request."""
        self._script_failed(problem, handler, request.script, request)

    def unawaited(self, name: str) -> None:
        """A script called what has to be awaited, and did not."""
        count = self.stats.unawaited.get(name, 0) + 1
        self.stats.unawaited[name] = count
        if count.bit_count() == 1:  # it may be in the way of every request
            text = f"{name} was called without await: nothing came of it ({count} so far)"
            self.log("SCRIPT", 3, "UNAWAITED", text)

    async def guarded(
        self, result: Awaitable[object], handler: Function, request: IncomingRequest
    ) -> None:
        """Await what a handler returned, like ``call_sync``."""
        try:
            await result
        except FAILURES as problem:
            if self._closed:
                raise
            self._script_failed(problem, handler, request.script, request)

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run ``work`` as a task of this element."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if not self._closed:
                self._fault(RuntimeError("somebody cancelled a task of ours"))
        elif (problem := task.exception()) is not None:
            if isinstance(problem, Exception):
                self._fault(problem)
            else:
                raise problem

    def hops_now(self, uri: str, key: bytes | None = None) -> Hops | None:
        """Return the next hops towards ``uri`` if nobody has to be asked."""
        return self.locator.now(uri, self.now(), key)

    async def hops_of(self, uri: str, key: bytes | None = None) -> Hops:
        """Return the next hops towards ``uri``."""
        return await self.locator.find(uri, self.now(), key)


def _is_cancelled(problem: BaseException) -> bool:
    """Whether our own task is cancelled: else it was something that the script awaited."""
    task = asyncio.current_task()
    return (
        isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling() > 0
    )


def _is_in(request: IncomingRequest, problem: DecodeError) -> bool:
    """Whether it is the request that cannot be read: asked for by its own attributes."""
    return any(
        frame.f_locals.get("self") in (request, request.message)
        for frame, _ in traceback.walk_tb(problem.__traceback__)
    )
