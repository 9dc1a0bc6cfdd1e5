"""Accounts, sessions and records by the API, on a ledger in a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from tests.elements.charging.support import NOBODY
from tests.rating.folder import tariff as folder

from trunkline.charging.sessions import RequestType
from trunkline.config.cgrates import load_folder
from trunkline.elements.charging.accounts import Accounts
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.profiles import ProfileMethods
from trunkline.elements.charging.records import Records
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.sessions import Sessions
from trunkline.elements.charging.steps import Ended, Steps
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import Call
from trunkline.rating.durations import SECOND
from trunkline.store.ledger.book import Book

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FILES = {
    "Destinations.csv": "MOBILE,614\n",
    "Rates.csv": "RT,0,0.10,60s,1s,0s\nRT2,0,0.30,60s,1s,0s\n",
    "DestinationRates.csv": (
        "DR,MOBILE,RT,*up,4,0,\nDR2,MOBILE,RT2,*up,4,0,\nDR3,MOBILE,RT,*up,4,0.05,*disconnect\n"
    ),
    "RatingPlans.csv": "RP,DR,*any,10\nDEAR,DR2,*any,10\nCAPPED,DR3,*any,10\n",
    "RatingProfiles.csv": (
        "cgrates.org,call,*any,,RP,\ncgrates.org,capped,*any,,CAPPED,\n"
        "cgrates.org,call,dear,,DEAR,\n"
    ),
}
TARIFF = folder(FILES)
EVENT: dict[str, object] = {
    "OriginID": "call-1",
    "OriginHost": "switch",
    "RequestType": "*prepaid",
    "ToR": "*voice",
    "Account": "1001",
    "Destination": "614",
    "AnswerTime": "2026-01-05T12:00:00Z",
}
Ask = Callable[..., Coroutine[None, None, Any]]


async def swept(steps: Steps) -> list[Ended]:
    """What a sweep has ended; its switch has been told."""
    found: list[Ended] = []
    await steps.sweep(found.append)
    for each in found:
        await steps.told(each.session, done=True)
    return found


class Clock:
    """The present time, which a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def charging(tmp_path: Path, script: Callable[[Ask, Engine], Coroutine[None, None, None]]) -> None:
    """Run a script against the methods of a node, without its sockets."""
    rows = FILES | {
        "Actions.csv": "WELCOME,*topup,,,bonus,*voice,,,*zero1s,,*unlimited,,30s,20,,,10\n",
        "Filters.csv": "cgrates.org,AUS,*prefix,~*req.Destination,61,\n",
        "Attributes.csv": "cgrates.org,PLUS,*any,AUS,,,*req.Carrier,*constant,one,false,10\n",
        "Routes.csv": (
            "cgrates.org,LCR,AUS,,*lc,,dear,,,DEAR,,,10,,,20\n"
            "cgrates.org,LCR,,,,,cheap,,,RP,,,5,,,\n"
            "cgrates.org,LCR,,,,,nowhere,*prefix:~*req.Destination:49,,RP,,,,,,\n"
        ),
        "SharedGroups.csv": "FAMILY,1001,*random,\nFAMILY,1002,*random,\nCLAN,*any,*lowest,\n",
        "Chargers.csv": "other.org,SPLIT,,,first,*none,20\nother.org,RAW,,,second,*none,10\n",
    }
    for name, text in rows.items():
        (tmp_path / name).write_text(text)

    async def main() -> None:
        book = Book(f"sqlite:///{tmp_path}/ledger.db")
        await book.prepare()
        tariffs = Tariffs(TARIFF)
        rules = RuleBook(load_folder(tmp_path).rows, tariffs)
        engine = Engine(tariffs, book, rules, Clock())
        registry = Registry(
            Accounts(engine), Sessions(engine), Records(engine), ProfileMethods(engine)
        )

        async def ask(method: str, **argument: object) -> object:
            sent = json.loads(json.dumps(argument), parse_float=Decimal)  # as the codec reads it
            call = Call(method, sent, id=1)
            found = registry(call, NOBODY)
            answer = json.loads(found if isinstance(found, str) else await found)
            return answer["error"] or answer["result"]

        try:
            await script(ask, engine)
            assert (await book.audit()).clean
        finally:
            await book.close()

    asyncio.run(main())


async def money(ask: Ask, account: str = "1001") -> Decimal:
    found = await ask("APIerSv2.GetAccount", Tenant="cgrates.org", Account=account)
    return sum(
        (Decimal(str(each["Value"])) for each in found["BalanceMap"]["*monetary"]), Decimal(0)
    )


async def topped_up(ask: Ask, value: float) -> None:
    assert (
        await ask("APIerSv1.AddBalance", Account="1001", BalanceType="*monetary", Value=value)
        == "OK"
    )


def test_an_account_is_made_filled_and_removed(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        assert await ask("APIerSv2.GetAccount", Account="1001") == "NOT_FOUND"
        assert await ask("APIerSv1.RemoveAccount", Account="1001") == "NOT_FOUND"
        assert (
            await ask("APIerSv1.SetAccount", Account="1001", ExtraOptions={"AllowNegative": True})
            == "OK"
        )
        await topped_up(ask, 5.5)
        balance = {"ID": "gift", "Weight": 20, "DestinationIDs": "MOBILE", "ExpiryTime": "+1h"}
        await ask(
            "APIerSv1.AddBalance", Account="1001", BalanceType="*voice", Value=60, Balance=balance
        )
        await ask("APIerSv1.DebitBalance", Account="1001", BalanceType="*monetary", Value=0.5)
        await ask("APIerSv1.ExecuteAction", Account="1001", ActionsId="WELCOME")
        found = await ask("APIerSv2.GetAccount", Account="1001")
        assert found["ID"] == "cgrates.org:1001"
        assert found["AllowNegative"] is True
        gift, bonus = found["BalanceMap"]["*voice"]
        assert (gift["ID"], gift["Value"], gift["DestinationIDs"]) == ("gift", 60, {"MOBILE": True})
        assert gift["ExpirationDate"] == "2026-01-05T13:00:00Z"
        assert (bonus["ID"], bonus["Value"]) == ("bonus", 30 * SECOND)
        assert await money(ask) == 5
        removed = {"ID": "gift"}
        await ask("APIerSv1.RemoveBalances", Account="1001", BalanceType="*voice", Balance=removed)
        assert len((await ask("APIerSv2.GetAccount", Account="1001"))["BalanceMap"]["*voice"]) == 1
        assert await ask("APIerSv1.ExecuteAction", Account="1001", ActionsId="NONE") == "NOT_FOUND"
        assert await ask("APIerSv1.RemoveAccount", Account="1001") == "OK"
        assert await ask("APIerSv2.GetAccount", Account="1001") == "NOT_FOUND"

    charging(tmp_path, script)


def test_a_prepaid_call_from_the_grant_to_its_record(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        event = {**EVENT, "Usage": "60s"}
        granted = await ask("SessionSv1.AuthorizeEvent", GetMaxUsage=True, Event=event)
        assert granted["MaxUsage"] == 60 * SECOND
        assert await money(ask) == 1
        for _again in range(2):  # the same again changes nothing
            granted = await ask("SessionSv1.InitiateSession", InitSession=True, Event=event)
            assert granted["MaxUsage"] == 60 * SECOND
            assert await money(ask) == Decimal("0.9")
        more = {**EVENT, "Usage": "60s", "LastUsed": "30s"}
        granted = await ask("SessionSv1.UpdateSession", UpdateSession=True, Event=more)
        assert granted["MaxUsage"] == 60 * SECOND
        assert await money(ask) == Decimal("0.85")
        [active] = await ask("SessionSv1.GetActiveSessions")
        assert (active["OriginID"], active["Usage"]) == ("call-1", 90 * SECOND)
        last = {**EVENT, "Usage": "45s"}
        for _again in range(2):
            ended = await ask("SessionSv1.TerminateSession", TerminateSession=True, Event=last)
            assert ended == "OK"
            assert await money(ask) == Decimal("0.925")
        assert await ask("SessionSv1.GetActiveSessions") == "NOT_FOUND"
        for _again in range(2):
            assert await ask("CDRsV1.ProcessEvent", Event=last) == "OK"
            assert await money(ask) == Decimal("0.925")
        [record] = await ask("CDRsV1.GetCDRs", Accounts=["1001"])
        assert (record["Cost"], record["Usage"], record["RunID"]) == (
            0.075,
            45 * SECOND,
            "*default",
        )
        again = await ask("SessionSv1.InitiateSession", InitSession=True, Event=event)
        assert again == "RALS_ERROR:EXISTS", "another call of its name would have no record"
        assert await money(ask) == Decimal("0.925")

    charging(tmp_path, script)


def test_money_ends(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 0.05)
        event = {**EVENT, "Usage": "60s"}
        granted = await ask("SessionSv1.InitiateSession", InitSession=True, Event=event)
        assert granted["MaxUsage"] == 30 * SECOND
        granted = await ask("SessionSv1.UpdateSession", UpdateSession=True, Event=event)
        assert granted["MaxUsage"] == 0
        assert await money(ask) == 0

    charging(tmp_path, script)


def test_a_record_alone_is_paid(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        for number, kind in enumerate(
            ["*prepaid", "*postpaid", "*pseudoprepaid", "*rated", "*raw", "*none"]
        ):
            event = {**EVENT, "OriginID": f"c{number}", "RequestType": kind, "Usage": "60s"}
            assert await ask("SessionSv1.ProcessCDR", Event=event) == "OK"
        assert await money(ask) == Decimal("0.7")
        costs = [each["Cost"] for each in await ask("CDRsV2.GetCDRs")]
        assert costs == [0.1, 0.1, 0.1, 0.1, 0.1, 0]
        nobody = {**EVENT, "OriginID": "x", "Account": "9", "Usage": "60s"}
        assert await ask("SessionSv1.ProcessCDR", Event=nobody) == "OK"
        [record] = await ask("CDRsV1.GetCDRs", OriginIDs=["x"])
        assert record["Cost"] == -1

    charging(tmp_path, script)


def test_a_session_that_was_never_opened_is_charged_as_it_ends(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        event = {**EVENT, "Usage": "60s"}
        await ask("SessionSv1.TerminateSession", TerminateSession=True, Event=event)
        assert await money(ask) == Decimal("0.9")
        late = await ask("SessionSv1.UpdateSession", UpdateSession=True, Event=event)
        assert late == "RALS_ERROR:EXISTS"

    charging(tmp_path, script)


def test_each_charger_makes_a_run(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        event = {**EVENT, "RequestType": "*none", "Usage": "60s"}
        assert await ask("CDRsV1.ProcessEvent", Tenant="other.org", Event=event) == "OK"
        found = await ask("CDRsV1.GetCDRs", Tenants=["other.org"])
        assert [each["RunID"] for each in found] == ["first", "second"]

    charging(tmp_path, script)


@pytest.mark.parametrize(
    ("method", "argument", "answer"),
    [
        ("SessionSv1.InitiateSession", {"Event": EVENT}, "MANDATORY_IE_MISSING: [subsystems]"),
        (
            "SessionSv1.InitiateSession",
            {"InitSession": True, "Event": {"Account": "1"}},
            "MANDATORY_IE_MISSING: [OriginID]",
        ),
        (
            "SessionSv1.InitiateSession",
            {"InitSession": True, "Event": {**EVENT, "Usage": "1s"}},
            "RALS_ERROR:ACCOUNT_NOT_FOUND",
        ),
        (
            "SessionSv1.AuthorizeEvent",
            {"GetMaxUsage": True, "Event": {**EVENT, "RequestType": "*free"}},
            f"CHARGERS_ERROR:RequestType '*free' is none of {', '.join(RequestType)}",
        ),
        ("SessionSv1.GetActiveSessions", {}, "NOT_FOUND"),
        ("CDRsV1.GetCDRs", {}, "SERVER_ERROR: NOT_FOUND"),
        ("APIerSv1.SetAccount", {}, "MANDATORY_IE_MISSING: [Account]"),
    ],
)
def test_what_cannot_be_done_has_the_references_words(
    tmp_path: Path, method: str, argument: dict[str, object], answer: str
) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        assert await ask(method, **argument) == answer

    charging(tmp_path, script)


def test_a_session_that_nobody_asks_for_ends_by_itself(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        clock = cast("Clock", engine.clock)
        steps = Steps(engine)
        await topped_up(ask, 1)
        event = {**EVENT, "Usage": "60s"}
        await ask("SessionSv1.InitiateSession", InitSession=True, Event=event)
        assert await swept(steps) == []
        clock.now += timedelta(hours=2)
        await ask("SessionSv1.UpdateSession", UpdateSession=True, Event=event)
        clock.now += timedelta(hours=2)
        assert await swept(steps) == [], "an update is a word"
        clock.now += timedelta(hours=2)
        [ended] = await swept(steps)
        assert (ended.session.origin_id, ended.reason) == ("call-1", "FORCED_DISCONNECT")
        assert await money(ask) == Decimal("0.9"), "of the second minute nothing is known"
        assert await ask("SessionSv1.GetActiveSessions") == "NOT_FOUND"
        assert len(await steps.sessions()) == 1, "its record may still come"
        clock.now += timedelta(hours=25)
        assert await swept(steps) == []
        assert await steps.sessions() == []

    charging(tmp_path, script)


def test_profiles_are_asked_one_by_one(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        found = await ask("AttributeSv1.ProcessEvent", Tenant="cgrates.org", Event=EVENT)
        assert found["MatchedProfiles"] == ["PLUS"]
        assert found["AlteredFields"] == ["*req.Carrier"]
        assert found["Event"]["Carrier"] == "one"
        profile = await ask("AttributeSv1.GetAttributeForEvent", Event=EVENT)
        assert (profile["ID"], profile["Weight"]) == ("PLUS", 10)
        elsewhere = {**EVENT, "Destination": "49"}
        assert await ask("AttributeSv1.ProcessEvent", Event=elsewhere) == "NOT_FOUND"
        runs = await ask("ChargerSv1.ProcessEvent", Tenant="other.org", Event=EVENT)
        assert [run["ChargerSProfile"] for run in runs] == ["SPLIT", "RAW"]
        chargers = await ask("ChargerSv1.GetChargersForEvent", Tenant="other.org", Event=EVENT)
        assert [each["RunID"] for each in chargers] == ["first", "second"]
        assert await ask("ChargerSv1.ProcessEvent", Event=EVENT) == "NOT_FOUND"

    charging(tmp_path, script)


def test_the_cheapest_route_is_first(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        event = {**EVENT, "SetupTime": EVENT["AnswerTime"], "Usage": "60s"}
        found = await ask("RouteSv1.GetRoutes", Event=event)
        assert [each["RouteID"] for each in found["SortedRoutes"]] == ["cheap", "dear"]
        assert [each["SortingData"]["Cost"] for each in found["SortedRoutes"]] == [0.1, 0.3]
        one = await ask("RouteSv1.GetRoutes", Event=event, Limit=1, Offset=1)
        assert [each["RouteID"] for each in one["SortedRoutes"]] == ["dear"]
        capped = await ask("RouteSv1.GetRoutes", Event=event, MaxCost="0.2")
        assert [each["RouteID"] for each in capped["SortedRoutes"]] == ["cheap"]
        assert await ask("RouteSv1.GetRoutes", Event={**EVENT, "Destination": "7"}) == "NOT_FOUND"

    charging(tmp_path, script)
