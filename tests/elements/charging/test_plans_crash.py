"""Action plans and orders of two nodes on one ledger, one of which is killed in the middle."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

from tests.elements.charging.nodes import TARIFF
from tests.elements.charging.support import network_file, write_folder
from tests.elements.charging.test_effects import web

from trunkline.store.ledger.book import Book

ACCOUNTS = 400


def started(folder: Path, name: str, ledger: str, rows: dict[str, str]) -> subprocess.Popen[bytes]:
    write_folder(folder / "tariff", TARIFF | rows)
    path = network_file(folder, name, tariff="tariff", ledger=ledger, http="", rpc_bijson="")
    with (folder / "log").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "trunkline", "run", str(path)],
            stdout=output,
            stderr=output,
            env={**os.environ, "XDG_STATE_HOME": str(folder)},
        )


def test_what_a_killed_node_had_begun_another_ends(tmp_path: Path) -> None:
    """Every account is topped up once, and its order carried out, once or twice."""
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    names = [f"{number:03d}" for number in range(ACCOUNTS)]

    async def main() -> None:
        async with web() as server, asyncio.timeout(60):
            rows = {
                "Actions.csv": (
                    "TEN,*topup,,,base,*monetary,,,,,*unlimited,,10,10,,,20\n"
                    f"TEN,*http_post,{server.url}/new,,,,,,,,,,,,,,10\n"
                ),
                "ActionPlans.csv": "START,TEN,*asap,10\n",
                "AccountActions.csv": "".join(f"cgrates.org,{name},START,,,\n" for name in names),
            }
            book = Book(ledger)
            await book.prepare()
            nodes = [started(tmp_path / name, name, ledger, rows) for name in ("one", "two")]
            try:
                while len(server.requests) < ACCOUNTS // 4:
                    await asyncio.sleep(0.005)
                nodes[0].kill()
                while await book.tasks("effect/") or len(await _paid(book)) < ACCOUNTS:
                    await asyncio.sleep(0.05)
                assert await _paid(book) == {f"cgrates.org:{name}": 10 for name in names}
                assert (await book.audit()).clean
            finally:
                for node in nodes:
                    node.kill()
                    node.wait(10)
                await book.close()
            times = Counter(body["ID"] for _, body in server.requests)
            assert set(times) == {f"cgrates.org:{name}" for name in names}
            assert max(times.values()) <= 2
            assert sum(times.values()) <= ACCOUNTS + 20, "those that were under way"

    asyncio.run(main())


async def _paid(book: Book) -> dict[str, Decimal]:
    """What was put into each account."""
    found: dict[str, Decimal] = {}
    after = 0
    while page := await book.movements(after=after):
        after = page[-1].seq
        for entry in page:
            key = entry.movement.account
            found[key] = found.get(key, Decimal(0)) + entry.movement.amount
    return found
