"""A deliberately naive engine: it walks a call second by second and looks everything up anew.

No index, no spans, no integers over a denominator. Where an increment is due it asks what holds
at that very second, charges one increment, and waits until it is used up. It shares with the
product the rows of the model and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from trunkline.rating.call import Call
from trunkline.rating.model import (
    Activation,
    Binding,
    MaxCostStrategy,
    Parts,
    PlanEntry,
    Rate,
    RateSlot,
    Timing,
)
from trunkline.rating.rounding import RoundingMethod

_SECOND = 1_000_000_000
_MODES = {
    RoundingMethod.UP: ROUND_CEILING,
    RoundingMethod.DOWN: ROUND_FLOOR,
    RoundingMethod.MIDDLE: ROUND_HALF_UP,
}

Row = tuple[int, PlanEntry, Binding]


class NoPriceError(Exception):
    """The call has none."""


@dataclass
class Naive:
    """The engine over the rows of a tariff."""

    parts: Parts
    zone: tzinfo
    depth: int = 3

    def price(self, call: Call) -> Decimal:
        """The rounded price; usage, slots and increments must be whole seconds.

        Raises:
            NoPriceError: there is none.
        """
        voice = call.tor in ("", "*voice")
        amount = Fraction(0)
        due = 0
        decimals, method = -1, RoundingMethod.UP
        part: tuple[str, datetime] | None = None
        rows: list[Row] = []
        for second in range(call.usage // _SECOND):
            at = call.time + timedelta(seconds=second if voice else 0)
            now, found = self._answer(call, at)
            if now != part:
                part, rows = now, found
            if second < due:
                continue
            row = self._row(rows, at)
            if row is None:
                raise NoPriceError
            binding = row[2]
            slots = sorted(self._rate(binding.rate_id).slots, key=lambda slot: slot.start)
            slot = [slot for slot in slots if slot.start <= second * _SECOND][-1]
            if second == 0:
                amount += slots[0].connect_fee
            amount += slot.rate * self._increment(slot) / (slot.unit // _SECOND or 1)
            if binding.strategy is MaxCostStrategy.FREE and binding.max_cost:
                amount = min(amount, binding.max_cost)
            if binding.decimals > decimals:
                decimals, method = binding.decimals, binding.rounding
            due = second + self._increment(slot)
        if decimals < 0:
            # Nothing was used: free, if the call could have been made.
            self._answer(call, call.time)
            return Decimal(0)
        with localcontext() as context:
            context.prec = 100
            exact = Decimal(amount.numerator) / Decimal(amount.denominator)
            return exact.quantize(Decimal(1).scaleb(-decimals), _MODES[method])

    def _increment(self, slot: RateSlot) -> int:
        return slot.increment // _SECOND or 1

    def _rate(self, tag: str) -> Rate:
        return next(rate for rate in self.parts.rates if rate.id == tag)

    def _timing(self, tag: str) -> Timing:
        return next((row for row in self.parts.timings if row.id == tag), Timing("*any"))

    def _answer(self, call: Call, at: datetime) -> tuple[tuple[str, datetime], list[Row]]:
        subjects = {row.subject for row in self.parts.rating_profiles}
        subject = call.subject if call.subject in subjects else "*any"
        found = self._profile(call, subject, at, call.time, (subject,))
        if found is None:
            raise NoPriceError
        return found

    def _profile(
        self, call: Call, subject: str, at: datetime, since: datetime, way: tuple[str, ...]
    ) -> tuple[tuple[str, datetime], list[Row]] | None:
        """Who answers at ``at`` and since when, with the rows of the destination.

        ``since`` is when this profile was asked first; the moment at which a plan takes over is
        the one at which a destination needs a timing that holds.
        """
        profile = next((p for p in self.parts.rating_profiles if p.subject == subject), None)
        if profile is None or len(way) > self.depth:
            return None
        begun = [a for a in profile.activations if a.time is None or a.time <= at]
        if not begun:
            if "*any" in way:
                return None
            return self._profile(call, "*any", at, since, (*way, "*any"))
        epoch = datetime(1900, 1, 1, tzinfo=UTC)
        active = max(begun, key=lambda activation: activation.time or epoch)
        since = max(since, active.time or epoch)
        rows = self._destination(call, active, since)
        if rows:
            return (subject, since), rows
        for fallback in active.fallbacks:
            if fallback not in way:
                found = self._profile(call, fallback, at, since, (*way, fallback))
                if found is not None:
                    return found
        return None

    def _destination(self, call: Call, active: Activation, since: datetime) -> list[Row]:
        plan = next(p for p in self.parts.rating_plans if p.id == active.plan_id)
        everything: list[Row] = []
        for entry in plan.entries:
            bound = next(
                d for d in self.parts.destination_rates if d.id == entry.destination_rate_id
            )
            everything += [(0, entry, binding) for binding in bound.bindings]
        everything = [(n, entry, binding) for n, (_, entry, binding) in enumerate(everything)]
        for length in range(len(call.destination), 0, -1):
            best: list[Row] = []
            weight = Fraction(-1)
            for destination in self.parts.destinations:
                if call.destination[:length] in destination.prefixes:
                    rows = [row for row in everything if row[2].destination_id == destination.id]
                    row = self._row(rows, since)
                    if row is not None and row[1].weight > weight:
                        best, weight = rows, row[1].weight
            if best:
                return best
        rows = [row for row in everything if row[2].destination_id == "*any"]
        return rows if self._row(rows, since) is not None else []

    def _row(self, rows: Sequence[Row], at: datetime) -> Row | None:
        local = at.astimezone(self.zone)
        second = (local.hour * 60 + local.minute) * 60 + local.second
        held = []
        for row in rows:
            timing = self._timing(row[1].timing_id)
            if (
                (not timing.years or local.year in timing.years)
                and (not timing.months or local.month in timing.months)
                and (not timing.month_days or local.day in timing.month_days)
                and (not timing.week_days or local.isoweekday() % 7 in timing.week_days)
                and timing.start <= second < timing.end
            ):
                held.append((row[1].weight, timing.start, -row[0], row))
        return max(held, key=lambda each: each[:3])[3] if held else None
