"""The location service in Redis (or Valkey), shared by several nodes.

Of each address-of-record there is one value, its bindings as JSON, and an update replaces it only
if it is still what the update was computed from: a Lua script compares and writes in one step, and
gives back what is there now for another try. Beside the values stand

- ``PREFIX:ends``: a sorted set of addresses by the time at which a contact ends first;
- ``PREFIX:sizes`` and ``PREFIX:contacts``: how many contacts each address has, and their sum.

A value that nobody expires, because no node runs, goes by itself an hour after its last contact has
ended, by the clock of the server; the first ``expire`` afterwards puts the counts right, but such
contacts are told to nobody. So does ``expire`` with a value that is no bindings (``damaged``).

All keys belong to one another: on a cluster, they need a prefix in braces.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, TypeVar, cast

from trunkline.errors import DecodeError
from trunkline.sip.binding import Bindings, dump_bindings, live, load_bindings
from trunkline.store.location.interface import Compute, Count, Gone, conflict, full
from trunkline.store.redis import Redis

__all__ = ["RedisLocation"]

T = TypeVar("T")

GRACE: Final = 3600
"""Seconds after the end of its last contact that a value stays at most."""
_ATTEMPTS: Final = 50
"""Tries of one update; each that fails means that another update went through."""
_PAGE: Final = 500

# KEYS: value, ends, sizes, contacts. ARGV: value expected, value to be, address, contacts to be,
# earliest end, when the value goes (milliseconds), limit.
_SWAP: Final = """
local old = redis.call('GET', KEYS[1]) or ''
if old ~= ARGV[1] then return {0, old} end
local before = tonumber(redis.call('HGET', KEYS[3], ARGV[3]) or '0')
local growth = tonumber(ARGV[4]) - before
local total = tonumber(redis.call('GET', KEYS[4]) or '0')
if growth > 0 and total + growth > tonumber(ARGV[7]) then return {2, tostring(total)} end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('HDEL', KEYS[3], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('PEXPIREAT', KEYS[1], ARGV[6])
  redis.call('ZADD', KEYS[2], ARGV[5], ARGV[3])
  redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
end
if growth ~= 0 then redis.call('INCRBY', KEYS[4], growth) end
return {1, ''}
"""
_COUNT: Final = "return {redis.call('ZCARD', KEYS[1]), redis.call('GET', KEYS[2]) or '0'}"


class RedisLocation:
    """A :class:`~trunkline.store.location.interface.Location` on a named Redis server.

    Args:
        redis: the server; its errors (``store.redis-unavailable``, ``store.refused``) come through.
        prefix: of all keys.
        limit: contacts at most, of all nodes together.

    Raises:
        TrunklineError: ``store.location-full`` and ``store.location-conflict`` by updates;
            ``sip.binding`` where somebody else has written into the store.
    """

    def __init__(
        self, redis: Redis, *, prefix: str = "trunkline:location", limit: int = 10_000_000
    ) -> None:
        self.limit = limit
        self.refused = 0
        self.conflicts = 0
        self.damaged = 0
        self._redis = redis
        self._value = f"{prefix}:aor:"
        self._ends = f"{prefix}:ends"
        self._sizes = f"{prefix}:sizes"
        self._contacts = f"{prefix}:contacts"

    async def get(self, aor: str, now: float) -> Bindings:
        """See :class:`Location`."""
        text = await self._redis.get(self._value + aor)
        return () if text is None else live(load_bindings(text), now)

    async def update(self, aor: str, compute: Compute[T]) -> T:
        """See :class:`Location`."""
        text = await self._redis.get(self._value + aor) or ""
        for _ in range(_ATTEMPTS):
            new, answer = compute(load_bindings(text) if text else ())
            if new is None:
                return answer
            stored, text = await self._swap(aor, text, new)
            if stored:
                return answer
            self.conflicts += 1
        raise conflict(aor, _ATTEMPTS)

    async def count(self) -> Count:
        """See :class:`Location`."""
        found = await self._redis.command("EVAL", _COUNT, 2, self._ends, self._contacts)
        aors, contacts = cast("tuple[int, str]", found)
        return Count(aors, int(contacts))

    async def expire(self, now: float, limit: int = 1000) -> list[Gone]:
        """See :class:`Location`."""
        gone: list[Gone] = []
        while len(gone) < limit:
            room = limit - len(gone)
            ended = ("-inf", repr(now), "LIMIT", 0, min(room, _PAGE))
            aors = cast("list[str]", await self._redis.command("ZRANGEBYSCORE", self._ends, *ended))
            if not aors:
                break
            values = await self._values(aors)
            for aor, text in zip(aors, values, strict=True):
                gone += await self._expired(aor, text or "", now, limit - len(gone))
        return gone

    async def _expired(self, aor: str, text: str, now: float, room: int) -> list[Gone]:
        if room <= 0:
            return []
        try:
            bindings = load_bindings(text) if text else ()
        except DecodeError:
            self.damaged += 1
            bindings = ()
        ended = [binding for binding in bindings if binding.expires <= now][:room]
        kept = tuple(binding for binding in bindings if binding not in ended)
        stored, _ = await self._swap(aor, text, kept)
        # Not stored: another node was faster, or the user agent; what is due is found again.
        return [Gone(aor, binding) for binding in ended] if stored else []

    async def every(self, now: float) -> AsyncIterator[tuple[str, Bindings]]:
        """See :class:`Location`."""
        cursor = "0"
        seen: set[str] = set()  # a scan may come by twice
        while True:
            page = await self._redis.command("ZSCAN", self._ends, cursor, "COUNT", _PAGE)
            cursor, members = cast("tuple[str, list[str]]", page)
            aors = [aor for aor in members[::2] if aor not in seen]
            seen.update(aors)
            for aor, text in zip(aors, await self._values(aors), strict=True):
                found = () if text is None else live(load_bindings(text), now)
                if found:
                    yield aor, found
            if cursor == "0":
                return

    async def _values(self, aors: list[str]) -> list[str | None]:
        if not aors:
            return []
        keys = (self._value + aor for aor in aors)
        return cast("list[str | None]", await self._redis.command("MGET", *keys))

    async def _swap(self, aor: str, old: str, new: Bindings) -> tuple[bool, str]:
        """Whether ``new`` was stored, and if not, what is there instead."""
        ends = [binding.expires for binding in new]
        reply = await self._redis.command(
            "EVAL",
            _SWAP,
            4,
            self._value + aor,
            self._ends,
            self._sizes,
            self._contacts,
            old,
            dump_bindings(new) if new else "",
            aor,
            len(new),
            repr(min(ends, default=0.0)),
            int((max(ends, default=0.0) + GRACE) * 1000),
            self.limit,
        )
        outcome, text = cast("tuple[int, str]", reply)
        if outcome == 2:
            self.refused += 1
            raise full(aor, int(text), self.limit)
        return outcome == 1, text
