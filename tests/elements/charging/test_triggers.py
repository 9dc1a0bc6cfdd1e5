"""Triggers of accounts, as calls, records and actions set them off in a running node."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.office import Office, office
from tests.elements.charging.test_sessions import swept

from trunkline.charging.triggers import set_triggers
from trunkline.elements.charging import afterwards
from trunkline.elements.charging.effects import PREFIX, Order
from trunkline.elements.charging.steps import Steps
from trunkline.elements.charging.taken import Booked
from trunkline.store.ledger.model import Keys, TaskRow, View
from trunkline.store.ledger.queries import RecordQuery

FILES = {
    "Actions.csv": """\
WARN,*log,,,,,,,,,,,,,,,20
WARN,*cdrlog,"{""Category"":""warned"",""Kind"":""~*acnt.BalanceID""}",,,,,,,,,,,,,,5
REFILL,*topup,,,gift,*monetary,,,,,*unlimited,,10,20,,,20
REFILL,*cdrlog,"{""Category"":""gift"",""Kind"":""~*acnt.BalanceID""}",,,,,,,,,,,,,,10
LOCK,*disable_account,,,,,,,,,,,,,,,10
BROKEN,*set_expiry,,,,*monetary,,,,,never,,,,,,10
GONE,*remove_account,,,,,,,,,,,,,,,10
MONTH,*topup,,,,*monetary,,,,,+720h,,10,20,,,20
LOGGED,*log,,,,,,,,,,,,,,,20
""",
    "ActionTriggers.csv": """\
LOW,T1,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,REFILL,10
COUNT,T2,*max_event_counter,0.25,true,0,,,,*monetary,,,,,,,,,,WARN,10
FULL,T3,*max_balance,100,false,0,,,,*monetary,,,,,,,,,,LOCK,10
BAD,T4,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,BROKEN,20
BAD,T5,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,REFILL,10
OVER,T7,*balance_expired,,true,0,,,,*monetary,,,,,,,,,,LOGGED,10
LAST,T6,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,GONE,10
""",
}
EVENT: dict[str, object] = {
    "OriginID": "call-1",
    "OriginHost": "switch",
    "RequestType": "*prepaid",
    "ToR": "*voice",
    "Account": "1001",
    "Destination": "614",
    "AnswerTime": "2026-01-05T12:00:00Z",
    "Usage": "60s",
}


async def opened(desk: Office, group: str, value: float) -> None:
    """An account with money and the triggers of one ID."""
    key = "cgrates.org:1001"
    await desk.ok("APIerSv1.AddBalance", Account="1001", BalanceType="*monetary", Value=value)
    rows = desk.engine.profiles.triggers[group]

    def step(view: View) -> Booked:
        taken = desk.engine.taken(view, desk.now.timestamp())
        taken.alter(key, lambda account: set_triggers(account, rows))
        return taken.into(Booked(time=desk.now.timestamp()))

    await desk.engine.write(Keys(accounts=[key]), step)


async def orders(desk: Office) -> list[Order]:
    """What was asked of others."""
    tasks: list[TaskRow] = await desk.book.tasks(PREFIX)
    return [Order.of_task(task) for task in tasks]


async def update(desk: Office, usage: str = "60s") -> object:
    event = {**EVENT, "Usage": usage}
    return (await desk.ask("SessionSv1.UpdateSession", UpdateSession=True, Event=event))["MaxUsage"]


def test_a_session_that_takes_the_last_money_sets_a_trigger_off(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "LOW", 2.15)
        await update(desk)
        assert await desk.money() == Decimal("2.05")
        await update(desk)
        assert await desk.money() == Decimal("11.95"), "10 more, in the change that took 0.1"
        [trigger] = (await desk.account())["ActionTriggers"]
        assert (trigger["Executed"], trigger["LastExecutionTime"]) == (True, "2026-01-05T12:00:00Z")
        for _ in range(10):
            await update(desk)
        assert await desk.money() == Decimal("10.95"), "it runs once"
        [record] = await desk.book.records(RecordQuery())
        assert (record.run, record.cost, record.category) == ("*topup", Decimal(10), "gift")
        assert (record.type, record.request_type, record.account) == ("*monetary", "*none", "1001")
        assert json.loads(record.document)["extra"]["Kind"] == "gift"
        assert await orders(desk) == []
        assert desk.mishaps == []

    office(tmp_path, FILES, script)


def test_a_counter_counts_what_calls_take_and_give_back(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "COUNT", 5)
        await update(desk)
        await update(desk)
        assert await orders(desk) == []
        await update(desk)
        [order] = await orders(desk)
        assert (order.action, order.actions_id) == ("*log", "WARN")
        assert order.account is not None
        assert order.account.key == "cgrates.org:1001"
        await desk.ok(
            "SessionSv1.TerminateSession", TerminateSession=True, Event={**EVENT, "Usage": "90s"}
        )
        [counters] = (await desk.account())["UnitCounters"]["*monetary"]
        assert counters["Counters"][0]["Value"] == 0.15
        # The record takes nothing more: nothing is counted twice.
        await desk.ok("CDRsV1.ProcessEvent", Event={**EVENT, "Usage": "90s"})
        [counters] = (await desk.account())["UnitCounters"]["*monetary"]
        assert counters["Counters"][0]["Value"] == 0.15

    office(tmp_path, FILES, script)


def test_triggers_without_a_name_count_for_themselves(tmp_path: Path) -> None:
    rows = {
        "ActionTriggers.csv": (
            "TWO,,*max_event_counter,0.15,false,0,,,,*monetary,other,,,,,,,,,REFILL,10\n"
            "TWO,,*max_event_counter,0.15,false,0,,,,*monetary,call,,,,,,,,,LOCK,20\n"
        )
    }

    async def script(desk: Office) -> None:
        await opened(desk, "TWO", 5)
        await update(desk)
        [counters] = (await desk.account())["UnitCounters"]["*monetary"]
        assert [each["Value"] for each in counters["Counters"]] == [0, 0.1]
        await update(desk)
        found = await desk.account()
        assert [each["Executed"] for each in found["ActionTriggers"]] == [False, True]
        assert len({each["UniqueID"] for each in found["ActionTriggers"]}) == 2

    office(tmp_path, FILES | rows, script)


def test_a_message_and_a_postpaid_record_count_too(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "COUNT", 5)
        event = {**EVENT, "OriginID": "m", "Usage": "120s"}
        await desk.ask("SessionSv1.ProcessMessage", Debit=True, Event=event)
        late = {**EVENT, "OriginID": "p", "RequestType": "*postpaid", "Usage": "120s"}
        await desk.ok("CDRsV1.ProcessEvent", Event=late)
        [counters] = (await desk.account())["UnitCounters"]["*monetary"]
        assert counters["Counters"][0]["Value"] == 0.4
        assert len(await orders(desk)) == 1

    office(tmp_path, FILES, script)


def test_an_action_sets_triggers_off(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "FULL", 5)
        assert (await desk.account())["Disabled"] is False
        await desk.ok("APIerSv1.AddBalance", Account="1001", BalanceType="*monetary", Value=95)
        assert (await desk.account())["Disabled"] is True

    office(tmp_path, FILES, script)


def test_what_a_trigger_cannot_do_is_told_and_the_debit_stands(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "BAD", 2)
        assert await update(desk) == 60_000_000_000
        [mishap] = desk.mishaps
        assert mishap.what == "trigger T4 of cgrates.org:1001"
        assert mishap.error.code == "cgrates.time"
        assert await desk.money() == Decimal("11.9"), "the next trigger has run"

    office(tmp_path, FILES, script)


def test_a_trigger_may_remove_the_account(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "LAST", 2)
        await desk.ok("CDRsV1.ProcessEvent", Event={**EVENT, "RequestType": "*postpaid"})
        assert await desk.account() == "NOT_FOUND"
        assert await orders(desk) == [], "nothing is left to do"

    office(tmp_path, FILES, script)


def test_two_calls_at_once_set_it_off_once(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "LOW", 3)
        events = [{**EVENT, "OriginID": f"c{number}", "Usage": "60s"} for number in range(20)]
        await asyncio.gather(
            *(desk.ask("SessionSv1.InitiateSession", InitSession=True, Event=e) for e in events)
        )
        assert await desk.money() == 11
        assert len(await desk.book.movements(account="cgrates.org:1001")) == 22

    office(tmp_path, FILES, script)


def test_a_balance_that_ends_sets_a_trigger_off_by_itself(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "OVER", 1)
        for _ in range(3):
            await desk.ok("APIerSv1.ExecuteAction", Account="1001", ActionsId="MONTH")
            desk.later(days=10)
        assert len(await desk.book.tasks(afterwards.PREFIX)) == 1, (
            "of one that awaits two, the next"
        )
        await desk.scheduler.turn()
        assert await desk.money() == 31
        for number, left in enumerate((21, 11, 1)):
            assert len(desk.lines) == number
            desk.later(seconds=1)
            await desk.scheduler.turn()
            assert await desk.money() == left
            assert desk.lines[-1].count('"Value":10') == 3 - number, "the log has what is lost"
            desk.later(days=10)
        assert await desk.book.tasks(afterwards.PREFIX) == []

    office(tmp_path, FILES, script)


@pytest.mark.parametrize("how", ["method", "trigger"])
def test_calls_of_an_account_that_is_removed_are_ended(tmp_path: Path, how: str) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "LAST", 3)
        for number in range(3):
            event = {**EVENT, "OriginID": f"c{number}", "Usage": "60s"}
            await desk.ask("SessionSv1.InitiateSession", InitSession=True, Event=event)
        if how == "method":
            await desk.ok("APIerSv1.RemoveAccount", Account="1001")
        else:
            await desk.ok("APIerSv1.DebitBalance", Account="1001", BalanceType="*monetary", Value=2)
        assert await desk.account() == "NOT_FOUND"
        steps = Steps(desk.engine)
        assert await swept(steps) == []
        await desk.scheduler.turn()
        assert [each.reason for each in await swept(steps)] == ["FORCED_DISCONNECT"] * 3
        assert await desk.book.tasks(afterwards.PREFIX) == []

    office(tmp_path, FILES, script)


def test_calls_of_an_account_that_is_made_again_go_on(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await opened(desk, "LAST", 3)
        await update(desk)
        await desk.ok("APIerSv1.RemoveAccount", Account="1001")
        await desk.ok("APIerSv1.AddBalance", Account="1001", BalanceType="*monetary", Value=1)
        await desk.scheduler.turn()
        assert await swept(Steps(desk.engine)) == []

    office(tmp_path, FILES, script)
