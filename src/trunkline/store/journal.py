"""A file of what has been promised and is still to be done: one JSON object a line.

What `append` has returned for is on disk. A line that a crash cut off was promised to nobody, and
is taken away when the file is read. There is no order but that of the lines, and nothing is taken
out of the middle: whoever has done everything empties the file, and whoever begins again does
everything again, once, by a key of each entry.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from trunkline.errors import DecodeError, TrunklineError
from trunkline.jsonrpc import Json, decode, encode

__all__ = ["Journal"]


class Journal:
    """The file at ``path``, made when it is needed; ``limit`` entries at most.

    Raises:
        TrunklineError: ``store.journal``, it cannot be read.
    """

    def __init__(self, path: Path, *, limit: int = 100_000) -> None:
        self.path = path
        self.entries: list[Mapping[str, Json]] = []
        """All that is on disk, in order."""
        self._limit = limit
        self._lock = asyncio.Lock()
        self._read()

    async def append(self, entry: Mapping[str, Json]) -> None:
        """Write an entry; returns when it is on disk.

        Raises:
            TrunklineError: ``store.journal``: it is not, and counts for nothing.
        """
        async with self._lock:
            if len(self.entries) >= self._limit:
                raise self._problem(f"it has {self._limit} entries already")
            await asyncio.to_thread(self._write, encode(entry) + "\n")
            self.entries.append(entry)

    async def clear(self, done: int) -> bool:
        """Empty the file, if it has no more than the ``done`` entries that were done."""
        async with self._lock:
            if len(self.entries) > done:
                return False
            if self.entries:
                await asyncio.to_thread(self._cut, 0)
                self.entries.clear()
            return True

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as problem:
            raise self._problem(str(problem.strerror)) from problem
        whole = data.rpartition(b"\n")[0]
        try:
            self.entries = [_entry(line) for line in whole.split(b"\n") if line]
        except (DecodeError, ValueError) as problem:
            raise self._problem(f"{problem}; look at it, or move it away") from None
        size = data.rfind(b"\n") + 1
        if len(data) > size:
            self._cut(size)

    def _write(self, line: str) -> None:
        fresh = not self.path.exists()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                try:
                    with os.fdopen(os.dup(descriptor), "ab") as stream:
                        stream.write(line.encode())
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)
            if fresh:
                self._sync_folder()
        except OSError as problem:
            raise self._problem(str(problem.strerror)) from problem

    def _cut(self, size: int) -> None:
        try:
            descriptor = os.open(self.path, os.O_WRONLY)
            try:
                os.ftruncate(descriptor, size)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as problem:
            raise self._problem(str(problem.strerror)) from problem

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _problem(self, text: str) -> TrunklineError:
        return TrunklineError("store.journal", f"{self.path}: {text}")


def _entry(line: bytes) -> Mapping[str, Json]:
    value = decode(line)
    if not isinstance(value, Mapping):
        raise ValueError("a line is no object")
    return value
