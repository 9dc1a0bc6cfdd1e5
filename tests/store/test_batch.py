"""Bulk rating of files: the engine's own cost, whatever the format, and runs that go on."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from tests.rating.folder import tariff as folder

from trunkline.errors import TrunklineError
from trunkline.rating import Call, Tariff
from trunkline.rating.durations import SECOND, format_duration
from trunkline.rating.number import price_number
from trunkline.store.batch import BatchReport, Engine, rate_file, record_count

FILES = {
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
TARIFF = folder(FILES)
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
    assert report.one_by_one == 1, "what is beyond the years of the kernel"
    assert dict(report.errors) == {
        "RATING_PLAN_NOT_FOUND": report.errors["RATING_PLAN_NOT_FOUND"],
        "cgrates.time": 1,
        "rating.duration": 1,
        "rating.time": 1,
    }
    assert not [*tmp_path.glob("*.unfinished"), *tmp_path.glob("*.notes")]


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
    with pytest.raises(TrunklineError, match=r"is of another run.*Remove it") as refused:
        rate_file(TARIFF, source, target, fingerprint="other", piece=500)
    assert refused.value.code == "batch.unfinished"
    report = rate_file(TARIFF, source, target, fingerprint="t", piece=500)
    assert report.resumed >= 1000
    assert (report.records, report.priced) == (expected.records, expected.priced)
    assert report.errors == expected.errors
    assert target.read_bytes() == whole.read_bytes()


def test_a_run_that_had_written_nothing_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write(tmp_path / "in.csv", records(10)), tmp_path / "out.csv"

    def fail(*_: object) -> None:
        raise Pulled

    with monkeypatch.context() as patch:
        patch.setattr("trunkline.store.batch_worker.Worker.price", fail)
        with pytest.raises(Pulled):
            rate_file(TARIFF, source, target, fingerprint="t")
    assert (tmp_path / "out.csv.notes").exists()
    assert rate_file(TARIFF, source, target, fingerprint="other").records == 14


def test_a_run_goes_on_after_what_is_noted_and_was_written(tmp_path: Path) -> None:
    """As a process that was killed leaves it: half a note, and a piece without one."""
    source, target = write(tmp_path / "in.csv", records(3000)), tmp_path / "out.parquet"
    whole = tmp_path / "whole.parquet"
    rate_file(TARIFF, source, whole, piece=500)

    def pull(_: int) -> None:
        raise Pulled

    with pytest.raises(Pulled):
        rate_file(TARIFF, source, target, piece=500, advance=pull)
    unfinished, notes = (tmp_path / f"out.parquet.{each}" for each in ("unfinished", "notes"))
    with unfinished.open("ab") as file:
        file.write(b"half a piece")
    with notes.open("a") as noted:
        noted.write('{"records": 500, "er')
    assert rate_file(TARIFF, source, target, piece=500).resumed == 500
    assert target.read_bytes() == whole.read_bytes()

    with pytest.raises(Pulled):
        rate_file(TARIFF, source, target, piece=500, advance=pull)
    unfinished.write_bytes(unfinished.read_bytes()[:-1])
    with pytest.raises(TrunklineError, match="shorter than what is noted") as refused:
        rate_file(TARIFF, source, target, piece=500)
    assert refused.value.code == "batch.unfinished"
    for note in ("", "[]\n{}\n", "junk\n"):
        notes.write_text(note)
        with pytest.raises(TrunklineError) as refused:
            rate_file(TARIFF, source, target, piece=500)
        assert refused.value.code == "batch.unfinished"


def test_long_records_make_smaller_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.store.batch._PIECE_BYTES", 100_000)
    source, whole = write(tmp_path / "in.csv", records(3000)), tmp_path / "whole.csv"
    seen: list[int] = []
    rate_file(TARIFF, source, whole, advance=seen.append)
    assert len(seen) == 1, "what DuckDB gives at once"
    monkeypatch.setattr("trunkline.store.batch._BATCH", 500)
    seen.clear()
    rate_file(TARIFF, source, tmp_path / "out.csv", advance=seen.append)
    assert sum(seen) == 3004
    assert max(seen) < 2000
    assert (tmp_path / "out.csv").read_bytes() == whole.read_bytes()


def test_text_in_quotes_stays_as_it_is(tmp_path: Path) -> None:
    rows = records(4)
    for row, text in zip(rows, ['say "hi"', "a,b", "two\nlines", "plain"], strict=False):
        row[0] = text
    source, target = write(tmp_path / "in.csv", rows), tmp_path / "out.csv"
    rate_file(TARIFF, source, target)
    assert [row["ID"] for row in read(target)] == [row[0] for row in rows]
    source.write_bytes(source.read_bytes().rstrip())
    assert record_count(source) == len(rows) + 1, "lines, for the bar"


def test_what_is_nested_becomes_text_in_csv(tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.csv"
    duckdb.sql(
        "COPY (SELECT '614' AS Destination, '1m0s' AS Usage, [1, 2] AS legs, 1.5 AS score,"
        " TIMESTAMP '2026-01-05 12:00:00' AS AnswerTime, true AS good)"
        f" TO '{source}' (FORMAT parquet)"
    )
    assert rate_file(TARIFF, source, target).priced == 1
    [row] = read(target)
    assert (row["legs"], row["score"], row["good"]) == ("[1, 2]", "1.5", "true")
    assert row["Cost"] == "0.4500"
    again = tmp_path / "again.csv"
    assert rate_file(TARIFF, target, again).priced == 1, "what is written is read"
    assert again.read_bytes() == target.read_bytes()


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin")])
def test_times_without_an_offset_are_local(tmp_path: Path, zone: tzinfo) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    duckdb.sql(
        "COPY (SELECT '614' AS Destination, 60000000000 AS Usage, unnest(["
        "TIMESTAMP '2026-01-05 07:59:59', TIMESTAMP '2026-01-05 08:00:00',"
        " TIMESTAMP 'infinity', NULL]) AS AnswerTime)"
        f" TO '{source}' (FORMAT parquet)"
    )
    report = rate_file(replace(TARIFF, time_zone=zone), source, target, zone=zone)
    found = duckdb.execute(f"SELECT Cost FROM '{target}'").fetchall()
    assert [cost for (cost,) in found] == [Decimal("0.1"), Decimal("0.45"), None, None]
    assert report.errors == {"cgrates.time": 2}
    duckdb.sql(
        f"COPY (SELECT * REPLACE (NULL::TIMESTAMP AS AnswerTime) FROM '{target}')"
        f" TO '{source}' (FORMAT parquet)"
    )
    assert rate_file(TARIFF, source, target, zone=zone).errors == {"cgrates.time": 4}


def test_small_amounts_are_written_out(tmp_path: Path) -> None:
    tariff = folder(
        {
            "Destinations.csv": "MOBILE,614\n",
            "Rates.csv": "R,0,0.000000001,7s,1s,0s\n",
            "DestinationRates.csv": "DR,*any,R,*up,12,0,\n",
            "RatingPlans.csv": "RP,DR,*any,10\n",
            "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
        }
    )
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("Destination,AnswerTime,Usage\n614,1407157200,1s\n614,1407157200,0\n")
    rate_file(tariff, source, target)
    assert [row["Cost"] for row in read(target)] == ["0.000000000143", "0.000000000000"]


def test_a_price_that_no_column_holds(tmp_path: Path) -> None:
    tariff = folder(
        {
            "Destinations.csv": "MOBILE,614\nFIXED,61\n",
            "Rates.csv": "R,0,999999999,1ns,1ns,0s\nS,0,999999999,1s,1s,0s\n",
            "DestinationRates.csv": "DR,MOBILE,R,*up,20,0,\nDR,FIXED,S,*up,20,0,\n",
            "RatingPlans.csv": "RP,DR,*any,10\n",
            "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
        }
    )
    source, target = tmp_path / "in.csv", tmp_path / "out.parquet"
    lines = "Destination,AnswerTime,Usage\n"
    lines += "".join(
        f"{n},1407157200,{u}\n" for n, u in (("614", "72h"), ("614", "1"), ("61", "1s"))
    )
    source.write_text(lines)
    report = rate_file(tariff, source, target)
    found = duckdb.execute(f"SELECT Cost, Error FROM '{target}'").fetchall()
    price = Decimal(999999999)
    assert found == [(None, "batch.amount"), (price, None), (price, None)]
    assert report.errors == {"batch.amount": 1}


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"}
"""127.0.0.1 and ::1 as the kernel prints them."""


def listening(home: Path) -> set[str]:
    """Where processes with this home folder listen."""
    sockets: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
                for file in (process / "fd").iterdir():
                    with suppress(OSError):
                        sockets.add(str(file.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *others = line.split()
            if state == "0A" and f"socket:[{others[5]}]" in sockets:
                found.add(local.partition(":")[0])
    return found


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: trunkline[ray]")
def test_a_ray_cluster_writes_the_same_and_listens_on_loopback(tmp_path: Path) -> None:
    """By the command, in a process of its own: Ray leaves threads behind."""
    source = write(tmp_path / "in.csv", records(500))
    (tmp_path / "tariff").mkdir()
    for name, text in FILES.items():
        (tmp_path / "tariff" / name).write_text(text)
    outputs, heard = [], set()
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("RAY_ADDRESS", None)
    for engine in ("duckdb", "ray"):
        outputs.append(tmp_path / f"{engine}.parquet")
        command = [sys.executable, "-m", "trunkline", "rate", "batch"]
        command += [str(source), str(outputs[-1]), "--tariff", str(tmp_path / "tariff")]
        command += ["--engine", engine, "--json"]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            while run.poll() is None:
                heard |= listening(tmp_path)
                time.sleep(0.5)
            assert run.stdout is not None
            assert run.stderr is not None
            assert run.returncode == 1, run.stderr.read()  # some have no price
            assert json.loads(run.stdout.read())["records"] == 504
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert heard
    assert heard <= LOOPBACK


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: trunkline[ray]")
def test_a_ray_cluster_that_is_not_there(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", records(5))
    command = [sys.executable, "-m", "trunkline", "rate", "batch", str(source)]
    command += [str(tmp_path / "out.csv"), "--tariff", "examples/tutorial-tariff"]
    environment = {**os.environ, "HOME": str(tmp_path), "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(
        [*command, "--engine", "ray"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "the Ray cluster of 127.0.0.1:1: [Errno 111] Connection refused" in done.stderr


def test_without_ray_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "trunkline.store.batch_ray", raising=False)
    source = write(tmp_path / "in.csv", records(5))
    with pytest.raises(TrunklineError, match=r"pip install 'trunkline\[ray\]'") as refused:
        rate_file(TARIFF, source, tmp_path / "out.csv", engine=Engine.RAY)
    assert refused.value.code == "batch.ray"


def test_standard_output_is_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB draws a bar of its own there when a query takes two seconds, unless told not to."""
    connect = duckdb.connect
    draws: list[object] = []

    class Watched:
        def __init__(self) -> None:
            self.connection = connect()

        def __getattr__(self, name: str) -> object:
            return getattr(self.connection, name)

        def close(self) -> None:
            setting = "SELECT current_setting('enable_progress_bar')"
            draws.extend(self.connection.execute(setting).fetchall())
            self.connection.close()

    monkeypatch.setattr("duckdb.connect", Watched)
    source = write(tmp_path / "in.csv", records(5))
    rate_file(TARIFF, source, tmp_path / "out.csv")
    record_count(source)
    assert draws == [(False,), (False,)]


def test_no_records_are_no_error(tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.csv", []), tmp_path / "out.csv"
    assert rate_file(TARIFF, source, target) == BatchReport()
    assert target.read_text().strip().endswith("Cost,Error")


def test_no_records_with_a_category_and_no_tenant_are_no_error(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("Destination,AnswerTime,Usage,Category\n")
    assert rate_file(TARIFF, source, target) == BatchReport()


def test_a_profile_for_one_subject_alone(tmp_path: Path) -> None:
    tariff = folder({**FILES, "RatingProfiles.csv": "cgrates.org,call,1001,,VIP,\n"})
    rows = [
        ["x", "", "", account, "", "614", "2026-01-05T12:00:00Z", "60s", "", ""]
        for account in ("1001", "1002")
    ]
    source = write(tmp_path / "in.csv", rows)
    report = rate_file(tariff, source, tmp_path / "out.csv")
    first, second = read(tmp_path / "out.csv")
    assert Decimal(first["Cost"]) == cost(tariff, first)
    assert second["Error"] == "RATING_PLAN_NOT_FOUND"
    assert report.priced == 1


@pytest.mark.parametrize("name", ["cdrs[1].csv", "cdr?1.csv", "cdrs*.csv"])
def test_a_name_is_that_of_one_file(tmp_path: Path, name: str) -> None:
    write(tmp_path / "cdrs1.csv", records(3))
    source = write(tmp_path / name, records(1))
    report = rate_file(TARIFF, source, tmp_path / "out.csv")
    assert report.records == len(read(source))
    assert record_count(source) == report.records


def test_times_that_no_record_has_and_those_at_the_end_of_64_bits(tmp_path: Path) -> None:
    times = ("*now", "+1h", "2262-04-11T20:00:00Z")
    rows = [["t", "", "", "1", "", "614", time, "72h", "", ""] for time in times]
    source = write(tmp_path / "in.csv", rows)
    rate_file(TARIFF, source, tmp_path / "out.csv")
    *relative, last = read(tmp_path / "out.csv")
    assert [row["Error"] for row in relative] == ["cgrates.time"] * 2
    assert Decimal(last["Cost"]) == cost(TARIFF, last)


def test_a_line_that_cannot_be_read_is_the_sources_fault(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", records(40_000))
    with source.open("a", newline="") as stream:
        stream.write("one,two\r\n")
    with pytest.raises(TrunklineError, match="CSV Error on Line") as refused:
        rate_file(TARIFF, source, tmp_path / "out.csv")
    assert refused.value.code == "batch.source"


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


def test_records_are_not_their_own_output(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", records(3))
    before = source.read_bytes()
    (tmp_path / "out.csv").symlink_to(source)
    for target in (source, tmp_path / "out.csv"):
        with pytest.raises(TrunklineError, match="is the file of records itself"):
            rate_file(TARIFF, source, target)
    assert source.read_bytes() == before


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "in.csv", records(10))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(TrunklineError, match="No space left") as refused:
        rate_file(TARIFF, source, tmp_path / "out.csv")
    assert refused.value.code == "batch.target"
