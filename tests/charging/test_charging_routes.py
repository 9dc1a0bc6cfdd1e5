"""RouteS: every sorting, filters, costs, blockers, pages, rows and refusals."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rating.folder import tariff

from trunkline.charging.event import Event, EventError
from trunkline.charging.filters import Filters, ProfilesError
from trunkline.charging.route_sources import AccountUsage, PlanCost, TariffCosts
from trunkline.charging.routes import (
    SORTINGS,
    RouteReason,
    Routes,
    SortedRoutes,
)
from trunkline.charging.rows import Activation, RouteRow
from trunkline.charging.selection import Judged
from trunkline.rating import Call, Cgrates, RatingError
from trunkline.rating.durations import MINUTE, SECOND
from trunkline.rating.errors import Source

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
TENANT = "cgrates.org"
EVENT = Event(
    tenant=TENANT,
    id="ev1",
    fields={"Account": "1001", "Destination": "61412", "SetupTime": "2024-05-15T10:00:00Z"},
)
TARIFF = {
    "Destinations.csv": "DST,61\nDST_DE,49\n",
    "Rates.csv": "RT_1,0,0.6,60s,1s,0s\nRT_2,0,1.2,60s,1s,0s\nRT_3,0,0.6,60s,60s,0s\n",
    "DestinationRates.csv": (
        "DR_1,DST,RT_1,*up,4,0,\nDR_2,DST,RT_2,*up,4,0,\nDR_3,DST,RT_3,*up,4,0,\n"
        "DR_DE,DST_DE,RT_1,*up,4,0,\n"
    ),
    "RatingPlans.csv": (
        "RP_1,DR_1,*any,10\nRP_2,DR_2,*any,10\nRP_3,DR_3,*any,10\nRP_DE,DR_DE,*any,10\n"
    ),
    "RatingProfiles.csv": "cgrates.org,call,1001,,RP_1,\n",
}


def row(
    route: str = "",
    *,
    id_: str = "ROUTES",
    sorting: str = "",
    parameters: tuple[str, ...] = (),
    filters: tuple[str, ...] = (),
    route_filters: tuple[str, ...] = (),
    accounts: tuple[str, ...] = (),
    plans: tuple[str, ...] = (),
    resources: tuple[str, ...] = (),
    stats: tuple[str, ...] = (),
    weight: str = "0",
    blocker: bool = False,
    route_parameters: str = "",
    profile_weight: str = "0",
    line: int = 1,
) -> RouteRow:
    return RouteRow(
        tenant=TENANT,
        id=id_,
        filters=filters,
        sorting=sorting,
        sorting_parameters=parameters,
        route=route,
        route_filters=route_filters,
        accounts=accounts,
        rating_plans=plans,
        resources=resources,
        stats=stats,
        route_weight=Decimal(weight),
        route_blocker=blocker,
        route_parameters=route_parameters,
        weight=Decimal(profile_weight),
        source=Source("Routes.csv", line),
    )


class Costs(TariffCosts):
    """The tariff above, and accounts that cover so much."""

    def __init__(self, **covered: int) -> None:
        super().__init__(tariff(TARIFF))
        self.covered = covered
        self.asked: list[Call] = []

    def on_plans(self, call: Call, plan_ids: Sequence[str]) -> PlanCost:
        self.asked.append(call)
        return super().on_plans(call, plan_ids)

    def on_accounts(self, call: Call, account_ids: Sequence[str]) -> AccountUsage | None:
        for account in account_ids:
            if account in self.covered:
                return AccountUsage(account, min(self.covered[account], call.usage))
        return None


class Counts:
    """Stats and resources that hold what they are given."""

    def __init__(self, **held: dict[str, str]) -> None:
        self.held = held

    def metrics(self, tenant: str, stat_id: str) -> Mapping[str, Decimal] | None:
        if stat_id not in self.held:
            return None
        return {name: Decimal(value) for name, value in self.held[stat_id].items()}

    def usage(self, tenant: str, resource_id: str) -> Decimal | None:
        return None if resource_id not in self.held else Decimal(self.held[resource_id]["usage"])


def routes(*rows: RouteRow, costs: Costs | None = None, counts: Counts | None = None) -> Routes:
    return Routes.from_rows(rows, Filters(), costs=costs or Costs(), stats=counts, resources=counts)


def order(found: SortedRoutes) -> list[str]:
    return [each.route.id for each in found.routes]


# The sortings


def test_by_weight() -> None:
    found = routes(
        row("light", weight="1"), row("first", weight="5"), row("second", weight="5"), row("none")
    ).sort(EVENT, NOW)
    assert order(found) == ["first", "second", "light", "none"]
    assert [each.route.id for each in found.fallbacks] == ["second", "light", "none"]
    assert found.routes[0].data == {"Weight": Decimal(5)}


def test_by_least_and_highest_cost() -> None:
    rows = [
        row("dear", plans=("RP_2",), weight="50"),
        row("cheap", plans=("RP_1",)),
        row("cheap-and-heavy", plans=("RP_3",), weight="10"),
    ]
    asked = Event(tenant=TENANT, fields={**EVENT.fields, "Usage": "60s"})
    cheapest = routes(row(sorting="*lc"), *rows).sort(asked, NOW)
    assert order(cheapest) == ["cheap-and-heavy", "cheap", "dear"]
    assert order(routes(row(sorting="*hc"), *rows).sort(asked, NOW)) == [
        "dear",
        "cheap-and-heavy",
        "cheap",
    ]
    assert cheapest.routes[1].data == {
        "Weight": Decimal(0),
        "Cost": Decimal("0.6"),
        "RatingPlanID": "RP_1",
    }
    assert cheapest.as_reply() == {
        "ProfileID": "ROUTES",
        "Sorting": "*lc",
        "Count": 3,
        "SortedRoutes": [each.as_reply() for each in cheapest.routes],
    }
    # Without a usage it is a minute; a shorter call is cheaper by the second.
    assert order(routes(row(sorting="*lc"), *rows).sort(EVENT, NOW)) == order(cheapest)
    short = Event(tenant=TENANT, fields={**EVENT.fields, "Usage": 10 * SECOND})
    assert order(routes(row(sorting="*lc"), *rows).sort(short, NOW)) == [
        "cheap",
        "dear",
        "cheap-and-heavy",
    ]


def test_a_cost_in_the_references_precision() -> None:
    files = {
        "Destinations.csv": "DST_1002,1002\nDST_10,10\n",
        "Rates.csv": "RT_1,0,0.01,60s,1s,0s\nRT_40,0.8,0.4,60s,30s,0s\nRT_40,0,0.2,60s,10s,60s\n",
        "DestinationRates.csv": "DR_1,DST_1002,RT_1,*up,4,0,\nDR_40,DST_10,RT_40,*up,4,0,\n",
        "RatingPlans.csv": "RP_SPECIAL,DR_1,*any,10\nRP_RETAIL,DR_40,*any,10\n",
        "RatingProfiles.csv": "",
    }
    rows = [
        row("route1", sorting="*lc", plans=("RP_SPECIAL",), weight="10"),
        row("route2", plans=("RP_RETAIL",), weight="20"),
        row("route3", plans=("RP_SPECIAL",), weight="15"),
    ]
    held = Routes.from_rows(rows, Filters(), costs=TariffCosts(tariff(files), Cgrates(5)))
    asked = Event(tenant=TENANT, fields={**EVENT.fields, "Destination": "1002"})
    found = held.sort(asked, NOW)
    assert [(each.route.id, each.data["Cost"]) for each in found.routes] == [
        ("route3", Decimal("0.0102")),
        ("route1", Decimal("0.0102")),
        ("route2", Decimal("1.2")),
    ]


def test_what_is_priced() -> None:
    costs = Costs()
    fields = {**EVENT.fields, "Subject": "dan", "Category": "call2", "ToR": "*sms", "Usage": 3}
    routes(row("r", plans=("RP_1",)), costs=costs).sort(Event(tenant=TENANT, fields=fields), NOW)
    assert costs.asked == [
        Call(
            destination="61412",
            time=NOW,
            usage=3,
            tenant=TENANT,
            category="call2",
            subject="dan",
            account="1001",
            tor="*sms",
        )
    ]
    routes(row("r", plans=("RP_1",)), costs=costs).sort(EVENT, NOW)
    assert costs.asked[1].subject == "1001"


def test_the_first_plan_that_has_a_price_counts() -> None:
    found = routes(row("r", sorting="*lc", plans=("RP_DE", "RP_2"))).sort(EVENT, NOW)
    assert found.routes[0].data["RatingPlanID"] == "RP_2"


def test_accounts_that_cover_the_call_cost_nothing() -> None:
    rows = [
        row("paid", sorting="*lc", plans=("RP_1",)),
        row("covered", accounts=("BUNDLE",)),
        row("half", accounts=("NONE", "HALF"), plans=("RP_1",)),
    ]
    rows.append(row("empty", accounts=("EMPTY",), plans=("RP_2",)))
    costs = Costs(BUNDLE=MINUTE, HALF=30 * SECOND, EMPTY=0)
    found = routes(*rows, costs=costs).sort(EVENT, NOW)
    assert order(found) == ["covered", "half", "paid", "empty"]
    covered, half, _, empty = found.routes
    assert set(empty.data) == {"Weight", "Cost", "RatingPlanID"}
    assert (costs.asked[0].time, costs.asked[0].usage) == (NOW, MINUTE)
    later = NOW + timedelta(seconds=30)
    assert (costs.asked[1].time, costs.asked[1].usage) == (later, 30 * SECOND)
    assert covered.data["Account"] == "BUNDLE"
    assert covered.data["Cost"] == Decimal(0)
    assert half.data["Cost"] == Decimal("0.3")
    assert half.data["MaxUsage"] == 30 * SECOND
    with pytest.raises(EventError) as refused:
        routes(row("r", sorting="*lc", accounts=("HALF",)), costs=costs).sort(EVENT, NOW)
    assert refused.value.code == "charging.no-cover"


def test_by_quality() -> None:
    counts = Counts(
        S1={"*acd": "60", "*pdd": "2"},
        S2={"*acd": "90", "*pdd": "2"},
        S3={"*acd": "60", "*pdd": "1"},
    )
    rows = [row("one", stats=("S1",)), row("two", stats=("S2",)), row("three", stats=("S3",))]
    rows += [row("none"), row("unknown", stats=("S9",), weight="1")]
    found = routes(row(sorting="*qos", parameters=("*acd", "*pdd")), *rows, counts=counts).sort(
        EVENT, NOW
    )
    assert order(found) == ["two", "three", "one", "unknown", "none"]
    assert found.routes[-1].data == {
        "Weight": Decimal(0),
        "*acd": Decimal(-1),
        "*pdd": Decimal(10_000_000),
    }
    swift = row(sorting="*qos", parameters=("*pdd", "*acd"))
    found = routes(swift, *rows, counts=counts).sort(EVENT, NOW)
    assert order(found)[:3] == ["three", "two", "one"]
    both = routes(row("both", sorting="*qos", stats=("S1", "S2")), counts=counts).sort(EVENT, NOW)
    assert both.routes[0].data["*acd"] == Decimal(75)  # the mean of several stats


def test_by_resources() -> None:
    counts = Counts(R1={"usage": "3"}, R2={"usage": "4"}, R3={"usage": "7"})
    rows = [
        row("seven", resources=("R1", "R2")),
        row("three", resources=("R1", "R9")),
        row("seven-heavy", resources=("R3",), weight="1"),
    ]
    found = routes(row(sorting="*reas"), *rows, counts=counts).sort(EVENT, NOW)
    assert order(found) == ["three", "seven-heavy", "seven"]
    assert found.routes[0].data["ResourceUsage"] == Decimal(3)
    found = routes(row(sorting="*reds"), *rows, counts=counts).sort(EVENT, NOW)
    assert order(found) == ["seven-heavy", "seven", "three"]


def test_by_load() -> None:
    counts = Counts(S1={"*sum#1": "30"}, S2={"*sum#1": "10", "*acd": "80"}, S3={"*sum#1": "15"})
    rows = [
        row("one", stats=("S1",)),
        row("two", stats=("S2:*sum#1",)),
        row("three", stats=("S3",)),
        row("closed", stats=("S9",), weight="9"),
    ]
    shares = row(sorting="*load", parameters=("one:4", "three:1", "closed:0", "*default:2"))
    found = routes(shares, *rows, counts=counts).sort(EVENT, NOW)
    assert order(found) == ["two", "one", "three", "closed"]  # 10/2, 30/4, 15/1, never
    assert found.routes[0].data == {"Weight": Decimal(0), "Load": Decimal(10), "Ratio": 2}
    found = routes(row(sorting="*load"), *rows, counts=counts).sort(EVENT, NOW)
    assert order(found) == ["closed", "two", "three", "one"]
    assert found.routes[0].data["Ratio"] == 1
    with pytest.raises(EventError) as refused:
        routes(row("r", sorting="*load", stats=("S1:*tcc",)), counts=counts).sort(EVENT, NOW)
    assert refused.value.code == "charging.no-metric"


@pytest.mark.parametrize(
    ("sorting", "column"),
    [
        ("*lc", "RatingPlanIDs or AccountIDs"),
        ("*hc", "RatingPlanIDs or AccountIDs"),
        ("*reas", "ResourceIDs"),
        ("*reds", "ResourceIDs"),
        ("*load", "StatIDs"),
    ],
)
def test_a_sorting_needs_its_column(sorting: str, column: str) -> None:
    with pytest.raises(EventError, match=r"Routes\.csv:1: the route r has no") as refused:
        routes(row("r", sorting=sorting)).sort(EVENT, NOW, ignore_errors=True)
    assert refused.value.reference == f"MANDATORY_IE_MISSING: [{column}]"


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        (row("r", plans=("RP_1",)), "costs"),
        (row("r", stats=("S",)), "stats"),
        (row("r", resources=("R",)), "resources"),
    ],
)
def test_what_is_not_passed_in_is_refused(held: RouteRow, kind: str) -> None:
    with pytest.raises(EventError, match=f"no source of {kind}") as refused:
        Routes.from_rows([held], Filters()).sort(EVENT, NOW, ignore_errors=True)
    assert refused.value.code == "charging.no-source"
    with pytest.raises(EventError, match="no source of costs"):
        Routes.from_rows([row("r")], Filters()).sort(EVENT, NOW, max_cost="*event_cost")


@given(st.randoms(use_true_random=False), st.sampled_from(sorted({*SORTINGS} - {"*qos"})))
def test_the_order_does_not_depend_on_the_rows(rng: random.Random, sorting: str) -> None:
    counts = Counts(
        **{
            f"S{number}": {"*sum#1": str(number % 3), "usage": str(number % 3)}
            for number in range(6)
        }
    )
    rows = [
        row(
            f"r{number}",
            plans=(f"RP_{number % 2 + 1}",),
            stats=(f"S{number}",),
            resources=(f"S{number}",),
            weight=str(number),
        )
        for number in range(6)
    ]
    expected = order(routes(row(sorting=sorting), *rows, counts=counts).sort(EVENT, NOW))
    assert len(expected) == 6
    rng.shuffle(rows)
    assert order(routes(row(sorting=sorting), *rows, counts=counts).sort(EVENT, NOW)) == expected


# What is not taken, and why


def test_every_route_is_explained() -> None:
    held = routes(
        row(sorting="*lc"),
        row("cheap", plans=("RP_1",), route_parameters="strip=2"),
        row("other", plans=("RP_1",), route_filters=("*string:~*req.Account:1002",)),
        row("late", plans=("RP_1",), route_filters=("*lte:~*vars.Weight:1",), weight="2"),
        row("dear", plans=("RP_2",)),
        row("nowhere", plans=("RP_DE",)),
        row("twice", plans=("RP_1",), weight="3", route_filters=("*exists:~*req.Account",)),
        row("twice", plans=("RP_1",), weight="2", route_filters=("*exists:~*req.SetupTime",)),
    )
    found = held.sort(EVENT, NOW, ignore_errors=True, max_cost="1.1")
    assert order(found) == ["twice", "cheap"]
    assert found.digest == "twice,cheap:strip=2"
    assert [(each.route.id, each.reason) for each in found.untaken] == [
        ("other", RouteReason.FILTERED),
        ("twice", RouteReason.DUPLICATE),
        ("late", RouteReason.FILTERED),
        ("dear", RouteReason.MAX_COST),
        ("nowhere", RouteReason.NO_COST),
    ]
    text = found.explain()
    assert text.startswith("routes cgrates.org:ROUTES by *lc\n* twice [route.taken] Weight 3, Cost")
    assert "- cheap [route.fallback] Weight 0, Cost 0.6, RatingPlanID RP_1" in text
    assert "dear [route.max-cost] 1.2 is more than 1.1" in text
    assert "nowhere [route.no-cost] rating.no-destination" in text
    assert "*string:~*req.Account:1002 [filter.failed], found '1001'" in text
    assert "*lte:~*vars.Weight:1 [filter.failed], found '2'" in text


def test_a_heavier_route_of_the_same_id_replaces_a_lighter_one() -> None:
    found = routes(
        row("r", weight="2", route_parameters="a", route_filters=("*exists:~*req.Account",)),
        row("r", weight="3", route_parameters="b", route_filters=("*exists:~*req.SetupTime",)),
    ).sort(EVENT, NOW)
    assert found.digest == "r:b"
    assert [each.reason for each in found.untaken] == [RouteReason.DUPLICATE]


def test_without_ignored_errors_a_route_without_a_price_is_refused() -> None:
    held = routes(row("r", sorting="*lc", plans=("RP_DE",)))
    with pytest.raises(RatingError) as rating:
        held.sort(EVENT, NOW)
    assert rating.value.reference == "UNAUTHORIZED_DESTINATION"
    with pytest.raises(
        EventError, match=r"no route of ROUTES is left: r \[route.no-cost\]"
    ) as gone:
        held.sort(EVENT, NOW, ignore_errors=True)
    assert gone.value.reference == "NOT_FOUND"


@pytest.mark.parametrize("name", ["Account", "Destination", "SetupTime"])
def test_a_cost_needs_fields(name: str) -> None:
    fields = {key: value for key, value in EVENT.fields.items() if key != name}
    with pytest.raises(EventError) as refused:
        routes(row("r", plans=("RP_1",))).sort(Event(tenant=TENANT, fields=fields), NOW)
    assert refused.value.reference == f"MANDATORY_IE_MISSING: [{name}]"


def test_the_maximum_may_be_what_the_caller_pays() -> None:
    held = routes(row("same", plans=("RP_1",)), row("dear", plans=("RP_2",)))
    assert order(held.sort(EVENT, NOW, max_cost="*event_cost")) == ["same"]
    assert order(held.sort(EVENT, NOW, max_cost="0")) == ["same", "dear"]  # 0: none
    for wrong in ("much", "NaN", "inf", "1e-999999999"):
        with pytest.raises(EventError) as refused:
            held.sort(EVENT, NOW, max_cost=wrong)
        assert refused.value.code == "charging.field"


def test_nothing_comes_after_a_blocker() -> None:
    found = routes(
        row("one", weight="3"), row("two", weight="2", blocker=True), row("three", weight="1")
    ).sort(EVENT, NOW)
    assert order(found) == ["one", "two"]
    assert [str(each) for each in found.untaken] == ["three [route.blocked] by two"]


def test_pages() -> None:
    held = routes(*(row(name, weight=str(9 - number)) for number, name in enumerate("abcde")))
    assert order(held.sort(EVENT, NOW, limit=2)) == ["a", "b"]
    page = held.sort(EVENT, NOW, limit=2, offset=1)
    assert order(page) == ["b", "c"]
    assert [(each.route.id, each.reason) for each in page.untaken] == [
        ("a", RouteReason.BEFORE_OFFSET),
        ("d", RouteReason.BEYOND_LIMIT),
        ("e", RouteReason.BEYOND_LIMIT),
    ]
    assert order(held.sort(EVENT, NOW, offset=9)) == []
    assert order(held.sort(EVENT, NOW, limit=0)) == []


# Profiles and rows


def test_the_heaviest_profile_that_matches_counts() -> None:
    held = routes(
        row("a", id_="ALL"),
        row("b", id_="ONE", filters=("*string:~*req.Account:1001",), profile_weight="10"),
        row("c", id_="TWO", filters=("*string:~*req.Account:1002",), profile_weight="20"),
    )
    trace: list[Judged] = []
    assert order(held.sort(EVENT, NOW, trace=trace)) == ["b"]
    assert [each.verdict.value for each in trace] == [
        "profile.filtered",
        "profile.matched",
        "profile.lower-weight",
    ]
    assert [each.id for each in held.for_event(EVENT, NOW)] == ["ONE", "ALL"]
    other = Event(tenant="example.org")
    for ask in (lambda: held.for_event(other, NOW), lambda: held.sort(other, NOW)):
        with pytest.raises(EventError) as refused:
            ask()
        assert refused.value.reference == "NOT_FOUND"
    assert order(held.sort(Event(tenant=TENANT), NOW)) == ["a"]


def test_an_interval_of_any_row_is_the_profiles() -> None:
    later = replace(row("b"), activation=Activation(start=NOW + timedelta(hours=1)))
    held = routes(row("a"), later)
    with pytest.raises(EventError):
        held.sort(EVENT, NOW)
    assert order(held.sort(replace(EVENT, time=NOW + timedelta(hours=1)), NOW)) == ["a", "b"]


def test_rows_of_one_route_under_the_same_filters_are_one_route() -> None:
    held = routes(
        row("r", sorting="*lc", plans=("RP_DE",), route_parameters="x"),
        row("r", plans=("RP_1",), weight="4", blocker=True),
    )
    profile = held.selection.get(TENANT, "ROUTES")
    assert profile is not None
    [route] = profile.routes
    assert route.rating_plans == ("RP_DE", "RP_1")
    assert profile.as_reply() == {
        "Tenant": TENANT,
        "ID": "ROUTES",
        "FilterIDs": [],
        "ActivationInterval": None,
        "Sorting": "*lc",
        "SortingParameters": [],
        "Routes": [
            {
                "ID": "r",
                "FilterIDs": [],
                "AccountIDs": [],
                "RatingPlanIDs": ["RP_DE", "RP_1"],
                "ResourceIDs": [],
                "StatIDs": [],
                "Weight": Decimal(4),
                "Blocker": True,
                "RouteParameters": "x",
            }
        ],
        "Weight": Decimal(0),
    }


def test_all_that_is_wrong_is_told_with_file_and_line() -> None:
    with pytest.raises(ProfilesError) as refused:
        routes(
            row("r", sorting="*cheapest", line=1),
            row("r", filters=("FLT",), line=2),
            row("s", route_filters=("*nothing:~*req.A:1",), line=3),
            row("r", id_="LOAD", sorting="*load", parameters=("r:x",), line=4),
        )
    assert [(each.code, str(each.source)) for each in refused.value.problems] == [
        ("charging.sorting", "Routes.csv:1"),
        ("charging.filter-unknown", "Routes.csv:2"),
        ("charging.filter-type", "Routes.csv:3"),
        ("charging.sorting", "Routes.csv:4"),
    ]


def test_the_cost_is_the_engines() -> None:
    costs = Costs()
    call = Call(destination="61412", time=NOW, usage=MINUTE, tenant=TENANT, subject="1001")
    assert costs.on_plans(call, ["RP_2"]) == PlanCost(Decimal("1.2000"), "RP_2")
    assert costs.of_event(call) == Decimal("0.6000")
    assert TariffCosts(tariff(TARIFF)).on_accounts(call, ["1001"]) is None
