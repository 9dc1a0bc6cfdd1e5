"""What a link tells MTP3: the indications of Q.703 and RFC 4165, section 4.2.

An element of a list that ``Link.receive`` returns is either ``bytes``, an MSU, or one of these.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CongestionAbated",
    "CongestionOnset",
    "Discarded",
    "Event",
    "InService",
    "OutOfService",
    "RemoteProcessorOutage",
    "RemoteProcessorRecovered",
]


@dataclass(frozen=True, slots=True)
class InService:
    """The link carries traffic from now on (RFC 4165 figure 12)."""


@dataclass(frozen=True, slots=True)
class OutOfService:
    """The link carries no traffic; ``reason`` says why. Its buffers wait for retrieval."""

    reason: str


@dataclass(frozen=True, slots=True)
class RemoteProcessorOutage:
    """The far level 3 cannot take messages (RFC 4165 4.1.4)."""


@dataclass(frozen=True, slots=True)
class RemoteProcessorRecovered:
    """The far level 3 is back (RFC 4165 figure 15, "Remote Processor Outage Ceases")."""


@dataclass(frozen=True, slots=True)
class CongestionOnset:
    """The transmission backlog reached ``level`` (RFC 4165 4.2.2, figure 19)."""

    level: int


@dataclass(frozen=True, slots=True)
class CongestionAbated:
    """The transmission backlog fell; ``level`` is the one that remains, 0 for none."""

    level: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """Input refused and counted: ``code`` is an ``M2paError``, ``detail`` says what and why."""

    code: str
    detail: str


Event = (
    InService
    | OutOfService
    | RemoteProcessorOutage
    | RemoteProcessorRecovered
    | CongestionOnset
    | CongestionAbated
    | Discarded
)
