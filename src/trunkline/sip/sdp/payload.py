"""RTP payload types and the codecs they stand for: ``rtpmap`` and ``fmtp``, and RFC 3551's own.

RFC 8866 sections 6.6 and 6.15; the static numbers are those of RFC 3551 section 6, tables 4 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trunkline.sip.sdp.fields import number

__all__ = ["DYNAMIC", "STATIC", "Codec", "codec_of"]

DYNAMIC: Final = range(96, 128)
"""Payload types that have no meaning but by ``rtpmap`` (RFC 3551 section 6)."""


@dataclass(frozen=True, slots=True)
class Codec:
    """What a payload type of a stream stands for."""

    payload: int
    """The payload type number, 0 to 127."""
    name: str
    """The encoding name; case does not count (RFC 8866 section 5.14). Empty where nothing in the
    description, nor RFC 3551, tells what the payload type is."""
    clock_rate: int = 8000
    """In Hz."""
    channels: int = 1
    fmtp: str | None = None
    """Format parameters as they are written, or ``None``."""

    def is_same(self, other: Codec) -> bool:
        """Whether both are one encoding: name, clock rate, channels. Number and ``fmtp`` aside."""
        return (
            self.name.lower() == other.name.lower() != ""
            and self.clock_rate == other.clock_rate
            and self.channels == other.channels
        )

    def matches(self, selector: int | str) -> bool:
        """Whether ``selector`` means this codec.

        A payload type number, also as text, or an encoding name, which may have the clock rate and
        the channels behind it: ``8``, ``"8"``, ``"PCMA"``, ``"L16/44100"``, ``"opus/48000/2"``.
        """
        if isinstance(selector, int):
            return self.payload == selector
        if selector == str(self.payload):
            return True
        name, *rest = selector.lower().split("/")
        own = [str(self.clock_rate), str(self.channels)]
        return name == self.name.lower() != "" and rest == own[: len(rest)]

    @property
    def rtpmap(self) -> str:
        """The value of its ``rtpmap`` attribute. One channel goes without saying."""
        text = f"{self.payload} {self.name}/{self.clock_rate}"
        return text if self.channels == 1 else f"{text}/{self.channels}"


_AUDIO: Final = (
    *((0, "PCMU", 8000), (3, "GSM", 8000), (4, "G723", 8000), (5, "DVI4", 8000)),
    *((6, "DVI4", 16000), (7, "LPC", 8000), (8, "PCMA", 8000), (9, "G722", 8000)),
    *((11, "L16", 44100), (12, "QCELP", 8000), (13, "CN", 8000), (14, "MPA", 90000)),
    *((15, "G728", 8000), (16, "DVI4", 11025), (17, "DVI4", 22050), (18, "G729", 8000)),
)
_VIDEO: Final = (
    *((25, "CelB", 90000), (26, "JPEG", 90000), (28, "nv", 90000), (31, "H261", 90000)),
    *((32, "MPV", 90000), (33, "MP2T", 90000), (34, "H263", 90000)),
)
STATIC: Final = {
    **{payload: Codec(payload, name, rate) for payload, name, rate in (*_AUDIO, *_VIDEO)},
    10: Codec(10, "L16", 44100, 2),
}
"""The payload types that mean something without ``rtpmap``."""


def codec_of(payload: int, rtpmap: str | None, fmtp: str | None) -> Codec:
    """The codec of a payload type.

    Args:
        payload: its number.
        rtpmap: ``<encoding name>/<clock rate>[/<channels>]``, what the attribute says behind the
            number, or ``None``. One that cannot be read counts as none (RFC 8866 section 5.13).
        fmtp: its format parameters, or ``None``.
    """
    if rtpmap is not None:
        name, *numbers = rtpmap.strip(" \t").split("/")
        clock_rate = number(numbers[0]) if numbers else None
        channels = number(numbers[1]) if len(numbers) > 1 else 1
        if name and clock_rate:
            # Behind the rate of video stands nothing that is defined: it is not counted in.
            return Codec(payload, name, clock_rate, channels or 1, fmtp)
    known = STATIC.get(payload)
    if known is None:
        return Codec(payload, "", 0, 1, fmtp)
    return Codec(payload, known.name, known.clock_rate, known.channels, fmtp)
