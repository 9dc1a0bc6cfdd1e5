"""The batch kernel answers what the single-call engine answers, or leaves it open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from tests.rating.folder import tariff as folder
from tests.rating.strategies import build, cases

from trunkline.rating import Call, Tariff, TariffError
from trunkline.rating.batch import DIGITS, Batch, Kernel, Priced
from trunkline.rating.call import epoch_nanoseconds
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


def columns(calls: Sequence[Call], tor: str) -> Batch:
    """The columns of calls of one tenant."""
    names = [(call.category or "call", call.subject or call.account) for call in calls]
    profiles = sorted(set(names))

    def number(text: str) -> int:
        usual = text.isascii() and text.isdigit()
        return int(text[:DIGITS].ljust(DIGITS, "0")) if usual else -1

    return Batch(
        tenant="cgrates.org",
        tor=tor,
        profile=np.array([profiles.index(name) for name in names], np.int64),
        profiles=profiles,
        number=np.array([number(call.destination) for call in calls], np.int64),
        length=np.array([len(call.destination) for call in calls], np.int64),
        time=np.array([epoch_nanoseconds(call.time) for call in calls], np.int64),
        usage=np.array([call.usage for call in calls], np.int64),
    )


def priced(tariff: Tariff, calls: Sequence[Call]) -> list[Decimal | None]:
    """What the kernel says of calls of one type; ``None``: left open."""
    tor = calls[0].tor or "*voice"
    found: Priced = Kernel(tariff).price(columns(calls, tor))
    return [
        Decimal(amount).scaleb(-found.decimals) if known else None
        for amount, known in zip(found.amount.tolist(), found.found.tolist(), strict=True)
    ]


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
    calls = [call(number) for number in ("61", "612", "614", "6141", "61429999", "7", "0")]
    assert priced(tariff, calls) == [
        *(Decimal(text) for text in ("0.1", "0.1", "0.45", "0.45", "0.45")),
        None,
        None,
    ]
    assert priced(tariff, [call("61", 61), call("614", 61)]) == [Decimal("0.2"), Decimal("0.4534")]


@pytest.mark.parametrize(
    "unusual",
    [
        call("+614"),
        call(""),
        call("６１４"),  # digits, but not those of ASCII
        call("614", 0),
        call("614", 3600 * 73),
        call("614", subject="gone"),
        call("614", category="fax"),
        replace(call("614"), time=datetime(1899, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_unusual_is_left_open(unusual: Call) -> None:
    assert priced(folder(FILES), [unusual, call("614")]) == [None, Decimal("0.45")]


def test_sums_that_64_bits_do_not_hold_are_left_open() -> None:
    files = {**FILES, "Rates.csv": "CHEAP,0,999999999.999999,1s,1s,0s\nDEAR,0,1,1s,1s,0s\n"}
    files["DestinationRates.csv"] = "DR,MOBILE,DEAR,*up,4,0,\nDR,FIXED,CHEAP,*up,12,0,\n"
    tariff = folder(files)
    assert priced(tariff, [call("61", 3600)]) == [None]
    assert priced(tariff, [call("614", 1)]) == [Decimal(1)]
    assert price_number(tariff, call("61", 3600)) == Decimal("3599999999999.9964")


def test_a_maximum_is_left_open() -> None:
    files = {**FILES, "DestinationRates.csv": "DR,MOBILE,DEAR,*up,4,0.1,*free\n"}
    tariff = folder(files)
    assert priced(tariff, [call("614")]) == [None]


@given(cases(several=12), st.sampled_from(["*voice", "*generic", "*sms"]))
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
            assert found == price_number(tariff, each)


def test_nearly_everything_is_answered() -> None:
    files = {
        **FILES,
        "Timings.csv": "PEAK,*any,*any,*any,1;2;3;4;5,08:00:00;19:00:00\n",
        "RatingPlans.csv": "RP,DR,*any,10\nRP,PEAK,PEAK,20\n",
        "DestinationRates.csv": FILES["DestinationRates.csv"] + "PEAK,MOBILE,CHEAP,*up,4,0,\n",
    }
    tariff = folder(files)
    workday = [call("614", hour=7), call("614", hour=9), call("614", 120, hour=7)]
    sunday = [replace(each, time=each.time.replace(day=4)) for each in workday]
    dear, cheap = Decimal("0.45"), Decimal("0.1")
    assert priced(tariff, [*workday[:2], *sunday[:2]]) == [dear, cheap, dear, dear]
    across = replace(workday[2], time=NOON.replace(hour=7, minute=59))
    assert priced(tariff, [across]) == [None]
