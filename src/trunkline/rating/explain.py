"""Writing down the second half of a decision: timings, slots, fee, maximum, rounding.

The winners are those that the engine billed; why the others lost is read off the very keys by
which the day table ranks timings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from decimal import Decimal
from fractions import Fraction

from trunkline.rating.clock import local_day, local_text
from trunkline.rating.decision import Candidate, Reason, Stage, Step
from trunkline.rating.durations import SECOND, format_usage
from trunkline.rating.index import Entry, Group, Terms, active_on, rank
from trunkline.rating.model import MaxCostStrategy
from trunkline.rating.rounding import format_money
from trunkline.rating.spans import Billed

__all__ = ["add_slots", "add_sum", "add_timings", "longest"]


def longest(terms: Sequence[Terms]) -> Terms:
    """The terms that round the whole: the first of those with the most decimals."""
    return max(terms, key=lambda each: each.decimals)


def add_timings(
    steps: list[Step], billed: Sequence[Billed], zone: tzinfo, answered: int, *, voice: bool
) -> None:
    """One step for each stretch of the call in which one timing wins."""
    previous: Entry | None = None
    for each in billed:
        piece = each.piece
        if piece.entry is None or piece.match is None or piece.entry is previous:
            continue
        previous = piece.entry
        at = answered + (piece.start if voice else 0)
        steps.append(_timing_step(piece.match.group, piece.entry, zone, at, voice=voice))


def _timing_step(group: Group, won: Entry, zone: tzinfo, at: int, *, voice: bool) -> Step:
    ordinal, of_day = local_day(zone, at)
    losers = []
    for entry in group.entries:
        if entry is won:
            continue
        timing = entry.timing
        holds = timing.start <= of_day // SECOND < timing.end and active_on(timing, ordinal)
        if not holds:
            reason = Reason.INACTIVE
        elif rank(entry)[0] < rank(won)[0]:
            reason = Reason.LOWER_WEIGHT
        elif rank(entry) < rank(won):
            reason = Reason.STARTED_EARLIER
        else:
            reason = Reason.LISTED_LATER
        losers.append(_timing(entry, reason, ""))
    when = f"at {local_text(zone, at)}"
    return Step(
        Stage.TIMING, _timing(won, Reason.TIMED if voice else Reason.AT_START, when), tuple(losers)
    )


def _timing(entry: Entry, reason: Reason, when: str) -> Candidate:
    detail = f"{entry.planned.destination_rate_id}, weight {format_money(entry.weight)}"
    return Candidate(
        entry.timing.id, reason, f"{detail}, {when}" if when else detail, entry.planned.source
    )


def add_slots(
    steps: list[Step], billed: Sequence[Billed], sums: Iterable[tuple[Fraction, Fraction]], tor: str
) -> None:
    """One step for each span: what was used, what is billed for it, at which slot's price.

    ``sums``: what one increment and all of them came to, of each span that is billed.
    """
    counted = iter(sums)
    for each in billed:
        piece = each.piece
        slot, entry = piece.slot, piece.entry
        if slot is None or entry is None:
            continue
        terms = entry.terms
        used = piece.end - piece.start
        name = f"{terms.rate_id} from {format_usage(slot.start, tor)}"
        if not each.count:
            detail = f"{format_usage(used, tor)} were billed with the span before"
            steps.append(Step(Stage.SLOT, None, (Candidate(name, Reason.SWALLOWED, detail),)))
            continue
        if each.start > piece.start:
            reason = Reason.SHIFTED
        elif each.end > piece.end:
            reason = Reason.STRETCHED
        else:
            reason = Reason.AS_USED
        single, cost = next(counted)
        detail = (
            f"{format_money(slot.rate)} for {format_usage(slot.unit, tor)}: "
            f"{format_usage(used, tor)} used, "
            f"{each.count} x {format_usage(slot.increment, tor)} x {format_money(single)} = "
            f"{format_money(cost)}"
        )
        steps.append(Step(Stage.SLOT, Candidate(name, reason, detail, entry.binding_source)))


def add_sum(
    steps: list[Step],
    billed: Sequence[Billed],
    amount: Fraction,
    rounded: Decimal,
    capped: Terms | None,
    *,
    exact: bool,
) -> None:
    """The connect fee, the maximum and the rounding of the whole."""
    charged = [each.piece.entry for each in billed if each.count and each.piece.entry is not None]
    if not charged:
        steps.append(Step(Stage.CONNECT_FEE, Candidate("0", Reason.NO_USAGE)))
        return
    first = charged[0].terms
    fee = Candidate(format_money(first.connect_fee), Reason.FEE, first.rate_id)
    steps.append(Step(Stage.CONNECT_FEE, fee))
    for entry in {id(entry.terms): entry for entry in reversed(charged)}.values():
        terms = entry.terms
        if not terms.max_cost or not terms.strategy:
            continue
        name = f"{format_money(terms.max_cost)} {terms.strategy}"
        source = entry.binding_source
        if terms is capped:
            candidate = Candidate(name, Reason.CAPPED, "the rest is free", source)
            steps.append(Step(Stage.MAX_COST, candidate))
            continue
        detail, reason = "", Reason.NOT_REACHED
        if terms.strategy is MaxCostStrategy.DISCONNECT and amount >= terms.max_cost:
            detail = "ends a prepaid session, never caps the price of a finished call"
            reason = Reason.WOULD_DISCONNECT
        steps.append(Step(Stage.MAX_COST, None, (Candidate(name, reason, detail, source),)))
    by = longest([entry.terms for entry in charged])
    source = next(entry.binding_source for entry in charged if entry.terms is by)
    steps.append(
        Step(
            Stage.ROUNDING,
            Candidate(
                f"{by.rounding} {by.decimals}",
                Reason.ROUNDED if exact else Reason.SUMMED,
                f"{format_money(amount)} -> {format_money(rounded)}",
                source,
            ),
        )
    )
