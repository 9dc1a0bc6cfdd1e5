"""The session description in a message, for scripts: taken out, and put back where it was."""

from __future__ import annotations

from trunkline.sip.dialog.body import SDP, description_of, is_session
from trunkline.sip.headers import MediaType
from trunkline.sip.message import Message
from trunkline.sip.multipart import Multipart, Part
from trunkline.sip.sdp import SessionDescription

__all__ = ["put_sdp", "sdp_of"]


def sdp_of(message: Message) -> SessionDescription | None:
    """The session description of a request or response; ``None``: it has none.

    It may be the body or a part of it. Changing it changes the message when it is given to
    ``put_sdp``.

    Raises:
        DecodeError: there is one, and it cannot be read.
    """
    return description_of(message)


def put_sdp(message: Message, description: SessionDescription) -> None:
    """Let ``description`` be the session description of ``message``: the body or the part of it.

    Raises:
        DecodeError: the present body cannot be read.
    """
    octets = description.to_bytes()
    value = message.headers.get("content-type")
    if message.body and value is not None:
        kind = MediaType.parse(value)
        if kind.type == "multipart":
            changed = _replaced(Multipart.parse(message.body, kind), octets)
            if changed is not None:
                message.body = changed.to_bytes()
                return
    message.body = octets
    message.headers.set("Content-Type", SDP)


def _replaced(body: Multipart, octets: bytes) -> Multipart | None:
    """``body`` with ``octets`` in place of its first session description, wherever that is."""
    for index, part in enumerate(body.parts):
        nested = part.nested()
        inner = None if nested is None else _replaced(nested, octets)
        if inner is not None:
            return body.replace(index, _with_body(part, inner.to_bytes()))
        if part.content_type.full == SDP and is_session(part.disposition):
            return body.replace(index, _with_body(part, octets))
    return None


def _with_body(part: Part, body: bytes) -> Part:
    """The part with its header rows as they are; a Content-Length among them follows the body."""
    headers = part.headers
    if "content-length" in headers:
        headers.set("Content-Length", str(len(body)))
    return Part.build(headers.items(), body)
