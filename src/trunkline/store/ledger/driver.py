"""What the writer asks of a database; `sqlite`, `postgres`, `mariadb` and `redis` are such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trunkline.store.ledger.schema import Cells
from trunkline.store.ledger.settle import Rows

__all__ = ["Driver", "Found", "Lost", "Raced", "Refused", "Wanted"]


class Raced(Exception):  # noqa: N818 - an event, and not the caller's
    """Another process was faster; nothing was written, and to begin again leads further."""


class Refused(Exception):  # noqa: N818
    """The database does not take what was given it; nothing was written."""


class Lost(Exception):  # noqa: N818
    """The database does not answer, or not in time.

    ``dead``: for the connection has ended. ``undone``: of what was to be written nothing is, that
    is certain.
    """

    def __init__(self, reason: str, *, dead: bool, undone: bool = False) -> None:
        super().__init__(reason)
        self.dead = dead
        self.undone = undone


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a batch looks at, in the order of the keys."""

    versions: Mapping[str, Mapping[str, int]]
    """By kind: keys, and the version that is known already; 0: none is."""
    answers: Sequence[str]


@dataclass(slots=True)
class Found:
    """What there is of it."""

    documents: dict[str, dict[str, tuple[int, Cells]]] = field(default_factory=dict)
    """By kind: version and cells; where the version is the one known, the cells may be empty."""
    answers: dict[str, str] = field(default_factory=dict)


class Driver(Protocol):
    """One connection, for one batch after the other: `read`, then `write` or `undo`.

    Every method may raise `Raced`, `Refused` or `Lost`. After `Lost` comes `close`; the next `read`
    connects again.
    """

    @property
    def connected(self) -> bool:
        """Whether there is a connection, be it a dead one."""
        ...

    async def read(self, wanted: Wanted) -> Found:
        """Begin a transaction; lock and read what is wanted, in order, until its end.

        Where nothing can be locked, `write` raises `Raced` if some of it has changed meanwhile.
        """
        ...

    async def write(self, rows: Rows) -> None:
        """Write ``rows``, be they none, and commit: when this returns they are on disk.

        ``Lost`` here leaves open whether they are, unless it says ``undone``.
        """
        ...

    async def undo(self) -> None:
        """After `Raced` or `Refused`: end the transaction without a trace."""
        ...

    def abort(self) -> None:
        """Let what is under way fail with ``Lost``, now."""
        ...

    async def close(self) -> None:
        """End the connection; does not fail."""
        ...
