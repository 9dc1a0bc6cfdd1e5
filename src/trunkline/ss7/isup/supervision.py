"""Messages whose handling does not depend on the call: Q.764 2.8.2, 2.9.3.2, 2.9.5.3, 2.13.

Blocking by the peer (BLO, UBL and their group forms) is obeyed and acknowledged, a group reset is
acknowledged, a user part test answered. A message type that is unknown here is answered by CFN.

Left out: blocking the peer's circuits, sending GRS, circuit group query (CQM is answered by CFN),
hardware-failure blocking as a reason to release calls, and the message compatibility information
of unknown messages (they are discarded with notification).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trunkline.errors import DecodeError
from trunkline.ss7.isup.cause import CauseIndicators, CauseValue
from trunkline.ss7.isup.circuits import Circuit
from trunkline.ss7.isup.codec import Message, build
from trunkline.ss7.isup.messages import MessageType, ParameterCode
from trunkline.ss7.isup.parameters import ParameterCompatibility, RangeAndStatus

__all__ = [
    "ACKNOWLEDGED_BY",
    "IGNORED",
    "Unknown",
    "circuits_in_range",
    "confusion",
    "group_reply",
    "unknown_parameters",
]

ACKNOWLEDGED_BY: Final[Mapping[int, MessageType]] = {
    MessageType.BLO: MessageType.BLA,
    MessageType.UBL: MessageType.UBA,
    MessageType.CGB: MessageType.CGBA,
    MessageType.CGU: MessageType.CGUA,
    MessageType.GRS: MessageType.GRA,
    MessageType.UPT: MessageType.UPA,
}

IGNORED: Final = frozenset(
    {
        # Acknowledgements of what this room never sends.
        *(MessageType.BLA, MessageType.UBA, MessageType.CGBA, MessageType.CGUA),
        *(MessageType.GRA, MessageType.UPA, MessageType.LPA, MessageType.CQR),
        *(MessageType.FAA, MessageType.FRJ, MessageType.INF),
        # Information that basic call has no use for.
        *(MessageType.COT, MessageType.FOT, MessageType.UCIC, MessageType.OLM, MessageType.CRG),
    }
)
"""Types that are known and need no answer."""

_KNOWN_PARAMETERS: Final = frozenset(int(code) for code in ParameterCode)
_RELEASE_CALL: Final = 0x02  # Q.763 3.41: bit B
_SEND_NOTIFICATION: Final = 0x04  # bit C
_DISCARD_MESSAGE: Final = 0x08  # bit D
_GRS_MAX_RANGE: Final = 31  # Q.763 3.43 a: 1 to 31 for GRS and GRA
_MAX_MARKED: Final = 32  # Q.763 3.43 b: at most 32 status bits may be set


@dataclass(frozen=True, slots=True)
class Unknown:
    """What the sender asks for where a parameter is not known here (Q.764 2.9.5.3.2)."""

    release: bytes = b""
    """The names that the call is to be released for."""
    discard: bool = False
    notify: bytes = b""
    """The names to report by CFN."""


def unknown_parameters(message: Message) -> Unknown | None:
    """The instructions for the unknown parameters of a message; ``None`` if all are known.

    Without instructions the parameter is ignored: this exchange is the last of the call.
    """
    names = [p.code for p in message.optional if p.code not in _KNOWN_PARAMETERS]
    if not names:
        return None
    content = message.get(ParameterCode.PARAMETER_COMPATIBILITY_INFORMATION)
    try:
        compatibility = ParameterCompatibility.parse(content or b"")
    except DecodeError:  # instructions that cannot be read are none
        return None
    asked = {name: compatibility.instructions(name) for name in names}
    return Unknown(
        release=bytes(name for name, octet in asked.items() if octet & _RELEASE_CALL),
        discard=any(octet & _DISCARD_MESSAGE for octet in asked.values()),
        notify=bytes(name for name, octet in asked.items() if octet & _SEND_NOTIFICATION),
    )


def confusion(cic: int, value: CauseValue, diagnostics: bytes, location: int) -> Message:
    """A CFN: ``diagnostics`` is the message type or the parameter names not understood."""
    cause = CauseIndicators(value, location, diagnostics)
    return build(MessageType.CFN, cic, [cause.to_bytes()])


def circuits_in_range(
    message: Message, circuits: Mapping[int, Circuit]
) -> tuple[RangeAndStatus, list[Circuit]]:
    """The circuits that a group message is about.

    Raises :class:`DecodeError` ``isup.range`` when the range is not allowed or a circuit in it
    is not equipped: the message is then discarded as a whole (2.9.3.3).
    """
    field = RangeAndStatus.parse(message.get(ParameterCode.RANGE_AND_STATUS) or b"")
    is_reset = message.type == MessageType.GRS
    marked = sum(field.marked(index) for index in range(field.size))
    if field.range == 0 or (is_reset and field.range > _GRS_MAX_RANGE) or marked > _MAX_MARKED:
        raise DecodeError(
            "isup.range",
            f"{message.type_name} for {field.size} circuits, {marked} marked: a range is 2 to "
            f"{_GRS_MAX_RANGE + 1 if is_reset else 256} circuits, {_MAX_MARKED} marked at most",
        )
    chosen = []
    for index in range(field.size):
        if is_reset or field.marked(index):
            circuit = circuits.get(message.cic + index)
            if circuit is None:
                raise DecodeError(
                    "isup.range",
                    f"{message.type_name} names circuit {message.cic + index}, not equipped here",
                )
            chosen.append(circuit)
    return field, chosen


def group_reply(message: Message, field: RangeAndStatus) -> Message:
    """The acknowledgement of CGB, CGU (what they said) or GRS (no circuit is blocked here)."""
    reply = ACKNOWLEDGED_BY[message.type]
    if message.type == MessageType.GRS:
        field = RangeAndStatus.with_status([False] * field.size)
        return build(reply, message.cic, [field.to_bytes()])
    supervision = message.get(ParameterCode.CIRCUIT_GROUP_SUPERVISION_MESSAGE_TYPE) or b"\x00"
    return build(reply, message.cic, [supervision, field.to_bytes()])
