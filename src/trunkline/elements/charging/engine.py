"""The engine behind the charging methods: what an event costs whom, written to the ledger.

An event becomes runs (attributes, then chargers), a run asks its account's balances
(``trunkline.charging.sessions``), and what comes of it is one change of the ledger: accounts,
movements, session and record together, or nothing. A step that is asked for twice (a session that
is there already, a record that was stored) changes nothing the second time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from trunkline.charging.charges import End, Payers
from trunkline.charging.event import Event, EventError, Sources
from trunkline.charging.model import Account
from trunkline.charging.session_documents import session_from_json, session_to_json
from trunkline.charging.sessions import (
    Granted,
    RequestType,
    Run,
    Session,
    SessionError,
    authorize,
    close,
    extend,
    session_id,
)
from trunkline.config.cgrates import load_charging
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.rules import EventSources, Profiles
from trunkline.elements.charging.taken import Taken
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.rating.call import VOICE, Call
from trunkline.rating.model import DEFAULT_CATEGORY
from trunkline.rating.result import Json
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import (
    Change,
    Duplicate,
    Keys,
    SessionRow,
    View,
)

__all__ = ["DEFAULT_RUN", "Engine", "Step", "stored_session"]

DEFAULT_RUN: Final = "*default"
_LEASE: Final = 3 * 3600.0  # s: no session goes without a word for longer
_KEPT: Final = 24 * 3600.0  # s: an ended session waits so long for its record


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Change):
    """A change, and what whoever asked for it is told."""

    session: Session | None = None
    granted: tuple[Granted, ...] = ()

    @property
    def usage(self) -> int | None:
        """What all runs grant; ``None`` where there is no run."""
        return min((each.usage for each in self.granted), default=None)


class Engine:
    """Charges events by the tariff that counts, with the accounts in ``book``.

    ``clock`` gives the present time, aware.
    """

    def __init__(
        self, tariffs: Tariffs, book: Book, rules: RuleBook, clock: Callable[[], datetime]
    ) -> None:
        self.tariffs = tariffs
        self.book = book
        self.rules = rules
        self.clock = clock

    @property
    def profiles(self) -> Profiles:
        """The rules that count."""
        return self.rules.profiles

    async def load(self, folder: Path, *, dry_run: bool) -> None:
        """Read a folder, prices and profiles, and have it count unless ``dry_run``.

        Raises:
            TrunklineError: all that is wrong with it; what counted before still does.
        """
        zone = self.tariffs.tariff.time_zone
        rows = await asyncio.to_thread(load_charging, folder, zone)
        await self.rules.check(rows)
        await self.tariffs.load(folder, dry_run=dry_run)
        if not dry_run:
            await self.rules.use(rows, forget=True)

    # Events

    @property
    def sources(self) -> Sources:
        """What filters ask beside the event."""
        return EventSources(self.tariffs.tariff, self.profiles.timings)

    def runs_of(self, event: Event) -> list[Run]:
        """The ways in which an event is charged: one for each charger that matches.

        Without any charger profile of its tenant there is one run, ``*default``.

        Raises:
            EventError: no charger matches (``NOT_FOUND``), or a field is not what it must be.
        """
        now = self.clock()
        tenant = event.tenant_or_default
        if not self.profiles.chargers.selection.profiles(tenant):
            return [self._run(event, DEFAULT_RUN, now)]
        found = self.profiles.chargers.process(event, now, sources=self.sources)
        return [self._run(each.event, each.profile.run_id or DEFAULT_RUN, now) for each in found]

    def altered(self, event: Event, context: str) -> Event:
        """The event as the attribute profiles of a context make it; itself, where none matches."""
        try:
            found = self.profiles.attributes.process(
                event, self.clock(), context=context, sources=self.sources
            )
        except EventError as problem:
            if problem.reference != "NOT_FOUND":
                raise
            return event
        return found.event

    def _run(self, event: Event, run: str, now: datetime) -> Run:
        tenant = event.tenant_or_default
        zone = self.tariffs.tariff.zone(tenant)
        text = event.text("RequestType") or RequestType.RATED
        try:
            kind = RequestType(text)
        except ValueError:
            known = ", ".join(RequestType)
            raise EventError(
                "charging.field", f"RequestType {text[:60]!r} is none of {known}"
            ) from None
        time = event.when("AnswerTime", now, zone) or event.when("SetupTime", now, zone) or now
        return Run(
            id=run,
            request_type=kind,
            call=Call(
                destination=event.text("Destination"),
                time=time,
                usage=0,
                tenant=tenant,
                category=event.text("Category") or DEFAULT_CATEGORY,
                subject=event.text("Subject"),
                account=event.text("Account"),
                tor=event.text("ToR") or VOICE,
            ),
            event={name: _json(value) for name, value in event.fields.items()},
        )

    @staticmethod
    def session_of(event: Event) -> tuple[str, str, str]:
        """The ID of an event's session, the switch's name for it, and the switch.

        Raises:
            EventError: it has no ``OriginID``.
        """
        origin = event.text("OriginID")
        if not origin:
            raise EventError(
                "charging.mandatory",
                "the event has no OriginID, the switch's name for the session",
                reference="MANDATORY_IE_MISSING: [OriginID]",
            )
        host = event.text("OriginHost")
        return session_id(origin, host), origin, host

    # Accounts

    async def keys_of(self, runs: Iterable[Run]) -> list[str]:
        """The accounts that may pay for runs: theirs, and those that share a group with them."""
        own = dict.fromkeys(_account_key(run) for run in runs if run.call.account)
        if not self.profiles.groups:
            return list(own)
        loaded = await self.book.load(Keys(accounts=list(own)))
        found = dict(own)
        for account in loaded.view.accounts.values():
            for balance in account.balances if account is not None else ():
                for name in balance.shared_groups:
                    group = self.profiles.groups.get(name)
                    for member in group.rows if group is not None and account is not None else ():
                        if account is not None and member != "*any":
                            found[f"{account.tenant}:{member}"] = None
        return list(found)

    def payers_of(self, run: Run, accounts: Mapping[str, Account | None]) -> Payers | None:
        """Who pays for a run, of these accounts; ``None``: its account is not there."""
        own = accounts.get(_account_key(run))
        if own is None:
            return None
        members = [each for key, each in accounts.items() if each is not None and key != own.key]
        return Payers(account=own, members=members, groups=self.profiles.groups)

    # Sessions

    async def authorize(self, event: Event, usage: int) -> Step:
        """How much of ``usage`` could be had now. Nothing is written."""
        runs = self.runs_of(event)
        loaded = await self.book.load(Keys(accounts=await self.keys_of(runs)))
        accounts = loaded.view.accounts
        tariff, precision = self.tariffs.tariff, self.tariffs.precision
        granted = tuple(
            authorize(tariff, self.payers_of(run, accounts), run, usage, precision) for run in runs
        )
        return Step(time=self.clock().timestamp(), granted=granted)

    async def initiate(self, event: Event, usage: int, *, node: str = "") -> Step:
        """Open the session of ``event`` with a grant of ``usage``; one that is open stays so."""
        return await self._extend(event, usage, None, node=node, initial=True)

    async def update(self, event: Event, usage: int, used: int | None, *, node: str = "") -> Step:
        """Grant ``usage`` more; a session that is not there is opened."""
        return await self._extend(event, usage, used, node=node, initial=False)

    async def _extend(
        self, event: Event, usage: int, used: int | None, *, node: str, initial: bool
    ) -> Step:
        identifier, origin, host = self.session_of(event)
        runs = self.runs_of(event)
        now = self.clock().timestamp()

        def step(view: View) -> Step:
            session = stored_session(view.sessions[identifier])
            if session is not None and session.ended:
                raise SessionError(
                    "charging.session-ended",
                    f"the session {origin} has ended; a new one needs another OriginID",
                    reference="EXISTS",
                )
            if session is not None and initial:
                again = tuple(
                    Granted(run=run, usage=run.granted - run.used, end=End.COVERED, debit=None)
                    for run in session.runs
                )
                return Step(time=now, session=session, granted=again)
            if session is None:
                session = _opened(event, (identifier, origin, host), runs, now, node)
            tariff, precision = self.tariffs.tariff, self.tariffs.precision
            return self._stepped(
                view,
                session,
                now,
                lambda run, payers: extend(
                    tariff, payers, run, usage, used, precision, session=identifier
                ),
            )

        return await self._commit(runs, identifier, step)

    async def terminate(self, event: Event, usage: int | None) -> Step:
        """End the session of ``event`` after ``usage`` in all.

        One that was never opened is charged all the same: its usage was had.
        """
        identifier, origin, host = self.session_of(event)
        runs = self.runs_of(event)
        now = self.clock().timestamp()

        def step(view: View) -> Step:
            session = stored_session(view.sessions[identifier])
            if session is not None and session.ended:
                return Step(time=now, session=session)
            if session is None:
                session = _opened(event, (identifier, origin, host), runs, now)
            tariff, precision = self.tariffs.tariff, self.tariffs.precision
            return self._stepped(
                view,
                replace(session, ended=True),
                now,
                lambda run, payers: close(
                    tariff, payers, run, usage, precision, session=identifier
                ),
            )

        return await self._commit(runs, identifier, step)

    async def message(self, event: Event, usage: int) -> Step:
        """Charge at once what happens at once: prepaid, as far as the balances go."""
        runs = self.runs_of(event)
        keys = Keys(accounts=await self.keys_of(runs))
        now = self.clock().timestamp()
        reference = session_id(event.text("OriginID") or event.id, event.text("OriginHost"))

        def step(view: View) -> Step:
            tariff, precision = self.tariffs.tariff, self.tariffs.precision
            done = self._stepped(
                view,
                Session(
                    id=reference, tenant=event.tenant_or_default, origin_id="", runs=tuple(runs)
                ),
                now,
                lambda run, payers: extend(
                    tariff, payers, run, usage, None, precision, session=reference
                ),
            )
            return replace(done, sessions={})

        return await self.write(keys, step)

    async def sessions(self) -> list[Session]:
        """All sessions that are stored, those included that wait for their record."""
        found: list[Session] = []
        last = ""
        while page := await self.book.sessions(after=last):
            found += [session_from_json(json.loads(row.document)) for row in page]
            last = page[-1].id
        return found

    async def expire(self) -> list[Session]:
        """End the sessions whose lease has ended, with what they were granted.

        Sessions that have ended, and whose record never came, are forgotten.
        """
        now = self.clock().timestamp()
        ended: list[Session] = []
        while page := await self.book.sessions(lapsed=now):
            for row in page:
                session = session_from_json(json.loads(row.document))
                done = await self._commit(session.runs, row.id, self._expiry(row.id, now))
                if done.granted:
                    ended.append(session)
        return ended

    async def end(self, session: Session) -> Step:
        """End a session before its time, with what it was granted."""
        now = self.clock().timestamp()
        step = self._expiry(session.id, now, lapsed=False)
        return await self._commit(session.runs, session.id, step)

    def _expiry(
        self, identifier: str, now: float, *, lapsed: bool = True
    ) -> Callable[[View], Step]:
        def step(view: View) -> Step:
            row = view.sessions[identifier]
            session = stored_session(row)
            if row is None or session is None or (lapsed and row.lease_until > now):
                return Step(time=now)  # somebody has asked for it meanwhile
            if session.ended:
                return Step(time=now, sessions={identifier: None} if lapsed else {})
            tariff, precision = self.tariffs.tariff, self.tariffs.precision
            return self._stepped(
                view,
                replace(session, ended=True),
                now,
                lambda run, payers: close(tariff, payers, run, None, precision, session=identifier),
            )

        return step

    async def _commit(
        self, runs: Sequence[Run], identifier: str, step: Callable[[View], Step]
    ) -> Step:
        keys = Keys(accounts=await self.keys_of(runs), sessions=[identifier])
        return await self.write(keys, step)

    async def write(self, keys: Keys, step: Callable[[View], Step]) -> Step:
        """Write what ``step`` makes of what is stored of ``keys``; see `Book.update`."""
        done = await self.book.update(keys, step)
        assert not isinstance(done, Duplicate), "it has no idempotency key"
        return done.change

    def _stepped(
        self,
        view: View,
        session: Session,
        now: float,
        take: Callable[[Run, Payers | None], Granted],
    ) -> Step:
        """One step of every run of a session, each seeing what those before it left."""
        taken = Taken(view)
        granted: list[Granted] = []
        for run in session.runs:
            each = take(run, self.payers_of(run, taken.accounts))
            granted.append(each)
            taken.add(each.debit)
        after = replace(
            session,
            runs=tuple(each.run for each in granted),
            updated=now,
            lease_until=now + (_KEPT if session.ended else _LEASE),
        )
        return Step(
            time=now,
            accounts=taken.changed,
            movements=taken.movements,
            sessions={session.id: _row(after)},
            session=after,
            granted=tuple(granted),
        )


def _account_key(run: Run) -> str:
    return f"{run.call.tenant}:{run.call.account}"


def _opened(
    event: Event, names: tuple[str, str, str], runs: Sequence[Run], now: float, node: str = ""
) -> Session:
    identifier, origin, host = names
    return Session(
        id=identifier,
        tenant=event.tenant_or_default,
        origin_id=origin,
        origin_host=host,
        node=node,
        runs=tuple(runs),
        opened=now,
    )


def stored_session(row: SessionRow | None) -> Session | None:
    """The session that a row of the ledger is."""
    return None if row is None else session_from_json(json.loads(row.document))


def _row(session: Session) -> SessionRow:
    payer = next((run for run in session.runs if run.call.account), None)
    return SessionRow(
        session.id,
        "" if payer is None else _account_key(payer),
        session.lease_until,
        json.dumps(session_to_json(session)),
    )


def _json(value: object) -> Json:
    """An event's field as its JSON has it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(name): _json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return str(value)
