"""Every bench, one after the other; the tables go into docs/performance.md.

    python -m bench [--quick] [--json] [--only NAME …]

Progress is on standard error, the tables (or with ``--json`` their figures) on standard output.
A table is written down as soon as it is there, except with ``--quick``, which shows that everything
works: its figures mean little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import (
    api,
    batch,
    breakdown,
    idle,
    ledger,
    micro,
    rating,
    sessions,
    sip_breakdown,
    sip_proxy,
    stp,
    transport,
    waiting,
)
from bench.figures import Figure, table
from bench.runtimes import CPYTHON, Runtime, pypy

_PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

_Figures = Mapping[str, Mapping[str, Figure]]
_Progress = Callable[[str], None]


@dataclass(frozen=True)
class _Plan:
    """How much is done."""

    runs: int
    messages: int
    idle_seconds: float
    repeat: int
    runtimes: tuple[Runtime, ...]


@dataclass(frozen=True)
class _Bench:
    command: str
    measure: Callable[[_Plan, _Progress], _Figures]
    table: Callable[[_Figures, _Plan], str]


def _titles(plan: _Plan) -> dict[str, str]:
    return {runtime.name: runtime.title for runtime in plan.runtimes}


def _measure_waiting(plan: _Plan, progress: _Progress) -> _Figures:
    figures: dict[str, dict[str, Figure]] = {}
    datagrams = plan.messages // 5
    for runtime in plan.runtimes:
        ways = ["asyncio", "uvloop", "epoll"] if runtime is CPYTHON else ["asyncio", "epoll"]
        for load, window in {"single": 1, "window": 64}.items():
            progress(f"ways of waiting on {runtime.title}, {load}")
            seen: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(plan.runs):
                for way in ways:
                    cost = waiting.measure(way, window, datagrams, runtime.interpreter)
                    seen[way].append(cost)
            figures[f"{runtime.name} {load}"] = {
                way: Figure.of(values) for way, values in seen.items()
            }
    return figures


def _waiting_table(figures: _Figures, plan: _Plan) -> str:
    loads = {"single": "one datagram a wake-up", "window": "64 under way"}
    return table(
        ("µs of CPU a datagram", "asyncio", "uvloop", "own epoll loop"),
        (
            (
                f"{title}, {text}",
                *(
                    f"{found[way]:.2f}" if way in found else "none"
                    for way in ("asyncio", "uvloop", "epoll")
                ),
            )
            for name, title in _titles(plan).items()
            for load, text in loads.items()
            for found in (figures[f"{name} {load}"],)
        ),
    )


def _measure_transport(plan: _Plan, progress: _Progress) -> _Figures:
    one: list[transport.Result] = []
    two: list[transport.Result] = []
    for number in range(plan.runs):
        progress(f"bare transport, run {number + 1} of {plan.runs}")
        one.append(transport.one_hop(plan.messages))
        two.append(transport.two_hop(plan.messages))
    return {
        name: {
            "rate": Figure.of([run.rate for run in runs]),
            "cpu": Figure.of([run.cpu_total for run in runs]),
        }
        for name, runs in (("one hop", one), ("two hops", two))
    }


def _transport_table(figures: _Figures, plan: _Plan) -> str:
    return table(
        ("", "messages/s", "µs of CPU a message, all processes"),
        ((name, f"{row['rate']:,.0f}", f"{row['cpu']:.1f}") for name, row in figures.items()),
    )


def _stp_table(figures: _Figures, plan: _Plan) -> str:
    titles = {
        "transport": "ceiling: the transport alone",
        "transport, M2PA's length": "the same, 117 octets",
        **{name: f"node on {title}" for name, title in _titles(plan).items()},
    }

    costs = table(
        ("", "messages/s", "µs of CPU a message, middle", "both ends", "MB, middle"),
        (
            (
                titles[name],
                f"{row['rate']:,.0f}",
                f"{row['cpu_stp']:.1f}",
                f"{row['cpu_ends']:.1f}",
                f"{row['memory']:.0f}" if "memory" in row else "",
            )
            for name, row in figures.items()
        ),
    )
    ratios = table(
        ("of the ceiling", "by rate", "by CPU", "117 octets, by rate", "by CPU"),
        (
            (
                titles[name],
                *(
                    f"{row[key]:.0%}"
                    for key in ("ratio", "ratio_cpu", "ratio_framed", "ratio_framed_cpu")
                ),
            )
            for name, row in figures.items()
            if "ratio" in row
        ),
    )
    return f"{costs}\n\n{ratios}"


def _breakdown_table(figures: _Figures, plan: _Plan) -> str:
    names = _titles(plan)
    first = next(iter(names))
    lines = [
        (text, *(f"{figures[name][layer]:.2f}" for name in names), f"{calls.median:.0f}")
        for layer, text in breakdown.LAYERS.items()
        for calls in (figures[f"{first} calls"][layer],)
    ]
    rest = (
        "the rest: the event loop and its waiting",
        *(f"{figures[n]['rest']:.2f}" for n in names),
    )
    sums = (f"{sum(f.median for f in figures[name].values()):.1f}" for name in names)
    return table(
        ("µs of CPU a message", *names.values(), "calls a 1000 messages"),
        [*lines, (*rest, ""), ("sum of the medians", *sums, "")],
    )


def _idle_table(figures: _Figures, plan: _Plan) -> str:
    lab, node = figures["lab"], figures["node"]
    return table(
        ("", "median (lowest–highest)"),
        (
            ("CPU of all four, % of one core", f"{lab['cpu']:.2f}"),
            ("resident memory of a node, MB", f"{node['memory']:.0f}"),
            ("wake-ups of a node a second", f"{node['wakeups']:.0f}"),
            ("packets of a node a second, in and out", f"{node['packets']:.1f}"),
        ),
    )


def _micro_table(figures: _Figures, plan: _Plan) -> str:
    names = _titles(plan)
    return table(
        ("µs of CPU", *names.values()),
        (
            (text, *(f"{figures[name][key]:.2f}" for name in names))
            for key, text in micro.TITLES.items()
        ),
    )


def _measure_rating(plan: _Plan, progress: _Progress) -> _Figures:
    progress("rating")
    quick = plan.runs == 1
    return {
        "rating": {name: Figure.of([value]) for name, value in rating.run(quick).items()},
    }


_RATING = {
    "number_per_s": "prices a second, the number alone",
    "number_peak_per_s": "the same by a tariff with peak hours",
    "number_peak_zone_per_s": "the same in a time zone with daylight saving",
    "breakdown_per_s": "prices a second with the breakdown",
    "breakdown_reasons_per_s": "the same with every reason",
    "json_per_s": "the same as the reference's JSON text",
    "number_cgrates_per_s": "the number in the `cgrates` precision",
    "long_call_number_ratio": "10 h billed per second over 1 min, the number",
    "long_call_breakdown_ratio": "the same with breakdown and reasons",
    "build_prefixes": "prefixes of the tariff that is compiled",
    "build_seconds": "seconds to compile it",
    "build_peak_mb": "MB of the whole process then",
}


def _rating_table(figures: _Figures, plan: _Plan) -> str:
    found = figures["rating"]
    return table(
        ("one core, CPython", "figure"),
        ((text, f"{found[name].median:,.2f}") for name, text in _RATING.items()),
    )


def _measure_api(plan: _Plan, progress: _Progress) -> _Figures:
    found = api.run(plan.runs == 1, progress)
    return {
        f"{count} connections": {name: Figure.of([value]) for name, value in figures.items()}
        for count, figures in found.items()
    }


def _api_table(figures: _Figures, plan: _Plan) -> str:
    return table(
        ("one server, CPython", *figures),
        (
            (text, *(f"{found[name].median:,.2f}" for found in figures.values()))
            for name, text in api.TITLES.items()
        ),
    )


def _measure_ledger(plan: _Plan, progress: _Progress) -> _Figures:
    found = ledger.run(plan.runs == 1, progress)
    return {
        database: {name: Figure.of([value]) for name, value in figures.items()}
        for database, figures in found.items()
    }


def _ledger_table(figures: _Figures, plan: _Plan) -> str:
    return table(
        ("one process, CPython", *figures),
        (
            (text, *(f"{found[name].median:,.2f}" for found in figures.values()))
            for name, text in ledger.TITLES.items()
        ),
    )


def _measure_sessions(plan: _Plan, progress: _Progress) -> _Figures:
    found = sessions.run(plan.runs == 1, progress)
    return {
        database: {name: Figure.of([value]) for name, value in figures.items()}
        for database, figures in found.items()
    }


def _sessions_table(figures: _Figures, plan: _Plan) -> str:
    return table(
        ("one node, CPython", *figures),
        (
            (text, *(f"{found[name].median:,.2f}" for found in figures.values()))
            for name, text in sessions.TITLES.items()
        ),
    )


_SIP_RATE = 1500  # calls a second


def _sip_table(figures: _Figures, plan: _Plan) -> str:
    return table(
        (
            "",
            "µs of CPU a call",
            "of Kamailio's",
            "failed",
            "retransmissions",
            "handed over a call",
            "MB",
            "control: callee, µs",
        ),
        (
            (
                name,
                f"{row['cpu']:.0f}",
                f"{row['ratio']:.2f}",
                f"{row['failed']:.0f}",
                f"{row['retransmissions']:.0f}",
                f"{row['handovers']:.2f}" if "handovers" in row else "",
                f"{row['memory']:.0f}",
                f"{row['uas']:.0f}",
            )
            for name, row in figures.items()
        ),
    )


def _sip_breakdown_table(figures: _Figures, plan: _Plan) -> str:
    layers = {**sip_breakdown.LAYERS, "rest": "the rest: the event loop and its waiting"}
    return table(
        ("µs of CPU a call, the clocks included", *figures),
        (
            (text, *(f"{row[layer].median:.1f}" for row in figures.values()))
            for layer, text in layers.items()
        ),
    )


def _measure_batch(plan: _Plan, progress: _Progress) -> _Figures:
    quick = plan.runs == 1
    return batch.measure(300_000 if quick else 10_000_000, min(plan.runs, 3), progress)


def _batch_table(figures: _Figures, plan: _Plan) -> str:
    files = {name: row for name, row in figures.items() if name != "kernel"}
    kernel = figures["kernel"]
    whole = table(
        ("one process, CPython", *files),
        (
            (text, *(f"{row[name]:,.2f}" for row in files.values()))
            for name, text in batch.TITLES.items()
        ),
    )
    parts = table(
        ("one core", "figure"),
        ((text, f"{kernel[name].median:,.2f}") for name, text in batch.KERNEL.items()),
    )
    return f"{whole}\n\n{parts}"


_BENCHES: dict[str, _Bench] = {
    "waiting": _Bench("python -m bench.waiting", _measure_waiting, _waiting_table),
    "transport": _Bench("python -m bench.transport", _measure_transport, _transport_table),
    "stp": _Bench(
        "python -m bench.stp --runtime cpython --runtime pypy",
        lambda plan, progress: stp.compare(plan.runs, plan.messages, plan.runtimes, progress),
        _stp_table,
    ),
    "breakdown": _Bench(
        "python -m bench.breakdown",
        lambda plan, progress: breakdown.measure(
            min(plan.runs, 2), plan.messages, plan.runtimes, progress
        ),
        _breakdown_table,
    ),
    "idle": _Bench(
        "python -m bench.idle",
        lambda plan, progress: idle.measure(plan.idle_seconds, min(plan.runs, 2), progress),
        _idle_table,
    ),
    "micro": _Bench(
        "python -m bench.micro",
        lambda plan, progress: micro.measure(plan.repeat, plan.runtimes, progress),
        _micro_table,
    ),
    "sip": _Bench(
        f"python -m bench.sip_proxy --rate {_SIP_RATE}",
        lambda plan, progress: sip_proxy.compare(
            min(plan.runs, 2),
            _SIP_RATE,
            8 if plan.runs > 1 else 3,
            sip_proxy.runtimes(),
            progress,
        ),
        _sip_table,
    ),
    "sip breakdown": _Bench(
        "python -m bench.sip_breakdown",
        lambda plan, progress: sip_breakdown.measure(
            _SIP_RATE, 10 if plan.runs > 1 else 3, plan.runtimes, progress
        ),
        _sip_breakdown_table,
    ),
    "rating": _Bench("python -m bench.rating", _measure_rating, _rating_table),
    "batch": _Bench("python -m bench.batch", _measure_batch, _batch_table),
    "api": _Bench("python -m bench.api", _measure_api, _api_table),
    "ledger": _Bench("python -m bench.ledger", _measure_ledger, _ledger_table),
    "sessions": _Bench("python -m bench.sessions", _measure_sessions, _sessions_table),
}


def _machine(plan: _Plan) -> str:
    """Describe the machine, without its name."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    pythons = ", ".join(runtime.title + runtime.note for runtime in plan.runtimes)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores ({model}), {memory:.0f} GB, "
        f"{platform.system()} {platform.release().partition('-')[0]}; {pythons}. "
        f"Median (lowest–highest) of {plan.runs} runs that take turns."
    )


def _put(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- bench: {name} -->\n", f"<!-- end: {name} -->\n"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise RuntimeError(f"{_PAGE.name} has no place for {name}: {begin}{end}")
    return f"{head}{begin}{text}\n{end}{tail}"


def main() -> None:
    """Measure, show, write down."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="a short run that writes nothing")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--only", nargs="+", choices=_BENCHES, default=list(_BENCHES))
    options = parser.parse_args()
    other = pypy()
    runtimes = (CPYTHON,) if other is None else (CPYTHON, other)
    plan = (
        _Plan(1, 40_000, 4.0, 3, runtimes)
        if options.quick
        else _Plan(5, 200_000, 20.0, 7, runtimes)
    )
    if other is None:
        print("no PyPy here: name one in TRUNKLINE_PYPY", file=sys.stderr)
    begun = time.monotonic()

    def progress(text: str) -> None:
        line = f"{time.monotonic() - begun:4.0f} s  {text}"
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    machine = _machine(plan)
    results: dict[str, object] = {"machine": machine}
    _write_down("machine", machine, options)
    for name in options.only:
        bench = _BENCHES[name]
        figures = bench.measure(plan, progress)
        results[name] = {
            group: {key: asdict(figure) for key, figure in row.items()}
            for group, row in figures.items()
        }
        _write_down(name, f"`{bench.command}`\n\n{bench.table(figures, plan)}", options)
    progress("done")
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if options.json:
        print(json.dumps(results, indent=2))


def _write_down(name: str, text: str, options: argparse.Namespace) -> None:
    """Show a table, and put it into the page at once: a later bench may fail."""
    if not options.json:
        print(text, end="\n\n", flush=True)
    if not options.quick:
        _PAGE.write_text(_put(_PAGE.read_text(), name, text))


if __name__ == "__main__":
    main()
