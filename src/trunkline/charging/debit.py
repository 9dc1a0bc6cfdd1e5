"""Taking the cost of a usage from an account.

A usage is always cumulative: the whole call so far, answered when it was answered. What a session
has taken for it already is given back first, all of it, and taken anew for the longer usage. So
any partition of a call into updates ends with the balances of the same call in one piece, and what
a session still holds in the end is what the call costs; only the differences are movements.

From the start of the usage onwards, at each offset the first balance pays that can pay for one
increment there (``trunkline.charging.payers`` has their order), and it pays as many increments as
it can: until it is empty, another of its prices applies, or a balance begins or ceases to be
active. A run of increments is one ``Charge``: the work grows with the prices and balances a call
meets, never with its length.

- A *unit* balance without a subject of its own is taken from in free steps: a second of voice, one
  unit of what is not, or the step that ``*zero1m`` and its like name.
- A unit balance with a rating subject pays in increments of that subject's price: the usage from
  its units, the price from the first money balance that has it.
- A *money* balance pays increments at the price of its rating subject, else of the call's.
- Below zero nothing is paid while any balance has it: what ``Cover.FUNDED`` grants, ``Cover.ALL``
  takes from the same balances.
- What no balance can pay is either not covered (``Cover.FUNDED``: the usage is cut there) or paid
  by the default balance below zero (``Cover.ALL``, and accounts that may be negative).
- What was granted before (``Cover.GRANTED``) goes below zero nowhere. The balances that others have
  left may suit it worse than those of then: so several pay an increment together.
- What is free needs no balance.

The connect fee is due with the first increment that has a price, if nothing was charged before it:
a call that begins with free units has none, as in the reference.

Money is summed up exactly and rounded once, by the tariff of the increments that round finest, as
in ``trunkline.rating``: the cost of a call that one price covers is ``rating.price`` to the digit,
prepaid and postpaid. What rounding adds is taken from the balance that paid last, or from the next
that has it; where none has, a funded usage is cut until the rounded cost is covered.

``*free`` ends the cost at its maximum: what it exceeds is not taken. ``*disconnect`` ends a funded
usage with the increment that reaches it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from trunkline.charging.charges import (
    AccountError,
    Charge,
    Cover,
    Debit,
    End,
    Free,
    Payers,
    Rated,
    Usage,
    merged,
)
from trunkline.charging.increments import Prices, price_of_one
from trunkline.charging.model import (
    CHARGE,
    DEFAULT_BALANCE,
    MONETARY,
    REFUND,
    Account,
    Balance,
    Movement,
    Taking,
)
from trunkline.charging.money import ZERO, add, subtract, to_amount, total, trim
from trunkline.charging.payers import NOTHING, Choice, Purse, Reason, free_step, matched, select
from trunkline.rating.call import Call, complete
from trunkline.rating.cost import EXACT, Cgrates, Exact, Precision
from trunkline.rating.errors import RatingError
from trunkline.rating.explain import longest
from trunkline.rating.model import MaxCostStrategy
from trunkline.rating.rounding import RoundingMethod, round_float, round_fraction
from trunkline.rating.tariff import Tariff

__all__ = ["debit"]


def debit(tariff: Tariff, payers: Payers, usage: Usage, precision: Precision = EXACT) -> Debit:
    """Take the cost of a usage so far, after giving back what was taken for it before.

    Raises:
        RatingError: its beginning has no price and no units cover it, or, where all of it must be
            paid, some part has none.
        AccountError: ``charging.account-disabled``.
    """
    account = payers.account
    granted = usage.taken or usage.cover is Cover.GRANTED
    if account.disabled and (usage.cover is Cover.FUNDED or not granted):
        raise AccountError(
            "charging.account-disabled",
            f"the account {account.key} is disabled; enable it with *enable_account",
            reference="ACCOUNT_DISABLED",
        )
    call = complete(usage.call, tariff.usage_limits)
    return _Debit(tariff, payers, usage, call, precision).run()


@dataclass(slots=True)
class _Mark:
    charges: int
    paid: int
    spent: Fraction
    fee_due: bool


class _Debit:
    """One debit. ``run`` does it; everything else is one of its steps."""

    def __init__(
        self, tariff: Tariff, payers: Payers, usage: Usage, call: Call, precision: Precision
    ) -> None:
        self.tariff = tariff
        self.account = payers.account
        self.owners = (payers.account, *payers.members)
        self.asked = usage
        self.call = call
        self.precision = precision
        self.strict = usage.cover is Cover.FUNDED
        self.negative = usage.cover is Cover.ALL or payers.account.allow_negative
        self.owing = False
        """Whether others may help a balance that cannot pay alone: the default one, below zero."""
        selection = select(
            tariff,
            call,
            payers.account,
            payers.members,
            payers.groups,
            usage.taken,
            usage.seed,
            usage.first,
            granted=usage.cover is Cover.GRANTED,
        )
        self.units, self.money = selection.units, selection.money
        self.purses = selection.purses
        self.choices = selection.choices
        paying = (*self.units, *self.money)
        self.edges = sorted({edge for purse in paying for edge in purse.changes()})
        """The offsets at which a balance begins or ceases to be active."""
        self._default: Purse | None = None
        """Found, or made, when somebody needs it."""
        self.prices: dict[str, Prices] = {}
        self.limit = call.usage
        self.end: End | None = None
        self.fee_due = True
        self.fee = NOTHING
        self.spent = NOTHING
        self.charges: list[Charge] = []
        self.paid: list[tuple[Purse, Fraction]] = []

    @property
    def default(self) -> Purse:
        """The balance that goes below zero: the account's, or one that is made for it."""
        if self._default is None:
            self._default = self._find_default()
        return self._default

    def _find_default(self) -> Purse:
        for purse in reversed(self.purses):  # of several turns, the last
            if purse.account == self.account.key and purse.balance.is_default and purse.present:
                return purse
        existing = next((each for each in self.account.balances if each.is_default), None)
        balance = existing or Balance(uuid=self.asked.default_uuid, id=DEFAULT_BALANCE)
        made = Purse(self.account.key, balance, NOTHING, present=existing is not None)
        made.reset()
        return made

    def _all(self) -> list[Purse]:
        """Every purse that may have paid."""
        default = self._default
        if default is None or any(each is default for each in self.purses):
            return self.purses
        return [*self.purses, default]

    # The walk

    def run(self) -> Debit:
        ended: End | None = None
        while True:
            at = self._walk()
            shortage = self._settle()
            if shortage is None:
                return self._result(at, ended or self.end or End.COVERED)
            # The rounded cost is not covered: the same again, for as much as is.
            ended = End.FUNDS
            self.limit = shortage

    def _walk(self) -> int:
        self.end = None
        self.fee_due = True
        self.spent = self.fee = NOTHING
        self.charges.clear()
        self.paid.clear()
        for purse in self._all():
            purse.reset()
        at = 0
        while at < self.limit:
            to = self._step(at)
            if to == at:
                break
            at = to
        return at

    def _step(self, at: int) -> int:
        """Where the increments that begin here end once they are paid; ``at``: not paid."""
        self.owing = False
        to = self._by_balances(at)
        if to == at and self.end is None and self.negative:
            self.owing = True
            to = self._by_balances(at)
        self.owing = self.owing or self.asked.cover is Cover.GRANTED
        return self._take_rest(at) if to == at and self.end is None else to

    def _by_balances(self, at: int) -> int:
        """The same by balances alone, the first in their order that can."""
        for purses, take in ((self.units, self._take_units), (self.money, self._take_money)):
            for purse in purses:
                if at < purse.idle_until or not purse.active_at(at):
                    continue
                if purse.left > 0:
                    to = take(purse, at)
                    if to > at or self.end is not None:
                        return to
                else:
                    self._idle(purse, self.limit, Reason.EMPTY)
                if purse.balance.blocker and self.strict and not self.negative:
                    self.end = End.BLOCKER
                    return at
        return at

    def _idle(self, purse: Purse, until: int, reason: Reason) -> None:
        """It cannot pay, and need not be asked again while nothing changes; blockers are."""
        purse.reason = purse.reason or reason
        if not purse.balance.blocker:
            purse.idle_until = until

    def _until(self, at: int) -> int:
        """The offset at which a balance begins or ceases to be active, or the usage ends."""
        place = bisect_right(self.edges, at)
        return self.edges[place] if place < len(self.edges) else self.limit

    def _needed(self, at: int, end: int, increment: int) -> int:
        """Increments from here to what ends first."""
        return -((at - min(end, self.limit, self._until(at))) // increment)

    # Three ways to pay

    def _take_units(self, purse: Purse, at: int) -> int:
        step = free_step(purse.balance.rating_subject, self.call.tor)
        if step is None:
            return self._take_priced_units(purse, at)
        amount = self._in_units(purse, step)
        count = min(self._needed(at, self.limit, step), purse.left // amount)
        if count < 1:
            self._idle(purse, self.limit, Reason.INSUFFICIENT)
            return at
        self.fee_due = False
        free = Free(*matched(self.tariff, self.call, purse.balance.destinations))
        self._charge(at, step, count, NOTHING, free, unit=purse, units=amount)
        return at + count * step

    def _take_priced_units(self, purse: Purse, at: int) -> int:
        found = self._price(purse, at)
        if found is None:
            return at
        rated, single, needed, _ = found
        mark = self._mark()
        amount = self._in_units(purse, rated.slot.increment)
        count = min(needed, purse.left // amount)
        payer: Purse | None = None
        if count < 1:
            purse.reason = purse.reason or Reason.INSUFFICIENT
        elif not self._pay_fee(rated, at):
            purse.reason = purse.reason or Reason.NO_FEE
            count = 0
        else:
            count, single = self._below_maximum(rated, single, count)
            if single and count:
                payer, afforded = self._first_with(single, at, purse)
                count = min(count, afforded)
                if payer is None:
                    purse.reason = purse.reason or Reason.NO_MONEY
        if count < 1:
            self._undo(mark)
            return at
        self._charge(
            at, rated.slot.increment, count, single, rated, unit=purse, units=amount, money=payer
        )
        return at + count * rated.slot.increment

    def _take_money(self, purse: Purse, at: int) -> int:
        found = self._price(purse, at)
        if found is None:
            return at
        rated, single, needed, end = found
        mark = self._mark()
        count = needed
        if not self._pay_fee(rated, at):
            purse.reason = purse.reason or Reason.NO_FEE
            count = 0
        else:
            count, single = self._below_maximum(rated, single, count)
            if single:
                count = min(count, purse.left // single)
            if count < 1 and self.end is None:
                same = isinstance(self.precision, Exact) and not rated.entry.terms.max_cost
                until = end if same and not mark.fee_due else at
                self._idle(purse, until, Reason.INSUFFICIENT)
        if count < 1:
            self._undo(mark)
            return at
        self._charge(at, rated.slot.increment, count, single, rated, money=purse)
        return at + count * rated.slot.increment

    def _take_rest(self, at: int) -> int:
        """What no balance has: free, below zero, or not covered."""
        found = self._price(None, at)
        if found is None:
            return at
        rated, single, needed, _ = found
        mark = self._mark()
        count = 0
        if self._pay_fee(rated, at):
            count, single = self._below_maximum(rated, single, needed)
            if single and not self.negative:
                if self.asked.cover is Cover.GRANTED:
                    return self._pay_together(rated, at, single, needed)
                count = 0
        if count < 1:
            self._undo(mark)
            self.end = self.end or End.FUNDS
            return at
        payer = self.default if single else None
        self._charge(at, rated.slot.increment, count, single, rated, money=payer)
        return at + count * rated.slot.increment

    def _pay_together(self, rated: Rated, at: int, single: Fraction, needed: int) -> int:
        """An increment that was granted, from several balances; what is left when they are empty.

        Where it ends.
        """
        parts = self._parts(single, at)
        paid = sum((part for _, part in parts), NOTHING)
        count, usage = (1 if parts else needed), rated.slot.increment
        self._charge(at, usage, count, paid, rated, parts=parts)
        return at + count * usage

    def _parts(self, amount: Fraction, at: int) -> list[tuple[Purse, Fraction]]:
        """What each money balance has of an amount, in their order."""
        parts: list[tuple[Purse, Fraction]] = []
        for purse in self.money:
            if amount and purse.left > 0 and purse.active_at(at):
                part = min(purse.left, amount)
                parts.append((purse, part))
                amount -= part
        return parts

    # What they have in common

    def _price(self, purse: Purse | None, at: int) -> tuple[Rated, Fraction, int, int] | None:
        """The price here, of one increment, how many of them there are at it, and where it ends.

        ``None`` where there is none for this purse, or (then ``end`` is set) for anybody.
        """
        subject = purse.balance.rating_subject if purse else ""
        own = not subject or free_step(subject, self.call.tor) is not None
        key = "" if own else subject
        if key not in self.prices:
            call = self.call if own else replace(self.call, subject=subject)
            self.prices[key] = Prices(self.tariff, call)
        try:
            rated, end = self.prices[key].at(at)
        except RatingError:
            if not own and purse is not None:
                purse.reason = purse.reason or Reason.NO_PRICE
                return None
            if at == 0 or not self.strict:
                raise
            self.end = End.NO_PRICE
            return None
        slot = rated.slot
        rate = slot.rate / slot.unit
        if self.strict and self.asked.max_rate is not None and rate > self.asked.max_rate:
            self.end = End.MAX_RATE
            return None
        needed = self._needed(at, end, slot.increment)
        return rated, price_of_one(rated, needed, self.precision), needed, end

    def _below_maximum(self, rated: Rated, single: Fraction, count: int) -> tuple[int, Fraction]:
        """As many increments as cost the same until a maximum applies, and what one costs."""
        terms = rated.entry.terms
        if not terms.max_cost or not terms.strategy:
            return count, single
        room = terms.max_cost - self.spent
        if terms.strategy is MaxCostStrategy.FREE:
            if room < 0:
                self._give_back(-room)
            if room <= 0:
                return count, NOTHING
            whole = count if not single else min(count, room // single)
            return (whole, single) if whole else (1, room)
        if not self.strict:
            return count, single
        if room <= 0:
            self.end = End.MAX_COST
            return 0, single
        return (count if not single else min(count, -(-room // single))), single

    def _pay_fee(self, rated: Rated, at: int) -> bool:
        """Take the connect fee, where it is due, from the first balance that has it."""
        fee = rated.entry.terms.connect_fee
        if not self.fee_due:
            return True
        self.fee_due = False
        payer: Purse | None = None
        if fee:
            payer = next((each for each in self._having(fee, at)), None)
            if payer is None and not self.owing:
                return False
            if payer is None and not self.negative:  # it was granted
                parts = self._parts(fee, at)
                self.fee = sum((part for _, part in parts), NOTHING)
                self._charge(at, 0, 1, self.fee, rated, parts=parts)
                return True
            payer = payer or self.default
        self.fee = fee
        self._charge(at, 0, 1, fee, rated, money=payer)
        return True

    def _having(self, amount: Fraction, at: int) -> Iterable[Purse]:
        """The money balances that have so much, in their order, to the first blocker."""
        for purse in self.money:
            if not purse.active_at(at):
                continue
            if purse.left >= amount:
                yield purse
            elif purse.balance.blocker and not self.owing:
                return

    def _first_with(self, single: Fraction, at: int, but: Purse) -> tuple[Purse | None, int]:
        """Who pays the price of priced units, and how many increments."""
        for purse in self._having(single, at):
            if purse is not but:
                return purse, purse.left // single
        return (self.default, self.limit) if self.owing else (None, 0)

    def _in_units(self, purse: Purse, usage: int) -> Fraction:
        """What a usage takes from a unit balance."""
        factor = purse.balance.factor(self.call.tor)
        if not factor or factor < 0:
            return Fraction(usage)
        amount = Fraction(usage) / Fraction(factor)
        if isinstance(self.precision, Cgrates):
            decimals = self.precision.decimals
            return Fraction(round_fraction(amount, decimals, RoundingMethod.UP))
        return amount

    def _charge(
        self,
        at: int,
        usage: int,
        count: int,
        price: Fraction,
        rated: Rated | Free,
        *,
        unit: Purse | None = None,
        units: Fraction = NOTHING,
        money: Purse | None = None,
        parts: Sequence[tuple[Purse, Fraction]] = (),
    ) -> None:
        """``parts``: several pay it together, instead of ``money``."""
        if unit is not None:
            unit.left -= units * count
            unit.units += units * count
        if parts:
            money = parts[0][0]
        elif money is not None and price:
            parts = [(money, price * count)]
        for purse, amount in parts:
            purse.spend(amount)
            self.paid.append((purse, amount))
        self.spent += price * count
        self.charges.append(
            Charge(
                start=at,
                usage=usage,
                count=count,
                price=price,
                rated=rated,
                unit=(unit.account, unit.balance.uuid) if unit else None,
                units=units,
                money=(money.account, money.balance.uuid) if money else None,
            )
        )

    def _give_back(self, amount: Fraction) -> None:
        """Less money than was taken, from those who paid last."""
        self.spent -= amount
        for purse in self._all():
            purse.idle_until = 0
        while amount:
            purse, paid = self.paid.pop()
            back = min(amount, paid)
            purse.spend(-back)
            amount -= back
            if paid > back:
                self.paid.append((purse, paid - back))

    def _mark(self) -> _Mark:
        return _Mark(len(self.charges), len(self.paid), self.spent, self.fee_due)

    def _undo(self, mark: _Mark) -> None:
        for purse, amount in self.paid[mark.paid :]:
            purse.spend(-amount)
        del self.paid[mark.paid :]
        del self.charges[mark.charges :]
        self.spent, self.fee_due = mark.spent, mark.fee_due
        if self.fee_due:
            self.fee = NOTHING

    # The whole

    def _settle(self) -> int | None:
        """Round the whole and take what that adds. Where nobody has it: what can be covered."""
        priced = [each.rated for each in self.charges if isinstance(each.rated, Rated)]
        # Of a balance that has several turns, all that it paid is cut off once
        self.amounts = {
            id(purse.shared[0]): to_amount(sum((each.money for each in purse.shared), NOTHING))
            if len(purse.shared) > 1
            else to_amount(purse.money)
            for purse, _ in self.paid
        }
        if not priced:
            self.cost = self.event = ZERO
            return None
        by = longest([each.entry.terms for each in priced])
        if isinstance(self.precision, Exact):
            self.cost = self.event = round_fraction(self.spent, by.decimals, by.rounding)
        else:
            self.event = to_amount(self.spent)
            rounded = round_float(float(self.spent), by.decimals, by.rounding)
            self.cost = Decimal(repr(rounded))
        missing = self.cost
        for amount in self.amounts.values():
            missing = subtract(missing, amount)
        for purse in reversed([each for each, _ in self.paid]):
            if missing >= 0:
                break
            key = id(purse.shared[0])
            back = min(self.amounts[key], -missing)
            self.amounts[key] = subtract(self.amounts[key], back)
            missing = add(missing, back)
        if missing <= 0:
            return None
        last = [self.paid[-1][0]] if self.paid else []
        candidates = [*last, *self.money]
        if self.negative:
            candidates.append(self.default)
        for purse in candidates:
            key = id(purse.shared[0])
            taken = self.amounts.get(key, ZERO)
            if purse is self.default and self.negative:
                room = missing
            else:
                room = max(ZERO, to_amount(purse.start - purse.units - Fraction(taken)))
            more = min(room, missing)
            if more:
                self.amounts[key] = add(taken, more)
                missing = subtract(missing, more)
            if not missing:
                return None
        if self.asked.cover is Cover.GRANTED:
            self.cost = subtract(self.cost, missing)
            return None
        return self._shorter(Fraction(subtract(self.cost, missing)), by.decimals, by.rounding)

    def _shorter(self, funds: Fraction, decimals: int, method: RoundingMethod) -> int:
        """The usage whose rounded cost these funds cover: fewer increments from the end."""
        unit = Fraction(1, 10**decimals)
        most = funds // unit * unit
        if method is RoundingMethod.MIDDLE:
            most += unit / 2
        elif method is RoundingMethod.DOWN:
            most += unit
        excess = self.spent - most
        strictly = method is not RoundingMethod.UP
        for charge in reversed(self.charges):
            if not charge.usage:
                continue
            if charge.price:
                fewer = max(
                    1, excess // charge.price + 1 if strictly else -(-excess // charge.price)
                )
                if fewer < charge.count:
                    return charge.end - fewer * charge.usage
                excess -= charge.price * charge.count
                if excess < 0 or (excess == 0 and not strictly):
                    return charge.start
        return 0

    def _result(self, at: int, end: End) -> Debit:
        taken: list[Taking] = []
        movements: list[Movement] = []
        changed: dict[str, dict[str, Decimal]] = {}
        nets: list[tuple[Purse, Decimal]] = []
        homeless = ZERO
        for purse in sorted(self._all(), key=lambda each: each.key):
            if purse is not purse.shared[0]:
                continue  # a later turn of the same balance
            amount = self.amounts.get(id(purse), ZERO)
            if purse.units:
                amount = add(amount, min(to_amount(purse.units, up=True), to_amount(purse.start)))
            amount = trim(amount)
            if amount > 0:
                balance = replace(purse.balance, value=ZERO)
                taken.append(Taking(account=purse.account, balance=balance, amount=amount))
            held = to_amount(purse.held) if purse.held else ZERO
            net = trim(subtract(held, amount))
            if not (purse.present or purse is self._default):
                if self.asked.first is not None and purse.balance.type == MONETARY:
                    homeless = add(homeless, net)
                continue
            nets.append((purse, net))
        if homeless:
            default = self.default.shared[0]
            held_before = total(net for purse, net in nets if purse is default)
            nets = [each for each in nets if each[0] is not default]
            nets.append((default, trim(add(held_before, homeless))))
        for purse, net in nets:
            if not net:
                continue
            value = trim(add(purse.balance.value if purse.present else ZERO, net))
            changed.setdefault(purse.account, {})[purse.balance.uuid] = value
            movements.append(
                Movement(
                    account=purse.account,
                    balance=purse.balance.uuid,
                    type=purse.balance.type,
                    amount=net,
                    value=value,
                    cause=CHARGE if net < 0 else REFUND,
                    reference=self.asked.reference,
                )
            )
        return Debit(
            call=self.call,
            usage=min(at, self.call.usage),
            rated=at,
            cost=trim(self.cost),
            event_cost=trim(self.event),
            connect_fee=self.fee if at else NOTHING,
            end=end,
            charges=tuple(merged(self.charges)),
            taken=tuple(taken),
            movements=tuple(movements),
            accounts=tuple(
                self._changed(each, changed) for each in self.owners if each.key in changed
            ),
            choices=tuple(self._choices(end)),
        )

    def _changed(self, account: Account, changed: Mapping[str, Mapping[str, Decimal]]) -> Account:
        values = changed[account.key]
        balances = [
            replace(each, value=values[each.uuid]) if each.uuid in values else each
            for each in account.balances
        ]
        default = self._default
        if default is not None and account is self.account and not default.present:
            value = values.get(default.balance.uuid)
            if value is not None:
                balances.append(replace(default.balance, value=value))
        return replace(account, balances=tuple(balances))

    def _choices(self, end: End) -> Iterable[Choice]:
        """First those that paid, then the others in their order."""
        rest: dict[int, Choice] = {}
        unused = {
            End.COVERED: Reason.NOT_NEEDED,
            End.BLOCKER: Reason.BLOCKED,
            End.FUNDS: Reason.INSUFFICIENT,
        }.get(end, Reason.ENDED)
        for purse in (*self.units, *self.money):
            used = purse.units or self.amounts.get(id(purse.shared[0]), ZERO)
            reason = Reason.USED if used else (purse.reason or unused)
            rest.setdefault(id(purse), Choice(purse.account, purse.balance, reason))
        default = self._default
        paid = ZERO if default is None else self.amounts.get(id(default.shared[0]), ZERO)
        if default is not None and Fraction(paid) > default.start:
            rest[id(default)] = Choice(default.account, default.balance, Reason.NEGATIVE)
        paying = (Reason.USED, Reason.NEGATIVE)
        yield from (each for each in rest.values() if each.reason in paying)
        yield from (each for each in rest.values() if each.reason not in paying)
        yield from self.choices
