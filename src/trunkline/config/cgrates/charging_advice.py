"""Warnings about the rows that charging uses: what is never named, never reached or never matches.

Each says which link is missing. What may still be reached by a call of the API says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final, Protocol

from trunkline.charging.actions import ACTIONS
from trunkline.charging.rows import Activation, ChargingRows
from trunkline.charging.triggers import THRESHOLDS
from trunkline.config.cgrates.assemble import Assembly
from trunkline.config.cgrates.files import CHARGING_KINDS, Kind
from trunkline.config.cgrates.problems import Place, Problems, closest
from trunkline.rating.errors import Source

__all__ = ["give"]

_BY_API: Final = "only a call of the API reaches it"


class _Row(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> Source | None: ...


class _Timed(_Row, Protocol):
    @property
    def activation(self) -> Activation: ...


def give(
    rows: ChargingRows,
    assembly: Assembly,
    problems: Problems,
    named: Mapping[Kind, Set[tuple[str, ...]]],
) -> None:
    """Note the warnings about ``rows``; ``named`` are the tags that rows of any file name."""
    _unnamed(rows, named, assembly.doubtful, problems)
    _unknown_words(rows, problems)
    _never(rows, assembly, problems)
    _repeated_accounts(rows, problems)


def _place(source: Source | None) -> Place:
    return Place(source.file, source.line) if source else Place("")


def _unnamed(
    rows: ChargingRows,
    named: Mapping[Kind, Set[tuple[str, ...]]],
    doubtful: Set[Kind],
    problems: Problems,
) -> None:
    def check(what: str, kind: Kind, there: Iterable[_Row], by: str, hint: str) -> None:
        seen: set[tuple[str, ...]] = set()
        if not doubtful.isdisjoint({*CHARGING_KINDS} - {kind}):
            return  # it is named in a row that could not be read, perhaps
        for row in there:
            tenant = getattr(row, "tenant", None)
            tag = (row.id,) if tenant is None else (tenant, row.id)
            if tag not in named.get(kind, ()) and tag not in seen:
                seen.add(tag)
                problems.warn(
                    "cgrates.unused",
                    f"{what} {row.id} is named in no row of {by}",
                    _place(row.source),
                    hint,
                    "ID",
                    row.id,
                )

    check(
        "Action",
        "Actions",
        rows.actions,
        "ActionPlans.csv, ActionTriggers.csv or Thresholds.csv",
        _BY_API,
    )
    check("ActionPlan", "ActionPlans", rows.action_plans, "AccountActions.csv", _BY_API)
    check("ActionTrigger", "ActionTriggers", rows.action_triggers, "AccountActions.csv", _BY_API)
    check(
        "SharedGroup",
        "SharedGroups",
        rows.shared_groups,
        "Actions.csv or ActionTriggers.csv",
        "no balance is in it until the API sets one",
    )
    check("Filter", "Filters", rows.filters, "any profile", "it decides nothing")
    check(
        "Threshold",
        "Thresholds",
        (row for row in rows.thresholds if row.actions in ((), ("*none",))),
        "Resources.csv or Stats.csv, and has no ActionIDs",
        "it counts and does nothing",
    )


def _unknown_words(rows: ChargingRows, problems: Problems) -> None:
    for action in rows.actions:
        if action.action not in ACTIONS:
            problems.warn(
                "cgrates.value",
                f"Action {action.id}: there is no action {action.action!r}, it is refused when"
                " it is run",
                _place(action.source),
                closest(action.action, ACTIONS, "see the actions in docs/charging.md"),
                "Action",
                action.action,
            )
    for trigger in rows.action_triggers:
        if trigger.threshold_type not in THRESHOLDS:
            problems.warn(
                "cgrates.value",
                f"ActionTrigger {trigger.id}: there is no type {trigger.threshold_type!r}, it never"
                " fires",
                _place(trigger.source),
                closest(trigger.threshold_type, THRESHOLDS, f"one of {', '.join(THRESHOLDS)}"),
                "ThresholdType",
                trigger.threshold_type,
            )


def _never(rows: ChargingRows, assembly: Assembly, problems: Problems) -> None:
    """Note what is out of its time for good."""

    def check(what: str, row: _Row, interval: Activation, field: str) -> None:
        start, end = interval.start, interval.end
        if end is None:
            return
        if start is not None and end <= start:
            problem = "ends before it starts, so that it never counts"
        elif end <= assembly.now:
            problem = f"has ended {end.isoformat()}, so that it never counts again"
        else:
            return
        problems.warn(
            "cgrates.never",
            f"{what} {row.id} {problem}",
            _place(row.source),
            "mend the times, or remove it",
            field,
        )

    kinds: tuple[tuple[str, Iterable[_Timed]], ...] = (
        ("Filter", rows.filters),
        ("Attribute profile", rows.attributes),
        ("Charger profile", rows.chargers),
        ("Route profile", rows.routes),
        ("Resource", rows.resources),
        ("Stat", rows.stats),
        ("Threshold", rows.thresholds),
    )
    for what, timed in kinds:
        for row in timed:
            check(what, row, row.activation, "ActivationInterval")
    for trigger in rows.action_triggers:
        interval = Activation(start=trigger.activation, end=trigger.expires)
        check("ActionTrigger", trigger, interval, "ExpiryTime")
    for plan in rows.action_plans:
        timing = assembly.timings.get(plan.timing_id)
        if timing is not None and timing.years and timing.years[-1] < assembly.now.year:
            problems.warn(
                "cgrates.never",
                f"ActionPlan {plan.id}: the years of its Timing {timing.id} are past",
                _place(plan.source),
                "mend Years in Timings.csv",
                "TimingID",
                timing.id,
            )


def _repeated_accounts(rows: ChargingRows, problems: Problems) -> None:
    first: dict[tuple[str, str], Source | None] = {}
    for row in rows.account_actions:
        key = (row.tenant, row.account)
        if key in first:
            problems.warn(
                "cgrates.repeated",
                f"account {row.tenant}:{row.account} stands in {first[key]} already",
                _place(row.source),
                "the later row counts; leave one out",
                "Account",
                row.account,
            )
        else:
            first[key] = row.source
