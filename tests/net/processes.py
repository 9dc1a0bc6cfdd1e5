"""Peers in processes of their own (``peer.py``), in network namespaces where asked."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PEER = Path(__file__).with_name("peer.py")


class Talker:
    """A process that tells what happens as JSON lines (others are ignored) and takes commands."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            bufsize=1,
        )
        self.events: list[dict[str, object]] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self._lines.put(line)
        self._lines.put(None)

    def command(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")

    def wait_for(self, event: str, seconds: float = 6.0) -> dict[str, object]:
        """Return the next event of this name; fail if it does not come in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event!r} within {seconds} s: {self.events}") from None
            if line is None:
                raise AssertionError(f"ended before {event!r}: {self.events}")
            said: dict[str, object] = json.loads(line)
            self.events.append(said)
            if said["event"] == event:
                return said

    def kill(self) -> None:
        """Kill it outright: it says goodbye to nobody."""
        self.process.kill()
        self.close()

    def close(self) -> int:
        """End it, and return its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            code = self.process.wait(5)
        finally:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        return code


class PeerProcess(Talker):
    """One ``peer.py``, or another script that is used like it."""

    def __init__(self, *arguments: str, namespace: str | None = None, script: Path = PEER) -> None:
        command = [sys.executable, str(script), *arguments]
        if namespace is not None:
            command = ["ip", "netns", "exec", namespace, *command]
        super().__init__(command)


@contextmanager
def peers(*starts: tuple[str | None, tuple[str, ...]]) -> Iterator[list[PeerProcess]]:
    """Start one process per (namespace, arguments); end them all, whatever happens."""
    running: list[PeerProcess] = []
    try:
        for namespace, arguments in starts:
            running.append(PeerProcess(*arguments, namespace=namespace))
        yield running
    finally:
        for peer in running:
            if peer.process.poll() is None:
                peer.kill()


@contextmanager
def namespaces(links: int) -> Iterator[tuple[str, str]]:
    """Make two network namespaces with this many links between them.

    Link n is ``ln`` in both, 10.7n.0.1 on the left and 10.7n.0.2 on the right.
    """
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    if shutil.which("ip") is None:
        pytest.skip("no `ip` here: install iproute2")
    left, right = (f"trunkline-{os.getpid()}-{side}" for side in "lr")
    try:
        for name in (left, right):
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
            ip("-n", name, "link", "set", "lo", "up")
        for link in range(1, links + 1):
            peer = ("peer", "name", f"l{link}", "netns", right)
            made_link = ip("-n", left, "link", "add", f"l{link}", "type", "veth", *peer)
            if made_link:
                pytest.skip(f"no veth links here: {made_link}")
            for name, host in ((left, 1), (right, 2)):
                ip("-n", name, "addr", "add", f"10.7{link}.0.{host}/24", "dev", f"l{link}")
                ip("-n", name, "link", "set", f"l{link}", "up")
        yield left, right
    finally:
        for name in (left, right):
            ip("netns", "del", name)


def ip(*arguments: str) -> str:
    """Run ``ip``; return what it complained of."""
    return subprocess.run(["ip", *arguments], capture_output=True, text=True).stderr.strip()
