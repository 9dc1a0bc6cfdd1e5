"""``SessionSv1`` beside the steps themselves: routes, attributes, digests, flags, open sessions."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.elements.charging.test_sessions import EVENT, Ask, charging, money, topped_up

from trunkline.charging.sessions import session_id
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.flags import Flags
from trunkline.rating.durations import SECOND

CALL = {**EVENT, "Usage": "60s", "SetupTime": EVENT["AnswerTime"]}
CGRID = session_id("call-1", "switch")
MINUTE = 60 * SECOND


def test_a_call_with_its_attributes_and_routes(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        argument = {"GetMaxUsage": True, "GetAttributes": True, "GetRoutes": True, "Event": CALL}
        found = await ask("SessionSv1.AuthorizeEvent", **argument)
        assert set(found) == {
            *("Attributes", "MaxUsage", "ResourceAllocation", "Routes"),
            *("ThresholdIDs", "StatQueueIDs"),
        }
        assert found["MaxUsage"] == MINUTE
        assert found["Attributes"]["AlteredFields"] == ["*req.Carrier"]
        assert [each["RouteID"] for each in found["Routes"]["SortedRoutes"]] == ["cheap", "dear"]
        short = await ask("SessionSv1.AuthorizeEventWithDigest", **argument)
        assert short == {
            "AttributesDigest": "Carrier:one",
            "ResourceAllocation": None,
            "MaxUsage": 60,
            "RoutesDigest": "cheap,dear",
            "Thresholds": None,
            "StatQueues": None,
        }
        capped = await ask(
            "SessionSv1.AuthorizeEvent", **argument, RoutesMaxCost="0.2", AttributeIDs=["NONE"]
        )
        assert capped["Attributes"] is None
        assert [each["RouteID"] for each in capped["Routes"]["SortedRoutes"]] == ["cheap"]
        one = await ask("SessionSv1.ProcessMessage", GetRoutes=True, Event=CALL, Limit=1, Offset=1)
        assert [each["RouteID"] for each in one["Routes"]["SortedRoutes"]] == ["dear"]
        nowhere = {**CALL, "Destination": "7"}
        refused = await ask("SessionSv1.AuthorizeEvent", GetRoutes=True, Event=nowhere)
        assert refused == "ROUTES_ERROR:NOT_FOUND"
        opened = await ask(
            "SessionSv1.InitiateSessionWithDigest", InitSession=True, GetAttributes=True, Event=CALL
        )
        assert opened == {
            "AttributesDigest": "Carrier:one",
            "ResourceAllocation": None,
            "MaxUsage": 60,
            "Thresholds": None,
            "StatQueues": None,
        }

    charging(tmp_path, script)


@pytest.mark.parametrize(
    ("method", "argument", "answer"),
    [
        ("AuthorizeEvent", {"Event": CALL}, "MANDATORY_IE_MISSING: [subsystems]"),
        ("UpdateSession", {"Event": CALL}, "MANDATORY_IE_MISSING: [subsystems]"),
        ("TerminateSession", {"Event": CALL}, "MANDATORY_IE_MISSING: [subsystems]"),
        ("ProcessMessage", {"Event": CALL}, "MANDATORY_IE_MISSING: [subsystems]"),
        ("ProcessEvent", {}, "MANDATORY_IE_MISSING: [CGREvent]"),
        ("AuthorizeEvent", {"GetMaxUsage": True}, "MANDATORY_IE_MISSING: [CGREvent]"),
        (
            "AuthorizeEvent",
            {"Event": CALL, "AuthorizeResources": True},
            "NOT_CONNECTED: ResourceS",
        ),
        (
            "InitiateSession",
            {"Event": CALL, "InitSession": True, "ProcessThresholds": True},
            "NOT_CONNECTED: ThresholdS",
        ),
        (
            "UpdateSession",
            {"Event": {"Usage": "much"}, "UpdateSession": True},
            "RALS_ERROR:Usage 'much' is no usage; write for example 60s, or nanoseconds",
        ),
        (
            "ProcessEvent",
            {"Event": CALL, "Flags": ["*stats", "*rals:*initiate"]},
            "NOT_CONNECTED: StatS",
        ),
        ("GetPassiveSessions", {}, "NOT_FOUND"),
        ("GetCost", {"Event": {**CALL, "Destination": "7"}}, "RALS_ERROR:UNAUTHORIZED_DESTINATION"),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_done(
    tmp_path: Path, method: str, argument: dict[str, object], answer: str
) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        assert await ask(f"SessionSv1.{method}", **argument) == answer
        assert await money(ask) == 1

    charging(tmp_path, script)


def test_an_event_by_its_flags(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        async def event(*flags: str, **fields: object) -> object:
            return await ask("SessionSv1.ProcessEvent", Flags=flags, Event={**CALL, **fields})

        await topped_up(ask, 1)
        empty = dict.fromkeys(
            (
                *("MaxUsage", "Cost", "ResourceAllocation", "Attributes", "Routes"),
                *("ThresholdIDs", "StatQueueIDs", "STIRIdentity"),
            )
        )
        assert await event() == empty
        assert await event("*rals:*authorize") == empty | {"MaxUsage": {"*raw": MINUTE}}
        priced = await event("*rals:*cost", "*rals:*derived_reply")
        assert priced == empty | {"Cost": {"*default": 0.1}}
        grant = await event("*rals:*initiate", "*rals:*derived_reply")
        assert grant == empty | {"MaxUsage": {"*default": MINUTE}}
        grant = await event("*rals:*update", LastUsed="30s")
        assert grant == empty | {"MaxUsage": {"*raw": MINUTE}}
        assert await event("*rals:*terminate", "*cdrs", Usage="45s") == empty
        [record] = await ask("CDRsV1.GetCDRs")
        assert record["Cost"] == 0.075
        found = await event("*attributes", "*routes:*maxcost:0.2", "*rals:*auth")
        assert isinstance(found, dict)
        assert found["Attributes"]["*raw"]["MatchedProfiles"] == ["PLUS"]
        assert [each["RouteID"] for each in found["Routes"]["*raw"]["SortedRoutes"]] == ["cheap"]
        assert found["MaxUsage"] == {"*raw": MINUTE}

    charging(tmp_path, script)


def test_flags() -> None:
    flags = Flags(["*attributes:*ids:A&B", "*rals:*init", "*rals:*cost", "*attributes:*ids:C"])
    assert flags.values("*attributes", "*ids") == ("A", "B", "C")
    assert flags.has("*rals", "*initiate", "*init")
    assert flags.has("*rals", "*cost")
    assert not flags.has("*routes", "*cost")
    assert "*rals" in flags
    assert "*routes" not in flags
    assert "*attributes" not in Flags(["*attributes:false"])


def test_what_an_event_costs(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        found = await ask("SessionSv1.GetCost", Event=CALL, Flags=["*attributes"])
        assert found["Attributes"]["MatchedProfiles"] == ["PLUS"]
        assert found["EventCost"]["Cost"] == 0.1
        assert (await ask("SessionSv1.GetCost", Event=CALL))["Attributes"] is None

    charging(tmp_path, script)


def test_open_sessions(tmp_path: Path) -> None:
    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 1)
        assert await ask("SessionSv1.GetActiveSessionsCount") == 0
        event = {**CALL, "DebitInterval": "10s", "Carrier": 7}
        await ask("SessionSv1.InitiateSession", InitSession=True, Event=event)
        second = {**EVENT, "OriginID": "call-2", "RequestType": "*postpaid", "Usage": "60s"}
        await ask("SessionSv1.InitiateSession", InitSession=True, Event=second)
        found = await ask("SessionSv1.GetActiveSessions", Filters=["*string:~*req.Carrier:7"])
        assert found == [
            {
                "CGRID": CGRID,
                "RunID": "*default",
                "ToR": "*voice",
                "OriginID": "call-1",
                "OriginHost": "switch",
                "Source": "SessionS_",
                "RequestType": "*prepaid",
                "Tenant": "cgrates.org",
                "Category": "call",
                "Account": "1001",
                "Subject": "1001",
                "Destination": "614",
                "SetupTime": "2026-01-05T12:00:00Z",
                "AnswerTime": "2026-01-05T12:00:00Z",
                "Usage": 10 * SECOND,
                "ExtraFields": {"DebitInterval": "10s", "Carrier": "7"},
                "NodeID": "",
                "LoopIndex": 0,
                "DurationIndex": 10 * SECOND,
                "MaxRate": 0,
                "MaxRateUnit": 0,
                "MaxCostSoFar": 0.0167,
                "DebitInterval": 10 * SECOND,
                "NextAutoDebit": "2026-01-05T12:00:10Z",
            }
        ]
        for filters, names in (
            ([], ["call-1", "call-2"]),
            ([f"*string:~*req.CGRID:{CGRID}"], ["call-1"]),
            (["*string:~*req.RunID:*default", "*string:~*req.RequestType:*postpaid"], ["call-2"]),
        ):
            found = await ask("SessionSv1.GetActiveSessions", Filters=filters)
            assert sorted(each["OriginID"] for each in found) == names
            count = await ask("SessionSv1.GetActiveSessionsCount", Filters=filters)
            assert count == len(names)
        assert len(await ask("SessionSv1.GetActiveSessions", Limit=1)) == 1
        assert await ask("SessionSv1.GetActiveSessions", Tenant="other.org") == "NOT_FOUND"
        assert await ask("SessionSv1.GetPassiveSessionsCount") == 0

    charging(tmp_path, script)
