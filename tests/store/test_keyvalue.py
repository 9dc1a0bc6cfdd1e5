"""Values in memory, on a clock that is told the time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import TrunklineError
from trunkline.store.keyvalue import COMMANDS, KeyValue, Memory, Word

_T = TypeVar("_T")


def run(work: Coroutine[None, None, _T]) -> _T:
    return asyncio.run(work)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Memory:
    return Memory(clock, limit=3)


def test_it_is_a_key_value_store(store: Memory) -> None:
    assert isinstance(store, KeyValue)


def test_the_seeds_commands(store: Memory, clock: Clock) -> None:
    async def script() -> None:
        assert await store.command("SET foo bar") == "OK"
        assert await store.command("GET foo") == "bar"
        assert await store.command("SET", "192.0.2.7", "two words") == "OK"
        assert await store.command("GET", "192.0.2.7") == "two words"
        assert await store.command("EXPIRE 192.0.2.7 120") == 1
        assert await store.command("TTL", "192.0.2.7") == 120
        clock.now += 119.99
        assert await store.command("GET", "192.0.2.7") == "two words"
        clock.now += 0.01
        assert await store.command("GET", "192.0.2.7") is None
        assert await store.command("TTL", "192.0.2.7") == -2
        assert await store.command("TTL", "foo") == -1

    run(script())


def test_values_end_and_counters_begin_again(store: Memory, clock: Clock) -> None:
    async def script() -> None:
        await store.set("mark", 7, expire=1.5)
        assert await store.get("mark") == "7"
        assert await store.ttl("mark") == pytest.approx(1.5)
        assert await store.incr("count", expire=60) == 1
        clock.now += 59
        assert await store.get("mark") is None
        assert await store.incr("count", 2, expire=60) == 3, "a later count moves no end"
        assert await store.ttl("count") == pytest.approx(1)
        clock.now += 1
        assert await store.incr("count", expire=60) == 1
        assert await store.incr("ever") == 1
        assert await store.ttl("ever") is None
        assert await store.incr("ever", expire=5) == 2
        assert await store.ttl("ever") == pytest.approx(5)
        assert await store.expire("ever", 9)
        assert await store.ttl("ever") == pytest.approx(9)
        assert not await store.expire("nobody", 9)
        assert await store.delete("ever", "nobody") == 1
        assert await store.get("ever") is None
        await store.set("plain", "x", expire=5)
        await store.set("plain", "y")
        assert await store.ttl("plain") is None, "SET takes the end away, as Redis does"

    run(script())


def test_options_of_set(store: Memory, clock: Clock) -> None:
    async def script() -> None:
        assert await store.command("SET", "lock", "a", "NX", "PX", 1500) == "OK"
        assert await store.command("SET", "lock", "b", "nx") is None
        assert await store.command("SET", "lock", "c", "XX", "EX", "3") == "OK"
        assert await store.command("TTL", "lock") == 3
        assert await store.command("SET", "other", "c", "XX") is None
        assert await store.command("EXISTS", "lock", "other", "lock") == 2
        assert await store.command("PERSIST", "lock") == 1
        assert await store.command("PERSIST", "lock") == 0
        assert await store.command("EXPIRE", "lock", 0) == 1
        assert await store.command("EXISTS", "lock") == 0
        assert await store.command("EXPIRE", "lock", 5) == 0

    run(script())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("",), "store.command-empty"),
        ((), "store.command-empty"),
        (("   ",), "store.command-empty"),
        (("LPUSH", "a", "b"), "store.memory-command"),
        (("GET",), "store.refused"),
        (("GET", "a", "b"), "store.refused"),
        (("SET", "a"), "store.refused"),
        (("SET", "a", "b", "NX", "XX"), "store.refused"),
        (("SET", "a", "b", "EX"), "store.refused"),
        (("SET", "a", "b", "EX", "0"), "store.refused"),
        (("SET", "a", "b", "EX", "x"), "store.refused"),
        (("SET", "a", "b", "KEEPTTL"), "store.refused"),
        (("SET", "a", "b" * 65537), "store.refused"),
        (("INCR", "text"), "store.refused"),
        (("INCRBY", "a", "01"), "store.refused"),
        (("INCRBY", "a", "9" * 5000), "store.refused"),
        (("EXPIRE", "a", "soon"), "store.refused"),
        (("DEL",), "store.refused"),
    ],
)
def test_what_is_refused(store: Memory, words: tuple[Word, ...], code: str) -> None:
    async def script() -> None:
        await store.set("text", "seven")
        with pytest.raises(TrunklineError) as refused:
            await store.command(*words)
        assert refused.value.code == code
        assert await store.get("text") == "seven"
        assert len(store) == 1

    run(script())


def test_counters_stay_within_what_redis_counts(store: Memory) -> None:
    async def script() -> None:
        await store.set("big", (1 << 63) - 1)
        with pytest.raises(TrunklineError, match="overflow"):
            await store.incr("big")
        assert await store.get("big") == str((1 << 63) - 1)

    run(script())


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_to_live_is_above_nothing(store: Memory, seconds: float) -> None:
    async def script() -> None:
        for work in (
            store.set("a", "b", expire=seconds),
            store.expire("a", seconds),
            store.incr("n", expire=seconds),
        ):
            with pytest.raises(TrunklineError, match="time to live") as refused:
                await work
            assert refused.value.code == "store.expire"
        assert len(store) == 0

    run(script())


def test_when_it_is_full_the_key_that_ends_first_makes_room(store: Memory, clock: Clock) -> None:
    async def script() -> None:
        await store.set("late", "1", expire=90)
        await store.set("soon", "1", expire=30)
        await store.set("ever", "1")
        await store.set("ever", "2")  # not new
        assert store.evicted == 0
        await store.set("fourth", "1", expire=60)
        assert await store.get("soon") is None
        assert store.evicted == 1
        clock.now += 60
        assert len(store) == 2, "what has ended makes room by itself"
        await store.set("b", "1")
        assert store.evicted == 1
        await store.set("c", "1")
        assert await store.get("late") is None
        with pytest.raises(TrunklineError, match="none of them ends") as full:
            await store.incr("d")
        assert full.value.code == "store.memory-full"
        assert await store.get("ever") == "2"
        assert len(store) == 3

    run(script())


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 5)), max_size=400))
def test_ends_that_are_set_again_and_again_take_no_more_room(steps: list[tuple[str, int]]) -> None:
    clock = Clock()
    store = Memory(clock)

    async def script() -> None:
        ends: dict[str, float] = {}
        for key, seconds in steps:
            await store.set(key, "x", expire=seconds)
            ends[key] = clock.now + seconds
            clock.now += 0.25
            for name, end in ends.items():
                assert (await store.get(name) is None) is (end <= clock.now)
        assert len(store._ends) <= 2 * 4 + 64

    run(script())


def test_octets_that_are_no_text_come_back() -> None:
    async def script() -> None:
        store = Memory(lambda: 0)
        await store.command("SET", b"\xff", b"a\xfe")
        value = await store.command("GET", b"\xff")
        assert isinstance(value, str)
        assert value.encode("utf-8", "surrogateescape") == b"a\xfe"

    run(script())


def test_the_commands_are_named_in_the_error() -> None:
    async def script() -> None:
        with pytest.raises(TrunklineError) as refused:
            await Memory(lambda: 0).command("FLUSHALL")
        assert all(name in refused.value.message for name in COMMANDS)

    run(script())
