"""ISUP message types, parameter names and message layouts (ITU-T Q.763 12/1999).

The names and codes are those of Q.763 Table 4 (message types) and Table 5 (parameters). A
:class:`Layout` is the part of a message's own table (Q.763 clause 4) that its octets depend on:
the mandatory parameters of fixed length with their lengths, the mandatory parameters of variable
length, and whether there is an optional part. Which optional parameters a message may carry is not
enforced: whatever stands there is kept.

Left out: the layouts of Pass-along (its content is another message) and Charge information (a
national matter); both are kept raw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

__all__ = ["LAYOUTS", "Layout", "MessageType", "ParameterCode"]


class MessageType(IntEnum):
    """Message type codes, Q.763 Table 4. The member is the acronym of Q.762."""

    IAM = 0x01
    SAM = 0x02
    INR = 0x03
    INF = 0x04
    COT = 0x05
    ACM = 0x06
    CON = 0x07
    FOT = 0x08
    ANM = 0x09
    REL = 0x0C
    SUS = 0x0D
    RES = 0x0E
    RLC = 0x10
    CCR = 0x11
    RSC = 0x12
    BLO = 0x13
    UBL = 0x14
    BLA = 0x15
    UBA = 0x16
    GRS = 0x17
    CGB = 0x18
    CGU = 0x19
    CGBA = 0x1A
    CGUA = 0x1B
    FAR = 0x1F
    FAA = 0x20
    FRJ = 0x21
    LPA = 0x24
    PAM = 0x28
    GRA = 0x29
    CQM = 0x2A
    CQR = 0x2B
    CPG = 0x2C
    USR = 0x2D
    UCIC = 0x2E
    CFN = 0x2F
    OLM = 0x30
    CRG = 0x31
    NRM = 0x32
    FAC = 0x33
    UPT = 0x34
    UPA = 0x35
    IDR = 0x36
    IRS = 0x37
    SGM = 0x38
    LOP = 0x40
    APM = 0x41
    PRI = 0x42
    SDN = 0x43


class ParameterCode(IntEnum):
    """Parameter name codes, Q.763 Table 5."""

    END_OF_OPTIONAL_PARAMETERS = 0x00
    CALL_REFERENCE = 0x01
    TRANSMISSION_MEDIUM_REQUIREMENT = 0x02
    ACCESS_TRANSPORT = 0x03
    CALLED_PARTY_NUMBER = 0x04
    SUBSEQUENT_NUMBER = 0x05
    NATURE_OF_CONNECTION_INDICATORS = 0x06
    FORWARD_CALL_INDICATORS = 0x07
    OPTIONAL_FORWARD_CALL_INDICATORS = 0x08
    CALLING_PARTYS_CATEGORY = 0x09
    CALLING_PARTY_NUMBER = 0x0A
    REDIRECTING_NUMBER = 0x0B
    REDIRECTION_NUMBER = 0x0C
    CONNECTION_REQUEST = 0x0D
    INFORMATION_REQUEST_INDICATORS = 0x0E
    INFORMATION_INDICATORS = 0x0F
    CONTINUITY_INDICATORS = 0x10
    BACKWARD_CALL_INDICATORS = 0x11
    CAUSE_INDICATORS = 0x12
    REDIRECTION_INFORMATION = 0x13
    CIRCUIT_GROUP_SUPERVISION_MESSAGE_TYPE = 0x15
    RANGE_AND_STATUS = 0x16
    FACILITY_INDICATOR = 0x18
    CLOSED_USER_GROUP_INTERLOCK_CODE = 0x1A
    USER_SERVICE_INFORMATION = 0x1D
    SIGNALLING_POINT_CODE = 0x1E
    USER_TO_USER_INFORMATION = 0x20
    CONNECTED_NUMBER = 0x21
    SUSPEND_RESUME_INDICATORS = 0x22
    TRANSIT_NETWORK_SELECTION = 0x23
    EVENT_INFORMATION = 0x24
    CIRCUIT_ASSIGNMENT_MAP = 0x25
    CIRCUIT_STATE_INDICATOR = 0x26
    AUTOMATIC_CONGESTION_LEVEL = 0x27
    ORIGINAL_CALLED_NUMBER = 0x28
    OPTIONAL_BACKWARD_CALL_INDICATORS = 0x29
    USER_TO_USER_INDICATORS = 0x2A
    ORIGINATION_ISC_POINT_CODE = 0x2B
    GENERIC_NOTIFICATION_INDICATOR = 0x2C
    CALL_HISTORY_INFORMATION = 0x2D
    ACCESS_DELIVERY_INFORMATION = 0x2E
    NETWORK_SPECIFIC_FACILITY = 0x2F
    USER_SERVICE_INFORMATION_PRIME = 0x30
    PROPAGATION_DELAY_COUNTER = 0x31
    REMOTE_OPERATIONS = 0x32
    SERVICE_ACTIVATION = 0x33
    USER_TELESERVICE_INFORMATION = 0x34
    TRANSMISSION_MEDIUM_USED = 0x35
    CALL_DIVERSION_INFORMATION = 0x36
    ECHO_CONTROL_INFORMATION = 0x37
    MESSAGE_COMPATIBILITY_INFORMATION = 0x38
    PARAMETER_COMPATIBILITY_INFORMATION = 0x39
    MLPP_PRECEDENCE = 0x3A
    MCID_REQUEST_INDICATORS = 0x3B
    MCID_RESPONSE_INDICATORS = 0x3C
    HOP_COUNTER = 0x3D
    TRANSMISSION_MEDIUM_REQUIREMENT_PRIME = 0x3E
    LOCATION_NUMBER = 0x3F
    REDIRECTION_NUMBER_RESTRICTION = 0x40
    CALL_TRANSFER_REFERENCE = 0x43
    LOOP_PREVENTION_INDICATORS = 0x44
    CALL_TRANSFER_NUMBER = 0x45
    CCSS = 0x4B
    FORWARD_GVNS = 0x4C
    BACKWARD_GVNS = 0x4D
    REDIRECT_CAPABILITY = 0x4E
    NETWORK_MANAGEMENT_CONTROLS = 0x5B
    CORRELATION_ID = 0x65
    SCF_ID = 0x66
    CALL_DIVERSION_TREATMENT_INDICATORS = 0x6E
    CALLED_IN_NUMBER = 0x6F
    CALL_OFFERING_TREATMENT_INDICATORS = 0x70
    CHARGED_PARTY_IDENTIFICATION = 0x71
    CONFERENCE_TREATMENT_INDICATORS = 0x72
    DISPLAY_INFORMATION = 0x73
    UID_ACTION_INDICATORS = 0x74
    UID_CAPABILITY_INDICATORS = 0x75
    REDIRECT_COUNTER = 0x77
    APPLICATION_TRANSPORT = 0x78
    COLLECT_CALL_REQUEST = 0x79
    CCNR_POSSIBLE_INDICATOR = 0x7A
    PIVOT_CAPABILITY = 0x7B
    PIVOT_ROUTING_INDICATORS = 0x7C
    CALLED_DIRECTORY_NUMBER = 0x7D
    ORIGINAL_CALLED_IN_NUMBER = 0x7F
    CALLING_GEODETIC_LOCATION = 0x81
    HTR_INFORMATION = 0x82
    NETWORK_ROUTING_NUMBER = 0x84
    QUERY_ON_RELEASE_CAPABILITY = 0x85
    PIVOT_STATUS = 0x86
    PIVOT_COUNTER = 0x87
    PIVOT_ROUTING_FORWARD_INFORMATION = 0x88
    PIVOT_ROUTING_BACKWARD_INFORMATION = 0x89
    REDIRECT_STATUS = 0x8A
    REDIRECT_FORWARD_INFORMATION = 0x8B
    REDIRECT_BACKWARD_INFORMATION = 0x8C
    NUMBER_PORTABILITY_FORWARD_INFORMATION = 0x8D
    GENERIC_NUMBER = 0xC0
    GENERIC_DIGITS = 0xC1


@dataclass(frozen=True, slots=True)
class Layout:
    """How the octets after the message type are divided (Q.763 1.5 to 1.9)."""

    fixed: tuple[tuple[ParameterCode, int], ...] = ()
    """Mandatory fixed part: (parameter, length in octets), without pointers."""
    variable: tuple[ParameterCode, ...] = ()
    """Mandatory variable part: one pointer and one length indicator each."""
    optional: bool = False
    """Whether one more pointer, to the start of the optional part, is there."""


_M = MessageType
_P = ParameterCode
_BCI = (_P.BACKWARD_CALL_INDICATORS, 2)
_SUSPEND = Layout(fixed=((_P.SUSPEND_RESUME_INDICATORS, 1),), optional=True)
_FACILITY = Layout(fixed=((_P.FACILITY_INDICATOR, 1),), optional=True)
_CAUSE = Layout(variable=(_P.CAUSE_INDICATORS,), optional=True)
_SUPERVISION = Layout(
    fixed=((_P.CIRCUIT_GROUP_SUPERVISION_MESSAGE_TYPE, 1),), variable=(_P.RANGE_AND_STATUS,)
)
_RANGE = Layout(variable=(_P.RANGE_AND_STATUS,))
_OPTIONAL_ONLY = Layout(optional=True)
_TYPE_ONLY = Layout()

LAYOUTS: Mapping[int, Layout] = MappingProxyType(
    {
        _M.IAM: Layout(  # Table 32
            fixed=(
                (_P.NATURE_OF_CONNECTION_INDICATORS, 1),
                (_P.FORWARD_CALL_INDICATORS, 2),
                (_P.CALLING_PARTYS_CATEGORY, 1),
                (_P.TRANSMISSION_MEDIUM_REQUIREMENT, 1),
            ),
            variable=(_P.CALLED_PARTY_NUMBER,),
            optional=True,
        ),
        _M.SAM: Layout(variable=(_P.SUBSEQUENT_NUMBER,), optional=True),
        _M.INR: Layout(fixed=((_P.INFORMATION_REQUEST_INDICATORS, 2),), optional=True),
        _M.INF: Layout(fixed=((_P.INFORMATION_INDICATORS, 2),), optional=True),
        _M.COT: Layout(fixed=((_P.CONTINUITY_INDICATORS, 1),)),
        _M.ACM: Layout(fixed=(_BCI,), optional=True),
        _M.CON: Layout(fixed=(_BCI,), optional=True),
        _M.FOT: _OPTIONAL_ONLY,
        _M.ANM: _OPTIONAL_ONLY,
        _M.REL: _CAUSE,
        _M.SUS: _SUSPEND,
        _M.RES: _SUSPEND,
        _M.RLC: _OPTIONAL_ONLY,
        _M.CCR: _TYPE_ONLY,
        _M.RSC: _TYPE_ONLY,
        _M.BLO: _TYPE_ONLY,
        _M.UBL: _TYPE_ONLY,
        _M.BLA: _TYPE_ONLY,
        _M.UBA: _TYPE_ONLY,
        _M.GRS: _RANGE,
        _M.CGB: _SUPERVISION,
        _M.CGU: _SUPERVISION,
        _M.CGBA: _SUPERVISION,
        _M.CGUA: _SUPERVISION,
        _M.FAR: _FACILITY,
        _M.FAA: _FACILITY,
        _M.FRJ: Layout(
            fixed=((_P.FACILITY_INDICATOR, 1),), variable=(_P.CAUSE_INDICATORS,), optional=True
        ),
        _M.LPA: _TYPE_ONLY,
        _M.GRA: _RANGE,
        _M.CQM: _RANGE,
        _M.CQR: Layout(variable=(_P.RANGE_AND_STATUS, _P.CIRCUIT_STATE_INDICATOR)),
        _M.CPG: Layout(fixed=((_P.EVENT_INFORMATION, 1),), optional=True),
        _M.USR: Layout(variable=(_P.USER_TO_USER_INFORMATION,), optional=True),
        _M.UCIC: _TYPE_ONLY,
        _M.CFN: _CAUSE,
        _M.OLM: _TYPE_ONLY,
        _M.NRM: _OPTIONAL_ONLY,
        _M.FAC: _OPTIONAL_ONLY,
        _M.UPT: _OPTIONAL_ONLY,
        _M.UPA: _OPTIONAL_ONLY,
        _M.IDR: _OPTIONAL_ONLY,
        _M.IRS: _OPTIONAL_ONLY,
        _M.SGM: _OPTIONAL_ONLY,
        _M.LOP: _OPTIONAL_ONLY,
        _M.APM: _OPTIONAL_ONLY,
        _M.PRI: _OPTIONAL_ONLY,
        _M.SDN: _OPTIONAL_ONLY,
    }
)
