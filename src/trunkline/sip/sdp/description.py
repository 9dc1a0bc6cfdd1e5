"""Session descriptions: octets to an object to octets (RFC 8866, and what RFC 4566 allowed).

``parse`` cuts a body into lines and checks no more than what everything else stands on: that each
line has a type letter, that it is version 0, that ``o=``, ``c=`` and ``m=`` can be read. It takes
lines that end in LF alone, a last line without an end, empty lines, lines in another order than
section 5's, and letters that section 5 does not have: they are kept, and
``trunkline.sip.sdp.validity`` names what the standard does not allow. What nobody edits leaves as
it came, octet for octet; text is UTF-8, and octets that are not pass as lone surrogates
(``surrogateescape``).

Left out: ``a=charset`` is not applied; a body with several descriptions (RFC 3264 section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.sdp.fields import (
    Connection,
    Direction,
    Origin,
    Timing,
    checked,
    port_number,
    token,
)
from trunkline.sip.sdp.media import Media
from trunkline.sip.sdp.section import Section, printed

__all__ = ["MAX_LINES", "MAX_MEDIA", "MAX_SIZE", "SessionDescription", "parse"]

MAX_SIZE: Final = 65_536
"""Most octets of a description: as many as a datagram holds."""
MAX_LINES: Final = 4_096
"""Most lines of a description."""
MAX_MEDIA: Final = 256
"""Most streams of a description."""


class SessionDescription(Section):
    """A session description: the session's lines, and its streams.

    The methods of :class:`Section` are about the session's own lines, but for ``line`` and
    ``lines``, which look through the streams too.
    """

    __slots__ = ("media",)

    media: tuple[Media, ...]
    """The streams, in the order that RFC 3264 matches them by."""

    def __init__(self, rows: list[str], eol: str) -> None:
        super().__init__(rows, eol)
        self.media = ()

    @classmethod
    def build(
        cls, origin: Origin, connection: Connection | None = None, name: str = "-"
    ) -> SessionDescription:
        """A description without streams, without an end in time (RFC 3264 section 5)."""
        self = cls(["v=0\r\n", f"s={checked(name)}\r\n", "t=0 0\r\n"], "\r\n")
        self.origin = origin
        if connection is not None:
            self.connection = connection
        return self

    # Octets and text

    def to_bytes(self) -> bytes:
        """The octets: those of ``parse``, but for the lines that were edited."""
        return str(self).encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        return "".join(self._all_rows())

    def __repr__(self) -> str:
        return f"<SessionDescription {self.origin} {list(self.media)}>"

    def copy(self) -> SessionDescription:
        """Another description with the same lines."""
        other = SessionDescription(list(self._rows), self._eol)
        other.media = tuple(Media(other, list(media._rows), self._eol) for media in self.media)
        return other

    def line(self, prefix: str) -> str | None:
        """The first line of all that starts with ``prefix``, without its end, or ``None``."""
        return next(iter(self.lines(prefix)), None)

    def lines(self, prefix: str = "") -> list[str]:
        """Every line that starts with ``prefix``, the streams' too, without its end."""
        return [row.rstrip("\r\n") for row in self._all_rows() if row.startswith(prefix)]

    def _all_rows(self) -> Iterator[str]:
        return chain(self._rows, *(media._rows for media in self.media))

    # The session's values

    @property
    def origin(self) -> Origin:
        """``o=`` (RFC 8866 section 5.2)."""
        return Origin.parse(self._value("o=") or "")

    @origin.setter
    def origin(self, origin: Origin) -> None:
        self._put("o=" + printed(origin), lambda line: line.startswith("o="))

    @property
    def name(self) -> str | None:
        """``s=``: the session's name, ``None`` where the line is missing (5.3)."""
        return self._value("s=")

    @property
    def uri(self) -> str | None:
        """``u=``: where to read more (5.5)."""
        return self._value("u=")

    @property
    def emails(self) -> tuple[str, ...]:
        """``e=``, each as it is written (5.6)."""
        return tuple(line[2:] for line in self._starting("e="))

    @property
    def phones(self) -> tuple[str, ...]:
        """``p=``, each as it is written (5.6)."""
        return tuple(line[2:] for line in self._starting("p="))

    @property
    def connection(self) -> Connection | None:
        """The session's own ``c=``; a stream may have another (5.7)."""
        return self._own_connection()

    @connection.setter
    def connection(self, connection: Connection) -> None:
        self._put_connection(connection)

    @property
    def timings(self) -> tuple[Timing, ...]:
        """``t=``, ``r=`` and ``z=`` (5.9 to 5.11).

        Raises :class:`DecodeError` ``sdp.time`` where they make no sense.
        """
        return Timing.parse(self._time_lines())

    def _time_lines(self) -> list[str]:
        return [row.rstrip("\r\n") for row in self._rows if row[:2] in ("t=", "r=", "z=")]

    @property
    def direction(self) -> Direction:
        """What holds for the streams that do not say otherwise (6.7)."""
        return self._own_direction() or Direction.SENDRECV

    @direction.setter
    def direction(self, direction: Direction) -> None:
        if self.direction is not direction:
            self._put_direction(direction)

    # Edits of the whole

    def bump_version(self) -> None:
        """One more in the version of ``o=``, as a modified description needs (RFC 3264 8)."""
        origin = self.origin
        self.origin = replace(origin, session_version=origin.session_version + 1)

    def change_address(self, address: str, *, origin: bool = False) -> None:
        """Have all media, and RTCP that has an address of its own, sent to ``address``.

        Every ``c=`` is rewritten; where a stream has none that holds for it, the session gets one.
        Candidates of ICE are left as they are.

        Args:
            address: an IP address without brackets, or a domain name.
            origin: whether the address in ``o=`` changes too.
        """
        connection = Connection.of(address)
        wanted = [media for media in self.media if not media.is_rejected]
        if self.connection is not None or not all(media.connection for media in wanted):
            self.connection = connection
        for media in self.media:
            media._change_address(connection)
        if origin:
            self.origin = replace(
                self.origin, address=address, address_type=connection.address_type
            )

    @property
    def is_rejected(self) -> bool:
        """Whether it has streams and every one has port 0 (RFC 3264 section 6)."""
        return bool(self.media) and all(media.is_rejected for media in self.media)

    @property
    def held(self) -> bool:
        """Whether it has streams and every one that is not rejected is held (RFC 3264 8.4)."""
        wanted = [media for media in self.media if not media.is_rejected]
        return bool(wanted) and all(media.held for media in wanted)

    def hold(self) -> None:
        """Put every stream on hold that is not rejected (RFC 3264 section 8.4)."""
        for media in self.media:
            if not media.is_rejected:
                media.hold()

    def resume(self) -> None:
        """What :meth:`hold` did, undone."""
        for media in self.media:
            if not media.is_rejected:
                media.resume()

    def add_media(
        self, kind: str, port: int, protocol: str = "RTP/AVP", formats: tuple[str, ...] = ()
    ) -> Media:
        """Add a stream below the others (RFC 3264 section 8.1).

        Args:
            kind: ``"audio"``, ``"video"`` ...
            port: where its media is received.
            protocol: as in ``m=``.
            formats: as in ``m=``; for RTP, :meth:`Media.add_codec` adds them one by one.

        Raises:
            TrunklineError: ``sdp.value``, or ``sdp.too-many-media``.
        """
        if len(self.media) >= MAX_MEDIA:
            raise TrunklineError(
                "sdp.too-many-media", f"a description has {MAX_MEDIA} streams at most"
            )
        line = " ".join(
            ("m=" + token(kind), str(port_number(port)), *map(token, (protocol, *formats)))
        )
        before = self.media[-1]._rows if self.media else self._rows
        blank: list[str] = []
        while before[-1] in ("\n", "\r\n"):
            blank.insert(0, before.pop())
        if before[-1].endswith("\n"):
            line += self._eol
        else:
            before[-1] += self._eol
        media = Media(self, [line, *blank], self._eol)
        self.media = (*self.media, media)
        return media

    def remove_media(self, media: Media) -> None:
        """Take a stream out, its lines and all.

        An offer or answer that follows another one must not do so (RFC 3264 section 8):
        :meth:`Media.reject` keeps its place.
        """
        self.media = tuple(other for other in self.media if other is not media)


def parse(body: bytes) -> SessionDescription:
    """The session description that ``body`` is.

    Raises:
        DecodeError: the code says what is wrong, the offset in which line. ``sdp.size``,
            ``sdp.too-many-lines``, ``sdp.too-many-media``, ``sdp.octet``, ``sdp.line``,
            ``sdp.version``, ``sdp.several``, ``sdp.origin``, ``sdp.connection``, ``sdp.media``.
    """
    rows = _rows_of(body)
    first = rows[0].rstrip("\n") if rows else ""
    eol = "\n" if rows and rows[0] == first + "\n" and not first.endswith("\r") else "\r\n"
    at = 0
    try:
        if first.rstrip("\r \t") != "v=0":
            raise DecodeError("sdp.version", "a description begins with the line v=0")
        starts: list[int] = []
        for at, row in enumerate(rows):
            if row.startswith("a="):
                continue
            if row.startswith("m="):
                starts.append(at)
            else:
                _check(row, at)
        bounds = [*starts, len(rows)]
        session = SessionDescription(rows[: bounds[0]], eol)
        if session._value("o=") is None:
            at = 1
            raise DecodeError("sdp.origin", "no o= line: expected one as the second line")
        if len(starts) > MAX_MEDIA:
            raise DecodeError(
                "sdp.too-many-media", f"{len(starts)} streams: {MAX_MEDIA} are read at most"
            )
        media: list[Media] = []
        for at, end in zip(starts, bounds[1:], strict=True):
            media.append(Media(session, rows[at:end], eol))
        session.media = tuple(media)
    except DecodeError as error:
        offset = len("".join(rows[:at]).encode("utf-8", "surrogateescape"))
        raise DecodeError(error.code, f"line {at + 1}: {error.message}", offset=offset) from None
    return session


def _rows_of(body: bytes) -> list[str]:
    """The lines of ``body``, each with its end; only the last may have none."""
    if len(body) > MAX_SIZE:
        raise DecodeError("sdp.size", f"{len(body)} octets: {MAX_SIZE} are read at most")
    text = body.decode("utf-8", "surrogateescape")
    # A CR of its own ends a line for some readers and not for others: nobody may be misled.
    if "\0" in text or text.count("\r") != text.count("\r\n"):
        raise DecodeError("sdp.octet", "NUL, or CR without LF: lines end in CR LF")
    *lines, last = text.split("\n")
    if len(lines) > MAX_LINES:
        raise DecodeError("sdp.too-many-lines", f"{len(lines)} lines: {MAX_LINES} are read at most")
    rows = [line + "\n" for line in lines]
    return [*rows, last] if last else rows


def _check(row: str, at: int) -> None:
    """Refuse what is no line, and the values that cannot be read."""
    kind = row[:1]
    if row[1:2] != "=" or not (kind.isascii() and kind.isalpha()):
        if row not in ("\n", "\r\n"):
            raise DecodeError(
                "sdp.line", f"{row!r}: a line begins with a letter and an equals sign"
            )
    elif kind == "o":
        Origin.parse(row[2:].rstrip("\r\n"))
    elif kind == "c":
        Connection.parse(row[2:].rstrip("\r\n"))
    elif kind == "v" and at:
        raise DecodeError("sdp.several", "a second v= line: one description to a body")
