"""The batch kernel: the price alone of very many calls at once, over columns.

The rules and the integers are those of ``number.price_number``; here they are applied to arrays.
What one price covers from end to end (nearly everything) is answered; whatever is less usual (a
number that is not all digits, a call over a change of timing or plan, fallback subjects, several
IDs on one prefix, a ``*free`` maximum, sums that 64 bits do not hold, a refusal) is left open, for
the caller to price one by one. A property test holds the two together.

Prefixes are looked up as numbers: the prefixes that have a price in a plan are laid out as
intervals that do not overlap, over numbers of 18 digits, so that the longest prefix of a million
calls is one binary search over a sorted array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trunkline.rating.call import FIRST_YEAR, VOICE, epoch_nanoseconds
from trunkline.rating.clock import offset_runs
from trunkline.rating.index import (
    ALWAYS_ACTIVE,
    DAY,
    DayTable,
    Entry,
    Group,
    Plan,
    Segments,
    Terms,
)
from trunkline.rating.model import ANY
from trunkline.rating.rounding import RoundingMethod
from trunkline.rating.tariff import Tariff

__all__ = ["DIGITS", "Batch", "Kernel", "Priced"]

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

DIGITS = 18
"""Digits of a number that count. No tariff's prefix is longer and still looked up here."""

_LARGEST = 2**62
_NEVER = np.iinfo(np.int64).max
_OPEN = -1
_EPOCH_ORDINAL = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
_EARLIEST = epoch_nanoseconds(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
_ROUNDINGS = {RoundingMethod.UP: 0, RoundingMethod.MIDDLE: 1, RoundingMethod.DOWN: 2}


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls as columns of the same length, all of one tenant and type of record."""

    tenant: str
    tor: str
    """``*voice``, ``*data``, …"""
    profile: Ints
    """For each call the position of its (category, subject) in ``profiles``; -1: it has none."""
    profiles: Sequence[tuple[str, str]]
    number: Ints
    """The first `DIGITS` digits of the destination, filled up with zeros; -1: not all are digits.
    """
    length: Ints
    """How many characters the destination has."""
    time: Ints
    """When it was answered, nanoseconds since the epoch."""
    usage: Ints


@dataclass(frozen=True, slots=True)
class Priced:
    """What was found: ``amount`` is money in units of 10 to the minus ``decimals``."""

    amount: Ints
    found: Flags
    """False: price this call by itself."""
    decimals: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """A plan's prefixes as intervals: of what begins at ``starts[k]`` the price is ``held[k]``."""

    starts: Ints
    held: Ints
    """A position in ``_prices``, or `_OPEN`."""
    lengths: Ints
    """Of the prefix: a shorter number does not have it."""


class Kernel:
    """Prices batches of calls by one tariff. It holds no state beside the tariff's layout."""

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self._prices: list[Entry | Group] = []
        """All prices of all plans that were asked for."""
        self._price_numbers: dict[int, int] = {}
        self._layouts: dict[str, _Layout] = {}
        self._terms: list[Terms] = []
        self._term_numbers: dict[int, int] = {}
        self._tables: list[DayTable] = []
        self._table_numbers: dict[int, int] = {}
        for plan in tariff.index.plans.values():
            for held in plan.prices.values():
                for entry in (held,) if isinstance(held, Entry) else held.entries:
                    self._number_terms(entry.terms)
        self.decimals = max((terms.decimals for terms in self._terms), default=0)
        self._arrange_terms()

    # What a tariff is laid out as

    def _number_terms(self, terms: Terms) -> int:
        number = self._term_numbers.get(id(terms))
        if number is None:
            number = self._term_numbers[id(terms)] = len(self._terms)
            self._terms.append(terms)
        return number

    def _arrange_terms(self) -> None:
        """All terms' numbers as arrays; those that 64 bits do not hold get a limit of 0."""
        terms = self._terms
        slots = max((len(each.slots) for each in terms), default=1)
        shape = (slots, max(len(terms), 1))
        self._end = np.full(shape, _NEVER)
        self._increment = np.ones(shape, np.int64)
        self._price = np.zeros(shape, np.int64)
        self._fee, self._denominator, self._power, self._scale, self._limit = (
            np.zeros(shape[1], np.int64) for _ in range(5)
        )
        self._rounding = np.zeros(shape[1], np.int64)
        self._slots = slots
        for number, each in enumerate(terms):
            limit = _usage_limit(each, self.decimals)
            self._limit[number] = limit
            if not limit:
                self._denominator[number] = self._power[number] = self._scale[number] = 1
                continue
            for position, slot in enumerate(each.slots):
                self._end[position, number] = _NEVER if slot.end is None else slot.end
                self._increment[position, number] = slot.increment
                self._price[position, number] = slot.price
            for position in range(len(each.slots), slots):
                self._end[position, number] = 0
            self._fee[number] = each.fee
            self._denominator[number] = each.denominator
            self._power[number] = each.power
            self._scale[number] = 10 ** (self.decimals - each.decimals)
            self._rounding[number] = _ROUNDINGS[each.rounding]

    def _number_price(self, held: Entry | Group) -> int:
        number = self._price_numbers.get(id(held))
        if number is None:
            number = self._price_numbers[id(held)] = len(self._prices)
            self._prices.append(held)
        return number

    def _layout(self, plan: Plan) -> _Layout:
        layout = self._layouts.get(plan.id)
        if layout is None:
            layout = self._layouts[plan.id] = self._lay_out(plan)
        return layout

    def _lay_out(self, plan: Plan) -> _Layout:
        base = plan.prices.get(ANY)
        under = (0, _OPEN if base is None else self._number_price(base))
        found: list[tuple[int, int, int, int]] = []  # start, length, end, price
        for prefix, tag in self.tariff.index.prefixes.items():
            if isinstance(tag, str):
                held = plan.prices.get(tag)
                if held is None:
                    continue
                number = self._number_price(held)
            else:
                number = _OPEN
            if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= DIGITS):
                continue  # no number of digits alone begins so
            width = 10 ** (DIGITS - len(prefix))
            first = int(prefix) * width
            found.append((first, len(prefix), first + width, number))
        found.sort()
        starts, held_at, lengths = [0], [under[1]], [0]

        def begin(at: int, price: int, length: int) -> None:
            if starts[-1] == at:
                held_at[-1], lengths[-1] = price, length
            else:
                starts.append(at)
                held_at.append(price)
                lengths.append(length)

        inside: list[tuple[int, int, int]] = []  # end, price, length
        for first, length, end, price in found:
            while inside and inside[-1][0] <= first:
                ended = inside.pop()[0]
                begin(ended, *(inside[-1][1:] if inside else (under[1], 0)))
            begin(first, price, length)
            inside.append((end, price, length))
        while inside:
            ended = inside.pop()[0]
            begin(ended, *(inside[-1][1:] if inside else (under[1], 0)))
        return _Layout(np.array(starts), np.array(held_at), np.array(lengths))

    # Pricing

    def price(self, batch: Batch) -> Priced:
        """The prices of a batch, as far as they are usual."""
        count = len(batch.number)
        price = np.full(count, _OPEN)
        if max(self.tariff.index.lengths, default=0) <= DIGITS:
            order = np.argsort(batch.profile, kind="stable")
            bounds = np.searchsorted(batch.profile[order], np.arange(len(batch.profiles) + 1))
            for position, (category, subject) in enumerate(batch.profiles):
                rows = order[bounds[position] : bounds[position + 1]]
                if len(rows):
                    self._look_up(batch, rows, category, subject, price)
        found = price != _OPEN
        found &= (batch.usage > 0) & (batch.usage <= self.tariff.usage_limit(batch.tor))
        found &= batch.time >= _EARLIEST
        entries = self._entries(batch, price, found)
        return self._sum_up(batch.usage, entries, found)

    def _look_up(
        self,
        batch: Batch,
        rows: Ints,
        category: str,
        subject: str,
        price: Ints,
    ) -> None:
        profiles = self.tariff.index.profiles
        profile = profiles.get((batch.tenant, category, subject)) or profiles.get(
            (batch.tenant, category, ANY)
        )
        if profile is None or profile.only is None:
            return
        active = profile.only
        if active.time != ALWAYS_ACTIVE:
            rows = rows[batch.time[rows] >= epoch_nanoseconds(active.time)]
        layout = self._layout(active.plan)
        number = batch.number[rows]
        at = np.searchsorted(layout.starts, number, "right") - 1
        # Filled up with zeros, a number that is too short may seem to have a longer prefix.
        usual = (number >= 0) & (
            (layout.lengths[at] <= batch.length[rows]) & (batch.length[rows] >= 1)
        )
        price[rows] = np.where(usual, layout.held[at], _OPEN)

    def _entries(self, batch: Batch, price: Ints, found: Flags) -> Ints:
        """For each call the number of its terms, or `_OPEN`."""
        steady = np.full(max(len(self._prices), 1), _OPEN)
        timed: dict[int, list[int]] = {}
        tables: dict[int, DayTable] = {}
        for number, held in enumerate(self._prices):
            entry = held if isinstance(held, Entry) else held.steady
            if entry is not None:
                steady[number] = self._term_numbers[id(entry.terms)]
            else:
                assert isinstance(held, Group)
                assert held.table is not None
                timed.setdefault(id(held.table), []).append(number)
                tables[id(held.table)] = held.table
        terms = np.where(found, steady[price], _OPEN)
        if timed:
            asked = found & (terms == _OPEN)
            for key, numbers in timed.items():
                of_table = np.zeros(len(self._prices), np.bool_)
                of_table[numbers] = True
                rows = np.nonzero(asked & of_table[price])[0]
                if len(rows):
                    self._time(batch, rows, tables[key], numbers, price, terms)
        found &= terms != _OPEN
        return terms

    def _time(
        self,
        batch: Batch,
        rows: Ints,
        table: DayTable,
        numbers: Sequence[int],
        price: Ints,
        terms: Ints,
    ) -> None:
        """Choose where prices change with the hour; what runs into a change stays open."""
        zone = self.tariff.zone(batch.tenant)
        time = batch.time[rows]
        usage = batch.usage[rows] if batch.tor == VOICE else np.zeros(len(rows), np.int64)
        first, last = int(time.min()), int(time.max() + usage.max()) + 1
        runs = offset_runs(zone, first, last)
        until = np.array([end for end, _ in runs])
        run = np.minimum(np.searchsorted(until, time, "right"), len(runs) - 1)
        local = time + np.array([offset for _, offset in runs])[run]
        day, of_day = np.divmod(local, DAY)
        ends = of_day + usage
        steady_clock = time + usage < until[run]
        winners = self._winners(table, numbers)
        choice = np.full(len(rows), _OPEN)
        kept: dict[int, Segments] = {}
        days, of_which = np.unique(day, return_inverse=True)
        kinds = np.empty(len(days), np.int64)
        for position, each in enumerate(days.tolist()):
            segments = table.day(each + _EPOCH_ORDINAL)
            kinds[position] = id(segments)
            kept[id(segments)] = segments
        kind = kinds[of_which]
        for key, segments in kept.items():
            segment_ends = np.array([end for end, _ in segments])
            who = np.array([_OPEN if winner is None else winner for _, winner in segments])
            here = np.nonzero(kind == key)[0]
            at = np.minimum(np.searchsorted(segment_ends, of_day[here], "right"), len(who) - 1)
            usual = (ends[here] <= segment_ends[at]) & steady_clock[here]
            choice[here] = np.where(usual, who[at], _OPEN)
        chosen = choice != _OPEN
        terms[rows] = np.where(chosen, winners[price[rows], choice], _OPEN)

    def _winners(self, table: DayTable, numbers: Sequence[int]) -> Ints:
        """By price and winning position, the number of the terms."""
        found = np.full((len(self._prices), len(table.timings)), _OPEN)
        for number in numbers:
            held = self._prices[number]
            assert isinstance(held, Group)
            for position, entry in enumerate(held.entries):
                found[number, position] = self._term_numbers[id(entry.terms)]
        return found

    def _sum_up(self, usage: Ints, terms: Ints, found: Flags) -> Priced:
        """Fee and increments in parts of the denominator, rounded as the tariff says."""
        found &= usage <= self._limit[terms]
        amount = self._fee[terms]
        reached = np.zeros(len(usage), np.int64)
        for position in range(self._slots):
            increment = self._increment[position][terms]
            rest = np.minimum(usage, self._end[position][terms]) - reached
            count = np.maximum(-(-rest // increment), 0)
            amount += count * self._price[position][terms]
            if position + 1 < self._slots:
                reached += count * increment
        denominator = self._denominator[terms]
        whole, rest = np.divmod(amount * self._power[terms], denominator)
        rounding = self._rounding[terms]
        more = (rest > 0) & ((rounding == 0) | ((rounding == 1) & (2 * rest >= denominator)))
        whole += more
        return Priced(whole * self._scale[terms], found, self.decimals)


def _usage_limit(terms: Terms, decimals: int) -> int:
    """Up to which usage all sums stay within 62 bits; 0: these terms are priced elsewhere."""
    if terms.free_after is not None:
        return 0
    factor = terms.power * 10 ** (decimals - terms.decimals)
    # Each slot may bill one increment more than the usage that it has.
    most = terms.fee + sum(slot.price for slot in terms.slots)
    if 2 * terms.denominator >= _LARGEST or most * factor >= _LARGEST:
        return 0
    reach = _LARGEST - sum(slot.increment for slot in terms.slots)
    steepest = max(Fraction(slot.price, slot.increment) for slot in terms.slots)
    if steepest:
        reach = min(reach, int((Fraction(_LARGEST, factor) - most) / steepest))
    return max(reach - 1, 0)
