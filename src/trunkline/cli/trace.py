"""``trunkline sip trace``, ``browse`` and ``capture``: the messages of proxies, drawn and kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from trunkline.cli.ladders import live_ladder, print_ladder, print_lines
from trunkline.cli.output import (
    JsonOption,
    NetworkOption,
    console,
    error_console,
    print_json,
)
from trunkline.cli.output import as_json as to_json
from trunkline.cli.proxies import (
    OptionalProxyArgument,
    ProxyArgument,
    Worker,
    addresses,
    call_ids,
    call_messages,
    find_call,
    message_of,
    moment,
    proxy_workers,
    recent_calls,
)
from trunkline.cli.watching import Watched, end_on_sigterm, watch
from trunkline.errors import DecodeError, TrunklineError
from trunkline.net.control import Json
from trunkline.observe.ladder import clock
from trunkline.observe.pcap import PcapWriter, ends_of
from trunkline.observe.recorder import SeenMessage
from trunkline.observe.text import printable
from trunkline.sip.message import Request, parse
from trunkline.sip.transport import written
from trunkline.sip.validity import METHODS

__all__ = ["EXAMPLES", "browse", "capture", "print_message", "trace"]

EXAMPLES = """\b
Examples:
  trunkline sip trace                   all proxies that are up, as it happens
  trunkline sip trace Edge -m REGISTER  one of them, and one method
  trunkline sip trace --last            the call that began last
"""
"""What the help of ``trace`` shows at its end."""

CallIdOption = Annotated[
    str | None,
    typer.Option(
        "--call-id",
        "-c",
        metavar="CALL-ID",
        help="A call that has passed already: its Call-ID, or the beginning of it.",
        autocompletion=call_ids,
    ),
]


def trace(
    node: OptionalProxyArgument = None,
    call_id: CallIdOption = None,
    last: Annotated[
        bool, typer.Option("--last", help="The call that began last, and nothing more.")
    ] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="METHOD",
            help="Only requests of this method and their responses. May be repeated.",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print whole messages, no ladder.")] = False,
    network: NetworkOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each message, on a line.")
    ] = False,
) -> None:
    """Draw the SIP messages of proxies as a ladder while they pass; Ctrl-C ends it.

    With --call-id or --last: a call that has passed, from the proxies' memory.
    """
    methods = {_method(name) for name in method or ()}
    with proxy_workers(node, network) as workers:
        if call_id is not None or last:
            past = _past(workers, call_id)
            kept = [each for each in past if _matches(each.seen, methods)]
            _print_past(workers, kept, raw, as_json)
            return
        _print_live(workers, methods, raw, as_json)


def capture(
    node: ProxyArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The capture file to write (pcap).")],
    seconds: Annotated[
        float | None, typer.Option("--seconds", "-s", min=0.0, help="Stop by itself after so long.")
    ] = None,
    call_id: CallIdOption = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the SIP messages of a proxy to a file that Wireshark reads with no settings.

    Ends with Ctrl-C or after --seconds; with --call-id it is a call that has passed.
    """
    lost = 0
    with proxy_workers(node, network) as workers:
        name = workers[0].node.name
        past = None if call_id is None else _past(workers, call_id)
        end_on_sigterm()
        with PcapWriter(file) as writer:
            try:
                passing: Iterable[Watched] = watch(workers, seconds) if past is None else past
                if past is None:
                    until = "; Ctrl-C ends it" if seconds is None else ""
                    notes = error_console()
                    notes.print(f"capturing at {name}{until} …", markup=False, style="dim")
                for item in passing:
                    lost += item.lost
                    if item.seen is not None:
                        writer.write_message(item.seen, 0.0)
            except KeyboardInterrupt:
                pass
    if as_json:
        counts = {"packets": writer.packets, "dropped": writer.dropped, "lost": lost}
        print_json({"file": str(file), "node": name, **counts})
        return
    missing = [f"{writer.dropped} could not be kept"] if writer.dropped else []
    missing += [f"{lost} came too fast to be told"] if lost else []
    typer.echo(f"{writer.packets} messages in {file}{_in_brackets(missing)}")


def browse(node: OptionalProxyArgument = None, network: NetworkOption = None) -> None:
    """Look through calls on the screen: a list, their ladders, messages and stories."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise TrunklineError(
            "explain.no-terminal",
            "there is no terminal to browse on; `trunkline explain` lists calls",
        )
    from trunkline.cli import browser  # prompt_toolkit is heavy

    with proxy_workers(node, network) as workers:
        browser.browse(workers)


def _in_brackets(parts: list[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


# --- what has passed


def _past(workers: list[Worker], call_id: str | None) -> list[Watched]:
    """The messages of a call, of the last one without a Call-ID, by time."""
    if call_id is None:
        newest = recent_calls(workers, 1)
        if not newest:
            raise TrunklineError("explain.no-call", "no call has passed yet")
        found = str(newest[0]["call_id"])
    else:
        found = str(find_call(workers, call_id)["call_id"])
    return [
        Watched(moment(answer), answer, message_of(answer))
        for answer in call_messages(workers, found)
    ]


def _method(name: str) -> str:
    """A method's name in capitals; one that nobody knows may be a slip."""
    found = name.upper()
    if found not in METHODS and (near := get_close_matches(found, METHODS, n=1)):
        error_console().print(f"{found}: did you mean {near[0]}?", markup=False, style="yellow")
    return found


def _matches(seen: SeenMessage | None, methods: set[str]) -> bool:
    """Whether the message is of one of ``methods``, or there are none."""
    if not methods:
        return True
    if seen is None:
        return False
    try:
        message = parse(seen.data)
    except DecodeError:
        return False
    if isinstance(message, Request):
        return message.method.upper() in methods
    _, _, name = (message.headers.get("cseq") or "").partition(" ")
    return name.strip().upper() in methods


def _print_past(workers: list[Worker], past: list[Watched], raw: bool, as_json: bool) -> None:
    messages = [each.seen for each in past if each.seen is not None]
    if as_json:
        for each in past:
            _print_object(each.event)
    elif raw:
        for seen in messages:
            print_message(console(), seen)
    else:
        print_ladder(console(), messages, addresses(workers))


# --- what passes


def _print_live(workers: list[Worker], methods: set[str], raw: bool, as_json: bool) -> None:
    notes = error_console()
    if notes.is_terminal:
        names = ", ".join(dict.fromkeys(worker.node.name for worker in workers))
        notes.print(f"watching {names}; Ctrl-C ends it", markup=False, style="dim")
    end_on_sigterm()
    out = console()
    drawing = live_ladder(out, addresses(workers))
    try:
        for item in watch(workers):
            if item.lost:
                notes.print(f"{item.lost} messages came too fast, and are missing here")
            if item.gone:
                notes.print(f"{item.gone} went away")
            if item.seen is None or not _matches(item.seen, methods):
                continue
            if as_json:
                _print_object(item.event)
            elif raw:
                print_message(out, item.seen)
            else:
                drawing.resize(out.width)
                print_lines(out, drawing.add(item.seen))
    except KeyboardInterrupt:
        return


def _print_object(event: dict[str, Json]) -> None:
    typer.echo(to_json(event))


def print_message(out: Console, seen: SeenMessage) -> None:
    """Print a whole message, with a line that says when and between whom it went."""
    source, target = map(written, ends_of(seen))
    head = f"{clock(seen.time)}  {source} > {target}  {seen.flow.transport.value}"
    out.print(Text(f"{head}, {len(seen.data)} octets", style="bold"), soft_wrap=True)
    text = seen.data.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
    out.print(Text(printable(text)), soft_wrap=True)
    out.print()
