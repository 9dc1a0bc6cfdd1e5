"""What one change of the ledger takes from the accounts, until it is written.

Every debit and every run of actions goes through here: it is counted for the account's triggers,
and those whose threshold is reached run their actions, within the same change. What actions ask for
beyond the accounts (`effects`) becomes tasks and records of that change, so that it is neither lost
nor done for a change that was not made. What a trigger cannot do never undoes what set it off: it
is a `Mishap` of the change, for the log.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import uuid4

from trunkline.charging.actions import Circumstances, Effect, run_actions
from trunkline.charging.charges import Debit
from trunkline.charging.documents import reference_account
from trunkline.charging.event import Event, Scope
from trunkline.charging.model import Account, Movement
from trunkline.charging.rows import ActionRow
from trunkline.charging.triggers import count, run_triggers
from trunkline.elements.charging.afterwards import afterwards
from trunkline.elements.charging.effects import posted
from trunkline.elements.charging.rules import EventSources, Profiles
from trunkline.errors import TrunklineError
from trunkline.rating.call import Call
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.rating.tariff import Tariff
from trunkline.store.ledger.model import Change, RecordRow, TaskRow, View

__all__ = ["Booked", "Mishap", "Taken"]


@dataclass(frozen=True, slots=True)
class Mishap:
    """What a trigger or a row of an action plan could not do. The change it belongs to stands."""

    what: str
    """``trigger LOW of cgrates.org:1001``."""
    error: TrunklineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked(Change):
    """A change, and what went wrong beside it."""

    mishaps: tuple[Mishap, ...] = ()


C = TypeVar("C", bound=Booked)


class Taken:
    """What was taken so far: each part of a change sees what those before it left."""

    def __init__(self, view: View, rules: Profiles, tariff: Tariff, now: datetime) -> None:
        self._before = view.accounts
        self.accounts = dict(view.accounts)
        self.changed: dict[str, Account | None] = {}
        self.movements: list[Movement] = []
        self.mishaps: list[Mishap] = []
        self._effects: list[Effect] = []
        self._rules = rules
        self._tariff = tariff
        self._now = now

    def add(self, debit: Debit | None) -> None:
        """Count a debit in, and run the triggers that it sets off."""
        if debit is not None:
            self.move(debit.call, debit.accounts, debit.movements)

    def move(self, call: Call, accounts: Sequence[Account], movements: Sequence[Movement]) -> None:
        """Count in what a call takes or gives back; ``accounts`` are as they are afterwards."""
        self.movements += movements
        for account in accounts:
            self._put(account.key, account)
        key = f"{call.tenant}:{call.account}"
        caller = self.accounts.get(key)
        if caller is not None and caller.counters:
            self._put(key, count(self._tariff, caller, call, accounts, movements))
        for each in {key: None, **dict.fromkeys(account.key for account in accounts)}:
            self._trigger(each, movements)

    def act(
        self, key: str, rows: Iterable[ActionRow], reference: str = "", *, make: bool = False
    ) -> None:
        """Run actions on an account, and the triggers that they set off.

        Raises:
            TrunklineError: see `trunkline.charging.actions.run_actions`; nothing has changed.
        """
        account = self.accounts[key]
        if account is None and make:
            tenant, _, name = key.partition(":")
            account = Account(tenant=tenant, id=name)
        outcome = run_actions(account, rows, self._circumstances(key, reference))
        self._put(key, outcome.account)
        self.movements += outcome.movements
        self._effects += outcome.effects
        self._trigger(key, outcome.movements)

    def alter(self, key: str, change: Callable[[Account], Account]) -> None:
        """Have an account be what ``change`` makes of it; one that is not there is made.

        Triggers that this sets off run too.
        """
        tenant, _, name = key.partition(":")
        account = change(self.accounts[key] or Account(tenant=tenant, id=name))
        self._put(key, replace(account, updated=self._now))
        self._trigger(key, ())

    def into(self, change: C) -> C:
        """``change`` with all of it."""
        fresh: list[RecordRow | TaskRow] = []
        for effect in self._effects:
            try:
                fresh += posted(effect, self._now)
            except TrunklineError as problem:
                self.mishaps.append(Mishap(f"{effect.row.action} of {effect.row.id}", problem))
        for key, account in self.changed.items():
            fresh += afterwards(key, self._before[key], account, self._now)
        return replace(
            change,
            accounts={**change.accounts, **self.changed},
            movements=[*change.movements, *self.movements],
            fresh=[*change.fresh, *fresh],
            mishaps=(*change.mishaps, *self.mishaps),
        )

    def _put(self, key: str, account: Account | None) -> None:
        self.accounts[key] = self.changed[key] = account

    def _circumstances(self, key: str, reference: str) -> Circumstances:
        return Circumstances(
            now=self._now,
            new_uuid=lambda: str(uuid4()),
            zone=self._tariff.zone(key.partition(":")[0]),
            timings=self._rules.timings,
            passes=self._passes,
            reference=reference,
        )

    def _passes(self, row: ActionRow, account: Account | None) -> bool:
        """Whether an action's filters let it run; they look at the account, as ``*req``."""
        if not row.filters:
            return True
        tenant = DEFAULT_TENANT if account is None else account.tenant
        fields = {} if account is None else {**reference_account(account), "Account": account.id}
        sources = EventSources(self._tariff, self._rules.timings)
        scope = Scope(Event(tenant=tenant, fields=fields), self._now, sources)
        return self._rules.filters.condition(tenant, row.filters).holds(scope)

    def _trigger(self, key: str, movements: Iterable[Movement]) -> None:
        account = self.accounts.get(key)
        if account is None or not account.triggers:
            return
        changed: Container[str] = {each.balance for each in movements if each.account == key}
        try:
            fired = run_triggers(
                account, changed, self._rules.actions, self._circumstances(key, "")
            )
        except TrunklineError as problem:  # a trigger that means no balance at all
            self.mishaps.append(Mishap(f"triggers of {key}", problem))
            return
        if fired.account != account:
            self._put(key, fired.account)
        self.movements += fired.movements
        self._effects += fired.effects
        self.mishaps += [
            Mishap(
                f"trigger {each.trigger.row.unique_id or each.trigger.row.id} of {key}", each.error
            )
            for each in fired.failures
        ]
