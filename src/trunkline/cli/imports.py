"""``trunkline import``: take over the files of other systems."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from trunkline.cli.output import JsonOption, console, grid, print_json, print_table
from trunkline.config.kamailio import (
    COLUMNS,
    DialplanRow,
    Imported,
    MatchOp,
    Warned,
    csv_text,
    read_inserts,
)
from trunkline.config.pcre import suspicions
from trunkline.elements.proxy.dialplan import Dialplan, DialplanError, save_sql
from trunkline.errors import TrunklineError
from trunkline.store.guard import hide_password
from trunkline.store.sql import Sql

__all__ = ["app"]

app = typer.Typer(
    name="import",
    help="Take over the files of other systems.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keep the command's name in the line, though it is the only one."""


@dataclass(frozen=True, slots=True)
class _Written:
    out: str | None
    sql: str | None
    added: int | None


@app.command("kamailio-dialplan")
def kamailio_dialplan(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="SQL text: a dump, or notes with INSERT lines.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="CSV", help="Write the rows to this file.")
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option(
            "--sql",
            metavar="URL",
            help="Add the rows to the table dialplan at this URL, as sqlite:///file.db; "
            "the table is made if it is missing.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Read Kamailio's dialplan rows from INSERT INTO `dialplan` statements.

    Rows are checked as a proxy does when it loads them, and printed; warnings name what is probably
    not meant. Nothing is written without --out or --sql, and nothing at all after an error.
    """
    imported = read_inserts(file)
    try:
        Dialplan(imported.rows)
    except DialplanError as problem:
        raise TrunklineError(problem.code, f"{file}:{problem.row.line}: {problem}") from problem
    warnings = sorted([*imported.warnings, *_suspicious(imported.rows)], key=lambda w: w.line)
    written = _write(imported, out, sql)
    if as_json:
        print_json(_json(file, imported, warnings, written))
        return
    for warned in warnings:
        typer.echo(f"trunkline: warning: {file}:{warned.line}: {warned.message}", err=True)
    _print_rows(imported.rows)
    for table, count in imported.skipped.items():
        typer.echo(f"Passed over: {count} INSERT into {table}")
    typer.echo(f"{_count(len(imported.rows), 'row')}, {_count(len(warnings), 'warning')}")
    if out is not None:
        typer.echo(f"Written to {out}")
    if written.added is not None:
        typer.echo(f"Added to {written.sql}: {_count(written.added, 'row')}")


def _suspicious(rows: tuple[DialplanRow, ...]) -> list[Warned]:
    found = []
    for row in rows:
        columns: dict[str, list[str]] = {}
        sources = [("subst_exp", row.subst_exp)]
        if row.match_op is MatchOp.REGEX:
            sources.insert(0, ("match_exp", row.match_exp))
        for column, source in sources:
            for text in suspicions(source):
                columns.setdefault(text, []).append(column)
        found += [
            Warned(row.line, f"row {row.id}, {' and '.join(names)}: {text}")
            for text, names in columns.items()
        ]
    return found


def _write(imported: Imported, out: Path | None, url: str | None) -> _Written:
    added = None
    shown = None
    if url is not None:
        target = Sql("import", url, timeout=60)
        shown = hide_password(url)

        async def save() -> int:
            try:
                return await save_sql(target, imported.rows)
            finally:
                await target.close()

        added = asyncio.run(save())
    if out is not None:
        try:
            out.write_text(
                csv_text(imported.rows), encoding="utf-8", errors="surrogateescape", newline=""
            )
        except OSError as problem:
            raise TrunklineError(
                "import.write", f"{out}: cannot be written: {problem.strerror}"
            ) from problem
    return _Written(None if out is None else str(out), shown, added)


def _print_rows(rows: tuple[DialplanRow, ...]) -> None:
    out = console()
    table = grid(*COLUMNS)
    for row in rows:
        table.add_row(
            str(row.id),
            str(row.dpid),
            str(row.pr),
            row.match_op.name.lower(),
            Text(row.match_exp, overflow="fold"),
            str(row.match_len or "any"),
            Text(row.subst_exp, overflow="fold"),
            Text(row.repl_exp),
            Text(row.attrs),
        )
    for column in table.columns:
        column.no_wrap = False
    print_table(out, table)


def _json(
    file: Path, imported: Imported, warnings: list[Warned], written: _Written
) -> dict[str, object]:
    return {
        "file": str(file),
        "rows": [
            {**dict(zip(COLUMNS, row.values(), strict=True)), "line": row.line}
            for row in imported.rows
        ],
        "warnings": [{"line": warned.line, "message": warned.message} for warned in warnings],
        "skipped": dict(imported.skipped),
        "out": written.out,
        "sql": written.sql,
        "added": written.added,
    }


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
