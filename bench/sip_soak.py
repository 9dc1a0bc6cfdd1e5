"""The SIP proxy for half a million calls: does its memory stay flat?

    python -m bench.sip_soak [--calls 500000] [--rate 1500]

The bench is the shared one of ``bench.sip_proxy``; the proxy's memory is looked at every second. A
transaction lives for 32 s (64*T1), so the memory grows for that long at a steady rate, and must not
grow after it. A line for each run is printed: megabytes after a tenth, a half and all of the calls.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.processes import memory_of
from bench.sip_proxy import Watcher, available

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
    folder = available()
    if folder is None:
        sys.exit("no sip-bench in TRUNKLINE_PEERS, or no sipp or kamailio")
    seconds = options.calls // options.rate
    network = Path(__file__).parent / "sip" / "one.toml"
    over = threading.Event()
    memory: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="tl-") as name:
        scratch = Path(name)
        sampler = threading.Thread(target=_sample, args=(scratch, over, memory))
        sampler.start()
        done = subprocess.run(
            [
                *(sys.executable, str(folder / "bench.py"), str(options.rate), str(seconds), "--"),
                *(sys.executable, "-m", "trunkline", "run", str(network)),
            ],
            env={**os.environ, "XDG_RUNTIME_DIR": name},
            check=True,
            capture_output=True,
            text=True,
        )
        over.set()
        sampler.join()
    row = json.loads(done.stdout)
    steady = [megabytes for at, megabytes in memory if at > 60]  # past warm-up and 64*T1
    tenth = max(len(steady) // 10, 1)
    early, late = max(steady[:tenth]), max(steady[-tenth:])
    print(
        f"{row['calls_ok']:,} calls at {row['rate']}/s, {row['failed']} failed, {row['retrans']}"
        f" retransmissions; memory {early:.0f} MB in the first tenth of the steady time,"
        f" {steady[len(steady) // 2]:.0f} in the middle, {late:.0f} in the last tenth"
    )
    if row["failed"] or late > early * 1.05:
        sys.exit(1)


if __name__ == "__main__":
    main()
