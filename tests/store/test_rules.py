"""What is set by API, in each kind of database, and what a load of a tariff takes of it away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from trunkline.charging.rows import ChargingRows, TariffPlan
from trunkline.errors import TrunklineError
from trunkline.rating.tariff import Tariff
from trunkline.store.rules import RuleKey, RuleStore, forget, key_of_row
from trunkline.store.tariffs import TariffStore

KEY = RuleKey("Filters", "cgrates.org", "FLTR")
OTHER = RuleKey("Filters", "cgrates.org", "fltr ")


def with_store(
    url: str, script: Callable[[RuleStore, RuleStore], Coroutine[None, None, None]]
) -> None:
    """Run a script with two nodes' stores at one database."""

    async def main() -> None:
        stores = RuleStore(url), RuleStore(url)
        try:
            await asyncio.gather(*(each.prepare() for each in stores))
            await script(*stores)
        finally:
            for each in stores:
                await each.close()

    asyncio.run(main())


def test_what_is_set_is_read(url: str) -> None:
    async def script(store: RuleStore, other: RuleStore) -> None:
        start = await store.generation()
        async with store.change() as writing:
            assert writing.generation == start + 1
            await writing.put(KEY, "one")
            await writing.put(OTHER, "by case and blanks")
        async with other.change() as writing:
            assert await writing.read() == {KEY: "one", OTHER: "by case and blanks"}
            await writing.put(KEY, "")
            await writing.forget([OTHER])
        assert await store.read() == (start + 2, {KEY: ""})
        async with store.change() as writing:
            await writing.forget([KEY])
        assert await other.read() == (start + 3, {})

    with_store(url, script)


def test_what_is_refused_changes_nothing(url: str) -> None:
    async def script(store: RuleStore, other: RuleStore) -> None:
        before = await store.read()

        async def refused() -> None:
            async with store.change() as writing:
                await writing.put(KEY, "one")
                raise TrunklineError("test.no", "no")

        with pytest.raises(TrunklineError, match="no"):
            await refused()
        assert await other.read() == before

    with_store(url, script)


def test_of_two_that_change_something_the_second_sees_what_the_first_wrote(url: str) -> None:
    async def script(store: RuleStore, other: RuleStore) -> None:
        async def add(to: RuleStore) -> None:
            for _ in range(5):
                async with to.change() as writing:
                    text = (await writing.read()).get(KEY, "")
                    await writing.put(KEY, text + "x")

        await asyncio.gather(add(store), add(other))
        async with store.change() as writing:
            assert await writing.read() == {KEY: "x" * 10}
            await writing.forget([KEY])

    with_store(url, script)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        store = RuleStore(f"sqlite:///{tmp_path}/absent/rules.db")
        with pytest.raises(TrunklineError, match="check that it exists") as caught:
            await store.prepare()
        assert caught.value.code == "store.unavailable"
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "row", "key"),
    [
        ("Filters", "cgrates.org , FLTR,*string,~*req.A,1,", KEY),
        ("Suppliers", "cgrates.org,LC,,,,,,,,,,,,,,", RuleKey("Routes", "cgrates.org", "LC")),
        ("Actions", '"A,B",*log,,,,,,,,,,,,,,,', RuleKey("Actions", "", "A,B")),
        ("Rates", "R,0,1,60s,60s,0s", None),
    ],
)
def test_whose_a_row_is(kind: str, row: str, key: RuleKey | None) -> None:
    assert key_of_row(kind, row) == key


def test_a_load_takes_away_what_it_brings_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tariffs.sqlite"
    tariff = Tariff.build(
        destinations=(), rates=(), destination_rates=(), rating_plans=(), rating_profiles=()
    )
    plan = TariffPlan(tariff, ChargingRows())

    def read(sink: Callable[[list[tuple[str, str, int, str]]], None]) -> TariffPlan:
        sink([("Filters", "Filters.csv", 1, "cgrates.org,FLTR,*string,~*req.A,1,")])
        return plan

    async def script(store: RuleStore, _: RuleStore) -> None:
        async with store.change() as writing:
            await writing.put(KEY, "old")
            await writing.put(OTHER, "stays")
        tariffs = TariffStore(url, lambda *_: plan)
        try:
            await asyncio.to_thread(tariffs.load, read, name="x")
        finally:
            tariffs.close()
        assert (await store.read()) == (2, {OTHER: "stays"})

    with_store(url, script)


def test_many_are_taken_away_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/rules.sqlite"

    async def script(store: RuleStore, _: RuleStore) -> None:
        keys = [RuleKey("Actions", "", str(number)) for number in range(1200)]
        async with store.change() as writing:
            for key in keys:
                await writing.put(key, "x")
        engine = create_engine(url)
        with engine.begin() as connection:
            forget(connection, keys[:-1])
        engine.dispose()
        assert await store.read() == (2, {keys[-1]: "x"})

    with_store(url, script)
