"""Every kind of bad input is found where it stands."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
from tests.config.cgrates.folders import TUTORIAL, added, errors, load, tutorial

from trunkline.config.cgrates import Problem, TariffErrors, load_folder
from trunkline.config.cgrates.reading import LONGEST_LINE

LOOP = ("cgrates.org,call,a,,RP_AUS,b", "cgrates.org,call,b,,RP_AUS,c;a")
NIGHT = "RT_2,0,1,60s,60s,0s"

# file | row added to the tutorial | code | column | words of the message | words of the hint
BAD_ROWS = (
    """
Destinations | DST_AUS_Mobile | cgrates.columns | 15 | 1 column instead of 2 | missing: Prefix
Destinations | DST_AUS_Mobile,615, | cgrates.columns | 20 | 3 columns | ID, Prefix
Destinations | DST_AUS_Mobile, | cgrates.empty | 16 | Prefix | *any
Destinations | ,614 | cgrates.empty | 1 | ID |
Destinations | DST_AUS_Mobile,61 4 | cgrates.value | 16 | blank |
Destinations | DST_AUS_Mobile,66666666666666666666666666666666666666666666666666666666666666666 \
             | cgrates.absurd | 16 | longer than 64 |
Destinations | DST_AUS_Mobile,"614 | cgrates.quotes | 16 | quotes | "…"
Destinations | DST_AUS_Mobile,6"1"4 | cgrates.quotes | 17 | quotes |
Rates | RT,x,22,60s,60s,0s | cgrates.number | 4 | no number | point
Rates | RT,0,"1,5",60s,60s,0s | cgrates.number | 6 | no number | point
Rates | RT,0,nan,60s,60s,0s | cgrates.number | 6 | no number |
Rates | RT,0,99999999999999999999999999999999999999999,60s,60s,0s | cgrates.number | 6 | no number |
Rates | RT,0,-22,60s,60s,0s | cgrates.negative | 6 | negative |
Rates | RT,-1,22,60s,60s,0s | cgrates.negative | 4 | negative |
Rates | RT,0,1e15,60s,60s,0s | cgrates.absurd | 6 | 1,000,000,000,000 | digit
Rates | RT,0,22,60x,60s,0s | cgrates.duration | 9 | no duration | 60s
Rates | RT,0,22,60s,1 m,0s | cgrates.duration | 13 | no duration |
Rates | RT,0,22,60s,-60s,0s | cgrates.negative | 13 | negative |
Rates | RT,0,22,9999h,60s,0s | cgrates.absurd | 9 | year | unit
Rates | RT_22c_PM,0,20,60s,60s,0s | cgrates.twice | 24 | Rates.csv:2 | another usage
Rates | RT_22c_PM,0,20,60s,60s,90s | rating.rate | 24 | divide |
DestinationRates | DR,DST_AUS_Mobil,RT_22c_PM,*up,4,0, \
             | rating.unknown-tag | 4 | DST_AUS_Mobil | 'DST_AUS_Mobile'
DestinationRates | DR,DST_AUS_Mobile,RT_22c_MP,*up,4,0, \
             | rating.unknown-tag | 19 | RT_22c_MP | 'RT_22c_PM'
DestinationRates | DR,DST_AUS_Mobile,RT_22c_PM,*uo,4,0, | cgrates.value | 29 | not known | '*up'
DestinationRates | DR,DST_AUS_Mobile,RT_22c_PM,,4,0, | cgrates.value | 29 | empty | *middle
DestinationRates | DR,DST_AUS_Mobile,RT_22c_PM,*up,4.5,0, | cgrates.number | 33 | decimals | 4
DestinationRates | DR,DST_AUS_Mobile,RT_22c_PM,*up,-4,0, | cgrates.number | 33 | decimals |
DestinationRates | DR,DST_AUS_Mobile,RT_22c_PM,*up,99,0, | cgrates.absurd | 33 | decimals |
DestinationRates | DR,DST_AUS_Mobile,RT_22c_PM,*up,4,-1,*free | cgrates.negative | 35 | negative | 0
DestinationRates | DR,DST_AUS_Mobile,RT_22c_PM,*up,4,1,*fre | cgrates.value | 37 | not | '*free'
RatingPlans | RP_AUS,DR_AUS_Mobil,*any,10 | rating.unknown-tag | 8 | DR_AUS | 'DR_AUS_Mobile'
RatingPlans | RP_AUS,DR_AUS_Mobile,*ny,10 | rating.unknown-tag | 22 | *ny | '*any'
RatingPlans | RP_AUS,DR_AUS_Mobile,*any,heavy | cgrates.number | 27 | Weight |
RatingPlans | RP_AUS,DR_AUS_Mobile,*any,-1 | cgrates.negative | 27 | never wins | 0
RatingProfiles | cgrates.org,call,1,2014-13-01T00:00:00Z,RP_AUS, | cgrates.time | 20 | no time |
RatingProfiles | cgrates.org,call,*any,2014-01-14T00:00:00Z,RP_AU, \
             | cgrates.twice | 23 | RatingProfiles.csv:2 | at a time
RatingProfiles | cgrates.org,call,1,,RP_AU, | rating.unknown-tag | 21 | RP_AU | 'RP_AUS'
RatingProfiles | cgrates.org,,1,,RP_AUS, | cgrates.empty | 13 | Category |
Timings | T,*any,*any,*any,8,00:00:00 | cgrates.number | 18 | 0 to 7 | *any
Timings | T,*any,13,*any,,00:00:00 | cgrates.number | 8 | 1 to 12 |
Timings | T,*any,*any,0,,00:00:00 | cgrates.number | 13 | 1 to 31 |
Timings | T,99,*any,,,00:00:00 | cgrates.number | 3 | 1970 |
Timings | T,*any,mon,*any,,00:00:00 | cgrates.number | 8 | 'mon' |
Timings | T,,,,,24:00:00 | cgrates.clock | 7 | time of day | 18:00:00
Timings | T,,,,,8:00 | cgrates.clock | 7 | time of day |
Timings | T,,,,,18:00:00;08:00:00 | cgrates.never | 7 | ends before | two timings
Timings | *any,,,,,00:00:00 | cgrates.built-in | 1 | without a file |
""".replace("\\\n", "")
    .strip()
    .splitlines()
)


@pytest.mark.parametrize("line", BAD_ROWS)
def test_a_bad_row_is_found_where_it_stands(line: str, tmp_path: Path) -> None:
    name, row, code, column, words, hint = (part.strip() for part in line.split("|"))
    file = f"{name}.csv"
    files = added(file, row) if (TUTORIAL / file).exists() else {file: f"#header\n{row}\n"}
    [found] = errors(tmp_path, files)
    assert found.code == code
    assert str(found.place) == f"{file}:{files[file].count(chr(10))}:{column}"
    assert found.text == row
    assert words in found.message
    assert hint in found.hint
    if found.field:
        assert row[found.place.column - 1 :].strip('"').startswith(found.value.removesuffix("…"))


def test_a_name_has_a_bound(tmp_path: Path) -> None:
    found = only(errors(tmp_path, added("Destinations.csv", f"{'D' * 257},6")))
    assert (found.code, found.place.column) == ("cgrates.absurd", 1)


def only(problems: tuple[Problem, ...]) -> Problem:
    [problem] = problems
    return problem


def test_a_loop_of_fallback_subjects(tmp_path: Path) -> None:
    found = only(errors(tmp_path, added("RatingProfiles.csv", *LOOP)))
    assert found.code == "rating.fallback-loop"
    assert "a -> b -> a" in found.message or "b -> a -> b" in found.message
    assert found.place.file == "RatingProfiles.csv"
    assert found.place.line in (3, 4)
    assert found.place.column == 28


def test_overlapping_timings_of_equal_weight(tmp_path: Path) -> None:
    files = {
        "Timings.csv": "WEEK,,,,1;2;3;4;5,08:00:00\nFRIDAY,,,,5,08:00:00\nNIGHT,,,,,19:00:00\n",
        **added("Rates.csv", NIGHT),
        **added("DestinationRates.csv", "DR_2,DST_AUS_Mobile,RT_2,*up,4,,"),
        "RatingPlans.csv": "RP_AUS,DR_AUS_Mobile,*any,0\nRP_AUS,DR_AUS_Fixed,*any,10\n"
        "RP_AUS,DR_AUS_Toll_Free,*any,10\nRP_AUS,DR_AUS_Mobile,WEEK,10\n"
        "RP_AUS,DR_2,NIGHT,10\nRP_AUS,DR_2,FRIDAY,{}\n",
    }
    plans = files["RatingPlans.csv"]
    found = only(errors(tmp_path, {**files, "RatingPlans.csv": plans.format(10)}))
    assert (found.code, str(found.place)) == ("rating.overlap", "RatingPlans.csv:6:20")
    assert not errors(tmp_path, {**files, "RatingPlans.csv": plans.format(20)})


def test_a_row_that_names_a_refused_row_is_not_wrong_for_it(tmp_path: Path) -> None:
    rates = (TUTORIAL / "Rates.csv").read_text().replace("RT_22c_PM,0", "RT_22c_PM")
    assert only(errors(tmp_path, {"Rates.csv": rates})).code == "cgrates.columns"


def test_empty_files(tmp_path: Path) -> None:
    found = only(errors(tmp_path, {"Timings.csv": ""}))
    assert (found.code, str(found.place)) == ("cgrates.empty-file", "Timings.csv:1:1")
    assert only(errors(tmp_path, {"Timings.csv": "\n \n"})).code == "cgrates.empty-file"
    [warning] = load(tmp_path, {"Timings.csv": "#ID\n"}).report.warnings
    assert (warning.code, str(warning.place)) == ("cgrates.no-rows", "Timings.csv")


def test_no_profile_no_file_no_folder(tmp_path: Path) -> None:
    found = load(tmp_path, {"RatingProfiles.csv": None}).report.warnings[0]
    assert (found.code, str(found.place)) == ("cgrates.no-profiles", "RatingProfiles.csv")
    comments = tmp_path / "comments"
    comments.mkdir()
    (comments / "Rates.csv").write_text("#nothing yet\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, code in (
        (empty, "cgrates.no-files"),
        (comments, "cgrates.no-files"),
        (tmp_path / "absent", "cgrates.folder"),
        (tmp_path / "Rates.csv", "cgrates.folder"),
    ):
        with pytest.raises(TariffErrors) as refused:
            load_folder(folder)
        assert only(refused.value.errors).code == code
        assert refused.value.errors[0].place.file == str(folder)


def refused(folder: Path, files: dict[str, str | bytes | None]) -> TariffErrors:
    with pytest.raises(TariffErrors) as problem:
        load(folder, files)
    return problem.value


def test_what_is_doubtful_is_said_beside_what_is_wrong(tmp_path: Path) -> None:
    files: dict[str, str | bytes | None] = {
        **added("Rates.csv", "RT_LONELY,0,1,60s,60s,0s"),
        "Actions.csv": "TOPUP,*topop,,,,*monetary,,,,,,,10,,,,\n",
        "Filters.csv": "cgrates.org,F,*string,~*req.A,1,;2019-01-01T00:00:00Z\n",
        "Routes.csv": "cgrates.org,R,,,*weight,,c,,,NO_PLAN,,,10,,,\n",
    }
    found = refused(tmp_path, files)
    assert [str(each.place) for each in found.errors] == ["Routes.csv:1:30"]
    assert {(each.code, each.place.file) for each in found.warnings} >= {
        ("cgrates.unused", "Rates.csv"),
        ("cgrates.value", "Actions.csv"),
        ("cgrates.never", "Filters.csv"),
    }
    # what a row that cannot be read would have named is not called unnamed
    plans = (TUTORIAL / "RatingPlans.csv").read_text().replace("RP_AUS,DR_AUS_Mobile", "RP_AUS")
    found = refused(tmp_path, {**files, "RatingPlans.csv": plans, "Routes.csv": None})
    assert [each.code for each in found.errors] == ["cgrates.columns"]
    assert {each.message for each in found.warnings if each.code == "cgrates.unused"} == {
        "Rate RT_LONELY is in no row of DestinationRates.csv",
        "Action TOPUP is named in no row of ActionPlans.csv, ActionTriggers.csv or Thresholds.csv",
        "Filter F is named in no row of any profile",
    }
    del files["Routes.csv"]
    # nor is a row doubtful that is wrong
    rows = "TOPUP,*topop,,,,*monetary,,,,,,,x,,,,\n"
    found = refused(tmp_path, {**files, "Actions.csv": rows})
    assert "Actions.csv" not in {each.place.file for each in found.warnings}


def test_what_follows_from_a_file_that_breaks_off_is_not_said(tmp_path: Path) -> None:
    rates = (TUTORIAL / "Rates.csv").read_bytes() + b"\xff"
    names = {"Rates.csv": rates, "Destinations.csv": b"D,6\n\xff", "Filters.csv": b"\0"}
    names["Chargers.csv"] = b"cgrates.org,C,FLT,,*default,*none,20\n"
    found = refused(tmp_path, dict(names))
    assert [each.code for each in found.errors] == ["cgrates.encoding"] * 3


def test_a_profile_that_names_a_refused_row_is_not_wrong_for_it(tmp_path: Path) -> None:
    files = {
        "Filters.csv": "cgrates.org,FLT,*string,~*req.A\n",
        "Attributes.csv": "cgrates.org,ATTR,*any,FLT,,,*req.B,*constant\n",
        "Chargers.csv": "cgrates.org,C,FLT,,*default,ATTR,20\n",
    }
    found = refused(tmp_path, dict(files))
    assert [each.place.file for each in found.errors] == ["Filters.csv", "Attributes.csv"]


def test_a_missing_file_shows_as_unknown_tags(tmp_path: Path) -> None:
    found = errors(tmp_path, {"Rates.csv": None})
    assert {problem.code for problem in found} == {"rating.unknown-tag"}
    assert [problem.place.line for problem in found] == [2, 3, 4]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (b"DST_AUS_Mobile,614\nDST,6\xff4\n", "cgrates.encoding", "Destinations.csv:2:6"),
        (b"DST_AUS_Mobile,614\nDST,6\x004\n", "cgrates.encoding", "Destinations.csv:2"),
        (b"\xff\xfeD\x00S\x00", "cgrates.encoding", "Destinations.csv:1:1"),
        (b"#\n" + b"6" * (LONGEST_LINE + 1), "cgrates.long-line", "Destinations.csv:2"),
        (b"6" * (3 << 20), "cgrates.long-line", "Destinations.csv:1"),
        (b"#\n" + b"6" * (LONGEST_LINE + 1) + b"\n", "cgrates.long-line", "Destinations.csv:2"),
    ],
)
def test_files_that_are_no_text(text: bytes, code: str, place: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes | None] = {
        "Destinations.csv": text,
        "DestinationRates.csv": "DR,*any,RT_22c_PM,*up,4,,\n",
        "RatingPlans.csv": "RP_AUS,DR,*any,10\n",
    }
    found = only(errors(tmp_path, files))
    assert (found.code, str(found.place)) == (code, place)


def test_unknown_files_are_warned_of(tmp_path: Path) -> None:
    [warning] = load(tmp_path, {"Destination.csv": "", "notes.txt": ""}).report.warnings
    assert warning.code == "cgrates.unknown-file"
    assert warning.place.file == "Destination.csv"
    assert "Destinations.csv" in warning.hint
    assert str(warning) == (
        "Destination.csv: is not read: no file of this name is known; "
        "did you mean Destinations.csv?"
    )


# file | rows added | code | place | words of the message
DOUBTFUL = (
    """
Destinations | DST_NZ,64 | unused | Destinations.csv:9:1 | DST_NZ
Destinations | DST_AUS_Mobile,614 | repeated | Destinations.csv:9 | 614
Destinations | DST_AUS_Fixed,614 | chance | RatingPlans.csv:3:1 | 614
Rates | RT_2,0,1,60s,60s,0s | unused | Rates.csv:5:1 | RT_2
Rates | RT_22c_PM,0,22,60s,60s,0s | repeated | Rates.csv:5 | again
DestinationRates | DR_AUS_Mobile,DST_AUS_Mobile,RT_22c_PM,*up,4,0.12,*disconnect \
    | repeated | DestinationRates.csv:5 | again
RatingPlans | RP_AUS,DR_AUS_Mobile,*any,10 | repeated | RatingPlans.csv:5 | again
RatingProfiles | cgrates.org,call,*any,2014-01-14T00:00:00Z,RP_AUS, \
    | repeated | RatingProfiles.csv:3 | again
Rates | RT_22c_PM,1,22,60s,60s,60s | ignored | Rates.csv:5:11 | first row
Rates | RT_22c_PM,0,2,60s,60s,60s / RT_22c_PM,0,2,60s,60s,90s | slots | Rates.csv:6:23 | multiple
DestinationRates | DR_2,*any,RT_22c_PM,*up,4,, | unused | DestinationRates.csv:5:1 | DR_2
DestinationRates | DR_AUS_Mobile,*any,RT_22c_PM,*up,4,1, | ignored | DestinationRates.csv:5:36 | Max
RatingPlans | RP_2,DR_AUS_Mobile,*any,10 | unused | RatingPlans.csv:5:1 | RP_2
RatingPlans | RP_AUS,DR_AUS_Mobile,*asap,5 | shadowed | RatingPlans.csv:5:1 | never in force
RatingProfiles | cgrates.org,call,1,,RP_AUS,1 | fallback | RatingProfiles.csv:3 | itself
RatingProfiles | cgrates.org,call,1,,RP_AUS,2 | fallback | RatingProfiles.csv:3 | no rating profile
RatingProfiles | cgrates.org,call,a,,RP_AUS,b / cgrates.org,call,b,,RP_AUS,c \
    / cgrates.org,call,c,,RP_AUS,d / cgrates.org,call,d,,RP_AUS, \
               | deep | RatingProfiles.csv:3 | more than 3
Timings | T,,,,,00:00:00 | unused | Timings.csv:2:1 | Timing T
""".replace("\\\n", "")
    .strip()
    .splitlines()
)


@pytest.mark.parametrize("line", DOUBTFUL)
def test_what_loads_and_is_probably_not_meant(line: str, tmp_path: Path) -> None:
    name, rows, code, place, words = (part.strip() for part in line.split("|"))
    file = f"{name}.csv"
    added_rows = [row.strip() for row in rows.split("/")]
    files = added(file, *added_rows) if (TUTORIAL / file).exists() else {file: f"#header\n{rows}\n"}
    [warning] = load(tmp_path, {**files}).report.warnings
    assert (warning.code, str(warning.place)) == (f"cgrates.{code}", place)
    assert words in warning.message


def test_a_bare_number_as_an_increment_of_calls(tmp_path: Path) -> None:
    rates = (TUTORIAL / "Rates.csv").read_text().replace("22,60s,60s", "22,60,60")
    [warning] = load(tmp_path, {"Rates.csv": rates}).report.warnings
    assert (warning.code, str(warning.place)) == ("cgrates.bare-number", "Rates.csv:2:1")
    assert "60ns" in warning.message


def test_a_timing_stands_once(tmp_path: Path) -> None:
    rows = "T,,,,,08:00:00\nT,,,,,{}\n"
    used = added("RatingPlans.csv", "RP_AUS,DR_AUS_Mobile,T,20")
    found = only(errors(tmp_path, {"Timings.csv": rows.format("09:00:00"), **used}))
    assert (found.code, str(found.place)) == ("cgrates.twice", "Timings.csv:2:1")
    assert "Timings.csv:1" in found.message
    [warning] = load(tmp_path, {"Timings.csv": rows.format("08:00:00"), **used}).report.warnings
    assert (warning.code, str(warning.place)) == ("cgrates.repeated", "Timings.csv:2")


def test_a_timing_that_never_comes(tmp_path: Path) -> None:
    rows = "FEB,*any,2,30;31,*any,00:00:00\nLEAP,*any,2,29,,00:00:00\n"
    warnings = load(tmp_path, {"Timings.csv": rows}).report.warnings
    assert [w.place.line for w in warnings if w.code == "cgrates.never"] == [1]


def test_errors_beyond_the_bound_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.config.cgrates.problems.KEPT", 100)
    rows = "".join(f"RT_{n},x,0,60s,60s,0s\n" for n in range(500))
    with pytest.raises(TariffErrors) as refused:
        load_folder(tutorial(tmp_path, {"Rates.csv": rows}))
    assert len(refused.value.errors) == 100
    assert refused.value.error_count >= 500
    assert str(refused.value).startswith(f"{tmp_path}/Rates.csv:1:6: ConnectFee 'x' is no number")
    assert f" more: trunkline rate check {tmp_path}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_million_lines_with_one_bad_row(tmp_path: Path) -> None:
    folder = tutorial(tmp_path)
    with (folder / "Destinations.csv").open("a") as file:
        for start in range(0, 1_000_000, 10_000):
            if start == 770_000:
                file.write("DST_AUS_Mobile;615\n")
            file.writelines(
                f"DST_AUS_Mobile,6{number:07}\n" for number in range(start, start + 10_000)
            )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.monotonic()
    with pytest.raises(TariffErrors) as refused:
        load_folder(folder)
    assert time.monotonic() - begin < 60
    [problem] = refused.value.errors
    assert (problem.code, str(problem.place)) == ("cgrates.columns", "Destinations.csv:770009:19")
    assert problem.text == "DST_AUS_Mobile;615"
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 400 * 1024


def test_excerpt_and_caret_of_a_long_line(tmp_path: Path) -> None:
    row = f"{'D' * 200},6 1"
    found = only(errors(tmp_path, added("Destinations.csv", row)))
    assert found.place.column == 202
    assert found.excerpt[len(found.caret) - 1 :] == "6 1"
