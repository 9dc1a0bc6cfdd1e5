"""Give the problems that a tariff's own check finds their column, value and a hint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from trunkline.config.cgrates.assemble import Assembly
from trunkline.config.cgrates.files import COLUMNS, Kind
from trunkline.config.cgrates.problems import KEPT, Place, Problem, Problems, nearest, shown
from trunkline.config.cgrates.reading import LONGEST_LINE, Row, split_row
from trunkline.rating import errors
from trunkline.rating.model import ANY, BUILT_IN_TIMINGS

__all__ = ["Texts", "located", "texts_of"]

_HINTED: Final = 100  # problems; a hint looks through all the names there are
_NAMES: Final[dict[str, Kind]] = {
    "DestinationID": "Destinations",
    "RatesTag": "Rates",
    "DestinationRatesID": "DestinationRates",
    "TimingTag": "Timings",
    "RatingPlanID": "RatingPlans",
}
"""The columns that name rows of another file, and which."""


Texts = Callable[[Iterable[tuple[str, int]]], Mapping[tuple[str, int], str]]
"""The lines at places, each a file and a number; those that are not there are left out."""


def located(
    name: str, texts_at: Texts, found: Sequence[errors.Problem], assembly: Assembly
) -> Iterator[Problem]:
    """Yield ``found``, each with its place in ``name``; those that follow from others not."""
    sources = [problem.source for problem in found[:KEPT] if problem.source is not None]
    texts = texts_at([(source.file, source.line) for source in sources])
    for number, problem in enumerate(found):
        source = problem.source
        if source is None:
            yield Problem(problem.code, problem.message, Place(name))
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
            if (named, value) in assembly.refused or named in assembly.cut:
                continue
            near = nearest(value, _tags(named, assembly)) if number < _HINTED else None
            hint = f"did you mean {near!r}?" if near else ""
        yield Problem(
            problem.code, problem.message, row.place(index), hint, problem.field, shown(value)
        )


def texts_of(folder: Path, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The lines that problems were found in: read again, because rows are not kept."""
    wanted: dict[str, set[int]] = {}
    for file, line in places:
        if line:
            wanted.setdefault(file, set()).add(line)
    texts: dict[tuple[str, int], str] = {}
    for file, numbers in wanted.items():
        try:
            with (folder / file).open(
                encoding="utf-8-sig", errors="replace", newline="\n"
            ) as lines:
                for number, text in enumerate(_short_lines(lines, max(numbers)), 1):
                    if number in numbers:
                        texts[file, number] = text
        except OSError:  # gone since; the problem keeps its line
            continue
    return texts


def _short_lines(lines: TextIO, count: int) -> Iterator[str]:
    """The first ``count`` lines, each cut off where no row goes on."""
    for _ in range(count):
        text = lines.readline(LONGEST_LINE)
        if not text:
            return
        rest = text
        while rest and not rest.endswith("\n"):
            rest = lines.readline(LONGEST_LINE)
        yield text.rstrip("\r\n")


def _row(text: str, source: errors.Source, kind: Kind) -> Row | None:
    if not text or kind not in COLUMNS:
        return None
    return split_row(source.file, kind, source.line, text, Problems())


def _tags(kind: Kind, assembly: Assembly) -> Iterable[str]:
    return {
        "Destinations": [*(row.id for row in assembly.destinations), ANY],
        "Rates": assembly.rates,
        "DestinationRates": assembly.destination_rates,
        "Timings": [*assembly.timings, *BUILT_IN_TIMINGS],
        "RatingPlans": assembly.plans,
    }[kind]
