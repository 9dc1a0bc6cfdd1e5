"""What is asked of the ledger besides changing it: documents, sessions, records, movements, tasks.

Through SQLAlchemy, on connections of their own: no query waits for the writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    delete,
    event,
    func,
    make_url,
    or_,
    select,
    update,
)
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from trunkline.charging.model import Account, Movement
from trunkline.store.guard import Guard, hide_password
from trunkline.store.ledger.model import (
    ACCOUNT,
    RECORD,
    SESSION,
    TASK,
    Loaded,
    RecordRow,
    SessionRow,
    Slot,
    Stored,
    TaskRow,
)
from trunkline.store.ledger.queries import RecordQuery, conditions, order_of
from trunkline.store.ledger.schema import (
    ACCOUNTS,
    ANSWERS,
    MOVEMENTS,
    RECORDS,
    SESSIONS,
    SHARING_MANY,
    TASKS,
    Cells,
    Shelf,
)
from trunkline.store.ledger.settle import State, view_of
from trunkline.store.ledger.snapshot import SqlSnapshot
from trunkline.store.ledger.sqlite import full_synchronous
from trunkline.store.ledger.upgrade import upgrade
from trunkline.store.sql import driver_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["Entry", "Reader", "entry_of"]

T = TypeVar("T")

_CONNECTIONS = 4
_IN_FLIGHT = 1000
_PAGE = 500  # keys in one statement
_ALL = 1 << 31
_RACES = 10
"""So often a claim begins again; each time means that another process claimed the same tasks."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A movement as it stands in the ledger."""

    seq: int
    """Counts up: of one account, in the order in which they happened."""
    time: float
    movement: Movement


class Reader:
    """Queries of the ledger at ``url``.

    Raises:
        StoreUnavailable: ``store.ledger-unavailable`` by every query.
    """

    def __init__(
        self, url: str, shelves: Sequence[Shelf], *, timeout: float, failures: int, pause: float
    ) -> None:
        self._url = make_url(driver_url(url))
        self._shelves = {shelf.kind: shelf for shelf in shelves}
        self._timeout = timeout
        self._engine: AsyncEngine | None = None
        self._abandoned: set[asyncio.Task[object]] = set()
        self._guard = Guard(
            "store.ledger-unavailable",
            "ledger",
            url,
            timeout=2 * timeout,  # ours comes first
            in_flight=_IN_FLIGHT,
            failures=failures,
            pause=pause,
        )
        self._where = f"ledger ({hide_password(url)})"

    async def prepare(self) -> None:
        """Make the tables where they are missing, and bring up those of earlier versions.

        Raises:
            TrunklineError: ``store.ledger-newer``.
        """
        async with self._errors():
            await upgrade(self.engine(), self._where)

    async def load(self, slots: Sequence[Slot]) -> Loaded:
        """What is stored of ``slots``, with versions."""
        keys: dict[str, list[str]] = {}
        for kind, key in dict.fromkeys(slots):
            keys.setdefault(kind, []).append(key)

        async def work(connection: AsyncConnection) -> State:
            state: State = dict.fromkeys(slots, (0, None))
            for kind, names in keys.items():
                shelf = self._shelves[kind]
                table = shelf.table
                columns = [table.c[name] for name in ("id", "version", *shelf.columns)]
                for start in range(0, len(names), _PAGE):
                    page = names[start : start + _PAGE]
                    query = select(*columns).where(table.c.id.in_(page))
                    for row in await connection.execute(query):
                        key, version, *cells = row
                        state[kind, key] = version, shelf.load(key, tuple(cells))
            return state

        state = await self._ask(work)
        versions = {slot: version for slot, (version, _) in state.items()}
        return Loaded(view_of(slots, state), versions)

    async def answer(self, once: str) -> str | None:
        """What was answered to the change with this idempotency key, if it was made."""
        query = select(ANSWERS.c.answer).where(ANSWERS.c.id == once)

        async def work(connection: AsyncConnection) -> str | None:
            return cast("str | None", (await connection.execute(query)).scalar())

        return await self._ask(work)

    async def sessions(
        self, *, account: str, lapsed: float | None, after: str, limit: int
    ) -> list[SessionRow]:
        """See :meth:`Book.sessions`."""
        shelf = self._shelves[SESSION]
        query = self._documents(shelf).where(SESSIONS.c.id > after)
        if account:
            query = query.where(SESSIONS.c.account == account)
        if lapsed is not None:
            query = query.where(SESSIONS.c.lease_until < lapsed)
        query = query.order_by(SESSIONS.c.id).limit(limit)

        async def work(connection: AsyncConnection) -> list[SessionRow]:
            rows = await connection.execute(query)
            return [cast(SessionRow, _stored(shelf, tuple(row))) for row in rows]

        return await self._ask(work)

    async def accounts(
        self, tenant: str, *, after: str, offset: int, limit: int | None
    ) -> list[Account]:
        """See :meth:`Book.accounts`."""
        shelf = self._shelves[ACCOUNT]
        query = self._documents(shelf).where(*_within(ACCOUNTS, f"{tenant}:"))
        query = query.where(ACCOUNTS.c.id > after).order_by(ACCOUNTS.c.id)
        query = query.offset(offset).limit(_ALL if limit is None else limit)

        async def work(connection: AsyncConnection) -> list[Account]:
            rows = await connection.execute(query)
            return [cast(Account, _stored(shelf, tuple(row))) for row in rows]

        return await self._ask(work)

    async def sharing(self, tenant: str, groups: Sequence[str], *, limit: int) -> list[str]:
        """See :meth:`Book.sharing`."""
        column = ACCOUNTS.c.sharing
        if self._url.get_backend_name() == "sqlite":  # whose LIKE takes "a" for "A"
            named = [func.instr(column, f";{group};") > 0 for group in groups]
        else:
            named = [column.contains(f";{group};", autoescape=True) for group in groups]
        query = select(ACCOUNTS.c.id).where(*_within(ACCOUNTS, f"{tenant}:"), column > "")
        query = query.where(or_(column == SHARING_MANY, *named)).order_by(ACCOUNTS.c.id)

        async def work(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(query.limit(limit))).scalars())

        return await self._ask(work)

    async def count_accounts(self, tenant: str) -> int:
        """See :meth:`Book.count_accounts`."""
        query = select(func.count()).where(*_within(ACCOUNTS, f"{tenant}:"))

        async def work(connection: AsyncConnection) -> int:
            return cast(int, (await connection.execute(query)).scalar())

        return await self._ask(work)

    async def tasks(self, prefix: str, *, after: str, limit: int) -> list[TaskRow]:
        """See :meth:`Book.tasks`."""
        shelf = self._shelves[TASK]
        query = self._documents(shelf).where(*_within(TASKS, prefix), TASKS.c.id > after)
        query = query.order_by(TASKS.c.id).limit(limit)

        async def work(connection: AsyncConnection) -> list[TaskRow]:
            rows = await connection.execute(query)
            return [cast(TaskRow, _stored(shelf, tuple(row))) for row in rows]

        return await self._ask(work)

    async def records(self, query: RecordQuery) -> list[RecordRow]:
        """See :meth:`Book.records`."""
        shelf = self._shelves[RECORD]
        statement = self._documents(shelf, "order_id").where(self._of(query))
        statement = statement.order_by(*order_of(query)).offset(query.offset).limit(query.limit)

        async def work(connection: AsyncConnection) -> list[RecordRow]:
            found = []
            for row in await connection.execute(statement):
                *cells, order = tuple(row)
                record = cast(RecordRow, _stored(shelf, cells))
                found.append(replace(record, order=cast(int, order)))
            return found

        return await self._ask(work)

    async def count_records(self, query: RecordQuery) -> int:
        """See :meth:`Book.count_records`."""
        statement = select(func.count()).select_from(RECORDS).where(self._of(query))

        async def work(connection: AsyncConnection) -> int:
            return cast(int, (await connection.execute(statement)).scalar())

        return await self._ask(work)

    def _of(self, query: RecordQuery) -> ColumnElement[bool]:
        return conditions(query, self._url.get_backend_name())

    async def movements(
        self, *, account: str, reference: str, after: int, limit: int
    ) -> list[Entry]:
        """See :meth:`Book.movements`."""
        query = select(MOVEMENTS).where(MOVEMENTS.c.seq > after)
        if account:
            query = query.where(MOVEMENTS.c.account == account)
        if reference:
            query = query.where(MOVEMENTS.c.reference == reference)
        query = query.order_by(MOVEMENTS.c.seq).limit(limit)

        async def work(connection: AsyncConnection) -> list[Entry]:
            return [entry_of(seq, cells) for seq, *cells in await connection.execute(query)]

        return await self._ask(work)

    async def claim(self, now: float, until: float, limit: int, prefix: str) -> list[TaskRow]:
        """See :meth:`Book.claim`."""
        shelf = self._shelves[TASK]
        due = (
            select(TASKS.c.id)
            .where(TASKS.c.due <= now, *(_within(TASKS, prefix) if prefix else ()))
            .order_by(TASKS.c.due, TASKS.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = {"due": until, "version": TASKS.c.version + 1}
        columns = [TASKS.c[name] for name in ("id", *shelf.columns)]

        async def work(connection: AsyncConnection) -> list[TaskRow]:
            for _ in range(_RACES):
                try:
                    return await once(connection)
                except OperationalError as problem:
                    if not _is_deadlock(problem):
                        raise
                    await connection.rollback()  # another process claims, too
            return await once(connection)

        async def once(connection: AsyncConnection) -> list[TaskRow]:
            if connection.dialect.name in ("mysql", "mariadb"):  # UPDATE says nothing there
                ids = list((await connection.execute(due)).scalars())
                await connection.execute(update(TASKS).where(TASKS.c.id.in_(ids)).values(taken))
                rows = await connection.execute(select(*columns).where(TASKS.c.id.in_(ids)))
            else:
                statement = update(TASKS).where(TASKS.c.id.in_(due.scalar_subquery()))
                rows = await connection.execute(statement.values(taken).returning(*columns))
            found = [cast(TaskRow, _stored(shelf, tuple(row))) for row in rows]
            await connection.commit()
            return sorted(found, key=lambda task: task.id)

        return await self._ask(work)

    async def purge(self, now: float, limit: int) -> int:
        """See :meth:`Book.purge`."""
        old = select(ANSWERS.c.id).where(ANSWERS.c.expires < now).limit(limit)

        async def work(connection: AsyncConnection) -> int:
            ids = list((await connection.execute(old)).scalars())
            for start in range(0, len(ids), _PAGE):
                page = ids[start : start + _PAGE]
                await connection.execute(delete(ANSWERS).where(ANSWERS.c.id.in_(page)))
            await connection.commit()
            return len(ids)

        return await self._ask(work)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*self._abandoned, return_exceptions=True)
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqlSnapshot]:
        """One state of the ledger, however long it is looked at."""
        async with self._errors(), self.engine().connect() as connection:
            if connection.dialect.name == "sqlite":
                await connection.exec_driver_sql("BEGIN")  # or each SELECT sees a state of its own
            else:
                connection = await connection.execution_options(isolation_level="REPEATABLE READ")
            yield SqlSnapshot(connection)
            await connection.rollback()

    def engine(self) -> AsyncEngine:
        """Made by the first query."""
        if self._engine is None:
            from sqlalchemy.ext.asyncio import create_async_engine
            from sqlalchemy.pool import AsyncAdaptedQueuePool

            sqlite = self._url.get_backend_name() == "sqlite"
            self._engine = create_async_engine(
                self._url,
                poolclass=AsyncAdaptedQueuePool,
                pool_size=_CONNECTIONS,
                max_overflow=0,
                pool_pre_ping=not sqlite,
                hide_parameters=True,
            )
            if sqlite:
                listener = full_synchronous(self._timeout * 0.8)
                event.listen(self._engine.sync_engine, "connect", listener)
        return self._engine

    @staticmethod
    def _documents(shelf: Shelf, *more: str) -> Select[tuple[object, ...]]:
        return select(*(shelf.table.c[name] for name in ("id", *shelf.columns, *more)))

    async def _ask(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What ``work`` finds, or no answer in time.

        Whoever gives up does not wait until the driver has given up too: psycopg, cancelled, waits
        for a server that hangs for up to ten seconds more.
        """
        async with self._guard.call():
            task = asyncio.create_task(self._work(work))
            try:
                await asyncio.wait({task}, timeout=self._timeout)
            finally:
                if not task.done():
                    task.cancel()
                    self._abandoned.add(task)
                    task.add_done_callback(self._forget)
            if not task.done():
                raise self._guard.unavailable(f"no answer in {self._timeout:g} s")
            return task.result()

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # seen, and of no interest any more

    async def _work(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._errors(), self.engine().connect() as connection:
            return await work(connection)

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as problem:
            origin = getattr(problem, "orig", None) or problem
            reason = " ".join(str(origin).split()) or type(origin).__name__
            raise self._guard.unavailable(reason) from problem


def _is_deadlock(problem: OperationalError) -> bool:
    """Whether the database gave up one of two transactions that waited for each other."""
    mariadb = getattr(problem.orig, "args", ())[:1]
    postgres = getattr(problem.orig, "sqlstate", "")
    return mariadb == (1213,) or postgres == "40P01"


def _within(table: Table, prefix: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """That the ID begins so; octet by octet, as the database has its index."""
    return table.c.id >= prefix, table.c.id < f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}"


def _stored(shelf: Shelf, row: Sequence[object]) -> Stored:
    """The document of a row of `Reader._documents`."""
    key, *cells = row
    return shelf.load(cast(str, key), cast(Cells, tuple(cells)))


def entry_of(seq: int, cells: Sequence[object]) -> Entry:
    """The movement number ``seq`` of :data:`~.schema.MOVEMENT_COLUMNS`."""
    time, *texts = cells
    account, balance, kind, amount, value, cause, reference = cast("list[str]", texts)
    movement = Movement(
        account=account,
        balance=balance,
        type=kind,
        amount=Decimal(amount),
        value=Decimal(value),
        cause=cause,
        reference=reference,
    )
    return Entry(seq, cast(float, time), movement)
