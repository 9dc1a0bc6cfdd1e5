"""Records that no switch in its right mind sends: refused whole, or stored and found again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.test_sessions import EVENT, Ask, charging, topped_up

from trunkline.charging.event import Event, EventError
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.recorder import Recorder

USED = {**EVENT, "RequestType": "*postpaid", "Usage": "60s"}


@pytest.mark.parametrize(
    "more",
    [
        {"Usage": 2**63},
        {"Usage": -(2**63) - 1},
        {"Usage": Decimal("1e999999999")},
        {"Usage": Decimal("NaN")},
        {"Usage": float("inf")},
        {"OriginID": "a\ud800"},
        {"OriginHost": "\ud800"},
        {"CGRID": "\ud800"},
        {"OriginID": "a\0b"},
        {"OriginID": "a" * 256},
        {"Source": "\ud800"},
        {"Source": "a\0b"},
        {"Source": "a" * 256},
        {"Destination": "6" * 256},
        {"Subject": "a" * 256},
        {"Category": "a" * 256},
        {"ToR": "a" * 256},
        {"PreRated": True, "Cost": "NaN"},
        {"PreRated": True, "Cost": "-Infinity"},
    ],
)
def test_what_no_ledger_takes_is_refused_as_a_bad_field(
    tmp_path: Path, more: dict[str, object]
) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        with pytest.raises(EventError) as found:
            await Recorder(engine).record(Event(tenant="cgrates.org", fields={**USED, **more}))
        assert found.value.code == "charging.field"
        assert await ask("CDRsV1.GetCDRsCount") == 0
        assert await ask("CDRsV1.GetCDRs") == "SERVER_ERROR: NOT_FOUND"

    charging(tmp_path, script)


def test_what_is_large_and_odd_is_kept(tmp_path: Path) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        fields = {f"F{number}": "x" * 10 for number in range(10_000)}
        odd = {**USED, **fields, "Note": "\ud800\0", "PreRated": True, "Cost": "-7.5"}
        assert await ask("CDRsV1.ProcessEvent", Event=odd) == "OK"
        assert await ask("CDRsV1.ProcessEvent", Event={**USED, "Usage": "90s"}) == "OK"
        [record] = await ask("CDRsV1.GetCDRs")
        assert (record["Usage"], record["Cost"]) == (60 * 10**9, -7.5), "the first one counts"
        assert len(record["ExtraFields"]) >= 10_001
        assert record["ExtraFields"]["Note"] == "\ufffd\0"

    charging(tmp_path, script)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"Limit": -1}, "NOT_FOUND"),
        ({"Limit": 0}, "NOT_FOUND"),
        ({"Offset": -1}, 1),
        ({"OrderBy": "OrderID;DESC"}, 1),
        ({"OrderBy": "order_id; DROP TABLE ledger_records"}, "Invalid value"),
        ({"Costs": [1e308]}, "NOT_FOUND"),
        ({"MinCost": 1e300}, "NOT_FOUND"),
        ({"MaxCost": 1e300}, 1),
        ({"ExtraArgs": {"MinCost": "NaN"}}, "MinCost 'NaN' is no number"),
        ({"ExtraArgs": {"MaxCost": "Infinity"}}, "MaxCost 'Infinity' is no number"),
        ({"ExtraArgs": {"OrderIDStart": "1e999999999"}}, "is no number"),
        ({"ExtraArgs": {"OrderIDEnd": "9223372036854775808"}}, 1),
        ({"MinUsage": "-5s"}, 1),
        ({"Accounts": ["'; DROP TABLE ledger_records; --"]}, "NOT_FOUND"),
        ({"Accounts": ["\ud800"]}, "NOT_FOUND"),
        ({"Accounts": ["\0"]}, "NOT_FOUND"),
        ({"NotAccounts": ["\ud800"]}, 1),
        ({"DestinationPrefixes": ["%"]}, "NOT_FOUND"),
        ({"DestinationPrefixes": ["\ud800"]}, "NOT_FOUND"),
        ({"DestinationPrefixes": [""]}, 1),
        ({"NotDestinationPrefixes": ["_"]}, 1),
        ({"ExtraFields": {"a'b": "x"}}, "NOT_FOUND"),
        ({"ExtraFields": {"Note": "\ud800"}}, "NOT_FOUND"),
        ({"CGRIDs": ["x"] * 40_000}, "NOT_FOUND"),
    ],
)
def test_filters_with_odd_values(tmp_path: Path, asked: dict[str, object], answer: object) -> None:
    async def script(ask: Ask, engine: Engine) -> None:
        await topped_up(ask, 100)
        assert await ask("CDRsV1.ProcessEvent", Event=USED) == "OK"
        found = await ask("CDRsV1.GetCDRs", **asked)
        if isinstance(answer, int):
            assert len(found) == answer
        else:
            assert str(answer) in found

    charging(tmp_path, script)
