"""What one increment of a usage costs, offset by offset, for one subject.

The prices are those of ``trunkline.rating``, and so are the increments: each is billed from where
the one before it ended. Here they are asked for as they are paid, since another balance may pay,
at another subject's price, from any increment on.
"""

from __future__ import annotations

from fractions import Fraction

from trunkline.charging.charges import Rated
from trunkline.rating.call import VOICE, Call, epoch_nanoseconds
from trunkline.rating.chain import Part, resolve
from trunkline.rating.cost import Exact, Precision, bill
from trunkline.rating.errors import RatingError
from trunkline.rating.rounding import RoundingMethod, round_float
from trunkline.rating.spans import Piece, timed
from trunkline.rating.tariff import Tariff

__all__ = ["Prices", "price_of_one"]


class Prices:
    """What one subject's increments cost along a call."""

    def __init__(self, tariff: Tariff, call: Call) -> None:
        self.call = call
        self.zone = tariff.zone(call.tenant)
        self.answered = epoch_nanoseconds(call.time)
        self.refusal: RatingError | None = None
        self.parts: list[Part] = []
        self.pieces: list[Piece] = []
        try:
            self.parts = resolve(tariff, call, self.zone, self.answered, None)
            self.pieces = timed(
                self.parts, self.zone, self.answered, call.usage, voice=call.tor == VOICE
            )
        except RatingError as error:
            self.refusal = error
        self.position = 0

    def at(self, offset: int) -> tuple[Rated, int]:
        """The price of what begins at an offset, and where that price ends.

        Raises:
            RatingError: there is none.
        """
        if self.refusal is not None:
            raise self.refusal
        if self.position and self.pieces[self.position].start > offset:
            self.position = 0
        while self.pieces[self.position].end <= offset:
            self.position += 1
        piece = self.pieces[self.position]
        if piece.entry is None or piece.match is None:
            bill(self.parts, self.call, self.zone, self.answered)
            raise AssertionError("a call has a price for a time without one")
        for slot in piece.entry.terms.slots:
            if slot.end is None or slot.end > offset:
                end = piece.end if slot.end is None else min(piece.end, slot.end)
                return Rated(piece.match, piece.entry, slot), end
        raise AssertionError("the last slot has no end")


def price_of_one(rated: Rated, count: int, precision: Precision) -> Fraction:
    """What one of so many increments costs."""
    slot = rated.slot
    if isinstance(precision, Exact):
        return Fraction(slot.price, rated.entry.terms.denominator)
    rate = float(slot.rate) / float(slot.unit)
    duration = float(count * slot.increment)
    rounded = round_float(duration * rate / count, precision.decimals, RoundingMethod.MIDDLE)
    return Fraction(repr(rounded))
