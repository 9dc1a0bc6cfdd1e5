"""Which name servers are asked, and where each was named: settings, or a resolv.conf.

Of a resolv.conf count ``nameserver`` and, of ``options``, ``timeout`` and ``attempts``, as in
resolv.conf(5). ``search``, ``domain`` and ``ndots`` do not: a domain in a SIP URI is complete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from trunkline.errors import TrunklineError

__all__ = ["DNS_PORT", "NameServer", "ResolvConf", "parse_server", "read_resolv_conf"]

DNS_PORT = 53

_LIMIT = 16
"""Name servers that are taken of one file; the C library takes three."""
_BRACKETED = re.compile(r"\[([^\]]+)\](?::(\d{1,5}))?\Z")
_PLAIN = re.compile(r"([0-9.]+)(?::(\d{1,5}))?\Z")


class NameServer(NamedTuple):
    """A name server, and where it was named."""

    host: str
    """An IP literal without brackets; of a link-local IPv6 address with its zone."""
    port: int
    source: str
    """As ``/etc/resolv.conf:3``."""

    @property
    def loopback(self) -> bool:
        """Whether it is this machine itself."""
        return ip_address(self.host.partition("%")[0]).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class ResolvConf(NamedTuple):
    """What a resolv.conf says."""

    servers: tuple[NameServer, ...]
    timeout: float | None
    """Seconds, if it says so."""
    attempts: int | None


def parse_server(text: str, source: str) -> NameServer:
    """``text`` as a name server: ``192.0.2.53``, ``192.0.2.53:5353``, ``[2001:db8::53]:5353``.

    Raises:
        TrunklineError: ``dns.server``.
    """
    found = _BRACKETED.match(text) or _PLAIN.match(text)
    host, port = (found[1], int(found[2] or DNS_PORT)) if found else (text, DNS_PORT)
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise TrunklineError(
            "dns.server",
            f"{source}: {text!r} is no name server: give an IP address, with a port if it is not "
            "53, as 192.0.2.53:5353 or [2001:db8::53]:5353",
        )
    return NameServer(host, port, source)


def read_resolv_conf(path: Path) -> ResolvConf:
    """What ``path`` says; lines that make no sense are passed over, as the C library does.

    Where it names no server, or cannot be read, that is 127.0.0.1: as in resolv.conf(5).
    """
    servers: list[NameServer] = []
    timeout: float | None = None
    attempts: int | None = None
    missing = f"not named by {path}: the default"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        text, missing = "", f"{path} cannot be read ({problem.strerror}): the default"
    for number, line in enumerate(text.splitlines(), 1):
        words = re.split(r"[#;]", line, maxsplit=1)[0].split()
        if words[:1] == ["nameserver"] and len(words) > 1 and len(servers) < _LIMIT:
            try:
                servers.append(parse_server(f"[{words[1]}]", f"{path}:{number}"))
            except TrunklineError:
                continue
        elif words[:1] == ["options"]:
            for word in words[1:]:
                name, _, value = word.partition(":")
                if value.isascii() and value.isdigit():
                    # The bounds are those of the C library: RES_MAXRETRANS and RES_MAXRETRY.
                    if name == "timeout":
                        timeout = float(min(max(int(value), 1), 30))
                    elif name == "attempts":
                        attempts = min(max(int(value), 1), 5)
    return ResolvConf(
        tuple(servers) or (NameServer("127.0.0.1", DNS_PORT, missing),), timeout, attempts
    )


@dataclass(slots=True)
class ServerState:
    """How one server does."""

    server: NameServer
    down_until: float = 0.0
    """It gave no sign of life: until then it is asked last."""
    heard: float = float("-inf")
    """When it last gave a sign of life."""
    plain: bool = False
    """It does not take EDNS (RFC 6891 section 7)."""
    sent: int = 0
    """Queries sent to it, over UDP or TCP."""
    answered: int = 0
    """Answers from it that could be used, negative ones included."""
    silent: int = 0
    """Queries without an answer in time, or that could not be sent."""
    refused: int = 0
    """Answers that were none: SERVFAIL, REFUSED, a lame delegation and the like."""
