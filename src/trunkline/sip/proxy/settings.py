"""What a proxy does where the RFCs leave it a choice."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.sip.transport import LARGEST_DATAGRAM
from trunkline.sip.validity import SCHEMES

__all__ = ["ProxySettings"]


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Sections are RFC 3261's where no other is named."""

    record_route: bool = True
    """Whether it stays in the path of dialogs; it does where SIPS meets SIP all the same (16.6)."""
    max_forwards: int = 70
    max_breadth: int = 60
    """The most branches of one request at a time, whatever it asks for (RFC 5393 section 5.3.3)."""
    largest_datagram: int = LARGEST_DATAGRAM
    """Octets beyond which a request goes by TCP (section 18.1.1)."""
    supported: frozenset[str] = frozenset()
    """Option tags that are understood in Proxy-Require, in lower case."""
    schemes: frozenset[str] = SCHEMES
    """Schemes of a Request-URI that are understood; of others, 416 (section 16.3 step 2)."""
