"""What is asked of a ledger in Redis besides changing it; see `reader`, which does it in SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from secrets import randbits
from typing import Final, TypeVar, cast

from trunkline.charging.model import Account
from trunkline.store.guard import Guard, hide_password
from trunkline.store.keyvalue import Word
from trunkline.store.ledger.audit import Moved
from trunkline.store.ledger.lua import CLAIM, MOVES, PAGE, PREFIX, PURGE, READ, Script
from trunkline.store.ledger.model import (
    ACCOUNT,
    RECORD,
    SESSION,
    TASK,
    Loaded,
    RecordRow,
    SessionRow,
    Slot,
    TaskRow,
)
from trunkline.store.ledger.queries import RecordQuery, fits, place_of
from trunkline.store.ledger.reader import Entry, entry_of
from trunkline.store.ledger.redis import ONCE, cells_of, check_server
from trunkline.store.ledger.schema import VERSION, Shelf, account_of
from trunkline.store.ledger.settle import State, view_of
from trunkline.store.ledger.upgrade import newer
from trunkline.store.redis import Client, check_redis_url, client, redis_reason

__all__ = ["RedisReader"]

T = TypeVar("T")

_IN_FLIGHT: Final = 1000
_PAGE: Final = 500  # documents, accounts or movements in one answer


class RedisReader:
    """Queries of the ledger at ``url``; see :class:`~trunkline.store.ledger.reader.Reader`."""

    def __init__(
        self, url: str, shelves: Sequence[Shelf], *, timeout: float, failures: int, pause: float
    ) -> None:
        check_redis_url("ledger", url)
        self._url = url
        self._timeout = timeout
        self._shelves = {shelf.kind: shelf for shelf in shelves}
        self._client: Client | None = None
        self._guard = Guard(
            "store.ledger-unavailable",
            "ledger",
            url,
            timeout=timeout,
            in_flight=_IN_FLIGHT,
            failures=failures,
            pause=pause,
        )

    async def prepare(self) -> None:
        """See that the server keeps what it is given.

        Raises:
            TrunklineError: ``store.ledger-redis``, ``store.ledger-newer``.
        """
        await self._ask(lambda found: check_server(found, self._url))
        found = cast("str | None", await self._command("GET", f"{PREFIX}schema"))
        if found is None:
            await self._command("SET", f"{PREFIX}schema", str(VERSION), "NX")
        elif int(found) > VERSION:
            raise newer(f"ledger ({hide_password(self._url)})", int(found))

    async def load(self, slots: Sequence[Slot]) -> Loaded:
        """See :meth:`Book.load`."""
        state: State = {}
        for slot, value in (await self._values(slots)).items():
            version, _, cells = (value or "0").partition(" ")
            stored = self._shelves[slot[0]].load(slot[1], cells_of(cells)) if value else None
            state[slot] = int(version), stored
        versions = {slot: version for slot, (version, _) in state.items()}
        return Loaded(view_of(slots, state), versions)

    async def answer(self, once: str) -> str | None:
        """See :meth:`Book.answer`."""
        return cast("str | None", await self._command("HGET", f"{PREFIX}{ONCE}", once))

    async def sessions(
        self, *, account: str, lapsed: float | None, after: str, limit: int
    ) -> list[SessionRow]:
        """See :meth:`Book.sessions`."""
        if lapsed is None:
            index = f"{PREFIX}session:of:{account}" if account else f"{PREFIX}session:names"
            names = self._names(index, after)
        else:
            names = self._lapsed(lapsed, after)
        found: list[SessionRow] = []
        async for page in names:
            for session in await self._documents(SESSION, page):
                row = cast(SessionRow, session)
                if account in ("", row.account) and (lapsed is None or row.lease_until < lapsed):
                    found.append(row)
            if len(found) >= limit:
                break
        return found[:limit]

    async def accounts(
        self, tenant: str, *, after: str, offset: int, limit: int | None
    ) -> list[Account]:
        """See :meth:`Book.accounts`."""
        first, end = _within(f"{tenant}:")
        if after:
            first = max(f"({after}", first, key=lambda bound: bound[1:])
        found: list[Account] = []
        while limit is None or len(found) < limit:
            count = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = await self._range(f"{PREFIX}account:names", first, end, offset, count)
            if not page:
                break
            found += cast("list[Account]", await self._documents(ACCOUNT, page))
            first, offset = f"({page[-1]}", 0
        return found

    async def sharing(self, tenant: str, groups: Sequence[str], *, limit: int) -> list[str]:
        """See :meth:`Book.sharing`."""
        first, end = _within(f"{tenant}:")
        found: list[str] = []
        while len(found) < limit:
            page = await self._range(f"{PREFIX}account:sharing", first, end, 0, _PAGE)
            if not page:
                break
            for account in cast("list[Account]", await self._documents(ACCOUNT, page)):
                shared = {name for each in account.balances for name in each.shared_groups}
                if shared.intersection(groups):
                    found.append(account.key)
            first = f"({page[-1]}"
        return found[:limit]

    async def count_accounts(self, tenant: str) -> int:
        """See :meth:`Book.count_accounts`."""
        bounds = _within(f"{tenant}:")
        return cast(int, await self._command("ZLEXCOUNT", f"{PREFIX}account:names", *bounds))

    async def tasks(self, prefix: str, *, after: str, limit: int) -> list[TaskRow]:
        """See :meth:`Book.tasks`."""
        first, end = _within(prefix)
        if after:
            first = max(f"({after}", first, key=lambda bound: bound[1:])
        page = await self._range(f"{PREFIX}task:names", first, end, 0, limit)
        return cast("list[TaskRow]", await self._documents(TASK, page))

    async def records(self, query: RecordQuery) -> list[RecordRow]:
        """See :meth:`Book.records`."""
        last = query.offset + query.limit
        sorts = query.order_by != "order" or query.descending
        found: list[RecordRow] = []
        async for page in self._fitting(query):
            found += page
            if len(found) >= last and not sorts:
                break
        if sorts:
            found.sort(key=partial(place_of, query), reverse=query.descending)
        return found[query.offset : last]

    async def count_records(self, query: RecordQuery) -> int:
        """See :meth:`Book.count_records`."""
        return sum([len(page) async for page in self._fitting(query)])

    async def _fitting(self, query: RecordQuery) -> AsyncIterator[list[RecordRow]]:
        """The records of a query, in the order in which they came."""
        async for page in self._orders(query):
            rows = cast("list[RecordRow]", await self._documents(RECORD, page))
            placed = (replace(row, order=page[row.key]) for row in rows)
            yield [row for row in placed if fits(query, row)]

    async def movements(
        self, *, account: str, reference: str, after: int, limit: int
    ) -> list[Entry]:
        """See :meth:`Book.movements`."""
        found: list[Entry] = []
        while len(found) < limit:
            if account or reference:
                index = f"moved:{reference}" if reference else f"moves:{account}"
                page = await self._moves(index, after, min(limit, _PAGE))
            else:
                page = await self._all_moves(after, min(limit, _PAGE))
            if not page:
                break
            after = page[-1].seq
            found += [each for each in page if account in ("", each.movement.account)]
        return found[:limit]

    async def claim(self, now: float, until: float, limit: int, prefix: str) -> list[TaskRow]:
        """See :meth:`Book.claim`."""
        arguments = repr(float(now)), repr(float(until)), limit, randbits(62) + 1, prefix
        words = cast("list[str]", await self._run(CLAIM, *arguments))
        load = self._shelves[TASK].load
        return sorted(
            (cast(TaskRow, load(key, cells_of(cells))) for key, cells in _pairs(words)),
            key=lambda task: task.id,
        )

    async def purge(self, now: float, limit: int) -> int:
        """See :meth:`Book.purge`."""
        return cast(int, await self._run(PURGE, repr(float(now)), limit))

    async def close(self) -> None:
        """Close the connections."""
        from redis.exceptions import RedisError

        found, self._client = self._client, None
        if found is not None:
            with suppress(RedisError, OSError):
                await found.aclose()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[RedisSnapshot]:
        """The ledger, each account of it in one state."""
        yield RedisSnapshot(self)

    async def _values(self, slots: Sequence[Slot]) -> dict[Slot, str | None]:
        """Versions and cells of documents, all at one time."""
        names = list(dict.fromkeys(slots))
        words = [word for kind, key in names for word in (kind, key, "")]
        values = await self._run(READ, "", 0, *words)
        return dict(zip(names, cast("list[str | None]", values), strict=True))

    async def _documents(self, kind: str, keys: Mapping[str, int] | Sequence[str]) -> list[object]:
        """Those of ``keys`` that are there, in their order."""
        names = list(keys)
        if not names:
            return []
        values = cast("list[str | None]", await self._command("HMGET", f"{PREFIX}{kind}", *names))
        load = self._shelves[kind].load
        return [
            load(key, cells_of(value.partition(" ")[2]))
            for key, value in zip(names, values, strict=True)
            if value is not None
        ]

    async def _names(self, index: str, after: str) -> AsyncIterator[list[str]]:
        while page := await self._range(index, f"({after}" if after else "-", "+", 0, _PAGE):
            yield page
            after = page[-1]

    async def _range(self, index: str, first: str, end: str, offset: int, count: int) -> list[str]:
        words = "ZRANGEBYLEX", index, first, end, "LIMIT", offset, count
        return cast("list[str]", await self._command(*words))

    async def _lapsed(self, lapsed: float, after: str) -> AsyncIterator[list[str]]:
        index = f"{PREFIX}session:lease"
        found = await self._command("ZRANGEBYSCORE", index, "-inf", f"({float(lapsed)!r}")
        names = sorted(key for key in cast("list[str]", found) if key > after)
        for start in range(0, len(names), _PAGE):
            yield names[start : start + _PAGE]

    async def _orders(self, query: RecordQuery) -> AsyncIterator[dict[str, int]]:
        """Keys of records that may fit, with their order, in it; by the narrowest index."""
        for index, values in (
            ("named", query.ids),
            ("origin", query.origin_ids),
            ("of", query.accounts),
        ):
            if values:
                names = [f"{PREFIX}record:{index}:{value}" for value in dict.fromkeys(values)]
                break
        else:
            if query.since is not None or query.until is not None:
                async for page in self._timed(query):
                    yield page
                return
            names = [f"{PREFIX}record:order"]
        after = query.after
        while True:
            page = {}
            for name in names:
                words = await self._command(
                    "ZRANGEBYSCORE", name, f"({after}", "+inf", "WITHSCORES", "LIMIT", 0, _PAGE
                )
                page.update((key, int(order)) for key, order in _pairs(cast("list[str]", words)))
            if not page:
                return
            # What one index has after its page may come before what another had in its page.
            ordered = sorted(page.items(), key=lambda each: each[1])[:_PAGE]
            yield dict(ordered)
            after = ordered[-1][1]

    async def _timed(self, query: RecordQuery) -> AsyncIterator[dict[str, int]]:
        """The same, of the time that is asked for."""
        since = "-inf" if query.since is None else repr(float(query.since))
        until = "+inf" if query.until is None else f"({float(query.until)!r}"
        index = f"{PREFIX}record:time"
        names = cast("list[str]", await self._command("ZRANGEBYSCORE", index, since, until))
        orders: list[tuple[int, str]] = []
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            found = await self._command("ZMSCORE", f"{PREFIX}record:order", *page)
            scores = zip(cast("list[str | None]", found), page, strict=True)
            orders += [(int(score), key) for score, key in scores if score is not None]
        orders = sorted(each for each in orders if each[0] > query.after)
        for start in range(0, len(orders), _PAGE):
            yield {key: order for order, key in orders[start : start + _PAGE]}

    async def _moves(self, index: str, after: int, limit: int) -> list[Entry]:
        words = cast("list[str]", await self._run(MOVES, index, after, limit))
        return [entry_of(int(seq), cells_of(cells)) for seq, cells in _pairs(words)]

    async def _all_moves(self, after: int, limit: int) -> list[Entry]:
        rows = await self._command(
            "XRANGE", f"{PREFIX}movements", f"{after + 1}-0", "+", "COUNT", limit
        )
        found = cast("list[tuple[str, tuple[str, str]]]", rows)
        return [entry_of(int(name.partition("-")[0]), cells_of(pair[1])) for name, pair in found]

    async def _command(self, *words: Word) -> object:
        return await self._ask(lambda found: found.execute_command(*words))

    async def _run(self, script: Script, *arguments: Word) -> object:
        return await self._ask(lambda found: script.run(found, *arguments))

    async def _ask(self, work: Callable[[Client], Awaitable[T]]) -> T:
        from redis import exceptions

        async with self._guard.call():
            if self._client is None:
                self._client = client(self._url, self._timeout)
            try:
                return await work(self._client)
            except (exceptions.RedisError, OSError) as problem:
                raise self._guard.unavailable(redis_reason(problem)) from problem


class RedisSnapshot:
    """See :class:`~trunkline.store.ledger.audit.Snapshot`.

    Movements are never changed, and an account's state comes with the number of its movements: so
    each account is looked at in one state, though not all in the same.
    """

    def __init__(self, reader: RedisReader) -> None:
        self._reader = reader

    async def count(self) -> int:
        """See :meth:`Snapshot.count`."""
        return cast(int, await self._reader._command("XLEN", f"{PREFIX}movements"))

    async def pages(self) -> AsyncIterator[tuple[Mapping[str, Account], AsyncIterator[Moved]]]:
        """See :meth:`Snapshot.pages`."""
        last = ""
        while True:
            words = cast("list[str | int | None]", await self._reader._run(PAGE, last, _PAGE))
            accounts: dict[str, Account] = {}
            counts: dict[str, int] = {}
            for at in range(0, len(words), 3):
                key, value, count = cast("tuple[str, str | None, int]", words[at : at + 3])
                counts[key] = count
                if value is not None:
                    accounts[key] = account_of(cast(str, cells_of(value.partition(" ")[2])[0]))
            yield accounts, self._movements(counts)
            if len(counts) < _PAGE:
                return
            last = list(counts)[-1]

    async def _movements(self, counts: Mapping[str, int]) -> AsyncIterator[Moved]:
        for account, count in counts.items():
            left, after = count, 0
            while left:
                page = await self._reader._moves(f"moves:{account}", after, min(left, _PAGE))
                if not page:
                    break
                for each in page:
                    moved = each.movement
                    yield Moved(
                        account=account,
                        balance=moved.balance,
                        amount=moved.amount,
                        value=moved.value,
                        cause=moved.cause,
                        seq=each.seq,
                    )
                left, after = left - len(page), page[-1].seq

    async def sessions(self) -> tuple[int, list[tuple[str, str]]]:
        """See :meth:`Snapshot.sessions`."""
        lost: list[tuple[str, str]] = []
        count = 0
        async for names in self._reader._names(f"{PREFIX}session:names", ""):
            rows = cast("list[SessionRow]", await self._reader._documents(SESSION, names))
            count += len(rows)
            slots = [(ACCOUNT, row.account) for row in rows if row.account]
            there = await self._reader._values(slots)
            for row in rows:
                if row.account and there[ACCOUNT, row.account] is None:
                    # The two were read one after the other: it may have ended in between.
                    both = [(SESSION, row.id), (ACCOUNT, row.account)]
                    session, account = (await self._reader._values(both)).values()
                    if session is not None and account is None:
                        lost.append((row.id, row.account))
        return count, lost

    async def records(self) -> tuple[int, list[tuple[str, str, str]]]:
        """See :meth:`Snapshot.records`."""
        unpaid: list[tuple[str, str, str]] = []
        count = 0
        async for names in self._reader._orders(RecordQuery()):
            rows = cast("list[RecordRow]", await self._reader._documents(RECORD, names))
            count += len(rows)
            for row in rows:
                if row.reference and not await self._reader._command(
                    "EXISTS", f"{PREFIX}moved:{row.reference}"
                ):
                    account = f"{row.tenant}:{row.account}" if row.account else ""
                    unpaid.append((row.key, account, row.reference))
        return count, unpaid


def _within(prefix: str) -> tuple[str, str]:
    """Bounds of the names that begin so."""
    return f"[{prefix}", f"({prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))
