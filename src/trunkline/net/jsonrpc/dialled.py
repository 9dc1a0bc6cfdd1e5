"""A connection that we open, and that goes both ways: a switch's, to port 2014.

It is opened again whenever it has ended: after 0.1 s, then after twice as long each time, at most
1 s. While it is down, calls fail at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from trunkline.errors import DecodeError, TrunklineError
from trunkline.jsonrpc import Answer, Call, Json, Limits, Splitter, answer, parse, refusal, request
from trunkline.net.jsonrpc.server import Address, look_after

__all__ = ["DialledConnection", "Serve"]

Serve: TypeAlias = Callable[[str, Json], Json]
"""Answers what the server asks: method and argument to result; raises TrunklineError to refuse."""

_PAUSES: Final = (0.1, 1.0)  # s: the first, the longest
_LIMITS: Final = Limits(octets=4 << 20)
_PENDING: Final = 10_000


class DialledConnection:
    """Calls the server at ``address``, and lets it call ``serve``.

    ``changed`` hears of every change: ``None`` when the connection is up, and why it is not, once
    for each time that it went down or did not come up at first. Nothing happens before ``open``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        serve: Serve,
        changed: Callable[[str | None], object],
    ) -> None:
        self.place: Final = f"{address[0]}:{address[1]}"
        self._loop = loop
        self._address = address
        self._serve = serve
        self._changed = changed
        self._protocol: _Protocol | None = None
        self._opening: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._number = 0
        self._asked: dict[int, tuple[str, asyncio.Future[Json]]] = {}
        self._told: str | None = ""
        self._pause = _PAUSES[0]
        self._closed = False

    @property
    def up(self) -> bool:
        """Whether calls get through."""
        return self._protocol is not None

    def open(self) -> None:
        """Connect, now and whenever the connection has ended."""
        self._again = None
        self._opening = self._loop.create_task(self._open())

    async def close(self) -> None:
        """End the connection for good; calls under way fail."""
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._protocol is not None:
            self._protocol.end()  # calls under way hear of it before this returns
            await self._protocol.lost.wait()

    def call(self, method: str, argument: Json) -> asyncio.Future[Json]:
        """Call the server; for how long to wait is for the caller, who may cancel.

        Raises:
            TrunklineError: ``rpc.closed``, ``rpc.busy``; the future ``rpc.closed``, or
                ``rpc.error`` with the server's own words.
        """
        protocol = self._protocol
        if protocol is None:
            raise TrunklineError("rpc.closed", f"no connection to {self.place}")
        if protocol.stuck or len(self._asked) >= _PENDING:
            raise TrunklineError("rpc.busy", f"{self.place} does not take what it is sent")
        self._number += 1
        number = self._number
        future: asyncio.Future[Json] = self._loop.create_future()
        self._asked[number] = (method, future)
        future.add_done_callback(lambda _: self._asked.pop(number, None))
        protocol.write(request(method, argument, number))
        return future

    async def _open(self) -> None:
        try:
            _, protocol = await self._loop.create_connection(
                lambda: _Protocol(self._take, self._lost), *self._address
            )
        except OSError as problem:
            self._down(problem.strerror or str(problem) or type(problem).__name__)
        else:
            if not protocol.lost.is_set():
                self._protocol = protocol
                self._pause = _PAUSES[0]
                self._tell(None)

    def _lost(self, why: str) -> None:
        self._protocol = None
        for method, future in list(self._asked.values()):
            if not future.done():
                future.set_exception(
                    TrunklineError("rpc.closed", f"{method}: {self.place} closed the connection")
                )
        self._down(why)

    def _down(self, why: str) -> None:
        if not self._closed:
            self._again = self._loop.call_later(self._pause, self.open)
            self._pause = min(2 * self._pause, _PAUSES[1])
            self._tell(why)

    def _tell(self, why: str | None) -> None:
        if (why is None) is not (self._told is None) or self._told == "":
            self._told = why
            self._changed(why)

    def _take(self, value: bytes) -> str:
        """The text that a value is answered with, which may be none.

        Raises:
            DecodeError: it is no message.
        """
        message = parse(value)
        if isinstance(message, Answer):
            self._answered(message)
            return ""
        if not isinstance(message, Call):
            raise DecodeError("jsonrpc.request", "a batch, which no server sends")
        try:
            if message.fault:
                return refusal(message, message.fault, message.fault_code)
            return answer(message, self._serve(message.method, message.argument))
        except TrunklineError as problem:
            return refusal(message, problem.message)

    def _answered(self, message: Answer) -> None:
        found = self._asked.get(message.id) if isinstance(message.id, int) else None
        if found is None or found[1].done():
            return
        method, future = found
        if message.error is None:
            future.set_result(message.result)
        else:
            future.set_exception(TrunklineError("rpc.error", f"{method}: {message.error}"))


class _Protocol(asyncio.Protocol):
    """One connection, from its beginning to its end."""

    def __init__(self, take: Callable[[bytes], str], lost: Callable[[str], object]) -> None:
        self.lost: Final = asyncio.Event()
        self.stuck = False
        """Whether the server does not read."""
        self._take = take
        self._tell = lost
        self._splitter = Splitter(_LIMITS)
        self._transport: asyncio.Transport | None = None

    def write(self, text: str) -> None:
        assert self._transport is not None
        self._transport.write(text.encode("utf-8", "replace"))

    def end(self) -> None:
        assert self._transport is not None
        self._transport.abort()  # a server that does not read would keep us for ever

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        look_after(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        try:
            for value in self._splitter.receive(data):
                if text := self._take(value):
                    self.write(text)
            if self._splitter.error is not None:
                raise self._splitter.error
        except DecodeError as problem:
            assert self._transport is not None
            self._why = f"what came is no answer: {problem.message}"
            self._transport.abort()

    _why = "the connection was closed"

    def pause_writing(self) -> None:
        self.stuck = True

    def resume_writing(self) -> None:
        self.stuck = False

    def connection_lost(self, exception: Exception | None) -> None:
        why = self._why if exception is None else str(exception)
        self._tell(why)
        self.lost.set()
