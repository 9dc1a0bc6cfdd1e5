"""``trunkline sip status`` and ``sip reload``: proxies that are up, and their scripts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from itertools import groupby

import typer
from rich.console import Console
from rich.text import Text

from trunkline.cli.output import (
    JsonOption,
    NetworkOption,
    console,
    duration,
    grid,
    print_json,
    print_table,
)
from trunkline.cli.proxies import OptionalProxyArgument, ProxyArgument, Worker, proxy_workers
from trunkline.cli.rpc import as_dict, as_list
from trunkline.errors import TrunklineError
from trunkline.net.control import Json

__all__ = ["reload", "status"]

_PATIENCE = 75.0
"""Seconds that the workers have to take a script over; its start handlers have 60 of them."""
_POLL = 0.05


def status(
    node: OptionalProxyArgument = None,
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show proxies: where they listen, what their workers do, what went wrong.

    Exit code 0: every worker answers; 1: one does not.
    """
    with proxy_workers(node, network) as workers:
        found = [
            _node_status([*group])
            for _, group in groupby(workers, key=lambda w: (w.node.network, w.node.name))
        ]
    if as_json:
        print_json(found)
    else:
        out = console()
        for number, each in enumerate(found):
            if number:
                out.print()
            _print_node(out, each)
    if any(as_list(each["silent"]) for each in found):
        raise typer.Exit(1)


def _node_status(workers: list[Worker]) -> dict[str, Json]:
    """One proxy: its workers' statuses and counters, and the counters' sums."""
    counters = [as_dict(worker.client.call("node.counters")) for worker in workers]
    first = workers[0]
    answering = {worker.index for worker in workers}
    count = first.status.get("workers")
    silent = [n for n in range(count if isinstance(count, int) else 1) if n not in answering]
    return {
        "network": first.node.network,
        "node": first.node.name,
        "version": first.status.get("version"),
        "script": first.status.get("script"),
        "listen": first.status.get("listen"),
        "counters": _sum(counters),
        "workers": [
            {**worker.status, "counters": own}
            for worker, own in zip(workers, counters, strict=True)
        ],
        "silent": [*silent],
    }


def _sum(parts: Iterable[Mapping[str, Json]]) -> dict[str, Json]:
    """The parts, number by number."""
    total: dict[str, Json] = {}
    for part in parts:
        for name, value in part.items():
            known = total.get(name)
            if isinstance(value, dict):
                total[name] = _sum([as_dict(known), value])
            elif isinstance(value, int | float):
                total[name] = value + (known if isinstance(known, int | float) else 0)
    return total


def reload(
    node: ProxyArgument,
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load a proxy's routing script anew, in all workers, without losing a call.

    One that cannot be used is refused with its traceback, and the present one stays.
    """
    with proxy_workers(node, network) as workers:
        name = workers[0].node.name
        before = {worker.index: _versions(worker) for worker in workers}
        try:
            with Console(stderr=True).status(f"{name} loads the script"):
                answer = as_dict(workers[0].client.call("script.reload", timeout=_PATIENCE))
        except TrunklineError as problem:
            if problem.code == "control.timeout":
                raise TrunklineError(
                    problem.code,
                    f"{name} is still loading the script after {_PATIENCE:g} s: its log says what"
                    " became of it",
                ) from problem
            raise TrunklineError(
                problem.code, f"{name} stays with the script that it has: {problem.message}"
            ) from problem
        deadline = time.monotonic() + _PATIENCE
        late = list(workers)
        while late := [each for each in late if _versions(each) == before[each.index]]:
            if time.monotonic() > deadline:
                raise TrunklineError("script.error", _late(name, late))
            time.sleep(_POLL)
        stayed = [each for each in workers if _versions(each)[1] != before[each.index][1]]
        if stayed:
            raise TrunklineError("script.error", _late(name, stayed))
    if as_json:
        print_json({"node": name, "script": answer.get("script"), "workers": len(workers)})
        return
    who = "" if len(workers) == 1 else f" in {len(workers)} workers"
    typer.echo(f"{name} now runs {answer.get('script')}{who}")


def _versions(worker: Worker) -> tuple[Json, Json]:
    """How many scripts took over in a worker, and how many could not."""
    status = as_dict(worker.client.call("node.status"))
    return status.get("reloads"), status.get("refusals")


def _late(name: str, late: list[Worker]) -> str:
    """Which workers have not taken the script over, and what the first of them says."""
    numbers = ", ".join(str(worker.index) for worker in late)
    lines = [str(line) for line in as_list(late[0].client.call("node.log"))]
    refused = [line for line in lines if "%SCRIPT-3-REFUSED" in line]
    reason = f":\n{refused[-1]}" if refused else ""
    plural = "s" if len(late) > 1 else ""
    return f"{name}: worker{plural} {numbers} stayed with the script before{reason}"


# --- for people


def _print_node(out: Console, found: dict[str, Json]) -> None:
    workers = [as_dict(each) for each in as_list(found["workers"])]
    heading = Text(str(found["node"]), style="bold")
    heading.append(f"  SIP proxy in {found['network']}, Trunkline {found['version']}", style="dim")
    out.print(heading)
    out.print(Text(f"script {found['script']}, {_times(workers)}"), soft_wrap=True)
    out.print()
    listen = grid("Listens on")
    for item in map(as_dict, as_list(found["listen"])):
        address, advertised = str(item.get("address")), str(item.get("advertised"))
        outside = "" if advertised == address else f" as {advertised}"
        listen.add_row(f"{item.get('transport')} {address}{outside}")
    print_table(out, listen)
    out.print()
    _print_workers(out, found, workers)
    _print_troubles(out, found)


def _times(workers: list[dict[str, Json]]) -> str:
    count = max((n for each in workers if isinstance(n := each.get("reloads"), int)), default=0)
    return {0: "not reloaded yet", 1: "reloaded once"}.get(count, f"reloaded {count} times")


_COLUMNS = {
    "Requests": ("transactions", "requests"),
    "Sent on": ("transactions", "sent"),
    "Responses": ("transactions", "responses"),
    "Resent": ("transactions", "retransmitted"),
    "Repeats": ("transactions", "absorbed"),
    "Under way": ("transactions", "servers"),
}
_STATELESS = {
    "Requests": ("stateless", "requests"),
    "Responses": ("stateless", "responses"),
    "Answered": ("stateless", "answered"),
}
_STRAYS = {
    "Handed over": ("workers", "handed_over"),
    "Lost over": ("workers", "dropped"),
}


def _print_workers(out: Console, found: dict[str, Json], workers: list[dict[str, Json]]) -> None:
    several = len(workers) > 1
    columns = _STATELESS if "stateless" in as_dict(found["counters"]) else _COLUMNS
    if several:
        columns = {**columns, **_STRAYS}
    table = grid("Worker", "Pid", "Up for", *columns)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in workers:
        counters = as_dict(each.get("counters"))
        table.add_row(
            str(each.get("worker")),
            str(each.get("pid")),
            duration(float(str(each.get("uptime", 0)))),
            *(_count(counters, where) for where in columns.values()),
        )
    if several:
        counters = as_dict(found["counters"])
        sums = [_count(counters, where) for where in columns.values()]
        table.add_row("all", "", "", *sums, style="bold")
    print_table(out, table)
    for index in as_list(found["silent"]):
        out.print(f"worker {index} does not answer", style="red", markup=False)


def _count(counters: Mapping[str, Json], where: tuple[str, str]) -> str:
    return str(as_dict(counters.get(where[0])).get(where[1], 0))


def _print_troubles(out: Console, found: dict[str, Json]) -> None:
    counters = as_dict(found["counters"])
    script, recorder = as_dict(counters.get("script")), as_dict(counters.get("recorder"))
    troubles = {
        **_each("script: {}() raised", script.get("errors")),
        "script: no decision": script.get("undecided"),
        **_each("refused: {}", counters.get("refused")),
        "refused: too many at once": as_dict(counters.get("transactions")).get("refused"),
        **_each("discarded: {}", counters.get("discarded")),
        "fault of Trunkline's own, contained": script.get("faults"),
        "not remembered, because of the load": recorder.get("passed_over"),
        **_each("HEP: packets {}", {**as_dict(counters.get("hep")), "sent": 0}),
    }
    table = grid("Went wrong", "Times")
    for name, count in troubles.items():
        if count:
            table.add_row(Text(name, style="yellow"), str(count))
    if table.rows:
        out.print()
        print_table(out, table)


def _each(text: str, counts: Json) -> dict[str, Json]:
    return {text.format(name): count for name, count in as_dict(counts).items()}
