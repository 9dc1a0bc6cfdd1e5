"""Processes of a test: each starts in the test's folder, and is ended by its own process id."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

__all__ = ["PATIENCE", "Program", "free_port", "listened_on", "until"]

PATIENCE = 20.0
"""Seconds that something which must happen may take on a busy machine."""


def free_port() -> int:
    """A port that is free for UDP and TCP, outside of what the system gives to clients."""
    while True:
        port = random.randint(15_000, 32_000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            try:
                udp.bind(("127.0.0.1", port))
                tcp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until ``condition`` holds; fail, saying ``what`` did not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def listened_on(port: int, kind: str = "udp") -> bool:
    """Whether somebody has bound the port (for TCP: listens on it)."""
    wanted = f":{port:04X}"
    for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
        _, local, _, state = line.split()[:4]
        if local.endswith(wanted) and (kind == "udp" or state == "0A"):
            return True
    return False


class Program:
    """One process; what it prints is in ``output``."""

    def __init__(
        self,
        folder: Path,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self.output = folder / f"{name}.out"
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self.process = self._popen()

    def _popen(self) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self._environment,
            )

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")

    def ready(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition`` holds; fail with what it printed if it ends before."""

        def so() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"{self.name} ended ({self.process.returncode}):\n{self.printed}")
            return bool(condition())

        until(so, f"{self.name} is ready")

    def start_again(self) -> None:
        """Start it once more, after its end."""
        assert self.process.poll() is not None
        self.process = self._popen()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it in good order, or else at once."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
