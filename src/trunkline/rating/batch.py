"""The batch kernel: the price alone of very many calls at once, over columns.

The rules and the integers are those of ``cost.price``; here they are applied to arrays. What one
price covers from end to end (nearly everything) is one multiplication for each rate slot. What
runs into another price or plan, and what a ``*free`` maximum may cap, is walked through: all such
calls take a step together, from where their last increment ended to where the price, the slot or
the plan changes, until the last of them is through.

Left open, for the caller to price one by one, is what may need more than one way through the
tariff (a profile before its first plan, a fallback whose plan changes during the call, several
destination IDs on one prefix whose prices change with the hour), what is refused for a less usual
reason, and sums that 64 bits do not hold. A property test holds this and the engine together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trunkline.rating.call import FIRST_YEAR, VOICE, epoch_nanoseconds
from trunkline.rating.columns import Flags, Ints, Offsets
from trunkline.rating.layout import (
    LARGEST,
    MIDDLE,
    NEVER,
    NONE,
    OPEN,
    UP,
    Activations,
    Prefixes,
    Prices,
    Schedule,
    by_value,
)
from trunkline.rating.model import ANY
from trunkline.rating.tariff import Tariff

__all__ = ["REFUSALS", "Batch", "Kernel", "Priced"]

REFUSALS: Final = ("", "RATING_PLAN_NOT_FOUND", "UNAUTHORIZED_DESTINATION", "MAX_USAGE_EXCEEDED")
"""What ``Priced.refused`` means, in the reference's words."""
_NO_PLAN, _NO_DESTINATION, _TOO_LONG = 1, 2, 3

_EARLIEST = epoch_nanoseconds(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))
_POWERS = 10 ** np.arange(19)
_TIGHT = 2.0**61
"""Sums in floating point that stay below it are sums within 62 bits."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls as columns of the same length, all of one tenant and type of record."""

    tenant: str
    tor: str
    """``*voice``, ``*data``, …"""
    profile: Ints
    """The number of the rating profile, as ``Kernel.profiles`` has it; -1: none."""
    number: Ints
    """The key of the destination, as ``columns.number_keys`` makes it."""
    plain: Flags
    """Whether the destination is a plain number."""
    time: Ints
    """When it was answered, nanoseconds since the epoch."""
    usage: Ints

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: Ints) -> Batch:
        """Some of them."""
        return Batch(
            self.tenant,
            self.tor,
            self.profile[rows],
            self.number[rows],
            self.plain[rows],
            self.time[rows],
            self.usage[rows],
        )


@dataclass(frozen=True, slots=True)
class Priced:
    """What was found: ``amount`` is money in units of 10 to the minus ``Kernel.decimals``."""

    amount: Ints
    found: Flags
    refused: NDArray[np.int8]
    """Why there is no price, as a position in ``REFUSALS``. Neither found nor refused: price this
    call by itself."""


@dataclass(frozen=True, slots=True)
class _Found:
    price: Ints
    terms: Ints
    """Those that hold; below 0: none."""
    until: Ints
    """Until when the price is what it is, nanoseconds since the epoch."""

    def put(self, rows: Ints, other: _Found) -> None:
        """Replace some."""
        self.price[rows] = other.price
        self.terms[rows] = other.terms
        self.until[rows] = other.until


class Kernel:
    """Prices batches of calls by one tariff. Several threads may use it at once."""

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        index = tariff.index
        self._prices = Prices(index.plans.values())
        self._activations = Activations(index.profiles, index.plans.values())
        self._prefixes = Prefixes(index, self._prices)
        self._schedules: dict[tzinfo, Schedule] = {}
        self._numbers = {key: number for number, key in enumerate(index.profiles)}
        self._subjects: dict[str, list[str]] = {}
        for tenant, subject in {(tenant, subject) for tenant, _, subject in index.profiles}:
            self._subjects.setdefault(tenant, []).append(subject)
        self._found_profiles: dict[tuple[str, str], Ints] = {}

    @property
    def decimals(self) -> int:
        """Decimals of the amounts."""
        return self._prices.decimals

    @property
    def places(self) -> int:
        """Decimals that a price of this tariff may have, ours and those that are left open."""
        return self._prices.places

    def subjects(self, tenant: str) -> Sequence[str]:
        """The subjects that some profile of the tenant names."""
        return self._subjects.get(tenant, [])

    def profiles(self, tenant: str, category: str) -> Ints:
        """The number of the profile of each of ``subjects``, and in the end of any other."""
        found = self._found_profiles.get((tenant, category))
        if found is None:
            anyone = self._numbers.get((tenant, category, ANY), OPEN)
            found = self._found_profiles[tenant, category] = np.array(
                [
                    *(
                        self._numbers.get((tenant, category, subject), anyone)
                        for subject in self.subjects(tenant)
                    ),
                    anyone,
                ]
            )
        return found

    def price(self, batch: Batch) -> Priced:
        """The prices of a batch, and whether there is one."""
        usage, prices = batch.usage, self._prices
        refused = np.zeros(len(batch), np.int8)
        valid = (usage >= 0) & (batch.time >= _EARLIEST) & (batch.time < NEVER - usage)
        too_long = usage > self.tariff.usage_limit(batch.tor)
        refused[valid & too_long] = _TOO_LONG
        valid &= ~too_long
        refused[valid & (batch.profile < 0)] = _NO_PLAN

        activations = self._activations
        activation = activations.at(batch.profile, batch.time)
        in_force = activations.until.take(activation, mode="clip")
        end = np.minimum(batch.time + usage, in_force) if batch.tor == VOICE else batch.time
        by = self._look_up(batch, activation, batch.time, end)
        terms, until = by.terms, by.until
        refused[valid & (by.price == NONE)] = _NO_DESTINATION
        found = valid & (terms >= 0)
        found &= usage <= prices.limit.take(terms, mode="clip")

        walked = prices.capped.take(terms, mode="clip")
        if batch.tor == VOICE:
            until = np.minimum(until, in_force)
            walked |= until - usage < batch.time  # NEVER less a usage is later than any time
        rows = np.nonzero(walked & found & (usage > 0))[0]
        amount = self._sum_up(usage, terms)
        if len(rows):
            self._walk(batch, rows, activation[rows], amount, found)
        amount[usage == 0] = 0
        return Priced(amount, found, refused)

    # Finding prices

    def _look_up(self, batch: Batch, activation: Ints, start: Ints, end: Ints) -> _Found:
        """What each part of a call costs when it begins, by its plan or a fallback's."""
        found = self._by_plan(batch, activation, start)
        rows = self._to_fall_back(found, activation)
        if len(rows):
            found.put(
                rows,
                self._fall_back(batch.take(rows), activation[rows], start[rows], end[rows], ()),
            )
        return found

    def _by_plan(self, batch: Batch, activation: Ints, start: Ints) -> _Found:
        """The longest prefix of which the price holds when the part begins."""
        plan = np.where(activation >= 0, self._activations.plan.take(activation, mode="clip"), OPEN)
        price, place = self._prefixes.look_up(plan, batch.number)
        if self._prefixes.odd:
            price = np.where(batch.plain, price, OPEN)
        terms, until = self._timed(batch.tenant, price, start)
        rows = np.nonzero((terms == OPEN) & (price >= self._prices.count))[0]
        while len(rows):  # a price, but none that holds
            price[rows], place[rows] = self._prefixes.shorter(plan[rows], place[rows])
            terms[rows], until[rows] = self._timed(batch.tenant, price[rows], start[rows])
            rows = rows[(terms[rows] == OPEN) & (price[rows] >= self._prices.count)]
        return _Found(price, terms, until)

    def _to_fall_back(self, found: _Found, activation: Ints) -> Ints:
        has_fallbacks = self._activations.has_fallbacks.take(activation, mode="clip")
        return np.nonzero((found.price == NONE) & has_fallbacks)[0]

    def _fall_back(
        self, batch: Batch, activation: Ints, start: Ints, end: Ints, way: tuple[int, ...]
    ) -> _Found:
        """The first fallback that has a price; ``way`` has the profiles asked before.

        One whose plan changes within the part is left open.
        """
        activations = self._activations
        found = _Found(*(np.full(len(batch), NONE) for _ in range(3)))
        for number, rows in by_value(activation):
            asked = (*way, int(activations.profile[number]))
            if len(asked) >= self.tariff.fallback_depth:
                continue
            for profile in activations.fallbacks[number]:
                left = rows[found.price[rows] == NONE]
                if profile in asked or not len(left):
                    continue
                calls, begin, stop = batch.take(left), start[left], end[left]
                other = activations.at(np.full(len(left), profile), begin)
                whole = activations.until.take(other, mode="clip") >= stop
                other = np.where(whole, other, OPEN)
                by = self._by_plan(calls, other, begin)
                on = self._to_fall_back(by, other)
                if len(on):
                    by.put(
                        on,
                        self._fall_back(calls.take(on), other[on], begin[on], stop[on], asked),
                    )
                found.put(left, by)
        return found

    def _timed(self, tenant: str, price: Ints, time: Ints) -> tuple[Ints, Ints]:
        """For each price the terms at that time, below 0 where there are none, and until when."""
        prices = self._prices
        until = np.full(len(price), NEVER)
        terms = price.copy()
        rows = np.nonzero(price >= prices.count)[0]
        if not len(rows):
            return terms, until
        zone = self.tariff.zone(tenant)
        schedule = self._schedules.get(zone)
        if schedule is None:
            schedule = self._schedules[zone] = Schedule(prices.tables, Offsets(zone))
        group = price[rows] - prices.count
        winner, until[rows] = schedule.at(prices.table_of.take(group), time[rows])
        chosen = prices.winners.take(prices.first_winner.take(group) + winner, mode="clip")
        terms[rows] = np.where(winner >= 0, chosen, OPEN)
        return terms, until

    # What they come to

    def _sum_up(self, usage: Ints, terms: Ints) -> Ints:
        """Fee and increments in parts of the denominator, rounded as the tariff says."""
        prices = self._prices
        terms = np.maximum(terms, 0)
        amount = prices.fee.take(terms)
        reached: Ints | int = 0
        for position in range(prices.slots):
            increment = prices.increment[position].take(terms)
            to = np.minimum(usage, prices.end[position].take(terms))
            count = np.maximum(-((reached - to) // increment), 0)
            amount += count * prices.price[position].take(terms)
            if position + 1 < prices.slots:
                count *= increment
                reached = reached + count
        amount *= prices.power.take(terms)
        whole = _rounded(amount, prices.divisor.take(terms), prices.rounding.take(terms))
        return whole * prices.scale.take(terms)

    def _walk(self, batch: Batch, rows: Ints, activation: Ints, amount: Ints, found: Flags) -> None:
        """Price calls that run into another price or plan, or up to a maximum."""
        walk = _Walk(self._prices, len(rows))
        calls = batch.take(rows)
        voice = batch.tor == VOICE
        start = np.zeros(len(rows), np.int64)
        while True:
            # One plan: its price must hold when it begins, even if an increment reaches over that.
            end = calls.usage
            if voice:
                until = self._activations.until[activation]
                end = np.where(until - calls.usage < calls.time, until - calls.time, end)
            by = self._look_up(calls, activation, calls.time + start, calls.time + end)
            walk.good &= by.terms >= 0
            going = np.nonzero(walk.good & (walk.reached < end))[0]
            while len(going):
                time = calls.time[going]
                at = time + walk.reached[going] if voice else time
                terms, until = self._timed(batch.tenant, by.price[going], at)
                to = end[going]
                if voice:
                    to = np.where(until - to < time, until - time, to)
                walk.bill(going, terms, to)
                going = going[walk.good[going] & (walk.reached[going] < end[going])]
            on = walk.good & (end < calls.usage)
            if not on.any():
                break
            activation = activation + on
            start = np.where(on, end, start)
        amount[rows] = walk.total()
        found[rows] = walk.good


def _rounded(amount: Ints, denominator: Ints, rounding: Ints) -> Ints:
    whole: Ints
    whole, rest = np.divmod(amount, denominator)
    whole += (rest > 0) & ((rounding == UP) | ((rounding == MIDDLE) & (2 * rest >= denominator)))
    return whole


class _Walk:
    """How far some calls have been billed, and what that comes to.

    Beside the exact sums, which have a denominator for each call, run the same in floating point:
    a call whose sum comes near what 62 bits hold is no longer ``good``.
    """

    def __init__(self, prices: Prices, count: int) -> None:
        self._prices = prices
        self.good = np.ones(count, np.bool_)
        self.reached = np.zeros(count, np.int64)
        """In units of usage: where the last increment ended."""
        self._amount = np.zeros(count, np.int64)
        self._denominator = np.ones(count, np.int64)
        self._by = np.full(count, OPEN)
        """The terms that round: those with most decimals, of them the first."""

    def bill(self, rows: Ints, terms: Ints, to: Ints) -> None:
        """Bill from where each row's last increment ended up to ``to``, by its terms."""
        prices = self._prices
        good = (terms >= 0) & (prices.limit.take(terms, mode="clip") > 0)
        terms = np.maximum(terms, 0)
        own, other = self._denominator[rows], prices.denominator.take(terms)
        common = np.gcd(own, other)
        times, factor = other // common, own // common
        amount = self._amount[rows]
        good &= (amount + 1.0) * times < _TIGHT
        good &= 1.0 * own * times < _TIGHT
        rough = 1.0 * amount * times
        amount = amount * times
        first = self._by[rows] == OPEN
        fee = np.where(first, prices.fee.take(terms), 0)
        amount += fee * factor
        rough += 1.0 * fee * factor
        maximum = prices.maximum.take(terms)
        good &= ~prices.capped.take(terms) | (1.0 * maximum * factor < _TIGHT)
        maximum = np.where(prices.capped.take(terms), maximum * factor, LARGEST)
        reached = self.reached[rows]
        for position in range(prices.slots):
            increment = prices.increment[position].take(terms)
            stop = np.minimum(to, prices.end[position].take(terms))
            count = np.maximum(-((reached - stop) // increment), 0)
            price = prices.price[position].take(terms)
            amount += count * price * factor
            rough += 1.0 * count * price * factor
            good &= rough < _TIGHT
            over = (count > 0) & (amount >= maximum)
            amount = np.where(over, maximum, amount)
            reached = reached + count * increment
        decimals = prices.asked_decimals
        more = first | (decimals.take(terms) > decimals.take(self._by[rows], mode="clip"))
        self._by[rows] = np.where(more, terms, self._by[rows])
        self._amount[rows] = amount
        self._denominator[rows] = own * times
        self.reached[rows] = reached
        self.good[rows] &= good

    def total(self) -> Ints:
        """The sums, rounded, in units of the kernel's decimals."""
        prices = self._prices
        by = np.maximum(self._by, 0)
        asked = prices.asked_decimals.take(by)
        decimals = np.minimum(asked, prices.decimals)
        # With fewer decimals than are asked for, the sum must be exact.
        self.good &= (asked == decimals) | (_POWERS[prices.decimals] % self._denominator == 0)
        power = _POWERS.take(decimals)
        self.good &= (1.0 * self._amount * power < _TIGHT) & (self._denominator < LARGEST // 2)
        whole = _rounded(self._amount * power, self._denominator, prices.rounding.take(by))
        scale = _POWERS.take(prices.decimals - decimals)
        self.good &= 1.0 * whole * scale < _TIGHT
        amount: Ints = whole * scale
        return amount
