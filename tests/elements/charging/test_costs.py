"""Prices by the API: the documented request, the reference's figures, and what has no price."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.elements.charging.reference_client import AnsweredError, JSONClient, http_call
from tests.elements.charging.support import documented, network_file, running, write_folder
from tests.rating.folder import tariff
from tests.rating.strategies import build, cases

from trunkline.elements.charging.costs import Costs
from trunkline.elements.charging.eventcost import EventCosts
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import Call as RpcCall
from trunkline.jsonrpc import encode
from trunkline.net.jsonrpc import Peer
from trunkline.rating import (
    EXACT,
    Call,
    Cgrates,
    RatingError,
    Tariff,
    TariffError,
    event_cost,
    price,
)
from trunkline.rating.durations import HOUR
from trunkline.rating.model import Parts

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
PEER = cast("Peer", object())

# The tariff plan of the documented request (docs/readthedocs/tariffPlanManagement.rst of CGRateS),
# as far as its answer shows it
RETAIL = {
    "Timings.csv": "WORK,*any,*any,*any,1;2;3;4;5,08:00:00\n",
    "Destinations.csv": "DST_1002,1002\n",
    "Rates.csv": "RT,0.4,0.2,60s,60s,0s\nRT,0.4,0.1,60s,30s,60s\n",
    "DestinationRates.csv": "DR,DST_1002,RT,*up,4,0,\n",
    "RatingPlans.csv": "RP_RETAIL2,DR,WORK,10\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,2014-01-14T00:00:00Z,RP_RETAIL2,\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("costs")


@pytest.fixture(scope="module")
def ways(folder: Path) -> Iterator[dict[str, Callable[[str, object], object]]]:
    """A node with the documented tariff, called by TCP and by HTTP."""
    write_folder(folder / "retail", RETAIL)
    with (
        running(network_file(folder, "costs", tariff="retail")) as node,
        closing(JSONClient(node.servers["rpc_json"].local)) as tcp,
        closing(JSONClient(node.servers["rpc_bijson"].local)) as both,
    ):
        host, port = node.servers["http"].local
        yield {
            "tcp": tcp.call,
            "both": both.call,
            "http": http_call(f"http://{host}:{port}/jsonrpc"),
        }


@pytest.fixture(params=["tcp", "both", "http"])
def call(
    request: pytest.FixtureRequest, ways: dict[str, Callable[[str, object], object]]
) -> Callable[[str, object], object]:
    return ways[request.param]


def named(tables: object) -> dict[str, object]:
    """Tables whose keys are drawn at random in the reference."""
    assert isinstance(tables, dict)
    assert all(re.fullmatch("[0-9a-f]{7}", key) for key in tables)
    return tables


def test_the_request_of_the_api_s_document(call: Callable[[str, object], object]) -> None:
    got = call(
        "APIerSv1.GetCost",
        {
            "Tenant": "cgrates.org",
            "Category": "call",
            "Subject": "1003",
            "AnswerTime": "2014-08-04T13:00:00Z",
            "Destination": "1002",
            "Usage": "1m25s",
        },
    )
    assert isinstance(got, dict)
    [timing_id], [filters_id] = named(got["Timings"]), named(got["RatingFilters"])
    [rates_id], [rating_id] = named(got["Rates"]), named(got["Rating"])
    # The document's answer, but for what an engine has long done otherwise: a connect fee stands as
    # a first increment of its own and is part of the cost, and what is alike stands there once.
    assert got == {
        "CGRID": "",
        "RunID": "",
        "StartTime": "2014-08-04T13:00:00Z",
        "Usage": 90_000_000_000,
        "Cost": 0.65,
        "Charges": [
            {
                "RatingID": rating_id,
                "Increments": [
                    {"Usage": 0, "Cost": 0.4, "AccountingID": "", "CompressFactor": 1},
                    {
                        "Usage": 60_000_000_000,
                        "Cost": 0.2,
                        "AccountingID": "",
                        "CompressFactor": 1,
                    },
                ],
                "CompressFactor": 1,
            },
            {
                "RatingID": rating_id,
                "Increments": [
                    {
                        "Usage": 30_000_000_000,
                        "Cost": 0.05,
                        "AccountingID": "",
                        "CompressFactor": 1,
                    }
                ],
                "CompressFactor": 1,
            },
        ],
        "AccountSummary": None,
        "Rating": {
            rating_id: {
                "ConnectFee": 0.4,
                "RoundingMethod": "*up",
                "RoundingDecimals": 4,
                "MaxCost": 0,
                "MaxCostStrategy": "",
                "TimingID": timing_id,
                "RatesID": rates_id,
                "RatingFiltersID": filters_id,
            }
        },
        "Accounting": {},
        "RatingFilters": {
            filters_id: {
                "DestinationID": "DST_1002",
                "DestinationPrefix": "1002",
                "RatingPlanID": "RP_RETAIL2",
                "Subject": "*out:cgrates.org:call:*any",
            }
        },
        "Rates": {
            rates_id: [
                {
                    "GroupIntervalStart": 0,
                    "Value": 0.2,
                    "RateIncrement": 60_000_000_000,
                    "RateUnit": 60_000_000_000,
                },
                {
                    "GroupIntervalStart": 60_000_000_000,
                    "Value": 0.1,
                    "RateIncrement": 30_000_000_000,
                    "RateUnit": 60_000_000_000,
                },
            ]
        },
        "Timings": {
            timing_id: {
                "Years": [],
                "Months": [],
                "MonthDays": [],
                "WeekDays": [1, 2, 3, 4, 5],
                "StartTime": "08:00:00",
            }
        },
    }


# The tutorial's request and the answer that it prints, with the tariff that its text speaks of
TUTORIAL = {
    "Destinations.csv": "DST_AUS_Mobile,614\n",
    "Rates.csv": "RATE,0,25,60s,60s,0s\n",
    "DestinationRates.csv": "DR,DST_AUS_Mobile,RATE,*up,4,0.12,*disconnect\n",
    "RatingPlans.csv": "RP_AUS,DR,*any,10\n",
    "RatingProfiles.csv": "cgrates.org,call,3005,2014-01-14T00:00:00Z,RP_AUS,\n",
}
TUTORIAL_ANSWER = """
{"AccountSummary": null, "Accounting": {}, "CGRID": "",
 "Charges": [{"CompressFactor": 1, "Increments": [
   {"AccountingID": "", "CompressFactor": 1, "Cost": 0, "Usage": "0s"},
   {"AccountingID": "", "CompressFactor": 1, "Cost": 25, "Usage": "1m0s"}], "RatingID": "febb614"}],
 "Cost": 25,
 "Rates": {"7d4a755": [{"GroupIntervalStart": "0s", "RateIncrement": "1m0s", "RateUnit": "1m0s",
   "Value": 25}]},
 "Rating": {"febb614": {"ConnectFee": 0, "MaxCost": 0.12, "MaxCostStrategy": "*disconnect",
   "RatesID": "7d4a755", "RatingFiltersID": "7e42edc", "RoundingDecimals": 4,
   "RoundingMethod": "*up", "TimingID": "c15a254"}},
 "RatingFilters": {"7e42edc": {"DestinationID": "DST_AUS_Mobile", "DestinationPrefix": "614",
   "RatingPlanID": "RP_AUS", "Subject": "*out:cgrates.org:call:3005"}},
 "RunID": "", "StartTime": "2014-08-04T13:00:00Z",
 "Timings": {"c15a254": {"MonthDays": [], "Months": [], "StartTime": "00:00:00", "WeekDays": [],
   "Years": []}},
 "Usage": "1m0s"}
"""


def renamed(text: str, keys: dict[str, str]) -> str:
    for old, new in keys.items():
        text = text.replace(old, new)
    return text


@documented("APIerSv1.GetCost")
def test_the_request_of_the_tutorial() -> None:
    argument = {
        "Category": "call",
        "Tenant": "cgrates.org",
        "Subject": "3005",
        "Destination": "614",
        "AnswerTime": "2014-08-04T13:00:00Z",
        "Usage": "60s",
    }
    got = _answered(tariff(TUTORIAL), "APIerSv1.GetCost", argument, 5)["result"]
    # The keys are drawn at random; on the wire, durations are integers.
    keys = {
        "febb614": one(got["Rating"]),
        "7d4a755": one(got["Rates"]),
        "7e42edc": one(got["RatingFilters"]),
        "c15a254": one(got["Timings"]),
        '"0s"': "0",
        '"1m0s"': "60000000000",
    }
    assert got == json.loads(renamed(TUTORIAL_ANSWER, keys))


def one(table: dict[str, object]) -> str:
    [key] = named(table)
    return key


def test_the_responder_s_cost(call: Callable[[str, object], object]) -> None:
    got = call(
        "Responder.GetCost",
        {
            "Category": "call",
            "Tenant": "cgrates.org",
            "Subject": "1003",
            "Account": "1003",
            "Destination": "1002",
            "TimeStart": "2014-08-04T15:00:00.123456789+02:00",
            "TimeEnd": "2014-08-04T15:01:25.123456789+02:00",
            "CallDuration": 85_000_000_000,
            "FallbackSubject": "",
            "Increments": None,
        },
    )
    assert isinstance(got, dict)
    first, second = got.pop("Timespans")
    assert got == {
        "Category": "call",
        "Tenant": "cgrates.org",
        "Subject": "1003",
        "Account": "1003",
        "Destination": "1002",
        "ToR": "*voice",
        "Cost": 0.65,
        "RatedUsage": 90_000_000_000,
        "AccountSummary": None,
    }
    assert first["Cost"] == 0.6
    assert first["TimeStart"] == "2014-08-04T13:00:00.123456789Z"
    assert first["TimeEnd"] == second["TimeStart"] == "2014-08-04T13:01:00.123456789Z"
    assert second == {
        "TimeStart": "2014-08-04T13:01:00.123456789Z",
        "TimeEnd": "2014-08-04T13:01:30.123456789Z",
        "Cost": 0.05,
        "RateInterval": {
            "Timing": {
                "ID": "WORK",
                "Years": [],
                "Months": [],
                "MonthDays": [],
                "WeekDays": [1, 2, 3, 4, 5],
                "StartTime": "08:00:00",
                "EndTime": "",
            },
            "Rating": {
                "ConnectFee": 0.4,
                "RoundingMethod": "*up",
                "RoundingDecimals": 4,
                "MaxCost": 0,
                "MaxCostStrategy": "",
                "Rates": first["RateInterval"]["Rating"]["Rates"],
            },
            "Weight": 10,
        },
        "DurationIndex": 90_000_000_000,
        "Increments": [
            {
                "Duration": 30_000_000_000,
                "Cost": 0.05,
                "BalanceInfo": {"Unit": None, "Monetary": None, "AccountID": ""},
                "CompressFactor": 1,
            }
        ],
        "RoundIncrement": None,
        "MatchedSubject": "*out:cgrates.org:call:*any",
        "MatchedPrefix": "1002",
        "MatchedDestId": "DST_1002",
        "RatingPlanId": "RP_RETAIL2",
        "CompressFactor": 1,
    }


ASKED = {
    "Tenant": "cgrates.org",
    "Category": "call",
    "Subject": "1003",
    "AnswerTime": "2014-08-04T13:00:00Z",
    "Destination": "1002",
    "Usage": "1m25s",
}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"Category": "sms"}, "SERVER_ERROR: RATING_PLAN_NOT_FOUND"),
        ({"Destination": "999"}, "SERVER_ERROR: UNAUTHORIZED_DESTINATION"),
        ({"AnswerTime": "2014-08-03T13:00:00Z"}, "SERVER_ERROR: UNAUTHORIZED_DESTINATION"),
        ({"Usage": "100h"}, "SERVER_ERROR: MAX_USAGE_EXCEEDED"),
        ({"Usage": "soon"}, 'time: invalid duration "soon"'),
        ({"Usage": "-60s"}, 'time: invalid duration "-60s"'),
        ({"AnswerTime": "soon"}, "Unsupported time format"),
        ({"AnswerTime": ""}, "MANDATORY_IE_MISSING: [AnswerTime]"),
        (
            {"Usage": 60},
            "json: cannot unmarshal number into Go struct field AttrGetCost.Usage of type string",
        ),
    ],
)
def test_what_has_no_price(
    ways: dict[str, Callable[[str, object], object]], changed: dict[str, object], error: str
) -> None:
    with pytest.raises(AnsweredError) as caught:
        ways["tcp"]("APIerSv1.GetCost", ASKED | changed)
    assert str(caught.value) == error


def test_the_responder_refuses_in_bare_words(
    ways: dict[str, Callable[[str, object], object]],
) -> None:
    def error(**changed: str) -> str:
        asked = {
            "Tenant": "cgrates.org",
            "Category": "call",
            "Subject": "1003",
            "Destination": "1002",
            "TimeStart": "2014-08-04T13:00:00Z",
            "TimeEnd": "2014-08-04T13:01:00Z",
        }
        with pytest.raises(AnsweredError) as caught:
            ways["tcp"]("Responder.GetCost", asked | changed)
        return str(caught.value)

    assert error(Category="sms") == "RATING_PLAN_NOT_FOUND"
    assert error(Destination="9") == "UNAUTHORIZED_DESTINATION"
    assert error(TimeEnd="2014-08-04T12:59:00Z").startswith("SERVER_ERROR: the usage -60000000000")
    assert error(TimeStart="x").startswith('parsing time "\\"x\\""')


def test_the_other_names_of_get_cost_and_pings(
    ways: dict[str, Callable[[str, object], object]],
) -> None:
    expected = ways["tcp"]("APIerSv1.GetCost", ASKED)
    for name in ("APIerSv2.GetCost", "ApierV1.GetCost", "ApierV2.GetCost"):
        assert ways["tcp"](name, ASKED) == expected
    for service in ("CoreSv1", "APIerSv1", "APIerSv2", "Responder", "RALsV1"):
        assert ways["http"](f"{service}.Ping", {}) == "Pong"
    with pytest.raises(AnsweredError, match=r"^rpc: can't find service ThresholdSv1\.Ping$"):
        ways["tcp"]("ThresholdSv1.Ping", {})


def test_the_core_s_status(ways: dict[str, Callable[[str, object], object]]) -> None:
    got = ways["tcp"]("CoreSv1.Status", {"Tenant": "cgrates.org"})
    assert isinstance(got, dict)
    assert set(got) == {
        "ActiveGoroutines",
        "GoVersion",
        "MemoryUsage",
        "NodeID",
        "RunningSince",
        "Version",
    }
    assert got["NodeID"] == "OCS"
    assert re.fullmatch(r"\d+\.\dMiB", got["MemoryUsage"])
    datetime.strptime(got["RunningSince"], "%a %b %d %H:%M:%S UTC %Y")


# Another tariff


def test_loading_a_folder(folder: Path, tmp_path: Path) -> None:
    write_folder(folder / "before", RETAIL)
    write_folder(folder / "after", RETAIL | {"Rates.csv": "RT,0,0.6,60s,60s,0s\n"})
    write_folder(folder / "bad", RETAIL | {"Rates.csv": "RT,0,x,60s,60s,0s\n"})
    with (
        running(network_file(tmp_path, "loading", tariff=str(folder / "before"))) as node,
        closing(JSONClient(node.servers["rpc_json"].local)) as client,
    ):
        load = "APIerSv1.LoadTariffPlanFromFolder"

        def cost() -> object:
            got = client.call("APIerSv1.GetCost", ASKED)
            assert isinstance(got, dict)
            return got["Cost"]

        def refused(argument: object) -> str:
            with pytest.raises(AnsweredError) as caught:
                client.call(load, argument)
            return str(caught.value)

        assert cost() == 0.65
        assert refused({}) == "MANDATORY_IE_MISSING: [FolderPath]"
        for path in ("/nowhere/at/all", str(folder / "before" / "Rates.csv"), "\0"):
            assert refused({"FolderPath": path}) == "INVALID_PATH"
        bad = refused({"FolderPath": str(folder / "bad")})
        assert bad.startswith("SERVER_ERROR: ")
        assert "Rates.csv:1" in bad
        assert client.call(load, {"FolderPath": str(folder / "after"), "DryRun": True}) == "OK"
        assert cost() == 0.65
        # calls meanwhile are answered by the tariff before
        loading = client.send(load, {"FolderPath": str(folder / "after")})
        early = client.send("CoreSv1.Ping", {})
        assert client.answer(early)["result"] == "Pong"
        assert client.answer(loading)["result"] == "OK"
        assert cost() == 1.2


def test_a_store_keeps_what_is_loaded(folder: Path, tmp_path: Path) -> None:
    write_folder(folder / "kept", RETAIL)
    path = network_file(tmp_path, "kept", store=f"sqlite:///{tmp_path / 'tariffs.sqlite'}")
    for first in (True, False):
        with (
            running(path) as node,
            closing(JSONClient(node.servers["rpc_json"].local)) as client,
        ):
            if first:
                with pytest.raises(AnsweredError, match="RATING_PLAN_NOT_FOUND"):
                    client.call("APIerSv1.GetCost", ASKED)
                load = "APIerSv1.LoadTariffPlanFromFolder"
                assert client.call(load, {"FolderPath": str(folder / "kept")}) == "OK"
            got = client.call("APIerSv1.GetCost", ASKED)
            assert isinstance(got, dict)
            assert got["Cost"] == 0.65


# The text, and the reference's figures


def _answered(of: Tariff, name: str, argument: object, decimals: int) -> dict[str, Any]:
    tariffs = Tariffs(of, precision=Cgrates(decimals))
    registry = Registry(Costs(tariffs, lambda: NOW))
    text = registry(RpcCall(name, json.loads(json.dumps(argument)), 1), PEER)
    assert isinstance(text, str)
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_the_reference_s_figures(vectors: Path) -> None:
    seen: set[str] = set()
    for case in json.loads((vectors / "rating" / "getcost_api.json").read_text())["cases"]:
        query, expected = case["query"], case["expect"]
        name = query["op"]
        if name == "GetCost":  # of the cost in a record
            name = "APIerSv1.GetCost"
        seen.add(name)
        of = tariff(
            case["csv"],
            fallback_depth=query.get("config", {}).get("rals", {}).get("fallback_depth", 3),
            usage_limits={"*voice": 100 * HOUR},
        )
        argument = {
            "Tenant": query.get("tenant", ""),
            "Category": query.get("category", ""),
            "Subject": query.get("subject", ""),
            "Account": query.get("account", ""),
            "Destination": query.get("destination", ""),
            "AnswerTime": query.get("answer_time", query.get("time_start", "")),
            "SetupTime": query.get("setup_time", ""),
            "Usage": query.get("usage", ""),
            "RatingPlanIDs": query.get("rating_plan_ids", []),
        }
        if name == "Responder.GetCost":
            argument["TimeStart"] = query["time_start"]
            argument["TimeEnd"] = query.get("time_end", query["time_start"])
        elif name == "APIerSv1.GetDataCost":
            argument["Usage"] = int(query["usage"])
        answer = _answered(of, name, argument, query["rounding_decimals"])
        if "error" in expected:
            assert answer["error"] == f"SERVER_ERROR: {expected['error']}"
            continue
        assert answer["error"] is None, case["id"]
        got = answer["result"]
        if name == "RALsV1.GetRatingPlansCost":
            assert got["RatingPlanID"] == expected["rating_plan_id"]
            got = got["EventCost"]
        cost = expected.get("cost", expected.get("event_cost"))
        assert got["Cost"] == pytest.approx(cost, abs=1e-9), case["id"]
    assert seen == {
        "APIerSv1.GetCost",
        "APIerSv1.GetDataCost",
        "RALsV1.GetRatingPlansCost",
        "Responder.GetCost",
    }


@settings(deadline=None)
@given(cases(), st.sampled_from([None, Cgrates(5)]))
def test_the_text_is_that_of_the_value(
    drawn: tuple[Parts, tzinfo, list[Call]], precision: Cgrates | None
) -> None:
    parts, zone, [one] = drawn
    costs = EventCosts()
    try:
        of = build(parts, zone)
        cost = price(of, one, precision) if precision else price(of, one)
    except (TariffError, RatingError):
        return
    expected = encode(event_cost(cost, wire=True))
    for _ in range(2):  # the second time from what is kept
        assert costs.text(cost).text == expected
        assert costs.priced(of, one, precision or EXACT).text == expected


def test_what_is_kept_has_an_end_and_keys_may_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    of = tariff(
        RETAIL
        | {
            "Rates.csv": RETAIL["Rates.csv"] + "NIGHT,0,0.06,60s,1s,0s\n",
            "DestinationRates.csv": RETAIL["DestinationRates.csv"] + "NR,DST_1002,NIGHT,*up,4,0,\n",
            "RatingPlans.csv": RETAIL["RatingPlans.csv"] + "RP_RETAIL2,NR,*any,5\n",
        }
    )
    late = datetime(2014, 8, 4, 7, 59, 30, tzinfo=UTC)
    cost = price(of, Call(destination="1002", time=late, usage=85 * 10**9))
    expected = encode(event_cost(cost, wire=True))
    assert len(json.loads(expected)["Rating"]) == 2
    monkeypatch.setattr("trunkline.elements.charging.eventcost._KEPT", 1)
    costs = EventCosts()
    assert [costs.text(cost).text for _ in range(2)] == [expected] * 2
    alike = SimpleNamespace(sha256=lambda _: SimpleNamespace(hexdigest=lambda: "0" * 64))
    monkeypatch.setattr("trunkline.elements.charging.eventcost.hashlib", alike)
    assert costs.text(cost).text == expected
