"""The small process that stays behind ``lab up``: it starts the nodes and brings back the dead.

Started as ``python -m trunkline.lab.supervisor NETWORK`` with the plan in ``lab.json``. Each node
is a process of its own, so that a failing node takes nobody along; one that ends is started again
after a delay that doubles while it keeps dying. SIGTERM ends the nodes, then the supervisor.

The process sleeps in ``sigtimedwait``: it costs nothing while nothing happens.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from trunkline.lab import netns
from trunkline.lab.runtime import (
    LabState,
    lab_folder,
    lock_lab,
    process_started,
    read_state,
    sweep,
    write_state,
)

__all__ = ["Supervisor", "main"]

FIRST_DELAY = 0.2
"""Seconds before a node that died is started again."""
LONGEST_DELAY = 10.0
STEADY = 20.0
"""Seconds after which a node counts as healthy again and the delay starts afresh."""
PATIENCE = 5.0
"""Seconds between the polite signal and SIGKILL."""
LOG_LIMIT = 4 * 1024 * 1024
"""Octets of a log; beyond it the log moves to ``.log.1`` and starts anew."""
_LOG_CHECK = 60.0

_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Supervisor:
    """Keeps the processes of one lab running."""

    def __init__(self, state: LabState) -> None:
        self.state = state
        self.folder = lab_folder(state.network)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._due: dict[str, float] = {}
        self._delay: dict[str, float] = {}

    def run(self) -> None:
        """Start every node and stay until told to stop."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self.state.pid = os.getpid()
        self.state.started = process_started(os.getpid())
        for name in self.state.nodes:
            self._start(name)
        write_state(self.state)
        next_log_check = time.monotonic() + _LOG_CHECK
        while True:
            now = time.monotonic()
            wait = min([next_log_check, *self._due.values()]) - now
            received = signal.sigtimedwait(_SIGNALS, max(0.0, wait))
            if received is not None and received.si_signo != signal.SIGCHLD:
                break
            changed = self._reap() + self._start_due()
            if changed:
                write_state(self.state)
            if time.monotonic() >= next_log_check:
                next_log_check = time.monotonic() + _LOG_CHECK
                self._bound_logs()
        self._stop()

    def _start(self, name: str) -> None:
        node = self.state.nodes[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                node.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A blocked signal stays blocked across exec, and the node has to hear SIGTERM.
                preexec_fn=_unblock,
            )
        self._children[name] = child
        node.pid = child.pid
        node.started = process_started(child.pid)
        node.since = time.time()

    def _reap(self) -> int:
        ended = 0
        for name, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            ended += 1
            del self._children[name]
            node = self.state.nodes[name]
            alive = time.time() - node.since
            delay = FIRST_DELAY if alive > STEADY else self._delay.get(name, FIRST_DELAY)
            self._delay[name] = min(2 * delay, LONGEST_DELAY)
            self._due[name] = time.monotonic() + delay
            node.pid = node.started = 0
            node.last_exit = code
            print(f"{_now()} {name} ended ({_how(code)}), again in {delay:.1f} s", flush=True)
        return ended

    def _start_due(self) -> int:
        now = time.monotonic()
        names = [name for name, due in self._due.items() if due <= now]
        for name in names:
            del self._due[name]
            self.state.nodes[name].restarts += 1
            self._start(name)
            print(f"{_now()} {name} started again, pid {self.state.nodes[name].pid}", flush=True)
        return len(names)

    def _stop(self) -> None:
        for outlives in (False, True):
            children = [
                child
                for name, child in self._children.items()
                if self.state.nodes[name].outlives is outlives
            ]
            for child in children:
                child.terminate()
            deadline = time.monotonic() + PATIENCE
            for child in children:
                try:
                    child.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        netns.remove(self.state.namespaces.values())
        sweep(self.state)

    def _bound_logs(self) -> None:
        for log in self.folder.glob("*.log"):
            if log.stat().st_size > LOG_LIMIT:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)  # the nodes append, so they go on at the new end


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _how(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


def main(network: str) -> int:
    """Supervise ``network`` until told to stop; the exit status."""
    lock = lock_lab(lab_folder(network))
    if lock is None:
        print(f"network {network} is already up", file=sys.stderr)
        return 3
    state = read_state(network)
    if state is None:
        print(f"{Path(lab_folder(network))}/lab.json is missing", file=sys.stderr)
        return 2
    Supervisor(state).run()
    os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
