"""The same dialplan through Kamailio's module and ours: the same values and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.interop.kamailio import Kamailio, kamailio, modules

from trunkline.config.kamailio import DialplanRow, MatchOp, read_inserts
from trunkline.config.pcre import pcre_expression
from trunkline.elements.proxy.dialplan import Dialplan, DialplanError
from trunkline.errors import DecodeError

pytestmark = pytest.mark.interop

_EQUAL, _REGEX, _FNMATCH = MatchOp.EQUAL, MatchOp.REGEX, MatchOp.FNMATCH
_ids = count(1)


def row(
    dpid: int,
    match_exp: str,
    repl: str = "",
    subst: str = "",
    *,
    pr: int = 1,
    op: MatchOp = _REGEX,
    length: int = 0,
    attrs: str = "",
) -> DialplanRow:
    return DialplanRow(next(_ids), dpid, pr, op, match_exp, length, subst, repl, attrs)


# Rows 400 to 406 of the recipe of the peer, `kamailio-sem`: the seed's, one corrected, an fnmatch
# and an equal.
_O = r"o=[^ ]* (\d*) (\d*) IN IP4 (\d*.d*.\d*.\d*)"
_ADDRESS = r"o=[^ ]* (\d*) (\d*) IN IP4 (\d*[.]\d*[.]\d*[.]\d*)"
SEED = [
    row(400, r"m=audio (\d*)", r"\1", r"m=audio (\d*)", pr=10, attrs="SDP M Port Stripper"),
    row(401, _O, r"\1", _O, pr=10, attrs="O Port 1"),
    row(402, _O, r"\2", _O, pr=10, attrs="O Port 2"),
    row(403, _O, r"\3", _ADDRESS, pr=10, attrs="O IP"),
    row(404, r"o=[^ ]* (\d*) (\d*) IN IP4 (.*)", r"\3", _ADDRESS, pr=10, attrs="O IP fixed"),
    row(405, "m=audio *", "y", "x", pr=10, op=_FNMATCH, attrs="fnm"),
    row(406, "abc", "y", "x", pr=10, op=_EQUAL, attrs="eq"),
]
SDP = [
    "m=audio 4002 RTP/AVP 8 101",
    "o=alice 111 222 IN IP4 192.0.2.33",
    "o=- 0 0 IN IP4 1.2.3",
    "o=alice 111 222 IN IP6 ::1",
    "m=video 4002 RTP/AVP 96",
    "m=audio x",
    "M=audio 1",
    "abc",
    "abcd",
]

ORDER = [
    # The lowest priority first, then the order of the table.
    row(500, "a", "third", pr=3),
    row(500, "a", "first", pr=1),
    row(500, "a", "also first", pr=1),
    row(500, "a", "before all", pr=-1, length=9),
    # A length of its own goes before any priority.
    row(501, ".", "any length", pr=1),
    row(501, ".", "three, late", pr=9, length=3),
    row(501, "b", "three, b", pr=5, length=3),
    row(501, "b", "two", pr=5, length=2),
    # The first that matches decides, even if its substitution fails.
    row(502, "a", "lost", "zzz", pr=1),
    row(502, "a", "never", pr=2),
    row(503, "zzz", "lost", pr=1),
    row(503, "a", "found", pr=2, attrs="attributes"),
    # A length counts octets.
    row(504, ".", "two octets", length=2),
]
ORDER_TEXTS = ["a", "ab", "abc", "axc", "aaaaaaaaa", "é", "x", "zzz", "azzz"]

SUBSTITUTIONS = [
    row(600, "a", "", "", attrs="nothing"),
    row(601, "a", "", "(a)", attrs="only a substitution"),
    row(602, "a", r"x\0y", "(a)"),
    row(603, "a", r"x\0y", ""),
    row(604, "a", r"x\ny\\z\t\$", ""),
    row(605, "a", r"x\ny\\z\t\q\$\r", "(a)"),
    row(606, "a", r"<\1>", "b(c)?"),
    row(607, "a", r"\1-\1", "(b+)"),
    row(608, "a", r"\2\1", "(?<n>a)(?P<m>b)"),
    row(609, "a", "plain", "b"),
    row(610, "a", "end\\", "(b)"),
    row(611, "a", r"\10", "(b)"),
    row(612, "a", r"\1", "(é|b)"),
    row(613, "b", r"\1", "(.*)"),
]
SUBSTITUTION_TEXTS = ["a", "ab", "abc", "xxabbbxx", "bab", "aé", "ac"]

EXPRESSIONS = [
    r"^\w$",
    r"^.$",
    r"^..$",
    r"(?i)ABC",
    r"a$",
    r"a\z",
    r"\Aa\Z",
    r"[[:digit:]]+",
    r"[^[:alpha:]_]",
    r"[[:^digit:]]",
    r"[[:space:][:punct:]]",
    r"x{,2}y",
    r"x{1,2}y",
    r"x{2,}y",
    r"x{y",
    r"\Qa.b\E",
    r"\i\y",
    r"a\x{42}\x43",
    r"\x4",
    r"\hb\R",
    r"^\v$",
    r"^\V+$",
    r"[\h]",
    r"[\v]",
    r"^\N+$",
    r"\e",
    r"\cA",
    r"\101",
    r"[]a]",
    r"[^]a]",
    r"[a\]b]",
    r"[a&&b]",
    r"[a||b]",
    r"[a~~b]",
    r"[[a]",
    r"(?:a|b)++c",
    r"(?>a*)b",
    r"(?=a)a",
    r"(?!a).",
    r"(?<=a)b",
    r"(?<!a)b",
    r"(a)\1",
    r"(?P<x>a)(?P=x)",
    r"(?'x'a)b",
    r"a(?#no)b",
    r"(?s)a.b",
    r"(?m)^b$",
    r"(?x) a b",
    r"\bb\b",
    r"\Bb",
    r"\s\S",
    r"a|",
    "",
    "é",
    "[é]",
]
EXPRESSION_TEXTS = [
    *[
        "a",
        "b",
        "ab",
        "aa",
        "abc",
        "aabbc",
        "xAbCx",
        "_",
        "1",
        "a1b2",
        " a ",
        "ab12c",
        "a.b",
        "axb",
    ],
    *["xxy", "x{,2}y", "xy", "x{y", "iy", "aBC", "A", "[", "&", "|", "~", "]", "-", "b a", "E"],
    *["a\n", "a\n\n", "a\nb", "\n", "\tb\r\n", "\xa0b\n", "\x0b", "\x01", "\x1b", "\x04"],
    *["é", "aé", "\xa9", "日本"],
]

PATTERNS = [
    "*",
    "a*",
    "*a",
    "a*b*c",
    "**b",
    "?",
    "??",
    "a?c",
    "[abc]",
    "[!abc]",
    "[^abc]",
    "[a-c]x",
    "[]a]",
    "[!]a]",
    "[a-]",
    "[[:digit:]]*",
    "[![:alpha:]]",
    r"\*",
    r"a\?",
    r"[\]a]",
    r"[a\-c]",
    "[a",
    "a[",
    "[]",
    "a\\",
    "a.c",
    "(a)",
    "+1*",
    "/*",
    ".?",
]
PATTERN_TEXTS = [
    *["a", "b", "d", "x", "ab", "abc", "aXc", "a.c", "ax", "dx", "*", "a?", "]", "-", "[a", "a["],
    *[
        "1",
        "12",
        "1a",
        "a\\",
        "\\",
        "(a)",
        "+123",
        "/a",
        "a/b",
        ".a",
        ".",
        "[]",
        "é",
        "a\nb",
        "[",
        "A",
    ],
]

TABLE = [
    *SEED,
    *ORDER,
    *SUBSTITUTIONS,
    *(row(1000 + index, source, "x") for index, source in enumerate(EXPRESSIONS)),
    *(row(2000 + index, source, "x", op=_FNMATCH) for index, source in enumerate(PATTERNS)),
]


@pytest.fixture(scope="module")
def peer() -> Iterator[Kamailio]:
    with kamailio(TABLE) as running:
        yield running


@pytest.fixture(scope="module")
def ours() -> Dialplan:
    return Dialplan(TABLE)


def compare(peer: Kamailio, ours: Dialplan, cases: list[tuple[int, str]]) -> int:
    """Ask both; returns how many of the texts were translated."""
    translated = 0
    wrong = []
    for dpid, text in cases:
        found = ours.translate(dpid, text)
        mine = found and (found.value, found.attrs)
        theirs = peer.translate(dpid, text)
        if mine != theirs:
            wrong.append((dpid, text, mine, theirs))
        translated += theirs is not None
    assert not wrong, "(dpid, text, ours, theirs)"
    return translated


def test_the_rows_of_the_seed(peer: Kamailio, ours: Dialplan) -> None:
    assert compare(peer, ours, list(product(range(400, 407), SDP))) == 9
    assert peer.translate(400, SDP[0]) == ("4002", "SDP M Port Stripper")
    assert peer.translate(403, SDP[1]) == ("192.0.2.33", "O IP")


def test_order_and_length(peer: Kamailio, ours: Dialplan) -> None:
    assert compare(peer, ours, list(product(range(500, 506), ORDER_TEXTS))) > 20
    assert peer.translate(501, "axc") == ("three, late", "")
    assert peer.translate(502, "a") is None


def test_substitutions(peer: Kamailio, ours: Dialplan) -> None:
    assert compare(peer, ours, list(product(range(600, 614), SUBSTITUTION_TEXTS))) > 40


def test_expressions(peer: Kamailio, ours: Dialplan) -> None:
    dpids = range(1000, 1000 + len(EXPRESSIONS))
    assert compare(peer, ours, list(product(dpids, EXPRESSION_TEXTS))) > 500


def test_patterns(peer: Kamailio, ours: Dialplan) -> None:
    dpids = range(2000, 2000 + len(PATTERNS))
    assert compare(peer, ours, list(product(dpids, PATTERN_TEXTS))) > 120


def test_an_empty_text_is_not_translated(peer: Kamailio, ours: Dialplan) -> None:
    assert compare(peer, ours, [(row.dpid, "") for row in TABLE]) == 0


def test_what_differs_on_purpose(peer: Kamailio, ours: Dialplan) -> None:
    """A value of 127 octets or more is refused by Kamailio, whose buffer ends there."""
    for length, theirs in ((126, ("b" * 126, "")), (127, None)):
        found = ours.translate(613, "b" * length)
        assert found is not None
        assert found.value == "b" * length
        assert peer.translate(613, "b" * length) == theirs


_LITERAL = st.sampled_from(["a", "b", "c", ".", r"\d", r"\w", "[ab]", "[^a]", r"\.", "1", " "])
_EXPRESSION = st.recursive(
    _LITERAL,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        inner.map(lambda text: f"({text})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{1,2}", "{0,1}?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)
_TEXT = st.text("abc1. ", min_size=1, max_size=8)


def test_expressions_at_random() -> None:
    """As many as fit into one start of the peer: they match alike, with the same first group."""
    modules()
    cases: list[tuple[DialplanRow, list[str]]] = []

    @settings(max_examples=400, database=None, deadline=None)
    @given(_EXPRESSION, st.lists(_TEXT, min_size=1, max_size=4))
    def collect(source: str, texts: list[str]) -> None:
        try:
            compiled = pcre_expression(source)
        except DecodeError:
            return  # what Python refuses has no answer to compare
        group = r"\1" if compiled.pattern.groups else r"\0"
        cases.append((row(3000 + len(cases), source, f"<{group}>", source), texts))

    collect()
    rows = [case[0] for case in cases]
    with kamailio(rows) as peer:
        asked = [(case[0].dpid, text) for case in cases for text in case[1]]
        assert compare(peer, Dialplan(rows), asked) > 100


@pytest.mark.parametrize("wrong", [row(1, "(", "x"), row(1, "a", r"\2", "(a)"), row(1, "a", r"\1")])
def test_rows_that_keep_both_from_loading(wrong: DialplanRow) -> None:
    modules()
    with pytest.raises(pytest.fail.Exception, match="did not come up"), kamailio([wrong]):
        pass
    with pytest.raises(DialplanError):
        Dialplan([wrong])


def test_the_seed_as_it_was_imported(vectors: Path) -> None:
    """The INSERT statements of the seed, read by our importer, through both."""
    seed = vectors.parent / "seed" / "voip-archive.txt"
    if not seed.exists():
        pytest.skip(f"there is no {seed}")
    rows = read_inserts(seed).rows
    with kamailio(rows) as peer:
        cases = list(product([found.dpid for found in rows], SDP))
        assert compare(peer, Dialplan(rows), cases) == 7
