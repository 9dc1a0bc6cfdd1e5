"""Tariff plans by API: folders, drafts item by item, exports, and prices changed one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.elements.charging.reference_client import AnsweredError, JSONClient
from tests.elements.charging.support import network_file, running, write_folder
from tests.elements.charging.test_costs import ASKED, RETAIL

from trunkline.config.cgrates import load_folder
from trunkline.config.cgrates.items import LAYOUTS

EVERYTHING = RETAIL | {
    "SharedGroups.csv": "FAMILY,*any,*lowest,\n",
    "Actions.csv": "TOPUP,*topup,,,,*monetary,,,,FAMILY,*unlimited,,10,20,false,false,10\n",
    "ActionPlans.csv": "START,TOPUP,*asap,10\n",
    "ActionTriggers.csv": "LOW,u1,*min_balance,2,true,1m,,,,*monetary,,,,,,,,,,TOPUP,10\n",
    "AccountActions.csv": "cgrates.org,1001,START,LOW,true,false\n",
    "Filters.csv": "cgrates.org,FLT,*string,~*req.Account,1001;1002,2014-07-14T14:25:00Z\n",
    "Attributes.csv": "cgrates.org,ATTR,*any,FLT,,,*req.A,*constant,x,false,10\n",
    "Chargers.csv": "cgrates.org,CRG,FLT,,*default,ATTR,20\n",
    "Routes.csv": "cgrates.org,LCR,FLT,,*lc,,carrier,,,RP_RETAIL2,,,10,false,,20\n",
    "Resources.csv": "cgrates.org,RES,FLT,,1h,7,call,false,true,20,THD\n",
    "Stats.csv": "cgrates.org,STAT,FLT,,100,-1,0,*acd,,true,false,20,THD\n",
    "Thresholds.csv": "cgrates.org,THD,FLT,,-1,3,1s,false,10,TOPUP,true\n",
}


class Caller:
    def __init__(self, client: JSONClient) -> None:
        self._client = client

    def __call__(self, method: str, argument: object) -> Any:
        return self._client.call(method, argument)

    def refused(self, method: str, argument: object) -> str:
        with pytest.raises(AnsweredError) as refused:
            self(method, argument)
        return str(refused.value)

    def cost(self) -> Any:
        return self("APIerSv1.GetCost", ASKED)["Cost"]


@contextmanager
def node(folder: Path) -> Iterator[Caller]:
    url = f"sqlite:///{folder}/tariffs.sqlite"
    with (
        running(network_file(folder, "plans", store=url)) as running_node,
        closing(JSONClient(running_node.servers["rpc_json"].local)) as client,
    ):
        yield Caller(client)


def test_a_draft_is_imported_read_changed_and_loaded(tmp_path: Path) -> None:
    files = {name: f"#header\n{text}" for name, text in EVERYTHING.items()}
    folder = write_folder(tmp_path / "all", files)
    with node(tmp_path) as call:
        assert call.refused("APIerSv1.GetTPIds", {}) == "NOT_FOUND"
        imported = {"TPid": "TP1", "FolderPath": str(folder)}
        assert call("APIerSv1.ImportTariffPlanFromFolder", imported) == "OK"
        assert call("APIerSv1.GetTPIds", {}) == ["TP1"]
        assert call.refused("APIerSv1.GetRatingPlanIDs", {}) == "NOT_FOUND"
        # every kind: its IDs, each item, and the same item set again under another name
        for layout in LAYOUTS:
            ids = call(f"APIerSv1.GetTP{layout.ids}", {"TPid": "TP1"})
            assert len(ids) == 1, layout.kind
            which: dict[str, str] = {"TPid": "TP1"}
            if layout.kind == "RatingProfiles":
                which["RatingProfileID"] = ids[0]
            elif layout.kind == "AccountActions":
                which |= {"Tenant": "cgrates.org", "Account": "1001"}
            else:
                which["ID"] = ids[0].rpartition(":")[2]
            item = call(f"APIerSv1.GetTP{layout.noun}", which)
            assert item["TPid"] == "TP1"
            assert call(f"APIerSv1.SetTP{layout.noun}", item | {"TPid": "TP2"}) == "OK"
            again = call(f"APIerSv1.GetTP{layout.noun}", which | {"TPid": "TP2"})
            assert again == item | {"TPid": "TP2"}
        assert call("APIerSv1.GetTPIds", {}) == ["TP1", "TP2"]
        assert call("APIerSv1.LoadTariffPlanFromStorDb", {"TPid": "TP2", "DryRun": True}) == "OK"
        assert call.refused("APIerSv1.GetRatingPlanIDs", {}) == "NOT_FOUND"
        assert call("APIerSv1.LoadTariffPlanFromStorDb", {"TPid": "TP2"}) == "OK"
        assert call.cost() == 0.65
        # exported, it reads as the folder did
        out = {"TPid": "TP2", "ExportPath": str(tmp_path / "out")}
        stats = call("APIerSv1.ExportTPToFolder", out)
        assert sorted(stats["ExportedFiles"]) == sorted(EVERYTHING)
        assert (stats["ExportPath"], stats["Compressed"]) == (str(tmp_path / "out"), False)
        one, two = load_folder(folder), load_folder(tmp_path / "out")
        assert one.tariff.index == two.tariff.index
        assert one.report.rows == two.report.rows
        # what is removed is gone
        assert call("APIerSv1.RemoveTPDestination", {"TPid": "TP2", "ID": "DST_1002"}) == "OK"
        assert call.refused("APIerSv1.GetTPDestinationIDs", {"TPid": "TP2"}) == "NOT_FOUND"
        which = {"TPid": "TP2", "ID": "DST_1002"}
        assert call.refused("APIerSv1.GetTPDestination", which) == "NOT_FOUND"
        problem = call.refused("APIerSv1.LoadTariffPlanFromStorDb", {"TPid": "TP2"})
        assert problem.startswith("SERVER_ERROR: DestinationRates.csv:1:4: ")
        assert "DST_1002, which does not exist" in problem
        assert call.cost() == 0.65
        assert call("APIerSv1.RemTP", {"TPid": "TP2"}) == "OK"
        assert call.refused("APIerSv1.LoadTariffPlanFromStorDb", {"TPid": "TP2"}) == "NOT_FOUND"


def test_items_are_read_as_they_were_set(tmp_path: Path) -> None:
    with node(tmp_path) as call:
        destination = {"TPid": "FIST_TP", "ID": "FIST_DESTINATION", "Prefixes": ["123", "345"]}
        assert call("APIerSv1.SetTPDestination", destination) == "OK"
        which = {"TPid": "FIST_TP", "ID": "FIST_DESTINATION"}
        assert call("APIerSv1.GetTPDestination", which) == destination
        slots = [
            {
                "ConnectFee": 0.2,
                "Rate": 2,
                "RateUnit": "60s",
                "RateIncrement": "60s",
                "GroupIntervalStart": "0s",
            },
            {
                "ConnectFee": 0.2,
                "Rate": 2.1,
                "RateUnit": "60s",
                "RateIncrement": "1s",
                "GroupIntervalStart": "60s",
            },
        ]
        rate = {"TPid": "FIST_TP", "ID": "SAMPLE_RATE_4", "RateSlots": slots}
        assert call("APIerSv1.SetTPRate", rate) == "OK"
        assert call("APIerSv1.GetTPRate", {"TPid": "FIST_TP", "ID": "SAMPLE_RATE_4"}) == rate


def test_what_of_an_item_may_not_lack(tmp_path: Path) -> None:
    with node(tmp_path) as call:
        missing = call.refused("APIerSv1.SetTPRate", {"TPid": "T"})
        assert missing == "MANDATORY_IE_MISSING: [ID RateSlots]"
        assert call.refused("APIerSv1.GetTPCharger", {}) == "MANDATORY_IE_MISSING: [TPid ID]"
        wrong = call.refused("APIerSv1.GetTPRatingProfile", {"TPid": "T", "RatingProfileID": "x"})
        assert wrong == "Wrong TPRatingProfileId: x"
        charger = {"TPid": "T", "ID": "C", "RunID": "*default", "Weight": 1.5}
        assert call("APIerSv1.SetTPCharger", charger) == "OK"
        assert call("APIerSv1.GetTPChargerIDs", {"TPid": "T"}) == ["cgrates.org:C"]
        for number in range(3):
            call("APIerSv1.SetTPTiming", {"TPid": "T", "ID": f"T{number}", "Time": "00:00:00"})
        page = {"TPid": "T", "Limit": 1, "Offset": 1}
        assert call("APIerSv1.GetTPTimingIds", page) == ["T1"]
        assert call("APIerSv1.GetTPTimingIds", {"TPid": "T", "Search": "2"}) == ["T2"]


def test_a_dry_run_says_all_that_is_wrong(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "bad",
        RETAIL | {"Chargers.csv": "cgrates.org,C,FLTR,,,,x\n", "Actions.csv": "A,*log\n"},
    )
    with node(tmp_path) as call:
        for method in ("LoadTariffPlanFromFolder", "ImportTariffPlanFromFolder"):
            argument = {"FolderPath": str(folder), "DryRun": True, "TPid": "T"}
            lines = call.refused(f"APIerSv1.{method}", argument).split("\n")
            assert [line.removeprefix("SERVER_ERROR: ").split(":")[0] for line in lines] == [
                "Actions.csv",
                "Chargers.csv",
                "Chargers.csv",
            ]
        assert call.refused("APIerSv1.GetTPIds", {}) == "NOT_FOUND"


def test_prices_are_changed_one_by_one(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "retail", RETAIL)
    with node(tmp_path) as call:
        assert call("APIerSv1.LoadTariffPlanFromFolder", {"FolderPath": str(folder)}) == "OK"
        assert call.cost() == 0.65
        assert call("APIerSv1.GetDestination", "DST_1002") == {
            "Id": "DST_1002",
            "Prefixes": ["1002"],
        }
        assert call.refused("APIerSv1.GetDestination", "DST_NONE") == "NOT_FOUND"
        more = {"Id": "DST_1002", "Prefixes": ["1002", "1003"]}
        assert call.refused("APIerSv1.SetDestination", more) == "EXISTS"
        assert call("APIerSv1.SetDestination", more | {"Overwrite": True}) == "OK"
        call("APIerSv1.SetDestination", {"Id": "DST_NEW", "Prefixes": ["49"]})
        assert call("APIerSv2.GetDestinations", {}) == [more, {"Id": "DST_NEW", "Prefixes": ["49"]}]
        other = ASKED | {"Destination": "1003"}
        assert call("APIerSv1.GetCost", other)["Cost"] == 0.65
        some = {"DestinationIDs": ["DST_1002"], "Prefixes": ["1003"]}
        assert call("APIerSv1.RemoveDestination", some) == "OK"
        assert call("APIerSv1.GetDestination", "DST_1002")["Prefixes"] == ["1002"]
        assert call("APIerSv1.RemoveDestination", {"DestinationIDs": ["DST_NEW"]}) == "OK"
        assert call.refused("APIerSv1.RemoveDestination", {"DestinationIDs": ["X"]}) == "NOT_FOUND"
        broken = call.refused("APIerSv1.RemoveDestination", {"DestinationIDs": ["DST_1002"]})
        assert "DST_1002, which does not exist" in broken
        assert call.cost() == 0.65
        [plan] = call("APIerSv1.GetRatingPlanIDs", {})
        [profile] = call("APIerSv1.GetRatingProfileIDs", {})
        category, subject = profile.split(":")
        key = {"Tenant": "cgrates.org", "Category": category, "Subject": subject}
        found = call("APIerSv1.GetRatingProfile", key)
        assert found["Id"] == f"*out:cgrates.org:{profile}"
        assert [each["RatingPlanId"] for each in found["RatingPlanActivations"]] == [plan]
        mine = {
            "Category": category,
            "Subject": "1001",
            "Overwrite": True,
            "RatingPlanActivations": [
                {"ActivationTime": "2012-01-01T00:00:00Z", "RatingPlanId": plan}
            ],
        }
        assert call("APIerSv1.SetRatingProfile", mine) == "OK"
        later = {"ActivationTime": "2040-01-01T00:00:00Z", "RatingPlanId": plan}
        added = mine | {"Overwrite": False, "RatingPlanActivations": [later]}
        assert call("APIerSv1.SetRatingProfile", added) == "OK"
        got = call("APIerSv1.GetRatingProfile", {"Category": category, "Subject": "1001"})
        assert [each["ActivationTime"] for each in got["RatingPlanActivations"]] == [
            "2012-01-01T00:00:00Z",
            "2040-01-01T00:00:00Z",
        ]
        whole = call("APIerSv1.GetRatingPlan", plan)
        [(timing, when)], [(rating, terms)] = whole["Timings"].items(), whole["Ratings"].items()
        assert whole["DestinationRates"] == {
            "DST_1002": [{"Timing": timing, "Rating": rating, "Weight": 10}]
        }
        assert (when["ID"], when["StartTime"]) == ("WORK", "08:00:00")
        assert [slot["Value"] for slot in terms["Rates"]] == [0.2, 0.1]
        assert call.refused("APIerSv1.GetRatingPlan", "RP_NONE") == "NOT_FOUND"
        wrong = mine | {"RatingPlanActivations": [later | {"RatingPlanId": "RP_NONE"}]}
        assert "RP_NONE" in call.refused("APIerSv1.SetRatingProfile", wrong)
        assert call("APIerSv1.RemoveRatingProfile", key | {"Subject": "1001"}) == "OK"
        gone = {"Category": category, "Subject": "1001"}
        assert call.refused("APIerSv1.GetRatingProfile", gone) == "NOT_FOUND"
        assert "RatingPlan" in call.refused("APIerSv1.RemoveRatingPlan", plan)
        history = call("APIerSv1.GetLoadHistory", {"Limit": 2})
        assert [each["LoadID"] for each in history] == ["8", "7"]


def test_prices_are_set_where_no_tariff_was_loaded(tmp_path: Path) -> None:
    with node(tmp_path) as call:
        assert call.refused("APIerSv1.GetDestination", "DST_NEW") == "NOT_FOUND"
        assert call("APIerSv1.SetDestination", {"Id": "DST_NEW", "Prefixes": ["49"]}) == "OK"
        assert call("APIerSv1.SetDestination", {"Id": "DST_TWO", "Prefixes": ["43"]}) == "OK"
        assert [each["Id"] for each in call("APIerSv2.GetDestinations", {})] == [
            "DST_NEW",
            "DST_TWO",
        ]
        refused = call.refused("APIerSv1.GetCost", ASKED)
        assert refused == "SERVER_ERROR: RATING_PLAN_NOT_FOUND"


def test_what_a_folder_or_a_draft_has_is_taken_out(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "all", EVERYTHING)
    with node(tmp_path) as call:
        assert call("APIerSv1.LoadTariffPlanFromFolder", {"FolderPath": str(folder)}) == "OK"
        part = write_folder(
            tmp_path / "part",
            {
                "Chargers.csv": EVERYTHING["Chargers.csv"]
                .replace("FLT", "")
                .replace("ATTR", "*none")
            },
        )
        assert call("APIerSv1.RemoveTPFromFolder", {"FolderPath": str(part)}) == "OK"
        out = {"ExportPath": str(tmp_path / "out")}
        files = call("APIerSv1.ExportTPToFolder", out)["ExportedFiles"]
        assert sorted(EVERYTHING) == sorted([*files, "Chargers.csv"])
        call("APIerSv1.SetTPThreshold", {"TPid": "T", "ID": "THD"})
        refused = call.refused("APIerSv1.RemoveTPFromStorDB", {"TPid": "T"})
        assert "'THD' is not in Thresholds.csv" in refused
        items = {"Path": str(tmp_path / "some"), "Items": ["*filters", "*routes"]}
        assert call("APIerSv1.ExportToFolder", items) == "OK"
        names = sorted(path.name for path in (tmp_path / "some").iterdir())
        assert names == ["Filters.csv", "Routes.csv"]
        assert "no item" in call.refused("APIerSv1.ExportToFolder", items | {"Items": ["*x"]})


def test_when_what_counts_was_loaded(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "retail", RETAIL)
    with node(tmp_path) as call:
        assert call("APIerSv1.LoadTariffPlanFromFolder", {"FolderPath": str(folder)}) == "OK"
        first = call("APIerSv1.GetLoadIDs", "*rating_plans")
        assert list(first) == ["*rating_plans"]
        call("APIerSv1.LoadTariffPlanFromFolder", {"FolderPath": str(folder)})
        assert call("APIerSv1.GetLoadIDs", "")["*rating_plans"] > first["*rating_plans"]
        assert call("APIerSv1.GetLoadTimes", "Europe/Berlin")["*filters"].startswith("20")
        assert "time zone" in call.refused("APIerSv1.GetLoadTimes", "Mars/Olympus")


def test_a_node_of_a_folder_has_no_drafts(tmp_path: Path) -> None:
    write_folder(tmp_path / "tariff", RETAIL)
    with (
        running(network_file(tmp_path, "folder", tariff="tariff")) as one,
        closing(JSONClient(one.servers["rpc_json"].local)) as client,
    ):
        assert "prices by a folder" in Caller(client).refused("APIerSv1.GetTPIds", {})


# Items with the members of the reference's 0.10: what is read is what was sent
ITEMS: tuple[tuple[str, str, dict[str, Any], dict[str, str]], ...] = (
    (
        *("SetTPTiming", "GetTPTiming"),
        {
            "ID": "Timing",
            "Years": "2017",
            "Months": "05",
            "MonthDays": "01",
            "WeekDays": "1",
            "Time": "15:00:00Z",
        },
        {"ID": "Timing"},
    ),
    (
        *("SetTPDestinationRate", "GetTPDestinationRate"),
        {
            "ID": "DR_SAMPLE_2",
            "DestinationRates": [
                {
                    "DestinationId": "FIST_DESTINATION",
                    "RateId": "SAMPLE_RATE_4",
                    "Rate": None,
                    "RoundingMethod": "*up",
                    "RoundingDecimals": 4,
                    "MaxCost": 0.6,
                    "MaxCostStrategy": "*free",
                }
            ],
        },
        {"ID": "DR_SAMPLE_2"},
    ),
    (
        *("SetTPRatingPlan", "GetTPRatingPlan"),
        {
            "ID": "SAMPLE_RP_2",
            "RatingPlanBindings": [
                {"DestinationRatesId": "DR_SAMPLE_2", "TimingId": "*any", "Weight": 10}
            ],
        },
        {"ID": "SAMPLE_RP_2"},
    ),
    (
        *("SetTPSharedGroups", "GetTPSharedGroups"),
        {
            "ID": "1",
            "SharedGroups": [
                {"Account": "dan", "Strategy": "*free", "RatingSubject": "Subject1"},
                {"Account": "dan2", "Strategy": "*highest", "RatingSubject": "Subject2"},
            ],
        },
        {"ID": "1"},
    ),
    (
        *("SetTPActionPlan", "GetTPActionPlan"),
        {
            "ID": "ID",
            "ActionPlan": [{"ActionsId": "AccId", "TimingId": "TimingID", "Weight": 10}],
        },
        {"ID": "ID"},
    ),
    (
        *("SetTPFilterProfile", "GetTPFilterProfile"),
        {
            "Tenant": "cgrates.org",
            "ID": "Filter",
            "Filters": [
                {"Type": "*string", "Element": "~*req.Account", "Values": ["1001", "1002"]}
            ],
            "ActivationInterval": {"ActivationTime": "2014-07-29T15:00:00Z", "ExpiryTime": ""},
        },
        {"Tenant": "cgrates.org", "ID": "Filter"},
    ),
    (
        *("SetTPAttributeProfile", "GetTPAttributeProfile"),
        {
            "Tenant": "cgrates.org",
            "ID": "Attr1",
            "FilterIDs": ["*string:~*req.Account:1002"],
            "ActivationInterval": {
                "ActivationTime": "2014-07-14T14:35:00Z",
                "ExpiryTime": "2015-07-14T14:35:00Z",
            },
            "Contexts": ["con1"],
            "Blocker": False,
            "Weight": 20,
            "Attributes": [
                {
                    "FilterIDs": ["*string:~*req.FL1:In1"],
                    "Path": "*req.FL1",
                    "Type": "*constant",
                    "Value": "Al1",
                }
            ],
        },
        {"Tenant": "cgrates.org", "ID": "Attr1"},
    ),
    (
        *("SetTPCharger", "GetTPCharger"),
        {
            "Tenant": "cgrates.org",
            "ID": "Charger1",
            "FilterIDs": ["*string:~*req.Account:1001"],
            "ActivationInterval": None,
            "RunID": "*default",
            "AttributeIDs": ["*none"],
            "Weight": 20,
        },
        {"Tenant": "cgrates.org", "ID": "Charger1"},
    ),
    (
        *("SetTPRouteProfile", "GetTPRouteProfile"),
        {
            "Tenant": "cgrates.org",
            "ID": "RoutePrf",
            "FilterIDs": ["FLTR_ACNT_dan"],
            "ActivationInterval": {"ActivationTime": "2014-07-29T15:00:00Z", "ExpiryTime": ""},
            "Sorting": "*lc",
            "SortingParameters": None,
            "Weight": 20,
            "Routes": [
                {
                    "ID": "route1",
                    "FilterIDs": ["FLTR_1"],
                    "AccountIDs": ["Acc1", "Acc2"],
                    "RatingPlanIDs": ["RPL_1"],
                    "ResourceIDs": ["ResGroup1"],
                    "StatIDs": ["Stat1"],
                    "Weight": 10,
                    "Blocker": False,
                    "RouteParameters": "SortingParam1",
                }
            ],
        },
        {"Tenant": "cgrates.org", "ID": "RoutePrf"},
    ),
    (
        *("SetTPResource", "GetTPResource"),
        {
            "Tenant": "cgrates.org",
            "ID": "Res",
            "FilterIDs": ["FLTR_1"],
            "ActivationInterval": None,
            "UsageTTL": "1s",
            "Limit": "7",
            "AllocationMessage": "",
            "Blocker": True,
            "Stored": True,
            "Weight": 20,
            "ThresholdIDs": None,
        },
        {"Tenant": "cgrates.org", "ID": "Res"},
    ),
    (
        *("SetTPStat", "GetTPStat"),
        {
            "Tenant": "cgrates.org",
            "ID": "Stat",
            "FilterIDs": ["FLTR_1"],
            "ActivationInterval": None,
            "QueueLength": 100,
            "TTL": "1s",
            "Blocker": True,
            "Stored": True,
            "Weight": 20,
            "MinItems": 1,
            "ThresholdIDs": ["*none"],
            "Metrics": [{"FilterIDs": None, "MetricID": "*sum#Param1"}],
        },
        {"Tenant": "cgrates.org", "ID": "Stat"},
    ),
    (
        *("SetTPThreshold", "GetTPThreshold"),
        {
            "Tenant": "cgrates.org",
            "ID": "Threshold",
            "FilterIDs": ["FLTR_1"],
            "ActivationInterval": None,
            "MaxHits": -1,
            "MinHits": 1,
            "MinSleep": "1s",
            "Blocker": True,
            "Weight": 10,
            "ActionIDs": ["Thresh1"],
            "Async": True,
        },
        {"Tenant": "cgrates.org", "ID": "Threshold"},
    ),
)


def test_what_is_set_is_read_whole(tmp_path: Path) -> None:
    with node(tmp_path) as call:
        for setter, getter, item, key in ITEMS:
            sent = {"TPid": "TP1", **item}
            assert call(f"APIerSv1.{setter}", sent) == "OK"
            assert call(f"APIerSv1.{getter}", {"TPid": "TP1", **key}) == sent
        assert call("APIerSv1.GetTPIds", {}) == ["TP1"]


def test_destinations_alone_are_loaded_and_balances_are_for_them(tmp_path: Path) -> None:
    """As a public tutorial of the reference goes, Account_Balance_Examples."""
    fixed = {"TPid": "cgrates.org", "ID": "Dest_AU_Fixed", "Prefixes": ["612", "613"]}
    mobile = {"TPid": "cgrates.org", "ID": "Dest_AU_Mobile", "Prefixes": ["614"]}
    default = {"Tenant": "cgrates.org", "ID": "DEFAULT", "AttributeIDs": ["*none"], "Weight": 0}
    account = {"Tenant": "cgrates.org", "Account": "Nick_Test_123"}
    load = {"TPid": "cgrates.org", "DryRun": False, "Validate": True, "APIOpts": None}
    with node(tmp_path) as call:
        for destination in (fixed, mobile):
            assert call("ApierV2.SetTPDestination", destination) == "OK"
        assert call("APIerSv1.LoadTariffPlanFromStorDb", load) == "OK"
        assert call.refused("APIerSv1.GetCost", ASKED) == "SERVER_ERROR: RATING_PLAN_NOT_FOUND"
        assert call("APIerSv1.SetChargerProfile", default) == "OK"
        assert call("ApierV2.SetAccount", account) == "OK"
        for name, where in (("local", "Dest_AU_Fixed"), ("mobile", "Dest_AU_Mobile")):
            balance = {"ID": name, "Value": "40m", "Weight": 60, "DestinationIDs": where}
            request = {**account, "BalanceType": "*voice", "Balance": balance}
            assert call("ApierV1.SetBalance", request) == "OK"
        record = {
            **account,
            "OriginID": "1",
            "ToR": "*voice",
            "RequestType": "*pseudoprepaid",
            "AnswerTime": "2026-01-05 12:00:00",
            "SetupTime": "2026-01-05 12:00:00",
            "Subject": "61412341234",
            "Destination": "61412341234",
            "Usage": "30s",
        }
        assert call("CDRsV2.ProcessExternalCDR", record) == "OK"
        held = call("ApierV2.GetAccount", account)["BalanceMap"]["*voice"]
        assert {each["ID"]: each["Value"] for each in held} == {
            "local": 2400 * 10**9,
            "mobile": 2370 * 10**9,
        }


def test_what_no_file_can_have_is_refused_and_all_else_comes_back(tmp_path: Path) -> None:
    with node(tmp_path) as call:
        for name in ("a\nb", "a\rb", "a\0b", "x" * 70000):
            item = {"TPid": "T", "ID": name, "Prefixes": ["49"]}
            for method in ("APIerSv1.SetTPDestination", "APIerSv1.SetDestination"):
                refused = call.refused(method, item | {"Id": name})
                assert "no file has such a line" in refused
        assert call.refused("APIerSv1.GetTPIds", {}) == "NOT_FOUND"
        for name in ('#a,"b', "#c", " d "):
            assert call("APIerSv1.SetTPTiming", {"TPid": "T", "ID": name, "Time": "*asap"}) == "OK"
            got = call("APIerSv1.GetTPTiming", {"TPid": "T", "ID": name})
            assert got["ID"] == name.strip()
        out = tmp_path / "out"
        call("APIerSv1.ExportTPToFolder", {"TPid": "T", "ExportPath": str(out)})
        assert load_folder(out).report.rows == {"Timings": 3}
        for path in ("/no\0folder", str(out)):
            again = {"TPid": "T", "ExportPath": path}
            assert "name a" in call.refused("APIerSv1.ExportTPToFolder", again)
