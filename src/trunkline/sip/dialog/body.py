"""Session descriptions in message bodies: RFC 3261 sections 13.2.1 and 20.11.

A body is a session description when its type is ``application/sdp`` and its disposition ``session``
or not given; the same holds for the parts of a ``multipart`` body, of which the first counts.
"""

from __future__ import annotations

from typing import Final

from trunkline.errors import DecodeError
from trunkline.sip.headers import Disposition, MediaType
from trunkline.sip.message import Message
from trunkline.sip.multipart import Multipart
from trunkline.sip.sdp import Origin, SessionDescription, parse

__all__ = ["SDP", "body_of", "description_of", "is_session", "readable", "refused"]

SDP: Final = "application/sdp"


def description_of(message: Message) -> SessionDescription | None:
    """The session description in ``message``, None if there is none.

    Raises:
        DecodeError: of the header, the multipart or the description, whichever cannot be read.
    """
    value = message.headers.get("content-type")
    if not message.body or value is None:
        return None
    kind = MediaType.parse(value)
    if kind.type == "multipart":
        for part in Multipart.parse(message.body, kind).walk():
            if part.content_type.full == SDP and is_session(part.disposition):
                return parse(part.body)
        return None
    disposition = message.headers.get("content-disposition")
    if kind.full == SDP and is_session(Disposition.parse(disposition) if disposition else None):
        return parse(message.body)
    return None


def is_session(disposition: Disposition | None) -> bool:
    """Whether a body with this Content-Disposition describes the session (20.11)."""
    return disposition is None or disposition.value.lower() == "session"


def body_of(description: SessionDescription | None) -> tuple[list[tuple[str, str]], bytes]:
    """Rows and body for a message with ``description``."""
    if description is None:
        return [], b""
    return [("Content-Type", SDP)], description.to_bytes()


def refused(offer: SessionDescription, host: str) -> SessionDescription:
    """A valid answer that takes none of the streams (13.2.2.4; RFC 3264 section 6)."""
    answer = offer.copy()
    answer.origin = Origin("-", "1", 1, host, "IP6" if ":" in host else "IP4")
    for media in answer.media:
        media.reject()
    return answer


def readable(message: Message) -> SessionDescription | None:
    """As `description_of`; what cannot be read counts for none."""
    try:
        return description_of(message)
    except DecodeError:
        return None
