"""A day of a charging node, on a virtual clock, that has to end with every amount explained.

Prepaid and postpaid calls, data and messages of accounts alone and in families come as they come in
a day: few at night, many in the evening. Bundles are given anew and money comes at set times, and
triggers recharge whoever has little. Some requests are sent twice at once, or again when all is
over; some switches die in the middle of a call and deliver its record hours later, or never. The
prices rise at noon, the node is closed and opened again in the evening. Two days later, when
every lease is over, no session may be left, and of every record its debits must be its price.

All of it goes through the methods of the API, without sockets, on a ledger in SQLite that flushes
at each commit.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import json
import math
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

from trunkline.charging.money import ZERO, add
from trunkline.charging.sessions import session_id
from trunkline.elements.charging.accounts import Accounts
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.records import Records
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.scheduler import Scheduler
from trunkline.elements.charging.sessions import Sessions
from trunkline.elements.charging.steps import Ended, Steps
from trunkline.elements.charging.tariff_plans import TariffPlans
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import Call, Json
from trunkline.net.jsonrpc import Peer
from trunkline.rating import Call as Usage
from trunkline.rating import price
from trunkline.rating.durations import SECOND
from trunkline.rating.tariff import Tariff
from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import RecordRow
from trunkline.store.ledger.queries import RecordQuery

__all__ = ["TITLES", "Day", "run"]

TITLES = {
    "calls": "calls, data sessions and messages",
    "requests": "requests of the API",
    "repeated": "of them sent twice at once",
    "died": "sessions whose switch died",
    "short": "had less than they asked for, for lack of money",
    "recharged": "recharges by triggers",
    "records": "records",
    "movements": "movements",
    "debits": "what was taken for records",
    "prices": "what these cost",
    "seconds": "seconds for all of it",
    "requests_per_s": "requests a second",
    "audit_s": "seconds of the audit",
}
"""What the figures are."""

_TENANT: Final = "cgrates.org"
_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_TICK: Final = 2.0  # s of the day that happen side by side
_SWEEP: Final = 30.0
_PLANS: Final = 300.0
_HOUR: Final = 3600.0
_NOON: Final = 12 * _HOUR
_MIB: Final = 1 << 20
_HOURS: Final = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 9, 9, 9, 10, 11, 13, 15, 16, 14, 10, 6, 3)
"""How much comes in each hour."""
_NOBODY: Final = cast("Peer", SimpleNamespace(two_way=False, closed=False))


def _files(factor: Decimal, accounts: Sequence[str]) -> dict[str, str]:
    def rate(name: str, fee: str, per: str, rest: str) -> str:
        return f"{name},{Decimal(fee) * factor},{Decimal(per) * factor},{rest}\n"

    families = [account for account in accounts if account.startswith("f")]
    return {
        "Timings.csv": (
            "MORNING,*any,*any,*any,*any,00:01:00\nTHREE,*any,*any,*any,*any,03:00:00\n"
            "PEAK,*any,*any,*any,*any,08:00:00\nNIGHT1,*any,*any,*any,*any,00:00:00\n"
            "NIGHT2,*any,*any,*any,*any,20:00:00\n"
        ),
        "Destinations.csv": "MOBILE,614\nFIXED,612\nABROAD,49\nABROAD,44\n",
        "Rates.csv": (
            rate("R_MOBILE", "0.02", "0.12", "60s,1s,0s")
            + rate("R_FIXED", "0", "0.06", "60s,30s,0s")
            + rate("R_ABROAD", "0.05", "0.40", "60s,60s,0s")
            + rate("R_NIGHT", "0", "0.03", "60s,6s,0s")
            + rate("R_DATA", "0", "0.02", f"{_MIB},10240,0")
            + rate("R_SMS", "0", "0.05", "1,1,0")
        ),
        "DestinationRates.csv": (
            "DR_DAY,MOBILE,R_MOBILE,*up,4,0,\nDR_DAY,FIXED,R_FIXED,*up,4,0,\n"
            "DR_DAY,ABROAD,R_ABROAD,*up,4,0,\nDR_NIGHT,MOBILE,R_NIGHT,*up,4,0,\n"
            "DR_NIGHT,FIXED,R_NIGHT,*up,4,0,\nDR_NIGHT,ABROAD,R_ABROAD,*up,4,0,\n"
            "DR_DATA,*any,R_DATA,*up,4,0,\nDR_SMS,*any,R_SMS,*up,4,0,\n"
        ),
        "RatingPlans.csv": (
            "RP,DR_DAY,PEAK,10\nRP,DR_NIGHT,NIGHT1,10\nRP,DR_NIGHT,NIGHT2,10\n"
            "RP_DATA,DR_DATA,*any,10\nRP_SMS,DR_SMS,*any,10\n"
        ),
        "RatingProfiles.csv": (
            f"{_TENANT},call,*any,,RP,\n{_TENANT},data,*any,,RP_DATA,\n"
            f"{_TENANT},sms,*any,,RP_SMS,\n"
        ),
        "Actions.csv": (
            f"BUNDLE,*topup_reset,,,bundle,*data,,,,,*unlimited,,{50 * _MIB},20,,,10\n"
            "BUNDLE,*topup_reset,,,talk,*voice,,MOBILE,*zero1s,,*unlimited,,300s,20,,,9\n"
            "MONTH,*topup,,,money,*monetary,,,,,*unlimited,,4,10,,,10\n"
            "RECHARGE,*topup,,,money,*monetary,,,,,*unlimited,,3,10,,,10\n"
        ),
        "ActionTriggers.csv": "LOW,LOW,*min_balance,0.5,true,0,,,,*monetary,,,,,,,,,,RECHARGE,10\n",
        "ActionPlans.csv": (
            "PLAIN,MONTH,*asap,10\nBUNDLED,MONTH,*asap,10\nBUNDLED,BUNDLE,MORNING,10\n"
            "RICH,MONTH,*asap,10\nRICH,MONTH,THREE,10\n"
        ),
        "AccountActions.csv": "".join(map(_account, accounts)),
        "SharedGroups.csv": "".join(
            f"{account.partition('-')[0].replace('f', 'FAMILY')},{account},*lowest,\n"
            for account in families
        ),
    }


def _account(account: str) -> str:
    """Its row of AccountActions.csv."""
    if account.startswith("n"):
        return f"{_TENANT},{account},,,true,false\n"
    plan, triggers = "PLAIN", ""
    if account.startswith("p"):
        kind = int(account[1:]) % 3
        plan, triggers = ("BUNDLED", "PLAIN", "RICH")[kind], "" if kind else "LOW"
    return f"{_TENANT},{account},{plan},{triggers},false,false\n"


def _folder(path: Path, files: Mapping[str, str]) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


@dataclass(slots=True)
class _Found:
    """What the day has seen, to be compared with the ledger."""

    usages: dict[str, int] = field(default_factory=dict)
    """By CGRID: of every record that was delivered."""
    unrecorded: set[str] = field(default_factory=set)
    """CGRIDs of which no record came."""
    late: set[str] = field(default_factory=set)
    """Accounts of which a record came so late that what it says may be spent already."""
    ended: dict[str, int] = field(default_factory=dict)
    """By OriginID: what a call was granted that the charging side has ended."""
    requests: int = 0
    repeated: int = 0
    died: int = 0
    short: int = 0


class Day:
    """The node and those who ask it. ``calls`` come in the day; the ledger is at ``url``."""

    def __init__(self, folder: Path, url: str, calls: int, seed: int = 1) -> None:
        self.now = 0.0
        self.found = _Found()
        self._folder = folder
        self._url = url
        self._chance = random.Random(seed)
        self._calls = calls
        solo = max(20, calls // 60)
        families = range(max(2, calls // 1000))
        self._shared = [f"f{number}-{member}" for number in families for member in range(4)]
        self._accounts = [
            *(f"p{number}" for number in range(solo)),
            *(f"n{number}" for number in range(solo // 4)),
            *self._shared,
        ]
        self._tariffs: list[Tariff] = []
        self._reopened = 0.0
        self._awake = 0
        self._idle = asyncio.Event()
        self._asleep: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._problem: BaseException | None = None

    # The node

    async def _open(self, folder: Path) -> None:
        self._book = Book(self._url)
        await self._book.prepare()
        tariffs = Tariffs.of_folder(folder)
        rules = RuleBook(tariffs.rows, tariffs)
        self._engine = Engine(tariffs, self._book, rules, self._clock)
        self._steps = Steps(self._engine)
        self._scheduler = Scheduler(self._engine, self._log)
        self._registry = Registry(
            Accounts(self._engine),
            Sessions(self._engine, None, self._steps),
            Records(self._engine, self._steps),
            TariffPlans(tariffs, self._scheduler.loaded),
        )

    def _log(self, facility: str, severity: int, word: str, text: str) -> None:
        if severity < 5:
            raise AssertionError(f"{facility} {word}: {text}")

    def _clock(self) -> datetime:
        return _START + timedelta(seconds=self.now)

    async def _ask(self, method: str, **argument: Json) -> Json:
        """The result of a request; now and then it is sent twice."""
        self.found.requests += 1
        if not self._awake or self._chance.random() > 0.03:
            return await self._asked(method, argument)
        self.found.repeated += 1
        one, other = await asyncio.gather(*(self._asked(method, argument) for _ in range(2)))
        if one != other:
            raise AssertionError(f"{method} {argument}: {one}, and then {other}")
        return one

    async def _asked(self, method: str, argument: Mapping[str, Json]) -> Json:
        result, error = await self._answered(method, argument)
        _expect(error is None, f"{method} {argument}: {error}")
        return result

    async def _answered(self, method: str, argument: Mapping[str, Json]) -> tuple[Json, Json]:
        """A result and an error."""
        answered = self._registry(Call(method, dict(argument), id=1), _NOBODY)
        text = answered if isinstance(answered, str) else await answered
        answer = json.loads(text, parse_float=Decimal)
        return answer["result"], answer["error"]

    # Time

    async def _until(self, when: float) -> None:
        """Sleep; when everybody does, the clock goes on."""
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (when, next(self._numbers), future))
        self._rest()
        await future

    def _rest(self) -> None:
        self._awake -= 1
        if not self._awake:
            self._idle.set()

    async def _live(self, work: Awaitable[None]) -> None:
        try:
            await work
        except BaseException as problem:
            self._problem = self._problem or problem
        finally:
            self._rest()

    async def _pass(self, work: list[tuple[float, Callable[[], Awaitable[None]]]]) -> None:
        """Let time pass until all of ``work`` is done and everybody has gone."""
        coming = sorted(work, key=lambda each: each[0])
        at = 0
        while at < len(coming) or self._asleep:
            moments = [coming[at][0]] if at < len(coming) else []
            moments += [self._asleep[0][0]] if self._asleep else []
            self.now = max(self.now, math.ceil(min(moments) / _TICK) * _TICK)
            self._idle.clear()
            while self._asleep and self._asleep[0][0] <= self.now:
                self._awake += 1
                heapq.heappop(self._asleep)[2].set_result(None)
            while at < len(coming) and coming[at][0] <= self.now:
                self._awake += 1
                task = asyncio.create_task(self._live(coming[at][1]()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                at += 1
            await self._idle.wait()
            if self._problem is not None:
                raise self._problem

    # Who asks

    def _event(self, kind: str, account: str, name: str, start: float) -> dict[str, Json]:
        tor, category = {"data": ("*data", "data"), "message": ("*sms", "sms")}.get(
            kind, ("*voice", "call")
        )
        return {
            "OriginID": name,
            "OriginHost": "switch",
            "RequestType": "*postpaid" if account.startswith("n") else "*prepaid",
            "ToR": tor,
            "Category": category,
            "Account": account,
            "Destination": self._chance.choice(("61412", "6123", "4930", "61498")),
            "AnswerTime": (_START + timedelta(seconds=start)).isoformat(),
        }

    def _arrivals(self) -> list[tuple[float, Callable[[], Awaitable[None]]]]:
        chance = self._chance
        found: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        everybody = self._accounts + self._shared
        for number in range(self._calls):
            hour = chance.choices(range(24), _HOURS)[0]
            start = hour * _HOUR + chance.random() * _HOUR
            kind = chance.choices(("voice", "clocked", "data", "message"), (45, 10, 25, 20))[0]
            account = chance.choice(everybody)

            async def one(
                start: float = start, kind: str = kind, account: str = account, n: int = number
            ) -> None:
                await self._one(start, kind, account, f"{kind}-{n}")

            found.append((start, one))
        return found

    async def _one(self, start: float, kind: str, account: str, name: str) -> None:
        event = self._event(kind, account, name, start)
        if kind == "message":
            await self._message(event)
        elif kind == "clocked":
            await self._clocked(event)
        else:
            await self._session(event, data=kind == "data")

    async def _message(self, event: dict[str, Json]) -> None:
        name = str(event["OriginID"])
        event["Usage"] = 1
        if event["RequestType"] == "*prepaid":
            answer = await self._ask(
                "SessionSv1.ProcessMessage", Tenant=_TENANT, ID=name, Debit=True, Event=event
            )
            if not cast("dict[str, int]", answer)["MaxUsage"]:
                self.found.short += 1
                return
            if self._chance.random() < 0.5:
                self.found.unrecorded.add(session_id(name, "switch"))
                return
        await self._record(event, 1)

    async def _session(self, event: dict[str, Json], *, data: bool) -> None:
        """A session of which the switch asks for one grant after the other."""
        chance = self._chance
        if data:
            grant, wanted = 4 * _MIB, int(chance.expovariate(1 / (8 * _MIB))) + 1
            per_second = chance.randrange(20_000, 400_000)
        else:
            grant, wanted = 60 * SECOND, (int(chance.expovariate(1 / 100)) + 1) * SECOND
            per_second = SECOND
        dies = chance.random() < 0.02
        had, allowed, method, step = 0, 0, "Initiate", 0
        start = self.now
        while had < wanted:
            more: dict[str, Json] = {**event, "Usage": grant}
            if step:
                more["LastUsed"] = grant
            answer = await self._ask(
                f"SessionSv1.{method}Session",
                Tenant=_TENANT,
                ID=str(step),
                Event=more,
                **{f"{method[:4] if method == 'Initiate' else method}Session": True},
            )
            granted = cast("dict[str, int]", answer)["MaxUsage"]
            allowed += granted
            had = min(wanted, allowed)
            await self._until(start + had / per_second)
            if granted < grant:
                self.found.short += had < wanted
                break
            if dies and had >= wanted // 2:
                break
            method, step = "Update", step + 1
        await self._over(event, had, dies=dies)

    async def _clocked(self, event: dict[str, Json]) -> None:
        """A call that the charging side extends by itself."""
        wanted = (int(self._chance.expovariate(1 / 150)) + 1) * SECOND
        start, name = self.now, str(event["OriginID"])
        answer = await self._ask(
            "SessionSv1.InitiateSession",
            Tenant=_TENANT,
            ID="0",
            InitSession=True,
            Event={**event, "DebitInterval": "20s"},
        )
        if not cast("dict[str, int]", answer)["MaxUsage"]:
            wanted = 0
        while self.now < start + wanted / SECOND and name not in self.found.ended:
            await self._until(min(self.now + _SWEEP, start + wanted / SECOND))
        await self._until(self.now + 3 * _TICK)  # so long it may be under way that there is no more
        had = min(wanted, self.found.ended.get(name, wanted))
        self.found.short += had < wanted
        await self._over(event, had, dies=False)

    async def _over(self, event: dict[str, Json], had: int, *, dies: bool) -> None:
        """The end and the record; of a switch that died, perhaps later."""
        if dies:
            self.found.died += 1
            if self._chance.random() < 0.3:
                self.found.unrecorded.add(session_id(str(event["OriginID"]), "switch"))
                return
            self.found.late.add(str(event["Account"]))
            await self._until(self.now + self._chance.uniform(1, 8) * _HOUR)
        else:
            await self._ask(
                "SessionSv1.TerminateSession",
                Tenant=_TENANT,
                ID="end",
                TerminateSession=True,
                Event={**event, "Usage": had},
            )
        await self._record(event, had)
        if self._chance.random() < 0.02:
            await self._repeated_late({**event, "Usage": had})

    async def _repeated_late(self, event: dict[str, Json]) -> None:
        """An opening that comes again when all is over; it is refused."""
        argument: dict[str, Json] = {
            "Tenant": _TENANT, "ID": "late", "InitSession": True, "Event": event
        }  # fmt: skip
        _, error = await self._answered("SessionSv1.InitiateSession", argument)
        _expect(error == "RALS_ERROR:EXISTS", f"{event} was opened again: {error}")

    async def _record(self, event: dict[str, Json], usage: int) -> None:
        await self._ask(
            "SessionSv1.ProcessCDR", Tenant=_TENANT, ID="record", Event={**event, "Usage": usage}
        )
        self.found.usages[session_id(str(event["OriginID"]), "switch")] = usage

    # What happens at set times

    async def _opened(self) -> None:
        """Accounts, with what they have in the morning."""
        await self._scheduler.turn()
        for head in self._shared[::4]:
            group = head.partition("-")[0].replace("f", "FAMILY")
            await self._ask(
                "APIerSv1.AddBalance",
                Account=head,
                BalanceType="*monetary",
                Value=20,
                Balance={"ID": "family", "SharedGroups": group, "Weight": 5},
            )

    async def _reprice(self) -> None:
        await self._ask("APIerSv1.LoadTariffPlanFromFolder", FolderPath=str(self._folder / "noon"))
        self._tariffs.append(self._engine.tariffs.tariff)

    async def _restart(self) -> None:
        await self._book.close()
        await self._open(self._folder / "noon")
        self._reopened = self.now

    async def _sweeps(self) -> None:
        last = 0.0
        while self.now < 52 * _HOUR:
            await self._until(self.now + (_TICK if self.now < 25 * _HOUR else _HOUR / 2))
            known = self.now > self._reopened + _HOUR / 6  # what is due of the calls before
            due = self._steps.due <= self._clock().timestamp()
            if known and not due and self.now < last + _SWEEP:
                continue
            last = self.now
            found: list[Ended] = []
            await self._steps.sweep(found.append)
            for ended in found:
                session = ended.session
                self.found.ended[session.origin_id] = min(run.granted for run in session.runs)
                await self._steps.told(session, done=True)

    async def _plans(self) -> None:
        while self.now < 25 * _HOUR:
            await self._until(self.now + _PLANS)
            await self._scheduler.turn()

    async def live(self) -> dict[str, float]:
        """The whole day, and what came of it.

        Raises:
            AssertionError: something does not add up.
        """
        begun = time.perf_counter()
        morning = _folder(self._folder / "morning", _files(Decimal(1), self._accounts))
        _folder(self._folder / "noon", _files(Decimal("1.25"), self._accounts))
        await self._open(morning)
        self._tariffs.append(self._engine.tariffs.tariff)
        await self._opened()
        work = [
            *self._arrivals(),
            (0.0, self._sweeps),
            (0.0, self._plans),
            (_NOON, self._reprice),
            (19 * _HOUR, self._evening),
        ]
        try:
            await self._pass(work)
            return await self._checked(begun)
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._book.close()

    async def _evening(self) -> None:
        while self._awake > 1:  # the others finish what they ask for
            await asyncio.sleep(0)
        await self._restart()

    # What came of it

    async def _checked(self, begun: float) -> dict[str, float]:
        took = time.perf_counter() - begun
        book, found = self._book, self.found
        looking = time.perf_counter()
        audit = await book.audit()
        audit_s = time.perf_counter() - looking
        _expect(audit.clean, f"the audit: {audit.findings[:5]}")
        left = await book.sessions()
        _expect(not left, f"sessions are left: {left[:3]}")
        taken: dict[str, Decimal] = {}
        kinds: dict[str, set[str]] = {}
        recharged = 0
        after = 0
        while page := await book.movements(after=after, limit=5000):
            after = page[-1].seq
            for entry in page:
                moved = entry.movement
                recharged += moved.cause == "*topup" and moved.amount == 3
                if moved.reference and moved.reference not in self._engine.profiles.actions:
                    kinds.setdefault(moved.reference, set()).add(moved.type)
                    if moved.type == "*monetary":
                        before = taken.get(moved.reference, ZERO)
                        taken[moved.reference] = add(before, -moved.amount)
        debits, prices, records, last = ZERO, ZERO, 0, 0
        while rows := await book.records(RecordQuery(after=last)):
            last = rows[-1].order
            for row in rows:
                records += 1
                if row.id not in found.unrecorded:  # else it is what the node knows
                    _expect(found.usages.pop(row.id, -1) == row.usage, f"the usage of {row}")
                paid = taken.pop(row.id, ZERO)
                _expect(paid == row.cost, f"{paid} was taken for {row}")
                debits, prices = add(debits, paid), add(prices, row.cost or ZERO)
                if kinds.get(row.id, set()) <= {"*monetary"}:
                    self._priced(row)
        _expect(not found.usages, f"records are missing: {list(found.usages)[:3]}")
        strange = sorted(
            each for each, paid in taken.items() if paid or each not in found.unrecorded
        )
        _expect(not strange, f"paid for what nobody had: {strange[:3]}, {len(strange)} in all")
        for account in await book.accounts(_TENANT):
            if not account.allow_negative and account.id not in found.late:
                low = min((each.value for each in account.balances), default=ZERO)
                _expect(low >= 0, f"{account.key} has {low}")
        return {
            "calls": self._calls,
            "requests": found.requests,
            "repeated": found.repeated,
            "died": found.died,
            "short": found.short,
            "recharged": recharged,
            "records": records,
            "movements": audit.movements,
            "debits": float(debits),
            "prices": float(prices),
            "seconds": took,
            "requests_per_s": found.requests / took,
            "audit_s": audit_s,
        }

    def _priced(self, row: RecordRow) -> None:
        """A record that money alone paid for costs what its call costs in one piece."""
        call = Usage(
            destination=row.destination,
            time=datetime.fromtimestamp(row.time, UTC),
            usage=row.usage,
            tenant=row.tenant,
            category=row.category,
            subject=row.subject or row.account,
            account=row.account,
            tor=row.type,
        )
        wanted = [price(tariff, call, reasons=False).total for tariff in self._tariffs]
        # A call that was under way when the prices rose may have had all that there was.
        noon = _START.timestamp() + _NOON
        rose = row.request_type == "*prepaid" and row.time < noon <= (row.created or 0.0)
        between = row.cost is not None and wanted[0] <= row.cost <= wanted[-1]
        _expect(row.cost in wanted or (rose and between), f"{row} costs none of {wanted}")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def run(folder: Path, url: str, calls: int, seed: int = 1) -> dict[str, float]:
    """The figures of a day of ``calls`` with a ledger at ``url``; other files are in ``folder``.

    Raises:
        AssertionError: something does not add up.
    """
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop

        loop = uvloop.new_event_loop

    async def main() -> dict[str, float]:
        return await Day(folder, url, calls, seed).live()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main())


def main() -> None:
    """Live it, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="trunkline-")
    url = f"sqlite:///{folder}/ledger.db"
    try:
        figures = run(Path(folder), url, options.calls, options.seed)
    except AssertionError as problem:
        print(
            f"it does not add up: {problem}\n"
            f"--calls {options.calls} --seed {options.seed}; its ledger is kept: {url}",
            file=sys.stderr,
        )
        sys.exit(1)
    shutil.rmtree(folder)
    for name, value in figures.items():
        print(f"{TITLES[name]:50} {value:14,.2f}")


if __name__ == "__main__":
    main()
