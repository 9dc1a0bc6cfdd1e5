"""The host of a URI, a Via and a Warning: a name or an IP literal.

RFC 3261 section 25.1, with the IPv6address of RFC 5954 section 4.1 (RFC 3986 section 3.2.2). The
older one let three colons pass in front of an IPv4 part: they are tolerated and read as two (RFC
5118 section 4.10). More is accepted than the grammar's hostname: underscores, and names that begin
with a digit, as container networks give them; the last label must still not be all digits, or it
could not be told from an address.

Left out: internationalised names, which arrive here as A-labels (section 19.1.2: no escapes).
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TypeAlias

from trunkline.errors import DecodeError

__all__ = ["HOST", "IPAddress", "bracketed", "parse_host", "parse_port"]

IPAddress: TypeAlias = "IPv4Address | IPv6Address"

HOST = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.\-]{1,255}"
"""What to look for in a longer text; :func:`parse_host` decides. 255: RFC 1035 section 2.3.4."""

# hostname    =  *( domainlabel "." ) toplabel [ "." ]
# domainlabel =  alphanum / alphanum *( alphanum / "-" ) alphanum
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?"
_HOSTNAME = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\.?\Z){_LABEL}\.?\Z")

# IPv4address =  1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT "." 1*3DIGIT
_IPV4ADDRESS = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\Z")


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[str, IPAddress | None]:
    if text.startswith("["):
        inner = text[1:-1].lower()
        if "." in inner:
            inner = inner.replace(":::", "::")
        try:
            address = IPv6Address(inner)
        except AddressValueError as problem:
            raise DecodeError(
                "sip.uri.host", f"{text} is no IPv6 address: {problem}; write it as [2001:db8::1]"
            ) from None
        return inner, address
    if octets := _IPV4ADDRESS.match(text):
        numbers = [int(octet) for octet in octets.groups()]  # decimal, whatever zeros lead
        if max(numbers) > 255:
            raise DecodeError("sip.uri.host", f"{text} is no IPv4 address: 255 is the highest")
        return text, IPv4Address(bytes(numbers))
    if _HOSTNAME.match(text) is None:
        raise DecodeError(
            "sip.uri.host",
            f"{text!r} is no host: a domain name, an IPv4 address or an IPv6 address in brackets",
        )
    return text.lower(), None


def parse_host(text: str) -> tuple[str, IPAddress | None]:
    """The host in lower case, an IPv6 address without its brackets, and the address if it is one.

    Raises:
        DecodeError: ``sip.uri.host``.
    """
    if len(text) > 255:  # not worth remembering, nor showing
        raise DecodeError("sip.uri.host", f"a host of {len(text)} characters; 255 is the limit")
    return _parse(text)


def parse_port(text: str) -> int:
    """``port = 1*DIGIT``, of what TCP and UDP can address.

    Raises:
        DecodeError: ``sip.uri.port``.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or (port := int(text)) > 65535:
        raise DecodeError("sip.uri.port", f"{text[:20]!r} is no port: give 0 to 65535")
    return port


def bracketed(host: str) -> str:
    """``host`` as it is written in front of a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
