"""When two codecs fit together, and with which format parameters (RFC 3264 section 6.1).

Encoding name, clock rate and channels have to be the same. What ``fmtp`` means depends on the codec
(section 6.1): some parameters are a configuration that has to be equal, others each end states for
itself. ``RULES`` has the codecs whose rules are known here:

- AMR, AMR-WB (RFC 4867 section 8.3.1);
- telephone-event, whose list of events says what its owner can receive (RFC 4733 section 2.5.1.1).

For any other codec the parameters do not decide: the answer has ours if we have some, else the
offer's own, which is right for a configuration. Left out: the rules of all other codecs, first of
all of H.264 and other video; list them with the parameters that you want to see in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from trunkline.sip.sdp.payload import Codec

__all__ = ["AUXILIARY", "RULES", "agreed"]

AUXILIARY: Final = frozenset({"telephone-event", "tone", "cn", "red", "rtx", "ulpfec"})
"""Encodings, in lower case, that go beside a codec and make no stream on their own."""

_CONFIGURATION: Final = ("octet-align", "crc", "robust-sorting", "interleaving")


def parameters(fmtp: str | None) -> dict[str, str]:
    """``fmtp`` as names in lower case to values: ``a=1; b=2``."""
    pairs = (part.strip(" \t").partition("=") for part in (fmtp or "").split(";"))
    return {name.lower(): value for name, _, value in pairs if name}


def _amr(offered: Codec, ours: Codec) -> Codec | None:
    theirs, own = parameters(offered.fmtp), parameters(ours.fmtp)
    # Each combination "is unique in its bit-pattern and not compatible with any other".
    if any(theirs.get(name, "0") != own.get(name, "0") for name in _CONFIGURATION):
        return None
    # "The answerer SHALL return the mode-set unmodified or reject the payload type."
    modes = theirs.get("mode-set")
    if modes is not None and _modes(own.get("mode-set", modes)) != _modes(modes):
        return None
    # A mode-change-period of 2 needs an end that can keep to it.
    for wants, can in ((theirs, own), (own, theirs)):
        kept_to = (can.get("mode-change-capability"), can.get("mode-change-period"))
        if wants.get("mode-change-period") == "2" and "2" not in kept_to:
            return None
    kept = {name: value for name, value in theirs.items() if name in (*_CONFIGURATION, "mode-set")}
    # "Any unknown parameter in an offer SHALL be removed in the answer."
    return _with(offered, {**own, **kept})


def _modes(text: str) -> frozenset[str]:
    return frozenset(mode.strip() for mode in text.split(","))


def _with(codec: Codec, values: Mapping[str, str]) -> Codec:
    text = "; ".join(f"{name}={value}" if value else name for name, value in values.items())
    return replace(codec, fmtp=text or None)


def _telephone_event(offered: Codec, ours: Codec) -> Codec | None:
    return replace(offered, fmtp=ours.fmtp)


RULES: Final[Mapping[str, Callable[[Codec, Codec], Codec | None]]] = {
    "amr": _amr,
    "amr-wb": _amr,
    "telephone-event": _telephone_event,
}
"""Encoding names in lower case to what makes the answer's codec of an offered one and ours."""


def agreed(offered: Codec, ours: Codec) -> Codec | None:
    """The codec as the answer has it, with the offer's payload type; ``None`` if none fits."""
    if not offered.is_same(ours):
        return None
    rule = RULES.get(ours.name.lower())
    if rule is not None:
        return rule(offered, ours)
    return offered if ours.fmtp is None else replace(offered, fmtp=ours.fmtp)
