"""Bulk rating of files: the engine's own cost, whatever the format, and runs that go on."""

from __future__ import annotations

import csv
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from tests.rating.folder import tariff as folder

from trunkline.errors import TrunklineError
from trunkline.rating import Call, Tariff
from trunkline.rating.durations import SECOND, format_duration
from trunkline.rating.number import price_number
from trunkline.store.batch import BatchReport, rate_file, record_count

TARIFF = folder(
    {
        "Destinations.csv": "MOBILE,614\nFIXED,61\n",
        "Timings.csv": "PEAK,*any,*any,*any,1;2;3;4;5,08:00:00;19:00:00\n",
        "Rates.csv": "CHEAP,0,0.10,60s,60s,0s\nDEAR,0.05,0.40,60s,60s,0s\nDEAR,0,0.2,60s,1s,60s\n",
        "DestinationRates.csv": "OFF,*any,CHEAP,*up,4,0,\nPEAK,MOBILE,DEAR,*middle,2,0,\n",
        "RatingPlans.csv": "RP,OFF,*any,10\nRP,PEAK,PEAK,20\nVIP,OFF,*any,10\n",
        "RatingProfiles.csv": (
            "cgrates.org,call,*any,,RP,\ncgrates.org,call,1001,,VIP,\n"
            "other.org,call,*any,,VIP,\ncgrates.org,sms,*any,,RP,\n"
        ),
    }
)
HEADER = ["ID", "Tenant", "Category", "Account", "Subject", "Destination", "AnswerTime", "Usage"]
HEADER += ["ToR", "Cost"]


def records(count: int) -> list[list[str]]:
    """Usual and unusual ones, in any order."""
    draw = random.Random(7)
    rows = []
    for number in range(count):
        answered = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.randrange(10**6))
        used = draw.randrange(1, 600) * SECOND
        rows.append(
            [
                f"cdr-{number}",
                draw.choice(["cgrates.org", "", "other.org", "nobody.org"]),
                draw.choice(["call", "", "call", "fax"]),
                draw.choice(["1001", "1002", "1003"]),
                draw.choice(["", "", "1001", "9"]),
                draw.choice(["614", "61", "+614", "49", "6"]) + str(draw.randrange(10**8)),
                draw.choice(
                    [
                        answered.isoformat().replace("+00:00", "Z"),
                        answered.astimezone().isoformat(),
                        str(int(answered.timestamp())),
                        answered.strftime("%Y-%m-%d %H:%M:%S"),
                    ]
                ),
                draw.choice([str(used), f"{used // SECOND}s", format_duration(used)]),
                draw.choice(["*voice", ""]),
                "0.5",
            ]
        )
    rows.append(["late", "", "", "1", "", "614", "9999-01-01T00:00:00Z", "1s", "", ""])
    rows.append(["none", "", "", "1", "", "614", "", "1s", "", ""])
    rows.append(["odd", "", "", "1", "", "614", "2026-01-01T00:00:00Z", "1 fortnight", "", ""])
    rows.append(["sms", "", "sms", "1", "", "614", "2026-01-01T00:00:00Z", "1", "*sms", ""])
    return rows


def write(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def cost(tariff: Tariff, row: dict[str, str]) -> Decimal:
    """What the engine says of one record, read in another way than the batch reads it."""
    from trunkline.rating.durations import parse_duration
    from trunkline.rating.times import parse_time

    time = parse_time(row["AnswerTime"], UTC, datetime(1970, 1, 1, tzinfo=UTC))
    assert time is not None
    call = Call(
        tenant=row["Tenant"],
        category=row["Category"],
        account=row["Account"],
        subject=row["Subject"],
        destination=row["Destination"],
        time=time,
        usage=parse_duration(row["Usage"]),
        tor=row["ToR"],
    )
    return price_number(tariff, call)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_record_has_the_engines_cost_or_a_reason(tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path / "in.csv", records(3000))
    target = tmp_path / f"out{suffix}"
    seen: list[int] = []
    report = rate_file(TARIFF, source, target, piece=700, advance=seen.append)
    assert record_count(source) == report.records == sum(seen) == 3004
    if suffix == ".parquet":
        duckdb.sql(f"COPY (FROM '{target}') TO '{tmp_path}/read.csv' (HEADER)")
        target = tmp_path / "read.csv"
    rows = read(target)
    assert [row["ID"] for row in rows] == [row["ID"] for row in read(source)]
    priced = 0
    for row in rows:
        if row["Error"]:
            assert not row["Cost"]
            continue
        priced += 1
        assert Decimal(row["Cost"]) == cost(TARIFF, row)
    assert priced == report.priced > 1000
    assert 500 < report.one_by_one < 2900, "some by the kernel, some not"
    assert dict(report.errors) == {
        "RATING_PLAN_NOT_FOUND": report.errors["RATING_PLAN_NOT_FOUND"],
        "cgrates.time": 1,
        "rating.duration": 1,
        "rating.time": 1,
    }
    assert list(tmp_path.glob("*.parts")) == []


def test_numbers_and_times_may_be_typed(tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    duckdb.sql(
        "COPY (SELECT 614000000 + range AS destination, 60000000000 AS usage,"
        " TIMESTAMPTZ '2026-01-05 12:00:00+00' AS answer_time, 'x' AS note FROM range(5))"
        f" TO '{source}' (FORMAT parquet)"
    )
    report = rate_file(TARIFF, source, target)
    assert (report.priced, report.one_by_one) == (5, 0)
    found = duckdb.sql(f"FROM '{target}'")
    assert found is not None
    assert found.columns == ["destination", "usage", "answer_time", "note", "Cost", "Error"]
    assert found.fetchall()[0][4:] == (Decimal("0.45"), None)


class Pulled(Exception):  # noqa: N818 - it is no error
    """Somebody pulled the plug."""


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.csv", records(3000)), tmp_path / "out.csv"
    whole = tmp_path / "whole.csv"
    expected = rate_file(TARIFF, source, whole, fingerprint="t", piece=500)

    done = 0

    def pull(count: int) -> None:
        nonlocal done
        done += count
        if done >= 1000:
            raise Pulled

    with pytest.raises(Pulled):
        rate_file(TARIFF, source, target, fingerprint="t", piece=500, advance=pull)
    assert not target.exists()
    with pytest.raises(TrunklineError, match=r"pieces of another run.*Remove it") as refused:
        rate_file(TARIFF, source, target, fingerprint="other", piece=500)
    assert refused.value.code == "batch.parts"
    report = rate_file(TARIFF, source, target, fingerprint="t", piece=500)
    assert report.resumed >= 1000
    assert (report.records, report.priced) == (expected.records, expected.priced)
    assert report.errors == expected.errors
    assert target.read_bytes() == whole.read_bytes()


def test_no_records_are_no_error(tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.csv", []), tmp_path / "out.csv"
    assert rate_file(TARIFF, source, target) == BatchReport()
    assert target.read_text().strip().endswith("Cost,Error")


@pytest.mark.parametrize(
    ("source", "target", "code", "message"),
    [
        ("absent.csv", "out.csv", "batch.source", "no such file"),
        ("in.txt", "out.csv", "batch.source", "neither .csv nor .parquet"),
        ("in.csv", "out.xls", "batch.target", "neither .csv nor .parquet"),
        (
            "in.csv",
            "out.csv",
            "batch.columns",
            "no column Destination, AnswerTime, Usage; it has a",
        ),
        ("junk.parquet", "out.csv", "batch.source", "junk.parquet: "),
    ],
)
def test_what_cannot_be_read_is_one_documented_error(
    tmp_path: Path, source: str, target: str, code: str, message: str
) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 junk")
    with pytest.raises(TrunklineError) as refused:
        rate_file(TARIFF, tmp_path / source, tmp_path / target)
    assert refused.value.code == code
    assert message in str(refused.value)


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "in.csv", records(10))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(TrunklineError, match="No space left") as refused:
        rate_file(TARIFF, source, tmp_path / "out.csv")
    assert refused.value.code == "batch.target"
