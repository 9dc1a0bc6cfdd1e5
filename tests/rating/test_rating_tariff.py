"""A tariff that cannot count is refused as a whole, with everything that is wrong with it."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from tests.rating.folder import TUTORIAL, tariff

from trunkline.rating import Call, Problem, Source, TariffError, price
from trunkline.rating.durations import MINUTE
from trunkline.rating.model import Activation, Destination, Parts, RatingProfile, Timing
from trunkline.rating.tariff import Tariff


def _problems(**files: str) -> list[Problem]:
    with pytest.raises(TariffError) as refused:
        tariff({**TUTORIAL, **{f"{name}.csv": text for name, text in files.items()}})
    for problem in refused.value.problems:
        assert str(problem) in str(refused.value)
    assert refused.value.code == "rating.tariff"
    return list(refused.value.problems)


_RATES = "RT_22c_PM,0,22,60s,60s,0s\nRT_20c_Untimed,20,0,60s,60s,0s\nRT_25c_Flat,{}\n".format
_MORE = (TUTORIAL["Destinations.csv"] + "X,{}\n").format
_TIMING = "T,*any,*any,*any,*any,{}\n".format


@pytest.mark.parametrize(
    ("name", "text", "line", "where", "words"),
    [
        ("DestinationRates", "X,NO,RT_22c_PM,*up,4,,\n", 1, "unknown-tag DestinationID", "NO"),
        ("DestinationRates", "X,*any,NO,*up,4,,\n", 1, "unknown-tag RatesTag", "NO"),
        ("DestinationRates", "X,*any,RT_22c_PM,*up,21,,\n", 1, "rate RoundingDecimals", "to 20"),
        ("DestinationRates", "X,*any,RT_22c_PM,*up,-1,,\n", 1, "rate RoundingDecimals", "to 20"),
        ("DestinationRates", "X,*any,RT_22c_PM,*up,4,-1,*free\n", 1, "rate MaxCost", "negative"),
        ("RatingPlans", "RP_AUS,NO,*any,10\n", 1, "unknown-tag DestinationRatesID", "NO"),
        ("RatingPlans", "RP_AUS,DR_AUS_Fixed,PEAK,10\n", 1, "unknown-tag TimingTag", "PEAK"),
        ("RatingProfiles", "a,b,c,,NO,\n", 1, "unknown-tag RatingPlanID", "NO"),
        ("RatingProfiles", "a,b,c,,RP_AUS,\n" * 2, 2, "twice ActivationTime", "a:b:c"),
        ("RatingProfiles", "a,b,c,2024-01-01,RP_AUS,\n", 1, "time ActivationTime", "time zone"),
        ("Destinations", _MORE(""), 9, "prefix Prefix", "''"),
        ("Destinations", _MORE("*any"), 9, "prefix Prefix", "*any"),
        ("Rates", _RATES("-1,1,1s,1s,0s"), 3, "rate ConnectFee", "negative"),
        ("Rates", _RATES("0,1e16,1s,1s,0s"), 3, "rate Rate", "above"),
        ("Rates", _RATES("0,1e-21,1s,1s,0s"), 3, "rate Rate", "places"),
        ("Rates", _RATES("0,1/3,1s,1s,0s"), 3, "rate Rate", "places"),
        ("Rates", _RATES("0,1,1s,1s,60s"), 3, "rate GroupIntervalStart", "0s"),
        ("Timings", "T,*any,13,*any,*any,00:00:00\n", 1, "timing Months", "13"),
        ("Timings", "T,*any,*any,32,*any,00:00:00\n", 1, "timing MonthDays", "32"),
        ("Timings", "T,0,*any,*any,*any,00:00:00\n", 1, "timing Years", "0"),
        ("Timings", _TIMING("25:00:00"), 1, "timing Time", "start"),
        ("Timings", _TIMING("20:00:00;25:00:00"), 1, "timing Time", "end"),
        ("Timings", _TIMING("20:00:00;06:00:00"), 1, "timing Time", "midnight"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(
    name: str, text: str, line: int, where: str, words: str
) -> None:
    code, field = where.split()
    found = _problems(**{name: text})
    mine = [p for p in found if p.code == f"rating.{code}" and p.field == field]
    assert [problem.source for problem in mine] == [Source(f"{name}.csv", line)]
    assert words in mine[0].message
    assert str(mine[0]).startswith(f"{name}.csv:{line}: ")


def test_slots_must_fit_together() -> None:
    first = "RT_22c_PM,0,22,60s,60s,0s\n"
    rest = "RT_20c_Untimed,20,0,60s,60s,0s\nRT_25c_Flat,25,0,60s,60s,0s\n"
    (problem,) = _problems(Rates=first + "RT_22c_PM,0,1,60s,60s,90s\n" + rest)
    assert "does not divide" in problem.message
    (problem,) = _problems(Rates=first + "RT_22c_PM,0,1,60s,60s,0s\n" + rest)
    assert "two slots start at 0s" in problem.message


def test_two_prices_at_once_are_refused() -> None:
    files = {
        "Timings": "A,*any,*any,*any,1;2;3,08:00:00\nB,*any,*any,*any,3;4,08:00:00\n"
        "C,*any,*any,*any,4;5,08:00:00\n",
        "DestinationRates": (
            "X,DST_AUS_Mobile,RT_22c_PM,*up,4,,\nY,DST_AUS_Mobile,RT_20c_Untimed,*up,4,,\n"
        ),
    }
    (problem,) = _problems(**files, RatingPlans="RP_AUS,X,A,10\nRP_AUS,Y,B,10\n")
    assert (problem.code, problem.field) == ("rating.overlap", "Weight")
    assert problem.source == Source("RatingPlans.csv", 2)
    named = {f"{name}.csv": text for name, text in files.items()}
    for plans in (
        "RP_AUS,X,A,10\nRP_AUS,Y,B,11\n",  # one weighs more
        "RP_AUS,X,A,10\nRP_AUS,Y,C,10\n",  # never on the same day
        "RP_AUS,X,A,10\nRP_AUS,X,B,10\n",  # the same price
        "RP_AUS,X,A,10\nRP_AUS,Y,*any,10\n",  # one starts later
    ):
        tariff({**TUTORIAL, **named, "RatingPlans.csv": plans})


def test_loops_of_fallback_subjects_are_refused() -> None:
    row = "t,call,{},,RP_AUS,{}\n".format
    (problem,) = _problems(RatingProfiles=row("a", "x;b") + row("b", "c") + row("c", "a"))
    assert problem.code == "rating.fallback-loop"
    assert problem.field == "FallbackSubjects"
    assert "a -> b -> c -> a" in problem.message
    assert problem.source == Source("RatingProfiles.csv", 3)
    # Not loops: another tenant's subject, two ways to the same, a subject that names itself.
    tariff({**TUTORIAL, "RatingProfiles.csv": row("a", "b") + "u,call,b,,RP_AUS,a\n"})
    tariff({**TUTORIAL, "RatingProfiles.csv": row("a", "b;c") + row("b", "d") + row("c", "d")})
    tariff({**TUTORIAL, "RatingProfiles.csv": row("a", "a")})


def test_a_long_chain_of_fallbacks_is_no_problem_of_the_stack() -> None:
    rows = "".join(f"t,call,s{n},,RP_AUS,s{n + 1}\n" for n in range(20_000))
    tariff({**TUTORIAL, "RatingProfiles.csv": rows})
    (problem,) = _problems(RatingProfiles=rows + "t,call,s20000,,RP_AUS,s0\n")
    assert problem.code == "rating.fallback-loop"


def test_rows_of_one_id_must_be_merged() -> None:
    parts = Parts(
        [Destination("D", ("1",))] * 2, [], [], [], [RatingProfile("t", "c", "s", ())] * 2
    )
    with pytest.raises(TariffError) as refused:
        Tariff.build(
            destinations=parts.destinations,
            rates=parts.rates,
            destination_rates=parts.destination_rates,
            rating_plans=parts.rating_plans,
            rating_profiles=parts.rating_profiles,
            timings=[Timing("T"), Timing("T")],
        )
    assert [problem.code for problem in refused.value.problems] == ["rating.twice"] * 3


def test_all_problems_are_told_at_once() -> None:
    found = _problems(DestinationRates="DR,NONE,NONE,*up,99,,\n", RatingProfiles="a,b,c,,OTHER,\n")
    assert {problem.field for problem in found} == {
        "DestinationID",
        "RatesTag",
        "RoundingDecimals",
        "DestinationRatesID",
        "RatingPlanID",
    }


def test_a_pickled_tariff_prices_the_same() -> None:
    of = tariff(TUTORIAL)
    call = Call(destination="614", time=datetime(2024, 5, 15, tzinfo=UTC), usage=MINUTE)
    price(of, call)
    again = pickle.loads(pickle.dumps(of))
    assert price(again, call).total == price(of, call).total == Decimal(22)


def test_a_tariff_cannot_be_changed() -> None:
    of = tariff(TUTORIAL)
    with pytest.raises(AttributeError):
        of.name = "other"  # type: ignore[misc]


def test_zero_units_and_increments_are_one_second() -> None:
    files = {**TUTORIAL, "Rates.csv": TUTORIAL["Rates.csv"].replace("22,60s,60s", "22,0,0")}
    call = Call(destination="614", time=datetime(2024, 5, 15, tzinfo=UTC), usage=MINUTE)
    cost = price(tariff(files), call)
    assert cost.triples == [(MINUTE, Fraction(22), 60)]


def test_an_empty_tariff_builds() -> None:
    of = tariff({})
    assert of.index.lengths == ()
    assert of.zone("anybody") is UTC


def test_profiles_without_rows_never_answer() -> None:
    of = Tariff.build(
        destinations=[],
        rates=[],
        destination_rates=[],
        rating_plans=[],
        rating_profiles=[RatingProfile("cgrates.org", "call", "*any", ())],
    )
    with pytest.raises(Exception, match="has no plan"):
        price(of, Call(destination="1", time=datetime(2024, 5, 15, tzinfo=UTC), usage=MINUTE))
    assert Activation(None, "P").fallbacks == ()
