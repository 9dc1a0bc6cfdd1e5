from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.charging.made import accounts, filters
from tests.charging.world import NOW, act, circumstances

from trunkline.charging.actions import ACTIONS, EFFECTS, run_actions
from trunkline.charging.charges import AccountError
from trunkline.charging.documents import account_from_json, account_to_json
from trunkline.charging.model import MONETARY, VOICE, Account, Balance, Counter, Trigger
from trunkline.charging.money import ZERO, add
from trunkline.charging.rows import ActionRow, ActionTriggerRow, BalanceRow
from trunkline.errors import DecodeError, TrunklineError
from trunkline.rating.model import Timing

EMPTY = Account(tenant="cgrates.org", id="1001")
MONEY = BalanceRow(type=MONETARY, value=Decimal(10), weight=Decimal(10))
FIVE = Balance(uuid="five", value=Decimal(5), weight=Decimal(10))
DEBT = Balance(uuid="debt", value=Decimal(-3), weight=Decimal(10))


def row(action: str, said: BalanceRow = MONEY, **more: object) -> ActionRow:
    return ActionRow(id="ACT", action=action, balance=said, **more)  # type: ignore[arg-type]


def holding(*balances: Balance) -> Account:
    return replace(EMPTY, balances=balances)


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("*topup", (), [10]),
        ("*topup", (FIVE,), [15]),
        ("*topup", (FIVE, DEBT), [15, 7]),
        ("*topup_reset", (FIVE,), [10]),
        ("*topup_reset", (), [10]),
        ("*topup_zero_negative", (FIVE, DEBT), [15, 10]),
        ("*debit", (FIVE,), [-5]),
        ("*debit", (), [-10]),
        ("*debit_reset", (FIVE,), [-10]),
        # Another weight: another balance.
        ("*topup", (replace(FIVE, weight=Decimal(20)),), [5, 10]),
        # One that is over is gone, and was not topped up.
        ("*topup", (replace(FIVE, expires=NOW - timedelta(seconds=1)),), [10]),
    ],
)
def test_what_an_action_leaves_in_balances(
    action: str, before: tuple[Balance, ...], after: list[int]
) -> None:
    outcome = act(holding(*before), row(action))
    assert outcome.account is not None
    assert [each.value for each in outcome.account.balances] == after
    assert outcome.account.updated == NOW
    sums = {each.uuid: each.value for each in before}
    for movement in outcome.movements:
        assert movement.cause in (action, "*expired")
        assert movement.reference == "run"
        sums[movement.balance] = add(sums.get(movement.balance, Decimal(0)), movement.amount)
        assert movement.value == sums[movement.balance]
    assert [value for value in sums.values() if value] == after


def test_a_topup_makes_a_balance_as_the_row_says() -> None:
    said = BalanceRow(
        id="minutes",
        type=VOICE,
        value=Decimal(60),
        categories=("call",),
        destinations=("DST",),
        rating_subject="*zero1s",
        shared_groups=("G",),
        expires="+720h",
        timings=("PEAK",),
        weight=Decimal(20),
        blocker=True,
        disabled=False,
    )
    peak = Timing("PEAK", start=28_800)
    outcome = run_actions(
        EMPTY,
        [row("*topup", said, extra='{"*voice": 60.5}')],
        circumstances(timings={"PEAK": peak}),
    )
    assert outcome.account is not None
    assert outcome.account.balances == (
        Balance(
            uuid="new1",
            id="minutes",
            type=VOICE,
            value=Decimal(60),
            weight=Decimal(20),
            expires=NOW + timedelta(hours=720),
            destinations=("DST",),
            categories=("call",),
            timings=(peak,),
            rating_subject="*zero1s",
            shared_groups=("G",),
            factors={"*voice": Decimal("60.5")},
            blocker=True,
        ),
    )


def test_actions_run_heaviest_first_and_filters_hold_them_back() -> None:
    rows = [row("*debit", weight=Decimal(1)), row("*topup_reset", weight=Decimal(2))]
    outcome = act(holding(FIVE), *rows)
    assert [(each.cause, int(each.value)) for each in outcome.movements] == [
        ("*topup_reset", 10),
        ("*debit", 0),
    ]
    held_back = replace(circumstances(), passes=lambda row, account: row.action != "*debit")
    assert [each.cause for each in run_actions(EMPTY, rows, held_back).movements] == [
        "*topup_reset"
    ]


def test_a_balance_is_set_field_by_field() -> None:
    named = replace(FIVE, id="b", categories=("call",))
    said = BalanceRow(id="b", weight=Decimal(3), value=Decimal(8), expires="*unlimited")
    outcome = act(holding(named), row("*set_balance", said))
    assert outcome.account is not None
    assert outcome.account.balances == (
        replace(named, weight=Decimal(3), value=Decimal(8), expires=None),
    )
    assert [each.amount for each in outcome.movements] == [3]

    # By UUID, and nothing said of the value.
    outcome = act(holding(named), row("*set_balance", BalanceRow(uuid="five", disabled=True)))
    assert outcome.account is not None
    assert outcome.account.balances == (replace(named, disabled=True),)
    assert outcome.movements == ()

    # One that is not there comes to be.
    outcome = act(holding(FIVE), row("*set_balance", replace(MONEY, id="other")))
    assert outcome.account is not None
    assert [each.id for each in outcome.account.balances] == ["", "other"]


def test_balances_are_removed_and_what_they_held_is_moved_out() -> None:
    other = replace(FIVE, uuid="other", id="b", type=VOICE)
    outcome = act(holding(FIVE, other), row("*remove_balance", BalanceRow(id="b", type=VOICE)))
    assert outcome.account is not None
    assert outcome.account.balances == (FIVE,)
    assert [(each.balance, int(each.amount), int(each.value)) for each in outcome.movements] == [
        ("other", -5, 0)
    ]


def test_money_is_gathered_in_the_default_balance() -> None:
    default = Balance(uuid="d", id="*default", value=Decimal(-1))
    minutes = replace(FIVE, uuid="v", type=VOICE)
    account = holding(FIVE, DEBT, default, minutes)
    outcome = act(account, row("*transfer_monetary_default", BalanceRow()))
    assert outcome.account is not None
    assert [each.value for each in outcome.account.balances] == [0, -3, 4, 5]
    made = act(holding(FIVE), row("*transfer_monetary_default", BalanceRow()))
    assert made.account is not None
    assert [(each.id, int(each.value)) for each in made.account.balances] == [
        ("", 0),
        ("*default", 5),
    ]


def test_expiry_is_set_and_what_is_over_is_removed() -> None:
    said = BalanceRow(type=MONETARY, expires="+1h")
    account = holding(FIVE, replace(DEBT, expires=NOW + timedelta(days=1)))
    outcome = act(account, row("*set_expiry", said))
    assert outcome.account is not None
    assert {each.expires for each in outcome.account.balances} == {NOW + timedelta(hours=1)}
    later = act(outcome.account, row("*remove_expired", BalanceRow()), now=NOW + timedelta(hours=2))
    assert later.account is not None
    assert later.account.balances == ()
    assert [(each.balance, int(each.amount), each.cause) for each in later.movements] == [
        ("five", -5, "*expired"),
        ("debt", 3, "*expired"),
    ]


def test_an_account_is_reset_disabled_allowed_and_removed() -> None:
    trigger = Trigger(
        row=ActionTriggerRow(
            id="T", unique_id="U", threshold_type="*min_event_counter", threshold_value=Decimal(1)
        ),
        executed=True,
    )
    counter = Counter(kind="*event", type="", unique_id="U", filter=BalanceRow(), value=Decimal(7))
    account = replace(holding(FIVE, DEBT), triggers=(trigger,), counters=(counter,))

    def after(action: str, said: BalanceRow | None = None, **more: object) -> Account:
        outcome = act(account, row(action, said or BalanceRow(), **more))
        assert outcome.account is not None
        return outcome.account

    assert after("*allow_negative").allow_negative
    assert not after("*deny_negative").allow_negative
    assert after("*disable_account").disabled
    assert not after("*enable_account").disabled
    assert after("*reset_counters").counters[0].value == 0
    assert after("*reset_counters", BalanceRow(type=VOICE)).counters[0].value == 7
    assert not after("*reset_triggers").triggers[0].executed
    assert after("*reset_triggers", extra='{"UniqueID":"V"}').triggers[0].executed
    assert after("*reset_triggers", BalanceRow(type=VOICE)).triggers[0].executed
    assert after("*set_recurrent").triggers[0].row.recurrent
    assert not after("*unset_recurrent").triggers[0].row.recurrent
    fresh = after("*reset_account")
    assert [(each.type, int(each.value)) for each in fresh.balances] == [(MONETARY, 0)]
    assert fresh.counters[0].value == 0
    assert not fresh.triggers[0].executed

    removed = act(account, row("*remove_account", BalanceRow()))
    assert removed.account is None
    assert [each.amount for each in removed.movements] == [-5, 3]
    assert [each.row.action for each in removed.effects] == ["*remove_account"]


def test_effects_are_handed_back_in_order_with_the_account_as_it_was() -> None:
    outcome = act(
        holding(FIVE),
        row("*log", weight=Decimal(3)),
        row("*topup", weight=Decimal(2)),
        row("*cdrlog", weight=Decimal(1), extra="{}"),
    )
    first, second = outcome.effects
    assert (first.row.action, first.movements) == ("*log", outcome.movements)
    assert first.account == holding(FIVE)
    assert (second.row.action, second.movements) == ("*cdrlog", outcome.movements)
    assert act(None, row("*log")).account is None


@pytest.mark.parametrize(
    ("rows", "account", "code", "reference"),
    [
        ([row("*top_up")], EMPTY, "charging.action-unknown", "NOT_IMPLEMENTED"),
        ([row("*topup")], None, "charging.action-account", "ACCOUNT_NOT_FOUND"),
        (
            [row("*topup", BalanceRow(value=Decimal(1)))],
            EMPTY,
            "charging.action-balance",
            "MANDATORY_IE_MISSING: [BalanceType]",
        ),
        ([row("*remove_balance")], EMPTY, "charging.action-balance", "NOT_FOUND"),
        (
            [row("*set_balance", BalanceRow(uuid="x"))],
            EMPTY,
            "charging.action-balance",
            "NOT_FOUND",
        ),
        (
            [row("*topup", replace(MONEY, timings=("X",)))],
            EMPTY,
            "charging.action-value",
            "NOT_FOUND",
        ),
        (
            [row("*topup", BalanceRow(type=MONETARY, value_text="{"))],
            EMPTY,
            "charging.action-value",
            "SERVER_ERROR",
        ),
    ],
)
def test_what_cannot_run_is_refused_as_a_whole(
    rows: list[ActionRow], account: Account | None, code: str, reference: str
) -> None:
    with pytest.raises(AccountError) as refused:
        act(account, row("*log"), *rows)
    assert (refused.value.code, refused.value.reference) == (code, reference)


def test_an_expiry_that_is_no_time_is_refused() -> None:
    with pytest.raises(DecodeError):
        act(EMPTY, row("*topup", replace(MONEY, expires="soon")))


@pytest.mark.parametrize(
    ("interval", "increment", "now", "value"),
    [
        ("month", "day", datetime(2024, 2, 10, tzinfo=UTC), "1"),
        ("year", "month", datetime(2023, 1, 10, tzinfo=UTC), "2.463013698630"),
        ("week", "day", NOW, "4.142857142857"),
        ("day", "hour", NOW, "1.208333333333"),
    ],
)
def test_units_by_a_formula(interval: str, increment: str, now: datetime, value: str) -> None:
    text = (
        '{"Method":"*incremental","Params":{"Units":29,'
        f'"Interval":"{interval}","Increment":"{increment}"}}}}'
    )
    outcome = act(EMPTY, row("*topup", BalanceRow(type=MONETARY, value_text=text)), now=now)
    assert outcome.account is not None
    assert outcome.account.balances[0].value == Decimal(value)


@given(
    accounts,
    st.lists(
        st.builds(
            ActionRow,
            id=st.just("A"),
            action=st.sampled_from(sorted(ACTIONS - EFFECTS)),
            balance=filters.map(
                lambda each: replace(each, expires="", value_text="", timings=None)
            ),
            weight=st.integers(0, 3).map(Decimal),
        ),
        max_size=4,
    ),
)
def test_movements_always_lead_from_the_balances_before_to_those_after(
    account: Account, rows: list[ActionRow]
) -> None:
    unlike = {each.uuid: each for each in account.balances}
    account = replace(account, balances=tuple(unlike.values()))
    try:
        outcome = act(account, *rows)
    except TrunklineError:
        return
    sums = {each.uuid: each.value for each in account.balances}
    for movement in outcome.movements:
        assert movement.before == sums.get(movement.balance, 0)
        sums[movement.balance] = add(sums.get(movement.balance, Decimal(0)), movement.amount)
    after = {
        each.uuid: each.value for each in (outcome.account.balances if outcome.account else ())
    }
    assert {uuid: value for uuid, value in sums.items() if value} == {
        uuid: value for uuid, value in after.items() if value
    }


def test_amounts_of_any_length_stay_what_they_are() -> None:
    long = Decimal("123456789012345678901234567890.0123456789")
    said = BalanceRow(type=MONETARY, value=long)
    for action, value in (("*topup", long), ("*debit", long.copy_negate())):
        outcome = act(EMPTY, row(action, said))
        assert outcome.account is not None
        assert outcome.account.balances[0].value == value
    formula = '{"Method":"*incremental","Params":{"Units":%s,"Interval":"day","Increment":"week"}}'
    said = BalanceRow(type=MONETARY, value_text=formula % "123456789012345678901234567.5")
    [movement] = act(EMPTY, row("*topup", said)).movements
    assert movement.amount == 7 * Fraction("123456789012345678901234567.5")


@pytest.mark.parametrize("value", ["1e30", "-1e308", "1e-41", "NaN", "Infinity"])
def test_what_no_sum_is_exact_with_is_refused(value: str) -> None:
    formula = {"Method": "*incremental", "Params": {"Units": value, "Interval": "day"}}
    formula["Params"]["Increment"] = "day"  # type: ignore[index]
    for said in (
        BalanceRow(type=MONETARY, value=Decimal(value)),
        BalanceRow(type=MONETARY, value_text=json.dumps(formula)),
    ):
        for action in ("*topup", "*set_balance"):
            with pytest.raises(AccountError) as refused:
                act(EMPTY, row(action, replace(said, id="B")))
            assert refused.value.code == "charging.action-value"


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e400", "1e999999999999999999", "[" * 9999])
def test_a_factor_that_is_no_number_is_none(value: str) -> None:
    account = act(EMPTY, row("*topup", extra=f'{{"*voice":{value}}}')).account
    assert account is not None
    assert account.balances[0].factors == {}
    assert account_from_json(account_to_json(account)) == account


def test_money_is_not_gathered_in_a_default_balance_that_is_over() -> None:
    over = Balance(uuid="d", id="*default", value=Decimal(1), expires=NOW - timedelta(seconds=1))
    outcome = act(holding(over, FIVE), row("*transfer_monetary_default", BalanceRow()))
    assert outcome.account is not None
    assert [(each.uuid, each.value) for each in outcome.account.balances] == [
        ("five", ZERO),
        ("new1", Decimal(5)),
    ]
    first = outcome.movements[0]
    assert (first.balance, first.amount, first.cause) == ("d", Decimal(-1), "*expired")


def test_a_debt_does_not_expire() -> None:
    over = NOW - timedelta(seconds=1)
    debt = replace(DEBT, id="*default", expires=over)
    outcome = act(holding(debt, replace(FIVE, expires=over)), row("*remove_expired", BalanceRow()))
    assert outcome.account is not None
    assert outcome.account.balances == (replace(debt, expires=None),)
    assert [(each.balance, each.amount) for each in outcome.movements] == [("five", Decimal(-5))]
