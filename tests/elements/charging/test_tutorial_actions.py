"""Actions, plans and triggers as a tutorial's scripts post them.

Its texts: Actions_ActionPlans_Example.py and ActionTriggers_Example.py of
nickvsnetworking/CGrates_Tutorial, written for 0.10.2. What its actions post to elsewhere is caught.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.elements.charging.support import documented, network_file, running

from trunkline.elements.charging import effects

OK = {"id": None, "result": "OK", "error": None}
ACCOUNT = "Nick_Test_123"
LOGGED = {
    "Identifier": "*cdrlog",
    "BalanceId": "",
    "BalanceUuid": "",
    "BalanceType": "*monetary",
    "Directions": "*out",
    "Units": 0,
    "ExpiryTime": "",
    "Filter": "",
    "TimingTags": "",
    "DestinationIds": "",
    "RatingSubject": "",
    "Categories": "",
    "SharedGroups": "",
    "BalanceWeight": 0,
    "ExtraParameters": '{"Category":"^activation","Destination":"Your sign up Bonus"}',
    "BalanceBlocker": "false",
    "BalanceDisabled": "false",
    "Weight": 80,
}
BONUS = {
    "id": "0",
    "method": "ApierV1.SetActions",
    "params": [
        {
            "ActionsId": "Action_Add_Signup_Bonus",
            "Actions": [
                {
                    "Identifier": "*topup_reset",
                    "BalanceId": "Balance_Signup_Bonus",
                    "BalanceType": "*monetary",
                    "Units": 99,
                    "ExpiryTime": "*month",
                    "BalanceWeight": 1200,
                    "Weight": 90,
                },
                LOGGED,
                {
                    "Identifier": "*http_post_async",
                    "ExtraParameters": "http://10.177.2.135/signup_bonus",
                    "ExpiryTime": "*unlimited",
                    "Weight": 70,
                },
                {"Identifier": "*log", "Weight": 60},
            ],
        }
    ],
}


def plan(name: str, actions: str, when: str) -> dict[str, object]:
    row = {
        "ActionsId": actions,
        "Years": "*any",
        "Months": "*any",
        "MonthDays": "*any",
        "WeekDays": "*any",
        "Time": when,
        "Weight": 10,
    }
    asked = {"Id": name, "ActionPlan": [row], "Overwrite": True, "ReloadScheduler": True}
    return {"method": "ApierV1.SetActionPlan", "params": [asked]}


BONUS_PLAN = plan("ActionPlan_Signup_Bonus", "Action_Add_Signup_Bonus", "*asap")
MONTHLY_PLAN = plan("ActionPlan_Monthly_Charge", "Action_Monthly_Charge", "*every_minute")
MONTHLY = {
    "id": "0",
    "method": "ApierV1.SetActions",
    "params": [
        {
            "ActionsId": "Action_Monthly_Charge",
            "Actions": [
                {
                    "Identifier": "*debit",
                    "BalanceType": "*monetary",
                    "Units": 6,
                    "Id": "Action_Monthly_Charge_Debit",
                    "Weight": 70,
                },
                {"Identifier": "*log", "Weight": 60, "Id": "Action_Monthly_Charge_Log"},
                {
                    **LOGGED,
                    "ExtraParameters": '{"Category":"^activation",'
                    '"Destination":"Recurring Charge"}',
                },
            ],
        }
    ],
}
NOTIFY = {
    "id": "0",
    "method": "ApierV1.SetActions",
    "params": [
        {
            "ActionsId": "Action_HTTP_Notify_95",
            "Actions": [
                {
                    "Identifier": "*http_post_async",
                    "ExtraParameters": "http://10.177.2.135/95_remaining",
                    "ExpiryTime": "*unlimited",
                    "Weight": 700,
                },
                {"Identifier": "*log", "Weight": 1200},
            ],
        }
    ],
}
TRIGGER = {
    "method": "APIerSv1.SetActionTrigger",
    "params": [
        {
            "GroupID": "ActionTrigger_95_Remaining",
            "ActionTrigger": {
                "BalanceType": "*monetary",
                "Balance": {
                    "BalanceType": "*monetary",
                    "ID": "*default",
                    "BalanceID": "*default",
                    "Value": 95,
                },
                "ThresholdType": "*min_balance",
                "ThresholdValue": 95,
                "Weight": 10,
                "ActionsID": "Action_HTTP_Notify_95",
            },
            "Overwrite": True,
        }
    ],
}
ADD_TRIGGER = {
    "method": "APIerSv1.AddAccountActionTriggers",
    "params": [
        {
            "Tenant": "cgrates.org",
            "Account": ACCOUNT,
            "ActionTriggerIDs": ["ActionTrigger_95_Remaining"],
            "ActionTriggersOverwrite": True,
        }
    ],
}


def set_account(*plans: str) -> dict[str, object]:
    asked = {
        "Tenant": "cgrates.org",
        "Account": ACCOUNT,
        "ActionPlanIds": list(plans),
        "ActionPlansOverwrite": True,
        "ReloadScheduler": True,
    }
    return {"method": "ApierV2.SetAccount", "params": [asked]}


Post = Callable[[object], Any]


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the node has posted to."""
    found: list[str] = []

    async def post(url: str, body: bytes, **_: object) -> None:
        assert json.loads(body)["ID"] == f"cgrates.org:{ACCOUNT}"
        found.append(url)

    monkeypatch.setattr(effects, "post", post)
    return found


@pytest.fixture
def send(tmp_path: Path, posted: list[str]) -> Iterator[Post]:
    with running(
        network_file(tmp_path, "tutorial-actions", store=f"sqlite:///{tmp_path}/s.db")
    ) as node:
        host, port = node.servers["http"].local

        def post(body: object) -> Any:
            request = urllib.request.Request(
                f"http://{host}:{port}/jsonrpc",
                json.dumps(body).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)

        yield post


def waited(ready: Callable[[], Any]) -> Any:
    """What comes within some seconds: the tutorial waits for one."""
    for _ in range(200):
        if found := ready():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


def money(send: Post) -> Any:
    asked = {"Tenant": "cgrates.org", "Account": ACCOUNT}
    found = send({"method": "ApierV2.GetAccount", "params": [asked]})["result"]
    return (found["BalanceMap"] or {}).get("*monetary")


@documented("APIerSv1.SetActions", "APIerSv1.SetActionPlan", "APIerSv2.SetAccount")
def test_a_bonus_for_new_accounts(send: Post, posted: list[str]) -> None:
    assert send(BONUS) == {**OK, "id": "0"}
    assert send(BONUS_PLAN) == OK
    actions = send({"method": "APIerSv2.GetActions", "params": [{"Tenant": "cgrates.com"}]})
    assert [each["ActionType"] for each in actions["result"]["Action_Add_Signup_Bonus"]] == [
        "*topup_reset",
        "*cdrlog",
        "*http_post_async",
        "*log",
    ]
    assert send(set_account("ActionPlan_Signup_Bonus")) == OK
    [balance] = waited(lambda: money(send))
    assert (balance["ID"], balance["Value"], balance["Weight"]) == (
        "Balance_Signup_Bonus",
        99,
        1200,
    )
    assert balance["ExpirationDate"] > time.strftime("%Y-%m-%d", time.gmtime())
    assert waited(lambda: posted) == ["http://10.177.2.135/signup_bonus"]
    [record] = send({"method": "CDRsV1.GetCDRs", "params": [{"Accounts": [ACCOUNT]}]})["result"]
    assert (record["Category"], record["Destination"]) == ("activation", "Your sign up Bonus")
    assert (record["Cost"], record["RunID"]) == (99, "*topup_reset")


@documented("APIerSv1.SetActionTrigger", "APIerSv1.AddAccountActionTriggers")
def test_a_charge_and_a_warning(send: Post, posted: list[str]) -> None:
    for request in (BONUS, BONUS_PLAN, MONTHLY, MONTHLY_PLAN, NOTIFY):
        assert send(request)["result"] == "OK"
    names = send({"method": "ApierV2.GetActionPlanIDs", "params": []})["result"]
    assert names == ["ActionPlan_Monthly_Charge", "ActionPlan_Signup_Bonus"]
    assert send(set_account(*reversed(names))) == OK
    [found] = send({"method": "ApierV2.GetActionPlan", "params": [{"ID": names[0]}]})["result"]
    assert found["AccountIDs"] == {f"cgrates.org:{ACCOUNT}": True}
    assert found["ActionTimings"][0]["Timing"]["Timing"]["StartTime"] == "*every_minute"
    waited(lambda: money(send))
    assert send(TRIGGER) == OK
    group = {"GroupID": "ActionTrigger_95_Remaining"}
    [trigger] = send({"method": "APIerSv1.GetActionTriggers", "params": [group]})["result"]
    assert (trigger["ThresholdType"], trigger["ThresholdValue"]) == ("*min_balance", 95)
    assert trigger["Balance"]["Type"] == "*monetary"
    assert send(ADD_TRIGGER) == OK
    charge = {"Tenant": "cgrates.org", "Account": ACCOUNT, "ActionsId": "Action_Monthly_Charge"}
    assert send({"method": "APIerSv1.ExecuteAction", "params": [charge]}) == OK
    assert money(send)[0]["Value"] == 93
    assert waited(lambda: posted[1:]) == ["http://10.177.2.135/95_remaining"]
