"""The tutorial's tariff: the figures of its own files, and the shape of its own sample."""

from __future__ import annotations

import json
import pickle
import re
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from tests.rating.folder import TUTORIAL, tariff

from trunkline.rating import (
    EXACT,
    Call,
    Cgrates,
    Precision,
    event_cost,
    parse_duration,
    price,
    price_number,
)
from trunkline.rating.result import event_cost_text

_ANSWERED = datetime(2014, 8, 4, 13, tzinfo=UTC)


def _call(destination: str, usage: str) -> Call:
    return Call(
        tenant="cgrates.org",
        category="call",
        subject="3005",
        destination=destination,
        time=_ANSWERED,
        usage=parse_duration(usage),
    )


@pytest.mark.parametrize(
    ("destination", "usage", "total"),
    [
        # The tutorial's sample prints 25 here; its own files say 22 c a minute.
        ("614", "60s", 22),
        ("614", "1s", 22),
        ("61412345678", "61s", 44),
        ("614", "120s", 44),
        ("612", "60s", 20),
        ("6181234", "10h", 20),
        ("611300", "60s", 25),
        ("611800123", "1h", 25),
        ("614", "60", 22),  # a bare number is nanoseconds: one increment
        ("614", "0s", 0),
    ],
)
@pytest.mark.parametrize("precision", [EXACT, Cgrates(5), Cgrates(6)])
def test_figures(destination: str, usage: str, total: int, precision: Precision) -> None:
    of = tariff(TUTORIAL)
    cost = price(of, _call(destination, usage), precision)
    assert cost.total == cost.event_total == total
    assert price_number(of, _call(destination, usage), precision) == total
    assert event_cost(cost)["Cost"] == total


def _per_second() -> dict[str, str]:
    rates = (
        "RT_22c_PM,0,25,60s,1s,0s\nRT_20c_Untimed,20,0,60s,60s,0s\nRT_25c_Flat,25,0,60s,60s,0s\n"
    )
    return {**TUTORIAL, "Rates.csv": rates}


@pytest.mark.parametrize(
    ("usage", "exact", "reference"),
    [("30s", "12.5", "12.5001"), ("60s", "25", "25.0002"), ("1s", "0.4167", "0.41667")],
)
def test_billing_by_the_second(usage: str, exact: str, reference: str) -> None:
    of = tariff(_per_second())
    assert price(of, _call("614", usage)).total == Decimal(exact)
    assert price(of, _call("614", usage), Cgrates(5)).event_total == Decimal(reference)


def test_the_json_is_that_of_the_sample() -> None:
    cost = event_cost(price(tariff(TUTORIAL), _call("614", "60s")))
    ((rating_id, rating),) = _items(cost["Rating"])
    ((rates_id, rates),) = _items(cost["Rates"])
    ((filters_id, filters),) = _items(cost["RatingFilters"])
    ((timing_id, timing),) = _items(cost["Timings"])
    for key in (rating_id, rates_id, filters_id, timing_id):
        assert re.fullmatch("[0-9a-f]{7}", key)
    assert cost == {
        "AccountSummary": None,
        "Accounting": {},
        "CGRID": "",
        "Charges": [
            {
                "CompressFactor": 1,
                "Increments": [
                    {"AccountingID": "", "CompressFactor": 1, "Cost": 0, "Usage": "0s"},
                    {"AccountingID": "", "CompressFactor": 1, "Cost": 22, "Usage": "1m0s"},
                ],
                "RatingID": rating_id,
            }
        ],
        "Cost": 22,
        "Rates": {rates_id: rates},
        "Rating": {rating_id: rating},
        "RatingFilters": {filters_id: filters},
        "RunID": "",
        "StartTime": "2014-08-04T13:00:00Z",
        "Timings": {timing_id: timing},
        "Usage": "1m0s",
    }
    assert rates == [
        {
            "GroupIntervalStart": "0s",
            "RateIncrement": "1m0s",
            "RateUnit": "1m0s",
            "Value": 22,
        }
    ]
    assert rating == {
        "ConnectFee": 0,
        "MaxCost": 0.12,
        "MaxCostStrategy": "*disconnect",
        "RatesID": rates_id,
        "RatingFiltersID": filters_id,
        "RoundingDecimals": 4,
        "RoundingMethod": "*up",
        "TimingID": timing_id,
    }
    assert filters == {
        "DestinationID": "DST_AUS_Mobile",
        "DestinationPrefix": "614",
        "RatingPlanID": "RP_AUS",
        "Subject": "*out:cgrates.org:call:*any",
    }
    assert timing == {
        "MonthDays": [],
        "Months": [],
        "StartTime": "00:00:00",
        "WeekDays": [],
        "Years": [],
    }


def _items(value: object) -> list[tuple[str, Any]]:
    assert isinstance(value, dict)
    return list(value.items())


def test_the_text_is_sorted_and_stable() -> None:
    of = tariff(_per_second())
    text = event_cost_text(price(of, _call("614", "90s")))
    assert text == event_cost_text(price(pickle.loads(pickle.dumps(of)), _call("614", "90s")))
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True)


def test_connect_fee_and_increments_are_kept_apart() -> None:
    cost = event_cost(price(tariff(TUTORIAL), _call("612", "90s")))
    charges = cost["Charges"]
    assert isinstance(charges, list)
    assert charges[0] == {
        "CompressFactor": 1,
        "Increments": [
            {"AccountingID": "", "CompressFactor": 1, "Cost": 20, "Usage": "0s"},
            {"AccountingID": "", "CompressFactor": 2, "Cost": 0, "Usage": "1m0s"},
        ],
        "RatingID": charges[0]["RatingID"] if isinstance(charges[0], dict) else None,
    }


def test_what_is_alike_stands_once() -> None:
    files = {
        **TUTORIAL,
        "Rates.csv": (
            "RT_22c_PM,1,22,60s,60s,0s\nRT_22c_PM,1,11,60s,60s,60s\n"
            "RT_20c_Untimed,20,0,60s,60s,0s\nRT_25c_Flat,25,0,60s,60s,0s\n"
        ),
    }
    cost = price(tariff(files), _call("614", "3m"))
    assert cost.total == 45
    assert cost.triples == [
        (60_000_000_000, Fraction(22), 1),
        (120_000_000_000, Fraction(11), 2),
    ]
    shape = event_cost(cost)
    assert [len(_items(shape[name])) for name in ("Rates", "Rating", "RatingFilters")] == [1, 1, 1]


def test_usage_of_what_is_not_voice_is_in_units() -> None:
    files = {
        "Rates.csv": "R,0,1,1024,1024,0\n",
        "DestinationRates.csv": "DR,*any,R,*up,4,,\n",
        "RatingPlans.csv": "P,DR,*any,10\n",
        "RatingProfiles.csv": "cgrates.org,data,*any,,P,\n",
    }
    call = Call(destination="", time=_ANSWERED, usage=2048, category="data", tor="*data")
    cost = event_cost(price(tariff(files), call))
    assert (cost["Cost"], cost["Usage"]) == (2, "2048")
