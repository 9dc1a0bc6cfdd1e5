"""Sessions: what the request types reserve, and that no partition of a call changes its price."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from tests.rating.folder import tariff as folder
from tests.rating.strategies import build, cases

from trunkline.charging.charges import End, Payers
from trunkline.charging.model import Account, Balance
from trunkline.charging.money import subtract, total
from trunkline.charging.session_documents import session_from_json, session_to_json
from trunkline.charging.sessions import (
    Granted,
    RequestType,
    Run,
    Session,
    SessionError,
    authorize,
    close,
    extend,
    session_id,
    settle,
)
from trunkline.errors import TrunklineError
from trunkline.rating import Call, RatingError, Tariff, TariffError, price
from trunkline.rating.durations import SECOND

FILES = {
    "Destinations.csv": "DST,61\n",
    "Rates.csv": "RT,0,0.10,60s,1s,0s\n",
    "DestinationRates.csv": "DR,DST,RT,*up,4,0,\n",
    "RatingPlans.csv": "RP,DR,*any,10\n",
    "RatingProfiles.csv": "cgrates.org,call,*any,,RP,\n",
}
CENTS = folder(FILES)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
RUN = Run(
    id="*default",
    request_type=RequestType.PREPAID,
    call=Call(destination="614", time=NOON, usage=0, account="1001", tenant="cgrates.org"),
)


def payers(value: str) -> Payers:
    return Payers(
        account=Account(
            tenant="cgrates.org", id="1001", balances=(Balance(uuid="b", value=Decimal(value)),)
        )
    )


def after(before: Payers, step: Granted) -> Payers:
    """The accounts as a store would have them after a step."""
    if step.debit is None or not step.debit.accounts:
        return before
    [account] = step.debit.accounts
    return replace(before, account=account)


def held(who: Payers) -> Decimal:
    return total(balance.value for balance in who.account.balances)


def test_a_prepaid_call_reserves_uses_and_gives_back() -> None:
    who = payers("1")
    first = extend(CENTS, who, RUN, 60 * SECOND, session="s")
    who = after(who, first)
    assert (first.usage, held(who), first.run.cost) == (60 * SECOND, Decimal("0.9"), Decimal("0.1"))
    second = extend(CENTS, who, first.run, 60 * SECOND, used=30 * SECOND, session="s")
    who = after(who, second)
    assert second.usage == 60 * SECOND
    assert held(who) == Decimal("0.85")
    last = close(CENTS, who, second.run, 45 * SECOND, session="s")
    who = after(who, last)
    assert (held(who), last.run.cost) == (Decimal("0.925"), Decimal("0.075"))
    assert last.debit is not None
    assert {each.reference for each in last.debit.movements} == {"s"}


def test_what_is_not_told_of_counts_as_used() -> None:
    first = extend(CENTS, payers("1"), RUN, 60 * SECOND)
    second = extend(CENTS, after(payers("1"), first), first.run, 60 * SECOND)
    assert (second.run.used, second.run.granted) == (60 * SECOND, 120 * SECOND)
    ended = close(CENTS, after(after(payers("1"), first), second), second.run, None)
    assert ended.run.cost == Decimal("0.2")


def test_no_more_is_granted_than_the_balances_have() -> None:
    who = payers("0.15")
    first = extend(CENTS, who, RUN, 60 * SECOND)
    second = extend(CENTS, after(who, first), first.run, 60 * SECOND)
    assert (second.usage, second.end) == (30 * SECOND, End.FUNDS)
    third = extend(CENTS, after(after(who, first), second), second.run, 60 * SECOND)
    assert (third.usage, third.end) == (0, End.FUNDS)


def test_usage_beyond_the_grant_is_owed() -> None:
    who = payers("0.10")
    first = extend(CENTS, who, RUN, 60 * SECOND)
    ended = close(CENTS, after(who, first), first.run, 90 * SECOND)
    assert ended.debit is not None
    assert held(after(after(who, first), ended)) == Decimal("-0.05")


@pytest.mark.parametrize(
    ("kind", "granted", "left_after_record"),
    [
        (RequestType.PSEUDOPREPAID, 60, "-0.10"),
        (RequestType.POSTPAID, 120, "-0.10"),
        (RequestType.RATED, 120, "0.10"),
        (RequestType.NONE, 120, "0.10"),
    ],
)
def test_other_request_types_reserve_nothing(
    kind: RequestType, granted: int, left_after_record: str
) -> None:
    who = payers("0.10")
    run = replace(RUN, request_type=kind)
    assert authorize(CENTS, who, run, 120 * SECOND).usage == granted * SECOND
    step = extend(CENTS, who, run, 120 * SECOND)
    assert (step.usage, step.debit) == (granted * SECOND, None)
    ended = close(CENTS, who, step.run, 120 * SECOND)
    assert ended.debit is None
    paid = settle(CENTS, who, ended.run, 120 * SECOND, record="cdr")
    assert held(after(who, paid)) == Decimal(left_after_record)


def test_a_record_takes_what_the_session_does_not_hold() -> None:
    who = payers("1")
    step = extend(CENTS, who, RUN, 60 * SECOND)
    who = after(who, step)
    late = settle(CENTS, who, step.run, 90 * SECOND)
    assert held(after(who, late)) == Decimal("0.85")
    again = settle(CENTS, after(who, late), late.run, 90 * SECOND)
    assert again.debit is not None
    assert again.debit.movements == ()


def test_somebody_has_to_pay() -> None:
    with pytest.raises(SessionError, match="there is no account") as refused:
        extend(CENTS, None, RUN, SECOND)
    assert refused.value.reference == "ACCOUNT_NOT_FOUND"
    none = replace(RUN, request_type=RequestType.NONE)
    assert extend(CENTS, None, none, SECOND).usage == SECOND
    for usage, used in ((-1, None), (1, -1)):
        with pytest.raises(SessionError, match="below zero"):
            extend(CENTS, payers("1"), RUN, usage, used)
    with pytest.raises(SessionError, match="below zero"):
        close(CENTS, payers("1"), RUN, -1)


def test_the_name_of_a_session_is_the_references() -> None:
    # SHA-1 of the two, one after the other
    assert session_id("dsafdsaf", "192.168.1.1") == "0355b437271fda441a73e38bd86f486bef2272ee"


@st.composite
def partitions(draw: st.DrawFn) -> tuple[Tariff, Call, list[tuple[int, int]]]:
    parts, zone, [call] = draw(cases())
    try:
        tariff = build(parts, zone)
    except TariffError:
        reject()
    steps: list[tuple[int, int]] = []
    rest = call.usage
    while rest > 0 and len(steps) < 6:
        used = draw(st.integers(0, rest))
        steps.append((draw(st.integers(used, used + 120 * SECOND)), used))
        rest -= used
    return tariff, call, steps


@given(partitions(), st.sampled_from([RequestType.PREPAID, RequestType.POSTPAID]))
def test_no_partition_changes_the_price(
    case: tuple[Tariff, Call, list[tuple[int, int]]], kind: RequestType
) -> None:
    tariff, call, steps = case
    try:
        cost = price(tariff, call).total
        price(tariff, replace(call, usage=call.usage + 130 * SECOND))
    except RatingError:
        reject()
    rich = 10**9
    who = payers(str(rich))
    run = Run(id="*default", request_type=kind, call=replace(call, usage=0))
    used: int | None = None
    stopped = False
    for wanted, next_used in steps:
        step = extend(tariff, who, run, wanted, used)
        who, run = after(who, step), step.run
        if step.end is End.MAX_COST:
            stopped = True  # *disconnect ends a prepaid call that a price alone goes on with
            break
        used = next_used
    if stopped:
        reject()
    ended = close(tariff, who, run, call.usage)
    who = after(who, ended)
    paid = settle(tariff, who, ended.run, call.usage)
    assert subtract(Decimal(rich), held(after(who, paid))) == cost
    assert paid.run.cost == cost


def test_a_session_is_stored_as_it_is() -> None:
    step = extend(CENTS, payers("1"), RUN, 61 * SECOND, session="s")
    session = Session(
        id=session_id("call-1", "switch"),
        tenant="cgrates.org",
        origin_id="call-1",
        origin_host="switch",
        node="127.0.0.1:5000",
        runs=(
            replace(step.run, event={"Account": "1001", "Extra": [1, None, {"a": 0.5}]}),
            replace(RUN, id="SUPPLIER", request_type=RequestType.NONE, used=7),
        ),
        opened=1767614400.25,
        updated=1767614401.5,
        lease_until=1767618001.75,
        debit_interval=10 * SECOND,
    )
    text = json.dumps(session_to_json(session))
    assert session_from_json(json.loads(text)) == session


@pytest.mark.parametrize(
    "document",
    [
        *("[]", '{"version": 9}', '{"version": 1, "id": 5}'),
        '{"version": 1, "runs": [{"request_type": "*prepaid"}]}',
        '{"version": 1, "runs": [{"request_type": "*x", "time": "2024-05-15T10:00:00+00:00"}]}',
    ],
)
def test_a_document_that_is_none_is_refused(document: str) -> None:
    with pytest.raises(TrunklineError) as refused:
        session_from_json(json.loads(document))
    assert refused.value.code.startswith("charging.document")
