"""Whether the ledger adds up.

One state of it is looked at, however long that takes and whatever is written meanwhile; accounts
and movements stream by, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from sqlalchemy import and_, exists, func, select

from trunkline.charging.model import Account
from trunkline.charging.money import ZERO, add
from trunkline.store.ledger.reader import Reader
from trunkline.store.ledger.schema import ACCOUNTS, MOVEMENTS, RECORDS, SESSIONS, account_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["CHECKS", "MOST_FINDINGS", "Audit", "Finding", "audit"]

MOST_FINDINGS: Final = 1000
"""More are counted, and not kept."""

_PAGE: Final = 500  # accounts at once

CHECKS: Final = {
    "sum": "a balance does not hold the sum of its movements",
    "chain": "a movement does not begin where the one before it ended",
    "gone": "a balance or account is gone, and something was left in it",
    "negative": "a balance is below zero; only an account's default balance may be, unless the "
    "account allows it of all",
    "session": "a session's account does not exist",
    "record": "a record names movements that do not exist",
}
"""What is looked for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    check: str
    """One of :data:`CHECKS`."""
    account: str
    """``tenant:id``, where there is one."""
    subject: str
    """The UUID of the balance, the ID of the session, or the key of the record."""
    text: str


@dataclass(slots=True)
class Audit:
    """What was looked at, and what was found."""

    accounts: int = 0
    balances: int = 0
    movements: int = 0
    sessions: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    """:data:`MOST_FINDINGS` at most."""
    found: int = 0
    """How many there are."""

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return not self.found

    def _add(self, check: str, account: str, subject: str, text: str) -> None:
        self.found += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(check, account, subject, text))


async def audit(reader: Reader, progress: Callable[[int, int], None] | None = None) -> Audit:
    """Look through everything.

    ``progress`` is told now and then how many movements of how many were looked at.
    """
    result = Audit()
    async with reader.snapshot() as connection:
        total = await _count(connection, select(func.count()).select_from(MOVEMENTS))
        last = ""
        while True:
            query = (
                select(ACCOUNTS.c.id, ACCOUNTS.c.document)
                .where(ACCOUNTS.c.id > last)
                .order_by(ACCOUNTS.c.id)
                .limit(_PAGE)
            )
            page = {key: account_of(text) for key, text in await connection.execute(query)}
            end = max(page) if len(page) == _PAGE else None
            await _page(connection, result, page, last, end)
            if progress is not None:
                progress(result.movements, total)
            if end is None:
                break
            last = end
        await _sessions(connection, result)
        await _records(connection, result)
    return result


async def _count(connection: AsyncConnection, query: object) -> int:
    return cast(int, (await connection.execute(query)).scalar())  # type: ignore[call-overload]


async def _page(
    connection: AsyncConnection,
    result: Audit,
    page: dict[str, Account],
    last: str,
    end: str | None,
) -> None:
    """Accounts of one page, and the movements of every account between them."""
    columns = MOVEMENTS.c
    within = columns.account > last if end is None else columns.account.between(last, end)
    query = (
        select(columns.account, columns.balance, columns.amount, columns.value, columns.seq)
        .where(and_(within, columns.account != last))
        .order_by(columns.account, columns.seq)
    )
    sums: dict[tuple[str, str], Decimal] = {}
    values: dict[tuple[str, str], Decimal] = {}
    async with connection.stream(query.execution_options(yield_per=5000)) as rows:
        async for account, balance, amount, value, seq in rows:
            result.movements += 1
            name = account, balance
            moved, after = Decimal(amount), Decimal(value)
            sums[name] = add(sums.get(name, ZERO), moved)
            before = values.get(name, ZERO)
            if add(before, moved) != after:
                result._add(
                    "chain",
                    account,
                    balance,
                    f"movement {seq}: {before} and {moved} is not {after}",
                )
            values[name] = after
    for key, found in page.items():
        result.accounts += 1
        for each in found.balances:
            result.balances += 1
            moved = sums.pop((key, each.uuid), ZERO)
            if each.value != moved:
                text = f"it holds {each.value}, its movements add up to {moved}"
                result._add("sum", key, each.uuid, text)
            if each.value < 0 and not (found.allow_negative or each.is_default):
                result._add("negative", key, each.uuid, f"it holds {each.value}")
    for (account, balance), left in sums.items():
        if left:
            result._add("gone", account, balance, f"its movements add up to {left}")


async def _sessions(connection: AsyncConnection, result: Audit) -> None:
    result.sessions = await _count(connection, select(func.count()).select_from(SESSIONS))
    query = (
        select(SESSIONS.c.id, SESSIONS.c.account)
        .outerjoin(ACCOUNTS, ACCOUNTS.c.id == SESSIONS.c.account)
        .where(and_(SESSIONS.c.account != "", ACCOUNTS.c.id.is_(None)))
    )
    for key, account in await connection.execute(query):
        result._add("session", account, key, f"there is no account {account}")


async def _records(connection: AsyncConnection, result: Audit) -> None:
    result.records = await _count(connection, select(func.count()).select_from(RECORDS))
    moved = exists().where(MOVEMENTS.c.reference == RECORDS.c.reference)
    query = select(RECORDS.c.id, RECORDS.c.tenant, RECORDS.c.account, RECORDS.c.reference)
    for key, tenant, account, reference in await connection.execute(
        query.where(and_(RECORDS.c.reference != "", ~moved))
    ):
        text = f"there is no movement with the reference {reference}"
        result._add("record", f"{tenant}:{account}" if account else "", key, text)
