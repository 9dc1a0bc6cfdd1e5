"""``SchedulerSv1``, and what ``APIerSv1`` says of action plans that accounts have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

from trunkline.charging.rows import ActionPlanRow
from trunkline.elements.charging.arguments import Instant
from trunkline.elements.charging.balances import key_of
from trunkline.elements.charging.changes import refusing_rules
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.plans import Plans, row_uuid
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.rulebook import Row
from trunkline.elements.charging.scheduler import Scheduler
from trunkline.elements.charging.sessions import stamp
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.store.guard import StoreUnavailable

__all__ = ["Schedules"]

_MOST: Final = 1000
"""Turns that one request may have run again."""
_YEAR_1: Final = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantAccount:
    """Which account."""

    tenant: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrRemoveActionTiming:
    """A plan of one account, a row of a plan, or a plan."""

    action_plan_id: str = field(default="", metadata={"name": "ActionPlanId"})
    action_timing_id: str = field(default="", metadata={"name": "ActionTimingId"})
    tenant: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgsGetScheduledActions:
    """Which turns to come."""

    tenant: str = ""
    account: str = ""
    time_start: Instant | None = None
    time_end: Instant | None = None
    limit: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrsExecuteScheduledActions:
    """A plan, or all turns between two times."""

    action_plan_id: str = field(default="", metadata={"name": "ActionPlanID"})
    time_start: Instant | None = None
    time_end: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrsExecuteActionPlans:
    """Plans to run for an account."""

    tenant: str = ""
    account_id: str = field(default="", metadata={"name": "AccountID"})
    action_plan_ids: tuple[str, ...] = field(default=(), metadata={"name": "ActionPlanIDs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """An argument of which nothing matters."""

    tenant: str = ""


class Schedules:
    """The plans that accounts have, and when their turns are."""

    def __init__(self, engine: Engine, scheduler: Scheduler) -> None:
        self._engine = engine
        self._scheduler = scheduler
        self._plans = Plans(engine)

    @method("APIerSv1.GetAccountActionPlan", mandatory=("Account",))
    async def of_account(self, args: TenantAccount) -> Json:
        """The rows of the plans of an account, and when they run next."""
        key = key_of(args.tenant, args.account)
        found: list[Json] = []
        async for planned, _ in self._plans.of_account(key):
            for row in self._engine.profiles.plans.get(planned.plan, ()):
                moment = self._plans.next_of(planned, row)
                found.append(
                    {
                        "ActionPlanId": planned.plan,
                        "Uuid": row_uuid(row),
                        "ActionsId": row.actions_id,
                        "NextExecTime": _YEAR_1 if moment is None else stamp(moment.timestamp()),
                    }
                )
        return found

    @method("APIerSv1.RemoveActionTiming", mandatory=("ActionPlanId",))
    async def remove(self, args: AttrRemoveActionTiming) -> Json:
        """Take a plan from an account; without one, a row from the plan; else the plan."""
        rules = self._engine.rules
        if args.action_plan_id not in self._engine.profiles.plans:
            raise ApiError("SERVER_ERROR: NOT_FOUND")
        if args.account:
            key = key_of(args.tenant, args.account)
            await self._plans.take_away(key, args.action_plan_id)
            return "OK"
        left: Sequence[Row] = ()

        def work(held: Sequence[Row]) -> Sequence[Row]:
            nonlocal left
            of_plan = cast("Sequence[ActionPlanRow]", held) if args.action_timing_id else ()
            left = [row for row in of_plan if row_uuid(row) != args.action_timing_id]
            return left

        with refusing_rules():
            await rules.edit("ActionPlans", "", args.action_plan_id, work)
        if not left:
            await self._plans.withdraw(args.action_plan_id)
        return "OK"

    @method("APIerSv1.GetScheduledActions", "APIerSv2.GetScheduledActions")
    async def scheduled(self, args: ArgsGetScheduledActions) -> Json:
        """The turns to come: of each row and time, for how many accounts."""
        counts: dict[tuple[datetime, str, ActionPlanRow], int] = {}
        async for planned, _ in self._plans.planned():
            tenant, _, account = planned.account.partition(":")
            if args.tenant not in ("", tenant) or args.account not in ("", account):
                continue
            for row in self._engine.profiles.plans.get(planned.plan, ()):
                moment = self._plans.next_of(planned, row)
                if moment is None or not _between(moment, args.time_start, args.time_end):
                    continue
                place = moment, planned.plan, row
                counts[place] = counts.get(place, 0) + 1
        ordered = sorted(counts, key=lambda each: (each[0], each[1], -each[2].weight))
        start = max(args.offset or 0, 0)
        page = ordered[start : start + args.limit if args.limit and args.limit > 0 else None]
        return [
            {
                "NextRunTime": stamp(moment.timestamp()),
                "Accounts": counts[moment, plan, row],
                "ActionPlanID": plan,
                "ActionTimingUUID": row_uuid(row),
                "ActionsID": row.actions_id,
            }
            for moment, plan, row in page
        ]

    @method("APIerSv1.ExecuteScheduledActions", "SchedulerSv1.ExecuteActions")
    async def execute(self, args: AttrsExecuteScheduledActions) -> Json:
        """Run a plan for all who have it, or all that would run between two times, now."""
        plans = self._engine.profiles.plans
        turns: list[tuple[datetime, str, ActionPlanRow]] = []
        now = self._engine.clock()
        if args.action_plan_id:
            if args.action_plan_id not in plans:
                raise ApiError("NOT_FOUND")
            turns += [
                (now, args.action_plan_id, row) for row, _ in self._plans.timed(args.action_plan_id)
            ]
        if args.time_start is not None and args.time_end is not None:
            turns += self._turns(args.time_start.time, args.time_end.time)
        failed: TrunklineError | None = None
        for _, plan, row in turns:
            async for planned, _ in self._plans.planned(plan):
                try:
                    await self._plans.execute([row], planned.account)
                except StoreUnavailable:
                    raise
                except TrunklineError as problem:  # the others have their turn all the same
                    failed = failed or problem
        if failed is not None:
            raise failed
        return "OK"

    def _turns(self, start: datetime, end: datetime) -> list[tuple[datetime, str, ActionPlanRow]]:
        found: list[tuple[datetime, str, ActionPlanRow]] = []
        for plan in self._engine.profiles.plans:
            for row, schedule in self._plans.timed(plan):
                moment = schedule.after(start)
                while moment is not None and moment <= end:
                    found.append((moment, plan, row))
                    if len(found) > _MOST:
                        raise ApiError(
                            f"SERVER_ERROR: more than {_MOST} turns are between these times; ask"
                            " for less"
                        )
                    moment = schedule.after(moment)
        return sorted(found, key=lambda each: (each[0], -each[2].weight))

    @method("SchedulerSv1.ExecuteActionPlans", mandatory=("ActionPlanIDs", "AccountID"))
    async def execute_plans(self, args: AttrsExecuteActionPlans) -> Json:
        """Run all rows of plans for an account, now; it does not get the plans."""
        key = key_of(args.tenant, args.account_id)
        plans = self._engine.profiles.plans
        if any(name not in plans for name in args.action_plan_ids):
            raise ApiError("NOT_FOUND")
        for name in args.action_plan_ids:
            rows = sorted(plans[name], key=lambda each: each.weight, reverse=True)
            await self._plans.execute(rows, key, make=True)
        return "OK"

    @method("SchedulerSv1.Reload", "APIerSv1.ComputeAccountActionPlans")
    def reload(self, args: Nothing) -> Json:
        """Look at once for what is due; nothing has to be read or computed anew."""
        self._scheduler.wake()
        return "OK"


def _between(moment: datetime, start: Instant | None, end: Instant | None) -> bool:
    return (start is None or moment >= start.time) and (end is None or moment < end.time)
