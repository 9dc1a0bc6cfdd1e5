"""A database in memory that fails when it is told to: a driver for the writer of the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from trunkline.store.ledger.driver import Found, Lost, Raced, Wanted
from trunkline.store.ledger.schema import Cells
from trunkline.store.ledger.settle import Rows

FAULTS = ("", "raced", "lost", "lost, but written")


class Database:
    """What is stored. One transaction at a time."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, tuple[int, Cells]]] = {}
        self.movements: list[Cells] = []
        self.answers: dict[str, str] = {}
        self.lock = asyncio.Lock()

    def apply(self, rows: Rows) -> None:
        for kind, writes in rows.writes.items():
            table = self.documents.setdefault(kind, {})
            for key in writes.gone:
                del table[key]
            for row in writes.changed:
                key, version = _named(row)
                assert table[key][0] < version
                table[key] = version, row[2:]
            for row in writes.new:
                key, version = _named(row)
                assert key not in table
                table[key] = version, row[2:]
        self.movements += rows.movements
        for once, _, answer in rows.answers:
            assert once not in self.answers
            self.answers[str(once)] = str(answer)


def _named(row: Cells) -> tuple[str, int]:
    key, version = row[:2]
    assert isinstance(key, str)
    assert isinstance(version, int)
    return key, version


class MemoryDriver:
    """A connection to it; ``faults`` says what becomes of one call after the other."""

    def __init__(self, database: Database, faults: Iterator[str]) -> None:
        self._database = database
        self._faults = faults
        self._held = False
        self._connected = False

    @property
    def connected(self) -> bool:
        return self._connected

    async def read(self, wanted: Wanted) -> Found:
        assert not self._held
        self._connected = True
        await self._database.lock.acquire()
        self._held = True
        await self._fault()
        found = Found()
        for kind, versions in wanted.versions.items():
            table = self._database.documents.get(kind, {})
            found.documents[kind] = {}
            for key, known in versions.items():
                if key in table:
                    version, cells = table[key]
                    found.documents[kind][key] = version, () if version == known else cells
        answers = self._database.answers
        found.answers = {key: answers[key] for key in wanted.answers if key in answers}
        return found

    async def write(self, rows: Rows) -> None:
        assert self._held
        fault = next(self._faults, "")
        if fault == "lost, but written":
            self._database.apply(rows)
        await self._fault(fault)
        self._database.apply(rows)
        self._free()

    async def _fault(self, fault: str | None = None) -> None:
        fault = next(self._faults, "") if fault is None else fault
        await asyncio.sleep(0)
        if fault == "raced":
            raise Raced("another was faster")
        if fault.startswith("lost"):
            raise Lost("the line is dead", dead=True)

    async def undo(self) -> None:
        self._free()

    def abort(self) -> None:
        pass

    async def close(self) -> None:
        self._connected = False
        self._free()

    def _free(self) -> None:
        if self._held:
            self._held = False
            self._database.lock.release()
