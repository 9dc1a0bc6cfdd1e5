"""The rules that look at one thing alone: the transport of a target, the use of a record.

RFC 3263 section 4.1 for the transport and NAPTR records, RFC 2782 for SRV records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trunkline.sip.locate.decision import Problem, Reason
from trunkline.sip.locate.ordering import Draw, Pool
from trunkline.sip.locate.records import ROOT, Answer, Naptr, Srv
from trunkline.sip.locate.target import NAPTR_SERVICES, Target
from trunkline.sip.transport import Transport

__all__ = [
    "SrvSet",
    "at_most",
    "by_order",
    "default_transport",
    "srv_set",
    "transport_of",
    "unusable",
    "without_udp",
]

_NAMED = {
    # The parameter of a URI to the transport, of a sip and of a sips URI: section 4.1 and 5 ("TLS"
    # is TLS over TCP), RFC 7118 section 5.5.
    "udp": (Transport.UDP, None),
    "tcp": (Transport.TCP, Transport.TLS),
    "tls": (Transport.TLS, Transport.TLS),
    "ws": (Transport.WS, Transport.WSS),
    "wss": (Transport.WSS, Transport.WSS),
}


def without_udp(transports: tuple[Transport, ...]) -> tuple[Transport, ...]:
    """``transports`` for a request that is too large for UDP, if there is another one."""
    return tuple(each for each in transports if each is not Transport.UDP) or transports


def default_transport(transports: Sequence[Transport], secure: bool) -> Transport | None:
    """Section 4.1: UDP for a SIP URI, TCP, that is TLS, for SIPS; None if we have none that fits.

    Without UDP it is the next in the order TCP, TLS, WS, WSS.
    """
    fitting = [each for each in Transport if each in transports and (each.secure or not secure)]
    return fitting[0] if fitting else None


def transport_of(target: Target, transports: Sequence[Transport]) -> Transport | Problem:
    """The transport that ``target`` names, or the default where it names none (section 4.1).

    ``transports`` are those that may be used: without UDP if the request is too large for it, and
    then TCP takes its place, even where UDP is named (RFC 3261 section 18.1.1).
    """
    named = target.transport
    if named is None:
        chosen = default_transport(transports, target.secure)
        if chosen is None:
            return _no_transport("a sips URI takes TLS", transports)
        return chosen
    if named not in _NAMED:
        return _no_transport(f"transport={named} is asked for", transports)
    chosen = _NAMED[named][target.secure]
    if chosen is None:
        return Problem(
            "locate.sips-udp",
            "a sips URI with transport=udp: it takes a reliable transport (RFC 3261 section "
            "19.1.1); leave the parameter out, or write tcp",
        )
    if chosen is Transport.UDP and chosen not in transports and Transport.TCP in transports:
        return Transport.TCP
    if chosen not in transports:
        return _no_transport(f"transport={named} is asked for", transports)
    return chosen


def _no_transport(wish: str, transports: Iterable[Transport]) -> Problem:
    """The refusal of a transport that we do not have."""
    ours = ", ".join(transport.value for transport in transports)
    return Problem(
        "locate.transport",
        f"{wish}, and this node sends by {ours}: let it listen on that transport, or name another",
    )


def unusable(record: Naptr, secure: bool, transports: Sequence[Transport]) -> Reason | None:
    """Why a NAPTR record is discarded, or None if it leads to SRV records for us (section 4.1)."""
    service = record.service.upper()
    protocol, _, resolution = service.partition("+")
    if protocol not in ("SIP", "SIPS") or not resolution.startswith("D2"):
        return Reason.NAPTR_SERVICE
    # "a client resolving a SIPS URI MUST discard any services that do not contain "SIPS""
    if secure and protocol != "SIPS":
        return Reason.NAPTR_NOT_SIPS
    if NAPTR_SERVICES.get(service) not in transports:
        return Reason.NAPTR_TRANSPORT
    # "The resource record will contain an empty regular expression and a replacement value"
    if record.flags.upper() != "S" or record.regexp or record.replacement == ROOT:
        return Reason.NAPTR_SHAPE
    return None


def by_order(
    records: Iterable[Naptr], transports: Sequence[Transport], limit: int
) -> list[list[Naptr]]:
    """Usable records in the order of their use, those of one ORDER together (RFC 2915 section 2).

    ``limit`` at most, the most preferred.

    Once one of an order serves, those of a higher one must not be looked at; those of the same
    order and a higher preference may. Records that are equal in both go by our own preference.
    """
    orders: dict[int, list[Naptr]] = {}
    for record in sorted(records, key=lambda each: _naptr_rank(each, transports))[:limit]:
        orders.setdefault(record.order, []).append(record)
    return list(orders.values())


def _naptr_rank(record: Naptr, transports: Sequence[Transport]) -> tuple[int, int, int, str]:
    ours = transports.index(NAPTR_SERVICES[record.service.upper()])
    return record.order, record.preference, ours, record.replacement


class SrvSet(NamedTuple):
    """An SRV answer, sorted out."""

    usable: tuple[Srv, ...]
    refused: bool
    """Whether the answer was that there is decidedly no such service."""
    verdicts: dict[Srv, Reason]


def srv_set(answer: Answer) -> SrvSet:
    """The records of ``answer`` that name a server, and why the others do not."""
    records = [record for record in answer.records if isinstance(record, Srv)]
    verdicts: dict[Srv, Reason] = {}
    usable: list[Srv] = []
    # "If there is precisely one SRV RR, and its Target is ".", abort."
    refused = len(records) == 1 and records[0].target == ROOT
    for record in sorted(set(records)):
        if record.target == ROOT:
            verdicts[record] = Reason.SRV_REFUSED if refused else Reason.SRV_ROOT
        elif not record.port:
            verdicts[record] = Reason.SRV_PORT
        else:
            verdicts[record] = Reason.SRV_USED
            usable.append(record)
    return SrvSet(tuple(usable), refused, verdicts)


def at_most(limit: int, records: Sequence[Srv], draw: Draw) -> set[Srv]:
    """``limit`` of ``records``: the best priorities, and of the last one drawn by weight.

    So the servers of a set that is too large all get their share over time.
    """
    if len(records) <= limit:
        return set(records)
    chosen: set[Srv] = set()
    for priority in sorted({record.priority for record in records}):
        equals = [record for record in records if record.priority == priority]
        pool: Pool | None = Pool([record.weight for record in equals])
        while pool is not None and len(chosen) < limit:
            index, _ = pool.pick(draw)
            chosen.add(equals[index])
            pool = pool.without(index)
    return chosen
