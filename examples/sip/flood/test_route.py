"""Tests of route.py: two proxies with one store between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.script import StoreUnavailable
from trunkline.store.keyvalue import Memory
from trunkline.testing import Harness

NETWORK = Path(__file__).with_name("network.toml")


@pytest.fixture
def north() -> Iterator[Harness]:
    """The first proxy."""
    with Harness.from_network(NETWORK, "North") as proxy:
        yield proxy


@pytest.fixture
def south(north: Harness) -> Iterator[Harness]:
    """The second, with the store of the first."""
    with Harness.from_network(NETWORK, "South", redis=north.redis) as proxy:
        yield proxy


def register(proxy: Harness, password: str, source: str = "192.0.2.10") -> int:
    """Register alice; return the status of the answer, 0 if there is none."""
    rows = [("To", "<sip:alice@example.org>"), ("Contact", f"<sip:alice@{source}>")]
    request = proxy.request("REGISTER", "sip:example.org", source=(source, 5060), headers=rows)
    answers = proxy.receive(request, login=("alice", password))
    return answers[0].status if answers else 0


def test_who_fails_at_one_is_shut_out_at_both(north: Harness, south: Harness) -> None:
    for _ in range(3):
        assert register(north, "guess") == 401
    for _ in range(2):
        assert register(south, "guess") == 401
    assert register(north, "wonderland") == register(south, "wonderland") == 0


def test_others_are_not(north: Harness, south: Harness) -> None:
    for _ in range(5):
        register(north, "guess")
    assert register(south, "wonderland", source="192.0.2.11") == 200


def test_after_two_minutes_it_is_over(north: Harness) -> None:
    for _ in range(6):
        register(north, "guess")
    north.advance(121)
    assert register(north, "wonderland") == 200


def test_asking_for_a_challenge_is_no_failure(north: Harness) -> None:
    for _ in range(20):
        assert register(north, "wonderland") == 200


class Away(Memory):
    """A store that does not answer."""

    async def get(self, key: str) -> str | None:
        raise StoreUnavailable("store.redis-unavailable", "redis.shared", "no answer")

    async def incr(self, key: str, amount: int = 1, *, expire: float | None = None) -> int:
        raise StoreUnavailable("store.redis-unavailable", "redis.shared", "no answer")


def test_without_redis_users_register_all_the_same() -> None:
    away = Away(lambda: 0.0)
    with Harness.from_network(NETWORK, "North", redis={"shared": away}) as proxy:
        for _ in range(6):
            assert register(proxy, "guess") == 401
        assert register(proxy, "wonderland") == 200
