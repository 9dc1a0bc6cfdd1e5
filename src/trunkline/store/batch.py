"""Bulk rating: a file of usage records in, the same records with their cost out.

DuckDB reads the file a piece at a time and makes columns of numbers of its text, the kernel
(``trunkline.rating.batch``) prices them, and what it leaves open is priced one by one by the
single-call engine: the cost is that engine's to the last digit. A record without a price has no
``Cost`` and its reason in ``Error``.

Every piece becomes a file beside the output as soon as it is priced. A run that was interrupted
goes on after the last of them; in the end they become the output at once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trunkline.errors import DecodeError, TrunklineError
from trunkline.rating.batch import DIGITS, Batch, Ints, Kernel
from trunkline.rating.call import VOICE, Call
from trunkline.rating.durations import parse_duration
from trunkline.rating.errors import RatingError
from trunkline.rating.model import ANY, DEFAULT_CATEGORY, DEFAULT_TENANT
from trunkline.rating.number import price_number
from trunkline.rating.tariff import Tariff
from trunkline.rating.times import parse_time

__all__ = ["BatchReport", "rate_file", "record_count"]

_REQUIRED: Final = ("Destination", "AnswerTime", "Usage")
_OPTIONAL: Final = ("Tenant", "Category", "Subject", "Account", "ToR")
_COST, _ERROR = "Cost", "Error"
_OWN = "trunkline."  # begins the names of columns that are ours alone
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST = 2**63 // 1000 - 1  # µs: what 64 bits hold in nanoseconds
_AT_ONCE = 2  # pieces that are priced while the next is read
_PRECISION = 38  # digits of a Parquet decimal
_MEMORY = "1GB"  # DuckDB's
_FORMATS: Final = {".csv": "csv", ".parquet": "parquet"}
_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)"


@dataclass(slots=True)
class BatchReport:
    """What became of the records."""

    records: int = 0
    priced: int = 0
    one_by_one: int = 0
    """Of them, those that the kernel left open."""
    resumed: int = 0
    """Records that an earlier run had done."""
    errors: Counter[str] = field(default_factory=Counter)
    """Records without a price, by reason."""


@dataclass(frozen=True, slots=True)
class _Source:
    """How to read a file: what stands for it in a query, and its columns by our names."""

    table: str
    columns: tuple[str, ...]
    known: Mapping[str, tuple[str, str]]
    """Our name to the file's and its type."""


def rate_file(
    tariff: Tariff,
    source: Path,
    target: Path,
    *,
    fingerprint: str = "",
    zone: tzinfo = UTC,
    piece: int = 1_000_000,
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
        piece: Records that are priced at once.
        advance: Told how many records more are done.

    Raises:
        TrunklineError: ``batch.source``, ``batch.columns``, ``batch.target``, ``batch.parts``.
    """
    wanted = _format(target, "batch.target")
    connection = duckdb.connect()
    try:
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute("SET TimeZone = 'UTC'")
        found = _describe(connection, source)
        parts = _Parts(source, target, fingerprint, piece)
        report = BatchReport(resumed=parts.done)
        worker = _Worker(tariff, found, zone)
        if parts.done and advance:
            advance(parts.done)
        try:
            for rows in _priced(connection, found, worker, parts, report):
                if advance:
                    advance(rows)
            parts.finish(connection, found, wanted, report)
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
    """How many records ``source`` has, for a progress bar.

    Raises:
        TrunklineError: ``batch.source``.
    """
    connection = duckdb.connect()
    try:
        table = _describe(connection, source).table
        [(count,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)
    except duckdb.Error as problem:
        text = str(problem).partition("\n")[0]
        raise TrunklineError("batch.source", f"{source}: {text}") from problem
    finally:
        connection.close()


# Reading


def _format(path: Path, code: str) -> str:
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise TrunklineError(
            code, f"{path}: its name says neither .csv nor .parquet; call it by what is in it"
        )
    return found


def _quoted(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"


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
    known = {
        each: (named[each.lower()], types[named[each.lower()]])
        for each in (*_REQUIRED, *_OPTIONAL)
        if each.lower() in named
    }
    missing = [each for each in _REQUIRED if each not in known]
    if missing:
        raise TrunklineError(
            "batch.columns",
            f"{source}: no column {', '.join(missing)}; it has {', '.join(types)}."
            " The names are those of the reference's CDRs",
        )
    columns = tuple(name for name in types if name not in (_COST, _ERROR))
    return _Source(table, columns, known)


def _text(source: _Source, name: str) -> str:
    """A column as text that is never NULL."""
    if name not in source.known:
        return "''"
    return f"coalesce(CAST({_name(source.known[name][0])} AS VARCHAR), '')"


def _number_of(source: _Source) -> str:
    digits = _text(source, "Destination")
    return (
        f"CASE WHEN regexp_full_match({digits}, '[0-9]+')"
        f" THEN CAST(rpad(left({digits}, {DIGITS}), {DIGITS}, '0') AS BIGINT) ELSE -1 END"
    )


def _time_of(source: _Source, zone: tzinfo) -> str:
    """Microseconds since the epoch; NULL: read it by itself."""
    column, kind = source.known["AnswerTime"]
    name = _name(column)
    if kind == "TIMESTAMP WITH TIME ZONE" or (kind == "TIMESTAMP" and zone is UTC):
        return f"epoch_us({name})"
    if kind != "VARCHAR":
        return "CAST(NULL AS BIGINT)"
    return (
        f"CASE WHEN regexp_full_match({name}, {_quoted(_TIME)})"
        f" THEN epoch_us(TRY_CAST({name} AS TIMESTAMPTZ)) END"
    )


def _usage_of(source: _Source) -> str:
    """Nanoseconds, or units; NULL: read it by itself."""
    column, kind = source.known["Usage"]
    name = _name(column)
    if kind in ("BIGINT", "INTEGER", "UINTEGER", "SMALLINT"):
        return f"CAST({name} AS BIGINT)"
    if kind != "VARCHAR":
        return "CAST(NULL AS BIGINT)"
    return (
        f"CASE WHEN regexp_full_match({name}, '[0-9]{{1,18}}') THEN CAST({name} AS BIGINT)"
        f" WHEN regexp_full_match({name}, '[0-9]{{1,9}}s')"
        f" THEN CAST(left({name}, length({name}) - 1) AS BIGINT) * 1000000000 END"
    )


def _pieces(
    connection: duckdb.DuckDBPyConnection, source: _Source, zone: tzinfo, skip: int, size: int
) -> Iterator[pa.Table]:
    subject = _text(source, "Subject")
    account = _text(source, "Account")
    query = f"""
        SELECT {", ".join(map(_name, source.columns))},
            {_number_of(source)} AS "{_OWN}number",
            CAST(length({_text(source, "Destination")}) AS BIGINT) AS "{_OWN}length",
            {_time_of(source, zone)} AS "{_OWN}time",
            {_usage_of(source)} AS "{_OWN}usage",
            {_text(source, "Tenant")} AS "{_OWN}tenant",
            {_text(source, "Category")} AS "{_OWN}category",
            CASE WHEN {subject} = '' THEN {account} ELSE {subject} END AS "{_OWN}subject",
            {_text(source, "ToR")} AS "{_OWN}tor"
        FROM {source.table} OFFSET {skip}
    """
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in connection.sql(query).to_arrow_reader(min(size, 122_880)):
        waiting.append(batch)
        count += batch.num_rows
        while count >= size:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, size).combine_chunks()
            waiting = table.slice(size).to_batches()
            count -= size
    if count:
        yield pa.Table.from_batches(waiting).combine_chunks()


# Pricing


def _priced(
    connection: duckdb.DuckDBPyConnection,
    source: _Source,
    worker: _Worker,
    parts: _Parts,
    report: BatchReport,
) -> Iterator[int]:
    """Price and keep piece after piece; yield how many records each had."""
    under_way: deque[Future[tuple[pa.Table, BatchReport]]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:

        def finish() -> int:
            table, part = under_way.popleft().result()
            parts.keep(table)
            report.records += part.records
            report.priced += part.priced
            report.one_by_one += part.one_by_one
            report.errors += part.errors
            return part.records

        for table in _pieces(connection, source, worker.zone, parts.done, parts.size):
            under_way.append(pool.submit(worker.price, table))
            if len(under_way) > _AT_ONCE:
                yield finish()
        while under_way:
            yield finish()


class _Worker:
    """Prices pieces, in any thread."""

    def __init__(self, tariff: Tariff, source: _Source, zone: tzinfo) -> None:
        self.zone = zone
        self._tariff = tariff
        self._source = source
        self._kernel = Kernel(tariff)
        subjects: dict[str, set[str]] = {}
        for tenant, _, subject in tariff.index.profiles:
            subjects.setdefault(tenant, set()).add(subject)
        self._subjects = {tenant: sorted(names) for tenant, names in subjects.items()}

    def price(self, table: pa.Table) -> tuple[pa.Table, BatchReport]:
        """The piece with its two columns more."""
        count = table.num_rows
        decimals = self._kernel.decimals
        amount = np.zeros(count, np.int64)
        found = np.zeros(count, np.bool_)
        near = pc.less(pc.abs(table[f"{_OWN}time"]), _FARTHEST)  # null where there is no time
        usable = pc.and_kleene(near.fill_null(False), pc.is_valid(table[f"{_OWN}usage"])).to_numpy()
        for tenant, tor, rows in _kinds(table, usable):
            batch = self._batch(table, tenant, tor, rows)
            priced = self._kernel.price(batch)
            amount[rows] = priced.amount
            found[rows] = priced.found
        report = BatchReport(records=count)
        open_rows = np.nonzero(~found)[0]
        report.one_by_one = len(open_rows)
        costs, errors = self._one_by_one(table, open_rows, report)
        report.priced = count - sum(report.errors.values())
        column = _decimals(amount, found, costs, decimals)
        kept = table.select(list(self._source.columns))
        return (
            kept.append_column(_COST, column).append_column(_ERROR, _errors(count, errors)),
            report,
        )

    def _batch(self, table: pa.Table, tenant: str, tor: str, rows: Ints) -> Batch:
        chosen = table if len(rows) == table.num_rows else table.take(pa.array(rows))
        names = self._subjects.get(tenant or DEFAULT_TENANT, [])
        # What no profile names has the profile of *any; so has what is written so.
        subject = pc.index_in(chosen[f"{_OWN}subject"], value_set=pa.array(names, pa.string()))
        subjects = subject.fill_null(len(names)).to_numpy().astype(np.int64)
        category = chosen[f"{_OWN}category"].combine_chunks().dictionary_encode()
        categories = category.dictionary.to_pylist()
        codes = category.indices.to_numpy().astype(np.int64) * (len(names) + 1) + subjects
        distinct, profile = np.unique(codes, return_inverse=True)
        named = [*names, ANY]
        return Batch(
            tenant=tenant or DEFAULT_TENANT,
            tor=tor or VOICE,
            profile=profile.astype(np.int64),
            profiles=[
                (categories[code // len(named)] or DEFAULT_CATEGORY, named[code % len(named)])
                for code in distinct.tolist()
            ],
            number=chosen[f"{_OWN}number"].to_numpy(),
            length=chosen[f"{_OWN}length"].to_numpy(),
            time=chosen[f"{_OWN}time"].to_numpy() * 1000,
            usage=chosen[f"{_OWN}usage"].to_numpy(),
        )

    def _one_by_one(
        self, table: pa.Table, rows: Ints, report: BatchReport
    ) -> tuple[dict[int, Decimal], dict[int, str]]:
        costs: dict[int, Decimal] = {}
        errors: dict[int, str] = {}
        if not len(rows):
            return costs, errors
        chosen = table.take(pa.array(rows))
        names = {each: self._source.known[each][0] for each in _REQUIRED}
        own = [
            f"{_OWN}{each}" for each in ("time", "usage", "tenant", "category", "subject", "tor")
        ]
        columns = [chosen[names[each]].to_pylist() for each in _REQUIRED]
        values = zip(
            rows.tolist(), *columns, *(chosen[each].to_pylist() for each in own), strict=True
        )
        for row, destination, answered, used, time, usage, tenant, category, subject, tor in values:
            try:
                call = Call(
                    destination="" if destination is None else str(destination),
                    time=self._time(answered, time),
                    usage=usage if usage is not None else parse_duration(str(used or "")),
                    tenant=tenant,
                    category=category,
                    subject=subject,
                    tor=tor,
                )
                costs[row] = price_number(self._tariff, call)
            except RatingError as problem:
                errors[row] = problem.reference or problem.code
                report.errors[errors[row]] += 1
            except DecodeError as problem:
                errors[row] = problem.code
                report.errors[problem.code] += 1
        return costs, errors

    def _time(self, text: object, microseconds: int | None) -> datetime:
        if microseconds is not None:
            return _EPOCH + timedelta(microseconds=microseconds)
        if isinstance(text, datetime):
            return text if text.tzinfo else text.replace(tzinfo=self.zone)
        found = parse_time("" if text is None else str(text), self.zone, _EPOCH)
        if found is None:
            raise DecodeError("cgrates.time", "a record without a time")
        return found


def _kinds(table: pa.Table, usable: np.ndarray) -> Iterable[tuple[str, str, Ints]]:
    """The rows of each tenant and type of record."""
    tenant = table[f"{_OWN}tenant"].combine_chunks().dictionary_encode()
    tor = table[f"{_OWN}tor"].combine_chunks().dictionary_encode()
    tenants, tors = tenant.dictionary.to_pylist(), tor.dictionary.to_pylist()
    codes = tenant.indices.to_numpy().astype(np.int64) * len(tors) + tor.indices.to_numpy()
    everything = bool(usable.all())
    if everything and len(tenants) == len(tors) == 1:
        yield tenants[0], tors[0], np.arange(len(codes))
        return
    for code in np.unique(codes).tolist():
        rows = np.nonzero((codes == code) & usable)[0]
        if len(rows):
            yield tenants[code // len(tors)], tors[code % len(tors)], rows


def _decimals(
    amount: Ints, found: np.ndarray, costs: Mapping[int, Decimal], decimals: int
) -> pa.Array:
    """Exact decimals of an Arrow column: 128 bits each, the low half first."""
    words = np.empty((len(amount), 2), np.int64)
    words[:, 0] = amount
    words[:, 1] = amount >> 63
    valid = found.copy()
    for row, cost in costs.items():
        scaled = int(cost.scaleb(decimals))
        valid[row] = True
        words[row, 0] = np.uint64(scaled & (2**64 - 1)).astype(np.int64)
        words[row, 1] = scaled >> 64
    return pa.Array.from_buffers(
        pa.decimal128(_PRECISION, decimals),
        len(amount),
        [pa.array(valid).buffers()[1], pa.py_buffer(words)],
    )


def _errors(count: int, errors: Mapping[int, str]) -> pa.Array:
    if not errors:
        return pa.nulls(count, pa.string())
    column: list[str | None] = [None] * count
    for row, text in errors.items():
        column[row] = text
    return pa.array(column, pa.string())


# Writing


class _Parts:
    """The pieces that are done, beside the output."""

    def __init__(self, source: Path, target: Path, fingerprint: str, size: int) -> None:
        self.size = size
        self._target = target
        self._folder = target.with_name(f"{target.name}.parts")
        status = source.stat()
        plan = {
            "source": str(source.resolve()),
            "size": status.st_size,
            "modified": status.st_mtime_ns,
            "tariff": fingerprint,
        }
        file = self._folder / "plan.json"
        try:
            self._folder.mkdir(exist_ok=True)
            if not file.exists():
                file.write_text(json.dumps(plan))
            elif json.loads(file.read_text()) != plan:
                raise TrunklineError(
                    "batch.parts",
                    f"{self._folder} holds pieces of another run: other records, or another"
                    " tariff. Remove it to begin anew",
                )
        except (OSError, ValueError) as problem:
            raise TrunklineError(
                "batch.parts", f"{self._folder}: {problem}; remove it to begin anew"
            ) from problem
        self._files = sorted(self._folder.glob("[0-9]*.parquet"))
        self.done = sum(pq.read_metadata(each).num_rows for each in self._files)

    def keep(self, table: pa.Table) -> None:
        """Write one piece; it is there as a whole or not at all."""
        path = self._folder / f"{len(self._files):06d}.parquet"
        unfinished = path.with_suffix(".unfinished")
        pq.write_table(table, unfinished)
        os.replace(unfinished, path)
        self._files.append(path)

    def finish(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: _Source,
        kind: str,
        report: BatchReport,
    ) -> None:
        """Make the output of all pieces, and count what an earlier run did."""
        unfinished = self._target.with_name(f"{self._target.name}.unfinished")
        header = ", HEADER" if kind == "csv" else ""
        if self._files:
            table = f"read_parquet({_quoted(self._folder / '[0-9]*.parquet')})"
        else:
            columns = ", ".join(map(_name, source.columns))
            more = f"CAST(NULL AS DECIMAL(18, 4)) AS {_COST}, CAST(NULL AS VARCHAR) AS {_ERROR}"
            table = f"(SELECT {columns}, {more} FROM {source.table} LIMIT 0)"
        if report.resumed:
            self._count_again(connection, table, report)
        connection.execute(
            f"COPY (SELECT * FROM {table}) TO {_quoted(unfinished)} (FORMAT {kind}{header})"
        )
        os.replace(unfinished, self._target)
        shutil.rmtree(self._folder)

    @staticmethod
    def _count_again(
        connection: duckdb.DuckDBPyConnection, table: str, report: BatchReport
    ) -> None:
        rows = connection.execute(
            f"SELECT {_ERROR}, count(*) FROM {table} GROUP BY {_ERROR}"
        ).fetchall()
        counts = {error: int(count) for error, count in rows}
        report.priced = counts.pop(None, 0)
        report.errors = Counter(counts)
        report.records = report.priced + sum(counts.values())
