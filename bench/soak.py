"""The lab for a long time: calls, pings, links cut and healed, nodes killed.

In the end nothing may be unaccounted for:

- every call that an exchange accepted has a record there; an answered one has another at the other
  exchange; one that was not answered has a cause that the harm explains; no record is left over;
- no circuit stays seized, and calls in both directions go through again;
- no node met a fault of its own, and nothing was refused for a reason not listed below;
- over a link that nobody touched, one end received what the other sent;
- no node's memory or number of open files has grown.

A line for each run goes into docs/soak.md.

    python -m bench.soak [--minutes 60] [--rate 5] [--seed N] [--no-kills]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from bench.idle import running_lab
from bench.processes import memory_of
from bench.soak_traffic import Caller, Pinger, Placed, Saboteur, Worker
from trunkline.errors import TrunklineError
from trunkline.lab.answers import ActiveCall, read
from trunkline.lab.client import LabClient
from trunkline.lab.network import Network
from trunkline.lab.topology import TopologyLink, find_topology
from trunkline.net.control import Json
from trunkline.store.calls import CallRecord, CallStore, default_url

__all__ = ["main"]

_ROOT = Path(__file__).parents[1]
_EXAMPLES = _ROOT / "examples"
_PAGE = _ROOT / "docs" / "soak.md"
_UDP_PORT = 19896
_EXCHANGES = ("ExchangeA", "ExchangeD")

_DRAIN = 200.0
"""Seconds for the last calls to end. Where an answer was lost in a cut, the caller's exchange waits
for it until T9 (90 s to 3 minutes, Q.764), and then releases with cause 19."""
_SAMPLE = 5.0
_GROWTH = 6.0
"""Megabytes that a node may be larger at the end than after a quarter of the time."""
_FILES = 3

_T1_REPEATS = 60.0
"""Seconds for which a REL may come again."""

_NORMAL = 16
_CAUSES = {
    1: "unallocated number",
    3: "no route to destination",
    16: "normal",
    19: "no answer",
    27: "destination out of order",
    31: "normal, unspecified",
    34: "no circuit",
    41: "temporary failure",
    44: "requested circuit not available",
    102: "recovery on timer expiry",
}
"""Causes (Q.850) that a call may end with when links are cut under it."""
_REFUSALS = {"isup.paused", "isup.no-circuit"}
_DISCARDS = {
    # a link that goes down or comes up under traffic
    "m2pa.unexpected",
    "m2pa.not-in-service",
    "mtp3.route.unavailable",
    "mtp3.route.loop",
    # what was lost on the way shows at the far end
    "isup.unexpected",
}
_SEAM = ("malformed", "unknown_peer", "send_errors", "handler_errors")


@dataclass(slots=True)
class _Samples:
    """Megabytes and open files of each process, as time went by."""

    memory: dict[int, list[float]] = field(default_factory=dict)
    files: dict[int, list[int]] = field(default_factory=dict)

    def take(self, pids: Iterable[int]) -> None:
        for pid in pids:
            try:
                files = len(os.listdir(f"/proc/{pid}/fd"))
                memory = memory_of(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            self.files.setdefault(pid, []).append(files)
            self.memory.setdefault(pid, []).append(memory)

    def growth(self) -> tuple[float, int]:
        """How much the worst process grew from its second quarter to its end."""
        memory, files = 0.0, 0
        for pid, values in self.memory.items():
            if len(values) < 8:
                continue
            quarter = len(values) // 4
            begin = slice(quarter, 2 * quarter)
            memory = max(
                memory, statistics.median(values[-quarter:]) - statistics.median(values[begin])
            )
            files = max(files, min(self.files[pid][-quarter:]) - min(self.files[pid][begin]))
        return memory, files


@dataclass(slots=True)
class _Outcome:
    problems: list[str] = field(default_factory=list)
    causes: Counter[int] = field(default_factory=Counter)
    answered: int = 0

    def expect(self, fact: bool, otherwise: str) -> None:
        if not fact:
            self.problems.append(otherwise)


def _follows_a_lost_rlc(mine: CallRecord, records: Iterable[CallRecord]) -> bool:
    """Whether the REL was the one of the circuit's call before, repeated at T1 (Q.764).

    When its RLC was lost, one exchange takes the circuit for idle and seizes it while the other
    still waits.
    """
    return any(
        other.exchange != mine.exchange
        and (other.cic, other.cause) == (mine.cic, mine.cause)
        and mine.start - _T1_REPEATS <= other.end <= mine.start
        for other in records
    )


def _check_calls(placed: list[Placed], records: list[CallRecord], outcome: _Outcome) -> None:
    sides: dict[str, dict[tuple[str, str], CallRecord]] = {"outgoing": {}, "incoming": {}}
    for record in records:
        key = (record.calling, record.called)
        outcome.expect(key not in sides[record.direction], f"two {record.direction} records: {key}")
        sides[record.direction][key] = record
    outgoing, incoming = sides["outgoing"], sides["incoming"]
    for call in placed:
        key = (call.calling, call.called)
        mine, theirs = outgoing.pop(key, None), incoming.pop(key, None)
        if mine is None:
            outcome.problems.append(f"{call} has no record where it was placed")
            continue
        outcome.causes[mine.cause] += 1
        outcome.expect(mine.cause in _CAUSES, f"{call} ended with cause {mine.cause}")
        if mine.answer is not None:
            outcome.answered += 1
            outcome.expect(
                theirs is not None and theirs.answer is not None,
                f"{call} was answered, but not by the record of the other exchange",
            )
        elif mine.cause == _NORMAL:
            # The answer was lost in a cut, the release was not; or it was another call's release.
            answered = theirs is not None and theirs.answer is not None
            outcome.expect(
                answered or _follows_a_lost_rlc(mine, records),
                f"{call} ended normally, and nobody had answered: {mine}, {theirs}",
            )
    # Refused at once: recorded with its cause, without a call that could have been returned.
    for key, record in outgoing.items():
        outcome.expect(
            record.answer is None and record.cause in _CAUSES, f"a record without a call: {key}"
        )
    for key in incoming:
        outcome.problems.append(f"a record of a call that nobody placed: {key}")


def _check_nodes(
    client: LabClient, links: Iterable[TopologyLink], touched: set[str], outcome: _Outcome
) -> Counter[str]:
    discards: Counter[str] = Counter()
    counters = {}
    for node in client.nodes:
        answer = cast("dict[str, dict[str, int]]", client.call(node, "node.counters"))
        counters[node] = cast("dict[str, dict[str, int]]", answer["links"])
        discards.update(answer["discards"])
        outcome.expect(not answer["faults"], f"{node} met {answer['faults']} faults of its own")
        for name in _SEAM:
            outcome.expect(not answer["seam"][name], f"{node}: {name} = {answer['seam'][name]}")
    for code, count in discards.items():
        outcome.expect(code in _DISCARDS, f"{count} times {code}")
    for link in links:
        if link.name in touched:
            continue
        for here, there in (link.ends, link.ends[::-1]):
            sent = counters[here.node][f"{here.linkset}:{here.slc}"]["msus_sent"]
            received = counters[there.node][f"{there.linkset}:{there.slc}"]["msus_received"]
            outcome.expect(
                abs(sent - received) <= 2,  # the two are not asked at the same moment
                f"{link.name}: {here.node} sent {sent}, {there.node} received {received}",
            )
    return discards


def _check_after(client: LabClient, outcome: _Outcome) -> None:
    """See that all circuits are free and that calls go through."""
    deadline = time.monotonic() + _DRAIN
    waiting: dict[str, list[ActiveCall]] = {}
    while time.monotonic() < deadline:
        waiting = {
            node: read(client.call(node, "calls.active"), list[ActiveCall]) for node in _EXCHANGES
        }
        if not any(waiting.values()):
            break
        time.sleep(0.5)
    for node, calls in waiting.items():
        outcome.expect(not calls, f"{node} still has {len(calls)} calls, e.g. {calls[:1]}")


def soak(
    network: Network, minutes: float, rate: float, seed: int, *, kills: bool
) -> tuple[_Outcome, dict[str, str]]:
    """Run and check; return what was found, and the figures for the page."""
    links = tuple(find_topology(network).links)
    rng = random.Random(seed)
    caller = Caller(network, rng.getrandbits(32), rate)
    pinger = Pinger(network, rng.getrandbits(32))
    saboteur = Saboteur(network, rng.getrandbits(32), links, kills)
    workers: tuple[Worker, ...] = (caller, pinger, saboteur)
    outcome, samples = _Outcome(), _Samples()
    with LabClient(network.name, network.nodes) as client:
        for worker in workers:
            worker.start()
        begun = time.monotonic()
        while (gone := time.monotonic() - begun) < minutes * 60 and not any(
            worker.failure for worker in workers
        ):
            time.sleep(min(_SAMPLE, minutes * 60 - gone))
            samples.take(status.pid for status in client.statuses().values() if status)
            havoc = saboteur.havoc
            print(
                f"{gone / 60:5.1f} min: {len(caller.placed)} calls, "
                f"{pinger.received}/{pinger.sent} pings, {havoc.cuts} cuts, {havoc.kills} kills",
                file=sys.stderr,
            )
        for worker in workers:
            worker.end()
        print("waiting for the last calls to end", file=sys.stderr)
        for worker in workers:
            if worker.failure is not None:
                raise worker.failure
        _check_after(client, outcome)
        store = CallStore(default_url(network.name))
        records = store.recent(1_000_000)
        store.close()
        _check_calls(caller.placed, records, outcome)
        discards = _check_nodes(client, links, saboteur.havoc.touched, outcome)
        for code, count in caller.refused.items():
            outcome.expect(code in _REFUSALS, f"{count} calls refused for {code}")
        outcome.expect(bool(outcome.answered), "no call was answered")
        outcome.expect(bool(pinger.received), "no ping was answered")
        _try_again(network, outcome)
    memory, files = samples.growth()
    outcome.expect(memory < _GROWTH, f"a node has grown by {memory:.1f} MB")
    outcome.expect(files < _FILES, f"a node has {files} more open files")
    figures = {
        "calls": f"{len(caller.placed) + caller.refused.total()}",
        "answered": f"{outcome.answered}",
        "causes": ", ".join(f"{cause}: {n}" for cause, n in sorted(outcome.causes.items())),
        "pings": f"{pinger.received}/{pinger.sent}",
        "cuts": f"{saboteur.havoc.cuts}",
        "kills": f"{saboteur.havoc.kills}",
        "growth": f"{max(memory, 0):.1f} MB, {max(files, 0)} files",
        "discards": ", ".join(f"{code} {n}" for code, n in sorted(discards.items())) or "none",
    }
    return outcome, figures


def _try_again(network: Network, outcome: _Outcome) -> None:
    """Place calls in the healed network: each must be answered."""
    with LabClient(network.name, network.nodes) as client:
        for exchange, calling, called in (
            ("ExchangeA", "3005999", "614999"),
            ("ExchangeD", "614999", "3005999"),
        ):
            answer = client.call(
                exchange, "calls.originate", {"calling": calling, "called": called, "hold": 0.2}
            )
            call = read(answer, ActiveCall)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                time.sleep(0.2)
                try:
                    record = cast(
                        "dict[str, Json]", client.call(exchange, "calls.show", {"id": call.id})
                    )
                except TrunklineError:
                    continue
                outcome.expect(
                    record["answer"] is not None, f"afterwards, {called} does not answer"
                )
                break
            else:
                outcome.problems.append(f"afterwards, a call to {called} does not end")


def _write(line: str) -> None:
    if not _PAGE.exists():
        _PAGE.write_text(_HEAD + _row(_COLUMNS) + _row(["---"] * len(_COLUMNS)))
    with _PAGE.open("a") as page:
        page.write(line)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


_HEAD = """\
# Soak

Runs of `make soak` (`python -m bench.soak`): the lab of the four countries under calls and pings,
with links cut and healed and nodes killed, at random. `bench/soak.py` says what is checked.
Causes are those of Q.850 with their counts; pings are answered of sent, those into a cut included;
growth is the worst node's, from the second quarter of the time to the last.

"""
_COLUMNS = (
    *("date", "minutes", "seed", "calls", "answered", "causes", "pings", "cuts", "kills"),
    *("growth", "refused input", "verdict"),
)


def main() -> None:
    """Soak; exit 0 if nothing is unaccounted for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--no-kills", action="store_true")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name) / "examples"
        shutil.copytree(_EXAMPLES, folder)  # all: one leans on another
        file = folder / "four-countries" / "network.toml"
        file.write_text(file.read_text() + f"\n[sctp]\nudp_port = {_UDP_PORT}\n")
        with running_lab(file) as network:
            outcome, figures = soak(
                network, options.minutes, options.rate, seed, kills=not options.no_kills
            )
    for problem in outcome.problems[:50]:
        print(f"not accounted for: {problem}", file=sys.stderr)
    verdict = "sound" if not outcome.problems else f"{len(outcome.problems)} problems"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    cells = [today, f"{options.minutes:g}", str(seed), *figures.values(), verdict]
    line = _row(cells)
    print(line, end="")
    _write(line)
    sys.exit(bool(outcome.problems))


if __name__ == "__main__":
    main()
