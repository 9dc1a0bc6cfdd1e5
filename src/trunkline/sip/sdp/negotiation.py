"""Offers and answers made of what an end can do (RFC 3264 sections 5 to 8).

An end says what it can do as :class:`Capabilities`. ``offer`` and ``answer`` make descriptions of
that, ``revised`` makes one that follows another, and ``streams`` says what both together mean: what
is sent where, and with which payload types. Where a description may stand in SIP is ``exchange``'s.

Left out: multicast streams are rejected (6.2); no bandwidth is written; SDP security descriptions,
ICE and grouping are attributes that the caller may add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.sip.sdp.description import SessionDescription
from trunkline.sip.sdp.fields import Connection, Direction, Origin
from trunkline.sip.sdp.media import Media
from trunkline.sip.sdp.parameters import AUXILIARY, agreed
from trunkline.sip.sdp.payload import DYNAMIC, Codec
from trunkline.sip.sdp.validity import changed_payloads, common_codecs, unknown_types

__all__ = [
    "Capabilities",
    "Capability",
    "Stream",
    "answer",
    "offer",
    "revised",
    "streams",
]


@dataclass(frozen=True, slots=True)
class Capability:
    """One stream that an end can have."""

    kind: str
    """``"audio"``, ``"video"`` ..."""
    port: int
    """Where it receives."""
    codecs: tuple[Codec, ...] = ()
    """For RTP: in order of preference, with the payload types that an offer of ours gives them."""
    formats: tuple[str, ...] = ()
    """For anything else: as in ``m=``."""
    protocol: str = "RTP/AVP"
    direction: Direction = Direction.SENDRECV
    """What it is willing to do at most."""
    connection: Connection | None = None
    """``None``: the session's."""
    ptime: float | None = None
    """The packet time that it would like to receive, in milliseconds."""
    attributes: tuple[tuple[str, str], ...] = ()
    """What else to write into the stream, names and values."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an end can do in one session."""

    origin: Origin
    """For the first description of the session. Later ones keep it and count its version up."""
    connection: Connection
    streams: tuple[Capability, ...]
    """In the order that an offer has them. The answer gives each stream offered the first one of
    its kind and protocol that no other stream has."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What an offer and its answer agreed on for one stream, seen from one end."""

    kind: str
    protocol: str
    direction: Direction
    """What this end does."""
    connection: Connection | None
    """Where it sends to. 0.0.0.0: nothing may be sent, RTCP neither (8.4)."""
    port: int
    rtcp_port: int
    """Where it sends RTCP to: as ``a=rtcp`` says, or one higher than ``port`` (5.1)."""
    send: tuple[Codec, ...]
    """What it may send, the best first, with the payload types to send (6.1, 7)."""
    receive: tuple[Codec, ...]
    """What it has to be ready for, with the payload types that arrive."""
    ptime: float | None
    """The packet time that the other end would like, in milliseconds."""


_NONE: Final = "0"
"""What a rejected stream lists where the offer lists nothing: some format has to be there (6)."""


def offer(
    capabilities: Capabilities, previous: SessionDescription | None = None
) -> SessionDescription:
    """An offer of everything that ``capabilities`` has.

    Args:
        capabilities: what this end can do.
        previous: the description that this end gave last in this session, if it did. Each of its
            streams keeps its place, and is removed (8.2) where no capability of its kind is left;
            new streams come below.
    """
    kept = _matching(previous, capabilities.streams)
    rest = [stream for stream in capabilities.streams if stream not in kept]
    description = SessionDescription.build(capabilities.origin, capabilities.connection)
    old = previous.media if previous is not None else ()
    for media, stream in zip_longest(old, (*kept, *rest)):
        if stream is not None:
            _add(description, stream, _numbered(stream.codecs, media))
        elif media is not None:
            _add_rejected(description, media)
    return description if previous is None else revised(previous, description)


def answer(
    offered: SessionDescription,
    capabilities: Capabilities,
    previous: SessionDescription | None = None,
) -> SessionDescription:
    """The answer to an offer (RFC 3264 section 6).

    It has the streams of the offer in their order, those that do not fit with port 0. Codecs are in
    the order of the offer and keep its payload types; directions mirror the offer's, within what
    the capability is willing to do.

    Args:
        offered: the offer.
        capabilities: what this end can do.
        previous: the description that this end gave last in this session, if it did; its streams
            go on with the capabilities that they had, as far as those are still there.

    Returns:
        The answer. Where :attr:`SessionDescription.is_rejected`, nothing fitted: refuse the offer
        (488), or, where an answer has to be given, give this one and end the session.

    Raises:
        TrunklineError: the offer is to be refused (488). ``sdp.unknown-type``: a line that RFC 8866
            section 5 does not have. ``sdp.stream-removed``, ``sdp.payload-changed``: it does not
            follow the session so far (section 8).
    """
    unknown = unknown_types(offered)
    if unknown:
        raise TrunklineError(
            "sdp.unknown-type",
            f"{unknown[0]}= is no line of SDP: refuse the offer with 488 (RFC 8866 section 5)",
        )
    description = SessionDescription.build(capabilities.origin, capabilities.connection)
    description._drop(lambda line: line.startswith("t="))
    for line in offered._time_lines() or ["t=0 0"]:
        description._insert(line)
    # What the offer ends is free for a stream that it adds.
    matching = zip(offered.media, _matching(previous, capabilities.streams), strict=False)
    kept = [None if media.is_rejected else own for media, own in matching]
    free = [stream for stream in capabilities.streams if stream not in kept]
    for media, own in zip_longest(offered.media, kept):
        candidates = free if own is None else [own, *free]
        fitting = next((stream for stream in candidates if _fits(media, stream)), None)
        codecs = _answered(media, fitting) if fitting is not None else ()
        if fitting is None or (media.is_rtp and not codecs):
            _add_rejected(description, media)
            continue
        if fitting in free:
            free.remove(fitting)
        formats = tuple(format_ for format_ in media.formats if format_ in fitting.formats)
        accepted = replace(fitting, formats=formats, direction=_direction(media, fitting.direction))
        _add(description, accepted, codecs)
    return description if previous is None else revised(previous, description)


def revised(previous: SessionDescription, new: SessionDescription) -> SessionDescription:
    """``new`` as the description that follows ``previous`` of the same end (section 8).

    ``o=`` becomes that of ``previous``, its version one higher, or the same if nothing changed.

    Raises:
        TrunklineError: ``sdp.stream-removed``: there are fewer streams than before.
            ``sdp.payload-changed``: a dynamic payload type means another codec than before (8.3.2).
    """
    if len(new.media) < len(previous.media):
        raise TrunklineError(
            "sdp.stream-removed",
            f"{len(previous.media)} streams became {len(new.media)}: "
            "a stream that ends keeps its place, with port 0 (RFC 3264 8.2)",
        )
    for number, payload in changed_payloads(previous, new):
        raise TrunklineError(
            "sdp.payload-changed",
            f"stream {number}: payload type {payload} meant another codec before; "
            "give the new one a number of its own (RFC 3264 8.3.2)",
        )
    result = new.copy()
    result.origin = previous.origin
    if result.to_bytes() != previous.to_bytes():
        result.bump_version()
    return result


def streams(local: SessionDescription, remote: SessionDescription) -> tuple[Stream | None, ...]:
    """What an exchange agreed on, for the end whose description is ``local``.

    It makes no difference which of the two was the offer: either end sends what both list, with the
    payload types of the other, in the order that the other prefers (RFC 3264 sections 6.1 and 7).

    Returns:
        One for each pair of streams, in order; ``None`` for a rejected one.
    """
    return tuple(
        None if ours.is_rejected or theirs.is_rejected else _stream(ours, theirs)
        for ours, theirs in zip(local.media, remote.media, strict=False)
    )


def _stream(ours: Media, theirs: Media) -> Stream:
    rtcp = theirs.rtcp
    offered = _effective(theirs).mirrored
    return Stream(
        kind=ours.kind,
        protocol=ours.protocol,
        direction=Direction.of(
            send=offered.sends and ours.direction.sends,
            receive=offered.receives and ours.direction.receives,
        ),
        connection=theirs.connection,
        port=theirs.port,
        rtcp_port=theirs.port + 1 if rtcp is None else rtcp.port,
        send=tuple(common_codecs(theirs, ours)),
        receive=tuple(common_codecs(ours, theirs)),
        ptime=theirs.ptime,
    )


def _effective(media: Media) -> Direction:
    """Its direction; 0.0.0.0 as address says that its end receives nothing (8.4)."""
    connection = media.connection
    if connection is not None and connection.is_hold:
        return Direction.of(send=media.direction.sends, receive=False)
    return media.direction


def _direction(media: Media, willing: Direction) -> Direction:
    """What the answer says: the mirror of the offer, within what we are willing to do (6.1)."""
    mirrored = _effective(media).mirrored
    return Direction.of(
        send=mirrored.sends and willing.sends, receive=mirrored.receives and willing.receives
    )


def _matching(
    previous: SessionDescription | None, capabilities: Sequence[Capability]
) -> list[Capability | None]:
    """For each stream given before, the capability that it goes on with.

    The one of its kind that has its port, else (the port has changed) the first one of its kind.
    """
    old = previous.media if previous is not None else ()
    found: list[Capability | None] = [None] * len(old)
    for same_port in (True, False):
        for at, media in enumerate(old):
            if found[at] is None and not media.is_rejected:
                fitting = (
                    stream
                    for stream in capabilities
                    if stream.kind == media.kind
                    and stream not in found
                    and (stream.port == media.port or not same_port)
                )
                found[at] = next(fitting, None)
    return found


def _fits(media: Media, stream: Capability) -> bool:
    """Whether a stream offered may become this one of ours, codecs aside for RTP."""
    if media.is_rejected or (media.kind, media.protocol) != (stream.kind, stream.protocol):
        return False
    connection = media.connection
    if connection is not None and connection.is_multicast:
        return False
    return media.is_rtp or bool(set(media.formats) & set(stream.formats))


def _answered(media: Media, stream: Capability) -> tuple[Codec, ...]:
    """The codecs of the answer: what both have, in the order of the offer (6.1)."""
    found: list[Codec] = []
    for offered in media.codecs:
        fitting = (agreed(offered, ours) for ours in stream.codecs)
        codec = next((codec for codec in fitting if codec is not None), None)
        if codec is not None and codec.payload not in [other.payload for other in found]:
            found.append(codec)
    rates = {codec.clock_rate for codec in found if codec.name.lower() not in AUXILIARY}
    if not rates and any(codec.name.lower() not in AUXILIARY for codec in media.codecs):
        return ()  # events and comfort noise alone are nothing to talk with
    # Events have the timestamps of the codec that they interrupt (RFC 4733 section 2.1).
    return tuple(
        codec
        for codec in found
        if codec.name.lower() != "telephone-event" or not rates or codec.clock_rate in rates
    )


def _numbered(codecs: Sequence[Codec], previous: Media | None) -> tuple[Codec, ...]:
    """``codecs`` with payload types that mean nothing else in the stream so far (8.3.2)."""
    before = previous.codecs if previous is not None and not previous.is_rejected else ()
    taken = {codec.payload for codec in before} | {codec.payload for codec in codecs}
    unused = iter([payload for payload in reversed(DYNAMIC) if payload not in taken])
    numbered: list[Codec] = []
    for codec in codecs:
        known = [other.payload for other in before if agreed(other, codec) is not None]
        clash = any(other.payload == codec.payload for other in before)
        payload = codec.payload
        if codec.payload in DYNAMIC and codec.payload not in known and (known or clash):
            payload = known[0] if known else next(unused, codec.payload)
        numbered.append(replace(codec, payload=payload))
    return tuple(numbered)


def _add(description: SessionDescription, stream: Capability, codecs: Sequence[Codec]) -> None:
    media = description.add_media(stream.kind, stream.port, stream.protocol, stream.formats)
    for codec in codecs:
        media.add_codec(codec)
    if stream.connection is not None:
        media.connection = stream.connection
    if stream.ptime is not None:
        media.ptime = stream.ptime
    for name, value in stream.attributes:
        media.attributes.add(name, value)
    media.direction = stream.direction


def _add_rejected(description: SessionDescription, media: Media) -> None:
    """A stream with port 0 and one format, as sections 6 and 8.2 allow."""
    description.add_media(media.kind, 0, media.protocol, media.formats[:1] or (_NONE,))
