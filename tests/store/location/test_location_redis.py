"""The location service in a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import TypeVar

import pytest
from tests.store.location import contract
from tests.store.location.contract import ALICE, NOW, adding, binding, setting
from tests.store.servers import RedisServer, redis_server

from trunkline.errors import DecodeError, TrunklineError
from trunkline.net.loop import new_event_loop
from trunkline.sip.binding import Bindings
from trunkline.store.guard import StoreUnavailable
from trunkline.store.location import Count
from trunkline.store.location.redis import GRACE, RedisLocation
from trunkline.store.redis import Redis

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_contract(server: RedisServer, check: contract.Check) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=5)
        await redis.command("FLUSHALL")
        await check(RedisLocation(redis))
        await redis.close()

    run(script())


def test_two_nodes_lose_nothing(server: RedisServer) -> None:
    async def script() -> None:
        nodes = [Redis(name, server.url, timeout=5) for name in ("one", "two")]
        await nodes[0].command("FLUSHALL")
        one, two = map(RedisLocation, nodes)
        await contract.racing(one, two)
        assert one.conflicts + two.conflicts > 0, "they did not meet"
        for node in nodes:
            await node.close()

    run(script())


def test_it_is_bounded(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=5)
        await redis.command("FLUSHALL")
        store = RedisLocation(redis, limit=2)
        await contract.fills_up(store)
        assert store.refused == 1
        await redis.close()

    run(script())


def test_values_go_by_themselves_and_the_counts_follow(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=5)
        await redis.command("FLUSHALL")
        store = RedisLocation(redis, prefix="p")
        await store.update(ALICE, setting(binding(), binding("sip:a@2", 300)))
        goes = await redis.command("PEXPIRETIME", f"p:aor:{ALICE}")
        if goes is not None:
            assert goes == int((NOW + 300 + GRACE) * 1000)
        await redis.delete(f"p:aor:{ALICE}")  # as when its time has come
        assert await store.get(ALICE, NOW) == ()
        assert await store.count() == Count(1, 2)
        assert await store.expire(NOW + 100) == []
        assert await store.count() == Count(0, 0)
        assert await redis.command("KEYS", "p:*") == ["p:contacts"]
        await redis.close()

    run(script())


def test_an_update_that_others_always_precede_gives_up(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=5)
        await redis.command("FLUSHALL")
        store = RedisLocation(redis)
        tries = 0

        def compute(old: Bindings) -> tuple[Bindings | None, None]:
            nonlocal tries
            tries += 1
            return (binding(),), None

        async def meddle(aor: str, old: str, new: Bindings) -> tuple[bool, str]:
            return False, ""

        store._swap = meddle  # type: ignore[method-assign]
        with pytest.raises(TrunklineError) as caught:
            await store.update(ALICE, compute)
        assert caught.value.code == "store.location-conflict"
        assert tries == store.conflicts == 50
        await redis.close()

    run(script())


def test_what_somebody_else_wrote_is_told(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=5)
        await redis.command("FLUSHALL")
        store = RedisLocation(redis, prefix="p")
        await redis.set(f"p:aor:{ALICE}", "hello")
        with pytest.raises(DecodeError) as caught:
            await store.get(ALICE, NOW)
        assert caught.value.code == "sip.binding"
        await redis.command("ZADD", "p:ends", NOW, ALICE)
        assert await store.expire(NOW) == []
        assert (store.damaged, await store.count()) == (1, Count(0, 0))
        assert await store.get(ALICE, NOW) == ()
        # Nor does an entry at a wrong time keep expiry from its end.
        await store.update(ALICE, setting(binding()))
        await redis.command("ZADD", "p:ends", NOW, ALICE)
        assert await store.expire(NOW) == []
        assert len(await store.expire(NOW + 100)) == 1
        await redis.close()

    run(script())


def test_a_server_that_is_gone_is_told_and_found_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def script(running: RedisServer) -> None:
        redis = Redis("r", running.url, pause=0.05)
        store = RedisLocation(redis)
        await store.update(ALICE, adding(binding()))
        running.stop()
        with pytest.raises(StoreUnavailable):
            await store.update(ALICE, adding(binding("sip:a@2")))
        running.start()
        for _ in range(100):
            with suppress(StoreUnavailable):
                await store.update(ALICE, setting(binding("sip:a@3")))
                break
            await asyncio.sleep(0.05)
        assert [b.contact for b in await store.get(ALICE, NOW)] == ["sip:a@3"]
        await redis.close()

    with redis_server(tmp_path_factory.mktemp("mortal")) as running:
        run(script(running))
