"""A charging node without its sockets: its methods on a ledger in a file, with a clock to move."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.elements.charging.support import NOBODY, write_folder
from tests.rating.folder import tariff as folder

from trunkline.config.cgrates import load_folder
from trunkline.elements.charging.accounts import Accounts
from trunkline.elements.charging.actions import Actions
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.records import Records
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.scheduler import Scheduler
from trunkline.elements.charging.schedules import Schedules
from trunkline.elements.charging.sessions import Sessions
from trunkline.elements.charging.taken import Booked, Mishap
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.elements.charging.triggers import AccountTriggers
from trunkline.jsonrpc import Call
from trunkline.store.ledger.book import Book

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
TARIFF = folder(
    {
        "Destinations.csv": "MOBILE,614\n",
        "Rates.csv": "RT,0,0.10,60s,1s,0s\n",
        "DestinationRates.csv": "DR,MOBILE,RT,*up,4,0,\n",
        "RatingPlans.csv": "RP,DR,*any,10\n",
        "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
    }
)


class Office:
    """What a test has to do with."""

    def __init__(self, folder: Path, url: str) -> None:
        self.now = NOW
        self.folder = folder
        self.book = Book(url)
        tariffs = Tariffs(TARIFF, load_folder(folder).rows)
        rules = RuleBook(tariffs.rows, tariffs)
        self.engine = Engine(tariffs, self.book, rules, lambda: self.now)
        self.lines: list[str] = []
        self.scheduler = Scheduler(self.engine, self.log)
        self.mishaps: list[Mishap] = []
        self._noted = self.engine.booked
        self.engine.booked = self._booked
        self.registry = Registry(
            Accounts(self.engine),
            Actions(self.engine),
            AccountTriggers(self.engine),
            Schedules(self.engine, self.scheduler),
            Sessions(self.engine),
            Records(self.engine),
        )

    def _booked(self, change: Booked) -> None:
        self.mishaps += change.mishaps
        self._noted(change)

    def log(self, facility: str, severity: int, mnemonic: str, text: str) -> None:
        self.lines.append(f"{facility}-{severity}-{mnemonic}: {text}")

    def later(self, **time: float) -> None:
        """Move the clock."""
        self.now += timedelta(**time)

    async def ask(self, method: str, **argument: object) -> Any:
        """The result of a method, or its error."""
        return await self.call(method, argument)

    async def call(self, method: str, argument: object) -> Any:
        """The same, with an argument that may be no object."""
        sent = json.loads(json.dumps(argument), parse_float=Decimal)  # as the codec reads it
        found = self.registry(Call(method, sent, id=1), NOBODY)
        answer = json.loads(found if isinstance(found, str) else await found)
        return answer["error"] or answer["result"]

    async def ok(self, method: str, **argument: object) -> None:
        """Ask for something that is done."""
        assert await self.ask(method, **argument) == "OK"

    async def account(self, account: str = "1001") -> Any:
        """What the account is."""
        return await self.ask("APIerSv2.GetAccount", Tenant="cgrates.org", Account=account)

    async def money(self, account: str = "1001") -> Decimal:
        """What its money adds up to."""
        found = await self.account(account)
        held = (found["BalanceMap"] or {}).get("*monetary", [])
        return sum((Decimal(str(each["Value"])) for each in held), Decimal(0))


@asynccontextmanager
async def opened(folder: Path, url: str) -> AsyncIterator[Office]:
    """A node at a ledger."""
    desk = Office(folder, url)
    await desk.book.prepare()
    try:
        yield desk
    finally:
        await desk.book.close()


def office(
    tmp_path: Path,
    files: Mapping[str, str],
    script: Callable[[Office], Coroutine[None, None, None]],
    *,
    url: str = "",
) -> None:
    """Run a script against a node with these files; the ledger is clean in the end."""
    path = write_folder(tmp_path / "rows", files)

    async def main() -> None:
        async with opened(path, url or f"sqlite:///{tmp_path}/ledger.db") as desk:
            await script(desk)
            found = await desk.book.audit()
            assert found.clean, found.findings

    asyncio.run(main())
