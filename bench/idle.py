"""What a lab costs that does nothing: four countries' nodes, as the course types them.

CPU of all processes over some seconds, as a share of one core, and each node's memory. The rest
says why: how often a node wakes up (voluntary context switches), and what crosses its transport
seam meanwhile (heartbeats, link tests).

    python -m bench.idle [--seconds 20] [--runs 3] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from unittest import mock

from bench.figures import Figure, show
from bench.processes import cpu_of, memory_of, switches_of
from trunkline.lab.client import LabClient
from trunkline.lab.lifecycle import bring_down, bring_up
from trunkline.lab.network import Network, read_network
from trunkline.lab.status import await_links
from trunkline.net.control import Json

__all__ = ["measure", "running_lab"]

_EXAMPLE = Path(__file__).parents[1] / "examples" / "four-countries"
_COUNTRIES = ("CountryA", "CountryB", "CountryC", "CountryD")
_UDP_PORT = 19897
_PATIENCE = 40.0
_SETTLE = 3.0


@contextmanager
def running_lab(file: Path) -> Iterator[Network]:
    """Bring the network of ``file`` up in folders of its own; down at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": name, "XDG_STATE_HOME": name}),
    ):
        network = read_network(file)
        bring_up(network)
        try:
            status = await_links(network, _PATIENCE)
            if not status.all_up:
                raise RuntimeError(f"the links of {network.name} do not come up")
            yield network
        finally:
            bring_down(network.name)


@dataclass(frozen=True, slots=True)
class _Reading:
    time: float
    cpu: dict[str, float]
    switches: dict[str, int]
    seam: dict[str, dict[str, int]]


def _read(client: LabClient, pids: dict[str, int]) -> _Reading:
    def seam(node: str) -> dict[str, int]:
        counters = cast("dict[str, Json]", client.call(node, "node.counters"))
        return cast("dict[str, int]", counters["seam"])

    return _Reading(
        time.perf_counter(),
        {node: cpu_of(pid) for node, pid in pids.items()},
        {node: switches_of(pid) for node, pid in pids.items()},
        {node: seam(node) for node in pids},
    )


def measure(
    seconds: float = 20.0, runs: int = 3, progress: Callable[[str], None] = lambda _: None
) -> dict[str, dict[str, Figure]]:
    """CPU of the lab in percent of one core; of a node megabytes, wake-ups and packets a second."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        file = Path(name) / "network.toml"
        lines = ["[network]", 'name = "bench-idle"', "[sctp]", f"udp_port = {_UDP_PORT}"]
        for node in _COUNTRIES:
            lines += [f"[node.{node}]", f'config = ["{_EXAMPLE}/seed/{node}.cfg"]']
        file.write_text("\n".join(lines) + "\n")
        with running_lab(file) as network, LabClient(network.name, network.nodes) as client:
            pids = {node: client.status(node).pid for node in network.nodes}
            progress("idle lab: settling")
            time.sleep(_SETTLE)
            readings = [_read(client, pids)]
            for number in range(runs):
                progress(f"idle lab, {seconds:.0f} s, run {number + 1} of {runs}")
                time.sleep(seconds)
                readings.append(_read(client, pids))
            memory = [memory_of(pid) for pid in pids.values()]
    cpu: list[float] = []
    wakes: list[float] = []
    packets: list[float] = []
    for before, after in itertools.pairwise(readings):
        span = after.time - before.time
        cpu.append(100 * sum(after.cpu[n] - before.cpu[n] for n in pids) / span)
        for node in pids:
            wakes.append((after.switches[node] - before.switches[node]) / span)
            crossed = [
                r.seam[node]["packets_in"] + r.seam[node]["packets_out"] for r in (before, after)
            ]
            packets.append((crossed[1] - crossed[0]) / span)
    return {
        "lab": {"cpu": Figure.of(cpu)},
        "node": {
            "memory": Figure.of(memory),
            "wakeups": Figure.of(wakes),
            "packets": Figure.of(packets),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show(measure(options.seconds, options.runs), as_json=options.json)


if __name__ == "__main__":
    main()
