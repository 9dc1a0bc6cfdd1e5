"""A process that writes to a ledger until it is killed: ``python writing.py URL NAME``.

Each key that it was answered for goes to standard output, a line each.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from tests.store.ledger.made import put

from trunkline.store.ledger.book import Book
from trunkline.store.ledger.model import Keys

SHARED = "cgrates.org:shared"


async def write(url: str, name: str) -> None:
    book = Book(url)
    await book.prepare()

    async def writer(number: int) -> None:
        # Every other writer has an account of its own.
        key = SHARED if number % 2 else f"cgrates.org:{name}-{number}"
        for count in range(1_000_000):
            once = f"{name}.{number}.{count}"
            await book.update(Keys(accounts=[key]), put(key, Decimal(1), reference=once), once=once)
            print(f"{key} {once}", flush=True)

    await asyncio.gather(*(writer(number) for number in range(12)))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2]))
