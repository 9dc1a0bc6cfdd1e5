"""Go's patterns read by Python's engine: what is the same, what is rewritten, what is refused."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.charging.event import Event, EventError, Scope
from trunkline.charging.filters import Rule, read_inline
from trunkline.charging.goregex import Template, compile_pattern, search, translate
from trunkline.charging.rsr import parse
from trunkline.errors import DecodeError


@pytest.mark.parametrize(
    ("pattern", "text", "whole"),
    [
        (r"^\+(\d+)$", "+4915112345", "+4915112345"),
        (r"^\+(\d+)$", "+49\n", None),  # Python's $ would let a newline follow
        (r"(?m)^b$", "a\nb\nc", "b"),
        (r"a\z", "a", "a"),
        (r"\Aa", "ba", None),
        (r"\d+", "٣", None),  # digits are ASCII
        (r"\w+", "é", None),
        (r"\s", "\v", None),
        (r"\S", "\v", "\v"),
        (r"\Qa.b(\Ec", "xa.b(c", "a.b(c"),
        (r"\Qa.b", "a.b", "a.b"),
        (r"a{,2}", "a{,2}", "a{,2}"),  # a count without a first number is text
        (r"a{2}", "aaa", "aa"),
        (r"a{1,}", "aaa", "aaa"),
        (r"a{x}", "a{x}", "a{x}"),
        (r"(?i)ABC", "abc", "abc"),
        (r"a(?i)b|c", "aB", "aB"),
        (r"a(?i)b|c", "C", "C"),  # flags hold to the end of the group, over its branches
        (r"a(?i)b|c", "A", None),
        (r"(a(?i)b)c", "aBC", None),
        (r"(?i:a)b", "Ab", "Ab"),
        (r"(?i)a(?-i)b", "AB", None),
        (r"(?s).", "\n", "\n"),
        (r".", "\n", None),
        (r"(?P<n>x)|(?<m>y)", "y", "y"),
        (r"[[:digit:]a]+", "x1a", "1a"),
        (r"[[:punct:]]", "~", "~"),
        (r"[]a]+", "]a", "]a"),
        (r"[^]a]+", "]b", "b"),
        (r"[a\-z]+", "-", "-"),
        (r"[a-]+", "a-", "a-"),
        (r"[+-]", "-", "-"),
        (r"[\d-]+", "1-", "1-"),
        (r"[a-c&&b]+", "&b", "&b"),  # no set operations
        (r"[\s]", "\v", None),
        (r"\x41\x{1F600}\101", "A😀A", "A😀A"),
        (r"\_\.", "_.", "_."),
        (r"a}", "a}", "a}"),
        (r"a+?", "aa", "a"),
    ],
)
def test_what_goes_through(pattern: str, text: str, whole: str | None) -> None:
    found = compile_pattern(pattern).search(text)
    assert (None if found is None else found[0]) == whole


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?#a)", "(?P=n)", "(?)", "(?U)a",
        r"(a)\1", r"\Z", r"\u0041", r"\pL", r"\C", r"\y", "a++", "a**", "a*+", "a{2}{3}", "a{1001}",
        "(a", "a)", "[a", "[b-a]", "[[:nothing:]]", "\\", "*a", r"\x4", r"\x{110000}", "a" * 2001,
        "[" + "\\", r"\é", r"[\b]", r"[\A]", r"[\z]", r"[\Qa\E]",
    ],
)  # fmt: skip
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(DecodeError) as refused:
        compile_pattern(pattern)
    assert refused.value.code == "charging.regex"


@given(st.text(max_size=30))
def test_quoted_text_matches_itself(text: str) -> None:
    quoted = "".join(f"\\{c}" if c.isascii() and not c.isalnum() else c for c in text)
    assert compile_pattern(quoted).fullmatch(text)


@given(st.text(alphabet=r"ab()[]{}|*+?.^$\-:imsPQE<>1,dzs", max_size=14))
def test_a_pattern_compiles_or_is_refused(text: str) -> None:
    with contextlib.suppress(DecodeError):
        compile_pattern(text).search("ab")


@given(st.lists(st.sampled_from(["a", "b+", "(c|d)", "[^e]", ".", r"\d?", "(?:f)"]), max_size=8))
def test_what_both_engines_read_alike_is_left_alone(parts: list[str]) -> None:
    text = "".join(parts)
    assert re.compile(translate(text)).groups == re.compile(text).groups


@pytest.mark.parametrize(
    ("template", "expanded"),
    [
        ("$1-$2", "12-ab"),
        ("${1}x", "12x"),
        ("$1x", ""),  # the group named 1x
        ("$name.", "ab."),
        ("$$1", "$1"),
        ("$9", ""),
        ("$", "$"),
        ("a$-", "a$-"),
        ("${1", "${1"),
        ("$0", "12ab"),
        ("<$3$none>", "<>"),
    ],
)
def test_templates(template: str, expanded: str) -> None:
    match = re.match(r"(\d+)(?P<name>[a-z]+)(?P<none>x)?", "12ab")
    assert match is not None
    assert Template(template).expand(match) == expanded


def test_a_field_beyond_all_measure_is_not_searched() -> None:
    assert search(compile_pattern(r"\d+$"), "1" * 1000)
    scope = Scope(Event(fields={"A": "1" * 1_000_000 + "x"}), datetime(2024, 5, 15, tzinfo=UTC))
    rules = [
        parse(r"~*req.A:s/(\d+)$/$1/").text,
        Rule.make(*read_inline(r"*regex:~*req.A:\d+$")).holds,
        Rule.make(*read_inline(r"*rsr:~*req.A:~\d+$")).holds,
    ]
    for rule in rules:
        with pytest.raises(EventError, match="1000001 characters") as refused:
            rule(scope)
        assert refused.value.code == "charging.field"
