"""How a process should wait: ``add_reader`` on asyncio and uvloop against an epoll loop of our own.

The workload is what a node does: a datagram socket becomes readable, everything that waits is read,
each datagram is sent on, and the process waits again. Client and server are two processes; the
figure is the server's CPU per datagram, at two loads:

- *single*: one datagram under way, so that every one costs a wake-up: the loop's worst case;
- *window*: 64 under way, as a busy link has.

A private loop would have to win by more than 20 % (and still run users' coroutines) to be worth it.

    python bench/waiting.py [--json] [--runs 5] [--datagrams 40000] [--python INTERPRETER]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

_SERVER = ("127.97.0.1", 19797)
_CLIENT = ("127.97.0.2", 19797)
_SIZE = 100
_LOADS = {"single": 1, "window": 64}


def _socket(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.setblocking(False)
    return sock


class _Server:
    """Sends every datagram back, until an empty one."""

    def __init__(self) -> None:
        self.socket = _socket(_SERVER)
        self.done = False
        self.count = 0
        self.started = 0.0

    def drain(self) -> None:
        recvfrom, sendto = self.socket.recvfrom, self.socket.sendto
        count = 0
        try:
            while True:
                data, sender = recvfrom(2048)
                if not data:
                    self.done = True
                    break
                sendto(data, sender)
                count += 1
        except BlockingIOError:
            pass
        if not self.count:
            self.started = time.process_time()
        self.count += count


def _serve_loop(server: _Server, loop: asyncio.AbstractEventLoop) -> None:
    def readable() -> None:
        server.drain()
        if server.done:
            loop.stop()

    loop.add_reader(server.socket.fileno(), readable)
    loop.run_forever()


def _serve_epoll(server: _Server) -> None:
    poll = select.epoll()
    callbacks = {server.socket.fileno(): server.drain}
    poll.register(server.socket.fileno(), select.EPOLLIN)
    while not server.done:
        for fd, _ in poll.poll():
            callbacks[fd]()


def _serve(way: str) -> None:
    server = _Server()
    print("ready", flush=True)
    if way == "epoll":
        _serve_epoll(server)
    elif way == "uvloop":
        import uvloop

        _serve_loop(server, uvloop.new_event_loop())
    else:
        _serve_loop(server, asyncio.new_event_loop())
    print((time.process_time() - server.started) / server.count * 1e6)


def measure(way: str, window: int, datagrams: int, interpreter: str = sys.executable) -> float:
    """Return the server's CPU per datagram in microseconds, waiting in this ``way``."""
    command = [interpreter, __file__, "--serve", way]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    client = _socket(_CLIENT)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        poll = select.epoll()
        poll.register(client.fileno(), select.EPOLLIN)
        payload = os.urandom(_SIZE)
        sent = received = 0
        while received < datagrams:
            while sent < datagrams and sent - received < window:
                client.sendto(payload, _SERVER)
                sent += 1
            if not poll.poll(1.0):
                raise RuntimeError(f"{sent - received} datagrams were lost")
            try:
                while True:
                    client.recv(2048)
                    received += 1
            except BlockingIOError:
                pass
        client.sendto(b"", _SERVER)
        return float(server.communicate(timeout=10)[0])
    finally:
        server.kill()
        server.wait()
        client.close()


def compare(runs: int, datagrams: int, interpreter: str) -> dict[str, dict[str, float]]:
    """Return per load and way the median CPU per datagram, the ways taking turns."""
    ways = ["asyncio", "uvloop", "epoll"]
    if subprocess.run([interpreter, "-c", "import uvloop"], capture_output=True).returncode:
        ways.remove("uvloop")
    figures: dict[str, dict[str, float]] = {}
    for load, window in _LOADS.items():
        seen: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(runs):
            for way in ways:
                seen[way].append(measure(way, window, datagrams, interpreter))
        figures[load] = {way: statistics.median(values) for way, values in seen.items()}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--datagrams", type=int, default=40_000)
    parser.add_argument("--python", default=sys.executable, type=Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve)
        return
    figures = compare(arguments.runs, arguments.datagrams, str(arguments.python))
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for load, ways in figures.items():
        own = ways["epoll"]
        text = ", ".join(f"{way} {cpu:.2f} us ({cpu / own:.2f}x)" for way, cpu in ways.items())
        print(f"{load}: {text}")


if __name__ == "__main__":
    main()
