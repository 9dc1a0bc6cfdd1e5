"""Rounding money: ``*up``, ``*middle`` and ``*down``, exactly and as the reference does it.

Exact rounding works on integers. The reference works on ``float64``: it scales, looks at the
fraction and scales back, and its ``*up`` ignores a fraction below 10⁻⁷ of the last decimal (or
below 10⁻ᵈ for d > 7 decimals) as an error of the arithmetic. ``round_float`` repeats that to the
last bit, for the ``cgrates`` precision alone.

Prices are never negative, so that *up* is away from zero and *middle* is half up.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from fractions import Fraction

from trunkline.rating.durations import LIMIT

__all__ = [
    "MAX_DECIMALS",
    "RoundingMethod",
    "format_money",
    "round_duration",
    "round_float",
    "round_fraction",
    "round_ratio",
    "to_decimal",
]

MAX_DECIMALS = 20
"""The most decimals that a tariff may ask for: its users write 20 where nothing is to be rounded,
though a ``float64`` has no more than 15 to give."""

_WIDE = Context(prec=200)
"""Wide enough for any price: no result is ever rounded a second time."""
_divide = Context(prec=60, traps=[Inexact]).divide


class RoundingMethod(StrEnum):
    """The reference's names of the methods."""

    UP = "*up"
    MIDDLE = "*middle"
    DOWN = "*down"


def round_ratio(numerator: int, denominator: int, method: RoundingMethod) -> int:
    """The integer next to ``numerator / denominator``; the denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    if rest and (
        method is RoundingMethod.UP or (method is RoundingMethod.MIDDLE and 2 * rest >= denominator)
    ):
        return whole + 1
    return whole


def round_fraction(value: Fraction, decimals: int, method: RoundingMethod) -> Decimal:
    """``value`` with at most ``decimals`` places, exactly."""
    scaled = round_ratio(value.numerator * 10**decimals, value.denominator, method)
    return to_decimal(scaled, decimals)


def to_decimal(scaled: int, decimals: int) -> Decimal:
    """``scaled`` · 10⁻ᵈᵉᶜⁱᵐᵃˡˢ as a Decimal with that many places."""
    return _WIDE.scaleb(Decimal(scaled), -decimals)


def round_float(value: float, decimals: int, method: RoundingMethod) -> float:
    """``value`` rounded with the reference's own floating-point steps."""
    power = math.pow(10, decimals)
    scaled = value * power
    fraction = math.modf(scaled)[0]
    match method:
        case RoundingMethod.UP:
            noise = math.pow(10, -max(7, decimals))
            whole = math.ceil(scaled) if fraction >= noise else math.floor(scaled)
        case RoundingMethod.MIDDLE:
            whole = math.ceil(scaled) if fraction >= 0.5 else math.floor(scaled)
        case RoundingMethod.DOWN:
            whole = math.floor(scaled)
    return whole / power


def round_duration(duration: int, increment: int) -> int:
    """The least multiple of ``increment`` that holds ``duration``.

    Raises:
        ValueError: an increment that is not positive, or a duration beyond ``LIMIT``.
    """
    if increment <= 0 or not 0 <= duration <= LIMIT:
        raise ValueError(f"no multiple of {increment} holds {duration}")
    return -(-duration // increment) * increment


def format_money(value: Fraction | Decimal) -> str:
    """An amount as text, without zeros at its end; a fraction where no decimal is exact."""
    numerator, denominator = value.as_integer_ratio()
    if denominator == 1:
        return str(numerator)
    try:
        text = f"{_divide(Decimal(numerator), Decimal(denominator)):f}"
    except Inexact:
        return f"{numerator}/{denominator}"
    return text.rstrip("0") if "." in text else text
