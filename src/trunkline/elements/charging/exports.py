"""``APIerSv1.ExportCDRs``, ``EeSv1``, and exporters that get every record.

A record that is stored, or rated again with ``*export``, writes down with itself which exporters
are still to get it: a task of the ledger for each. Those tasks are worked off here, in the order in
which they came, a few at a time, and removed when the target has the records. So each record
reaches each exporter at least once, whatever dies in between; while a target is down, its tasks
wait in the ledger. A record that a server or database refuses again and again, while it takes
others, is put aside; ``APIerSv1.ReplayFailedPosts`` has it tried again. Of several nodes with one
ledger, one is to have the exporters.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from trunkline.charging.event import Event
from trunkline.charging.templates import Template
from trunkline.elements.charging.cdrs import RpcCdrsFilter, query_of
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.exporting import Exporter, Summary
from trunkline.elements.charging.recorder import EXPORTS
from trunkline.elements.charging.registry import ApiError, method
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Json
from trunkline.rating.model import DEFAULT_TENANT
from trunkline.rating.result import number
from trunkline.store.ledger.book import default_ledger_url
from trunkline.store.ledger.model import Change, Keys, RecordRow, TaskRow, View
from trunkline.store.ledger.queries import RecordQuery

__all__ = ["ArgExportCdrs", "ArgsReplayFailedPosts", "EeEvent", "Exports", "Live"]

_PAGE: Final = 500
_FILE: Final = 10  # pages in one file at most
_POSTS: Final = 20  # of an HTTP server: so many may be repeated after a failure
_ATTEMPTS: Final = 5  # before a record that is refused lets others pass
_ASIDE: Final = "export-failed/"
_REST: Final = (1.0, 60.0)  # s; after a failure, twice as long each time


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgExportCdrs(RpcCdrsFilter):
    """Which records go to which exporters.

    Without ``ExporterIDs``, as earlier versions have it: into one CSV file of the node's.
    """

    exporter_ids: tuple[str, ...] = ()
    verbose: bool = False
    export_template: str = ""
    """Fields, separated by commas."""
    export_format: str = ""
    export_path: str = ""
    export_id: str = ""
    export_file_name: str = ""
    field_separator: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EeEvent:
    """An event for exporters; without ``EeIDs`` for all that want it."""

    ee_ids: tuple[str, ...] = field(default=(), metadata={"name": "EeIDs"})
    tenant: str = ""
    id: str = ""
    event: Mapping[str, Json] = field(default_factory=dict)
    api_opts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgsReplayFailedPosts:
    """Which posts are tried again: here all that failed, for they are in the ledger."""

    failed_requests_in_dir: str = ""
    failed_requests_out_dir: str = ""
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """An exporter that gets every record."""

    exporter: Exporter
    every: float
    """s; from one look for new records to the next."""


class Exports:
    """The exporters of a node. ``log`` takes a facility, a severity, a word and a text."""

    def __init__(
        self,
        engine: Engine,
        exporters: Sequence[Exporter] = (),
        live: Sequence[Live] = (),
        log: Callable[[str, int, str, str], None] = lambda *_: None,
    ) -> None:
        self._engine = engine
        self._exporters = {each.name: each for each in exporters}
        self._live = live
        self._log = log
        self._tries: dict[str, tuple[str, int]] = {}

    # Asked for

    @method("APIerSv1.ExportCDRs")
    async def export(self, args: ArgExportCdrs) -> Json:
        """Export the records of a filter, by exporters of the settings or into a CSV file."""
        zone = self._engine.tariffs.tariff.zone(DEFAULT_TENANT)
        query = query_of(args, zone, self._engine.clock())
        if args.exporter_ids:
            found: dict[str, Json] = {}
            for name in args.exporter_ids:
                exporter = self._exporters.get(name)
                if exporter is None:
                    raise ApiError("NOT_FOUND")
                stem = f"{name}_{int(self._engine.clock().timestamp() * 1000)}"
                done = await self.run_once(exporter, query, stem, named=args.verbose)
                found[name] = _metrics(done, verbose=args.verbose)
            return found
        if args.export_path or args.export_format not in ("", "*file_csv", "csv"):
            raise ApiError(
                "SERVER_ERROR: without ExporterIDs the records go into a CSV file of the node's; "
                "for any other, make an exporter in its settings"
            )
        now = int(self._engine.clock().timestamp())
        name = args.export_file_name or f"cdre_{args.export_id or now}.csv"
        if Path(name).name != name or not name.endswith(".csv"):
            raise ApiError("SERVER_ERROR: ExportFileName: a name that ends in .csv")
        folder = Path(default_ledger_url().removeprefix("sqlite:///")).parent / "exports"
        exporter = Exporter(
            "*default",
            "*file_csv",
            str(folder),
            fields=[
                Template(path=f"*exp.{each}", value=f"~*req.{each}")
                for each in args.export_template.split(",")
                if each
            ],
            separator=args.field_separator or ",",
        )
        done = await self.run_once(exporter, query, name.removesuffix(".csv"), named=args.verbose)
        return {
            "ExportedPath": done.path,
            "TotalRecords": done.records,
            "TotalCost": number(done.cost),
            "FirstOrderID": done.first,
            "LastOrderID": done.last,
            "ExportedCGRIDs": list(done.ids) if args.verbose else None,
            "UnexportedCGRIDs": dict(done.refused) if args.verbose else None,
        }

    @method("APIerSv1.ReplayFailedPosts")
    async def replay(self, args: ArgsReplayFailedPosts) -> Json:
        """Give the records that were put aside to their exporters once more, all of them."""
        if args.failed_requests_in_dir or args.failed_requests_out_dir or args.modules:
            raise ApiError("SERVER_ERROR: what failed is in the ledger: give no folders or modules")
        found = False
        while tasks := await self._engine.book.tasks(_ASIDE, limit=_PAGE):
            found = True
            await self._move(tasks, _ASIDE, EXPORTS)
        if not found:
            raise ApiError("NOT_FOUND")
        return "OK"

    @method("EeSv1.ProcessEvent", mandatory=("Event",))
    async def process(self, args: EeEvent) -> Json:
        """Give an event to exporters at once."""
        event = Event(
            tenant=args.tenant, id=args.id, fields=dict(args.event), opts=dict(args.api_opts)
        )
        found = await self.give(args.ee_ids, event)
        if not found:
            raise ApiError("NOT_FOUND")
        return found

    async def give(self, names: Sequence[str], event: Event) -> dict[str, Json]:
        """Give an event to exporters of these names, or to all; what became of it at who wants it.

        Raises:
            TrunklineError: ``export.unknown``, ``export.field``, and what a target says.
        """
        if missing := [name for name in names if name not in self._exporters]:
            raise TrunklineError("export.unknown", f"no exporter {missing[0]}")
        now = self._engine.clock()
        found: dict[str, Json] = {}
        for name in names or self._exporters:
            exporter = self._exporters[name]
            summary = Summary()
            row = exporter.row(event, {}, now, self._engine.sources, summary)
            if summary.refused:
                raise TrunklineError("export.field", summary.refused[event.id])
            if row is None:
                continue
            target, summary.path = exporter.target(f"{name}_{int(now.timestamp() * 1e6)}")
            try:
                await target.write([row])
                await target.finish()
            except BaseException:
                await target.abandon()
                raise
            summary.records = 1
            found[name] = _metrics(summary, verbose=False)
        return found

    async def run_once(
        self, exporter: Exporter, query: RecordQuery, stem: str, *, named: bool = False
    ) -> Summary:
        """Export the records of a query; a file is there in the end, or not at all.

        Raises:
            TrunklineError: ``export.failed`` and what a target says.
        """
        summary = Summary()
        target, summary.path = exporter.target(stem)
        try:
            async for page in self._engine.book.record_pages(query):
                await target.write(self._rows(exporter, page, summary, named=named))
            await target.finish()
        except BaseException:
            await target.abandon()
            raise
        return summary

    def _rows(
        self,
        exporter: Exporter,
        records: Sequence[RecordRow],
        summary: Summary,
        *,
        named: bool = False,
    ) -> list[Mapping[str, str]]:
        engine = self._engine
        return exporter.rows(records, engine.clock(), engine.sources, summary, named=named)

    # Every record

    async def run(self) -> None:
        """Give every record to those that get every record, for ever."""
        async with asyncio.TaskGroup() as group:
            for each in self._live:
                group.create_task(self._follow(each))

    async def _follow(self, live: Live) -> None:
        rest, said = _REST[0], ""
        while True:
            try:
                busy = await self.work_off(live.exporter)
            except TrunklineError as problem:
                if problem.message != said:
                    said = problem.message
                    self._log("EXPORT", 4, "WAITS", f"{live.exporter.name}: {said}")
                await asyncio.sleep(rest)
                rest = min(2 * rest, _REST[1])
                continue
            if said:
                self._log("EXPORT", 5, "GOES_ON", live.exporter.name)
            rest, said = _REST[0], ""
            if not busy or live.exporter.is_file:
                await asyncio.sleep(live.every)

    async def work_off(self, exporter: Exporter) -> bool:
        """Export what waits for an exporter, a few records of it; whether there were any.

        Raises:
            TrunklineError: the target or the ledger does not take them now.
        """
        book = self._engine.book
        prefix = f"{EXPORTS}{exporter.name}/"
        size = _POSTS if exporter.kind == "*http_json_map" else _PAGE
        tasks = await book.tasks(prefix, limit=size)
        if not tasks:
            return False
        tried = self._tries.get(exporter.name)
        again = tried is not None and tried[0] == tasks[0].id and tried[1] >= _ATTEMPTS
        if again or exporter.kind == "*http_json_map":
            await self._one_by_one(exporter, tasks, pass_over=again)
            return True
        try:
            await self._at_once(exporter, prefix, tasks, size)
        except TrunklineError:
            self._failed(exporter, tasks[0])
            raise
        return True

    async def _one_by_one(
        self, exporter: Exporter, tasks: Sequence[TaskRow], *, pass_over: bool
    ) -> None:
        """Export records, each for itself.

        ``pass_over``: those that are refused are put aside, if any other is taken.
        """
        done: list[TaskRow] = []
        refused: list[TaskRow] = []
        problem: TrunklineError | None = None
        taken = False
        summary = Summary()
        try:
            for task in tasks:
                rows = self._rows(exporter, await self._records([task]), summary)
                try:
                    if rows:
                        await self._give(exporter, rows)
                        taken = True
                except TrunklineError as why:
                    problem = why
                    refused.append(task)
                    if not pass_over:
                        break
                else:
                    done.append(task)
        finally:
            await self._forget([task.id for task in done])
        self._say_refused(exporter, summary)
        if problem is None:
            return
        if not (pass_over and taken):
            self._failed(exporter, refused[0])
            raise problem
        await self._move(refused, EXPORTS, _ASIDE)
        said = f"{exporter.name}: {len(refused)} refused, last: {problem.message}"
        self._log("EXPORT", 4, "ASIDE", said)

    async def _give(self, exporter: Exporter, rows: Sequence[Mapping[str, str]]) -> None:
        target, _ = exporter.target("")
        try:
            await target.write(rows)
            await target.finish()
        except BaseException:
            await target.abandon()
            raise

    def _failed(self, exporter: Exporter, task: TaskRow) -> None:
        """Count how often a record was refused in a row."""
        before = self._tries.get(exporter.name, ("", 0))
        self._tries[exporter.name] = task.id, before[1] + 1 if before[0] == task.id else 1

    async def _move(self, tasks: Sequence[TaskRow], before: str, after: str) -> None:
        now = self._engine.clock().timestamp()

        def step(view: View) -> Change:
            rows = [row for row in view.tasks.values() if row is not None]
            return Change(
                time=now,
                tasks={row.id: None for row in rows},
                fresh=[replace(row, id=after + row.id.removeprefix(before)) for row in rows],
            )

        await self._engine.book.update(Keys(tasks=[task.id for task in tasks]), step)

    async def _at_once(
        self, exporter: Exporter, prefix: str, tasks: Sequence[TaskRow], size: int
    ) -> None:
        book = self._engine.book
        summary = Summary()
        target, _ = exporter.target(f"{exporter.name}_{tasks[0].id.removeprefix(prefix)}")
        done: list[TaskRow] = []
        try:
            for _ in range(_FILE if exporter.is_file else 1):
                records = await self._records(tasks)
                await target.write(self._rows(exporter, records, summary))
                done += tasks
                if len(tasks) < size:
                    break
                tasks = await book.tasks(prefix, after=tasks[-1].id, limit=size)
            if summary.records or not exporter.is_file:
                await target.finish()
            else:
                await target.abandon()
        except BaseException:
            await target.abandon()
            raise
        self._say_refused(exporter, summary)
        for start in range(0, len(done), _PAGE):
            await self._forget([task.id for task in done[start : start + _PAGE]])

    def _say_refused(self, exporter: Exporter, summary: Summary) -> None:
        for name, why in summary.refused.items():
            self._log("EXPORT", 4, "REFUSED", f"{exporter.name}: record {name}: {why}")

    async def _records(self, tasks: Sequence[TaskRow]) -> list[RecordRow]:
        """The records that tasks mean, once each; one that was removed meanwhile is left out."""
        names = dict.fromkeys(
            (said["record"], said["run"]) for said in (json.loads(task.document) for task in tasks)
        )
        query = RecordQuery(ids=list({name for name, _ in names}), limit=1_000_000)
        found = {(row.id, row.run): row for row in await self._engine.book.records(query)}
        return [found[name] for name in names if name in found]

    async def _forget(self, tasks: Sequence[str]) -> None:
        now = self._engine.clock().timestamp()

        def step(view: View) -> Change:
            return Change(time=now, tasks={name: None for name, row in view.tasks.items() if row})

        await self._engine.book.update(Keys(tasks=tasks), step)


def _metrics(summary: Summary, *, verbose: bool) -> dict[str, Json]:
    """What the reference's exporters count."""
    found: dict[str, Json] = {
        "ExportPath": summary.path,
        "NumberOfEvents": summary.records + len(summary.refused),
        "FirstExpOrderID": summary.first,
        "LastExpOrderID": summary.last,
        "TotalCost": number(summary.cost),
    }
    if verbose:
        found |= {"PositiveExports": list(summary.ids), "NegativeExports": list(summary.refused)}
    return found
