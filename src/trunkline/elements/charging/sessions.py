"""``SessionSv1``: sessions, as switches speak of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from trunkline.charging.event import Event, EventError, Scope
from trunkline.charging.filters import Filters
from trunkline.charging.sessions import Run, Session
from trunkline.elements.charging.arguments import Instant
from trunkline.elements.charging.clients import Clients
from trunkline.elements.charging.engine import Engine, Step
from trunkline.elements.charging.refusals import refusing
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.steps import FORCED, Steps
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.net.jsonrpc import Peer

__all__ = ["SessionArgs", "SessionFilter", "Sessions", "stamp"]

_UNLIMITED: Final = -1
_SESSIONS: Final = "*sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionArgs:
    """What the methods of sessions take: an event, and what is to be done with it."""

    get_attributes: bool = False
    get_max_usage: bool = False
    init_session: bool = False
    update_session: bool = False
    terminate_session: bool = False
    debit: bool = False
    flags: tuple[str, ...] = ()
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
class SessionFilter:
    """Which sessions are meant."""

    tenant: str = ""
    filters: tuple[str, ...] = ()
    """Inline, as ``*string:~*req.Account:1001``."""
    limit: int | None = None


class Sessions:
    """Sessions of the engine's; ``clients`` knows who is told of their end."""

    def __init__(
        self, engine: Engine, clients: Clients | None = None, steps: Steps | None = None
    ) -> None:
        self._engine = engine
        self._steps = Steps(engine) if steps is None else steps
        self.clients: Final = Clients() if clients is None else clients

    @method("SessionSv1.AuthorizeEvent")
    async def authorize(self, args: SessionArgs) -> Json:
        """How much of the event's usage the account could pay."""
        event, answer = self._prepared(args)
        if not (args.get_attributes or args.get_max_usage):
            raise _nothing_to_do("GetMaxUsage")
        if args.get_max_usage:
            step = await refusing(self._steps.authorize(event, event.usage()))
            answer["MaxUsage"] = _granted(step)
        return answer

    @method("SessionSv1.InitiateSession")
    async def initiate(self, args: SessionArgs, peer: Peer) -> Json:
        """Open a session and reserve its first usage."""
        event, answer = self._prepared(args)
        if not (args.get_attributes or args.init_session):
            raise _nothing_to_do("InitSession")
        if args.init_session:
            step = await refusing(self._steps.initiate(event, event.usage()))
            answer["MaxUsage"] = _granted(step)
            self.clients.hold(self._engine.session_of(event)[0], peer, args.event)
        return answer

    @method("SessionSv1.UpdateSession")
    async def update(self, args: SessionArgs, peer: Peer) -> Json:
        """Reserve more; ``LastUsed`` of the event is what was used of the last grant."""
        event, answer = self._prepared(args)
        if not (args.get_attributes or args.update_session):
            raise _nothing_to_do("UpdateSession")
        if args.update_session:
            used = event.usage("LastUsed")
            step = await refusing(self._steps.update(event, event.usage(), used))
            answer["MaxUsage"] = _granted(step)
            self.clients.hold(self._engine.session_of(event)[0], peer, args.event)
        return answer

    @method("SessionSv1.TerminateSession")
    async def terminate(self, args: SessionArgs) -> Json:
        """End a session; what was reserved and not used is given back."""
        if not args.terminate_session:
            raise _nothing_to_do("TerminateSession")
        event, _ = self._prepared(args)
        await refusing(self._steps.terminate(event, event.usage(), event.usage("LastUsed")))
        self.clients.release(self._engine.session_of(event)[0])
        return "OK"

    @method("SessionSv1.ProcessMessage")
    async def message(self, args: SessionArgs) -> Json:
        """Charge at once what happens at once: a message."""
        event, answer = self._prepared(args)
        if args.debit:
            step = await refusing(self._steps.message(event, event.usage()))
            answer["MaxUsage"] = _granted(step)
        return answer

    @method("SessionSv1.GetActiveSessions")
    async def active(self, _: SessionArgs) -> Json:
        """The sessions that are open."""
        found = [each for each in await self._steps.sessions() if not each.ended]
        if not found:
            raise ApiError("NOT_FOUND")
        return [
            {
                "CGRID": session.id,
                "RunID": run.id,
                "ToR": run.call.tor,
                "OriginID": session.origin_id,
                "OriginHost": session.origin_host,
                "RequestType": str(run.request_type),
                "Tenant": session.tenant,
                "Category": run.call.category,
                "Account": run.call.account,
                "Subject": run.call.subject,
                "Destination": run.call.destination,
                "AnswerTime": stamp(run.call.time.timestamp()),
                "Usage": run.granted,
                "MaxCostSoFar": float(run.cost),
            }
            for session in found
            for run in session.runs
        ]

    @method("SessionSv1.ForceDisconnect")
    async def force_disconnect(self, args: SessionFilter) -> Json:
        """End open sessions with what they were granted, and tell their clients.

        ``Filters`` look at the event of any of a session's runs; without one, all are ended.
        """
        try:
            condition = Filters().condition(args.tenant, args.filters)
        except TrunklineError as problem:
            raise ApiError(f"SERVER_ERROR: {problem.message}") from None
        found = [
            each
            for each in await self._steps.sessions()
            if not each.ended
            and args.tenant in ("", each.tenant)
            and any(condition.holds(self._scope(each, run)) for run in each.runs)
        ][: args.limit]
        if not found:
            raise ApiError("NOT_FOUND")
        told: list[str] = []
        for session in found:
            await self._steps.end(session)
            try:
                await self.clients.disconnect(session.id, FORCED)
            except TrunklineError as problem:
                told.append(problem.message)
        if told:
            raise ApiError(f"SERVER_ERROR: the sessions have ended, but {'; '.join(told)}")
        return "OK"

    def _scope(self, session: Session, run: Run) -> Scope:
        event = Event(tenant=session.tenant, id=session.id, time=None, fields=dict(run.event))
        return Scope(event, self._engine.clock(), self._engine.sources)

    def _prepared(self, args: SessionArgs) -> tuple[Event, dict[str, Json]]:
        """The event, changed by attributes if that was asked for, and the answer so far."""
        event = args.to_event()
        answer: dict[str, Json] = {"Attributes": None, "ResourceAllocation": None, "MaxUsage": None}
        if args.get_attributes:
            try:
                event = self._engine.altered(event, _SESSIONS)
            except EventError as problem:
                raise ApiError(f"ATTRIBUTES_ERROR:{problem.reference}") from None
        return event, answer


def stamp(seconds: float) -> str:
    """A time of the ledger as answers have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _granted(step: Step) -> Json:
    return _UNLIMITED if step.usage is None else step.usage


def _nothing_to_do(field: str) -> ApiError:
    return ApiError(f"MANDATORY_IE_MISSING: [{field}]")
