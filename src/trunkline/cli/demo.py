"""``trunkline demo``: the main job in under a minute; every verdict is from the nodes' counters."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from trunkline.cli.output import JsonOption, console, grid, print_json, print_table
from trunkline.errors import TrunklineError
from trunkline.lab.answers import Counters
from trunkline.lab.client import LabClient
from trunkline.lab.demo import Demo, Report, Step, View
from trunkline.lab.drawing import Box, Edge, draw
from trunkline.lab.lifecycle import bring_down
from trunkline.lab.network import Network, find_network, read_network
from trunkline.lab.status import LinkView, link_views
from trunkline.lab.topology import TopologyLink, find_topology

__all__ = ["demo"]

_REFRESH = 0.2
_WAIT = 86400.0


def demo(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help=r"A network file with a \[demo] table.", show_default=False
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Take the network down at the end, and leave.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a network up, call across it, cut a link, see the way round, and heal it.

    The exit status is 0 only when every counter agrees.
    """
    network = read_network(find_network(file))
    out = console()
    view: View
    if as_json:
        view = _QuietView()
    elif out.is_terminal:
        view = _LiveView(network, out)
    else:
        view = _PlainView(out)
    run = Demo(network, view)
    for number in (signal.SIGTERM, signal.SIGHUP):  # leave by the same door as with Ctrl-C
        signal.signal(number, signal.default_int_handler)
    try:
        try:
            if isinstance(view, _LiveView):
                with view:
                    report = run.run()
            else:
                report = run.run()
            if as_json:
                print_json(report.to_json())
            else:
                _print_report(out, report)
            if report.ok and not once:
                _stay(network, out, as_json)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    finally:
        if run.started:
            bring_down(network.name)
    if not report.ok:
        raise typer.Exit(1)


def _stay(network: Network, out: Console, as_json: bool) -> None:
    if not as_json:
        node = next(iter(network.routers))
        out.print("\nThe network stays up. In another terminal:", style="bold")
        for line in (
            f"trunkline shell {node}",
            f"trunkline exec {node} 'show cs7 route'",
            "trunkline lab status",
            "trunkline calls",
        ):
            out.print(f"  {line}", markup=False)
        out.print("Ctrl-C ends it.", style="dim")
    try:
        time.sleep(_WAIT)
    except KeyboardInterrupt:
        if not as_json:
            out.print(f"\n{network.name} goes down …", markup=False)


class _QuietView:
    """Nobody watches."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def note(self, text: str) -> None:
        """Something went on."""

    def links(self, views: Sequence[LinkView]) -> None:
        """The links, while they are being waited for."""

    def end(self, step: Step) -> None:
        """A step has its verdict."""


class _PlainView:
    """Plain lines, for pipes and logs."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._began = time.monotonic()
        self._layers = ""

    def begin(self, step: Step) -> None:
        self._line(step.title)

    def note(self, text: str) -> None:
        self._line(f"  {text}")

    def links(self, views: Sequence[LinkView]) -> None:
        counts = (
            ("SCTP", sum(view.sctp_up for view in views)),
            ("M2PA", sum(view.m2pa_up for view in views)),
            ("MTP3", sum(view.up for view in views)),
        )
        layers = ", ".join(f"{layer} {count}/{len(views)}" for layer, count in counts)
        if layers != self._layers:
            self._layers = layers
            self._line(f"  links: {layers}")

    def end(self, step: Step) -> None:
        for check in step.checks:
            self._line(f"  {'ok  ' if check.ok else 'FAIL'} {check.text}")

    def _line(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._out.print(f"{seconds:6.1f}  {text}", markup=False, soft_wrap=True)


class _LiveView:
    """The network, redrawn while the steps pass by above it."""

    def __init__(self, network: Network, out: Console) -> None:
        self._network = network
        self._out = out
        self._topology = find_topology(network)
        self._began = time.monotonic()
        self._step: Step | None = None
        self._note = ""
        self._answering: set[str] = set()
        self._views: list[LinkView] = []
        self._counters: dict[str, Counters] = {}
        self._spinner = Spinner("dots")
        self._live = Live(
            get_renderable=self._render, console=out, refresh_per_second=8, transient=True
        )
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="demo-watch", daemon=True)

    def __enter__(self) -> _LiveView:
        self._live.start()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join(2.0)
        self._live.stop()

    # what the script tells

    def begin(self, step: Step) -> None:
        self._step, self._note = step, ""

    def note(self, text: str) -> None:
        self._note = text

    def links(self, views: Sequence[LinkView]) -> None:
        self._views = list(views)

    def end(self, step: Step) -> None:
        self._step = None
        self._out.print(
            Text.assemble(
                _mark(step.ok), " ", (step.title, "bold"), (f"  {step.seconds:.1f} s", "dim")
            )
        )
        for check in step.checks:
            self._out.print(
                Text.assemble("   ", _mark(check.ok), " ", (check.text, "" if check.ok else "red"))
            )

    # what the nodes tell

    def _watch(self) -> None:
        """Ask the nodes by connections of its own; what does not answer is shown as such."""
        with LabClient(self._network.name, self._network.routers, timeout=2.0) as client:
            while not self._stop.wait(_REFRESH):
                statuses = client.statuses()
                self._answering = {name for name, status in statuses.items() if status}
                self._views = link_views(self._topology, statuses)
                for name in self._answering:
                    try:
                        self._counters[name] = client.counters(name)
                    except TrunklineError:
                        self._counters.pop(name, None)

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [Text()]
        picture = draw(
            [
                Box(
                    node.name,
                    (node.point_code_text,),
                    style="" if node.name in self._answering else "dim",
                    double=node.exchange,
                )
                for node in self._network.routers.values()
            ],
            [self._edge(pair, links) for pair, links in self._topology.linksets().items()],
        )
        if picture.width <= self._out.width:
            parts += [
                Text.assemble(*((text, style) for text, style in spans), no_wrap=True)
                for spans in picture.spans()
            ]
            parts.append(Text())
        if self._answering:
            parts += [self._table(), Text()]
        if self._step is not None:
            seconds = time.monotonic() - self._began
            note = f"  {self._note}" if self._note else ""
            self._spinner.update(
                text=Text.assemble((self._step.title, "bold"), (f"{note}  {seconds:.0f} s", "dim"))
            )
            parts.append(self._spinner)
        return Group(*parts)

    def _edge(self, pair: tuple[str, str], links: list[TopologyLink]) -> Edge:
        name = f"{pair[0]}-{pair[1]}"
        views = [view for view in self._views if view.pair == name and any(view.ends)]
        if not views:
            return Edge(*pair, style="dim")
        if any(view.blocked for view in views):
            return Edge(*pair, label="✕", style="red")
        if all(view.up for view in views):
            return Edge(*pair, label=f"×{len(views)}" if len(views) > 1 else "", style="green")
        if all(view.m2pa_up for view in views):
            return Edge(*pair, label="M2PA", style="yellow")
        if all(view.sctp_up for view in views):
            return Edge(*pair, label="SCTP", style="yellow")
        return Edge(*pair, label="…", style="red")

    def _table(self) -> Table:
        table = grid("Link", "SCTP", "M2PA", "MTP3", "MSUs →", "MSUs ←")
        for link, view in zip(self._topology.links, self._views, strict=False):
            first, second = link.ends
            counts = [
                self._counters[far.node].received(far.linkset, far.slc)
                if far.node in self._counters
                else 0
                for far in (second, first)
            ]
            table.add_row(
                f"{first.node} → {second.node}",
                Text(view.sctp, style="green" if view.sctp_up else "yellow"),
                Text(view.m2pa, style="green" if view.m2pa_up else "yellow"),
                Text(view.mtp3, style="green" if view.up else "yellow"),
                f"{counts[0]:6d}",
                f"{counts[1]:6d}",
            )
        return table


# --- the end


def _mark(ok: bool) -> tuple[str, str]:
    return ("✓", "green") if ok else ("✗", "bold red")


def _print_report(out: Console, report: Report) -> None:
    from trunkline.cli.calls import print_records

    if report.traffic:
        out.print("\nTest messages that each link carried, there and back", style="bold")
        names = list(report.traffic[0].links)
        table = grid("", *names, "answered", "lost")
        for traffic in report.traffic:
            table.add_row(
                traffic.phase,
                *(f"{there} {back}" for there, back in (traffic.links[n] for n in names)),
                f"{traffic.received} of {traffic.sent}",
                str(traffic.lost),
            )
        print_table(out, table)
    if report.calls:
        out.print("\nCall records", style="bold")
        print_records(report.calls)
    failed = [step for step in report.steps if not step.ok]
    out.print()
    if report.ok:
        checks = sum(len(step.checks) for step in report.steps)
        out.print(
            f"All {checks} checks agree with the nodes' counters ({report.seconds:.1f} s).",
            style="bold green",
        )
    else:
        for step in failed:
            out.print(f"Failed: {step.title}", style="bold red", markup=False)
            for check in step.checks:
                if not check.ok:
                    out.print(f"  {check.text}", style="red", markup=False)
        sys.stdout.flush()
