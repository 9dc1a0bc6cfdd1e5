"""The ``trunkline`` command.

Exit codes: 0 done, 1 what was asked about is not well, 2 wrong use or bad input, 3 no such node
or network is up. Errors go to standard error as one sentence; ``--json`` output stands alone.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from trunkline import __version__
from trunkline.errors import TrunklineError

__all__ = ["app", "main"]

app = typer.Typer(
    name="trunkline",
    help="A telephone network in one package.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trunkline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _mount() -> None:
    """Add every command; kept out of import time so that one broken room breaks no other."""
    from trunkline.cli import calls, demo, lab, run, shell, ss7

    app.command("demo")(demo.demo)
    app.command("run")(run.run)
    app.command("shell")(shell.shell)
    app.command("exec")(shell.exec_line)
    app.add_typer(calls.app, name="calls")
    app.add_typer(lab.app, name="lab")
    app.add_typer(ss7.app, name="ss7")


def main() -> None:
    """Run the command; turn the package's own errors into one line and exit code 2 or 3."""
    _mount()
    try:
        app()
    except TrunklineError as problem:
        print(f"trunkline: {problem}", file=sys.stderr)
        absent = problem.code in {"control.unreachable", "lab.not-up"}
        sys.exit(3 if absent else 2)
