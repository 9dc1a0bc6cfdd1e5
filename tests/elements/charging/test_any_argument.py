"""Whatever a method of rules is sent, it answers: a result, or an error in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.elements.charging.support import NOBODY
from tests.elements.charging.test_changes import ATTRIBUTES, CHARGER, FILTER, NOW, ROUTES
from tests.elements.charging.test_sessions import TARIFF

from trunkline.config.cgrates import ChargingRows
from trunkline.elements.charging.arguments import wire_names
from trunkline.elements.charging.caches import Caches
from trunkline.elements.charging.changes import Changes
from trunkline.elements.charging.engine import Engine
from trunkline.elements.charging.explain import Explain
from trunkline.elements.charging.profiles import ProfileMethods
from trunkline.elements.charging.registry import Registry, argument_of, names_of
from trunkline.elements.charging.rulebook import RuleBook
from trunkline.elements.charging.tariffs import Tariffs
from trunkline.jsonrpc import Call
from trunkline.store.ledger.book import Book

SERVICES = (Changes, Caches, Explain, ProfileMethods)
METHODS = sorted(set(names_of(*SERVICES)))
WORDS = st.sampled_from(
    [
        *("", "*any", "*none", "A", "*string:~*req.Account:1001", "*string:", "*rsr::~*req.A(~^1"),
        *("~*req.Account", "~*req.A:s/(/x/", "~*stats.X.*acd", "*req.A", "*req", "*tenant", "`"),
        *(
            "*constant",
            "*sum",
            "*lc",
            "*qos",
            "*load",
            "*regex",
            "(",
            "*ai",
            "2024-01-01T00:00:00Z",
        ),
        *("*constant:*req.A:b", "cgrates.org", "1001", "\x00", "*remove", "~*req.<~*req.A>.b"),
    ]
)
SCALARS = (
    WORDS
    | st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(float)
    | st.text(max_size=5)
)
NAMES = sorted(
    {
        *("Type", "Element", "Values", "Rules", "Path", "Value", "ActivationTime", "ExpiryTime"),
        *("Account", "Destination", "SetupTime", "Usage", "*processRuns", "RatingPlanIDs"),
        *(
            name
            for method in METHODS
            if (argument := argument_of(method, *SERVICES)) is not None
            for name in wire_names(argument)
        ),
    }
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
ARGUMENTS = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=6) | st.builds(
    lambda good, more: {**good, **more},
    st.sampled_from([FILTER, ATTRIBUTES, CHARGER, ROUTES]),
    st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=2),
)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.run_until_complete(made.shutdown_default_executor())
    made.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder: Path = tmp_path_factory.mktemp("any")
    tariffs = Tariffs(TARIFF)
    book = Book(f"sqlite:///{folder}/ledger.db")
    engine = Engine(tariffs, book, RuleBook(ChargingRows(), tariffs), lambda: NOW)
    return Registry(Changes(engine), Caches(engine), Explain(engine), ProfileMethods(engine))


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(method=st.sampled_from(METHODS), argument=ARGUMENTS | ANYTHING)
def test_any_argument_has_an_answer(
    registry: Registry, loop: asyncio.AbstractEventLoop, method: str, argument: object
) -> None:
    sent = json.loads(json.dumps(argument), parse_float=Decimal)  # as the codec reads it

    async def ask() -> str:
        found = registry(Call(method, sent, id=1), NOBODY)
        return found if isinstance(found, str) else await found

    answer = json.loads(loop.run_until_complete(ask()))
    assert (answer["error"] is None) or (answer["result"] is None and answer["error"])
