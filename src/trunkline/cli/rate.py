"""``trunkline rate``: load a tariff, check it, and price calls by it.

The four commands share one parser of the cost line and one engine; ``cost`` prints the result in
the shape of the reference's console, ``explain`` the record of the decision.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.text import Text

from trunkline.cli.auditing import audit
from trunkline.cli.output import JsonOption, console, grid, print_json, print_table
from trunkline.cli.progress import Bar
from trunkline.cli.versions import (
    AtOption,
    StoreOption,
    activate,
    cancel,
    export_tariff,
    moment,
    opened,
    rollback,
    shown,
    versions,
)
from trunkline.config.cgrates import (
    Loaded,
    LoadReport,
    Place,
    Problem,
    TariffErrors,
    TariffPlan,
    compile_lines,
    folder_size,
    load_folder,
    parse_cost_line,
)
from trunkline.errors import TrunklineError
from trunkline.rating.cost import EXACT, Cgrates, Cost, Exact, price
from trunkline.rating.durations import format_usage
from trunkline.rating.result import event_cost_text
from trunkline.store.compiled import (
    KEPT,
    active_tariff,
    default_tariff_url,
    without_collections,
    zone_named,
)

if TYPE_CHECKING:
    from trunkline.config.cgrates.csvfolder import Sink
    from trunkline.rating.decision import Candidate, Decision
    from trunkline.rating.tariff import Tariff

__all__ = [
    "StoreOption",
    "TariffOption",
    "ZoneOption",
    "app",
    "check",
    "chosen_tariff",
    "joined",
    "load",
    "print_cost",
]

_EXAMPLE = """\b
Example:
  trunkline rate cost --tariff examples/tutorial-tariff \\
    'Category="call" Tenant="cgrates.org" Subject="3005" Destination="614"
     AnswerTime="2014-08-04T13:00:00Z" Usage="60s"'
"""

app = typer.Typer(
    name="rate",
    help="Price and charge as CGRateS does: tariffs, records of usage, the ledger, the API.\n\n"
    "Start with `check DIR`, which finds what is wrong with a folder of CSV files, then `load DIR` "
    "to make it the active tariff; `rollback` takes it back. `cost` prices a call, `explain` says "
    "why it costs that. None of these needs a running node; `console` asks one for accounts, "
    "sessions and the rest.",
    no_args_is_help=True,
)


class PrecisionName(StrEnum):
    """The ways to calculate."""

    EXACT = "exact"
    CGRATES = "cgrates"


FolderArgument = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A tariff folder: Destinations.csv, Rates.csv and so on."),
]
LineArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="LINE",
        help="The call, as cgr-console takes it: Tenant, Category, Subject, Account, Destination, "
        'AnswerTime, Usage and ToR, each as Key="value".',
    ),
]
TariffOption = Annotated[
    Path | None,
    typer.Option("--tariff", "-t", metavar="DIR", help="Price by this folder, without loading it."),
]
PrecisionOption = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        "-p",
        help="exact: rational arithmetic, rounded once. cgrates: the reference's floating point.",
    ),
]
DecimalsOption = Annotated[
    int | None,
    typer.Option(
        "--decimals",
        help="Of --precision cgrates: 5 as a started engine has it (the default), or 6.",
    ),
]
ZoneOption = Annotated[
    list[str] | None,
    typer.Option(
        "--time-zone",
        "-z",
        metavar="ZONE",
        help="The time zone that timings are in, as Europe/Berlin; for one tenant, TENANT=ZONE. "
        "May be repeated. Default: UTC, or what the tariff was loaded with.",
    ),
]


@app.command()
def load(
    folder: FolderArgument,
    at: AtOption = None,
    inactive: Annotated[
        bool, typer.Option("--inactive", help="Store it only; `activate` has it count.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what is wrong with it, as `check`, and whether it goes with the rules"
            " in the store.",
        ),
    ] = False,
    keep: Annotated[
        int,
        typer.Option(
            "--keep",
            min=1,
            metavar="N",
            help="So many of the newest versions stay, and those that count, counted before, "
            "or wait.",
        ),
    ] = KEPT,
    time_zone: ZoneOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a tariff folder, store it as a version and make it the active tariff.

    All of the folder counts, prices, profiles and actions, or, if anything is wrong with it,
    nothing: then the tariff before stays active. Running nodes change over within a second.
    """
    if dry_run:
        _check(folder, time_zone, as_json, lambda plan: _fits(plan, folder, store, moment(at)))
    if inactive and at is not None:
        raise typer.BadParameter("with --inactive it counts at no time", param_hint="--at")
    start = time.monotonic()
    zone, zones = _zones(time_zone or [])
    since = moment(at)
    target = opened(store)
    loaded: list[Loaded] = []

    def read(sink: Sink) -> TariffPlan:
        loaded.append(_read(folder, zone or UTC, zones, sink))
        return loaded[0].plan

    try:
        version, _ = target.load(
            read,
            name=str(folder),
            time_zone=zone or UTC,
            tenant_time_zones=zones,
            activate=not inactive,
            at=since,
            keep=keep,
        )
    finally:
        target.close()
    report = loaded[0].report
    seconds = time.monotonic() - start
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "version": version.id,
                "seconds": round(seconds, 3),
                **_report_json(report),
            }
        )
        return
    for problem in report.warnings:
        typer.echo(f"trunkline: warning: {folder}/{problem}", err=True)
    if inactive:
        how = f"is stored as version {version.id}"
    elif since is not None:
        how = f"will be the active tariff from {shown(since)} on, version {version.id}"
    else:
        how = f"is the active tariff, version {version.id}"
    typer.echo(f"{folder} {how}, after {seconds:.2f} s")
    _print_rows(report)


@app.command()
def check(
    folder: FolderArgument,
    time_zone: ZoneOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a tariff folder, without loading it.

    Errors keep a folder from being loaded: the exit code is 1. Warnings do not: rows that no call
    can reach, that another row outweighs, or that probably mean something else.
    """
    _check(folder, time_zone, as_json, lambda plan: None)


def _fits(plan: TariffPlan, folder: Path, store: str | None, at: datetime | None) -> None:
    with closing(opened(store)) as target:
        target.check_rules(plan, str(folder), at)


def _check(
    folder: Path,
    time_zone: list[str] | None,
    as_json: bool,
    more: Callable[[TariffPlan], None],
) -> NoReturn:
    """Say what is wrong with a folder, and what ``more`` raises."""
    zone, zones = _zones(time_zone or [])
    report: LoadReport | None = None
    errors: tuple[Problem, ...] = ()
    error_count = 0
    try:
        loaded = _read(folder, zone or UTC, zones, None)
        report = loaded.report
        warnings, warning_count = report.warnings, report.warning_count
        try:
            more(loaded.plan)
        except TrunklineError as refused:
            if refused.code != "store.rules":
                raise
            errors = (Problem(refused.code, refused.message, Place(str(folder))),)
            error_count = 1
    except TariffErrors as refused:
        errors, error_count = refused.errors, refused.error_count
        warnings, warning_count = refused.warnings, refused.warning_count
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "ok": not error_count,
                "error_count": error_count,
                "warning_count": warning_count,
                "errors": [problem.to_json() for problem in errors],
                "warnings": [problem.to_json() for problem in warnings],
                "rows": dict(report.rows) if report else None,
                "unused_files": list(report.unused_files) if report else None,
            }
        )
    else:
        _print_problems(folder, "error", errors, error_count)
        _print_problems(folder, "warning", warnings, warning_count)
        counts = f"{_count(error_count, 'error')}, {_count(warning_count, 'warning')}"
        typer.echo(f"{folder}: {counts}")
        if report:
            _print_rows(report)
    raise typer.Exit(1 if error_count else 0)


app.command()(versions)
app.command()(activate)
app.command()(cancel)
app.command()(rollback)
app.command("export-tariff")(export_tariff)
app.command()(audit)


@app.command(epilog=_EXAMPLE)
def cost(
    line: LineArgument,
    tariff: TariffOption = None,
    precision: PrecisionOption = PrecisionName.EXACT,
    decimals: DecimalsOption = None,
    time_zone: ZoneOption = None,
    store: StoreOption = None,
    _as_json: JsonOption = False,
) -> None:
    """Print what a call costs, as JSON in the shape of the reference's console."""
    found = _price(line, tariff, precision, decimals, time_zone, store)
    typer.echo(event_cost_text(found))


def print_cost(line: list[str], tariff: Path | None, store: str | None) -> None:
    """What ``cost`` prints, for the console."""
    cost(line, tariff, store=store)


@app.command(epilog=_EXAMPLE.replace("rate cost", "rate explain"))
def explain(
    line: LineArgument,
    tariff: TariffOption = None,
    precision: PrecisionOption = PrecisionName.EXACT,
    decimals: DecimalsOption = None,
    time_zone: ZoneOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a call costs what it costs: what was chosen at each link, what not, and why."""
    decision = _price(line, tariff, precision, decimals, time_zone, store).decision
    if as_json:
        print_json(_decision_json(decision))
    else:
        typer.echo(str(decision))


def _price(
    words: list[str],
    folder: Path | None,
    precision: PrecisionName,
    decimals: int | None,
    time_zone: list[str] | None,
    store: str | None,
) -> Cost:
    arithmetic = _arithmetic(precision, decimals)
    tariff = chosen_tariff(folder, time_zone, store)
    return price(tariff, parse_cost_line(joined(words), zone_of=tariff.zone), arithmetic)


def chosen_tariff(folder: Path | None, time_zone: list[str] | None, store: str | None) -> Tariff:
    """The tariff in ``folder``; without one, the active one of the store."""
    zone, zones = _zones(time_zone or [])
    if folder is not None:
        return _read(folder, zone or UTC, zones, None).tariff
    _, tariff = active_tariff(store or default_tariff_url(), compile_lines)
    return replace(
        tariff,
        time_zone=zone or tariff.time_zone,
        tenant_time_zones={**tariff.tenant_time_zones, **zones},
    )


def _arithmetic(precision: PrecisionName, decimals: int | None) -> Exact | Cgrates:
    if precision is PrecisionName.CGRATES:
        return Cgrates() if decimals is None else Cgrates(decimals)
    if decimals is not None:
        raise TrunklineError("rating.precision", "--decimals goes with --precision cgrates")
    return EXACT


def joined(words: list[str]) -> str:
    """One line of arguments whose quotes the shell may have taken away."""
    if len(words) == 1:
        return words[0]
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    if equals and '"' not in value and (not value or any(map(str.isspace, value))):
        return f'{key}="{value}"'
    return word


def _zones(texts: Iterable[str]) -> tuple[tzinfo | None, dict[str, tzinfo]]:
    zone: tzinfo | None = None
    zones: dict[str, tzinfo] = {}
    for text in texts:
        tenant, equals, name = text.rpartition("=")
        if equals:
            zones[tenant] = zone_named(name)
        else:
            zone = zone_named(name)
    return zone, zones


def _read(folder: Path, zone: tzinfo, zones: dict[str, tzinfo], sink: Sink | None) -> Loaded:
    with Bar(f"Reading {folder}", folder_size(folder)) as bar, without_collections():
        return load_folder(folder, zone, zones, sink=sink, advance=bar.advance)


# --- for people


def _print_rows(report: LoadReport) -> None:
    out = console()
    table = grid()
    for kind, count in report.rows.items():
        detail = f"in {_count(report.destinations, 'ID')}" if kind == "Destinations" else ""
        table.add_row(f"  {kind}", Text(f"{count:,}", justify="right"), detail)
    print_table(out, table)
    if report.unused_files:
        typer.echo(f"Not used: {', '.join(report.unused_files)}")


def _print_problems(folder: Path, what: str, problems: Iterable[Problem], count: int) -> None:
    shown = 0
    for problem in problems:
        shown += 1
        within = "" if problem.place.file == str(folder) else f"{folder}/"
        typer.echo(f"{within}{problem.place}: {what}: {problem.message} [{problem.code}]")
        if problem.text:
            typer.echo(f"    {problem.excerpt}")
            if problem.place.column:
                typer.echo(f"    {problem.caret}")
        if problem.hint:
            typer.echo(f"    hint: {problem.hint}")
    if count > shown:
        typer.echo(f"... and {_count(count - shown, what)} more")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _report_json(report: LoadReport) -> dict[str, object]:
    return {
        "rows": dict(report.rows),
        "unused_files": list(report.unused_files),
        "warning_count": report.warning_count,
        "warnings": [problem.to_json() for problem in report.warnings],
    }


def _decision_json(decision: Decision) -> dict[str, object]:
    call = decision.call
    return {
        "call": {
            "ToR": call.tor,
            "Tenant": call.tenant,
            "Category": call.category,
            "Subject": call.subject,
            "Account": call.account,
            "Destination": call.destination,
            "AnswerTime": call.time.astimezone(UTC).isoformat(),
            "Usage": format_usage(call.usage, call.tor),
        },
        "local_time": decision.local_time.isoformat(),
        "time_zone": str(decision.local_time.tzinfo),
        "steps": [
            {
                "stage": step.stage,
                "winner": step.winner and _candidate_json(step.winner),
                "losers": [_candidate_json(loser) for loser in step.losers],
            }
            for step in decision.steps
        ],
        "total": decision.total,
    }


def _candidate_json(candidate: Candidate) -> dict[str, object]:
    source = candidate.source
    return {
        "name": candidate.name,
        "reason": candidate.reason,
        "detail": candidate.detail,
        "file": source.file if source else None,
        "line": source.line if source else None,
    }
