"""Where a transfer point's CPU goes: the product's node with a clock around each of its layers.

The node runs as ``bench.stp`` runs it, between the same generator and sink, but in a process that
first wraps the functions below with the thread's CPU clock. The figures are shares,
``bench.stp`` has the sum.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict, cast

from bench import stp
from bench.clock import Clock
from bench.figures import Figure, show
from bench.runtimes import CPYTHON, Runtime, pypy
from trunkline.config.network import load_network
from trunkline.elements import control, node, signalling_point
from trunkline.net import loop, mmsg
from trunkline.net.control import Connection, Json, Method, Params
from trunkline.net.sctp import association, library_endpoint, udp, usrsctp
from trunkline.ss7 import m2pa
from trunkline.ss7.mtp3 import router

LAYERS = {
    "recvmmsg": "system call: datagrams in",
    "conninput": "libusrsctp: packets in, SACKs, what they let go",
    "wake-up": "transport, own code: wake-ups, demultiplexing",
    "drain": "transport, own code and libusrsctp: messages out of the library",
    "deliver": "transport, own code: statistics, call of the link",
    "M2PA receive": "M2PA: sequence numbers, acknowledgements in",
    "MTP3": "MTP3: routing, load sharing, counters",
    "M2PA send": "M2PA: headers, retransmission buffer, acknowledgements out",
    "drivers": "elements: carrying between the layers, timers",
    "transmit": "transport, own code and libusrsctp: messages into the library",
    "sendmmsg": "system call: datagrams out",
    "timers": "libusrsctp's timers, the wheel",
}


_WRAPPED: tuple[tuple[type, str, str], ...] = (
    (mmsg.Receiver, "receive", "recvmmsg"),
    (udp.UdpStack, "_readable", "wake-up"),
    (udp.UdpStack, "_tick", "timers"),
    (udp.UdpStack, "_flush_now", "wake-up"),
    (library_endpoint.LibraryEndpoint, "drain", "drain"),
    (association.EndpointAssociation, "deliver", "deliver"),
    (signalling_point.LinkDriver, "messages", "drivers"),
    (signalling_point.LinkDriver, "_ring", "timers"),
    (m2pa.Link, "receive", "M2PA receive"),
    (router.Router, "receive", "MTP3"),
    (m2pa.Link, "send", "M2PA send"),
    (m2pa.Link, "data_to_send", "M2PA send"),
    (m2pa.Link, "next_timeout", "drivers"),
    (association.EndpointAssociation, "send", "transmit"),
    (mmsg.Sender, "flush", "sendmmsg"),
    (loop.TimerWheel, "_run", "timers"),
)


class _TimedLibrary:
    """The loaded libusrsctp, with a clock around the one function that is called bare."""

    def __init__(self, lib: usrsctp.Functions, clock: Clock) -> None:
        self._lib = lib
        self.usrsctp_conninput = clock.wrap(lib.usrsctp_conninput, "conninput")

    def __getattr__(self, name: str) -> Callable[..., int]:
        return cast("Callable[..., int]", getattr(self._lib, name))


class _Report(TypedDict):
    total: float
    layers: dict[str, float]
    calls: dict[str, int]


def _serve(file: Path) -> None:
    """Run the node of ``file`` with its layers timed."""
    clock = Clock(LAYERS)
    for owner, name, layer in _WRAPPED:
        setattr(owner, name, clock.wrap(getattr(owner, name), layer))
    library = usrsctp.load()
    library.lib = cast(usrsctp.Functions, _TimedLibrary(library.lib, clock))
    began = 0.0

    def clear(_: Connection, __: Params) -> Json:
        nonlocal began
        clock.clear()
        began = time.process_time()
        return None

    def report(_: Connection, __: Params) -> Json:
        total = time.process_time() - began
        return cast(Json, {"total": total, "layers": clock.spent, "calls": clock.calls})

    def extended(of: node.Node) -> Mapping[str, Method]:
        return {**control.methods(of), "bench.clear": clear, "bench.report": report}

    setattr(node, "methods", extended)  # noqa: B010 - where Node finds the function
    network = load_network(file)
    node.run_node(node.NodePlan.of(network, network.choose(None)))


def measure(
    runs: int = 3,
    messages: int = 200_000,
    runtimes: tuple[Runtime, ...] = (CPYTHON,),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Figure]]:
    """CPU in microseconds per message by layer, for each runtime; calls per 1000 messages."""
    found: dict[str, list[_Report]] = {runtime.name: [] for runtime in runtimes}
    for number in range(runs):
        for runtime in runtimes:
            progress(f"breakdown on {runtime.title}, run {number + 1} of {runs}")
            result = stp.forward(
                messages,
                runtime=runtime,
                program=("bench.breakdown", "--serve"),
                ask="bench.report",
            )
            found[runtime.name].append(cast(_Report, result.extra))
    figures: dict[str, dict[str, Figure]] = {}
    for name, reports in found.items():
        per_message = [
            {layer: seconds / messages * 1e6 for layer, seconds in report["layers"].items()}
            | {"rest": (report["total"] - sum(report["layers"].values())) / messages * 1e6}
            for report in reports
        ]
        figures[name] = {
            layer: Figure.of([one[layer] for one in per_message]) for layer in per_message[0]
        }
        figures[name + " calls"] = {
            layer: Figure.of([report["calls"][layer] / messages * 1e3 for report in reports])
            for layer in LAYERS
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.serve)
        return
    other = pypy()
    runtimes = (CPYTHON,) if other is None else (CPYTHON, other)
    show(measure(options.runs, options.messages, runtimes), as_json=options.json)


if __name__ == "__main__":
    main()
