"""What every command does alike: tables for people, JSON for programs.

With ``--json`` nothing but JSON goes to standard output. Errors are raised as they are:
:mod:`trunkline.cli.main` turns them into one line and an exit code.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console, RenderableType
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
    "printable",
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
NetworkOption = Annotated[
    str | None,
    typer.Option("--network", "-n", help="The network, where more than one is up."),
]

_PIPED_WIDTH = 160
"""Wide enough for every table here, so that what a pipe reads is never folded."""


def console() -> Console:
    """The console on standard output; in a pipe it is wide and without colour."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_PIPED_WIDTH)


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
    """Print ``table`` without the blanks that rich puts at the end of each line."""
    with target.capture() as captured:
        target.print(table)
    for line in captured.get().splitlines():
        target.out(line.rstrip(), highlight=False)


def print_json(value: object) -> None:
    """Print ``value`` as JSON."""
    typer.echo(as_json(value, indent=2))


def as_json(value: object, *, indent: int | None = None) -> str:
    """``value`` as JSON that can be encoded: octets that are no text stay escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """``text`` from the network, with what would command the terminal written as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    octets = character.encode("utf-8", "surrogateescape")
    return "".join(f"\\x{octet:02x}" for octet in octets)
