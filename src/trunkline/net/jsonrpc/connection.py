"""What the connections of TCP and HTTP have in common: turns, answers under way, writing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

from trunkline.errors import DecodeError, TrunklineError
from trunkline.jsonrpc import Batch, Call, Json, parse, refusal
from trunkline.jsonrpc.messages import INTERNAL_ERROR, INVALID_REQUEST, Answer, Version, batch

if TYPE_CHECKING:
    from trunkline.net.jsonrpc.server import RpcServer

__all__ = ["Connection", "Handler", "Peer", "gather"]

# Data read in a wake-up is cut before the loop reads again, so one buffer serves all connections.
_buffer: Final = memoryview(bytearray(256 * 1024))
_LINGER: Final = 2.0  # seconds for a peer to read why it is cut off


class Peer(Protocol):
    """Who calls, as a method sees it."""

    address: tuple[str, int]
    two_way: bool
    """Whether it can be called."""
    on_close: list[Callable[[], object]]
    """Called once, when the connection is no more."""

    @property
    def closed(self) -> bool:
        """Whether the connection is no more."""

    def call(self, method: str, argument: Json) -> Awaitable[Json]:
        """Call the peer, where the connection goes both ways.

        Raises:
            TrunklineError: ``rpc.one-way``, ``rpc.closed``, ``rpc.busy``, or ``rpc.error`` with
                what the peer answered.
        """


Handler: TypeAlias = Callable[[Call, Peer], "str | Awaitable[str]"]
"""Carries a call out and gives the text of its answer, now or later, in any order."""


class Connection(asyncio.BufferedProtocol):
    """A connection of an ``RpcServer``, from when it is accepted to its end."""

    def __init__(self, server: RpcServer, address: tuple[str, int]) -> None:
        self.address = address
        self.two_way = False
        self.on_close: list[Callable[[], object]] = []
        self.waiting_since: float | None = None
        """Since when the peer owes us something: the rest of a value, or that it reads."""
        self._server: Final = server
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._queue: deque[bytes] = deque()
        self._problem: DecodeError | None = None
        """Why the stream cannot go on; said when what came before has been answered."""
        self._pending = 0
        self._tasks: set[asyncio.Future[str]] = set()
        self._working = False
        self._reading = True
        self._paused = False
        self._ending = False
        """Whether nothing more is read; what is under way is still answered."""
        self._deaf = False
        """Whether what comes counts for nothing any more."""
        self._gone = False

    @property
    def closed(self) -> bool:
        """Whether nothing is read from it any more."""
        return self._gone or self._deaf

    # -- what TCP and HTTP do differently

    def received(self, data: bytes) -> None:
        """Take what was read."""
        raise NotImplementedError

    def begun(self) -> bool:
        """Whether something has begun to arrive and is not whole."""
        raise NotImplementedError

    # -- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(self._server.settings.write_buffer)
        if self._gone:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to: the loop fills it and says so before it asks again."""
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand what was read on."""
        if not self._deaf:
            self.received(bytes(_buffer[:nbytes]))
            self._watch()

    def eof_received(self) -> bool:
        """The peer says no more, but may still listen: answer what it has asked."""
        if self._deaf:
            return False
        self.end()
        return True

    def pause_writing(self) -> None:
        """Take no further calls until the peer has read some of what it was sent."""
        self._paused = True
        self.waiting_since = self._server.loop.time()
        self._read_on(False)

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self.waiting_since = None
        self.work()
        self._watch()

    def connection_lost(self, exception: Exception | None) -> None:
        """End."""
        self._gone = self._deaf = True
        self._queue.clear()
        self._server.gone(self)
        callbacks, self.on_close = self.on_close, []
        for callback in callbacks:
            try:
                callback()
            except Exception as problem:
                self._report("what was to happen at the end of a connection failed", problem)

    # -- ending

    def end(self) -> None:
        """Read no more, answer what is under way, then close."""
        self._ending = True
        if self._transport is None:  # accepted this moment
            self.abort()
            self._server.gone(self)
        else:
            self.work()

    def abort(self) -> None:
        """End at once."""
        self._gone = self._deaf = True
        if self._transport is not None:
            self._transport.abort()

    def cut_off(self) -> None:
        """Close after what was written; what still comes is read and dropped.

        A connection that is closed while something is unread takes the last answer with it.
        """
        self.flush()
        self._deaf = True
        self._read_on(True)
        assert self._transport is not None
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._server.loop.call_later(_LINGER, self.abort)

    # -- calls

    def enqueue(self, values: list[bytes]) -> None:
        """Take values that came whole."""
        if values:
            self._server.proven(self)
            self._queue += values
        self.work()

    def work(self) -> None:
        """Carry out calls, as many as one turn may have."""
        self._working = False
        settings = self._server.settings
        queue, turn = self._queue, settings.turn
        while queue and turn and self._pending < settings.pending and not self._paused:
            turn -= 1
            try:
                self.take(queue.popleft())
            except DecodeError as problem:
                self._problem = problem
                queue.clear()
        self.flush()
        if self._gone or self._deaf:
            return
        if queue:
            self._read_on(False)
            if not turn:
                self._work_later()
        elif self._pending < settings.pending and not self._paused:
            self._read_on(True)
            if self._pending:
                return
            if self._problem is not None:
                self._broken(self._problem)
            elif self._ending and self._transport is not None:
                self._transport.close()

    def take(self, value: bytes) -> None:
        """Carry out what one value asks for.

        Raises:
            DecodeError: it is no message.
        """
        match parse(value):
            case Call() as call:
                self._server.stats.calls += 1
                self.carry_out(call, self.write)
            case Batch(calls):
                self._server.stats.calls += len(calls)
                self.carry_out_together(calls, self.write)
            case Answer() as answer:
                self.answered(answer)

    def answered(self, answer: Answer) -> None:
        """Take an answer, which only those send who were called."""
        self.carry_out(Call("", None, answer.id), self.write)

    def carry_out(self, call: Call, write: Callable[[str], object]) -> None:
        """Have a call carried out; ``write`` gets the text of its answer, empty where none goes."""
        try:
            text = self._server.handler(call, self)
        except Exception as problem:
            write(self._failed(call, problem))
            return
        if isinstance(text, str):
            write("" if call.notification else text)
            return
        self._pending += 1
        future = asyncio.ensure_future(text, loop=self._server.loop)
        self._tasks.add(future)  # the loop itself does not keep it

        def done(future: asyncio.Future[str]) -> None:
            self._pending -= 1
            self._tasks.discard(future)
            if future.cancelled():
                answer = refusal(call, "SERVER_ERROR: cancelled", INTERNAL_ERROR)
            elif (problem := future.exception()) is not None:
                answer = self._failed(call, problem)
            else:
                answer = future.result()
            write("" if call.notification else answer)
            self._work_later()

        future.add_done_callback(done)

    def carry_out_together(self, calls: tuple[Call, ...], write: Callable[[str], object]) -> None:
        """Have a batch carried out; its answers go back in one array, in the order of the calls."""
        most = self._server.settings.pending
        if len(calls) > most:
            whole = Call("", None, version=Version.TWO)
            write(refusal(whole, f"no request: over {most} calls", INVALID_REQUEST))
            return
        gather(
            [partial(self.carry_out, call) for call in calls],
            lambda texts: write(batch([text for text in texts if text])),
        )

    def _broken(self, problem: DecodeError) -> None:
        self._server.stats.broken += 1
        self.write(refusal(Call("", None), f"{problem.code}: {problem.message}"))
        self.cut_off()

    def call(self, method: str, argument: Json) -> Awaitable[Json]:
        """Call the peer: not on a connection of this kind."""
        raise TrunklineError("rpc.one-way", "this connection does not go both ways; use port 2014")

    # -- writing

    def write(self, text: str) -> None:
        """Write, at the end of this turn, an answer."""
        if text and not self._gone:
            self._out.append(text.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Write what waits in one go."""
        if self._out:
            octets, self._out = b"".join(self._out), []
            if self._transport is not None and not self._gone:
                self._transport.write(octets)

    def _work_later(self) -> None:
        if not self._working and not self._gone:
            self._working = True
            self._server.loop.call_soon(self.work)

    def _read_on(self, reading: bool) -> None:
        if reading is not self._reading and self._transport is not None:
            self._reading = reading
            if self._gone or self._transport.is_closing():
                return
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
            self._watch()

    def _watch(self) -> None:
        if self._paused:
            return
        if not self._reading or not self.begun():  # where we do not read, the peer owes nothing
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = self._server.loop.time()

    def _failed(self, call: Call, problem: BaseException) -> str:
        self._report(f"method {call.method} failed", problem)
        return refusal(
            call, f"SERVER_ERROR: internal error: {type(problem).__name__}", INTERNAL_ERROR
        )

    def _report(self, message: str, problem: BaseException) -> None:
        self._server.loop.call_exception_handler({"message": message, "exception": problem})


def gather(
    starts: list[Callable[[Callable[[str], object]], object]],
    done: Callable[[list[str]], object],
) -> None:
    """Start all of them; when the last has given its text, hand the texts on in order."""
    texts = [""] * len(starts)
    left = len(starts)

    def take(index: int, text: str) -> None:
        nonlocal left
        texts[index] = text
        left -= 1
        if not left:
            done(texts)

    for index, start in enumerate(starts):
        start(partial(take, index))
