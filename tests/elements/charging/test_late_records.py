"""Records that come when nobody waits for them any more: nothing is taken twice."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest
from tests.elements.charging.test_rerating import balance, priced
from tests.elements.charging.test_sessions import (
    EVENT,
    Ask,
    Clock,
    charging,
    money,
    swept,
    topped_up,
)

from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.recorder import EXPORTS, Recorder
from trunkline.elements.charging.steps import Steps
from trunkline.elements.charging.tariffs import Tariffs


async def waited(engine: Engine, hours: float = 25, live: tuple[str, ...] = ()) -> None:
    """So much later, when the node has looked at its sessions."""
    cast("Clock", engine.clock).now += timedelta(hours=hours)
    await swept(Steps(engine, recorder=Recorder(engine, live)))


async def called(ask: Ask, usage: str, **more: object) -> None:
    for method, word in (("Initiate", "InitSession"), ("Terminate", "TerminateSession")):
        event = {**EVENT, "Usage": usage, **more}
        done = await ask(f"SessionSv1.{method}Session", **{word: True, "Event": event})
        assert "ERROR" not in str(done)


@pytest.mark.parametrize("usage", [0, 30, 60, 90])
def test_a_record_after_a_day_pays_the_difference_alone(tmp_path: Path, usage: int) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        await called(ask, "60s", Trunk="7")
        await waited(engine)
        assert await Steps(engine).sessions() == []
        [made] = await ask("CDRsV1.GetCDRs")
        assert (made["Cost"], made["Usage"]) == (0.1, 60 * 10**9)
        assert (made["ExtraInfo"], made["CostSource"]) == ("RECORD_MISSING", "*sessions")
        assert made["ExtraFields"]["Trunk"] == "7"
        assert made["CostDetails"]["Cost"] == 0.1
        assert await money(ask) == Decimal("0.9")
        late = {**EVENT, "Usage": f"{usage}s", "Switch": "b"}
        for _again in range(2):
            await waited(engine, 400)
            assert await ask("CDRsV1.ProcessEvent", Event=late) == "OK"
            cost = Decimal(usage) / 600
            assert await money(ask) == 1 - cost
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Cost"], record["ExtraInfo"]) == (float(cost), "")
        assert (record["OrderID"], record["ExtraFields"]["Switch"]) == (made["OrderID"], "b")

    charging(tmp_path, script)


def test_an_end_or_an_update_after_a_day_is_charged_once(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        await called(ask, "60s")
        await waited(engine)
        event = {**EVENT, "Usage": "60s"}
        await ask("SessionSv1.TerminateSession", TerminateSession=True, Event=event)
        assert await ask("SessionSv1.UpdateSession", UpdateSession=True, Event=event) == (
            "RALS_ERROR:EXISTS"
        )
        assert await money(ask) == Decimal("0.9")

    charging(tmp_path, script)


def test_nothing_moves_when_a_record_is_made_though_prices_and_accounts_change(
    tmp_path: Path,
) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        await balance(ask, "1002", "b", 1)
        await called(ask, "60s")
        await called(ask, "60s", OriginID="call-2", Account="1002")
        engine.tariffs = Tariffs(priced(None, 10))
        assert await ask("APIerSv1.RemoveAccount", Account="1002") == "OK"
        await waited(engine)
        assert await money(ask) == Decimal("0.9")
        made = await ask("CDRsV1.GetCDRs")
        assert [(each["Cost"], each["ExtraInfo"]) for each in made] == [(0.1, "RECORD_MISSING")] * 2

    charging(tmp_path, script)


def test_rated_again_it_still_waits_for_its_record(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        await called(ask, "60s")
        await waited(engine)
        engine.tariffs = Tariffs(priced(30, 10))
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Cost"], record["ExtraInfo"]) == (0.3, "RECORD_MISSING")
        assert await ask("CDRsV1.ProcessEvent", Event={**EVENT, "Usage": "30s"}) == "OK"
        assert await money(ask) == Decimal("0.85")

    charging(tmp_path, script)


def test_a_refund_of_it_is_the_last_word(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        await called(ask, "60s")
        await waited(engine)
        event = {**EVENT, "Usage": "60s"}
        assert await ask("CDRsV1.ProcessEvent", Flags=["*refund"], Event=event) == "OK"
        assert await ask("CDRsV1.ProcessEvent", Event=event) == "OK"
        assert await money(ask) == 1

    charging(tmp_path, script)


def test_messages_and_costs_of_other_managers_are_not_forgotten(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        message = {**EVENT, "Usage": "60s"}
        await ask("SessionSv1.ProcessMessage", Debit=True, ID="m", Event=message)
        assert await money(ask) == Decimal("0.9")
        other = {**EVENT, "OriginID": "other", "RequestType": "*postpaid", "Usage": "60s"}
        [record] = await ask("CDRsV2.ProcessEvent", Event=other)
        assert await ask("APIerSv1.RemoveCDRs", OriginIDs=["other"]) == "OK"
        cost = {"CGRID": record["Event"]["CGRID"], "RunID": "*default", "Usage": 60 * 10**9}
        cost |= {"OriginID": "other", "CostDetails": record["Event"]["CostDetails"]}
        assert await ask("CDRsV1.StoreSessionCost", Cost=cost) == "OK"
        await waited(engine)
        made = await ask("CDRsV1.GetCDRs")
        assert [each["Cost"] for each in made] == [0.1, 0.1]
        for event in (message, other):
            assert await ask("CDRsV1.ProcessEvent", Event=event) == "OK"
            assert await money(ask) == Decimal("0.8")

    charging(tmp_path, script)


def test_exporters_get_it_and_what_comes_later(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        await called(ask, "60s")
        await waited(engine, live=("X",))
        [task] = await engine.book.tasks(EXPORTS)
        assert json.loads(task.document)["run"] == "*default"

    charging(tmp_path, script)
