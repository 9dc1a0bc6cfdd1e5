"""Action plans of accounts: a task of the ledger for each account and plan.

The task says when the account got the plan, and since when its rows have had their turn. What the
rows are is looked up when it is due: a plan that changes does so for every account that has it. The
account's own document says which plans it has; a task of a plan that its account has not is void.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import quote
from uuid import NAMESPACE_OID, uuid5

from trunkline.charging.actions import init_counters
from trunkline.charging.charges import AccountError
from trunkline.charging.model import Account, Trigger
from trunkline.charging.rows import AccountActionsRow, ActionPlanRow, ActionRow, ActionTriggerRow
from trunkline.charging.schedule import Schedule, parse_schedule
from trunkline.elements.charging.effects import document_of
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.taken import Booked, Mishap
from trunkline.errors import TrunklineError
from trunkline.rating.model import Timing
from trunkline.store.ledger.model import Keys, TaskRow, View

__all__ = ["NEVER", "PREFIX", "Gift", "Planned", "Plans", "prefix_of", "row_uuid"]

PREFIX: Final = "plan/"
"""Of the IDs of such tasks."""
NEVER: Final = 253_402_300_799.0
"""The due time of what is not due: the end of the year 9999."""
_PAGE: Final = 500
_AT_ONCE: Final = 50
"""Accounts that lose a plan side by side."""
_AHEAD: Final = timedelta(days=1)


def prefix_of(plan: str) -> str:
    """That of the IDs of a plan's tasks; the account's key follows."""
    return f"{PREFIX}{quote(plan, safe='*')}/"


def row_uuid(row: ActionPlanRow) -> str:
    """A name for a row of a plan, the same on every node."""
    return str(uuid5(NAMESPACE_OID, "\0".join((row.id, row.actions_id, row.timing_id))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An account's plan: the document of its task."""

    account: str
    """``tenant:id``."""
    plan: str
    given: datetime
    """Aware; ``*asap`` counts from then, ``*monthly`` is on that day."""
    since: datetime | None = None
    """What was due up to then has run; ``None``: nothing has."""

    @classmethod
    def of_task(cls, task: TaskRow) -> Planned:
        """The plan that a task is of.

        Raises:
            TrunklineError: ``charging.document``.
        """
        reader = document_of(task, "plan")
        given = reader.time("given")
        if given is None:
            raise TrunklineError("charging.document", f"{task.id}: plan.given is missing")
        return cls(
            account=reader.text("account"),
            plan=reader.text("plan"),
            given=given,
            since=reader.time("since"),
        )

    @property
    def task_id(self) -> str:
        """The ID of its task."""
        return f"{prefix_of(self.plan)}{self.account}"

    def task(self, due: float) -> TaskRow:
        """Its task."""
        document = {
            "account": self.account,
            "plan": self.plan,
            "given": self.given.isoformat(),
            **({} if self.since is None else {"since": self.since.isoformat()}),
        }
        return TaskRow(self.task_id, due, json.dumps(document))

    def next_of(
        self, row: ActionPlanRow, timings: Mapping[str, Timing], zone: tzinfo
    ) -> datetime | None:
        """When a row runs next, be it long ago; ``None``: never again.

        Raises:
            DecodeError: ``charging.schedule``.
        """
        schedule = parse_schedule(row.timing_id, timings, self.given, zone)
        if schedule.once:
            return self.given if self.since is None else None
        return schedule.after(self.since or self.given, zone)

    def due(
        self, rows: Iterable[ActionPlanRow], timings: Mapping[str, Timing], zone: tzinfo
    ) -> float:
        """When the next of its rows runs; rows that say no time are passed over."""
        due = NEVER
        for row in rows:
            try:
                moment = self.next_of(row, timings, zone)
            except TrunklineError:
                continue
            if moment is not None:
                due = min(due, moment.timestamp())
        return due

    def done(self, now: datetime) -> Planned:
        """When everything that was due has run."""
        return replace(self, since=now)

    def sound(self, now: datetime) -> Planned:
        """Itself; where a clock that was days ahead has had its turn, as if that were now."""
        ahead = self.since is not None and self.since > now + _AHEAD
        return self.done(now) if ahead else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """What an account gets."""

    plans: Sequence[str] = ()
    """A plan that it has is not given again."""
    only: bool = False
    """It loses its other plans."""
    triggers: Sequence[str] = ()
    """IDs of triggers. One that it has stays as it is, and whether it has run."""
    only_triggers: bool = False
    """It loses its other triggers."""
    allow_negative: bool | None = None
    disabled: bool | None = None

    @classmethod
    def of_row(cls, row: AccountActionsRow) -> Gift:
        """What a row of AccountActions.csv gives."""
        return cls(
            plans=[row.action_plan] if row.action_plan else [],
            only=bool(row.action_plan),
            triggers=[row.action_triggers] if row.action_triggers else [],
            only_triggers=bool(row.action_triggers),
            allow_negative=row.allow_negative,
            disabled=row.disabled,
        )


class Plans:
    """The plans of the accounts in the ledger of ``engine``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(self, task: TaskRow) -> bool:
        """Give an account's plan its turn; whether an action ran."""
        engine = self._engine
        planned = Planned.of_task(task)
        now = self._engine.clock()
        ran = 0

        def step(view: View) -> Booked:
            nonlocal ran
            ran = 0
            time = now.timestamp()
            current = view.tasks[task.id]
            if current is None or current.document != task.document:
                return Booked(time=time)  # another node was faster
            account = view.accounts[planned.account]
            if account is None or planned.plan not in account.plans:
                return Booked(time=time, tasks={task.id: None})
            rows = engine.profiles.plans.get(planned.plan)
            if rows is None:  # it may come again
                return Booked(time=time, tasks={task.id: planned.task(NEVER)})
            due, mishaps = self._due_rows(planned, rows, now)
            taken = engine.taken(view, time)
            for row in due:
                if taken.accounts[planned.account] is None:
                    break
                try:
                    taken.act(planned.account, self._actions(row), row.actions_id)
                    ran += 1
                except TrunklineError as problem:
                    mishaps.append(Mishap(f"{_named(row)} for {planned.account}", problem))
            after: TaskRow | None = None
            if taken.accounts[planned.account] is not None:
                after = self.task(planned.done(now), rows)
            return taken.into(Booked(time=time, tasks={task.id: after}, mishaps=tuple(mishaps)))

        await engine.write(Keys(accounts=[planned.account], tasks=[task.id]), step)
        return ran > 0

    def _due_rows(
        self, planned: Planned, rows: Iterable[ActionPlanRow], now: datetime
    ) -> tuple[list[ActionPlanRow], list[Mishap]]:
        """The rows whose time has come, heaviest first."""
        zone = self._engine.tariffs.tariff.zone(planned.account.partition(":")[0])
        found: list[ActionPlanRow] = []
        mishaps: list[Mishap] = []
        for row in sorted(rows, key=lambda each: each.weight, reverse=True):
            try:
                moment = planned.next_of(row, self._engine.profiles.timings, zone)
            except TrunklineError as problem:
                mishaps.append(Mishap(f"{_named(row)} for {planned.account}", problem))
                continue
            if moment is not None and moment <= now:
                found.append(row)
        return found, mishaps

    def _actions(self, row: ActionPlanRow) -> Sequence[ActionRow]:
        found = self._engine.profiles.actions.get(row.actions_id)
        if found is None:
            raise TrunklineError(
                "charging.plan-actions",
                f"{_named(row)} runs {row.actions_id}, which is not there; add it to Actions.csv",
            )
        return found

    def task(self, planned: Planned, rows: Iterable[ActionPlanRow]) -> TaskRow:
        """The task of an account's plan, as its rows are."""
        engine = self._engine
        zone = engine.tariffs.tariff.zone(planned.account.partition(":")[0])
        return planned.task(planned.due(rows, engine.profiles.timings, zone))

    async def execute(self, rows: Sequence[ActionPlanRow], key: str, *, make: bool = False) -> None:
        """Run rows of plans for an account now, whatever their time, all or none.

        The time of the next turn stays. One that is not there is made, or left alone.

        Raises:
            TrunklineError: what an action could not do.
        """
        engine = self._engine
        now = engine.clock().timestamp()

        def step(view: View) -> Booked:
            taken = engine.taken(view, now)
            for row in rows if make or view.accounts[key] is not None else ():
                taken.act(key, self._actions(row), row.actions_id, make=make)
            return taken.into(Booked(time=now))

        await engine.write(Keys(accounts=[key]), step)

    def timed(self, plan: str) -> list[tuple[ActionPlanRow, Schedule]]:
        """The rows of a plan that come again, heaviest first, and when.

        Raises:
            AccountError: there is no such plan.
            DecodeError: ``charging.schedule``.
        """
        engine = self._engine
        ordered = sorted(self.rows(plan), key=lambda each: each.weight, reverse=True)
        found = [
            (row, parse_schedule(row.timing_id, engine.profiles.timings, engine.clock()))
            for row in ordered
        ]
        return [(row, schedule) for row, schedule in found if not schedule.once]

    async def remove(self, key: str) -> bool:
        """Remove an account, with the plans that it has; False: it is not there."""
        engine = self._engine
        loaded = (await engine.book.load(Keys(accounts=[key]))).view.accounts[key]
        if loaded is None:
            return False
        names = [f"{prefix_of(plan)}{key}" for plan in loaded.plans]
        now = engine.clock().timestamp()

        def step(view: View) -> Booked:
            taken = engine.taken(view, now)
            if view.accounts[key] is not None:
                taken.act(key, [ActionRow(id="", action="*remove_account")])
            return taken.into(Booked(time=now, tasks=dict.fromkeys(names)))

        await engine.write(Keys(accounts=[key], tasks=names), step)
        return True

    async def withdraw(self, plan: str) -> None:
        """Take a plan from all who have it."""
        some: list[str] = []
        async for planned, _ in self.planned(plan):
            some.append(planned.account)
            if len(some) == _AT_ONCE:
                await asyncio.gather(*(self.take_away(key, plan) for key in some))
                some = []
        await asyncio.gather(*(self.take_away(key, plan) for key in some))

    async def planned(self, plan: str = "") -> AsyncIterator[tuple[Planned, TaskRow]]:
        """The accounts' plans, of one plan or of all."""
        prefix, after = prefix_of(plan) if plan else PREFIX, ""
        book = self._engine.book
        while page := await book.tasks(prefix, after=after, limit=_PAGE):
            after = page[-1].id
            found: list[tuple[Planned, TaskRow]] = []
            for task in page:
                with suppress(TrunklineError):  # its turn tells of it
                    found.append((Planned.of_task(task), task))
            keys = Keys(accounts=list(dict.fromkeys(planned.account for planned, _ in found)))
            accounts = (await book.load(keys)).view.accounts
            for planned, task in found:
                account = accounts[planned.account]
                if account is not None and planned.plan in account.plans:
                    yield planned, task

    async def of_account(self, key: str) -> AsyncIterator[tuple[Planned, TaskRow]]:
        """The plans of one account."""
        book = self._engine.book
        account = (await book.load(Keys(accounts=[key]))).view.accounts[key]
        names = [f"{prefix_of(plan)}{key}" for plan in (() if account is None else account.plans)]
        tasks = (await book.load(Keys(tasks=names))).view.tasks if names else {}
        for task in tasks.values():
            if task is not None:
                yield Planned.of_task(task), task

    def next_of(self, planned: Planned, row: ActionPlanRow) -> datetime | None:
        """When a row of an account's plan runs next; ``None``: never, or nobody knows."""
        engine = self._engine
        zone = engine.tariffs.tariff.zone(planned.account.partition(":")[0])
        try:
            return planned.next_of(row, engine.profiles.timings, zone)
        except TrunklineError:
            return None

    # What accounts get

    async def give(self, key: str, gift: Gift) -> None:
        """Have an account get something; it is made where it is not there.

        Raises:
            AccountError: a plan or triggers that are not there; nothing has changed.
        """
        loaded = await self._engine.book.load(Keys(accounts=[key]))
        await self.give_lately(key, gift, loaded.view.accounts[key])

    async def give_lately(self, key: str, gift: Gift, there: Account | None) -> None:
        """The same, where ``there`` is the account as it was lately."""
        engine = self._engine
        triggers = [row for name in gift.triggers for row in self.triggers(name)]
        rows = {plan: self.rows(plan) for plan in gift.plans}
        lost = [
            f"{prefix_of(plan)}{key}"
            for plan in (() if there is None else there.plans)
            if gift.only and plan not in gift.plans
        ]
        now = self._engine.clock()
        given = [Planned(account=key, plan=plan, given=now) for plan in gift.plans]

        def step(view: View) -> Booked:
            before = view.accounts[key]
            held = () if before is None else before.plans
            tasks: dict[str, TaskRow | None] = dict.fromkeys(lost)
            for planned in given:
                if planned.plan not in held:
                    tasks[planned.task_id] = self.task(planned, rows[planned.plan])
            if before is not None and not tasks and _with(before, gift, triggers) == before:
                return Booked(time=now.timestamp())
            taken = engine.taken(view, now.timestamp())
            taken.alter(key, lambda account: _with(account, gift, triggers))
            return taken.into(Booked(time=now.timestamp(), tasks=tasks))

        tasks = [*lost, *(planned.task_id for planned in given)]
        await engine.write(Keys(accounts=[key], tasks=tasks), step)

    async def take_away(self, key: str, plan: str) -> None:
        """Have an account lose a plan."""
        name = f"{prefix_of(plan)}{key}"
        now = self._engine.clock().timestamp()

        def step(view: View) -> Booked:
            taken = self._engine.taken(view, now)
            account = view.accounts[key]
            if account is not None and plan in account.plans:
                kept = tuple(each for each in account.plans if each != plan)
                taken.alter(key, lambda before: replace(before, plans=kept))
            return taken.into(Booked(time=now, tasks={name: None}))

        await self._engine.write(Keys(accounts=[key], tasks=[name]), step)

    def rows(self, plan: str) -> Sequence[ActionPlanRow]:
        """The rows of a plan.

        Raises:
            AccountError: ``charging.plan-unknown``.
        """
        rows = self._engine.profiles.plans.get(plan)
        if rows is None:
            raise _unknown("action plan", plan, "ActionPlans.csv")
        return rows

    def triggers(self, name: str) -> Sequence[ActionTriggerRow]:
        """The triggers of an ID.

        Raises:
            AccountError: ``charging.plan-unknown``.
        """
        rows = self._engine.profiles.triggers.get(name)
        if rows is None:
            raise _unknown("action trigger", name, "ActionTriggers.csv")
        return rows

    def lacks(self, account: Account | None, gift: Gift) -> bool:
        """Whether an account would change by a gift.

        Raises:
            AccountError: a plan or triggers that are not there.
        """
        triggers = [row for name in gift.triggers for row in self.triggers(name)]
        for plan in gift.plans:
            self.rows(plan)
        return account is None or _with(account, gift, triggers) != account


def _named(row: ActionPlanRow) -> str:
    return f"{row.source or 'the row'}: {row.actions_id} of the action plan {row.id}"


def _unknown(what: str, name: str, file: str) -> AccountError:
    return AccountError(
        "charging.plan-unknown",
        f"there is no {what} {name[:60]!r}; add it to {file}",
        reference="NOT_FOUND",
    )


def _with(account: Account, gift: Gift, rows: Sequence[ActionTriggerRow]) -> Account:
    """An account with what it gets."""
    kept = () if gift.only else tuple(each for each in account.plans if each not in gift.plans)
    if gift.only or gift.plans:
        account = replace(account, plans=(*kept, *dict.fromkeys(gift.plans)))
    if rows or gift.only_triggers:
        account = _triggered(account, rows, only=gift.only_triggers)
    return replace(
        account,
        allow_negative=account.allow_negative
        if gift.allow_negative is None
        else gift.allow_negative,
        disabled=account.disabled if gift.disabled is None else gift.disabled,
    )


def _triggered(account: Account, rows: Sequence[ActionTriggerRow], *, only: bool) -> Account:
    """An account with triggers; of one that it has, what it has done so far stays."""
    plain = [replace(row, source=None) for row in rows]
    there = {trigger.row: trigger for trigger in account.triggers}
    given = [there.get(row, Trigger(row=row)) for row in plain]
    kept = () if only else tuple(each for each in account.triggers if each.row not in plain)
    return init_counters(replace(account, triggers=(*kept, *given)))
