"""The refusals of the rating room.

``RatingError`` is what pricing raises when a call has no price. It names the link of the chain
(profile, plan, destination, timing, …) that was missing and what would supply it.
``TariffError`` is what ``Tariff.build`` raises: every problem of the tariff at once, each with
the place it was read from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.errors import TrunklineError

__all__ = ["Problem", "RatingError", "Source", "TariffError"]


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a row was read: a file's name and the line, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a tariff."""

    code: str
    message: str
    source: Source | None
    """The row that is wrong; None for rows that were made in memory."""
    field: str = ""
    """The column of that row, by the reference's name (``RatesTag``); empty: the whole row."""

    def __str__(self) -> str:
        return self.message if self.source is None else f"{self.source}: {self.message}"


class TariffError(TrunklineError):
    """A tariff that cannot count: ``problems`` holds everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__("rating.tariff", f"the tariff has {len(self.problems)} problems:\n{lines}")


class RatingError(TrunklineError):
    """A call without a price.

    ``missing`` is the link of the chain that was not there, ``supply`` what would put it there;
    both are part of the message. ``reference`` is the error that the reference answers, for
    interfaces that speak its protocol; empty where it has none.
    """

    def __init__(
        self, code: str, message: str, *, missing: str = "", supply: str = "", reference: str = ""
    ) -> None:
        super().__init__(code, f"{message}; {supply}" if supply else message)
        self.missing = missing
        self.supply = supply
        self.reference = reference
