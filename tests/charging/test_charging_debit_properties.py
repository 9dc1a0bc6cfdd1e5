"""What holds of every debit: random tariffs, accounts, calls, and partitions of a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from tests.charging.naive import naive
from tests.rating.folder import TUTORIAL
from tests.rating.folder import tariff as folder
from tests.rating.strategies import build, cases

from trunkline.charging import debit as module
from trunkline.charging import payers as payers_module
from trunkline.charging.charges import Cover, Debit, End, Payers, Usage
from trunkline.charging.debit import debit
from trunkline.charging.groups import SharedGroup
from trunkline.charging.model import (
    GENERIC,
    MONETARY,
    SMS,
    VOICE,
    Account,
    Balance,
    Movement,
    Taking,
)
from trunkline.charging.money import ZERO, add, total
from trunkline.charging.rows import SharedGroupRow
from trunkline.rating import (
    EXACT,
    Call,
    Cgrates,
    Precision,
    RatingError,
    Tariff,
    TariffError,
    price,
)
from trunkline.rating.durations import HOUR, SECOND
from trunkline.rating.model import Parts, Timing

RICH = Balance(uuid="rich", value=Decimal(10**9))
GROUPS = {
    "G": SharedGroup("G", {"*any": SharedGroupRow(id="G", account="*any", strategy="*lowest")}),
    "H": SharedGroup("H", {"a": SharedGroupRow(id="H", account="a", strategy="*mine_random")}),
}
SUBJECTS = ("", "", "*zero1s", "*zero7s", "*zero1m", "s", "t", "u", "nobody")


@st.composite
def balances(draw: st.DrawFn, call: Call, name: str) -> Balance:
    kind = draw(st.sampled_from([MONETARY, MONETARY, VOICE, GENERIC, SMS]))
    money = kind == MONETARY
    expires = None
    if not draw(st.integers(0, 3)):
        expires = call.time + timedelta(seconds=draw(st.integers(-5, 300)))
    minute = call.time.hour * 60 + call.time.minute + 1
    timings = draw(
        st.sampled_from(
            [
                (),
                (),
                (),
                (Timing("UNTIL", end=min(minute + 1, 1439) * 60),),
                (Timing("FROM", start=min(minute + 1, 1438) * 60),),
                (Timing("SUNDAYS", week_days=(0,)),),
            ]
        )
    )
    value: Decimal = draw(
        st.sampled_from(["0", "0.0999", "1", "3.3333", "20", "300"]).map(Decimal)
        if money
        else st.integers(0, 400).map(lambda seconds: Decimal(seconds * SECOND))
    )
    return Balance(
        uuid=name,
        type=kind,
        value=value,
        weight=Decimal(draw(st.integers(0, 3))),
        expires=expires,
        destinations=draw(st.sampled_from([(), (), ("D0",), ("D1", "D2"), ("!D0",), ("*any",)])),
        categories=draw(st.sampled_from([(), (), (), ("call",), ("data",)])),
        timings=timings,
        rating_subject=draw(st.sampled_from(SUBJECTS)),
        shared_groups=draw(st.sampled_from([(), (), (), ("G",), ("G", "H"), ("NONE",)])),
        factors=draw(st.sampled_from([{}, {}, {"*voice": Decimal(3)}, {"*any": Decimal("0.5")}])),
        blocker=not draw(st.integers(0, 5)),
        disabled=not draw(st.integers(0, 9)),
    )


class Situation:
    """A tariff, who pays, a call, and the lengths at which it is updated."""

    def __init__(self, tariff: Tariff, payers: Payers, call: Call, updates: list[int]) -> None:
        self.tariff = tariff
        self.payers = payers
        self.call = call
        self.updates = updates

    def __repr__(self) -> str:
        # Without what is as it mostly is: hypothesis refuses to print more.
        text = re.sub(r"\w+=(\(\)|''|None|False|\{\})(, )?", "", f"{self.payers} {self.call}")
        return f"{self.tariff.index.prefixes} {text} {self.updates}"


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    parts, zone, calls = draw(cases())
    call = calls[0]
    assume(call.tor in ("", VOICE))

    def account(name: str, negative: bool) -> Account:
        count = draw(st.integers(0, 4))
        held = [draw(balances(call, f"{name}{number}")) for number in range(count)]
        if draw(st.booleans()):
            default = Balance(
                uuid=f"{name}default", id="*default", value=Decimal(draw(st.integers(-2, 5)))
            )
            held.insert(draw(st.integers(0, count)), default)
        return Account(
            tenant=call.tenant or "cgrates.org",
            id=name,
            balances=tuple(held),
            allow_negative=negative,
        )

    payers = Payers(
        account=account("a", not draw(st.integers(0, 5))),
        members=(account("b", False), account("c", False)),
        groups=GROUPS,
    )
    cuts = draw(st.lists(st.integers(0, call.usage), max_size=4).map(sorted))
    return Situation(built(parts, zone), payers, call, [*cuts, call.usage])


def built(parts: Parts, zone: tzinfo) -> Tariff:
    try:
        return build(parts, zone)
    except TariffError:
        reject()


def apply(payers: Payers, changed: Sequence[Account]) -> Payers:
    by_key = {each.key: each for each in changed}
    return replace(
        payers,
        account=by_key.get(payers.account.key, payers.account),
        members=tuple(by_key.get(each.key, each) for each in payers.members),
    )


def values(payers: Payers) -> dict[tuple[str, str], Decimal]:
    return {
        (account.key, balance.uuid): balance.value
        for account in (payers.account, *payers.members)
        for balance in account.balances
        if balance.value or not balance.is_default
    }


def session(
    tariff: Tariff,
    payers: Payers,
    call: Call,
    updates: Sequence[int],
    cover: Cover,
    precision: Precision = EXACT,
) -> tuple[Payers, Debit, list[Movement]]:
    taken: tuple[Taking, ...] = ()
    movements: list[Movement] = []
    for usage in updates:
        last = debit(
            tariff,
            payers,
            Usage(call=replace(call, usage=usage), cover=cover, taken=taken, default_uuid="new"),
            precision,
        )
        payers = apply(payers, last.accounts)
        taken = last.taken
        movements += last.movements
    return payers, last, movements


@settings(deadline=None)
@given(situations(), st.sampled_from(Cover), st.sampled_from([EXACT, Cgrates(5)]))
def test_any_partition_of_a_call_ends_as_the_call_in_one_piece(
    made: Situation, cover: Cover, precision: Precision
) -> None:
    tariff, payers, call, updates = made.tariff, made.payers, made.call, made.updates
    try:
        whole, one, _ = session(tariff, payers, call, updates[-1:], cover, precision)
        parts, last, movements = session(tariff, payers, call, updates, cover, precision)
    except RatingError:
        return
    assert values(parts) == values(whole)
    assert (last.cost, last.usage, last.rated, last.end) == (
        one.cost,
        one.usage,
        one.rated,
        one.end,
    )
    assert (last.taken, last.charges) == (one.taken, one.charges)

    # The movements lead from the balances before to those after, one by one.
    sums = values(payers)
    for movement in movements:
        key = (movement.account, movement.balance)
        assert movement.before == sums.get(key, 0)
        sums[key] = add(sums.get(key, Decimal(0)), movement.amount)
        assert movement.value == sums[key]
    after = values(parts)
    assert {key: value for key, value in sums.items() if value or key in after} == after
    assert -total(each.amount for each in movements) == total(each.amount for each in last.taken)


@settings(deadline=None)
@given(situations(), st.sampled_from(Cover))
def test_only_a_default_balance_goes_below_zero_and_only_where_it_may(
    made: Situation, cover: Cover
) -> None:
    tariff, payers, call, updates = made.tariff, made.payers, made.call, made.updates
    may = cover is Cover.ALL or payers.account.allow_negative
    before = values(payers)
    for usage in updates:
        try:
            after, last, _ = session(tariff, payers, call, [usage], cover)
        except RatingError:
            continue
        default = next((each for each in after.account.balances if each.is_default), None)
        for (key, uuid), value in values(after).items():
            mine = default is not None and (key, uuid) == (after.account.key, default.uuid)
            assert value >= min(ZERO, before.get((key, uuid), ZERO)) or (mine and may)
        assert 0 <= last.usage <= usage
        assert last.end is not End.COVERED or last.usage == usage
        if may and cover is Cover.ALL:
            assert last.usage == usage
        money = total(each.amount for each in last.taken if each.balance.type == MONETARY)
        assert money == last.cost


@settings(deadline=None)
@given(situations())
def test_what_is_granted_is_covered_and_costs_the_same_again(
    made: Situation,
) -> None:
    tariff, payers, call = made.tariff, made.payers, made.call
    try:
        granted = debit(tariff, payers, Usage(call=call, cover=Cover.FUNDED, default_uuid="new"))
    except RatingError:
        return
    again = debit(
        tariff,
        apply(payers, granted.accounts),
        Usage(
            call=replace(call, usage=granted.usage),
            cover=Cover.FUNDED,
            taken=granted.taken,
            default_uuid="new",
        ),
    )
    owed = debit(
        tariff,
        payers,
        Usage(call=replace(call, usage=granted.usage), cover=Cover.ALL, default_uuid="new"),
    )
    assert (owed.cost, owed.taken) == (granted.cost, granted.taken)
    assert again.usage == granted.usage
    assert (again.cost, again.taken) == (granted.cost, granted.taken)


@settings(deadline=None)
@given(cases(several=3), st.lists(st.integers(0, 900 * SECOND), max_size=4).map(sorted))
def test_a_call_that_one_balance_pays_costs_its_price(
    made: tuple[Parts, tzinfo, list[Call]], cuts: list[int]
) -> None:
    parts, zone, calls = made
    tariff = built(parts, zone)
    for call in calls:
        payers = Payers(account=Account(tenant=call.tenant, id="a", balances=(RICH,)))
        try:
            cost = price(tariff, call).total
        except RatingError:
            continue
        updates = [*(cut for cut in cuts if cut < call.usage), call.usage]
        for cover in Cover:
            try:
                after, last, _ = session(tariff, payers, call, updates, cover)
            except RatingError:
                continue
            if last.end is End.COVERED:
                assert last.cost == cost
                assert after.account.balances[0].value == RICH.value - cost
            else:
                assert last.end in (End.MAX_COST, End.NO_PRICE)


@settings(deadline=None)
@given(situations(), st.sampled_from([Cover.FUNDED, Cover.ALL]))
def test_a_debit_is_what_increments_paid_one_by_one_are(made: Situation, cover: Cover) -> None:
    own = tuple(replace(each, shared_groups=()) for each in made.payers.account.balances)
    account = replace(made.payers.account, balances=own)
    call = replace(made.call, usage=made.call.usage % (120 * SECOND))
    usage = Usage(call=call, cover=cover, default_uuid="new")
    try:
        found = debit(made.tariff, Payers(account=account), usage)
    except RatingError:
        with pytest.raises(RatingError):
            naive(made.tariff, account, call, cover)
        return
    expected = naive(made.tariff, account, call, cover)
    assert (found.usage, found.end) == (expected.usage, expected.end)
    assert found.cost == expected.cost
    held = {each.balance.uuid: Fraction(each.amount) for each in found.taken}
    for each in account.balances:
        taken = Fraction(each.value) - expected.left[each.uuid]
        # The sum is rounded by the tariff: at most by one unit of its coarsest decimals.
        assert abs(held.get(each.uuid, Fraction(0)) - taken) <= 1


def test_the_work_does_not_grow_with_the_length_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = folder(
        {
            **TUTORIAL,
            "Rates.csv": (
                "RT_22c_PM,0,22,60s,1s,0s\nRT_20c_Untimed,20,0,60s,60s,0s\n"
                "RT_25c_Flat,25,0,60s,60s,0s\n"
            ),
            "DestinationRates.csv": TUTORIAL["DestinationRates.csv"].replace("0.12", "0"),
        }
    )
    steps = 0
    step = module._Debit._step

    def counted(self: module._Debit, at: int) -> int:
        nonlocal steps
        steps += 1
        return step(self, at)

    monkeypatch.setattr(module._Debit, "_step", counted)
    account = Account(
        tenant="cgrates.org",
        id="a",
        balances=(
            Balance(uuid="minutes", type=VOICE, value=Decimal(600 * SECOND)),
            Balance(uuid="little", value=Decimal(5), weight=Decimal(1)),
            RICH,
        ),
    )
    taken = []
    for hours in (1, 23, 70):
        steps = 0
        call = Call(destination="614", time=datetime(2024, 5, 15, tzinfo=UTC), usage=hours * HOUR)
        for cover in Cover:
            last = debit(parts, Payers(account=account), Usage(call=call, cover=cover))
            assert last.cost == Decimal(22) * (hours * 60 - 10)
            assert len(last.charges) == 3
        # A price ends at midnight, as in the reference, so there are as many more as days.
        taken.append(steps - len(Cover) * (hours // 24))
    assert len(set(taken)) == 1


def _counted(monkeypatch: pytest.MonkeyPatch, of: type[object], *names: str) -> list[str]:
    calls: list[str] = []
    for name in names:
        method = getattr(of, name)

        def counting(*args: object, _method: Callable[..., object] = method) -> object:
            calls.append("")
            return _method(*args)

        monkeypatch.setattr(of, name, counting)
    return calls


@pytest.mark.parametrize("value", ["22", "30"])
def test_a_balance_that_cannot_pay_is_not_asked_at_every_increment(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    calls = _counted(monkeypatch, module._Debit, "_take_money", "_take_units")
    tariff = folder(
        {**TUTORIAL, "DestinationRates.csv": TUTORIAL["DestinationRates.csv"].replace("0.12", "0")}
    )
    held = [Balance(uuid=f"money{number}", value=Decimal(value)) for number in range(100)]
    held += [Balance(uuid=f"v{number}", type=VOICE, value=Decimal(9)) for number in range(100)]
    account = Account(tenant="cgrates.org", id="a", balances=tuple(held))
    call = Call(destination="614", time=datetime(2024, 5, 15, tzinfo=UTC), usage=HOUR * 2)
    last = debit(tariff, Payers(account=account), Usage(call=call, cover=Cover.FUNDED))
    assert last.usage == 100 * 60 * SECOND
    assert len(calls) <= 3 * len(held)


def test_a_group_is_gone_through_once_however_many_balances_name_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = _counted(monkeypatch, payers_module._Selector, "_unfit")

    def account(name: str, count: int) -> Account:
        made = (Balance(uuid=f"{name}{n}", shared_groups=("G",)) for n in range(count))
        return Account(tenant="cgrates.org", id=name, balances=tuple(made))

    payers = Payers(
        account=account("a", 20), members=[account(f"m{n}", 1) for n in range(50)], groups=GROUPS
    )
    call = Call(destination="614", time=datetime(2024, 5, 15, tzinfo=UTC), usage=SECOND)
    with suppress(RatingError):
        debit(folder(TUTORIAL), payers, Usage(call=call, cover=Cover.ALL))
    assert len(calls) == 20 + 20 + 50
