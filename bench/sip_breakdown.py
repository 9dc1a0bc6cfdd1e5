"""Where the SIP proxy's CPU goes: the product with a clock around each of its layers.

The proxy runs as in ``bench.sip_proxy``, under the same calls, but in a process that first wraps
the functions below. The figures are shares: ``bench.sip_proxy`` has the sum.

    python -m bench.sip_breakdown [--rate 1500] [--seconds 10] [--json]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

from bench.clock import Clock
from bench.figures import Figure, show
from bench.runtimes import CPYTHON, Runtime, pypy
from bench.sip_proxy import Watcher, drive, number
from trunkline.cli import run
from trunkline.elements.proxy import control, element
from trunkline.net import mmsg, udp
from trunkline.net.control import Connection, Json, Method, Params
from trunkline.sip import message
from trunkline.sip.proxy import context, core
from trunkline.sip.transaction import layer

__all__ = ["LAYERS", "measure"]

LAYERS = {
    "recvmmsg": "system call: datagrams in",
    "wake-up": "UDP driver: wake-ups, flows",
    "sendto": "UDP driver and system call: datagrams out",
    "parse": "messages read",
    "write": "messages written",
    "transactions": "transaction layer: matching, machines, timers",
    "proxy": "proxy core: checks, routes, copies, Via, Record-Route, best response",
    "script": "the script and what it is given",
    "hops": "next hops",
    "element": "carrying between the layers",
}

_WRAPPED: tuple[tuple[type | ModuleType, str, str], ...] = (
    (mmsg.Receiver, "receive", "recvmmsg"),
    (udp.UdpSocket, "_wake", "wake-up"),
    (udp.UdpSocket, "send", "sendto"),
    (layer, "parse", "parse"),
    (message.Message, "to_bytes", "write"),
    (layer.TransactionLayer, "receive_message", "transactions"),
    (layer.TransactionLayer, "respond", "transactions"),
    (layer.TransactionLayer, "request", "transactions"),
    (layer.TransactionLayer, "on_timeout", "transactions"),
    (layer.TransactionLayer, "next_timeout", "transactions"),
    (core.Proxy, "receive", "proxy"),
    (core.Proxy, "forward", "proxy"),
    (context.ResponseContext, "fork", "proxy"),
    (element.ProxyElement, "receive", "element"),
    (element.ProxyElement, "flush", "element"),
    (element.ProxyElement, "_on_timer", "element"),
    (element.ProxyElement, "_decide", "script"),
    (element.ProxyElement, "hops_now", "hops"),
)


def _serve(file: str) -> None:
    """Run the proxy of ``file`` with its layers timed."""
    clock = Clock(LAYERS)
    for owner, name, where in _WRAPPED:
        setattr(owner, name, clock.wrap(getattr(owner, name), where))
    methods = control.ProxyControl.methods

    def report(_: Connection, __: Params) -> Json:
        return cast("Json", {"layers": clock.spent, "total": {"cpu": time.process_time()}})

    def extended(self: control.ProxyControl) -> Mapping[str, Method]:
        def counted(connection: Connection, params: Params) -> Json:
            found = self.counters(connection, params)
            more = report(connection, params)
            assert isinstance(found, dict)
            assert isinstance(more, dict)
            return {**found, **more}

        return {**methods(self), "bench.report": counted}

    setattr(control.ProxyControl, "methods", extended)  # noqa: B010 - where the process finds it
    run.main([file])


def measure(
    rate: int,
    seconds: int,
    runtimes: tuple[Runtime, ...],
    progress: Callable[[str], None],
) -> dict[str, dict[str, Figure]]:
    """Microseconds of CPU per call by layer, for each runtime."""
    figures: dict[str, dict[str, Figure]] = {}
    network = Path(__file__).parent / "sip" / "one.toml"
    for runtime in runtimes:
        progress(f"breakdown on {runtime.title}")
        command = (runtime.interpreter, "-m", "bench.sip_breakdown", "--serve", str(network))
        with tempfile.TemporaryDirectory(prefix="tl-") as scratch:
            watcher = Watcher(Path(scratch), "bench.report")
            try:
                drive(rate, seconds, command, Path(scratch), runtime.environment)
            finally:
                answers = watcher.stop()
        [last] = answers
        [first] = watcher.first.values()  # what starting cost is not a call's
        calls = _between(first, last, "transactions", "requests") / 2
        spent = {name: _between(first, last, "layers", name) / calls * 1e6 for name in LAYERS}
        spent["rest"] = _between(first, last, "total", "cpu") / calls * 1e6 - sum(spent.values())
        figures[runtime.name] = {name: Figure.of([value]) for name, value in spent.items()}
    return figures


def _between(first: Mapping[str, Json], last: Mapping[str, Json], group: str, name: str) -> float:
    return number(last, group, name) - number(first, group, name)


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rate", type=int, default=1500, help="calls a second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.serve)
        return
    other = pypy()
    runtimes = (CPYTHON,) if other is None else (CPYTHON, other)
    figures = measure(
        options.rate,
        options.seconds,
        runtimes,
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
