"""Read the files of a tariff folder as rows: what is a row, and where each value stands.

The rules are the reference's: values by position, separated by commas, with double quotes round
a value that holds one; a line that begins with ``#`` is a comment, so a header has one; blank
lines are skipped. Files that are absent are skipped, subfolders are read too.

Left out: a quoted value that goes on over several lines.

Memory does not grow with a file: it is read in pieces, and no line may be longer than
:data:`LONGEST_LINE`.
"""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trunkline.config.cgrates.files import COLUMNS, KINDS, OPTIONAL, OTHER_FILES, Kind
from trunkline.config.cgrates.problems import Place, Problems, nearest

__all__ = ["LONGEST_LINE", "Advance", "Found", "Pieces", "Row", "find_files", "split_row"]

LONGEST_LINE = 65536  # octets
_PIECE = 1 << 20  # octets read at once
_DEEPEST = 16  # folders within folders; a link may lead back

Advance = Callable[[int], None]
"""Told how many octets more have been read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the folder that rating uses."""

    path: Path
    file: str
    """Its path within the folder."""
    kind: Kind
    size: int
    stamp: tuple[int, int]
    """Its time of change in nanoseconds, and which file it is: those of another are others."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its values, and the line as it stands in the file."""

    file: str
    line: int
    values: tuple[str, ...]
    text: str

    def place(self, index: int | None = None) -> Place:
        """Where the row stands, or its value number ``index``."""
        return Place(self.file, self.line, 0 if index is None else _column(self.text, index))


def find_files(
    folder: Path, problems: Problems, kinds: Sequence[Kind] = KINDS
) -> tuple[list[Found], list[str]]:
    """The files of ``folder`` that are of ``kinds``, and the names of known ones that are not.

    Notes ``cgrates.folder`` and the warnings ``cgrates.unknown-file``.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        problems.error("cgrates.folder", what, Place(str(folder)), "name a folder of CSV files")
        return [], []
    used: list[Found] = []
    unused: set[str] = set()
    unknown: list[str] = []
    for path in _walk(folder, 0, problems):
        file = path.relative_to(folder).as_posix()
        if path.suffix == ".csv" and path.stem in kinds:
            try:
                status = path.stat()
            except OSError as problem:  # gone since it was listed
                message = f"cannot be read: {problem.strerror}"
                problems.error("cgrates.unreadable", message, Place(file))
                continue
            stamp = (status.st_mtime_ns, status.st_ino)
            used.append(Found(path, file, path.stem, status.st_size, stamp))
        elif path.suffix == ".csv" and path.stem in OTHER_FILES:
            unused.add(path.name)
        elif path.suffix.lower() == ".csv":
            unknown.append(file)
    for file in unknown:
        stem = Path(file).stem
        near = nearest(stem, [*KINDS, *OTHER_FILES])
        hint = f"did you mean {near}.csv?" if near else f"read are {', '.join(kinds)}"
        problems.warn(
            "cgrates.unknown-file", "is not read: no file of this name is known", Place(file), hint
        )
    order = {kind: number for number, kind in enumerate(kinds)}
    used.sort(key=lambda found: (order[found.kind], found.file))
    return used, sorted(unused)


def _walk(folder: Path, depth: int, problems: Problems) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as problem:
        problems.error(
            "cgrates.unreadable", f"cannot be read: {problem.strerror}", Place(str(folder))
        )
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            if depth < _DEEPEST:
                yield from _walk(Path(entry.path), depth + 1, problems)
        elif entry.is_file():
            yield Path(entry.path)


class Pieces:
    """The lines of one file, some at a time: ``(number of the first, lines)``."""

    def __init__(self, found: Found, problems: Problems, advance: Advance | None = None) -> None:
        self._found = found
        self._problems = problems
        self._advance = advance
        self.cut = False
        """Whether there was more that could not be read."""

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the lines without their ends; stop where the file cannot be read on."""
        number = 1
        rest = b""
        try:
            with self._found.path.open("rb", buffering=0) as stream:
                while piece := stream.read(_PIECE):
                    if self._advance:
                        self._advance(len(piece))
                    if number == 1 and not rest:
                        piece = piece.removeprefix(codecs.BOM_UTF8)
                    whole, newline, tail = piece.rpartition(b"\n")
                    if not newline:
                        rest += tail
                        if len(rest) > LONGEST_LINE:
                            self._too_long(number)
                            return
                        continue
                    lines = self._decoded(number, rest + whole)
                    rest = tail
                    if lines is None:
                        return
                    yield number, lines
                    number += len(lines)
        except OSError as problem:
            self._wrong("cgrates.unreadable", f"cannot be read: {problem.strerror}")
            return
        if rest and (lines := self._decoded(number, rest)) is not None:
            yield number, lines

    def _decoded(self, number: int, octets: bytes) -> list[str] | None:
        try:
            text = octets.decode()
        except UnicodeDecodeError as problem:
            line = number + octets.count(b"\n", 0, problem.start)
            column = problem.start - octets.rfind(b"\n", 0, problem.start)
            what = f"octet 0x{octets[problem.start]:02x} is not UTF-8"
            self._wrong("cgrates.encoding", what, "save the file as UTF-8", line, column)
            return None
        if "\0" in text:
            line = number + text.count("\n", 0, text.index("\0"))
            hint = "save the file as plain text in UTF-8"
            self._wrong("cgrates.encoding", "a NUL character", hint, line)
            return None
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        lines = text.split("\n")
        if len(octets) > LONGEST_LINE:
            for index, line_text in enumerate(lines):
                if len(line_text) > LONGEST_LINE:
                    self._too_long(number + index)
                    return None
        return lines

    def _too_long(self, number: int) -> None:
        hint = "is this a CSV file, and are its lines ended?"
        self._wrong("cgrates.long-line", f"longer than {LONGEST_LINE} octets", hint, number)

    def _wrong(
        self, code: str, message: str, hint: str = "", line: int = 0, column: int = 0
    ) -> None:
        """Note why nothing more of the file can be read."""
        self.cut = True
        self._problems.error(code, message, Place(self._found.file, line, column), hint)


def split_row(file: str, kind: Kind, number: int, text: str, problems: Problems) -> Row | None:
    """The row in line ``number``; ``None`` for a comment, a blank line or a noted error."""
    if text.startswith("#") or not text.strip():
        return None
    if '"' in text:
        values = _split_quoted(text)
        if values is None:
            problems.error(
                "cgrates.quotes",
                "double quotes that do not match",
                Place(file, number, text.index('"') + 1),
                'write "…" round the whole value, and "" for a quote inside it',
                value=text,
            )
            return None
    else:
        values = text.split(",")
    names = COLUMNS[kind]
    if len(values) == len(names) - OPTIONAL.get(kind, 0):
        values = [*values, *("" for _ in names[len(values) :])]
    if len(values) != len(names):
        _wrong_count(Row(file, number, tuple(values), text), names, problems)
        return None
    return Row(file, number, tuple(map(str.strip, values)), text)


def _wrong_count(row: Row, names: tuple[str, ...], problems: Problems) -> None:
    count = len(row.values)
    if count < len(names):
        missing = ", ".join(names[count:])
        # Rows usually lack their empty last values; the comma is what is missing then.
        place, hint = Place(row.file, row.line, len(row.text) + 1), f"missing: {missing}"
    else:
        place, hint = row.place(len(names)), f"the columns are {', '.join(names)}"
    problems.error(
        "cgrates.columns",
        f"{count} column{'' if count == 1 else 's'} instead of {len(names)}",
        place,
        hint,
        value=row.text,
    )


def _split_quoted(text: str) -> list[str] | None:
    try:
        [values] = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        return None
    # The reference refuses a quote inside an unquoted value; the csv module lets it pass.
    if any('"' in text[start:end] and text[start] != '"' for start, end in _spans(text)):
        return None
    return values


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each value, quotes included."""
    start = 0
    quoted = False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield start, position
            start = position + 1
    yield start, len(text)


def _column(text: str, index: int) -> int:
    for number, (start, end) in enumerate(_spans(text)):
        if number == index:
            value = text[start:end]
            return start + 1 + len(value) - len(value.lstrip())
    return len(text) + 1
