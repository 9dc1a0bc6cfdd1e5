"""TARGET: what of a URI, or of a Via, decides where a message goes (RFC 3263 sections 4 and 5)."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from trunkline.errors import DecodeError
from trunkline.sip.host import bracketed, parse_host
from trunkline.sip.locate.records import as_name
from trunkline.sip.transport import Transport
from trunkline.sip.uri import Uri

__all__ = ["NAPTR_SERVICES", "Target", "srv_name"]

NAPTR_SERVICES = MappingProxyType(
    {
        # RFC 3263 section 9. SIP+D2S is SCTP, which we do not have; SIPS+D2U is not possible (4.1).
        "SIP+D2U": Transport.UDP,
        "SIP+D2T": Transport.TCP,
        "SIPS+D2T": Transport.TLS,
        # RFC 7118 section 10.2
        "SIP+D2W": Transport.WS,
        "SIPS+D2W": Transport.WSS,
    }
)
"""The service field of a NAPTR record, in capitals, to the transport it stands for."""

_SRV_LABELS = {
    Transport.UDP: "_sip._udp",
    Transport.TCP: "_sip._tcp",
    Transport.TLS: "_sips._tcp",
    # RFC 7118 names no SRV service: by 3263 section 4.2 with the transport's token.
    Transport.WS: "_sip._ws",
    Transport.WSS: "_sips._ws",
}


def srv_name(transport: Transport, domain: str) -> str:
    """The name whose SRV records tell of ``transport`` at ``domain`` (RFC 3263 section 4.2)."""
    return f"{_SRV_LABELS[transport]}.{domain}"


class Target(NamedTuple):
    """What is to be located."""

    host: str
    """A domain in lower case without the dot at the end, or an IP literal without brackets."""
    port: int | None
    transport: str | None
    """As the parameter ``transport`` names it, in lower case."""
    secure: bool
    """Whether it was a SIPS URI."""
    version: int | None
    """4 or 6 of an IP literal, None of a domain."""
    origin: str
    """Where ``host`` was taken from: ``"host"``, ``"maddr"`` or ``"sent-by"``."""

    @classmethod
    def of(cls, uri: Uri) -> Target:
        """The TARGET of a URI: its maddr parameter if present, otherwise its host (section 4)."""
        maddr = uri.maddr
        host, version = _host(maddr or uri.host)
        return cls(
            host,
            uri.port,
            uri.transport,
            uri.scheme == "sips",
            version,
            "maddr" if maddr else "host",
        )

    @classmethod
    def sent_by(cls, transport: str, host: str, port: int | None) -> Target:
        """Where a response goes when its way back is broken: by the topmost Via (section 5).

        The arguments are its transport and its sent-by, as written.
        """
        name, version = _host(host)
        return cls(name, port, transport.lower(), False, version, "sent-by")

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.version == 6 else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{host}{port}"


def _host(text: str) -> tuple[str, int | None]:
    try:
        host, address = parse_host(bracketed(text))
    except DecodeError:
        return as_name(text), None  # DNS will say that there is no such name
    return (as_name(host), None) if address is None else (str(address), address.version)
