"""The SIP proxy beside Kamailio: CPU per call, in the same run, on the shared bench.

    python -m bench.sip_proxy [--rate 1500] [--seconds 10] [--runs 3] [--json]

The bench itself (sipp's scenarios, Kamailio's configurations and `bench.py`) is the recipe
``sip-bench`` in the folder that TRUNKLINE_PEERS names. A call is INVITE/100/180/200/ACK/BYE/200;
the proxy is started by ``trunkline run``, and a Python function sees every request. Candidates
take turns, since these machines are noisy; what counts is the ratio. ``uas`` is the callee's CPU
per call, which does the same work every time: the control.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from bench.figures import Figure, show
from bench.runtimes import CPYTHON, Runtime, distribution, pypy
from trunkline.errors import TrunklineError
from trunkline.net.control import ControlClient, Json

__all__ = ["Candidate", "Watcher", "available", "compare", "drive", "number", "runtimes"]

_HERE = Path(__file__).parent / "sip"
_MODES = {"stateful": ("one.toml", "two.toml"), "stateless": ("stateless.toml",)}
"""How Kamailio works, and the networks of ours that are measured beside it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proxy that can be measured."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ours: bool = True


def available() -> Path | None:
    """Return the folder of the shared bench, if it and what it needs are there."""
    peers = os.environ.get("TRUNKLINE_PEERS")
    folder = Path(peers) / "sip-bench" if peers else None
    if folder is None or not (folder / "bench.py").exists():
        return None
    return folder if which("sipp") and which("kamailio") else None


def _ours(runtime: Runtime, network: str) -> Candidate:
    command = (runtime.interpreter, "-m", "trunkline", "run", str(_HERE / network))
    return Candidate(
        f"{network.removesuffix('.toml')}, {runtime.name}", command, runtime.environment
    )


def _kamailio(folder: Path, mode: str, scratch: Path) -> Candidate:
    runtime_folder = scratch / "kamailio"
    runtime_folder.mkdir(exist_ok=True)
    command = (
        *("kamailio", "-x", "fm", "-DD", "-E", "-m", "1024", "-M", "16"),
        *("-P", str(scratch / "kamailio.pid"), "-Y", str(runtime_folder)),
        *("-f", str(folder / f"kamailio-{mode}.cfg")),
    )
    return Candidate(f"kamailio {mode}", command, {}, ours=False)


def drive(
    rate: int,
    seconds: int,
    command: Sequence[str],
    scratch: Path,
    environment: Mapping[str, str] | None = None,
) -> Mapping[str, float]:
    """Let the shared bench drive the proxy that ``command`` starts; return its row of figures.

    Raises:
        RuntimeError: The bench is not there, or did not end as it should.
    """
    folder = available()
    if folder is None:
        raise RuntimeError("no sip-bench in TRUNKLINE_PEERS, or no sipp or kamailio")
    bench = (sys.executable, str(folder / "bench.py"), str(rate), str(seconds), "--")
    done = subprocess.run(
        [*bench, *command],
        env={**os.environ, **(environment or {}), "XDG_RUNTIME_DIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        row: dict[str, float] = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}") from None
    if not row["calls_ok"]:
        raise RuntimeError(f"{' '.join(command)}: not one call was answered; does it start?")
    return row


def _run(candidate: Candidate, rate: int, seconds: int, scratch: Path) -> dict[str, float]:
    """Measure once."""
    watcher = Watcher(scratch, "node.counters") if candidate.ours else None
    try:
        row = drive(rate, seconds, candidate.command, scratch, candidate.environment)
    finally:
        answers = watcher.stop() if watcher is not None else []
    found = {
        "cpu": row["proxy_cpu_us_per_call"],
        "uas": row["uas_cpu_us_per_call"],
        "failed": rate * seconds - row["calls_ok"],
        "retransmissions": row["retrans"],
        "memory": row["rss_mib_sum"],
    }
    if watcher is not None:
        found["handovers"] = _handovers(answers)
    return found


class Watcher:
    """Asks all workers the same, once a second, and keeps their first and last answers."""

    def __init__(self, scratch: Path, method: str) -> None:
        self.first: dict[str, dict[str, Json]] = {}
        self.answers: dict[str, dict[str, Json]] = {}
        self._scratch = scratch
        self._method = method
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> list[dict[str, Json]]:
        """End; return the last answer of each worker."""
        self._over.set()
        self._thread.join()
        return list(self.answers.values())

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            for path in (self._scratch / "trunkline").glob("*/*.sock"):
                try:
                    with ControlClient(path, timeout=1.0) as client:
                        answer = client.call(self._method)
                except (TrunklineError, OSError):
                    continue  # not up yet, or ending
                assert isinstance(answer, dict)
                self.first.setdefault(path.name, answer)
                self.answers[path.name] = answer


def number(answer: Mapping[str, Json], group: str, name: str) -> float:
    """Return one figure of an answer; 0 where there is none."""
    values = answer.get(group)
    value = values.get(name) if isinstance(values, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0


def _handovers(answers: list[dict[str, Json]]) -> float:
    """Messages handed over per call; of a call's requests, INVITE and BYE begin a transaction."""
    calls = sum(number(answer, "transactions", "requests") for answer in answers) / 2
    handed = sum(number(answer, "workers", "handed_over") for answer in answers)
    return handed / calls if calls else 0.0


def compare(
    runs: int,
    rate: int,
    seconds: int,
    pythons: tuple[Runtime, ...],
    progress: Callable[[str], None],
) -> dict[str, dict[str, Figure]]:
    """Measure all candidates in turns; ``ratio`` is to Kamailio in the same mode and turn."""
    folder = available()
    if folder is None:
        raise RuntimeError("no sip-bench in TRUNKLINE_PEERS, or no sipp or kamailio")
    figures: dict[str, dict[str, Figure]] = {}
    with tempfile.TemporaryDirectory(prefix="tl-") as name:
        scratch = Path(name)
        for mode, networks in _MODES.items():
            peer = _kamailio(folder, mode, scratch)
            ours = [_ours(runtime, network) for runtime in pythons for network in networks]
            seen: dict[str, list[dict[str, float]]] = {}
            for turn in range(runs):
                for candidate in (peer, *ours):
                    progress(f"{candidate.name}, run {turn + 1} of {runs}")
                    row = _run(candidate, rate, seconds, scratch)
                    seen.setdefault(candidate.name, []).append(row)
            base = [row["cpu"] for row in seen[peer.name]]
            for candidate_name, rows in seen.items():
                keys = rows[0].keys()
                figures[candidate_name] = {
                    key: Figure.of([row[key] for row in rows]) for key in keys
                }
                ratios = [row["cpu"] / other for row, other in zip(rows, base, strict=True)]
                figures[candidate_name]["ratio"] = Figure.of(ratios)
    return figures


def runtimes() -> tuple[Runtime, ...]:
    """The Pythons that the proxy is measured on."""
    return tuple(found for found in (CPYTHON, distribution(), pypy()) if found is not None)


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rate", type=int, default=1500, help="calls a second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = compare(
        options.runs,
        options.rate,
        options.seconds,
        runtimes(),
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
