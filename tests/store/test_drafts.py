"""Drafts of tariffs in each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.config.cgrates.files import ALL_KINDS
from trunkline.store import drafts as module
from trunkline.store.database import Database
from trunkline.store.drafts import Drafts, ItemKey

LONG = "é" * 30_000  # longer than a TEXT of MariaDB, in octets


@pytest.fixture
def drafts(url: str) -> Iterator[Drafts]:
    database = Database(url, "drafts")
    database.run(module._metadata.drop_all)
    yield Drafts(database)
    database.close()


def test_items_are_put_read_and_removed(drafts: Drafts) -> None:
    one, other = ItemKey("Rates", ("RT",)), ItemKey("Rates", ("rt",))
    drafts.put("TP", one, ["RT,0,1,60s,60s,0s", "RT,0,2,60s,60s,60s"])
    drafts.put("TP", other, [f"rt,{LONG}"])
    drafts.put("tp ", one, ["RT,another"])
    assert drafts.names() == ["TP", "tp "]
    assert drafts.rows("TP", one) == ["RT,0,1,60s,60s,0s", "RT,0,2,60s,60s,60s"]
    assert drafts.rows("TP", other) == [f"rt,{LONG}"]
    assert drafts.keys("TP", "Rates") == [("RT",), ("rt",)]
    drafts.put("TP", one, ["RT,changed"])
    assert drafts.rows("TP", one) == ["RT,changed"]
    assert drafts.rows("tp ", one) == ["RT,another"]
    drafts.put("TP", one, [])
    assert drafts.keys("TP", "Rates") == [("rt",)]
    drafts.fill("TP", [])
    assert drafts.names() == ["tp "]


def test_a_draft_is_read_kind_by_kind(drafts: Drafts) -> None:
    charger = ItemKey("Chargers", ("cgrates.org", "C"))
    prefixes = [f"D,{number}" for number in range(12_000)]
    rows = [(charger, "cgrates.org,C,,,,,")]
    rows += [(ItemKey("Destinations", ("D",)), prefix) for prefix in prefixes]
    drafts.fill("TP", rows)
    lines = list(drafts.lines("TP", ALL_KINDS))
    assert lines[0] == ("Destinations", "Destinations.csv", 1, "D,0")
    assert [row for *_, row in lines] == [*prefixes, "cgrates.org,C,,,,,"]
    assert [number for _, _, number, _ in lines[:-1]] == [*range(1, 12_001)]
    assert drafts.keys("TP", "Chargers") == [("cgrates.org", "C")]


def test_two_stores_make_the_tables_at_once(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db", "drafts")
    assert [Drafts(database).names() for _ in range(2)] == [[], []]
    database.close()
