"""What can be wrong with a tariff folder, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from trunkline.errors import TrunklineError

__all__ = ["KEPT", "Place", "Problem", "Problems", "TariffErrors", "closest", "nearest", "shown"]

KEPT = 10_000
"""So many errors, and as many warnings, are kept with their text; the rest are counted."""

_HINTED = 100  # errors; a hint looks through all the names there are

_SHOWN = 90  # characters of a line
_MARGIN = 30
_COMPARED = 2000  # names; difflib is quadratic in what it compares


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a file of the folder, and in it a line and a column from 1."""

    file: str
    line: int = 0
    """0: the file as a whole."""
    column: int = 0
    """The character that the value begins at; 0: the line as a whole."""

    def __str__(self) -> str:
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning at one place of a tariff folder."""

    code: str
    message: str
    place: Place
    hint: str = ""
    field: str = ""
    """The column's name, as the reference's documentation has it."""
    value: str = ""
    text: str = ""
    """The line as it was read."""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text

    @property
    def excerpt(self) -> str:
        """The part of the line round the value, printable."""
        return shown(self.text[self._cut : self._cut + _SHOWN], _SHOWN)

    @property
    def caret(self) -> str:
        """Blanks and a mark, to print under :attr:`excerpt`."""
        return " " * (self.place.column - 1 - self._cut) + "^"

    @property
    def _cut(self) -> int:
        """Where the excerpt begins: at the line's beginning, unless the value is far out."""
        return max(0, self.place.column - _SHOWN + _MARGIN) if len(self.text) > _SHOWN else 0

    def to_json(self) -> dict[str, str | int]:
        """As ``--json`` prints it."""
        return {
            "code": self.code,
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "field": self.field,
            "value": self.value,
            "message": self.message,
            "hint": self.hint,
        }


class Problems:
    """Errors and warnings as they are found; bounded, because a deck may be wrong in every line."""

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.error_count = 0
        self.warning_count = 0

    @property
    def hinting(self) -> bool:
        """Whether the next error is worth the time that the search for a near name takes."""
        return self.error_count < _HINTED

    def error(
        self,
        code: str,
        message: str,
        place: Place,
        hint: str = "",
        field: str = "",
        value: str = "",
    ) -> None:
        """Note what keeps the folder from being loaded."""
        self.add_error(Problem(code, message, place, hint, field, shown(value)))

    def add_error(self, problem: Problem) -> None:
        """Note ``problem``, which keeps the folder from being loaded."""
        self.error_count += 1
        if len(self.errors) < KEPT:
            self.errors.append(problem)

    def warn(
        self,
        code: str,
        message: str,
        place: Place,
        hint: str = "",
        field: str = "",
        value: str = "",
    ) -> None:
        """Note what loads, and is probably not meant."""
        self.add_warning(Problem(code, message, place, hint, field, shown(value)))

    def add_warning(self, problem: Problem) -> None:
        """Note ``problem``, with which the folder loads."""
        self.warning_count += 1
        if len(self.warnings) < KEPT:
            self.warnings.append(problem)

    def take_warnings(self, noted: Problems, *, besides: Collection[tuple[str, int]]) -> None:
        """Take the warnings of ``noted`` over, but none of a line that is wrong anyway."""
        for problem in noted.warnings:
            if (problem.place.file, problem.place.line) not in besides:
                self.add_warning(problem)
        self.warning_count += noted.warning_count - len(noted.warnings)

    def quote(self, texts: Mapping[tuple[str, int], str]) -> None:
        """Give each problem the line that it is about, by file and number."""
        for kept in (self.errors, self.warnings):
            for index, problem in enumerate(kept):
                place = problem.place
                if text := texts.get((place.file, place.line)):
                    kept[index] = replace(problem, text=text)

    def raise_errors(self, name: str) -> None:
        """Refuse the folder ``name`` if an error was noted.

        Raises:
            TariffErrors: with all that was found.
        """
        if self.error_count:
            raise TariffErrors(name, self)


class TariffErrors(TrunklineError):  # noqa: N818 - it holds all of them
    """A tariff folder that was refused as a whole; nothing of it counts."""

    def __init__(self, name: str, problems: Problems) -> None:
        self.errors = tuple(problems.errors)
        self.error_count = problems.error_count
        self.warnings = tuple(problems.warnings)
        self.warning_count = problems.warning_count
        first = self.errors[0]
        text = str(first) if first.place.file == name else f"{name}/{first}"
        more = self.error_count - 1
        if more:
            text += f" (and {more} more: trunkline rate check {name})"
        super().__init__("cgrates.refused", text)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that ``word`` was most likely meant to be."""
    lowered: dict[str, str] = {}
    for choice in choices:
        lowered.setdefault(choice.lower(), choice)
        if len(lowered) >= _COMPARED:
            break
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def closest(word: str, choices: Iterable[str], otherwise: str) -> str:
    """A hint: the nearest of ``choices``, or ``otherwise`` where none comes near."""
    found = nearest(word, choices)
    return f"did you mean {found!r}?" if found else otherwise


def shown(value: str, length: int = 60) -> str:
    """``value`` as a message may show it: printable, and not a page of it."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value[:length])
    return text if len(value) <= length else f"{text}…"
