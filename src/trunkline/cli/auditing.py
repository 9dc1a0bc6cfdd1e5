"""``trunkline rate audit``: whether the ledger adds up."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.output import JsonOption, console, grid, print_json, print_table
from trunkline.cli.progress import Bar
from trunkline.errors import TrunklineError
from trunkline.observe.text import printable

if TYPE_CHECKING:
    from trunkline.store.ledger.audit import Audit
    from trunkline.store.ledger.book import Book

__all__ = ["LedgerOption", "audit", "open_book"]

LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        envvar="TRUNKLINE_LEDGER",
        help="Where the accounts are: an SQL URL, or redis://. Default: a SQLite file of yours.",
    ),
]


def audit(ledger: LedgerOption = None, as_json: JsonOption = False) -> None:
    """Add up every movement of every balance, and say where the ledger is wrong.

    Others may go on writing meanwhile. The exit code is 1 if anything was found.
    """
    result = asyncio.run(_audit(ledger))
    if as_json:
        print_json({**asdict(result), "clean": result.clean})
    else:
        _print(result)
    raise typer.Exit(0 if result.clean else 1)


def open_book(url: str | None) -> Book:
    """The ledger that ``--ledger`` names; it is not made.

    Raises:
        TrunklineError: ``store.ledger-unavailable``: there is no such file.
    """
    from trunkline.store.ledger.book import Book, default_ledger_url  # SQLAlchemy is heavy

    url = url or default_ledger_url()
    scheme, _, file = url.partition(":///")
    if scheme.startswith("sqlite") and not Path(file).exists():
        raise TrunklineError(
            "store.ledger-unavailable", f"{file}: there is no such ledger; name it with --ledger"
        )
    return Book(url)


async def _audit(url: str | None) -> Audit:
    book = open_book(url)
    with ExitStack() as stack:
        shown = 0
        bar: Bar | None = None

        def progress(done: int, total: int) -> None:
            nonlocal bar, shown
            bar = bar or stack.enter_context(Bar("Adding up", total))
            bar.advance(done - shown)
            shown = done

        try:
            return await book.audit(progress)
        finally:
            await book.close()


def _print(result: Audit) -> None:
    if result.findings:
        table = grid("check", "account", "of", "what")
        for each in result.findings:
            table.add_row(each.check, *map(printable, (each.account, each.subject, each.text)))
        print_table(console(), table)
    if result.found > len(result.findings):
        typer.echo(f"… and {result.found - len(result.findings):,} more")
    counts = ", ".join(
        _count(getattr(result, f"{name}s"), name)
        for name in ("account", "balance", "movement", "session", "record")
    )
    verdict = "everything adds up" if result.clean else _count(result.found, "finding")
    typer.echo(f"{counts}: {verdict}")


def _count(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"
