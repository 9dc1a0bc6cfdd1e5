"""One connection: octets in, messages up; messages down, octets out.

The same object serves TCP, TLS, WS and WSS, opened by us or by the peer: what differs is the
`Framing` that cuts the octets. It is a protocol of asyncio's, called per read, without a task. One
buffer for all, in place of a new one per read, takes 4 % of the CPU of a message in and out from
uvloop's loop, a third from asyncio's, and half on PyPy.

Messages to be sent are collected and leave in one write at the end of the loop's turn. They also
wait while the connection is being opened, and while the peer does not read what it was sent.

A peer that closes its half has closed: SIP knows no half connection, and a process that is gone
looks the same. What was answered at once is still sent. A connection whose stream broke is closed
for sending first and read for a moment longer, or the reset that unread octets cause could
overtake the answer.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TYPE_CHECKING, Final, Protocol, cast

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.transport import Address, Flow

from .loop import Handle

if TYPE_CHECKING:
    from .stream import StreamTransport

__all__ = ["Connection", "Framing", "reason"]

_LINGER: Final = 2.0  # seconds in which a connection that is being closed may send what it has
_buffer: Final = memoryview(bytearray(65536))  # of all connections


class Framing(Protocol):
    """How messages lie in the octets of a connection; `trunkline.sip.framing` has the plain way."""

    error: DecodeError | None
    """Why nothing more can be read."""
    refused: bytes
    """The head of the message at which that happened, if it arrived."""
    pings: int
    """Keep-alives that were answered."""

    @property
    def ready(self) -> bool:
        """Whether messages may be sent."""

    @property
    def ended(self) -> bool:
        """Whether the peer has said that it ends the connection."""

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Take what was read, and return the messages that it completes."""

    def wrap(self, message: bytes) -> bytes:
        """Return what has to be sent for ``message``."""

    def data_to_send(self) -> bytes:
        """Return what has to be sent besides messages."""

    def end(self) -> None:
        """Say to the peer that we end the connection; see ``data_to_send``."""

    def next_timeout(self) -> float | None:
        """Return when ``on_timeout`` wants to be called."""

    def on_timeout(self, now: float) -> None:
        """Notice what is late."""


class Connection(asyncio.BufferedProtocol):
    """A connection of a ``StreamTransport``, from the attempt to open it to its end."""

    def __init__(
        self, owner: StreamTransport, flow: Flow, framing: Framing, name: str, from_peer: bool
    ) -> None:
        self.flow: Final = flow
        self.framing: Final = framing
        self.name: Final = name
        """The domain that was asked for; empty for a connection that the peer opened."""
        self.from_peer: Final = from_peer
        self.keys: list[tuple[Address, str]] = []
        """Where the table of peers has it, or had: address, and domain where it is for one."""
        self.opening: asyncio.Task[None] | None = None
        """What opens it, until it is open."""
        self.reached = False
        """Whether the peer of one that we open has taken it, TLS left aside."""
        self.proven = False
        """Whether it has carried a whole message."""
        self.certificate_names: frozenset[str] = frozenset()
        """Whom the peer's certificate, which was verified, speaks for."""
        self.error: TrunklineError | None = None
        """Why it ends, where there is more to say than that the peer closed it."""
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._waiting_octets = 0
        self._paused = False
        self.closing = False
        """Whether nothing can be sent on it any more."""
        self._active = owner.loop.time()
        self._timer: Handle | None = None
        self._due = 0.0

    # -- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        if self.closing or not self._owner.opened(self, self._transport):
            self.abort()
            return
        self._active = self._owner.loop.time()
        self._send_besides()
        self._arm(self._next_due())
        self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to: the loop fills it and says so before it asks again.

        With TLS, asyncio fills it in slices, which must not be copies.
        """
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Cut what was read into messages, and hand them up as one batch."""
        if self.closing:
            return
        data = bytes(_buffer[:nbytes])
        owner, framing = self._owner, self.framing
        now = owner.loop.time()
        messages = framing.receive(data, now)
        if messages:
            self._active = now
            owner.stats.received += len(messages)
            if not self.proven:
                self.proven = True
                owner.proven(self)
            flow = self.flow
            owner.user.receive([(message, flow) for message in messages])
        self._after_read()

    def _after_read(self) -> None:
        if self.closing:
            return
        framing = self.framing
        self._send_besides()
        if framing.error is not None:
            self._broken(framing.error)
        elif framing.ended:
            self.close(None)
        else:
            self.flush()
            timeout = framing.next_timeout()
            if timeout is not None and timeout < self._due:
                self._arm(timeout)

    def eof_received(self) -> None:
        """Send what was answered to the last messages; the transport then closes."""
        self.flush()

    def pause_writing(self) -> None:
        """Keep messages here until the peer has read some of what it was sent."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self.flush()

    def connection_lost(self, exception: Exception | None) -> None:
        """End."""
        if exception is not None and self.error is None:
            self.error = TrunklineError("stream.lost", f"{self} is lost: {reason(exception)}")
        self.gone()

    # -- sending

    def send(self, message: bytes) -> bool:
        """Send ``message`` at the end of this turn, or when it may; False: no room for it.

        Where nothing waits there is room, however large it is.
        """
        waiting = self._waiting_octets + len(message)
        if waiting > self._owner.settings.write_buffer and self._waiting:
            return False
        self._waiting_octets = waiting
        self._waiting.append(message)
        if len(self._waiting) == 1:
            self._owner.flush_later(self)
        return True

    def flush(self) -> None:
        """Send what waits, if it may be sent."""
        if not self._waiting or self._paused or self._transport is None or self.closing:
            return
        framing = self.framing
        if not framing.ready:
            return
        messages, self._waiting, self._waiting_octets = self._waiting, [], 0
        if len(messages) == 1:
            self._transport.write(framing.wrap(messages[0]))
        else:
            self._transport.write(b"".join(map(framing.wrap, messages)))
        self._owner.stats.sent += len(messages)
        self._active = self._owner.loop.time()

    def _send_besides(self) -> None:
        octets = self.framing.data_to_send()
        # To a peer that reads nothing, no keep-alive is answered: that would be without bound.
        if octets and self._transport is not None and not self._paused:
            self._transport.write(octets)
            self._active = self._owner.loop.time()

    # -- ending

    def close(self, error: TrunklineError | None, *, read_on: bool = False) -> None:
        """Send what waits, then end."""
        if self.closing:
            return
        transport = self._transport
        self.error = error
        if transport is None:
            self.closing = True
            if self.opening is not None:
                self.opening.cancel()
            return
        self.flush()
        self.closing = True
        self._owner.leaving(self)
        unsent, self._waiting = self._waiting, []
        if unsent:  # the peer does not read, or the handshake was not done
            self._owner.loop.call_soon(self._owner.unsent, self, unsent)
        self.framing.end()
        self._send_besides()
        if read_on and transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()
        self._arm(self._owner.loop.time() + _LINGER)

    def abort(self, error: TrunklineError | None = None) -> None:
        """End at once."""
        self.closing = True
        self.error = self.error or error
        if self._transport is not None:
            self._transport.abort()
        elif self.opening is not None:
            self.opening.cancel()

    def gone(self) -> None:
        """Tell everybody that this connection is no more."""
        self.closing = True
        self.opening = None
        if self._timer is not None:
            self._timer.cancel()
        unsent, self._waiting = self._waiting, []
        self._owner.gone(self, unsent)

    def _broken(self, error: DecodeError) -> None:
        self._owner.stats.broken += 1
        self._owner.user.refused(self.flow, error, self.framing.refused)
        self.close(error, read_on=True)

    # -- time

    def _next_due(self) -> float:
        idle = self._active + self._owner.settings.idle
        timeout = self.framing.next_timeout()
        return idle if timeout is None else min(idle, timeout)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._owner.wheel.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        now = self._owner.loop.time()
        if self.closing:
            self.abort()
            return
        self.framing.on_timeout(now)
        if self.framing.error is not None:
            self._broken(self.framing.error)
            return
        idle = self._owner.settings.idle
        if now >= self._active + idle:
            self._owner.stats.idle += 1
            self.close(TrunklineError("stream.idle", f"{self} was idle for {idle:g} s"))
            return
        self._arm(self._next_due())

    def __str__(self) -> str:
        host, port = self.flow.remote
        written = f"[{host}]" if ":" in host else host
        return f"the {self.flow.transport.value} connection with {written}:{port}"


def reason(exception: BaseException) -> str:
    """Return what an exception of the system or of TLS says, in a few words."""
    if isinstance(exception, ssl.SSLCertVerificationError):
        return f"certificate: {exception.verify_message}"
    if isinstance(exception, ssl.SSLError):
        return (exception.reason or str(exception)).replace("_", " ").lower()
    if isinstance(exception, OSError) and exception.errno:
        return os.strerror(exception.errno)
    return str(exception) or type(exception).__name__
