"""What locating a target came to, before anything is drawn: the servers in their tiers.

A plan holds for every message to its target until the first of the answers it was made of expires.
Only the order within a tier is each message's own: :mod:`.candidates`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from trunkline.sip.locate.decision import Candidate, Problem, Step
from trunkline.sip.locate.ordering import Pool
from trunkline.sip.locate.target import Target
from trunkline.sip.transport import Transport

__all__ = ["Plan", "Server", "Tier", "tiers"]


class Server(NamedTuple):
    """One server: an SRV record, or the target itself, with its addresses."""

    transport: Transport
    name: str
    port: int
    families: tuple[tuple[Candidate, ...], ...]
    """Its addresses, those of the preferred version of IP first; empty if none could be found."""
    priority: int | None = None
    weight: int | None = None


class Tier(NamedTuple):
    """Servers among which the weights decide; the next tier's turn comes when all have failed."""

    servers: tuple[Server, ...]
    pool: Pool


@dataclass(frozen=True, slots=True)
class Plan:
    """The servers of one target, and why it is these."""

    target: Target
    tiers: tuple[Tier, ...]
    steps: tuple[Step, ...]
    expires: float
    """When it has to be made again, by the clock of ``now``."""
    problem: Problem | None = None
    """Why there is no server with an address."""
    warnings: tuple[str, ...] = ()


def tiers(services: Iterable[Iterable[Server]]) -> tuple[Tier, ...]:
    """The servers of each service in tiers: by service in the order given, then by priority.

    Within a tier they stand sorted, so that whoever draws the same numbers, whatever order the
    answer was in, picks the same server (RFC 3263 section 4.4).
    """
    found = []
    for servers in services:
        for _, equals in groupby(sorted(servers, key=_rank), key=lambda server: server.priority):
            members = tuple(equals)
            found.append(Tier(members, Pool([server.weight or 0 for server in members])))
    return tuple(found)


def _rank(server: Server) -> tuple[int, int, str, int]:
    return server.priority or 0, server.weight or 0, server.name, server.port
