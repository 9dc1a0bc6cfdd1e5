"""Whatever a switch does to its calls, an account has paid their price in the end, and no more."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.test_session_vectors import opening, put
from tests.elements.charging.test_sessions import NOW, TARIFF, Clock, swept
from tests.rating.folder import tariff as folder

from trunkline.charging.event import Event
from trunkline.charging.model import Account, Balance
from trunkline.charging.sessions import SessionError
from trunkline.config.cgrates import load_folder
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.recorder import Recorder
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.steps import Steps
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.rating import Call, price
from trunkline.rating.durations import SECOND
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Keys

CALLS = 12
START = Decimal(100)
KEY = "cgrates.org:1001"


def event(number: int, dice: random.Random, **fields: object) -> Event:
    """An event of a call, sometimes with an ID, by which it may be repeated."""
    return Event(
        id=dice.choice(["", str(dice.random())]),
        fields={
            "OriginID": f"c{number}",
            "RequestType": "*prepaid",
            "Account": "1001",
            "Destination": "614",
            "AnswerTime": NOW.isoformat(),
            **fields,
        },
    )


async def one(number: int, dice: random.Random, steps: Steps, clock: Clock) -> int:
    """A call with anything that may happen to it; how long it was."""
    automatic = {"DebitInterval": f"{dice.randint(1, 30)}s"} if dice.random() < 0.4 else {}
    began = event(number, dice, **automatic)
    for _ in range(dice.randint(0, 2)):  # or it is opened by an update, or by its end
        await steps.initiate(began, 30 * SECOND)
    for _ in range(dice.randint(0, 5)):
        more = event(number, dice)
        usage, used = dice.randint(0, 90) * SECOND, dice.choice([None, 5 * SECOND, 40 * SECOND])
        for _ in range(dice.randint(1, 2) if more.id else 1):
            await steps.update(more, usage, used)
        clock.now += timedelta(seconds=dice.randint(0, 20))
        await swept(steps)
    if dice.random() < 0.2:
        for session in await steps.sessions():
            if session.origin_id == f"c{number}":
                await steps.end(session)
    lasted = dice.randint(0, 400) * SECOND
    for _ in range(dice.randint(1, 2)):
        await steps.terminate(event(number, dice), lasted)
    with pytest.raises(SessionError, match="has ended"):
        await steps.update(event(number, dice), SECOND, None)
    return lasted


@pytest.mark.parametrize("seed", range(4))
def test_what_is_paid_is_the_price(tmp_path: Path, seed: int) -> None:
    (tmp_path / "Chargers.csv").write_text(
        "cgrates.org,CUSTOMER,,,*default,*none,20\n"
        "cgrates.org,SUPPLIER,,,supplier,*constant:*req.RequestType:*rated,10\n"
    )
    clock = Clock()
    dice = random.Random(seed)

    async def main() -> None:
        book = Book(f"sqlite:///{tmp_path}/ledger.db")
        await book.prepare()
        balance = Balance(uuid="b", value=START)
        await put(book, opening(Account(tenant="cgrates.org", id="1001", balances=(balance,)), 0.0))
        tariffs = Tariffs(TARIFF)
        engine = Engine(tariffs, book, RuleBook(load_folder(tmp_path).rows, tariffs), clock)
        steps = Steps(engine)

        async def money() -> Decimal:
            account = (await book.load(Keys(accounts=[KEY]))).view.accounts[KEY]
            assert account is not None
            return sum((each.value for each in account.balances), Decimal(0))

        lasted = await asyncio.gather(
            *(one(number, random.Random(dice.random()), steps, clock) for number in range(CALLS))
        )
        calls = [Call(destination="614", time=NOW, usage=usage, account="1001") for usage in lasted]
        total = sum((price(TARIFF, call).total for call in calls), Decimal(0))
        assert START - await money() == total
        for number, usage in enumerate(lasted):
            for _ in range(2):
                rows = await Recorder(engine).record(event(number, dice, Usage=usage))
                assert {each.row.run: each.row.cost for each in rows} == dict.fromkeys(
                    ("*default", "supplier"), price(TARIFF, calls[number]).total
                )
        assert START - await money() == total
        assert await steps.sessions() == []
        assert (await book.audit()).clean
        await book.close()

    asyncio.run(main())


@pytest.mark.parametrize("ends", ["the switch", "its record"])
def test_prices_that_rise_during_a_call_take_what_there_is(tmp_path: Path, ends: str) -> None:
    dear = folder(
        {
            "Destinations.csv": "MOBILE,614\n",
            "Rates.csv": "RT,0.05,0.50,60s,1s,0s\n",
            "DestinationRates.csv": "DR,MOBILE,RT,*up,4,0,\n",
            "RatingPlans.csv": "RP,DR,*any,10\n",
            "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
        }
    )

    async def main() -> None:
        book = Book(f"sqlite:///{tmp_path}/ledger.db")
        await book.prepare()
        balance = Balance(uuid="b", value=Decimal("0.05"))  # half a minute
        await put(book, opening(Account(tenant="cgrates.org", id="1001", balances=(balance,)), 0.0))
        tariffs = Tariffs(TARIFF)
        engine = Engine(tariffs, book, RuleBook(tariffs.rows, tariffs), Clock())
        steps, dice = Steps(engine), random.Random(1)
        opened = await steps.initiate(event(1, dice), 60 * SECOND)
        assert opened.usage == 30 * SECOND
        engine.tariffs = Tariffs(dear)
        assert (await steps.update(event(1, dice), 60 * SECOND, 30 * SECOND)).usage == 0
        if ends == "the switch":
            await steps.terminate(event(1, dice), 30 * SECOND)
        [recorded] = await Recorder(engine).record(event(1, dice, Usage=30 * SECOND))
        assert recorded.row.cost == Decimal("0.05")
        account = (await book.load(Keys(accounts=[KEY]))).view.accounts[KEY]
        assert account is not None
        assert [each.value for each in account.balances] == [0]
        assert (await book.audit()).clean
        await book.close()

    asyncio.run(main())
