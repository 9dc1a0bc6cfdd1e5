"""Records are rated again by another tariff: the difference goes through the same balances."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tests.elements.charging.test_sessions import EVENT, Ask, charging, money, topped_up
from tests.rating.folder import tariff as folder

from trunkline.charging.money import total
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.recorder import Recorder, details_of
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.rating.tariff import Tariff
from trunkline.store.ledger.model import Keys
from trunkline.store.ledger.queries import RecordQuery

KEYS = ["cgrates.org:1001", "cgrates.org:1002"]
ALL = RecordQuery(limit=1_000_000)
SLACK = Decimal("1e-11")  # of what is no decimal number, each time that it is paid again


def priced(mobile: int | None, fixed: int | None) -> Tariff:
    """A tariff of so many hundredths a minute, by the second; None: no price."""
    prices = {"MOBILE": mobile, "FIXED": fixed}
    known = {name: price for name, price in prices.items() if price is not None}
    return folder(
        {
            "Destinations.csv": "MOBILE,614\nFIXED,617\nNONE,9\n",
            "Rates.csv": "".join(
                f"R{name},0,{price / 100},60s,1s,0s\n" for name, price in known.items()
            )
            + "RNONE,0,1,60s,1s,0s\n",
            "DestinationRates.csv": "".join(f"DR,{name},R{name},*up,4,0,\n" for name in known)
            + "DR,NONE,RNONE,*up,4,0,\n",
            "RatingPlans.csv": "RP,DR,*any,10\n",
            "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
        }
    )


async def balances(engine: Engine) -> list[dict[str, Decimal]]:
    found = (await engine.book.load(Keys(accounts=KEYS))).view.accounts
    return [
        {each.id: each.value for each in account.balances}
        for account in found.values()
        if account is not None
    ]


async def balance(ask: Ask, account: str, name: str, value: float, **more: object) -> None:
    kind = more.pop("kind", "*monetary")
    answer = await ask(
        "APIerSv1.SetBalance",
        Account=account,
        BalanceType=kind,
        Value=value,
        Balance={"ID": name, **more},
    )
    assert answer == "OK"


prices = st.one_of(st.none(), st.integers(0, 90))
tariffs = st.tuples(prices, prices)
kinds = st.sampled_from(["*postpaid", "*prepaid", "*rated"])
records = st.lists(
    st.tuples(st.sampled_from(["614", "617"]), st.integers(1, 200), kinds), min_size=1, max_size=2
)


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    first=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    others=st.lists(tariffs, max_size=4),
    usages=st.tuples(records, records),
    small=st.integers(0, 300),
)
@example(
    first=(0, 51),
    others=[(34, None), (None, 23)],
    usages=([("614", 96, "*prepaid"), ("617", 188, "*postpaid")], [("614", 1, "*rated")]),
    small=273,
)
@example(
    first=(62, 16),
    others=[(48, 46), (None, 68), (38, 18), (43, 2)],
    usages=([("614", 29, "*rated")], [("617", 101, "*prepaid"), ("614", 96, "*prepaid")]),
    small=69,
)
@example(  # the second call gives back what the first one's second balance paid meanwhile
    first=(39, 32),
    others=[(None, 66), (67, 71)],
    usages=([("617", 162, "*prepaid")], [("614", 59, "*postpaid"), ("617", 110, "*postpaid")]),
    small=122,
)
def test_the_first_tariff_comes_back_and_so_does_the_money(
    first: tuple[int, int],
    others: Sequence[tuple[int | None, int | None]],
    usages: tuple[list[tuple[str, int, str]], ...],
    small: int,
) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        recorder = Recorder(engine)
        engine.tariffs = Tariffs(priced(*first))
        for account in ("1001", "1002"):
            await balance(ask, account, "minutes", 30_000_000_000, kind="*voice", Weight=10)
            await balance(ask, account, "small", small / 100, Weight=20)
            await balance(ask, account, "large", 50, Weight=10)
        given = await balances(engine)
        for account, calls in zip(("1001", "1002"), usages, strict=True):
            for number, (destination, seconds, kind) in enumerate(calls):
                event = {
                    **EVENT,
                    "OriginID": f"{account}-{number}",
                    "Account": account,
                    "RequestType": kind,
                    "Destination": destination,
                    "Usage": f"{seconds}s",
                }
                assert await ask("CDRsV1.ProcessEvent", Event=event) == "OK"
        start, costs = await balances(engine), await shown(engine)
        assert await recorder.rerate(ALL, everything=True) == len(costs)
        assert await balances(engine) == start, "the same price moves nothing"
        assert len(await engine.book.movements()) == len(
            [each for each in await engine.book.movements() if each.movement.cause != "*refund"]
        )
        for other in others:
            engine.tariffs = Tariffs(priced(*other))
            await recorder.rerate(ALL, everything=True)
            between, moved = await balances(engine), len(await engine.book.movements())
            await recorder.rerate(ALL, everything=True)
            assert await balances(engine) == between
            assert len(await engine.book.movements()) == moved, "once"
            assert (await engine.book.audit()).clean
            for left, whole in zip(between, given, strict=True):
                for name, amount in left.items():
                    assert 0 <= amount <= whole[name], "nobody pays or gets what it cannot"
        engine.tariffs = Tariffs(priced(*first))
        await recorder.rerate(ALL, everything=True)
        assert [each[:2] for each in await shown(engine)] == [each[:2] for each in costs]
        for after, before, calls in zip(await balances(engine), start, usages, strict=True):
            assert total(after.values()) == total(before.values())
            assert after["minutes"] == before["minutes"]
            if len(calls) == 1:  # nobody else has used up what it paid with
                assert all(abs(after[name] - before[name]) < SLACK for name in before)

    with tempfile.TemporaryDirectory() as name:
        charging(Path(name), script)


async def shown(engine: Engine) -> list[tuple[Decimal | None, str, list[tuple[str, Decimal]]]]:
    """Cost, error and payers of every record."""
    found = []
    for row in await engine.book.records(ALL):
        details = details_of(row)
        paid = [(each.balance.id, each.amount) for each in details.taken]
        found.append((row.cost, details.extra_info, paid))
    return found


async def used(ask: Ask, engine: Engine, seconds: int = 60, **more: object) -> None:
    """A record of a call at 10 a minute."""
    engine.tariffs = Tariffs(priced(1000, 10))
    event = {**EVENT, "RequestType": "*postpaid", "Usage": f"{seconds}s", **more}
    assert await ask("CDRsV1.ProcessEvent", Event=event) == "OK"


def test_the_difference_is_given_back_and_taken(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        await used(ask, engine)
        assert await money(ask) == 90
        for price, left in ((700, 93), (1500, 85), (1000, 90)):
            engine.tariffs = Tariffs(priced(price, 10))
            for _again in range(2):
                assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"], RunIDs=["*default"]) == "OK"
                assert await money(ask) == left
            [record] = await ask("CDRsV1.GetCDRs")
            assert record["Cost"] == price / 100
            assert record["CostDetails"]["Cost"] == price / 100
        amounts = [each.movement.amount for each in await engine.book.movements()][1:]
        assert amounts == [-10, 3, -8, 5]
        references = {each.movement.reference for each in (await engine.book.movements())[1:]}
        assert references == {record["CGRID"]}

    charging(tmp_path, script)


def test_what_has_no_price_any_more_is_given_back_and_says_so(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        await used(ask, engine)
        engine.tariffs = Tariffs(priced(None, 10))
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        assert await money(ask) == 100
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Cost"], record["ExtraInfo"]) == (-1, "UNAUTHORIZED_DESTINATION")
        assert record["CostDetails"] is None
        engine.tariffs = Tariffs(priced(500, 10))
        assert await ask("CDRsV1.RateCDRs") == "OK", "what has no cost needs no flag"
        assert await money(ask) == 95
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Cost"], record["ExtraInfo"]) == (5, "")

    charging(tmp_path, script)


def test_without_the_flag_what_has_a_cost_keeps_it(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        await used(ask, engine)
        engine.tariffs = Tariffs(priced(500, 10))
        assert await ask("CDRsV1.RateCDRs") == "OK"
        assert await money(ask) == 90
        assert await ask("CDRsV1.RateCDRs", Accounts=["nobody"]) == "NOT_FOUND"

    charging(tmp_path, script)


def test_what_was_topped_up_since_pays_only_what_the_others_lack(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await balance(ask, "1001", "old", 12, Weight=10)
        await used(ask, engine)
        await balance(ask, "1001", "new", 50, Weight=20)
        await balance(ask, "1001", "minutes", 600_000_000_000, kind="*voice", Weight=10)
        for price, old, new in ((1000, 2, 50), (1100, 1, 50), (1500, 0, 47), (500, 7, 50)):
            engine.tariffs = Tariffs(priced(price, 10))
            assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
            [found] = await balances(engine)
            assert found == {"old": old, "new": new, "minutes": 600_000_000_000}, price

    charging(tmp_path, script)


def test_money_of_a_balance_that_is_gone_goes_to_the_default_one(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await balance(ask, "1001", "old", 12)
        await balance(ask, "1001", "other", 5)
        await used(ask, engine)
        removed = {"Account": "1001", "BalanceType": "*monetary", "Balance": {"ID": "old"}}
        assert await ask("APIerSv1.RemoveBalances", **removed) == "OK"
        engine.tariffs = Tariffs(priced(400, 10))
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        assert await balances(engine) == [{"other": 5, "*default": 6}]

    charging(tmp_path, script)


def test_a_balance_that_is_over_gets_back_what_it_paid(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await balance(ask, "1001", "old", 12, ExpiryTime="2026-01-05T13:00:00Z")
        await balance(ask, "1001", "other", 5)
        await used(ask, engine)
        moved = datetime(2026, 3, 1, tzinfo=UTC)
        engine.clock = lambda: moved
        engine.tariffs = Tariffs(priced(400, 10))
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        assert await balances(engine) == [{"old": 8, "other": 5}]
        engine.tariffs = Tariffs(priced(1500, 10))
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        assert await balances(engine) == [{"old": 0, "other": 2}]

    charging(tmp_path, script)


def test_of_an_account_that_is_gone_nothing_moves(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        await used(ask, engine)
        assert await ask("APIerSv1.RemoveAccount", Account="1001") == "OK"
        moved = len(await engine.book.movements())
        engine.tariffs = Tariffs(priced(400, 10))
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        assert len(await engine.book.movements()) == moved
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Cost"], record["ExtraInfo"]) == (10, "ACCOUNT_NOT_FOUND")

    charging(tmp_path, script)


def test_what_is_given_back_pays_for_what_is_taken(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await balance(ask, "1001", "small", 20)
        await used(ask, engine, OriginID="a")  # 10 a minute, then 1
        await used(ask, engine, 600, OriginID="b", Destination="617")
        await used(ask, engine, 54, OriginID="c")
        assert await balances(engine) == [{"small": 0}]
        engine.tariffs = Tariffs(priced(100, 145))
        assert await ask("CDRsV1.RateCDRs", Flags=["*rerate"]) == "OK"
        # 1 + 14.5 + 0.9: the second costs more, and the others pay for it
        assert await balances(engine) == [{"small": Decimal("3.6")}]

    charging(tmp_path, script)


def test_refunds(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        await used(ask, engine)
        event = {**EVENT, "RequestType": "*postpaid", "Usage": "60s"}
        for flags in (["*refund"], []):
            [shown] = await ask("CDRsV2.ProcessEvent", Flags=["*refund"], Event=event)
            assert shown["Flags"] == flags
            assert await money(ask) == 100
        assert (shown["Event"]["Cost"], shown["Event"]["ExtraInfo"]) == (-1, "REFUNDED")
        half = {**event, "Usage": "30s"}
        [shown] = await ask("CDRsV2.ProcessEvent", Flags=["*rerate"], Event=half)
        assert (shown["Flags"], shown["Event"]["Cost"]) == (["*rerate"], 5)
        assert await money(ask) == 95
        other = {**event, "Account": "1002"}
        await balance(ask, "1002", "theirs", 30)
        [shown] = await ask("CDRsV2.ProcessEvent", Flags=["*rerate"], Event=other)
        assert shown["Event"]["Account"] == "1002"
        assert await money(ask) == 100
        assert await money(ask, "1002") == 20

    charging(tmp_path, script)


@pytest.mark.parametrize("steps", [1, 5, 40, 400])
def test_stopped_in_the_middle_and_begun_again(tmp_path: Path, steps: int) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1000)
        for number in range(30):
            await used(ask, engine, OriginID=f"c{number}")
        engine.tariffs = Tariffs(priced(700, 10))
        work = asyncio.create_task(Recorder(engine).rerate(ALL, everything=True))
        for _ in range(steps):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await Recorder(engine).rerate(ALL, everything=True)
        assert await money(ask) == 1000 - 30 * 7

    charging(tmp_path, script)


def test_more_records_than_a_page(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 10_000)
        engine.tariffs = Tariffs(priced(60, 10))
        events = [
            {**EVENT, "RequestType": "*postpaid", "Usage": "1s", "OriginID": f"c{number}"}
            for number in range(1100)
        ]
        for some in (events[:550], events[550:]):
            await asyncio.gather(*(ask("CDRsV1.ProcessEvent", Event=event) for event in some))
        engine.tariffs = Tariffs(priced(120, 10))
        sizes = [len(page) async for page in engine.book.record_pages(ALL)]
        assert sizes == [500, 500, 100]
        assert await Recorder(engine).rerate(ALL, everything=True) == 1100
        assert await money(ask) == 10_000 - 22

    charging(tmp_path, script)


def test_a_session_that_another_manager_charged(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        engine.tariffs = Tariffs(priced(1000, 10))
        await balance(ask, "1001", "b", 100)
        [event] = await ask(
            "CDRsV2.ProcessEvent",
            Event={**EVENT, "OriginID": "other", "RequestType": "*postpaid", "Usage": "60s"},
        )
        details = event["Event"]["CostDetails"]
        assert await ask("APIerSv1.RemoveCDRs", OriginIDs=["other"]) == "OK"
        cost = {
            "CGRID": event["Event"]["CGRID"],
            "RunID": "*default",
            "OriginHost": "switch",
            "OriginID": "other",
            "CostSource": "*sessions",
            "Usage": 60_000_000_000,
            "CostDetails": details,
        }
        for method in ("CDRsV1.StoreSessionCost", "CDRsV2.StoreSessionCost"):
            assert await ask(method, Cost=cost) == "OK"
        again = await ask("CDRsV1.StoreSessionCost", Cost=cost, CheckDuplicate=True)
        assert again == "SERVER_ERROR: EXISTS"
        sent = {**EVENT, "OriginID": "other", "Usage": "90s"}
        [record] = await ask("CDRsV2.ProcessEvent", Event=sent)
        assert (record["Event"]["Cost"], record["Event"]["CostSource"]) == (15, "*sessions")
        assert await money(ask) == 85, "what was taken then counts"
        assert await ask("CDRsV1.StoreSessionCost") == "MANDATORY_IE_MISSING: [CGRID]"

    charging(tmp_path, script)


def test_shared_and_gone_holds_of_a_session_are_not_lost(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        event = {**EVENT, "Usage": "60s"}
        await ask("SessionSv1.InitiateSession", InitSession=True, Event=event)
        engine.tariffs = Tariffs(priced(None, 10))
        assert await ask("CDRsV1.ProcessEvent", Event=event) == "OK"
        assert await money(ask) == 1, "what was reserved is given back"
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Cost"], record["ExtraInfo"]) == (-1, "UNAUTHORIZED_DESTINATION")

    charging(tmp_path, script)


def test_without_store_nothing_is_taken(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 1)
        event = {**EVENT, "Usage": "60s"}
        [record] = await ask("CDRsV2.ProcessEvent", Flags=["*store:false"], Event=event)
        assert record["Event"]["Cost"] == 0.1
        assert await money(ask) == 1
        assert await ask("CDRsV1.GetCDRs") == "SERVER_ERROR: NOT_FOUND"
        [record] = await ask("CDRsV2.ProcessEvent", Flags=["*rals:false"], Event=event)
        assert record["Event"]["Cost"] == -1
        assert await money(ask) == 1

    charging(tmp_path, script)
