"""The ledger in a Redis: what is read is not locked, and is checked when its change is written.

A batch reads its documents in one step, and one script writes it all if every one of them is still
at its version; else it writes nothing, and the batch begins again. From then on it has a turn: its
slots are reserved, behind whoever reserved them before, and others do not write them. So each batch
is late once at most for every other process that was there before, and none is late for ever. What
a turn protects is fairness: of a process that died, a turn ends by itself, and the versions are
checked even so.

A server that does not flush its log before it answers is refused; see :func:`check_server`.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar, cast
from uuid import uuid4

from trunkline.errors import TrunklineError
from trunkline.store.guard import hide_password
from trunkline.store.ledger.driver import Found, Lost, Raced, Refused, Wanted
from trunkline.store.ledger.lua import LEAVE, PREFIX, READ, TURN, WRITE
from trunkline.store.ledger.model import ACCOUNT, RECORD, SESSION, TASK, Slot
from trunkline.store.ledger.schema import MOVEMENT_COLUMNS, Cell, Cells, Shelf
from trunkline.store.ledger.settle import Rows
from trunkline.store.redis import Client, client, redis_reason

__all__ = ["ONCE", "RedisDriver", "cells_of", "check_server"]

ONCE: Final = "once"
"""The kind of idempotency keys among slots."""
_CHECKED: Final = 1.0  # s; so long a look at the server's settings counts
_BETWEEN: Final = 0.0005  # s; from one look whether it is our turn to the next
_LEASES: Final = 4  # a turn lives for this part of a batch's time
_INTEGER: Final = 1 << 63
_OLDEST: Final = 7  # before, the log had the script, which may do something else the next time
_SETTINGS: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
_ACCOUNT, _REFERENCE = (MOVEMENT_COLUMNS.index(name) for name in ("account", "reference"))

T = TypeVar("T")


async def check_server(found: Client, url: str) -> None:
    """See that the server at ``url`` keeps what it was given.

    Raises:
        TrunklineError: ``store.ledger-redis``, with what to do about it.
    """
    from redis.exceptions import ResponseError

    where = f"ledger ({hide_password(url)})"
    try:
        said = await found.execute_command("CONFIG", "GET", *_SETTINGS)
        info = cast(str, await found.execute_command("INFO", "server", "cluster"))
    except ResponseError as problem:
        raise TrunklineError(
            "store.ledger-redis",
            f"{where}: the server does not tell its settings ({problem}), so nobody knows whether"
            f" it keeps a ledger: it needs Redis {_OLDEST} or later, and a user that may CONFIG GET"
            " and INFO",
        ) from problem
    facts = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    version = facts.get("redis_version", "")
    if not version or int(version.partition(".")[0]) < _OLDEST:
        raise TrunklineError(
            "store.ledger-redis", f"{where}: a ledger needs Redis {_OLDEST}, this is {version}"
        )
    if facts.get("cluster_enabled") != "0":
        raise TrunklineError(
            "store.ledger-redis",
            f"{where}: this is a node of a cluster; a ledger needs a server of its own",
        )
    words = cast("list[str]", said)
    settings = dict(zip(words[::2], words[1::2], strict=True))
    wrong = [f"{name} {value}" for name, value in _SETTINGS.items() if settings.get(name) != value]
    if wrong:
        raise TrunklineError(
            "store.ledger-redis",
            f"{where}: a crash of this server, or full memory, would lose movements; it needs"
            f" {', '.join(wrong)}",
        )


class RedisDriver:
    """See :class:`~trunkline.store.ledger.driver.Driver`. ``timeout``: s, for one answer."""

    def __init__(self, url: str, shelves: Sequence[Shelf], timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._indexes = {shelf.kind: _indexes(shelf) for shelf in shelves}
        self._client: Client | None = None
        self._checked = -math.inf
        self._running: asyncio.Task[object] | None = None
        self._slots: dict[Slot, int] = {}  # what was read, and its versions
        self._token = ""  # of our turn
        self._late = False  # the batch was too late once, or found others ahead

    @property
    def connected(self) -> bool:
        """Whether there is a client."""
        return self._client is not None

    async def read(self, wanted: Wanted) -> Found:
        """See :meth:`Driver.read`; nothing is locked."""
        return await self._run(lambda: self._read(wanted))

    async def write(self, rows: Rows) -> None:
        """See :meth:`Driver.write`."""
        self._late = False
        if not rows:
            await self._run(self._leave)
            return
        arguments = self._arguments(rows)
        if not await self._run(lambda: self._write(arguments)):
            self._late = True
            raise Raced("another process has changed what this one had read")
        self._token = ""

    async def undo(self) -> None:
        """See :meth:`Driver.undo`; nothing is undone, and whoever was late keeps its turn."""
        if not self._late:
            await self._run(self._leave)

    def abort(self) -> None:
        """See :meth:`Driver.abort`."""
        if self._running is not None:
            self._running.cancel()

    async def close(self) -> None:
        """See :meth:`Driver.close`."""
        from redis.exceptions import RedisError

        found, self._client = self._client, None
        self._checked, self._token, self._late = -math.inf, "", False
        if found is not None:
            with suppress(RedisError, OSError):
                await found.aclose()

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        from redis import exceptions

        task = asyncio.ensure_future(work())
        self._running = cast("asyncio.Task[object]", task)
        try:
            await asyncio.wait({task})
        finally:
            self._running = None
            if not task.done():
                task.cancel()
        if task.cancelled():
            raise Lost("no answer", dead=True)
        try:
            return await task
        except TrunklineError as problem:  # the server's settings
            raise Lost(problem.message.partition(": ")[2], dead=False, undone=True) from problem
        except (
            exceptions.OutOfMemoryError,
            exceptions.ReadOnlyError,
            exceptions.NoPermissionError,
        ) as problem:
            raise Lost(str(problem), dead=False, undone=True) from problem
        except exceptions.ResponseError as problem:
            if str(problem).startswith(("MISCONF", "NOREPLICAS", "BUSY")):  # a full disk, say
                raise Lost(str(problem), dead=False, undone=True) from problem
            raise Refused(str(problem)) from problem
        except (exceptions.RedisError, OSError) as problem:
            raise Lost(redis_reason(problem), dead=True) from problem

    async def _open(self) -> Client:
        if self._client is None:
            self._client = client(self._url, self._timeout)
        if time.monotonic() - self._checked > _CHECKED:
            await check_server(self._client, self._url)
            self._checked = time.monotonic()
        return self._client

    async def _read(self, wanted: Wanted) -> Found:
        found = await self._open()
        slots = {
            (kind, key): version
            for kind, versions in wanted.versions.items()
            for key, version in versions.items()
        }
        slots.update(((ONCE, key), 0) for key in wanted.answers)
        count, words = len(slots), _checks(slots)
        patience = time.monotonic() + self._timeout
        renewal = 0.0
        while True:
            if self._late and time.monotonic() > renewal:
                renewal = await self._line_up(found, count, words)
            values = await READ.run(found, self._token, count, *words)
            if values is not None:
                return self._found(wanted, cast("list[str | None]", values))
            if time.monotonic() > patience:
                raise Lost("other processes write to the same accounts", dead=False, undone=True)
            self._late = True
            await asyncio.sleep(_BETWEEN)

    def _found(self, wanted: Wanted, values: Sequence[str | None]) -> Found:
        found = Found()
        self._slots = {}
        each = iter(values)
        for kind, versions in wanted.versions.items():
            documents = found.documents[kind] = {}
            for key in versions:
                version, _, cells = (next(each) or "0").partition(" ")
                self._slots[kind, key] = int(version)
                if version != "0":
                    documents[key] = int(version), cells_of(cells) if cells else ()
        for key in wanted.answers:
            answer = next(each)
            if answer is None:
                self._slots[ONCE, key] = 0
            else:
                found.answers[key] = answer
        return found

    async def _line_up(self, found: Client, count: int, slots: Sequence[bytes]) -> float:
        """Have a turn, or keep it; until when that may be forgotten."""
        lease = self._timeout / _LEASES
        milliseconds = max(1, int(lease * 1000))
        alive = self._token and await found.execute_command(
            "PEXPIRE", f"{PREFIX}turn:{self._token}", milliseconds
        )
        if not alive:
            self._token = uuid4().hex
            await TURN.run(found, self._token, milliseconds, count, *slots)
        return time.monotonic() + lease / 2

    async def _leave(self) -> None:
        token, self._token = self._token, ""
        if token:
            await LEAVE.run(await self._open(), token)

    async def _write(self, arguments: Sequence[bytes]) -> bool:
        return await WRITE.run(await self._open(), *arguments) == 1

    def _arguments(self, rows: Rows) -> list[bytes]:
        """Those of `WRITE`."""
        gone: list[str] = []
        put: list[str] = []
        slots = dict(self._slots)
        for kind, writes in rows.writes.items():
            for key in writes.gone:
                gone += (kind, key)
            for name, *_ in writes.new:
                slots.setdefault((kind, str(name)), 0)  # of those that nobody had to name
            for new, documents in (("1", writes.new), ("0", writes.changed)):
                for name, version, *cells in documents:
                    put += (kind, str(name), new, f"{version} {_text(cells)}")
                    put += [_index(cells, each) for each in self._indexes[kind]]
        moved: list[str] = []
        for movement in rows.movements:
            account, reference = movement[_ACCOUNT], movement[_REFERENCE]
            moved += (cast(str, account), cast(str, reference), _text(movement))
        answers = [_written(cell) for answer in rows.answers for cell in answer]
        try:
            found = [self._token.encode(), b"%d" % len(slots), *_checks(slots)]
            for width, words in ((2, gone), (7, put), (3, moved), (3, answers)):
                found.append(b"%d" % (len(words) // width))
                found += [word.encode() for word in words]
        except UnicodeEncodeError as problem:
            raise Refused(f"no text: {problem}") from problem
        return found


def _checks(slots: Mapping[Slot, int]) -> list[bytes]:
    """What the scripts are told of the slots: kind, key and version of each."""
    return [
        part.encode()
        for (kind, key), version in slots.items()
        for part in (kind, key, str(version))
    ]


def cells_of(text: str) -> Cells:
    """The cells of a document or a movement."""
    return tuple(json.loads(text))


def _indexes(shelf: Shelf) -> tuple[int | None, ...]:
    """Where the three things are, among the cells of a shelf, by which it is looked through."""
    names = {
        ACCOUNT: ("sharing",),
        SESSION: ("account", "lease_until"),
        RECORD: ("account", "time", "origin_id"),
        TASK: ("due",),
    }.get(shelf.kind, ())
    places = [shelf.columns.index(name) for name in names]
    return (*places, *[None] * (3 - len(places)))


def _index(cells: Sequence[Cell], place: int | None) -> str:
    return "" if place is None else _written(cells[place])


def _written(cell: Cell) -> str:
    """A cell alone: text as it is, a number so that Redis takes it for a score."""
    if isinstance(cell, str):
        return cell
    if cell is None or math.isnan(cell):
        raise Refused(f"{cell} is no number")
    return repr(float(cell))


def _text(cells: Sequence[Cell]) -> str:
    for cell in cells:
        if isinstance(cell, int) and not -_INTEGER <= cell < _INTEGER:
            raise Refused(f"{cell} is too large")
    return json.dumps(cells, separators=(",", ":"), ensure_ascii=False)
