"""Folders whose files are read as usage records.

Each row becomes an event by the reader's templates and is stored as any other record: once, by its
``OriginID`` and ``OriginHost``. When all of a file is stored, it is moved. A node that dies in the
middle reads the file again, and what is stored already stays as it is. Rows that cannot be read are
listed beside the moved file, in a file that ends in ``.errors``, all of them; a ledger that does
not answer is no fault of a row: the file waits.

A file is read once its size and time have not changed between two looks, and stays if they change
while it is read: who writes it slowly had better write it elsewhere and move it here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final, TextIO

from trunkline.charging.event import Event, Scope
from trunkline.charging.filters import Condition, Filters
from trunkline.charging.templates import Template, Templates
from trunkline.config.charging import ReaderSettings
from trunkline.config.records import Read, Unread, read_csv, read_json
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.recorder import Recorder
from trunkline.elements.charging.records import treatment
from trunkline.errors import TrunklineError
from trunkline.store.guard import StoreUnavailable

__all__ = ["Reader", "Readers", "Report"]

_ROWS: Final = 200  # that are stored side by side
_SUFFIXES: Final = {"*file_csv": (".csv",), "*file_json": (".json", ".jsonl")}
_CDRS: Final = "*cdrs"


@dataclass(slots=True)
class Report:
    """What became of a file."""

    rows: int = 0
    stored: int = 0
    """Of them; those that were stored before among them."""
    passed_over: int = 0
    """By the reader's filters."""
    bad: int = 0


class Reader:
    """Reads the files of one folder. ``folder`` is what its paths are relative to.

    Raises:
        TrunklineError: what is wrong with its fields or filters.
    """

    def __init__(self, settings: ReaderSettings, folder: Path) -> None:
        self.name = settings.id
        self.every = settings.every.seconds
        self.source = folder / settings.source_path
        self.processed = folder / settings.processed_path
        self._settings = settings
        self._templates = Templates(
            (
                Template(path=each.path, value=each.value, type=each.type, mandatory=each.mandatory)
                for each in settings.fields
            ),
            "*cgreq",
        )
        self._condition: Condition = Filters().condition(settings.tenant, settings.filters)
        self._how, self._attributes = treatment(settings.flags)
        self._seen: dict[Path, tuple[int, int]] = {}

    def ready(self) -> list[Path]:
        """The files that have not changed since the last look, in the order of their names.

        Raises:
            TrunklineError: ``charging.reader``: a folder cannot be had.
        """
        try:
            for each in (self.source, self.processed):
                each.mkdir(parents=True, exist_ok=True)
            found: dict[Path, tuple[int, int]] = {}
            for path in sorted(self.source.iterdir()):
                if path.suffix in _SUFFIXES[self._settings.type] and path.name[0] != ".":
                    with suppress(FileNotFoundError):
                        status = path.stat()
                        if S_ISREG(status.st_mode):  # to open a pipe would wait for its writer
                            found[path] = status.st_size, status.st_mtime_ns
        except OSError as problem:
            raise _failed(self.name, problem) from problem
        before, self._seen = self._seen, found
        return [path for path, status in found.items() if before.get(path) == status]

    async def read(self, path: Path, engine: Engine, recorder: Recorder) -> Report:
        """Store the rows of a file, and move it.

        Raises:
            StoreUnavailable: the ledger does not answer; nothing was moved.
            TrunklineError: ``charging.reader``: the file cannot be read or moved.
        """
        report = Report()
        target = self._target(path)
        errors = target.with_name(f"{target.name}.errors")
        part = errors.with_name(f".{errors.name}.part")
        try:
            before = path.stat()
            with part.open("w", encoding="utf-8", errors="surrogateescape") as file:
                rows = self._rows(path)
                while some := list(itertools.islice(rows, _ROWS)):
                    await self._store(path, some, engine, recorder, report, file)
            after = path.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise TrunklineError(
                    "charging.reader",
                    f"reader {self.name}: {path.name} was written to while it was read: it waits",
                )
            if report.bad:
                part.replace(errors)
            path.replace(target)
        except OSError as problem:
            raise _failed(self.name, problem) from problem
        finally:
            part.unlink(missing_ok=True)
        self._seen.pop(path, None)
        return report

    def _target(self, path: Path) -> Path:
        """Where the file goes; one of its name that is there keeps its own."""
        names = itertools.chain(
            [path.name], (f"{path.stem}.{number}{path.suffix}" for number in itertools.count(1))
        )
        return next(self.processed / name for name in names if not (self.processed / name).exists())

    def _rows(self, path: Path) -> Iterator[Read | Unread]:
        settings = self._settings
        if settings.type == "*file_json":
            return read_json(path)
        return read_csv(path, separator=settings.field_separator, header=settings.header)

    async def _store(
        self,
        path: Path,
        rows: Sequence[Read | Unread],
        engine: Engine,
        recorder: Recorder,
        report: Report,
        errors: TextIO,
    ) -> None:
        done = await asyncio.gather(
            *(self._row(row, engine, recorder) for row in rows), return_exceptions=True
        )
        for row, outcome in zip(rows, done, strict=True):
            report.rows += 1
            if outcome is True:
                report.stored += 1
            elif outcome is False:
                report.passed_over += 1
            elif isinstance(outcome, str):
                report.bad += 1
                errors.write(f"{path.name}:{row.line}: {' '.join(outcome.split())}\n")
            elif isinstance(outcome, BaseException):
                raise outcome

    async def _row(self, row: Read | Unread, engine: Engine, recorder: Recorder) -> bool | str:
        """Whether a row is stored; ``False``: it is passed over; text: what is wrong with it."""
        if isinstance(row, Unread):
            return row.why
        tenant = self._settings.tenant
        try:
            scope = Scope(Event(tenant=tenant, fields=row.fields), engine.clock(), engine.sources)
            if not self._condition.holds(scope):
                return False
            fields = {name: text for name, text in self._templates.apply(scope).items() if text}
            event = Event(tenant=fields.pop("Tenant", tenant), fields=fields)
            if self._attributes:
                event = engine.altered(event, _CDRS)
            usage = event.usage()
            for each in await recorder.record(event, self._how):
                if usage is not None and each.row.usage != max(usage, 0):
                    return f"there is a record {each.row.origin_id!r} already, of another usage"
        except StoreUnavailable:
            raise
        except TrunklineError as problem:
            return problem.message
        return True


class Readers:
    """The readers of a node. ``log`` takes a facility, a severity, a word and a text."""

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        readers: Sequence[Reader],
        log: Callable[[str, int, str, str], None],
    ) -> None:
        self._engine = engine
        self._recorder = recorder
        self._readers = readers
        self._log = log

    async def run(self) -> None:
        """Read what comes, for ever."""
        async with asyncio.TaskGroup() as group:
            for each in self._readers:
                group.create_task(self._follow(each))

    async def _follow(self, reader: Reader) -> None:
        said = ""
        while True:
            try:
                paths = reader.ready()
            except TrunklineError as problem:
                said = self._waits(reader, problem, said)
                paths = []
            for path in paths:
                try:
                    report = await reader.read(path, self._engine, self._recorder)
                except TrunklineError as problem:  # the files after it have their turn
                    said = self._waits(reader, problem, said)
                else:
                    said = ""
                    self._log("READER", 4 if report.bad else 5, "DONE", _words(path, report))
            await asyncio.sleep(reader.every)

    def _waits(self, reader: Reader, problem: TrunklineError, said: str) -> str:
        if problem.message != said:
            self._log("READER", 4, "WAITS", f"{reader.name}: {problem.message}")
        return problem.message


def _words(path: Path, report: Report) -> str:
    parts = [f"{report.rows} rows", f"{report.stored} stored"]
    if report.passed_over:
        parts.append(f"{report.passed_over} passed over")
    if report.bad:
        parts.append(f"{report.bad} bad: see {path.name}.errors")
    return f"{path.name}: {', '.join(parts)}"


def _failed(name: str, problem: OSError) -> TrunklineError:
    where = f"{problem.filename}: " if problem.filename else ""
    return TrunklineError("charging.reader", f"reader {name}: {where}{problem.strerror}")
