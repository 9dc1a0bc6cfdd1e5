"""A named Redis (or Valkey) server as routing scripts use it.

The connection is made by the first command, so a node starts without its Redis; a server that
goes away costs each command an error, at once while the breaker is open, and is found again by
itself. Commands use up to ``connections`` connections; what does not fit waits, within its time.

A command that got no answer may have been carried out: after an error nothing is known of an INCR.
It is not tried again here, for then it might count twice.

Speaks RESP2 by redis-py's asyncio client, which is imported by the first command. Left out:
subscriptions, and clusters or sentinels (one URL is one server).
"""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from typing import Protocol, cast
from urllib.parse import parse_qsl, urlsplit

from trunkline.errors import TrunklineError
from trunkline.store.guard import Counters, Guard, hide_password
from trunkline.store.keyvalue import Value, Word, milliseconds, split_command

__all__ = ["Client", "Redis", "check_redis_url", "client", "is_redis", "redis_reason"]

_SCHEMES = ("redis", "rediss", "unix")

# INCRBY and the end of the window in one step: between two commands another node could read a
# counter that stays for good, and a node that dies there would leave one.
_COUNT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count
"""


class Client(Protocol):
    """As much of the library's client as is used here; its own signatures say less."""

    async def execute_command(self, *words: Word) -> object:
        """Send a command, once; its reply."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class Redis:
    """The server ``name`` at ``url``: ``redis://``, ``rediss://`` (TLS) or ``unix://``.

    A :class:`~trunkline.store.keyvalue.KeyValue` whose :meth:`command` knows every command.
    ``timeout``: seconds for a command, connecting and waiting for a connection included.
    ``in_flight``: commands at once, waiting ones included; one more is refused and counted.
    ``failures`` in a row open the breaker, for ``pause`` seconds.

    Raises:
        TrunklineError: ``store.redis-url``, ``store.redis-missing`` when it is made;
            ``store.redis-unavailable`` (a ``StoreUnavailable``) and ``store.refused`` by commands.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout: float = 0.5,
        connections: int = 16,
        in_flight: int = 1000,
        failures: int = 5,
        pause: float = 1.0,
    ) -> None:
        check_redis_url(f"redis.{name}", url)
        self.name = name
        self.url = url
        self._connections = asyncio.Semaphore(connections)
        self._client: Client | None = None
        self._guard = Guard(
            "store.redis-unavailable",
            f"redis.{name}",
            url,
            timeout=timeout,
            in_flight=in_flight,
            failures=failures,
            pause=pause,
        )

    @property
    def counters(self) -> Counters:
        """What became of the commands so far."""
        return self._guard.counters

    async def command(self, *words: Word) -> Value:
        """Carry out one command; see :meth:`KeyValue.command`.

        The answer is the value of Redis' reply: text (``"OK"`` of SET), a number, a list, or
        ``None``.

        Raises:
            TrunklineError: ``store.redis-unavailable``; ``store.refused`` for an error reply.
        """
        words = split_command(words)
        async with self._guard.call(), self._connections:
            return await self._execute(words)

    async def get(self, key: str) -> str | None:
        """See :meth:`KeyValue.get`."""
        return cast("str | None", await self.command("GET", key))

    async def set(self, key: str, value: str | int, *, expire: float | None = None) -> None:
        """See :meth:`KeyValue.set`."""
        ending = () if expire is None else ("PX", milliseconds(expire))
        await self.command("SET", key, value, *ending)

    async def incr(self, key: str, amount: int = 1, *, expire: float | None = None) -> int:
        """See :meth:`KeyValue.incr`."""
        if expire is None:
            return cast(int, await self.command("INCRBY", key, amount))
        ending = milliseconds(expire)
        return cast(int, await self.command("EVAL", _COUNT, 1, key, amount, ending))

    async def expire(self, key: str, seconds: float) -> bool:
        """See :meth:`KeyValue.expire`."""
        return await self.command("PEXPIRE", key, milliseconds(seconds)) == 1

    async def ttl(self, key: str) -> float | None:
        """See :meth:`KeyValue.ttl`."""
        left = cast(int, await self.command("PTTL", key))
        return None if left < 0 else left / 1000

    async def delete(self, *keys: str) -> int:
        """See :meth:`KeyValue.delete`."""
        return cast(int, await self.command("DEL", *keys)) if keys else 0

    async def close(self) -> None:
        """Close the connections; another command would make new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _execute(self, words: tuple[Word, ...]) -> Value:
        from redis import exceptions

        try:
            answer = await self._connected().execute_command(*words)
        except exceptions.ResponseError as problem:
            raise TrunklineError(
                "store.refused", f"redis.{self.name}: {words[0]!s} was refused: {problem}"
            ) from problem
        except exceptions.DataError as problem:
            raise TypeError(f"a command is made of text, numbers and bytes: {problem}") from problem
        except (exceptions.RedisError, OSError) as problem:
            raise self._guard.unavailable(redis_reason(problem)) from problem
        return _value(answer)

    def _connected(self) -> Client:
        if self._client is None:
            self._client = client(self.url, self._guard.timeout)
        return self._client


def is_redis(url: str) -> bool:
    """Whether ``url`` names a Redis; not whether it is a good one."""
    return url.partition(":")[0] in _SCHEMES


def check_redis_url(setting: str, url: str) -> None:
    """See that there can be a client of ``url``, which stands in ``setting``.

    Raises:
        TrunklineError: ``store.redis-url``, ``store.redis-missing``.
    """
    hint = 'write it as "redis://127.0.0.1:6379", with "/1" behind it for database 1'
    try:
        parts = urlsplit(url)
        known = parts.scheme in _SCHEMES and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise TrunklineError(
            "store.redis-url", f"{setting}: {hide_password(url)!r} is no URL of Redis: {hint}"
        )
    for key, _ in parse_qsl(parts.query):
        if key != "db" and not key.startswith("ssl_"):
            raise TrunklineError(
                "store.redis-url",
                f"{setting}: the URL may have the options db and ssl_…, not {key!r}",
            )
    if find_spec("redis") is None:
        raise TrunklineError(
            "store.redis-missing",
            f"{setting}: the package redis is not installed: pip install 'trunkline[redis]'",
        )


def client(url: str, timeout: float) -> Client:
    """The library's client, which sends every command once and gives each reply as it came."""
    from redis.asyncio import ConnectionPool
    from redis.asyncio import Redis as Library
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    pool = ConnectionPool.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        decode_responses=True,
        encoding_errors="surrogateescape",
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )
    made = Library.from_pool(pool)
    # They would turn "OK" into True, and other values into what their commands mean.
    made.response_callbacks.clear()
    return cast(Client, made)


def redis_reason(problem: BaseException) -> str:
    """The operating system's word where there is one: the library's repeats the URL."""
    cause: BaseException | None = problem
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)
    return str(problem) or type(problem).__name__


def _value(answer: object) -> Value:
    """``answer`` as it is, but for errors inside a list (EXEC), which become their text."""
    if isinstance(answer, list):
        return [_value(part) for part in answer]
    if isinstance(answer, Exception):
        return str(answer)
    return cast(Value, answer)
