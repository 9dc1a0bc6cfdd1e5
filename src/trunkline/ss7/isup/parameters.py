"""Indicator parameters of basic call (ITU-T Q.763 clause 3), and the door to all typed views.

A view is a frozen dataclass with ``parse(octets)`` and ``to_bytes()``, both of the parameter's
content without its length. Bits that the clause leaves spare, reserved or to national use are kept,
so that ``parse(x).to_bytes() == x`` for everything accepted. Refusals are
:class:`DecodeError` ``isup.parameter``. Codes that a clause leaves spare are plain integers.

Left out: every parameter that basic call does not read or send; the codec keeps their octets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Protocol, Self

from trunkline.errors import DecodeError
from trunkline.ss7.isup.cause import CauseIndicators
from trunkline.ss7.isup.messages import ParameterCode
from trunkline.ss7.isup.number import CalledPartyNumber, CallingPartyNumber, SubsequentNumber

__all__ = [
    "VIEWS",
    "BackwardCallIndicators",
    "CalledPartyStatus",
    "CallingPartysCategory",
    "ContinuityCheck",
    "EventIndicator",
    "EventInformation",
    "ForwardCallIndicators",
    "NatureOfConnectionIndicators",
    "ParameterCompatibility",
    "RangeAndStatus",
    "SuspendResumeIndicators",
    "TransmissionMedium",
    "View",
]


class View(Protocol):
    """What every typed view of a parameter can do."""

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """The parameter in these octets."""
        ...

    def to_bytes(self) -> bytes:
        """The octets of the parameter."""
        ...


def _exactly(octets: bytes, size: int, what: str) -> None:
    if len(octets) != size:
        raise DecodeError(
            "isup.parameter", f"{what} takes {size} octets, has {len(octets)}", offset=len(octets)
        )


class CallingPartysCategory(IntEnum):
    """Calling party's category, Q.763 3.11."""

    UNKNOWN = 0x00
    OPERATOR_FRENCH = 0x01
    OPERATOR_ENGLISH = 0x02
    OPERATOR_GERMAN = 0x03
    OPERATOR_RUSSIAN = 0x04
    OPERATOR_SPANISH = 0x05
    NATIONAL_OPERATOR = 0x09
    ORDINARY = 0x0A
    PRIORITY = 0x0B
    DATA = 0x0C
    TEST = 0x0D
    PAYPHONE = 0x0F


class TransmissionMedium(IntEnum):
    """Transmission medium requirement, Q.763 3.54."""

    SPEECH = 0
    UNRESTRICTED_64K = 2
    AUDIO_3K1 = 3
    PREFERRED_64K = 6
    UNRESTRICTED_2X64K = 7
    UNRESTRICTED_384K = 8
    UNRESTRICTED_1536K = 9
    UNRESTRICTED_1920K = 10


class ContinuityCheck(IntEnum):
    """Continuity check indicator, Q.763 3.35."""

    NOT_REQUIRED = 0
    REQUIRED_ON_THIS_CIRCUIT = 1
    PERFORMED_ON_PREVIOUS_CIRCUIT = 2


@dataclass(frozen=True, slots=True)
class NatureOfConnectionIndicators:
    """Nature of connection indicators, Q.763 3.35: bits BA, DC, E; F to H spare."""

    satellite_circuits: int = 0
    continuity_check: int = ContinuityCheck.NOT_REQUIRED
    echo_control: bool = False
    """An outgoing echo control device is included."""
    spare: int = 0

    @classmethod
    def parse(cls, octets: bytes) -> NatureOfConnectionIndicators:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _exactly(octets, 1, "nature of connection indicators")
        octet = octets[0]
        return cls(octet & 0x03, octet >> 2 & 0x03, bool(octet & 0x10), octet >> 5)

    def to_bytes(self) -> bytes:
        """The content of the parameter."""
        echo = 0x10 if self.echo_control else 0
        return bytes(
            (self.spare << 5 | echo | self.continuity_check << 2 | self.satellite_circuits,)
        )


@dataclass(frozen=True, slots=True)
class ForwardCallIndicators:
    """Forward call indicators, Q.763 3.23: bits A to H, then I to P."""

    international: bool = False
    """Bit A: the call is to be treated as an international call."""
    end_to_end_method: int = 0
    """Bits CB."""
    interworking: bool = False
    """Bit D: interworking encountered."""
    end_to_end_information: bool = False
    """Bit E."""
    isup_all_the_way: bool = True
    """Bit F."""
    isup_preference: int = 0
    """Bits HG: 0 preferred all the way, 1 not required, 2 required all the way."""
    isdn_access: bool = False
    """Bit I: the originating access is ISDN."""
    sccp_method: int = 0
    """Bits KJ."""
    reserved: int = 0
    """Bit L, spare, and bits M to P, national use."""

    @classmethod
    def parse(cls, octets: bytes) -> ForwardCallIndicators:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _exactly(octets, 2, "forward call indicators")
        first, second = octets
        return cls(
            international=bool(first & 0x01),
            end_to_end_method=first >> 1 & 0x03,
            interworking=bool(first & 0x08),
            end_to_end_information=bool(first & 0x10),
            isup_all_the_way=bool(first & 0x20),
            isup_preference=first >> 6,
            isdn_access=bool(second & 0x01),
            sccp_method=second >> 1 & 0x03,
            reserved=second >> 3,
        )

    def to_bytes(self) -> bytes:
        """The content of the parameter."""
        first = (
            self.international
            | self.end_to_end_method << 1
            | self.interworking << 3
            | self.end_to_end_information << 4
            | self.isup_all_the_way << 5
            | self.isup_preference << 6
        )
        return bytes((first, self.isdn_access | self.sccp_method << 1 | self.reserved << 3))


class CalledPartyStatus(IntEnum):
    """Called party's status indicator, Q.763 3.5 bits DC."""

    NO_INDICATION = 0
    SUBSCRIBER_FREE = 1
    CONNECT_WHEN_FREE = 2


@dataclass(frozen=True, slots=True)
class BackwardCallIndicators:
    """Backward call indicators, Q.763 3.5: bits A to H, then I to P."""

    charge: int = 0
    """Bits BA: 0 no indication, 1 no charge, 2 charge."""
    called_status: int = CalledPartyStatus.NO_INDICATION
    """Bits DC."""
    called_category: int = 0
    """Bits FE: 0 no indication, 1 ordinary subscriber, 2 payphone."""
    end_to_end_method: int = 0
    """Bits HG."""
    interworking: bool = False
    """Bit I: interworking encountered."""
    end_to_end_information: bool = False
    """Bit J."""
    isup_all_the_way: bool = True
    """Bit K."""
    holding: bool = False
    """Bit L: holding requested."""
    isdn_access: bool = False
    """Bit M: the terminating access is ISDN."""
    echo_control: bool = False
    """Bit N: an incoming echo control device is included."""
    sccp_method: int = 0
    """Bits PO."""

    @classmethod
    def parse(cls, octets: bytes) -> BackwardCallIndicators:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _exactly(octets, 2, "backward call indicators")
        first, second = octets
        return cls(
            charge=first & 0x03,
            called_status=first >> 2 & 0x03,
            called_category=first >> 4 & 0x03,
            end_to_end_method=first >> 6,
            interworking=bool(second & 0x01),
            end_to_end_information=bool(second & 0x02),
            isup_all_the_way=bool(second & 0x04),
            holding=bool(second & 0x08),
            isdn_access=bool(second & 0x10),
            echo_control=bool(second & 0x20),
            sccp_method=second >> 6,
        )

    def to_bytes(self) -> bytes:
        """The content of the parameter."""
        first = (
            self.charge
            | self.called_status << 2
            | self.called_category << 4
            | self.end_to_end_method << 6
        )
        second = (
            self.interworking
            | self.end_to_end_information << 1
            | self.isup_all_the_way << 2
            | self.holding << 3
            | self.isdn_access << 4
            | self.echo_control << 5
            | self.sccp_method << 6
        )
        return bytes((first, second))


class EventIndicator(IntEnum):
    """Event indicator, Q.763 3.21 bits GFEDCBA."""

    ALERTING = 1
    PROGRESS = 2
    IN_BAND_INFORMATION = 3
    FORWARDED_ON_BUSY = 4
    FORWARDED_ON_NO_REPLY = 5
    FORWARDED_UNCONDITIONALLY = 6


@dataclass(frozen=True, slots=True)
class EventInformation:
    """Event information, Q.763 3.21."""

    event: int
    presentation_restricted: bool = False
    """Bit H."""

    @classmethod
    def parse(cls, octets: bytes) -> EventInformation:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _exactly(octets, 1, "event information")
        return cls(octets[0] & 0x7F, bool(octets[0] & 0x80))

    def to_bytes(self) -> bytes:
        """The content of the parameter."""
        return bytes((self.event | self.presentation_restricted << 7,))


@dataclass(frozen=True, slots=True)
class SuspendResumeIndicators:
    """Suspend/resume indicators, Q.763 3.52: bit A; B to H spare."""

    network_initiated: bool
    spare: int = 0

    @classmethod
    def parse(cls, octets: bytes) -> SuspendResumeIndicators:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        _exactly(octets, 1, "suspend/resume indicators")
        return cls(bool(octets[0] & 0x01), octets[0] >> 1)

    def to_bytes(self) -> bytes:
        """The content of the parameter."""
        return bytes((self.network_initiated | self.spare << 1,))


@dataclass(frozen=True, slots=True)
class RangeAndStatus:
    """Range and status, Q.763 3.43: which circuits after the message's own CIC, and how they are.

    The status field is absent from GRS and CQM, where the range alone is of interest.
    """

    range: int
    """One less than the number of circuits."""
    status: bytes = b""

    @property
    def size(self) -> int:
        """How many circuits the message is about."""
        return self.range + 1

    def marked(self, index: int) -> bool:
        """The status bit of circuit ``cic + index``; ``False`` where the field is too short."""
        octet = index >> 3
        return octet < len(self.status) and bool(self.status[octet] >> (index & 7) & 1)

    @classmethod
    def with_status(cls, bits: list[bool]) -> RangeAndStatus:
        """Range and status for ``len(bits)`` circuits."""
        status = bytearray((len(bits) + 7) // 8)
        for index, bit in enumerate(bits):
            if bit:
                status[index >> 3] |= 1 << (index & 7)
        return cls(len(bits) - 1, bytes(status))

    @classmethod
    def parse(cls, octets: bytes) -> RangeAndStatus:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        if not octets:
            raise DecodeError("isup.parameter", "range and status takes at least 1 octet")
        return cls(octets[0], octets[1:])

    def to_bytes(self) -> bytes:
        """The content of the parameter."""
        return bytes((self.range,)) + self.status


@dataclass(frozen=True, slots=True)
class ParameterCompatibility:
    """Parameter compatibility information, Q.763 3.41: what to do with a parameter not known.

    Each entry is the parameter's name and its instruction indicators, whose first octet counts
    here: A transit interpretation, B release call, C send notification, D discard message,
    E discard parameter, GF pass on not possible, H extension.
    """

    entries: tuple[tuple[int, bytes], ...]

    def instructions(self, code: int) -> int:
        """The first octet of the instructions for a parameter; 0 where there are none."""
        for name, octets in self.entries:
            if name == code:
                return octets[0]
        return 0

    @classmethod
    def parse(cls, octets: bytes) -> ParameterCompatibility:
        """Raises :class:`DecodeError` ``isup.parameter``."""
        entries = []
        at = 0
        while at < len(octets):
            end = at + 1
            while end < len(octets) and not octets[end] & 0x80:
                end += 1
            if end >= len(octets):
                raise DecodeError(
                    "isup.parameter",
                    f"instructions for parameter 0x{octets[at]:02x} do not end",
                    offset=at,
                )
            entries.append((octets[at], octets[at + 1 : end + 1]))
            at = end + 1
        return cls(tuple(entries))

    def to_bytes(self) -> bytes:
        """The content of the parameter."""
        return b"".join(bytes((name,)) + octets for name, octets in self.entries)


VIEWS: Mapping[int, type[View]] = MappingProxyType(
    {
        ParameterCode.CALLED_PARTY_NUMBER: CalledPartyNumber,
        ParameterCode.CALLING_PARTY_NUMBER: CallingPartyNumber,
        ParameterCode.SUBSEQUENT_NUMBER: SubsequentNumber,
        ParameterCode.CAUSE_INDICATORS: CauseIndicators,
        ParameterCode.NATURE_OF_CONNECTION_INDICATORS: NatureOfConnectionIndicators,
        ParameterCode.FORWARD_CALL_INDICATORS: ForwardCallIndicators,
        ParameterCode.BACKWARD_CALL_INDICATORS: BackwardCallIndicators,
        ParameterCode.EVENT_INFORMATION: EventInformation,
        ParameterCode.SUSPEND_RESUME_INDICATORS: SuspendResumeIndicators,
        ParameterCode.RANGE_AND_STATUS: RangeAndStatus,
        ParameterCode.PARAMETER_COMPATIBILITY_INFORMATION: ParameterCompatibility,
    }
)
"""The typed view of each parameter that has one. Category and medium are single octets: their
codes are :class:`CallingPartysCategory` and :class:`TransmissionMedium`."""
