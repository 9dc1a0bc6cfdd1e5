"""What a registrar may be told, and the reason of each of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from trunkline.errors import TrunklineError
from trunkline.sip.gruu import GruuMaker

__all__ = ["MAX_AOR", "MAX_CALL_ID", "MAX_CONTACT", "REASONS", "Reason", "Settings"]

MAX_CONTACT: Final = 2048
"""Characters of a contact, or of a path vector, that are stored; longer ones are refused."""
MAX_AOR: Final = 255
"""Octets of an address-of-record's key; there is no longer one."""
MAX_CALL_ID: Final = 255
"""Characters of a Call-ID, which is stored with its contacts; a longer one is refused."""


class Reason(Enum):
    """Why a registrar answers as it does."""

    REGISTERED = "registered"
    FETCHED = "fetched"
    MALFORMED = "malformed"
    OTHER_DOMAIN = "other-domain"
    EXTENSION = "extension"
    NOT_AUTHORIZED = "not-authorized"
    NOT_FOUND = "not-found"
    BAD_TO = "bad-to"
    BAD_SEQUENCE = "bad-sequence"
    BAD_CONTACT = "bad-contact"
    BAD_STAR = "bad-star"
    BAD_FLOW = "bad-flow"
    NO_OUTBOUND = "no-outbound"
    PATH = "path"
    GRUU = "gruu"
    TOO_BRIEF = "too-brief"
    TOO_MANY = "too-many"
    OUT_OF_ORDER = "out-of-order"


REASONS: Final = MappingProxyType(
    {
        Reason.REGISTERED: "200: the bindings are as the request asked for",
        Reason.FETCHED: "200: no Contact: the bindings are told and stay as they are",
        Reason.MALFORMED: "400: the message is damaged behind its start line",
        Reason.OTHER_DOMAIN: "404: the Request-URI is of no domain served here; a proxy forwards",
        Reason.EXTENSION: "420: Require has an option tag that is not known here",
        Reason.NOT_AUTHORIZED: "403: the user may not register for this address-of-record",
        Reason.NOT_FOUND: "404: To is no address-of-record of the domain in the Request-URI",
        Reason.BAD_TO: "400: To or the Request-URI cannot be read",
        Reason.BAD_SEQUENCE: "400: Call-ID or CSeq is missing, too long or cannot be read",
        Reason.BAD_CONTACT: "400: a contact cannot be read, or is too long",
        Reason.BAD_STAR: "400: * stands beside another contact, or Expires is not 0",
        Reason.BAD_FLOW: "400: a reg-id that is no number, or beside a second contact",
        Reason.NO_OUTBOUND: "439: a flow is asked for, and the first hop cannot keep one",
        Reason.PATH: "420: a proxy added a Path, and the user agent does not support it",
        Reason.GRUU: "403: with an instance, the contact would lead back to itself, or is not SIP",
        Reason.TOO_BRIEF: "423: a contact would end sooner than is allowed here",
        Reason.TOO_MANY: "403: the address-of-record would have too many contacts",
        Reason.OUT_OF_ORDER: "500: a later request of the same Call-ID was here before",
    }
)
"""Every reason with its status, in words."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Raises :class:`TrunklineError` ``sip.registrar-settings`` for what cannot work."""

    domains: frozenset[str]
    """The domains served, lower case."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names and addresses of a domain: host to domain, lower case."""
    default_expires: int = 3600
    """Seconds that a contact stays which asks for no time."""
    min_expires: int = 60
    """Seconds; who asks for less is answered 423. 3600 at most (section 10.3 step 7)."""
    max_expires: int = 7200
    """Seconds; who asks for more gets these."""
    max_contacts: int = 10
    """Contacts of one address-of-record; a request that would make more is refused whole."""
    extensions: frozenset[str] = frozenset()
    """Option tags in Require that others here take care of."""
    path_unasked: bool = False
    """Accept a Path although the user agent does not support it (RFC 3327 section 5.3)."""
    service_route: tuple[str, ...] = ()
    """Values of Service-Route, the first hop first (RFC 3608 section 6.3)."""
    outbound: bool = True
    """Keep flows (RFC 5626); else a reg-id is passed over."""
    flow_timer: int = 0
    """Seconds of Flow-Timer for flows that end here; 0: none is sent (RFC 5626 section 4.4)."""
    gruu: GruuMaker | None = None
    """Makes GRUUs (RFC 5627); ``None``: none are made."""

    def __post_init__(self) -> None:
        problem = ""
        if not self.domains:
            problem = "domains: name one or more"
        elif unknown := set(self.aliases.values()) - self.domains:
            problem = f"aliases lead to {sorted(unknown)}, which are no domains of this registrar"
        elif not 0 <= self.min_expires <= 3600:
            problem = f"min_expires {self.min_expires} is not in 0-3600"
        elif not max(self.min_expires, 1) <= self.default_expires <= self.max_expires < 1 << 32:
            problem = "min_expires <= default_expires <= max_expires < 2**32 does not hold"
        elif self.max_contacts < 1 or self.flow_timer < 0:
            problem = "max_contacts is 1 or more, flow_timer not negative"
        if problem:
            raise TrunklineError("sip.registrar-settings", problem)

    def domain_of(self, host: str) -> str | None:
        """The domain that a host is, or stands for; ``None``: it is not served here."""
        host = host.rstrip(".")
        host = self.aliases.get(host, host)
        return host if host in self.domains else None
