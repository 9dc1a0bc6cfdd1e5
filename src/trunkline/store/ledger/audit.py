"""Whether the ledger adds up.

Every account is looked at in one state, with all movements up to then, however long that takes and
whatever is written meanwhile. Accounts and movements stream by, so memory does not grow with their
number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Protocol

from trunkline.charging.model import CHARGE, Account
from trunkline.charging.money import ZERO, add

__all__ = ["CHECKS", "MOST_FINDINGS", "Audit", "Audited", "Finding", "Moved", "Snapshot", "audit"]

MOST_FINDINGS: Final = 1000
"""More are counted, and not kept."""

CHECKS: Final = {
    "sum": "a balance does not hold the sum of its movements",
    "chain": "a movement does not begin where the one before it ended",
    "gone": "a balance or account is gone, and something was left in it",
    "negative": "usage took a balance below zero that is not the account's default one",
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


@dataclass(frozen=True, slots=True)
class Moved:
    """A movement, as far as it is looked at."""

    account: str
    balance: str
    amount: Decimal
    value: Decimal
    cause: str
    seq: int


class Snapshot(Protocol):
    """What a database has to say for an audit."""

    async def count(self) -> int:
        """How many movements there are."""
        ...

    def pages(self) -> AsyncIterator[tuple[Mapping[str, Account], AsyncIterator[Moved]]]:
        """All accounts, some at a time, each page with every movement of each of them.

        Movements are in their order, account by account; those of accounts that are gone are on one
        of the pages. They have been gone through when the next page is asked for.
        """
        ...

    async def sessions(self) -> tuple[int, Sequence[tuple[str, str]]]:
        """How many there are; those whose account does not exist, and the account."""
        ...

    async def records(self) -> tuple[int, Sequence[tuple[str, str, str]]]:
        """How many there are; those whose movements do not exist: key, account and reference."""
        ...


class Audited(Protocol):
    """Whatever can be audited."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """A look at it."""
        ...


async def audit(reader: Audited, progress: Callable[[int, int], None] | None = None) -> Audit:
    """Look through everything.

    ``progress`` is told now and then how many movements of how many were looked at.
    """
    result = Audit()
    async with reader.snapshot() as state:
        total = await state.count()
        async for accounts, movements in state.pages():
            await _page(result, accounts, movements)
            if progress is not None:
                progress(result.movements, max(total, result.movements))
        result.sessions, lost = await state.sessions()
        for key, account in lost:
            result._add("session", account, key, f"there is no account {account}")
        result.records, unpaid = await state.records()
        for key, account, reference in unpaid:
            text = f"there is no movement with the reference {reference}"
            result._add("record", account, key, text)
    return result


async def _page(
    result: Audit, accounts: Mapping[str, Account], movements: AsyncIterator[Moved]
) -> None:
    sums: dict[tuple[str, str], Decimal] = {}
    values: dict[tuple[str, str], Decimal] = {}
    overspent: dict[tuple[str, str], Moved] = {}
    async for each in movements:
        result.movements += 1
        name = each.account, each.balance
        sums[name] = add(sums.get(name, ZERO), each.amount)
        before = values.get(name, ZERO)
        if add(before, each.amount) != each.value:
            text = f"movement {each.seq}: {before} and {each.amount} is not {each.value}"
            result._add("chain", each.account, each.balance, text)
        values[name] = each.value
        if each.cause == CHARGE and each.amount < 0 and each.value < 0:
            overspent.setdefault(name, each)
    for key, found in accounts.items():
        result.accounts += 1
        for balance in found.balances:
            result.balances += 1
            moved = sums.pop((key, balance.uuid), ZERO)
            if balance.value != moved:
                text = f"it holds {balance.value}, its movements add up to {moved}"
                result._add("sum", key, balance.uuid, text)
            short = None if balance.is_default else overspent.get((key, balance.uuid))
            if short is not None:
                text = f"movement {short.seq}: {-short.amount} was taken, and {short.value} is left"
                result._add("negative", key, balance.uuid, text)
    for (account, uuid), left in sums.items():
        if left:
            result._add("gone", account, uuid, f"its movements add up to {left}")
