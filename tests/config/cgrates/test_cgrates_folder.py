from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.config.cgrates.folders import TUTORIAL, added, load, tutorial

from trunkline.config.cgrates import TariffErrors, compile_lines, load_folder, parse_cost_line
from trunkline.config.cgrates.csvfolder import Line
from trunkline.config.cgrates.reading import LONGEST_LINE
from trunkline.rating.cost import price
from trunkline.rating.model import Timing
from trunkline.rating.tariff import Tariff

CALL = 'Subject="3005" Destination="{}" AnswerTime="2014-08-04T13:00:00Z" Usage="{}"'


def cost(tariff: Tariff, destination: str, usage: str = "60s") -> str:
    total = price(tariff, parse_cost_line(CALL.format(destination, usage))).total
    return f"{total.normalize():f}"


def test_the_tutorials_folder_loads_unchanged_and_prices() -> None:
    loaded = load_folder(TUTORIAL)
    assert loaded.report.rows == {
        "Destinations": 7,
        "Rates": 3,
        "DestinationRates": 3,
        "RatingPlans": 3,
        "RatingProfiles": 1,
    }
    assert loaded.report.destinations == 3
    assert loaded.report.warnings == ()
    assert loaded.report.unused_files == ()
    assert [cost(loaded.tariff, "614", usage) for usage in ("1s", "60s", "61s", "120s")] == [
        "22",
        "22",
        "44",
        "44",
    ]
    assert cost(loaded.tariff, "61731234567", "10h") == "20"
    assert cost(loaded.tariff, "611800123", "1s") == "25"


def test_comments_blank_lines_ends_of_lines_and_a_mark_at_the_beginning(tmp_path: Path) -> None:
    lines = ["\ufeff# a comment", "", "   ", "DST_AUS_Mobile,614", "#DST_AUS_Mobile,615"]
    lines += ["DST_AUS_Fixed,612", "DST_AUS_Toll_Free,611800"]
    loaded = load(tmp_path, {"Destinations.csv": "\r\n".join(lines)})
    assert loaded.report.rows["Destinations"] == 3
    assert cost(loaded.tariff, "611800") == "25"


def test_values_may_be_quoted_and_padded(tmp_path: Path) -> None:
    files = added("Destinations.csv", '"DST_AUS_Mobile","615"', " DST_AUS_Mobile ,616 ")
    with_quotes = load(tmp_path / "one", {**files, **added("Rates.csv", '"RT,2",0,"5",60s,60s,0s')})
    assert cost(with_quotes.tariff, "616") == "22"
    assert with_quotes.report.rows["Rates"] == 4


def test_ids_merge_across_files_and_subfolders(tmp_path: Path) -> None:
    files = {
        "more/Destinations.csv": "DST_AUS_Mobile,615\n",
        "more/deep/Destinations.csv": "DST_AUS_Mobile,616\n",
        ".hidden/Destinations.csv": "nonsense\n",
    }
    tariff = load(tmp_path, files).tariff
    assert cost(tariff, "6151") == cost(tariff, "6161") == "22"


def test_one_prefix_may_be_in_several_ids(tmp_path: Path) -> None:
    files = {
        **added("Destinations.csv", "DST_ALL,614", "DST_ALL,61"),
        **added("DestinationRates.csv", "DR_ALL,DST_ALL,RT_25c_Flat,*up,4,0,"),
        **added("RatingPlans.csv", "RP_AUS,DR_ALL,*any,20"),
    }
    loaded = load(tmp_path, files)
    assert cost(loaded.tariff, "614") == "25"
    [warning] = loaded.report.warnings
    assert warning.code == "cgrates.shadowed"
    assert "DST_AUS_Mobile and DST_ALL share prefix 614" in warning.message


def test_destination_any_needs_no_row(tmp_path: Path) -> None:
    files = {
        **added("DestinationRates.csv", "DR_ANY,*any,RT_25c_Flat,*up,4,0,"),
        **added("RatingPlans.csv", "RP_AUS,DR_ANY,*any,10"),
    }
    assert cost(load(tmp_path, files).tariff, "4930") == "25"


def test_built_in_timings_are_there_without_a_file(tmp_path: Path) -> None:
    for timing in ("*any", "*asap", "*hourly", "*daily", "*monthly"):
        text = f"RP_AUS,DR_AUS_Mobile,{timing},10\n"
        files = {"RatingPlans.csv": text, "Destinations.csv": "DST_AUS_Mobile,614\n"}
        files["DestinationRates.csv"] = "DR_AUS_Mobile,DST_AUS_Mobile,RT_22c_PM,*up,4,,\n"
        assert cost(load(tmp_path, files).tariff, "614") == "22"


def test_units_of_zero_are_a_second_and_empty_numbers_are_zero(tmp_path: Path) -> None:
    files = {
        "Rates.csv": "RT_22c_PM,,2,0,,\nRT_20c_Untimed,20,,,0s,0\nRT_25c_Flat,25,0,60s,60s,0s\n"
    }
    tariff = load(tmp_path, files).tariff
    assert cost(tariff, "614", "2500ms") == "6"
    assert cost(tariff, "612") == "20"


def test_slots_of_a_rate(tmp_path: Path) -> None:
    files = {
        "Rates.csv": "RT_22c_PM,5,10,60s,60s,0s\nRT_22c_PM,0,1,1s,1s,60s\n"
        "RT_20c_Untimed,20,0,60s,60s,0s\nRT_25c_Flat,25,0,60s,60s,0s\n"
    }
    tariff = load(tmp_path, files).tariff
    assert [cost(tariff, "614", usage) for usage in ("1s", "60s", "61s")] == ["15", "15", "16"]


def test_activation_times_are_read_in_the_tariffs_time_zone(tmp_path: Path) -> None:
    text = "cgrates.org,call,*any,2014-01-14 00:00:00,RP_AUS,\n"
    folder = tutorial(tmp_path, {"RatingProfiles.csv": text})
    line = 'Destination="614" AnswerTime="2014-01-13T23:30:00Z" Usage="60s"'
    berlin = load_folder(folder, ZoneInfo("Europe/Berlin")).tariff
    assert price(berlin, parse_cost_line(line)).total == 22
    with pytest.raises(Exception, match="2014-01-14") as refused:
        price(load_folder(folder).tariff, parse_cost_line(line))
    assert getattr(refused.value, "code", "").startswith("rating.no")


def test_an_empty_activation_time_means_always(tmp_path: Path) -> None:
    files = {"RatingProfiles.csv": "cgrates.org,call,*any,,RP_AUS,\n"}
    line = 'Destination="614" AnswerTime="1999-01-01T00:00:00Z" Usage="60s"'
    assert price(load(tmp_path, files).tariff, parse_cost_line(line)).total == 22


def test_activation_times_relative_to_the_load(tmp_path: Path) -> None:
    folder = tutorial(tmp_path, {"RatingProfiles.csv": "cgrates.org,call,*any,+1h,RP_AUS,\n"})
    now = datetime(2020, 1, 1, 12, tzinfo=UTC)
    tariff = load_folder(folder, now=now).tariff
    line = 'Destination="614" AnswerTime="2020-01-01T{}:00Z" Usage="1s"'
    assert price(tariff, parse_cost_line(line.format("13:00"))).total == 22
    with pytest.raises(Exception, match="13:00"):
        price(tariff, parse_cost_line(line.format("12:59")))


def test_other_files_of_the_reference_are_named_once(tmp_path: Path) -> None:
    name = "DispatcherHosts.csv"
    files = {name: "x", "Accounts.txt": "", f"sub/{name}": "", "DispatcherProfiles.csv": ""}
    report = load(tmp_path, files).report
    assert report.unused_files == (name, "DispatcherProfiles.csv")
    assert report.warnings == ()


def test_the_rows_are_handed_over_as_they_stand(tmp_path: Path) -> None:
    lines: list[Line] = []
    folder = tutorial(tmp_path, added("Destinations.csv", "", "#no", '"DST_AUS_Mobile",615'))
    loaded = load_folder(folder, sink=lines.extend)
    assert ("Rates", "Rates.csv", 3, "RT_20c_Untimed,20,0,60s,60s,0s") in lines
    assert ("Destinations", "Destinations.csv", 11, '"DST_AUS_Mobile",615') in lines
    assert len(lines) == sum(loaded.report.rows.values())
    again = compile_lines(lines, "again", UTC, {}, datetime.now(UTC)).tariff
    assert cost(again, "615") == "22"
    assert again.index == loaded.tariff.index


def test_progress_is_told_in_octets(tmp_path: Path) -> None:
    told: list[int] = []
    load_folder(tutorial(tmp_path), advance=told.append)
    assert sum(told) == sum(path.stat().st_size for path in tmp_path.glob("*.csv"))


def test_a_row_across_two_pieces_of_the_file(tmp_path: Path) -> None:
    comment = f"#{'x' * 1022}\n".encode()
    start = comment * 1023 + b"#" + b"y" * 1014
    text = start + b"\nDST_AUS_Mobile,615\n"
    assert len(start) < 1 << 20 < len(text)
    files = {"more/Destinations.csv": text}
    assert cost(load(tmp_path, files).tariff, "615") == "22"


def test_lines_up_to_the_bound_are_read(tmp_path: Path) -> None:
    comment = "#" + "x" * (LONGEST_LINE - 1)
    assert cost(load(tmp_path, added("Destinations.csv", comment)).tariff, "614") == "22"


def test_loader_vectors(vectors: Path, tmp_path: Path) -> None:
    import json

    from trunkline.config.cgrates.assemble import Assembly
    from trunkline.config.cgrates.problems import Problems

    for case in json.loads((vectors / "rating" / "loader.json").read_text())["cases"]:
        assert case["query"]["op"] == "load timings"
        assembly = Assembly(Problems())
        text = case["csv"]["Timings.csv"]
        assembly.take("Timings", "Timings.csv", enumerate(text.splitlines(), 1))
        assert not assembly.problems.error_count
        timing = assembly.timings[case["query"]["id"]]
        for name, expected in case["expect"].items():
            if name == "start":
                hour, minute, second = map(int, expected.split(":"))
                assert timing.start == (hour * 60 + minute) * 60 + second
            else:
                assert getattr(timing, name) == tuple(expected)


def test_timings(tmp_path: Path) -> None:
    from trunkline.config.cgrates.assemble import Assembly
    from trunkline.config.cgrates.problems import Problems

    assembly = Assembly(Problems())
    rows = ["A,*any,,2;1;2,7;0;6,08:00:00;18:30:00", "B,2014;2015,12,*any,*any,*asap", "C,,,,7,"]
    assembly.take("Timings", "Timings.csv", enumerate(rows, 1))
    assert not assembly.problems.error_count
    plain = {key: vars_of(timing) for key, timing in assembly.timings.items()}
    assert plain == {
        "A": ((), (), (1, 2), (0, 6), 8 * 3600, 18 * 3600 + 1800),
        "B": ((2014, 2015), (12,), (), (), 0, 86400),
        "C": ((), (), (), (0,), 0, 86400),
    }


def vars_of(timing: Timing) -> tuple[object, ...]:
    return (
        timing.years,
        timing.months,
        timing.month_days,
        timing.week_days,
        timing.start,
        timing.end,
    )


def test_every_vector_folder_loads(vectors: Path, tmp_path: Path) -> None:
    """The reference's own test tariffs have warts; none of them is an error."""
    import json

    count = 0
    for path in sorted((vectors / "rating").glob("getcost_*.json")):
        for case in json.loads(path.read_text())["cases"]:
            folder = tmp_path / case["id"]
            folder.mkdir()
            for name, text in case["csv"].items():
                (folder / name).write_text(text)
            load_folder(folder)
            count += 1
    assert count >= 40


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    from trunkline.config.cgrates import TariffErrors

    folder = tutorial(tmp_path)
    (folder / "Rates.csv").chmod(0)
    with pytest.raises(TariffErrors) as refused:
        load_folder(folder)
    assert refused.value.errors[0].code == "cgrates.unreadable"


@pytest.mark.parametrize("what", ["cut", "grown", "replaced", "gone", "new"])
def test_a_folder_that_changes_while_it_is_read_is_refused(tmp_path: Path, what: str) -> None:
    folder = tutorial(tmp_path / "tariff")
    rates, text = folder / "Rates.csv", (folder / "Rates.csv").read_text()

    def change(_: object) -> None:
        if what == "cut":  # at the end of a line: each of its rows is good
            os.truncate(rates, text.index("\n") + 1)
        elif what == "grown":
            rates.write_text(f"{text}RT_NEW,0,1,60s,60s,0s\n")
        elif what == "replaced":
            (tmp_path / "Rates.csv").write_text(text.replace(",22,", ",23,"))
            os.replace(tmp_path / "Rates.csv", rates)
        elif what == "gone":
            rates.unlink(missing_ok=True)
        else:
            (folder / "Timings.csv").write_text("NIGHT,,,,,22:00:00\n")

    with pytest.raises(TariffErrors) as refused:
        load_folder(folder, sink=change)
    changed = "Timings.csv" if what == "new" else "Rates.csv"
    assert ("cgrates.changed", changed) in {
        (problem.code, problem.place.file) for problem in refused.value.errors
    }
    load_folder(tutorial(tmp_path / "again"))
