"""Named Redis servers: against a real one, one that dies, one that hangs, and none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.servers import RedisServer, free_port, redis_server

from trunkline.errors import TrunklineError
from trunkline.net.loop import new_event_loop
from trunkline.store.breaker import State
from trunkline.store.guard import StoreUnavailable
from trunkline.store.keyvalue import KeyValue, Memory, Value, Word
from trunkline.store.redis import Redis

_T = TypeVar("_T")


def run(work: Coroutine[None, None, _T]) -> _T:
    return asyncio.run(work)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def test_the_seeds_commands(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("MyRedisServer", server.url)
        assert isinstance(redis, KeyValue)
        assert await redis.command("SET foo bar") == "OK"
        assert await redis.command("GET", "foo") == "bar"
        assert await redis.command("SET", "192.0.2.7", "good morning") == "OK"
        assert await redis.get("192.0.2.7") == "good morning"
        assert await redis.command("EXPIRE", "192.0.2.7", 120) == 1
        assert await redis.command("TTL", "192.0.2.7") == 120
        assert await redis.command("GET", "nothing") is None
        assert await redis.command("INCR", "n") == 1
        assert await redis.command("MGET", "n", "nothing", "foo") == ["1", None, "bar"]
        assert await redis.command("HSET", "hash", "field", "a b") == 1
        assert await redis.command("HGETALL", "hash") == ["field", "a b"]
        with pytest.raises(TrunklineError, match=r"redis\.MyRedisServer: INCR was refused: ") as no:
            await redis.command("INCR", "foo")
        assert no.value.code == "store.refused"
        with pytest.raises(TypeError, match="text, numbers and bytes"):
            await redis.command("SET", "foo", None)  # type: ignore[arg-type]
        assert redis.counters.failed == 0
        assert redis.counters.in_flight == 0
        await redis.close()
        assert await redis.get("foo") == "bar", "another command connects again"
        await redis.close()

    run(script())


def test_the_short_forms(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url)
        await redis.set("mark", 7, expire=0.15)
        assert await redis.get("mark") == "7"
        left = await redis.ttl("mark")
        assert left is not None
        assert 0 < left <= 0.15
        assert [await redis.incr("count", expire=60) for _ in range(3)] == [1, 2, 3]
        assert await redis.incr("count", 5) == 8
        left = await redis.ttl("count")
        assert left is not None
        assert 59 < left <= 60
        assert await redis.expire("count", 0.1)
        assert not await redis.expire("nobody", 1)
        await asyncio.sleep(0.2)
        assert await redis.get("mark") is None
        assert await redis.incr("count") == 1
        assert await redis.ttl("count") is None
        assert await redis.delete("count", "nobody") == 1
        assert await redis.delete() == 0
        await redis.close()

    run(script())


_KEY = st.sampled_from("abc")
_VALUE = st.sampled_from(["1", "-7", "007", "word", "two words", "", "9223372036854775807"])
_SIMPLE = st.one_of(
    st.tuples(st.just("GET"), _KEY),
    st.tuples(st.just("SET"), _KEY, _VALUE),
    st.tuples(st.just("SET"), _KEY, _VALUE, st.sampled_from(["NX", "XX", "nx", "no"])),
    st.tuples(st.just("SET"), _KEY, _VALUE, st.just("EX"), st.sampled_from(["50", "0", "-1", "x"])),
    st.tuples(st.sampled_from(["INCR", "DECR", "PERSIST", "TTL"]), _KEY),
    st.tuples(st.just("INCRBY"), _KEY, _VALUE),
    st.tuples(st.just("EXPIRE"), _KEY, st.sampled_from(["90", "0", "-5", "soon"])),
    st.tuples(st.sampled_from(["DEL", "EXISTS"]), _KEY, _KEY),
    st.tuples(st.sampled_from(["GET", "SET", "TTL", "INCRBY", "DEL"])),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(commands=st.lists(_SIMPLE, max_size=25))
def test_memory_answers_as_redis_does(shared: RedisServer, commands: list[tuple[str, ...]]) -> None:
    async def answer(store: KeyValue, words: tuple[Word, ...]) -> Value:
        try:
            return await store.command(*words)
        except TrunklineError as refused:
            return [refused.code]

    async def script() -> None:
        redis = Redis("r", shared.url, timeout=5)
        memory = Memory(lambda: 0.0)
        await redis.command("FLUSHALL")
        for words in commands:
            assert await answer(memory, words) == await answer(redis, words), words
        await redis.close()

    run(script())


def test_octets_that_are_no_text_come_back(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url)
        await redis.command("SET", b"\xff", b"a\xfe")
        value = await redis.command("GET", b"\xff")
        assert isinstance(value, str)
        assert value.encode("utf-8", "surrogateescape") == b"a\xfe"
        await redis.close()

    run(script())


def test_errors_within_a_transaction_are_text(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url)
        script_ = "return {redis.pcall('LPUSH', 'l', 'x'), redis.pcall('GET', 'l')}"
        answer = await redis.command("EVAL", script_, 0)
        assert isinstance(answer, list)
        assert answer[0] == 1
        assert isinstance(answer[1], str)
        assert "WRONGTYPE" in answer[1]
        await redis.close()

    run(script())


def test_without_a_server_every_command_says_so_and_soon_at_once() -> None:
    async def script() -> None:
        port = free_port()
        redis = Redis("Flood", f"redis://user:secret@127.0.0.1:{port}", pause=60)
        for _ in range(5):
            with pytest.raises(StoreUnavailable) as refused:
                await redis.get("x")
            assert refused.value.code == "store.redis-unavailable"
            assert "redis.Flood" in refused.value.message
            assert f"user:***@127.0.0.1:{port}" in refused.value.message
            assert "Connection refused" in refused.value.message
            assert "secret" not in refused.value.message
        assert redis.counters.state is State.OPEN
        start = time.perf_counter()
        for _ in range(1000):
            with pytest.raises(StoreUnavailable, match=r"left alone for now \(Connection refused"):
                await redis.get("x")
        assert time.perf_counter() - start < 1
        assert redis.counters.calls == redis.counters.failed == 5
        assert redis.counters.refused == 1000
        await redis.close()

    run(script())


def test_killed_under_load_and_started_again(server: RedisServer) -> None:
    """Commands go on failing fast and clearly, and work again without anybody's doing."""

    async def script() -> None:
        redis = Redis("r", server.url, timeout=0.5, pause=0.1)
        outcomes: list[tuple[float, float, str]] = []  # when, how long, what
        going = True
        loop = asyncio.get_running_loop()

        async def caller(number: int) -> None:
            while going:
                start = loop.time()
                try:
                    await redis.incr(f"count{number % 7}", expire=60)
                    what = "ok"
                except StoreUnavailable as problem:
                    what = problem.code
                outcomes.append((start, loop.time() - start, what))
                await asyncio.sleep(0.002)

        callers = [asyncio.create_task(caller(number)) for number in range(40)]
        await asyncio.sleep(0.3)
        server.kill()
        killed = loop.time()
        await asyncio.sleep(0.6)
        failing = [o for o in outcomes if o[0] > killed]
        assert len(failing) > 1000
        assert all(what == "store.redis-unavailable" for _, _, what in failing)
        assert sum(took for _, took, _ in failing) / len(failing) < 0.01
        assert max(took for _, took, _ in outcomes) < 0.6
        server.start()  # here, not in a thread: a loop that forks in one may miss its end
        started = loop.time()
        await asyncio.sleep(0.5)
        going = False
        await asyncio.gather(*callers)
        late = [what for when, _, what in outcomes if when > started + 0.3]
        assert len(late) > 100
        assert set(late) == {"ok"}
        assert redis.counters.state is State.CLOSED
        assert redis.counters.opened >= 1
        assert redis.counters.in_flight == 0
        await redis.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:  # the loop that nodes have
        runner.run(script())


def test_one_that_hangs_costs_its_time_and_answers_of_old_are_not_taken(
    server: RedisServer,
) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=0.1, failures=3, pause=0.1, connections=2)
        await redis.set("a", "1")
        await redis.set("b", "2")
        server.pause()
        start = time.perf_counter()
        answers = await asyncio.gather(*(redis.get("a") for _ in range(20)), return_exceptions=True)
        assert time.perf_counter() - start < 1
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        assert any("no answer in 0.1 s" in str(answer) for answer in answers)
        assert redis.counters.state is State.OPEN
        server.resume()
        await asyncio.sleep(0.15)
        for _ in range(20):
            assert await redis.get("b") == "2"
            assert await redis.get("a") == "1"
        await redis.close()

    run(script())


def test_commands_at_once_are_bounded(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=5, connections=2, in_flight=10)
        answers = await asyncio.gather(
            *(redis.incr("n") for _ in range(25)), return_exceptions=True
        )
        assert sorted(answer for answer in answers if isinstance(answer, int)) == [*range(1, 11)]
        busy = [answer for answer in answers if isinstance(answer, StoreUnavailable)]
        assert len(busy) == 15
        assert all("10 calls are under way" in problem.message for problem in busy)
        assert redis.counters.busy == 15
        assert redis.counters.state is State.CLOSED
        assert await redis.command("INFO", "clients") is not None
        await redis.close()

    run(script())


def test_a_cancelled_command_leaves_nothing_behind(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url, timeout=5, connections=1)
        await redis.set("a", "1")
        await redis.set("b", "2")
        server.pause()
        waiting = [asyncio.create_task(redis.get("a")) for _ in range(3)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        server.resume()
        assert redis.counters.in_flight == 0
        assert await redis.get("b") == "2"
        await redis.close()

    run(script())


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1", "http://127.0.0.1", "redis://127.0.0.1:x", "redis://[::1", "redis://h:99999"],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(TrunklineError, match=r"redis\.r: ") as refused:
        Redis("r", url)
    assert refused.value.code == "store.redis-url"


def test_options_that_would_change_what_a_command_answers_are_refused() -> None:
    Redis("r", "redis://127.0.0.1/3?db=2")
    with pytest.raises(TrunklineError, match="'decode_responses'"):
        Redis("r", "redis://127.0.0.1?decode_responses=no")


def test_a_wrong_password_is_told(server: RedisServer) -> None:
    async def script() -> None:
        redis = Redis("r", server.url.replace("//", "//:wrong@"))
        with pytest.raises(TrunklineError) as refused:
            await redis.get("x")
        assert "wrong" not in refused.value.message.replace("WRONGPASS", "")
        assert "AUTH" in refused.value.message
        await redis.close()

    run(script())
