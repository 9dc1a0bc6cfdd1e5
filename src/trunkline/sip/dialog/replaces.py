"""Replaces: RFC 3891. An INVITE that takes the place of a dialog.

The rules of section 3 in their order. Whether the caller may do so is the user's to say: it sees
the session in `IncomingCall.replaces`, and a Referred-By in the INVITE (RFC 3892).
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.errors import DecodeError
from trunkline.sip.dialog.core import Core
from trunkline.sip.dialog.dialog import Dialog, DialogId
from trunkline.sip.dialog.session import Session
from trunkline.sip.dialog.session_table import SessionState
from trunkline.sip.headers import Replaces
from trunkline.sip.message import Request

__all__ = ["Resolution", "replaces_value", "resolve"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a Replaces comes to: the status to refuse the INVITE with, or the session it names."""

    status: int = 0
    session: Session | None = None
    clause: str = ""


def replaces_value(dialog: Dialog) -> str:
    """The Replaces by which another may take our place in ``dialog``, given to our peer (4)."""
    to_tag, from_tag = dialog.remote_tag or "0", dialog.local_tag or "0"
    return f"{dialog.call_id};to-tag={to_tag};from-tag={from_tag}"


def resolve(core: Core, request: Request) -> Resolution:
    """Match the Replaces of a request with our dialogs (section 3)."""
    headers = request.headers
    values = headers.all("replaces")
    if not values:
        return Resolution()
    if len(values) > 1 or request.method != "INVITE" or "join" in headers:
        return Resolution(400, clause="3: one Replaces, in INVITE only, and no Join")
    try:
        wanted = Replaces.parse(values[0])
    except DecodeError:
        return Resolution(400, clause="6.1")
    ids = _ids(wanted)
    found = [dialog for item in ids if (dialog := core.dialogs.get(item)) is not None]
    if len(found) > 1:
        return Resolution(481, clause="3: more than one matches")
    if not found:
        if any(item.digest in core.ended for item in ids):
            return Resolution(603, clause="3: it has terminated")
        return Resolution(481, clause="3: none matches")
    session = next((usage for usage in found[0].usages if isinstance(usage, Session)), None)
    if session is None:
        return Resolution(481, clause="3: it was not made by INVITE")
    if session.state in (SessionState.ENDING, SessionState.TERMINATED):
        return Resolution(603, clause="3: it has terminated")
    if session.state is not SessionState.EARLY:
        if wanted.early_only:
            return Resolution(486, clause="3: early-only, and it is confirmed")
        return Resolution(0, session, "3")
    if session.call is None:
        return Resolution(481, clause="3: an early dialog that we did not begin")
    return Resolution(0, session, "3")


def _ids(wanted: Replaces) -> list[DialogId]:
    """The dialogs that are meant; a tag of zero is a missing one too (6.1)."""
    local = [wanted.to_tag, ""] if wanted.to_tag == "0" else [wanted.to_tag]
    remote = [wanted.from_tag, ""] if wanted.from_tag == "0" else [wanted.from_tag]
    return [DialogId(wanted.value, ours, theirs) for ours in local for theirs in remote]
