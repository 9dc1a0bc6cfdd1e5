"""The location service in SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from tests.store.location import contract
from tests.store.location.contract import ALICE, NOW, binding, setting

from trunkline.errors import DecodeError, TrunklineError
from trunkline.net.loop import new_event_loop
from trunkline.store.location import Count
from trunkline.store.location.sql import SqlLocation
from trunkline.store.sql import Sql

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


@asynccontextmanager
async def fresh(url: str, limit: int = 1_000_000) -> AsyncIterator[SqlLocation]:
    sql = Sql("Location", url, timeout=20)
    for table in ("location", "location_count"):
        await sql.execute(f"DROP TABLE IF EXISTS {table}")
    store = SqlLocation(sql, limit=limit)
    await store.prepare()
    try:
        yield store
    finally:
        await sql.close()


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(url: str, check: contract.Check) -> None:
    async def script() -> None:
        async with fresh(url) as store:
            await check(store)

    run(script())


def test_two_nodes_lose_nothing(url: str) -> None:
    async def script() -> None:
        async with fresh(url) as one:
            sql = Sql("Other", url, timeout=20)
            two = SqlLocation(sql)
            await asyncio.gather(two.prepare(), one.prepare())
            await contract.racing(one, two)
            assert one.conflicts + two.conflicts > 0, "they did not meet"
            await sql.close()

    run(script())


def test_it_is_bounded(url: str) -> None:
    async def script() -> None:
        async with fresh(url, limit=2) as store:
            await contract.fills_up(store)
            assert store.refused == 1

    run(script())


def test_users_differ_by_the_case_of_their_names(url: str) -> None:
    async def script() -> None:
        async with fresh(url) as store:
            await store.update("sip:Alice@h", setting(binding("sip:upper@1")))
            await store.update("sip:alice@h", setting(binding("sip:lower@1")))
            found = await store.get("sip:Alice@h", NOW)
            assert [b.contact for b in found] == ["sip:upper@1"]
            assert await store.count() == Count(2, 2)

    run(script())


def test_any_name_is_a_key(url: str) -> None:
    async def script() -> None:
        async with fresh(url) as store:
            names = ["sip:é\udcff\0%41@h", "sip:' OR 1=1 --@h", "sip:%C3@h", "sip:" + "é" * 120]
            for name in names:
                await store.update(name, setting(binding(f"sip:{len(name)}@1")))
            assert {aor async for aor, _ in store.every(NOW)} == set(names)

    run(script())


def test_what_somebody_else_wrote_is_told_and_does_not_stop_expiry(url: str) -> None:
    async def script() -> None:
        async with fresh(url) as store:
            await store.update(ALICE, setting(binding()))
            await store._sql.execute("UPDATE location SET bindings = 'hello', ends = 0")
            with pytest.raises(DecodeError) as caught:
                await store.get(ALICE, NOW)
            assert caught.value.code == "sip.binding"
            assert await store.expire(NOW) == []
            assert store.damaged == 1
            assert await store.get(ALICE, NOW) == ()

    run(script())


def test_a_statement_refused_twice_is_an_error(tmp_path: Path) -> None:
    async def script() -> None:
        async with fresh(f"sqlite:///{tmp_path}/location.db") as store:
            await store._sql.execute("DROP TABLE location_count")
            with pytest.raises(TrunklineError) as caught:
                await store.update(ALICE, setting(binding()))
            assert caught.value.code == "store.sql-statement"
            assert store.conflicts == 1
            assert await store.get(ALICE, NOW) == ()

    run(script())


@pytest.mark.parametrize("table", ["", "a b", "x;DROP TABLE y", "1st"])
def test_a_table_has_a_name(table: str) -> None:
    with pytest.raises(TrunklineError) as caught:
        SqlLocation(Sql("Location", "sqlite://"), table=table)
    assert caught.value.code == "store.location-table"
