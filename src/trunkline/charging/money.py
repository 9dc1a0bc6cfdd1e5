"""Exact sums: what an account has is a ``Decimal`` that no addition ever rounds.

The default context of ``decimal`` rounds at 28 digits; a balance of 10¹² with the 20 decimals that
a tariff may ask for has more. So sums are made here, in a context that is wide enough and says so
when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction

from trunkline.rating.rounding import RoundingMethod, round_fraction

__all__ = ["ZERO", "add", "subtract", "to_amount", "total", "trim"]

ZERO = Decimal(0)
_ONE, _TEN = Decimal(1), Decimal(10)
_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation])

_GRAIN = 12
"""Decimals of a part of a cost that no decimal number is exactly; the last part takes the rest."""
_MOST = 40
"""Decimals up to which a part of a cost is kept as it is."""

add = _EXACT.add
"""The exact sum of two amounts. Raises ``decimal.Inexact`` beyond 80 digits."""
subtract = _EXACT.subtract
"""The exact difference of two amounts."""


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of any number of amounts."""
    result = ZERO
    for amount in amounts:
        result = add(result, amount)
    return result


def trim(value: Decimal) -> Decimal:
    """The same amount without zeros at the end of its decimals: 0.30 is 0.3, and 10 stays 10."""
    short = _EXACT.normalize(value)
    # An exponent above zero has only what is a whole multiple of ten.
    return short if _EXACT.remainder(short, _TEN) else _EXACT.quantize(short, _ONE)


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
