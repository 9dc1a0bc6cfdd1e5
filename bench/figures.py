"""A figure and its spread, and how both are shown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

__all__ = ["Figure", "show", "table"]


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of some runs, the lowest and the highest."""

    median: float
    lowest: float
    highest: float
    runs: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure:
        """Return the figure of ``values``, one for each run."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found), len(found))

    def __format__(self, form: str) -> str:
        """Show as ``median (lowest-highest)``, each number in the format ``form``."""
        text = format(self.median, form)
        if self.runs == 1:
            return text
        return f"{text} ({self.lowest:{form}}–{self.highest:{form}})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned right."""
    titles = list(head)
    lines = [titles, ["---", *(["---:"] * (len(titles) - 1))], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show(figures: Mapping[str, Mapping[str, Figure]], *, as_json: bool) -> None:
    """Print ``figures``, by group and name."""
    if as_json:
        print(
            json.dumps(
                {
                    group: {key: asdict(figure) for key, figure in values.items()}
                    for group, values in figures.items()
                },
                indent=2,
            )
        )
        return
    for group, values in figures.items():
        print(group)
        for key, figure in values.items():
            print(f"  {key:16} {figure:,.2f}")
