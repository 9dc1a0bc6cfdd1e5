"""What is set by API, in each kind of database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

import pytest
from tests.store.servers import SqlServer

from trunkline.errors import TrunklineError
from trunkline.store.rules import Entry, RuleKey, RuleStore, Writing

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

        async def first(writing: Writing) -> None:
            assert writing.generation == start + 1
            await writing.put(KEY, ONE)
            await writing.put(OTHER, ALIKE)

        async def second(writing: Writing) -> None:
            assert await writing.read() == {KEY: ONE, OTHER: ALIKE}
            await writing.put(KEY, GONE)

        await store.change(first)
        await other.change(second)
        assert await store.read() == (start + 2, {KEY: GONE, OTHER: ALIKE})

    with_store(url, script)


def test_what_is_refused_changes_nothing(url: str) -> None:
    async def script(store: RuleStore, other: RuleStore) -> None:
        before = await store.read()

        async def refused(writing: Writing) -> None:
            await writing.put(KEY, ONE)
            raise TrunklineError("test.no", "no")

        with pytest.raises(TrunklineError, match="no"):
            await store.change(refused)
        assert await other.read() == before

    with_store(url, script)


def test_of_two_that_change_something_the_second_sees_what_the_first_wrote(url: str) -> None:
    async def script(store: RuleStore, other: RuleStore) -> None:
        async def longer(writing: Writing) -> None:
            text = (await writing.read())[KEY].text
            await writing.put(KEY, Entry(text + "x", 1))

        async def add(to: RuleStore) -> None:
            for _ in range(5):
                await to.change(longer)

        await store.change(lambda writing: writing.put(KEY, GONE))
        await asyncio.gather(add(store), add(other))
        assert (await store.read())[1][KEY].text == "x" * 10

    with_store(url, script)


def test_a_database_that_is_not_there() -> None:
    async def main() -> None:
        store = RuleStore("postgresql://u:secret@127.0.0.1:1/rules")
        with pytest.raises(TrunklineError, match="check that it exists") as caught:
            await store.prepare()
        assert caught.value.code == "store.unavailable"
        assert "u:***@127.0.0.1" in caught.value.message
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_server_that_goes_and_comes_back(kind: str, request: pytest.FixtureRequest) -> None:
    server: SqlServer = request.getfixturevalue(kind)

    async def main() -> None:
        store = RuleStore(server.url, timeout=2.0)
        await store.prepare()
        await store.change(lambda writing: writing.put(KEY, Entry("kept", 1)))
        before = await store.generation()
        server.kill()
        with pytest.raises(TrunklineError, match="stored rules") as caught:
            await store.generation()
        assert caught.value.code == "store.unavailable"
        server.start()
        generation, entries = await store.read()
        assert (generation, entries[KEY]) == (before, Entry("kept", 1))
        server.pause()
        start = time.monotonic()
        try:
            with pytest.raises(TrunklineError, match="no answer"):
                await store.read()
        finally:
            server.resume()
        assert time.monotonic() - start < 4
        assert await store.generation() == before
        await store.close()

    asyncio.run(main())
