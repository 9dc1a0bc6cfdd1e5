"""Prices by the charging API, over TCP, with the full breakdown.

A process serves ``APIerSv1.GetCost`` on a tariff of 100,000 prefixes with peak hours; this one
asks, over 1, 16 and 256 connections with one call under way on each, and then at half of what it
saw, by a clock of its own, over 16 connections or more: the time to an answer counts from when its
call was due. No two calls in a row are alike. The server's CPU is what the kernel counts of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import cycle

from bench import rating
from bench.processes import cpu_of
from trunkline.elements.charging.costs import Costs
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import request
from trunkline.net.jsonrpc import RpcServer, TcpConnection
from trunkline.net.loop import new_event_loop
from trunkline.rating import Call
from trunkline.rating.durations import format_duration

__all__ = ["CONNECTIONS", "TITLES", "run"]

CONNECTIONS = (1, 16, 256)
TITLES = {
    "per_s": "costs a second, as asked by one process",
    "per_core": "costs a second of the server's CPU",
    "cpu_us": "µs of the server's CPU a cost",
    "half_p50_ms": "ms to an answer at half of that, median",
    "half_p99_ms": "99 of 100",
}
"""What the figures are."""

_PREFIXES = 100_000


def _requests(count: int) -> list[bytes]:
    of = rating.tariff(_PREFIXES, timed=True)
    return [_request(call, number) for number, call in enumerate(rating.calls(of, count))]


def _request(call: Call, number: int) -> bytes:
    argument = {
        "Tenant": call.tenant,
        "Category": call.category,
        "Subject": call.subject,
        "AnswerTime": call.time.isoformat().replace("+00:00", "Z"),
        "Destination": call.destination,
        "Usage": format_duration(call.usage),
    }
    return request("APIerSv1.GetCost", argument, number).encode()


def serve() -> None:
    """Serve until standard input ends; the first line of standard output is the port."""
    loop = new_event_loop()
    tariffs = Tariffs(rating.tariff(_PREFIXES, timed=True))
    registry = Registry(Costs(tariffs, lambda: datetime.now(UTC)))
    server = RpcServer(loop, ("127.0.0.1", 0), registry, TcpConnection)
    print(server.local[1], flush=True)

    async def until_told() -> None:
        await loop.run_in_executor(None, sys.stdin.read)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(until_told())
    loop.close()


@contextmanager
def _server() -> Iterator[tuple[int, int]]:
    """The port and the process of a server."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.api", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        yield int(child.stdout.readline()), child.pid
    finally:
        child.communicate(timeout=20)


class _Clients:
    """Connections, each with one call under way at most."""

    def __init__(self, port: int, count: int, requests: list[bytes]) -> None:
        self._selector = selectors.DefaultSelector()
        self._requests = cycle(requests)
        self._free: deque[socket.socket] = deque()
        self._since: dict[socket.socket, float] = {}
        self.waits: list[float] = []
        for _ in range(count):
            made = socket.create_connection(("127.0.0.1", port))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(made, selectors.EVENT_READ)
            self._free.append(made)

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def ask(self, due: float) -> bool:
        """Send a call on a free connection; False where there is none."""
        if not self._free:
            return False
        one = self._free.popleft()
        self._since[one] = due
        one.send(next(self._requests))
        return True

    def receive(self, timeout: float) -> None:
        """Take the answers that have come, or come within ``timeout``."""
        for key, _ in self._selector.select(timeout):
            one = key.fileobj
            assert isinstance(one, socket.socket)
            data = one.recv(65536)
            if not data:
                raise RuntimeError("the server closed a connection")
            if data.endswith(b"\n"):
                if b'"error":null' not in data:
                    raise RuntimeError(f"the server refused: {data[:200]!r}")
                self.waits.append(time.perf_counter() - self._since.pop(one))
                self._free.append(one)


def _flat_out(port: int, pid: int, count: int, seconds: float, asked: list[bytes]) -> list[float]:
    clients = _Clients(port, count, asked)
    begun, cpu = time.perf_counter(), cpu_of(pid)
    while (now := time.perf_counter()) - begun < seconds:
        while clients.ask(now):
            pass
        clients.receive(0.1)
    took, used = time.perf_counter() - begun, cpu_of(pid) - cpu
    done = len(clients.waits)
    clients.close()
    return [done / took, done / used, used / done * 1e6]


def _paced(port: int, count: int, rate: float, seconds: float, asked: list[bytes]) -> list[float]:
    clients = _Clients(port, count, asked)
    begun = time.perf_counter()
    sent = 0
    while (now := time.perf_counter()) - begun < seconds:
        while begun + sent / rate <= now and clients.ask(begun + sent / rate):
            sent += 1
        clients.receive(max(0.0, begun + sent / rate - time.perf_counter()))
    waits = sorted(clients.waits)
    clients.close()
    return [waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3]


def run(quick: bool, progress: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """The figures by the number of connections."""
    seconds = 0.3 if quick else 5.0
    asked = _requests(500 if quick else 20_000)
    found: dict[str, dict[str, float]] = {}
    with _server() as (port, pid):
        _flat_out(port, pid, 16, seconds / 2, asked)  # what is kept is kept
        for count in CONNECTIONS:
            progress(f"prices by the API, {count} connections")
            values = _flat_out(port, pid, count, seconds, asked)
            values += _paced(port, max(count, 16), values[0] / 2, seconds, asked)
            found[f"{count}"] = dict(zip(TITLES, values, strict=True))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.serve:
        asyncio.set_event_loop(None)
        serve()
        return
    found = run(options.quick, lambda text: print(text, file=sys.stderr))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for count, figures in found.items():
        print(f"{count} connections")
        for name, value in figures.items():
            print(f"  {TITLES[name]:45} {value:12,.2f}")


if __name__ == "__main__":
    main()
