"""What can be wrong with a configuration, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trunkline.config.cisco.tree import Location
from trunkline.errors import TrunklineError

__all__ = ["ConfigErrors", "Problem", "Refusal", "nearest"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning at one place of a file."""

    code: str
    message: str
    hint: str = ""
    location: Location | None = None
    text: str = ""
    """The line as it was read; empty for what concerns no single line."""

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        lines = [f"{where}{self.message}"]
        if self.text and self.location:
            lines += [f"    {self.text}", "    " + " " * (self.location.column - 1) + "^"]
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        return "\n".join(lines)


class ConfigErrors(TrunklineError):  # noqa: N818 - it holds all of them
    """A configuration that was refused as a whole; ``errors`` says why, in the files' order."""

    def __init__(self, errors: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        super().__init__("config.refused", "\n".join(map(str, errors)))
        self.errors = tuple(errors)
        self.warnings = tuple(warnings)


class Refusal(TrunklineError):  # noqa: N818 - the shell prints it as an answer
    """A command that reads well and must not be done; ``argument`` names the value at fault."""

    def __init__(self, code: str, message: str, hint: str = "", *, argument: str = "") -> None:
        super().__init__(code, message)
        self.hint = hint
        self.argument = argument


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that ``word`` was most likely meant to be."""
    lowered = {choice.lower(): choice for choice in sorted(choices, reverse=True)}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None
