"""What a description does against the standards, found and named; nothing here refuses it.

Three questions: does one description keep to RFC 8866, does an answer fit its offer (RFC 3264
sections 6 and 7), does a new description follow the one before (section 8). A proxy may pass on
what a user agent may not act upon: a :class:`Deviation` names its clause, and the caller decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from trunkline.sip.sdp.description import SessionDescription
from trunkline.sip.sdp.fields import Direction
from trunkline.sip.sdp.media import Media
from trunkline.sip.sdp.payload import DYNAMIC, Codec

__all__ = [
    "Deviation",
    "answer_deviations",
    "changed_payloads",
    "common_codecs",
    "deviations",
    "revision_deviations",
    "unknown_types",
]

# RFC 8866 section 5: the order of lines, "t" standing for "t", "r" and "z"; which come once.
_SESSION: Final = "vosiuepcbtka"
_MEDIA: Final = "micbka"
_ONCE_SESSION: Final = frozenset("vosiuck")
_ONCE_MEDIA: Final = frozenset("ik")
_TIME: Final = frozenset("trz")


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing that a standard does not allow."""

    clause: str
    text: str


def unknown_types(description: SessionDescription) -> list[str]:
    """Type letters that RFC 8866 does not have: section 5 wants the whole ignored or rejected."""
    known = frozenset((*_SESSION, *_MEDIA, *_TIME))
    return [line[0] for line in description.lines() if line and line[0] not in known]


def deviations(description: SessionDescription) -> list[Deviation]:
    """What RFC 8866 does not allow in a description."""
    return list(_deviations(description))


def _deviations(description: SessionDescription) -> Iterator[Deviation]:
    for letter in unknown_types(description):
        yield Deviation("RFC 8866 5", f"{letter}= is no line that it has")
    own = [row.rstrip("\r\n") for row in description._rows]
    yield from _order(own, _SESSION, "session")
    for prefix, clause in (("s=", "5.3"), ("t=", "5.9")):
        if not any(line.startswith(prefix) for line in own):
            yield Deviation(f"RFC 8866 {clause}", f"no {prefix} line")
    if "s=" in own:
        yield Deviation("RFC 8866 5.3", "s= is empty: a single blank or a dash means no name")
    yield from _lines(own)
    for number, media in enumerate(description.media, start=1):
        rows = [row.rstrip("\r\n") for row in media._rows]
        yield from _order(rows, _MEDIA, f"stream {number}")
        yield from _lines(rows)
        if not media.formats:
            yield Deviation("RFC 8866 9", f"stream {number}: m= has no format")
        if media.connection is None:
            yield Deviation("RFC 8866 5.7", f"stream {number}: no c= holds for it")
        for codec in media.codecs:
            if not codec.name:
                yield Deviation(
                    "RFC 8866 6.6", f"stream {number}: payload type {codec.payload} has no rtpmap"
                )


def _order(lines: list[str], order: str, where: str) -> Iterator[Deviation]:
    """Lines that do not belong there, are out of section 5's order, or too many."""
    letters = ["t" if line[0] in _TIME else line[0] for line in lines if line]
    for letter in sorted(({*_SESSION, *_MEDIA} - {*order}) & {*letters}):
        yield Deviation("RFC 8866 5", f"{where}: {letter}= does not belong there")
    for before, after in pairwise(letter for letter in letters if letter in order):
        if order.index(before) > order.index(after):
            yield Deviation("RFC 8866 5", f"{where}: {after}= behind {before}=")
    for letter in sorted(_ONCE_SESSION if order == _SESSION else _ONCE_MEDIA):
        if letters.count(letter) > 1:
            yield Deviation("RFC 8866 5", f"{where}: several {letter}= lines")


def _lines(lines: list[str]) -> Iterator[Deviation]:
    if "" in lines:
        yield Deviation("RFC 8866 9", "an empty line")
    if any(line.startswith("k=") for line in lines):
        yield Deviation("RFC 8866 5.12", "k= is obsolete, and to be discarded")
    directions = {f"a={direction.value}" for direction in Direction}
    if sum(line in directions for line in lines) > 1:
        yield Deviation("RFC 8866 6.7", "several directions; the first counts")


# Offer and answer


def common_codecs(these: Media, those: Media) -> list[Codec]:
    """The codecs of ``these`` that ``those`` has too, by encoding, whatever their numbers are."""
    others = those.codecs
    return [codec for codec in these.codecs if any(codec.is_same(other) for other in others)]


def answer_deviations(offer: SessionDescription, answer: SessionDescription) -> list[Deviation]:
    """What RFC 3264 section 6 does not allow in an answer to ``offer``."""
    return list(_answer_deviations(offer, answer))


def _answer_deviations(
    offer: SessionDescription, answer: SessionDescription
) -> Iterator[Deviation]:
    if len(offer.media) != len(answer.media):
        yield Deviation(
            "RFC 3264 6", f"{len(answer.media)} streams answer {len(offer.media)}: not matched"
        )
    times = offer._time_lines()
    if times and times != answer._time_lines():
        yield Deviation("RFC 3264 6", "t= is not the offer's")
    for number, (offered, media) in enumerate(
        zip(offer.media, answer.media, strict=False), start=1
    ):
        if media.kind != offered.kind:
            yield Deviation("RFC 3264 6.1", f"stream {number}: {media.kind} answers {offered.kind}")
        if media.is_rejected:
            continue
        if offered.is_rejected:
            yield Deviation("RFC 3264 8.2", f"stream {number}: accepted, but offered with port 0")
        mirrored = offered.direction.mirrored
        if (media.direction.sends and not mirrored.sends) or (
            media.direction.receives and not mirrored.receives
        ):
            yield Deviation(
                "RFC 3264 6.1",
                f"stream {number}: {media.direction.value} answers {offered.direction.value}",
            )
        if media.protocol != offered.protocol:
            yield Deviation(
                "RFC 3264 6.1", f"stream {number}: {media.protocol} answers {offered.protocol}"
            )
        common = common_codecs(offered, media) if media.is_rtp else ()
        if not common and not set(offered.formats) & set(media.formats):
            yield Deviation("RFC 3264 6.1", f"stream {number}: no format of the offer")


def revision_deviations(previous: SessionDescription, new: SessionDescription) -> list[Deviation]:
    """What RFC 3264 section 8 does not allow in ``new``, which comes from the same end."""
    return list(_revision_deviations(previous, new))


def _revision_deviations(
    previous: SessionDescription, new: SessionDescription
) -> Iterator[Deviation]:
    before, after = previous.origin, new.origin
    if replace(before, session_version=after.session_version) != after:
        yield Deviation(
            "RFC 3264 8", f"o= was {before} and is {after}: only the version may change"
        )
    elif before == after:
        if previous.to_bytes() != new.to_bytes():
            yield Deviation("RFC 3264 8", "changed, but with the same version in o=")
    elif after.session_version != before.session_version + 1:
        yield Deviation(
            "RFC 3264 8",
            f"the version was {before.session_version} and is {after.session_version}: "
            "it goes up by one",
        )
    if len(new.media) < len(previous.media):
        yield Deviation(
            "RFC 3264 8", f"{len(previous.media)} streams became {len(new.media)}: none may go"
        )
    for number, payload in changed_payloads(previous, new):
        yield Deviation(
            "RFC 3264 8.3.2", f"stream {number}: payload type {payload} means another codec now"
        )


def changed_payloads(
    previous: SessionDescription, new: SessionDescription
) -> Iterator[tuple[int, int]]:
    """Streams, counted from 1, and dynamic payload types in them that mean another codec now."""
    for number, (old, media) in enumerate(zip(previous.media, new.media, strict=False), start=1):
        if old.kind != media.kind or old.is_rejected:
            continue  # another stream in its place (8.1, 8.3.3)
        codecs = {codec.payload: codec for codec in old.codecs if codec.payload in DYNAMIC}
        for codec in media.codecs:
            known = codecs.get(codec.payload)
            if known is not None and not known.is_same(codec) and known.name and codec.name:
                yield number, codec.payload
