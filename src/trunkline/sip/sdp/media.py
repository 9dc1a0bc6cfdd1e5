"""One stream of a description: its ``m=`` line and what belongs to it.

RFC 8866 sections 5.14 and 6, with the meaning that RFC 3264 gives to port 0 and to directions. What
a stream does not say itself, the session says for it.

Left out: what other attributes refer to payload types by their value (``apt=`` of retransmission,
the parts of RED): taking a codec out leaves them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from trunkline.errors import DecodeError, TrunklineError
from trunkline.sip.sdp.fields import (
    MAX_PORT,
    Connection,
    Direction,
    Rtcp,
    checked,
    fields,
    number,
    port_number,
)
from trunkline.sip.sdp.payload import Codec, codec_of
from trunkline.sip.sdp.section import Section, printed

__all__ = ["Media"]

_BY_FORMAT: Final = ("rtpmap", "fmtp", "rtcp-fb")
"""Attributes whose value begins with a format of the stream."""


class Media(Section):
    """A stream; made by ``parse`` and by ``SessionDescription.add_media``."""

    __slots__ = ("_formats", "_kind", "_port", "_port_count", "_protocol", "_session")

    def __init__(self, session: Section, rows: list[str], eol: str) -> None:
        """Raises :class:`DecodeError` ``sdp.media`` for an ``m=`` line that is none."""
        super().__init__(rows, eol)
        self._session = session
        line = rows[0].rstrip("\r\n")
        parts = fields(line[2:])
        if len(parts) >= 3:
            self._kind, ports, self._protocol, *formats = parts
            first, slash, count = ports.partition("/")
            port = number(first)
            port_count = number(count) if slash else 1
            if port is not None and port <= MAX_PORT and port_count:
                self._port = port
                self._port_count = port_count
                self._formats = tuple(formats)
                return
        raise DecodeError(
            "sdp.media",
            f"{line}: expected m=<media> <port>[/<number of ports>] <proto> <fmt> ..., "
            f"the port from 0 to {MAX_PORT}",
        )

    def __repr__(self) -> str:
        return f"<Media {self._m_line()}>"

    def _m_line(self) -> str:
        ports = f"{self._port}" if self._port_count == 1 else f"{self._port}/{self._port_count}"
        return " ".join((f"m={self._kind}", ports, self._protocol, *self._formats))

    def _rewrite_m_line(self) -> None:
        self._rewrite(0, self._m_line())

    # The m= line

    @property
    def kind(self) -> str:
        """``<media>``: ``"audio"``, ``"video"``, ``"image"`` ..."""
        return self._kind

    @property
    def port(self) -> int:
        """Where media is received; 0 is a stream that is not wanted (RFC 3264 section 5.1)."""
        return self._port

    @port.setter
    def port(self, port: int) -> None:
        self._port = port_number(port)
        self._rewrite_m_line()

    @property
    def port_count(self) -> int:
        """``<number of ports>``, 1 where none is given."""
        return self._port_count

    @property
    def protocol(self) -> str:
        """``<proto>``: ``"RTP/AVP"``, ``"RTP/SAVP"``, ``"udptl"`` ..."""
        return self._protocol

    @property
    def formats(self) -> tuple[str, ...]:
        """``<fmt>`` as written, the preferred one first; for RTP, payload type numbers."""
        return self._formats

    @property
    def is_rtp(self) -> bool:
        """Whether the formats are RTP payload types."""
        return "RTP/" in self._protocol.upper()

    @property
    def is_rejected(self) -> bool:
        """Whether the port is 0: rejected, removed, or not wanted (RFC 3264 section 5.1)."""
        return self._port == 0

    def reject(self) -> None:
        """Port 0. The formats stay, because at least one has to be there (RFC 3264 section 6)."""
        if self._port or self._port_count != 1:
            self._port_count = 1
            self.port = 0

    # Codecs

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """What the formats stand for, in order of preference; empty where it is not RTP.

        Formats that are no payload type number are left out.
        """
        return tuple(self._codecs_by_format().values())

    def _codecs_by_format(self) -> dict[str, Codec]:
        if not self.is_rtp:
            return {}
        maps = self._by_format("rtpmap")
        parameters = self._by_format("fmtp")
        found: dict[str, Codec] = {}
        for format_ in self._formats:
            payload = number(format_)
            if payload is not None and payload <= 127:
                found[format_] = codec_of(payload, maps.get(format_), parameters.get(format_))
        return found

    def _by_format(self, name: str) -> dict[str, str]:
        """The values of an attribute by the format that they begin with; the first counts."""
        found: dict[str, str] = {}
        for value in self.attributes.all(name):
            format_, _, rest = value.strip(" \t").partition(" ")
            found.setdefault(format_, rest)
        return found

    def _meant(self, selectors: Iterable[int | str]) -> list[list[str]]:
        """The formats that each selector means."""
        codecs = self._codecs_by_format()
        return [
            [
                format_
                for format_ in self._formats
                if format_ == str(selector)
                or (format_ in codecs and codecs[format_].matches(selector))
            ]
            for selector in selectors
        ]

    def add_codec(self, codec: Codec) -> None:
        """Add a codec behind the others, with its ``rtpmap``, and its ``fmtp`` if it has one.

        Raises :class:`TrunklineError` ``sdp.value`` for a codec that cannot be written.
        """
        rtpmap = codec.rtpmap
        if (
            not 0 <= codec.payload <= 127
            or not codec.name
            or " " in codec.name
            or codec_of(codec.payload, rtpmap.partition(" ")[2], codec.fmtp) != codec
        ):
            raise TrunklineError(
                "sdp.value", f"{codec}: a codec has a payload type of 0 to 127, a name and a rate"
            )
        checked(codec.fmtp or "")
        self.attributes.add("rtpmap", rtpmap)
        if codec.fmtp:
            self.attributes.add("fmtp", f"{codec.payload} {codec.fmtp}")
        self._formats = (*self._formats, str(codec.payload))
        self._rewrite_m_line()

    def remove_codec(self, *selectors: int | str) -> int:
        """Take codecs out, with their ``rtpmap``, ``fmtp`` and ``rtcp-fb``.

        Args:
            selectors: payload types, encoding names (see :meth:`Codec.matches`), or formats of a
                stream that is not RTP.

        Returns:
            How many formats were meant. Where that is all of them, the stream is rejected instead.
        """
        meant = {format_ for formats in self._meant(selectors) for format_ in formats}
        return self._remove_formats(meant)

    def keep_codecs(self, *selectors: int | str) -> int:
        """Take every codec out but these; as :meth:`remove_codec`, also when none is left."""
        kept = {format_ for formats in self._meant(selectors) for format_ in formats}
        return self._remove_formats(set(self._formats) - kept)

    def _remove_formats(self, formats: set[str]) -> int:
        left = tuple(format_ for format_ in self._formats if format_ not in formats)
        removed = len(self._formats) - len(left)
        if removed and not left:
            self.reject()
        elif removed:
            self._formats = left
            self._rewrite_m_line()
            self._drop(lambda line: _format_of(line) in formats)
        return removed

    def prefer_codecs(self, *selectors: int | str) -> None:
        """Put these codecs first, in this order; the others follow as they were."""
        first = [format_ for formats in self._meant(selectors) for format_ in formats]
        ordered = tuple(dict.fromkeys((*first, *self._formats)))
        # A format that is listed twice is no reason to change anything.
        if ordered != tuple(dict.fromkeys(self._formats)):
            self._formats = ordered
            self._rewrite_m_line()

    # Where to, and which way

    @property
    def connection(self) -> Connection | None:
        """Its own ``c=``, else the session's, else ``None`` (RFC 8866 section 5.7)."""
        return self._own_connection() or self._session._own_connection()

    @connection.setter
    def connection(self, connection: Connection) -> None:
        self._put_connection(connection)

    @property
    def direction(self) -> Direction:
        """Its own direction, else the session's, else ``SENDRECV`` (RFC 8866 section 6.7)."""
        return self._own_direction() or self._session._own_direction() or Direction.SENDRECV

    @direction.setter
    def direction(self, direction: Direction) -> None:
        if self.direction is not direction:
            self._put_direction(direction)

    @property
    def held(self) -> bool:
        """Whether its maker asks not to be sent media (RFC 3264 section 8.4).

        By ``sendonly`` or ``inactive``, or by the address 0.0.0.0 of RFC 2543. A rejected stream is
        not held.
        """
        connection = self.connection
        old_way = connection is not None and connection.is_hold
        return not self.is_rejected and (old_way or not self.direction.receives)

    def hold(self) -> None:
        """``sendrecv`` becomes ``sendonly``, ``recvonly`` becomes ``inactive`` (8.4)."""
        self.direction = Direction.of(send=self.direction.sends, receive=False)

    def resume(self) -> None:
        """What :meth:`hold` did, undone."""
        self.direction = Direction.of(send=self.direction.sends, receive=True)

    # Attributes with a value of their own

    @property
    def ptime(self) -> float | None:
        """The packet time wanted, in milliseconds (RFC 8866 section 6.4), or ``None``."""
        return _positive(self.attributes.get("ptime"))

    @ptime.setter
    def ptime(self, milliseconds: float) -> None:
        text = f"{milliseconds:g}"
        if _positive(text) is None:
            raise TrunklineError(
                "sdp.value", f"ptime {text}: milliseconds between packets are more than 0"
            )
        self.attributes.set("ptime", text)

    @property
    def maxptime(self) -> float | None:
        """The most media in a packet, in milliseconds (RFC 8866 section 6.5), or ``None``."""
        return _positive(self.attributes.get("maxptime"))

    @property
    def rtcp(self) -> Rtcp | None:
        """``a=rtcp``, or ``None``: then RTCP goes to the port after the media's."""
        value = self.attributes.get("rtcp")
        return None if value is None else Rtcp.parse(value)

    @rtcp.setter
    def rtcp(self, rtcp: Rtcp) -> None:
        port_number(rtcp.port)
        if rtcp.connection is not None:
            printed(rtcp.connection)
        self.attributes.set("rtcp", str(rtcp))

    def _change_address(self, connection: Connection) -> None:
        """Rewrite what addresses the stream has of its own."""
        if self._own_connection() is not None:
            self.connection = connection
        rtcp = self.rtcp
        if rtcp is not None and rtcp.connection is not None:
            self.rtcp = replace(rtcp, connection=connection)


def _format_of(line: str) -> str | None:
    """The format that a line ``a=rtpmap``, ``a=fmtp`` or ``a=rtcp-fb`` is about."""
    if not line.startswith("a="):
        return None
    name, _, value = line[2:].partition(":")
    return value.strip(" \t").partition(" ")[0] if name in _BY_FORMAT else None


def _positive(text: str | None) -> float | None:
    """A number above 0, of the grammar's ``non-zero-int-or-real``."""
    if text is None:
        return None
    whole, _, decimals = text.strip(" \t").partition(".")
    if number(whole) is None or number(decimals or "0") is None:
        return None
    return float(text) or None
