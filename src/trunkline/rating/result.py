"""The reference's ``EventCost``: the JSON that its console prints for ``cost``.

Keys are sorted, durations are text (``1m0s``; plain units for what is not voice), and what charges
share (rates, ratings, filters, timings) stands once under a key of seven hexadecimal digits. The
reference draws its keys at random; ours are the beginning of a digest of what they stand for, so
that the same price always prints the same text. Where two digests begin alike, the later one in
the order of the call takes the next seven digits.

Money is exact in the model and ``float`` here, since that is what JSON numbers become anywhere;
an integral amount is an integer. In the exact precision the ``Cost`` of an increment may be a
rounded view of a rational (25 c a minute by the second), so that ``Cost`` × ``CompressFactor``
need not add up to the last digit. The total is exact.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC
from decimal import Decimal
from fractions import Fraction

from trunkline.rating.cost import Cost, Span
from trunkline.rating.durations import format_usage
from trunkline.rating.index import Entry
from trunkline.rating.model import Timing

__all__ = ["Json", "event_cost", "event_cost_text"]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_KEY_DIGITS = 7


class _Table:
    """One of the maps: values by keys made of what they hold."""

    def __init__(self) -> None:
        self.values: dict[str, Json] = {}

    def add(self, value: Json) -> str:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        for start in range(0, len(digest) - _KEY_DIGITS, _KEY_DIGITS):
            key = digest[start : start + _KEY_DIGITS]
            if self.values.setdefault(key, value) == value:
                return key
        raise AssertionError("nine digests in a row begin alike")


def _number(value: Fraction | Decimal) -> int | float:
    exact = Fraction(value)
    return exact.numerator if exact.denominator == 1 else float(exact)


def _timing(timing: Timing) -> dict[str, Json]:
    hours, rest = divmod(timing.start, 3600)
    minutes, seconds = divmod(rest, 60)
    return {
        "MonthDays": list(timing.month_days),
        "Months": list(timing.months),
        "StartTime": f"{hours:02d}:{minutes:02d}:{seconds:02d}",
        "WeekDays": list(timing.week_days),
        "Years": list(timing.years),
    }


def _rates(entry: Entry, tor: str) -> list[Json]:
    return [
        {
            "GroupIntervalStart": format_usage(slot.start, tor),
            "RateIncrement": format_usage(slot.increment, tor),
            "RateUnit": format_usage(slot.unit, tor),
            "Value": _number(slot.rate),
        }
        for slot in entry.terms.slots
    ]


def _increment(usage: int, cost: Fraction, count: int, tor: str) -> dict[str, Json]:
    return {
        "AccountingID": "",
        "CompressFactor": count,
        "Cost": _number(cost),
        "Usage": format_usage(usage, tor),
    }


def event_cost(cost: Cost) -> dict[str, Json]:
    """``cost`` as the reference's console shows it, ready for ``json.dumps``."""
    tor = cost.call.tor
    rates, ratings, filters, timings = _Table(), _Table(), _Table(), _Table()
    charges: list[Json] = []
    for number, span in enumerate(cost.spans):
        terms = span.entry.terms
        rating: dict[str, Json] = {
            "ConnectFee": _number(terms.connect_fee),
            "MaxCost": _number(terms.max_cost),
            "MaxCostStrategy": str(terms.strategy),
            "RatesID": rates.add(_rates(span.entry, tor)),
            "RatingFiltersID": filters.add(_filters(span)),
            "RoundingDecimals": terms.decimals,
            "RoundingMethod": str(terms.rounding),
            "TimingID": timings.add(_timing(span.entry.timing)),
        }
        increments: list[Json] = []
        if number == 0:
            increments.append(_increment(0, cost.connect_fee, 1, tor))
        if span.count:
            increments.append(_increment(span.slot.increment, span.price, span.count, tor))
        charges.append(
            {"CompressFactor": 1, "Increments": increments, "RatingID": ratings.add(rating)}
        )
    return {
        "AccountSummary": None,
        "Accounting": {},
        "CGRID": "",
        "Charges": charges,
        "Cost": _number(cost.event_total),
        "Rates": _sorted(rates.values),
        "Rating": _sorted(ratings.values),
        "RatingFilters": _sorted(filters.values),
        "RunID": "",
        "StartTime": cost.call.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "Timings": _sorted(timings.values),
        "Usage": format_usage(cost.call.usage, tor),
    }


def event_cost_text(cost: Cost) -> str:
    """The JSON text, indented by one space as the reference's console does."""
    return json.dumps(event_cost(cost), indent=1, sort_keys=True, ensure_ascii=False)


def _filters(span: Span) -> dict[str, Json]:
    match = span.match
    return {
        "DestinationID": match.group.destination_id,
        "DestinationPrefix": match.prefix,
        "RatingPlanID": match.active.plan.id,
        "Subject": match.subject_key,
    }


def _sorted(values: Mapping[str, Json]) -> dict[str, Json]:
    return dict(sorted(values.items()))
