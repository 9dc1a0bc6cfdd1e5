"""What every command does alike: tables for people, JSON for programs.

With ``--json`` nothing but JSON goes to standard output. Errors are raised as they are:
:mod:`trunkline.cli.main` turns them into one line and an exit code.
"""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table

__all__ = [
    "JsonOption",
    "NetworkOption",
    "as_json",
    "console",
    "duration",
    "error_console",
    "grid",
    "print_json",
    "print_table",
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
NetworkOption = Annotated[
    str | None,
    typer.Option("--network", "-n", help="The network, where more than one is up."),
]

_PIPED_WIDTH = 160
"""Wide enough for every table here, so that what a pipe reads is never folded."""
_UNLIMITED = 10_000


def console() -> Console:
    """The console on standard output; in a pipe it is wide and without colour."""
    found = Console(highlight=False)
    if not found.is_terminal:
        return Console(highlight=False, width=_PIPED_WIDTH)
    columns = os.environ.get("COLUMNS", "")
    if found.is_dumb_terminal and columns.isdecimal():  # rich takes 80 for granted there
        return Console(highlight=False, width=int(columns), height=25)
    return found


def error_console() -> Console:
    """The console on standard error, for what is not the command's result."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def grid(*columns: str, title: str | None = None) -> Table:
    """A table without lines, as all our commands print them."""
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        show_header=bool(columns),
    )
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def duration(seconds: float) -> str:
    """``seconds`` as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def print_table(target: Console, table: RenderableType) -> None:
    """Print ``table`` without the blanks that rich puts at the end of each line.

    A table that is too wide for the terminal, and may not be folded, becomes a list: a line for
    each of its values, so that none is cut off.
    """
    if isinstance(table, Table) and table.show_header and _is_cut_off(target, table):
        table = _as_list(table)
    with target.capture() as captured:
        target.print(table)
    for line in captured.get().splitlines():
        target.out(line.rstrip(), highlight=False)


def _is_cut_off(target: Console, table: Table) -> bool:
    if not all(column.no_wrap for column in table.columns):
        return False
    options = target.options.update(max_width=_UNLIMITED)
    return Measurement.get(target, options, table).maximum > target.width


def _as_list(table: Table) -> Table:
    found = grid("", "", title=str(table.title) if table.title else None)
    found.show_header = False
    found.columns[0].style = "dim"
    found.columns[1].no_wrap = False
    columns = [(column.header, [*column.cells]) for column in table.columns]
    for number, row in enumerate(table.rows):
        if number:
            found.add_row()
        for header, cells in columns:
            if cells[number] != "":
                found.add_row(header, cells[number], style=row.style)
    return found


def print_json(value: object) -> None:
    """Print ``value`` as JSON."""
    typer.echo(as_json(value, indent=2))


def as_json(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON that can be encoded: octets that are no text stay escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()
