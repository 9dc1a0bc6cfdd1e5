"""Messages out of a byte stream: RFC 3261 sections 7.5 and 18.3, RFC 5626 section 3.5.1.

On a stream, Content-Length is what ends a message. `StreamFramer` takes octets as they come, in
any pieces, and gives whole messages; each octet is looked at once, however small the pieces are.
Between messages it skips empty lines, and answers each pair of them, a *ping*, with one, the
*pong*.

A stream that cannot be cut any more is *broken*, for good: the framer's ``error`` says why, and
``refused`` has the head of the message where it ended, so that a request can be answered before
the connection is closed. A message that does not arrive whole within ``patience`` seconds breaks
the stream too, or a connection would be had for a few octets an hour.

Left out: octets are cut, not read; whether the head makes sense is `trunkline.sip.message`'s.
"""

from __future__ import annotations

import re
from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.message import Limits

__all__ = ["StreamFramer"]

_EMPTY_LINES: Final = re.compile(rb"[\r\n]*")
# Content-Length, or its compact form, and all of its value (sections 7.3.1, 7.3.3, 20.14)
_CONTENT_LENGTH: Final = re.compile(
    rb"\r\n(?:content-length|l)[ \t]*:((?:[^\r]|\r\n[ \t]|\r(?!\n))*)", re.IGNORECASE
)
_NUMBER: Final = re.compile(rb"[ \t\r\n]*([0-9]{1,10})[ \t\r\n]*\Z")
# What a start line may begin with: a token (section 25.1)
_TOKEN: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~"
)
_VERSION: Final = re.compile(rb"[^\r\n]*SIP/", re.IGNORECASE)
_PONG: Final = b"\r\n"

_LIMITS: Final = Limits()


class StreamFramer:
    """Cuts one direction of a connection into messages, and says when to give up.

    ``limits`` bound the head and the body of a message in octets, ``patience`` the time from a
    message's first octet to its last in seconds.
    """

    __slots__ = (
        "_answers",
        "_buffer",
        "_deadline",
        "_end",
        "_lines",
        "_scanned",
        "error",
        "limits",
        "patience",
        "pings",
        "refused",
    )

    def __init__(self, limits: Limits = _LIMITS, patience: float = 30.0) -> None:
        self.limits: Final = limits
        self.patience: Final = patience
        self.error: DecodeError | None = None
        """Why the stream is broken; ``stream.…``, see ``docs/errors.md``."""
        self.refused = b""
        """The head of the message at which it broke, with its empty line, where it was whole."""
        self.pings = 0
        """Pings that were answered."""
        self._buffer = bytearray()  # the beginning of one message
        self._scanned = 0  # octets of it without the end of a head
        self._end = 0  # its length, once the head is there
        self._deadline: float | None = None
        self._lines = 0  # empty lines since the last message or ping: none or one
        self._answers = 0

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Take what was read, and return the messages that it completes."""
        if self.error is not None:
            return []
        messages: list[bytes] = []
        at, end = 0, 0
        try:
            if self._buffer:
                self._buffer += data
                end = self._end or self._measure(self._buffer, 0, max(self._scanned - 3, 0))
                if not end or end > len(self._buffer):
                    self._scanned, self._end = len(self._buffer), end
                    return messages
                data = bytes(self._buffer)
                self._forget()
            size = len(data)
            while at < size:
                if not end:
                    at = self._skip_empty_lines(data, at)
                    if at == size:
                        return messages
                    end = self._measure(data, at, at)
                    if not end or end > size:
                        break
                messages.append(data[at:end])
                at, end = end, 0
        except DecodeError as error:
            self._break(error)
            return messages
        if at < size:
            self._buffer = bytearray(data[at:])
            self._scanned = size - at
            self._end = end - at if end else 0
            self._deadline = now + self.patience
        return messages

    @property
    def ready(self) -> bool:
        """Whether messages may be sent: from the beginning."""
        return True

    @property
    def ended(self) -> bool:
        """Whether the peer has said that it ends the connection: a plain stream just ends."""
        return False

    def end(self) -> None:
        """End the connection: a plain stream has no word for it."""

    def wrap(self, message: bytes) -> bytes:
        """Return what has to be sent for ``message``: itself."""
        return message

    def data_to_send(self) -> bytes:
        """Return the pongs that are due (RFC 5626 section 4.4.1)."""
        pongs, self._answers = _PONG * self._answers, 0
        return pongs

    def next_timeout(self) -> float | None:
        """Return when the message that has begun must have arrived, None between messages."""
        return self._deadline

    def on_timeout(self, now: float) -> None:
        """Break the stream if a message is late."""
        if self._deadline is not None and now >= self._deadline and self.error is None:
            held = len(self._buffer)
            self._break(
                DecodeError(
                    "stream.slow",
                    f"{held} octets of a message in {self.patience:g} s, and it is not whole: the"
                    " sender is too slow, or counts less in Content-Length than it should",
                    offset=held,
                )
            )

    def _skip_empty_lines(self, data: bytes, at: int) -> int:
        if data[at] not in b"\r\n":
            self._lines = 0
            return at
        found = _EMPTY_LINES.match(data, at)
        end = found.end() if found else at
        pairs, self._lines = divmod(self._lines + data.count(b"\n", at, end), 2)
        self.pings += pairs
        self._answers += pairs
        if end < len(data):
            self._lines = 0
        return end

    def _measure(self, data: bytes | bytearray, start: int, scan: int) -> int:
        """Return where the message ends that begins at ``start``, 0 while its head is not whole.

        No head ends before ``scan``.
        """
        if data[start] not in _TOKEN:
            raise DecodeError(
                "stream.garbage",
                f"no message begins with {bytes(data[start : start + 16])!r}: something other than"
                " SIP, or TLS to a port without",
            )
        end = data.find(b"\r\n\r\n", scan)
        if (end if end >= 0 else len(data)) - start > self.limits.head:
            raise DecodeError(
                "stream.too-large",
                f"a header of more than {self.limits.head} octets: raise the limit, or look at the"
                " sender",
                offset=self.limits.head,
            )
        if end < 0:
            return 0
        if not _VERSION.match(data, start, end):
            raise DecodeError(
                "stream.garbage",
                f"no SIP in {bytes(data[start : min(end, start + 60)])!r}: not SIP, or the message"
                " before it was longer than its Content-Length",
            )
        return end + 4 + self._content_length(data, start, end)

    def _content_length(self, data: bytes | bytearray, start: int, end: int) -> int:
        values = _CONTENT_LENGTH.findall(data, start, end)
        number = _NUMBER.match(values[0]) if values else None
        if number is not None and values.count(values[0]) == len(values):
            length = int(number[1])
            if length <= self.limits.body:
                return length
            refusal = DecodeError(
                "stream.too-large",
                f"a body of {length} octets; at most {self.limits.body}",
                offset=end - start,
            )
        elif values:
            written = ", ".join(repr(bytes(value[:40])) for value in values[:4])
            refusal = DecodeError(
                "stream.content-length",
                f"Content-Length {written} is no number of octets, or stands there twice",
            )
        else:
            refusal = DecodeError(
                "stream.no-content-length",
                "no Content-Length, which a stream must have (RFC 3261 section 18.3)",
            )
        self.refused = bytes(data[start : end + 4])
        raise refusal

    def _break(self, error: DecodeError) -> None:
        self.error = error
        self._forget()

    def _forget(self) -> None:
        self._buffer = bytearray()
        self._scanned = self._end = 0
        self._deadline = None
