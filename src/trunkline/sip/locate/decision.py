"""Why a message goes where it goes: the record that the machine writes while it decides.

A :class:`Step` is one decision: the rule that was applied, and the questions it took with what
became of every record. ``docs/sip-locate.md`` has every code. :class:`Decision` is the steps with
the order that was drawn; printing it decides nothing anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from trunkline.sip.locate.ordering import Drawn
from trunkline.sip.locate.records import Answer
from trunkline.sip.locate.target import Target
from trunkline.sip.transport import Transport

__all__ = [
    "Candidate",
    "Decision",
    "Judged",
    "Lookup",
    "Problem",
    "Reason",
    "Stage",
    "Step",
    "Tried",
]


class Stage(Enum):
    """The decisions, in their order."""

    TARGET = "target"
    TRANSPORT = "transport"
    SERVERS = "servers"
    ADDRESSES = "addresses"


class Reason(Enum):
    """Why something was done or passed over: code, clause of RFC 3263 if no other, words."""

    # The target
    HOST = ("host", "4", "the host of the URI")
    MADDR = ("maddr", "4", "the maddr parameter of the URI, which goes before its host")
    SENT_BY = ("sent-by", "5", "the sent-by value of the topmost Via")

    # The transport
    PARAMETER = ("transport-parameter", "4.1", "the URI names its transport")
    VIA = ("transport-via", "5", "the transport of the topmost Via")
    NUMERIC = ("transport-numeric", "4.1", "an address without a transport parameter")
    PORT = ("transport-port", "4.1", "a port without a transport parameter: NAPTR is not asked")
    BY_NAPTR = ("transport-naptr", "4.1", "the NAPTR record that the domain prefers most")
    BY_SRV = (
        "transport-srv",
        "4.1",
        "no NAPTR record serves: the transports that have SRV records",
    )
    DEFAULT = ("transport-default", "4.1", "neither NAPTR nor SRV records: the default")
    STREAM = ("transport-stream", "RFC 3261 18.1.1", "too large for UDP")
    NO_ANSWER = (
        "transport-no-answer",
        "7",
        "nobody says whether the domain, which may have TLS, has it: not in the clear",
    )
    NO_UDP = ("transport-no-udp", "4.1", "it would be UDP, which we do not have: the next of ours")

    # NAPTR records
    NAPTR_USED = ("naptr-used", "4.1", "the most preferred that we can use")
    NAPTR_NEXT = (
        "naptr-next",
        "4.1",
        "same order, less preferred: after the servers of the others",
    )
    NAPTR_LATER = ("naptr-later", "4.1", "a record with a lower order is used")
    NAPTR_SERVICE = ("naptr-service", "4.1", "not a service that leads to a SIP server")
    NAPTR_TRANSPORT = ("naptr-transport", "4.1", "a transport that we do not have")
    NAPTR_NOT_SIPS = ("naptr-not-sips", "4.1", "a sips URI takes SIPS services only")
    NAPTR_DOWNGRADE = ("naptr-downgrade", "7", "less secure than one that is preferred")
    NAPTR_SHAPE = ("naptr-shape", "4.1", 'flag other than "s", a regular expression, or no name')
    NAPTR_LIMIT = ("naptr-limit", "4.1", "beyond the number of records that are used")
    NAPTR_NO_SRV = ("naptr-no-srv", "4.1", "its name has no SRV records that serve")

    # The servers
    NUMERIC_SERVER = ("server-numeric", "4.2", "the address itself: nothing is asked")
    PORT_SERVER = ("server-port", "4.2", "a port is given: addresses only, no SRV, even for 5060")
    SRV_SERVERS = ("server-srv", "4.2", "the SRV records of the transport")
    NO_SRV = ("server-no-srv", "4.2", "no SRV records: the domain's own addresses")
    REFUSED = ("server-refused", "RFC 2782", "the domain says that it has no such service")

    # SRV records
    SRV_USED = ("srv-used", "RFC 2782", "takes its share by priority and weight")
    SRV_REFUSED = ("srv-refused", "RFC 2782", 'the target ".": there is decidedly no such service')
    SRV_ROOT = ("srv-root", "RFC 2782", 'the target "." beside others: it names no server')
    SRV_PORT = ("srv-port-0", "RFC 2782", "port 0, which nothing can be sent to")
    SRV_LIMIT = ("srv-limit", "4.3", "beyond the number of servers that are looked up")

    # The addresses
    ADDRESSES = ("addresses", "4.2", "the A and AAAA records of each server")
    ADDRESS_USED = ("address-used", "4.2", "an address of the server")
    ADDRESS_LIMIT = ("address-limit", "4.2", "beyond the number of addresses that are used")

    def __init__(self, code: str, clause: str, words: str) -> None:
        self.code = code
        self.clause = clause if clause.startswith("RFC") else f"RFC 3263 {clause}"
        self.words = words


class Judged(NamedTuple):
    """One record of an answer, and what became of it."""

    record: str
    """As a zone file writes it."""
    reason: Reason


class Lookup(NamedTuple):
    """One question of a step."""

    answer: Answer
    judged: tuple[Judged, ...]
    """Its records, in the order in which they were considered."""
    cached: bool
    """Whether the answer was there already."""


class Step(NamedTuple):
    """One decision."""

    stage: Stage
    reason: Reason
    result: str
    """What was decided: a transport, a name, a port."""
    lookups: tuple[Lookup, ...] = ()


class Problem(NamedTuple):
    """Why there is nobody to send to."""

    code: str
    message: str


class Candidate(NamedTuple):
    """One way to send a message."""

    transport: Transport
    host: str
    """An IP literal without brackets."""
    port: int
    domain: str
    """The name that led here: what a certificate is checked against (section 4.1), and SNI."""

    @property
    def address(self) -> tuple[str, int]:
        """Where to send to, as ``Flow.remote``."""
        return self.host, self.port

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport.value} {host}:{self.port}"


class Tried(NamedTuple):
    """One candidate in the order that was drawn."""

    candidate: Candidate
    name: str
    """The server: the target of the SRV record, or the domain."""
    priority: int | None
    """Of the SRV record; None without one."""
    weight: int | None
    drawn: Drawn | None
    """The draw that chose the server; None of its further addresses, and where there was nothing
    to choose."""
    penalty: float
    """Seconds for which the server is still tried last because it failed; 0 of a sound one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole record."""

    target: Target
    steps: tuple[Step, ...]
    order: tuple[Tried, ...]
    """Whom to try, one after the other."""
    problem: Problem | None
    """Why ``order`` is empty."""
    warnings: tuple[str, ...]

    @property
    def octets(self) -> int:
        """What it costs to remember, about."""
        return 300 * (len(self.steps) + len(self.order))

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """Every question of every step."""
        return tuple(lookup for step in self.steps for lookup in step.lookups)
