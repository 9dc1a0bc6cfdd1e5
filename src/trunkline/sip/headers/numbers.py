"""Numbers: CSeq, RAck, and the bounds of every other integer that a header field holds.

RFC 3261 sections 20.14, 20.16, 20.19, 20.22 and 25.1; RSeq and RAck of RFC 3262 section 7; Max-
Breadth of RFC 5393 section 5.3.3; qvalue of RFC 3261 section 25.1. Leading zeros count for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self

from trunkline.errors import DecodeError
from trunkline.sip.params import TOKEN

__all__ = [
    "CSeq",
    "RAck",
    "content_length",
    "delta_seconds",
    "integer",
    "max_breadth",
    "max_forwards",
    "qvalue",
    "response_number",
]

_LARGEST: Final = 2**32 - 1
_CSEQ = re.compile(rf"([0-9]+)[ \t]+({TOKEN})\Z")
_RACK = re.compile(rf"([0-9]+)[ \t]+([0-9]+)[ \t]+({TOKEN})\Z")
# qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ); longer ones are met, and harmless
_QVALUE = re.compile(r"(?:0?\.[0-9]{1,9}|0\.?|1(?:\.0{0,9})?)\Z")


def integer(text: str, most: int = _LARGEST, *, least: int = 0, what: str = "number") -> int:
    """``1*DIGIT`` from ``least`` to ``most``.

    Raises:
        DecodeError: ``sip.header.number``.
    """
    digits = text.strip(" \t")
    if digits.isascii() and digits.isdigit():
        significant = digits if len(digits) <= 10 else digits.lstrip("0")
        # int() of a long text is slow, and of a very long one an error
        if len(significant) <= 20 and least <= (value := int(significant or "0")) <= most:
            return value
    raise DecodeError("sip.header.number", f"{text[:40]!r} is no {what}: {least} to {most}")


def max_forwards(text: str) -> int:
    """Max-Forwards (20.22), 0 to 255. Raises :class:`DecodeError` ``sip.header.number``."""
    return integer(text, 255, what="Max-Forwards")


def max_breadth(text: str) -> int:
    """Max-Breadth (RFC 5393 5.3.3). Raises :class:`DecodeError` ``sip.header.number``."""
    return integer(text, what="Max-Breadth")


def delta_seconds(text: str) -> int:
    """Seconds of Expires, Min-Expires (20.19) and others, up to 2**32-1.

    Raises :class:`DecodeError` ``sip.header.number``.
    """
    return integer(text, what="number of seconds")


def content_length(text: str) -> int:
    """Content-Length (20.14). Raises :class:`DecodeError` ``sip.header.number``."""
    return integer(text, what="Content-Length")


def response_number(text: str) -> int:
    """RSeq (RFC 3262 7.1), 1 to 2**32-1. Raises :class:`DecodeError` ``sip.header.number``."""
    return integer(text, least=1, what="RSeq")


def qvalue(text: str) -> float:
    """A preference, 0 to 1. Raises :class:`DecodeError` ``sip.header.number``."""
    if _QVALUE.match(text) is None:
        raise DecodeError("sip.header.number", f"{text[:40]!r} is no preference of 0 to 1")
    return float(text)


@dataclass(frozen=True, slots=True)
class CSeq:
    """CSeq (20.16): a number of 32 bits and a method."""

    number: int
    method: str
    text: str = field(default="", compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises :class:`DecodeError` ``sip.header.cseq`` or ``sip.header.number``."""
        match = _CSEQ.match(text)
        if match is None:
            raise DecodeError(
                "sip.header.cseq", f"{text[:80]!r} is no CSeq: a number, a blank, a method"
            )
        return cls(integer(match[1], what="CSeq"), match[2], text)

    def __str__(self) -> str:
        return self.text or f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class RAck:
    """RAck (RFC 3262 7.2): which provisional response a PRACK acknowledges."""

    response: int
    """Its RSeq."""
    number: int
    """The number of its CSeq."""
    method: str
    """The method of its CSeq."""
    text: str = field(default="", compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises :class:`DecodeError` ``sip.header.cseq`` or ``sip.header.number``."""
        match = _RACK.match(text)
        if match is None:
            raise DecodeError(
                "sip.header.cseq", f"{text[:80]!r} is no RAck: two numbers and a method"
            )
        return cls(response_number(match[1]), integer(match[2], what="CSeq"), match[3], text)

    def __str__(self) -> str:
        return self.text or f"{self.response} {self.number} {self.method}"
