"""``trunkline rate export``: records of usage into a file, a database or a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.charging.event import number_text
from trunkline.cli.auditing import LedgerOption, open_book
from trunkline.cli.output import JsonOption, print_json
from trunkline.cli.progress import Bar
from trunkline.errors import DecodeError, TrunklineError
from trunkline.rating.times import parse_time

if TYPE_CHECKING:
    from trunkline.elements.charging.exporting import Exporter, Summary
    from trunkline.store.ledger.book import Book
    from trunkline.store.ledger.queries import RecordQuery

__all__ = ["EXAMPLE", "export"]

EXAMPLE = """\b
Examples:
  trunkline rate export --to cdrs.csv --since 2026-01-01 --until 2026-02-01
  trunkline rate export --to cdrs.parquet --tenant cgrates.org --run '*default'
  trunkline rate export --to 'postgresql://bill@127.0.0.1/bill?table=cdrs'
"""
_ALL = 1 << 62


def export(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE|URL",
            help="A file that ends in .csv, .jsonl or .parquet; a database, as "
            "'sqlite:///cdrs.db?table=cdrs'; or an http:// URL that each record is posted to.",
        ),
    ],
    tenant: Annotated[
        list[str] | None,
        typer.Option("--tenant", metavar="ID", help="Of this tenant. May be repeated."),
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option("--account", metavar="ID", help="Of this account. May be repeated."),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option("--run", metavar="ID", help="Of this run. May be repeated.")
    ] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Answered at this time or later.")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="Answered before this time.")
    ] = "",
    unrated: Annotated[
        bool, typer.Option("--unrated", help="Only records without a cost.")
    ] = False,
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="FILTER",
            help="An inline filter, as '*prefix:~*req.Destination:49'. May be repeated.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME[=RULE]",
            help="A field, and what it is made of: Account, or Number=~*req.Destination. May be "
            "repeated. Default: the fields of the reference's exports.",
        ),
    ] = None,
    ledger: LedgerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export stored records of usage.

    A file appears when it is complete. Rows of a database replace those of the same record.

    Exit code 1: some records lack a field that is needed, and are left out.
    """
    for each in select or ():
        if not each.startswith("*"):
            raise typer.BadParameter(
                f"{each[:60]!r} is no inline filter: write '*prefix:~*req.Destination:49'",
                param_hint="--filter",
            )
    done = asyncio.run(
        _export(
            to,
            ledger,
            {"tenants": tenant or (), "accounts": account or (), "runs": run or ()},
            (since, until),
            unrated,
            select or [],
            columns or [],
        )
    )
    if as_json:
        print_json(
            {
                "to": to,
                "records": done.records,
                "cost": number_text(done.cost),
                "first": done.first,
                "last": done.last,
                "refused": dict(done.refused),
            }
        )
    else:
        left = f"; {len(done.refused):,} left out: {why}" if (why := _first(done)) else ""
        plural = "" if done.records == 1 else "s"
        typer.echo(f"{to}: {done.records:,} record{plural}, {number_text(done.cost)} in all{left}")
    raise typer.Exit(1 if done.refused else 0)


def _first(done: Summary) -> str:
    return next(iter(done.refused.values()), "")


async def _export(
    to: str,
    url: str | None,
    named: dict[str, object],
    times: tuple[str, str],
    unrated: bool,
    filters: list[str],
    columns: list[str],
) -> Summary:
    from trunkline.charging.templates import Template
    from trunkline.elements.charging.exporting import Exporter, Summary
    from trunkline.store.ledger.queries import RecordQuery

    now = datetime.now(UTC)
    query = RecordQuery(
        answer=(_moment(times[0], now), _moment(times[1], now)),
        unrated=unrated,
        limit=_ALL,
        **named,  # type: ignore[arg-type]
    )
    fields = [
        Template(path=f"*exp.{name}", value=rule or f"~*req.{name}")
        for name, _, rule in (each.partition("=") for each in columns)
    ]
    exporter = Exporter("", "", to, filters=filters, fields=fields)
    summary = Summary()
    book = open_book(url)
    try:
        await book.prepare()
        await _write(book, query, exporter, summary, now)
    finally:
        await book.close()
    return summary


async def _write(
    book: Book, query: RecordQuery, exporter: Exporter, summary: Summary, now: datetime
) -> None:
    total = await book.count_records(query)
    target, _ = exporter.target("")
    try:
        with Bar(f"Exporting to {exporter.path}", total) as bar:
            async for page in book.record_pages(query):
                await target.write(exporter.rows(page, now, None, summary))
                bar.advance(len(page))
        await target.finish()
    except BaseException:
        await target.abandon()
        raise


def _moment(text: str, now: datetime) -> float | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC).timestamp()
    except ValueError:
        pass  # more than a date
    try:
        found = parse_time(text, UTC, now)
    except DecodeError as problem:
        raise TrunklineError("export.time", f"{problem.message}; or 2026-01-31") from problem
    return None if found is None else found.timestamp()
