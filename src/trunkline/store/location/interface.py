"""What a location service does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from trunkline.errors import TrunklineError
from trunkline.sip.binding import Binding, Bindings

__all__ = ["Compute", "Count", "Gone", "Location", "conflict", "full"]

T = TypeVar("T")

Compute: TypeAlias = "Callable[[Bindings], tuple[Bindings | None, T]]"
"""Bindings as stored, those that have expired included, to bindings to be stored (``None``: leave
them) and an answer. It may be called several times for one update: it changes nothing itself."""


@dataclass(frozen=True, slots=True)
class Count:
    """How much is registered. Contacts that expired and were not yet removed count."""

    aors: int
    """Addresses-of-record with a contact."""
    contacts: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A contact that expired."""

    aor: str
    binding: Binding


class Location(Protocol):
    """Bindings by address-of-record. Times are seconds since the epoch.

    Every method of a store on another machine may raise what its class says.
    """

    async def get(self, aor: str, now: float) -> Bindings:
        """The bindings that have not expired, the oldest first; none if there are none."""
        ...

    async def update(self, aor: str, compute: Compute[T]) -> T:
        """Read, compute and write as one: no other update of this address comes between.

        Returns what ``compute`` answered when its bindings were stored.
        """
        ...

    async def count(self) -> Count:
        """How much is registered. Cheap: not a walk through the bindings."""
        ...

    async def expire(self, now: float, limit: int = 1000) -> list[Gone]:
        """Remove contacts that have expired, ``limit`` at most, and return them.

        Each is returned once, to one caller. Less than ``limit``: there are no more for now.
        """
        ...

    def every(self, now: float) -> AsyncIterator[tuple[str, Bindings]]:
        """All addresses-of-record with their bindings, in no order.

        What changes meanwhile may be seen as it was, as it is, or not at all; what does not change
        is seen once.
        """
        ...


def full(aor: str, contacts: int, limit: int) -> TrunklineError:
    """The error of an update that would exceed the limit."""
    return TrunklineError(
        "store.location-full", f"{aor}: {contacts} contacts are registered, the limit is {limit}"
    )


def conflict(aor: str, attempts: int) -> TrunklineError:
    """The error of an update that others always came before."""
    return TrunklineError(
        "store.location-conflict",
        f"{aor}: {attempts} other updates came between; nothing was stored, register again",
    )
