"""Action plans in a running node: who gets them, when they run, and that they run once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.elements.charging.office import NOW, Office, office, opened
from tests.elements.charging.support import write_folder
from tests.store.ledger.conftest import (
    mariadb_url,
    postgres_url,
    redis,
    redis_url,
    sqlite_url,
    url,
)

from trunkline.charging.rows import ActionRow
from trunkline.elements.charging import plans, scheduler
from trunkline.elements.charging.plans import NEVER, Gift, Planned, Plans
from trunkline.elements.charging.scheduler import Scheduler
from trunkline.errors import TrunklineError
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Change, Keys, TaskRow

__all__ = ["mariadb_url", "postgres_url", "redis", "redis_url", "sqlite_url", "url"]

FILES = {
    "Timings.csv": "NOON,*any,*any,*any,*any,13:00:00\n",
    "Actions.csv": """\
TEN,*topup_reset,,,base,*monetary,,,,,*unlimited,,10,10,,,20
ONE,*topup,,,base,*monetary,,,,,*unlimited,,1,10,,,20
FEE,*debit,,,base,*monetary,,,,,*unlimited,,3,10,,,20
BAD,*set_expiry,,,,*monetary,,,,,never,,,,,,10
END,*remove_account,,,,,,,,,,,,,,,10
""",
    "ActionPlans.csv": """\
START,TEN,*asap,10
START,ONE,NOON,10
HOURLY,ONE,*hourly,10
HOURLY,FEE,*hourly,20
MIXED,BAD,*asap,20
MIXED,TEN,*asap,10
LAST,END,NOON,10
""",
    "ActionTriggers.csv": "LOW,T1,*min_balance,2,false,0,,,,*monetary,,,,,,,,,,ONE,10\n",
    "AccountActions.csv": "cgrates.org,1001,START,LOW,true,false\ncgrates.org,1002,START,,,\n",
}


def test_a_loaded_account_is_made_and_filled(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        assert await desk.money() == 10
        found = await desk.account()
        assert (found["AllowNegative"], found["Disabled"]) == (True, False)
        [trigger] = found["ActionTriggers"]
        assert trigger["UniqueID"] == "T1"
        assert await desk.money("1002") == 10
        assert desk.lines == ["ACTION-5-ACCOUNTS: AccountActions.csv: 2 accounts made, 0 changed"]
        [task, _] = await desk.book.tasks(plans.PREFIX)
        assert task.id == "plan/START/cgrates.org:1001"
        assert task.due == (NOW + timedelta(hours=1)).timestamp()

    office(tmp_path, FILES, script)


def test_loading_twice_gives_nothing_twice(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        await desk.ok("APIerSv1.DebitBalance", Account="1001", BalanceType="*monetary", Value=9)
        assert await desk.money() == 2, "1 is left, and the trigger gives 1"
        await desk.scheduler.loaded()
        await desk.scheduler.turn()
        assert await desk.money() == 2
        assert (await desk.account())["ActionTriggers"][0]["Executed"] is True
        # Nor does another start; what the operator has changed since then stays.
        await desk.ok("APIerSv1.SetAccount", Account="1001", ExtraOptions={"Disabled": True})
        await desk.ok("APIerSv1.RemoveAccount", Account="1002")
        again = Scheduler(desk.engine, lambda *line: None)
        await again.turn()
        assert (await desk.account())["Disabled"] is True
        assert await desk.account("1002") == "NOT_FOUND"
        # Loading does: who is gone comes again, and gets what is given at once.
        await again.loaded()
        await again.turn()
        assert (await desk.account())["Disabled"] is False
        assert await desk.money() == 2
        assert await desk.money("1002") == 10

    office(tmp_path, FILES, script)


def test_an_account_with_two_rows_gets_what_the_later_says(tmp_path: Path) -> None:
    many = "".join(f"cgrates.org,x{number},,,,\n" for number in range(scheduler._PAGE))
    rows = f"cgrates.org,1001,START,,,\n{many}cgrates.org,1001,HOURLY,,true,\n"

    async def script(desk: Office) -> None:
        for _ in range(2):
            await desk.scheduler.loaded()
            await desk.scheduler.turn()
            [task] = await desk.book.tasks(plans.PREFIX)
            assert task.id == "plan/HOURLY/cgrates.org:1001"
            assert Planned.of_task(task).given == NOW, "it is not taken away and given anew"
            desk.later(minutes=5)

    office(tmp_path, FILES | {"AccountActions.csv": rows}, script)


def test_another_file_at_the_next_start_is_applied(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        rows = FILES | {"AccountActions.csv": "cgrates.org,1001,HOURLY,,,\n"}
        other = write_folder(tmp_path / "other", rows)
        async with opened(other, desk.book.url) as next_one:
            await next_one.scheduler.turn()
            tasks = [task.id for task in await desk.book.tasks(plans.PREFIX)]
            assert tasks == ["plan/HOURLY/cgrates.org:1001", "plan/START/cgrates.org:1002"]
            assert (await desk.account())["AllowNegative"] is False

    office(tmp_path, FILES, script)


def test_a_row_runs_at_its_time_and_missed_ones_once(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        desk.later(minutes=59)
        await desk.scheduler.turn()
        assert await desk.money() == 10
        desk.later(minutes=1)
        await desk.scheduler.turn()
        await desk.scheduler.turn()
        assert await desk.money() == 11
        desk.later(days=5)
        await desk.scheduler.turn()
        assert await desk.money() == 12, "five were missed: one is run, late"
        entries = await desk.book.movements(account="cgrates.org:1001")
        assert [each.movement.reference for each in entries] == ["TEN", "ONE", "ONE"]
        assert desk.scheduler.counters.plans_run == 6

    office(tmp_path, FILES, script)


def test_heavier_rows_first_and_a_failure_stops_nobody(tmp_path: Path) -> None:
    rows = {"AccountActions.csv": "cgrates.org,1001,HOURLY,,true,\ncgrates.org,1002,MIXED,,,\n"}

    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        assert (await desk.account())["BalanceMap"] is None, "*hourly begins in an hour"
        assert await desk.money("1002") == 10
        [line] = [line for line in desk.lines if "FAILED" in line]
        assert "ActionPlans.csv:5: BAD of the action plan MIXED for cgrates.org:1002" in line
        assert desk.scheduler.counters.mishaps == 1
        desk.later(hours=1)
        await desk.scheduler.turn()
        entries = await desk.book.movements(account="cgrates.org:1001")
        assert [each.movement.amount for each in entries] == [Decimal(-3), Decimal(1)]
        tasks = {task.id: task.due for task in await desk.book.tasks(plans.PREFIX)}
        assert tasks["plan/MIXED/cgrates.org:1002"] == NEVER

    office(tmp_path, FILES | rows, script)


def test_a_removed_account_stays_away(tmp_path: Path) -> None:
    rows = {"AccountActions.csv": "cgrates.org,1001,LAST,,,\ncgrates.org,1002,START,,,\n"}

    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        await desk.ok("APIerSv1.RemoveAccount", Account="1002")
        desk.later(hours=1)
        await desk.scheduler.turn()
        assert await desk.account() == "NOT_FOUND"
        assert await desk.account("1002") == "NOT_FOUND"
        assert await desk.book.tasks(plans.PREFIX) == []

    office(tmp_path, FILES | rows, script)


def test_a_plan_that_changes_does_so_for_those_who_have_it(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        rules = desk.engine.rules
        [first, second] = desk.engine.profiles.plans["START"]
        [hourly, _] = desk.engine.profiles.plans["HOURLY"]
        moved = type(second)(id="START", actions_id="ONE", timing_id=hourly.timing_id)
        await rules.set("ActionPlans", "", "START", [moved, first])
        await desk.scheduler.turn()
        desk.later(hours=1)
        await desk.scheduler.turn()
        desk.later(hours=1)
        await desk.scheduler.turn()
        assert await desk.money() == 12, "twice one more, and *asap does not come again"
        assert await rules.remove("ActionPlans", "", "START")
        desk.later(hours=1)
        await desk.scheduler.turn()
        assert await desk.money() == 12
        assert {task.due for task in await desk.book.tasks(plans.PREFIX)} == {NEVER}
        [line] = [line for line in desk.lines if "RESTS" in line]
        assert "the action plan START, which 2 accounts have, is not among the rules" in line
        await rules.set("ActionPlans", "", "START", [moved])
        await desk.scheduler.turn()
        assert await desk.money() == 13, "it is there again, and an hour late"

    office(tmp_path, FILES, script)


def test_a_clock_goes_back_and_a_clock_was_ahead(tmp_path: Path) -> None:
    rows = {"AccountActions.csv": "cgrates.org,1001,HOURLY,,true,\n"}

    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        desk.later(hours=1)
        await desk.scheduler.turn()
        assert await desk.money() == -2
        desk.later(seconds=-10)
        await desk.scheduler.turn()
        desk.later(seconds=20)
        await desk.scheduler.turn()
        assert await desk.money() == -2, "nothing comes twice"
        desk.later(days=400)
        await desk.scheduler.turn()
        desk.later(days=-400)
        assert await desk.money() == -4
        again = Scheduler(desk.engine, desk.log)  # the node starts again, with the right time
        await again.turn()
        assert await desk.money() == -4
        desk.later(hours=1)
        await again.turn()
        assert await desk.money() == -6, "and does not rest for 400 days"

    office(tmp_path, FILES | rows, script)


def test_a_schedule_that_says_no_time_is_told(tmp_path: Path) -> None:
    rows = {"ActionPlans.csv": "START,TEN,1 2 3,20\nSTART,ONE,*asap,10\n"}
    rows["AccountActions.csv"] = "cgrates.org,1001,START,,,\n"

    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        assert await desk.money() == 1
        assert any("'1 2 3' says no time to run at" in line for line in desk.lines)

    office(tmp_path, FILES | rows, script)


def test_two_nodes_run_each_turn_once(tmp_path: Path, url: str) -> None:
    """Both claim from one ledger, and one of them thinks that the other is dead."""
    names = [f"{number:04d}" for number in range(120)]
    rows = {"AccountActions.csv": "".join(f"cgrates.org,{name},START,,,\n" for name in names)}

    async def script(desk: Office) -> None:
        async with opened(desk.folder, desk.book.url) as other:
            await asyncio.gather(desk.scheduler.turn(), other.scheduler.turn())
            for name in names:
                assert await desk.money(name) == 10
            desk.later(hours=1)
            other.later(hours=1)
            tasks = await desk.book.claim(desk.now.timestamp(), 0.0, 1000, prefix=plans.PREFIX)
            assert len(tasks) == 120
            again = await other.book.claim(desk.now.timestamp(), 0.0, 1000, prefix=plans.PREFIX)
            await asyncio.gather(
                *(Plans(desk.engine).run(task) for task in tasks),
                *(Plans(other.engine).run(task) for task in again),
            )
            for name in names:
                assert await desk.money(name) == 11

    office(tmp_path, FILES | rows, script, url=url)


def test_a_node_that_dies_loses_no_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger does not answer when the turn is to be written; later it does."""

    async def script(desk: Office) -> None:
        update = Book.update

        async def dead(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("store.ledger-unavailable", "ledger", "gone")

        await desk.scheduler.loaded()
        monkeypatch.setattr(Book, "update", dead)
        with pytest.raises(StoreUnavailable):
            await desk.scheduler.turn()
        monkeypatch.setattr(Book, "update", update)
        await desk.scheduler.turn()
        assert (await desk.account())["BalanceMap"] is None, "claimed by whoever died"
        desk.later(seconds=16)
        await desk.scheduler.turn()
        assert await desk.money() == 10
        assert await desk.money("1002") == 10

    office(tmp_path, FILES, script)


def test_calls_have_their_turn_while_many_plans_are_due(tmp_path: Path) -> None:
    names = [f"{number:04d}" for number in range(600)]
    rows = {"AccountActions.csv": "".join(f"cgrates.org,{name},START,,,\n" for name in names)}

    async def script(desk: Office) -> None:
        await desk.scheduler.loaded()
        running = asyncio.create_task(desk.scheduler.turn())
        ran = []
        while not running.done():
            await desk.ok("APIerSv1.AddBalance", Account="x", BalanceType="*monetary", Value=1)
            ran.append(desk.scheduler.counters.plans_run)
        await running
        assert len({each for each in ran if 0 < each < 600}) >= 5, "between the batches"
        assert desk.scheduler.counters.plans_run == 600

    office(tmp_path, FILES | rows, script)


def test_the_loops_wake_for_what_was_just_given(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        loop = asyncio.create_task(desk.scheduler.run())
        try:
            await asyncio.wait_for(desk.scheduler.ready.wait(), 5)
            began = asyncio.get_running_loop().time()
            await Plans(desk.engine).give("cgrates.org:1003", Gift(plans=["START"]))
            while (await desk.account("1003"))["BalanceMap"] is None:
                await asyncio.sleep(0.005)
            assert asyncio.get_running_loop().time() - began < scheduler._LOOK
        finally:
            loop.cancel()

    office(tmp_path, FILES, script)


def test_a_task_that_nobody_can_read_stops_nobody(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        bad = {
            "plan/BAD/cgrates.org:9": '{"account":1}',
            "plan/BAD/cgrates.org:8": "{",
            "effect/bad": "[]",
        }
        rows = {name: TaskRow(name, 0.0, text) for name, text in bad.items()}
        await desk.book.update(Keys(tasks=list(bad)), lambda view: Change(time=0.0, tasks=rows))
        await desk.scheduler.turn()
        assert await desk.money() == 10
        assert await desk.money("1002") == 10
        assert desk.scheduler.counters.faults == 3
        told = [line for line in desk.lines if "FAULT" in line]
        assert "FAULT: TrunklineError: plan/BAD/cgrates.org:8: the document is no JSON" in told[0]
        assert len(await desk.book.tasks("effect/")) == 1, "it is there to be looked at"

    office(tmp_path, FILES, script)


def test_an_account_that_cannot_be_is_told_and_the_others_are_made(tmp_path: Path) -> None:
    rows = {"AccountActions.csv": f"cgrates.org,{'9' * 240},START,,,\ncgrates.org,1002,START,,,\n"}

    async def script(desk: Office) -> None:
        await desk.scheduler.turn()
        assert await desk.money("1002") == 10
        [line] = [line for line in desk.lines if "FAILED" in line]
        assert "AccountActions.csv, cgrates.org:999" in line
        assert "cannot be a key of the ledger" in line

    office(tmp_path, FILES | rows, script)


def test_an_end_lets_go_of_what_is_under_way(tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def script(desk: Office) -> None:
        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            row = ActionRow(id="P", action="*http_post", extra=f"http://127.0.0.1:{port}/")
            await desk.engine.rules.set("Actions", "", "P", [row])
            await desk.ok("APIerSv1.ExecuteAction", Account="1", ActionsId="P")
            loop = asyncio.create_task(desk.scheduler.run())
            while not desk.scheduler.under_way:
                await asyncio.sleep(0.01)
            began = asyncio.get_running_loop().time()
            loop.cancel()
            await desk.scheduler.close()
            assert asyncio.get_running_loop().time() - began < 1
            assert desk.scheduler.under_way == 0
            assert len(await desk.book.tasks("effect/")) == 1

    office(tmp_path, FILES, script)


def test_what_is_not_there_cannot_be_given(tmp_path: Path) -> None:
    async def script(desk: Office) -> None:
        with pytest.raises(TrunklineError, match="no action plan 'NONE'") as problem:
            await Plans(desk.engine).give("cgrates.org:9", Gift(plans=["NONE"]))
        assert problem.value.code == "charging.plan-unknown"
        with pytest.raises(TrunklineError, match="no action trigger 'NONE'"):
            await Plans(desk.engine).give("cgrates.org:9", Gift(triggers=["NONE"]))
        assert await desk.account("9") == "NOT_FOUND"

    office(tmp_path, FILES, script)


def test_the_ids_of_tasks_tell_plans_apart() -> None:
    one = Planned(account="t:a", plan="x/y", given=NOW)
    other = Planned(account="y/t:a", plan="x", given=NOW)
    assert one.task_id != other.task_id
    assert Planned.of_task(one.done(NOW).task(5.0)) == one.done(NOW)
