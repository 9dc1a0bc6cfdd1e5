"""The SIP proxy for half a million calls: does its memory stay flat?

    python -m bench.sip_soak [--calls 500000] [--rate 1500]

The bench is the shared one of ``bench.sip_proxy``; the proxy's memory is looked at every second. A
transaction lives for 32 s (64*T1), and what is remembered for `trunkline explain` takes a minute to
fill its room: the memory grows for that long at a steady rate, and must not grow after it. Printed
is the most that the process had in each tenth of the time from the second minute on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.processes import memory_of
from bench.sip_proxy import Watcher, drive

__all__ = ["main"]


def _sample(scratch: Path, over: threading.Event, found: list[tuple[float, float]]) -> None:
    """Note time and megabytes of the proxy every second."""
    watcher = Watcher(scratch, "node.status")
    began = time.monotonic()
    while not over.wait(1.0):
        pids = [answer["pid"] for answer in watcher.answers.values()]
        try:
            memory = sum(memory_of(pid) for pid in pids if isinstance(pid, int))
        except (FileNotFoundError, RuntimeError):
            break  # it has ended
        if memory:
            found.append((time.monotonic() - began, memory))
    watcher.stop()


def main() -> None:
    """Run and show; exit status 1 when a call failed or the memory grew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", type=int, default=500_000)
    parser.add_argument("--rate", type=int, default=1500, help="calls a second")
    options = parser.parse_args()
    seconds = options.calls // options.rate
    network = Path(__file__).parent / "sip" / "one.toml"
    over = threading.Event()
    memory: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="tl-") as name:
        scratch = Path(name)
        sampler = threading.Thread(target=_sample, args=(scratch, over, memory))
        sampler.start()
        command = (sys.executable, "-m", "trunkline", "run", str(network))
        try:
            row = drive(options.rate, seconds, command, scratch)
        except RuntimeError as problem:
            sys.exit(str(problem))
        finally:
            over.set()
            sampler.join()
    steady = [megabytes for at, megabytes in memory if at > 120]
    tenth = max(len(steady) // 10, 1)
    tenths = [max(steady[at : at + tenth]) for at in range(0, tenth * 10, tenth)]
    print(
        f"{row['calls_ok']:,} calls at {row['rate']}/s, {row['failed']} failed, {row['retrans']}"
        f" retransmissions; memory by tenths, MB: {' '.join(f'{most:.0f}' for most in tenths)}"
    )
    if row["failed"] or tenths[-1] > tenths[0] * 1.05:
        sys.exit(1)


if __name__ == "__main__":
    main()
