"""Calls priced by the tutorial's tariff as they end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.config.network import RatingSettings
from trunkline.elements.pricing import Pricing
from trunkline.errors import TrunklineError
from trunkline.store.calls import CallRecord

TARIFF = Path(__file__).parent.parent.parent / "examples" / "tutorial-tariff"
ANSWERED = 1_700_000_000.0
RECORD = CallRecord(
    id="a",
    exchange="ExchangeA",
    direction="outgoing",
    calling="3005",
    called="61412345678",
    start=ANSWERED - 1,
    answer=ANSWERED,
    end=ANSWERED + 60,
    cause=16,
    location=0,
    opc=2068,
    dpc=14402,
    cic=1,
    trace="a",
)


@pytest.fixture(scope="module")
def pricing() -> Pricing:
    return Pricing(TARIFF, RatingSettings(tenant="cgrates.org"))


@pytest.mark.parametrize(
    ("called", "seconds", "cost"),
    [
        ("61412345678", 60.0, "22"),
        ("61412345678", 61.0, "44"),
        ("61299995678", 3600.0, "20"),
        ("611800123456", 1.0, "25"),
    ],
)
def test_the_tutorials_prices(pricing: Pricing, called: str, seconds: float, cost: str) -> None:
    record = pricing.priced(replace(RECORD, called=called, end=ANSWERED + seconds))
    assert record.cost == cost
    assert record.rating is not None
    assert json.loads(record.rating)["Cost"] == float(cost)


def test_only_the_callers_exchange_prices_and_only_what_was_answered(pricing: Pricing) -> None:
    for other in (replace(RECORD, direction="incoming"), replace(RECORD, answer=None)):
        assert pricing.priced(other) == other


def test_a_call_without_a_price_keeps_its_record_and_says_why(pricing: Pricing) -> None:
    record = pricing.priced(replace(RECORD, called="4912345"))
    assert record.cost is None
    assert "4912345" in json.loads(record.rating or "{}")["error"]


def test_a_bad_tariff_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "Rates.csv").write_text("RT,1,2\n")
    with pytest.raises(TrunklineError, match=r"Rates\.csv"):
        Pricing(tmp_path, RatingSettings())
