"""SDP: session descriptions (RFC 8866) and how two ends agree on one (RFC 3264).

``parse`` makes a ``SessionDescription`` of a body and ``to_bytes`` a body of it; what is not edited
leaves octet for octet as it came. ``description``, ``media``, ``section``, ``fields`` and
``payload`` are that codec, ``validity`` judges what came through it.

``negotiation`` makes offers and answers of ``Capabilities`` (``parameters`` knows when two codecs
fit), and says what both agreed on. ``exchange`` is the machine of one dialog: which SIP message may
carry an offer or answer, by the tables of ``exchange_table``.
"""

from __future__ import annotations

from trunkline.sip.sdp.description import SessionDescription, parse
from trunkline.sip.sdp.exchange import Exchange, Verdict
from trunkline.sip.sdp.exchange_table import Meaning, Message
from trunkline.sip.sdp.fields import Bandwidth, Connection, Direction, Origin, Rtcp, Timing
from trunkline.sip.sdp.media import Media
from trunkline.sip.sdp.negotiation import (
    Capabilities,
    Capability,
    Stream,
    answer,
    offer,
    revised,
    streams,
)
from trunkline.sip.sdp.payload import Codec
from trunkline.sip.sdp.section import Attributes
from trunkline.sip.sdp.validity import Deviation, answer_deviations, deviations, revision_deviations

__all__ = [
    "Attributes",
    "Bandwidth",
    "Capabilities",
    "Capability",
    "Codec",
    "Connection",
    "Deviation",
    "Direction",
    "Exchange",
    "Meaning",
    "Media",
    "Message",
    "Origin",
    "Rtcp",
    "SessionDescription",
    "Stream",
    "Timing",
    "Verdict",
    "answer",
    "answer_deviations",
    "deviations",
    "offer",
    "parse",
    "revised",
    "revision_deviations",
    "streams",
]
