"""The reference's own cases in which attributes decide what a call costs."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.rating.folder import tariff

from trunkline.charging.attributes import Attributes
from trunkline.charging.chargers import Chargers
from trunkline.charging.event import Event
from trunkline.charging.filters import Filters
from trunkline.charging.rows import AttributeRow, ChargerRow, FilterRow
from trunkline.rating import Call, Cgrates, price
from trunkline.rating.errors import Source

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)


def _lines(files: dict[str, str], name: str) -> list[tuple[Source, list[str]]]:
    rows = csv.reader(io.StringIO(files.get(name, "")))
    return [(Source(name, number), row) for number, row in enumerate(rows, 1) if row]


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(";") if part and part != "*any")


def _rooms(files: dict[str, str]) -> tuple[Attributes, Chargers]:
    filters = Filters.from_rows(
        FilterRow(
            tenant=row[0], id=row[1], type=row[2], element=row[3], values=_list(row[4]),
            source=source,
        )
        for source, row in _lines(files, "Filters.csv")
    )  # fmt: skip
    attributes = Attributes.from_rows(
        (
            AttributeRow(
                tenant=row[0], id=row[1], contexts=_list(row[2]), filters=_list(row[3]),
                attribute_filters=_list(row[5]), path=row[6], type=row[7], value=row[8],
                blocker=row[9] == "true", weight=Decimal(row[10] or 0), source=source,
            )
            for source, row in _lines(files, "Attributes.csv")
        ),
        filters,
    )  # fmt: skip
    chargers = Chargers.from_rows(
        (
            ChargerRow(
                tenant=row[0], id=row[1], filters=_list(row[2]), run_id=row[4],
                attributes=_list(row[5]), weight=Decimal(row[6] or 0), source=source,
            )
            for source, row in _lines(files, "Chargers.csv")
        ),
        filters,
        attributes,
    )  # fmt: skip
    return attributes, chargers


def _event(query: dict[str, Any]) -> Event:
    names = {
        "account": "Account", "subject": "Subject", "destination": "Destination", "tor": "ToR",
        "category": "Category", "usage": "Usage", "request_type": "RequestType",
        "answer_time": "AnswerTime",
    }  # fmt: skip
    fields = {name: query[key] for key, name in names.items() if key in query}
    return Event(tenant=query["tenant"], fields=fields)


def _cases(vectors: Path) -> list[dict[str, Any]]:
    text = (vectors / "rating" / "accounts_general.json").read_text(encoding="utf-8")
    cases: list[dict[str, Any]] = json.loads(text)["cases"]
    return cases


def test_attributes_rewrite_the_subject_before_it_is_rated(vectors: Path) -> None:
    cases = [case for case in _cases(vectors) if "Attributes.csv" in case["csv"]]
    assert len(cases) == 2
    for case in cases:
        query = case["query"]
        attributes, _ = _rooms(case["csv"])
        changed = attributes.process(_event(query), NOW, context="*cdrs").event
        assert changed.text("Subject") != query["subject"]
        time = changed.when("AnswerTime", NOW)
        assert time is not None
        call = Call(
            destination=changed.text("Destination"),
            time=time,
            usage=changed.usage() or 0,
            tenant=changed.tenant,
            category=changed.text("Category"),
            subject=changed.text("Subject"),
            tor=changed.text("ToR"),
        )
        cost = price(tariff(case["csv"]), call, Cgrates(query["rounding_decimals"])).total
        assert float(cost) == pytest.approx(case["expect"]["cost"], abs=1e-9)
        assert price(tariff(case["csv"]), call).total == case["expect"]["cost"]


def test_the_chargers_of_the_cases_make_one_run_each(vectors: Path) -> None:
    cases = [case for case in _cases(vectors) if "Chargers.csv" in case["csv"]]
    assert len(cases) > 15
    for case in cases:
        _, chargers = _rooms(case["csv"])
        event = _event(case["query"])
        [run] = chargers.process(event, NOW)
        assert run.profile.id == "CHRG_1"
        assert run.event.fields == {**event.fields, "RunID": "CHRG_1"}
