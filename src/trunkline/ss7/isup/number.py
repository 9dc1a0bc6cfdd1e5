"""Number parameters: called, calling and subsequent number (ITU-T Q.763 3.9, 3.10, 3.51).

Digits are text: ``0``-``9``, ``B`` (code 11), ``C`` (code 12) and ``F`` (ST, end of pulsing). The
spare codes 10, 13 and 14 read as ``A``, ``D`` and ``E``, so that every address keeps its octets.

The signals stand two to an octet, the first in the low half; the odd/even indicator says whether
the last high half is a signal or the filler (0000).

Left out: generic, location, redirecting and other numbers (kept raw by the codec; most have the
calling party number's format).

Where a number is text, ``+`` in front says that it is international; without, it is national.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from trunkline.errors import DecodeError, TrunklineError

__all__ = [
    "MAX_DIGITS",
    "ST",
    "CalledPartyNumber",
    "CallingPartyNumber",
    "NatureOfAddress",
    "NumberingPlan",
    "Presentation",
    "Screening",
    "SubsequentNumber",
    "check_digits",
]

ST: Final = "F"
"""The end-of-pulsing signal (Q.763 3.9 e): no more digits will follow."""
MAX_DIGITS: Final = 32
"""Longer numbers are refused: E.164 allows 15 digits, with prefixes and codes some more."""
_SIGNALS: Final = "0123456789ABCDEF"
_DIGITS: Final = frozenset("0123456789BC")


class NatureOfAddress(IntEnum):
    """Nature of address indicator, Q.763 3.9 b."""

    SUBSCRIBER = 1
    UNKNOWN = 2
    NATIONAL = 3
    INTERNATIONAL = 4
    NETWORK_SPECIFIC = 5


class NumberingPlan(IntEnum):
    """Numbering plan indicator, Q.763 3.9 d."""

    ISDN = 1
    """E.164."""
    DATA = 3
    TELEX = 4


class Presentation(IntEnum):
    """Address presentation restricted indicator, Q.763 3.10 e."""

    ALLOWED = 0
    RESTRICTED = 1
    NOT_AVAILABLE = 2


class Screening(IntEnum):
    """Screening indicator, Q.763 3.10 f."""

    USER_PROVIDED_NOT_VERIFIED = 0
    USER_PROVIDED_VERIFIED = 1
    USER_PROVIDED_FAILED = 2
    NETWORK_PROVIDED = 3


def _unpack(octets: bytes, odd: bool) -> tuple[str, int]:
    """The digits in these octets, and the filler (0 where there is none)."""
    signals = []
    for octet in octets:
        signals.append(_SIGNALS[octet & 0x0F])
        signals.append(_SIGNALS[octet >> 4])
    if not odd:
        return "".join(signals), 0
    if not signals:
        raise DecodeError("isup.parameter", "an odd number of digits, but none is there", offset=1)
    return "".join(signals[:-1]), octets[-1] >> 4


def _pack(digits: str, filler: int) -> bytes:
    try:
        signals = [_SIGNALS.index(digit) for digit in digits.upper()]
    except ValueError:
        raise TrunklineError(
            "isup.digits", f"{digits!r} is not a number: digits are 0-9, B, C and F (ST)"
        ) from None
    if len(signals) % 2:
        signals.append(filler)
    return bytes(low | high << 4 for low, high in zip(signals[::2], signals[1::2], strict=True))


def _nature(text: str) -> tuple[str, NatureOfAddress]:
    """The digits of a number given as text, and what kind of number it is."""
    if text.startswith("+"):
        return text[1:], NatureOfAddress.INTERNATIONAL
    return text, NatureOfAddress.NATIONAL


def check_digits(text: str, what: str) -> None:
    """Refuse what cannot be dialled; raises :class:`TrunklineError` ``isup.digits``."""
    digits = text.removeprefix("+").removesuffix(ST)
    if not 0 < len(digits) <= MAX_DIGITS or not _DIGITS.issuperset(digits.upper()):
        raise TrunklineError(
            "isup.digits",
            f"{what} {text!r}: a number is 1 to {MAX_DIGITS} digits 0-9, B and C, with + in front "
            "if it is international",
        )


def _text(digits: str, nature: int) -> str:
    return f"+{digits}" if nature == NatureOfAddress.INTERNATIONAL else digits


def _need(octets: bytes, size: int, what: str) -> None:
    if len(octets) < size:
        raise DecodeError(
            "isup.parameter",
            f"{what} takes at least {size} octets, has {len(octets)}",
            offset=len(octets),
        )


@dataclass(frozen=True, slots=True)
class CalledPartyNumber:
    """The called party number, Q.763 3.9."""

    digits: str
    nature: int = NatureOfAddress.INTERNATIONAL
    plan: int = NumberingPlan.ISDN
    inn_not_allowed: bool = True
    """Internal network number indicator: routing to an internal number is not allowed."""
    filler: int = 0
    spare: int = 0

    @classmethod
    def of(cls, text: str) -> CalledPartyNumber:
        """A complete number from text such as ``+4416960600`` or ``3005``: ST is added."""
        digits, nature = _nature(text)
        return cls(digits.rstrip(ST) + ST, nature)

    @property
    def text(self) -> str:
        """The number as text, without ST."""
        return _text(self.digits.rstrip(ST), self.nature)

    @property
    def complete(self) -> bool:
        """Whether ST says that no more digits will follow."""
        return self.digits.endswith(ST)

    @classmethod
    def parse(cls, octets: bytes) -> CalledPartyNumber:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _need(octets, 2, "called party number")
        digits, filler = _unpack(octets[2:], odd=bool(octets[0] & 0x80))
        return cls(
            digits=digits,
            nature=octets[0] & 0x7F,
            plan=octets[1] >> 4 & 0x07,
            inn_not_allowed=bool(octets[1] & 0x80),
            filler=filler,
            spare=octets[1] & 0x0F,
        )

    def to_bytes(self) -> bytes:
        """The content of the parameter. Raises :class:`TrunklineError` ``isup.digits``."""
        signals = _pack(self.digits, self.filler)
        first = (0x80 if len(self.digits) % 2 else 0) | self.nature
        second = (0x80 if self.inn_not_allowed else 0) | self.plan << 4 | self.spare
        return bytes((first, second)) + signals


@dataclass(frozen=True, slots=True)
class CallingPartyNumber:
    """The calling party number, Q.763 3.10."""

    digits: str
    nature: int = NatureOfAddress.INTERNATIONAL
    plan: int = NumberingPlan.ISDN
    presentation: int = Presentation.ALLOWED
    screening: int = Screening.NETWORK_PROVIDED
    incomplete: bool = False
    """Number incomplete indicator."""
    filler: int = 0

    @classmethod
    def of(cls, text: str) -> CallingPartyNumber:
        """A number from text such as ``+4416960600`` or ``3005``."""
        return cls(*_nature(text))

    @property
    def text(self) -> str:
        """The number as text."""
        return _text(self.digits, self.nature)

    @classmethod
    def parse(cls, octets: bytes) -> CallingPartyNumber:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _need(octets, 2, "calling party number")
        digits, filler = _unpack(octets[2:], odd=bool(octets[0] & 0x80))
        return cls(
            digits=digits,
            nature=octets[0] & 0x7F,
            plan=octets[1] >> 4 & 0x07,
            presentation=octets[1] >> 2 & 0x03,
            screening=octets[1] & 0x03,
            incomplete=bool(octets[1] & 0x80),
            filler=filler,
        )

    def to_bytes(self) -> bytes:
        """The content of the parameter. Raises :class:`TrunklineError` ``isup.digits``."""
        signals = _pack(self.digits, self.filler)
        first = (0x80 if len(self.digits) % 2 else 0) | self.nature
        second = (
            (0x80 if self.incomplete else 0)
            | self.plan << 4
            | self.presentation << 2
            | self.screening
        )
        return bytes((first, second)) + signals


@dataclass(frozen=True, slots=True)
class SubsequentNumber:
    """More digits of the called number, Q.763 3.51."""

    digits: str
    filler: int = 0
    spare: int = 0

    @classmethod
    def parse(cls, octets: bytes) -> SubsequentNumber:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _need(octets, 1, "subsequent number")
        digits, filler = _unpack(octets[1:], odd=bool(octets[0] & 0x80))
        return cls(digits=digits, filler=filler, spare=octets[0] & 0x7F)

    def to_bytes(self) -> bytes:
        """The content of the parameter. Raises :class:`TrunklineError` ``isup.digits``."""
        signals = _pack(self.digits, self.filler)
        return bytes(((0x80 if len(self.digits) % 2 else 0) | self.spare,)) + signals
