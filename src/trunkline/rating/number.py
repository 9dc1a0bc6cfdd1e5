"""The price alone, as fast as it can be had: no breakdown, no reasons, nothing remembered.

The same tariff, the same rules and the same integers as ``cost.price``. Calls that one price
covers from end to end (nearly all) are answered here; whatever is less usual (a call over a
change of timing or plan, fallback subjects, several IDs on one prefix, a ``*free`` maximum, a
refusal) goes the long way. A property test holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from typing import TypeAlias

from trunkline.rating.call import FIRST_YEAR, LAST_YEAR, VOICE, Call, complete, epoch_nanoseconds
from trunkline.rating.chain import resolve
from trunkline.rating.cost import EXACT, Exact, Precision, bill, charge, sum_up
from trunkline.rating.index import ActivePlan, Entry, Group, Profile, Terms
from trunkline.rating.model import ANY, DEFAULT_CATEGORY, DEFAULT_TENANT
from trunkline.rating.rounding import RoundingMethod
from trunkline.rating.tariff import Tariff

__all__ = ["Where", "amount_of", "price_number", "rounded", "single"]

_UP = RoundingMethod.UP
_DOWN = RoundingMethod.DOWN
_scale = Context(prec=200).scaleb


Where: TypeAlias = tuple[Profile, ActivePlan, str, str]
"""Profile, plan in force, prefix and destination ID of a call's price."""


def price_number(tariff: Tariff, call: Call, precision: Precision = EXACT) -> Decimal:
    """``cost.price(tariff, call, precision).total``, without the rest.

    Raises:
        RatingError: as ``cost.price``.
    """
    if type(precision) is Exact and (entry := single(tariff, call)) is not None:
        amount = amount_of(entry, call.usage)
        if amount is not None:
            terms = entry.terms
            return _scale(Decimal(rounded(terms, amount)), -terms.decimals)
    return _the_long_way(tariff, call, precision)


def single(tariff: Tariff, call: Call, where: list[Where] | None = None) -> Entry | None:
    """The price that covers a call from end to end, and in ``where``, if it is given, whose it is.

    None where there is no such one, or finding it is not that simple. A ``*free`` maximum may
    still cap it (``amount_of``).
    """
    usage = call.usage
    time = call.time
    tor = call.tor or VOICE
    if (
        not 0 < usage <= tariff.usage_limit(tor)
        or time.tzinfo is None
        or not FIRST_YEAR <= time.year <= LAST_YEAR
    ):
        return None

    tenant = call.tenant or DEFAULT_TENANT
    category = call.category or DEFAULT_CATEGORY
    index = tariff.index
    profiles = index.profiles
    profile = profiles.get((tenant, category, call.subject or call.account)) or profiles.get(
        (tenant, category, ANY)
    )
    if profile is None:
        return None
    active = profile.only
    if active is None:
        active = _in_force(profile, time, usage if tor == VOICE else 0)
    if active is None or active.time > time:
        return None

    number = call.destination
    prices = active.plan.prices
    prefixes = index.prefixes
    for length in index.lengths:
        prefix = number[:length]
        tag = prefixes.get(prefix)
        if tag is not None:
            if type(tag) is not str:
                return None
            if (held := prices.get(tag)) is not None:
                break
    else:
        prefix = tag = ANY
        if (held := prices.get(ANY)) is None:
            return None

    if where is not None:
        where.append((profile, active, prefix, tag))
    if isinstance(held, Entry):
        return held
    return held.steady or _timed(tariff.zone(tenant), held, time, usage if tor == VOICE else 0)


def rounded(terms: Terms, amount: int) -> int:
    """An amount in parts of the terms' denominator, in units of their last decimal."""
    whole, rest = divmod(amount * terms.power, terms.denominator)
    if rest:
        rounding = terms.rounding
        if rounding is _UP or (rounding is not _DOWN and 2 * rest >= terms.denominator):
            whole += 1
    return whole


def _timed(zone: tzinfo, group: Group, time: datetime, usage: int) -> Entry | None:
    """The price that holds from end to end; None where there is no such one."""
    utc = time.astimezone(UTC)
    local = utc if zone is UTC else utc.astimezone(zone)
    second = (local.hour * 60 + local.minute) * 60 + local.second
    of_day = (second * 1_000_000 + local.microsecond) * 1_000
    table = group.table
    assert table is not None
    for end, winner in table.day(local.toordinal()):
        if of_day < end:
            if winner is None or of_day + usage > end:
                return None
            if usage and zone is not UTC:
                hung_up = (utc + _microseconds(usage)).astimezone(zone)
                if hung_up.utcoffset() != local.utcoffset():
                    return None
            return group.entries[winner]
    return None


def _microseconds(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=nanoseconds // 1_000)


def _in_force(profile: Profile, time: datetime, usage: int) -> ActivePlan | None:
    """The activation that is in force from end to end; None where there is no such one."""
    later: ActivePlan | None = None
    for active in reversed(profile.activations):
        if active.time <= time:
            if later is not None and later.time <= time.astimezone(UTC) + _microseconds(usage):
                return None
            return active
        later = active
    return None


def amount_of(entry: Entry, usage: int) -> int | None:
    """Fee and increments in parts of the denominator; None where a maximum may cap them."""
    terms = entry.terms
    if terms.flat is not None:
        increment, price = terms.flat
        return terms.fee - (-usage // increment) * price
    if terms.free_after is not None:
        return None
    amount = terms.fee
    reached = 0
    for slot in terms.slots:
        end = slot.end
        to = usage if end is None or usage < end else end
        if to > reached:
            count = -((reached - to) // slot.increment)
            amount += count * slot.price
            reached += count * slot.increment
    return amount


def _the_long_way(tariff: Tariff, call: Call, precision: Precision) -> Decimal:
    call = complete(call, tariff.usage_limits)
    zone = tariff.zone(call.tenant)
    answered = epoch_nanoseconds(call.time)
    parts = resolve(tariff, call, zone, answered, None)
    return sum_up(charge(bill(parts, call, zone, answered), precision), precision).rounded
