"""``Responder``: usages debited at once, the reference's own figures among them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.charging.world import accounts_of
from tests.elements.charging.support import NOBODY
from tests.elements.charging.test_session_vectors import opening, put
from tests.rating.folder import tariff

from trunkline.charging.model import Account, Balance
from trunkline.charging.rows import ActionTriggerRow, BalanceRow
from trunkline.charging.triggers import set_triggers
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.responder import Responder
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import Call
from trunkline.rating import EXACT, Cgrates, Tariff
from trunkline.rating.durations import SECOND, parse_duration
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Keys

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEY = "cgrates.org:1001"
CENTS = tariff(
    {
        "Destinations.csv": "MOBILE,614\n",
        "Rates.csv": "RT,0.02,0.10,60s,1s,0s\n",
        "DestinationRates.csv": "DR,MOBILE,RT,*up,4,0,\n",
        "RatingPlans.csv": "RP,DR,*any,10\n",
        "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
    }
)
Ask = Callable[..., Coroutine[None, None, Any]]
CALL = {
    "Tenant": "cgrates.org",
    "Category": "call",
    "Account": "1001",
    "Destination": "614",
    "ToR": "*voice",
    "TimeStart": "2026-01-05T12:00:00Z",
    "TimeEnd": "2026-01-05T12:01:00Z",
}


def respond(
    tmp_path: Path,
    accounts: list[Account],
    script: Callable[[Ask, Book], Coroutine[None, None, None]],
    prices: Tariff = CENTS,
    decimals: int | None = None,
) -> None:
    async def main() -> None:
        book = Book(f"sqlite:///{tmp_path}/ledger.db")
        await book.prepare()
        tariffs = Tariffs(prices, precision=EXACT if decimals is None else Cgrates(decimals))
        engine = Engine(tariffs, book, RuleBook(tariffs.rows, tariffs), lambda: NOW)
        registry = Registry(Responder(engine))

        async def ask(method: str, **argument: object) -> object:
            sent = json.loads(json.dumps(argument), parse_float=Decimal)
            name = method if "." in method else f"Responder.{method}"
            found = registry(Call(name, sent, id=1), NOBODY)
            answer = json.loads(found if isinstance(found, str) else await found)
            return answer["error"] or answer["result"]

        try:
            for account in accounts:
                await put(book, opening(account, 0.0))
            await script(ask, book)
            assert (await book.audit()).clean
        finally:
            await book.close()

    asyncio.run(main())


def rich(*balances: Balance) -> list[Account]:
    return [Account(tenant="cgrates.org", id="1001", balances=balances)]


async def held(book: Book) -> dict[str, Decimal]:
    account = (await book.load(Keys(accounts=[KEY]))).view.accounts[KEY]
    assert account is not None
    return {each.uuid: each.value for each in account.balances}


MONEY = Balance(uuid="m", id="money", value=Decimal(1))
MINUTES = Balance(uuid="v", id="minutes", type="*voice", value=Decimal(30 * SECOND))


def test_what_is_given_back_is_counted_back(tmp_path: Path) -> None:
    row = ActionTriggerRow(
        id="COUNT",
        unique_id="T1",
        threshold_type="*max_event_counter",
        threshold_value=Decimal(100),
        actions_id="NONE",
        balance=BalanceRow(type="*monetary"),
    )
    account = set_triggers(
        Account(tenant="cgrates.org", id="1001", balances=(Balance(uuid="b", value=Decimal(1)),)),
        [row],
    )

    async def script(ask: Ask, book: Book) -> None:
        found = await ask("Debit", **CALL, CgrID="d1")
        [span] = found["Timespans"]
        back = [{**each, "CompressFactor": 30} for each in span["Increments"][-1:]]
        shown = await ask("RefundIncrements", **CALL, Increments=back, CgrID="r1")
        [counters] = shown["UnitCounters"]["*monetary"]
        assert counters["Counters"][0]["Value"] == 0.07
        assert shown["BalanceMap"]["*monetary"][0]["Value"] == 0.93

    respond(tmp_path, [account], script)


def test_a_debit_and_its_refund(tmp_path: Path) -> None:
    async def script(ask: Ask, book: Book) -> None:
        assert await ask("GetMaxSessionTime", **CALL) == 60 * SECOND
        dry = await ask("Debit", **CALL, DryRun=True)
        assert await held(book) == {"m": 1, "v": 30 * SECOND}
        found = await ask("Debit", **CALL)
        assert found == dry
        assert found["Cost"] == 0.05
        assert found["RatedUsage"] == 60 * SECOND
        free, priced = found["Timespans"]
        assert (free["TimeEnd"], free["RatingPlanId"]) == ("2026-01-05T12:00:30Z", "*none")
        assert (priced["TimeStart"], priced["RatingPlanId"]) == ("2026-01-05T12:00:30Z", "RP")
        assert priced["MatchedDestId"] == "MOBILE"
        [increment] = free["Increments"]
        assert increment["BalanceInfo"]["Unit"]["Consumed"] == SECOND
        assert increment["BalanceInfo"]["AccountID"] == KEY
        assert increment["CompressFactor"] == 30
        assert await held(book) == {"m": Decimal("0.95"), "v": 0}
        summary = {
            each["ID"]: each["Value"] for each in found["AccountSummary"]["BalanceSummaries"]
        }
        assert summary == {"money": 0.95, "minutes": 0}
        spans = found["Timespans"]
        back = [each for span in spans for each in span["Increments"]]
        for _again in range(2):
            account = await ask("RefundIncrements", **CALL, Increments=back, CgrID="r1")
            assert account["ID"] == KEY
            assert await held(book) == {"m": 1, "v": 30 * SECOND}
        half = [replace_count(each, 15) for each in back[:1]]
        await ask("RefundIncrements", **CALL, Increments=half)
        assert await held(book) == {"m": 1, "v": 45 * SECOND}

    respond(tmp_path, rich(MONEY, MINUTES), script)


def replace_count(increment: dict[str, Any], count: int) -> dict[str, Any]:
    return {**increment, "CompressFactor": count}


def test_a_step_with_a_name_is_made_once(tmp_path: Path) -> None:
    async def script(ask: Ask, book: Book) -> None:
        first = await ask("Debit", **CALL, CgrID="c1")
        assert await ask("Debit", **CALL, CgrID="c1") == first
        assert await held(book) == {"m": Decimal("0.88")}
        await ask("Debit", **CALL, CgrID="c1", RunID="supplier")
        assert await held(book) == {"m": Decimal("0.76")}
        await ask("MaxDebit", **CALL, CgrID="c1")
        assert await held(book) == {"m": Decimal("0.64")}
        rounding = [{"Cost": -0.01, "BalanceInfo": {"Monetary": {"UUID": "m"}}}]
        await ask("RefundRounding", **CALL, Increments=rounding)
        assert await held(book) == {"m": Decimal("0.65")}

    respond(tmp_path, rich(MONEY), script)


def test_as_much_as_there_is(tmp_path: Path) -> None:
    async def script(ask: Ask, book: Book) -> None:
        long = {**CALL, "TimeEnd": "2026-01-05T13:00:00Z"}
        assert await ask("GetMaxSessionTime", **long) == 588 * SECOND
        cheap = await ask("GetMaxSessionTime", **long, MaxRate=0.05, MaxRateUnit=60 * SECOND)
        assert cheap == 0
        assert (await ask("MaxDebit", **long))["RatedUsage"] == 588 * SECOND
        assert await held(book) == {"m": 0}
        assert (await ask("MaxDebit", **long))["Timespans"] == []
        assert (await ask("Debit", **CALL))["Cost"] == 0.12
        assert sum((await held(book)).values()) == Decimal("-0.12")

    respond(tmp_path, rich(MONEY), script)


@pytest.mark.parametrize(
    ("method", "argument", "answer"),
    [
        ("Debit", {"Account": "9"}, "ACCOUNT_NOT_FOUND"),
        ("GetMaxSessionTime", {"Account": "9"}, "ACCOUNT_NOT_FOUND"),
        ("RefundIncrements", {"Account": "9"}, "ACCOUNT_NOT_FOUND"),
        ("Debit", {"Destination": "7"}, "UNAUTHORIZED_DESTINATION"),
        ("Debit", {"Tenant": "other.org"}, "ACCOUNT_NOT_FOUND"),
        (
            "Debit",
            {"LoopIndex": 1},
            "SERVER_ERROR: a part of a call cannot be debited by itself; use SessionSv1",
        ),
        (
            "RefundIncrements",
            {"Increments": [{"Cost": -1, "BalanceInfo": {"Monetary": {"UUID": "m"}}}]},
            "SERVER_ERROR: an increment is below zero; nothing was given back",
        ),
        *(
            (
                method,
                {"Increments": [{"BalanceInfo": {"Unit": {"UUID": "m", "Consumed": -2}}}]},
                "SERVER_ERROR: an increment is below zero; nothing was given back",
            )
            for method in ("RefundIncrements", "RefundRounding")
        ),
        *(
            (
                method,
                {"Increments": [{"Cost": cost, "BalanceInfo": {"Monetary": {"UUID": "m"}}}]},
                f"SERVER_ERROR: more than {10**40} cannot be given back at once",
            )
            for method, cost in (("RefundIncrements", 1e300), ("RefundRounding", -1e41))
        ),
    ],
)
def test_what_is_refused(
    tmp_path: Path, method: str, argument: dict[str, object], answer: str
) -> None:
    async def script(ask: Ask, book: Book) -> None:
        assert await ask(method, **{**CALL, **argument}) == answer
        assert await held(book) == {"m": 1}

    respond(tmp_path, rich(MONEY), script)


def test_a_disabled_account_and_a_usage_below_zero(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Book) -> None:
        assert await ask("Debit", **CALL) == "ACCOUNT_DISABLED"
        backwards = {**CALL, "TimeEnd": "2026-01-05T11:00:00Z"}
        assert str(await ask("Debit", **backwards)) != ""

    respond(tmp_path, [replace(rich(MONEY)[0], disabled=True)], script)


def test_what_is_only_asked_about(tmp_path: Path) -> None:
    async def script(ask: Ask, book: Book) -> None:
        usage = {"Account": "1001", "Destination": "614", "SetupTime": "2026-01-05T12:00:00Z"}
        assert await ask("APIerSv1.GetMaxUsage", **usage, Usage="60s") == 60 * SECOND
        assert await ask("APIerSv1.GetMaxUsage", **usage) == 630 * SECOND
        refused = await ask("APIerSv1.GetMaxUsage", **{**usage, "Account": "9"})
        assert refused == "SERVER_ERROR: ACCOUNT_NOT_FOUND"
        assert str(await ask("APIerSv1.GetMaxUsage", **usage, Usage="much")).startswith(
            "SERVER_ERROR: Usage 'much' is no usage"
        )
        event = {**usage, "Usage": "60s", "CGRID": "c", "RunID": "run_1"}
        cost = await ask("APIerSv1.GetAccountCost", Tenant="cgrates.org", ID="e", Event=event)
        assert (cost["Cost"], cost["Usage"]) == (0.05, 60 * SECOND)
        assert (cost["CGRID"], cost["RunID"]) == ("c", "run_1")
        paid = {each["BalanceUUID"] for each in cost["Accounting"].values()}
        assert paid == {"m", "v"}
        assert await held(book) == {"m": 1, "v": 30 * SECOND}

    respond(tmp_path, rich(MONEY, MINUTES), script)


METHODS = {"Debit": "Debit", "MaxDebit": "MaxDebit", "GetMaxSessionDuration": "GetMaxSessionTime"}


def test_the_references_figures(vectors: Path, tmp_path: Path) -> None:
    text = (vectors / "rating" / "accounts_calldesc.json").read_text()
    cases = [case for case in json.loads(text)["cases"] if not case["expect"].get("error")]
    for case in cases:
        query, expect = case["query"], case["expect"]
        prices = tariff(case["csv"])
        folder = tmp_path / case["id"]
        folder.mkdir()
        accounts, _ = accounts_of(folder, case["csv"], case.get("accounts") or {})

        async def script(ask: Ask, _: Book, query: Any = query, expect: Any = expect) -> None:
            argument = {
                "Tenant": query["tenant"],
                "Category": query["category"],
                "Subject": query["subject"],
                "Account": query.get("account", ""),
                "Destination": query["destination"],
                "TimeStart": query["time_start"],
                "TimeEnd": query["time_end"],
                "ToR": query["tor"],
                "MaxRate": query.get("max_rate", 0),
                "MaxRateUnit": parse_duration(query.get("max_rate_unit", "0")),
            }
            found = await ask(METHODS[query["op"]], **argument)
            if "max_usage" in expect:
                assert found == parse_duration(expect["max_usage"])
            elif "max_usage_not" in expect:
                assert found != parse_duration(expect["max_usage_not"])
            else:
                assert found["Cost"] == pytest.approx(expect["cost"], abs=1e-9)
            if "rated_duration" in expect:
                assert found["RatedUsage"] == parse_duration(expect["rated_duration"])

        respond(folder, list(accounts.values()), script, prices, query["rounding_decimals"])
    assert len(cases) > 8


def test_the_references_simulated_cost(vectors: Path, tmp_path: Path) -> None:
    cases = [
        case
        for case in json.loads((vectors / "rating" / "accounts_general.json").read_text())["cases"]
        if case["query"]["op"] == "APIerSv1.GetAccountCost"
    ]
    for case in cases:
        query = case["query"]
        accounts, _ = accounts_of(tmp_path, case["csv"], case["accounts"])

        async def script(ask: Ask, _: Book, query: Any = query, case: Any = case) -> None:
            event = {
                "ToR": query["tor"],
                "Category": query["category"],
                "Account": query["account"],
                "Destination": query["destination"],
                "AnswerTime": query["answer_time"],
                "Usage": query["usage"],
            }
            for _again in range(2):  # nothing is taken
                found = await ask("APIerSv1.GetAccountCost", Tenant=query["tenant"], Event=event)
                assert found["Cost"] == case["expect"]["event_cost"]
                assert found["Usage"] == parse_duration(case["expect"]["usage"])

        prices = tariff(case["csv"])
        respond(tmp_path, list(accounts.values()), script, prices, query["rounding_decimals"])
    assert len(cases) == 1
