"""What is set by API, in each kind of database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from trunkline.errors import TrunklineError
from trunkline.store.rules import Entry, RuleKey, RuleStore

KEY = RuleKey("Filters", "cgrates.org", "FLTR")
OTHER = RuleKey("Filters", "cgrates.org", "fltr ")
ONE, ALIKE, GONE = Entry("one", 1), Entry("by case and blanks", 2), Entry("", 3)


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
            await writing.put(KEY, ONE)
            await writing.put(OTHER, ALIKE)
        async with other.change() as writing:
            assert await writing.read() == {KEY: ONE, OTHER: ALIKE}
            await writing.put(KEY, GONE)
        assert await store.read() == (start + 2, {KEY: GONE, OTHER: ALIKE})

    with_store(url, script)


def test_what_is_refused_changes_nothing(url: str) -> None:
    async def script(store: RuleStore, other: RuleStore) -> None:
        before = await store.read()

        async def refused() -> None:
            async with store.change() as writing:
                await writing.put(KEY, ONE)
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
                    text = (await writing.read())[KEY].text
                    await writing.put(KEY, Entry(text + "x", 1))

        async with store.change() as writing:
            await writing.put(KEY, GONE)
        await asyncio.gather(add(store), add(other))
        assert (await store.read())[1][KEY].text == "x" * 10

    with_store(url, script)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        store = RuleStore(f"sqlite:///{tmp_path}/absent/rules.db")
        with pytest.raises(TrunklineError, match="check that it exists") as caught:
            await store.prepare()
        assert caught.value.code == "store.unavailable"
        await store.close()

    asyncio.run(main())
