"""Multipart bodies: RFC 2046 section 5.1 as SIP uses it (RFC 3261 section 7.4.1, RFC 5621).

A body is cut at its boundary into parts and joined again octet for octet, transport padding,
preamble and epilogue included; a part may hold any octets. Parts are cut further when somebody asks
(:meth:`Part.nested`, :meth:`Multipart.walk`), down to a limit. Nothing is decoded by Content-
Transfer-Encoding: SIP is 8-bit clean, and RFC 5621 section 3.1 has senders use binary.

Left out: choosing among the parts of ``multipart/alternative``, which is the user agent's affair
(the last that it understands: RFC 2046 section 5.1.4), and line ends other than CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from trunkline.errors import DecodeError
from trunkline.sip.headers import Disposition, MediaType
from trunkline.sip.message import Headers
from trunkline.sip.names import canonical

__all__ = ["Limits", "Multipart", "Part"]

# bchars := bcharsnospace / " "; boundary := 0*69<bchars> bcharsnospace
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]\Z")
_ROW_END = re.compile(r"\r\n(?![ \t])")
_TEXT: Final = MediaType.parse("text/plain")
_MESSAGE: Final = MediaType.parse("message/rfc822")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a multipart body may hold; beyond it, it is refused (``sip.multipart.limit``)."""

    parts: int = 64
    """Of one multipart."""
    depth: int = 4
    """Multiparts within one another."""


_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Part:
    """One body part: header rows of its own, and octets. Made by a parse, or by :meth:`build`."""

    octets: bytes
    """The part as it stands between two delimiters."""
    default: MediaType = field(default=_TEXT, compare=False, repr=False)
    """What it is when it does not say: RFC 2046 sections 5.1 and 5.1.5."""

    @classmethod
    def build(cls, headers: Iterable[tuple[str, str]], body: bytes) -> Self:
        """A new part with these rows.

        Raises:
            TrunklineError: ``sip.header``: something would not be one row.
        """
        rows = "".join(f"{row}\r\n" for row in Headers(headers).rows)
        return cls(rows.encode("utf-8", "surrogateescape") + b"\r\n" + body)

    @property
    def headers(self) -> Headers:
        """A copy of its header rows: changing it does not change the part."""
        head = b"" if self.octets[:2] == b"\r\n" else self.octets.partition(b"\r\n\r\n")[0]
        headers = Headers()
        if head:
            text = head.decode("utf-8", "surrogateescape")
            headers.rows = _ROW_END.split(text.removesuffix("\r\n"))
            headers.names = [canonical(row.partition(":")[0].rstrip()) for row in headers.rows]
        return headers

    @property
    def body(self) -> bytes:
        """The octets behind its header rows."""
        if self.octets[:2] == b"\r\n":
            return self.octets[2:]
        return self.octets.partition(b"\r\n\r\n")[2]

    @property
    def content_type(self) -> MediaType:
        """Its Content-Type.

        Raises:
            DecodeError: ``sip.header.value``.
        """
        value = self.headers.get("content-type")
        return self.default if value is None else MediaType.parse(value)

    @property
    def disposition(self) -> Disposition | None:
        """Its Content-Disposition.

        Raises:
            DecodeError: ``sip.header.value``.
        """
        value = self.headers.get("content-disposition")
        return None if value is None else Disposition.parse(value)

    @property
    def content_id(self) -> str | None:
        """Its Content-ID without the angle brackets (RFC 2392): what a ``cid:`` URI names."""
        value = self.headers.get("content-id")
        return None if value is None else value.strip("<>")

    def nested(self, limits: Limits = _LIMITS) -> Multipart | None:
        """The multipart that it is itself; None when it is none.

        Raises:
            DecodeError: as :meth:`Multipart.parse`.
        """
        kind = self.content_type
        return Multipart.parse(self.body, kind, limits) if kind.type == "multipart" else None


@dataclass(frozen=True, slots=True)
class Multipart:
    """A multipart body. Made by :meth:`parse` or :meth:`build`."""

    content_type: MediaType
    """What the Content-Type says, boundary included."""
    parts: tuple[Part, ...]
    delimiters: tuple[bytes, ...] = field(repr=False)
    """What stands around the parts, as it was: one more than there are parts. The first begins with
    the preamble, the last ends with the epilogue."""

    @classmethod
    def parse(cls, body: bytes, content_type: MediaType | str, limits: Limits = _LIMITS) -> Self:
        """Cut ``body`` at the boundary that its Content-Type names.

        Raises:
            DecodeError: ``sip.multipart.boundary`` (none, or no multipart), ``.syntax`` (no part,
                or no end), ``.limit``; ``sip.header.value`` for the Content-Type.
        """
        kind = MediaType.parse(content_type) if isinstance(content_type, str) else content_type
        boundary = _boundary(kind)
        # delimiter := CRLF "--" boundary; close-delimiter := delimiter "--"; padding := *LWSP-char
        line = re.compile(
            rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(?:(--)[ \t]*(?=\r\n|\Z)|[ \t]*\r\n)"
        )
        default = _MESSAGE if kind.subtype == "digest" else _TEXT
        parts: list[Part] = []
        delimiters: list[bytes] = []
        at = 0  # where the delimiter before the next part begins, the preamble included
        begin: int | None = None
        for found in line.finditer(body):
            if begin is not None:
                if len(parts) == limits.parts:
                    raise DecodeError(
                        "sip.multipart.limit", f"more than {limits.parts} parts", offset=begin
                    )
                parts.append(Part(body[begin : found.start()], default))
                at = found.start()
            if found[1] is not None:
                if begin is None:
                    break
                delimiters.append(body[at:])
                return cls(kind, tuple(parts), tuple(delimiters))
            delimiters.append(body[at : found.end()])
            begin = found.end()
        raise DecodeError(
            "sip.multipart.syntax",
            f"no {'first' if begin is None else 'last'} line with the boundary {boundary[:70]!r}",
            offset=len(body),
        )

    @classmethod
    def build(
        cls,
        parts: Iterable[Part],
        boundary: str,
        *,
        subtype: str = "mixed",
        params: Mapping[str, str | None] | None = None,
    ) -> Self:
        """A body of ``parts``; at least one. ``boundary`` must not occur in them.

        Raises:
            DecodeError: ``sip.multipart.boundary``, ``.syntax``; ``sip.header.value``.
        """
        made = tuple(parts)
        kind = MediaType.build(f"multipart/{subtype}", {"boundary": boundary, **(params or {})})
        line = b"--" + _boundary(kind)
        if not made:
            raise DecodeError("sip.multipart.syntax", "a multipart body has at least one part")
        if any(line in part.octets for part in made):
            raise DecodeError(
                "sip.multipart.boundary", f"{boundary!r} occurs in a part: take another boundary"
            )
        between = (b"\r\n" + line + b"\r\n",) * (len(made) - 1)
        return cls(kind, made, (line + b"\r\n", *between, b"\r\n" + line + b"--\r\n"))

    def to_bytes(self) -> bytes:
        """The body."""
        pieces = [self.delimiters[0]]
        for part, delimiter in zip(self.parts, self.delimiters[1:], strict=True):
            pieces += (part.octets, delimiter)
        return b"".join(pieces)

    def replace(self, index: int, part: Part) -> Self:
        """This with another part at ``index``, all the rest as it was.

        Raises:
            DecodeError: ``sip.multipart.boundary``, when the boundary occurs in it.
        """
        if b"--" + _boundary(self.content_type) in part.octets:
            raise DecodeError(
                "sip.multipart.boundary", "the boundary occurs in the part: build a new body"
            )
        parts = list(self.parts)
        parts[index] = part
        return type(self)(self.content_type, tuple(parts), self.delimiters)

    def walk(self, limits: Limits = _LIMITS) -> Iterator[Part]:
        """Every part that is no multipart, in order, those within parts included.

        Raises:
            DecodeError: as :meth:`parse`, for an inner one; ``sip.multipart.limit`` for the depth.
        """
        if limits.depth < 1:
            raise DecodeError("sip.multipart.limit", "multiparts are nested too deep")
        inner = Limits(limits.parts, limits.depth - 1)
        for part in self.parts:
            nested = part.nested(inner)
            if nested is None:
                yield part
            else:
                yield from nested.walk(inner)

    def find(self, full: str, limits: Limits = _LIMITS) -> Part | None:
        """The first part of :meth:`walk` whose Content-Type is ``full``; None without.

        Raises:
            DecodeError: as :meth:`walk`.
        """
        wanted = full.lower()
        return next((part for part in self.walk(limits) if part.content_type.full == wanted), None)


def _boundary(kind: MediaType) -> bytes:
    boundary = kind.params.get("boundary")
    if kind.type != "multipart" or boundary is None or _BOUNDARY.match(boundary) is None:
        raise DecodeError(
            "sip.multipart.boundary",
            f"{kind.text[:80]!r}: a multipart names its boundary, 1 to 70 characters",
        )
    return boundary.encode("ascii")
