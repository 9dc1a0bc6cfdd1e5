"""The engine against the naive one, and against itself by another way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.rating.naive import Naive, NoPriceError
from tests.rating.strategies import build, cases

from trunkline.rating import EXACT, Call, Cgrates, RatingError, Tariff, price, price_number
from trunkline.rating.check import problems
from trunkline.rating.model import Parts
from trunkline.rating.rounding import round_fraction

Case = tuple[Parts, tzinfo, list[Call]]


def _built(of: Parts, zone: tzinfo) -> Tariff:
    # Two prices drawn for the same moment; nothing else can be wrong with what is drawn.
    wrong = {problem.code for problem in problems(of)}
    assert wrong <= {"rating.overlap"}
    assume(not wrong)
    return build(of, zone)


def _refused(work: Callable[[], object]) -> RatingError | None:
    try:
        work()
    except RatingError as refusal:
        return refusal
    return None


@settings(max_examples=300, deadline=None)
@given(cases())
def test_the_price_is_that_of_the_naive_engine(case: Case) -> None:
    of, zone, (call,) = case
    tariff = _built(of, zone)
    try:
        expected = Naive(of, zone).price(call)
    except NoPriceError:
        with pytest.raises(RatingError):
            price(tariff, call)
        return
    assert price(tariff, call).total == expected


@settings(max_examples=100, deadline=None)
@given(cases(several=4, longest=100_000))
def test_the_number_alone_is_the_number_of_the_breakdown(case: Case) -> None:
    of, zone, several = case
    tariff = _built(of, zone)
    for call in several:
        for precision in (EXACT, Cgrates(5), Cgrates(6)):
            refusal = _refused(partial(price, tariff, call, precision))
            if refusal is None:
                cost = price(tariff, call, precision)
                assert price_number(tariff, call, precision) == cost.total
                assert price(tariff, call, precision, reasons=False).total == cost.total
            else:
                other = _refused(partial(price_number, tariff, call, precision))
                assert other is not None
                assert (other.code, str(other)) == (refusal.code, str(refusal))


@settings(max_examples=100, deadline=None)
@given(cases(longest=100_000))
def test_spans_are_contiguous_and_add_up(case: Case) -> None:
    of, zone, (call,) = case
    tariff = _built(of, zone)
    try:
        cost = price(tariff, call)
    except RatingError:
        return
    reached = 0
    for span in cost.spans:
        assert span.start == reached
        reached += span.duration
        assert span.duration == span.count * span.slot.increment
        assert span.cost == span.price * span.count
    assert reached >= call.usage
    if cost.spans[-1].count:
        assert cost.spans[-1].start < call.usage
    amount = cost.connect_fee + sum((span.cost for span in cost.spans), Fraction(0))
    charged = [span.entry.terms for span in cost.spans if span.count]
    if charged and all(terms.free_after is None for terms in charged):
        by = max(charged, key=lambda terms: terms.decimals)
        assert cost.total == round_fraction(amount, by.decimals, by.rounding)
    assert cost.triples == [(s.duration, s.price, s.count) for s in cost.spans]


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(0, 900))
def test_more_usage_never_costs_less(case: Case, more: int) -> None:
    of, zone, (call,) = case
    tariff = _built(of, zone)
    longer = Call(
        destination=call.destination,
        time=call.time,
        usage=call.usage + more * 1_000_000_000,
        subject=call.subject,
        tor=call.tor,
    )
    try:
        costs = [price(tariff, each) for each in (call, longer)]
    except RatingError:
        return
    if len({span.entry.terms for cost in costs for span in cost.spans}) == 1:
        assert costs[0].total <= costs[1].total
