"""Requests as the reference's documents show them, to the letter, and the answers they show.

From docs/readthedocs of CGRateS (accountLifeCycle.rst, balanceManagement.rst), its docs/api_tp….rst
as far as their members are those of 0.10, and its document of AnalyzerS: text that is sent as it
stands there. Members that later versions have no field for are passed over, as in Go.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.elements.charging.support import documented, network_file, running, write_folder
from tests.elements.charging.test_costs import RETAIL

ADD_BALANCE = """
{
    "method": "APIerSv1.AddBalance",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "BalanceUuid": null,
        "BalanceId": "123456",
        "BalanceType": "*monetary",
        "Directions": null,
        "Value": 10,
        "ExpiryTime": null,
        "RatingSubject": null,
        "Categories": null,
        "DestinationIds": null,
        "TimingIds": null,
        "Weight": null,
        "SharedGroups": null,
        "Overwrite": false,
        "Blocker": null,
        "Disabled": null
    }],
    "id": 4
}
"""
DEBIT_BALANCE = """
{
    "method": "APIerSv1.DebitBalance",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "BalanceUuid": null,
        "BalanceId": "23456",
        "BalanceType": "*monetary",
        "Directions": null,
        "Value": 5,
        "ExpiryTime": null,
        "RatingSubject": null,
        "Categories": null,
        "DestinationIds": null,
        "TimingIds": null,
        "Weight": null,
        "SharedGroups": null,
        "Overwrite": false,
        "Blocker": null,
        "Disabled": null
    }],
    "id": 5
}
"""
SET_BALANCE = """
{
    "method": "APIerSv1.SetBalance",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "BalanceType": "*monetary",
        "BalanceUUID": null,
        "BalanceID": "23456",
        "Directions": null,
        "Value": 12,
        "ExpiryTime": null,
        "RatingSubject": null,
        "Categories": null,
        "DestinationIds": null,
        "TimingIds": null,
        "Weight": null,
        "SharedGroups": null,
        "Blocker": null,
        "Disabled": null
    }],
    "id": 6
}
"""
REMOVE_ACCOUNT = """
{
    "method": "APIerSv1.RemoveAccount",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "ReloadScheduler": false
    }],
    "id": 3
}
"""

CREATE_ACCOUNT = """
{
    "method": "APIerSv2.SetAccount",
    "params": [{
        "Tenant": "cgrates.org",
        "Account": "1003",
        "ActionPlanIDs": ["PACKAGE_10"],
        "ActionPlansOverwrite": false,
        "ActionTriggerIDs": ["STANDARD_TRIGGERS"],
        "ActionTriggerOverwrite": false,
        "AllowNegative": null,
        "Disabled": null,
        "ReloadScheduler": false
    }],
    "id": 0
}
"""
GET_ACCOUNTS = """
{
    "method": "APIerSv2.GetAccounts",
    "params": [{
        "Tenant": "cgrates.org",
        "AccountIds": ["1003"],
        "Offset": 0,
        "Limit": 0
    }],
    "id": 1
}
"""
ACTION_PLANS = """
{
    "method": "APIerSv1.GetActionPlan",
    "params": [{
        "ID": ""
    }],
    "id": 3
}
"""
ACTION_PLAN = """
{
    "method": "APIerSv1.GetActionPlan",
    "params": [{
        "ID": "PACKAGE_10"
    }],
    "id": 4
}
"""
ACTION_PLAN_ANSWER = """
{
    "id": 4,
    "result": [{
        "Id": "PACKAGE_10",
        "AccountIDs": {
            "cgrates.org:1002": true,
            "cgrates.org:1003": true,
            "cgrates.org:1004": true
        },
        "ActionTimings": [{
            "Uuid": "6e335f92-ae2e-4253-8809-f124a46eac06",
            "Timing": {
                "Timing": {
                    "Years": null,
                    "Months": null,
                    "MonthDays": null,
                    "WeekDays": null,
                    "StartTime": "*asap",
                    "EndTime": ""
                },
                "Rating": null,
                "Weight": 0
            },
            "ActionsID": "TOPUP_RST_10",
            "Weight": 10
        }]
    }],
    "error": null
}
"""
STANDARD = {
    "Actions.csv": (
        "TOPUP_RST_10,*topup_reset,,,,*monetary,,*any,,,*unlimited,,10,10,false,false,10\n"
        "LOG_WARNING,*log,,,,,,,,,,,,,false,false,10\n"
        "DISABLE_AND_LOG,*disable_account,,,,,,,,,,,,,false,false,10\n"
    ),
    "ActionPlans.csv": ("PACKAGE_10,TOPUP_RST_10,*asap,10\nPACKAGE_1001,TOPUP_RST_10,*asap,10\n"),
    "ActionTriggers.csv": (
        "STANDARD_TRIGGERS,,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,LOG_WARNING,10\n"
        "STANDARD_TRIGGERS,,*max_balance,20,false,0,,,,*monetary,,,,,,,,,,LOG_WARNING,10\n"
        "STANDARD_TRIGGERS,,*max_balance,100,false,0,,,,*monetary,,,,,,,,,,DISABLE_AND_LOG,10\n"
    ),
    "AccountActions.csv": (
        "cgrates.org,1002,PACKAGE_10,STANDARD_TRIGGERS,,\n"
        "cgrates.org,1004,PACKAGE_10,STANDARD_TRIGGERS,,\n"
    ),
}


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[socket.socket]:
    write_folder(tmp_path / "tariff", RETAIL | STANDARD)
    with (
        running(network_file(tmp_path, "documented", tariff="tariff")) as node,
        socket.create_connection(node.servers["rpc_json"].local, 10) as connection,
    ):
        yield connection


def answered(wire: socket.socket, text: str) -> str:
    """The line that comes back."""
    wire.sendall(text.encode())
    data = b""
    while not data.endswith(b"\n"):
        data += wire.recv(65536)
    return data.decode()


def money(wire: socket.socket) -> float:
    """The sum of the account's money."""
    asked = {"method": "APIerSv1.GetAccount", "params": [{"Account": "1003"}], "id": 9}
    found = json.loads(answered(wire, json.dumps(asked)))["result"]
    return float(sum(each["Value"] for each in found["BalanceMap"]["*monetary"]))


@documented("APIerSv1.AddBalance", "APIerSv1.DebitBalance", "APIerSv1.SetBalance")
def test_balances(wire: socket.socket) -> None:
    assert answered(wire, ADD_BALANCE) == '{"id":4,"result":"OK","error":null}\n'
    assert money(wire) == 10
    assert answered(wire, DEBIT_BALANCE) == '{"id":5,"result":"OK","error":null}\n'
    assert money(wire) == 5
    assert answered(wire, SET_BALANCE) == '{"id":6,"result":"OK","error":null}\n'
    assert money(wire) == 17  # a balance of its own, as in the document's account


@documented("APIerSv1.RemoveAccount")
def test_an_account_that_goes(wire: socket.socket) -> None:
    answered(wire, ADD_BALANCE)
    assert answered(wire, REMOVE_ACCOUNT) == '{"id":3,"result":"OK","error":null}\n'
    asked = {"method": "APIerSv1.GetAccount", "params": [{"Account": "1003"}], "id": 9}
    assert answered(wire, json.dumps(asked)) == '{"id":9,"result":null,"error":"NOT_FOUND"}\n'


@documented("APIerSv2.SetAccount", "APIerSv1.GetActionPlan")
def test_the_plans_of_accounts(wire: socket.socket) -> None:
    assert answered(wire, CREATE_ACCOUNT) == '{"id":0,"result":"OK","error":null}\n'
    found = json.loads(answered(wire, ACTION_PLAN))
    [timing] = found["result"][0]["ActionTimings"]
    wanted = json.loads(ACTION_PLAN_ANSWER)
    wanted["result"][0]["ActionTimings"][0]["Uuid"] = timing["Uuid"]  # each makes its own
    assert found == wanted
    plans = json.loads(answered(wire, ACTION_PLANS))["result"]
    assert [(plan["Id"], plan["AccountIDs"] and len(plan["AccountIDs"])) for plan in plans] == [
        ("PACKAGE_10", 3),
        ("PACKAGE_1001", None),
    ]
    for _ in range(200):
        [account] = json.loads(answered(wire, GET_ACCOUNTS))["result"]
        if account["BalanceMap"]:
            break
    [balance] = account["BalanceMap"]["*monetary"]
    assert (balance["Value"], balance["Weight"]) == (10, 10)
    assert [each["ThresholdValue"] for each in account["ActionTriggers"]] == [2, 20, 100]


TIMING = (
    '{"method":"APIerSv1.SetTPTiming","params":[{"TPid":"balance","ID":"monthly","Years":"*any",'
    '"Months":"*any","MonthDays":"1","WeekDays":"*any","Time":"00:00:00"}],"id":2}'
)
TIMING_IDS = """
   {
    "id": 4,
    "method": "ApierV1.GetTPTimingIds",
    "params": [
        {
            "TPid": "CGR_API_TESTS"
        }
    ]
   }
"""
RATE_IDS = """
   {
    "id": 4,
    "method": "ApierV1.GetTPRateIds",
    "params": [
        {
            "TPid": "CGR_API_TESTS"
        }
    ]
   }
"""
TP_IDS = """
   {
    "id": 9, 
    "method": "ApierV1.GetTPIds", 
    "params": []
   }
"""  # noqa: W291 - as it stands there
SLOT = {"Rate": 0.01, "RateUnit": "1s", "RateIncrement": "1s", "GroupIntervalStart": "0"}


@documented(
    "APIerSv1.SetTPTiming",
    "APIerSv1.GetTPTimingIds",
    "APIerSv1.GetTPRateIds",
    "APIerSv1.GetTPIds",
)
def test_drafts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tariffs.sqlite"
    with (
        running(network_file(tmp_path, "drafts", store=url)) as node,
        socket.create_connection(node.servers["rpc_json"].local, 10) as wire,
    ):

        def put(what: str, item: dict[str, object]) -> None:
            request = {"method": f"APIerSv1.SetTP{what}", "params": [item], "id": 1}
            assert json.loads(answered(wire, json.dumps(request)))["result"] == "OK"

        assert answered(wire, TIMING) == '{"id":2,"result":"OK","error":null}\n'
        put("Timing", {"TPid": "CGR_API_TESTS", "ID": "ASAP", "Time": "*asap"})
        put("Rate", {"TPid": "CGR_API_TESTS", "ID": "1CENTPERSEC", "RateSlots": [SLOT]})
        assert answered(wire, TIMING_IDS) == '{"id":4,"result":["ASAP"],"error":null}\n'
        assert answered(wire, RATE_IDS) == '{"id":4,"result":["1CENTPERSEC"],"error":null}\n'
        for name in ("balance", "CGR_API_TESTS"):
            remove = {"method": "APIerSv1.RemTP", "params": [{"TPid": name}], "id": 1}
            answered(wire, json.dumps(remove))
        for name in ("SAMPLE_TP_2", "SAMPLE_TP"):
            put("Timing", {"TPid": name, "ID": "ASAP", "Time": "*asap"})
        assert json.loads(answered(wire, TP_IDS)) == {
            "error": None,
            "id": 9,
            "result": ["SAMPLE_TP", "SAMPLE_TP_2"],
        }
