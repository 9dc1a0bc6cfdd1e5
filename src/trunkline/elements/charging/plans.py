"""Action plans of accounts: a task of the ledger for each account and plan.

The task says when the account got the plan, and since when its rows have had their turn. What the
rows are is looked up when it is due: a plan that changes does so for every account that has it. The
account's own document says which plans it has; a task of a plan that its account has not is void.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final
from urllib.parse import quote
from uuid import NAMESPACE_OID, uuid5

from trunkline.charging.documents import Reader
from trunkline.charging.rows import ActionPlanRow
from trunkline.charging.schedule import parse_schedule
from trunkline.errors import TrunklineError
from trunkline.rating.model import Timing
from trunkline.store.ledger.model import TaskRow

__all__ = ["NEVER", "PREFIX", "Planned", "prefix_of", "row_uuid"]

PREFIX: Final = "plan/"
"""Of the IDs of such tasks."""
NEVER: Final = 253_402_300_799.0
"""The due time of what is not due: the end of the year 9999."""


def prefix_of(plan: str) -> str:
    """That of the IDs of a plan's tasks; the account's key follows."""
    return f"{PREFIX}{quote(plan, safe='*')}/"


def row_uuid(row: ActionPlanRow) -> str:
    """A name for a row of a plan, the same on every node."""
    return str(uuid5(NAMESPACE_OID, "\0".join((row.id, row.actions_id, row.timing_id))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An account's plan: the document of its task."""

    account: str
    """``tenant:id``."""
    plan: str
    given: datetime
    """Aware; ``*asap`` counts from then, ``*monthly`` is on that day."""
    since: datetime | None = None
    """What was due up to then has run; ``None``: nothing has."""

    @classmethod
    def of_task(cls, task: TaskRow) -> Planned:
        """The plan that a task is of."""
        reader = Reader(json.loads(task.document), "plan")
        given = reader.time("given")
        assert given is not None
        return cls(
            account=reader.text("account"),
            plan=reader.text("plan"),
            given=given,
            since=reader.time("since"),
        )

    @property
    def task_id(self) -> str:
        """The ID of its task."""
        return f"{prefix_of(self.plan)}{self.account}"

    def task(self, due: float) -> TaskRow:
        """Its task."""
        document = {
            "account": self.account,
            "plan": self.plan,
            "given": self.given.isoformat(),
            **({} if self.since is None else {"since": self.since.isoformat()}),
        }
        return TaskRow(self.task_id, due, json.dumps(document))

    def next_of(
        self, row: ActionPlanRow, timings: Mapping[str, Timing], zone: tzinfo
    ) -> datetime | None:
        """When a row runs next, be it long ago; ``None``: never again.

        Raises:
            DecodeError: ``charging.schedule``.
        """
        schedule = parse_schedule(row.timing_id, timings, self.given, zone)
        if schedule.once:
            return self.given if self.since is None else None
        return schedule.after(self.since or self.given, zone)

    def due(
        self, rows: Iterable[ActionPlanRow], timings: Mapping[str, Timing], zone: tzinfo
    ) -> float:
        """When the next of its rows runs; rows that say no time are passed over."""
        due = NEVER
        for row in rows:
            try:
                moment = self.next_of(row, timings, zone)
            except TrunklineError:
                continue
            if moment is not None:
                due = min(due, moment.timestamp())
        return due

    def done(self, now: datetime) -> Planned:
        """When everything that was due has run."""
        return replace(self, since=now)
