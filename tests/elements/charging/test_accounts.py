"""Accounts and balances by the API: every way to change them, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.office import Office, office

from trunkline.store.ledger.queries import RecordQuery

FILES = {
    "Timings.csv": "NOON,*any,*any,*any,*any,13:00:00\n",
    "Destinations.csv": "MOBILE,614\n",
    "Actions.csv": "TEN,*topup_reset,,,base,*monetary,,,,,*unlimited,,10,10,,,20\n",
    "ActionPlans.csv": "START,TEN,*asap,10\nDAILY,TEN,NOON,10\n",
    "ActionTriggers.csv": (
        "LOW,T1,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,TEN,10\n"
        "HIGH,T2,*max_balance,90,false,0,,,,*monetary,,,,,,,,,,TEN,10\n"
    ),
}
MONEY = {"Account": "1001", "BalanceType": "*monetary"}


def test_accounts_are_listed_and_counted(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        assert await desk.ask("APIerSv1.GetAccountsCount", Tenant="cgrates.org") == "NOT_FOUND"
        assert await desk.ask("APIerSv2.GetAccounts", Tenant="cgrates.org") == []
        for name in ("3", "1", "2"):
            await desk.ok(
                "APIerSv1.SetAccount", Account=name, ExtraOptions={"Disabled": name == "2"}
            )
        await desk.ok("APIerSv1.SetAccount", Tenant="b.org", Account="9")
        assert await desk.ask("APIerSv2.GetAccountsCount", Tenant="cgrates.org") == 3

        async def listed(**more: object) -> list[str]:
            found = await desk.ask("APIerSv2.GetAccounts", Tenant="cgrates.org", **more)
            return [each["ID"].rpartition(":")[2] for each in found]

        assert await listed() == ["1", "2", "3"]
        assert await listed(Offset=1, Limit=1) == ["2"]
        assert await listed(Offset=7) == []
        assert await listed(AccountIDs=["3", "", "8", "1"]) == ["3", "1"]
        assert await listed(AccountIDs=["3", "1"], Limit=1) == ["3"]
        assert await listed(Filter={"Disabled": True}) == ["2"]
        assert await listed(Filter={"AllowNegative": True}) == []
        refused = await desk.ask("APIerSv2.GetAccounts", Offset=-1)
        assert refused == "SERVER_ERROR: Offset and Limit are 0 or more"

    office(tmp_path, FILES, script)


def test_an_account_gets_a_plan_and_triggers(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        both = {"ActionPlanID": "START", "ActionTriggersID": "LOW"}
        await desk.ok("APIerSv1.SetAccount", Account="1001", **both)
        await desk.scheduler.turn()
        assert await desk.money() == 10
        await desk.ok("APIerSv1.SetAccount", Account="1001", **both)
        await desk.scheduler.turn()
        assert len(await desk.book.movements(account="cgrates.org:1001")) == 1, "not again"
        assert [each["UniqueID"] for each in (await desk.account())["ActionTriggers"]] == ["T1"]
        # The second version adds, unless it is to overwrite.
        await desk.ok(
            "APIerSv2.SetAccount",
            Account="1001",
            ActionPlanIDs=["DAILY"],
            ActionTriggerIDs=["HIGH", "LOW"],
            ExtraOptions={"AllowNegative": True},
        )
        found = await desk.account()
        assert {each["UniqueID"] for each in found["ActionTriggers"]} == {"T1", "T2"}
        assert found["AllowNegative"] is True
        assert len(await desk.book.tasks("plan/")) == 2
        await desk.ok(
            "APIerSv2.SetAccount",
            Account="1001",
            ActionPlanIDs=["DAILY"],
            ActionPlansOverwrite=True,
            ActionTriggerOverwrite=True,
        )
        assert [task.id for task in await desk.book.tasks("plan/")] == [
            "plan/DAILY/cgrates.org:1001"
        ]
        found = await desk.account()
        assert (found["ActionTriggers"], found["AllowNegative"]) == (None, True)
        refused = await desk.ask("APIerSv1.SetAccount", Account="1", ActionPlanID="NONE")
        assert refused == "SERVER_ERROR: NOT_FOUND"
        refused = await desk.ask("APIerSv2.SetAccount", Account="1", ActionTriggerIDs=["NONE"])
        assert refused == "SERVER_ERROR: NOT_FOUND"
        assert await desk.account("1") == "NOT_FOUND"

    office(tmp_path, FILES, script)


def test_a_balance_is_what_is_said(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        said = {
            "ID": "gift",
            "ExpiryTime": "2026-01-06T12:00:00Z",
            "Weight": "10.5",
            "Categories": ["call", "*any"],
            "DestinationIDs": {"MOBILE": True},
            "TimingIDs": "NOON",
            "RatingSubject": "*zero1s",
            "SharedGroups": "",
            "Blocker": "true",
            "Disabled": False,
            "Factor": {"*voice": 2},
        }
        await desk.ok("APIerSv1.SetBalance", **MONEY, Value=3, Balance=said)
        [found] = (await desk.account())["BalanceMap"]["*monetary"]
        uuid = found["Uuid"]
        assert (found["ID"], found["Value"], found["Weight"]) == ("gift", 3, 10.5)
        assert (found["Categories"], found["DestinationIDs"]) == ({"call": True}, {"MOBILE": True})
        assert (found["TimingIDs"], found["RatingSubject"]) == ({"NOON": True}, "*zero1s")
        assert (found["Blocker"], found["Disabled"]) == (True, False)
        assert found["Factor"] == {"*voice": 2}
        await desk.ok("APIerSv1.SetBalance", **MONEY, Balance={"UUID": uuid, "Weight": 5})
        [found] = (await desk.account())["BalanceMap"]["*monetary"]
        assert (found["Value"], found["Weight"], found["ID"]) == (3, 5, "gift")
        await desk.ok("APIerSv1.SetBalance", **MONEY, Value=0, Balance={"UUID": uuid})
        assert await desk.money() == 0
        balances = [
            {"BalanceType": "*sms", "Value": 10, "Balance": {"ID": "s"}},
            {"BalanceType": "*sms", "Value": 11, "Balance": {"ID": "s"}},
            {"BalanceType": "*data", "Value": 20, "Balance": {"ID": "d"}},
        ]
        await desk.ok("APIerSv1.SetBalances", Account="1001", Balances=balances)
        held = (await desk.account())["BalanceMap"]
        assert (held["*sms"][0]["Value"], held["*data"][0]["Value"]) == (11, 20)
        bad = [balances[0], {"BalanceType": "", "Value": 1}]
        refused = await desk.ask("APIerSv1.SetBalances", Account="1002", Balances=bad)
        assert refused == "SERVER_ERROR: MANDATORY_IE_MISSING: [BalanceType]"
        assert await desk.account("1002") == "NOT_FOUND", "all or none"

    office(tmp_path, FILES, script)


@pytest.mark.parametrize(
    ("method", "said", "answer"),
    [
        ("AddBalance", {}, "MANDATORY_IE_MISSING: [Account BalanceType Value]"),
        ("SetBalance", {"Account": "1"}, "MANDATORY_IE_MISSING: [BalanceType]"),
        ("SetBalances", {"Account": "1"}, "MANDATORY_IE_MISSING: [Balances]"),
        ("SetAccount", {}, "MANDATORY_IE_MISSING: [Account]"),
        ("ExecuteAction", {}, "MANDATORY_IE_MISSING: [Account ActionsId]"),
        ("RemoveBalances", MONEY, "NOT_FOUND"),
        *(
            (
                method,
                {"Tenant": "a:b", "Account": "c", **more},
                "SERVER_ERROR: 'a:b' is no tenant: a : ends it",
            )
            for method, more in (
                ("SetAccount", {}),
                ("GetAccount", {}),
                ("GetAccountActionPlan", {}),
                ("GetAccountActionTriggers", {}),
                ("AddBalance", {"BalanceType": "*monetary", "Value": 1}),
            )
        ),
        (
            "AddBalance",
            {**MONEY, "Value": "1"},
            "json: cannot unmarshal string into Go struct field"
            " AttrAddBalance.Value of type float64",
        ),
        *(
            ("AddBalance", {**MONEY, "Value": 1, "Balance": balance}, f"SERVER_ERROR: {why}")
            for balance, why in (
                ({"Weight": "x"}, 'Weight "x" is no number'),
                ({"Weight": True}, "Weight true is no number"),
                ({"Weight": "NaN"}, 'Weight "NaN" is no number'),
                ({"Blocker": 1}, "Blocker 1 is neither true nor false"),
                ({"Categories": [1]}, "Categories [1] is no list of text"),
                ({"Factor": {"*voice": "x"}}, 'Factor {"*voice":"x"} is no object of numbers'),
                ({"ID": ["x"]}, 'ID ["x"] is no text'),
                ({"TimingIDs": "NEVER"}, "NOT_FOUND"),
                (
                    {"Weight": "1e400"},
                    'Weight "1e400" is longer than 30 digits before the point and 40 after it',
                ),
            )
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, method: str, said: dict[str, object], answer: str) -> None:
    async def script(desk: Office) -> None:
        assert await desk.ask(f"APIerSv1.{method}", **said) == answer
        assert await desk.account() == "NOT_FOUND"

    office(tmp_path, FILES, script)


def test_below_zero_is_the_amount_all_the_same_and_the_log_has_it(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await desk.ok("APIerSv1.AddBalance", **MONEY, Value=-5, Cdrlog=True)
        await desk.ok("APIerSv1.DebitBalance", **MONEY, Value=-2, Cdrlog=True)
        assert await desk.money() == 3
        records = await desk.book.records(RecordQuery())
        assert [(row.run, row.cost) for row in records] == [
            ("*topup", Decimal(5)),
            ("*debit", Decimal(2)),
        ]
        await desk.ok("APIerSv1.AddBalance", **MONEY, Value=7, Overwrite=True)
        assert await desk.money() == 7

    office(tmp_path, FILES, script)


def test_an_operator_may_take_more_than_there_is(tmp_path: Path) -> None:
    """The ledger is in order all the same: `office` audits it."""

    async def script(desk: Office) -> None:
        await desk.ok("APIerSv1.DebitBalance", **MONEY, Value=5)
        assert await desk.money() == -5
        await desk.ok("APIerSv1.AddBalance", **MONEY, Value=2)
        assert await desk.money() == -3

    office(tmp_path, FILES, script)


def test_units_are_transferred_as_a_whole(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        for name in ("1001", "1002"):
            await desk.ok(
                "APIerSv1.AddBalance",
                Account=name,
                BalanceType="*monetary",
                Value=10,
                Balance={"ID": "main"},
            )
        sent = {
            "SourceAccountID": "1001",
            "SourceBalanceID": "main",
            "DestinationAccountID": "1002",
            "DestinationBalanceID": "main",
            "Units": 4,
        }
        await desk.ok("APIerSv1.TransferBalance", **sent)
        assert [await desk.money(), await desk.money("1002")] == [Decimal(6), Decimal(14)]
        await desk.ok("APIerSv1.TransferBalance", **{**sent, "DestinationBalanceID": "new"})
        assert [await desk.money(), await desk.money("1002")] == [Decimal(2), Decimal(18)]
        await desk.ok(
            "APIerSv1.TransferBalance",
            **{**sent, "DestinationAccountID": "1001", "DestinationBalanceID": "own", "Units": 2},
        )
        assert await desk.money() == 2
        refused = await desk.ask("APIerSv1.TransferBalance", **sent)
        assert refused == (
            "SERVER_ERROR: insufficient credits in source balance 'main' (account '1001') for"
            " transfer of 4 units"
        )
        gone = await desk.ask("APIerSv1.TransferBalance", **{**sent, "SourceBalanceID": "x"})
        assert gone == "SERVER_ERROR: source balance not found or expired"
        gone = await desk.ask("APIerSv1.TransferBalance", **{**sent, "DestinationAccountID": "x"})
        assert gone == "NOT_FOUND"
        assert await desk.money("1002") == 18

    office(tmp_path, FILES, script)


@pytest.mark.parametrize("value", [1e90, 1e-60, 1e300])
def test_an_amount_beyond_all_measure(tmp_path: Path, value: float) -> None:
    async def script(desk: Office) -> None:
        await desk.ok("APIerSv1.AddBalance", **MONEY, Value=5, Balance={"ID": "a"})
        for method in ("AddBalance", "DebitBalance", "SetBalance"):
            answer = await desk.ask(f"APIerSv1.{method}", **MONEY, Value=value)
            assert "an amount has 30 digits before its point" in answer
            answer = await desk.ask(
                f"APIerSv1.{method}", **MONEY, Value=1, Balance={"Weight": value}
            )
            assert "Weight" in answer
        move = {
            "SourceAccountID": "1001",
            "SourceBalanceID": "a",
            "DestinationAccountID": "1001",
            "DestinationBalanceID": "b",
            "Units": value,
        }
        assert (await desk.ask("APIerSv1.TransferBalance", **move)).startswith("SERVER_ERROR: ")
        assert await desk.money() == 5

    office(tmp_path, FILES, script)
