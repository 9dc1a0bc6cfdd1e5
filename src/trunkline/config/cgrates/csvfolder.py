"""A tariff folder of CSV files, checked as a whole and compiled: all of it counts, or nothing.

``load_folder`` makes the prices and the rows that charging uses of files of any size, a piece at a
time; ``compile_lines`` makes the same of rows that a store kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Final

from trunkline.charging.rows import ChargingRows, TariffPlan
from trunkline.config.cgrates import advice, charging_advice
from trunkline.config.cgrates.accounts import ChargingReader
from trunkline.config.cgrates.assemble import Assembly
from trunkline.config.cgrates.files import ALL_KINDS, KINDS, Kind
from trunkline.config.cgrates.locate import Texts, located, texts_of
from trunkline.config.cgrates.problems import Place, Problem, Problems
from trunkline.config.cgrates.profiles import profile_problems, unkept_problems
from trunkline.config.cgrates.reading import Advance, Found, Pieces, find_files
from trunkline.rating.errors import TariffError
from trunkline.rating.tariff import Tariff

__all__ = [
    "Line",
    "LoadReport",
    "Loaded",
    "Sink",
    "compile_lines",
    "folder_size",
    "load_folder",
    "load_lines",
]

Line = tuple[Kind, str, int, str]
"""Kind, file within the folder, number and text of a line that is a row."""

_PROFILES: Final = ("Filters", "Attributes", "Chargers", "Routes", "Suppliers")

Sink = Callable[[list[Line]], None]
"""Takes the rows of a folder as they are read, before it is known whether it counts."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was read, and what loads and is probably not meant."""

    rows: Mapping[Kind, int]
    """Of each kind that there is any of."""
    destinations: int
    """IDs, each with any number of prefixes."""
    unused_files: tuple[str, ...]
    """Files that the reference knows and nothing here uses."""
    warnings: tuple[Problem, ...]
    warning_count: int
    """All of them; beyond a bound they are counted only."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a folder comes to, and the report of its loading."""

    plan: TariffPlan
    report: LoadReport

    @property
    def tariff(self) -> Tariff:
        """The prices."""
        return self.plan.tariff

    @property
    def rows(self) -> ChargingRows:
        """What charging uses."""
        return self.plan.rows


def folder_size(folder: Path) -> int:
    """Octets that loading ``folder`` will read, for a progress bar."""
    return sum(found.size for found in find_files(folder, Problems(), ALL_KINDS)[0])


def load_folder(
    folder: Path,
    zone: tzinfo = UTC,
    zones: Mapping[str, tzinfo] | None = None,
    *,
    now: datetime | None = None,
    sink: Sink | None = None,
    advance: Advance | None = None,
) -> Loaded:
    """The prices in ``folder``, and what charging uses of it.

    Args:
        folder: A folder of CSV files, subfolders included.
        zone: The time zone of times without an offset, and of tenants not in ``zones``.
        zones: The time zones of tenants.
        now: What ``*now`` and ``+1h`` start from.
        sink: Gets every row, also when the folder is refused in the end.
        advance: Told how many octets more have been read.

    Raises:
        TariffErrors: everything that is wrong, with file, line and column.
    """
    problems = Problems()
    files, unused = find_files(folder, problems, ALL_KINDS)
    if not files and not problems.error_count:
        problems.error(
            "cgrates.no-files",
            "holds no file of a tariff",
            Place(str(folder)),
            f"at least one of {', '.join(f'{kind}.csv' for kind in KINDS)} is needed",
        )
    reader = ChargingReader(Assembly(problems, zone, now or datetime.now(UTC)))
    for found in files:
        _take_file(found, reader, problems, sink, advance)
    for file in _changed(files, find_files(folder, Problems(), ALL_KINDS)[0]):
        problems.error(
            "cgrates.changed",
            "has changed while the folder was read",
            Place(file),
            "load it when nobody writes it; a folder made beside it and then named is whole",
        )
    texts = partial(texts_of, folder)
    return _finished(texts, str(folder), reader, problems, zones or {}, tuple(unused))


def _changed(before: Iterable[Found], after: Iterable[Found]) -> list[str]:
    """The files that are not what they were, are gone, or are new."""
    return sorted({found.file for found in {*before} ^ {*after}})


def load_lines(
    lines: Iterable[Line],
    name: str,
    zone: tzinfo = UTC,
    zones: Mapping[str, tzinfo] | None = None,
    *,
    now: datetime | None = None,
    sink: Sink | None = None,
) -> Loaded:
    """What rows come to that are not in files, checked as those of a folder are.

    Raises:
        TariffErrors: everything that is wrong, with the file and line that the rows say.
    """
    problems = Problems()
    reader = ChargingReader(Assembly(problems, zone, now or datetime.now(UTC)))
    texts: dict[tuple[str, int], str] = {}
    for kind, file, numbered in _runs(lines):
        reader.take(kind, file, numbered)
        texts |= {(file, number): text for number, text in numbered}
        if sink is not None:
            sink([(kind, file, number, text) for number, text in numbered])

    def texts_at(places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
        return {place: texts[place] for place in places if place in texts}

    return _finished(texts_at, name, reader, problems, zones or {}, ())


def compile_lines(
    lines: Iterable[Line],
    name: str,
    zone: tzinfo,
    zones: Mapping[str, tzinfo],
    now: datetime,
) -> TariffPlan:
    """What rows come to that were checked and kept before, as a store has them.

    Raises:
        TariffErrors: if they do not hold together after all.
    """
    problems = Problems()
    reader = ChargingReader(Assembly(problems, zone, now))
    for kind, file, numbered in _runs(lines):
        reader.take(kind, file, numbered)
    return _finished(None, name, reader, problems, zones, ()).plan


def _runs(lines: Iterable[Line]) -> Iterator[tuple[Kind, str, list[tuple[int, str]]]]:
    """Lines that follow one another in one file."""
    kind = file = ""
    run: list[tuple[int, str]] = []
    for line_kind, line_file, number, text in lines:
        if line_kind != kind or line_file != file or len(run) >= 65536:
            if run:
                yield kind, file, run
            kind, file, run = line_kind, line_file, []
        run.append((number, text))
    if run:
        yield kind, file, run


def _take_file(
    found: Found,
    reader: ChargingReader,
    problems: Problems,
    sink: Sink | None,
    advance: Advance | None,
) -> None:
    assembly = reader.assembly
    before, errors = assembly.counts[found.kind], problems.error_count
    blank = True
    pieces = Pieces(found, problems, advance)
    for first, lines in pieces:
        reader.take(found.kind, found.file, enumerate(lines, first))
        if blank:
            blank = not any(map(str.strip, lines))
        if sink is not None and not problems.error_count:
            sink(
                [
                    (found.kind, found.file, number, text)
                    for number, text in enumerate(lines, first)
                    if text and not text.startswith("#") and not text.isspace()
                ]
            )
    if pieces.cut:
        assembly.doubtful.add(found.kind)
        assembly.cut.add(found.kind)
    if assembly.counts[found.kind] > before or problems.error_count > errors:
        return
    if blank:
        problems.error(
            "cgrates.empty-file",
            "is empty, as a copy that broke off leaves a file",
            Place(found.file, 1, 1),
            "copy it again, or remove it",
        )
    else:
        problems.warn("cgrates.no-rows", "has comments and no rows", Place(found.file))


def _finished(
    texts: Texts | None,
    name: str,
    reader: ChargingReader,
    problems: Problems,
    zones: Mapping[str, tzinfo],
    unused: tuple[str, ...],
) -> Loaded:
    assembly = reader.assembly
    reader.check_names()
    if not assembly.profiles and "RatingProfiles" not in assembly.doubtful:
        if any(assembly.counts.values()):
            problems.warn(
                "cgrates.no-profiles",
                "no rating profile, so that no call has a price",
                Place("RatingProfiles.csv"),
                "add a row, say for Subject *any",
            )
        elif not problems.error_count:
            problems.error(
                "cgrates.no-files",
                "has no row of a tariff",
                Place(name),
                "at least one file with a row is needed",
            )
    tariff = None
    try:
        tariff = assembly.build(name, zones)
    except TariffError as wrong:
        for problem in located(name, texts or (lambda _: {}), wrong.problems, assembly):
            problems.add_error(problem)
    if texts is not None:  # rows from a store were looked at when they were loaded
        told = {(problem.place.file, problem.place.line) for problem in problems.errors}
        unmakable = profile_problems(reader.rows, assembly.doubtful)
        wrong_profiles = [
            problem
            for problem in unmakable
            if problem.source is None or (problem.source.file, problem.source.line) not in told
        ]
        for problem in located(name, texts, wrong_profiles, assembly):
            problems.add_error(problem)
        told = {(problem.place.file, problem.place.line) for problem in problems.errors}
        named = reader.named()
        noted = Problems()
        advice.give(assembly, noted, named)
        charging_advice.give(reader.rows, assembly, noted, named)
        if not unmakable and assembly.doubtful.isdisjoint(_PROFILES):
            for problem in located(name, texts, unkept_problems(reader.rows), assembly):
                noted.add_warning(problem)
        problems.take_warnings(noted, besides=told)
        found = problems.errors + problems.warnings
        places = [(problem.place.file, problem.place.line) for problem in found]
        problems.quote(texts(places))
    problems.raise_errors(name)
    assert tariff is not None  # build returned, or its problems were raised
    report = LoadReport(
        rows={kind: count for kind, count in assembly.counts.items() if count},
        destinations=len(assembly.destinations),
        unused_files=unused,
        warnings=tuple(problems.warnings),
        warning_count=problems.warning_count,
    )
    return Loaded(TariffPlan(tariff, reader.rows), report)
