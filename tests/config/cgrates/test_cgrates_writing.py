"""A tariff that is written and read again is the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.config.cgrates.folders import TUTORIAL, added, tutorial
from tests.config.cgrates.test_cgrates_charging_advice import FILES

from trunkline.config.cgrates import Line, compile_lines, load_folder, write_folder
from trunkline.errors import TrunklineError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(folder: Path) -> list[Line]:
    lines: list[Line] = []
    load_folder(folder, now=NOW, sink=lines.extend)
    return lines


def test_every_kind_is_written_with_its_header(tmp_path: Path) -> None:
    lines = read(tutorial(tmp_path / "a", FILES | {"sub/Rates.csv": "RT_SUB,0,1,60s,60s,0s\n"}))
    files = write_folder(tmp_path / "b", lines)
    assert files == list(dict.fromkeys(f"{kind}.csv" for kind, *_ in lines))
    text = (tmp_path / "b" / "Rates.csv").read_text()
    assert text.startswith("#ID,ConnectFee,Rate,RateUnit,RateIncrement,GroupIntervalStart\nRT_22c")
    assert text.endswith("\nRT_SUB,0,1,60s,60s,0s\n")
    again = read(tmp_path / "b")
    assert [(kind, row) for kind, _, _, row in again] == [(kind, row) for kind, _, _, row in lines]


def test_rows_under_the_old_name_stand_under_the_new_one(tmp_path: Path) -> None:
    row = "cgrates.org,OLD,,,*weight,,c,,,,,,10,,,5"
    lines = read(tutorial(tmp_path / "a", {"Suppliers.csv": f"{row}\n"}))
    assert "Routes.csv" in write_folder(tmp_path / "b", lines)
    rows = load_folder(tmp_path / "b").rows.routes
    assert [(each.id, each.route) for each in rows] == [("OLD", "c")]


def test_a_folder_that_has_files_is_left_alone(tmp_path: Path) -> None:
    tutorial(tmp_path / "a")
    with pytest.raises(TrunklineError, match="name an empty folder") as refused:
        write_folder(tmp_path / "a", read(TUTORIAL))
    assert refused.value.code == "cgrates.not-written"
    (tmp_path / "file").touch()
    with pytest.raises(TrunklineError, match="can be written"):
        write_folder(tmp_path / "file", [])


def test_only_some_kinds(tmp_path: Path) -> None:
    lines = read(tutorial(tmp_path / "a", FILES))
    assert write_folder(tmp_path / "b", lines, {"Filters", "Chargers"}) == [
        "Filters.csv",
        "Chargers.csv",
    ]


ids = st.text("aB1ü é;|'\"\\#%&", min_size=1, max_size=8).map(lambda text: f"X{text}".strip())


def quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    prefixes=st.lists(st.tuples(ids, st.from_regex(r"[0-9]{1,9}", fullmatch=True)), max_size=6),
    values=st.lists(ids, max_size=4),
)
def test_read_written_and_read_again(
    prefixes: list[tuple[str, str]],
    values: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    destinations = [f"{quoted(tag)},{prefix}" for tag, prefix in prefixes]
    attributes = [
        f"cgrates.org,A{n},,,,,*req.X,*constant,{quoted(value)},,10"
        for n, value in enumerate(values)
    ]
    files = added("Destinations.csv", *destinations)
    files["Attributes.csv"] = "#none\n" + "".join(f"{row}\n" for row in attributes)
    first = read(tutorial(folder / "a", files))
    write_folder(folder / "b", first)
    second = read(folder / "b")
    assert [(kind, row) for kind, _, _, row in first] == [(kind, row) for kind, _, _, row in second]
    plans = [compile_lines(lines, "x", UTC, {}, NOW) for lines in (first, second)]
    assert plans[0].tariff.index == plans[1].tariff.index
    assert [row.value for row in plans[0].rows.attributes] == values
    assert [row.value for row in plans[1].rows.attributes] == values
