"""No event, however odd, makes a method fail otherwise than by an answer."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest
from tests.elements.charging.test_sessions import EVENT, Ask, charging, money, topped_up

from trunkline.elements.charging.engine import Engine

METHODS: dict[str, dict[str, object]] = {
    "AuthorizeEvent": {"GetMaxUsage": True, "GetRoutes": True, "GetAttributes": True},
    "AuthorizeEventWithDigest": {"GetMaxUsage": True, "GetAttributes": True},
    "InitiateSession": {"InitSession": True},
    "InitiateSessionWithDigest": {"InitSession": True, "GetAttributes": True},
    "UpdateSession": {"UpdateSession": True},
    "TerminateSession": {"TerminateSession": True},
    "ProcessMessage": {"Debit": True, "GetRoutes": True},
    "ProcessEvent": {"Flags": ["*attributes", "*routes", "*rals:*initiate", "*rals:*cost"]},
    "GetCost": {"Flags": ["*attributes"]},
    "GetActiveSessions": {},
    "ForceDisconnect": {},
}
ODD: list[object] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1 << 62,
        -(1 << 70),
        1.5,
        1e300,
        -1e-300,
        "",
        " ",
        "0",
        "-1s",
        "1e9",
    ),
    *(
        "*now",
        "+1h",
        "9999-12-31T23:59:59Z",
        "0000-00-00",
        "\x00",
        "x" * 300,
        "ä€",
        "\ufffd",
        "*any",
    ),
    *(
        [],
        [1],
        {},
        {"a": [{}]},
        "*prepaid",
        "*postpaid",
        "*none",
        "*data",
        "*monetary",
        "1001",
        "614",
    ),
]
FIELDS = [*EVENT, "Usage", "LastUsed", "DebitInterval", "CGRDebitInterval", "SetupTime", "Subject"]


@pytest.mark.parametrize("seed", range(6))
def test_odd_events(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)

    async def script(ask: Ask, _: Engine) -> None:
        await topped_up(ask, 5)
        for _again in range(60):
            method = dice.choice(list(METHODS))
            event = {**EVENT, "OriginID": f"c{dice.randint(0, 3)}", "Usage": "10s"}
            for _field in range(dice.randint(0, 3)):
                event[dice.choice(FIELDS)] = dice.choice(ODD)
            more = {
                name: dice.choice(ODD) for name in ("Tenant", "ID", "Time") if dice.random() < 0.1
            }
            opts = {"*debitInterval": dice.choice(ODD)} if dice.random() < 0.1 else {}
            found = await ask(
                f"SessionSv1.{method}", **METHODS[method], Event=event, APIOpts=opts, **more
            )
            assert isinstance(found, str | dict | list), (method, event, more)
        assert isinstance(await money(ask), Decimal)

    charging(tmp_path, script)
