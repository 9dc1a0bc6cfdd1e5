"""Expressions of PCRE and fnmatch for Python; the interop tests compare them with Kamailio's."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.pcre import (
    LONGEST,
    fnmatch_expression,
    octets,
    pcre_expression,
    suspicions,
)
from trunkline.errors import DecodeError


def found(source: str, text: str) -> bool:
    return pcre_expression(source).pattern.search(octets(text)) is not None


@pytest.mark.parametrize(
    ("source", "fits", "fits_not"),
    [
        (r"m=audio (\d*)", "xm=audio 1", "m=video 1"),
        ("[[:digit:]]", "1", "d"),
        ("[^[:alpha:]]", "1", "d"),
        ("[[:^alpha:]]", "1", "d"),
        ("^x{,2}$", "x{,2}", "xx"),
        (r"a\z", "a", "a\n"),
        (r"a\Z", "a\n", "a\n\n"),
        (r"^\v$", "\r", "v"),
        (r"^[\h]$", "\t", "\n"),
        (r"^\H$", "a", " "),
        (r"^\R$", "\r\n", "\r\na"),
        (r"^\N$", "a", "\n"),
        (r"\Qa.b\E.c", "a.bxc", "axbxc"),
        (r"\Qa.b", "a.b", "axb"),
        (r"[\Q]-\E]", "-", "a"),
        (r"\i\y\e", "iy\x1b", "i"),
        (r"\x{41}\x42\cA", "AB\x01", "AB"),
        ("(?<year>1)(?'x'2)", "12", "1"),
        (r"(?#comment [)a", "a", "b"),
        ("(?i)a", "A", "b"),
        ("[[&|~-]", "[", "a"),
        ("^.$", "a", "é"),
        (r"\w", "a", "é"),
    ],
)
def test_what_is_rewritten(source: str, fits: str, fits_not: str) -> None:
    assert found(source, fits)
    assert not found(source, fits_not)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("(", "Python cannot compile it: missing )"),
        ("a)", "unbalanced parenthesis"),
        ("[a", "a set without its ]"),
        ("[[:nothing:]]", "the class [:nothing:]"),
        ("[[.a.]]", "'[.' inside a set"),
        ("a\\", "a \\ at the end"),
        (r"\Ka", r"bad escape \K"),
        (r"\p{L}", r"bad escape \p"),
        (r"(a)\g{1}", r"bad escape \g"),
        (r"\x{100}", "which is no octet"),
        ("(?R)", "the option"),
        ("(?|a)", "unknown extension"),
        ("(?U)a", "the option"),
        ("(?a)a", "the option"),
        ("a(?i)b", "global flags not at the start"),
        ("(*UTF8)", "nothing to repeat"),
        ("(?#x", "a comment without an end"),
        ("a{99999999999}", "too large"),
        ("a\0", "a NUL character"),
        ("a" * (LONGEST + 1), "longer than 1024 octets"),
        ("é" * LONGEST, "longer than 1024 octets"),
    ],
)
def test_what_is_refused(source: str, words: str) -> None:
    with pytest.raises(DecodeError) as refused:
        pcre_expression(source)
    assert refused.value.code == "pcre.expression"
    assert words in refused.value.message


_SIGNS = st.sampled_from("()[]{}*+?\\|^$.:,#<>=!-")


@given(st.text(st.characters(codec="utf-8") | _SIGNS, max_size=40))
def test_anything_is_compiled_or_refused(source: str) -> None:
    for compiler in (pcre_expression, fnmatch_expression, suspicions):
        if refused := refusal(compiler, source):
            assert refused.code == "pcre.expression"
            assert 0 <= refused.offset <= len(octets(source))


def refusal(compiler: Callable[[str], object], source: str) -> DecodeError | None:
    try:
        compiler(source)
    except DecodeError as refused:
        return refused
    return None


@given(st.text(st.sampled_from(r"ab1.*+?()|[]^$\dw "), max_size=12), st.text("ab1. ", max_size=8))
def test_what_both_write_alike_stays_as_it_is(source: str, text: str) -> None:
    try:
        expected = re.compile(source.encode())
        mine = pcre_expression(source).pattern
    except (re.error, DecodeError, FutureWarning):
        return
    assert bool(mine.search(text.encode())) == bool(expected.search(text.encode()))


@given(st.text("ab*?", max_size=8), st.text("ab/.", max_size=8))
def test_patterns_without_sets_are_those_of_the_standard_library(source: str, text: str) -> None:
    mine = fnmatch_expression(source).pattern.search(text.encode()) is not None
    assert mine == fnmatch.fnmatchcase(text, source)


@pytest.mark.parametrize(
    ("source", "nested"),
    [
        ("(a+)+", True),
        ("((a*)b)*", True),
        ("(?:a{2,})*", True),
        ("(a*){3,}", True),
        ("(a+)+?", True),
        ("(a+)++", False),
        ("(?>a+)b", False),
        ("(a+)?", False),
        ("(a+){2}", False),
        ("(ab)+", False),
        ("[(a+)]+", False),
        (r"\(a+\)+", False),
        ("(?#(a+)x", False),
        (r"\Q(a+)+\E", False),
    ],
)
def test_repetitions_inside_repetitions(source: str, nested: bool) -> None:
    assert pcre_expression(source).nested is nested
    assert any("exponential" in text for text in suspicions(source)) is nested


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (r"(\d*.d*.\d*.\d*)", ['"\\d*.d" the dot', '"d*" repeats the letter d']),
        (r"(\d*[.]\d*[.]\d*[.]\d*)", []),
        (r"192.0\.2", ["the dot is any character"]),
        (r"^61.*$", []),
        (r"d+", ['"d+" repeats']),
        (r"\d+", []),
        ("and", []),
    ],
)
def test_what_is_probably_not_meant(source: str, words: list[str]) -> None:
    told = suspicions(source)
    assert len(told) == len(words)
    assert all(word in text for word, text in zip(words, told, strict=True))
