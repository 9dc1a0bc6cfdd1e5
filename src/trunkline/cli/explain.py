"""``trunkline explain``: what has become of a call, told by the proxies that it passed.

Every worker of every proxy that is up tells its part of the story; the parts are put together by
time. What is printed is what the proxies noted when they acted.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from trunkline.cli.output import (
    JsonOption,
    NetworkOption,
    console,
    grid,
    print_json,
    print_table,
    printable,
)
from trunkline.cli.proxies import (
    Worker,
    addresses,
    call_ids,
    find_call,
    message_of,
    proxy_workers,
    recent_calls,
)
from trunkline.cli.rpc import as_dict, as_list
from trunkline.net.control import Json
from trunkline.observe.ladder import clock

__all__ = ["EXAMPLES", "explain"]

EXAMPLES = """\b
Examples:
  trunkline explain                the newest calls
  trunkline explain 3848276298     one, by how its Call-ID begins
  trunkline explain 3848 --ladder  with its messages drawn
"""
"""What the help shows at its end."""

_NARROW = 30
"""Characters that a step's text needs beside its time and kind; with less it goes beneath them."""
_PIPED = 1000
"""Columns of a list in a pipe: no Call-ID is cut there."""
_TABLE = 90
"""Columns of a terminal from which on the list is a table."""
_WORD = 24
_STYLES = {
    "received": "cyan",
    "sent": "green",
    "again": "yellow",
    "script": "magenta",
    "script-error": "bold red",
    "undecided": "bold red",
    "refused": "red",
    "no-response": "red",
    "timer-c": "red",
    "cancelled": "yellow",
    "response": "dim",
    "answered": "bold",
}


def explain(
    call_id: Annotated[
        str | None,
        typer.Argument(
            metavar="CALL-ID",
            help="The call's Call-ID, or the beginning of it; without it, the newest are listed.",
            show_default=False,
            autocompletion=call_ids,
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", help="Ask this proxy alone, not all that are up.")
    ] = None,
    network: NetworkOption = None,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Draw the messages as a ladder, too.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-l", min=1, max=1000, help="How many calls are listed.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of a SIP call: its route, DNS, edits, branches and timers."""
    with proxy_workers(node, network) as workers:
        if call_id is None:
            _list(recent_calls(workers, limit), as_json)
            return
        call = find_call(workers, call_id)
        found = str(call["call_id"])
        steps = _merged(workers, found)
        if as_json:
            print_json({**call, "steps": steps})
            return
        out = console()
        _print_call(out, call)
        if ladder:
            from trunkline.cli.ladders import print_ladder

            out.print()
            messages = [
                message_of(answer)
                for worker in workers
                for answer in as_list(worker.client.call("sip.messages", {"call_id": found}))
            ]
            print_ladder(out, sorted(messages, key=lambda seen: seen.time), addresses(workers))
        _print_steps(out, steps)


def _merged(workers: Iterable[Worker], call_id: str) -> list[dict[str, Json]]:
    """The steps of all workers in the order of time, each with its node and worker."""
    return [*heapq.merge(*(_story(worker, call_id) for worker in workers), key=_time)]


def _story(worker: Worker, call_id: str) -> Iterator[dict[str, Json]]:
    """One worker's steps: their order is right, and their times are made to rise."""
    latest = 0.0
    for answer in as_list(worker.client.call("sip.explain", {"call_id": call_id})):
        step = as_dict(answer)
        latest = max(latest, _time(step))
        yield {"node": worker.node.name, "worker": worker.index, **step, "time": latest}


def _time(step: dict[str, Json]) -> float:
    value = step.get("time")
    return float(value) if isinstance(value, int | float) else 0.0


# --- for people


def _list(calls: list[dict[str, Json]], as_json: bool) -> None:
    if as_json:
        print_json(calls)
        return
    if not calls:
        typer.echo("no calls yet")
        return
    out = console()
    if out.is_terminal and out.width < _TABLE:
        for call in calls:
            who = f"{_user(call['caller'])} > {_user(call['called'])}"
            line = Text(f"{clock(_time(call))}  {printable(str(call['method']))} {who}  ")
            _print_line(out, line, _status(call))
            _print_line(out, Text("  "), _call_id(call))
        return
    table = grid("Time", "Request", "From", "To", "Status", "Messages", "Call-ID")
    for call in calls:
        table.add_row(
            clock(_time(call)),
            printable(str(call["method"])),
            _user(call["caller"]),
            _user(call["called"]),
            _status(call),
            str(call["messages"]),
            _call_id(call),
        )
    for column in table.columns[:-1]:
        column.min_width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
    print_table(out if out.is_terminal else Console(width=_PIPED), table)


def _call_id(call: dict[str, Json]) -> Text:
    return Text(printable(str(call["call_id"])), style="bold")


def _user(party: Json) -> str:
    """Who is meant by a From or To, in a word: the user, or else the host."""
    text = str(party)
    uri = text.partition("<")[2].partition(">")[0] or text
    rest = uri.partition(":")[2] or uri
    word = printable(rest.partition("@")[0])
    return word if len(word) <= _WORD else word[: _WORD - 1] + "…"


def _status(call: dict[str, Json]) -> Text:
    status = call["status"]
    if not isinstance(status, int) or not status:
        return Text("none yet", style="dim")
    style = ("", "yellow", "green", "magenta")[status // 100] if status < 400 else "red"
    return Text(printable(f"{status} {call['reason']}"), style=style)


def _print_call(out: Console, call: dict[str, Json]) -> None:
    began = _time(call)
    date = time.strftime("%Y-%m-%d", time.localtime(began))
    nodes = ", ".join(map(str, as_list(call["nodes"])))
    rows = [
        ("Call-ID", str(call["call_id"])),
        ("from", str(call["caller"])),
        ("to", str(call["called"])),
        ("began", f"{date} {clock(began)}; {call['messages']} messages at {nodes}"),
    ]
    title = printable(f"{call['method']} {call['uri']}")
    _print_line(out, Text(), Text(title, style="bold"))
    for name, value in rows:
        _print_line(out, Text(f"  {name:9}", style="dim"), Text(printable(value)))
    _print_line(out, Text(f"  {'status':9}", style="dim"), _status(call))


def _print_steps(out: Console, steps: list[dict[str, Json]]) -> None:
    places = {(step["node"], step["worker"]) for step in steps}
    begin = _time(steps[0]) if steps else 0.0
    width = max((len(_place(step)) for step in steps), default=0) + 2 if len(places) > 1 else 0
    for step in steps:
        kind, text = str(step["kind"]), printable(str(step["text"]))
        if kind == "received" and not text[:1].isdigit():
            out.print()  # a request: something new begins
        place = f"{_place(step):{width}}" if width else ""
        head = Text.assemble(
            (f"{_time(step) - begin:8.3f}  ", "dim"), place, (f"{kind:14}", _STYLES.get(kind, ""))
        )
        _print_line(out, head, Text(text, style="bold" if kind == "answered" else ""))
        for detail in as_list(step["details"]):
            line = printable(str(detail))
            style = {"+": "green", "-": "red"}.get(line[:1], "dim")
            _print_line(out, Text(" " * (len(head) + 2)), Text(line, style=style))


def _place(step: dict[str, Json]) -> str:
    worker = step["worker"]
    return f"{step['node']}.{worker}" if worker else str(step["node"])


def _print_line(out: Console, head: Text, body: Text) -> None:
    """Print a line; on a terminal what does not fit goes on below where ``body`` begins."""
    indent = len(head)
    if not out.is_terminal:
        lines = [body]
    else:
        if out.width - indent < min(_NARROW, len(body)):
            if head.plain.strip():
                head.rstrip()
                out.print(head, soft_wrap=True)
            head = Text("    ")
            indent = 4
        nested = len(body.plain) - len(body.plain.lstrip())
        lines = [*body.wrap(out, max(10, out.width - indent - nested))]
    for number, line in enumerate(lines):
        text = (head if number == 0 else Text(" " * indent)) + line
        text.rstrip()
        out.print(text, soft_wrap=True)
