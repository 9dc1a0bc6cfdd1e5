"""Records by the API: how they come, and how they are shown."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.test_sessions import EVENT, Ask, charging, money, topped_up

from trunkline.elements.charging.engine import Engine
from trunkline.rating.durations import SECOND

CGRID = "cd18a22f0d1a5b39ebdcff6e7d4ab5ee7b3a0a17"
CDR = {
    "OriginID": "ext",
    "OriginHost": "switch",
    "Source": "test",
    "ToR": "*voice",
    "RequestType": "*postpaid",
    "Category": "call",
    "Account": "1001",
    "Destination": "614",
    "ExtraFields": {"Carrier": "one"},
}


def test_a_record_from_outside_and_how_it_is_shown(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        sent = {
            **CDR,
            "SetupTime": "2026-01-05 11:59:50",
            "AnswerTime": "2026-01-05T12:00:00Z",
            "Usage": "60s",
        }
        for _again in range(2):
            assert await ask("CDRsV1.ProcessExternalCDR", **sent) == "OK"
            assert await money(ask) == Decimal("0.9")
        [shown] = await ask("APIerSv2.GetCDRs", ExtraFields={"Carrier": "one"})
        identifier = shown.pop("CGRID")
        details = json.loads(shown.pop("CostDetails"))
        assert shown == {
            **CDR,
            "RunID": "*default",
            "OrderID": 1,
            "Tenant": "cgrates.org",
            "Subject": "1001",
            "SetupTime": "2026-01-05T11:59:50Z",
            "AnswerTime": "2026-01-05T12:00:00Z",
            "Usage": "1m0s",
            "ExtraInfo": "",
            "PreRated": False,
            "CostSource": "*cdrs",
            "Cost": 0.1,
        }
        [plain] = await ask("CDRsV1.GetCDRs")
        assert plain["Usage"] == 60 * SECOND
        assert plain["Partial"] is False
        assert plain["CostDetails"] == details
        assert (details["CGRID"], details["RunID"], details["Cost"]) == (
            identifier,
            "*default",
            0.1,
        )
        [units] = {entry["Units"] for entry in details["Accounting"].values()}
        assert units == pytest.approx(0.1 / 60)
        for asked in ({"CgrId": identifier}, {"CgrId": identifier, "RunId": "*default"}):
            assert await ask("APIerSv1.GetEventCost", **asked) == details
        assert await ask("APIerSv1.GetEventCost", CgrId="other") == "NOT_FOUND"
        assert await ask("APIerSv1.GetEventCost") == "MANDATORY_IE_MISSING: [CgrId]"

    charging(tmp_path, script)


def test_a_record_of_the_reference_s_own_programs(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        sent = {
            **CDR,
            "CGRID": CGRID,
            "RunID": "second",
            "SetupTime": "0001-01-01T00:00:00Z",
            "AnswerTime": "2026-01-05T12:00:00Z",
            "Usage": 30 * SECOND,
        }
        assert await ask("CDRsV1.ProcessCDR", **sent) == "OK"
        [shown] = await ask("CDRsV1.GetCDRs", CGRIDs=[CGRID], RunIDs=["second"])
        assert shown["SetupTime"] == "0001-01-01T00:00:00Z"
        assert (shown["Cost"], shown["Usage"]) == (0.05, 30 * SECOND)

    charging(tmp_path, script)


def test_what_comes_with_its_cost_keeps_it(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        sent = {**CDR, "Usage": "60s", "PreRated": True, "Cost": 7.25, "CostSource": "them"}
        assert await ask("CDRsV1.ProcessExternalCDR", **sent) == "OK"
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        [shown] = await ask("APIerSv1.GetCDRs")
        assert (shown["Cost"], shown["CostSource"], shown["PreRated"]) == (7.25, "them", True)
        assert await money(ask) == 1

    charging(tmp_path, script)


@pytest.mark.parametrize("cost", ["much", "NaN", "Infinity", "1e999999999"])
def test_a_cost_that_is_no_amount_is_refused(tmp_path: Path, cost: str) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        event = {**CDR, "Usage": "60s", "PreRated": "true", "Cost": cost}
        refused = f"CHARGERS_ERROR:Cost {cost!r} is no amount"
        assert await ask("CDRsV1.ProcessEvent", Event=event) == refused
        assert await ask("APIerSv1.GetCDRs") == "NOT_FOUND"

    charging(tmp_path, script)


def test_filters_order_and_counting(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        for number, usage in enumerate(("60s", "120s", "30s")):
            event = {**EVENT, "OriginID": f"c{number}", "RequestType": "*rated", "Usage": usage}
            await ask("CDRsV1.ProcessEvent", Event=event)
        none = {**EVENT, "OriginID": "x", "RequestType": "*rated", "Destination": "49"}
        await ask("CDRsV1.ProcessEvent", Event=none)

        async def found(**asked: object) -> list[str]:
            answer = await ask("CDRsV1.GetCDRs", **asked)
            assert isinstance(answer, list), answer
            assert await ask("CDRsV1.GetCDRsCount", **asked) == len(answer) or "Limit" in asked
            return [each["OriginID"] for each in answer]

        assert await found(OrderBy="Usage;desc") == ["c1", "c0", "c2", "x"]
        assert await found(OrderBy="Cost", Limit=2, Offset=1) == ["c2", "c0"]
        assert await found(MinUsage="30s", MaxUsage="1m1s") == ["c0", "c2"]
        assert await found(MaxCost=-1) == ["x"]
        assert await found(MinCost=0, MaxCost=-1) == ["c0", "c1", "c2"]
        assert await found(ExtraArgs={"MinCost": 0.1, "OrderIDStart": 2}) == ["c1"]
        assert await found(NotDestinationPrefixes=["61"]) == ["x"]
        assert await found(NotOriginIDs=["x"], OrderIDEnd=3) == ["c0", "c1"]
        assert await found(AnswerTimeStart="2026-01-05T12:00:00Z", CreatedAtEnd="+1h") == [
            *("c0", "c1", "c2", "x")
        ]
        assert await ask("CDRsV1.GetCDRs", AnswerTimeEnd="2026-01-05T12:00:00Z") == (
            "SERVER_ERROR: NOT_FOUND"
        )
        assert await ask("APIerSv2.CountCDRs", Accounts=["nobody"]) == 0
        assert await ask("APIerSv2.GetCDRs", Accounts=["nobody"]) == "NOT_FOUND"
        assert await ask("APIerSv1.RemoveCDRs", OriginIDs=["x", "c0"]) == "OK"
        assert await found() == ["c1", "c2"]

    charging(tmp_path, script)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"OrderBy": "Name"}, "SERVER_ERROR: Invalid value : Name"),
        ({"AnswerTimeStart": "soon"}, "SERVER_ERROR: Unsupported time format"),
        ({"MinUsage": "long"}, 'SERVER_ERROR: time: invalid duration "long"'),
        ({"ExtraArgs": {"MinCost": "much"}}, "SERVER_ERROR: MinCost 'much' is no number"),
        ({"ExtraArgs": {"MaxCost": "NaN"}}, "SERVER_ERROR: MaxCost 'NaN' is no number"),
    ],
)
def test_a_filter_that_means_nothing(tmp_path: Path, asked: dict[str, object], answer: str) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        for method in ("CDRsV1.GetCDRs", "CDRsV1.RateCDRs", "APIerSv1.RemoveCDRs"):
            assert await ask(method, **asked) == answer

    charging(tmp_path, script)


def test_flags(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        event = {**EVENT, "RequestType": "*none", "Usage": "60s", "RunID": "mine"}
        flags = ["*chargers:false", "*attributes:false"]
        answer = await ask("CDRsV2.ProcessEvent", Tenant="other.org", Flags=flags, Event=event)
        assert [each["Event"]["RunID"] for each in answer] == ["mine"]
        answer = await ask("CDRsV2.ProcessEvent", Tenant="other.org", Event=event)
        assert [each["Event"]["RunID"] for each in answer] == ["first", "second"]
        stored = await ask("CDRsV1.RateCDRs", Flags=["*rerate", "*store:false"])
        assert "APIerSv1.GetCost prices" in stored
        flags = ["*rerate", "*chargers"]
        assert await ask("CDRsV1.RateCDRs", Flags=flags, RunIDs=["mine"]) == "OK"
        runs = [each["RunID"] for each in await ask("CDRsV1.GetCDRs")]
        assert runs == ["mine", "first", "second"], "made anew, not once more"

    charging(tmp_path, script)


def test_a_record_without_its_usage_has_that_of_its_session(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        await ask("SessionSv1.InitiateSession", InitSession=True, Event={**EVENT, "Usage": "60s"})
        last = {**EVENT, "Usage": "30s"}
        await ask("SessionSv1.TerminateSession", TerminateSession=True, Event=last)
        assert await ask("CDRsV1.ProcessEvent", Event=EVENT) == "OK"
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Usage"], record["Cost"], record["CostSource"]) == (
            30 * SECOND,
            0.05,
            "*sessions",
        )

    charging(tmp_path, script)


def test_a_disabled_account_does_not_hide_the_usage(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await ask("APIerSv1.SetAccount", Account="1001", ExtraOptions={"Disabled": True})
        event = {**EVENT, "RequestType": "*postpaid", "Usage": "60s"}
        assert await ask("CDRsV1.ProcessEvent", Event=event) == "OK"
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Cost"], record["ExtraInfo"]) == (-1, "ACCOUNT_DISABLED")

    charging(tmp_path, script)
