"""Counters and triggers: what was used, and what is to be done when a threshold is reached.

A counter counts for one trigger. ``*event`` counts what calls of its destinations and categories
take, from whichever balance; ``*balance`` what is taken from the balances that its filter means. A
counter has the type of what it counts: money of ``*monetary``, units of every other. What a session
gives back is counted back, so that counters too are the same for any partition of a call.

| threshold type | reached when |
|---|---|
| ``*min_balance``, ``*max_balance`` | a balance that has just changed holds no more, no less |
| ``*min_event_counter``, ``*max_event_counter`` | so little, so much was counted |
| ``*min_balance_counter``, ``*max_balance_counter`` | the same of certain balances |
| ``*balance_expired`` | a balance is over |

A trigger runs its actions once, until ``*reset_triggers``; a recurrent one every time, ``MinSleep``
apart. What its actions change sets off no further triggers, as in the reference.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from trunkline.charging.actions import (
    Circumstances,
    Effect,
    expired,
    expiry,
    init_counters,
    matches,
    remove_expired,
    run_actions,
)
from trunkline.charging.charges import AccountError
from trunkline.charging.model import Account, Balance, Counter, Movement, Trigger
from trunkline.charging.money import subtract
from trunkline.charging.payers import precision
from trunkline.charging.rows import ActionRow, ActionTriggerRow
from trunkline.errors import TrunklineError
from trunkline.rating.call import Call
from trunkline.rating.tariff import Tariff

__all__ = ["THRESHOLDS", "Failure", "Fired", "count", "named", "run_triggers", "set_triggers"]

THRESHOLDS: Final = frozenset(
    {
        "*balance_expired",
        "*max_balance",
        "*max_balance_counter",
        "*max_event_counter",
        "*min_balance",
        "*min_balance_counter",
        "*min_event_counter",
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A trigger whose actions could not run; the account is as it was before them."""

    trigger: Trigger
    error: TrunklineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What the triggers of an account made of it."""

    account: Account | None
    """``None``: an action removed it."""
    movements: tuple[Movement, ...] = ()
    effects: tuple[Effect, ...] = ()
    failures: tuple[Failure, ...] = ()


def named(rows: Sequence[ActionTriggerRow]) -> list[ActionTriggerRow]:
    """The triggers of one ID, each with a UniqueID: counters go by it.

    Where a file says none, it is made of the ID and the row's place: the same at every load.
    """
    return [
        row
        if row.unique_id
        else replace(row, unique_id=str(uuid5(NAMESPACE_OID, f"{row.id}\0{number}")))
        for number, row in enumerate(rows)
    ]


def set_triggers(account: Account, rows: Sequence[ActionTriggerRow]) -> Account:
    """The account with these triggers and a counter for each that needs one."""
    triggers = tuple(Trigger(row=row) for row in rows)
    return init_counters(replace(account, triggers=triggers))


def count(
    tariff: Tariff,
    account: Account,
    call: Call,
    payers: Iterable[Account],
    movements: Iterable[Movement],
) -> Account:
    """The account with what a call took counted; what it gave back is counted back.

    ``payers`` are those that the movements are of, as they are afterwards.
    """
    if not account.counters:
        return account
    balances = {
        (owner.key, balance.uuid): balance for owner in payers for balance in owner.balances
    }
    counters = []
    for counter in account.counters:
        value = counter.value
        for movement in movements:
            balance = balances[(movement.account, movement.balance)]
            if movement.type == counter.type and _counts(tariff, counter, call, balance):
                value = subtract(value, movement.amount)
        counters.append(replace(counter, value=value))
    return replace(account, counters=tuple(counters))


def _counts(tariff: Tariff, counter: Counter, call: Call, balance: Balance) -> bool:
    filter_ = counter.filter
    if counter.kind == "*balance":
        return matches(balance, replace(filter_, id=None, uuid=None, expires=""))
    return (not filter_.categories or call.category in filter_.categories) and (
        not filter_.destinations or precision(tariff, call, filter_.destinations) >= 0
    )


def run_triggers(
    account: Account,
    changed: Container[str],
    actions: Mapping[str, Sequence[ActionRow]],
    circumstances: Circumstances,
) -> Fired:
    """Run the actions of every trigger whose threshold is reached, heaviest trigger first.

    ``changed`` has the UUIDs of balances that have just changed. At the end, balances and triggers
    that are over are removed.
    """
    if not account.triggers:
        return Fired(account=account)
    movements: list[Movement] = []
    effects: list[Effect] = []
    failures: list[Failure] = []
    now = circumstances.now
    account = replace(
        account, triggers=tuple(each for each in account.triggers if not _over(each, now))
    )
    weights = [each.row.weight for each in account.triggers]
    for place in sorted(range(len(weights)), key=weights.__getitem__, reverse=True):
        try:
            reached = list(_reached(account, account.triggers[place], changed, circumstances))
        except TrunklineError as error:
            failures.append(Failure(account.triggers[place], error))
            continue
        for _ in reached:
            trigger = account.triggers[place]  # actions of others may have changed it
            if account.disabled or not _rested(trigger, now):
                break
            trigger = replace(trigger, executed=not trigger.row.recurrent, last_run=now)
            account = _with(account, place, trigger)
            rows = actions.get(trigger.row.actions_id)
            try:
                if rows is None:
                    raise AccountError(
                        "charging.trigger-actions",
                        f"the trigger {trigger.row.unique_id} of {account.key} runs "
                        f"{trigger.row.actions_id}, which is not there; add it to Actions.csv"
                        if trigger.row.actions_id
                        else f"the trigger {trigger.row.unique_id} of {account.key} says no "
                        "actions; set its ActionsID",
                        reference="NOT_FOUND",
                    )
                outcome = run_actions(account, rows, circumstances)
            except TrunklineError as error:
                failures.append(Failure(trigger, error))
                break
            movements += outcome.movements
            effects += outcome.effects
            if outcome.account is None:
                return Fired(
                    account=None,
                    movements=tuple(movements),
                    effects=tuple(effects),
                    failures=tuple(failures),
                )
            account = outcome.account
            if trigger.executed:
                break
    account, over = remove_expired(account, now, circumstances.reference)
    return Fired(
        account=account,
        movements=(*movements, *over),
        effects=tuple(effects),
        failures=tuple(failures),
    )


def _over(trigger: Trigger, now: datetime) -> bool:
    return trigger.row.expires is not None and trigger.row.expires < now


def _with(account: Account, place: int, trigger: Trigger) -> Account:
    triggers = (*account.triggers[:place], trigger, *account.triggers[place + 1 :])
    return replace(account, triggers=triggers)


def _rested(trigger: Trigger, now: datetime) -> bool:
    row = trigger.row
    if not row.recurrent or trigger.last_run is None:
        return True
    # Of a clock that was ahead, too: it does not rest until the clock is there again.
    return abs(now - trigger.last_run) >= timedelta(microseconds=row.min_sleep // 1000)


def _reached(
    account: Account, trigger: Trigger, changed: Container[str], circumstances: Circumstances
) -> Iterator[object]:
    """What reaches a trigger's threshold: each balance or counter once."""
    row, now = trigger.row, circumstances.now
    if trigger.executed:
        return
    if row.activation is not None and row.activation > now:
        return
    least = row.threshold_type.startswith("*min")
    if row.threshold_type.endswith("_counter"):
        kind = "*event" if row.threshold_type.endswith("_event_counter") else "*balance"
        for counter in account.counters:
            if (counter.kind, counter.unique_id) != (kind, row.unique_id):
                continue
            limit = row.threshold_value
            if counter.value <= limit if least else counter.value >= limit:
                yield counter
        return
    said = row.balance
    expires = expiry(said.expires, circumstances)
    for balance in account.balances:
        if not matches(balance, said, expires=expires):
            continue
        if row.threshold_type == "*balance_expired":
            if expired(balance, now):
                yield balance
        elif row.threshold_type in ("*min_balance", "*max_balance") and balance.uuid in changed:
            limit = row.threshold_value
            if balance.value <= limit if least else balance.value >= limit:
                yield balance
