"""A whole folder, as an operator writes it: from an event to its runs, its price and its routes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trunkline.charging.attributes import Attributes
from trunkline.charging.chargers import Chargers
from trunkline.charging.event import Event, EventError
from trunkline.charging.filters import Filters
from trunkline.charging.route_sources import TariffCosts
from trunkline.charging.routes import Routes
from trunkline.charging.sources import TariffSources
from trunkline.config.cgrates import load_folder

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)  # a Wednesday
FILES = {
    "Timings.csv": "OFFICE,*any,*any,*any,1;2;3;4;5,08:00:00;18:00:00",
    "Destinations.csv": "DST_DE,+49\nDST_DE_MOBILE,+491",
    "Rates.csv": "RT_1,0,0.06,60s,1s,0s\nRT_2,0,0.03,60s,60s,0s\nRT_3,0,0.24,60s,1s,0s",
    "DestinationRates.csv": (
        "DR_1,DST_DE,RT_1,*up,4,0,\nDR_2,DST_DE,RT_2,*up,4,0,\nDR_3,DST_DE,RT_3,*up,4,0,"
    ),
    "RatingPlans.csv": "RP_A,DR_1,*any,10\nRP_B,DR_2,*any,10\nRP_RETAIL,DR_3,*any,10",
    "RatingProfiles.csv": "cgrates.org,call,gold,,RP_RETAIL,",
    "Filters.csv": (
        "#Tenant,ID,Type,Element,Values,ActivationInterval\n"
        "cgrates.org,GOLD,*string,~*req.Account,1001;1002,2020-01-01T00:00:00Z\n"
        "cgrates.org,GOLD,*notprefix,~*req.Destination,+1;+7,\n"
        "cgrates.org,DAY,*timings,~*req.SetupTime,OFFICE,\n"
        "cgrates.org,GERMAN,*destinations,~*req.Destination,DST_DE,\n"
        "cgrates.org,FIXED,*notdestinations,~*req.Destination,DST_DE_MOBILE,\n"
        "cgrates.org,CHEAP,*lte,~*vars.Cost,0.1,"
    ),
    "Attributes.csv": (
        "cgrates.org,NUMBERS,*sessions,*prefix:~*req.Destination:0,,,*req.Destination,*variable,"
        r"~*req.Destination:s/^0(\d+)$/+49$1/,false,20"
        "\n"
        "cgrates.org,GOLD,*sessions,GOLD,,,*req.Subject,*constant,gold,false,10\n"
        "cgrates.org,GOLD,,,,DAY,*req.Tag,*composed,day;-;~*req.Account,,"
    ),
    "Chargers.csv": (
        "cgrates.org,RETAIL,,,*default,*none,20\n"
        "cgrates.org,CARRIER,GERMAN,,carrier,*constant:*req.Account:carrier;"
        "*constant:*req.RequestType:*postpaid,10"
    ),
    "Routes.csv": (
        "cgrates.org,DE,GERMAN,,*lc,,gw1,,,RP_A,,,10,false,strip=1,20\n"
        "cgrates.org,DE,,,,,gw2,FIXED,,RP_B,,,20,,,\n"
        "cgrates.org,DE,,,,,gw3,CHEAP,,RP_RETAIL,,,30,,,"
    ),
}


@dataclass(frozen=True)
class Rooms:
    attributes: Attributes
    chargers: Chargers
    routes: Routes
    sources: TariffSources


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    rows = load_folder(tmp_path, now=NOW).rows
    tariff = load_folder(tmp_path).tariff
    filters = Filters.from_rows(rows.filters)
    attributes = Attributes.from_rows(rows.attributes, filters)
    return Rooms(
        attributes,
        Chargers.from_rows(rows.chargers, filters, attributes),
        Routes.from_rows(rows.routes, filters, costs=TariffCosts(tariff)),
        TariffSources(tariff, rows.timings),
    )


def event(destination: str, at: str = "2024-05-15T10:00:00Z") -> Event:
    fields = {"Account": "1001", "Destination": destination, "SetupTime": at, "Usage": "30s"}
    return Event(tenant="cgrates.org", id="ev1", fields=fields)


def test_an_event_is_changed_charged_and_routed(rooms: Rooms) -> None:
    changed = rooms.attributes.process(
        event("0301234"), NOW, context="*sessions", process_runs=5, sources=rooms.sources
    )
    assert changed.matched_profiles == ("NUMBERS", "GOLD")
    assert changed.digest == "Destination:+49301234,Subject:gold,Tag:day-1001"
    runs = rooms.chargers.process(changed.event, NOW, sources=rooms.sources)
    assert [(run.event.text("RunID"), run.event.text("Account")) for run in runs] == [
        ("*default", "1001"),
        ("carrier", "carrier"),
    ]
    assert runs[1].event.text("RequestType") == "*postpaid"
    found = rooms.routes.sort(changed.event, NOW, max_cost="*event_cost", sources=rooms.sources)
    # 30 s: equal in price, so that the weight decides; the third is too dear for its own filter.
    assert [(each.route.id, each.data["Cost"]) for each in found.routes] == [
        ("gw2", Decimal("0.0300")),
        ("gw1", Decimal("0.0300")),
    ]
    assert [str(each).split("\n")[0] for each in found.untaken] == ["gw3 [route.filtered]"]


def test_another_number_another_hour(rooms: Rooms) -> None:
    night = event("+491511234", "2024-05-15T20:00:00Z")
    changed = rooms.attributes.process(
        night, NOW, context="*sessions", process_runs=5, sources=rooms.sources
    )
    assert changed.digest == "Subject:gold"
    found = rooms.routes.sort(changed.event, NOW, sources=rooms.sources)
    assert [each.route.id for each in found.routes] == ["gw1"]
    abroad = event("+15551234")
    assert len(rooms.chargers.process(abroad, NOW, sources=rooms.sources)) == 1
    for ask in (
        lambda: rooms.attributes.process(abroad, NOW, context="*sessions", sources=rooms.sources),
        lambda: rooms.routes.sort(abroad, NOW, sources=rooms.sources),
    ):
        with pytest.raises(EventError) as refused:
            ask()
        assert refused.value.reference == "NOT_FOUND"
