"""Explanations: the record of the decision itself, every code of it documented."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from tests.rating.folder import TUTORIAL, tariff
from tests.rating.strategies import build, cases

from trunkline.rating import Call, Cgrates, Cost, RatingError, Reason, Stage, Step, price
from trunkline.rating.check import problems
from trunkline.rating.durations import MINUTE, SECOND
from trunkline.rating.model import Parts
from trunkline.rating.rounding import format_money

_DOCS = Path(__file__).parents[2] / "docs" / "rating.md"
_CALL = Call(destination="614", time=datetime(2014, 8, 4, 13, tzinfo=UTC), usage=61 * 10**9)


def _winners(cost: Cost, stage: Stage) -> list[str]:
    return [
        step.winner.name
        for step in cost.decision.steps
        if step.stage is stage and step.winner is not None
    ]


def test_the_tutorials_call_explained() -> None:
    cost = price(tariff(TUTORIAL), replace(_CALL, subject="3005"))
    assert str(cost.decision) == "\n".join(
        [
            "*voice cgrates.org:call:3005 to 614, 1m1s",
            "answered 2014-08-04T13:00:00+00:00, 2014-08-04T13:00:00+00:00 in UTC",
            "profile",
            "  * cgrates.org:call:*any [profile.any] (RatingProfiles.csv:1)",
            "  - cgrates.org:call:3005 [profile.none]",
            "activation",
            "  * RP_AUS [activation.in-force], from 2014-01-14T00:00:00+00:00 "
            "(RatingProfiles.csv:1)",
            "destination",
            "  * DST_AUS_Mobile [destination.longest], prefix 614 (Destinations.csv:2)",
            "timing",
            "  * *any [timing.winner], DR_AUS_Mobile, weight 10, at 2014-08-04T13:00:00+00:00 "
            "(2014-08-04T13:00:00+00:00 in UTC) (RatingPlans.csv:1)",
            "slot",
            "  * RT_22c_PM from 0s [slot.stretched], 22 for 1m0s: 1m1s used, "
            "2 x 1m0s x 22 = 44 (DestinationRates.csv:1)",
            "connect fee",
            "  * 0 [fee.first-slot], RT_22c_PM",
            "maximum",
            "  - 0.12 *disconnect [maximum.disconnect], ends a prepaid session, never caps the "
            "price of a finished call (DestinationRates.csv:1)",
            "rounding",
            "  * *up 4 [rounding.exact], 44 -> 44 (DestinationRates.csv:1)",
            "total 44",
        ]
    )


def test_no_reasons_where_none_were_asked_for() -> None:
    cost = price(tariff(TUTORIAL), _CALL, reasons=False)
    assert cost.decision.steps == ()
    assert cost.total == 44


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_winners_are_what_was_charged(
    case: tuple[Parts, tzinfo, list[Call]],
) -> None:
    of, zone, (call,) = case
    assume(not problems(of))
    try:
        cost = price(build(of, zone), call)
    except RatingError:
        return
    matches = [span.match for span in cost.spans]
    plans = _winners(cost, Stage.ACTIVATION)
    assert {match.active.plan.id for match in matches} <= set(plans)
    assert matches[0].group.destination_id in _winners(cost, Stage.DESTINATION)
    charged = [span for span in cost.spans if span.count]
    slots = _winners(cost, Stage.SLOT)
    assert len(slots) == len(charged)
    for name, span in zip(slots, charged, strict=True):
        assert name.startswith(f"{span.entry.terms.rate_id} from")
    timings = set(_winners(cost, Stage.TIMING))
    assert {span.entry.timing.id for span in charged} <= timings
    (fee,) = _winners(cost, Stage.CONNECT_FEE)
    assert fee == (format_money(cost.connect_fee) if charged else "0")
    assert cost.decision.total == format_money(cost.total)
    for step in cost.decision.steps:
        # A loser has the reason of a loser, and nobody both wins and loses.
        assert step.winner not in step.losers


def test_every_code_is_documented() -> None:
    text = _DOCS.read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z]+\.[a-z-]+)` \|", text, flags=re.MULTILINE))
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((_DOCS.parents[1] / "src" / "trunkline" / "rating").glob("*.py"))
    )
    errors = set(re.findall(r'"(rating\.[a-z-]+)"', source))
    reasons = {str(reason) for reason in Reason}
    assert documented == errors | reasons


@pytest.mark.parametrize(("decimals", "line"), [(5, "44 -> 44"), (6, "44 -> 44")])
def test_the_cgrates_precision_says_so(decimals: int, line: str) -> None:
    text = str(price(tariff(TUTORIAL), _CALL, Cgrates(decimals)).decision)
    assert f"[rounding.cgrates], {line}" in text


def test_the_cgrates_precision_explains_its_own_increments() -> None:
    rates = TUTORIAL["Rates.csv"].replace("RT_22c_PM,0,22,60s,60s", "RT_22c_PM,0,25,60s,1s")
    call = replace(_CALL, usage=30 * SECOND)
    of = tariff({**TUTORIAL, "Rates.csv": rates})
    assert "30 x 1s x 5/12 = 12.5 (" in str(price(of, call).decision)
    assert "30 x 1s x 0.41667 = 12.5001 (" in str(price(of, call, Cgrates(5)).decision)


def _reasons(steps: tuple[Step, ...]) -> set[Reason]:
    return {
        candidate.reason
        for step in steps
        for candidate in (step.winner, *step.losers)
        if candidate is not None
    }


def test_losers_of_every_kind() -> None:
    files = {
        "Timings.csv": (
            "EVENING,*any,*any,*any,*any,18:00:00\nMORNING,*any,*any,*any,*any,06:00:00\n"
        ),
        "Destinations.csv": "A,49\nB,4930\nC,4930\nD,4930\nE,4930\nF,4930\n",
        "Rates.csv": "R,1,1,60s,60s,0s\nR,0,1,60s,60s,60s\nS,1,2,60s,45s,0s\nS,0,2,60s,1s,90s\n",
        "DestinationRates.csv": (
            "A,A,R,*up,4,,\nB,B,R,*up,4,,\nC,C,S,*up,4,3,*free\nC2,C,R,*up,4,,\nD,D,R,*up,4,,\n"
            "F,F,R,*up,4,,\nANY,*any,R,*up,4,,\n"
        ),
        "RatingPlans.csv": (
            "P,A,*any,10\nP,B,EVENING,10\nP,C,*any,30\nP,C2,EVENING,30\nP,C2,MORNING,20\n"
            "P,D,*any,10\nP,F,*any,30\nP,ANY,*any,10\nQ,A,*any,10\n"
        ),
        "RatingProfiles.csv": (
            "cgrates.org,call,*any,2010-01-01T00:00:00Z,Q,\n"
            "cgrates.org,call,*any,2011-01-01T00:00:00Z,P,\n"
            "cgrates.org,call,*any,2024-01-01T00:00:00Z,Q,\n"
        ),
    }
    of = tariff(files)
    cost = price(of, replace(_CALL, destination="4930123", usage=100 * 10**9))
    assert cost.spans[0].match.group.destination_id == "C"
    assert _reasons(cost.decision.steps) == {
        Reason.NO_PROFILE,
        Reason.ANY_SUBJECT,
        Reason.IN_FORCE,
        Reason.SUPERSEDED,
        Reason.NOT_YET,
        Reason.LONGEST,
        Reason.SHORTER,
        Reason.NOT_IN_PLAN,
        Reason.NOT_TIMED,
        Reason.OUTWEIGHED,
        Reason.LATER_ROW,
        Reason.ANY_NOT_NEEDED,
        Reason.TIMED,
        Reason.INACTIVE,
        Reason.LOWER_WEIGHT,
        Reason.AS_USED,
        Reason.FEE,
        Reason.CAPPED,
        Reason.ROUNDED,
    }


def test_fallbacks_explained() -> None:
    files = {
        **TUTORIAL,
        "RatingPlans.csv": TUTORIAL["RatingPlans.csv"] + "EMPTY,DR_AUS_Fixed,*any,10\n",
        "RatingProfiles.csv": (
            "cgrates.org,call,a,,EMPTY,a;nobody;b;c\ncgrates.org,call,b,,EMPTY,d\n"
            "cgrates.org,call,c,,RP_AUS,\ncgrates.org,call,d,,EMPTY,e\n"
            "cgrates.org,call,e,,RP_AUS,\ncgrates.org,call,*any,,RP_AUS,\n"
        ),
    }
    cost = price(tariff(files), replace(_CALL, subject="a"))
    assert cost.spans[0].match.profile.subject == "c"
    assert _winners(cost, Stage.PROFILE) == [
        "cgrates.org:call:a",
        "cgrates.org:call:b",
        "cgrates.org:call:d",
        "cgrates.org:call:c",
    ]
    assert {
        Reason.SUBJECT,
        Reason.NOT_NEEDED,
        Reason.SEEN,
        Reason.NO_PROFILE,
        Reason.FALLBACK,
        Reason.TOO_DEEP,
        Reason.NOT_COVERED,
    } <= _reasons(cost.decision.steps)


def test_a_call_without_usage_explained() -> None:
    cost = price(tariff(TUTORIAL), replace(_CALL, usage=0))
    assert Reason.NO_USAGE in _reasons(cost.decision.steps)
    data = replace(_CALL, usage=MINUTE, tor="*generic")
    assert Reason.AT_START in _reasons(price(tariff(TUTORIAL), data).decision.steps)
