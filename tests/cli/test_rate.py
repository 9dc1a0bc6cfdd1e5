"""Transcripts of ``trunkline rate``."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from trunkline.cli import progress, rate
from trunkline.cli.app import build
from trunkline.cli.progress import Bar
from trunkline.errors import TrunklineError

TUTORIAL = Path(__file__).resolve().parents[2] / "examples/tutorial-tariff"
LINE = (
    'Category="call" Tenant="cgrates.org" Subject="3005" Destination="614" '
    'AnswerTime="2014-08-04T13:00:00Z" Usage="60s"'
)

# The sample of "CGrates in Baby Steps", with 22 where it slips and with the keys left open.
SEED_JSON = """\
{
 "AccountSummary": null,
 "Accounting": {},
 "CGRID": "",
 "Charges": [
  {
   "CompressFactor": 1,
   "Increments": [
    {
     "AccountingID": "",
     "CompressFactor": 1,
     "Cost": 0,
     "Usage": "0s"
    },
    {
     "AccountingID": "",
     "CompressFactor": 1,
     "Cost": 22,
     "Usage": "1m0s"
    }
   ],
   "RatingID": "<1>"
  }
 ],
 "Cost": 22,
 "Rates": {
  "<2>": [
   {
    "GroupIntervalStart": "0s",
    "RateIncrement": "1m0s",
    "RateUnit": "1m0s",
    "Value": 22
   }
  ]
 },
 "Rating": {
  "<1>": {
   "ConnectFee": 0,
   "MaxCost": 0.12,
   "MaxCostStrategy": "*disconnect",
   "RatesID": "<2>",
   "RatingFiltersID": "<3>",
   "RoundingDecimals": 4,
   "RoundingMethod": "*up",
   "TimingID": "<4>"
  }
 },
 "RatingFilters": {
  "<3>": {
   "DestinationID": "DST_AUS_Mobile",
   "DestinationPrefix": "614",
   "RatingPlanID": "RP_AUS",
   "Subject": "*out:cgrates.org:call:*any"
  }
 },
 "RunID": "",
 "StartTime": "2014-08-04T13:00:00Z",
 "Timings": {
  "<4>": {
   "MonthDays": [],
   "Months": [],
   "StartTime": "00:00:00",
   "WeekDays": [],
   "Years": []
  }
 },
 "Usage": "1m0s"
}
"""

ROWS = """\
  Destinations      7  in 3 IDs
  Rates             3
  DestinationRates  3
  RatingPlans       3
  RatingProfiles    1
"""


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("TRUNKLINE_TARIFF_STORE", raising=False)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(rate.app, list(arguments))


def good(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert result.stderr == ""
    return result.stdout


def refusal(*arguments: str) -> TrunklineError:
    """What :func:`trunkline.cli.main.main` prints as one line, with exit code 2."""
    result = run(*arguments)
    assert result.stdout == ""
    assert isinstance(result.exception, TrunklineError)
    assert "\n" not in str(result.exception)
    return result.exception


def copy(folder: Path, file: str = "", old: str = "", new: str = "") -> str:
    shutil.copytree(TUTORIAL, folder)
    if file:
        path = folder / file
        path.write_text(path.read_text().replace(old, new))
    return str(folder)


def cost_of(*arguments: str) -> object:
    return json.loads(good("cost", *arguments))["Cost"]


def test_cost_prints_the_seeds_json() -> None:
    printed = good("cost", "--tariff", str(TUTORIAL), LINE)
    shape = re.escape(SEED_JSON)
    shape = re.sub("<([1-4])>", r"(?P<k\1>[0-9a-f]{7})", shape, count=1)
    for number in "234":
        shape = shape.replace(f"<{number}>", f"(?P<k{number}>[0-9a-f]{{7}})", 1)
    shape = re.sub("<([1-4])>", r"(?P=k\1)", shape)
    assert re.fullmatch(shape, printed)
    assert printed == good("cost", "--tariff", str(TUTORIAL), "--json", f"cost {LINE}")


@pytest.mark.parametrize(
    ("destination", "usage", "expected"),
    [
        ("614", "1s", 22),
        ("614", "60s", 22),
        ("614", "61s", 44),
        ("614", "120s", 44),
        ("612", "1s", 20),
        ("613123", "10h", 20),
        ("617", "60s", 20),
        ("618", "60s", 20),
        ("611300", "60s", 25),
        ("611800123", "1h", 25),
    ],
)
def test_the_tutorials_prices(destination: str, usage: str, expected: int) -> None:
    line = f"Destination={destination} AnswerTime=2014-08-04T13:00:00Z Usage={usage}"
    assert cost_of("-t", str(TUTORIAL), line) == expected


def test_per_second_exactly_and_as_the_reference(tmp_path: Path) -> None:
    folder = copy(tmp_path / "x", "Rates.csv", "0,22,60s,60s", "0,25,60s,1s")
    half = LINE.replace("60s", "30s")
    assert cost_of("-t", folder, half) == 12.5
    assert cost_of("-t", folder, LINE) == 25
    assert cost_of("-t", folder, "--precision", "cgrates", half) == 12.5001
    assert cost_of("-t", folder, "--precision", "cgrates", LINE) == 25.0002
    assert cost_of("-t", folder, "-p", "cgrates", "--decimals", "6", half) == 12.50001


def test_load_then_cost() -> None:
    printed = good("load", str(TUTORIAL))
    pattern = re.escape(f"{TUTORIAL} is the active tariff, version 1, after ") + r"\d+\.\d\d s\n"
    assert re.fullmatch(pattern + re.escape(ROWS), printed)
    assert cost_of(LINE) == 22
    assert json.loads(good("load", "--json", str(TUTORIAL))) | {"seconds": 0} == {
        "folder": str(TUTORIAL),
        "version": 2,
        "seconds": 0,
        "rows": {
            "Destinations": 7,
            "Rates": 3,
            "DestinationRates": 3,
            "RatingPlans": 3,
            "RatingProfiles": 1,
        },
        "unused_files": [],
        "warning_count": 0,
        "warnings": [],
    }


def test_a_bad_folder_leaves_the_tariff_before(tmp_path: Path) -> None:
    good("load", str(TUTORIAL))
    folder = copy(tmp_path / "x", "Rates.csv", "0,22,", "0,x,")
    refused = refusal("load", folder)
    assert refused.code == "cgrates.refused"
    assert str(refused).startswith(f"{folder}/Rates.csv:2:13: Rate 'x' is no number; write 0.22")
    assert cost_of(LINE) == 22


def test_the_store_may_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    good("load", "--store", url, str(TUTORIAL))
    assert cost_of("--store", url, LINE) == 22
    assert refusal("cost", LINE).code == "store.no-tariff"
    monkeypatch.setenv("TRUNKLINE_TARIFF_STORE", url)
    assert cost_of(LINE) == 22


def test_check_of_a_good_folder() -> None:
    assert good("check", str(TUTORIAL)) == f"{TUTORIAL}: 0 errors, 0 warnings\n{ROWS}"


def test_check_of_a_bad_folder(tmp_path: Path) -> None:
    folder = copy(tmp_path / "x", "Rates.csv", "RT_22c_PM,0,22,", "RT_22c_MP,0,2x,")
    (tmp_path / "x" / "Destination.csv").touch()
    result = run("check", folder)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert result.stdout == (
        f"{folder}/Rates.csv:2:13: error: Rate '2x' is no number [cgrates.number]\n"
        "    RT_22c_MP,0,2x,60s,60s,0s\n"
        "                ^\n"
        "    hint: write 0.22 with a point, without a currency or a separator of thousands\n"
        f"{folder}/DestinationRates.csv:2:30: error: DestinationRate DR_AUS_Mobile names the Rate "
        "RT_22c_PM, which does not exist; add it or mend the name [rating.unknown-tag]\n"
        "    DR_AUS_Mobile,DST_AUS_Mobile,RT_22c_PM,*up,4,0.12,*disconnect\n"
        "                                 ^\n"
        "    hint: did you mean 'RT_22c_MP'?\n"
        f"{folder}/Destination.csv: warning: is not read: no file of this name is known "
        "[cgrates.unknown-file]\n"
        "    hint: did you mean Destinations.csv?\n"
        f"{folder}: 2 errors, 1 warning\n"
    )
    found = run("check", "--json", folder)
    assert found.exit_code == 1
    value = json.loads(found.stdout)
    assert (value["ok"], value["error_count"], value["warning_count"]) == (False, 2, 1)
    assert value["errors"][0] == {
        "code": "cgrates.number",
        "file": "Rates.csv",
        "line": 2,
        "column": 13,
        "field": "Rate",
        "value": "2x",
        "message": "Rate '2x' is no number",
        "hint": "write 0.22 with a point, without a currency or a separator of thousands",
    }


def test_warnings_do_not_refuse(tmp_path: Path) -> None:
    folder = copy(tmp_path / "x", "Destinations.csv", "613\n", "613\nDST_NZ,64\n")
    (tmp_path / "x" / "DispatcherHosts.csv").touch()
    result = run("check", folder)
    assert result.exit_code == 0
    assert f"{folder}/Destinations.csv:5:1: warning: Destination DST_NZ is in no" in result.stdout
    assert result.stdout.endswith("Not used: DispatcherHosts.csv\n")
    loaded = run("load", folder)
    assert loaded.exit_code == 0
    assert loaded.stderr.startswith(f"trunkline: warning: {folder}/Destinations.csv:5:1: ")
    assert json.loads(good("check", "--json", folder))["unused_files"] == ["DispatcherHosts.csv"]


def test_problems_beyond_the_bound_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.config.cgrates.problems.KEPT", 100)
    folder = copy(tmp_path / "x")
    (tmp_path / "x" / "Rates.csv").write_text("RT,x,0,60s,60s,0s\n" + "RT,0,0\n" * 149)
    assert "\n... and 53 errors more\n" in run("check", folder).stdout


def test_explain() -> None:
    lines = good("explain", "--tariff", str(TUTORIAL), LINE).splitlines()
    assert lines[0] == "*voice cgrates.org:call:3005 to 614, 1m0s"
    assert lines[1].endswith(" in UTC")
    assert "  * DST_AUS_Mobile [destination.longest], prefix 614 (Destinations.csv:2)" in lines
    assert lines[-1] == "total 22"
    value = json.loads(good("explain", "--tariff", str(TUTORIAL), "--json", LINE))
    assert value["call"]["Usage"] == "1m0s"
    assert value["total"] == "22"
    [step] = [step for step in value["steps"] if step["stage"] == "destination"]
    assert step["winner"]["reason"] == "destination.longest"
    assert (step["winner"]["file"], step["winner"]["line"]) == ("Destinations.csv", 2)


def test_time_zones(tmp_path: Path) -> None:
    folder = Path(copy(tmp_path / "x"))
    (folder / "Timings.csv").write_text("NIGHT,,,,,22:00:00\n")
    with (folder / "Rates.csv").open("a") as rates:
        rates.write("RT_Night,0,11,60s,60s,0s\n")
    with (folder / "DestinationRates.csv").open("a") as bindings:
        bindings.write("DR_Night,DST_AUS_Mobile,RT_Night,*up,4,,\n")
    with (folder / "RatingPlans.csv").open("a") as plans:
        plans.write("RP_AUS,DR_Night,NIGHT,20\n")
    at_13 = ["--tariff", str(folder), LINE]  # 23:00 in Sydney, in August
    assert cost_of(*at_13) == 22
    assert cost_of("--time-zone", "Australia/Sydney", *at_13) == 11
    assert cost_of("-z", "cgrates.org=Australia/Sydney", *at_13) == 11
    assert cost_of("-z", "other.org=Australia/Sydney", *at_13) == 22
    local = LINE.replace("T13:00:00Z", " 23:00:00")
    assert cost_of("-z", "Australia/Sydney", "-t", str(folder), local) == 11
    good("load", "-z", "Australia/Sydney", str(folder))
    assert cost_of(LINE) == 11
    assert cost_of("-z", "UTC", LINE) == 22
    explained = good("explain", LINE).splitlines()[1]
    assert "2014-08-04T13:00:00+00:00" in explained
    assert "2014-08-04T23:00:00+10:00 in Australia/Sydney" in explained


def test_the_shell_may_take_the_quotes_away() -> None:
    words = ["Tenant=", "Destination=614", "AnswerTime=2014-08-04 13:00:00", "Usage=60s"]
    assert cost_of("--tariff", str(TUTORIAL), *words) == 22


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cost", "--tariff", str(TUTORIAL), "Usge=1"], "console.key", "column 1: unknown key"),
        (["cost", "--tariff", str(TUTORIAL), LINE.replace("614", "999")], "rating.", "Destina"),
        (["cost", "--tariff", str(TUTORIAL), LINE.replace("60s", "73h")], "rating.", "72h"),
        (["cost", "--tariff", "/nowhere", LINE], "cgrates.refused", "/nowhere: there is no such"),
        (["cost", LINE], "store.no-tariff", "trunkline rate load DIR"),
        (["cost", "--decimals", "6", LINE], "rating.precision", "--precision cgrates"),
        (["cost", "-p", "cgrates", "--decimals", "7", LINE], "rating.precision", "5 or 6"),
        (["cost", "-z", "Mars/Olympus", LINE], "store.time-zone", "Europe/Berlin"),
        (["load", "-z", "x=Mars/Olympus", str(TUTORIAL)], "store.time-zone", "Europe/Berlin"),
        (["load", "/nowhere"], "cgrates.refused", "/nowhere: there is no such folder"),
        (["load", "--store", "nonsense", str(TUTORIAL)], "store.unavailable", "nonsense"),
    ],
)
def test_refusals(arguments: list[str], code: str, words: str) -> None:
    refused = refusal(*arguments)
    assert refused.code.startswith(code)
    assert words in str(refused)


def test_the_exit_code_and_the_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trunkline.cli import app, main

    monkeypatch.setattr(app, "build", lambda _: rate.app)
    monkeypatch.setattr(sys, "argv", ["trunkline", "cost", "--tariff", str(TUTORIAL), "x"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("trunkline: column 1: 'x' is followed by no")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("command", ["load", "check", "cost", "explain"])
def test_help_is_for_newcomers(command: str) -> None:
    text = good(command, "--help")
    assert "--json" in text
    if command in ("cost", "explain"):
        assert "AnswerTime" in text
        assert f"rate {command} --tariff" in text


def test_help_fills_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = CliRunner().invoke(build(), ["rate", "check", "--help"]).output
    assert "rows that no call can reach, that another row outweighs, or that probably mean" in text


def test_a_bar_only_for_long_work_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(force_terminal=True, width=80, file=open("/dev/null", "w"))  # noqa: SIM115
    monkeypatch.setattr(progress, "error_console", lambda: terminal)
    with Bar("short", 10) as bar:
        bar.advance(5)
        assert bar._progress is None
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with Bar("long", 10) as bar:
        bar.advance(5)
        bar.advance(5)
        assert bar._progress is not None
        assert bar._progress.finished
    terminal.file.close()
    monkeypatch.setattr(progress, "error_console", Console)
    with Bar("in a pipe", 10) as bar:
        bar.advance(5)
        assert bar._progress is None


def test_a_file_of_records_is_rated(tmp_path: Path) -> None:
    source, target = tmp_path / "cdrs.csv", tmp_path / "rated.csv"
    source.write_text(
        "Account,Destination,AnswerTime,Usage\n"
        "3005,61412345678,2014-08-04T13:00:00Z,61s\n"
        "3005,99,2014-08-04T13:00:00Z,61s\n"
    )
    command = ["rate", "batch", str(source), str(target), "--tariff", str(TUTORIAL)]
    result = CliRunner().invoke(build(), command)
    assert result.exit_code == 1
    assert re.sub(r"\d+\.\d\d s", "N s", result.stdout) == (
        f"{target}: 1 of 2 records have a price, after N s\n"
        "Without a price           Records\n"
        "UNAUTHORIZED_DESTINATION        1\n"
    )
    assert target.read_text() == (
        "Account,Destination,AnswerTime,Usage,Cost,Error\n"
        "3005,61412345678,2014-08-04T13:00:00Z,61s,44.0000,\n"
        "3005,99,2014-08-04T13:00:00Z,61s,,UNAUTHORIZED_DESTINATION\n"
    )
    found = json.loads(CliRunner().invoke(build(), [*command, "--json"]).stdout)
    assert (found["records"], found["priced"]) == (2, 1)
    assert found["errors"] == {"UNAUTHORIZED_DESTINATION": 1}


def test_versions_wait_and_are_taken_back() -> None:
    assert "No tariff is loaded" in good("versions")
    good("load", str(TUTORIAL))
    waiting = good("load", str(TUTORIAL), "--at", "+1h")
    assert re.match(rf"{TUTORIAL} will be the active tariff from .* UTC on, version 2, ", waiting)
    assert f"{TUTORIAL} is stored as version 3, " in good("load", str(TUTORIAL), "--inactive")
    rows = {each["version"]: each for each in json.loads(good("versions", "--json"))}
    assert [rows[number]["active"] for number in (1, 2, 3)] == [True, False, False]
    assert [len(rows[number]["activations"]) for number in (1, 2, 3)] == [1, 1, 0]
    lines = good("versions").splitlines()
    assert [line.split()[:2] for line in lines[1:]][2] == ["*", "1"]
    assert "  17    never yet" in lines[1]
    assert re.search(r"from \d{4}-.* UTC on ", lines[2])
    assert "since " in lines[3]
    assert good("cancel", "2") == "Version 2 waits no more\n"
    assert good("cancel", "2") == "Version 2 did not wait\n"
    assert good("activate", "3").startswith("Version 3 is the active tariff since ")
    assert good("rollback") == f"Version 1 is the active tariff again, not 3: {TUTORIAL}\n"
    assert "taken back" in good("versions").splitlines()[1]
    assert json.loads(good("activate", "3", "--json"))["version"] == 3
    assert "followed by another" in good("versions").splitlines()[3]
    assert json.loads(good("rollback", "--json")) == {"from": 3, "to": 1}
    assert refusal("rollback").code == "store.no-version"
    assert refusal("activate", "9").code == "store.no-version"
    assert refusal("activate", "3", "--at", "2014-01-01T00:00:00Z").code == "store.past"
    assert refusal("activate", "3", "--at", "0").code == "store.past"


def test_a_version_that_is_not_to_count_has_no_moment() -> None:
    refused = run("load", str(TUTORIAL), "--inactive", "--at", "+1h")
    assert refused.exit_code == 2
    assert "No tariff is loaded" in good("versions")


def test_a_dry_run_loads_nothing(tmp_path: Path) -> None:
    assert good("load", "--dry-run", str(TUTORIAL)) == good("check", str(TUTORIAL))
    assert run("load", "--dry-run", copy(tmp_path / "x", "Rates.csv", ",22,", ",x,")).exit_code == 1
    assert "No tariff is loaded" in good("versions")


def test_a_version_is_written_as_files(tmp_path: Path) -> None:
    good("load", str(TUTORIAL))
    good("load", copy(tmp_path / "x", "Rates.csv", ",22,", ",23,"))
    printed = good("export-tariff", str(tmp_path / "out"))
    assert printed.startswith(f"Version 2, 17 rows, is written to {tmp_path}/out:\n  Destinations")
    done = json.loads(good("export-tariff", str(tmp_path / "first"), "--version", "1", "--json"))
    assert (done["version"], len(done["files"])) == (1, 5)
    assert cost_of("-t", str(tmp_path / "first"), LINE) == 22
    good("load", str(tmp_path / "out"))
    assert cost_of(LINE) == 23
    assert refusal("export-tariff", str(tmp_path / "out")).code == "cgrates.not-written"
