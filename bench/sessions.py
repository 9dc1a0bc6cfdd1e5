"""Whole prepaid sessions by the charging API, over TCP, on a node that flushes what it answers.

The node is ``trunkline run`` with a tariff of four prices. This process asks over 256 connections,
one request under way on each: initiate, update and terminate, one session after another, for many
accounts and then for one. In the end the audit is clean and no session is left open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.databases import DATABASES, free_port, wait_for
from bench.processes import cpu_of
from trunkline.store.ledger.book import Book

__all__ = ["TITLES", "run"]

TITLES = {
    "sessions_per_s": "sessions a second over many accounts",
    "request_p50_ms": "ms to an answer, median",
    "request_p99_ms": "99 of 100",
    "cpu_us": "µs of the node's CPU a session",
    "hot_sessions_per_s": "sessions a second on one account",
    "hot_cpu_us": "µs of the node's CPU a session, then",
}
"""What the figures are."""

_AT_ONCE = 256
_SECOND = 1_000_000_000
_TARIFF = {
    "Destinations.csv": "MOBILE,614\nFIXED,612\nABROAD,49\nOTHER,1\n",
    "Rates.csv": "R1,0.02,0.12,60s,1s,0s\nR2,0,0.06,60s,1s,0s\n",
    "DestinationRates.csv": (
        "DR,MOBILE,R1,*up,4,0,\nDR,FIXED,R2,*up,4,0,\nDR,ABROAD,R1,*up,4,0,\nDR,OTHER,R2,*up,4,0,\n"
    ),
    "RatingPlans.csv": "RP,DR,*any,10\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
}


class _Switch:
    """A connection with one request under way at most."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.waits: list[float] = []

    @classmethod
    async def at(cls, port: int) -> _Switch:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, argument: object) -> None:
        asked = time.perf_counter()
        text = json.dumps({"id": 1, "method": method, "params": [argument]})
        self._writer.write(text.encode())
        line = await self._reader.readline()
        if b'"error":null' not in line:
            raise RuntimeError(f"the node refused: {line[:200]!r}")
        self.waits.append(time.perf_counter() - asked)

    async def session(self, account: str, name: str) -> None:
        """30 s and 30 s more, of which 45 are used."""
        event: dict[str, object] = {
            "OriginID": name,
            "OriginHost": "bench",
            "RequestType": "*prepaid",
            "ToR": "*voice",
            "Category": "call",
            "Account": account,
            "Destination": "61412345678",
            "AnswerTime": "2026-01-05T12:00:00Z",
        }
        for step, (what, usage) in enumerate((("Init", 30), ("Update", 30), ("Terminate", 45))):
            argument = {
                "Tenant": "cgrates.org",
                "ID": f"{name}-{step}",
                f"{what}Session": True,
                "Event": {**event, "Usage": usage * _SECOND},
            }
            await self.ask(f"SessionSv1.{'Initiate' if what == 'Init' else what}Session", argument)

    def close(self) -> None:
        self._writer.close()


async def _opened(port: int, accounts: list[str]) -> None:
    switches = [await _Switch.at(port) for _ in range(16)]

    async def open_some(switch: _Switch, some: list[str]) -> None:
        for account in some:
            argument = {"Account": account, "BalanceType": "*monetary", "Value": 1_000_000}
            await switch.ask("APIerSv1.AddBalance", argument)
        switch.close()

    await asyncio.gather(
        *(open_some(each, accounts[number::16]) for number, each in enumerate(switches))
    )


async def _sessions(
    port: int, accounts: list[str], seconds: float, name: str
) -> tuple[int, float, list[float]]:
    """How many, how long it took, and how long every request took, the shortest first."""
    switches = [await _Switch.at(port) for _ in range(_AT_ONCE)]
    begun = time.perf_counter()

    async def work(number: int, switch: _Switch) -> int:
        count = 0
        while time.perf_counter() - begun < seconds:
            account = accounts[(number * 7919 + count) % len(accounts)]
            await switch.session(account, f"{name}-{number}-{count}")
            count += 1
        switch.close()
        return count

    done = sum(await asyncio.gather(*(work(n, each) for n, each in enumerate(switches))))
    took = time.perf_counter() - begun
    return done, took, sorted(wait for each in switches for wait in each.waits)


async def _measure(port: int, pid: int, accounts: int, seconds: float) -> dict[str, float]:
    names = [f"{number:06d}" for number in range(accounts)]
    await _opened(port, names)
    await _sessions(port, names, seconds / 4, "warm")
    cpu = cpu_of(pid)
    done, took, waits = await _sessions(port, names, seconds, "many")
    used = cpu_of(pid) - cpu
    cpu = cpu_of(pid)
    hot, hot_took, _ = await _sessions(port, names[:1], seconds, "hot")
    return {
        "sessions_per_s": done / took,
        "request_p50_ms": waits[len(waits) // 2] * 1e3,
        "request_p99_ms": waits[len(waits) * 99 // 100] * 1e3,
        "cpu_us": used / done * 1e6,
        "hot_sessions_per_s": hot / hot_took,
        "hot_cpu_us": (cpu_of(pid) - cpu) / hot * 1e6,
    }


async def _checked(url: str) -> None:
    book = Book(url)
    result = await book.audit()
    last = ""
    while page := await book.sessions(after=last):
        last = page[-1].id
        if any(not row.session.ended for row in page):
            raise RuntimeError("a session is left open")
    await book.close()
    if not result.clean:
        raise RuntimeError(f"the audit: {result.findings[:3]}")


def _of_node(url: str, folder: Path, accounts: int, seconds: float) -> dict[str, float]:
    (folder / "tariff").mkdir()
    for name, text in _TARIFF.items():
        (folder / "tariff" / name).write_text(text)
    port = free_port()
    (folder / "network.toml").write_text(
        f'[network]\nname = "bench"\n[node.OCS.charging]\ntariff = "tariff"\nledger = "{url}"\n'
        f'rpc_json = "127.0.0.1:{port}"\nhttp = ""\nrpc_bijson = ""\n'
    )
    place = {"XDG_STATE_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with (folder / "node.log").open("wb") as output:
        node = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "run", str(folder / "network.toml")],
            stdout=output,
            stderr=output,
            env={**os.environ, **place},
        )
    try:
        wait_for(port, node)
        loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
        with suppress(ImportError):
            import uvloop

            loop = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(_measure(port, node.pid, accounts, seconds))
    finally:
        node.terminate()
        node.wait(20)
        asyncio.run(_checked(url))


def run(quick: bool, progress: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """The figures by database."""
    accounts, seconds = (200, 1.0) if quick else (10_000, 10.0)
    figures: dict[str, dict[str, float]] = {}
    for kind, made in DATABASES.items():
        with (
            tempfile.TemporaryDirectory(prefix="trunkline-") as home,
            tempfile.TemporaryDirectory(prefix="trunkline-") as name,
            made(Path(name)) as url,
        ):
            if url is not None:
                progress(f"sessions by the API, {kind}")
                figures[kind] = _of_node(url, Path(home), accounts, seconds)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    found = run(options.quick, lambda text: print(text, file=sys.stderr))
    for database, figures in found.items():
        for name, value in figures.items():
            print(f"{database:12} {TITLES[name]:45} {value:12,.2f}")


if __name__ == "__main__":
    main()
