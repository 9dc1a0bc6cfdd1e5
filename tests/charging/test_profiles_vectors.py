"""The reference's own cases in which attributes decide what a call costs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.rating.folder import tariff

from trunkline.charging.attributes import Attributes
from trunkline.charging.chargers import Chargers
from trunkline.charging.event import Event
from trunkline.charging.filters import Filters
from trunkline.config.cgrates import load_folder
from trunkline.rating import Call, Cgrates, price

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)


def _rooms(files: dict[str, str], folder: Path) -> tuple[Attributes, Chargers]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    rows = load_folder(folder, now=NOW).rows
    filters = Filters.from_rows(rows.filters)
    attributes = Attributes.from_rows(rows.attributes, filters)
    return attributes, Chargers.from_rows(rows.chargers, filters, attributes)


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


def test_attributes_rewrite_the_subject_before_it_is_rated(vectors: Path, tmp_path: Path) -> None:
    cases = [case for case in _cases(vectors) if "Attributes.csv" in case["csv"]]
    assert len(cases) == 2
    for case in cases:
        query = case["query"]
        (folder := tmp_path / case["id"]).mkdir()
        attributes, _ = _rooms(case["csv"], folder)
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


def test_the_chargers_of_the_cases_make_one_run_each(vectors: Path, tmp_path: Path) -> None:
    cases = [case for case in _cases(vectors) if "Chargers.csv" in case["csv"]]
    assert len(cases) > 15
    for case in cases:
        (folder := tmp_path / case["id"]).mkdir()
        _, chargers = _rooms(case["csv"], folder)
        event = _event(case["query"])
        [run] = chargers.process(event, NOW)
        assert run.profile.id == "CHRG_1"
        assert run.event.fields == {**event.fields, "RunID": "CHRG_1"}
