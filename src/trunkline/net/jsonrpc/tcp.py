"""JSON values one behind the other, over TCP: one way as on 2012, both ways as on 2014."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable

from trunkline.errors import TrunklineError
from trunkline.jsonrpc import Answer, Json, Splitter, request
from trunkline.net.jsonrpc.connection import Connection
from trunkline.net.jsonrpc.server import RpcServer

__all__ = ["TcpConnection", "TwoWayConnection"]


class TcpConnection(Connection):
    """A client's connection that brings calls."""

    def __init__(self, server: RpcServer, address: tuple[str, int]) -> None:
        super().__init__(server, address)
        self._splitter = Splitter(server.settings.limits)

    def received(self, data: bytes) -> None:
        """Cut what was read into values."""
        if self._problem is None:
            values = self._splitter.receive(data)
            self._problem = self._splitter.error
            self.enqueue(values)

    def begun(self) -> bool:
        """Whether a value has begun to arrive and is not whole."""
        return self._splitter.pending > 0 and self._splitter.error is None


class TwoWayConnection(TcpConnection):
    """A client's connection on which the server may call the client too.

    The client answers by the ``id`` of the call, which is the server's own.
    """

    def __init__(self, server: RpcServer, address: tuple[str, int]) -> None:
        super().__init__(server, address)
        self.two_way = True
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[str, asyncio.Future[Json]]] = {}
        self.on_close.append(self._give_up)

    def call(self, method: str, argument: Json) -> Awaitable[Json]:
        """Call the client; for how long to wait is for the caller."""
        if self._gone or self._deaf:
            raise TrunklineError("rpc.closed", f"{method}: the client has closed the connection")
        if len(self._asked) >= self._server.settings.pending:
            raise TrunklineError("rpc.busy", f"{method}: the client owes too many answers")
        number = next(self._numbers)
        future: asyncio.Future[Json] = self._server.loop.create_future()
        self._asked[number] = (method, future)
        future.add_done_callback(lambda _: self._asked.pop(number, None))
        self.write(request(method, argument, number))
        self._work_later()
        return future

    def answered(self, answer: Answer) -> None:
        """Give an answer to whoever waits for it; one that nobody waits for is dropped."""
        number = answer.id
        asked = self._asked.get(number) if isinstance(number, int) else None
        if asked is None or asked[1].done():
            return
        method, future = asked
        if answer.error is None:
            future.set_result(answer.result)
        else:
            future.set_exception(TrunklineError("rpc.error", f"{method}: {answer.error}"))

    def _give_up(self) -> None:
        for method, future in list(self._asked.values()):
            if not future.done():
                future.set_exception(
                    TrunklineError("rpc.closed", f"{method}: the client closed the connection")
                )
