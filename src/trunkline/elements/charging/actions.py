"""``APIerSv1`` and ``APIerSv2``: actions, action plans and action triggers, as rules of their own.

What is set is made into the rows that a file would have of it, and kept by the `RuleBook`: it
counts on every node, and for every account that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final, TypeVar, cast
from uuid import uuid4

from trunkline.charging.actions import ACTIONS, value_of
from trunkline.charging.documents import reference_trigger
from trunkline.charging.event import number_text
from trunkline.charging.model import Trigger
from trunkline.charging.rows import ActionPlanRow, ActionRow, ActionTriggerRow, BalanceRow
from trunkline.charging.schedule import Schedule, parse_schedule
from trunkline.charging.triggers import THRESHOLDS, named
from trunkline.elements.charging.arguments import ArgumentError
from trunkline.elements.charging.balances import Members
from trunkline.elements.charging.changes import refusing_rules
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.plans import Plans, row_uuid
from trunkline.elements.charging.registry import ApiError, method
from trunkline.elements.charging.rulebook import Row
from trunkline.errors import DecodeError, TrunklineError
from trunkline.jsonrpc import Json
from trunkline.jsonrpc.messages import INVALID_PARAMS
from trunkline.rating.model import BUILT_IN_TIMINGS, DEFAULT_TENANT, Timing
from trunkline.rating.times import parse_time

__all__ = ["Actions", "new_trigger", "trigger_row"]

_T = TypeVar("_T")
_YEAR_1: Final = "0001-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetActions:
    """Actions of one ID. Numbers and truths of each may be text."""

    actions_id: str = field(default="", metadata={"name": "ActionsId"})
    overwrite: bool = False
    actions: tuple[Mapping[str, Json], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrActionIds:
    """Which actions."""

    action_ids: tuple[str, ...] = field(default=(), metadata={"name": "ActionIDs"})
    offset: int = 0
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrActionPlan:
    """A row of an action plan: when, in words of files (``TimingID``) or one by one."""

    actions_id: str = field(default="", metadata={"name": "ActionsId"})
    timing_id: str = field(default="", metadata={"name": "TimingID"})
    years: str = ""
    months: str = ""
    month_days: str = ""
    week_days: str = ""
    time: str = ""
    weight: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetActionPlan:
    """An action plan."""

    id: str = field(default="", metadata={"name": "Id"})
    action_plan: tuple[AttrActionPlan, ...] = ()
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetActionPlan:
    """Which action plan."""

    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrGetActionTriggers:
    """Which action triggers; none: all."""

    group_ids: tuple[str, ...] = field(default=(), metadata={"name": "GroupIDs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSetActionTrigger:
    """An action trigger."""

    group_id: str = field(default="", metadata={"name": "GroupID"})
    unique_id: str = field(default="", metadata={"name": "UniqueID"})
    action_trigger: Mapping[str, Json] = field(default_factory=dict)


class Actions:
    """Actions, plans and triggers among the rules of ``engine``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plans = Plans(engine)

    # Actions

    @method("APIerSv1.SetActions", "APIerSv2.SetActions", mandatory=("ActionsId", "Actions"))
    async def set_actions(self, args: AttrSetActions) -> Json:
        """Have these be the actions of an ID."""
        rows = [_action(args.actions_id, Members(_said(each))) for each in args.actions]
        for row in rows:
            self._check(row)
        await self._set("Actions", args.actions_id, rows, overwrite=args.overwrite)
        return "OK"

    async def _set(self, kind: str, rule_id: str, rows: Sequence[Row], *, overwrite: bool) -> None:
        def work(held: Sequence[Row]) -> Sequence[Row]:
            if held and not overwrite:
                raise ApiError("EXISTS")
            return rows

        with refusing_rules():
            await self._engine.rules.edit(kind, "", rule_id, work)

    def _check(self, row: ActionRow) -> None:
        """Refuse what could never run."""
        profiles, now = self._engine.profiles, self._engine.clock()
        inline = [each for each in row.filters if each.startswith("*")]
        try:
            value_of(row, now)
            parse_time(row.balance.expires, self._engine.tariffs.tariff.time_zone, now)
            profiles.filters.condition(DEFAULT_TENANT, inline)
        except TrunklineError as problem:
            raise ApiError(f"SERVER_ERROR: {problem.message}", INVALID_PARAMS) from None
        for name in row.balance.timings or ():
            if name not in profiles.timings and name not in BUILT_IN_TIMINGS:
                raise ApiError(f"BROKEN_REFERENCE:{name}")

    @method("APIerSv1.GetActions")
    def actions(self, args: str) -> Json:
        """The actions of an ID."""
        rows = self._engine.profiles.actions.get(args)
        if not rows:
            raise ApiError("SERVER_ERROR: NOT_FOUND")
        return [_action_reply(row) for row in rows]

    @method("APIerSv2.GetActions")
    def actions_by_id(self, args: AttrActionIds) -> Json:
        """Actions by their IDs."""
        held = self._engine.profiles.actions
        names = [each for each in args.action_ids if each] or sorted(held)
        start = max(args.offset, 0)
        page = names[start : start + args.limit if args.limit > 0 else None]
        if any(name not in held for name in page):
            raise ApiError("SERVER_ERROR: NOT_FOUND")
        return {name: [_engine_action(row) for row in held[name]] for name in page}

    @method("APIerSv1.RemoveActions", mandatory=("ActionIDs",))
    async def remove_actions(self, args: AttrActionIds) -> Json:
        """Remove actions that no plan and no trigger runs."""
        for name in args.action_ids:
            with refusing_rules():
                if not await self._engine.rules.remove("Actions", "", name):
                    raise ApiError("NOT_FOUND")
        return "OK"

    # Action plans

    @method("APIerSv1.SetActionPlan", mandatory=("Id", "ActionPlan"))
    async def set_plan(self, args: AttrSetActionPlan) -> Json:
        """Have these be the rows of a plan, for those who have it too."""
        profiles = self._engine.profiles
        rows = []
        for each in args.action_plan:
            missing = [
                name
                for name, value in (
                    ("ActionsId", each.actions_id),
                    ("Time", each.time or each.timing_id),
                    ("Weight", each.weight),
                )
                if not value
            ]
            if missing:
                raise ApiError(
                    f"MANDATORY_IE_MISSING:Action:{each.actions_id}:[{' '.join(missing)}]",
                    INVALID_PARAMS,
                )
            if each.actions_id not in profiles.actions:
                raise ApiError(f"BROKEN_REFERENCE:{each.actions_id}")
            timing = each.timing_id or _plan_timing(each)
            try:
                parse_schedule(timing, profiles.timings, self._engine.clock())
            except DecodeError:
                raise ApiError(
                    f"UNSUPPORTED_FORMAT:{each.timing_id or each.time}", INVALID_PARAMS
                ) from None
            rows.append(
                ActionPlanRow(
                    id=args.id, actions_id=each.actions_id, timing_id=timing, weight=each.weight
                )
            )
        await self._set("ActionPlans", args.id, rows, overwrite=args.overwrite)
        return "OK"

    @method("APIerSv1.GetActionPlan")
    async def plan(self, args: AttrGetActionPlan) -> Json:
        """A plan with the accounts that have it; without an ID, all plans."""
        plans = self._engine.profiles.plans
        names = sorted(plans) if args.id in ("", "*") else [args.id]
        if any(name not in plans for name in names):
            raise ApiError("NOT_FOUND")
        found: list[Json] = []
        for name in names:
            accounts = {planned.account: True async for planned, _ in self._plans.planned(name)}
            rows: list[Json] = [self._plan_row(row) for row in plans[name]]
            found.append({"Id": name, "AccountIDs": dict(accounts) or None, "ActionTimings": rows})
        return found

    @method("APIerSv1.GetActionPlanIDs")
    def plan_ids(self, args: AttrActionIds) -> Json:
        """The IDs of the plans."""
        names = sorted(self._engine.profiles.plans)
        if not names:
            raise ApiError("NOT_FOUND")
        start = max(args.offset, 0)
        return list(names[start : start + args.limit if args.limit > 0 else None])

    @method("APIerSv1.RemoveActionPlan", mandatory=("ID",))
    async def remove_plan(self, args: AttrGetActionPlan) -> Json:
        """Remove a plan, and take it from those who have it."""
        with refusing_rules():
            if not await self._engine.rules.remove("ActionPlans", "", args.id):
                raise ApiError("NOT_FOUND")
        await self._plans.withdraw(args.id)
        return "OK"

    def _plan_row(self, row: ActionPlanRow) -> Json:
        timing = _timing_reply(row, self._engine.profiles.timings, self._engine.clock())
        return {
            "Uuid": row_uuid(row),
            "Timing": {"Timing": timing, "Rating": None, "Weight": 0},
            "ActionsID": row.actions_id,
            "Weight": _number(row.weight),
        }

    # Action triggers

    @method("APIerSv1.SetActionTrigger", mandatory=("GroupID",))
    async def set_trigger(self, args: AttrSetActionTrigger) -> Json:
        """Have a trigger be what is said, or add one to its group."""
        said = Members(args.action_trigger)
        now = self._engine.clock()
        zone = self._engine.tariffs.tariff.time_zone
        fresh_id = args.unique_id or str(uuid4())

        def work(rows: Sequence[Row]) -> Sequence[Row]:
            held = named(cast("Sequence[ActionTriggerRow]", rows))
            for index, row in enumerate(held):
                if args.unique_id and row.unique_id == args.unique_id:
                    changed = trigger_row(said, row, now, zone)
                    return [*held[:index], changed, *held[index + 1 :]]
            fresh = new_trigger(args.group_id, fresh_id, said)
            return [*held, trigger_row(said, fresh, now, zone)]

        with refusing_rules():
            await self._engine.rules.edit("ActionTriggers", "", args.group_id, work)
        return "OK"

    @method("APIerSv1.GetActionTriggers")
    def triggers(self, args: AttrGetActionTriggers) -> Json:
        """The triggers of some groups, or all."""
        held = self._engine.profiles.triggers
        names = args.group_ids or sorted(held)
        if any(name not in held for name in names):
            raise ApiError("NOT_FOUND")
        return [reference_trigger(Trigger(row=row)) for name in names for row in held[name]]

    @method("APIerSv1.RemoveActionTrigger", mandatory=("GroupID",))
    async def remove_trigger(self, args: AttrSetActionTrigger) -> Json:
        """Remove a trigger, or all of a group; accounts keep those that they have."""

        def work(rows: Sequence[Row]) -> Sequence[Row]:
            if not rows:
                raise ApiError("NOT_FOUND")
            held = named(cast("Sequence[ActionTriggerRow]", rows))
            return [row for row in held if args.unique_id and row.unique_id != args.unique_id]

        with refusing_rules():
            await self._engine.rules.edit("ActionTriggers", "", args.group_id, work)
        return "OK"


# Rows of what is said


def _said(members: Mapping[str, Json]) -> Mapping[str, Json]:
    """Without those that are an empty text: as in a file, they say nothing."""
    return {name: value for name, value in members.items() if value != ""}


def _action(actions_id: str, said: Members) -> ActionRow:
    action = said.text("Identifier") or ""
    units, weight = said.text("Units"), said.number("Weight")
    missing = [
        name
        for name, there in (
            ("Identifier", action),
            ("Weight", weight),
            ("Units", units or not said.text("BalanceType")),
        )
        if not there
    ]
    if missing:
        raise ApiError(
            f"MANDATORY_IE_MISSING:Action:{action}:[{' '.join(missing)}]", INVALID_PARAMS
        )
    if action not in ACTIONS:
        raise ApiError(
            f"SERVER_ERROR: {action[:60]!r} is none of {', '.join(sorted(ACTIONS))}",
            INVALID_PARAMS,
        )
    formula = units if units is not None and units.startswith(("{", "*")) else ""
    return ActionRow(
        id=actions_id,
        action=action,
        extra=said.text("ExtraParameters") or "",
        filters=said.words("Filters") or said.words("Filter") or (),
        balance=BalanceRow(
            id=said.text("BalanceId") or None,
            uuid=said.text("BalanceUuid") or None,
            type=said.text("BalanceType") or "",
            value=None if formula or not units else said.amount("Units"),
            value_text=formula,
            expires=said.text("ExpiryTime") or "",
            timings=said.words("TimingTags") or None,
            destinations=said.words("DestinationIds") or None,
            rating_subject=said.text("RatingSubject") or None,
            categories=said.words("Categories") or None,
            shared_groups=said.words("SharedGroups") or None,
            weight=said.number("BalanceWeight"),
            blocker=said.flag("BalanceBlocker"),
            disabled=said.flag("BalanceDisabled"),
        ),
        weight=weight or Decimal(0),
    )


def _plan_timing(said: AttrActionPlan) -> str:
    """When a row of a plan runs, as files have it: a word, or an expression of cron."""
    parts = said.time.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return said.time
    hour, minute, second = parts

    def some(text: str) -> str:
        words = [word.strip() for word in text.split(";") if word.strip()]
        return "*" if words in ([], ["*any"]) else ",".join(words)

    years, months, days = some(said.years), some(said.months), some(said.month_days)
    week = some(said.week_days)
    if years != "*" and months == "*":
        months = "1"
    if months != "*" and days == "*" and week == "*":
        days = "1"
    return " ".join((second, minute, hour, days, months, week, years))


def new_trigger(group: str, unique: str, said: Members) -> ActionTriggerRow:
    """A trigger that says nothing yet.

    Raises:
        ApiError: it has no group, or it is not said what it waits for.
    """
    if not group:
        raise ApiError("MANDATORY_IE_MISSING: [GroupID]", INVALID_PARAMS)
    missing = [name for name in ("ThresholdType", "ThresholdValue") if not said.says(name)]
    if missing:
        raise ApiError(f"MANDATORY_IE_MISSING: [{' '.join(missing)}]", INVALID_PARAMS)
    return ActionTriggerRow(
        id=group, unique_id=unique, threshold_type="", threshold_value=Decimal(0)
    )


def trigger_row(
    said: Members, row: ActionTriggerRow, now: datetime, zone: tzinfo
) -> ActionTriggerRow:
    """A trigger with what is said; what is not said stays.

    Raises:
        ApiError: a member is not what it has to be.
    """
    kind = said.text("ThresholdType")
    if kind is not None and kind not in THRESHOLDS:
        raise ApiError(
            f"SERVER_ERROR: {kind[:60]!r} is none of {', '.join(sorted(THRESHOLDS))}",
            INVALID_PARAMS,
        )
    balance = row.balance
    words = {
        own: said.words(name)
        for name, own in (
            ("BalanceDestinationIds", "destinations"),
            ("BalanceTimingTags", "timings"),
            ("BalanceCategories", "categories"),
            ("BalanceSharedGroups", "shared_groups"),
        )
        if said.says(name)
    }
    texts = {
        own: said.text(name)
        for name, own in (
            ("BalanceID", "id"),
            ("BalanceType", "type"),
            ("BalanceRatingSubject", "rating_subject"),
            ("BalanceExpirationDate", "expires"),
        )
        if said.says(name)
    }
    flags = {
        own: said.flag(name)
        for name, own in (("BalanceBlocker", "blocker"), ("BalanceDisabled", "disabled"))
        if said.says(name)
    }
    sleep = said.amount("MinSleep")
    return replace(
        row,
        source=None,
        threshold_type=row.threshold_type if kind is None else kind,
        threshold_value=_given(said.number("ThresholdValue"), row.threshold_value),
        recurrent=_given(said.flag("Recurrent"), row.recurrent),
        min_sleep=row.min_sleep if sleep is None else int(sleep),
        expires=_moment(said, "ExpirationDate", row.expires, now, zone),
        activation=_moment(said, "ActivationDate", row.activation, now, zone),
        balance=replace(
            balance,
            weight=said.number("BalanceWeight") if said.says("BalanceWeight") else balance.weight,
            **words,  # type: ignore[arg-type]
            **texts,  # type: ignore[arg-type]
            **flags,  # type: ignore[arg-type]
        ),
        actions_id=_given(said.text("ActionsID"), row.actions_id),
        weight=_given(said.number("Weight"), row.weight),
    )


def _given(value: _T | None, before: _T) -> _T:
    return before if value is None else value


def _moment(
    said: Members, name: str, before: datetime | None, now: datetime, zone: tzinfo
) -> datetime | None:
    text = said.text(name)
    if text is None:
        return before
    if text == _YEAR_1:
        return None
    try:
        return parse_time(text, zone, now)
    except (DecodeError, ArgumentError) as problem:
        raise ApiError(f"SERVER_ERROR: {name}: {problem}", INVALID_PARAMS) from None


# Rows as they are answered


def _number(value: Decimal) -> Json:
    text = number_text(value)
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _listed(words: Sequence[str] | None) -> str:
    return ";".join(sorted(words or ()))


def _units(row: BalanceRow) -> str:
    return row.value_text or number_text(row.value or Decimal(0))


def _action_reply(row: ActionRow) -> Json:
    said = row.balance
    return {
        "Identifier": row.action,
        "BalanceId": said.id or "",
        "BalanceUuid": said.uuid or "",
        "BalanceType": said.type,
        "Units": _units(said),
        "ExpiryTime": row.balance.expires,
        "Filters": ";".join(row.filters),
        "TimingTags": _listed(said.timings),
        "DestinationIds": _listed(said.destinations),
        "RatingSubject": said.rating_subject or "",
        "Categories": _listed(said.categories),
        "SharedGroups": _listed(said.shared_groups),
        "BalanceWeight": number_text(said.weight or Decimal(0)),
        "ExtraParameters": row.extra,
        "BalanceBlocker": "true" if said.blocker else "false",
        "BalanceDisabled": "true" if said.disabled else "false",
        "Weight": _number(row.weight),
    }


def _engine_action(row: ActionRow) -> Json:
    said = row.balance

    def some(words: Iterable[str] | None) -> Json:
        return None if words is None else dict.fromkeys(sorted(words), True)

    value: Json = None
    if said.value is not None:
        value = {"Method": "", "Params": None, "Static": _number(said.value)}
    return {
        "Id": row.id,
        "ActionType": row.action,
        "ExtraParameters": row.extra,
        "Filters": list(row.filters) or None,
        "ExpirationString": said.expires,
        "Weight": _number(row.weight),
        "Balance": {
            "Uuid": said.uuid,
            "ID": said.id,
            "Type": said.type or None,
            "Value": value,
            "ExpirationDate": None,
            "Weight": None if said.weight is None else _number(said.weight),
            "DestinationIDs": some(said.destinations),
            "RatingSubject": said.rating_subject,
            "Categories": some(said.categories),
            "SharedGroups": some(said.shared_groups),
            "TimingIDs": some(said.timings),
            "Timings": None,
            "Disabled": said.disabled,
            "Factor": None,
            "Blocker": said.blocker,
        },
    }


def _timing_reply(row: ActionPlanRow, timings: Mapping[str, Timing], now: datetime) -> Json:
    """When a row runs, as the reference shows it; a cron expression is its own start time."""
    try:
        schedule = parse_schedule(row.timing_id, timings, now)
    except DecodeError:
        schedule = Schedule()
    start = row.timing_id
    at = (schedule.hours, schedule.minutes, schedule.seconds)
    if schedule.once:
        start = "*asap"
    elif not row.timing_id.startswith("*") and all(len(each) == 1 for each in at):
        start = ":".join(f"{each[0]:02d}" for each in at)
    by_day = row.timing_id in timings or " " in row.timing_id
    schedule = schedule if by_day else Schedule()
    return {
        "Years": list(schedule.years) or None,
        "Months": list(schedule.months) or None,
        "MonthDays": list(schedule.month_days) or None,
        "WeekDays": list(schedule.week_days) or None,
        "StartTime": start,
        "EndTime": "",
    }
