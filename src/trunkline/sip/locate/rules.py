"""What a node can do and how far it goes to locate a server: settings, with their bounds."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.errors import TrunklineError
from trunkline.sip.locate.records import RecordType
from trunkline.sip.transport import Transport

__all__ = ["FAMILIES", "Rules"]

FAMILIES = {4: RecordType.A, 6: RecordType.AAAA}
"""The version of IP to the type of record that has its addresses."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings of RFC 3263. Durations are seconds."""

    transports: tuple[Transport, ...] = (Transport.UDP, Transport.TCP, Transport.TLS)
    """What we can send by; the first is preferred where the choice is ours (section 4.1)."""
    families: tuple[int, ...] = (6, 4)
    """The versions of IP that we can send by. Both are asked for, and the addresses of the first
    are tried first (RFC 7984 section 3)."""
    patience: float = 0.3
    """As soon as an address of a server of the best priority is known, how long those that are
    still out are waited for. One with a dead name server does not hold up what goes to the others.
    """
    naptr_limit: int = 16
    """NAPTR records that are used of one answer; those that come last are left out, and the record
    says so."""
    server_limit: int = 64
    """Servers that are looked up for one target. Of more, the best priorities are taken, and of the
    priority that does not fit whole a drawn part: another one each time they are asked for."""
    address_limit: int = 16
    """Addresses of one name that are used; those beyond are left out, and the record says so."""

    penalty: float = 30.0
    """How long a server that failed is tried last."""
    penalty_limit: float = 300.0
    """The longest such time: it doubles with every trial that fails, and a 503 may name it."""
    trial: float = 40.0
    """After the penalty one request is let through. When its failure is not reported in this
    time, which is longer than timers B and F (RFC 3261 section 17.1), the server is well."""
    penalised_limit: int = 4096
    """Servers under a penalty; for one more, the one marked first is forgotten, and counted."""

    min_ttl: float = 0.0
    """Answers are kept at least so long, whatever their TTL."""
    max_ttl: float = 86_400.0
    """Answers are kept at most so long."""
    max_negative_ttl: float = 900.0
    """That a name or record does not exist is believed at most so long (RFC 2308 section 5)."""
    failure_ttl: float = 5.0
    """A question that nobody answered is not asked again for so long (RFC 2308 section 7: at most
    five minutes)."""
    cache_limit: int = 16_384
    """Answers in the cache; for one more the oldest is dropped, and counted. One of many records
    takes the place of as many as four records each."""
    plan_limit: int = 8192
    """Targets whose whole decision is kept; when full they are forgotten, and counted. One that
    took many records takes the place of as many as sixteen records each."""

    def __post_init__(self) -> None:
        if not self.transports:
            raise TrunklineError("locate.rules", "transports: name at least one, such as UDP")
        if not self.families or not set(self.families) <= FAMILIES.keys():
            raise TrunklineError(
                "locate.rules", f"families: {self.families!r}; give 4, 6 or both, first one first"
            )
        for name in (
            "naptr_limit",
            "server_limit",
            "address_limit",
            "penalised_limit",
            "cache_limit",
        ):
            if getattr(self, name) < 1:
                raise TrunklineError("locate.rules", f"{name}: {getattr(self, name)}; 1 or more")
        if self.min_ttl > self.max_ttl:
            raise TrunklineError(
                "locate.rules", f"min_ttl {self.min_ttl} is above max_ttl {self.max_ttl}"
            )
