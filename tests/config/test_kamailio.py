"""Kamailio's dialplan rows out of SQL text and CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config import kamailio
from trunkline.config.kamailio import (
    COLUMNS,
    DialplanRow,
    Imported,
    KamailioError,
    MatchOp,
    csv_text,
    read_csv,
    read_inserts,
)

# As they stand in the post "Extracting SDP Parameters with Kamailio", prose included.
SEED = r"""So I took this regular expression, and put it into the database with dialplan ID 400:

INSERT INTO `dialplan` VALUES (4,400,10,1,'m=audio (\\d*)',0,'m=audio (\\d*)','\\1','SDP M Port Stripper');

Now we'll use it. Let's go: it's easy

INSERT INTO `dialplan` VALUES 
(4,400,10,1,'m=audio (\\d*)',0,'m=audio (\\d*)','\\1','SDP M Port Stripper'),
(5,401,10,1,'o=[^ ]* (\\d*) (\\d*) IN IP4 (\\d*.d*.\\d*.\\d*)',0,'o=[^ ]* (\\d*) (\\d*) IN IP4 (\\d*.d*.\\d*.\\d*)','\\1','O Port 1');
"""  # noqa: E501, W291


def read(tmp_path: Path, text: str) -> Imported:
    file = tmp_path / "rows.sql"
    file.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return read_inserts(file)


def test_the_seeds_statements(tmp_path: Path) -> None:
    found = read(tmp_path, SEED)
    assert [row.id for row in found.rows] == [4, 5]
    first, second = found.rows
    assert first == DialplanRow(
        4,
        400,
        10,
        MatchOp.REGEX,
        r"m=audio (\d*)",
        0,
        r"m=audio (\d*)",
        r"\1",
        "SDP M Port Stripper",
    )
    assert first.line == 3
    assert second.match_exp == r"o=[^ ]* (\d*) (\d*) IN IP4 (\d*.d*.\d*.\d*)"
    assert second.line == 9
    [warned] = found.warnings
    assert (warned.line, warned.message) == (8, "row 4 stands in line 3 already")
    assert found.skipped == {}


def test_the_whole_page_of_the_seed(vectors: Path) -> None:
    page = vectors.parent / "seed" / "voip-archive.txt"
    if not page.exists():
        pytest.skip(f"there is no {page}")
    found = read_inserts(page)
    assert [(row.id, row.dpid) for row in found.rows] == [(4, 400), (5, 401), (6, 402), (7, 403)]
    assert found.rows[3].subst_exp == r"o=[^ ]* (\d*) (\d*) IN IP4 (\d*[.]\d*[.]\d*[.]\d*)"


DUMP = r"""-- MySQL dump 10.19  Distrib 10.11
/*!40101 SET NAMES utf8mb4 */;
/* INSERT INTO `dialplan` VALUES (1,2,3);
INSERT INTO `dialplan` VALUES (1,2,3); */
DROP TABLE IF EXISTS `address`;
CREATE TABLE `address` (
  `id` int(10) unsigned NOT NULL
);
LOCK TABLES `address` WRITE;
INSERT INTO `address` VALUES (1,'it''s; here \'\n',NULL,3.5e7,0x41,-1),(2,'
INSERT INTO `dialplan` VALUES (9,9,9,9,''x'');
',NULL);
INSERT INTO `address` VALUES (3);
UNLOCK TABLES;
# INSERT INTO dialplan VALUES (1);
INSERT INTO version (table_name, table_version) VALUES ('dialplan',2);
insert ignore into kamailio.`dialplan` (`dpid`,pr, match_op,match_exp , attrs) values
  (1, 10, 0, 'it''s "quoted"', "say ""x"" 'y'"), -- the first
  (1,-5,2,'\0\b\n\r\t\Z\\\'\"\%\_',''); /* the last */ # really
REPLACE INTO dialplan VALUES (1,1,1,0,'a',3,'','','replaced');
INSERT INTO dialplan (id,dpid,pr,match_op,match_exp,subst_exp,repl_exp,attrs,match_len)
VALUE (NULL,1,+7,1,'ünï',NULL,'','',NULL)"""


def test_a_dump_with_other_tables(tmp_path: Path) -> None:
    found = read(tmp_path, DUMP)
    assert found.skipped == {"address": 2, "version": 1}
    one, two, three = found.rows
    assert one == DialplanRow(1, 1, 1, MatchOp.EQUAL, "a", 3, "", "", "replaced")
    assert two == DialplanRow(2, 1, -5, MatchOp.FNMATCH, "\0\b\n\r\t\x1a\\'\"\\%\\_")
    assert three == DialplanRow(3, 1, 7, MatchOp.REGEX, "ünï")
    assert [warned.message for warned in found.warnings] == [
        "subst_exp is NULL, which keeps Kamailio from loading; read as ''",
        "match_len is NULL, which keeps Kamailio from loading; read as ''",
    ]
    assert {warned.line for warned in found.warnings} == {22}


def test_quotes_within_quotes(tmp_path: Path) -> None:
    text = """INSERT INTO dialplan VALUES (1,1,1,0,'a''b""c',0,"d""e''f",'','');"""
    [row] = read(tmp_path, text).rows
    assert (row.match_exp, row.subst_exp) == ('a\'b""c', "d\"e''f")


def test_a_backslash_that_mysql_drops_is_warned_of(tmp_path: Path) -> None:
    found = read(tmp_path, r"INSERT INTO dialplan VALUES (1,1,1,1,'\d\.',0,'','','');")
    assert found.rows[0].match_exp == "d."
    assert [warned.message for warned in found.warnings] == [
        r"\d in a string of MySQL is 'd': write \\d if the backslash is meant",
        r"\. in a string of MySQL is '.': write \\. if the backslash is meant",
    ]


_ROW = "(1,1,1,0,'a',0,'','','')"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("nothing here", 0, "holds no statement INSERT INTO `dialplan`"),
        ("INSERT INTO other VALUES (1);", 0, "there are some into other"),
        ("  x INSERT INTO dialplan VALUES " + _ROW, 0, "holds no statement"),
        ("/* INSERT INTO dialplan VALUES\n" + _ROW + "; */", 0, "holds no statement"),
        ("\nINSERT INTO dialplan VALUES (1,2)", 2, "2 values for the 9 columns id, dpid, pr"),
        ("INSERT INTO dialplan VALUES\n" + _ROW + ",\n(1,1,1,0,'b',0,'','','')", 3, "by another"),
        ("INSERT INTO dialplan VALUES " + _ROW.replace("0,'a'", "3,'a'"), 1, "match_op 3: 0 is eq"),
        (
            "INSERT INTO dialplan VALUES " + _ROW.replace("(1", "(x"),
            1,
            "'x' where this is meant: a",
        ),
        ("INSERT INTO dialplan VALUES " + _ROW.replace("1,0", "'b',0"), 1, "pr is 'b': a number"),
        ("INSERT INTO dialplan VALUES " + _ROW.replace("(1", "(-1"), 1, "id is -1: it cannot be"),
        ("INSERT INTO dialplan VALUES " + _ROW.replace("(1", "(" + "9" * 30), 1, "a number of at"),
        ("INSERT INTO dialplan VALUES " + _ROW.replace("1,1,0", "1,NULL,0"), 1, "pr is 'None'"),
        ("INSERT INTO dialplan VALUES " + _ROW + " ON DUPLICATE", 1, "'ON' where this is meant"),
        ("INSERT INTO dialplan VALUES " + _ROW + ",", 1, "the file ends within a statement"),
        ("INSERT INTO dialplan VALUES (1,'a", 1, "SQL; is a quote missing?"),
        ("INSERT INTO dialplan VALUES (1,0x41)", 1, "'x41' where this is meant: a comma"),
        ("INSERT INTO dialplan SET id=1", 1, "'SET' where this is meant: VALUES"),
        ("INSERT INTO dialplan (nonsense) VALUES (1)", 1, "'nonsense' where this is meant: a col"),
        ("INSERT INTO dialplan (id, id) VALUES (1, 1)", 1, "each column once"),
        ("INSERT INTO dialplan (id, pr) VALUES (1, 1)", 1, "the columns dpid, match_op, match_exp"),
        ("INSERT INTO dialplan (id; pr) VALUES (1, 1)", 1, "a comma, or ) behind the columns"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(KamailioError) as refused:
        read(tmp_path, text)
    assert refused.value.code == "config.kamailio"
    assert refused.value.line == line
    assert refused.value.message.startswith(f"{tmp_path / 'rows.sql'}:{line}: ")
    assert words in refused.value.message


@pytest.mark.parametrize(
    "prose",
    [
        "Insert the card into the slot (the left one), that's it.\n",
        "INSERT it, and don't\nforget\n",
        "Insert into this: nothing\n",
        "/* a comment that has no end\n",
        "It's \"quoted\n",
    ],
)
def test_prose_is_passed_over(tmp_path: Path, prose: str) -> None:
    found = read(tmp_path, f"{prose}INSERT INTO dialplan VALUES {_ROW};\n{prose}")
    assert len(found.rows) == 1
    assert found.skipped == {}


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reader in (read_inserts, read_csv):
        with pytest.raises(KamailioError, match="cannot be read: No such file"):
            reader(tmp_path / "nowhere")
        with pytest.raises(KamailioError, match="cannot be read: Is a directory"):
            reader(tmp_path)
    monkeypatch.setattr(kamailio, "LARGEST_FILE", 10)
    with pytest.raises(KamailioError, match="larger than 10 octets"):
        read(tmp_path, SEED)


def test_there_are_not_too_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kamailio, "MOST_ROWS", 2)
    rows = [DialplanRow(number, 1, 1, MatchOp.EQUAL, "a") for number in range(3)]
    file = tmp_path / "d.csv"
    for count, refused in ((2, False), (3, True)):
        file.write_text(csv_text(rows[:count]))
        inserts = ",".join(_ROW.replace("(1", f"({number}") for number in range(count))
        if refused:
            with pytest.raises(KamailioError, match=r"d\.csv:4: more than 2 rows"):
                read_csv(file)
            with pytest.raises(KamailioError, match="more than 2 rows"):
                read(tmp_path, f"INSERT INTO dialplan VALUES {inserts};")
        else:
            assert len(read_csv(file)) == 2
            assert len(read(tmp_path, f"INSERT INTO dialplan VALUES {inserts};").rows) == 2


# CSV

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_NUMBER = st.integers(0, (1 << 31) - 1)
_ROWS = st.builds(
    DialplanRow,
    id=_NUMBER,
    dpid=_NUMBER,
    pr=st.integers(-100, 100),
    match_op=st.sampled_from(MatchOp),
    match_exp=_TEXT,
    match_len=_NUMBER,
    subst_exp=_TEXT,
    repl_exp=_TEXT,
    attrs=_TEXT,
)


@given(st.lists(_ROWS, max_size=5, unique_by=lambda row: row.id))
def test_csv_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[DialplanRow]) -> None:
    file = tmp_path_factory.mktemp("csv") / "d.csv"
    file.write_text(csv_text(rows), encoding="utf-8", newline="")
    assert read_csv(file) == tuple(rows)


def mysql_string(text: str) -> str:
    """As mysqldump writes it."""
    for character, escaped in (("\\", "\\\\"), ("'", r"\'"), ("\n", r"\n"), ('"', r"\"")):
        text = text.replace(character, escaped)
    return f"'{text}'"


@given(st.lists(_ROWS, min_size=1, max_size=5, unique_by=lambda row: row.id))
def test_inserts_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[DialplanRow]
) -> None:
    values = ",".join(
        "("
        + ",".join(mysql_string(v) if isinstance(v, str) else str(v) for v in row.values())
        + ")"
        for row in rows
    )
    text = f"-- it's\nINSERT INTO `dialplan` VALUES {values};\n"
    found = read(tmp_path_factory.mktemp("sql"), text)
    assert found.rows == tuple(rows)
    assert found.warnings == ()


def test_a_csv_file_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text(
        "\ufeffmatch_exp, dpid,pr,match_op,repl_exp\n"
        'm=audio (\\d*),400,10,1,"a,""b"""\n'
        "\n"
        '"two\nlines",400,20,0,\n'
        "x,400,30,2,\n"
    )
    rows = read_csv(file)
    assert [(row.id, row.line) for row in rows] == [(2, 2), (4, 4), (6, 6)]
    assert rows[0] == DialplanRow(2, 400, 10, MatchOp.REGEX, r"m=audio (\d*)", repl_exp='a,"b"')
    assert rows[1].match_exp == "two\nlines"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, f"the first line has the columns {','.join(COLUMNS)}"),
        ("dpid,pr,match_op,nonsense", 1, "there is no column 'nonsense'"),
        ("dpid,pr,match_op,dpid", 1, "'dpid' is there twice"),
        ("dpid,pr", 1, "the columns match_op, match_exp are missing"),
        ("dpid,pr,match_op,match_exp\n1,1,1", 2, "3 values for the 4 columns of line 1"),
        ("dpid,pr,match_op,match_exp\n1,1,1,a\n1,high,1,a", 3, "pr is 'high': a number"),
        ("dpid,pr,match_op,match_exp\n1,1,regex,a", 2, "match_op is 'regex'"),
        ('dpid,pr,match_op,match_exp\n1,1,1,"a', 2, "no CSV: "),
        ("id,dpid,pr,match_op,match_exp\n1,1,1,1,a\n1,1,1,1,b", 3, "id 1 is taken by line 2"),
    ],
)
def test_csv_that_is_refused(tmp_path: Path, text: str, line: int, words: str) -> None:
    file = tmp_path / "d.csv"
    file.write_text(text)
    with pytest.raises(KamailioError) as refused:
        read_csv(file)
    assert refused.value.message.startswith(f"{file}:{line}: ")
    assert words in refused.value.message
