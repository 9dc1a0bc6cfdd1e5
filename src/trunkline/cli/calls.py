"""``trunkline calls``: call records, and calls by hand.

While the network is up its exchanges are asked over their control sockets; otherwise the records
are read from the store that they left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from trunkline.cli.output import (
    JsonOption,
    NetworkOption,
    console,
    grid,
    print_json,
    print_table,
)
from trunkline.lab.answers import Record
from trunkline.observe.text import printable
from trunkline.rating.durations import format_duration

__all__ = ["app", "print_record", "print_records"]

_NORMAL_CLEARING = 16  # Q.850 table 1
_WIDE = 112
"""Columns from which on a table of calls has room for the causes' names."""

app = typer.Typer(name="calls", help="Show call records; place and release calls.")


@app.callback(invoke_without_command=True)
def calls(
    context: typer.Context,
    network: NetworkOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-l", min=1, help="How many, newest first.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the newest call records."""
    if context.invoked_subcommand is not None:
        return
    from trunkline.lab.calls import call_records  # SQLAlchemy is heavy

    records = call_records(network, limit)
    if as_json:
        print_json([record.to_json() for record in records])
    elif records:
        print_records(records)
    else:
        typer.echo("no calls yet")


@app.command()
def show(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="A call's id, or the beginning of it.")
    ],
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything about one call."""
    from trunkline.lab.calls import call_record  # SQLAlchemy is heavy

    record = call_record(network, identifier)
    if as_json:
        print_json(record.to_json())
    else:
        print_record(record)


def print_record(record: Record) -> None:
    """Print everything about one call."""
    table = grid()
    for name, value in (
        ("id", record.id),
        ("exchange", f"{record.exchange} ({record.direction})"),
        ("calling", record.calling),
        ("called", record.called),
        ("start", _moment(record.start)),
        ("answer", _moment(record.answer) if record.answer else "not answered"),
        ("end", _moment(record.end)),
        ("duration", f"{record.duration:.3f} s from the answer"),
        ("cause", f"{record.cause} {record.cause_text}"),
        ("OPC", record.opc),
        ("DPC", record.dpc or "-"),
        ("CIC", _circuit(record.cic)),
        ("cost", record.cost or _unpriced(record)),
        *_charged(record),
    ):
        table.add_row(Text(name, style="dim"), Text(printable(value)))
    print_table(console(), table)
    if record.rating is not None and record.cost is not None:
        console().print_json(data=record.rating, sort_keys=True)


def _charged(record: Record) -> Iterator[tuple[str, str]]:
    """What is known of a call that was charged, line by line."""
    charging = record.charging
    if charging is None:
        return
    yield "account", f"{charging.account} ({charging.request_type})"
    if record.answer is not None:
        yield "charged for", format_duration(charging.usage)
    if charging.ended:
        yield "released" if record.answer is not None else "refused", charging.ended
    for number, (seconds, text) in enumerate(charging.steps):
        yield "" if number else "charging", f"{seconds:8.3f} s  {text}"


def _unpriced(record: Record) -> str:
    if record.charging is not None:
        return f"none: {record.charging.error}" if record.charging.error else "-"
    reason = (record.rating or {}).get("error")
    return f"none: {reason}" if reason else "-"


@app.command()
def make(
    exchange: Annotated[str, typer.Argument(help="The exchange that the caller is served by.")],
    called: Annotated[str, typer.Argument(help="The number to call.")],
    calling: Annotated[
        str | None, typer.Option("--calling", "-c", help="The caller's own number.")
    ] = None,
    hold: Annotated[
        float | None, typer.Option("--hold", help="Seconds until the caller hangs up.")
    ] = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place a call and print its id."""
    from trunkline.lab.calls import place_call  # SQLAlchemy is heavy

    identifier = place_call(network, exchange, called, calling, hold)
    if as_json:
        print_json({"id": identifier})
    else:
        typer.echo(identifier)


@app.command()
def release(
    exchange: Annotated[str, typer.Argument(help="The exchange that the call was placed at.")],
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The call's id.")],
    network: NetworkOption = None,
) -> None:
    """Hang up a call that is under way."""
    from trunkline.lab.calls import release_call  # SQLAlchemy is heavy

    release_call(network, exchange, identifier)


def print_records(records: list[Record]) -> None:
    """Print a table of call records."""
    out = console()
    names = ["Id", "Exchange", "", "Calling", "Called", "Start", "Duration", "Cost", "Cause"]
    table = grid(*names, "OPC", "DPC", "CIC")
    wide = out.width >= _WIDE
    for record in records:
        good = record.answer is not None and record.cause == _NORMAL_CLEARING
        cause = f"{record.cause} {record.cause_text}" if wide else str(record.cause)
        table.add_row(
            record.id[:8],
            record.exchange,
            "out" if record.direction == "outgoing" else "in",
            record.calling,
            record.called,
            _short_moment(record.start),
            f"{record.duration:.2f} s" if record.answer is not None else "no answer",
            record.cost or "-",
            Text(cause, style="green" if good else "yellow"),
            record.opc,
            record.dpc or "-",
            _circuit(record.cic),
        )
    print_table(out, table)


def _moment(seconds: float) -> str:
    moment = time.localtime(seconds)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', moment)}.{int(seconds * 1000) % 1000:03d}"


def _short_moment(seconds: float) -> str:
    """The time of day, with the date where it was not today."""
    moment, today = time.localtime(seconds), time.localtime()
    same = moment[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same else "%Y-%m-%d %H:%M:%S", moment)


def _circuit(cic: int | None) -> str:
    return "-" if cic is None else str(cic)
