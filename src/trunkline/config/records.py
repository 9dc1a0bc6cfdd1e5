"""Files of usage records, row by row: CSV, and JSON lines.

A row that is none is an `Unread` with its line; the rows after it are read all the same. Memory
does not grow with the file, but for JSON that is not written line by line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

__all__ = ["Read", "Unread", "read_csv", "read_json"]

_MOST: Final = 64 << 20  # octets of a JSON file that is one value


@dataclass(frozen=True, slots=True)
class Read:
    """A row."""

    line: int
    """Where it ends; of a JSON list, its place in it."""
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Unread:
    """What is no row, and why."""

    line: int
    why: str


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def read_csv(path: Path, *, separator: str = ",", header: bool = False) -> Iterator[Read | Unread]:
    """The rows of a CSV file; all have as many fields as the first line.

    ``header``: that has their names. Else they are called 0, 1, 2 …

    Raises:
        OSError: the file cannot be read.
    """
    with _opened(path) as file:
        rows = csv.reader(file, delimiter=separator, strict=True)
        names: Sequence[str] = ()
        while True:
            begin = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as problem:
                more = "" if begin == rows.line_num else f", in what begins at line {begin}"
                yield Unread(rows.line_num, f"{problem}{more}")
                continue
            if not row:
                continue
            if not names:
                names = row if header else [str(number) for number in range(len(row))]
                if header:
                    continue
            if len(row) != len(names):
                text = f"{len(row)} fields, and the first line has {len(names)}"
                yield Unread(rows.line_num, text)
            elif not all(_is_text(cell) for cell in row):
                yield Unread(rows.line_num, "it is not UTF-8")
            else:
                yield Read(rows.line_num, dict(zip(names, row, strict=True)))


def read_json(path: Path) -> Iterator[Read | Unread]:
    """The objects of a file: one on each line, or one, or a list of them, over several lines.

    Raises:
        OSError: the file cannot be read.
    """
    with _opened(path) as file:
        first = file.readline()
        try:
            lines = isinstance(json.loads(first), dict)
        except (ValueError, RecursionError):
            # The first of many may be broken: then the others are not
            second = file.readline()
            lines = bool(second) and _is_object(second)
        file.seek(0)
        if lines:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _object(number, line)
            return
        if path.stat().st_size > _MOST:
            yield Unread(1, "more than 64 MiB in one value: write one object on each line")
            return
        try:
            found = json.loads(file.read())
        except (ValueError, RecursionError) as problem:
            yield Unread(getattr(problem, "lineno", 1), str(problem))
            return
        for number, value in enumerate(found if isinstance(found, list) else [found], 1):
            if isinstance(value, dict):
                yield Read(number, value)
            else:
                yield Unread(number, "it is no object")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _object(number: int, line: str) -> Read | Unread:
    if not _is_text(line):
        return Unread(number, "it is not UTF-8")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as problem:
        return Unread(number, str(problem))
    return Read(number, value) if isinstance(value, dict) else Unread(number, "it is no object")


def _is_text(cell: str) -> bool:
    if cell.isascii():
        return True
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
