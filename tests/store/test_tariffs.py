from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.config.cgrates.test_cgrates_accounts import FILES

from trunkline.charging.rows import ChargingRows
from trunkline.config.cgrates import (
    TariffErrors,
    TariffPlan,
    compile_lines,
    load_folder,
    parse_cost_line,
)
from trunkline.errors import TrunklineError
from trunkline.rating.cost import price
from trunkline.store import compiled
from trunkline.store.compiled import (
    KEPT,
    Line,
    Version,
    active_plan,
    active_tariff,
    default_tariff_url,
    zone_named,
)
from trunkline.store.tariffs import TariffStore

TUTORIAL = Path(__file__).resolve().parents[2] / "examples/tutorial-tariff"
CALL = parse_cost_line('Destination="614" AnswerTime="2014-08-04T13:00:00Z" Usage="60s"')


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tariffs.sqlite'}"


def load(
    url: str,
    replaced: tuple[str, str] = ("", ""),
    zone: tzinfo = UTC,
    folder: Path = TUTORIAL,
) -> Version:
    """Load the tutorial's tariff with one text in its rows replaced."""

    def read(sink: object) -> TariffPlan:
        assert callable(sink)
        lines: list[Line] = []
        load_folder(folder, zone, sink=lines.extend)
        changed = [(*line[:3], line[3].replace(*replaced)) for line in lines]
        sink(changed)
        return compile_lines(changed, "x", zone, {}, datetime.now(UTC))

    store = TariffStore(url, compile_lines)
    try:
        version, plan = store.load(read, name=str(folder), time_zone=zone)
        assert price(plan.tariff, CALL).total >= 0
        return version
    finally:
        store.close()


def cost(url: str) -> str:
    return f"{price(active_tariff(url, compile_lines)[1], CALL).total.normalize():f}"


def test_the_newest_load_is_active(url: str) -> None:
    first = load(url)
    assert (first.id, first.row_count, first.name) == (1, 17, str(TUTORIAL))
    assert cost(url) == "22"
    second = load(url, (",22,", ",23,"))
    assert second.id == 2
    assert cost(url) == "23"
    assert active_tariff(url, compile_lines)[0] == second


def test_a_load_that_fails_changes_nothing(url: str, tmp_path: Path) -> None:
    load(url)
    folder = tmp_path / "bad"
    folder.mkdir()
    for path in TUTORIAL.iterdir():
        (folder / path.name).write_text(path.read_text().replace(",22,", ",x,"))

    def read(sink: object) -> TariffPlan:
        assert callable(sink)
        return load_folder(folder, sink=sink).plan

    store = TariffStore(url, compile_lines)
    with pytest.raises(TariffErrors, match="'x' is no number"):
        store.load(read, name="bad")
    assert [version.id for version in store.versions()] == [1]
    store.close()
    assert cost(url) == "22"
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT DISTINCT version FROM tariff_rows").fetchall() == [(1,)]
    connection.close()


def test_rows_are_kept_with_their_places(url: str) -> None:
    load(url)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        query = (
            "SELECT kind, file, line, row FROM tariff_rows WHERE row LIKE '%22c%' ORDER BY number"
        )
        rows = connection.execute(query).fetchall()
    connection.close()
    assert rows == [
        ("Rates", "Rates.csv", 2, "RT_22c_PM,0,22,60s,60s,0s"),
        (
            "DestinationRates",
            "DestinationRates.csv",
            2,
            "DR_AUS_Mobile,DST_AUS_Mobile,RT_22c_PM,*up,4,0.12,*disconnect",
        ),
    ]


def test_a_version_has_the_rows_of_all_files(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    shutil.copytree(TUTORIAL, folder)
    for name, text in FILES.items():
        with (folder / name).open("a") as file:
            text = text.replace(";*none", "").replace("RP1", "RP_AUS").replace("RP2", "RP_AUS")
            file.write(f"{text}\n")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    expected = load_folder(folder, now=now).rows
    assert all(getattr(expected, each.name) for each in fields(ChargingRows))
    store = TariffStore(url, compile_lines)
    store.load(lambda sink: load_folder(folder, now=now, sink=sink).plan, name="all", now=now)
    store.close()
    assert active_plan(url, compile_lines)[1].rows == expected
    (tmp_path / "tariffs.sqlite.1.compiled").unlink()
    assert active_plan(url, compile_lines)[1].rows == expected
    assert cost(url) == "22"


def test_old_versions_go(url: str) -> None:
    for _ in range(KEPT + 2):
        load(url)
    store = TariffStore(url, compile_lines)
    assert [version.id for version in store.versions()] == [*range(KEPT + 2, 2, -1)]
    assert sum(1 for version in store.versions() for _ in store.lines(version)) == 17 * KEPT
    store.close()


def test_before_the_first_load(url: str) -> None:
    with pytest.raises(TrunklineError, match="trunkline rate load DIR") as refused:
        active_tariff(url, compile_lines)
    assert refused.value.code == "store.no-tariff"


def test_the_compiled_tariff_is_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load(url)
    monkeypatch.setattr("trunkline.store.tariffs.TariffStore", None)
    assert cost(url) == "22"


@pytest.mark.parametrize("damage", ["absent", "torn", "foreign", "other code", "writable", "junk"])
def test_a_compiled_tariff_that_does_not_count_is_made_again(
    damage: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(url)
    path = tmp_path / "tariffs.sqlite.1.compiled"
    octets = path.read_bytes()
    if damage == "absent":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(octets[: len(octets) // 2])
    elif damage == "junk":
        path.write_bytes(octets[:32] + b"junk")
    elif damage == "foreign":
        path.write_bytes(b"x" * 32 + octets[32:])
    elif damage == "writable":
        path.chmod(0o666)
    else:
        monkeypatch.setattr(compiled, "__version__", "0.0.0")
    assert compiled.read_compiled(url, *(active_ids(url))) is None
    assert cost(url) == "22"
    assert compiled.read_compiled(url, *(active_ids(url))) is not None


def active_ids(url: str) -> tuple[int, str]:
    store = TariffStore(url, compile_lines)
    [version] = store.versions()
    store.close()
    return version.id, version.token


def test_a_database_made_anew_is_not_the_old_one(url: str, tmp_path: Path) -> None:
    load(url)
    kept = (tmp_path / "tariffs.sqlite.1.compiled").read_bytes()
    for path in tmp_path.glob("tariffs.sqlite*"):
        path.unlink()
    load(url, (",22,", ",23,"))
    (tmp_path / "tariffs.sqlite.1.compiled").write_bytes(kept)
    assert cost(url) == "23"


def test_time_zones_stay_with_the_tariff(url: str, tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    load(url, zone=berlin)
    (tmp_path / "tariffs.sqlite.1.compiled").unlink()
    version, tariff = active_tariff(url, compile_lines)
    assert version.time_zone == tariff.time_zone == berlin


def test_a_time_zone_without_a_name_is_refused(url: str) -> None:
    zone = datetime.fromisoformat("2014-01-01T00:00+02:00").tzinfo
    assert zone is not None
    with pytest.raises(TrunklineError) as refused:
        load(url, zone=zone)
    assert refused.value.code == "store.time-zone"
    for name in ("Mars/Olympus", "", "../etc/passwd", "\0"):
        with pytest.raises(TrunklineError, match="Europe/Berlin"):
            zone_named(name)


def test_a_tariff_in_memory() -> None:
    store = TariffStore("sqlite://", compile_lines)
    assert store.versions() == []
    store.close()
    assert compiled.read_compiled("sqlite://", 1, "x") is None


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.sqlite", "nonsense"])
def test_a_database_that_cannot_be_opened(url: str) -> None:
    with pytest.raises(TrunklineError) as refused:
        active_tariff(url, compile_lines)
    assert refused.value.code == "store.unavailable"
    assert "\n" not in str(refused.value)


def test_a_password_is_not_shown() -> None:
    pytest.importorskip("sqlalchemy")
    with pytest.raises(TrunklineError) as refused:
        TariffStore("postgresql+absent://me:secret@localhost/x", compile_lines)
    assert "secret" not in str(refused.value)


def test_the_default_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_tariff_url() == f"sqlite:///{tmp_path}/trunkline/tariffs.sqlite"
    assert (tmp_path / "trunkline").is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(TrunklineError, match="XDG_STATE_HOME"):
        default_tariff_url()


def test_a_full_disk_costs_the_cache_only(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    load(url)
    assert cost(url) == "22"


def test_many_rows_go_in_batches(url: str) -> None:
    lines: list[Line] = []
    load_folder(TUTORIAL, sink=lines.extend)
    lines[7:7] = [
        ("Destinations", "Destinations.csv", 9 + number, f"DST_AUS_Mobile,615{number:05}")
        for number in range(25_000)
    ]

    def read(sink: object) -> TariffPlan:
        assert callable(sink)
        halves: Sequence[Sequence[Line]] = (lines[:15_000], lines[15_000:])
        for half in halves:
            sink(half)
        return compile_lines(lines, "x", UTC, {}, datetime.now(UTC))

    store = TariffStore(url, compile_lines)
    version, _ = store.load(read, name="many")
    assert version.row_count == len(lines)
    assert list(store.lines(version)) == lines
    store.close()
