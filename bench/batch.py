"""Bulk rating: records a second from a Parquet file to another, and what memory it takes.

    python -m bench.batch [--records 10000000] [--json]

The tariff has 50,000 prefixes, prices with five rate slots, and a peak price on workdays. Numbers
are drawn from the prefixes: many calls to a number (``repeated``), or each number once
(``distinct``). Beside it, in the same run, the single-call engine on a sample.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.figures import Figure, show
from trunkline.rating import Call, Tariff
from trunkline.rating.durations import SECOND
from trunkline.rating.number import price_number
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

__all__ = ["measure"]

_PREFIXES = 50_000
_MINUTE = 60 * SECOND
_FIRST = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
_CHUNK = 1_000_000


def tariff() -> Tariff:
    """50,000 prefixes of 8 digits in 5,000 destinations, five slots, peak and off-peak."""
    numbers = random.Random(7).sample(range(10_000_000, 100_000_000), _PREFIXES)
    count = _PREFIXES // 10
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
                (PlanEntry("OFF", "*any", Fraction(10)), PlanEntry("PEAK", "WORK", Fraction(20))),
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


def _one_by_one(of: Tariff, path: Path) -> float:
    """Prices a second of the single-call engine, on a sample of the same records."""
    rows = duckdb.execute(
        f"SELECT Account, Destination, epoch(AnswerTime), Usage FROM '{path}' LIMIT 20000"
    ).fetchall()
    calls = [
        Call(
            account=account,
            destination=destination,
            time=datetime.fromtimestamp(time, UTC),
            usage=usage,
        )
        for account, destination, time, usage in rows
    ]
    began = time.perf_counter()
    for call in calls:
        price_number(of, call)
    return len(calls) / (time.perf_counter() - began)


def measure(records: int) -> dict[str, dict[str, Figure]]:
    """Figures by kind of numbers."""
    of = tariff()
    found: dict[str, dict[str, Figure]] = {}
    for name, distinct in (("repeated", False), ("distinct", True)):
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.parquet", Path(folder) / "out.parquet"
            write(of, source, records, distinct=distinct)
            single = _one_by_one(of, source)
            began = time.perf_counter()
            report = rate_file(of, source, target)
            seconds = time.perf_counter() - began
        if report.priced != records:
            raise RuntimeError(f"{records - report.priced} records have no price")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        found[name] = {
            "records_per_s": Figure.of([records / seconds]),
            "single_per_s": Figure.of([single]),
            "one_by_one": Figure.of([report.one_by_one / records]),
            "peak_mb": Figure.of([peak]),
        }
    return found


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show(measure(options.records), as_json=options.json)


if __name__ == "__main__":
    main()
