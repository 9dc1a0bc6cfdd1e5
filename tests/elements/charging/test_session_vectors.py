"""The reference's own cases of sessions and records, by the API, on a ledger in a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from tests.elements.charging.support import NOBODY

from trunkline.charging.documents import reference_account
from trunkline.charging.model import Account, Balance, Movement
from trunkline.config.cgrates import ChargingRows, TariffPlan, load_folder
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.records import Records
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.sessions import Sessions
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import Call
from trunkline.rating.cost import Cgrates
from trunkline.rating.durations import parse_duration
from trunkline.rating.tariff import Tariff
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Change, Keys

Ask = Callable[..., Coroutine[None, None, Any]]
Case = dict[str, Any]
TOLERANCE = 5e-3  # of money: the reference's float64 at 3.6e12


def read(vectors: Path, file: str) -> list[Case]:
    return cast("list[Case]", json.loads((vectors / "rating" / file).read_text())["cases"])


def empty() -> Tariff:
    return Tariff.build(
        destinations=(), rates=(), destination_rates=(), rating_plans=(), rating_profiles=()
    )


def accounts_of(case: Case) -> list[Account]:
    found = []
    for key, balances in (case.get("accounts") or {}).items():
        tenant, _, name = key.partition(":")
        found.append(
            Account(
                tenant=tenant,
                id=name,
                balances=tuple(
                    Balance(
                        uuid=f"{name}-{number}",
                        id=each.get("id", ""),
                        type=each["type"],
                        value=Decimal(str(each["value"])),
                        weight=Decimal(str(each.get("weight", 0))),
                        categories=tuple(each.get("categories", ())),
                        rating_subject=each.get("rating_subject", ""),
                        blocker=each.get("blocker", False),
                    )
                    for number, each in enumerate(balances)
                ),
            )
        )
    return found


def opening(account: Account, now: float) -> Change:
    """An account, with what its balances hold put into them."""
    return Change(
        time=now,
        accounts={account.key: account},
        movements=[
            Movement(
                account=account.key,
                balance=each.uuid,
                type=each.type,
                amount=each.value,
                value=each.value,
                cause="*topup",
            )
            for each in account.balances
            if each.value
        ],
    )


async def put(book: Book, change: Change) -> None:
    await book.update(Keys(accounts=list(change.accounts)), lambda _: change)


def play(case: Case, tmp_path: Path, script: Callable[[Ask], Coroutine[None, None, None]]) -> Case:
    """Run a script against a node with the case's tariff and accounts; what is left of them."""
    folder = tmp_path / case["id"]
    folder.mkdir()
    for name, text in case["csv"].items():
        (folder / name).write_text(text)
    query = case["query"]
    now = datetime(2024, 5, 15, 10, tzinfo=UTC)
    plan = load_folder(folder).plan if case["csv"] else TariffPlan(empty(), ChargingRows())

    async def main() -> Case:
        book = Book(f"sqlite:///{folder}/ledger.db")
        await book.prepare()
        precision = Cgrates(query.get("rounding_decimals", 5))
        tariffs = Tariffs(plan.tariff, precision=precision)
        rules = RuleBook(plan.rows, tariffs)
        engine = Engine(tariffs, book, rules, lambda: now)
        registry = Registry(Sessions(engine), Records(engine))

        async def ask(method: str, **argument: object) -> object:
            found = registry(Call(method, cast("Any", argument), id=1), NOBODY)
            answer = json.loads(found if isinstance(found, str) else await found)
            return answer["error"] or answer["result"]

        try:
            made = accounts_of(case)
            for account in made:
                await put(book, opening(account, now.timestamp()))
            await script(ask)
            assert (await book.audit()).clean
            loaded = await book.load(Keys(accounts=[account.key for account in made]))
            return {
                key: None if account is None else reference_account(account)
                for key, account in loaded.view.accounts.items()
            }
        finally:
            await book.close()

    return asyncio.run(main())


def event(query: Case, **more: object) -> dict[str, object]:
    names = {
        "tor": "ToR",
        "request_type": "RequestType",
        "category": "Category",
        "account": "Account",
        "subject": "Subject",
        "destination": "Destination",
    }
    return {
        "OriginID": "session",
        "OriginHost": "switch",
        "AnswerTime": query.get("answer_time_fixed", query["answer_time"]),
        **{names[name]: query[name] for name in names if name in query},
        **more,
    }


def balances(accounts: Case, query: Case) -> list[Case]:
    account = accounts[f"{query['tenant']}:{query['account']}"]
    return [each for held in account["BalanceMap"].values() for each in held]


def balance(accounts: Case, query: Case, name: str) -> float:
    [found] = [each for each in balances(accounts, query) if each["ID"] == name]
    return float(found["Value"])


def test_messages(vectors: Path, tmp_path: Path) -> None:
    cases = [
        case
        for case in read(vectors, "accounts_general.json")
        if case["query"]["op"] == "SessionSv1.ProcessMessage"
    ]
    for case in cases:
        query, expect = case["query"], case["expect"]

        async def script(ask: Ask, query: Case = query, expect: Case = expect) -> None:
            answer = await ask(
                "SessionSv1.ProcessMessage",
                Debit=True,
                Tenant=query["tenant"],
                Event=event(query, Usage=query["usage"]),
            )
            if "error" in expect:
                assert answer == expect["error"]
            else:
                assert answer["MaxUsage"] == int(expect["max_usage"])

        left = play(case, tmp_path, script)
        for name, value in expect.get("balance_after", {}).items():
            assert balance(left, query, name) == value, case["id"]
    assert len(cases) > 10


def test_sessions_with_their_records(vectors: Path, tmp_path: Path) -> None:
    cases = [
        case
        for case in read(vectors, "accounts_general.json")
        if case["query"]["op"] == "session: initiate, terminate, CDR"
    ]
    for case in cases:
        query, expect = case["query"], case["expect"]

        async def script(ask: Ask, query: Case = query, expect: Case = expect) -> None:
            tenant = query["tenant"]
            step = event(query, Usage=query["debit_interval"])
            await ask("SessionSv1.InitiateSession", InitSession=True, Tenant=tenant, Event=step)
            for _ in range(parse_duration(query["usage"]) // 10**9 - 1):
                await ask("SessionSv1.UpdateSession", UpdateSession=True, Tenant=tenant, Event=step)
            last = event(query, Usage=query["usage"])
            await ask(
                "SessionSv1.TerminateSession", TerminateSession=True, Tenant=tenant, Event=last
            )
            assert await ask("SessionSv1.ProcessCDR", Tenant=tenant, Event=last) == "OK"
            [record] = await ask("CDRsV1.GetCDRs", Tenants=[tenant])
            assert record["Cost"] == expect["cdr_cost"]

        left = play(case, tmp_path, script)
        for name, value in expect["balance_after"].items():
            assert abs(balance(left, query, name) - value) < TOLERANCE, case["id"]
    assert len(cases) == 2


def test_records_after_attributes(vectors: Path, tmp_path: Path) -> None:
    cases = [
        case
        for case in read(vectors, "accounts_general.json")
        if case["query"]["op"] == "CDRsV2.ProcessEvent"
    ]
    for case in cases:
        query, expect = case["query"], case["expect"]

        async def script(ask: Ask, query: Case = query, expect: Case = expect) -> None:
            sent = event(query, Usage=query["usage"])
            [answer] = await ask(
                "CDRsV2.ProcessEvent", Flags=query["flags"], Tenant=query["tenant"], Event=sent
            )
            assert answer["Event"]["Cost"] == expect["cost"]
            [record] = await ask("CDRsV1.GetCDRs", Tenants=[query["tenant"]])
            assert record["Cost"] == expect["cost"]

        play(case, tmp_path, script)
    assert len(cases) == 2


def test_authorising(vectors: Path, tmp_path: Path) -> None:
    for case in read(vectors, "accounts_general.json"):
        query, expect = case["query"], case["expect"]
        if query["op"] == "SessionSv1.AuthorizeEvent":

            async def units(ask: Ask, query: Case = query, expect: Case = expect) -> None:
                answer = await ask(
                    "SessionSv1.AuthorizeEvent",
                    GetMaxUsage=True,
                    Tenant=query["tenant"],
                    Event=event(query, Usage=query["usage"]),
                )
                assert answer["MaxUsage"] == int(expect["max_usage"])

            play(case, tmp_path, units)
        elif query["op"] == "authorize then CDR":

            async def nothing(ask: Ask, query: Case = query, expect: Case = expect) -> None:
                sent = event(query, Usage=query["usage"])
                tenant = query["tenant"]
                await ask("SessionSv1.AuthorizeEvent", GetMaxUsage=True, Tenant=tenant, Event=sent)
                last = event(query, Usage="0s")
                assert await ask("SessionSv1.ProcessCDR", Tenant=tenant, Event=last) == "OK"
                [record] = await ask("CDRsV1.GetCDRs", Tenants=[tenant])
                assert record["Cost"] == expect["cdr_cost"]

            left = play(case, tmp_path, nothing)
            assert "*default" not in [each["ID"] for each in balances(left, query)]
