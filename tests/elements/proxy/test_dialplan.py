"""Dialplan tables; that they do what Kamailio does is shown by the interop tests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.servers import SqlServer

from trunkline.config.kamailio import DialplanRow, MatchOp, csv_text
from trunkline.elements.proxy import dialplan as module
from trunkline.elements.proxy.dialplan import (
    LONGEST_TEXT,
    OUTCOMES,
    REASONS,
    Dialplan,
    DialplanError,
    LiveDialplan,
    Outcome,
    Reason,
    from_sql,
    save_sql,
)
from trunkline.errors import TrunklineError
from trunkline.store.sql import Sql

EQUAL, REGEX, FNMATCH = MatchOp.EQUAL, MatchOp.REGEX, MatchOp.FNMATCH

ADDRESS = r"o=[^ ]* (\d*) (\d*) IN IP4 (\d*[.]\d*[.]\d*[.]\d*)"
ORIGIN = r"o=[^ ]* (\d*) (\d*) IN IP4 (\d*.d*.\d*.\d*)"
SEED = [
    DialplanRow(4, 400, 10, REGEX, r"m=audio (\d*)", 0, r"m=audio (\d*)", r"\1", "SDP M Port"),
    DialplanRow(5, 401, 10, REGEX, ORIGIN, 0, ORIGIN, r"\1", "O Port 1"),
    DialplanRow(6, 402, 10, REGEX, ORIGIN, 0, ORIGIN, r"\2", "O Port 2"),
    DialplanRow(7, 403, 10, REGEX, ORIGIN, 0, ADDRESS, r"\3", "O IP"),
]


def test_the_seeds_rows() -> None:
    dialplan = Dialplan(SEED)
    port = dialplan.translate(400, "m=audio 4002 RTP/AVP 8 101")
    assert port is not None
    assert (port.value, port.attrs, port.row) == ("4002", "SDP M Port", SEED[0])
    origin = "o=alice 111 222 IN IP4 192.0.2.33"
    found = [dialplan.translate(dpid, origin) for dpid in (401, 402, 403)]
    assert [translation and translation.value for translation in found] == [
        "111",
        "222",
        "192.0.2.33",
    ]
    assert dialplan.translate(400, origin) is None
    assert dialplan.translate(404, origin) is None


def test_an_explanation_names_every_row_and_its_reason() -> None:
    dialplan = Dialplan(
        [
            DialplanRow(1, 7, 5, REGEX, "^61", 0, "^61(.*)", r"0\1", "national"),
            DialplanRow(2, 7, 1, EQUAL, "612"),
            DialplanRow(3, 7, 2, FNMATCH, "62*"),
            DialplanRow(4, 7, 3, REGEX, "^62"),
            DialplanRow(5, 7, 9, REGEX, "."),
            DialplanRow(6, 7, 9, REGEX, "^9", 4),
            DialplanRow(7, 7, 1, REGEX, ".", 3),
            DialplanRow(8, 8, 1, REGEX, "."),
        ]
    )
    found = dialplan.explain(7, "6123")
    assert [(candidate.row.id, candidate.reason) for candidate in found.candidates] == [
        (6, Reason.NOT_FOUND),
        (2, Reason.NOT_EQUAL),
        (3, Reason.NO_FIT),
        (4, Reason.NOT_FOUND),
        (1, Reason.SELECTED),
        (5, Reason.LATER),
        (7, Reason.OTHER_LENGTH),
    ]
    assert found.outcome is Outcome.TRANSLATED
    assert found.translation == dialplan.translate(7, "6123")
    assert str(found).splitlines() == [
        "dialplan 7, '6123': a row matched and gave a value",
        "  - row 6 pr 9 len 4 regex '^9' [not-found]: match_exp is not found in the text",
        "  - row 2 pr 1 equal '612' [not-equal]: the text is not match_exp",
        "  - row 3 pr 2 fnmatch '62*' [no-fit]: the text does not fit the pattern match_exp",
        "  - row 4 pr 3 regex '^62' [not-found]: match_exp is not found in the text",
        "  * row 1 pr 5 regex '^61' [selected]: the first row that matches",
        "  - row 5 pr 9 regex '.' [later]: not tried: a row before it matches",
        "  - row 7 pr 1 len 3 regex '.' [other-length]: match_len is not the length of the text",
        "value '023', attrs 'national'",
    ]


@pytest.mark.parametrize(
    ("dpid", "text", "outcome"),
    [
        (1, "a", Outcome.TRANSLATED),
        (1, "b", Outcome.NO_MATCH),
        (1, "ac", Outcome.NO_SUBSTITUTION),
        (2, "a", Outcome.NO_DIALPLAN),
        (1, "", Outcome.EMPTY_TEXT),
        (1, "a" * LONGEST_TEXT, Outcome.TRANSLATED),
        (1, "a" * (LONGEST_TEXT + 1), Outcome.LONG_TEXT),
        (1, "é" * LONGEST_TEXT, Outcome.LONG_TEXT),
    ],
)
def test_outcomes(dpid: int, text: str, outcome: Outcome) -> None:
    dialplan = Dialplan([DialplanRow(1, 1, 1, REGEX, "a", 0, "a$", "x")])
    assert dialplan.explain(dpid, text).outcome is outcome
    assert (dialplan.translate(dpid, text) is not None) is (outcome is Outcome.TRANSLATED)
    assert dialplan.long_texts == (2 if outcome is Outcome.LONG_TEXT else 0)


def test_every_code_has_its_words() -> None:
    assert set(REASONS) == set(Reason)
    assert set(OUTCOMES) == set(Outcome)
    page = (Path(__file__).resolve().parents[3] / "docs" / "dialplan.md").read_text()
    for code, words in [*REASONS.items(), *OUTCOMES.items()]:
        assert f"| `{code.value}` | {words} |" in page


_EXPRESSION = st.sampled_from(["a", "b", "^a", "b$", "(a|b)", "a*", "ab", "[^a]", ".", ".."])
_ROWS = st.builds(
    DialplanRow,
    id=st.just(0),
    dpid=st.sampled_from([1, 1, 1, 2]),
    pr=st.integers(0, 3),
    match_op=st.sampled_from(MatchOp),
    match_exp=_EXPRESSION,
    match_len=st.sampled_from([0, 0, 1, 2]),
    subst_exp=st.sampled_from(["", "", "a", "b", "(a|b)b"]),
    repl_exp=st.sampled_from(["", "x", r"<\0>"]),
)


@given(st.lists(_ROWS, max_size=8), st.text("ab", max_size=4))
def test_the_winner_of_an_explanation_is_the_row_that_translates(
    rows: list[DialplanRow], text: str
) -> None:
    rows = [replace(row, id=number) for number, row in enumerate(rows)]
    dialplan = Dialplan(rows)
    translation = dialplan.translate(1, text)
    found = dialplan.explain(1, text)
    assert found.translation == translation
    selected = [c.row for c in found.candidates if c.reason is Reason.SELECTED]
    assert selected == ([] if translation is None else [translation.row])
    decided = [c for c in found.candidates if c.reason in (Reason.SELECTED, Reason.NO_SUBSTITUTION)]
    assert len(decided) <= 1
    if found.outcome not in (Outcome.NO_DIALPLAN, Outcome.EMPTY_TEXT):
        mine = sorted(row.id for row in rows if row.dpid == 1)
        assert sorted(c.row.id for c in found.candidates) == mine
    if decided:
        # What was tried before does not match by itself; nothing after it was tried.
        at = found.candidates.index(decided[0])
        for candidate in found.candidates[:at]:
            assert Dialplan([candidate.row]).explain(1, text).outcome is Outcome.NO_MATCH
        rest = {candidate.reason for candidate in found.candidates[at + 1 :]}
        assert rest <= {Reason.LATER, Reason.OTHER_LENGTH}


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        (DialplanRow(9, 1, 1, REGEX, "(a", line=3), "expression", "row 9 (line 3): match_exp '(a'"),
        (DialplanRow(9, 1, 1, REGEX, "a", 0, "[", "x"), "expression", "subst_exp '[', column 2:"),
        (DialplanRow(9, 1, 1, FNMATCH, "[[.a.]]"), "expression", "match_exp '[[.a.]]'"),
        (
            DialplanRow(9, 1, 1, REGEX, "a", 0, "(a)", r"\2"),
            "group",
            "refers to group 2; subst_exp",
        ),
        (DialplanRow(9, 1, 1, REGEX, "a", 0, "", r"\1"), "group", "subst_exp '' has 0"),
        (
            DialplanRow(9, 1, 1, REGEX, "a", 0, "a", "x$rU"),
            "variable",
            "'$rU' is a variable of Kam",
        ),
        (DialplanRow(9, 1, 1, REGEX, "a", 0, "a", r"\u"), "variable", r"'\\u' is a variable"),
    ],
)
def test_rows_that_are_refused(row: DialplanRow, code: str, words: str) -> None:
    with pytest.raises(DialplanError) as refused:
        Dialplan([*SEED, row])
    assert refused.value.code == f"dialplan.{code}"
    assert words in refused.value.message
    assert refused.value.row == row


def test_rows_that_may_be_slow_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = DialplanRow(9, 1, 1, REGEX, "(a+)+$")
    assert Dialplan([*SEED, slow]).slow == (slow,)
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    with pytest.raises(TrunklineError, match="more than 3 rows") as refused:
        Dialplan(SEED)
    assert refused.value.code == "dialplan.rows"


def test_octets_that_are_no_text_come_back() -> None:
    dialplan = Dialplan([DialplanRow(1, 1, 1, REGEX, ".", 0, "b(.*)", r"<\1>")])
    found = dialplan.translate(1, "ab\udcff")
    assert found is not None
    assert found.value == "<\udcff>"


def test_a_csv_file_is_loaded_anew_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text(csv_text(SEED))
    live = LiveDialplan.from_csv(file)
    text = "m=audio 4002 RTP/AVP 8 101"
    before = live.translate(400, text)
    assert before is not None
    file.write_text(csv_text([SEED[0], DialplanRow(9, 1, 1, REGEX, "(")]))
    with pytest.raises(DialplanError):
        asyncio.run(live.reload())
    assert live.translate(400, text) == before
    file.write_text("nonsense")
    with pytest.raises(TrunklineError, match="there is no column"):
        asyncio.run(live.reload())
    assert live.translate(400, text) == before
    file.write_text(csv_text([DialplanRow(9, 400, 1, REGEX, "m=", 0, "", "new")]))
    asyncio.run(live.reload())
    after = live.translate(400, text)
    assert after is not None
    assert after.value == "new"
    assert live.explain(400, text).translation == after
    with pytest.raises(TrunklineError, match="cannot be read"):
        LiveDialplan.from_csv(tmp_path / "nowhere.csv")


def test_a_table_in_a_database(url: str) -> None:
    async def script() -> None:
        sql = Sql("Numbers", url, timeout=10)
        assert await save_sql(sql, SEED) == 4
        assert await save_sql(sql, [*SEED, DialplanRow(1, 400, 1, EQUAL, "x y")]) == 1
        live = await LiveDialplan.from_sql(sql)
        assert [row.id for row in live.current.rows] == [1, 4, 5, 6, 7]
        assert set(live.current.rows) >= set(SEED)
        found = live.translate(403, "o=alice 111 222 IN IP4 192.0.2.33")
        assert found is not None
        assert found.value == "192.0.2.33"

        with pytest.raises(TrunklineError, match="another row of dialplan has the id 4") as taken:
            await save_sql(
                sql, [DialplanRow(2, 1, 1, EQUAL, "a"), DialplanRow(4, 1, 1, EQUAL, "b")]
            )
        assert taken.value.code == "dialplan.id-taken"
        assert len((await from_sql(sql)).rows) == 5, "nothing was added"

        await sql.execute("UPDATE dialplan SET match_op = 9 WHERE id = 5")
        with pytest.raises(TrunklineError, match="dialplan, row 5: match_op 9") as wrong:
            await live.reload()
        assert wrong.value.code == "dialplan.table"
        assert len(live.current.rows) == 5
        await sql.execute("DELETE FROM dialplan WHERE id <> 4")
        await live.reload()
        assert [row.id for row in live.current.rows] == [4]
        await sql.close()

    asyncio.run(script())


def test_the_seeds_statements_as_mariadb_itself_reads_them(mariadb: SqlServer) -> None:
    """What Kamailio would find in its database after the seed's INSERT."""
    insert = r"""INSERT INTO `dialplan2` VALUES
    (4,400,10,1,'m=audio (\\d*)',0,'m=audio (\\d*)','\\1','SDP M Port'),
    (7,403,10,1,'o=[^ ]* (\\d*) (\\d*) IN IP4 (\\d*.d*.\\d*.\\d*)',0,
     'o=[^ ]* (\\d*) (\\d*) IN IP4 (\\d*[.]\\d*[.]\\d*[.]\\d*)','\\3','O IP');"""

    async def script() -> None:
        sql = Sql("Kamailio", mariadb.url, timeout=10)
        await sql.execute(  # the schema of Kamailio 5.6
            "CREATE TABLE dialplan2 (id INT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL, "
            "dpid INT(11) NOT NULL, pr INT(11) NOT NULL, match_op INT(11) NOT NULL, "
            "match_exp VARCHAR(64) NOT NULL, match_len INT(11) NOT NULL, "
            "subst_exp VARCHAR(64) NOT NULL, repl_exp VARCHAR(256) NOT NULL, "
            "attrs VARCHAR(64) NOT NULL)"
        )
        await sql.execute(insert)
        dialplan = await from_sql(sql, "dialplan2")
        assert dialplan.rows == (SEED[0], SEED[3])
        await sql.execute("DROP TABLE dialplan2")
        await sql.close()

    asyncio.run(script())


@pytest.mark.parametrize("table", ["", "dialplan; DROP TABLE x", "1x", "a" * 64])
def test_names_that_are_no_tables(table: str) -> None:
    async def script() -> None:
        sql = Sql("r", "sqlite://")
        for work in (from_sql(sql, table), save_sql(sql, SEED, table)):
            with pytest.raises(TrunklineError, match="is no name of a table") as refused:
                await work
            assert refused.value.code == "dialplan.table"
        await sql.close()

    asyncio.run(script())
