"""Requests of a tutorial that users of CGRateS follow, as its scripts post them over HTTP.

They have no ``id``. Its texts: AttributeS_Playground.py, ChargerS_Playground.py and
Account_Balance_Examples.py of nickvsnetworking/CGrates_Tutorial, written for 0.10.2; and
api_cache.rst of the reference.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.elements.charging.support import documented, network_file, running

Post = Callable[[object], object]
OK = {"id": None, "result": "OK", "error": None}

KEY_VALUE = {
    "method": "APIerSv2.SetAttributeProfile",
    "params": [
        {
            "Tenant": "cgrates.org",
            "ID": "ATTR_Nick_Key_Value_Example",
            "Contexts": ["*any"],
            "FilterIDs": ["*string:~*req.Account:1234"],
            "Attributes": [
                {
                    "FilterIDs": [],
                    "Path": "*req.ExampleKey",
                    "Type": "*constant",
                    "Value": "ExampleValue",
                }
            ],
            "Blocker": False,
            "Weight": 10,
        }
    ],
}
TO_E164 = {
    "method": "APIerSv2.SetAttributeProfile",
    "params": [
        {
            "Tenant": "cgrates.org",
            "ID": "ATTR_0NSN_to_E164_02_Area_Code",
            "Contexts": ["*any"],
            "FilterIDs": ["*string:~*req.Account:NickTest7"],
            "Attributes": [
                {
                    "FilterIDs": [],
                    "Path": "*req.Subject",
                    "Type": "*variable",
                    "Value": r"~*req.Subject:s/^0(\d{1})(\d{8})$/61${1}${2}/",
                },
                {
                    "FilterIDs": [],
                    "Path": "*req.Subject",
                    "Type": "*variable",
                    "Value": r"~*req.Subject:s/^(\d{8})$/612${1}/",
                },
            ],
            "Blocker": False,
            "Weight": 10,
        }
    ],
}
PORTED = {
    "method": "APIerSv2.SetAttributeProfile",
    "params": [
        {
            "Tenant": "cgrates.org",
            "ID": "ATTR_Ported_61212341234",
            "Contexts": ["*any"],
            "FilterIDs": ["*string:~*req.Subject:61212341234"],
            "Attributes": [
                {
                    "FilterIDs": [],
                    "Path": "*req.Destination",
                    "Type": "*constant",
                    "Value": "DST_Operator2",
                }
            ],
            "Blocker": False,
            "Weight": 5,
        }
    ],
}
CHARGERS = (
    {
        "method": "APIerSv1.SetChargerProfile",
        "params": [
            {
                "Tenant": "cgrates.org",
                "ID": "DEFAULT",
                "FilterIDs": [],
                "AttributeIDs": ["*none"],
                "RunID": "default",
                "Weight": 0,
            }
        ],
    },
    {
        "method": "APIerSv1.SetChargerProfile",
        "params": [
            {
                "ID": "CHARGER_Retail",
                "FilterIDs": [],
                "AttributeIDs": ["*constant:*req.Category:RetailCharge"],
                "RunID": "charger_retail",
                "Weight": 0,
            }
        ],
    },
)
RELOAD = """
   {
    "id": 1,
    "method": "ApierV1.ReloadCache",
    "params": [
        {
            "DestinationIds": [
                "GERMANY",
                "GERMANY_MOBILE",
                "FS_USERS"
            ],
            "RatingPlanIds": [
                "RETAIL1"
            ]
        }
    ]
   }
"""


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    with running(network_file(tmp_path, "tutorial", store=f"sqlite:///{tmp_path}/t.db")) as node:
        host, port = node.servers["http"].local

        def send(body: object) -> object:
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            headers = {"Content-type": "application/json", "Accept": "text/plain"}
            asked = urllib.request.Request(f"http://{host}:{port}/jsonrpc", data, headers)
            with urllib.request.urlopen(asked, timeout=10) as response:
                return json.load(response)

        yield send


def set_balance(kind: str, **balance: object) -> object:
    return {
        "method": "ApierV1.SetBalance",
        "params": [
            {
                "Tenant": "cgrates.org",
                "Account": "Nick_Test_123",
                "BalanceType": kind,
                "Categories": "*any",
                "Balance": balance,
            }
        ],
    }


def balances(post: Post) -> dict[str, object]:
    """By their ID, what they hold; and that of a blocker as a pair."""
    account = {"Tenant": "cgrates.org", "Account": "Nick_Test_123"}
    answer = post({"method": "ApierV2.GetAccount", "params": [account]})
    assert isinstance(answer, dict)
    held = [each for kind in answer["result"]["BalanceMap"].values() for each in kind]
    return {
        each["ID"]: (each["Value"], "blocker") if each["Blocker"] else each["Value"]
        for each in held
    }


def process(post: Post, event: dict[str, object], **more: object) -> dict[str, object]:
    argument = {"Tenant": "cgrates.org", "Event": event, **more}
    answer = post({"method": "AttributeSv1.ProcessEvent", "params": [argument]})
    assert isinstance(answer, dict)
    assert answer["error"] is None
    found: dict[str, object] = answer["result"]
    return found


@documented("APIerSv2.SetAttributeProfile")
def test_a_key_and_a_value(post: Post) -> None:
    assert post(KEY_VALUE) == OK
    assert process(post, {"Account": "1234"}) == {
        "MatchedProfiles": ["ATTR_Nick_Key_Value_Example"],
        "AlteredFields": ["*req.ExampleKey"],
        "Tenant": "cgrates.org",
        "ID": "",
        "Time": None,
        "Event": {"Account": "1234", "ExampleKey": "ExampleValue"},
        "APIOpts": {},
    }


def test_numbers_are_made_international_then_ported(post: Post) -> None:
    assert post(TO_E164) == OK
    options = {"*processRuns": 5, "*profileRuns": 5, "*subsys": "*sessions"}
    for subject in ("0312341234", "12341234"):
        found = process(post, {"Account": "NickTest7", "Subject": subject}, APIOpts=options)
        expected = "61312341234" if subject.startswith("0") else "61212341234"
        assert found["Event"] == {"Account": "NickTest7", "Subject": expected}
    assert post(PORTED) == OK
    found = process(post, {"Account": "NickTest7", "Subject": "12341234"}, APIOpts=options)
    assert found["Event"] == {
        "Account": "NickTest7",
        "Subject": "61212341234",
        "Destination": "DST_Operator2",
    }
    assert found["MatchedProfiles"] == [
        "ATTR_0NSN_to_E164_02_Area_Code",
        "ATTR_Ported_61212341234",
        "ATTR_0NSN_to_E164_02_Area_Code",
        "ATTR_Ported_61212341234",
        "ATTR_0NSN_to_E164_02_Area_Code",
    ]


@documented("APIerSv1.SetChargerProfile")
def test_two_chargers(post: Post) -> None:
    for request in CHARGERS:
        assert post(request) == OK
    event = {"Tenant": "cgrates.org", "Event": {"Account": "Nick_Test_123"}}
    answer = post({"method": "ChargerSv1.ProcessEvent", "params": [event]})
    assert isinstance(answer, dict)
    assert [
        (run["ChargerSProfile"], run["CGREvent"]["Event"].get("Category"))
        for run in answer["result"]
    ] == [("DEFAULT", None), ("CHARGER_Retail", "RetailCharge")]


@documented("APIerSv1.ReloadCache")
def test_the_cache_is_reloaded(post: Post) -> None:
    assert post(RELOAD) == {"error": None, "id": 1, "result": "OK"}


def test_balances_say_their_value_within(post: Post) -> None:
    create = {
        "method": "ApierV2.SetAccount",
        "params": [{"Tenant": "cgrates.org", "Account": "Nick_Test_123"}],
    }
    assert post(create) == OK
    for kind, balance in (
        ("*voice", {"ID": "5_minute_voice_balance", "Value": "5m", "Weight": 25}),
        ("*sms", {"ID": "SMS_Balance_1", "Value": "100", "Weight": 25}),
        ("*data", {"ID": "number", "Value": 1024}),
        (
            "*generic",
            {"ID": "100_units_generic_balance", "Value": "100", "Weight": 25, "Blocker": "true"},
        ),
    ):
        assert post(set_balance(kind, **balance)) == OK
    assert balances(post) == {
        "5_minute_voice_balance": 300 * 10**9,
        "SMS_Balance_1": 100,
        "number": 1024,
        "100_units_generic_balance": (100, "blocker"),
    }
    answer = post(set_balance("*sms", ID="bad", Value="ten"))
    assert isinstance(answer, dict)
    assert answer["error"] == 'SERVER_ERROR: Value "ten" is neither a number nor a duration'


def external_cdr(kind: str, account: str, usage: str) -> object:
    return {
        "method": "CDRsV2.ProcessExternalCDR",
        "params": [
            {
                "OriginID": f"{kind}-{account}-{usage}",
                "ToR": kind,
                "RequestType": "*pseudoprepaid",
                "AnswerTime": "2023-07-14 14:31:05",
                "SetupTime": "2023-07-14 14:31:05",
                "Tenant": "cgrates.org",
                "Account": account,
                "Usage": usage,
            }
        ],
    }


@documented("CDRsV1.ProcessExternalCDR")
def test_records_use_up_the_balances(post: Post) -> None:
    for request in CHARGERS[:1]:
        assert post(request) == OK
    assert post(set_balance("*voice", ID="5_minute_voice_balance", Value="5m", Weight=25)) == OK
    assert post(external_cdr("*voice", "Nick_Test_123", "150s")) == OK
    assert balances(post) == {"5_minute_voice_balance": 150 * 10**9}


def test_a_number_is_its_accounts(post: Post) -> None:
    for request in CHARGERS[:1]:
        assert post(request) == OK
    assert post(set_balance("*sms", ID="SMS_Balance_1", Value="100", Weight=25)) == OK
    for number in ("12340001", "12340002", "12340003"):
        alias = {
            "method": "APIerSv2.SetAttributeProfile",
            "params": [
                {
                    "Tenant": "cgrates.org",
                    "ID": f"ATTR_Calling_Nick_Test_123_{number}",
                    "Contexts": ["*any"],
                    "FilterIDs": [f"*string:~*req.Account:{number}"],
                    "Attributes": [
                        {"Path": "*req.Account", "Type": "*constant", "Value": "Nick_Test_123"}
                    ],
                    "Weight": 0,
                }
            ],
            "id": 2,
        }
        assert post(alias) == OK | {"id": 2}
    assert post(external_cdr("*sms", "12340003", "1")) == OK
    assert balances(post) == {"SMS_Balance_1": 99}


def test_sessions_by_a_filter_that_is_empty_or_stored(post: Post) -> None:
    event = {
        "OriginID": "call-1",
        "Account": "1001",
        "Destination": "614",
        "RequestType": "*none",
        "Usage": "60s",
    }
    started = {"InitSession": True, "Tenant": "cgrates.org", "Event": event}
    post({"method": "SessionSv1.InitiateSession", "params": [started]})
    rule = {"Type": "*string", "Element": "~*req.Account", "Values": ["1002"]}
    assert post({"method": "APIerSv1.SetFilter", "params": [{"ID": "F", "Rules": [rule]}]}) == OK

    def count(*filters: str) -> object:
        asked: dict[str, object] = {"Limit": None, "Filters": filters, "Tenant": "cgrates.org"}
        answer = post({"method": "SessionSv1.GetActiveSessionsCount", "params": [asked]})
        assert isinstance(answer, dict)
        return answer["result"]

    assert count("") == count() == 1
    assert count("F") == 0
