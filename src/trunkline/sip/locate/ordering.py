"""The order in which equals are tried: RFC 2782's draw by weight, and where it gets its numbers.

RFC 2782 arranges the records of one priority "in any order, except that all those with weight 0
are placed at the beginning", draws from 0 to the sum of the weights, inclusive, and takes the first
whose running sum reaches the number. Any one arrangement favours a record: of two with weight 1
the first would get two thirds. So the arrangement itself is drawn. That costs a second number only
where the first is 0: for any other, all arrangements give every record the same share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple, TypeAlias

__all__ = ["Draw", "Drawn", "Pool", "seeded"]

Draw: TypeAlias = Callable[[int], int]
"""A uniformly distributed whole number from 0 to the argument, inclusive."""


class Drawn(NamedTuple):
    """One draw, for the record."""

    number: int
    """What was drawn."""
    highest: int
    """The highest number there was: the sum of the weights."""
    among: int
    """How many records took part."""


class Pool:
    """The records of one priority that have not been ordered yet, known by their index.

    ``weights`` are those of the records; what is picked is left out by :meth:`without`.
    """

    __slots__ = ("indices", "running", "weights", "zeros")

    def __init__(self, weights: Sequence[int], indices: Sequence[int] | None = None) -> None:
        self.weights = weights
        every = range(len(weights)) if indices is None else indices
        zeros = [index for index in every if not weights[index]]
        self.zeros = len(zeros)
        self.indices = [*zeros, *(index for index in every if weights[index])]
        self.running = list(accumulate(weights[index] for index in self.indices))

    def pick(self, draw: Draw) -> tuple[int, Drawn | None]:
        """The index of the next record, and the draw if there was anything to draw."""
        indices = self.indices
        among = len(indices)
        if among == 1:
            return indices[0], None
        highest = self.running[-1]
        number = draw(highest)
        # At 0 stands the head of the arrangement: one of weight 0 if there are any.
        place = bisect_left(self.running, number) if number else draw((self.zeros or among) - 1)
        return indices[place], Drawn(number, highest, among)

    def without(self, index: int) -> Pool | None:
        """What is left after ``index``; None if nothing is."""
        left = [each for each in self.indices if each != index]
        return Pool(self.weights, left) if left else None


def seeded(key: bytes) -> Draw:
    """Numbers that depend on ``key`` alone: a stateless proxy's (RFC 3263 section 4.4).

    The same key gives the same numbers in every process and on every machine. The key is what all
    messages of a transaction share, as the branch of the topmost Via (RFC 3261 section 16.11).
    """
    count = 0

    def draw(highest: int) -> int:
        nonlocal count
        count += 1
        digest = blake2b(key, digest_size=8, salt=count.to_bytes(16, "big")).digest()
        # 64 bits over a range of at most 32: the bias is below one in four thousand million.
        return int.from_bytes(digest, "big") % (highest + 1)

    return draw
