"""Named values that expire: counters, marks and locks of routing scripts.

:class:`KeyValue` is what a script may ask of such a store. Two classes are one:
:class:`trunkline.store.redis.Redis`, which several hosts share, and :class:`Memory` here, for one
process and for tests, whose clock is given. Names and answers are those of Redis' commands: what
:meth:`KeyValue.command` answers is the value of the reply, as text, number, list or ``None``.

:class:`Memory` knows the commands of :data:`COMMANDS` and no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, Protocol, TypeAlias, runtime_checkable

from trunkline.errors import TrunklineError

__all__ = ["COMMANDS", "KeyValue", "Memory", "Value", "Word", "split_command"]

Word: TypeAlias = str | int | float | bytes
"""What a command is made of."""

Value: TypeAlias = "str | int | list[Value] | None"
"""What a command is answered with. Octets that are not UTF-8 come as surrogate escapes."""

_INTEGERS = range(-(1 << 63), 1 << 63)  # what Redis counts in
_LONGEST = 65536  # characters of a key or a value in memory


@runtime_checkable
class KeyValue(Protocol):
    """A store of named values. Every method may raise what its class says, and nothing else."""

    async def command(self, *words: Word) -> Value:
        """Carry out one command, as ``command("SET", "greeting", "good morning")``.

        A lone word with blanks in it is split at them: ``command("SET foo bar")``. A value that may
        hold a blank, or that came in by a message, goes as a word of its own.
        """
        ...

    async def get(self, key: str) -> str | None:
        """The value of ``key``, or ``None``."""
        ...

    async def set(self, key: str, value: str | int, *, expire: float | None = None) -> None:
        """Give ``key`` a value, for ``expire`` seconds or for good."""
        ...

    async def incr(self, key: str, amount: int = 1, *, expire: float | None = None) -> int:
        """Add ``amount`` to a counter (0 where there is none) and return it.

        With ``expire``, a counter that would stay for good ends so many seconds after this count,
        in the same step: the window begins with the first count, and no later one moves its end.
        """
        ...

    async def expire(self, key: str, seconds: float) -> bool:
        """Let ``key`` end in ``seconds``; ``False`` where there is none."""
        ...

    async def ttl(self, key: str) -> float | None:
        """Seconds until ``key`` ends; ``None`` where there is none, or it stays for good."""
        ...

    async def delete(self, *keys: str) -> int:
        """Remove ``keys``; returns how many of them there were."""
        ...


def split_command(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words of a command, where a lone text with blanks is split at them.

    Raises:
        TrunklineError: ``store.command-empty``.
    """
    if len(words) == 1 and isinstance(words[0], str):
        words = tuple(words[0].split())
    if not words or words[0] == "":
        raise TrunklineError("store.command-empty", 'an empty command: write command("GET", "key")')
    return words


def milliseconds(seconds: float) -> int:
    """A time to live as Redis takes it: whole milliseconds, rounded up so that it is not 0.

    Raises:
        TrunklineError: ``store.expire`` when it is not above 0, or longer than a century.
    """
    if not 0 < seconds <= 3_200_000_000:
        raise TrunklineError(
            "store.expire",
            f"a time to live of {seconds} s: give seconds above 0, or delete the key",
        )
    return math.ceil(seconds * 1000)


@dataclass(slots=True)
class _Entry:
    value: str
    ends: float = math.inf


class Memory:
    """A :class:`KeyValue` in this process; it ends with the process.

    ``now`` tells the time in seconds, monotonic. ``limit`` keys at most: a new key then takes the
    place of the one that would end first (``evicted`` counts them); where no key ends, it is
    refused, like a command or a value that Redis would refuse.

    Raises:
        TrunklineError: ``store.memory-full``, ``store.memory-command``, ``store.refused``.
    """

    def __init__(self, now: Callable[[], float], *, limit: int = 100_000) -> None:
        self.limit = limit
        self.evicted = 0
        self._now = now
        self._entries: dict[str, _Entry] = {}
        self._ends: list[tuple[float, str]] = []  # a heap; what no longer fits its entry is stale

    def __len__(self) -> int:
        self._purge()
        return len(self._entries)

    async def command(self, *words: Word) -> Value:
        """Carry out one of :data:`COMMANDS`."""
        name, *arguments = map(_text, split_command(words))
        handler = _HANDLERS.get(name.upper())
        if handler is None:
            raise TrunklineError(
                "store.memory-command",
                f"{name}: a store in memory knows {', '.join(COMMANDS)}; "
                "give this name the URL of a Redis server",
            )
        self._purge()
        return handler(self, arguments)

    async def get(self, key: str) -> str | None:
        """See :meth:`KeyValue.get`."""
        self._purge()
        return self._get(key)

    async def set(self, key: str, value: str | int, *, expire: float | None = None) -> None:
        """See :meth:`KeyValue.set`."""
        self._purge()
        self._put(key, str(value), self._deadline(expire))

    async def incr(self, key: str, amount: int = 1, *, expire: float | None = None) -> int:
        """See :meth:`KeyValue.incr`."""
        self._purge()
        deadline = self._deadline(expire)
        count = self._add(key, amount)
        if self._entries[key].ends == math.inf:
            self._end_at(key, deadline)
        return count

    async def expire(self, key: str, seconds: float) -> bool:
        """See :meth:`KeyValue.expire`."""
        self._purge()
        deadline = self._deadline(seconds)
        if key not in self._entries:
            return False
        self._end_at(key, deadline)
        return True

    async def ttl(self, key: str) -> float | None:
        """See :meth:`KeyValue.ttl`."""
        self._purge()
        entry = self._entries.get(key)
        return None if entry is None or entry.ends == math.inf else entry.ends - self._now()

    async def delete(self, *keys: str) -> int:
        """See :meth:`KeyValue.delete`."""
        self._purge()
        return self._delete(keys)

    def _get(self, key: str) -> str | None:
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def _put(self, key: str, value: str, ends: float) -> None:
        if len(key) > _LONGEST or len(value) > _LONGEST:
            raise _refused(f"a store in memory takes {_LONGEST} characters at most")
        if key not in self._entries and len(self._entries) >= self.limit:
            self._evict()
        self._entries[key] = _Entry(value)
        self._end_at(key, ends)

    def _add(self, key: str, amount: int) -> int:
        entry = self._entries.get(key)
        count = (0 if entry is None else _integer(entry.value)) + amount
        if count not in _INTEGERS:
            raise _refused("increment or decrement would overflow")
        if entry is None:
            self._put(key, str(count), math.inf)
        else:
            entry.value = str(count)
        return count

    def _delete(self, keys: tuple[str, ...] | list[str]) -> int:
        return sum(self._entries.pop(key, None) is not None for key in keys)

    def _deadline(self, seconds: float | None) -> float:
        return math.inf if seconds is None else self._now() + milliseconds(seconds) / 1000

    def _end_at(self, key: str, ends: float) -> None:
        self._entries[key].ends = ends
        if ends == math.inf:
            return
        heappush(self._ends, (ends, key))
        if len(self._ends) > 2 * len(self._entries) + 64:
            entries = self._entries.items()
            self._ends = [(entry.ends, key) for key, entry in entries if entry.ends != math.inf]
            heapify(self._ends)

    def _first(self) -> tuple[float, str] | None:
        """The key that ends first; what is stale before it is taken off."""
        while self._ends:
            ends, key = self._ends[0]
            entry = self._entries.get(key)
            if entry is not None and entry.ends == ends:
                return ends, key
            heappop(self._ends)
        return None

    def _purge(self) -> None:
        now = self._now()
        while (first := self._first()) and first[0] <= now:
            del self._entries[first[1]]

    def _evict(self) -> None:
        first = self._first()
        if first is None:
            raise TrunklineError(
                "store.memory-full",
                f"{self.limit} keys are there, and none of them ends: let keys expire, or give "
                "this name the URL of a Redis server",
            )
        del self._entries[first[1]]
        self.evicted += 1


def _text(word: Word) -> str:
    return word.decode("utf-8", "surrogateescape") if isinstance(word, bytes) else str(word)


def _integer(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = _INTEGERS.stop
    if str(number) != text or number not in _INTEGERS:
        raise _refused("value is not an integer or out of range")
    return number


def _refused(reason: str) -> TrunklineError:
    return TrunklineError("store.refused", f"refused: {reason}")


# --- commands by their words


def _arguments(name: str, words: list[str], least: int, most: int | None) -> None:
    if len(words) < least or (most is not None and len(words) > most):
        raise _refused(f"wrong number of arguments for '{name}' command")


def _command_get(store: Memory, words: list[str]) -> Value:
    _arguments("get", words, 1, 1)
    return store._get(words[0])


def _command_set(store: Memory, words: list[str]) -> Value:
    _arguments("set", words, 2, None)
    key, value, *options = words
    ends = math.inf
    condition = ""
    while options:
        option = options.pop(0).upper()
        if option in ("NX", "XX") and condition in ("", option):
            condition = option
        elif option in ("EX", "PX") and options and ends == math.inf:
            amount = _integer(options.pop(0))
            if amount <= 0:
                raise _refused("invalid expire time in 'set' command")
            ends = store._now() + amount / (1 if option == "EX" else 1000)
        else:
            raise _refused("syntax error")
    if condition and (key in store._entries) is (condition == "NX"):
        return None
    store._put(key, value, ends)
    return "OK"


def _command_incr(store: Memory, words: list[str]) -> Value:
    _arguments("incr", words, 1, 1)
    return store._add(words[0], 1)


def _command_decr(store: Memory, words: list[str]) -> Value:
    _arguments("decr", words, 1, 1)
    return store._add(words[0], -1)


def _command_incrby(store: Memory, words: list[str]) -> Value:
    _arguments("incrby", words, 2, 2)
    return store._add(words[0], _integer(words[1]))


def _command_expire(store: Memory, words: list[str]) -> Value:
    _arguments("expire", words, 2, 2)
    seconds = _integer(words[1])
    if words[0] not in store._entries:
        return 0
    if seconds <= 0:  # Redis: it has ended already
        return store._delete(words[:1])
    store._end_at(words[0], store._now() + seconds)
    return 1


def _command_persist(store: Memory, words: list[str]) -> Value:
    _arguments("persist", words, 1, 1)
    entry = store._entries.get(words[0])
    if entry is None or entry.ends == math.inf:
        return 0
    entry.ends = math.inf
    return 1


def _command_ttl(store: Memory, words: list[str]) -> Value:
    _arguments("ttl", words, 1, 1)
    entry = store._entries.get(words[0])
    if entry is None:
        return -2
    return -1 if entry.ends == math.inf else int(entry.ends - store._now() + 0.5)


def _command_del(store: Memory, words: list[str]) -> Value:
    _arguments("del", words, 1, None)
    return store._delete(words)


def _command_exists(store: Memory, words: list[str]) -> Value:
    _arguments("exists", words, 1, None)
    return sum(key in store._entries for key in words)


_HANDLERS: Final[dict[str, Callable[[Memory, list[str]], Value]]] = {
    "GET": _command_get,
    "SET": _command_set,
    "INCR": _command_incr,
    "DECR": _command_decr,
    "INCRBY": _command_incrby,
    "EXPIRE": _command_expire,
    "PERSIST": _command_persist,
    "TTL": _command_ttl,
    "DEL": _command_del,
    "EXISTS": _command_exists,
}

COMMANDS: Final = tuple(_HANDLERS)
"""The commands that :class:`Memory` knows; of SET's options EX, PX, NX and XX."""
