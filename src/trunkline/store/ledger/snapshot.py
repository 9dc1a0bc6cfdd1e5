"""One state of a ledger in SQL, as an audit goes through it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import and_, exists, func, select

from trunkline.charging.model import Account
from trunkline.store.ledger.audit import Moved
from trunkline.store.ledger.schema import ACCOUNTS, MOVEMENTS, RECORDS, SESSIONS, account_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["SqlSnapshot"]

_PAGE: Final = 500  # accounts at once


class SqlSnapshot:
    """See :class:`~trunkline.store.ledger.audit.Snapshot`; ``connection`` sees one state."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def count(self) -> int:
        """See :meth:`Snapshot.count`."""
        return await self._count(select(func.count()).select_from(MOVEMENTS))

    async def pages(self) -> AsyncIterator[tuple[Mapping[str, Account], AsyncIterator[Moved]]]:
        """See :meth:`Snapshot.pages`."""
        last = ""
        while True:
            query = (
                select(ACCOUNTS.c.id, ACCOUNTS.c.document)
                .where(ACCOUNTS.c.id > last)
                .order_by(ACCOUNTS.c.id)
                .limit(_PAGE)
            )
            rows = await self._connection.execute(query)
            page = {key: account_of(text) for key, text in rows}
            end = max(page) if len(page) == _PAGE else None
            yield page, self._movements(last, end)
            if end is None:
                return
            last = end

    async def _movements(self, last: str, end: str | None) -> AsyncIterator[Moved]:
        """Of every account after ``last``, up to ``end``."""
        columns = MOVEMENTS.c
        within = columns.account > last if end is None else columns.account.between(last, end)
        query = (
            select(
                *(columns.account, columns.balance, columns.amount, columns.value),
                *(columns.cause, columns.seq),
            )
            .where(and_(within, columns.account != last))
            .order_by(columns.account, columns.seq)
        )
        async with self._connection.stream(query.execution_options(yield_per=5000)) as rows:
            async for account, balance, amount, value, cause, seq in rows:
                yield Moved(account, balance, Decimal(amount), Decimal(value), cause, seq)

    async def sessions(self) -> tuple[int, list[tuple[str, str]]]:
        """See :meth:`Snapshot.sessions`."""
        count = await self._count(select(func.count()).select_from(SESSIONS))
        query = (
            select(SESSIONS.c.id, SESSIONS.c.account)
            .outerjoin(ACCOUNTS, ACCOUNTS.c.id == SESSIONS.c.account)
            .where(and_(SESSIONS.c.account != "", ACCOUNTS.c.id.is_(None)))
        )
        return count, [(key, account) for key, account in await self._connection.execute(query)]

    async def records(self) -> tuple[int, list[tuple[str, str, str]]]:
        """See :meth:`Snapshot.records`."""
        count = await self._count(select(func.count()).select_from(RECORDS))
        moved = exists().where(MOVEMENTS.c.reference == RECORDS.c.reference)
        query = select(RECORDS.c.id, RECORDS.c.tenant, RECORDS.c.account, RECORDS.c.reference)
        rows = await self._connection.execute(query.where(and_(RECORDS.c.reference != "", ~moved)))
        return count, [
            (key, f"{tenant}:{account}" if account else "", reference)
            for key, tenant, account, reference in rows
        ]

    async def _count(self, query: object) -> int:
        return cast(int, (await self._connection.execute(query)).scalar())  # type: ignore[call-overload]
