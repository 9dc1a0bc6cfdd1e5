"""What charging's rows load with and probably do not mean: the missing link, at its place."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.config.cgrates.folders import added, tutorial

from trunkline.config.cgrates import TariffErrors, load_folder

NOW = datetime(2026, 1, 1, tzinfo=UTC)

FILES = {
    "Timings.csv": "NIGHT,*any,*any,*any,*any,22:00:00\nSEEN,*any,*any,*any,*any,01:00:00\n",
    "Destinations.csv": added("Destinations.csv", "DST_BONUS,64", "DST_SEEN,65")[
        "Destinations.csv"
    ],
    "SharedGroups.csv": "FAMILY,*any,*lowest,\n",
    "Actions.csv": (
        "TOPUP,*topup,,,,*monetary,,DST_BONUS,,FAMILY,,,10,,,,\nNOTED,*log,,,,,,,,,,,,,,,\n"
    ),
    "ActionPlans.csv": "START,TOPUP,NIGHT,10\n",
    "ActionTriggers.csv": "LOW,,*min_balance,2,false,,,,,*monetary,,,,,,,,,,TOPUP,10\n",
    "AccountActions.csv": "cgrates.org,1001,START,LOW,,\n",
    "Filters.csv": "cgrates.org,FLT,*destinations,~*req.Destination,DST_SEEN,\n",
    "Chargers.csv": "cgrates.org,CRG,FLT;*timings:~*req.AnswerTime:SEEN,,*default,*none,20\n",
    "Routes.csv": "cgrates.org,LCR,,,*lc,,carrier,,,RP_AUS,,,10,false,,20\n",
    "Thresholds.csv": "cgrates.org,THD,,,-1,3,1s,false,10,NOTED,true\n",
}
NO_PRICES = dict.fromkeys(FILES, "")

# file | row added | code | line | words of the message
DOUBTFUL = """
Actions | SPARE,*log,,,,,,,,,,,,,,, | unused | 3 | Action SPARE is named in no row of
ActionPlans | SPARE,TOPUP,*asap,10 | unused | 2 | ActionPlan SPARE is named in no row of AccountAct
ActionTriggers | SPARE,,*min_balance,2,,,,,,*monetary,,,,,,,,,,TOPUP,10 | unused | 2 | SPARE
SharedGroups | SPARE,*any,*lowest, | unused | 2 | SharedGroup SPARE is named in no row
Filters | cgrates.org,SPARE,*string,~*req.A,1, | unused | 2 | Filter SPARE is named in no row of any
Filters | other.org,FLT,*string,~*req.A,1, | unused | 2 | Filter FLT
Thresholds | cgrates.org,SPARE,,,-1,3,1s,false,10,*none,true | unused | 2 | has no ActionIDs
Actions | NOTED,*topp,,,,,,,,,,,,,,, | value | 3 | no action '*topp'
ActionTriggers | LOW,,*min_balanc,2,,,,,,*monetary,,,,,,,,,,TOPUP,10 | value | 2 | it never fires
AccountActions | cgrates.org,1001,START,LOW,, | repeated | 2 | stands in AccountActions.csv:1
Chargers | cgrates.org,OLD,,;20210101000000,,*none, | never | 2 | has ended
Chargers | cgrates.org,OLD,,20310101000000;20300101000000,,*none, | never | 2 | before it
ActionTriggers | LOW,,*min_balance,2,,,20200101000000,,,*monetary,,,,,,,,,,TOPUP,1 | never | 2 | LOW
Chargers | cgrates.org,C,*destinations:~*req.To:DST_SEEM,,,*none, | unknown-tag | 2 | 'DST_SEEM'
Filters | cgrates.org,FLT,*timings,~*req.To,SEN, | unknown-tag | 2 | 'SEN' is not in Timings.csv
Filters | cgrates.org,FLT,*notdestinations,~*req.To,DST_SEEM, | unknown-tag | 2 | 'DST_SEEM'
""".strip().splitlines()


def write(folder: Path, files: dict[str, str]) -> Path:
    return tutorial(folder, files)


def test_a_folder_in_which_everything_is_reached(tmp_path: Path) -> None:
    report = load_folder(write(tmp_path, FILES), now=NOW).report
    assert [str(each) for each in report.warnings] == []


@pytest.mark.parametrize("line", DOUBTFUL)
def test_what_is_never_reached(line: str, tmp_path: Path) -> None:
    kind, row, code, number, words = (part.strip() for part in line.split("|"))
    file = f"{kind}.csv"
    files = FILES | {file: f"{FILES[file]}{row}\n"}
    report = load_folder(write(tmp_path, files), now=NOW).report
    [warning] = report.warnings
    assert warning.code == f"cgrates.{code}"
    assert (warning.place.file, warning.place.line) == (file, int(number))
    assert words in warning.message
    assert warning.text == row
    assert warning.hint


def test_years_that_are_past(tmp_path: Path) -> None:
    files = FILES | {
        "Timings.csv": FILES["Timings.csv"].replace("NIGHT,*any", "NIGHT,2024;2025"),
    }
    [warning] = load_folder(write(tmp_path, files), now=NOW).report.warnings
    assert str(warning.place) == "ActionPlans.csv:1"
    assert "are past" in warning.message


def test_a_route_by_a_plan_that_is_not_there(tmp_path: Path) -> None:
    files = FILES | {"Routes.csv": FILES["Routes.csv"].replace("RP_AUS", "RP_AUZ")}
    with pytest.raises(TariffErrors) as refused:
        load_folder(write(tmp_path, files), now=NOW)
    [error] = refused.value.errors
    assert (error.code, str(error.place)) == ("cgrates.unknown-tag", "Routes.csv:1:34")
    assert error.hint == "did you mean 'RP_AUS'?"


def test_profiles_that_cannot_be_made(tmp_path: Path) -> None:
    files = FILES | {
        "Filters.csv": FILES["Filters.csv"] + "cgrates.org,BAD,*strin,~*req.A,1,\n",
        "Attributes.csv": "cgrates.org,A,,,,,*req.B,*constnt,1,,\n",
        "Chargers.csv": FILES["Chargers.csv"] + "cgrates.org,C,*string:~*rqe.A:1,,,A,\n",
        "Routes.csv": FILES["Routes.csv"] + "cgrates.org,R,,,*cheapest,,c,,,RP_AUS,,,,,,\n",
        "ActionPlans.csv": FILES["ActionPlans.csv"] + "START,NONE,*asap,\n",
    }
    with pytest.raises(TariffErrors) as refused:
        load_folder(write(tmp_path, files), now=NOW)
    found = [(str(each.place), each.code) for each in refused.value.errors]
    assert sorted(found) == [
        ("ActionPlans.csv:2:7", "cgrates.unknown-tag"),
        ("Attributes.csv:1", "charging.attribute-type"),
        ("Chargers.csv:2", "charging.path"),
        ("Filters.csv:2", "charging.filter-type"),
        ("Routes.csv:2", "charging.sorting"),
    ]


def test_all_bad_rows_of_a_large_file_are_named_in_time(tmp_path: Path) -> None:
    rows = [f"DR,DST_AUS_Mobile,RT_{number},*up,4,," for number in range(3000)]
    rows += [f"DR,DST_{number},RT_22c_PM,*up,4,x," for number in range(3000)]
    start = time.process_time()
    with pytest.raises(TariffErrors) as refused:
        load_folder(write(tmp_path, added("DestinationRates.csv", *rows)))
    assert time.process_time() - start < 5
    assert refused.value.error_count == len(refused.value.errors) == 9000
    lines = {error.place.line for error in refused.value.errors}
    assert len(lines) == 6000


def test_what_a_charging_node_refuses_is_told_where_it_loads(tmp_path: Path) -> None:
    row = "cgrates.org,ACD,*gte:~*stats.STAT_1.*acd:60,,,*none,0\n"
    folder = write(tmp_path, FILES | {"Chargers.csv": FILES["Chargers.csv"] + row})
    [warning] = load_folder(folder, now=NOW).report.warnings
    assert warning.code == "charging.no-source"
    assert (warning.place.file, warning.place.line) == ("Chargers.csv", 2)
    assert "nothing here keeps stats yet" in warning.message
