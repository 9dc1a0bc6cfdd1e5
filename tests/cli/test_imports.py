"""Transcripts of ``trunkline import``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from trunkline.cli.app import build
from trunkline.config.kamailio import read_csv
from trunkline.elements.proxy.dialplan import LiveDialplan
from trunkline.errors import TrunklineError

ROWS = r"""INSERT INTO `version` VALUES ('dialplan',2);
INSERT INTO `dialplan` VALUES 
(4,400,10,1,'m=audio (\\d*)',0,'m=audio (\\d*)','\\1','SDP M Port'),
(7,403,10,1,'IN IP4 (\\d*.d*.\\d*.\\d*)',0,'IN IP4 (\\d*[.]\\d*)','\\1','O IP'),
(8,404,10,0,'112',3,'','911','');
"""  # noqa: W291


TRANSCRIPT = r"""
id  dpid  pr  match_op  match_exp                match_len  subst_exp           repl_exp  attrs
4   400   10  regex     m=audio (\d*)            any        m=audio (\d*)       \1        SDP M Port
7   403   10  regex     IN IP4 (\d*.d*.\d*.\d*)  any        IN IP4 (\d*[.]\d*)  \1        O IP
8   404   10  equal     112                      3                              911
Passed over: 1 INSERT into version
3 rows, 2 warnings
""".lstrip()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["import", "kamailio-dialplan", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "rows.sql"
    found.write_text(ROWS)
    return found


def test_rows_and_warnings(file: Path) -> None:
    result = run(str(file))
    assert result.exit_code == 0
    assert result.stdout == TRANSCRIPT
    assert result.stderr.splitlines() == [
        rf'trunkline: warning: {file}:4: row 7, match_exp: in "\d*.d" the dot is any character: '
        "it works, and fits more than a dot, [.]",
        rf'trunkline: warning: {file}:4: row 7, match_exp: "d*" repeats the letter d: '
        r"a digit is \d",
    ]


def test_into_a_file_and_a_database(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "dialplan.csv"
    url = f"sqlite:///{tmp_path}/proxy.db"
    result = run(str(file), "--out", str(out), "--sql", url)
    assert result.exit_code == 0
    assert result.stdout.endswith(f"Written to {out}\nAdded to {url}: 3 rows\n")
    rows = read_csv(out)
    assert [row.id for row in rows] == [4, 7, 8]
    found = LiveDialplan.from_csv(out).translate(400, "m=audio 4002 RTP/AVP 8 101")
    assert found is not None
    assert found.value == "4002"
    again = run(str(file), "--sql", url)
    assert again.stdout.endswith(f"Added to {url}: 0 rows\n")


def test_json(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "dialplan.csv"
    result = run(str(file), "--out", str(out), "--json")
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["rows"][0] == {
        "id": 4,
        "dpid": 400,
        "pr": 10,
        "match_op": 1,
        "match_exp": r"m=audio (\d*)",
        "match_len": 0,
        "subst_exp": r"m=audio (\d*)",
        "repl_exp": r"\1",
        "attrs": "SDP M Port",
        "line": 3,
    }
    assert [warning["line"] for warning in found["warnings"]] == [4, 4]
    assert found["skipped"] == {"version": 1}
    assert (found["out"], found["sql"], found["added"]) == (str(out), None, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("404,10,0,'112'", "404,10,1,'(112'"), "rows.sql:5: dialplan row 8"),
        (("'911'", "'$rU'"), "rows.sql:5: dialplan row 8 (line 5): repl_exp '$rU'"),
        (("'911'", ""), "rows.sql:5: ',' where this is meant: a number, a string or NULL"),
    ],
)
def test_after_an_error_nothing_is_written(
    file: Path, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    file.write_text(ROWS.replace(*change))
    out, database = tmp_path / "dialplan.csv", tmp_path / "proxy.db"
    result = run(str(file), "--out", str(out), "--sql", f"sqlite:///{database}")
    assert isinstance(result.exception, TrunklineError)
    assert words in result.exception.message
    assert not out.exists()
    assert not database.exists()


def test_where_nothing_can_be_written(file: Path, tmp_path: Path) -> None:
    for arguments, code in (
        (("--out", f"{tmp_path}/no/where.csv"), "import.write"),
        (("--sql", f"sqlite:///{tmp_path}/no/where.db"), "store.sql-unavailable"),
        (("--sql", "nonsense"), "store.sql-url"),
    ):
        result = run(str(file), *arguments)
        assert isinstance(result.exception, TrunklineError)
        assert result.exception.code == code
