from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from tests.charging.world import NOW, circumstances
from tests.rating.folder import TUTORIAL, tariff

from trunkline.charging.actions import init_counters
from trunkline.charging.charges import Cover, Payers, Usage
from trunkline.charging.debit import debit
from trunkline.charging.model import MONETARY, VOICE, Account, Balance
from trunkline.charging.rows import ActionRow, ActionTriggerRow, BalanceRow
from trunkline.charging.triggers import THRESHOLDS, Fired, count, run_triggers, set_triggers
from trunkline.rating import Call
from trunkline.rating.durations import MINUTE

OF = tariff(
    {**TUTORIAL, "DestinationRates.csv": TUTORIAL["DestinationRates.csv"].replace("0.12", "0")}
)
ACCOUNT = Account(
    tenant="cgrates.org",
    id="1001",
    balances=(
        Balance(uuid="money", value=Decimal(100)),
        Balance(
            uuid="minutes", type=VOICE, value=Decimal(2 * MINUTE), destinations=("DST_AUS_Mobile",)
        ),
    ),
)
ACTIONS = {
    "LOG": [ActionRow(id="LOG", action="*log")],
    "TOPUP": [
        ActionRow(
            id="TOPUP",
            action="*topup",
            balance=BalanceRow(type=MONETARY, value=Decimal(50), weight=Decimal(0)),
        )
    ],
    "STOP": [ActionRow(id="STOP", action="*disable_account")],
    "REMOVE": [ActionRow(id="REMOVE", action="*remove_account")],
    "WRONG": [ActionRow(id="WRONG", action="*nothing")],
}


def trigger(threshold: str, value: int, **more: object) -> ActionTriggerRow:
    fields: dict[str, object] = {
        "unique_id": "U",
        "actions_id": "LOG",
        "balance": BalanceRow(type=MONETARY),
        **more,
    }
    return ActionTriggerRow(
        id="T",
        threshold_type=threshold,
        threshold_value=Decimal(value),
        **fields,  # type: ignore[arg-type]
    )


def fire(account: Account, changed: Sequence[str] = ("money",), now: datetime = NOW) -> Fired:
    return run_triggers(account, changed, ACTIONS, circumstances(now))


def effects(fired: Fired) -> list[str]:
    return [each.row.action for each in fired.effects]


@pytest.mark.parametrize(
    ("threshold", "value", "reached"),
    [
        ("*min_balance", 100, True),
        ("*min_balance", 99, False),
        ("*max_balance", 100, True),
        ("*max_balance", 101, False),
        ("*balance_expired", 0, False),
        ("*no_such_balance", 0, False),
    ],
)
def test_a_balance_reaches_a_threshold(threshold: str, value: int, reached: bool) -> None:
    account = set_triggers(ACCOUNT, [trigger(threshold, value)])
    assert effects(fire(account)) == ["*log"] * reached
    # Only where it has just changed.
    assert effects(fire(account, ())) == []


def test_a_trigger_runs_once_and_again_when_it_is_reset() -> None:
    fired = fire(set_triggers(ACCOUNT, [trigger("*min_balance", 100)]))
    assert fired.account is not None
    assert fired.account.triggers[0].executed
    assert fired.account.triggers[0].last_run == NOW
    assert effects(fire(fired.account)) == []


def test_a_recurrent_trigger_rests_in_between() -> None:
    row = trigger("*min_balance", 100, recurrent=True, min_sleep=60 * 10**9)
    account = set_triggers(ACCOUNT, [row])
    for seconds, runs in ((0, 1), (59, 0), (60, 1), (61, 0)):
        fired = fire(account, now=NOW + timedelta(seconds=seconds))
        assert len(fired.effects) == runs
        assert fired.account is not None
        account = fired.account
        assert not account.triggers[0].executed


def test_a_clock_that_was_ahead_puts_no_trigger_to_sleep() -> None:
    row = trigger("*min_balance", 100, recurrent=True, min_sleep=60 * 10**9)
    ahead = fire(set_triggers(ACCOUNT, [row]), now=NOW + timedelta(days=365)).account
    assert ahead is not None
    assert len(fire(ahead).effects) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"expires": NOW - timedelta(seconds=1)},
        {"activation": NOW + timedelta(seconds=1)},
        {"balance": BalanceRow(type=VOICE)},
        {"balance": BalanceRow(type=MONETARY, weight=Decimal(7))},
    ],
)
def test_a_trigger_that_does_not_count_now_or_here(more: dict[str, object]) -> None:
    assert effects(fire(set_triggers(ACCOUNT, [trigger("*min_balance", 100, **more)]))) == []


def test_an_expired_balance_is_noticed_and_then_removed() -> None:
    over = replace(ACCOUNT.balances[0], expires=NOW - timedelta(seconds=1))
    account = replace(ACCOUNT, balances=(over, *ACCOUNT.balances[1:]))
    fired = fire(set_triggers(account, [trigger("*balance_expired", 0)]), ())
    assert effects(fired) == ["*log"]
    assert fired.account is not None
    assert [each.uuid for each in fired.account.balances] == ["minutes"]
    assert [(each.cause, int(each.amount)) for each in fired.movements] == [("*expired", -100)]


def test_heavier_triggers_run_first_and_none_on_a_disabled_account() -> None:
    rows = [
        trigger("*min_balance", 100, unique_id="A", weight=Decimal(1)),
        trigger("*min_balance", 100, unique_id="B", weight=Decimal(2), actions_id="STOP"),
    ]
    fired = fire(set_triggers(ACCOUNT, rows))
    assert fired.account is not None
    assert fired.account.disabled
    assert effects(fired) == []


def test_actions_that_fail_leave_the_account_and_say_so() -> None:
    rows = [
        trigger("*min_balance", 100, unique_id="A", actions_id="WRONG", weight=Decimal(3)),
        trigger("*min_balance", 100, unique_id="B", actions_id="GONE", weight=Decimal(2)),
        trigger("*min_balance", 100, unique_id="C", actions_id="TOPUP"),
    ]
    fired = fire(set_triggers(ACCOUNT, rows))
    assert [each.error.code for each in fired.failures] == [
        "charging.action-unknown",
        "charging.trigger-actions",
    ]
    assert fired.account is not None
    assert fired.account.balances[0].value == 150


def test_a_trigger_may_remove_the_account() -> None:
    rows = [trigger("*min_balance", 100, actions_id="REMOVE")]
    fired = fire(set_triggers(ACCOUNT, rows))
    assert fired.account is None
    assert len(fired.movements) == 2


def test_what_is_used_is_counted_and_what_is_given_back_is_counted_back() -> None:
    rows = [
        trigger("*max_event_counter", 44, unique_id="money"),
        trigger("*max_event_counter", 1, unique_id="minutes", balance=BalanceRow(type=VOICE)),
        trigger(
            "*max_event_counter",
            1,
            unique_id="elsewhere",
            balance=BalanceRow(type=MONETARY, destinations=("DST_AUS_Fixed",)),
        ),
        trigger(
            "*max_event_counter",
            1,
            unique_id="data",
            balance=BalanceRow(type=MONETARY, categories=("data",)),
        ),
        trigger(
            "*max_balance_counter",
            1,
            unique_id="of",
            balance=BalanceRow(type=VOICE, destinations=("DST_AUS_Mobile",)),
        ),
        trigger(
            "*max_balance_counter",
            1,
            unique_id="not",
            balance=BalanceRow(type=VOICE, destinations=()),
        ),
    ]
    account = set_triggers(ACCOUNT, rows)
    usage = Usage(
        call=Call(destination="614", time=NOW, usage=0), cover=Cover.FUNDED, reference="s"
    )

    def counted() -> dict[str, int]:
        return {each.unique_id: int(each.value) for each in account.counters}

    for minutes, money, units in ((1, 0, 1), (4, 44, 2), (3, 22, 2)):
        call = replace(usage.call, usage=minutes * MINUTE)
        found = debit(OF, Payers(account=account), replace(usage, call=call))
        account = count(OF, found.after(account), found.call, found.accounts, found.movements)
        usage = replace(usage, taken=found.taken)
        assert counted() == {
            "money": money,
            "minutes": units * MINUTE,
            "elsewhere": 0,
            "data": 0,
            "of": units * MINUTE,
            "not": 0,
        }
        assert effects(fire(account)) == ["*log"] * ((money == 44) + 2)
    assert init_counters(account).counters == account.counters


def test_min_counters_and_the_list_of_thresholds() -> None:
    rows = [trigger("*min_event_counter", 0), trigger("*min_balance_counter", -1, unique_id="V")]
    assert len(effects(fire(set_triggers(ACCOUNT, rows), ()))) == 1
    assert len(THRESHOLDS) == 7


def test_an_account_without_counters_or_triggers_stays_what_it_is() -> None:
    found = debit(
        OF,
        Payers(account=ACCOUNT),
        Usage(call=Call(destination="614", time=NOW, usage=MINUTE), cover=Cover.ALL),
    )
    counted = count(OF, found.after(ACCOUNT), found.call, found.accounts, found.movements)
    assert counted is found.accounts[0]
    assert fire(ACCOUNT).account is ACCOUNT


def test_what_actions_make_of_a_trigger_counts_for_the_same_run() -> None:
    actions = {
        **ACTIONS,
        "ONCE": [ActionRow(id="ONCE", action="*unset_recurrent", extra='{"UniqueID":"LATER"}')],
    }
    rows = [
        trigger("*min_balance", 100, unique_id="FIRST", actions_id="ONCE", weight=Decimal(2)),
        trigger("*min_balance", 100, unique_id="LATER", actions_id="TOPUP", recurrent=True),
    ]
    fired = run_triggers(set_triggers(ACCOUNT, rows), {"money"}, actions, circumstances())
    assert fired.account is not None
    assert [each.executed for each in fired.account.triggers] == [True, True]
    again = run_triggers(fired.account, {"money"}, actions, circumstances())
    assert len(fired.movements) == 1
    assert not again.movements


def test_a_trigger_with_an_expiry_that_is_no_time_is_in_nobodys_way() -> None:
    wrong = BalanceRow(type=MONETARY, expires="someday")
    rows = [
        trigger("*min_balance", 100, unique_id="WRONG", balance=wrong, weight=Decimal(2)),
        trigger("*min_balance", 100, actions_id="TOPUP"),
    ]
    fired = run_triggers(set_triggers(ACCOUNT, rows), {"money"}, ACTIONS, circumstances())
    assert [each.error.code for each in fired.failures] == ["cgrates.time"]
    assert [each.amount for each in fired.movements] == [50]
