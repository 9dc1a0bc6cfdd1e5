"""Fragments of SIP messages as bodies: what REFER's NOTIFY carries (RFC 3515 section 2.4.5).

``message/sipfrag`` is RFC 3420's, which was not at hand: here it is a Status-Line, with header rows
that its maker may add.
"""

from __future__ import annotations

import re
from typing import Final

from trunkline.sip.reasons import REASONS

__all__ = ["SIPFRAG", "status_line", "status_of"]

SIPFRAG: Final = "message/sipfrag;version=2.0"

# Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF (RFC 3261 section 25.1)
_STATUS_LINE = re.compile(rb"SIP/2\.0 ([1-6][0-9][0-9])(?: ([^\r\n]*))?(?:\r?\n|\Z)", re.IGNORECASE)


def status_line(status: int, reason: str = "") -> bytes:
    """The body that tells of a status."""
    phrase = reason or REASONS.get(status, "")
    return f"SIP/2.0 {status} {phrase}\r\n".encode("utf-8", "surrogateescape")


def status_of(body: bytes) -> tuple[int, str]:
    """Status and reason phrase that a body begins with; 0 where it does not begin so."""
    found = _STATUS_LINE.match(body)
    if found is None:
        return 0, ""
    return int(found[1]), (found[2] or b"").decode("utf-8", "surrogateescape")
