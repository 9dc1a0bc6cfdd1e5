"""The batch kernel answers what the single-call engine answers, or leaves it open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from tests.rating.folder import tariff as folder
from tests.rating.strategies import build, cases

from trunkline.rating import Call, RatingError, Tariff, TariffError
from trunkline.rating.batch import REFUSALS, Batch, Kernel, Priced
from trunkline.rating.call import epoch_nanoseconds
from trunkline.rating.columns import Text, number_keys
from trunkline.rating.durations import SECOND
from trunkline.rating.model import Parts
from trunkline.rating.number import price_number

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FILES = {
    "Destinations.csv": "MOBILE,614\nMOBILE,6142\nFIXED,61\nODD,+61\n",
    "Rates.csv": "CHEAP,0,0.10,60s,60s,0s\nDEAR,0.05,0.40,60s,60s,0s\nDEAR,0,0.20,60s,1s,60s\n",
    "DestinationRates.csv": (
        "DR,MOBILE,DEAR,*up,4,0,\nDR,FIXED,CHEAP,*up,4,0,\nDR,ODD,CHEAP,*up,4,0,\n"
    ),
    "RatingPlans.csv": "RP,DR,*any,10\n",
    "RatingProfiles.csv": (
        "cgrates.org,call,*any,,RP,\ncgrates.org,call,gone,2030-01-01T00:00:00Z,RP,\n"
    ),
}


def text(values: Sequence[str]) -> Text:
    """A column of text."""
    parts = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, parts)])
    return Text(np.frombuffer(b"".join(parts), np.uint8), ends)


def columns(kernel: Kernel, calls: Sequence[Call], tor: str) -> Batch:
    """The columns of calls of one tenant."""
    subjects = list(kernel.subjects("cgrates.org"))

    def profile(call: Call) -> int:
        subject = call.subject or call.account
        position = subjects.index(subject) if subject in subjects else -1
        return int(kernel.profiles("cgrates.org", call.category or "call")[position])

    number, plain = number_keys(text([call.destination for call in calls]))
    return Batch(
        tenant="cgrates.org",
        tor=tor,
        profile=np.array([profile(call) for call in calls], np.int64),
        number=number,
        plain=plain,
        time=np.array([epoch_nanoseconds(call.time) for call in calls], np.int64),
        usage=np.array([call.usage for call in calls], np.int64),
    )


def priced(tariff: Tariff, calls: Sequence[Call]) -> list[Decimal | str | None]:
    """What the kernel says of calls of one type: a price, a refusal; ``None``: left open."""
    kernel = Kernel(tariff)
    found: Priced = kernel.price(columns(kernel, calls, calls[0].tor or "*voice"))
    assert not (found.found & (found.refused > 0)).any()
    return [
        Decimal(amount).scaleb(-kernel.decimals) if known else REFUSALS[refused] or None
        for amount, known, refused in zip(
            found.amount.tolist(), found.found.tolist(), found.refused.tolist(), strict=True
        )
    ]


def answer(tariff: Tariff, call: Call) -> Decimal | str:
    """What the engine says."""
    try:
        return price_number(tariff, call)
    except RatingError as problem:
        return problem.reference or problem.code


def call(
    destination: str, seconds: float = 60, *, subject: str = "", category: str = "", hour: int = 12
) -> Call:
    return Call(
        destination=destination,
        time=NOON.replace(hour=hour),
        usage=int(seconds * SECOND),
        subject=subject,
        category=category,
    )


def test_the_longest_prefix_wins_and_short_numbers_have_none_that_is_longer() -> None:
    tariff = folder(FILES)
    calls = [call(number) for number in ("61", "612", "614", "6141", "61429999", "+612", "61x4")]
    assert priced(tariff, calls) == [
        *(Decimal(text) for text in ("0.1", "0.1", "0.45", "0.45", "0.45", "0.1", "0.1"))
    ]
    assert priced(tariff, [call("61", 61), call("614", 61)]) == [Decimal("0.2"), Decimal("0.4534")]
    longer = {**FILES, "Destinations.csv": FILES["Destinations.csv"] + f"FIXED,{'614' * 6}\n"}
    calls = [call("614" * 6), call("614" * 5 + "61"), call("614" * 5)]
    dear = Decimal("0.45")
    assert priced(folder(longer), calls) == [None, None, dear], "longer than what is looked up"


@pytest.mark.parametrize(
    ("of", "refusal"),
    [
        (call("7"), "UNAUTHORIZED_DESTINATION"),
        (call("0"), "UNAUTHORIZED_DESTINATION"),
        (call("+614"), "UNAUTHORIZED_DESTINATION"),
        (call(""), "UNAUTHORIZED_DESTINATION"),
        (call("６１４"), "UNAUTHORIZED_DESTINATION"),  # digits, but not those of ASCII
        (call("614", 3600 * 73), "MAX_USAGE_EXCEEDED"),
        (call("614", category="fax"), "RATING_PLAN_NOT_FOUND"),
        (call("614", subject="gone"), None),
        (replace(call("614"), time=datetime(1899, 1, 1, tzinfo=UTC)), None),
        (replace(call("614"), usage=-1), None),
    ],
)
def test_what_is_refused_has_the_engines_reason_or_is_left_open(
    of: Call, refusal: str | None
) -> None:
    files = {**FILES, "Destinations.csv": "MOBILE,614\nMOBILE,6142\nFIXED,61\nODD,+62\n"}
    assert priced(folder(files), [of, call("614")]) == [refusal, Decimal("0.45")]
    assert refusal is None or answer(folder(files), of) == refusal


def test_a_call_without_usage_costs_nothing() -> None:
    assert priced(folder(FILES), [call("614", 0), call("7", 0)]) == [
        Decimal(0),
        "UNAUTHORIZED_DESTINATION",
    ]


def test_sums_that_64_bits_do_not_hold_are_left_open() -> None:
    files = {**FILES, "Rates.csv": "CHEAP,0,999999999.999999,1s,1s,0s\nDEAR,0,1,1s,1s,0s\n"}
    files["DestinationRates.csv"] = "DR,MOBILE,DEAR,*up,4,0,\nDR,FIXED,CHEAP,*up,12,0,\n"
    tariff = folder(files)
    assert priced(tariff, [call("61", 3600)]) == [Decimal("3599999999999.9964")]
    assert priced(tariff, [call("61", 3600 * 72)]) == [None]
    files["DestinationRates.csv"] = files["DestinationRates.csv"].replace("12", "20")
    files["Rates.csv"] = "CHEAP,0,999999999.999999,7s,1s,0s\nDEAR,0,1,1s,1s,0s\n"
    tariff = folder(files)
    assert priced(tariff, [call("61", 60)]) == [None]
    assert priced(tariff, [call("614", 1)]) == [Decimal(1)]


def test_twenty_decimals_of_what_has_fewer() -> None:
    files = {**FILES, "DestinationRates.csv": "DR,MOBILE,DEAR,*up,20,0,\nDR,FIXED,CHEAP,*up,20,0,"}
    assert priced(folder(files), [call("61")]) == [Decimal("0.1")]
    assert Kernel(folder(files)).places == 20


def test_several_destinations_of_one_prefix() -> None:
    files = {
        **FILES,
        "Destinations.csv": "MOBILE,614\nALSO,614\nABSENT,614\n",
        "DestinationRates.csv": "DR,MOBILE,DEAR,*up,4,0,\nMORE,ALSO,CHEAP,*up,4,0,\n",
    }
    lighter = folder({**files, "RatingPlans.csv": "RP,DR,*any,10\nRP,MORE,*any,5\n"})
    heavier = folder({**files, "RatingPlans.csv": "RP,DR,*any,10\nRP,MORE,*any,20\n"})
    assert priced(lighter, [call("614")]) == [Decimal("0.45")]
    assert priced(heavier, [call("614")]) == [Decimal("0.1")]


def test_a_shorter_prefix_counts_where_the_longer_has_no_price_at_that_hour() -> None:
    files = {
        **FILES,
        "Destinations.csv": "MOBILE,614\nDAY,6142\nNIGHT,61425\n",
        "Timings.csv": (
            "DAY,*any,*any,*any,*any,08:00:00;19:00:00\n"
            "DAWN,*any,*any,*any,*any,06:00:00;08:00:00\n"
        ),
        "DestinationRates.csv": (
            "M,MOBILE,CHEAP,*up,4,0,\nD,DAY,DEAR,*up,4,0,\nN,NIGHT,CHEAP,*up,4,0,\n"
        ),
        "RatingPlans.csv": "RP,M,DAY,10\nRP,D,DAY,10\nRP,N,DAWN,10\n",
    }
    tariff = folder(files)
    calls = [call("61425", hour=12), call("6141", hour=12), call("61425", hour=7)]
    calls += [call("61425", hour=20), call("6142", hour=7)]
    dear, cheap, none = Decimal("0.45"), Decimal("0.1"), "UNAUTHORIZED_DESTINATION"
    assert priced(tariff, calls) == [dear, cheap, cheap, none, none]
    assert [answer(tariff, each) for each in calls] == [dear, cheap, cheap, none, none]


def test_a_maximum_caps() -> None:
    files = {**FILES, "DestinationRates.csv": "DR,MOBILE,DEAR,*up,4,0.6,*free\n"}
    tariff = folder(files)
    calls = [call("614"), call("614", 90), call("614", 900)]
    assert priced(tariff, calls) == [Decimal("0.45"), Decimal("0.55"), Decimal("0.6")]


def test_a_call_over_a_change_of_price_or_plan() -> None:
    files = {
        **FILES,
        "Timings.csv": "PEAK,*any,*any,*any,1;2;3;4;5,08:00:00;19:00:00\n",
        "RatingPlans.csv": "RP,DR,*any,10\nRP,PEAK,PEAK,20\nNEW,DR,*any,10\n",
        "DestinationRates.csv": FILES["DestinationRates.csv"] + "PEAK,MOBILE,CHEAP,*up,4,0,\n",
        "RatingProfiles.csv": (
            "cgrates.org,call,*any,2026-01-01T00:00:00Z,RP,\n"
            "cgrates.org,call,*any,2026-01-05T11:59:30Z,NEW,\n"
        ),
    }
    tariff = folder(files)
    workday = [call("614", hour=7), call("614", hour=9), call("614", 120, hour=7)]
    sunday = [replace(each, time=each.time.replace(day=4)) for each in workday]
    dear, cheap = Decimal("0.45"), Decimal("0.1")
    assert priced(tariff, [*workday[:2], *sunday[:2]]) == [dear, cheap, dear, dear]
    across = replace(workday[2], time=NOON.replace(hour=7, minute=59))
    assert priced(tariff, [across]) == [Decimal("0.55")] == [answer(tariff, across)]
    later = replace(workday[2], time=NOON.replace(hour=11, minute=59))
    assert priced(tariff, [later]) == [Decimal("0.3")] == [answer(tariff, later)]


def test_fallback_subjects() -> None:
    files = {
        **FILES,
        "DestinationRates.csv": "M,MOBILE,DEAR,*up,4,0,\nF,FIXED,CHEAP,*up,4,0,\n",
        "RatingPlans.csv": "MOBILE,M,*any,10\nFIXED,F,*any,10\n",
        "RatingProfiles.csv": (
            "cgrates.org,call,a,,MOBILE,gone;b\ncgrates.org,call,b,2026-01-01T00:00:00Z,MOBILE,c\n"
            "cgrates.org,call,c,2026-01-01T00:00:00Z,FIXED,\n"
            "cgrates.org,call,late,,MOBILE,changing\n"
            "cgrates.org,call,changing,2026-01-01T00:00:00Z,FIXED,\n"
            "cgrates.org,call,changing,2026-01-05T12:00:30Z,FIXED,\n"
        ),
    }
    tariff = folder(files)
    dear, cheap, none = Decimal("0.45"), Decimal("0.1"), "UNAUTHORIZED_DESTINATION"
    calls = [call("614", subject="a"), call("61", subject="a"), call("7", subject="a")]
    assert priced(tariff, calls) == [dear, cheap, none] == [answer(tariff, each) for each in calls]
    changing = [call("61", 60, subject="late"), call("61", 30, subject="late")]
    assert priced(tariff, changing) == [None, cheap]
    two = replace(tariff, fallback_depth=2)
    assert priced(two, calls) == [dear, none, none] == [answer(two, each) for each in calls]


@settings(deadline=None)  # the hours of a year are worked out for each tariff
@given(
    cases(several=12) | cases(several=4, longest=150_000),
    st.sampled_from(["*voice", "*generic", "*sms"]),
)
def test_the_kernel_is_the_engine(case: tuple[Parts, tzinfo, list[Call]], tor: str) -> None:
    parts, zone, calls = case
    try:
        tariff = build(parts, zone)
    except TariffError:
        reject()
    unit = 1 if tor == "*sms" else SECOND
    of_one_type = [replace(each, tor=tor, usage=each.usage // SECOND * unit) for each in calls]
    for each, found in zip(of_one_type, priced(tariff, of_one_type), strict=True):
        if found is not None:
            assert found == answer(tariff, each)


def test_times_of_many_years() -> None:
    files = {
        **FILES,
        "Timings.csv": "PEAK,*any,*any,*any,1;2;3;4;5,08:00:00;19:00:00\n",
        "RatingPlans.csv": "RP,DR,*any,10\nRP,PEAK,PEAK,20\n",
        "DestinationRates.csv": FILES["DestinationRates.csv"] + "PEAK,MOBILE,CHEAP,*up,4,0,\n",
    }
    tariff = folder(files)
    calls = [
        replace(call("614", 7200), time=datetime(year, month, 3, hour, 30, tzinfo=UTC))
        for year in (1901, 1969, 1970, 2024, 2025, 2261)
        for month in (1, 12)
        for hour in (7, 12, 18)
    ]
    assert priced(tariff, calls) == [answer(tariff, each) for each in calls]
