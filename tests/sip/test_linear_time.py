"""No expression takes more than linear time, whatever stands there in whatever length.

The expressions are found in the source, with the way in which each is used: one that is only ever
matched at a place may be slow to search for.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import trunkline
from trunkline.sip.message import parse
from trunkline.sip.via import mark_source, top_via

ROOT = Path(trunkline.__file__).parent
ROOMS = ("sip", "elements/proxy", "net")
_WAYS = {
    **dict.fromkeys(("match", "fullmatch"), "match"),
    **dict.fromkeys(("search", "sub", "subn", "finditer", "findall", "split"), "search"),
}

LENGTH = 16_000
LONGEST = 0.08
"""Seconds. What is linear takes less than a millisecond, what is quadratic a tenth and more."""

UNITS = (
    *(" ", "\t", "a", "1", '"', ";", " ;", "\\", '""', "a ", ";a", "=", "/", ",", "<", ">", "%41"),
    *(":", "[", "a=", "(", ")", ".", "\r\n ", "a.", "a-", '"\\', "@", "&", "?", "a,", "%"),
)
BEGINNINGS = (
    *("", "a", ";rport", "sip:", '"', "<sip:", ";a=", "SIP/2.0/UDP ", "SIP / 2.0 / UDP h", "a="),
    *(";tag=", ";branch=z9hG4bK", "1 ", "Digest ", "Digest a=", "[", "(", "sip:a@", "a;", "a<b>"),
    *("branch=z9hG4bKw1", "\r\nRoute:", ";received", "tel:+", "100 "),
)
ENDS = ("", "!", "\n", '"')


def used() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes], str]]:
    """Each expression of these rooms: its name, itself, and how it is applied."""
    seen: set[tuple[str, str, str]] = set()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(("trunkline", *path.relative_to(ROOT).with_suffix("").parts))
            module = importlib.import_module(name.removesuffix(".__init__"))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                    continue
                found = getattr(module, node.value.id, None)
                way = _WAYS.get(node.attr)
                if not isinstance(found, re.Pattern) or way is None:
                    continue
                if (node.value.id, str(found.pattern), way) not in seen:
                    seen.add((node.value.id, str(found.pattern), way))
                    yield f"{name}.{node.value.id}.{way}", found, way


EXPRESSIONS = list(used())


def seconds(expression: re.Pattern[str] | re.Pattern[bytes], way: str, text: str) -> float:
    apply = getattr(expression, way)
    octets = text if isinstance(expression.pattern, str) else text.encode()
    begin = time.thread_time()
    apply(octets)
    return time.thread_time() - begin


def test_the_expressions_are_found() -> None:
    assert len(EXPRESSIONS) > 50


@pytest.mark.parametrize(
    ("expression", "way"), [each[1:] for each in EXPRESSIONS], ids=[each[0] for each in EXPRESSIONS]
)
def test_an_expression(expression: re.Pattern[str] | re.Pattern[bytes], way: str) -> None:
    for begin, unit, end in itertools.product(BEGINNINGS, UNITS, ENDS):
        text = begin + unit * (LENGTH // len(unit)) + end
        if seconds(expression, way, text) > LONGEST:  # once more: it may have been the machine
            assert seconds(expression, way, text) <= LONGEST, (begin, unit, end)


def test_a_message_of_blanks() -> None:
    blanks = " " * 30_000
    data = (
        f"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1;rport{blanks}x\r\n"
        f"Subject: a{blanks}b\r\n c\r\n\r\n"
    ).encode()
    begin = time.thread_time()
    message = parse(data)
    value = message.headers.get("via") or ""
    via = top_via(value)
    assert via is not None
    mark_source(message, 0, via, ("192.0.2.1", 5060))
    assert message.headers.get("subject") == f"a{blanks}b c"
    assert time.thread_time() - begin < 0.5
