"""The product as a signalling transfer point: M2PA in, M2PA out, 100-octet messages.

Three processes: a generator, the product's own node (``trunkline run``, from a router
configuration, with counters, link tests and acknowledgements on), a sink (``bench.stp_roles``).
A run in which a message is lost, or overtaken by another of its SLS, is no result but an error.

Its denominator is ``transport.two_hop`` in the same run: the same path without M2PA and MTP3, once
with messages of 100 octets and once with messages as long as M2PA makes them of these (117).

    python -m bench.stp [--runs 5] [--messages 200000] [--runtime cpython|pypy] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bench import stp_roles, transport
from bench.figures import Figure, show
from bench.processes import cpu_of, memory_of
from bench.runtimes import CPYTHON, Runtime, pypy
from trunkline.net.control import ControlClient, Json
from trunkline.ss7.m2pa.traffic import DATA_OVERHEAD

__all__ = ["Result", "compare", "forward"]

_CONFIG = f"""\
hostname STP
cs7 variant itu
cs7 network-indicator international
cs7 point-code {stp_roles.POINT_CODES["stp"]}
cs7 local-peer {stp_roles.PORT}
 local-ip {stp_roles.ADDRESSES["stp"]}
cs7 linkset ToGenerator {stp_roles.POINT_CODES["generator"]}
 link 0 sctp {stp_roles.ADDRESSES["generator"]} {stp_roles.PORT} {stp_roles.PORT}
cs7 linkset ToSink {stp_roles.POINT_CODES["sink"]}
 link 0 sctp {stp_roles.ADDRESSES["sink"]} {stp_roles.PORT} {stp_roles.PORT}
"""
_FILE = f"""\
[network]
name = "{stp_roles.NETWORK}"
[sctp]
backend = "udp"
udp_port = {stp_roles.UDP_PORT}
[node.STP]
config = ["stp.cfg"]
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One run. ``rate`` in messages per second, CPU in microseconds per message."""

    messages: int
    rate: float
    cpu_stp: float
    cpu_generator: float
    cpu_sink: float
    memory: float
    """Resident megabytes of the node at the end."""
    extra: Json = field(default=None, compare=False)
    """What the node itself reported (``bench.breakdown``)."""


def forward(
    messages: int = 200_000,
    *,
    size: int = 100,
    window: int = 2048,
    runtime: Runtime = CPYTHON,
    program: tuple[str, ...] = ("trunkline", "run"),
    ask: str | None = None,
) -> Result:
    """Run the node under ``runtime`` between a generator and a sink once.

    ``program`` is the module that is the node, with its arguments; ``ask`` a control method of it
    that is called at the end.

    Raises:
        RuntimeError: a message was lost, came twice or out of order.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "stp.cfg").write_text(_CONFIG)
        (folder / "network.toml").write_text(_FILE)
        places = {"XDG_RUNTIME_DIR": name, "XDG_STATE_HOME": name}
        log = folder / "log"
        with log.open("wb") as output:
            node = subprocess.Popen(
                [runtime.interpreter, "-m", *program, str(folder / "network.toml")],
                stdout=output,
                stderr=output,
                env=runtime.variables(**places),
            )
        numbers = {
            "warm-up": runtime.warm_up,
            "messages": messages,
            "size": size,
            "window": window,
        }
        options = [f"--{key}={value}" for key, value in numbers.items()]
        peers = {
            role: subprocess.Popen(
                [
                    *(CPYTHON.interpreter, "-m", "bench.stp_roles", role, *options),
                    *(["--clear"] if ask else []),
                ],
                stdout=subprocess.PIPE,
                text=True,
                env=CPYTHON.variables(**places),
            )
            for role in ("generator", "sink")
        }
        try:
            reports = {role: _outcome(role, peer, log) for role, peer in peers.items()}
            cpu = cpu_of(node.pid) - reports["generator"]["node_cpu"]
            memory = memory_of(node.pid)
            extra: Json = None
            if ask:
                socket = folder / "trunkline" / stp_roles.NETWORK / "STP.sock"
                with ControlClient(socket) as client:
                    extra = client.call(ask)
        finally:
            for peer in peers.values():
                peer.kill()
                peer.wait()
            node.terminate()
            node.wait()
    sink = reports["sink"]
    if sink["received"] != messages + runtime.warm_up or sink["disorder"]:
        raise RuntimeError(f"lost or out of order: {sink}")
    return Result(
        messages=messages,
        rate=messages / sink["seconds"],
        cpu_stp=cpu / messages * 1e6,
        cpu_generator=reports["generator"]["cpu"] / messages * 1e6,
        cpu_sink=sink["cpu"] / messages * 1e6,
        memory=memory,
        extra=extra,
    )


def _outcome(role: str, peer: subprocess.Popen[str], log: Path) -> dict[str, float]:
    try:
        output, _ = peer.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        output = ""
    if not output:
        raise RuntimeError(f"{role} does not end; the node said:\n{log.read_text()}")
    return cast("dict[str, float]", json.loads(output))


def compare(
    runs: int = 5,
    messages: int = 200_000,
    runtimes: tuple[Runtime, ...] = (CPYTHON,),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Figure]]:
    """Alternate the bare transport and the node under each runtime, ``runs`` times.

    Rates in messages per second, CPU in microseconds per message.
    """
    bare: list[transport.Result] = []
    framed: list[transport.Result] = []
    node: dict[str, list[Result]] = {runtime.name: [] for runtime in runtimes}
    for number in range(runs):
        progress(f"transfer point, run {number + 1} of {runs}")
        bare.append(transport.two_hop(messages))
        framed.append(transport.two_hop(messages, transport.Load(size=100 + DATA_OVERHEAD)))
        for runtime in runtimes:
            node[runtime.name].append(forward(messages, runtime=runtime))
    figures = {
        "transport": _ceiling(bare),
        "transport, M2PA's length": _ceiling(framed),
    }
    for name, results in node.items():
        figures[name] = {
            "rate": Figure.of([run.rate for run in results]),
            "ratio": Figure.of(_by_rate(results, bare)),
            "ratio_framed": Figure.of(_by_rate(results, framed)),
            "ratio_cpu": Figure.of(_by_cpu(results, bare)),
            "ratio_framed_cpu": Figure.of(_by_cpu(results, framed)),
            "cpu_stp": Figure.of([run.cpu_stp for run in results]),
            "cpu_ends": Figure.of([run.cpu_generator + run.cpu_sink for run in results]),
            "memory": Figure.of([run.memory for run in results]),
        }
    return figures


def _by_rate(node: list[Result], bare: list[transport.Result]) -> list[float]:
    return [mine.rate / ceiling.rate for mine, ceiling in zip(node, bare, strict=True)]


def _by_cpu(node: list[Result], bare: list[transport.Result]) -> list[float]:
    """Return what the ceiling spends as a share of what the node's run spends, all processes."""
    return [
        ceiling.cpu_total / (mine.cpu_stp + mine.cpu_generator + mine.cpu_sink)
        for mine, ceiling in zip(node, bare, strict=True)
    ]


def _ceiling(runs: list[transport.Result]) -> dict[str, Figure]:
    return {
        "rate": Figure.of([run.rate for run in runs]),
        "cpu_stp": Figure.of([run.cpu["forwarder"] for run in runs]),
        "cpu_ends": Figure.of([run.cpu["generator"] + run.cpu["sink"] for run in runs]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--runtime", choices=("cpython", "pypy"), action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    known = {"cpython": CPYTHON, "pypy": pypy()}
    chosen = [known[name] for name in options.runtime or ["cpython"]]
    if None in chosen:
        sys.exit("no PyPy: name it in TRUNKLINE_PYPY")
    show(compare(options.runs, options.messages, tuple(filter(None, chosen))), as_json=options.json)


if __name__ == "__main__":
    main()
