"""``trunkline rate batch``: a file of usage records, rated in bulk."""

from __future__ import annotations

import hashlib
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.output import JsonOption, console, grid, print_json, print_table
from trunkline.cli.progress import Bar
from trunkline.cli.rate import StoreOption, TariffOption, ZoneOption, chosen_tariff
from trunkline.errors import TrunklineError
from trunkline.rating.index import Entry
from trunkline.rating.tariff import Tariff

__all__ = ["EXAMPLE", "batch"]

EXAMPLE = """\b
Example:
  trunkline rate batch cdrs.csv rated.csv --tariff examples/tutorial-tariff
"""


class EngineName(StrEnum):
    """Those of ``trunkline.store.batch``, which is loaded when it is needed."""

    DUCKDB = "duckdb"
    RAY = "ray"


def batch(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="Usage records, CSV or Parquet: Destination, AnswerTime and Usage, and maybe "
            "Tenant, Category, Subject, Account and ToR.",
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The same records with Cost and Error, CSV or Parquet."),
    ],
    tariff: TariffOption = None,
    time_zone: ZoneOption = None,
    store: StoreOption = None,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="Where: on this machine, or on a Ray cluster, that of RAY_ADDRESS or a local one."
        ),
    ] = EngineName.DUCKDB,
    as_json: JsonOption = False,
) -> None:
    """Rate a file of usage records, of any size; an interrupted run goes on where it was.

    The cost is that of `trunkline rate cost`, to the last digit.

    Exit code 0: every record has a price; 1: some have none, and their Error says why.
    """
    try:
        from trunkline.store.batch import Engine, rate_file, record_count  # heavy, and an extra
    except ModuleNotFoundError as problem:
        raise TrunklineError(
            "batch.absent",
            f"bulk rating needs {problem.name}: pip install 'trunkline[batch]'",
        ) from problem
    chosen = chosen_tariff(tariff, time_zone, store)
    began = time.monotonic()
    with Bar(f"Rating {source}", record_count(source)) as bar:
        report = rate_file(
            chosen,
            source,
            target,
            fingerprint=_fingerprint(chosen),
            zone=chosen.time_zone,
            engine=Engine(engine),
            advance=bar.advance,
        )
    seconds = time.monotonic() - began
    refused = report.records - report.priced
    if as_json:
        print_json(
            {
                "records": report.records,
                "priced": report.priced,
                "one_by_one": report.one_by_one,
                "resumed": report.resumed,
                "errors": dict(report.errors),
                "seconds": round(seconds, 3),
            }
        )
    else:
        resumed = f", {report.resumed:,} of them by an earlier run" if report.resumed else ""
        typer.echo(
            f"{target}: {report.priced:,} of {report.records:,} records have a price{resumed}, "
            f"after {seconds:.2f} s"
        )
        table = grid("Without a price", "Records")
        table.columns[1].justify = "right"
        for reason, count in report.errors.most_common():
            table.add_row(reason, f"{count:,}")
        if table.rows:
            print_table(console(), table)
    raise typer.Exit(1 if refused else 0)


def _fingerprint(tariff: Tariff) -> str:
    """What tells one tariff from another, so that a run is resumed by the same only."""
    digest = hashlib.sha256()
    terms: dict[int, str] = {}  # many prices have the same

    def add(*parts: object) -> None:
        digest.update(repr(parts).encode("utf-8", "surrogatepass"))

    index = tariff.index
    add(tariff.time_zone, tariff.tenant_time_zones, tariff.fallback_depth, tariff.usage_limits)
    for key, profile in index.profiles.items():
        add(key, *((each.time, each.plan.id, each.fallbacks) for each in profile.activations))
    for plan in index.plans.values():
        add(plan.id)
        for tag, held in plan.prices.items():
            for entry in (held,) if isinstance(held, Entry) else held.entries:
                if id(entry.terms) not in terms:
                    terms[id(entry.terms)] = repr(entry.terms)
                add(tag, terms[id(entry.terms)], entry.timing, entry.weight)
    for item in index.prefixes.items():
        add(item)
    return digest.hexdigest()
