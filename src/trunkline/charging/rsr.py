r"""The little language of rules: what a field is turned into before it is compared or written.

::

    ~*req.Destination                        the field
    ~*req.Destination:s/^\+(\d+)$/$1/        searched and replaced (Go's regular expressions)
    ~*req.Usage{*duration_seconds&*round:2}  converted
    ~*stats.<~*req.StatID>.*acd              a path with a field's value in it
    abc                                      a constant
    ~*req.Category;-;~*req.Account           several, one after another

Where a search finds nothing, the field stays as it is; where it does, what remains is the
replacement **alone**, not the field with a part replaced. A field that is not there makes the
whole text missing (``None``). A ``;`` or ``|`` between backquotes does not separate.

Left out: the filter in parentheses after a rule, which only ``*rsr`` filters still have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from trunkline.charging.converters import Converter, make_converter
from trunkline.charging.event import MISSING, EventError, Path, Scope, to_text
from trunkline.charging.goregex import Template, compile_pattern, search
from trunkline.errors import DecodeError

__all__ = ["Parser", "Parsers", "parse", "parse_list", "split"]

_SEARCH = ":s/"


def split(text: str, separators: str = ";") -> list[str]:
    """``text`` at its separators, but not between backquotes or within ``<…>``."""
    parts: list[str] = []
    start = 0
    quoted = nested = False
    for at, char in enumerate(text):
        if char == "`":
            quoted = not quoted
        elif quoted:
            continue
        elif char == "<" and text.startswith("<~", at):
            nested = True
        elif char == ">":
            nested = False
        elif char in separators and not nested:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return parts


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "`" else text


class Parser:
    """One rule, compiled."""

    __slots__ = ("_converters", "_searches", "constant", "dynamic", "path", "source")

    def __init__(self, source: str) -> None:
        """Compile ``source``.

        Raises:
            DecodeError: ``charging.rule``, ``charging.path``, ``charging.regex`` or
                ``charging.converter``.
        """
        self.source = source
        self.constant: str | None = None
        self.path: Path | None = None
        self.dynamic: tuple[str, Parsers, str] | None = None
        self._searches: tuple[tuple[re.Pattern[str], Template], ...] = ()
        self._converters: tuple[Converter, ...] = ()
        if not source.startswith("~"):
            self._converters, rest = self._split_converters(source)
            try:
                self.constant = self._convert(_unquoted(rest))
            except EventError as error:
                raise DecodeError("charging.converter", f"{source[:80]!r}: {error}") from None
            return
        start = source.find("<~")
        if start >= 0:
            end = source.find(">", start)
            if end < 0:
                raise DecodeError("charging.rule", f"{source[:80]!r}: the < is not closed")
            self.dynamic = (source[:start], parse(source[start + 1 : end]), source[end + 1 :])
            return
        self._converters, rest = self._split_converters(source)
        path, *searches = rest.split(_SEARCH)
        self.path = Path.parse(path)
        self._searches = tuple(self._search(text) for text in searches)

    @staticmethod
    def _split_converters(source: str) -> tuple[tuple[Converter, ...], str]:
        start = source.find("{*")
        if start < 0:
            return (), source
        if not source.endswith("}"):
            raise DecodeError("charging.rule", f"{source[:80]!r}: nothing may follow the }}")
        converters = source[start + 1 : -1].split("&")
        return tuple(make_converter(text) for text in converters), source[:start]

    def _search(self, text: str) -> tuple[re.Pattern[str], Template]:
        # The last two slashes without a backslash before them count.
        body, middle = text.removesuffix("/"), -1
        if body != text and not body.endswith("\\"):
            middle = body.rfind("/")
            while middle > 0 and body[middle - 1] == "\\":
                middle = body.rfind("/", 0, middle)
        if middle < 1:
            raise DecodeError(
                "charging.rule",
                f"{self.source[:80]!r}: a search is written :s/pattern/replacement/",
            )
        return compile_pattern(body[:middle]), Template(body[middle + 1 :])

    @property
    def plain(self) -> Path | None:
        """The path, where the rule is a path and nothing else."""
        return None if self._searches or self._converters else self.path

    def _convert(self, text: str) -> str:
        if not self._converters:
            return text
        value: object = text
        for convert in self._converters:
            value = convert(value)
        return to_text(value)

    def text(self, scope: Scope) -> str | None:
        """What the rule makes of the event; None: the field is not there.

        Raises:
            EventError: a converter cannot convert, or a source is missing.
        """
        path = self.path
        if path is not None:
            value = scope.find(path)
            if value is MISSING:
                return None
            text = to_text(value)
            for pattern, template in self._searches:
                if (match := search(pattern, text)) is not None:
                    text = template.expand(match)
            return self._convert(text) if self._converters else text
        if self.constant is not None:
            return self.constant
        resolved = self.resolve(scope)
        return None if resolved is None else resolved.text(scope)

    def value(self, scope: Scope) -> object:
        """What a path finds, as it is, or `MISSING`; the text of every other rule."""
        parser: Parser | None = self if self.dynamic is None else self.resolve(scope)
        if parser is None:
            return MISSING
        if (path := parser.plain) is not None:
            return scope.find(path)
        text = parser.text(scope)
        return MISSING if text is None else text

    def resolve(self, scope: Scope) -> Parser | None:
        """The rule with the value of the field in its path put there."""
        if self.dynamic is None:
            return self
        before, inner, after = self.dynamic
        text = inner.text(scope)
        return None if text is None else _cached(f"{before}{text}{after}")

    def roots(self) -> frozenset[str]:
        """The roots it looks under: ``*req``, ``*stats`` and so on."""
        if self.dynamic is not None:
            root = self.dynamic[0].removeprefix("~").partition(".")[0]
            return self.dynamic[1].roots() | {root}
        return frozenset() if self.path is None else frozenset({self.path.root})


@lru_cache(maxsize=4_096)
def _cached(source: str) -> Parser:
    return Parser(source)


class Parsers:
    """Several rules, whose texts stand one after another."""

    __slots__ = ("parsers",)

    def __init__(self, parsers: Iterable[Parser]) -> None:
        self.parsers: Sequence[Parser] = tuple(parsers)

    def __len__(self) -> int:
        return len(self.parsers)

    @property
    def constant(self) -> str | None:
        """The text, where it is always the same."""
        texts = [parser.constant for parser in self.parsers]
        return None if None in texts else "".join(text for text in texts if text is not None)

    def text(self, scope: Scope) -> str | None:
        """The texts of all; None where one is not there.

        Raises:
            EventError: as `Parser.text`.
        """
        out: list[str] = []
        for parser in self.parsers:
            text = parser.text(scope)
            if text is None:
                return None
            out.append(text)
        return "".join(out)

    def roots(self) -> frozenset[str]:
        """Where they look."""
        return frozenset().union(*(parser.roots() for parser in self.parsers))


def parse(text: str, separators: str = ";") -> Parsers:
    """The rules of a text, at its separators.

    Raises:
        DecodeError: as `Parser`.
    """
    return parse_list(split(text, separators)) if text else Parsers(())


def parse_list(texts: Iterable[str]) -> Parsers:
    """The rules of texts that were separated already.

    Raises:
        DecodeError: as `Parser`.
    """
    return Parsers(Parser(text) for text in texts)
