"""What :class:`~trunkline.ss7.isup.call.Trunks` tells its user.

A call begins with ``setup`` or with :class:`IncomingCall`, and ends with exactly one
:class:`Released` or :class:`CallFailed`.
"""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.ss7.isup.codec import Message

__all__ = [
    "Alerting",
    "Answered",
    "CallFailed",
    "CircuitBlocked",
    "CircuitChanged",
    "Confusion",
    "Discarded",
    "Event",
    "IncomingCall",
    "MaintenanceAlert",
    "MoreDigits",
    "Progress",
    "Released",
    "Resumed",
    "Suspended",
]


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """An IAM seized a circuit. Answer with ``alert``, ``answer`` or ``release``."""

    call_id: int
    opc: int
    cic: int
    called: str
    """The number as text, ``+`` in front of an international one."""
    calling: str
    """As ``called``; empty where the IAM brought none."""
    complete: bool
    """ST was there: no more digits will follow."""
    category: int
    """Calling party's category (``CallingPartysCategory``)."""
    medium: int
    """Transmission medium requirement (``TransmissionMedium``)."""
    message: Message
    """The whole IAM."""


@dataclass(frozen=True, slots=True)
class MoreDigits:
    """A SAM brought more digits of the called number."""

    call_id: int
    digits: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Alerting:
    """ACM: the called number is complete."""

    call_id: int
    subscriber_free: bool
    """The called party is being alerted; else the set-up is only known to have got there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """CPG during set-up or after the answer."""

    call_id: int
    event: int
    """Event indicator (``parameters.EventIndicator``)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """ANM or CON: the called party answered an outgoing call."""

    call_id: int


@dataclass(frozen=True, slots=True)
class Suspended:
    """SUS: the other side hung up for a while, or an interworking point reports it."""

    call_id: int
    network_initiated: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """RES: the end of a suspension."""

    call_id: int
    network_initiated: bool


@dataclass(frozen=True, slots=True)
class Released:
    """The call ended by REL, the peer's or ours.

    Ours was asked for by ``release``, or by the peer where a parameter is not known here.
    """

    call_id: int
    cause: int
    """Q.850 cause value."""
    location: int
    """Q.850 location."""
    by_peer: bool


@dataclass(frozen=True, slots=True)
class CallFailed:
    """This exchange ended the call itself: a timer, a reset, isolation, no circuit."""

    call_id: int
    cause: int
    location: int
    reason: str
    """What happened, in the words of the call table or of the repeat attempt."""


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """An outgoing call is tried again on another circuit (automatic repeat attempt)."""

    call_id: int
    cic: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """CFN: the peer did not understand a message or a parameter. The call goes on."""

    dpc: int
    cic: int
    cause: int
    diagnostics: bytes


@dataclass(frozen=True, slots=True)
class CircuitBlocked:
    """The peer blocked the circuit for calls from here, or no longer does."""

    dpc: int
    cic: int
    blocked: bool


@dataclass(frozen=True, slots=True)
class MaintenanceAlert:
    """The peer does not answer REL or RSC: the circuit is out of service until it does."""

    dpc: int
    cic: int
    reason: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """A message that was not acted on. ``code`` is documented and is what it is counted by."""

    code: str
    detail: str


Event = (
    IncomingCall
    | MoreDigits
    | Alerting
    | Progress
    | Answered
    | Suspended
    | Resumed
    | Released
    | CallFailed
    | CircuitChanged
    | Confusion
    | CircuitBlocked
    | MaintenanceAlert
    | Discarded
)
