"""The engine behind the charging methods: what an event costs whom, written to the ledger.

An event becomes runs (attributes, then chargers), a run asks its account's balances, and what comes
of it is one change of the ledger: accounts, movements, session and record together, or nothing.
The steps of sessions are in ``steps``, records in ``recorder``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, TypeVar

from trunkline.charging.attributes import Result
from trunkline.charging.charges import Payers
from trunkline.charging.event import Event, EventError, Sources
from trunkline.charging.model import Account
from trunkline.charging.sessions import (
    Granted,
    RequestType,
    Run,
    Session,
    SessionError,
    session_id,
)
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.rules import EventSources, Profiles
from trunkline.elements.charging.taken import Booked, Taken
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.rating.call import VOICE, Call
from trunkline.rating.model import DEFAULT_CATEGORY
from trunkline.rating.result import Json
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import (
    Duplicate,
    Keys,
    SessionRow,
    View,
    storable,
)

__all__ = [
    "DEFAULT_RUN",
    "Engine",
    "Step",
    "Unseen",
    "account_key",
    "check_texts",
    "session_row",
    "stored_session",
]

DEFAULT_RUN: Final = "*default"
_MEMBERS: Final = 1000  # accounts that share balances: each of their calls locks them all
B = TypeVar("B", bound=Booked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Booked):
    """A change, and what whoever asked for it is told."""

    session: Session | None = None
    granted: tuple[Granted, ...] = ()
    usage: int | None = None
    """What may be used from now on; ``None``: no limit is known, or the charging side ends it."""
    reason: str = ""
    """Why the charging side has ended the session; empty: it has not."""


class Unseen(Exception):  # noqa: N818 - a step finds out what it needs
    """A step needs accounts or records that are not among its keys."""

    def __init__(self, *, runs: Sequence[Run] = (), records: Sequence[str] = ()) -> None:
        super().__init__(runs, records)
        self.runs = runs
        """Their accounts."""
        self.records = records


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
        self.booked: Callable[[Booked], None] = lambda change: None
        """Told of every change that is on disk."""

    @property
    def profiles(self) -> Profiles:
        """The rules that count."""
        return self.rules.profiles

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

    def run_of(self, event: Event, run: str = DEFAULT_RUN) -> Run:
        """An event as it is charged where no charger forks it.

        Raises:
            EventError: a field is not what it must be.
        """
        return self._run(event, run, self.clock())

    def attributes(
        self, event: Event, context: str, profile_ids: Sequence[str] = ()
    ) -> Result | None:
        """What the attribute profiles of a context make of an event; ``None``: none matches.

        ``profile_ids``: these alone, as far as they match.
        """
        try:
            return self.profiles.attributes.process(
                event,
                self.clock(),
                context=context,
                profile_ids=profile_ids,
                sources=self.sources,
            )
        except EventError as problem:
            if problem.reference != "NOT_FOUND":
                raise
            return None

    def altered(self, event: Event, context: str) -> Event:
        """The event as the attribute profiles of a context make it; itself, where none matches."""
        found = self.attributes(event, context)
        return event if found is None else found.event

    def _run(self, event: Event, run: str, now: datetime) -> Run:
        tenant = event.tenant_or_default
        if ":" in tenant:  # the key of an account would be that of another tenant's
            raise EventError("charging.field", f"{tenant[:60]!r} is no tenant: a : ends it")
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
        check_texts({"OriginID": origin, "OriginHost": host})
        return session_id(origin, host), origin, host

    # Accounts

    async def accounts_of(self, runs: Iterable[Run]) -> dict[str, Account | None]:
        """The accounts that may pay for runs, as they are now, each read once.

        They are the runs' own, those that a run holds something of, and those that share a group
        with them.
        """
        own = dict.fromkeys(key for run in runs for key in _keys_of(run))
        found = dict((await self.book.load(Keys(accounts=list(own)))).view.accounts)
        groups: dict[str, dict[str, None]] = {}
        for account in found.values() if self.profiles.groups else ():
            for balance in account.balances if account is not None else ():
                for name in balance.shared_groups:
                    if account is not None and name in self.profiles.groups:
                        groups.setdefault(account.tenant, {})[name] = None
        for tenant, names in groups.items():
            others = await self.book.sharing(tenant, list(names), limit=_MEMBERS + 1)
            if len(others) > _MEMBERS:
                raise SessionError(
                    "charging.group-size",
                    f"more than {_MEMBERS} accounts share {', '.join(names)}: make smaller groups",
                )
            if more := [key for key in others if key not in found]:
                found |= (await self.book.load(Keys(accounts=more))).view.accounts
        return found

    async def keys_of(self, runs: Sequence[Run]) -> list[str]:
        """The keys of the accounts that may pay for runs."""
        if not self.profiles.groups:
            return list(dict.fromkeys(key for run in runs for key in _keys_of(run)))
        return list(await self.accounts_of(runs))

    def payers_of(self, run: Run, accounts: Mapping[str, Account | None]) -> Payers | None:
        """Who pays for a run, of these accounts; ``None``: its account is not there.

        Within a step that `write` was given, an account that was not looked at yet makes it begin
        again with that account among its keys: a stored session may have others than the event.
        """
        if any(key not in accounts for key in _keys_of(run)):
            raise Unseen(runs=(run,))
        own = accounts.get(account_key(run)) if run.call.account else None
        if own is None:
            return None
        members = [each for key, each in accounts.items() if each is not None and key != own.key]
        return Payers(account=own, members=members, groups=self.profiles.groups)

    def taken(self, view: View, now: float) -> Taken:
        """What a change takes from the accounts in ``view``."""
        moment = datetime.fromtimestamp(now, UTC)
        return Taken(view, self.profiles, self.tariffs.tariff, moment)

    async def write(
        self, keys: Keys, step: Callable[[View], B], *, once: str = "", expires: float = 0.0
    ) -> B | Duplicate:
        """Write what ``step`` makes of what is stored of ``keys``; see `Book.update`.

        What the step turns out to need beyond them is locked with them: it begins again, and
        sees all of it.
        """
        while True:
            try:
                done = await self.book.update(keys, step, once=once, expires=expires)
            except Unseen as unseen:
                accounts = dict.fromkeys([*keys.accounts, *await self.keys_of(unseen.runs)])
                records = dict.fromkeys([*keys.records, *unseen.records])
                keys = replace(keys, accounts=list(accounts), records=list(records))
            else:
                if isinstance(done, Duplicate):
                    return done
                self.booked(done.change)
                return done.change


def account_key(run: Run) -> str:
    """The key of a run's account."""
    return f"{run.call.tenant}:{run.call.account}"


def _keys_of(run: Run) -> Iterable[str]:
    """The accounts that a run cannot do without."""
    if run.call.account:
        yield account_key(run)
    yield from (taking.account for taking in run.taken)


def check_texts(fields: Mapping[str, str]) -> None:
    """See that every ledger takes these fields of an event.

    Raises:
        EventError: ``charging.field``.
    """
    for name, text in fields.items():
        if not storable(text):
            raise EventError(
                "charging.field",
                f"{name} {text[:60]!r} cannot be stored: it has more than 255 characters, or one"
                " that is none",
            )


def stored_session(row: SessionRow | None) -> Session | None:
    """The session that a row of the ledger is."""
    return None if row is None else row.session


def session_row(session: Session) -> SessionRow:
    """A session as the ledger keeps it: one that has ended is no account's."""
    payer = next(
        (run for run in session.runs if run.call.account and run.request_type.reserves), None
    )
    account = "" if payer is None or session.ended else account_key(payer)
    return SessionRow(account, session.look_at, session)


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
