"""``EventCost`` as JSON text, written from parts that are kept.

Two calls of one tariff differ in a few figures: the rates, the timing and most of the rating are
those of the price, which many calls have. Their text and their keys are made once for each price;
and a call that one price covers from end to end, as nearly all are, needs no ``Cost`` in between.
What comes out is ``encode(event_cost(price(…), wire=True))`` to the letter, in a fraction of the
time; a property test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from trunkline.jsonrpc import Raw, encode, go_float
from trunkline.rating.call import VOICE, Call
from trunkline.rating.cost import Cost, Exact, Precision, price
from trunkline.rating.index import DAY, Slot, Terms
from trunkline.rating.model import DEFAULT_TENANT, Timing
from trunkline.rating.number import Where, amount_of, rounded, single
from trunkline.rating.result import (
    event_cost,
    key_of,
    number,
    rates_of,
    start_of,
    timing_of,
)
from trunkline.rating.tariff import Tariff

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
    slots: tuple[tuple[Slot, str], ...]
    """The slots, and what one increment of each costs."""

    def rating(self, filters: str) -> tuple[str, str]:
        """The key of the rating with the filters of that key, and the member of ``Rating``."""
        digest = f"{self.head}{filters}{self.tail}".encode("utf-8", "surrogatepass")
        key = hashlib.sha256(digest).hexdigest()[:_DIGITS]
        return key, f'"{key}":{self.shown[0]}{filters}{self.shown[1]}'


class EventCosts:
    """Writes the costs of one tariff."""

    def __init__(self) -> None:
        self._prices: dict[tuple[int, int, str], _Price] = {}
        self._filters: dict[tuple[str, str, str, str], tuple[str, str]] = {}

    def priced(self, tariff: Tariff, call: Call, precision: Precision) -> Raw:
        """The answer of ``APIerSv1.GetCost``.

        Raises:
            RatingError: the call has no price.
        """
        if isinstance(precision, Exact) and (text := self._at_once(tariff, call)) is not None:
            return text
        return self.text(price(tariff, call, precision, reasons=False))

    def _at_once(self, tariff: Tariff, call: Call) -> Raw | None:
        """The answer where one price covers the call; None where finding it takes longer."""
        where: list[Where] = []
        entry = single(tariff, call, where)
        if entry is None:
            return None
        usage, tor = call.usage, call.tor or VOICE
        amount = amount_of(entry, usage)
        if amount is None or (tor == VOICE and _meets_midnight(tariff, call)):
            return None
        terms = entry.terms
        at = (id(terms), id(entry.timing), tor)
        kept = self._prices.get(at) or self._price(at, terms, entry.timing)
        [(profile, active, prefix, destination)] = where
        subject = f"*out:{profile.tenant}:{profile.category}:{profile.subject}"
        place = (destination, prefix, active.plan.id, subject)
        filters_key, filters = self._filters.get(place) or self._filter(place)
        key, rating = kept.rating(filters_key)
        charges: list[str] = []
        reached = 0
        for slot, cost in kept.slots:
            to = usage if slot.end is None or usage < slot.end else slot.end
            if to > reached:
                count = -((reached - to) // slot.increment)
                reached += count * slot.increment
                increment = _increment(count, cost, slot.increment)
                if not charges:
                    increment = f"{_increment(1, kept.fee, 0)},{increment}"
                charges.append(_charge(increment, key))
        return _event_cost(
            charges,
            _scaled(rounded(terms, amount), terms),
            (kept.rates, rating, filters, kept.timings),
            start_of(call),
            reached,
        )

    def text(self, cost: Cost) -> Raw:
        """The answer for a cost that is known."""
        rates: dict[str, str] = {}
        ratings: dict[str, str] = {}
        filters: dict[str, str] = {}
        timings: dict[str, str] = {}
        charges: list[str] = []
        billed = 0
        tor = cost.call.tor
        alike = False
        for span in cost.spans:
            entry, match = span.entry, span.match
            at = (id(entry.terms), id(entry.timing), tor)
            kept = self._prices.get(at) or self._price(at, entry.terms, entry.timing)
            place = (
                match.group.destination_id,
                match.prefix,
                match.active.plan.id,
                match.subject_key,
            )
            filters_key, filter_text = self._filters.get(place) or self._filter(place)
            key, rating = kept.rating(filters_key)
            for table, own, text in (
                (rates, kept.rates[1 : _DIGITS + 1], kept.rates),
                (timings, kept.timings[1 : _DIGITS + 1], kept.timings),
                (filters, filters_key, filter_text),
                (ratings, key, rating),
            ):
                alike |= table.setdefault(own, text) != text
            increments = []
            if not charges:
                increments.append(_increment(1, kept.fee if cost.connect_fee else "0", 0))
            if span.count:
                usage = span.slot.increment
                billed += usage * span.count
                increments.append(_increment(span.count, _amount(span.price), usage))
            charges.append(_charge(",".join(increments), key))
        if alike:  # two digests begin alike
            return Raw(encode(event_cost(cost, wire=True)))
        return _event_cost(
            charges,
            _amount(cost.event_total),
            (_sorted(rates), _sorted(ratings), _sorted(filters), _sorted(timings)),
            start_of(cost.call),
            billed,
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
        found = self._prices[at] = _Price(
            terms,
            timing,
            f'"{rates_key}":{encode(rates_of(terms.slots, tor, wire=True))}',
            f'"{timings_key}":{encode(timing_of(timing))}',
            head,
            tail,
            (before, after),
            _amount(terms.connect_fee),
            tuple((slot, _amount(Fraction(slot.price, terms.denominator))) for slot in terms.slots),
        )
        return found

    def _filter(self, at: tuple[str, str, str, str]) -> tuple[str, str]:
        if len(self._filters) >= _KEPT:
            self._filters.clear()
        names = ("DestinationID", "DestinationPrefix", "RatingPlanID", "Subject")
        value = dict(zip(names, at, strict=True))
        key = key_of(value)
        found = self._filters[at] = (key, f'"{key}":{encode(value)}')
        return found


def _meets_midnight(tariff: Tariff, call: Call) -> bool:
    """Whether the local clock may pass midnight, or jump, during the call: there it is cut."""
    zone = tariff.zone(call.tenant or DEFAULT_TENANT)
    utc = call.time.astimezone(UTC)
    local = utc if zone is UTC else utc.astimezone(zone)
    second = (local.hour * 60 + local.minute) * 60 + local.second
    if (second * 1_000_000 + local.microsecond) * 1_000 + call.usage > DAY:
        return True
    if zone is UTC:
        return False
    hung_up = (utc + timedelta(microseconds=call.usage // 1_000)).astimezone(zone)
    return hung_up.utcoffset() != local.utcoffset()


def _increment(count: int, cost: str, usage: int) -> str:
    return f'{{"AccountingID":"","CompressFactor":{count},"Cost":{cost},"Usage":{usage}}}'


def _charge(increments: str, key: str) -> str:
    return f'{{"CompressFactor":1,"Increments":[{increments}],"RatingID":"{key}"}}'


def _event_cost(
    charges: list[str], cost: str, tables: tuple[str, str, str, str], start: str, usage: int
) -> Raw:
    rates, ratings, filters, timings = tables
    return Raw(
        f'{{"AccountSummary":null,"Accounting":{{}},"CGRID":"","Charges":[{",".join(charges)}],'
        f'"Cost":{cost},"Rates":{{{rates}}},"Rating":{{{ratings}}},"RatingFilters":{{{filters}}},'
        f'"RunID":"","StartTime":"{start}","Timings":{{{timings}}},"Usage":{usage}}}'
    )


def _scaled(value: int, terms: Terms) -> str:
    """``value`` units of the last decimal."""
    whole, rest = divmod(value, terms.power)
    return str(whole) if not rest else go_float(value / terms.power)


def _amount(value: Fraction | Decimal) -> str:
    amount = number(value)
    return str(amount) if isinstance(amount, int) else go_float(amount)


def _sorted(members: dict[str, str]) -> str:
    if len(members) == 1:
        return next(iter(members.values()))
    return ",".join(text for _, text in sorted(members.items()))
