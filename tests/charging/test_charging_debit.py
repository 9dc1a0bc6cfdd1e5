"""The rules by which balances are taken from, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from tests.rating.folder import tariff

from trunkline.charging.charges import AccountError, Cover, Debit, End, Payers, Usage
from trunkline.charging.debit import debit
from trunkline.charging.groups import SharedGroup, Strategy, shared_groups
from trunkline.charging.model import DATA, GENERIC, MONETARY, SMS, VOICE, Account, Balance, Taking
from trunkline.charging.money import ZERO, AmountError, add, subtract, trim
from trunkline.charging.payers import Reason
from trunkline.charging.result import paid_event_cost
from trunkline.charging.rows import SharedGroupRow
from trunkline.rating import Call, RatingError
from trunkline.rating.durations import MINUTE, SECOND
from trunkline.rating.model import Timing

NOON = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)  # a Wednesday
OF = tariff(
    {
        "Destinations.csv": (
            "GERMANY,49\nBERLIN,4930\nFRANCE,33\nFREE,800\nCAPPED,900\nENDED,901\nNOFEE,41\n"
        ),
        "Timings.csv": "DAY,*any,*any,*any,*any,00:00:00;18:00:00\n",
        "Rates.csv": (
            "R,0,0.6,60s,1s,0s\nFEE,1,0.6,60s,1s,0s\nZERO,0,0,1s,1s,0s\nODD,0,0.25,60s,1s,0s\n"
            "CHEAP,0,0.06,60s,1s,0s\nSMS,0,2,1,1,0\n"
        ),
        "DestinationRates.csv": (
            "DR,GERMANY,R,*up,4,0,\nDR,FRANCE,FEE,*up,4,0,\nDR,FREE,ZERO,*up,4,0,\n"
            "DR,CAPPED,R,*up,4,1,*free\nDR,ENDED,R,*up,4,1,*disconnect\n"
            "CHEAP,*any,CHEAP,*up,4,0,\nODD,*any,ODD,*up,1,0,\nSMS,*any,SMS,*up,4,0,\n"
            "DAY,*any,R,*up,4,0,\n"
        ),
        "RatingPlans.csv": (
            "P,DR,*any,10\nCHEAP,CHEAP,*any,10\nODD,ODD,*any,10\nSMS,SMS,*any,10\nDAY,DAY,DAY,10\n"
        ),
        "RatingProfiles.csv": (
            "cgrates.org,call,*any,,P,\ncgrates.org,call,cheap,,CHEAP,\ncgrates.org,call,odd,,ODD,\n"
            "cgrates.org,sms,*any,,SMS,\ncgrates.org,call,day,,DAY,\n"
        ),
    }
)


def money(uuid: str, value: str, **more: object) -> Balance:
    return Balance(uuid=uuid, value=Decimal(value), **more)  # type: ignore[arg-type]


def voice(uuid: str, seconds: int, **more: object) -> Balance:
    return Balance(uuid=uuid, type=VOICE, value=Decimal(seconds * SECOND), **more)  # type: ignore[arg-type]


def call(seconds: int = 60, to: str = "4930", **more: object) -> Call:
    return Call(destination=to, time=NOON, usage=seconds * SECOND, **more)  # type: ignore[arg-type]


def take(
    balances: Sequence[Balance],
    of: Call,
    cover: Cover = Cover.FUNDED,
    *,
    members: Sequence[Account] = (),
    groups: dict[str, SharedGroup] | None = None,
    allow_negative: bool = False,
    **more: object,
) -> Debit:
    account = Account(
        tenant="cgrates.org", id="me", balances=tuple(balances), allow_negative=allow_negative
    )
    payers = Payers(account=account, members=members, groups=groups or {})
    return debit(OF, payers, Usage(call=of, cover=cover, **more))  # type: ignore[arg-type]


def took(found: Debit) -> dict[str, Decimal]:
    """What is taken from each balance; of voice, in seconds."""
    return {
        each.balance.uuid: each.amount / SECOND if each.balance.type == VOICE else each.amount
        for each in found.taken
    }


def reasons(found: Debit) -> dict[str, Reason]:
    return {each.balance.uuid: each.reason for each in found.choices}


@pytest.mark.parametrize(
    ("balances", "expected"),
    [
        # Units before money, the heaviest first, then the one that came first.
        ([money("m", "9", weight=Decimal(9)), voice("v", 90)], {"v": 60}),
        ([money("a", "9"), money("b", "9", weight=Decimal(1))], {"b": "0.6"}),
        ([money("a", "9"), money("b", "9")], {"a": "0.6"}),
        ([voice("a", 40), voice("b", 90, weight=Decimal(1))], {"b": 60}),
        # The most precise destination goes before the heaviest.
        (
            [
                money("any", "9", weight=Decimal(9)),
                money("germany", "9", weight=Decimal(5), destinations=("GERMANY",)),
                money("berlin", "9", destinations=("BERLIN", "FRANCE")),
            ],
            {"berlin": "0.6"},
        ),
        # What excludes others goes before what is for all.
        (
            [money("any", "9", weight=Decimal(9)), money("not", "9", destinations=("!FRANCE",))],
            {"not": "0.6"},
        ),
        # Several, one after another: 20 s, then 30 s, then the rest for money.
        ([voice("a", 20), voice("b", 30), money("m", "1")], {"a": 20, "b": 30, "m": "0.1"}),
        ([money("a", "0.255"), money("b", "9")], {"a": "0.25", "b": "0.35"}),
        # A generic balance has units of everything.
        ([Balance(uuid="g", type=GENERIC, value=Decimal(60 * SECOND))], {"g": 60 * SECOND}),
    ],
)
def test_the_order_in_which_balances_pay(
    balances: list[Balance], expected: dict[str, int | str]
) -> None:
    found = take(balances, call())
    assert took(found) == {name: Decimal(value) for name, value in expected.items()}
    assert found.end is End.COVERED


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"disabled": True}, Reason.DISABLED),
        ({"expires": NOON - timedelta(seconds=1)}, Reason.EXPIRED),
        ({"categories": ("data",)}, Reason.CATEGORY),
        ({"destinations": ("FRANCE",)}, Reason.DESTINATION),
        ({"destinations": ("!BERLIN",)}, Reason.EXCLUDED),
        ({"destinations": ("!BERLIN", "GERMANY")}, Reason.EXCLUDED),
        ({"timings": (Timing("SUNDAYS", week_days=(0,)),)}, Reason.TIMING),
        ({"shared_groups": ("GONE",)}, Reason.NO_GROUP),
        ({"value": Decimal(0)}, Reason.EMPTY),
        ({"value": Decimal("-1")}, Reason.EMPTY),
        ({"value": Decimal("0.009")}, Reason.INSUFFICIENT),
        ({"rating_subject": "day", "weight": Decimal(9)}, Reason.USED),
        ({"weight": Decimal(-1)}, Reason.NOT_NEEDED),
        ({"type": SMS}, Reason.TYPE),
    ],
)
def test_why_a_balance_is_passed_over(other: dict[str, object], reason: Reason) -> None:
    first = replace(money("first", "9", weight=Decimal(5)), **other)  # type: ignore[arg-type]
    found = take([first, money("second", "9")], call())
    assert reasons(found) == {
        "first": reason,
        "second": Reason.NOT_NEEDED if reason is Reason.USED else Reason.USED,
    }
    assert str(next(iter(found.choices))).endswith("[balance.used]")


def test_a_balance_pays_until_its_timing_ends_or_it_expires_and_from_when_it_begins() -> None:
    until = voice("until", 99, timings=(Timing("AM", end=43_230),), weight=Decimal(9))
    begins = voice("begins", 99, timings=(Timing("PM", start=43_250),), weight=Decimal(8))
    expires = voice("expires", 99, expires=NOON + timedelta(seconds=39))
    found = take([until, begins, expires, money("m", "9")], call())
    # 30 s; then to its end and no further (39 s and the increment that begins there); 10 s of
    # money; and the rest from the one that begins then.
    assert took(found) == {"until": 30, "begins": 10, "expires": 10, "m": Decimal("0.1")}


def test_a_unit_balance_with_a_priced_subject_takes_units_and_money() -> None:
    found = take([voice("v", 40, rating_subject="cheap"), money("m", "9")], call())
    # 40 s at 0.06 a minute from the units' subject, 20 s at 0.6 a minute.
    assert took(found) == {"v": 40, "m": Decimal("0.24")}
    # Without money it cannot pay; below zero it can.
    assert reasons(take([voice("v", 40, rating_subject="cheap")], call()))["v"] is Reason.NO_MONEY
    below = take([voice("v", 90, rating_subject="cheap")], call(), Cover.ALL)
    assert took(below) == {"v": 60, "*default": Decimal("0.06")}


@pytest.mark.parametrize(
    ("subject", "seconds", "taken"),
    [
        ("", 61, 61),
        ("*any", 61, 61),
        ("*zero1s", 61, 61),
        ("*zero1m", 61, 120),
        ("*zero10s", 61, 70),
        ("*zero1000000000", 61, 61),
        ("*zero", 61, 61),
        ("*zerox", 61, 61),
    ],
)
def test_free_steps(subject: str, seconds: int, taken: int) -> None:
    assert took(take([voice("v", 999, rating_subject=subject)], call(seconds))) == {"v": taken}


def test_a_factor_says_what_a_unit_is_worth() -> None:
    minutes = Balance(
        uuid="g", type=GENERIC, value=Decimal(3), factors={VOICE: Decimal(60 * SECOND)}
    )
    found = take([minutes], call(90))
    assert took(found) == {"g": Decimal("1.5")}
    short = take([replace(minutes, value=Decimal(1)), money("m", "0")], call(90))
    assert (short.usage, short.end) == (60 * SECOND, End.FUNDS)
    # Where a unit is worth what no decimal number says, the sum is filled up, once.
    third = replace(minutes, factors={"*any": Decimal(3 * SECOND)})
    assert took(take([third], call(1))) == {"g": Decimal("0.333333333334")}
    assert took(take([third], call(3))) == {"g": 1}


def test_a_connect_fee_is_taken_once_with_the_first_price() -> None:
    found = take([money("m", "9")], call(60, "33"))
    assert (found.cost, found.connect_fee) == (Decimal("1.6"), Fraction(1))
    assert [each.usage for each in found.charges] == [0, SECOND]
    # A call that begins with free units has none, as in the reference.
    assert took(take([voice("v", 30), money("m", "9")], call(60, "33"))) == {
        "v": 30,
        "m": Decimal("0.3"),
    }
    # Nobody has it: nothing is granted.
    nothing = take([money("m", "0.9")], call(60, "33"))
    assert (nothing.usage, nothing.taken, nothing.connect_fee) == (0, (), Fraction(0))
    assert reasons(nothing) == {"m": Reason.NO_FEE}
    # The first that has it pays it, below zero where nobody has.
    assert took(take([money("a", "0.9"), money("b", "9")], call(60, "33"))) == {
        "a": Decimal("0.6"),
        "b": 1,
    }
    assert took(take([money("m", "0.9")], call(60, "33"), Cover.ALL)) == {
        "m": Decimal("0.6"),
        "*default": 1,
    }


def test_blockers_end_a_funded_usage_and_no_other() -> None:
    blocker = money("b", "0.3", weight=Decimal(9), blocker=True)
    found = take([blocker, money("m", "9")], call())
    assert (found.usage, found.end) == (30 * SECOND, End.BLOCKER)
    assert reasons(found) == {"b": Reason.USED, "m": Reason.BLOCKED}
    assert took(take([blocker, money("m", "9")], call(), Cover.ALL)) == {
        "b": Decimal("0.3"),
        "m": Decimal("0.3"),
    }
    # One of units keeps money from being taken; an empty one blocks; one of another place does not.
    units = voice("v", 10, blocker=True)
    assert take([units, money("m", "9")], call()).usage == 10 * SECOND
    assert take([replace(blocker, value=Decimal(0)), money("m", "9")], call()).usage == 0
    elsewhere = replace(blocker, destinations=("FRANCE",))
    assert take([elsewhere, money("m", "9")], call()).usage == 60 * SECOND


def test_what_no_balance_covers() -> None:
    cut = take([money("m", "0.3")], call())
    assert (cut.usage, cut.cost, cut.end) == (30 * SECOND, Decimal("0.3"), End.FUNDS)
    owed = take([money("m", "0.3")], call(), Cover.ALL, default_uuid="d")
    assert (owed.usage, owed.cost, owed.end) == (60 * SECOND, Decimal("0.6"), End.COVERED)
    [account] = owed.accounts
    assert [(each.uuid, each.id, str(each.value)) for each in account.balances] == [
        ("m", "", "0"),
        ("d", "*default", "-0.3"),
    ]
    assert reasons(owed) == {"m": Reason.USED, "d": Reason.NEGATIVE}
    allowed = take([money("m", "0.3")], call(), allow_negative=True, default_uuid="d")
    assert allowed.taken == owed.taken
    free = take([], call(60, "800"))
    assert (free.usage, free.cost, free.taken, free.accounts) == (60 * SECOND, ZERO, (), ())


def test_a_default_balance_that_the_fee_takes_below_zero_pays_no_increment_by_itself() -> None:
    default = money("d", "0.9", id="*default")
    owed = take([default], call(60, "33"), Cover.ALL)
    assert (owed.usage, owed.cost, took(owed)) == (
        60 * SECOND,
        Decimal("1.6"),
        {"d": Decimal("1.6")},
    )
    assert reasons(owed) == {"d": Reason.NEGATIVE}


def test_a_maximum_cost() -> None:
    # 1 is reached after 100 s.
    for cover in Cover:
        capped = take([money("m", "9")], call(600, "900"), cover)
        assert (capped.usage, capped.cost, capped.end) == (600 * SECOND, Decimal(1), End.COVERED)
    ended = take([money("m", "9")], call(600, "901"))
    assert (ended.usage, ended.cost, ended.end) == (100 * SECOND, Decimal(1), End.MAX_COST)
    allowed = take([], call(600, "901"), allow_negative=True)
    assert (allowed.usage, allowed.end) == (100 * SECOND, End.MAX_COST)
    owed = take([money("m", "9")], call(600, "901"), Cover.ALL)
    assert (owed.usage, owed.cost) == (600 * SECOND, Decimal(6))


def test_a_highest_rate_ends_a_funded_usage() -> None:
    limit = Fraction(1, 10) / MINUTE
    units = voice("v", 20, rating_subject="cheap")
    found = take([units, money("m", "9")], call(), max_rate=limit)
    assert (found.usage, found.end) == (20 * SECOND, End.MAX_RATE)
    assert take([money("m", "9")], call(), Cover.ALL, max_rate=limit).usage == 60 * SECOND


def test_rounding_is_paid_by_who_has_it_or_less_is_granted() -> None:
    # 1/240 a second, rounded up to a decimal.
    odd = call(60, subject="odd")
    assert took(take([money("m", "9")], odd)) == {"m": Decimal("0.3")}
    # All of a, 0.05, then 12 s of b are 0.05; the rest of 0.1, nothing, is nobody's.
    pair = take([money("a", "0.051"), money("b", "9")], call(24, subject="odd"))
    assert took(pair) == {"a": Decimal("0.05"), "b": Decimal("0.05")}
    # What is added when 30 s (0.125) become 0.2 is more than 0.13 has: 24 s cost 0.1.
    short = take([money("m", "0.13")], call(30, subject="odd"))
    assert (short.usage, short.cost, short.end) == (24 * SECOND, Decimal("0.1"), End.FUNDS)
    # Another balance that has it pays it.
    other = take([money("m", "0.13"), money("n", "0.1")], call(30, subject="odd"))
    assert took(other) == {"m": Decimal("0.13"), "n": Decimal("0.07")}
    assert other.usage == 30 * SECOND
    none = take([money("m", "0.09")], call(30, subject="odd"))
    assert (none.usage, none.cost, none.taken) == (0, ZERO, ())


def test_units_of_data_messages_and_money_are_taken_directly() -> None:
    for kind in (DATA, SMS, GENERIC, MONETARY):
        held = Balance(uuid="u", type=kind, value=Decimal("10.5"))
        found = take([held], Call(destination="", time=NOON, usage=12, tor=kind, category="none"))
        assert (found.usage, found.cost, took(found)) == (10, ZERO, {"u": Decimal(10)})
        assert found.end is End.NO_PRICE
    messages = Call(destination="49", time=NOON, usage=5, tor=SMS, category="sms")
    found = take([Balance(uuid="u", type=SMS, value=Decimal(2)), money("m", "5")], messages)
    assert took(found) == {"u": 2, "m": 4}
    assert (found.usage, found.end) == (4, End.FUNDS)


def test_a_price_that_ends() -> None:
    late = replace(call(120, subject="day"), time=NOON.replace(hour=17, minute=59))
    found = take([money("m", "9")], late)
    assert (found.usage, found.end) == (60 * SECOND, End.NO_PRICE)
    with pytest.raises(RatingError) as refused:
        take([money("m", "9")], late, Cover.ALL)
    assert refused.value.code == "rating.no-timing"
    with pytest.raises(RatingError):
        take([money("m", "9")], call(to="1"))


def test_a_disabled_account_pays_nothing_but_what_a_session_owes() -> None:
    account = Account(tenant="cgrates.org", id="me", balances=(money("m", "9"),), disabled=True)
    payers = Payers(account=account)
    for cover in (Cover.FUNDED, Cover.ALL):
        with pytest.raises(AccountError) as refused:
            debit(OF, payers, Usage(call=call(), cover=cover))
        assert refused.value.reference == "ACCOUNT_DISABLED"
    held = Taking(account=account.key, balance=money("m", "0"), amount=Decimal(1))
    settled = debit(OF, payers, Usage(call=call(), cover=Cover.ALL, taken=(held,)))
    assert [str(each.amount) for each in settled.movements] == ["0.4"]


def test_what_a_session_holds_of_a_balance_that_is_gone_is_still_spent_first() -> None:
    held = take([money("old", "0.4", weight=Decimal(9))], call(40)).taken
    found = take([money("new", "9")], call(60), taken=held)
    assert took(found) == {"old": Decimal("0.4"), "new": Decimal("0.2")}
    assert [(each.balance, str(each.amount)) for each in found.movements] == [("new", "-0.2")]
    # What is left of it when less is used is lost with the balance.
    shorter = take([money("new", "9")], call(10), taken=held)
    assert (took(shorter), shorter.movements) == ({"old": Decimal("0.1")}, ())


# Shared groups


def member(name: str, *balances: Balance) -> Account:
    shared = tuple(replace(each, shared_groups=("G",)) for each in balances)
    return Account(tenant="cgrates.org", id=name, balances=shared)


@pytest.mark.parametrize(
    ("strategy", "first"),
    [
        (Strategy.LOWEST, "low"),
        (Strategy.HIGHEST, "high"),
        (Strategy.MINE_LOWEST, "mine"),
        (Strategy.MINE_HIGHEST, "mine"),
        (Strategy.MINE_RANDOM, "mine"),
        ("*unheard_of", "mine"),
    ],
)
def test_shared_balances_stand_in_place_of_the_accounts_own(strategy: str, first: str) -> None:
    groups = shared_groups(
        [
            SharedGroupRow(id="G", account="*any", strategy="*highest"),
            SharedGroupRow(id="G", account="me", strategy=strategy),
        ]
    )
    mine = replace(money("mine", "5"), shared_groups=("G",))
    members = [member("b", money("low", "2")), member("c", money("high", "8"))]
    found = take([mine], call(600), groups=groups, members=members)
    assert next(iter(took(found))) in ("mine", "low", "high")
    assert next(each.balance.uuid for each in found.choices) == first
    if strategy == Strategy.LOWEST:
        # low is empty after 2, mine pays the rest: two accounts change.
        assert took(found) == {"low": 2, "mine": 4}
        assert {each.id for each in found.accounts} == {"me", "b"}
    # One without a balance of the group takes nothing from it.
    assert took(take([money("own", "1")], call(600), groups=groups, members=members)) == {"own": 1}
    # Members that are disabled do not pay.
    off = [replace(each, disabled=True) for each in members]
    assert took(take([mine], call(600), groups=groups, members=off)) == {"mine": 5}


def test_random_groups_are_in_one_order_for_each_seed() -> None:
    groups = shared_groups([SharedGroupRow(id="G", account="*any", strategy="*random")])
    assert groups["G"].strategy("me") is Strategy.RANDOM
    members = [member(f"m{n}", money(f"b{n}", "1")) for n in range(5)]
    mine = replace(money("mine", "1"), shared_groups=("G",))

    def order(seed: str) -> tuple[str, ...]:
        found = take([mine], call(600), groups=groups, members=members, seed=seed)
        return tuple(each.balance.uuid for each in found.choices)

    assert order("s") == order("s")
    assert len({order(str(seed)) for seed in range(20)}) > 5


# What is shown of it


def test_an_event_cost_says_who_paid() -> None:
    account = Account(
        tenant="cgrates.org",
        id="me",
        balances=(
            voice("free", 10, weight=Decimal(9), destinations=("BERLIN",)),
            voice("priced", 20, rating_subject="cheap"),
            money("m", "9"),
        ),
    )
    found = debit(OF, Payers(account=account), Usage(call=call(60), cover=Cover.FUNDED))
    shown = paid_event_cost(found, account)
    assert (shown["Cost"], shown["Usage"]) == (0.32, "1m0s")
    accounting, ratings = shown["Accounting"], shown["Rating"]
    filters, charges = shown["RatingFilters"], shown["Charges"]
    assert isinstance(accounting, dict)
    assert isinstance(ratings, dict)
    assert isinstance(filters, dict)
    assert isinstance(charges, list)
    rows = []
    for charge in charges:
        assert isinstance(charge, dict)
        rating = ratings[str(charge["RatingID"])]
        assert isinstance(rating, dict)
        plan = filters[str(rating["RatingFiltersID"])]
        assert isinstance(plan, dict)
        increments = charge["Increments"]
        assert isinstance(increments, list)
        for increment in increments:
            assert isinstance(increment, dict)
            paid = accounting[str(increment["AccountingID"])]
            assert isinstance(paid, dict)
            extra = accounting.get(str(paid["ExtraChargeID"]), paid["ExtraChargeID"])
            rows.append(
                (
                    plan["RatingPlanID"],
                    plan["DestinationID"],
                    increment["Usage"],
                    increment["CompressFactor"],
                    increment["Cost"],
                    paid["BalanceUUID"],
                    paid["Units"],
                    extra["BalanceUUID"] if isinstance(extra, dict) else extra,
                )
            )
    assert rows == [
        ("*none", "BERLIN", "1s", 10, 0, "free", SECOND, "*none"),
        ("CHEAP", "*any", "1s", 20, 0.001, "priced", SECOND, "m"),
        ("P", "GERMANY", "1s", 30, 0.01, "m", 0.01, ""),
    ]
    summary = shown["AccountSummary"]
    assert isinstance(summary, dict)
    assert summary["BalanceSummaries"] == [
        {
            "UUID": "free",
            "ID": "",
            "Type": "*voice",
            "Initial": 10 * SECOND,
            "Value": 0,
            "Disabled": False,
        },
        {
            "UUID": "priced",
            "ID": "",
            "Type": "*voice",
            "Initial": 20 * SECOND,
            "Value": 0,
            "Disabled": False,
        },
        {
            "UUID": "m",
            "ID": "",
            "Type": "*monetary",
            "Initial": 9,
            "Value": 8.68,
            "Disabled": False,
        },
    ]
    wire = paid_event_cost(found, account, wire=True)
    assert wire["Usage"] == 60 * SECOND
    assert wire["Accounting"] == accounting
    nothing = paid_event_cost(take([], call(60, "800")), account)
    assert nothing["Accounting"] == {}


def test_sums_of_too_many_digits_are_refused() -> None:
    most, least = Decimal(10) ** 79, Decimal("0.01")
    for sum_of in (add, subtract):
        with pytest.raises(AmountError, match="over 80 digits"):
            sum_of(most, least)
    with pytest.raises(AmountError, match="over 80 digits"):
        trim(Decimal("1e300"))


def test_a_part_of_a_unit_never_leaves_less_than_nothing() -> None:
    third = Balance(
        uuid="sms", type=SMS, value=Decimal("0.3333333333334"), factors={SMS: Decimal(3)}
    )
    account = Account(tenant="cgrates.org", id="a", balances=(third,))
    call = Call(destination="49", time=NOON, usage=1, category="sms", tor=SMS)
    found = debit(OF, Payers(account=account), Usage(call=call, cover=Cover.FUNDED))
    assert found.usage == 1
    assert found.accounts[0].balances[0].value == 0


def test_what_goes_to_the_default_balance_instead_is_exact() -> None:
    long = Decimal("123456789012345.12345678901234567891")
    default, gone = money("default", "0", id="*default"), money("gone", "0")
    account = Account(tenant="cgrates.org", id="a", balances=(default,))
    taken = tuple(
        Taking(account=account.key, balance=each, amount=long) for each in (default, gone)
    )
    found = debit(
        OF,
        Payers(account=account),
        Usage(
            call=Call(destination="49", time=NOON, usage=0),
            cover=Cover.ALL,
            taken=taken,
            first=taken,
        ),
    )
    assert found.accounts[0].balances[0].value == Decimal("246913578024690.24691357802469135782")


def test_who_shares_pays_in_one_order_however_they_are_named() -> None:
    groups = {
        "G": SharedGroup("G", {"*any": SharedGroupRow(id="G", account="*any", strategy="*lowest")})
    }
    own = Account(tenant="cgrates.org", id="a", balances=(money("a", "0", shared_groups=("G",)),))
    others = [
        Account(tenant="cgrates.org", id=name, balances=(money(name, "1", shared_groups=("G",)),))
        for name in "bcd"
    ]
    usage = Usage(call=Call(destination="49", time=NOON, usage=MINUTE), cover=Cover.FUNDED)
    for members in (others, others[::-1]):
        found = debit(OF, Payers(account=own, members=members, groups=groups), usage)
        assert [each.balance.uuid for each in found.taken] == ["b"]
