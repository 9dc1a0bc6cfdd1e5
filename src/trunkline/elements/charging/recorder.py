"""Records of usage: what was used is stored once for each run, and paid for once.

A record keeps what paid for it (`Details.taken`). When it is rated again, by the tariff that counts
then, the difference goes through the same balances (``trunkline.charging.payers``), and record,
accounts and movements are written in one change: however often that is asked for, and wherever a
process dies, the balances hold what the records say.

- What has no price any more is given back; the record says why, and its cost is -1.
- What came from a balance that is gone goes to the default balance of the account, where it was
  money; units have nowhere to go. A balance that is over gets back what it paid.
- Of an account that is gone nothing is moved: the record keeps its cost, and says why.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import uuid4

from trunkline.charging.actions import fits
from trunkline.charging.charges import AccountError, Debit
from trunkline.charging.event import Event, EventError, to_text
from trunkline.charging.model import MONETARY, Taking
from trunkline.charging.money import add, total
from trunkline.charging.record_documents import Details, details_from_json, details_to_json
from trunkline.charging.result import paid_event_cost
from trunkline.charging.sessions import RequestType, Run, Session, SessionError, settle
from trunkline.elements.charging.engine import (
    DEFAULT_RUN,
    Engine,
    Step,
    Unseen,
    check_texts,
    session_row,
    stored_session,
)
from trunkline.elements.charging.taken import Taken
from trunkline.rating.call import Call
from trunkline.rating.cost import price
from trunkline.rating.errors import RatingError
from trunkline.rating.result import Json, event_cost
from trunkline.store.ledger.model import (
    Keys,
    RecordRow,
    SessionRow,
    TaskRow,
    View,
    record_key,
)
from trunkline.store.ledger.queries import RecordQuery

__all__ = ["EXPORTS", "Recorded", "Recorder", "Treatment", "details_of"]

EXPORTS: Final = "export/"
"""The IDs of tasks begin so that say: this record is still to be given to that exporter."""

_PAGE: Final = 500
_NEVER: Final = 1e12  # s: nobody claims what is due then
_NO_TIME: Final = "0001-01-01T00:00:00Z"
_SOURCE: Final = "*cdrs"
_SESSIONS: Final = "*sessions"
_REFUNDED: Final = "REFUNDED"
_MISSING: Final = "RECORD_MISSING"
_CUT: Final = Decimal("1e-11")  # what a balance may have lost or won when it was cut to decimals
_TEXTS: Final = {
    "OriginID": "origin_id",
    "OriginHost": "origin_host",
    "Source": "source",
    "Subject": "subject",
    "Destination": "destination",
    "Category": "category",
    "ToR": "type",
}
_OWN: Final = frozenset(
    (
        *("CGRID", "RunID", "OrderID", "OriginHost", "Source", "OriginID", "ToR", "RequestType"),
        *("Tenant", "Category", "Account", "Subject", "Destination", "SetupTime", "AnswerTime"),
        *("Usage", "Cost", "CostSource", "CostDetails", "ExtraInfo", "PreRated", "Partial"),
        "ExtraFields",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is to be done with an event: the reference's flags."""

    rate: bool = True
    """``*rals``: it is priced and paid for."""
    store: bool = True
    """``*store``: without it, it is priced, and nothing is taken or kept."""
    again: bool = False
    """``*rerate``: a record that is stored already is made anew."""
    refund: bool = False
    """``*refund``: what a stored record took is given back; it is not rated then."""
    chargers: bool = True
    """``*chargers``: there is a run for each charger; else one, which the event may name."""
    export: bool = True
    """``*export``: exporters that get every record get this one."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record, and what was done besides storing it: flags of the reference's."""

    row: RecordRow
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paid:
    """What a usage came to."""

    cost: Decimal | None
    taken: tuple[Taking, ...] = ()
    error: str = ""
    details: Mapping[str, Json] | None = None
    debits: tuple[Debit, ...] = ()
    stuck: bool = False
    """The account that holds something of it is gone: nothing could be done."""


@dataclass(slots=True)
class _Changes:
    """What a step has come to so far."""

    taken: Taken
    records: dict[str, RecordRow | None] = field(default_factory=dict)
    found: list[Recorded] = field(default_factory=list)
    tasks: list[TaskRow] = field(default_factory=list)


class Recorder:
    """Stores records in the ledger of ``engine``, by its tariff and its profiles.

    ``live``: the IDs of the exporters that get every record.
    """

    def __init__(self, engine: Engine, live: Sequence[str] = ()) -> None:
        self._engine = engine
        self._live = live
        self._numbers = itertools.count()  # of what is exported, for its order

    # Events

    def check(self, event: Event, how: Treatment) -> str:
        """The ID of an event's record.

        Raises:
            EventError: there can be no such record.
        """
        event = _without_empty_times(event)
        event.usage()
        for run in self._runs(event, how):
            self._times(run, self._engine.clock())
        return _names(event)[0]

    async def record(
        self,
        event: Event,
        how: Treatment = Treatment(),
    ) -> list[Recorded]:
        """Store the record of a usage, once for each run, and take what is not paid yet.

        A record that is stored already is left alone, and returned as it was stored, unless it is
        asked for otherwise.
        """
        engine = self._engine
        event = _without_empty_times(event)
        identifier, origin, host = _names(event)
        runs = self._runs(event, how)
        usage = event.usage()
        clock = engine.clock()
        times = {run.id: self._times(run, clock) for run in runs}
        keys = Keys(
            accounts=await engine.keys_of(runs),
            sessions=[identifier],
            records=[record_key(identifier, run.id) for run in runs],
        )
        found: list[Recorded] = []

        def step(view: View) -> Step:
            session = stored_session(view.sessions[identifier])
            held = {run.id: run for run in session.runs} if session is not None else {}
            changes = _Changes(self._engine.taken(view, clock.timestamp()))
            for run in runs:
                known = view.records[record_key(identifier, run.id)]
                assumed = known is not None and details_of(known).assumed
                if known is not None and not (how.again or how.refund or assumed):
                    changes.found.append(Recorded(known))
                    continue
                if known is not None and how.refund and not how.again:
                    self._refund(known, changes, clock)
                    continue
                before = held.get(run.id)
                used = usage
                if used is None:
                    used = before.used if before is not None else 0
                row = _row(run, (identifier, origin, host), times[run.id], clock, known, used)
                check_texts({name: getattr(row, column) for name, column in _TEXTS.items()})
                self._store(row, run, before, known, how, changes)
            found[:] = changes.found
            if not how.store:
                return Step(time=clock.timestamp())
            done = {run.id for run in runs}
            return self._step(changes, clock, _rest(session, identifier, done))

        await engine.write(keys, step)
        return found

    def unclaimed(self, view: View, session: Session) -> Step:
        """What becomes of a session that no record came for: a record, and nothing moves.

        So it stays known what was taken, and a record that comes later takes it over. Runs that
        took nothing have none.
        """
        clock = self._engine.clock()
        runs = [run for run in session.runs if run.taken]
        keys = [record_key(session.id, run.id) for run in runs]
        if any(key not in view.records for key in keys):
            raise Unseen(records=keys)
        changes = _Changes(self._engine.taken(view, clock.timestamp()))
        names = session.id, session.origin_id, session.origin_host
        for key, run in zip(keys, runs, strict=True):
            if view.records[key] is not None:
                continue
            row = _row(run, names, self._times(run, clock), clock, None, max(run.used, run.granted))
            paid = self._pay(run, row.usage, (), changes, row)
            if paid.cost != run.cost or any(debit.movements for debit in paid.debits):
                paid = _Paid(cost=run.cost, taken=run.taken)  # it would be another price by now
            details = Details(
                extra=_extra(run),
                extra_info=_MISSING,
                cost_source=_SESSIONS,
                cost_details=paid.details,
                assumed=True,
                taken=run.taken,
                first=run.taken,
            )
            self._put(row, None, details, replace(paid, debits=()), changes, ())
        return self._step(changes, clock, {session.id: None})

    def _runs(self, event: Event, how: Treatment) -> list[Run]:
        profiles = self._engine.profiles.chargers.selection.profiles(event.tenant_or_default)
        if how.chargers and profiles:
            return self._engine.runs_of(event)
        return [self._engine.run_of(event, event.text("RunID") or DEFAULT_RUN)]

    def _times(self, run: Run, now: datetime) -> tuple[float | None, float | None]:
        event = Event(tenant=run.call.tenant, fields=run.event)
        zone = self._engine.tariffs.tariff.zone(run.call.tenant)
        setup, answer = event.when("SetupTime", now, zone), event.when("AnswerTime", now, zone)
        return (
            None if setup is None else setup.timestamp(),
            None if answer is None else answer.timestamp(),
        )

    def _store(
        self,
        row: RecordRow,
        run: Run,
        before: Run | None,
        known: RecordRow | None,
        how: Treatment,
        changes: _Changes,
    ) -> None:
        """Make the record of one run, and take what it costs."""
        taken: tuple[Taking, ...] = () if before is None else before.taken
        first: tuple[Taking, ...] = ()
        if known is not None:
            old = details_of(known)
            if known.account == row.account and known.tenant == row.tenant:
                taken, first = _together(taken, old.taken), old.first
            else:  # another account pays now
                given = self._given_back(_run_of(known, old), changes, row.id)
                for debit in given or ():
                    changes.taken.add(debit)
        pre_rated = to_text(run.event.get("PreRated", "")) == "true"
        if pre_rated or not how.rate:
            cost = None
            if pre_rated:
                cost = _cost_of(run.event.get("Cost"))
            given = self._given_back(replace(run, taken=taken), changes, row.id)
            paid = _Paid(cost=cost, debits=given or ())
        else:
            granted = 0 if before is None else before.granted
            held = replace(run, taken=taken, granted=granted)
            paid = self._pay(held, row.usage, first, changes, row)
        details = Details(
            extra=_extra(run),
            extra_info=paid.error,
            cost_source=self._source(run, before, pre_rated, paid),
            cost_details=paid.details,
            pre_rated=pre_rated,
            partial=to_text(run.event.get("Partial", "")) == "true",
            exported=how.export,
            taken=paid.taken,
            first=first or paid.taken,
        )
        flags: tuple[str, ...] = ()
        if known is not None and not details_of(known).assumed:
            flags = ("*refund",) if how.refund else ("*rerate",)
        self._put(row, known, details, paid, changes, flags)

    @staticmethod
    def _source(run: Run, before: Run | None, pre_rated: bool, paid: _Paid) -> str:
        if pre_rated:
            return to_text(run.event.get("CostSource", ""))
        if paid.cost is None or run.request_type is RequestType.NONE:
            return ""
        return _SESSIONS if before is not None and before.taken else _SOURCE

    def _put(
        self,
        row: RecordRow,
        known: RecordRow | None,
        details: Details,
        paid: _Paid,
        changes: _Changes,
        flags: tuple[str, ...],
    ) -> None:
        for debit in paid.debits:
            changes.taken.add(debit)
        reference = "" if known is None else known.reference
        if paid.taken or any(debit.movements for debit in paid.debits):
            reference = row.id
        row = replace(
            row,
            cost=paid.cost,
            reference=reference,
            document=json.dumps(details_to_json(details)),
        )
        changes.records[row.key] = row
        changes.found.append(Recorded(row, flags))
        if details.exported:
            now, number = row.updated or 0.0, next(self._numbers)
            changes.tasks += [
                TaskRow(
                    f"{EXPORTS}{name}/{int(now * 1000):015d}-{number:09d}-{uuid4().hex}",
                    _NEVER,
                    json.dumps({"record": row.id, "run": row.run}),
                )
                for name in self._live
            ]

    def _step(
        self, changes: _Changes, now: datetime, sessions: Mapping[str, SessionRow | None]
    ) -> Step:
        return changes.taken.into(
            Step(
                time=now.timestamp(),
                records=changes.records,
                sessions=sessions,
                fresh=changes.tasks,
            )
        )

    # Paying

    def _pay(
        self,
        run: Run,
        usage: int,
        first: tuple[Taking, ...],
        changes: _Changes,
        row: RecordRow,
    ) -> _Paid:
        """What a run costs, and who pays what for it that is not held already."""
        tariffs = self._engine.tariffs
        tariff, precision = tariffs.tariff, tariffs.precision
        accounts = changes.taken.accounts
        try:
            if run.request_type in (RequestType.NONE, RequestType.RATED, RequestType.RAW):
                cost, details = Decimal(0), None
                if run.request_type is not RequestType.NONE:
                    call = replace(run.call, usage=usage)
                    priced = price(tariff, call, precision, reasons=False)
                    cost, details = priced.total, event_cost(priced, wire=True)
                given = self._given_back(run, changes, row.id)
                if given is None:
                    return _stuck(run)
                return _Paid(cost=cost, details=_named(details, row), debits=given)
            payers = self._engine.payers_of(run, accounts)
            if payers is None and run.taken:
                return _stuck(run)
            held = run.taken if first else ()
            record = row.id
            paid = settle(
                tariff, payers, run, usage, precision, record=record, first=held or first or None
            )
            if held and not _same(paid.debit):  # what is held does not pay for it exactly
                held = ()
                paid = settle(tariff, payers, run, usage, precision, record=record, first=first)
        except (RatingError, SessionError, AccountError) as problem:
            given = self._given_back(run, changes, row.id)
            if given is None:
                return _stuck(run)
            error = problem.reference or problem.message
            return _Paid(cost=None, error=error, debits=given)
        debit = paid.debit
        assert debit is not None, "every other type of request is paid"
        assert payers is not None, "else there was no debit"
        return _Paid(
            cost=paid.run.cost,
            taken=held or debit.taken,
            details=_named(paid_event_cost(debit, payers.account, wire=True), row),
            debits=() if held else (debit,),
        )

    def _given_back(self, run: Run, changes: _Changes, reference: str) -> tuple[Debit, ...] | None:
        """What gives back all that a run holds; ``None``: its account is gone."""
        if not run.taken:
            return ()
        payers = self._engine.payers_of(run, changes.taken.accounts)
        if payers is None:
            return None
        tariffs = self._engine.tariffs
        owing = replace(run, request_type=RequestType.POSTPAID)
        done = settle(
            tariffs.tariff, payers, owing, 0, tariffs.precision, record=reference, first=run.taken
        )
        return () if done.debit is None else (done.debit,)

    # Stored records

    async def rerate(self, query: RecordQuery, *, everything: bool, export: bool = False) -> int:
        """Rate stored records by what counts now; returns how many there were.

        What is given back is given back before more is taken, within 500 records. Those that have
        a cost are left alone unless ``everything``; those that came with a cost, always.
        """
        count = 0
        wanted = query if everything else replace(query, unrated=True)
        async for page in self._engine.book.record_pages(wanted):
            count += len(page)
            found = await asyncio.gather(*(self._keys(row) for row in page))
            for credit in (True, False):
                found = await self._each(
                    # From here to the ledger's queue nothing waits, so they stay in their order.
                    [self._rerate(keys, everything, export, credit=credit) for keys in found]
                )
        return count

    async def _keys(self, row: RecordRow) -> Keys:
        run = _run_of(row, details_of(row))
        return Keys(accounts=await self._engine.keys_of([run]), records=[row.key])

    async def _each(self, work: Sequence[Awaitable[Keys | None]]) -> list[Keys]:
        """What is left of some work: all of it goes into as few transactions as can be."""
        done = await asyncio.gather(*work, return_exceptions=True)
        for each in done:
            if isinstance(each, BaseException):
                raise each
        return [each for each in done if isinstance(each, Keys)]

    async def _rerate(
        self, keys: Keys, everything: bool, export: bool, *, credit: bool
    ) -> Keys | None:
        """Rate one record anew; ``credit``: only if nobody pays more, else return its keys."""
        [key] = keys.records
        clock = self._engine.clock()
        waits = False

        def step(view: View) -> Step:
            nonlocal waits
            waits = False
            known = view.records[key]
            if known is None or not (everything or known.cost is None):
                return Step(time=clock.timestamp())
            old = details_of(known)
            if old.pre_rated:
                return Step(time=clock.timestamp())
            changes = _Changes(self._engine.taken(view, clock.timestamp()))
            paid = self._pay(_run_of(known, old), known.usage, old.first, changes, known)
            waits = credit and _takes(paid.debits)
            if waits:
                return Step(time=clock.timestamp())
            if paid.stuck:
                paid = replace(paid, cost=known.cost, details=old.cost_details)
            elif old.assumed and not paid.error:
                paid = replace(paid, error=_MISSING)
            if not _differs(known, old, paid):
                return Step(time=clock.timestamp())
            details = replace(
                old,
                extra_info=paid.error,
                cost_source=_SOURCE if paid.cost is not None else "",
                cost_details=paid.details,
                taken=paid.taken,
                first=old.first or paid.taken,
                exported=export,
            )
            changed = replace(known, updated=clock.timestamp())
            self._put(changed, known, details, paid, changes, ("*rerate",))
            return self._step(changes, clock, {})

        await self._engine.write(keys, step)
        return keys if waits else None

    def _refund(self, known: RecordRow, changes: _Changes, now: datetime) -> None:
        """Give back what a record took; from then on it is not rated."""
        old = details_of(known)
        given = self._given_back(_run_of(known, old), changes, known.id)
        if not old.taken or given is None:
            changes.found.append(Recorded(known))
            return
        details = replace(
            old,
            extra_info=_REFUNDED,
            cost_source="",
            cost_details=None,
            assumed=False,
            taken=(),
            first=old.first,
        )
        changed = replace(known, updated=now.timestamp())
        paid = _Paid(cost=None, debits=given)
        self._put(changed, known, details, paid, changes, ("*refund",))

    async def remove(self, query: RecordQuery) -> int:
        """Remove records; what they took stays taken. Returns how many there were."""
        count = 0
        async for page in self._engine.book.record_pages(query):
            keys = [row.key for row in page]
            now = self._engine.clock().timestamp()

            def step(view: View, now: float = now) -> Step:
                return Step(time=now, records=dict.fromkeys(view.records))

            await self._engine.write(Keys(records=keys), step)
            count += len(page)
        return count


def details_of(row: RecordRow) -> Details:
    """What a record says besides its columns."""
    return details_from_json(json.loads(row.document))


def _row(
    run: Run,
    names: tuple[str, str, str],
    times: tuple[float | None, float | None],
    now: datetime,
    known: RecordRow | None,
    usage: int,
) -> RecordRow:
    """The record of a run, as far as it is known before it is rated.

    ``names``: see `_names`; ``times``: when it was set up and answered; ``known``: it is made anew.
    """
    return RecordRow(
        id=names[0],
        run=run.id,
        document="",
        tenant=run.call.tenant,
        account=run.call.account,
        subject=run.call.subject or run.call.account,
        destination=run.call.destination,
        category=run.call.category,
        type=run.call.tor,
        request_type=str(run.request_type),
        origin_id=names[1],
        origin_host=names[2],
        source=to_text(run.event.get("Source", "")),
        time=run.call.time.timestamp(),
        setup_time=times[0],
        answer_time=times[1],
        created=now.timestamp() if known is None else known.created,
        updated=now.timestamp(),
        usage=max(usage, 0),
    )


def _extra(run: Run) -> dict[str, str]:
    """The fields of a run's event that no record has by itself."""
    return {name: to_text(value) for name, value in run.event.items() if name not in _OWN}


def _run_of(row: RecordRow, details: Details) -> Run:
    """The run that a stored record is of."""
    return Run(
        id=row.run,
        request_type=_type_of(row.request_type),
        call=Call(
            destination=row.destination,
            time=datetime.fromtimestamp(row.time, UTC),
            usage=0,
            tenant=row.tenant,
            category=row.category,
            subject=row.subject,
            account=row.account,
            tor=row.type,
        ),
        taken=details.taken,
    )


def _type_of(text: str) -> RequestType:
    """The type of request of a record; one that an action wrote may have any."""
    try:
        return RequestType(text)
    except ValueError:
        return RequestType.NONE


def _together(one: Iterable[Taking], other: Iterable[Taking]) -> tuple[Taking, ...]:
    """What is taken in all, one of each balance."""
    found: dict[tuple[str, str], Taking] = {}
    for taking in (*one, *other):
        key = taking.account, taking.balance.uuid
        before = found.get(key)
        amount = taking.amount if before is None else add(before.amount, taking.amount)
        found[key] = replace(taking, amount=amount)
    return tuple(found.values())


def _takes(debits: Iterable[Debit]) -> bool:
    """Whether debits take more than they give back: of money, if any moves, else of units."""
    movements = [each for debit in debits for each in debit.movements]
    money = total(each.amount for each in movements if each.type == MONETARY)
    return money < 0 if money else any(each.amount < 0 for each in movements)


def _same(debit: Debit | None) -> bool:
    """Whether who paid pays the same again, but for what was cut off to decimals."""
    movements = () if debit is None else debit.movements
    small = all(each.type == MONETARY and abs(each.amount) < _CUT for each in movements)
    return small and not total(each.amount for each in movements)


def _stuck(run: Run) -> _Paid:
    return _Paid(cost=None, taken=run.taken, error="ACCOUNT_NOT_FOUND", stuck=True)


def _differs(known: RecordRow, old: Details, paid: _Paid) -> bool:
    """Whether a record is another when it is rated anew: the account's state does not count."""
    return (
        any(debit.movements for debit in paid.debits)
        or (known.cost, old.extra_info) != (paid.cost, paid.error)
        or _charges(old.cost_details) != _charges(paid.details)
    )


def _charges(details: Mapping[str, Json] | None) -> object:
    shown = {name: value for name, value in (details or {}).items() if name != "AccountSummary"}
    return json.loads(json.dumps(shown))


def _named(details: dict[str, Json] | None, row: RecordRow) -> dict[str, Json] | None:
    return None if details is None else details | {"CGRID": row.id, "RunID": row.run}


def _names(event: Event) -> tuple[str, str, str]:
    """The record's ID, the switch's name for the usage, and the switch."""
    given = event.text("CGRID")
    if given:
        check_texts({"CGRID": given})
        return given, event.text("OriginID"), event.text("OriginHost")
    return Engine.session_of(event)


def _without_empty_times(event: Event) -> Event:
    """Go's way to say that there is no time is the year 1."""
    if _NO_TIME not in (event.fields.get("SetupTime"), event.fields.get("AnswerTime")):
        return event
    kept = {
        name: value
        for name, value in event.fields.items()
        if name not in ("SetupTime", "AnswerTime") or value != _NO_TIME
    }
    return replace(event, fields=kept)


def _cost_of(value: object) -> Decimal:
    try:
        cost = Decimal(to_text(value) or "0")
    except ArithmeticError:
        cost = Decimal("NaN")
    if not fits(cost):
        raise EventError("charging.field", f"Cost {to_text(value)[:60]!r} is no amount")
    return cost


def _rest(session: Session | None, identifier: str, done: set[str]) -> dict[str, SessionRow | None]:
    """The session without the runs that have their record now."""
    if session is None:
        return {}
    left = tuple(run for run in session.runs if run.id not in done)
    if not left:
        return {identifier: None}
    return {identifier: session_row(replace(session, runs=left))}
