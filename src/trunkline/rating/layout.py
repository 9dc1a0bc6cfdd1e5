"""A tariff as arrays, for the batch kernel: terms, profiles, prefixes and the hours of the day.

All look-ups are binary searches over sorted arrays: a number among intervals that do not overlap,
one for each prefix with a price; a time among the moments when a price or a plan changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from math import gcd, lcm

import numpy as np

from trunkline.rating.call import epoch_nanoseconds
from trunkline.rating.columns import (
    CHARACTERS,
    YEAR_BITS,
    Ints,
    Offsets,
    among,
    number_interval,
    ranks,
)
from trunkline.rating.durations import SECOND
from trunkline.rating.index import DAY, DayTable, Entry, Group, Index, Plan, Profile, Terms
from trunkline.rating.model import ANY
from trunkline.rating.rounding import RoundingMethod

__all__ = [
    "DOWN",
    "LARGEST",
    "MIDDLE",
    "NEVER",
    "NONE",
    "OPEN",
    "UP",
    "Activations",
    "Prefixes",
    "Prices",
    "Schedule",
    "by_value",
]

LARGEST = 2**62
"""What sums stay below."""
NEVER = 2**63 - 1
OPEN = -1
"""No answer here: the engine may have one."""
NONE = -2
"""No price."""
_MOST_DECIMALS = 15
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
UP, MIDDLE, DOWN = range(3)
_ROUNDINGS = {RoundingMethod.UP: UP, RoundingMethod.MIDDLE: MIDDLE, RoundingMethod.DOWN: DOWN}


# What it costs


class Prices:
    """All prices of a tariff by number: first its terms, then what changes with the hour.

    The arrays of the terms have a row for each slot, where they have several, and a column for
    each terms. Those that 64 bits do not hold have a usage limit of 0.
    """

    def __init__(self, plans: Iterable[Plan]) -> None:
        terms: dict[int, Terms] = {}
        groups: list[Group] = []
        for plan in plans:
            for held in plan.prices.values():
                for entry in (held,) if isinstance(held, Entry) else held.entries:
                    terms[id(entry.terms)] = entry.terms
                if isinstance(held, Group) and held.steady is None:
                    groups.append(held)
        self._terms = {key: number for number, key in enumerate(terms)}
        self.count = len(terms)
        """How many terms there are; a price that is not below it changes with the hour."""
        self._arrange_terms(list(terms.values()))

        tables: dict[int, DayTable] = {}
        self._groups: dict[int, int] = {}
        table_of: list[int] = []
        first: list[int] = []
        winners: list[int] = []
        for group in groups:
            assert group.table is not None
            tables.setdefault(id(group.table), group.table)
            self._groups[id(group)] = self.count + len(first)
            first.append(len(winners))
            winners += (self._terms[id(entry.terms)] for entry in group.entries)
        numbers = {key: number for number, key in enumerate(tables)}
        table_of = [numbers[id(group.table)] for group in groups]
        self.tables = tuple(tables.values())
        self.table_of = np.array(table_of, np.int64)
        self.first_winner = np.array(first, np.int64)
        self.winners = np.array(winners, np.int64)
        """From the first winner of a price on, the terms of each of its entries."""

    def _arrange_terms(self, terms: Sequence[Terms]) -> None:
        self.places = max((each.decimals for each in terms), default=0)
        """Decimals that a price may have."""
        decimals = [_exact_decimals(each) for each in terms]
        self.decimals = max((each for each in decimals if each <= _MOST_DECIMALS), default=0)
        """Decimals of the amounts here."""
        self.slots = max((len(each.slots) for each in terms), default=1)
        shape = (self.slots, max(len(terms), 1))
        self.end = np.zeros(shape, np.int64)
        self.increment = np.ones(shape, np.int64)
        self.price = np.zeros(shape, np.int64)
        self.limit = np.zeros(shape[1], np.int64)
        """The highest usage for which no sum leaves 62 bits; 0: not here."""
        self.fee = np.zeros(shape[1], np.int64)
        self.denominator = np.ones(shape[1], np.int64)
        self.power, self.divisor, self.scale = (np.ones(shape[1], np.int64) for _ in range(3))
        """A sum by the power and the divisor is rounded, and then scaled: an amount."""
        self.rounding = np.zeros(shape[1], np.int64)
        self.asked_decimals = np.array([each.decimals for each in terms] or [0], np.int64)
        self.maximum = np.full(shape[1], LARGEST)
        """What a sum never exceeds, in parts of the denominator."""
        self.capped = np.zeros(shape[1], np.bool_)
        for number, (each, places) in enumerate(zip(terms, decimals, strict=True)):
            free_after = each.free_after
            denominator = lcm(each.denominator, 1 if free_after is None else free_after.denominator)
            limit = _usage_limit(each, denominator, places, self.decimals)
            self.limit[number] = limit
            if not limit:
                continue
            times = denominator // each.denominator
            for position, slot in enumerate(each.slots):
                self.end[position, number] = NEVER if slot.end is None else slot.end
                self.increment[position, number] = slot.increment
                self.price[position, number] = slot.price * times
            self.fee[number] = each.fee * times
            self.denominator[number] = denominator
            common = gcd(10**places, denominator)
            self.power[number] = 10**places // common
            self.divisor[number] = denominator // common
            self.scale[number] = 10 ** (self.decimals - places)
            self.rounding[number] = _ROUNDINGS[each.rounding]
            if free_after is not None:
                self.maximum[number] = int(free_after * denominator)
                self.capped[number] = True

    def number(self, held: Entry | Group) -> int:
        """Of a price of a plan."""
        entry = held if isinstance(held, Entry) else held.steady
        return self._groups[id(held)] if entry is None else self._terms[id(entry.terms)]


def _exact_decimals(terms: Terms) -> int:
    """To how many decimals a price is rounded, or fewer that hold any exactly."""
    left, places = terms.denominator, 0
    while left % 10 == 0:
        left, places = left // 10, places + 1
    while places < terms.decimals and 10**places % terms.denominator:
        places += 1
    return min(places, terms.decimals)


def _usage_limit(terms: Terms, denominator: int, places: int, decimals: int) -> int:
    """Up to which usage all sums stay within 62 bits; 0: these terms are priced elsewhere."""
    if places > decimals:
        return 0
    # What becomes of one part of the denominator: before the division, and after the scaling.
    power = 10**places // gcd(10**places, denominator)
    factor = max(Fraction(power), Fraction(10**decimals, denominator))
    times = denominator // terms.denominator
    # Each slot may bill one increment more than the usage that it has.
    most = (terms.fee + sum(slot.price for slot in terms.slots)) * times
    most = max(most, int((terms.free_after or 0) * denominator))
    room = LARGEST / factor - most - 1
    if 2 * denominator >= LARGEST or room <= 0:
        return 0
    reach = LARGEST - sum(slot.increment for slot in terms.slots)
    steepest = max(Fraction(slot.price * times, slot.increment) for slot in terms.slots)
    if steepest:
        reach = min(reach, int(room / steepest))
    return max(reach - 1, 0)


# Whose it is


class Activations:
    """The plans of all profiles by number, those of one profile one after another."""

    def __init__(
        self, profiles: Mapping[tuple[str, str, str], Profile], plans: Iterable[Plan]
    ) -> None:
        plan_numbers = {plan.id: number for number, plan in enumerate(plans)}
        numbers = {key: number for number, key in enumerate(profiles)}
        plan: list[int] = []
        self.fallbacks: list[tuple[int, ...]] = []
        """Profiles that are asked where the plan has no price."""
        starts: list[int] = []
        owner: list[int] = []
        always: list[int] = []
        for number, profile in enumerate(profiles.values()):
            of = profile.tenant, profile.category
            activations = profile.activations
            only = len(activations) == 1 and activations[0].time.year == 1
            always.append(len(plan) if only else OPEN)
            for each in activations:
                plan.append(plan_numbers[each.plan.id])
                others = (numbers.get((*of, subject)) for subject in each.fallbacks)
                self.fallbacks.append(tuple(other for other in others if other is not None))
                starts.append(min(max(epoch_nanoseconds(each.time), -LARGEST), NEVER))
                owner.append(number)
        self._always = np.array(always or [OPEN], np.int64)
        """For each profile its activation, where it has one and that one for ever."""
        self.plan = np.array(plan or [OPEN], np.int64)
        self.has_fallbacks = np.array([*map(bool, self.fallbacks)] or [False], np.bool_)
        self.profile = owners = np.array(owner, np.int64)
        start = np.array(starts, np.int64)
        self.until = np.full(max(len(plan), 1), NEVER)
        same = owners[1:] == owners[:-1]
        self.until[: len(same)] = np.where(same, start[1:], NEVER)
        self._starts = np.unique(start)
        # A profile and the rank of a time among all, as one number.
        self._keys = (owners << 32) + np.searchsorted(self._starts, start)

    def at(self, profile: Ints, time: Ints) -> Ints:
        """The activation in force; `OPEN` where there is none."""
        found = np.where(profile >= 0, self._always.take(profile, mode="clip"), OPEN)
        rows = np.nonzero((found == OPEN) & (profile >= 0))[0]
        if len(rows):
            owner = profile[rows]
            place = ranks(self._keys, (owner << 32) + ranks(self._starts, time[rows]))
            own = (place >= 0) & (self._keys.take(place, mode="clip") >> 32 == owner)
            found[rows] = np.where(own, place, OPEN)
        return found


# For which number


@dataclass(frozen=True, slots=True)
class _Intervals:
    """What begins at ``starts[k]`` has the place ``places[k]`` in a tree of prefixes.

    A place is what a prefix stands for below the shorter ones that it begins with; the first is
    that of all numbers.
    """

    starts: Ints
    places: Ints
    tags_of: Ints
    """For each place the destination IDs, as a position in ``tags``."""
    above: Ints
    """For each place that of the next shorter prefix; `NONE`: it is the first."""
    tags: tuple[tuple[str, ...], ...]


class Prefixes:
    """Longest prefixes: for each plan the price of every number."""

    def __init__(self, index: Index, prices: Prices) -> None:
        self._index = index
        self._prices = prices
        self._plans = tuple(index.plans.values())
        self._intervals: dict[frozenset[str], _Intervals] = {}
        """Plans that have prices for the same destinations share them."""
        self._found: dict[int, tuple[_Intervals, Ints]] = {}
        self.odd = any(
            number_interval(prefix) is None
            for prefix in index.prefixes
            if not (prefix.isascii() and prefix.isdigit())
        )
        """Whether there are prefixes of what is no number."""

    def look_up(self, plan: Ints, number: Ints) -> tuple[Ints, Ints]:
        """Prices, and their places: `NONE` where there is none, `OPEN` where a plan is below 0."""
        price, place = np.full(len(plan), OPEN), np.full(len(plan), OPEN)
        for each, rows in by_value(plan):
            if each >= 0:
                intervals, prices = self._plan(each)
                here = intervals.places.take(ranks(intervals.starts, number[rows]))
                place[rows] = here
                price[rows] = prices.take(intervals.tags_of.take(here))
        return price, place

    def shorter(self, plan: Ints, place: Ints) -> tuple[Ints, Ints]:
        """The same of the next shorter prefixes."""
        price, above = np.full(len(plan), NONE), np.full(len(plan), NONE)
        for each, rows in by_value(plan):
            intervals, prices = self._plan(each)
            here = above[rows] = intervals.above.take(place[rows])
            held = prices.take(intervals.tags_of.take(here, mode="clip"))
            price[rows] = np.where(here == NONE, NONE, held)
        return price, above

    def _plan(self, number: int) -> tuple[_Intervals, Ints]:
        found = self._found.get(number)
        if found is None:
            plan = self._plans[number]
            tags = frozenset(plan.prices)
            intervals = self._intervals.get(tags)
            if intervals is None:
                intervals = self._intervals[tags] = self._lay_out(plan)
            price = np.array([self._price(plan, each) for each in intervals.tags])
            found = self._found[number] = intervals, price
        return found

    def _price(self, plan: Plan, tags: tuple[str, ...]) -> int:
        """Of several destinations with one prefix the heaviest, if it is so at any hour."""
        best: Entry | None = None
        for tag in tags:
            held = plan.prices.get(tag)
            if held is None:
                return NONE
            if len(tags) == 1:
                return self._prices.number(held)
            entry = held if isinstance(held, Entry) else held.steady
            if entry is None:
                return OPEN
            if best is None or entry.weight > best.weight:
                best = entry
        return OPEN if best is None else self._prices.number(best)

    def _lay_out(self, plan: Plan) -> _Intervals:
        tags: dict[tuple[str, ...], int] = {(ANY,): 0, (): 1}  # what every number has; open
        found: list[tuple[int, int, int, int]] = []  # start, length, end, tags
        for prefix, named in self._index.prefixes.items():
            several = (named,) if isinstance(named, str) else named
            chosen = tuple(tag for tag in several if tag in plan.prices)
            interval = number_interval(prefix) if chosen else None
            if interval is not None:
                if len(prefix) > CHARACTERS:
                    chosen = ()
                number = tags.setdefault(chosen, len(tags))
                found.append((interval[0], len(prefix), interval[1], number))
        found.sort()
        starts, held = [0], [0]
        places: dict[tuple[int, int], int] = {(0, NONE): 0}  # tags, and the place above

        def begin(at: int, place: int) -> None:
            if starts[-1] == at:
                held[-1] = place
            elif held[-1] != place:
                starts.append(at)
                held.append(place)

        inside: list[tuple[int, int]] = []  # end, place
        for first, _, end, number in found:
            while inside and inside[-1][0] <= first:
                ended = inside.pop()[0]
                begin(ended, inside[-1][1] if inside else 0)
            place = places.setdefault((number, inside[-1][1] if inside else 0), len(places))
            begin(first, place)
            inside.append((end, place))
        while inside:
            ended = inside.pop()[0]
            begin(ended, inside[-1][1] if inside else 0)
        tags_of, above = np.array(list(places)).T.copy()
        return _Intervals(np.array(starts), np.array(held), tags_of, above, tuple(tags))


def by_value(values: Ints) -> Iterator[tuple[int, Ints]]:
    """Each value and its rows."""
    if not len(values):
        return
    first = int(values[0])
    if bool((values == first).all()):
        yield first, np.arange(len(values))
        return
    order = np.argsort(values)
    ordered = values[order]
    bounds = [0, *(np.nonzero(np.diff(ordered))[0] + 1).tolist(), len(values)]
    for start, end in pairwise(bounds):
        yield int(ordered[start]), order[start:end]


# At which hour


@dataclass(frozen=True, slots=True)
class _Moments:
    """From ``keys[k]`` on ``winners[k]`` holds. A key is a table and seconds since the epoch."""

    tables: frozenset[int]
    years: frozenset[int]
    keys: Ints
    winners: Ints


class Schedule:
    """When which price of each day table wins, in one time zone."""

    _TABLE_BITS = 36
    _ZERO = 2**35  # so that no time within its bits is negative
    _KEPT = 4096  # years and tables; beyond it, it starts afresh

    def __init__(self, tables: Sequence[DayTable], offsets: Offsets) -> None:
        self._tables = tables
        self._offsets = offsets
        self._years: dict[tuple[int, int], tuple[Ints, Ints]] = {}
        self._moments = _Moments(frozenset(), frozenset(), *(np.zeros(0, np.int64),) * 2)

    def at(self, table: Ints, time: Ints) -> tuple[Ints, Ints]:
        """The position of the winner (-1: none holds), and in nanoseconds until when it is so.

        The moment given may be an earlier one, where nothing changes.
        """
        seconds = time // SECOND
        moments = self._cover(among(table), among(seconds >> YEAR_BITS))
        place = ranks(moments.keys, (table << self._TABLE_BITS) + (seconds + self._ZERO))
        until = moments.keys.take(place + 1) & (2**self._TABLE_BITS - 1)
        return moments.winners.take(place), (until - self._ZERO) * SECOND

    def _cover(self, tables: frozenset[int], years: frozenset[int]) -> _Moments:
        kept = self._moments
        if tables <= kept.tables and years <= kept.years:
            return kept
        if len(tables | kept.tables) * len(years | kept.years) <= self._KEPT:
            tables, years = tables | kept.tables, years | kept.years
        keys: list[Ints] = []
        winners: list[Ints] = []
        for table in sorted(tables):
            base = (table << self._TABLE_BITS) + self._ZERO
            for year in sorted(years):
                starts, won = self._year(table, year)
                keys.append(base + starts)
                winners.append(won)
                if year + 1 not in years:
                    keys.append(np.array([base + ((year + 1) << YEAR_BITS)]))
                    winners.append(np.array([OPEN]))
        moments = _Moments(tables, years, np.concatenate(keys), np.concatenate(winners))
        self._moments = moments
        return moments

    def _year(self, table: int, year: int) -> tuple[Ints, Ints]:
        found = self._years.get((table, year))
        if found is None:
            if len(self._years) >= self._KEPT:
                self._years.clear()
            found = self._years[table, year] = self._changes(table, year)
        return found

    def _changes(self, table: int, year: int) -> tuple[Ints, Ints]:
        """The moments of one year when another price begins to win, the first one included."""
        starts: list[int] = []
        winners: list[int] = []
        at = (year << YEAR_BITS) * SECOND
        day_of = self._tables[table].day
        for until, offset in self._offsets.runs(year):
            while at < until:
                days, of_day = divmod(at + offset, DAY)
                for end, winner in day_of(days + _EPOCH_ORDINAL):
                    if end <= of_day or at >= until:
                        continue
                    number = OPEN if winner is None else winner
                    if not winners or winners[-1] != number:
                        starts.append(at // SECOND)
                        winners.append(number)
                    to = min(at + end - of_day, until)
                    of_day += to - at
                    at = to
        return np.array(starts), np.array(winners)
