"""``EventCost`` as JSON text, written from parts that are kept.

Two calls of one tariff differ in a few figures: the rates, the timing and most of the rating are
those of the price, which many calls have. Their text and their keys are made once for each price.
What comes out is ``encode(event_cost(cost, wire=True))`` to the letter, in an eighth of the time; a
property test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from trunkline.jsonrpc import Raw, encode, go_float
from trunkline.rating.cost import Cost
from trunkline.rating.index import Terms
from trunkline.rating.model import Timing
from trunkline.rating.result import (
    event_cost,
    key_of,
    number,
    rates_of,
    start_of,
    timing_of,
)

__all__ = ["EventCosts"]

_KEPT: Final = 4096  # prices, and destinations, before all are forgotten
_DIGITS: Final = 7


@dataclass(frozen=True, slots=True)
class _Price:
    """What the calls of one price share; ``terms`` and ``timing`` are held so that ids last."""

    terms: Terms
    timing: Timing
    rates: str
    """A member of ``Rates``: key and value."""
    timings: str
    head: str
    """The text that a rating's key is the digest of, before the key of its filters."""
    tail: str
    shown: tuple[str, str]
    """A member of ``Rating``, before and after the key of its filters."""
    fee: str


class EventCosts:
    """Writes the costs of one tariff."""

    def __init__(self) -> None:
        self._prices: dict[tuple[int, int, str], _Price] = {}
        self._filters: dict[tuple[str, str, str, str], tuple[str, str]] = {}

    def text(self, cost: Cost) -> Raw:
        """The answer of ``APIerSv1.GetCost``."""
        rates: dict[str, str] = {}
        ratings: dict[str, str] = {}
        filters: dict[str, str] = {}
        timings: dict[str, str] = {}
        charges: list[str] = []
        billed = 0
        alike = False
        tor = cost.call.tor
        for span in cost.spans:
            entry = span.entry
            at = (id(entry.terms), id(entry.timing), tor)
            price = self._prices.get(at) or self._price(at, entry.terms, entry.timing)
            match = span.match
            where = (match.group.destination_id, match.prefix, match.active.plan.id)
            filters_key, filters_text = self._filters.get(
                (*where, match.subject_key)
            ) or self._filter((*where, match.subject_key))
            digest = f"{price.head}{filters_key}{price.tail}"
            key = hashlib.sha256(digest.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
            rating = f'"{key}":{price.shown[0]}{filters_key}{price.shown[1]}'
            alike |= (
                rates.setdefault(price.rates[1 : _DIGITS + 1], price.rates) != price.rates
                or timings.setdefault(price.timings[1 : _DIGITS + 1], price.timings)
                != price.timings
                or filters.setdefault(filters_key, filters_text) != filters_text
                or ratings.setdefault(key, rating) != rating
            )
            increments = ""
            if not charges:
                fee = price.fee if cost.connect_fee else "0"
                increments = (
                    f'{{"AccountingID":"","CompressFactor":1,"Cost":{fee},"Usage":0}}'
                    f"{',' if span.count else ''}"
                )
            if span.count:
                usage = span.slot.increment
                billed += usage * span.count
                increments += (
                    f'{{"AccountingID":"","CompressFactor":{span.count},'
                    f'"Cost":{_amount(span.price)},"Usage":{usage}}}'
                )
            charges.append(f'{{"CompressFactor":1,"Increments":[{increments}],"RatingID":"{key}"}}')
        if alike:  # two digests begin alike
            return Raw(encode(event_cost(cost, wire=True)))
        return Raw(
            f'{{"AccountSummary":null,"Accounting":{{}},"CGRID":"","Charges":[{",".join(charges)}],'
            f'"Cost":{_amount(cost.event_total)},"Rates":{{{_sorted(rates)}}},'
            f'"Rating":{{{_sorted(ratings)}}},"RatingFilters":{{{_sorted(filters)}}},"RunID":"",'
            f'"StartTime":"{start_of(cost.call)}","Timings":{{{_sorted(timings)}}},"Usage":{billed}}}'
        )

    def _price(self, at: tuple[int, int, str], terms: Terms, timing: Timing) -> _Price:
        if len(self._prices) >= _KEPT:
            self._prices.clear()
        tor = at[2]
        rates_key = key_of(rates_of(terms.slots, tor, wire=False))
        timings_key = key_of(timing_of(timing))
        rating = {
            "ConnectFee": number(terms.connect_fee),
            "MaxCost": number(terms.max_cost),
            "MaxCostStrategy": str(terms.strategy),
            "RatesID": rates_key,
            "RatingFiltersID": "\0",
            "RoundingDecimals": terms.decimals,
            "RoundingMethod": str(terms.rounding),
            "TimingID": timings_key,
        }
        head, _, tail = json.dumps(rating, sort_keys=True, ensure_ascii=False).partition("\\u0000")
        before, _, after = encode(rating).partition("\\u0000")
        price = self._prices[at] = _Price(
            terms,
            timing,
            f'"{rates_key}":{encode(rates_of(terms.slots, tor, wire=True))}',
            f'"{timings_key}":{encode(timing_of(timing))}',
            head,
            tail,
            (before, after),
            _amount(terms.connect_fee),
        )
        return price

    def _filter(self, at: tuple[str, str, str, str]) -> tuple[str, str]:
        if len(self._filters) >= _KEPT:
            self._filters.clear()
        names = ("DestinationID", "DestinationPrefix", "RatingPlanID", "Subject")
        value = dict(zip(names, at, strict=True))
        key = key_of(value)
        found = self._filters[at] = (key, f'"{key}":{encode(value)}')
        return found


def _amount(value: Fraction | Decimal) -> str:
    amount = number(value)
    return str(amount) if isinstance(amount, int) else go_float(amount)


def _sorted(members: dict[str, str]) -> str:
    if len(members) == 1:
        return next(iter(members.values()))
    return ",".join(text for _, text in sorted(members.items()))
