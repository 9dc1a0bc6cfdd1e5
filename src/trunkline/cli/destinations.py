"""``trunkline sip destinations``, ``drain``, ``undrain``: sets of servers, and who gets calls."""

from __future__ import annotations

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
from trunkline.cli.proxies import ProxyArgument, proxy_workers
from trunkline.cli.rpc import as_dict, as_list
from trunkline.net.control import Json
from trunkline.observe.text import printable

__all__ = ["destinations", "drain", "undrain"]

SetOption = Annotated[
    str, typer.Option("--set", metavar="SET", help="Only this set.", show_default=False)
]
UriArgument = Annotated[
    str, typer.Argument(metavar="URI", help="The destination, as the network file writes it.")
]
_STYLES = {"up": "green", "suspect": "yellow", "down": "red"}


def destinations(
    node: ProxyArgument,
    only: SetOption = "",
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a proxy's sets of destinations: states, weights, calls, the last probe of each.

    Exit code 0: every set has a destination that gets new calls; 1: one has none.
    """
    with proxy_workers(node, network) as workers:  # what one worker knows all of them know
        answer = workers[0].client.call("sip.destinations", {"set": only})
        now = workers[0].status
    sets = [as_dict(each) for each in as_list(answer)]
    if as_json:
        print_json(sets)
    else:
        _print(sets, str(now.get("name")))
    if not all(any(map(_usable, as_list(each["destinations"]))) for each in sets):
        raise typer.Exit(1)


def _usable(destination: Json) -> bool:
    found = as_dict(destination)
    return found.get("state") != "down" and not found.get("drained")


def _print(sets: list[dict[str, Json]], node: str) -> None:
    if not sets:
        typer.echo(f"{node} has no sets of destinations")
        return
    for number, each in enumerate(sets):
        probe = each["probe"]
        how = f"probed every {probe:g} s" if isinstance(probe, int | float) else "not probed"
        table = grid(
            "Destination", "Priority", "Weight", "State", "Sent", "Failed", "Missed", "Last probe"
        )
        for column in (1, 2, 4, 5, 6):
            table.columns[column].justify = "right"
        for item in map(as_dict, as_list(each["destinations"])):
            state = str(item["state"])
            shown = Text(state, style=_STYLES[state])
            if item["drained"]:
                shown.append(", drained", style="yellow")
            table.add_row(
                Text(printable(str(item["uri"]))),
                str(item["priority"]),
                str(item["weight"]),
                shown,
                str(item["sent"]),
                str(item["failed"]),
                f"{item['missed']} of {item['probes']}",
                _probe(as_dict(item["last_probe"])),
            )
        if number:
            console().print()
        heading = Text(str(each["name"]), style="bold")
        console().print(heading.append(f"  {how}", style="dim"))
        print_table(console(), table)


def _probe(probe: dict[str, Json]) -> str:
    if not probe:
        return "none"
    seconds = probe["seconds"]
    assert isinstance(seconds, int | float), "the control method says so"
    return f"{probe['status'] or 'no answer'} after {seconds * 1000:.1f} ms"


def drain(
    node: ProxyArgument,
    uri: UriArgument,
    only: SetOption = "",
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send no new calls to a destination; requests within its dialogs go on.

    It holds until ``undrain``, or until the proxy ends.
    """
    _drain(node, uri, only, network, as_json, drained=True)


def undrain(
    node: ProxyArgument,
    uri: UriArgument,
    only: SetOption = "",
    network: NetworkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send new calls to a destination again."""
    _drain(node, uri, only, network, as_json, drained=False)


def _drain(
    node: str, uri: str, only: str, network: str | None, as_json: bool, *, drained: bool
) -> None:
    params: dict[str, Json] = {"uri": uri, "drained": drained, "set": only}
    with proxy_workers(node, network) as workers:
        answer = as_dict(workers[0].client.call("sip.drain", params))
    if as_json:
        print_json(answer)
        return
    sets = ", ".join(map(str, as_list(answer["sets"])))
    typer.echo(f"{uri} of {sets} gets {'no new calls' if drained else 'new calls again'}")
