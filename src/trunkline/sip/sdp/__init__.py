"""SDP: session descriptions (RFC 8866) and how two ends agree on one (RFC 3264).

``parse`` makes a ``SessionDescription`` of a body and ``to_bytes`` a body of it; what is not edited
leaves octet for octet as it came. ``description``, ``media``, ``section``, ``fields`` and
``payload`` are the codec.
"""

from __future__ import annotations

from trunkline.sip.sdp.description import SessionDescription, parse
from trunkline.sip.sdp.fields import Bandwidth, Connection, Direction, Origin, Rtcp, Timing
from trunkline.sip.sdp.media import Media
from trunkline.sip.sdp.payload import Codec
from trunkline.sip.sdp.section import Attributes

__all__ = [
    "Attributes",
    "Bandwidth",
    "Codec",
    "Connection",
    "Direction",
    "Media",
    "Origin",
    "Rtcp",
    "SessionDescription",
    "Timing",
    "parse",
]
