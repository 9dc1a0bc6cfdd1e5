"""Group commit: whatever waits goes into one transaction, and is answered when that is on disk.

A flush to disk takes as long for a hundred changes as for one. So a batch is what came while the
batch before it was written: one change alone waits for nobody, and under load the batches grow.

Whoever waits for an answer may stop waiting. The change goes on: it is written once, or not at all.

| what happens | what the callers of the batch get |
|---|---|
| another process holds the rows | the batch waits; then `store.ledger-unavailable` |
| another process inserted the same key | the batch begins again, and sees it |
| the database refuses a value | each change is tried alone; the one gets `store.ledger-refused` |
| no connection, or lost before the batch was sent | `store.ledger-unavailable`: not written |
| lost after that | `store.ledger-unknown`: written or not; with an idempotency key, ask again |
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.store.breaker import Breaker
from trunkline.store.guard import StoreUnavailable
from trunkline.store.ledger.driver import Driver, Found, Lost, Raced, Refused, Wanted
from trunkline.store.ledger.model import Stored
from trunkline.store.ledger.schema import Shelf
from trunkline.store.ledger.settle import Failed, Item, Outcome, Settlement, State

__all__ = ["LedgerCounters", "Writer"]

_SLICE: Final = 0.002
"""s; so long a batch computes before others have a turn on the loop."""
_RACES: Final = 20
"""So often a batch begins again; each time means that another process wrote the same key."""


@dataclass(slots=True)
class LedgerCounters:
    """What became of the changes of one book."""

    changes: int = 0
    """Taken into a batch."""
    batches: int = 0
    """Transactions that were committed."""
    raced: int = 0
    """Batches that began again."""
    lost: int = 0
    """Batches without an answer."""
    unknown: int = 0
    """Of these, changes of which nobody knows whether they were written."""
    refused: int = 0
    """Changes not taken: the queue was full, or the breaker open."""


class _Cache:
    """The newest documents of one shelf as this process knows them; the version tells whether."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, tuple[int, Stored]] = OrderedDict()

    def get(self, key: str) -> tuple[int, Stored] | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: str, version: int, stored: Stored | None) -> None:
        if stored is None:
            self._entries.pop(key, None)
        elif self._limit:
            self._entries[key] = version, stored
            self._entries.move_to_end(key)
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)


@dataclass(slots=True)
class _Waiting:
    item: Item
    future: asyncio.Future[Outcome | StoreUnavailable]


class _Deadline:
    """The time that one batch has."""

    def __init__(self, timeout: float, driver: Driver) -> None:
        self.over = False
        self._timeout = timeout
        self._driver = driver
        self._timer = asyncio.get_running_loop().call_later(timeout, self._pass)

    def _pass(self) -> None:
        self.over = True
        self._driver.abort()

    def reason(self, problem: Exception) -> str:
        return f"no answer in {self._timeout:g} s" if self.over else str(problem)

    def cancel(self) -> None:
        self._timer.cancel()


class Writer:
    """Writes the items that it is given, each once, in batches of up to ``batch``.

    ``limit``: items that may wait. ``timeout``: seconds for one batch. ``where``: the ledger's name
    in messages, and its URL without the password. Each of ``drivers`` writes for itself.
    """

    def __init__(
        self,
        drivers: Sequence[Driver],
        shelves: Sequence[Shelf],
        *,
        where: str,
        limit: int,
        batch: int,
        timeout: float,
        failures: int,
        pause: float,
    ) -> None:
        self.counters = LedgerCounters()
        self._drivers = drivers
        self._shelves = shelves
        self._caches = {shelf.kind: _Cache(shelf.cached) for shelf in shelves}
        self._where = where
        self._limit = limit
        self._most = batch
        self._timeout = timeout
        self._breaker = Breaker(failures=failures, pause=pause)
        self._reason = ""
        self._queue: deque[_Waiting] = deque()
        self._filled = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Items that wait for their batch."""
        return len(self._queue)

    async def submit(self, item: Item) -> Outcome:
        """Write ``item``; returns when what became of it is on disk.

        Raises:
            StoreUnavailable: ``store.ledger-full``, ``store.ledger-unavailable`` or
                ``store.ledger-unknown``.
            TrunklineError: ``store.ledger-closed``.
        """
        if self._closing:
            raise TrunklineError("store.ledger-closed", f"{self._where}: the book is closed")
        loop = asyncio.get_running_loop()
        if len(self._queue) >= self._limit:
            self.counters.refused += 1
            raise self._error(
                "store.ledger-full",
                f"{self._limit} changes wait to be written already; this one was not taken",
            )
        if self._breaker.wait(loop.time()):
            self.counters.refused += 1
            raise self._unavailable(f"left alone for now ({self._reason})")
        if not self._tasks:
            self._tasks = [loop.create_task(self._serve(driver)) for driver in self._drivers]
        waiting = _Waiting(item, loop.create_future())
        self._queue.append(waiting)
        self._filled.set()
        # Not ours to cancel: the item is written whether its caller waits or not.
        outcome = await asyncio.shield(waiting.future)
        if isinstance(outcome, StoreUnavailable):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Write what waits, and close the connections."""
        self._closing = True
        self._filled.set()
        await asyncio.gather(*self._tasks)
        for driver in self._drivers:
            await driver.close()

    async def _serve(self, driver: Driver) -> None:
        while True:
            while not self._queue:
                if self._closing:
                    return
                self._filled.clear()
                await self._filled.wait()
            # Those that the batch before has just answered may have more: let them speak first.
            await asyncio.sleep(0)
            batch = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
            if batch:
                await self._write(driver, batch)

    async def _write(self, driver: Driver, batch: Sequence[_Waiting]) -> None:
        now = asyncio.get_running_loop().time
        permit = self._breaker.enter(now())
        if permit is None:
            self.counters.refused += len(batch)
            error = self._unavailable(f"left alone for now ({self._reason})")
            _answer(batch, [error] * len(batch))
            return
        try:
            outcomes = await self._settled(driver, [each.item for each in batch])
        except StoreUnavailable as problem:
            self._reason = problem.message.removeprefix(f"{self._where}: ").partition(";")[0]
            self._breaker.failed(permit, now())
            self.counters.lost += 1
            _answer(batch, [problem] * len(batch))
        except Exception as problem:
            self._breaker.succeeded(permit)
            if len(batch) > 1:
                # Which of them it was, the database does not say.
                for each in batch:
                    await self._write(driver, [each])
                return
            _answer(batch, [Failed(problem)])
        else:
            self._breaker.succeeded(permit)
            self.counters.changes += len(batch)
            _answer(batch, outcomes)

    async def _settled(self, driver: Driver, items: Sequence[Item]) -> list[Outcome]:
        """Write one batch.

        Raises:
            StoreUnavailable: no answer.
            TrunklineError: ``store.ledger-refused``.
        """
        for _ in range(_RACES):
            deadline = _Deadline(self._timeout, driver)
            try:
                return await self._attempt(driver, items, deadline)
            except Raced as problem:
                self.counters.raced += 1
                self._reason = str(problem)
                await self._undo(driver)
            except Refused as problem:
                await self._undo(driver)
                raise TrunklineError(
                    "store.ledger-refused", f"{self._where}: {problem}"
                ) from problem
            except BaseException:
                await driver.close()
                raise
            finally:
                deadline.cancel()
        raise self._unavailable(f"other processes were faster {_RACES} times: {self._reason}")

    async def _undo(self, driver: Driver) -> None:
        try:
            await driver.undo()
        except (Lost, Raced, Refused):
            await driver.close()

    async def _attempt(
        self, driver: Driver, items: Sequence[Item], deadline: _Deadline
    ) -> list[Outcome]:
        known = self._known(items)
        found = await self._read(driver, _wanted(items, known), deadline)
        state = self._state(items, known, found)
        before = dict(state)
        settlement = Settlement(state, found.answers)
        outcomes = []
        pause = time.monotonic() + _SLICE
        for item in items:
            outcomes.append(settlement.settle(item))
            if time.monotonic() > pause:
                await asyncio.sleep(0)
                pause = time.monotonic() + _SLICE
        rows = settlement.rows(self._shelves)
        try:
            await driver.write(rows)
        except (Raced, Refused):
            raise
        except Exception as problem:
            if not rows or (isinstance(problem, Lost) and problem.undone):
                raise self._unavailable(deadline.reason(problem)) from problem
            self.counters.unknown += len(items)
            raise self._error(
                "store.ledger-unknown",
                f"{deadline.reason(problem)}; what was under way is written or not: ask again with "
                "the same idempotency key",
            ) from problem
        self.counters.batches += bool(rows)
        for slot, (version, stored) in state.items():
            if version or before.get(slot, (0, None))[0]:
                self._caches[slot[0]].put(slot[1], version, stored)
        return outcomes

    async def _read(self, driver: Driver, wanted: Wanted, deadline: _Deadline) -> Found:
        try:
            if driver.connected:
                try:
                    return await driver.read(wanted)
                except Lost as problem:
                    await driver.close()
                    if not problem.dead or deadline.over:
                        raise
                    # It may have been dead since the batch before: nothing is lost yet.
            return await driver.read(wanted)
        except Lost as problem:
            raise self._unavailable(deadline.reason(problem)) from problem

    def _known(self, items: Sequence[Item]) -> State:
        """What this process remembers of what the items want; version 0: nothing."""
        known: State = {}
        for item in items:
            for slot in item.slots:
                if slot not in known:
                    known[slot] = self._caches[slot[0]].get(slot[1]) or (0, None)
        return known

    def _state(self, items: Sequence[Item], known: State, found: Found) -> State:
        state: State = {}
        shelves = {shelf.kind: shelf for shelf in self._shelves}
        for slot, (version, stored) in known.items():
            kind, key = slot
            there = found.documents[kind].get(key)
            if there is None:
                state[slot] = 0, None
            elif there[0] == version:
                state[slot] = version, stored
            else:
                state[slot] = there[0], shelves[kind].load(key, there[1])
        return state

    def _unavailable(self, reason: str) -> StoreUnavailable:
        return self._error(
            "store.ledger-unavailable",
            f"{reason}; nothing was written: see that the database runs",
        )

    def _error(self, code: str, text: str) -> StoreUnavailable:
        return StoreUnavailable(code, "ledger", f"{self._where}: {text}")


def _wanted(items: Sequence[Item], known: State) -> Wanted:
    versions: dict[str, dict[str, int]] = {}
    for kind, key in sorted(known):
        versions.setdefault(kind, {})[key] = known[kind, key][0]
    return Wanted(versions, sorted({item.once for item in items if item.once}))


def _answer(batch: Sequence[_Waiting], outcomes: Sequence[Outcome | StoreUnavailable]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if not waiting.future.done():
            waiting.future.set_result(outcome)
