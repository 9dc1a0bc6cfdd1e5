"""Give the problems that a tariff's own check finds their column, value and a hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from trunkline.config.cgrates.assemble import Assembly
from trunkline.config.cgrates.files import COLUMNS, Kind
from trunkline.config.cgrates.problems import KEPT, Place, Problem, Problems, nearest, shown
from trunkline.config.cgrates.reading import Row, split_row
from trunkline.rating import errors
from trunkline.rating.model import ANY, BUILT_IN_TIMINGS

__all__ = ["located"]

_NAMES: Final[dict[str, Kind]] = {
    "DestinationID": "Destinations",
    "RatesTag": "Rates",
    "DestinationRatesID": "DestinationRates",
    "TimingTag": "Timings",
    "RatingPlanID": "RatingPlans",
}
"""The columns that name rows of another file, and which."""


def located(folder: Path, found: Sequence[errors.Problem], assembly: Assembly) -> Iterator[Problem]:
    """Yield ``found``, each with its place in ``folder``; those that follow from others not."""
    texts = _texts(folder, found[:KEPT])
    for problem in found:
        source = problem.source
        if source is None:
            yield Problem(problem.code, problem.message, Place(str(folder)))
            continue
        kind = Path(source.file).stem
        row = _row(texts.get((source.file, source.line), ""), source, kind)
        if row is None or problem.field not in COLUMNS[kind]:
            yield Problem(problem.code, problem.message, Place(source.file, source.line))
            continue
        index = COLUMNS[kind].index(problem.field)
        value = row.values[index]
        hint = ""
        if problem.code == "rating.unknown-tag":
            named = _NAMES[problem.field]
            if (named, value) in assembly.refused:
                continue
            near = nearest(value, _tags(named, assembly))
            hint = f"did you mean {near!r}?" if near else ""
        yield Problem(
            problem.code, problem.message, row.place(index), hint, problem.field, shown(value)
        )


def _texts(folder: Path, found: Iterable[errors.Problem]) -> dict[tuple[str, int], str]:
    """The lines that problems were found in: read again, because rows are not kept."""
    wanted: dict[str, set[int]] = {}
    for problem in found:
        if problem.source is not None:
            wanted.setdefault(problem.source.file, set()).add(problem.source.line)
    texts: dict[tuple[str, int], str] = {}
    for file, numbers in wanted.items():
        try:
            with (folder / file).open(
                encoding="utf-8-sig", errors="replace", newline="\n"
            ) as lines:
                for number, text in enumerate(islice(lines, max(numbers)), 1):
                    if number in numbers:
                        texts[file, number] = text.rstrip("\r\n")
        except OSError:  # gone since; the problem keeps its line
            continue
    return texts


def _row(text: str, source: errors.Source, kind: Kind) -> Row | None:
    if not text or kind not in COLUMNS:
        return None
    return split_row(source.file, kind, source.line, text, Problems())


def _tags(kind: Kind, assembly: Assembly) -> Iterable[str]:
    return {
        "Destinations": [*assembly.prefixes, ANY],
        "Rates": assembly.rates,
        "DestinationRates": assembly.destination_rates,
        "Timings": [*assembly.timings, *BUILT_IN_TIMINGS],
        "RatingPlans": assembly.plans,
    }[kind]
