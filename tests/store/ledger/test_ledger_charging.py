"""Prepaid sessions as the charging room computes them, many at once, through the ledger."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from tests.rating.folder import tariff as folder
from tests.store.ledger.made import put

from trunkline.charging.charges import Payers
from trunkline.charging.model import DEFAULT_BALANCE
from trunkline.charging.money import total
from trunkline.charging.sessions import Granted, RequestType, Run, Session, close, extend
from trunkline.rating import Call
from trunkline.rating.durations import SECOND
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Change, Committed, Keys, RecordRow, SessionRow, View
from trunkline.store.ledger.queries import RecordQuery

TARIFF = folder(
    {
        "Destinations.csv": "DST,61\n",
        "Rates.csv": "RT,0.05,0.10,60s,7s,0s\n",
        "DestinationRates.csv": "DR,DST,RT,*up,4,0,\n",
        "RatingPlans.csv": "RP,DR,*any,10\n",
        "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
    }
)
ACCOUNT = "cgrates.org:1001"
CALL = Call(
    destination="614",
    time=datetime(2026, 1, 5, 12, tzinfo=UTC),
    usage=0,
    account="1001",
    tenant="cgrates.org",
)


def row(session: Session) -> SessionRow:
    return SessionRow(ACCOUNT, 0.0, session)


def step(
    name: str, work: Callable[[Payers, Run], Granted], *, last: bool = False
) -> Callable[[View], Change]:
    def function(view: View) -> Change:
        account = view.accounts[ACCOUNT]
        assert account is not None
        stored = view.sessions[name]
        session = Session(id=name, tenant="cgrates.org", origin_id=name)
        if stored is not None:
            session = stored.session
        before = session.runs or (Run(id="*default", request_type=RequestType.PREPAID, call=CALL),)
        done = work(Payers(account=account), before[0])
        accounts = done.debit.accounts if done.debit else ()
        record = RecordRow(
            id=name,
            run="*default",
            document="{}",
            cost=done.run.cost,
            reference=name if done.run.cost else "",
        )
        return Change(
            time=0.0,
            accounts={each.key: each for each in accounts},
            movements=done.debit.movements if done.debit else (),
            sessions={name: None if last else row(replace(session, runs=(done.run,)))},
            records={record.key: record} if last else {},
            answer=str(done.usage),
        )

    return function


def granted(name: str, usage: int, payers: Payers, run: Run) -> Granted:
    return extend(TARIFF, payers, run, usage, session=name)


def closed(name: str, usage: int, payers: Payers, run: Run) -> Granted:
    return close(TARIFF, payers, run, usage, session=name)


def test_many_sessions_of_one_account_at_once(sqlite_url: str) -> None:
    async def script() -> None:
        books = [Book(sqlite_url), Book(sqlite_url)]
        await books[0].prepare()
        await books[0].update(Keys(accounts=[ACCOUNT]), put(ACCOUNT, Decimal(3)))
        chance = random.Random(5)

        async def call(name: str) -> None:
            keys = Keys(accounts=[ACCOUNT], sessions=[name], records=[f"*default/{name}"])
            used = 0
            for count in range(chance.randrange(1, 6)):
                book = chance.choice(books)  # not always the same process
                more = chance.randrange(1, 40) * SECOND
                grant = step(name, partial(granted, name, more))
                done = await book.update(keys, grant, once=f"{name} {count}")
                assert isinstance(done, Committed)
                used += int(done.change.answer)
            spoken = max(0, used - chance.randrange(30) * SECOND)
            end = step(name, partial(closed, name, spoken), last=True)
            await chance.choice(books).update(keys, end, once=f"{name} end")

        await asyncio.gather(*(call(f"call {number}") for number in range(40)))
        account = (await books[1].load(Keys(accounts=[ACCOUNT]))).view.accounts[ACCOUNT]
        assert account is not None
        records = await books[0].records(RecordQuery())
        assert len(records) == 40
        assert await books[0].sessions() == []
        costs = total(record.cost or Decimal(0) for record in records)
        held = {balance.id: balance.value for balance in account.balances}
        assert total(held.values()) == Decimal(3) - costs
        assert all(value >= 0 for name, value in held.items() if name != DEFAULT_BALANCE)
        result = await books[1].audit()
        assert result.clean, result.findings
        for book in books:
            await book.close()

    asyncio.run(script())
