"""TLS for SIP: contexts from files, and whose certificate it is (RFC 5922).

A SIP certificate names a *domain*: the one of the URI that was resolved, not of the host that the
resolution led to. The names are its ``sip:`` URIs without a user part, or, if it has none, its DNS
names (section 7.1); they compare as a whole, wildcards mean nothing (section 7.2). Python's own
check knows wildcards and no URIs, so it is used for WSS alone, which goes by HTTP's rules
(RFC 7118 section 7).

Left out: certificate revocation, per-domain certificates chosen by SNI on the server's side.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from trunkline.errors import TrunklineError

__all__ = ["Certificate", "TlsSettings", "client_context", "identities", "server_context"]


class Certificate(TypedDict, total=False):
    """What is needed of a peer's certificate as ``ssl.SSLSocket.getpeercert`` gives it."""

    subject: tuple[tuple[tuple[str, str], ...], ...]
    subjectAltName: tuple[tuple[str, str], ...]  # the name is ssl's


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Files and rules of one end's TLS."""

    certificate: Path | None = None
    """PEM file: our certificate and what leads to its authority. A server must have one."""
    key: Path | None = None
    """PEM file: its private key; without it, in the certificate's file."""
    authorities: Path | None = None
    """PEM file: whom we trust; without it, the system's authorities."""
    verify_client: Literal["no", "optional", "required"] = "no"
    """Whether a client must show a certificate, and whether one that it shows must be good."""
    verify_server: bool = True
    """Whether a server's certificate must be good and name the domain (RFC 5922 section 7.3)."""


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of a listening socket.

    Raises:
        TrunklineError: ``stream.tls-settings``, a file that is missing or cannot be used.
    """
    if settings.certificate is None:
        raise TrunklineError(
            "stream.tls-settings", "a server of TLS needs a certificate: name its file"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, settings)
    context.verify_mode = {
        "no": ssl.CERT_NONE,
        "optional": ssl.CERT_OPTIONAL,
        "required": ssl.CERT_REQUIRED,
    }[settings.verify_client]
    return context


def client_context(settings: TlsSettings, *, by_host: bool) -> ssl.SSLContext:
    """Return the context of connections that we open; ``by_host``: HTTP's check of the name.

    Raises:
        TrunklineError: ``stream.tls-settings``, a file that is missing or cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = by_host and settings.verify_server
    context.verify_mode = ssl.CERT_REQUIRED if settings.verify_server else ssl.CERT_NONE
    _load(context, settings)
    return context


def _load(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    file = settings.certificate
    try:
        if file is not None:
            context.load_cert_chain(file, settings.key)
        file = settings.authorities
        if file is not None:
            context.load_verify_locations(file)
        else:
            context.load_default_certs()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        also = (
            f" with the key {settings.key}" if settings.key and file != settings.authorities else ""
        )
        raise TrunklineError(
            "stream.tls-settings", f"{file}{also} cannot be used for TLS: {reason}"
        ) from None


def identities(certificate: Certificate) -> frozenset[str]:
    """Return the domains and addresses that a certificate speaks for (RFC 5922 section 7.1)."""
    names = certificate.get("subjectAltName", ())
    addresses = {_address(value) for kind, value in names if kind == "IP Address"}
    domains = {
        domain for kind, value in names if kind == "URI" and (domain := _domain_of_uri(value))
    }
    if not domains:
        domains = {value.lower() for kind, value in names if kind == "DNS"}
    if not names:
        domains = {
            value.lower()
            for part in certificate.get("subject", ())
            for kind, value in part
            if kind == "commonName"
        }
    return frozenset(domains | addresses)


def _domain_of_uri(uri: str) -> str:
    scheme, _, rest = uri.partition(":")
    host = rest.partition(";")[0].partition("?")[0]
    return "" if scheme.lower() != "sip" or "@" in host else host.lower()


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return text
