"""``SessionSv1``: sessions, as switches speak of them.

What a method is asked to do is a member of its argument (``GetMaxUsage``, ``InitSession`` …), of
``ProcessEvent`` and ``GetCost`` a flag. Attributes come first, then routes, then money. Resources,
statistics and thresholds are not here yet: who asks for them gets the reference's word for a part
that is not connected, before anything has been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from trunkline.charging.attributes import Result
from trunkline.charging.event import Event, EventError, Scope
from trunkline.charging.routes import SortedRoutes
from trunkline.charging.sessions import Run, Session
from trunkline.elements.charging.active import external_session, fields_of, stamp
from trunkline.elements.charging.arguments import Instant
from trunkline.elements.charging.clients import Clients, Untold
from trunkline.elements.charging.engine import Engine, Step
from trunkline.elements.charging.flags import Flags
from trunkline.elements.charging.recorder import Treatment
from trunkline.elements.charging.refusals import refusing
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.replies import as_json
from trunkline.elements.charging.steps import FORCED, Steps
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.net.jsonrpc import Peer
from trunkline.rating.cost import price
from trunkline.rating.durations import SECOND
from trunkline.rating.errors import RatingError
from trunkline.rating.model import DEFAULT_TENANT

__all__ = ["EventFlags", "SessionArgs", "SessionFilter", "Sessions", "stamp"]

_UNLIMITED: Final = -1
_AT_ONCE: Final = 100  # sessions that are ended side by side
_SESSIONS: Final = "*sessions"
_RAW: Final = "*raw"
_ABSENT: Final = {
    "*resources": "ResourceS",
    "*thresholds": "ThresholdS",
    "*stats": "StatS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionArgs:
    """What the methods of sessions take: an event, and what is to be done with it."""

    get_attributes: bool = False
    get_max_usage: bool = False
    init_session: bool = False
    update_session: bool = False
    terminate_session: bool = False
    debit: bool = False
    get_routes: bool = False
    routes_max_cost: str = ""
    routes_ignore_errors: bool = False
    authorize_resources: bool = False
    allocate_resources: bool = False
    release_resources: bool = False
    process_thresholds: bool = False
    process_stats: bool = False
    attribute_ids: tuple[str, ...] = field(default=(), metadata={"name": "AttributeIDs"})
    flags: tuple[str, ...] = ()
    limit: int | None = None
    offset: int | None = None
    tenant: str = ""
    id: str = ""
    time: Instant | None = None
    event: Mapping[str, Json] = field(default_factory=dict)
    api_opts: Mapping[str, Json] = field(default_factory=dict)

    def to_event(self) -> Event:
        """The event alone."""
        return Event(
            tenant=self.tenant,
            id=self.id,
            time=None if self.time is None else self.time.time,
            fields=dict(self.event),
            opts=dict(self.api_opts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFlags:
    """What ``ProcessEvent`` and ``GetCost`` take: an event, and flags that say what to do."""

    flags: tuple[str, ...] = ()
    limit: int | None = None
    offset: int | None = None
    tenant: str = ""
    id: str = ""
    time: Instant | None = None
    event: Mapping[str, Json] = field(default_factory=dict)
    api_opts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions are meant."""

    tenant: str = ""
    filters: tuple[str, ...] = ()
    """Stored ones, or inline, as ``*string:~*req.Account:1001``."""
    limit: int | None = None


@dataclass(slots=True)
class _Prepared:
    """An event after its attributes, with its routes."""

    event: Event
    attributes: Result | None = None
    routes: SortedRoutes | None = None
    usage: Json = None

    def answer(self, *more: str) -> dict[str, Json]:
        """The members that every answer has, and ``more`` that are empty unless asked for."""
        found: dict[str, Json] = {
            "Attributes": None if self.attributes is None else as_json(self.attributes.as_reply()),
            "MaxUsage": self.usage,
        }
        return found | dict.fromkeys(more) | self._routes(more)

    def _routes(self, more: tuple[str, ...]) -> dict[str, Json]:
        if "Routes" not in more or self.routes is None:
            return {}
        return {"Routes": as_json(self.routes.as_reply())}

    def digest(self) -> dict[str, Json]:
        """The same as text and seconds, for switches that read no JSON."""
        usage = self.usage
        if isinstance(usage, int):
            usage = usage if usage == _UNLIMITED else usage / SECOND
        return {
            "AttributesDigest": None if self.attributes is None else self.attributes.digest,
            "ResourceAllocation": None,
            "MaxUsage": usage,
            "Thresholds": None,
            "StatQueues": None,
        }


class Sessions:
    """Sessions of the engine's; ``clients`` knows who is told of their end."""

    def __init__(
        self, engine: Engine, clients: Clients | None = None, steps: Steps | None = None
    ) -> None:
        self._engine = engine
        self._steps = Steps(engine) if steps is None else steps
        self.clients: Final = Clients() if clients is None else clients

    # Calls

    @method("SessionSv1.AuthorizeEvent")
    async def authorize(self, args: SessionArgs) -> Json:
        """How much of the event's usage the account could pay, and by which routes it may go."""
        done = await self._authorized(args)
        return done.answer("ResourceAllocation", "Routes", "ThresholdIDs", "StatQueueIDs")

    @method("SessionSv1.AuthorizeEventWithDigest")
    async def authorize_with_digest(self, args: SessionArgs) -> Json:
        """The same, with seconds and ``Field:value,…``."""
        done = await self._authorized(args)
        routes = None if done.routes is None else done.routes.digest
        return done.digest() | {"RoutesDigest": routes}

    @method("SessionSv1.InitiateSession")
    async def initiate(self, args: SessionArgs, peer: Peer) -> Json:
        """Open a session and reserve its first usage."""
        done = await self._initiated(args, peer)
        return done.answer("ResourceAllocation", "ThresholdIDs", "StatQueueIDs")

    @method("SessionSv1.InitiateSessionWithDigest")
    async def initiate_with_digest(self, args: SessionArgs, peer: Peer) -> Json:
        """The same, with seconds and ``Field:value,…``."""
        return (await self._initiated(args, peer)).digest()

    @method("SessionSv1.UpdateSession")
    async def update(self, args: SessionArgs, peer: Peer) -> Json:
        """Reserve more; ``LastUsed`` of the event is what was used of the last grant."""
        done = self._prepared(args, args.update_session)
        if args.update_session:
            event = done.event
            step = self._steps.update(event, _usage(event), _usage(event, "LastUsed"))
            done.usage = _granted(await refusing(step))
            self.clients.hold(self._engine.session_of(event)[0], peer, args.event)
        return done.answer()

    @method("SessionSv1.TerminateSession")
    async def terminate(self, args: SessionArgs) -> Json:
        """End a session; what was reserved and not used is given back."""
        done = self._prepared(args, args.terminate_session)
        if args.terminate_session:
            await self._terminated(done.event)
        return "OK"

    @method("SessionSv1.ProcessMessage")
    async def message(self, args: SessionArgs) -> Json:
        """Charge at once what happens at once: a message."""
        done = self._prepared(args, args.debit)
        if args.debit:
            step = await refusing(self._steps.message(done.event, _usage(done.event)))
            done.usage = _granted(step)
        return done.answer("ResourceAllocation", "Routes", "ThresholdIDs", "StatQueueIDs")

    @method("SessionSv1.ProcessEvent")
    async def event(self, args: EventFlags, peer: Peer) -> Json:
        """Do with an event what its flags say.

        ``*attributes``, ``*routes`` (with ``*ignore_errors``, ``*event_cost``, ``*maxcost``),
        ``*rals`` (with one of ``*authorize``, ``*initiate``, ``*update``, ``*terminate``, and
        ``*cost``) and ``*cdrs``. Answers are by run, with ``*derived_reply``, else under ``*raw``.
        """
        flags = Flags(args.flags)
        done = self._flagged(args, flags)
        event = done.event
        answer: dict[str, Json] = dict.fromkeys(
            (
                *("MaxUsage", "Cost", "ResourceAllocation", "Attributes", "Routes"),
                *("ThresholdIDs", "StatQueueIDs", "STIRIdentity"),
            )
        )
        if done.attributes is not None:
            answer["Attributes"] = {_RAW: as_json(done.attributes.as_reply())}
        if done.routes is not None:
            answer["Routes"] = {_RAW: as_json(done.routes.as_reply())}
        derived = flags.has("*rals", "*derived_reply")
        if flags.has("*rals", "*cost"):
            answer["Cost"] = self._costs(event, derived=derived)
        usage, used = _usage(event), _usage(event, "LastUsed")
        step: Step | None = None
        if flags.has("*rals", "*authorize", "*auth"):
            step = await refusing(self._steps.authorize(event, usage))
        elif flags.has("*rals", "*initiate", "*init"):
            step = await refusing(self._steps.initiate(event, usage))
        elif flags.has("*rals", "*update"):
            step = await refusing(self._steps.update(event, usage, used))
        elif flags.has("*rals", "*terminate"):
            await self._terminated(event)
        if step is not None:
            answer["MaxUsage"] = _by_run(step) if derived else {_RAW: _granted(step)}
            if step.session is not None:
                self.clients.hold(step.session.id, peer, args.event)
        if "*cdrs" in flags:
            await refusing(self._steps.record(event, Treatment()))
        return answer

    @method("SessionSv1.GetCost")
    def cost(self, args: EventFlags) -> Json:
        """What an event costs, whoever pays; with ``*attributes`` they change it first."""
        done = self._flagged(args, Flags(args.flags))
        tariffs = self._engine.tariffs
        try:
            run = self._engine.run_of(done.event)
            usage = _usage(done.event) or 0
            found = tariffs.costs.priced(
                tariffs.tariff, replace(run.call, usage=usage), tariffs.precision
            )
        except (RatingError, EventError) as problem:
            raise ApiError(f"RALS_ERROR:{problem.reference or problem.message}") from None
        attributes = None if done.attributes is None else as_json(done.attributes.as_reply())
        return {"Attributes": attributes, "EventCost": found}

    # Sessions as such

    @method("SessionSv1.GetActiveSessions")
    async def active(self, args: SessionFilter) -> Json:
        """The sessions that are open, once for each of their runs."""
        found = [
            external_session(session, run) for session, run in await self._found(args, args.limit)
        ]
        if not found:
            raise ApiError("NOT_FOUND")
        return found

    @method("SessionSv1.GetActiveSessionsCount")
    async def active_count(self, args: SessionFilter) -> Json:
        """How many runs ``GetActiveSessions`` would show."""
        return len(await self._found(args, args.limit))

    @method("SessionSv1.GetPassiveSessions")
    def passive(self, args: SessionFilter) -> Json:
        """Sessions kept for another node: there are none, all nodes share one ledger."""
        raise ApiError("NOT_FOUND")

    @method("SessionSv1.GetPassiveSessionsCount")
    def passive_count(self, args: SessionFilter) -> Json:
        """How many ``GetPassiveSessions`` would show."""
        return 0

    @method("SessionSv1.ForceDisconnect")
    async def force_disconnect(self, args: SessionFilter) -> Json:
        """End open sessions with what they were granted, and tell their clients.

        ``Filters`` look at any of a session's runs; without one, all are ended.
        """
        sessions = {session.id: session for session, _ in await self._found(args)}
        found = list(sessions.values())[: args.limit]
        if not found:
            raise ApiError("NOT_FOUND")
        told: list[str] = []
        for first in range(0, len(found), _AT_ONCE):
            some = found[first : first + _AT_ONCE]
            told += [why for why in await asyncio.gather(*map(self._forced, some)) if why]
        if told:
            raise ApiError(f"SERVER_ERROR: the sessions have ended, but {'; '.join(told)}")
        return "OK"

    async def _forced(self, session: Session) -> str:
        """End a session and tell its client, or have the process do so to which it spoke last."""
        step = await self._steps.end(session)
        if not step.reason or not (session.id in self.clients or self._steps.concerns(session)):
            return ""
        done, why = False, ""
        try:
            done = await self.clients.disconnect(session, FORCED)
        except Untold as problem:
            done, why = not problem.again, problem.message
        await self._steps.told(session, done=done)
        return why

    @method("SessionSv1.SyncSessions")
    async def sync(self, args: SessionFilter) -> Json:
        """Ask the switches which sessions they still have, and end those that they have not."""
        open_now = {each.id: each for each in await self._steps.sessions() if not each.ended}
        for held, known in await self.clients.asked():
            for identifier in held:
                session = open_now.get(identifier)
                if session is None:
                    continue
                if identifier in known:
                    await self._steps.hear(session)
                else:
                    await self._steps.end(session, tell=False)
                    self.clients.release(identifier)
        return "OK"

    # What they have in common

    async def _authorized(self, args: SessionArgs) -> _Prepared:
        done = self._prepared(args, args.get_max_usage)
        if args.get_max_usage:
            step = await refusing(self._steps.authorize(done.event, _usage(done.event)))
            done.usage = _granted(step)
        return done

    async def _initiated(self, args: SessionArgs, peer: Peer) -> _Prepared:
        done = self._prepared(args, args.init_session)
        if args.init_session:
            step = await refusing(self._steps.initiate(done.event, _usage(done.event)))
            done.usage = _granted(step)
            self.clients.hold(self._engine.session_of(done.event)[0], peer, args.event)
        return done

    async def _terminated(self, event: Event) -> None:
        await refusing(self._steps.terminate(event, _usage(event), _usage(event, "LastUsed")))
        self.clients.release(self._engine.session_of(event)[0])

    def _prepared(self, args: SessionArgs, asked: bool) -> _Prepared:
        """The event, with the attributes and routes that were asked for.

        Raises:
            ApiError: nothing was asked for, or what is not here.
        """
        resources = args.authorize_resources or args.allocate_resources or args.release_resources
        if not (args.event or args.tenant or args.id):
            raise ApiError("MANDATORY_IE_MISSING: [CGREvent]")
        if not (asked or args.get_attributes or args.get_routes or resources):
            raise ApiError("MANDATORY_IE_MISSING: [subsystems]")
        absent = {
            "*resources": resources,
            "*thresholds": args.process_thresholds,
            "*stats": args.process_stats,
        }
        _refuse_absent(absent.get)
        done = _Prepared(args.to_event())
        if args.get_attributes:
            self._attributes(done, args.attribute_ids)
        if args.get_routes:
            self._routes(done, args, args.routes_max_cost, ignore_errors=args.routes_ignore_errors)
        return done

    def _flagged(self, args: EventFlags, flags: Flags) -> _Prepared:
        if not (args.event or args.tenant or args.id):
            raise ApiError("MANDATORY_IE_MISSING: [CGREvent]")
        _refuse_absent(flags.__contains__)
        done = _Prepared(
            Event(
                tenant=args.tenant,
                id=args.id,
                time=None if args.time is None else args.time.time,
                fields=dict(args.event),
                opts=dict(args.api_opts),
            )
        )
        if "*attributes" in flags:
            self._attributes(done, flags.values("*attributes", "*ids"))
        if "*routes" in flags:
            most = next(iter(flags.values("*routes", "*maxcost")), "")
            if flags.has("*routes", "*event_cost"):
                most = "*event_cost"
            ignore = flags.has("*routes", "*ignore_errors")
            self._routes(done, args, most, ignore_errors=ignore)
        return done

    def _attributes(self, done: _Prepared, profile_ids: tuple[str, ...]) -> None:
        context = done.event.opts.get("*context")
        name = context if isinstance(context, str) and context else _SESSIONS
        try:
            done.attributes = self._engine.attributes(done.event, name, profile_ids)
        except EventError as problem:
            raise ApiError(f"ATTRIBUTES_ERROR:{problem.answer}") from None
        if done.attributes is not None:
            done.event = done.attributes.event

    def _routes(
        self,
        done: _Prepared,
        args: SessionArgs | EventFlags,
        max_cost: str,
        *,
        ignore_errors: bool,
    ) -> None:
        engine = self._engine
        try:
            done.routes = engine.profiles.routes.sort(
                done.event,
                engine.clock(),
                limit=args.limit,
                offset=args.offset or 0,
                ignore_errors=ignore_errors,
                max_cost=max_cost,
                sources=engine.sources,
            )
        except (EventError, RatingError) as problem:
            word = problem.reference or problem.message
            raise ApiError(f"ROUTES_ERROR:{word}") from None

    def _costs(self, event: Event, *, derived: bool) -> Json:
        """The prices of an event's runs, whoever pays."""
        tariffs = self._engine.tariffs
        try:
            runs = self._engine.runs_of(event) if derived else [self._engine.run_of(event)]
            usage = _usage(event) or 0
            return {
                run.id if derived else _RAW: price(
                    tariffs.tariff,
                    replace(run.call, usage=usage),
                    tariffs.precision,
                    reasons=False,
                ).total
                for run in runs
            }
        except (RatingError, EventError) as problem:
            raise ApiError(f"RALS_ERROR:{problem.reference or problem.message}") from None

    async def _found(
        self, args: SessionFilter, most: int | None = None
    ) -> list[tuple[Session, Run]]:
        """The open sessions that are meant, with their runs that are; ``most`` of these."""
        try:
            filters = self._engine.profiles.filters
            wanted = [each for each in args.filters if each]  # clients send one that is empty
            condition = filters.condition(args.tenant or DEFAULT_TENANT, wanted)
        except TrunklineError as problem:
            raise ApiError(f"SERVER_ERROR: {problem.message}") from None
        found: list[tuple[Session, Run]] = []
        async for page in self._steps.pages():
            found += [
                (session, run)
                for session in page
                if not session.ended and args.tenant in ("", session.tenant)
                for run in session.runs
                if not wanted or condition.holds(self._scope(session, run))
            ]
            if most is not None and len(found) >= most:
                return found[: max(most, 0)]
        return found

    def _scope(self, session: Session, run: Run) -> Scope:
        event = Event(
            tenant=session.tenant, id=session.id, time=None, fields=fields_of(session, run)
        )
        return Scope(event, self._engine.clock(), self._engine.sources)


def _usage(event: Event, name: str = "Usage") -> int | None:
    try:
        return event.usage(name)
    except EventError as problem:
        raise ApiError(f"RALS_ERROR:{problem.message}") from None


def _granted(step: Step) -> Json:
    return _UNLIMITED if step.usage is None else step.usage


def _by_run(step: Step) -> Json:
    if not step.granted:  # a request that was repeated
        return {_RAW: _granted(step)}
    if step.usage is None:
        return {each.run.id: _UNLIMITED for each in step.granted}
    return {each.run.id: each.usage for each in step.granted}


def _refuse_absent(asked: Callable[[str], object]) -> None:
    """Refuse what is asked of a part that is not here."""
    for part, name in _ABSENT.items():
        if asked(part):
            raise ApiError(f"NOT_CONNECTED: {name}")
