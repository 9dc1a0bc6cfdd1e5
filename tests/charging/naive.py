"""Debits one increment at a time: slow, short, and written from the page, not from the engine.

A balance that has begun goes on until it cannot, or what it pays changes, or the balances that hold
do; only then the others are asked again.

No shared groups, and nothing held: what the properties compare with ``debit``. Prices come from the
engine's own increments, which other tests hold to ``rating.price``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from trunkline.charging.charges import Cover, End, Rated
from trunkline.charging.increments import Prices
from trunkline.charging.model import GENERIC, MONETARY, Account, Balance
from trunkline.rating import RatingError, Tariff
from trunkline.rating.call import Call, complete
from trunkline.rating.durations import MINUTE, SECOND
from trunkline.rating.model import MaxCostStrategy
from trunkline.rating.rounding import round_fraction

STEPS = {"": SECOND, "*any": SECOND, "*zero1s": SECOND, "*zero7s": 7 * SECOND, "*zero1m": MINUTE}


@dataclass(eq=False)
class Purse:
    balance: Balance
    left: Fraction
    precision: int = 0
    money: Fraction = Fraction(0)

    @property
    def name(self) -> str:
        return self.balance.uuid


@dataclass
class Naive:
    usage: int
    cost: Decimal
    left: dict[str, Fraction]
    """Without what rounding adds or takes."""
    end: End


class StoppedError(Exception):
    def __init__(self, end: End) -> None:
        self.end = end


class _Walk:
    def __init__(self, tariff: Tariff, account: Account, call: Call, cover: Cover) -> None:
        self.tariff = tariff
        self.call = complete(call, tariff.usage_limits)
        self.strict = cover is Cover.FUNDED
        self.negative = cover is Cover.ALL or account.allow_negative
        self.zone = tariff.zone(self.call.tenant)
        self.spent = Fraction(0)
        self.fee_due = True
        self.decimals: list[Rated] = []
        self.paid: list[tuple[Purse, Fraction]] = []
        self.prices: dict[str, Prices] = {}
        self.going: tuple[Purse | None, bool, str] | None = None
        """Who paid the last increment, and how."""
        self.terms: object = None
        """What the last increment cost, and who paid that."""
        self.holding: list[bool] = []
        self.last = 0
        """Where the last increment began."""
        everyone = [Purse(each, Fraction(each.value)) for each in account.balances]
        self.default = next((p for p in everyone if p.balance.is_default), None) or Purse(
            Balance(uuid="new", id="*default"), Fraction(0)
        )
        self.everyone = [*everyone, *([] if self.default in everyone else [self.default])]
        fit = [each for each in everyone if self._fits(each)]
        fit.sort(key=lambda each: (-each.precision, -each.balance.weight))
        self.units = [p for p in fit if p.balance.type in (self.call.tor, GENERIC)]
        self.money = [p for p in fit if p.balance.type == MONETARY]

    def _fits(self, purse: Purse) -> bool:
        balance = purse.balance
        named = {each.removeprefix("!") for each in balance.destinations}
        if balance.disabled or (
            balance.categories and self.call.category not in balance.categories
        ):
            return False
        if not named or "*any" in named:
            return True
        number = self.call.destination
        for length in range(len(number), 0, -1):
            tags = self.tariff.index.prefixes.get(number[:length], ())
            hit = named & set((tags,) if isinstance(tags, str) else tags)
            if hit:
                purse.precision = length
                return not any("!" + tag in balance.destinations for tag in hit)
        purse.precision = 1
        return all(each.startswith("!") for each in balance.destinations)

    def active(self, purse: Purse, at: int) -> bool:
        moment = self.call.time + timedelta(microseconds=at // 1000)
        balance = purse.balance
        if balance.expires is not None and moment > balance.expires:
            return False
        local = moment.astimezone(self.zone)
        second = (local.hour * 60 + local.minute) * 60 + local.second
        return not balance.timings or any(
            timing.start <= second < timing.end
            and (not timing.week_days or local.isoweekday() % 7 in timing.week_days)
            for timing in balance.timings
        )

    def price(self, subject: str, at: int) -> tuple[Rated, Fraction]:
        if subject not in self.prices:
            call = replace(self.call, subject=subject) if subject else self.call
            self.prices[subject] = Prices(self.tariff, call)
        rated, _ = self.prices[subject].at(at)
        return rated, Fraction(rated.slot.price, rated.entry.terms.denominator)

    def pay(self, purse: Purse, amount: Fraction) -> None:
        purse.left -= amount
        purse.money += amount
        self.spent += amount
        self.paid.append((purse, amount))

    def having(self, amount: Fraction, at: int, owing: bool) -> Purse | None:
        for purse in self.money:
            if self.active(purse, at):
                if purse.left >= amount:
                    return purse
                if purse.balance.blocker and not owing:
                    break
        return self.default if owing else None

    def increment(self, at: int, purse: Purse | None, owing: bool, kind: str) -> int | None:
        """One increment paid by a purse (by nobody, in the end); its length, or None."""
        subject = purse.balance.rating_subject if purse else ""
        if kind == "units" and purse is not None and subject in STEPS:
            factor = purse.balance.factor(self.call.tor)
            amount = Fraction(STEPS[subject]) / Fraction(factor or 1)
            if purse.left < amount:
                return None
            purse.left -= amount
            self.fee_due = False
            self.terms = None
            return STEPS[subject]
        try:
            rated, single = self.price("" if subject in STEPS else subject, at)
        except RatingError:
            if subject not in STEPS:
                return None
            if at == 0 or not self.strict:
                raise
            raise StoppedError(End.NO_PRICE) from None
        before = (self.spent, self.fee_due, [(p, p.left, p.money) for p in self.everyone])
        paid = len(self.paid)

        def undo() -> None:
            self.spent, self.fee_due = before[0], before[1]
            del self.paid[paid:]
            for each, left, money in before[2]:
                each.left, each.money = left, money

        terms = rated.entry.terms
        amount = Fraction(0)
        if kind == "units" and purse is not None:
            factor = purse.balance.factor(self.call.tor)
            amount = Fraction(rated.slot.increment) / Fraction(factor or 1)
            if purse.left < amount:
                return None
        if self.fee_due:
            if terms.connect_fee:
                payer = self.having(terms.connect_fee, at, owing)
                if payer is None:
                    return None
                self.pay(payer, terms.connect_fee)
            self.fee_due = False
        room = terms.max_cost - self.spent
        if terms.max_cost and terms.strategy is MaxCostStrategy.FREE:
            back = max(Fraction(0), -room)
            while back:
                payer, was = self.paid.pop()
                part = min(back, was)
                payer.left += part
                payer.money -= part
                self.spent -= part
                back -= part
                if was > part:
                    self.paid.append((payer, was - part))
            single = min(single, max(Fraction(0), room))
        disconnects = terms.strategy is MaxCostStrategy.DISCONNECT and self.strict
        if terms.max_cost and disconnects and room <= 0:
            undo()
            raise StoppedError(End.MAX_COST)
        payer = None
        if kind == "units":
            assert purse is not None
            payer = self.having(single, at, owing) if single else purse
            if payer is None:
                undo()
                return None
            if single:
                self.pay(payer, single)
            purse.left -= amount
        elif kind == "money":
            assert purse is not None
            if purse.left < single:
                undo()
                return None
            if single:
                self.pay(purse, single)
        elif single and not self.negative:
            undo()
            return None
        elif single:
            self.pay(self.default, single)
        self.decimals.append(rated)
        self.terms = (rated.entry, rated.slot, single, payer and payer.name)
        return rated.slot.increment

    def step(self, at: int) -> int:
        holding = [self.active(each, at) for each in (*self.units, *self.money)]
        if self.going is not None and holding == self.holding:
            length = self.go_on(at, *self.going)
            if length is not None:
                return length
        self.holding = holding
        for owing in (False, True) if self.negative else (False,):
            for kind, purses in (("units", self.units), ("money", self.money)):
                for purse in purses:
                    if not self.active(purse, at):
                        continue
                    if purse.left > 0:
                        length = self.increment(at, purse, owing, kind)
                        if length is not None:
                            self.going = (purse, owing, kind)
                            return length
                    if purse.balance.blocker and self.strict and not self.negative:
                        raise StoppedError(End.BLOCKER)
        self.going = (None, self.negative, "rest")
        length = self.increment(at, None, self.negative, "rest")
        if length is None:
            raise StoppedError(End.FUNDS)
        return length

    def go_on(self, at: int, purse: Purse | None, owing: bool, kind: str) -> int | None:
        """Another increment as the last one, if it is one."""
        before = (
            self.spent,
            self.fee_due,
            list(self.paid),
            list(self.decimals),
            [(p, p.left, p.money) for p in self.everyone],
        )
        terms = self.terms
        try:
            length = self.increment(at, purse, owing, kind)
        except (StoppedError, RatingError):
            length = None
        if length is not None and self.terms == terms:
            return length
        self.spent, self.fee_due, self.paid, self.decimals = before[:4]
        for each, left, money in before[4]:
            each.left, each.money = left, money
        return None

    def run(self, usage: int) -> tuple[int, End]:
        at = 0
        try:
            while at < usage:
                length = self.step(at)
                self.last = at
                at += length
        except StoppedError as stop:
            return at, stop.end
        return at, End.COVERED

    def rounded(self) -> Decimal:
        if not self.decimals:
            return Decimal(0)
        by = max((each.entry.terms for each in self.decimals), key=lambda each: each.decimals)
        return round_fraction(self.spent, by.decimals, by.rounding)


def naive(tariff: Tariff, account: Account, call: Call, cover: Cover) -> Naive:
    """What a debit takes; a funded usage is shortened until the rounded cost is there too."""
    usage, ended = call.usage, None
    while True:
        walk = _Walk(tariff, account, call, cover)
        at, end = walk.run(usage)
        cost = walk.rounded()
        seconds = range(0, max(call.usage, 1), SECOND)
        used = [p for p in walk.money if any(walk.active(p, second) for second in seconds)]
        there = sum((max(p.left, Fraction(0)) + p.money for p in used), Fraction(0))
        if walk.negative or cost <= there or not at:
            left = {each.name: each.left for each in walk.everyone}
            return Naive(min(at, call.usage), cost, left, ended or end)
        usage, ended = walk.last, End.FUNDS
