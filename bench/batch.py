"""Bulk rating: records a second from one file to another, and what memory it takes.

    python -m bench.batch [--records 10000000] [--runs 3] [--json]

The tariff has 50,000 prefixes, prices with five rate slots, and a peak price on workdays. Numbers
are drawn from the prefixes: many calls to a number (``repeated``), or each number once
(``distinct``), from Parquet to Parquet; ``csv`` is the second from CSV to CSV. Each run is a
process of its own. Beside it, in the same run, what DuckDB does alone with the same files: join
the prefix to one price for each, multiply by the minutes, write: no slots, no peak hours, no
increments. Then the kernel without files: on one core, by 1 M prefixes to 1 k, and calls of ten
hours to calls of one minute.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.figures import Figure, show
from trunkline.rating import Tariff
from trunkline.rating.batch import Batch, Kernel
from trunkline.rating.columns import Ints, Text, number_keys
from trunkline.rating.durations import SECOND
from trunkline.rating.tariff import (
    Activation,
    Binding,
    Destination,
    DestinationRate,
    PlanEntry,
    Rate,
    RateSlot,
    RatingPlan,
    RatingProfile,
    RoundingMethod,
    Timing,
)
from trunkline.store.batch import rate_file

__all__ = ["KERNEL", "TITLES", "measure"]

TITLES = {
    "records_per_s": "records a second",
    "control_per_s": "DuckDB alone, join and multiply, records a second",
    "ratio": "the first over the second",
    "one_by_one": "records priced one by one",
    "cpu_us": "µs of CPU a record",
    "peak_mb": "MB of the whole process at its peak",
}
KERNEL = {
    "kernel_per_s": "the kernel alone, one core, calls a second",
    "keys_per_s": "numbers made look-up keys, one core, a second",
    "prefixes": "the kernel's time by 1 M prefixes over that by 1 k",
    "long": "calls of 10 h over calls of 1 min",
    "long_peak": "the same where prices change with the hour",
}

_PREFIXES = 50_000
_MINUTE = 60 * SECOND
_FIRST = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
_CHUNK = 1_000_000
_BATCH = 65_536


def tariff(prefixes: int = _PREFIXES, *, peak: bool = True) -> Tariff:
    """Prefixes of 8 digits, ten in a destination, five slots, with a peak price or without."""
    numbers = random.Random(7).sample(range(10_000_000, 100_000_000), prefixes)
    count = prefixes // 10
    rates = [
        Rate(
            f"RT_{n}",
            tuple(
                RateSlot(
                    Fraction(n % 11, 100),
                    Fraction(n % 97 + 5 - slot, 100),
                    _MINUTE,
                    SECOND if slot else _MINUTE,
                    slot * _MINUTE,
                )
                for slot in range(5)
            ),
        )
        for n in range(300)
    ]

    def bindings(shift: int) -> tuple[Binding, ...]:
        return tuple(
            Binding(f"DST_{n}", f"RT_{(n * 7 + shift) % 300}", RoundingMethod.UP, 4)
            for n in range(count)
        )

    return Tariff.build(
        destinations=[
            Destination(f"DST_{n}", tuple(str(each) for each in numbers[n::count]))
            for n in range(count)
        ],
        rates=rates,
        destination_rates=[
            DestinationRate("OFF", bindings(0)),
            DestinationRate("PEAK", bindings(1)),
        ],
        timings=[Timing("WORK", week_days=(1, 2, 3, 4, 5), start=8 * 3600, end=19 * 3600)],
        rating_plans=[
            RatingPlan(
                "RP",
                (
                    PlanEntry("OFF", "*any", Fraction(10)),
                    *([PlanEntry("PEAK", "WORK", Fraction(20))] if peak else []),
                ),
            )
        ],
        rating_profiles=[
            RatingProfile("cgrates.org", "call", "*any", (Activation(None, "RP"),)),
        ],
    )


def write(of: Tariff, path: Path, records: int, *, distinct: bool) -> None:
    """Write so many records at random."""
    draw = np.random.default_rng(11)
    prefixes = np.array([int(prefix) for prefix in of.index.prefixes])
    schema = pa.schema(
        [
            ("Account", pa.string()),
            ("Destination", pa.string()),
            ("AnswerTime", pa.timestamp("us", "UTC")),
            ("Usage", pa.int64()),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, records, _CHUNK):
            count = min(_CHUNK, records - start)
            tail = np.arange(start, start + count) if distinct else np.zeros(count, np.int64)
            numbers = draw.choice(prefixes, count) * 100_000_000 + tail
            accounts = draw.integers(1000, 11_000, count)
            seconds = _FIRST + draw.integers(0, 366 * 86_400, count)
            columns = [
                pa.array(accounts).cast(pa.string()),
                pa.array(numbers).cast(pa.string()),
                pa.array(seconds * 1_000_000).cast(pa.timestamp("us", "UTC")),
                pa.array(draw.integers(1, 600, count) * SECOND),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _as_csv(source: Path, target: Path) -> None:
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(
        f"COPY (SELECT Account, Destination, strftime(epoch_ms(epoch_ms(AnswerTime)),"
        f" '%Y-%m-%dT%H:%M:%SZ') AS AnswerTime, Usage FROM '{source}') TO '{target}' (HEADER)"
    )


def _alone(of: Tariff, source: Path, target: Path) -> float:
    """Seconds that DuckDB takes to give each record one price of its prefix."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    prices = pa.table(
        {
            "prefix": list(of.index.prefixes),
            "price": [float(number % 97) for number in range(len(of.index.prefixes))],
        }
    )
    connection.register("prices", prices)
    began = time.perf_counter()
    connection.execute(
        f"COPY (SELECT records.*, price * ceil(CAST(Usage AS BIGINT) / {_MINUTE}) AS Cost"
        f" FROM '{source}' AS records JOIN prices"
        f" ON left(CAST(Destination AS VARCHAR), 8) = prefix) TO '{target}'"
    )
    return time.perf_counter() - began


def run(source: str, target: str) -> None:
    """One run in this process; prints its figures."""
    of = tariff()
    cpu, began = time.process_time(), time.perf_counter()
    report = rate_file(of, Path(source), Path(target))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    if report.priced != report.records:
        raise RuntimeError(f"{report.records - report.priced} records have no price")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    found = {
        "records_per_s": report.records / seconds,
        "one_by_one": report.one_by_one,
        "cpu_us": cpu / report.records * 1e6,
        "peak_mb": peak,
    }
    print(json.dumps(found))


def _in_a_process(source: Path, target: Path) -> dict[str, float]:
    code = f"from bench.batch import run; run({str(source)!r}, {str(target)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _files(
    records: int, runs: int, progress: Callable[[str], None]
) -> dict[str, dict[str, Figure]]:
    of = tariff()
    found: dict[str, dict[str, Figure]] = {}
    for name, distinct, suffix in (
        ("repeated", False, "parquet"),
        ("distinct", True, "parquet"),
        ("csv", True, "csv"),
    ):
        progress(f"bulk rating, {name}")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "in.parquet"
            target = Path(folder) / f"out.{suffix}"
            write(of, source, records, distinct=distinct)
            if suffix == "csv":
                _as_csv(source, source.with_suffix(".csv"))
                source = source.with_suffix(".csv")
            seen: dict[str, list[float]] = {title: [] for title in TITLES}
            for _ in range(runs):
                figures = _in_a_process(source, target)
                figures["control_per_s"] = records / _alone(of, source, target)
                figures["ratio"] = figures["records_per_s"] / figures["control_per_s"]
                for title, value in figures.items():
                    seen[title].append(value)
        found[name] = {title: Figure.of(values) for title, values in seen.items()}
    return found


# The kernel alone


def _text(values: Ints) -> Text:
    column = pa.array(values).cast(pa.string())
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int32)[: len(column) + 1]
    return Text(np.frombuffer(data, np.uint8), bounds.astype(np.int64))


def _batch(of: Tariff, kernel: Kernel, usage: int | None) -> tuple[Text, Batch]:
    draw = np.random.default_rng(11)
    prefixes = np.array([int(prefix) for prefix in of.index.prefixes])
    text = _text(draw.choice(prefixes, _BATCH) * 100_000_000 + np.arange(_BATCH))
    number, plain = number_keys(text)
    seconds = draw.integers(1, 600, _BATCH) if usage is None else np.full(_BATCH, usage)
    return text, Batch(
        "cgrates.org",
        "*voice",
        np.full(_BATCH, kernel.profiles("cgrates.org", "call")[-1]),
        number,
        plain,
        (_FIRST + draw.integers(0, 366 * 86_400, _BATCH)) * SECOND,
        seconds * SECOND,
    )


def _seconds(work: Callable[[], object]) -> float:
    """CPU seconds, the least of some rounds."""
    work()
    found = []
    for _ in range(7):
        began = time.process_time()
        for _ in range(5):
            work()
        found.append((time.process_time() - began) / 5)
    return min(found)


def _kernel(progress: Callable[[str], None]) -> dict[str, Figure]:
    progress("the batch kernel")

    def cost(of: Tariff, usage: int | None = None) -> float:
        kernel = Kernel(of)
        _, batch = _batch(of, kernel, usage)
        if not kernel.price(batch).found.all():
            raise RuntimeError("some calls have no price")
        return _seconds(lambda: kernel.price(batch))

    usual, steady = tariff(), tariff(peak=False)
    text, _ = _batch(usual, Kernel(usual), None)
    few, many = cost(tariff(1_000)), cost(tariff(1_000_000))
    figures = {
        "kernel_per_s": _BATCH / cost(usual),
        "keys_per_s": _BATCH / _seconds(lambda: number_keys(text)),
        "prefixes": many / few,
        "long": cost(steady, 36_000) / cost(steady, 60),
        "long_peak": cost(usual, 36_000) / cost(usual, 60),
    }
    return {name: Figure.of([value]) for name, value in figures.items()}


def measure(
    records: int, runs: int, progress: Callable[[str], None]
) -> dict[str, dict[str, Figure]]:
    """Figures by kind of records, and those of the kernel."""
    return {**_files(records, runs, progress), "kernel": _kernel(progress)}


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    show(measure(options.records, options.runs, progress), as_json=options.json)


if __name__ == "__main__":
    main()
