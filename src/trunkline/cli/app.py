"""All commands under ``trunkline``, as a typer application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import cleandoc, getdoc
from typing import Annotated, Final

import typer

from trunkline import __version__
from trunkline.cli import run

__all__ = ["build"]

_ALL_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trunkline {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _run(context: typer.Context) -> None:
    run.main(context.args)


def _demo(app: typer.Typer) -> None:
    from trunkline.cli import demo

    app.command("demo")(demo.demo)


def _running(app: typer.Typer) -> None:
    # For the list of commands: main() lets `run` read its arguments by itself.
    app.command("run", help=run.HELP, context_settings=_ALL_ARGUMENTS)(_run)


def _shell(app: typer.Typer) -> None:
    from trunkline.cli import shell

    app.command("shell")(shell.shell)


def _exec(app: typer.Typer) -> None:
    from trunkline.cli import shell

    app.command("exec")(shell.exec_line)


def _explain(app: typer.Typer) -> None:
    from trunkline.cli import explain

    app.command("explain", epilog=explain.EXAMPLES)(explain.explain)


def _calls(app: typer.Typer) -> None:
    from trunkline.cli import calls

    app.add_typer(calls.app, name="calls")


def _import(app: typer.Typer) -> None:
    from trunkline.cli import imports

    app.add_typer(imports.app, name="import")


def _lab(app: typer.Typer) -> None:
    from trunkline.cli import lab

    app.add_typer(lab.app, name="lab")


def _rate(app: typer.Typer) -> None:
    from trunkline.cli import batch, console, exporting, rate

    rate.app.command("batch", epilog=batch.EXAMPLE)(batch.batch)
    rate.app.command("export", epilog=exporting.EXAMPLE)(exporting.export)
    rate.app.command(
        "console",
        epilog=console.EXAMPLES,
        context_settings={"ignore_unknown_options": True},  # cgr-migrator -exec=… is told why not
    )(console.console)
    rate.app.command("loader", context_settings=console.ALL_ARGUMENTS)(console.loader)
    app.add_typer(rate.app, name="rate")


def _sip(app: typer.Typer) -> None:
    from trunkline.cli import sip

    app.add_typer(sip.app, name="sip")


def _ss7(app: typer.Typer) -> None:
    from trunkline.cli import ss7

    app.add_typer(ss7.app, name="ss7")


_ROOMS: Final[Mapping[str, Callable[[typer.Typer], None]]] = {
    "demo": _demo,
    "run": _running,
    "shell": _shell,
    "exec": _exec,
    "explain": _explain,
    "calls": _calls,
    "import": _import,
    "lab": _lab,
    "rate": _rate,
    "sip": _sip,
    "ss7": _ss7,
}
"""What adds each command, in the order of the help."""


def build(wanted: str = "") -> typer.Typer:
    """Return the application; the rooms of the commands are imported now, not before.

    Where one command is ``wanted`` it has that one alone, and starts in half the time.
    """
    app = typer.Typer(
        name="trunkline",
        help="A telephone network in one package.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in (wanted,) if wanted in _ROOMS else _ROOMS:
        _ROOMS[name](app)
    _flow(app)
    return app


def _flow(app: typer.Typer) -> None:
    """Have the paragraphs of the help fill its lines, however the source breaks them."""
    for command in app.registered_commands:
        text = cleandoc(command.help or getdoc(command.callback) or "")
        paragraphs = text.split("\n\n")
        command.help = "\n\n".join(
            each if each.startswith("\b") else each.replace("\n", " ") for each in paragraphs
        )
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _flow(group.typer_instance)
