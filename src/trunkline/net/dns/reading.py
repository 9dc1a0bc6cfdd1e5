"""What a response says: dnspython's messages to our records, and the end of its aliases."""

from __future__ import annotations

from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from trunkline.sip.locate.records import Naptr, Outcome, Record, Srv, as_name

__all__ = ["Reading", "no_use", "read", "records_of"]

_NEGATIVE_TTL = 5.0
"""Seconds for a negative answer without the SOA that would tell. RFC 2308 section 5 would not keep
it, lest it go round between servers for ever; here is an end of the line, and some forwarders never
send one."""
_MOST_RECORDS = 256
"""Records that are kept of one answer; no more are ever used (`trunkline.sip.locate.Rules`)."""


class Reading(NamedTuple):
    """What one response says."""

    outcome: Outcome | None
    """None: it says only that ``name`` has to be asked for."""
    records: tuple[Record, ...]
    ttl: float
    """Seconds, the least of all that it says."""
    aliases: tuple[str, ...]
    """The names that CNAME records led through."""
    name: dns.name.Name
    """Where they ended."""
    circular: bool
    """Whether they do not end, or contradict the rest."""


def read(response: dns.message.QueryMessage) -> Reading:
    """What ``response`` says. It is one to a question of one of our types; see :func:`no_use`."""
    asked = response.question[0].name
    try:
        chained = response.resolve_chaining()
    except dns.exception.DNSException:
        return Reading(None, (), 0.0, (), asked, True)
    aliases = tuple(as_name(rrset[0].target.to_text()) for rrset in chained.cnames)
    name, ttl = chained.canonical_name, float(chained.minimum_ttl)
    if chained.answer is not None:
        return Reading(Outcome.FOUND, records_of(chained.answer), ttl, aliases, name, False)
    gone = response.rcode() == dns.rcode.NXDOMAIN
    negative = _has_soa(response)
    if aliases and not gone and not negative:
        return Reading(None, (), ttl, aliases, name, False)
    outcome = Outcome.NO_NAME if gone else Outcome.NO_DATA
    ttl = ttl if negative else min(ttl, _NEGATIVE_TTL)
    return Reading(outcome, (), ttl, aliases, name, False)


def no_use(response: dns.message.Message) -> str:
    """Why the next server has to be asked; empty if ``response`` settles its question."""
    rcode = response.rcode()
    if rcode == dns.rcode.REFUSED:
        return "REFUSED: it does not serve this name to us"
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return dns.rcode.to_text(rcode)
    referral = any(rrset.rdtype == dns.rdatatype.NS for rrset in response.authority)
    if rcode == dns.rcode.NOERROR and not response.answer and referral and not _has_soa(response):
        return "a referral: it neither serves this name nor asks others for it"
    return ""


def _has_soa(response: dns.message.Message) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


def records_of(rrset: dns.rrset.RRset) -> tuple[Record, ...]:
    """The records that are of a type we ask for; of very many those that are preferred."""
    found: list[Record] = []
    for rdata in rrset:
        if isinstance(rdata, A | AAAA):
            found.append(rdata.address)
        elif isinstance(rdata, SRV):
            target = as_name(rdata.target.to_text())
            found.append(Srv(rdata.priority, rdata.weight, rdata.port, target))
        elif isinstance(rdata, NAPTR):
            flags, service, regexp = (
                _printable(text) for text in (rdata.flags, rdata.service, rdata.regexp)
            )
            replacement = as_name(rdata.replacement.to_text())
            found.append(Naptr(rdata.order, rdata.preference, flags, service, regexp, replacement))
    return tuple(found if len(found) <= _MOST_RECORDS else sorted(found)[:_MOST_RECORDS])


def _printable(octets: bytes) -> str:
    """A character string with what would upset a terminal written as in a zone file."""
    text = octets.decode("ascii", "surrogateescape")
    return "".join(each if each.isprintable() else f"\\{ord(each) & 0xFF:03}" for each in text)
