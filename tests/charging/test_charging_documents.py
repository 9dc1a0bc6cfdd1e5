from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from tests.charging.made import accounts, takings

from trunkline.charging.documents import (
    account_from_json,
    account_to_json,
    reference_account,
    taking_from_json,
    taking_to_json,
)
from trunkline.charging.model import Account, Balance, Counter, Taking, Trigger
from trunkline.charging.rows import ActionTriggerRow, BalanceRow
from trunkline.errors import TrunklineError
from trunkline.rating.model import Timing

ACCOUNT = Account(
    tenant="cgrates.org",
    id="1001",
    balances=(
        Balance(uuid="u1", value=Decimal("10"), weight=Decimal("10.5")),
        Balance(
            uuid="u2",
            id="minutes",
            type="*voice",
            value=Decimal(60_000_000_000),
            expires=datetime(2030, 1, 1, tzinfo=UTC),
            destinations=("DST", "!OTHER"),
            timings=(Timing("PEAK", week_days=(1, 2), start=28_800, end=72_000),),
            factors={"*voice": Decimal(2)},
        ),
    ),
    counters=(
        Counter(
            kind="*event",
            type="*monetary",
            unique_id="T",
            filter=BalanceRow(),
            value=Decimal("1.5"),
        ),
    ),
    triggers=(
        Trigger(
            row=ActionTriggerRow(
                id="ATS",
                unique_id="T",
                threshold_type="*min_balance",
                threshold_value=Decimal(2),
                balance=BalanceRow(type="*monetary", value=Decimal(1)),
                actions_id="WARN",
            )
        ),
    ),
)


@given(accounts)
def test_an_account_and_its_document_are_the_same(account: Account) -> None:
    text = json.dumps(account_to_json(account))
    assert account_from_json(json.loads(text)) == account


@given(takings)
def test_a_taking_and_its_document_are_the_same(taking: Taking) -> None:
    assert taking_from_json(json.loads(json.dumps(taking_to_json(taking)))) == taking


def test_an_empty_account_is_a_short_document() -> None:
    assert account_to_json(Account(tenant="t", id="a")) == {"version": 1, "tenant": "t", "id": "a"}


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"version": 2}, "charging.document-version", "version 2"),
        ({"version": 0}, "charging.document-version", "version 0"),
        ({"tenant": 1}, "charging.document", "account.tenant"),
        ({"disabled": 1}, "charging.document", "account.disabled"),
        ({"updated": "2020-01-01T00:00:00"}, "charging.document", "account.updated"),
        ({"updated": "yesterday"}, "charging.document", "account.updated"),
        ({"balances": {}}, "charging.document", "account.balances"),
        ({"balances": [1]}, "charging.document", "account.balances[0]"),
        ({"balances": [{"value": 1}]}, "charging.document", "account.balances[0].value"),
        ({"balances": [{"value": "NaN"}]}, "charging.document", "account.balances[0].value"),
        ({"balances": [{"value": "1,5"}]}, "charging.document", "account.balances[0].value"),
        ({"balances": [{"categories": [1]}]}, "charging.document", "balances[0].categories"),
        (
            {"balances": [{"timings": [{"years": ["x"]}]}]},
            "charging.document",
            "balances[0].timings[0].years",
        ),
        ({"triggers": [{"min_sleep": True}]}, "charging.document", "triggers[0].min_sleep"),
    ],
)
def test_what_is_no_account_is_refused_with_its_place(
    changed: dict[str, object], code: str, said: str
) -> None:
    with pytest.raises(TrunklineError, match=said.replace("[", r"\[")) as refused:
        account_from_json({**account_to_json(ACCOUNT), **changed})
    assert refused.value.code == code


def test_the_reference_shows_an_account_as_its_users_know_it() -> None:
    shown = reference_account(ACCOUNT)
    assert json.loads(json.dumps(shown)) == shown
    assert shown["ID"] == "cgrates.org:1001"
    assert shown["BalanceMap"] == {
        "*monetary": [
            {
                "Uuid": "u1",
                "ID": "",
                "Value": 10,
                "ExpirationDate": "0001-01-01T00:00:00Z",
                "Weight": 10.5,
                "DestinationIDs": {},
                "RatingSubject": "",
                "Categories": {},
                "SharedGroups": {},
                "Timings": None,
                "TimingIDs": {},
                "Disabled": False,
                "Factor": None,
                "Blocker": False,
            }
        ],
        "*voice": [
            {
                "Uuid": "u2",
                "ID": "minutes",
                "Value": 60_000_000_000,
                "ExpirationDate": "2030-01-01T00:00:00Z",
                "Weight": 0,
                "DestinationIDs": {"DST": True, "OTHER": False},
                "RatingSubject": "",
                "Categories": {},
                "SharedGroups": {},
                "Timings": [
                    {
                        "Years": [],
                        "Months": [],
                        "MonthDays": [],
                        "WeekDays": [1, 2],
                        "StartTime": "08:00:00",
                        "EndTime": "20:00:00",
                    }
                ],
                "TimingIDs": {"PEAK": True},
                "Disabled": False,
                "Factor": {"*voice": 2},
                "Blocker": False,
            }
        ],
    }
    triggers = shown["ActionTriggers"]
    assert isinstance(triggers, list)
    assert isinstance(triggers[0], dict)
    assert triggers[0]["ThresholdType"] == "*min_balance"
    assert shown["UnitCounters"] == {
        "*monetary": [
            {
                "CounterType": "*event",
                "Counters": [
                    {
                        "Value": 1.5,
                        "Filter": dict.fromkeys(
                            (
                                *("Uuid", "ID", "Type", "Value", "ExpirationDate", "Weight"),
                                *("DestinationIDs", "RatingSubject", "Categories", "SharedGroups"),
                                *("TimingIDs", "Timings", "Disabled", "Factor", "Blocker"),
                            )
                        ),
                    }
                ],
            }
        ]
    }
    assert shown["UpdateTime"] == "0001-01-01T00:00:00Z"


def test_an_account_without_anything_has_nulls_as_in_the_reference() -> None:
    shown = reference_account(replace(ACCOUNT, balances=(), counters=(), triggers=()))
    assert (shown["BalanceMap"], shown["UnitCounters"], shown["ActionTriggers"]) == (None,) * 3


def test_an_account_may_go_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(ACCOUNT)) == ACCOUNT
