"""M2PA: an SCTP association as an SS7 link (RFC 4165).

``codec`` has the messages, ``table`` the states, ``link`` the machine. ``docs/m2pa-states.md`` is
drawn from the table; ``docs/conformance/rfc4165.md`` says what of the RFC is covered.
"""

from trunkline.ss7.m2pa.codec import LinkStatus, M2paError, Status, UserData, parse
from trunkline.ss7.m2pa.events import (
    CongestionAbated,
    CongestionOnset,
    Discarded,
    Event,
    InService,
    OutOfService,
    RemoteProcessorOutage,
    RemoteProcessorRecovered,
)
from trunkline.ss7.m2pa.link import Link
from trunkline.ss7.m2pa.settings import Counters, Settings
from trunkline.ss7.m2pa.table import IllegalTransitionError, State

__all__ = [
    "CongestionAbated",
    "CongestionOnset",
    "Counters",
    "Discarded",
    "Event",
    "IllegalTransitionError",
    "InService",
    "Link",
    "LinkStatus",
    "M2paError",
    "OutOfService",
    "RemoteProcessorOutage",
    "RemoteProcessorRecovered",
    "Settings",
    "State",
    "Status",
    "UserData",
    "parse",
]
