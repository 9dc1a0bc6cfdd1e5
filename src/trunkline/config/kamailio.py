r"""Kamailio's dialplan rows: out of SQL text, out of a CSV file, and back into one.

:func:`read_inserts` reads the ``INSERT INTO dialplan`` statements of a file as MySQL would: the
statements of a dump or of a page of notes, where a statement begins at the beginning of a line.
Whatever else the file holds is passed over; inserts into other tables are counted. Strings are
MySQL's, so ``'\\d'`` is ``\d``, and ``'\d'`` is ``d``, which is warned of.

A CSV file has the columns of Kamailio's table, by name in its first line: ``dpid``, ``pr``,
``match_op``, ``match_exp``, and, where they are needed, ``id``, ``match_len``, ``subst_exp``,
``repl_exp`` and ``attrs``.

What the columns mean: :mod:`trunkline.elements.proxy.dialplan`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from trunkline.errors import TrunklineError

__all__ = [
    "COLUMNS",
    "MOST_ROWS",
    "DialplanRow",
    "Imported",
    "KamailioError",
    "MatchOp",
    "Warned",
    "csv_text",
    "read_csv",
    "read_inserts",
    "row_of",
]

COLUMNS = (
    "id",
    "dpid",
    "pr",
    "match_op",
    "match_exp",
    "match_len",
    "subst_exp",
    "repl_exp",
    "attrs",
)
"""The columns of Kamailio's table ``dialplan`` (version 2), in its order."""

MOST_ROWS = 100_000
LARGEST_FILE = 64 << 20  # octets

_NEEDED = ("dpid", "pr", "match_op", "match_exp")
_NUMBERS = ("id", "dpid", "pr", "match_op", "match_len")
_LARGEST = (1 << 31) - 1  # an INT of Kamailio's schema


class KamailioError(TrunklineError):
    """A file that cannot be read; the message begins with ``file:line:``."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__("config.kamailio", f"{path}:{line}: {message}")
        self.path = path
        self.line = line


class MatchOp(IntEnum):
    """How ``match_exp`` is compared with the text."""

    EQUAL = 0
    REGEX = 1
    FNMATCH = 2


@dataclass(frozen=True, slots=True)
class DialplanRow:
    """One row, as Kamailio's table has it; ``pr`` is the priority, the lowest is tried first."""

    id: int
    dpid: int
    pr: int
    match_op: MatchOp
    match_exp: str
    match_len: int = 0
    """Octets that the text must have; 0: any number."""
    subst_exp: str = ""
    repl_exp: str = ""
    attrs: str = ""
    line: int = field(default=0, compare=False)
    """Where it stands in its file; 0: it comes from elsewhere."""

    def values(self) -> tuple[int | str, ...]:
        """The values of :data:`COLUMNS`, as plain numbers and texts."""
        values = (getattr(self, name) for name in COLUMNS)
        return tuple(int(value) if isinstance(value, int) else value for value in values)


@dataclass(frozen=True, slots=True)
class Warned:
    """What is probably not meant, and where."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file held."""

    rows: tuple[DialplanRow, ...]
    warnings: tuple[Warned, ...]
    skipped: Mapping[str, int]
    """Other tables, and how many INSERT statements into each were passed over."""


def row_of(values: Mapping[str, object], identifier: int, line: int = 0) -> DialplanRow:
    """The row with these values by column name; ``identifier`` is its id if it has none.

    Raises:
        ValueError: what is wrong, with column and value.
    """
    numbers = {
        name: _number(name, values.get(name))
        for name in _NUMBERS
        if name in _NEEDED or values.get(name) not in (None, "")
    }
    texts = {
        name: "" if values.get(name) is None else str(values[name])
        for name in COLUMNS
        if name not in _NUMBERS
    }
    operator = numbers["match_op"]
    if operator not in tuple(MatchOp):
        raise ValueError(f"match_op {operator}: 0 is equal, 1 a regular expression, 2 fnmatch")
    return DialplanRow(
        id=numbers.get("id", identifier),
        dpid=numbers["dpid"],
        pr=numbers["pr"],
        match_op=MatchOp(operator),
        match_len=numbers.get("match_len", 0),
        line=line,
        **texts,
    )


def _number(name: str, value: object) -> int:
    if not re.fullmatch(r"-?[0-9]{1,12}", str(value)) or abs(int(str(value))) > _LARGEST:
        raise ValueError(f"{name} is {str(value)[:40]!r}: a number of at most {_LARGEST} is meant")
    number = int(str(value))
    if number < 0 and name != "pr":
        raise ValueError(f"{name} is {number}: it cannot be below 0")
    return number


# --- CSV


def read_csv(path: Path) -> tuple[DialplanRow, ...]:
    """The rows of a CSV file; a row without an id gets the number of its line.

    Raises:
        KamailioError: the first thing that is wrong.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    rows: list[DialplanRow] = []
    names: list[str] = []
    line = 1
    try:
        for values in reader:
            start, line = line, reader.line_num + 1
            if not values:
                continue
            if not names:
                names = _header(path, start, values)
                continue
            if len(values) != len(names):
                raise KamailioError(
                    path, start, f"{len(values)} values for the {len(names)} columns of line 1"
                )
            rows.append(_placed(path, start, dict(zip(names, values, strict=True)), start))
            _check_count(path, start, rows)
    except csv.Error as problem:
        raise KamailioError(path, reader.line_num, f"no CSV: {problem}") from problem
    if not names:
        raise KamailioError(path, 1, f"empty: the first line has the columns {','.join(COLUMNS)}")
    _check_identifiers(path, rows)
    return tuple(rows)


def csv_text(rows: Iterable[DialplanRow]) -> str:
    """``rows`` as a CSV file with all columns."""
    out = io.StringIO(newline="")
    out.write(f"{','.join(COLUMNS)}\n")
    # Every text in quotes: the module leaves a lone carriage return without.
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in rows:
        writer.writerow(row.values())
    return out.getvalue()


def _header(path: Path, line: int, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    for name in names:
        if name not in COLUMNS:
            raise KamailioError(
                path, line, f"there is no column {name[:40]!r}; there are {', '.join(COLUMNS)}"
            )
        if names.count(name) > 1:
            raise KamailioError(path, line, f"the column {name!r} is there twice")
    if missing := [name for name in _NEEDED if name not in names]:
        raise KamailioError(path, line, f"the columns {', '.join(missing)} are missing")
    return names


def _placed(path: Path, line: int, values: Mapping[str, object], identifier: int) -> DialplanRow:
    try:
        return row_of(values, identifier, line)
    except ValueError as problem:
        raise KamailioError(path, line, str(problem)) from problem


def _check_identifiers(path: Path, rows: Iterable[DialplanRow]) -> None:
    seen: dict[int, DialplanRow] = {}
    for row in rows:
        if before := seen.get(row.id):
            raise KamailioError(path, row.line, f"id {row.id} is taken by line {before.line}")
        seen[row.id] = row


def _check_count(path: Path, line: int, rows: Collection[object]) -> None:
    if len(rows) > MOST_ROWS:
        raise KamailioError(path, line, f"more than {MOST_ROWS} rows")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise KamailioError(path, 0, f"larger than {LARGEST_FILE} octets")
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except OSError as problem:
        raise KamailioError(path, 0, f"cannot be read: {problem.strerror}") from problem


# --- SQL

_NAME = r"(?:`[^`\n]+`|[A-Za-z_][\w$]*)"
_START = re.compile(
    rf"""
    ^[ \t]* (?:
        /\*
      | (?P<verb> INSERT | REPLACE ) (?: \s+ (?: LOW_PRIORITY | DELAYED | IGNORE ) )?
        (?: \s+ INTO )? \s+ (?: {_NAME} \s* \. \s* )? (?P<table> {_NAME} ) \s*
        (?= \( | VALUES?\b | SET\b | SELECT\b )
    )
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_ROWS = re.compile(r"(?:\([^()]*\)\s*)?VALUES?\s*\(", re.IGNORECASE)
_TOKEN = re.compile(
    r"""
    (?P<space>   \s+ | --[ \t][^\n]* | \#[^\n]* | /\*.*?\*/ )
  | (?P<string>  '(?:[^'\\]++|\\.|'')*' | "(?:[^"\\]++|\\.|"")*" )
  | (?P<name>    `(?:[^`]|``)+` )
  | (?P<word>    [A-Za-z_][A-Za-z0-9_$]* )
  | (?P<number>  [+-]?[0-9]+ )
  | (?P<sign>    [(),;.] )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)|''|\"\"", re.DOTALL)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_ESCAPES |= {"%": r"\%", "_": r"\_", "\\": "\\", "'": "'", '"': '"'}
_AFTER = "after a row: a comma and another row, or ; for the end"


def read_inserts(path: Path) -> Imported:
    """The dialplan rows that the INSERT statements of a file would make.

    A row that stands there twice, word for word, is taken once.

    Raises:
        KamailioError: the first thing that is wrong, or no row at all.
    """
    return _Inserts(path, _text(path)).imported()


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    start: int


class _Inserts:
    """One walk over the statements of a file."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._at = 0
        self._rows: dict[int, DialplanRow] = {}
        self._highest = 0
        self._warnings: list[Warned] = []
        self._skipped: dict[str, int] = {}
        self._counted = (0, 1)  # an offset and its line

    def imported(self) -> Imported:
        while found := _START.search(self._text, self._at):
            self._at = found.end()
            if found["verb"] is None:  # a comment; without an end it is prose
                self._at = max(self._at, self._text.find("*/", self._at) + 2)
                continue
            table = found["table"].strip("`")
            if table.lower() == "dialplan":
                self._statement(replaces=found["verb"].upper() == "REPLACE")
            elif _ROWS.match(self._text, self._at):
                self._skip(table)
        if not self._rows:
            others = f"; there are some into {', '.join(self._skipped)}" if self._skipped else ""
            raise KamailioError(
                self._path,
                0,
                "holds no statement INSERT INTO `dialplan` VALUES (...); at the beginning of a "
                f"line{others}",
            )
        self._warnings.sort(key=lambda warned: warned.line)
        return Imported(tuple(self._rows.values()), tuple(self._warnings), self._skipped)

    def _statement(self, *, replaces: bool) -> None:
        columns: tuple[str, ...] = COLUMNS
        token = self._token()
        if token.text == "(":
            columns = self._columns()
            token = self._token()
        if token.text.upper() not in ("VALUES", "VALUE"):
            raise self._wrong(token, "VALUES and rows")
        self._values(columns, replaces=replaces)

    def _skip(self, name: str) -> None:
        """Pass over a statement for another table, whatever its strings hold."""
        while True:
            found = _TOKEN.match(self._text, self._at)
            if found is None:  # a sign of no interest here, or the end
                self._at += 1
                if self._at >= len(self._text):
                    break
                continue
            self._at = found.end()
            if found[0] == ";":
                break
        self._skipped[name] = self._skipped.get(name, 0) + 1

    def _columns(self) -> tuple[str, ...]:
        names: list[str] = []
        while True:
            token = self._token()
            name = token.text.strip("`").lower()
            if token.kind not in ("name", "word") or name not in COLUMNS:
                raise self._wrong(token, f"a column of the table: {', '.join(COLUMNS)}")
            if name in names:
                raise self._wrong(token, "each column once")
            names.append(name)
            token = self._token()
            if token.text == ")":
                break
            if token.text != ",":
                raise self._wrong(token, "a comma, or ) behind the columns")
        if missing := [name for name in _NEEDED if name not in names]:
            raise self._wrong(token, f"the columns {', '.join(missing)}, too")
        return tuple(names)

    def _values(self, columns: tuple[str, ...], *, replaces: bool) -> None:
        while True:
            start = self._token()
            if start.text != "(":
                raise self._wrong(start, "( and the values of a row")
            line = self._line(start.start)
            values = self._row(columns, line)
            row = _placed(self._path, line, values, self._highest + 1)
            self._add(row, replaces=replaces)
            after = self._token(end_allowed=True)
            if after.text in ("", ";"):
                return
            if after.text != ",":
                raise self._wrong(after, _AFTER)

    def _row(self, columns: tuple[str, ...], line: int) -> dict[str, object]:
        values: list[object] = []
        while True:
            values.append(self._value())
            token = self._token()
            if token.text == ")":
                break
            if token.text != ",":
                raise self._wrong(token, "a comma, or ) behind the values")
        if len(values) != len(columns):
            raise KamailioError(
                self._path,
                line,
                f"{len(values)} values for the {len(columns)} columns {', '.join(columns)}",
            )
        for name, value in zip(columns, values, strict=True):
            if value is None and name != "id":
                self._warn(line, f"{name} is NULL, which keeps Kamailio from loading; read as ''")
        return {
            name: 0 if value is None and name == "match_len" else value
            for name, value in zip(columns, values, strict=True)
        }

    def _value(self) -> object:
        token = self._token()
        if token.kind == "number":
            return int(token.text) if len(token.text) < 20 else token.text
        if token.kind == "word" and token.text.upper() == "NULL":
            return None
        if token.kind == "string":
            return self._string(token)
        raise self._wrong(token, "a number, a string or NULL")

    def _string(self, token: _Token) -> str:
        quote = token.text[0]
        line = self._line(token.start)

        def meant(found: re.Match[str]) -> str:
            letter = found[1]
            if letter is None:  # a doubled quote, or the other kind's, which is two characters
                return quote if found[0] == quote * 2 else found[0]
            if letter not in _ESCAPES:
                self._warn(
                    line,
                    f"{found[0]} in a string of MySQL is {letter!r}: "
                    f"write \\{found[0]} if the backslash is meant",
                )
            return _ESCAPES.get(letter, letter)

        return _ESCAPE.sub(meant, token.text[1:-1])

    def _add(self, row: DialplanRow, *, replaces: bool) -> None:
        before = self._rows.get(row.id)
        if before == row:
            self._warn(row.line, f"row {row.id} stands in line {before.line} already")
            return
        if before is not None and not replaces:
            raise KamailioError(
                self._path, row.line, f"id {row.id} is taken by another row, in line {before.line}"
            )
        self._rows[row.id] = row
        self._highest = max(self._highest, row.id)
        _check_count(self._path, row.line, self._rows)

    def _token(self, *, end_allowed: bool = False) -> _Token:
        while self._at < len(self._text):
            found = _TOKEN.match(self._text, self._at)
            if found is None:
                raise self._wrong(
                    _Token("", self._text[self._at], self._at), "SQL; is a quote missing?"
                )
            self._at = found.end()
            if found.lastgroup != "space":
                return _Token(found.lastgroup or "", found[0], found.start())
        if end_allowed:
            return _Token("", "", self._at)
        raise KamailioError(
            self._path, self._line(self._at), "the file ends within a statement; is it whole?"
        )

    def _line(self, offset: int) -> int:
        """The line of ``offset``; each is counted once, since offsets grow."""
        before, line = self._counted
        if offset < before:
            before, line = 0, 1
        line += self._text.count("\n", before, offset)
        self._counted = (offset, line)
        return line

    def _warn(self, line: int, message: str) -> None:
        self._warnings.append(Warned(line, message))

    def _wrong(self, token: _Token, wanted: str) -> KamailioError:
        shown = token.text if len(token.text) <= 30 else f"{token.text[:30]}…"
        return KamailioError(
            self._path, self._line(token.start), f"{shown!r} where this is meant: {wanted}"
        )
