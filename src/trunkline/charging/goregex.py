r"""Regular expressions as the reference's users write them: Go's syntax, read by Python's engine.

A pattern is translated, not guessed at: what means the same in both goes through, what Go reads
otherwise is rewritten (``$`` is the end of the text and nothing else, ``\z``, ``\Q…\E``, flags in
the middle, POSIX classes, a literal ``{``), and what Go refuses is refused here too (look-around,
back references, possessive repeats), so that a pattern which loads means what it meant.

Left out: Unicode classes (``\pL``), ``\C`` and the ``U`` flag. Go matches in linear time, Python
does not: fields of more than 1,000 characters are not searched, and a pattern with nested repeats
that can share out the same text in many ways, such as ``(a+)+$``, may take long on a shorter one.
"""

from __future__ import annotations

import re

from trunkline.charging.event import EventError
from trunkline.errors import DecodeError

__all__ = ["Template", "compile_pattern", "search", "translate"]

_LIMIT = 2_000
_LONGEST = 1_000
"""Of a field: a caller may send a megabyte, and a search for ``\\d+$`` takes its square."""
_REPEATS = 1_000
"""Go's own limit of a counted repeat."""
_SPACE = r"\t\n\f\r "
"""Go's ``\\s``, which has no vertical tab."""
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-\\~",
    "lower": "a-z",
    "print": " -\\~",
    "punct": r"!-/:-@\[-`\{-\~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_COUNT = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_FLAGS = re.compile(r"\(\?([ims]*)(?:-([ims]+))?([:)])")
_NAME = re.compile(r"\(\?P?<([A-Za-z_0-9]+)>")
_HEX = re.compile(r"([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\}")
_OCTAL = re.compile(r"[1-7][0-7]{1,2}|0[0-7]{0,2}")


class _Group:
    """One open bracket: whether ``$`` means every line's end, and the flag groups to close."""

    __slots__ = ("lines", "opened")

    def __init__(self, lines: bool) -> None:
        self.lines = lines
        self.opened: list[str] = []


class _Translator:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.groups = [_Group(False)]

    def refuse(self, why: str, at: int | None = None) -> DecodeError:
        at = self.at if at is None else at
        return DecodeError(
            "charging.regex",
            f"{self.text[:80]!r} is no pattern: {why} (column {at + 1})",
            offset=at,
        )

    def run(self) -> str:
        text = self.text
        if len(text) > _LIMIT:
            raise self.refuse(f"it is longer than {_LIMIT} characters", _LIMIT)
        while self.at < len(text):
            char = text[self.at]
            if char == "\\":
                self.out.append(self.escape(in_class=False))
            elif char == "[":
                self.bracket()
            elif char == "(":
                self.open()
            elif char == ")":
                if len(self.groups) == 1:
                    raise self.refuse("a ) closes nothing")
                self.out.append(")" * len(self.groups.pop().opened) + ")")
                self.at += 1
            elif char == "|":
                opened = self.groups[-1].opened
                self.out.append(")" * len(opened) + "|" + "".join(opened))
                self.at += 1
            elif char == "$":
                self.out.append("$" if self.groups[-1].lines else r"\Z")
                self.at += 1
            elif char in "*+?" or (char == "{" and _COUNT.match(text, self.at)):
                self.repeat()
            else:
                self.out.append(re.escape(char) if char in "{}" else char)
                self.at += 1
        if len(self.groups) > 1:
            raise self.refuse("a ( is not closed")
        return "".join(self.out) + ")" * len(self.groups[0].opened)

    def repeat(self) -> None:
        text = self.text
        count = _COUNT.match(text, self.at)
        if count is not None:
            if any(int(number) > _REPEATS for number in (count[1], count[3]) if number):
                raise self.refuse(f"a repeat of more than {_REPEATS}")
            self.out.append(count[0])
            self.at = count.end()
        else:
            self.out.append(text[self.at])
            self.at += 1
        if text.startswith("?", self.at):
            self.out.append("?")
            self.at += 1
        if text[self.at : self.at + 1] in ("*", "+", "?") or _COUNT.match(text, self.at):
            raise self.refuse("a repeat of a repeat")

    def open(self) -> None:
        lines = self.groups[-1].lines
        if not self.text.startswith("(?", self.at):
            self.out.append("(")
            self.groups.append(_Group(lines))
            self.at += 1
        elif named := _NAME.match(self.text, self.at):
            self.out.append(f"(?P<{named[1]}>")
            self.groups.append(_Group(lines))
            self.at = named.end()
        elif flags := _FLAGS.match(self.text, self.at):
            on, off, end = flags[1], flags[2] or "", flags[3]
            if end == ")" and not on + off:
                raise self.refuse("(?) names no flag")
            lines = ("m" in on or lines) and "m" not in off
            opener = f"(?{on}{'-' + off if off else ''}:"
            if end == ":":
                self.groups.append(_Group(lines))
            else:
                self.groups[-1].lines = lines
                self.groups[-1].opened.append(opener)
            self.out.append(opener)
            self.at = flags.end()
        else:
            raise self.refuse(f"Go has no {self.text[self.at : self.at + 4]}")

    def escape(self, *, in_class: bool) -> str:
        text, start = self.text, self.at
        if start + 1 >= len(text):
            raise self.refuse("it ends with a backslash")
        char = text[start + 1]
        self.at += 2
        if char in "dDwWafnrtv":
            return f"\\{char}"
        if char == "s":
            return _SPACE if in_class else f"[{_SPACE}]"
        if char == "S":
            return r"\S" if in_class else f"[^{_SPACE}]"
        if char == "x" and (found := _HEX.match(text, self.at)):
            self.at = found.end()
            code = int(found[1] or found[2], 16)
            if code <= 0x10FFFF:
                return re.escape(chr(code))
        elif octal := _OCTAL.match(text, start + 1):
            self.at = octal.end()
            return re.escape(chr(int(octal[0], 8)))
        elif char.isascii() and not char.isalnum():
            return re.escape(char)
        elif not in_class:
            if char in "AbB":
                return f"\\{char}"
            if char == "z":
                return r"\Z"
            if char == "Q":
                end = text.find(r"\E", self.at)
                literal = text[self.at :] if end < 0 else text[self.at : end]
                self.at = len(text) if end < 0 else end + 2
                return re.escape(literal)
        what = {"p": "Unicode classes are not supported", "P": "Unicode classes are not supported"}
        raise self.refuse(what.get(char, f"Go has no \\{char}"), start)

    def bracket(self) -> None:
        text, start = self.text, self.at
        self.at += 1
        out = ["["]
        if text.startswith("^", self.at):
            out.append("^")
            self.at += 1
        first = True
        while first or not text.startswith("]", self.at):
            if self.at >= len(text):
                raise self.refuse("a [ is not closed", start)
            first = False
            if text.startswith("[:", self.at) and (end := text.find(":]", self.at)) > 0:
                name = text[self.at + 2 : end]
                if name not in _POSIX:
                    raise self.refuse(f"there is no class [:{name}:]")
                out.append(_POSIX[name])
                self.at = end + 2
                continue
            low = self.one()
            if (
                len(low) <= 2
                and text.startswith("-", self.at)
                and not text.startswith("-]", self.at)
                and low not in (r"\d", r"\D", r"\w", r"\W", r"\S")
            ):
                self.at += 1
                out.append(f"{low}-{self.one()}")
            else:
                out.append(low)
        self.at += 1
        self.out.append("".join(out) + "]")

    def one(self) -> str:
        """One member of a class, ready to stand in one of Python's."""
        char = self.text[self.at : self.at + 1]
        if char == "\\":
            return self.escape(in_class=True)
        self.at += 1
        # Escaped where Python would see the beginning of a set operation.
        return f"\\{char}" if char in "[]\\^-&~|" and char else char


def translate(text: str) -> str:
    """The Python pattern that means what ``text`` means in Go (to be used with ``re.ASCII``).

    Raises:
        DecodeError: ``charging.regex``, with the column (from 0) as its offset.
    """
    return _Translator(text).run()


def compile_pattern(text: str) -> re.Pattern[str]:
    """``text``, a pattern in Go's syntax, compiled.

    Raises:
        DecodeError: ``charging.regex``.
    """
    translated = translate(text)
    try:
        return re.compile(translated, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise DecodeError("charging.regex", f"{text[:80]!r} is no pattern: {error}") from None


def search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Where a field has a match.

    Raises:
        EventError: ``charging.field``, it is too long to be searched.
    """
    if len(text) > _LONGEST:
        raise EventError(
            "charging.field",
            f"a field of {len(text)} characters is not searched for a pattern; "
            f"{_LONGEST} are the most: {text[:40]!r}…",
        )
    return pattern.search(text)


class Template:
    """What a match becomes, as Go expands it: ``$1``, ``${1}``, ``$name``, ``$$``.

    A name is as long as it can be: ``$1x`` is the group ``1x``, ``${1}x`` the group 1 and an x. A
    group that is not there is empty.
    """

    __slots__ = ("_parts", "text")
    _reference = re.compile(r"\$(?:(\$)|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[tuple[str, str | int | None]] = []
        at = 0
        for found in self._reference.finditer(text):
            name = found[2] or found[3]
            before = text[at : found.start()] + (found[1] or "")
            group = None if name is None else int(name) if name.isdecimal() else name
            self._parts.append((before, group))
            at = found.end()
        self._parts.append((text[at:], None))

    def expand(self, match: re.Match[str]) -> str:
        """The template with the groups of ``match`` in it."""
        out: list[str] = []
        for text, group in self._parts:
            out.append(text)
            if isinstance(group, int):
                if group <= match.re.groups:
                    out.append(match[group] or "")
            elif group is not None and group in match.re.groupindex:
                out.append(match[group] or "")
        return "".join(out)
