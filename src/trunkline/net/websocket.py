"""SIP in WebSocket: RFC 7118 over RFC 6455, by wsproto, as the framing of a connection.

One WebSocket message is one SIP message. A client must offer the subprotocol ``sip``; any other is
turned away with an HTTP answer that says so, and whom else to turn away (by ``Origin``, cookie or
credentials) is for the ``upgrade`` function. Messages leave as text where they are UTF-8 and as
binary where they are not (RFC 7118 section 4.2). WebSocket's own pings are answered, and so is
SIP's empty line (section 6).

Left out: compression (RFC 7692), and frames that a client sends before its upgrade was accepted,
which RFC 6455 section 4.1 forbids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from trunkline.errors import DecodeError
from trunkline.sip.message import Limits
from trunkline.sip.transport import Address

__all__ = ["Handshake", "Refusal", "Upgrade", "WebSocketFramer"]

SUBPROTOCOL: Final = "sip"  # RFC 7118 section 4.1
_PING: Final = b"\r\n\r\n"
_PONG: Final = b"\r\n"
# To what cannot even be read as a request
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client of WebSocket asks with (RFC 6455 section 4.1)."""

    remote: Address
    target: str
    host: str
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        """Return the first header of that name; the case of letters does not matter."""
        return next((value for key, value in self.headers if key == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a client is turned away: 403, or 401 with a challenge in ``headers`` (RFC 7118 7)."""

    status: int = 403
    text: str = "not from here"
    headers: tuple[tuple[str, str], ...] = ()


Upgrade: TypeAlias = "Callable[[Handshake], Refusal | None]"
"""Says whether to take a client; ``None`` takes it."""


class WebSocketFramer:
    """The framing of one connection; see ``connection.Framing``.

    ``host`` makes it a client, which asks for ``/`` of that host. ``started`` is when it was made;
    the handshake must be done ``handshake_timeout`` seconds later, and a message arrive whole
    ``patience`` seconds after its first octet.
    """

    def __init__(
        self,
        remote: Address,
        started: float,
        *,
        host: str | None = None,
        upgrade: Upgrade | None = None,
        limits: Limits,
        handshake_timeout: float,
        patience: float,
    ) -> None:
        self.error: DecodeError | None = None
        self.refused = b""
        self.pings = 0
        self.ended = False
        self._remote = remote
        self._upgrade = upgrade
        self._most = limits.head + limits.body
        self._patience = patience
        self._deadline: float | None = started + handshake_timeout
        self._parts: list[bytes] = []
        self._size = 0
        self._out = b""
        self._close_code = CloseReason.NORMAL_CLOSURE
        self._ws = WSConnection(ConnectionType.SERVER if host is None else ConnectionType.CLIENT)
        if host is not None:
            request = Request(host=host, target="/", subprotocols=[SUBPROTOCOL])
            self._out = self._ws.send(request)

    @property
    def ready(self) -> bool:
        """Whether the handshake is done and nobody has said goodbye."""
        return self._ws.state is ConnectionState.OPEN and self.error is None

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Take what was read, and return the messages that it completes."""
        messages: list[bytes] = []
        if self._is_over():
            return messages
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                self._take(event, messages, now)
                if self._is_over():
                    break
        except RemoteProtocolError as error:
            if self._ws.client:
                self._break(f"the server does not speak WebSocket: {error}")
                return messages
            hint = error.event_hint
            status = 400
            headers: list[tuple[bytes, bytes]] = []
            if isinstance(hint, RejectConnection):
                status, headers = hint.status_code, list(hint.headers)
            self._turn_away(status, f"this is a server for SIP over WebSocket: {error}", headers)
        except (LocalProtocolError, UnicodeError) as error:  # headers that are not even text
            out = b"" if self._ws.client else _BAD_REQUEST
            self._break(f"a handshake that cannot be read: {error}", out)
        return messages

    def wrap(self, message: bytes) -> bytes:
        """Return the frame for ``message``."""
        try:
            return self._ws.send(TextMessage(data=message.decode()))
        except UnicodeDecodeError:
            return self._ws.send(BytesMessage(data=message))

    def data_to_send(self) -> bytes:
        """Return the handshake, pongs and goodbyes that are due."""
        out, self._out = self._out, b""
        return out

    def end(self) -> None:
        """Say goodbye (RFC 6455 section 7.1.2)."""
        if self._ws.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            reason = self.error.message[:100] if self.error is not None else None
            self._out += self._ws.send(CloseConnection(code=self._close_code, reason=reason))

    def next_timeout(self) -> float | None:
        """Return when the handshake, or the message that has begun, must be whole."""
        return self._deadline

    def on_timeout(self, now: float) -> None:
        """Break the connection if one of them is late."""
        if self._deadline is None or now < self._deadline or self.error is not None:
            return
        self._close_code = CloseReason.POLICY_VIOLATION
        if self._parts:
            text = f"{self._size} octets of a message in {self._patience:g} s, and it is not whole"
            self._break(text, code="stream.slow")
        else:
            self._break("the handshake of WebSocket was not done in time", code="stream.slow")

    def _is_over(self) -> bool:
        return self.error is not None or self.ended

    # -- events

    def _take(self, event: Event, messages: list[bytes], now: float) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
            self._take_part(data, event.message_finished, messages, now)
        elif isinstance(event, Ping):
            self._out += self._ws.send(event.response())
        elif isinstance(event, CloseConnection):
            if self._ws.state is ConnectionState.OPEN:  # wsproto's word for what breaks the rules
                self._close_code = CloseReason(event.code)
                self._break(f"WebSocket is not spoken well: {event.reason}")
            else:
                self.ended = True
        elif isinstance(event, Request):
            self._answer(event)
        elif isinstance(event, AcceptConnection):
            self._deadline = None
            if event.subprotocol != SUBPROTOCOL:
                self._break("the server of WebSocket does not speak SIP")
        elif isinstance(event, RejectConnection):
            self._break(f"the server of WebSocket refuses with HTTP status {event.status_code}")

    def _take_part(self, data: bytes, finished: bool, messages: list[bytes], now: float) -> None:
        self._size += len(data)
        if self._size > self._most:
            self._close_code = CloseReason.MESSAGE_TOO_BIG
            self._break(f"a message of more than {self._most} octets", code="stream.too-large")
            return
        if not finished:
            if self._deadline is None:
                self._deadline = now + self._patience
            if data:  # empty ones count for no octets, however many there are
                self._parts.append(data)
            return
        if self._parts:
            data = b"".join((*self._parts, data))
            self._parts = []
        self._size = 0
        self._deadline = None
        if data.strip(_PONG):
            messages.append(data)
        elif data == _PING:
            self.pings += 1
            self._out += self.wrap(_PONG)

    def _answer(self, request: Request) -> None:
        if SUBPROTOCOL not in request.subprotocols:
            self._turn_away(
                400, "this server speaks the subprotocol sip (RFC 7118), which was not offered"
            )
            return
        if self._upgrade is not None:
            headers = tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in request.extra_headers
            )
            refusal = self._upgrade(Handshake(self._remote, request.target, request.host, headers))
            if refusal is not None:
                self._turn_away(
                    refusal.status,
                    refusal.text,
                    [(name.encode(), value.encode()) for name, value in refusal.headers],
                )
                return
        self._out += self._ws.send(AcceptConnection(subprotocol=SUBPROTOCOL))
        self._deadline = None

    def _turn_away(
        self, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        body = f"{text}\n".encode()
        answer = RejectConnection(
            status_code=status,
            headers=[
                *(headers or []),
                (b"Connection", b"close"),
                (b"Content-Type", b"text/plain; charset=utf-8"),
                (b"Content-Length", str(len(body)).encode()),
            ],
            has_body=True,
        )
        try:
            out = self._ws.send(answer) + self._ws.send(RejectData(data=body))
        except LocalProtocolError:
            out = _BAD_REQUEST
        self._break(f"refused with HTTP status {status}: {text}", out)

    def _break(self, text: str, out: bytes = b"", code: str = "stream.websocket") -> None:
        self.error = DecodeError(code, text)
        self._out += out
        self._parts = []
        self._deadline = None
