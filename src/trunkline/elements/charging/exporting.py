"""Records as others want them: which, with which fields, and to where.

An `Exporter` is one of the node's settings. It makes rows of records
(``trunkline.charging.templates``) and gives them to a target: a file, an SQL database, an HTTP
server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from trunkline.charging.event import Event, Scope, Sources, number_text
from trunkline.charging.filters import Condition, Filters
from trunkline.charging.money import ZERO, add
from trunkline.charging.templates import Template, Templates
from trunkline.elements.charging.cdrs import external_cdr
from trunkline.elements.charging.recorder import details_of
from trunkline.errors import TrunklineError
from trunkline.net.http import post
from trunkline.store.exports import FileTarget, SqlTarget, Target
from trunkline.store.ledger.model import RecordRow

__all__ = ["DEFAULT_FIELDS", "Exporter", "HttpTarget", "Summary", "fields_of", "target_of"]

DEFAULT_FIELDS: Final = (
    *("CGRID", "RunID", "ToR", "OriginID", "RequestType", "Tenant", "Category", "Account"),
    *("Subject", "Destination", "SetupTime", "AnswerTime", "Usage", "Cost"),
)
"""What is exported where nothing is said, as in the reference."""

_TYPES: Final = {"*file_csv": ".csv", "*file_json": ".jsonl", "*file_parquet": ".parquet"}


class HttpTarget:
    """A server that each row is posted to, as a JSON object, one after another."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self._url = url
        self._timeout = timeout

    async def write(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Post rows.

        Raises:
            TrunklineError: ``http.failed``, ``http.url``.
        """
        for row in rows:
            await post(self._url, json.dumps(dict(row)).encode(), timeout=self._timeout)

    async def finish(self) -> None:
        """All of them were answered."""

    async def abandon(self) -> None:
        """What was posted, was."""


def target_of(where: str, fields: Sequence[str], separator: str = ",") -> Target:
    """The target at a file or URL.

    Raises:
        TrunklineError: ``export.target``, ``export.failed``, ``store.sql-url``, ``batch.absent``.
    """
    scheme, found, _ = where.partition("://")
    if not found:
        return FileTarget(Path(where).expanduser(), fields, separator=separator)
    if scheme in ("http", "https"):
        return HttpTarget(where)
    return SqlTarget(where, fields)


def fields_of(row: RecordRow) -> dict[str, object]:
    """What templates and filters find in a record under ``*req``: times and usage as text."""
    shown: dict[str, object] = dict(external_cdr(row))
    extra = shown.pop("ExtraFields")
    cost = "-1" if row.cost is None else number_text(row.cost)
    return {**(extra if isinstance(extra, dict) else {}), **shown, "Cost": cost}


@dataclass(slots=True)
class Summary:
    """What became of an export."""

    path: str = ""
    records: int = 0
    cost: Decimal = ZERO
    first: int = 0
    """The order of the first record."""
    last: int = 0
    ids: list[str] = field(default_factory=list)
    """The ``CGRID`` of every record, where they are asked for."""
    refused: dict[str, str] = field(default_factory=dict)
    """Records that are not exported, for a field that they need is empty: why."""

    def count(self, row: RecordRow, *, named: bool) -> None:
        """One more."""
        self.records += 1
        self.cost = add(self.cost, row.cost or ZERO)
        self.first = self.first or row.order
        self.last = row.order
        if named:
            self.ids.append(row.id)


class Exporter:
    """One exporter of the settings, or of a command."""

    def __init__(
        self,
        name: str,
        kind: str,
        path: str,
        *,
        filters: Sequence[str] = (),
        fields: Iterable[Template] = (),
        separator: str = ",",
        tenant: str = "",
    ) -> None:
        """Compile its filters and fields.

        Raises:
            TrunklineError: what is wrong with them.
        """
        self.name = name
        self.kind = kind
        self.path = path
        self._separator = separator
        rows = list(fields) or [
            Template(path=f"*exp.{each}", value=f"~*req.{each}") for each in DEFAULT_FIELDS
        ]
        self._templates = Templates(rows, "*exp")
        self._condition: Condition = Filters().condition(tenant, filters)

    @property
    def is_file(self) -> bool:
        """Whether it makes files."""
        return self.kind in _TYPES

    def target(self, stem: str) -> tuple[Target, str]:
        """Where its rows go, and its name; a file is called by ``stem``.

        Raises:
            TrunklineError: see `target_of`.
        """
        where = self.path
        if self.is_file:
            folder = Path(self.path).expanduser()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise TrunklineError("export.failed", f"{folder}: {problem.strerror}") from problem
            where = str(folder / f"{stem}{_TYPES[self.kind]}")
        return target_of(where, self._templates.names, self._separator), where

    def rows(
        self,
        records: Iterable[RecordRow],
        now: datetime,
        sources: Sources | None,
        summary: Summary,
        *,
        named: bool = False,
    ) -> list[Mapping[str, str]]:
        """The rows of the records that it wants."""
        found: list[Mapping[str, str]] = []
        for record in records:
            event = Event(tenant=record.tenant, id=record.id, fields=fields_of(record))
            details = details_of(record).cost_details or {}
            made = self.row(event, details, now, sources, summary)
            if made is not None:
                summary.count(record, named=named)
                found.append(made)
        return found

    def row(
        self,
        event: Event,
        details: Mapping[str, object],
        now: datetime,
        sources: Sources | None,
        summary: Summary,
    ) -> Mapping[str, str] | None:
        """The row of an event; ``None`` where it is not wanted, or cannot be made."""
        scope = Scope(event, now, sources, ec=details)
        try:
            return self._templates.apply(scope) if self._condition.holds(scope) else None
        except TrunklineError as problem:
            summary.refused[event.id] = problem.message
            return None
