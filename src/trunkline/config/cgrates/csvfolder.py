"""A tariff folder of CSV files, checked as a whole and compiled: all of it counts, or nothing.

``read_folder`` yields the lines of the files that rating uses; ``load_folder`` makes the tariff
of them. Both take files of any size, a piece at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from trunkline.config.cgrates import advice
from trunkline.config.cgrates.assemble import Assembly
from trunkline.config.cgrates.files import KINDS, Kind
from trunkline.config.cgrates.locate import located, texts_of
from trunkline.config.cgrates.problems import Place, Problem, Problems
from trunkline.config.cgrates.reading import Advance, Found, Pieces, find_files
from trunkline.rating.errors import TariffError
from trunkline.rating.tariff import Tariff

__all__ = ["Line", "LoadReport", "Loaded", "Sink", "compile_lines", "folder_size", "load_folder"]

Line = tuple[Kind, str, int, str]
"""Kind, file within the folder, number and text of a line that is a row."""

Sink = Callable[[list[Line]], None]
"""Takes the rows of a folder as they are read, before it is known whether it counts."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was read, and what loads and is probably not meant."""

    rows: Mapping[Kind, int]
    destinations: int
    """IDs, each with any number of prefixes."""
    unused_files: tuple[str, ...]
    """Files that the reference knows and rating does not use."""
    warnings: tuple[Problem, ...]
    warning_count: int
    """All of them; beyond a bound they are counted only."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tariff and the report of its loading."""

    tariff: Tariff
    report: LoadReport


def folder_size(folder: Path) -> int:
    """Octets that loading ``folder`` will read, for a progress bar."""
    return sum(found.size for found in find_files(folder, Problems())[0])


def load_folder(
    folder: Path,
    zone: tzinfo = UTC,
    zones: Mapping[str, tzinfo] | None = None,
    *,
    now: datetime | None = None,
    sink: Sink | None = None,
    advance: Advance | None = None,
) -> Loaded:
    """The tariff in ``folder``.

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
    files, unused = find_files(folder, problems)
    if not files and not problems.error_count:
        problems.error(
            "cgrates.no-files",
            "holds no file of a tariff",
            Place(str(folder)),
            f"at least one of {', '.join(f'{kind}.csv' for kind in KINDS)} is needed",
        )
    assembly = Assembly(problems, zone, now or datetime.now(UTC))
    for found in files:
        _take_file(found, assembly, problems, sink, advance)
    return _finished(folder, str(folder), assembly, problems, zones or {}, tuple(unused))


def compile_lines(
    lines: Iterable[Line],
    name: str,
    zone: tzinfo,
    zones: Mapping[str, tzinfo],
    now: datetime,
) -> Tariff:
    """The tariff of rows that were checked and kept before, as a store has them.

    Raises:
        TariffErrors: if they do not hold together after all.
    """
    problems = Problems()
    assembly = Assembly(problems, zone, now)
    for kind, file, numbered in _runs(lines):
        assembly.take(kind, file, numbered)
    return _finished(None, name, assembly, problems, zones, ()).tariff


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
    assembly: Assembly,
    problems: Problems,
    sink: Sink | None,
    advance: Advance | None,
) -> None:
    before, errors = assembly.counts[found.kind], problems.error_count
    blank = True
    for first, lines in Pieces(found, problems, advance):
        assembly.take(found.kind, found.file, enumerate(lines, first))
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
    folder: Path | None,
    name: str,
    assembly: Assembly,
    problems: Problems,
    zones: Mapping[str, tzinfo],
    unused: tuple[str, ...],
) -> Loaded:
    if not problems.error_count and not assembly.profiles:
        problems.error(
            "cgrates.no-profiles",
            "no rating profile, so that no call has a price",
            Place("RatingProfiles.csv"),
            "add a row, say for Subject *any",
        )
    tariff = None
    try:
        tariff = assembly.build(name, zones)
    except TariffError as wrong:
        for problem in located(folder, wrong.problems, assembly):
            problems.add_error(problem)
    if folder is not None:  # rows from a store were looked at when they were loaded
        if not problems.error_count:
            advice.give(assembly, problems)
        found = problems.errors + problems.warnings
        places = [(problem.place.file, problem.place.line) for problem in found]
        problems.quote(texts_of(folder, places))
    problems.raise_errors(name)
    assert tariff is not None  # build returned, or its problems were raised
    report = LoadReport(
        rows=dict(assembly.counts),
        destinations=len(assembly.destinations),
        unused_files=unused,
        warnings=tuple(problems.warnings),
        warning_count=problems.warning_count,
    )
    return Loaded(tariff, report)
