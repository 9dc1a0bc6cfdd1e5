r"""Expressions of PCRE and patterns of fnmatch, as Kamailio uses them, for Python's ``re``.

Kamailio compiles expressions by PCRE without its UTF mode and calls glibc's ``fnmatch`` in the C
locale, so both work on octets: "." is one octet, ``\w`` is ASCII. The result here is a pattern of
octets, too. What the two libraries write differently is rewritten:

====================================  ============================================================
PCRE                                  Python
====================================  ============================================================
``[[:digit:]]``, ``[[:^space:]]``     their octets; Python would read a set of the characters
``x{,3}``                             those five characters; Python would read a repetition
``\z``, ``\Z``                          ``\Z``, and the same or before a last newline
``\h \v \R \N``, in sets ``\h \v``    their octets; Python's ``\v`` is one character
``\Q…\E``, ``\e``, ``\cX``, ``\x{41}``  the characters
``\i``, ``\y`` and other letters       the letter: they mean nothing to PCRE, Python refuses them
``(?<name>…)``, ``(?'name'…)``        ``(?P<name>…)``
====================================  ============================================================

What Python has no counterpart for is refused: ``\K``, ``\G``, ``\X``, ``\p{…}``, ``\g{…}``,
recursion, ``(?|…)``, ``(*VERB)``, options other than i, m, s and x, and options that do not stand
at the very beginning. So is what is longer than :data:`LONGEST`.
"""

from __future__ import annotations

import re
import string
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from trunkline.errors import DecodeError

__all__ = ["LONGEST", "Expression", "fnmatch_expression", "octets", "pcre_expression", "suspicions"]

LONGEST = 1024
"""Octets of an expression. Kamailio's own tables have room for 64, or 256 in later schemas."""

_POSIX = {
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "space": string.whitespace,
    "blank": " \t",
    "punct": string.punctuation,
    "xdigit": string.hexdigits,
    "word": string.ascii_letters + string.digits + "_",
    "cntrl": "".join(map(chr, (*range(32), 127))),
    "graph": "".join(map(chr, range(33, 127))),
    "print": "".join(map(chr, range(32, 127))),
    "ascii": "".join(map(chr, range(128))),
}
_HORIZONTAL = "\t \xa0"
_VERTICAL = "\n\x0b\x0c\r\x85"

_LONE_D = re.compile(r"(?<!\\)d[*+]")
_LONE_DOT = re.compile(r"(?:\\d[*+]?|[0-9])\.(?:\\?d|[0-9\[])")

_MEANINGLESS = frozenset("FiIjJmMOqTyY")  # letters that PCRE takes for themselves behind "\"
_OPTIONS = re.compile(r"\(\?([A-Za-z^-]+)[:)]")
_NAMED = re.compile(r"\(\?(?:<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')")
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_NO_REPETITION = re.compile(r"\{,\d*\}")
_WITHOUT_END = re.compile(r"[*+]|\{\d+,\}")


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that Python has compiled."""

    source: str
    pattern: re.Pattern[bytes]
    nested: bool
    """A repetition without end inside another: some texts may take exponential time."""


def octets(text: str) -> bytes:
    """``text`` as expressions see it."""
    return text.encode("utf-8", "surrogateescape")


def pcre_expression(source: str) -> Expression:
    """Compile an expression of PCRE.

    Raises:
        DecodeError: ``pcre.expression``, with the column from 0.
    """
    walk = _Pcre(_bounded(source))
    return Expression(source, _compiled(walk.translated()), walk.nested)


def fnmatch_expression(source: str) -> Expression:
    """Compile a pattern of ``fnmatch(3)`` with no flags; it matches the whole text.

    Raises:
        DecodeError: ``pcre.expression``, with the column from 0.
    """
    return Expression(source, _compiled(_fnmatch(_bounded(source))), nested=False)


def _bounded(source: str) -> str:
    """``source`` as one character an octet."""
    text = octets(source).decode("latin-1")
    if len(text) > LONGEST:
        raise DecodeError(
            "pcre.expression", f"longer than {LONGEST} octets: split it", offset=LONGEST
        )
    if "\0" in text:
        raise DecodeError("pcre.expression", "a NUL character", offset=text.index("\0"))
    return text


def _compiled(text: str) -> re.Pattern[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # "--" in a set may mean more some day
        try:
            return re.compile(text.encode("latin-1"))
        except (re.error, OverflowError, RecursionError) as problem:
            reason = getattr(problem, "msg", None) or str(problem)
            raise DecodeError("pcre.expression", f"Python cannot compile it: {reason}") from problem


def suspicions(source: str) -> list[str]:
    """What an expression that compiles probably does not mean, in words."""
    found = []
    if match := _LONE_DOT.search(source):
        found.append(
            f'in "{match[0]}" the dot is any character: it works, and fits more than a dot, [.]'
        )
    if match := _LONE_D.search(source):
        found.append(f'"{match[0]}" repeats the letter d: a digit is \\d')
    if pcre_expression(source).nested:
        found.append(
            "a repetition without end inside another: a text may take exponential time; "
            "write (?>...) round the inner one, or make it possessive"
        )
    return found


class _Pcre:
    """One walk over an expression."""

    def __init__(self, text: str) -> None:
        self.nested = False
        self._text = text
        self._at = 0
        self._groups = [False]
        """For each open group: has it a repetition without end?"""

    def translated(self) -> str:
        parts: list[str] = []
        while self._at < len(self._text):
            parts.append(self._next())
        return "".join(parts)

    def _next(self) -> str:
        text, at = self._text, self._at
        character = text[at]
        if character == "\\":
            return self._escape(in_set=False)
        if character == "[":
            return self._set()
        if character == "(":
            return self._open()
        self._at += 1
        if character == ")":
            self._close()
        elif _WITHOUT_END.match(text, at):
            self._groups[-1] = True
        elif _NO_REPETITION.match(text, at):
            return r"\{"
        return character

    def _open(self) -> str:
        text, at = self._text, self._at
        self._groups.append(False)
        if text.startswith("(?#", at):  # nothing in a comment means anything
            end = text.find(")", at)
            if end < 0:
                raise self._refused("a comment without an end")
            self._groups.pop()
            self._at = end + 1
            return ""
        if found := _NAMED.match(text, at):
            self._at = found.end()
            return f"(?P<{found[1] or found[2]}>"
        if found := _OPTIONS.match(text, at):
            if not set(found[1]) <= set("imsx-"):
                raise self._refused(f"the option {found[0]!r}")
            if found[0].endswith(")"):
                self._groups.pop()
            self._at = found.end()
            return found[0]
        self._at += 1
        return "("

    def _close(self) -> None:
        inner = self._groups.pop() if len(self._groups) > 1 else False
        again = _WITHOUT_END.match(self._text, self._at)
        possessive = again is not None and self._text.startswith("+", again.end())
        if inner and again is not None and not possessive:
            self.nested = True
        self._groups[-1] |= inner

    def _set(self) -> str:
        text = self._text
        parts = ["["]
        self._at += 1
        if text.startswith("^", self._at):
            parts.append("^")
            self._at += 1
        if text.startswith("]", self._at):
            parts.append(r"\]")
            self._at += 1
        while self._at < len(text):
            character = text[self._at]
            if character == "]":
                self._at += 1
                return "".join([*parts, "]"])
            if character == "\\":
                parts.append(self._escape(in_set=True))
            elif found := _POSIX_CLASS.match(text, self._at):
                parts.append(self._posix(found))
            else:
                if text.startswith(("[.", "[=", "[:"), self._at):
                    raise self._refused(f"{text[self._at : self._at + 2]!r} inside a set")
                parts.append(f"\\{character}" if character in "[&|~" else character)
                self._at += 1
        raise self._refused("a set without its ]")

    def _posix(self, found: re.Match[str]) -> str:
        if found[2] not in _POSIX:
            raise self._refused(f"the class [:{found[2]}:]")
        self._at = found.end()
        return _ranges(_POSIX[found[2]], complement=bool(found[1]))

    def _escape(self, *, in_set: bool) -> str:
        text, start = self._text, self._at
        if start + 1 == len(text):
            raise self._refused("a \\ at the end")
        letter = text[start + 1]
        self._at += 2
        if letter == "Q":
            end = text.find(r"\E", self._at)
            literal = text[self._at :] if end < 0 else text[self._at : end]
            self._at = len(text) if end < 0 else end + 2
            return "".join(map(_literal, literal))
        if letter == "E":
            return ""
        if letter == "c" and self._at < len(text):
            self._at += 1
            return _literal(chr(ord(text[self._at - 1].upper()) ^ 64))
        if letter == "x":
            return self._hexadecimal()
        if letter in "hHvV":
            characters = _HORIZONTAL if letter in "hH" else _VERTICAL
            inner = _ranges(characters, complement=letter.isupper())
            return inner if in_set else f"[{inner}]"
        if letter in _MEANINGLESS:
            return letter
        if letter == "e":
            return r"\x1b"
        if not in_set:
            if letter == "z":
                return r"\Z"
            if letter == "Z":
                return r"(?=\n?\Z)"
            if letter == "R":
                return rf"(?>\r\n|[{_ranges(_VERTICAL)}])"
            if letter == "N" and not text.startswith("{", self._at):
                return r"[^\n]"
        return text[start : self._at]

    def _hexadecimal(self) -> str:
        found = re.compile(r"\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{0,2})").match(self._text, self._at)
        assert found is not None  # the second branch fits anything
        number = int(found[1] or found[2] or "0", 16)
        if number > 0xFF:
            raise self._refused(f"the character \\x{found[0]}, which is no octet")
        self._at = found.end()
        return _literal(chr(number))

    def _refused(self, what: str) -> DecodeError:
        return DecodeError("pcre.expression", f"cannot use {what}", offset=self._at)


def _fnmatch(text: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "*":
            if parts[-1:] != [".*"]:
                parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "\\":
            # One at the end fits nothing, in glibc.
            parts.append(_literal(text[at]) if at < len(text) else "(?!)")
            at += 1
        elif character == "[" and (found := _fnmatch_set(text, at)):
            part, at = found
            parts.append(part)
        else:
            parts.append(_literal(character))
    return rf"\A(?s:{''.join(parts)})\Z"


def _fnmatch_set(text: str, at: int) -> tuple[str, int] | None:
    """The set whose "[" is before ``at``, and what is behind it; ``None`` if it has no end."""
    parts = ["["]
    if text.startswith(("!", "^"), at):
        parts.append("^")
        at += 1
    first = at
    while at < len(text):
        character = text[at]
        if character == "]" and at > first:
            return "".join([*parts, "]"]), at + 1
        if found := _POSIX_CLASS.match(text, at):
            if found[1] or found[2] not in _POSIX:
                raise DecodeError("pcre.expression", f"no class {found[0]}", offset=at)
            parts.append(_ranges(_POSIX[found[2]]))
            at = found.end()
            continue
        if text.startswith(("[.", "[="), at):
            raise DecodeError("pcre.expression", f"cannot use {text[at : at + 2]!r}", offset=at)
        if character == "\\" and at + 1 < len(text):
            at += 1
            character = text[at]
            parts.append(_literal(character))
        else:
            parts.append("-" if character == "-" else _literal(character))
        at += 1
    return None


def _literal(character: str) -> str:
    return character if character.isascii() and character.isalnum() else f"\\x{ord(character):02x}"


def _ranges(characters: Iterable[str], *, complement: bool = False) -> str:
    """The inside of a set with these octets, or with all others."""
    numbers = set(map(ord, characters))
    if complement:
        numbers = set(range(256)) - numbers
    parts = []
    for low in sorted(numbers):
        if low - 1 not in numbers:
            high = low
            while high + 1 in numbers:
                high += 1
            parts.append(f"\\x{low:02x}-\\x{high:02x}")
    return "".join(parts)
