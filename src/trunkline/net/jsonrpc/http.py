"""The same calls as HTTP/1.1 requests (RFC 9112), one after the other on a connection.

``POST /jsonrpc`` takes the values that TCP takes: one in a body, or several, whose answers come in
the order of the calls. A body that is not well-formed is answered 400 and nothing of it is carried
out. A single call of JSON-RPC 2.0 without an ``id`` is answered all the same, with an ``id`` of
null: HTTP has an answer anyway, the reference puts its result in, and scripts written for it read
that.

``POST /api/Service.Method`` has the argument alone as its body and the result alone as its answer,
or an object with ``code`` and ``message`` and a status that goes with it. ``GET /openapi.json`` is
a page that the server's owner may give.

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
from trunkline.jsonrpc import (
    Answer,
    Batch,
    Call,
    Message,
    Raw,
    Splitter,
    Version,
    answer,
    decode,
    parse,
    refusal,
)
from trunkline.jsonrpc.messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
)
from trunkline.net.jsonrpc.connection import Connection, gather
from trunkline.net.jsonrpc.server import RpcServer

__all__ = ["PATH", "HttpConnection"]

PATH: Final = b"/jsonrpc"
_PLAIN: Final = b"/api/"
_PAGE: Final = b"/openapi.json"
_RESULT: Final = answer(Call("", None, version=Version.TWO), Raw("\0")).split("\0")
_ERROR: Final = '{"jsonrpc":"2.0","id":null,"error":'
_STATUS: Final = {
    METHOD_NOT_FOUND: 404,
    INVALID_PARAMS: 400,
    INVALID_REQUEST: 400,
    INTERNAL_ERROR: 500,
    SERVER_ERROR: 422,
}
_HEAD: Final = 16 * 1024  # octets of a request line and its header fields
_JSON: Final = b"application/json"
_TEXT: Final = b"text/plain; charset=utf-8"


class HttpConnection(Connection):
    """A client's connection that brings requests of HTTP; ``page`` gives ``/openapi.json``."""

    def __init__(
        self,
        server: RpcServer,
        address: tuple[str, int],
        page: Callable[[], str] | None = None,
    ) -> None:
        super().__init__(server, address)
        self._page = page
        self._path = b""
        self._head = False
        """Whether the answer has no body (HEAD)."""
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
                self._path = event.target.partition(b"?")[0]
                self._head = event.method == b"HEAD"
                if refused := self._refused(event, most):
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
        if self._path == _PAGE:
            assert self._page is not None
            self._respond(200, _JSON, self._page())
            return
        if self._path.startswith(_PLAIN):
            self._serve_plain(self._path.removeprefix(_PLAIN).decode("ascii", "replace"), body)
            return
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
        return [parse(value) for value in self._values(body)]

    def _values(self, body: bytes) -> list[bytes]:
        splitter = Splitter(self._server.settings.limits)
        values = splitter.receive(body)
        if splitter.error is not None:
            raise splitter.error
        if splitter.pending or not values:
            what = "a value that does not end" if splitter.pending else "no value"
            raise DecodeError("jsonrpc.syntax", f"octet {len(body)} of the body: {what}")
        return values

    def _serve_plain(self, name: str, body: bytes) -> None:
        call = Call(name, None, version=Version.TWO)
        try:
            [argument] = self._values(body) if body.strip() else [b"null"]
            call = replace(call, argument=decode(argument))
        except (DecodeError, ValueError) as problem:
            why = problem.message if isinstance(problem, DecodeError) else "more than one value"
            call = replace(call, fault=f"no argument: {why}")
        self._server.stats.calls += 1
        self.carry_out(call, self._respond_plain)

    def _respond_plain(self, text: str) -> None:
        before, after = _RESULT
        if text.startswith(before):
            self._respond(200, _JSON, text.removeprefix(before).removesuffix(after) + "\n")
            return
        error = text.removeprefix(_ERROR).removesuffix("}\n")
        found = decode(error.encode())
        code = found.get("code") if isinstance(found, dict) else None
        status = _STATUS.get(code, 422) if isinstance(code, int) else 422
        self._respond(status, _JSON, error + "\n")

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
            headers.append((b"Allow", b"GET" if self._path == _PAGE else b"POST"))
        if self._ending:
            headers.append((b"Connection", b"close"))
        self._send(h11.Response(status_code=status, headers=headers))
        if body and not self._head:
            self._send(h11.Data(data=body))
        self._send(h11.EndOfMessage())
        self._busy = False
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        elif not self._gone:
            self.cut_off()

    def _refused(self, request: h11.Request, most: int) -> tuple[int, str] | None:
        """Status and reason of what is none of our requests."""
        fields = dict(request.headers)
        wanted = b"POST"
        if self._path == _PAGE and self._page is not None:
            wanted = b"GET"
        elif self._path != PATH and not self._path.startswith(_PLAIN):
            return 404, "there are /jsonrpc, /api/Service.Method and, maybe, /openapi.json"
        if request.method != wanted:
            return 405, f"{wanted.decode()} it"
        if b"origin" in fields:
            return 403, "pages in browsers are not served"
        if int(fields.get(b"content-length", b"0")) > most:
            return 413, f"more than {most} octets"
        return None

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
