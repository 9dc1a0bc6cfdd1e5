"""Links and linksets, and how traffic is shared among them.

Standards: ITU-T Q.704 clause 2.3.4 and 4.2 (load sharing by SLS within a linkset and between
linksets), Q.705 (the choices must not lean on the same bits), T1.111.5 (ANSI's rotation).

**Sharing.** A linkset has one slot for each SLS value. A slot's *home* is one of the configured
links, in turn; while the home is not available the slot is given to the available link with the
fewest slots, and stays there. So a failure moves the failed link's share and nothing else, and its
return moves that share back.

**Independent bits.** Between combined linksets the choice is made by the most significant digit of
the SLS (with two linksets: bit 4 of 4), within a linkset by the least significant ones, so that all
links are used in both cases. Where the SLS rotates (ANSI), it is the other way round, as T1.111.5
has it: the lowest bit chooses the linkset and then moves to the top of the five that rotate.

**Holding.** While traffic changes links, its slots point to a :class:`Hold`: a bounded buffer that
keeps what arrives until the changeover or the diversion is over (Q.704 5.4, 6.4), so that no
message overtakes an earlier one of the same SLS. A linkset has one hold at most; whatever joins
it waits until all of it may go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from trunkline.ss7.mtp3.counters import LinkCounters, TrafficCounters
from trunkline.ss7.mtp3.level2 import SignallingLink
from trunkline.ss7.mtp3.routes import Route
from trunkline.ss7.mtp3.slt import SltState
from trunkline.ss7.mtp3.states import LinksetState, LinkState

__all__ = ["MAX_LINKS", "Hold", "Lane", "Linkset", "SLink", "Target", "rotations", "share", "slot"]

MAX_LINKS = 16
"""The signalling link code has four bits (Q.704 15.2)."""


class SLink:
    """One signalling link: level 3's view of it."""

    __slots__ = (
        "counters",
        "level2",
        "linkset",
        "out",
        "pattern",
        "received_fsn",
        "shutdown",
        "slc",
        "slt",
        "slt_count",
        "slt_sent_at",
        "state",
    )

    def __init__(self, linkset: Linkset, slc: int, level2: SignallingLink) -> None:
        self.linkset = linkset
        self.slc = slc
        self.level2 = level2
        self.state = LinkState.SHUTDOWN
        self.shutdown = False
        """The administration's wish for this link alone."""
        self.counters = LinkCounters()
        self.out: list[bytes] = []
        """Messages of the batch in hand, for one call of level 2."""
        self.slt = SltState.IDLE
        self.slt_count = 0
        self.slt_sent_at = 0.0
        self.pattern = b""
        self.received_fsn: int | None = None
        """Last FSN accepted before the link failed; ``None`` while it is aligned."""

    @property
    def name(self) -> str:
        """The linkset's name and the link code, such as ``ToCountryB:0``."""
        return f"{self.linkset.name}:{self.slc}"

    def __repr__(self) -> str:
        return f"<SLink {self.name} {self.state.value}>"


@dataclass(slots=True, eq=False)
class Hold:
    """Traffic that waits until it may change links."""

    limit: int
    slots: set[int] = field(default_factory=set)
    buffer: list[bytes] = field(default_factory=list)
    """What arrived since, in order."""
    retrieved: list[bytes] = field(default_factory=list)
    """What level 2 of the failed links gave back: goes first."""
    changeovers: set[SLink] = field(default_factory=set)
    """Failed links whose other end has not answered yet."""
    told: set[int] = field(default_factory=set)
    """Point codes of TFP and TFA that were retrieved: what holds now is told instead."""
    until: float | None = None
    """End of a time-controlled diversion."""
    dropped: int = 0

    def extend(self, msus: Sequence[bytes]) -> None:
        """Keep ``msus``; those beyond the limit are dropped and counted."""
        room = self.limit - len(self.buffer)
        if len(msus) > room:
            self.dropped += len(msus) - max(room, 0)
            msus = msus[: max(room, 0)]
        self.buffer.extend(msus)


Target: TypeAlias = SLink | Hold


class Lane(list[bytes]):
    """Messages of the batch in hand that take one route over one link; empty between batches."""

    __slots__ = ("route", "target")

    def __init__(self, route: Route, target: Target) -> None:
        super().__init__()
        self.route = route
        self.target = target


class Linkset:
    """All links to one adjacent signalling point."""

    __slots__ = ("apc", "flows", "hold", "links", "name", "owners", "shutdown", "state")

    def __init__(self, name: str, apc: int, slots: int) -> None:
        self.name = name
        self.apc = apc
        """Adjacent point code."""
        self.links: dict[int, SLink] = {}
        """By signalling link code, in order of it."""
        self.shutdown = False
        self.state = LinksetState.UNAVAIL
        self.owners: list[SLink | None] = [None] * slots
        """The link that has each slot, holds left aside."""
        self.hold: Hold | None = None
        self.flows: dict[bytes, Lane] = {}
        """Route cache for messages that arrive on this linkset, by SIO and routing label."""

    @property
    def available(self) -> list[SLink]:
        """The links that may carry traffic, in order of their codes."""
        return [link for link in self.links.values() if link.state is LinkState.AVAIL]

    @property
    def counters(self) -> TrafficCounters:
        """The sum over the links."""
        total = TrafficCounters()
        for link in self.links.values():
            total.rx_msus += link.counters.rx_msus
            total.rx_octets += link.counters.rx_octets
            total.tx_msus += link.counters.tx_msus
            total.tx_octets += link.counters.tx_octets
        return total

    def target(self, number: int) -> Target | None:
        """Return where traffic of slot ``number`` goes now; ``None`` if no link is available."""
        if self.hold is not None and number in self.hold.slots:
            return self.hold
        return self.owners[number]

    def redistribute(self) -> dict[int, SLink]:
        """Give every slot its link; return the slots that moved, with the link they had."""
        live = self.available
        homes = list(self.links.values())
        before = self.owners
        after: list[SLink | None] = [None] * len(before)
        load = dict.fromkeys(live, 0)
        homeless = []
        for number, owner in enumerate(before):
            if not live:
                break
            home = homes[number % len(homes)]
            keeper = home if home in load else owner
            if keeper is not None and keeper in load:
                after[number] = keeper
                load[keeper] += 1
            else:
                homeless.append(number)
        for number in homeless:
            heir = min(live, key=lambda link: load[link])
            after[number] = heir
            load[heir] += 1
        self.owners = after
        return {
            number: old
            for number, old in enumerate(before)
            if old is not None and old is not after[number]
        }

    def __repr__(self) -> str:
        return f"<Linkset {self.name} {self.state.value}>"


def share(sls: int, bits: int, linksets: int, rotates: bool) -> int:
    """Return which of ``linksets`` combined ones carries ``sls``."""
    return sls % linksets if rotates else sls * linksets >> bits


def slot(sls: int, linksets: int, rotates: bool) -> int:
    """Return the slot of ``sls`` within the linkset that :func:`share` chose."""
    return sls // linksets if rotates else sls


@dataclass(frozen=True, slots=True)
class _Rotation:
    forward: tuple[bytes, ...]
    back: tuple[bytes, ...]


def _turned(octet: int, step: Callable[[int], int]) -> bytes:
    return bytes((octet & 0xE0 | step(octet & 0x1F),))


rotations = _Rotation(
    forward=tuple(_turned(o, lambda low: low >> 1 | (low & 1) << 4) for o in range(256)),
    back=tuple(_turned(o, lambda low: low << 1 & 0x1F | low >> 4) for o in range(256)),
)
"""ANSI's SLS octet one node further on, and one node back: the five low bits rotate (T1.111.5).

Also with eight bits of SLS: the three upper ones stay (public descriptions of T1.111.5; unchecked).
"""
