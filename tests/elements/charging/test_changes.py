"""Filters and profiles set, read, removed and explained by API; and the caches there are not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.support import NOBODY, write_folder
from tests.elements.charging.test_sessions import TARIFF

from trunkline.charging.filters import ProfilesError
from trunkline.config.cgrates import ChargingRows, load_folder
from trunkline.elements.charging.caches import Caches
from trunkline.elements.charging.changes import Changes
from trunkline.elements.charging.core import Core
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.explain import Explain
from trunkline.elements.charging.profiles import ProfileMethods
from trunkline.elements.charging.registry import Registry
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import Call
from trunkline.store.ledger.book import Book

NOW = datetime(2024, 5, 15, 10, tzinfo=UTC)
Ask = Callable[..., Awaitable[object]]


def node(
    tmp_path: Path,
    script: Callable[[Ask], Coroutine[None, None, None]],
    rows: ChargingRows | None = None,
) -> None:
    """Run a script against the methods of a node, without its sockets."""

    async def main() -> None:
        tariffs = Tariffs(TARIFF)
        rules = RuleBook(rows or ChargingRows(), tariffs)
        book = Book(f"sqlite:///{tmp_path}/ledger.db")
        engine = Engine(tariffs, book, rules, lambda: NOW)
        registry = Registry(
            Changes(engine),
            Caches(engine),
            Explain(engine),
            ProfileMethods(engine),
            Core("OCS", NOW),
        )

        async def ask(method: str, argument: object = None, /, **members: object) -> object:
            text = json.dumps(members if argument is None else argument)
            call = Call(method, json.loads(text, parse_float=Decimal), id=1)
            found = registry(call, NOBODY)
            answer = json.loads(found if isinstance(found, str) else await found)
            return answer["error"] or answer["result"]

        try:
            await script(ask)
        finally:
            await book.close()

    asyncio.run(main())


FILTER = {
    "Tenant": "cgrates.org",
    "ID": "FLTR_1001",
    "Rules": [{"Type": "*string", "Element": "~*req.Account", "Values": ["1001", "1002"]}],
    "ActivationInterval": {
        "ActivationTime": "2014-07-14T14:35:00Z",
        "ExpiryTime": "0001-01-01T00:00:00Z",
    },
}
ATTRIBUTES = {
    "Tenant": "cgrates.org",
    "ID": "ATTR_1",
    "Contexts": ["*sessions"],
    "FilterIDs": ["FLTR_1001"],
    "ActivationInterval": None,
    "Attributes": [
        {
            "FilterIDs": ["*prefix:~*req.Destination:44"],
            "Path": "*req.Subject",
            "Type": "*variable",
            "Value": [{"Rules": "~*req.Account"}, {"Rules": "`a;b`"}],
        },
        {"FilterIDs": [], "Path": "*req.B", "Type": "*constant", "Value": [{"Rules": "x"}]},
    ],
    "Blocker": True,
    "Weight": 20.5,
}
CHARGER = {
    "Tenant": "cgrates.org",
    "ID": "CPP_1",
    "FilterIDs": ["*string:~*req.Account:1001"],
    "ActivationInterval": {
        "ActivationTime": "2014-07-14T14:35:00Z",
        "ExpiryTime": "2034-07-14T14:35:00Z",
    },
    "RunID": "*rated",
    "AttributeIDs": ["ATTR_1"],
    "Weight": 20,
}
ROUTES = {
    "Tenant": "cgrates.org",
    "ID": "ROUTE_1",
    "FilterIDs": ["FLTR_1001"],
    "ActivationInterval": None,
    "Sorting": "*weight",
    "SortingParameters": [],
    "Routes": [
        {
            "ID": "r1",
            "FilterIDs": [],
            "AccountIDs": ["1007"],
            "RatingPlanIDs": ["RP"],
            "ResourceIDs": [],
            "StatIDs": [],
            "Weight": 10,
            "Blocker": False,
            "RouteParameters": "p",
        },
        {
            "ID": "r2",
            "FilterIDs": ["*prefix:~*req.Destination:49"],
            "AccountIDs": [],
            "RatingPlanIDs": [],
            "ResourceIDs": [],
            "StatIDs": [],
            "Weight": 20,
            "Blocker": True,
            "RouteParameters": "",
        },
    ],
    "Weight": 10,
}


def by_older_names(value: object) -> object:
    text = json.dumps(value)
    for new, old in (('"Route', '"Supplier'), ('"SortedRoute', '"SortedSupplier')):
        text = text.replace(new, old)
    return json.loads(text)


@pytest.mark.parametrize(
    ("what", "profile"),
    [
        ("Filter", FILTER),
        ("AttributeProfile", ATTRIBUTES),
        ("ChargerProfile", CHARGER),
        ("RouteProfile", ROUTES),
        ("SupplierProfile", by_older_names(ROUTES)),
    ],
)
def test_what_is_set_is_read_listed_and_removed(
    tmp_path: Path, what: str, profile: dict[str, object]
) -> None:
    key = {"Tenant": profile["Tenant"], "ID": profile["ID"]}

    async def script(ask: Ask) -> None:
        if profile is not FILTER:
            assert await ask("APIerSv1.SetFilter", FILTER) == "OK"
        if profile is CHARGER:
            assert await ask("APIerSv1.SetAttributeProfile", ATTRIBUTES) == "OK"
        assert await ask(f"APIerSv1.Get{what}", key) == "NOT_FOUND"
        assert await ask(f"APIerSv1.Remove{what}", key) == "NOT_FOUND"
        others = [] if await ask(f"APIerSv1.Get{what}IDs") == "NOT_FOUND" else ["FLTR_1001"]
        assert await ask(f"APIerSv1.Set{what}", profile) == "OK"
        assert await ask(f"APIerSv1.Get{what}", key) == profile
        assert await ask(f"APIerSv1.Get{what}", ID=key["ID"]) == profile  # the default tenant
        assert await ask(f"APIerSv1.Get{what}IDs", Tenant="cgrates.org") == [*others, key["ID"]]
        assert await ask(f"APIerSv1.Get{what}IDs", Tenant="other.org") == "NOT_FOUND"
        changed = {**profile, "ActivationInterval": None}
        assert await ask(f"APIerSv1.Set{what}", {**changed, "Opts": {"*cache": ""}}) == "OK"
        assert await ask(f"APIerSv1.Get{what}", key) == changed
        assert await ask(f"APIerSv1.Remove{what}", key) == "OK"
        assert await ask(f"APIerSv1.Get{what}", key) == "NOT_FOUND"
        for verb in ("Set", "Get", "Remove"):
            missing = "ID Attributes" if (verb, what) == ("Set", "AttributeProfile") else "ID"
            assert await ask(f"APIerSv1.{verb}{what}") == f"MANDATORY_IE_MISSING: [{missing}]"

    node(tmp_path, script)


def test_ids_by_pages_and_their_count(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        assert await ask("APIerSv1.GetAttributeProfileIDsCount") == "NOT_FOUND"
        for number in range(5):
            profile = {**ATTRIBUTES, "ID": f"A{number}", "FilterIDs": []}
            assert await ask("APIerSv1.SetAttributeProfile", profile) == "OK"
        assert await ask("APIerSv1.GetAttributeProfileIDsCount") == 5
        for limit, offset, found in (
            (2, None, ["A0", "A1"]),
            (2, 1, ["A1", "A2"]),
            (None, 3, ["A3", "A4"]),
            (None, 9, []),
        ):
            asked = {"Limit": limit, "Offset": offset}
            assert await ask("APIerSv1.GetAttributeProfileIDs", asked) == found

    node(tmp_path, script)


def test_a_value_as_one_text(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        attribute = {"Path": "*req.Subject", "Type": "*variable", "Value": "~*req.Account;x"}
        profile = {"ID": "EXT", "Contexts": ["*any"], "Attributes": [attribute], "Weight": 1}
        assert await ask("APIerSv2.SetAttributeProfile", profile) == "OK"
        found = await ask("APIerSv2.GetAttributeProfile", ID="EXT")
        assert isinstance(found, dict)
        assert found["Attributes"][0]["Value"] == [{"Rules": "~*req.Account"}, {"Rules": "x"}]
        changed = await ask("AttributeSv1.ProcessEvent", Event={"Account": "1001"})
        assert isinstance(changed, dict)
        assert changed["Event"] == {"Account": "1001", "Subject": "1001x"}

    node(tmp_path, script)


def test_runs_have_an_end(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        for asked in ({"ProcessRuns": 101}, {"Opts": {"*processRuns": 1 << 40}}):
            answer = await ask("AttributeSv1.ProcessEvent", {"Event": {}, **asked})
            assert answer == "SERVER_ERROR: ProcessRuns is at most 100"

    node(tmp_path, script)


def test_a_separator_in_a_value_is_kept(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        attribute = {"Path": "*req.B", "Type": "*constant", "Value": [{"Rules": "a;b"}]}
        assert await ask("APIerSv1.SetAttributeProfile", ID="A", Attributes=[attribute]) == "OK"
        changed = await ask("AttributeSv1.ProcessEvent", Event={"Account": "1001"})
        assert isinstance(changed, dict)
        assert changed["Event"] == {"Account": "1001", "B": "a;b"}

    node(tmp_path, script)


@pytest.mark.parametrize(
    ("method", "argument", "reason"),
    [
        (
            "SetAttributeProfile",
            {**ATTRIBUTES, "FilterIDs": ["NONE"]},
            "broken reference to filter: NONE for item with ID: cgrates.org:ATTR_1",
        ),
        (
            "SetRouteProfile",
            {**ROUTES, "FilterIDs": ["*string:"]},
            "route profile ROUTE_1: *string needs values",
        ),
        (
            "SetFilter",
            {**FILTER, "Rules": [{"Type": "*strin", "Element": "~*req.A", "Values": ["1"]}]},
            "filter FLTR_1001: there is no filter type '*strin'",
        ),
        (
            "SetFilter",
            {**FILTER, "Rules": [{"Type": "*regex", "Element": "~*req.A", "Values": ["("]}]},
            "filter FLTR_1001: '(' is no pattern",
        ),
        ("SetFilter", {**FILTER, "ID": "*string:x"}, "filter *string:x: '*string:x' is no ID"),
        (
            "SetChargerProfile",
            {**CHARGER, "AttributeIDs": ["NONE"]},
            "charger CPP_1: there is no attribute profile 'NONE'",
        ),
        (
            "SetChargerProfile",
            {**CHARGER, "FilterIDs": ["*gte:~*stats.STAT_1.*acd:60"], "AttributeIDs": []},
            "charger CPP_1: a rule asks for *stats, but nothing here keeps stats yet",
        ),
        (
            "SetChargerProfile",
            {
                **CHARGER,
                "FilterIDs": [],
                "AttributeIDs": ["*variable:*req.A:~*resources.RES.Usage"],
            },
            "charger CPP_1: a rule asks for *resources, but nothing here keeps resources yet",
        ),
        (
            "SetRouteProfile",
            {**ROUTES, "FilterIDs": [], "Sorting": "*best"},
            "route profile ROUTE_1: there is no sorting '*best'",
        ),
        (
            "SetAttributeProfile",
            {
                **ATTRIBUTES,
                "FilterIDs": [],
                "Attributes": [{"Path": "*req.A", "Value": [{"Rules": "~*req.A{*nope}"}]}],
            },
            "attribute profile ATTR_1:",
        ),
    ],
)
def test_what_would_break_is_refused(
    tmp_path: Path, method: str, argument: dict[str, object], reason: str
) -> None:
    async def script(ask: Ask) -> None:
        answer = await ask(f"APIerSv1.{method}", argument)
        assert isinstance(answer, str)
        assert answer.startswith(f"SERVER_ERROR: {reason}")
        get = method.replace("Set", "Get")
        if not str(argument["ID"]).startswith("*"):
            assert await ask(f"APIerSv1.{get}", ID=argument["ID"]) == "NOT_FOUND"

    node(tmp_path, script)


def test_what_an_attribute_has_to_have(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        for attribute, name in (
            ({"Path": "*req.A", "Value": [{"Rules": ""}]}, "Rules"),
            ({"Path": "", "Value": [{"Rules": "x"}]}, "Path"),
        ):
            answer = await ask("APIerSv1.SetAttributeProfile", ID="A", Attributes=[attribute])
            assert answer == f"MANDATORY_IE_MISSING: [{name}]"

    node(tmp_path, script)


def test_names_are_those_that_a_file_could_have(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        for name in ("a:b", "é", "x" * 300, ";", " "):
            assert await ask("APIerSv1.SetFilter", {**FILTER, "ID": name}) == "OK"
            assert await ask("APIerSv1.RemoveFilter", {**FILTER, "ID": name}) == "OK"
        for odd in ("a\x00", "a\nb", "\x1b[2J"):
            answer = f"SERVER_ERROR: {odd!r} has a character that cannot be printed"
            assert await ask("APIerSv1.SetFilter", {**FILTER, "ID": odd}) == answer
            assert await ask("APIerSv1.SetFilter", {**FILTER, "Tenant": odd}) == answer

    node(tmp_path, script)


def test_a_filter_that_is_named_is_not_removed(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        await ask("APIerSv1.SetFilter", FILTER)
        await ask("APIerSv1.SetRouteProfile", ROUTES)
        answer = await ask("APIerSv1.RemoveFilter", ID="FLTR_1001")
        assert str(answer).startswith("SERVER_ERROR: route profile ROUTE_1: there is no filter")
        assert await ask("APIerSv1.GetFilter", ID="FLTR_1001") == FILTER

    node(tmp_path, script)


def test_an_inline_filter_is_read_as_what_it_says(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        text = "*string:~*req.Account:1001"
        found = await ask("APIerSv1.GetFilter", ID=text)
        rule = {"Type": "*string", "Element": "~*req.Account", "Values": ["1001"]}
        assert found == {
            "Tenant": "cgrates.org",
            "ID": text,
            "Rules": [rule],
            "ActivationInterval": None,
        }

    node(tmp_path, script)


def test_a_shared_group_is_read_by_its_id(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tariff", {"SharedGroups.csv": "SG1,*any,*lowest,\n"})

    async def script(ask: Ask) -> None:
        assert await ask("APIerSv1.GetSharedGroup", "SG1") == {
            "Id": "SG1",
            "AccountParameters": {"*any": {"Strategy": "*lowest", "RatingSubject": ""}},
            "MemberIds": None,
        }
        assert await ask("APIerSv1.GetSharedGroup", "SG2") == "NOT_FOUND"

    node(tmp_path, script, load_folder(folder).rows)


def test_routes_by_both_names(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        asked = {"Event": {"Account": "1001", "Destination": "4930"}}
        assert await ask("RouteSv1.GetRouteProfilesForEvent", asked) == "NOT_FOUND"
        await ask("APIerSv1.SetFilter", FILTER)
        profile = {**ROUTES, "Routes": [{"ID": "r1", "RouteParameters": "p"}]}
        await ask("APIerSv1.SetRouteProfile", profile)
        profiles = await ask("RouteSv1.GetRouteProfilesForEvent", asked)
        assert isinstance(profiles, list)
        [found] = profiles
        assert found == await ask("APIerSv1.GetRouteProfile", ID="ROUTE_1")
        assert await ask("SupplierSv1.GetSupplierProfilesForEvent", asked) == [
            by_older_names(found)
        ]
        routes = await ask("RouteSv1.GetRoutes", asked)
        assert routes == {
            "ProfileID": "ROUTE_1",
            "Sorting": "*weight",
            "Count": 1,
            "SortedRoutes": [
                {"RouteID": "r1", "RouteParameters": "p", "SortingData": {"Weight": 0}}
            ],
        }
        assert await ask("SupplierSv1.GetSuppliers", asked) == by_older_names(routes)

    node(tmp_path, script)


def test_a_folder_that_asks_for_what_nobody_keeps_is_refused(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "tariff",
        {
            "Filters.csv": "cgrates.org,ACD,*gte,~*stats.STAT_1.*acd,60,\n",
            "Chargers.csv": "cgrates.org,C,ACD,,*raw,*none,0\n",
            "Attributes.csv": "cgrates.org,A,,,,,*req.B,*variable,~*resources.R.Usage,,\n",
            "Routes.csv": "cgrates.org,R,,,,,r,*lt:~*thresholds.T.Hits:3,,,,,,,,\n",
        },
    )
    with pytest.raises(ProfilesError) as caught:
        RuleBook(load_folder(folder).rows, Tariffs(TARIFF))
    assert [str(each.source) for each in caught.value.problems] == [
        "Attributes.csv:1",
        "Chargers.csv:1",
        "Routes.csv:1",
    ]


# why


def test_why_filters_hold(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        await ask("APIerSv1.SetFilter", FILTER)
        asked = ["FLTR_1001", "*prefix:~*req.Destination:44"]
        found = await ask(
            "TrunklineV1.ExplainFilters",
            FilterIDs=asked,
            Event={"Account": "1001", "Destination": "4930"},
        )
        assert found == {
            "Holds": False,
            "Rules": [
                {
                    "FilterID": "FLTR_1001",
                    "Rule": "*string:~*req.Account:1001|1002",
                    "Reason": "filter.held",
                    "Found": "1001",
                    "Source": None,
                },
                {
                    "FilterID": "*prefix:~*req.Destination:44",
                    "Rule": "*prefix:~*req.Destination:44",
                    "Reason": "filter.failed",
                    "Found": "4930",
                    "Source": None,
                },
            ],
        }
        answer = await ask("TrunklineV1.ExplainFilters", FilterIDs=["NONE"])
        assert str(answer).startswith("SERVER_ERROR: there is no filter 'NONE'")
        # What cannot be judged is said with its reason, and costs nobody a connection
        stats = ["*gte:~*stats.STAT_1.*acd:60"]
        answer = await ask("TrunklineV1.ExplainFilters", FilterIDs=stats)
        assert "nothing here keeps stats yet" in str(answer)

    node(tmp_path, script)


def test_why_profiles_match(tmp_path: Path) -> None:
    files = {
        "Filters.csv": "cgrates.org,DAN,*string,~*req.Account,1001,\n",
        "Attributes.csv": (
            "cgrates.org,CDRS,*cdrs,,,,*req.A,*constant,1,,40\n"
            "cgrates.org,OTHER,*sessions,*string:~*req.Account:1002,,,*req.A,*constant,1,,30\n"
            "cgrates.org,FITS,*sessions,DAN,,,*req.A,*constant,1,,20\n"
            "cgrates.org,LIGHT,*sessions,,,,*req.A,*constant,1,,10\n"
        ),
        "Chargers.csv": (
            "cgrates.org,OVER,,;2020-01-01T00:00:00Z,a,*none,20\n"
            "cgrates.org,NOBODY,*exists:~*req.Nothing:,,a,*none,10\n"
        ),
        "Routes.csv": (
            "cgrates.org,R,DAN,,*weight,,heavy,*prefix:~*req.Destination:49,,,,,30,,,10\n"
            "cgrates.org,R,,,,,first,,,,,,20,,,\n"
            "cgrates.org,R,,,,,second,,,,,,10,,,\n"
            "cgrates.org,NONE,,,*weight,,only,*prefix:~*req.Destination:49,,,,,,,,5\n"
        ),
    }
    rows = load_folder(write_folder(tmp_path / "tariff", files)).rows
    event = {"Account": "1001", "Destination": "44"}

    def verdicts(found: object) -> list[tuple[str, str]]:
        assert isinstance(found, list)
        return [(each["ProfileID"], each["Verdict"]) for each in found]

    async def script(ask: Ask) -> None:
        found = await ask("TrunklineV1.ExplainAttributes", Context="*sessions", Event=event)
        assert verdicts(found) == [
            ("CDRS", "profile.context"),
            ("OTHER", "profile.filtered"),
            ("FITS", "profile.matched"),
            ("LIGHT", "profile.lower-weight"),
        ]
        assert isinstance(found, list)
        assert found[2]["Rules"] == [
            {
                "FilterID": "DAN",
                "Rule": "*string:~*req.Account:1001",
                "Reason": "filter.held",
                "Found": "1001",
                "Source": "Filters.csv:1",
            }
        ]
        found = await ask("TrunklineV1.ExplainChargers", Event=event)
        assert verdicts(found) == [("OVER", "profile.inactive"), ("NOBODY", "profile.filtered")]
        found = await ask("TrunklineV1.ExplainRoutes", Event=event)
        assert isinstance(found, dict)
        assert verdicts(found["Profiles"]) == [
            ("R", "profile.matched"),
            ("NONE", "profile.lower-weight"),
        ]
        assert [(each["RouteID"], each["Reason"]) for each in found["Routes"]] == [
            ("first", "route.taken"),
            ("second", "route.fallback"),
            ("heavy", "route.filtered"),
        ]
        assert found["Routes"][2]["Rules"][0]["Found"] == "44"
        found = await ask("TrunklineV1.ExplainRoutes", Event={**event, "Account": "1002"})
        assert isinstance(found, dict)
        assert verdicts(found["Profiles"]) == [
            ("R", "profile.filtered"),
            ("NONE", "profile.matched"),
        ]
        assert [(each["RouteID"], each["Reason"]) for each in found["Routes"]] == [
            ("only", "route.filtered")
        ]
        found = await ask("TrunklineV1.ExplainRoutes", Tenant="other.org", Event=event)
        assert found == {"Profiles": [], "Routes": []}

    node(tmp_path, script, rows)


# caches and the core


def test_there_are_no_caches(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        item = {"CacheID": "*filters", "ItemID": "cgrates.org:FLTR_1"}
        for name in ("ReloadCache", "LoadCache", "Clear", "FlushCache"):
            assert await ask(f"CacheSv1.{name}") == "OK"
        indexes = {"Tenant": "cgrates.org", "AttributeS": True}
        assert await ask("APIerSv1.ComputeFilterIndexes", indexes) == "OK"
        assert await ask("APIerSv1.ComputeFilterIndexIDs", {"AttributeIDs": ["A"]}) == "OK"
        for name in ("RemoveItem", "RemoveGroup"):
            assert await ask(f"CacheSv1.{name}", item) == "OK"
        for name in ("HasItem", "HasGroup"):
            assert await ask(f"CacheSv1.{name}", item) is False
        for name in ("GetItemIDs", "GetGroupItemIDs", "GetItemExpiryTime"):
            assert await ask(f"CacheSv1.{name}", item) == "NOT_FOUND"
        asked = {"CacheIDs": ["*filters"]}
        assert await ask("CacheSv1.GetCacheStats", asked) == {"*filters": {"Items": 0, "Groups": 0}}
        assert await ask("CacheSv1.PrecacheStatus", asked) == {"*filters": "ready"}
        assert await ask("CacheSv1.Ping") == "Pong"

    node(tmp_path, script)


def test_sleep(tmp_path: Path) -> None:
    async def script(ask: Ask) -> None:
        start = time.monotonic()
        assert await ask("CoreSv1.Sleep", Duration=50_000_000) == "OK"
        assert time.monotonic() - start >= 0.05
        assert "a minute" in str(await ask("CoreSv1.Sleep", Duration=61 * 10**9))

    node(tmp_path, script)
