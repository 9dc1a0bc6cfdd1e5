"""``trunkline lab``: networks that run as they are, one process per node, on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trunkline.cli.output import (
    JsonOption,
    NetworkOption,
    console,
    duration,
    error_console,
    grid,
    print_json,
    print_table,
)
from trunkline.cli.rpc import LinkArgument, lab_client
from trunkline.errors import TrunklineError
from trunkline.lab import graph as graphs
from trunkline.lab.answers import Listener
from trunkline.lab.check import Report, check_network
from trunkline.lab.faults import set_broken
from trunkline.lab.graph import PictureEdge
from trunkline.lab.lifecycle import bring_down, bring_up, running_network
from trunkline.lab.network import find_network, read_network
from trunkline.lab.proxies import listen_problems
from trunkline.lab.status import (
    ChargingView,
    LabStatus,
    LinkView,
    NodeView,
    ProxyView,
    await_links,
    lab_status,
)
from trunkline.lab.topology import TopologyLink, find_topology

__all__ = ["app"]

app = typer.Typer(
    name="lab",
    help="Run, watch and disturb whole networks on this machine.",
    no_args_is_help=True,
)

FileArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE",
        help="The network file; without it, the four countries.",
        show_default=False,
    ),
]

_LINKS_PATIENCE = 15.0


@app.command()
def up(
    file: FileArgument = None,
    netns: Annotated[
        bool,
        typer.Option("--netns", help="As root: the real addresses, in network namespaces."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start every node of a network, and wait until all of them answer."""
    network = read_network(find_network(file))
    topology = find_topology(network)
    notes = error_console()
    for problem in (*network.warnings, *topology.problems, *listen_problems(network)):
        notes.print(f"warning: {problem}", markup=False, style="yellow")
    with notes.status(f"starting {len(network.nodes)} nodes of {network.name} …") as spinner:
        started: list[str] = []

        def progress(node: str) -> None:
            started.append(node)
            spinner.update(f"{len(started)} of {len(network.nodes)} nodes answer …")

        bring_up(network, real_addresses=netns, progress=progress)
        if network.routers:
            spinner.update("links are coming up …")
        status = await_links(network, _LINKS_PATIENCE)
    _print_status(status, as_json)
    if not as_json:
        hints = [f"trunkline shell {name}" for name in (*network.routers,)[:1]]
        hints += ["trunkline sip trace"] if network.proxies else []
        notes.print(f"next: {', '.join(hints)}", style="dim")


@app.command()
def down(network: NetworkOption = None, as_json: JsonOption = False) -> None:
    """End a network's processes, and only those."""
    name = network or running_network(None).network
    ended = bring_down(name)
    if as_json:
        print_json({"network": name, "ended": ended})
    elif ended:
        typer.echo(f"{name} is down")
    else:
        raise TrunklineError("lab.not-up", f"network {name} is not up")


@app.command()
def status(network: NetworkOption = None, as_json: JsonOption = False) -> None:
    """Show nodes, links and SIP proxies; the exit status is 0 only when all of them are up."""
    found = lab_status(running_network(network))
    _print_status(found, as_json)
    if not found.all_up:
        raise typer.Exit(1)


@app.command()
def check(file: FileArgument = None, as_json: JsonOption = False) -> None:
    """Find what will not work, without starting anything.

    Of routers: every pair of point codes that cannot talk, and the lines that would mend it. Of SIP
    proxies: what of their scripts and files cannot be used, and addresses that two listen on.
    """
    report = check_network(read_network(find_network(file)))
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report)
    if not report.sound:
        raise typer.Exit(1)


class GraphFormat(StrEnum):
    """What ``lab graph`` draws."""

    text = "text"
    dot = "dot"
    mermaid = "mermaid"
    svg = "svg"


@app.command()
def graph(
    file: FileArgument = None,
    kind: Annotated[
        GraphFormat, typer.Option("--format", "-f", help="How to draw it.")
    ] = GraphFormat.text,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write into this file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw routers with the present state of their links, SIP proxies with where they listen."""
    picture = graphs.picture(read_network(find_network(file)))
    if as_json:
        print_json(picture.to_json())
        return
    if kind is GraphFormat.text and output is None:
        out = console()
        out.print(f"{picture.title}: {picture.summary}\n", markup=False)
        for spans in graphs.text_drawing(picture).spans():
            line = Text.assemble(*((part, style) for part, style in spans))
            line.rstrip()
            out.print(line, soft_wrap=True)
        _print_edges(out, picture.edges)
        return
    text = {
        GraphFormat.text: lambda: str(graphs.text_drawing(picture)) + "\n",
        GraphFormat.dot: lambda: graphs.dot(picture),
        GraphFormat.mermaid: lambda: graphs.mermaid(picture),
        GraphFormat.svg: lambda: graphs.svg(picture),
    }[kind]()
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        error_console().print(f"trunkline: {output}: {error.strerror}", markup=False)
        raise typer.Exit(1) from None


@app.command("break")
def break_link(
    link: LinkArgument, network: NetworkOption = None, as_json: JsonOption = False
) -> None:
    """Cut a link: nothing passes in either direction until it is healed."""
    _set_blocked(link, network, True, as_json)


@app.command("heal")
def heal_link(
    link: LinkArgument, network: NetworkOption = None, as_json: JsonOption = False
) -> None:
    """Mend a link that was cut."""
    _set_blocked(link, network, False, as_json)


def _set_blocked(link: str, network: str | None, blocked: bool, as_json: bool) -> None:
    with lab_client(network) as client:
        found = _resolve(link, client.network)
        missed = set_broken(running_network(client.network), client, found, blocked)
    verb = "broken" if blocked else "healed"
    if as_json:
        print_json({"links": [x.name for x in found], "blocked": blocked})
        return
    for one in found:
        typer.echo(f"{one.name} is {verb}")
    for end in missed:
        typer.echo(f"note: {end.node} did not answer; its end is as it was", err=True)


@app.command()
def capture(
    link: LinkArgument,
    file: Annotated[Path, typer.Argument(help="The capture file to write (pcap).")],
    network: NetworkOption = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", "-s", min=0.0, help="Stop by itself after so long.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write what a link really sends and receives, seen at the node named first.

    The packets carry the configuration's addresses; Wireshark needs no settings for them. Ends
    with Ctrl-C or after --seconds.
    """
    with lab_client(network) as client:
        found = _resolve(link, client.network)
        node = found[0].first.node
        if len(found) > 1:
            names = ", ".join(one.name for one in found)
            raise TrunklineError("lab.which-link", f"{link} has several links: choose of {names}")
        end = found[0].first
        client.call(
            node,
            "capture.start",
            {"file": str(file.absolute()), "linkset": end.linkset, "slc": end.slc},
        )
        try:
            if not as_json:
                until = "; Ctrl-C ends it" if seconds is None else ""
                error_console().print(f"capturing {link} at {node}{until} …", markup=False)
            time.sleep(seconds if seconds is not None else 365 * 86400)
        except KeyboardInterrupt:
            pass
        finally:
            answer = client.call(node, "capture.stop")
    counts = answer if isinstance(answer, dict) else {}
    if as_json:
        print_json({"file": str(file), "node": node, **counts})
    else:
        dropped = counts.get("dropped")
        lost = f" ({dropped} could not be kept)" if dropped else ""
        typer.echo(f"{counts.get('packets', 0)} packets in {file}{lost}")


def _resolve(link: str, network: str) -> list[TopologyLink]:
    state = running_network(network)
    return find_topology(read_network(Path(state.file))).resolve(link)


# --- for people


def _print_status(found: LabStatus, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    out = console()
    columns = (
        "Node",
        *(["Point code"] if found.nodes else []),
        "Role",
        "Pid",
        "Up for",
        "Restarts",
    )
    nodes = grid(*columns)
    for node in found.nodes:
        role = Text("exchange" if node.exchange else "transfer point")
        if node.charging is False:
            role.append(", charging is out of reach", style="red")
        nodes.add_row(Text(node.name, style="bold"), node.point_code, role, *_process(node))
    for proxy in found.proxies:
        code = ["–"] if found.nodes else []
        nodes.add_row(Text(proxy.name, style="bold"), *code, "SIP proxy", *_process(proxy))
    for charger in found.charging:
        code = ["–"] if found.nodes else []
        nodes.add_row(Text(charger.name, style="bold"), *code, "charging", *_process(charger))
    print_table(out, nodes)
    if found.charging:
        out.print()
        print_table(out, _charging_table(found))
    if found.proxies:
        out.print()
        print_table(out, _proxy_table(found))
    if found.links:
        out.print()
        print_table(out, link_table(found.links))


def _charging_table(found: LabStatus) -> Table:
    table = grid("Charging", "Listens on", "Tariff")
    for node in found.charging:
        places = "\n".join(f"{item.transport} {item.address}" for item in node.listen)
        table.add_row(Text(node.name, style="bold"), places, node.tariff)
    return table


def _process(node: NodeView | ProxyView | ChargingView) -> tuple[str, str | Text, str]:
    up = duration(node.uptime) if node.answers else Text("no answer", style="red")
    return str(node.pid or "–"), up, str(node.restarts)


def _proxy_table(found: LabStatus) -> Table:
    table = grid("Proxy", "Listens on", "Workers", "Script", "Requests", "Errors")
    for column in table.columns[-2:]:
        column.justify = "right"
    for column in table.columns[1], table.columns[3]:  # these give way where there is no room
        column.no_wrap, column.overflow = False, "fold"
    for proxy in found.proxies:
        all_work = proxy.well or not proxy.answers
        table.add_row(
            Text(proxy.name, style="bold"),
            "\n".join(_listener(item) for item in proxy.listen),
            Text(f"{proxy.working} of {proxy.workers}", style="" if all_work else "red"),
            os.path.relpath(proxy.script, Path(found.file).parent),
            str(proxy.requests),
            Text(str(proxy.errors), style="yellow" if proxy.errors else ""),
        )
    return table


def _listener(item: Listener) -> str:
    other = f" as {item.advertised}" if item.advertised != item.address else ""
    return f"{item.transport} {item.address}{other}"


def _print_edges(out: Console, edges: Sequence[PictureEdge]) -> None:
    links = grid("Link", "Linksets", "SLC", "Addresses", "State")
    ways = grid("From", "To", "By the setting", "")
    for edge in edges:
        for link in edge.links:
            links.add_row(
                edge.name,
                f"{link.first.linkset} – {link.second.linkset}",
                str(link.first.slc),
                f"{_address(link, 0)} – {_address(link, 1)}",
                Text(edge.state or "–", style=edge.style),
            )
        for way in edge.ways:
            ways.add_row(way.first, way.second, way.setting, way.value)
    for table in (links, ways):
        if table.rows:
            out.print()
            print_table(out, table)


def link_table(links: list[LinkView]) -> Table:
    """The links layer by layer, both ends' states joined."""
    table = grid("Link", "SLC", "SCTP", "M2PA", "MTP3", "")
    for link in links:
        table.add_row(
            Text(link.pair, style="bold"),
            str(link.slc),
            _state(link.sctp, link.sctp_up),
            _state(link.m2pa, link.m2pa_up),
            _state(link.mtp3, link.up),
            Text("cut", style="red") if link.blocked else "",
        )
    return table


def _state(text: str, good: bool) -> Text:
    return Text(text, style="green" if good else "yellow")


def _address(link: TopologyLink, side: int) -> str:
    end = link.ends[side]
    return f"{'/'.join(end.local)}:{end.local_port}"


def _print_report(report: Report) -> None:
    out = console()
    for problem in report.problems:
        out.print(f"{problem}\n", markup=False, style="yellow", soft_wrap=True)
    if report.sound:
        for text in _findings(report):
            out.print(f"{report.network}: {text}", style="green", markup=False, soft_wrap=True)
        return
    if report.pairs:
        out.print(
            f"{report.network}: {len(report.pairs)} of {report.checked} ordered pairs of point "
            "codes cannot talk\n",
            style="bold",
            markup=False,
        )
        table = grid("From", "To", "There", "Back")
        for pair in report.pairs:
            table.add_row(
                f"{pair.origin} {pair.opc}",
                f"{pair.destination} {pair.dpc}",
                Text("arrives", style="green") if pair.there.arrives else Text(str(pair.there)),
                Text("arrives", style="green") if pair.back.arrives else Text(str(pair.back)),
            )
        print_table(out, table)
        out.print()
        _print_mends(out, report)


def _findings(report: Report) -> Iterator[str]:
    """What is well in a sound network."""
    if report.nodes or not (report.proxies or report.charging):
        yield f"all {report.checked} ordered pairs of {report.nodes} point codes can talk"
    if report.proxies:
        names = ", ".join(report.proxies)
        plural = "SIP proxy" if len(report.proxies) == 1 else "SIP proxies"
        yield f"the {plural} {names} can start: scripts and files load, no address is used twice"
    if report.charging:
        names = ", ".join(report.charging)
        plural = "node" if len(report.charging) == 1 else "nodes"
        yield f"the charging {plural} {names} can start: tariffs load, no address is used twice"


def _print_mends(out: Console, report: Report) -> None:
    if not report.mends:
        out.print("No route would mend this: a link is missing.", style="yellow")
        return
    plural = "This line mends" if len(report.mends) == 1 else "These lines mend"
    out.print(f"{plural} it (under `cs7 route-table system`):\n", style="bold", markup=False)
    for mend in report.mends:
        out.print(Text.assemble("  ", (mend.line, "bold green")), soft_wrap=True)
        count = f"{mend.pairs} pair{'' if mend.pairs == 1 else 's'}"
        out.print(f"    on {mend.node}, in {mend.file} ({count})", style="dim", markup=False)
