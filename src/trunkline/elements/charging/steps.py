"""The steps of sessions: what a switch asks for, and what the charging side does by itself.

Each is one change of the ledger (``engine``), computed by ``trunkline.charging.sessions`` from the
session that is stored: its runs are those of the event that opened it.

- *Repeated*: a request with the ID, the usage and the ``LastUsed`` of one of the last eight of its
  session is answered as it was then, and changes nothing. Without an ID only the opening and the
  end of a session may be repeated.
- *Late*: an update whose ``Time`` lies before that of an earlier one is refused, and so is one that
  was answered after its own ``Time``. An update or an opening after the end or the record is
  refused; an end after the record changes nothing.
- *By itself*: a call with a debit interval is extended when its grant is over, and ended when there
  is no more; a session of which nothing was heard for its lease is ended with what it is known to
  have used. When, is stored with the session (`Session.look_at`): whichever process looks first
  does it, after a restart too. The session's own node has the first five seconds: it knows whom to
  tell.
- *Told*: that a session was ended by itself stands in the ledger until its switch was told, or a
  minute is over: a node may die between the two, or a switch be away.

What the charging side assumed when it ended a session, the switch's own end corrects, and else the
record.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from trunkline.charging.charges import End, Payers
from trunkline.charging.event import Event, time_text
from trunkline.charging.sessions import (
    Granted,
    Run,
    Session,
    SessionError,
    answered,
    authorize,
    close,
    extend,
    known,
    overdue,
    remembering,
    session_id,
    timed,
)
from trunkline.elements.charging.engine import (
    Engine,
    Step,
    Unseen,
    session_row,
    stored_session,
)
from trunkline.elements.charging.recorder import Recorded, Recorder, Treatment
from trunkline.errors import TrunklineError
from trunkline.rating.call import VOICE
from trunkline.rating.durations import HOUR, SECOND
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.model import Duplicate, Keys, SessionRow, View, record_key

__all__ = ["FORCED", "LEASE", "Ended", "Steps", "wanted"]

FORCED: Final = "FORCED_DISCONNECT"
_FAILED: Final = "SERVER_ERROR"
LEASE: Final = 3 * 3600.0  # s
_KEPT: Final = 24 * 3600.0  # s: an ended session waits so long for its record
_REMEMBERED: Final = 7 * 24 * 3600.0  # s: a step that is done once is known for so long
_GRACE: Final = 5.0  # s; before another node does what is due
_TELLING: Final = 30.0  # s; who was not told until then is told once more
_TOLD_AGAIN: Final = 5.0  # s, then after twice as long each time
_AT_ONCE: Final = 100  # sessions that are looked at side by side
_LEAST_INTERVAL: Final = SECOND // 10  # a shorter one would keep the ledger busy with one call
_SLACK: Final = 1000  # times that were put off, and are still remembered
_UNLIMITED: Final = -1  # as a request's answer is remembered
_INTERVALS: Final = ("DebitInterval", "CGRDebitInterval")
_OPTIONS: Final = ("*debitInterval", "*sessionsDebitInterval")
_USAGES: Final = {"*data": 1 << 20, "*sms": 1, "*mms": 1}
"""What is asked for where nothing is said, as in the reference; else three hours."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that the charging side has ended, and whose switch is to be told."""

    session: Session
    reason: str
    again: bool = False
    """It ended before; it is not known whether its switch was told."""


class Steps:
    """The steps of the sessions of ``engine``.

    Args:
        engine: whose events and ledger they are.
        lease: s; a session of which nothing is heard for so long is taken for dead.
        debit_interval: ns; of calls whose event names none. 0: their switch asks for more.
        node: the node's name, which a session shows.
        recorder: stores the records of sessions, one that none came for included.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        lease: float = LEASE,
        debit_interval: int = 0,
        node: str = "",
        recorder: Recorder | None = None,
    ) -> None:
        self.recorder: Final = Recorder(engine) if recorder is None else recorder
        self._engine = engine
        self._lease = lease
        self._debit_interval = debit_interval
        self._node = node
        self._dues: list[tuple[float, str]] = []
        self._running: dict[str, Session] = {}
        self._released: dict[str, float] = {}
        self._telling: set[str] = set()
        self._began = engine.clock().timestamp()
        self._nearer = asyncio.Event()

    # What a switch asks for

    async def authorize(self, event: Event, usage: int | None) -> Step:
        """How much of ``usage`` could be had now. Nothing is written."""
        engine = self._engine
        runs = engine.runs_of(event)
        accounts = await engine.accounts_of(runs)
        tariff, precision = engine.tariffs.tariff, engine.tariffs.precision
        seed = session_id(event.text("OriginID"), event.text("OriginHost"))
        most = wanted(event, usage)
        granted = tuple(
            authorize(tariff, engine.payers_of(run, accounts), run, most, precision, session=seed)
            for run in runs
        )
        return Step(time=self._now(), granted=granted, usage=_least(granted))

    async def initiate(self, event: Event, usage: int | None) -> Step:
        """Open the session of ``event`` with a grant of ``usage``; one that is open stays so."""
        return await self._extend(event, usage, None, initial=True)

    async def update(self, event: Event, usage: int | None, used: int | None) -> Step:
        """Grant ``usage`` more; a session that is not there is opened."""
        return await self._extend(event, usage, used, initial=False)

    async def _extend(
        self,
        event: Event,
        usage: int | None,
        used: int | None,
        *,
        initial: bool,
        granted: int | None = None,
        once: str = "",
    ) -> Step:
        """``granted``: what it was answered already, while the ledger failed."""
        identifier, origin, _ = self._engine.session_of(event)
        runs = self._engine.runs_of(event)
        interval = self._interval(event) if granted is None else 0
        most = wanted(event, usage) if granted is None else granted
        request = _request("initiate" if initial else "update", event, usage, used)
        clock = self._now()

        def step(view: View) -> Step:
            session = stored_session(view.sessions[identifier])
            fresh = session is None
            if session is None:
                if _recorded(view, identifier, runs):
                    raise _over(origin)
                self._check_times(event, 0.0)
                session = self._opened(event, runs, clock, interval)
            else:
                before = answered(session, request)
                if before is not None:
                    limit = None if before == _UNLIMITED else before
                    return Step(time=clock, session=session, usage=limit)
                if session.ended:
                    raise _over(origin)
                self._check_times(event, session.asked)
                if initial:
                    return _again(session, clock)
            now = max(clock, session.updated)
            asked, ran = most, session
            if session.debit_interval and (fresh or usage is None):
                asked = session.debit_interval
            tariff, precision = self._engine.tariffs.tariff, self._engine.tariffs.precision

            def take(run: Run, payers: Payers | None) -> Granted:
                said = used
                if used is None and ran.debit_interval and not fresh:
                    said = known(ran, run, now) - run.used  # by the clock
                return extend(tariff, payers, run, asked, said, precision, session=identifier)

            def finish(after: Session, granted: Sequence[Granted]) -> tuple[Session, int | None]:
                after = timed(after, granted, now)
                least = _least(granted)
                if after.debit_interval and least:
                    least = None  # it is extended, or ended, when its time has come
                limit = _UNLIMITED if least is None else least
                return remembering(after, request, limit), least

            return self._stepped(view, self._heard(session, event, now), now, take, finish)

        # A call that begins is looked for among the records; one that goes on is there itself.
        records = _record_keys(identifier, runs) if initial else ()
        return self._later(await self._commit(runs, identifier, step, once, records))

    async def terminate(
        self, event: Event, usage: int | None, used: int | None = None, *, once: str = ""
    ) -> Step:
        """End the session of ``event`` after ``usage`` in all, or ``used`` of the last grant.

        One that was never opened is charged all the same: its usage was had. One whose record has
        come is paid for already.
        """
        identifier, _, _ = self._engine.session_of(event)
        runs = self._engine.runs_of(event)
        clock = self._now()

        def step(view: View) -> Step:
            session = stored_session(view.sessions[identifier])
            if session is None:
                if _recorded(view, identifier, runs):
                    return Step(time=clock)
                session = self._opened(event, runs, clock, 0)
            elif session.ended and not session.assumed:
                return Step(time=clock, session=session)
            return self._closed(
                view,
                replace(session, assumed=False),
                max(clock, session.updated),
                lambda run: usage if usage is not None or used is None else run.used + used,
            )

        return self._later(await self._commit(runs, identifier, step, once))

    async def message(self, event: Event, usage: int | None) -> Step:
        """Charge at once what happens at once: prepaid, as far as the balances go.

        One with an ID is charged once in a day. What was taken for one with an OriginID is kept for
        its record, which does not take it again.
        """
        engine = self._engine
        runs = engine.runs_of(event)
        now = self._now()
        origin, host = event.text("OriginID"), event.text("OriginHost")
        reference = session_id(origin or event.id, host)
        keys = Keys(accounts=await engine.keys_of(runs), sessions=[reference] if origin else [])
        most = wanted(event, usage)
        request = _request(f"message {event.tenant} {reference}", event, usage, None)

        def step(view: View) -> Step:
            tariff, precision = engine.tariffs.tariff, engine.tariffs.precision
            session = Session(
                id=reference,
                tenant=event.tenant_or_default,
                origin_id=origin,
                origin_host=host,
                runs=tuple(runs),
                opened=now,
                lease_until=now + _KEPT,
                ended=True,
            )
            done = self._stepped(
                view,
                session,
                now,
                lambda run, payers: extend(
                    tariff, payers, run, most, None, precision, session=reference
                ),
            )
            usage = _least(done.granted)
            took = any(each.run.taken for each in done.granted)
            kept = done.sessions if took and origin and not view.sessions[reference] else {}
            return replace(done, sessions=kept, usage=usage, answer=json.dumps(usage))

        done = await engine.write(keys, step, once=request, expires=now + _KEPT)
        if isinstance(done, Duplicate):
            return Step(time=now, usage=json.loads(done.answer))
        return done

    async def record(self, event: Event, how: Treatment) -> list[Recorded]:
        """Store the record of a usage; see `Recorder.record`."""
        return await self.recorder.record(event, how)

    # What the charging side does

    async def sessions(self) -> list[Session]:
        """All sessions that are stored, those included that wait for their record."""
        return [session async for page in self.pages() for session in page]

    async def pages(self) -> AsyncIterator[list[Session]]:
        """The same, a few at a time; others have their turn in between."""
        last = ""
        while page := await self._engine.book.sessions(after=last, limit=_AT_ONCE):
            yield [row.session for row in page]
            last = page[-1].id

    async def sweep(self, tell: Callable[[Ended], object]) -> None:
        """Do all that is due: extend calls, and end those that cannot be.

        Sessions are ended whose lease is over, with what they are known to have used. Those that
        have ended, and whose record never came, become a record. ``tell`` gets what has ended, or
        was not told yet; see `told`. What fails for one session, none that comes after it waits
        for.
        """
        problem: BaseException | None = None
        for identifier, at in list(self._released.items()):
            try:
                await self._release(identifier, at)
            except StoreUnavailable:
                raise
            except TrunklineError as why:
                problem = why
            else:
                self._released.pop(identifier)
        now = self._now()
        came: list[str] = []
        while self._dues and self._dues[0][0] <= now:
            came.append(heapq.heappop(self._dues)[1])
        last = ""
        book, lapsed = self._engine.book, math.nextafter(now, math.inf)
        while page := await book.sessions(lapsed=lapsed, after=last, limit=_AT_ONCE):
            last = page[-1].id
            looked = [self._look(row, now) for row in page if self._concerns(row.session, now)]
            for step in await asyncio.gather(*looked, return_exceptions=True):
                if isinstance(step, BaseException):
                    problem = step  # the others have their turn all the same
                elif step.reason and step.session is not None:
                    self._telling.add(step.session.id)
                    tell(Ended(step.session, step.reason, again=not step.sessions))
        if problem is not None:
            raise problem
        for identifier in came:
            session = self._running.get(identifier)
            if session is not None and session.due <= now:  # another process has it now
                del self._running[identifier]

    def concerns(self, session: Session) -> bool:
        """Whether this process is the one that its switch spoke to last."""
        return session.node == self._node

    def _concerns(self, session: Session, now: float) -> bool:
        """Whether a session that is due is for this process to look at."""
        if session.id in self._telling:
            return False
        if session.ended and not session.due:
            return True
        # its own node knows whom to tell
        return self.concerns(session) or session.look_at + _GRACE <= now

    async def told(self, session: Session, *, done: bool) -> None:
        """Note that a session's switch knows that it has ended; not ``done``: nobody was there.

        Then it is told again, a few times within a minute.
        """

        def step(view: View) -> Step:
            now = self._now()
            row = view.sessions[session.id]
            if row is None or not row.session.ended or not row.session.due:
                return Step(time=now)
            waited = max(now - max(row.session.updated, self._began), _TOLD_AGAIN)
            due = 0.0 if done or waited >= _TELLING else now + waited
            after = replace(row.session, due=due)
            row = SessionRow(row.account, after.look_at, after)
            return Step(time=now, sessions={session.id: row})

        try:
            await self._commit((), session.id, step)
        finally:
            self._telling.discard(session.id)

    def unpaid(self, allowance: float = 0.0) -> list[Ended]:
        """Calls of this process that the ledger, which fails, could not extend in time.

        ``allowance``: s that they may go on all the same. Each is returned once; it is to be
        released, and is ended as of now when the ledger is back.
        """
        now = self._now()
        late = [each for each in self._running.values() if each.due + allowance <= now]
        for session in late:
            del self._running[session.id]
            self._released[session.id] = now
        return [Ended(session, _FAILED) for session in late]

    @property
    def due(self) -> float:
        """When something of this process is due next."""
        return self._dues[0][0] if self._dues else math.inf

    async def pause(self, most: float) -> None:
        """Wait until something of this process is due, ``most`` seconds at most."""
        self._nearer.clear()
        wait = min(most, self.due - self._now())
        if wait > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._nearer.wait()

    async def end(self, session: Session, *, tell: bool = True) -> Step:
        """End a session before its time, with what it was granted.

        ``tell``: its switch is to be told, see `told`; it may have spoken to another process.
        """

        def step(view: View) -> Step:
            now = self._now()
            found = stored_session(view.sessions[session.id])
            if found is None or found.ended:
                return Step(time=now)
            at = max(now, found.updated)
            return self._ended(view, found, at, FORCED, lambda run: None, tell=tell)

        done = self._later(await self._commit(session.runs, session.id, step))
        if done.reason and tell and self.concerns(session):
            self._telling.add(session.id)
        return done

    async def _release(self, identifier: str, at: float) -> None:
        """End a call that was released at a time when the ledger failed."""

        def step(view: View) -> Step:
            now = self._now()
            found = stored_session(view.sessions[identifier])
            if found is None or found.ended:
                return Step(time=now)
            used = found
            return self._ended(
                view, found, now, _FAILED, lambda run: known(used, run, at), tell=False
            )

        await self._commit((), identifier, step)

    async def hear(self, session: Session) -> None:
        """Note that a session's switch has spoken of it: its lease begins anew."""

        def step(view: View) -> Step:
            now = self._now()
            found = stored_session(view.sessions[session.id])
            if found is None or found.ended:
                return Step(time=now)
            after = replace(found, lease_until=max(found.lease_until, now + self._lease))
            return Step(time=now, sessions={found.id: session_row(after)}, session=after)

        await self._commit((), session.id, step)

    async def _look(self, row: SessionRow, now: float) -> Step:
        """Do what is due for one session."""
        runs = row.session.runs

        def step(view: View) -> Step:
            session = stored_session(view.sessions[row.id])
            if session is None or session.look_at > now:
                return Step(time=now)  # somebody has been here meanwhile
            if not self._concerns(session, now):
                return Step(time=now)
            if session.ended and session.due and session.lease_until > now:
                return Step(time=now, session=session, reason=session.ending)
            if session.ended:
                return self.recorder.unclaimed(view, session)
            until = min(now, session.lease_until)
            if not session.due or session.due > until:
                silent = session.lease_until
                return self._ended(
                    view, session, now, FORCED, lambda run: known(session, run, silent)
                )
            if session.ending:
                total = min(run.granted for run in session.runs if run.request_type.reserves)
                return self._ended(view, session, now, session.ending, lambda run: total)
            return self._extended(view, session, now, until)

        return self._later(await self._commit(runs, row.id, step))

    def _extended(self, view: View, session: Session, now: float, until: float) -> Step:
        """Extend a call that is due, so that it is paid for beyond ``until``."""
        tariff, precision = self._engine.tariffs.tariff, self._engine.tariffs.precision
        more = overdue(session, until)
        try:
            return self._stepped(
                view,
                session,
                now,
                lambda run, payers: extend(
                    tariff, payers, run, more, None, precision, session=session.id
                ),
                lambda after, granted: (timed(after, granted, session.due), None),
            )
        except TrunklineError as problem:
            reason = str(getattr(problem, "reference", "")) or _FAILED
            return self._ended(view, session, now, reason, lambda run: run.granted)

    def _ended(
        self,
        view: View,
        session: Session,
        now: float,
        reason: str,
        total: Callable[[Run], int | None],
        *,
        tell: bool = True,
    ) -> Step:
        """A session that the charging side ends; if its account is gone, nothing is given back."""
        session = replace(session, assumed=True)
        try:
            done = self._closed(view, session, now, total)
        except TrunklineError:
            after = replace(session, ended=True, due=0.0, lease_until=now + _KEPT)
            done = Step(time=now, session=after, sessions={after.id: session_row(after)})
        row = done.sessions[session.id]
        if tell and row is not None:
            after = replace(row.session, due=now, ending=reason)
            row = SessionRow(row.account, after.look_at, after)
            done = replace(done, session=after, sessions={after.id: row})
        return replace(done, reason=reason)

    # What they have in common

    def _closed(
        self, view: View, session: Session, now: float, total: Callable[[Run], int | None]
    ) -> Step:
        tariff, precision = self._engine.tariffs.tariff, self._engine.tariffs.precision
        return self._stepped(
            view,
            replace(session, ended=True, due=0.0, lease_until=now + _KEPT),
            now,
            lambda run, payers: close(
                tariff, payers, run, total(run), precision, session=session.id
            ),
        )

    def _stepped(
        self,
        view: View,
        session: Session,
        now: float,
        take: Callable[[Run, Payers | None], Granted],
        finish: Callable[[Session, Sequence[Granted]], tuple[Session, int | None]] | None = None,
    ) -> Step:
        """One step of every run of a session, each seeing what those before it left.

        ``finish`` says what the session is afterwards, and what may be used.
        """
        taken = self._engine.taken(view, now)
        granted: list[Granted] = []
        for run in session.runs:
            each = take(run, self._engine.payers_of(run, taken.accounts))
            granted.append(each)
            taken.add(each.debit)
        after = replace(session, runs=tuple(each.run for each in granted), updated=now)
        usage: int | None = None
        if finish is not None:
            after, usage = finish(after, granted)
        return taken.into(
            Step(
                time=now,
                sessions={session.id: session_row(after)},
                session=after,
                granted=tuple(granted),
                usage=usage,
            )
        )

    async def _commit(
        self,
        runs: Sequence[Run],
        identifier: str,
        step: Callable[[View], Step],
        once: str = "",
        records: Sequence[str] = (),
    ) -> Step:
        accounts = await self._engine.keys_of(runs)
        keys = Keys(accounts=accounts, sessions=[identifier], records=records)
        now = self._now()
        done = await self._engine.write(keys, step, once=once, expires=now + _REMEMBERED)
        return Step(time=now) if isinstance(done, Duplicate) else done

    def _later(self, step: Step) -> Step:
        """Be awake when a session of this step is due."""
        session = step.session
        if session is not None and session.due and not session.ended:
            heapq.heappush(self._dues, (session.due, session.id))
            self._running[session.id] = session
            if len(self._dues) > 2 * len(self._running) + _SLACK:  # most are over
                self._dues = [(each.due, each.id) for each in self._running.values()]
                heapq.heapify(self._dues)
            self._nearer.set()
        elif session is not None:
            self._running.pop(session.id, None)
        return step

    def _now(self) -> float:
        return self._engine.clock().timestamp()

    def _opened(self, event: Event, runs: Sequence[Run], now: float, interval: int) -> Session:
        identifier, origin, host = self._engine.session_of(event)
        by_the_clock = any(
            run.request_type.reserves and run.call.tor in (VOICE, "") for run in runs
        )
        return Session(
            id=identifier,
            tenant=event.tenant_or_default,
            origin_id=origin,
            origin_host=host,
            runs=tuple(runs),
            node=self._node,
            opened=now,
            debit_interval=interval if by_the_clock else 0,
        )

    def _heard(self, session: Session, event: Event, now: float) -> Session:
        """The session, whose switch has just spoken of it, to this node."""
        at = event.time.timestamp() if event.time is not None else session.asked
        until = max(session.lease_until, now + self._lease)
        return replace(session, lease_until=until, asked=at, node=self._node)

    def _check_times(self, event: Event, asked: float) -> None:
        """See that the switch's clock goes forward; ``asked``: its time when it asked last.

        Raises:
            SessionError: ``charging.clock``.
        """
        if event.time is None:
            return
        if event.time.timestamp() < asked:
            raise SessionError(
                "charging.clock",
                f"the request of {time_text(event.time)} comes after a later one; it was not"
                " carried out",
            )
        zone = self._engine.tariffs.tariff.zone(event.tenant_or_default)
        answer = event.when("AnswerTime", event.time, zone)
        if answer is not None and answer > event.time:
            raise SessionError(
                "charging.clock",
                f"it was answered at {time_text(answer)}, after the request of"
                f" {time_text(event.time)}; see that the switch's clock goes forward",
            )

    def _interval(self, event: Event) -> int:
        """The debit interval of an event: its own, else the node's."""
        options = Event(fields=event.opts)
        found = [
            *(event.usage(name) for name in _INTERVALS),
            *(options.usage(name) for name in _OPTIONS),
            self._debit_interval,
        ]
        interval = next(each for each in found if each is not None)
        if interval < 0:
            raise SessionError("charging.usage", f"the debit interval {interval} is below zero")
        return max(interval, _LEAST_INTERVAL) if interval else 0


def wanted(event: Event, usage: int | None) -> int:
    """What is asked for: ``usage``, or what its type of record asks for where nothing is said."""
    if usage is not None:
        return usage
    return _USAGES.get(event.text("ToR"), 3 * HOUR)


def _record_keys(identifier: str, runs: Sequence[Run]) -> list[str]:
    return [record_key(identifier, run.id) for run in runs]


def _recorded(view: View, identifier: str, runs: Sequence[Run]) -> bool:
    """Whether the record of a session has come: it is paid, and nothing is recorded twice."""
    keys = _record_keys(identifier, runs)
    if any(key not in view.records for key in keys):
        raise Unseen(records=keys)
    return any(view.records[key] is not None for key in keys)


def _over(origin: str) -> SessionError:
    return SessionError(
        "charging.session-ended",
        f"the session {origin} has ended; a new one needs another OriginID",
        reference="EXISTS",
    )


def _least(granted: Sequence[Granted]) -> int | None:
    """What all runs grant; ``None`` where there is no run."""
    return min((each.usage for each in granted), default=None)


def _again(session: Session, now: float) -> Step:
    """The answer to an opening of what is open: what is left of its grant."""
    granted = tuple(
        Granted(run=run, usage=run.granted - run.used, end=End.COVERED, debit=None)
        for run in session.runs
    )
    usage = None if session.debit_interval else _least(granted)
    return Step(time=now, session=session, granted=granted, usage=usage)


def _request(kind: str, event: Event, usage: int | None, used: int | None) -> str:
    """The name of a request, for when it is repeated; empty: it has none."""
    if not event.id:
        return ""
    text = "\0".join((kind, event.id, str(usage), str(used)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
