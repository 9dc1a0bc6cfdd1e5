"""The price of a call: ``price`` with its breakdown and reasons, ``price_number`` alone.

Exact by default: each span costs increments times the rational price of one, the sum is rounded
once, by the method and decimals of the span that asks for the most decimals. The ``cgrates``
precision repeats the reference's ``float64`` steps instead, to the last digit: the price of one
increment is rounded (5 decimals in a started engine, 6 in its unit tests) before it is
multiplied. There the console's ``Cost`` is the sum of the increments (``event_total``) and only
the engine's own ``Cost`` is rounded by the tariff (``total``). Exactly computed they are the same.

Known difference: where ``*free`` caps a call of several spans, the reference adds the running
total to itself before it compares, and so may charge the maximum to a call that never reached
it. Both precisions here compare the total.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from fractions import Fraction

from trunkline.rating import explain
from trunkline.rating.call import VOICE, Call, complete, epoch_nanoseconds
from trunkline.rating.chain import Match, Part, resolve, resolve_plan
from trunkline.rating.clock import local_text, local_time
from trunkline.rating.decision import Decision, Step
from trunkline.rating.errors import RatingError
from trunkline.rating.index import Entry, Slot, Terms
from trunkline.rating.rounding import RoundingMethod, format_money, round_float, round_fraction
from trunkline.rating.spans import Billed, split, stretch, timed
from trunkline.rating.tariff import Tariff

__all__ = [
    "EXACT",
    "Cgrates",
    "Cost",
    "Exact",
    "Precision",
    "Span",
    "Total",
    "bill",
    "charge",
    "price",
    "price_plans",
    "sum_up",
]


@dataclass(frozen=True, slots=True)
class Exact:
    """Rational arithmetic, rounded once at the end."""


@dataclass(frozen=True, slots=True)
class Cgrates:
    """The reference's floating-point arithmetic with its engine-wide ``decimals``, 5 or 6."""

    decimals: int = 5

    def __post_init__(self) -> None:
        if self.decimals not in (5, 6):
            raise RatingError(
                "rating.precision",
                f"the cgrates precision has 5 or 6 decimals, not {self.decimals}",
                supply="5 is what a started engine uses, 6 its unit tests",
            )


Precision = Exact | Cgrates
EXACT = Exact()


@dataclass(frozen=True, slots=True)
class Span:
    """A charged span: ``count`` increments of ``price`` each, from ``start`` of the usage."""

    start: int
    duration: int
    """What is billed: nanoseconds of voice, units of what is not."""
    price: Fraction
    """Of one increment; in the ``cgrates`` precision, the rounded one."""
    count: int
    cost: Fraction
    """Without the connect fee and before rounding the whole."""
    match: Match
    entry: Entry
    slot: Slot


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of a call."""

    rounded: Decimal
    """By the tariff."""
    event: Decimal
    """The sum of increments; the same as ``rounded`` if exact."""
    amount: Fraction
    """Before the tariff's rounding."""
    capped: Terms | None
    """The terms whose maximum is the sum."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs, and why."""

    call: Call
    """With its defaults filled in."""
    total: Decimal
    """Rounded by the tariff."""
    event_total: Decimal
    """What the reference's console prints; see the module. The same as ``total`` if exact."""
    connect_fee: Fraction
    spans: tuple[Span, ...]
    """Never empty: a call without usage has one span with a count of 0."""
    decision: Decision

    @property
    def triples(self) -> list[tuple[int, Fraction, int]]:
        """(duration, price of one increment, count) of each span."""
        return [(span.duration, span.price, span.count) for span in self.spans]


def price(
    tariff: Tariff, call: Call, precision: Precision = EXACT, *, reasons: bool = True
) -> Cost:
    """The price of ``call`` with its spans and, with ``reasons``, why each choice was made.

    Raises:
        RatingError: the call has no price; see ``docs/rating.md`` for its codes.
    """
    call = complete(call, tariff.usage_limits)
    zone, answered = tariff.zone(call.tenant), epoch_nanoseconds(call.time)
    steps: list[Step] | None = [] if reasons else None
    return _cost(resolve(tariff, call, zone, answered, steps), call, zone, steps, precision)


def price_plans(
    tariff: Tariff, call: Call, plan_ids: Iterable[str], precision: Precision = EXACT
) -> Cost:
    """The price of ``call`` by the first of these rating plans that has one; no profile counts.

    Raises:
        RatingError: none of them has one: what the first was missing.
    """
    call = complete(call, tariff.usage_limits)
    zone, answered = tariff.zone(call.tenant), epoch_nanoseconds(call.time)
    refusal: RatingError | None = None
    for plan_id in plan_ids:
        steps: list[Step] = []
        try:
            parts = resolve_plan(tariff, call, zone, answered, steps, plan_id)
            return _cost(parts, call, zone, steps, precision)
        except RatingError as error:
            refusal = refusal or error
    raise refusal or RatingError(
        "rating.no-plan",
        "no rating plan was named",
        missing="RatingPlan",
        supply="name one or more",
        reference="RATING_PLAN_NOT_FOUND",
    )


def _cost(
    parts: Sequence[Part],
    call: Call,
    zone: tzinfo,
    steps: list[Step] | None,
    precision: Precision,
) -> Cost:
    answered = epoch_nanoseconds(call.time)
    billed = bill(parts, call, zone, answered)
    spans = charge(billed, precision)
    total = sum_up(spans, precision)
    if steps is not None:
        explain.add_timings(steps, billed, zone, answered, voice=call.tor == VOICE)
        exact = isinstance(precision, Exact)
        sums = [(span.price, span.cost) for span in spans if span.count]
        if not exact:  # as the floats are written
            sums = [(_written(single), _written(cost)) for single, cost in sums]
        explain.add_slots(steps, billed, sums, call.tor)
        explain.add_sum(
            steps,
            billed,
            total.amount,
            total.rounded,
            total.capped,
            exact=exact,
        )
    return Cost(
        call=call,
        total=total.rounded,
        event_total=total.event,
        connect_fee=spans[0].entry.terms.connect_fee if call.usage else Fraction(0),
        spans=tuple(spans),
        decision=Decision(
            call,
            local_time(zone, answered),
            tuple(steps or ()),
            format_money(total.rounded),
        ),
    )


def _written(value: Fraction) -> Fraction:
    return Fraction(repr(float(value)))


def bill(parts: Sequence[Part], call: Call, zone: tzinfo, answered: int) -> list[Billed]:
    """The spans of a call as they are billed, those that were reached over among them.

    Raises:
        RatingError: ``rating.no-timing``, where the call runs into a time without a price.
    """
    pieces = timed(parts, zone, answered, call.usage, voice=call.tor == VOICE)
    billed = list(stretch(list(split(pieces))))
    for each in billed:
        if each.piece.slot is None and each.end > each.start:
            match = each.piece.match
            assert match is not None
            plan = match.active.plan.id
            raise RatingError(
                "rating.no-timing",
                f"the plan {plan} has no price for {match.group.destination_id} that holds at "
                f"{local_text(zone, answered + each.start)}, while the call was on",
                missing="Timing",
                supply=f"add a row of {plan} with a timing that holds then, such as *any, to "
                "RatingPlans.csv",
                reference="UNAUTHORIZED_DESTINATION",
            )
    return billed


def charge(billed: Iterable[Billed], precision: Precision) -> list[Span]:
    """The spans with their prices; a call without usage has one with a count of 0."""
    spans: list[Span] = []
    for each in billed:
        piece = each.piece
        match, entry, slot = piece.match, piece.entry, piece.slot
        if match is None or entry is None or slot is None:
            continue
        count = each.count
        duration = each.end - each.start
        if count == 0:
            if piece.end > piece.start:
                continue
            single = cost = Fraction(0)
        elif isinstance(precision, Exact):
            single = Fraction(slot.price, entry.terms.denominator)
            cost = single * count
        else:
            rate = float(slot.rate) / float(slot.unit)
            rounded = round_float(
                float(duration) * rate / count, precision.decimals, RoundingMethod.MIDDLE
            )
            single, cost = Fraction(rounded), Fraction(rounded * count)
        spans.append(Span(each.start, duration, single, count, cost, match, entry, slot))
    return spans


def sum_up(spans: Sequence[Span], precision: Precision) -> Total:
    """Fee and spans together, capped where the tariff says so, and rounded."""
    charged = [span for span in spans if span.count]
    if not charged:
        return Total(Decimal(0), Decimal(0), Fraction(0), None)
    by = explain.longest([span.entry.terms for span in charged])
    capped: Terms | None = None
    if isinstance(precision, Exact):
        amount = charged[0].entry.terms.connect_fee
        for span in charged:
            amount += span.cost
            limit = span.entry.terms.free_after
            if limit is not None and amount >= limit:
                amount, capped = limit, span.entry.terms
        rounded = round_fraction(amount, by.decimals, by.rounding)
        return Total(rounded, rounded, amount, capped)
    middle, decimals = RoundingMethod.MIDDLE, precision.decimals
    fee = float(charged[0].entry.terms.connect_fee)
    running = 0.0
    for span in charged:
        running += round_float(fee + float(span.cost), decimals, middle)
        fee = 0.0
        limit = span.entry.terms.free_after
        if limit is not None and running >= limit:
            running, capped = float(limit), span.entry.terms
    event = Decimal(repr(round_float(running, decimals, middle)))
    tariffs = Decimal(repr(round_float(running, by.decimals, by.rounding)))
    return Total(tariffs, event, Fraction(event), capped)
