"""When an account is to be looked at again, though nobody asks for it: a task of the ledger.

Two things happen to an account of which nothing else would tell: a balance ends, and a trigger
waits for that; the account is removed, and it has sessions. The change that brings either about
writes the task down, in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Final
from uuid import uuid4

from trunkline.charging.model import Account
from trunkline.store.ledger.model import TaskRow

__all__ = ["PREFIX", "afterwards"]

PREFIX: Final = "account/"
"""Of the IDs of such tasks."""
_LATER: Final = 1.0  # s; at the very moment a balance is not over yet


def afterwards(
    key: str, before: Account | None, after: Account | None, now: datetime
) -> Iterator[TaskRow]:
    """The task that follows a change of an account, if any does."""
    due: float | None = None
    if after is None:
        due = None if before is None else now.timestamp()
    else:
        ends = _awaited(after)
        if ends is not None and (before is None or ends != _awaited(before)):
            due = ends.timestamp() + _LATER
    if due is not None:
        yield TaskRow(f"{PREFIX}{uuid4()}", due, json.dumps({"account": key}))


def _awaited(account: Account) -> datetime | None:
    """When the next balance ends, of an account with a trigger that waits for it."""
    if not any(
        trigger.row.threshold_type == "*balance_expired" and not trigger.executed
        for trigger in account.triggers
    ):
        return None
    return min((each.expires for each in account.balances if each.expires), default=None)
