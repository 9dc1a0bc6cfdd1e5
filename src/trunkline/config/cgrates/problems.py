"""What can be wrong with a tariff folder, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trunkline.errors import TrunklineError

__all__ = ["KEPT", "Place", "Problem", "Problems", "TariffErrors", "closest", "nearest", "shown"]

KEPT = 100
"""So many errors, and as many warnings, are kept with their text; the rest are counted."""

_SHOWN = 60
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

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text

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
        self.warning_count += 1
        if len(self.warnings) < KEPT:
            self.warnings.append(Problem(code, message, place, hint, field, shown(value)))

    def raise_errors(self) -> None:
        """Refuse the folder if an error was noted.

        Raises:
            TariffErrors: with all that was found.
        """
        if self.error_count:
            raise TariffErrors(self.errors, self.error_count, self.warnings, self.warning_count)


class TariffErrors(TrunklineError):  # noqa: N818 - it holds all of them
    """A tariff folder that was refused as a whole; nothing of it counts."""

    def __init__(
        self,
        errors: Sequence[Problem],
        error_count: int | None = None,
        warnings: Sequence[Problem] = (),
        warning_count: int | None = None,
    ) -> None:
        self.errors = tuple(errors)
        self.error_count = len(self.errors) if error_count is None else error_count
        self.warnings = tuple(warnings)
        self.warning_count = len(self.warnings) if warning_count is None else warning_count
        first = str(self.errors[0])
        more = self.error_count - 1
        if more:
            first += f" (and {more} more; `trunkline rate check` lists them)"
        super().__init__("cgrates.refused", first)


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


def shown(value: str) -> str:
    """``value`` as a message may show it: printable, and not a page of it."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value[:_SHOWN])
    return text if len(value) <= _SHOWN else f"{text}…"
