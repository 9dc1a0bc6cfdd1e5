"""Exact sums: what an account has is a ``Decimal`` that no addition ever rounds.

The default context of ``decimal`` rounds at 28 digits; a balance of 10¹² with the 20 decimals that
a tariff may ask for has more. So sums are made here, in a context that is wide enough and says so
when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation

__all__ = ["ZERO", "add", "subtract", "total", "trim"]

ZERO = Decimal(0)
_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation])

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
    exponent = short.as_tuple().exponent
    return (
        _EXACT.quantize(short, Decimal(1)) if isinstance(exponent, int) and exponent > 0 else short
    )
