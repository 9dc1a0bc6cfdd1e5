"""Exact sums: what an account has is a ``Decimal`` that no addition ever rounds.

The default context of ``decimal`` rounds at 28 digits; a balance of 10¹² with the 20 decimals that
a tariff may ask for has more. So sums are made here, in a context that is wide enough and says so
when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction

from trunkline.errors import TrunklineError
from trunkline.rating.rounding import RoundingMethod, round_fraction

__all__ = ["ZERO", "AmountError", "add", "subtract", "to_amount", "total", "trim"]

ZERO = Decimal(0)
_ONE, _TEN = Decimal(1), Decimal(10)
_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation])
_add, _subtract = _EXACT.add, _EXACT.subtract

_GRAIN = 12
"""Decimals of a part of a cost that no decimal number is exactly; the last part takes the rest."""
_MOST = 40
"""Decimals up to which a part of a cost is kept as it is."""


class AmountError(TrunklineError):
    """``charging.amount``: an amount has more than 80 digits."""

    def __init__(self) -> None:
        super().__init__(
            "charging.amount", "an amount would have over 80 digits; nothing has changed"
        )


def add(one: Decimal, other: Decimal) -> Decimal:
    """The exact sum of two amounts.

    Raises:
        AmountError: it has more than 80 digits.
    """
    try:
        return _add(one, other)
    except (Inexact, InvalidOperation):
        raise AmountError from None


def subtract(one: Decimal, other: Decimal) -> Decimal:
    """The exact difference of two amounts.

    Raises:
        AmountError: it has more than 80 digits.
    """
    try:
        return _subtract(one, other)
    except (Inexact, InvalidOperation):
        raise AmountError from None


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of any number of amounts."""
    result = ZERO
    for amount in amounts:
        result = add(result, amount)
    return result


def trim(value: Decimal) -> Decimal:
    """The same amount without zeros at the end of its decimals: 0.30 is 0.3, and 10 stays 10.

    Raises:
        AmountError: it has more than 80 digits.
    """
    try:
        short = _EXACT.normalize(value)
        # An exponent above zero has only what is a whole multiple of ten.
        return short if _EXACT.remainder(short, _TEN) else _EXACT.quantize(short, _ONE)
    except (Inexact, InvalidOperation):
        raise AmountError from None


def to_amount(value: Fraction, *, up: bool = False) -> Decimal:
    """``value`` exactly, or cut off (``up``: filled up) to ``_GRAIN`` decimals."""
    denominator = value.denominator
    if denominator == 1:
        return Decimal(value.numerator)
    twos = (denominator & -denominator).bit_length() - 1
    denominator >>= twos
    fives = 0
    while denominator % 5 == 0:
        denominator //= 5
        fives += 1
    places = max(twos, fives) if denominator == 1 and max(twos, fives) <= _MOST else _GRAIN
    return round_fraction(value, places, RoundingMethod.UP if up else RoundingMethod.DOWN)
