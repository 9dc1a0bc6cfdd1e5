"""What is asked of DNS and what it answers, as far as SIP needs it.

RFC 1035 (A), RFC 3596 (AAAA), RFC 2782 (SRV), RFC 3403 (NAPTR). Names are text in lower case
without the dot at the end; the root is ``"."``. How they travel is the business of
``trunkline.net.dns``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

__all__ = [
    "ROOT",
    "Answer",
    "Exchange",
    "Naptr",
    "Outcome",
    "Question",
    "Record",
    "RecordType",
    "Srv",
    "as_name",
]

ROOT = "."
"""The name of the root: as an SRV target it means that there is no such service."""


class RecordType(IntEnum):
    """The types that are asked for, with their numbers."""

    A = 1
    AAAA = 28
    SRV = 33
    NAPTR = 35


class Question(NamedTuple):
    """One name and type, class IN."""

    name: str
    type: RecordType

    def __str__(self) -> str:
        return f"{self.type.name} {self.name}"


class Srv(NamedTuple):
    """One SRV record (RFC 2782); the fields stand in the order of the record."""

    priority: int
    weight: int
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.priority} {self.weight} {self.port} {self.target}"


class Naptr(NamedTuple):
    """One NAPTR record (RFC 3403 section 4.1); the fields stand in the order of the record."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str

    def __str__(self) -> str:
        return (
            f'{self.order} {self.preference} "{self.flags}" "{self.service}" '
            f'"{self.regexp}" {self.replacement}'
        )


Record: TypeAlias = "str | Srv | Naptr"
"""An address as text, an SRV or a NAPTR record."""


class Outcome(Enum):
    """How a question ended."""

    FOUND = "found"
    """There are records of the type."""
    NO_DATA = "no data"
    """The name exists, without a record of this type (RFC 2308 section 2.2)."""
    NO_NAME = "no such name"
    """The name does not exist: NXDOMAIN (RFC 2308 section 2.1)."""
    FAILED = "failed"
    """Nobody gave an answer that could be used; ``Answer.note`` says why."""


class Exchange(NamedTuple):
    """One server asked for one answer, as it went."""

    server: str
    """Address and port, or the path and line of a hosts file."""
    seconds: float
    """From the question to its answer, or to the end of the patience with it."""
    result: str
    """``"answer"``, or why it was none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question."""

    question: Question
    outcome: Outcome
    records: tuple[Record, ...] = ()
    ttl: float = 0.0
    """Seconds for which it may be used; of a negative one by the SOA (RFC 2308 section 5)."""
    aliases: tuple[str, ...] = ()
    """The names that CNAME records led through, the last of which has the records."""
    note: str = ""
    """Of a failure: why."""
    exchanges: tuple[Exchange, ...] = ()
    """The servers that were asked for it, in order."""
    asked: bool = True
    """Whether anybody was asked; if not, the failure is ours and says nothing of the next time."""

    @property
    def seconds(self) -> float:
        """How long it took to get, all servers together."""
        return sum(exchange.seconds for exchange in self.exchanges)


def as_name(text: str) -> str:
    """``text`` as names are written here: in lower case, without the dot at the end."""
    return text.lower().rstrip(".") or ROOT
