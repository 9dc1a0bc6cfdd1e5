"""``trunkline rate versions``, ``activate``, ``cancel``, ``rollback``: which tariff counts when."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trunkline.cli.output import JsonOption, console, grid, print_json, print_table
from trunkline.config.cgrates import TariffPlan, compile_lines, parse_time, write_folder
from trunkline.errors import TrunklineError
from trunkline.store.compiled import default_tariff_url

if TYPE_CHECKING:
    from trunkline.store.rules import Entries
    from trunkline.store.tariffs import Activation, TariffStore, Version

__all__ = [
    "AtOption",
    "StoreOption",
    "activate",
    "cancel",
    "export_tariff",
    "moment",
    "opened",
    "rollback",
    "shown",
    "versions",
]

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="TRUNKLINE_TARIFF_STORE",
        help="Where loaded tariffs are kept, as an SQL URL. Default: a SQLite file of yours.",
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="From when on it counts, as 2026-12-01T00:00:00Z or +1h; without an offset, UTC. "
        "Default: at once.",
    ),
]
VersionArgument = Annotated[
    int, typer.Argument(metavar="VERSION", help="Its number: trunkline rate versions.")
]


def opened(url: str | None) -> TariffStore:
    """The store at a URL, or the user's own."""
    from trunkline.store.tariffs import TariffStore  # SQLAlchemy is heavy

    return TariffStore(url or default_tariff_url(), compile_lines, _check_rules)


def _check_rules(plan: TariffPlan, name: str, since: int, rules: Entries) -> None:
    from trunkline.elements.charging.rulebook import check_rules  # only where there are rules

    check_rules(plan, name, since, rules)


def moment(text: str | None) -> datetime | None:
    """The time of ``--at``."""
    if text is None:
        return None
    found = parse_time(text, UTC, datetime.now(UTC))
    if found is None:
        raise TrunklineError("store.past", f"--at {text[:60]!r} is no moment; leave it out")
    return found


def shown(time: datetime) -> str:
    """A moment as the commands print it."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def versions(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the versions of the tariff: which one counts, which wait, which have counted."""
    with closing(opened(store)) as target:
        there = target.versions()
        activations = target.activations()
        counting = target.schedule().at(datetime.now(UTC))
    if as_json:
        print_json([_json(each, activations, counting) for each in there])
        return
    if not there:
        typer.echo("No tariff is loaded; load one: trunkline rate load DIR")
        return
    table = grid("Version", "Loaded", "Rows", "Counts", "Folder")
    for each in there:
        table.add_row(
            f"{'*' if counting and counting.version == each.id else ' '} {each.id}",
            shown(each.loaded),
            f"{each.row_count:,}",
            _counts(each, activations, counting),
            each.name,
        )
    print_table(console(), table)


def export_tariff(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the files are written: an empty folder.")
    ],
    version: Annotated[
        int | None,
        typer.Option("--version", metavar="VERSION", help="Which one. Default: the active one."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a version of the tariff as a folder of CSV files, which `load` reads again.

    Rows go as they were loaded. Times that were given relative to the load (*now, +1h) mean the
    next load then.
    """
    with closing(opened(store)) as target:
        found = target.version(version) if version else target.counting()
        files = write_folder(folder, target.lines(found))
    if as_json:
        print_json({"folder": str(folder), "version": found.id, "files": files})
    else:
        typer.echo(f"Version {found.id}, {found.row_count:,} rows, is written to {folder}:")
        typer.echo(f"  {', '.join(files)}")


def activate(
    version: VersionArgument,
    at: AtOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a version of the tariff count, at once or from a moment on.

    Running nodes change over by themselves: at that moment, or within a second.
    """
    with closing(opened(store)) as target:
        done = target.activate(version, moment(at))
    if as_json:
        print_json({"version": done.version, "at": done.at.isoformat()})
    elif at is None:
        typer.echo(f"Version {version} is the active tariff since {shown(done.at)}")
    else:
        typer.echo(f"Version {version} will be the active tariff from {shown(done.at)} on")


def cancel(
    version: VersionArgument, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Have a version that waits for its moment not count after all; it is kept."""
    with closing(opened(store)) as target:
        count = target.cancel(version)
    if as_json:
        print_json({"version": version, "cancelled": count})
    elif count:
        typer.echo(f"Version {version} waits no more")
    else:
        typer.echo(f"Version {version} did not wait")


def rollback(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Take the active version of the tariff back: the one before it counts again, at once.

    Versions that wait for their moment go on waiting.
    """
    with closing(opened(store)) as target:
        left, back = target.rollback()
    if as_json:
        print_json({"from": left.id, "to": back.id})
    else:
        typer.echo(f"Version {back.id} is the active tariff again, not {left.id}: {back.name}")


def _counts(version: Version, activations: list[Activation], counting: Activation | None) -> str:
    own = [each for each in activations if each.version == version.id]
    now = datetime.now(UTC)
    parts = []
    if counting is not None and counting.version == version.id:
        parts.append(f"since {shown(counting.at)}")
    parts += [
        f"from {shown(each.at)} on" for each in own if each.at > now and each.withdrawn is None
    ]
    if parts:
        return ", ".join(parts)
    if not own:
        return "never yet"
    last = own[-1]
    if last.withdrawn is not None:
        return f"taken back {shown(last.withdrawn)}"
    return f"from {shown(last.at)}, followed by another"


def _json(
    version: Version, activations: list[Activation], counting: Activation | None
) -> dict[str, object]:
    return {
        "version": version.id,
        "active": counting is not None and counting.version == version.id,
        "folder": version.name,
        "loaded": version.loaded.isoformat(),
        "rows": version.row_count,
        "time_zone": str(version.time_zone),
        "activations": [
            {
                "at": each.at.isoformat(),
                "withdrawn": each.withdrawn and each.withdrawn.isoformat(),
            }
            for each in activations
            if each.version == version.id
        ],
    }
