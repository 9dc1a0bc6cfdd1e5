"""``POST /jsonrpc``: the same values as the bodies of HTTP/1.1 requests and answers (RFC 9112).

A body has one value or several, as on TCP; their answers come in the order of the calls. A body
that is not well-formed is answered 400 and nothing of it is carried out.

A single call of JSON-RPC 2.0 without an ``id`` is answered all the same, with an ``id`` of null:
HTTP has an answer anyway, the reference puts its result in, and scripts written for it read that.

A request with an ``Origin`` comes from a page in somebody's browser, which can reach this machine's
ports as its user can: it is refused (403).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import h11

from trunkline.errors import DecodeError
from trunkline.jsonrpc import Answer, Batch, Call, Message, Splitter, parse, refusal
from trunkline.net.jsonrpc.connection import Connection, gather
from trunkline.net.jsonrpc.server import RpcServer

__all__ = ["PATH", "HttpConnection"]

PATH: Final = b"/jsonrpc"
_HEAD: Final = 16 * 1024  # octets of a request line and its header fields
_JSON: Final = b"application/json"
_TEXT: Final = b"text/plain; charset=utf-8"


class HttpConnection(Connection):
    """A client's connection that brings requests of HTTP, one after the other."""

    def __init__(self, server: RpcServer, address: tuple[str, int]) -> None:
        super().__init__(server, address)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        self._body = bytearray()
        self._busy = False
        """Whether a request is whole and its answer is not yet written."""
        self._begun = False

    def received(self, data: bytes) -> None:
        """Take part of a request, or several requests."""
        self._http.receive_data(data)
        self._begun = True
        self.work()

    def begun(self) -> bool:
        """Whether a request has begun to arrive and is not whole."""
        return self._begun and not self._busy

    def work(self) -> None:
        """Serve what has arrived, as many requests as one turn may have."""
        self._working = False
        turn = self._server.settings.turn
        while turn and not self._busy and not self._paused and not self._deaf and self._next():
            turn -= 1
        self.flush()
        if self._gone or self._deaf:
            return
        if not turn:
            self._work_later()
        self._read_on(bool(turn) and not self._busy and not self._paused)
        if self._ending and not self._busy and self._transport is not None:
            self._transport.close()

    def _next(self) -> bool:
        """Take one event of the protocol; False where there is none yet."""
        http, most = self._http, self._server.settings.limits.octets
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as problem:
            self._server.stats.broken += 1
            self._refuse(problem.error_status_hint, str(problem))
            return False
        match event:
            case h11.Request():
                self._body.clear()
                if refused := _refused(event, most):
                    self._refuse(*refused)
            case h11.Data():
                self._body += event.data
                if len(self._body) > most:
                    self._refuse(413, f"more than {most} octets")
            case h11.EndOfMessage():
                self._busy = True
                self._server.proven(self)
                self._serve(bytes(self._body))
            case _:
                if http.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
                self._begun = http.their_state is not h11.IDLE or bool(http.trailing_data[0])
                return False
        return True

    def _serve(self, body: bytes) -> None:
        try:
            messages = self._messages(body)
        except DecodeError as problem:
            self._server.stats.broken += 1
            self._respond(400, _JSON, refusal(Call("", None), f"{problem.code}: {problem.message}"))
            return
        gather(
            [partial(self._start, message) for message in messages],
            lambda texts: self._respond(200, _JSON, "".join(texts)),
        )

    def _messages(self, body: bytes) -> list[Message]:
        splitter = Splitter(self._server.settings.limits)
        values = splitter.receive(body)
        if splitter.error is not None:
            raise splitter.error
        if splitter.pending or not values:
            what = "a value that does not end" if splitter.pending else "no value"
            raise DecodeError("jsonrpc.syntax", f"octet {len(body)} of the body: {what}")
        return [parse(value) for value in values]

    def _start(self, message: Message, write: Callable[[str], object]) -> None:
        match message:
            case Call():
                self._server.stats.calls += 1
                self.carry_out(replace(message, notification=False), write)
            case Batch(calls):
                self._server.stats.calls += len(calls)
                self.carry_out_together(calls, write)
            case Answer():  # nobody was asked
                self.carry_out(Call("", None, message.id), write)

    def _respond(self, status: int, kind: bytes, text: str) -> None:
        body = text.encode("utf-8", "replace")
        headers = [(b"Content-Type", kind), (b"Content-Length", str(len(body)).encode())]
        if not body:  # a batch of notifications
            status, headers = 204, []
        if status == 405:
            headers.append((b"Allow", b"POST"))
        if self._ending:
            headers.append((b"Connection", b"close"))
        self._send(h11.Response(status_code=status, headers=headers))
        if body:
            self._send(h11.Data(data=body))
        self._send(h11.EndOfMessage())
        self._busy = False
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        elif not self._gone:
            self.cut_off()

    def _refuse(self, status: int, why: str) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._ending = True
            self._respond(status, _TEXT, f"{why}\n")
        else:
            self.cut_off()

    def _send(self, event: h11.Event) -> None:
        octets = self._http.send(event)
        if octets and not self._gone:
            self._out.append(octets)


def _refused(request: h11.Request, most: int) -> tuple[int, str] | None:
    """Status and reason of what is none of our requests."""
    fields = dict(request.headers)
    if request.target.partition(b"?")[0] != PATH:
        return 404, f"there is {PATH.decode()} here and nothing else"
    if request.method != b"POST":
        return 405, f"POST a call to {PATH.decode()}"
    if b"origin" in fields:
        return 403, "pages in browsers are not served"
    length = fields.get(b"content-length", b"0")
    if int(length) > most:
        return 413, f"more than {most} octets"
    return None
