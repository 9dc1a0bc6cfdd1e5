"""The book of accounts: the door to the ledger.

```text
book = Book("postgresql://…")
await book.prepare()
keys = Keys(accounts=["cgrates.org:1001"], sessions=["call-1"])
done = await book.update(keys, start, once="initiate call-1", expires=now + 3600)
```

``start`` is a pure function from what is stored to a :class:`~.model.Change`. It is called within
the transaction that writes its change, when the accounts are locked: what it sees is so, in this
process and in every other, until its change is on disk. So nothing is computed in vain, and no
number of tries can run out; a hot account costs one read and one write for a whole batch. In Redis
nothing is locked: a change counts only if what it saw is still so, and who came too late has the
next turn.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from sqlalchemy import make_url

from trunkline.charging.model import Account
from trunkline.errors import TrunklineError
from trunkline.store.compiled import default_tariff_url
from trunkline.store.guard import hide_password
from trunkline.store.ledger.audit import Audit, audit
from trunkline.store.ledger.driver import Driver
from trunkline.store.ledger.mariadb import MariadbDriver
from trunkline.store.ledger.model import (
    Change,
    Committed,
    Conflict,
    Duplicate,
    Function,
    Keys,
    Loaded,
    RecordRow,
    SessionRow,
    Slot,
    TaskRow,
    View,
    check_key,
)
from trunkline.store.ledger.postgres import PostgresDriver
from trunkline.store.ledger.queries import RecordQuery
from trunkline.store.ledger.reader import Entry, Reader
from trunkline.store.ledger.redis import RedisDriver
from trunkline.store.ledger.redis_reader import RedisReader
from trunkline.store.ledger.schema import Shelf, shelves
from trunkline.store.ledger.settle import Failed, Item
from trunkline.store.ledger.sqlite import SqliteDriver
from trunkline.store.ledger.writer import LedgerCounters, Writer
from trunkline.store.redis import is_redis
from trunkline.store.sql import driver_url

__all__ = ["Book", "default_ledger_url"]

C = TypeVar("C", bound=Change)
_PAGE = 500  # records at a time


def default_ledger_url() -> str:
    """The SQLite file of accounts in the user's state folder (made where it is missing)."""
    return f"{default_tariff_url().rpartition('/')[0]}/ledger.sqlite"


class Book:
    """The ledger at ``url``: SQLite in a file, PostgreSQL, MariaDB or Redis.

    Args:
        url: as in :func:`trunkline.store.sql.driver_url`, not SQLite in memory; or ``redis://``.
        queue: changes that may wait to be written.
        batch: changes in one transaction at most.
        timeout: s; for a batch, and for a query.
        writers: connections that write, where the database lets several; each more is worth
            something only while another waits for the disk.
        cached: accounts, and as many sessions, whose documents are remembered. What is remembered
            is used only while the database has the same version.
        failures: so many batches in a row without an answer open the breaker.
        pause: s until a trial.

    Raises:
        TrunklineError: ``store.ledger-url``, ``store.sql-url`` and ``store.redis-url`` when it is
            made; ``store.ledger-redis`` by `prepare`.
        StoreUnavailable: ``store.ledger-unavailable`` by every method; ``store.ledger-full`` and
            ``store.ledger-unknown`` by `update` and `commit`.
    """

    def __init__(
        self,
        url: str,
        *,
        queue: int = 10_000,
        batch: int = 100,
        timeout: float = 5.0,
        writers: int = 2,
        cached: int = 50_000,
        failures: int = 3,
        pause: float = 1.0,
    ) -> None:
        self.url = url
        kept = shelves(cached=cached)
        reader = RedisReader if is_redis(url) else Reader
        self._reader: Reader | RedisReader = reader(
            url, kept, timeout=timeout, failures=failures, pause=pause
        )
        self._writer = Writer(
            _drivers(url, kept, timeout, writers),
            kept,
            where=f"ledger ({hide_password(url)})",
            limit=queue,
            batch=batch,
            timeout=timeout,
            failures=failures,
            pause=pause,
        )

    @property
    def counters(self) -> LedgerCounters:
        """What became of the changes so far."""
        return self._writer.counters

    @property
    def waiting(self) -> int:
        """Changes that wait to be written."""
        return self._writer.waiting

    async def prepare(self) -> None:
        """Make the tables where they are missing; before anything else.

        Raises:
            TrunklineError: ``store.ledger-redis``: this Redis may lose what it is given.
        """
        await self._reader.prepare()

    async def load(self, keys: Keys) -> Loaded:
        """What is stored of ``keys``, with versions."""
        return await self._reader.load(keys.slots())

    async def update(
        self, keys: Keys, function: Function[C], *, once: str = "", expires: float = 0.0
    ) -> Committed[C] | Duplicate:
        """Change what ``function`` says; returns when it is on disk.

        Args:
            keys: what ``function`` sees, and may change.
            function: pure. A change of nothing writes nothing: so one reads what is so now.
            once: the idempotency key: of all changes with the same one, only the first is made.
            expires: when the answer kept with ``once`` may be forgotten.

        Raises:
            Exception: what ``function`` raises; nothing was written.
            TrunklineError: ``store.ledger-undeclared``, ``store.ledger-unbalanced``,
                ``store.ledger-key``, ``store.ledger-refused``.
        """
        if once:
            check_key(once)
        outcome = await self._writer.submit(
            Item(keys.slots(), function, once=once, expires=expires)
        )
        if isinstance(outcome, Failed):
            raise outcome.problem
        return cast("Committed[C] | Duplicate", outcome)

    async def commit(
        self,
        change: C,
        versions: Mapping[Slot, int],
        *,
        once: str = "",
        expires: float = 0.0,
    ) -> Committed[C] | Duplicate | Conflict:
        """Write ``change`` if all of ``versions`` (see `load`) are what they were.

        What is not in ``versions`` cannot be written.
        """
        if once:
            check_key(once)

        def function(_: View) -> Change:
            return change

        item = Item(tuple(versions), function, versions=versions, once=once, expires=expires)
        outcome = await self._writer.submit(item)
        if isinstance(outcome, Failed):
            raise outcome.problem
        return cast("Committed[C] | Duplicate | Conflict", outcome)

    async def answer(self, once: str) -> str | None:
        """What was answered to the change with this idempotency key; ``None``: there was none."""
        return await self._reader.answer(once)

    async def sessions(
        self,
        *,
        account: str = "",
        lapsed: float | None = None,
        after: str = "",
        limit: int = 1000,
    ) -> list[SessionRow]:
        """Sessions in the order of their IDs, of an account, or with a lease until before `lapsed`.

        ``after``: the last ID of the page before.
        """
        return await self._reader.sessions(account=account, lapsed=lapsed, after=after, limit=limit)

    async def accounts(
        self, tenant: str, *, after: str = "", offset: int = 0, limit: int | None = None
    ) -> list[Account]:
        """The accounts of a tenant, in the order of their keys.

        ``after``: the last key of the page before. ``offset``: so many are passed over.
        """
        return await self._reader.accounts(tenant, after=after, offset=offset, limit=limit)

    async def sharing(self, tenant: str, groups: Sequence[str], *, limit: int) -> list[str]:
        """The keys of a tenant's accounts that have a balance of these shared groups, in order.

        There may be others among them, with so many groups that they cannot all be looked for.
        """
        return await self._reader.sharing(tenant, groups, limit=limit)

    async def count_accounts(self, tenant: str) -> int:
        """How many accounts a tenant has."""
        return await self._reader.count_accounts(tenant)

    async def tasks(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[TaskRow]:
        """Tasks whose ID begins with ``prefix``, in the order of their IDs.

        ``after``: the last ID of the page before.
        """
        return await self._reader.tasks(prefix, after=after, limit=limit)

    async def records(self, query: RecordQuery) -> list[RecordRow]:
        """Records, in the order that is asked for."""
        return await self._reader.records(query)

    async def record_pages(self, query: RecordQuery) -> AsyncIterator[list[RecordRow]]:
        """The records of a query, up to its limit, a few at a time."""
        sorts = query.offset or query.order_by != "order" or query.descending
        found, last = 0, query.after
        while found < query.limit:
            size = min(_PAGE, query.limit - found)
            if sorts:
                asked = replace(query, offset=query.offset + found, limit=size)
            else:
                asked = replace(query, after=last, limit=size)
            page = await self.records(asked)
            if not page:
                return
            yield page
            found += len(page)
            last = page[-1].order

    async def count_records(self, query: RecordQuery) -> int:
        """How many records there are; the limit and offset of ``query`` do not count."""
        return await self._reader.count_records(query)

    async def movements(
        self, *, account: str = "", reference: str = "", after: int = 0, limit: int = 1000
    ) -> list[Entry]:
        """Movements in their order, of an account or with a reference."""
        return await self._reader.movements(
            account=account, reference=reference, after=after, limit=limit
        )

    async def claim(
        self, now: float, until: float, limit: int = 100, *, prefix: str = ""
    ) -> list[TaskRow]:
        """Tasks that are due, for the caller alone until ``until``, when they are due again.

        ``prefix``: with which their IDs begin.

        A change that removes a task does it once: name the task among its keys, and do nothing if
        it is gone.
        """
        return await self._reader.claim(now, until, limit, prefix)

    async def purge(self, now: float, limit: int = 10_000) -> int:
        """Forget answers that expired before ``now``; returns how many."""
        return await self._reader.purge(now, limit)

    async def audit(self, progress: Callable[[int, int], None] | None = None) -> Audit:
        """Whether everything adds up; see :func:`~.audit.audit`."""
        return await audit(self._reader, progress)

    async def close(self) -> None:
        """Write what waits, and close the connections."""
        await self._writer.close()
        await self._reader.close()


def _drivers(url: str, kept: Sequence[Shelf], timeout: float, writers: int) -> list[Driver]:
    patience = timeout * 0.8  # shorter than ours: the database says why
    if is_redis(url):
        return [RedisDriver(url, kept, patience)]  # two of one process would only race
    found = make_url(driver_url(url))
    if found.get_backend_name() == "sqlite":
        if not found.database or found.database == ":memory:":
            raise TrunklineError(
                "store.ledger-url",
                f"{url!r}: a ledger in memory would be lost: name a file, sqlite:///ledger.db",
            )
        return [SqliteDriver(found.database, kept, patience)]
    if found.get_backend_name() == "postgresql":
        return [PostgresDriver(url, kept, patience) for _ in range(writers)]
    return [MariadbDriver(url, kept, patience) for _ in range(writers)]
