"""One piece of a bulk run: from columns as they were read to the bytes of the output.

Text becomes numbers column by column (``trunkline.rating.columns``), the kernel
(``trunkline.rating.batch``) prices them, and what it leaves open is priced one by one by the
single-call engine. A worker needs nothing but the tariff and the piece, so that pieces may be
worked on in threads or on other machines, in any order.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trunkline.errors import DecodeError
from trunkline.rating.batch import REFUSALS, Batch, Kernel
from trunkline.rating.call import VOICE, Call
from trunkline.rating.columns import Flags, Ints, Offsets, Text, number_keys, times, usages
from trunkline.rating.durations import parse_duration
from trunkline.rating.errors import RatingError
from trunkline.rating.model import ANY, DEFAULT_CATEGORY, DEFAULT_TENANT
from trunkline.rating.number import price_number
from trunkline.rating.tariff import Tariff
from trunkline.rating.times import parse_time
from trunkline.store.parquet import take_apart

__all__ = ["COST", "ERROR", "Piece", "Worker", "csv_header"]

COST, ERROR = "Cost", "Error"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FARTHEST = 2**63 // 1000 - 1  # µs: what 64 bits hold in nanoseconds
_FIRST, _LAST = (
    (each.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
    for each in (datetime.min, datetime.max)
)  # what Python's times hold, in µs
_PRECISION = 38  # digits of a Parquet decimal
_AT_ONCE = 65_536
"""Records that the kernel gets at once: their columns stay in the processor's cache."""
_scale = Context(prec=200).scaleb


@dataclass(frozen=True, slots=True)
class Piece:
    """What became of some records, ready to be written."""

    body: memoryview | bytes
    footer: bytes
    """Of a Parquet file of this piece alone; empty for CSV."""
    records: int
    one_by_one: int
    """Of them, those that the kernel left open."""
    errors: Counter[str] = field(default_factory=Counter)
    """Records without a price, by reason."""


@dataclass(slots=True)
class _Columns:
    """A piece as numbers. Times are microseconds since the epoch."""

    plain: Flags
    number: Ints
    time: Ints
    usage: Ints
    unread: dict[int, str]
    """Rows with a time or usage that is none: the error code."""


class Worker:
    """Prices pieces, in any thread."""

    def __init__(self, tariff: Tariff, names: Mapping[str, str], zone: tzinfo, kind: str) -> None:
        self._tariff = tariff
        self._kernel = Kernel(tariff)
        self._names = names
        """Our name of a column to the file's."""
        self._zone = zone
        self._offsets = Offsets(zone)
        self._kind = kind
        places = self._kernel.places - self._kernel.decimals
        self._most = min(10 ** (_PRECISION - places) - 1, 2**63 - 1)

    def price(self, table: pa.Table) -> Piece:
        """The records of ``table``, priced and encoded."""
        columns = self._columns(table)
        count = table.num_rows
        amount = np.zeros(count, np.int64)
        found = np.zeros(count, np.bool_)
        refused = np.zeros(count, np.int8)
        usable = (columns.time >= -_FARTHEST) & (columns.time <= _FARTHEST)
        usable[list(columns.unread)] = False
        for tenant, tor, profile, rows in self._kinds(table, usable):
            for begin in range(0, len(rows), _AT_ONCE):
                these = rows[begin : begin + _AT_ONCE]
                gapless = these[-1] - these[0] == len(these) - 1
                some = slice(these[0], these[-1] + 1) if gapless else these
                priced = self._kernel.price(
                    Batch(
                        tenant,
                        tor,
                        profile[begin : begin + _AT_ONCE],
                        columns.number[some],
                        columns.plain[some],
                        columns.time[some] * 1000,
                        columns.usage[some],
                    )
                )
                amount[some], found[some] = priced.amount, priced.found
                refused[some] = priced.refused
        found &= amount <= self._most
        is_open = ~found & (refused == 0)
        is_open[list(columns.unread)] = False
        costs, errors = self._one_by_one(table, columns, np.nonzero(is_open)[0])
        errors |= columns.unread
        counts = Counter(errors.values())
        for number, reason in enumerate(REFUSALS):
            if reason and (several := int(np.count_nonzero(refused == number))):
                counts[reason] += several
        cost = self._decimals(amount, found, costs)
        body, footer = _ENCODERS[self._kind](
            table.append_column(COST, cost).append_column(ERROR, _reasons(refused, errors))
        )
        return Piece(body, footer, count, len(costs) + len(errors) - len(columns.unread), counts)

    # Reading columns

    def _columns(self, table: pa.Table) -> _Columns:
        unread: dict[int, str] = {}

        def the_rest(name: str, values: Ints, known: Flags, parse: Callable[[str], int]) -> None:
            """Read what the columns' reader does not know, each text once."""
            rows = np.nonzero(~known)[0]
            if not len(rows):
                return
            texts = _text(self._column(table, name)).take(pa.array(rows)).dictionary_encode()
            meanings = [_try(parse, text) for text in texts.dictionary.to_pylist()]
            codes = texts.indices.to_numpy()
            values[rows] = np.array([each if isinstance(each, int) else 0 for each in meanings])[
                codes
            ]
            for code, meaning in enumerate(meanings):
                if isinstance(meaning, str):
                    unread.update(dict.fromkeys(rows[codes == code].tolist(), meaning))

        number, plain = number_keys(_as_text(self._column(table, "Destination")))
        usage, known = self._usage(self._column(table, "Usage"))
        the_rest("Usage", usage, known, parse_duration)
        time, known = self._time(self._column(table, "AnswerTime"))
        the_rest("AnswerTime", time, known, self._parse_time)
        return _Columns(plain, number, time, usage, unread)

    def _column(self, table: pa.Table, name: str) -> pa.Array:
        column = table[self._names[name]]
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()

    def _usage(self, column: pa.Array) -> tuple[Ints, Flags]:
        if pa.types.is_integer(column.type) and not pa.types.is_uint64(column.type):
            return _integers(column.fill_null(0))
        return usages(_as_text(column))

    def _time(self, column: pa.Array) -> tuple[Ints, Flags]:
        if not pa.types.is_timestamp(column.type):
            return times(_as_text(column), self._offsets)
        values, _ = _integers(column.cast(pa.timestamp("us", column.type.tz), safe=False))
        known = column.is_valid().to_numpy(zero_copy_only=False)
        known &= (values >= _FIRST) & (values <= _LAST)
        if column.type.tz is None and self._zone is not UTC:
            seconds, rest = np.divmod(values, 1_000_000)
            seconds[known] = self._offsets.to_utc(seconds[known])
            values = seconds * 1_000_000 + rest
        return values, known

    def _parse_time(self, text: str) -> int:
        found = parse_time(text, self._zone, _EPOCH)
        if found is None or text.strip().startswith(("*", "+")):
            raise DecodeError("cgrates.time", "a record without a time, or with one of no record")
        return (found - _EPOCH) // timedelta(microseconds=1)

    def _codes(self, table: pa.Table, name: str, default: str) -> tuple[list[str], Ints | None]:
        """The different values of a column, and for each row which it has; None: the only one."""
        if name not in self._names:
            return [default], None
        column = _text(self._column(table, name)).dictionary_encode()
        values = [value or default for value in column.dictionary.to_pylist()]
        if len(values) == 1:
            return values, None
        return values, column.indices.to_numpy().astype(np.int64)

    def _subjects(self, table: pa.Table) -> pa.Array | None:
        found = [_text(self._column(table, n)) for n in ("Subject", "Account") if n in self._names]
        if not found:
            return None
        first, *others = found
        for account in others:
            first = pc.if_else(pc.equal(pc.binary_length(first), 0), account, first)
        return first

    def _kinds(self, table: pa.Table, usable: Flags) -> Iterator[tuple[str, str, Ints, Ints]]:
        """Tenant, type of record, profiles and rows of all that is to be priced together."""
        tenants, tenant_of = self._codes(table, "Tenant", DEFAULT_TENANT)
        tors, tor_of = self._codes(table, "ToR", VOICE)
        categories, category_of = self._codes(table, "Category", DEFAULT_CATEGORY)
        subjects = self._subjects(table)
        for tenant_number, tenant in enumerate(tenants):
            names = self._kernel.subjects(tenant)
            profiles = np.concatenate(
                [np.zeros(0, np.int64), *(self._kernel.profiles(tenant, c) for c in categories)]
            )
            place = np.full(table.num_rows, len(names))
            if subjects is not None and list(names) != [ANY]:
                known = pc.index_in(subjects, value_set=pa.array(names, pa.string()))
                place = known.fill_null(len(names)).to_numpy().astype(np.int64)
            if category_of is not None:
                place += category_of * (len(names) + 1)
            profile = profiles.take(place)
            for tor_number, tor in enumerate(tors):
                here = usable
                if tenant_of is not None:
                    here = here & (tenant_of == tenant_number)
                if tor_of is not None:
                    here = here & (tor_of == tor_number)
                rows = np.nonzero(here)[0]
                yield tenant, tor, profile[rows], rows

    # What is left open

    def _one_by_one(
        self, table: pa.Table, columns: _Columns, rows: Ints
    ) -> tuple[dict[int, Decimal], dict[int, str]]:
        costs: dict[int, Decimal] = {}
        errors: dict[int, str] = {}
        if not len(rows):
            return costs, errors
        chosen = pa.array(rows)

        def values(name: str) -> Sequence[str]:
            if name not in self._names:
                return [""] * len(rows)
            texts: list[str] = _text(self._column(table, name)).take(chosen).to_pylist()
            return texts

        names = ("Destination", "Tenant", "Category", "Subject", "Account", "ToR")
        for row, time, usage, destination, tenant, category, subject, account, tor in zip(
            rows.tolist(),
            columns.time[rows].tolist(),
            columns.usage[rows].tolist(),
            *map(values, names),
            strict=True,
        ):
            call = Call(
                destination=destination,
                time=_EPOCH + timedelta(microseconds=time),
                usage=usage,
                tenant=tenant,
                category=category,
                subject=subject,
                account=account,
                tor=tor,
            )
            try:
                cost = price_number(self._tariff, call)
            except RatingError as problem:
                errors[row] = problem.reference or problem.code
                continue
            if cost.adjusted() + self._kernel.places < _PRECISION:
                costs[row] = cost
            else:
                errors[row] = "batch.amount"
        return costs, errors

    def _decimals(self, amount: Ints, found: Flags, costs: Mapping[int, Decimal]) -> pa.Array:
        """Exact decimals of an Arrow column: 128 bits each, the low half first."""
        decimals, places = self._kernel.decimals, self._kernel.places
        column = _decimal_column(amount, amount >> 63, found, decimals)
        if places > decimals:
            column = column.cast(pa.decimal128(_PRECISION, places))
        if costs:
            rows = np.array(list(costs))
            whole = pa.array(
                [_scale(cost, places).to_integral_value() for cost in costs.values()],
                pa.decimal128(_PRECISION, 0),
            )
            others = pa.Array.from_buffers(
                pa.decimal128(_PRECISION, places), len(rows), whole.buffers()
            )
            here = np.zeros(len(amount), np.bool_)
            here[rows] = True
            order = np.argsort(rows)
            column = pc.replace_with_mask(column, pa.array(here), others.take(pa.array(order)))
        return column


def _decimal_column(low: Ints, high: Ints, valid: Flags, decimals: int) -> pa.Array:
    words = np.empty((len(low), 2), np.int64)
    words[:, 0], words[:, 1] = low, high
    return pa.Array.from_buffers(
        pa.decimal128(_PRECISION, decimals),
        len(low),
        [pa.array(valid).buffers()[1], pa.py_buffer(words)],
    )


def _try(parse: Callable[[str], int], text: str) -> int | str:
    try:
        return parse(text)
    except DecodeError as problem:
        return problem.code


def _text(column: pa.Array) -> pa.Array:
    """As text, nothing as empty text."""
    if column.type != pa.string():
        column = column.cast(pa.string())
    return column.fill_null("") if column.null_count else column


def _as_text(column: pa.Array) -> Text:
    column = _text(column)
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    characters = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return Text(characters, bounds.astype(np.int64))


def _integers(column: pa.Array) -> tuple[Ints, Flags]:
    values = column.cast(pa.int64()).fill_null(0).to_numpy().copy()
    return values, np.ones(len(column), np.bool_)


def _reasons(refused: np.ndarray, errors: Mapping[int, str]) -> pa.Array:
    if not errors and not refused.any():
        return pa.nulls(len(refused), pa.string())
    reasons = dict.fromkeys([*REFUSALS, *errors.values()])
    numbers = {reason: number for number, reason in enumerate(reasons)}
    codes = refused.astype(np.int32)
    for row, reason in errors.items():
        codes[row] = numbers[reason]
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, mask=codes == 0), pa.array(list(reasons))
    ).cast(pa.string())


# Encoding


def _parquet(table: pa.Table) -> tuple[memoryview, bytes]:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=max(table.num_rows, 1))
    return take_apart(memoryview(sink.getvalue()))


def csv_header(names: Sequence[str]) -> bytes:
    """The first line of a file."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(names)
    return line.getvalue().encode()


def _csv(table: pa.Table) -> tuple[memoryview, bytes]:
    """Lines of the columns; the bytes of a column of lines are those of a file."""
    *columns, last = (_csv_column(column.combine_chunks()) for column in table.columns)
    last = pc.binary_join_element_wise(last, "", "\n", null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(
        *columns, last, ",", null_handling="replace", null_replacement=""
    )
    _, offsets, data = lines.buffers()
    bounds = np.frombuffer(offsets, np.int32)
    return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]], b""


def _csv_column(column: pa.Array) -> pa.Array:
    """As text, in quotes where they are needed."""
    text = column if column.type == pa.string() else column.cast(pa.string())
    if pa.types.is_decimal(column.type):
        return _without_exponents(text)
    data = text.buffers()[2]
    characters = b"" if data is None else data.to_pybytes()
    if not any(each in characters for each in b'",\n\r'):
        return text
    needed = pc.match_substring_regex(text, '[",\r\n]')
    doubled = pc.replace_substring(text, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), text)


def _without_exponents(text: pa.Array) -> pa.Array:
    """Amounts written out: Arrow writes 0E-9."""
    short = pc.match_substring(text, "E").fill_null(False)
    if not pc.any(short).as_py():
        return text
    plain = [format(Decimal(each), "f") for each in text.filter(short).to_pylist()]
    return pc.replace_with_mask(text, short, pa.array(plain, pa.string()))


_ENCODERS: Final = {"csv": _csv, "parquet": _parquet}
