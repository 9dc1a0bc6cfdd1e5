"""Shared groups: balances that several accounts take from, and in which order.

A balance belongs to the groups that it names. Where an account has a balance of a group, all
balances of that group stand in its place, those of the other accounts too, ordered by the group's
strategy. The strategy of an account is that of its own row, else that of the row ``*any``.

Random means drawn anew for every usage, and the same for all of one: the order is made of a seed,
which is the session's ID. The rating subject of a group's row is kept and, as in the reference's
debits, not used: the subject of a balance counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from trunkline.charging.rows import SharedGroupRow
from trunkline.rating.model import ANY

__all__ = ["SharedGroup", "Strategy", "order", "shared_groups"]


class Strategy(StrEnum):
    """Which balance of a group is taken from first. Anything else means ``*mine_random``."""

    LOWEST = "*lowest"
    """The one that holds least."""
    HIGHEST = "*highest"
    RANDOM = "*random"
    MINE_LOWEST = "*mine_lowest"
    """The account's own one, then as ``*lowest``."""
    MINE_HIGHEST = "*mine_highest"
    MINE_RANDOM = "*mine_random"

    @property
    def mine_first(self) -> bool:
        """Whether the account's own balance comes before all others."""
        return self.name.startswith("MINE")


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """The rows of one ID of SharedGroups.csv."""

    id: str
    rows: Mapping[str, SharedGroupRow]
    """By account ID, ``*any`` for every other."""

    def strategy(self, account: str) -> Strategy:
        """What counts for an account's ID."""
        row = self.rows.get(account) or self.rows.get(ANY)
        try:
            return Strategy(row.strategy if row else "")
        except ValueError:
            return Strategy.MINE_RANDOM


def shared_groups(rows: Iterable[SharedGroupRow]) -> dict[str, SharedGroup]:
    """The groups by their ID; of two rows for one account the later counts."""
    merged: dict[str, dict[str, SharedGroupRow]] = {}
    for row in rows:
        merged.setdefault(row.id, {})[row.account or ANY] = row
    return {tag: SharedGroup(tag, accounts) for tag, accounts in merged.items()}


_T = TypeVar("_T")


def order(
    strategy: Strategy,
    balances: Iterable[_T],
    *,
    value: Callable[[_T], Fraction],
    uuid: Callable[[_T], str],
    mine: Callable[[_T], bool],
    seed: str,
) -> list[_T]:
    """The balances of a group in the strategy's order; equal ones stay as they came."""
    if strategy in (Strategy.LOWEST, Strategy.MINE_LOWEST):
        ordered = sorted(balances, key=value)
    elif strategy in (Strategy.HIGHEST, Strategy.MINE_HIGHEST):
        ordered = sorted(balances, key=value, reverse=True)
    else:
        ordered = sorted(
            balances,
            key=lambda each: hashlib.sha256(
                f"{seed}\0{uuid(each)}".encode("utf-8", "surrogatepass")
            ).digest(),
        )
    if strategy.mine_first:
        ordered.sort(key=lambda each: not mine(each))
    return ordered
