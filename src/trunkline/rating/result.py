"""The reference's ``EventCost``: what its console prints for ``cost``, and what its API answers.

Keys are sorted, durations are text (``1m0s``; plain units for what is not voice) at the console
and integers on the wire, and what charges share (rates, ratings, filters, timings) stands once
under a key of seven hexadecimal digits. The reference draws its keys at random; ours are the
beginning of a digest of what they stand for, so that the same price always prints the same text.
Where two digests begin alike, the later one in the order of the call takes the next seven digits.
``Usage`` is what is billed: 1m30s of a call of 1m25s that is billed by 30 s.

Money is exact in the model and ``float`` here, since that is what JSON numbers become anywhere;
an integral amount is an integer. In the exact precision the ``Cost`` of an increment may be a
rounded view of a rational (25 c a minute by the second), so that ``Cost`` × ``CompressFactor``
need not add up to the last digit. The total is exact.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from decimal import Decimal
from fractions import Fraction

from trunkline.rating.call import Call
from trunkline.rating.chain import Match
from trunkline.rating.cost import Cost
from trunkline.rating.durations import format_usage
from trunkline.rating.index import Slot
from trunkline.rating.model import Timing

__all__ = [
    "Json",
    "Table",
    "event_cost",
    "event_cost_text",
    "filters_of",
    "key_of",
    "number",
    "rates_of",
    "start_of",
    "timing_of",
    "usage_of",
]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_KEY_DIGITS = 7


_KEYS = 9  # in one digest


def key_of(value: object, attempt: int = 0) -> str:
    """The key under which ``value`` stands, or the next ones where that is another's."""
    if attempt >= _KEYS:
        raise AssertionError("nine digests in a row begin alike")
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return digest[attempt * _KEY_DIGITS : (attempt + 1) * _KEY_DIGITS]


class Table:
    """One of the maps: values by keys made of what they hold."""

    def __init__(self) -> None:
        self.shown: dict[str, Json] = {}
        self._values: dict[str, Json] = {}

    def add(self, value: Json, shown: Json = None) -> str:
        """The key of ``value``, which is shown as ``shown``."""
        attempt = 0
        while True:
            key = key_of(value, attempt)
            if self._values.setdefault(key, value) == value:
                self.shown[key] = shown or value
                return key
            attempt += 1

    def sorted(self) -> dict[str, Json]:
        """The map in the order of its keys."""
        return dict(sorted(self.shown.items()))


def number(value: Fraction | Decimal) -> int | float:
    """An amount as JSON has it."""
    exact = Fraction(value)
    return exact.numerator if exact.denominator == 1 else float(exact)


def timing_of(timing: Timing) -> dict[str, Json]:
    """A value of ``Timings``."""
    hours, rest = divmod(timing.start, 3600)
    minutes, seconds = divmod(rest, 60)
    return {
        "MonthDays": list(timing.month_days),
        "Months": list(timing.months),
        "StartTime": f"{hours:02d}:{minutes:02d}:{seconds:02d}",
        "WeekDays": list(timing.week_days),
        "Years": list(timing.years),
    }


def rates_of(slots: Iterable[Slot], tor: str, *, wire: bool) -> list[Json]:
    """A value of ``Rates``."""
    return [
        {
            "GroupIntervalStart": usage_of(slot.start, tor, wire),
            "RateIncrement": usage_of(slot.increment, tor, wire),
            "RateUnit": usage_of(slot.unit, tor, wire),
            "Value": number(slot.rate),
        }
        for slot in slots
    ]


def filters_of(match: Match) -> dict[str, Json]:
    """A value of ``RatingFilters``."""
    return {
        "DestinationID": match.group.destination_id,
        "DestinationPrefix": match.prefix,
        "RatingPlanID": match.active.plan.id,
        "Subject": match.subject_key,
    }


def start_of(call: Call) -> str:
    """``StartTime``: RFC 3339, the fraction as long as it has to be."""
    text = call.time.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def usage_of(value: int, tor: str, wire: bool) -> Json:
    """A usage: text at the console, an integer on the wire."""
    return value if wire else format_usage(value, tor)


def _increment(usage: Json, cost: Fraction, count: int) -> dict[str, Json]:
    return {
        "AccountingID": "",
        "CompressFactor": count,
        "Cost": number(cost),
        "Usage": usage,
    }


def event_cost(cost: Cost, *, wire: bool = False) -> dict[str, Json]:
    """``cost`` as the reference's console shows it, ready for ``json.dumps``.

    ``wire``: as its API answers it, with usages as integers.
    """
    tor = cost.call.tor
    rates, ratings, filters, timings = Table(), Table(), Table(), Table()
    charges: list[Json] = []
    billed = 0
    for index, span in enumerate(cost.spans):
        terms = span.entry.terms
        slots = terms.slots
        rating: dict[str, Json] = {
            "ConnectFee": number(terms.connect_fee),
            "MaxCost": number(terms.max_cost),
            "MaxCostStrategy": str(terms.strategy),
            "RatesID": rates.add(rates_of(slots, tor, wire=False), rates_of(slots, tor, wire=wire)),
            "RatingFiltersID": filters.add(filters_of(span.match)),
            "RoundingDecimals": terms.decimals,
            "RoundingMethod": str(terms.rounding),
            "TimingID": timings.add(timing_of(span.entry.timing)),
        }
        increments: list[Json] = []
        if index == 0:
            increments.append(_increment(usage_of(0, tor, wire), cost.connect_fee, 1))
        if span.count:
            usage = usage_of(span.slot.increment, tor, wire)
            increments.append(_increment(usage, span.price, span.count))
            billed += span.slot.increment * span.count
        charges.append(
            {"CompressFactor": 1, "Increments": increments, "RatingID": ratings.add(rating)}
        )
    return {
        "AccountSummary": None,
        "Accounting": {},
        "CGRID": "",
        "Charges": charges,
        "Cost": number(cost.event_total),
        "Rates": rates.sorted(),
        "Rating": ratings.sorted(),
        "RatingFilters": filters.sorted(),
        "RunID": "",
        "StartTime": start_of(cost.call),
        "Timings": timings.sorted(),
        "Usage": usage_of(billed, tor, wire),
    }


def event_cost_text(cost: Cost) -> str:
    """The JSON text, indented by one space as the reference's console does."""
    return json.dumps(event_cost(cost), indent=1, sort_keys=True, ensure_ascii=False)
