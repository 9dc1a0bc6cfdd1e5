"""Cause indicators: why a call ended, and who says so (ITU-T Q.850 05/1998, Q.763 3.12).

Left out: the content of the diagnostics of each cause value (Q.850 Table 1, column 4) beyond what
this room sends itself: the message type of cause 97 and the parameter name of cause 99.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from trunkline.errors import DecodeError

__all__ = ["CAUSE_NAMES", "CauseIndicators", "CauseValue", "Location", "cause_name"]


class Location(IntEnum):
    """Where the cause arose, Q.850 2.2.3."""

    USER = 0
    PRIVATE_NETWORK_LOCAL_USER = 1
    PUBLIC_NETWORK_LOCAL_USER = 2
    TRANSIT_NETWORK = 3
    PUBLIC_NETWORK_REMOTE_USER = 4
    PRIVATE_NETWORK_REMOTE_USER = 5
    INTERNATIONAL_NETWORK = 7
    BEYOND_INTERWORKING_POINT = 10


class CauseValue(IntEnum):
    """The cause values that this room gives itself; :data:`CAUSE_NAMES` names the others."""

    UNALLOCATED_NUMBER = 1
    NO_ROUTE_TO_DESTINATION = 3
    NORMAL_CALL_CLEARING = 16
    USER_BUSY = 17
    NO_USER_RESPONDING = 18
    NO_ANSWER_FROM_USER = 19
    CALL_REJECTED = 21
    DESTINATION_OUT_OF_ORDER = 27
    INVALID_NUMBER_FORMAT = 28
    NORMAL_UNSPECIFIED = 31
    NO_CIRCUIT_AVAILABLE = 34
    NETWORK_OUT_OF_ORDER = 38
    TEMPORARY_FAILURE = 41
    SWITCHING_EQUIPMENT_CONGESTION = 42
    REQUESTED_CIRCUIT_NOT_AVAILABLE = 44
    MESSAGE_TYPE_NOT_IMPLEMENTED = 97
    PARAMETER_NOT_IMPLEMENTED = 99
    RECOVERY_ON_TIMER_EXPIRY = 102
    PROTOCOL_ERROR = 111
    INTERWORKING = 127


CAUSE_NAMES: Final = {
    1: "unallocated (unassigned) number",
    2: "no route to specified transit network",
    3: "no route to destination",
    4: "send special information tone",
    5: "misdialled trunk prefix",
    6: "channel unacceptable",
    7: "call awarded and being delivered in an established channel",
    8: "preemption",
    9: "preemption, circuit reserved for reuse",
    14: "query on release: ported number",
    16: "normal call clearing",
    17: "user busy",
    18: "no user responding",
    19: "no answer from user (user alerted)",
    20: "subscriber absent",
    21: "call rejected",
    22: "number changed",
    23: "redirection to new destination",
    24: "call rejected due to feature at the destination",
    25: "exchange routing error",
    26: "non-selected user clearing",
    27: "destination out of order",
    28: "invalid number format (address incomplete)",
    29: "facility rejected",
    30: "response to STATUS ENQUIRY",
    31: "normal, unspecified",
    34: "no circuit/channel available",
    38: "network out of order",
    39: "permanent frame mode connection out of service",
    40: "permanent frame mode connection operational",
    41: "temporary failure",
    42: "switching equipment congestion",
    43: "access information discarded",
    44: "requested circuit/channel not available",
    46: "precedence call blocked",
    47: "resource unavailable, unspecified",
    49: "quality of service not available",
    50: "requested facility not subscribed",
    53: "outgoing calls barred within CUG",
    55: "incoming calls barred within CUG",
    57: "bearer capability not authorized",
    58: "bearer capability not presently available",
    62: "inconsistency in designated outgoing access information and subscriber class",
    63: "service or option not available, unspecified",
    65: "bearer capability not implemented",
    66: "channel type not implemented",
    69: "requested facility not implemented",
    70: "only restricted digital information bearer capability is available",
    79: "service or option not implemented, unspecified",
    81: "invalid call reference value",
    82: "identified channel does not exist",
    83: "a suspended call exists, but this call identity does not",
    84: "call identity in use",
    85: "no call suspended",
    86: "call having the requested call identity has been cleared",
    87: "user not member of CUG",
    88: "incompatible destination",
    90: "non-existent CUG",
    91: "invalid transit network selection",
    95: "invalid message, unspecified",
    96: "mandatory information element is missing",
    97: "message type non-existent or not implemented",
    98: "message not compatible with call state or message type non-existent",
    99: "information element/parameter non-existent or not implemented",
    100: "invalid information element contents",
    101: "message not compatible with call state",
    102: "recovery on timer expiry",
    103: "parameter non-existent or not implemented, passed on",
    110: "message with unrecognized parameter, discarded",
    111: "protocol error, unspecified",
    127: "interworking, unspecified",
}
"""The names of Q.850 Table 1, by cause value."""


def cause_name(value: int) -> str:
    """The name of a cause value; ``cause N`` where Q.850 gives none."""
    return CAUSE_NAMES.get(value, f"cause {value}")


@dataclass(frozen=True, slots=True)
class CauseIndicators:
    """The cause indicators parameter, Q.763 3.12 and Q.850 2.1.

    Octet 1: extension, coding standard (2 bits), spare, location (4 bits). Octet 1a, the
    recommendation, follows when the extension bit of octet 1 is clear. Octet 2: extension, cause
    value (7 bits). What follows is diagnostics.
    """

    value: int
    location: int = Location.USER
    diagnostics: bytes = b""
    coding_standard: int = 0
    """0 is ITU-T (Q.850 2.2.2)."""
    recommendation: int | None = None
    """The whole of octet 1a where it is present."""
    spare: int = 0
    extended: bool = False
    """The extension bit of octet 2 is clear, which Q.850 gives no meaning to."""

    @property
    def name(self) -> str:
        """The name of the cause value."""
        return cause_name(self.value)

    @classmethod
    def parse(cls, octets: bytes) -> CauseIndicators:
        """Raises :class:`DecodeError` ``isup.parameter`` when an octet is missing."""
        at = 1
        recommendation = None
        if octets and not octets[0] & 0x80:
            recommendation = octets[1] if len(octets) > 1 else None
            at = 2
        if len(octets) <= at:
            raise DecodeError(
                "isup.parameter",
                f"cause indicators end after {len(octets)} octets, before the cause value",
                offset=len(octets),
            )
        return cls(
            value=octets[at] & 0x7F,
            location=octets[0] & 0x0F,
            diagnostics=octets[at + 1 :],
            coding_standard=octets[0] >> 5 & 0x03,
            recommendation=recommendation,
            spare=octets[0] >> 4 & 0x01,
            extended=not octets[at] & 0x80,
        )

    def to_bytes(self) -> bytes:
        """The content of the parameter, without its length."""
        first = self.coding_standard << 5 | self.spare << 4 | self.location
        second = self.value | (0 if self.extended else 0x80)
        if self.recommendation is None:
            return bytes((first | 0x80, second)) + self.diagnostics
        return bytes((first, self.recommendation, second)) + self.diagnostics
