"""Bulk rating: a file of usage records in, the same records with their cost out.

DuckDB reads the file a piece at a time, workers price and encode pieces side by side
(``trunkline.store.batch_worker``), in threads here or on the machines of a Ray cluster, and the
output grows by one piece after another, in the order of the input. The cost is the single-call
engine's to the last digit. A record without a price has no ``Cost`` and its reason in ``Error``.

What an unfinished output has is noted beside it after each piece, so that a run that was
interrupted goes on after the last of them.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from trunkline.errors import TrunklineError
from trunkline.rating.tariff import Tariff
from trunkline.store.batch_worker import COST, ERROR, Piece, Worker, csv_header
from trunkline.store.parquet import MAGIC, join_footers

__all__ = ["BatchReport", "Engine", "rate_file", "record_count"]

_REQUIRED: Final = ("Destination", "AnswerTime", "Usage")
_OPTIONAL: Final = ("Tenant", "Category", "Subject", "Account", "ToR")
_FORMATS: Final = {".csv": "csv", ".parquet": "parquet"}
_MEMORY = "600MB"  # DuckDB's
_PIECE = 245_760  # records that are priced at once, and that make a row group
_PIECE_BYTES = 64_000_000  # or fewer, where records are long
_BATCH = 30_720  # records that DuckDB gives at once
_READ = 1_000_000  # bytes of a file
_NEWLINE = ord("\n")
_WAITING = 2  # pieces for each worker that are under way at once


class Engine(StrEnum):
    """Where pieces are priced."""

    DUCKDB = "duckdb"
    """On this machine, on all its processors."""
    RAY = "ray"
    """On a Ray cluster: that of ``RAY_ADDRESS``, or one that is started here for the run."""


@dataclass(slots=True)
class BatchReport:
    """What became of the records."""

    records: int = 0
    one_by_one: int = 0
    """Records that the kernel left open."""
    resumed: int = 0
    """Records that an earlier run had done."""
    errors: Counter[str] = field(default_factory=Counter)
    """Records without a price, by reason."""

    @property
    def priced(self) -> int:
        """Records with a price."""
        return self.records - self.errors.total()

    def add(self, piece: Piece) -> None:
        """Count one piece more."""
        self.records += piece.records
        self.one_by_one += piece.one_by_one
        self.errors += piece.errors


@dataclass(frozen=True, slots=True)
class _Source:
    """How to read a file: what stands for it in a query, and its columns."""

    table: str
    columns: Mapping[str, str]
    """Those that go along, and their types."""
    names: Mapping[str, str]
    """Our name of a column to the file's."""


def rate_file(
    tariff: Tariff,
    source: Path,
    target: Path,
    *,
    fingerprint: str = "",
    zone: tzinfo = UTC,
    engine: Engine = Engine.DUCKDB,
    piece: int = _PIECE,
    advance: Callable[[int], None] | None = None,
) -> BatchReport:
    """Rate the records of ``source`` into ``target``; both are CSV or Parquet, by their suffix.

    Args:
        tariff: By what.
        source: With the reference's columns ``Destination``, ``AnswerTime`` and ``Usage``, and
            maybe ``Tenant``, ``Category``, ``Subject``, ``Account`` and ``ToR``.
        target: Gets all columns of the source, ``Cost`` and ``Error``. It appears at the end.
        fingerprint: Of the tariff: a run is resumed only with the same.
        zone: Of times without an offset.
        engine: Where the work is done.
        piece: Records that are priced at once.
        advance: Told how many records more are done.

    Raises:
        TrunklineError: ``batch.source``, ``batch.columns``, ``batch.target``,
            ``batch.unfinished``, ``batch.ray``.
    """
    kind = _format(target, "batch.target")
    if target.exists() and source.exists() and target.samefile(source):
        raise TrunklineError(
            "batch.target", f"{target} is the file of records itself; name another for the output"
        )
    connection = _connect()
    try:
        found = _describe(connection, source)
        report = BatchReport()
        plan: dict[str, str | int] = {
            "source": str(source.resolve()),
            "size": source.stat().st_size,
            "modified": source.stat().st_mtime_ns,
            "tariff": fingerprint,
        }
        try:
            with _Output(target, kind, csv_header([*found.columns, COST, ERROR]), plan) as output:
                report.records = report.resumed = output.records
                report.errors = output.errors
                if report.resumed and advance:
                    advance(report.resumed)
                tables = _pieces(connection, found, kind, report.resumed, piece)
                for each in _ENGINES[engine]((tariff, found.names, zone, kind), tables):
                    output.add(each)
                    report.add(each)
                    if advance:
                        advance(each.records)
                if not report.records:  # an empty Parquet file has its columns, too
                    output.add(
                        Worker(tariff, found.names, zone, kind).price(
                            _nothing(connection, found, kind)
                        )
                    )
                output.finish()
        except OSError as problem:
            raise TrunklineError(
                "batch.target", f"{target}: cannot be written: {problem.strerror or problem}"
            ) from problem
        return report
    except duckdb.Error as problem:
        text = str(problem).partition("\n")[0]
        raise TrunklineError("batch.source", f"{source}: {text}") from problem
    finally:
        connection.close()


def record_count(source: Path) -> int:
    """How many records ``source`` has, for a progress bar; of CSV its lines are counted.

    Raises:
        TrunklineError: ``batch.source``.
    """
    connection = _connect()
    try:
        table = _describe(connection, source).table
        if _format(source, "batch.source") == "csv":
            return _lines(source) - 1
        [(count,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)
    except duckdb.Error as problem:
        text = str(problem).partition("\n")[0]
        raise TrunklineError("batch.source", f"{source}: {text}") from problem
    finally:
        connection.close()


def _lines(path: Path) -> int:
    count, last = 0, _NEWLINE
    with path.open("rb") as file:
        while part := file.read(_READ):
            count += int(np.count_nonzero(np.frombuffer(part, np.uint8) == _NEWLINE))
            last = part[-1]
    return count + (last != _NEWLINE)


# Reading


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # on standard output
    return connection


def _format(path: Path, code: str) -> str:
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise TrunklineError(
            code, f"{path}: its name says neither .csv nor .parquet; call it by what is in it"
        )
    return found


def _quoted(path: Path) -> str:
    """A file's name, and no pattern for those of several."""
    literal = re.sub(r"[\[*?]", r"[\g<0>]", str(path))
    return "'" + literal.replace("'", "''") + "'"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _describe(connection: duckdb.DuckDBPyConnection, source: Path) -> _Source:
    kind = _format(source, "batch.source")
    if not source.is_file():
        raise TrunklineError("batch.source", f"{source}: there is no such file")
    table = f"read_parquet({_quoted(source)})"
    if kind == "csv":
        table = f"read_csv({_quoted(source)}, header = true, all_varchar = true)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()
    types = {str(row[0]): str(row[1]) for row in described}
    named = {re.sub("[_ ]", "", name).lower(): name for name in types}
    names = {
        each: named[each.lower()] for each in (*_REQUIRED, *_OPTIONAL) if each.lower() in named
    }
    missing = [each for each in _REQUIRED if each not in names]
    if missing:
        raise TrunklineError(
            "batch.columns",
            f"{source}: no column {', '.join(missing)}; it has {', '.join(types)}."
            " The names are those of the reference's CDRs",
        )
    columns = {name: kind for name, kind in types.items() if name not in (COST, ERROR)}
    return _Source(table, columns, names)


def _query(source: _Source, kind: str) -> str:
    columns = []
    for name, of in source.columns.items():
        nested = of.endswith("]") or of.startswith(("STRUCT", "MAP", "UNION"))
        column = _name(name)
        columns.append(
            f"CAST({column} AS VARCHAR) AS {column}" if nested and kind == "csv" else column
        )
    return f"SELECT {', '.join(columns)} FROM {source.table}"


def _pieces(
    connection: duckdb.DuckDBPyConnection, source: _Source, kind: str, skip: int, size: int
) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    count = held = 0
    query = f"{_query(source, kind)} OFFSET {skip}"
    for batch in _batches(connection, query, min(size, _BATCH)):
        waiting.append(batch)
        count += batch.num_rows
        held += batch.nbytes
        while count >= size or (held >= _PIECE_BYTES and count):
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, size)
            waiting = table.slice(size).to_batches()
            count = max(count - size, 0)
            held = sum(each.nbytes for each in waiting)
    if count:
        yield pa.Table.from_batches(waiting)


def _batches(
    connection: duckdb.DuckDBPyConnection, query: str, size: int
) -> Iterator[pa.RecordBatch]:
    reader = iter(connection.sql(query).to_arrow_reader(size))
    while True:
        try:
            batch = next(reader, None)
        except (OSError, pa.ArrowException) as problem:  # what Arrow makes of DuckDB's errors
            raise duckdb.Error(str(problem)) from problem
        if batch is None:
            return
        yield batch


def _nothing(connection: duckdb.DuckDBPyConnection, source: _Source, kind: str) -> pa.Table:
    return connection.sql(f"{_query(source, kind)} LIMIT 0").to_arrow_table()


# Working


_Work = tuple[Tariff, Mapping[str, str], tzinfo, str]
"""What a worker is made with."""


def _in_threads(work: _Work, tables: Iterable[pa.Table]) -> Iterator[Piece]:
    """The pieces in their order; threads, since almost nothing here holds the interpreter."""
    worker = Worker(*work)
    threads = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads) as pool:
        yield from _in_order(tables, lambda table: pool.submit(worker.price, table).result, threads)


def _in_order(
    tables: Iterable[pa.Table], begin: Callable[[pa.Table], Callable[[], Piece]], workers: int
) -> Iterator[Piece]:
    """Begin pieces as fast as they end, and give them in the order of the input."""
    under_way: deque[Callable[[], Piece]] = deque()
    for table in tables:
        under_way.append(begin(table))
        if len(under_way) >= _WAITING * workers:
            yield under_way.popleft()()
    while under_way:
        yield under_way.popleft()()


def _on_ray(work: _Work, tables: Iterable[pa.Table]) -> Iterator[Piece]:
    from trunkline.store.batch_ray import cluster  # an extra of its own

    with cluster(work) as (begin, workers):
        yield from _in_order(tables, begin, workers)


_ENGINES: Final[Mapping[Engine, Callable[[_Work, Iterable[pa.Table]], Iterator[Piece]]]] = {
    Engine.DUCKDB: _in_threads,
    Engine.RAY: _on_ray,
}


# Writing


class _Output:
    """The output as it grows, and beside it the notes of what it has."""

    def __init__(
        self, target: Path, kind: str, header: bytes, plan: Mapping[str, str | int]
    ) -> None:
        self._target = target
        self._kind = kind
        self._unfinished = target.with_name(f"{target.name}.unfinished")
        self._notes_path = target.with_name(f"{target.name}.notes")
        self._footers: list[tuple[int, bytes]] = []
        self.records = 0
        """Those that an earlier run had written."""
        self.errors: Counter[str] = Counter()
        """Of them."""
        self._end = 0
        if not (self._notes_path.exists() and self._resume(plan)):
            self._begin(MAGIC if kind == "parquet" else header, plan)
        self._file = self._unfinished.open("r+b")
        self._file.truncate(self._end)
        self._file.seek(self._end)
        self._notes = self._notes_path.open("a")

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._notes.close()

    def _begin(self, head: bytes, plan: Mapping[str, str | int]) -> None:
        self._unfinished.write_bytes(head)
        self._end = len(head)
        noted = self._notes_path.with_name(f"{self._notes_path.name}.new")
        noted.write_text(json.dumps({**plan, "end": self._end}) + "\n")
        os.replace(noted, self._notes_path)

    def _resume(self, plan: Mapping[str, str | int]) -> bool:
        """Take up what is noted and was written: a note is made after its piece.

        False where that is nothing.
        """
        try:
            lines = self._notes_path.read_text().splitlines(keepends=True)
            first, *others = [json.loads(each) for each in lines if each.endswith("\n")]
            if not others:
                return False
            if {key: value for key, value in first.items() if key != "end"} != plan:
                raise TrunklineError(
                    "batch.unfinished",
                    f"{self._unfinished} is of another run: other records, or another tariff."
                    f" Remove it and {self._notes_path.name} to begin anew",
                )
            self._end = first["end"]
            for note in others:
                self._footers.append((self._end, base64.b64decode(note["footer"])))
                self._end = note["end"]
                self.records += note["records"]
                self.errors.update(note["errors"])
            if self._unfinished.stat().st_size < self._end:
                raise ValueError("it is shorter than what is noted of it")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise TrunklineError(
                "batch.unfinished",
                f"{self._unfinished}: {problem}; remove it and {self._notes_path.name}"
                " to begin anew",
            ) from problem
        complete = sum(len(each.encode()) for each in lines if each.endswith("\n"))
        os.truncate(self._notes_path, complete)
        return True

    def add(self, piece: Piece) -> None:
        """Write a piece and, when it is on the disk, its note."""
        self._file.write(piece.body)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._footers.append((self._end, piece.footer))
        self._end += len(piece.body)
        note = {
            "records": piece.records,
            "errors": piece.errors,
            "end": self._end,
            "footer": base64.b64encode(piece.footer).decode(),
        }
        self._notes.write(json.dumps(note) + "\n")
        self._notes.flush()

    def finish(self) -> None:
        """Make the output of it."""
        if self._kind == "parquet":
            self._file.write(join_footers(self._footers))
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._unfinished, self._target)
        self._notes_path.unlink()
