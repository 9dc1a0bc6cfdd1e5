"""What a charging node does by itself: action plans that are due, and what actions ask of others.

Accounts of which a balance has ended, or that are gone and have sessions, are looked at too. All
are tasks of the ledger. A node claims a few that are due, works on them, and claims again;
calls have their turn in between. Of several nodes at one ledger, each task is one's alone for a
while. A plan's actions, the account that they make and the time of the next turn are one change,
which does nothing where another node was faster: nothing runs twice, and a node that dies in the
middle leaves a task that is due again. What was missed while no node ran is run once, late.

AccountActions.csv is applied when it is loaded, and at the start where it is another than the one
applied last: an account gets what it has not got yet. Loading it again gives no plan anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final

from trunkline.charging.actions import expired
from trunkline.config.cgrates import ChargingRows
from trunkline.elements.charging import afterwards, effects, plans
from trunkline.elements.charging.effects import Carrier, Export, Order, document_of
from trunkline.elements.charging.engine import Engine, session_row
from trunkline.elements.charging.plans import NEVER, Gift, Plans
from trunkline.elements.charging.taken import Booked, Mishap
from trunkline.errors import TrunklineError
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.model import Change, Keys, TaskRow, View

__all__ = ["Scheduler", "SchedulerCounters"]

_LOADED: Final = "loaded/account-actions"
_BATCH: Final = 50
"""Plans that run before calls have their turn."""
_LEASE: Final = 15.0  # s; whoever works on a task longer is taken for dead
_LOOK: Final = 1.0  # s; from one look for what is due to the next
_REST: Final = 5.0  # s; after the ledger did not answer
_AT_ONCE: Final = 20  # orders that are carried out side by side
_PAGE: Final = 500
_PURGE: Final = 600.0  # s
_REASONS: Final = 100  # why orders failed, that are told within `_PURGE`


@dataclass(slots=True)
class SchedulerCounters:
    """What a node has done by itself."""

    plans_run: int = 0
    """Turns of an account's plan in which actions were due."""
    mishaps: int = 0
    """Triggers and rows of plans that could not run."""
    effects_done: int = 0
    effects_retried: int = 0
    effects_given_up: int = 0
    faults: int = 0
    """Tasks that ended in an unforeseen error; they are due again."""


class Scheduler:
    """Runs plans and carries out orders, of the ledger of ``engine``.

    ``log`` takes a facility, a severity, a word and a text. ``timeout``: seconds for an order.
    ``mail_server`` takes mails, from ``mail_from``; empty: there are none. ``export`` gives events
    to exporters.
    """

    def __init__(
        self,
        engine: Engine,
        log: Callable[[str, int, str, str], None],
        *,
        timeout: float = 5.0,
        mail_server: str = "",
        mail_from: str = "",
        export: Export | None = None,
    ) -> None:
        self.counters = SchedulerCounters()
        self._engine = engine
        self._log = log
        self._plans = Plans(engine)
        self._carrier = Carrier(
            lambda text: log("ACTION", 6, "LOG", text),
            timeout=timeout,
            mail_server=mail_server,
            mail_from=mail_from,
            export=export,
        )
        self._failing: set[str] = set()
        """What was told lately of orders that failed."""
        self._carried: dict[str, asyncio.Task[None]] = {}
        self._due = asyncio.Event()
        self._asked = asyncio.Event()
        self._reviewing = asyncio.Lock()
        self.ready = asyncio.Event()
        """Set when what was due at the start has had its turn."""
        self._rows_seen: ChargingRows | None = None
        self._times_seen: object = None
        engine.booked = self.booked

    # The two loops

    async def run(self) -> None:
        """Run what is due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self._due, self._plans_turn))
            group.create_task(self._again(self._asked, self._effects_turn))
            group.create_task(self._purge())

    async def turn(self) -> None:
        """Run all that is due now, and return when it is done."""
        while await self._plans_turn():
            pass
        while await self._effects_turn() or self._carried:
            await asyncio.gather(*self._carried.values())

    @property
    def under_way(self) -> int:
        """Orders that are being carried out."""
        return len(self._carried)

    async def close(self) -> None:
        """Let go of what is under way: it is due again, wherever the ledger is next asked."""
        under_way = list(self._carried.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def wake(self) -> None:
        """Look at once for what is due."""
        self._due.set()
        self._asked.set()

    def booked(self, change: Booked) -> None:
        """Take note of a change that is on disk."""
        for mishap in change.mishaps:
            self._told(mishap)
        if change.fresh:
            self._asked.set()
        if change.tasks:
            self._due.set()

    async def _again(self, wake: asyncio.Event, turn: Callable[[], Awaitable[bool]]) -> None:
        told = ""
        while True:
            wake.clear()
            try:
                if await turn():
                    await asyncio.sleep(0)
                    continue
                told = ""
            except TrunklineError as problem:
                if problem.message != told:
                    self._log("ACTION", 3, "LEDGER", problem.message)
                told = problem.message
                self.ready.set()  # nobody waits for a ledger that does not answer
                await asyncio.sleep(_REST)
            except Exception as problem:
                self._fault(problem)
                await asyncio.sleep(_REST)
            try:
                async with asyncio.timeout(_LOOK):
                    await wake.wait()
            except TimeoutError:
                pass

    async def _purge(self) -> None:
        """Forget answers that nobody can ask for any more."""
        while True:
            self._failing.clear()
            try:
                while await self._engine.book.purge(self._now().timestamp()):
                    pass
            except TrunklineError as problem:
                self._log("ACTION", 4, "LEDGER", problem.message)
            await asyncio.sleep(_PURGE)

    # Action plans

    async def _plans_turn(self) -> bool:
        """Run some of the plans that are due; whether there may be more."""
        await self._review()
        now = self._now().timestamp()
        book = self._engine.book
        claimed = await book.claim(now, now + _LEASE, _BATCH, prefix=plans.PREFIX)
        looked: list[TaskRow] = []
        if len(claimed) < _BATCH:  # while many plans are due, each look for others passes over them
            looked = await book.claim(now, now + _LEASE, _BATCH, prefix=afterwards.PREFIX)
        done = await asyncio.gather(
            *(self._run(task) for task in claimed),
            *(self._look_after(task) for task in looked),
            return_exceptions=True,
        )
        lost: StoreUnavailable | None = None
        for problem in done:
            if isinstance(problem, StoreUnavailable):
                lost = problem  # the task is due again
            elif isinstance(problem, Exception):
                self._fault(problem)
        if lost is not None:
            raise lost
        if len(claimed) < _BATCH:
            self.ready.set()
        return _BATCH in (len(claimed), len(looked))

    # What is loaded

    async def loaded(self) -> None:
        """Take in what has just been loaded: accounts get what they have not got."""
        await self._review(anew=True)

    async def _review(self, *, anew: bool = False) -> None:
        """Take in rules that are not those of the last time."""
        async with self._reviewing:
            rows, profiles = self._engine.tariffs.rows, self._engine.profiles
            if self._rows_seen is not rows or anew:
                await self._apply(rows, anew=anew)
                self._rows_seen = rows
            times = profiles.plans, profiles.timings
            if self._times_seen != times:
                await self._retime()
                self._times_seen = times

    async def _apply(self, rows: ChargingRows, *, anew: bool) -> None:
        """Have the accounts of AccountActions.csv get what they have not got.

        A file that was applied is not applied again, until it is loaded ``anew``.
        """
        book = self._engine.book
        digest = await asyncio.to_thread(_digest, rows)
        mark = TaskRow(_LOADED, NEVER, json.dumps(digest))
        if not anew and (await book.load(Keys(tasks=[_LOADED]))).view.tasks[_LOADED] == mark:
            return
        made = changed = 0
        gifts = {  # of two rows for one account the later counts, however far apart they are
            f"{row.tenant or DEFAULT_TENANT}:{row.account}": Gift.of_row(row)
            for row in rows.account_actions
        }
        for start in range(0, len(gifts), _PAGE):
            page = dict(islice(gifts.items(), start, start + _PAGE))
            there = (await book.load(Keys(accounts=list(page)))).view.accounts
            lacking: list[str] = []
            for key, gift in page.items():
                try:
                    if self._plans.lacks(there[key], gift):
                        lacking.append(key)
                except TrunklineError as gone:  # removed by API
                    self._told(Mishap(f"AccountActions.csv, {key}", gone))
            for first in range(0, len(lacking), _BATCH):
                some = lacking[first : first + _BATCH]
                done = await asyncio.gather(
                    *(self._plans.give_lately(key, page[key], there[key]) for key in some),
                    return_exceptions=True,
                )
                for key, failure in zip(some, done, strict=True):
                    if failure is None:
                        continue
                    if isinstance(failure, StoreUnavailable) or not isinstance(
                        failure, TrunklineError
                    ):
                        raise failure
                    self._told(Mishap(f"AccountActions.csv, {key}", failure))
            made += sum(there[key] is None for key in lacking)
            changed += len(lacking)

        def applied(_: View) -> Change:
            return Change(time=0.0, tasks={_LOADED: mark})

        await book.update(Keys(tasks=[_LOADED]), applied)
        if changed:
            text = f"AccountActions.csv: {made} accounts made, {changed - made} changed"
            self._log("ACTION", 5, "ACCOUNTS", text)

    async def _run(self, task: TaskRow) -> None:
        ran = await self._plans.run(task)
        self.counters.plans_run += ran

    async def _look_after(self, task: TaskRow) -> None:
        """Run the triggers of what has ended of an account; end the sessions of one that is gone.

        A session is ended by whoever knows its switch: here its lease ends.
        """
        key = document_of(task, "account").text("account")
        engine = self._engine
        now = self._now()
        last = ""
        while rows := await engine.book.sessions(account=key, after=last, limit=_BATCH):
            last = rows[-1].id
            keys = Keys(accounts=[key], sessions=[row.id for row in rows])
            await engine.book.update(keys, lambda view: _let_go(view, key, now.timestamp()))

        def step(view: View) -> Booked:
            taken = engine.taken(view, now.timestamp())
            account = view.accounts[key]
            if account is not None and any(expired(each, now) for each in account.balances):
                taken.alter(key, lambda before: before)
            return taken.into(Booked(time=now.timestamp(), tasks={task.id: None}))

        await engine.write(Keys(accounts=[key], tasks=[task.id]), step)

    async def _retime(self) -> None:
        """Set the time of each plan's next turn by the rows that it has now."""
        plans_now = self._engine.profiles.plans
        pending: list[tuple[TaskRow, TaskRow]] = []
        now = self._now()
        resting: Counter[str] = Counter()
        async for planned, task in self._plans.planned():
            resting[planned.plan] += planned.plan not in plans_now
            after = self._plans.task(planned.sound(now), plans_now.get(planned.plan, ()))
            if (after.due, after.document) != (task.due, task.document):
                pending.append((task, after))
            if len(pending) == _BATCH:
                await self._put(pending)
                pending = []
        await self._put(pending)
        for plan, accounts in resting.items():
            if accounts:
                self._log(
                    *("ACTION", 4, "RESTS"),
                    f"the action plan {plan}, which {accounts} accounts have, is not among the"
                    " rules of this node: it rests until it is there",
                )

    async def _put(self, tasks: Sequence[tuple[TaskRow, TaskRow]]) -> None:
        def step(view: View) -> Change:
            return Change(
                time=0.0,
                tasks={
                    after.id: after
                    for before, after in tasks
                    if (there := view.tasks[after.id]) is not None
                    and there.document == before.document
                },
            )

        if tasks:
            await self._engine.book.update(Keys(tasks=[task.id for task, _ in tasks]), step)
            self._due.set()

    # What actions ask of others

    async def _effects_turn(self) -> bool:
        """Begin with some of the orders that are due; whether there may be more."""
        room = _AT_ONCE - len(self._carried)
        if room <= 0:
            await asyncio.wait(self._carried.values(), return_when=asyncio.FIRST_COMPLETED)
            return True
        now = self._now().timestamp()
        claimed = await self._engine.book.claim(now, now + _LEASE, room, prefix=effects.PREFIX)
        for task in (each for each in claimed if each.id not in self._carried):
            carried = self._carried[task.id] = asyncio.create_task(self._carry(task))
            carried.add_done_callback(partial(self._carried_out, task.id))
        return len(claimed) == room

    def _carried_out(self, name: str, _: asyncio.Task[None]) -> None:
        # Not at the end of the task itself: what is cancelled before its first step has none.
        del self._carried[name]

    async def _carry(self, task: TaskRow) -> None:
        try:
            await self._carry_out(task)
        except StoreUnavailable as problem:  # the order is due again
            self._log("ACTION", 3, "LEDGER", problem.message)
        except Exception as problem:
            self._fault(problem)

    async def _carry_out(self, task: TaskRow) -> None:
        """Carry an order out, and have it be done, or tried again."""
        order = Order.of_task(task)
        after: TaskRow | None = None
        try:
            await self._carrier.carry_out(order)
        except Exception as problem:  # whatever it is, it must not come for ever
            if getattr(problem, "code", "") not in Carrier.LASTING:
                after = order.failed(task.id, self._now().timestamp())
            if not isinstance(problem, TrunklineError):
                self._fault(problem)
            if after is None:
                self.counters.effects_given_up += 1
                self._log("ACTION", 3, "GIVEN-UP", f"{order}: {problem}")
            else:
                self.counters.effects_retried += 1
                if f"{problem}" not in self._failing and len(self._failing) < _REASONS:
                    self._failing.add(f"{problem}")
                    self._log("ACTION", 4, "RETRIED", f"{order}: {problem}; it is tried again")
        else:
            self.counters.effects_done += 1

        def step(view: View) -> Change:
            there = view.tasks[task.id]
            return Change(time=0.0, tasks={} if there is None else {task.id: after})

        await self._engine.book.update(Keys(tasks=[task.id]), step)

    def _told(self, mishap: Mishap) -> None:
        self.counters.mishaps += 1
        self._log("ACTION", 3, "FAILED", f"{mishap.what}: {mishap.error.message}")

    def _fault(self, problem: Exception) -> None:
        self.counters.faults += 1
        why = problem.message if isinstance(problem, TrunklineError) else str(problem)
        self._log("ACTION", 2, "FAULT", f"{type(problem).__name__}: {why}")

    def _now(self) -> datetime:
        return self._engine.clock()


def _let_go(view: View, key: str, now: float) -> Change:
    """The sessions of an account that is gone: nothing holds them any longer."""
    if view.accounts[key] is not None:
        return Change(time=now)
    return Change(
        time=now,
        sessions={
            name: session_row(replace(row.session, lease_until=min(row.session.lease_until, now)))
            for name, row in view.sessions.items()
            if row is not None and not row.session.ended
        },
    )


def _digest(rows: ChargingRows) -> str:
    """What tells AccountActions.csv and the triggers that it names from others."""
    found = hashlib.sha256()
    plain = [repr(replace(row, source=None)) for row in rows.account_actions]
    plain += [repr(replace(row, source=None)) for row in rows.action_triggers]
    for text in plain:
        found.update(text.encode("utf-8", "surrogatepass"))
    return found.hexdigest()
