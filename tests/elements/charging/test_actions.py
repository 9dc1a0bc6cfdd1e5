"""Actions, plans and triggers as rules of their own, and those that accounts have."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.elements.charging.office import Office, office

from trunkline.elements.charging.effects import PREFIX

FILES = {
    "Timings.csv": "NOON,*any,*any,*any,*any,13:00:00\n",
    "Actions.csv": (
        "TEN,*topup_reset,,,base,*monetary,,,,,*unlimited,,10,10,,,20\n"
        "ONE,*topup,,,base,*monetary,call,,,,,NOON,1,10,false,,20\n"
        "LOG,*log,,,,,,,,,,,,,,,20\n"
    ),
    "ActionPlans.csv": "START,TEN,*asap,10\nSTART,ONE,NOON,10\nSTART,ONE,*hourly,20\n",
    "ActionTriggers.csv": (
        "LOW,T1,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,LOG,10\n"
        "LOW,T2,*max_balance,20,true,1m,,,base,*monetary,,,,,,,5,,,LOG,20\n"
    ),
}


def topup(**changed: object) -> dict[str, object]:
    return {"Identifier": "*topup", "BalanceType": "*monetary", "Units": 5, "Weight": 10} | changed


def test_actions_are_set_read_and_removed(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        rows = [
            topup(
                BalanceId="gift",
                ExpiryTime="+1h",
                DestinationIds="",
                Categories="call;data",
                TimingTags="NOON",
                BalanceWeight="20.5",
                BalanceBlocker="true",
                BalanceDisabled="",
                ExtraParameters="",
                Units="7.5",
            ),
            {"Identifier": "*log", "Weight": 5},
        ]
        await desk.ok("APIerSv1.SetActions", ActionsId="NEW", Actions=rows)
        assert await desk.ask("APIerSv1.SetActions", ActionsId="NEW", Actions=rows) == "EXISTS"
        found = await desk.call("APIerSv1.GetActions", "NEW")
        assert found[0] == {
            "Identifier": "*topup",
            "BalanceId": "gift",
            "BalanceUuid": "",
            "BalanceType": "*monetary",
            "Units": "7.5",
            "ExpiryTime": "+1h",
            "Filters": "",
            "TimingTags": "NOON",
            "DestinationIds": "",
            "RatingSubject": "",
            "Categories": "call;data",
            "SharedGroups": "",
            "BalanceWeight": "20.5",
            "ExtraParameters": "",
            "BalanceBlocker": "true",
            "BalanceDisabled": "false",
            "Weight": 10,
        }
        await desk.ok("APIerSv1.ExecuteAction", Account="1001", ActionsId="NEW")
        [balance] = (await desk.account())["BalanceMap"]["*monetary"]
        assert (balance["ID"], balance["Value"], balance["Weight"]) == ("gift", 7.5, 20.5)
        assert balance["Categories"] == {"call": True, "data": True}
        formula = '{"Method":"*incremental","Params":{"Units":31,"Interval":"month",'
        formula += '"Increment":"day"}}'
        again = {"ActionsId": "NEW", "Actions": [topup(Units=formula)], "Overwrite": True}
        await desk.ok("APIerSv2.SetActions", **again)
        assert (await desk.call("APIerSv1.GetActions", "NEW"))[0]["Units"] == formula
        by_id = await desk.ask("APIerSv2.GetActions", ActionIDs=["ONE", ""])
        assert list(by_id) == ["ONE"]
        assert by_id["ONE"][0]["ActionType"] == "*topup"
        assert by_id["ONE"][0]["Balance"]["Value"]["Static"] == 1
        assert list(await desk.ask("APIerSv2.GetActions", Offset=1, Limit=2)) == ["NEW", "ONE"]
        await desk.ok("APIerSv1.RemoveActions", ActionIDs=["NEW"])
        assert await desk.call("APIerSv1.GetActions", "NEW") == "SERVER_ERROR: NOT_FOUND"
        assert await desk.ask("APIerSv1.RemoveActions", ActionIDs=["NEW"]) == "NOT_FOUND"
        refused = await desk.ask("APIerSv1.RemoveActions", ActionIDs=["TEN"])
        assert refused.startswith("SERVER_ERROR: action plan START: there are no actions 'TEN'")

    office(tmp_path, FILES, script)


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({}, "MANDATORY_IE_MISSING:Action::[Identifier Weight]"),
        (topup(Weight=0), "MANDATORY_IE_MISSING:Action:*topup:[Weight]"),
        (topup(Units=None), "MANDATORY_IE_MISSING:Action:*topup:[Units]"),
        (topup(Units="many"), 'SERVER_ERROR: Units "many" is neither a number nor a duration'),
        (topup(BalanceWeight="x"), 'SERVER_ERROR: BalanceWeight "x" is no number'),
        (topup(BalanceBlocker="x"), 'SERVER_ERROR: BalanceBlocker "x" is neither true nor false'),
        (topup(TimingTags="NEVER"), "BROKEN_REFERENCE:NEVER"),
        (topup(Filters="*string:~*req.Account:1001;*odd"), "SERVER_ERROR: "),
        (topup(ExpiryTime="some day"), "SERVER_ERROR: 'some day' is no time: "),
        (topup(Units="{}"), "SERVER_ERROR: the action *topup of NEW has the units '{}', which "),
        (topup(Units=1e90), "SERVER_ERROR: Units 1e+90 is longer than 30 digits before "),
    ],
)
def test_actions_that_are_refused(tmp_path: Path, row: dict[str, object], answer: str) -> None:
    async def script(desk: Office) -> None:
        found = await desk.ask("APIerSv1.SetActions", ActionsId="NEW", Actions=[row])
        assert found.startswith(answer)
        unknown = [topup(Identifier="*explode")]
        refused = await desk.ask("APIerSv1.SetActions", ActionsId="NEW", Actions=unknown)
        assert refused.startswith("SERVER_ERROR: '*explode' is none of *allow_negative, ")
        assert await desk.call("APIerSv1.GetActions", "NEW") == "SERVER_ERROR: NOT_FOUND"

    office(tmp_path, FILES, script)


def test_plans_are_set_and_accounts_have_turns(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        rows = [
            {"ActionsId": "TEN", "Time": "*asap", "Weight": 20},
            {"ActionsId": "ONE", "Time": "18:30:00", "MonthDays": "1;15", "Weight": 10},
            {"ActionsId": "ONE", "Time": "00:00:00", "Years": "2027", "Weight": 10},
        ]
        await desk.ok("APIerSv1.SetActionPlan", Id="NEW", ActionPlan=rows)
        assert await desk.ask("APIerSv1.SetActionPlan", Id="NEW", ActionPlan=rows) == "EXISTS"
        await desk.ok("APIerSv1.SetAccount", Account="1001", ActionPlanID="NEW")
        await desk.scheduler.turn()
        assert await desk.money() == 10
        [plan] = await desk.ask("APIerSv1.GetActionPlan", ID="NEW")
        assert (plan["Id"], plan["AccountIDs"]) == ("NEW", {"cgrates.org:1001": True})
        timings = [row["Timing"]["Timing"] for row in plan["ActionTimings"]]
        assert [each["StartTime"] for each in timings] == ["*asap", "18:30:00", "00:00:00"]
        assert timings[1]["MonthDays"] == [1, 15]
        assert (timings[2]["Years"], timings[2]["Months"], timings[2]["MonthDays"]) == (
            [2027],
            [1],
            [1],
        )
        turns = await desk.ask("APIerSv1.GetAccountActionPlan", Account="1001")
        assert [(each["ActionsId"], each["NextExecTime"]) for each in turns] == [
            ("TEN", "0001-01-01T00:00:00Z"),
            ("ONE", "2026-01-15T18:30:00Z"),
            ("ONE", "2027-01-01T00:00:00Z"),
        ]
        assert await desk.ask("APIerSv1.GetAccountActionPlan", Account="9") == []
        assert await desk.ask("APIerSv1.GetActionPlanIDs") == ["NEW", "START"]
        # One row goes; then the account loses the plan; then the plan goes.
        gone = {"ActionPlanId": "NEW", "ActionTimingId": turns[1]["Uuid"]}
        await desk.ok("APIerSv1.RemoveActionTiming", **gone)
        assert len(await desk.ask("APIerSv1.GetAccountActionPlan", Account="1001")) == 2
        await desk.ok("APIerSv1.RemoveActionTiming", ActionPlanId="NEW", Account="1001")
        assert await desk.ask("APIerSv1.GetAccountActionPlan", Account="1001") == []
        await desk.ok("APIerSv1.SetAccount", Account="1001", ActionPlanID="NEW")
        await desk.ok("APIerSv1.RemoveActionPlan", ID="NEW")
        assert await desk.book.tasks("plan/") == []
        assert await desk.ask("APIerSv1.GetActionPlan", ID="NEW") == "NOT_FOUND"
        assert await desk.ask("APIerSv1.RemoveActionPlan", ID="NEW") == "NOT_FOUND"
        refused = await desk.ask("APIerSv1.RemoveActionTiming", ActionPlanId="NEW")
        assert refused == "SERVER_ERROR: NOT_FOUND"
        assert [each["Id"] for each in await desk.ask("APIerSv1.GetActionPlan")] == ["START"]

    office(tmp_path, FILES, script)


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"Time": "*asap"}, "MANDATORY_IE_MISSING:Action::[ActionsId Weight]"),
        ({"ActionsId": "X", "Time": "*asap", "Weight": 1}, "BROKEN_REFERENCE:X"),
        ({"ActionsId": "TEN", "Time": "soon", "Weight": 1}, "UNSUPPORTED_FORMAT:soon"),
        ({"ActionsId": "TEN", "Time": "25:00:00", "Weight": 1}, "UNSUPPORTED_FORMAT:25:00:00"),
    ],
)
def test_plans_that_are_refused(tmp_path: Path, row: dict[str, object], answer: str) -> None:
    async def script(desk: Office) -> None:
        assert await desk.ask("APIerSv1.SetActionPlan", Id="NEW", ActionPlan=[row]) == answer

    office(tmp_path, FILES, script)


def test_turns_to_come_are_listed_and_run_by_hand(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        for name in ("1001", "1002"):
            await desk.ok("APIerSv1.SetAccount", Account=name, ActionPlanID="START")
        await desk.scheduler.turn()

        async def listed(**asked: object) -> list[Any]:
            found = await desk.ask("APIerSv1.GetScheduledActions", **asked)
            return [(each["NextRunTime"], each["Accounts"], each["ActionsID"]) for each in found]

        one = "2026-01-05T13:00:00Z"
        assert await listed() == [(one, 2, "ONE"), (one, 2, "ONE")]
        assert await listed(Account="1002", Limit=1) == [(one, 1, "ONE")]
        assert await listed(TimeStart="2026-01-05T13:00:01Z") == []
        assert await listed(TimeEnd=one) == []
        await desk.ok("APIerSv1.ExecuteScheduledActions", ActionPlanID="START")
        assert await desk.money() == 12, "both rows, but not *asap"
        assert await desk.money("1002") == 12
        assert await listed() == [(one, 2, "ONE"), (one, 2, "ONE")], "their time stays"
        times = {"TimeStart": "2026-01-06T00:00:00Z", "TimeEnd": "2026-01-06T03:00:00Z"}
        await desk.ok("SchedulerSv1.ExecuteActions", **times)
        assert await desk.money() == 15, "three hours of *hourly"
        times = {"TimeStart": "2026-01-06T00:00:00Z", "TimeEnd": "2027-01-06T03:00:00Z"}
        refused = await desk.ask("SchedulerSv1.ExecuteActions", **times)
        assert refused.startswith("SERVER_ERROR: more than 1000 turns")
        assert await desk.ask("SchedulerSv1.ExecuteActions", ActionPlanID="X") == "NOT_FOUND"
        await desk.ok("SchedulerSv1.ExecuteActionPlans", AccountID="9", ActionPlanIDs=["START"])
        assert await desk.money("9") == 11
        await desk.ok("SchedulerSv1.Reload")
        assert await desk.call("SchedulerSv1.Ping", {}) == "Pong"

    office(tmp_path, FILES, script)


def test_who_is_gone_has_no_plan_any_more(tmp_path: Path) -> None:
    rows = {"Actions.csv": FILES["Actions.csv"] + "END,*remove_account,,,,,,,,,,,,,,,20\n"}

    async def script(desk: Office) -> None:
        for name in ("1001", "1002", "1003"):
            await desk.ok("APIerSv1.SetAccount", Account=name, ActionPlanID="START")
        await desk.scheduler.turn()
        await desk.ok("APIerSv1.RemoveAccount", Account="1001")
        assert len(await desk.book.tasks("plan/")) == 2
        await desk.ok("APIerSv1.ExecuteAction", Account="1002", ActionsId="END")
        [plan] = await desk.ask("APIerSv1.GetActionPlan", ID="START")
        assert plan["AccountIDs"] == {"cgrates.org:1003": True}
        await desk.ok("APIerSv1.ExecuteScheduledActions", ActionPlanID="START")
        assert await desk.account("1002") == "NOT_FOUND"
        assert await desk.money("1003") == 12
        # One of that name that comes later has nothing of it.
        await desk.ok("APIerSv1.SetAccount", Account="1002")
        desk.later(hours=2)
        await desk.scheduler.turn()
        assert (await desk.account("1002"))["BalanceMap"] is None
        assert len(await desk.book.tasks("plan/")) == 1

    office(tmp_path, FILES | rows, script)


def test_triggers_are_set_read_and_removed(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        said: dict[str, object] = {
            "ThresholdType": "*max_event_counter",
            "ThresholdValue": "5.5",
            "Recurrent": True,
            "MinSleep": "1m",
            "ExpirationDate": "2027-01-01T00:00:00Z",
            "BalanceType": "*monetary",
            "BalanceDestinationIds": ["D1", "D2"],
            "BalanceWeight": 7,
            "BalanceBlocker": False,
            "ActionsID": "LOG",
            "Weight": 3,
        }
        new = {"GroupID": "NEW", "UniqueID": "N1", "ActionTrigger": said}
        await desk.ok("APIerSv1.SetActionTrigger", **new)
        [found] = await desk.ask("APIerSv1.GetActionTriggers", GroupIDs=["NEW"])
        assert (found["ID"], found["UniqueID"], found["ThresholdValue"]) == ("NEW", "N1", 5.5)
        assert (found["MinSleep"], found["Recurrent"]) == (60_000_000_000, True)
        assert found["ExpirationDate"] == "2027-01-01T00:00:00Z"
        assert found["Balance"]["DestinationIDs"] == {"D1": True, "D2": True}
        assert found["Weight"] == 3
        changed = {**new, "ActionTrigger": {"ThresholdValue": 6, "ExpirationDate": "*unlimited"}}
        await desk.ok("APIerSv1.SetActionTrigger", **changed)
        [found] = await desk.ask("APIerSv1.GetActionTriggers", GroupIDs=["NEW"])
        assert (found["ThresholdValue"], found["ThresholdType"]) == (6, "*max_event_counter")
        assert found["ExpirationDate"] == "0001-01-01T00:00:00Z"
        await desk.ok("APIerSv1.SetActionTrigger", **{**new, "UniqueID": ""})
        assert len(await desk.ask("APIerSv1.GetActionTriggers", GroupIDs=["NEW"])) == 2
        assert len(await desk.ask("APIerSv1.GetActionTriggers")) == 4
        await desk.ok("APIerSv1.RemoveActionTrigger", GroupID="NEW", UniqueID="N1")
        assert len(await desk.ask("APIerSv1.GetActionTriggers", GroupIDs=["NEW"])) == 1
        await desk.ok("APIerSv1.RemoveActionTrigger", GroupID="NEW")
        assert await desk.ask("APIerSv1.GetActionTriggers", GroupIDs=["NEW"]) == "NOT_FOUND"
        assert await desk.ask("APIerSv1.RemoveActionTrigger", GroupID="NEW") == "NOT_FOUND"
        for bad, answer in (
            ({}, "MANDATORY_IE_MISSING: [ThresholdType ThresholdValue]"),
            ({**said, "ThresholdValue": "x"}, 'SERVER_ERROR: ThresholdValue "x" is no number'),
            (
                {**said, "MinSleep": "x"},
                'SERVER_ERROR: MinSleep "x" is neither a number nor a duration',
            ),
        ):
            asked = {"GroupID": "BAD", "ActionTrigger": bad}
            assert await desk.ask("APIerSv1.SetActionTrigger", **asked) == answer
        odd: dict[str, str]
        for odd, begins in (
            ({"ThresholdType": "*odd"}, "SERVER_ERROR: '*odd' is none of *balance_expired, "),
            ({"ExpirationDate": "never"}, "SERVER_ERROR: ExpirationDate: "),
            ({"ActionsID": "X"}, "SERVER_ERROR: action trigger BAD: there are no actions 'X'"),
        ):
            asked = {"GroupID": "BAD", "ActionTrigger": {**said, **odd}}
            assert (await desk.ask("APIerSv1.SetActionTrigger", **asked)).startswith(begins)

    office(tmp_path, FILES, script)


def test_changes_of_one_id_at_once_lose_nothing(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        said = {"ThresholdType": "*min_balance", "ThresholdValue": 1, "ActionsID": "LOG"}
        names = [f"T{number}" for number in range(10)]
        answers = await asyncio.gather(
            *(
                desk.ask(
                    "APIerSv1.SetActionTrigger", GroupID="G", UniqueID=name, ActionTrigger=said
                )
                for name in names
            )
        )
        assert answers == ["OK"] * 10
        found = await desk.ask("APIerSv1.GetActionTriggers", GroupIDs=["G"])
        assert sorted(each["UniqueID"] for each in found) == names
        await asyncio.gather(
            *(
                desk.ok("APIerSv1.RemoveActionTrigger", GroupID="G", UniqueID=name)
                for name in names[1:]
            )
        )
        [last] = await desk.ask("APIerSv1.GetActionTriggers", GroupIDs=["G"])
        assert last["UniqueID"] == "T0"
        rows = [{"ActionsId": "LOG", "Time": f"{hour}:00:00", "Weight": 1} for hour in range(1, 6)]
        both = [
            desk.ask("APIerSv1.SetActionPlan", Id="NEW", ActionPlan=rows[:count])
            for count in (5, 5)
        ]
        assert sorted(await asyncio.gather(*both)) == ["EXISTS", "OK"]
        [plan] = await desk.ask("APIerSv1.GetActionPlan", ID="NEW")
        uuids = [row["Uuid"] for row in plan["ActionTimings"]]
        await asyncio.gather(
            *(
                desk.ok("APIerSv1.RemoveActionTiming", ActionPlanId="NEW", ActionTimingId=each)
                for each in uuids[1:]
            )
        )
        [plan] = await desk.ask("APIerSv1.GetActionPlan", ID="NEW")
        assert [row["Uuid"] for row in plan["ActionTimings"]] == uuids[:1]
        await desk.ok("APIerSv1.RemoveActionTiming", ActionPlanId="NEW", ActionTimingId=uuids[0])
        assert await desk.ask("APIerSv1.GetActionPlan", ID="NEW") == "NOT_FOUND"

    office(tmp_path, FILES, script)


def test_an_account_s_triggers(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        who = {"Account": "1001"}
        gone = await desk.ask("APIerSv1.GetAccountActionTriggers", **who)
        assert gone == "SERVER_ERROR: NOT_FOUND"
        assert await desk.ask("APIerSv1.AddAccountActionTriggers", **who) == "NOT_FOUND"
        await desk.ok("APIerSv1.SetAccount", **who)

        async def held() -> list[Any]:
            found = await desk.ask("APIerSv1.GetAccountActionTriggers", **who)
            return [(each["UniqueID"], each["Executed"]) for each in found]

        assert await held() == []
        await desk.ok("APIerSv1.AddAccountActionTriggers", **who, ActionTriggerIDs=["LOW"])
        await desk.ok("APIerSv1.AddAccountActionTriggers", **who, ActionTriggerIDs=["LOW"])
        assert await held() == [("T1", False), ("T2", False)]
        refused = await desk.ask("APIerSv1.AddAccountActionTriggers", **who, ActivationDate="x")
        assert refused.startswith("SERVER_ERROR: ")
        refused = await desk.ask("APIerSv1.AddAccountActionTriggers", **who, ActionTriggerIDs=["X"])
        assert refused == "SERVER_ERROR: NOT_FOUND"
        await desk.ok("APIerSv1.AddBalance", **who, BalanceType="*monetary", Value=1)
        assert await held() == [("T1", True), ("T2", False)]
        assert len(await desk.book.tasks(PREFIX)) == 1
        await desk.ok("APIerSv1.ResetAccountActionTriggers", **who, UniqueID="T1")
        assert await held() == [("T1", False), ("T2", False)]
        await desk.ok("APIerSv1.ResetAccountActionTriggers", **who, GroupID="LOW", Executed=True)
        assert await held() == [("T1", True), ("T2", True)]
        said = {"ThresholdValue": 50, "Executed": False}
        await desk.ok("APIerSv1.SetAccountActionTriggers", **who, UniqueID="T2", ActionTrigger=said)
        [_, second] = await desk.ask("APIerSv1.GetAccountActionTriggers", **who)
        assert (second["ThresholdValue"], second["Executed"]) == (50, False)
        assert desk.engine.profiles.triggers["LOW"][1].threshold_value == 20, "it alone"
        new = {"ThresholdType": "*max_event_counter", "ThresholdValue": 9, "ActionsID": "LOG"}
        await desk.ok(
            "APIerSv1.SetAccountActionTriggers",
            **who,
            GroupID="OWN",
            UniqueID="O1",
            ActionTrigger={**new, "BalanceType": "*monetary"},
        )
        assert (await desk.account())["UnitCounters"]["*monetary"][0]["CounterType"] == "*event"
        missing = await desk.ask("APIerSv1.SetAccountActionTriggers", **who, UniqueID="none")
        assert missing == "MANDATORY_IE_MISSING: [GroupID]"
        await desk.ok("APIerSv1.RemoveAccountActionTriggers", **who, GroupID="OWN")
        assert (await desk.account())["UnitCounters"] is None
        await desk.ok("APIerSv1.AddAccountActionTriggers", **who, ActionTriggerOverwrite=True)
        assert await held() == []

    office(tmp_path, FILES, script)


def test_a_log_of_what_comes_after_it_in_the_same_run(tmp_path: Path) -> None:
    rows = "FEE,*cdrlog,,,,,,,,,,,,,,,80\nFEE,*debit,,,,*monetary,,,,,,,6,,,,70\n"

    async def script(desk: Office) -> None:
        await desk.ok("APIerSv1.SetAccount", Account="1", ExtraOptions={"AllowNegative": True})
        await desk.ok("APIerSv1.ExecuteAction", Account="1", ActionsId="FEE")
        [record] = await desk.ask("CDRsV1.GetCDRs", Accounts=["1"])
        assert (record["RunID"], record["Cost"], record["Source"]) == ("*debit", 6, "*cdrlog")

    office(tmp_path, {"Actions.csv": rows}, script)


def test_who_cannot_have_its_turn_keeps_nobody_from_theirs(tmp_path: Path) -> None:
    rows = {
        "Actions.csv": FILES["Actions.csv"]
        + "CUT,*remove_balance,,,extra,*monetary,,,,,,,,,,,20\n",
        "ActionPlans.csv": "P,CUT,NOON,10\n",
    }

    async def script(desk: Office) -> None:
        extra = {"ID": "extra"}
        for name in ("1001", "1002", "1003"):
            await desk.ok("APIerSv1.SetAccount", Account=name, ActionPlanID="P")
        for name in ("1001", "1003"):
            await desk.ok(
                "APIerSv1.AddBalance",
                Account=name,
                BalanceType="*monetary",
                Value=1,
                Balance=extra,
            )
        answer = await desk.ask("APIerSv1.ExecuteScheduledActions", ActionPlanID="P")
        assert answer != "OK", "1002 has no such balance"
        for name in ("1001", "1003"):
            assert await desk.money(name) == 0

    office(tmp_path, FILES | rows, script)
