"""``trunkline rate console`` and ``rate loader``: what users of CGRateS have in their fingers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Collection
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Annotated, cast

import typer

from trunkline.cli.rate import (
    StoreOption,
    TariffOption,
    joined,
    load,
    print_cost,
)
from trunkline.config.cgrates.commands import (
    COST,
    DURATIONS,
    VERBS,
    Command,
    parse_command,
    parse_loader,
)
from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Answer, Call, Json, decode, parse
from trunkline.net.jsonrpc import Peer, connect
from trunkline.rating.durations import format_duration
from trunkline.store.compiled import default_tariff_url

__all__ = ["ALL_ARGUMENTS", "EXAMPLES", "PROMPT", "console", "keys", "loader"]

EXAMPLES = """\b
Examples:
  trunkline rate console 'cost Category="call" Tenant="cgrates.org"
     Subject="3005" Destination="614" AnswerTime="2014-08-04T13:00:00Z"
     Usage="60s"'
  trunkline rate console 'account Tenant="cgrates.org" Account="1001"'
  trunkline rate console 'APIerSv2.GetAccounts Limit=10'
  trunkline rate console --rpc 192.0.2.7:2012 status
  trunkline rate console
"""
NODE = "127.0.0.1:2012"
"""Where a charging node listens unless its file says otherwise."""
ALL_ARGUMENTS = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],  # -path has an h
}
"""What lets ``loader`` read its options as Go does."""

PROMPT = "cgr> "

RpcOption = Annotated[
    str | None,
    typer.Option(
        "--rpc",
        metavar="HOST:PORT",
        envvar="TRUNKLINE_RPC",
        help="Ask this server: 127.0.0.1:2012, or http://127.0.0.1:2080/jsonrpc. Without it, the "
        f"loaded tariff is asked about prices, here, and the node at {NODE} about the rest.",
    ),
]


def console(
    line: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LINE",
            help='As cgr-console takes it: a command, then Key="value"; lists and maps as JSON. '
            "Without one, lines are read until `quit`.",
        ),
    ] = None,
    rpc: RpcOption = None,
    tariff: TariffOption = None,
    store: StoreOption = None,
) -> None:
    """Take a line of cgr-console, or one after another, and print what it prints.

    `help` lists the commands; each method of the API is one too.
    """
    if line:
        if line[0].startswith("-"):
            raise typer.BadParameter(f"no such option: {line[0]}")
        text = joined(line)
        if text.split() == ["help"]:
            _help()
        else:
            _carry_out(text, rpc, tariff, store)
        return

    def answer(text: str) -> None:
        try:
            _carry_out(text, rpc, tariff, store)
        except TrunklineError as problem:
            typer.echo(f"{problem.message} [{problem.code}]")

    if sys.stdin.isatty():
        from trunkline.cli.prompt import interact  # prompt_toolkit is heavy

        lines = interact(PROMPT, keys)
    else:
        lines = (text.rstrip("\r\n") for text in sys.stdin)
    for text in lines:
        if not sys.stdin.isatty():
            typer.echo(f"{PROMPT}{text}")
        match text.split():
            case []:
                continue
            case ["quit" | "exit" | "bye" | "close", *_]:
                return
            case ["help", *_]:
                _help()
            case _:
                answer(text)


def _help() -> None:
    """Print the commands."""
    words = f"Commands: {', '.join(VERBS)}, ping, quit."
    for text in (words, "Or a method of the API by its name: APIerSv2.GetAccounts."):
        for each in wrap(
            text, get_terminal_size().columns, break_long_words=False, break_on_hyphens=False
        ):
            typer.echo(each)


def keys(verb: str) -> list[str]:
    """The keys that may follow a word of the console, or a method's name."""
    from trunkline.elements.charging.arguments import wire_names
    from trunkline.elements.charging.process import SERVICES
    from trunkline.elements.charging.registry import argument_of

    found = argument_of(VERBS.get(verb, verb), *SERVICES)
    return [] if found is None else wire_names(found)


def _carry_out(text: str, rpc: str | None, tariff: Path | None, store: str | None) -> None:
    command = parse_command(text)
    if rpc is None and command.verb == COST:
        print_cost([text], tariff, store)
        return
    arguments = _as_taken(command)
    if rpc is None and _needs_no_node(command.method):
        result = _here(command, arguments, tariff, store)
    else:
        result = _there(command, arguments, rpc)
    shown = _with_durations(result, DURATIONS.get(command.verb, frozenset()))
    typer.echo(json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False, default=_number))


def _as_taken(command: Command) -> Json:
    """The argument of a command as its method takes it.

    Where it takes text, what looks like a number or a truth is text: the shell may have taken the
    quotes away. A method that takes no object gets the one value, whatever its key.
    """
    from trunkline.elements.charging.arguments import hints_of, wire_names
    from trunkline.elements.charging.process import SERVICES
    from trunkline.elements.charging.registry import argument_of

    said = cast("dict[str, Json]", command.arguments)
    declared = argument_of(command.method, *SERVICES)
    if declared is str:
        return _text(next(iter(said.values()), ""))
    if declared is None or not any(isinstance(each, bool | int | float) for each in said.values()):
        return said
    hints = hints_of(declared)
    own = getattr(declared, "__dataclass_fields__", {})
    texts = {
        name.lower()
        for name, field in zip(wire_names(declared), own, strict=True)
        if hints[field] is str
    }
    return {name: _text(each) if name.lower() in texts else each for name, each in said.items()}


def _text(value: Json) -> Json:
    return json.dumps(value) if isinstance(value, bool | int | float) else value


def _there(command: Command, arguments: Json, rpc: str | None) -> Json:
    """Have a server carry a command out: that of ``rpc``, or a node of this machine."""
    try:
        with closing(connect(rpc or NODE, timeout=300.0)) as client:  # the console's own patience
            return client.call(command.method, arguments)
    except TrunklineError as problem:
        if rpc is not None or problem.code != "rpc.unreachable":
            raise
        raise TrunklineError(
            problem.code,
            f"{command.verb} is asked of a charging node, and none answers at {NODE}; start one "
            "(trunkline run FILE --node NAME), or say where it is: --rpc HOST:PORT",
        ) from problem


def _needs_no_node(method: str) -> bool:
    """Whether a method asks of the tariff alone."""
    from trunkline.elements.charging.costs import Costs
    from trunkline.elements.charging.registry import argument_of
    from trunkline.elements.charging.tariff_plans import PriceMethods, TariffPlans

    return argument_of(method, Costs, TariffPlans, PriceMethods) is not None


def _here(command: Command, arguments: Json, tariff: Path | None, store: str | None) -> Json:
    """Carry a command out without a server."""
    from trunkline.elements.charging.costs import Costs
    from trunkline.elements.charging.registry import Registry
    from trunkline.elements.charging.tariff_plans import PriceMethods, TariffPlans
    from trunkline.elements.charging.tariffs import Tariffs

    async def run() -> str:
        if tariff is not None:
            tariffs = Tariffs.of_folder(tariff)
        else:
            tariffs = Tariffs.of_store(store or default_tariff_url())
        registry = Registry(
            Costs(tariffs, lambda: datetime.now(UTC)), TariffPlans(tariffs), PriceMethods(tariffs)
        )
        plain = decode(json.dumps(arguments).encode())  # as it would have come
        text = registry(Call(command.method, plain, 1), cast("Peer", None))
        return text if isinstance(text, str) else await text

    answered = parse(asyncio.run(run()).encode("utf-8", "replace"))
    assert isinstance(answered, Answer)
    if answered.error is not None:
        raise TrunklineError("rpc.error", f"{command.method}: {answered.error}")
    return answered.result


def _with_durations(value: Json, names: Collection[str], name: str = "") -> Json:
    """Durations as text, as the console shows those of ``names``."""
    if isinstance(value, dict):
        return {key: _with_durations(member, names, key) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_durations(item, names) for item in value]
    if name in names and isinstance(value, int):
        return format_duration(value)
    return value


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{value!r} is no value of JSON")


def loader(context: typer.Context) -> None:
    """Load a tariff folder by the options of cgr-loader: -verbose -path=DIR -flush_stordb -dry_run.

    A load always takes the place of the tariff before, so that -flush_stordb asks for what happens
    anyway. Neither cgr-migrator nor setup_cgr_db.sh has anything to do here: the store makes its
    tables itself.
    """
    if {"-h", "-help", "--help"} & {*context.args}:
        typer.echo(context.get_help())
        return
    options = parse_loader(context.args)
    folder, zones = Path(options.path), [options.timezone] if options.timezone else None
    if options.verbose:
        place = options.store or default_tariff_url()
        print(f"Reading {folder.resolve()}; tariffs are kept in {place}", file=sys.stderr)
    load(folder, dry_run=options.dry_run, time_zone=zones, store=options.store or None)
