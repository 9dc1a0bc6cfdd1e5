"""``trunkline explain``: what has become of a call, told by the proxies that it passed.

Every worker of every proxy that is up tells its part of the story; the parts are put together by
time. What is printed is what the proxies noted when they acted. What no proxy knows may be a call
of an exchange: then it is its record that is printed.
"""

from __future__ import annotations

import time
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
)
from trunkline.cli.proxies import (
    addresses,
    call_ids,
    call_messages,
    find_call,
    message_of,
    moment,
    proxy_workers,
    recent_calls,
    story,
)
from trunkline.cli.rpc import as_list
from trunkline.errors import TrunklineError
from trunkline.net.control import Json
from trunkline.observe.ladder import clock
from trunkline.observe.text import printable

__all__ = ["COLUMNS", "EXAMPLES", "call_cells", "explain", "print_story"]

EXAMPLES = """\b
Examples:
  trunkline explain                the newest calls
  trunkline explain 3848276298     one, by how its Call-ID begins
  trunkline explain 3848 --ladder  with its messages drawn
"""
"""What the help shows at its end."""

_ABSENT = {"lab.no-calls", "store.no-such-call"}
"""Errors that say of the exchanges what `explain.no-call` says of the proxies."""
_NARROW = 30
"""Characters that a step's text needs beside its time and kind; with less it goes beneath them."""
COLUMNS = ("Time", "Request", "From", "To", "Status", "Messages", "Call-ID")
"""What `call_cells` gives."""
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
            help="The call's Call-ID, or its id at an exchange, or the beginning of it; without it,"
            " the newest are listed.",
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
    """Tell what became of a call: its route, DNS, edits, branches and timers; what it cost."""
    try:
        _explain_sip(call_id, node, network, ladder, limit, as_json)
    except TrunklineError as problem:
        if node or problem.code not in ("lab.not-up", "explain.no-call"):
            raise
        try:
            _explain_isup(call_id, network, limit, as_json)
        except TrunklineError as other:
            absent = {"lab.no-calls"} if problem.code == "lab.not-up" else _ABSENT
            raise (problem if other.code in absent else other) from None


def _explain_isup(call_id: str | None, network: str | None, limit: int, as_json: bool) -> None:
    """Print the record of a call of an exchange, or the newest records."""
    from trunkline.cli.calls import print_record, print_records
    from trunkline.lab.calls import call_record, call_records  # SQLAlchemy is heavy

    if call_id:
        record = call_record(network, call_id)
        if as_json:
            print_json(record.to_json())
        else:
            print_record(record)
        return
    records = call_records(network, limit)
    if as_json:
        print_json([record.to_json() for record in records])
    elif records:
        print_records(records)
    else:
        typer.echo("no calls yet")


def _explain_sip(
    call_id: str | None,
    node: str | None,
    network: str | None,
    ladder: bool,
    limit: int,
    as_json: bool,
) -> None:
    with proxy_workers(node, network) as workers:
        if call_id is None:
            _list(recent_calls(workers, limit), as_json)
            return
        call = find_call(workers, call_id)
        found = str(call["call_id"])
        steps = story(workers, found)
        if as_json:
            print_json({**call, "steps": steps})
            return
        out = console()
        _print_call(out, call)
        if ladder:
            from trunkline.cli.ladders import print_ladder

            out.print()
            messages = [message_of(answer) for answer in call_messages(workers, found)]
            print_ladder(out, messages, addresses(workers))
        _print_steps(out, steps)


# --- for people


def print_story(out: Console, call: dict[str, Json], steps: list[dict[str, Json]]) -> None:
    """Print a call and its steps."""
    _print_call(out, call)
    _print_steps(out, steps)


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
            line = Text(f"{clock(moment(call))}  {printable(str(call['method']))} {who}  ")
            _print_line(out, line, _status(call))
            _print_line(out, Text("  "), _call_id(call))
        return
    table = grid(*COLUMNS)
    for call in calls:
        table.add_row(*call_cells(call))
    for column in table.columns[:-1]:
        column.min_width = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
    print_table(out if out.is_terminal else Console(width=_PIPED), table)


def call_cells(call: dict[str, Json]) -> tuple[Text, ...]:
    """A call's row of the list."""
    return (
        Text(clock(moment(call))),
        Text(printable(str(call["method"]))),
        Text(_user(call["caller"])),
        Text(_user(call["called"])),
        _status(call),
        Text(str(call["messages"])),
        _call_id(call),
    )


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
    began = moment(call)
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
    begin = moment(steps[0]) if steps else 0.0
    width = max((len(_place(step)) for step in steps), default=0) + 2 if len(places) > 1 else 0
    for step in steps:
        kind, text = str(step["kind"]), printable(str(step["text"]))
        if kind == "received" and not text[:1].isdigit():
            out.print()  # a request: something new begins
        place = f"{_place(step):{width}}" if width else ""
        head = Text.assemble(
            (f"{moment(step) - begin:8.3f}  ", "dim"), place, (f"{kind:14}", _STYLES.get(kind, ""))
        )
        _print_line(out, head, Text(text, style="bold" if kind == "answered" else ""))
        for detail in as_list(step["details"]):
            line = printable(str(detail))
            edit = line[:1] if kind == "sent" else ""
            style = {"+": "green", "-": "red"}.get(edit, "dim")
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
