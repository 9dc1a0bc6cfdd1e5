"""What stands before every call to a server of the store: bounds and a breaker.

A routing script runs on the loop that carries the signalling, so a database that hangs must cost
one call and not the node. :class:`Guard` lets ``in_flight`` calls run at once, gives each
``timeout`` seconds, and asks the :class:`~trunkline.store.breaker.Breaker` first. What does not
get through raises :class:`StoreUnavailable` at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from trunkline.errors import TrunklineError
from trunkline.store.breaker import Breaker, State

__all__ = ["Counters", "Guard", "StoreUnavailable", "hide_password"]


class StoreUnavailable(TrunklineError):  # noqa: N818 - a state of the server, as a script sees it
    """The server did not answer, or was not asked; a write may have been carried out or not.

    ``setting`` is where the server's URL stands, as ``redis.NAME``.
    """

    def __init__(self, code: str, setting: str, message: str) -> None:
        super().__init__(code, message)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the calls of one handle."""

    calls: int
    """Let through to the server."""
    failed: int
    """Of these, without an answer."""
    refused: int
    """Not let through: the breaker was open."""
    busy: int
    """Not let through: too many were under way."""
    opened: int
    """How often the breaker has opened."""
    in_flight: int
    """Under way now."""
    state: State
    """The breaker's state now."""


def hide_password(url: str) -> str:
    """``url`` as a message may show it."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return "(a URL that cannot be read)"
    if password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))


class Guard:
    """The bounds of one handle; ``setting`` is where its URL stands, as ``redis.NAME``.

    ``code`` is the code of the errors that it raises.
    """

    def __init__(
        self,
        code: str,
        setting: str,
        url: str,
        *,
        timeout: float,
        in_flight: int,
        failures: int,
        pause: float,
    ) -> None:
        self.timeout = timeout
        self._code = code
        self._setting = setting
        self._where = f"{setting} ({hide_password(url)})"
        self._breaker = Breaker(failures=failures, pause=pause)
        self._limit = in_flight
        self._in_flight = 0
        self._calls = 0
        self._failed = 0
        self._busy = 0
        self._last = ""

    @property
    def counters(self) -> Counters:
        """The counts so far."""
        return Counters(
            calls=self._calls,
            failed=self._failed,
            refused=self._breaker.refused,
            busy=self._busy,
            opened=self._breaker.opened,
            in_flight=self._in_flight,
            state=self._breaker.state,
        )

    def unavailable(self, reason: str) -> StoreUnavailable:
        """The error for a server that does not answer for ``reason``."""
        return self._error(f"{reason}; see that the server runs and that the setting names it")

    def _error(self, text: str) -> StoreUnavailable:
        return StoreUnavailable(self._code, self._setting, f"{self._where}: {text}")

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Everything inside is one call; it raises :class:`StoreUnavailable` for no answer.

        Raises:
            StoreUnavailable: not let through, or no answer in time.
        """
        loop = asyncio.get_running_loop()
        if self._in_flight >= self._limit:
            self._busy += 1
            raise self._error(f"{self._limit} calls are under way already; this one was not made")
        permit = self._breaker.enter(loop.time())
        if permit is None:
            wait = self._breaker.wait(loop.time())
            when = f"in {wait:.1f} s" if wait else "under way"
            raise self._error(f"left alone for now ({self._last}); a trial is {when}")
        self._calls += 1
        self._in_flight += 1
        try:
            try:
                async with asyncio.timeout(self.timeout) as limit:
                    yield
            except TimeoutError as problem:
                if not limit.expired():  # somebody else's
                    raise
                raise self.unavailable(f"no answer in {self.timeout:g} s") from problem
        except BaseException as problem:
            if isinstance(problem, StoreUnavailable) and problem.setting == self._setting:
                self._failed += 1
                self._last = problem.message.removeprefix(f"{self._where}: ").partition(";")[0]
                self._breaker.failed(permit, loop.time())
            elif isinstance(problem, TrunklineError):  # an answer: a refusal
                self._breaker.succeeded(permit)
            else:
                self._breaker.abandoned(permit)
            raise
        else:
            self._breaker.succeeded(permit)
        finally:
            self._in_flight -= 1
