"""Random accounts, for the properties of this room."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from trunkline.charging.model import (
    DATA,
    GENERIC,
    MONETARY,
    VOICE,
    Account,
    Balance,
    Counter,
    Taking,
    Trigger,
)
from trunkline.charging.rows import ActionTriggerRow, BalanceRow
from trunkline.rating.model import Timing

names = st.text("abAB_*!é:", min_size=1, max_size=5)
amounts = st.decimals(-(10**14), 10**14, allow_nan=False, allow_infinity=False, places=9) | st.just(
    Decimal("0.1234567890123456789")
)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
several = st.lists(names, max_size=3, unique=True).map(tuple)


def numbers(low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(low, high), max_size=3, unique=True).map(
        lambda values: tuple(sorted(values))
    )


timings = st.builds(
    Timing,
    names,
    numbers(2000, 2050),
    numbers(1, 12),
    numbers(1, 31),
    numbers(0, 6),
    st.integers(0, 43_200),
    st.integers(43_201, 86_400),
    as_soon=st.booleans(),
)
balances = st.builds(
    Balance,
    uuid=names,
    id=st.just("") | names,
    type=st.sampled_from([MONETARY, VOICE, DATA, GENERIC]),
    value=amounts,
    weight=amounts,
    expires=st.none() | times,
    destinations=several,
    categories=several,
    timings=st.lists(timings, max_size=2).map(tuple),
    rating_subject=st.just("") | names,
    shared_groups=several,
    factors=st.dictionaries(names, amounts, max_size=2),
    blocker=st.booleans(),
    disabled=st.booleans(),
)
filters = st.builds(
    BalanceRow,
    id=st.none() | st.just("") | names,
    type=st.just("") | names,
    categories=st.none() | several,
    destinations=st.none() | several,
    rating_subject=st.none() | st.just("") | names,
    shared_groups=st.none() | several,
    expires=st.just("") | names,
    timings=st.none() | several,
    value=st.none() | amounts,
    value_text=st.just("") | names,
    weight=st.none() | amounts,
    blocker=st.none() | st.booleans(),
    disabled=st.none() | st.booleans(),
    uuid=st.none() | names,
)
triggers = st.builds(
    Trigger,
    row=st.builds(
        ActionTriggerRow,
        id=names,
        unique_id=names,
        threshold_type=names,
        threshold_value=amounts,
        recurrent=st.booleans(),
        min_sleep=st.integers(0, 10**15),
        expires=st.none() | times,
        activation=st.none() | times,
        balance=filters,
        actions_id=names,
        weight=amounts,
    ),
    executed=st.booleans(),
    last_run=st.none() | times,
)
counters = st.builds(
    Counter, kind=names, type=names, unique_id=names, filter=filters, value=amounts
)
accounts = st.builds(
    Account,
    tenant=names,
    id=names,
    balances=st.lists(balances, max_size=3).map(tuple),
    allow_negative=st.booleans(),
    disabled=st.booleans(),
    updated=st.none() | times,
    counters=st.lists(counters, max_size=2).map(tuple),
    triggers=st.lists(triggers, max_size=2).map(tuple),
)
takings = st.builds(Taking, account=names, balance=balances, amount=amounts)
