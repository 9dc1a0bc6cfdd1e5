"""Which balances may pay for a usage, in which order, and why not the others.

Order, as in the reference: units before money; among each, the one that names the most precise
destination (the longest prefix of the number) first, then the heaviest, then the one that came
first. ``*generic`` balances stand among the units of every type. Where a balance is shared, the
balances of its group stand in its place (``trunkline.charging.groups``).

A balance pays while it is active: from the moment its timings hold until they end or it expires.
(The reference looks once, when it comes to a balance, and lets it pay beyond its end.)

A usage that is paid *again*, because its price has changed, stays with those who paid for it: the
balances of units pay no more than they did or do; money comes first from where it came from the
first time, as much as then; then from what is held for it; then from the rest of the same balances;
and only then from others. So the same price moves nothing, whatever has been topped up meanwhile,
and a price that comes back finds the money where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, tzinfo
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Final

from trunkline.charging.groups import SharedGroup, order
from trunkline.charging.model import GENERIC, MONETARY, Account, Balance, Taking
from trunkline.errors import DecodeError
from trunkline.rating.call import VOICE, Call, epoch_nanoseconds
from trunkline.rating.clock import local_day, offset_runs
from trunkline.rating.durations import SECOND, parse_duration
from trunkline.rating.index import DAY, DayTable
from trunkline.rating.model import ANY, Timing
from trunkline.rating.tariff import Tariff

__all__ = [
    "NOTHING",
    "Choice",
    "Purse",
    "Reason",
    "Selection",
    "free_step",
    "matched",
    "precision",
    "select",
]

_ALWAYS: Final = ((0, 1 << 63),)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_ZERO = "*zero"
NOTHING = Fraction(0)


class Reason(StrEnum):
    """Why a balance paid or did not."""

    USED = "balance.used"
    NEGATIVE = "balance.negative"
    """The default balance paid what no other had, below zero."""
    NOT_NEEDED = "balance.not-needed"
    """Others came before it and paid everything."""
    EMPTY = "balance.empty"
    INSUFFICIENT = "balance.insufficient"
    """It holds less than one increment."""
    NO_MONEY = "balance.no-money"
    """Its rating subject costs money besides, which no balance has."""
    NO_PRICE = "balance.no-price"
    """Its rating subject has no price for the destination."""
    NO_FEE = "balance.no-fee"
    """No balance has the connect fee."""
    BLOCKED = "balance.blocked"
    """A blocker before it did not suffice."""
    ENDED = "balance.ended"
    """The usage was ended by a maximum of cost or rate before its turn."""
    DISABLED = "balance.disabled"
    EXPIRED = "balance.expired"
    CATEGORY = "balance.category"
    DESTINATION = "balance.destination"
    """The number is in none of its destinations."""
    EXCLUDED = "balance.excluded"
    """The number is in a destination that it excludes."""
    TIMING = "balance.timing"
    """None of its timings holds during the usage."""
    TYPE = "balance.type"
    """It holds something else."""
    NO_GROUP = "balance.no-group"
    """It belongs to shared groups, none of which is in the tariff."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of one balance."""

    account: str
    """``tenant:id``."""
    balance: Balance
    """As it was before."""
    reason: Reason

    def __str__(self) -> str:
        balance = self.balance
        name = f"{balance.id} ({balance.uuid})" if balance.id else balance.uuid
        return f"{self.account} {balance.type} {name} [{self.reason}]"


@dataclass(slots=True, eq=False)
class Purse:
    """A balance while a usage is taken from it."""

    account: str
    balance: Balance
    held: Fraction
    """What the session has taken from it before, and gives back first."""
    present: bool
    """Whether the account still has it; else only what was held can be taken again."""
    active: Sequence[tuple[int, int]] = ((0, 1),)
    """From when to when it may pay, in offsets of the usage, one after another."""
    left: Fraction = NOTHING
    money: Fraction = NOTHING
    """Taken as money so far."""
    units: Fraction = NOTHING
    """Taken as units so far."""
    reason: Reason | None = None
    idle_until: int = 0
    """Before this offset it cannot pay for an increment, unless it is given something back."""
    start: Fraction = field(init=False)
    """What there is to take from."""
    shared: Sequence[Purse] = field(init=False)
    """The purses of the same balance, where it has several turns: each has what those before it
    left."""

    def __post_init__(self) -> None:
        if not self.present:
            self.start = self.held
        elif self.held:
            self.start = Fraction(self.balance.value) + self.held
        else:
            self.start = Fraction(self.balance.value)
        self.shared = (self,)

    @property
    def key(self) -> tuple[str, str]:
        """The account's key and the balance's UUID."""
        return self.account, self.balance.uuid

    def reset(self) -> None:
        """As before anything was taken."""
        self.left = self.start
        self.money = self.units = NOTHING
        self.reason = None
        self.idle_until = 0

    def spend(self, amount: Fraction) -> None:
        """Take money; below zero: give it back."""
        self.money += amount
        for purse in self.shared:
            purse.left -= amount

    def active_at(self, at: int) -> bool:
        """Whether it may pay for what begins at this offset."""
        return any(start <= at < end for start, end in self.active)

    def changes(self) -> Iterator[int]:
        """The offsets at which that changes."""
        return (edge for each in self.active for edge in each)


@dataclass(slots=True)
class Selection:
    """Who may pay."""

    units: list[Purse]
    money: list[Purse]
    purses: list[Purse]
    """All that the session gives back to, or that may pay."""
    choices: list[Choice]
    """Those that may not."""


def free_step(subject: str, tor: str) -> int | None:
    """The step in which a balance with this rating subject is taken from for nothing.

    ``*zero1m`` is one minute, ``*zero10`` ten nanoseconds of voice or ten units; nothing and
    ``*any`` are one second of voice, one unit of what is not. ``None``: the subject has a price.
    """
    if subject.startswith(_ZERO):
        try:
            if step := parse_duration(subject[len(_ZERO) :]):
                return step
        except DecodeError:
            pass
    elif subject and subject != ANY:
        return None
    return SECOND if tor == VOICE else 1


def select(
    tariff: Tariff,
    call: Call,
    account: Account,
    members: Iterable[Account],
    groups: Mapping[str, SharedGroup],
    taken: Iterable[Taking],
    seed: str,
    first: Iterable[Taking] | None = None,
    *,
    granted: bool = False,
) -> Selection:
    """The purses for a completed call, those of shared groups included.

    ``first``: it is paid again, and this paid for it the first time. ``granted``: what is held for
    it pays for it, whatever became of its balance.
    """
    found = _Selector(tariff, call, account, members, groups, taken, seed).select()
    if first is not None:
        return _again(found, first)
    return _holding(found) if granted else found


def _holding(found: Selection) -> Selection:
    """The same; what is held can be taken again, below zero too, and last from those left out."""
    paying = {id(purse) for purse in (*found.units, *found.money)}
    units, money = list(found.units), list(found.money)
    for purse in found.purses:
        if purse.held and id(purse) in paying:
            purse.start = max(purse.start, purse.held)
        elif purse.held:
            purse.start, purse.active = purse.held, _ALWAYS
            (money if purse.balance.type == MONETARY else units).append(purse)
    added = {purse.key for purse in (*units, *money)}
    choices = [each for each in found.choices if (each.account, each.balance.uuid) not in added]
    return Selection(units, money, found.purses, choices)


_SLACK = Fraction(4, 10**12)
"""What the amounts of a balance may have lost when they were cut to decimals."""


def _again(found: Selection, first: Iterable[Taking]) -> Selection:
    """The same, each purse of money in its turns: what it has at first, what it has after that."""
    amounts = {(each.account, each.balance.uuid): Fraction(each.amount) for each in first}
    split = {id(purse) for purse in found.money}
    turns: tuple[list[Purse], ...] = ([], [], [], [])
    for purse in found.money:
        rest = max(purse.start, purse.held)  # what is held can be taken again, below zero too
        at_first = min(amounts.get(purse.key, NOTHING), rest)
        known = bool(purse.held) or purse.key in amounts
        parts = [
            Purse(purse.account, purse.balance, held, purse.present, purse.active)
            for held in (purse.held, NOTHING, NOTHING)
        ]
        for part, start in zip(parts, (at_first, max(purse.held, at_first), rest), strict=True):
            part.start = start + _SLACK if start and part is not parts[2] else start
            part.shared = parts
        turns[0].append(parts[0])
        turns[1].append(parts[1])
        turns[2 if known else 3].append(parts[2])
    money = [purse for turn in turns for purse in turn]
    for purse in found.units:
        at_first = min(amounts.get(purse.key, NOTHING), max(purse.start, purse.held))
        purse.start = max(purse.held, at_first)
    others = [each for each in found.purses if id(each) not in split]
    return Selection(found.units, money, [*others, *money], found.choices)


class _Selector:
    def __init__(
        self,
        tariff: Tariff,
        call: Call,
        account: Account,
        members: Iterable[Account],
        groups: Mapping[str, SharedGroup],
        taken: Iterable[Taking],
        seed: str,
    ) -> None:
        self.tariff = tariff
        self.call = call
        self.account = account
        self.groups = groups
        self.seed = seed
        self.zone = tariff.zone(call.tenant)
        self.answered = epoch_nanoseconds(call.time)
        self.number = _Number(tariff, call.destination)
        others = [each for each in members if each.key != account.key]
        # In an order of their own: a ledger may name them in another one at each step.
        paying = (each for each in others if not each.disabled)
        self.members = [account, *sorted(paying, key=lambda each: each.key)]
        resting = [each for each in others if each.disabled]
        self.choices: dict[tuple[str, str], Choice] = {}
        self.purses: dict[tuple[str, str], Purse] = {}
        self.owned: dict[str, list[Purse]] = {}
        held: dict[tuple[str, str], Taking] = {}
        for taking in taken:
            held[(taking.account, taking.balance.uuid)] = taking
        for owner in (*self.members, *resting):  # these pay nothing, but are given back to
            for balance in owner.balances:
                key = (owner.key, balance.uuid)
                had = held.pop(key, None)
                amount = Fraction(had.amount) if had else NOTHING
                self.purses[key] = Purse(owner.key, balance, amount, present=True)
        for key, had in held.items():
            self.purses[key] = Purse(had.account, had.balance, Fraction(had.amount), present=False)
        for purse in self.purses.values():
            self.owned.setdefault(purse.account, []).append(purse)

    def select(self) -> Selection:
        tor = self.call.tor
        types = (tor,) if tor in (MONETARY, GENERIC) else (tor, GENERIC)
        units, money = self._list(types), self._list((MONETARY,))
        for purse in self.purses.values():
            if purse.account == self.account.key and purse.balance.type not in (*types, MONETARY):
                self._pass_over(purse, Reason.TYPE)
        paying = {id(purse) for purse in (*units, *money)}
        return Selection(
            units,
            money,
            [each for each in self.purses.values() if id(each) in paying or each.held],
            list(self.choices.values()),
        )

    def _list(self, types: tuple[str, ...]) -> list[Purse]:
        """The account's purses of these types in their order, groups in place of shared ones."""
        found: dict[int, Purse] = {}
        there: set[str] = set()
        for purse in self._of(self.account.key, types, ""):
            shared = [self.groups[tag] for tag in purse.balance.shared_groups if tag in self.groups]
            if not purse.balance.shared_groups:
                found.setdefault(id(purse), purse)
            elif not shared:
                self._pass_over(purse, Reason.NO_GROUP)
            for group in shared:
                if group.id not in there:
                    there.add(group.id)
                    for each in self._group(group, types, purse):
                        found.setdefault(id(each), each)
        return list(found.values())

    def _group(self, group: SharedGroup, types: tuple[str, ...], mine: Purse) -> list[Purse]:
        purses = [
            purse for member in self.members for purse in self._of(member.key, types, group.id)
        ]
        return order(
            group.strategy(self.account.id),
            purses,
            value=lambda purse: purse.start,
            uuid=lambda purse: purse.balance.uuid,
            mine=lambda purse: purse is mine,
            seed=self.seed,
        )

    def _of(self, key: str, types: tuple[str, ...], group: str) -> list[Purse]:
        """One account's purses that meet the call, best first."""
        ranked: list[tuple[int, Fraction, Purse]] = []
        for purse in self.owned.get(key, ()):
            balance = purse.balance
            if balance.type not in types:
                continue
            if group and group not in balance.shared_groups:
                continue
            precision = self.number.precision(balance.destinations)
            if (reason := self._unfit(purse, precision)) is not None:
                self._pass_over(purse, reason)
                continue
            ranked.append((precision, Fraction(balance.weight), purse))
        ranked.sort(key=lambda each: each[:2], reverse=True)
        return [purse for _, _, purse in ranked]

    def _unfit(self, purse: Purse, precision: int) -> Reason | None:
        balance = purse.balance
        if balance.disabled:
            return Reason.DISABLED
        if balance.categories and not {self.call.category, ANY} & set(balance.categories):
            return Reason.CATEGORY
        if precision < 0:
            return Reason.EXCLUDED if precision == _EXCLUDED else Reason.DESTINATION
        voice = self.call.tor == VOICE
        end = self.call.usage if voice else max(self.call.usage, 1)
        if balance.expires is not None:
            expires = epoch_nanoseconds(balance.expires) - self.answered + 1
            if expires <= 0:
                return Reason.EXPIRED
            if voice:
                end = min(end, expires)
        purse.active = ((0, end),)
        if balance.timings:
            purse.active = list(_active(balance.timings, self.zone, self.answered, end, voice))
            if not purse.active:
                return Reason.TIMING
        return None

    def _pass_over(self, purse: Purse, reason: Reason) -> None:
        key = purse.key
        self.choices.setdefault(key, Choice(purse.account, purse.balance, reason))


def matched(tariff: Tariff, call: Call, destinations: Sequence[str]) -> tuple[str, str]:
    """The prefix and the ID by which destinations mean a call's number."""
    if destinations and ANY not in destinations:
        for length, tags in _Number(tariff, call.destination).tags:
            for tag in tags:
                if tag in destinations:
                    return call.destination[:length], tag
    return call.destination, ANY


def precision(tariff: Tariff, call: Call, destinations: Sequence[str]) -> int:
    """How precisely destinations mean a call's number: the length of the longest prefix.

    0: they are every destination; 1: every one that they do not exclude; below 0: not this one.
    """
    return _Number(tariff, call.destination).precision(destinations)


_EXCLUDED = -2
_OUTSIDE = -1


class _Number:
    """The destinations of a number, longest prefix first."""

    def __init__(self, tariff: Tariff, number: str) -> None:
        self.index = tariff.index
        self.number = number

    @cached_property
    def tags(self) -> list[tuple[int, tuple[str, ...]]]:
        found = []
        for length in self.index.lengths:
            if length <= len(self.number):
                tags = self.index.prefixes.get(self.number[:length])
                if tags is not None:
                    found.append((length, (tags,) if isinstance(tags, str) else tags))
        return found

    def precision(self, destinations: Sequence[str]) -> int:
        if not destinations or ANY in destinations:
            return 0
        for length, tags in self.tags:
            if any(f"!{tag}" in destinations for tag in tags):
                return _EXCLUDED
            if any(tag in destinations for tag in tags):
                return length
        return 1 if all(each.startswith("!") for each in destinations) else _OUTSIDE


def _active(
    timings: tuple[Timing, ...], zone: tzinfo, answered: int, usage: int, voice: bool
) -> Iterator[tuple[int, int]]:
    """From when to when one of the timings holds, in offsets of the usage."""
    table = DayTable(timings, ((Fraction(0), 0),) * len(timings))
    if not voice:
        ordinal, of_day = local_day(zone, answered)
        if next(winner for end, winner in table.day(ordinal) if of_day < end) is not None:
            yield 0, usage
        return
    at, last = answered, answered + usage
    since: int | None = None
    for until, offset in offset_runs(zone, at, last):
        while at < until:
            days, of_day = divmod(at + offset, DAY)
            for end, winner in table.day(days + _EPOCH_ORDINAL):
                if end <= of_day:
                    continue
                if winner is not None and since is None:
                    since = at
                elif winner is None and since is not None:
                    yield since - answered, at - answered
                    since = None
                to = min(at + end - of_day, until)
                of_day += to - at
                at = to
                if at >= until:
                    break
    if since is not None:
        yield since - answered, last - answered
